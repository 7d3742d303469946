#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
"""What LIBHMM_DEBUG does to a program that breaks a rule twice at one place."""
import os
import shutil
import signal
import subprocess

import tap

MISUSE = os.environ["MISUSE"]


def run(value, program=MISUSE):
    env = {k: v for k, v in os.environ.items() if k != "LIBHMM_DEBUG"}
    if value is not None:
        env["LIBHMM_DEBUG"] = value
    result = subprocess.run([program, "twice"], env=env, capture_output=True, text=True, timeout=60)
    if result.returncode == 77:
        raise tap.Skip("no space can be attached here")
    return result


def one_report(text, prefix="libhmm: "):
    lines = text.splitlines()
    assert len(lines) == 1, text
    assert lines[0].startswith(prefix + "hmm_engine_exit() ends a section that was not begun"), text
    assert ", thread " in lines[0], text


def test_nothing_is_said_without_the_variable(folder):
    for value in (None, "", "0"):
        result = run(value)
        assert result.returncode == 0 and not result.stderr, (value, result.stderr)


def test_one_line_on_standard_error(folder):
    result = run("1")
    assert result.returncode == 0, result.returncode
    one_report(result.stderr)
    assert "misuse_test+0x" in result.stderr, result.stderr


def test_abort_ends_the_program_at_the_call(folder):
    result = run("abort")
    assert result.returncode == -signal.SIGABRT, result.returncode
    one_report(result.stderr)


def test_nothing_is_said_by_a_program_that_gains_privilege(folder):
    if os.geteuid():
        raise tap.Skip("only root can make a set-user-ID program of another user here")
    if "SECURE" not in os.environ:
        raise tap.Skip("sanitizers read the environment all the same")
    program = str(folder / "misuse_secure")
    shutil.copy(os.environ["SECURE"], program)
    os.chown(program, tap.NOBODY, tap.NOBODY)
    os.chmod(program, 0o4755)
    if os.statvfs(program).f_flag & os.ST_NOSUID:
        raise tap.Skip("this filesystem knows no set-user-ID programs")
    one_report(run("1", os.environ["SECURE"]).stderr)
    result = run("1", program)
    assert result.returncode == 0 and not result.stderr, result.stderr


def test_the_command_counts_it_as_a_finding(folder):
    if "SHIM" not in os.environ:
        raise tap.Skip("nothing can be preloaded into this build")
    env = dict(os.environ, LIBHMM_DEBUG="1", LD_PRELOAD=os.environ["SHIM"])
    result = tap.hmm("info", env=env)
    assert result.returncode == 1, (result.returncode, result.stderr)
    one_report(result.stderr, "hmm info: misuse: ")
    del env["LIBHMM_DEBUG"]
    result = tap.hmm("info", env=env)
    assert result.returncode == 0 and not result.stderr, (result.returncode, result.stderr)


tap.main(globals())
