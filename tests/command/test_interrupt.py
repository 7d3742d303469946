#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
"""Interrupting, terminals, and files that change under a job."""
import json
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
    return subprocess.Popen([tap.HMM, *arguments], stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                            **more)


def interrupt(process, number=signal.SIGINT, after=0.5):
    time.sleep(after)
    assert process.poll() is None, process.communicate()
    process.send_signal(number)
    begin = time.monotonic()
    out, err = process.communicate(timeout=60)
    assert time.monotonic() - begin < 30
    return out, err


def wait_mapped(process, name, size, times=1):
    """Until the tool works on all of that file, or has ended."""
    deadline = time.monotonic() + 60
    while process.poll() is None and whole_mappings(process.pid, name, size) < times:
        if time.monotonic() >= deadline:
            break
        time.sleep(0.01)


def wait_at_work(process, seconds):
    """Until the tool has had a processor for so long, or has ended."""
    ticks = seconds * os.sysconf("SC_CLK_TCK")
    deadline = time.monotonic() + 60
    while process.poll() is None and time.monotonic() < deadline:
        with open(f"/proc/{process.pid}/stat", encoding="ascii", errors="replace") as f:
            fields = f.read().rpartition(")")[2].split()
        if int(fields[11]) + int(fields[12]) >= ticks:
            break
        time.sleep(0.01)


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
    numbers = (i * 7919 % 1000003 for i in range(1000000))
    line = b"".join(b"%08d abcdefghijklmnopqrstuvwxyz\n" % number for number in numbers)
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


def test_a_graph_is_interrupted_while_it_is_read(folder):
    with open("edges", "w", encoding="ascii") as f:
        for i in range(3000000):
            f.write(f"{i * 7919 % 1000003} {i * 31 % 999983}\n")
    for _ in range(5):
        process = start("run", "graph", "edges")
        time.sleep(0.2)
        # it may have had a processor for itself, and this test none
        if process.poll() is None:
            break
        process.communicate()
    out, err = interrupt(process, after=0)
    assert process.returncode == -signal.SIGINT, (process.returncode, out, err)
    assert out == err == b"", (out, err)


def test_ignored_interrupts_stay_ignored(folder):
    sparse("big", 1 << 30)
    process = start("run", "checksum", "big",
                    preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_IGN))
    time.sleep(0.1)
    process.send_signal(signal.SIGINT)
    process.communicate(timeout=60)
    assert process.returncode == 0


def test_progress_bar_on_a_terminal(folder):
    sparse("big")
    ours, theirs = pty.openpty()
    process = subprocess.Popen([tap.HMM, "run", "checksum", "big"], stdout=subprocess.DEVNULL,
                               stderr=theirs, env=dict(os.environ, TERM="xterm"))
    seen = b""
    deadline = time.monotonic() + 60
    while b"%" not in seen and time.monotonic() < deadline:
        if select.select([ours], [], [], 0.2)[0]:
            seen += os.read(ours, 4096)
    process.send_signal(signal.SIGINT)
    process.wait(timeout=60)
    os.close(theirs)
    os.close(ours)
    assert b"checksum" in seen and b"%" in seen, seen


def test_file_that_shrinks_under_the_device(folder):
    sparse("big")
    process = start("run", "checksum", "big")
    wait_mapped(process, "big", HUGE)
    time.sleep(0.2)
    os.truncate("big", 4096)
    out, err = process.communicate(timeout=60)
    assert process.returncode == 2, (process.returncode, out, err)
    assert b"shrank" in err and len(err.splitlines()) == 1, err


def whole_mappings(pid, name, size):
    """How often all of the file is mapped, in one piece or in neighbouring ones."""
    pieces = []
    with open(f"/proc/{pid}/maps", encoding="utf-8", errors="replace") as f:
        for line in f:
            if line.rstrip().endswith("/" + name):
                start, end = (int(address, 16) for address in line.split()[0].split("-"))
                pieces.append(end - start)
    return sum(pieces) // size


def test_file_that_shrinks_under_the_cpu(folder):
    """What the CPU reads for --verify raises SIGBUS: that is said, not died of."""
    sparse("big", 8 << 30)
    process = start("run", "checksum", "--verify", "--json", "big")
    # The second mapping of the file is the CPU's.
    wait_mapped(process, "big", 8 << 30, times=2)
    os.truncate("big", 4096)
    out, err = process.communicate(timeout=60)
    assert process.returncode == 2 and b"shrank" in err, (process.returncode, out, err)


def test_finished_files_are_told_when_a_later_one_is_interrupted(folder):
    (folder / "small").write_bytes(b"abc")
    sparse("big")
    process = start("run", "checksum", "small", "big")
    wait_mapped(process, "big", HUGE)
    out, err = interrupt(process)
    assert process.returncode == -signal.SIGINT, (process.returncode, out, err)
    assert b"352441c2  small" in out and err == b"", (out, err)


def test_an_interrupted_torture_tells_what_it_saw(folder):
    tap.needs_torture()
    for number in (signal.SIGINT, signal.SIGTERM):
        process = start("torture", "--seconds", "600", "--json")
        wait_at_work(process, 1)
        out, err = interrupt(process, number, after=2)
        assert process.returncode == -number, (process.returncode, err)
        result = json.loads(out)
        assert not result["findings"], result["findings"]
        assert result["interrupted"] is True and result["passed"] is False
        assert result["operations"] > 0 and result["seconds"] < 100
    process = start("torture", "--seconds", "600")
    wait_at_work(process, 1)
    out, err = interrupt(process, after=0)
    assert b"interrupted, nothing found so far: " in out and b"UNSOUND" not in out, out[-500:]


if __name__ == "__main__":
    tap.main(globals())
