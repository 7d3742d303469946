# SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
"""gate and history: who counts as a consumer, and inline functions that nobody calls."""
import json
import sys

from synthetic import Program, Repo, check, equal, finish, scratch

HEADER = "int core_old(int x);\nint core_new(int x);\n"
OLD = "int core_old(int x)\n{\n\treturn x;\n}\nEXPORT_SYMBOL_GPL(core_old);\n"
NEW = OLD + "int core_new(int x)\n{\n\treturn x;\n}\nEXPORT_SYMBOL_GPL(core_new);\n"
ACK = "\n\nAcked-by: Di Driver <di@example.org>\n"


def user(body, name="probe"):
    return f"#include <linux/core.h>\nint {name}(int x)\n{{\n\t{body}\n\treturn core_old(x);\n}}\n"


def make(path):
    r = Repo(path)
    r.commit("main", "base", {
        "Makefile": "obj-y += mm/ drivers/\n", "include/linux/core.h": HEADER,
        "MAINTAINERS": "DRIVERS\nM:\tDi Driver <di@example.org>\nF:\tdrivers/\nF:\tmm/b.c\n",
        "drivers/Kconfig": "config THERE\n\ttristate \"There\"\nconfig INSIDE\n\tbool \"Inside\"\n",
        "mm/Makefile": "obj-y += core.o b.o\n", "mm/core.c": OLD, "mm/b.c": "",
        "drivers/Makefile": "obj-$(CONFIG_THERE) += user.o\n", "drivers/user.c": user("")})
    r.tag("v1.0")
    return r


# name: files beside the new export, and what the finding says; None: it passes
EXPORTS = {
    "called": ({"drivers/user.c": user("x += core_new(x);")}, None),
    "option": ({"drivers/user.c": user("if (IS_ENABLED(CONFIG_GONE))\n\t\tx += core_new(x);")},
               "no Kconfig has"),
    "ifdef": ({"drivers/user.c": user("\n#ifdef CONFIG_GONE\n\tx += core_new(x);\n#endif")},
              "no Kconfig has"),
    "there": ({"drivers/user.c": user("\n#ifdef CONFIG_THERE\n\tx += core_new(x);\n#endif")}, None),
    "message": ({"drivers/user.c": user("pr_info(\"core_new\");")}, "no file but its own"),
    "looked-up": ({"drivers/user.c": user("x += (long)__symbol_get(\"core_new\");")}, None),
    "unbuilt": ({"drivers/other.c": user("x += core_new(x);", "other")}, "no Makefile builds"),
    "built-in": ({"mm/b.c": user("x += core_new(x);", "b")}, "always built in"),
    "bool": ({"mm/b.c": user("x += core_new(x);", "b"),
              "mm/Makefile": "obj-y += core.o\nobj-$(CONFIG_INSIDE) += b.o\n"},
             "always built in"),
    "both": ({"mm/b.c": user("x += core_new(x);", "b"),
              "drivers/user.c": user("x += core_new(x);")}, None),
}

INLINE = "static inline int core_twice(int x)\n{\n\treturn core_old(x) + core_old(x);\n}\n"
WRAPPER = "static inline int core_four(int x)\n{\n\treturn 2 * core_twice(x);\n}\n"
# name: files, and the functions that nobody calls
INLINES = {
    "lonely": ({"include/linux/core.h": HEADER + INLINE}, ["core_twice"]),
    "called": ({"include/linux/core.h": HEADER + INLINE,
                "drivers/user.c": user("x = core_twice(x);")}, []),
    "chain": ({"include/linux/core.h": HEADER + INLINE + WRAPPER}, ["core_four", "core_twice"]),
    "chain-called": ({"include/linux/core.h": HEADER + INLINE + WRAPPER,
                      "drivers/user.c": user("x = core_four(x);")}, []),
    "private": ({"drivers/own.h": INLINE}, []),
    "stand-in": ({"include/linux/core.h": "#ifdef CONFIG_THERE\n" + HEADER
                  + "int core_twice(int x);\n#else\n" + INLINE + "#endif\n",
                  "drivers/user.c": user("") + "int core_twice(int x)\n{\n\treturn x;\n}\n"}, []),
    "by-macro": ({"include/linux/core.h": HEADER + INLINE,
                  "include/linux/old.h": "#define OLD(x) core_twice(x)\n"}, []),
}


FAULT = """int core_fault(int x)
{
	return x;
}
EXPORT_SYMBOL_GPL(core_fault);
"""
RETRY = """#include <linux/core.h>
static int svm_fault(int x)
{
	struct core_range range;
	int ret;

again:
	ret = core_fault(&range, true);
	if (ret == 0) {
		if (!core_old(&range))
			goto again;
	}
	return ret;
}
"""


def moved_to_the_header(program, path):
    """An export that gets its consumer late and becomes an inline function one release after."""
    r = make(path)
    r.commit("main", "core: fault", {"mm/core.c": OLD + FAULT})
    r.tag("v1.1")
    r.commit("main", "user: fault", {"drivers/user.c": RETRY})
    r.tag("v1.2")
    r.commit("main", "core: an inline function", {
        "mm/core.c": NEW,
        "include/linux/core.h": HEADER + "static inline int core_fault(void *r, bool b)\n{\n"
        "\treturn core_new(1);\n}\n"})
    r.tag("v1.3")
    out = json.loads(program.run("history", "--json", r.path).stdout)
    s = {x["name"]: (x["exported"], x["consumed"], x["consumer"], x["removed"])
         for x in out["symbols"]}
    equal("called after a label, then inline", (s["core_fault"], s["core_new"]),
          (("v1.1", "v1.2", "drivers/user.c", "v1.3"), ("v1.3", "v1.3", "drivers/user.c", None)))


def always_built_in(program, path):
    """It is a consumer for history, and the export is never a candidate for a revert."""
    r = make(path)
    r.commit("main", "core: new", {"mm/core.c": NEW})
    r.tag("v1.1")
    r.commit("main", "b: use it", {"mm/b.c": user("x += core_new(x);", "b")})
    for tag in ("v1.2", "v1.3", "v1.4"):
        r.tag(tag)
        r.commit("main", "nothing", {"README": tag})
    out = json.loads(program.run("history", "--json", r.path).stdout)
    s = {x["name"]: (x["verdict"], x["consumed"], x["consumer"], x["candidate"])
         for x in out["symbols"]}
    equal("history: always built in", s["core_new"], ("consumed", "v1.2", "mm/b.c", False))


def gate(program, repo, what):
    r = program.run("gate", "--json", repo.path, what)
    return r.returncode, json.loads(r.stdout)["findings"]


def main():
    with scratch() as d:
        repo, program = make(d + "/repo"), Program(sys.argv[1], d)
        for name, (files, why) in EXPORTS.items():
            repo.commit("e-" + name, "core: new" + ACK, {"mm/core.c": NEW, **files}, start="v1.0")
            status, found = gate(program, repo, "v1.0..e-" + name)
            errors = [f for f in found if f["severity"] == "error"]
            equal(f"{name}: status", status, 1 if why else 0)
            equal(f"{name}: findings", [(f["rule"], f["symbol"]) for f in errors],
                  [("consumer", "core_new")] if why else [])
            check(f"{name}: reason", not why or (errors and why in errors[0]["text"]), str(errors))
        for name, (files, names) in INLINES.items():
            repo.commit("i-" + name, "core: inline" + ACK, files, start="v1.0")
            status, found = gate(program, repo, "v1.0..i-" + name)
            equal(f"inline {name}",
                  sorted(f["symbol"] for f in found if f["rule"] == "functionality"), names)
            equal(f"inline {name}: status", status, 1 if names else 0)
        moved_to_the_header(program, d + "/moved")
        always_built_in(program, d + "/built-in")
    finish()


main()
