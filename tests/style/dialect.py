#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
"""One dialect, as HACKING.md says it: width, names, licence lines, the order of includes, plain English."""
import pathlib
import re
import subprocess
import sys

COLUMNS = 100
TEXT = (".c", ".h", ".in", ".py", ".md", ".build", ".sh", ".1", ".3", ".5", ".7", ".8", ".map")
# Tables, and what programs printed, are as wide as they are.
WIDE = re.compile(r"^\s*\||https?://|^\.SH|^\t\S.*\s{3,}\S")


def tracked():
    names = subprocess.run(["git", "ls-files"], capture_output=True, text=True, check=True).stdout.split()
    for name in names:
        path = pathlib.Path(name)
        if (path.suffix in TEXT or name.startswith("scripts/")) and path.is_file() and "LICENSES" not in path.parts:
            yield path, path.read_text(errors="replace")


def comments(text):
    for found in re.finditer(r"/\*.*?\*/", text, flags=re.S):
        prose = re.sub(r"\n\s*\*? ?", " ", found[0][2:-2])
        yield text.count("\n", 0, found.start()) + 1, prose


def wide(path, text):
    fenced = False
    for number, line in enumerate(text.splitlines(), 1):
        fenced ^= line.startswith("```")
        if len(line.expandtabs(8)) <= COLUMNS:
            continue
        if path.suffix == ".md" and (WIDE.search(line) or (line.startswith("\t") and not fenced)):
            continue
        yield number, f"{len(line.expandtabs(8))} columns"


def names(path, text):
    if path.suffix in (".c", ".h"):
        code = re.sub(r"/\*.*?\*/|\"(?:[^\"\\\n]|\\.)*\"", lambda m: re.sub(r"[^\n]", " ", m[0]), text, flags=re.S)
        for found in re.finditer(r"\brc\b", code):
            yield text.count("\n", 0, found.start()) + 1, "rc: it is err, or ret where it can be more than an error"


def licence(path, text):
    wanted = {".c": "// SPDX-License-Identifier: ", ".h": "/* SPDX-License-Identifier: "}.get(path.suffix)
    if wanted and not text.startswith(wanted):
        yield 1, f"begins with {wanted}"


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
    wrong = []
    for path, text in tracked():
        for rule in (wide, names, licence, includes, english):
            wrong += [f"{path}:{number}: {what}" for number, what in rule(path, text)]
    if wrong:
        print("\n".join(wrong))
        sys.exit(f"{len(wrong)} places")


if __name__ == "__main__":
    if subprocess.run(["git", "rev-parse", "--is-inside-work-tree"], capture_output=True).returncode:
        print("no git work tree")
        sys.exit(77)
    main()
