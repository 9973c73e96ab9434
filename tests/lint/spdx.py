#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Every source file names its licence in its first lines, and then says what it is for. Prints TAP, one case a folder.

Usage: spdx.py ROOT
"""
import os
import sys

SUFFIXES = (".c", ".h", ".cpp", ".cu", ".def", ".py", ".sh", ".pml", "meson.build", ".service")
SCRIPTS = ("tools/quickstart", "tools/test", "tools/install-deps", ".ci/run")
FOLDERS = (".ci", "bench", "gateway", "gpu", "include", "ringbuf", "tests", "tools")
LICENCE = "SPDX-License-Identifier: Apache-2.0"


def sources(root):
    yield "meson.build"
    for top in FOLDERS:
        for folder, _, names in os.walk(os.path.join(root, top)):
            for name in sorted(names):
                path = os.path.relpath(os.path.join(folder, name), root)
                if (name.endswith(SUFFIXES) or path in SCRIPTS) and "/corpus/" not in path:
                    yield path


def complaint(root, path):
    """Why a file is not as it should be, or None."""
    with open(os.path.join(root, path), encoding="utf-8") as f:
        lines = f.read(2000).splitlines()
    if lines and lines[0].startswith("#!"):
        lines = lines[1:]
    if not lines or LICENCE not in lines[0]:
        return "%s: the first line is not the licence" % path
    if path.endswith((".c", ".h")) and not (len(lines) > 1 and lines[1].startswith("/*")):
        return "%s: the second line does not begin to say what the file is for" % path
    return None


def main():
    root = sys.argv[1]
    folders = {}
    for path in sources(root):
        folders.setdefault(path.split("/")[0], []).append(complaint(root, path))
    print("1..%d" % len(folders))
    failed = 0
    for number, (folder, complaints) in enumerate(sorted(folders.items()), 1):
        wrong = [c for c in complaints if c]
        failed += len(wrong)
        print("%s %d - %s: %d files" % ("not ok" if wrong else "ok", number, folder, len(complaints)))
        for line in wrong:
            print("# " + line)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
