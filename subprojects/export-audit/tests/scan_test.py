#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
"""export-audit scan: small kernel trees with one question each, the outputs, bad input."""
import csv
import html.parser
import io
import json
import os
import random
import subprocess
import sys
import tempfile
import unittest

PROGRAM = sys.argv.pop(1)
MODULE = "obj-m += user.o\n"


class Scan(unittest.TestCase):
    def setUp(self):
        self.tmp = tempfile.TemporaryDirectory()
        self.root = self.tmp.name
        self.addCleanup(self.tmp.cleanup)
        self.put("Makefile", "VERSION = 6\n")
        self.put("include/linux/export.h",
                 "#define EXPORT_SYMBOL(sym) _EXPORT_SYMBOL(sym, \"\")\n"
                 "#define __EXPORT_SYMBOL(sym, license, ns) extern int x\n")

    def put(self, name, text):
        path = os.path.join(self.root, name)
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, "wb" if isinstance(text, bytes) else "w") as f:
            f.write(text)

    def run_scan(self, *args):
        r = subprocess.run([PROGRAM, "scan", *args], capture_output=True, text=True, timeout=120)
        return r.returncode, r.stdout, r.stderr

    def symbols(self, *args):
        code, out, err = self.run_scan("--json", *args, self.root)
        self.assertEqual((code, err), (0, ""))
        return {s["name"]: s for s in json.loads(out)["symbols"]}

    def verdict(self, name):
        return self.symbols()[name]["verdict"]

    def maker(self, extra=""):
        """lib/a.c exports f; user is drivers/user.c."""
        self.put("lib/Makefile", "obj-y += a.o\n")
        self.put("lib/a.c", "int f(int x)\n{\n\treturn x;\n}\nEXPORT_SYMBOL_GPL(f);\n" + extra)

    def used_by(self, text, headers=(), name="f", makefile=MODULE, exporter=None):
        self.maker()
        if exporter:
            self.put("lib/a.c", exporter)
        self.put("drivers/Makefile", makefile)
        self.put("drivers/user.c", text)
        for h, t in dict(headers).items():
            self.put(h, t)
        return self.verdict(name)

    # what is a use

    def test_call(self):
        self.assertEqual(self.used_by("int g(void)\n{\n\treturn f(1);\n}\n"), "consumed")

    def test_consumer_is_named(self):
        self.used_by("int g(void)\n{\n\treturn f(1);\n}\n")
        s = self.symbols()["f"]
        self.assertEqual((s["consumers"], s["file"], s["line"], s["licence"]),
                         (["drivers/user.c"], "lib/a.c", 5, "GPL"))

    def test_initialiser(self):
        self.assertEqual(self.used_by("static struct ops o = {\n\t.f = f,\n};\n"), "consumed")

    def test_no_use(self):
        for text in ["/* f(1) */\n", "// f(1)\n", "int f(int);\nextern int f(int x);\n",
                     "char *s = \"call f(1)\";\n",
                     "int g(struct s *s)\n{\n\treturn s->f(1) + s->y.f;\n}\n",
                     "static struct ops o = { .f = g };\n", "int g(int f)\n{\n\treturn f;\n}\n",
                     "int g(void)\n{\n\tint f = 1;\n\n\treturn f;\n}\n",
                     "struct s {\n\tint (*f)(int);\n};\n",
                     "static int f(int x)\n{\n\treturn x;\n}\nint g(void)\n{\n\treturn f(1);\n}\n",
                     "#if 0\nint g(void)\n{\n\treturn f(1);\n}\n#endif\n",
                     "int g(void)\n{\n\tgoto f;\nf:\n\treturn 0;\n}\n",
                     "#define g(x) f(x)\n", "DECLARE_PER_CPU(int, f);\n"]:
            with self.subTest(text):
                self.assertEqual(self.used_by(text), "unconsumed")

    def test_each_branch_of_a_conditional_counts(self):
        self.assertEqual(self.used_by("#ifdef A\nint g(int a) {\n#else\nint g(void) {\n#endif\n"
                                      "#ifndef B\n\treturn f(1);\n#endif\n}\n"), "consumed")

    def test_stand_in_of_another_configuration(self):
        self.assertEqual(self.used_by("#ifdef A\n#include \"a.h\"\n#else\n"
                                      "static int f(int x) { return 0; }\n"
                                      "#endif\nint g(void)\n{\n\treturn f(1);\n}\n"), "consumed")

    def test_assembly(self):
        self.maker()
        self.put("arch/x86/Makefile", "obj-y += e.o\n")
        self.put("arch/x86/e.S", "SYM_FUNC_START(g)\n\tcall f\n\tret\nSYM_FUNC_END(g)\n")
        self.assertEqual(self.verdict("f"), "consumed")

    def test_inline_assembly(self):
        self.assertEqual(self.used_by("int g(void)\n{\n\tasm volatile(\"call f\" : : : "
                                      "\"memory\");\n}\n"), "consumed")

    def test_rust(self):
        self.maker()
        self.put("rust/kernel/a.rs",
                 "fn g<'a>() -> i32 {\n    // f\n    unsafe { bindings::f(1) }\n}\n")
        self.assertEqual(self.verdict("f"), "consumed")

    def test_user_space_is_no_consumer(self):
        self.maker()
        for p in ["tools/perf/p.c", "scripts/s.c", "arch/x86/boot/b.c", "Documentation/d.c",
                  "tools/testing/selftests/x/t.c"]:
            self.put(p, "int g(void)\n{\n\treturn f(1);\n}\n")
        self.assertEqual(self.verdict("f"), "unconsumed")

    # headers

    def test_inline_that_nobody_calls(self):
        header = {"include/linux/a.h": "int f(int);\nstatic inline int w(int x)\n{\n"
                                       "\treturn f(x);\n}\n"}
        self.assertEqual(self.used_by("#include <linux/a.h>\n", header), "unconsumed")

    def test_inline_that_is_called(self):
        header = {"include/linux/a.h": "static inline int w(int x)\n{\n\treturn f(x);\n}\n"
                                       "#define W(x) w(x)\n"}
        self.assertEqual(self.used_by("#include <linux/a.h>\nint g(void)\n{\n\treturn W(1);\n}\n",
                                      header), "consumed")
        self.assertIn("W of include/linux/a.h", self.symbols()["f"]["reason"])

    def test_macro_of_a_header_that_is_not_seen(self):
        headers = {"include/linux/a.h": "#define w(x) f(x)\n",
                   "include/linux/b.h": "#define w(x) (x)\n#define y w(z)\n"}
        self.assertEqual(self.used_by("#include <linux/b.h>\nint g(void)\n{\n\treturn w(1);\n}\n",
                                      headers), "unconsumed")

    # modules

    def test_same_module(self):
        self.put("drivers/Makefile",
                 "obj-$(CONFIG_A) += mod.o\nmod-y := a.o\nmod-$(CONFIG_B) += b.o\n")
        self.put("drivers/a.c", "int f(void) { return 0; }\nEXPORT_SYMBOL(f);\n")
        self.put("drivers/b.c", "int g(void) { return f(); }\n")
        self.assertEqual(self.verdict("f"), "unconsumed")

    def test_module_lists_built_by_make(self):
        self.put("drivers/Makefile",
                 "include $(srctree)/$(src)/Makefile.list\nobj-$(CONFIG_A) += mod.o\n"
                                     "mod-objs := $(addprefix sub/, $(LIST)) $(patsubst "
                                     "%.c,%.o,b.c)\n")
        self.put("drivers/Makefile.list", "LIST = a.o \\\n\tc.o\n")
        self.put("drivers/sub/a.c", "int f(void) { return 0; }\nEXPORT_SYMBOL(f);\n")
        self.put("drivers/b.c", "int g(void) { return f(); }\n")
        self.assertEqual(self.verdict("f"), "unconsumed")
        self.put("drivers/Makefile.list", "LIST = a.o \\\n\tc.o\nobj-m += d.o\n")
        self.put("drivers/d.c", "int g(void) { return f(); }\n")
        self.assertEqual(self.symbols()["f"]["consumers"], ["drivers/d.c"])

    def test_built_in_objects_are_apart(self):
        self.put("lib/Makefile", "obj-y += a.o b.o\n")
        self.put("lib/a.c", "int f(void) { return 0; }\nEXPORT_SYMBOL(f);\n")
        self.put("lib/b.c", "int g(void) { return f(); }\n")
        self.assertEqual(self.verdict("f"), "consumed")

    def test_included_source_is_the_includers(self):
        self.put("lib/Makefile", "obj-y += m.o\nm-y := a.o b.o\n")
        self.put("lib/a.c", "int f(void) { return 0; }\nEXPORT_SYMBOL(f);\n")
        self.put("lib/b.c", "#include \"part.c\"\n")
        self.put("lib/part.c", "int g(void) { return f(); }\n")
        self.assertEqual(self.verdict("f"), "unconsumed")

    def test_exported_by_a_list(self):
        self.put("arch/arm/k.c", "extern int f(void);\nEXPORT_SYMBOL(f);\n")
        self.put("arch/arm/f.S", "ENTRY(f)\n\tb f\nENDPROC(f)\n")
        self.assertEqual(self.verdict("f"), "unconsumed")

    # what is built, and how

    CALL = "int g(void)\n{\n\treturn f(1);\n}\n"

    def test_nobody_builds_it(self):
        for makefile, want in [("obj-m += other.o\n", "unconsumed"),
                               ("# obj-m += user.o\n", "unconsumed"),
                               ("obj-n += user.o\n", "unconsumed"),
                               ("obj-m += users.o\nEXTRA = user.h\n", "unconsumed"),
                               ("obj-m += m.o\nm-objs := user.o\n", "consumed"),
                               ("obj-m += m.o\nm-$(CONFIG_M) := $(patsubst %.c,%.o,user.c)\n",
                                "consumed"),
                               ("$(obj)/user.o: FORCE\n\t$(call if_changed,cc)\n", "consumed"),
                               ("obj-m += $(patsubst %.c,%.o,$(wildcard $(src)/*.c))\n",
                                "consumed"),
                               ("obj-m += use$(BITS).o\n", "consumed")]:
            with self.subTest(makefile):
                self.assertEqual(self.used_by(self.CALL, makefile=makefile), want)
        self.used_by(self.CALL, makefile="obj-m += other.o\n")
        self.assertIn("no Makefile builds names it: drivers/user.c", self.symbols()["f"]["reason"])

    def test_modules_that_consist_of_each_other(self):
        for makefile in ["m-objs := " + 64 * "m.o " + "user.o\n",
                         "m-objs := " + 64 * "n.o " + "\nn-objs := " + 64 * "m.o " + "user.o\n",
                         "m-objs := a.o\n" + "".join(
                             f"{c}-objs := " + 64 * f"{chr(ord(c) + 1)}.o " + "\n"
                             for c in "abcd") + "e-objs := user.o\n"]:
            with self.subTest(makefile):
                self.assertEqual(self.used_by(self.CALL, makefile="obj-m += m.o\n" + makefile),
                                 "consumed")

    def test_no_makefile_at_all(self):
        self.maker()
        self.put("elsewhere/user.c", self.CALL)
        self.assertEqual(self.verdict("f"), "unconsumed")

    def test_folder_that_no_makefile_descends_into(self):
        self.put("Kconfig", "config THERE\n\ttristate\n")
        self.put("sub/deep/Makefile", "obj-m += u.o\n")
        self.put("sub/deep/u.c", self.CALL)
        self.put("sub/a.c", "")
        self.maker()
        for root, sub, want in [("obj-y += lib/ sub/", "obj-y += a.o", "unconsumed"),
                                ("obj-y += lib/ sub/", "obj-y += deep/", "consumed"),
                                ("obj-y += lib/", "obj-y += deep/", "unconsumed"),
                                ("VERSION = 6", "obj-$(CONFIG_THERE) += deep/", "consumed"),
                                ("obj-y += lib/ sub/", "obj-$(CONFIG_GONE) += deep/", "unconsumed"),
                                ("obj-y += lib/ sub/deep/", "", "consumed"),
                                ("obj-y += lib/ sub/deep/", "obj-y += a.o", "consumed")]:
            with self.subTest((root, sub)):
                self.put("Makefile", root + "\n")
                self.put("sub/Makefile", sub + "\n")
                self.assertEqual(self.verdict("f"), want)

    def test_folder_that_an_architecture_descends_into(self):
        self.used_by(self.CALL)
        self.put("Makefile", "obj-y += lib/\n")
        self.assertEqual(self.verdict("f"), "unconsumed")
        self.put("arch/s390/Makefile", "core-y += arch/s390/\ndrivers-y += drivers/\n")
        self.assertEqual(self.verdict("f"), "consumed")

    def test_source_that_a_built_one_includes(self):
        self.assertEqual(self.used_by("#include \"part.c\"\n",
                                      {"drivers/part.c": "#include \"deep.c\"\n",
                                                               "drivers/deep.c": self.CALL}),
                         "consumed")
        self.put("drivers/user.c", "")
        self.assertEqual(self.verdict("f"), "unconsumed")

    def test_programs_are_no_consumers(self):
        self.assertEqual(self.used_by(self.CALL, makefile="hostprogs := user\n"), "unconsumed")
        self.assertEqual(self.used_by(self.CALL,
                                      makefile="userprogs-always-y += u\nu-objs := user.o\n"),
                         "unconsumed")
        self.assertEqual(self.used_by("#include <stdio.h>\n" + self.CALL,
                                      makefile="user: user.c\n"), "unconsumed")
        self.put("drivers/Makefile", "")
        self.put("drivers/Makefile.am", "bin_PROGRAMS = user\nuser_SOURCES = user.c\n")
        self.assertEqual(self.verdict("f"), "unconsumed")

    def test_what_configure_makes_a_kbuild_of(self):
        self.assertEqual(self.used_by(self.CALL, {"drivers/Kbuild.in": "obj-m += user.o\n"},
                                      makefile=""), "consumed")

    def modular(self):
        return {n: s["verdict"] for n, s in self.symbols("--modular").items()}["f"]

    def test_always_built_in(self):
        self.put("Kconfig", "config TRI\n\ttristate \"t\"\nconfig BOO\n\tbool \"b\"\n")
        for makefile, modular in [("obj-y += user.o\n", "unconsumed"),
                                  ("obj-$(CONFIG_BOO) += user.o\n", "unconsumed"),
                                  ("obj-$(CONFIG_TRI) += user.o\n", "consumed"),
                                  ("obj-m += user.o\n", "consumed"),
                                  ("obj-y += m.o\nm-objs := user.o\n", "unconsumed"),
                                  ("lib-y += user.o\n", "unconsumed"),
                                  ("obj-$(CONFIG_TRI) += m.o\nm-$(CONFIG_BOO) += user.o\n",
                                   "consumed"),
                                  ("obj-$(CONFIG_TRI:m=y) += user.o\n", "unconsumed"),
                                  ("obj-y += user.o\nobj-m += m.o\nm-y := user.o\n", "consumed")]:
            with self.subTest(makefile):
                self.assertEqual(self.used_by(self.CALL, makefile=makefile), "consumed")
                self.assertEqual("always built in" in self.symbols()["f"]["reason"],
                                 modular == "unconsumed")
                self.assertEqual(self.modular(), modular)

    def test_module_that_reaches_it_through_a_header(self):
        """One built-in file calls it; an inline function does, too, and a module calls that."""
        headers = {"include/linux/a.h": "static inline int w(int x)\n{\n\treturn f(x);\n}\n",
                   "drivers/m.c": "#include <linux/a.h>\nint m(void)\n{\n\treturn w(1);\n}\n"}
        self.used_by(self.CALL, headers, makefile="obj-y += user.o\nobj-m += m.o\n")
        self.assertEqual(self.modular(), "consumed")
        self.put("drivers/m.c", "#include <linux/a.h>\n")
        self.assertEqual(self.modular(), "unconsumed")

    def test_option_that_no_kconfig_has(self):
        self.put("init/Kconfig", "menuconfig THERE\n\tbool \"t\"\n")
        self.put("drivers/own.h", "#define CONFIG_OWN 1\n")
        for condition, want in [("#ifdef CONFIG_THERE", "consumed"),
                                ("#ifdef CONFIG_GONE", "unconsumed"),
                                ("#if IS_ENABLED(CONFIG_GONE)", "unconsumed"),
                                ("#if defined(CONFIG_GONE_MODULE)", "unconsumed"),
                                ("#if defined CONFIG_THERE_MODULE", "consumed"),
                                ("#ifndef CONFIG_GONE", "consumed"),
                                ("#if defined(CONFIG_GONE) || defined(CONFIG_THERE)", "consumed"),
                                ("#if X && (defined(CONFIG_GONE) || defined(CONFIG_GONE_MODULE))",
                                 "unconsumed"),
                                ("#if !defined(CONFIG_GONE) && Y", "consumed"),
                                ("#if CONFIG_GONE > 4", "consumed"),
                                ("#ifdef CONFIG_OWN", "consumed"),
                                ("#ifdef X\n#elif defined(CONFIG_GONE)", "unconsumed"),
                                ("#ifndef CONFIG_GONE\n#else", "unconsumed"),
                                ("#ifdef CONFIG_GONE\n#else", "consumed"),
                                ("#ifdef CONFIG_GONE\n#elif Y", "consumed"),
                                ("#ifndef CONFIG_GONE\n#elif Y", "unconsumed"),
                                ("#ifdef CONFIG_GONE\n#ifdef Y\n#else\n#endif", "unconsumed"),
                                ("#ifdef CONFIG_GONE\n#endif\n#ifdef Y", "consumed")]:
            with self.subTest(condition):
                self.assertEqual(self.used_by(f"{condition}\n{self.CALL}#endif\n"), want)
        self.used_by(f"#ifdef CONFIG_GONE\n{self.CALL}#endif\n")
        self.assertIn("no Kconfig has names it: drivers/user.c", self.symbols()["f"]["reason"])
        self.assertEqual(self.used_by(f"#ifdef CONFIG_GONE\n{self.CALL}#endif\n"
                                      f"int h(void) {{ return f(2); }}\n"), "consumed")

    def test_tree_whose_kconfig_files_were_left_out(self):
        text = f"#ifdef CONFIG_ANY\n{self.CALL}#endif\n"
        self.assertEqual(self.used_by(text), "unconsumed")
        self.assertEqual(self.used_by(text, makefile="obj-$(CONFIG_USER) += user.o\n"), "consumed")
        self.put("Kconfig", "config USER\n\tbool\n")
        self.assertEqual(self.verdict("f"), "unconsumed")

    def test_option_asked_for_in_code(self):
        for body, want in [("if (IS_ENABLED(CONFIG_GONE))\n\t\tf(1);", "unconsumed"),
                           ("if (x && IS_ENABLED(CONFIG_GONE)) {\n\t\tif (x)\n\t\t\tf(1);\n\t}",
                            "unconsumed"),
                           ("if (!IS_ENABLED(CONFIG_GONE))\n\t\tf(1);", "consumed"),
                           ("if (IS_ENABLED(CONFIG_GONE)) {\n\t\tx++;\n\t}\n\tf(1);", "consumed"),
                           ("if (IS_ENABLED(CONFIG_GONE))\n\t\tx++;\n\telse\n\t\tf(1);",
                            "consumed"),
                           ("if (IS_ENABLED(CONFIG_GONE) || x)\n\t\tf(1);", "consumed"),
                           ("if (IS_ENABLED(CONFIG_GONE))\n\t\tfor (;;) { f(1); }\n\tx++;",
                            "unconsumed")]:
            with self.subTest(body):
                self.assertEqual(self.used_by(f"int g(int x)\n{{\n\t{body}\n\treturn x;\n}}\n"),
                                 want)

    def test_option_around_an_inline(self):
        header = ("#ifdef CONFIG_GONE\nstatic inline int w(int x)\n{\n\treturn f(x);\n}\n"
                  "#define W(x) f(x)\n#endif\n")
        self.assertEqual(self.used_by("#include <linux/a.h>\nint g(void) { return w(1) + W(2); }\n",
                                      {"include/linux/a.h": header}), "unconsumed")

    def test_makefile_asks_for_an_option_that_no_kconfig_has(self):
        self.put("Kconfig", "config THERE\n\tbool\n")
        self.assertEqual(self.used_by(self.CALL, makefile="obj-$(CONFIG_GONE) += user.o\n"),
                         "unconsumed")
        self.assertEqual(self.used_by(self.CALL,
                                      makefile="CONFIG_GONE := m\nobj-$(CONFIG_GONE) += user.o\n"),
                         "consumed")
        self.assertEqual(self.used_by(self.CALL, makefile="obj-$(CONFIG_THERE) += user.o\n"),
                         "consumed")

    def test_exported_for_some_modules(self):
        self.put("Kconfig", "config USER\n\ttristate \"u\"\n")
        self.put("include/linux/export.h",
                 "#define EXPORT_SYMBOL_FOR_MODULES(s, m) __EXPORT_SYMBOL(s, \"GPL\", \"module:\" "
                 "m)\n")
        for modules, makefile, want in [("kvm", MODULE, "unconsumed"),
                                        ("kvm,user", MODULE, "consumed"),
                                        ("us*", MODULE, "consumed"),
                                        ("kvm, user", MODULE, "consumed"),
                                        ("use", MODULE, "unconsumed"),
                                        ("user", "obj-m += my-mod.o\nmy-mod-y := user.o\n",
                                         "unconsumed"),
                                        ("my_mod", "obj-m += my-mod.o\nmy-mod-y := user.o\n",
                                         "consumed"),
                                        ("kvm", "obj-$(CONFIG_USER) += user.o\n", "unconsumed"),
                                        ("kvm", "obj-y += user.o\n", "consumed")]:
            for form in ["EXPORT_SYMBOL_FOR_MODULES(f, \"%s\");",
                         "#define X(s) __EXPORT_SYMBOL(s, \"GPL\", \"module:\" \"%s\")\nX(f);"]:
                with self.subTest((modules, makefile, form)):
                    self.assertEqual(self.used_by(self.CALL, makefile=makefile,
                                                  exporter="int f(int x) { return x; }\n" +
                                                  form % modules + "\n"), want)

    def test_wrapped_by_the_linker(self):
        mock = {"drivers/mock.c": "int __wrap_f(int x) { return __real_f(x); }\n"
                                  "EXPORT_SYMBOL(__wrap_f);\n"}
        for flag, want in [("--wrap=f", "consumed"), ("--wrap f", "consumed"),
                           ("-Wl,--wrap=f", "consumed"), ("--wrap=ff", "unconsumed")]:
            with self.subTest(flag):
                makefile = f"ldflags-y += -r\nldflags-y += {flag}\nobj-m += user.o mock.o\n"
                self.assertEqual(self.used_by(self.CALL, mock, "__wrap_f", makefile), want)
        self.assertEqual(self.used_by(self.CALL, mock, "__wrap_f", "obj-m += user.o mock.o\n"),
                         "unconsumed")
        self.used_by("", mock, "__wrap_f", "ldflags-y += --wrap=f\nobj-m += mock.o\n")
        self.assertEqual(self.symbols()["f"]["consumers"], ["drivers/mock.c"])  # by __real_f

    def test_linked_into_livepatches(self):
        self.maker()
        self.put("scripts/livepatch/init.c", self.CALL)
        self.put("scripts/mod/other.c", self.CALL)
        self.assertEqual(self.symbols()["f"]["consumers"], ["scripts/livepatch/init.c"])

    def arch(self, user, makefile="obj-y += u.o\n",
             header="static inline int f(int x) { return x; }\n"):
        self.put("arch/arm/kernel/Makefile", "obj-y += e.o\n")
        self.put("arch/arm/kernel/e.c", "int f(int x) { return x; }\nEXPORT_SYMBOL(f);\n")
        self.put(user, "#include <asm/f.h>\n" + self.CALL)
        self.put(os.path.dirname(user) + "/Makefile", makefile)
        self.put("arch/x86/include/asm/f.h", header)
        return self.verdict("f")

    def test_another_architecture(self):
        self.assertEqual(self.arch("arch/x86/kernel/u.c"), "unconsumed")
        self.assertIn("another architecture", self.symbols()["f"]["reason"])
        self.assertEqual(self.arch("arch/arm/mach/u.c"), "consumed")

    def test_source_that_two_architectures_build(self):
        self.assertEqual(self.arch("arch/arm64/xen/u.c", "obj-y += u.o ../../arm/kernel/e.o\n"),
                         "consumed")

    def test_driver_that_any_architecture_may_build(self):
        self.assertEqual(self.arch("drivers/u.c"), "consumed")

    def test_inline_of_another_architecture(self):
        self.put("drivers/Makefile", "obj-m += d.o\n")
        self.put("drivers/d.c", "#include <asm/f.h>\nint d(void)\n{\n\treturn w(1);\n}\n")
        self.assertEqual(self.arch("arch/x86/kernel/u.c",
                                   header="static inline int w(int x) { return f(x); }\n"),
                         "unconsumed")
        self.put("arch/arm/include/asm/f.h", "static inline int w(int x) { return f(x); }\n")
        self.assertEqual(self.verdict("f"), "consumed")

    # exports

    def test_variants(self):
        self.put("lib/a.c", "EXPORT_SYMBOL(a);\nEXPORT_SYMBOL_GPL(b);\nEXPORT_SYMBOL_NS(c, N);\n"
                            "EXPORT_SYMBOL_NS_GPL(d, \"N\");\n"
                            "EXPORT_SYMBOL_GPL_FOR_MODULES(e, \"kvm\");\n"
                            "EXPORT_SYMBOL_FOR_TESTS_ONLY(t);\nEXPORT_PER_CPU_SYMBOL_GPL(p);\n"
                            "EXPORT_STATIC_CALL(s);\nEXPORT_STATIC_CALL_TRAMP_GPL(r);\n"
                            "EXPORT_TRACEPOINT_SYMBOL_GPL(9p);\n")
        got = {n: (s["licence"], s["variant"], s["namespace"]) for n, s in self.symbols().items()}
        self.assertEqual(got, {
            "a": ("plain", "symbol", ""), "b": ("GPL", "symbol", ""),
            "c": ("plain", "namespaced", "N"),
            "d": ("GPL", "namespaced", "N"), "e": ("GPL", "for modules", "kvm"),
            "t": ("plain", "tests only", ""),
            "p": ("GPL", "per-cpu", ""), "__SCK__s": ("plain", "static call", ""),
            "__SCT__r": ("GPL", "static call", ""), "__tracepoint_9p": ("GPL", "tracepoint", "")})

    def test_default_namespace(self):
        self.put("drivers/a.c",
                 "#define DEFAULT_SYMBOL_NAMESPACE A\n#include <linux/export.h>\n"
                 "EXPORT_SYMBOL(a);\n")
        self.put("drivers/late.c",
                 "#include <linux/export.h>\n#define DEFAULT_SYMBOL_NAMESPACE L\n"
                 "EXPORT_SYMBOL(l);\n")
        self.put("drivers/x/Makefile", "ccflags-y += -DDEFAULT_SYMBOL_NAMESPACE='\"X\"'\n")
        self.put("drivers/x/x.c", "EXPORT_SYMBOL(x);\n")
        got = {n: s["namespace"] for n, s in self.symbols().items()}
        self.assertEqual(got, {"a": "A", "l": "", "x": "X"})

    def test_macros_that_export(self):
        self.put("lib/a.c",
                 "#define TWO(n, t) t get_##n(void) { return 0; } EXPORT_SYMBOL(get_##n); \\\n"
                            "\tONE(set_ ## n)\n#define ONE(n) EXPORT_SYMBOL_GPL(n)\nTWO(x, int)\n"
                            "#define LIST(m) m(p) m(q)\nLIST(ONE);\n#define ALSO EXPORT_SYMBOL\n"
                            "ALSO(r);\n")
        got = {n: s["licence"] for n, s in self.symbols().items()}
        self.assertEqual(got,
                         {"get_x": "plain", "set_x": "GPL", "p": "GPL", "q": "GPL", "r": "plain"})

    def test_macro_that_cannot_be_expanded(self):
        self.put("lib/a.c", "EXPORT_SYMBOL(NAME(x));\n")
        s = self.symbols()["NAME(x)"]
        self.assertEqual(s["verdict"], "undecided")

    def repeated(self, rounds):
        """An export of each number of so many digits."""
        tens = ["#define R0(f, x) " + " ".join(f"f(x ## {k})" for k in range(10)) + "\n"]
        tens += [f"#define R{i}(f, x) " + " ".join(f"R{i - 1}(f, x ## {k})" for k in range(10))
                 + "\n"
                 for i in range(1, rounds)]
        self.put("lib/a.c",
                 "".join(tens)
                 + "#define DEF(n) int a_function_with_a_long_name_##n(void) { return 0; } "
                 f"EXPORT_SYMBOL_GPL(a_function_with_a_long_name_##n)\n\nR{rounds - 1}(DEF, 1);\n")

    def test_ten_thousand_exports_by_one_macro(self):
        self.repeated(4)
        names = self.symbols()
        self.assertEqual(len(names), 10000)
        self.assertIn("a_function_with_a_long_name_19999", names)

    def test_names_of_a_macro_that_is_handed_to_another(self):
        self.put("lib/Makefile", "obj-y += a.o\nobj-m += test.o\n")
        self.repeated(2)
        with open(self.root + "/lib/a.c") as f:
            repeat = f.read().split("#define DEF")[0]
        self.put("lib/repeat.h", repeat)
        self.put("lib/test.c",
                 "#include \"repeat.h\"\n#define TENS(f) R0(f, 11)\nint g(void)\n{\n\tint x = 0;\n"
                 "#define CALL(i) x += a_function_with_a_long_name_ ## i();\n\tTENS(CALL);\n"
                 "\treturn x;\n}\n")
        used = sorted(n for n, s in self.symbols().items() if s["verdict"] == "consumed")
        self.assertEqual(used, [f"a_function_with_a_long_name_11{i}" for i in range(10)])

    def test_expansion_that_is_cut_is_said(self):
        self.repeated(9)
        code, out, err = self.run_scan("--summary", self.root)
        self.assertEqual(code, 0)
        self.assertRegex(err,
                         r"^export-audit: the expansion of macros was cut short 1 times, first in "
                         r"lib/a.c:\d+: ")

    def test_list_header(self):
        self.put("lib/list.h", "X(one)\nX(two)\n")
        self.put("lib/a.c", "#define X(n) EXPORT_SYMBOL_GPL(call_##n);\n#include \"list.h\"\n")
        self.assertEqual(sorted(self.symbols()), ["call_one", "call_two"])

    def test_one_symbol_of_two_architectures(self):
        for a in ["arm", "x86"]:
            self.put(f"arch/{a}/l.c",
                     "int f(void) { return 0; }\nEXPORT_SYMBOL(f);\nint h(void) { return f(); }\n")
        s = self.symbols()["f"]
        self.assertEqual((s["verdict"], s["also_exported_by"]), ("unconsumed", ["arch/x86/l.c"]))

    # names that are not written

    def test_pasted_use(self):
        self.assertEqual(self.used_by("#define CALL(n) get_##n()\nint g(void)\n{\n"
                                      "\treturn CALL(x);\n}\n"), "unconsumed")
        self.put("lib/a.c",
                 "int get_x(void) { return 0; }\nEXPORT_SYMBOL(get_x);\nEXPORT_SYMBOL(get_y);\n")
        self.assertEqual((self.verdict("get_x"), self.verdict("get_y")), ("consumed", "unconsumed"))

    def test_pasted_by_count(self):
        self.put("lib/a.c", "int run2(void) { return 0; }\nEXPORT_SYMBOL(run2);\n")
        self.put("include/linux/args.h", "#define __CAT(a, b) a##b\n#define CAT(a, b) __CAT(a, b)\n"
                                         "#define run(...) CAT(run, COUNT(__VA_ARGS__))()\n")
        self.put("drivers/u.c", "#include <linux/args.h>\nint g(void) { return 0; }\n")
        self.assertEqual(self.verdict("run2"), "unconsumed")

    def test_perhaps_pasted(self):
        self.put("lib/a.c", "int prefix_of_x(void) { return 0; }\nEXPORT_SYMBOL(prefix_of_x);\n")
        self.put("drivers/u.c", "#define CALL(n) prefix_of_##n()\n#define ID(x) x\n"
                                "int g(void) { return CALL(ID(x)); }\n")
        self.assertEqual(self.verdict("prefix_of_x"), "undecided")

    def test_tracepoint(self):
        self.put("lib/a.c", "EXPORT_TRACEPOINT_SYMBOL(ev);\nint a(void) { trace_ev(1); }\n")
        self.assertEqual(self.verdict("__tracepoint_ev"), "unconsumed")
        self.put("drivers/u.c", "int g(void) { if (trace_ev_enabled()) return 1; }\n")
        self.assertEqual(self.verdict("__tracepoint_ev"), "consumed")

    def test_compiler(self):
        self.put("lib/a.c", "EXPORT_SYMBOL(__asan_load8);\nEXPORT_SYMBOL(__udivdi3);\n")
        got = {s["verdict"] for s in self.symbols().values()}
        self.assertEqual(got, {"undecided"})

    def test_name_in_a_string(self):
        self.maker()
        self.put("lib/a.c", "EXPORT_SYMBOL(function);\n")
        for call, want in [("log(\"function\")", "unconsumed"),
                           ("__symbol_get(\"function\")", "consumed"),
                           ("kallsyms_lookup_name(\"function\")", "consumed"),
                           ("symbol_get(function)", "consumed"),
                           ("log(\"__symbol_get\", \"function\")", "unconsumed"),
                           ("__symbol_get(x ? \"function\" : \"other\")", "undecided")]:
            with self.subTest(call):
                self.assertEqual(self.used_by(f"int g(int x)\n{{\n\treturn {call};\n}}\n",
                                              name="function",
                                              exporter="EXPORT_SYMBOL(function);\n"), want)

    def test_only_tests_use_it(self):
        self.maker()
        self.put("lib/Makefile", "obj-y += a.o\nobj-m += f_kunit.o\n")
        self.put("lib/f_kunit.c", "int g(void) { return f(1); }\n")
        s = self.symbols()["f"]
        self.assertEqual((s["verdict"], "only samples and tests" in s["reason"]),
                         ("consumed", True))

    # output and filters

    def tree(self):
        self.put("MAINTAINERS",
                 "List\n----\n\nTHE LIBRARY\nM:\tA <a@example.org>\nF:\tlib/\n\nDRIVERS\n"
                 "F:\tdrivers/*\n")
        self.put("lib/a.c", "EXPORT_SYMBOL(a1);\nEXPORT_SYMBOL_GPL(a2);\n")
        self.put("drivers/b.c", "EXPORT_SYMBOL_GPL(b1);\nint g(void) { return a1(); }\n")

    def test_filters(self):
        self.tree()
        for args, want in [(["--path=lib"], ["a1", "a2"]), (["--path=lib/"], ["a1", "a2"]),
                           (["--path=*/b.c"], ["b1"]), (["--subsystem=the lib"], ["a1", "a2"]),
                           (["--licence=gpl"], ["a2", "b1"]), (["--symbol=?1"], ["a1", "b1"]),
                           (["--verdict=consumed"], ["a1"]),
                           (["--licence=gpl", "--path=lib"], ["a2"])]:
            with self.subTest(args):
                self.assertEqual(sorted(self.symbols(*args)), want)
        self.assertEqual(self.symbols()["b1"]["subsystem"], "DRIVERS")

    def test_forms(self):
        self.tree()
        rows = list(csv.DictReader(io.StringIO(self.run_scan("--csv", self.root)[1])))
        self.assertEqual([(r["name"], r["verdict"]) for r in rows],
                         [("a1", "consumed"), ("a2", "unconsumed"), ("b1", "unconsumed")])
        table = self.run_scan("--consumers", self.root)[1]
        self.assertRegex(table, r"consumed +plain +a1 +lib/a.c:1: .*\n +drivers/b.c\n")
        self.assertRegex(table, r"symbols +2 +1 +3\n$")
        page = self.run_scan("--html", self.root)[1]
        html.parser.HTMLParser().feed(page)
        self.assertIn('["a1","plain","consumed","lib/a.c:1","THE LIBRARY"',
                      page.replace('", "', '","').replace("[ ", "["))
        self.assertNotIn("src=", page)
        self.assertNotIn("href=", page)

    def test_check(self):
        self.tree()
        self.assertEqual(self.run_scan("--check", self.root)[0], 1)
        self.assertEqual(self.run_scan("--check", "--verdict=consumed", self.root)[0], 0)

    def test_hostile_names_in_the_page(self):
        self.put("lib/a.c", b"EXPORT_SYMBOL(X(</script><b>\xff\x01\"));\n")
        page = self.run_scan("--html", self.root)[1]
        self.assertEqual(page.count("</script>"), 1)
        self.symbols()

    # bad input

    def refused(self, *args):
        code, out, err = self.run_scan(*args)
        self.assertEqual((code, out, len(err.splitlines())), (2, "", 1), err)

    def test_no_kernel_tree(self):
        with tempfile.TemporaryDirectory() as empty:
            self.refused(empty)
        self.refused("/nonexistent")
        self.refused(PROGRAM)
        self.refused()
        self.refused(self.root, self.root)
        for args in ([], ["frobnicate"], [""]):  # no command, or none of that name
            r = subprocess.run([PROGRAM, *args], capture_output=True, text=True, timeout=60)
            self.assertEqual((r.returncode, r.stdout, len(r.stderr.splitlines())), (2, "", 1), args)
        for bad in ["--nonsense", "--licence=bsd", "--verdict=maybe", "--threads=0", "--threads=x",
                    "--path"]:
            self.refused(self.root, bad) if bad != "--path" else self.refused(bad)

    def test_symlinks(self):
        self.maker()
        os.symlink(".", self.root + "/lib/loop")
        os.symlink("/nonexistent", self.root + "/lib/dangling.c")
        os.symlink("a.c", self.root + "/lib/b.c")
        os.mkfifo(self.root + "/lib/fifo.c")
        self.assertEqual(self.symbols()["f"]["also_exported_by"], [])

    def test_binary_junk(self):
        self.maker()
        for i, n in enumerate([0, 1, 100, 1 << 20]):
            self.put(f"lib/junk{i}.c", random.Random(i).randbytes(n))
            self.put(f"lib/junk{i}.S", random.Random(i + 9).randbytes(n))
            self.put(f"lib/junk{i}.h", random.Random(i + 99).randbytes(n))
        self.put("lib/sub/Makefile", random.Random(7).randbytes(100000))
        self.put("MAINTAINERS", random.Random(8).randbytes(100000))
        self.assertIn("f", self.symbols())

    def test_one_long_line(self):
        self.maker()
        for i, text in enumerate([b"x", b"(", b"abc ", b"/*", b'"', b"#define a(b) b##",
                                  b"EXPORT_SYMBOL(a)"]):
            n = (100 << 20) if i < 1 else (8 << 20)
            self.put("lib/long.c", text * (n // len(text)))
            with self.subTest(text):
                self.assertEqual(self.symbols()["f"]["verdict"], "unconsumed")

    def test_deep_folders(self):
        self.maker()
        self.put("lib/" + "d/" * 200 + "a.c", "int g(void) { return 0; }\n")
        self.assertEqual(self.verdict("f"), "unconsumed")

    def test_makefile_that_includes_itself(self):
        self.maker()
        self.put("drivers/Makefile",
                 "a-y += $(a-y) x.o\ninclude $(src)/Makefile\ninclude $(src)/Makefile\nX = $(X)\n"
                 "obj-y += $(X)\n")
        self.assertEqual(self.verdict("f"), "unconsumed")


unittest.main()
