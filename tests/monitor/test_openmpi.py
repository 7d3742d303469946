#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
"""Open MPI, unmodified, over libfabric with libhmm-ofi.so: each process is served, and Open MPI's
own memory monitor finds that another is there."""
import os
import pathlib
import shutil
import struct
import subprocess
import tempfile

import tap

HERE = pathlib.Path(__file__).parent
MONITOR = os.environ["LIBHMM_OFI"]
# monitor/stats.h: magic and size, then the counters of two monitors.
MAGIC = 0x4D4D4D48
NAMES = ("loaded", "served", "hits", "misses", "refused", "invalidations", "stale_prevented", "why")
FORM = f"=II{2 * len(NAMES)}Q"
# Over loopback, by libfabric alone.
MPI = {
    "FI_TCP_IFACE": "lo",
    "OMPI_ALLOW_RUN_AS_ROOT": "1",
    "OMPI_ALLOW_RUN_AS_ROOT_CONFIRM": "1",
    "OMPI_MCA_btl": "self",
    "OMPI_MCA_mtl": "ofi",
    "OMPI_MCA_mtl_ofi_provider_include": "tcp;ofi_rxm",
    "OMPI_MCA_oob_tcp_if_include": "lo",
    "OMPI_MCA_opal_common_ofi_verbose": "100",
    "OMPI_MCA_plm_rsh_agent": "",
    "OMPI_MCA_pml": "cm",
}


def run(folder, *preload):
    command = ["mpirun", "--oversubscribe", "-n", "2", *preload, folder / "program"]
    return subprocess.run(command, env=dict(os.environ, **MPI, TMPDIR=str(folder)), text=True,
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT, errors="replace",
                          check=False, timeout=300)


def test_open_mpi_is_served(folder):
    for command in ("mpicc", "mpirun"):
        if not shutil.which(command):
            raise tap.Skip(f"{command} is not installed (Debian package libopenmpi-dev)")
    with tempfile.TemporaryDirectory(prefix="hmm-mpi-", dir="/tmp") as name:
        folder = pathlib.Path(name)
        subprocess.run(["mpicc", HERE / "mpi_program.c", "-o", folder / "program"], check=True)
        plain = run(folder)
        if plain.returncode:
            raise tap.Skip("Open MPI does not run over libfabric's tcp provider here: "
                           + " ".join(plain.stdout.split())[-200:])
        stats = folder / "stats"
        stats.write_bytes(struct.pack(FORM, MAGIC, struct.calcsize(FORM), *[0] * 2 * len(NAMES)))
        done = run(folder, "-x", f"LD_PRELOAD={MONITOR}", "-x", f"LIBHMM_MONITOR_STATS={stats}")
        counted = dict(zip(NAMES, struct.unpack(FORM, stats.read_bytes())[2:]))
    assert done.returncode == 0, done.stdout[-2000:]
    assert done.stdout.count(": 0 wrong") == 2, done.stdout[-2000:]
    assert counted["served"] == 2, counted
    assert "Failed to inject Libfabric memory monitor" in done.stdout, done.stdout[-2000:]


if __name__ == "__main__":
    tap.main(globals())
