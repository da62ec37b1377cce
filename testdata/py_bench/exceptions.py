"""Exceptions: try without a raise, raise and catch, finally, with, else."""
import sys


class Refused(ValueError):
    def __init__(self, code):
        super().__init__(f"refused {code}")
        self.code = code


class Guard:
    def __init__(self):
        self.depth = 0

    def __enter__(self):
        self.depth += 1
        return self

    def __exit__(self, kind, value, traceback):
        self.depth -= 1
        return kind is KeyError


def check(n):
    if n % 5 == 0:
        raise Refused(n & 3)
    return n


def deep(n, levels):
    if levels:
        return deep(n, levels - 1)
    return check(n)


def main(n):
    total = 0
    guard = Guard()
    table = {i: i for i in range(0, 100, 2)}
    for i in range(n):
        try:
            total += check(i)
        except Refused as error:
            total += error.code
        else:
            total += 1
        finally:
            total += 1
        try:
            total += table[i % 100]
        except KeyError:
            total -= 1
        with guard:
            total += table[i % 50 * 2]
            if i % 16 == 0:
                table["missing"]
        if i % 8 == 0:
            try:
                deep(i, 5)
            except (TypeError, ValueError):
                total += 2
    for i in range(n // 4):
        try:
            int("12x" if i % 2 else "12")
        except ValueError:
            total += 1
    return total, guard.depth


print(*main(int(sys.argv[1]) if len(sys.argv) > 1 else 120000))
