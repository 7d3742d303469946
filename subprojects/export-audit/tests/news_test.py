# SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
"""What a job that runs again and again needs: mistyped filters, known findings, lines, SARIF."""
import json
import os
import re
import subprocess
import sys

from synthetic import ENV, check, equal, finish, git, scratch

FILES = {
    "Makefile": "obj-y += lib/ drivers/\n", "include/linux/a.h": "int a1(int x);\nint a2(int x);\n",
    "MAINTAINERS": "List\n----\n\nTHE LIBRARY\nM:\tA <a@example.org>\nF:\tlib/\n\nDRIVERS\n"
                   "M:\tD <d@example.org>\nF:\tdrivers/\n",
    "lib/Makefile": "obj-y += a.o\n", "drivers/Makefile": "obj-m += one.o\n",
    "include/linux/none.h": "",
    "lib/a.c": "#include <linux/a.h>\nEXPORT_SYMBOL_GPL(a1);\nEXPORT_SYMBOL_GPL(a2);\n",
    "drivers/one.c": "#include <linux/a.h>\nint init(void);\nint init(void)\n{\n\treturn a1(1);\n"
                     "}\n"}
MORE = FILES["lib/a.c"] + "EXPORT_SYMBOL_GPL(a3);\n"


class Tree:
    def __init__(self, directory, program):
        self.root, self.program, self.directory = directory + "/tree", program, directory
        subprocess.run(["git", "init", "-q", "-b", "main", self.root], env=ENV, check=True)
        self.put(FILES)
        self.commit("base")
        git(self.root, "tag", "v1.0")

    def put(self, files):
        for path, text in files.items():
            path = os.path.join(self.root, path)
            os.makedirs(os.path.dirname(path), exist_ok=True)
            with open(path, "w") as f:
                f.write(text)

    def commit(self, message):
        git(self.root, "add", "-A")
        git(self.root, "commit", "-q", "-m", message)

    def run(self, *args, cwd=None):
        r = subprocess.run([self.program, *args], capture_output=True, text=True, timeout=60,
                           cwd=cwd,
                           env=dict(ENV, XDG_CACHE_HOME=self.directory + "/cache"))
        return r.returncode, r.stdout, r.stderr

    def scan(self, *args):
        return self.run("scan", *args, self.root)


def refused(what, result, word):
    code, out, err = result
    check(what, code == 2 and out == "" and len(err.splitlines()) == 1 and word in err, result)


def test_mistyped(t):
    """A filter that matches nothing is no clean bill."""
    for args, word in ((["--path=li"], "li"), (["--path=lib/b*.c"], "b*"),
                       (["--symbol=a9*"], "a9*"),
                       (["--subsystem=libary"], "libary"),
                       (["--symbol=a1", "--subsystem=drivers"], "drivers")):
        refused(f"{args}", t.scan("--check", *args), word)
        refused(f"{args} without --check", t.scan(*args), word)
    for args in (["--path=include/linux"], ["--subsystem=drivers"],
                 ["--path=lib", "--licence=plain"], ["--symbol=a1", "--verdict=unconsumed"]):
        equal(f"{args}: nothing, rightly", t.scan("--check", "--csv", *args)[0], 0)
    equal("the check itself", t.scan("--check", "--path=lib")[0], 1)


def test_baseline(t):
    known = t.directory + "/known"
    refused("no file", t.scan("--check", "--baseline", known), "known")
    refused("no name", t.scan("--write-baseline"), "--baseline")
    equal("written", t.scan("--check", "--baseline", known, "--write-baseline")[0], 0)
    with open(known) as f:
        lines = f.read().splitlines()
    equal("what it lists", lines[1:], ["unconsumed\ta2\tlib/a.c"])
    code, _, err = t.scan("--check", "--baseline", known)
    equal("known", (code, err), (0, ""))
    t.put({"lib/a.c": MORE})
    code, out, err = t.scan("--check", "--gcc", "--baseline", known)
    equal("news", (code, err), (1, ""))
    equal("only news", out,
          f"{t.root}/lib/a.c:4: error: a3: no file but its own names it [unconsumed]\n")
    t.put({"drivers/one.c": FILES["drivers/one.c"].replace("a1(1)", "a1(a2(a3(1)))")})
    code, _, err = t.scan("--check", "--baseline", known)
    check("what is gone is said", code == 0 and "1 finding of" in err and "no more" in err,
          (code, err))
    t.put(FILES)
    for text in ("a2\n", "\tx\n"):
        with open(known, "w") as f:
            f.write(text)
        refused(f"{text!r}", t.scan("--baseline", known), "known:1")
    with open(known, "w") as f:
        f.write("# mine\n\nunconsumed\ta2\r\nunconsumed\ta22\tlib/a.c\n")
    equal("by hand", t.scan("--check", "--baseline", known)[0], 0)
    with open(known, "w") as f:
        f.write("unconsumed\ta22\tlib/a.c\nunconsumed\ta\tlib/a.c\n")
    equal("another name", t.scan("--check", "--baseline", known)[0], 1)


def test_since(t):
    equal("known in v1.0", t.scan("--check", "--since=v1.0")[0], 0)
    t.put({"lib/a.c": MORE})
    code, out, _ = t.scan("--check", "--gcc", "--since=v1.0")
    equal("a new one", (code, re.findall(r"error: (\w+)", out)), (1, ["a3"]))
    t.put(dict(FILES, **{"drivers/one.c": "int x;\n"}))
    code, out, _ = t.scan("--check", "--gcc", "--since=v1.0")
    equal("one that lost its consumer", (code, re.findall(r"error: (\w+)", out)), (1, ["a1"]))
    builtin = {"lib/Makefile": "obj-y += a.o b.o\n",
               "lib/b.c": "int b(void)\n{\n\treturn a2(1);\n}\n"}
    t.put(dict(FILES, **builtin))
    t.commit("built in")
    git(t.root, "tag", "v1.1")
    equal("for modules, known", t.scan("--check", "--modular", "--since=v1.1")[0], 0)
    equal("for modules, not written then", t.scan("--check", "--modular")[0], 1)
    os.remove(t.root + "/lib/b.c")
    equal("what only the kernel used",
          (t.scan("--check", "--since=v1.1")[0], t.scan("--check", "--modular", "--since=v1.1")[0]),
          (1, 0))
    git(t.root, "reset", "-q", "--hard", "v1.0")
    t.put(FILES)
    refused("no such tag", t.scan("--since=v9.9"), "v9.9")
    bare = t.directory + "/plain"
    os.mkdir(bare)
    for d in ("Makefile", "include", "lib"):
        os.symlink(os.path.join(t.root, d), os.path.join(bare, d))
    refused("no repository", t.run("scan", "--since=v1.0", bare), "git repository")


def sarif(path):
    with open(path) as f:
        log = json.load(f)
    equal("version", (log["version"], "sarif-schema-2.1.0" in log["$schema"], len(log["runs"])),
          ("2.1.0", True, 1))
    run = log["runs"][0]
    rules = [r["id"] for r in run["tool"]["driver"]["rules"]]
    for r in run["results"]:
        equal("rule index", rules[r["ruleIndex"]], r["ruleId"])
        check("a message", r["message"]["text"] and r["level"] in ("error", "note"), r)
        for place in r["locations"]:
            uri = place["physicalLocation"]["artifactLocation"]["uri"]
            check("a relative reference", not re.search(r"[^\w./~%+@-]", uri), uri)
            check("lines count from 1",
                  place["physicalLocation"].get("region", {"startLine": 1})["startLine"] > 0, r)
    return run["results"]


def test_sarif(t):
    path = t.directory + "/s.sarif"
    odd = "lib/a b\u00e4:1.c"
    t.put({odd: "EXPORT_SYMBOL_GPL(odd);\n"})
    code, out, err = t.scan("--sarif", path)
    found = sarif(path)
    equal("as ever beside it", (code, err, "unconsumed" in out), (0, "", True))
    equal("symbols", [r["locations"][0]["logicalLocations"][0]["name"] for r in found],
          ["a2", "odd"])
    equal("where", found[0]["locations"][0]["physicalLocation"]["artifactLocation"]["uri"],
          "lib/a.c")
    equal("an odd name", found[1]["locations"][0]["physicalLocation"]["artifactLocation"]["uri"],
          "lib/a%20b%C3%A4%3A1.c")
    check("no state without a baseline", "baselineState" not in found[0], found[0])
    t.scan("--sarif", path, "--since=v1.0")
    equal("states", [r["baselineState"] for r in sarif(path)], ["unchanged", "new"])
    code, out, _ = t.scan("--sarif=-")
    equal("to standard output", len(json.loads(out)["runs"][0]["results"]), 2)
    refused("no place", t.scan("--sarif", t.directory + "/no/where"), "where")
    os.remove(os.path.join(t.root, odd))


def test_gate(t):
    t.put({"lib/a.c": MORE})
    t.commit("export a3")
    path, known = t.directory + "/g.sarif", t.directory + "/gate-known"
    code, out, err = t.run("gate", t.root, "v1.0..HEAD", "--gcc", "--sarif", path,
                           "--rule=overdue=off")
    equal("gate", (code, err), (1, ""))
    check("a line", re.fullmatch(r"lib/a\.c:4: error: a3: a new export .* \[consumer\]\n", out),
          out)
    equal("gate's SARIF", [(r["ruleId"], r["level"]) for r in sarif(path)], [("consumer", "error")])
    equal("gate writes",
          t.run("gate", t.root, "v1.0..HEAD", "--baseline", known, "--write-baseline")[0], 0)
    code, out, _ = t.run("gate", t.root, "v1.0..HEAD", "--baseline", known)
    check("gate knows",
          code == 0 and out.startswith("known: consumer: a3") and "0 errors, 1 known" in out, out)
    code, out, _ = t.run("gate", t.root, "v1.0..HEAD", "--baseline", known, "--json")
    out = json.loads(out)
    equal("in JSON", (code, out["verdict"], out["findings"][0]["known"]), (0, "pass", True))
    code, out, _ = t.run("gate", t.root, "v1.0..HEAD", "--baseline", known, "--gcc")
    equal("no line", (code, "error:" in out), (0, False))
    git(t.root, "reset", "-q", "--hard", "v1.0")


def test_own(t):
    t.put({"lib/l.map": "L {\n\tglobal: gone;\n\tlocal: *; };\n",
           "include/l.h": "\nint extra(void);\n"})
    path = t.directory + "/o.sarif"
    code, out, err = t.run("own", "--map=lib/l.map", "--gcc", "--sarif", path, cwd=t.root)
    equal("own", (code, err, sorted(out.splitlines())[:1]), (
        1, "", ["include/l.h:2: error: extra: declared in a public header, not in the map [own]"]))
    check("the map's line", "lib/l.map:2: error: gone: in the map, defined nowhere [own]" in out,
          out)
    check("own's SARIF", {r["ruleId"] for r in sarif(path)} == {"own"}, path)
    git(t.root, "reset", "-q", "--hard", "v1.0")
    git(t.root, "clean", "-fdq")


def main():
    with scratch() as directory:
        t = Tree(directory, os.path.abspath(sys.argv[1]))
        for test in (test_mistyped, test_baseline, test_since, test_sarif, test_gate, test_own):
            test(t)
    finish()


main()
