# Regular expressions: the re module.

# === match_search_fullmatch
import re
print(re.match("a", "ab"), re.match("b", "ab"), re.search("b", "ab"), re.fullmatch("ab", "ab"), re.fullmatch("a", "ab"), re.search("", "x").span())

# === literals_and_dot
import re
print(re.findall(".", "a\nb"), re.findall(".", "a\nb", re.S), re.findall(r"a.c", "abc a\nc axc"), re.findall(r"\.", "a.b."))

# === anchors
import re
s = "ab\ncd\n"
print(re.findall("^.", s), re.findall("^.", s, re.M), re.findall(".$", s), re.findall(".$", s, re.M), re.search(r"\Aab", s).span(), re.search(r"d\Z", s), re.search(r"d$", s).span(), [m.start() for m in re.finditer("$", s)], [m.start() for m in re.finditer("(?m)^", s)])

# === quantifiers_greedy
import re
print(re.findall("a*", "aab"), re.findall("a+", "aab a"), re.findall("a?", "ab"), re.findall("a{2}", "aaaa"), re.findall("a{2,3}", "aaaaa"), re.findall("a{,2}", "aaa"), re.findall("a{2,}", "aaaab"), re.findall("x{a}", "x{a}"), re.findall("x{1,2", "x{1,2"))

# === quantifiers_lazy
import re
print(re.search("<.*?>", "<a><b>").group(), re.search("<.*>", "<a><b>").group(), re.findall("a+?", "aaa"), re.findall("a{2,3}?", "aaaaa"), re.search("a??b", "ab").group(), re.findall("a*?", "aa"))

# === quantifiers_possessive
import re
print(re.search("a++b", "aaab").group(), re.search("a++a", "aaa"), re.search("a*+a", "aa"), re.search("a?+a", "a"), re.search("(?>a+)b", "aab").group(), re.search("(?>a|ab)c", "abc"), re.search("a{1,2}+a", "aa"))

# === character_classes
import re
print(re.findall("[abc]", "abcd"), re.findall("[^abc]", "abcd"), re.findall("[a-c1-3]", "a4b2"), re.findall("[]a]", "]a"), re.findall("[a-]", "a-b"), re.findall(r"[\]\\]", r"]\x"), re.findall("[^]]", "]x"), re.findall("[.*+]", "a.*"), re.findall(r"[\w-]", "a-b c"))

# === escape_classes
import re
s = "aé1_ \t٣-"
print(re.findall(r"\w", s), re.findall(r"\d", s), re.findall(r"\s", s), re.findall(r"\W", s), re.findall(r"\D", "a1"), re.findall(r"\S", " a"), re.findall(r"\w", s, re.A), re.findall(r"\d", s, re.A))

# === escapes_numeric
import re
print(re.findall(r"\x41", "AB"), re.findall(r"\u00e9", "é"), re.findall(r"\101", "A"), re.findall(r"\0", "\0"), re.findall(r"\N{BULLET}", "•"), re.findall(r"[\t\n]", "\t\n"), re.findall(r"\U0001d11e", "𝄞"), re.findall("\\\\", "a\\b"))

# === word_boundary
import re
print(re.findall(r"\bfoo\b", "foo foobar foo"), re.findall(r"\Boo", "foo oo"), re.sub(r"\b", "|", "ab cd"), re.findall(r"\b\w", "hello world"), re.split(r"\b", "ab cd"), re.findall(r"\B", "ab"))

# === groups_basic
import re
m = re.match(r"(\w+) (\w+)(!)?", "hello world")
print(m.group(), m.group(1), m.group(1, 2), m.groups(), m.groups("none"), m[2], m.start(2), m.end(1), m.span(3), m.lastindex, m.re.groups, len(m.groups()))
for k in (4, "x"):
    try:
        m.group(k)
    except IndexError as e:
        print(e)

# === groups_named
import re
m = re.match(r"(?P<first>\w+)\s(?P<last>\w+)", "Ada Lovelace")
print(m.group("first"), m["last"], m.groupdict(), m.re.groupindex, m.lastgroup, m.span("last"), m.expand(r"\g<last>, \1"))

# === groups_noncapturing_alternation
import re
print(re.findall("(?:ab)+", "ababx"), re.findall("a|b|cd", "acdb"), re.findall("(a)|(b)", "ab"), re.match("(a|ab)(c|bcd)", "abcd").groups(), re.match("(?:a|ab)c", "abc").group(), re.findall("x(?:)", "x"))

# === groups_repeated_last
import re
print(re.match("(a|b)+", "abab").group(1), re.match("(?:(a)|(b))*", "ab").groups(), re.match("((a)|b)*", "ab").groups(), re.match("(x)?y", "y").groups(), re.match("(a*)*", "aa").groups(), re.match("(a*)+", "b").groups())

# === backreferences
import re
print(re.findall(r"(\w)\1", "aabccd"), re.search(r"(?P<q>['\"]).*?(?P=q)", "say 'it' \"x\"").group(), re.match(r"(a)?\1", "b"), re.match(r"(\w+) \1", "ab ab").group(), re.findall(r"(?i)(a)\1", "aA"), re.match(r"(.)(.)\2\1", "abba").group())

# === conditional
import re
p = re.compile(r"(<)?(\w+)(?(1)>|$)")
print(p.match("<a>").groups(), p.match("a").groups(), p.match("<a"), p.match("a>"), re.match(r"(?P<x>a)?b(?(x)c)", "abc").group())

# === lookahead_lookbehind
import re
print(re.findall(r"\w+(?=!)", "hi! no yes!"), re.findall(r"\b\w+\b(?!!)", "hi! no"), re.findall(r"(?<=\$)\d+", "$5 6 $78"), re.findall(r"(?<!\$)\b\d+", "$5 6"), re.sub(r"(?<=\d)(?=(\d{3})+$)", ",", "1234567"), re.findall(r"(?=(aa))", "aaaa"), re.search("(?<=ab|cd)x", "cdx").span())

# === lookbehind_errors
import re
for p in ("(?<=a+)b", "(?<=a|bc)d", "(?<!a*)b", "(?<=(a)\\1)b"):
    try:
        print(re.compile(p).pattern)
    except re.error as e:
        print(e)

# === flags_ignorecase
import re
print(re.findall("[a-c]", "ABCd", re.I), re.findall("é", "É", re.I), re.findall("straße", "STRAßE", re.I), re.match("ſ", "s", re.I), re.findall("k", "K\u212a", re.I), re.findall("k", "K\u212a", re.I | re.A), re.findall("[^a]", "Ab", re.I))

# === flags_verbose
import re
p = re.compile(r"""
    (\d+)   # digits
    \s* [ ] # a space
    \# x
""", re.X)
print(p.search("12 #x"), p.search("12  # x"), p.search("12   #x").group(), re.findall("(?x) a b  # c", "ab"))

# === flags_inline
import re
print(re.findall("(?i)a", "aA"), re.findall("(?i:a)b", "Ab AB"), re.findall("(?s).", "\n"), re.findall("(?-i:a)b", "ab AB aB", re.I), re.findall("(?im)^a", "A\na"), re.compile("(?ix)a").flags, re.findall("(?a:\\w)\\w", "aé éa"))

# === flags_inline_errors
import re
for p in ("a(?i)b", "(?z)", "(?-i)a", "(?i", "(?au)a", "(?L)a", "(?i-i:a)"):
    try:
        re.compile(p)
        print("ok", p)
    except re.error as e:
        print(e)

# === flags_repr
import re
print(re.I, repr(re.I | re.M), re.compile("a", re.I | re.X).flags, re.IGNORECASE is re.I, int(re.S), repr(re.compile("a", re.I | re.S)), repr(re.compile("x" * 5)), re.NOFLAG)

# === sub_basic
import re
print(re.sub("a", "b", "banana"), re.sub("a", "b", "banana", count=2), re.sub("x*", "-", "abxd"), re.sub("", "-", "ab"), re.subn("a", "", "banana"), re.sub(r"(\w+) (\w+)", r"\2 \1", "hello world"), re.sub("b*", "X", "abc"), re.sub("(?P<n>a)", r"<\g<n>>", "cat"))

# === sub_escapes
import re
print(repr(re.sub("a", r"\n\t\\", "a")), re.sub("(a)(b)?", r"[\1\2]", "a"), re.sub("(a)", r"\g<0>\g<1>1", "a"), re.sub("a", "\\\\1", "a"), re.sub("(a)", r"\g<1>0", "a"), repr(re.sub("a", r"\101", "a")))

# === sub_function
import re
print(re.sub(r"\d+", lambda m: str(int(m.group()) * 2), "a1 b22"), re.sub("(?P<x>.)", lambda m: m["x"].upper(), "ab"), re.sub(".", lambda m: f"{m.start()}", "abc"))
try:
    re.sub("a", lambda m: 5, "a")
except TypeError as e:
    print(e)

# === sub_template_errors
import re
for t in (r"\2", r"\g<x>", r"\g<", r"\q", r"\g<1", r"\g<>", r"\g<-1>"):
    try:
        print(re.sub("(a)", t, "a"))
    except (re.error, IndexError) as e:
        print(isinstance(e, re.error), e)

# === split
import re
print(re.split(",", "a,b,,c"), re.split("(,)", "a,b"), re.split(r"\s*", "a b"), re.split("x", "abc"), re.split(",", "a,b,c", maxsplit=1), re.split("(a)|b", "xaybz"), re.split("", "ab"), re.split("(?=b)", "abab"), re.split(r"[;,]\s*", "a; b,c"))

# === findall_shapes
import re
print(re.findall("a", "aa"), re.findall("(a)b", "abab"), re.findall("(a)(b)", "abab"), re.findall("(a)?b", "abb"), re.findall("", "ab"), re.findall("((a)b)", "ab"), re.findall("x", "abc"), re.findall("a|", "ba"))

# === finditer
import re
for m in re.finditer(r"(?P<k>\w)=(?P<v>\d)", "a=1 b=2"):
    print(m.span(), m.groupdict(), m.pos, m.endpos, m.string[m.start():m.end()])
it = re.finditer("a", "aa")
print(next(it).start(), next(it).start(), next(it, None))

# === compiled_methods_pos
import re
p = re.compile("a")
print(p.match("ba"), p.match("ba", 1).span(), p.search("aba", 1).span(), p.search("aba", 1, 2), p.fullmatch("ba", 1).span(), p.findall("aaa", 1), p.search("a", 5), re.compile("^a").search("ba", 1), re.compile("a$").search("ab", 0, 1).span(), re.compile(r"\ba").search("ba", 1))

# === pattern_attributes
import re
p = re.compile("(a)(?P<n>b)", re.M)
print(p.pattern, p.groups, dict(p.groupindex), p.flags, p == re.compile("(a)(?P<n>b)", re.M), hash(p) == hash(re.compile("(a)(?P<n>b)", re.M)), p.scanner("ab").match().span(), re.compile(p) is p)
try:
    re.compile(p, re.I)
except ValueError as e:
    print(e)

# === match_object_misc
import re
m = re.search("(b)(x)?", "abc")
print(m, bool(m), m.string, m.re.pattern, m.regs, m.start(), m.span(2), m.expand("<\\1>"), m.pos, m.lastindex, m.group(0), repr(m))
import copy
print(copy.copy(m) is m)

# === bytes_patterns
import re
print(re.findall(rb"\w+", b"ab cd"), re.sub(b"a", b"x", b"banana"), re.match(b"\xff", b"\xff\xfe").group(), re.findall(rb"\w", b"a\xe9"), re.split(b",", b"a,b"), re.search(b"(?P<n>a)", b"ba").groupdict())
for f in (lambda: re.match("a", b"a"), lambda: re.match(b"a", "a"), lambda: re.sub(b"a", "x", b"a"), lambda: re.match("a", 5), lambda: re.compile(5)):
    try:
        f()
    except TypeError as e:
        print(e)

# === escape_function
import re
print(re.escape("a.b*c"), re.escape("a b-c_d"), re.escape(b"x+y"), re.escape("é€\n"), re.fullmatch(re.escape("1+1=2?[x]"), "1+1=2?[x]") is not None)

# === compile_errors_brackets
import re
for p in ("[", "[a", "(", ")", "(?P<n>a", "[]", "a)", "(?:", "[^", "(()"):
    try:
        re.compile(p)
    except re.error as e:
        print(repr(p), e, e.pos)

# === compile_errors_repeat
import re
for p in ("*", "+a", "a**", "?", "a{2}{3}", "a{3,2}", "(*a)", "|*", "a*?+", "a+*", "^*", "a{99999999999}"):
    try:
        re.compile(p)
        print(repr(p), "ok")
    except (re.error, OverflowError) as e:
        print(repr(p), e)

# === compile_errors_groups
import re
for p in ("(?P<1>a)", "(?P<a>x)(?P<a>y)", "(?P=z)", "(?Px)", "(?P<a", "(?(1)a)", "(?(x)a|b|c)", "(a)(?(1)a|b|c)", "(?<a)", "(?", "(?P<a-b>c)", "\\1", "(a\\1)", "(?P>x)", "(?'a')"):
    try:
        re.compile(p)
        print(repr(p), "ok")
    except re.error as e:
        print(repr(p), e)

# === compile_errors_escapes
import re
for p in ("\\", "\\q", "\\x1", "\\u12", "[\\q]", "[z-a]", "[\\w-a]", "\\8", "[a-\\d]", "\\N{zzz}", "\\400", "[\\b]"):
    try:
        re.compile(p)
        print(repr(p), "ok")
    except re.error as e:
        print(repr(p), e)

# === error_attributes
import re
try:
    re.compile("ab\n(c")
except re.error as e:
    print(e.msg, e.pattern, e.pos, e.lineno, e.colno, str(e))

# === catastrophic_small
import re
print(re.match("(a+)+$", "a" * 12 + "b"), re.match("(a|aa)+$", "a" * 15) is not None, re.match("(?:a?){10}a{10}", "a" * 10).span())

# === tokenizer
import re
spec = [("NUM", r"\d+(\.\d*)?"), ("ID", r"[A-Za-z_]\w*"), ("OP", r"[-+*/()=]"), ("WS", r"\s+"), ("BAD", r".")]
rx = re.compile("|".join(f"(?P<{n}>{p})" for n, p in spec))
print([(m.lastgroup, m.group()) for m in rx.finditer("x = 3.14*(y1 - 2)$") if m.lastgroup != "WS"])

# === email_and_dates
import re
p = re.compile(r"(?P<y>\d{4})-(?P<m>0[1-9]|1[0-2])-(?P<d>\d\d)")
print([m.groupdict() for m in p.finditer("on 2024-03-05, not 2024-13-05, but 1999-12-31")], p.sub(r"\g<d>.\g<m>.\g<y>", "2024-03-05"))
print(re.findall(r"[\w.]+@[\w.]+\.\w+", "a.b@c.org, x@y, q@z.co.uk"))

# === csv_like_split
import re
print([a or b for a, b in re.findall(r'"([^"]*)"|([^,]+)', 'x,"a,b",z')], re.split(r",(?=(?:[^\"]*\"[^\"]*\")*[^\"]*$)", 'x,"a,b",z'))

# === unicode_properties
import re
print(re.findall(r"\w+", "naïve café Ünï"), re.findall(r"[à-ü]", "aéz"), re.findall("𝄞+", "a𝄞𝄞"), re.search(".", "𝄞").span(), re.findall(r"\s", "a\u2003b\x1c"), re.findall(r"\b\w+\b", "日本 語"), re.sub("é", "e", "éé"))

# === multiline_config
import re
text = "a = 1\n# c\nb=two\n\n  key = x y \n"
print(re.findall(r"^\s*(\w+)\s*=\s*(.*?)\s*$", text, re.M))

# === nested_quantifier_groups
import re
print(re.match(r"((\d+),?)+", "1,22,333").groups(), re.match(r"(?:(\w)(\d))+", "a1b2").groups(), re.findall(r"(?:(a)|b)+", "abab ba"))

# === greedy_backtracking
import re
print(re.match("(.*)(\\d+)", "abc123").groups(), re.match("(.*?)(\\d+)", "abc123").groups(), re.match("(a+)(a*)(a?)", "aaa").groups(), re.match("(.+)-(.+)", "a-b-c").groups(), re.match("(x*)(x?)y", "xxy").groups())

# === empty_matches_adjacent
import re
print(re.sub("a*", "-", "baac"), re.findall("a*?", "ba"), [m.span() for m in re.finditer("a*", "aab")], re.split("a*", "baac"), re.sub("(?=a)|b", "_", "ab"))

# === purge_cache_template
import re
re.purge()
print(re.compile("abc") is re.compile("abc"), re.error is not None, issubclass(re.error, Exception))

# === scanner_class
import re
s = re.Scanner([(r"\d+", lambda sc, t: int(t)), (r"[a-z]+", lambda sc, t: t.upper()), (r"\s+", None)])
print(s.scan("12 ab 3 ?"))

# === lone_surrogate_and_null
import re
print(re.search("\ud800", "a\ud800").span(), re.findall("\0", "a\0b"), re.sub("\x00", "0", "\x00"), ascii(re.findall("[\ud800-\udfff]", "a\udc00b")))

# === count_keyword_flags
import re
print(re.sub("A", "x", "aAa", flags=re.I), re.sub("a", "x", "aaa", 0), re.sub("a", "x", "aaa", count=-1) , re.split("a", "xaxax", maxsplit=0), re.subn("(?i)A", "", "aAb", 1))

# === string_methods_vs_re
import re
s = "The Quick brown fox"
print(re.sub(r"[aeiou]", "", s), re.findall(r"\b[A-Z]\w*", s), re.sub(r"(\w)(\w*)", lambda m: m[1].upper() + m[2].lower(), s), re.sub(r"\s+", " ", "a  b \n c"), " ".join(re.findall(r"\S+", s)[::-1]))

# === roman_validate
import re
p = re.compile(r"^M{0,3}(CM|CD|D?C{0,3})(XC|XL|L?X{0,3})(IX|IV|V?I{0,3})$")
print([bool(p.match(r)) for r in ("MCMXCIV", "IIII", "XLII", "VX", "", "MMMM")], p.match("MCMXCIV").groups())
