#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
"""The scan of a real kernel against what is known of it.

Usage: linux_test.py EXPORT-AUDIT VERSION

The symbols read by hand (known-VERSION.tsv), the random sample (sample-VERSION.tsv) and
modpost's truth: Module.symvers and the imports of all modules that Debian ships.
"""
import csv
import io
import os
import re
import resource
import subprocess
import sys
import time

HERE = os.path.dirname(os.path.abspath(__file__))
failures = []


def check(ok, what):
    print(("ok   " if ok else "FAIL ") + what)
    if not ok:
        failures.append(what)


def table(name):
    path = os.path.join(HERE, name)
    if not os.path.exists(path):
        return []
    lines = (l.rstrip("\n") for l in open(path))
    return [l.split("\t") for l in lines if l and not l.startswith("#")]


def scan(program, tree, *options):
    before, start = resource.getrusage(resource.RUSAGE_CHILDREN), time.monotonic()
    r = subprocess.run([program, "scan", "--csv", *options, tree], capture_output=True, text=True,
                       check=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    print(f"     {time.monotonic() - start:.1f} s, {cpu:.1f} s of processors,"
          f" at most {after.ru_maxrss // 1024} MiB")
    check(after.ru_maxrss < 1 << 20, "at most 1 GiB of memory")
    check(cpu < 40, "at most 40 s of processors (12 on two idle cores)")
    return {row["name"]: row for row in csv.DictReader(io.StringIO(r.stdout))}


def known(symbols, version):
    rows, bad = table(f"known-{version}.tsv"), []
    for name, verdict, licence, why in rows:
        row = symbols.get(name)
        said = row["verdict"] if row else "absent"
        if said != verdict or (row and licence not in ("-", row["licence"])):
            bad.append(f"{name} is {verdict} {licence} ({why}), not {said}")
    for b in bad:
        print("    ", b)
    check(not bad and rows, f"{len(rows)} symbols read by hand")


def sample(symbols, version):
    rows = table(f"sample-{version}.tsv")
    if not rows:
        return
    right = sum(r[1] == "right" for r in rows)
    gone = [r[0] for r in rows if r[1] == "right"
            and symbols.get(r[0], {}).get("verdict") != "unconsumed"]
    check(len(rows) == 100 and right >= 97,
          f"{right} of {len(rows)} drawn unconsumed ones are right")
    # a later upload of the same version may give a symbol its first consumer
    check(len(gone) <= 3, f"and still called so, but for {gone}")


def canonical(name, symbols):
    """Our one name for the several of a tracepoint or a static call."""
    n = re.sub(r"^(__traceiter_|__SC[TK]__tp_func_)", "__tracepoint_", name)
    if n not in symbols and n.startswith("__SCT__"):
        n = "__SCK__" + n[7:]
    return n


def modpost(symbols, folder):
    if not os.path.exists(folder + "/imports"):
        print("     no packages of the built kernel: not compared with modpost")
        return
    exports = {l.split("\t")[1]: l.rstrip("\n").split("\t") for l in open(folder + "/symvers")}
    missing = [e for e in exports if canonical(e, symbols) not in symbols]
    check(len(exports) > 20000 and not missing,
          f"{len(exports)} exports of Module.symvers, missing {missing[:9]}")
    other = [e for e, f in exports.items() if canonical(e, symbols) in symbols and
             ("GPL" in f[3]) != (symbols[canonical(e, symbols)]["licence"] == "GPL")]
    # exported twice, by configuration or architecture, with two licences: the wider counts
    check(len(other) < 40, f"{len(other)} differ in licence")
    imported, wrong = set(), set()
    for line in open(folder + "/imports"):
        module, name = line.split()
        if name not in exports:
            continue
        home = exports[name][2].rsplit("/", 1)[-1]
        if home.replace("-", "_") == module.replace("-", "_"):
            continue
        imported.add(name)
        row = symbols.get(canonical(name, symbols))
        if not row or row["verdict"] == "unconsumed":
            wrong.add(f"{name} by {module}")
    check(len(imported) > 15000 and not wrong,
          f"{len(imported)} symbols that modules import, called unconsumed: {sorted(wrong)[:9]}")


def totals(symbols, folder, version):
    page = os.path.join(HERE, f"../../../docs/export-audit-{version}.md")
    if not os.path.exists(page):
        return
    text = open(page).read()
    if open(folder + "/version").read() not in text:
        print("     the page is of another upload: totals not compared")
        return
    for verdict in ("consumed", "unconsumed", "undecided"):
        for licence in ("GPL", "plain"):
            n = sum(r["verdict"] == verdict and r["licence"] == licence for r in symbols.values())
            check(re.search(rf"^\| {verdict} \|.*\b{n}\b", text, re.M),
                  f"{n} {verdict} {licence} in the page")


def main():
    program, version = sys.argv[1:]
    got = subprocess.run([sys.executable, HERE + "/get-sources", version], stdout=subprocess.PIPE,
                         text=True)
    if got.returncode == 77:
        sys.exit(77)
    folder = got.stdout.strip()
    symbols = scan(program, folder + "/tree")
    check(len(symbols) > 30000, f"{len(symbols)} symbols")
    known(symbols, version)
    sample(symbols, version)
    modpost(symbols, folder)
    modular = scan(program, folder + "/tree", "--modular")
    fewer = sum(r["verdict"] == "unconsumed" for r in modular.values())
    check(fewer > 1000 + sum(r["verdict"] == "unconsumed" for r in symbols.values()),
          f"{fewer} unconsumed by modules")
    modpost(modular, folder)
    totals(symbols, folder, version)
    sys.exit(1 if failures else 0)


main()
