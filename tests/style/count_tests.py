#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
"""count_tests.py SOURCE_ROOT: scripts/count-tests says of each failed test how it ended."""
import json
import pathlib
import subprocess
import sys
import tempfile

TESTS = [
    {"name": "good", "stdout": "ok 1\nok 2 # SKIP not here\n", "result": "OK", "returncode": 0},
    {"name": "missing", "stdout": "no device", "result": "SKIP", "returncode": 77},
    {"name": "silent", "stdout": "", "result": "FAIL", "duration": 50.01, "returncode": -14},
    {"name": "sanitizer", "stdout": "", "result": "FAIL", "duration": 2.2, "returncode": 66},
    {"name": "shell", "stdout": "", "result": "FAIL", "duration": 3, "returncode": 139},
    {"name": "late", "stdout": "a\nb\nc\nd", "stderr": "e\n\nf\n", "result": "TIMEOUT",
     "duration": 120, "returncode": -15},
    {"name": "case", "stdout": "[  ERROR   ] --- 1 != 2\n[   LINE   ] --- t.c:9: error: Failure!\n"
     "[  FAILED  ] sum\n", "stderr": " 1 FAILED TEST(S)", "result": "FAIL", "duration": 1,
     "returncode": 1},
]
WANT = """\
skipped B: missing: no device
FAILED B: silent: FAIL: killed by SIGALRM after 50 s
FAILED B: sanitizer: FAIL: exit status 66 after 2 s
FAILED B: shell: FAIL: killed by SIGSEGV after 3 s
FAILED B: late: TIMEOUT: killed by SIGTERM after 120 s
  b
  c
  d
  e
  f
FAILED B: case: FAIL: exit status 1 after 1 s
  sum: 1 != 2 / t.c:9: error: Failure!
1 passed, 5 failed, 2 skipped
"""


def main(root):
    with tempfile.TemporaryDirectory() as folder:
        logs = pathlib.Path(folder, "B", "meson-logs")
        logs.mkdir(parents=True)
        for name, tests in {"testlog": TESTS[:3], "testlog2": TESTS[3:]}.items():
            logs.joinpath(name + ".json").write_text("\n".join(json.dumps(t) for t in tests))
        ran = subprocess.run([pathlib.Path(root, "scripts/count-tests").resolve(), "B"],
                             cwd=folder, capture_output=True, text=True, check=False)
    if ran.stdout != WANT or ran.returncode != 1:
        print(ran.stdout, ran.stderr, f"status {ran.returncode}, but wanted 1 and:", WANT, sep="\n")
        return 1
    return 0


sys.exit(main(sys.argv[1]))
