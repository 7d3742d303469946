#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
"""hmm bench: records, names, and that a verdict follows from its numbers. Speed is not tested here."""
import json

import tap

KEYS = {"name", "unit", "value", "baseline", "ratio", "target", "ok"}


def bench(*arguments, **more):
    return json.loads(tap.fine("bench", "--json", "--rounds", "1", *arguments, **more))


def verdict(row):
    what = row["value"] if row["target_of"] == "value" else row["ratio"]
    return what >= row["target"] if row["better"] == "higher" else what <= row["target"]


def test_records_have_every_field(folder):
    rows = bench("valid", "lookup")
    assert [row["name"] for row in rows] == ["valid-4KiB", "valid-64MiB", "lookup-random-1M",
                                        "lookup-random-1M-overlap", "lookup-cached"]
    for row in rows:
        assert KEYS <= set(row), row
        assert row["value"] > 0 and row["baseline"] > 0
        assert abs(row["ratio"] - row["value"] / row["baseline"]) < 1e-9


def test_verdict_follows_from_the_numbers(folder):
    for row in bench("valid", "lookup"):
        assert row["ok"] == verdict(row), row


def test_every_group_measures(folder):
    groups = {"snapshot": 4, "fault-in": 4, "munmap": 2, "device-fault": 2}
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


def test_unprivileged(folder):
    assert len(bench("valid", nobody=True)) == 2


if __name__ == "__main__":
    tap.main(globals())
