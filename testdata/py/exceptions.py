# Exceptions: raise, try, chains, groups, notes, tracebacks, exit codes.

# === uncaught_value_error
print("before")
raise ValueError("bad value")

# === uncaught_no_message
raise ValueError

# === uncaught_custom
class MyError(Exception):
    pass
raise MyError("a", 1)

# === uncaught_zero_division
def f(x):
    return 1 / x
f(0)

# === uncaught_name
print(undefined)

# === uncaught_name_suggestion
counter = 1
print(countr)

# === uncaught_key
{}["missing"]

# === uncaught_index
[1][5]

# === uncaught_attribute
"abc".foo()

# === uncaught_attribute_suggestion
[].apend(1)

# === uncaught_type
1 + "a"

# === uncaught_nested_class_name
class Outer:
    class Err(Exception):
        pass
raise Outer.Err("nested")

# === uncaught_with_note
e = ValueError("v")
e.add_note("a note")
raise e

# === uncaught_assertion
assert 1 > 2, "math works"

# === uncaught_import
import no_such_module_here

# === uncaught_import_from
from sys import no_such_name

# === uncaught_module_attribute
import math
math.squirt(2)

# === uncaught_module_suggestion
import math
math.sqr(2)

# === uncaught_keyboard_interrupt_subclass
class Stop(BaseException):
    pass
raise Stop("stop")

# === uncaught_multiline_message
raise ValueError("line one\nline two")

# === uncaught_empty_str_message
raise ValueError("")

# === uncaught_group
raise ExceptionGroup("many", [ValueError(1), TypeError("t")])

# === uncaught_unprintable
class E(Exception):
    def __str__(self):
        raise RuntimeError
raise E()

# === uncaught_in_finally_prints
try:
    raise ValueError("x")
finally:
    print("cleanup")

# === uncaught_unicode
raise ValueError("é€")

# === uncaught_module_exception
import json
json.loads("{bad")

# === uncaught_recursion
def f():
    f()
f()

# === uncaught_stop_iteration
next(iter([]))

# === uncaught_self_suggestion
class C:
    def __init__(self):
        self.blech = 1
    def f(self):
        return blech
C().f()

# === exit_code
import sys
print("a")
sys.exit(3)

# === exit_text
import sys
sys.exit("leaving")

# === exit_none
import sys
try:
    sys.exit()
finally:
    print("finally ran")

# === exit_zero_true
import sys
print("x")
sys.exit(True)

# === exit_object
import sys
sys.exit([1, 2])

# === exit_caught
import sys
try:
    sys.exit(5)
except SystemExit as e:
    print(e.code, repr(e), isinstance(e, Exception))

# === exit_builtin
try:
    exit(2)
except SystemExit as e:
    print(e.code)
raise SystemExit(4)

# === exit_large_code
raise SystemExit(256 + 7)

# === exit_negative
raise SystemExit(-1)

# === atexit_runs
import atexit, sys
atexit.register(print, "bye", 1)
atexit.register(lambda: print("first out"))
print("main")
sys.exit(2)

# === try_except_else_finally
def f(x):
    try:
        print("try")
        r = 1 / x
    except ZeroDivisionError:
        print("except")
        r = None
    else:
        print("else")
    finally:
        print("finally")
    return r
print(f(1), f(0))

# === except_tuple_and_order
for exc in (KeyError("k"), IndexError("i"), ValueError("v"), OSError("o")):
    try:
        raise exc
    except (KeyError, IndexError) as e:
        print("lookup pair", repr(e))
    except LookupError:
        print("never")
    except ValueError as e:
        print("value", e)
    except:
        print("bare")

# === except_base_classes
for exc in (KeyError, FileNotFoundError, UnicodeDecodeError, ModuleNotFoundError, RecursionError, NotImplementedError, ZeroDivisionError, UnboundLocalError, IndentationError, BrokenPipeError, StopAsyncIteration, BaseExceptionGroup, ExceptionGroup, GeneratorExit, UserWarning):
    print(exc.__name__, [c.__name__ for c in exc.__mro__[1:-1]])

# === except_expression_evaluated_lazily
def types():
    print("evaluated")
    return ValueError
try:
    pass
except types():
    pass
try:
    raise ValueError
except types():
    print("caught")

# === except_non_class
try:
    try:
        raise ValueError
    except 5:
        pass
except TypeError as e:
    print(e)
try:
    try:
        raise ValueError
    except (int, "a"):
        pass
except TypeError as e:
    print(e)

# === raise_non_exception
for src in ("raise 5", "raise 'a'", "raise int", "raise None", "raise ValueError from 5", "raise object()"):
    try:
        exec(src)
    except TypeError as e:
        print(e)

# === raise_bare_no_active
try:
    raise
except RuntimeError as e:
    print(e)

# === reraise_bare
def f():
    try:
        {}["k"]
    except KeyError:
        print("log")
        raise
try:
    f()
except KeyError as e:
    print(repr(e))

# === raise_class_with_args
class E(Exception):
    def __init__(self, a, b=2):
        self.a, self.b = a, b
try:
    raise E(1)
except E as e:
    print(e.a, e.b, e.args, str(e), repr(e))
try:
    raise E
except TypeError as e:
    print(e)

# === exception_args_str_repr
for e in (Exception(), Exception("a"), Exception("a", 1), KeyError("k"), KeyError(), KeyError(1, 2), OSError(2, "No such"), OSError(2, "No such", "file.txt"), OSError("x"), StopIteration(5), SystemExit(3), UnicodeDecodeError("utf-8", b"\xff", 0, 1, "bad"), ImportError("m", name="n")):
    print(str(e), "|", repr(e), "|", e.args)

# === oserror_mapping
import errno
for code in (errno.ENOENT, errno.EACCES, errno.EEXIST, errno.EPIPE, errno.ENOTDIR, errno.EISDIR, errno.EAGAIN, errno.ECONNREFUSED, errno.ESRCH, errno.ETIMEDOUT, 9999):
    e = OSError(code, "text", "name")
    print(type(e).__name__, e.errno == code, e.strerror, e.filename)

# === context_implicit
try:
    try:
        1 / 0
    except ZeroDivisionError:
        {}["k"]
except KeyError as e:
    print(repr(e.__context__), e.__cause__, e.__suppress_context__)

# === cause_explicit
try:
    try:
        1 / 0
    except ZeroDivisionError as z:
        raise ValueError("v") from z
except ValueError as e:
    print(repr(e.__cause__), e.__context__ is e.__cause__, e.__suppress_context__)

# === from_none
try:
    try:
        1 / 0
    except ZeroDivisionError:
        raise ValueError("v") from None
except ValueError as e:
    print(e.__cause__, repr(e.__context__), e.__suppress_context__)

# === from_class
try:
    raise ValueError from KeyError
except ValueError as e:
    print(repr(e.__cause__))

# === context_in_finally
try:
    try:
        raise ValueError(1)
    finally:
        raise TypeError(2)
except TypeError as e:
    print(repr(e.__context__))

# === context_cleared_after_handler
try:
    try:
        raise ValueError(1)
    except ValueError:
        pass
    raise TypeError(2)
except TypeError as e:
    print(e.__context__)

# === sys_exc_info
import sys
print(sys.exc_info(), sys.exception())
try:
    raise ValueError("x")
except ValueError as e:
    t, v, tb = sys.exc_info()
    print(t, v is e, tb is e.__traceback__, sys.exception() is e)
    try:
        raise KeyError
    except KeyError:
        print(type(sys.exception()).__name__)
    print(sys.exception() is e)
print(sys.exception())

# === finally_return_overrides
def f():
    try:
        return "try"
    finally:
        return "finally"
def g():
    try:
        raise ValueError
    finally:
        return "swallowed"
def h():
    for i in range(3):
        try:
            continue
        finally:
            print("f", i)
    return "h"
print(f(), g(), h())

# === finally_break
def f():
    while True:
        try:
            return "x"
        finally:
            break
    return "after"
print(f())

# === finally_value_computed_first
def f():
    x = 1
    try:
        return x
    finally:
        x = 2
def g():
    x = [1]
    try:
        return x
    finally:
        x.append(2)
print(f(), g())

# === nested_finally_order
def f():
    try:
        try:
            print(1)
            return "r"
        finally:
            print(2)
    finally:
        print(3)
print(f())

# === exception_in_else
try:
    try:
        pass
    except ValueError:
        print("no")
    else:
        raise ValueError("from else")
except ValueError as e:
    print(e)

# === exception_variable_shadow
e = "outer"
try:
    raise ValueError
except ValueError as e:
    e = "rebound"
print("e" in globals())

# === loop_with_try
out = []
for x in ("1", "x", "3", ""):
    try:
        out.append(int(x))
    except ValueError:
        out.append(None)
        continue
    finally:
        out.append("f")
print(out)

# === notes
e = ValueError("v")
print(hasattr(e, "__notes__"))
e.add_note("one")
e.add_note("two")
print(e.__notes__, str(e))
try:
    e.add_note(5)
except TypeError as t:
    print(t)

# === with_traceback
try:
    raise ValueError("x").with_traceback(None)
except ValueError as e:
    print(e.__traceback__.tb_lineno, e.__traceback__.tb_next, e.__traceback__.tb_frame.f_code.co_name)
try:
    ValueError().with_traceback(5)
except TypeError as e:
    print(e)

# === traceback_lines
def a():
    b()
def b():
    raise KeyError("x")
try:
    a()
except KeyError as e:
    tb = e.__traceback__
    while tb:
        print(tb.tb_lineno, tb.tb_frame.f_code.co_name)
        tb = tb.tb_next

# === traceback_format_exc
import traceback
def f():
    raise ValueError("deep")
try:
    f()
except ValueError:
    print(traceback.format_exc(), end="")

# === traceback_chain_text
import traceback
def f():
    try:
        {}["k"]
    except KeyError as e:
        raise ValueError("v") from e
try:
    f()
except ValueError:
    print(traceback.format_exc(), end="")

# === traceback_context_text
import traceback
try:
    try:
        raise KeyError("first")
    except KeyError:
        raise TypeError("second")
except TypeError:
    print(traceback.format_exc(), end="")

# === traceback_anchors_binary
import traceback
def f(a, b):
    return a + b * (a / 0)
try:
    f(1, 2)
except ZeroDivisionError:
    print(traceback.format_exc(), end="")

# === traceback_anchors_subscript
import traceback
d = {"a": {"b": None}}
try:
    x = d["a"]["b"]["c"]
except TypeError:
    print(traceback.format_exc(), end="")

# === traceback_anchors_call
import traceback
def g(x):
    return x.foo.bar
def f():
    return [g(i) for i in range(3)]
try:
    f()
except AttributeError:
    print(traceback.format_exc(), end="")

# === traceback_recursion_repeats
import traceback
def f(n):
    if n == 0:
        raise ValueError("bottom")
    f(n - 1)
try:
    f(6)
except ValueError:
    print(traceback.format_exc(), end="")

# === traceback_exec_code
import traceback
try:
    exec("x = 1\nraise ValueError('in exec')")
except ValueError:
    print(traceback.format_exc(), end="")

# === traceback_notes_text
import traceback
try:
    e = ValueError("v")
    e.add_note("note one\nline two")
    raise e
except ValueError:
    print(traceback.format_exc(), end="")

# === traceback_group_text
import traceback
try:
    raise ExceptionGroup("eg", [ValueError(1), ExceptionGroup("in", [KeyError("k")])])
except ExceptionGroup:
    print(traceback.format_exc(), end="")

# === traceback_format_exception_only
import traceback
for e in (ValueError("x"), KeyError("k"), ValueError(), SyntaxError("bad", ("f.py", 3, 5, "abc def", 3, 6)), OSError(2, "No", "f")):
    print("".join(traceback.format_exception_only(e)), end="")

# === traceback_extract
import traceback
def f():
    1 / 0
try:
    f()
except ZeroDivisionError as e:
    for s in traceback.extract_tb(e.__traceback__):
        print(s.name, s.lineno, s.line)

# === traceback_lambda_class
import traceback
def f():
    class C:
        (lambda: 1 / 0)()
try:
    f()
except ZeroDivisionError as e:
    print([s.name for s in traceback.extract_tb(e.__traceback__)])

# === traceback_reraise_keeps_lines
import traceback
def f():
    try:
        1 / 0
    except ZeroDivisionError:
        raise
try:
    f()
except ZeroDivisionError as e:
    print([(s.name, s.lineno) for s in traceback.extract_tb(e.__traceback__)])

# === group_basic
g = ExceptionGroup("msg", [ValueError(1), TypeError(2)])
print(g, repr(g), g.message, g.exceptions, isinstance(g, Exception), type(BaseExceptionGroup("b", [ValueError()])).__name__, type(BaseExceptionGroup("b", [KeyboardInterrupt()])).__name__)

# === group_errors
for a in (("m", []), ("m", [1]), (5, [ValueError()]), ("m", [KeyboardInterrupt()]), ("m",), ("m", 5)):
    try:
        ExceptionGroup(*a)
    except (TypeError, ValueError) as e:
        print(type(e).__name__, e)

# === except_star
try:
    raise ExceptionGroup("g", [ValueError(1), TypeError(2), ValueError(3), OSError(4)])
except* ValueError as e:
    print("V", e.exceptions)
except* (TypeError, OSError) as e:
    print("TO", e.exceptions)

# === except_star_leftover
try:
    try:
        raise ExceptionGroup("g", [ValueError(1), KeyError(2)])
    except* ValueError:
        print("handled")
except ExceptionGroup as e:
    print(repr(e))

# === except_star_naked
try:
    raise ValueError("naked")
except* ValueError as e:
    print(repr(e))
else:
    print("no")
finally:
    print("finally")

# === except_star_raise_inside
try:
    try:
        raise ExceptionGroup("g", [ValueError(1), TypeError(2)])
    except* ValueError:
        raise KeyError("new")
except ExceptionGroup as e:
    print(repr(e), [type(x).__name__ for x in e.exceptions])

# === except_star_nested
try:
    raise ExceptionGroup("o", [ExceptionGroup("i", [ValueError(1), TypeError(2)]), ValueError(3)])
except* ValueError as e:
    print(repr(e))
except* TypeError as e:
    print(repr(e))

# === except_star_reraise
try:
    try:
        raise ExceptionGroup("g", [ValueError(1), TypeError(2)])
    except* ValueError:
        raise
except ExceptionGroup as e:
    print(repr(e))

# === group_split_subgroup
g = ExceptionGroup("g", [ValueError(1), ExceptionGroup("n", [TypeError(2), ValueError(3)])])
m, r = g.split(ValueError)
print(repr(m), repr(r))
print(repr(g.subgroup(TypeError)), g.subgroup(KeyError), repr(g.subgroup(lambda e: isinstance(e, ValueError) and e.args[0] > 2)))

# === group_derive
class G(ExceptionGroup):
    def derive(self, excs):
        return G("derived " + self.message, excs)
g = G("m", [ValueError(1), KeyError(2)])
print(repr(g.subgroup(ValueError)), g.split(KeyError)[0].message)

# === stop_iteration_in_generator
def g():
    yield 1
    raise StopIteration("inner")
try:
    list(g())
except RuntimeError as e:
    print(e, repr(e.__cause__))

# === exception_hierarchy_catch_base
try:
    raise KeyboardInterrupt("ki")
except Exception:
    print("no")
except BaseException as e:
    print(repr(e))

# === exception_attributes_special
try:
    None.attr
except AttributeError as e:
    print(e.name, e.obj)
try:
    undefined_x
except NameError as e:
    print(e.name)
try:
    import nope.sub
except ImportError as e:
    print(e.name, e.path, type(e).__name__, e)

# === exception_new_without_init
class E(Exception):
    def __init__(self):
        pass
e = E.__new__(E, "a", "b")
print(e.args, repr(e))

# === exception_equality_hash
a, b = ValueError(1), ValueError(1)
print(a == b, a == a, len({a, b}), a != b)

# === exception_pickle_state
e = ValueError("x")
e.extra = 5
print(e.__dict__, e.__reduce__())
e.args = (1, 2)
print(repr(e))

# === suppress_contextlib
from contextlib import suppress
with suppress(KeyError, IndexError):
    {}["a"]
    print("never")
with suppress(ExceptionGroup):
    raise ExceptionGroup("g", [ValueError()])
print("after")

# === excepthook
import sys
def hook(t, v, tb):
    print("hook", t.__name__, v)
sys.excepthook = hook
raise ValueError("to hook")

# === raise_in_del_ignored
import sys
sys.unraisablehook = lambda u: print("unraisable", type(u.exc_value).__name__, u.exc_value)
class C:
    def __del__(self):
        raise ValueError("in del")
c = C()
del c
print("after")

# === deep_exception_chain
e = None
for i in range(5):
    try:
        raise ValueError(i) from e
    except ValueError as x:
        e = x
n = 0
while e:
    n += 1
    e = e.__cause__
print(n)

# === warning_as_exception
import warnings
with warnings.catch_warnings(record=True) as w:
    warnings.simplefilter("always")
    warnings.warn("careful", DeprecationWarning)
    warnings.warn("plain")
print([(x.category.__name__, str(x.message)) for x in w])
with warnings.catch_warnings():
    warnings.simplefilter("error")
    try:
        warnings.warn("boom")
    except UserWarning as e:
        print(repr(e))
