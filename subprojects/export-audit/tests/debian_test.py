# SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
"""history of the kernels that Debian packages: what is known of their symbols.

Usage: debian_test.py EXPORT-AUDIT [VERSION...]

The repository is made once, see get-history. EXPORT_AUDIT_RELEASES names other releases
than the default ones; every row that they can show is checked.
"""
import json
import os
import resource
import subprocess
import sys
import time

from synthetic import Program, check, equal, finish, own_cache

HERE = os.path.dirname(os.path.abspath(__file__))
CACHE = os.path.join(os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache"), "libhmm")

# symbol, licence, first release that is known to have it, last one, consumed at all
ROWS = [
    ("hmm_range_fault", "plain", "5.2", None, True),
    ("hmm_range_dma_map", "plain", "5.2", "5.4", False),
    ("migrate_vma_setup", "plain", "5.4", None, True),
    ("migrate_vma_pages", "plain", "5.4", None, True),
    ("migrate_vma_finalize", "plain", "5.4", None, True),
    ("migrate_device_pages", "plain", "6.1", None, True),
    ("migrate_device_finalize", "plain", "6.1", None, True),
    ("make_device_exclusive_range", "GPL", "5.14", "6.12", True),
    ("mmu_interval_notifier_insert", "GPL", "5.6", None, True),
    ("mmu_interval_notifier_remove", "GPL", "5.6", None, True),
    ("mmu_interval_read_begin", "GPL", "5.6", None, True),
    ("hmm_dma_map_alloc", "GPL", "6.16", None, True),
    ("hmm_dma_map_free", "GPL", "6.16", None, True),
    ("hmm_dma_map_pfn", "GPL", "6.16", None, True),
    ("hmm_dma_unmap_pfn", "GPL", "6.16", None, True),
    ("pci_has_p2pmem", "GPL", "4.20", "6.12", False),
]


def key(version):
    return tuple(int(x) for x in version.split("."))


def check_row(symbols, versions, row):
    name, licence, first, last, consumed = row
    there = [v for v in versions if key(v) >= key(first) and (not last or key(v) <= key(last))]
    s = symbols.get(name)
    if not there:
        check(f"{name}: not there", s is None, s)
        return
    check(f"{name}: there", s is not None)
    if not s:
        return
    after = [v for v in versions if last and key(v) > key(last)]
    equal(f"{name}: exported", (s["exported"], s["exported_earlier"]),
          ("v" + there[0], there[0] == versions[0]))
    equal(f"{name}: licence", (s["licence"], s["licence_changes"]), (licence, []))
    equal(f"{name}: consumed", s["consumed"], "v" + there[0] if consumed else None)
    equal(f"{name}: removed", s["removed"], "v" + after[0] if after else None)


def check_p2pmem(program, repo, versions):
    """In 6.12 the export of 4.20 is without a consumer, and long overdue."""
    if "6.12" not in versions or "6.1" not in versions:
        return
    r = program.run("history", repo, "--json", "--to", "v6.12", "--symbol", "pci_has_p2pmem")
    s = json.loads(r.stdout)["symbols"][0]
    equal("pci_has_p2pmem in 6.12", (r.returncode, s["candidate"], s["subsystem"]),
          (1, True, "PCI PEER-TO-PEER DMA (P2PDMA)"))
    check("pci_has_p2pmem: windows", s["overdue"] >= 10, s["overdue"])


def main():
    versions = sys.argv[2:] or os.environ.get("EXPORT_AUDIT_RELEASES", "6.1 6.12 newest").split()
    repo = os.path.join(CACHE, "history", "-".join(versions) + ".git")
    os.makedirs(os.path.dirname(repo), exist_ok=True)
    made = subprocess.run([HERE + "/get-history", repo, *versions], stdout=subprocess.PIPE,
                          text=True)
    if made.returncode:
        sys.exit(made.returncode)
    versions = made.stdout.split()
    program = Program(os.path.abspath(sys.argv[1]), CACHE)
    with own_cache(os.path.join(CACHE, "audit-cache")) as program.cache:
        judge(program, repo, versions)
    finish()


def judge(program, repo, versions):
    start, before = time.monotonic(), resource.getrusage(resource.RUSAGE_CHILDREN)
    r = subprocess.run([program.path, "history", "--cache", program.cache, "--stats", "--json",
                        repo],
                       capture_output=True, text=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    print(f"{r.stderr.strip()}, {time.monotonic() - start:.1f} s, {cpu:.1f} s of processors")
    # 10 s a release on an idle machine
    check("at most 30 s of processors a release", cpu < 30 * len(versions), cpu)
    equal("exit status", r.returncode, 1)
    out = json.loads(r.stdout)
    equal("releases", [x["tag"] for x in out["releases"]], ["v" + v for v in versions])
    check("many symbols", all(x["symbols"] > 30000 for x in out["releases"]))
    symbols = {s["name"]: s for s in out["symbols"]}
    for row in ROWS:
        check_row(symbols, versions, row)
    check_p2pmem(program, repo, versions)
    again = subprocess.run([program.path, "history", "--cache", program.cache, "--stats", "--json",
                            repo], capture_output=True, text=True)
    equal("read again", again.stderr, "export-audit: 0 blobs read, 0 trees resolved\n")
    equal("the same answer", again.stdout, r.stdout)


main()
