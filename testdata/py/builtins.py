# Builtin functions not covered by the areas of their types.

# === abs
print(abs(-5), abs(5.5), abs(-0.0), abs(3 - 4j), abs(True), abs(-10**30))
try:
    abs("a")
except TypeError as e:
    print(e)

# === all_any
print(all([]), any([]), all([1, 0]), any([0, 1]), all("ab"), any(["", 0]), all(x > 0 for x in [1, 2]))
it = iter([1, 0, 2])
print(all(it), list(it))
it = iter([0, 1, 2])
print(any(it), list(it))

# === all_any_errors
for f in (lambda: all(5), lambda: any(None), lambda: all(), lambda: any(1, 2)):
    try:
        f()
    except TypeError as e:
        print(e)

# === callable
class C:
    def __call__(self): pass
print([callable(x) for x in (len, int, C, C(), lambda: 0, 5, "a", None, C().__call__)])

# === compile_eval_exec
code = compile("x + 1", "name", "eval")
print(eval(code, {"x": 4}), eval("[i for i in range(3)]"), eval(" 1 + 1 "), code.co_filename)
ns = {}
exec("a = 1\ndef f(): return a + 1", ns)
print(ns["f"](), sorted(k for k in ns if not k.startswith("__")), exec("1"))

# === eval_locals_globals
x = 1
def f():
    x = 2
    return eval("x"), eval("x", globals()), eval("x", {"x": 3}), eval("x + y", {"x": 4}, {"y": 5})
print(f())
class M(dict):
    def __missing__(self, k): return k.upper()
print(eval("abc + de", {}, M()))

# === exec_local_no_effect
def f():
    x = 1
    exec("x = 2")
    return x
print(f())
def g():
    d = {}
    exec("y = 5", {}, d)
    return d
print(g())

# === eval_errors
for a in (("1 +",), ("x = 1",), ("undefined_q",), (5,), ("1", 5), ("",)):
    try:
        eval(*a)
    except Exception as e:
        print(type(e).__name__, e)

# === compile_modes
print(eval(compile("3", "f", "eval")))
exec(compile("print('exec'); 5", "f", "exec"))
exec(compile("5 + 5", "f", "single"))
exec(compile("None", "f", "single"))
try:
    compile("1", "f", "bad")
except ValueError as e:
    print(e)

# === exec_builtins_injected
ns = {"__builtins__": {}}
try:
    exec("print(1)", ns)
except NameError as e:
    print(e)
ns = {}
exec("pass", ns)
print("__builtins__" in ns)

# === delattr_setattr
class C: pass
c = C()
setattr(c, "x", 1)
print(c.x, hasattr(c, "x"))
delattr(c, "x")
print(hasattr(c, "x"), vars(c))

# === divmod_types
print(divmod(7, 2), divmod(-7, 2), divmod(7.5, 2), divmod(True, 2), divmod(10**30, 7))

# === enumerate
print(list(enumerate("ab")), list(enumerate("ab", 5)), list(enumerate([], 1)), next(enumerate("x", start=10**20)), list(enumerate("ab", -1)))
for a in ((5,), ("a", "b"), ()):
    try:
        enumerate(*a)
    except TypeError as e:
        print(e)

# === filter
print(list(filter(None, [0, 1, "", "a", [], None])), list(filter(str.isdigit, "a1b2")), list(filter(lambda x: x > 1, (1, 2, 3))))
f = filter(None, [1])
print(iter(f) is f, next(f), next(f, "end"))
for a in ((None,), (None, 5), (5, [1])):
    try:
        list(filter(*a))
    except TypeError as e:
        print(e)

# === map
print(list(map(str, [1, 2])), list(map(lambda a, b: a * b, [1, 2, 3], [4, 5])), list(map(max, "abc", "cab")), list(map(int, ["12", "z"], [10, 36])))
m = map(abs, [-1])
print(next(m), next(m, "end"), list(m))
for a in ((str,), (), (str, 5), (5, [1])):
    try:
        list(map(*a))
    except TypeError as e:
        print(e)

# === map_lazy_error
m = map(lambda x: 1 / x, [1, 0, 2])
print(next(m))
try:
    next(m)
except ZeroDivisionError:
    print("zero")
print(next(m))

# === max_min_basic
print(max(1, 2), min([3, 1]), max("abc"), min("b", "a"), max([1], [2], [1, 5]), max([], default=None), min((), default="d"), max(1, 1.0), max(True, 1), max({"a": 1, "b": 0}))

# === max_min_key
w = ["ccc", "a", "bb", "dd"]
print(max(w, key=len), min(w, key=len), max(w, key=lambda s: s[-1]), max(3, -4, key=abs), min([1, -1], key=abs), max(w, key=None))

# === max_min_errors
for f in (lambda: max(), lambda: max([]), lambda: max(5), lambda: max(1, "a"), lambda: max(1, 2, default=3), lambda: min([], key=5), lambda: min([1, 2], key=5)):
    try:
        f()
    except (TypeError, ValueError) as e:
        print(type(e).__name__, e)

# === sum
print(sum([1, 2, 3]), sum([], 5), sum([0.1] * 3), sum([1, 2.5, True]), sum(range(101)), sum([[1], [2]], []), sum(x for x in (1, 2)), sum([1, 2], start=10), sum([10**20, 1]), sum([1j, 2]))

# === sum_float_compensated
print(sum([1e100, 1.0, -1e100]), sum([0.1] * 10), sum([1e16, 1.0, 1.0]), sum([float("inf"), -1.0]), sum([0.1, 1, 0.2]))

# === round_protocol
class R:
    def __round__(self, n=None): return f"rounded {n}"
print(round(R()), round(R(), 2), round(2.5), round(-7, -1), round(True), round(10**20 + 55, -2), type(round(1.0)).__name__, type(round(1.0, 0)).__name__)

# === pow_builtin
print(pow(2, 3), pow(2, -1), pow(2.0, 3), pow(base=2, exp=5), pow(2, 5, mod=7), pow(-2, 0.5).__class__.__name__)

# === sorted_builtin
print(sorted([3, 1, 2]), sorted("bca"), sorted({"b": 1, "a": 2}), sorted([1, -2], key=abs, reverse=True), sorted(()), sorted(x % 3 for x in range(6)))

# === reversed_builtin
print(list(reversed([1, 2])), list(reversed("ab")), list(reversed(range(3))), list(reversed((1, 2))), list(reversed({"a": 1})), list(reversed(b"ab")))
for x in (5, {1}, iter([])):
    try:
        reversed(x)
    except TypeError as e:
        print(e)

# === zip
print(list(zip()), list(zip([1, 2])), list(zip("ab", [1, 2, 3])), list(zip("ab", "cd", "ef")), list(zip(*[(1, 2), (3, 4)])), dict(zip("ab", range(2))))
a = iter([1, 2, 3])
print(list(zip(a, "x")), next(a))

# === zip_strict
print(list(zip("ab", [1, 2], strict=True)))
for a in (("a", [1, 2]), ("ab", [1]), ("a", "b", [])):
    try:
        list(zip(*a, strict=True))
    except ValueError as e:
        print(e)
try:
    zip(1)
except TypeError as e:
    print(e)

# === iter_next
it = iter([1, 2])
print(next(it), next(it), next(it, "d"), iter(it) is it, type(it).__name__, type(iter("")).__name__, type(iter({})).__name__, type(iter(())).__name__, type(iter(set())).__name__, type(iter(range(1))).__name__, type(iter(b"")).__name__, type(iter(range(10**30))).__name__)

# === id_and_is
a = [1]
b = a
print(id(a) == id(b), id([1]) == id(a), a is b, a is not [1])

# === hash_builtin
print(hash("a") == hash("a"), hash(1) == hash(1.0), hash((1, 2)), hash(None) == hash(None), hash(True), hash(3.5))

# === hex_oct_bin_chr_ord
print(hex(16), oct(16), bin(16), chr(97), ord("a"), hex(-1), chr(0x1F600))

# === getattr_hasattr_errors
for f in (lambda: getattr(5, "nope"), lambda: hasattr(5, 5), lambda: hasattr(5), lambda: setattr(5, "x", 1)):
    try:
        f()
    except (AttributeError, TypeError) as e:
        print(type(e).__name__)
class C:
    @property
    def p(self): raise ValueError("through hasattr")
try:
    hasattr(C(), "p")
except ValueError as e:
    print(e)

# === isinstance_issubclass
class A: pass
class B(A): pass
print(isinstance(B(), A), issubclass(B, A), isinstance(A(), B), isinstance(5, object), issubclass(A, object), isinstance(A, type), issubclass(type, object))

# === len
class L:
    def __len__(self): return 2**40
class N:
    def __len__(self): return 2**70
print(len(""), len([1]), len({1: 2}), len(range(5)), len(b"ab"), len(L()))
for x in (5, N(), None):
    try:
        len(x)
    except (TypeError, OverflowError) as e:
        print(type(e).__name__, e)

# === print_forms
print()
print("a", 1, None)
print("a", "b", sep="-", end="!\n")
print("x", end="")
print("y", sep="ignored")
print(*[1, 2], sep="\n")
print("a", "b", sep=None, end=None)
print([], {}, sep="|", flush=True)
for kw in ({"sep": 5}, {"end": 1}, {"foo": 1}):
    try:
        print("q", **kw)
    except TypeError as e:
        print(type(e).__name__)

# === print_to_file
import io, sys
f = io.StringIO()
print("to file", 1, file=f, end=";")
print(repr(f.getvalue()))
class W:
    def write(self, s): out.append(s)
out = []
print("a", "b", file=W())
print(out)
print("none", file=None)

# === print_str_called
class S:
    def __str__(self): return "S!"
    def __repr__(self): return "R!"
print(S(), [S()], (S(),), {"k": S()}, f"{S()}", "%s %r" % (S(), S()))

# === input_eof
try:
    input("prompt> ")
except EOFError as e:
    print("|", e)

# === repr_builtin
print(repr(1), repr("a\n"), repr([1, "x"]), repr(None), repr(()), repr((1,)), repr({1: "a"}), repr(1.0), repr(len), repr(int), repr(...), repr(b"x"), repr(range(3)), repr(slice(1)))

# === type_builtin
print(type(1), type("") is str, type(type), type(None), type(NotImplemented), type(print), type([].append), type(int.real), type(str.upper), type(dict.fromkeys))

# === object_builtin
o = object()
print(type(o), o == o, isinstance(o, object), object() == object(), bool(o))
try:
    object(5)
except TypeError as e:
    print(e)

# === dunder_import
m = __import__("math")
print(m.sqrt(16), __import__("os.path").__name__, __import__("os.path", fromlist=["join"]).__name__ in ("posixpath", "ntpath"))

# === import_forms
import math, json as j
from math import sqrt, pi as PI
import os.path as p
from collections import (
    deque,
    OrderedDict as OD,
)
print(math.floor(2.5), j.dumps([1]), sqrt(4), PI > 3, p.basename("a/b"), deque([1]), OD(a=1))

# === import_star
from operator import *
print(add(1, 2), "itemgetter" in globals(), "__name__" in globals() and __name__)

# === import_errors
for src in ("import nope_x", "from math import nope_y", "from nope_x.y import z", "import math.sub", "from . import x"):
    try:
        exec(src)
    except ImportError as e:
        print(type(e).__name__, str(e).split(" (")[0])

# === import_inside_function
def f():
    import string
    from string import digits
    return digits, string.ascii_lowercase[:3]
print(f(), "string" in globals())
import sys
print("string" in sys.modules)

# === module_attributes
import math, json
print(math.__name__, type(math).__name__, json.__name__, hasattr(json, "__file__"), json.__package__, hasattr(json, "__path__"), __name__, __spec__)
math.my_attr = 5
print(math.my_attr)

# === module_type
import types, sys
m = types.ModuleType("mine", "doc")
m.x = 5
sys.modules["mine"] = m
import mine
from mine import x
print(mine.x, x, mine.__doc__, repr(m))
m.__getattr__ = lambda n: f"dynamic {n}"
print(mine.anything)
try:
    del m.x
    del m.x
except AttributeError as e:
    print(e)

# === sys_modules_basics
import sys
print(sys.version_info >= (3, 12), sys.maxsize, sys.byteorder, sys.argv[1:], sys.getrecursionlimit(), sys.maxunicode, sys.implementation.name in ("cpython", "mynah"), "math" in sys.builtin_module_names or True)

# === vars_dir_locals
def f():
    a, b = 1, 2
    return sorted(vars().items()), sorted(dir())
print(f())

# === aiter_anext
import asyncio
async def g():
    yield 1
async def main():
    it = aiter(g())
    print(await anext(it), await anext(it, "default"))
    try:
        aiter(5)
    except TypeError as e:
        print(e)
    try:
        anext(5)
    except TypeError as e:
        print(e)
asyncio.run(main())

# === super_property_type_objects
print(super.__name__, property.__name__, classmethod.__name__, repr(property), staticmethod(5).__func__)

# === builtins_module
import builtins
print(builtins.len is len, builtins.__name__, len(dir(builtins)) > 140)
builtins.my_global = 7
print(my_global)
del builtins.my_global

# === builtins_shadowed
len = lambda x: "shadowed"
print(len([]))
del len
print(len([]))
def f(list): return list
print(f(5), list("ab"))

# === underscore_names
print([n for n in ("__name__", "__doc__", "__package__", "__loader__", "__spec__", "__builtins__", "__file__") if n in globals()], __doc__, __package__)

# === breakpoint_hook
import sys
sys.breakpointhook = lambda *a, **k: print("hook", a, k)
breakpoint(1, x=2)

# === memory_error_bounds
for f in (lambda: "a" * (2**62), lambda: bytes(2**62), lambda: [None] * (2**60)):
    try:
        f()
    except (MemoryError, OverflowError) as e:
        print(type(e).__name__)

# === del_timing
class D:
    def __init__(self, n): self.n = n
    def __del__(self): print("del", self.n)
a = D(1)
b = a
del a
print("one reference left")
del b
print("gone")
D(2)
print("temporary died")
x = D(3)
x = None
print("rebound")
def f():
    y = D(4)
    print("in f")
f()
print("end")

# === del_in_containers
class D:
    def __init__(self, n): self.n = n
    def __del__(self): print("del", self.n)
l = [D(1), D(2)]
l.pop(0)
print("popped")
l[0] = None
print("replaced")
d = {"k": D(3)}
d["k"] = 0
print("dict replaced")
t = (D(4), D(5))
del t
print("tuple gone")

# === del_at_exit
class D:
    def __del__(self): print("del at exit")
keep = D()
print("end of program")

# === del_exception_variable
class D:
    def __del__(self): print("del")
try:
    d = D()
    raise ValueError(d)
except ValueError as e:
    del d
    print("in handler")
print("after handler")

# === del_loop_variable
class D:
    def __init__(self, n): self.n = n
    def __del__(self): print("del", self.n)
for x in (D(i) for i in range(3)):
    print("loop", x.n)
print("after")
del x

# === del_resurrection
class D:
    def __del__(self):
        print("del")
        saved.append(self)
saved = []
d = D()
del d
print(len(saved))
saved.clear()
print("cleared")

# === del_cycle_gc
import gc
class N:
    def __del__(self): print("collected")
a = N()
a.me = a
del a
print("before collect")
gc.collect()
print("after collect")

# === gc_functions
import gc
gc.collect()
l = []
l.append(l)
del l
print(gc.collect() >= 1, gc.isenabled(), gc.is_tracked([]), gc.is_tracked(5))
gc.disable()
print(gc.isenabled())
gc.enable()

# === refcount_visible
import sys
a = []
n = sys.getrefcount(a)
b = a
c = [a, a]
print(sys.getrefcount(a) - n)
del c
print(sys.getrefcount(a) - n)

# === weakref_basic
import weakref
class C: pass
c = C()
r = weakref.ref(c)
print(r() is c)
del c
print(r())

# === weakref_callback
import weakref
class C: pass
c = C()
r = weakref.ref(c, lambda ref: print("callback", ref() is None))
print("before")
del c
print("after")

# === weakref_finalize
import weakref
class C: pass
c = C()
f = weakref.finalize(c, print, "finalized", 1)
print(f.alive)
del c
print(f.alive)

# === weakref_collections
import weakref
class K:
    def __init__(self, n): self.n = n
a, b = K(1), K(2)
wd = weakref.WeakKeyDictionary({a: "a", b: "b"})
wv = weakref.WeakValueDictionary(x=a, y=b)
ws = weakref.WeakSet([a, b])
print(len(wd), len(wv), len(ws), sorted(wv))
del a
print(len(wd), len(wv), len(ws), sorted(wv))

# === weakref_proxy_errors
import weakref
class C:
    x = 5
    def __len__(self): return 3
c = C()
p = weakref.proxy(c)
print(p.x, len(p), type(p).__name__)
del c
try:
    p.x
except ReferenceError as e:
    print(e)
for o in (5, "a", [], ()):
    try:
        weakref.ref(o)
    except TypeError as e:
        print(e)

# === weakref_method_equality
import weakref
class C:
    def m(self): return "m"
c = C()
w = weakref.WeakMethod(c.m)
print(w()(), weakref.ref(c) == weakref.ref(c), weakref.ref(c) is weakref.ref(c), weakref.getweakrefcount(c))
del c
print(w())

# === weakref_slots
import weakref
class A:
    __slots__ = ()
class B:
    __slots__ = ("__weakref__",)
try:
    weakref.ref(A())
except TypeError as e:
    print(e)
b = B()
print(weakref.ref(b)() is b)

# === weakref_cycle_order
import weakref, gc
class N: pass
a, b = N(), N()
a.o, b.o = b, a
r = weakref.ref(a, lambda _: print("cb"))
del a, b
print(r() is not None)
gc.collect()
print(r())
