#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Turn a file into a C array: embed.py INPUT OUTPUT NAME gives NAME[] and NAME_len."""
import sys


def main():
    source, target, name = sys.argv[1:]
    with open(source, "rb") as f:
        data = f.read()
    lines = [",".join(str(b) for b in data[i : i + 32]) for i in range(0, len(data), 32)]
    with open(target, "w", encoding="ascii") as f:
        f.write("/* Made by tools/embed.py. */\n#include <stddef.h>\n")
        f.write(f"extern const unsigned char {name}[];\nextern const size_t {name}_len;\n")
        f.write(f"const unsigned char {name}[] = {{\n" + ",\n".join(lines) + "\n};\n")
        f.write(f"const size_t {name}_len = {len(data)};\n")


main()
