"""Official clients against `mynah serve`: `pytest tests/clients --mynah target/release/mynah`.

Makes a tiny model with random weights (tiny_model.py), starts servers on free ports of loopback, and drives them as
their users do. What a test needs and is not installed skips it.
"""

import pathlib
import queue
import subprocess
import sys
import threading

import pytest

sys.path.insert(0, str(pathlib.Path(__file__).parent))

KEY = "key-of-the-tests"


def pytest_addoption(parser):
    parser.addoption("--mynah", help="the binary to test")


def pytest_collection_modifyitems(config, items):
    if not config.getoption("--mynah"):
        skip = pytest.mark.skip(reason="--mynah BINARY is missing")
        for item in items:
            item.add_marker(skip)


class Server:
    """A server of ours, from its first line to its end."""

    def __init__(self, binary, model, *options):
        command = [binary, "serve", "--model", str(model), "--port", "0", "--no-record", "--api-key", KEY, *options]
        self.errors = []
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        # Both pipes are read to the end, so that the server never waits for a reader.
        threading.Thread(target=lambda: self.errors.extend(self.process.stderr), daemon=True).start()
        lines = queue.Queue()
        threading.Thread(target=lambda: [lines.put(line) for line in self.process.stdout], daemon=True).start()
        try:
            self.url = lines.get(timeout=120).strip()
        except queue.Empty:
            self.stop()
            raise RuntimeError("the server did not start: " + "".join(self.errors)) from None
        self.model = pathlib.Path(model).name

    def stop(self):
        self.process.terminate()
        self.process.wait(timeout=60)


@pytest.fixture(scope="session")
def models(tmp_path_factory):
    """Folder with the models `tiny` (chat) and `tiny-bert` (embeddings)."""
    for package in ("torch", "transformers", "tokenizers"):
        pytest.importorskip(package)
    import tiny_model

    folder = tmp_path_factory.mktemp("models")
    tiny_model.make(folder / "tiny")
    tiny_model.make_embedder(folder / "tiny-bert")
    return folder


def started(request, model, *options):
    server = Server(request.config.getoption("--mynah"), model, *options)
    request.addfinalizer(server.stop)
    return server


@pytest.fixture(scope="session")
def server(request, models):
    return started(request, models / "tiny")


@pytest.fixture(scope="session")
def limited(request, models):
    """A server that lets two requests a minute through."""
    return started(request, models / "tiny", "--requests-per-minute", "2")


@pytest.fixture(scope="session")
def embedder(request, models):
    return started(request, models / "tiny-bert")


@pytest.fixture(scope="session")
def key():
    return KEY


WEATHER = {
    "type": "object",
    "properties": {"city": {"type": "string", "maxLength": 12}, "unit": {"enum": ["celsius", "fahrenheit"]}},
    "required": ["city", "unit"],
    "additionalProperties": False,
}


@pytest.fixture(scope="session")
def weather():
    """JSON schema of a tool's arguments, short enough that random weights come to its end."""
    return WEATHER
