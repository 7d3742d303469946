#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
"""hmm torture: the honest library is sound, and the run was hostile enough to say so."""
import json

import tap


def torture(*arguments, **more):
    return json.loads(tap.fine("torture", "--json", *arguments, **more))


def check(result):
    assert result["stale_accesses"] == result["lost_updates"] == result["wrong_bytes"] == result["hangs"] == result["leaks"] == 0, result["passed"]
    assert result["operations"] > 200, result["operations"]
    assert result["accepted"] > 1000, result["accepted"]
    assert result["accepted_share"] >= 0.3, result["accepted_share"]


def test_sound_for_some_seconds(folder):
    check(torture("--seconds", 1))


def test_sound_with_another_seed(folder):
    check(torture("--seconds", 1, "--seed", 20))


def test_sound_unprivileged(folder):
    check(torture("--seconds", 1, nobody=True))


def test_bad_options(folder):
    for arguments in (["--seconds", "x"], ["--break", "nothing-of-the-kind"], ["--fly"]):
        result = tap.hmm("torture", *arguments)
        assert result.returncode == 2, (arguments, result.returncode)
        assert "torture: " in result.stderr, result.stderr


if __name__ == "__main__":
    tap.main(globals())
