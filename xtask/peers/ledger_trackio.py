"""Peer worker of `cargo xtask bench ledger`: trackio, local."""

import contextlib
import os
import sys
import tempfile
from importlib.metadata import version

from ledger_worker import serve, settings


def main():
    folder = tempfile.TemporaryDirectory()
    # Before the import, which reads them.
    os.environ["TRACKIO_DIR"] = folder.name
    os.environ["HF_HUB_OFFLINE"] = "1"
    os.environ["GRADIO_ANALYTICS_ENABLED"] = "False"
    import trackio

    chosen = settings()

    def log_async():
        count = 20 if chosen.small else 10_000
        with contextlib.redirect_stdout(sys.stderr):
            run = trackio.init(project="bench", embed=False)
            for i in range(count):
                trackio.log({"loss": 0.5 * i}, step=i)
            # Until everything is on the disk.
            run.finish()
        return count, "metric"

    serve({"log-async": log_async}, f"trackio {version('trackio')}")


if __name__ == "__main__":
    main()
