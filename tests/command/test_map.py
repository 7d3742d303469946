#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
"""hmm map: of this program, of another process, as text and as SVG."""
import json
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
            kind = words[4] if words[2] in ("B", "KiB", "MiB", "GiB", "TiB") else words[3]
            found.setdefault(kind, []).append(line)
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
    tap.refused(4, "'error:rate=1,soft' cannot fault", "map", "--device", "error:rate=1,soft")


def test_a_device_is_not_for_another_process(folder):
    tap.refused(2, "--device is for", "map", "--device", "soft", os.getpid())
    for option in ("--migrate", "--pages", "--json"):
        tap.refused(2, f"{option} is for", "map", option, os.getpid())
    tap.refused(2, "--svg draws no pages", "map", "--pages", "--svg", "m.svg")
    assert not (folder / "m.svg").exists()


def pages(*arguments, **more):
    result = json.loads(tap.fine("map", "--json", *arguments, **more))
    runs = [run for m in result["mappings"] for run in m["runs"]]
    for place, amount in result["bytes"].items():
        told = sum(r["end"] - r["start"] for r in runs if r["place"] == place)
        assert told == amount, (place, told, amount)
    for m in result["mappings"]:
        # Runs lie side by side in their mapping, and all of it is told of.
        assert [r["start"] for r in m["runs"]] == [m["start"], *(r["end"] for r in m["runs"])][:-1]
        assert m["runs"][-1]["end"] == m["end"], m
    return result


def test_pages_of_a_device_without_memory_are_used_in_place(folder):
    result = pages()
    assert result["bytes"]["device"] == 0, result["bytes"]
    assert result["bytes"]["system"] > 8 << 20, result["bytes"]
    stays = {m["kind"]: m["stays"] for m in result["mappings"]}
    assert stays == {"anon": None, "shmem": "shared", "file": "shared"}, stays
    assert result["in_place"]["shared"] > 2 << 20, result["in_place"]
    text = tap.fine("map", "--pages")
    assert "Used in place, and why: shared " in text and " device" not in text, text


def test_pages_that_moved_are_shown_where_they_live(folder):
    memory = json.loads(tap.fine("info", "--json"))["device_memory"]
    if not memory["moves"]:
        raise tap.Skip(memory["why"])
    result = pages("--migrate")
    # Of the anonymous memory half was faulted by the device, and has moved.
    assert 4 << 20 < result["bytes"]["device"] <= 8 << 20, result["bytes"]
    for m in result["mappings"]:
        for r in m["runs"]:
            assert (r["place"] == "device") == (r["device_start"] != 0), r
            assert r["place"] != "device" or (m["kind"] == "anon" and m["stays"] is None), m
            assert not m["start"] <= r["device_start"] < m["end"], "its own address"
    # Two pages are not in one place.
    spans = sorted((r["device_start"], r["end"] - r["start"]) for m in result["mappings"]
                   for r in m["runs"] if r["device_start"])
    assert all(a + n <= b for (a, n), (b, _) in zip(spans, spans[1:])), spans
    result = pages("--coherent")
    assert result["bytes"]["device"] == 0, result["bytes"]
    assert 4 << 20 < result["bytes"]["coherent"] <= 8 << 20, result["bytes"]
    for _ in range(10):
        text = tap.fine("map", "--migrate", "--pages")
        # Where the region ends the second half has a place of its own. A page that is busy at that
        # moment stays where it is.
        found = re.search(r"^  [0-9a-f]{12} +[24].0 MiB device, pages of .* at [0-9a-f]{12}$", text,
                          re.M)
        if found:
            break
    assert found, text


def test_another_process_by_pid(folder):
    code = ("import mmap,sys; m = mmap.mmap(-1, 7340032); m[:4096] = b'x' * 4096; "
            "print(flush=True); sys.stdin.read()")
    child = subprocess.Popen([sys.executable, "-c", code], stdin=subprocess.PIPE,
                             stdout=subprocess.PIPE)
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


def svg(*arguments):
    tap.fine(*arguments, "--svg", "m.svg")
    return xml.dom.minidom.parse("m.svg")


def rects(document, colour):
    return [r for r in document.getElementsByTagName("rect") if r.getAttribute("fill") == colour]


def texts(document):
    """What is written beside each other: the words of each line, by its place."""
    lines = {}
    for text in document.getElementsByTagName("text"):
        words = (n if n.nodeType == n.TEXT_NODE else n.firstChild for n in text.childNodes)
        line = "".join(word.data for word in words if word)
        lines.setdefault(text.getAttribute("y"), []).append(line)
    return list(lines.values())


def test_svg_escapes_names(folder):
    for name in ("a<b>&\"c", "a\033b", "a\nb"):
        (folder / name).write_bytes(b"x" * 5000)
        svg("run", "checksum", name)
    (folder / "b").mkdir()
    bad = os.fsencode(folder) + b"/bad\xff"
    with open(bad, "wb") as f:
        f.write(b"x" * 5000)
    svg("run", "checksum", os.fsdecode(bad))


def test_svg_shows_what_is_mirrored_by_kind(folder):
    document = svg("map")
    lines = [line for line in texts(document) if line[0] in ("anon", "shmem", "file")][:3]
    assert [line[0] for line in lines] == ["anon", "shmem", "file"], lines
    for line in lines:
        # size, present, mirrored, what the device holds
        assert len(line) == 5, line
    assert any(line[3] == "4.0 MiB" for line in lines if line[0] == "shmem"), lines
    bands = rects(document, "#4ade80")
    assert len(bands) > 8, "no highlight"
    assert any(float(r.getAttribute("width")) > 1000 for r in bands), "no highlight"


def test_svg_of_a_process_without_a_mirror_highlights_nothing(folder):
    child = subprocess.Popen(["sleep", "100"])
    try:
        document = svg("map", child.pid)
    finally:
        child.kill()
        child.wait()
    assert len(rects(document, "#4ade80")) == 1, "more than the legend"


def test_svg_folds_guards_and_stacks(folder):
    lines = texts(svg("map", "--device", "soft"))
    assert any("inaccessible" in words for line in lines for words in line), lines
    # ThreadSanitizer keeps a shadow of each stack: memory of that size far below the stacks.
    shadow = os.environ.get("HMM_SANITIZE") == "thread"
    rows = [line for line in lines if "8.0 MiB" in line and not (shadow and line[0] < "7")]
    assert not rows, f"a thread's stack has a row: {rows}"


def test_svg_keeps_the_end_of_names(folder):
    deep = "/".join(["a-folder-with-a-long-name"] * 12)
    (folder / deep).mkdir(parents=True)
    (folder / deep / "telling-end").write_bytes(b"x" * 5000)
    document = svg("run", "checksum", f"{deep}/telling-end")
    assert any("\u2026/telling-end" in line for line in texts(document)), texts(document)
    assert f"{deep}/telling-end" in (folder / "m.svg").read_text(), "no title with the whole name"


def test_the_vsyscall_page_has_its_whole_address(folder):
    with open("/proc/self/maps", encoding="ascii") as f:
        if "vsyscall" not in f.read():
            raise tap.Skip("no vsyscall page")
    assert "ffffffffff600000 " in tap.fine("map")
    svg("map")
    text = (folder / "m.svg").read_text()
    assert "ffffffffff600000-ffffffffff601000" in text and ">ffffff600000<" not in text


def test_svg_that_cannot_be_written(folder):
    tap.refused(4, "cannot write '/dev/full': No space left on device", "map", "--svg", "/dev/full")
    (folder / "f").write_bytes(b"x" * 5000)
    assert tap.hmm("run", "checksum", "--svg", "/dev/full", "f").returncode == 4
    tap.refused(2, "cannot write", "map", "--svg", "no/such/folder/m.svg")


def test_unprivileged(folder):
    assert "the device holds" in tap.fine("map", nobody=True)


def test_without_proc_nothing_is_said_of_the_process(folder):
    """Where /proc is not mounted, that is the reason, not that there is no such process."""
    if os.geteuid():
        raise tap.Skip("only root can be without /proc")
    if not tap.TORTURE:
        raise tap.Skip("sanitizers need /proc")
    hide = 'umount -l /proc || exit 77; exec "$0" "$@"'
    # Without /proc the loader does not find what lies beside the program.
    env = dict(os.environ, LD_LIBRARY_PATH=os.path.join(os.path.dirname(tap.HMM), "lib"))

    def run(*command):
        return subprocess.run(["unshare", "--mount", "sh", "-c", hide, tap.HMM, *command],
                              capture_output=True, text=True, timeout=60, env=env)

    for command in (["map", "1"], ["map"]):
        result = run(*command)
        if result.returncode == 77 or "unshare" in result.stderr:
            raise tap.Skip("no mount namespace")
        assert result.returncode == 3 and "/proc" in result.stderr, (command, result)
    assert run("info").returncode == 0


if __name__ == "__main__":
    tap.main(globals())
