"""Stand-in for CPython's module of the same name: its functions of sequences, in the terms of Python."""

import operator


def sequence_concat(a, b):
    return operator.concat(a, b)


def sequence_repeat(a, n):
    return a * n


def sequence_inplaceconcat(a, b):
    return operator.iconcat(a, b)


def sequence_inplacerepeat(a, n):
    a *= n
    return a


def sequence_getitem(a, i):
    return a[i]


def sequence_setitem(a, i, value):
    a[i] = value


def sequence_delitem(a, i):
    del a[i]
