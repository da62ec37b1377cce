# Match statements, with statements, comprehensions in odd places.

# === literal
def f(x):
    match x:
        case 1: return "one"
        case "a": return "letter"
        case 2.5: return "float"
        case -3: return "minus"
        case 1 + 2j: return "complex"
        case b"x": return "bytes"
        case _: return "other"
print([f(x) for x in (1, 1.0, True, "a", 2.5, -3, 1 + 2j, b"x", None, "b")])

# === singletons_by_identity
def f(x):
    match x:
        case True: return "True"
        case False: return "False"
        case None: return "None"
        case 1: return "1"
        case 0: return "0"
print(f(True), f(1), f(False), f(0), f(0.0), f(None), f("x"))

# === capture_and_wildcard
def f(x):
    match x:
        case [_, y]: return y
        case z: return ("all", z)
print(f([1, 2]), f(5))

# === or_pattern
def f(x):
    match x:
        case 1 | 2 | 3: return "small"
        case [a, 0] | [0, a]: return ("axis", a)
        case "x" | None: return "xn"
print(f(2), f([5, 0]), f([0, 6]), f(None), f(9))

# === as_pattern
def f(x):
    match x:
        case [1 | 2 as n, *_] as whole: return n, whole
        case (int() | str()) as v: return v
print(f([2, 5, 6]), f("q"), f(2.5))

# === sequence
def f(x):
    match x:
        case []: return "empty"
        case [a]: return ("one", a)
        case [a, b]: return ("two", a, b)
        case [a, *rest]: return (a, rest)
print(f([]), f([1]), f((1, 2)), f(range(4)), f("ab"), f(b"ab"), f({1: 2}), f({1}), f(iter([])))

# === sequence_star_positions
def f(x):
    match x:
        case [*a, 9]: return ("end", a)
        case [1, *m, 2]: return ("mid", m)
        case [1, *_]: return "starts 1"
        case (_, _, *_): return "two or more"
print(f([3, 9]), f([9]), f([1, 5, 2]), f([1, 2]), f([1]), f([5, 6, 7]), f([5]))

# === sequence_nested
match [1, [2, [3, 4]], "x"]:
    case [a, [b, [c, *d]], str(e)]:
        print(a, b, c, d, e)

# === sequence_types
from collections import deque, UserList
import array
for x in (deque([1, 2]), UserList([1, 2]), array.array("i", [1, 2]), memoryview(b"\x01\x02"), bytearray(b"\x01\x02"), "12"):
    match x:
        case [1, 2]: print(type(x).__name__, "sequence")
        case _: print(type(x).__name__, "no")

# === mapping
def f(x):
    match x:
        case {"type": "point", "x": x, "y": y}: return x, y
        case {"k": [a, *_], **rest}: return a, rest
        case {1: _, None: v}: return v
        case {}: return "any mapping"
    return "no"
print(f({"type": "point", "x": 1, "y": 2, "z": 3}), f({"k": [7, 8], "q": 1}), f({1: 2, None: 3}), f({}), f({"z": 1}), f([]))

# === mapping_missing_not_called
from collections import defaultdict
d = defaultdict(int)
match d:
    case {"a": x}: print("bound", x)
    case _: print("no key", dict(d))

# === mapping_custom
from collections.abc import Mapping
class M(Mapping):
    def __getitem__(self, k): return {"a": 1}[k]
    def __len__(self): return 1
    def __iter__(self): return iter("a")
match M():
    case {"a": v, **r}: print(v, r)

# === mapping_value_keys
import math
class K:
    A = "a"
match {"a": 1, 3.14: 2}:
    case {K.A: v}: print(v)

# === mapping_duplicate_keys_runtime
class K:
    A = "a"
try:
    match {"a": 1, "b": 2}:
        case {K.A: x, "a": y}: print("no")
except ValueError as e:
    print(e)

# === class_positional
class P:
    __match_args__ = ("x", "y")
    def __init__(self, x, y): self.x, self.y = x, y
def f(p):
    match p:
        case P(0, 0): return "origin"
        case P(0, y): return ("on y", y)
        case P(x, y=0): return ("on x", x)
        case P(x=a, y=b) if a == b: return ("diag", a)
        case P(): return "somewhere"
print(f(P(0, 0)), f(P(0, 5)), f(P(6, 0)), f(P(3, 3)), f(P(1, 2)), f(5))

# === class_builtin_positional
def f(x):
    match x:
        case bool(b): return ("bool", b)
        case int(n) if n > 100: return ("big", n)
        case int(n): return ("int", n)
        case str(s): return ("str", s)
        case list([a, *_]): return ("list", a)
        case tuple(): return "tuple"
        case float() | complex(): return "num"
        case dict(d): return d
print([f(x) for x in (True, 500, 5, "s", [1, 2], (), 1.5, 2j, {1: 2}, [])])

# === class_errors
class P:
    __match_args__ = ("x",)
    x = 1
class Q:
    pass
class R:
    __match_args__ = ["x"]
class S:
    __match_args__ = (1,)
def a():
    match P():
        case P(1, 2): pass
def b():
    match Q():
        case Q(1): pass
def c():
    match R():
        case R(1): pass
def d():
    match S():
        case S(1): pass
def e():
    match P():
        case P(1, x=1): pass
def g():
    x = 5
    match P():
        case x(): pass
def h():
    match 5:
        case int(1, 2): pass
for fn in (a, b, c, d, e, g, h):
    try:
        fn()
        print("ok")
    except TypeError as err:
        print(err)

# === class_missing_attribute
class P:
    __match_args__ = ("zz",)
match P():
    case P(a): print("matched")
    case P(other=_): print("other")
    case _: print("fallthrough")

# === class_property_raises
class P:
    @property
    def x(self): raise ValueError("from property")
try:
    match P():
        case P(x=1): pass
except ValueError as e:
    print(e)

# === value_pattern
class Color:
    RED = 1
    GREEN = 2
class NS:
    inner = Color
def f(c):
    match c:
        case Color.RED: return "red"
        case NS.inner.GREEN: return "green"
    return "?"
print(f(1), f(2), f(3))

# === value_pattern_uses_eq
class E:
    def __eq__(self, o):
        print("eq called with", o)
        return True
class N:
    V = E()
match 5:
    case N.V: print("matched")

# === guard_order
def g(n, r):
    print("guard", n)
    return r
match 5:
    case x if g(1, False): print("no")
    case x if g(2, True): print("yes", x)
    case _ if g(3, True): print("never")

# === guard_binding_leaks
match [1, 2]:
    case [a, b] if a > b: print("no")
    case _: print(a, b)

# === failed_match_bindings
x = "kept"
match (1, 2):
    case (x, 3): pass
print(x)

# === no_match_is_silent
match 5:
    case 6: print("no")
print("after")

# === subject_evaluated_once
def s():
    print("subject")
    return 3
match s():
    case 1: pass
    case 2: pass
    case 3: print("three")

# === subject_tuple
match 1, 2:
    case 1, x: print(x)
match *[1, 2], 3:
    case [*a]: print(a)
match (y := 5):
    case 5: print(y)

# === soft_keywords
match = 1
case = 2
_ = 3
type = 4
print(match, case, _, type)
print(match + case)
match case:
    case 2: print("soft")

# === soft_keyword_calls
def match(x): return ("call", x)
print(match(5), match (6))
match ([1])
type = lambda x: x
print(type (3))

# === dataclass_match
from dataclasses import dataclass
@dataclass
class Num: v: float
@dataclass
class Add: l: object; r: object
@dataclass
class Mul: l: object; r: object
def ev(e):
    match e:
        case Num(v): return v
        case Add(l, r): return ev(l) + ev(r)
        case Mul(Num(0), _) | Mul(_, Num(0)): return 0
        case Mul(l, r): return ev(l) * ev(r)
print(ev(Add(Num(2), Mul(Num(3), Num(4)))), ev(Mul(Num(0), Num(9))))

# === enum_match
from enum import Enum
class C(Enum):
    A = 1
    B = 2
def f(c):
    match c:
        case C.A: return "a"
        case C.B: return "b"
        case 1: return "int"
print(f(C.A), f(C.B), f(1))

# === namedtuple_match
from collections import namedtuple
P = namedtuple("P", "x y")
match P(1, 2):
    case (1, 3): print("no")
    case P(x, y=2): print("class", x)
match P(1, 2):
    case [a, b]: print("seq", a, b)

# === nested_match
def f(x, y):
    match x:
        case int():
            match y:
                case 0: return "zero"
                case _: return "nonzero"
        case _: return "not int"
print(f(1, 0), f(1, 1), f("", 0))

# === match_in_loop_control
out = []
for x in [1, "skip", 2, "stop", 3]:
    match x:
        case "skip": continue
        case "stop": break
        case n: out.append(n)
else:
    out.append("else")
print(out)

# === string_commands
def run(cmd):
    match cmd.split():
        case ["go", ("north" | "south") as d]: return f"going {d}"
        case ["take", *things] if things: return f"taking {things}"
        case ["quit" | "exit"]: return "bye"
        case [w, *_]: return f"what is {w}?"
        case []: return "silence"
for c in ("go north", "go up", "take a b", "take", "exit", ""):
    print(run(c))

# === json_like
def kind(j):
    match j:
        case {"error": {"code": int(c)}}: return f"error {c}"
        case {"items": [{"id": i}, *_]}: return f"first {i}"
        case {"items": []}: return "none"
        case [] | {}: return "other"
print(kind({"error": {"code": 5}}), kind({"items": [{"id": 9, "x": 0}, 2]}), kind({"items": []}), kind({"error": {"code": "s"}}))

# === pattern_syntax_errors
for src in ("match 1:\n case x: pass\n case 2: pass", "match 1:\n case x | 2: pass", "match 1:\n case [a, a]: pass", "match 1:\n case {**r, 'a': 1}: pass", "match 1:\n case [*a, *b]: pass", "match 1:\n case a | b: pass", "match 1:\n case 1 + 1: pass", "match 1:\n case {'a': 1, 'a': 2}: pass", "match 1:\n case P(x=1, x=2): pass", "match 1:\n case _ as x: pass\n case 1: pass"):
    try:
        compile(src, "s", "exec")
        print("ok")
    except SyntaxError as e:
        print(e.msg)

# === with_basic
class CM:
    def __init__(self, n, swallow=False): self.n, self.swallow = n, swallow
    def __enter__(self):
        print("enter", self.n)
        return self.n
    def __exit__(self, t, v, tb):
        print("exit", self.n, t and t.__name__, v, tb is not None)
        return self.swallow
with CM(1) as x:
    print("body", x)
with CM(2, True):
    raise ValueError("swallowed")
print("after")

# === with_multiple
class CM:
    def __init__(self, n): self.n = n
    def __enter__(self):
        print("enter", self.n)
        return self.n
    def __exit__(self, *a): print("exit", self.n)
with CM(1) as a, CM(2) as b:
    print(a, b)
with (
    CM(3) as c,
    CM(4),
    CM(5) as (d),
):
    print(c, d)

# === with_targets
class CM:
    def __enter__(self): return 1, [2, 3]
    def __exit__(self, *a): pass
d = {}
with CM() as (x, [y, *z]):
    print(x, y, z)
with CM() as d["k"]:
    pass
print(d)

# === with_exit_order_on_error
class CM:
    def __init__(self, n, swallow): self.n, self.swallow = n, swallow
    def __enter__(self): return self
    def __exit__(self, t, v, tb):
        print("exit", self.n, t)
        return self.swallow
with CM("outer", False), CM("inner", True):
    1 / 0
print("done")

# === with_enter_raises
class A:
    def __enter__(self): print("A in")
    def __exit__(self, *a): print("A out", a[0].__name__)
class B:
    def __enter__(self): raise ValueError("enter failed")
    def __exit__(self, *a): print("never")
try:
    with A(), B():
        print("never")
except ValueError as e:
    print(e)

# === with_exit_raises
class CM:
    def __enter__(self): pass
    def __exit__(self, *a): raise KeyError("from exit")
try:
    with CM():
        raise ValueError("body")
except KeyError as e:
    print(repr(e), repr(e.__context__))

# === with_return_and_break
class CM:
    def __enter__(self): return self
    def __exit__(self, *a): print("exit", a)
def f():
    with CM():
        return "returned"
print(f())
for i in range(3):
    with CM():
        if i: break
        continue
print(i)

# === with_missing_methods
class NoExit:
    def __enter__(self): pass
class NoEnter:
    def __exit__(self, *a): pass
for c in (NoExit, NoEnter, int):
    try:
        with c():
            pass
    except TypeError as e:
        print(e)

# === with_exit_truthy_values
class CM:
    def __init__(self, v): self.v = v
    def __enter__(self): pass
    def __exit__(self, *a): return self.v
for v in (1, "x", [0]):
    with CM(v):
        raise ValueError
    print("swallowed by", v)
for v in (0, "", None):
    try:
        with CM(v):
            raise ValueError("passed")
    except ValueError as e:
        print(e, "through", repr(v))

# === exitstack
from contextlib import ExitStack
class CM:
    def __init__(self, n): self.n = n
    def __enter__(self): return self.n
    def __exit__(self, *a): print("exit", self.n)
with ExitStack() as st:
    print([st.enter_context(CM(i)) for i in range(3)])
    st.callback(print, "callback", 1)
    st.push(lambda t, v, tb: print("push", t))
st = ExitStack()
st.enter_context(CM("later"))
moved = st.pop_all()
st.close()
print("closed")
moved.close()

# === nullcontext_closing_redirect
from contextlib import nullcontext, closing, redirect_stdout
import io
with nullcontext(5) as x:
    print(x)
class R:
    def close(self): print("closed")
with closing(R()):
    print("open")
buf = io.StringIO()
with redirect_stdout(buf):
    print("hidden")
print(repr(buf.getvalue()))

# === context_decorator
from contextlib import ContextDecorator, contextmanager
class D(ContextDecorator):
    def __enter__(self): print("in")
    def __exit__(self, *a): print("out")
@D()
def f(x): return x
print(f(1), f(2))
@contextmanager
def cm():
    print("cm in")
    yield
    print("cm out")
@cm()
def g(): print("g")
g(); g()

# === contextmanager_errors
from contextlib import contextmanager
@contextmanager
def none():
    if False: yield
@contextmanager
def two():
    yield 1
    yield 2
try:
    with none(): pass
except RuntimeError as e:
    print(e)
try:
    with two(): pass
except RuntimeError as e:
    print(e)

# === exitstack_exception_chain
from contextlib import ExitStack
def fail(): raise KeyError("cb")
try:
    with ExitStack() as s:
        s.callback(fail)
        raise ValueError("body")
except KeyError as e:
    print(repr(e), repr(e.__context__))

# === comprehension_nested_conditions
print([(a, b, c) for a in range(1, 20) for b in range(a, 20) for c in range(b, 20) if a * a + b * b == c * c])

# === comprehension_ternary
print([x if x % 2 else -x for x in range(5)], [y for x in range(3) for y in ([x] if x else [])])

# === comprehension_unpack_targets
print([a + b for a, b in [(1, 2), (3, 4)]], [r for _, *r in [(1, 2, 3)]], {k: v for k, (v, *_) in {"a": [1, 2]}.items()}, [i for i, in [(1,)]])

# === comprehension_in_default_and_class
def f(x=[i * i for i in range(3)]):
    return x
class C:
    table = {i: chr(i) for i in range(97, 100)}
print(f(), C.table)

# === comprehension_exception
try:
    [1 / x for x in (1, 0)]
except ZeroDivisionError as e:
    print(e)
try:
    [x for x in 5]
except TypeError as e:
    print(e)

# === comprehension_generator_close
def g():
    try:
        yield 1
        yield 2
    finally:
        print("closed")
print(any(x == 1 for x in g()))
print([x for x in g()])

# === comprehension_lambda_scope_nested
m = [[i * j for j in range(3)] for i in range(3)]
k = 5
print(m, [(lambda: i * k)() for i in range(3)], [[k for k in range(2)] for _ in range(2)], k)

# === comprehension_iterable_name_same
x = [1, 2, 3]
x = [x for x in x if x > 1]
print(x)
def f(a):
    return [a for a in a]
print(f("ab"))

# === comprehension_locals_isolated
def f():
    i = "kept"
    r = [i for i in range(3)]
    s = {i: j for i, j in [(1, 2)]}
    return i, r, s
print(f())
