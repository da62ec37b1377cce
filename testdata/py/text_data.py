# json, string, textwrap, struct, binascii, base64, hashlib, io, unicodedata, csv and friends.

# === json_dumps_basic
import json
print(json.dumps({"a": [1, 2.5, None, True, False, "x"], "b": {}, "c": []}), json.dumps("é\n\"\\\x01/"), json.dumps("é", ensure_ascii=False), json.dumps("𝄞"), json.dumps((1, 2)), json.dumps(10**30), json.dumps(-0.0), json.dumps(1e100))

# === json_dumps_indent_sort
import json
d = {"b": 1, "a": [1, {"c": []}], "e": {}}
print(json.dumps(d, indent=2, sort_keys=True))
print(json.dumps(d, indent="\t", separators=(",", ":")))
print(json.dumps(d, separators=(",", ":")), json.dumps([], indent=2), json.dumps([1], indent=0))

# === json_dumps_keys
import json
print(json.dumps({1: 1, 2.5: 2, None: 3, True: 4, "s": 5}), json.dumps({(1, 2): 3, "k": 1}, skipkeys=True))
try:
    json.dumps({(1, 2): 3})
except TypeError as e:
    print(e)

# === json_dumps_errors
import json
for o in ({1, 2}, b"x", object, 1j, [lambda: 0].__class__):
    try:
        json.dumps(o)
    except TypeError as e:
        print(e)
a = []
a.append(a)
try:
    json.dumps(a)
except ValueError as e:
    print(e)

# === json_nan
import json
print(json.dumps([float("nan"), float("inf"), -float("inf")]), json.loads("[NaN, Infinity, -Infinity]"))
try:
    json.dumps(float("nan"), allow_nan=False)
except ValueError as e:
    print(str(e)[:38])

# === json_default_and_encoder
import json
class E(json.JSONEncoder):
    def default(self, o):
        if isinstance(o, set):
            return sorted(o)
        return super().default(o)
print(json.dumps({"s": {2, 1}}, cls=E), json.dumps({1j}, default=str), json.dumps([complex(1, 2)], default=lambda o: [o.real, o.imag]))
print("".join(E().iterencode([1, {2}])))

# === json_loads_basic
import json
print(json.loads('{"a": [1, -2.5e3, null, true, false, "\\u00e9\\n\\ud834\\udd1e"]}'), json.loads(" [ ] "), json.loads("5"), json.loads('"x"'), json.loads(b'{"b": 1}'), json.loads("1E5"), json.loads('{"a":1,"a":2}'), json.loads("12345678901234567890"))

# === json_loads_errors
import json
for s in ("", "[,1]", '{"a":}', "{'a': 1}", "[1 2]", "nul", '"abc', '{"a" 1}', "[1] x", "01", '"\n"', '"\\x"', "-", "[", '{"a": 1;}', '"\\u12"', "1."):
    try:
        print(json.loads(s))
    except json.JSONDecodeError as e:
        print(e, e.pos, e.lineno, e.colno)

# === json_hooks
import json
print(json.loads('{"a": {"b": 1}}', object_hook=lambda d: list(d.items())), json.loads('{"a": 1, "a": 2}', object_pairs_hook=list), json.loads("[1, 2.5, NaN]", parse_int=str, parse_float=lambda s: f"f{s}", parse_constant=lambda s: "c" + s))

# === json_stream_and_raw
import json, io
f = io.StringIO()
json.dump({"k": [1]}, f)
f.seek(0)
print(json.load(f), json.JSONDecoder().raw_decode('[1] rest'))

# === json_subclasses
import json
from enum import IntEnum
from collections import OrderedDict, namedtuple
class I(IntEnum): A = 1
class S(str): pass
print(json.dumps([I.A, S("x"), OrderedDict(b=1), namedtuple("P", "x")(5), True]), json.dumps({S("k"): I.A}))

# === json_strict_control
import json
print(json.loads('"a\tb"', strict=False))
try:
    json.loads('"a\tb"')
except ValueError as e:
    print(e)

# === string_constants
import string
print(string.ascii_letters, string.digits, string.hexdigits, string.octdigits, string.punctuation, repr(string.whitespace), len(string.printable), string.capwords("hello  big world"), string.capwords("a-b", "-"))

# === textwrap_wrap_fill
import textwrap
t = "The quick brown fox jumps over the lazy dog, and supercalifragilistic words break."
print(textwrap.wrap(t, 20))
print(textwrap.fill(t, 30, initial_indent="* ", subsequent_indent="  "))
print(textwrap.wrap("a" * 25, 10), textwrap.wrap("a" * 12 + " b", 10, break_long_words=False), textwrap.wrap("well-known-thing here", 10), textwrap.wrap(""))

# === textwrap_dedent_indent_shorten
import textwrap
print(repr(textwrap.dedent("    a\n      b\n\n    c\n")), repr(textwrap.indent("a\n\nb\n", "> ")), repr(textwrap.indent("a\n\nb", "- ", lambda l: True)), textwrap.shorten("hello big wide world", 15), textwrap.shorten("hello world", 9, placeholder="..."))

# === textwrap_options
import textwrap
print(textwrap.wrap("a\tb  c\n d", 10, expand_tabs=True, tabsize=4), textwrap.wrap("one two three four", 8, max_lines=2), textwrap.wrap("  lead", 10, drop_whitespace=False), textwrap.wrap("end.  Next one", 20, fix_sentence_endings=True))
try:
    textwrap.wrap("a", 0)
except ValueError as e:
    print(e)

# === struct_pack
import struct
print(struct.pack("<ihbB", 1, -2, -3, 255), struct.pack(">I", 1), struct.pack("!H", 258), struct.pack("<q", -1), struct.pack("<f", 1.5), struct.pack("<d", 0.1), struct.pack("5s", b"ab"), struct.pack("3p", b"abc"), struct.pack("c?", b"x", True), struct.pack("<2h", 1, 2), struct.pack("<bxh", 1, 2), struct.pack("<e", 1.5))

# === struct_unpack
import struct
print(struct.unpack("<ih", b"\x01\x00\x00\x00\xff\xff"), struct.unpack(">d", struct.pack(">d", 2.5)), struct.unpack("3s", b"abc"), struct.unpack_from("<H", b"\x00\x01\x02\x03", 2), list(struct.iter_unpack("<H", b"\x01\x00\x02\x00")), struct.calcsize("<ihb"), struct.calcsize("@ihq"), struct.calcsize("bi"), struct.unpack("<2x?", b"\0\0\1"))

# === struct_errors
import struct
for f in (lambda: struct.pack("<b", 200), lambda: struct.pack("<H", -1), lambda: struct.pack("<i"), lambda: struct.unpack("<i", b"abc"), lambda: struct.pack("z", 1), lambda: struct.pack("<i", "a"), lambda: struct.pack("<i", 1.5), lambda: struct.pack("<f", "x"), lambda: struct.pack("<s", 5), lambda: struct.pack("<I", 2**32), lambda: struct.unpack("<2h", b"\0"), lambda: struct.pack("c", b"ab")):
    try:
        print(f())
    except struct.error as e:
        print(e)

# === struct_object_pack_into
import struct
s = struct.Struct("<hh")
b = bytearray(6)
s.pack_into(b, 2, 1, 2)
print(b, s.size, s.format, s.unpack_from(b, 2), struct.pack("<f", float("inf")), struct.unpack("<f", struct.pack("<f", 0.1)))
try:
    s.pack_into(b, 4, 1, 2)
except struct.error as e:
    print(e)

# === base64
import base64
print(base64.b64encode(b"hello\xff"), base64.b64decode("aGVsbG//"), base64.urlsafe_b64encode(b"\xfb\xff"), base64.b32encode(b"hi"), base64.b16encode(b"\x0f\xa0"), base64.b85encode(b"hello"), base64.a85encode(b"hello"), base64.b32decode("NBUQ===="), base64.b16decode("0FA0"), base64.b85decode(base64.b85encode(b"xyz")), base64.encodebytes(b"a" * 60))

# === base64_errors
import base64
for f in (lambda: base64.b64decode("abc"), lambda: base64.b64decode("a"), lambda: base64.b64decode("ab!c", validate=True), lambda: base64.b16decode("0g"), lambda: base64.b32decode("a")):
    try:
        print(f())
    except ValueError as e:
        print(type(e).__name__, e)
try:
    base64.b64encode("str")
except TypeError as e:
    print(e)

# === binascii
import binascii
print(binascii.hexlify(b"\x01\xff"), binascii.unhexlify("01ff"), binascii.crc32(b"hello"), binascii.b2a_base64(b"hi"), binascii.a2b_base64(b"aGk="), binascii.hexlify(b"abc", "-"), binascii.crc_hqx(b"hi", 0))
try:
    binascii.unhexlify("abc")
except binascii.Error as e:
    print(e)

# === hashlib
import hashlib
for n in ("md5", "sha1", "sha224", "sha256", "sha384", "sha512", "sha3_256", "blake2b", "blake2s"):
    h = hashlib.new(n, b"hello")
    print(n, h.hexdigest()[:24], h.digest_size, h.block_size)

# === hashlib_update_copy
import hashlib
h = hashlib.sha256()
h.update(b"hel")
g = h.copy()
h.update(b"lo")
print(h.hexdigest() == hashlib.sha256(b"hello").hexdigest(), g.hexdigest() != h.hexdigest(), h.name, len(h.digest()), hashlib.blake2b(b"x", digest_size=8).hexdigest(), hashlib.shake_128(b"x").hexdigest(5))
try:
    hashlib.sha256("str")
except TypeError as e:
    print(e)
try:
    hashlib.new("nope")
except ValueError as e:
    print(str(e)[:21])

# === hmac
import hmac
print(hmac.new(b"key", b"msg", "sha256").hexdigest(), hmac.compare_digest("a", "a"), hmac.compare_digest(b"a", b"b"), hmac.digest(b"k", b"m", "md5").hex())

# === zlib_crc_adler
import zlib
print(zlib.crc32(b"hello"), zlib.adler32(b"hello"), zlib.crc32(b"lo", zlib.crc32(b"hel")), zlib.decompress(zlib.compress(b"abc" * 100)) == b"abc" * 100)

# === io_stringio
import io
f = io.StringIO("line1\nline2\nend")
print(repr(f.readline()), f.tell(), f.read(3), f.readlines(), repr(f.read()), f.seek(0), f.read(2))
f.write("XX")
print(repr(f.getvalue()), list(io.StringIO("a\nb")), f.readable(), f.writable(), f.seekable())
f.truncate(3)
print(repr(f.getvalue()))
f.close()
try:
    f.read()
except ValueError as e:
    print(e)

# === io_stringio_newlines
import io
print(repr(io.StringIO("a\r\nb\n").read()), repr(io.StringIO("a\r\nb", newline=None).read()), io.StringIO("a\r\nb\rc", newline="").readlines(), repr(io.StringIO("a\nb", newline="\r\n").getvalue()))
try:
    io.StringIO().write(5)
except TypeError as e:
    print(e)
try:
    io.StringIO().seek(-1)
except ValueError as e:
    print(e)

# === io_bytesio
import io
f = io.BytesIO(b"abc\ndef")
print(f.readline(), f.read(1), f.tell(), f.seek(-2, 2), f.read(), f.getvalue(), f.seek(0), f.readinto(bytearray(2)))
f.write(b"ZZ")
print(f.getvalue(), f.getbuffer().nbytes, list(io.BytesIO(b"x\ny")))
f.seek(10)
f.write(b"!")
print(f.getvalue())
with io.BytesIO() as g:
    g.writelines([b"a", b"b"])
    print(g.getvalue())

# === io_text_wrapper
import io
raw = io.BytesIO()
t = io.TextIOWrapper(raw, encoding="utf-8", newline="\n")
t.write("é\nx")
t.flush()
print(raw.getvalue(), t.encoding)
r = io.TextIOWrapper(io.BytesIO(b"a\r\nb\n\xc3\xa9"), encoding="utf-8")
print(r.readlines())
try:
    io.TextIOWrapper(io.BytesIO(b"\xff"), encoding="utf-8").read()
except UnicodeDecodeError as e:
    print(e)

# === unicodedata
import unicodedata as u
print(u.name("é"), u.lookup("SNOWMAN"), u.category("A"), u.category("1"), u.category(" "), u.normalize("NFD", "é") == "e\u0301", u.normalize("NFC", "e\u0301"), u.normalize("NFKC", "ﬁ²"), u.decimal("٣"), u.numeric("½"), u.digit("²"), u.bidirectional("א"), u.combining("\u0301"), u.east_asian_width("日"), u.mirrored("("), u.decomposition("é"), u.is_normalized("NFC", "é"))
for f in (lambda: u.name("\x00"), lambda: u.lookup("NOPE X"), lambda: u.decimal("a"), lambda: u.name("ab")):
    try:
        f()
    except (ValueError, KeyError, TypeError) as e:
        print(type(e).__name__, e)

# === csv_reader_writer
import csv, io
rows = list(csv.reader(io.StringIO('a,b\n1,"x,y"\n"q ""z""",\n')))
print(rows)
f = io.StringIO()
w = csv.writer(f)
w.writerow([1, "a,b", 'q"', None, 2.5, ""])
w.writerows([["x"], []])
print(repr(f.getvalue()))
print(list(csv.reader(["a;b"], delimiter=";")), list(csv.reader(["'a,b',c"], quotechar="'")))

# === csv_dict
import csv, io
print(list(csv.DictReader(io.StringIO("n,v\na,1\nb,2,3\nc\n"))))
f = io.StringIO()
w = csv.DictWriter(f, ["a", "b"], restval="-", lineterminator="\n")
w.writeheader()
w.writerow({"a": 1})
print(repr(f.getvalue()))
try:
    w.writerow({"z": 1})
except ValueError as e:
    print(e)

# === csv_dialects_quoting
import csv, io
for q in (csv.QUOTE_ALL, csv.QUOTE_MINIMAL, csv.QUOTE_NONNUMERIC):
    f = io.StringIO()
    csv.writer(f, quoting=q, lineterminator="|").writerow([1, "a", "b c", "d,e"])
    print(f.getvalue())
try:
    csv.writer(io.StringIO(), quoting=csv.QUOTE_NONE).writerow(["a,b"])
except csv.Error as e:
    print(e)
print(list(csv.reader(['1,"a"'], quoting=csv.QUOTE_NONNUMERIC)))

# === difflib
import difflib
print("\n".join(difflib.unified_diff("a\nb\nc".split(), "a\nx\nc".split(), lineterm="")))
print(difflib.get_close_matches("appel", ["ape", "apple", "peach"]), round(difflib.SequenceMatcher(None, "abcd", "bcde").ratio(), 3), list(difflib.ndiff(["a"], ["b"])), difflib.SequenceMatcher(None, "qabxcd", "abycdf").get_opcodes())

# === pprint
import pprint
pprint.pprint({"b": list(range(30)), "a": {"x": "y" * 50, "z": ("t",)}})
print(pprint.pformat([1, 2]), pprint.pformat({"k": 1}, width=1), pprint.saferepr({2: 1, 1: 2}))

# === reprlib
import reprlib
print(reprlib.repr(list(range(20))), reprlib.repr("x" * 100), reprlib.repr({i: i for i in range(9)}))
class L:
    @reprlib.recursive_repr()
    def __repr__(self): return f"<{self.me!r}>"
l = L()
l.me = l
print(l)

# === shlex
import shlex
print(shlex.split("a 'b c' \"d e\" f\\ g # x"), shlex.quote("it's"), shlex.join(["a b", "c"]), shlex.split("a # c", comments=True))
try:
    shlex.split("'open")
except ValueError as e:
    print(e)

# === html_url_parse
import html
from urllib.parse import quote, unquote, urlparse, urlencode, parse_qs, urljoin
print(html.escape("<a href='x'>&\"</a>"), html.unescape("&lt;&eacute;&#39;&#x41;&amp;"), quote("a b/é?"), unquote("a%20b%C3%A9"), urlencode({"q": "a b", "n": 1}), parse_qs("a=1&a=2&b="), urljoin("http://h/a/b", "../c"))
p = urlparse("https://user@host:80/p/a?q=1#frag")
print(p.scheme, p.netloc, p.hostname, p.port, p.path, p.query, p.fragment)

# === fnmatch_glob_patterns
import fnmatch
print(fnmatch.fnmatchcase("a.py", "*.py"), fnmatch.filter(["a.py", "b.txt", "c.py"], "*.py"), fnmatch.translate("a?[!b]*"), fnmatch.fnmatchcase("ab", "a?"), fnmatch.fnmatchcase("A", "a"))

# === pathlib_pure
from pathlib import PurePosixPath as P
p = P("/a/b/c.tar.gz")
print(p.name, p.stem, p.suffix, p.suffixes, p.parent, p.parts, p / "d", p.with_suffix(".zip"), p.with_name("x"), p.relative_to("/a"), p.is_absolute(), p.match("*.gz"), P("a") / "../b", P("a//b/./c"), repr(P("x")), list(p.parents)[-1])
try:
    p.relative_to("/z")
except ValueError as e:
    print(type(e).__name__)

# === os_path_pure
import os.path as p
print(p.join("a", "b", "/c"), p.split("/a/b"), p.splitext("x.tar.gz"), p.basename("/a/b"), p.dirname("/a/b"), p.normpath("a/../b//c/."), p.isabs("/a"), p.commonprefix(["abc", "abd"]), p.commonpath(["/a/b", "/a/c"]), p.relpath("/a/b", "/a/c"))

# === codecs
import codecs
print(codecs.encode("hello", "rot13"), codecs.decode(b"\xff\xfea\x00", "utf-16"), codecs.lookup("UTF8").name, codecs.encode(b"ab", "hex"), codecs.BOM_UTF8, "ünï".encode("punycode"), "bücher".encode("idna"), codecs.decode("\\n\\x41", "unicode_escape"), "é\n".encode("unicode_escape"), b"\\xe9".decode("raw_unicode_escape"))
d = codecs.getincrementaldecoder("utf-8")()
print(repr(d.decode(b"\xc3")), d.decode(b"\xa9"), repr(d.decode(b"", True)))

# === codecs_error_handler
import codecs
codecs.register_error("dash", lambda e: ("-" * (e.end - e.start), e.end))
print("aé€b".encode("ascii", "dash"), b"a\xff\xfeb".decode("ascii", "dash"))

# === encodings_table
for enc in ("utf-8", "latin-1", "cp1252", "utf-16-be", "ascii", "iso8859-15", "cp437", "koi8-r", "mac-roman", "utf-7", "utf-32-le"):
    try:
        print(enc, "é€".encode(enc))
    except UnicodeEncodeError as e:
        print(enc, e.reason)

# === string_templates_subclass
from string import Template
class T(Template):
    delimiter = "%"
print(T("%a and %{b}").substitute(a=1, b=2), Template("$a $$ ${b}").safe_substitute(a=1), Template("$x $y ${x}").get_identifiers(), Template("$").is_valid())

# === configparser
import configparser, io
c = configparser.ConfigParser()
c.read_string("[DEFAULT]\nx = 1\n[a]\ny = %(x)s0\nflag: yes\nmulti = l1\n  l2\n[b]\n")
print(c.sections(), c["a"]["y"], c.getboolean("a", "flag"), c.getint("b", "x"), repr(c["a"]["multi"]), c.has_option("b", "y"), c.get("b", "zz", fallback="fb"))
f = io.StringIO()
c.write(f)
print(len(f.getvalue()) > 20)
try:
    c["nope"]
except KeyError as e:
    print(e)

# === argparse
import argparse
p = argparse.ArgumentParser(prog="tool", description="does things", add_help=False)
p.add_argument("file")
p.add_argument("-n", "--num", type=int, default=3)
p.add_argument("--flag", action="store_true")
p.add_argument("rest", nargs="*")
print(p.parse_args(["-n", "5", "--flag", "f.txt", "a", "b"]), p.parse_args(["x"]))
print(p.format_usage(), end="")

# === argparse_error
import argparse
p = argparse.ArgumentParser(prog="tool")
p.add_argument("--n", type=int)
p.parse_args(["--n", "abc"])

# === ast_literal_eval
import ast
print(ast.literal_eval("[1, 'a', (2.5, None), {'k': {1, 2}}, -3, 1+2j, b'x']"), ast.literal_eval(" 5 "))
for s in ("f(1)", "a", "1 + 2", "[x for x in y]", "__import__('os')"):
    try:
        print(ast.literal_eval(s))
    except ValueError as e:
        print("malformed")

# === bisect_in_text_index
text = "abracadabra"
sa = sorted(range(len(text)), key=lambda i: text[i:])
print(sa, [text[i:][:3] for i in sa[:4]])

# === run_length_and_huffman
import heapq
from itertools import groupby
s = "aaabbbbcddddd"
print("".join(f"{k}{len(list(g))}" for k, g in groupby(s)))
h = [[s.count(c), [c, ""]] for c in sorted(set(s))]
heapq.heapify(h)
while len(h) > 1:
    a, b = heapq.heappop(h), heapq.heappop(h)
    for p in a[1:]: p[1] = "0" + p[1]
    for p in b[1:]: p[1] = "1" + p[1]
    heapq.heappush(h, [a[0] + b[0]] + a[1:] + b[1:])
print(sorted(h[0][1:]))

# === levenshtein
def lev(a, b):
    prev = list(range(len(b) + 1))
    for i, x in enumerate(a, 1):
        cur = [i]
        for j, y in enumerate(b, 1):
            cur.append(min(prev[j] + 1, cur[-1] + 1, prev[j - 1] + (x != y)))
        prev = cur
    return prev[-1]
print(lev("kitten", "sitting"), lev("", "abc"), lev("flaw", "lawn"))
