"""Primes, matrix products, queens and a big number: the everyday mixture."""
import sys


def primes(n):
    sieve = bytearray([1]) * (n + 1)
    sieve[0] = sieve[1] = 0
    i = 2
    while i * i <= n:
        if sieve[i]:
            sieve[i * i :: i] = bytes(len(range(i * i, n + 1, i)))
        i += 1
    return [i for i, flag in enumerate(sieve) if flag]


def product(a, b):
    columns = list(zip(*b))
    return [[sum(x * y for x, y in zip(row, column)) for column in columns] for row in a]


def queens(n, row=0, columns=0, left=0, right=0):
    if row == n:
        return 1
    found = 0
    for column in range(n):
        bit = 1 << column
        if columns & bit or left & (1 << (row + column)) or right & (1 << (row - column + n)):
            continue
        found += queens(n, row + 1, columns | bit, left | 1 << (row + column), right | 1 << (row - column + n))
    return found


def main(n):
    found = primes(n)
    size = 90
    a = [[(i * j) % 10 for j in range(size)] for i in range(size)]
    b = product(a, a)
    big = 1
    for p in found[:1200]:
        big *= p
    return len(found), sum(map(sum, b)), queens(8), len(str(big % 10**600)), sum(found) % 97


print(*main(int(sys.argv[1]) if len(sys.argv) > 1 else 1000000))
