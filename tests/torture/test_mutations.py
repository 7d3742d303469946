#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
"""Each broken rule is found within 10 s, or the torture proves nothing.

Seconds of a machine that has nothing else to do: what it may use of all processors is counted, and
a busy machine has longer.
"""
import json
import os
import re
import resource

import tap

LIMIT = 10
PATIENCE = 100


# Of device memory; a host whose kernel moves no pages cannot tell.
AWAY = "Mutations of device memory (--migrate, --exclusive):"


def names(heading="Mutations:"):
    # Those of the log need a host that lets us trace the kernel: vm/tests/exact.
    text = tap.hmm("torture", "--help").stdout.partition(heading)[2]
    text = text.partition("Mutations of")[0]
    return re.findall(r"^ {2}([a-z][a-z-]+) ", text, flags=re.M)


def used():
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime


def finds(name, *options, **more):
    def test(folder):
        # The windows are held open, so no luck is needed, and no second seed.
        before = used()
        result = tap.hmm("torture", "--json", "--break", name, "--seconds", PATIENCE, *options,
                         timeout=300, **more)
        if result.returncode == 3 and options:
            raise tap.Skip(result.stderr.strip())
        seconds = used() - before
        said = result.stderr + result.stdout[-300:]
        assert result.returncode == 1, f"status {result.returncode}: {said}"
        found = json.loads(result.stdout)
        wrong = found["stale_accesses"] + found["lost_updates"] + found["wrong_bytes"]
        wrong += found["leaks"] if options else 0
        assert wrong > 0, f"found something else: {found['findings']}"
        assert seconds <= LIMIT * os.cpu_count(), f"only after {seconds} s of all processors"
    return test


def test_the_list_has_the_rules_of_the_protocol(folder):
    assert {"no-probe", "read-first", "no-odd", "blind-register", "no-quiesce"} <= set(names())


for mutation in names():
    globals()[f"test_finds_{mutation.replace('-', '_')}"] = finds(mutation)

for mutation in names(AWAY):
    test = finds(mutation, "--migrate", "--exclusive")
    globals()[f"test_finds_{mutation.replace('-', '_')}"] = test


def test_the_list_has_the_rules_of_device_memory(folder):
    assert {"zero-blind", "early-take", "migrate-discard", "no-revoke"} <= set(names(AWAY))


# What it is held by needs no privilege.
test_finds_cache_discard_unprivileged = finds("cache-discard", nobody=True)

if __name__ == "__main__":
    tap.main(globals())
