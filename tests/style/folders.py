#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
"""folders.py LAYERS TESTS FOLDER/NAME...: do the tests of the library lie as the library does?

LAYERS (lib/layers) names the folders of the library: each has a folder of that name in TESTS, with
a test in it. Every FOLDER/NAME_test.c there is built: it is among the names given. No two headers
of TESTS have the same name.
"""
import collections
import pathlib
import sys


def folders(layers):
    for line in pathlib.Path(layers).read_text().splitlines():
        line = line.split("#")[0].strip()
        if line and " uses " not in line:
            yield line


def main():
    tests, built = pathlib.Path(sys.argv[2]), set(sys.argv[3:])
    wrong = []
    for folder in folders(sys.argv[1]):
        here = {f"{folder}/{path.name.removesuffix('_test.c')}"
                for path in (tests / folder).glob("*_test.c")}
        if not here:
            wrong.append(f"tests/{folder}: has no test, and the library has a folder of that name")
        wrong += [f"tests/{name}_test.c: is not built" for name in sorted(here - built)]
    headers = collections.defaultdict(list)
    for path in sorted(tests.rglob("*.h")):
        headers[path.name].append(str(path.relative_to(tests.parent)))
    wrong += [f"two headers of one name: {' '.join(paths)}"
              for paths in headers.values() if len(paths) > 1]
    if wrong:
        sys.exit("\n".join(wrong))
    print(f"{len(built)} programs, {len(headers)} headers")


if __name__ == "__main__":
    main()
