#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""bench-device: every figure is there, and of a timeline's steps none ends before the one in front of it. No speed is checked.

Usage: smoke.py BENCH_DEVICE [BENCH_DEVICE_EMULATED]. The second one has the cuda device. Reports in TAP.
"""
import re
import subprocess
import sys

PROGRAMS = dict(zip(("cpu", "cuda"), sys.argv[1:]))
STEP = re.compile(r"^(\S.*?) +(\d+) +(\d+) +([+-]\d+)  \|([ #]{48})\|$", re.M)
RUNNERS = (["type=noop"], ["type=echo"], ["type=saxpy", "n=16"], ["type=knn", "data=builtin:digits"])


FIGURES = ("lone row, bare submit and poll", "host's part of a batch of 1 ", "host's part of a batch of 16 ", "full batches, bare",
           "lone row, through the executor", "full batches, through the executor", "at 50 % of that", "at 80 % of that",
           "goal: p99 at 50 %", "goal: p99 at 80 %")
CUDA_FIGURES = ("16 rows by kernels", "16 rows by copies", "kernels alone, rows in place", "kernels alone, with copies",
                "kernels alone, lone row", "goal: a lone row's latency beyond that, us, p50",
                "goal: a lone row's latency beyond that, us, p99", "goal: host's part of a full batch", "goal: rows/s of full")


def run(device, *flags):
    return subprocess.run([PROGRAMS.get(device, PROGRAMS["cpu"]), "--device", device, "--seconds", "0.02", *flags],
                          capture_output=True, text=True)


def check_steps(text):
    steps = [(name, int(p50), int(p99), int(step), bar) for name, p50, p99, step, bar in STEP.findall(text)]
    assert len(steps) == 8, text
    before = 0
    for name, p50, p99, step, bar in steps:
        assert before <= p50 <= p99 and step == p50 - before and "#" in bar, (name, text)
        before = p50


def check_figures(device, settings):
    done = run(device, "--batch", "16", *settings)
    assert done.returncode == 0, done.stderr
    for figure in FIGURES + CUDA_FIGURES * (device == "cuda"):
        assert sum(line.startswith(figure) for line in done.stdout.splitlines()) == 1, (figure, done.stdout)
    assert "stay unpinned" not in done.stdout, done.stdout


def check_large_batch(device):
    """More than the runner takes: the gateway would not do it, and a device relies on that."""
    done = run(device, "--timeline", "--batch", "4096", "type=echo")
    assert done.returncode == 0 and "# echo takes batches of 256 rows at most" in done.stdout, (done.stdout, done.stderr)


def check(device, settings):
    done = run(device, "--timeline", "--batch", "16", *settings)
    assert done.returncode == 0, done.stderr
    head, lone, full = re.split(r"^\d+ tasks? of .*$", done.stdout, flags=re.M)
    assert re.findall(r"^(\d+) tasks? of", done.stdout, re.M) == ["1", "16"], done.stdout
    check_steps(lone)
    check_steps(full)


def check_strangers():
    for flags in (["nowhere"], ["null", "type=nothing"], ["cpu", "--batch", "0"]):
        done = run(*flags)
        assert done.returncode == 2 and done.stderr, (flags, done)


TESTS = [(f"a lone task and a batch of {settings[0]} on {device}", lambda d=device, s=settings: check(d, s))
         for device in ("null", "cpu") for settings in RUNNERS]
TESTS += [(f"a lone task and a batch of {settings[0]} on cuda", lambda s=settings: check("cuda", s))
          for settings in RUNNERS[1:3] if "cuda" in PROGRAMS]
TESTS += [(f"figures of echo on {device}", lambda d=device: check_figures(d, ["type=echo"])) for device in PROGRAMS]
TESTS += [(f"a batch as large as the runner takes on {device}", lambda d=device: check_large_batch(d)) for device in PROGRAMS]
TESTS += [("what is not there is refused", check_strangers)]


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
