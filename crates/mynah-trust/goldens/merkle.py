"""Writes merkle.json: roots and proofs of the RFC 6962 tree, from its recursive definitions alone.

    python3 goldens/merkle.py > goldens/merkle.json

Leaf number i holds the decimal digits of i. Every proof of a size is in the file as one SHA-256: each
proof as one byte (the number of hashes) and the hashes, in the order of the index or of the old size.
Needs nothing but the standard library.
"""

import hashlib
import json
import sys

SIZE_MAX = 130


def sha256(data):
    return hashlib.sha256(data).digest()


def largest_power_below(n):
    k = 1
    while k * 2 < n:
        k *= 2
    return k


def mth(d):
    """RFC 6962, section 2.1, over the leaf data."""
    if not d:
        return sha256(b"")
    if len(d) == 1:
        return sha256(b"\x00" + d[0])
    k = largest_power_below(len(d))
    return sha256(b"\x01" + mth(d[:k]) + mth(d[k:]))


def path(m, d):
    """Section 2.1.1."""
    if len(d) == 1:
        return []
    k = largest_power_below(len(d))
    if m < k:
        return path(m, d[:k]) + [mth(d[k:])]
    return path(m - k, d[k:]) + [mth(d[:k])]


def subproof(m, d, whole):
    """Section 2.1.2."""
    if m == len(d):
        return [] if whole else [mth(d)]
    k = largest_power_below(len(d))
    if m <= k:
        return subproof(m, d[:k], whole) + [mth(d[k:])]
    return subproof(m - k, d[k:], False) + [mth(d[:k])]


def summary(proofs):
    return sha256(b"".join(bytes([len(p)]) + b"".join(p) for p in proofs)).hex()


def main():
    leaves = [str(i).encode() for i in range(SIZE_MAX)]
    sizes = []
    for n in range(SIZE_MAX + 1):
        d = leaves[:n]
        sizes.append(
            {
                "root": mth(d).hex(),
                "inclusion": summary(path(m, d) for m in range(n)),
                "consistency": summary(subproof(m, d, True) for m in range(1, n + 1)),
            }
        )
    json.dump({"sizes": sizes}, sys.stdout, indent=0)
    print()


main()
