#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
"""layers.py LAYERS OBJECTS...: does any file, or folder, call one that calls it?

LAYERS names the folders from the bottom up, a line each; '#' begins a comment. A folder may use
itself and those before it. "." stands for files beside the folders. "FOLDER uses FOLDER: SYMBOL"
allows one use upwards. OBJECTS are folders of object files as Meson names them (folder_file.c.o).
What the files use of each other is read from the objects' symbols, not from includes.
"""
import collections
import pathlib
import subprocess
import sys


class Layers:
    def __init__(self, path):
        self.order = []
        self.allowed = set()
        for line in pathlib.Path(path).read_text().splitlines():
            line = line.split("#")[0].strip()
            if " uses " in line:
                user, rest = line.split(" uses ")
                used, symbol = rest.split(": ")
                self.allowed.add((user, used, symbol))
            elif line:
                self.order.append(line)

    def folder(self, name):
        """Of an object's name: the longest folder that it begins with."""
        fitting = [f for f in self.order if name.startswith(f.replace("/", "_") + "_")]
        if not fitting and "." in self.order and "_" not in name:
            return "."
        return max(fitting, key=len) if fitting else None

    def position(self, name):
        return self.order.index(self.folder(name))


def plain(path):
    name = path.name.removesuffix(".c.o").removeprefix("meson-generated_")
    while name.startswith(".._"):
        name = name[3:]
    return name


def read(folders):
    """Who defines a symbol, and what each file wants from elsewhere."""
    defined, wanted = {}, collections.defaultdict(set)
    for path in sorted(p for f in folders for p in pathlib.Path(f).glob("*.o")):
        out = subprocess.run(["nm", path], capture_output=True, text=True, check=True).stdout
        for fields in map(str.split, out.splitlines()):
            if fields[-2] in "TDBRVWC":
                defined.setdefault(fields[-1], plain(path))
            elif fields[-2] in "Uw":
                wanted[plain(path)].add(fields[-1])
        wanted[plain(path)] |= set()
    return defined, wanted


def uses(folders):
    defined, wanted = read(folders)
    graph = {user: collections.defaultdict(set) for user in wanted}
    for user, symbols in wanted.items():
        for symbol in symbols & defined.keys():
            if defined[symbol] != user:
                graph[user][defined[symbol]].add(symbol)
    return graph


def reach(graph, start):
    seen, todo = set(), [start]
    while todo:
        for used in graph[todo.pop()]:
            if used not in seen:
                seen.add(used)
                todo.append(used)
    return seen


def circles(graph):
    """Each use that is part of a circle of files."""
    behind = {user: reach(graph, user) for user in graph}
    for user in sorted(graph):
        for used, symbols in sorted(graph[user].items()):
            if user in behind[used]:
                yield (f"circle: {user} uses {used}, which comes back to it: "
                       f"{' '.join(sorted(symbols))}")


def upwards(graph, layers):
    for user in sorted(graph):
        if layers.folder(user) is None:
            yield f"no layer: {user}"
            continue
        for used, symbols in sorted(graph[user].items()):
            if layers.folder(used) is None or layers.position(used) <= layers.position(user):
                continue
            symbols = {s for s in symbols
                       if (layers.folder(user), layers.folder(used), s) not in layers.allowed}
            if symbols:
                yield f"upwards: {user} uses {used}: {' '.join(sorted(symbols))}"


def main():
    layers = Layers(sys.argv[1])
    graph = uses(sys.argv[2:])
    if len(graph) < 10:
        sys.exit(f"only {len(graph)} objects in {sys.argv[2:]}: is it built?")
    found = [*circles(graph), *upwards(graph, layers)]
    if found:
        sys.exit("\n".join(found))
    edges = sum(map(len, graph.values()))
    print(f"{len(graph)} files, {edges} uses of each other, no circle")


if __name__ == "__main__":
    main()
