"""The contract of a model server, checked from outside: `pytest tests/contract --base-url http://127.0.0.1:8000`.

Runs against any server of OpenAI's and Anthropic's APIs. What is here is frozen: what a model or a server does besides
goes into a file of its own. Without --base-url everything is skipped.
"""

import json
import urllib.error
import urllib.request

import pytest


def pytest_addoption(parser):
    parser.addoption("--base-url", help="address of the server, without /v1")
    parser.addoption("--model", help="model to ask (default: the first that the server lists)")
    parser.addoption("--api-key", default="none", help="API key")
    parser.addoption("--tools", action="store_true", help="the model has a tool format: ask for forced calls too")


class Answer:
    """Status, headers and body of one request."""

    def __init__(self, status, headers, body):
        self.status, self.headers, self.body = status, headers, body

    @property
    def json(self):
        return json.loads(self.body)

    @property
    def events(self):
        """Server-sent events as (name, data) pairs; data is parsed unless it is [DONE]."""
        found = []
        for block in self.body.decode().split("\n\n"):
            name, data = None, []
            for line in block.split("\n"):
                if line.startswith("event: "):
                    name = line[7:]
                elif line.startswith("data: "):
                    data.append(line[6:])
            if data:
                text = "\n".join(data)
                found.append((name, text if text == "[DONE]" else json.loads(text)))
        return found


class Server:
    def __init__(self, base, key, model):
        self.base, self.key, self.name = base.rstrip("/"), key, model

    def call(self, path, body=None, method=None, headers=None, raw=None):
        data = raw if raw is not None else (None if body is None else json.dumps(body).encode())
        request = urllib.request.Request(self.base + path, data=data, method=method)
        request.add_header("Content-Type", "application/json")
        request.add_header("Authorization", f"Bearer {self.key}")
        for name, value in (headers or {}).items():
            request.add_header(name, value)
        try:
            with urllib.request.urlopen(request, timeout=300) as answer:
                return Answer(answer.status, answer.headers, answer.read())
        except urllib.error.HTTPError as error:
            return Answer(error.code, error.headers, error.read())

    @property
    def model(self):
        if self.name is None:
            self.name = self.call("/v1/models").json["data"][0]["id"]
        return self.name

    def chat(self, text="Say something.", **fields):
        body = {"model": self.model, "messages": [{"role": "user", "content": text}], "max_tokens": 16}
        body.update(fields)
        return self.call("/v1/chat/completions", {key: value for key, value in body.items() if value is not Ellipsis})

    def messages(self, text="Say something.", query="", **fields):
        body = {"model": self.model, "messages": [{"role": "user", "content": text}], "max_tokens": 16}
        body.update(fields)
        return self.call("/v1/messages" + query, body, headers={"anthropic-version": "2023-06-01", "x-api-key": self.key})


@pytest.fixture(scope="session")
def server(request):
    base = request.config.getoption("--base-url")
    if not base:
        pytest.skip("no --base-url: start a server and name its address")
    return Server(base, request.config.getoption("--api-key"), request.config.getoption("--model"))


@pytest.fixture
def tools(request):
    if not request.config.getoption("--tools"):
        pytest.skip("no --tools: the model has no tool format")
    schema = {
        "type": "object",
        "properties": {"city": {"type": "string", "maxLength": 12}, "days": {"type": "integer", "minimum": 1, "maximum": 7}},
        "required": ["city", "days"],
        "additionalProperties": False,
    }
    return [{"type": "function", "function": {"name": "forecast", "description": "The weather to come", "parameters": schema}}]
