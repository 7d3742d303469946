#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
"""The manual's pages: what they show compiles, what they refer to exists, no line is joined to a
tag, the calls of the preload object are named, and they render without a warning.

pages.py check SOURCE_ROOT MAN3    SOURCE_ROOT/man/hmm* and every page of the folder MAN3
pages.py code PAGE WORDS OUT       writes the block of code of PAGE that begins with WORDS to OUT;
                                   of several, between "|", one after the other
"""
import glob
import os
import re
import shutil
import subprocess
import sys

WIDTH = 100
# Of a tag that is plain text. A longer one is a sentence that slipped into it.
TAG_MAX = 50
OURS = re.compile(r'^(hmm|HMM_|export-audit|dax-mirror-test)')


def plain(troff):
    troff = re.sub(r'\\f[BIRP]|\\&', '', troff)
    for code, char in (('\\-', '-'), ('\\(aq', "'"), ('\\e', '\\'), ('\\(ha', '^'), ('\\(ti', '~')):
        troff = troff.replace(code, char)
    return troff


def read(path):
    with open(path, encoding='utf-8') as f:
        return f.read()


def blocks(text):
    return [plain(b) for b in re.findall(r'^\.nf\n(.*?)^\.fi', text, re.M | re.S)]


def name(path):
    """hmm-device(7) of .../hmm-device.7"""
    return re.sub(r'\.(\d)$', r'(\1)', os.path.basename(path))


def references(text):
    """Pages that a page names: ".BR hmm_x (3)", "\\fBhmm_x\\fP(3)", "hmm\\-device(7)"."""
    flat = re.sub(r'^\.BR "?([^" ]+)"? "?\((\d)\)', r'\1(\2)', text, flags=re.M)
    return set(re.findall(r'([\w-]+\(\d\))', plain(flat)))


def sources(root):
    """What the programs and the library say: their literals, joined as the compiler does."""
    paths = glob.glob(root + '/lib/**/*.c', recursive=True) + glob.glob(root + '/tools/hmm/**/*.c',
                                                                       recursive=True)
    return re.sub(r'"\s*"', '', ' '.join(read(p) for p in paths))


def quoted(text):
    """Messages that a page quotes: lines in a block of their own below "Symptom" or a cause."""
    for block in re.findall(r'^\.RS\n\.PP\n\.nf\n(.*?)^\.fi', text, re.M | re.S):
        yield from re.sub(r'\\\n', '', plain(block)).splitlines()


def misjoined(path, text):
    """Lines that were joined although troff gives each its own meaning: text behind the tag of a
    .TP, which becomes the tag, and text behind "(N)." in a .BR line, which loses its spaces."""
    lines = text.splitlines()
    for n, line in enumerate(lines, 1):
        tag = plain(line)
        if n > 1 and lines[n - 2] == '.TP' and line[:1] != '.' and (
                len(tag) > TAG_MAX or tag[-1:] in '.,;:' or re.search(r' [A-Z][a-z]*\b(?!_)', tag)):
            yield '%s:%d: a sentence in the tag "%s"' % (name(path), n, tag)
        if re.match(r'\.[BIR]{2} .*\(\d\)[.,;:)]* [^" ]', line):
            yield '%s:%d: text behind a reference: "%s"' % (name(path), n, tag)


def unexplained(root):
    """Calls that libhmm-preload.so stands in front of and hmm-coherence(7) does not name."""
    page = read(root + '/man/hmm-coherence.7')
    section = re.search(r'^\.SH THE PRELOAD OBJECT\n(.*?)^\.SH', page, re.M | re.S)
    words = set(re.findall(r'\w+', plain(section.group(1)))) if section else set()
    calls = re.findall(r'^\tFIND\(_*(\w+)\);', read(root + '/preload/preload.c') +
                       read(root + '/preload/handlers.c'), re.M)
    bad = ['hmm-coherence(7) does not say that %s() is told of' % c
           for c in sorted(set(calls) - words)]
    return bad if len(calls) > 15 else bad + ['preload/: where are the calls?']


def render(paths):
    """What mandoc and groff complain about."""
    found = []
    if shutil.which('mandoc'):
        r = subprocess.run(['mandoc', '-T', 'lint', '-W', 'warning'] + paths, text=True,
                           stdout=subprocess.PIPE)
        # Pages carry a version; dates would make builds differ.
        found += [line for line in r.stdout.splitlines() if 'missing date' not in line]
    if shutil.which('groff'):
        r = subprocess.run(['groff', '-man', '-t', '-ww', '-Tutf8', '-z'] + paths, text=True,
                           stderr=subprocess.PIPE)
        found += r.stderr.splitlines()
    return found


def check(root, man3):
    pages = sorted(glob.glob(root + '/man/*.[1-9]') + glob.glob(man3 + '/*.3'))
    known = {name(p) for p in pages} | {'export-audit(1)'}
    said = sources(root)
    bad = []
    for path in pages:
        text = read(path)
        bad += ['%s:%d: %d columns' % (name(path), n, len(line))
                for n, line in enumerate(text.splitlines(), 1) if len(line) > WIDTH]
        if not path.endswith('.3'):  # of which scripts/kernel-doc makes the lines
            bad += misjoined(path, text)
        bad += ['%s refers to %s, which is no page' % (name(path), r)
                for r in sorted(references(text)) if OURS.match(r) and r not in known]
        bad += ['%s quotes "%s", which nothing says' % (name(path), q)
                for q in quoted(text) if q.removeprefix('libhmm: ') not in said]
    bad += unexplained(root)
    bad += render(pages)
    print('\n'.join(bad) if bad else '%d pages' % len(pages))
    if not bad and not (shutil.which('mandoc') or shutil.which('groff')):
        print('neither mandoc nor groff is installed: not rendered')
        return 77
    return 1 if bad or len(pages) < 50 else 0


def code(page, words, out):
    text = []
    for start in words.split('|'):
        found = [b for b in blocks(read(page)) if b.startswith(start)]
        if len(found) != 1:
            print('%s: %d blocks begin with "%s"' % (name(page), len(found), start))
            return 1
        text += found
    with open(out, 'w', encoding='utf-8') as f:
        f.write('\n'.join(text))
    return 0


if __name__ == '__main__':
    sys.exit({'check': check, 'code': code}[sys.argv[1]](*sys.argv[2:]))
