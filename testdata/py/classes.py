# Classes: attributes, MRO, super, metaclasses, descriptors, slots.

# === class_body_runs
class C:
    print("body")
    x = 1
    y = x + 1
    for i in range(3):
        pass
print(C.y, C.i, C.__name__, C.__bases__, C.__module__)

# === instance_and_class_attributes
class C:
    n = 0
    items = []
a, b = C(), C()
a.n = 5
a.items.append(1)
print(a.n, b.n, C.n, b.items, a.__dict__, b.__dict__)
del a.n
print(a.n)
try:
    del a.n
except AttributeError as e:
    print(e)

# === init_and_methods
class Stack:
    def __init__(self, *items):
        self._items = list(items)
    def push(self, x):
        self._items.append(x)
        return self
    def pop(self):
        return self._items.pop()
    def __len__(self):
        return len(self._items)
    def __repr__(self):
        return f"Stack({', '.join(map(repr, self._items))})"
s = Stack(1).push("a").push(2)
print(s, s.pop(), len(s), s)

# === missing_attribute
class C:
    pass
c = C()
for f in (lambda: c.x, lambda: C.x, lambda: setattr(C, "y", 1), lambda: c.y, lambda: delattr(c, "zz"), lambda: None.foo, lambda: (5).bar):
    try:
        print(f())
    except AttributeError as e:
        print(e)

# === attribute_suggestion
class C:
    def __init__(self):
        self.colour = 1
C().color

# === new_and_init
class C:
    def __new__(cls, *a):
        print("new", a)
        return super().__new__(cls)
    def __init__(self, *a):
        print("init", a)
C(1, 2)

# === new_returns_other
class C:
    def __new__(cls):
        return 5
    def __init__(self):
        print("never")
print(C())
class D:
    def __new__(cls):
        return super().__new__(E)
class E(D):
    def __init__(self):
        print("E init")
print(type(D()).__name__)

# === singleton
class S:
    _i = None
    def __new__(cls):
        if cls._i is None:
            cls._i = super().__new__(cls)
        return cls._i
print(S() is S())

# === inheritance_override
class A:
    def f(self): return "A.f"
    def g(self): return self.f()
class B(A):
    def f(self): return "B.f+" + super().f()
print(B().g(), A.g(B()), issubclass(B, A), isinstance(B(), A), B.__base__.__name__)

# === mro_diamond
class A:
    def f(self): return ["A"]
class B(A):
    def f(self): return ["B"] + super().f()
class C(A):
    def f(self): return ["C"] + super().f()
class D(B, C):
    def f(self): return ["D"] + super().f()
print(D().f(), [c.__name__ for c in D.__mro__], D.mro() == list(D.__mro__))

# === mro_conflict
class A: pass
class B(A): pass
try:
    class C(A, B): pass
except TypeError as e:
    print(" ".join(str(e).split()))
try:
    class D(A, A): pass
except TypeError as e:
    print(e)

# === mro_complex
class O: pass
class A(O): pass
class B(O): pass
class C(O): pass
class X(A, B): pass
class Y(B, C): pass
class Z(X, Y): pass
print([c.__name__ for c in Z.__mro__])

# === base_errors
for src in ("class C(int, str): pass", "class C(None): pass", "class C(type(None)): pass", "class C(range): pass", "class C('a'): pass"):
    try:
        exec(src)
    except TypeError as e:
        print(e)

# === super_forms
class A:
    x = "A.x"
    @classmethod
    def c(cls): return cls.__name__
    @staticmethod
    def s(): return "A.s"
    @property
    def p(self): return "A.p"
class B(A):
    x = "B.x"
    @classmethod
    def c(cls): return "B" + super().c()
    @staticmethod
    def s(): return "B" + A.s()
    @property
    def p(self): return "B" + super().p
    def t(self): return super().x, super(B, self).x, super(B, B).s()
b = B()
print(b.c(), B.c(), b.s(), b.p, b.t())

# === super_errors
class A:
    def f(self): return super().nope
    def g(): return super()
try:
    A().f()
except AttributeError as e:
    print(e)
try:
    A.g()
except RuntimeError as e:
    print(e)
def h(x): return super()
try:
    h(1)
except RuntimeError as e:
    print(e)
try:
    super(A, 5)
except TypeError as e:
    print(str(e)[:22])

# === super_in_nested_function
class A:
    def f(self): return "A"
class B(A):
    def f(self):
        def inner(s):
            return super().f() + "!"
        return inner(self), [super(B, self).f() for _ in range(2)]
print(B().f())

# === dunder_class_cell
class A:
    def f(self): return __class__
class B(A): pass
print(B().f() is A)

# === repr_default
import re
class A:
    class B: pass
def f():
    class L: pass
    return L
for o in (A(), A.B(), f()()):
    print(re.sub("0x[0-9a-f]+", "ADDR", repr(o)))
print(A, A.B, f(), A().__init__.__name__, re.sub("0x[0-9a-f]+", "ADDR", repr(f)))

# === class_repr_kinds
print(int, type, object, type(len), type(lambda: 0), type(None), type(Exception()), type(type), type(iter([])), type(x for x in ()))

# === classmethod_staticmethod
class C:
    n = 0
    @classmethod
    def make(cls, v):
        o = cls()
        o.n = v
        return o
    @staticmethod
    def add(a, b): return a + b
class D(C): pass
print(type(D.make(3)).__name__, D.make(4).n, C.add(1, 2), C().add(3, 4), C.make.__self__ is C, C.__dict__["make"].__func__.__name__)

# === staticmethod_callable
@staticmethod
def f(x): return x * 2
print(f(3), staticmethod(len)("abc"), f.__wrapped__(1), f.__name__)

# === property_full
class T:
    def __init__(self): self._c = 0
    @property
    def c(self):
        "doc of c"
        return self._c
    @c.setter
    def c(self, v):
        if v < -273: raise ValueError("too cold")
        self._c = v
    @c.deleter
    def c(self): self._c = None
t = T()
t.c = 5
print(t.c, T.c.__doc__, T.c.fget.__name__)
del t.c
print(t.c)
try:
    t.c = -300
except ValueError as e:
    print(e)

# === property_read_only
class T:
    @property
    def x(self): return 1
    w = property(None, lambda self, v: print("w", v))
t = T()
for f in (lambda: setattr(t, "x", 2), lambda: delattr(t, "x"), lambda: t.w):
    try:
        f()
    except AttributeError as e:
        print(e)
t.w = 3

# === property_attribute_error_and_getattr
class C:
    @property
    def p(self):
        return self.missing
    def __getattr__(self, n):
        return f"fallback {n}"
print(C().p, C().q)

# === property_inherit_setter
class A:
    @property
    def v(self): return self._v
class B(A):
    @A.v.setter
    def v(self, x): self._v = x * 2
b = B()
b.v = 4
print(b.v)

# === data_descriptor
class D:
    def __get__(self, obj, owner):
        return ("get", obj is None, owner.__name__)
    def __set__(self, obj, v):
        print("set", v)
    def __delete__(self, obj):
        print("delete")
class C:
    d = D()
c = C()
c.__dict__["d"] = "instance"
c.d = 5
print(c.d, C.d)
del c.d
print(c.__dict__)

# === non_data_descriptor
class D:
    def __get__(self, obj, owner): return "descriptor"
class C:
    d = D()
c = C()
print(c.d)
c.d = "instance"
print(c.d, C.d)

# === set_name
class D:
    def __set_name__(self, owner, name):
        print("set_name", owner.__name__, name)
        self.name = name
    def __get__(self, obj, owner): return self.name
class C:
    a = D()
    b = D()
print(C.a, C().b)
C.late = D()

# === set_name_error
class D:
    def __set_name__(self, owner, name): raise ValueError("bad name")
try:
    class C:
        x = D()
except Exception as e:
    print(type(e).__name__, e, e.__notes__ if hasattr(e, "__notes__") else "")

# === descriptor_validation
class Positive:
    def __set_name__(self, o, n): self.n = "_" + n
    def __get__(self, o, t=None): return getattr(o, self.n)
    def __set__(self, o, v):
        if v <= 0: raise ValueError(f"{self.n[1:]} must be positive")
        setattr(o, self.n, v)
class P:
    w = Positive()
    h = Positive()
    def __init__(self, w, h): self.w, self.h = w, h
print(P(1, 2).h)
try:
    P(1, 0)
except ValueError as e:
    print(e)

# === getattr_hook
class C:
    x = 1
    def __getattr__(self, n):
        if n.startswith("dyn_"): return n[4:]
        raise AttributeError(f"no {n}")
c = C()
print(c.x, c.dyn_abc, hasattr(c, "q"), getattr(c, "q", "dflt"))
try:
    c.q
except AttributeError as e:
    print(e)

# === getattribute_hook
class C:
    def __init__(self): self.x = 1
    def __getattribute__(self, n):
        print("get", n)
        return super().__getattribute__(n)
    def m(self): return self.x
print(C().m())

# === setattr_delattr_hooks
class C:
    def __setattr__(self, n, v):
        print("set", n)
        super().__setattr__(n, v * 2)
    def __delattr__(self, n):
        print("del", n)
        super().__delattr__(n)
c = C()
c.x = 5
print(c.x)
del c.x
print(c.__dict__)

# === getattr_builtin_forms
class C:
    x = 1
print(getattr(C, "x"), getattr(C, "y", None), hasattr(C, "x"), hasattr(C, "y"))
setattr(C, "weird name", 3)
print(getattr(C, "weird name"), C.__dict__["weird name"])
try:
    getattr(C, 5)
except TypeError as e:
    print(e)

# === slots
class S:
    __slots__ = ("x", "y")
s = S()
s.x = 1
print(s.x, hasattr(s, "__dict__"), S.__slots__)
for f in (lambda: s.y, lambda: setattr(s, "z", 1), lambda: delattr(s, "y")):
    try:
        f()
    except AttributeError as e:
        print(type(e).__name__)

# === slots_inherit
class A:
    __slots__ = ("a",)
class B(A):
    __slots__ = ("b",)
class C(A):
    pass
b = B()
b.a, b.b = 1, 2
c = C()
c.z = 3
print(b.a, b.b, hasattr(b, "__dict__"), c.__dict__, type(A.a).__name__, repr(A.__dict__["a"]))

# === slots_errors
for src in ("class C:\n __slots__ = ('x',)\n x = 1", "class C:\n __slots__ = ('1a',)", "class C(int):\n __slots__ = ('a',)", "class C:\n __slots__ = (5,)", "class A:\n __slots__='a'\nclass B:\n __slots__='b'\nclass C(A,B): pass"):
    try:
        exec(src)
        print("ok")
    except (ValueError, TypeError) as e:
        print(type(e).__name__, e)

# === slots_with_dict
class C:
    __slots__ = ("a", "__dict__")
c = C()
c.a, c.b = 1, 2
print(c.__dict__, c.a)

# === name_mangling
class C:
    __x = 1
    def __init__(self): self.__y = 2
    def get(self): return self.__x + self.__y
    def __m(self): pass
    __z__ = 5
c = C()
print(c.get(), sorted(k for k in C.__dict__ if "C" in k), c.__dict__, C.__z__)
try:
    c.__x
except AttributeError as e:
    print(e)

# === name_mangling_subclass
class A:
    def __init__(self): self.__v = "A"
    def a(self): return self.__v
class B(A):
    def __init__(self):
        super().__init__()
        self.__v = "B"
    def b(self): return self.__v
b = B()
print(b.a(), b.b(), b.__dict__)

# === name_mangling_args
class C:
    def f(self, __a=1, **kw):
        return __a, kw
print(C().f(), C().f(_C__a=2), C().f(5))

# === init_subclass
class P:
    subs = []
    def __init_subclass__(cls, /, tag=None, **kw):
        super().__init_subclass__(**kw)
        P.subs.append((cls.__name__, tag))
class A(P): pass
class B(P, tag="b"): pass
print(P.subs)
try:
    class C(P, other=1): pass
except TypeError as e:
    print(e)

# === class_getitem
class G:
    def __class_getitem__(cls, k): return f"{cls.__name__}[{k!r}]"
class H(G): pass
print(G[int], H["x"], G[1, 2])

# === metaclass_basic
class M(type):
    def __new__(m, name, bases, ns, **kw):
        print("new", name, [b.__name__ for b in bases], kw)
        return super().__new__(m, name, bases, ns)
    def __init__(cls, name, bases, ns, **kw):
        print("init", name)
        super().__init__(name, bases, ns)
class A(metaclass=M, opt=1): pass
class B(A): pass
print(type(B).__name__)

# === metaclass_prepare
class M(type):
    @classmethod
    def __prepare__(m, name, bases, **kw):
        print("prepare", name)
        return {"injected": 42}
class A(metaclass=M):
    y = injected + 1
print(A.y, A.injected)

# === metaclass_call
class M(type):
    def __call__(cls, *a):
        print("call", a)
        return super().__call__(*a)
class A(metaclass=M):
    def __init__(self, x): self.x = x
print(A(5).x)

# === metaclass_attributes
class M(type):
    kind = "meta"
    def hello(cls): return "hello " + cls.__name__
    def __len__(cls): return 7
    def __iter__(cls): return iter("ab")
    def __getitem__(cls, k): return k * 2
    def __contains__(cls, k): return k == 1
    def __repr__(cls): return f"<{cls.__name__}!>"
class A(metaclass=M): pass
print(A.hello(), A.kind, len(A), list(A), A[3], 1 in A, A)
try:
    A().hello()
except AttributeError as e:
    print(e)

# === metaclass_conflict
class M(type): pass
class N(type): pass
class A(metaclass=M): pass
class B(metaclass=N): pass
try:
    class C(A, B): pass
except TypeError as e:
    print(e)

# === metaclass_function
def meta(name, bases, ns):
    ns = {k.upper() if not k.startswith("__") else k: v for k, v in ns.items()}
    return type(name, bases, ns)
class A(metaclass=meta):
    x = 1
print(A.X, hasattr(A, "x"))

# === instancecheck_hooks
class M(type):
    def __instancecheck__(cls, o): return o == 5
    def __subclasscheck__(cls, c): return c is int
class A(metaclass=M): pass
print(isinstance(5, A), isinstance(6, A), issubclass(int, A), issubclass(str, A), isinstance(A(), A))

# === isinstance_forms
print(isinstance(1, (str, int)), isinstance(True, int), isinstance(1, int | str), issubclass(bool, (int,)), isinstance("a", (int, (float, str))), isinstance(None, type(None)), isinstance(1, int | None))
for f in (lambda: isinstance(1, 5), lambda: issubclass(1, int), lambda: isinstance(1, list[int]), lambda: issubclass(int, "a")):
    try:
        f()
    except TypeError as e:
        print(e)

# === type_three_arguments
A = type("A", (), {"x": 1, "f": lambda self: self.x})
B = type("B", (A,), dict(x=2))
print(A().f(), B().f(), B.__name__, type(5) is int, type(B()).__mro__[1] is A)
for a in ((), ("A", ()), ("A", 5, {}), (5, (), {}), ("A", (), 5)):
    try:
        type(*a)
    except TypeError as e:
        print(e)

# === class_attribute_assignment
class C: pass
C.x = 1
C.f = lambda self: self.x + 1
c = C()
print(c.f())
C.x = 10
print(c.f(), "x" in C.__dict__, vars(C)["x"])
del C.x
try:
    c.f()
except AttributeError as e:
    print(e)

# === builtin_type_immutable
for src in ("int.x = 1", "str.upper = 1", "del int.real", "object.y = 2", "list().x = 1"):
    try:
        exec(src)
    except (TypeError, AttributeError) as e:
        print(type(e).__name__)

# === change_class
class A:
    def f(self): return "A"
class B:
    def f(self): return "B"
a = A()
a.__class__ = B
print(a.f(), type(a).__name__)
for v in (int, 5):
    try:
        a.__class__ = v
    except TypeError as e:
        print(e)

# === change_bases
class A:
    x = "A"
class B:
    x = "B"
class C(A): pass
c = C()
print(c.x)
C.__bases__ = (B,)
print(c.x, C.__mro__[1].__name__)

# === subclasses_list
class A: pass
class B(A): pass
class C(A): pass
class D(B): pass
print([c.__name__ for c in A.__subclasses__()], D.__subclasses__())

# === dir_and_vars
class A:
    x = 1
    def f(self): pass
a = A()
a.y = 2
print([n for n in dir(a) if not n.startswith("__")], vars(a), sorted(k for k in vars(A) if not k.startswith("__")))
class B:
    def __dir__(self): return ["z", "a"]
print(dir(B()))
try:
    vars(5)
except TypeError as e:
    print(e)

# === instance_dict_direct
class A: pass
a = A()
a.__dict__["x"] = 1
a.__dict__ = {"y": 2}
print(a.y, hasattr(a, "x"), a.__dict__)
try:
    a.__dict__ = 5
except TypeError as e:
    print(e)

# === bound_unbound_builtin_methods
class L(list):
    def append(self, x): super().append(x * 2)
l = L()
l.append(3)
l.extend([1])
list.append(l, 9)
print(l, l.append.__self__ is l)

# === abstract_classes
from abc import ABC, abstractmethod
class S(ABC):
    @abstractmethod
    def area(self): ...
    @property
    @abstractmethod
    def name(self): ...
class H(S):
    def area(self): return 1
class F(H):
    name = "f"
print(F().area(), F.__abstractmethods__, sorted(S.__abstractmethods__))
for c in (S, H):
    try:
        c()
    except TypeError as e:
        print(e)

# === abc_register
from abc import ABC
class A(ABC): pass
@A.register
class B: pass
print(issubclass(B, A), isinstance(B(), A), A in B.__mro__)
class C(ABC):
    @classmethod
    def __subclasshook__(cls, k): return hasattr(k, "quack")
class D:
    def quack(self): pass
print(issubclass(D, C), issubclass(int, C), isinstance(D(), C))

# === cached_property
from functools import cached_property
class C:
    @cached_property
    def x(self):
        print("computed")
        return 5
c = C()
print(c.x, c.x, c.__dict__)
del c.x
print(c.x)

# === total_ordering
from functools import total_ordering
@total_ordering
class V:
    def __init__(self, n): self.n = n
    def __eq__(self, o): return self.n == o.n
    def __lt__(self, o): return self.n < o.n
print(V(1) <= V(2), V(2) > V(1), V(1) >= V(1), V(1) != V(2))

# === operator_overload_vector
class V:
    def __init__(self, x, y): self.x, self.y = x, y
    def __add__(self, o): return V(self.x + o.x, self.y + o.y)
    def __mul__(self, k): return V(self.x * k, self.y * k)
    __rmul__ = __mul__
    def __neg__(self): return V(-self.x, -self.y)
    def __eq__(self, o): return (self.x, self.y) == (o.x, o.y)
    def __iter__(self): return iter((self.x, self.y))
    def __abs__(self): return (self.x**2 + self.y**2) ** 0.5
    def __repr__(self): return f"V({self.x}, {self.y})"
print(V(1, 2) + V(3, 4), 2 * V(1, 2), -V(1, 2), V(1, 2) * 3 == V(3, 6), abs(V(3, 4)), tuple(V(5, 6)))

# === doc_and_module
class C:
    "class doc"
    def m(self):
        "method doc"
class D(C):
    def m(self): pass
print(C.__doc__, C.m.__doc__, D.__doc__, D.m.__doc__, C().__doc__, C.__module__)

# === nested_class_access
class Outer:
    v = 1
    class Inner:
        w = 2
        def f(self): return Outer.v + self.w
print(Outer.Inner().f(), Outer().Inner.w, Outer.Inner.__qualname__)

# === mixins_cooperative_init
class Base:
    def __init__(self, **kw):
        assert not kw
        print("Base")
class A(Base):
    def __init__(self, a, **kw):
        print("A", a)
        super().__init__(**kw)
class B(Base):
    def __init__(self, b, **kw):
        print("B", b)
        super().__init__(**kw)
class C(A, B): pass
C(a=1, b=2)

# === decorator_on_class
def add_repr(c):
    c.__repr__ = lambda self: f"{c.__name__}({self.__dict__})"
    return c
@add_repr
class P:
    def __init__(self, x): self.x = x
print(P(3))

# === generic_pep695
class Box[T]:
    def __init__(self, v: T): self.v = v
    def get(self) -> T: return self.v
def first[T: (int, str)](x: list[T]) -> T: return x[0]
print(Box[int](5).get(), Box.__type_params__, first([7]), first.__type_params__, Box[int], Box.__parameters__, Box.__mro__[1].__name__)

# === generic_bounds_and_kinds
def f[T: int, *Ts, **P](): pass
t, ts, p = f.__type_params__
print(t, ts, p, t.__bound__, type(t).__name__, type(ts).__name__, type(p).__name__, t.__name__)

# === type_alias
type Pair[T] = tuple[T, T]
type N = int | str
print(Pair, N, N.__value__, Pair[int], Pair.__type_params__, type(N).__name__, Pair.__value__)
type Rec = list[Rec]
print(Rec.__value__)
type Bad = undefined_thing
try:
    Bad.__value__
except NameError as e:
    print(e)

# === union_types
print(int | str, int | None, (int | str) == (str | int), int | int, list[int] | None, (int | str).__args__, type(int | str).__name__)
try:
    1 | int
except TypeError as e:
    print(e)

# === match_args_and_copy
import copy
class P:
    def __init__(self, x): self.x = x
    def __copy__(self):
        print("copy")
        return P(self.x)
    def __deepcopy__(self, memo):
        print("deepcopy", type(memo).__name__)
        return P(copy.deepcopy(self.x, memo))
a = P([1])
print(copy.copy(a).x is a.x, copy.deepcopy(a).x is a.x)

# === instance_call_chain
class Builder:
    def __init__(self): self.parts = []
    def __getattr__(self, name):
        self.parts.append(name)
        return self
    def __call__(self, *a):
        self.parts.append(a)
        return self
print(Builder().select("a", "b").where(1).parts)

# === eq_removes_hash
class A:
    def __eq__(self, o): return True
class B(A):
    __hash__ = object.__hash__
print(A.__hash__, isinstance(hash(B()), int))
try:
    {A()}
except TypeError as e:
    print(e)

# === enter_on_class_lookup
class C:
    def __init__(self):
        self.__enter__ = lambda: 1
        self.__exit__ = lambda *a: None
try:
    with C():
        pass
except TypeError as e:
    print(e)

# === type_name_assignment
class A: pass
A.__name__ = "Renamed"
A.__qualname__ = "Q.Renamed"
print(A.__name__, A, type(A()).__name__)
try:
    A.__name__ = 5
except TypeError as e:
    print(e)

# === object_methods
o = object()
print(o == o, o != object(), type(o.__hash__()).__name__, o.__eq__(1), o.__lt__(1), o.__ne__(o), o.__dir__()[:0], object.__doc__[:20])
try:
    o.x = 1
except AttributeError as e:
    print(type(e).__name__)

# === init_subclass_chain_and_kwargs_error
try:
    class A(x=1): pass
except TypeError as e:
    print(e)
try:
    object.__init_subclass__(5)
except TypeError as e:
    print(e)

# === mro_entries
class Fake:
    def __mro_entries__(self, bases): return (int,)
class C(Fake()): pass
print(C.__bases__, [type(b).__name__ for b in C.__orig_bases__], C(5) + 1)
