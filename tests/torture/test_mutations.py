#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
"""Each broken rule is found within 10 s, or the torture proves nothing."""
import re

import tap


def names():
    text = tap.hmm("torture", "--help").stdout
    return re.findall(r"^ {6}([a-z][a-z-]+) ", text, flags=re.M)


def finds(name):
    def test(folder):
        # Luck has a part in a race: another seed is as good, the 10 s are for each.
        for seed in (1, 2):
            result = tap.hmm("torture", "--break", name, "--seconds", 10, "--seed", seed, timeout=90)
            assert result.returncode in (0, 1), result.stderr
            if result.returncode == 1:
                return
        raise AssertionError(f"'{name}' was not found: {result.stdout[-200:]}")
    return test


def test_the_list_has_the_rules_of_the_protocol(folder):
    assert {"no-probe", "read-first", "no-odd", "blind-register", "no-quiesce"} <= set(names())


for mutation in names():
    globals()[f"test_finds_{mutation.replace('-', '_')}"] = finds(mutation)

if __name__ == "__main__":
    tap.main(globals())
