#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
"""The kernel's own test of HMM, unmodified, passes on libhmm, and fails where a rule is broken."""
import json
import os
import re
import subprocess

import tap

SOURCE = os.environ["SOURCE"]
BUILD = os.environ["BUILD"]
BROKEN = os.environ.get("BROKEN")

# What passes at least, of those in front of the list's names: hmm.hmm_device_private,
# hmm2.hmm2_device_private, and the same with coherent. Linux 6.1 has all of them.
PASS = """open_close anon_read anon_read_prot anon_write anon_write_prot anon_write_child
anon_write_child_shared anon_write_huge file_read file_write migrate migrate_fault migrate_release
migrate_shared migrate_multiple anon_read_multiple anon_teardown mixedmap exclusive
exclusive_mprotect exclusive_cow""".split()
PASS2 = ["snapshot", "migrate_mixed", "double_map"]
# Of these the coherent ones cannot pass, see dmirror/exceptions.
PRIVATE_ALONE = ["migrate_mixed", "double_map"]
# These may be skipped: without huge pages, and without the kernel's module gup_test.
MAY_SKIP = "anon_write_hugetlbfs compound hmm_gup_test".split()


def run(*arguments, **env):
    """{name: (word, what was said)}, and the whole output."""
    features = json.loads(tap.fine("info", "--json"))["features"]
    if "MOVE" not in features["userfaultfd_available"]:
        raise tap.Skip("no UFFDIO_MOVE: pages cannot go to device memory")
    ran = subprocess.run([f"{SOURCE}/scripts/hmm-tests", "--build", BUILD, *arguments],
                         env=dict(os.environ, **env), capture_output=True, text=True,
                         timeout=500, check=False)
    if ran.returncode == 77:
        raise tap.Skip(f"no source of the test: {ran.stderr.strip()}")
    found = {}
    for line in ran.stdout.splitlines():
        match = re.match(r"(passed|skipped|excepted|FAILED) +(\S+?)(?:: (.*))?$", line)
        if match:
            found[match[2]] = (match[1], match[3] or "")
    assert found, ran.stdout + ran.stderr
    assert ran.returncode == (1 if any(word == "FAILED" for word, _ in found.values()) else 0)
    return found, ran.stdout


def private(name, kind="private"):
    return ("hmm2.hmm2" if name in PASS2 else "hmm.hmm") + f"_device_{kind}.{name}"


def coherent(name):
    return private(name, "coherent")


def test_all_that_it_tests_of_device_memory_passes(folder):
    found, text = run()
    for name in PASS + PASS2:
        assert found[private(name)][0] == "passed", text
        expected = "excepted" if name in PRIVATE_ALONE else "passed"
        assert found[coherent(name)][0] == expected, text
    failed = [name for name, (word, _) in found.items() if word == "FAILED"]
    assert not failed, text
    skipped = [name for name, (word, _) in found.items() if word == "skipped"]
    assert set(skipped) <= {kind(name) for name in MAY_SKIP for kind in (private, coherent)}, text


def test_a_test_by_name(folder):
    found, text = run("--", "-t", "anon_read")
    assert found[private("anon_read")][0] == "passed", text
    assert private("anon_write") not in found, text


def breaks(rule, *names):
    def test(folder):
        if not BROKEN:
            raise tap.Skip("this build breaks no rule (-Dmutations=true)")
        arguments = [word for name in names for word in ("-t", name)]
        whole, text = run("--object", BROKEN, "--", *arguments)
        for name in names:
            assert whole[private(name)][0] == "passed", f"{name}, unbroken: {text}"
        found, text = run("--object", BROKEN, "--", *arguments, HMM_TEST_BREAK=rule)
        for name in names:
            assert found[private(name)][0] == "FAILED", f"{name}: {text}"
    return test


test_without_invalidation = breaks("no-callback", "anon_read_multiple")
test_where_reading_is_writing = breaks("read-is-write", "anon_read", "anon_write_prot",
                                       "file_read")


if __name__ == "__main__":
    tap.main(globals())
