#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
"""stale_hits notices what it is there for, and nothing else."""
import os
import re
import subprocess

import tap

STALE_HITS = os.environ["STALE_HITS"]


def stale_hits(*arguments, nobody=False):
    command = [STALE_HITS, *map(str, arguments)]
    if nobody and os.geteuid() == 0:
        command = ["setpriv", f"--reuid={tap.NOBODY}", f"--regid={tap.NOBODY}", "--clear-groups",
                   *command]
    result = subprocess.run(command, capture_output=True, text=True, timeout=250)
    if result.returncode == 77:
        raise tap.Skip(result.stdout.strip())
    return result


def number(result, word):
    return int(re.search(rf"(\d+) {word}", result.stdout).group(1))


def finds_a_cache_that_is_told_nothing(*arguments):
    result = stale_hits("--peer", "none", *arguments)
    assert result.returncode == 1, result.stdout
    assert number(result, "stale") > 0, result.stdout


def test_finds_a_cache_that_is_told_nothing(folder):
    finds_a_cache_that_is_told_nothing()


def test_finds_it_without_a_device(folder):
    finds_a_cache_that_is_told_nothing("--tags")


def is_not_wrong_about_new_registrations(*arguments):
    result = stale_hits("--peer", "once", "--rounds", 50000, *arguments)
    assert number(result, "stale") == number(result, "wrong") == 0, result.stdout
    assert "too few hits" in result.stdout and result.returncode == 1, result.stdout


def test_is_not_wrong_about_new_registrations(folder):
    is_not_wrong_about_new_registrations()


def test_is_not_wrong_without_a_device(folder):
    is_not_wrong_about_new_registrations("--tags")


def test_takes_the_seed_that_it_prints(folder):
    seed = re.search(r"seed (\S+)", stale_hits("--peer", "hmm", "--rounds", 100).stdout).group(1)
    again = stale_hits("--peer", "hmm", "--rounds", 100, "--seed", seed)
    assert f"seed {seed}" in again.stdout, again.stdout


def test_without_privilege(folder):
    result = stale_hits("--peer", "hmm", "--rounds", 50000, nobody=True)
    assert result.returncode == 0, result.stdout + result.stderr


if __name__ == "__main__":
    tap.main(globals())
