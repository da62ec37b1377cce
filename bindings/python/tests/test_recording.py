"""What is recorded is what was given."""

import argparse
import dataclasses
import math
import threading

import pytest

import mynah


def test_a_run_from_start_to_end(store):
    with mynah.runs.start(experiment="mnist", name="a", params={"rate": 0.1}, tags={"team": "x"}) as run:
        assert len(run.id) == 32 and run.name == "a" and not run.has_ended
        run.log({"loss": 0.5, "accuracy": 0.9}, step=10)
        run.log_metric("loss", 0.25, 11, timestamp_ms=1_700_000_000_000)
    assert run.has_ended and run.store == str(store)
    record = mynah.runs.get(run.id)
    assert (record.status, record.experiment, record.name) == ("FINISHED", "mnist", "a")
    assert record.metrics == {"loss": 0.25, "accuracy": 0.9}
    assert record.params == {"rate": "0.1"} and record.tags["team"] == "x"
    assert record.end_time_ms >= record.start_time_ms
    history = record.history("loss")
    assert [(point.step, point.value) for point in history] == [(11, 0.25), (10, 0.5)]
    assert history[0].timestamp_ms == 1_700_000_000_000 and list(history.steps) == [11, 10]
    assert history[-1].value == 0.5 and len(history[:1]) == 1 and not record.history("other")


def test_facts_of_the_program_are_tags(script):
    done = script(
        """
        import mynah
        run = mynah.runs.start(tags={"mynah.kind": "mine"})
        run.end()
        """
    )
    assert done.returncode == 0, done.stderr
    [record] = mynah.runs.search()
    assert record.experiment == "train", "the script's name"
    assert record.tags["mlflow.source.name"].endswith("train.py")
    assert record.tags["mynah.system.python"].startswith("CPython 3.")
    assert record.tags["mynah.version"] == mynah.__version__
    assert record.tags["mynah.kind"] == "mine", "own tags win"


def test_the_git_revision_is_found(tmp_path):
    from mynah import _facts

    folder = tmp_path / "repository"
    (folder / ".git").mkdir(parents=True)
    (folder / "deep").mkdir()
    (folder / ".git" / "HEAD").write_text("ref: refs/heads/main\n")
    assert _facts.git_revision(folder / "deep") is None
    (folder / ".git" / "packed-refs").write_text(f"# packed\n{'a' * 40} refs/heads/main\n")
    assert _facts.git_revision(folder / "deep") == "a" * 40
    own = folder / ".git" / "worktrees" / "w"
    own.mkdir(parents=True)
    (own / "HEAD").write_text("b" * 40)
    (own / "commondir").write_text("../..\n")
    other = tmp_path / "worktree"
    other.mkdir()
    (other / ".git").write_text(f"gitdir: {own}\n")
    assert _facts.git_revision(other) == "b" * 40


def test_nan_and_infinities_are_kept():
    with mynah.runs.start() as run:
        for step, value in enumerate([math.nan, math.inf, -math.inf, -0.0, 5e-324]):
            run.log({"x": value}, step=step)
    values = [point.value for point in mynah.runs.get(run.id).history("x")]
    assert math.isnan(values[0]) and values[1:3] == [math.inf, -math.inf]
    assert math.copysign(1, values[3]) == -1 and values[4] == 5e-324


def test_steps_count_on_where_none_is_given():
    with mynah.runs.start() as run:
        run.log({"x": 1})
        run.log({"x": 1})
        run.log({"x": 1}, step=10)
        run.log({"x": 1})
    assert list(mynah.runs.get(run.id).history("x").steps) == [0, 1, 10, 11]
    again = mynah.runs.resume(run.id)
    assert mynah.runs.get(run.id).status == "RUNNING" and again.id == run.id
    again.log({"x": 1})
    again.end()
    assert mynah.runs.get(run.id).history("x")[-1].step == 12


class Scalar:
    """What NumPy and PyTorch scalars look like from outside."""

    def __init__(self, value, *names):
        self.value = value
        for name in names:
            setattr(type(self), name, lambda self: self.value)


class Float(Scalar):
    pass


class Index(Scalar):
    pass


class Item(Scalar):
    pass


class Broken:
    def __float__(self):
        raise RuntimeError("a tensor of 3 elements is no number")

    def __repr__(self):
        raise RuntimeError("no text either")


def test_whatever_is_one_number_is_taken():
    values = {
        "int": 3,
        "bool": True,
        "float": Float(1.5, "__float__"),
        "index": Index(7, "__index__"),
        "item": Item(2.5, "item"),
    }
    with mynah.runs.start() as run:
        run.log(values, step=Index(4, "__index__"))
    assert mynah.runs.get(run.id).metrics == {"int": 3, "bool": 1, "float": 1.5, "index": 7, "item": 2.5}
    assert mynah.runs.get(run.id).history("int")[0].step == 4


def test_numpy_and_torch_scalars():
    numpy = pytest.importorskip("numpy")
    with mynah.runs.start() as run:
        run.log({"f32": numpy.float32(0.5), "i": numpy.int64(3), "b": numpy.bool_(True)}, step=numpy.int64(1))
        run.log({"zero": numpy.array(2.0), "one": numpy.array([[4.0]])}, step=2)
        with pytest.raises(ValueError, match="'many' is a ndarray, which is not one number"):
            run.log({"many": numpy.zeros(3)})
    assert mynah.runs.get(run.id).metrics == {"f32": 0.5, "i": 3, "b": 1, "zero": 2, "one": 4}
    assert isinstance(mynah.runs.get(run.id).history("zero").values, numpy.ndarray)


@pytest.mark.parametrize(
    ("metrics", "error", "words"),
    [
        ({"loss": "0.5"}, TypeError, "the metric 'loss' is a str, which is not one number: '0.5'"),
        ({"loss": None}, TypeError, "'loss' is a NoneType"),
        ({"loss": [1.0]}, TypeError, "'loss' is a list"),
        ({"loss": {"inner": 1.0}}, TypeError, "'loss' is a dict"),
        ({"loss": 1j}, TypeError, "'loss' is a complex"),
        ({"loss": 10**400}, ValueError, "'loss' is a int"),
        ({"loss": Broken()}, ValueError, "'loss' is a Broken, .*its repr"),
        ({3: 1.0}, TypeError, "the key of a metric is text, not a int: 3"),
        ({"\ud800": 1.0}, ValueError, "not valid Unicode"),
        ({"": 1.0}, ValueError, "needs a key"),
        ({"a;DROP TABLE runs": 1.0}, ValueError, "may only have letters"),
        ({"../../etc": 1.0}, ValueError, "used as a path"),
        ({"a\0b": 1.0}, ValueError, "may only have"),
        ({"k" * 251: 1.0}, ValueError, "251 characters"),
        ([("loss", 1.0)], TypeError, "a dict of numbers by name, not a list"),
        ({f"k{i}": 1.0 for i in range(10_001)}, ValueError, "10000 figures"),
    ],
)
def test_what_is_wrong_is_named_and_nothing_is_recorded(metrics, error, words):
    with mynah.runs.start() as run:
        with pytest.raises(error, match=words):
            run.log(metrics if not isinstance(metrics, dict) else {"good": 1.0, **metrics})
    assert mynah.runs.get(run.id).metrics == {}


def test_wrong_steps_and_times():
    with mynah.runs.start() as run:
        for step in (1.5, "1"):
            with pytest.raises(TypeError, match="step"):
                run.log({"x": 1}, step=step)
        with pytest.raises(OverflowError):
            run.log({"x": 1}, step=2**63)
        with pytest.raises(ValueError, match="timestamp"):
            run.log({"x": 1}, timestamp_ms=-1)
        run.log({"x": 1}, step=-5)
        run.log({"x": 2}, step=2**63 - 1)
    assert [point.step for point in mynah.runs.get(run.id).history("x")] == [-5, 2**63 - 1]


@dataclasses.dataclass
class Optimizer:
    name: str = "adamw"
    betas: tuple = (0.9, 0.95)


def test_params_of_many_shapes():
    run = mynah.runs.start(params=argparse.Namespace(rate=3e-4, deep={"on": True, "none": None}))
    run.log_params({"optimizer": Optimizer(), "empty": [], 7: "seven"})
    run.log_params({"rate": 3e-4})
    with pytest.raises(ValueError, match="written once"):
        run.log_params({"rate": 1})
    run.log_params({f"p{i}": i for i in range(250)})
    run.end()
    params = mynah.runs.get(run.id).params
    assert params["rate"] == "0.0003" and params["deep.on"] == "true" and params["deep.none"] == "none"
    assert params["optimizer.name"] == "adamw" and params["optimizer.betas.1"] == "0.95"
    assert params["empty"] == "[]" and params["7"] == "seven" and params["p249"] == "249"


def test_hostile_params_tags_and_names():
    itself = {}
    itself["me"] = itself
    with mynah.runs.start() as run:
        for params, words in [
            (itself, "nested more than 32"),
            ({"a": "\ud800"}, "'a' is not valid Unicode"),
            ({"a": "x" * 6_001}, "6001 characters, 6000 at most"),
            ({"a'b": 1}, "may only have"),
            ({"a": "x\0y"}, "NUL"),
        ]:
            with pytest.raises(ValueError, match=words):
                run.log_params(params)
        for params in (3, "text", [1], Optimizer, {None: 1}):
            with pytest.raises(TypeError):
                run.log_params(params)
        with pytest.raises(ValueError, match="8001"):
            run.set_tag("t", "x" * 8_001)
        run.set_tag("t", "'; DROP TABLE runs; --")
        run.set_tags({"t": "second", "u": 3})
    record = mynah.runs.get(run.id)
    assert record.params == {} and (record.tags["t"], record.tags["u"]) == ("second", "3")
    for name in (" ", "x" * 501, "a\0b", "\udfff"):
        with pytest.raises(ValueError):
            mynah.runs.start(name=name)
        with pytest.raises(ValueError):
            mynah.runs.start(experiment=name)
    odd = "a \"quoted\" näme; DROP TABLE runs; -- 💥 ../.."
    with mynah.runs.start(name=odd, experiment=odd) as run:
        pass
    assert mynah.runs.get(run.id).name == odd and len(mynah.runs.search(experiment=odd)) == 1
    assert len(mynah.runs.search()) == 2, "refused runs were not begun"


def test_params_that_are_refused_at_the_start_leave_a_failed_run():
    with pytest.raises(ValueError):
        mynah.runs.start(params={"a": "x" * 7_000})
    [record] = mynah.runs.search()
    assert record.status == "FAILED" and "params were refused" in record.tags["mynah.error"]


def test_files_and_folders(tmp_path):
    folder = tmp_path / "out"
    (folder / "deep").mkdir(parents=True)
    (folder / "a.txt").write_bytes(b"a")
    (folder / "deep" / "b.bin").write_bytes(bytes(range(256)))
    with mynah.runs.start() as run:
        assert run.log_artifact(folder) == ["out/a.txt", "out/deep/b.bin"]
        assert run.log_artifact(folder / "a.txt") == ["a.txt"]
        assert run.log_artifact(str(folder / "a.txt"), to="x/y.txt") == ["x/y.txt"]
        for bad in ("../a", "/a", "a//b", "a/../../b", "\ud800"):
            with pytest.raises(ValueError):
                run.log_artifact(folder / "a.txt", to=bad)
        with pytest.raises(FileNotFoundError):
            run.log_artifact(tmp_path / "absent")
        with pytest.raises(ValueError, match="not a regular file"):
            run.log_artifact("/dev/null")
    record = mynah.runs.get(run.id)
    assert [found.path for found in record.artifacts()] == ["a.txt", "out/a.txt", "out/deep/b.bin", "x/y.txt"]
    assert record.artifacts()[0].digest == record.artifacts()[1].digest
    assert record.read_artifact("out/deep/b.bin") == bytes(range(256))
    record.save_artifact("a.txt", tmp_path / "copy.txt")
    assert (tmp_path / "copy.txt").read_bytes() == b"a"
    with pytest.raises(mynah.errors.NotFoundError):
        record.read_artifact("absent")


def test_datasets(tmp_path):
    file = tmp_path / "data.txt"
    file.write_text("once upon a time")
    with mynah.runs.start() as run:
        digest = run.log_dataset("stories", file, context="eval", schema={"text": "string"})
        run.log_dataset("web", "https://example.com/data", digest="abc")
        with pytest.raises(ValueError, match="needs digest="):
            run.log_dataset("folder", tmp_path)
    found = {dataset["name"]: dataset for dataset in mynah.runs.get(run.id).datasets}
    assert len(digest) == 64 and found["stories"]["digest"] == digest
    assert found["stories"]["context"] == "eval" and str(file) in found["stories"]["source"]
    assert found["web"]["digest"] == "abc" and found["web"]["context"] == "train"


def test_parents(monkeypatch):
    with mynah.runs.start() as parent:
        with mynah.runs.start(parent=parent) as child:
            pass
        monkeypatch.setenv("MYNAH_PARENT_RUN", parent.id)
        with mynah.runs.start() as second:
            pass
        monkeypatch.setenv("MYNAH_PARENT_RUN", "0" * 32)
        with mynah.runs.start() as orphan:
            pass
        with pytest.raises(LookupError):
            mynah.runs.start(parent="0" * 32)
    ids = [mynah.runs.get(run.id).parent_id for run in (child, second, orphan)]
    assert ids == [parent.id, parent.id, None]


def test_a_burst_from_several_threads_loses_nothing():
    threads, points = 4, 250_000
    run = mynah.runs.start()

    def burst(number):
        for step in range(points):
            run.log({f"thread{number}": step}, step=step)

    workers = [threading.Thread(target=burst, args=[number]) for number in range(threads)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    run.end()
    stats = run.stats()
    assert stats["accepted"] == stats["written"] == threads * points
    assert (stats["dropped"], stats["queued"], run.dropped) == (0, 0, 0)
    record = mynah.runs.get(run.id)
    for number in range(threads):
        history = record.history(f"thread{number}")
        assert len(history) == points
        assert sum(history.values) == points * (points - 1) / 2


def test_an_ended_run_takes_nothing_more():
    run = mynah.runs.start()
    run.end()
    run.end()
    run.flush()
    for call in (lambda: run.log({"x": 1}), lambda: run.set_tag("a", 1), lambda: run.log_params({"a": 1})):
        with pytest.raises(mynah.errors.EndedError, match="has ended"):
            call()
    with pytest.raises(ValueError, match="not as 'DONE'"):
        mynah.runs.start().end("DONE")


def test_a_run_deleted_meanwhile_is_told_at_the_flush(mynah_program):
    import subprocess

    run = mynah.runs.start()
    subprocess.run([mynah_program, "runs", "delete", run.id], check=True, capture_output=True)
    run.log({"x": 1})
    with pytest.raises(mynah.MynahError, match="deleted"):
        run.flush()
    assert run.dropped == 1
    with pytest.raises(mynah.MynahError, match="deleted"):
        run.end()
    subprocess.run([mynah_program, "runs", "restore", run.id], check=True, capture_output=True)
    run.end()
    assert mynah.runs.get(run.id).status == "FINISHED"


def test_a_store_that_was_deleted_is_made_again(store):
    mynah.runs.start(name="first").end()
    for file in store.parent.glob("ledger.db*"):
        file.unlink()
    mynah.runs.start(name="second").end()
    assert [record.name for record in mynah.runs.search()] == ["second"]


def test_a_run_is_not_pickled():
    import pickle

    with mynah.runs.start() as run:
        with pytest.raises(TypeError, match="cannot be sent to another process"):
            pickle.dumps(run)


def test_stores_that_cannot_be_used(tmp_path, monkeypatch):
    broken = tmp_path / "broken.db"
    broken.write_text("this is no database, however often you look at it")
    for store, error in [
        (broken, mynah.errors.StorageError),
        (tmp_path, ValueError),
        ("redis://host/db", ValueError),
        ("", ValueError),
    ]:
        with pytest.raises(error):
            mynah.runs.start(store=store)
    with pytest.raises(LookupError, match="no ledger"):
        mynah.runs.search(store=tmp_path / "absent.db")
    with pytest.raises(TypeError):
        mynah.runs.start(store=b"bytes")
    monkeypatch.delenv("MYNAH_STORE")
    monkeypatch.setenv("MYNAH_HOME", str(tmp_path / "own"))
    with mynah.runs.start() as run:
        pass
    assert run.store == str(tmp_path / "own" / "ledger.db")
