"""Versions of weights, their differences, and engines of others that follow them."""

import os
import struct
import subprocess

import pytest

import mynah
from mynah import errors, weights


def floats(*values):
    return "F32", [len(values)], struct.pack(f"<{len(values)}f", *values)


OLD = {"a.weight": floats(1, 2, 3), "b.weight": floats(-0.0, float("nan"))}
NEW = {"a.weight": floats(1, 2, 4), "b.weight": floats(-0.0, float("nan"))}


def pair():
    old = weights.of(OLD, model="m")
    return old, weights.of(NEW, model="m", epoch=2, parent=old.version)


def test_versions_are_named_by_their_content():
    old, new = pair()
    assert old.version == weights.of(dict(reversed(OLD.items())), model="m").version != new.version
    assert old.tensors() == [("a.weight", "F32", (3,)), ("b.weight", "F32", (2,))]
    assert new.manifest["parent"] == old.version and new.manifest["epoch"] == 2
    assert new.changed(old) == ["a.weight"] and old.changed(old) == []
    with pytest.raises(errors.NotFoundError, match="no tensor 'c'"):
        old.read("c")


def test_a_stream_leads_from_one_to_the_other_and_nowhere_else():
    old, new = pair()
    stream = new.delta(old)
    again = old.apply(stream)
    assert again.version == new.version
    assert again.read("b.weight") == OLD["b.weight"][2] and again.read("a.weight") == NEW["a.weight"][2]
    with pytest.raises(errors.MismatchError, match="starts at version"):
        new.apply(stream)
    for place in range(len(stream)):
        damaged = bytearray(stream)
        damaged[place] ^= 1
        try:
            # What was damaged is what the stream calls itself: then it is another version, and says so.
            assert old.apply(damaged).version != new.version, place
        except mynah.MynahError:
            pass


def test_what_is_saved_is_opened_again(tmp_path):
    _, new = pair()
    new.save(tmp_path / "step")
    assert weights.open(tmp_path / "step").version == new.version
    safetensors = pytest.importorskip("safetensors")
    numpy = pytest.importorskip("numpy")
    with safetensors.safe_open(tmp_path / "step/model.safetensors", "numpy") as file:
        assert numpy.array_equal(file.get_tensor("a.weight"), [1, 2, 4])


def test_arrays_and_tensors_are_their_bytes():
    numpy = pytest.importorskip("numpy")
    array = numpy.arange(6, dtype="<f4").reshape(2, 3)
    found = weights.of({"x": array, "y": array.T, "z": array.astype(">f4")}, model="m")
    assert found.read("x") == array.tobytes() == found.read("z")
    assert found.tensors()[1] == ("y", "F32", (3, 2)) and found.read("y") == array.T.tobytes()
    with pytest.raises(errors.InvalidError, match="complex64"):
        weights.of({"x": array.astype("complex64")}, model="m")
    torch = pytest.importorskip("torch")
    tensor = torch.arange(6).reshape(2, 3).to(torch.bfloat16)
    half = weights.of({"x": tensor.T}, model="m")
    assert half.tensors() == [("x", "BF16", (3, 2))]
    assert half.read("x") == tensor.T.contiguous().view(torch.uint8).numpy().tobytes()


def test_names_are_mapped_by_rules_and_a_dry_run_says_what_is_left():
    rules = [(r"blocks\.(\d+)\.wq", r"layers.\1.q_proj.weight"), (r"debug\..*", "")]
    tensors = {"blocks.3.wq": 1, "debug.x": 2, "head": 3}
    mapped = weights.rename(tensors, rules, strict=False)
    assert mapped == {"layers.3.q_proj.weight": 1} and mapped.unmapped == ["head"]
    with pytest.raises(errors.InvalidError, match="no rule matches head"):
        weights.rename(tensors, rules)
    with pytest.raises(errors.InvalidError, match="two tensors become 'x'"):
        weights.rename({"a": 1, "b": 2}, [(".*", "x")])


class Loaded:
    """Of vLLM's worker what the extension uses."""

    def __init__(self):
        self.model_runner = self.model = self
        self.tensors = {}

    def load_weights(self, weights):
        self.tensors.update(weights)


def test_a_worker_of_vllm_follows(tmp_path):
    torch = pytest.importorskip("torch")
    from mynah.integrations.vllm import WeightsWorker

    # As vLLM does it: its own worker gets the extension as a base.
    worker = type("Worker", (Loaded, WeightsWorker), {})()
    with pytest.raises(errors.StateError, match="mynah_open"):
        worker.mynah_status()
    weights.of(OLD, model="m").save(tmp_path)
    base = worker.mynah_open(str(tmp_path), [(r"(.)\.weight", r"model.\1.weight")])
    new = weights.of(NEW, model="m", epoch=2, parent=base)
    version = worker.mynah_stage(new.delta(weights.open(tmp_path)))
    assert version == new.version and worker.tensors == {}
    with pytest.raises(errors.MismatchError):
        worker.mynah_commit(base)
    worker.mynah_commit(version)
    # Only what changed was loaded.
    assert list(worker.tensors) == ["model.a.weight"]
    assert torch.equal(worker.tensors["model.a.weight"], torch.tensor([1.0, 2.0, 4.0]))
    assert worker.mynah_status() == {"live": version, "previous": base, "staged": None}
    assert worker.mynah_rollback() == base
    assert torch.equal(worker.tensors["model.a.weight"], torch.tensor([1.0, 2.0, 3.0]))
    with pytest.raises(errors.InvalidError, match="no rule matches a.weight"):
        worker.mynah_open(str(tmp_path), [("b.*", "b")])


class Engine:
    """Of SGLang's engine what the adapter uses."""

    def __init__(self, answer=(True, "")):
        self.answer, self.calls = answer, []

    def update_weights_from_tensor(self, named_tensors, load_format=None, flush_cache=True):
        self.calls.append(([name for name, _ in named_tensors], flush_cache))
        return self.answer


def test_an_engine_of_sglang_follows(tmp_path):
    pytest.importorskip("torch")
    from mynah.integrations.sglang import EngineWeights

    weights.of(OLD, model="m").save(tmp_path)
    live = EngineWeights(Engine(), tmp_path)
    new = weights.of(NEW, model="m", epoch=2, parent=live.live.version)
    live.commit(live.stage(new.delta(live.live)))
    assert live.engine.calls == [(["a.weight"], True)]
    refusing = EngineWeights(Engine((False, "out of memory")), tmp_path)
    refusing.stage(new.delta(refusing.live))
    with pytest.raises(errors.StateError, match="out of memory"):
        refusing.commit(new.version)
    # What is served is what was.
    assert refusing.status()["live"] == weights.open(tmp_path).version


def test_the_program_is_asked_and_its_reasons_are_told(tmp_path, monkeypatch):
    monkeypatch.delenv("MYNAH_BIN", raising=False)
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(errors.NotFoundError, match="MYNAH_BIN"):
        weights.status(["http://127.0.0.1:9"])
    program = tmp_path / "mynah"
    program.write_text('#!/bin/sh\necho "$@|$MYNAH_ADMIN_KEY" >&2\nexit 3\n')
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    with pytest.raises(mynah.MynahError, match=r"weights push --json --to http://a --policy abort -- x\|secret"):
        weights.push("x", to="http://a", policy="abort", admin_key="secret")


@pytest.mark.skipif("MYNAH_BIN" not in os.environ, reason="MYNAH_BIN, the program, is not built")
def test_a_live_server_takes_what_python_pushes(tmp_path):
    binary, key = os.environ["MYNAH_BIN"], "key-of-the-tests-0123"
    run = tmp_path / "run"
    subprocess.run([binary, "speedrun", "--quick", "--no-record", "--out", run], check=True, capture_output=True)
    folder = run / "base"
    command = [binary, "serve", "--model", folder, "--tokenizer", run / "tokenizer", "--port", "0", "--no-record"]
    command += ["--admin-key", key]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as server:
        try:
            url = server.stdout.readline().strip()
            old = weights.open(folder)
            name, dtype, shape = old.tensors()[0]
            changed = {n: (d, s, old.read(n)) for n, d, s in old.tensors()}
            changed[name] = (dtype, shape, bytes(len(old.read(name))))
            report = weights.push(weights.of(changed, model="m"), to=[url], admin_key=key)
            assert report["servers"] == 1 and report["sent_bytes"] > 0, report
            live = weights.status([url], admin_key=key)[0]["status"]
            assert live["live"]["version"] == report["version"]
            assert weights.rollback([url], admin_key=key)["sent_bytes"] < report["sent_bytes"]
        finally:
            server.terminate()
