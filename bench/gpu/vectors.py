#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Writes vectors to search: a .npy file of bytes, as image descriptors are, always the same for the same size.

Usage: vectors.py FILE ROWS DIM. Squared distances between such vectors are whole numbers that 32-bit floats hold exactly
up to 250 dimensions, so programs that add in another order still agree.
"""
import random
import struct
import sys

PART = 1 << 24


def write(path, rows, dim):
    """Format 1.0: a magic word, the length of a text that describes the array, the array."""
    text = "{'descr': '|u1', 'fortran_order': False, 'shape': (%d, %d), }" % (rows, dim)
    text += " " * (-(len(text) + 11) % 64) + "\n"
    source, left = random.Random(1), rows * dim
    with open(path, "wb") as f:
        f.write(b"\x93NUMPY\x01\x00" + struct.pack("<H", len(text)) + text.encode())
        while left > 0:
            f.write(source.randbytes(min(left, PART)))
            left -= PART


if __name__ == "__main__":
    if len(sys.argv) != 4:
        sys.exit(__doc__)
    write(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]))
