# Functions: parameters, calls and their errors, closures, scopes, decorators, lambda.

# === return_none
def f():
    pass
def g():
    return
def h():
    return 1, 2
print(f(), g(), h())

# === default_values
def f(a, b=2, *, c=3, d):
    return a, b, c, d
print(f(1, d=4), f(1, 5, d=6, c=7), f(d=1, a=2))

# === default_evaluated_once
def f(x, acc=[]):
    acc.append(x)
    return acc
print(f(1), f(2), f.__defaults__)
n = 1
def g(v=n):
    return v
n = 2
print(g())

# === default_evaluation_order
def e(x):
    print("eval", x)
    return x
def f(a=e(1), *, b=e(2)) -> e(3):
    return a + b
print(f(), f.__annotations__)

# === varargs
def f(*args, **kwargs):
    return args, kwargs
print(f(), f(1, 2), f(a=1), f(1, *[2, 3], x=1, **{"y": 2}), f(*"ab", *(1,), **{}, **{"q": 0}))

# === varargs_fresh_dict
def f(**kw):
    kw["new"] = 1
    return kw
d = {"a": 1}
print(f(**d), d)

# === positional_only
def f(a, b=2, /, c=3):
    return a, b, c
print(f(1), f(1, 5), f(1, 5, c=6))
for kw in ({"a": 1}, {"b": 1}):
    try:
        f(0, **kw)
    except TypeError as e:
        print(e)

# === positional_only_name_in_kwargs
def f(a, /, **kw):
    return a, kw
print(f(1, a=2), f(1, **{"a": 3}))

# === keyword_only
def f(*, a, b=2):
    return a, b
print(f(a=1))
for args, kw in (((), {}), ((1,), {"a": 1}), ((), {"a": 1, "c": 2})):
    try:
        f(*args, **kw)
    except TypeError as e:
        print(e)

# === missing_positional
def f(a, b, c, d=1):
    pass
for args in ((), (1,), (1, 2)):
    try:
        f(*args)
    except TypeError as e:
        print(e)

# === missing_four
def f(a, b, c, d): pass
try:
    f()
except TypeError as e:
    print(e)

# === missing_keyword_only
def f(*, a, b, c): pass
for kw in ({}, {"a": 1}, {"a": 1, "b": 2}):
    try:
        f(**kw)
    except TypeError as e:
        print(e)

# === too_many_positional
def f(): pass
def g(a): pass
def h(a, b=1): pass
def k(a, *, c=1): pass
for fn, n in ((f, 1), (g, 2), (h, 3), (k, 2), (f, 3)):
    try:
        fn(*range(n))
    except TypeError as e:
        print(e)

# === too_many_with_keyword_only_given
def f(a, *, b): pass
try:
    f(1, 2, b=3)
except TypeError as e:
    print(e)
def g(a, b=1, *, c=1, d=2): pass
try:
    g(1, 2, 3, c=3, d=4)
except TypeError as e:
    print(e)

# === unexpected_keyword
def f(a): pass
def g(alpha=1, *, beta=2): pass
for fn, kw in ((f, {"b": 1}), (g, {"epsilon_": 1}), (f, {"a": 1, "x": 2})):
    try:
        fn(**kw)
    except TypeError as e:
        print(e)

# === multiple_values
def f(a, b=1): pass
for src in ("f(1, a=2)", "f(1, 2, b=3)", "f(*[1], a=1)", "f(1, **{'a': 1})"):
    try:
        exec(src)
    except TypeError as e:
        print(e)

# === multiple_values_two_mappings
def f(**kw): pass
try:
    f(**{"a": 1}, **{"a": 2})
except TypeError as e:
    print(e)
try:
    f(a=1, **{"a": 2})
except TypeError as e:
    print(e)

# === star_argument_not_iterable
def f(*a, **k): pass
for src in ("f(*5)", "f(**5)", "f(**[1])", "f(*None)", "f(**{1: 2})", "f(1, *2)"):
    try:
        exec(src)
    except TypeError as e:
        print(e)

# === star_after_keyword
def f(*a, **k):
    return a, k
print(f(x=1, *[2, 3]), f(1, *[2], 3, y=4, *[5]))

# === method_call_errors
class A:
    def m(self, x): pass
    def n(): pass
    @staticmethod
    def s(x): pass
    @classmethod
    def c(cls, x): pass
for src in ("A().m()", "A().m(1, 2)", "A.m()", "A().n()", "A.s()", "A().s(1, 2)", "A.c()", "A(1)", "A().m(y=1)"):
    try:
        exec(src)
    except TypeError as e:
        print(e)

# === init_errors
class A:
    def __init__(self, x, y=1): pass
class B:
    pass
class C:
    def __init__(self):
        return 5
for src in ("A()", "A(1, 2, 3)", "A(z=1)", "B(1)", "B(x=1)", "C()", "object(1)"):
    try:
        exec(src)
    except TypeError as e:
        print(e)

# === qualname_in_errors
def outer():
    def inner(a): pass
    return inner
class A:
    class B:
        def m(self, q): pass
for src in ("outer()()", "A.B().m()", "(lambda x: 0)()"):
    try:
        exec(src)
    except TypeError as e:
        print(e)

# === builtin_argument_errors
for src in ("len()", "len(1, 2)", "ord()", "abs(1, 2)", "isinstance(1)", "getattr(1)", "hash()", "iter()", "callable(1, 2)", "divmod(1)", "id()", "chr(1, 2)", "len(x=1)", "setattr(1, 2)", "repr()"):
    try:
        exec(src)
    except TypeError as e:
        print(e)

# === function_attributes
def f(a, b=1, *, c=2):
    "doc"
f.extra = 5
print(f.__name__, f.__qualname__, f.__doc__, f.__defaults__, f.__kwdefaults__, f.__dict__, f.__module__, f.extra, f.__closure__)
f.__name__ = "g"
f.__defaults__ = (9,)
print(f.__name__, f(1))

# === function_change_defaults
def f(a, b=1, *, c=2):
    return a, b, c
f.__defaults__ = (10, 20)
f.__kwdefaults__ = {"c": 30}
print(f(), f(1), f(1, 2, c=3))
f.__defaults__ = None
try:
    f()
except TypeError as e:
    print(e)

# === code_attributes
def f(a, b, /, c, *args, d, **kw):
    x = 1
    return x
c = f.__code__
print(c.co_name, c.co_argcount, c.co_posonlyargcount, c.co_kwonlyargcount, c.co_varnames, c.co_flags & 12, c.co_firstlineno, c.co_nlocals)

# === annotations
def f(a: int, b: "str" = "x", *args: float, c: list[int] = [], **kw: dict) -> None:
    pass
print(f.__annotations__)
x: int = 5
y: str
print(__annotations__, x)
try:
    y
except NameError as e:
    print(e)

# === annotation_local_not_evaluated
def f():
    x: undefined_name = 1
    y: also_undefined
    return x
print(f())

# === future_annotations
from __future__ import annotations
def f(a: undefined, b: int | None = None) -> list[whatever]:
    return a
class C:
    z: nothing[1, 2] = 3
print(f.__annotations__, C.__annotations__)

# === lambda_forms
print((lambda: 1)(), (lambda x: x + 1)(2), (lambda x, y=5, *a, k=1, **kw: (x, y, a, k, kw))(1, 2, 3, k=4, z=5), (lambda *a: a)(1, 2), (lambda a, /, b: a - b)(5, b=3))
print((lambda: 0).__name__, (lambda: (yield))().__class__.__name__)

# === lambda_in_loop
fs = [lambda: i for i in range(3)]
gs = [lambda i=i: i for i in range(3)]
print([f() for f in fs], [g() for g in gs])

# === closure_counter
def counter():
    n = 0
    def inc(by=1):
        nonlocal n
        n += by
        return n
    def get():
        return n
    return inc, get
inc, get = counter()
inc(); inc(5)
other, _ = counter()
print(get(), other())

# === closure_cells
def f():
    a, b = 1, [2]
    def g():
        return a, b
    return g
g = f()
print(g.__code__.co_freevars, [c.cell_contents for c in g.__closure__], f.__code__.co_cellvars)
g.__closure__[0].cell_contents = 99
print(g())

# === closure_late_binding
def f():
    def g():
        return x
    x = 1
    a = g()
    x = 2
    return a, g()
print(f())

# === closure_unbound
def f():
    def g():
        return x
    try:
        g()
    except NameError as e:
        print(type(e).__name__, e)
    x = 1
    return g()
print(f())

# === closure_deleted
def f():
    x = 1
    def g():
        return x
    del x
    try:
        g()
    except NameError as e:
        print(e)
f()

# === nonlocal_levels
def a():
    x = "a"
    def b():
        def c():
            nonlocal x
            x = "c"
        c()
        return x
    return b(), x
print(a())

# === global_statement
x = 1
def f():
    global x, created
    x += 1
    created = "new"
f()
print(x, created)

# === local_shadows_global
x = 1
def f():
    x = 2
    return x
print(f(), x)

# === unbound_local
x = 1
def f():
    print(x)
    x = 2
try:
    f()
except UnboundLocalError as e:
    print(e)
def g():
    x += 1
try:
    g()
except UnboundLocalError as e:
    print(e)

# === unbound_after_del
def f():
    y = 1
    del y
    return y
try:
    f()
except UnboundLocalError as e:
    print(e)
def g(flag):
    if flag:
        z = 1
    return z
print(g(True))
try:
    g(False)
except UnboundLocalError as e:
    print(e)

# === except_name_deleted
try:
    1 / 0
except ZeroDivisionError as e:
    pass
try:
    e
except NameError as err:
    print(err)

# === class_scope_not_enclosing
x = "global"
def f():
    x = "local"
    class C:
        print(x)
        x = "class"
        print(x)
        def m(self):
            return x
    return C().m()
print(f())

# === class_scope_comprehension
class C:
    a = [1, 2]
    b = [x for x in a]
    n = 3
    try:
        c = [x * n for x in a]
    except NameError as e:
        c = str(e)
print(C.b, C.c)

# === comprehension_own_scope
x = "outer"
y = [x for x in range(3)]
print(x, y)
print([i for i in range(2)], "i" in globals())

# === generator_expression_scope
n = 2
g = (n * x for x in [1, 2])
n = 10
print(list(g))
xs = [1, 2]
g = (x for x in xs)
xs = [3]
print(list(g))

# === comprehension_closure
fs = [lambda: x for x in range(3)]
print([f() for f in fs])
print([[f() for f in [lambda: (x, y) for y in range(2)]] for x in range(2)])

# === globals_locals
g = 5
def f(a):
    b = 2
    return sorted(locals().items()), "g" in globals(), "f" in globals()
print(f(1))
globals()["h"] = 7
print(h)

# === locals_in_class
class C:
    x = 1
    names = sorted(k for k in dir() if k == "x")
    locals()["y"] = 2
print(C.names, C.y)

# === name_errors_suggest
value = 1
def f():
    return valeu
try:
    f()
except NameError as e:
    print(e, e.name)

# === decorators_order
def deco(n):
    print("make", n)
    def d(f):
        print("apply", n, f.__name__)
        return f
    return d
@deco(1)
@deco(2)
def f():
    return "f"
print(f())

# === decorator_any_expression
ds = [lambda f: "replaced"]
@ds[0]
def f(): pass
print(f)
@(lambda c: c.__name__.lower())
class ABC: pass
print(ABC)
@(x := lambda f: f)
def g(): return 1
print(g(), x is not None)

# === decorator_class_and_wraps
import functools
class Count:
    def __init__(self, f):
        functools.update_wrapper(self, f)
        self.f, self.n = f, 0
    def __call__(self, *a):
        self.n += 1
        return self.f(*a)
@Count
def add(a, b):
    "adds"
    return a + b
print(add(1, 2), add(3, 4), add.n, add.__name__, add.__doc__, add.__wrapped__(1, 1))

# === recursion
def fact(n):
    return 1 if n <= 1 else n * fact(n - 1)
def even(n): return n == 0 or odd(n - 1)
def odd(n): return n != 0 and even(n - 1)
print(fact(20), even(100), odd(7))

# === recursion_limit
import sys
def f(n):
    return f(n + 1)
try:
    f(0)
except RecursionError as e:
    print(e)
sys.setrecursionlimit(100)
def depth(n):
    try:
        return depth(n + 1)
    except RecursionError:
        return n
print(50 < depth(0) < 100, sys.getrecursionlimit())

# === recursion_caught_and_continues
def f():
    return f()
for _ in range(3):
    try:
        f()
    except RecursionError as e:
        print(type(e).__name__)

# === ackermann
def ack(m, n):
    if m == 0:
        return n + 1
    return ack(m - 1, 1 if n == 0 else ack(m, n - 1))
print(ack(2, 3), ack(1, 5))

# === hanoi
def hanoi(n, a, b, c, out):
    if n:
        hanoi(n - 1, a, c, b, out)
        out.append((a, c))
        hanoi(n - 1, b, a, c, out)
    return out
print(hanoi(3, "A", "B", "C", []))

# === partial_and_compose
def compose(*fs):
    def run(x):
        for f in reversed(fs):
            x = f(x)
        return x
    return run
print(compose(str, lambda x: x + 1, abs)(-5), compose()(3))

# === many_arguments
names = [f"a{i}" for i in range(300)]
ns = {}
exec(f"def f({', '.join(names)}): return a0 + a299, len(locals())", ns)
print(ns["f"](*range(300)), ns["f"](**dict(zip(names, range(300)))))

# === nested_functions_names
def a():
    def b():
        class C:
            def m(self): pass
            l = lambda: 0
        return C
    return b
print(a()().m.__qualname__, a()().l.__qualname__, a().__qualname__, a()().__qualname__)

# === method_objects
class A:
    def m(self): return self
a = A()
m = a.m
print(m() is a, m.__self__ is a, m.__func__ is A.m, a.m == a.m, a.m is a.m, A.m is A.m, m.__name__, hash(a.m) == hash(a.m))
try:
    m.x = 1
except AttributeError as e:
    print(type(e).__name__)

# === function_as_values
import operator
table = {"+": operator.add, "-": lambda a, b: a - b, "max": max}
print([table[k](7, 3) for k in ("+", "-", "max")])

# === return_in_loops
def find(xs, t):
    for i, row in enumerate(xs):
        for j, v in enumerate(row):
            if v == t:
                return i, j
    else:
        return "none"
print(find([[1, 2], [3, 4]], 3), find([], 1))

# === loop_else_break_continue
for n in range(2, 10):
    for x in range(2, n):
        if n % x == 0:
            break
    else:
        print(n, "prime")
        continue
i = 0
while i < 5:
    i += 1
    if i == 2:
        continue
    if i == 4:
        break
else:
    print("not printed")
print(i)

# === while_else
n = 3
while n:
    n -= 1
else:
    print("else", n)
for _ in []:
    pass
else:
    print("for else")

# === loop_variable_survives
for i in range(3):
    pass
print(i)
for j in []:
    pass
print("j" in globals())

# === pass_ellipsis_bodies
def f(): ...
class C: ...
if True: ...
for _ in (): pass
print(f(), C.__name__)

# === semicolons_and_continuation
a = 1; b = 2; print(a, b)
c = a + \
    b
d = (a +
     b)
if a: print(c, d); print("same line")

# === assert_statement
try:
    assert 1 == 2, "message"
except AssertionError as e:
    print(repr(e))
try:
    assert []
except AssertionError as e:
    print(repr(e), e.args)
assert True
try:
    assert 0, (1, 2)
except AssertionError as e:
    print(e)

# === debug_constant
print(__debug__, __name__, type(__builtins__).__name__)

# === kwargs_order
def f(**kw):
    return list(kw)
print(f(z=1, a=2, m=3, **{"b": 4}), f(**dict(q=1, **{"c": 2})))

# === keyword_names_unicode
def f(é=1, ß=2):
    return é + ß
print(f(é=5), f(**{"ß": 7}))
ﬁ = 3
print(fi)

# === args_mutation_not_visible
def f(*args):
    args += (9,)
    return args
t = (1, 2)
print(f(*t), t)

# === call_evaluates_function_first
def get(n):
    print("get", n)
    return lambda *a: a
def arg(n):
    print("arg", n)
    return n
print(get(1)(arg(2), arg(3)))
n = None
try:
    n(arg(4))
except TypeError as e:
    print(e)
