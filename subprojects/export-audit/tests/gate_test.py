# SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
"""gate: every rule under both profiles, on ranges and on mailboxes."""
import base64
import json
import os
import subprocess
import sys

from synthetic import ENV, Program, Repo, check, equal, finish, git, refused, scratch

MAINTAINERS = """ALPHA
M:\tAda Alpha <ada@example.org>
F:\tmm/alpha*
F:\tinclude/linux/alpha.h

BETA
M:\tBea Beta <bea@example.org>
F:\tmm/beta*

GAMMA
M:\tGus Gamma <gus@example.org>
F:\tmm/gamma*

DRIVER ONE
M:\tDan Driver <dan@example.org>
R:\tRea Reviewer <rea@example.org>
F:\tdrivers/one*

DRIVER TWO
S:\tOrphan
F:\tdrivers/two*

THE REST
M:\tLi <li@example.org>
F:\t*
F:\t*/
"""

PROFILES = ("williams", "glisse")


def core(*symbols):
    out = ["#include <linux/alpha.h>\n"]
    for s in symbols:
        name = s.rstrip("!")
        suffix = "" if s.endswith("!") else "_GPL"
        out.append(f"int {name}(int x)\n{{\n\treturn x;\n}}\nEXPORT_SYMBOL{suffix}({name});\n")
    return "\n".join(out)


def driver(*calls, extra=""):
    body = "".join(f"\tx += {c}(x);\n" for c in calls)
    return (f"#include <linux/alpha.h>\n#include <linux/module.h>\nstatic int drv_init(void)\n"
            f"{{\n\tint x = 0;\n\n{body}{extra}\treturn x;\n}}\nmodule_init(drv_init);\n"
            "MODULE_LICENSE(\"GPL\");\n")


HEADER = "/* what alpha offers */\n#define ALPHA_OLD 1\nint alpha_used(int x);\n"

ACK = "\n\nAcked-by: Dan Driver <dan@example.org>\n"


def make(path):
    """v1.0..v1.3; gamma_used is fine, beta_ancient idle since v1.0, alpha_stale since v1.2."""
    r = Repo(path)
    r.commit("main", "base", {
        "Makefile": "obj-y += mm/ drivers/\n", "MAINTAINERS": MAINTAINERS,
        "include/linux/alpha.h": HEADER, "include/linux/module.h": "#define module_init(x)\n",
        "mm/Makefile": "obj-y += alpha.o beta.o gamma.o user.o\n",
        "mm/alpha.c": core("alpha_used"), "mm/gamma.c": core("gamma_used"),
        "mm/beta.c": core(),
        "mm/user.c": "int builtin(int x);\nint user(int x)\n{\n\treturn builtin(x);\n}\n",
        "drivers/Makefile": "obj-m += one.o two.o\n",
        "drivers/one.c": driver("alpha_used", "gamma_used"), "drivers/two.c": driver()})
    ids = {"ancient": r.commit("main", "mm/beta: an old export",
                               {"mm/beta.c": core("beta_ancient")})}
    r.tag("v1.0")
    r.commit("main", "nothing", {"README": "1\n"})
    r.tag("v1.1")
    ids["stale"] = r.commit("main", "mm/alpha: a younger export",
                            {"mm/alpha.c": core("alpha_used", "alpha_stale")})
    r.tag("v1.2")
    r.commit("main", "nothing again", {"README": "2\n"})
    r.tag("v1.3")
    return r, ids


GAMMA = core("gamma_used", "gamma_new")
ONE = driver("alpha_used", "gamma_used", "gamma_new")


def series(r):
    """Branches on v1.3, one a case."""
    def one(name, message, files, **kw):
        r.commit(name, message, files, start="v1.3", **kw)

    good = {"mm/gamma.c": GAMMA, "drivers/one.c": ONE}
    one("good", "gamma: new, with its user" + ACK, good)
    one("split", "gamma: new export", {"mm/gamma.c": GAMMA})
    r.commit("split", "one: use it" + ACK, {"drivers/one.c": ONE})
    one("plain", "gamma: plain export" + ACK,
        {"mm/gamma.c": core("gamma_used", "gamma_new!"), "drivers/one.c": ONE})
    one("lonely", "gamma: new export", {"mm/gamma.c": GAMMA})
    one("unacked", "gamma: new, with its user\n\nAcked-by: Rea Reviewer <rea@example.org>\n", good)
    one("tested", "gamma: new, with its user\n\nTested-by: Dan Driver <dan@example.org>\n", good)
    one("authored", "gamma: new\n\nSigned-off-by: Dan Driver <dan@other.example>\n", good)
    one("nacked", "gamma: new\n\nNacked-by: Dan Driver <dan@example.org>\n"
        "Signed-off-by: Dan Driver <dan@example.org>\n", good)
    one("orphan", "gamma: new", {"mm/gamma.c": GAMMA, "drivers/two.c": driver("gamma_new")})
    one("outside", "export what the kernel itself uses",
        {"mm/gamma.c": core("gamma_used", "builtin")})
    flag = HEADER + "#define ALPHA_NEW 2\n"
    alpha = core("alpha_used", "alpha_stale") + "int alpha_flags = ALPHA_NEW;\n"
    one("flag", "alpha: a new flag", {"include/linux/alpha.h": flag, "mm/alpha.c": alpha})
    one("flagused", "alpha: a new flag, and its user" + ACK,
        {"include/linux/alpha.h": flag, "mm/alpha.c": alpha,
         "drivers/one.c": driver("alpha_used", "gamma_used", extra="\tx += ALPHA_NEW;\n")})
    one("alpha", "alpha: new beside a stale one" + ACK,
        {"mm/alpha.c": core("alpha_used", "alpha_stale", "alpha_new"),
         "drivers/one.c": driver("alpha_used", "gamma_used", "alpha_new")})
    one("beta", "beta: new beside an ancient one" + ACK,
        {"mm/beta.c": core("beta_ancient", "beta_new"),
         "drivers/one.c": driver("alpha_used", "gamma_used", "beta_new")})
    r.commit("side", "an old side", {"drivers/README": "1\n"}, start="v1.0")
    r.commit("side", "and more of it", {"drivers/README": "2\n"})
    one("merged", "one: before the merge", {"README": "3\n"})
    r.commit("merged", "merge an old side" + ACK, dict(good, **{"drivers/README": "2\n"}),
             parents=["side"])
    one("fix", "beta: fix something", {"mm/beta.c": core("beta_ancient") + "/* fixed */\n"})
    one("pays", "one: use alpha_stale" + ACK, {
        "mm/alpha.c": core("alpha_used", "alpha_stale", "alpha_new"),
        "drivers/one.c": driver("alpha_used", "gamma_used", "alpha_new", "alpha_stale")})
    one("rename", "gamma: a better name" + ACK,
        {"mm/gamma.c": core("gamma_better"), "drivers/one.c": driver("alpha_used", "gamma_better")})
    one("relicense", "gamma: plain, on experience", {"mm/gamma.c": core("gamma_used!")})
    one("remove", "beta: revert", {"mm/beta.c": core()})


# What gamma takes: a structure of operations, a structure that it fills, one that it keeps.
SHAPES = """#define GAMMA_OLD 1
struct gamma_ops {
	int (*old)(int x);%s
};
struct gamma_state {
	int level;%s
	union {
		int a, *b;
		char c[4];
	};
};
struct gamma_other {
	int x;%s
};
int gamma_takes(struct gamma_ops *ops, const struct gamma_state *state);
int gamma_used(int x%s);
static inline int gamma_inline(int x)
{
	return gamma_used(x%s);
}
"""


def shapes(ops="", state="", other="", params="", args=""):
    return SHAPES % (ops, state, other, params, args)


def gamma(takes="", params="", before=""):
    """A built-in file whose exports take structures."""
    return ("#include <linux/gamma.h>\n" + before + "/* gamma_used(int old, int one, int more) */\n"
            f"int gamma_used(int x{params}) __must_hold(&lock)\n{{\n\treturn x;\n}}\n"
            "EXPORT_SYMBOL_GPL(gamma_used);\n"
            "int gamma_takes(struct gamma_ops *ops, const struct gamma_state *state)\n"
            f"{{\n\tif (state->level)\n\t\treturn ops->old(1);\n{takes}\treturn 0;\n}}\n"
            "EXPORT_SYMBOL_GPL(gamma_takes);\n")


def gamma_driver(init="", call="gamma_used(1)", extra=""):
    return ("#include <linux/gamma.h>\n#include <linux/module.h>\nstatic struct gamma_state s;\n"
            f"static struct gamma_ops ops = {{ .old = run{init} }};\nstatic int init(void)\n"
            f"{{\n{extra}\treturn gamma_takes(&ops, &s) + {call};\n}}\nmodule_init(init);\n"
            "MODULE_LICENSE(\"GPL\");\n")


def shape_series(r):
    """Branches on a commit where gamma takes structures, one a case."""
    files = {"include/linux/gamma.h": shapes(), "mm/gamma.c": gamma(),
             "drivers/one.c": gamma_driver() + driver("alpha_used")}
    r.commit("shapes", "gamma: structures" + ACK, files, start="v1.3")

    def one(name, header, core_file, use=None, ack=ACK):
        changed = {"include/linux/gamma.h": header, "mm/gamma.c": core_file}
        if use is not None:
            changed["drivers/one.c"] = use + driver("alpha_used")
        r.commit(name, "gamma: more" + ack, changed, start="shapes")

    op, calls = "\n\tint (*added)(int x);", "\treturn ops->added(2);\n"
    one("op", shapes(op), gamma(calls))
    one("opused", shapes(op), gamma(calls), gamma_driver(", .added = run"))
    one("opunacked", shapes(op), gamma(calls), gamma_driver(", .added = run"), ack="")
    one("opunread", shapes(op), gamma())
    one("opelsewhere", shapes(other=op), gamma("\treturn other()->added(2);\n"))
    one("member", shapes(state="\n\tunsigned int deep:1, *wide[2];"),
        gamma("\tif (state->deep)\n\t\treturn 4;\n"))
    one("result", shapes(state="\n\tint result[2];"), gamma("\tstate->result[1] = 4;\n"))
    one("resultread", shapes(state="\n\tint result;"), gamma("\tstate->result = 4;\n"),
        gamma_driver(extra="\tif (s.result)\n\t\treturn 1;\n"))
    one("private", shapes(state="\n\tint count;"),
        gamma("\tstate->count++;\n\tif (state->count > 3)\n\t\treturn 5;\n"))
    one("kept", shapes(state="\n\tint kept[2];"),
        gamma("\tstate->kept[0] = 3;\n\tif (state->kept[1] == 3)\n\t\treturn 5;\n"))
    one("address", shapes(state="\n\tstruct mutex lock;"), gamma("\tmutex_lock(&state->lock);\n"))
    one("comment", shapes(state=" /* int said; */"),
        gamma('\tpr_info("state->said"); // s->said\n'))
    more = ", unsigned long flags"
    one("parameter", shapes(params=more, args=", 0"), gamma(params=more),
        gamma_driver(call="gamma_used(1, 0)"))
    one("parameterused", shapes(params=more, args=", 0"), gamma(params=more),
        gamma_driver(call="gamma_used(1, GAMMA_OLD)"))
    one("parameternull", shapes(params=", void *p, bool q", args=", NULL, false"),
        gamma(params=", void *p, bool q"), gamma_driver(call="gamma_used(1, NULL,\n\t\tfalse)"))
    one("parameterinline", shapes(params=more, args=", x"), gamma(params=more),
        gamma_driver(call="gamma_used(1, 0)"))
    one("parametermacro", shapes(params=more, args=", 0"), gamma(params=more),
        "#define ALL(x) \\\n\t(gamma_used(x, GAMMA_OLD) + 1)\n" + gamma_driver(call="ALL(1)"))
    one("parametertype", shapes(), gamma().replace("gamma_used(int x)", "gamma_used(long x)"))
    one("parameterless", shapes(),
        gamma(params="").replace("gamma_used(int x)", "gamma_used(void)"),
        gamma_driver(call="gamma_used()"))
    one("parameterstatic", shapes(),
        gamma(before="static int helper(int a, int b)\n{\n\treturn gamma_used(a);\n}\n"))


HIDDEN = "int hidden(int x)\n{\n\treturn x;\n}\n"


def lost_series(r):
    """Exports and consumers that were there before; macros that export."""
    two = "#define TWO 2\nint hidden(int x);\nint builtin(int x);\nint gamma_used(int x);\n"
    r.commit("lost", "gamma: what a module calls in vain, and what only the kernel calls", {
        "include/linux/two.h": two, "mm/gamma.c": core("gamma_used", "builtin") + HIDDEN,
        "mm/user.c": "int builtin(int x);\nint user(int x)\n{\n\treturn builtin(x);\n}\n",
        "drivers/Makefile": "obj-m += one.o\nobj-$(CONFIG_TWO) += \\\n\tpair.o\npair-y := two.o\n",
        "drivers/two.c": driver("hidden")}, start="v1.3")

    def one(name, files):
        r.commit(name, "gamma: " + name + ACK, files, start="lost")

    one("already", {"mm/gamma.c": core("gamma_used", "builtin", "hidden")})
    one("lastuser", {"drivers/one.c": driver("alpha_used")})
    one("unexport",
        {"mm/gamma.c": core("builtin") + HIDDEN.replace("hidden", "gamma_used") + HIDDEN})
    # Modules that consist of each other, many times.
    one("unexportlists",
        {"mm/gamma.c": core("builtin") + HIDDEN.replace("hidden", "gamma_used") + HIDDEN,
         "drivers/Makefile": "a-y := " + 64 * "one.o b.o " + "\nb-y := " + 64 * "a.o " +
                             "\nobj-m += one.o a.o\nobj-$(CONFIG_TWO) += two.o\n"})
    closed = core("gamma_used", "builtin") + HIDDEN
    closed = closed.replace("EXPORT_SYMBOL_GPL(gamma_used)",
                            'EXPORT_SYMBOL_FOR_MODULES(gamma_used, "kvm")')
    one("closed", {"mm/gamma.c": closed})
    one("closedunused", {"mm/gamma.c": closed, "drivers/one.c": driver("alpha_used")})
    one("unexportall",
        {"mm/gamma.c": core("builtin") + HIDDEN, "drivers/one.c": driver("alpha_used")})
    one("inlined", {"mm/gamma.c": core("builtin") + HIDDEN, "include/linux/alpha.h": HEADER +
                    "static inline int gamma_used(int x)\n{\n\treturn x;\n}\n"})
    one("unexportbuiltin",
        {"mm/gamma.c": core("gamma_used") + HIDDEN.replace("hidden", "builtin") + HIDDEN})
    one("foruser", {"mm/gamma.c": core("gamma_used", "builtin", "fresh") + HIDDEN,
                    "mm/user.c": "int user(int x)\n{\n\treturn fresh(builtin(x));\n}\n"})
    macro = core("gamma_used", "builtin") + HIDDEN + HIDDEN.replace("hidden", "gamma_new")
    for name, text in (("macro", "#define GAMMA_EXPORT(s) EXPORT_SYMBOL_GPL(s)\n"),
                       ("macros", "#define GAMMA_EXPORT(s) GAMMA_DEEP(s)\n"
                        "#define GAMMA_DEEP(s) EXPORT_SYMBOL_GPL(s)\n"),
                       ("nomacro",
                        "#define GAMMA_EXPORT(s) EXPORT_SYMBOL_GPL(s)\n#define GAMMA_FLAG 8\n")):
        flag = "int flags = GAMMA_FLAG;\n" if name == "nomacro" else ""
        one(name,
            {"include/linux/two.h": two + text,
             "mm/gamma.c": "#include <linux/two.h>\n" + macro + flag +
                   "GAMMA_EXPORT(gamma_new);\n",
                   "drivers/one.c": driver("alpha_used", "gamma_used", "gamma_new")})


LOST_CASES = {
    "already": ([], [("consumer", "hidden")]), "lastuser": ([], [("orphaned", "gamma_used")]),
    "closed": ([("needed", "gamma_used")], []), "closedunused": ([], [("orphaned", "gamma_used")]),
    "unexport": ([("needed", "gamma_used")], []), "unexportall": ([], []), "inlined": ([], []),
    "unexportlists": ([("needed", "gamma_used")], []),
    "unexportbuiltin": ([], []), "foruser": ([("consumer", "fresh")], [("ack", "fresh")]),
    "macro": ([], []), "macros": ([], []), "nomacro": ([("functionality", "GAMMA_FLAG")], []),
}


def test_lost(p, repo):
    for name, (want, notes) in LOST_CASES.items():
        for profile in PROFILES:
            status, out = run(p, repo, f"lost..{name}", "--profile", profile)
            equal(f"{name} {profile}", (status, errors(out), errors(out, "note")),
                  (1 if want else 0, want, notes))
    for name, rule in (("unexport", "needed"), ("lastuser", "orphaned"), ("already", "consumer")):
        status, out = run(p, repo, f"lost..{name}", "--rule", f"{rule}=off")
        equal(f"{name} {rule}=off", (status, out["findings"]), (0, []))
    _, out = run(p, repo, "lost..unexport")
    check("who needs it", "drivers/one.c" in out["findings"][0]["text"], out["findings"])
    equal("where it was", out["findings"][0]["file"], "mm/gamma.c")
    _, out = run(p, repo, "lost..already")
    check("for whom", "drivers/two.c" in out["findings"][0]["text"], out["findings"])


GREW = [("functionality", "gamma_used")]
SHAPE_CASES = {
    "op": [("functionality", "gamma_ops.added")], "opused": [], "opunread": [], "opelsewhere": [],
    "opunacked": [("ack", "gamma_ops.added")],
    "member": [("functionality", "gamma_state.deep")],
    "result": [("functionality", "gamma_state.result")], "resultread": [], "private": [],
    "kept": [],
    "address": [], "comment": [], "parameter": GREW, "parameterused": [], "parameternull": GREW,
    "parameterinline": [], "parametermacro": [],
    "parametertype": [], "parameterless": [], "parameterstatic": [],
}


def test_shapes(p, repo):
    """New functionality whose name is not new: parameters, and members of what exports take."""
    for name, want in SHAPE_CASES.items():
        for profile in PROFILES:
            status, out = run(p, repo, f"shapes..{name}", "--profile", profile)
            equal(f"{name} {profile}", (status, errors(out)), (1 if want else 0, want))
        if want:
            rule = want[0][0]
            status, out = run(p, repo, f"shapes..{name}", "--rule", f"{rule}=off")
            equal(f"{name} {rule}=off", (status, errors(out)), (0, []))
    _, out = run(p, repo, "shapes..parameternull")
    check("names the parameter", "'p'" in out["findings"][0]["text"], out["findings"])
    equal("file", out["findings"][0]["file"], "mm/gamma.c")
    _, out = run(p, repo, "shapes..op")
    equal("file of a member", out["findings"][0]["file"], "include/linux/gamma.h")
    text = git(repo, "format-patch", "--stdout", "shapes..op") + "\n"
    r = p.run("gate", repo, "--json", "--mbox", "-", "--base", "shapes", stdin=text)
    equal("from a mailbox", (r.returncode, errors(json.loads(r.stdout))), (1, SHAPE_CASES["op"]))


def run(p, repo, *args):
    r = p.run("gate", repo, "--json", *args)
    check("no complaint", r.stderr == "" and r.returncode in (0, 1), f"{args} {r.stderr}")
    return r.returncode, json.loads(r.stdout)


def errors(out, severity="error"):
    return sorted({(f["rule"], f["symbol"]) for f in out["findings"] if f["severity"] == severity})


# branch: errors under williams, errors under glisse, notes under williams, notes under glisse
STALE, ANCIENT = ("stale", "alpha_stale"), ("stale", "beta_ancient")
NEW = "gamma_new"
CASES = {
    "good": ([], [], [], []),
    "split": ([], [], [], []),
    "plain": ([("gpl", NEW)], [("gpl", NEW)], [], []),
    "lonely": ([("consumer", NEW)], [("consumer", NEW)], [], []),
    "unacked": ([("ack", NEW)], [("ack", NEW)], [], []),
    "tested": ([("ack", NEW)], [("ack", NEW)], [], []),
    "authored": ([], [], [], []),
    "nacked": ([("nack", NEW)], [("nack", NEW)], [], []),
    "orphan": ([], [], [("ack", NEW)], [("ack", NEW)]),
    "outside": ([("consumer", "builtin")], [("consumer", "builtin")], [], []),
    "flag": ([("functionality", "ALPHA_NEW"), STALE], [("functionality", "ALPHA_NEW")], [], []),
    "flagused": ([STALE], [], [], []),
    "alpha": ([STALE], [], [], []),
    "beta": ([ANCIENT], [], [], [("overdue", "beta_ancient")]),
    "fix": ([], [], [("overdue", "beta_ancient")], [("overdue", "beta_ancient")]),
    "pays": ([], [], [], []),
    "rename": ([], [], [], []),
    "relicense": ([], [], [("gpl", "gamma_used")], [("gpl", "gamma_used")]),
    "remove": ([], [], [], []),
}


def test_cases(p, repo):
    for name, case in CASES.items():
        for i, profile in enumerate(PROFILES):
            status, out = run(p, repo, f"v1.3..{name}", "--profile", profile)
            what = f"{name} {profile}"
            equal(what + " errors", errors(out), case[i])
            equal(what + " notes", errors(out, "note"), case[i + 2])
            equal(what + " status", (status, out["verdict"]),
                  (1, "fail") if case[i] else (0, "pass"))
            text = p.run("gate", repo, f"v1.3..{name}", "--profile", profile)
            equal(what + " text", text.returncode, status)
            check(what + " text verdict", text.stdout.splitlines()[-1].startswith(
                "FAIL" if case[i] else "PASS"), text.stdout)


def test_switches(p, repo):
    """Each failing rule, switched off, lets the series pass; deadlines move."""
    for branch, rule in (("plain", "gpl"), ("lonely", "consumer"), ("unacked", "ack"),
                         ("alpha", "stale"), ("outside", "consumer")):
        status, out = run(p, repo, f"v1.3..{branch}", "--rule", f"{rule}=off")
        equal(f"{rule}=off", (status, errors(out)), (0, []))
        equal(f"{rule}=off said", out["rules"][rule], False)
        status, _ = run(p, repo, f"v1.3..{branch}", "--rule", f"{rule}=off", "--rule", f"{rule}=on")
        equal(f"{rule}=on again", status, 1)
    status, out = run(p, repo, "v1.3..nacked", "--rule", "nack=off")
    equal("nack=off: the sign-off is overruled all the same", (status, errors(out)), (0, []))
    status, out = run(p, repo, "v1.3..flag", "--rule", "functionality=off")
    equal("functionality=off", (status, errors(out)), (0, []))
    status, out = run(p, repo, "v1.3..lonely", "--rule", "consumer=1")
    equal("consumer=1", (status, errors(out), errors(out, "note")),
          (0, [], [("consumer", NEW)]))
    for n, want in ((0, 1), (1, 1), (2, 0), (3, 0)):
        equal(f"alpha stale={n}", run(p, repo, "v1.3..alpha", "--rule", f"stale={n}")[0], want)
    for n, want in ((3, 1), (4, 0)):
        equal(f"beta stale={n}", run(p, repo, "v1.3..beta", "--profile", "glisse", "--rule",
                                     f"stale={n}")[0], want)
    _, out = run(p, repo, "v1.3..fix", "--rule", "overdue=off")
    equal("overdue=off", out["findings"], [])
    _, out = run(p, repo, "v1.3..fix", "--rule", "overdue=4")
    equal("overdue=4", out["findings"], [])


def test_details(p, repo, ids):
    _, out = run(p, repo, "v1.3..beta")
    finding = out["findings"][0]
    equal("revert", finding["revert"], f'{ids["ancient"][:12]} ("mm/beta: an old export")')
    _, out = run(p, repo, "v1.3..alpha")
    equal("revert alpha", out["findings"][0]["revert"],
          f'{ids["stale"][:12]} ("mm/alpha: a younger export")')
    _, out = run(p, repo, "v1.3..split")
    e = out["exports"][0]
    equal("export", (e["name"], e["file"], e["licence"], e["subsystem"], e["verdict"],
                     e["consumers"]), (NEW, "mm/gamma.c", "GPL", "GAMMA", "consumed",
                                       ["drivers/one.c"]))
    check("added by", e["added_by"].endswith('("gamma: new export")'), e["added_by"])
    equal("patches", [x["subject"] for x in out["patches"]], ["gamma: new export", "one: use it"])
    equal("base", out["base"], git(repo, "rev-parse", "v1.3^{commit}"))
    _, out = run(p, repo, "v1.3..unacked")
    check("names the maintainer", "Dan Driver <dan@example.org>" in out["findings"][0]["text"]
          and "DRIVER ONE" in out["findings"][0]["text"], out["findings"])


def test_history_too_short(p, repo):
    """Nothing is late before the deadline has passed, and without releases nothing is judged."""
    status, out = run(p, repo, "v1.0..v1.1")
    equal("no exports", (status, out["findings"]), (0, []))
    bare = repo + "-untagged"
    subprocess.run(["git", "clone", "-q", "--bare", repo, bare], env=ENV, check=True)
    base = git(bare, "rev-parse", "v1.3^{commit}")
    for t in git(bare, "tag").split():
        git(bare, "tag", "-d", t)
    status, out = run(p, bare, f"{base}..alpha")
    equal("no releases", (status, errors(out, "note")),
          (0, [("overdue", None), ("stale", None)]))


def test_shallow(directory, p, repo):
    """What a clone has is enough when base and head are there."""
    base, head = git(repo, "rev-parse", "v1.3^{commit}"), git(repo, "rev-parse", "split")
    near, far = directory + "/near", directory + "/far"
    subprocess.run(["git", "clone", "-q", "--bare", "--depth=3", "--branch=split", "file://" + repo,
                    near],
                   env=ENV, check=True)
    status, out = run(p, near, f"{base}..split")
    equal("connected", (status, errors(out), out["base"], [x["subject"] for x in out["patches"]]),
          (0, [], base, ["gamma: new export", "one: use it"]))
    equal("added by", out["exports"][0]["added_by"],
          f'{git(near, "rev-parse", "split^")[:12]} ("gamma: new export")')
    status, out = run(p, near, "split~1..split")
    equal("a part of it", (status, len(out["patches"]), len(out["exports"])), (0, 1, 0))
    git(near, "fetch", "-q", "--depth=3", "file://" + repo, "refs/heads/good:refs/heads/good")
    status, out = run(p, near, "good..split")
    equal("two branches", (out["base"], len(out["patches"])), (base, 2))
    git(near, "fetch", "-q", "--depth=2", "file://" + repo, "refs/heads/merged:refs/heads/merged")
    status, out = run(p, near, "merged^1..merged")
    equal("a side that is cut off",
          (status, [x["subject"] for x in out["patches"]], len(out["exports"])),
          (0, ["merge an old side"], 1))
    subprocess.run(["git", "init", "-q", "--bare", far], env=ENV, check=True)
    git(far, "fetch", "-q", "--depth=1", "file://" + repo, base)
    git(far, "fetch", "-q", "--depth=1", "file://" + repo, head)
    r = p.run("gate", far, "--json", f"{base}..{head}")
    out = json.loads(r.stdout)
    equal("not connected", (r.returncode, errors(out), len(out["patches"]), len(out["exports"])),
          (0, [], 1, 1))
    check("warns", "nothing in common" in r.stderr and len(r.stderr.splitlines()) == 1, r.stderr)
    text = git(repo, "format-patch", "--stdout", f"{base}..lonely") + "\n"
    r = p.run("gate", far, "--json", "--mbox", "-", "--base", base, stdin=text)
    equal("a mailbox", (r.returncode, errors(json.loads(r.stdout))), (1, [("consumer", NEW)]))


def encoded(mail, encoding):
    """The same mail with an encoded body."""
    head, body = mail.split("\n\n", 1)
    if encoding == "base64":
        body = base64.encodebytes(body.encode()).decode()
    else:
        body = body.replace("=", "=3D").replace("\t", "=09").replace("return x", "return=20=\nx")
    head = "\n".join(h for h in head.split("\n") if not h.startswith("Content-Transfer-Encoding"))
    return f"{head}\nContent-Transfer-Encoding: {encoding}\n\n{body}"


REPLY = """From mboxrd@z Thu Jan  1 00:00:00 1970
From: =?UTF-8?q?Dan_Driver?= <dan@example.org>
Subject: Re: [PATCH 1/2] gamma

> Nacked-by: Dan Driver <dan@example.org>
Acked-by: Dan Driver <dan@example.org>
"""


def test_mailboxes(directory, p, repo):
    def mbox(name, text):
        path = f"{directory}/{name}.mbox"
        with open(path, "w") as f:
            f.write(text)
        return path

    def gate(path, *args, base="v1.3"):
        return run(p, repo, "--mbox", path, "--base", base, *args)

    before = git(repo, "count-objects", "-v")
    for name, case in CASES.items():
        path = mbox(name, git(repo, "format-patch", "--stdout", f"v1.3..{name}") + "\n")
        for i, profile in enumerate(PROFILES):
            status, out = gate(path, "--profile", profile)
            equal(f"mbox {name} {profile}", (status, errors(out), errors(out, "note")),
                  (1 if case[i] else 0, case[i], case[i + 2]))
    equal("nothing was written", git(repo, "count-objects", "-v"), before)

    split = git(repo, "format-patch", "--stdout", "v1.3..split") + "\n"
    second = split.index("\nFrom ", 10) + 1
    swapped = mbox("swapped", split[second:] + split[:second])
    equal("order of the numbers", [x["subject"] for x in gate(swapped)[1]["patches"]],
          ["gamma: new export", "one: use it"])
    unacked = git(repo, "format-patch", "--stdout", "v1.3..unacked") + "\n"
    equal("a reply acks", gate(mbox("reply", unacked + "\n" + REPLY))[0], 0)
    equal("without it", gate(mbox("noreply", unacked))[0], 1)
    for encoding in ("base64", "quoted-printable"):
        equal(encoding, gate(mbox(encoding, encoded(unacked, encoding)))[0], 1)
    equal("crlf", gate(mbox("crlf", unacked.replace("\n", "\r\n")))[0], 1)
    r = p.run("gate", repo, "--mbox", "-", "--base", "v1.3", stdin=unacked)
    equal("stdin", r.returncode, 1)
    rename = mbox("mv", git(repo, "format-patch", "--stdout", "-M", "v1.3..remove") + "\n")
    equal("patch id", gate(rename)[1]["patches"][0]["id"], "patch 1")

    refused(p, "does not apply", "gate", repo, "--mbox", mbox("twice", unacked + unacked),
            "--base", "v1.3")
    for what, text in (("empty", ""), ("no mail", "hello\n"), ("no patch", REPLY),
                       ("binary junk", "\x00\x01\x7f" * 1000),
                       ("cut diff", unacked[:unacked.index("@@") + 10]),
                       ("junk diff", unacked[:unacked.index("@@")] + "@@ junk @@\n+x\n")):
        refused(p, what, "gate", repo, "--mbox", mbox("bad", text), "--base", "v1.3")
    refused(p, "no file", "gate", repo, "--mbox", directory + "/none", "--base", "v1.3")
    refused(p, "a directory", "gate", repo, "--mbox", directory, "--base", "v1.3")
    refused(p, "no base", "gate", repo, "--mbox", swapped)
    refused(p, "unknown base", "gate", repo, "--mbox", swapped, "--base", "nowhere")


def test_refusals(directory, p, repo):
    refused(p, "unknown range", "gate", repo, "v1.3..nowhere")
    refused(p, "unknown left end", "gate", repo, "nowhere..good")
    refused(p, "no range", "gate", repo, "v1.3")
    refused(p, "three dots", "gate", repo, "v1.3...good")
    refused(p, "empty range", "gate", repo, "v1.3..v1.3")
    refused(p, "no argument", "gate")
    refused(p, "no series", "gate", repo)
    refused(p, "range and base", "gate", repo, "v1.3..good", "--base", "v1.3")
    refused(p, "no repository", "gate", directory, "a..b")
    refused(p, "unknown profile", "gate", repo, "v1.3..good", "--profile", "torvalds")
    refused(p, "a deadline on gpl", "gate", repo, "v1.3..good", "--rule", "gpl=1")
    for rule in ("", "gpl", "=", "gpl=", "gpl=maybe", "stale=-1", "stale=99999", "nothing=on"):
        refused(p, f"rule '{rule}'", "gate", repo, "v1.3..good", "--rule", rule)


def main():
    program = os.path.abspath(sys.argv[1])
    with scratch() as directory:
        r, ids = make(directory + "/repo")
        series(r)
        shape_series(r)
        lost_series(r)
        p = Program(program, directory)
        test_cases(p, r.path)
        test_shapes(p, r.path)
        test_lost(p, r.path)
        test_shallow(directory, p, r.path)
        test_switches(p, r.path)
        test_details(p, r.path, ids)
        test_mailboxes(directory, p, r.path)
        test_history_too_short(p, r.path)
        test_refusals(directory, p, r.path)
    finish()


main()
