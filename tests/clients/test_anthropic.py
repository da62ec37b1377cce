"""The official anthropic client, asynchronous and streaming, and its typed exceptions."""

import asyncio

import pytest

anthropic = pytest.importorskip("anthropic")

USER = [{"role": "user", "content": "Say something."}]
# Long enough that no machine has read it within a millisecond.
LONG = [{"role": "user", "content": "word " * 300}]


@pytest.fixture
def client(server, key):
    return anthropic.Anthropic(base_url=server.url, api_key=key, max_retries=0, timeout=120)


def read_tokens(answer):
    """Tokens of the prompt, those from the cache among them."""
    return answer.usage.input_tokens + (answer.usage.cache_read_input_tokens or 0)


def test_message(client, server):
    answer = client.messages.create(model=server.model, messages=USER, max_tokens=12, system="Be short.", extra_body={"temperature": 0})
    assert answer.role == "assistant" and answer.stop_reason in ("max_tokens", "end_turn")
    assert answer.usage.output_tokens <= 12


def test_stream_equals_whole(client, server):
    ask = dict(model=server.model, messages=USER, max_tokens=24, extra_body={"temperature": 0})
    whole = client.messages.create(**ask)
    with client.messages.stream(**ask) as stream:
        text = "".join(stream.text_stream)
        final = stream.get_final_message()
    assert text == whole.content[0].text and final.usage.output_tokens == whole.usage.output_tokens


def test_beta_stream(client, server):
    with client.beta.messages.stream(model=server.model, messages=USER, max_tokens=8) as stream:
        kinds = [event.type for event in stream]
    assert kinds[0] == "message_start" and "message_stop" in kinds


def test_asynchronous_streams(server, key):
    async def main():
        async with anthropic.AsyncAnthropic(base_url=server.url, api_key=key, max_retries=0) as client:

            async def one():
                async with client.messages.stream(
                    model=server.model, messages=USER, max_tokens=24, extra_body={"temperature": 0}
                ) as stream:
                    return "".join([text async for text in stream.text_stream])

            return await asyncio.gather(*[one() for _ in range(6)])

    assert len(set(asyncio.run(main()))) == 1


def test_forced_tool(client, server, weather):
    ask = dict(
        model=server.model, messages=USER, max_tokens=200,
        tools=[{"name": "weather", "description": "of a city", "input_schema": weather}],
        tool_choice={"type": "tool", "name": "weather"},
    )
    answer = client.messages.create(**ask)
    use = [block for block in answer.content if block.type == "tool_use"][0]
    assert answer.stop_reason == "tool_use" and set(use.input) == {"city", "unit"}
    with client.messages.stream(**ask) as stream:
        final = stream.get_final_message()
    assert [block.name for block in final.content if block.type == "tool_use"] == ["weather"]
    result = {"type": "tool_result", "tool_use_id": use.id, "content": "18 degrees"}
    history = USER + [
        {"role": "assistant", "content": [block.model_dump(exclude_none=True) for block in answer.content]},
        {"role": "user", "content": [result]},
    ]
    follow = client.messages.create(model=server.model, messages=history, max_tokens=4, tools=ask["tools"])
    assert read_tokens(follow) > read_tokens(answer)


def test_count_tokens(client, server):
    counted = client.messages.count_tokens(model=server.model, messages=USER)
    answer = client.messages.create(model=server.model, messages=USER, max_tokens=1)
    assert counted.input_tokens == read_tokens(answer)


def test_models(client, server):
    assert server.model in [model.id for model in client.models.list()]
    assert client.models.retrieve(server.model).id == server.model


@pytest.mark.parametrize(
    ("change", "error"),
    [
        ({"extra_body": {"temperature": 9}}, "BadRequestError"),
        ({"max_tokens": 0}, "BadRequestError"),
        ({"messages": []}, "BadRequestError"),
        ({"model": "nobody"}, "NotFoundError"),
        ({"messages": [{"role": "user", "content": "word " * 5000}]}, "BadRequestError"),
    ],
)
def test_refusals(client, server, change, error):
    with pytest.raises(getattr(anthropic, error)) as caught:
        client.messages.create(**{"model": server.model, "messages": USER, "max_tokens": 8, **change})
    assert caught.value.body["type"] == "error" and caught.value.body["error"]["message"]


def test_authentication(server):
    with pytest.raises(anthropic.AuthenticationError):
        anthropic.Anthropic(base_url=server.url, api_key="wrong", max_retries=0).messages.create(
            model=server.model, messages=USER, max_tokens=1
        )


def test_permission(server, key):
    client = anthropic.Anthropic(
        base_url=server.url, api_key=key, max_retries=0, default_headers={"Origin": "https://elsewhere.example"}
    )
    with pytest.raises(anthropic.PermissionDeniedError):
        client.messages.create(model=server.model, messages=USER, max_tokens=1)


def test_body_too_large(client, server):
    with pytest.raises(anthropic.APIStatusError) as caught:
        client.messages.create(
            model=server.model, messages=[{"role": "user", "content": "x" * (33 << 20)}], max_tokens=1
        )
    assert caught.value.status_code == 413 and caught.value.body["error"]["type"] == "request_too_large"


def test_rate_limit(limited, key):
    client = anthropic.Anthropic(base_url=limited.url, api_key=key, max_retries=0)
    with pytest.raises(anthropic.RateLimitError):
        for _ in range(4):
            client.messages.create(model=limited.model, messages=USER, max_tokens=1)


def test_timeout_and_connection(request, models, key):
    from conftest import started

    server = started(request, models / "tiny")
    slow = anthropic.Anthropic(base_url=server.url, api_key=key, max_retries=0, timeout=0.001)
    with pytest.raises(anthropic.APITimeoutError):
        slow.messages.create(model=server.model, messages=USER, max_tokens=500)
    server.stop()
    with pytest.raises(anthropic.APIConnectionError):
        anthropic.Anthropic(base_url=server.url, api_key=key, max_retries=0).messages.create(
            model=server.model, messages=USER, max_tokens=1
        )
