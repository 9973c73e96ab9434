# SPDX-License-Identifier: Apache-2.0
"""Ed25519 (RFC 8032) by the book, slow and open to timing: to check in tests what the program signs, and to sign for it."""
import hashlib

P = 2**255 - 19
ORDER = 2**252 + 27742317777372353535851937790883648493
D = -121665 * pow(121666, P - 2, P) % P
ROOT = pow(2, (P - 1) // 4, P)


def _x_of(y, odd):
    """The x that belongs to y, by the curve's equation."""
    square = (y * y - 1) * pow(D * y * y + 1, P - 2, P) % P
    x = pow(square, (P + 3) // 8, P)
    if (x * x - square) % P:
        x = x * ROOT % P
    if (x * x - square) % P:
        raise ValueError("no point of the curve")
    return P - x if x % 2 != odd else x


def _add(a, b):
    """Sum of two points in projective coordinates x/z, y/z."""
    (x1, y1, z1), (x2, y2, z2) = a, b
    z = z1 * z2
    zz, xx, yy = z * z, x1 * x2, y1 * y2
    e = D * xx * yy
    f, g = zz - e, zz + e
    return z * f * ((x1 + y1) * (x2 + y2) - xx - yy) % P, z * g * (yy + xx) % P, f * g % P


def _times(n, point):
    total = (0, 1, 1)
    while n:
        if n & 1:
            total = _add(total, point)
        point = _add(point, point)
        n >>= 1
    return total


_Y = 4 * pow(5, P - 2, P) % P
BASE = (_x_of(_Y, 0), _Y, 1)


def _encode(point):
    x, y, z = point
    inverse = pow(z, P - 2, P)
    x, y = x * inverse % P, y * inverse % P
    return (y | (x & 1) << 255).to_bytes(32, "little")


def _decode(data):
    n = int.from_bytes(data, "little")
    y = n & (1 << 255) - 1
    return _x_of(y, n >> 255), y, 1


def _hash(*parts):
    return int.from_bytes(hashlib.sha512(b"".join(parts)).digest(), "little")


def _secret(seed):
    h = hashlib.sha512(seed).digest()
    scalar = int.from_bytes(h[:32], "little")
    return scalar & (1 << 254) - 8 | 1 << 254, h[32:]


def public_key(seed):
    return _encode(_times(_secret(seed)[0], BASE))


def sign(seed, message):
    scalar, prefix = _secret(seed)
    nonce = _hash(prefix, message) % ORDER
    commitment = _encode(_times(nonce, BASE))
    challenge = _hash(commitment, public_key(seed), message)
    return commitment + ((nonce + challenge * scalar) % ORDER).to_bytes(32, "little")


def verify(key, message, signature):
    commitment, scalar = signature[:32], int.from_bytes(signature[32:], "little")
    challenge = _hash(commitment, key, message)
    right = _add(_decode(commitment), _times(challenge % ORDER, _decode(key)))
    return scalar < ORDER and _encode(_times(scalar, BASE)) == _encode(right)
