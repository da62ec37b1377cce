# collections, itertools, functools, operator, heapq, bisect, copy.

# === counter_basic
from collections import Counter
c = Counter("mississippi")
print(c, c["s"], c["z"], c.most_common(2), sum(c.values()), sorted(c.elements()), c.total(), "z" in c)

# === counter_arithmetic
from collections import Counter
a, b = Counter(a=3, b=1), Counter(a=1, b=2)
print(a + b, a - b, a & b, a | b, -Counter(a=-1), +Counter(a=0, b=1), a == Counter(b=1, a=3), Counter(a=1) <= Counter(a=2))
a.update("aab")
a.subtract({"b": 5})
print(a, a.most_common()[:-2:-1])

# === counter_misc
from collections import Counter
c = Counter([1, 1, 2])
c[3] += 1
del c[9]
print(c, dict(c), Counter(), c.copy() == c, Counter(c.values()))
try:
    Counter.fromkeys("ab")
except NotImplementedError as e:
    print(type(e).__name__)

# === defaultdict
from collections import defaultdict
d = defaultdict(list)
d["a"].append(1)
d["b"]
print(d, d.get("z"), "z" in d, d.default_factory, dict(d))
n = defaultdict(None)
try:
    n["x"]
except KeyError as e:
    print(repr(e))
try:
    defaultdict(5)
except TypeError as e:
    print(e)

# === defaultdict_nested
from collections import defaultdict
t = lambda: defaultdict(t)
x = t()
x["a"]["b"]["c"] = 1
print(x["a"]["b"]["c"], list(x), defaultdict(int, a=1) | {"b": 2}, defaultdict(lambda: 7)["q"])

# === ordereddict
from collections import OrderedDict
d = OrderedDict(a=1, b=2, c=3)
d.move_to_end("a")
print(d, d.popitem(), d.popitem(last=False), d)
d.move_to_end("c", last=False) if "c" in d else None
print(OrderedDict(a=1, b=2) == OrderedDict(b=2, a=1), OrderedDict(a=1, b=2) == dict(b=2, a=1), list(reversed(OrderedDict(x=1, y=2))))
try:
    d.move_to_end("zz")
except KeyError as e:
    print(repr(e))

# === namedtuple
from collections import namedtuple
P = namedtuple("P", "x y")
p = P(1, y=2)
print(p, p.x, p[1], p._replace(x=9), p._asdict(), P._fields, P._make([5, 6]), p == (1, 2), isinstance(p, tuple), hash(p) == hash((1, 2)))
for f in (lambda: P(1), lambda: P(1, 2, 3), lambda: setattr(p, "x", 3)):
    try:
        f()
    except (TypeError, AttributeError, ValueError) as e:
        print(type(e).__name__)

# === namedtuple_options
from collections import namedtuple
A = namedtuple("A", "a b c", defaults=[5, 6])
B = namedtuple("B", ["x", "def", "x"], rename=True)
print(A(1), A._field_defaults, B._fields, A(1, 2).c, A.__doc__)
for args in (("C", "a a"), ("C", "class"), ("C", "_x"), ("1C", "a"), ("C", "a", ), ):
    try:
        print(namedtuple(*args).__name__)
    except ValueError as e:
        print(e)

# === deque_basic
from collections import deque
d = deque([1, 2, 3])
d.append(4)
d.appendleft(0)
print(d, d.pop(), d.popleft(), d[0], d[-1], len(d), 2 in d, d.index(2), d.count(3))
d.extend("ab")
d.extendleft("xy")
d.rotate(2)
print(d)
d.rotate(-1)
d.reverse()
d.remove("a")
d.insert(1, "ins")
print(d, list(reversed(d)))

# === deque_maxlen
from collections import deque
d = deque(range(5), maxlen=3)
print(d, d.maxlen)
d.append(9)
d.appendleft(8)
print(d, d + deque([1]), d * 2, d.copy(), d == deque([8, 3, 4]), deque(maxlen=0))
try:
    d.insert(0, 1)
except IndexError as e:
    print(e)
try:
    deque([], -1)
except ValueError as e:
    print(e)

# === deque_errors
from collections import deque
d = deque([1])
for f in (lambda: deque().pop(), lambda: deque().popleft(), lambda: d[5], lambda: d.remove(9), lambda: d.index(9), lambda: d[0:1], lambda: hash(d), lambda: deque(5)):
    try:
        f()
    except (IndexError, ValueError, TypeError) as e:
        print(type(e).__name__, e)
try:
    for x in d:
        d.append(1)
except RuntimeError as e:
    print(e)

# === chainmap
from collections import ChainMap
c = ChainMap({"a": 1}, {"a": 2, "b": 3})
c["c"] = 4
print(c["a"], c["b"], dict(c), c.maps, c.parents, c.new_child({"a": 0})["a"], len(c), sorted(c))
try:
    del c["b"]
except KeyError as e:
    print(e)

# === userdict_userlist_userstring
from collections import UserDict, UserList, UserString
class D(UserDict):
    def __setitem__(self, k, v): super().__setitem__(k.lower(), v)
d = D(A=1)
d.update(B=2)
print(d, UserList([1, 2]) + [3], UserString("ab").upper(), type(UserList([1])[0:1]).__name__, UserString("a") == "a")

# === itertools_count_cycle_repeat
from itertools import count, cycle, repeat, islice
print(list(islice(count(5), 3)), list(islice(count(1, -2), 3)), list(islice(count(0.5, 0.25), 3)), list(islice(cycle("ab"), 5)), list(repeat("x", 3)), list(repeat(1, 0)), count(3), repeat(1, 2), repeat(5), list(islice(cycle([]), 2)), count(1, 2))

# === itertools_accumulate
from itertools import accumulate
import operator
print(list(accumulate([1, 2, 3])), list(accumulate([1, 2, 3], operator.mul)), list(accumulate([1, 2], initial=10)), list(accumulate([])), list(accumulate([3, 1, 5], max)), list(accumulate("abc")))

# === itertools_chain
from itertools import chain
print(list(chain([1], "ab", ())), list(chain()), list(chain.from_iterable(["ab", [1]])), next(chain([], [5])))
try:
    list(chain([1], 5))
except TypeError as e:
    print(e)

# === itertools_combinatorics
from itertools import product, permutations, combinations, combinations_with_replacement as cwr
print(list(product("ab", [1, 2])), list(product([0, 1], repeat=2)), list(product()), list(product([], [1])))
print(list(permutations([1, 2, 3], 2)), list(permutations([])), list(combinations("abcd", 2)), list(combinations([1], 2)), list(cwr("ab", 2)))

# === itertools_combinatorics_errors
from itertools import combinations, permutations, product
for f in (lambda: combinations([1], -1), lambda: permutations([1], -1), lambda: product([1], repeat=-1), lambda: combinations([1])):
    try:
        f()
    except (ValueError, TypeError) as e:
        print(type(e).__name__, e)

# === itertools_filters
from itertools import compress, dropwhile, takewhile, filterfalse
print(list(compress("abcd", [1, 0, 1])), list(dropwhile(lambda x: x < 3, [1, 3, 2])), list(takewhile(lambda x: x < 3, [1, 3, 2])), list(filterfalse(lambda x: x % 2, range(5))), list(filterfalse(None, [0, 1, ""])))

# === itertools_groupby
from itertools import groupby
print([(k, list(g)) for k, g in groupby("aabccc")], [(k, len(list(g))) for k, g in groupby([1, 3, 2, 4], key=lambda x: x % 2)])
it = groupby("aab")
k, g = next(it)
next(it)
print(k, list(g))

# === itertools_islice
from itertools import islice
print(list(islice(range(10), 3)), list(islice(range(10), 2, 5)), list(islice(range(10), 1, None, 3)), list(islice("ab", 5)), list(islice("abc", None)))
for a in ((-1,), (0, 5, 0), ("a",), (1, -5)):
    try:
        islice([1], *a)
    except ValueError as e:
        print(e)

# === itertools_pairwise_batched
from itertools import pairwise, batched
print(list(pairwise("abcd")), list(pairwise([1])), list(batched("abcdefg", 3)), list(batched([], 2)))
try:
    list(batched([1], 0))
except ValueError as e:
    print(e)

# === itertools_starmap_tee_zip_longest
from itertools import starmap, tee, zip_longest
print(list(starmap(pow, [(2, 3), (3, 2)])), list(zip_longest("ab", [1, 2, 3], fillvalue="-")), list(zip_longest()))
a, b = tee([1, 2, 3])
next(a)
print(list(a), list(b), tee([], 0), len(tee("a", 3)))

# === functools_reduce
from functools import reduce
import operator
print(reduce(operator.add, [1, 2, 3]), reduce(lambda a, b: a * b, range(1, 6), 1), reduce(max, [3]), reduce(lambda a, b: f"({a}{b})", "abcd"))
for a in ((operator.add, []), (operator.add, 5)):
    try:
        reduce(*a)
    except TypeError as e:
        print(e)

# === functools_partial
from functools import partial
p = partial(int, base=2)
q = partial(print, "a", sep="-")
q("b", "c")
print(p("101"), p.func is int, p.args, p.keywords, partial(partial(pow, 2), 5)(), p("11", base=3))
print(partial(max, 1, 2))
try:
    partial()
except TypeError as e:
    print(e)

# === functools_partialmethod
from functools import partialmethod
class C:
    def set(self, k, v): return f"{k}={v}"
    on = partialmethod(set, "power", v=True)
print(C().on())

# === functools_lru_cache
from functools import lru_cache, cache
@lru_cache(maxsize=2)
def f(x):
    print("call", x)
    return x * 2
print(f(1), f(2), f(1), f(3), f(2), f.cache_info())
f.cache_clear()
print(f.cache_info(), f.__wrapped__(9), f.cache_parameters())

# === functools_cache_typed_kwargs
from functools import lru_cache, cache
@lru_cache(typed=True)
def f(x): return type(x).__name__
print(f(1), f(1.0), f(True), f.cache_info())
@cache
def g(a, b=1): return a + b
print(g(1), g(1, 1), g(a=1), g.cache_info().misses)
try:
    g([])
except TypeError as e:
    print(e)

# === functools_cache_recursion
from functools import cache
@cache
def fib(n): return n if n < 2 else fib(n - 1) + fib(n - 2)
print(fib(100), fib.cache_info().currsize)

# === functools_singledispatch
from functools import singledispatch
@singledispatch
def f(x): return "object"
@f.register
def _(x: int): return "int"
@f.register(list)
def _(x): return "list"
@f.register
def _(x: str | bytes): return "text"
print(f(1), f(True), f([]), f("a"), f(b""), f(1.5), f.dispatch(bool)(1), sorted(t.__name__ for t in f.registry))

# === functools_singledispatchmethod
from functools import singledispatchmethod
class C:
    @singledispatchmethod
    def f(self, x): return "default"
    @f.register
    def _(self, x: int): return "int"
    @f.register
    def _(self, x: str): return "str"
print(C().f(1), C().f("a"), C().f([]))

# === functools_cmp_to_key
from functools import cmp_to_key
def cmp(a, b): return (a > b) - (a < b)
print(sorted([3, 1, 2], key=cmp_to_key(lambda a, b: -cmp(a, b))), cmp_to_key(cmp)(1) < cmp_to_key(cmp)(2), sorted(["10", "9", "2"], key=cmp_to_key(lambda a, b: int(a) - int(b))))

# === operator_functions
import operator as o
print(o.add(1, 2), o.sub(5, 3), o.mul(2, 3), o.truediv(7, 2), o.floordiv(7, 2), o.mod(7, 3), o.pow(2, 5), o.neg(3), o.inv(5), o.not_(0), o.truth([]), o.lshift(1, 4), o.and_(6, 3), o.or_(6, 3), o.xor(6, 3), o.eq(1, 1.0), o.lt("a", "b"), o.is_(None, None), o.contains([1], 1), o.concat("a", "b"), o.index(True), o.abs(-1), o.countOf([1, 1], 1), o.indexOf("abc", "c"))

# === operator_getters
from operator import itemgetter, attrgetter, methodcaller
print(itemgetter(1)([1, 2]), itemgetter(0, -1)("abc"), attrgetter("real", "imag")(3 + 4j), attrgetter("__class__.__name__")(5), methodcaller("replace", "a", "b")("banana"), methodcaller("split", sep=",")("a,b"))
print(itemgetter(1), attrgetter("a.b"), methodcaller("f", 1, x=2))
try:
    attrgetter("nope")(5)
except AttributeError as e:
    print(e)

# === operator_inplace_items
import operator as o
a = [1]
b = o.iadd(a, [2])
o.setitem(a, 0, 9)
print(a is b, a, o.getitem(a, 0), o.delitem(a, 1), a, o.imul(3, 4), o.length_hint([1, 2]), o.call(max, 1, 2))

# === heapq_basic
import heapq
h = [5, 3, 8, 1, 9, 2]
heapq.heapify(h)
print(h, heapq.heappop(h), h, heapq.heappushpop(h, 0), heapq.heapreplace(h, 7), h)
heapq.heappush(h, 1)
print(h, [heapq.heappop(h) for _ in range(len(h))])
try:
    heapq.heappop([])
except IndexError as e:
    print(e)

# === heapq_nlargest_merge
import heapq
a = [5, 1, 8, 3, 9, 2]
print(heapq.nlargest(2, a), heapq.nsmallest(3, a), heapq.nlargest(2, ["aa", "b", "cccc"], key=len), list(heapq.merge([1, 4], [2, 3], [0])), list(heapq.merge("ca", "b", reverse=True)) , heapq.nsmallest(0, a), heapq.nlargest(99, [1, 2]))

# === heapq_tuples_priority
import heapq
h = []
for i, (p, n) in enumerate([(2, "b"), (1, "a"), (2, "c"), (0, "z")]):
    heapq.heappush(h, (p, i, n))
print([heapq.heappop(h)[2] for _ in range(4)])

# === bisect_basic
from bisect import bisect, bisect_left, bisect_right, insort, insort_left
a = [1, 3, 3, 5]
print(bisect_left(a, 3), bisect_right(a, 3), bisect(a, 0), bisect(a, 9), bisect_left(a, 3, 2), bisect_left(["a", "bb", "ccc"], 2, key=len))
insort(a, 4)
insort_left(a, 3)
insort(a, 2, key=lambda x: x)
print(a)
try:
    bisect([1], 1, -1)
except ValueError as e:
    print(e)

# === bisect_grades
from bisect import bisect
print("".join("FDCBA"[bisect([60, 70, 80, 90], s)] for s in (33, 99, 77, 70, 89, 90, 100)))

# === copy_shallow_deep
import copy
a = [1, [2, 3], {"k": [4]}]
b, c = copy.copy(a), copy.deepcopy(a)
a[1].append(9)
a[2]["k"].append(8)
print(b, c, copy.copy((1, 2)), copy.deepcopy({1: [2]}), copy.copy({1}), copy.copy("a"))

# === copy_recursive_and_shared
import copy
a = [1]
a.append(a)
b = copy.deepcopy(a)
print(b[1] is b, b is not a)
s = [0]
x = copy.deepcopy([s, s])
print(x[0] is x[1], copy.deepcopy(len) is len)

# === copy_objects
import copy
class C:
    def __init__(self, v): self.v = v
a = C([1])
b, c = copy.copy(a), copy.deepcopy(a)
a.v.append(2)
print(b.v, c.v, type(c).__name__)
class S:
    __slots__ = ("x",)
s = S()
s.x = [1]
print(copy.copy(s).x is s.x, copy.deepcopy(s).x is s.x)
class E(Exception): pass
print(repr(copy.copy(E(1, 2))))

# === copy_replace_reduce
import copy
class P:
    def __init__(self, x): self.x = x
    def __reduce__(self): return (P, (self.x * 10,))
print(copy.copy(P(2)).x, copy.deepcopy(P(3)).x)

# === pickle_roundtrip
import pickle
class C:
    def __init__(self): self.a = [1, "x"]
    def __getstate__(self): return {"a": self.a + ["saved"]}
    def __setstate__(self, s): self.__dict__.update(s, restored=True)
c = pickle.loads(pickle.dumps(C()))
print(c.a, c.restored)
data = {"k": [1, 2.5, None, True, b"b", (1,), {3}, 10**30, "é"], 5: frozenset([1])}
for proto in range(6):
    print(pickle.loads(pickle.dumps(data, proto)) == data, end=" ")
print()
try:
    pickle.dumps(lambda: 0)
except (pickle.PicklingError, AttributeError) as e:
    print("cannot pickle")

# === array_basic
from array import array
a = array("i", [1, 2, 3])
a.append(4)
a.extend([5])
a[0] = 9
print(a, a[1:3], a.tolist(), a.typecode, a.itemsize, len(a), a.index(3), a.count(9), a.pop(), 3 in a, array("d", [1.5]), a.tobytes() == bytes(a))
for f in (lambda: array("i", [2**40]), lambda: array("q", ["a"]), lambda: array("zz"), lambda: a.append("x"), lambda: array("B", [256])):
    try:
        f()
    except (OverflowError, TypeError, ValueError) as e:
        print(type(e).__name__, e)

# === types_simplenamespace
from types import SimpleNamespace, MappingProxyType
n = SimpleNamespace(a=1, b="x")
n.c = 3
del n.a
print(n, n == SimpleNamespace(b="x", c=3), vars(n))
m = MappingProxyType({"k": 1})
print(m["k"], m, dict(m), "k" in m)
try:
    m["k"] = 2
except TypeError as e:
    print(e)

# === types_new_class_dynamic
import types
C = types.new_class("C", (list,), {}, lambda ns: ns.update(hello=lambda self: "hi"))
print(C().hello(), C.__mro__[1], types.FunctionType is type(lambda: 0), types.GeneratorType.__name__, types.NoneType, types.EllipsisType)
f = types.FunctionType((lambda: x).__code__, {"x": 42})
print(f())
b = types.MethodType(lambda self, n: (self, n), "me")
print(b(5))

# === graphlib
from graphlib import TopologicalSorter, CycleError
g = {"d": {"b", "c"}, "b": {"a"}, "c": {"a"}}
o = list(TopologicalSorter(g).static_order())
print(o[0], o[-1], sorted(o[1:3]))
try:
    list(TopologicalSorter({"a": {"b"}, "b": {"a"}}).static_order())
except CycleError as e:
    print(e.args[0])

# === dijkstra
import heapq
def dijkstra(g, s):
    dist, q = {s: 0}, [(0, s)]
    while q:
        d, u = heapq.heappop(q)
        if d > dist[u]:
            continue
        for v, w in g[u].items():
            if d + w < dist.get(v, 1e9):
                dist[v] = d + w
                heapq.heappush(q, (d + w, v))
    return dist
print(dijkstra({"a": {"b": 7, "c": 3}, "b": {"d": 2}, "c": {"b": 1, "d": 8}, "d": {}}, "a"))

# === lru_by_ordereddict
from collections import OrderedDict
class LRU:
    def __init__(self, n): self.n, self.d = n, OrderedDict()
    def get(self, k):
        if k not in self.d:
            return None
        self.d.move_to_end(k)
        return self.d[k]
    def put(self, k, v):
        self.d[k] = v
        self.d.move_to_end(k)
        if len(self.d) > self.n:
            self.d.popitem(last=False)
c = LRU(2)
c.put("a", 1); c.put("b", 2); c.get("a"); c.put("c", 3)
print(c.get("b"), c.get("a"), c.d)
