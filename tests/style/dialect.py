#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
"""One dialect, as HACKING.md says it, in every file that git knows.

Width, names, licence lines, the order of includes, plain English. Exit status 77 without git.

dialect.py [SOURCE_ROOT]
"""
import os
import pathlib
import re
import subprocess
import sys

COLUMNS = 100
TEXT = (".c", ".h", ".in", ".py", ".md", ".build", ".sh", ".1", ".3", ".5", ".7", ".8", ".map")
# Texts without such a suffix; a script is known by its first line.
NAMES = ("README", "layers", "meson_options.txt", "packages", "Kbuild", "modules")
# A row of a table cannot be broken, also where a script holds the page that it writes.
ROW = re.compile(r"^\s*\|.*\|$")
# In Markdown: tables, addresses, and what programs printed.
WIDE = re.compile(r"^\s*\||https?://|^\.SH|^\t\S.*\s{3,}\S")


def tracked():
    """The project's own texts; others' licences, symbols of Linux and the dump of abidw are not."""
    command = ["git", "ls-files", "-z"]
    listed = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    for name in listed.split("\0"):
        path = pathlib.Path(name)
        if not path.is_file():
            continue
        text = path.read_text(errors="replace")
        if path.suffix in TEXT or path.name in NAMES or text.startswith("#!"):
            yield path, text


def comments(text):
    for found in re.finditer(r"/\*.*?\*/", text, flags=re.S):
        prose = re.sub(r"\n\s*\*? ?", " ", found[0][2:-2])
        yield text.count("\n", 0, found.start()) + 1, prose


def wide(path, text):
    fenced = False
    for number, line in enumerate(text.splitlines(), 1):
        fenced ^= line.startswith("```")
        if len(line.expandtabs(8)) <= COLUMNS or ROW.search(line):
            continue
        if path.suffix == ".md" and (WIDE.search(line) or (line.startswith("\t") and not fenced)):
            continue
        yield number, f"{len(line.expandtabs(8))} columns"


NO_CODE = re.compile(r"/\*.*?\*/|\"(?:[^\"\\\n]|\\.)*\"", flags=re.S)


def names(path, text):
    if path.suffix in (".c", ".h"):
        code = NO_CODE.sub(lambda found: re.sub(r"[^\n]", " ", found[0]), text)
        for found in re.finditer(r"\brc\b", code):
            number = text.count("\n", 0, found.start()) + 1
            yield number, "rc: it is err, or ret where it can be more than an error"


def licence(path, text):
    begin = {".c": "//", ".h": "/*"}.get(path.suffix)
    if begin and not text.startswith(f"{begin} SPDX-License-Identifier: "):
        yield 1, f"does not begin with {begin} SPDX-License-Identifier:"


def includes(path, text):
    """Ours first, then the system's."""
    if path.suffix != ".c" or path.parts[0] != "lib":
        return
    angle = None
    for number, line in enumerate(text.splitlines(), 1):
        if line.startswith("#include <"):
            angle = number
        elif line.startswith('#include "') and angle:
            yield number, "behind the system's headers"


# Words that leave the reader to guess who acts. "who" may follow a noun, and may ask: who holds it?
NOUNLESS = re.compile(
    r"(?:^|[.:;] )\s*(Who\b[^.?!]*)([.?!]|$)"
    r"|\b((?:as|behind|beside|but|by|for|from|of|than|to) who\b[^.?!]*)([.?!]|$)"
    r"|\b([Ww]hoever\b[^.?!]*)([.?!]|$)"
)
# In comments a colon may stand before a clause, or before what a file or a parameter is.
CLAUSE = re.compile(r"(?<!\.[ch])(?<!@owner)[:;] (who\b[^.?!]*)([.?!]|$)")
PERSON = re.compile(r"\b([Hh]e|[Hh]im|[Hh]is|[Hh]imself)\b[^.?!]*()")


def english(path, text):
    """A sentence names who acts, and a thread, a driver or a program is "it"."""
    if path.suffix not in (".c", ".h", ".md", ".1", ".7"):
        return
    code = path.suffix in (".c", ".h")
    prose = comments(text) if code else enumerate(text.splitlines(), 1)
    for number, part in prose:
        for pattern in (NOUNLESS, CLAUSE, PERSON) if code else (NOUNLESS,):
            for found in pattern.finditer(part.strip()):
                clause, end = [group for group in found.groups() if group is not None]
                if end != "?":
                    yield number, f'who acts? "{clause[:50]}"'


def main():
    files, wrong = 0, []
    for path, text in tracked():
        files += 1
        for rule in (wide, names, licence, includes, english):
            wrong += [f"{path}:{number}: {what}" for number, what in rule(path, text)]
    if not files:
        print("git knows no file here")
        sys.exit(77)
    if wrong:
        print("\n".join(wrong))
        sys.exit(f"{len(wrong)} places")
    print(f"{files} files")


def work_tree():
    command = ["git", "rev-parse", "--is-inside-work-tree"]
    try:
        return subprocess.run(command, capture_output=True, check=False).returncode == 0
    except FileNotFoundError:
        return False


if __name__ == "__main__":
    os.chdir(sys.argv[1] if len(sys.argv) > 1 else pathlib.Path(__file__).parents[2])
    if not work_tree():
        print("no git work tree")
        sys.exit(77)
    main()
