# Text beyond ASCII: case mapping, classes of characters, encodings, surrogates.

# === upper_special
print([c.upper() for c in ("ß", "ŉ", "ǰ", "ﬀ", "ﬃ", "ΐ", "և", "ẖ", "ᾳ", "ı", "ſ", "µ", "ÿ")])

# === lower_special
print([c.lower() for c in ("İ", "Σ", "Ω", "K", "Å", "Ǆ", "ǅ", "ϴ", "Ⅷ", "Ⓐ")], "ΟΔΟΣ ΣΑΣ Σ".lower(), "AΣ".lower(), "Σ".lower(), "aΣb".lower(), "ΑΣ.".lower())

# === title_special
print("ǆ ß ﬁ".title(), "l'été d'or".title(), "it's o'neil".title(), "ÉCOLE éCOLE".title(), "1a a1b".title(), "ǅ".swapcase(), "ß".swapcase(), "aΣ".title(), "don’t".title())

# === casefold_special
print([c.casefold() for c in ("ß", "ẞ", "ﬁ", "İ", "ς", "Σ", "K", "ſ", "ᾳ", "Ⅷ", "µ")], "Maße".casefold() == "MASSE".casefold())

# === capitalize_special
print("ß".capitalize(), "ﬁn".capitalize(), "éa".capitalize(), "ǆx".capitalize(), "ΣΑΣ".capitalize(), "1a".capitalize(), "".capitalize(), "İx".capitalize())

# === isdigit_isdecimal_isnumeric
for c in "5٥²½Ⅴ五௧①":
    print(c, c.isdigit(), c.isdecimal(), c.isnumeric(), c.isalnum(), c.isalpha())

# === isalpha_marks
for s in ("a\u0301", "\u0301", "ª", "ǅ", "中", "ـ", "𝒜", "_", "ʰ", "〇"):
    print(ascii(s), s.isalpha(), s.isalnum(), s.isidentifier())

# === isupper_islower_nonletters
for s in ("Aa", "ǅ", "Ⅷ", "ⅷ", "ª", "1", "A1", "a-b", "中", "A中", "a中", "Ⓐ", "\u0345"):
    print(ascii(s), s.isupper(), s.islower(), s.istitle())

# === isspace_all
sp = [c for c in map(chr, range(0x3100)) if c.isspace()]
print([hex(ord(c)) for c in sp], len("".join(sp).split()), len(("x" + "x".join(sp)).split("x")))

# === isprintable_ranges
print([s.isprintable() for s in (" ", "\xa0", "\xad", "\u2028", "\u200b", "\ue000", "\ud800", "\U000e0001", "é", "\t", "\x7f", "𝄞", "\uffff")])

# === splitlines_all_separators
seps = [c for c in map(chr, range(0x3000)) if len(f"a{c}b".splitlines()) > 1]
print([hex(ord(c)) for c in seps], "a\r\nb\n\rc".splitlines(), "\r\n".splitlines(True), "a\x85b".splitlines(), b"a\x0bb\x85c".splitlines())

# === int_float_from_unicode_digits
print(int("١٢٣"), int("१२"), float("１.５"), int("𝟙𝟚"), float("٣e٢"))
for s in ("²", "½", "五"):
    try:
        int(s)
    except ValueError as e:
        print(e)

# === strip_split_unicode_whitespace
print(repr("\u2003a\u3000".strip()), "a\u2028b\u2029c".split(), repr("\u200ba\u200b".strip()), "a\x1cb\x1fc".split(), repr("\ufeffa".strip()))

# === normalize_forms
import unicodedata as u
for s in ("é", "e\u0301", "ﬁ", "Å", "가", "²", "ǆ", "\u0344"):
    print(*[ascii(u.normalize(f, s)) for f in ("NFC", "NFD", "NFKC", "NFKD")])

# === normalize_order_of_marks
import unicodedata as u
a, b = "a\u0323\u0307", "a\u0307\u0323"
print(a == b, u.normalize("NFD", a) == u.normalize("NFD", b), ascii(u.normalize("NFC", b)), u.is_normalized("NFD", b), [u.combining(c) for c in b])

# === unicodedata_categories
import unicodedata as u
print("".join(u.category(c) for c in "aA1 _-+$(\n\u0301中½ǅ€\u200b\ue000\ud800"), [u.bidirectional(c) for c in "a1א+ "], [u.east_asian_width(c) for c in "aｱ日é"], u.unidata_version >= "15")

# === unicodedata_names
import unicodedata as u
print(u.name("a"), u.name("€"), u.name("中"), u.name("가"), u.name("😀"), u.name("\n", "no name"), u.lookup("GREEK SMALL LETTER ALPHA"), u.lookup("CJK UNIFIED IDEOGRAPH-4E2D"), u.lookup("HANGUL SYLLABLE GA"))

# === encode_utf8_boundaries
for cp in (0, 0x7e, 0x80, 0x7ff, 0x800, 0xffff, 0x10000, 0x10ffff):
    b = chr(cp).encode()
    print(hex(cp), b.hex(), b.decode() == chr(cp))

# === decode_utf8_malformed
for b in (b"\x80", b"\xc2", b"\xc1\xbf", b"\xe0\x80\x80", b"\xe2\x28\xa1", b"\xf0\x80\x80\x80", b"\xf4\x90\x80\x80", b"\xfe", b"a\xc3", b"\xed\xa0\x80", b"\xf0\x9f\x98\x80\xff"):
    try:
        print(b.decode())
    except UnicodeDecodeError as e:
        print(b, e.start, e.end, e.reason)
    print(ascii(b.decode("utf-8", "replace")), ascii(b.decode("utf-8", "ignore")), b.decode("utf-8", "backslashreplace"))

# === utf16_utf32
s = "a€😀"
for enc in ("utf-16-le", "utf-16-be", "utf-32-le", "utf-32-be"):
    b = s.encode(enc)
    print(enc, b.hex(), b.decode(enc) == s)
print("a".encode("utf-16")[2:], b"\xfe\xff\x00a".decode("utf-16"), b"\xff\xfea\x00".decode("utf-16"))
for b, enc in ((b"a", "utf-16-le"), (b"\x00\xd8", "utf-16-le"), (b"\x00\xd8a\x00", "utf-16-le"), (b"\x00\x00\x11\x00", "utf-32-le")):
    try:
        b.decode(enc)
    except UnicodeDecodeError as e:
        print(e.encoding, e.reason)

# === single_byte_codecs
s = bytes(range(0x80, 0x90)) + bytes(range(0xe0, 0xe8))
for enc in ("latin-1", "cp1252", "cp437", "iso8859-2", "koi8-r", "mac-roman", "cp1251"):
    print(enc, ascii(s.decode(enc, "replace")))

# === encode_error_handlers_all
s = "a\xe9\u20ac\U0001f600\ud800"
for enc in ("ascii", "latin-1", "utf-8"):
    for h in ("ignore", "replace", "backslashreplace", "xmlcharrefreplace", "surrogatepass", "surrogateescape"):
        try:
            print(enc, h, s.encode(enc, h))
        except UnicodeEncodeError as e:
            print(enc, h, "error", e.start, e.end)

# === surrogateescape_roundtrip
raw = bytes(range(0x70, 0x100))
t = raw.decode("ascii", "surrogateescape")
print(ascii(t[14:20]), t.encode("ascii", "surrogateescape") == raw, raw.decode("utf-8", "surrogateescape").encode("utf-8", "surrogateescape") == raw)

# === surrogate_pairs_stay_apart
a = "\ud83d\ude00"
b = "😀"
print(a == b, len(a), len(b), ascii(a), a.encode("utf-16-le", "surrogatepass").decode("utf-16-le") == b, ascii("\ud83d" + "\ude00"), sorted([b, a, "\uffff"]) == [a, "\uffff", b])

# === surrogates_in_containers_and_methods
s = "x\udcffy"
print(s.find("\udcff"), s.upper() == "X\udcffY", ascii(s.replace("\udcff", "!")), s.split("\udcff"), ascii(s[::-1]), {s: 1}["x\udcffy"], s.isprintable(), ascii(repr(s)), s.islower())
try:
    s.encode("latin-1")
except UnicodeEncodeError as e:
    print(e)

# === print_encode_error_to_stdout
try:
    print("a\ud800b")
except UnicodeEncodeError as e:
    print(e.reason, e.start)

# === length_and_index_wide
s = "a\u0301😀e\u200d中"
print(len(s), [hex(ord(c)) for c in s], s.index("中"), s[2] == "😀", s[-1], s.count("\u0301"), s.encode().__len__())

# === find_replace_across_widths
s = "aaé€😀aa"
for n in ("a", "é", "€", "😀", "aa", "€😀", "zz", "日"):
    print(s.find(n), s.rfind(n), s.count(n), s.replace(n, "_"), s.partition(n)[0], s.startswith(n), n in s)

# === join_format_widths
print("é".join("abc"), "😀".join(["a", "é", "€"]), f"{'é':>4}|{'😀':^5}|{'日本':*<6}", "%5s|%-4s|" % ("é", "😀"), "é".center(5, "€"), "ab".ljust(4, "😀"), "é".zfill(3))

# === compare_order_codepoints
xs = ["z", "é", "Z", "😀", "\uffff", "中", "a", "\ud800", "", "ab"]
print([ascii(x) for x in sorted(xs)], "é" < "f", "\uffff" < "😀", max(xs[:7]) == "😀")

# === hash_equal_across_construction
a = "h" + "é" + "😀"
b = "".join(["h", "é", "😀"])
c = ("xh" + "é😀")[1:]
d = "hé😀".encode().decode()
print(len({a, b, c, d}), hash(a) == hash(c), hash("é😀"[:1]) == hash("é"), {"é": 1}["é😀"[0]])

# === translate_unicode
t = str.maketrans({"é": "e", 0x1f600: ":)", "ß": "ss", "x": None, 0x20ac: 0x24})
print("éx€😀ß".translate(t), "abc".translate({97: "é", 98: None, 99: 0x4e2d}), "é".translate({0xe9: 0xe8}), "a".translate({97: ""}) == "")

# === casefold_comparison_search
words = ["Straße", "STRASSE", "strasse", "Strase", "ŚTRASSE"]
print([w.casefold() == "strasse" for w in words], sorted(words, key=str.casefold), [w.lower() == "strasse" for w in words])

# === identifiers_nfkc
ns = {}
exec("ﬁx = 1\nº = 2\nℌ = 3\n𝐱𝟏 = 4", ns)
print(sorted(k for k in ns if not k.startswith("__")))
class A: pass
a = A()
setattr(a, "ﬁ", 1)
print(hasattr(a, "fi"), hasattr(a, "ﬁ"), "a·".isidentifier(), "℘".isidentifier(), "٣a".isidentifier(), "a٣".isidentifier())

# === escapes_in_repr_all_planes
for cp in (0x1f, 0xa0, 0xad, 0x378, 0x600, 0x200e, 0x2028, 0x3000, 0xd7ff, 0xfeff, 0xfffd, 0x1f600, 0x1ffff, 0xe0100, 0xf0000):
    print(hex(cp), repr(chr(cp)) if chr(cp).isprintable() else ascii(repr(chr(cp))))

# === east_asian_and_rtl_strings
s = "שלום العربية 日本語"
print(s.split(), s[::-1][:3], len(s), s.upper() == s, s.title() == s, s.isalpha(), [w.isalpha() for w in s.split()])

# === codec_names_normalised
import codecs
print([codecs.lookup(n).name for n in ("UTF8", "utf_8", "U8", "Latin1", "ISO-8859-1", "cp819", "us-ascii", "646", "UTF-16LE", "utf-8-sig", "windows-1252")])
for n in ("utf9", "", "no such"):
    try:
        codecs.lookup(n)
    except LookupError as e:
        print(e)

# === incremental_codecs
import codecs
d = codecs.getincrementaldecoder("utf-8")("replace")
print([d.decode(bytes([b])) for b in "é😀".encode()], repr(d.decode(b"\xe2\x82", final=True)))
e = codecs.getincrementalencoder("utf-16")()
print(e.encode("a")[-2:], e.encode("b"), list(codecs.iterdecode([b"\xc3", b"\xa9x"], "utf-8")))

# === emoji_sequences
s = "👨‍👩‍👧👍🏽🇫🇷"
print(len(s), len(s.encode()), [hex(ord(c)) for c in s], s[::2].encode().__len__(), "👍" in s, s.count("\u200d"))
