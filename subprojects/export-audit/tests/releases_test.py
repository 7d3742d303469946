# SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
"""How long history takes over the releases of a kernel.

Usage: releases_test.py EXPORT-AUDIT [long]

21 releases made of three that Debian packages, the same as debian_test.py has, see make-releases:
from one to the next 6,000 to 7,000 files of 60,000 to 66,000 change. With "long" they are made of
five releases, change by 8,000 to 11,000 files, and are packed as a server packs them.
They may take 60 s after the first on two idle processors; held to are processor time, which another
load stretches less, and memory.
"""
import os
import subprocess
import sys
import time

from synthetic import check, equal, finish, own_cache

HERE = os.path.dirname(os.path.abspath(__file__))
CACHE = os.path.join(os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache"), "libhmm")
FORMS = {  # versions, how many steps from each to the next, options of make-releases
    "short": (["6.1", "6.12", "newest"], ["10", "10"], ["--borrow"]),
    "long": (["5.10", "6.1", "6.12", "7.2", "7.3"], ["6", "6", "7", "1"], []),
}


def repository(form):
    versions, steps, options = FORMS[form]
    source = os.path.join(CACHE, "history", "-".join(versions) + ".git")
    target = os.path.join(CACHE, "history", f"releases-{form}.git")
    os.makedirs(os.path.dirname(source), exist_ok=True)
    made = subprocess.run([HERE + "/get-history", source, *versions], stdout=subprocess.PIPE)
    if made.returncode:
        sys.exit(made.returncode)
    done = target + "/complete"
    if not os.path.exists(done) or open(done, "rb").read() != made.stdout:
        subprocess.run([HERE + "/make-releases", *options, source, target, *steps], check=True)
        open(done, "wb").write(made.stdout)
    packs = os.path.join(source if options else target, "objects", "pack")
    for name in os.listdir(packs):  # the disk is not what is measured
        subprocess.run(["cat", os.path.join(packs, name)], stdout=subprocess.DEVNULL, check=True)
    return target


def run(what, program, cache, repo, *args):
    """Seconds of wall clock and of processors, MiB, what was read, and the answer."""
    read, write = os.pipe()
    child = subprocess.Popen([program, "history", "--cache", cache, "--stats", "--csv", *args,
                              repo],
                             stdout=write, stderr=subprocess.PIPE, text=True)
    os.close(write)
    start = time.monotonic()
    with os.fdopen(read) as f:
        out = f.read()
    said = child.stderr.read().strip()
    _, status, usage = os.wait4(child.pid, 0)
    wall, cpu = time.monotonic() - start, usage.ru_utime + usage.ru_stime
    print(f"{what}: {said}; {wall:.1f} s, {cpu:.1f} s of processors, "
          f"{usage.ru_maxrss // 1024} MiB", flush=True)
    check(f"{what}: done", os.waitstatus_to_exitcode(status) in (0, 1), said)
    check(f"{what}: at most 2 GiB", usage.ru_maxrss < 2 << 20, usage.ru_maxrss)
    return cpu, said, out


def main():
    program = os.path.abspath(sys.argv[1])
    repo = repository(sys.argv[2] if len(sys.argv) > 2 else "short")
    with own_cache(os.path.join(CACHE, "audit-cache")) as cache:
        run("the first", program, cache, repo, "--to", "v1.0")
        cpu, said, _ = run("nineteen more", program, cache, repo, "--to", "v1.19")
        check("all were read", said.endswith("19 trees resolved"), said)
        check("19 further releases in 95 s of processors", cpu < 95, cpu)
        cpu, said, answer = run("the next", program, cache, repo)
        check("only that was read", said.endswith(" 1 trees resolved"), said)
        check("the next release in 15 s of processors", cpu < 15, cpu)
        cpu, said, again = run("again", program, cache, repo)
        equal("nothing is read", said, "export-audit: 0 blobs read, 0 trees resolved")
        equal("the same answer", again, answer)
        check("nothing new in 5 s of processors", cpu < 5, cpu)
    finish()


main()
