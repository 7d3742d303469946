#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
"""Where libhmm-watch.so is looked for, and what is said where there is no log."""
import errno
import os
import shutil
import subprocess

import tap

BY_PATH, LIBHMM, PLUG_IN = (os.environ[name] for name in ("BY_PATH", "LIBHMM", "PLUG_IN"))
REFUSED = "the kernel refuses tracing programs"
ABSENT = "libhmm-watch.so, by which this process could load the programs, is not installed"


def may_load():
    with open("/proc/self/status", encoding="ascii") as f:
        caps = [int(line.split()[1], 16) for line in f if line.startswith("CapEff")][0]
    return caps >> 21 & 1 or caps >> 38 & 3 == 3


def tree(folder, *plug_ins):
    """libhmm in lib/, and plug-ins where they are named; the path of libhmm."""
    for name in ("lib", "watchd", "other"):
        (folder / name).mkdir(exist_ok=True)
    for name in plug_ins:
        shutil.copy(PLUG_IN, folder / name / "libhmm-watch.so")
    return shutil.copy(LIBHMM, folder / "lib" / "libhmm.so.0")


def attach(*command, nobody=False, folder="/", **env):
    """(the path of the plug-in that was asked or None, what the library said)."""
    if not nobody and not may_load():
        raise tap.Skip("this user may not load tracing programs, so no plug-in is asked")
    before = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"] if nobody else []
    clean = {k: v for k, v in os.environ.items() if not k.startswith(("LD_", "LIBHMM", "HMM_"))}
    got = subprocess.run([*before, *command], cwd=folder, text=True, capture_output=True,
                         env={**clean, "HMM_WATCHD": "/nowhere/socket", **env}, timeout=60)
    lines = got.stdout.splitlines()
    assert lines[-1] == f"error {errno.EOPNOTSUPP}", got
    said = got.stderr.splitlines()
    assert len(said) == 1 and said[0].startswith("libhmm: no log of the kernel's: "), got
    asked = [line.split(None, 1)[1] for line in lines if line.startswith("plug-in ")]
    return asked[0] if asked else None, said[0]


def test_beside_libhmm_comes_first(folder):
    libhmm = tree(folder, "lib", "watchd", "other")
    asked, said = attach(BY_PATH, libhmm, LD_LIBRARY_PATH=str(folder / "other"))
    assert asked == str(folder / "lib/libhmm-watch.so"), asked
    assert REFUSED in said, said


def test_then_the_build_folder(folder):
    libhmm = tree(folder, "watchd", "other")
    asked, _ = attach(BY_PATH, libhmm, LD_LIBRARY_PATH=str(folder / "other"))
    assert os.path.realpath(asked) == str(folder.resolve() / "watchd/libhmm-watch.so"), asked


def test_then_where_the_linker_looks(folder):
    libhmm = tree(folder, "other")
    asked, _ = attach(BY_PATH, libhmm, LD_LIBRARY_PATH=str(folder / "other"))
    assert asked == str(folder / "other/libhmm-watch.so"), asked


def test_nowhere(folder):
    asked, said = attach(BY_PATH, tree(folder))
    if asked or REFUSED in said:
        raise tap.Skip("libhmm-watch.so is installed on this host")
    assert ABSENT in said, said


def test_a_relative_path_steers_nothing(folder):
    tree(folder, "lib", "watchd")
    asked, _ = attach(BY_PATH, "lib/libhmm.so.0", folder=folder)
    assert asked is None, asked


def test_the_name_of_the_program_steers_nothing(folder):
    tree(folder, "lib", "watchd")
    asked, _ = attach("bash", "-c", f'exec -a "{folder}/lib/program" "{tap.HMM}"')
    assert asked is None, asked


def test_a_setuid_program_takes_nothing_from_beside_the_folder(folder):
    if os.geteuid():
        raise tap.Skip("only root can make a program that is setuid to root")
    libhmm = tree(folder, "watchd", "other")
    for path in (folder, *folder.iterdir()):
        os.chmod(path, 0o755)
    program = shutil.copy(BY_PATH, folder / "program")
    os.chmod(program, 0o4755)
    asked, _ = attach(program, libhmm, nobody=True, LD_LIBRARY_PATH=str(folder / "other"))
    assert asked is None, asked
    shutil.copy(PLUG_IN, folder / "lib/libhmm-watch.so")
    asked, said = attach(program, libhmm, nobody=True)
    if asked is None and "start it" in said:
        raise tap.Skip("this filesystem lets no program be setuid")
    assert asked == str(folder / "lib/libhmm-watch.so"), (asked, said)


def test_its_error_is_the_reason(folder):
    libhmm = tree(folder, "lib")
    for number, words in ((errno.EPERM, "take the provider uffd"),
                          (errno.EOPNOTSUPP, "no BTF"), (errno.EIO, "error 5.")):
        _, said = attach(BY_PATH, libhmm, PLUG_IN_ERROR=str(number))
        assert words in said, said


def test_without_capabilities_no_plug_in_is_asked(folder):
    if os.geteuid():
        raise tap.Skip("this user has none")
    libhmm = tree(folder, "lib")
    for path in (folder, *folder.iterdir()):
        os.chmod(path, 0o755)
    asked, said = attach(BY_PATH, libhmm, nobody=True)
    assert asked is None, asked
    assert "start it, or give this process CAP_BPF and CAP_PERFMON" in said, said


if __name__ == "__main__":
    tap.main(globals())
