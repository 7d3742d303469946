#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
"""The examples of README and man pages do what they say: the README's driver is examples/walk.c, the driver of
hmm-device(7) compiles, every command of hmm(1)'s EXAMPLES ends with status 0.

examples.py readme|device|command SOURCE_ROOT [HMM] [COMPILER]
"""
import os
import re
import subprocess
import sys
import tempfile


def plain(troff):
    return re.sub(r'\\e', r'\\', troff.replace('\\-', '-').replace('\\&', ''))


def readme(root):
    text = open(os.path.join(root, 'README.md'), encoding='utf-8').read()
    block = re.search(r'```c\n(.*?)```', text, re.S)
    source = open(os.path.join(root, 'examples/walk.c'), encoding='utf-8').read()
    source = re.sub(r'^/\* SPDX.*\n', '', source)
    if not block or block.group(1) != source:
        return 'README: the C block is not examples/walk.c'
    if len(source.splitlines()) > 52:
        return 'README: the driver has grown'
    return None


def device(root, compiler):
    page = open(os.path.join(root, 'man/hmm-device.7'), encoding='utf-8').read()
    code = plain(re.search(r'\.nf\n(static int map.*?)\.fi', page, re.S).group(1))
    rest = '\nint main(void)\n{\n\treturn ops.size != sizeof(ops);\n}\n'
    r = subprocess.run(compiler + ['-Wall', '-Wno-unused-parameter', '-Werror', '-x', 'c', '-fsyntax-only', '-I',
                                   os.path.join(root, 'include'), '-'], input='#include <hmm/hmm.h>\n' + code + rest, text=True)
    return 'hmm-device(7): the example does not compile' if r.returncode else None


def command(root, hmm):
    page = open(os.path.join(root, 'man/hmm.1'), encoding='utf-8').read()
    lines = plain(re.search(r'\.SH EXAMPLES\n\.nf\n(.*?)\.fi', page, re.S).group(1)).splitlines()
    env = dict(os.environ, PATH=os.path.dirname(hmm) + ':' + os.environ['PATH'])
    bad = []
    with tempfile.TemporaryDirectory() as d:
        for line in lines:
            r = subprocess.run(['sh', '-c', line], cwd=d, env=env, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, timeout=120)
            print('ok' if r.returncode == 0 else 'not ok', line)
            if r.returncode:
                bad.append('%s: status %d, %s' % (line, r.returncode, r.stderr.strip()))
    return '\n'.join(bad) or (None if len(lines) > 5 else 'hmm(1): no examples')


what, root = sys.argv[1:3]
problem = {'readme': lambda: readme(root), 'device': lambda: device(root, sys.argv[3:]),
           'command': lambda: command(root, os.path.abspath(sys.argv[3]))}[what]()
if problem:
    print(problem)
sys.exit(1 if problem else 0)
