#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
"""hmm info: host, privilege, limits, features, the coherence table."""
import ctypes
import json
import os

import tap

KINDS = {"anon", "hugetlb", "shmem", "sysv", "file", "dax"}
GUARANTEES = {"synchronous", "validated", "unseen", "not mirrored", "-", "exact"}


def info(**more):
    return json.loads(tap.fine("info", "--json", **more))


def test_limits_are_the_kernels(folder):
    with open("/proc/sys/vm/max_map_count", encoding="ascii") as f:
        assert info()["limits"]["max_map_count"] == int(f.read())


def test_kernel_is_the_running_one(folder):
    assert os.uname().release in info()["host"]["kernel"]


def test_every_cell_of_the_coherence_table_is_there(folder):
    cells = info()["coherence"]
    operations = {cell["operation"] for cell in cells}
    assert len(operations) >= 20
    assert {cell["kind"] for cell in cells} == KINDS
    assert len(cells) == len(operations) * len(KINDS)
    for cell in cells:
        assert cell["guarantee"] in GUARANTEES, cell
        assert cell["why"], cell


def test_munmap_of_anonymous_memory_is_synchronous(folder):
    cell = [c for c in info()["coherence"] if (c["operation"], c["kind"]) == ("munmap", "anon")]
    assert cell[0]["guarantee"] == "synchronous"


def test_unprivileged_says_what_is_missing(folder):
    with open("/proc/sys/vm/unprivileged_userfaultfd", encoding="ascii") as f:
        if f.read().strip() == "1":
            raise tap.Skip("userfaultfd is open to everyone")
    got = info(nobody=True)
    assert got["attached"] is True
    assert got["privilege"]["uid"] == (tap.NOBODY if not os.geteuid() else os.geteuid())
    assert got["features"]["user_mode_only"] is True
    assert got["features"]["event_fork"] is False


def has_memfd_secret():
    fd = ctypes.CDLL(None).syscall(447, 0)
    if fd >= 0:
        os.close(fd)
    return fd >= 0


def check_device_memory(got, text):
    memory, features = got["device_memory"], got["features"]
    can = "MOVE" in features["userfaultfd_available"] and features["provider"] == "uffd"
    assert memory["moves"] is can, memory
    assert (memory["why"] is None) == can, memory
    if not can:
        raise tap.Skip(memory["why"])
    assert memory["system_calls"] == ("EFAULT" if features["user_mode_only"] else "home")
    assert memory["raw_clone"] == ("copies" if features["event_fork"] else "zeros")
    assert memory["sealed"] == ("sealed" if has_memfd_secret() else "unsealed")
    assert ("sealed memory          yes" in text) == has_memfd_secret(), text
    assert "pages move             yes" in text, text
    assert ("fail: EFAULT" in text) == features["user_mode_only"], text
    assert ("leaves zeros" in text) == (not features["event_fork"]), text


def test_device_memory_and_its_limits(folder):
    check_device_memory(info(), tap.fine("info"))


def test_device_memory_without_privilege(folder):
    check_device_memory(info(nobody=True), tap.fine("info", nobody=True))


def test_the_provider_is_named_and_how_to_get_more(folder):
    got = info()["features"]
    text = tap.fine("info")
    assert f"provider               {got['provider']}" in text, text
    if got["better_provider"]:
        # The terminal's width may break it.
        assert got["better_provider"].split()[0] in text, text
    assert (got["provider"] == "both") == (got["better_provider"] is None), got


def test_uffd_can_be_asked_for_everywhere(folder):
    assert info()["attached"]
    for name in ("uffd", "auto"):
        got = json.loads(tap.fine("info", "--json", "--provider", name))
        assert got["attached"] is True, got
    for command in (("run", "checksum", tap.HMM), ("map",), ("bench", "no-figure")):
        got = tap.hmm(*command, "--provider", "uffd")
        assert "provider" not in got.stderr, got.stderr


def test_no_such_provider(folder):
    for command in ("info", "run", "map", "bench", "exec", "torture"):
        tap.refused(2, "no provider 'ufd' (did you mean 'uffd'?)", command, "--provider", "ufd")


def test_a_log_that_cannot_be_had_is_refused_and_why(folder):
    more = {"env": dict(os.environ, HMM_WATCHD="/no/such/socket"), "nobody": True}
    got = json.loads(tap.fine("info", "--json", "--provider", "bpf", **more))
    if os.geteuid() and got["attached"]:
        raise tap.Skip("this user may load tracing programs")
    assert got["attached"] is False and got["attach_error"], got["attach_error"]
    tap.refused(3, "no log of the kernel's: ", "run", "checksum", tap.HMM,
                "--provider", "both", **more)


def test_the_reason_is_the_same_everywhere(folder):
    """Of a user who may load programs it is the kernel's, not that there is no service."""
    tap.needs_preload()
    more = {"env": dict(os.environ, HMM_WATCHD="/no/such/socket")}
    for nobody in (False, True):
        said = tap.hmm("run", "checksum", tap.HMM, "--provider", "bpf", nobody=nobody, **more)
        if said.returncode == 0:
            raise tap.Skip("this user may load tracing programs")
        why = said.stderr.split("no log of the kernel's: ")[1].strip().rstrip(".")
        better = json.loads(tap.fine("info", "--json", nobody=nobody, **more))["features"]
        events = tap.hmm("events", "true", nobody=nobody, **more).stderr
        words = "refuses tracing programs" if "refuses" in why else "hmm-watchd does not run"
        for text in (why, better["better_provider"], events):
            assert words in text, (nobody, why, better, events)


def test_devices_are_listed(folder):
    names = {device["name"] for device in info()["devices"]}
    assert {"soft", "null", "error", "delay"} <= names, names


def test_text_names_every_operation_and_kind(folder):
    got = info()
    text = tap.fine("info")
    for cell in got["coherence"]:
        assert cell["operation"] in text and cell["kind"] in text
    for word in ("Host", "Limits", "Address space", "Coherence", "seccomp", "vm.max_map_count"):
        assert word in text, word


def test_registration_and_its_budget(folder):
    got = info()
    budget = got["limits"]["max_map_count"] // 2
    assert got["features"]["max_regions"] == budget
    text = tap.fine("info")
    part = text[text.index("Registration"):text.index("Devices")]
    for words in ("whole mappings", "mremap", "EFAULT", "fault-around",
                  f"at most {budget}, half of vm.max_map_count"):
        assert words in part, (words, part)


def test_help_of_every_command(folder):
    for command in ("info", "run", "map", "bench"):
        text = tap.fine(command, "--help")
        assert text.startswith(f"Usage: hmm {command}"), text
        assert command in tap.fine("--help")


def test_version(folder):
    assert tap.fine("--version").startswith("hmm ")


if __name__ == "__main__":
    tap.main(globals())
