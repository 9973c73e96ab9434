#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""bench-device's timeline: every step is there and none ends before the one in front of it. No speed is checked.

Usage: smoke.py BENCH_DEVICE. Reports in TAP.
"""
import re
import subprocess
import sys

BENCH_DEVICE = sys.argv[1]
STEP = re.compile(r"^(\S.*?) +(\d+) +(\d+) +([+-]\d+)  \|([ #]{48})\|$", re.M)
RUNNERS = (["type=noop"], ["type=echo"], ["type=saxpy", "n=16"], ["type=knn", "data=builtin:digits"])


def run(*flags):
    return subprocess.run([BENCH_DEVICE, "--timeline", "--seconds", "0.05", *flags], capture_output=True, text=True)


def check_steps(text):
    steps = [(name, int(p50), int(p99), int(step), bar) for name, p50, p99, step, bar in STEP.findall(text)]
    assert len(steps) == 8, text
    before = 0
    for name, p50, p99, step, bar in steps:
        assert before <= p50 <= p99 and step == p50 - before and "#" in bar, (name, text)
        before = p50


def check(device, settings):
    done = run("--device", device, "--batch", "16", *settings)
    assert done.returncode == 0, done.stderr
    head, lone, full = re.split(r"^\d+ tasks? of .*$", done.stdout, flags=re.M)
    assert re.findall(r"^(\d+) tasks? of", done.stdout, re.M) == ["1", "16"], done.stdout
    check_steps(lone)
    check_steps(full)


def check_strangers():
    for flags in (["--device", "nowhere"], ["--device", "null", "type=nothing"], ["--batch", "0"]):
        done = run(*flags)
        assert done.returncode == 2 and done.stderr, (flags, done)


TESTS = [(f"a lone task and a batch of {settings[0]} on {device}", lambda d=device, s=settings: check(d, s))
         for device in ("null", "cpu") for settings in RUNNERS] + [("what is not there is refused", check_strangers)]


def main():
    failed = 0
    print(f"1..{len(TESTS)}")
    for number, (name, test) in enumerate(TESTS, 1):
        try:
            test()
            print(f"ok {number} - {name}", flush=True)
        except AssertionError as why:
            failed += 1
            print(f"not ok {number} - {name}")
            print("\n".join("# " + line for line in str(why).splitlines()), flush=True)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
