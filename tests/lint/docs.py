#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The documentation against what it documents: tables and links. Prints TAP.

Usage: docs.py ROOT
"""
import os
import re
import sys

LINK = re.compile(r"\]\(([^)#\s]+)(?:#[^)\s]*)?\)")
FENCE = re.compile(r"^```.*?^```", re.MULTILINE | re.DOTALL)
METRIC = re.compile(r'"(taskgate_[a-z_]+|iicp_[a-z_]+)[" ]|# TYPE (taskgate_[a-z_]+|iicp_[a-z_]+) ')
STATUS = re.compile(r'^STATUS\(\w+,\s*(\d+),\s*"([^"]+)"', re.MULTILINE)


def read(root, *path):
    with open(os.path.join(root, *path), encoding="utf-8") as f:
        return f.read()


def pages(root):
    for folder, folders, names in os.walk(root):
        folders[:] = [f for f in folders if not f.startswith((".git", "build"))]
        for name in names:
            if name.endswith(".md"):
                yield os.path.relpath(os.path.join(folder, name), root)


def dead_links(root):
    """Links to files that are not there."""
    dead = []
    for page in sorted(pages(root)):
        for target in LINK.findall(FENCE.sub("", read(root, page))):
            path = os.path.join(root, os.path.dirname(page), target)
            if "://" not in target and not os.path.exists(path):
                dead.append("%s links to %s" % (page, target))
    return dead


def metrics_amiss(root):
    """Names exported and not explained, and the other way round."""
    sources = ("base/metrics.def", "base/metrics.c", "routes.c", "ready.c", "usage.c", "membership/membership.c",
               "devices/device_metrics.c",
               "control/directory_metrics.def", "control/directory_metrics.c", "telemetry/readings.def", "telemetry/export.c")
    text = "".join(read(root, "gateway", *name.split("/")) for name in sources)
    exported = {a or b for a, b in METRIC.findall(text)}
    explained = set(re.findall(r"^\| `([a-z_]+)` \|", read(root, "docs", "metrics.md"), re.MULTILINE))
    return (["%s is not in docs/metrics.md" % m for m in sorted(exported - explained)] +
            ["docs/metrics.md explains %s, which nothing exports" % m for m in sorted(explained - exported)])


def outcomes_amiss(root):
    """Rows of status.def without a row in the table of docs/iicp.md."""
    rows = set(re.findall(r"^\| (\d+) \| `([^`]+)`", read(root, "docs", "iicp.md"), re.MULTILINE))
    outcomes = set(STATUS.findall(read(root, "include", "tg", "status.def")))
    return (["%s %s is not in docs/iicp.md" % row for row in sorted(outcomes - rows)] +
            ["docs/iicp.md explains %s %s, which is no outcome" % row for row in sorted(rows - outcomes)])


def commands_amiss(root):
    """Rows of commands.def without a word in docs/commands.md, and conformance checks likewise."""
    commands = re.findall(r'^COMMAND\(\w+, "([^"]+)"', read(root, "gateway", "command", "commands.def"), re.MULTILINE)
    checks = re.findall(r'^CHECK\(\w+, "([^"]+)"', read(root, "gateway", "command", "conformance.def"), re.MULTILINE)
    page, table = read(root, "docs", "commands.md"), read(root, "docs", "conformance.md")
    rows = re.findall(r"^\| `([A-Z0-9-]+)` \|", table, re.MULTILINE)
    return (["docs/commands.md says nothing of %s" % c for c in commands if "`%s`" % c not in page] +
            ["docs/conformance.md has no row for %s" % c for c in checks if c not in rows] +
            ["docs/conformance.md has a row for %s, which is no check" % r for r in rows if r not in checks])


def folders_without_readme(root):
    tops = [f for f in ("bench", "docs", "gateway", "gpu", "include", "ringbuf", "tests", "tools")]
    inner = ["gateway/" + f for f in os.listdir(os.path.join(root, "gateway"))
             if os.path.isdir(os.path.join(root, "gateway", f))]
    return ["%s has no README.md" % f for f in tops + sorted(inner)
            if not os.path.exists(os.path.join(root, f, "README.md"))]


def main():
    root = sys.argv[1]
    checks = [("every link to a file leads somewhere", dead_links),
              ("every metric is explained", metrics_amiss),
              ("every outcome is explained", outcomes_amiss),
              ("every command and check is explained", commands_amiss),
              ("every folder says what it is for", folders_without_readme)]
    print("1..%d" % len(checks))
    failed = 0
    for number, (what, check) in enumerate(checks, 1):
        wrong = check(root)
        failed += len(wrong)
        print("%s %d - %s" % ("not ok" if wrong else "ok", number, what))
        for line in wrong:
            print("# " + line)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
