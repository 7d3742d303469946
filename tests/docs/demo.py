#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
"""scripts/demo, on a build that is there: it begins with the purpose, writes no escape codes into a
pipe, and every part ends well.

demo.py SOURCE_ROOT BUILD
"""
import os
import re
import resource
import subprocess
import sys

root, build = sys.argv[1:3]
if not os.path.exists('/usr/share/wordnet/data.noun'):
    print('no wordnet-base here')
    sys.exit(77)
if subprocess.run([os.path.join(build, 'examples/stale')], capture_output=True).returncode == 77:
    print('no userfaultfd here')
    sys.exit(77)
before = resource.getrusage(resource.RUSAGE_CHILDREN)
r = subprocess.run([os.path.join(root, 'scripts/demo'), '--build', build], capture_output=True,
                   text=True, timeout=900, env=dict(os.environ, TERM='xterm'))
usage = resource.getrusage(resource.RUSAGE_CHILDREN)
# of the processors: a busy machine takes longer
took = usage.ru_utime + usage.ru_stime - before.ru_utime - before.ru_stime
print(r.stdout + r.stderr)
bad = []
if r.returncode or r.stderr:
    bad.append('status %d' % r.returncode)
if not r.stdout.startswith('libhmm gives a device'):
    bad.append('it does not begin with the purpose')
if re.search(r'[\x00-\x08\x0b-\x1f]', r.stdout):
    bad.append('control characters')
for line in (r'madvise as a raw system call +STALE +STALE +right$',
             r'^sound: \d+ hostile operations .* 0 stale', r'comes and goes: .* 0 wrong$',
             r'device faults +\d+ in \d+ batches', r'verified +yes', r'the device holds'):
    if not re.search(line, r.stdout, re.M):
        bad.append('no line like ' + line)
if took > 120 * os.cpu_count():
    bad.append('it took %.0f s of the processors' % took)
print('\n'.join(bad))
sys.exit(1 if bad else 0)
