# Floats and complex numbers.

# === literals
print(1.0, .5, 5., 1e3, 1E-3, 1_0.0_1, 0.1e1, 1e308, 1e-320)

# === repr_shortest
print(0.1, 0.2, 0.1 + 0.2, 1/3, 2/3, 1e16, 1e15, 123456789012345680.0, 9007199254740993.0, 5e-324)

# === repr_switch_exponent
for e in range(-6, -2):
    print(10.0**e, 1.5 * 10.0**e)
for e in range(14, 18):
    print(10.0**e, 1.5 * 10.0**e)

# === repr_special
inf = float("inf")
print(inf, -inf, inf - inf, -0.0, 0.0, 1e400, -1e400, inf * 0)

# === parse
print(float("1.5"), float(" -2.5e3 "), float("1_0.5"), float(".5"), float("5."), float("1e5"), float("+3"))
print(float("INF"), float("-Infinity"), float("nAn"), float("1e-400"), float("1e400"), float("٣.٥"))

# === parse_errors
for s in ("", "abc", "1.2.3", "1e", "1__0", "--1", "0x10", "1 2", "e5", "."):
    try:
        print(float(s))
    except ValueError as e:
        print(e)

# === float_wrong_type
for x in (None, [], 1j):
    try:
        float(x)
    except TypeError as e:
        print(e)

# === float_protocols
class A:
    def __float__(self):
        return 2.5
class B:
    def __index__(self):
        return 3
class C:
    def __float__(self):
        return 1
print(float(A()), float(B()), float(b"2.5"), float())
try:
    float(C())
except TypeError as e:
    print(e)

# === arithmetic
print(1.5 + 2, 1.5 - 2, 1.5 * 2, 1.5 / 2, 7.5 // 2, 7.5 % 2, 2.0**3, 2**0.5, 1 - 0.9)

# === floordiv_mod_signs
for a in (7.5, -7.5):
    for b in (2.0, -2.0):
        print(a // b, a % b, divmod(a, b))

# === mod_zero_sign
print(0.0 % 5.0, -0.0 % 5.0, 5.0 % -5.0, -5.0 % 5.0, 1e-20 % -1.0, -1e-20 % 1.0)
print(5 % float("inf"), -5 % float("inf"), 5 // float("inf"), -5 // float("inf"))

# === zero_division
for f in (lambda: 1.0 / 0, lambda: 1.0 // 0, lambda: 1.0 % 0, lambda: divmod(1.0, 0), lambda: 0.0 ** -1):
    try:
        f()
    except ZeroDivisionError as e:
        print(type(e).__name__)

# === pow_special
inf, nan = float("inf"), float("nan")
print(1.0**nan, nan**0, inf**0, inf**-1, (-inf)**3, (-inf)**2, (-2.0)**3, 0.0**0, 2.0**-1074, (-1.0)**inf)
print((-8.0) ** (1/3))

# === pow_overflow
try:
    10.0 ** 400
except OverflowError as e:
    print(e)
try:
    2.5 ** 10**4
except OverflowError as e:
    print(e)

# === nan_compare
nan = float("nan")
print(nan == nan, nan != nan, nan < 1, nan > 1, nan in [nan], [nan] == [nan], nan is nan, {nan: 1}[nan])
print(sorted([3.0, 1.0, 2.0]), max(1.0, nan), max(nan, 1.0))

# === int_float_mix
print(1 + 1.0, 2**53 + 1.0, 10**20 + 0.5, 3 * 0.1, True + 0.5, 10**300 * 1.0)
try:
    10**400 + 1.0
except OverflowError as e:
    print(e)

# === round_half_even
print(round(0.5), round(1.5), round(2.5), round(-0.5), round(-1.5), round(2.675, 2), round(1.005, 2), round(0.125, 2))

# === round_digits
print(round(3.14159, 3), round(1234.5678, -2), round(5.0, 0), round(1e300, 2), round(0.1 + 0.2, 10), round(1.5, None), round(123.456, -5), round(2.5, 400))

# === round_errors
for f in (lambda: round(float("nan")), lambda: round(float("inf")), lambda: round(1.5, "a"), lambda: round("a")):
    try:
        print(f())
    except (ValueError, OverflowError, TypeError) as e:
        print(type(e).__name__, e)

# === hex_methods
print((1.0).hex(), (0.1).hex(), (-2.5).hex(), (0.0).hex(), float("inf").hex(), (5e-324).hex())
print(float.fromhex("0x1.8p1"), float.fromhex("-0x.1p-3"), float.fromhex("a"), float.fromhex("inf"))

# === fromhex_errors
for s in ("", "zz", "0x1p99999", "1.2.3"):
    try:
        print(float.fromhex(s))
    except (ValueError, OverflowError) as e:
        print(type(e).__name__, e)

# === is_integer_ratio
print((2.0).is_integer(), (2.5).is_integer(), float("inf").is_integer())
print((0.5).as_integer_ratio(), (0.1).as_integer_ratio(), (-3.25).as_integer_ratio())
for x in (float("inf"), float("nan")):
    try:
        x.as_integer_ratio()
    except (OverflowError, ValueError) as e:
        print(type(e).__name__, e)

# === float_hash
inf = float("inf")
print(hash(0.0), hash(-0.0), hash(1.0), hash(0.5), hash(1e300), hash(inf), hash(-inf), hash(-1.0), hash(2.0**61))

# === format_fixed
x = 3.14159265
print(f"{x:.2f} {x:.0f} {x:10.3f}| {x:<10.3f}| {x:+.1f} {x:010.2f} {-x:.3f} {x:f} {1e20:f} {0.5:.0f} {1.5:.0f} {2.5:.0f}")

# === format_exponent
x = 12345.678
print(f"{x:e} {x:E} {x:.2e} {x:.0e} {1e-10:e} {0.0:e} {x:#.0e}")

# === format_general
for x in (0.0001, 0.00001, 123456.0, 1234567.0, 1e100, 0.1, 100.0):
    print(f"{x:g} {x:G} {x:.3g} {x:#g} {x:.10g}")

# === format_none_type
for x in (1.0, 0.1, 1e16, 123456.789, 1e-7):
    print(f"{x:} {x:.3} {x:10} {x:.10} {x:08.2}")

# === format_percent
print(f"{0.25:%} {0.25:.1%} {1.0:.0%} {-0.005:.1%} {12.3456:,.2%}")

# === format_grouping
print(f"{1234567.891:,} {1234567.891:_.2f} {1234567.891:,.1f} {-1234.5:,} {1234567.891:020,.2f} {1e10:,g}")

# === format_special
inf, nan = float("inf"), float("nan")
print(f"{inf:f} {-inf:F} {nan:e} {nan:05} {inf:+g} {nan:.2f} {inf:10}| {inf:010}")

# === format_negative_zero
print(f"{-0.0:.1f} {-0.0:z.1f} {-0.04:.1f} {-0.04:z.1f} {-0.0} {-0.0:+}")

# === format_errors
for spec in ("d", "x", "s", "c", "b", ".f", "5.q"):
    try:
        print(format(1.5, spec))
    except ValueError as e:
        print(e)

# === float_int_conversion_exact
print(float(2**53 + 1), float(2**53 + 3), float(10**22), float(10**23), int(1e23), float(2**1023))
try:
    float(2**1024)
except OverflowError as e:
    print(e)

# === sum_of_tenths
import math
total = 0.0
for _ in range(10):
    total += 0.1
print(total, total == 1.0, math.fsum([0.1] * 10))

# === float_subclass
class F(float):
    pass
f = F(1.5)
print(f, repr(f), f + 1, type(f + 1).__name__, type(f).__name__, f == 1.5, f.real)

# === sys_float_info
import sys
i = sys.float_info
print(i.max, i.min, i.epsilon, i.dig, i.mant_dig, i.max_exp, i.radix)

# === float_unsupported
for f in (lambda: 1.5 + "a", lambda: 1.5 | 1, lambda: 1.5 << 1, lambda: 1.5 < "a", lambda i=1.0: [1][i], lambda: range(1.5), lambda: "ab" * 1.5):
    try:
        f()
    except TypeError as e:
        print(e)

# === complex_literals
print(1j, 2 + 3j, 1.5j, -1j, 0j, 1e3j, -0j, 3 - 0j, complex(-0.0, -0.0), 1_0j)

# === complex_constructor
print(complex(), complex(1), complex(1, 2), complex(1.5, -2.5), complex("1+2j"), complex(" -3j "), complex("(1-2j)"), complex("inf"), complex("nan+infj"), complex(1j, 1j))

# === complex_parse_errors
for s in ("", "1 + 2j", "abc", "1+2", "j1"):
    try:
        print(complex(s))
    except ValueError as e:
        print(e)
try:
    complex("1", 2)
except TypeError as e:
    print(e)

# === complex_arithmetic
a, b = 3 + 4j, 1 - 2j
print(a + b, a - b, a * b, a / b, a**2, -a, a + 1, 1 - a, 2 * a, a / 2, a == 3 + 4j, a != b)

# === complex_attributes
a = 3 - 4j
print(a.real, a.imag, a.conjugate(), abs(a), bool(0j), bool(1j), hash(1 + 0j), a.__complex__())

# === complex_power
print((1 + 1j)**2, (1 + 1j)**0, (1j)**2, 0j**0, (2 + 0j)**-1, 1j**3)
try:
    0j ** -1
except ZeroDivisionError as e:
    print(e)

# === complex_zero_division
try:
    1 / 0j
except ZeroDivisionError as e:
    print(e)

# === complex_unorderable
for f in (lambda: 1j < 2j, lambda: 1j // 1, lambda: 1j % 2, lambda: int(1j), lambda: float(1j), lambda: divmod(1j, 1), lambda: pow(1j, 2, 3)):
    try:
        f()
    except (TypeError, ValueError) as e:
        print(type(e).__name__, e)

# === complex_format
z = 3.14159 - 2.71828j
print(f"{z} {z:.2f} {z:+.1e} {z:20.2f}| {z:<20.2f}| {z:g} {z!r}")

# === complex_protocol
class A:
    def __complex__(self):
        return 2 + 1j
print(complex(A()))
class B:
    def __float__(self):
        return 2.5
print(complex(B()), complex(B(), 1))

# === complex_repr_special
inf, nan = float("inf"), float("nan")
print(complex(inf, nan), complex(0, inf), complex(-0.0, 1), complex(0, -0.0), -(1 + 0j), [1j, 2.0])

# === complex_equality_mixed
print(1 + 0j == 1, 1 == 1 + 0j, 1.5 + 0j == 1.5, 1j == 1, {1: "a"}[1 + 0j], 2j != "a")
