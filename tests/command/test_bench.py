#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
"""hmm bench: records, names, verdicts, counts of system calls. Speed is not tested here."""
import errno
import json
import os
import subprocess
import sys

import deny
import tap

KEYS = {"name", "unit", "value", "baseline", "ratio", "target", "ok", "verdict", "machine"}
# Calls and sleeps an operation, at most.
COUNTS = {
    "calls-device-fault-cold": (5, 0),
    "calls-device-fault-served": (2, 0),
    "calls-range-fault-cold": (5, 0),
    "calls-valid": (1, 0),
    "calls-regcache-hit": (1, 0),
    "calls-regcache-hit-ordered": (0, 0),
    "calls-munmap-mirrored": (2, 2),
    "calls-munmap-bystander": (0, 0),
    "calls-exclusive": (6, 0),
    "calls-exclusive-64k": (6, 0),
    "calls-exclusive-device": (2, 0),
}

MIGRATE = ["migrate-4k", "migrate-4k-copy", "migrate-thp", "migrate-copies-thp",
           "migrate-copies-4k", "migrate-copies-backed", "migrate-touch-p50",
           "migrate-touch-p99", "migrate-exclusive", "migrate-exclusive-64k",
           "migrate-exclusive-device", "migrate-stream", "migrate-memory"]

# Of the log of the kernel's changes: without one they are not measured.
EXACT = ["exact-calls", "exact-valid", "exact-valid-disturbed", "exact-events",
         "exact-munmap-16KiB", "exact-munmap-16KiB-uffd", "exact-munmap-unwatched", "exact-attach",
         "exact-attaching-calls", "exact-full"]


def bench(*arguments, **more):
    return json.loads(tap.fine("bench", "--json", "--rounds", "1", *arguments, **more))


def keep_to_one_cpu():
    os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})


def reached(row):
    what = row["value"] if row["target_of"] == "value" else row["ratio"]
    return what >= row["target"] if row["better"] == "higher" else what <= row["target"]


def counts():
    rows = {row["name"]: row for row in bench("calls")}
    if not rows:
        raise tap.Skip("no PAGEMAP_SCAN")
    if any(row["verdict"] == "unknown" for row in rows.values()):
        raise tap.Skip("ptrace is not permitted here")
    return rows


def quiet_enough(row):
    machine = row["machine"]
    cpus = os.cpu_count()
    return machine["others"] <= 0.1 * cpus and machine["stolen"] <= 0.02 * cpus


def test_records_have_every_field(folder):
    rows = bench("valid", "lookup")
    assert [row["name"] for row in rows] == ["valid-4KiB", "valid-64MiB", "lookup-random-1M",
                                        "lookup-random-1M-overlap", "lookup-cached"]
    for row in rows:
        assert KEYS <= set(row), row
        assert row["value"] > 0 and row["baseline"] > 0
        assert abs(row["ratio"] - row["value"] / row["baseline"]) < 1e-9


def test_figures_of_device_memory(folder):
    rows = {row["name"]: row for row in bench("migrate")}
    if not rows:
        raise tap.Skip("the kernel moves no pages, or there is too little memory")
    assert list(rows) == MIGRATE, list(rows)
    for name, row in rows.items():
        if row["verdict"] == "unknown":
            assert "-thp" in name and not tap.has_huge_pages(), row
        else:
            assert row["value"] > 0 and row["baseline"] > 0, row
    # Speed is not tested, and this is none.
    assert rows["migrate-memory"]["value"] <= 16, rows["migrate-memory"]


def test_one_figure_of_device_memory(folder):
    rows = bench("migrate-stream")
    assert [row["name"] for row in rows] in ([], ["migrate-stream"]), rows


def test_verdict_follows_from_the_numbers(folder):
    for row in bench("valid", "lookup"):
        if reached(row):
            assert row["ok"] is True and row["verdict"] == "yes", row
        elif quiet_enough(row):
            assert row["ok"] is False and row["verdict"] == "no", row
        else:
            assert row["ok"] is None and row["verdict"] == "busy", row


def test_system_calls_and_sleeps_are_at_their_targets(folder):
    rows = counts()
    assert set(rows) == set(COUNTS)
    for name, (calls, sleeps) in COUNTS.items():
        row = rows[name]
        assert row["value"] <= calls and row["sleeps"] <= sleeps, row
        assert row["target"] == calls and row["sleeps_target"] == sleeps, row
        assert row["ok"] is True, row


def test_counts_are_those_of_the_kernels_calls(folder):
    """What is bare is known: populate, scan, words; the probe; nothing; poll and read; moves."""
    rows = counts()
    assert [rows[name]["baseline"] for name in COUNTS] == [3, 1, 3, 1, 1, 0, 2, 0, 2, 2, 2], rows
    sleeps = [rows[name]["sleeps_baseline"] for name in COUNTS]
    assert sleeps == [0, 0, 0, 0, 0, 0, 2, 0, 0, 0, 0], rows


def test_counts_need_no_privilege(folder):
    assert {row["name"] for row in bench("calls", nobody=True)} == set(COUNTS)


def test_without_tracing_sleeps_are_counted(folder):
    rows = bench("calls", before=deny.calls({deny.PTRACE: errno.EPERM}))
    assert {row["name"] for row in rows} == set(COUNTS)
    for row in rows:
        assert row["value"] is None and row["ok"] is None and row["verdict"] == "unknown", row
        assert row["sleeps"] == COUNTS[row["name"]][1] and "ptrace" in row["note"], row


def test_reached_targets_end_well(folder):
    counts()
    tap.fine("bench", "--check", "calls")


def test_too_few_cpus_are_said(folder):
    for row in bench("disturbed", before=keep_to_one_cpu):
        assert row["machine"]["cpus"] == 1, row
        assert row["verdict"] in ("yes", "small"), row


def test_load_is_said(folder):
    """Others compute on every CPU: a time that misses its target proves nothing."""
    spin = [sys.executable, "-c", "print(flush=True)\nwhile True: pass"]
    others = [subprocess.Popen(spin, stdout=subprocess.PIPE) for _ in range(2 * os.cpu_count())]
    try:
        for other in others:
            other.stdout.readline()
        rows = bench("munmap", "valid")
        text = tap.fine("bench", "--rounds", "1", "munmap", "valid")
    finally:
        for other in others:
            other.kill()
            other.communicate()
    assert all(row["verdict"] in ("yes", "busy") for row in rows), rows
    assert rows[0]["machine"]["others"] > 0.5, rows[0]
    assert "NO" not in text, text


def test_dear_calls_cost_both_sides(folder):
    for _ in range(5):
        cheap = bench("valid")[0]
        dear = bench("--dear-calls", "20000", "valid")[0]
        # On a busy machine what is cheap may take long for once.
        if all(dear[side] > 2 * cheap[side] for side in ("baseline", "value")):
            break
    assert dear["baseline"] > 2 * cheap["baseline"], (cheap, dear)
    assert dear["value"] > 2 * cheap["value"], (cheap, dear)


def test_every_group_measures(folder):
    groups = {"calls": len(COUNTS), "snapshot": 4, "fault-in": 4, "munmap": 2, "guarded": 2,
              "device-fault": 2, "regcache": 11}
    for group, rows in groups.items():
        got = bench(group)
        assert len(got) == rows and all(row["name"].startswith(group) for row in got), got


def test_names_choose_groups(folder):
    assert {row["name"].split("-")[0] for row in bench("lookup")} == {"lookup"}


def test_unknown_name(folder):
    tap.refused(2, "no figure 'speed'", "bench", "speed")


def test_table_is_markdown(folder):
    lines = tap.fine("bench", "--rounds", "1", "valid").splitlines()
    assert lines[0].startswith("| figure") and set(lines[1]) <= set("|- ")
    assert {line.count("|") for line in lines} == {lines[0].count("|")}


def test_counts_have_a_table_of_their_own(folder):
    first, second = tap.fine("bench", "--rounds", "1", "calls", "valid").split("\n\n")
    assert first.startswith("| operation") and second.startswith("| figure")
    for table in (first, second):
        assert len({line.count("|") for line in table.splitlines()}) == 1, table


def test_unprivileged(folder):
    assert len(bench("valid", nobody=True)) == 2


def test_without_a_log_each_figure_says_why(folder):
    nowhere = {**os.environ, "HMM_WATCHD": str(folder / "none")}
    rows = bench("exact", nobody=True, env=nowhere)
    assert [row["name"] for row in rows] == EXACT
    for row in rows:
        assert row["value"] is None and row["ok"] is None and row["verdict"] == "unknown", row
        assert "hmm-watchd does not run" in row["note"], row
    tap.fine("bench", "--check", "exact", nobody=True, env=nowhere)


def test_names_choose_figures_of_the_log(folder):
    rows = bench("exact-munmap-16KiB", "exact-full", nobody=True,
                 env={**os.environ, "HMM_WATCHD": str(folder / "none")})
    assert [row["name"] for row in rows] == ["exact-munmap-16KiB", "exact-munmap-16KiB-uffd",
                                             "exact-full"]


if __name__ == "__main__":
    tap.main(globals())
