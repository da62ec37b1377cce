"""Flips of permutations: small lists of small integers."""
import sys


def fannkuch(n):
    perm1 = list(range(n))
    count = [0] * n
    checksum = 0
    most = 0
    sign = 1
    r = n
    while True:
        while r > 1:
            count[r - 1] = r
            r -= 1
        if perm1[0] != 0:
            perm = perm1[:]
            flips = 0
            k = perm[0]
            while k:
                perm[:k + 1] = perm[k::-1]
                flips += 1
                k = perm[0]
            if flips > most:
                most = flips
            checksum += sign * flips
        while True:
            if r == n:
                return checksum, most
            first = perm1[0]
            i = 0
            while i < r:
                perm1[i] = perm1[i + 1]
                i += 1
            perm1[r] = first
            count[r] -= 1
            if count[r] > 0:
                break
            r += 1
        sign = -sign
        r = r if r > 1 else 1


print(*fannkuch(int(sys.argv[1]) if len(sys.argv) > 1 else 9))
