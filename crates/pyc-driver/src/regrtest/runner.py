# Runs one of CPython's test modules and reports each test as a line on stdout: a record separator, then JSON.
# argv: the module, then the file that names the tests which ran already, one a line.
import os
import sys
import time


def quote(text):
    out = []
    for c in str(text):
        if c in '"\\':
            out.append("\\" + c)
        elif " " <= c <= "~":
            out.append(c)
        elif ord(c) < 0x10000:
            out.append("\\u%04x" % ord(c))
        else:
            out.append("\\ufffd")
    return '"' + "".join(out) + '"'


def report(**fields):
    line = "\x1e{" + ",".join(quote(k) + ":" + quote(v) for k, v in fields.items()) + "}\n"
    os.write(1, line.encode("ascii"))


def last_line(error):
    kind, value, _ = error
    try:
        text = str(value)
    except BaseException as e:
        text = "(its message raises %s)" % type(e).__name__
    return (kind.__name__ + ": " + text)[:400]


def place(error):
    at = []
    tb = error[2]
    while tb is not None:
        at.append("%s:%d" % (tb.tb_frame.f_code.co_filename.rsplit("/", 1)[-1], tb.tb_lineno))
        tb = tb.tb_next
    return " ".join(at[-3:])


def main():
    name, done_file = sys.argv[1:3]
    with open(done_file, encoding="utf-8") as file:
        done = set(file.read().split("\n"))
    sys.argv[1:] = []
    report(event="import")
    import unittest
    from test import support

    support.use_resources = []
    support.verbose = False
    __import__("test." + name)
    module = sys.modules["test." + name]

    class Result(unittest.TestResult):
        def startTest(self, test):
            super().startTest(test)
            self.outcome = "passed"
            self.why = self.at = ""
            self.began = time.perf_counter()
            report(event="start", id=test.label)

        def worse(self, outcome, why, at=""):
            if self.outcome in ("passed", "skipped"):
                self.outcome, self.why, self.at = outcome, why, at

        def stopTest(self, test):
            super().stopTest(test)
            reported.add(test.label)
            report(
                event="end",
                id=test.label,
                outcome=self.outcome,
                why=self.why,
                at=self.at,
                seconds="%.3f" % (time.perf_counter() - self.began),
            )

        def addError(self, test, error):
            if not hasattr(test, "label"):
                self.fixture = last_line(error)
                self.fixture_at = place(error)
                report(event="fixture", id=test.id(), why=self.fixture, at=self.fixture_at)
                return
            self.worse("error", last_line(error), place(error))

        def addFailure(self, test, error):
            self.worse("failed", last_line(error), place(error))

        def addSubTest(self, test, subtest, error):
            if error is not None:
                failed = issubclass(error[0], test.failureException)
                self.worse("failed" if failed else "error", last_line(error), place(error))

        def addSkip(self, test, reason):
            if hasattr(test, "label"):
                if self.outcome == "passed":
                    self.outcome, self.why = "skipped", reason
            else:
                self.fixture_skips = reason

        def addUnexpectedSuccess(self, test):
            self.worse("failed", "unexpected success")

    reported = set()
    counts = {}
    labels = []

    def label(suite):
        kept = []
        for test in suite:
            if isinstance(test, unittest.BaseTestSuite):
                kept.append(label(test))
                continue
            own = test.id()
            if own.startswith("test."):
                own = own[5:]
            counts[own] = counts.get(own, 0) + 1
            if counts[own] > 1:
                own = "%s#%d" % (own, counts[own])
            test.label = own
            labels.append(own)
            if own not in done:
                kept.append(test)
        return unittest.TestSuite(kept)

    suite = label(unittest.defaultTestLoader.loadTestsFromModule(module))
    if not done - {""}:
        report(event="loaded", count=len(labels))
    result = Result()
    result.fixture = result.fixture_skips = None
    result.fixture_at = ""
    suite.run(result)
    for own in labels:
        if own not in reported and own not in done:
            if result.fixture is None:
                report(event="end", id=own, outcome="skipped", why=result.fixture_skips or "its class is skipped")
            else:
                report(event="end", id=own, outcome="error", why="fixture: " + result.fixture, at=result.fixture_at)
    report(event="finished")


main()
