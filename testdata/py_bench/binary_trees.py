"""Trees that are built and dropped: allocation and reference counts."""
import sys


class Node:
    __slots__ = ("left", "right")

    def __init__(self, left, right):
        self.left = left
        self.right = right


def build(depth):
    if depth == 0:
        return Node(None, None)
    return Node(build(depth - 1), build(depth - 1))


def check(node):
    if node.left is None:
        return 1
    return 1 + check(node.left) + check(node.right)


def pairs(depth):
    return (pairs(depth - 1), pairs(depth - 1)) if depth else (None, None)


def count(tree):
    left, right = tree
    return 1 if left is None else 1 + count(left) + count(right)


def main(n):
    long_lived = build(n)
    total = 0
    for depth in range(4, n + 1, 2):
        for _ in range(1 << (n - depth + 2)):
            total += check(build(depth))
            total += count(pairs(depth))
    print(total, check(long_lived))


main(int(sys.argv[1]) if len(sys.argv) > 1 else 13)
