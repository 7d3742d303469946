# SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
"""Trees that are no kernel: modules beside a kernel and alone; releases that are no vX.Y."""
import json
import os
import re
import subprocess
import sys

from synthetic import Program, Repo, check, equal, finish, refused, scratch

KERNEL = {
    "Makefile": "obj-y += lib/ drivers/\n", "lib/Makefile": "obj-y += a.o\n",
    "drivers/Makefile": "obj-m += one.o\n",
    "Kconfig": "config ONE\n\ttristate \"one\"\n",
    "include/linux/a.h": "int a1(int x);\nint a2(int x);\nint a3(int x);\n",
    "lib/a.c": "#include <linux/a.h>\n" + "".join(
        f"int a{i}(int x)\n{{\n\treturn x;\n}}\nEXPORT_SYMBOL_GPL(a{i});\n" for i in (1, 2, 3, 4)),
    "drivers/one.c": "#include <linux/a.h>\nint init(void)\n{\n\treturn a1(1);\n}\n"}
KERNEL.update({f"lib/more{i}.c": "" for i in range(30)})  # more files than the modules have
USE = "#include <linux/a.h>\n#include \"m.h\"\nint init(void)\n{\n\treturn %s(1);\n}\n"
MODULES = {
    "Makefile": "obj-m += two.o sub/ pair.o\npair-objs := p.o q.o\n"
                "obj-$(CONFIG_NOT_IN_KCONFIG) += three.o\n",
    "sub/Makefile": "obj-m += four.o\n", "m.h": "int m1(int x);\nint m2(int x);\n",
    "two.c": USE % "a2", "three.c": "#ifdef CONFIG_NOT_IN_KCONFIG\n" + USE % "a3" + "#endif\n",
    "sub/four.c": USE % "m1" + "int m2(int x) { return x; }\nEXPORT_SYMBOL(m2);\n",
    "p.c": USE % "m3", "q.c": "int m3(int x)\n{\n\treturn x;\n}\nEXPORT_SYMBOL_GPL(m3);\n",
    "five.c": "int m1(int x)\n{\n\treturn x;\n}\nEXPORT_SYMBOL_GPL(m1);\n"}


def put(root, files):
    for path, text in files.items():
        path = os.path.join(root, path)
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, "w") as f:
            f.write(text)
    return root


def scan(program, *args):
    r = subprocess.run([program, "scan", "--json", *args], capture_output=True, text=True,
                       timeout=60)
    equal(f"{args}", (r.returncode, r.stderr), (0, ""))
    return {s["name"]: s for s in json.loads(r.stdout)["symbols"]}


def test_with(program, directory):
    kernel, modules = put(directory + "/kernel", KERNEL), put(directory + "/mods", MODULES)
    alone = scan(program, kernel)
    equal("the kernel alone", [n for n, s in alone.items() if s["verdict"] == "consumed"], ["a1"])
    for args in (("--tree", kernel, "--with", modules), (kernel, "--with=" + modules + "/")):
        both = scan(program, *args)
        equal("who consumes", {n: s["consumers"] for n, s in both.items()}, {
            "a1": ["drivers/one.c"], "a2": ["+mods/two.c"], "a3": ["+mods/three.c"], "a4": [],
            "m1": ["+mods/sub/four.c"], "m2": [], "m3": []})
        equal("where", (both["m1"]["file"], both["m2"]["verdict"]), ("+mods/five.c", "unconsumed"))
    equal("of the kernel only", sorted(scan(program, kernel, "--with", modules, "--path=lib")),
          ["a1", "a2", "a3", "a4"])
    equal("of the modules only", sorted(scan(program, kernel, "--with", modules, "--path=+mods")),
          ["m1", "m2", "m3"])
    other = put(directory + "/other/mods", {"Makefile": "obj-m += x.o\n", "x.c": USE % "a4"})
    third = put(directory + "/third", {"Kbuild": "obj-m += x.o\n", "x.c": USE % "a4"})
    equal("two of them",
          scan(program, kernel, "--with", modules, "--with", third)["a4"]["consumers"],
          ["+third/x.c"])
    for args, word in (((kernel, "--with", modules, "--with", other), "same name"),
                       ((kernel, "--with", modules + "/sub/x"), "x"),
                       ((kernel, "--with", kernel + "/include"), "Makefile"),
                       ((kernel, "--tree", kernel), "one source tree")):
        r = subprocess.run([program, "scan", *args], capture_output=True, text=True, timeout=60)
        check(f"refused {args}", r.returncode == 2 and word in r.stderr and not r.stdout, r)


def test_alone(program, directory):
    found = scan(program, directory + "/mods")
    equal("modules alone", {n: s["consumers"] for n, s in found.items()},
          {"m1": ["sub/four.c"], "m2": [], "m3": []})


def test_tags(p, directory):
    """Windows are counted from one release to the next."""
    r = Repo(directory + "/repo")
    used, unused = USE % "m1", USE % "m9"
    r.commit("main", "base", dict(MODULES, **{"sub/four.c": used}))
    r.tag("mods-1.9", annotated=False)
    for i, tag in enumerate(("mods-1.10-rc1", "mods-1.10", "mods-2.04", "mods-2.04.1", "v9.0",
                             "mods-x", "mods-3.0-beta")):
        r.commit("main", tag, {"sub/four.c": unused, "README": str(i)})
        r.tag(tag)

    def history(*args):
        out = p.run("history", r.path, "--json", *args)
        check(f"history {args}", out.returncode in (0, 1) and out.stderr == "", out)
        return out.returncode, json.loads(out.stdout)

    status, out = history("--tags=mods-*")
    equal("releases", [(x["tag"], x["window"]) for x in out["releases"]],
          [("mods-1.9", 0), ("mods-1.10", 1), ("mods-2.04", 2), ("mods-2.04.1", 3)])
    m1 = next(s for s in out["symbols"] if s["name"] == "m1")
    equal("m1", (status, m1["exported"], m1["unconsumed_since"], m1["candidate"]),
          (1, "mods-1.9", "mods-1.10", True))
    _, out = history("--tags=mods-*", "--rc")
    equal("candidates", [(x["tag"], x["window"]) for x in out["releases"]][1:3],
          [("mods-1.10-rc1", 1), ("mods-1.10", 1)])
    for bad in ("mods-", "*-*", ""):
        check("says why", "*" in refused(p, bad, "history", r.path, "--tags", bad), bad)
    check("no such tag", "zfs-*" in refused(p, "zfs", "history", r.path, "--tags", "zfs-*"))
    r.commit("topic", "another export", {"five.c": MODULES["five.c"] + "EXPORT_SYMBOL_GPL(m4);\n"},
             start="main")
    out = p.run("gate", r.path, "main..topic", "--tags=mods-*")
    check("gate knows releases", re.search(r"stale: m1 .*more than 1 window", out.stdout),
          out.stdout)
    out = p.run("gate", r.path, "main..topic", "--tags=nothing-*")
    check("gate without", "no release tag (nothing-*)" in out.stdout, out.stdout)


def main():
    program = os.path.abspath(sys.argv[1])
    with scratch() as directory:
        test_with(program, directory)
        test_alone(program, directory)
        test_tags(Program(program, directory), directory)
    finish()


main()
