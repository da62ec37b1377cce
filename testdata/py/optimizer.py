# What a compiler that guesses gets wrong: types that change in a hot loop, arithmetic that leaves the
# machine word, names and classes replaced while they are in use.

# === int_loop_overflow_to_big
n = 1
for i in range(200):
    n = n * 3 + 1
    if i in (38, 39, 40, 41, 62, 199):
        print(i, n)

# === int_sum_crosses_63_bits
total = 0
step = 2**57
for i in range(100):
    total += step
print(total, total == 100 * 2**57)

# === int_sub_crosses_negative
n = 0
for _ in range(100):
    n -= 2**57
print(n)

# === int_shift_loop
n = 1
out = []
for i in range(70):
    n <<= 1
    if 60 < i < 66:
        out.append(n)
print(out, n >> 69)

# === int_negate_minimum
n = -2**62
print(-n, -n - 1, n - 1, abs(n), n * -1, -(n * 2), n // -1, (n * 2) // -1)

# === int_big_returns_to_small
n = 2**100
while n > 10:
    n //= 7
print(n, n + 1, type(n).__name__)
m = 2**70
m -= 2**70 - 5
print(m, m is not None, [10, 20, 30, 40, 50, 60][m])

# === int_range_counter_types
def f(n):
    s = 0
    for i in range(n):
        s += i
    return s
print(f(10), f(1000), f(True), f(0), f(-5))
try:
    f(2.0)
except TypeError as e:
    print(e)

# === int_then_float
def f(a, b):
    return a * b + a
print([f(i, 2) for i in range(50)][-1], f(2.5, 2), f(2, 0.5), f(True, True), f(10**20, 10**20))

# === add_many_types
def add(a, b):
    return a + b
for _ in range(100):
    add(1, 2)
print(add(1, 2), add(1.5, 2), add("a", "b"), add([1], [2]), add((1,), (2,)), add(b"x", b"y"), add(True, 1), add(1j, 1))
try:
    add(1, "a")
except TypeError as e:
    print(e)

# === loop_variable_type_flips
out = []
x = 0
for i in range(20):
    if i % 5 == 4:
        x = float(x)
    elif i % 5 == 2:
        x = int(x)
    x = x + 1
    out.append(x)
print(out)

# === accumulator_int_to_float_midway
total = 0
for i in range(100):
    total += i if i < 50 else i / 2
print(total)

# === accumulator_becomes_string
x = 0
try:
    for i in range(100):
        x = x + (1 if i < 90 else "a")
except TypeError as e:
    print(x, e)

# === float_loop_to_inf_and_nan
x = 1.0
n = 0
while x != float("inf"):
    x *= 10.0
    n += 1
print(n, x, x - x)

# === float_int_compare_loop
i, n = 0.0, 0
while i < 10:
    i += 0.1
    n += 1
print(n, i)

# === bool_arithmetic_in_loop
xs = [3, 8, 1, 9, 4]
print(sum(x > 3 for x in xs), (xs[0] > 2) + (xs[1] > 2), [True, False][xs[0] > 5], (5 > 3) * 10)

# === global_changed_in_loop
k = 1
def f():
    return k
out = []
for i in range(30):
    if i == 20:
        k = "changed"
    out.append(f())
print(out[0], out[19], out[20], out[29])

# === builtin_shadowed_in_loop
out = []
for i in range(10):
    if i == 5:
        len = lambda x: -1
    out.append(len("abc"))
print(out)
del len
print(len("abc"))

# === builtin_replaced_in_module
import builtins
def f():
    return abs(-3)
print([f() for _ in range(20)][0])
old = builtins.abs
builtins.abs = lambda x: "patched"
print(f())
builtins.abs = old
print(f())

# === function_redefined_in_loop
def g(x):
    return x + 1
out = []
for i in range(10):
    out.append(g(i))
    if i == 4:
        def g(x):
            return x * 100
print(out)

# === function_code_replaced
def f():
    return 1
def g():
    return 2
print([f() for _ in range(20)][-1])
f.__code__ = g.__code__
print(f())

# === function_defaults_replaced
def f(x, y=1):
    return x + y
print([f(i) for i in range(20)][-1])
f.__defaults__ = (100,)
print(f(1))

# === method_replaced_on_class
class C:
    def m(self):
        return "old"
c = C()
out = []
for i in range(20):
    if i == 10:
        C.m = lambda self: "new"
    if i == 15:
        c.m = lambda: "instance"
    out.append(c.m())
print(out[9], out[10], out[15])

# === method_added_to_subclass_later
class A:
    def f(self): return "A"
class B(A): pass
b = B()
print([b.f() for _ in range(20)][-1])
B.f = lambda self: "B"
print(b.f())
del B.f
print(b.f())

# === base_method_replaced
class A:
    def f(self): return 1
class B(A):
    def g(self): return self.f()
b = B()
print(sum(b.g() for _ in range(50)))
A.f = lambda self: 10
print(sum(b.g() for _ in range(50)))

# === getattr_added_later
class A: pass
a = A()
def get():
    try:
        return a.x
    except AttributeError:
        return "missing"
print([get() for _ in range(10)][-1])
A.__getattr__ = lambda self, n: f"dynamic {n}"
print(get())
a.x = 5
print(get())

# === instance_attribute_shadows_class
class A:
    x = "class"
a = A()
out = []
for i in range(12):
    if i == 4:
        a.x = "instance"
    if i == 8:
        del a.x
    out.append(a.x[0])
print("".join(out))

# === attribute_types_change
class P: pass
ps = []
for i in range(10):
    p = P()
    if i % 2:
        p.a = i
        p.b = i * 2
    else:
        p.b = str(i)
        p.a = float(i)
    ps.append(p)
print([p.a for p in ps], [p.b for p in ps], list(ps[0].__dict__), list(ps[1].__dict__))

# === attribute_many_shapes
class S: pass
objs = []
for i in range(40):
    o = S()
    for j in range(i % 5):
        setattr(o, f"f{j}", j)
    o.v = i
    objs.append(o)
print(sum(o.v for o in objs), sorted({len(o.__dict__) for o in objs}))

# === property_replaces_attribute
class A:
    def __init__(self): self.x = 1
a = A()
def f():
    return a.x
print([f() for _ in range(10)][-1])
A.x = property(lambda self: "property wins")
print(f())
del A.x
print(f())

# === descriptor_added_midway
class D:
    def __get__(self, o, t): return "data"
    def __set__(self, o, v): pass
class A: pass
a = A()
a.y = 1
out = []
for i in range(6):
    if i == 3:
        A.y = D()
    out.append(a.y)
print(out)

# === class_changed_midway
class A:
    def f(self): return "A"
class B:
    def f(self): return "B"
o = A()
out = []
for i in range(6):
    if i == 3:
        o.__class__ = B
    out.append(o.f())
print(out)

# === polymorphic_calls
class A:
    def f(self): return 1
class B:
    def f(self): return 2
class C(A):
    def f(self): return super().f() + 10
class D:
    def __init__(self): self.f = lambda: 4
class E:
    @staticmethod
    def f(): return 5
class F:
    @classmethod
    def f(cls): return 6
print([o.f() for _ in range(3) for o in (A(), B(), C(), D(), E(), F())])

# === add_dunder_installed_later
class V:
    def __init__(self, v): self.v = v
a, b = V(1), V(2)
def f():
    try:
        return a + b
    except TypeError:
        return "no"
print([f() for _ in range(10)][-1])
V.__add__ = lambda s, o: s.v + o.v
print(f())
V.__add__ = lambda s, o: NotImplemented
print(f())

# === eq_dunder_changes_list_search
class V:
    def __init__(self, v): self.v = v
xs = [V(1), V(2)]
print(V(2) in xs)
V.__eq__ = lambda s, o: s.v == o.v
print(V(2) in xs, xs.index(V(2)))

# === len_dunder_truthiness_changes
class C: pass
c = C()
print(bool(c))
C.__len__ = lambda self: 0
print(bool(c))
C.__bool__ = lambda self: True
print(bool(c))

# === list_index_becomes_negative_or_out
a = list(range(10))
out = []
for i in range(-12, 12, 3):
    try:
        out.append(a[i])
    except IndexError:
        out.append("x")
print(out)

# === list_shrinks_under_loop
a = list(range(20))
out = []
for x in a:
    out.append(x)
    if x % 3 == 0 and len(a) > 5:
        a.pop()
print(out, len(a))

# === list_of_ints_gets_string
a = [0] * 50
for i in range(50):
    a[i] = i * i
a[25] = "odd one"
out = []
for x in a[22:28]:
    out.append(x + x)
print(out)

# === list_of_floats_gets_int_none
a = [float(i) for i in range(10)]
a[3] = 3
a[7] = None
s = 0.0
try:
    for x in a:
        s += x
except TypeError as e:
    print(s, e)

# === dict_keys_mixed_in_loop
d = {}
for i in range(20):
    d[i if i % 3 else str(i)] = i
    d[float(i)] = i * 10
print(d[1], d["3"], d[3.0], d[3], len(d))

# === dict_subclass_overrides_getitem
class D(dict):
    def __getitem__(self, k): return "override"
def get(d, k): return d[k]
p, q = {"a": 1}, D(a=1)
print([get(p, "a") for _ in range(10)][-1], get(q, "a"), q.get("a"), get(p, "a"))

# === list_subclass_overrides
class L(list):
    def __getitem__(self, i): return super().__getitem__(i) * 10
    def __len__(self): return 99
    def __iter__(self): return iter(["custom"])
def f(a): return a[0], len(a), [x for x in a]
print(f([1, 2]), f(L([1, 2])), f([3]))

# === str_subclass_add
class S(str):
    def __add__(self, o): return "S:" + str(self) + o
def f(a, b): return a + b
print([f("a", "b") for _ in range(5)][-1], f(S("a"), "b"), f("a", S("b")))

# === int_subclass_arith
class I(int):
    def __add__(self, o): return I(int(self) + int(o) + 1000)
    def __lt__(self, o): return "lt"
def f(a, b): return a + b, a < b
print(f(1, 2), f(I(1), 2), f(1, I(2)), f(3, 4))

# === float_subclass_and_bool_lanes
class F(float):
    def __mul__(self, o): return "F mul"
def f(a): return a * 2
print([f(x) for x in (1.5, True, F(1.5), 3, "s", [1])])

# === exception_in_hot_loop
def f(x):
    try:
        return 10 // x
    except ZeroDivisionError:
        return -1
print([f(i % 4) for i in range(12)])

# === exception_restores_locals
def f():
    a = b = 0
    try:
        for i in range(10):
            a += 1
            if i == 7:
                raise KeyError(i)
            b += a
    except KeyError as e:
        return a, b, i, e.args
print(f())

# === exception_after_many_iterations
def g(i):
    if i == 999:
        raise ValueError(f"at {i}")
    return i
s = 0
try:
    for i in range(2000):
        s += g(i)
except ValueError as e:
    print(s, e)

# === overflow_inside_try
def f():
    n = 2**62 - 1
    try:
        n = n + 1
        n = n * n
    except OverflowError:
        return "wrong"
    return n
print(f())

# === side_effect_before_failing_op
log = []
def a():
    log.append("a")
    return 1
def b():
    log.append("b")
    return "x"
try:
    a() + b()
except TypeError:
    print(log)
x = [1]
try:
    x[0], x[5] = 10, 20
except IndexError:
    print(x)

# === dead_code_keeps_errors
def f(x):
    x + 1
    x.real
    return "done"
print(f(1))
try:
    f("a")
except TypeError as e:
    print(e)

# === unused_result_side_effects
class C:
    def __add__(self, o):
        print("add called")
    def __getattr__(self, n):
        print("getattr", n)
    def __eq__(self, o):
        print("eq called")
c = C()
c + 1
c.anything
c == 1
[c == 2]
None if c == 3 else None

# === common_subexpression_not_shared
n = 0
class C:
    @property
    def x(self):
        global n
        n += 1
        return n
c = C()
print(c.x + c.x, c.x, [c.x for _ in range(3)])

# === loop_invariant_not_invariant
class Limit:
    def __init__(self): self.n = 3
    def __len__(self):
        self.n += 1
        return self.n
l = Limit()
i = 0
while i < len(l) and i < 5:
    i += 1
print(i, l.n)
a = [1]
i = 0
while i < len(a):
    if len(a) < 6:
        a.append(i)
    i += 1
print(a)

# === range_object_rebound
r = range(3)
out = []
for i in r:
    r = range(100)
    i = i * 10
    out.append(i)
print(out, r)

# === loop_variable_assigned_inside
out = []
for i in range(5):
    out.append(i)
    i = 100
print(out, i)

# === while_true_break_value
def f(xs):
    it = iter(xs)
    while True:
        try:
            x = next(it)
        except StopIteration:
            break
        if x < 0:
            continue
        if x == 99:
            return "found"
    return x
print(f([1, -1, 5]), f([99, 1]), f([-3]))

# === nested_loops_break_continue
out = []
for i in range(5):
    for j in range(5):
        if j == i:
            break
        if (i + j) % 2:
            continue
        out.append((i, j))
    else:
        out.append("else")
print(out)

# === inlined_function_with_closure
def make(k):
    def f(x):
        return x * k
    return f
fs = [make(k) for k in range(4)]
print([f(10) for f in fs], sum(f(i) for i, f in enumerate(fs)))

# === inlined_recursion_mutual
def a(n): return 0 if n == 0 else b(n - 1) + 1
def b(n): return 0 if n == 0 else a(n - 1) + 2
print(a(30), b(31))

# === tail_position_varied_return_types
def f(n):
    if n == 0: return None
    if n == 1: return 1
    if n == 2: return 2.5
    if n == 3: return "three"
    if n == 4: return [4]
    return n * 1.0
print([f(i) for i in range(6)] * 2)

# === arguments_varied_arity
def f(a, b=10, *c, d=5, **e):
    return a + b + sum(c) + d + sum(e.values())
print(f(1), f(1, 2), f(1, 2, 3), f(1, d=0), f(1, x=100), f(*range(5), **{"d": 1, "z": 2}))

# === default_argument_mutated_by_calls
def f(x, seen={}):
    seen[x] = seen.get(x, 0) + 1
    return seen[x]
print([f(i % 3) for i in range(9)], f.__defaults__)

# === chained_compare_mixed_types
def between(a, x, b): return a <= x < b
print(between(0, 5, 10), between(0, 5.5, 10), between("a", "b", "c"), between(0, 10**30, 10**31), between(0, float("nan"), 1))

# === division_kinds_speculated
def f(a, b): return a / b, a // b, a % b
print([f(7, 2) for _ in range(5)][-1], f(7.0, 2), f(-7, 2), f(10**30, 7), f(2**63, -1), f(True, 2))

# === minimum_int_division
m = -2**63
print(m // -1, m % -1, divmod(m, -1), -m, abs(m), m * -1, m // 1, (m - 1) // 2)

# === bit_twiddling_hash
h = 0xcbf29ce484222325
for c in b"hello world":
    h = ((h ^ c) * 0x100000001b3) & 0xFFFFFFFFFFFFFFFF
print(hex(h))
x = 88172645463325252
for _ in range(20):
    x ^= (x << 13) & (2**64 - 1)
    x ^= x >> 7
    x ^= (x << 17) & (2**64 - 1)
print(x)

# === lcg_sequence
x = 12345
out = []
for i in range(1000):
    x = (x * 1103515245 + 12345) % 2**31
    if i % 200 == 0:
        out.append(x)
print(out)

# === nested_tuple_swaps
a, b, c = 1, 2, 3
for i in range(100):
    a, b, c = b, c, a + i
    (a, b), c = (b, a), c - 1
print(a, b, c)

# === integer_identity_in_lists
a = [10**9] * 3
b = [x for x in a]
print(a[0] is b[0], a == b, a[0] is a[1])

# === nan_in_min_max_sort_speculation
xs = [3.0, float("nan"), 1.0, 2.0]
m = xs[0]
for x in xs:
    if x < m:
        m = x
print(m, [x == x for x in xs])

# === negative_zero_kept
def f(x): return -x, x * -1, 0 - x, x + 0, x * 0
print(f(0), f(0.0), f(-0.0), f(False))
s = -0.0
for _ in range(3):
    s += -0.0
print(s)

# === int_to_float_precision_loss
a = 2**53
b = a + 1
print(a == b, float(a) == float(b), a == float(b), b == float(b), b > float(b), sum([0.0, b]) == b)

# === modulo_power_of_two_negative
print([(i % 8, i // 8, i & 7, i >> 3) for i in (-9, -8, -1, 0, 1, 7, 8, 9)])

# === globals_dict_write_visible
x = 1
def f(): return x
print(f())
globals()["x"] = "via dict"
print(f())
exec("x = 'via exec'")
print(f())
del x
try:
    f()
except NameError as e:
    print(e)

# === generator_hot_then_thrown
def g():
    i = 0
    while True:
        try:
            yield i
            i += 1
        except ValueError:
            i = 1000
it = g()
s = sum(next(it) for _ in range(100))
print(s, it.throw(ValueError), next(it), next(it))

# === closure_cell_type_changes
def f():
    n = 0
    def inc(by):
        nonlocal n
        n = n + by
        return n
    return inc
inc = f()
print([inc(1) for _ in range(3)], inc(0.5), inc(10**20), inc(1))

# === sort_with_type_mix_after_many
xs = [5, 3, 9, 1]
for _ in range(10):
    xs.sort()
xs.append(2.5)
xs.append(True)
xs.sort()
print(xs)
xs.append("s")
try:
    xs.sort()
except TypeError as e:
    print(e)

# === string_index_ascii_then_wide
def f(s):
    out = 0
    for i in range(len(s)):
        out = out * 31 + ord(s[i])
    return out % 10**9
print(f("hello"), f("héllo"), f("h𝄞llo"), f("hello"))

# === unpack_speculated_pair
def f(p):
    a, b = p
    return a, b
print([f((i, i)) for i in range(3)][-1], f([1, 2]), f("xy"), f({1: 0, 2: 0}), f(x for x in (8, 9)))
try:
    f((1, 2, 3))
except ValueError as e:
    print(e)

# === call_through_variable_kinds
class C:
    def __call__(self, x): return ("obj", x)
    def m(self, x): return ("method", x)
fs = [abs, lambda x: -x, C(), C().m, str, int, [].append, C.m.__get__(C())]
print([f(5) for f in fs])

# === del_and_rebind_in_loop
for i in range(3):
    x = i
    del x
    try:
        x
    except NameError:
        x = "rebound"
    print(x)

# === conditional_definition
for flag in (True, False):
    if flag:
        def f(): return "yes"
    else:
        def f(): return "no"
    print(f())
def g(flag):
    if flag:
        y = 1
    try:
        return y
    except UnboundLocalError:
        return "unbound"
print(g(True), g(False))

# === gc_during_hot_loop
import gc
class N:
    def __init__(self): self.me = self
n = 0
for i in range(300):
    N()
    n += i
gc.collect()
print(n)

# === calls_itself_in_many_ways
def walk(n, *, skip=1):
    if n <= 0:
        return
    yield n
    yield from walk(n - skip)
    for x in walk(n - 2, skip=skip):
        yield x
class Counting:
    def __init__(self, n=2):
        self.n = n
    @property
    def evens(self):
        for i in range(self.n):
            yield 2 * i
    def __iter__(self):
        for i in range(self.n):
            yield i
class More(Counting):
    def __init__(self, n, more=1):
        super().__init__(n + more)
    def __iter__(self):
        for i in range(2):
            for x in super().__iter__():
                yield x + i
for i in range(3):
    print(list(walk(5)), list(walk(skip=2, n=6)))
    print(list(More(1)), list(More(n=1, more=2)), list(More(2).evens))

# === pairs_of_a_range_beyond_machine_words
def pairs(start):
    s = 0
    for a, b in range(start, start + 5):
        s += a
    return s
def plain(start):
    s = 0
    for i in range(start, start + 5):
        s += i
    return s
for start in (1, 2**61 - 2, 2**62 - 2, 2**63 - 3):
    try:
        pairs(start)
    except TypeError as error:
        print(error)
    print(plain(start))
