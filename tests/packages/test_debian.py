#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
"""Debian's packages: built from a copy of the tree, judged by lintian, used from a scratch root."""
import fnmatch
import os
import pathlib
import re
import shutil
import subprocess
import tempfile

import tap

SOURCE = pathlib.Path(os.environ["SOURCE"])
VERSION = os.environ["VERSION"]
ENV = dict(os.environ, LC_ALL="C.UTF-8", DEB_BUILD_OPTIONS="nocheck parallel=2 noautodbgsym")
NAMES = ("libhmm0", "libhmm-dev", "hmm-tools", "hmm-watchd", "hmm-demo", "export-audit")
LICENCES = {
    "LGPL-2.1-or-later OR BSD-2-Clause": "LGPL-2.1+ or BSD-2-clause",
    "GPL-2.0": "GPL-2",
    "GPL-2.0 WITH Linux-syscall-note": "GPL-2 with Linux-syscall-note exception",
}

stage = tempfile.TemporaryDirectory(prefix="hmm-debian-")
tree = pathlib.Path(stage.name, "libhmm")
root = pathlib.Path(stage.name, "root")


def run(*command, env=ENV, cwd=None):
    """What the command writes; it must end with status 0."""
    done = subprocess.run(command, env=env, cwd=cwd, stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT, text=True, errors="replace", check=False)
    assert done.returncode == 0, f"{command}: status {done.returncode}: {done.stdout[-3000:]}"
    return done.stdout


def sources():
    """The files of the tree, without what was built in it."""
    git = subprocess.run(["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
                         cwd=SOURCE, capture_output=True, text=True, check=False)
    if git.returncode == 0:
        names = git.stdout.split("\0")
    else:
        built = re.compile(r"(build|build-[^/]*|\.git|\.cache)/")
        names = [str(path.relative_to(SOURCE)) for path in SOURCE.rglob("*")]
        names = [name for name in names if not built.match(name)]
    return sorted(name for name in names if (SOURCE / name).is_file())


def needs_debian():
    for command, package in (("dpkg-buildpackage", "dpkg-dev"), ("dh", "debhelper")):
        if not shutil.which(command):
            raise tap.Skip(f"{command} is not installed (Debian package {package})")


def needs_packages():
    needs_debian()
    assert list(tree.parent.glob("libhmm_*.changes")), "the packages were not built"


def package(name):
    return next(tree.parent.glob(f"{name}_{VERSION}_*.deb"))


def files(name):
    """What a package installs, with * for the folder of the architecture."""
    listing = run("dpkg-deb", "-c", package(name))
    paths = [line.split()[5][2:] for line in listing.splitlines() if not line.startswith("d")]
    return {re.sub(r"^usr/lib/[^/]+-linux-[^/]+/", "usr/lib/*/", path) for path in paths}


def library_folder():
    return str(next(root.glob("usr/lib/*/libhmm.so.0")).parent)


def test_the_changelog_names_the_version_of_the_project(folder):
    first = (SOURCE / "debian/changelog").read_text().splitlines()[0]
    assert re.match(r"libhmm \(([^)]+)\)", first)[1] == VERSION, first


def stanzas():
    """The Files paragraphs of debian/copyright, as (patterns, licence)."""
    text = (SOURCE / "debian/copyright").read_text()
    found = re.findall(r"^Files: ((?:.|\n )+)\n(?:.+\n)*?License: (.+)$", text, re.M)
    return [(patterns.split(), licence) for patterns, licence in found]


def test_the_copyright_file_agrees_with_the_licence_lines(folder):
    checked = 0
    for name in sources():
        head = (SOURCE / name).read_text(errors="replace").split("\n", 3)[:3]
        line = re.search(r"SPDX-License-Identifier: (.*?)(?: \*/| -->)?$", "\n".join(head), re.M)
        if not line:
            continue
        match = [licence for patterns, licence in stanzas()
                 if any(fnmatch.fnmatchcase(name, pattern) for pattern in patterns)]
        assert match[-1] == LICENCES[line[1]], \
            f"{name} is {line[1]}, debian/copyright says {match[-1]}"
        checked += 1
    assert checked > 100, checked


def test_the_packages_build(folder):
    needs_debian()
    for name in sources():
        (tree / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(SOURCE / name, tree / name)
    run("dpkg-buildpackage", "-us", "-uc", "-b", cwd=tree)
    for name in NAMES:
        run("dpkg-deb", "-x", package(name), root)


def test_lintian_finds_no_error_and_no_warning(folder):
    needs_packages()
    assert shutil.which("lintian"), "lintian is not installed; scripts/setup does it"
    said = run("lintian", "--fail-on", "error,warning", next(tree.parent.glob("libhmm_*.changes")))
    assert not re.search(r"^[EW]: ", said, re.M), said


def test_each_package_holds_its_files(folder):
    needs_packages()
    inside = {name: files(name) for name in NAMES}
    headers = {f"usr/include/hmm/{path.name}" for path in (SOURCE / "include/hmm").glob("*.h")}
    whole = {
        "libhmm0": {"usr/lib/*/libhmm.so.0", f"usr/lib/*/libhmm.so.{VERSION}"},
        "libhmm-dev": headers | {"usr/lib/*/libhmm.so", "usr/lib/*/libhmm.a",
                                 "usr/lib/*/pkgconfig/libhmm.pc"},
        "hmm-tools": {"usr/bin/hmm", "usr/lib/*/libhmm-debug.so", "usr/lib/*/libhmm-dmirror.so",
                      "usr/lib/*/libhmm-preload.so",
                      "usr/lib/*/libhmm-ofi.so", "usr/lib/*/libhmm-ucx.so",
                      "usr/lib/*/libhmm-events.so",
                      "usr/share/man/man1/hmm.1.gz", "usr/share/man/man1/hmm-exec.1.gz",
                      "usr/share/man/man1/hmm-events.1.gz",
                      "usr/share/man/man7/libhmm-dmirror.7.gz",
                      "usr/share/man/man7/libhmm-ofi.7.gz", "usr/share/man/man7/libhmm-ucx.7.gz"},
        "hmm-watchd": {"usr/libexec/hmm-watchd", "usr/lib/*/libhmm-watch.so",
                       "lib/systemd/system/hmm-watchd.service",
                       "lib/systemd/system/hmm-watchd.socket",
                       "usr/share/man/man8/hmm-watchd.8.gz"},
        "hmm-demo": {"usr/bin/stale-demo", "usr/share/man/man1/stale-demo.1.gz"} | {
            f"usr/libexec/libhmm/stale-demo-{peer}" for peer in ("bss.so", "hmm", "ofi", "ucx")},
        "export-audit": {"usr/bin/export-audit", "usr/share/man/man1/export-audit.1.gz"},
    }
    for name, expected in whole.items():
        other = "usr/share/(doc|lintian|man/man[37])/" if name == "libhmm-dev" else \
            "usr/share/(doc|lintian)/"
        found = {path for path in inside[name] if not re.match(other, path)}
        assert found == expected, f"{name}: {sorted(found ^ expected)}"
        assert f"usr/share/doc/{name}/copyright" in inside[name], name
    for page in ("man3/hmm_range_fault.3.gz", "man7/hmm.7.gz"):
        assert f"usr/share/man/{page}" in inside["libhmm-dev"], page
    every = [path for paths in inside.values() for path in paths]
    assert len(every) == len(set(every)), "a file is in two packages"


def test_the_commands_run_from_the_scratch_root(folder):
    needs_packages()
    env = dict(ENV, LD_LIBRARY_PATH=library_folder())
    assert run(root / "usr/bin/hmm", "--version", env=env).split()[1] == VERSION
    assert VERSION in run(root / "usr/bin/export-audit", "--version")


def test_the_preload_object_loads(folder):
    needs_packages()
    env = dict(ENV, LD_PRELOAD=f"{library_folder()}/libhmm-preload.so")
    assert run("cat", "/proc/self/maps", env=env).count("libhmm-preload.so") > 1


def test_hmm_exec_runs_the_demo_from_the_scratch_root(folder):
    needs_packages()
    env = dict(ENV, LD_LIBRARY_PATH=library_folder())
    said = run(root / "usr/bin/hmm", "exec", "--", "stale-demo", "--races", "50", "--monitor",
               "ofi-hmm", "--scene", "raw-munmap", env=env)
    assert "hmm exec: libfabric: 1 process, " in said, said


def test_a_program_is_built_against_the_scratch_root_and_runs(folder):
    needs_packages()
    env = dict(ENV, PKG_CONFIG_LIBDIR=f"{library_folder()}/pkgconfig",
               PKG_CONFIG_SYSROOT_DIR=str(root))
    flags = run("pkg-config", "--cflags", "--libs", "libhmm", env=env).split()
    run("cc", "-std=c17", SOURCE / "tests/install/program.c", "-o", "program", *flags)
    run("./program", env=dict(ENV, LD_LIBRARY_PATH=library_folder()))


if __name__ == "__main__":
    tap.main(globals())
