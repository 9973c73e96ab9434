#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Who may include whom. Prints TAP, one case a folder; run by the tests, and by hand after moving things about.

Usage: layers.py [ROOT]

A file may include what lies in its own folder and in the folders that ALLOWED names for it. Calls in the other
direction go through tables of functions that the upper layer fills in.
"""
import os
import re
import sys

# The most exact entry counts. "*" is a folder's files without its subfolders.
BASE = ["include/tg", "gateway/base"]
DEVICES = BASE + ["ringbuf", "gpu/*"]
WHOLE = DEVICES + ["gateway"]  # what puts the parts together knows them all
ALLOWED = {
    "include/tg": [],
    "gateway/base": ["include/tg"],
    "ringbuf": BASE,
    "gpu/runners": ["include/tg"],  # built-in runners use what plugins may use
    "gpu/cpu": DEVICES,             # devices are unaware of one another
    "gpu/null": DEVICES,
    "gpu/fault": DEVICES,
    "gpu/cuda": DEVICES + ["gpu/runners"],  # it has the built-in runners' kernels
    "gpu": BASE + ["ringbuf", "gpu"],
    "gateway/net": BASE,            # net and task are unaware of one another
    "gateway/task": BASE + ["ringbuf", "gpu/*"],
    "gateway/dialect": BASE + ["gateway/task"],
    "gateway/telemetry": BASE,
    "gateway/http": BASE + ["gateway/net", "gateway/task"],
    "gateway/control": BASE + ["gateway/task", "gateway/dialect", "ringbuf"],
    "gateway/topology": BASE,
    "gateway/devnet": BASE + ["gateway/http", "gateway/control", "gateway/dialect"],
    "gateway/command": BASE + ["gateway/control", "gateway/dialect", "gateway/http"],
    "gateway/checks": WHOLE,
    "gateway/devices": WHOLE,
    "gateway/membership": WHOLE,
    "gateway": WHOLE,
    "bench": [""],
    "tests": [""],
    "tools": ["include/tg"],
}
NO_SUBFOLDERS = ("gpu", "gateway")  # a new folder below them needs an entry of its own
CUDA_FOLDERS = ("gpu/cuda/", "tests/gpu/emulated/")  # the latter has headers of these names
NOBODY_INCLUDES = ("tests", "bench", "tools")  # but they themselves, and tests may include bench
CUDA = re.compile(r"^(cuda|nvrtc|cublas|nvml)")
SOURCE = (".c", ".h", ".cpp", ".cu", ".def")
INCLUDE = re.compile(r'^\s*#\s*include\s+([<"])([^>"]+)[>"]', re.MULTILINE)
# Where the compiler looks besides the including file's own folder.
SEARCH = ["include", ".", "gpu", "bench", "gateway/control", "gateway/base"]


def sources(root):
    for top in ("include", "ringbuf", "gpu", "gateway", "bench", "tests", "tools"):
        for folder, _, names in os.walk(os.path.join(root, top)):
            for name in sorted(names):
                if name.endswith(SOURCE):
                    yield os.path.relpath(os.path.join(folder, name), root)


def rule_of(path):
    """The entry of ALLOWED for a file: the longest folder that holds it."""
    fits = [folder for folder in ALLOWED if path.startswith(folder + "/")]
    rule = max(fits, key=len) if fits else None
    return None if rule in NO_SUBFOLDERS and os.path.dirname(path) != rule else rule


def within(path, folder):
    if folder.endswith("/*"):
        return os.path.dirname(path) == folder[:-2]
    return folder == "" or path.startswith(folder + "/")


def find(root, path, name):
    """The file of ours an include means, or None for one that is generated or the system's."""
    for start in [os.path.dirname(path), *SEARCH]:
        target = os.path.normpath(os.path.join(start, name))
        if os.path.isfile(os.path.join(root, target)):
            return target
    return None


def verdict(path, target):
    """Why @path must not include @target, or None."""
    rule = rule_of(path)
    top = target.split("/")[0]
    if top in NOBODY_INCLUDES and top != path.split("/")[0] and not (path.startswith("tests/") and top == "bench"):
        return "nothing includes %s" % top
    if within(target, rule) or any(within(target, folder) for folder in ALLOWED[rule]):
        return None
    return "%s may include %s" % (rule, ", ".join(ALLOWED[rule]) or "nothing but itself")


def check(root, path):
    """One line for each include that must not be."""
    if rule_of(path) is None:
        return ["%s: its folder has no entry in tools/layers.py" % path]
    with open(os.path.join(root, path), encoding="utf-8") as f:
        text = f.read()
    wrong = []
    for match in INCLUDE.finditer(text):
        kind, name = match.groups()
        line = text.count("\n", 0, match.start(1)) + 1
        why = None
        if CUDA.match(name) and not path.startswith(CUDA_FOLDERS):
            why = "CUDA headers belong to gpu/cuda"
        elif kind == '"':
            target = find(root, path, name)
            why = verdict(path, target) if target else None
        if why:
            wrong.append("%s:%d includes %s: %s" % (path, line, name, why))
    return wrong


def main():
    root = sys.argv[1] if len(sys.argv) > 1 else os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
    wrong = {}
    for path in sources(root):
        wrong.setdefault(rule_of(path) or os.path.dirname(path), []).extend(check(root, path))
    print("1..%d" % max(len(wrong), 1))
    if not wrong:
        print("not ok 1 - there are sources below %s" % root)
    for number, (folder, lines) in enumerate(sorted(wrong.items()), 1):
        print("%s %d - %s includes only what it may" % ("not ok" if lines else "ok", number, folder))
        for line in lines:
            print("# " + line)
    return 0 if wrong and not any(wrong.values()) else 1


if __name__ == "__main__":
    sys.exit(main())
