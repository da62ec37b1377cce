"""Lists: append, comprehensions, slices, sort with and without a key, unpacking, zip."""
import sys


def main(n):
    seed = 42
    numbers = []
    for _ in range(n):
        seed = (seed * 1103515245 + 12345) & 0x7FFFFFFF
        numbers.append(seed >> 8)
    ordered = sorted(numbers)
    by_key = sorted(numbers, key=lambda x: (x & 255, x))
    squares = [x * x % 1000 for x in numbers if x & 1]
    total = sum(ordered[::100]) + by_key[0] + len(squares)
    stack = []
    for x in numbers:
        if x % 3:
            stack.append(x)
        elif stack:
            total += stack.pop() & 15
    for a, b in zip(numbers, ordered):
        total += a < b
    table = [[i * j for j in range(50)] for i in range(n // 500)]
    flat = [cell for row in table for cell in row]
    flat.reverse()
    first, *middle, last = flat
    total += first + last + len(middle)
    words = [str(x) for x in numbers[: n // 2]]
    words.sort()
    words.sort(key=len, reverse=True)
    return total, words[0], max(squares), min(flat), flat.index(0)


print(*main(int(sys.argv[1]) if len(sys.argv) > 1 else 100000))
