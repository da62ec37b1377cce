"""Nested loops over ranges and while, with integers only."""
import sys


def main(n):
    total = 0
    for i in range(n):
        for j in range(n):
            total += (i * j) & 7
            if j % 3 == i % 3:
                total -= 1
    k = 0
    while k < n * n:
        total ^= k
        k += 1
    return total


print(main(int(sys.argv[1]) if len(sys.argv) > 1 else 1000))
