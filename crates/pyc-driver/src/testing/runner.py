"""Finds and runs the tests of a module: pytest's way, and unittest's. One test an instance."""

import sys

import pytest

_NEW_IN = "the fixture '{}' is not found; available: {}"


def _marks(*holders):
    found = []
    for holder in holders:
        marks = getattr(holder, "pytestmark", [])
        for mark in marks if isinstance(marks, (list, tuple)) else [marks]:
            found.append(mark.mark if isinstance(mark, pytest.MarkDecorator) else mark)
    return found


def _parameters(function, bound):
    """Names of the parameters without a default."""
    function = getattr(function, "__wrapped__", function)
    function = getattr(function, "__func__", function)
    code = function.__code__
    names = code.co_varnames[: code.co_argcount]
    with_default = len(function.__defaults__ or ())
    names = names[: len(names) - with_default] if with_default else names
    only = code.co_varnames[code.co_argcount : code.co_argcount + code.co_kwonlyargcount]
    only = tuple(name for name in only if name not in (function.__kwdefaults__ or {}))
    return tuple(names[1:] if bound else names) + only


class _Item:
    def __init__(self, name, cls, function, marks):
        self.name = name
        self.cls = cls
        self.function = function
        self.marks = marks
        self.parameters = {}
        self.fixture_parameters = {}

    def copy(self):
        other = _Item(self.name, self.cls, self.function, self.marks)
        other.parameters = dict(self.parameters)
        other.fixture_parameters = dict(self.fixture_parameters)
        return other

    @property
    def id(self):
        return f"{self.cls.__name__}::{self.name}" if self.cls else self.name


class _Collected:
    def __init__(self, module, conftests):
        self.module = module
        # The nearest last.
        self.holders = [*conftests, module]
        self.fixtures = {}
        for holder in self.holders:
            self.add_fixtures(vars(holder).values(), self.fixtures)

    def add_fixtures(self, values, table):
        for value in list(values):
            value = getattr(value, "__func__", value)
            made = getattr(value, "_fixture_", None)
            if isinstance(made, pytest._Fixture):
                table[made.name] = made

    def fixtures_of(self, cls):
        if cls is None:
            return self.fixtures
        table = dict(self.fixtures)
        for base in reversed(cls.__mro__):
            self.add_fixtures(vars(base).values(), table)
        return table

    def items(self):
        cases = sys.modules.get("unittest")
        case = cases.TestCase if cases else ()
        for name, value in list(vars(self.module).items()):
            if isinstance(value, type):
                if case and issubclass(value, case):
                    if value.__module__ == self.module.__name__ or name.startswith("Test"):
                        yield from self.unittest_items(value, cases)
                elif name.startswith("Test") and value.__init__ is object.__init__:
                    yield from self.class_items(value)
            elif name.startswith("test") and hasattr(value, "__code__"):
                yield from self.expand(_Item(name, None, value, _marks(self.module, value)))

    def unittest_items(self, cls, unittest):
        for name in unittest.TestLoader().getTestCaseNames(cls):
            yield _Item(name, cls, None, [])

    def class_items(self, cls):
        seen = set()
        for base in reversed(cls.__mro__):
            for name in vars(base):
                if name.startswith("test") and name not in seen and callable(getattr(cls, name)):
                    seen.add(name)
                    function = getattr(cls, name)
                    item = _Item(name, cls, function, _marks(self.module, cls, function))
                    yield from self.expand(item)

    def expand(self, item):
        items = [(item, [])]
        for mark in reversed([m for m in item.marks if m.name == "parametrize"]):
            names, values = mark.args[:2]
            names = [n.strip() for n in names.split(",") if n.strip()] if isinstance(names, str) else list(names)
            ids = mark.kwargs.get("ids")
            if mark.kwargs.get("indirect"):
                raise pytest.UsageError(f"{item.name}: parametrize(indirect=…) is not supported")
            more = []
            for before, labels in items:
                for at, value in enumerate(values):
                    one = before.copy()
                    given = value
                    if not isinstance(value, pytest.ParameterSet):
                        given = pytest.ParameterSet((value,) if len(names) == 1 else tuple(value), [], None)
                    if len(given.values) != len(names):
                        raise pytest.UsageError(f"{item.name}: {len(names)} names, but the values {given.values!r}")
                    one.parameters.update(zip(names, given.values))
                    one.marks = one.marks + given.marks
                    label = given.id
                    if label is None and callable(ids):
                        parts = [ids(v) for v in given.values]
                        if any(p is not None for p in parts):
                            label = "-".join(str(p) for p in parts)
                    elif label is None and ids is not None and at < len(ids := list(ids)):
                        label = ids[at] and str(ids[at])
                    if label is None:
                        label = "-".join(_label(n, v, at) for n, v in zip(names, given.values))
                    more.append((one, labels + [label]))
            items = more
        table = self.fixtures_of(item.cls)
        for name in self.closure(item, table):
            made = table.get(name)
            if made is None or made.params is None or name in item.parameters:
                continue
            more = []
            for before, labels in items:
                for at, value in enumerate(made.params):
                    one = before.copy()
                    label = None
                    if isinstance(value, pytest.ParameterSet):
                        one.marks = one.marks + value.marks
                        label, value = value.id, value.values[0]
                    if label is None and made.ids is not None:
                        label = made.ids(value) if callable(made.ids) else list(made.ids)[at]
                    one.fixture_parameters[name] = value
                    more.append((one, labels + [str(label) if label is not None else _label(name, value, at)]))
            items = more
        taken = {}
        for one, labels in items:
            if labels:
                one.name = f"{one.name}[{'-'.join(labels)}]"
            taken[one.name] = taken.get(one.name, 0) + 1
            if taken[one.name] > 1:
                one.name = f"{one.name[:-1]}{taken[one.name] - 1}]"
            yield one

    def closure(self, item, table):
        """The fixtures that a test needs, directly or not."""
        wanted = [made.name for made in table.values() if made.autouse]
        for mark in item.marks:
            if mark.name == "usefixtures":
                wanted.extend(mark.args)
        bound = item.cls is not None and not isinstance(vars(item.cls).get(item.function.__name__), staticmethod)
        wanted.extend(_parameters(item.function, bound))
        found = []
        while wanted:
            name = wanted.pop(0)
            if name in found or name in item.parameters:
                continue
            found.append(name)
            if name in table:
                function = table[name].function
                names = _parameters(function, False)
                wanted.extend(n for n in names if n not in ("self", "request"))
        return found


def _label(name, value, at):
    if value is None or isinstance(value, (bool, int, float, complex)):
        return str(value)
    if isinstance(value, str):
        return value.encode("unicode_escape").decode("ascii")
    if isinstance(value, bytes):
        return value.decode("ascii", "backslashreplace")
    if isinstance(value, type) or hasattr(value, "__code__"):
        return value.__name__
    return f"{name}{at}"


class _Request:
    def __init__(self, run, fixture, item):
        self._run = run
        self.fixturename = fixture
        self.function = item.function
        self.cls = item.cls
        self.module = run.collected.module
        self.node = item
        self.instance = run.instance
        self.scope = "function"
        if fixture in item.fixture_parameters:
            self.param = item.fixture_parameters[fixture]

    def getfixturevalue(self, name):
        return self._run.get(name)

    def addfinalizer(self, function):
        self._run.finalizers.append(function)


class _Run:
    """One test: its fixtures and what ends them."""

    def __init__(self, collected, item, folder):
        self.collected = collected
        self.item = item
        self.folder = folder
        self.table = collected.fixtures_of(item.cls)
        self.values = dict(item.parameters)
        self.finalizers = []
        self.instance = item.cls() if item.cls else None
        self.made = []
        self.count = 0

    def get(self, name):
        if name in self.values:
            return self.values[name]
        if name in self.made:
            raise pytest.UsageError(f"the fixture '{name}' needs itself")
        self.made.append(name)
        if name in self.table:
            value = self.call(self.table[name])
        else:
            builtin = getattr(self, f"fixture_{name}", None)
            if builtin is None:
                known = sorted([*self.table, *(k[8:] for k in dir(self) if k.startswith("fixture_")), "request"])
                raise pytest.FixtureLookupError(_NEW_IN.format(name, ", ".join(known)))
            value = builtin()
        self.values[name] = value
        return value

    def call(self, made):
        given = {}
        for name in _parameters(made.function, False):
            if name == "self":
                given[name] = self.instance
            elif name == "request":
                given[name] = _Request(self, made.name, self.item)
            else:
                given[name] = self.get(name)
        value = made.function(**given)
        if hasattr(value, "send") and hasattr(value, "gi_frame"):
            generator = value
            value = next(generator)

            def end():
                for _ in generator:
                    raise pytest.UsageError(f"the fixture '{made.name}' yields more than once")

            self.finalizers.append(end)
        return value

    def fixture_tmp_path(self):
        import pathlib

        if self.folder is None:
            raise pytest.UsageError("there is no temporary folder")
        return pathlib.Path(self.folder)

    def fixture_tmp_path_factory(self):
        run = self

        class Factory:
            def mktemp(self, basename, numbered=True):
                run.count += 1
                path = run.fixture_tmp_path() / (f"{basename}{run.count - 1}" if numbered else basename)
                path.mkdir()
                return path

            def getbasetemp(self):
                return run.fixture_tmp_path()

        return Factory()

    def fixture_monkeypatch(self):
        patch = pytest.MonkeyPatch()
        self.finalizers.append(patch.undo)
        return patch

    def fixture_capsys(self):
        capture = pytest.CaptureFixture()
        self.finalizers.append(capture._end)
        return capture

    def setup(self):
        item = self.item
        holder = self.collected.module
        for name, owner in (("setup_module", holder), ("setup_function", holder)):
            hook = getattr(owner, name, None)
            if hook and (name == "setup_module" or item.cls is None):
                hook(holder if name == "setup_module" else item.function) if _parameters(hook, False) else hook()
        if item.cls:
            for name in ("setup_class", "setup_method"):
                hook = getattr(self.instance, name, None)
                if hook:
                    hook(item.function) if name == "setup_method" and _parameters(hook, True) else hook()
            for name in ("teardown_class", "teardown_method"):
                hook = getattr(self.instance, name, None)
                if hook:
                    needs = name == "teardown_method" and _parameters(hook, True)
                    self.finalizers.append((lambda h=hook: h(item.function)) if needs else hook)
        for name in ("teardown_module", "teardown_function"):
            hook = getattr(holder, name, None)
            if hook and (name == "teardown_module" or item.cls is None):
                value = holder if name == "teardown_module" else item.function
                self.finalizers.append((lambda h=hook, v=value: h(v)) if _parameters(hook, False) else hook)
        for name in self.collected.closure(item, self.table):
            if name == "request":
                self.values[name] = _Request(self, None, item)
            else:
                self.get(name)

    def test(self):
        item = self.item
        bound = item.cls is not None and not isinstance(vars(item.cls).get(item.function.__name__), staticmethod)
        given = {name: self.get(name) for name in _parameters(item.function, bound)}
        given = {**item.parameters, **given}
        function = getattr(self.instance, item.function.__name__) if item.cls else item.function
        value = function(**given)
        if hasattr(value, "cr_frame"):
            value.close()
            raise pytest.UsageError("async test functions are not supported; run them with asyncio.run inside the test")

    def finish(self):
        error = None
        while self.finalizers:
            try:
                self.finalizers.pop()()
            except BaseException as raised:
                error = error or raised
        return error


def _condition(mark, run):
    """Whether a skipif or xfail mark applies."""
    if not mark.args and "condition" not in mark.kwargs:
        return True
    for condition in mark.args or [mark.kwargs["condition"]]:
        if isinstance(condition, str):
            import os

            condition = eval(condition, {**vars(run.collected.module), "os": os, "sys": sys})
        if condition:
            return True
    return False


def collect(module, conftests):
    """The collected module and the names of its tests."""
    collected = _Collected(module, conftests)
    return collected, [item.id for item in collected.items()]


def _unittest(item):
    import unittest

    class Result(unittest.TestResult):
        def _exc_info_to_string(self, error, test):
            self.raised = error[1]
            return f"{type(error[1]).__name__}: {error[1]}"

    result = Result()
    unittest.TestSuite([item.cls(item.name)]).run(result)
    for kind, found in (("error", result.errors), ("failed", result.failures)):
        if found:
            return kind, found[-1][1], result.raised
    if result.skipped:
        return "skipped", result.skipped[0][1], None
    if result.expectedFailures:
        return "xfailed", "", None
    if result.unexpectedSuccesses:
        return "failed", "the test was expected to fail", None
    return "passed", "", None


def run(collected, wanted, folder):
    """Outcome, message, and the exception of one test."""
    for item in collected.items():
        if item.id == wanted:
            break
    else:
        return "error", "the test is not there any more: it depends on something outside", None
    if item.function is None:
        return _unittest(item)
    run = _Run(collected, item, folder)
    expected = None
    for mark in item.marks:
        if mark.name == "skip":
            return "skipped", mark.kwargs.get("reason", mark.args[0] if mark.args else ""), None
        if mark.name == "skipif" and _condition(mark, run):
            return "skipped", mark.kwargs.get("reason", ""), None
        if mark.name == "xfail" and expected is None and _condition(mark, run):
            expected = mark
    outcome = "passed", "", None
    stage = "error"
    try:
        run.setup()
        stage = "failed"
        run.test()
    except pytest._Skipped as skipped:
        outcome = "skipped", str(skipped.msg or ""), None
    except pytest._XFailed as failed:
        outcome = "xfailed", str(failed.msg or ""), None
    except pytest._Failed as failed:
        outcome = "failed", f"Failed: {failed.msg}", failed
    except (SystemExit, KeyboardInterrupt, Exception) as error:
        outcome = stage, f"{type(error).__name__}: {error}", error
    if expected is not None and outcome[0] in ("failed", "passed"):
        reason = expected.kwargs.get("reason", "")
        kinds = expected.kwargs.get("raises")
        if outcome[0] == "passed":
            strict = expected.kwargs.get("strict", False)
            outcome = ("failed", f"[XPASS(strict)] {reason}", None) if strict else ("xpassed", reason, None)
        elif kinds is None or isinstance(outcome[2], kinds):
            outcome = "xfailed", reason, None
    error = run.finish()
    if error is not None and outcome[0] in ("passed", "xpassed", "skipped", "xfailed"):
        outcome = "error", f"at teardown: {type(error).__name__}: {error}", error
    return outcome


_LENGTH = 300


def _text(value):
    try:
        text = repr(value)
    except Exception as error:
        return f"<repr raised {type(error).__name__}: {error}>"
    return text if len(text) <= _LENGTH else f"{text[: _LENGTH // 2]}...{text[-_LENGTH // 2 :]}"


def _details(left, right):
    """What differs between two values that should be equal."""
    if isinstance(left, str) and isinstance(right, str):
        if "\n" not in left and "\n" not in right:
            return []
        import difflib

        lines = list(difflib.ndiff(right.splitlines(), left.splitlines()))
        return lines[:40]
    if isinstance(left, (set, frozenset)) and isinstance(right, (set, frozenset)):
        lines = []
        for name, extra in (("left", left - right), ("right", right - left)):
            if extra:
                lines.append(f"Extra items in the {name} set: " + ", ".join(_text(item) for item in list(extra)[:10]))
        return lines
    if isinstance(left, dict) and isinstance(right, dict):
        lines = []
        for key in left:
            if key not in right:
                lines.append(f"Left contains {_text(key)}: {_text(left[key])}")
            elif left[key] != right[key]:
                lines.append(f"At {_text(key)}: {_text(left[key])} != {_text(right[key])}")
        lines.extend(f"Right contains {_text(key)}: {_text(right[key])}" for key in right if key not in left)
        return lines[:10]
    if isinstance(left, (list, tuple)) and isinstance(right, (list, tuple)):
        for at, (one, other) in enumerate(zip(left, right)):
            if one != other:
                return [f"At index {at} diff: {_text(one)} != {_text(other)}"]
        if len(left) != len(right):
            name, extra = ("Left", left) if len(left) > len(right) else ("Right", right)
            at = min(len(left), len(right))
            return [f"{name} contains {abs(len(left) - len(right))} more items, first extra item: {_text(extra[at])}"]
    return []


def _show_(operator, left, right, *message):
    """The message of an assert: what its sides were."""
    if operator == "":
        shown = f"assert {_text(left)}"
    elif operator == "not":
        shown = f"assert not {_text(left)}"
    else:
        shown = f"assert {_text(left)} {operator} {_text(right)}"
        if operator == "==":
            try:
                shown = "\n  ".join([shown, *_details(left, right)])
            except Exception:
                pass
    return f"{message[0]}\n{shown}" if message else shown
