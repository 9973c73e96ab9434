#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Canonical JSON against Python's own: json.dumps() for one form, and RFC 8785 put together from repr() for the other.

Usage: canonical.py CANONICAL_PRINT [COUNT [SEED]]
"""
import json
import math
import random
import struct
import subprocess
import sys

ALPHABET = ["a", "b", "A", "0", " ", "/", "\"", "\\", "\n", "\x01", "\x1f", "\x7f", "\u00e9", "\u20ac", "\ud7ff", "\ue000",
            "\ufb33", "\uffff", "\U00010000", "\U0001f600", "\U0010ffff"]


def random_double(rng):
    kind = rng.randrange(4)
    if kind == 0:
        return struct.unpack("<d", struct.pack("<Q", rng.getrandbits(64)))[0]
    if kind == 1:
        return float(rng.randrange(-10**rng.randrange(1, 25), 10**rng.randrange(1, 25)))
    if kind == 2:
        return rng.randrange(-10**6, 10**6) / 10**rng.randrange(0, 12)
    return float("%de%d" % (rng.randrange(-999, 1000), rng.randrange(-12, 26)))


def random_value(rng, depth):
    kind = rng.randrange(9 if depth else 6)
    if kind < 2:
        return rng.choice([None, True, False])
    if kind == 2:
        return rng.randrange(-10**rng.randrange(1, 30), 10**rng.randrange(1, 30))
    if kind == 3:
        v = random_double(rng)
        return v if math.isfinite(v) else 0.0
    if kind < 6:
        return random_string(rng)
    if kind == 6:
        return [random_value(rng, depth - 1) for _ in range(rng.randrange(6))]
    return {random_string(rng): random_value(rng, depth - 1) for _ in range(rng.randrange(10))}


def random_string(rng):
    return "".join(rng.choice(ALPHABET) for _ in range(rng.randrange(5)))


def ecmascript(v):
    """Number::toString of ECMAScript, from the digits that repr() finds."""
    if v == 0:
        return "0"
    mantissa, _, exponent = repr(abs(v)).partition("e")
    whole, _, fraction = mantissa.partition(".")
    digits = (whole + fraction).lstrip("0")
    point = len(whole) + int(exponent or 0) - (len(whole + fraction) - len(digits))
    digits = digits.rstrip("0")
    if len(digits) <= point <= 21:
        text = digits + "0" * (point - len(digits))
    elif 0 < point <= 21:
        text = digits[:point] + "." + digits[point:]
    elif -6 < point <= 0:
        text = "0." + "0" * -point + digits
    else:
        text = digits[0] + ("." + digits[1:] if len(digits) > 1 else "") + "e%+d" % (point - 1)
    return ("-" if v < 0 else "") + text


def jcs(v):
    if isinstance(v, dict):
        keys = sorted(v, key=lambda k: k.encode("utf-16-be"))
        return "{" + ",".join(jcs(k) + ":" + jcs(v[k]) for k in keys) + "}"
    if isinstance(v, list):
        return "[" + ",".join(map(jcs, v)) + "]"
    if isinstance(v, (int, float)) and not isinstance(v, bool):
        return ecmascript(float(v))
    return json.dumps(v, ensure_ascii=False)


def main():
    count = int(sys.argv[2]) if len(sys.argv) > 2 else 20000
    seed = int(sys.argv[3]) if len(sys.argv) > 3 else 1
    rng = random.Random(seed)
    print("%d values, seed %d" % (count, seed))
    values = [random_value(rng, 4) for _ in range(count)]
    # Shuffled by chance of the dictionaries, spaced out, now and then with escapes.
    text = "".join(json.dumps(v, ensure_ascii=rng.random() < 0.5, separators=(" , ", " : ")) + "\n" for v in values)
    got = subprocess.run([sys.argv[1]], input=text.encode(), stdout=subprocess.PIPE, check=True).stdout.split(b"\n")
    for i, v in enumerate(values):
        wanted = (json.dumps(v, sort_keys=True, separators=(",", ":")).encode(), jcs(v).encode())
        if (got[2 * i], got[2 * i + 1]) != wanted:
            print("wanted %s\n   and %s\ngot    %s\n   and %s" % (*wanted, got[2 * i], got[2 * i + 1]))
            return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
