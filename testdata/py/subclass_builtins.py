# Subclasses of builtin types, conversions between types, copying, sorting.

# === list_subclass_init_and_methods
class L(list):
    def __init__(self, *a): super().__init__(a)
    def double(self): return L(*(x * 2 for x in self))
l = L(1, 2)
print(l, l.double(), type(l.double()).__name__, type(l + l).__name__, type(l * 2).__name__, type(l.copy()).__name__, l == [1, 2], len(l))

# === list_subclass_overridden_append_not_used_by_extend
class L(list):
    def append(self, x):
        print("append", x)
        super().append(x)
l = L([1])
l.append(2)
l.extend([3])
l += [4]
l.insert(0, 0)
print(l)

# === list_subclass_iter_override_used_by_list
class L(list):
    def __iter__(self): return iter([9, 9])
l = L([1, 2])
print(list(l), [*l], tuple(l), sorted(l), sum(l), l, l == [1, 2], 9 in l)

# === dict_subclass_overrides_ignored_by_builtins
class D(dict):
    def __getitem__(self, k): return "got"
    def keys(self): return ["fake"]
    def __contains__(self, k): return True
d = D(a=1)
print(d["zzz"], d.get("zzz"), "q" in d, dict(d), {**d}, list(d), d)

# === dict_subclass_iter_override
class D(dict):
    def __iter__(self): return iter(["x", "y"])
    def items(self): return [("i", 1)]
d = D(a=1)
print(list(d), dict(d), d.items(), len(d), sorted(d))

# === dict_subclass_init_kwargs
class Config(dict):
    __getattr__ = dict.__getitem__
    __setattr__ = dict.__setitem__
c = Config(a=1)
c.b = 2
print(c, c.a, c["b"])
try:
    c.zz
except KeyError as e:
    print(repr(e))

# === dict_subclass_missing_and_in
class Counter(dict):
    def __missing__(self, k): return 0
c = Counter()
for ch in "hello":
    c[ch] += 1
print(c, c["z"], "z" in c, c.get("z"))

# === str_subclass_methods_return_str
class S(str):
    def shout(self): return self.upper() + "!"
s = S("ab")
print(s.shout(), [type(x).__name__ for x in (s + "c", s * 2, s[0], s[:], s.strip(), s.replace("z", ""), s.lower(), s.format(), s % ())], s == "ab", hash(s) == hash("ab"), {s: 1}["ab"])

# === str_subclass_repr_str_format
class S(str):
    def __repr__(self): return "R"
    def __str__(self): return "S"
    def __format__(self, spec): return "F" + spec
s = S("val")
print(s, repr(s), f"{s}", f"{s:>3}", "%s" % s, "%r" % s, "{}".format(s), "{!s}".format(s), str(s), "-".join([s]), s + "")

# === int_subclass_results
class I(int):
    def __add__(self, o): return I(int(self) + o)
    def __str__(self): return f"I{int(self)}"
i = I(5)
print(i + 1, type(i + 1).__name__, type(i - 1).__name__, type(1 + i).__name__, type(-i).__name__, type(abs(i)).__name__, type(i.real).__name__, int(i), [0] * i, range(i), i == 5, f"{i}", "%d" % i, type(+i).__name__)

# === int_subclass_new
class Even(int):
    def __new__(cls, v): return super().__new__(cls, v - v % 2)
print(Even(5), Even(5) + Even(3), type(Even(7)).__name__, isinstance(Even(2), int), Even(8))

# === int_subclass_index_bool_hash
class I(int):
    def __index__(self): return 1
    def __bool__(self): return False
    def __hash__(self): return 99
    def __eq__(self, o): return False
i = I(0)
print([10, 20][i], bool(i), hash(i), i == 0, "ab"[i], 0 == i, {0: "z"}.get(i))

# === float_subclass
class F(float):
    def __new__(cls, v, unit):
        o = super().__new__(cls, v)
        o.unit = unit
        return o
    def __repr__(self): return f"{float(self)}{self.unit}"
f = F(2.5, "m")
print(f, f * 2, type(f * 2).__name__, f.unit, [f], f"{f:.1f}", round(f), f == 2.5, max(f, 1.0))

# === tuple_subclass
class T(tuple):
    def __new__(cls, *a): return super().__new__(cls, a)
    def __add__(self, o): return T(*self, *o)
t = T(1, 2)
print(t, t + (3,), type(t + (3,)).__name__, type(t * 2).__name__, t[0], hash(t) == hash((1, 2)), "%d-%d" % t, T() or "empty")
a, b = t
print(a, b, isinstance(t[:1], T))

# === set_subclass_results
class S(set): pass
class F(frozenset): pass
s, f = S([1, 2]), F([1, 2])
print(type(s | {3}).__name__, type(s & {1}).__name__, type(s.union([3])).__name__, type(s.copy()).__name__, type(f | {3}).__name__, s == f, type(f.copy()).__name__, type({1} | s).__name__)
s |= {9}
print(type(s).__name__, sorted(s))

# === bytes_bytearray_subclass
class B(bytes):
    def __str__(self): return "B!"
class A(bytearray): pass
b, a = B(b"ab"), A(b"cd")
print(str(b), repr(b), type(b[:1]).__name__, type(b + b"x").__name__, b == b"ab", a, type(a[:1]).__name__, type(a + b"x").__name__, type(a.copy()).__name__, b.hex(), b[0])

# === complex_object_type_subclass
class C(complex):
    def __abs__(self): return "abs"
c = C(3, 4)
print(abs(c), c + 1, type(c + 1).__name__, c.real, c)
class T(type): pass
X = T("X", (), {})
print(type(X).__name__, X.__name__, isinstance(X, type))

# === range_slice_bool_none_final
for b in ("range", "slice", "bool", "type(None)", "type(...)", "memoryview", "type(lambda: 0)", "type(x for x in ())"):
    try:
        exec(f"class C({b}): pass")
        print(b, "ok")
    except TypeError as e:
        print(e)

# === exception_property_classmethod_subclass
class P(property): pass
class CM(classmethod): pass
class SM(staticmethod): pass
class A:
    @P
    def p(self): return "p"
    @CM
    def c(cls): return cls.__name__
    @SM
    def s(): return "s"
print(A().p, A.c(), A.s(), type(A.__dict__["c"]).__name__)

# === module_subclass
import types
class M(types.ModuleType):
    @property
    def prop(self): return "computed"
    def __getattr__(self, n): return f"missing {n}"
m = M("m")
print(m.prop, m.anything, m.__name__)

# === enumerate_map_zip_subclass
class E(enumerate): pass
class Z(zip):
    def __next__(self): return sum(super().__next__())
class M(map):
    def __next__(self): return super().__next__() + 100
print(list(E("ab")), list(Z([1, 2], [3, 4])), list(M(int, "12")))

# === subclass_with_slots_and_dict
class L(list):
    __slots__ = ()
class M(list):
    __slots__ = ("tag",)
l, m = L([1]), M([2])
m.tag = "t"
try:
    l.x = 1
except AttributeError as e:
    print(type(e).__name__)
print(m.tag, l, m, hasattr(m, "__dict__"))

# === multiple_inheritance_layouts
class A(int):
    def a(self): return "a"
class Mixin:
    def b(self): return "b"
class C(A, Mixin): pass
class D(Mixin, dict): pass
print(C(5).a(), C(5).b(), C(5) + 1, D(x=1), D().b(), D.__mro__[2].__name__)
for src in ("class X(int, str): pass", "class X(list, dict): pass", "class X(dict, set): pass", "class X(int, float): pass"):
    try:
        exec(src)
    except TypeError as e:
        print(e)

# === conversions_to_list
class I:
    def __iter__(self): return iter([1, 2])
class G:
    def __getitem__(self, i):
        if i > 1: raise IndexError
        return i
class L:
    def __len__(self): return 2
    def __getitem__(self, i): return ("a", "b")[i]
print(list("ab"), list({"k": 1}), list(range(2)), list(I()), list(G()), list(L()), list(b"ab"), list({1}), list((x for x in "z")), list(map(str, [1])))

# === conversions_to_dict_set_tuple
print(dict([["a", 1], ("b", 2)]), dict(["ab", "cd"]), dict(zip("xy", [1, 2])), set("aab") == {"a", "b"}, tuple({"k": 1}), tuple(b"a"), frozenset("aa"), dict({1: 2}.items()), tuple(reversed([1, 2])), dict(enumerate("ab")))

# === conversions_bool_str_int_edge
for v in (0.0, -0.0, 0j, "", " ", "0", [], [[]], (), ((),), None, range(0), b"", b"\0", float("nan")):
    print(bool(v), end=" ")
print()
print(int(True), int("  5  "), int(-2.9), int(b"7"), float("1e2"), float(True), str(1.0), str(1e22), complex("1"), bytes(2), bytes("a", "ascii"))

# === conversion_protocol_priority
class A:
    def __int__(self): return 1
    def __index__(self): return 2
    def __trunc__(self): return 3
    def __float__(self): return 4.5
    def __complex__(self): return 5j
    def __bool__(self): return False
    def __str__(self): return "six"
    def __bytes__(self): return b"seven"
    def __len__(self): return 8
a = A()
print(int(a), float(a), complex(a), bool(a), str(a), bytes(a), len(a), [0] * a, hex(a), range(a), "abc"[a], round(4.5))

# === conversion_fallbacks
class I:
    def __index__(self): return 7
class T:
    def __trunc__(self): return 7
print(int(I()), float(I()), complex(I()), bytes(I()), bin(I()))
import warnings
warnings.simplefilter("ignore")
print(int(T()))
try:
    float(T())
except TypeError as e:
    print(e)

# === conversion_bad_returns
import warnings
warnings.simplefilter("ignore")
class A:
    def __int__(self): return 1.5
    def __float__(self): return "x"
    def __bool__(self): return 2
    def __len__(self): return 1.5
    def __index__(self): return None
    def __hash__(self): return "h"
    def __bytes__(self): return "s"
    def __str__(self): return b"b"
    def __repr__(self): return None
    def __format__(self, s): return 1
    def __complex__(self): return 1
    def __iter__(self): return 5
    def __contains__(self, x): return "truthy"
a = A()
for f in (int, float, bool, len, hex, hash, bytes, str, repr, format, complex, iter):
    try:
        print(f.__name__, f(a))
    except TypeError as e:
        print(f.__name__, e)
print(1 in a)

# === bool_returned_by_int_subclass_protocols
class B:
    def __int__(self): return True
    def __index__(self): return True
import warnings
with warnings.catch_warnings(record=True) as w:
    warnings.simplefilter("always")
    r = int(B())
print(r, type(r).__name__, len(w))

# === copying_each_type
import copy
for v in ([1, [2]], {"a": [1]}, {1, 2}, (1, [2]), "s", b"b", 5, None, 1.5, range(3), frozenset([1]), bytearray(b"x"), len, int, ..., slice(1)):
    c, d = copy.copy(v), copy.deepcopy(v)
    print(type(v).__name__, c == v, d == v, c is v, d is v)

# === sort_by_multiple_keys
data = [("bob", 30), ("alice", 30), ("carol", 25)]
print(sorted(data, key=lambda t: (-t[1], t[0])), sorted(sorted(data), key=lambda t: t[1]), sorted(data, key=lambda t: t[0][::-1]))

# === sort_strings_and_mixed_numbers
print(sorted(["b", "a", "C", "á", "z", "Z", "10", "9"]), sorted([3, 1.5, True, -2, 2.0, 0]), sorted([(1, "b"), (1, "a"), (0, "z")]), sorted(["aa", "a", "", "ab"]), sorted([[2], [1, 5], [1]]))

# === sort_stability_large
data = [(i * 37 % 10, i) for i in range(50)]
s = sorted(data, key=lambda t: t[0])
print(all(a[1] < b[1] for a, b in zip(s, s[1:]) if a[0] == b[0]), s[:6])
r = sorted(data, key=lambda t: t[0], reverse=True)
print(all(a[1] < b[1] for a, b in zip(r, r[1:]) if a[0] == b[0]), r[:3])

# === sort_patterns
for name, xs in (("ascending", list(range(40))), ("descending", list(range(40, 0, -1))), ("equal", [1] * 40), ("saw", [i % 7 for i in range(40)]), ("organ", list(range(20)) + list(range(20, 0, -1)))):
    n = 0
    class K:
        def __init__(self, v): self.v = v
        def __lt__(self, o):
            global n
            n += 1
            return self.v < o.v
    r = [k.v for k in sorted(map(K, xs))]
    print(name, r == sorted(xs), n < 200, n if name in ("ascending", "descending", "equal") else "")

# === sort_partial_order_sets
xs = [{1}, {1, 2}, {2}, set(), {1, 2, 3}]
print(sorted(xs, key=len), sorted([{3}, {1, 3}, {1}], key=sorted))

# === sort_none_handling
xs = [3, None, 1, None, 2]
print(sorted(xs, key=lambda x: (x is None, x or 0)), sorted(xs, key=lambda x: (x is not None, x or 0)))
try:
    sorted(xs)
except TypeError as e:
    print(e)

# === sort_exception_types
class K:
    def __lt__(self, o): return NotImplemented
class R:
    def __lt__(self, o): raise KeyError("cmp")
for c, e_type in ((K, TypeError), (R, KeyError)):
    try:
        sorted([c(), c()])
    except e_type as e:
        print(type(e).__name__, e)
class W:
    def __lt__(self, o): return []
print(len(sorted([W(), W(), W()])))

# === min_max_stability
xs = [("a", 1), ("b", 2), ("c", 1), ("d", 2)]
print(min(xs, key=lambda t: t[1]), max(xs, key=lambda t: t[1]), min(1, 1.0, True), max(1, 1.0, True), max("abc", key=ord), min([[2], [1, 9], [1]]))

# === reverse_views
l = [1, 2, 3]
r = reversed(l)
l[0] = 100
print(list(r), l[::-1], list(reversed(range(0, 10, 3))), "".join(reversed("abc")), list(reversed({"a": 1, "b": 2})), list(reversed((1, 2))))

# === zip_longest_and_uneven
from itertools import zip_longest
a, b = iter("abc"), iter([1])
print(list(zip(a, b)), list(a), list(zip_longest("ab", [1], fillvalue=0)), list(zip("ab", iter("xyz"))))

# === iterator_protocol_partial_consumption
it = iter(range(10))
a, b = next(it), next(it)
c, *d = it
print(a, b, c, d, list(it))
it = iter("abcdef")
print(list(zip(it, it)), "c" in (it2 := iter("abcde")), list(it2))
