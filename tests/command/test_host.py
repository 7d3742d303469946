#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
"""Hosts that cannot, or give less.

The command says one clear sentence and ends with status 3, or works in the reduced mode.
"""
import errno
import json
import subprocess

import deny
import tap

HOST = 3
COMMANDS = (["run", "checksum", "f"], ["run", "sort", "f"], ["map"],
            ["bench", "--rounds", "1", "valid"], ["torture", "--seconds", "1"])


def each_command_refuses(folder, sentence, before):
    (folder / "f").write_text("x\n")
    for command in COMMANDS:
        for nobody in (False, True):
            tap.refused(HOST, sentence, *command, nobody=nobody, before=before)


def test_userfaultfd_denied(folder):
    each_command_refuses(folder, "no permission to use userfaultfd", deny.userfaultfd(errno.EPERM))


def test_the_sentence_says_where_to_look(folder):
    for word in ("vm.unprivileged_userfaultfd", "/dev/userfaultfd", "seccomp"):
        tap.refused(HOST, word, "map", before=deny.userfaultfd(errno.EPERM))


def test_no_userfaultfd_at_all(folder):
    each_command_refuses(folder, "this kernel has no userfaultfd, or a seccomp profile denies it",
                         deny.userfaultfd(errno.ENOSYS))


def test_kernel_too_old(folder):
    each_command_refuses(folder, "this kernel is too old: its userfaultfd does not report unmaps",
                         deny.old_kernel())


def test_the_device_node_is_a_way_in(folder):
    """Where only the system call is denied, a user that may open /dev/userfaultfd goes on."""
    try:
        open("/dev/userfaultfd", "r+b", buffering=0).close()
    except OSError as error:
        raise tap.Skip(f"/dev/userfaultfd: {error.strerror}") from error
    tap.fine("map", before=deny.calls({deny.USERFAULTFD: errno.EPERM}))


def info(before):
    return json.loads(tap.fine("info", "--json", before=before))


def test_info_reports_a_host_that_cannot_and_is_fine(folder):
    for error in (errno.EPERM, errno.ENOSYS):
        got = info(deny.userfaultfd(error))
        assert got["attached"] is False and got["coherence"] is None and got["features"] is None
        assert got["attach_error"] and got["privilege"]["seccomp"] == "filter"
    text = tap.fine("info", before=deny.old_kernel())
    assert "attach                 no" in text, text
    assert "Coherence" not in text and "Devices" in text, text


def test_another_process_can_be_drawn_all_the_same(folder):
    child = subprocess.Popen(["sleep", "100"])
    try:
        text = tap.fine("map", child.pid, before=deny.userfaultfd(errno.EPERM))
        assert f"process {child.pid}:" in text, text
    finally:
        child.kill()
        child.wait()


def works(folder, before, **features):
    got = info(before)["features"]
    for name, value in features.items():
        assert got[name] is value, (name, got)
    (folder / "f").write_bytes(b"".join(b"%d line\n" % (i * 7919 % 100003) for i in range(60000)))
    (folder / "edges").write_text("".join(f"{i} {i // 2}\n{i // 2} {i}\n" for i in range(1, 500)))
    for job, *arguments in (["checksum", "f"], ["search", "99 line", "f"], ["sort", "f"],
                            ["sort", "--in-place", "f"], ["graph", "edges"]):
        result = json.loads(tap.fine("run", job, "--verify", "--json", *arguments, before=before))
        assert result["verified"] is True and result["stale_accesses"] == 0, result


def test_without_a_scan_the_mode_is_reduced_and_every_job_right(folder):
    works(folder, deny.without(deny.PAGEMAP_SCAN), pagemap_scan=False, reduced=True)
    text = tap.fine("info", before=deny.without(deny.PAGEMAP_SCAN))
    assert "reduced: files are never cached" in text, text


def test_without_look_ups_of_mappings_every_job_is_right(folder):
    works(folder, deny.without(deny.PROCMAP_QUERY), procmap_query=False, reduced=False)


def test_without_both_every_job_is_right(folder):
    works(folder, deny.without(deny.PAGEMAP_SCAN, deny.PROCMAP_QUERY),
          procmap_query=False, reduced=True)


if __name__ == "__main__":
    tap.main(globals())
