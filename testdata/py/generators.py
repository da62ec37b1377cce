# Generators, iterators, coroutines, async generators, asyncio.

# === basic
def g():
    print("start")
    yield 1
    print("middle")
    yield 2
    print("end")
it = g()
print(next(it), next(it), next(it, "done"), next(it, "still done"))

# === in_for_and_list
def count(n):
    i = 0
    while i < n:
        yield i
        i += 1
print(list(count(3)), sum(count(5)), [x for x in count(2)], tuple(count(0)), max(count(4)), dict(zip("ab", count(9))))

# === return_value
def g():
    yield 1
    return "result"
it = g()
next(it)
try:
    next(it)
except StopIteration as e:
    print(e.value, e.args)

# === return_none_value
def g():
    yield
    return
it = g()
print(next(it))
try:
    next(it)
except StopIteration as e:
    print(e.value, e.args)

# === send
def acc():
    total = 0
    while True:
        x = yield total
        if x is None:
            return total
        total += x
it = acc()
print(next(it), it.send(5), it.send(10))
try:
    it.send(None)
except StopIteration as e:
    print(e.value)

# === send_before_start
def g():
    yield 1
it = g()
try:
    it.send(5)
except TypeError as e:
    print(e)
print(it.send(None))

# === throw_caught
def g():
    while True:
        try:
            yield "ok"
        except ValueError as e:
            print("caught", e)
            yield "recovered"
it = g()
print(next(it), it.throw(ValueError("v")), next(it))
try:
    it.throw(KeyError("k"))
except KeyError as e:
    print(repr(e))
print(next(it, "finished"))

# === throw_before_start
def g():
    try:
        yield 1
    except ValueError:
        print("never")
it = g()
try:
    it.throw(ValueError("early"))
except ValueError as e:
    print(e)
print(list(it))

# === throw_class_and_bad
def g():
    try:
        yield
    except KeyError as e:
        yield repr(e)
it = g()
next(it)
print(it.throw(KeyError))
try:
    g().throw(5)
except TypeError as e:
    print(e)

# === close_runs_finally
def g():
    try:
        yield 1
        yield 2
    finally:
        print("cleanup")
it = g()
print(next(it))
it.close()
it.close()
print(list(it))

# === close_generator_exit
def g():
    try:
        yield 1
    except GeneratorExit:
        print("exit")
        raise
it = g()
next(it)
print(it.close())
def bad():
    try:
        yield 1
    except GeneratorExit:
        yield 2
it = bad()
next(it)
try:
    it.close()
except RuntimeError as e:
    print(e)

# === close_unstarted
def g():
    print("never")
    yield
it = g()
it.close()
print(list(it))

# === del_runs_finally
def g():
    try:
        yield 1
    finally:
        print("finalized")
it = g()
next(it)
del it
print("after del")

# === break_then_resume
def g():
    yield from range(5)
it = g()
for x in it:
    if x == 1:
        break
print(list(it))

# === yield_from_list_and_generator
def inner():
    r = yield 1
    print("inner got", r)
    return "inner result"
def outer():
    x = yield from inner()
    print("outer got", x)
    yield from [10, 20]
    yield from "ab"
it = outer()
print(next(it), it.send("hello"), list(it))

# === yield_from_throw
def inner():
    try:
        yield 1
    except ValueError as e:
        yield f"inner {e}"
def outer():
    yield from inner()
    yield "end"
it = outer()
print(next(it), it.throw(ValueError("v")), next(it))

# === yield_from_close
def inner():
    try:
        yield 1
    finally:
        print("inner closed")
def outer():
    try:
        yield from inner()
    finally:
        print("outer closed")
it = outer()
next(it)
it.close()

# === yield_from_non_iterable
def g():
    yield from 5
try:
    list(g())
except TypeError as e:
    print(e)

# === yield_from_iterator_without_send
class I:
    def __init__(self): self.n = 0
    def __iter__(self): return self
    def __next__(self):
        self.n += 1
        if self.n > 2: raise StopIteration("val")
        return self.n
def g():
    r = yield from I()
    print("r", r)
it = g()
print(next(it))
try:
    it.send(5)
except AttributeError as e:
    print(e)

# === recursive_tree
def walk(t):
    if isinstance(t, list):
        for x in t:
            yield from walk(x)
    else:
        yield t
print(list(walk([1, [2, [3, []], 4], [[5]]])))

# === infinite_take
import itertools
def fib():
    a, b = 0, 1
    while True:
        yield a
        a, b = b, a + b
print(list(itertools.islice(fib(), 12)), next(x for x in fib() if x > 1000))

# === primes_pipeline
def nat(n):
    while True:
        yield n
        n += 1
def sieve(s):
    p = next(s)
    yield p
    yield from sieve(x for x in s if x % p)
s = sieve(nat(2))
print([next(s) for _ in range(12)])

# === already_executing
def g():
    yield next(it)
it = g()
try:
    next(it)
except ValueError as e:
    print(e)

# === exception_finishes
def g():
    yield 1
    raise KeyError("k")
it = g()
next(it)
try:
    next(it)
except KeyError as e:
    print(repr(e))
print(list(it))

# === attributes
def g():
    yield 1
it = g()
print(it.__name__, it.__qualname__, it.gi_running, it.gi_suspended, it.gi_yieldfrom, it.gi_code.co_name, type(it).__name__, iter(it) is it)
next(it)
print(it.gi_suspended, it.gi_frame is None)
list(it)
print(it.gi_frame, it.gi_suspended)

# === gi_yieldfrom
def inner():
    yield 1
def outer():
    yield from inner()
it = outer()
next(it)
print(it.gi_yieldfrom.__name__)

# === generator_expression
g = (x * x for x in range(4) if x % 2 == 0)
print(type(g).__name__, g.__name__, list(g), list(g), sum(x for x in range(4)), max((len(w) for w in ("a", "bbb")), default=0))

# === genexpr_eager_first_iterable
def src():
    print("src")
    return [1, 2]
g = (x for x in src())
print("made")
print(list(g))
try:
    (x for x in 5)
except TypeError as e:
    print(e)

# === genexpr_lazy_rest
g = (x / 0 for x in [1])
print("no error yet")
try:
    next(g)
except ZeroDivisionError as e:
    print(e)

# === yield_expression_forms
def g():
    x = yield
    y = (yield x), (yield "second")
    print(y)
    yield [(yield 1), (yield 2)]
it = g()
print(next(it), it.send("a"), it.send("b"), it.send("c"), it.send("d"), it.send("e"))

# === yield_tuple_star
def g():
    yield 1, 2
    yield *[3, 4], 5
    x = yield
print(list(g()))

# === try_finally_yield_inside
def g():
    for i in range(2):
        try:
            yield i
        finally:
            print("f", i)
print(list(g()))

# === exception_context_in_generator
def g():
    try:
        yield 1
    except ValueError:
        raise KeyError("k")
it = g()
next(it)
try:
    it.throw(ValueError("v"))
except KeyError as e:
    print(repr(e.__context__))

# === handled_exception_not_leaked
import sys
def g():
    try:
        raise ValueError
    except ValueError:
        yield type(sys.exception()).__name__
it = g()
print(next(it), sys.exception())

# === local_variables_kept
def g(a, *, b=2):
    for i in range(2):
        c = a + i
        yield a, b, c
        a *= 10
print(list(g(1)), list(g(1, b=5)))

# === interleaved
def g(n):
    for i in range(3):
        yield f"{n}{i}"
a, b = g("a"), g("b")
print(next(a), next(b), next(a), next(b), next(b), next(a))

# === iterator_class
class Countdown:
    def __init__(self, n): self.n = n
    def __iter__(self): return self
    def __next__(self):
        if self.n == 0: raise StopIteration
        self.n -= 1
        return self.n + 1
print(list(Countdown(3)), 2 in Countdown(3), [*Countdown(2)], sorted(Countdown(3)))
a, *b = Countdown(3)
print(a, b)

# === iter_returns_non_iterator
class A:
    def __iter__(self): return 5
class B:
    def __iter__(self): return self
for c in (A, B):
    try:
        iter(c())
    except TypeError as e:
        print(e)

# === iter_generator_method
class Tree:
    def __init__(self, v, *kids): self.v, self.kids = v, kids
    def __iter__(self):
        yield self.v
        for k in self.kids:
            yield from k
print(list(Tree(1, Tree(2, Tree(3)), Tree(4))))

# === iter_callable_sentinel
n = 0
def f():
    global n
    n += 1
    return n
print(list(iter(f, 4)), list(iter(f, 7)))
try:
    iter(5, 1)
except TypeError as e:
    print(type(e).__name__)

# === next_default_and_error
it = iter([])
print(next(it, None), next(it, 5))
try:
    next(it)
except StopIteration as e:
    print(repr(e))

# === contextmanager_generator
from contextlib import contextmanager
@contextmanager
def cm(x):
    print("enter", x)
    try:
        yield x * 2
    except ValueError as e:
        print("handled", e)
    finally:
        print("exit")
with cm(5) as v:
    print(v)
with cm(1):
    raise ValueError("inside")
print("after")

# === coroutine_by_hand
async def f(x):
    return x * 2
c = f(5)
print(type(c).__name__, c.__name__)
try:
    c.send(None)
except StopIteration as e:
    print(e.value)
try:
    c.send(None)
except RuntimeError as e:
    print(e)

# === await_chain_by_hand
class Suspend:
    def __init__(self, v): self.v = v
    def __await__(self):
        r = yield self.v
        return r
async def inner():
    a = await Suspend("first")
    b = await Suspend("second")
    return a + b
async def outer():
    return "result " + await inner()
c = outer()
print(c.send(None), c.send("A"))
try:
    c.send("B")
except StopIteration as e:
    print(e.value)

# === await_errors
async def f(x):
    await x
for x in (5, [1], None):
    try:
        f(x).send(None)
    except TypeError as e:
        print(e)
class A:
    def __await__(self): return 5
try:
    f(A()).send(None)
except TypeError as e:
    print(e)

# === coroutine_not_iterable
async def f(): pass
c = f()
for op in (iter, list, next):
    try:
        op(c)
    except TypeError as e:
        print(e)
c.close()

# === coroutine_throw_close
class S:
    def __await__(self): yield 1
async def f():
    try:
        await S()
    except ValueError as e:
        return f"caught {e}"
    finally:
        print("finally")
c = f()
c.send(None)
try:
    c.throw(ValueError("v"))
except StopIteration as e:
    print(e.value)
c = f()
c.send(None)
c.close()

# === coroutine_attributes
async def f(): pass
c = f()
print(c.cr_running, c.cr_await, c.cr_code.co_name, c.cr_frame is not None, c.cr_suspended)
c.close()
print(c.cr_frame)

# === round_robin_scheduler
class Yield:
    def __await__(self): yield
async def worker(name, n):
    for i in range(n):
        print(name, i)
        await Yield()
    return name
tasks = [worker("a", 2), worker("b", 3)]
while tasks:
    t = tasks.pop(0)
    try:
        t.send(None)
        tasks.append(t)
    except StopIteration as e:
        print("done", e.value)

# === async_generator_by_hand
async def ag():
    x = yield 1
    print("got", x)
    yield 2
def run(c):
    try:
        c.send(None)
    except StopIteration as e:
        return e.value
    except StopAsyncIteration:
        return "stop"
g = ag()
print(run(g.asend(None)), run(g.asend("hi")), run(g.__anext__()), type(g).__name__)

# === async_for
async def ag(n):
    for i in range(n):
        yield i
async def main():
    async for x in ag(3):
        print(x)
    else:
        print("else")
    async for x in ag(5):
        if x == 1:
            break
    return x
try:
    main().send(None)
except StopIteration as e:
    print(e.value)

# === async_comprehensions
import asyncio
async def ag(n):
    for i in range(n):
        yield i
async def double(x): return x * 2
async def main():
    print([x async for x in ag(3)], {x async for x in ag(2)}, {x: x async for x in ag(2) if x})
    print([await double(x) for x in range(3)], [y async for y in (x * 3 async for x in ag(3))])
    print([x for x in [1, 2] if await double(x) > 2])
asyncio.run(main())

# === async_with
import asyncio
class CM:
    async def __aenter__(self):
        print("enter")
        return "value"
    async def __aexit__(self, t, v, tb):
        print("exit", t and t.__name__)
        return t is ValueError
async def main():
    async with CM() as v:
        print(v)
    async with CM():
        raise ValueError
    async with CM() as a, CM() as b:
        print(a, b)
asyncio.run(main())

# === async_with_errors
import asyncio
class CM:
    def __enter__(self): pass
    def __exit__(self, *a): pass
async def f():
    async with CM(): pass
async def g():
    async for x in [1]: pass
async def h():
    for x in ag(): pass
async def ag(): yield 1
for c in (f, g, h):
    try:
        asyncio.run(c())
    except TypeError as e:
        print(e)

# === asyncio_gather_order
import asyncio
async def w(n, d):
    await asyncio.sleep(d)
    print("done", n)
    return n
async def main():
    print(await asyncio.gather(w("a", 0.02), w("b", 0.001), w("c", 0)))
asyncio.run(main())

# === asyncio_tasks
import asyncio
async def w(n):
    for i in range(2):
        print(n, i)
        await asyncio.sleep(0)
    return n
async def main():
    a, b = asyncio.create_task(w("a")), asyncio.create_task(w("b"))
    print("created")
    print(await a, await b, a.done(), a.result())
asyncio.run(main())

# === asyncio_cancel
import asyncio
async def w():
    try:
        await asyncio.sleep(10)
    except asyncio.CancelledError:
        print("cancelled")
        raise
async def main():
    t = asyncio.create_task(w())
    await asyncio.sleep(0)
    t.cancel()
    try:
        await t
    except asyncio.CancelledError:
        print("main saw it", t.cancelled())
asyncio.run(main())

# === asyncio_timeout
import asyncio
async def main():
    try:
        await asyncio.wait_for(asyncio.sleep(10), 0.001)
    except TimeoutError:
        print("timeout")
    try:
        async with asyncio.timeout(0.001):
            await asyncio.sleep(10)
    except TimeoutError:
        print("timeout 2")
asyncio.run(main())

# === asyncio_queue
import asyncio
async def producer(q):
    for i in range(3):
        await q.put(i)
    await q.put(None)
async def main():
    q = asyncio.Queue(maxsize=1)
    p = asyncio.create_task(producer(q))
    while (x := await q.get()) is not None:
        print(x)
    await p
asyncio.run(main())

# === asyncio_event_lock_semaphore
import asyncio
async def w(n, lock, out):
    async with lock:
        out.append(("in", n))
        await asyncio.sleep(0)
        out.append(("out", n))
async def main():
    out, lock, ev = [], asyncio.Lock(), asyncio.Event()
    await asyncio.gather(*(w(i, lock, out) for i in range(2)))
    print(out)
    asyncio.get_running_loop().call_soon(ev.set)
    print(await ev.wait())
asyncio.run(main())

# === asyncio_taskgroup
import asyncio
async def bad(): raise ValueError("b")
async def ok(): return 1
async def main():
    async with asyncio.TaskGroup() as tg:
        a = tg.create_task(ok())
    print(a.result())
    try:
        async with asyncio.TaskGroup() as tg:
            tg.create_task(bad())
            tg.create_task(asyncio.sleep(5))
    except* ValueError as e:
        print(e.exceptions)
asyncio.run(main())

# === asyncio_exception_gather
import asyncio
async def bad(n): raise ValueError(n)
async def main():
    print(await asyncio.gather(bad(1), asyncio.sleep(0, "ok"), return_exceptions=True))
    try:
        await asyncio.gather(bad(2))
    except ValueError as e:
        print(e)
asyncio.run(main())

# === asyncio_future
import asyncio
async def main():
    loop = asyncio.get_running_loop()
    f = loop.create_future()
    loop.call_soon(f.set_result, 42)
    print(f.done(), await f, f.done())
    f.add_done_callback(lambda x: print("callback", x.result()))
    await asyncio.sleep(0)
    try:
        f.set_result(1)
    except asyncio.InvalidStateError as e:
        print(type(e).__name__)
asyncio.run(main())

# === asyncio_run_errors
import asyncio
async def main():
    try:
        c = other()
        asyncio.run(c)
    except RuntimeError as e:
        print(e)
        c.close()
async def other(): pass
asyncio.run(main())
try:
    asyncio.run(5)
except (ValueError, TypeError) as e:
    print("not a coroutine")

# === async_generator_aclose
import asyncio
async def ag():
    try:
        yield 1
        yield 2
    finally:
        print("closed")
async def main():
    g = ag()
    print(await anext(g))
    await g.aclose()
    print(await anext(g, "empty"))
asyncio.run(main())

# === async_generator_athrow
import asyncio
async def ag():
    while True:
        try:
            yield "ok"
        except ValueError as e:
            yield f"caught {e}"
async def main():
    g = ag()
    print(await anext(g), await g.athrow(ValueError("v")), await anext(g))
    await g.aclose()
asyncio.run(main())

# === async_iterator_class
import asyncio
class A:
    def __init__(self): self.n = 0
    def __aiter__(self): return self
    async def __anext__(self):
        self.n += 1
        if self.n > 3: raise StopAsyncIteration
        return self.n
async def main():
    print([x async for x in A()], await anext(aiter(A())))
asyncio.run(main())

# === async_contextmanager
import asyncio
from contextlib import asynccontextmanager
@asynccontextmanager
async def cm():
    print("in")
    try:
        yield "v"
    finally:
        print("out")
async def main():
    async with cm() as v:
        print(v)
asyncio.run(main())

# === types_coroutine
import types
@types.coroutine
def switch(v):
    return (yield v)
async def f():
    return await switch("a") + await switch("b")
c = f()
print(c.send(None), c.send(1))
try:
    c.send(2)
except StopIteration as e:
    print(e.value)

# === contextvars_tasks
import asyncio, contextvars
v = contextvars.ContextVar("v", default=0)
async def w(n):
    v.set(n)
    await asyncio.sleep(0)
    return v.get()
async def main():
    print(await asyncio.gather(w(1), w(2)), v.get())
asyncio.run(main())

# === generator_many
def g():
    yield 1
gs = [g() for _ in range(500)]
print(sum(next(x) for x in gs), sum(next(x, 10) for x in gs))

# === permutations_backtracking
def perms(xs):
    if not xs:
        yield []
    for i in range(len(xs)):
        for p in perms(xs[:i] + xs[i + 1:]):
            yield [xs[i]] + p
print(list(perms([1, 2, 3])))

# === queens
def queens(n, row=0, cols=()):
    if row == n:
        yield cols
        return
    for c in range(n):
        if all(c != k and abs(c - k) != row - r for r, k in enumerate(cols)):
            yield from queens(n, row + 1, cols + (c,))
print(next(queens(6)), sum(1 for _ in queens(5)))
