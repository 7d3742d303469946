# SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
"""Objects out of packs: the same bytes as git says, and no crash whatever is in a pack.

Usage: objects_test.py OBJECTS [SEED]
"""
import os
import random
import subprocess
import sys
import zlib

from synthetic import ENV, Repo, check, equal, finish, git, scratch

FLIPS = 100


def lines(rng, n):
    return [f"static int f{rng.randrange(10 ** 9)}(int x) {{ return x + {rng.randrange(99)}; }}\n"
            for _ in range(n)]


def make(path, rng):
    """Files that change line by line, so that packs hold long chains of differences."""
    r = Repo(path)
    files = {f"d{i}/f{i}.c": lines(rng, rng.randrange(1, 400)) for i in range(12)}
    files["big.c"] = lines(rng, 6000)
    files["empty.c"] = []
    for i in range(40):
        for name in rng.sample(sorted(files), 5):
            at = rng.randrange(len(files[name]) + 1)
            files[name][at:at + rng.randrange(3)] = lines(rng, rng.randrange(1, 4))
        r.commit("main", f"c{i}", {n: "".join(t) for n, t in files.items()})
    return r


def objects(repo):
    """id: (type, size, crc), as git has them."""
    listed = subprocess.run(["git", "-C", repo, "cat-file", "--batch-all-objects", "--batch"],
                            env=ENV, capture_output=True, check=True).stdout
    out, at = {}, 0
    while at < len(listed):
        end = listed.index(b"\n", at)
        name, kind, size = listed[at:end].decode().split()
        data = listed[end + 1:end + 1 + int(size)]
        out[name] = (kind, len(data), zlib.crc32(data))
        at = end + 2 + int(size)
    return out


def read(program, repo, known):
    r = subprocess.run([program, repo], capture_output=True, text=True, env={**os.environ, **ENV},
                       input="".join(f"{i} {k[0]}\n" for i, k in known.items()), timeout=60)
    return r, dict(l.split(" ", 1) for l in r.stdout.splitlines() if " " in l)


def same(program, what, repo, known, place):
    r, got = read(program, repo, known)
    equal(what + ": exit", (r.returncode, r.stderr), (0, ""))
    want = {i: f"{place} {size} {crc:08x}" for i, (_, size, crc) in known.items()}
    wrong = [i for i in want if got.get(i) != want[i]]
    check(f"{what}: {len(wrong)} of {len(want)} objects differ", not wrong,
          wrong and (got.get(wrong[0]), want[wrong[0]]))


def clone(repo, to, *args):
    subprocess.run(["git", "clone", "-q", "--bare", *args, repo, to], env=ENV, check=True)
    return to


def pack(repo, *config):
    options = [x for c in config for x in ("-c", c)]
    subprocess.run(["git", "-C", repo, *options, "repack", "-adfq", "--depth=250", "--window=50"],
                   env=ENV, check=True)
    return repo


def loosen(repo):
    folder = repo + "/objects/pack/"
    packs = [f for f in os.listdir(folder) if f.endswith(".pack")]
    for p in packs:
        data = open(folder + p, "rb").read()
        for f in os.listdir(folder):
            os.unlink(folder + f)
        git(repo, "unpack-objects", "-q", data=data)


def test_forms(directory, program, repo):
    known = objects(repo)
    check("enough objects", len(known) > 200, len(known))
    packed = pack(clone(repo, directory + "/packed"))
    same(program, "packed", packed, known, "pack")
    same(program, "bases by id", pack(clone(repo, directory + "/ref"),
                                      "repack.useDeltaBaseOffset=false"), known, "pack")
    two = clone(repo, directory + "/two")
    for half in (0, 1):
        git(two, "pack-objects", "-q", two + "/objects/pack/pack",
            data="\n".join(sorted(known)[half::2]).encode() + b"\n")
    git(two, "prune-packed", "-q")
    same(program, "two packs", two, known, "pack")
    large = pack(clone(repo, directory + "/large"))
    folder = large + "/objects/pack/"
    name = next(f for f in os.listdir(folder) if f.endswith(".pack"))
    os.unlink(folder + name[:-5] + ".idx")
    git(large, "index-pack", "--index-version=2,0x40", folder + name)
    same(program, "offsets of 64 bits", large, known, "pack")
    same(program, "borrowed", clone(packed, directory + "/shared", "--shared"), known, "pack")
    loose = clone(repo, directory + "/loose")
    loosen(loose)
    same(program, "loose", loose, known, "loose")
    tree = directory + "/tree"
    subprocess.run(["git", "-C", packed, "worktree", "add", "-q", tree, "main"], env=ENV,
                   check=True)
    same(program, "a work tree", tree, known, "pack")
    old = pack(clone(repo, directory + "/old"), "pack.indexVersion=1")
    same(program, "an old index is libgit2's", old, known, "loose")
    r, got = read(program, packed, {"1" * 40: ("blob", 0, 0)})
    equal("no such object", (r.returncode, got["1" * 40]), (0, "missing"))
    some = next(i for i, k in known.items() if k[0] == "blob")
    r, got = read(program, packed, {some: ("tree", 0, 0)})
    equal("not of that type", (r.returncode, got[some]), (0, "missing"))


def test_damage(directory, program, repo, rng):
    """What is read of a damaged pack is right or missing; libgit2 has its say about the rest."""
    packed = pack(clone(repo, directory + "/damaged"))
    known, folder = objects(packed), packed + "/objects/pack/"
    names = [folder + n for n in os.listdir(folder) if n.endswith((".pack", ".idx"))]
    whole = {n: open(n, "rb").read() for n in names}
    for n in names:
        os.chmod(n, 0o644)
    for i in range(FLIPS):
        name = rng.choice(names)
        data = bytearray(whole[name])
        how = rng.randrange(4)
        if how == 0:
            del data[rng.randrange(len(data)):]
        else:
            for _ in range(rng.choice((1, 5, 200))):
                limit = 1100 if how == 1 else len(data)
                data[rng.randrange(min(limit, len(data)))] = rng.randrange(256)
        open(name, "wb").write(data)
        r, got = read(program, packed, known)
        check(f"damage {i}: no crash", r.returncode in (0, 2) and not r.stderr,
              (r.returncode, r.stderr))
        wrong = [k for k, g in got.items()
                 if g != "missing" and int(g.split()[1]) != known[k][1] and name.endswith(".pack")]
        check(f"damage {i}: right or missing", not wrong, wrong[:2])
        open(name, "wb").write(whole[name])


def main():
    seed = int(sys.argv[2]) if len(sys.argv) > 2 else random.randrange(10 ** 6)
    print("seed", seed)
    rng = random.Random(seed)
    with scratch() as directory:
        repo = make(directory + "/repo", rng).path
        program = os.path.abspath(sys.argv[1])
        test_forms(directory, program, repo)
        test_damage(directory, program, repo, rng)
    finish()


main()
