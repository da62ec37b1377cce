# Containers that are changed by the code they call back: __eq__, __hash__, keys, iterators, __del__.

# === list_remove_eq_clears
class E:
    def __eq__(self, o):
        a.clear()
        return False
a = [E(), E(), E()]
try:
    a.remove(5)
except ValueError as e:
    print(e, a)

# === list_index_eq_shrinks
class E:
    def __eq__(self, o):
        del a[1:]
        return False
a = [E(), 1, 2, 3]
try:
    a.index(3)
except ValueError as e:
    print(e, len(a))

# === list_count_eq_grows
class E:
    n = 0
    def __eq__(self, o):
        E.n += 1
        if E.n < 5:
            a.append(E())
        return True
a = [E()]
print(a.count(0), len(a))

# === list_contains_eq_pops
class E:
    def __eq__(self, o):
        if len(a) > 1:
            a.pop()
        return False
a = [E() for _ in range(6)]
print(9 in a, len(a))

# === list_compare_eq_mutates
class E:
    def __eq__(self, o):
        b.clear()
        return True
a, b = [E(), 2, 3], [E(), 2, 3]
print(a == b, b)

# === list_sort_key_clears
a = [3, 1, 2]
def key(x):
    a.clear()
    return x
try:
    a.sort(key=key)
    print("sorted", a)
except ValueError as e:
    print(e, a)

# === list_sort_lt_appends
class L:
    def __init__(self, v): self.v = v
    def __lt__(self, o):
        a.append(0)
        return self.v < o.v
a = [L(3), L(1), L(2)]
try:
    a.sort()
except ValueError as e:
    print(e, [x.v for x in a])

# === list_sort_sees_empty_list
a = [3, 1, 2]
seen = []
a.sort(key=lambda x: seen.append(len(a)) or x)
print(seen, a)

# === list_sort_exception_keeps_elements
class L:
    def __init__(self, v): self.v = v
    def __lt__(self, o):
        if o.v == 5: raise RuntimeError("stop")
        return self.v < o.v
a = [L(v) for v in (3, 5, 1, 4)]
try:
    a.sort()
except RuntimeError as e:
    print(e, sorted(x.v for x in a))

# === list_extend_self
a = [1, 2]
a.extend(a)
print(a)
a += a
print(len(a))
a[1:1] = a
print(len(a))
a.extend(x for x in a[:2])
print(len(a))

# === list_extend_generator_reads_target
a = [1]
def g():
    for i in range(3):
        yield len(a)
a.extend(g())
print(a)

# === list_extend_generator_raises_midway
a = [0]
def g():
    yield 1
    yield 2
    raise ValueError("mid")
try:
    a.extend(g())
except ValueError:
    print(a)
try:
    a += g()
except ValueError:
    print(a)

# === list_slice_assign_from_generator_touching_target
a = [1, 2, 3]
def g():
    a.clear()
    yield 9
a[0:2] = g()
print(a)

# === list_slice_assign_self
a = [1, 2, 3, 4]
a[::2] = a[1::2]
print(a)
a[:] = a
print(a)
a[1:3] = a
print(a)

# === list_index_protocol_mutates
class I:
    def __index__(self):
        a.clear()
        return 0
a = [1, 2, 3]
try:
    a[I()]
except IndexError as e:
    print(e, a)
a = [1, 2, 3]
try:
    a[I()] = 5
except IndexError as e:
    print(e, a)

# === list_insert_index_mutates
class I:
    def __index__(self):
        a.extend([7, 8])
        return 1
a = [1, 2]
a.insert(I(), "x")
print(a)

# === list_repr_mutates
class R:
    def __repr__(self):
        if len(a) > 2: a.pop()
        return "R"
a = [R() for _ in range(5)]
print(a, len(a))

# === list_join_iterator_mutates
class S(str): pass
a = ["x", "y"]
def g():
    for s in a:
        yield s
        if len(a) < 4: a.append("z")
print("-".join(g()), a)

# === list_del_slice_with_finalizers
class D:
    def __del__(self): log.append(len(a))
log = []
a = [D() for _ in range(4)]
del a[1:3]
print(log, len(a))
a.clear()
print(log, len(a))

# === list_clear_del_appends
class D:
    def __del__(self): a.append("from del")
a = [D()]
a.clear()
print(a)
a = [D(), 1]
a[0] = 2
print(a)

# === list_pop_during_reversed
a = [1, 2, 3, 4]
out = []
for x in reversed(a):
    out.append(x)
    if len(a) > 1: a.pop(0)
print(out, a)

# === list_append_during_iteration_bounded
a = [1]
for x in a:
    if len(a) < 5: a.append(x * 2)
print(a)

# === list_iter_shrink_to_nothing
a = [1, 2, 3]
it = iter(a)
print(next(it))
a.clear()
print(list(it))
a.extend([7, 8, 9])
print(list(it))

# === dict_setitem_eq_deletes
class K:
    def __hash__(self): return 1
    def __eq__(self, o):
        d.clear()
        return False
d = {}
d[K()] = 1
d[K()] = 2
print(len(d) >= 1)

# === dict_get_hash_mutates
class K:
    def __hash__(self):
        d["x"] = 1
        return 5
d = {}
print(d.get(K(), "default"), d)

# === dict_lookup_eq_raises
class K:
    def __hash__(self): return 1
    def __eq__(self, o): raise ValueError("eq")
d = {K(): 1}
for f in (lambda: d.get(1), lambda: 1 in d, lambda: d.pop(1, None), lambda: d.setdefault(1), lambda: d.__setitem__(1, 1), lambda: {1} & d.keys()):
    try:
        f()
        print("no error")
    except ValueError as e:
        print(e)

# === dict_update_from_itself_view
d = {1: 2, 3: 4}
d.update(d)
d.update(d.items())
print(d)
d.update((v, k) for k, v in list(d.items()))
print(d)

# === dict_update_keys_mutates
class M:
    def keys(self):
        d["during"] = 1
        return ["a", "b"]
    def __getitem__(self, k):
        d.pop("during", None)
        return k.upper()
d = {}
d.update(M())
print(d)

# === dict_values_del_mutates
class D:
    def __del__(self): d["late"] = "set in del"
d = {"k": D()}
d["k"] = 1
print(d)
d = {"k": D()}
del d["k"]
print(d)
d = {"k": D()}
d.clear()
print(d)

# === dict_items_iteration_value_change_allowed
d = dict.fromkeys("abc", 0)
for i, (k, v) in enumerate(d.items()):
    d[k] = i
    d["a"] += 10
print(d)

# === dict_pop_during_iteration_then_break
d = {i: i for i in range(5)}
for k in d:
    if k == 2:
        d.pop(k)
        break
print(d)
try:
    for k in d:
        d.pop(k)
except RuntimeError as e:
    print(e, len(d))

# === dict_iteration_clear_detected
for view in ("keys", "values", "items"):
    d = {1: 1, 2: 2}
    try:
        for _ in getattr(d, view)():
            d.clear()
    except RuntimeError as e:
        print(view, e)

# === dict_comparison_mutates
class V:
    def __eq__(self, o):
        a.clear()
        b.clear()
        return True
a, b = {1: V(), 2: V()}, {1: V(), 2: V()}
print(type(a == b).__name__, a, b)

# === dict_repr_mutates
class R:
    def __repr__(self):
        d.pop("z", None)
        return "R"
d = {"a": R(), "z": 1}
try:
    print(d)
except RuntimeError as e:
    print(e)
print(list(d))

# === dict_copy_comprehension_during_mutation
d = {1: 1, 2: 2, 3: 3}
for k in list(d): d[k * 10] = d.pop(k)
print(d)
for k, v in dict(d).items(): d[v] = k
print(d)

# === set_add_eq_mutates
class K:
    def __hash__(self): return 7
    def __eq__(self, o):
        s.discard("extra")
        return self is o
s = {"extra"}
a, b = K(), K()
s.add(a); s.add(b)
print(len(s), "extra" in s)

# === set_iteration_changes_detected
s = {1, 2, 3}
for op in (lambda: s.add(99), lambda: s.discard(2), lambda: s.clear()):
    s = {1, 2, 3}
    try:
        for x in s: op()
        print("finished")
    except RuntimeError as e:
        print(e)

# === set_intersection_update_self
s = {1, 2, 3}
s &= s
s |= s
print(s)
s -= s
print(s)
s = {1}
s ^= s
print(s)
s.update(s)
print(s)

# === set_operations_with_raising_hash
class K:
    def __hash__(self): raise ValueError("hash")
k = K()
for f in (lambda: k in {1}, lambda: {1}.add(k), lambda: {1} | {k}, lambda: {1}.union([k]), lambda: {1}.discard(k), lambda: frozenset([k]), lambda: {1}.issuperset([k])):
    try:
        f()
    except ValueError as e:
        print(e)

# === tuple_of_list_iadd_partial
t = ([1], [2])
try:
    t[0] += [9]
except TypeError as e:
    print(t, e)
try:
    t[1].append(3)
finally:
    print(t)

# === map_filter_zip_source_mutated
a = [1, 2, 3]
m = map(lambda x: x * 10, a)
print(next(m))
a.append(4)
a.remove(2)
print(list(m))
z = zip(a, iter(a))
a.clear()
print(list(z))

# === enumerate_reversed_length_change
a = [1, 2, 3]
e = enumerate(a)
next(e)
a.insert(0, 0)
print(list(e))
r = reversed(a)
a.append(9)
print(list(r))

# === generator_closes_over_mutated_list
a = [1, 2]
g = (x + len(a) for x in a)
print(next(g))
a.append(3)
print(list(g))

# === sorted_input_mutated_in_key
a = [3, 1, 2]
print(sorted(a, key=lambda x: a.append(x) or -x), len(a))

# === max_key_mutates
a = [1, 5, 3]
def key(x):
    if len(a) > 1: a.pop()
    return x
print(max(a, key=key), a)

# === sum_add_mutates
class V:
    def __radd__(self, o):
        a.append(1) if len(a) < 4 else None
        return o + 10
a = [V(), V()]
print(sum(a), len(a))

# === str_format_mutates_argument
class F:
    def __format__(self, s):
        a.append("x")
        return str(len(a))
a = [F()]
print("{0} {0} {1}".format(a[0], len(a)), f"{a[0]} {len(a)}")

# === deque_mutation_detected
from collections import deque
d = deque([1, 2, 3])
try:
    for x in d: d.append(1)
except RuntimeError as e:
    print(e)
class E:
    def __eq__(self, o):
        d.clear()
        return False
d = deque([E(), E()])
for f in (lambda: 5 in d, lambda: d.remove(5), lambda: d.index(5)):
    d.extend([E(), E()])
    try:
        f()
    except (RuntimeError, IndexError, ValueError) as e:
        print(type(e).__name__, e)

# === ordereddict_and_defaultdict_reentry
from collections import OrderedDict, defaultdict
def make():
    d["other"] = 1
    return []
d = defaultdict(make)
print(d["k"], dict(d))
o = OrderedDict(a=1, b=2)
try:
    for k in o: o[k + k] = 0
except RuntimeError as e:
    print(e)

# === heapq_lt_mutates
import heapq
class H:
    def __init__(self, v): self.v = v
    def __lt__(self, o): return self.v < o.v
h = []
for v in (5, 2, 8):
    heapq.heappush(h, H(v))
print(heapq.heappop(h).v, [x.v for x in h])
class Bad:
    def __lt__(self, o):
        b.clear()
        return True
b = [Bad(), Bad(), Bad()]
try:
    heapq.heapify(b)
except (RuntimeError, IndexError) as e:
    print(type(e).__name__)

# === lru_cache_reentrant
from functools import lru_cache
@lru_cache(maxsize=3)
def f(n):
    return n if n < 2 else f(n - 1) + f(n - 2)
print(f(30), f.cache_info().currsize)

# === getattr_recursion_guard
class C:
    def __getattr__(self, n): return getattr(self, n + "x")
try:
    C().a
except RecursionError:
    print("recursion")
class D:
    def __getattribute__(self, n): return self.x
try:
    D().y
except RecursionError:
    print("recursion")

# === repr_recursion_without_guard
class C:
    def __repr__(self): return f"<{self!r}>"
try:
    repr(C())
except RecursionError as e:
    print("recursion")
class D:
    def __eq__(self, o): return self == o
try:
    D() == D()
except RecursionError:
    print("recursion")

# === deep_nesting_destructor
x = []
for _ in range(20000):
    x = [x]
x = None
print("freed a deep list")
class N:
    def __init__(self, n): self.n = n
h = None
for _ in range(5000):
    h = N(h)
h = None
print("freed a long chain")

# === deep_nesting_repr_hash_compare
a, b = [], []
for _ in range(20000):
    a, b = [a], [b]
for f in (lambda: repr(a), lambda: a == b):
    try:
        f()
        print("ok")
    except RecursionError:
        print("RecursionError")
t = ()
for _ in range(1000):
    t = (t,)
print(hash(t) == hash(t))

# === exception_during_unpack_store
class O:
    def __setattr__(self, n, v): raise ValueError(n)
o = O()
a = b = 0
try:
    a, o.x, b = 1, 2, 3
except ValueError as e:
    print(e, a, b)

# === class_creation_reentry
class M(type):
    def __init__(cls, n, b, ns):
        if n == "A":
            print(type("B", (), {}).__name__, [k.__name__ for k in cls.__mro__])
class A(metaclass=M): pass
print(A.__name__)

# === del_reads_globals_and_attributes
class D:
    count = 0
    def __init__(self, n): self.n = n
    def __del__(self):
        D.count += 1
        log.append((self.n, D.count))
log = []
def f():
    a, b, c = D("a"), D("b"), D("c")
    b = None
    log.append("leaving")
f()
print(log)

# === del_order_of_locals_and_arguments
class D:
    def __init__(self, n): self.n = n
    def __del__(self): print("del", self.n)
def f(a, b):
    c = D("local c")
    return "ret"
print(f(D("arg a"), D("arg b")))
(lambda x: None)(D("lambda"))
[D("list temp")]
D("attr").n
print("end")

# === del_during_exception_unwind
class D:
    def __init__(self, n): self.n = n
    def __del__(self): print("del", self.n)
def f():
    d = D("in f")
    raise ValueError("x")
try:
    f()
except ValueError as e:
    print("caught", e)
print("after")

# === del_instance_attributes_order
class D:
    def __init__(self, n): self.n = n
    def __del__(self): print("del", self.n)
class O:
    def __init__(self): self.a, self.b = D("a"), D("b")
    def __del__(self): print("del O")
o = O()
del o
print("end")

# === del_generator_and_closure
class D:
    def __init__(self, n): self.n = n
    def __del__(self): print("del", self.n)
def g():
    d = D("gen local")
    yield 1
it = g()
next(it)
it = None
print("generator gone")
def mk():
    d = D("cell")
    return lambda: d.n
f = mk()
print(f())
f = None
print("closure gone")

# === del_comprehension_and_unpack_temporaries
class D:
    def __init__(self, n): self.n = n
    def __del__(self): print("del", self.n)
xs = [D(i) for i in range(2)]
a, b = xs
xs = None
print("list gone")
a = None
print("a gone")
a, b = 1, 2
print("both gone")

# === del_while_iterating_map
class D:
    def __init__(self, n): self.n = n
    def __del__(self): print("del", self.n)
for d in map(D, range(2)):
    print("body", d.n)
d = None
print(sum(1 for _ in map(D, "xy")))
