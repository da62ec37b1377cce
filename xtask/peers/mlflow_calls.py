"""The calls of the MLflow client that mlflow_compare.py runs against two servers, part by part.

A part is a function of a `call` and what it works on. `call(title, function, *arguments)` runs one call, keeps what came
out and gives it back; `call.raw(…)` makes one HTTP request without the client.
"""

import contextlib
import hashlib
import json
import math
import tempfile
import time
from pathlib import Path

import mlflow
import numpy
import requests
from mlflow.entities import (
    Dataset,
    DatasetInput,
    InputTag,
    LoggedModelOutput,
    LoggedModelStatus,
    Metric,
    Param,
    RunTag,
    ViewType,
)


def experiments(call, client):
    one = call("create_experiment", client.create_experiment, f"one-{call.suffix}", tags={"team": "a", "x": "é ü"})
    call("create_experiment again", client.create_experiment, f"one-{call.suffix}")
    call("create_experiment ''", client.create_experiment, "")
    two = call(
        "create_experiment with location",
        client.create_experiment,
        f"two-{call.suffix}",
        artifact_location="s3://bucket/folder",
    )
    call("get_experiment", client.get_experiment, one)
    call("get_experiment with location", client.get_experiment, two)
    call("get_experiment 0", lambda: client.get_experiment("0").name)
    call("get_experiment missing", client.get_experiment, "987654321")
    call("get_experiment not a number", client.get_experiment, "abc")
    call("get_experiment_by_name", client.get_experiment_by_name, f"one-{call.suffix}")
    call("get_experiment_by_name missing", client.get_experiment_by_name, f"none-{call.suffix}")
    call("set_experiment_tag", client.set_experiment_tag, one, "team", "b")
    call("set_experiment_tag long", client.set_experiment_tag, one, "k" * 251, "b")
    call("set_experiment_tag missing", client.set_experiment_tag, "987654321", "k", "v")
    call("delete_experiment_tag", client.delete_experiment_tag, one, "x")
    call("delete_experiment_tag missing", client.delete_experiment_tag, one, "no such tag")
    call("get_experiment tags", lambda: client.get_experiment(one).tags)
    ours = f"name LIKE '%-{call.suffix}'"
    call("search_experiments", client.search_experiments, filter_string=ours, order_by=["name ASC"])
    call("search_experiments desc", client.search_experiments, filter_string=ours, order_by=["name DESC"])
    call("search_experiments =", client.search_experiments, filter_string=f"name = 'two-{call.suffix}'")
    call("search_experiments ilike", client.search_experiments, filter_string=f"name ILIKE 'ONE-{call.suffix}'")
    call("search_experiments tag", client.search_experiments, filter_string=f"tags.team = 'b' AND {ours}")
    call("search_experiments tag !=", client.search_experiments, filter_string=f"tags.team != 'b' AND {ours}")
    call("search_experiments bad filter", client.search_experiments, filter_string="name LIKE")
    call("search_experiments bad column", client.search_experiments, filter_string="size > 3")
    call("search_experiments bad order", client.search_experiments, order_by=["size"])
    first = call(
        "search_experiments page 1", client.search_experiments, filter_string=ours, order_by=["name"], max_results=1
    )
    call(
        "search_experiments page 2",
        client.search_experiments,
        filter_string=ours,
        order_by=["name"],
        max_results=1,
        page_token=first.token if first is not None else None,
    )
    call("search_experiments too many", client.search_experiments, max_results=50_001)
    call("search_experiments none", client.search_experiments, max_results=0)
    call("search_experiments bad token", client.search_experiments, page_token="no token")
    call("rename_experiment", client.rename_experiment, two, f"three-{call.suffix}")
    call("rename_experiment taken", client.rename_experiment, two, f"one-{call.suffix}")
    call("delete_experiment", client.delete_experiment, two)
    call("delete_experiment twice", client.delete_experiment, two)
    call("delete_experiment missing", client.delete_experiment, "987654321")
    call("get_experiment deleted", client.get_experiment, two)
    call("create_run in deleted experiment", client.create_run, two)
    call("rename_experiment deleted", client.rename_experiment, two, f"four-{call.suffix}")
    call("create_experiment deleted name", client.create_experiment, f"three-{call.suffix}")
    call("search deleted", client.search_experiments, view_type=ViewType.DELETED_ONLY, filter_string=ours)
    call("search all", client.search_experiments, view_type=ViewType.ALL, filter_string=ours, order_by=["name"])
    call("restore_experiment", client.restore_experiment, two)
    call("restore_experiment twice", client.restore_experiment, two)
    call("get_experiment restored", client.get_experiment, two)
    return one


def runs(call, client, experiment):
    run = call(
        "create_run",
        client.create_run,
        experiment,
        start_time=1234,
        tags={"mlflow.user": "somebody", "a": "1"},
        run_name="first run",
    )
    run_id = run.info.run_id
    call("get_run", client.get_run, run_id)
    unnamed = call("create_run without name", client.create_run, experiment, start_time=1000)
    call("create_run name twice", client.create_run, experiment, 1, {"mlflow.runName": "other"}, "first")
    call("create_run missing experiment", client.create_run, "987654321")
    call("get_run missing", client.get_run, "0" * 32)
    call("get_run bad id", client.get_run, "../../etc/passwd")
    for step, value in enumerate([3.0, 2.0, 2.5, 0.1 + 0.2]):
        call(f"log_metric step {step}", client.log_metric, run_id, "loss", value, timestamp=100 + step, step=step)
    call("log_metric older step", client.log_metric, run_id, "loss", 9.0, timestamp=500, step=1)
    call("log_metric nan", client.log_metric, run_id, "odd_nan", math.nan, timestamp=7, step=1)
    # What the two do with these differs on purpose; a run of its own keeps later answers comparable.
    odd = client.create_run(experiment, run_name="odd").info.run_id
    for value in (math.inf, -math.inf):
        call(f"log_metric {value}", client.log_metric, odd, f"odd_{value}", value, timestamp=7, step=1)
    call("get_run infinite", lambda: client.get_run(odd).data.metrics)
    call("get_metric_history infinite", client.get_metric_history, odd, "odd_inf")
    call("log_metric negative step", client.log_metric, run_id, "steps", 1.5, timestamp=7, step=-3)
    call("log_metric large step", client.log_metric, run_id, "steps", 2.5, timestamp=7, step=2**53)
    call("log_metric tiny", client.log_metric, run_id, "tiny", 5e-324, timestamp=1, step=0)
    call("log_metric same point", client.log_metric, run_id, "loss", 2.0, timestamp=101, step=1)
    call("log_metric key with slash", client.log_metric, run_id, "val/loss at 3", 1.25, timestamp=1, step=0)
    call("log_metric bad key", client.log_metric, run_id, "a;b", 1.0)
    call("log_metric dotted key", client.log_metric, run_id, "../x", 1.0)
    call("log_metric long key", client.log_metric, run_id, "k" * 251, 1.0)
    call("log_metric not a number", client.log_metric, run_id, "x", "high")
    call("log_metric missing run", client.log_metric, "0" * 32, "x", 1.0)
    call("get_metric_history", client.get_metric_history, run_id, "loss")
    call("get_metric_history nan", client.get_metric_history, run_id, "odd_nan")
    call("get_metric_history steps", client.get_metric_history, run_id, "steps")
    call("get_metric_history missing key", client.get_metric_history, run_id, "no such metric")
    call("get_metric_history missing run", client.get_metric_history, "0" * 32, "loss")
    call("get_run metrics", lambda: client.get_run(run_id).data.metrics)
    call("log_param", client.log_param, run_id, "lr", "0.1")
    call("log_param same", client.log_param, run_id, "lr", "0.1")
    call("log_param other value", client.log_param, run_id, "lr", "0.2")
    call("log_param empty value", client.log_param, run_id, "nothing", "")
    call("log_param number", client.log_param, run_id, "depth", 12)
    call("log_param long value", client.log_param, run_id, "long", "v" * 6000)
    call("log_param too long value", client.log_param, odd, "longer", "v" * 6001)
    call("log_param unicode", client.log_param, run_id, "schlüssel", "größer ✓ 🐦")
    call("log_param long key", client.log_param, run_id, "k" * 251, "v")
    call("set_tag", client.set_tag, run_id, "colour", "red")
    call("set_tag again", client.set_tag, run_id, "colour", "blue")
    call("set_tag number", client.set_tag, run_id, "number", 3)
    call("set_tag long", client.set_tag, run_id, "long", "v" * 8000)
    call("set_tag too long", client.set_tag, odd, "longer", "v" * 8001)
    call("delete_tag", client.delete_tag, run_id, "number")
    call("delete_tag missing", client.delete_tag, run_id, "number")
    call("get_run after logging", client.get_run, run_id)
    call(
        "log_batch",
        client.log_batch,
        run_id,
        metrics=[Metric("acc", value / 10, 1000 + value, value) for value in range(20)],
        params=[Param("p1", "1"), Param("p2", "two")],
        tags=[RunTag("t1", "1"), RunTag("t1", "2")],
    )
    call("log_batch empty", client.log_batch, run_id)
    call("log_batch 1000 metrics", client.log_batch, run_id, [Metric("many", i * 0.5, i, i) for i in range(1000)])
    call("log_batch param twice", client.log_batch, run_id, params=[Param("q", "1"), Param("q", "2")])
    call("log_batch param changed", client.log_batch, run_id, params=[Param("p1", "9"), Param("p9", "9")])
    call("get_run after a refused batch", lambda: client.get_run(run_id).data.params)
    call("get_metric_history batch", client.get_metric_history, run_id, "acc")
    call("get_metric_history many", lambda: len(client.get_metric_history(run_id, "many")))
    call("update_run", client.update_run, run_id, status="FINISHED", name="renamed")
    call("get_run renamed", client.get_run, run_id)
    call("set_tag run name", client.set_tag, run_id, "mlflow.runName", "by tag")
    call("get_run renamed by tag", lambda: client.get_run(run_id).info.run_name)
    call("set_terminated", client.set_terminated, run_id, "FAILED", 9999)
    call("get_run terminated", lambda: client.get_run(run_id).info)
    call("update_run bad status", client.update_run, run_id, status="DONE")
    call("log_metric after the end", client.log_metric, run_id, "late", 1.0, timestamp=1, step=1)
    call("delete_run", client.delete_run, unnamed.info.run_id)
    call("get_run deleted", lambda: client.get_run(unnamed.info.run_id).info.lifecycle_stage)
    call("log_metric deleted run", client.log_metric, unnamed.info.run_id, "x", 1.0)
    call("log_param deleted run", client.log_param, unnamed.info.run_id, "x", "1")
    call("set_tag deleted run", client.set_tag, unnamed.info.run_id, "x", "1")
    call("update_run deleted run", client.update_run, unnamed.info.run_id, status="FINISHED")
    call("delete_run twice", client.delete_run, unnamed.info.run_id)
    call("search deleted runs", lambda: len(client.search_runs([experiment], "", ViewType.DELETED_ONLY)))
    call("restore_run", client.restore_run, unnamed.info.run_id)
    call("restore_run twice", client.restore_run, unnamed.info.run_id)
    call("delete_run missing", client.delete_run, "0" * 32)
    call("restore_run missing", client.restore_run, "0" * 32)
    call(
        "log_inputs",
        client.log_inputs,
        run_id,
        [
            DatasetInput(
                Dataset("corpus", "abc123", "local", '{"uri": "data.txt"}', '{"cols": 2}', '{"rows": 3}'),
                [InputTag("mlflow.data.context", "train"), InputTag("split", "1")],
            ),
            DatasetInput(Dataset("held out", "def456", "local", "{}")),
        ],
    )
    call("get_run inputs", lambda: client.get_run(run_id).inputs)
    call("parent_run none", client.get_parent_run, run_id)
    child = call("create_run child", client.create_run, experiment, 2000, {"mlflow.parentRunId": run_id}, "child")
    call("parent_run", lambda: client.get_parent_run(child.info.run_id).info.run_id)
    call("link to missing tag filter", client.search_runs, [experiment], f"tags.mlflow.parentRunId = '{run_id}'")
    return run_id


def search(call, client):
    experiment = client.create_experiment(f"search-{call.suffix}")
    names = ["alpha", "beta", "gamma", "delta", "epsilon", "zeta"]
    losses = [0.5, 0.25, math.nan, None, math.inf, -1.0]
    for place, (name, loss) in enumerate(zip(names, losses)):
        run_id = client.create_run(experiment, 1000 + place, {"kind": name[0], "group": str(place % 2)}, name).info.run_id
        client.log_param(run_id, "lr", str(place / 10))
        client.log_param(run_id, "model name", "gpt" if place % 2 else "Bert's")
        if loss is not None:
            client.log_metric(run_id, "loss", loss, timestamp=1, step=1)
        client.log_metric(run_id, "val loss", place, timestamp=1, step=1)
        if place < 2:
            client.log_inputs(
                run_id, [DatasetInput(Dataset(f"d{place}", "x", "local", "{}"), [InputTag("mlflow.data.context", "train")])]
            )
        client.set_terminated(run_id, "FINISHED" if place % 3 else "FAILED", 5000 + place)
    filters = [
        "",
        "metrics.loss < 0.5",
        "metrics.loss <= 0.5",
        "metrics.loss > 0",
        "metrics.loss >= 0.25",
        "metrics.loss = 0.25",
        "metrics.loss != 0.25",
        "metric.loss < 1 and metric.loss > -2",
        "metrics.`val loss` > 2",
        'metrics."val loss" > 2',
        "metrics.loss > 0 AND params.lr = '0.0'",
        "params.lr = '0.1'",
        "params.lr != '0.1'",
        "params.lr LIKE '0.%'",
        "params.lr IN ('0.1', '0.2')",
        "params.`model name` = 'gpt'",
        "params.`model name` ILIKE 'BERT%'",
        'params."model name" = "Bert\'s"',
        "param.missing = '1'",
        "tags.kind = 'a'",
        "tags.kind != 'a'",
        "tags.kind LIKE '%'",
        "tag.group = '1' AND tag.kind ILIKE 'B'",
        "tags.missing IS NULL",
        "tags.kind IS NOT NULL",
        "params.missing IS NULL",
        "attributes.status = 'FINISHED'",
        "attributes.status != 'FINISHED'",
        "status = 'FAILED'",
        "attributes.run_name = 'beta'",
        "run_name LIKE '%eta'",
        "attributes.`run name` ILIKE 'BETA'",
        "attribute.start_time > 1002",
        "start_time <= 1001 and end_time >= 5000",
        "attributes.artifact_uri LIKE '%artifacts'",
        "attributes.user_id != 'nobody at all'",
        "attributes.run_id = 'abc'",
        "attributes.run_id IN ('abc', 'def')",
        "datasets.name = 'd0'",
        "dataset.digest = 'x'",
        "dataset.context = 'train' AND dataset.name LIKE 'd%'",
        "metrics.loss",
        "metrics.loss >",
        "metrics.loss LIKE '1'",
        "metrics.loss = 'high'",
        "params.lr > '0.1'",
        "params.lr = 0.1",
        "tags.kind = a",
        "attributes.colour = 'red'",
        "attributes.start_time = 'x'",
        "metrics.loss < 1 OR metrics.loss > 2",
        "metrics.loss < 1; DROP TABLE runs",
        "params.lr = '' OR 1=1 --'",
        "tags.kind = 'a'' OR ''1''=''1'",
        "colours.x = '1'",
    ]
    for text in filters:
        call(f"search_runs [{text}]", lambda text=text: names_of(client.search_runs([experiment], text)))
    orders = [
        [],
        ["metrics.loss"],
        ["metrics.loss ASC"],
        ["metrics.loss DESC"],
        ["metrics.`val loss` DESC"],
        ["params.lr DESC"],
        ["params.`model name`", "metrics.loss DESC"],
        ["tags.kind"],
        ["attributes.start_time"],
        ["attributes.start_time DESC"],
        ["start_time desc"],
        ["attributes.run_name"],
        ["attributes.status", "attributes.end_time DESC"],
        ["metrics.missing", "start_time"],
        ["nonsense.x"],
        ["metrics.loss SIDEWAYS"],
        ["attributes.colour"],
    ]
    for order in orders:
        call(f"search_runs by {order}", lambda order=order: names_of(client.search_runs([experiment], "", order_by=order)))

    def paged(size, **keywords):
        pages, token = [], None
        while True:
            page = client.search_runs([experiment], max_results=size, page_token=token, **keywords)
            pages.append(names_of(page))
            token = page.token
            if not token:
                return pages

    call("search_runs pages of 1", paged, 1)
    call("search_runs pages of 4", paged, 4, order_by=["metrics.loss DESC"])
    call("search_runs pages of 2 filtered", paged, 2, filter_string="params.lr != '0.1'")
    call("search_runs bad token", client.search_runs, [experiment], page_token="%%%")
    call("search_runs too many", client.search_runs, [experiment], max_results=50_001)
    call("search_runs nowhere", client.search_runs, [])
    call("search_runs missing experiment", client.search_runs, ["987654321"])
    call("search_runs whole runs", client.search_runs, [experiment], "run_name = 'beta'")


def names_of(found):
    return [run.info.run_name for run in found]


def fluent(call, client):
    mlflow.set_experiment(f"fluent-{call.suffix}")
    call("set_experiment", mlflow.set_experiment, f"fluent-{call.suffix}")
    with mlflow.start_run(run_name="outer", description="what it is", tags={"x": "y"}) as run:
        call("active_run", lambda: mlflow.active_run().info.run_name)
        call("log_metric", mlflow.log_metric, "m", 1.5, step=3)
        call("log_metrics", mlflow.log_metrics, {"a": 1, "b": 2.5}, step=1, timestamp=5)
        call("log_param", mlflow.log_param, "p", {"nested": [1, 2]})
        call("log_params", mlflow.log_params, {"q": 1, "r": None, "s": True})
        call("set_tag", mlflow.set_tag, "k", "v")
        call("set_tags", mlflow.set_tags, {"k1": "v1", "k2": 2})
        call("log_text", mlflow.log_text, "some text ✓\n", "notes/a.txt")
        call("log_dict", mlflow.log_dict, {"a": [1, 2, {"b": None}]}, "config/c.json")
        call("log_dict yaml", mlflow.log_dict, {"a": 1}, "config/c.yaml")
        call("get_artifact_uri", mlflow.get_artifact_uri, "notes/a.txt")
        call("log_table", mlflow.log_table, {"q": ["x", "y"], "n": [1, 2]}, "table.json")
        call("load_table", mlflow.load_table, "table.json", run_ids=[run.info.run_id])
        dataset = mlflow.data.from_numpy(numpy.arange(6).reshape(2, 3), name="grid")
        call("log_input", mlflow.log_input, dataset, context="train", tags={"part": "1"})
        with mlflow.start_run(run_name="inner", nested=True):
            call("inner log_metric", mlflow.log_metric, "m", 2.5)
        call("log_metric async", lambda: mlflow.log_metric("later", 1.0, synchronous=False).wait())
        call("log_params async", lambda: mlflow.log_params({"later": 1}, synchronous=False).wait())
        call("log_image", mlflow.log_image, numpy.zeros((4, 4, 3), dtype=numpy.uint8), "black.png")
    call("get_run", lambda: without(mlflow.get_run(run.info.run_id), "mlflow.source", "mlflow.log"))
    call("last_active_run", lambda: mlflow.last_active_run().info.status)
    call(
        "search_runs frame",
        lambda: mlflow.search_runs(order_by=["attributes.run_name"])[
            ["run_id", "status", "metrics.m", "params.q", "tags.mlflow.runName", "tags.mlflow.parentRunId"]
        ],
    )
    call("search_runs list", lambda: names_of(mlflow.search_runs(output_format="list")))
    call("search_runs by name", lambda: len(mlflow.search_runs(experiment_names=[f"fluent-{call.suffix}"])))
    call("load_text", mlflow.artifacts.load_text, f"runs:/{run.info.run_id}/notes/a.txt")
    call("load_dict", mlflow.artifacts.load_dict, f"runs:/{run.info.run_id}/config/c.json")
    call("list_artifacts", lambda: mlflow.artifacts.list_artifacts(run_id=run.info.run_id))

    def failing():
        with contextlib.suppress(ZeroDivisionError), mlflow.start_run(run_name="fails"):
            1 / 0
        return mlflow.last_active_run().info.status

    call("run that fails", failing)
    call("resume", lambda: mlflow.start_run(run_id=run.info.run_id).info.status)
    call("end_run", mlflow.end_run, "KILLED")
    call("after end_run", lambda: mlflow.get_run(run.info.run_id).info.status)
    call("delete_run", mlflow.delete_run, run.info.run_id)
    call("search_runs after delete", lambda: names_of(mlflow.search_runs(output_format="list")))


def without(run, *prefixes):
    """A run without tags that name the calling program."""
    plain = run.to_dictionary()
    plain["data"]["tags"] = {
        key: value for key, value in plain["data"]["tags"].items() if not key.startswith(tuple(prefixes))
    }
    return plain


def artifacts(call, client, run_id):
    with tempfile.TemporaryDirectory() as folder:
        folder = Path(folder)
        (folder / "one.bin").write_bytes(bytes(range(256)) * 5000)
        (folder / "empty.txt").write_bytes(b"")
        (folder / "mit Umlaut ü und raum.txt").write_text("größe", encoding="utf-8")
        (folder / "sub" / "deep").mkdir(parents=True)
        (folder / "sub" / "deep" / "leaf.json").write_text("{}")
        (folder / "sub" / "twig.txt").write_text("twig")
        call("log_artifact", client.log_artifact, run_id, str(folder / "one.bin"))
        call("log_artifact in folder", client.log_artifact, run_id, str(folder / "empty.txt"), "some/where")
        call("log_artifact again", client.log_artifact, run_id, str(folder / "one.bin"))
        call("log_artifacts", client.log_artifacts, run_id, str(folder), "all")
        call("list_artifacts", client.list_artifacts, run_id)
        call("list_artifacts all", client.list_artifacts, run_id, "all")
        call("list_artifacts deeper", client.list_artifacts, run_id, "all/sub")
        call("list_artifacts of a file", client.list_artifacts, run_id, "one.bin")
        call("list_artifacts nothing", client.list_artifacts, run_id, "no/such/folder")
        call("list_artifacts traversal", client.list_artifacts, run_id, "../..")
        call("list_artifacts missing run", client.list_artifacts, "0" * 32)

        def download(path):
            with tempfile.TemporaryDirectory() as target:
                found = Path(client.download_artifacts(run_id, path, target))
                files = [found] if found.is_file() else sorted(p for p in found.rglob("*") if p.is_file())
                return {str(file.relative_to(target)): (file.stat().st_size, hash_of(file)) for file in files}

        call("download_artifacts file", download, "one.bin")
        call("download_artifacts empty", download, "some/where/empty.txt")
        call("download_artifacts unicode", download, "all/mit Umlaut ü und raum.txt")
        call("download_artifacts folder", download, "all")
        call("download_artifacts missing", download, "no such file")
        call("download_artifacts traversal", download, "../../../x")
        call("log_text", client.log_text, run_id, "abc", "texts/a.txt")
        call("log_dict", client.log_dict, run_id, {"k": 1}, "texts/d.json")
        call("log_text traversal", client.log_text, run_id, "abc", "../escape.txt")
        repository = mlflow.store.artifact.artifact_repository_registry.get_artifact_repository(
            client.get_run(run_id).info.artifact_uri
        )
        call("delete_artifacts", repository.delete_artifacts, "texts/a.txt")
        call("list_artifacts after delete", client.list_artifacts, run_id, "texts")
        call("delete_artifacts folder", repository.delete_artifacts, "all")
        call("list_artifacts after folder", client.list_artifacts, run_id)


def hash_of(file):
    return hashlib.sha256(file.read_bytes()).hexdigest()[:16]


def finished_run(client, experiment):
    """A run that nothing stands against: our server lets no other into production."""
    start = int(time.time() * 1000)
    run_id = client.create_run(experiment, start, run_name="judged").info.run_id
    client.log_metric(run_id, "loss", 0.5, timestamp=start, step=1)
    client.set_terminated(run_id)
    return run_id


def registry(call, client, run_id):
    failed, run_id = run_id, finished_run(client, client.get_run(run_id).info.experiment_id)
    name = f"reg-{call.suffix}"
    call("create_registered_model", client.create_registered_model, name, {"a": "1", "b": "2"}, "about it")
    call("create_registered_model again", client.create_registered_model, name)
    call("create_registered_model ''", client.create_registered_model, "")
    call("create_registered_model bad name", client.create_registered_model, f"a/b:{call.suffix}")
    call("create_registered_model plain", client.create_registered_model, f"other-{call.suffix}")
    call("get_registered_model", client.get_registered_model, name)
    call("get_registered_model missing", client.get_registered_model, f"none-{call.suffix}")
    call("update_registered_model", client.update_registered_model, name, "something else")
    call("set_registered_model_tag", client.set_registered_model_tag, name, "a", "9")
    call("delete_registered_model_tag", client.delete_registered_model_tag, name, "b")
    call("delete_registered_model_tag missing", client.delete_registered_model_tag, name, "zzz")
    source = f"runs:/{run_id}/model"
    uri = client.get_run(run_id).info.artifact_uri + "/model"
    for number in range(3):
        call(
            f"create_model_version {number + 1}",
            client.create_model_version,
            name,
            uri if number else source,
            run_id,
            tags={"n": str(number)},
            description=f"version {number}" if number else None,
        )
    call("create_model_version missing model", client.create_model_version, f"none-{call.suffix}", uri, run_id)
    call("create_model_version traversal", client.create_model_version, name, uri + "/../../../x", run_id)
    call("get_model_version", client.get_model_version, name, "2")
    call("get_model_version missing", client.get_model_version, name, "99")
    call("get_model_version not a number", client.get_model_version, name, "two")
    call("update_model_version", client.update_model_version, name, "2", "new words")
    call("set_model_version_tag", client.set_model_version_tag, name, "2", "k", "v")
    call("delete_model_version_tag", client.delete_model_version_tag, name, "2", "n")
    call("get_model_version_download_uri", client.get_model_version_download_uri, name, "2")
    call("transition_model_version_stage", client.transition_model_version_stage, name, "1", "Production")
    call("transition archive", client.transition_model_version_stage, name, "2", "production", True)
    call("transition keep", client.transition_model_version_stage, name, "1", "Production")
    call("get_latest_versions two in production", lambda: sorted_stages(client, name))
    call("transition archive again", client.transition_model_version_stage, name, "2", "Production", True)
    call("get_latest_versions archived", lambda: sorted_stages(client, name))
    call("transition staging", client.transition_model_version_stage, name, "3", "Staging")
    call("transition bad stage", client.transition_model_version_stage, name, "2", "Nowhere")
    call("get_latest_versions", lambda: sorted_versions(client.get_latest_versions(name)))
    call("get_latest_versions stage", client.get_latest_versions, name, ["Production"])
    call("get_latest_versions bad stage", client.get_latest_versions, name, ["Nowhere"])
    call("set_registered_model_alias", client.set_registered_model_alias, name, "champion", "2")
    call("set_registered_model_alias moves", client.set_registered_model_alias, name, "champion", "3")
    call("set_registered_model_alias second", client.set_registered_model_alias, name, "old", "1")
    call("set_registered_model_alias missing", client.set_registered_model_alias, name, "x", "99")
    call("set_registered_model_alias latest", client.set_registered_model_alias, name, "latest", "1")
    call("set_registered_model_alias v1", client.set_registered_model_alias, name, "v1", "1")
    call("set_registered_model_alias production", client.set_registered_model_alias, name, "production", "2")
    call("get_latest_versions aliases", lambda: sorted_aliases(client.get_latest_versions(name)))
    call("get_model_version_by_alias", client.get_model_version_by_alias, name, "champion")
    call("get_model_version_by_alias missing", client.get_model_version_by_alias, name, "nobody")
    call("delete_registered_model_alias", client.delete_registered_model_alias, name, "old")
    call("delete_registered_model_alias missing", client.delete_registered_model_alias, name, "old")
    call("get_registered_model with versions", lambda: sort_latest(client.get_registered_model(name)))
    ours = f"name LIKE '%-{call.suffix}'"
    call("search_registered_models", lambda: model_names(client.search_registered_models(ours)))
    call(
        "search_registered_models order",
        lambda: model_names(client.search_registered_models(ours, order_by=["name DESC"])),
    )
    call(
        "search_registered_models tag",
        lambda: model_names(client.search_registered_models(f"tags.a = '9' AND {ours}")),
    )
    call("search_registered_models page", lambda: pages_of(client.search_registered_models, ours))
    call("search_registered_models bad", client.search_registered_models, "colour = 'red'")
    call("search_registered_models bad order", client.search_registered_models, ours, order_by=["colour"])
    call("search_model_versions", lambda: versions(client.search_model_versions(f"name = '{name}'")))
    call(
        "search_model_versions order",
        lambda: versions(client.search_model_versions(f"name = '{name}'", order_by=["version_number ASC"])),
    )
    call("search_model_versions run", lambda: versions(client.search_model_versions(f"run_id = '{run_id}'")))
    call(
        "search_model_versions tag",
        lambda: versions(client.search_model_versions(f"name = '{name}' AND tags.k = 'v'")),
    )
    call("search_model_versions bad", client.search_model_versions, "colour = 'red'")
    call("rename_registered_model", client.rename_registered_model, name, f"new-{call.suffix}")
    call("rename_registered_model taken", client.rename_registered_model, f"new-{call.suffix}", f"other-{call.suffix}")
    name = f"new-{call.suffix}"
    call("get_model_version renamed", client.get_model_version, name, "3")
    call("delete_model_version", client.delete_model_version, name, "3")
    call("get_model_version deleted", client.get_model_version, name, "3")
    call("alias of a deleted version", client.get_model_version_by_alias, name, "champion")
    call("create_model_version after delete", client.create_model_version, name, uri, run_id)
    call("mlflow.register_model", lambda: mlflow.register_model(uri, f"other-{call.suffix}"))
    call("alias on the wire", client.set_registered_model_alias, f"other-{call.suffix}", "best", "1")
    path = f"/api/2.0/mlflow/registered-models/get?name=other-{call.suffix}"
    call.raw("registered model on the wire", "GET", path, show=("registered_model",))
    unfit = f"unfit-{call.suffix}"
    client.create_registered_model(unfit)
    client.create_model_version(unfit, client.get_run(failed).info.artifact_uri + "/model", failed)
    call("transition of a failed run to staging", client.transition_model_version_stage, unfit, "1", "Staging")
    call("transition of a failed run", client.transition_model_version_stage, unfit, "1", "Production")
    call("alias production of a failed run", client.set_registered_model_alias, unfit, "Production", "1")
    prompt = f"prompt-{call.suffix}"
    call("register_prompt", lambda: mlflow.genai.register_prompt(prompt, "Say {{what}}.", tags={"k": "v"}).version)
    call("register_prompt again", lambda: mlflow.genai.register_prompt(prompt, "Shout {{what}}!").version)
    call("load_prompt", lambda: mlflow.genai.load_prompt(f"prompts:/{prompt}/2").format(what="mynah"))
    call("set_prompt_alias", lambda: mlflow.genai.set_prompt_alias(prompt, "best", 1))
    call("set_prompt_alias production", lambda: mlflow.genai.set_prompt_alias(prompt, "production", 2))
    call("load_prompt by alias", lambda: mlflow.genai.load_prompt(f"prompts:/{prompt}@best").template)
    call("search_prompts", lambda: [p.name for p in mlflow.genai.search_prompts(f"name = '{prompt}'")])
    call("delete_registered_model", client.delete_registered_model, name)
    call("delete_registered_model twice", client.delete_registered_model, name)
    call("search_model_versions none", client.search_model_versions, f"name = '{name}'")


def model_names(found):
    return [model.name for model in found]


def versions(found):
    return [(version.name, version.version) for version in found]


def sorted_versions(found):
    return sorted(versions(found))


def sorted_aliases(found):
    return sorted((version.version, sorted(version.aliases)) for version in found)


def sorted_stages(client, name):
    return sorted((int(v.version), v.current_stage) for v in client.search_model_versions(f"name = '{name}'"))


def sort_latest(model):
    model.latest_versions = sorted(model.latest_versions, key=lambda version: int(version.version))
    return model


def pages_of(search, text):
    pages, token = [], None
    while True:
        page = search(text, max_results=1, page_token=token)
        pages.append(model_names(page))
        token = page.token
        if not token:
            return pages


def logged_models(call, client, experiment, run_id):
    model = call(
        "create_logged_model",
        client.create_logged_model,
        experiment,
        name="net",
        source_run_id=run_id,
        tags={"t": "1"},
        params={"depth": "4"},
        model_type="Classifier",
    )
    model_id = model.model_id
    call("get_logged_model", client.get_logged_model, model_id)
    call("get_logged_model missing", client.get_logged_model, "m-" + "0" * 32)
    call("create_logged_model unnamed", lambda: client.create_logged_model(experiment).status)
    call("create_logged_model bad name", client.create_logged_model, experiment, name="a/b")
    call("create_logged_model missing experiment", client.create_logged_model, "987654321")
    call("log_model_params", client.log_model_params, model_id, {"width": "8", "bias": "no"})
    call("set_logged_model_tags", client.set_logged_model_tags, model_id, {"t": "2", "u": "3"})
    call("delete_logged_model_tag", client.delete_logged_model_tag, model_id, "u")
    call("delete_logged_model_tag missing", client.delete_logged_model_tag, model_id, "u")
    call(
        "log_metric on a model", client.log_metric, run_id, "score", 0.75, timestamp=11, step=2, model_id=model_id
    )
    call(
        "log_batch on a model",
        client.log_batch,
        run_id,
        metrics=[Metric("f1", 0.5, 12, 1, model_id=model_id, dataset_name="corpus", dataset_digest="abc123")],
    )
    call("log_outputs", client.log_outputs, run_id, [LoggedModelOutput(model_id, 5)])
    call("get_run outputs", lambda: client.get_run(run_id).outputs)
    call("finalize_logged_model", client.finalize_logged_model, model_id, LoggedModelStatus.READY)
    call("get_logged_model after", client.get_logged_model, model_id)
    second = client.create_logged_model(experiment, name="small", params={"depth": "2"}, model_type="Agent").model_id
    client.log_metric(run_id, "score", 0.25, timestamp=11, step=2, model_id=second)
    client.finalize_logged_model(second, "FAILED")

    def found(text=None, **keywords):
        keywords.setdefault("order_by", [{"field_name": "name"}])
        return [model.name for model in client.search_logged_models([experiment], text, **keywords) if model.name in ("net", "small")]

    call("search_logged_models", found)
    for text in (
        "name = 'net'",
        "name LIKE 's%'",
        "attributes.status = 'READY'",
        "model_type = 'Agent'",
        "params.depth = '4'",
        "tags.t = '2'",
        "metrics.score > 0.5",
        "metrics.score <= 0.75",
        "metrics.f1 >= 0.1",
        "colour = 'red'",
        "metrics.score >",
    ):
        call(f"search_logged_models [{text}]", found, text)
    call(
        "search_logged_models by metric",
        found,
        order_by=[{"field_name": "metrics.score", "ascending": False}],
    )
    call(
        "search_logged_models dataset",
        found,
        "metrics.f1 > 0.1",
        datasets=[{"dataset_name": "corpus", "dataset_digest": "abc123"}],
    )
    name = f"from-{call.suffix}"
    call("create_registered_model", client.create_registered_model, name)
    call("create_model_version of a model", client.create_model_version, name, f"models:/{model_id}", model_id=model_id)
    call("create_model_version of another", client.create_model_version, name, f"models:/{second}", model_id=model_id)
    call("create_model_version local", client.create_model_version, name, "/etc", run_id)
    call("create_model_version file", client.create_model_version, name, "file:///etc", run_id)
    call("create_model_version s3", client.create_model_version, name, "s3://bucket/model", run_id)
    call("create_model_version runs of another", client.create_model_version, name, "runs:/" + "0" * 32 + "/m", run_id)
    call("copy_model_version", client.copy_model_version, f"models:/{name}/1", f"copy-{call.suffix}")
    call("get_model_version_download_uri", client.get_model_version_download_uri, name, "1")
    call("get_logged_model registered", client.get_logged_model, model_id)
    call("list_logged_model_artifacts", client.list_logged_model_artifacts, model_id)
    call("delete_logged_model", client.delete_logged_model, second)
    call("get_logged_model deleted", client.get_logged_model, second)
    call("delete_logged_model twice", client.delete_logged_model, second)


class Doubler(mlflow.pyfunc.PythonModel):
    def predict(self, context, model_input, params=None):
        return [2 * number for number in model_input]


def whole_models(call, client):
    """Models logged, registered and loaded again by the client's own machinery."""
    mlflow.set_experiment(f"models-{call.suffix}")
    with mlflow.start_run(run_name="doubler") as run:
        info = call_keep(
            call,
            "pyfunc.log_model",
            lambda: mlflow.pyfunc.log_model(
                name="doubler", python_model=Doubler(), pip_requirements=[], registered_model_name=f"doubler-{call.suffix}"
            ),
            lambda info: sorted(info.flavors),
        )
    if info is not None:
        call("pyfunc.load_model", lambda: mlflow.pyfunc.load_model(info.model_uri).predict([1, 2, 3]))
    call("load registered", lambda: mlflow.pyfunc.load_model(f"models:/doubler-{call.suffix}/1").predict([4]))
    client_alias = lambda: client.set_registered_model_alias(f"doubler-{call.suffix}", "best", 1)  # noqa: E731
    call("alias for loading", client_alias)
    call("load by alias", lambda: mlflow.pyfunc.load_model(f"models:/doubler-{call.suffix}@best").predict([5]))
    call("run of the model", lambda: [len(mlflow.get_run(run.info.run_id).outputs.model_outputs)])
    call("last_logged_model", lambda: mlflow.last_logged_model().name)
    try:
        from sklearn.linear_model import LogisticRegression
    except ImportError:
        print("scikit-learn is not installed: skipped autologging")
        return
    mlflow.sklearn.autolog(log_datasets=True, silent=True)
    try:
        inputs = numpy.array([[0.0], [1.0], [2.0], [3.0]])
        labels = numpy.array([0, 0, 1, 1])
        call("sklearn.autolog fit", lambda: type(LogisticRegression(C=2.0).fit(inputs, labels)).__name__)
        found = call(
            "sklearn.autolog run",
            lambda: [
                (sorted(run.data.metrics), run.data.params, len(run.inputs.dataset_inputs), run.info.status)
                for run in mlflow.search_runs(filter_string="params.C = '2.0'", output_format="list")
            ],
        )
        assert found is None or found, "autologging recorded nothing"
    finally:
        mlflow.sklearn.autolog(disable=True)


def call_keep(call, name, function, show):
    """Compares what `show` makes of the answer and gives the answer itself back."""
    kept = []

    def go():
        kept.append(function())
        return show(kept[0])

    call(name, go)
    return kept[0] if kept else None


def wire(call, run_id, experiment):
    """Requests that no client of ours would write."""
    api = "/api/2.0/mlflow"
    call.raw("GET /health", "GET", "/health")
    call.raw("GET /version", "GET", "/version")
    call.raw("server-info", "GET", "/api/3.0/mlflow/server-info", ("workspaces_enabled", "multipart_uploads_enabled"))
    call.raw("ajax prefix", "GET", f"/ajax-api/2.0/mlflow/experiments/get?experiment_id={experiment}")
    call.raw("no such endpoint", "GET", f"{api}/no/such", ())
    call.raw("wrong method", "GET", f"{api}/runs/create", ())
    call.raw("missing field", "POST", f"{api}/runs/log-metric", json={"run_id": run_id, "key": "x"})
    call.raw("unknown field", "POST", f"{api}/runs/set-tag", json={"run_id": run_id, "key": "x", "value": "1", "new": 1})
    call.raw("wrong type string", "POST", f"{api}/runs/set-tag", json={"run_id": run_id, "key": 5, "value": "1"})
    call.raw("wrong type list", "POST", f"{api}/runs/log-batch", json={"run_id": run_id, "metrics": "many"})
    call.raw(
        "wrong type number",
        "POST",
        f"{api}/runs/log-metric",
        json={"run_id": run_id, "key": "x", "value": "high", "timestamp": 1},
    )
    call.raw(
        "digits as numbers",
        "POST",
        f"{api}/runs/log-metric",
        json={"run_id": run_id, "key": "digits", "value": "1.5", "timestamp": "7", "step": "2"},
    )
    call.raw("null value", "POST", f"{api}/runs/set-tag", json={"run_id": run_id, "key": "nil", "value": None})
    call.raw("run_uuid", "GET", f"{api}/runs/get?run_uuid={run_id}")
    call.raw("no body", "POST", f"{api}/runs/log-metric")
    call.raw("missing key in batch", "POST", f"{api}/runs/log-batch", json={"run_id": run_id, "metrics": [{"value": 1}]})
    call.raw("search_runs max 0", "POST", f"{api}/runs/search", json={"experiment_ids": [experiment], "max_results": 0})
    call.raw("history page size 0", "GET", f"{api}/metrics/get-history?run_id={run_id}&metric_key=acc&max_results=0")

    def history(size):
        points, token = [], ""
        while True:
            url = f"{call.url}{api}/metrics/get-history"
            asked = {"run_id": run_id, "metric_key": "acc", "max_results": size, "page_token": token}
            answer = requests.get(url, params=asked, headers=call.headers, timeout=60).json()
            points.append([point["step"] for point in answer["metrics"]])
            token = answer.get("next_page_token")
            if not token:
                return points

    call("history pages of 7", history, 7)
    call.raw(
        "history in bulk",
        "GET",
        f"{api}/metrics/get-history-bulk-interval?run_ids={run_id}&metric_key=acc&max_results=50",
        ("metrics",),
    )
    call.raw(
        "history in bulk thinned",
        "GET",
        f"{api}/metrics/get-history-bulk-interval?run_ids={run_id}&metric_key=acc&max_results=5&start_step=0&end_step=18",
        ("metrics",),
    )
    call.raw(
        "search-datasets",
        "POST",
        "/ajax-api/2.0/mlflow/experiments/search-datasets",
        ("dataset_summaries",),
        json={"experiment_ids": [experiment]},
    )
    call.raw("artifact traversal", "GET", f"/api/2.0/mlflow-artifacts/artifacts/{experiment}/%2e%2e/%2e%2e/x")
    call.raw("artifact upload traversal", "PUT", "/api/2.0/mlflow-artifacts/artifacts/a/%2e%2e/b", data=b"x")
    call.raw("artifact multipart", "POST", f"/api/2.0/mlflow-artifacts/mpu/create/{experiment}/x", json={"path": "x", "num_parts": 2})
    call.raw("artifact presigned", "GET", f"/api/2.0/mlflow-artifacts/presigned/{experiment}/x")
