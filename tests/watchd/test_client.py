#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
"""The library's side against hmm-watchd. What a hostile service can do is in provider/watchd."""
import errno
import os
import signal
import socket
import subprocess
import time

import tap
from service import PATIENT, serving, wait_for

PROGRAM, CLIENT = tap.HMM, os.environ["WATCHD_CLIENT"]


class Client:
    """The library waits for a second, and a busy machine may be slower: it is asked again."""

    def __init__(self, path, *arguments, before=(), patient=True):
        self.process = subprocess.Popen([*before, CLIENT, path, *map(str, arguments)], text=True,
                                        stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        self.said = self.process.stdout.readline().split()
        if patient and self.timed_out():
            self.said = self.again()

    def timed_out(self):
        return self.said[:2] == ["error", str(errno.ETIME)]

    def again(self):
        end = time.monotonic() + PATIENT
        while True:
            self.said = self.ask("again")
            if not self.timed_out() or time.monotonic() > end:
                return self.said

    def ask(self, word):
        self.process.stdin.write(word + "\n")
        self.process.stdin.flush()
        return self.process.stdout.readline().split()

    def end(self):
        self.process.communicate(timeout=PATIENT)


def test_is_watched(folder):
    with serving(PROGRAM) as service:
        client = Client(service.path)
        assert client.said == ["watched", str(256 << 10), "3"], client.said
        assert service.fake.last_pid == client.process.pid
        assert client.ask("gone") == ["0"] and client.ask("ended") == ["0"]
        client.end()
        wait_for(lambda: service.open() == 0, "it is watched")


def test_as_another_user(folder):
    if os.geteuid():
        raise tap.Skip("only root can be another user")
    with serving(PROGRAM) as service:
        client = Client(service.path, before=["setpriv", "--reuid=12345", "--regid=12345",
                                              "--clear-groups"])
        assert client.said[0] == "watched", client.said
        client.end()


def test_has_the_log_that_it_asked_for_or_a_smaller_one(folder):
    with serving(PROGRAM, "--log-bytes", "64K") as service:
        for asked, given in ((4096, 4096), (1 << 20, 64 << 10)):
            client = Client(service.path, asked)
            assert client.said == ["watched", str(given), "3"], client.said
            client.end()


def test_exec_closes_all(folder):
    with serving(PROGRAM) as service:
        client = Client(service.path)
        assert client.ask("fds") == ["0"]
        wait_for(lambda: service.open() == 0, "it is watched")
        client.end()


def test_sees_that_the_service_dies_and_finds_the_next(folder):
    with serving(PROGRAM) as service:
        client = Client(service.path)
        service.stop(signal.SIGKILL)
        assert client.ask("gone") == ["1"] and client.ask("ended") == ["0"]
        assert client.again()[:2] == ["error", str(errno.ECONNREFUSED)]
        service.start()
        assert client.again()[0] == "watched"
        assert client.ask("gone") == ["0"]
        client.end()


def test_is_told_why_not(folder):
    with serving(PROGRAM, "--user-spaces", "1") as service:
        first = Client(service.path)
        assert first.said[0] == "watched"
        for _ in range(10):
            second = Client(service.path)
            assert second.said[:2] == ["error", str(errno.EDQUOT)], second.said
            second.end()
        first.end()
        wait_for(lambda: service.open() == 0, "it is watched")
        service.fake.open_error = -errno.EBUSY
        second = Client(service.path)
        assert second.said[:2] == ["error", str(errno.EBUSY)], second.said
        second.end()


def test_nobody_listens(folder):
    for path, error in ((folder / "none", errno.ENOENT), ("/" + "x" * 200, errno.ENAMETOOLONG)):
        client = Client(str(path))
        assert client.said[:2] == ["error", str(error)], client.said
        client.end()


def times_of_a_hung_service(path):
    """In ms, of those who ask one after the other; the last find the queue full."""
    times = []
    with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as listener:
        listener.bind(path)
        listener.listen(1)
        for _ in range(4):
            client = Client(path, patient=False)
            assert client.timed_out(), client.said
            times.append(int(client.said[2]))
            client.end()
    assert min(times) >= 990, times
    return times


def test_a_service_that_hangs_costs_a_second(folder):
    best = times_of_a_hung_service(str(folder / "hung"))
    # a machine that stood still is asked once more: it does not always stand still at one place
    for n in range(10):
        if max(best) < 3000:
            break
        best = list(map(min, best, times_of_a_hung_service(str(folder / f"hung{n}"))))
    assert max(best) < 3000, best
    with serving(PROGRAM) as service:
        os.kill(service.process.pid, signal.SIGSTOP)
        client = Client(service.path, patient=False)
        assert client.timed_out(), client.said
        os.kill(service.process.pid, signal.SIGCONT)
        client.end()


if __name__ == "__main__":
    tap.main(globals())
