#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
"""How much one user, and all together, may have watched; and who floods."""
import errno
import os
import signal
import time

import tap
from service import CHALLENGE, PATIENT, REPLY, Peer, serving, wait_for

PROGRAM = tap.HMM


def watched(service, **hello):
    peer = service.connect()
    peer.watch(**hello)
    return peer


def refused(service, **hello):
    """Where the service refuses at once, what the process says may reach nobody."""
    peer = service.connect()
    try:
        peer.send(peer.hello_text(**hello))
    except (BrokenPipeError, ConnectionResetError):
        pass
    error = peer.error()
    peer.close()
    return error


def test_the_spaces_of_a_user(folder):
    with serving(PROGRAM, "--user-spaces", "3") as service:
        peers = [watched(service) for _ in range(3)]
        assert refused(service) == errno.EDQUOT
        peers.pop().close()
        wait_for(lambda: service.open() == 2, "it is watched")
        peers.append(watched(service))
        assert refused(service) == errno.EDQUOT


def test_the_logs_of_a_user(folder):
    with serving(PROGRAM, "--user-log-bytes", "1M") as service:
        peers = [watched(service, log_bytes=512 << 10), watched(service)]
        assert refused(service, log_bytes=512 << 10) == errno.EDQUOT
        peers.append(watched(service))
        assert refused(service, log_bytes=4096) == errno.EDQUOT
        peers[0].close()
        wait_for(lambda: service.open() == 2, "it is watched")
        watched(service, log_bytes=512 << 10)


def test_the_logs_of_all(folder):
    with serving(PROGRAM, "--total-log-bytes", "1M") as service:
        peers = [watched(service) for _ in range(4)]
        assert refused(service, log_bytes=4096) == errno.ENOSPC
        assert service.open() == len(peers)


def test_the_spaces_of_all(folder):
    with serving(PROGRAM, "--spaces", "3") as service:
        peers = [watched(service) for _ in range(3)]
        assert refused(service) == errno.ENOSPC
        assert service.open() == len(peers)


def test_a_users_share_is_left_to_others(folder):
    if os.geteuid():
        raise tap.Skip("only root can be several users")
    with serving(PROGRAM, "--user-spaces", "2", "--user-log-bytes", "512K") as service:
        mine = [watched(service) for _ in range(2)]
        assert refused(service) == errno.EDQUOT
        for user in range(1000, 1010):
            pid = os.fork()
            if pid == 0:
                os.setresuid(user, user, user)
                peers = [watched(service) for _ in range(2)]
                os._exit(0 if refused(service) == errno.EDQUOT and peers else 1)
            assert os.waitpid(pid, 0)[1] == 0, user
        wait_for(lambda: service.open() == len(mine), "others are watched")


def test_places_whose_process_is_gone_are_found_when_they_are_needed(folder):
    """An end that nobody told of: the process exec'd, and a child holds the connection."""
    with serving(PROGRAM, "--user-spaces", "1") as service:
        peer = watched(service)
        time.sleep(1.1) # the service looks once a second
        service.fake.execd = os.getpid()
        other = os.fork()
        if other == 0:
            watched(service)
            os._exit(0)
        assert os.waitpid(other, 0)[1] == 0
        assert peer.ended()


def test_the_next_log_is_prepared_while_nobody_asks(folder):
    with serving(PROGRAM) as service:
        wait_for(lambda: service.fake.spares, "no log is prepared at the beginning")
        service.fake.spares = 0
        peers = [watched(service) for _ in range(3)]
        wait_for(lambda: service.fake.spares, "no log is prepared after one was taken")
        assert service.open() == len(peers)


def test_no_log_is_prepared_while_a_process_waits_for_its_own(folder):
    """The kernel takes long over one, and who is asked for an answer does not wait for that."""
    with serving(PROGRAM) as service:
        peer = Peer(service.path)
        number = peer.challenge()
        # what was prepared before it asked
        service.fake.spares = 0
        time.sleep(0.3)
        assert not service.fake.spares
        peer.mine(number)
        assert peer.receive()[0] == REPLY
        wait_for(lambda: service.fake.spares, "no log is prepared after one was taken")


def test_a_flood_of_connections_leaves_room(folder):
    """Processes that connect without an end, and another user's that asks: it is served."""
    if os.geteuid():
        raise tap.Skip("only root can be several users")
    with serving(PROGRAM, "--patience", "500") as service:
        floods = []
        for _ in range(3):
            pid = os.fork()
            if pid == 0:
                os.setresuid(1234, 1234, 1234)
                while True:
                    try:
                        Peer(service.path).send(Peer.hello_text())
                    except OSError:
                        pass
            floods.append(pid)
        served = 0
        begin = time.monotonic()
        while served < 5:
            assert time.monotonic() - begin < 2 * PATIENT, f"served {served} times"
            peer = service.connect()
            try:
                peer.send(peer.hello_text())
                answer = peer.receive()
                served += bool(answer) and answer[0] == CHALLENGE
            except (BrokenPipeError, ConnectionResetError):
                pass
            peer.close()
        for pid in floods:
            os.kill(pid, signal.SIGKILL)
            os.waitpid(pid, 0)
        wait_for(lambda: service.open() == 0, "spaces are left")
        said = service.stop()
        # ten a minute, and one that counts the others
        most = 20 + 11 * (2 + (time.monotonic() - begin) // 60)
        assert len(said.splitlines()) < most, f"{len(said.splitlines())} lines"


if __name__ == "__main__":
    tap.main(globals())
