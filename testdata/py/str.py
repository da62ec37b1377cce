# Strings: literals, slices, every method.

# === literal_quotes
print('a"b', "a'b", 'a\'b', """x"y'z""", '''one
two''')

# === literal_escapes
print(ascii("\a\b\f\n\r\t\v\0\\\'\""), "\x41\101\u0042\U00000043\N{LATIN SMALL LETTER D}", len("\
"))

# === literal_raw
print(r"\n\t\\", len(r"\n"), R'\'', r"""a\
b""")

# === literal_concatenation
x = ("one " 'two '
     "three" r"\n")
print(x, "a" "b" * 2)

# === literal_unknown_escape
import warnings
warnings.simplefilter("ignore")
print(eval(r"'\d\w\ '"), len(eval(r"'\q'")))

# === repr_quotes
print(repr("a"), repr("a'b"), repr('a"b'), repr("a'b\"c"), repr("\\"), repr(""))

# === repr_control
print(repr("\x00\x01\x1f\x7f\x80\xa0\xad\n\r\t\x0b"))

# === repr_unicode
print(repr("é€𝄞\u200b\u2028\ue000\U0010ffff\ud800"), ascii("é€𝄞"))

# === index_negative
s = "héllo𝄞"
print(s[0], s[-1], s[1], s[-2], s[5], len(s))
for i in (6, -7):
    try:
        s[i]
    except IndexError as e:
        print(e)

# === slice_steps
s = "abcdefgh"
print(s[2:5], s[:3], s[5:], s[:], s[::2], s[1::3], s[::-1], s[6:2:-2], s[-3:], s[:-3], s[10:], s[-100:2], s[5:2] == "")

# === slice_step_zero
try:
    "abc"[::0]
except ValueError as e:
    print(e)
for k in ("a", 1.5, None):
    try:
        "abc"[k]
    except TypeError as e:
        print(e)

# === slice_non_ascii
s = "aé€𝄞z"
print(s[1:4], s[::-1], s[::2], s[3], s[2:3], s[:2] + s[3:])

# === immutable
s = "abc"
try:
    s[0] = "x"
except TypeError as e:
    print(e)
try:
    del s[0]
except TypeError as e:
    print(e)

# === concat_errors
for f in (lambda: "a" + 1, lambda: "a" + b"b", lambda: "a" + None, lambda: "a" * "b", lambda: "a" * 1.5, lambda: "a" - "b"):
    try:
        f()
    except TypeError as e:
        print(e)

# === repeat
print("ab" * 3, 3 * "ab", "ab" * 0, "ab" * -1, "" * 10, "é" * 3)
try:
    "a" * 2**63
except OverflowError as e:
    print(e)

# === compare
print("a" < "b", "a" < "B", "abc" < "abd", "ab" < "abc", "" < "a", "é" > "z", "\uffff" < "\U00010000", "a" == "a", "a" != 1)
try:
    "a" < 1
except TypeError as e:
    print(e)

# === contains
print("bc" in "abcd", "" in "", "" in "abc", "x" not in "abc", "é" in "café", "𝄞" in "a𝄞b")
try:
    1 in "abc"
except TypeError as e:
    print(e)

# === iterate
for c in "aé𝄞":
    print(c, ord(c), hex(ord(c)))
it = iter("ab")
print(next(it), next(it), next(it, "end"))

# === chr_ord
print(chr(65), chr(233), chr(0x1d11e), ord("A"), ord("€"), ord(b"z"))
for f in (lambda: chr(-1), lambda: chr(0x110000), lambda: ord(""), lambda: ord("ab"), lambda: chr("a"), lambda: ord(5)):
    try:
        f()
    except (ValueError, TypeError) as e:
        print(type(e).__name__, e)

# === str_of_objects
print(str(), str(1), str(1.5), str(None), str([1, "a"]), str(b"x"), str(b"x", "ascii"), str("a"), str(int))

# === str_decoding_argument
print(str(b"caf\xc3\xa9", "utf-8"), str(b"\xff", "latin-1"), str(b"\xff", errors="replace"))
try:
    str("a", "utf-8")
except TypeError as e:
    print(e)

# === upper_lower
print("Hello World".upper(), "Hello World".lower(), "straße".upper(), "İ".lower() == "i̇", "ΑΣ".lower(), "ΑΣΑ".lower(), "ŉ".upper())

# === capitalize_title_swapcase
print("hello wORLD".capitalize(), "hello wORLD it's".title(), "hELLO".swapcase(), "ǆ".title(), "ß".capitalize(), "ﬁn".title())

# === casefold
print("Straße".casefold(), "ΑΣ".casefold(), "İ".casefold() == "i̇", "ABC".casefold() == "abc")

# === center_ljust_rjust
print(f"[{'ab'.center(7)}] [{'abc'.center(6)}] [{'ab'.ljust(5, '.')}] [{'ab'.rjust(5, '*')}] [{'abc'.center(2)}] [{'a'.center(4, 'é')}] [{'abc'.center(8, '-')}]")
for f in (lambda: "a".center(5, "ab"), lambda: "a".ljust(5, ""), lambda: "a".rjust("x")):
    try:
        f()
    except TypeError as e:
        print(e)

# === count
print("banana".count("a"), "banana".count("an"), "banana".count("ana"), "abc".count(""), "".count(""), "banana".count("a", 2), "banana".count("a", 2, 4), "banana".count("a", -3), "abc".count("", 5))

# === encode_basic
print("aé€𝄞".encode(), "aé".encode("latin-1"), "abc".encode("ascii"), "aé€".encode("utf-16-le"), "a𝄞".encode("utf-32-be"), "é".encode("utf-16")[:2] in (b"\xff\xfe", b"\xfe\xff"))

# === encode_errors
print("aé€".encode("ascii", "ignore"), "aé€".encode("ascii", "replace"), "aé€𝄞".encode("ascii", "backslashreplace"), "é€".encode("ascii", "xmlcharrefreplace"), "é".encode("ascii", "namereplace"))
try:
    "abécd€".encode("ascii")
except UnicodeEncodeError as e:
    print(e)
    print(e.encoding, e.start, e.end, e.reason, repr(e.object))

# === encode_unknown
for args in (("nope",), ("utf-8", "nope")):
    try:
        print("a\ud800".encode(*args))
    except (LookupError, UnicodeError) as e:
        print(type(e).__name__, e)

# === encode_surrogates
s = "a\udc80b"
print(s.encode("utf-8", "surrogateescape"), s.encode("utf-8", "surrogatepass"), s.encode("utf-8", "replace"), s.encode("utf-8", "backslashreplace"))
try:
    s.encode()
except UnicodeEncodeError as e:
    print(e)

# === startswith_endswith
print("hello".startswith("he"), "hello".startswith(("x", "he")), "hello".endswith("lo"), "hello".endswith(("a", "b")), "hello".startswith("l", 2), "hello".startswith("el", 1, 2), "hello".endswith("l", 0, 4), "".startswith(""), "a".startswith("", 2))
for a in (1, ["h"], (1,)):
    try:
        "hello".startswith(a)
    except TypeError as e:
        print(e)

# === expandtabs
print(repr("a\tb\tc".expandtabs()), repr("a\tb".expandtabs(4)), repr("\t".expandtabs(1)), repr("ab\tc\n\td".expandtabs(4)), repr("a\tb".expandtabs(0)), repr("a\tb".expandtabs(tabsize=-1)))

# === find_rfind
s = "hello hello"
print(s.find("l"), s.rfind("l"), s.find("x"), s.rfind("x"), s.find(""), s.rfind(""), s.find("hello", 1), s.find("l", 4, 6), s.find("o", -1), s.rfind("hello", 0, -1), s.find("", 20))

# === index_rindex
print("hello".index("l"), "hello".rindex("l"), "hello".index("l", 3))
for m in ("index", "rindex"):
    try:
        getattr("hello", m)("z")
    except ValueError as e:
        print(e)

# === format_method_positions
print("{} {}".format(1, 2), "{1} {0}".format(1, 2), "{a} {b}".format(a=1, b=2), "{0} {a} {0}".format(5, a=6), "{{}} {}".format(7), "{0[1]} {0[2]}".format([1, 2, 3]), "{a[x]}".format(a={"x": 9}), "{0.real}".format(3))

# === format_method_conversion
print("{!r} {!s} {!a}".format("é", "é", "é"), "{!r:>5}".format("a"), "{:{}}|{:{w}.{p}f}".format("a", 5, 3.14159, w=8, p=2))

# === format_method_errors
for t, a in (("{}", ()), ("{} {0}", (1, 2)), ("{0} {}", (1, 2)), ("{", ()), ("}", ()), ("{a}", ()), ("{!x}", (1,)), ("{0.foo}", (1,)), ("{0[a]}", ([1],)), ("{0[5]}", ([1],)), ("{:d}", ("a",)), ("{!}", (1,)), ("{0", (1,))):
    try:
        print(t.format(*a))
    except Exception as e:
        print(type(e).__name__, e)

# === format_map
class D(dict):
    def __missing__(self, key):
        return f"<{key}>"
print("{a} {b}".format_map(D(a=1)), "{x:>5}".format_map({"x": "y"}))
try:
    "{a}".format_map({})
except KeyError as e:
    print(repr(e))

# === isalpha_family
for s in ("abc", "abc1", "123", "", "é", "½", "²", "٣", "Ⅷ", "_a"):
    print(repr(s), s.isalpha(), s.isalnum(), s.isdigit(), s.isdecimal(), s.isnumeric())

# === iscase_family
for s in ("abc", "ABC", "Abc Def", "aBc", "", "1", "a1", "A1 B2", "ǅ", "They'Re"):
    print(repr(s), s.islower(), s.isupper(), s.istitle())

# === isspace_ascii_printable
for s in (" \t\n", "", "a b", "\u2003", "\xa0", "\x00", "é", "\u200b"):
    print(ascii(s), s.isspace(), s.isascii(), s.isprintable())

# === isidentifier
for s in ("abc", "_1", "1a", "", "a-b", "é", "class", "x·y", "変数"):
    print(repr(s), s.isidentifier())

# === join
print(",".join(["a", "b", "c"]), "".join("abc"), "-".join([]), "-".join(["x"]), ", ".join(c for c in "xyz"), "é".join(("a", "𝄞")))
for a in ([1], ["a", None], 5, [b"a"]):
    try:
        ",".join(a)
    except TypeError as e:
        print(e)

# === strip_family
s = "  \t hello \n "
print(repr(s.strip()), repr(s.lstrip()), repr(s.rstrip()), "xxhixyx".strip("xy"), "xxhixx".lstrip("x"), "xxhixx".rstrip("x"), repr("\u2003a\xa0".strip()), repr("".strip()), "abc".strip(""), repr("aaa".strip("a")))
try:
    "a".strip(1)
except TypeError as e:
    print(e)

# === removeprefix_removesuffix
print("TestCase".removeprefix("Test"), "TestCase".removeprefix("x"), "file.py".removesuffix(".py"), "aaa".removesuffix("a"), "abc".removesuffix(""), "".removeprefix("a"))

# === maketrans_translate
t = str.maketrans("abc", "xyz", "d")
print("abcd".translate(t), t, "aé".translate({97: "AA", 233: None}), "abc".translate({98: 0x1d11e}))
print("abc".translate(str.maketrans({"a": "1", "b": None, 99: "C"})))

# === maketrans_errors
for a in (("ab", "c"), ({"ab": 1},), (5,), ("a", "b", 3)):
    try:
        print(str.maketrans(*a))
    except (ValueError, TypeError) as e:
        print(type(e).__name__, e)

# === translate_getitem
class T:
    def __getitem__(self, k):
        if k == 97:
            raise LookupError
        return chr(k).upper() * 2
print("abc".translate(T()))
try:
    "a".translate({97: 1.5})
except TypeError as e:
    print(e)

# === partition
print("a=b=c".partition("="), "a=b=c".rpartition("="), "abc".partition("x"), "abc".rpartition("x"), "a--b".partition("--"))
try:
    "abc".partition("")
except ValueError as e:
    print(e)

# === replace
print("banana".replace("a", "o"), "banana".replace("a", "o", 2), "banana".replace("na", ""), "abc".replace("", "-"), "abc".replace("", "-", 2), "aaa".replace("aa", "b"), "é".replace("é", "𝄞"), "abc".replace("x", "y"), "abc".replace("a", "b", 0), "".replace("", "x"))

# === split_whitespace
print(" a  b\tc\n".split(), "".split(), "   ".split(), "a b c".split(None, 1), "  a b  c ".split(None, 1), " a b ".rsplit(None, 1), "a\u2003b\xa0c".split(), "a b".split(maxsplit=0))

# === split_separator
print("a,b,,c".split(","), ",".split(","), "".split(","), "a,b,c".split(",", 1), "a,b,c".rsplit(",", 1), "a--b--c".split("--"), "a,b".split(",", 0), "abc".split("abc"), "aXbXc".split(sep="X", maxsplit=1))
for a in (("",), (1,)):
    try:
        "a".split(*a)
    except (ValueError, TypeError) as e:
        print(type(e).__name__, e)

# === splitlines
print("a\nb\r\nc\rd".splitlines(), "a\nb\n".splitlines(True), "".splitlines(), "\n".splitlines(), "a\x0bb\x0cc\x1cd\x85e\u2028f".splitlines(), "a\n\nb".splitlines(keepends=True))

# === zfill
print("42".zfill(5), "-42".zfill(5), "+42".zfill(5), "42".zfill(1), "".zfill(3), "--1".zfill(5), "abc".zfill(6))

# === len_hash_bool
print(len(""), len("𝄞"), bool(""), bool("0"), hash("") == hash(""), hash("abc") == hash("ab" + "c"))

# === str_subclass
class S(str):
    def __str__(self):
        return "custom"
s = S("abc")
print(s, repr(s), s + "d", type(s + "d").__name__, type(s.upper()).__name__, len(s), s == "abc", f"{s}", "%s" % s, str(s), s[0:3], {"abc": 1}[s])

# === str_new_override
class U(str):
    def __new__(cls, v):
        return super().__new__(cls, v.upper())
print(U("abc"), type(U("a")).__name__, isinstance(U("a"), str))

# === lone_surrogate_ops
s = "a\ud83d\ude00"
print(len(s), ascii(s), s == "a😀", ascii(s[::-1]), ascii(s[1:]), "\ud83d" in s)
try:
    print(s)
except UnicodeEncodeError as e:
    print(e)

# === widths_mix
a = "a" * 3
b = a + "é"
c = b + "€"
d = c + "𝄞"
print([len(x) for x in (a, b, c, d)], d[:3] == a, d[:4] == b, d[:5] == c, hash(d[:3]) == hash(a), {a: 1}[d[:3]])

# === combining_not_equal
a, b = "é", "e\u0301"
print(a == b, len(a), len(b), a.encode(), b.encode(), b[::-1] == "\u0301e")

# === min_max_sorted
print(min("hello"), max("hello"), sorted("hello"), "".join(sorted("bca", reverse=True)), sorted(["b", "A", "a", "B"]), sorted(["b", "A"], key=str.lower))

# === unbound_methods
print(str.upper("abc"), list(map(str.strip, [" a ", "b "])), str.join("-", "ab"), str.__len__("abc"), "abc".__contains__("b"), "a".__add__("b"), "abc".__getitem__(slice(1, None)), "a".__mul__(3), "a".__lt__("b"), "a".__eq__(1))

# === method_argument_errors
for f in (lambda: "a".upper(1), lambda: "a".join(), lambda: str.upper(), lambda: str.upper(1)):
    try:
        f()
    except TypeError as e:
        print(e)

# === attribute_error
try:
    "abc".foo
except AttributeError as e:
    print(e)
try:
    "abc".uper
except AttributeError as e:
    print(e, e.name, e.obj)

# === multiplication_table
for i in range(1, 4):
    print(" ".join(f"{i * j:3d}" for j in range(1, 6)))

# === caesar
def caesar(s, k):
    return "".join(chr((ord(c) - 97 + k) % 26 + 97) if c.isalpha() else c for c in s)
x = caesar("hello world", 3)
print(x, caesar(x, -3))

# === palindrome
def f(s):
    t = [c for c in s.lower() if c.isalnum()]
    return t == t[::-1]
print(f("A man, a plan, a canal: Panama"), f("hello"))

# === word_count
text = "the cat the dog the end"
counts = {}
for w in text.split():
    counts[w] = counts.get(w, 0) + 1
print(counts, max(counts, key=counts.get))

# === string_building_linear
s = ""
for i in range(1000):
    s += str(i % 10)
print(len(s), s[:12], s[-3:], s.count("5"))

# === intern_identity
import sys
a = sys.intern("hello world!")
b = sys.intern("hello " + "world!")
c = "abc"
print(a is b, c is sys.intern(c))

# === dunder_doc_strings
def f():
    "one line"
class C:
    """a
class"""
print(f.__doc__, repr(C.__doc__), (lambda: 0).__doc__)
