"""Planets that attract each other: floats in lists."""
import sys

BODIES = [
    ([0.0, 0.0, 0.0], [0.0, 0.0, 0.0], 39.47841760435743),
    ([4.84143144246472, -1.16032004402743, -0.103622044471123],
     [0.606326392995832, 2.81198684491626, -0.0252183616598876], 0.0376936749096657),
    ([8.34336671824458, 4.1247985641243, -0.403523417114321],
     [-1.01077434617879, 1.82566237123041, 0.00841576137658415], 0.0112863261319688),
    ([12.8943695621391, -15.1111514016986, -0.223307578892656],
     [1.08279100644154, 0.868713018169608, -0.0108326374013636], 0.00172372405705971),
    ([15.3796971148509, -25.9193146099879, 0.179258772950371],
     [0.979090732243898, 0.594698998647676, -0.0347559555504078], 0.00203368686992463),
]


def pairs_of(bodies):
    pairs = []
    for i, first in enumerate(bodies):
        for second in bodies[i + 1:]:
            pairs.append((first, second))
    return pairs


def advance(dt, steps, bodies, pairs):
    for _ in range(steps):
        for (p1, v1, m1), (p2, v2, m2) in pairs:
            dx = p1[0] - p2[0]
            dy = p1[1] - p2[1]
            dz = p1[2] - p2[2]
            mag = dt * ((dx * dx + dy * dy + dz * dz) ** -1.5)
            b1 = m1 * mag
            b2 = m2 * mag
            v1[0] -= dx * b2
            v1[1] -= dy * b2
            v1[2] -= dz * b2
            v2[0] += dx * b1
            v2[1] += dy * b1
            v2[2] += dz * b1
        for p, v, _m in bodies:
            p[0] += dt * v[0]
            p[1] += dt * v[1]
            p[2] += dt * v[2]


def energy(bodies, pairs):
    e = 0.0
    for (p1, _, m1), (p2, _, m2) in pairs:
        dx = p1[0] - p2[0]
        dy = p1[1] - p2[1]
        dz = p1[2] - p2[2]
        e -= m1 * m2 / (dx * dx + dy * dy + dz * dz) ** 0.5
    for _, v, m in bodies:
        e += m * (v[0] * v[0] + v[1] * v[1] + v[2] * v[2]) / 2.0
    return e


def main(steps):
    pairs = pairs_of(BODIES)
    print(f"{energy(BODIES, pairs):.9f}")
    advance(0.01, steps, BODIES, pairs)
    print(f"{energy(BODIES, pairs):.9f}")


main(int(sys.argv[1]) if len(sys.argv) > 1 else 50000)
