#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
"""hmm events: lines, sums, losses, names of mappings, programs that cannot be watched.

The log is one in plain memory, of a stand-in for libhmm-events.so (fake_log.c) that the program
loads; FAKE_LOG says what is in it.
"""
import errno
import json
import os
import pathlib
import pty
import shutil
import signal
import subprocess
import tempfile

import tap

HERE = pathlib.Path(tap.HMM).parent
STAGE = tempfile.TemporaryDirectory(prefix="hmm-events-")
ROOT = pathlib.Path(STAGE.name)
ROOT.chmod(0o755)
FOLDER = ROOT / "tools" / "hmm" / "events"

UNMAP, CLEAR, PROTECT = 0, 1, 2
END, FOREIGN, KERNEL = 1, 2, 4
ONE = "0:10000-11000:0:0 ended"


def build_stage():
    """The tool beside the stand-in, as it is beside the object in a build's folder."""
    FOLDER.mkdir(parents=True)
    shutil.copy(tap.HMM, ROOT / "hmm")
    (ROOT / "lib").symlink_to(HERE / "lib")
    shutil.copy(HERE / "tests" / "command" / "libfake-log.so", FOLDER / "libhmm-events.so")


def environment(log, **more):
    keep = {k: v for k, v in os.environ.items()
            if not k.startswith(("LIBHMM_", "LD_", "COLUMNS", "LC_", "LANG", "HMM_WATCHD"))}
    return dict(keep, FAKE_LOG=log, **more)


def start(log, *arguments, env=None, **more):
    more = dict({"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}, **more)
    return subprocess.Popen([ROOT / "hmm", "events", *arguments], text=True,
                            env=environment(log, **(env or {})), **more)


def run(log, *arguments, **more):
    process = start(log, *arguments, **more)
    process.out, process.err = process.communicate(timeout=60)
    return process


def lines(log, *arguments, **more):
    """The lines of the events, without the head."""
    process = run(log, "--no-summary", *arguments, "true", **more)
    assert process.returncode == 0, process.err
    return process.err.splitlines()[2:]


def objects(log, *arguments, **more):
    process = run(log, "--json", *arguments, "true", **more)
    assert process.returncode == 0, process.err
    return [json.loads(line) for line in process.err.splitlines()]


def summary(log, *arguments, **more):
    got = objects(log, "--summary", *arguments, **more)
    assert len(got) == 1 and got[0]["type"] == "summary", got
    return got[0]


def test_an_event_is_a_line(folder):
    process = run("2:7f0000200000-7f0000400000:1:0 ended", "--no-summary", "echo", "hello")
    assert (process.returncode, process.out) == (0, "hello\n"), process.err
    head, watched, line = process.err.splitlines()
    assert head.split() == ["SECONDS", "KIND", "RANGE", "SIZE", "WHO", "FUNCTION", "MAPPING"]
    assert "is watched at 2 functions, through hmm-watchd" in watched, watched
    assert line.split()[1:5] == ["protect", "7f0000200000-7f0000400000", "2.0", "MiB"], line
    assert line.split()[5].startswith("echo/"), line
    assert line.split()[6:] == ["change_protection", "-"], line


def test_the_end_of_a_change_is_no_event(folder):
    assert len(lines("0:10000-11000:0:0 0:10000-11000:0:1 ended")) == 1


def test_who_made_it(folder):
    log = f"1:10000-11000:0:0 1:10000-11000:0:{FOREIGN} 1:10000-11000:0:{KERNEL} ended"
    got = [o for o in objects(log) if o["type"] == "event"]
    assert [o["cause"] for o in got] == ["thread", "process", "kernel"], got
    assert got[0]["who"] == f"true/{got[0]['pid']}", got
    assert got[2]["who"].startswith("[") and got[2]["who"].endswith("]"), got


def test_a_function_without_a_name_is_its_number(folder):
    assert lines("0:10000-11000:77:0 ended")[0].split()[-2] == "119"


def test_everything_is_no_size(folder):
    line = lines("0:0-ffffffffffffffff:0:0 ended")[0]
    assert line.split()[1:3] == ["unmap", "everything"] and line.endswith("(all of them)"), line
    assert summary("0:0-ffffffffffffffff:0:0 ended")["bytes"] == 0


def names(log):
    return [o["mapping"] for o in objects(log) if o["type"] == "event"]


def test_a_mapping_has_its_name_when_it_is_gone(folder):
    # The tool looked because of the first record; the second is read when all has gone.
    got = names("map:20000000-20004000:one go 2:20000000-20001000:1:0 go "
                "unmap:20000000-20004000 ended")
    assert got == ["/memfd:one (deleted)"] * 2, got


def test_a_mapping_does_not_get_the_name_of_the_next_one(folder):
    got = names("go map:20000000-20004000:one 0:10000-11000:0:0 go 2:20000000-20001000:1:0 go "
                "unmap:20000000-20004000 map:20000000-20004000:two 2:20000000-20001000:1:0 go "
                "unmap:20000000-20004000 map:20000000-20004000:three ended")
    for name, may in zip(got[1:], (("one",), ("one",), ("two", None), ("two", None))):
        assert name in [may and f"/memfd:{m} (deleted)" if m else None for m in may], got


def test_who_never_was_looked_at_has_no_name(folder):
    # Mapped and unmapped before the tool reads: whatever it finds there now is another.
    log = ("map:20000000-20004000:one unmap:20000000-20004000 map:20000000-20004000:two "
           "unmap:20000000-20004000 map:20000000-20004000:three ended")
    for _ in range(10):
        got = names(log)
        assert got[0] in ("/memfd:one (deleted)", None), got
        assert got[1] in ("/memfd:two (deleted)", None), got


def test_the_summary_counts_by_each(folder):
    got = summary("0:10000-11000:0:0 times:2 2:20000-40000:1:0 ended")
    assert (got["events"], got["bytes"], got["spaces"]) == (4, 0x23000, 1), got
    assert got["kinds"] == [
        {"name": "unmap", "events": 3, "bytes": 0x3000, "largest": 0x1000},
        {"name": "protect", "events": 1, "bytes": 0x20000, "largest": 0x20000}], got
    assert [f["name"] for f in got["functions"]] == ["unmap_vmas", "change_protection"], got
    assert sum(w["events"] for w in got["who"]) == sum(m["events"] for m in got["mappings"]) == 4
    assert got["complete"] is True, got


def test_the_summary_is_four_tables(folder):
    text = run("0:10000-11000:0:0 times:2 2:20000-40000:1:0 ended", "-c", "true").err
    assert text.startswith("4 events in 1 address space, 140 KiB invalidated\n"), text
    for title in ("KIND", "WHO", "FUNCTION", "MAPPING"):
        assert title in text, text
    row = [line for line in text.splitlines() if line.endswith(" unmap")][0]
    assert row.split() == ["75.00%", "3", "12.0", "KiB", "4.0", "KiB", "unmap"], row


def test_the_live_lines_come_before_the_summary(folder):
    text = run(ONE, "true").err
    assert text.index("unmap_vmas") < text.index("1 event in 1 address space"), text
    assert "address space" not in run(ONE, "--no-summary", "true").err
    assert run(ONE, "-c", "-n", "true").returncode == 2


def test_a_line_is_there_while_the_program_runs(folder):
    with start("0:10000-11000:0:0", "--no-summary", "sleep", "100") as process:
        for _ in range(3):
            line = process.stderr.readline()
        assert "10000-11000" in line, line
        process.send_signal(signal.SIGTERM)
        process.communicate(timeout=60)
    assert process.returncode == 128 + signal.SIGTERM


def test_rows_that_are_too_many(folder):
    log = " ".join(f"0:10000-11000:{site:x}:0" for site in range(2, 22)) + " ended"
    text = run(log, "-c", "--rows", "3", "true").err
    assert "(17 more)" in text, text
    assert "more)" not in run(log, "-c", "--rows", "0", "true").err
    assert len(summary(log, "--rows", "3")["functions"]) == 20


def test_losses_are_told(folder):
    log = "0:10000-11000:0:0 lost:3 ended"
    # The tool may see the loss before it reads the record, which was there first.
    assert any("3 records of process" in line for line in lines(log))
    text = run(log, "-c", "true").err
    assert "3 more records did not fit in the log: lost (--log-size)." in text, text
    got = summary(log)
    assert (got["lost"], got["complete"]) == (3, False), got


def test_programs_that_may_have_been_skipped_are_told(folder):
    assert "may have skipped a tracing program, 2 times;" in run(f"on:2 {ONE}", "-c", "true").err
    got = summary(f"on:2 {ONE}")
    assert (got["maybe_skipped"], got["complete"]) == (2, False), got


def test_programs_that_were_taken_away_are_told(folder):
    assert "were taken away before" in run("0:10000-11000:0:0 detached", "-c", "true").err
    assert summary("detached")["complete"] is False


def test_functions_that_cannot_be_watched_are_told(folder):
    assert "1 function could not be watched" in run(f"unwatched {ONE}", "-c", "true").err
    got = summary(f"unwatched {ONE}")
    assert (got["functions_not_watched"], got["complete"]) == (1, False), got


def test_filters(folder):
    log = ("map:20000000-20004000:here go 0:10000-11000:0:0 2:20000000-20002000:1:0 "
           "1:30000000-30200000:0:0 go ended")
    assert [x.split()[1] for x in lines(log, "--kind", "clear,unmap")] == ["unmap", "clear"]
    assert [x.split()[1] for x in lines(log, "--min-size", "8K")] == ["protect", "clear"]
    assert [x.split()[1] for x in lines(log, "--min-size=2M")] == ["clear"]
    assert [x.split()[1] for x in lines(log, "--mapping", "memfd:he")] == ["protect"]
    got = summary(log, "--kind", "protect")
    assert (got["events"], got["left_out"], got["complete"]) == (1, 2, True), got
    assert "2 events are left out" in run(log, "-c", "-k", "protect", "true").err


def test_bad_options(folder):
    tap.refused(2, "did you mean 'unmap'?", "events", "--kind", "unmup", "true")
    tap.refused(2, "--min-size wants a size", "events", "--min-size", "8X", "true")
    tap.refused(2, "a power of two", "events", "--log-size", "5", "true")
    tap.refused(2, "which PROGRAM?", "events")
    tap.refused(2, "not both", "events", "--pid", "1", "true")
    tap.refused(127, "no such program", "events", "no-such-program")
    tap.refused(126, "cannot be executed", "events", str(folder))


def test_a_process_that_is_not_there(folder):
    tap.refused(2, "no process 4194303", "events", "--pid", "4194303")


def test_the_status_is_the_programs(folder):
    for status in (0, 1, 3, 255):
        assert run(ONE, "sh", "-c", f"exit {status}").returncode == status
    assert run(ONE, "sh", "-c", "kill -9 $$").returncode == 128 + 9


def test_an_exec_is_another_space(folder):
    assert summary(ONE)["spaces"] == 1
    process = run(ONE, "-c", "-j", "sh", "-c", "exec true")
    assert json.loads(process.err)["spaces"] == 2, process.err


def test_what_the_program_starts_is_left_alone_without_follow(folder):
    got = [json.loads(run(ONE, "-c", "-j", *more, "sh", "-c", "/bin/true; /bin/true; exit 0").err)
           for more in ((), ("--follow",))]
    assert [g["spaces"] for g in got] == [1, 3], got
    assert [g["events"] for g in got] == [1, 3], got


def test_more_events_than_a_log_holds(folder):
    got = summary("0:10000-11000:0:0 times:20000 ended")
    assert (got["events"], got["lost"]) == (20001, 0), got


def test_a_program_that_gets_no_log_is_not_run(folder):
    process = run(f"refuse:{errno.ECONNREFUSED}", "touch", "here")
    assert process.returncode == 3 and not (folder / "here").exists(), process.err
    want = "hmm events: 'touch' is not run: no log can be had: hmm-watchd does not run"
    assert process.err.startswith(want) and process.err.count("\n") == 1, process.err


def test_an_object_that_makes_no_sense_is_refused(folder):
    process = run("garbage", "touch", "here")
    assert process.returncode == 3 and not (folder / "here").exists(), process.err


def test_a_process_that_says_nothing_ends_unwatched(folder):
    tap.needs_preload()
    shutil.copy(HERE / "tests" / "command" / "libstand-in-ofi.so", FOLDER / "spare")
    os.rename(FOLDER / "libhmm-events.so", FOLDER / "kept")
    os.rename(FOLDER / "spare", FOLDER / "libhmm-events.so")
    try:
        process = run(ONE, "--no-summary", "true")
    finally:
        os.rename(FOLDER / "kept", FOLDER / "libhmm-events.so")
    assert process.returncode == 3, process.err
    assert "'true' ended before it could be watched" in process.err, process.err


def test_the_real_object_without_hmm_watchd(folder):
    tap.needs_preload()
    process = subprocess.run([tap.HMM, "events", "touch", "here"], text=True, capture_output=True,
                             timeout=60, env=environment("", HMM_WATCHD="/no/such/socket"),
                             check=False)
    if process.returncode == 0:
        raise tap.Skip("this user may load tracing programs")
    assert process.returncode == 3 and not (folder / "here").exists(), process.stderr
    assert "'touch' is not run: no log can be had: " in process.stderr, process.stderr


def test_the_real_object_is_silent_elsewhere(folder):
    tap.needs_preload()
    env = environment("", LD_PRELOAD=str(HERE / "tools/hmm/events/libhmm-events.so"))
    for value in (None, "", "nonsense", "name 0 0", "hmm-events-1-2 1 0"):
        if value is not None:
            env["LIBHMM_EVENTS"] = value
        got = subprocess.run(["echo", "hello"], env=env, capture_output=True, timeout=60,
                             check=True)
        assert (got.stdout, got.stderr) == (b"hello\n", b""), got


def test_a_report_that_cannot_be_written(folder):
    process = run(ONE, "--output", "/dev/full", "true")
    assert process.returncode == 4 and "cannot write to /dev/full" in process.err, process.err
    assert run(ONE, "--output", "/dev/full", "sh", "-c", "exit 5").returncode == 5
    assert run(ONE, "--output", "/no/such/folder/f", "true").returncode == 2


def test_a_reader_that_has_gone_does_not_end_the_program(folder):
    out, into = os.pipe()
    os.close(out)
    process = run("0:10000-11000:0:0 times:3000 ended", "touch", "here", stderr=into)
    os.close(into)
    assert process.returncode == 4 and (folder / "here").exists(), process.returncode


def test_the_report_goes_to_a_file(folder):
    process = run(ONE, "-o", "f", "sh", "-c", "echo out; echo err >&2")
    assert (process.out, process.err) == ("out\n", "err\n")
    assert "unmap_vmas" in (folder / "f").read_text()


def at_terminal(log, *arguments, **env):
    here, there = pty.openpty()
    with start(log, *arguments, stderr=there, env=dict(env, TERM="xterm")) as process:
        os.close(there)
        text = b""
        while True:
            try:
                more = os.read(here, 65536)
            except OSError:
                break
            if not more:
                break
            text += more
        process.communicate(timeout=60)
    os.close(here)
    return text.decode("ascii")


def test_colours_are_for_terminals(folder):
    assert "\033[31munmap" in at_terminal(ONE, "true")
    assert "\033" not in at_terminal(ONE, "true", NO_COLOR="1")
    assert "\033" not in run(ONE, "true", env={"TERM": "xterm"}).err


def test_lines_are_as_wide_as_they_may_be(folder):
    log = "map:20000000-20004000:a-name-that-is-rather-long-for-a-narrow-terminal go " \
          "2:20000000-20004000:1:0 go ended"
    for width in (75, 90, 120, 150):
        text = at_terminal(log, "true", COLUMNS=str(width), NO_COLOR="1")
        for line in text.splitlines():
            assert len(line) <= width or "process" in line or "address space" in line, line
        assert "terminal (deleted)" in text or width < 90, text


def test_an_interrupt_of_the_terminal_ends_the_program_and_sums_up(folder):
    with start("0:10000-11000:0:0", "sleep", "100", start_new_session=True) as process:
        for _ in range(3):
            process.stderr.readline()
        os.killpg(process.pid, signal.SIGINT)
        _, text = process.communicate(timeout=60)
    assert process.returncode == 128 + signal.SIGINT, process.returncode
    assert "1 event in 1 address space" in text, text


if __name__ == "__main__":
    build_stage()
    tap.main(globals())
