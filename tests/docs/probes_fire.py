#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
"""Each probe of the library fires, at each of its places, and says what happened.

probes_fire.py GDB_SCRIPT WORK HMM. WORK does what probes tell of and prints what they are to say;
`hmm torture` comes to the places that need luck.
"""
import re
import shutil
import subprocess
import sys
import time

PATIENCE = 120  # seconds, for each run
LUCK = 300  # seconds, for all that need luck


def skip(why):
    print(why)
    sys.exit(77)


def under_gdb(script, *command, forks=False):
    """What each site said, by (name, site); and the output of the program.

    forks: it forks, and a child may meet a breakpoint of gdb's and end.
    """
    try:
        result = subprocess.run(['gdb', '-q', '-nx', '-batch', '-x', script, '--args', *command],
                                text=True, capture_output=True, timeout=PATIENCE,
                                stdin=subprocess.DEVNULL)
    except subprocess.TimeoutExpired as late:
        sys.exit(f'{command} under gdb: no end: {late.output[-2000:]}')
    if 'ptrace' in result.stderr and 'not permitted' in result.stderr:
        skip('tracing is not permitted')
    if 'Python scripting is not supported' in result.stderr:
        skip('gdb has no Python')
    if 'exited normally' not in result.stdout and not forks:
        sys.exit(f'{command} under gdb: {result.stdout[-2000:]}{result.stderr[-2000:]}')
    said = {}
    for line in result.stdout.splitlines():
        if line.startswith('PROBE '):
            _, name, site, *arguments = line.split()
            told = said.setdefault((name, site), [])
            if arguments:
                told.append([int(a) % 2**64 for a in arguments])
    return said, result.stdout


def says(told, wanted):
    return len(told) == len(wanted) and all(w in ('*', str(t)) for t, w in zip(told, wanted))


def check_work(script, work):
    """The number of lines that no probe said; the names of which there were lines."""
    said, output = under_gdb(script, work)
    wanted = [line.split() for line in re.findall(r'^(?:[a-z_]+ \d+ .*)$', output, re.M)]
    wanted = [w for w in wanted if w[0] in {name for name, _ in said}]
    bad = 0
    for name, *arguments in wanted:
        told = [t for (n, _), all_told in said.items() if n == name for t in all_told]
        if not any(says(t, arguments) for t in told):
            print(f'{name} did not say {arguments}, but {told[:10]}')
            bad += 1
    return bad, said, {name for name, *_ in wanted}


def main():
    script, work, hmm = sys.argv[1:]
    if not shutil.which('gdb'):
        skip('gdb is not installed')
    bad, said, names = check_work(script, work)
    moves = 'migrate' in names
    known = {name for name, _ in said}
    needed = known if moves else known - {'migrate', 'stay', 'home', 'touch', 'touch_zero',
                                          'exclusive'}
    if not known or needed - names - {'retry'}:
        sys.exit(f'no work for {sorted(needed - names)} of {sorted(known)}')
    silent = {site for site, told in said.items() if site[0] in needed and not told}
    begin = time.monotonic()
    while silent and time.monotonic() < begin + LUCK:
        for more in ([], ['--migrate', '--exclusive']) if moves else ([],):
            told, _ = under_gdb(script, hmm, 'torture', '--seconds', '2', *more, forks=True)
            silent -= {site for site, arguments in told.items() if arguments}
    for name, site in sorted(silent):
        print(f'the probe {name} at {site} never fired')
    print(f'{len(said)} places of {len(known)} probes')
    return bool(bad or silent)


sys.exit(main())
