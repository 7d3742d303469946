#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
"""Installs into a folder of its own, and builds C and C++ against what was installed there."""
import glob
import json
import os
import pathlib
import shutil
import subprocess
import tempfile

import tap

BUILD = os.environ["BUILD"]
PROGRAM = os.environ["PROGRAM"]
PREFIX = os.environ["PREFIX"]
EXAMPLES = os.environ["EXAMPLES"]

stage = tempfile.TemporaryDirectory(prefix="hmm-install-")
root = pathlib.Path(stage.name)
subprocess.run(["meson", "install", "-C", BUILD, "--no-rebuild", "--quiet",
                "--destdir", stage.name], check=True, stdout=subprocess.DEVNULL)
packages = glob.glob(f"{root}{PREFIX}/lib*/**/pkgconfig", recursive=True)[0]
library = str(pathlib.Path(packages).parent)


def output(*command, env=None):
    return subprocess.run(command, check=True, capture_output=True, text=True, env=env).stdout


def pkg_config(*arguments):
    environment = dict(os.environ, PKG_CONFIG_PATH=packages, PKG_CONFIG_SYSROOT_DIR=stage.name)
    return output("pkg-config", *arguments, "libhmm", env=environment).split()


def build_and_run(compiler, *flags, shared=True, program=PROGRAM):
    warnings = ["-Wall", "-Wextra", "-Werror", "-pedantic", "-Wno-missing-field-initializers"]
    command = [*compiler, *warnings, *pkg_config("--cflags"), program, "-o", "program", *flags]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"{command}: {done.stderr}"
    assert ("libhmm.so.0" in output("objdump", "-p", "program")) == shared
    environment = dict(os.environ, LD_LIBRARY_PATH=library)
    ran = subprocess.run(["./program"], capture_output=True, text=True, timeout=300,
                         env=environment, check=False)
    assert ran.returncode == 0, (ran.returncode, ran.stdout, ran.stderr)


def test_c_program_against_the_shared_library(folder):
    build_and_run(["gcc", "-std=c17"], *pkg_config("--libs"))


def test_cpp_program_against_the_shared_library(folder):
    build_and_run(["g++", "-std=c++17", "-x", "c++"], *pkg_config("--libs"))


def test_clang_program_against_the_shared_library(folder):
    build_and_run(["clang", "-std=c17"], *pkg_config("--libs"))


def test_c_program_against_the_static_library(folder):
    others = [flag for flag in pkg_config("--libs", "--static") if flag != "-lhmm"]
    build_and_run(["gcc", "-std=c17"], f"{library}/libhmm.a", "-lpthread", *others, shared=False)


def test_the_readmes_driver_as_a_newcomer_builds_it(folder):
    """With the compiler's own language and no macro of ours."""
    for example in ("walk.c", "stale.c"):
        build_and_run(["cc", "-Wno-unused-parameter"], *pkg_config("--libs"),
                      program=f"{EXAMPLES}/{example}")


def test_a_device_of_ones_own_in_its_own_project(folder):
    project = folder / "device"
    shutil.copytree(f"{EXAMPLES}/device", project)
    environment = dict(os.environ, PKG_CONFIG_PATH=packages, PKG_CONFIG_SYSROOT_DIR=stage.name,
                       LD_LIBRARY_PATH=library)
    ran = None
    commands = ["meson setup --werror build", "ninja -C build", "build/count"]
    for command in map(str.split, commands):
        ran = subprocess.run(command, cwd=project, capture_output=True, text=True, timeout=300,
                             env=environment, check=False)
        assert ran.returncode == 0, f"{command}: {ran.stdout}{ran.stderr}"
    assert ran.stdout.startswith("sum 499999500000, "), ran.stdout
    looks, faults = (int(part.split()[0]) for part in ran.stdout.split(", ")[1:])
    assert looks >= 100 and faults > 0, ran.stdout
    assert ran.stderr.startswith("adds up: may write to "), ran.stderr


def test_every_header_compiles_alone(folder):
    headers = sorted(path.name for path in pathlib.Path(f"{root}{PREFIX}/include/hmm").glob("*.h"))
    assert "hmm.h" in headers and len(headers) > 8
    for header in headers:
        for compiler in (["gcc", "-std=c17", "-xc"], ["g++", "-std=c++17", "-xc++"]):
            command = [*compiler, "-Wall", "-Wextra", "-Werror", *pkg_config("--cflags"),
                       "-fsyntax-only", "-"]
            done = subprocess.run(command, input=f"#include <hmm/{header}>\n", text=True,
                                  capture_output=True, check=False)
            assert done.returncode == 0, f"{header}: {done.stderr}"


def test_hmm_h_includes_every_header(folder):
    include = pathlib.Path(f"{root}{PREFIX}/include/hmm")
    text = (include / "hmm.h").read_text()
    for header in include.glob("*.h"):
        assert header.name == "hmm.h" or f"<hmm/{header.name}>" in text, header.name


def test_soname(folder):
    assert "SONAME               libhmm.so.0" in output("objdump", "-p", f"{library}/libhmm.so")


def test_the_command_runs_from_where_it_was_installed(folder):
    environment = dict(os.environ, LD_LIBRARY_PATH=library)
    out = output(f"{root}{PREFIX}/bin/hmm", "--version", env=environment)
    assert out.split()[1] == pkg_config("--modversion")[0]


def test_hmm_exec_finds_the_monitors_where_they_were_installed(folder):
    tap.needs_preload()
    if not glob.glob(f"{library}/libhmm-ofi.so"):
        raise tap.Skip("the monitors are not built")
    environment = dict(os.environ, LD_LIBRARY_PATH=library)
    command = [f"{root}{PREFIX}/bin/hmm", "exec", "--json", "--output", "report", "--"]
    shown = output(*command, "sh", "-c", "echo $LD_PRELOAD", env=environment).strip().split(":")
    assert f"{library}/libhmm-ofi.so" in shown, shown
    assert all(path.startswith(f"{library}/libhmm-") for path in shown), shown
    got = json.loads((folder / "report").read_text())
    assert got["monitors"]["ofi"]["loaded"] == 1, got


def test_the_demo_runs_from_where_it_was_installed(folder):
    tap.needs_preload()
    if not glob.glob(f"{root}{PREFIX}/lib*/**/stale-demo-ofi", recursive=True):
        raise tap.Skip("the peer of libfabric is not built")
    environment = dict(os.environ, LD_LIBRARY_PATH=library)
    said = output(f"{root}{PREFIX}/bin/hmm", "exec", "--output", "report", "--", "stale-demo",
                  "--races", "50", "--monitor", "ofi-hmm", "--scene", "raw-munmap",
                  env=environment)
    assert "missing" not in said and "0 of 1" in said, said
    assert "hmm exec: libfabric: 1 process, " in (folder / "report").read_text()


def test_manual_pages_are_installed(folder):
    pages = {pathlib.Path(page).name for page in glob.glob(f"{root}{PREFIX}/share/man/man*/*")}
    for page in ("hmm.7", "hmm-device.7", "hmm-pinning.7", "hmm-simulator.7", "hmm-coherence.7",
                 "hmm-devmem.7", "hmm-troubleshooting.7", "hmm.1", "hmm-exec.1", "hmm-events.1",
                 "hmm_range_fault.3",
                 "hmm_pfn_flags.3"):
        assert page in pages or page + ".gz" in pages, page


if __name__ == "__main__":
    tap.main(globals())
