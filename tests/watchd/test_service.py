#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
"""How hmm-watchd begins, what it gives up, how it ends."""
import errno
import os
import pathlib
import signal
import socket
import subprocess
import time

import tap
from service import CHALLENGE, HEAD, PATIENT, REPLY, Service, serving, wait_for

PROGRAM = tap.HMM


def status_of(process):
    text = pathlib.Path(f"/proc/{process.pid}/status").read_text()
    return dict(line.split(":\t", 1) for line in text.splitlines() if ":\t" in line)


def fails(service, status, sentence):
    said = service.spawn().process.communicate(timeout=PATIENT)[1]
    assert service.process.returncode == status, (service.process.returncode, said)
    assert sentence in said and len(said.splitlines()) == 1, said


def test_gives_up_all_that_it_does_not_need(folder):
    if not tap.TORTURE:
        raise tap.Skip("a sanitizer cannot live in the sandbox")
    with serving(PROGRAM) as service:
        status = status_of(service.process)
        assert status["NoNewPrivs"] == "1", status
        assert status["Seccomp"] == "2", status
        # CAP_BPF alone, where root has it
        assert int(status["CapPrm"], 16) in (0, 1 << 39), status["CapPrm"]
        assert int(status["CapInh"], 16) == int(status["CapAmb"], 16) == 0, status
        if os.geteuid() == 0:
            assert status["Uid"].split() == ["65534"] * 4, status["Uid"]
            assert status["Gid"].split() == ["65534"] * 4, status["Gid"]
            assert not status["Groups"].split(), status["Groups"]
        # who is not dumpable belongs to root
        assert os.stat(f"/proc/{service.process.pid}/mem").st_uid == 0
        limits = pathlib.Path(f"/proc/{service.process.pid}/limits")
        if os.access(limits, os.R_OK):
            core = [line for line in limits.read_text().splitlines() if "core file" in line]
            assert core[0].split()[4:6] == ["0", "0"], core


def test_keeps_the_users_of_one_that_is_not_root(folder):
    if os.geteuid():
        raise tap.Skip("this test is not run by root at all, so all others show it")
    folder.chmod(0o777)
    service = Service(PROGRAM, folder)
    command = ["setpriv", "--reuid=12345", "--regid=12345", "--clear-groups", PROGRAM]
    service.program, service.options = command[0], []
    service.process = subprocess.Popen(
        [*command, "--foreground", "--socket", service.path],
        env={**os.environ, "WATCHD_FAKE": str(folder / "fake")}, stderr=subprocess.PIPE, text=True)
    wait_for(service.answers, "nobody listens")
    assert status_of(service.process)["Uid"].split() == ["12345"] * 4
    service.connect().watch()
    service.stop()


def test_ends_without_a_word_and_leaves_what_is_watched(folder):
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGKILL):
        with serving(PROGRAM) as service:
            peer = service.connect()
            peer.watch()
            service.process.send_signal(number)
            service.process.wait(PATIENT)
            assert peer.receive() is None
            assert not peer.ended(), "the log ends with the service"
            assert service.process.returncode in (0, -signal.SIGKILL)


def test_a_new_service_takes_the_place_of_one_that_was_killed(folder):
    with serving(PROGRAM) as service:
        old = service.connect()
        old.watch()
        service.stop(signal.SIGKILL)
        assert os.path.exists(service.path)
        service.start()
        new = service.connect()
        new.watch()
        assert old.receive() is None and not old.ended() and not new.ended()
        assert service.open() == 1


def test_a_second_service_does_not_take_the_place_of_one_that_lives(folder):
    with serving(PROGRAM) as service:
        (folder / "socket").symlink_to(service.path)
        other = Service(PROGRAM, folder)
        fails(other, 4, "Address already in use")
        service.connect().watch()


def test_a_file_is_not_taken_for_a_socket_that_is_left(folder):
    (folder / "socket").write_text("precious")
    fails(Service(PROGRAM, folder), 4, "Address already in use")
    assert (folder / "socket").read_text() == "precious"


def test_does_not_begin_where_others_could_write_the_shared_page(folder):
    service = Service(PROGRAM, folder)
    service.fake.global_writable = 1
    fails(service, 3, "no privilege")


def test_says_why_it_cannot_load(folder):
    service = Service(PROGRAM, folder)
    service.fake.load_error = -errno.EPERM
    fails(service, 3, "no privilege (CAP_BPF, CAP_PERFMON)")
    service.fake.load_error = -errno.EOPNOTSUPP
    fails(service, 3, "no BTF")


def test_bad_options(folder):
    for options, sentence in ((["--spaces", "0"], "--spaces cannot be '0'"),
                              (["--log-bytes", "12345"], "--log-bytes cannot be '12345'"),
                              (["--log-bytes", "1Q"], "--log-bytes cannot be '1Q'"),
                              (["--idle", "-1"], "--idle cannot be '-1'"),
                              (["--user-log-bytes", "99999999999G"], "cannot be"),
                              (["--nonsense"], "unrecognized option '--nonsense'"),
                              (["word"], "what is 'word'?")):
        result = subprocess.run([PROGRAM, "--foreground", *options], capture_output=True, text=True,
                                check=False)
        assert result.returncode == 2 and sentence in result.stderr, (options, result)
    result = subprocess.run([PROGRAM], capture_output=True, text=True, check=False)
    assert result.returncode == 2 and "neither --foreground" in result.stderr, result
    for option in ("--help", "--version"):
        result = subprocess.run([PROGRAM, option], capture_output=True, text=True, check=True)
        assert "hmm-watchd" in result.stdout, result


# ---- started by systemd --------------------------------------------------------------------------

class Activated(Service):
    """Started as systemd starts it: with the socket as descriptor 3."""

    def __init__(self, folder, *options, kind=socket.SOCK_SEQPACKET):
        super().__init__(PROGRAM, folder, *options)
        self.listener = socket.socket(socket.AF_UNIX, kind)
        self.listener.bind(self.path)
        if kind == socket.SOCK_SEQPACKET:
            self.listener.listen(10)
        os.chmod(self.path, 0o666)
        self.notify = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.notify.settimeout(PATIENT)
        self.notify.bind(str(folder / "notify"))
        os.chmod(folder / "notify", 0o666)

    def spawn(self, **more):
        script = 'export LISTEN_PID=$$ LISTEN_FDS=1; exec "$@"'

        def pass_socket():
            # os.dup2(3, 3) would leave it close-on-exec
            os.set_inheritable(self.listener.fileno(), True)
            if self.listener.fileno() != 3:
                os.dup2(self.listener.fileno(), 3)

        self.process = subprocess.Popen(
            ["sh", "-c", script, "sh", self.program, *self.options], stderr=subprocess.PIPE,
            text=True, preexec_fn=pass_socket, close_fds=False,
            env={**os.environ, "WATCHD_FAKE": str(self.folder / "fake"),
                 "NOTIFY_SOCKET": str(self.folder / "notify")})
        return self


def test_takes_systemds_socket_and_says_that_it_is_ready(folder):
    service = Activated(folder).start()
    assert service.notify.recv(100) == b"READY=1"
    service.connect().watch()
    service.stop()


def test_a_process_that_came_first_is_served(folder):
    service = Activated(folder)
    peer = service.connect()
    peer.send(peer.hello_text())
    service.spawn()
    assert peer.receive()[0] == CHALLENGE
    service.stop()


def test_ends_when_nobody_is_watched(folder):
    service = Activated(folder, "--idle", "1")
    # before it begins, or it might end before this process has a turn
    peer = service.connect()
    peer.send(peer.hello_text())
    service.spawn()
    answer = peer.receive()
    assert answer[0] == CHALLENGE
    peer.mine(answer[1][HEAD.size:])
    assert peer.receive()[0] == REPLY
    time.sleep(2.5)
    assert service.process.poll() is None, "it ended beside a process that is watched"
    begin = time.monotonic()
    peer.close()
    service.process.wait(PATIENT)
    assert time.monotonic() - begin > 0.9
    assert service.process.returncode == 0
    assert service.fake.unloads == 1


def test_tells_who_asks_why_it_cannot_load(folder):
    service = Activated(folder, "--idle", "1")
    service.fake.load_error = -errno.EPERM
    # it ends soon
    peer = service.connect()
    peer.send(peer.hello_text())
    service.spawn()
    assert peer.error() == errno.EPERM
    said = service.process.communicate(timeout=PATIENT)[1]
    assert service.process.returncode == 0 and "cannot load" in said, said


def test_another_kind_of_socket_is_refused(folder):
    fails(Activated(folder, kind=socket.SOCK_DGRAM), 4, "systemd's socket: Invalid argument")


if __name__ == "__main__":
    tap.main(globals())
