#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
"""docs/protocol.md lists every mutation, every lock and every rule that the code cites.

What the page names is there.
"""
import pathlib
import re
import sys

SOURCE = pathlib.Path(sys.argv[1])
PAGE = (SOURCE / "docs/protocol.md").read_text()


def code(*folders):
    for folder in folders:
        for path in sorted((SOURCE / folder).rglob("*.[ch]")):
            yield path, path.read_text()


def table(heading):
    part = PAGE.split(f"## {heading}\n")[1].split("\n## ")[0]
    rows = [line.strip("|").split("|") for line in part.splitlines() if line.startswith("|")]
    return [[cell.strip() for cell in row] for row in rows[2:]]


def mutations():
    text = (SOURCE / "lib/base/mutation.h").read_text()
    return set(re.findall(r'X\([A-Z_]+, "([a-z-]+)"', text))


def locks():
    """The structures that have a lock, by its name."""
    found = set()
    for path, text in code("lib", "devices"):
        text = re.sub(r"/\*.*?\*/", "", text, flags=re.S)
        owner = path.stem
        for line in text.splitlines():
            start = re.match(r"struct (\w+) \{", line)
            if start:
                owner = f"struct {start[1]}"
            elif re.match(r"static struct \{", line):
                owner = path.stem
            lock = re.match(r"\tpthread_mutex_t\s*(\w*);?$", line.rstrip())
            if lock:
                found.add((lock[1], owner))
    return found


def main():
    rules, listed = table("The rules"), table("The locks")
    wrong = []
    named = {m for row in rules for m in re.split(r",\s*", row[3]) if m}
    for name in sorted(mutations() ^ named):
        wrong.append(f"mutation {name}: in one of lib/base/mutation.h and the table alone")
    numbers = {int(row[0].split(".")[0]) for row in rules}
    for path, text in code("lib", "devices", "preload"):
        for n in map(int, re.findall(r"[Rr]ule (\d+)", text)):
            if n not in numbers:
                wrong.append(f"{path.relative_to(SOURCE)}: rule {n} is not in the table")
    for row in rules:
        for place in re.findall(r"`([^`]+)`", row[2] + row[4]):
            if not (SOURCE / place).exists():
                wrong.append(f"rule {row[0].split('.')[0]}: {place} does not exist")
    have = {(lock, owner) for lock, owner in locks()}
    said = {(row[0].strip("`"), re.sub(r"\s*\(.*", "", row[1].strip("`"))) for row in listed}
    for lock, owner in sorted(have ^ said):
        wrong.append(f"lock {lock} of {owner}: in one of the code and the table alone")
    if wrong:
        sys.exit("\n".join(wrong))
    print(f"{len(rules)} rules, {len(named)} mutations, {len(have)} locks")


if __name__ == "__main__":
    main()
