# Smaller standard-library modules.

# === contextvars
import contextvars
v = contextvars.ContextVar("v", default="d")
print(v.get(), v.name)
t = v.set("x")
ctx = contextvars.copy_context()
v.set("y")
print(v.get(), ctx[v], ctx.run(v.get), len(ctx))
v.reset(t)
print(v.get())
try:
    v.reset(t)
except RuntimeError as e:
    print(type(e).__name__)
w = contextvars.ContextVar("w")
try:
    w.get()
except LookupError as e:
    print(type(e).__name__, w.get("fallback"))

# === contextvars_run_isolated
import contextvars
v = contextvars.ContextVar("v", default=0)
def f():
    v.set(v.get() + 1)
    return v.get()
ctx = contextvars.copy_context()
print(ctx.run(f), ctx.run(f), v.get(), ctx.get(v))

# === queue_module
import queue
q = queue.Queue(maxsize=2)
q.put(1)
q.put(2)
print(q.full(), q.qsize(), q.get(), q.get_nowait(), q.empty())
for f in (q.get_nowait, lambda: (q.put(1), q.put(2), q.put_nowait(3))):
    try:
        f()
    except (queue.Empty, queue.Full) as e:
        print(type(e).__name__)
p = queue.PriorityQueue()
for x in (3, 1, 2):
    p.put(x)
l = queue.LifoQueue()
l.put("a"); l.put("b")
print([p.get() for _ in range(3)], l.get())

# === threading_basic
import threading
out = []
def w(n):
    out.append(n)
ts = [threading.Thread(target=w, args=(i,), name=f"t{i}") for i in range(3)]
for t in ts:
    t.start()
    t.join()
print(out, ts[0].name, ts[0].is_alive(), threading.current_thread().name, threading.main_thread() is threading.current_thread())

# === threading_lock_local
import threading
lock = threading.Lock()
print(lock.locked())
with lock:
    print(lock.locked(), lock.acquire(blocking=False))
r = threading.RLock()
with r, r:
    print("reentrant")
loc = threading.local()
loc.x = 1
seen = []
t = threading.Thread(target=lambda: seen.append(hasattr(loc, "x")))
t.start(); t.join()
print(seen, loc.x)
try:
    lock.release()
except RuntimeError as e:
    print(e)

# === threading_event_condition
import threading
ev = threading.Event()
res = []
def w():
    ev.wait()
    res.append("woke")
t = threading.Thread(target=w)
t.start()
res.append("setting")
ev.set()
t.join()
print(res, ev.is_set())

# === futures_thread_pool
from concurrent.futures import ThreadPoolExecutor, Future
with ThreadPoolExecutor(2) as ex:
    print(list(ex.map(lambda x: x * x, range(5))), ex.submit(pow, 2, 5).result())
    f = ex.submit(lambda: 1 / 0)
    print(repr(f.exception()))
g = Future()
g.set_result(3)
print(g.done(), g.result())

# === logging_to_stream
import logging, io
s = io.StringIO()
log = logging.getLogger("app.mod")
h = logging.StreamHandler(s)
h.setFormatter(logging.Formatter("%(levelname)s:%(name)s:%(message)s"))
log.addHandler(h)
log.setLevel(logging.INFO)
log.debug("no")
log.info("x=%d", 5)
log.warning("w %s", {"a": 1})
try:
    1 / 0
except ZeroDivisionError:
    log.error("failed", exc_info=False)
print(s.getvalue(), log.level, logging.getLevelName(30), log.parent.name, log.isEnabledFor(10))

# === logging_filters_and_levels
import logging, io
s = io.StringIO()
log = logging.getLogger("f")
log.propagate = False
h = logging.StreamHandler(s)
h.addFilter(lambda r: "secret" not in r.getMessage())
h.setFormatter(logging.Formatter("{levelname[0]} {message}", style="{"))
log.addHandler(h)
log.warning("a secret")
log.critical("fine")
log.log(35, "custom")
print(repr(s.getvalue()))

# === unittest_results
import unittest, io
class T(unittest.TestCase):
    def setUp(self): self.x = 1
    def test_ok(self): self.assertEqual(self.x, 1)
    def test_bad(self): self.assertEqual(self.x, 2, "custom")
    def test_err(self): raise ValueError
    @unittest.skip("later")
    def test_skip(self): pass
    @unittest.expectedFailure
    def test_xfail(self): self.assertTrue(False)
    def test_sub(self):
        for i in range(3):
            with self.subTest(i=i):
                self.assertNotEqual(i, 1)
r = unittest.TestResult()
unittest.defaultTestLoader.loadTestsFromTestCase(T).run(r)
print(len(r.failures), len(r.errors), len(r.skipped), len(r.expectedFailures), r.wasSuccessful())

# === unittest_assertions
import unittest
t = unittest.TestCase()
for f in (lambda: t.assertEqual([1, 2], [1, 3]), lambda: t.assertIn(1, [2]), lambda: t.assertTrue(0), lambda: t.assertIsNone(1), lambda: t.assertAlmostEqual(1.0, 1.1), lambda: t.assertRaises(ValueError, int, "5"), lambda: t.assertGreater(1, 2), lambda: t.assertIsInstance(1, str), lambda: t.assertRegex("abc", "x"), lambda: t.assertDictEqual({"a": 1}, {"a": 2}), lambda: t.fail("msg")):
    try:
        f()
    except AssertionError as e:
        print(str(e).split("\n")[0])
with t.assertRaises(ZeroDivisionError) as cm:
    1 / 0
print(cm.exception)

# === unittest_mock
from unittest import mock
m = mock.Mock(return_value=5)
m.attr.method.side_effect = [1, ValueError("x")]
print(m(1, a=2), m.called, m.call_args, m.attr.method(), m.call_count)
try:
    m.attr.method()
except ValueError as e:
    print(e)
m.assert_called_once_with(1, a=2)
import math
with mock.patch("math.sqrt", return_value=99):
    print(math.sqrt(4))
print(math.sqrt(4))
mm = mock.MagicMock()
mm.__len__.return_value = 3
print(len(mm), mm[0] is not None)

# === doctest_runner
import doctest
def f(x):
    """
    >>> f(2)
    4
    >>> f(3)
    10
    >>> f("a")
    Traceback (most recent call last):
    TypeError: can't multiply sequence by non-int of type 'str'
    """
    return x * x
r = doctest.DocTestRunner(verbose=False)
t = doctest.DocTestFinder().find(f, "f", globs={"f": f})[0]
res = r.run(t, out=lambda s: None)
print(res)

# === ast_parse_dump
import ast
t = ast.parse("x = a + 1\nf(y, *z, k=2)")
print(ast.dump(t.body[0]))
print(ast.unparse(t), [type(n).__name__ for n in ast.walk(t)][:8])

# === ast_unparse_forms
import ast
for s in ("lambda x, *a, y=1: x if a else -y", "[i for i in range(3) if i % 2]", "{**a, 'b': (1,)}", "f'{x!r:>{w}} {y=}'", "a[1:2, ::3]", "not (a and b or c)", "(yield x)", "x = yield", "async def f(): await g()", "with a as b, c: pass", "print(*a, **b)", "2 ** -1", "(-2) ** 2", "(a, b) = c"):
    print(ast.unparse(ast.parse(s)))

# === ast_visitor_transform
import ast
class V(ast.NodeVisitor):
    def __init__(self): self.names = []
    def visit_Name(self, n): self.names.append((n.id, type(n.ctx).__name__, n.lineno, n.col_offset))
v = V()
v.visit(ast.parse("a = b + c(d)\ndel a"))
print(v.names)
class T(ast.NodeTransformer):
    def visit_Constant(self, n): return ast.copy_location(ast.Constant(n.value * 2), n)
t = ast.fix_missing_locations(T().visit(ast.parse("1 + 2", mode="eval")))
print(eval(compile(t, "x", "eval")), ast.get_docstring(ast.parse("'doc'")))

# === tokenize_module
import tokenize, io
for t in tokenize.generate_tokens(io.StringIO("x = 1  # c\nif x:\n    y('s')\n").readline):
    print(tokenize.tok_name[t.type], repr(t.string), t.start, t.end)

# === keyword_token_modules
import keyword, builtins
print(keyword.iskeyword("def"), keyword.iskeyword("match"), keyword.issoftkeyword("match"), len(keyword.kwlist), keyword.softkwlist)

# === symtable_module
import symtable
t = symtable.symtable("def f(a):\n  global g\n  b = a\n  def h(): return b\n", "s", "exec")
f = t.get_children()[0]
print(f.get_name(), sorted(f.get_parameters()), sorted(f.get_locals()), sorted(f.get_globals()), f.get_children()[0].get_frees(), f.lookup("b").is_local())

# === importlib_basic
import importlib.util, sys
m = importlib.import_module("json.decoder")
print(m.__name__, importlib.import_module(".encoder", "json").__name__, importlib.util.find_spec("nope_zz"))
import string
print(importlib.reload(string) is string)

# === importlib_custom_finder
import sys, importlib.abc, importlib.util
class F(importlib.abc.MetaPathFinder, importlib.abc.Loader):
    def find_spec(self, name, path, target=None):
        if name.startswith("virtual_"):
            return importlib.util.spec_from_loader(name, self)
    def create_module(self, spec): return None
    def exec_module(self, m): m.value = m.__name__.upper()
sys.meta_path.insert(0, F())
import virtual_mod
from virtual_other import value
print(virtual_mod.value, value, "virtual_mod" in sys.modules, virtual_mod.__spec__.name)

# === sys_settrace_profile_free
import sys
print(sys.gettrace(), sys.getprofile(), sys.intern("x"), sys.getsizeof(1) > 0, sys.call_tracing(lambda a: a + 1, (1,)), type(sys.flags).__name__, sys.flags.optimize, isinstance(sys.path, list), type(sys.stdout).__name__)

# === sys_displayhook
import sys
sys.displayhook(5)
sys.displayhook(None)
import builtins
print(builtins._)
sys.displayhook = lambda v: print("custom", v)
exec(compile("1 + 1", "x", "single"))

# === sys_stdout_replace
import sys, io
old = sys.stdout
sys.stdout = io.StringIO()
print("captured")
text = sys.stdout.getvalue()
sys.stdout = old
print(repr(text))
n = sys.stdout.write("written\n")
print(n)

# === os_environment_free
import os
print(os.sep, os.linesep == "\n", os.name, os.path.join("a", "b"), os.fspath("x"), os.strerror(2), os.curdir, os.pardir, os.extsep, isinstance(os.getpid(), int), os.PathLike.__name__)
class P:
    def __fspath__(self): return "fs/path"
print(os.fspath(P()), os.path.basename(P()))
try:
    os.fspath(5)
except TypeError as e:
    print(e)

# === open_missing_file
for name in ("no/such/file.txt",):
    try:
        open(name)
    except FileNotFoundError as e:
        print(e, e.errno, e.filename)
try:
    open("x", "zz")
except ValueError as e:
    print(e)
try:
    open(5.5)
except TypeError as e:
    print(e)

# === errno_signal_constants
import errno, signal, stat
print(errno.ENOENT, errno.errorcode[13], signal.SIGINT, signal.Signals(15).name, stat.S_ISDIR(0o40755), stat.filemode(0o100644), oct(stat.S_IMODE(0o100755)))

# === sched_with_fake_clock
import sched
now = 0
def t(): return now
def d(n):
    global now
    now += n
s = sched.scheduler(t, d)
s.enter(5, 1, print, ("five",))
s.enter(1, 1, print, ("one",))
s.enter(1, 0, print, ("one urgent",))
s.run()
print(now, s.empty())

# === functools_more
import functools
@functools.lru_cache
def f(x): return x
f(1); f(1)
print(f.cache_info(), functools.reduce(lambda a, b: b + a, "abc"))
class C:
    @functools.cached_property
    def v(self): return [1]
c = C()
print(c.v is c.v)
p = functools.partial(functools.partial(max, 3), 5)
print(p.args, p(9))

# === contextlib_more
import contextlib
class A(contextlib.AbstractContextManager):
    def __exit__(self, *a): print("exit")
with A() as a:
    print(type(a).__name__)
@contextlib.contextmanager
def swallow():
    try:
        yield
    except KeyError as e:
        print("swallowed", e)
with swallow():
    {}["k"]
with contextlib.chdir("/"):
    import os
    print(os.getcwd())

# === operator_attr_nested_and_sort
from operator import attrgetter, itemgetter
from types import SimpleNamespace as N
xs = [N(a=N(b=2), c="x"), N(a=N(b=1), c="y")]
print([x.c for x in sorted(xs, key=attrgetter("a.b"))], sorted([(1, "b"), (0, "z"), (1, "a")], key=itemgetter(0, 1)))

# === secrets_uuid_shape
import secrets, uuid
print(len(secrets.token_hex(8)), len(secrets.token_bytes(5)), secrets.choice([1]) , 0 <= secrets.randbelow(10) < 10, uuid.uuid4().version, secrets.compare_digest("a", "a"))

# === tempfile_free_io_buffered
import io
raw = io.BytesIO(b"0123456789" * 3)
b = io.BufferedReader(raw, 8)
print(b.peek(2)[:2], b.read(5), b.read1(3), b.tell(), b.seek(28), b.read())
w = io.BytesIO()
bw = io.BufferedWriter(w, 4)
bw.write(b"ab")
print(w.getvalue())
bw.write(b"cdef")
bw.flush()
print(w.getvalue())

# === io_classes_hierarchy
import io
print([c.__name__ for c in io.StringIO.__mro__], issubclass(io.BytesIO, io.BufferedIOBase), isinstance(io.StringIO(), io.TextIOBase), io.DEFAULT_BUFFER_SIZE > 0)
class R(io.RawIOBase):
    def readable(self): return True
    def readinto(self, b):
        b[:2] = b"hi"
        n, self.n = getattr(self, "n", 2), 0
        return n
print(R().read(5), R().readall())
try:
    io.StringIO().fileno()
except io.UnsupportedOperation as e:
    print(e)

# === zlib_gzip_bz2
import zlib, gzip
d = zlib.compressobj()
c = d.compress(b"abc" * 50) + d.flush()
print(zlib.decompress(c) == b"abc" * 50, gzip.decompress(gzip.compress(b"x" * 100)) == b"x" * 100, len(c) < 50)
o = zlib.decompressobj()
print(o.decompress(c[:5]) + o.decompress(c[5:]) == b"abc" * 50, o.eof)
try:
    zlib.decompress(b"garbage")
except zlib.error as e:
    print(e)

# === xml_etree
import xml.etree.ElementTree as ET
r = ET.fromstring("<a x='1'><b>t&amp;x</b><b/><c><b>deep</b></c>tail</a>")
print(r.tag, r.attrib, [b.text for b in r.findall("b")], len(list(r.iter("b"))), r.find("c/b").text, r.get("x"), r[2].tail)
e = ET.Element("root")
ET.SubElement(e, "k", n="é<").text = "v"
print(ET.tostring(e), ET.tostring(e, encoding="unicode"))
try:
    ET.fromstring("<a><b></a>")
except ET.ParseError as x:
    print(x)

# === html_parser
from html.parser import HTMLParser
class P(HTMLParser):
    def handle_starttag(self, t, a): print("start", t, a)
    def handle_endtag(self, t): print("end", t)
    def handle_data(self, d): print("data", repr(d))
    def handle_comment(self, d): print("comment", d)
P().feed("<p class=x>Hi &amp; <br/>bye<!-- c --></p>")

# === email_basic
from email.message import EmailMessage
from email import message_from_string
m = EmailMessage()
m["Subject"], m["To"] = "Hi", "a@example.org"
m.set_content("body\n")
print(m["subject"], m.get_content_type(), m.get_content())
p = message_from_string("From: x\nX-Y: 1\n\nhello")
print(p["from"], p.get_payload(), p.keys())

# === numbers_parsing_locale_free
print(int("1_000"), float("1_0.5"), f"{1234.5:n}", f"{1234567:n}", complex("1e3+2j"))

# === typing_runtime_more
import typing
print(typing.Optional[int] == typing.Union[int, None], typing.List is not list, typing.get_origin(typing.List[int]), typing.ClassVar[int], typing.Callable, typing.Type[int], typing.Iterable[str], typing.NoReturn, typing.Self, typing.TypeGuard[int], typing.Concatenate)
T = typing.TypeVar("T", bound=int)
print(T.__bound__, T.__covariant__, typing.ForwardRef("X"), typing.ParamSpec("P"), typing.is_typeddict(int))

# === types_dynamic_attributes
import types
class C: pass
c = C()
c.f = types.MethodType(lambda self: self.v, c)
c.v = 3
print(c.f(), types.DynamicClassAttribute.__name__, types.get_original_bases(C), types.resolve_bases((int,)))
def g(): yield 1
print(isinstance(g(), types.GeneratorType), isinstance(len, types.BuiltinFunctionType), isinstance(c.f, types.MethodType), isinstance(type.__call__, types.WrapperDescriptorType), isinstance(str.join, types.MethodDescriptorType))

# === enum_like_constants_module
import http
from http import HTTPStatus
print(HTTPStatus.NOT_FOUND, HTTPStatus(200).phrase, HTTPStatus.OK == 200, HTTPStatus["CREATED"].value, http.HTTPMethod.GET)

# === bdb_free_linecache
import linecache, traceback
linecache.cache["<fake>"] = (12, None, ["line one\n", "raise ValueError('x')\n"], "<fake>")
try:
    exec(compile("\nraise ValueError('x')", "<fake>", "exec"))
except ValueError:
    print(traceback.format_exc().splitlines()[-2].strip())

# === traceback_objects
import traceback
try:
    try:
        {}["a"]
    except KeyError as e:
        raise ValueError("outer") from e
except ValueError as e:
    te = traceback.TracebackException.from_exception(e)
    print(te.exc_type.__name__, te.__cause__.exc_type.__name__, len(te.stack), te.stack[0].lineno, list(te.format_exception_only()))
print(traceback.format_list([("f.py", 3, "fn", "code")]))

# === warnings_filters
import warnings
def f():
    warnings.warn("dep", DeprecationWarning, stacklevel=2)
with warnings.catch_warnings(record=True) as w:
    warnings.simplefilter("once")
    f(); f(); f()
print(len(w), w[0].lineno, w[0].category.__name__)
with warnings.catch_warnings():
    warnings.filterwarnings("error", message="dep.*")
    try:
        f()
    except DeprecationWarning as e:
        print("raised", e)
print(warnings.formatwarning("m", UserWarning, "f.py", 3, "src"))

# === atexit_order_and_unregister
import atexit
def a(): print("a")
def b(): print("b")
atexit.register(a)
atexit.register(b)
atexit.register(a)
atexit.unregister(b)
print("registered")

# === gc_callbacks_and_referrers
import gc
class C: pass
c = C()
d = {"k": c}
print(any(r is d for r in gc.get_referrers(c)), any(r is c for r in gc.get_referents(d)), gc.get_threshold()[0] > 0)

# === string_formatter_more
import string
f = string.Formatter()
print(f.format("{0!r:>5} {a[b]} {c.real}", "x", a={"b": 1}, c=3), f.vformat("{}{}", (1, 2), {}))
class N(string.Formatter):
    def format_field(self, v, s): return "<" + super().format_field(v, s) + ">"
    def convert_field(self, v, c): return str(v).upper() if c == "u" else super().convert_field(v, c)
print(N().format("{} {!u}", 1, "abc"))

# === random_subclass
import random
class Fixed(random.Random):
    def random(self): return 0.5
r = Fixed()
print(r.random(), r.uniform(0, 10), r.choice([1, 2, 3, 4]), r.randint(0, 9), r.shuffle([1]), r.gauss(0, 1) is not None)

# === heapq_and_bisect_key
import heapq, bisect
xs = [("b", 2), ("a", 1), ("c", 3)]
print(heapq.nsmallest(2, xs, key=lambda t: t[1]), bisect.bisect_left([1, 2, 3], 2, lo=1, hi=2), bisect.bisect_right([("a", 1), ("b", 2)], 1, key=lambda t: t[1]), list(heapq.merge(["a", "ccc"], ["bb"], key=len)))

# === mimetypes_webbrowser_free
import mimetypes, posixpath, ntpath
print(mimetypes.guess_type("a.html"), ntpath.join("C:\\a", "b"), ntpath.splitdrive("C:\\x"), posixpath.normpath("/a/./b/../c"), ntpath.basename("a\\b"))

# === struct_array_memoryview
import struct, array
a = array.array("H", [1, 2, 3])
m = memoryview(a)
print(m.format, m.itemsize, m[1], m.tolist(), bytes(m[:1]))
m[0] = 500
print(a, struct.unpack_from("=H", a, 2))
a.byteswap()
print(a[0], array.array("B", b"abc").tobytes(), array.array("i", range(3)).tolist())

# === pickle_protocols_and_reduce
import pickle
class P:
    def __init__(self, x): self.x = x
    def __reduce__(self): return (P, (self.x + 1,))
    def __eq__(self, o): return self.x == o.x
print(pickle.loads(pickle.dumps(P(1))).x, pickle.loads(pickle.dumps([1, (2, {"k": b"v"})], 2)))
shared = [1]
a, b = pickle.loads(pickle.dumps((shared, shared)))
print(a is b)
r = []
r.append(r)
q = pickle.loads(pickle.dumps(r))
print(q[0] is q)
try:
    pickle.loads(b"garbage")
except Exception as e:
    print(type(e).__name__)

# === pickle_getnewargs_slots
import pickle
class S:
    __slots__ = ("a", "b")
    def __init__(self): self.a, self.b = 1, [2]
class T(tuple):
    def __new__(cls, *a): return super().__new__(cls, a)
    def __getnewargs__(self): return tuple(self)
s = pickle.loads(pickle.dumps(S()))
print(s.a, s.b, pickle.loads(pickle.dumps(T(1, 2))), type(pickle.loads(pickle.dumps(T()))).__name__)

# === copyreg_and_persistent
import copyreg, pickle, io
class C:
    def __init__(self, v): self.v = v
copyreg.pickle(C, lambda c: (C, (c.v * 2,)))
print(pickle.loads(pickle.dumps(C(4))).v)
class Pk(pickle.Pickler):
    def persistent_id(self, o): return "the C" if isinstance(o, C) else None
class Un(pickle.Unpickler):
    def persistent_load(self, i): return f"loaded {i}"
f = io.BytesIO()
Pk(f).dump([C(1), 2])
f.seek(0)
print(Un(f).load())

# === getopt_optparse
import getopt
print(getopt.getopt(["-a", "-b", "val", "--long", "--opt=x", "rest"], "ab:", ["long", "opt="]))
try:
    getopt.getopt(["-z"], "ab:")
except getopt.GetoptError as e:
    print(e)

# === cmd_and_code_interact
import code, io, contextlib
c = code.InteractiveInterpreter({"x": 2})
print(c.runsource("x * 21"), c.runsource("if x:"), c.runsource("y = 5"), c.locals["y"])

# === timeit_free_time_struct
import time
t = time.struct_time((2024, 3, 5, 14, 7, 9, 1, 65, 0))
print(t.tm_year, t[1], time.strftime("%Y-%m-%d", t), time.gmtime(0).tm_year, time.strptime("2024", "%Y").tm_yday, time.asctime(t), time.gmtime(86400 * 365)[:3])

# === locale_string_collation
words = ["éa", "ea", "Zz", "zz", "a", "B"]
print(sorted(words), sorted(words, key=str.casefold), max(words))
