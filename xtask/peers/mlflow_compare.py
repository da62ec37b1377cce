#!/usr/bin/env python3
"""Oracle of the tracking server: the real MLflow client against MLflow's own server and against ours.

    python3 xtask/peers/mlflow_compare.py --ours http://127.0.0.1:5000 [--token T] [--only WORD] [--verbose]

Needs the packages of the line `mlflow` in xtask/peers/requirements.txt. Starts MLflow's server on a free loopback
port with a temporary SQLite file, runs the same calls of `MlflowClient` and of the fluent API against both,
and compares every answer field by field. Ids, times, made-up names and addresses are replaced by what they
stand for; of an error the class, the code and the HTTP status count, not its words. Prints one line per
call and a summary; the exit code is 1 when an answer differs.

Ours may hold runs already: names carry a random suffix.
"""

import argparse
import contextlib
import json
import logging
import os
import re
import socket
import subprocess
import sys
import tempfile
import time
import uuid
import warnings
from enum import Enum
from pathlib import Path

os.environ.update(
    MLFLOW_DISABLE_TELEMETRY="true",
    DO_NOT_TRACK="true",
    MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT="true",
    MLFLOW_HTTP_REQUEST_MAX_RETRIES="0",
    MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR="false",
    GIT_PYTHON_REFRESH="quiet",
)
warnings.filterwarnings("ignore")
logging.disable(logging.WARNING)

import mlflow  # noqa: E402
import mlflow_calls as calls  # noqa: E402
import numpy  # noqa: E402
import requests  # noqa: E402
from mlflow import MlflowClient  # noqa: E402
from mlflow.exceptions import MlflowException  # noqa: E402

# Answers that differ on purpose, and why. Everything else must agree.
INTENDED = {
    "runs: get_run infinite": "MLflow's SQL store turns ±∞ into the largest float; ours keeps it",
    "runs: get_metric_history infinite": "the same",
    "runs: log_param too long value": "MLflow cuts it to fit; ours refuses, so that nothing is lost unseen",
    "runs: set_tag too long": "the same",
    "logged: search_logged_models [attributes.status = 'READY']": "MLflow compares the name with a number and finds none",
    "logged: search_logged_models [colour = 'red']": "MLflow answers 500; ours says what is wrong",
    "registry: transition of a failed run": "ours lets only runs that pass its policy into production",
    "registry: alias production of a failed run": "the same, for the alias of that name",
    "wire: history in bulk thinned": "both keep first, last and evenly chosen points between, not the same ones",
}


# Tags that ours adds: they are left out of both answers.
OWN_TAGS = {"mynah.promotion": "names the record of why a version may be in production"}


class Plain:
    """Turns answers into plain values in which two servers must agree."""

    # Told by one server at another moment or under another name than by the other.
    TIMES_FROM_MS = 1_500_000_000_000
    MADE_UP_NAME = re.compile(r"^[a-z]+-[a-z]+-\d{1,4}$")

    def __init__(self, url, suffix):
        self.url = url
        self.suffix = suffix
        self.names = {}

    def name_of(self, kind, value):
        known = self.names.setdefault(kind, {})
        return known.setdefault(value, f"<{kind} {len(known) + 1}>")

    def text(self, text):
        if text[:1] in "[{":
            with contextlib.suppress(ValueError):
                return {"json": self.value(json.loads(text))}
        text = text.replace(self.url, "<server>").replace(self.suffix, "<suffix>")
        text = re.sub(r"m-[0-9a-f]{32}", lambda m: self.name_of("model", m.group()), text)
        text = re.sub(r"(?<![0-9a-f])[0-9a-f]{32}(?![0-9a-f])", lambda m: self.name_of("run", m.group()), text)
        text = re.sub(
            r"mlflow-artifacts:/(\d+)", lambda m: "mlflow-artifacts:/" + self.name_of("experiment", m.group(1)), text
        )
        text = re.sub(re.escape(tempfile.gettempdir()) + r"/[\w/.-]+", "<folder>", text)
        return "<made-up name>" if self.MADE_UP_NAME.match(text) else text

    def value(self, value, field=""):
        if value is None or isinstance(value, (bool, bytes)):
            return value
        if isinstance(value, Enum):
            return value.name
        if isinstance(value, (int, numpy.integer)):
            return "<time>" if value >= self.TIMES_FROM_MS else int(value)
        if isinstance(value, (float, numpy.floating)):
            return repr(float(value))
        if isinstance(value, str):
            if field == "experiment_id":
                return self.name_of("experiment", value)
            if field == "mlflow.user":
                return "<user>"
            return self.text(value)
        if isinstance(value, dict):
            kept = sorted((key for key in value if key not in OWN_TAGS), key=str)
            return {str(key): self.value(value[key], str(key)) for key in kept}
        if hasattr(value, "to_dict") and type(value).__name__ == "DataFrame":
            rows = json.loads(value.to_json(orient="records", default_handler=str))
            return [self.value(row) for row in rows]
        if isinstance(value, (list, tuple, set)):
            items = [self.value(item, field) for item in value]
            if hasattr(value, "token"):
                return {"items": items, "more": bool(value.token)}
            return items
        if type(value).__module__.startswith("google."):
            return self.value(list(value), field)
        if hasattr(value, "__iter__"):
            return {name: self.value(found, name) for name, found in sorted(dict(value).items())}
        if hasattr(value, "__dict__"):
            public = {name.lstrip("_"): found for name, found in vars(value).items()}
            return {name: self.value(found, name) for name, found in sorted(public.items())}
        return self.text(str(value))

    def error(self, error):
        return {"error": type(error).__name__, "code": getattr(error, "error_code", None)}


class Recorder:
    """Runs calls against one server and keeps what came out."""

    def __init__(self, url, token, suffix, only):
        self.url = url
        self.plain = Plain(url, suffix)
        self.suffix = suffix
        self.only = only
        self.results = []
        self.headers = {"Authorization": f"Bearer {token}"} if token else {}

    def __call__(self, name, function, /, *arguments, **keywords):
        result = None
        times = sum(1 for known, _, _ in self.results if known.split(" (")[0] == name)
        name = f"{name} ({times + 1})" if times else name
        started = time.perf_counter()
        try:
            result = function(*arguments, **keywords)
            plain = self.plain.value(result, "experiment_id" if name.startswith("create_experiment") else "")
        except MlflowException as error:
            plain = self.plain.error(error)
        except Exception as error:
            plain = {"error": type(error).__name__}
            if response := getattr(error, "response", None):
                plain["status"] = response.status_code
        self.results.append((name, plain, time.perf_counter() - started))
        return result

    def raw(self, name, method, path, show=("error_code",), **keywords):
        """One HTTP call without the client: status, and the named fields of the JSON answer."""

        def go():
            headers = {**self.headers, **keywords.pop("headers", {})}
            response = requests.request(method, self.url + path, headers=headers, timeout=60, **keywords)
            with contextlib.suppress(ValueError):
                body = response.json()
                if isinstance(body, dict):
                    return {"status": response.status_code, **{field: body.get(field) for field in show}}
            return {"status": response.status_code}

        return self(name, go)


PARTS = ("experiments", "runs", "search", "fluent", "artifacts", "registry", "logged", "whole", "wire")


def drive(url, token, suffix, only):
    if token:
        os.environ["MLFLOW_TRACKING_TOKEN"] = token
    else:
        os.environ.pop("MLFLOW_TRACKING_TOKEN", None)
    mlflow.set_tracking_uri(url)
    mlflow.set_registry_uri(url)
    client = MlflowClient(url, url)
    call = Recorder(url, token, suffix, only)
    wanted = [part for part in PARTS if not only or part in only]

    def part(name, function, *arguments):
        if name in wanted:
            before = len(call.results)
            try:
                function(call, *arguments)
            except Exception as error:  # A step that others build on failed: keep what there is.
                call.results.append((f"{name}: broke off", {"error": f"{type(error).__name__}: {error}"[:300]}, 0.0))
            call.results[before:] = [(f"{name}: {title}", plain, s) for title, plain, s in call.results[before:]]
            while mlflow.active_run():
                mlflow.end_run()

    part("experiments", calls.experiments, client)
    experiment = client.create_experiment(f"main-{suffix}")
    kept = []
    part("runs", lambda *a: kept.append(calls.runs(*a)), client, experiment)
    run_id = kept[0] if kept else client.create_run(experiment).info.run_id
    part("search", calls.search, client)
    part("fluent", calls.fluent, client)
    part("artifacts", calls.artifacts, client, run_id)
    part("registry", calls.registry, client, run_id)
    part("logged", calls.logged_models, client, experiment, run_id)
    part("whole", calls.whole_models, client)
    part("wire", calls.wire, run_id, experiment)
    return call.results


@contextlib.contextmanager
def mlflow_server():
    with tempfile.TemporaryDirectory() as folder, socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
        probe.close()
        command = [sys.executable, "-m", "mlflow", "server", "--host", "127.0.0.1", "--port", str(port)]
        command += ["--backend-store-uri", f"sqlite:///{folder}/mlflow.db", "--workers", "1"]
        command += ["--artifacts-destination", f"{folder}/artifacts"]
        with open(f"{folder}/log", "w") as log:
            process = subprocess.Popen(command, stdout=log, stderr=log, cwd=folder)
        url = f"http://127.0.0.1:{port}"
        try:
            deadline = time.monotonic() + 120
            while time.monotonic() < deadline:
                with contextlib.suppress(requests.ConnectionError):
                    if requests.get(url + "/health", timeout=5).ok:
                        break
                if process.poll() is not None:
                    sys.exit("MLflow's server ended:\n" + Path(f"{folder}/log").read_text()[-2000:])
                time.sleep(0.2)
            yield url
        finally:
            process.terminate()
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(10)
            process.kill()


def differences(theirs, ours, path=""):
    if isinstance(theirs, dict) and isinstance(ours, dict):
        for key in sorted(set(theirs) | set(ours)):
            yield from differences(theirs.get(key, "<absent>"), ours.get(key, "<absent>"), f"{path}.{key}")
    elif isinstance(theirs, list) and isinstance(ours, list) and len(theirs) == len(ours):
        for place, (left, right) in enumerate(zip(theirs, ours)):
            yield from differences(left, right, f"{path}[{place}]")
    elif theirs != ours:
        yield f"{path or '.'}: MLflow {short(theirs)}, ours {short(ours)}"


def short(value):
    text = json.dumps(value, ensure_ascii=False, default=str)
    return text if len(text) <= 300 else text[:300] + "…"


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--ours", required=True, help="address of our server")
    parser.add_argument("--token", help="token of our server")
    parser.add_argument("--mlflow", help="address of a running MLflow server instead of a fresh one")
    parser.add_argument("--only", action="append", choices=PARTS, help="only this part; may be given again")
    parser.add_argument("--verbose", action="store_true", help="print every answer")
    options = parser.parse_args()
    suffix = uuid.uuid4().hex[:8]
    with contextlib.ExitStack() as stack:
        url = options.mlflow or stack.enter_context(mlflow_server())
        started = time.perf_counter()
        theirs = drive(url.rstrip("/"), None, suffix, options.only)
        between = time.perf_counter()
        ours = drive(options.ours.rstrip("/"), options.token, suffix, options.only)
        ended = time.perf_counter()
    same = different = errors = intended = 0
    found = {name: (plain, seconds) for name, plain, seconds in ours}
    for name, plain, seconds in theirs:
        if name not in found:
            different += 1
            print(f"MISSING {name}")
            continue
        own, own_seconds = found.pop(name)
        lines = list(differences(plain, own))
        reason = INTENDED.get(name, "") if lines else ""
        word = "meant" if reason else "DIFFERS" if lines else "same"
        same += word == "same"
        intended += word == "meant"
        different += word == "DIFFERS"
        errors += isinstance(plain, dict) and ("error" in plain or plain.get("status", 200) != 200)
        print(f"{word:<7} {seconds * 1e3:8.1f} {own_seconds * 1e3:8.1f} ms  {name}{reason and ': ' + reason}")
        for line in [] if reason else lines[:8]:
            print(f"          {line}")
        if options.verbose:
            print(f"          {short(own)}")
    for name in found:
        different += 1
        print(f"EXTRA   {name}: {short(found[name][0])}")
    print(
        f"mlflow {mlflow.__version__}: {same + intended + different} calls, {same} same, {intended} differ on purpose, "
        f"{different} differ ({errors} of all are refusals); MLflow's server {between - started:.1f} s, ours {ended - between:.1f} s"
    )
    return 1 if different else 0


if __name__ == "__main__":
    sys.exit(main())
