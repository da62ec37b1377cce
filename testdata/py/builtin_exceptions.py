# Every builtin exception class: constructor, attributes, str, repr; and what raises it.

# === base_exception_attributes
e = BaseException("a", 1)
print(e.args, e.__cause__, e.__context__, e.__suppress_context__, e.__traceback__, e.__dict__, hasattr(e, "__notes__"))
e.args = ["x"]
print(e.args, str(e))
try:
    e.args = 5
except TypeError as t:
    print(t)

# === cause_context_assignment
e, f = ValueError(1), KeyError(2)
e.__cause__ = f
print(e.__suppress_context__, repr(e.__cause__))
e.__suppress_context__ = False
e.__context__ = f
for n, v in (("__cause__", 5), ("__context__", "x"), ("__traceback__", 1)):
    try:
        setattr(e, n, v)
    except TypeError as t:
        print(t)
e.__cause__ = None
print(e.__cause__)

# === exception_keyword_arguments
for c in (Exception, ValueError, OSError, KeyError):
    try:
        c(x=1)
    except TypeError as e:
        print(e)
class E(Exception):
    def __init__(self, *, code): self.code = code
print(E(code=5).code, repr(E(code=5)))

# === name_error_attributes
try:
    missing_one
except NameError as e:
    print(e.name, e.args, type(e).__mro__[1].__name__)
e = NameError("m", name="n")
print(e.name, e)
def f():
    loc
    loc = 1
try:
    f()
except UnboundLocalError as e:
    print(e.name, isinstance(e, NameError), e)

# === attribute_error_attributes
class A: pass
a = A()
try:
    a.nope
except AttributeError as e:
    print(e.name, e.obj is a)
e = AttributeError("m")
print(e.name, e.obj, AttributeError("m", name="n", obj=5).obj)

# === import_error_attributes
try:
    import zzz_missing
except ModuleNotFoundError as e:
    print(e.name, e.path, e.msg, str(e))
e = ImportError("m", name="n", path="p")
print(e.name, e.path, e.msg, e.args, str(ImportError()))
try:
    ImportError("m", foo=1)
except TypeError as t:
    print("unexpected keyword")

# === key_error_str_forms
for k in ("a", 1, ("t",), None, "it's", "", b"x"):
    print(str(KeyError(k)), repr(KeyError(k)))
print(str(KeyError()), str(KeyError("a", "b")))

# === index_and_lookup_errors
print([issubclass(c, LookupError) for c in (IndexError, KeyError, ValueError)])
for src in ("[][0]", "''[0]", "()[0]", "[].pop()", "[1][5] = 2", "del [1][3]", "b''[0]", "range(0)[1]", "bytearray()[0] = 1"):
    try:
        exec(src)
    except IndexError as e:
        print(e)

# === stop_iteration_value
e = StopIteration(1, 2)
print(e.value, e.args, StopIteration().value, StopAsyncIteration(5).args, hasattr(StopAsyncIteration(5), "value"))
e.value = "changed"
print(e.value)

# === system_exit_code
for a in ((), (0,), (None,), ("text",), (1, 2), (True,)):
    print(SystemExit(*a).code, end=" ")
print(isinstance(SystemExit(), Exception))

# === os_error_forms
e = OSError(2, "No such file", "a.txt", None, "b.txt")
print(type(e).__name__, e.errno, e.strerror, e.filename, e.filename2, e, e.args)
for a in ((), ("m",), (2,), (2, "s"), (2, "s", "f"), (2, "s", "f", None, "g"), (1, 2, 3, 4, 5, 6)):
    e = OSError(*a)
    print(type(e).__name__, e.errno, str(e), e.args)

# === os_error_subclass_mapping
import errno
names = "EPERM ENOENT ESRCH EINTR ECHILD EACCES EEXIST ENOTDIR EISDIR EPIPE ECONNABORTED ECONNREFUSED ECONNRESET ETIMEDOUT EAGAIN EALREADY EINPROGRESS ESHUTDOWN ENOSPC".split()
print([(n, type(OSError(getattr(errno, n), "x")).__name__) for n in names])
print(type(FileNotFoundError(13, "x")).__name__, FileNotFoundError(1, "x").errno)

# === os_error_aliases
print(IOError is OSError, EnvironmentError is OSError, issubclass(ConnectionResetError, ConnectionError), issubclass(BlockingIOError, OSError), BlockingIOError(11, "x", 5).characters_written)

# === os_error_subclass_init
class E(OSError):
    def __init__(self, a, b, extra):
        super().__init__(a, b)
        self.extra = extra
e = E(2, "msg", "x")
print(e.errno, e.strerror, e.extra, e.args, str(e), type(e).__name__)

# === unicode_errors_attributes
e = UnicodeDecodeError("utf-8", b"abc\xff", 3, 4, "why")
print(e.encoding, e.object, e.start, e.end, e.reason, e)
e = UnicodeEncodeError("ascii", "aé€", 1, 3, "why")
print(e, e.object[e.start:e.end])
print(UnicodeEncodeError("ascii", "é", 0, 1, "r"), UnicodeTranslateError("a€", 1, 2, "r"), UnicodeTranslateError("abc", 0, 2, "r"), UnicodeDecodeError("x", b"ab", 0, 2, "r"))
e.start, e.reason = 0, "changed"
print(e)
try:
    UnicodeDecodeError("utf-8", "str", 0, 1, "r")
except TypeError as t:
    print(t)

# === syntax_error_attributes
e = SyntaxError("m", ("f", 1, 2, "text", 1, 4))
print(e.msg, e.filename, e.lineno, e.offset, e.text, e.end_lineno, e.end_offset, e.print_file_and_line, e)
print(SyntaxError("x", ("f", None, None, None)), SyntaxError("x", (None, 3, 1, "t")), isinstance(TabError(), IndentationError))
try:
    SyntaxError("x", (1, 2))
except (TypeError, IndexError) as t:
    print(type(t).__name__)

# === arithmetic_errors
for f in (lambda: 1 / 0, lambda: 10.0 ** 1000, lambda: 1 % 0, lambda: int("9" * 5000), lambda: 2.0 ** 5000, lambda: float(10**400), lambda: 0 ** -1, lambda: 1 << 2**64):
    try:
        f()
    except (ArithmeticError, ValueError, MemoryError) as e:
        print(type(e).__name__, issubclass(type(e), ArithmeticError))

# === assertion_error_forms
for src in ("assert 0", "assert 0, 'm'", "assert 0, ('t', 1)", "assert 0, None", "assert (), ValueError('v')", "assert not True, 5"):
    try:
        exec(src)
    except AssertionError as e:
        print(repr(e), "|", e)

# === exception_group_attributes
g = ExceptionGroup("m", (ValueError(1),))
print(g.exceptions, g.args, g.message, str(g), repr(g), g.exceptions is g.exceptions)
try:
    g.message = "x"
except AttributeError as e:
    print(e)
g2 = ExceptionGroup("m", [ValueError(1), ExceptionGroup("n", [KeyError(2)])])
print(str(g2), repr(g2.exceptions[1]))

# === exception_group_custom_subclass
class G(ExceptionGroup):
    def __new__(cls, msg, excs, code):
        o = super().__new__(cls, msg, excs)
        o.code = code
        return o
    def derive(self, excs): return G(self.message, excs, self.code)
g = G("m", [ValueError(1), KeyError(2)], 42)
a, b = g.split(ValueError)
print(a.code, b.code, type(a).__name__, repr(a))

# === exception_group_notes_traceback_copy
g = ExceptionGroup("m", [ValueError(1), TypeError(2)])
g.add_note("note")
g.__cause__ = KeyError("cause")
s = g.subgroup(ValueError)
print(s.__notes__, repr(s.__cause__), s.exceptions)

# === warnings_hierarchy
ws = (UserWarning, DeprecationWarning, PendingDeprecationWarning, SyntaxWarning, RuntimeWarning, FutureWarning, ImportWarning, UnicodeWarning, BytesWarning, ResourceWarning, EncodingWarning)
print(all(issubclass(w, Warning) and issubclass(w, Exception) for w in ws), repr(UserWarning("x")))

# === direct_hierarchy
import builtins
excs = sorted(n for n, v in vars(builtins).items() if isinstance(v, type) and issubclass(v, BaseException))
print(len(excs) > 60)
print([n for n in excs if getattr(builtins, n).__bases__ == (Exception,)])
print([n for n in excs if getattr(builtins, n).__bases__ == (BaseException,)])

# === memory_and_buffer_errors
for f in (lambda: bytearray(b"a").__init__(2**62), lambda: [0] * 2**61):
    try:
        f()
    except (MemoryError, OverflowError) as e:
        print(type(e).__name__, e.args)
b = bytearray(b"ab")
m = memoryview(b)
for f in (b.clear, lambda: b.extend(b"x"), lambda: b.pop()):
    try:
        f()
    except BufferError as e:
        print(e)

# === runtime_errors
def g():
    yield
    raise StopIteration
it = g()
next(it)
for f in (lambda: next(it), lambda: [d.pop(k) for k in d], lambda: (_ for _ in ()).throw(RuntimeError("thrown"))):
    d = {1: 1, 2: 2}
    try:
        f()
    except RuntimeError as e:
        print(e)

# === recursion_error_type
import sys
def f(): f()
try:
    f()
except RuntimeError as e:
    print(type(e).__name__, isinstance(e, RecursionError), "maximum recursion depth" in str(e))

# === not_implemented_error_and_constant
class A:
    def f(self): raise NotImplementedError
    def g(self): raise NotImplementedError("later")
for m in (A().f, A().g):
    try:
        m()
    except NotImplementedError as e:
        print(repr(e), isinstance(e, RuntimeError))
try:
    raise NotImplemented
except TypeError as e:
    print(e)

# === generator_exit_and_keyboard_interrupt
print(issubclass(GeneratorExit, Exception), issubclass(KeyboardInterrupt, Exception), issubclass(SystemExit, Exception), issubclass(StopIteration, Exception))
def g():
    try:
        yield
    except Exception:
        print("not caught here")
it = g()
next(it)
it.close()
print("closed")

# === eof_error
try:
    input()
except EOFError as e:
    print(repr(e))
import sys
print(repr(sys.stdin.read()), repr(sys.stdin.readline()), list(sys.stdin))

# === reference_error_and_buffer
import weakref
class A: pass
p = weakref.proxy(A())
for f in (lambda: p.x, lambda: setattr(p, "x", 1), lambda: str(p), lambda: bool(p)):
    try:
        f()
    except ReferenceError as e:
        print(e)

# === exception_str_with_odd_args
for a in ((None,), ([],), ("",), (b"b",), (1, "two", 3.0), ((),), (ValueError("in"),)):
    e = Exception(*a)
    print(repr(str(e)), repr(e))

# === exception_subclass_str_override
class E(Exception):
    def __str__(self): return "custom str"
class R(Exception):
    def __repr__(self): return "custom repr"
print(str(E("x")), repr(E("x")), str(R("y")), repr(R("y")), [R()], f"{E()}", ExceptionGroup("g", [E(), R()]).exceptions)

# === exception_init_without_super
class E(ValueError):
    def __init__(self, a, b):
        self.total = a + b
e = E(1, 2)
print(e.args, str(e), repr(e), e.total)
class F(ValueError):
    def __init__(self, a): super().__init__(f"wrapped {a}", a)
print(F(5), F(5).args, repr(F(5)))

# === exception_multiple_inheritance
class A(KeyError, AttributeError): pass
e = A("k")
print(str(e), [c.__name__ for c in A.__mro__[:5]])
for c in (KeyError, AttributeError, LookupError):
    try:
        raise A("m")
    except c as x:
        print(c.__name__, repr(x))
try:
    class B(OSError, SyntaxError): pass
except TypeError as t:
    print(t)

# === exception_slots_and_dict
e = ValueError()
e.anything = 1
print(e.__dict__)
class S(Exception):
    __slots__ = ("code",)
s = S()
s.code = 5
s.other = 6
print(s.code, s.__dict__)

# === exception_as_control_value
results = []
for f in (lambda: 1, lambda: 1 / 0, lambda: {}[0], lambda: int("z")):
    try:
        results.append(("ok", f()))
    except Exception as e:
        results.append((type(e).__name__, str(e)))
print(results)

# === exception_traceback_cleared_and_chained
def f():
    try:
        g()
    except KeyError as e:
        return e
def g(): raise KeyError("k")
e = f()
tb = e.__traceback__
n = 0
while tb:
    n += 1
    tb = tb.tb_next
print(n)
e2 = e.with_traceback(None)
print(e2 is e, e.__traceback__)

# === exception_context_cycle_avoided
a, b = ValueError("a"), KeyError("b")
try:
    try:
        raise a
    except ValueError:
        try:
            raise b
        except KeyError:
            raise a
except ValueError as e:
    print(e is a, repr(e.__context__), repr(b.__context__))

# === exception_context_through_calls
def handler():
    raise TypeError("in handler")
try:
    try:
        raise ValueError("first")
    except ValueError:
        handler()
except TypeError as e:
    print(repr(e.__context__))
def clean():
    try:
        raise KeyError
    except KeyError:
        pass
try:
    try:
        raise ValueError("x")
    finally:
        clean()
except ValueError as e:
    print(e.__context__)

# === exception_in_generator_context
def g():
    try:
        yield 1
    finally:
        raise KeyError("finally")
it = g()
next(it)
try:
    it.throw(ValueError("thrown"))
except KeyError as e:
    print(repr(e.__context__))

# === sys_exc_clear_between_functions
import sys
def f():
    try:
        raise ValueError
    except ValueError:
        return sys.exc_info()[0]
print(f(), sys.exc_info())
def g():
    return sys.exc_info()[0]
try:
    raise KeyError
except KeyError:
    print(g())

# === exception_names_and_modules
class E(Exception): pass
import json, decimal
print(E.__module__, E.__qualname__, ValueError.__module__, json.JSONDecodeError.__module__, decimal.InvalidOperation.__module__)

# === type_error_or_value_error_table
cases = {"int('a')": ValueError, "int(None)": TypeError, "chr(-1)": ValueError, "chr('a')": TypeError, "[].remove(1)": ValueError, "{}['a']": KeyError, "len(5)": TypeError, "'a'.index('b')": ValueError, "range(1,2,0)": ValueError, "float('x')": ValueError, "bytes([300])": ValueError, "(1).to_bytes(0,'big')": OverflowError, "''.join([1])": TypeError, "next(iter([]))": StopIteration, "max([])": ValueError, "dict([1])": TypeError, "dict([[1]])": ValueError, "a, b = 1": TypeError, "a, b = [1]": ValueError}
for src, exp in cases.items():
    try:
        exec(src)
    except Exception as e:
        print(type(e) is exp, src)
