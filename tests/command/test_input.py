#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
"""Bad input: one clear sentence, the proper status, nothing left behind."""
import os

import tap

INPUT = 2


def test_no_such_file(folder):
    tap.refused(INPUT, "no such file 'nothing'", "run", "checksum", "nothing")


def test_empty_file(folder):
    (folder / "f").touch()
    tap.refused(INPUT, "'f' is empty", "run", "checksum", "f")


def test_directory(folder):
    tap.refused(INPUT, "is a directory", "run", "checksum", ".")


def test_unreadable_file(folder):
    (folder / "f").write_text("x")
    (folder / "f").chmod(0)
    tap.refused(INPUT, "no permission to read 'f'", "run", "checksum", "f", nobody=True)


def test_pipe_is_refused_without_waiting(folder):
    os.mkfifo("p")
    tap.refused(INPUT, "is a pipe", "run", "checksum", "p", timeout=10)


def test_standard_input(folder):
    tap.refused(INPUT, "standard input", "run", "checksum", "-")


def test_pipe_behind_dev_stdin(folder):
    read, write = os.pipe()
    tap.refused(INPUT, "is a pipe", "run", "checksum", "/dev/stdin", stdin=read, timeout=10)
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


def test_no_job(folder):
    tap.refused(INPUT, "which JOB?", "run")


def test_unknown_job(folder):
    tap.refused(INPUT, "no job 'fly'", "run", "fly", "f")


def test_no_file(folder):
    tap.refused(INPUT, "needs a FILE", "run", "sort")


def test_search_without_pattern(folder):
    tap.refused(INPUT, "needs a PATTERN", "run", "search")


def test_empty_pattern(folder):
    (folder / "f").write_text("x")
    tap.refused(INPUT, "PATTERN", "run", "search", "", "f")


def test_unknown_option(folder):
    tap.refused(INPUT, "no such option '--fast'", "run", "--fast", "checksum", "f")


def test_unknown_letter(folder):
    tap.refused(INPUT, "no option '-Z'", "run", "checksum", "-Z", "f")


def test_option_without_value(folder):
    tap.refused(INPUT, "needs a value", "run", "checksum", "f", "--engines")


def test_engines_that_are_no_number(folder):
    for value in ("0", "-1", "many", "1000000", ""):
        tap.refused(INPUT, "--engines wants a number", "run", "checksum", "--engines", value, "f")


def test_unknown_device(folder):
    (folder / "f").write_text("x")
    tap.refused(INPUT, "no device 'warp'", "run", "checksum", "--device", "warp", "f")


def test_bad_option_of_a_device(folder):
    (folder / "f").write_text("x")
    tap.refused(INPUT, "bad option", "run", "checksum", "--device", "error:nonsense=1,soft", "f")


def test_option_of_another_job(folder):
    (folder / "f").write_text("x")
    tap.refused(INPUT, "are for sort", "run", "checksum", "--in-place", "f")
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
    tap.refused(INPUT, "no permission", "map", "1", nobody=True)


if __name__ == "__main__":
    tap.main(globals())
