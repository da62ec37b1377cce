"""A program here cannot fault natively; what is left is to show the Python stack."""

import sys as _sys

_on = False


def enable(file=None, all_threads=True, c_stack=True):
    global _on
    _on = True


def disable():
    global _on
    was, _on = _on, False
    return was


def is_enabled():
    return _on


def dump_traceback(file=None, all_threads=True):
    file = _sys.stderr if file is None else file
    frame = _sys._getframe(1)
    lines = ["Stack (most recent call first):"]
    while frame is not None:
        code = frame.f_code
        lines.append('  File "%s", line %s in %s' % (code.co_filename, frame.f_lineno, code.co_name))
        frame = frame.f_back
    file.write("\n".join(lines) + "\n")


def dump_traceback_later(timeout, repeat=False, file=None, exit=False):
    raise RuntimeError("dump_traceback_later is not supported: there are no timers beside the program")


def cancel_dump_traceback_later():
    pass


def register(signum, file=None, all_threads=True, chain=False):
    raise RuntimeError("faulthandler.register is not supported: programs get no signals from outside")


def unregister(signum):
    return False
