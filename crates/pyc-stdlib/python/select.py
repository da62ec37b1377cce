"""Waiting for sockets (see `_socket`), pipes and files.

Sockets inside the program become ready by what this program does, so a wait for those alone is a sleep when it has a
time limit, and could never end when it has none: that is refused.
"""

import errno as _errno
import time as _time

import _net
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


def _ready(wanted):
    """Events of sockets inside the program, and what the host has to be asked about, as handle -> number."""
    found, real = [], {}
    for number, mask in wanted:
        state = _socket._open.get(number)
        if state is None:
            if number >= _socket._FIRST_HANDLE:
                found.append((number, POLLNVAL))
            elif number < 3:
                # The standard streams are always ready: who reads them waits there.
                found.append((number, mask & (POLLIN | POLLOUT)))
            else:
                real[number] = (number, mask)
        elif state.real is not None:
            real[state.real] = (number, mask)
        else:
            events = mask & POLLOUT
            if mask & POLLIN and state.ready_to_read():
                events |= POLLIN
            if events:
                found.append((number, events))
    return found, real


def _wait(wanted, seconds):
    """Numbers and events of what is ready, after at most that many seconds."""
    found, real = _ready(wanted)
    if not real:
        if found or seconds == 0:
            return found
        if seconds is None:
            raise OSError(_errno.EDEADLK, "nothing in this program can end this wait")
        _time.sleep(seconds)
        return _ready(wanted)[0]
    handles = [(handle, mask) for handle, (_, mask) in real.items()]
    for handle, events in _net.wait(handles, 0.0 if found else seconds):
        found.append((real[handle][0], events))
    return found


def select(rlist, wlist, xlist, timeout=None, /):
    rlist, wlist, xlist = list(rlist), list(wlist), list(xlist)
    if timeout is not None:
        if not hasattr(timeout, "__float__") and not hasattr(timeout, "__index__"):
            raise TypeError("timeout must be a number or None")
        if timeout < 0:
            raise ValueError("timeout must be non-negative")
    wanted = {}
    for items, mask in ((rlist, POLLIN), (wlist, POLLOUT), (xlist, POLLPRI)):
        for item in items:
            number = _handle(item)
            wanted[number] = wanted.get(number, 0) | mask
    if not wanted:
        _time.sleep(timeout or 0)
        return [], [], []
    events = dict(_wait(list(wanted.items()), timeout))
    reads = POLLIN | POLLHUP | POLLERR
    return (
        [r for r in rlist if events.get(_handle(r), 0) & reads],
        [w for w in wlist if events.get(_handle(w), 0) & (POLLOUT | POLLERR)],
        [x for x in xlist if events.get(_handle(x), 0) & POLLPRI],
    )


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

    def poll(self, timeout=None, /):
        if timeout is not None:
            timeout = None if timeout < 0 else timeout / 1000
        return _wait(list(self._registered.items()), timeout)
