"""Stand-in for CPython's module of the same name: what tests import from it at their top, in the terms of Python."""


def has_inline_values(obj):
    # Attributes lie in the object here, too, until its __dict__ is asked for; that cannot be seen from Python.
    raise NotImplementedError("the layout of objects is not CPython's")


def get_recursion_depth():
    import sys

    depth, frame = 0, sys._getframe(1)
    while frame is not None:
        depth, frame = depth + 1, frame.f_back
    return depth


def get_immortalize_deferred():
    return False


def suppress_immortalization(suppress):
    pass
