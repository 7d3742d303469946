# SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
"""Small repositories with an invented kernel in them, and running the program on them."""
import os
import shutil
import subprocess
import tempfile
import time

ENV = {"GIT_CONFIG_NOSYSTEM": "1", "GIT_CONFIG_GLOBAL": "/dev/null", "PATH": os.environ["PATH"],
       "HOME": "/nonexistent", "LC_ALL": "C.UTF-8", "GIT_COMMITTER_NAME": "Committer",
       "GIT_COMMITTER_EMAIL": "committer@example.org", "GIT_AUTHOR_NAME": "Author",
       "GIT_AUTHOR_EMAIL": "author@example.org"}
failures = []


def git(repo, *args, data=None):
    return subprocess.run(["git", "-C", repo, *args], env=ENV, input=data, check=True,
                          capture_output=True).stdout.decode().strip()


class Repo:
    """A bare repository; files are a dict of path to text, None to remove."""

    def __init__(self, path):
        self.path = path
        self.time = 1000000000
        subprocess.run(["git", "init", "-q", "--bare", path], env=ENV, check=True)

    def commit(self, branch, message, files, parents=(), start=None,
               who="Author <author@example.org>"):
        """One commit on BRANCH (its tip is the first parent, or START); returns its id."""
        self.time += 60
        out = [b"commit refs/heads/%s\nauthor %s %d +0000\ncommitter C <c@example.org> %d +0000\n"
               % (branch.encode(), who.encode(), self.time, self.time)]
        message = message.encode()
        out.append(b"data %d\n%s\n" % (len(message), message))
        tip = start or subprocess.run(
            ["git", "-C", self.path, "rev-parse", "-q", "--verify", "refs/heads/" + branch],
            env=ENV, capture_output=True, text=True).stdout.strip()
        if tip:
            out.append(b"from %s\n" % git(self.path, "rev-parse", tip + "^{commit}").encode())
        for p in parents:
            out.append(b"merge %s\n" % git(self.path, "rev-parse", p).encode())
        for path, text in files.items():
            if text is None:
                out.append(b"D %s\n" % path.encode())
            else:
                text = text.encode()
                out.append(b"M 100644 inline %s\ndata %d\n%s\n" % (path.encode(), len(text), text))
        git(self.path, "fast-import", "--quiet", "--force", data=b"".join(out))
        return git(self.path, "rev-parse", "refs/heads/" + branch)

    def tag(self, name, what="main", annotated=True):
        if annotated:
            git(self.path, "tag", "-a", "-m", name, name, what)
        else:
            git(self.path, "tag", name, what)


class Program:
    """The program, with a cache of its own."""

    def __init__(self, path, directory):
        self.path = path
        self.cache = os.path.join(directory, "cache")

    def run(self, *args, cache=True, stdin=None):
        extra = ["--cache", self.cache] if cache else ["--no-cache"]
        return subprocess.run([self.path, args[0], *extra, *args[1:]], capture_output=True,
                              text=True, input=stdin, timeout=60)


def check(what, condition, detail=""):
    if not condition:
        failures.append(what)
        print(f"FAIL {what} {detail}")


def equal(what, got, want):
    check(what, got == want, f"\n   got {got!r}\n  want {want!r}")


def refused(program, what, *args):
    """Exit 2, nothing on stdout, one sentence on stderr."""
    r = program.run(*args)
    lines = r.stderr.splitlines()
    check(f"{what}: exit 2", r.returncode == 2, f"{r.returncode} {r.stderr}")
    check(f"{what}: one sentence", len(lines) == 1 and lines[0].startswith("export-audit: "),
          r.stderr)
    check(f"{what}: no output", r.stdout == "", r.stdout)
    return r.stderr


def finish():
    print(f"{len(failures)} failures")
    raise SystemExit(1 if failures else 0)


def own_cache(base):
    """A folder below BASE that no other run has; what killed runs have left behind goes."""
    os.makedirs(base, exist_ok=True)
    for name in os.listdir(base):
        path = os.path.join(base, name)
        try:
            if time.time() - os.stat(path).st_mtime > 24 * 3600:
                shutil.rmtree(path, ignore_errors=True)
        except FileNotFoundError:
            pass
    return tempfile.TemporaryDirectory(prefix="run-", dir=base, ignore_cleanup_errors=True)


def scratch():
    return tempfile.TemporaryDirectory(prefix="export-audit-test-")
