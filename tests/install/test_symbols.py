#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
"""What the headers declare is what the library exports, and has a consumer besides the tests."""
import os
import pathlib
import re
import subprocess

import tap

SOURCE = pathlib.Path(os.environ["SOURCE"])
LIBRARY = os.environ["LIBRARY"]


def declared():
    names = set()
    for header in (SOURCE / "include/hmm").glob("*.h"):
        text = re.sub(r"/\*.*?\*/", "", header.read_text(), flags=re.S)
        text = re.sub(r"^\s*#.*(?:\\\n.*)*", "", text, flags=re.M)
        text = re.sub(r"static inline[^{;]*\{.*?^\}", "", text, flags=re.S | re.M)
        text = re.sub(r"\{[^{}]*\}", "", text.replace('extern "C" {', ""))
        names.update(re.findall(r"(?<![(])\b(hmm_\w+)\s*\(", text))
    return names


def nm(*options):
    return subprocess.run(["nm", "-D", "--defined-only", *options, LIBRARY], capture_output=True,
                          text=True, check=True).stdout


def exported():
    lines = map(str.split, nm().splitlines())
    return {line[-1].split("@")[0] for line in lines if line[-2] != "A"}


def test_headers_declare_something(folder):
    names = declared()
    assert {"hmm_mm_attach", "hmm_range_fault", "hmm_svm_run", "hmm_coherence"} <= names
    assert "hmm_load" not in names, "an inline function"


def test_every_declared_function_is_exported(folder):
    assert not declared() - exported(), sorted(declared() - exported())


def test_nothing_else_is_exported(folder):
    assert not exported() - declared(), sorted(exported() - declared())


def test_every_symbol_carries_a_version(folder):
    for line in nm("--with-symbol-versions").splitlines():
        if " A " not in line:
            assert "@@LIBHMM" in line, line


def test_every_function_has_a_consumer_besides_the_tests(folder):
    text = ""
    for place in ("tools", "examples", "devices", "preload", "lib", "vm", "consumers", "monitor",
                  "dmirror"):
        for path in (SOURCE / place).rglob("*.[ch]"):
            text += path.read_text(errors="replace")
    idle = [name for name in sorted(declared()) if len(re.findall(rf"\b{name}\b\s*\(", text)) < 2]
    assert not idle, idle


if __name__ == "__main__":
    tap.main(globals())
