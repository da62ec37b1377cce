# Operators, comparison, truthiness, dunder protocols, range, slice, unpacking.

# === bool_values
print(True + True, True * 5, -True, True / 2, True == 1, False < True, True & False, True | False, True ^ True, not 0, bool("a"), bool([]))

# === bool_types
print(type(True & True).__name__, type(True & 1).__name__, type(True + 0).__name__, isinstance(True, int), issubclass(bool, int), bool.__mro__)

# === bool_repr_str
print(True, repr(False), str(True), int(True), float(False), [True, False], "%d" % True, f"{True!r:>6}", hash(True), "x" * True)

# === bool_not_subclassable
try:
    class B(bool):
        pass
except TypeError as e:
    print(e)

# === truthiness_table
for x in (0, 1, -1, 0.0, 0.1, 0j, "", "0", b"", [], [0], (), (0,), {}, {0: 0}, set(), None, ..., range(0), range(1), float("nan"), object):
    print(bool(x), end=" ")
print()

# === truthiness_protocol
class B:
    def __bool__(self):
        print("bool")
        return False
class L:
    def __len__(self):
        print("len")
        return 3
class N:
    pass
print(bool(B()), bool(L()), bool(N()), not B(), 1 if L() else 2)

# === bool_returns_wrong
class B:
    def __bool__(self):
        return 1
class L:
    def __len__(self):
        return -1
class M:
    def __len__(self):
        return "a"
for c in (B, L, M):
    try:
        bool(c())
    except (TypeError, ValueError) as e:
        print(type(e).__name__, e)

# === and_or_values
print(0 or "a", 1 and "b", "" and 1, None or 0 or [], 1 and 2 and 3, 0 and 1 or 2, not 1 or 5, (1 or 2) and 3)

# === short_circuit
def t(x):
    print("t", x)
    return True
def f(x):
    print("f", x)
    return False
print(f(1) and t(2), t(3) or f(4), f(5) or t(6) and f(7))

# === ternary_order
def g(n, v):
    print(n, end=" ")
    return v
print(g("a", 1) if g("cond", True) else g("b", 2))
print(1 if 0 else 2 if 0 else 3)

# === comparison_chain_once
def g(v):
    print("g", v)
    return v
print(g(1) < g(2) < g(3))
print(g(3) < g(2) < g(1))

# === is_none
x = None
print(x is None, x is not None, None == 0, None == None, [] is [], not x)

# === in_chain
print(1 in [1] == True, (1 in [1]) == True, 1 < 2 in [2], "a" in "abc" in ["abc"])

# === precedence
print(2 + 3 * 4, -2 ** 2, 2 ** -1, 2 ** 3 ** 2, not 1 == 2, 1 | 2 & 3 ^ 4, 1 << 2 + 1, 7 // 2 * 2, -7 // 2, ~1 + 1, 5 - 3 - 1, 100 / 10 / 2)

# === reflected_add
class A:
    def __radd__(self, o):
        return ("radd", o)
    def __add__(self, o):
        return ("add", o)
print(1 + A(), A() + 1, "x" + A(), [1] + A(), sum([A()]))

# === reflected_subclass_first
class A:
    def __add__(self, o):
        return "A.add"
    def __radd__(self, o):
        return "A.radd"
class B(A):
    def __radd__(self, o):
        return "B.radd"
class C(A):
    pass
print(A() + B(), A() + C(), B() + A(), A() + A())

# === not_implemented_fallback
class A:
    def __add__(self, o):
        print("A.add")
        return NotImplemented
class B:
    def __radd__(self, o):
        print("B.radd")
        return "done"
print(A() + B())
try:
    A() + 1
except TypeError as e:
    print(e)

# === all_binary_dunders
class X:
    def __getattribute__(self, n):
        return object.__getattribute__(self, n)
for n in "add sub mul truediv floordiv mod pow lshift rshift and or xor matmul divmod".split():
    setattr(X, f"__{n}__", lambda self, o, n=n: n)
    setattr(X, f"__r{n}__", lambda self, o, n=n: "r" + n)
x = X()
print(x + 1, x - 1, x * 1, x / 1, x // 1, x % 1, x ** 1, x << 1, x >> 1, x & 1, x | 1, x ^ 1, x @ 1, divmod(x, 1))
print(1 + x, 1 - x, 1 * x, 1 / x, 1 // x, 1 % x, 1 ** x, 1 << x, 1 >> x, 1 & x, 1 | x, 1 ^ x, 1 @ x, divmod(1, x))

# === in_place_dunders
class X:
    def __init__(self):
        self.log = []
for n in "add sub mul truediv floordiv mod pow lshift rshift and or xor matmul".split():
    def f(self, o, n=n):
        self.log.append(n)
        return self
    setattr(X, f"__i{n}__", f)
x = y = X()
x += 1; x -= 1; x *= 1; x /= 1; x //= 1; x %= 1; x **= 1; x <<= 1; x >>= 1; x &= 1; x |= 1; x ^= 1; x @= 1
print(x.log, x is y)

# === in_place_fallback
class X:
    def __init__(self, v):
        self.v = v
    def __add__(self, o):
        return X(self.v + o)
    def __iadd__(self, o):
        return NotImplemented
x = y = X(1)
x += 5
print(x.v, y.v, x is y)

# === in_place_errors
x = 1
for src in ("x += 'a'", "x @= 1", "x -= []", "x **= 'a'", "x >>= 1.0", "x |= None"):
    try:
        exec(src)
    except TypeError as e:
        print(e)

# === unary_dunders
class X:
    def __neg__(self): return "neg"
    def __pos__(self): return "pos"
    def __invert__(self): return "invert"
    def __abs__(self): return "abs"
    def __round__(self, n=None): return ("round", n)
x = X()
print(-x, +x, ~x, abs(x), round(x), round(x, 2), not x)

# === unary_errors
for f in (lambda: -[], lambda: +"a", lambda: ~{}, lambda: abs("a"), lambda: -None, lambda: round([])):
    try:
        f()
    except TypeError as e:
        print(e)

# === rich_compare_dunders
class X:
    def __lt__(self, o): return "lt"
    def __le__(self, o): return "le"
    def __gt__(self, o): return "gt"
    def __ge__(self, o): return "ge"
    def __eq__(self, o): return "eq"
    def __ne__(self, o): return "ne"
x = X()
print(x < 1, x <= 1, x > 1, x >= 1, x == 1, x != 1, 1 < x, 1 <= x, 1 > x, 1 >= x, 1 == x, 1 != x)

# === compare_reflected
class A:
    def __lt__(self, o):
        print("A.lt")
        return NotImplemented
class B:
    def __gt__(self, o):
        print("B.gt")
        return True
print(A() < B())
try:
    A() < A()
except TypeError as e:
    print(e)

# === ne_from_eq
class A:
    def __eq__(self, o):
        return True
a = A()
print(a == 1, a != 1, a == None, 1 == a, 1 != a)
try:
    hash(a)
except TypeError as e:
    print(e)

# === eq_default_identity
class A:
    pass
a, b = A(), A()
print(a == a, a == b, a != b, a != a, hash(a) == hash(a), a in [b], a in [a])

# === eq_not_implemented_both
class A:
    def __eq__(self, o):
        print("eq", type(o).__name__)
        return NotImplemented
class B(A):
    pass
print(A() == A(), A() == B(), A() == 5, A() != A())

# === matmul
class M:
    def __init__(self, r): self.r = r
    def __matmul__(self, o):
        return M([[sum(a * b for a, b in zip(row, col)) for col in zip(*o.r)] for row in self.r])
print((M([[1, 2], [3, 4]]) @ M([[5, 6], [7, 8]])).r)
try:
    [1] @ [2]
except TypeError as e:
    print(e)

# === getitem_protocol
class G:
    def __getitem__(self, k):
        return k
    def __setitem__(self, k, v):
        print("set", k, v)
    def __delitem__(self, k):
        print("del", k)
g = G()
print(g[1], g["a"], g[1:2], g[1, 2], g[::3], g[...], g[1:2, 3], g[()], g[*[1, 2]], g[:, None])
g[1] = 2
g[1:2] = 3
del g[5], g[6:7]
g[0] += 1

# === getitem_iteration
class G:
    def __getitem__(self, i):
        if i >= 3:
            raise IndexError
        return i * 10
print(list(G()), 20 in G(), 25 in G(), max(G()), [*G()], dict(enumerate(G())))
try:
    reversed(G())
except TypeError as e:
    print(e)

# === reversed_protocol
class R:
    def __len__(self): return 3
    def __getitem__(self, i): return i * 10
class S:
    def __reversed__(self): return iter("custom")
print(list(reversed(R())), list(reversed(S())))

# === contains_protocol
class C:
    def __contains__(self, x):
        return x
class D:
    def __iter__(self):
        print("iter")
        return iter([1, 2])
print(5 in C(), 0 in C(), [] not in C(), 2 in D(), 3 in D())
class E:
    __contains__ = None
try:
    1 in E()
except TypeError as e:
    print(e)

# === not_subscriptable
class A:
    pass
f = lambda: 0
for src in ("A()[0]", "A()[0] = 1", "del A()[0]", "n = None; n[0]", "n = 5; n[0]", "len[0]", "A[0]", "f[1]"):
    try:
        exec(src)
    except TypeError as e:
        print(e)

# === not_callable_iterable
class A:
    pass
for f in (lambda: A()(), lambda x=5: x(), lambda: iter(A()), lambda: [*5], lambda: list(None), lambda: len(A()), lambda: 1 in 5, lambda: next([])):
    try:
        f()
    except TypeError as e:
        print(e)

# === call_protocol
class C:
    def __call__(self, *a, **k):
        return a, k
c = C()
print(c(), c(1, x=2), callable(c), callable(C), callable(5), c.__call__(3), list(map(c, [1])))
c.__call__ = lambda: "instance"
print(c())

# === dunder_on_instance_ignored
class A:
    pass
a = A()
a.__len__ = lambda: 5
a.__add__ = lambda o: 6
try:
    len(a)
except TypeError as e:
    print(e)
try:
    a + 1
except TypeError as e:
    print(e)

# === dunder_set_to_none
class A:
    def __radd__(self, o): return "radd"
    __iter__ = None
    __hash__ = None
class B:
    __add__ = None
try:
    B() + A()
except TypeError as e:
    print(e)
for f in (iter, hash):
    try:
        f(A())
    except TypeError as e:
        print(e)

# === length_hint
import operator
class H:
    def __iter__(self): return iter([1, 2])
    def __length_hint__(self):
        print("hint")
        return 10
print(list(H()), operator.length_hint(H()), operator.length_hint(5, 3))

# === hash_protocol
class H:
    def __hash__(self): return 2**70
class S:
    def __hash__(self): return "a"
class T:
    def __hash__(self): return -1
print(hash(H()) == hash(2**70), hash(T()))
try:
    hash(S())
except TypeError as e:
    print(e)

# === repr_protocol
class R:
    def __repr__(self): return 5
class S:
    def __str__(self): return None
for f in (lambda: repr(R()), lambda: str(S()), lambda: str(R()), lambda: f"{S()}"):
    try:
        f()
    except TypeError as e:
        print(e)

# === index_protocol_wrong
class I:
    def __index__(self): return "a"
for f in (lambda: [1][I()], lambda: range(I()), lambda: hex(I())):
    try:
        f()
    except TypeError as e:
        print(e)

# === missing_dunder_pow_mod
class P:
    def __pow__(self, e, m=None):
        return ("pow", e, m)
    def __rpow__(self, b, m=None):
        return ("rpow", b)
print(P() ** 2, pow(P(), 2), pow(P(), 2, 5), 2 ** P(), pow(2, P()))
try:
    pow(2, 3, P())
except TypeError as e:
    print(e)

# === divmod_protocol
class D:
    def __divmod__(self, o): return "dm"
    def __rdivmod__(self, o): return "rdm"
print(divmod(D(), 1), divmod(1, D()))
try:
    divmod("a", 1)
except TypeError as e:
    print(e)

# === range_basic
print(range(5), range(1, 5), range(1, 10, 3), list(range(5, 0, -2)), range(0), list(range(3, 1)), len(range(0, 10, 3)), range(10)[3], range(10)[-1], range(10)[2:8:2], range(10)[::-1])

# === range_contains_index
r = range(0, 20, 3)
print(9 in r, 10 in r, 9.0 in r, "a" in r, r.index(9), r.count(9), r.count(1), -1 in r, True in range(2))
for f in (lambda: r.index(10), lambda: r[7], lambda: r["a"], lambda: r.index("x")):
    try:
        f()
    except (ValueError, IndexError, TypeError) as e:
        print(type(e).__name__, e)

# === range_equality_hash
print(range(0, 3, 2) == range(0, 4, 2), range(0) == range(5, 2), range(3) == [0, 1, 2], hash(range(0, 3, 2)) == hash(range(0, 4, 2)), range(1) != range(2))

# === range_big
r = range(10**20, 10**20 + 10, 3)
print(list(r), r[1], 10**20 + 3 in r, len(r), r[-1], range(0, 10**30)[10**25], bool(range(10**40)))
try:
    len(range(10**20))
except OverflowError as e:
    print(e)

# === range_errors
for a in ((1.5,), ("a",), (1, 2, 0), (), (1, 2, 3, 4), (None,)):
    try:
        print(range(*a))
    except (TypeError, ValueError) as e:
        print(type(e).__name__, e)
r = range(3)
try:
    r[0] = 1
except TypeError as e:
    print(e)
try:
    r.start = 1
except AttributeError as e:
    print(e)

# === range_attributes_iter
r = range(2, 11, 4)
print(r.start, r.stop, r.step, list(reversed(r)), sum(r), max(r), sorted(r, reverse=True), [*r], tuple(r), iter(r).__length_hint__())
it = iter(r)
next(it)
print(list(it), list(it))

# === slice_object
s = slice(1, 10, 2)
print(s, s.start, s.stop, s.step, slice(5), slice(None), s == slice(1, 10, 2), s.indices(5), slice(None, None, -1).indices(4), slice(-3, None).indices(10))
print([0, 1, 2, 3][slice(1, 3)], "hello"[slice(None, None, -1)], slice(1, 2) < slice(1, 3))

# === slice_errors
for f in (lambda: slice(), lambda: slice(1, 2, 0).indices(5), lambda: slice(1).indices(-1), lambda: [1]["a":], lambda: [1][1.0:2]):
    try:
        f()
    except (TypeError, ValueError) as e:
        print(type(e).__name__, e)

# === slice_index_protocol
class I:
    def __init__(self, v): self.v = v
    def __index__(self): return self.v
print([0, 1, 2, 3, 4][I(1):I(4):I(2)], "abc"[I(-2):], list(range(10)[I(7):]))

# === unpack_basic
a, b = 1, 2
a, b = b, a
(c, d), e = [3, 4], 5
[f, g] = "xy"
print(a, b, c, d, e, f, g)
x = y = z = []
print(x is y is z)

# === unpack_star
a, *b = [1, 2, 3]
*c, d = "abc"
e, *f, g = range(2)
h, (i, *j), *k = 1, (2, 3, 4), 5, 6
print(a, b, c, d, e, f, g, h, i, j, k)
*l, = "xy"
print(l)

# === unpack_errors
for src in ("a, b = 1, 2, 3", "a, b, c = 1, 2", "a, b = 5", "a, *b, c = [1]", "a, b = {}", "a, b = None", "(a, b), c = 1, 2", "a, b = 'abc'", "[] = [1]", "a, *b = ()"):
    try:
        exec(src)
    except (ValueError, TypeError) as e:
        print(type(e).__name__, e)

# === unpack_generator_partial
def g():
    for i in range(5):
        print("yield", i)
        yield i
try:
    a, b = g()
except ValueError as e:
    print(e)

# === unpack_targets
class O:
    pass
o, l, d = O(), [0, 0], {}
o.x, l[1], d["k"], *l[0:1] = 1, 2, 3, 4, 5
print(o.x, l, d)
i = 0
i, l[i] = 2, "two"
print(i, l)

# === unpack_in_for
for i, (a, *b) in enumerate([(1, 2, 3), (4,)]):
    print(i, a, b)
for x, in [(1,), (2,)]:
    print(x)
d = {}
for d["k"] in range(3):
    pass
print(d)

# === unpack_call_display
def f(*a, **k):
    return a, k
l, d = [1, 2], {"x": 3}
print(f(*l, *"ab", **d, y=4), [*l, *l], (*l, 0), {*l, 5}, {**d, "z": 1}, [*[], *()])

# === assignment_order
def k(n):
    print("k", n)
    return n
d = {}
d[k(1)] = d[k(2)] = k(3)
print(d)
a, d[k(4)] = k(5), k(6)

# === augmented_evaluates_once
class L(list):
    def __getitem__(self, i):
        print("get", i)
        return super().__getitem__(i)
    def __setitem__(self, i, v):
        print("set", i, v)
        super().__setitem__(i, v)
def idx():
    print("idx")
    return 1
a = L([1, 2])
a[idx()] += 5
print(list(a))

# === augmented_attribute
class A:
    n = 10
a = A()
a.n += 1
print(a.n, A.n, a.__dict__)

# === walrus
if (n := len("abc")) > 2:
    print(n)
print([y := 5, y ** 2], (z := 1, 2), z, [last := i for i in range(3)], last)
while (line := next(iter([]), None)) is not None:
    pass
print(line)

# === walrus_comprehension_condition
print([(x, y) for x in range(5) if (y := x * x) > 4], y)
total = 0
print([total := total + v for v in [1, 2, 3]], total)

# === walrus_in_function_scope
def f():
    any((hit := x) > 2 for x in [1, 3, 5])
    return hit
print(f())

# === del_names
x = 1
del x
try:
    x
except NameError as e:
    print(e)
a, b, c = 1, 2, [3, 4]
del a, (b, c[0])
print(c)

# === ellipsis_notimplemented
print(..., Ellipsis, type(...).__name__, NotImplemented, type(NotImplemented).__name__, ... is Ellipsis, bool(...), None, type(None).__name__)

# === order_of_evaluation
def e(n):
    print(n, end=" ")
    return n
e(1) + e(2) * e(3) - e(4)
[e(5), e(6)][e(0)]
(lambda *a, **k: 0)(e(7), *[e(8)], x=e(9))
print()
