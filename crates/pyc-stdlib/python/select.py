"""Waiting for the sockets inside the program (see `_socket`).

Whatever can become ready does so by what this program does, so a wait with a time limit is a sleep, and one without
a limit could never end: it is refused.
"""

import errno as _errno
import time as _time

import _socket

error = OSError
PIPE_BUF = 4096
POLLIN, POLLPRI, POLLOUT, POLLERR, POLLHUP, POLLNVAL = 1, 2, 4, 8, 16, 32
POLLRDNORM, POLLRDBAND, POLLWRNORM, POLLWRBAND, POLLMSG, POLLRDHUP = 64, 128, 256, 512, 1024, 8192


def _handle(value):
    if isinstance(value, int):
        number = value
    else:
        method = getattr(value, "fileno", None)
        if method is None:
            raise TypeError("argument must be an int, or have a fileno() method.")
        number = method()
        if not isinstance(number, int):
            raise TypeError("fileno() returned a non-integer")
    if number < 0:
        raise ValueError("file descriptor cannot be a negative integer (%d)" % number)
    return number


def _readable(number):
    found = _socket._open.get(number)
    return True if found is None else found._ready_to_read()


def _wait(seconds, ready):
    """What is ready, after at most that many seconds."""
    found = ready()
    if found or seconds == 0:
        return found
    if seconds is None:
        raise OSError(_errno.EDEADLK, "nothing in this program can end this wait")
    _time.sleep(seconds)
    return ready()


def select(rlist, wlist, xlist, timeout=None, /):
    rlist, wlist, xlist = list(rlist), list(wlist), list(xlist)
    if timeout is not None:
        if not hasattr(timeout, "__float__") and not hasattr(timeout, "__index__"):
            raise TypeError("timeout must be a number or None")
        if timeout < 0:
            raise ValueError("timeout must be non-negative")
    numbers = [(_handle(r), r) for r in rlist]
    writable = [w for w in wlist if _handle(w) >= 0]
    for x in xlist:
        _handle(x)

    def ready():
        found = [r for n, r in numbers if _readable(n)]
        return (found, writable, []) if found or writable else None

    return _wait(timeout, ready) or ([], [], [])


class poll:
    # A class and not a function: selectors keeps it as an attribute of a class.
    def __init__(self):
        self._registered = {}

    def register(self, fd, eventmask=POLLIN | POLLPRI | POLLOUT, /):
        self._registered[_handle(fd)] = eventmask

    def modify(self, fd, eventmask, /):
        number = _handle(fd)
        if number not in self._registered:
            raise FileNotFoundError(_errno.ENOENT, "No such file or directory")
        self._registered[number] = eventmask

    def unregister(self, fd, /):
        del self._registered[_handle(fd)]

    def _ready(self):
        found = []
        for number, mask in self._registered.items():
            events = mask & POLLOUT
            if mask & POLLIN and _readable(number):
                events |= POLLIN
            if events:
                found.append((number, events))
        return found

    def poll(self, timeout=None, /):
        if timeout is not None:
            timeout = None if timeout < 0 else timeout / 1000
        return _wait(timeout, self._ready)

