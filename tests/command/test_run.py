#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
"""hmm run: each job's result against Python's own, and what --json says."""
import json
import random
import zlib

import tap

PIECE = 1 << 20
FIELDS = {
    "bytes": int, "device_faults": int, "fault_batches": int, "cpu_page_faults": int,
    "pages_4k": int, "pages_2m": int, "invalidations": int, "retries": int, "stale_accesses": int,
    "seconds": float, "bytes_per_s": float, "cpu_bytes_per_s": float, "verified": bool,
}


def run(job, *arguments, **more):
    result = json.loads(tap.fine("run", job, "--verify", "--json", *arguments, **more))
    for field, kind in FIELDS.items():
        assert isinstance(result[field], kind), f"{field} is {result[field]!r}"
    assert result["verified"] is True
    assert result["stale_accesses"] == 0
    assert result["seconds"] > 0
    return result


def text(seed, lines, longest=60):
    rng = random.Random(seed)
    return b"".join(bytes(rng.choice(b"abcdefgh ") for _ in range(rng.randrange(longest))) + b"\n"
                    for _ in range(lines))


def test_checksum_is_the_crc_of_gzip(folder):
    data = random.Random(1).randbytes(3 * PIECE + 12345)
    (folder / "f").write_bytes(data)
    result = run("checksum", "f")
    assert result["checksum"] == f"{zlib.crc32(data):08x}"
    assert result["bytes"] == len(data)


def test_checksum_of_sizes_around_a_page_and_a_piece(folder):
    for size in (1, 4095, 4096, 4097, 65536, PIECE - 1, PIECE, PIECE + 1):
        data = random.Random(size).randbytes(size)
        (folder / "f").write_bytes(data)
        assert run("checksum", "f")["checksum"] == f"{zlib.crc32(data):08x}", size


def test_checksum_of_several_files_tells_each(folder):
    for name in "abc":
        (folder / name).write_bytes(name.encode() * 5000)
    result = run("checksum", "a", "b", "c")
    assert result["bytes"] == 15000
    assert [f["checksum"] for f in result["files"]] == [
        f"{zlib.crc32(name.encode() * 5000):08x}" for name in "abc"]


def test_checksum_faults_the_device_and_fills_entries(folder):
    (folder / "f").write_bytes(b"x" * 4 * PIECE)
    result = run("checksum", "f")
    assert 1 <= result["device_faults"] <= 1024
    assert result["pages_4k"] + 512 * result["pages_2m"] >= 1024


def test_fault_threads_serve_what_waits_as_one_batch(folder):
    (folder / "f").write_bytes(b"x" * 64 * PIECE)
    # While the buffer is fetched once, for 5 ms, the other engines raise their faults.
    result = run("checksum", "--engines", 16, "--fault-threads", 1,
                 "--device", "delay:us=5000,on=fetch,soft", "f")
    assert 1 <= result["fault_batches"] < result["device_faults"], result


def test_verify_counts_the_page_faults_of_the_cpu(folder):
    (folder / "f").write_bytes(b"x" * 4 * PIECE)
    # 16 pages a fault where the kernel faults around, or the page cache has larger pages.
    assert run("checksum", "f")["cpu_page_faults"] >= 2
    assert run("sort", "f")["cpu_page_faults"] >= 1
    alone = json.loads(tap.fine("run", "checksum", "--json", "f"))
    assert alone["cpu_page_faults"] == 0


def test_search_counts_overlapping_matches(folder):
    (folder / "f").write_bytes(b"aaaa")
    assert run("search", "aa", "f")["matches"] == 3


def test_search_finds_what_crosses_the_pieces_of_the_device(folder):
    data = bytearray(2 * PIECE + 100)
    for at in (65534, 131068, PIECE - 2, 2 * PIECE - 3, len(data) - 4):
        data[at:at + 4] = b"word"
    (folder / "f").write_bytes(data)
    expected = sum(data[i:i + 4] == b"word" for i in range(len(data)))
    assert run("search", "word", "f")["matches"] == expected == 5


def test_search_for_more_than_the_file_holds(folder):
    (folder / "f").write_bytes(b"ab")
    assert run("search", "abc", "f")["matches"] == 0


def test_search_sums_matches_over_files(folder):
    (folder / "a").write_bytes(b"x.x")
    (folder / "b").write_bytes(b"x")
    assert run("search", "x", "a", "b")["matches"] == 3


def test_search_takes_the_pattern_behind_two_dashes(folder):
    (folder / "f").write_bytes(b"a --json b")
    assert run("search", "--", "--json", "f")["matches"] == 1


def test_sort_of_a_private_mapping_leaves_the_file(folder):
    data = text(2, 3000)
    (folder / "f").write_bytes(data)
    assert run("sort", "f")["lines"] == 3000
    assert (folder / "f").read_bytes() == data


def test_sort_writes_what_python_sorts(folder):
    data = text(3, 60000)
    assert len(data) > PIECE
    (folder / "f").write_bytes(data)
    run("sort", "--output", "out", "f")
    assert (folder / "out").read_bytes() == b"".join(sorted(data.splitlines(keepends=True)))


def test_sort_in_place_writes_the_file(folder):
    data = text(4, 60000)
    (folder / "f").write_bytes(data)
    run("sort", "--in-place", "f")
    assert (folder / "f").read_bytes() == b"".join(sorted(data.splitlines(keepends=True)))


def test_sort_installs_each_page_for_reading_and_once_more_for_writing(folder):
    data = text(5, 150000)
    (folder / "f").write_bytes(data)
    result = run("sort", "--in-place", "--engines", 4, "f")
    pages = -(-len(data) // 4096)
    # Where the page cache has huge pages, the first write to each cuts its entry up.
    assert pages <= result["pages_4k"] + 512 * result["pages_2m"], (pages, result)
    assert result["pages_4k"] + result["pages_2m"] <= 2 * pages + 512, (pages, result)


def test_sort_keeps_a_last_line_without_end(folder):
    for data in (b"b\na\nc", b"b\na\na", b"x", b"\n\nz\n", b"b\n\na"):
        (folder / "f").write_bytes(data)
        run("sort", "--output", "out", "f")
        want = b"\n".join(sorted(data.split(b"\n"))) if not data.endswith(b"\n") else b"".join(
            sorted(data.splitlines(keepends=True)))
        assert (folder / "out").read_bytes() == want, data


def test_sort_of_one_line_longer_than_a_piece(folder):
    data = b"z" * (2 * PIECE + 5) + b"\nb\na\n" + b"y" * (PIECE + 7) + b"\n"
    (folder / "f").write_bytes(data)
    run("sort", "--output", "out", "f")
    assert (folder / "out").read_bytes() == b"".join(sorted(data.splitlines(keepends=True)))


def test_a_device_without_faults_runs_every_job(folder):
    data = text(6, 60000)
    (folder / "f").write_bytes(data)
    (folder / "edges").write_text("".join(f"{i} {i // 2}\n{i // 2} {i}\n" for i in range(1, 3000)))
    pages = -(-len(data) // 4096)
    for device in ("soft:faults=none", "delay:us=1,soft:faults=none"):
        for job in (["checksum", "f"], ["search", "ab", "f"], ["sort", "f"],
                    ["sort", "--in-place", "f"], ["checksum", "--confine", "f"],
                    ["graph", "edges"]):
            result = run(job[0], "--device", device, *job[1:])
            assert result["device_faults"] == 0, (job, result)
            assert result["restores"] >= 1, (job, result)
            if job[-1] == "f" and "--confine" not in job:
                # What was written back is to be asked for again.
                held = 0 if "--in-place" in job else pages
                assert result["held_4k"] + 512 * result["held_2m"] == held, (job, result)


def test_a_file_that_is_done_is_taken_from_the_device(folder):
    for name in "abc":
        (folder / name).write_bytes(random.Random(name).randbytes(2 * PIECE))
    result = run("checksum", "a", "b", "c")
    assert result["pages_4k"] + 512 * result["pages_2m"] >= 3 * 512
    assert result["held_4k"] + 512 * result["held_2m"] == 512
    assert result["invalidations"] >= 2


def test_graph_counts_levels_along_the_edges(folder):
    (folder / "f").write_text("# a comment\na b\nb c\nc d\na d\n\nx y\n")
    result = run("graph", "f")
    assert (result["nodes"], result["edges"], result["reached"], result["depth"]) == (6, 5, 4, 2)


def test_graph_begins_where_it_is_told(folder):
    (folder / "f").write_text("a b\nb c\nc a\nx y\n")
    result = run("graph", "--from", "x", "f")
    assert (result["reached"], result["depth"]) == (2, 1)


def test_graph_of_many_nodes_agrees_with_the_cpu(folder):
    rng = random.Random(5)
    edges = (f"{rng.randrange(20000)} {rng.randrange(20000)}\n" for _ in range(60000))
    (folder / "f").write_text("".join(edges))
    result = run("graph", "f")
    assert result["edges"] == 60000
    assert result["device_faults"] > 0
    assert result["reached"] > 10000


def test_engines_do_not_change_the_result(folder):
    data = random.Random(6).randbytes(4 * PIECE)
    (folder / "f").write_bytes(data)
    for engines in (1, 2, 5):
        result = run("checksum", "--engines", engines, "f")
        assert result["engines"] == engines
        assert result["checksum"] == f"{zlib.crc32(data):08x}"


def test_slow_device_gets_the_same(folder):
    data = text(8, 5000)
    (folder / "f").write_bytes(data)
    result = run("checksum", "--device", "delay:us=100,soft", "f")
    assert result["checksum"] == f"{zlib.crc32(data):08x}"


def test_failing_device_fails_the_job_or_gets_the_same(folder):
    data = random.Random(9).randbytes(4 * PIECE)
    (folder / "f").write_bytes(data)
    ends = set()
    for rate in (0.01, 0.3, 0.9):
        for seed in range(4):
            device = f"error:rate={rate},seed={seed},soft"
            result = tap.hmm("run", "checksum", "--verify", "--json", "--device", device, "f")
            ends.add(result.returncode)
            if result.returncode == 0:
                assert json.loads(result.stdout)["checksum"] == f"{zlib.crc32(data):08x}"
            else:
                assert result.returncode == 4, (device, result.returncode, result.stderr)
                assert "failed on 'f'" in result.stderr, (device, result.stderr)
                assert result.stdout == ""
    assert 4 in ends, "no failure was injected"


def test_device_that_runs_nothing(folder):
    (folder / "f").write_bytes(b"x")
    tap.refused(3, "device 'null' cannot run this job", "run", "checksum", "--device", "null", "f")


def test_confined_device_reaches_the_file_and_nothing_else(folder):
    data = text(7, 5000)
    (folder / "f").write_bytes(data)
    assert run("checksum", "--confine", "f")["checksum"] == f"{zlib.crc32(data):08x}"
    run("sort", "--confine", "--output", "out", "f")
    assert (folder / "out").read_bytes() == b"".join(sorted(data.splitlines(keepends=True)))
    tap.refused(2, "--confine", "run", "graph", "--confine", "f")


def test_without_verify_nothing_is_claimed(folder):
    (folder / "f").write_bytes(b"abc")
    result = json.loads(tap.fine("run", "checksum", "--json", "f"))
    assert result["verified"] is False
    assert result["cpu_bytes_per_s"] is None


def test_closing_table_for_people(folder):
    (folder / "f").write_bytes(b"abc" * 5000)
    out = tap.fine("run", "checksum", "--verify", "f")
    for word in ("CRC-32", "device faults", "stale accesses", "verified", "14.6 KiB"):
        assert word in out, word
    assert "\033" not in out, "colours without a terminal"


def test_svg_of_the_address_space_shows_the_file(folder):
    (folder / "input-file").write_bytes(b"abc" * 50000)
    tap.fine("run", "checksum", "--svg", "out.svg", "input-file")
    assert "input-file" in (folder / "out.svg").read_text()


def needs_moves(**more):
    memory = json.loads(tap.fine("info", "--json", **more))["device_memory"]
    if not memory["moves"]:
        raise tap.Skip(memory["why"])


def migrate(*arguments, **more):
    """Every page that moved is home in the end, and nothing stayed for want of a reason."""
    result = run(*arguments, "--migrate", **more)
    memory = result["device_memory"]
    assert memory["moved"] > 0, memory
    assert memory["home"] == memory["moved"], memory
    assert memory["in_place"]["shared"] == 0, memory
    return result


def test_migrate_gives_the_same_and_brings_all_home(folder):
    needs_moves()
    data = random.Random(8).randbytes(5 * PIECE + 123)
    (folder / "f").write_bytes(data)
    results = []
    # A page that is busy at that moment stays where it is.
    while len(results) < 10 and (not results
                                 or results[-1]["device_memory"]["moved"] < len(data) // 4096):
        results.append(migrate("checksum", "f"))
        assert results[-1]["checksum"] == f"{zlib.crc32(data):08x}"
    assert results[-1]["device_memory"]["moved"] >= len(data) // 4096, results
    assert migrate("search", "a", "f")["matches"] == data.count(b"a")
    result = migrate("checksum", "f", "--device", "soft:faults=none", "--confine")
    assert result["checksum"] == f"{zlib.crc32(data):08x}"


def test_migrate_sorts_in_device_memory(folder):
    needs_moves()
    data = text(9, 20000)
    (folder / "f").write_bytes(data)
    result = migrate("sort", "f", "--output", "out", "--fault-threads", "2")
    assert (folder / "out").read_bytes() == b"".join(sorted(data.splitlines(keepends=True)))
    # The CPU has read what the device wrote.
    assert result["device_memory"]["touches"] > 0


def test_the_cpu_uses_coherent_memory_in_place(folder):
    needs_moves()
    data = text(9, 20000)
    (folder / "f").write_bytes(data)
    result = migrate("sort", "f", "--output", "out", "--coherent", "--map")
    assert (folder / "out").read_bytes() == b"".join(sorted(data.splitlines(keepends=True)))
    assert result["device_memory"]["touches"] == 0, result["device_memory"]
    assert result["map"]["bytes"]["coherent"] > 0, result["map"]["bytes"]
    assert result["map"]["bytes"]["device"] == 0, result["map"]["bytes"]


def test_migrate_a_graph_of_mallocs(folder):
    needs_moves()
    (folder / "f").write_text("".join(f"{i} {i + 1}\n" for i in range(3000)))
    assert migrate("graph", "f")["reached"] == 3001


def test_migrate_several_files_and_says_so(folder):
    needs_moves()
    for name in "ab":
        (folder / name).write_bytes(name.encode() * 100000)
    for _ in range(10):
        out = tap.fine("run", "checksum", "--verify", "--migrate", "a", "b")
        # A page that is busy at that moment stays where it is.
        if "50 pages moved there" in out and "used in place    none" in out:
            break
    assert "device memory    50 pages moved there" in out, out
    assert "used in place    none" in out, out
    assert run("checksum", "a")["device_memory"] is None


def test_map_shows_where_the_jobs_memory_lives(folder):
    data = b"abc" * 100000
    (folder / "f").write_bytes(data)
    pages = (len(data) + 4095) // 4096 * 4096
    result = run("checksum", "f", "--map")["map"]
    assert result["bytes"]["device"] == 0, result["bytes"]
    assert [m["stays"] for m in result["mappings"]] == ["shared"], result["mappings"]
    assert result["in_place"]["shared"] == pages, result["in_place"]
    assert run("checksum", "f")["map"] is None
    needs_moves()
    # A page that is busy at that moment stays where it is.
    migrate_all = ("checksum", "f", "--map", "--migrate")
    assert any(run(*migrate_all)["map"]["bytes"]["device"] == pages for _ in range(10))
    assert any("Where the pages are: device" in tap.fine("run", *migrate_all) for _ in range(10))


def test_migrate_unprivileged(folder):
    needs_moves(nobody=True)
    (folder / "f").write_bytes(b"abc" * 100000)
    result = migrate("checksum", "f", nobody=True)
    assert result["checksum"] == f"{zlib.crc32(b'abc' * 100000):08x}"
    (folder / "g").write_text("a b\nb c\n")
    assert migrate("graph", "g", nobody=True)["reached"] == 3


def test_unprivileged(folder):
    data = b"abc" * 100000
    (folder / "f").write_bytes(data)
    assert run("checksum", "f", nobody=True)["checksum"] == f"{zlib.crc32(data):08x}"
    (folder / "g").write_text("a b\nb c\n")
    assert run("graph", "g", nobody=True)["reached"] == 3


if __name__ == "__main__":
    tap.main(globals())
