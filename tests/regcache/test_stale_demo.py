#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
"""stale-demo: every peer is there, every scene can notice, and with libhmm nothing is stale."""
import json
import os
import pathlib
import re
import subprocess

import tap

DEMO = os.environ["STALE_DEMO"]
DOCS = pathlib.Path(os.environ["MONITORS_MD"])
OURS = ("ofi-hmm", "ucx-hmm", "hmm", "hmm-strict")
ALLOCATORS = ("libmimalloc.so.2", "libjemalloc.so.2", "libtcmalloc_minimal.so.4")


def demo(*arguments, nobody=False):
    command = [DEMO, "--limit", "20000", *map(str, arguments)]
    if nobody and os.geteuid() == 0:
        command = ["setpriv", f"--reuid={tap.NOBODY}", f"--regid={tap.NOBODY}", "--clear-groups",
                   *command]
    return subprocess.run(command, capture_output=True, text=True, timeout=280)


def scenes(monitor, *arguments, **more):
    result = demo("--json", "--monitor", monitor, *arguments, **more)
    found, = json.loads(result.stdout)
    if found["missing"] and found["why"] not in ("not built", "not linked"):
        raise tap.Skip(f"{monitor}: {found['why']}")
    assert result.returncode == 0, result.stdout + result.stderr
    assert not found["missing"], f"{monitor} is {found['why']}"
    return found["scenes"]


def listed():
    text = demo("--list").stdout
    monitors, _, rest = text.partition("Changes, races and sequences:")
    named = r"^  (\S+) +(.*)$"
    return re.findall(named, monitors, flags=re.M), re.findall(named, rest, flags=re.M)


def test_each_scene_notices_a_cache_that_is_told_nothing(folder):
    for name, scene in scenes("none", "--sequences").items():
        if "ns" not in scene and scene["result"] != "-":
            assert scene["result"] == "STALE", f"{name}: {scene}"


def test_each_peer_is_there(folder):
    result = demo("--all", "--scene", "munmap")
    assert result.returncode == 0, f"status {result.returncode}: {result.stdout}"


def is_right(monitor, **more):
    """Nothing is stale, and that is no wonder: what is registered is kept."""
    def test(folder):
        kept = 0
        for name, scene in scenes(monitor, "--sequences", "--races", 500, **more).items():
            wanted = {"ok", "-"} | ({"STALE"} if name == "shm-remap" else set())
            assert scene["result"] in wanted, f"{name}: {scene}"
            kept += scene["cached"]
        assert kept >= 25, f"only {kept} scenes have what they registered kept"
    return test


def test_the_peers_own_monitors_are_what_the_document_says(folder):
    memhooks = scenes("ofi-memhooks", "--races", 200)
    for name in ("raw-munmap", "mremap-onto", "dlclose", "race-raw"):
        assert memhooks[name]["result"] == "STALE", f"{name}: {memhooks[name]}"


def no_hang_with(allocator):
    def test(folder):
        for monitor in OURS:
            for scene in ("allocator", "under-lock"):
                found = scenes(monitor, "--scene", scene, "--preload", allocator)[scene]
                assert found["result"] == "ok", f"{monitor}, {scene}: {found}"
    return test


def test_the_document_has_every_scene_and_monitor(folder):
    text = DOCS.read_text()
    monitors, changes = listed()
    for name, _ in monitors:
        if name.startswith("ofi2-") and f"| {name} |" not in text:
            continue  # measured where libfabric 2 was there
        assert f"| {name} |" in text or f"`{name}` is missing" in text, name
    for _, what in changes:
        assert f"\n| {what} |" in text, f"scripts/monitors has to be run: no line '{what}'"


def test_the_table_fits(folder):
    for arguments in ([], ["--help"]):
        text = demo("--monitor", "hmm", "--races", 100, *arguments).stdout
        assert text and all(len(line) <= 80 for line in text.splitlines()), text


def test_the_table_counts_sequences_that_ran(folder):
    text = demo("--monitor", "none", "--scene", "middle").stdout
    assert re.search(r"^none .* 1 of 1 ", text, flags=re.M), text


def test_bad_options_are_refused(folder):
    for arguments in (["--monitor", "x"], ["--scene", "x"], ["--races", "0"], ["x"]):
        result = demo(*arguments)
        assert result.returncode == 2, f"{arguments}: {result.returncode}"
        assert not result.stdout and result.stderr.startswith("stale-demo: "), result.stderr


for name in OURS:
    short = name.replace("-", "_")
    globals()[f"test_{short}_is_right"] = is_right(name)
    globals()[f"test_{short}_is_right_without_privilege"] = is_right(name, nobody=True)
for name in ALLOCATORS:
    globals()[f"test_no_hang_with_{name.split('.')[0]}"] = no_hang_with(name)

if __name__ == "__main__":
    tap.main(globals())
