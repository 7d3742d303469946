#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
"""Where the output goes.

Full disks, closed descriptors, broken pipes, terminals of every width, locales, TERM.
"""
import fcntl
import os
import pty
import signal
import struct
import subprocess
import termios
import threading

import tap

FAILED = 4
QUICK = (["info"], ["info", "--json"], ["map"], ["run", "checksum", "f"],
         ["run", "checksum", "--json", "f"], ["run", "sort", "f"],
         ["bench", "--rounds", "1", "valid"], ["--help"], ["--version"], ["info", "--help"],
         ["run", "--help"], ["map", "--help"], ["bench", "--help"], ["torture", "--help"],
         ["exec", "--help"])


def start(folder, *arguments, **more):
    (folder / "f").write_bytes(b"b\na\n" * 1000)
    return subprocess.run([tap.HMM, *arguments], stderr=subprocess.PIPE, text=True, timeout=100,
                          **more)


def failed(result, sentence):
    assert result.returncode == FAILED, (result.args, result.returncode, result.stderr)
    lines = result.stderr.splitlines()
    assert len(lines) == 1, (result.args, result.stderr)
    assert lines[0].startswith("hmm") and sentence in lines[0], (result.args, result.stderr)


def test_a_full_disk_is_told_by_every_command(folder):
    for command in QUICK:
        with open("/dev/full", "wb") as full:
            failed(start(folder, *command, stdout=full),
                   "cannot write to standard output: No space left on device")


def test_a_full_disk_under_torture(folder):
    tap.needs_torture()
    for json in ([], ["--json"]):
        with open("/dev/full", "wb") as full:
            failed(start(folder, "torture", "--seconds", "0.5", *json, stdout=full),
                   "No space left on device")


def test_a_full_disk_under_the_output_of_sort(folder):
    result = start(folder, "run", "sort", "--output", "/dev/full", "f", stdout=subprocess.DEVNULL)
    failed(result, "cannot write '/dev/full': No space left on device")


def test_a_closed_standard_output_is_told(folder):
    for command in QUICK:
        failed(start(folder, *command, preexec_fn=lambda: os.close(1)),
               "cannot write to standard output: Bad file descriptor")


def test_no_file_is_written_in_the_place_of_a_closed_output(folder):
    """The first file that is opened would get the number 1, and what people are to read."""
    result = start(folder, "run", "sort", "--in-place", "f", preexec_fn=lambda: os.closerange(0, 3))
    assert result.returncode == FAILED, result
    assert (folder / "f").read_bytes() == b"a\n" * 1000 + b"b\n" * 1000


def test_a_reader_that_went_away(folder):
    for ignored in (False, True):
        read, write = os.pipe()
        os.close(read)
        result = start(folder, "map", stdout=write, restore_signals=not ignored)
        os.close(write)
        if ignored:
            failed(result, "Broken pipe")
        else:
            assert result.returncode == -signal.SIGPIPE and not result.stderr, result


def on_terminal(folder, *arguments, columns=80, **environment):
    """What the command writes to a terminal, both streams."""
    (folder / "f").write_bytes(b"b\na\n" * 1000)
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0))
    keep = dict(os.environ)
    for name in ("COLUMNS", "NO_COLOR", "LC_ALL", "LC_CTYPE", "LANG", "TERM"):
        keep.pop(name, None)
    keep.update({"TERM": "xterm", "LC_ALL": "C.UTF-8"}, **environment)
    process = subprocess.Popen([tap.HMM, *arguments], stdout=theirs, stderr=theirs, env=keep)
    os.close(theirs)
    seen = []

    def read():
        try:
            while data := os.read(ours, 65536):
                seen.append(data)
        except OSError:
            pass  # the other end is closed

    reader = threading.Thread(target=read)
    reader.start()
    process.wait(timeout=100)
    reader.join(timeout=60)
    os.close(ours)
    assert process.returncode == 0, (arguments, b"".join(seen))
    return b"".join(seen).replace(b"\r\n", b"\n")


def widest(output):
    return max(len(line) for line in output.decode().splitlines())


def test_map_and_info_are_as_wide_as_the_terminal(folder):
    for command in (["map"], ["map", "--pages"], ["info"]):
        for columns in (132, 100, 80, 60, 40):
            for locale in ("C.UTF-8", "C"):
                out = on_terminal(folder, *command, columns=columns, LC_ALL=locale, NO_COLOR="1")
                assert widest(out) <= columns, (command, columns, widest(out))
                out = on_terminal(folder, *command, columns=200, COLUMNS=str(columns),
                                  LC_ALL=locale, NO_COLOR="1")
                assert widest(out) <= columns, (command, "COLUMNS", columns, widest(out))
    # Addresses, of which the highest have 16 digits, are whole on any.
    assert widest(on_terminal(folder, "map", columns=20, NO_COLOR="1")) <= 20


def test_a_wide_terminal_is_used(folder):
    assert widest(on_terminal(folder, "map", columns=250, NO_COLOR="1")) > 100


def test_without_a_terminal_no_name_is_shortened(folder):
    deep = "/".join(["a-folder-with-a-long-name"] * 12)
    (folder / deep).mkdir(parents=True)
    path = folder / deep / "file"
    path.write_bytes(b"x" * 5000)
    with open(path, "rb") as f:
        code = ("import mmap, time; m = mmap.mmap(0, 0, access=mmap.ACCESS_READ); "
                "print(flush=True); time.sleep(100)")
        child = subprocess.Popen(["python3", "-c", code], stdin=f, stdout=subprocess.PIPE)
        try:
            child.stdout.readline()
            assert str(path) in tap.fine("map", child.pid)
            narrow = on_terminal(folder, "map", str(child.pid), columns=80)
            assert "\u2026".encode() in narrow and b"/file\n" in narrow, narrow
            narrow = on_terminal(folder, "map", str(child.pid), columns=80, LC_ALL="C")
            assert b"..." in narrow and b"/file\n" in narrow, narrow
        finally:
            child.kill()
            child.wait()


def test_a_locale_without_utf8_gets_ascii(folder):
    for command in (["map"], ["info"], ["run", "checksum", "-v", "f"],
                    ["bench", "--rounds", "1", "valid"]):
        for locale in ({"LC_ALL": "C"}, {"LC_ALL": "", "LANG": "POSIX"}):
            out = on_terminal(folder, *command, **locale)
            assert out.isascii(), (command, locale, out)
    assert not on_terminal(folder, "map", LC_ALL="", LANG="C.UTF-8").isascii()
    # A locale of UTF-8 that is not installed is still one of UTF-8.
    assert not on_terminal(folder, "map", LC_ALL="xx_XX.UTF-8").isascii()


def test_names_are_shown_as_the_locale_can(folder):
    name = "\u00fc\u4e2d"
    (folder / name).write_bytes(b"x")
    assert name in on_terminal(folder, "run", "checksum", name).decode()
    shown = on_terminal(folder, "run", "checksum", name, LC_ALL="C")
    assert b"\\303\\274\\344\\270\\255" in shown, shown
    name = "a\033[2Jb\nc"
    (folder / name).write_bytes(b"x")
    shown = on_terminal(folder, "run", "checksum", name, NO_COLOR="1")
    assert b"a\\033[2Jb\\012c" in shown, shown


def test_escapes_go_to_terminals_that_know_them(folder):
    torture = [["torture", "--seconds", "0.5"]] if tap.TORTURE else []
    for command in (["map"], ["info"], ["run", "checksum", "-v", "f"], *torture):
        for plain in ({"TERM": "dumb"}, {"NO_COLOR": "1"}):
            assert b"\033" not in on_terminal(folder, *command, **plain), (command, plain)
    for command in (["map"], ["info"], ["run", "checksum", "-v", "f"]):
        assert b"\033" in on_terminal(folder, *command), command
        assert "\033" not in tap.fine(*command), command


def test_progress_is_drawn_without_sequences_and_not_on_dumb_terminals(folder):
    with open("big", "wb") as f:
        f.truncate(8 << 30)
    torture = [["torture", "--seconds", "3"]] if tap.TORTURE else []
    for command in (["run", "checksum", "big"], *torture):
        out = on_terminal(folder, *command, NO_COLOR="1")
        assert b"\r" in out.replace(b"\r\n", b"\n") and b"\033" not in out, out
        out = on_terminal(folder, *command, TERM="dumb")
        assert b"\r" not in out and b"\033" not in out, out


if __name__ == "__main__":
    tap.main(globals())
