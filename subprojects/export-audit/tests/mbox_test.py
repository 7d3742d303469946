# SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
"""gate --mbox: mailboxes as people have them, in a repository that never had their commits."""
import base64
import gzip
import json
import os
import random
import subprocess
import sys

from synthetic import ENV, Program, check, equal, finish, git, refused, scratch

ACK = "Acked-by: Dan Driver <dan@example.org>"
USE = ("#include <linux/alpha.h>\nint %s(int x);\nint init(void);\n"
       "int init(void)\n{\n\treturn %s(1);\n}\n")
EXPORT = "int %s(int x)\n{\n\treturn x;\n}\nEXPORT_SYMBOL_GPL(%s);\n"
MANY = "".join(f"/* line {i} */\n" for i in range(60))
BASE = {
    "Makefile": "obj-y += mm/ drivers/\n",
    "MAINTAINERS": "DRIVER ONE\nM:\tDan Driver <dan@example.org>\nF:\tdrivers/\n",
    "include/linux/alpha.h": "int alpha(int x);\nint beta(int x);\n",
    "mm/Makefile": "obj-y += a.o\n",
    "mm/a.c": "#include <linux/alpha.h>\n" + EXPORT % ("alpha", "alpha"),
    "drivers/Makefile": "obj-m += one.o\n", "drivers/one.c": USE % ("alpha", "alpha"),
    "lib/many.c": MANY, "lib/dos.c": "int dos;\r\nint two;\r\nint three;\r\nint four;\r\n",
    "lib/gone.c": "int gone;\n", "lib/moved.c": MANY.replace("line", "moved"),
    "lib/tail.c": "int tail;", "scripts/run.sh": "#!/bin/sh\n", "logo.bin": bytes(range(256)) * 4,
}


def write(root, files):
    for path, text in files.items():
        path = os.path.join(root, path)
        if text is None:
            os.remove(path)
            continue
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, "wb") as f:
            f.write(text if isinstance(text, bytes) else text.encode())


def commit(root, message, files):
    write(root, files)
    git(root, "add", "-A")
    git(root, "commit", "-q", "--allow-empty", "-m", message)
    return git(root, "rev-parse", "HEAD")


def begin(path):
    subprocess.run(["git", "init", "-q", "-b", "main", path], env=ENV, check=True)
    git(path, "config", "core.autocrlf", "false")
    base = commit(path, "base", BASE)
    git(path, "tag", "v1.0")
    return base


class Bench:
    """A repository to write series in, and one that has only the base."""

    def __init__(self, directory, program):
        self.directory, self.p = directory, program
        self.work, self.audited = directory + "/work", directory + "/audited"
        self.base = begin(self.work)
        subprocess.run(["git", "clone", "-q", self.work, self.audited], env=ENV, check=True)

    def series(self, *commits):
        """Starts anew from the base: (message, files) each."""
        git(self.work, "checkout", "-q", "-f", "main")
        git(self.work, "reset", "-q", "--hard", self.base)
        for message, files in commits:
            commit(self.work, message, files)

    def mails(self, *args):
        r = subprocess.run(["git", "-C", self.work, "format-patch", "--stdout", *args, self.base],
                           env=ENV,
                           check=True, capture_output=True)
        return r.stdout

    def mbox(self, data, name="mbox"):
        path = f"{self.directory}/{name}"
        with open(path, "wb") as f:
            f.write(data)
        return path

    def gate(self, data, *args, base="v1.0"):
        extra = ["--base", base] if base else []
        r = self.p.run("gate", self.audited, "--json", "--mbox", self.mbox(data), *extra, *args,
                       cache=False)
        try:
            return r.returncode, json.loads(r.stdout), r.stderr
        except ValueError:
            return r.returncode, {}, r.stderr

    def refused(self, what, data, word, *args, base="v1.0"):
        extra = ["--base", base] if base else []
        text = refused(self.p, what, "gate", self.audited, "--mbox", self.mbox(data), *extra, *args)
        check(f"{what}: says {word}", word in text, text)


PAIR = (("mm: export beta", {"mm/a.c": BASE["mm/a.c"] + EXPORT % ("beta", "beta")}),
        ("one: use beta\n\n" + ACK, {"drivers/one.c": USE % ("beta", "beta")}))


def tree(b):
    return git(b.work, "rev-parse", "HEAD^{tree}")


def good(b, what, data, want=None, subjects=None, **kw):
    status, out, err = b.gate(data, **kw)
    equal(what, (status, out.get("tree"), err), (0, want or tree(b), ""))
    if subjects:
        equal(what + ": patches", [x["subject"] for x in out.get("patches", [])], subjects)
    return out


def test_plain(b):
    b.series(*PAIR)
    both = ["mm: export beta", "one: use beta"]
    good(b, "a series", b.mails(), subjects=both)
    good(b, "cover letter and thread", b.mails("--thread", "--cover-letter"), subjects=both)
    good(b, "gzip", gzip.compress(b.mails()))
    half = b.mails().index(b"\nFrom ", 10) + 1
    good(b, "gzip in two members",
         gzip.compress(b.mails()[:half]) + gzip.compress(b.mails()[half:]))
    b.refused("damaged gzip", gzip.compress(b.mails())[:-12], "damaged")
    good(b, "no postcommand newline", b.mails().rstrip(b"\n") + b"\n")
    good(b, "carriage returns of the transport", b.mails().replace(b"\n", b"\r\n"))
    good(b, "attached", b.mails("--attach"), subjects=both)
    good(b, "inline parts", b.mails("--inline"))
    good(b, "no prefix in the subject", b.mails("-k"), subjects=both)
    good(b, "no numbers", b.mails("-N"), subjects=both)
    r = b.p.run("gate", b.audited, "--mbox", "-", "--base", "v1.0", stdin=b.mails().decode())
    equal("standard input", r.returncode, 0)
    before = sorted(os.listdir(b.audited + "/.git/objects"))
    good(b, "once more", b.mails())
    equal("nothing was written", sorted(os.listdir(b.audited + "/.git/objects")), before)


def test_base(b):
    b.series(*PAIR)
    out = good(b, "base-commit", b.mails("--base", b.base), base=None)
    equal("base", out.get("base"), b.base)
    good(b, "base-commit in the cover letter", b.mails("--cover-letter", "--base", b.base),
         base=None)
    good(b, "--base wins", b.mails("--base", b.base).replace(b.base.encode(), b"1" * 40))
    b.refused("a base that is not there",
              b.mails("--base", b.base).replace(b.base.encode(), b"1" * 40),
              "1" * 40, base=None)
    b.refused("no base", b.mails(), "base-commit", base=None)


def test_versions(b):
    b.series(*PAIR)
    second = b.mails("-v2", "--cover-letter", "--thread")
    want = tree(b)
    b.series(("mm: export beta",
              {"mm/a.c": BASE["mm/a.c"] + EXPORT % ("beta", "beta") + "/* v1 */\n"}), PAIR[1])
    first = b.mails("--cover-letter", "--thread")
    for what, data in (("v1, then v2", first + second), ("v2, then v1", second + first),
                       ("RFC before", first.replace(b"[PATCH ", b"[RFC PATCH ") + second),
                       ("prefixes", first.replace(b"[PATCH ", b"[PATCH mm-unstable 6.1 ") +
                        second.replace(b"[PATCH v2 ", b"[PATCH mm-unstable V2 6.1 ")),
                       ("joined", first + second.replace(b"[PATCH v2 ", b"[PATCHv2 ")),
                       ("number first",
                        first + second.replace(b"[PATCH v2 1/2]", b"[PATCH 1/2 v2]"))):
        good(b, what, data, want)
    good(b, "sent again", first.replace(b"[PATCH ", b"[PATCH RESEND ") + b"\n" + first.replace(
        b"export beta", b"export beta or not"), tree(b), ["mm: export beta", "one: use beta"])
    cut = second.index(b"[PATCH v2 1/2]")
    start, stop = second.rindex(b"\nFrom ", 0, cut) + 1, second.index(b"\nFrom ", cut) + 1
    b.refused("a gap in v2", first + second[:start] + second[stop:], "patch 1/2 is not in it")
    b.refused("a gap at the end", second[:second.rindex(b"\nFrom ")] + b"\n",
              "patch 2/2 is not in it")
    good(b, "mails that came twice", second + second, want)
    other = second.replace(b"Message-ID: <",
                           b"Message-ID: <x").replace(b"Message-Id: <", b"Message-Id: <x")
    b.refused("two different ones", second + other, "two patches 1/2")


REPLY = b"""From mboxrd@z Thu Jan  1 00:00:00 1970
From: Dan Driver <dan@example.org>
Subject: Re: [PATCH%s 2/2] one: use beta
Message-ID: <reply%d@example.org>
In-Reply-To: <x@example.org>

On Monday Author wrote:
> Nacked-by: Dan Driver <dan@example.org>
From the look of it: fine, and I would add
%s
"""


def reply(text, version=b""):
    reply.n += 1
    return REPLY % (version, reply.n, text)


reply.n = 0


def test_threads(b):
    """What archives hand out: replies between the patches, with diffs in them."""
    unacked = (PAIR[0], ("one: use beta", PAIR[1][1]))
    b.series(*unacked)
    first, second = b.mails("-v2").split(b"\nFrom ", 1)
    second = b"From " + second
    status, out, _ = b.gate(first + b"\n" + second)
    equal("nobody acked",
          (status, [f["rule"] for f in out["findings"] if f["severity"] == "error"]), (1, ["ack"]))
    good(b, "a reply acks", first + b"\n" + reply(ACK.encode(), b" v2") + second)
    good(b, "replies first", reply(ACK.encode(), b" v2") + second + b"\n" + first)
    for what, data in (("quoted", b"> " + ACK.encode()), ("of an old version", ACK.encode())):
        status, _, _ = b.gate(first + b"\n" + second
                              + reply(data, b" v2" if what == "quoted" else b""))
        equal("an ack " + what, status, 1)
    diff = b"diff --git a/mm/a.c b/mm/a.c\n--- a/mm/a.c\n+++ b/mm/a.c\n@@ -1 +1 @@\n-x\n+y\n"
    good(b, "a diff in a reply", first + b"\n" + reply(diff + ACK.encode(), b" v2").replace(
        diff + ACK.encode(), ACK.encode() + b"\n" + diff) + second)
    acked = first + b"\n" + second + reply(ACK.encode(), b" v2")
    extra = (b"From x@y Thu Jan  1 00:00:00 1970\nFrom: Ann <ann@example.org>\n"
             b"Subject: [PATCH v2] something else\n\n---\n" + diff)
    status, out, err = b.gate(acked + extra)
    equal("a stray patch", (status, out.get("tree"), "something else" in err), (0, tree(b), True))
    base = BASE["drivers/one.c"]
    b.series(("one: change\n\n>From the start it was so\n\nFrom nowhere: nothing\nX: y", {
        "drivers/one.c": base.replace("(1)", "(2)")}))
    good(b, "From in a message", b.mails())
    good(b, "From in a message, quoted", b.mails().replace(b"\n>From the", b"\n>>From the").replace(
        b"\nFrom nowhere", b"\n>From nowhere"))
    mail = b.mails()
    head, body = mail.split(b"\n\n", 1)
    inside = (head.replace(b"[PATCH] ", b"Re: [PATCH v7 3/9] ") +
              b"\n\nHow about this?\n" + ACK.encode() + b"\n\n-- >8 --\nSubject: one: change\n\n"
              + body)
    good(b, "below scissors", inside)


def encode(mail, how):
    head, body = mail.split(b"\n\n", 1)
    head = b"\n".join(h for h in head.split(b"\n") if not h.lower().startswith(b"content-"))
    if how == "base64":
        return head + b"\nContent-Transfer-Encoding: base64\n\n" + base64.encodebytes(body)
    if how == "base64 crlf":
        return head + b"\nContent-Transfer-Encoding: base64\n\n" + base64.encodebytes(
            body.replace(b"\n", b"\r\n"))
    if how == "flowed":
        body = b"\n".join(b" " + x if x.startswith((b" ", b"From", b">")) else x
                          for x in body.split(b"\n"))
        body = body.replace(b"alpha.h> */", b"alpha.h> \n*/").replace(b"\n -- \n", b"\n-- \n")
        return head + b"\nContent-Type: text/plain; charset=utf-8; format=flowed\n\n" + body
    text = b"".join(b"=%02X" % c if c > 126 or c == 61 else bytes([c]) for c in body)
    text = text.replace(b"beta(x)", b"be=\nta(x)").replace(b" \n", b"=20\n")
    return head + b"\nContent-Transfer-Encoding: quoted-printable\n\n" + text


def test_encodings(b):
    text = "/* Grüße = a long line: it was broken at <linux/alpha.h> */\n#define X(beta) beta(x)\n"
    b.series(("one: ümläut\n\n" + ACK, {"drivers/one.c": BASE["drivers/one.c"] + text}))
    good(b, "8 bit", b.mails(), subjects=["one: ümläut"])
    for how in ("quoted-printable", "base64", "base64 crlf", "flowed"):
        good(b, how, encode(b.mails(), how))
    outer = (b"From x@y Thu Jan  1 00:00:00 1970\nFrom: A <a@example.org>\nSubject: [PATCH] one\n"
             b"Content-Type: multipart/signed; boundary=\"out er\"\n\nnothing\n--out er\n"
             b"Content-Type: multipart/mixed; boundary=in\n\n--in\nContent-Type: text/plain\n"
             b"Content-Transfer-Encoding: base64\n\n"
             + base64.encodebytes(b.mails().split(b"\n\n", 1)[1]) +
             b"--in\nContent-Type: text/html\n\n<p>diff --git a/x b/x</p>\n--in--\n--out er\n"
             b"Content-Type: application/pgp-signature\n\nZm9v\n--out er--\n")
    good(b, "parts in parts", outer)
    dos = BASE["lib/dos.c"].replace("two", "zwei")
    b.series(("dos: change", {"lib/dos.c": dos}))
    good(b, "a file with carriage returns", b.mails())
    good(b, "the same in base64", encode(b.mails(), "base64"))


def test_files(b):
    """What can become of a file."""
    for what, files, args in (
            ("new", {"lib/new.c": "int new;\n", "lib/empty.c": "", "deep/er/file.c": "int x;"}, ()),
            ("removed", {"lib/gone.c": None, "scripts/run.sh": None}, ()),
            ("renamed", {"lib/moved.c": None, "lib/there.c": BASE["lib/moved.c"] + "int more;\n"},
             ("-M",)),
            ("renamed only", {"lib/moved.c": None, "lib/there.c": BASE["lib/moved.c"]}, ("-M",)),
            ("copied", {"lib/copy.c": MANY + "int more;\n"}, ("-C", "--find-copies-harder")),
            ("rewritten", {"lib/many.c": "int all;\nint different;\n"}, ("-B",)),
            ("a newline at the end", {"lib/tail.c": "int tail;\n"}, ()),
            ("still none", {"lib/tail.c": "int tails;"}, ()),
            ("none any more", {"lib/gone.c": "int gone;\nint x;"}, ()),
            ("binary", {"logo.bin": bytes(range(255, -1, -1)) * 4, "lib/gone.c": "int x;\n"},
             ("--binary",)),
            ("binary, new and gone", {"logo.bin": None, "l2.bin": b"\0\1\2\3" * 99},
             ("--no-renames",)),
            ("a name with blanks", {"lib/a b.c": "int x;\n"}, ()),
            ("a name in quotes", {"lib/\u00e4\t\".c": "int x;\n"}, ()),
            ("a file for a folder", {"deep": "x\n", "lib/gone.c": None}, ())):
        b.series((what, files))
        good(b, what, b.mails(*args))
    git(b.work, "reset", "-q", "--hard", b.base)
    os.chmod(b.work + "/scripts/run.sh", 0o755)
    git(b.work, "mv", "lib/gone.c", "lib/x.c")
    git(b.work, "mv", "lib/moved.c", "lib/gone.c")
    git(b.work, "mv", "lib/x.c", "lib/moved.c")
    os.remove(b.work + "/lib/tail.c")
    os.symlink("many.c", b.work + "/lib/tail.c")
    commit(b.work, "mode, places changed, a link", {})
    good(b, "mode, places changed, a link", b.mails("-M", "-B"))
    good(b, "the same without renames", b.mails("--no-renames"))
    b.series(("binary", {"logo.bin": b"\0" * 100}))
    b.refused("binary without its content", b.mails("--no-binary"), "logo.bin")
    plain = (b"From: a <a@example.org>\nSubject: [PATCH] plain diff\n\nText.\n---\n\n"
             b"Index: x/lib/gone.c\n====\n"
             b"--- x.orig/lib/gone.c\t2024-01-01\n+++ x/lib/gone.c\t2024-01-02\n@@ -1 +1,2 @@\n"
             b" int gone;\n+int y;\n")
    b.series(("plain", {"lib/gone.c": "int gone;\nint y;\n"}))
    good(b, "no git diff", plain)


def test_moved(b):
    """Hunks are where they fit, as for git am: the nearest place, with all their lines."""
    rng = random.Random(5)
    git(b.work, "checkout", "-q", "-f", "--detach", b.base)
    agreed = 0
    for i in range(25):
        lines = [f"int v{rng.randrange(6)};\n" for _ in range(rng.randrange(3, 40))]
        there = commit(b.work, "there", {"lib/many.c": "".join(lines)})
        mine = list(lines)
        for _ in range(rng.randrange(1, 4)):
            at = rng.randrange(len(mine) + 1)
            end = at + rng.randrange(2)
            mine[at:end] = [f"int new{rng.randrange(99)};\n"] * rng.randrange(1, 3)
        commit(b.work, "mine", {"lib/many.c": "".join(mine)})
        mail = subprocess.run(["git", "-C", b.work, "format-patch", "--stdout", "-1"], env=ENV,
                              check=True,
                              capture_output=True).stdout
        git(b.work, "checkout", "-q", "-f", there)
        for _ in range(rng.randrange(4)):
            lines.insert(rng.randrange(len(lines) + 1), f"int v{rng.randrange(6)};\n")
        moved = commit(b.work, "moved", {"lib/many.c": "".join(lines)})
        git(b.audited, "fetch", "-q", b.work, moved)
        am = subprocess.run(["git", "-C", b.work, "am", "-q"], env=ENV, input=mail,
                            capture_output=True)
        status, out, err = b.gate(mail, base=moved)
        if am.returncode:
            subprocess.run(["git", "-C", b.work, "am", "--abort"], env=ENV, capture_output=True)
            check(f"moved {i}: git am refuses it", status == 2 and "does not fit" in err,
                  f"{status} {err}")
        else:
            equal(f"moved {i}", (status, out.get("tree")),
                  (0, git(b.work, "rev-parse", "HEAD^{tree}")))
            agreed += 1
        git(b.work, "checkout", "-q", "-f", "--detach", b.base)
    check("some fit and some do not", 5 < agreed < 25, agreed)


def test_overlap(b):
    """A hunk fits nothing that another one has put there."""
    group = "int a;\nint b;\nint c;\n"
    there = "".join(f"int v{i};\n" for i in range(12)) + group + "int end;\n"
    git(b.work, "checkout", "-q", "-f", "--detach", b.base)
    base = commit(b.work, "there", {"lib/many.c": there})
    git(b.audited, "fetch", "-q", b.work, base)
    mail = ("From x@y Thu Jan  1 00:00:00 1970\nFrom: A <a@example.org>\nSubject: [PATCH] twice\n\n"
            "---\n"
            "diff --git a/lib/many.c b/lib/many.c\n--- a/lib/many.c\n+++ b/lib/many.c\n"
            "@@ -2,2 +2,6 @@\n int v1;\n+int a;\n+int b;\n+int c;\n+int end;\n int v2;\n"
            "@@ -4,4 +4,4 @@\n int a;\n-int b;\n+int B;\n int c;\n int end;\n--\n").encode()
    subprocess.run(["git", "-C", b.work, "am", "-q"], env=ENV, input=mail, capture_output=True,
                   check=True)
    status, out, err = b.gate(mail, base=base)
    equal("the second hunk", (status, out.get("tree")), (0, tree(b)))


def test_refused(b):
    b.series(PAIR[0])
    mail = b.mails()
    b.refused("does not fit", mail.replace(b" \treturn x;", b" \treturn y;"), "does not fit")
    b.refused("cut in a hunk", mail[:mail.index(b"+int beta") + 4], "cut off")
    b.refused("a hunk that is none", mail[:mail.index(b"@@ -")] + b"@@ junk @@\n+x\n", "not a diff")
    b.refused("no such file", mail.replace(b"mm/a.c", b"mm/z.c"), "mm/z.c")
    b.series(("new", {"lib/new.c": "int x;\n"}))
    b.refused("there already", b.mails().replace(b"lib/new.c", b"lib/gone.c"), "lib/gone.c")
    b.series(("gone", {"lib/gone.c": None}))
    b.refused("not what is removed", b.mails().replace(b"lib/gone.c", b"lib/tail.c"), "lib/tail.c")
    b.refused("mails, no patch", reply(b"hello"), "no patches")


def main():
    with scratch() as directory:
        b = Bench(directory, Program(os.path.abspath(sys.argv[1]), directory))
        for test in (test_plain, test_base, test_versions, test_threads, test_encodings, test_files,
                     test_moved, test_overlap,
                     test_refused):
            test(b)
    finish()


main()
