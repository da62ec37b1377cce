"""Dicts and sets: counting, grouping, updating, lookups with strings, integers and tuples."""
import sys


def main(n):
    counts = {}
    for i in range(n):
        key = (i * 7919) % 1009
        counts[key] = counts.get(key, 0) + 1
    words = [f"w{(i * 31) % 977}" for i in range(n // 4)]
    seen = {}
    for word in words:
        if word in seen:
            seen[word] += 1
        else:
            seen[word] = 1
    groups = {}
    for i, word in enumerate(words):
        groups.setdefault(word[-1], []).append(i)
    grid = {}
    for x in range(120):
        for y in range(120):
            grid[x, y] = x ^ y
    total = 0
    for x in range(1, 119):
        for y in range(1, 119):
            total += grid[x - 1, y] + grid[x + 1, y] + grid[x, y - 1] + grid[x, y + 1]
    chosen = set()
    for i in range(n):
        chosen.add(i * i % 4099)
    both = {k: v for k, v in seen.items() if v % 2 == 0}
    for key, value in both.items():
        total += value + len(key)
    while counts:
        total += counts.popitem()[1]
    return total, len(seen), sum(len(g) for g in groups.values()), len(chosen)


print(*main(int(sys.argv[1]) if len(sys.argv) > 1 else 400000))
