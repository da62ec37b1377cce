"""Closures, lambdas, decorators, map, filter, reduce, default and keyword arguments."""
import sys
from functools import reduce


def counter():
    count = 0

    def step(by=1):
        nonlocal count
        count += by
        return count

    return step


def compose(*functions):
    def run(x):
        for function in functions:
            x = function(x)
        return x

    return run


def traced(function):
    calls = [0]

    def wrapper(*args, **kwargs):
        calls[0] += 1
        return function(*args, **kwargs)

    wrapper.calls = calls
    return wrapper


@traced
def scale(x, factor=2, offset=0):
    return x * factor + offset


def main(n):
    step = counter()
    add = [lambda x, k=k: x + k for k in range(5)]
    pipeline = compose(lambda x: x + 1, add[2], add[3], lambda x: x % 1000)
    total = 0
    for i in range(n):
        total += step() & 7
        total += pipeline(i)
        if i % 4 == 0:
            total += scale(i, factor=3) + scale(i, offset=1) + step(by=2)
    total += sum(map(lambda x: x * 2, filter(lambda x: x % 3 == 0, range(n))))
    total += reduce(lambda a, b: (a * 31 + b) % 65521, range(n), 7)
    return total, scale.calls[0]


print(*main(int(sys.argv[1]) if len(sys.argv) > 1 else 200000))
