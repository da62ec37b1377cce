# Attribute access in depth: descriptors, slots, __getattr__ family, method binding, type attributes.

# === lookup_order_table
class Data:
    def __get__(self, o, t): return "data descriptor"
    def __set__(self, o, v): pass
class Non:
    def __get__(self, o, t): return "non-data descriptor"
class A:
    a, b, c = Data(), Non(), "class value"
o = A()
o.__dict__.update(a="inst", b="inst", c="inst", d="inst")
print(o.a, o.b, o.c, o.d, A.a, A.b, A.c)

# === descriptor_set_only
class S:
    def __set__(self, o, v): o.__dict__["x"] = v * 2
class A:
    x = S()
o = A()
print(type(o.x).__name__)
o.x = 5
print(o.x)

# === descriptor_get_only_from_class
class D:
    def __get__(self, o, t=None): return (o is None, t.__name__ if t else None)
class A:
    d = D()
print(A.d, A().d, A.__dict__["d"].__get__(A()), D().__get__(None, int))

# === descriptor_delete
class D:
    def __delete__(self, o): print("deleted")
class A:
    d = D()
a = A()
del a.d
try:
    a.d = 1
except AttributeError as e:
    print(type(e).__name__)

# === descriptor_on_metaclass
class D:
    def __get__(self, o, t): return f"meta {o.__name__ if o else None}"
class M(type):
    d = D()
class A(metaclass=M): pass
print(A.d)
try:
    A().d
except AttributeError as e:
    print(e)

# === metaclass_data_descriptor_beats_class_attribute
class D:
    def __get__(self, o, t): return "meta data"
    def __set__(self, o, v): print("meta set", v)
class N:
    def __get__(self, o, t): return "meta non-data"
class M(type):
    x, y = D(), N()
class A(metaclass=M):
    x, y = "cls x", "cls y"
print(A.x, A.y, A().x)
A.x = 5
print(A.__dict__["x"])

# === descriptor_get_raises_attribute_error
class D:
    def __get__(self, o, t): raise AttributeError("from get")
class A:
    d = D()
    def __getattr__(self, n): return f"getattr {n}"
class B:
    d = D()
print(A().d, getattr(B(), "d", "default"), hasattr(B(), "d"))

# === getattribute_then_getattr
class A:
    def __getattribute__(self, n):
        print("getattribute", n)
        if n == "y": raise AttributeError(n)
        return object.__getattribute__(self, n)
    def __getattr__(self, n):
        print("getattr", n)
        return "fallback"
    x = 1
a = A()
print(a.x, a.y)

# === getattr_not_called_for_dunders
class A:
    def __getattr__(self, n):
        print("getattr", n)
        return lambda *a: 5
a = A()
for f in (len, hash, iter, str):
    try:
        r = f(a)
        print(f.__name__, "ok")
    except TypeError as e:
        print(e)
print(a.__len__())

# === getattr_on_class_via_metaclass
class M(type):
    def __getattr__(cls, n): return f"{cls.__name__}.{n}"
class A(metaclass=M): pass
print(A.anything)
try:
    A().anything
except AttributeError as e:
    print(e)

# === setattr_on_metaclass
class M(type):
    def __setattr__(cls, n, v):
        print("set", n)
        super().__setattr__(n, v)
class A(metaclass=M):
    x = 1
A.y = 2
A().z = 3
print(A.y)

# === object_setattr_bypass
class A:
    def __setattr__(self, n, v): raise AttributeError("locked")
a = A()
object.__setattr__(a, "x", 1)
print(a.x)
try:
    a.y = 1
except AttributeError as e:
    print(e)
a.__dict__["z"] = 2
print(a.z)

# === property_getter_setter_chain
class A:
    def _g(self): return self._v
    def _s(self, v): self._v = v
    def _d(self): del self._v
    v = property(_g, _s, _d, "docs")
    w = v.getter(lambda self: "w")
a = A()
a.v = 3
print(a.v, a.w, A.v.__doc__, A.v.fset.__name__, A.v.fdel is not None)
del a.v
print(hasattr(a, "v"))

# === property_on_class_access
class A:
    @property
    def p(self): return 1
print(type(A.p).__name__, A.p.__get__(A()), A.p.__get__(None, A) is A.p, isinstance(A.__dict__["p"], property))

# === property_errors_names
class A:
    @property
    def p(self): return 1
    q = property()
    r = property(fset=lambda self, v: None)
a = A()
for f in (lambda: setattr(a, "p", 1), lambda: a.q, lambda: delattr(a, "p"), lambda: a.r, lambda: delattr(a, "r"), lambda: setattr(a, "q", 1)):
    try:
        f()
    except AttributeError as e:
        print(e)

# === property_subclass
class P(property):
    def __get__(self, o, t=None): return ("sub", super().__get__(o, t)) if o else self
class A:
    @P
    def x(self): return 1
    @x.setter
    def x(self, v): print("set", v)
a = A()
a.x = 2
print(a.x, type(A.__dict__["x"]).__name__)

# === property_abstract_and_super
class A:
    @property
    def v(self): return "A"
    @v.setter
    def v(self, x): print("A set", x)
class B(A):
    @property
    def v(self): return "B" + super().v
    @v.setter
    def v(self, x):
        super(B, type(self)).v.fset(self, x)
b = B()
b.v = 5
print(b.v)

# === functions_are_descriptors
def f(self, x): return (self, x)
class A: pass
a = A()
A.m = f
print(a.m(1)[1], f.__get__(5)(6), f.__get__(None, A) is f, f.__get__(5, int).__self__)
a.n = f
try:
    a.n(1)
except TypeError as e:
    print(e)

# === builtin_functions_do_not_bind
class A:
    b = len
    c = lambda self: "bound"
    d = str.upper
    e = print
    i = int
print(A().b("abc"), A().c(), A().i("5"))
try:
    A().d()
except TypeError as e:
    print(e)

# === classmethod_binding
class A:
    @classmethod
    def f(cls, *a): return cls.__name__, a
class B(A): pass
g = B.f
print(A.f(), B().f(1), g(2), A.__dict__["f"].__get__(None, B)(), g.__self__ is B)

# === classmethod_wraps_callable
class A:
    f = classmethod(lambda cls, x: (cls.__name__, x))
    g = staticmethod(lambda x: x * 2)
print(A.f(1), A().f(2), A.g(3), A().g(4), A.f.__func__.__name__)

# === staticmethod_inheritance_and_instances
class A:
    @staticmethod
    def make(): return "A.make"
class B(A):
    @staticmethod
    def make(): return "B+" + super(B, B).make()
print(A.make(), B.make(), B().make())

# === method_identity_and_equality
class A:
    def m(self): pass
    def n(self): pass
a, b = A(), A()
print(a.m == a.m, a.m == b.m, a.m == a.n, a.m is a.m, hash(a.m) == hash(a.m), {a.m: 1}[a.m], A.m == A.m)

# === method_attributes_forward_to_function
class A:
    def m(self, x: int = 5) -> str: "doc"
    m.tag = "t"
a = A()
print(a.m.tag, a.m.__doc__, a.m.__name__, a.m.__defaults__, a.m.__annotations__, a.m.__func__ is A.m, a.m.__qualname__)

# === slots_descriptors
class A:
    __slots__ = ("x",)
a = A()
d = A.x
d.__set__(a, 5)
print(a.x, d.__get__(a), type(d).__name__, d.__name__, d.__objclass__.__name__)
d.__delete__(a)
try:
    a.x
except AttributeError as e:
    print(e)

# === slots_defaults_via_class_conflict
class A:
    __slots__ = ("x", "y")
    def __init__(self): self.x = 1
class B(A):
    y = "class default"
b = B()
print(b.x, b.y, hasattr(b, "__dict__"))
b.z = 1
b.y = "inst"
print(b.z, b.y)

# === slots_mangled_and_multiple
class A:
    __slots__ = ("__p", "q")
    def __init__(self): self.__p, self.q = 1, 2
    def get(self): return self.__p
a = A()
print(a.get(), sorted(n for n in dir(A) if "p" in n and not n.startswith("__")))
class B(A):
    __slots__ = ()
try:
    B().r = 1
except AttributeError as e:
    print(type(e).__name__)

# === slots_string_and_dict_forms
class A:
    __slots__ = "single"
class B:
    __slots__ = {"x": "doc of x"}
class C:
    __slots__ = iter(["i", "j"])
a, b, c = A(), B(), C()
a.single, b.x, c.j = 1, 2, 3
print(a.single, b.x, c.j, B.x.__doc__)

# === delattr_hooks_and_class_attributes
class A:
    x = 1
    def __delattr__(self, n):
        print("del", n)
        object.__delattr__(self, n)
a = A()
a.y = 2
del a.y
try:
    del a.x
except AttributeError as e:
    print(e)
del A.x
print(hasattr(A, "x"))

# === dunder_dict_of_class_is_proxy
class A: x = 1
d = A.__dict__
print(type(d).__name__, d["x"], "x" in d)
try:
    d["y"] = 1
except TypeError as e:
    print(e)
A.y = 2
print(d["y"], vars(A) == d)

# === instance_dict_keys_any_type
class A: pass
a = A()
a.__dict__[5] = "five"
a.__dict__["a b"] = 1
print(sorted(map(str, vars(a))), getattr(a, "a b"))

# === dunder_class_assignment_and_lookup
class A:
    def who(self): return "A"
class B:
    def who(self): return "B"
    __class__ = property(lambda self: A)
b = B()
print(b.__class__.__name__, type(b).__name__, isinstance(b, A), isinstance(b, B), b.who())

# === special_methods_looked_up_on_type
class A:
    def __len__(self): return 1
a = A()
a.__len__ = lambda: 99
print(len(a), a.__len__())
class M(type):
    def __len__(cls): return 7
class B(metaclass=M):
    def __len__(self): return 3
print(len(B), len(B()))

# === special_methods_via_descriptor
class D:
    def __get__(self, o, t): return lambda *a: ("called on", type(o).__name__, a)
class A:
    __add__ = D()
    __getitem__ = D()
    __call__ = D()
print(A() + 1, A()[2], A()(3))

# === special_method_set_to_non_function
class C:
    def __call__(self, *a): return a
class A:
    __len__ = lambda self: 4
    __getitem__ = C()
    __contains__ = staticmethod(lambda x: x == 5)
print(len(A()), A()["k"], 5 in A(), 6 in A())

# === getattr_default_only_attribute_error
class A:
    @property
    def p(self): raise KeyError("not attribute")
try:
    getattr(A(), "p", "default")
except KeyError as e:
    print(repr(e))

# === super_attribute_descriptors
class A:
    x = property(lambda self: "A prop")
    y = "A y"
    @classmethod
    def c(cls): return cls.__name__
class B(A):
    x = "B"
    def f(self): return super().x, super().y, super().c(), super().__class__.__name__
print(B().f())
try:
    super(B, B()).zzz
except AttributeError as e:
    print(e)

# === super_explicit_and_unbound
class A:
    def f(self): return "A"
class B(A):
    def f(self): return "B"
class C(B): pass
c = C()
print(super(C, c).f(), super(B, c).f(), super(B, C).f(c), super(C, C).f(c), repr(super(B, c))[:12])

# === super_setattr_and_delattr
class A: pass
class B(A):
    def __setattr__(self, n, v): super().__setattr__(n, v + 1)
    def __delattr__(self, n):
        print("del", n)
        super().__delattr__(n)
b = B()
b.x = 1
print(b.x)
del b.x
try:
    super(B, b).y = 5
except AttributeError as e:
    print(type(e).__name__)

# === super_changes_with_mro_at_runtime
class Root:
    def f(self): return ["Root"]
class A(Root):
    def f(self): return ["A"] + super().f()
class B(Root):
    def f(self): return ["B"] + super().f()
class C(A, B): pass
class D(B, A): pass
print(C().f(), D().f(), A().f())

# === type_attributes
class A(dict):
    "doc"
    class Inner: pass
print(A.__name__, A.__qualname__, A.__module__, A.__doc__, A.__base__, A.__bases__, A.__mro__[1], A.Inner.__qualname__, A.__dictoffset__ != 0, A.__basicsize__ > 0, A.__flags__ > 0, A.__text_signature__)

# === type_attribute_assignment_rules
class A: pass
A.__doc__ = "new doc"
A.__module__ = "other"
print(A.__doc__, A.__module__, repr(A))
for n, v in (("__name__", 5), ("__bases__", ()), ("__bases__", 5), ("__mro__", ()), ("__dict__", {})):
    try:
        setattr(A, n, v)
    except (TypeError, AttributeError) as e:
        print(type(e).__name__)

# === init_subclass_sees_attributes
class Base:
    def __init_subclass__(cls):
        print(cls.__name__, sorted(k for k in vars(cls) if not k.startswith("__")))
class A(Base):
    x = 1
    def f(self): pass
B = type("B", (Base,), {"y": 2})

# === set_name_and_init_subclass_order
class D:
    def __set_name__(self, o, n): print("set_name", n)
class M(type):
    def __new__(m, *a):
        print("meta new before")
        c = super().__new__(m, *a)
        print("meta new after")
        return c
    def __init__(c, *a): print("meta init")
class Base(metaclass=M):
    def __init_subclass__(cls): print("init_subclass")
class A(Base):
    d = D()

# === class_namespace_order
class A:
    z = 1
    a = 2
    def m(self): pass
    k = 3
print([k for k in A.__dict__ if not k.startswith("__")])
a = type("T", (), {"q": 1, "b": 2})
print([k for k in a.__dict__ if not k.startswith("__")])

# === metaclass_prepare_custom_mapping
class Log(dict):
    def __setitem__(self, k, v):
        if not k.startswith("__"): print("define", k)
        super().__setitem__(k, v)
class M(type):
    @classmethod
    def __prepare__(m, *a): return Log()
class A(metaclass=M):
    x = 1
    x = 2
    def f(self): pass
print(A.x, type(A.__dict__).__name__)

# === metaclass_multi_dispatch_namespace
class Multi(dict):
    def __setitem__(self, k, v):
        if callable(v) and k in self and not k.startswith("__"):
            super().__setitem__(k + "_2", v)
        else:
            super().__setitem__(k, v)
class M(type):
    @classmethod
    def __prepare__(m, *a): return Multi()
class A(metaclass=M):
    def f(self): return 1
    def f(self): return 2
print(A().f(), A().f_2())

# === metaclass_derivation
class M(type): pass
class N(M): pass
class A(metaclass=M): pass
class B(A, metaclass=N): pass
class C(B): pass
print(type(A).__name__, type(B).__name__, type(C).__name__, type(type("D", (C,), {})).__name__)

# === metaclass_new_keyword_arguments
class M(type):
    def __new__(m, n, b, ns, *, flag=False, **kw):
        c = super().__new__(m, n, b, ns)
        c.flag = flag
        return c
    def __init__(c, n, b, ns, **kw): super().__init__(n, b, ns)
class A(metaclass=M, flag=True): pass
class B(A): pass
print(A.flag, B.flag, M("C", (), {}, flag=5).flag)

# === metaclass_operators
class M(type):
    def __add__(c, o): return f"{c.__name__}+{o.__name__}"
    def __lt__(c, o): return c.__name__ < o.__name__
    def __bool__(c): return False
    def __eq__(c, o): return isinstance(o, M)
    def __hash__(c): return 1
class A(metaclass=M): pass
class B(metaclass=M): pass
print(A + B, sorted([B, A])[0].__name__, bool(A), A == B, len({A, B}))

# === metaclass_subclasscheck_abc_like
class M(type):
    def __subclasscheck__(c, s): return "run" in vars(s)
    def __instancecheck__(c, o): return hasattr(o, "run")
class Runner(metaclass=M): pass
class X:
    def run(self): pass
print(isinstance(X(), Runner), issubclass(X, Runner), issubclass(int, Runner), isinstance(5, Runner))

# === class_call_protocol
class M(type):
    def __call__(c, *a, **k):
        print("M call", a)
        o = c.__new__(c, *a)
        if isinstance(o, c): o.__init__(*a, **k)
        return o
class A(metaclass=M):
    def __new__(cls, *a):
        print("new")
        return object.__new__(cls)
    def __init__(self, x): self.x = x
print(A(3).x)

# === object_new_init_argument_rules
class A: pass
class B:
    def __new__(cls, *a): return super().__new__(cls)
class C:
    def __init__(self, *a): pass
for c in (A, B, C, object):
    try:
        c(1)
        print(c.__name__, "ok")
    except TypeError as e:
        print(e)
try:
    object.__new__(5)
except TypeError as e:
    print(e)
try:
    object.__new__(int)
except TypeError as e:
    print(e)

# === reduce_getstate_defaults
class A:
    def __init__(self): self.x = 1
class S:
    __slots__ = ("a",)
    def __init__(self): self.a = 2
print(A().__getstate__(), S().__getstate__(), object().__getstate__(), A().__reduce_ex__(4)[0].__name__)

# === dir_includes_inherited_and_instance
class A:
    a = 1
class B(A):
    b = 2
    def __init__(self): self.c = 3
print([n for n in dir(B()) if len(n) == 1], [n for n in dir(B) if len(n) == 1], "__init__" in dir(B))

# === private_attribute_access_patterns
class A:
    def __init__(self): self.__x = 1
    def getx(self): return getattr(self, "_A__x")
    def bad(self):
        try:
            return getattr(self, "__x")
        except AttributeError as e:
            return str(e)
print(A().getx(), A().bad(), A()._A__x)

# === computed_attribute_caching
class Lazy:
    def __init__(self, f): self.f = f
    def __set_name__(self, o, n): self.n = n
    def __get__(self, o, t):
        if o is None: return self
        print("compute", self.n)
        v = o.__dict__[self.n] = self.f(o)
        return v
class A:
    @Lazy
    def x(self): return 42
a = A()
print(a.x, a.x, A.x is A.__dict__["x"])
