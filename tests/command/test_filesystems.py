#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
"""A job on a file of any filesystem ends, and is right.

That holds on those too whose files cannot be told apart or watched.
"""
import contextlib
import json
import os
import shutil
import subprocess
import time
import zlib

import tap

SIZE = 300 * 1024


def need(*tools):
    if os.geteuid():
        raise tap.Skip("not root: nothing can be mounted")
    for tool in tools:
        if not shutil.which(tool):
            raise tap.Skip(f"no {tool} here")


def run(*command):
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    if result.returncode:
        raise tap.Skip(f"{command[0]} fails: {result.stderr.strip()}")


@contextlib.contextmanager
def mounted(*arguments, at):
    at.mkdir()
    run("mount", *map(str, arguments), str(at))
    try:
        yield at
    finally:
        subprocess.run(["umount", "-l", str(at)], check=False)


def fill(path):
    path.write_bytes(b"".join(b"%08d" % i for i in range(SIZE // 8)))
    path.chmod(0o644)
    return path


def check(path):
    """The device's checksum, with and without privilege."""
    for nobody in (False, True):
        report = json.loads(tap.fine("run", "--json", "checksum", path, nobody=nobody, timeout=100))
        want = f"{zlib.crc32(path.read_bytes()):08x}"
        assert report["checksum"] == want, f"{path}: {report['checksum']} is not {want}"


def test_overlayfs_with_layers_on_two_filesystems(folder):
    need()
    with mounted("-t", "tmpfs", "tmpfs", at=folder / "rw") as rw:
        for name in ("upper", "work"):
            (rw / name).mkdir()
        (folder / "lower").mkdir()
        fill(folder / "lower" / "f")
        layers = f"lowerdir={folder}/lower,upperdir={rw}/upper,workdir={rw}/work"
        with mounted("-t", "overlay", "overlay", "-o", layers, at=folder / "merged") as merged:
            check(merged / "f")
            check(fill(merged / "g"))


def test_btrfs_and_a_subvolume_of_it(folder):
    need("mkfs.btrfs", "btrfs")
    run("truncate", "-s", "150M", str(folder / "image"))
    run("mkfs.btrfs", "-q", str(folder / "image"))
    with mounted("-o", "loop", folder / "image", at=folder / "btrfs") as btrfs:
        check(fill(btrfs / "f"))
        run("btrfs", "subvolume", "create", str(btrfs / "sub"))
        check(fill(btrfs / "sub" / "f"))


def test_fuse(folder):
    need("bindfs")
    (folder / "real").mkdir()
    (folder / "fuse").mkdir()
    fill(folder / "real" / "f")
    server = subprocess.Popen(["bindfs", "-f", folder / "real", folder / "fuse"],
                              stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        for _ in range(600):
            if os.path.ismount(folder / "fuse") or server.poll() is not None:
                break
            time.sleep(0.05)
        if not os.path.ismount(folder / "fuse"):
            raise tap.Skip("bindfs cannot mount here")
        check(folder / "fuse" / "f")
    finally:
        subprocess.run(["umount", "-l", folder / "fuse"], check=False)
        server.terminate()
        server.wait()


if __name__ == "__main__":
    tap.main(globals())
