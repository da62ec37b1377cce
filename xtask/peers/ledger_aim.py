"""Peer worker of `cargo xtask bench ledger`: Aim with a local repository."""

import logging
import tempfile
from importlib.metadata import version

from ledger_worker import serve, settings


def main():
    import aim

    logging.disable(logging.WARNING)
    chosen = settings()
    folder = tempfile.TemporaryDirectory()
    repository = aim.Repo.from_path(folder.name, init=True)
    steps = iter(range(0, 10**9, 100_000))

    def log_async():
        count, first = 20 if chosen.small else 2_000, next(steps)
        run = aim.Run(repo=repository, system_tracking_interval=None, log_system_params=False)
        for i in range(count):
            run.track(0.5 * i, name="loss", step=first + i)
        # Until everything is on the disk.
        run.close()
        return count, "metric"

    serve({"log-async": log_async}, f"aim {version('aim')}")


if __name__ == "__main__":
    main()
