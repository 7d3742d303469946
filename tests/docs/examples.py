#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
"""The examples of README and man pages do what they say. The README's driver is a part of
examples/walk.c, and what it shows of the examples is what they print. The driver of hmm-device(7)
compiles. Every command of hmm(1)'s EXAMPLES ends with status 0.

examples.py readme SOURCE_ROOT WALK STALE
examples.py device SOURCE_ROOT COMPILER...
examples.py command SOURCE_ROOT HMM
"""
import os
import re
import subprocess
import sys
import tempfile


SKIP = 'skip'


def plain(troff):
    return re.sub(r'\\e', r'\\', troff.replace('\\-', '-').replace('\\&', ''))


def readme(root, walk, stale):
    """Fits a screen, shows a part of examples/walk.c as it is, and what the examples print."""
    text = open(os.path.join(root, 'README.md'), encoding='utf-8').read()
    wide = [line for line in text.splitlines() if len(line.expandtabs(8)) > 100]
    if wide:
        return 'README: over 100 columns: ' + wide[0]
    block = re.search(r'```c\n(.*?)```', text, re.S)
    source = open(os.path.join(root, 'examples/walk.c'), encoding='utf-8').read()
    if not block or block.group(1) not in source:
        return 'README: the C block is no part of examples/walk.c'
    lines = block.group(1).splitlines()
    if len(lines) > 40 or any(len(line.expandtabs(8)) > 80 for line in lines):
        return 'README: the driver has grown, or is over 80 columns wide'
    why, install = text.index('build/examples/stale'), text.index('meson setup')
    if why > install or install > 2500:
        return 'README: why one wants this, and how to install it, are not on the first screen'
    return printed(text, stale, exact=True) or printed(text, walk, exact=False)


def printed(text, program, exact):
    """What stands below "$ build/examples/NAME" is what it prints; if not exact, up to numbers."""
    name = os.path.basename(program)
    shown = re.search(r'\t\$ build/examples/%s\n((?:\t.*\n|\n(?=\t))*)' % name, text)
    r = subprocess.run([program], stdout=subprocess.PIPE, text=True, timeout=400)
    if r.returncode == 77:
        return SKIP
    if r.returncode or not shown:
        return '%s: status %d, or not shown in the README' % (name, r.returncode)
    same = (lambda s: s) if exact else (lambda s: re.sub(r'\d+', '0', s))
    if same(re.sub(r'^\t', '', shown.group(1), flags=re.M)) != same(r.stdout):
        return 'README: %s prints something else:\n%s' % (name, r.stdout)
    return None


def device(root, compiler):
    page = open(os.path.join(root, 'man/hmm-device.7'), encoding='utf-8').read()
    code = plain(re.search(r'\.nf\n(static int map.*?)\.fi', page, re.S).group(1))
    rest = '\nint main(void)\n{\n\treturn ops.size != sizeof(ops);\n}\n'
    flags = ['-Wall', '-Wno-unused-parameter', '-Werror', '-x', 'c', '-fsyntax-only',
             '-I', os.path.join(root, 'include'), '-']
    r = subprocess.run(compiler + flags, input='#include <hmm/hmm.h>\n' + code + rest, text=True)
    return 'hmm-device(7): the example does not compile' if r.returncode else None


def command(root, hmm):
    page = open(os.path.join(root, 'man/hmm.1'), encoding='utf-8').read()
    lines = plain(re.search(r'\.SH EXAMPLES\n\.nf\n(.*?)\.fi', page, re.S).group(1)).splitlines()
    env = dict(os.environ, PATH=os.path.dirname(hmm) + ':' + os.environ['PATH'])
    bad = []
    with tempfile.TemporaryDirectory() as d:
        for line in lines:
            r = subprocess.run(['sh', '-c', line], cwd=d, env=env, stdout=subprocess.DEVNULL,
                               stderr=subprocess.PIPE, text=True, timeout=400)
            print('ok' if r.returncode == 0 else 'not ok', line)
            if r.returncode:
                bad.append('%s: status %d, %s' % (line, r.returncode, r.stderr.strip()))
    return '\n'.join(bad) or (None if len(lines) > 5 else 'hmm(1): no examples')


what, root = sys.argv[1:3]
problem = {
    'readme': lambda: readme(root, *map(os.path.abspath, sys.argv[3:])),
    'device': lambda: device(root, sys.argv[3:]),
    'command': lambda: command(root, os.path.abspath(sys.argv[3])),
}[what]()
if problem:
    print(problem)
sys.exit(77 if problem == SKIP else 1 if problem else 0)
