#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""What the test runs of tools/test came to: failures with the end of what they printed, counts, one closing line.

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
GOOD = ("OK", "EXPECTEDFAIL")
EXCERPT_LINES = 25

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


def excerpt(program):
    """The failed cases if it says which, and how it ended."""
    text = (program.get("stdout") or "") + (program.get("stderr") or "")
    lines = text.rstrip().splitlines()
    marked = [i for i, line in enumerate(lines) if line.startswith("not ok")]
    if marked:
        near = sorted({j for i in marked for j in range(i, min(i + 8, len(lines)))})
        lines = [lines[j] for j in near]
    return lines[:EXCERPT_LINES] if marked else lines[-EXCERPT_LINES:]


def read(build, part):
    path = os.path.join(build, "test-" + part, "meson-logs", "testlog-%s.json" % part)
    try:
        with open(path, encoding="utf-8", errors="replace") as f:
            return [json.loads(line) for line in f if line.strip()]
    except FileNotFoundError:
        return []


def report_failure(part, program):
    name = program["name"].split(" / ")[-1]
    print("\n%s, %s: %s, exit status %s" % (part, name, program["result"].lower(), program.get("returncode")))
    for line in excerpt(program):
        print("    " + line)
    # Criterion keeps a crashed test's last words to itself while it speaks TAP.
    words = [word for word in program.get("command") or [] if word != "--tap"]
    if words:
        print("    by hand: " + shlex.join(words))


def report_part(part, programs):
    """The part's count; failures are told as they are met."""
    total = Count(0, 0, 0)
    for program in programs:
        count = count_program(program)
        total = add(total, count)
        if count.failed:
            report_failure(part, program)
    if not programs:
        print("\n%s: no test ran" % part)
    return total


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--build", default="build")
    parser.add_argument("parts", nargs="+")
    options = parser.parse_args()
    programs = {part: read(options.build, part) for part in options.parts}
    counts = {part: report_part(part, programs[part]) for part in options.parts}
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
