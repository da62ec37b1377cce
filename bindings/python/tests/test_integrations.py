"""The callbacks against stand-ins with the shape of the real classes; the real ones where they are installed."""

import math
import sys
import types

import pytest

import mynah


@pytest.fixture
def transformers(monkeypatch):
    module = types.ModuleType("transformers")
    module.TrainerCallback = type("TrainerCallback", (), {})
    monkeypatch.setitem(sys.modules, "transformers", module)
    monkeypatch.delitem(sys.modules, "mynah.integrations.transformers", raising=False)
    from mynah.integrations.transformers import MynahCallback

    yield MynahCallback
    sys.modules.pop("mynah.integrations.transformers", None)


def trainer_state(step, main=True):
    return types.SimpleNamespace(global_step=step, is_world_process_zero=main)


def test_the_callback_of_a_trainer(transformers):
    arguments = types.SimpleNamespace(
        run_name="fine", output_dir="out", to_dict=lambda: {"learning_rate": 0.1, "long": "x" * 9_000}
    )
    callback = transformers(experiment="trainer", tags={"team": "x"})
    model = types.SimpleNamespace(config=types.SimpleNamespace(to_dict=lambda: {"layers": 2, "id2label": {0: "a"}}))
    callback.on_train_begin(arguments, trainer_state(0), None, model=model)
    callback.on_log(arguments, trainer_state(5), None, logs={"loss": 0.5, "note": "text", "grad": math.nan, "f1 (macro)": 0.5, "../x": 1})
    callback.on_train_end(arguments, trainer_state(5), None)
    [record] = mynah.runs.search(experiment="trainer")
    assert (record.name, record.status, record.params["learning_rate"]) == ("fine", "FINISHED", "0.1")
    assert record.params["model.layers"] == "2" and record.tags["team"] == "x"
    assert record.metrics["loss"] == 0.5 and math.isnan(record.metrics["grad"]) and "note" not in record.metrics
    assert record.metrics["f1 _macro_"] == 0.5 and record.metrics["x"] == 1
    assert record.history("loss")[0].step == 5 and "model.id2label.0" not in record.params
    assert len(record.params["long"]) == 2_000


def test_only_the_main_process_records(transformers):
    callback = transformers(experiment="trainer")
    callback.on_train_begin(None, trainer_state(0, main=False), None)
    callback.on_log(None, trainer_state(1, main=False), None, logs={"loss": 1.0})
    callback.on_train_end(None, trainer_state(1, main=False), None)
    with mynah.runs.start():
        pass
    assert len(mynah.runs.search()) == 1


def test_without_the_library_the_error_says_so(monkeypatch):
    monkeypatch.setitem(sys.modules, "transformers", None)
    monkeypatch.delitem(sys.modules, "mynah.integrations.transformers", raising=False)
    with pytest.raises(ImportError, match="pip install transformers"):
        import mynah.integrations.transformers  # noqa: F401
