#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
"""hmm torture: the honest library is sound, and the run was hostile enough to say so."""
import json

import tap

WINDOWS = {"changed", "queued", "read", "resumed", "announced"}


LEAST = {"operations": 200, "operations_on_held": 50, "accepted": 1000, "accepted_share": 0.3}


def torture(*arguments, statuses=(0,), **more):
    ran = tap.hmm("torture", "--json", *arguments, timeout=300, **more)
    result = json.loads(ran.stdout) if ran.stdout else {}
    told = "\n".join(result.get("story", []) + result.get("findings", []))
    status = f"status {ran.returncode}, seed {result.get('seed')}"
    fine = ran.returncode in statuses and result and not result["findings"]
    assert fine, f"{told}\n{ran.stderr[-3000:]}{status}"
    for wrong in ("stale_accesses", "lost_updates", "wrong_bytes", "hangs", "leaks"):
        assert result[wrong] == 0, (wrong, result[wrong])
    return result


def check(seconds, *arguments, **more):
    """It is sound each time. On a busy machine little happens, so it goes on for longer."""
    for times in (1, 3, 10):
        # 1: too few uses were accepted
        result = torture("--seconds", times * seconds, *arguments, statuses=(0, 1), **more)
        short = {name: result[name] for name, least in LEAST.items() if result[name] < least}
        if result["passed"] and not short:
            return result
    raise AssertionError(f"too little happened: {short or result}")


def in_every_window(*arguments, **more):
    """On a busy machine too little happens otherwise, but that each window is held open is sure."""
    for times in (1, 3, 10):
        result = torture("--seconds", 2 * times, *arguments, statuses=(0, 1), **more)
        if result["passed"]:
            return check_windows(result)
    raise AssertionError(f"too little happened: {result}")


def check_windows(result):
    """Every cell was held open with a use in it, or says why there is no such cell."""
    for name, operation in result["hostile"].items():
        assert operation["times"] > 0, name
        for window in WINDOWS:
            cell = operation[window]
            held = "cannot" in cell or (cell["held_open"] > 0 and cell["uses"] > 0)
            assert held, (name, window, cell)
    assert result["windows_forced"] == result["windows_possible"] > 40, result["windows_possible"]
    return result


def test_sound_for_some_seconds(folder):
    result = check(6)
    # In turns; on a busy machine not each comes by in so short a time.
    assert len(result["beside"]) >= 7 and sum(result["beside"].values()) >= 3, result["beside"]


def test_sound_with_another_seed(folder):
    check(4, "--seed", 20)


def test_sound_unprivileged(folder):
    check(4, nobody=True)


def test_every_operation_is_forced_into_every_window(folder):
    result = in_every_window("--seed", 3)
    for name in ("munmap", "mmap(MAP_FIXED)", "mremap away", "mremap onto", "mremap shrink",
                 "mremap dontunmap", "brk", "stack growth"):
        assert result["hostile"][name]["changed"]["held_open"] > 0, name
    assert result["hostile"]["MADV_DONTNEED"]["announced"]["held_open"] > 0


def test_every_operation_is_forced_into_every_window_unprivileged(folder):
    in_every_window(nobody=True)


def by_the_log(provider):
    def test(folder):
        tried = tap.hmm("torture", "--json", "--provider", provider, "--seconds", 1)
        if tried.returncode == 3:
            raise tap.Skip(tried.stderr.strip())
        result = check(5, "--provider", provider)
        assert result["provider"] == provider, result["provider"]
        assert not any(operation["told"] for operation in result["hostile"].values())
    return test


# Few hosts let their programs trace the kernel: vm/tests/exact does the same in guests.
test_sound_by_the_log_alone = by_the_log("bpf")
test_sound_by_both = by_the_log("both")


def away(*options, least, seconds=5, **more):
    """Sound each time; on a busy machine little happens, so it goes on for longer."""
    for times in (1, 3, 10):
        ran = tap.hmm("torture", "--json", *options, "--seconds", times * seconds, timeout=600,
                      **more)
        if ran.returncode == 3:
            raise tap.Skip(ran.stderr.strip())
        result = json.loads(ran.stdout) if ran.stdout else {}
        fine = ran.returncode in (0, 1) and result and not result["findings"]
        assert fine, f"{result.get('findings')}\n{ran.stderr[-3000:]}status {ran.returncode}"
        short = least(result)
        if result["passed"] and not short:
            return result
    raise AssertionError(f"too little happened: {short}: {result}")


def little_migrated(result):
    pages = result["migrate"]
    limits = {"out": 20000, "home": 20000, "faults": 200, "evicted": 1, "dropped": 1,
              "device_uses": 100, "out_huge": 512 if tap.has_huge_pages() else 0}
    short = [name for name, limit in limits.items() if pages[name] < limit]
    short += [name for name in ("busy", "elsewhere", "exhausted") if not pages["left"][name]]
    never = [name for name, operation in result["owners"].items() if not operation["times"]]
    return short + never


def little_exclusive(limit):
    def short(result):
        exclusive = result["exclusive"]
        return [name for name, least in (("transfers", limit), ("revoked", 10))
                if exclusive[name] < least]
    return short


def little_of_both(result):
    return little_migrated(result) + little_exclusive(500)(result)


def test_device_memory_and_exclusive_access(folder):
    result = away("--migrate", "--exclusive", least=little_of_both)
    # A page that left came home or was given up by the program: nothing leaked.
    pages = result["migrate"]
    assert pages["out"] == pages["home"] + pages["dropped"], pages


def test_device_memory_unprivileged(folder):
    away("--migrate", "--exclusive", "--seed", 7, least=little_of_both, nobody=True)


def test_exclusive_access_changes_hands_20000_times(folder):
    away("--exclusive", least=little_exclusive(20000))


def test_a_long_run_that_runs_out_of_time_has_not_passed(folder):
    result = tap.hmm("torture", "--json", "--long", "--seconds", 1)
    assert result.returncode == 1, result.returncode
    said = json.loads(result.stdout)
    assert not said["passed"]
    assert not said["findings"], said["findings"]


def test_bad_options(folder):
    for arguments in (["--seconds", "x"], ["--break", "nothing-of-the-kind"], ["--fly"],
                      ["--provider", "ebpf"]):
        result = tap.hmm("torture", *arguments)
        assert result.returncode == 2, (arguments, result.returncode)
        assert "torture: " in result.stderr, result.stderr


if __name__ == "__main__":
    tap.main(globals())
