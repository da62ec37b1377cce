"""Takes new weights into a running SGLang engine.

>>> engine = sglang.Engine(model_path="base")
>>> live = EngineWeights(engine, "base")
>>> version = live.stage(stream)       # built and checked beside what is served
>>> live.commit(version)               # between two batches; the radix cache is flushed
>>> live.rollback()

It uses ``Engine.update_weights_from_tensor(named_tensors, flush_cache=…)`` as SGLang documents it, and is tested
against a stand-in of that.
"""

from .. import weights
from .._follower import Follower, Rules
from ..errors import StateError


class EngineWeights(Follower):
    """The versions of one engine. ``rules`` as in :func:`mynah.weights.rename`."""

    def __init__(self, engine, folder: str, rules: Rules | None = None):
        super().__init__(weights.open(folder), self._update, rules)
        self.engine = engine

    def _update(self, tensors: list) -> None:
        answer = self.engine.update_weights_from_tensor(tensors, flush_cache=True)
        # Newer versions answer with success and message, older ones with nothing.
        done, why = answer if isinstance(answer, tuple) else (getattr(answer, "success", True), answer)
        if done is False:
            raise StateError(f"the engine did not take the weights: {getattr(why, 'message', why)}")
