"""Records what the Trainer of Hugging Face reports.

>>> from mynah.integrations.transformers import MynahCallback
>>> trainer = Trainer(..., args=TrainingArguments(..., report_to="none"), callbacks=[MynahCallback()])
"""

import os
from collections.abc import Mapping
from typing import Any

from .. import _facts, _values, runs

try:
    from transformers import TrainerCallback
except ImportError as error:
    raise ImportError("mynah.integrations.transformers needs the Trainer: pip install transformers") from error

#: Maps of labels are as large as the data has classes, and are no settings.
LABELS = ("id2label", "label2id")


class MynahCallback(TrainerCallback):
    """One run for each training: arguments and model config as params, everything logged as metrics.

    Only the main process of a distributed training records. The Trainer tells nobody of an exception: put
    ``trainer.train()`` into ``with mynah.runs.start() as run`` and give ``MynahCallback(run)``, so that one ends the
    run as failed; a run that is given is left open.

    >>> MynahCallback(experiment="fine-tuning", tags={"team": "vision"})
    """

    def __init__(
        self,
        run: runs.Run | None = None,
        *,
        experiment: str | None = None,
        tags: Mapping[str, object] | None = None,
        store: str | os.PathLike[str] | None = None,
    ) -> None:
        self.run = run
        self._is_own = run is None
        self._options: dict[str, Any] = {"experiment": experiment, "tags": tags, "store": store}

    def on_train_begin(self, args: Any, state: Any, control: Any, model: Any = None, **_: Any) -> None:
        if not state.is_world_process_zero:
            return
        if self.run is None:
            name = getattr(args, "run_name", None) or None
            self.run = runs.start(name=name, **self._options)
        settings = dict(args.to_dict())
        config = getattr(model, "config", None)
        if config is not None and hasattr(config, "to_dict"):
            settings["model"] = {k: v for k, v in config.to_dict().items() if k not in LABELS}
        known = runs.get(self.run.id, store=self.run._place).params
        # What a library calls its settings must not end a training; long ones (templates) are cut.
        pairs = {_name(key): _facts.clip(value) for key, value in _values.flatten(settings)}
        # A second training in the same run may have other settings; a param is written once.
        self.run.log_params({key: value for key, value in pairs.items() if key not in known})

    def on_log(
        self, args: Any, state: Any, control: Any, logs: Mapping[str, Any] | None = None, **_: Any
    ) -> None:
        if self.run is None or not state.is_world_process_zero:
            return
        numbers = {_name(key): value for key, value in (logs or {}).items() if isinstance(value, (int, float))}
        self.run.log(numbers, step=state.global_step)

    def on_train_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        if self.run is not None and self._is_own:
            self.run.end()
            self.run = None


def _name(key: str) -> str:
    """A key that the ledger takes: odd characters become `_`, and it is no path out of a folder."""
    plain = "".join(c if c.isalnum() or c in "_-.: /" else "_" for c in key)[:250]
    parts = [part for part in plain.split("/") if part.strip(".")]
    return "/".join(parts) or "_"
