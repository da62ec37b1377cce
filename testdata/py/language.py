# The Language Reference, section by section: what the other areas leave out.

# === indent_one_space_and_mixed_blocks
if 1:
 x = 1
 if x:
       y = 2
       print(x, y)
 print("one space")

# === statement_on_one_line
if 1: a = 1; b = 2
for i in range(2): print(i, end=" "); print("x", end=" ")
while b: b -= 1
else: print("done")
class C: x = 1; y = 2
def f(): return 1; print("never")
print(a, C.x + C.y, f())

# === parenthesized_forms
print((), (1), (1,), (yield_ := 5), ((((3)))), [], [()], {}, ({},))

# === string_literal_prefixes_case
x = 3
print(R"\n", r"\n", B"a", b"a", Rb"\x", bR"\x", F"{x}", f"{x}", fR"{x}\n", u"u", U"u")

# === implicit_concatenation_everywhere
def f(a, b): return a + b
print(f("a" "b", "c"
        "d"), ["x" "y", "z"], {"k" "1": "v" "2"}, ("p"
    "q"))

# === attribute_reference_on_literals
print("abc".upper(), [3, 1].index(1), {1: 2}.get(1), (1, 2).count(1), b"x".hex(), 1.5.is_integer(), {1}.union({2}), "".join(["a"]), f"{1}".zfill(3), None.__class__.__name__, True.real, ....__class__.__name__)

# === subscription_forms
class K:
    def __class_getitem__(cls, k): return k
print(K[1], K[1, 2], K[1:2], K[1:2, ...], K[*(1, 2), 3], K[()], K[1,], K[lambda: 0] is not None, K["a" "b"])

# === slicing_with_objects
class S:
    def __getitem__(self, k): return (k.start, k.stop, k.step)
s = S()
print(s[:], s[1:], s[:2], s[::3], s["a":"b":None], s[None:], s[(1, 2):], s[-1:-2:-3], s[1 if True else 2:3])

# === call_trailing_comma_and_newlines
def f(*a, **k): return a, k
print(f(1, 2,), f(
    1,
    *[2],
    k=3,
), f(*(), **{},))

# === await_power_unary_precedence
class N:
    def __init__(self, n): self.n = n
    def __pow__(self, o): return f"({self.n}**{o.n if isinstance(o, N) else o})"
    def __neg__(self): return N(f"-{self.n}")
    def __invert__(self): return N(f"~{self.n}")
a, b = N("a"), N("b")
print(a ** b, (-a) ** b, a ** -b, -2 ** 2, (-2) ** 2, 2 ** -2, -2 ** -2, --2, ~-3, not not 0)

# === binary_associativity
class T:
    def __init__(self, s): self.s = s
    def __sub__(self, o): return T(f"({self.s}-{o.s})")
    def __pow__(self, o): return T(f"({self.s}^{o.s})")
    def __truediv__(self, o): return T(f"({self.s}/{o.s})")
    def __lshift__(self, o): return T(f"({self.s}<<{o.s})")
    def __or__(self, o): return T(f"({self.s}|{o.s})")
    def __and__(self, o): return T(f"({self.s}&{o.s})")
    def __xor__(self, o): return T(f"({self.s}^^{o.s})")
    def __matmul__(self, o): return T(f"({self.s}@{o.s})")
a, b, c = T("a"), T("b"), T("c")
print((a - b - c).s, (a ** b ** c).s, (a / b / c).s, (a << b << c).s, (a | b & c ^ a).s, (a - b << c).s, (a @ b / c).s)

# === comparison_associativity_and_not
print(not 1 < 2, not 1 == 1, 1 < 2 == True, (1 < 2) == True, 3 > 2 > 1 != 0, 1 in [1, 2] != False, not 1 in [2], "a" < "b" < "c" > "a")

# === boolean_operators_precedence
print(True or False and False, (True or False) and False, not True or True, not (True or True), 1 or 0 and 0, 0 or 0 and 1 or 3, not 0 and 5)

# === conditional_expression_nesting
f = lambda n: "neg" if n < 0 else "zero" if n == 0 else "small" if n < 10 else "big"
print([f(n) for n in (-1, 0, 5, 50)], (1 if 0 else 2) if (0 if 1 else 1) else 3, [1 if x else 2 for x in (0, 1)], (lambda: 1 if 0 else 2)())

# === lambda_body_precedence
f = lambda x: x + 1, 5
g = lambda: (1, 2)
print(f[1], g(), (lambda x: x or "dflt")(0), (lambda *, k=2: k)(), (lambda x: (yield x)).__name__)

# === expression_lists_and_starred
a = 1, 2
b = *a, 3
c = [*a, *b]
d = (*a,)
for x in *a, 9: print(x, end=" ")
def f(): return *a, 0
print(b, c, d, f(), {*a}, [*{}], (*[], ))

# === evaluation_order_operands
log = []
def n(x):
    log.append(x)
    return x
n(1) + n(2) * n(3) ** n(2)
n(4), n(5)
(n(6), n(7))[n(0)]
{n(8): n(9)}
n(10) if n(11) else n(12)
n(13) < n(14) < n(15)
print(log)

# === evaluation_order_call
log = []
def n(x):
    log.append(x)
    return x
def f(*a, **k): return lambda *b, **c: log.append("called")
f(n(1))(n(2), *[n(3)], n(4), k=n(5), **{"z": n(6)})
print(log)

# === evaluation_order_assignment
log = []
class O:
    def __init__(self, n): object.__setattr__(self, "n", n)
    def __setattr__(self, k, v): log.append((self.n, k, v))
    def __setitem__(self, k, v): log.append((self.n, k, v))
def o(n):
    log.append(n)
    return O(n)
def v(x):
    log.append(("value", x))
    return x
o("a").x = o("b")[v("key")] = v(1)
o("c").y, o("d").z = v(2), v(3)
print(log)

# === evaluation_order_augmented
log = []
class L(list):
    def __getitem__(self, i):
        log.append(("get", i))
        return super().__getitem__(i)
    def __setitem__(self, i, v):
        log.append(("set", i, v))
        super().__setitem__(i, v)
def f(n, v):
    log.append(n)
    return v
l = L([1, 2])
f("obj", l)[f("idx", 0)] += f("val", 5)
print(log)

# === evaluation_order_slices_delete
log = []
class O:
    def __delitem__(self, k): log.append(("del", k))
    def __getitem__(self, k): log.append(("get", k))
def n(x):
    log.append(x)
    return x
o = O()
del o[n(1)], o[n(2):n(3)]
o[n(4):n(5):n(6)]
print(log)

# === evaluation_order_comprehension
log = []
def n(x):
    log.append(x)
    return x
[n(("e", x)) for x in n([1, 2]) if n(("if", x))]
{n(("k", x)): n(("v", x)) for x in [1]}
print(log)

# === evaluation_order_class_def
log = []
def n(x):
    log.append(x)
    return x
def deco(c):
    log.append("deco")
    return c
@n(deco)
class C(n(object), metaclass=n(type)):
    log.append("body")
print([x if isinstance(x, str) else getattr(x, "__name__", x) for x in log])

# === evaluation_order_try_with
log = []
class CM:
    def __init__(self, n): log.append(("init", n)); self.n = n
    def __enter__(self): log.append(("enter", self.n))
    def __exit__(self, *a): log.append(("exit", self.n))
with CM(1), CM(2):
    log.append("body")
print(log)

# === assert_side_effects
def f():
    print("evaluated")
    return True
assert f()
assert f(), print("message not evaluated")
try:
    assert not f(), print("message evaluated")
except AssertionError as e:
    print(e.args)

# === del_statement_targets
x = [1, 2, 3, 4]
class O: pass
o = O()
o.a = 1
d = {"k": 1}
del x[0], o.a, (d["k"]), x[1:]
print(x, o.__dict__, d)
del (x)
print("x" in globals())

# === del_errors
for src in ("del undefined_d", "del (1,)[0]", "del {}['k']", "del [][0]", "def f():\n del y\nf()", "class C: pass\ndel C.x"):
    try:
        exec(src)
    except Exception as e:
        print(type(e).__name__, e)

# === raise_from_forms
def show(e): print(repr(e), repr(e.__cause__), repr(e.__context__), e.__suppress_context__)
for src in ("raise ValueError('a') from KeyError('b')", "raise ValueError from None", "raise (ValueError, 1)[0]('t')", "raise ValueError('x') from ValueError"):
    try:
        exec(src)
    except ValueError as e:
        show(e)

# === global_at_module_and_nested
global top
top = 1
def f():
    global top, made
    top += 1
    made = [top]
    def g():
        return made, top
    return g
print(f()(), top, made)

# === nonlocal_shared_between_closures
def f():
    x = 0
    def a():
        nonlocal x
        x += 1
    def b():
        nonlocal x
        x *= 10
    def get(): return x
    return a, b, get
a, b, get = f()
a(); b(); a()
print(get())

# === class_scope_rules
x = 1
class A:
    x = 2
    y = x
    def f(self): return x
    z = (lambda: x)()
    w = [x for _ in range(1)]
    first = [i for i in range(x)]
print(A.y, A().f(), A.z, A.w, A.first)

# === class_scope_global_nonlocal
x = "global"
def f():
    x = "local"
    class A:
        global x
        x = "set by class"
    class B:
        nonlocal x
        x = "nonlocal set"
    return x, hasattr(A, "x"), hasattr(B, "x")
print(f(), x)

# === class_body_conditional_loop_try
class C:
    for _i in range(3):
        locals()[f"a{_i}"] = _i
    if True:
        b = "yes"
    else:
        c = "no"
    try:
        1 / 0
    except ZeroDivisionError:
        d = "caught"
    with __import__("contextlib").nullcontext(5) as e:
        pass
print(C.a0, C.a2, C.b, hasattr(C, "c"), C.d, C.e)

# === function_in_class_not_bound_to_siblings
class C:
    def helper(): return "h"
    val = helper()
    def m(self):
        try:
            return helper()
        except NameError as e:
            return str(e)
print(C.val, C().m(), C.helper())

# === default_args_see_class_scope
class C:
    n = 5
    def f(self, k=n): return k
    g = lambda self, k=n: k * 2
print(C().f(), C().g())

# === nested_function_default_capture
def f():
    x = 1
    def g(a=x): return a
    x = 2
    return g(), (lambda a=x: a)()
print(f())

# === star_import_respects_all
import sys, types
m = types.ModuleType("m_all")
exec("__all__ = ['a', '_b']\na = 1\n_b = 2\nc = 3", m.__dict__)
sys.modules["m_all"] = m
n = types.ModuleType("m_no")
exec("a2 = 1\n_b2 = 2", n.__dict__)
sys.modules["m_no"] = n
from m_all import *
from m_no import *
print(a, _b, "c" in globals(), a2, "_b2" in globals())
m.__all__ = ["missing"]
try:
    exec("from m_all import *")
except AttributeError as e:
    print(e)

# === import_submodule_binding
import os.path
import xml.dom as d
print(os.__name__, d.__name__)
import importlib.util as u
from importlib import util
print(u is util)

# === import_as_attribute_and_cached
import sys, types
m = types.ModuleType("fake_pkg")
m.sub = types.ModuleType("fake_pkg.sub")
m.__path__ = []
sys.modules["fake_pkg"], sys.modules["fake_pkg.sub"] = m, m.sub
import fake_pkg.sub
import fake_pkg.sub as s
print(fake_pkg.sub is s, s.__name__)
sys.modules["blocked"] = None
try:
    import blocked
except ImportError as e:
    print(e)

# === module_getattr_dir
import sys, types
m = types.ModuleType("lazy")
exec("def __getattr__(n):\n    if n == 'x': return 42\n    raise AttributeError(f'no {n}')\ndef __dir__(): return ['x']", m.__dict__)
sys.modules["lazy"] = m
from lazy import x
print(x, m.x, dir(m))
try:
    from lazy import y
except ImportError as e:
    print(str(e)[:24])

# === dunder_all_attributes_of_main
print(__name__, __doc__, __package__, __spec__, __builtins__.__name__, __annotations__)

# === future_imports_are_features
from __future__ import annotations, division, print_function, generator_stop
print(annotations, division.optional, 7 / 2)

# === unreachable_code_still_binds
def f():
    if False:
        x = 1
    return x
try:
    f()
except UnboundLocalError as e:
    print(e)
def g():
    return 5
    yield
print(type(g()).__name__, list(g()))

# === yield_makes_generator_even_if_dead
def f():
    if False:
        yield
    return 3
try:
    next(f())
except StopIteration as e:
    print(e.value)

# === with_statement_tuple_value
class CM:
    def __enter__(self): return (1, 2)
    def __exit__(self, *a): return False
with CM() as (a, b), CM() as c:
    print(a, b, c)
with (CM()) as d, (CM() if True else CM()):
    print(d)

# === for_target_forms
class O: pass
o, l, d = O(), [0], {}
for o.a in range(2): pass
for l[0] in "xy": pass
for d["k"], d["v"] in [(1, 2)]: pass
for (a, [b, *c]) in [(1, [2, 3, 4])]: pass
for i, in [(5,)]: pass
print(o.a, l, d, a, b, c, i)

# === for_modifies_iterated_name
xs = [1, 2, 3]
for x in xs:
    xs = []
    print(x, end=" ")
print(xs)
for n in range(3):
    for n in range(n): pass
    print(n, end=" ")
print()

# === while_condition_walrus
data = iter([3, 2, 1, 0, 5])
while (n := next(data)):
    print(n, end=" ")
print("stopped at", n)

# === try_return_in_all_clauses
def f(n):
    try:
        if n == 0: return "try"
        if n == 1: raise ValueError
        if n == 2: raise KeyError
    except ValueError:
        return "except"
    except KeyError:
        pass
    else:
        return "else"
    finally:
        if n == 2: return "finally"
    return "end"
print([f(n) for n in range(4)])

# === try_nested_finally_continue_break
out = []
for i in range(4):
    try:
        try:
            if i == 1: continue
            if i == 3: break
            out.append(i)
        finally:
            out.append(f"inner{i}")
    finally:
        out.append(f"outer{i}")
print(out)

# === exception_in_except_type_expression
try:
    try:
        raise ValueError("original")
    except undefined_type:
        pass
except NameError as e:
    print(e, "|", repr(e.__context__))

# === exception_star_types_and_names
try:
    raise ExceptionGroup("g", [ValueError("v"), ExceptionGroup("h", [OSError("o")])])
except* OSError as eg:
    print(eg.exceptions)
    name = eg
except* ValueError as eg:
    print(eg.exceptions[0])
print("eg" in globals(), type(name).__name__)

# === type_params_scope
T = "outer"
def f[T](x: T) -> T:
    return T.__name__, x
class C[T]:
    t = T
    def m[U](self, u: U): return U.__name__, T.__name__
type A[T] = list[T]
print(f(1), C.t, C().m(1), T, A.__type_params__[0], f.__annotations__["x"])

# === type_params_lazy_bounds
def f[T: Undefined](x: T): return x
print(f(5), f.__type_params__[0].__name__)
try:
    f.__type_params__[0].__bound__
except NameError as e:
    print(e)
type R = list[R] | None
print(R.__value__)

# === decorators_evaluated_top_down_applied_bottom_up
def d(n):
    print("eval", n)
    def w(f):
        print("apply", n)
        return f
    return w
class C:
    @d("m1")
    @d("m2")
    def m(self): pass
    @d("p")
    @property
    def p(self): return 1
print(C().p)

# === positional_only_keyword_same_name_kwargs
def f(name, /, **kw): return name, kw
print(f("x", name="y"), f(*["z"], **{"name": 1, "other": 2}))

# === keyword_only_after_star_args_defaults
def f(a, *b, c, d=lambda: 5, **e): return a, b, c, d() if callable(d) else d, e
print(f(1, c=2), f(1, 2, 3, c=4, d=6, z=7))

# === annotations_on_everything
class A:
    x: int
    y: "str" = "s"
    (z): float = 1.5
def f(a: 1 + 1, *b: "b", c: print = 3, **d: None) -> [].append: pass
print(A.__annotations__, hasattr(A, "x"), A.z, {k: v for k, v in f.__annotations__.items() if k != "return"})
o = A()
o.attr: int = 5
lst: list = [0]
lst[0]: int = 9
print(o.attr, lst, "attr" in A.__annotations__)

# === unicode_escapes_identifiers_strings
print("\u0061\U00000062\x63\144\N{LATIN SMALL LETTER E}", "a\
b", len("\\\n"), "\
x", '\'', "\"", '\\', "\r" == "\x0d")

# === integer_literal_methods_and_underscores
print(0b1_0, 0o1_7, 0x_f, 1_0.0_1e1_0, 1_0j, 0_0, 0e0, 0.0, .5e-3, 5.e2, 1e+5, 0xABCdef)

# === ellipsis_as_placeholder
def f(): ...
class C: ...
x = ...
print(f(), x, [...], {...: 1}, ... == Ellipsis, type(...)() is ...)

# === comparison_of_everything_with_none
print(None == 0, None == False, None == "", None is None, None != [], [None] == [None], None in (0, None), not None, None or 5, None and 5)

# === object_identity_of_constants
def f(): return (1, 2)
def g(): return "const"
print(f() is f(), g() is g(), f() == (1, 2))

# === multiple_assignment_shared
a = b = c = []
a.append(1)
b += [2]
c = c + [3]
print(a, b, c, a is b, b is c)
i = j = 0
i += 1
print(i, j)

# === swap_and_rotate
a, b, c = 1, 2, 3
a, b, c = c, a, b
print(a, b, c)
l = [1, 2, 3]
l[0], l[-1] = l[-1], l[0]
i = 0
i, l[i] = 1, "second"
print(l, i)

# === chained_methods_and_calls
class B:
    def __init__(self): self.v = []
    def __call__(self, x):
        self.v.append(x)
        return self
    def __getitem__(self, k):
        self.v.append([k])
        return self
    def __getattr__(self, n):
        self.v.append(n)
        return self
print(B()(1)[2].x(3)["k"].y.v)

# === large_literals
print(len([0] * 0 or [
    1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20, 21, 22, 23, 24, 25, 26, 27, 28, 29, 30, 31, 32, 33,
]), 0xffffffffffffffffffffffffffffffffffffffff, sum((1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18)), len({"a": 1, "b": 2, "c": 3, "d": 4, "e": 5, "f": 6, "g": 7, "h": 8, "i": 9, "j": 10, "k": 11, "l": 12, "m": 13, "n": 14, "o": 15, "p": 16, "q": 17}))

# === deeply_nested_data_and_blocks
x = [[[[[[[[[[1]]]]]]]]]]
for _ in range(10):
    x = x[0]
print(x)
if 1:
    if 1:
        if 1:
            for i in (1,):
                while True:
                    with __import__("contextlib").nullcontext():
                        try:
                            if i:
                                print("deep")
                                break
                        finally:
                            print("unwound")

# === long_elif_chain
def f(n):
    if n == 0: return "a"
    elif n == 1: return "b"
    elif n == 2: return "c"
    elif n == 3: return "d"
    elif n > 100: return "big"
    elif n < 0: return "neg"
    else: return "other"
print([f(n) for n in (0, 1, 2, 3, 50, 500, -5)])

# === exec_with_separate_scopes
g, l = {"x": 1}, {"y": 2}
exec("z = x + y\ndef f(): return x\nclass C: v = x", g, l)
print(l["z"], l["f"](), l["C"].v, "z" in g)
try:
    exec("class C: v = y", g, l)
except NameError as e:
    print(e)
try:
    exec("def f(): return y\nf()", g, l)
except NameError as e:
    print(e)

# === eval_sees_comprehension_scope
x = 5
print(eval("[x * i for i in range(3)]"), eval("[i for i in range(n)]", {"n": 2}), eval("(lambda: x)()"), eval("{k: v for k, v in d.items()}", {"d": {1: 2}}))

# === compile_flags_and_future
src = "def f(x: undefined): pass"
import __future__
c = compile(src, "s", "exec", flags=__future__.annotations.compiler_flag)
ns = {}
exec(c, ns)
print(ns["f"].__annotations__)
import ast
print(type(compile("1", "s", "eval", ast.PyCF_ONLY_AST)).__name__, compile("assert 0\nx = __debug__", "s", "exec", optimize=1) is not None)

# === docstrings_variants
def a(): "d" "oc"
def b(): f"not doc"
def c(): b"not doc"
def d():
    # comment
    '''real'''
def e(): ("paren doc")
class F:
    x = 1
    "not doc"
print(a.__doc__, b.__doc__, c.__doc__, d.__doc__, e.__doc__, F.__doc__)

# === async_syntax_forms
import asyncio
async def gen():
    for i in range(3): yield i
class CM:
    async def __aenter__(self): return 7
    async def __aexit__(self, *a): pass
async def main():
    async with CM() as a, CM() as b: print(a, b)
    async for i in gen(): print(i, end=" ")
    else: print("else")
    print([await asyncio.sleep(0, x) async for x in gen() if x], -(await asyncio.sleep(0, 2)) ** 2)
    return lambda: 5
print(asyncio.run(main())())
