# Integers: literals, arithmetic, bits, parsing, conversion.

# === literal_bases
print(0x1F, 0o17, 0b1011, 1_000_000, 0xdead_beef, 0B11, 0O7, 0Xff)
print(00, 0_0, 000)

# === literal_big
print(123456789012345678901234567890)
print(0xFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFF)
print(-170141183460469231731687303715884105728)

# === add_crosses_word
for n in (2**31 - 1, 2**32 - 1, 2**62 - 1, 2**63 - 1, 2**64 - 1):
    print(n + 1, n + n, -n - 2)

# === sub_crosses_word
for n in (-2**31, -2**62, -2**63, -2**64):
    print(n - 1, n - n, 0 - n)

# === mul_crosses_word
print(3037000500 * 3037000500)
print((2**62) * 2, (2**31) * (2**32), -(2**32) * (2**32))
print(4611686018427387904 * -2, 4611686018427387903 * 4611686018427387903)

# === factorial_big
n = 1
for i in range(1, 60):
    n *= i
print(n)
print(n // 10**70, n % 10**9)

# === floordiv_signs
for a in (7, -7):
    for b in (2, -2, 7, 8):
        print(a, b, a // b, a % b)

# === divmod_signs
for a in (10**20, -10**20, 13, -13, 0):
    for b in (7, -7, 10**19 + 1):
        q, r = divmod(a, b)
        print(q, r, q * b + r == a)

# === division_by_zero_int
for op in (lambda: 1 // 0, lambda: 1 % 0, lambda: divmod(1, 0), lambda: 1 / 0, lambda: 10**30 // 0):
    try:
        op()
    except ZeroDivisionError as e:
        print(e)

# === truediv_exact
print(1 / 3, 7 / 2, -7 / 2, 6 / 3, 10**30 / 10**29, (2**70) / (2**69))
print(1 / 10**400)

# === truediv_overflow
try:
    10**400 / 3
except OverflowError as e:
    print(e)
print(10**400 / 10**399)

# === pow_basic
print(2**10, 2**100, (-3)**3, 0**0, 5**0, (-2)**62, (-2)**63, 10**25)

# === pow_negative_exponent
print(2**-1, 10**-2, (-4)**-3)
try:
    0 ** -1
except ZeroDivisionError as e:
    print(e)

# === pow_three_arguments
print(pow(3, 200, 13), pow(-3, 3, 7), pow(2, 10**18, 10**9 + 7), pow(5, 0, 1))
print(pow(3, -1, 11), pow(38, -1, 97), pow(3, 5, -7))

# === pow_modulus_errors
for args in ((2, 3, 0), (2, -1, 4)):
    try:
        print(pow(*args))
    except ValueError as e:
        print(e)
try:
    pow(2.0, 3, 5)
except TypeError as e:
    print(e)

# === unary
print(-5, +5, ~5, ~-1, ~0, -(-2**63), ~(2**64), - -3)

# === and_or_xor
print(12 & 10, 12 | 10, 12 ^ 10)
print(-12 & 10, -12 | 10, -12 ^ 10, -12 & -10, -12 | -10, -12 ^ -10)

# === bit_ops_big
a, b = 2**100 - 1, 3**50
print(a & b, a | b, a ^ b)
print(-a & b, a & -b, -a | b, -a ^ -b)

# === shifts_left
print(1 << 0, 1 << 61, 1 << 62, 1 << 63, 1 << 64, 3 << 100, -1 << 65, 0 << 1000)

# === shifts_right
print(1 >> 1, -1 >> 1, -5 >> 1, 2**100 >> 98, -(2**100) >> 99, -(2**100) >> 200, 5 >> 10**20)

# === shift_errors
for f in (lambda: 1 << -1, lambda: 1 >> -1, lambda: 1 << 1.0):
    try:
        f()
    except (ValueError, TypeError) as e:
        print(type(e).__name__, e)

# === bit_length_count
for n in (0, 1, -1, 255, 256, -256, 2**64, 2**100 - 1):
    print(n.bit_length(), n.bit_count())

# === to_bytes
print((1024).to_bytes(2, "big"), (1024).to_bytes(4, "little"), (-1).to_bytes(2, "big", signed=True))
print((0).to_bytes(0), (65).to_bytes(), (2**65).to_bytes(9, "little"))

# === to_bytes_errors
for f in (lambda: (256).to_bytes(1, "big"), lambda: (-1).to_bytes(1, "big"), lambda: (128).to_bytes(1, "big", signed=True), lambda: (1).to_bytes(-1, "big"), lambda: (1).to_bytes(1, "middle")):
    try:
        print(f())
    except (OverflowError, ValueError) as e:
        print(type(e).__name__, e)

# === from_bytes
print(int.from_bytes(b"\x04\x00", "big"), int.from_bytes(b"\x04\x00", "little"))
print(int.from_bytes(b"\xff\xff", "big", signed=True), int.from_bytes([1, 2, 3]), int.from_bytes(b""))

# === int_parse_plain
print(int("42"), int("-42"), int("+7"), int("  12\n"), int("1_000"), int("007"))
print(int("٣٤"), int("１２"))

# === int_parse_base
print(int("ff", 16), int("0xff", 16), int("0b101", 2), int("z", 36), int("0o17", 8), int("-0x1F", 16))
print(int("0x1f", 0), int("0b11", 0), int("0o7", 0), int("10", 0), int("0", 0))

# === int_parse_errors
for args in (("",), ("abc",), ("1.5",), ("1__0",), ("_1",), ("1_",), ("12", 2), ("010", 0), ("- 1",), ("0x", 16)):
    try:
        print(int(*args))
    except ValueError as e:
        print(e)

# === int_base_errors
for args in (("1", 1), ("1", 37), ("1", -1), (1, 10), (1.5, 10)):
    try:
        print(int(*args))
    except (ValueError, TypeError) as e:
        print(type(e).__name__, e)

# === int_from_float
print(int(3.99), int(-3.99), int(1e20), int(-0.0), int(2.0**70))
for x in (float("inf"), float("nan")):
    try:
        int(x)
    except (OverflowError, ValueError) as e:
        print(type(e).__name__, e)

# === int_from_bytes_text
print(int(b"12"), int(bytearray(b"-7")), int(b"ff", 16))
try:
    int(b"x")
except ValueError as e:
    print(e)

# === int_conversion_protocols
class A:
    def __int__(self):
        return 5
class B:
    def __index__(self):
        return 6
class C:
    def __int__(self):
        return "no"
print(int(A()), int(B()))
try:
    int(C())
except TypeError as e:
    print(e)

# === int_wrong_type
for x in (None, [], {}, object):
    try:
        int(x)
    except TypeError as e:
        print(e)

# === index_protocol
class I:
    def __index__(self):
        return 2
print([10, 20, 30][I()], "abc"[I()], hex(I()), bin(I()), range(5)[I()], [1] * I(), 1 << 3)
print((1).__index__(), True.__index__())

# === hex_oct_bin
print(hex(255), hex(-255), oct(8), oct(-8), bin(5), bin(-5), hex(2**70), bin(0), hex(0))
try:
    hex(1.5)
except TypeError as e:
    print(e)

# === round_ints
print(round(15, -1), round(25, -1), round(35, -1), round(-25, -1), round(1234567, -3), round(5), round(7, 3), round(10**25 + 5 * 10**23, -24))

# === int_attributes
n = -17
print(n.real, n.imag, n.numerator, n.denominator, n.conjugate(), n.is_integer(), n.as_integer_ratio())

# === int_compare_mixed
print(1 == 1.0, 2**53 == 2.0**53, 2**53 + 1 == 2.0**53, 2**53 + 1 > 2.0**53, 10**400 > 1e308, -10**400 < float("-inf"))
print(10**400 < float("inf"), 1 < float("nan"), 1 == True, 0 == False)

# === int_hash
print(hash(0), hash(1), hash(-1), hash(-2), hash(2**61 - 1), hash(2**61), hash(-(2**61)), hash(10**30))
print(hash(5) == hash(5.0) == hash(5 + 0j))

# === int_str_limit
n = 10**4299
print(len(str(n)))
try:
    str(n * 10)
except ValueError as e:
    print(e)
try:
    int("1" * 4301)
except ValueError as e:
    print(e)

# === int_str_limit_set
import sys
print(sys.get_int_max_str_digits())
sys.set_int_max_str_digits(640)
try:
    str(10**640)
except ValueError as e:
    print(e)
sys.set_int_max_str_digits(0)
print(len(str(10**5000)), len(hex(10**5000)))

# === int_format_types
print(f"{255:x} {255:X} {255:#x} {255:o} {255:b} {255:#b} {65:c} {255:d} {255:n} {255:e} {255:.2f} {255:%}")

# === int_format_grouping
print(f"{1234567:,} {1234567:_} {0xdeadbeef:_x} {255:_b} {-1234567:,} {123:,} {1234567:015,}")

# === int_format_sign_pad
print(f"[{5:+}] [{-5:+}] [{5: }] [{5:05}] [{-5:05}] [{5:<5}] [{5:^5}] [{5:*>5}] [{-5:=+6}] [{5:#06x}]")

# === int_format_errors
for spec in ("s", ".2d", ",x", "+c", "q"):
    try:
        print(format(5, spec))
    except ValueError as e:
        print(e)

# === int_subclass
class N(int):
    def __repr__(self):
        return f"N({int(self)})"
n = N(5)
print(n, n + 1, type(n + 1).__name__, -n, type(-n).__name__, [n], n == 5, hash(n) == 5)
print(int(n), type(int(n)).__name__, str(n), format(n, "03"))

# === int_identity_small
a = 256
b = int("256")
print(a is b, a == b)

# === int_unsupported_operands
for f in (lambda: 1 + "a", lambda: "a" + 1, lambda: 1 - [], lambda: 1 & 1.0, lambda: 2 ** "x", lambda: 1 < "a", lambda: -"a", lambda: ~1.5, lambda: divmod(1, "a")):
    try:
        f()
    except TypeError as e:
        print(e)

# === int_in_place
n = 10
n += 5; n -= 1; n *= 3; n //= 4; n **= 2; n %= 37; n <<= 3; n |= 5; n ^= 2; n &= 0xff; n >>= 1
print(n)
n /= 4
print(n)

# === int_no_arguments
print(int(), int("0"), bool(), int(True), int(False) + True + True)

# === int_methods_by_hand
print((5).__add__(3), (5).__radd__(3), (5).__sub__(3), (5).__rsub__(3), (5).__add__(1.5), (5).__lt__(6), (5).__eq__("5"), (7).__floordiv__(2), (7).__bool__(), (2).__pow__(5), (2).__pow__(5, 3))

# === int_collatz
def steps(n):
    count = 0
    while n != 1:
        n = 3 * n + 1 if n % 2 else n // 2
        count += 1
    return count
print([steps(n) for n in range(1, 20)], steps(2**61 - 1))

# === int_gcd_by_hand
def gcd(a, b):
    while b:
        a, b = b, a % b
    return a
print(gcd(2**90 * 3**5, 6**40), gcd(17, 5), gcd(0, 9))

# === int_isqrt_newton
def isqrt(n):
    x = 1 << ((n.bit_length() + 1) // 2)
    while True:
        y = (x + n // x) // 2
        if y >= x:
            return x
        x = y
print(isqrt(10**60), isqrt(2 * 10**60), isqrt(99))

# === int_big_division
a = 3**300
b = 7**90
print(a // b)
print(a % b)
print(-a // b, -a % b)

# === int_ceil_floor_trunc
import math
print(math.floor(5), math.ceil(-5), math.trunc(2**70), (5).__floor__(), (5).__trunc__())

# === int_readonly_attribute
try:
    (5).real = 3
except AttributeError as e:
    print(e)
try:
    (5).foo
except AttributeError as e:
    print(e)
try:
    x = 5
    x.foo = 3
except AttributeError as e:
    print(type(e).__name__)

# === int_chained_compare
x = 5
print(1 < x < 10, 1 < x > 3, 1 < x < 3, 5 == x == 5.0, 1 < 2 < 3 < 4 > 2)
