#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
"""export-audit own: a small library with every finding, and input that is none."""
import json
import os
import subprocess
import sys
import tempfile
import unittest

PROGRAM = sys.argv.pop(1)
MAP = """LIB_1.0 {
global:
	used; by_inline; only_example; only_test; /* a comment */ only_library;
	unused; # another
	undefined; undeclared;
local:
	*;
};
LIB_EXPERIMENTAL { global: new_example; new_nothing; } LIB_1.0;
"""
NAMES = ["used", "by_inline", "only_example", "only_test", "only_library", "unused", "new_example",
         "new_nothing"]


def project(root, **extra):
    files = {
        "lib/lib.map": MAP,
        "lib/a.c": "".join(f"int {n}(int x)\n{{\n\treturn x;\n}}\n" for n in NAMES
                           + ["undeclared"]),
        "lib/b.c": "int internal(void)\n{\n\treturn only_library(1) + unused_not(2);\n}\n",
        "include/lib/lib.h": "#ifdef __cplusplus\nextern \"C\" {\n#endif\n" +
        "".join(f"int {n}(int x);\n" for n in NAMES + ["undefined", "forgotten"]) +
        "typedef int (*callback)(int);\nstruct s { int (*member)(int); };\n"
        "static inline int wrapper(int x)\n{\n\treturn by_inline(x);\n}\n#ifdef __cplusplus\n}\n"
        "#endif\n",
        "tools/t.c": "#include <lib/lib.h>\nint main(void)\n{\n\treturn used(wrapper(1));\n}\n",
        "examples/e.c": "#include <lib/lib.h>\nint main(void)\n{\n"
                        "\treturn only_example(new_example(1));\n}\n",
        "tests/t.c": "#include <lib/lib.h>\nint main(void)\n{\n"
                     "\treturn only_test(1) + unused_(2);\n}\n",
        # a build folder: not looked into
        "build/build.ninja": "", "build/x.c": "int y(void)\n{\n\treturn unused(1);\n}\n",
        # a comment, a member, a local variable and a static function are no users
        "tools/u.c": "/* unused(1) */\nstatic int new_nothing(int x)\n{\n\tint unused = x;\n"
                     "\treturn s.unused + unused + new_nothing(1);\n}\n",
    }
    files.update(extra)
    for name, text in files.items():
        path = os.path.join(root, name)
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, "w") as f:
            f.write(text)


def own(root, *args):
    r = subprocess.run([PROGRAM, "own", "--map", root + "/lib/lib.map", "--root", root, *args],
                       capture_output=True, text=True)
    return r.returncode, r.stdout, r.stderr


class Own(unittest.TestCase):
    def setUp(self):
        self.tmp = tempfile.TemporaryDirectory()
        self.root = self.tmp.name
        self.addCleanup(self.tmp.cleanup)

    def test_each_finding(self):
        project(self.root)
        code, out, _ = own(self.root, "--json")
        found = {s["name"]: s["reason"] for s in json.loads(out)["symbols"]
                 if s["verdict"] == "finding"}
        self.assertEqual(code, 1)
        self.assertEqual(found, {
            "only_example": "stable, but only examples use it",
            "only_test": "only tests use it",
            "only_library": "only the library itself uses it",
            "unused": "nothing uses it",
            "new_nothing": "nothing uses it",
            "undefined": "in the map, defined nowhere",
            "undeclared": "in the map, declared in no public header",
            "forgotten": "declared in a public header, not in the map",
        })

    def test_consumer_through_an_inline(self):
        project(self.root)
        symbols = {s["name"]: s for s in json.loads(own(self.root, "--json")[1])["symbols"]}
        self.assertEqual(symbols["by_inline"]["consumers"], ["tools/t.c"])

    def test_release_judges_its_node_only(self):
        project(self.root)
        code, out, _ = own(self.root, "--release", "LIB_EXPERIMENTAL")
        self.assertEqual(code, 1)
        self.assertIn("new_nothing", out)
        self.assertNotIn("only_test", out)

    def test_pending_does_not_count(self):
        project(self.root)
        pending = self.root + "/pending"
        with open(pending, "w") as f:
            f.write("".join(n + " because\n" for n in ["only_example", "only_test", "only_library",
                    "unused", "new_nothing", "undefined", "undeclared", "forgotten", "used"]))
        code, out, _ = own(self.root, "--pending", pending)
        self.assertEqual(code, 0)
        self.assertRegex(out, "done +LIB_1.0 +used")

    def test_clean_library(self):
        project(self.root, **{"lib/lib.map": "X { global: used; local: *; };\n",
                              "include/lib/lib.h": "int used(int);\n"})
        self.assertEqual(own(self.root)[0], 0)

    def found(self, *args):
        code, out, err = own(self.root, "--json", *args)
        self.assertEqual((code in (0, 1), err), (True, ""))
        return {s["name"]: s for s in json.loads(out)["symbols"]}

    def test_versions(self):
        """A symbol in several nodes, as libraries have them whose functions changed."""
        project(self.root, **{
            "lib/lib.map": "L_1.0 { global: used; old; local: *; };\n"
                           "/* more */ L_1.1 { global: used; by_inline; } L_1.0;\n"
                           "L_1.2 { global: used; old; } L_1.1;\n",
            "lib/v.c": "SYMVER_DEFAULT(old, \"L_1.2\", int, int x)\n{\n\treturn x;\n}\n"
                       "__asm__(\".symver old_1_0, old@L_1.0\");\n",
            "include/lib/lib.h": "int used(int);\nint by_inline(int);\nint old(int);\n"})
        s = self.found()
        self.assertEqual((s["used"]["nodes"], s["used"]["node"], s["used"]["verdict"]),
                         (["L_1.0", "L_1.1", "L_1.2"], "L_1.2", "ok"))
        self.assertEqual((s["old"]["file"], s["old"]["reason"]),
                         ("lib/v.c", "only the library itself uses it"))
        for release, want in (("L_1.0", 1), ("L_1.1", 1), ("L_1.2", 1)):
            self.assertEqual(own(self.root, "--release", release)[0], want, release)
        self.assertNotIn("old", own(self.root, "--release", "L_1.1")[1])
        self.assertIn("old", own(self.root, "--release", "L_1.0")[1])

    def test_stable_version_of_an_experimental_symbol(self):
        project(self.root,
                **{"lib/lib.map": "X_EXPERIMENTAL { only_example; };\n"
                                  "X_1 { only_example; used; local: *; };\n"})
        self.assertEqual(self.found()["only_example"]["reason"], "stable, but only examples use it")

    def test_patterns(self):
        project(self.root,
                **{"lib/lib.map": "X { global: us*; only_[elt]*; none_*; local: only_t*; *; };\n"})
        s = self.found()
        self.assertEqual({n: x["reason"] for n, x in s.items() if x["node"]}, {
            "used": None, "only_example": "stable, but only examples use it",
            "only_library": "only the library itself uses it",
            "none_*": "matches nothing that the library defines"})
        self.assertEqual(s["only_test"]["reason"], "declared in a public header, not in the map")

    def test_forms_of_maps(self):
        for text, want in (
                ("{ global: used; local: *; };", ["used"]),
                ("{ global: extern \"C\" { used; \"by_inline\"; }; local: *; };",
                 ["by_inline", "used"]),
                ("A { global: used; extern \"C++\" { ns::f*; \"ns::g(int, char)\"; }; };",
                 ["used"]),
                ("# one\nA { /* two\n */ \"used\"; // three\n } ;\nB { } A;", ["used"]),
                ("A {\nglobal:\n\tused;\n\t@MORE@\n\tlocal: *;\n};\nP_@N@ { by_@N@; };",
                 ["by_inline", "used"])):
            project(self.root, **{"lib/lib.map": text})
            listed = sorted(n for n, x in self.found().items()
                            if x["reason"] != "declared in a public header, not in the map")
            self.assertEqual(listed, want, text)
        self.assertIn("2 C++ names", self.cxx())

    def cxx(self):
        project(self.root,
                **{"lib/lib.map": "A { used; extern \"C++\" { ns::f*; \"ns::g(int, char)\"; }; };"})
        return own(self.root)[1]

    def test_consumers_elsewhere(self):
        project(self.root)
        with tempfile.TemporaryDirectory() as other:
            os.makedirs(other + "/tests/include")
            with open(other + "/tests/a.c", "w") as f:
                f.write("#include <lib/lib.h>\n#include \"own.h\"\nint main(void)\n{\n"
                        "\treturn unused(1) + wrapper(1);\n}\n")
            with open(other + "/tests/include/own.h", "w") as f:
                f.write("int not_in_the_map(void);\n")
            s = self.found("--consumers", other)
            self.assertEqual((s["unused"]["reason"], s["unused"]["consumers"]),
                             (None, [other + "/tests/a.c"]))
            self.assertIn(other + "/tests/a.c", s["by_inline"]["consumers"])
            self.assertNotIn("not_in_the_map", s)
            self.assertEqual(s["only_test"]["reason"], "only tests use it")
        code, _, err = own(self.root, "--consumers", self.root + "/nowhere")
        self.assertEqual((code, "nowhere" in err), (2, True))

    def test_branches_that_open_the_same_brace(self):
        project(self.root, **{
            "lib/lib.map": "A { used; by_inline; local: *; };",
            "include/lib/lib.h": "#if X\nstruct a {\n#elif Y\nstruct b {\n#else\nstruct c {\n"
                                 "#endif\n\tint m;\n};\n"
                                 "_Static_assert(sizeof(int) == 4, \"int\");\nint used(int);\n"
                                 "#if Z\nint by_inline(int);\n"
                                 "#else\nint by_inline(int);\n#endif\n"})
        self.assertEqual({n: x["reason"] for n, x in self.found().items()},
                         {"used": None, "by_inline": "nothing uses it"})

    def test_bad_input(self):
        project(self.root)
        for text in ["int main(void) { return 0; }", "", "X { global: a; ",
                     "X { extern \"D\" { a; }; };", "\0\1\2",
                     "X { extern \"C\" { a; ", "X { extern \"C\" { \"a; }; };",
                     "X { a; a; };", "{" * 100000]:
            with open(self.root + "/lib/lib.map", "w") as f:
                f.write(text)
            code, _, err = own(self.root)
            self.assertEqual((code, len(err.splitlines())), (2, 1), (text[:20], err))
        for args in [["--root"], ["--nonsense"], ["--headers", "nowhere"], ["--release", "X"],
                     ["extra"],
                     ["--library", "libs"]]:
            project(self.root)
            code, _, err = own(self.root, *args)
            self.assertEqual((code, len(err.splitlines())), (2, 1), (args, err))

    def test_output_that_is_not_taken(self):
        for args in [["--help"], ["own", "--help"], ["--version"],
                     ["own", "--map", self.root + "/lib/lib.map", "--root", self.root]]:
            project(self.root)
            with open("/dev/full", "w") as full:
                ran = subprocess.run([PROGRAM, *args], stdout=full, stderr=subprocess.PIPE,
                                     text=True)
            self.assertEqual((ran.returncode, len(ran.stderr.splitlines())), (2, 1),
                             (args, ran.stderr))


unittest.main()
