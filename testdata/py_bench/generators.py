"""Generators: pipelines, yield from, generator expressions, send."""
import sys


def count(n):
    i = 0
    while i < n:
        yield i
        i += 1


def evens(source):
    for x in source:
        if x % 2 == 0:
            yield x


def squares(source):
    for x in source:
        yield x * x


def tree(depth):
    if depth:
        yield from tree(depth - 1)
        yield depth
        yield from tree(depth - 1)


def averager():
    total = 0
    seen = 0
    mean = 0
    while True:
        value = yield mean
        total += value
        seen += 1
        mean = total // seen


def main(n):
    total = sum(squares(evens(count(n))))
    total += sum(x for x in tree(14))
    total += sum(x * 3 for x in range(n) if x & 1)
    mean = averager()
    next(mean)
    for i in range(n // 2):
        total += mean.send(i)
    pairs = zip(count(n // 2), evens(count(n)))
    total += sum(a + b for a, b in pairs)
    total += any(x > n - 5 for x in count(n))
    return total


print(main(int(sys.argv[1]) if len(sys.argv) > 1 else 250000))
