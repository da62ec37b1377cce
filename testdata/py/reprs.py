# repr and str of everything, hashing and equality across types, common message texts.

# === repr_containers_nested
print([(1, [2, {3: {4}}]), {"k": (5,)}, frozenset({6}), {(): []}, [None, ..., NotImplemented]])

# === repr_strings_in_containers
print(["a'b", 'a"b', "é", "\n", "\\", b"x'", "\x00", "a'\"b"], {"k'": "v\""})

# === repr_float_in_containers
print([1.0, -0.0, 1e16, 1e-5, float("nan"), float("inf")], (1 + 2j, -1j), {0.1: 1})

# === repr_functions
import re
def f(): pass
class C:
    def m(self): pass
    @classmethod
    def c(cls): pass
    @property
    def p(self): pass
    @staticmethod
    def s(): pass
for o in (f, C.m, C().m, C.c, C.__dict__["p"], C.__dict__["c"], C.__dict__["s"], lambda: 0, len, [].append, str.upper, "a".upper, int.__add__, (5).__add__, dict.fromkeys, object.__init__, C.s):
    print(re.sub("0x[0-9a-f]+", "ADDR", repr(o)))

# === repr_iterators
import re
for o in (iter([]), iter(()), iter(""), iter({}), iter(set()), iter(range(3)), iter(b""), zip(), map(len, []), filter(None, []), enumerate([]), reversed([]), (x for x in ()), iter(int, 0), reversed(""), iter({}.values()), iter("é")):
    print(re.sub("0x[0-9a-f]+", "ADDR", repr(o)))

# === repr_types
import types, collections, functools, itertools, re as _re, datetime, decimal, enum, array
for t in (int, type(None), types.FunctionType, types.ModuleType, collections.deque, collections.OrderedDict, collections.Counter, functools.partial, itertools.chain, _re.Pattern, datetime.datetime, decimal.Decimal, enum.Enum, array.array, BaseException, KeyError, types.CodeType, types.SimpleNamespace, type(Ellipsis), type(NotImplemented), type({}.keys()), type(lambda: (yield)), types.GenericAlias, types.UnionType):
    print(t)

# === repr_modules
import sys, math, types, re
print(re.sub(" from .*>", " ...>", repr(sys)), re.sub(" from .*>", " ...>", repr(math))[:15], types.ModuleType("m"))

# === repr_exceptions
for e in (ValueError(), ValueError("a"), ValueError("a", 1), KeyError("k"), KeyError((1, 2)), OSError(2, "x"), StopIteration(3), ExceptionGroup("g", [ValueError(1)]), UnicodeEncodeError("a", "b", 0, 1, "r"), ValueError("it's"), ValueError("a\nb"), AttributeError("x", name="n", obj=1), ImportError("m", name="n", path="p"), SyntaxError("s")):
    print(repr(e), "|", str(e))

# === repr_slices_ranges
print(slice(None), slice(1), slice(1, 2, 3), slice("a", [], None), range(5), range(1, 5), range(1, 5, 2), range(0, 5, 1), range(5, 0, -1), [range(2)])

# === repr_bytes_like
print(b"", bytearray(b"a"), [b"\xff", bytearray(b"'")], memoryview(b"a").tobytes(), bytes([0, 9, 10, 13, 31, 32, 126, 127, 128]))

# === repr_sets_views
d = {1: "a"}
print(set(), {1}, frozenset(), frozenset({1}), d.keys(), d.values(), d.items(), [d.keys()], {frozenset({2})}, d.keys() | {2})

# === repr_generic_aliases
import collections.abc
print(list[int], dict[str, list[int]], tuple[()], tuple[int, ...], type[int], int | None, list[int] | str, collections.abc.Callable[[int], str], collections.abc.Callable[..., int], list["fwd"], list[...], collections.deque[int], set[int | str])

# === repr_user_classes
class A:
    def __repr__(self): return "<A>"
class B(A): pass
class C(A):
    def __str__(self): return "str C"
print(A(), [A()], B(), (B(),), C(), [C()], str(C()), f"{C()}", f"{C()!r}", {C(): A()})

# === repr_returns_subclass
class S(str): pass
class A:
    def __repr__(self): return S("sub")
    def __str__(self): return S("strsub")
print(repr(A()), type(repr(A())).__name__, type(str(A())).__name__, A())

# === repr_recursive_mixed
l = []
d = {"l": l}
t = (d, l)
l.append(t)
print(l, d, t)
from collections import deque, OrderedDict
q = deque()
q.append(q)
o = OrderedDict()
o["me"] = o
print(q, o)

# === repr_error_propagates
class A:
    def __repr__(self): raise ValueError("no repr")
for f in (lambda: repr(A()), lambda: print([A()]), lambda: str(A()), lambda: "%r" % A(), lambda: f"{A()!r}"):
    try:
        f()
    except ValueError as e:
        print(e)

# === str_vs_repr_subclass_builtin
class I(int):
    def __repr__(self): return "IR"
class J(int):
    def __str__(self): return "JS"
class L(list):
    def __str__(self): return "LS"
print(I(5), str(I(5)), f"{I(5)}", f"{I(5):d}", "%d %s" % (I(5), I(5)), J(5), repr(J(5)), [J(5)], f"{J(5)}", f"{J(5):3}", L([1]), repr(L([1])))

# === hash_numeric_equal_across_types
from fractions import Fraction
from decimal import Decimal
print(len({1, 1.0, True, 1 + 0j, Fraction(1), Decimal(1)}), hash(0.5) == hash(Fraction(1, 2)) == hash(Decimal("0.5")), hash(2**61) == hash(1), hash(-2) == hash(-1), hash(float("inf")), hash(10**100) == hash(Decimal(10**100)))

# === hash_tuple_order
print(hash((1, 2)) != hash((2, 1)), hash(()) == hash(()), hash((1,)) != hash(1), hash(("a",)) == hash(("a",)))

# === hash_unhashable_messages
import array
for o in ([], {}, set(), bytearray(), [[]], {"a": 1}, (1, [])):
    try:
        hash(o)
    except TypeError as e:
        print(e)

# === hash_functions_types
def f(): pass
print(hash(f) == hash(f), hash(int) == hash(int), hash(None) == hash(None), hash(...) == hash(...), hash(range(3)) == hash(range(3)), hash(b"a") == hash(b"a"), hash(frozenset([1])) == hash(frozenset([1])))

# === equality_across_types
vals = [1, 1.0, True, "1", b"1", [1], (1,), {1}, frozenset({1}), None, 1j * -1j]
print([[i for i, b in enumerate(vals) if a == b] for a in vals])

# === ordering_unsupported_messages
pairs = [(1, "a"), ([], ()), (None, None), ({}, {}), (1j, 2j), (len, len), (object, object), ({1}, [1]), (b"a", "a"), (slice(1), 1), (range(1), range(2)), (..., 1)]
for a, b in pairs:
    try:
        print(a < b)
    except TypeError as e:
        print(e)

# === binary_op_messages
import operator as o
for f, a, b in ((o.add, 1, None), (o.sub, "a", 1), (o.mul, [], []), (o.truediv, "a", 2), (o.floordiv, [], 1), (o.mod, None, 2), (o.pow, "a", 2), (o.matmul, 1, 2), (o.lshift, 1.0, 1), (o.and_, "a", 1), (o.or_, {}, 1), (o.xor, set(), 1), (o.add, {}, {}), (o.add, (1,), [1]), (o.add, b"a", "a"), (o.add, "a", b"a"), (o.add, [1], "a"), (o.mul, "a", 1.5)):
    try:
        print(f(a, b))
    except TypeError as e:
        print(e)

# === getitem_messages
for a, k in (([1], "a"), ((1,), 1.5), ("abc", None), (b"a", "x"), ({}, []), (5, 0), (None, 0), (1.5, 0), (len, 0), ({1}, 0), (range(3), "a"), (object(), 1)):
    try:
        a[k]
    except (TypeError, KeyError) as e:
        print(type(e).__name__, e)

# === setitem_messages
for a, k, v in (((1,), 0, 1), ("a", 0, "b"), (b"a", 0, 1), (5, 0, 1), (None, 0, 1), ([1], "a", 1), ({1}, 0, 1), (range(3), 0, 1), (bytearray(b"a"), 0, "x")):
    try:
        a[k] = v
    except TypeError as e:
        print(e)
for a in ((1,), "a", 5, {1}, None):
    try:
        del a[0]
    except TypeError as e:
        print(e)

# === attribute_messages
class A: pass
for o, n in ((1, "x"), ("a", "y"), (None, "z"), (A(), "q"), (A, "q"), ([], "foo"), (len, "bar"), (lambda: 0, "baz"), (type, "zz"), (1.5, "aa"), ({}, "b"), (object(), "c"), (super(A, A()), "d")):
    try:
        getattr(o, n)
    except AttributeError as e:
        print(e)

# === call_messages
for o in (None, 5, "a", [], {}, (1,), 1.5, object(), ..., b"x", {1}):
    try:
        o()
    except TypeError as e:
        print(e)

# === iteration_messages
class A: pass
for o in (None, 5, 1.5, len, A(), A, ..., True):
    try:
        for _ in o:
            pass
    except TypeError as e:
        print(e)
    try:
        a, b = o
    except TypeError as e:
        print(e)

# === suggestion_names
import traceback
class C:
    def __init__(self): self.background = 1
    def method_one(self): pass
def show(f):
    try:
        f()
    except Exception as e:
        print(traceback.format_exception_only(e)[-1], end="")
greeting = 5
show(lambda: greetin)
show(lambda: C().backgruond)
show(lambda: C().method_on())
show(lambda: prnt)
show(lambda: [].apppend)
show(lambda: xyzzy_unknown)
show(lambda: "".splt)
show(lambda: {}.itms)
show(lambda: C().zzz)

# === suggestion_stdlib_import
import traceback
def show(f):
    try:
        f()
    except Exception as e:
        print(traceback.format_exception_only(e)[-1], end="")
show(lambda: collections.deque)
show(lambda: datetime.date)
show(lambda: numpy.array)

# === suggestion_import_from
import traceback
for src in ("from collections import dequeu", "from os.path import joinn", "from json import dumsp"):
    try:
        exec(src)
    except ImportError as e:
        print(traceback.format_exception_only(e)[-1].split(" (")[0].strip(), "Did you mean" in traceback.format_exception_only(e)[-1])

# === conversion_messages
for f in (lambda: int("x"), lambda: int([]), lambda: float("x"), lambda: float([]), lambda: complex("x"), lambda: complex([]), lambda: chr(-1), lambda: chr("a"), lambda: ord("ab"), lambda: ord(1), lambda: bytes("a"), lambda: bytes(-1), lambda: list(1), lambda: tuple(1), lambda: dict(1), lambda: set(1), lambda: str(b"a", "nope"), lambda: bool(1, 2), lambda: round("a"), lambda: sum(["a"]), lambda: sorted([1, "a"]), lambda: max([1, "a"]), lambda: "".join([1]), lambda: abs(None)):
    try:
        print(f())
    except Exception as e:
        print(type(e).__name__, e)

# === lookup_messages
for f in (lambda: [][0], lambda: ()[0], lambda: ""[0], lambda: b""[0], lambda: {}["k"], lambda: [].pop(), lambda: {}.pop("k"), lambda: set().pop(), lambda: set().remove(1), lambda: {}.popitem(), lambda: [].remove(1), lambda: [].index(1), lambda: ().index(1), lambda: "".index("a"), lambda: range(0)[0], lambda: bytearray()[0], lambda: next(iter([])), lambda: [1].pop(3), lambda: bytearray().pop()):
    try:
        f()
    except Exception as e:
        print(type(e).__name__, e)

# === str_of_types_and_none
print(str(None), str(int), str(...), str(type), "%s" % None, f"{int}", f"{None!r:>6}", str(NotImplemented), str(b"x"), str(object)[:8])

# === print_nested_quotes_unicode
print({"é": "ñ", "\u200b": "𝄞"}, ["\ud800"], "\t|", ascii("\u200b"), repr("\u00ad"), repr("\ufeff"), repr("\U000e0001"))

# === long_containers
l = list(range(60))
print(l, tuple(l[:3]) * 3, {i: i for i in range(12)})

# === dunder_format_of_builtins
for o in (1, 1.5, "a", None, True, [1], (1,), {1: 2}, b"x", 1j, len, int):
    print(format(o) == str(o), end=" ")
print()

# === bool_int_str_conversions_table
for v in ("0", "1", "True", " 7 ", "0x1", "1e3", "inf", ""):
    row = []
    for t in (bool, int, float):
        try:
            row.append(t(v))
        except ValueError:
            row.append("!")
    print(repr(v), row)

# === sizes_and_limits
import sys
print(sys.maxsize, sys.maxunicode, sys.hash_info.modulus, sys.hash_info.inf, sys.int_info.default_max_str_digits, sys.float_info.max, sys.float_repr_style, sys.hash_info.width)

# === code_object_repr_free_parts
c = compile("def f(a, b=1):\n    x = a\n    return x", "mod.py", "exec")
f = [k for k in c.co_consts if hasattr(k, "co_name")][0]
print(f.co_name, f.co_varnames, f.co_argcount, f.co_filename, f.co_firstlineno, c.co_name, f.co_qualname, f.co_freevars, f.co_cellvars)

# === frame_introspection
import sys
def f():
    fr = sys._getframe()
    return fr.f_code.co_name, fr.f_back.f_code.co_name, fr.f_lineno, sorted(fr.f_locals), fr.f_globals is globals()
def g():
    return f()
print(g())
