#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
"""The devices that come with the library compile on the public headers alone, as anybody's does."""
import os
import pathlib
import shutil
import subprocess

import tap

SOURCE = pathlib.Path(os.environ["SOURCE"])
COMPILER = ["cc", "-std=gnu17", "-D_GNU_SOURCE", "-Wall", "-Wextra", "-Werror",
            "-Wno-unused-parameter", "-Wno-missing-field-initializers"]
DEVICES = ("null", "error", "delay", "soft", "sealed")


def compiles_alone(folder, device):
    """A copy of the device's folder, elsewhere, with nothing else on the include path."""
    shutil.copytree(SOURCE / "devices" / device, folder / device)
    files = sorted((folder / device).glob("*.c"))
    assert files, device
    for file in files:
        done = subprocess.run([*COMPILER, "-I", SOURCE / "include", "-fsyntax-only", file],
                              capture_output=True, text=True, check=False)
        assert done.returncode == 0, f"{file.name}: {done.stderr}"


def test_null(folder):
    compiles_alone(folder, "null")


def test_error(folder):
    compiles_alone(folder, "error")


def test_delay(folder):
    compiles_alone(folder, "delay")


def test_soft(folder):
    compiles_alone(folder, "soft")


def test_sealed(folder):
    compiles_alone(folder, "sealed")


def test_the_build_gives_them_no_more(folder):
    """As in the compiler's command lines, so that a private header is no accident away."""
    ask = ["ninja", "-C", os.environ["BUILD"], "-t", "commands", "lib/libhmm-devices.a"]
    commands = subprocess.run(ask, capture_output=True, text=True, check=True).stdout
    seen = set()
    for line in commands.splitlines():
        device = next((d for d in DEVICES if f"/devices/{d}/" in line and " -c " in line), None)
        if not device:
            continue
        seen.add(device)
        paths = {pathlib.Path(word[2:]).name for word in line.split() if word.startswith("-I")}
        # and the folders of what the build makes of them
        assert paths <= {"include", "libhmm-devices.a.p", "hmm-sealed.p"}, line
    assert seen == set(DEVICES), seen


if __name__ == "__main__":
    tap.main(globals())
