# SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
"""Runs a script's functions named test_* as TAP: one behaviour each, in a folder of its own."""
import ctypes
import mmap
import os
import pathlib
import shutil
import subprocess
import sys
import tempfile
import traceback

HMM = os.environ["HMM"]
NOBODY = 65534
MADV_COLLAPSE = 25


class Skip(Exception):
    """A feature is missing; says which."""


# A build without sanitizers: the memory at fixed addresses that torture works on is theirs, and
# they need /proc.
TORTURE = os.environ.get("HMM_SANITIZE", "none") == "none"


def needs_torture():
    if not TORTURE:
        raise Skip("torture is not run under sanitizers")


def needs_preload():
    if not TORTURE and os.environ["HMM_SANITIZE"] != "delay":
        raise Skip("a sanitizer's library must be loaded first, and what is preloaded comes before")


def hmm(*arguments, nobody=False, timeout=100, before=None, **more):
    """Runs the command; its result has returncode, stdout and stderr as text."""
    command = [HMM, *map(str, arguments)]
    if nobody and os.geteuid() == 0:
        command = ["setpriv", f"--reuid={NOBODY}", f"--regid={NOBODY}", "--clear-groups", *command]
    return subprocess.run(command, capture_output=True, text=True, timeout=timeout,
                          preexec_fn=before, **more)


def fine(*arguments, **more):
    result = hmm(*arguments, **more)
    said = result.stderr + result.stdout[-500:]
    assert result.returncode == 0, f"{arguments}: status {result.returncode}: {said}"
    return result.stdout


def refused(status, sentence, *arguments, **more):
    """The command ends with this status and one line on standard error that holds the sentence."""
    result = hmm(*arguments, **more)
    got = result.returncode
    assert got == status, f"{arguments}: status {got}, not {status}: {result.stderr}"
    lines = result.stderr.splitlines()
    assert len(lines) == 1, f"{arguments}: {len(lines)} lines: {result.stderr}"
    assert sentence in lines[0], f"{arguments}: '{lines[0]}' does not say '{sentence}'"
    assert lines[0].startswith("hmm"), lines[0]


def has_huge_pages():
    """Does the host give anonymous memory a huge page, at a fault or when it is asked for one?"""
    size = 4 << 20
    memory = mmap.mmap(-1, size, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
    start = ctypes.addressof(ctypes.c_char.from_buffer(memory)) + (2 << 20) - 1 & -2 << 20
    advise = ctypes.CDLL(None).madvise
    advise.argtypes = ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int
    advise(start, 2 << 20, mmap.MADV_HUGEPAGE)
    ctypes.memset(start, 1, 2 << 20)
    return advise(start, 2 << 20, MADV_COLLAPSE) == 0


def main(names):
    tests = [(name, test) for name, test in names.items() if name.startswith("test_")]
    print(f"1..{len(tests)}")
    home = os.getcwd()
    bad = 0
    for number, (name, test) in enumerate(tests, 1):
        title = name[5:].replace("_", " ")
        folder = tempfile.mkdtemp(prefix="hmm-test-")
        os.chmod(folder, 0o777)
        os.chdir(folder)
        try:
            test(pathlib.Path(folder))
            print(f"ok {number} - {title}", flush=True)
        except Skip as reason:
            print(f"ok {number} - {title} # SKIP {reason}", flush=True)
        except Exception:  # pylint: disable=broad-except
            bad += 1
            for line in traceback.format_exc().splitlines():
                print("#", line)
            print(f"not ok {number} - {title}", flush=True)
        finally:
            os.chdir(home)
            shutil.rmtree(folder, ignore_errors=True)
    sys.exit(1 if bad else 0)
