"""The part of pytest's interface that `mynah py test` offers."""

import re as _re


class OutcomeException(BaseException):
    """How a test ends other than by an assertion."""

    def __init__(self, msg=None):
        super().__init__(msg)
        self.msg = msg


class _Skipped(OutcomeException):
    pass


class _Failed(OutcomeException):
    pass


class _XFailed(_Failed):
    pass


def skip(reason="", *, allow_module_level=False):
    raise _Skipped(reason)


def fail(reason="", pytrace=True):
    raise _Failed(reason)


def xfail(reason=""):
    raise _XFailed(reason)


skip.Exception = _Skipped
fail.Exception = _Failed
xfail.Exception = _XFailed


def importorskip(modname, minversion=None, reason=None):
    import importlib

    try:
        return importlib.import_module(modname)
    except ImportError as error:
        raise _Skipped(reason or f"could not import {modname!r}: {error}") from None


class UsageError(Exception):
    pass


class FixtureLookupError(LookupError):
    pass


class Mark:
    """A mark: its name and arguments."""

    def __init__(self, name, args=(), kwargs=None):
        self.name = name
        self.args = args
        self.kwargs = kwargs or {}

    def __repr__(self):
        return f"Mark(name={self.name!r}, args={self.args!r}, kwargs={self.kwargs!r})"


class MarkDecorator:
    def __init__(self, mark):
        self.mark = mark

    @property
    def name(self):
        return self.mark.name

    def with_args(self, *args, **kwargs):
        return MarkDecorator(Mark(self.mark.name, self.mark.args + args, {**self.mark.kwargs, **kwargs}))

    def __call__(self, *args, **kwargs):
        if len(args) == 1 and not kwargs and not self.mark.args and not self.mark.kwargs and callable(args[0]):
            target = args[0]
            own = target.__dict__.get("pytestmark", [])
            own = own if isinstance(own, list) else [own]
            target.pytestmark = own + [self.mark]
            return target
        if len(args) == 1 and not kwargs and callable(args[0]) and isinstance(args[0], (type(skip), type)):
            target = args[0]
            own = target.__dict__.get("pytestmark", [])
            own = own if isinstance(own, list) else [own]
            target.pytestmark = own + [self.mark]
            return target
        return self.with_args(*args, **kwargs)


class _Marks:
    def __getattr__(self, name):
        if name.startswith("_"):
            raise AttributeError(name)
        return MarkDecorator(Mark(name))


mark = _Marks()


class ParameterSet:
    def __init__(self, values, marks, id):
        self.values = values
        self.marks = [m.mark if isinstance(m, MarkDecorator) else m for m in marks]
        self.id = id


def param(*values, marks=(), id=None):
    return ParameterSet(values, marks if isinstance(marks, (list, tuple)) else [marks], id)


class _Fixture:
    def __init__(self, function, name, params, ids, autouse):
        self.function = function
        self.name = name
        self.params = params
        self.ids = ids
        self.autouse = autouse


def fixture(function=None, *, scope="function", params=None, autouse=False, ids=None, name=None):
    """Every test runs in a fresh instance, so that every scope lasts as long as the test."""

    def decorate(function):
        function._fixture_ = _Fixture(function, name or function.__name__, params, ids, autouse)
        return function

    return decorate(function) if function is not None else decorate


class ExceptionInfo:
    """What `raises` caught."""

    def __init__(self):
        self.value = None

    @property
    def type(self):
        return type(self.value)

    @property
    def typename(self):
        return type(self.value).__name__

    @property
    def tb(self):
        return self.value.__traceback__

    def exconly(self, tryshort=False):
        return f"{type(self.value).__name__}: {self.value}"

    def errisinstance(self, kind):
        return isinstance(self.value, kind)

    def match(self, regexp):
        text = str(self.value)
        if not _re.search(regexp, text):
            raise AssertionError(f"Regex pattern did not match.\n Regex: {regexp!r}\n Input: {text!r}")
        return True


class _Raises:
    def __init__(self, expected, match, check):
        self.expected = expected
        self.match = match
        self.check = check
        self.info = ExceptionInfo()

    def __enter__(self):
        return self.info

    def __exit__(self, kind, value, traceback):
        if value is None:
            kinds = self.expected if isinstance(self.expected, tuple) else (self.expected,)
            names = ", ".join(repr(kind) for kind in kinds)
            raise _Failed("DID NOT RAISE " + (names if len(kinds) == 1 else f"any of ({names})"))
        if not isinstance(value, self.expected):
            return False
        self.info.value = value
        if self.match is not None:
            self.info.match(self.match)
        if self.check is not None and not self.check(value):
            raise AssertionError(f"the check of {value!r} failed")
        return True


def raises(expected_exception, *args, match=None, check=None, **kwargs):
    kinds = expected_exception if isinstance(expected_exception, tuple) else (expected_exception,)
    for kind in kinds:
        if not (isinstance(kind, type) and issubclass(kind, BaseException)):
            raise TypeError(f"expected exception must be a BaseException type, not {type(kind).__name__}")
    context = _Raises(expected_exception, match, check)
    if not args:
        return context
    function, *rest = args
    with context as info:
        function(*rest, **kwargs)
    return info


class _Warns:
    def __init__(self, expected, match):
        self.expected = expected
        self.match = match

    def __enter__(self):
        import warnings

        self.catch = warnings.catch_warnings(record=True)
        self.list = self.catch.__enter__()
        warnings.simplefilter("always")
        return self

    def __iter__(self):
        return iter(self.list)

    def __len__(self):
        return len(self.list)

    def __getitem__(self, index):
        return self.list[index]

    def __exit__(self, kind, value, traceback):
        self.catch.__exit__(kind, value, traceback)
        if value is not None:
            return
        for one in self.list:
            if issubclass(one.category, self.expected):
                if self.match is None or _re.search(self.match, str(one.message)):
                    return
        seen = [one.message for one in self.list]
        raise _Failed(f"DID NOT WARN. No warnings of type {self.expected} were emitted.\n Emitted warnings: {seen}.")


def warns(expected_warning=Warning, *args, match=None, **kwargs):
    context = _Warns(expected_warning, match)
    if not args:
        return context
    function, *rest = args
    with context:
        return function(*rest, **kwargs)


def deprecated_call(*args, **kwargs):
    return warns((DeprecationWarning, PendingDeprecationWarning, FutureWarning), *args, **kwargs)


class _Approx:
    def __init__(self, expected, rel, abs, nan_ok):
        self.expected = expected
        self.rel = rel
        self.abs = abs
        self.nan_ok = nan_ok

    __hash__ = None

    def _tolerance(self, expected):
        absolute = 1e-12 if self.abs is None else self.abs
        if self.rel is None and self.abs is not None:
            return absolute
        relative = (1e-6 if self.rel is None else self.rel) * abs(expected)
        return max(absolute, relative)

    def _near(self, actual, expected):
        if actual == expected:
            return True
        number = (int, float, complex)
        if not isinstance(expected, number) or not isinstance(actual, number):
            return False
        if expected != expected:
            return self.nan_ok and actual != actual
        if isinstance(expected, float) and abs(expected) == float("inf"):
            return False
        return abs(actual - expected) <= self._tolerance(expected)

    def __eq__(self, actual):
        expected = self.expected
        if isinstance(expected, dict):
            return (
                isinstance(actual, dict)
                and actual.keys() == expected.keys()
                and all(self._near(actual[key], expected[key]) for key in expected)
            )
        if isinstance(expected, (list, tuple)):
            try:
                return len(actual) == len(expected) and all(map(self._near, actual, expected))
            except TypeError:
                return False
        return self._near(actual, expected)

    def __repr__(self):
        def show(expected):
            if not isinstance(expected, (int, float, complex)) or isinstance(expected, bool):
                return repr(expected)
            return f"{expected} ± {self._tolerance(expected):.1e}"

        expected = self.expected
        if isinstance(expected, dict):
            return "approx({" + ", ".join(f"{key!r}: {show(value)}" for key, value in expected.items()) + "})"
        if isinstance(expected, list):
            return "approx([" + ", ".join(map(show, expected)) + "])"
        if isinstance(expected, tuple):
            return "approx((" + ", ".join(map(show, expected)) + "))"
        return show(expected)


def approx(expected, rel=None, abs=None, nan_ok=False):
    if isinstance(expected, (str, bytes)):
        raise TypeError(f"cannot make approximate comparisons to {expected!r}")
    return _Approx(expected, rel, abs, nan_ok)


_MISSING = object()


class MonkeyPatch:
    """Changes that are taken back."""

    def __init__(self):
        self._undo = []

    @classmethod
    def context(cls):
        from contextlib import contextmanager

        @contextmanager
        def manage():
            patch = cls()
            try:
                yield patch
            finally:
                patch.undo()

        return manage()

    def _target(self, target):
        import importlib

        parts = target.split(".")
        found = importlib.import_module(parts[0])
        for at, part in enumerate(parts[1:-1], 1):
            try:
                found = getattr(found, part)
            except AttributeError:
                found = importlib.import_module(".".join(parts[: at + 1]))
        return found, parts[-1]

    def setattr(self, target, name, value=_MISSING, raising=True):
        if value is _MISSING:
            value = name
            target, name = self._target(target)
        before = getattr(target, name, _MISSING)
        if raising and before is _MISSING:
            raise AttributeError(f"{target!r} has no attribute {name!r}")
        if isinstance(target, type):
            before = target.__dict__.get(name, _MISSING)
        self._undo.append((target, name, before, "attr"))
        setattr(target, name, value)

    def delattr(self, target, name=_MISSING, raising=True):
        if name is _MISSING:
            target, name = self._target(target)
        if not hasattr(target, name):
            if raising:
                raise AttributeError(name)
            return
        before = target.__dict__.get(name, _MISSING) if isinstance(target, type) else getattr(target, name)
        self._undo.append((target, name, before, "attr"))
        delattr(target, name)

    def setitem(self, mapping, name, value):
        self._undo.append((mapping, name, mapping.get(name, _MISSING), "item"))
        mapping[name] = value

    def delitem(self, mapping, name, raising=True):
        if name not in mapping:
            if raising:
                raise KeyError(name)
            return
        self._undo.append((mapping, name, mapping[name], "item"))
        del mapping[name]

    def setenv(self, name, value, prepend=None):
        import os

        if prepend and name in os.environ:
            value = value + prepend + os.environ[name]
        self.setitem(os.environ, name, str(value))

    def delenv(self, name, raising=True):
        import os

        self.delitem(os.environ, name, raising)

    def syspath_prepend(self, path):
        import sys

        self._undo.append((sys, "path", list(sys.path), "attr"))
        sys.path.insert(0, str(path))

    def undo(self):
        while self._undo:
            target, name, before, kind = self._undo.pop()
            if kind == "attr":
                if before is _MISSING:
                    delattr(target, name)
                else:
                    setattr(target, name, before)
            elif before is _MISSING:
                target.pop(name, None)
            else:
                target[name] = before


class CaptureResult(tuple):
    """What was written: `out` and `err`."""

    def __new__(cls, out, err):
        return super().__new__(cls, (out, err))

    @property
    def out(self):
        return self[0]

    @property
    def err(self):
        return self[1]


class CaptureFixture:
    def __init__(self):
        import io
        import sys

        self._before = sys.stdout, sys.stderr
        sys.stdout, sys.stderr = io.StringIO(), io.StringIO()

    def readouterr(self):
        import sys

        read = []
        for stream in (sys.stdout, sys.stderr):
            read.append(stream.getvalue())
            stream.seek(0)
            stream.truncate()
        return CaptureResult(*read)

    def _end(self):
        import sys

        out, err = self.readouterr()
        sys.stdout, sys.stderr = self._before
        sys.stdout.write(out)
        sys.stderr.write(err)
