# dataclasses, enum, typing, abc.

# === dataclass_basic
from dataclasses import dataclass
@dataclass
class P:
    x: int
    y: int = 0
print(P(1), P(1, 2) == P(1, 2), P(y=3, x=1), P(1) != P(2), P.__match_args__)

# === dataclass_call_errors
from dataclasses import dataclass
@dataclass
class P:
    x: int
    y: int = 0
for a, k in (((), {}), ((1, 2, 3), {}), ((1,), {"z": 1}), ((1,), {"x": 1})):
    try:
        P(*a, **k)
    except TypeError as e:
        print(e)

# === dataclass_order
from dataclasses import dataclass
@dataclass(order=True)
class V:
    major: int
    minor: int
print(sorted([V(1, 2), V(0, 9), V(1, 0)]), V(1, 2) < V(1, 3), V(2, 0) >= V(1, 9))
try:
    V(1, 2) < 5
except TypeError as e:
    print(e)

# === dataclass_frozen
from dataclasses import dataclass, FrozenInstanceError
@dataclass(frozen=True)
class F:
    x: int
f = F(1)
for op in (lambda: setattr(f, "x", 2), lambda: delattr(f, "x"), lambda: setattr(f, "new", 1)):
    try:
        op()
    except FrozenInstanceError as e:
        print(type(e).__name__, e)
print(hash(F(1)) == hash(F(1)), {F(1): "v"}[F(1)])

# === dataclass_default_factory
from dataclasses import dataclass, field
@dataclass
class C:
    items: list = field(default_factory=list)
    n: int = field(default=5, repr=False)
    k: int = field(default=0, compare=False)
a, b = C(), C()
a.items.append(1)
print(a, b, a.n, C(k=1) == C(k=2))

# === dataclass_mutable_default
from dataclasses import dataclass
for default in ([], {}, set()):
    try:
        @dataclass
        class C:
            x: list = default
    except ValueError as e:
        print(e)

# === dataclass_default_order
from dataclasses import dataclass
try:
    @dataclass
    class C:
        x: int = 1
        y: int
except TypeError as e:
    print(str(e)[:20])

# === dataclass_post_init
from dataclasses import dataclass, field, InitVar
@dataclass
class R:
    w: int
    h: int
    scale: InitVar[int] = 1
    area: int = field(init=False)
    def __post_init__(self, scale):
        self.area = self.w * self.h * scale
print(R(2, 3), R(2, 3, 10), R(1, 1).area)

# === dataclass_kw_only
from dataclasses import dataclass, field, KW_ONLY
@dataclass
class A:
    x: int
    _: KW_ONLY
    y: int
    z: int = 1
print(A(1, y=2))
try:
    A(1, 2)
except TypeError as e:
    print(e)
@dataclass(kw_only=True)
class B:
    a: int = 1
    b: int
print(B(b=5))

# === dataclass_slots
from dataclasses import dataclass
@dataclass(slots=True)
class S:
    x: int
    y: int = 2
s = S(1)
print(s, S.__slots__, hasattr(s, "__dict__"))
try:
    s.z = 1
except AttributeError as e:
    print(type(e).__name__)

# === dataclass_inheritance
from dataclasses import dataclass
@dataclass
class A:
    x: int
    y: int = 1
@dataclass
class B(A):
    z: int = 2
    x: str = "over"
print(B(), B(1, 2, 3), A(5), B.__mro__[1] is A, A(1) == B(1))

# === dataclass_utilities
from dataclasses import dataclass, fields, asdict, astuple, replace, is_dataclass
@dataclass
class In:
    v: list
@dataclass
class Out:
    a: int
    b: In
o = Out(1, In([1, 2]))
print(asdict(o), astuple(o), replace(o, a=9), [f.name for f in fields(o)], is_dataclass(Out), is_dataclass(o), is_dataclass(5))
try:
    fields(5)
except TypeError as e:
    print(e)
try:
    asdict(Out)
except TypeError as e:
    print(e)

# === dataclass_class_var
from dataclasses import dataclass, fields
from typing import ClassVar
@dataclass
class C:
    count: ClassVar[int] = 0
    x: int = 1
print([f.name for f in fields(C)], C(5), C.count)

# === dataclass_custom_methods
from dataclasses import dataclass
@dataclass(repr=False, eq=False)
class C:
    x: int
    def __repr__(self):
        return f"<{self.x}>"
print(C(1), C(1) == C(1))
@dataclass
class D:
    x: int
    def __eq__(self, o):
        return "custom"
print(D(1) == D(2))

# === dataclass_hash_rules
from dataclasses import dataclass
@dataclass
class A: x: int
@dataclass(eq=True, frozen=True)
class B: x: int
@dataclass(unsafe_hash=True)
class C: x: int
@dataclass(eq=False)
class D: x: int
print(A.__hash__, hash(B(1)) == hash((1,)), hash(C(1)) == hash(C(1)), D.__hash__ is object.__hash__)

# === dataclass_field_metadata
from dataclasses import dataclass, field, fields, MISSING
@dataclass
class C:
    x: int = field(default=3, metadata={"unit": "m"})
    y: str = "s"
f, g = fields(C)
print(f.name, f.type, f.default, dict(f.metadata), f.default_factory is MISSING, g.default, f.init, f.repr, f.kw_only)

# === dataclass_recursive_repr
from dataclasses import dataclass
@dataclass
class N:
    next: object = None
n = N()
n.next = n
print(n)

# === make_dataclass
from dataclasses import make_dataclass, field
C = make_dataclass("C", [("x", int), "y", ("z", int, field(default=5))], namespace={"total": lambda self: self.x + self.z})
print(C(1, 2), C(1, 2).total(), C.__name__)

# === dataclass_match_nested_generic
from dataclasses import dataclass
@dataclass
class Box[T]:
    item: T
print(Box(1), Box[int]("a"), Box.__type_params__)

# === dataclass_replace_errors
from dataclasses import dataclass, field, replace
@dataclass
class C:
    x: int
    y: int = field(init=False, default=0)
for kw in ({"y": 1}, {"q": 1}):
    try:
        replace(C(1), **kw)
    except (ValueError, TypeError) as e:
        print("cannot replace", kw)

# === dataclass_property_default
from dataclasses import dataclass
@dataclass
class C:
    f: object = len
    d: object = None
    def g(self):
        return self.f("abc")
print(C().g(), C(f=str.upper).f("a"))

# === dataclass_frozen_inheritance
from dataclasses import dataclass
@dataclass(frozen=True)
class A: x: int
try:
    @dataclass
    class B(A): y: int
except TypeError as e:
    print(e)

# === enum_basic
from enum import Enum
class C(Enum):
    RED = 1
    GREEN = 2
print(C.RED, repr(C.RED), C.RED.name, C.RED.value, C(1), C["GREEN"], list(C), len(C), C.RED is C(1), C.RED == 1, type(C.RED).__name__, isinstance(C.RED, C))

# === enum_lookup_errors
from enum import Enum
class C(Enum):
    A = 1
for f in (lambda: C(5), lambda: C["Z"], lambda: C.Z, lambda: setattr(C, "A", 2)):
    try:
        f()
    except (ValueError, KeyError, AttributeError) as e:
        print(type(e).__name__, e)

# === enum_aliases
from enum import Enum, unique
class C(Enum):
    A = 1
    B = 2
    ALIAS = 1
print(list(C), C.ALIAS, C.ALIAS is C.A, list(C.__members__), C["ALIAS"])
try:
    @unique
    class D(Enum):
        X = 1
        Y = 1
except ValueError as e:
    print(e)

# === enum_auto
from enum import Enum, auto, StrEnum, Flag
class C(Enum):
    A = auto()
    B = auto()
    C = 10
    D = auto()
class S(StrEnum):
    ONE = auto()
    Two = auto()
class F(Flag):
    X = auto()
    Y = auto()
print([m.value for m in C], [m.value for m in S], [m.value for m in F])

# === enum_methods_properties
from enum import Enum
class Planet(Enum):
    EARTH = (5.97, 6.37)
    MARS = (0.64, 3.39)
    def __init__(self, mass, radius):
        self.mass, self.radius = mass, radius
    @property
    def density(self): return round(self.mass / self.radius**3, 4)
    @classmethod
    def heaviest(cls): return max(cls, key=lambda p: p.mass)
print(Planet.EARTH.density, Planet.heaviest(), Planet.MARS.value, Planet((0.64, 3.39)))

# === enum_int
from enum import IntEnum
class I(IntEnum):
    A = 1
    B = 2
print(I.A + 1, I.A < I.B, I.A == 1, repr(I.A), str(I.A), f"{I.B:03d}", sorted([I.B, I.A]), [10, 20, 30][I.A], isinstance(I.A, int), I.A | 2)

# === enum_str
from enum import StrEnum
class S(StrEnum):
    A = "a"
    B = "bee"
print(S.A == "a", S.B.upper(), str(S.B), f"{S.B}", repr(S.A), S("bee"), {"a": 1}[S.A], "-".join(S))

# === enum_flag
from enum import Flag, auto
class P(Flag):
    R = 4
    W = 2
    X = 1
    RW = R | W
print(P.R | P.X, P.RW, P.R in P.RW, P.RW & P.W, ~P.R, P.R ^ P.RW, bool(P(0)), P(0), list(P.RW), P(7), P(5).name, list(P), len(P.RW))
try:
    P(8)
except ValueError as e:
    print(str(e).split("\n")[0])

# === enum_int_flag
from enum import IntFlag
class F(IntFlag):
    A = 1
    B = 2
print(F.A | F.B, F.A | 8, F.A + 1, repr(F(3)), F.A == 1, F(0), F.A in F(3), int(F.A | F.B), ~F.A)

# === enum_functional
from enum import Enum, IntEnum
A = Enum("A", "X Y Z")
B = Enum("B", {"P": "p", "Q": "q"})
C = IntEnum("C", ["M", "N"], start=5)
print(list(A), B.P.value, list(C), A.__name__)

# === enum_subclass_rules
from enum import Enum
class Empty(Enum):
    def hello(self): return "hi " + self.name
class C(Empty):
    A = 1
print(C.A.hello())
try:
    class D(C): pass
except TypeError as e:
    print(e)

# === enum_missing
from enum import Enum
class C(Enum):
    A = "a"
    UNKNOWN = "?"
    @classmethod
    def _missing_(cls, v):
        if isinstance(v, str) and v.lower() == "a":
            return cls.A
        return cls.UNKNOWN
print(C("A"), C(5), C("a"))

# === enum_hash_dict_iteration
from enum import Enum
class C(Enum):
    A = 1
    B = 2
d = {C.A: "x", C.B: "y"}
print(d[C(1)], C.A in C, 1 in C, C.A != C.B, [f"{m.name}={m.value}" for m in C], reversed(C).__next__())
try:
    C.A < C.B
except TypeError as e:
    print(e)

# === enum_immutable_members
from enum import Enum
class C(Enum):
    A = 1
for f in (lambda: setattr(C.A, "value", 2), lambda: setattr(C.A, "name", "x"), lambda: delattr(C, "A")):
    try:
        f()
    except AttributeError as e:
        print(e)
C.A.extra = 5
print(C.A.extra)

# === enum_str_format_override
from enum import Enum
class C(Enum):
    A = 1
    def __str__(self): return f"<{self.name.lower()}>"
print(C.A, f"{C.A}", f"{C.A:>6}", "%s" % C.A, repr(C.A), [C.A])

# === enum_nonmember_descriptor
from enum import Enum, nonmember, member
class C(Enum):
    A = 1
    helper = nonmember(5)
    def f(self): return self.value
    @staticmethod
    def s(): return "static"
    @member
    def M(): pass
print(C.helper, C.A.f(), C.s(), [m.name for m in C])

# === enum_generate_next_value
from enum import Enum, auto
class C(Enum):
    @staticmethod
    def _generate_next_value_(name, start, count, last):
        return f"{name}-{count}"
    A = auto()
    B = auto()
print([m.value for m in C])

# === enum_copy_pickle
import copy, pickle
from enum import Enum
class C(Enum):
    A = 1
print(copy.copy(C.A) is C.A, copy.deepcopy([C.A])[0] is C.A, pickle.loads(pickle.dumps(C.A)) is C.A)

# === enum_verify
from enum import IntEnum, verify, CONTINUOUS, UNIQUE
try:
    @verify(CONTINUOUS)
    class C(IntEnum):
        A = 1
        B = 3
except ValueError as e:
    print(e)

# === typing_repr
from typing import List, Dict, Optional, Union, Any, Callable, Tuple, Literal, TypeVar, Generic
print(List[int], Dict[str, int], Optional[int], Union[int, str], Union[int, None], Any, Callable[[int], str], Tuple[int, ...], Literal["a", 1])
T = TypeVar("T")
print(T, List[T], List[T][int], Union[int, int])

# === typing_get_type_hints
from typing import get_type_hints, Optional
class C:
    x: int
    y: "Optional[C]" = None
def f(a: "int", b: str = "x") -> "list[int]": ...
print(get_type_hints(f))
print({k: str(v) for k, v in get_type_hints(C).items()})

# === typing_get_args_origin
from typing import get_args, get_origin, Union, Literal, Callable
print(get_args(dict[str, int]), get_origin(list[int]), get_args(Union[int, str]), get_origin(int), get_args(Literal[1, 2]), get_args(Callable[[int], str]), get_origin(int | str).__name__)

# === typing_generic_class
from typing import Generic, TypeVar
T = TypeVar("T")
class Box(Generic[T]):
    def __init__(self, v: T): self.v = v
class IntBox(Box[int]): pass
print(Box[int](5).v, Box[int], IntBox(1).v, IntBox.__orig_bases__, Box.__parameters__)
try:
    Box[int, str]
except TypeError as e:
    print(e)

# === typing_named_tuple
from typing import NamedTuple
class P(NamedTuple):
    x: int
    y: int = 5
    def total(self): return self.x + self.y
print(P(1), P(1).total(), P._fields, P._field_defaults, P(1)._asdict(), P.__annotations__, P(2, 3) < P(3, 0))

# === typing_typed_dict
from typing import TypedDict
class M(TypedDict, total=False):
    a: int
    b: str
m = M(a=1)
print(m, type(m), M.__annotations__, M.__total__, sorted(M.__optional_keys__))

# === typing_protocol
from typing import Protocol, runtime_checkable
@runtime_checkable
class Closer(Protocol):
    def close(self): ...
class F:
    def close(self): pass
print(isinstance(F(), Closer), isinstance(5, Closer))
try:
    Closer()
except TypeError as e:
    print(e)

# === typing_misc
from typing import cast, NewType, Final, overload, no_type_check, TYPE_CHECKING, Annotated, get_type_hints, assert_never
UserId = NewType("UserId", int)
print(cast(str, 5), UserId(5), UserId.__name__, TYPE_CHECKING, Annotated[int, "meta"], Annotated[int, "m"].__metadata__)
try:
    assert_never(5)
except AssertionError as e:
    print(e)

# === typing_overload
from typing import overload
@overload
def f(x: int) -> int: ...
@overload
def f(x: str) -> str: ...
def f(x): return x * 2
print(f(2), f("a"))

# === abc_collections_checks
from collections.abc import Iterable, Iterator, Sequence, Mapping, Hashable, Callable, Sized, Generator, MutableSequence, Set, Container
print([isinstance(x, Iterable) for x in ([], "", {}, 5, iter([]))], isinstance((), Sequence), isinstance([], MutableSequence), isinstance({}, Mapping), isinstance([], Hashable), isinstance(len, Callable), isinstance((x for x in ()), Generator), isinstance({1}, Set), isinstance(range(1), Sequence), isinstance("", Container))

# === abc_mixin_sequence
from collections.abc import Sequence
class S(Sequence):
    def __init__(self, *a): self.a = a
    def __len__(self): return len(self.a)
    def __getitem__(self, i): return self.a[i]
s = S(1, 2, 3, 2)
print(2 in s, list(reversed(s)), s.index(3), s.count(2), list(s))
try:
    s.index(9)
except ValueError as e:
    print(repr(e))

# === abc_mixin_mutable_mapping
from collections.abc import MutableMapping
class M(MutableMapping):
    def __init__(self): self.d = {}
    def __getitem__(self, k): return self.d[k]
    def __setitem__(self, k, v): self.d[k] = v
    def __delitem__(self, k): del self.d[k]
    def __iter__(self): return iter(self.d)
    def __len__(self): return len(self.d)
m = M()
m.update(a=1, b=2)
print(m.pop("a"), m.setdefault("c", 3), dict(m), m.get("z", 0), list(m.items()), "b" in m, m == {"b": 2, "c": 3}, list(m.keys()), m.popitem())
m.clear()
print(len(m))

# === abc_mixin_set
from collections.abc import Set
class S(Set):
    def __init__(self, it): self.a = sorted(set(it))
    def __contains__(self, x): return x in self.a
    def __iter__(self): return iter(self.a)
    def __len__(self): return len(self.a)
a, b = S([1, 2, 3]), S([2, 3, 4])
print(list(a & b), list(a | b), list(a - b), list(a ^ b), a <= b, S([2]) < a, a == S([3, 2, 1]), a.isdisjoint([9]))

# === abc_abstract_static_class_methods
from abc import ABC, abstractmethod
class A(ABC):
    @classmethod
    @abstractmethod
    def c(cls): return "A.c"
    @staticmethod
    @abstractmethod
    def s(): ...
class B(A):
    @classmethod
    def c(cls): return "B" + super().c()
    @staticmethod
    def s(): return "s"
print(B.c(), B().s())
try:
    A()
except TypeError as e:
    print(e)

# === abc_late_implementation
from abc import ABC, abstractmethod, update_abstractmethods
class A(ABC):
    @abstractmethod
    def f(self): ...
class B(A): pass
B.f = lambda self: "late"
try:
    B()
except TypeError as e:
    print(e)
update_abstractmethods(B)
print(B().f())

# === functools_wraps_and_annotations
from functools import wraps
def deco(f):
    @wraps(f)
    def inner(*a): return f(*a)
    return inner
@deco
def g(x: int) -> str:
    "doc g"
    return str(x)
print(g.__name__, g.__doc__, g.__annotations__, g.__wrapped__(5), g.__qualname__)

# === inspect_signature
import inspect
def f(a, b=1, /, c: int = 2, *args, d, e=3, **kw) -> str: pass
s = inspect.signature(f)
print(s, [(p.name, p.kind.name) for p in s.parameters.values()], s.bind(1, d=5).arguments, s.parameters["c"].default)
try:
    s.bind(1)
except TypeError as e:
    print(e)

# === inspect_predicates
import inspect
def g(): yield
async def c(): pass
class K:
    def m(self): pass
print(inspect.isgeneratorfunction(g), inspect.iscoroutinefunction(c), inspect.isclass(K), inspect.ismethod(K().m), inspect.isfunction(K.m), inspect.isbuiltin(len), inspect.getdoc(len) is not None, [n for n, _ in inspect.getmembers(K) if not n.startswith("__")])
