#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
"""What hmm-watchd answers, and to what it answers nothing."""
import errno
import os
import time

import tap
from service import CHALLENGE, HELLO, MINE, REPLY, Peer, serving, wait_for

PROGRAM = tap.HMM


def test_a_process_is_watched_until_its_connection_ends(folder):
    with serving(PROGRAM) as service:
        peer = service.connect()
        log_bytes, names = peer.watch()
        assert log_bytes == 256 << 10, log_bytes
        assert names == ["unmap_vmas", "change_protection", "no_such_function"], names
        assert service.fake.last_pid == os.getpid()
        assert service.open() == 1 and not peer.ended()
        peer.socket.close()
        wait_for(peer.ended, "the space is watched after the connection ended")
        # the peer is told first
        wait_for(lambda: service.open() == 0, "the space is kept open")


def test_a_log_has_the_size_that_was_asked_for_up_to_the_largest(folder):
    with serving(PROGRAM, "--log-bytes", "1M") as service:
        for asked, given in ((0, 256 << 10), (1, 4096), (64 << 10, 64 << 10), (1 << 40, 1 << 20)):
            peer = service.connect()
            assert peer.watch(log_bytes=asked)[0] == given, asked
            peer.close()
        peer = service.connect()
        peer.send(peer.hello_text(log_bytes=12345))
        assert peer.error() == errno.EINVAL


def test_a_process_may_want_functions_alone(folder):
    with serving(PROGRAM) as service:
        for flags in (1, 0):
            peer = service.connect()
            peer.send(peer.hello_text(flags=flags))
            assert peer.receive()[0] == CHALLENGE
            assert service.fake.last_flags == flags
            peer.close()


def test_old_and_new_peers(folder):
    with serving(PROGRAM) as service:
        peer = service.connect()
        peer.watch(least=0, most=77)
        peer.close()
        for least, most in ((2, 9), (0, 0)):
            peer = service.connect()
            peer.send(peer.hello_text(least=least, most=most))
            assert peer.error() == errno.EPROTONOSUPPORT, (least, most)
        # one that says more than this service knows
        peer = service.connect()
        peer.send(peer.hello_text(most=2) + bytes(500))
        assert peer.receive()[0] == CHALLENGE


def test_nonsense_is_refused(folder):
    whole = Peer.hello_text()
    with serving(PROGRAM) as service:
        for text in (whole[:1], whole[:8], whole[:-1], Peer.head(HELLO, magic=1) + whole[8:],
                     Peer.head(MINE) + whole[8:], Peer.head(99) + whole[8:], os.urandom(60000),
                     Peer.hello_text(flags=2), Peer.hello_text(least=3, most=1)):
            peer = service.connect()
            peer.send(text)
            assert peer.error() == errno.EINVAL, text[:40]
            peer.close()
        assert service.open() == 0


def test_an_answer_must_have_the_number_and_a_descriptor(folder):
    with serving(PROGRAM) as service:
        def answer(change=lambda number: number, fds=None):
            peer = service.connect()
            peer.mine(change(peer.challenge()), fds)
            error = peer.error()
            peer.close()
            return error

        assert answer(lambda number: bytes(16)) == errno.EACCES
        assert answer(lambda number: number[:8]) == errno.EINVAL
        assert answer(fds=[]) == errno.EACCES
        first = service.connect()
        number = first.challenge()
        # of another connection
        assert answer(lambda _: number) == errno.EACCES
        wait_for(lambda: service.open() == 1, "refused peers are watched")
        first.mine(number)
        assert first.receive()[0] == REPLY


def test_a_number_is_never_given_twice(folder):
    with serving(PROGRAM) as service:
        numbers = set()
        for _ in range(50):
            peer = service.connect()
            numbers.add(peer.challenge())
            peer.close()
        assert len(numbers) == 50


def test_a_watched_process_that_speaks_is_dropped(folder):
    with serving(PROGRAM) as service:
        peer = service.connect()
        peer.watch()
        peer.send(b"?")
        assert peer.receive() is None
        wait_for(peer.ended, "it is watched")


def test_descriptors_that_a_peer_sends_are_closed(folder):
    with serving(PROGRAM) as service:
        fds = f"/proc/{service.process.pid}/fd"
        if not os.access(fds, os.R_OK | os.X_OK):
            raise tap.Skip("only root sees the descriptors of a process that cannot be traced")
        # those of the connection by which it was found to answer may still be among them
        before = len(os.listdir(fds))
        peers = [service.connect() for _ in range(4)]
        many = [os.dup(0) for _ in range(200)]
        peers[0].send(Peer.hello_text(), many)
        assert peers[0].receive()[0] == CHALLENGE
        peers[1].send(b"x", many)
        assert peers[1].error() == errno.EINVAL
        peers[2].mine(peers[2].challenge(), many)
        assert peers[2].receive()[0] == REPLY
        peers[2].send(b"x", many)
        peers[3].socket.close()
        for fd in many:
            os.close(fd)
        for peer in peers:
            peer.close()
        wait_for(lambda: len(os.listdir(fds)) <= before, "descriptors are left")


def test_a_refusal_tells_why_nothing_can_be_opened(folder):
    with serving(PROGRAM) as service:
        service.fake.open_error = -errno.ENOSPC
        peer = service.connect()
        peer.send(peer.hello_text())
        assert peer.error() == errno.ENOSPC
        service.fake.open_error = -errno.ETOOMANYREFS
        peer = service.connect()
        peer.send(peer.hello_text())
        assert peer.error() == errno.ENOSPC
        service.fake.open_error = 0
        service.connect().watch()


def test_slow_peers_do_not_hold_others_up(folder):
    """Others would wait longer than a test does, were they to wait for those."""
    with serving(PROGRAM) as service:
        slow = [service.connect() for _ in range(40)]
        for peer in slow[:20]:
            peer.challenge()
        for _ in range(50):
            peer = service.connect()
            peer.watch()
            peer.close()
        for peer in slow:
            peer.close()
        wait_for(lambda: service.open() == 0, "peers that are gone are watched")


def test_slow_peers_are_dropped(folder):
    with serving(PROGRAM, "--patience", "2000") as service:
        begin = time.monotonic()
        slow = [service.connect() for _ in range(20)]
        for peer in slow[:10]:
            try:
                peer.send(peer.hello_text())
            except (BrokenPipeError, ConnectionResetError):
                pass # it was too slow for that already
        for peer in slow:
            answer = peer.receive()
            if answer and answer[0] == CHALLENGE:
                answer = peer.receive()
            assert answer and answer[0] == REPLY, answer
            assert peer.refusal(answer[1]) == errno.ETIME
        assert time.monotonic() - begin >= 2
        wait_for(lambda: service.open() == 0, "slow peers are watched")


if __name__ == "__main__":
    tap.main(globals())
