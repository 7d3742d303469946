#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
"""Interrupting, terminals, and files that change under a job."""
import os
import pty
import select
import signal
import subprocess
import time

import tap

HUGE = 64 << 30  # sparse: nothing is stored, and reading it takes many seconds


def sparse(path, size=HUGE):
    with open(path, "wb") as f:
        f.truncate(size)


def start(*arguments, **more):
    return subprocess.Popen([tap.HMM, *arguments], stdout=subprocess.PIPE, stderr=subprocess.PIPE, **more)


def interrupt(process, number=signal.SIGINT, after=0.5):
    time.sleep(after)
    assert process.poll() is None, process.communicate()
    process.send_signal(number)
    begin = time.monotonic()
    out, err = process.communicate(timeout=20)
    assert time.monotonic() - begin < 10
    return out, err


def test_interrupt_ends_by_the_signal_and_leaves_nothing(folder):
    sparse("big")
    before = set(os.listdir("/dev/shm")) if os.path.isdir("/dev/shm") else set()
    for number in (signal.SIGINT, signal.SIGTERM):
        process = start("run", "checksum", "big")
        out, err = interrupt(process, number)
        assert process.returncode == -number, (process.returncode, err)
        assert out == b"" and err == b"", (out, err)
    assert os.listdir(".") == ["big"]
    assert not os.path.isdir("/dev/shm") or set(os.listdir("/dev/shm")) <= before


def test_interrupted_sort_in_place_leaves_the_file_as_it_was(folder):
    line = b"".join(b"%08d abcdefghijklmnopqrstuvwxyz\n" % (i * 7919 % 1000003) for i in range(1000000))
    (folder / "f").write_bytes(line)
    process = start("run", "sort", "--in-place", "f")
    time.sleep(0.15)
    process.send_signal(signal.SIGINT)
    process.communicate(timeout=60)
    after = (folder / "f").read_bytes()
    if process.returncode == -signal.SIGINT:
        assert after == line or after == b"".join(sorted(line.splitlines(keepends=True)))
    else:
        raise tap.Skip("the machine sorted faster than it could be interrupted")


def test_ignored_interrupts_stay_ignored(folder):
    sparse("big", 1 << 30)
    process = start("run", "checksum", "big", preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_IGN))
    time.sleep(0.1)
    process.send_signal(signal.SIGINT)
    process.communicate(timeout=60)
    assert process.returncode == 0


def test_progress_bar_on_a_terminal(folder):
    sparse("big")
    ours, theirs = pty.openpty()
    process = subprocess.Popen([tap.HMM, "run", "checksum", "big"], stdout=subprocess.DEVNULL, stderr=theirs)
    seen = b""
    deadline = time.monotonic() + 20
    while b"%" not in seen and time.monotonic() < deadline:
        if select.select([ours], [], [], 0.2)[0]:
            seen += os.read(ours, 4096)
    process.send_signal(signal.SIGINT)
    process.wait(timeout=20)
    os.close(theirs)
    os.close(ours)
    assert b"checksum" in seen and b"%" in seen, seen


def test_file_that_shrinks_under_the_device(folder):
    sparse("big", 16 << 30)
    process = start("run", "checksum", "big")
    time.sleep(0.4)
    os.truncate("big", 4096)
    out, err = process.communicate(timeout=60)
    assert process.returncode == 2, (process.returncode, out, err)
    assert b"shrank" in err and len(err.splitlines()) == 1, err


if __name__ == "__main__":
    tap.main(globals())
