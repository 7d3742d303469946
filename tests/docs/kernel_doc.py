#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
"""kernel-doc --check finds what a comment lacks, and what its page has lost.

kernel_doc.py SOURCE_ROOT
"""
import importlib.machinery
import importlib.util
import os
import subprocess
import sys
import tempfile

SCRIPT = os.path.join(sys.argv[1], 'scripts/kernel-doc')
GOOD = '''/**
 * hmm_x() - does x
 * @a: the first, of which more
 *\tis said here
 *
 * As it is: hmm_x() again.
 *
 *\tx = y;
 *
 * - an item
 *   of two lines
 *
 * Context: any.
 * Return: 0; -EINVAL bad; -ENOMEM no
 * memory. Another -errno of the kernel's.
 * Since: 0.1.
 */
int hmm_x(int a);

/**
 * flags HMM_X_* - bits
 * @HMM_X_ONE: one
 * Since: 0.1.
 */
#define HMM_X_ONE (1U << 0)

/**
 * define HMM_SUM() - the sum of two
 * @x: one, see HMM_PLAIN
 * @y: two
 * Since: 0.1.
 */
#define HMM_SUM(x, y) ((x) + (y))

/**
 * define HMM_PLAIN - a constant
 * Since: 0.1.
 */
#define HMM_PLAIN \
	1

/**
 * struct hmm_s - a structure
 * @b: a member whose text
 *\tgoes on
 * Since: 0.1.
 */
struct hmm_s {
\tint b;
};
'''
CASES = {
    'lacks @a': (' * @a: the first, of which more\n *\tis said here\n', ''),
    'lacks a cause for -EINVAL': ('-EINVAL bad', '-EINVAL'),
    'lacks Context:': (' * Context: any.\n', ''),
    'lacks Since:': (' * @HMM_X_ONE: one\n * Since: 0.1.\n', ' * @HMM_X_ONE: one\n'),
    'lacks @HMM_X_TWO': ('#define HMM_X_ONE (1U << 0)\n',
                         '#define HMM_X_ONE (1U << 0)\n#define HMM_X_TWO 2\n'),
    'HMM_SUM lacks @y': (' * @y: two\n', ''),
    'lacks @c': ('\tint b;\n', '\tint b;\n\tint (*c)(int d);\n'),
    'lacks a blank line before "is said here"': (' *\tis said', ' * is said'),
    'explains @e, which is not there': (' * @b:', ' * @e: e\n * @b:'),
    'speaks of hmm_y, which nothing explains': ('hmm_x() again', 'hmm_y() again'),
    'speaks of HMM_Y, which nothing explains': ('hmm_x() again', 'HMM_Y again'),
    'hmm_z has no kernel-doc comment': ('int hmm_x(int a);', 'int hmm_x(int a);\nint hmm_z(void);'),
    'HMM_Z has no kernel-doc comment': ('/**\n * struct', '#define HMM_Z(a) 1\n\n/**\n * struct'),
    'a comment that is about nothing: DOC: words': (
        '/**\n * flags', '/**\n * DOC: words\n */\n\n/**\n * flags'),
}


def run(text):
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, 'x.h')
        with open(path, 'w', encoding='utf-8') as f:
            f.write(text)
        r = subprocess.run([sys.executable, SCRIPT, '--check', path], text=True,
                           stdout=subprocess.PIPE)
        return r.returncode, r.stdout


def lossy(module):
    """A generator that drops what follows a member's first line, as ours once did."""
    parse = module.Doc.parse

    def dropping(self, lines):
        parse(self, [line for i, line in enumerate(lines)
                     if not (line.startswith('\t') and lines[i - 1].startswith('@'))])
    module.Doc.parse = dropping


def loses():
    loader = importlib.machinery.SourceFileLoader('kernel_doc_script', SCRIPT)
    sys.dont_write_bytecode = True
    module = importlib.util.module_from_spec(
        importlib.util.spec_from_loader(loader.name, loader))
    loader.exec_module(module)
    lossy(module)
    headers = os.path.join(sys.argv[1], 'include/hmm')
    paths = sorted(os.path.join(headers, h) for h in os.listdir(headers))
    docs = module.read(paths)
    second = sum(line.startswith('\t') and before.startswith('@')
                 for d in docs for before, line in zip(d.lines, d.lines[1:]))
    return [b for b in module.check(paths, docs) if 'its page lacks' in b], second


def main():
    bad = []
    status, said = run(GOOD)
    if status:
        bad.append('a good header is refused: ' + said)
    for want, (old, new) in CASES.items():
        assert old in GOOD, old
        status, said = run(GOOD.replace(old, new, 1))
        if status != 1 or want not in said:
            bad.append('not found: %s\n%s' % (want, said))
    found, dropped = loses()
    # A short line's words may stand elsewhere on its page.
    if not dropped or len(found) < dropped * 9 // 10:
        bad.append('of a generator that drops %d lines it says: %s' % (dropped, found))
    print('\n'.join(bad) if bad else '%d cases, %d lost lines found' % (len(CASES), len(found)))
    return 1 if bad else 0


if __name__ == '__main__':
    sys.exit(main())
