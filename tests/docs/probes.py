#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
"""The probes of the library are those that hmm-debug(7) lists, with as many arguments each.

probes.py SOURCE_ROOT LIBRARY
"""
import re
import shutil
import subprocess
import sys


def in_page(root):
    page = open(root + '/man/hmm-debug.7', encoding='utf-8').read()
    table = re.search(r'^probe\targuments\twhen\n_\n(.*?)^\.TE', page, re.S | re.M).group(1)
    rows = re.findall(r'^(\w+)\t([^\t\n]+)\t', table, re.M)
    # the space comes before those
    return {name: 1 + len(arguments.split(', ')) for name, arguments in rows}


def in_library(library):
    """By the notes: names and numbers of arguments, the same at each place of a name."""
    notes = subprocess.run(['readelf', '--notes', '--wide', library], text=True, check=True,
                           capture_output=True).stdout
    found = {}
    note = r'Provider: (\S+)\s+Name: (\S+)\s+Location:.*\s+Arguments: (.*)'
    for provider, name, arguments in re.findall(note, notes):
        assert provider == 'libhmm', provider
        n = len(re.findall(r'-?\d+@', arguments))
        assert found.setdefault(name, n) == n, f'{name} has {found[name]} and {n} arguments'
    return found


def main():
    root, library = sys.argv[1:]
    if not shutil.which('readelf'):
        print('readelf is not installed')
        return 77
    page, built = in_page(root), in_library(library)
    assert len(page) >= 9, page
    for name in sorted(set(page) | set(built)):
        if page.get(name) != built.get(name):
            print(f'{name}: the page has {page.get(name)} arguments, the library {built.get(name)}')
    return page != built


sys.exit(main())
