"""What every server and every model must do. Frozen: new expectations go into new files."""

import json
import uuid
from concurrent.futures import ThreadPoolExecutor

import pytest


def test_models_are_listed_and_found_one_by_one(server):
    listed = server.call("/v1/models")
    assert listed.status == 200 and listed.json["object"] == "list"
    ids = [model["id"] for model in listed.json["data"]]
    assert server.model in ids
    one = server.call(f"/v1/models/{server.model}")
    assert one.status == 200 and one.json["id"] == server.model and one.json["object"] == "model"
    missing = server.call("/v1/models/no-such-model")
    assert missing.status == 404 and missing.json["error"]["message"]


def test_chat(server):
    answer = server.chat()
    assert answer.status == 200
    body = answer.json
    assert body["object"] == "chat.completion" and body["id"] and isinstance(body["created"], int)
    [choice] = body["choices"]
    assert choice["index"] == 0 and choice["message"]["role"] == "assistant"
    assert choice["finish_reason"] in ("stop", "length")
    usage = body["usage"]
    assert usage["prompt_tokens"] > 0 and usage["total_tokens"] == usage["prompt_tokens"] + usage["completion_tokens"]
    assert usage["completion_tokens"] <= 16


def test_null_is_the_same_as_leaving_a_field_out(server):
    names = ["temperature", "top_p", "n", "stop", "seed", "logprobs", "tools", "tool_choice", "response_format", "stream", "user"]
    assert server.chat(**{name: None for name in names}).status == 200


def test_chat_stream_ends_with_done(server):
    answer = server.chat(stream=True)
    assert answer.status == 200 and answer.headers["content-type"].startswith("text/event-stream")
    events = [data for _, data in answer.events]
    assert events[-1] == "[DONE]"
    chunks = events[:-1]
    assert all(chunk["object"] == "chat.completion.chunk" and chunk["id"] == chunks[0]["id"] for chunk in chunks)
    assert chunks[0]["choices"][0]["delta"]["role"] == "assistant"
    reasons = [choice["finish_reason"] for chunk in chunks for choice in chunk["choices"] if choice["finish_reason"]]
    assert len(reasons) == 1 and reasons[0] in ("stop", "length")
    assert not any(chunk.get("usage") for chunk in chunks)


def test_a_stream_is_the_whole_answer_in_pieces(server):
    whole = server.chat(temperature=0, seed=1).json["choices"][0]["message"]["content"]
    chunks = [data for _, data in server.chat(temperature=0, seed=1, stream=True).events][:-1]
    pieces = [choice["delta"].get("content") or "" for chunk in chunks for choice in chunk["choices"]]
    assert "".join(pieces) == whole


def test_usage_in_streams_on_request(server):
    chunks = [data for _, data in server.chat(stream=True, stream_options={"include_usage": True}).events][:-1]
    assert chunks[-1]["choices"] == [] and chunks[-1]["usage"]["completion_tokens"] > 0
    assert all(chunk["usage"] is None for chunk in chunks[:-1])


def test_the_same_seed_gives_the_same_text(server):
    texts = [server.chat(seed=7, temperature=1.0).json["choices"][0]["message"]["content"] for _ in range(2)]
    assert texts[0] == texts[1]


def test_several_choices(server):
    choices = server.chat(n=3).json["choices"]
    assert sorted(choice["index"] for choice in choices) == [0, 1, 2]


def test_log_probabilities(server):
    [choice] = server.chat(logprobs=True, top_logprobs=2, max_tokens=3).json["choices"]
    tokens = choice["logprobs"]["content"]
    assert 1 <= len(tokens) <= 3
    for token in tokens:
        assert token["logprob"] <= 0 and len(token["top_logprobs"]) == 2 and isinstance(token["bytes"], list)


def test_completions(server):
    for prompt in ["Once upon", ["Once upon", "A bird"]]:
        answer = server.call("/v1/completions", {"model": server.model, "prompt": prompt, "max_tokens": 4})
        assert answer.status == 200 and answer.json["object"] == "text_completion"
        assert len(answer.json["choices"]) == (1 if isinstance(prompt, str) else 2)


def test_token_ids_are_a_prompt(server):
    ids = server.call("/tokenize", {"model": server.model, "prompt": "Once upon a time"})
    if ids.status == 404:
        pytest.skip("the server has no /tokenize")
    body = {"model": server.model, "prompt": ids.json["tokens"], "max_tokens": 4, "temperature": 0}
    by_ids = server.call("/v1/completions", body).json
    by_text = server.call("/v1/completions", body | {"prompt": "Once upon a time"}).json
    assert by_ids["choices"][0]["text"] == by_text["choices"][0]["text"]
    assert by_ids["usage"]["prompt_tokens"] == len(ids.json["tokens"])


def test_a_forced_tool_is_called_with_valid_arguments(server, tools):
    for choice in ["required", {"type": "function", "function": {"name": "forecast"}}]:
        [found] = server.chat(tools=tools, tool_choice=choice, max_tokens=200).json["choices"]
        [call, *_] = found["message"]["tool_calls"]
        assert call["type"] == "function" and call["id"] and call["function"]["name"] == "forecast"
        arguments = json.loads(call["function"]["arguments"])
        assert isinstance(arguments["city"], str) and 1 <= arguments["days"] <= 7 and len(arguments) == 2
        assert found["finish_reason"] in ("tool_calls", "length")


def test_a_forced_tool_in_a_stream(server, tools):
    chunks = [data for _, data in server.chat(tools=tools, tool_choice="required", max_tokens=200, stream=True).events][:-1]
    calls = {}
    for chunk in chunks:
        for choice in chunk["choices"]:
            for call in choice["delta"].get("tool_calls") or []:
                known = calls.setdefault(call["index"], {"name": "", "arguments": ""})
                known["name"] += call["function"].get("name") or ""
                known["arguments"] += call["function"].get("arguments") or ""
    assert calls[0]["name"] == "forecast"
    assert 1 <= json.loads(calls[0]["arguments"])["days"] <= 7


def test_messages(server):
    answer = server.messages(system="Be brief.")
    assert answer.status == 200
    body = answer.json
    assert body["type"] == "message" and body["role"] == "assistant" and isinstance(body["content"], list)
    assert body["stop_reason"] in ("end_turn", "max_tokens") and body["usage"]["output_tokens"] > 0


def test_messages_stream(server):
    answer = server.messages(query="?beta=true", stream=True)
    assert answer.status == 200
    names = [name for name, _ in answer.events if name != "ping"]
    assert names[0] == "message_start" and names[-2:] == ["message_delta", "message_stop"]
    for name, data in answer.events:
        assert data["type"] == name
    starts = [data["index"] for name, data in answer.events if name == "content_block_start"]
    stops = [data["index"] for name, data in answer.events if name == "content_block_stop"]
    assert starts == stops == list(range(len(starts)))


def test_tokens_are_counted(server):
    body = {"model": server.model, "messages": [{"role": "user", "content": "hello"}]}
    answer = server.call("/v1/messages/count_tokens", body)
    assert answer.status == 200 and answer.json["input_tokens"] > 0


def test_three_at_once(server):
    with ThreadPoolExecutor(3) as pool:
        answers = list(pool.map(lambda i: server.chat(f"Number {i}.", stream=i == 1), range(3)))
    assert [answer.status for answer in answers] == [200, 200, 200]


def test_a_prompt_that_was_read_before_is_found(server):
    # New at every run: what an earlier one asked is found, too.
    text, another = uuid.uuid4().hex, uuid.uuid4().hex
    text += " The old bird sat on the fence and looked at the field." * 20
    first = server.chat(text, temperature=0, max_tokens=4)
    if first.status == 400:
        pytest.skip("the model's context is too short for this")
    second = server.chat(text, temperature=0, max_tokens=4).json
    assert second["choices"][0]["message"]["content"] == first.json["choices"][0]["message"]["content"]
    assert second["usage"]["prompt_tokens_details"]["cached_tokens"] > 0
    other = server.chat(another + text[::-1], temperature=0, max_tokens=4).json
    assert other["usage"]["prompt_tokens_details"]["cached_tokens"] < second["usage"]["prompt_tokens_details"]["cached_tokens"]


BAD = [
    ({"messages": ...}, "messages"),
    ({"messages": []}, "messages"),
    ({"messages": "hello"}, "messages"),
    ({"messages": [{"role": "narrator", "content": "x"}]}, "role"),
    ({"messages": [{"role": "user", "content": [{"type": "image_url", "image_url": {"url": "data:,"}}]}]}, "image_url"),
    ({"temperature": "hot"}, "temperature"),
    ({"temperature": 3}, "temperature"),
    ({"top_p": 0}, "top_p"),
    ({"n": 0}, "n"),
    ({"max_tokens": 0}, "max_tokens"),
    ({"max_tokens": -1}, "max_tokens"),
    ({"max_tokens": 10**9}, ""),
    ({"top_logprobs": 2}, "logprobs"),
    ({"logit_bias": {"word": 1}}, "logit_bias"),
    ({"response_format": {"type": "poem"}}, "response_format"),
    ({"tool_choice": "required"}, "tool_choice"),
    ({"stream_options": {"include_usage": True}}, "stream"),
    ({"no_such_field": 1}, "no_such_field"),
]


@pytest.mark.parametrize(("fields", "word"), BAD, ids=lambda value: str(value)[:40])
def test_what_cannot_be_met_is_refused_and_the_next_request_works(server, fields, word):
    answer = server.chat(**fields)
    assert answer.status == 400, answer.body
    error = answer.json["error"]
    assert error["type"] == "invalid_request_error" and word in error["message"]
    assert server.chat(max_tokens=1).status == 200


def test_an_unknown_model_is_not_found(server):
    answer = server.chat(model="no-such-model")
    assert answer.status == 404 and "no-such-model" in answer.json["error"]["message"]


@pytest.mark.parametrize("raw", [b"", b"{", b"[]", b'"x"', b"\xff\xfe", b'{"messages": NaN}', b"{" * 10_000])
def test_bodies_that_are_no_json(server, raw):
    answer = server.call("/v1/chat/completions", raw=raw, method="POST")
    assert answer.status == 400 and answer.json["error"]["message"]


def test_a_prompt_that_is_too_long_is_refused_with_the_numbers(server):
    listed = server.call(f"/v1/models/{server.model}").json
    length = listed.get("max_model_len")
    if not length or length > 100_000:
        pytest.skip("the context is not told, or too long to fill")
    answer = server.chat("word " * (length + 10))
    assert answer.status == 400 and answer.json["error"]["code"] == "context_length_exceeded"
    assert str(length) in answer.json["error"]["message"]


def test_errors_of_messages_have_their_own_form(server):
    answer = server.messages(max_tokens=0)
    assert answer.status == 400
    assert answer.json["type"] == "error" and answer.json["error"]["type"] == "invalid_request_error"


def test_unknown_routes_and_methods(server):
    assert server.call("/v1/no/such/route", {}).status == 404
    assert server.call("/v1/chat/completions").status == 405


def test_health(server):
    assert server.call("/health").status == 200
