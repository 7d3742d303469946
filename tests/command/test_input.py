#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
"""Bad input: one clear sentence, the proper status, nothing left behind."""
import json
import os
import re
import resource
import socket
import zlib

import tap

INPUT = 2


def test_no_such_file(folder):
    tap.refused(INPUT, "no such file 'nothing'", "run", "checksum", "nothing")


def test_empty_file(folder):
    (folder / "f").touch()
    tap.refused(INPUT, "'f' is empty", "run", "checksum", "f")


def test_what_the_kernel_makes_up_has_content_and_no_size(folder):
    for name in ("/proc/version", "/proc/sys/kernel/ostype",
                 "/sys/kernel/mm/transparent_hugepage/enabled"):
        if not os.path.exists(name):
            continue
        data = open(name, "rb").read()
        got = json.loads(tap.fine("run", "checksum", "--verify", "--json", name))
        assert got["checksum"] == f"{zlib.crc32(data):08x}", (name, got)
        assert got["bytes"] == len(data) and got["verified"] is True, (name, got)
    tap.fine("run", "sort", "--verify", "--output", "out", "/proc/version")
    assert (folder / "out").read_bytes() == open("/proc/version", "rb").read()
    assert json.loads(tap.fine("run", "search", "--json", "Linux", "/proc/version"))["matches"] >= 1


def test_what_the_kernel_makes_up_cannot_be_sorted_in_place(folder):
    tap.refused(INPUT, "cannot", "run", "sort", "--in-place", "/proc/self/comm")
    tap.refused(INPUT, "'/proc/self/mem' cannot be mapped, and reading it fails",
                "run", "checksum", "/proc/self/mem")


def test_directory(folder):
    tap.refused(INPUT, "is a directory", "run", "checksum", ".")


def test_unreadable_file(folder):
    (folder / "f").write_text("x")
    (folder / "f").chmod(0)
    tap.refused(INPUT, "no permission to read 'f'", "run", "checksum", "f", nobody=True)


def test_pipe_is_refused_without_waiting(folder):
    os.mkfifo("p")
    tap.refused(INPUT, "is a pipe", "run", "checksum", "p", timeout=60)


def test_socket(folder):
    with socket.socket(socket.AF_UNIX) as s:
        s.bind("s")
        tap.refused(INPUT, "'s' is a socket", "run", "checksum", "s")


def test_standard_input(folder):
    tap.refused(INPUT, "standard input", "run", "checksum", "-")


def test_pipe_behind_dev_stdin(folder):
    read, write = os.pipe()
    tap.refused(INPUT, "is a pipe", "run", "checksum", "/dev/stdin", stdin=read, timeout=60)
    os.close(read)
    os.close(write)


def test_device_node(folder):
    tap.refused(INPUT, "is a device", "run", "checksum", "/dev/null")


def test_one_bad_file_of_several_stops_before_any_work(folder):
    (folder / "good").write_text("b\na\n")
    tap.refused(INPUT, "no such file", "run", "sort", "--in-place", "good", "nothing")
    assert (folder / "good").read_text() == "b\na\n"


def test_read_only_file_in_place(folder):
    (folder / "f").write_text("b\na\n")
    (folder / "f").chmod(0o444)
    tap.refused(INPUT, "cannot write to 'f'", "run", "sort", "--in-place", "f", nobody=True)


def test_output_that_cannot_be_written(folder):
    (folder / "f").write_text("b\na\n")
    tap.refused(INPUT, "cannot write", "run", "sort", "--output", "no/such/folder", "f")


def test_output_onto_the_input(folder):
    (folder / "f").write_text("b\na\n")
    tap.refused(INPUT, "input and output", "run", "sort", "--output", "./f", "f")
    assert (folder / "f").read_text() == "b\na\n"


def test_picture_onto_the_input(folder):
    (folder / "f").write_text("b\na\n")
    tap.refused(INPUT, "is input", "run", "checksum", "--svg", "./f", "f")
    assert (folder / "f").read_text() == "b\na\n"


def test_more_files_than_a_shell_lets_be_open(folder):
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard < 1000:
        raise tap.Skip(f"no more than {hard} open files")
    names = [f"f{i}" for i in range(300)]
    for name in names:
        (folder / name).write_text(name)

    def lower():
        resource.setrlimit(resource.RLIMIT_NOFILE, (256, hard))

    got = json.loads(tap.fine("run", "checksum", "--json", *names, before=lower))
    assert len(got["files"]) == 300


def test_no_job(folder):
    tap.refused(INPUT, "which JOB?", "run")


def test_unknown_job(folder):
    tap.refused(INPUT, "no job 'fly'", "run", "fly", "f")


def test_no_file(folder):
    tap.refused(INPUT, "needs a FILE", "run", "sort")


def test_search_without_pattern(folder):
    (folder / "f").write_text("x")
    tap.refused(INPUT, "search needs a PATTERN and a FILE", "run", "search")
    tap.refused(INPUT, "search needs a PATTERN and a FILE; only 'f' is given", "run", "search", "f")


def test_empty_pattern(folder):
    (folder / "f").write_text("x")
    tap.refused(INPUT, "PATTERN", "run", "search", "", "f")


def test_unknown_option(folder):
    tap.refused(INPUT, "no such option '--fast'", "run", "--fast", "checksum", "f")


def test_a_mistyped_name_is_answered_with_the_nearest(folder):
    (folder / "f").write_text("x")
    for meant, *typed in (["--json", "info", "--jsno"],
                          ["--engines", "run", "checksum", "--engine_s", "2", "f"],
                          ["info", "inof"],
                          ["checksum", "run", "cheksum", "f"],
                          ["soft", "map", "--device", "sfot"],
                          ["valid", "bench", "vaild"],
                          ["--seconds", "torture", "--secnods", "1"]):
        tap.refused(INPUT, f"did you mean '{meant}'?", *typed)
    assert "did you mean" not in tap.hmm("run", "--fast", "checksum", "f").stderr


def test_a_long_option_says_what_is_wrong_with_it(folder):
    tap.refused(INPUT, "option '--json' takes no value", "info", "--json=yes")
    tap.refused(INPUT, "option '--help' takes no value", "info", "--help=yes")
    tap.refused(INPUT, "may be one of several", "torture", "--se", "1")
    tap.refused(INPUT, "option '-d' needs a value", "run", "checksum", "-d")


def test_numbers_beyond_every_limit(folder):
    for number in ("99999999999999999999", "18446744073709551616", "-1", "1e3"):
        tap.refused(INPUT, "--engines wants a number", "run", "checksum", "--engines", number, "f")
    for number in ("0", "-1", "nan", "inf", "1e300", "86401"):
        tap.refused(INPUT, "--seconds wants a number", "torture", "--seconds", number)
    for number in ("99999999999999999999", "-1", "+1", " 1", "0", ""):
        tap.refused(INPUT, "is no process id", "map", "--", number)


def test_unknown_letter(folder):
    tap.refused(INPUT, "no option '-Z'", "run", "checksum", "-Z", "f")


def test_option_without_value(folder):
    tap.refused(INPUT, "needs a value", "run", "checksum", "f", "--engines")


def test_engines_that_are_no_number(folder):
    for value in ("0", "-1", "many", "1000000", ""):
        tap.refused(INPUT, "--engines wants a number", "run", "checksum", "--engines", value, "f")


def test_fault_threads_that_are_no_number(folder):
    for value in ("0", "-1", "many", "17", ""):
        tap.refused(INPUT, "--fault-threads wants a number from 1 to 16",
                    "run", "checksum", "--fault-threads", value, "f")


def test_unknown_device(folder):
    (folder / "f").write_text("x")
    tap.refused(INPUT, "no device 'warp'", "run", "checksum", "--device", "warp", "f")


DEVICES = {
    "error:nonsense=1,soft": ("device 'error': bad option 'nonsense=1'", "rate=0..1"),
    "error:rate=2,soft": ("device 'error': bad option 'rate=2'", "rate=0..1"),
    "error:rate=0.5,on=mop,soft": ("device 'error': bad option 'on=mop'", "map|fault|submit|all"),
    "delay:us=1,error:rate=-1,soft": ("device 'error': bad option 'rate=-1'", "rate=0..1"),
    "soft:fault=none": ("device 'soft': bad option 'fault=none'", "faults=replay|none"),
    "null:tlb=1": ("device 'null': bad option 'tlb=1'", "takes none"),
    "delay:us=5": ("device 'delay' needs another below it", "delay,soft"),
    "soft,null": ("device 'soft' takes no other below it", "'null'"),
    "delay:us=5,sotf": ("no device 'sotf'", "did you mean 'soft'?"),
    "rate=3": ("option 'rate=3' belongs to no device", "NAME:"),
    "": ("no device ''", "soft"),
}


def test_a_device_that_is_refused_says_which_option_and_what_there_is(folder):
    (folder / "f").write_text("x")
    for spec, sentences in DEVICES.items():
        for sentence in sentences:
            tap.refused(INPUT, sentence, "run", "checksum", "--device", spec, "f")
            tap.refused(INPUT, sentence, "map", "--device", spec)


def test_every_option_that_info_lists_is_accepted(folder):
    """And each value of it: the list that people are shown is the list that is checked."""
    (folder / "f").write_text("x")
    listed = {d["name"]: d for d in json.loads(tap.fine("info", "--json"))["devices"]}
    assert sum(bool(d["options"]) for d in listed.values()) >= 3, listed
    for name, device in listed.items():
        for option in (device["options"] or "").split():
            key, values = option.split("=")
            for value in re.split(r"\.\.|\|", values):
                spec = f"{name}:{key}={value}" + (",soft" if device["stacks"] else "")
                result = tap.hmm("run", "checksum", "--device", spec, "f")
                assert result.returncode in (0, 4), (spec, result.stderr)


def test_option_of_another_job(folder):
    (folder / "f").write_text("x")
    tap.refused(INPUT, "are for sort", "run", "checksum", "--in-place", "f")
    tap.refused(INPUT, "exclude each other", "run", "sort", "--in-place", "--migrate", "f")
    tap.refused(INPUT, "is for graph", "run", "checksum", "--from", "a", "f")


def test_text_that_is_no_edge_list_names_the_line(folder):
    (folder / "f").write_text("a b\n# fine\nonly-one\n")
    tap.refused(INPUT, "line 3", "run", "graph", "f")
    (folder / "f").write_text("a b c\n")
    tap.refused(INPUT, "line 1", "run", "graph", "f")


def test_graph_from_a_node_that_is_not_there(folder):
    (folder / "f").write_text("a b\n")
    tap.refused(INPUT, "has no node 'z'", "run", "graph", "--from", "z", "f")


def test_unknown_command(folder):
    tap.refused(INPUT, "no command 'fly'", "fly")


def test_operand_where_none_belongs(folder):
    tap.refused(INPUT, "takes no operand", "info", "x")


def test_map_of_no_process(folder):
    tap.refused(INPUT, "no process", "map", "4194305")
    tap.refused(INPUT, "no process id", "map", "1x")


def test_map_without_permission(folder):
    if os.geteuid() and os.stat("/proc/1").st_uid == os.geteuid():
        raise tap.Skip("no process of another user")
    # A /proc that hides other users' processes says of each that there is none.
    hides = any(" /proc " in line and ("hidepid=invisible" in line or "hidepid=2" in line)
                for line in open("/proc/mounts"))
    tap.refused(INPUT, "no process" if hides else "no permission", "map", "1", nobody=True)


def test_a_name_cannot_forge_a_line(folder):
    """Control characters of names are shown as numbers; one complaint is one line."""
    for name in ("a\nb", "a\033[31mb", "a\rb", "\x7f"):
        shown = "".join(c if c.isprintable() else f"\\{ord(c):03o}" for c in name)
        tap.refused(INPUT, f"no such file '{shown}'", "run", "checksum", name)


if __name__ == "__main__":
    tap.main(globals())
