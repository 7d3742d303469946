#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
"""hmm exec: programs, signals, statuses, the environment, the report.

The monitors are stand-ins (stand_in.c), which count what the test says.
"""
import errno
import json
import os
import pathlib
import shutil
import signal
import subprocess
import sys
import tempfile
import time

import deny
import tap

HERE = pathlib.Path(tap.HMM).parent
STAGE = tempfile.TemporaryDirectory(prefix="hmm-exec-")
ROOT = pathlib.Path(STAGE.name)
ROOT.chmod(0o755)
OFI, UCX = ROOT / "monitor" / "libhmm-ofi.so", ROOT / "monitor" / "libhmm-ucx.so"


def build_stage():
    """The tool beside stand-ins, as it is beside monitors in a build's folder."""
    (ROOT / "monitor").mkdir()
    shutil.copy(tap.HMM, ROOT / "hmm")
    (ROOT / "lib").symlink_to(HERE / "lib")
    for monitor in (OFI, UCX):
        shutil.copy(HERE / "tests" / "command" / monitor.name.replace("libhmm", "libstand-in"),
                    monitor)


def environment(**more):
    keep = {k: v for k, v in os.environ.items() if not k.startswith(("LIBHMM_MON", "UCX_", "LD_"))}
    return dict(keep, **more)


def start(*arguments, env=None, nobody=False, **more):
    command = [ROOT / "hmm", "exec", *arguments]
    if nobody and os.geteuid() == 0:
        command = ["setpriv", f"--reuid={tap.NOBODY}", f"--regid={tap.NOBODY}", "--clear-groups",
                   *command]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
                            env=environment(**(env or {})), **more)


def run(*arguments, **more):
    process = start(*arguments, **more)
    process.stdout_text, process.stderr_text = process.communicate(timeout=60)
    return process


def report(*arguments, **more):
    """What --json says, written to a file, so that the program's own words are not in it."""
    with tempfile.NamedTemporaryFile() as f:
        os.chmod(f.name, 0o666)
        process = run("--json", "--output", f.name, *arguments, **more)
        f.seek(0)
        return process, json.loads(f.read())


def lines(process):
    return process.stderr_text.splitlines()


def shown(name, *arguments, **more):
    """A variable of the program's environment."""
    process = run(*arguments, "sh", "-c", f'printf %s "${{{name}-unset}}"', **more)
    assert process.returncode == 0, process.stderr_text
    return process.stdout_text


def test_both_monitors_are_preloaded(folder):
    assert shown("LD_PRELOAD") == f"{OFI}:{UCX}"
    assert shown("LIBHMM_MONITOR") == "auto"
    _, got = report("true")
    assert [got["monitors"][name]["loaded"] for name in ("ofi", "ucx")] == [1, 1], got


def test_one_monitor_is_preloaded_where_one_is_named(folder):
    assert shown("LD_PRELOAD", "--monitor", "ofi") == f"{OFI}"
    assert shown("LD_PRELOAD", "--monitor=ucx") == f"{UCX}"
    assert shown("LIBHMM_MONITOR", "-m", "ucx") == "ucx"
    _, got = report("-m", "ucx", "true")
    assert [got["monitors"][name]["loaded"] for name in ("ofi", "ucx")] == [0, 1], got


def test_the_callers_environment_names_the_monitor_where_no_option_does(folder):
    assert shown("LD_PRELOAD", env={"LIBHMM_MONITOR": "ucx"}) == f"{UCX}"
    assert shown("LD_PRELOAD", "-m", "ofi", env={"LIBHMM_MONITOR": "ucx"}) == f"{OFI}"
    assert shown("LIBHMM_MONITOR", env={"LIBHMM_MONITOR": "nonsense"}) == "auto"


def test_nothing_is_preloaded_with_none(folder):
    assert shown("LD_PRELOAD", "--monitor", "none") == "unset"
    assert shown("LIBHMM_MONITOR", "--monitor", "none") == "unset"
    process = run("--monitor", "none", "true")
    assert lines(process) == ["hmm exec: nothing was served: the monitor is 'none'"]


def test_what_was_preloaded_stays(folder):
    other = HERE / "preload" / "libhmm-preload.so"
    assert shown("LD_PRELOAD", env={"LD_PRELOAD": str(other)}) == f"{OFI}:{UCX}:{other}"
    assert shown("LD_PRELOAD", env={"LD_PRELOAD": f"{other} {UCX}"}) == f"{OFI}:{other} {UCX}"


def test_hooks_of_ucx_are_left_to_its_monitor(folder):
    hooks = "UCX_MEM_MMAP_HOOK_MODE"
    assert shown(hooks) == "unset"
    assert shown(hooks, "--monitor", "ucx") == "unset"
    assert shown(hooks, env={hooks: "bistro"}) == "bistro"


def test_counts_are_told(folder):
    env = {"STAND_IN_OFI": "served=1 hits=12 misses=3 invalidations=2 refused=1 stale_prevented=4"}
    process = run("true", env=env)
    assert process.returncode == 0
    assert lines(process) == ["hmm exec: libfabric: 1 process, 12 hits, 3 misses, "
                              "2 invalidated, 1 refused, 4 stale prevented"]
    assert process.stdout_text == ""


def test_counts_are_one_object(folder):
    env = {"STAND_IN_UCX": "served=1 hits=12 misses=3 invalidations=2 refused=1 stale_prevented=4"}
    process, got = report("sh", "-c", "echo out; echo err >&2; exit 3", env=env)
    assert (process.stdout_text, process.stderr_text) == ("out\n", "err\n")
    assert process.returncode == 3 and got["status"] == 3 and got["program"] == "sh", got
    ucx = got["monitors"]["ucx"]
    want = {"library": "UCX", "preloaded": True, "loaded": 1, "served": 1, "hits": 12, "misses": 3,
            "invalidations": 2, "refused": 1, "stale_prevented": 4, "why": None}
    assert ucx == want, ucx
    assert got["cache_used"] is True and got["nothing_served"] is None, got


def test_counts_are_summed_over_processes(folder):
    env = {"STAND_IN_OFI": "served=1 hits=2"}
    _, got = report("sh", "-c", "/bin/true; /bin/true; exec /bin/true", env=env)
    ofi = got["monitors"]["ofi"]
    assert (ofi["loaded"], ofi["served"], ofi["hits"]) == (4, 4, 8), ofi


def test_the_object_goes_to_standard_error_where_no_file_is_named(folder):
    process = run("--json", "echo", "hello")
    assert process.stdout_text == "hello\n"
    assert json.loads(process.stderr_text)["monitors"]["ofi"]["loaded"] == 1


def test_no_cache_was_used(folder):
    sentence = "hmm exec: no process that could be counted used a registration cache"
    assert lines(run("true")) == [sentence]
    _, got = report("true")
    assert got["cache_used"] is False, got
    process = run("true", env={"STAND_IN_OFI": "served=1"})
    assert lines(process)[-1] == sentence
    assert lines(process)[0].startswith("hmm exec: libfabric: 1 process, 0 hits")


def test_why_a_monitor_did_not_serve(folder):
    process = run("true", env={"STAND_IN_OFI": "why=3"})
    assert lines(process)[0] == "hmm exec: libfabric: not served: it has another memory monitor"
    busy = 4 | (1 << 32) - errno.EBUSY << 32
    process = run("true", env={"STAND_IN_UCX": f"served=1 misses=1 why={busy}"})
    assert lines(process)[1] == ("hmm exec: UCX: some processes not served: it refused the "
                                 "monitor: Device or resource busy")
    _, got = report("true", env={"STAND_IN_UCX": "why=99"})
    assert got["monitors"]["ucx"]["why"] == "for a reason that this hmm does not know"


def test_a_monitor_that_the_environment_turned_off(folder):
    process = run("true", env={"STAND_IN_OFI": "why=1"})
    assert lines(process)[0] == ("hmm exec: libfabric: not served: LIBHMM_MONITOR or "
                                 "FI_MR_CACHE_MONITOR says so")


def test_the_status_is_the_programs(folder):
    for status in (0, 1, 2, 3, 4, 125, 126, 127, 255):
        assert run("sh", "-c", f"exit {status}").returncode == status


def test_a_signal_that_ends_the_program_is_128_and_its_number(folder):
    for number in (signal.SIGKILL, signal.SIGTERM, signal.SIGSEGV, signal.SIGABRT):
        process, got = report("sh", "-c", f"ulimit -c 0; kill -{int(number)} $$")
        assert process.returncode == 128 + number == got["status"], (number, process.returncode)


def test_a_program_that_is_not_there(folder):
    for name in ("no-such-program", "./no-such-program", "/no/such/program", ""):
        process = run("--", name)
        assert process.returncode == 127, (name, process.returncode)
        assert lines(process) == [f"hmm exec: '{name}': no such program"]


def test_a_program_that_cannot_be_executed(folder):
    (folder / "text").write_text("echo no\n")
    (folder / "lost").write_text("#!/no/such/interpreter\n")
    (folder / "lost").chmod(0o755)
    (folder / "broken").write_bytes(b"\177ELF" + bytes(100))
    (folder / "broken").chmod(0o755)
    for name, sentence in (("./text", "Permission denied"), (".", "Permission denied"),
                           ("./lost", "its interpreter is not there")):
        process = run(name)
        assert process.returncode == 126, (name, process.returncode, process.stderr_text)
        assert len(lines(process)) == 1 and sentence in lines(process)[0], process.stderr_text
    # A shell tries it as a script.
    assert run("./broken").returncode in (2, 126, 127)


def test_the_path_is_searched_as_a_shell_does(folder):
    for place, text in (("a", "first"), ("b", "second")):
        (folder / place).mkdir()
        (folder / place / "tool-of-this-test").write_text(f"#!/bin/sh\necho {text}\n")
    (folder / "b" / "tool-of-this-test").chmod(0o755)
    path = f"a:b:{os.environ['PATH']}"
    assert run("tool-of-this-test", env={"PATH": path}).stdout_text == "second\n"
    assert run("tool-of-this-test", env={"PATH": "a"}).returncode == 126
    os.chdir(folder / "b")
    assert run("tool-of-this-test", env={"PATH": ":/usr/bin:/bin"}).stdout_text == "second\n"


def test_a_folder_of_the_path_that_may_not_be_searched(folder):
    (folder / "closed").mkdir(mode=0)
    path = f"{folder}/closed:{os.environ['PATH']}"
    assert run("true", env={"PATH": path}, nobody=True).returncode == 0
    assert run("no-such-program", env={"PATH": path}, nobody=True).returncode == 127


def test_a_program_beside_the_tool_is_found(folder):
    beside = ROOT / "program-beside"
    beside.write_text('#!/bin/sh\necho "beside $1"\n')
    beside.chmod(0o755)
    assert run("program-beside", "x").stdout_text == "beside x\n"
    (ROOT / "tools" / "stale-demo").mkdir(parents=True)
    beside.rename(ROOT / "tools" / "stale-demo" / "program-within")
    assert run("program-within", "y").stdout_text == "beside y\n"


def test_arguments_are_the_programs(folder):
    print_all = ["printf", "<%s>"]
    assert run(*print_all, "--json", "-m", "ucx", "").stdout_text == "<--json><-m><ucx><>"
    assert run("--", *print_all, "--", "a b").stdout_text == "<--><a b>"
    assert run("-m", "ofi", "sh", "-c", 'echo "$0"').stdout_text == "sh\n"


def test_bad_options(folder):
    for arguments, sentence in ((["--monitor", "oif", "true"], "did you mean 'ofi'?"),
                                (["--monitor"], "needs a value"), ([], "which PROGRAM?"),
                                (["--jsno", "true"], "did you mean '--json'?"),
                                (["-o", "/no/such/folder/f", "true"], "cannot write")):
        process = run(*arguments)
        assert process.returncode == 2, (arguments, process.returncode)
        assert len(lines(process)) == 1 and sentence in lines(process)[0], process.stderr_text


def test_a_script_and_a_script_without_a_first_line(folder):
    for name, text in (("with", "#!/bin/sh\necho $1\n"), ("without", "echo $1\n")):
        (folder / name).write_text(text)
        (folder / name).chmod(0o755)
        process, got = report(f"./{name}", "word")
        assert process.stdout_text == "word\n" and process.returncode == 0, process.stderr_text
        assert got["monitors"]["ofi"]["loaded"] == 1, got


def compile_program(name, text, *flags):
    pathlib.Path(name + ".c").write_text(text)
    done = subprocess.run(["cc", "-o", name, name + ".c", *flags], capture_output=True, text=True)
    if done.returncode:
        raise tap.Skip(f"cc {' '.join(flags)}: {done.stderr.splitlines()[0]}")


HELLO = "#include <stdio.h>\nint main(void) { puts(\"hello\"); return 0; }\n"


def test_a_static_program_runs_and_that_nothing_is_served_is_told(folder):
    for name, flag in (("static", "-static"), ("static-pie", "-static-pie")):
        compile_program(name, HELLO, flag)
        process = run(f"./{name}")
        assert process.stdout_text == "hello\n" and process.returncode == 0
        assert lines(process) == ["hmm exec: nothing was served: it is linked statically, and "
                                  "nothing can be preloaded"]


def test_a_program_below_a_static_one_is_served(folder):
    compile_program("static", "#include <unistd.h>\nint main(void) { return "
                    "execl(\"/bin/true\", \"true\", (char *)0); }\n", "-static")
    _, got = report("./static")
    assert got["monitors"]["ofi"]["loaded"] == 1 and got["nothing_served"] is None, got


def test_a_set_uid_program_is_told(folder):
    if os.geteuid():
        raise tap.Skip("only root makes a program set-uid to another")
    compile_program("prog", HELLO)
    os.chown("prog", tap.NOBODY, tap.NOBODY)
    os.chmod("prog", 0o4755)
    if os.statvfs(".").f_flag & os.ST_NOSUID:
        raise tap.Skip("this filesystem is mounted nosuid")
    process, got = report("./prog")
    assert process.stdout_text == "hello\n" and process.returncode == 0, process.stderr_text
    assert "it is set-uid" in got["nothing_served"], got
    os.chmod("prog", 0o755)
    _, got = report("./prog")
    assert got["nothing_served"] is None, got


def test_a_program_of_another_machine_is_told(folder):
    compile_program("small", HELLO, "-m32")
    _, got = report("./small")
    assert "32 bits" in got["nothing_served"], got


CLOSER = """
import os, sys
os.closerange(0, 4096)
os.execv("/bin/true", ["true"])
"""


def test_a_program_that_closes_every_descriptor_is_counted(folder):
    env = {"STAND_IN_OFI": "served=1 hits=1"}
    _, got = report(sys.executable, "-c", CLOSER, env=env)
    assert got["monitors"]["ofi"]["loaded"] == 2 and got["monitors"]["ofi"]["hits"] == 2, got


SPOILER = """
import errno, mmap, os
path = os.environ["LIBHMM_MONITOR_STATS"]
with open(path, "r+b") as f:
    with mmap.mmap(f.fileno(), 0) as counters:
        counters[:] = b"\\xff" * len(counters)
try:
    os.truncate(path, 0)
except OSError as error:
    assert error.errno == errno.EPERM
else:
    raise AssertionError("the counters are cut off")
"""


def test_a_program_that_spoils_the_counters_harms_nobody_else(folder):
    process, got = report(sys.executable, "-c", SPOILER)
    assert process.returncode == 0, process.stderr_text
    assert got["monitors"]["ofi"]["why"].startswith("for a reason that this hmm does not know"), got


def test_no_descriptor_is_left_to_the_program(folder):
    process = run("sh", "-c", "ls /proc/self/fd")
    # ls has the folder itself open.
    assert process.stdout_text.split() == ["0", "1", "2", "3"], process.stdout_text


SLEEPER = """
import signal, sys, time
def note(number, frame):
    print("got", number, flush=True)
    sys.exit(7)
for number in map(int, sys.argv[1:]):
    signal.signal(number, note)
print("ready", flush=True)
# A signal that comes just before a sleep does not end it.
for _ in range(1200):
    time.sleep(0.05)
"""


def test_signals_are_passed_on(folder):
    for number in (signal.SIGTERM, signal.SIGHUP, signal.SIGUSR1, signal.SIGINT, signal.SIGABRT,
                   signal.SIGPIPE, signal.SIGSEGV, signal.SIGSYS, signal.SIGRTMIN + 1):
        process = start(sys.executable, "-c", SLEEPER, str(int(number)))
        assert process.stdout.readline() == "ready\n"
        process.send_signal(number)
        out, err = process.communicate(timeout=50)
        assert out == f"got {int(number)}\n" and process.returncode == 7, (number, out, err)


def test_the_program_ends_with_the_tool(folder):
    # SIGKILL cannot be passed on. A pipe is closed once nobody has it any more.
    process = start("sh", "-c", "echo ready; exec sleep 60")
    assert process.stdout.readline() == "ready\n"
    process.kill()
    out, _ = process.communicate(timeout=50)
    assert out == "" and process.returncode == -signal.SIGKILL


def test_a_report_that_nobody_reads_changes_no_status(folder):
    process = start("sh", "-c", "read line; exit 5", stdin=subprocess.PIPE)
    process.stderr.close()
    process.stdin.write("\n")
    process.stdin.close()
    assert process.wait(timeout=60) == 5


def test_what_the_caller_ignores_stays_ignored(folder):
    process = run("sh", "-c", "kill -HUP $$; echo alive",
                  preexec_fn=lambda: signal.signal(signal.SIGHUP, signal.SIG_IGN))
    assert process.stdout_text == "alive\n" and process.returncode == 0
    process = start("sh", "-c", "echo ready; sleep 0.5; echo alive",
                    preexec_fn=lambda: signal.signal(signal.SIGHUP, signal.SIG_IGN))
    assert process.stdout.readline() == "ready\n"
    process.send_signal(signal.SIGHUP)
    assert process.communicate(timeout=50)[0] == "alive\n" and process.returncode == 0


def test_the_program_has_its_callers_signal_mask(folder):
    show = "import signal; print(sorted(map(int, signal.pthread_sigmask(signal.SIG_BLOCK, []))))"
    assert run(sys.executable, "-c", show).stdout_text == "[]\n"
    blocked = run(sys.executable, "-c", show,
                  preexec_fn=lambda: signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGUSR2]))
    assert blocked.stdout_text == f"[{int(signal.SIGUSR2)}]\n"


def test_a_caller_that_ignores_its_children(folder):
    process = run("sh", "-c", "exit 5",
                  preexec_fn=lambda: signal.signal(signal.SIGCHLD, signal.SIG_IGN))
    assert process.returncode == 5


KEY = """
import os, pty, signal, sys, time
pid, fd = pty.fork()
if not pid:
    os.execv(sys.argv[1], sys.argv[1:])
seen = b""
while b"ready" not in seen:
    seen += os.read(fd, 1000)
# The tool sleeps until the program has got it: a second one would be a second one.
os.kill(pid, signal.SIGSTOP)
os.write(fd, b"\\x03")
while b"got" not in seen:
    seen += os.read(fd, 1000)
os.kill(pid, signal.SIGCONT)
try:
    while True:
        part = os.read(fd, 1000)
        if not part:
            break
        seen += part
except OSError:
    pass
print(seen.count(b"got"), os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))
"""


def test_a_key_of_the_terminal_comes_once(folder):
    counter = ("import signal, sys, time\nn = 0\ndef note(*a):\n  global n\n  n += 1\n"
               "  print('got', flush=True)\nsignal.signal(signal.SIGINT, note)\n"
               "print('ready', flush=True)\nend = time.monotonic() + 50\n"
               # then a second key's time
               "while not n and time.monotonic() < end: time.sleep(0.05)\n"
               "end = time.monotonic() + 1\n"
               "while time.monotonic() < end: time.sleep(0.05)\nsys.exit(n)\n")
    done = subprocess.run([sys.executable, "-c", KEY, ROOT / "hmm", "exec", sys.executable, "-c",
                           counter], capture_output=True, text=True, timeout=60,
                          env=environment())
    assert done.stdout.split() == ["1", "1"], (done.stdout, done.stderr)


def test_a_host_without_userfaultfd_runs_the_program_as_it_is(folder):
    before = deny.userfaultfd(errno.EPERM)
    process = run("sh", "-c", 'echo "${LD_PRELOAD-unset} ${LIBHMM_MONITOR-unset}"; exit 3',
                  preexec_fn=before)
    assert process.stdout_text == "unset unset\n" and process.returncode == 3
    assert len(lines(process)) == 2 and "no permission to use userfaultfd" in lines(process)[0]
    assert lines(process)[1].startswith("hmm exec: nothing was served: no permission"), process
    _, got = report("true", preexec_fn=before)
    assert "no permission to use userfaultfd" in got["nothing_served"], got
    assert got["monitors"]["ofi"]["preloaded"] is False, got


def test_monitors_that_are_not_installed(folder):
    try:
        UCX.rename(UCX.with_suffix(".away"))
        process = run("true", env={"STAND_IN_OFI": "served=1 hits=1"})
        assert "hmm exec: UCX: not served: libhmm-ucx.so is not installed" in lines(process)
        process = run("--monitor", "ucx", "true")
        assert process.returncode == 3 and "libhmm-ucx.so is not installed" in lines(process)[0]
        assert len(lines(process)) == 1
    finally:
        UCX.with_suffix(".away").rename(UCX)


def test_a_name_that_cannot_be_preloaded(folder):
    shutil.copytree(ROOT, folder / "a place", symlinks=True)
    done = subprocess.run([folder / "a place" / "hmm", "exec", "true"], capture_output=True,
                          text=True, timeout=60, env=environment())
    assert done.returncode == 3, done
    assert "cannot be preloaded: its name has a space or a colon" in done.stderr, done.stderr
    done = subprocess.run([folder / "a place" / "hmm", "exec", "-m", "none", "true"], timeout=60,
                          capture_output=True, text=True, env=environment())
    assert done.returncode == 0, done


def test_a_report_that_cannot_be_written(folder):
    process = run("--output", "/dev/full", "true")
    assert process.returncode == 4 and "No space left on device" in lines(process)[0]
    process = run("--output", "/dev/full", "sh", "-c", "exit 9")
    assert process.returncode == 9 and "No space left on device" in lines(process)[0]


def test_the_object_has_any_name(folder):
    name = b"pro\xffgram"
    shutil.copy("/bin/true", name)
    process = run("--json", b"./" + name)
    assert json.loads(process.stderr_text)["program"] == "./pro\ufffdgram"


def test_two_runs_within_each_other_count_alone(folder):
    env = {"STAND_IN_OFI": "served=1 hits=1"}
    inner = [str(ROOT / "hmm"), "exec", "--json", "--output", "inner", "true"]
    _, got = report(*inner, env=env)
    assert json.loads((folder / "inner").read_text())["monitors"]["ofi"]["loaded"] == 1
    assert got["monitors"]["ofi"]["loaded"] == 1, got  # the inner tool


def test_unprivileged(folder):
    env = {"STAND_IN_OFI": "served=1 hits=5"}
    process, got = report("id", "-u", env=env, nobody=True)
    assert process.returncode == 0, process.stderr_text
    assert got["monitors"]["ofi"]["hits"] == 5, got
    if os.geteuid() == 0:
        assert process.stdout_text == f"{tap.NOBODY}\n"


if __name__ == "__main__":
    try:
        tap.needs_preload()
    except tap.Skip as reason:
        print(f"1..0 # SKIP {reason}")
        sys.exit(0)
    build_stage()
    tap.main(globals())
