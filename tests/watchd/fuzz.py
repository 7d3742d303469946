#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
"""fuzz.py [--long] [--seed N] [--rounds N]: peers that say and do anything, in any order.

Beside them a good peer is served now and then. At the end no space is watched, no descriptor is
open, and the service ends in order. What happens depends on the seed alone, but for the order in
which the service hears of several peers. HMM is the program.
"""
import argparse
import os
import random
import secrets
import sys

import service as watchd
from service import Peer, serving, wait_for


def text(rng, number):
    """A message: one that is right, or one with a few bytes wrong, or longer, or shorter."""
    whole = rng.choice((
        Peer.hello_text(log_bytes=rng.choice((0, 4096, 1 << rng.randrange(64)))),
        Peer.hello_text(rng.randrange(4), rng.randrange(4), rng.randrange(2)),
        Peer.head(watchd.MINE) + number, Peer.head(rng.randrange(9)) + rng.randbytes(16),
        rng.randbytes(rng.randrange(1, 64))))
    changed = bytearray(whole)
    while rng.random() < 0.3:
        changed[rng.randrange(len(changed))] = rng.randrange(256)
    if rng.random() < 0.2:
        del changed[rng.randrange(1, len(changed) + 1):]
    if rng.random() < 0.1:
        changed += rng.randbytes(rng.choice((1, 100, 5000, 60000)))
    return bytes(changed)


def act(rng, peer):
    """One thing that a peer does. False: it has gone."""
    what = rng.random()
    try:
        if what < 0.55:
            fds = [0] * rng.choice((0, 0, 1, 1, 2, 3, 4, 200))
            peer.send(text(rng, peer.number), fds)
        elif what < 0.85:
            peer.socket.settimeout(0.01)
            got = peer.receive()
            if got and got[0] == watchd.CHALLENGE:
                peer.number = got[1][8:]
                if rng.random() < 0.5:
                    peer.mine(peer.number)
        elif what < 0.9:
            peer.socket.shutdown(rng.randrange(3))
        else:
            peer.close()
            return False
    except (BlockingIOError, TimeoutError):
        pass
    except OSError:
        peer.close()
        return False
    return True


def new_peer(service):
    peer = service.connect()
    peer.number = bytes(16)
    return peer


def run(service, seed, rounds):
    rng = random.Random(seed)
    peers, good = [], 0
    for _ in range(rounds):
        if len(peers) < 20 and rng.random() < 0.4:
            peers.append(new_peer(service))
        if peers:
            peer = rng.choice(peers)
            if not act(rng, peer):
                peers.remove(peer)
        if rng.random() < 0.02:
            peer = service.connect()
            peer.watch()
            peer.close()
            good += 1
        assert service.process.poll() is None, service.process.communicate()[1]
    for peer in peers:
        peer.close()
    return good


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--long", action="store_true")
    parser.add_argument("--seed", type=int)
    parser.add_argument("--rounds", type=int)
    options = parser.parse_args()
    seed = secrets.randbelow(1 << 32) if options.seed is None else options.seed
    rounds = options.rounds or (500000 if options.long else 3000)
    print(f"fuzz.py --seed {seed} --rounds {rounds}", flush=True)
    # those that say nothing for long are not what is tried here, nor by Service's own option
    with serving(os.environ["HMM"]) as service:
        fds = f"/proc/{service.process.pid}/fd"
        before = len(os.listdir(fds)) if os.access(fds, os.R_OK | os.X_OK) else None
        good = run(service, seed, rounds)
        wait_for(lambda: service.open() == 0, "spaces are left")
        if before is not None:
            wait_for(lambda: len(os.listdir(fds)) <= before, "descriptors are left")
        print(f"{service.fake.opens} spaces were opened, {good} good peers served")
        service.stop()


if __name__ == "__main__":
    sys.exit(main())
