"""Peer worker of `cargo xtask bench ledger`: MLflow over SQLite, as a library and as its own server.

The runs that are searched are written into its tables with SQL (through its own client that takes several minutes), with
the same distribution of values as ours. The server listens on loopback and ends with this script.
"""

import http.client
import json
import os
import pathlib
import random
import socket
import sqlite3
import subprocess
import sys
import tempfile
import time
import uuid

from ledger_worker import serve, settings

os.environ["MLFLOW_ENABLE_ASYNC_LOGGING"] = "false"
os.environ["MLFLOW_DISABLE_TELEMETRY"] = "true"
BATCH = 1_000


def main():
    import mlflow
    from mlflow import MlflowClient
    from mlflow.entities import Metric

    chosen = settings()
    folder = tempfile.TemporaryDirectory()
    base = pathlib.Path(folder.name)
    database = base / "mlflow.db"
    uri = f"sqlite:///{database}"
    mlflow.set_tracking_uri(uri)
    client = MlflowClient(uri)
    experiment = client.create_experiment("many", artifact_location=str(base / "artifacts"))
    fill(database, experiment, chosen)
    run = client.create_run("0").info.run_id
    server, address = start_server(base, uri)
    few = lambda many, few: few if chosen.small else many  # noqa: E731
    step = iter(range(0, 10**9, BATCH))

    def log_async():
        count, first = few(500, 10), next(step)
        operations = [client.log_metric(run, "async", i, step=first + i, synchronous=False) for i in range(count)]
        for operation in operations:
            operation.wait()
        return count, "metric"

    def log_acknowledged():
        count, first = few(100, 5), next(step)
        for i in range(count):
            client.log_metric(run, "single", 0.5 * i, step=first + i)
        return count, "metric"

    def log_batch():
        calls = few(5, 1)
        for _ in range(calls):
            first = next(step)
            points = [Metric(f"metric_{i % 20:02}", 0.1 * i, 1_700_000_000_000 + i, first + i // 20) for i in range(BATCH)]
            client.log_batch(run, metrics=points)
        return calls * BATCH, "point"

    filter_text = "metrics.metric_03 < 0.5 AND params.depth != '3'"
    order = ["metrics.metric_07 DESC"]

    def search():
        found = client.search_runs([experiment], filter_text, order_by=order, max_results=1)
        assert len(found) == 1
        return chosen.runs, "run"

    def post(call, body):
        connection.request("POST", f"/api/2.0/mlflow/runs/{call}", json.dumps(body), {"Content-Type": "application/json"})
        answer = connection.getresponse()
        text = answer.read()
        assert answer.status == 200, text
        return json.loads(text)

    connection = http.client.HTTPConnection(*address)

    def reconnect():
        # Its server closes a connection that was silent for some seconds; the next request opens a new one.
        connection.close()

    def rest_metric():
        reconnect()
        count, first = few(60, 3), next(step)
        for i in range(count):
            post("log-metric", {"run_id": run, "key": "rest", "value": 0.5, "timestamp": 1, "step": first + i})
        return count, "metric"

    def rest_batch():
        reconnect()
        calls = few(5, 1)
        for _ in range(calls):
            first = next(step)
            point = lambda i: {"key": "rest_batch", "value": 0.5 * i, "timestamp": 1, "step": first + i}  # noqa: E731, B023
            post("log-batch", {"run_id": run, "metrics": [point(i) for i in range(BATCH)]})
        return calls * BATCH, "point"

    def rest_search():
        reconnect()
        found = post("search", {"experiment_ids": [experiment], "filter": filter_text, "order_by": order, "max_results": 1})
        assert len(found["runs"]) == 1
        return chosen.runs, "run"

    cases = {
        "log-async": log_async, "log-acknowledged": log_acknowledged, "log-batch": log_batch, "search": search,
        "rest-metric": rest_metric, "rest-batch": rest_batch, "rest-search": rest_search,
    }
    try:
        serve(cases, f"mlflow {mlflow.__version__}, SQLite")
    finally:
        server.terminate()
        server.wait(timeout=30)


def fill(database, experiment, chosen):
    """Rows as the client would have made them."""
    random.seed(1)
    connection = sqlite3.connect(database)
    runs, metrics, latest, params = [], [], [], []
    for index in range(chosen.runs):
        run = uuid.UUID(int=random.getrandbits(128)).hex
        runs.append((run, f"run-{index}", "LOCAL", "", "", "bench", "FINISHED", 1_000, 2_000, "", "active", "", experiment))
        for key in range(chosen.metrics):
            row = (f"metric_{key:02}", random.random(), 1_000 + index, run, 1, 0)
            metrics.append(row)
            latest.append(row)
        params += [("depth", str(random.randrange(12)), run), ("index", str(index), run)]
    with connection:
        connection.executemany(
            "INSERT INTO runs (run_uuid, name, source_type, source_name, entry_point_name, user_id, status, start_time,"
            " end_time, source_version, lifecycle_stage, artifact_uri, experiment_id)"
            " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)", runs)
        insert = "(key, value, timestamp, run_uuid, step, is_nan) VALUES (?, ?, ?, ?, ?, ?)"
        connection.executemany(f"INSERT INTO metrics {insert}", metrics)
        connection.executemany(f"INSERT INTO latest_metrics {insert}", latest)
        connection.executemany("INSERT INTO params (key, value, run_uuid) VALUES (?, ?, ?)", params)
    connection.execute("ANALYZE")
    connection.close()


def start_server(base, uri):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        address = free.getsockname()
    command = [sys.executable, "-m", "mlflow", "server", "--backend-store-uri", uri, "--host", address[0], "--port", str(address[1]),
               "--artifacts-destination", str(base / "served"), "--workers", "1"]
    with open(base / "server.log", "w", encoding="utf-8") as log:
        server = subprocess.Popen(command, stdout=log, stderr=log)
    for _ in range(600):
        try:
            connection = http.client.HTTPConnection(*address, timeout=5)
            connection.request("GET", "/health")
            if connection.getresponse().status == 200:
                return server, address
        except OSError:
            pass
        if server.poll() is not None:
            break
        time.sleep(0.1)
    server.kill()
    raise SystemExit(f"mlflow server does not start: {(base / 'server.log').read_text()[-500:]}")


if __name__ == "__main__":
    main()
