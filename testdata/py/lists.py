# Lists and tuples.

# === list_display
print([], [1], [1, "a", None, 2.5], [[1], [2, [3]]], [*range(3), 9], list("abc"), list((1, 2)), list({"a": 1}), list())

# === list_index
a = [10, 20, 30]
print(a[0], a[-1], a[-3], a[True])
for i in (3, -4):
    try:
        a[i]
    except IndexError as e:
        print(e)
for i in ("a", 1.0, None):
    try:
        a[i]
    except TypeError as e:
        print(e)

# === list_assign_errors
a = [1]
for f in (lambda: a.__setitem__(1, 0), lambda: a.__delitem__(1), lambda: a.__setitem__("x", 0), lambda: a.pop(5), lambda: [].pop(), lambda: a.remove(9), lambda: a.index(9), lambda: a.pop("a")):
    try:
        f()
    except Exception as e:
        print(type(e).__name__, e)

# === list_slices
a = list(range(10))
print(a[2:5], a[:3], a[7:], a[::3], a[::-2], a[-3:-1], a[5:2], a[20:], a[-20:2], a[8:1:-3])

# === list_slice_assign
a = list(range(6))
a[1:3] = ["x", "y", "z"]
print(a)
a[:0] = [-1]
a[len(a):] = [9]
print(a)
a[2:5] = []
print(a)
a[::2] = "abc"
print(a)
a[3:1] = [7]
print(a)

# === list_slice_assign_errors
a = [1, 2, 3, 4]
for f in (lambda: a.__setitem__(slice(None, None, 2), [1]), lambda: a.__setitem__(slice(None, None, 0), [])):
    try:
        f()
    except (ValueError, TypeError) as e:
        print(type(e).__name__, e)
print(a)

# === list_del
a = list(range(10))
del a[0]
del a[-1]
print(a)
del a[1:3], a[::2]
print(a)
del a[:]
print(a)

# === append_extend_insert
a = []
a.append(1)
a.append([2])
a.extend("ab")
a.extend(x * x for x in range(3))
a.insert(0, "first")
a.insert(100, "last")
a.insert(-1, "before last")
print(a, len(a))
try:
    a.extend(5)
except TypeError as e:
    print(e)

# === pop_remove_clear
a = [1, 2, 3, 2, 1]
print(a.pop(), a.pop(0), a.pop(-2), a)
a.remove(2)
print(a)
a.clear()
print(a, not a)

# === index_count
a = [1, 2, 3, 2, 1.0, True]
print(a.index(2), a.index(2, 2), a.index(1, 1), a.count(1), a.count(9), a.index(2, -4, -1))
try:
    a.index(3, 3)
except ValueError as e:
    print(e)

# === sort_basic
a = [3, 1, 2]
print(a.sort(), a)
a.sort(reverse=True)
print(a)
w = ["banana", "Apple", "cherry"]
w.sort(key=str.lower)
print(w, sorted(w, key=len), sorted(w, key=len, reverse=True))

# === sort_stable
a = [("b", 2), ("a", 1), ("c", 2), ("d", 1)]
print(sorted(a, key=lambda t: t[1]), sorted(a, key=lambda t: t[1], reverse=True))

# === sort_errors
for f in (lambda: [1, "a"].sort(), lambda: sorted([1j, 2j]), lambda: [3, None].sort(), lambda: sorted([1], lambda x: x), lambda: [1].sort(None), lambda: sorted(5), lambda: [{}, {}].sort()):
    try:
        f()
    except TypeError as e:
        print(e)

# === sort_key_exception
a = [3, 2, 1]
def key(x):
    if x == 1:
        raise RuntimeError("key failed")
    return x
try:
    a.sort(key=key)
except RuntimeError as e:
    print(e, a)

# === sort_modified_during
a = [3, 2, 1]
def key(x):
    a.append(0)
    return x
try:
    a.sort(key=key)
except ValueError as e:
    print(e, len(a) >= 3)

# === sort_counts_lt_only
class K:
    def __init__(self, v):
        self.v = v
    def __lt__(self, o):
        return self.v < o.v
print([k.v for k in sorted([K(3), K(1), K(2)])], min([K(3), K(1)], key=lambda k: k.v).v)

# === sort_long
a = [(i * 7919) % 1009 for i in range(1000)]
b = sorted(a)
print(b[:5], b[-5:], all(x <= y for x, y in zip(b, b[1:])), sum(a) == sum(b))

# === reverse_copy
a = [1, [2], 3]
b = a.copy()
c = a[:]
a.reverse()
b[1].append(9)
print(a, b, c, list(reversed(b)), a is b, a[1] is c[1])

# === concat_repeat
a = [1, 2]
print(a + [3], a * 2, 2 * a, a * 0, a * -1, [[]] * 2)
b = [[]] * 2
b[0].append(1)
print(b)
for f in (lambda: a + (1,), lambda: a + 1, lambda: a * "x", lambda: a * 1.5):
    try:
        f()
    except TypeError as e:
        print(e)

# === in_place
a = b = [1]
a += (2, 3)
a *= 2
print(a, b, a is b)
a += "xy"
print(a)

# === tuple_in_place_list_item
t = ([],)
try:
    t[0] += [1]
except TypeError as e:
    print(e)
print(t)

# === compare
print([1, 2] < [1, 3], [1] < [1, 0], [] < [0], [2] > [1, 9], [1, 2] == [1, 2], [1] == (1,), [1, "a"] == [1, "a"], [[1]] == [[1]], [1, 2] != [2, 1])
try:
    [1] < ["a"]
except TypeError as e:
    print(e)
try:
    [1] < (1,)
except TypeError as e:
    print(e)

# === compare_shortcuts_identity
class E:
    def __eq__(self, o):
        print("eq")
        return False
e = E()
print([e] == [e], e in [e], [e].count(e), [e].index(e), (e,) == (e,))

# === recursive_repr
a = [1]
a.append(a)
print(a)
d = {"a": a}
a.append(d)
print(a)
t = ([],)
t[0].append(t)
print(t)

# === recursive_compare
a, b = [], []
a.append(b)
b.append(a)
try:
    a == b
except RecursionError as e:
    print(type(e).__name__)

# === contains
print(2 in [1, 2], "a" in ["b"], 1.0 in [1], [1] in [[1]], None in [None], 3 not in [1])

# === unhashable
for x in ([], {}, set(), [1]):
    try:
        hash(x)
    except TypeError as e:
        print(e)

# === mutate_while_iterating
a = [1, 2, 3, 4, 5]
for x in a:
    if x % 2:
        a.remove(x)
print(a)
b = [0]
for x in b:
    if x < 5:
        b.append(x + 1)
print(b)

# === iterator_exhausted_stays
a = [1]
it = iter(a)
print(list(it))
a.append(2)
print(list(it), it.__length_hint__())

# === reversed_iterator
it = reversed([1, 2, 3])
print(next(it), it.__length_hint__(), list(it), list(it))

# === list_subclass
class L(list):
    def __getitem__(self, i):
        return ("got", super().__getitem__(i))
a = L([1, 2])
print(a, a[0], list(a), type(a + [3]).__name__, a == [1, 2], type(a[:]).__name__, len(a), isinstance(a, list))

# === list_multiply_big
try:
    [0] * 2**62
except (MemoryError, OverflowError) as e:
    print(type(e).__name__)
try:
    [0] * 2**64
except OverflowError as e:
    print(e)

# === comprehension_basic
print([x * 2 for x in range(5)], [x for x in range(10) if x % 2 if x > 3], [(x, y) for x in range(2) for y in "ab"], [[c for c in w] for w in ("ab", "c")], [x for row in [[1, 2], [3]] for x in row])

# === matrix_transpose
m = [[1, 2, 3], [4, 5, 6]]
print([list(r) for r in zip(*m)], [[row[i] for row in m] for i in range(3)], sum(m, []))

# === sieve
n = 50
s = [True] * (n + 1)
s[0:2] = [False, False]
for i in range(2, 8):
    if s[i]:
        s[i*i::i] = [False] * len(s[i*i::i])
print([i for i, p in enumerate(s) if p])

# === tuple_display
print((), (1,), (1, 2), 1, (1, "a", (2,)), tuple("ab"), tuple([1]), tuple(), (*[1, 2], 3), tuple(range(3)))
x = 1, 2
y = 3,
print(x, y, type(y).__name__)

# === tuple_immutable
t = (1, 2)
for src in ("t[0] = 5", "del t[0]", "t.append(1)", "t[0] += 1"):
    try:
        exec(src)
    except (TypeError, AttributeError) as e:
        print(type(e).__name__, e)

# === tuple_methods
t = (1, 2, 1, 3)
print(t.count(1), t.index(3), t[1:], t[::-1], t + (5,), t * 2, len(t), 2 in t, t.index(1, 1))
try:
    t.index(9)
except ValueError as e:
    print(e)

# === tuple_compare_hash
print((1, 2) < (1, 3), (1,) < (1, 0), () < (0,), (1, 2) == (1, 2), hash((1, 2)) == hash((1, 2)), {(1, "a"): "v"}[(1, "a")], hash((1.0, 2)) == hash((1, 2)))
try:
    hash((1, []))
except TypeError as e:
    print(e)

# === tuple_hash_values
print(hash(()), hash((1,)), hash((1, 2, 3)), hash((0, 0)), hash((1, (2, 3))))

# === tuple_errors
t = (1,)
for f in (lambda: t[1], lambda: t + [1], lambda: t + 1, lambda: t["a"], lambda: tuple(5), lambda: tuple(1, 2), lambda: (1,) < (None,)):
    try:
        f()
    except Exception as e:
        print(type(e).__name__, e)

# === tuple_same_object_slice
t = (1, 2)
e = ()
print(t[:] is t, tuple(t) is t, e is tuple(), t + () == t)

# === tuple_subclass
class P(tuple):
    def __new__(cls, x, y):
        return super().__new__(cls, (x, y))
    @property
    def x(self):
        return self[0]
p = P(3, 4)
print(p, p.x, len(p), p == (3, 4), p + (5,), type(p[:]).__name__, type(p).__name__)
a, b = p
print(a, b)

# === list_init_again
a = [1, 2]
a.__init__("xyz")
print(a)
a.__init__()
print(a)

# === list_constructor_errors
for f in (lambda: list(5), lambda: list(1, 2), lambda: list(x=1), lambda: list(None), lambda: [].append(), lambda: [].append(1, 2), lambda: [].insert(1), lambda: [].index()):
    try:
        f()
    except TypeError as e:
        print(e)

# === list_attribute_error
for n in ("push", "lenght", "appendd"):
    try:
        getattr([], n)
    except AttributeError as e:
        print(e)

# === sum_of_list_edge
print(sum([]), sum([1, 2], 10), sum([[1], [2]], []), sum((0.1,) * 10), sum([1.5, 2]), sum([True, True]))
for f in (lambda: sum(["a"]), lambda: sum(["a"], ""), lambda: sum([[1]]), lambda: sum(5), lambda: sum([b"a"], b"")):
    try:
        print(f())
    except TypeError as e:
        print(e)

# === iter_then_del
a = [1, 2, 3, 4]
it = iter(a)
next(it)
del a[1:]
print(list(it), a)

# === copy_semantics_in_calls
def add(x, acc=[]):
    acc.append(x)
    return acc
print(add(1), add(2), add(3, []), add(4))

# === rotate_and_chunk
a = list(range(7))
print(a[3:] + a[:3], [a[i:i + 3] for i in range(0, len(a), 3)], list(zip(*[iter(a)] * 2)))

# === quicksort
def qs(a):
    if len(a) < 2:
        return a
    p, *rest = a
    return qs([x for x in rest if x < p]) + [p] + qs([x for x in rest if x >= p])
print(qs([5, 2, 9, 1, 5, 6, -3]))

# === binary_search
def bs(a, x):
    lo, hi = 0, len(a)
    while lo < hi:
        mid = (lo + hi) // 2
        if a[mid] < x:
            lo = mid + 1
        else:
            hi = mid
    return lo
print([bs([1, 3, 5, 7], x) for x in range(9)])

# === nothing_repeated_often
print([] * 10**15, () * 10**15, "" * 10**15, b"" * 10**15, [1] * -10**15)
