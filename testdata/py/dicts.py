# Dictionaries, sets and frozensets.

# === dict_display
print({}, {1: "a", "b": 2}, {**{"x": 1}, "y": 2, **{"x": 3}}, dict(), dict(a=1), dict([(1, 2), ("k", "v")]), dict({"a": 1}, b=2), {1: 1, 1.0: 2, True: 3})

# === dict_order
d = {"b": 1, "a": 2}
d["c"] = 3
d["b"] = 9
del d["a"]
d["a"] = 0
print(d, list(d), list(d.values()), list(d.items()), list(reversed(d)))

# === dict_constructor_errors
for a in ((5,), ([1],), ([(1, 2, 3)],), (["abc"],), ([[]],), (None,), (1, 2)):
    try:
        print(dict(*a))
    except (TypeError, ValueError) as e:
        print(type(e).__name__, e)

# === dict_key_error
d = {"a": 1}
for k in ("b", 1, (1, 2), None):
    try:
        d[k]
    except KeyError as e:
        print(e, repr(e), e.args)

# === dict_unhashable_key
d = {}
for f in (lambda: d.__setitem__([], 1), lambda: d[{}], lambda: {set(): 1}, lambda: [] in d, lambda: d.get([])):
    try:
        f()
    except TypeError as e:
        print(e)

# === dict_get_setdefault
d = {"a": 1}
print(d.get("a"), d.get("b"), d.get("b", 5), d.setdefault("a", 9), d.setdefault("c", []), d.setdefault("n"), d)
d["c"].append(1)
print(d)

# === dict_pop_popitem
d = {"a": 1, "b": 2, "c": 3}
print(d.pop("a"), d.pop("z", None), d.popitem(), d)
for f in (lambda: d.pop("z"), lambda: {}.popitem(), lambda: {}.pop()):
    try:
        f()
    except (KeyError, TypeError) as e:
        print(type(e).__name__, e)

# === dict_update
d = {"a": 1}
d.update({"b": 2})
d.update([("c", 3)], d=4)
d.update(a=0)
d.update()
print(d)
for a in ((5,), ([1],), (["abc"],)):
    try:
        d.update(*a)
    except (TypeError, ValueError) as e:
        print(type(e).__name__, e)

# === dict_update_keys_protocol
class M:
    def keys(self):
        return ["x", "y"]
    def __getitem__(self, k):
        return k * 2
d = {}
d.update(M())
print(d, dict(M()), {**M()})

# === dict_union
a, b = {"x": 1, "y": 2}, {"y": 3, "z": 4}
print(a | b, b | a, a)
a |= b
a |= [("w", 0)]
print(a)
try:
    a | [("q", 1)]
except TypeError as e:
    print(e)

# === dict_fromkeys_copy
print(dict.fromkeys("ab"), dict.fromkeys([1, 2], 0), dict.fromkeys(range(3), []))
a = {"k": [1]}
b = a.copy()
b["k"].append(2)
b["z"] = 1
print(a, b)

# === dict_clear_del_len
d = {1: 1, 2: 2}
del d[1]
print(len(d), d, bool(d))
d.clear()
print(len(d), d, bool(d))
try:
    del d[1]
except KeyError as e:
    print(repr(e))

# === dict_contains
d = {"a": None, 1: 0}
print("a" in d, 1.0 in d, True in d, "b" not in d, None in d, None in d.values(), ("a", None) in d.items(), "a" in d.keys())

# === dict_equality
print({1: 2, 3: 4} == {3: 4, 1: 2}, {1: 2} == {1: 2.0}, {} == [], {1: [2]} != {1: [3]}, {"a": {}} == {"a": {}})
try:
    {} < {}
except TypeError as e:
    print(e)

# === dict_views_live
d = {"a": 1}
k, v, i = d.keys(), d.values(), d.items()
d["b"] = 2
print(k, v, i, len(k), list(v), k.mapping)
del d["a"]
print(k, v, i)

# === dict_views_set_ops
a = {"x": 1, "y": 2}
b = {"y": 2, "z": 3}
print(sorted(a.keys() & b.keys()), sorted(a.keys() | b), sorted(a.keys() - b.keys()), sorted(a.keys() ^ b.keys()), a.items() & b.items(), a.keys() == {"x", "y"}, a.keys() < {"x", "y", "z"}, a.keys().isdisjoint(["q"]))

# === dict_values_equality
d = {1: 2}
print(d.values() == d.values(), d.keys() == d.keys(), d.items() == {(1, 2)}, list(d.values()) == [2])

# === dict_size_changed
d = {1: 1, 2: 2}
try:
    for k in d:
        d[k + 10] = 0
except RuntimeError as e:
    print(e)
d = {1: 1, 2: 2}
try:
    for k in d:
        del d[k]
except RuntimeError as e:
    print(e)

# === dict_keys_changed
d = {1: 1, 2: 2, 3: 3}
try:
    for n, k in enumerate(d):
        del d[k]
        d[k + 100] = 1
        if n == 20:
            break
except RuntimeError as e:
    print(e)
print(len(d))

# === dict_assign_while_iterating
d = {1: 1, 2: 2}
for k in d:
    d[k] *= 10
print(d)
for k in list(d):
    del d[k]
print(d)

# === dict_view_repr
d = {"a": 1, 2: [3]}
print(d.keys(), d.values(), d.items(), {}.keys(), {}.items())
print(type(d.keys()).__name__, type(iter(d)).__name__, type(iter(d.items())).__name__, type(reversed(d.values())).__name__)

# === dict_missing
class D(dict):
    def __missing__(self, k):
        self[k] = k * 2
        return "made"
d = D(a=1)
print(d["a"], d["b"], d["b"], d.get("c"), "c" in d, d)

# === dict_subclass_setitem
class D(dict):
    def __setitem__(self, k, v):
        super().__setitem__(k, v * 2)
d = D(a=1)
d["b"] = 1
d.update(c=1)
print(d, d.setdefault("e", 1), dict(d), type(d.copy()).__name__, type(d | {}).__name__)

# === dict_custom_hash_eq
class K:
    def __init__(self, v):
        self.v = v
    def __hash__(self):
        return self.v % 2
    def __eq__(self, o):
        return self.v == o.v
    def __repr__(self):
        return f"K{self.v}"
d = {K(i): i for i in range(6)}
print(d, d[K(4)], K(7) in d, len(d))
d[K(2)] = "new"
del d[K(0)]
print(d)

# === dict_hash_exception
class K:
    def __hash__(self):
        raise ValueError("no hash")
try:
    {K(): 1}
except ValueError as e:
    print(e)
class E:
    def __hash__(self):
        return 1
    def __eq__(self, o):
        raise ValueError("no eq")
d = {E(): 1}
try:
    d[E()]
except ValueError as e:
    print(e)

# === dict_key_kept_first
d = {1: "a"}
d[True] = "b"
d[1.0] = "c"
print(d, {0: "x", False: "y"}, {"a": 1, "a": 2})

# === dict_eval_order
def f(x):
    print(x, end=" ")
    return x
d = {f(1): f(2), f(3): f(4)}
print(d)

# === dict_large
d = {i: i * i for i in range(1000)}
for i in range(0, 1000, 2):
    del d[i]
print(len(d), sum(d), d[999], next(iter(d)), list(d)[-1])
for i in range(10):
    d[i] = 0
print(list(d)[:3], list(d)[-3:])

# === dict_comprehension
print({k: v for k, v in zip("abc", range(3))}, {x: x**2 for x in range(5) if x % 2}, {**{i: i for i in range(2)}}, {v: k for k, v in {"a": 1}.items()})

# === dict_comprehension_order
def f(x):
    print(x, end=" ")
    return x
print({f(i): f(-i) for i in (1, 2)})

# === dict_iter_length_hint
d = {1: 1, 2: 2, 3: 3}
it = iter(d)
next(it)
print(it.__length_hint__(), list(it), it.__length_hint__())

# === dict_nested_update
def merge(a, b):
    out = dict(a)
    for k, v in b.items():
        out[k] = merge(out[k], v) if isinstance(v, dict) and isinstance(out.get(k), dict) else v
    return out
print(merge({"a": {"x": 1}, "b": 2}, {"a": {"y": 3}, "b": {"z": 1}}))

# === dict_sorted_items
d = {"b": 2, "a": 3, "c": 1}
print(sorted(d), sorted(d.items()), sorted(d.items(), key=lambda t: t[1]), min(d), max(d, key=d.get), sum(d.values()))

# === dict_none_bool_tuple_keys
d = {None: 1, True: 2, (1, 2): 3, "s": 4, 1.5: 5, b"b": 6, frozenset([1]): 7}
print(d[None], d[1], d[1, 2], d["s"], d[1.5], d[b"b"], d[frozenset({1})])

# === dict_unpack_duplicate
try:
    dict(**{"a": 1}, **{"a": 2})
except TypeError as e:
    print(e)
try:
    {**5}
except TypeError as e:
    print(e)
try:
    dict(**{1: 2})
except TypeError as e:
    print(e)

# === set_display
print({1}, {3, 3, 3}, set(), {*[1], *(1,)}, set([1, 1.0, True]), frozenset(), frozenset([5]), sorted({"b", "a"}), set(()))

# === set_add_remove
s = {1, 2}
s.add(3)
s.add(2)
s.discard(9)
s.remove(1)
print(sorted(s), len(s), 3 in s, 1 not in s)
for f in (lambda: s.remove(9), lambda: set().pop(), lambda: s.add([]), lambda: {[]}):
    try:
        f()
    except (KeyError, TypeError) as e:
        print(type(e).__name__, e)

# === set_operators
a, b = {1, 2, 3}, {2, 3, 4}
print(a | b, a & b, a - b, a ^ b, b - a)
a |= {9}
a -= {1}
print(a)
a &= {2, 9}
print(a)
a ^= {2, 5}
print(a)

# === set_operator_types
for f in (lambda: {1} | [2], lambda: {1} & "a", lambda: {1} - (1,), lambda: {1} < [1], lambda: {1} + {2}):
    try:
        f()
    except TypeError as e:
        print(e)
s = {1}
try:
    s |= [2]
except TypeError as e:
    print(e)

# === set_methods_take_iterables
a = {1, 2, 3}
print(a.union([4], (5,)), a.intersection([2, 3], {3}), a.difference([1], [2]), a.symmetric_difference([3, 4]), a.issubset(range(5)), a.issuperset([1]), a.isdisjoint([9]), a.union())
a.update([7], "")
a.difference_update([1])
a.intersection_update(range(8))
a.symmetric_difference_update([2])
print(sorted(a))

# === set_compare
print({1} < {1, 2}, {1} <= {1}, {1, 2} > {1}, {1} >= {2}, {1, 2} == {2, 1}, {1} == frozenset([1]), {1} != [1], set() < {0}, {1} < {2}, {1} > {2})

# === set_copy_pop_clear
a = {5}
b = a.copy()
print(a.pop(), a, b)
b.clear()
print(b, bool(b))

# === frozenset_hash
f = frozenset([1, 2])
print(hash(f) == hash(frozenset([2, 1])), {f: "x"}[frozenset({2, 1})], f in {f}, frozenset(f) is f, f | {3}, type(f | {3}).__name__, type({3} | f).__name__)
try:
    hash({1})
except TypeError as e:
    print(e)
try:
    f.add(3)
except AttributeError as e:
    print(e)

# === frozenset_hash_values
print(hash(frozenset()), hash(frozenset([1])), hash(frozenset([1, 2, 3])))

# === set_in_set_lookup
s = {frozenset([1])}
print({1} in s, frozenset([1]) in s)
s.discard({1})
print(s)

# === set_size_changed
s = {1, 2}
try:
    for x in s:
        s.add(x + 10)
except RuntimeError as e:
    print(e)

# === set_comprehension
print(sorted({x % 3 for x in range(10)}), {c for c in "aaa"}, {x for x in range(3) if x == 1}, sorted({(a, b) for a in (1, 2) for b in (1, 2)}))

# === set_small_int_order
print({3, 1, 2}, set(range(5, 0, -1)), {0, -1}, list({10, 20}))

# === set_repr_nested_subclass
class S(set):
    pass
s = S([1])
print(s, repr(s), s | {2}, type(s | {2}).__name__, type(s.copy()).__name__, s == {1}, frozenset([frozenset([1])]))
class F(frozenset):
    pass
print(F([2]), F())

# === set_constructor_errors
for f in (lambda: set(5), lambda: set(1, 2), lambda: frozenset(None), lambda: set([[1]])):
    try:
        f()
    except TypeError as e:
        print(e)

# === set_intersection_keeps_which
a = {1, 2}
b = {1.0, 3}
print(a & b, b & a, a | b, {True} | {1})

# === group_by
groups = {}
for w in ["apple", "avocado", "bean", "cherry", "corn"]:
    groups.setdefault(w[0], []).append(w)
print(groups)

# === memo_fib
memo = {}
def fib(n):
    if n < 2:
        return n
    if n not in memo:
        memo[n] = fib(n - 1) + fib(n - 2)
    return memo[n]
print(fib(90), len(memo))

# === graph_bfs
g = {"a": ["b", "c"], "b": ["d"], "c": ["d", "e"], "d": ["f"], "e": ["f"], "f": []}
seen, queue = {"a": None}, ["a"]
for n in queue:
    for m in g[n]:
        if m not in seen:
            seen[m] = n
            queue.append(m)
print(queue, seen)

# === dict_reversed_errors
try:
    reversed({1, 2})
except TypeError as e:
    print(e)
d = {1: 1, 2: 2}
print(list(reversed(d.items())))

# === dict_init_again
d = {"a": 1}
d.__init__(b=2)
print(d)
d.__init__([("a", 9)])
print(d)

# === dict_methods_unbound
d = {"a": 1}
print(dict.get(d, "a"), dict.__contains__(d, "a"), dict.__len__(d), d.__getitem__("a"), d.__iter__().__next__(), dict.keys(d))

# === dict_iter_exhausted_then_grow
d = {1: 1}
it = iter(d)
print(list(it))
d[2] = 2
print(list(it))

# === dict_generic_alias
print(dict[str, int], list[int], set[str], tuple[int, ...], frozenset[int], type[int], dict[str, int]())
