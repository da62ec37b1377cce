"""How long one call of `log` takes, and how many points a second arrive in the store, beside other trackers.

    python bench/log.py            # all that are installed
    python bench/log.py mynah mlflow
"""

import json
import os
import statistics
import sys
import tempfile
import time
from pathlib import Path


def measure(log, finish, count):
    """Microseconds a call (median, 99th of 100) and points a second with everything written."""
    calls = []
    began = time.perf_counter()
    for step in range(count):
        before = time.perf_counter_ns()
        log(step)
        calls.append((time.perf_counter_ns() - before) / 1000)
    logged = time.perf_counter() - began
    finish()
    total = time.perf_counter() - began
    return {
        "points": count,
        "call_us_median": round(statistics.median(calls), 2),
        "call_us_p99": round(statistics.quantiles(calls, n=100)[98], 2),
        "logged_per_s": round(count / logged),
        "written_per_s": round(count / total),
    }


def bench_mynah(folder):
    import mynah

    run = mynah.runs.start(experiment="bench", store=folder / "ledger.db")
    result = measure(lambda step: run.log({"loss": 0.5}, step=step), run.end, 200_000)
    assert len(mynah.runs.get(run.id, store=folder / "ledger.db").history("loss")) == 200_000
    return result


def bench_mynah_dict(folder):
    import mynah

    run = mynah.runs.start(experiment="bench", store=folder / "ledger.db")
    figures = {f"metric_{i}": float(i) for i in range(10)}
    return measure(lambda step: run.log(figures, step=step), run.end, 30_000) | {"figures_per_call": 10}


def _mlflow(folder):
    import logging

    import mlflow

    logging.disable(logging.INFO)
    mlflow.set_tracking_uri(f"sqlite:///{folder}/mlflow.db")
    mlflow.set_experiment("bench")
    mlflow.start_run()
    return mlflow


def bench_mlflow(folder):
    mlflow = _mlflow(folder)
    return measure(lambda step: mlflow.log_metric("loss", 0.5, step=step), mlflow.end_run, 300)


def bench_mlflow_asynchronous(folder):
    mlflow = _mlflow(folder)

    def finish():
        mlflow.flush_async_logging()
        mlflow.end_run()

    return measure(
        lambda step: mlflow.log_metric("loss", 0.5, step=step, synchronous=False), finish, 5_000
    )


def bench_trackio(folder):
    os.environ["TRACKIO_DIR"] = str(folder)
    os.environ["TRACKIO_AUTO_OPEN"] = "0"
    import trackio

    trackio.init(project="bench", embed=False) if _takes(trackio.init, "embed") else trackio.init(project="bench")
    return measure(lambda step: trackio.log({"loss": 0.5}, step=step), trackio.finish, 5_000)


def _takes(function, name):
    import inspect

    return name in inspect.signature(function).parameters


def main():
    benches = {name[6:]: bench for name, bench in globals().items() if name.startswith("bench_")}
    for name in sys.argv[1:] or benches:
        with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
            try:
                result = benches[name](Path(folder))
            except ImportError as error:
                result = {"skipped": str(error)}
            print(json.dumps({"tracker": name} | result), flush=True)


if __name__ == "__main__":
    main()
