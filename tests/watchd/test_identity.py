#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
"""A process gets the log of its own address space, and of no other."""
import errno
import os
import signal
import socket

import tap
from service import WATCHD_GLOBAL, Peer, serving, wait_for

PROGRAM = tap.HMM


def in_child(act):
    """Runs act() in a forked child. Its pid, and its status once wait() is called."""
    pid = os.fork()
    if pid == 0:
        status = 1
        try:
            act()
            status = 0
        finally:
            os._exit(status)
    return pid


def status(pid):
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


def test_a_child_cannot_ask_on_its_parents_connection(folder):
    with serving(PROGRAM) as service:
        peer = service.connect()
        assert status(in_child(lambda: peer.send(peer.hello_text()))) == 0
        assert peer.error() == errno.EACCES
        assert service.fake.opens == 0


def test_a_child_cannot_answer_for_its_parent(folder):
    """As one would that shares the socket with a parent that has exec'd a program setuid root."""
    with serving(PROGRAM) as service:
        peer = service.connect()
        number = peer.challenge()
        assert status(in_child(lambda: peer.mine(number))) == 0
        assert peer.error() == errno.EACCES
        wait_for(lambda: service.open() == 0, "it is watched")


def test_root_cannot_ask_in_the_name_of_another_process(folder):
    """The kernel lets root say who sent a message. That must be the process that connected."""
    if os.geteuid():
        raise tap.Skip("only root may send another process's number")
    with serving(PROGRAM) as service:
        victim = in_child(signal.pause)
        peer = service.connect()
        cred = (socket.SOL_SOCKET, socket.SCM_CREDENTIALS,
                b"".join(n.to_bytes(4, "little") for n in (victim, 0, 0)))
        peer.socket.sendmsg([peer.hello_text()], [cred])
        assert peer.error() == errno.EACCES
        os.kill(victim, signal.SIGKILL)
        status(victim)
        assert service.fake.opens == 0


def test_what_exec_has_replaced_is_not_given(folder):
    with serving(PROGRAM) as service:
        peer = service.connect()
        number = peer.challenge()
        service.fake.execd = os.getpid()
        peer.mine(number)
        assert peer.error() == errno.EACCES
        wait_for(lambda: service.open() == 0, "it is watched")


def test_a_process_that_ends_is_no_longer_watched(folder):
    """Also where a child holds the connection."""
    with serving(PROGRAM) as service:
        peer = None

        def watched():
            nonlocal peer
            peer = service.connect()
            peer.watch()
            if os.fork() == 0:
                os.setsid()
                os.closerange(0, 3)
                signal.alarm(60)
                signal.pause()

        pid = in_child(watched)
        assert status(pid) == 0
        assert service.fake.last_pid == pid and service.fake.opens == 1
        wait_for(lambda: service.open() == 0, "it is watched")


def test_exec_ends_the_watch(folder):
    with serving(PROGRAM) as service:
        def watched():
            peer = service.connect()
            peer.watch()
            os.execvp("sleep", ["sleep", "60"])

        pid = in_child(watched)
        wait_for(lambda: service.fake.opens == 1, "it is not watched")
        wait_for(lambda: service.open() == 0, "it is watched after exec")
        os.kill(pid, signal.SIGKILL)
        status(pid)


def test_lost_programs_make_the_service_look_who_is_still_there(folder):
    """The space's end may have gone unseen, and a new space have its place in the kernel."""
    page = folder / "global"
    page.write_bytes(bytes(4096))
    with serving(PROGRAM, env={WATCHD_GLOBAL: str(page)}) as service:
        stays, goes = service.connect(), service.connect()
        stays.watch()

        said, says = os.pipe()

        def watched():
            peer = Peer(service.path)
            peer.watch()
            os.write(says, b"1")
            signal.pause()

        pid = in_child(watched)
        os.close(says)
        # a space is opened before the process has it
        assert os.read(said, 1) == b"1", "it is not watched"
        os.close(said)
        assert service.open() == 2
        service.fake.execd = pid
        with open(page, "r+b") as file:
            file.write((1 << 20).to_bytes(8, "little"))
        wait_for(lambda: service.open() == 1, "a space that has ended is watched")
        assert not stays.ended()
        goes.close()
        os.kill(pid, signal.SIGKILL)
        status(pid)


def test_without_privilege(folder):
    """A process of another user than the service's is served."""
    if os.geteuid():
        raise tap.Skip("only root can be another user")
    with serving(PROGRAM) as service:
        def watched():
            os.setgroups([])
            os.setresgid(12345, 12345, 12345)
            os.setresuid(12345, 12345, 12345)
            peer = service.connect()
            peer.watch()
            # the kernel allows nobody to write what all share
            try:
                with open(f"/proc/self/fd/{peer.fds[2]}", "r+b") as file:
                    file.write(b"1")
            except PermissionError:
                return
            raise AssertionError("the shared page can be written")

        assert status(in_child(watched)) == 0
        assert service.fake.opens == 1


if __name__ == "__main__":
    tap.main(globals())
