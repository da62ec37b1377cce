"""Escape times of points: floats in local variables."""
import sys


def main(size):
    total = 0
    for py in range(size):
        y0 = 2.0 * py / size - 1.0
        for px in range(size):
            x0 = 3.0 * px / size - 2.0
            x = y = 0.0
            i = 0
            while i < 50 and x * x + y * y <= 4.0:
                x, y = x * x - y * y + x0, 2.0 * x * y + y0
                i += 1
            total += i
    return total


print(main(int(sys.argv[1]) if len(sys.argv) > 1 else 300))
