#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
"""The library alone: built with every feature disabled where pkg-config finds nothing."""
import os
import pathlib
import re
import subprocess
import tempfile

import tap

SOURCE = pathlib.Path(os.environ["SOURCE"])
PROGRAM = SOURCE / "tests/install/program.c"

# Nothing but the compiler's own folders has anything: Meson asks pkg-config, then cmake.
BARE = dict(os.environ, PKG_CONFIG_LIBDIR="/nonexistent", PKG_CONFIG_PATH="", CMAKE="/nonexistent",
            LC_ALL="C.UTF-8")

stage = tempfile.TemporaryDirectory(prefix="hmm-alone-")
root = pathlib.Path(stage.name, "root")


def run(*command, env=BARE, status=0):
    """What the command writes; it must end with this status."""
    done = subprocess.run(command, env=env, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                          text=True, check=False)
    assert done.returncode == status, f"{command}: status {done.returncode}: {done.stdout[-2000:]}"
    return done.stdout


def setup(folder, *options, status=0):
    return run("meson", "setup", folder, SOURCE, "--prefix=/usr", "--libdir=lib", *options,
               status=status)


def test_the_library_builds_with_every_feature_disabled(folder):
    build = f"{stage.name}/build"
    said = setup(build, "-Dauto_features=disabled")
    features = re.findall(r"^    (\w+) *: no \(disabled\)$", said, re.M)
    assert {"tools", "tests", "consumers", "export_audit"} <= set(features), said
    looked_up = re.findall(r"^Run-time dependency (\S+) found", said, re.M)
    assert looked_up == ["threads"], looked_up
    run("meson", "compile", "-C", build, "-j", "2")
    run("meson", "install", "-C", build, "--no-rebuild", "--quiet", "--destdir", root)


def test_what_is_installed_is_the_library_and_its_headers(folder):
    files = {str(path.relative_to(root / "usr")) for path in root.rglob("*") if not path.is_dir()}
    headers = {f"include/hmm/{path.name}" for path in (SOURCE / "include/hmm").glob("*.h")}
    library = re.compile(r"lib/libhmm\.(a|so|so\.\d+|so\.\d+\.\d+\.\d+)")
    libraries = {path for path in files if library.fullmatch(path)}
    assert len(libraries) == 4, files
    assert files == headers | libraries | {"lib/pkgconfig/libhmm.pc"}, files


def test_the_library_needs_libc_only(folder):
    out = run("objdump", "-p", root / "usr/lib/libhmm.so")
    needed = set(re.findall(r"NEEDED +(\S+)", out))
    assert needed and all(re.match(r"libc\.so|ld-linux", name) for name in needed), needed


def test_a_program_is_linked_by_pkg_config_and_runs(folder):
    env = dict(BARE, PKG_CONFIG_PATH=str(root / "usr/lib/pkgconfig"),
               PKG_CONFIG_SYSROOT_DIR=str(root))
    flags = run("pkg-config", "--cflags", "--libs", "libhmm", env=env).split()
    run("cc", "-std=c17", "-Wall", "-Werror", PROGRAM, "-o", "program", *flags)
    run("./program", env=dict(BARE, LD_LIBRARY_PATH=str(root / "usr/lib")))


def test_what_lacks_a_library_is_left_out_and_the_summary_says_so(folder):
    said = setup("auto")
    for feature, lacks in (("tests", "cmocka"), ("consumers", "liburing"), ("tools", "json-c"),
                           ("export_audit", "libgit2")):
        line = re.search(rf"^    {feature} *: (.*)$", said, re.M)
        assert line and re.fullmatch(rf"no \(missing: .*{lacks}.*\)", line[1]), said[-1500:]
    assert re.search(r"^    preload *: yes$", said, re.M), said[-1500:]


def test_a_feature_that_is_enabled_and_lacks_a_library_is_an_error(folder):
    said = setup("enabled", "-Dauto_features=disabled", "-Dconsumers=enabled", status=1)
    assert re.search('ERROR: .*"liburing" not found', said), said[-1500:]


if __name__ == "__main__":
    tap.main(globals())
