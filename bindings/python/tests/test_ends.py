"""How runs end: well, by exceptions, by the end of the program, by signals, across forks."""

import multiprocessing
import os
import signal
import subprocess
import sys
import threading

import pytest

import mynah

forks = pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here")


@pytest.mark.parametrize(
    ("error", "status", "reason"),
    [
        (RuntimeError("out of memory"), "FAILED", "RuntimeError: out of memory"),
        (KeyboardInterrupt(), "KILLED", "interrupted"),
        (SystemExit(0), "FINISHED", None),
        (SystemExit(3), "FAILED", "SystemExit: 3"),
        (ValueError("nul \0 and \ud800"), "FAILED", "ValueError: nul \\0 and \\ud800"),
        (ValueError("x" * 100_000), "FAILED", "ValueError: " + "x" * 1_988),
    ],
)
def test_an_exception_ends_the_run(error, status, reason):
    with pytest.raises(type(error)):
        with mynah.runs.start() as run:
            run.log({"x": 1})
            raise error
    record = mynah.runs.get(run.id)
    assert record.status == status and record.tags.get("mynah.error") == reason
    assert len(record.history("x")) == 1
    assert ("mynah.traceback" in record.tags) == (status == "FAILED")


def test_the_exception_comes_through_when_the_run_cannot_be_ended(monkeypatch):
    with pytest.raises(RuntimeError, match="mine") as caught:
        with mynah.runs.start() as run:
            monkeypatch.setattr(type(run), "end", lambda *_, **__: 1 / 0)
            raise RuntimeError("mine")
    assert "could not be ended" in caught.value.__notes__[0]
    monkeypatch.undo()
    run.end("FAILED")


PROGRAM = """
import sys
import mynah
run = mynah.runs.start(name="left")
for step in range({points}):
    run.log({{"x": step}}, step=step)
{end}
"""


@pytest.mark.parametrize(
    ("end", "code", "status", "reason"),
    [
        ("", 0, "KILLED", "without run.end()"),
        ("del run", 0, "KILLED", "without run.end()"),
        ("sys.exit(4)", 4, "KILLED", "without run.end()"),
        ("raise ValueError('why')", 1, "FAILED", "ValueError: why"),
        ("raise KeyboardInterrupt", None, "KILLED", "interrupted"),
        ("run.end()", 0, "FINISHED", None),
        ("run.end('FAILED', reason='mine')", 0, "FAILED", "mine"),
    ],
)
def test_a_program_that_exits_loses_no_point(script, end, code, status, reason):
    done = script(PROGRAM.format(points=50_000, end=end))
    if code is not None:
        assert done.returncode == code, done.stderr
    [record] = mynah.runs.search()
    assert record.status == status
    assert reason is None or reason in record.tags["mynah.error"]
    assert len(record.history("x")) == 50_000 and record.metrics["x"] == 49_999


@forks
def test_a_run_of_the_parent_is_refused_in_the_child(script):
    done = script(
        """
        import os, mynah
        run = mynah.runs.start()
        for step in range(10_000):
            run.log({"x": step}, step=step)
        child = os.fork()
        if child == 0:
            calls = [lambda: run.log({"x": 1}), lambda: run.log_params({"a": 1}), run.flush, run.end]
            for call in calls:
                try:
                    call()
                except mynah.errors.ForkError as error:
                    assert "forked" in str(error)
                else:
                    raise SystemExit(7)
            del run, calls, call
            raise SystemExit(5)   # through the ordinary end of an interpreter
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 5
        run.log({"x": -1}, step=10_000)
        run.end()
        assert run.stats()["written"] == 10_001, run.stats()
        """
    )
    assert done.returncode == 0, done.stderr
    [record] = mynah.runs.search()
    assert record.status == "FINISHED" and len(record.history("x")) == 10_001


@forks
def test_a_child_inside_the_block_does_not_end_the_parents_run(script):
    done = script(
        """
        import os, mynah
        with mynah.runs.start() as run:
            child = os.fork()
            if child:
                assert os.waitpid(child, 0)[1] == 0
                assert mynah.runs.get(run.id).status == "RUNNING"
        """
    )
    assert done.returncode == 0, done.stderr


@forks
def test_a_child_may_record_a_run_of_its_own(script):
    done = script(
        """
        import os, mynah
        run = mynah.runs.start(name="parent")
        run.log({"x": 1})
        children = []
        for number in range(3):
            child = os.fork()
            if child == 0:
                with mynah.runs.start(name=f"child {number}", parent=run.id) as own:
                    for step in range(2_000):
                        own.log({"x": step}, step=step)
                os._exit(0)
            children.append(child)
            run.log({"x": number})
        for child in children:
            assert os.waitpid(child, 0)[1] == 0
        run.end()
        """
    )
    assert done.returncode == 0, done.stderr
    records = mynah.runs.search()
    assert len(records) == 4 and all(record.status == "FINISHED" for record in records)
    for record in records:
        assert len(record.history("x")) == (4 if record.name == "parent" else 2_000)


@forks
def test_forks_while_other_threads_log(script):
    done = script(
        """
        import os, threading, mynah
        run = mynah.runs.start()
        stop = threading.Event()
        counts = [0, 0]
        def log(number):
            while not stop.is_set():
                run.log({f"t{number}": 1.0}, step=counts[number])
                counts[number] += 1
        threads = [threading.Thread(target=log, args=[n]) for n in range(2)]
        for thread in threads:
            thread.start()
        for _ in range(20):
            child = os.fork()
            if child == 0:
                os._exit(0)
            os.waitpid(child, 0)
        stop.set()
        for thread in threads:
            thread.join()
        run.end()
        record = mynah.runs.get(run.id)
        assert [len(record.history(f"t{n}")) for n in range(2)] == counts
        """
    )
    assert done.returncode == 0, done.stderr


def work(number):
    """A worker of a pool that forgets to end its run."""
    run = mynah.runs.start(name=f"worker {number}")
    for step in range(1_000):
        run.log({"x": step}, step=step)
    return run.id


@pytest.mark.parametrize("method", multiprocessing.get_all_start_methods())
def test_workers_of_multiprocessing(method):
    context = multiprocessing.get_context(method)
    with mynah.runs.start(name="parent") as run:
        with context.Pool(2) as pool:
            ids = pool.map(work, range(4))
            pool.close()
            pool.join()
        run.log({"x": 1})
    for one in ids:
        record = mynah.runs.get(one)
        assert record.status == "KILLED" and len(record.history("x")) == 1_000


def test_the_workers_of_a_data_loader():
    data = pytest.importorskip("torch.utils.data")
    with mynah.runs.start() as run:
        for epoch in range(2):
            for step, batch in enumerate(data.DataLoader(range(64), batch_size=8, num_workers=2)):
                run.log({"sum": batch.sum()}, step=epoch * 8 + step)
    assert len(mynah.runs.get(run.id).history("sum")) == 16


def test_processes_at_once_lose_nothing(store, script, tmp_path):
    program = tmp_path / "many.py"
    program.write_text(
        "import mynah\n"
        "with mynah.runs.start(experiment='many') as run:\n"
        "    for step in range(10_000):\n"
        "        run.log({'x': step}, step=step)\n"
    )
    children = [subprocess.Popen([sys.executable, program], stderr=subprocess.PIPE) for _ in range(4)]
    errors = [child.communicate()[1] for child in children]
    assert [child.returncode for child in children] == [0] * 4, errors
    records = mynah.runs.search(experiment="many")
    assert len(records) == 4 and all(len(record.history("x")) == 10_000 for record in records)


def test_an_interrupt_comes_through_while_the_store_is_locked(lock):
    run = mynah.runs.start()
    release = lock()
    run.log({"x": 1}, step=0)
    with pytest.raises(mynah.errors.BusyError, match="1 points still wait"):
        run.flush(timeout_s=0.2)
    timer = threading.Timer(0.3, signal.pthread_kill, [threading.get_ident(), signal.SIGINT])
    timer.start()
    with pytest.raises(KeyboardInterrupt):
        run.flush()
    timer.join()
    release()
    run.end()
    assert len(mynah.runs.get(run.id).history("x")) == 1, "kept, and written when the store was free"


def test_a_full_queue_makes_the_caller_wait_and_counts_it(lock):
    run = mynah.runs.start()
    release = lock()
    figures = {f"k{i}": float(i) for i in range(10_000)}
    calls = 60

    def log():
        for step in range(calls):
            run.log(figures, step=step)

    worker = threading.Thread(target=log)
    worker.start()
    # The queue holds less than all of it: the worker comes to wait, and this thread runs meanwhile.
    while run.stats()["queued"] + len(figures) <= 262_144:
        assert worker.is_alive()
    release()
    worker.join()
    run.end()
    stats = run.stats()
    assert stats["written"] == calls * len(figures)
    assert stats["waits"] >= 1 and stats["waited_us"] > 0 and run.waits == stats["waits"]


@forks
def test_a_fork_while_the_store_is_locked_harms_nobody(script):
    done = script(
        """
        import os, subprocess, sys
        import mynah
        from mynah import _exit

        run = mynah.runs.start()
        hold = "import sqlite3, sys; c = sqlite3.connect(sys.argv[1], isolation_level=None); "
        hold += "c.execute('BEGIN IMMEDIATE'); print('locked', flush=True); sys.stdin.read()"
        command = [sys.executable, "-c", hold, os.environ["MYNAH_STORE"]]
        holder = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        holder.stdout.readline()
        run.log({"x": 1}, step=0)
        _exit.FORK_WAIT_S = 0.3
        child = os.fork()
        if child == 0:
            for call in (lambda: run.log({"x": 2}), mynah.runs.start, mynah.runs.search):
                try:
                    call()
                except mynah.errors.ForkError:
                    continue
                os._exit(7)
            del run, call
            os._exit(5)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 5
        run.log({"x": 3}, step=1)
        holder.communicate()
        run.end()
        """
    )
    assert done.returncode == 0, done.stderr
    [record] = mynah.runs.search()
    assert record.status == "FINISHED" and [point.value for point in record.history("x")] == [1, 3]
