#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
"""uring-copy: what is copied is the file, in every mode; bad input is told."""
import errno
import json
import os
import random
import subprocess

import deny
import tap

COPY = os.environ["URING_COPY"]
MODES = ("cache", "register", "plain")


def copy(*arguments):
    result = subprocess.run([COPY, *map(str, arguments)], capture_output=True, text=True,
                            timeout=100)
    if result.returncode == 3 and "io_uring" in result.stderr:
        raise tap.Skip("no io_uring here")
    return result


def done(*arguments):
    result = copy("--json", *arguments)
    assert result.returncode == 0, (arguments, result.stderr)
    return json.loads(result.stdout)


def refused(sentence, *arguments):
    result = copy(*arguments)
    assert result.returncode == 2, (arguments, result)
    assert sentence in result.stderr and len(result.stderr.splitlines()) == 1, result.stderr


def test_every_mode_copies_every_byte(folder):
    data = random.Random(1).randbytes(5 * 1000 * 1000 + 17)
    (folder / "a").write_bytes(data)
    for mode in MODES:
        for fresh in ((), ("--fresh",)):
            for block in (4096, 65536, 1 << 20):
                (folder / "b").unlink(missing_ok=True)
                result = done("--mode", mode, "--block", block, *fresh, "a", "b")
                assert result["bytes"] == len(data)
                assert (folder / "b").read_bytes() == data, (mode, fresh, block)


def test_buffers_that_are_used_again_are_registered_once(folder):
    (folder / "a").write_bytes(bytes(4 << 20))
    result = done("--block", 65536, "--depth", 4, "a", "b")
    assert (result["misses"], result["hits"], result["plain"]) == (4, 60, 0), result


def test_fresh_buffers_are_registered_anew(folder):
    (folder / "a").write_bytes(bytes(4 << 20))
    result = done("--block", 65536, "--depth", 4, "--fresh", "a", "b")
    # A few of the first become one with a neighbour, until the cache sees that this pays nothing.
    assert result["misses"] == 64 and result["dead"] >= 45, result


def test_empty_file(folder):
    (folder / "a").touch()
    assert done("a", "b")["bytes"] == 0
    assert (folder / "b").read_bytes() == b""


def test_bad_input(folder):
    (folder / "a").write_bytes(b"x")
    refused("cannot read 'nothing'", "nothing", "b")
    refused("not a file", ".", "b")
    refused("same file", "a", "./a")
    refused("cannot write", "a", "no/such/folder")
    refused("no mode 'fast'", "--mode", "fast", "a", "b")
    refused("no block size", "--block", "1000", "a", "b")
    refused("no depth", "--depth", "0", "a", "b")
    refused("FROM and TO", "a")
    refused("no option", "--what", "a", "b")
    refused("needs a value", "a", "b", "--depth")
    assert (folder / "a").read_bytes() == b"x"


def test_a_host_that_denies_userfaultfd(folder):
    (folder / "a").write_bytes(b"x")
    result = subprocess.run([COPY, "a", "b"], capture_output=True, text=True, timeout=100,
                            preexec_fn=deny.userfaultfd(errno.EPERM))
    assert result.returncode == 3, result
    assert "userfaultfd" in result.stderr and len(result.stderr.splitlines()) == 1, result.stderr
    assert done("--mode", "plain", "a", "b")["bytes"] == 1


def test_bench_prints_each_size_beside_its_baseline(folder):
    result = copy("--bench", "--json")
    assert result.returncode == 0, result.stderr
    rows = json.loads(result.stdout)
    assert {"hit-4K", "hit-64K-trusted", "hit-16M"} <= {row["name"] for row in rows}
    for row in rows:
        assert row["unit"] == "ns" and row["value"] > 0 and row["baseline"] > 0, row
    # A hit costs the same for any size, pinning 4,096 pages does not. The build with random delays
    # sleeps in each hit.
    if not os.environ.get("HMM_RANDOM_DELAY"):
        assert next(row["ratio"] for row in rows if row["name"] == "hit-16M") < 0.5, rows


if __name__ == "__main__":
    tap.main(globals())
