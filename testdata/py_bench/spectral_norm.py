"""The largest singular value of an infinite matrix: float arithmetic in comprehensions and calls."""
import sys


def element(i, j):
    return 1.0 / ((i + j) * (i + j + 1) // 2 + i + 1)


def times(v):
    return [sum(element(i, j) * x for j, x in enumerate(v)) for i in range(len(v))]


def times_transposed(v):
    n = len(v)
    result = []
    for i in range(n):
        total = 0.0
        for j in range(n):
            total += element(j, i) * v[j]
        result.append(total)
    return result


def main(n):
    u = [1.0] * n
    v = u
    for _ in range(5):
        v = times_transposed(times(u))
        u = times_transposed(times(v))
    vbv = vv = 0.0
    for a, b in zip(u, v):
        vbv += a * b
        vv += b * b
    print(f"{(vbv / vv) ** 0.5:.9f}")


main(int(sys.argv[1]) if len(sys.argv) > 1 else 180)
