"""A pool of threads where threads run one after the other.

A thread runs to its end where it is started (see `_thread`), so a pool that keeps threads waiting for work has no
use: work is done when it is submitted, in a thread of its own.
"""

from concurrent.futures import _base
import itertools
import threading


class BrokenThreadPool(_base.BrokenExecutor):
    """The initializer of a thread failed."""


class ThreadPoolExecutor(_base.Executor):
    """Calls run in the order in which they are submitted; `submit` gives futures that are done."""

    _numbers = itertools.count()

    def __init__(self, max_workers=None, thread_name_prefix="", initializer=None, initargs=()):
        if max_workers is not None and max_workers <= 0:
            raise ValueError("max_workers must be greater than 0")
        if initializer is not None and not callable(initializer):
            raise TypeError("initializer must be a callable")
        self._max_workers = 5 if max_workers is None else max_workers
        self._name = thread_name_prefix or "ThreadPoolExecutor-%d" % next(self._numbers)
        self._initializer, self._initargs = initializer, initargs
        self._broken = self._shutdown = False

    def submit(self, fn, /, *args, **kwargs):
        if self._broken:
            raise BrokenThreadPool(self._broken)
        if self._shutdown:
            raise RuntimeError("cannot schedule new futures after shutdown")
        future = _base.Future()

        def work():
            if self._initializer is not None:
                initializer, self._initializer = self._initializer, None
                try:
                    initializer(*self._initargs)
                except BaseException:
                    _base.LOGGER.critical("Exception in initializer:", exc_info=True)
                    self._broken = "A thread initializer failed, the thread pool is not usable anymore"
                    future.set_exception(BrokenThreadPool(self._broken))
                    return
            future.set_running_or_notify_cancel()
            try:
                result = fn(*args, **kwargs)
            except BaseException as error:
                future.set_exception(error)
            else:
                future.set_result(result)

        thread = threading.Thread(name=self._name + "_0", target=work)
        thread.start()
        thread.join()
        return future

    def shutdown(self, wait=True, *, cancel_futures=False):
        self._shutdown = True
