# SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
"""history on an invented kernel whose every answer is known."""
import json
import os
import subprocess
import sys

from synthetic import ENV, Program, Repo, check, equal, finish, git, refused, scratch

MAINTAINERS = """CORE
M:\tAda Core <ada@example.org>
F:\tmm/
F:\tinclude/

DRIVERS
M:\tBo Driver <bo@example.org>
F:\tdrivers/

THE REST
M:\tLi <li@example.org>
F:\t*
F:\t*/
"""


def core(*symbols):
    """A built-in file; "name" is exported GPL, "name!" plain."""
    out = ["#include <linux/core.h>\n"]
    for s in symbols:
        name = s.rstrip("!")
        suffix = "" if s.endswith("!") else "_GPL"
        out.append(f"int {name}(int x)\n{{\n\treturn x;\n}}\nEXPORT_SYMBOL{suffix}({name});\n")
    return "\n".join(out)


def driver(*calls):
    body = "".join(f"\tx += {c}(x);\n" for c in calls)
    return ("#include <linux/core.h>\n#include <linux/module.h>\n"
            f"static int drv_init(void)\n{{\n\tint x = 0;\n\n{body}\treturn x;\n}}\n"
            "module_init(drv_init);\nMODULE_LICENSE(\"GPL\");\n")


HEADER = """int in_time(int x);
int inlined(int x);
static inline int wrapper(int x)
{
	return inlined(x);
}
"""


def make(path):
    r = Repo(path)
    r.commit("main", "base", {
        "Makefile": "obj-y += mm/ drivers/\n", "MAINTAINERS": MAINTAINERS,
        "include/linux/core.h": HEADER, "include/linux/module.h": "#define module_init(x)\n",
        "mm/Makefile": "obj-y += a.o b.o c.o\n", "mm/b.c": core(),
        "mm/a.c": core("moved", "early"), "mm/c.c": core("old_name"),
        "drivers/Makefile": "obj-m += one.o two.o\n",
        "drivers/one.c": driver("moved", "early", "old_name"), "drivers/two.c": driver(),
        "Documentation/x.c": "EXPORT_SYMBOL(not_source);\n"})
    r.tag("v1.0")
    # v1.1: most exports appear; one of them on a branch that is merged
    r.commit("main", "mm: exports", {
        "mm/a.c": core("moved", "early", "in_time", "same_window", "late", "gap", "lost",
                       "relicensed", "inlined"),
        "drivers/one.c": driver("moved", "early", "old_name", "same_window", "gap", "lost",
                                "relicensed")})
    never = r.commit("side", "mm: never used", {
        "mm/d.c": core("never"), "mm/Makefile": "obj-y += a.o b.o c.o d.o\n"}, start="v1.0")
    r.commit("main", "merge side", {
        "mm/d.c": core("never"), "mm/Makefile": "obj-y += a.o b.o c.o d.o\n"}, parents=["side"])
    r.tag("v1.1-rc1", "main~1")
    r.tag("v1.1", annotated=False)
    r.tag("v1.1.1")  # a stable release is no merge window
    # v1.2
    r.commit("main", "drivers: use in_time; mm: two that go again", {
        "drivers/two.c": driver("in_time"),
        "mm/d.c": core("never", "reverted", "comes_back")})
    r.tag("v1.2")
    # v1.3: a move, a rename, a lost consumer
    r.commit("main", "mm: move, rename", {
        "mm/a.c": core("early", "in_time", "same_window", "late", "gap", "lost", "relicensed",
                       "inlined"),
        "mm/b.c": core("moved"), "mm/c.c": core("new_name"),
        "drivers/one.c": driver("moved", "early", "new_name", "same_window", "lost",
                                "relicensed")})
    r.tag("v1.3")
    # v1.4: a late consumer, reverts, another lost one, a licence
    r.commit("main", "mm: reverts, licence", {
        "mm/a.c": core("early", "in_time", "same_window", "late", "gap", "lost", "relicensed!",
                       "inlined"),
        "mm/d.c": core("never"),
        "drivers/one.c": driver("moved", "early", "new_name", "same_window", "relicensed"),
        "drivers/two.c": driver("in_time", "late")})
    r.tag("v1.4")
    r.tag("v1.4-again")
    # v1.5: consumers come back; the inline function is called
    r.commit("main", "drivers: more users", {
        "mm/d.c": core("never", "comes_back"),
        "drivers/two.c": driver("in_time", "late", "gap", "wrapper")})
    r.tag("v1.5")
    r.commit("main", "nothing of note", {"README": "hello\n"})
    r.tag("v1.6")
    r.tag("v2.0")  # the same commit under two versions
    return r, never


DEFAULT = {"licence": "GPL", "subsystem": "CORE", "verdict": "consumed", "exported_earlier": False,
           "consumer": "drivers/one.c", "late": 0, "gaps": [], "licence_changes": [], "moves": [],
           "removed": None, "renamed_from": None, "renamed_to": None, "unconsumed_since": None,
           "overdue": 0, "candidate": False, "commit": None, "file": "mm/a.c"}


def expected(never):
    def sym(exported, consumed, **kw):
        s = dict(DEFAULT, exported=exported, consumed=consumed, **kw)
        if consumed is None:
            s["consumer"] = None
        return s

    return {
        "early": sym("v1.0", "v1.0", exported_earlier=True),
        "moved": sym("v1.0", "v1.0", exported_earlier=True, file="mm/b.c",
                     moves=[{"release": "v1.3", "from": "mm/a.c", "to": "mm/b.c"}]),
        "old_name": sym("v1.0", "v1.0", exported_earlier=True, file="mm/c.c", removed="v1.3",
                        renamed_to="new_name"),
        "new_name": sym("v1.3", "v1.3", file="mm/c.c", renamed_from="old_name"),
        "same_window": sym("v1.1", "v1.1"),
        "in_time": sym("v1.1", "v1.2", consumer="drivers/two.c"),
        "late": sym("v1.1", "v1.4", consumer="drivers/two.c", late=2),
        "never": sym("v1.1", None, file="mm/d.c", verdict="unconsumed", unconsumed_since="v1.1",
                     overdue=4, candidate=True, commit=f'{never[:12]} ("mm: never used")'),
        "reverted": sym("v1.2", None, file="mm/d.c", verdict="unconsumed", removed="v1.4"),
        "comes_back": sym("v1.2", None, file="mm/d.c", verdict="unconsumed",
                          unconsumed_since="v1.5",
                          gaps=[{"kind": "unexported", "from": "v1.4", "to": "v1.5"}]),
        "relicensed": sym("v1.1", "v1.1", licence="plain",
                          licence_changes=[{"release": "v1.4", "from": "GPL", "to": "plain"}]),
        "gap": sym("v1.1", "v1.1",
                   gaps=[{"kind": "unconsumed", "from": "v1.3", "to": "v1.5"}]),
        "lost": sym("v1.1", "v1.1", verdict="unconsumed", unconsumed_since="v1.4", overdue=1,
                    candidate=True, gaps=[{"kind": "unconsumed", "from": "v1.4", "to": None}],
                    commit="exports"),
        "inlined": sym("v1.1", "v1.5", consumer="drivers/two.c", late=3),
    }


def test_answers(p, repo, never):
    r = p.run("history", repo, "--json", "--commits")
    equal("exit status", (r.returncode, r.stderr), (1, ""))
    out = json.loads(r.stdout)
    got = {s["name"]: s for s in out["symbols"]}
    want = expected(never)
    equal("symbols", sorted(got), sorted(want))
    for name, w in want.items():
        g = {k: got.get(name, {}).get(k) for k in w}
        if name == "lost" and g["commit"]:
            g["commit"] = "exports" if g["commit"].endswith('("mm: exports")') else g["commit"]
        for key, value in w.items():
            equal(f"{name}.{key}", g[key], value)
    releases = [(x["tag"], x["alias"], x["window"]) for x in out["releases"]]
    equal("releases", releases, [("v1.0", None, 0), ("v1.1", None, 1), ("v1.2", None, 2),
                                 ("v1.3", None, 3), ("v1.4", None, 4), ("v1.5", None, 5),
                                 ("v1.6", "v2.0", 6)])
    equal("counts", [(x["symbols"], x["unconsumed"]) for x in out["releases"]],
          [(3, 0), (11, 4), (13, 5), (13, 6), (11, 4), (12, 3), (12, 3)])


def names(p, repo, *args):
    r = p.run("history", repo, "--json", *args)
    return r.returncode, [s["name"] for s in json.loads(r.stdout)["symbols"]]


def test_options(p, repo):
    equal("candidates", names(p, repo, "--candidates"), (1, ["lost", "never"]))
    equal("glisse", names(p, repo, "--candidates", "--profile", "glisse"), (1, ["never"]))
    equal("deadline 5", names(p, repo, "--candidates", "--deadline", "5"), (0, []))
    equal("deadline 0", names(p, repo, "--candidates", "--deadline", "0"),
          (1, ["comes_back", "lost", "never"]))
    equal("unconsumed", names(p, repo, "--unconsumed"), (1, ["comes_back", "lost", "never"]))
    equal("to", names(p, repo, "--to", "v1.2", "--candidates"), (0, []))
    equal("to by alias", names(p, repo, "--from", "v1.4-again", "--to", "v2.0", "--candidates"),
          (1, ["lost", "never"]))
    equal("symbol", names(p, repo, "--symbol", "*_name"), (0, ["new_name", "old_name"]))
    equal("path", names(p, repo, "--path", "mm/c.c"), (0, ["new_name", "old_name"]))
    equal("folder", names(p, repo, "--path", "mm", "--symbol", "l*"), (1, ["late", "lost"]))
    for args in (("--path", "mm/c"), ("--symbol", "lat"), ("--subsystem", "nonesuch"),
                 ("--path", "mm/c.c", "--symbol", "late")):
        check(f"{args}: nothing like it",
              "never exported" in refused(p, "mistyped", "history", repo, *args))
    known = repo + "-known"
    equal("all that is overdue",
          p.run("history", repo, "--candidates", "--baseline", known,
                "--write-baseline").returncode, 0)
    with open(known) as f:
        lines = f.read().splitlines()[1:]
    check("listed", "overdue\tlost\tmm/" in "\n".join(lines), lines)
    r = p.run("history", repo, "--gcc", "--baseline", known)
    equal("known", (r.returncode, r.stdout, r.stderr), (0, "", ""))
    with open(known, "w") as f:
        f.write("\n".join(x for x in lines if "\tlost\t" not in x) + "\n")
    r = p.run("history", repo, "--gcc", "--sarif", known + ".sarif", "--baseline", known)
    check("news",
          r.returncode == 1 and r.stdout.count("error: ") == 1
          and "error: lost: without" in r.stdout, r)
    with open(known + ".sarif") as f:
        states = {x["locations"][0]["logicalLocations"][0]["name"]: x["baselineState"]
                  for x in json.load(f)["runs"][0]["results"]}
    equal("SARIF", (states["lost"], sorted(set(states.values()))),
          ("new", ["new", "unchanged"] if len(states) > 1 else ["new"]))
    equal("part of a title", len(names(p, repo, "--subsystem", "cor")[1]), 14)
    equal("licence", names(p, repo, "--licence", "plain"), (0, ["relicensed"]))
    equal("subsystem", names(p, repo, "--subsystem", "drivers"), (0, []))
    r = p.run("history", repo, "--rc", "--json", "--symbol", "late")
    equal("rc", [x["tag"] for x in json.loads(r.stdout)["releases"]][:3],
          ["v1.0", "v1.1-rc1", "v1.1"])
    r = p.run("history", repo, "--csv", "--symbol", "late")
    equal("csv", r.stdout.splitlines()[1],
          "late,v1.1,v1.4,,GPL,consumed,0,2,,,no,CORE,mm/a.c,")
    r = p.run("history", repo, "--html", "--symbol", "late")
    check("html",
          '["late","v1.1","v1.4","","GPL","consumed","0","2","","","no","CORE","mm/a.c",""],'
          in r.stdout and r.stdout.rstrip().endswith("</html>"), r.stdout)
    r = p.run("history", repo, "--symbol", "never")
    check("table", "never" in r.stdout.splitlines()[1] and "1 overdue" in r.stdout, r.stdout)


def blobs(repo, *tags):
    """Distinct source blobs of the releases."""
    seen = set()
    for t in tags:
        for line in git(repo, "ls-tree", "-r", t).splitlines():
            meta, path = line.split("\t")
            base = os.path.basename(path)
            if not path.startswith("Documentation/") and (
                    base.endswith((".c", ".h")) or base == "Makefile"):
                seen.add((meta.split()[2], base.rsplit(".", 1)[-1]))
    return len(seen)


def stats(p, repo, *args, **kw):
    r = p.run("history", repo, "--stats", "--csv", *args, **kw)
    return r.stderr.strip().removeprefix("export-audit: "), r.stdout


def test_cache(directory, program, maker):
    repo, p = maker.path, Program(program, directory)
    p.cache = directory + "/cache2"
    tags = [f"v1.{i}" for i in range(7)]
    first, answer = stats(p, repo)
    equal("first run", first, f"{blobs(repo, *tags)} blobs read, 7 trees resolved")
    equal("second run", stats(p, repo), ("0 blobs read, 0 trees resolved", answer))
    equal("no cache", stats(p, repo, cache=False), (first, answer))
    seg = [os.path.join(d, f) for d, _, fs in os.walk(p.cache) for f in fs]
    equal("one segment", len(seg), 1)
    whole = open(seg[0], "rb").read()
    for what, text in (("truncated", whole[:len(whole) // 2]), ("empty", b""),
                       ("header", b"\xff" * 64 + whole[64:]),
                       ("index", whole[:100] + b"\xff" * 8 + whole[108:]),
                       ("junk", os.urandom(4096))):
        for f in os.listdir(os.path.dirname(seg[0])):
            os.unlink(os.path.join(os.path.dirname(seg[0]), f))
        open(seg[0], "wb").write(text)
        equal(f"{what} cache", stats(p, repo), (first, answer))
    for f in os.listdir(os.path.dirname(seg[0])):
        os.unlink(os.path.join(os.path.dirname(seg[0]), f))
    middle = len(whole) - len(whole) // 4  # among the blocks: only those are lost
    open(seg[0], "wb").write(whole[:middle] + bytes(b ^ 0x55 for b in whole[middle:middle + 64]) +
                             whole[middle + 64:])
    damaged, got = stats(p, repo)
    equal("damaged block", got, answer)
    check("damaged block: not all is read again", damaged != first, damaged)
    for f in os.listdir(os.path.dirname(seg[0])):
        os.unlink(os.path.join(os.path.dirname(seg[0]), f))
    open(seg[0], "wb").write(whole.replace(b"in_time\0", b"in_tame\0"))
    equal("changed but well-formed blocks", stats(p, repo)[1], answer)
    equal("healed", stats(p, repo), ("0 blobs read, 0 trees resolved", answer))
    maker.commit("main", "one more", {"drivers/two.c": driver("in_time", "never")})
    maker.tag("v3.0")
    more, _ = stats(p, repo)
    equal("next release", more, "1 blobs read, 1 trees resolved")
    for i in range(30):  # many segments become one
        maker.commit("main", f"r{i}",
                     {"drivers/two.c": driver("in_time", "never") + f"int v{i};\n"})
        maker.tag(f"v3.{i + 1}")
        equal(f"release {i}", stats(p, repo)[0], "1 blobs read, 1 trees resolved")
    check("segments are merged", len(os.listdir(os.path.dirname(seg[0]))) <= 25)
    equal("all merged", stats(p, repo)[0], "0 blobs read, 0 trees resolved")


def test_unwritable_cache(directory, p, repo):
    p2 = Program(p.path, directory)
    p2.cache = "/proc/nowhere"
    r = p2.run("history", repo, "--csv")
    equal("unwritable cache", r.stdout, p.run("history", repo, "--csv").stdout)


def break_objects(repo, kind):
    """Removes one object of the last release's tree."""
    wanted = git(repo, "rev-parse", "main:mm/a.c" if kind == "blob" else "main^{tree}")
    for pack in os.listdir(repo + "/objects/pack"):
        if pack.endswith(".pack"):
            name = repo + "/objects/pack/" + pack
            data = open(name, "rb").read()
            for ext in ("pack", "idx", "rev"):
                if os.path.exists(name[:-4] + ext):
                    os.unlink(name[:-4] + ext)
            subprocess.run(["git", "-C", repo, "unpack-objects", "-q"], env=ENV, input=data,
                           check=True)
    os.unlink(f"{repo}/objects/{wanted[:2]}/{wanted[2:]}")


def test_bad_input(directory, p, repo):
    fresh = Program(p.path, directory)
    fresh.cache = directory + "/cache3"
    refused(p, "nothing there", "history", directory + "/none")
    os.mkdir(directory + "/empty")
    refused(p, "no repository", "history", directory + "/empty")
    open(directory + "/file", "w").write("x" * 1000)
    refused(p, "a file", "history", directory + "/file")
    refused(p, "unknown tag", "history", repo, "--from", "v9.9")
    refused(p, "unknown tag at the end", "history", repo, "--to", "v9.9")
    refused(p, "no release tag", "history", repo, "--from", "v1.1.1~1")
    refused(p, "backwards", "history", repo, "--from", "v1.3", "--to", "v1.1")
    refused(p, "no repository named", "history")
    refused(p, "two repositories", "history", repo, repo)
    refused(p, "unknown option", "history", repo, "--frobnicate")
    refused(p, "missing argument", "history", repo, "--from")
    refused(p, "unknown profile", "history", repo, "--profile", "nobody")
    refused(p, "no number", "history", repo, "--deadline", "-1")
    refused(p, "unknown licence", "history", repo, "--licence", "mit")
    Repo(directory + "/untagged").commit("main", "x", {"a.c": ""})
    refused(p, "no tags", "history", directory + "/untagged")
    subprocess.run(["git", "init", "-q", "--bare", directory + "/void"], env=ENV, check=True)
    refused(p, "no commits", "history", directory + "/void")
    subprocess.run(["git", "clone", "-q", "--bare", "--depth", "2", "file://" + repo,
                    directory + "/shallow"], env=ENV, check=True)
    check("shallow: says so", "shallow" in refused(p, "shallow", "history", directory + "/shallow"))
    for kind in ("blob", "tree"):
        broken = f"{directory}/broken-{kind}"
        subprocess.run(["git", "clone", "-q", "--bare", repo, broken], env=ENV, check=True)
        break_objects(broken, kind)
        refused(fresh, f"a {kind} is missing", "history", broken)
    for what in ("HEAD", "objects", "config"):
        copy = f"{directory}/without-{what}"
        subprocess.run(["cp", "-r", repo, copy], check=True)
        subprocess.run(["rm", "-rf", f"{copy}/{what}"], check=True)
        if what == "config":
            open(copy + "/config", "w").write("[core\n\0junk")
        refused(p, f"broken {what}", "history", copy)
    subprocess.run(["cp", "-r", repo, directory + "/badtag"], check=True)
    os.makedirs(directory + "/badtag/refs/tags", exist_ok=True)
    open(directory + "/badtag/refs/tags/v1.9", "w").write("1" * 40 + "\n")
    refused(p, "a tag of nothing", "history", directory + "/badtag")


def main():
    program = os.path.abspath(sys.argv[1])
    with scratch() as directory:
        maker, never = make(directory + "/repo")
        p = Program(program, directory)
        test_answers(p, maker.path, never)
        test_options(p, maker.path)
        test_unwritable_cache(directory, p, maker.path)
        test_bad_input(directory, p, maker.path)
        test_cache(directory, program, maker)
    finish()


main()
