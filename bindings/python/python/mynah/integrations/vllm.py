"""Takes new weights into a running vLLM: a worker extension.

>>> llm = vllm.LLM(model="base", worker_extension_cls="mynah.integrations.vllm.WeightsWorker")
>>> llm.collective_rpc("mynah_open", args=("base",))
>>> versions = llm.collective_rpc("mynah_stage", args=(stream,))    # every worker checks every chunk
>>> assert len(set(versions)) == 1
>>> llm.collective_rpc("mynah_commit", args=(versions[0],))
>>> llm.reset_prefix_cache()                                        # what old weights have computed is not reused

vLLM mixes this class into its workers, whose ``model_runner.model.load_weights`` takes pairs of name and tensor, under
the names of the checkpoint, and cuts them for tensor parallelism itself. It was written for the interface that vLLM
documents and is tested against a stand-in of it.
"""

from .. import weights
from .._follower import Follower, Rules
from ..errors import StateError


class WeightsWorker:
    """Methods that vLLM calls in each worker, by ``collective_rpc``."""

    _mynah: Follower | None = None

    def mynah_open(self, folder: str, rules: Rules | None = None) -> str:
        """The checkpoint that the engine was started with; its version. ``rules`` as in :func:`mynah.weights.rename`."""
        self._mynah = Follower(weights.open(folder), self._mynah_load, rules)
        return self._mynah.live.version

    def mynah_stage(self, stream: bytes) -> str:
        """Builds and checks the next version beside the one that is served."""
        return self._mynah_follower().stage(stream)

    def mynah_commit(self, version: str) -> str:
        """Loads the staged version. Pause generation for it: a worker that loads answers nobody."""
        return self._mynah_follower().commit(version)

    def mynah_rollback(self) -> str:
        """Loads the version before; nothing is sent."""
        return self._mynah_follower().rollback()

    def mynah_status(self) -> dict:
        """Versions: live, previous, staged."""
        return self._mynah_follower().status()

    def _mynah_load(self, tensors: list) -> None:
        self.model_runner.model.load_weights(weights=iter(tensors))

    def _mynah_follower(self) -> Follower:
        if self._mynah is None:
            raise StateError("call mynah_open with the checkpoint's folder first")
        return self._mynah
