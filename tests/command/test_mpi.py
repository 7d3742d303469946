#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
"""hmm exec with a real MPI program, HPC Challenge (hpcc), over the transports of any host.

hpcc checks its own results. Each transport runs without monitors and with them; what a monitor has
served is said. libfabric's TCP registers nothing, nor does UCX's with the older protocols, so their
caches are not used there, and the tests want no hits of them. Copies between processes (CMA) go
through UCX's cache of registrations if the newer protocols are chosen: these are hits and misses of
a real program.
"""
import glob
import json
import os
import pathlib
import re
import shutil
import subprocess

import tap

BUILD = pathlib.Path(tap.HMM).parent
ANY_UCX = "--mca pml ucx --mca pml_ucx_tls any --mca pml_ucx_devices any".split()
INPUT = """HPLinpack benchmark input file
-
HPL.out output file name (if any)
8       device out (6=stdout,7=stderr,file)
1       # of problems sizes (N)
240     Ns
1       # of NBs
40      NBs
0       PMAP process mapping (0=Row-,1=Column-major)
1       # of process grids (P x Q)
1       Ps
2       Qs
16.0    threshold
1       # of panel fact
2       PFACTs (0=left, 1=Crout, 2=Right)
1       # of recursive stopping criterium
4       NBMINs (>= 1)
1       # of panels in recursion
2       NDIVs
1       # of recursive panel fact.
1       RFACTs (0=left, 1=Crout, 2=Right)
1       # of broadcast
1       BCASTs (0=1rg,1=1rM,2=2rg,3=2rM,4=Lng,5=LnM)
1       # of lookahead depth
1       DEPTHs (>=0)
2       SWAP (0=bin-exch,1=long,2=mix)
64      swapping threshold
0       L1 in (0=transposed,1=no-transposed) form
0       U  in (0=transposed,1=no-transposed) form
1       Equilibration (0=no,1=yes)
8       memory alignment in double (> 0)
-
0       Number of additional problem sizes for PTRANS
200     values of N
0       number of additional blocking sizes for PTRANS
40      values of NB
"""


def need(monitor):
    tap.needs_preload()
    for program in ("mpirun", "hpcc"):
        if not shutil.which(program):
            raise tap.Skip(f"{program} is not installed")
    if not (BUILD / "monitor" / f"libhmm-{monitor}.so").exists():
        raise tap.Skip(f"libhmm-{monitor}.so is not built")


def mpirun(program, *arguments, before=()):
    # Root may not run MPI programs unless it says so twice.
    env = dict(os.environ, OMPI_ALLOW_RUN_AS_ROOT="1", OMPI_ALLOW_RUN_AS_ROOT_CONFIRM="1",
               OMPI_MCA_rmaps_base_oversubscribe="1", OMPI_MCA_mpi_yield_when_idle="1",
               OMPI_MCA_btl_tcp_if_include="lo", OMPI_MCA_oob_tcp_if_include="lo",
               UCX_NET_DEVICES="lo", FI_TCP_IFACE="lo")
    done = subprocess.run([*before, "mpirun", "-np", "2", *arguments, *program], env=env,
                          capture_output=True, text=True, timeout=600)
    assert done.returncode == 0, (done.args, done.returncode, done.stdout, done.stderr)


def hpcc(*arguments, before=()):
    pathlib.Path("hpccinf.txt").write_text(INPUT)
    for old in glob.glob("hpccoutf.txt"):
        os.unlink(old)
    mpirun(["hpcc"], *arguments, before=before)
    text = pathlib.Path("hpccoutf.txt").read_text()
    assert "Success=1" in text and "FAILED" not in text, text[-3000:]
    assert len(re.findall(r"\bPASSED\b", text)) >= 6, text
    errors = re.findall(r"(\w+_Errors)=(\S+)", text) + re.findall(r"Found (\d+) (errors)", text)
    assert len(errors) >= 4 and all("0" in pair for pair in errors), errors
    assert "5 tests completed and passed residual checks" in text, text


def both(monitor, *arguments):
    """Without the monitor, then with it: what it did."""
    need(monitor)
    hpcc(*arguments)
    hpcc(*arguments, before=[tap.HMM, "exec", "--monitor", monitor, "--json", "-o", "report", "--"])
    got = json.loads(pathlib.Path("report").read_text())
    counts = got["monitors"][monitor]
    print("#", " ".join(arguments[-1:]), {k: v for k, v in counts.items() if k != "library"},
          flush=True)
    assert got["status"] == 0 and got["nothing_served"] is None, got
    return got, counts


def can_copy_between_processes():
    try:
        with open("/proc/sys/kernel/yama/ptrace_scope", encoding="ascii") as f:
            return f.read().strip() == "0"
    except FileNotFoundError:
        return True


def test_hpcc_over_libfabrics_tcp_is_served_and_uses_no_cache(folder):
    got, ofi = both("ofi", "--mca", "pml", "cm", "--mca", "mtl", "ofi", "--mca",
                    "mtl_ofi_provider_include", "tcp")
    assert ofi["served"] == 2, got
    assert not got["cache_used"], got


def test_hpcc_over_ucx_tcp_uses_no_cache(folder):
    got, _ = both("ucx", *ANY_UCX, "-x", "UCX_TLS=tcp,self")
    assert not got["cache_used"], got


def test_hpcc_over_copies_between_processes_uses_the_cache_of_ucx(folder):
    if not can_copy_between_processes():
        raise tap.Skip("kernel.yama.ptrace_scope forbids copies between processes")
    got, ucx = both("ucx", *ANY_UCX, "-x", "UCX_PROTO_ENABLE=y", "-x", "UCX_TLS=posix,cma,self")
    assert ucx["served"] == 2, got
    assert ucx["hits"] + ucx["misses"] >= 100 and ucx["misses"] > 0, got


if __name__ == "__main__":
    tap.main(globals())
