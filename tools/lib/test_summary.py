#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""What the test runs of tools/test came to: each failure with what it said and how to have it again, counts, one closing line.

Usage: test_summary.py [--build FOLDER] PART...

Reads FOLDER/test-PART/meson-logs/testlog-PART.json, one line per program. A program that speaks TAP counts as its
cases, another as one. Exit status 1 if anything failed, or nothing ran in one of the parts.
"""
import argparse
import collections
import json
import os
import re
import shlex
import sys

PLAN = re.compile(r"^1\.\.\d+", re.MULTILINE)
CASE = re.compile(r"^(not )?ok\b(.*)$", re.MULTILINE)
SKIP = re.compile(r"#\s*skip", re.IGNORECASE)
FAILED = re.compile(r"^not ok\b[\d ]*-? *(.*)$")
GOOD = ("OK", "EXPECTEDFAIL")
CASE_LINES = 60  # of one case: what was wrong, and the end of a log that may explain it
EXCERPT_LINES = 150

Count = collections.namedtuple("Count", "passed failed skipped")


def add(a, b):
    return Count(*(x + y for x, y in zip(a, b)))


def count_cases(text):
    """TAP: each case once."""
    failed = skipped = total = 0
    for bad, rest in CASE.findall(text):
        total += 1
        if SKIP.search(rest):
            skipped += 1
        elif bad:
            failed += 1
    return Count(total - failed - skipped, failed, skipped)


def count_program(program):
    output = program.get("stdout") or ""
    good, skipped = program["result"] in GOOD, program["result"] == "SKIP"
    count = Count(0, 0, 0)
    if PLAN.search(output):
        count = count_cases(output)
    if good and not any(count):
        return Count(1, 0, 0)
    if skipped and not any(count):
        return Count(0, 0, 1)
    if not good and not skipped and count.failed == 0:
        return add(count, Count(0, 1, 0))  # it crashed, ran out of time, or broke off between two cases
    return count


def failed_cases(lines):
    """Each with the lines that belong to it: until the next case, or the plan."""
    cases = []
    for i, line in enumerate(lines):
        if not FAILED.match(line) or SKIP.search(line):
            continue
        end = next((j for j in range(i + 1, len(lines)) if CASE.match(lines[j]) or PLAN.match(lines[j])), len(lines))
        cases.append(lines[i:end])
    return cases


def excerpt(program):
    """The failed cases if it says which, else how it ended."""
    text = (program.get("stdout") or "") + (program.get("stderr") or "")
    lines = text.rstrip().splitlines()
    told = [line for case in failed_cases(lines) for line in case[:CASE_LINES]]
    return told[:EXCERPT_LINES] or lines[-EXCERPT_LINES:]


def name_of_case(line):
    """As the program takes it for a filter."""
    name = (FAILED.match(line).group(1).split() or [""])[0].rstrip(":")
    return "--filter=" + name.replace("::", "/") if "::" in name else name


def ways_to_repeat(build, part, program):
    """The program through meson, with its environment; its first failed case alone; and what meson runs, where TAP hides words."""
    command = ["meson", "test", "-C", os.path.join(build, "test-" + part), "--no-rebuild", "--setup", part, "--verbose",
               program["name"].split(" / ")[-1]]
    yield "again: " + shlex.join(command)
    words = program.get("command") or []
    cases = failed_cases((program.get("stdout") or "").splitlines())
    takes_names = "--tap" in words or any(word.endswith(".py") for word in words)
    name = name_of_case(cases[0][0]) if cases and takes_names else ""
    if name:
        yield "this case alone: " + shlex.join([*command, "--test-args=" + name])
    if "--tap" in words:  # Criterion keeps a crashed test's last words to itself then
        yield "by hand: " + shlex.join(word for word in words if word != "--tap")


def read(build, part):
    path = os.path.join(build, "test-" + part, "meson-logs", "testlog-%s.json" % part)
    try:
        with open(path, encoding="utf-8", errors="replace") as f:
            return [json.loads(line) for line in f if line.strip()]
    except FileNotFoundError:
        return []


def report_failure(build, part, program):
    name = program["name"].split(" / ")[-1]
    print("\n%s, %s: %s, exit status %s" % (part, name, program["result"].lower(), program.get("returncode")))
    for line in excerpt(program):
        print("    " + line)
    for way in ways_to_repeat(build, part, program):
        print("  " + way)


def report_part(build, part, programs):
    """The part's count; failures are told as they are met."""
    total = Count(0, 0, 0)
    for program in programs:
        count = count_program(program)
        total = add(total, count)
        if count.failed:
            report_failure(build, part, program)
    if not programs:
        print("\n%s: no test ran" % part)
    return total


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--build", default="build")
    parser.add_argument("parts", nargs="+")
    options = parser.parse_args()
    programs = {part: read(options.build, part) for part in options.parts}
    counts = {part: report_part(options.build, part, programs[part]) for part in options.parts}
    print("\n%-8s %9s %9s %9s %9s" % ("build", "programs", "passed", "failed", "skipped"))
    for part, count in counts.items():
        print("%-8s %9d %9d %9d %9d" % (part, len(programs[part]), *count))
    total = Count(0, 0, 0)
    for count in counts.values():
        total = add(total, count)
    print("\n%d passed, %d failed, %d skipped" % total, flush=True)
    ran = all(count.passed + count.failed for count in counts.values())
    return 0 if ran and total.failed == 0 else 1


if __name__ == "__main__":
    sys.exit(main())
