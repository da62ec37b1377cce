# The format mini-language, f-strings, and % formatting.

# === fstring_simple
x, y = 3, "a"
print(f"{x} {y} {x + 1} {y * 2} {x!r} {y!r} {'lit'} {{}} {{{x}}}")

# === fstring_debug
x = 3
name = "é"
print(f"{x=} {x = } {x=!r} {name=} {name=!s} {name=!a} {x=:05d} {x + 1=} {x  =}")

# === fstring_nested_spec
w, p, v = 10, 3, 3.14159
print(f"{v:{w}.{p}f}|{v:<{w}}|{'a':{'*'}^{w}}|{v:{'.' + str(p)}}")

# === fstring_nested_quotes
d = {"a": 1}
print(f"{d["a"]} {f"{f"{1 + 1}"}"} {"x" + "y"}")

# === fstring_multiline_expression
x = 2
print(f"{
    x
    + 1  # a comment
}", f'''{
x}''')

# === fstring_lambda_ternary
x = 5
print(f"{(lambda v: v * 2)(x)} {'big' if x > 3 else 'small'} {[i for i in range(3)]} { {1: 2}[1] } {x if x else 0:>4}")

# === fstring_walrus
print(f"{(n := 7)} {n} {n:=5}")

# === fstring_raw
x = 1
print(rf"\n{x}\t", fr"{x}\{x}", Rf"\d{{2}}")

# === fstring_concat
x = 1
print("a" f"{x}" "b" f'{x:02}' r"\n")

# === fstring_escape_in_expression
items = ["a", "b"]
print(f"{'\n'.join(items)} {'\x41'} {'\N{BULLET}'}")

# === fstring_format_protocol
class A:
    def __format__(self, spec):
        return f"<{spec}>"
    def __repr__(self):
        return "A()"
    def __str__(self):
        return "str A"
a = A()
print(f"{a} {a:x y} {a!r} {a!s:>8} {a!r:^7}", format(a), format(a, "zz"), "{:q}".format(a), str(a))

# === format_default_object
class A:
    def __str__(self):
        return "text"
print(f"{A()} {A():}")
try:
    f"{A():>5}"
except TypeError as e:
    print(e)

# === format_must_return_str
class A:
    def __format__(self, spec):
        return 5
try:
    f"{A()}"
except TypeError as e:
    print(e)

# === format_none_list
print(f"{None} {[1, 'a']} {(1,)} { {'a': 1} } {True} {...}")
for v in (None, [], (), {}, set()):
    try:
        f"{v:>5}"
    except TypeError as e:
        print(e)

# === fstring_evaluation_order
def f(x):
    print("eval", x)
    return x
print(f"{f(1)} {f(2):{f(3)}} {f(4)}")

# === fstring_exception
try:
    f"{1/0}"
except ZeroDivisionError as e:
    print(e)
try:
    f"{undefined_name}"
except NameError as e:
    print(e)

# === fstring_date
import datetime
d = datetime.datetime(2024, 3, 5, 14, 7, 9)
print(f"{d:%Y-%m-%d} {d:%H:%M:%S} {d} {d!r} {d:%j %A}")

# === fstring_colon_in_parts
x = 5
print(f"{x:>{len('a:b')}} {(lambda: 3)()} {'a:b'!r} {x!r:>3}")

# === fstring_scope_closure
def outer():
    y = 10
    return lambda x: f"{x}-{y}"
print(outer()(5))
class C:
    z = 3
    s = f"{z + 1}"
print(C.s)

# === str_align_fill
for spec in ("", "10", "<10", ">10", "^10", "*^10", "é>10", "-<3", "0>5", "=<6", "s", "10s", "{<6"):
    print(f"[{format('abc', spec)}]", end=" ")
print()

# === str_precision
print(f"{'abcdef':.3} {'abcdef':10.3}| {'abcdef':>10.3}| {'abc':.0}| {'é𝄞x':.2}")

# === str_format_errors
for spec in ("d", "+", " ", "=5", ",", "#", "_", ".", "z"):
    try:
        print(repr(format("abc", spec)))
    except ValueError as e:
        print(e)

# === bool_format
print(f"{True} {True:d} {True:5} {False:b} {True:>6} {True:f} {True!s:>6}")

# === width_huge
try:
    format(1, "9" * 30)
except ValueError as e:
    print(e)
try:
    format("a", ".99999999999999999999")
except ValueError as e:
    print(e)

# === spec_parts_order
for spec in ("<+#010,.2f", "010", "<010", "+,", "x<8,d", " .3e", "_d"):
    print(f"[{format(1234, spec)}]", end="")
print()

# === spec_invalid
for v, spec in ((1, "5d5"), (1, "<<<"), (1.5, ",_"), (1, "_,"), (1, "#c"), (1.0, "_n"), (1, "c5"), (-1, "c"), (0x110000, "c")):
    try:
        print(format(v, spec))
    except (ValueError, OverflowError) as e:
        print(type(e).__name__, e)

# === repr_style_center
for i in (1, 22, 333):
    print(f"|{i:^5}|{i:<5}|{i:>5}|{-i:=5}|")

# === thousands_zero_pad
for w in range(5, 14):
    print(f"{1234:0{w},}", end=" ")
print()

# === percent_basic
print("%s %d %f" % ("a", 5, 1.5), "%r %a" % ("é", "é"), "%s" % 5, "%5s|%-5s|%05d" % ("a", "b", 42), "%%" % (), "%c%c" % (65, "B"))

# === percent_int_types
print("%d %i %u" % (5, -5, 5), "%x %X %#x %o %#o" % (255, 255, 255, 8, 8), "%+d % d %+d" % (5, 5, -5), "%5d|%-5d|%05d|%+05d" % (42, 42, 42, 42), "%.3d" % 5, "%8.3d|" % 5, "%d" % 3.99)

# === percent_float_types
print("%f %e %g" % (1.5, 1.5, 1.5), "%.2f %.0f %10.3f| %-10.3f|" % (3.14159, 2.5, 3.14159, 3.14159), "%E %G %F" % (1e10, 1e-10, 1.0), "%+.1f % .1f %05.1f" % (1.0, 1.0, 1.0), "%g %g %g" % (1e5, 1e6, 1e-5), "%#g" % 1.0)

# === percent_special_float
inf, nan = float("inf"), float("nan")
print("%f %d" % (inf, 1), "%5.1f|%-6f|%06f" % (nan, inf, -inf), "%F %G" % (inf, nan))

# === percent_mapping
print("%(a)s %(b)05d %(a)r" % {"a": "x", "b": 7}, "%(x y)s" % {"x y": 1}, "%(a)s" % {"a": (1, 2)})
try:
    "%(z)s" % {"a": 1}
except KeyError as e:
    print(repr(e))

# === percent_star
print("%*d|%-*d|%.*f|%*.*f" % (5, 42, 5, 42, 2, 3.14159, 8, 3, 2.71828), "%*d|" % (-6, 42))

# === percent_errors
for t, a in (("%d", "a"), ("%s %s", 1), ("%s", (1, 2)), ("%z", 1), ("%", ()), ("%(a)s", 1), ("%c", "ab"), ("%c", 0x110000), ("%x", 1.5), ("%*d", ("a", 1)), ("%(a", {}), ("abc", 1), ("%d", None), ("%f", "x"), ("%c", 1.5)):
    try:
        print(t % a)
    except Exception as e:
        print(type(e).__name__, e)

# === percent_unused_mapping
print("abc" % {"a": 1}, "abc" % [], "%s" % [1, 2], "%s" % {"a": 1}, "%s" % (None,), "%s" % ((1, 2),))

# === percent_str_precision
print("%.2s|%5.1s|%-5.3s|" % ("abcdef", "xyz", "hello"), "%.3r" % "abcdef", "%.0s|" % "abc")

# === percent_big
print("%d" % 10**30, "%x" % 2**100, "%20d|" % 10**15, "%.40d" % 12345, "%f" % 1e25)

# === percent_repr_objects
class A:
    def __repr__(self):
        return "R"
    def __str__(self):
        return "S"
print("%s %r %a" % (A(), A(), A()), "%s" % [A()], "%5s|%-4r|" % (A(), A()))

# === percent_int_protocol
class I:
    def __index__(self):
        return 7
class N:
    def __int__(self):
        return 8
print("%d" % N(), "%x" % I(), "%d" % I(), "%c" % I() == "\x07", "%d" % True)

# === string_template
from string import Template
t = Template("$name has ${n} $$ left")
print(t.substitute(name="Ann", n=3), t.safe_substitute(name="Bo"))
try:
    t.substitute(name="x")
except KeyError as e:
    print(repr(e))
try:
    Template("$").substitute()
except ValueError as e:
    print(e)

# === string_formatter
import string
class F(string.Formatter):
    def get_value(self, key, args, kwargs):
        return kwargs.get(key, f"?{key}") if isinstance(key, str) else args[key]
print(F().format("{0} {a} {b:>4}", 1, a=2), list(string.Formatter().parse("x{a!r:>5}y{{")))

# === format_builtin
print(format(5), format(5, ""), format("a", ">3"), format(1.5, ".2f"), format(None), format(True, "d"))
try:
    format(5, 5)
except TypeError as e:
    print(e)

# === ascii_builtin
print(ascii("é\n"), ascii([1, "€"]), ascii({"ñ": "𝄞"}), ascii(b"\xff"))

# === table
rows = [("apple", 1.5, 10), ("fig", 0.25, 200), ("watermelon", 12.0, 3)]
for name, price, n in rows:
    print(f"{name:<12}|{price:>8.2f}|{n:^6}|{price * n:>10,.2f}")

# === format_nested_replacement
print("{:{fill}{align}{width}}".format("x", fill="*", align="^", width=9), "{0:{1}}".format(5, "03d"))
try:
    "{:{:{}}}".format(1, 2, 3)
except ValueError as e:
    print(e)

# === format_attribute_index_chain
class P:
    x = [10, {"k": "v"}]
print("{0.x[1][k]} {p.x[0]:>4}".format(P, p=P))

# === fstring_yield_in_generator
def g():
    x = f"{(yield 1)}-{(yield 2)}"
    yield x
it = g()
print(next(it), it.send("a"), it.send("b"))

# === fstring_equals_comparison
x = 1
print(f"{x == 1} {x != 2} {x <= 1} {x >= 3} {x!=1}")

# === fstring_unicode_align
print(f"{'日本':>6}|{'日本':*^7}|{'é':-<4}|")

# === fstring_deep_nesting
print(f"{f'{f'{f'{42:>5}'}':<8}'}|", f"{f"{f"{f"{f"{1 + 1}"}"}"}"}")
