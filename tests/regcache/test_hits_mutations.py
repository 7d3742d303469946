#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
"""Each broken rule of the cache, and of the library below that concerns it, makes stale hits."""
import os
import subprocess

import tap

STALE_HITS = os.environ["STALE_HITS"]
ROUNDS = 2000000

# The cache's own rules, and those of the library that a registration hangs on. The others are about
# devices with sections (read-first, no-quiesce), about checks that no cache asks for
# (present-blind), or about pages that a fork replaces (no-fork-kill): pinned ones stay.
RULES = ["cache-undead", "cache-keep", "cache-early-free", "no-probe", "no-odd", "blind-register",
         "no-generation", "half-invalidate", "no-callback", "no-move", "keep-region", "file-blind",
         "cache-discard", "trust-running"]
STRICT_RULES = ["vma-blind"]


def finds(rule, peer):
    def test(folder):
        result = subprocess.run([STALE_HITS, "--peer", peer, "--rounds", str(ROUNDS), "--break",
                                 rule], capture_output=True, text=True, timeout=200)
        assert result.returncode == 1, f"status {result.returncode}: {result.stdout}"
    return test


for name in RULES:
    globals()[f"test_finds_{name.replace('-', '_')}"] = finds(name, "hmm")
for name in STRICT_RULES:
    globals()[f"test_finds_{name.replace('-', '_')}"] = finds(name, "hmm-strict")

if __name__ == "__main__":
    tap.main(globals())
