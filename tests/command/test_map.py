#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
"""hmm map: of this program, of another process, as text and as SVG."""
import os
import re
import subprocess
import sys
import xml.dom.minidom

import tap


def rows(text):
    """kind -> (name, device share) of each row."""
    found = {}
    for line in text.splitlines():
        words = line.split()
        if len(words) > 5 and len(words[0]) == 12 and words[0].isalnum():
            found.setdefault(words[4] if words[2] in ("B", "KiB", "MiB", "GiB", "TiB") else words[3], []).append(line)
    return found


def test_own_space_shows_each_kind_and_what_the_device_holds(folder):
    text = tap.fine("map")
    found = rows(text)
    for kind in ("anon", "shmem", "file"):
        assert kind in found, (kind, text)
        assert any("#" in line or "H" in line for line in found[kind]), kind
        assert any("*" in line for line in found[kind]), kind
    assert "the device holds 0 B" not in text


def test_a_program_of_many_parts_is_not_called_writable_code(folder):
    libc = [line for line in tap.fine("map").splitlines() if "libc.so.6" in line]
    assert libc and all("rwx" not in line and "???p" not in line for line in libc), libc
    assert any(" r??p " in line for line in libc), libc


def test_the_devices_own_entries_are_counted_by_size(folder):
    for device in ("soft", "soft:faults=none", "null"):
        last = tap.fine("map", "--device", device).splitlines()[-1]
        found = re.fullmatch(r"The device's page table: (\d+) entries of 4K, (\d+) of 2M", last)
        assert found, last
        assert int(found[1]) + 512 * int(found[2]) >= 1024, last


def test_a_device_that_fails_is_named(folder):
    tap.refused(3, "'error:rate=1,soft' cannot fault", "map", "--device", "error:rate=1,soft")


def test_another_process_by_pid(folder):
    child = subprocess.Popen([sys.executable, "-c",
                              "import mmap,sys; m = mmap.mmap(-1, 7340032); m[:4096] = b'x' * 4096; print(flush=True); sys.stdin.read()"],
                             stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    child.stdout.readline()
    text = tap.fine("map", child.pid)
    child.communicate()
    assert f"process {child.pid}" in text
    assert "7.0 MiB" in text
    assert "[heap]" in text and "[stack]" in text


def test_svg_is_well_formed_and_names_the_mappings(folder):
    tap.fine("map", "--svg", "m.svg")
    document = xml.dom.minidom.parse("m.svg")
    assert document.documentElement.tagName == "svg"
    assert len(document.getElementsByTagName("rect")) > 100
    assert "libc.so.6" in (folder / "m.svg").read_text()


def test_svg_escapes_names(folder):
    name = folder / "a<b>&\"c"
    name.write_bytes(b"x" * 5000)
    tap.fine("run", "checksum", "--svg", "m.svg", name)
    xml.dom.minidom.parse("m.svg")


def test_svg_that_cannot_be_written(folder):
    tap.refused(2, "cannot write", "map", "--svg", "no/such/folder/m.svg")


def test_unprivileged(folder):
    assert "the device holds" in tap.fine("map", nobody=True)


if __name__ == "__main__":
    tap.main(globals())
