"""Outputs under a JSON schema: every one valid, or the schema is refused with a 400 that says why.

schemas.json holds the schemas by name; `jsonschema` is the judge. The model's words are random at temperature 1 (its
weights may be random, too), pushed towards closing characters, so that answers come to an end; an answer cut at
max_tokens says so and is not judged, but at least one of a schema's three answers must come to its end.
"""

import json
import pathlib

import pytest

jsonschema = pytest.importorskip("jsonschema")

SCHEMAS = json.loads(pathlib.Path(__file__).with_name("schemas.json").read_text())
FORMATS = jsonschema.Draft202012Validator.FORMAT_CHECKER


def distinct(text):
    """Parses JSON; a key that comes twice is an error."""

    def pairs(found):
        keys = [key for key, _ in found]
        assert len(keys) == len(set(keys)), f"a key comes twice in {text}"
        return dict(found)

    return json.loads(text, object_pairs_hook=pairs)


@pytest.fixture(scope="module")
def closing(server):
    """Bias towards tokens that end strings, arrays and objects."""
    bias = {}
    for text in ('"', "]", "}", ","):
        answer = server.call("/tokenize", {"model": server.model, "prompt": text, "add_special_tokens": False})
        if answer.status == 200 and len(answer.json["tokens"]) == 1:
            bias[str(answer.json["tokens"][0])] = 4 if text != "," else -2
    return bias


@pytest.mark.parametrize("name", SCHEMAS)
def test_schema(server, closing, name):
    schema = SCHEMAS[name]
    form = {"type": "json_schema", "json_schema": {"name": "answer", "schema": schema}}
    ends = 0
    for seed in range(3):
        answer = server.chat(response_format=form, max_tokens=800, temperature=1, seed=seed, logit_bias=closing)
        if answer.status == 400:
            assert answer.json["error"]["message"]
            return
        assert answer.status == 200, answer.body
        choice = answer.json["choices"][0]
        if choice["finish_reason"] == "length":
            continue
        ends += 1
        value = distinct(choice["message"]["content"])
        jsonschema.validate(value, schema, format_checker=FORMATS)
    assert ends, "no answer came to its end"
