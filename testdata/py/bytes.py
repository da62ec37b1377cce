# bytes, bytearray, memoryview: literals, every method, errors.

# === literal
print(b"abc", b'a"b', b"a'b", b"\x00\xff\n\t\\", rb"\n", b"a" b"b", b"""x
y""", Rb'\'')

# === repr
print(repr(bytes(range(0, 256, 17))), b"'", b'"', b"'\"", bytearray(b"a'b"), bytearray())

# === constructor
print(bytes(), bytes(3), bytes([1, 2, 255]), bytes("é", "utf-8"), bytes(b"x"), bytes(range(65, 70)), bytes(bytearray(b"q")), bytes(iter([1, 2])))

# === constructor_errors
for a in ((256,), ([256],), ([-1],), ("a",), (-1,), (1.5,), (["a"],), (None,), (5, "utf-8"), ([1], "utf-8"), ("a", "utf-8", 3)):
    try:
        print(len(bytes(*a)))
    except (ValueError, TypeError) as e:
        print(type(e).__name__, e)

# === dunder_bytes
class A:
    def __bytes__(self):
        return b"from dunder"
class B:
    def __bytes__(self):
        return "no"
print(bytes(A()), b"%b" % A())
try:
    bytes(B())
except TypeError as e:
    print(e)

# === index_slice
b = b"abcdef"
print(b[0], b[-1], b[1:3], b[::-1], b[::2], b[10:], type(b[0:1]).__name__, list(b[:2]))
for i in (6, -7):
    try:
        b[i]
    except IndexError as e:
        print(e)

# === immutable
b = b"abc"
try:
    b[0] = 1
except TypeError as e:
    print(e)
try:
    del b[0]
except TypeError as e:
    print(e)

# === concat_repeat
print(b"a" + b"b", b"ab" * 2, b"a" + bytearray(b"b"), bytearray(b"a") + b"b", 2 * b"xy", b"x" * 0)
for f in (lambda: b"a" + "b", lambda: b"a" + 1, lambda: b"a" * b"b"):
    try:
        f()
    except TypeError as e:
        print(e)

# === compare
print(b"a" < b"b", b"ab" > b"a", b"a" == bytearray(b"a"), b"a" == "a", b"a" != "a", b"" < b"\x00", b"\x80" > b"\x7f")
try:
    b"a" < "b"
except TypeError as e:
    print(e)

# === contains
print(b"bc" in b"abcd", 97 in b"abc", 0 in b"abc", b"" in b"", bytearray(b"c") in b"abc")
for x in (256, "a"):
    try:
        x in b"abc"
    except (ValueError, TypeError) as e:
        print(type(e).__name__, e)

# === decode
print(b"caf\xc3\xa9".decode(), b"\xe9".decode("latin-1"), b"a\x00".decode("utf-16-le"), b"abc".decode("ascii"), b"\xef\xbb\xbfa".decode("utf-8-sig"), b"\x80".decode("cp1252"))

# === decode_errors
print(b"a\xffb".decode("utf-8", "replace") == "a\ufffdb", b"a\xffb".decode("utf-8", "ignore"), b"a\xffb".decode("ascii", "backslashreplace"), ascii(b"a\xff".decode("utf-8", "surrogateescape")))
for b, c in ((b"ab\xff", "utf-8"), (b"\xe2\x82", "utf-8"), (b"a\x80", "ascii"), (b"\xc0\x80", "utf-8"), (b"\xed\xa0\x80", "utf-8"), (b"\xf5aaa", "utf-8"), (b"a", "utf-16-le")):
    try:
        b.decode(c)
    except UnicodeDecodeError as e:
        print(e, e.start, e.end)

# === decode_replace_counts
for b in (b"\xe2\x82", b"\xf0\x9f\x98", b"\xff\xfe", b"\xe2a", b"\xc3(", b"\xf0\x9f("):
    print(ascii(b.decode("utf-8", "replace")))

# === hex_fromhex
print(b"\x01\xab\xff".hex(), b"\x01\xab\xff".hex(":"), b"\x01\x02\x03\x04\x05".hex("-", 2), b"\x01\x02\x03\x04\x05".hex("-", -2), bytes.fromhex("01 AB ff"), bytearray.fromhex("00ff"), bytes.fromhex(""))
for s in ("0", "zz", "0 1"):
    try:
        bytes.fromhex(s)
    except ValueError as e:
        print(e)

# === find_count_index
b = b"hello hello"
print(b.find(b"l"), b.rfind(b"l"), b.find(108), b.count(b"l"), b.count(104), b.find(b"z"), b.index(b"o"), b.rindex(b"h"), b.find(b"l", 5), b.count(b""))
try:
    b.index(b"z")
except ValueError as e:
    print(e)
try:
    b.find("l")
except TypeError as e:
    print(e)

# === starts_ends
print(b"abc".startswith(b"ab"), b"abc".endswith((b"x", b"c")), b"abc".startswith(b"b", 1))
try:
    b"abc".startswith("a")
except TypeError as e:
    print(e)

# === split_join
print(b"a,b,,c".split(b","), b" a  b ".split(), b"a-b-c".rsplit(b"-", 1), b",".join([b"x", bytearray(b"y")]), b"a\nb\r\nc".splitlines(), b"a\n".splitlines(True), b"a=b".partition(b"="), b"abc".rpartition(b"x"))
try:
    b",".join([b"a", "b"])
except TypeError as e:
    print(e)

# === strip_pad
print(b"  a ".strip(), b"xxaxx".strip(b"x"), b"xxa".lstrip(b"x"), b"axx".rstrip(b"x"), b"ab".center(6, b"*"), b"ab".ljust(4), b"ab".rjust(4, b"0"), b"-5".zfill(4), b"pre-x".removeprefix(b"pre-"), b"x.py".removesuffix(b".py"))

# === case_methods
print(b"Hello W".upper(), b"Hello W".lower(), b"hello w".title(), b"hello W".capitalize(), b"Hello".swapcase(), b"\xe9A".lower(), b"a\tb".expandtabs(4))

# === is_methods
for b in (b"abc", b"ABC", b"123", b"a1", b" \t", b"", b"Abc", b"\xe9"):
    print(b, b.isalpha(), b.isalnum(), b.isdigit(), b.isspace(), b.isupper(), b.islower(), b.istitle(), b.isascii())

# === replace_translate
print(b"banana".replace(b"a", b"o", 2), b"abc".replace(b"", b"-"), b"hello".translate(bytes.maketrans(b"el", b"ip")), b"hello".translate(None, b"l"), b"hello".translate(bytes.maketrans(b"h", b"j"), b"o"))
try:
    b"a".translate(b"short")
except ValueError as e:
    print(e)
try:
    bytes.maketrans(b"ab", b"c")
except ValueError as e:
    print(e)

# === percent_format
print(b"%d %s %b %r %a %c %x %5.2f %%" % (5, b"x", b"y", b"z", "é", 65, 255, 1.5), b"%(a)s" % {b"a": b"v"}, b"%-5d|%05d" % (1, 2), b"%c" % b"q")
for t, a in ((b"%s", "str"), (b"%d", b"x"), (b"%s %s", b"a"), (b"%b", 5)):
    try:
        print(t % a)
    except TypeError as e:
        print(e)

# === iterate_hash
print(list(b"abc"), sum(b"\x01\x02"), max(b"az"), sorted(b"cab"), hash(b"abc") == hash(b"ab" + b"c"), {b"k": 1}[b"k"], len(b"\x00\x00"), bool(b""), bool(b"\x00"))

# === bytes_subclass
class B(bytes):
    pass
b = B(b"abc")
print(b, type(b).__name__, type(b + b"").__name__, type(b[:1]).__name__, b == b"abc", type(bytes(b)).__name__)

# === bytearray_mutate
b = bytearray(b"abc")
b[0] = 65
b.append(100)
b.extend(b"ef")
b.extend([103])
b += b"h"
b.insert(1, 45)
print(b, len(b), b.pop(), b.pop(0), b)
b.remove(98)
del b[0]
b.reverse()
print(b)
b.clear()
print(b)

# === bytearray_slice_assign
b = bytearray(b"0123456789")
b[2:4] = b"abcd"
print(b)
b[::3] = b"...."
print(b)
del b[1:5]
print(b)
b[1:1] = [65, 66]
b[3:] = b""
print(b)
try:
    b[::2] = b"xyz!"
except ValueError as e:
    print(e)

# === bytearray_errors
b = bytearray(b"abc")
for f in (lambda: b.append(256), lambda: b.append("a"), lambda: b.__setitem__(0, 300), lambda: b.__setitem__(9, 1), lambda: b.remove(120), lambda: bytearray().pop(), lambda: b.insert(0, -1), lambda: b.extend([1, "a"]), lambda: hash(b)):
    try:
        f()
    except Exception as e:
        print(type(e).__name__, e)
print(b)

# === bytearray_copy_independent
a = bytearray(b"ab")
b = a
c = a.copy()
d = a[:]
b += b"c"
print(a, c, d, a is b)
a *= 2
print(b)

# === bytearray_methods_return_type
b = bytearray(b"Abc abc")
print(b.upper(), b.split(), b.replace(b"b", b"x"), b[1:3], b.strip(b"A"), b.join([b"1", b"2"]), b.title(), bytes(b), b.find(b"c"), b.decode())

# === bytearray_self_extend
b = bytearray(b"ab")
b += b[:1]
b[1:1] = b
print(b)
try:
    b.extend(memoryview(b))
except BufferError as e:
    print(e)

# === memoryview_read
m = memoryview(b"abcdef")
print(m[0], m[-1], bytes(m[1:4]), m.tobytes(), m.tolist(), len(m), m.nbytes, m.format, m.itemsize, m.ndim, m.shape, m.strides, m.readonly, bytes(m[::2]), bytes(m[::-1]))

# === memoryview_write
b = bytearray(b"abcdef")
m = memoryview(b)
m[0] = 90
m[1:3] = b"YX"
print(b, m.readonly, m == b, m[:2] == b"ZY")
try:
    m[0:2] = b"abc"
except ValueError as e:
    print(e)
try:
    memoryview(b"a")[0] = 1
except TypeError as e:
    print(e)

# === memoryview_locks_resize
b = bytearray(b"abc")
m = memoryview(b)
try:
    b.append(1)
except BufferError as e:
    print(e)
m.release()
b.append(100)
print(b)
try:
    m[0]
except ValueError as e:
    print(e)

# === memoryview_cast
m = memoryview(bytearray(8)).cast("I")
m[0] = 1
m[1] = 0x01020304
print(m.tolist(), m.format, m.itemsize, len(m), bytes(m), m.cast("B").tolist())
try:
    memoryview(b"abc").cast("I")
except TypeError as e:
    print(e)

# === memoryview_with
with memoryview(b"abc") as m:
    print(m.hex(), list(m), m.obj)
try:
    len(m)
except ValueError as e:
    print(e)

# === memoryview_errors
for f in (lambda: memoryview("a"), lambda: memoryview(5), lambda: memoryview(b"a")[5], lambda: memoryview(b"a")["x"], lambda: memoryview(b"abc")[0] + b"a"):
    try:
        f()
    except (TypeError, IndexError) as e:
        print(type(e).__name__, e)

# === memoryview_hash_eq
print(hash(memoryview(b"abc")) == hash(b"abc"), memoryview(b"ab") == memoryview(b"ab"), memoryview(b"ab") == "ab", memoryview(b"ab") == bytearray(b"ab"))
try:
    hash(memoryview(bytearray(b"a")))
except ValueError as e:
    print(e)

# === bytes_non_ascii_literal
for src in ('b"é"', 'b"a" "b"', "b'abc"):
    try:
        eval(src)
    except SyntaxError as e:
        print(e.msg)

# === xor_cipher
def xor(data, key):
    return bytes(d ^ key[i % len(key)] for i, d in enumerate(data))
c = xor(b"hello world", b"key")
print(c.hex(), xor(c, b"key"))

# === crc_by_hand
def crc32(data):
    c = 0xFFFFFFFF
    for b in data:
        c ^= b
        for _ in range(8):
            c = (c >> 1) ^ (0xEDB88320 if c & 1 else 0)
    return c ^ 0xFFFFFFFF
print(hex(crc32(b"123456789")), crc32(b""))

# === varint
def enc(n):
    out = bytearray()
    while n > 127:
        out.append(n & 127 | 128)
        n >>= 7
    out.append(n)
    return bytes(out)
def dec(b):
    n = 0
    for i, x in enumerate(b):
        n |= (x & 127) << 7 * i
    return n
for n in (0, 127, 128, 300, 2**70):
    print(enc(n), dec(enc(n)) == n)
