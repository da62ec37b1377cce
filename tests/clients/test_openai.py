"""The official openai client, asynchronous and streaming, over every endpoint and every typed exception."""

import asyncio
import json
import math

import pytest

openai = pytest.importorskip("openai")

USER = [{"role": "user", "content": "Say something."}]


@pytest.fixture
def client(server, key):
    return openai.OpenAI(base_url=server.url + "/v1", api_key=key, max_retries=0, timeout=120)


def run(server, key, work):
    """Runs `work(client)` with an asynchronous client."""

    async def main():
        async with openai.AsyncOpenAI(base_url=server.url + "/v1", api_key=key, max_retries=0, timeout=120) as client:
            return await work(client)

    return asyncio.run(main())


def test_models(client, server):
    names = [model.id for model in client.models.list()]
    assert server.model in names
    assert client.models.retrieve(server.model).object == "model"


def test_chat(client, server):
    answer = client.chat.completions.create(model=server.model, messages=USER, max_tokens=12, temperature=0)
    assert answer.choices[0].finish_reason in ("length", "stop")
    assert answer.usage.completion_tokens <= 12
    assert answer.usage.total_tokens == answer.usage.prompt_tokens + answer.usage.completion_tokens


def test_chat_stream_equals_whole(client, server):
    ask = dict(model=server.model, messages=USER, max_tokens=24, temperature=0.8, seed=5)
    whole = client.chat.completions.create(**ask)
    chunks = list(client.chat.completions.create(**ask, stream=True, stream_options={"include_usage": True}))
    text = "".join(chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices)
    assert text == whole.choices[0].message.content
    assert chunks[-1].usage == whole.usage or chunks[-1].usage.completion_tokens == whole.usage.completion_tokens
    assert not chunks[-1].choices


def test_chat_asynchronous_streams_side_by_side(server, key):
    async def one(client, seed):
        stream = await client.chat.completions.create(
            model=server.model, messages=USER, max_tokens=24, seed=seed, temperature=1, stream=True
        )
        return "".join([chunk.choices[0].delta.content or "" async for chunk in stream if chunk.choices])

    async def work(client):
        together = await asyncio.gather(*[one(client, seed) for seed in range(8)])
        alone = [await one(client, seed) for seed in range(8)]
        return together, alone

    together, alone = run(server, key, work)
    assert together == alone
    assert len(set(alone)) > 1


def test_several_choices_and_logprobs(client, server):
    answer = client.chat.completions.create(
        model=server.model, messages=USER, max_tokens=6, n=3, logprobs=True, top_logprobs=2, seed=1
    )
    assert [choice.index for choice in answer.choices] == [0, 1, 2]
    for choice in answer.choices:
        for token in choice.logprobs.content:
            assert token.logprob <= 0 and len(token.top_logprobs) == 2
            assert token.top_logprobs[0].logprob >= token.top_logprobs[1].logprob


def test_json_schema(client, server, weather):
    answer = client.chat.completions.create(
        model=server.model, messages=USER, max_tokens=200, seed=3,
        response_format={"type": "json_schema", "json_schema": {"name": "weather", "schema": weather, "strict": True}},
    )
    found = json.loads(answer.choices[0].message.content)
    assert set(found) == {"city", "unit"} and found["unit"] in ("celsius", "fahrenheit")


def test_parse_into_a_type(client, server):
    pydantic = pytest.importorskip("pydantic")

    class Answer(pydantic.BaseModel):
        yes: bool
        level: int = pydantic.Field(ge=0, le=9)

    parsed = client.chat.completions.parse(
        model=server.model, messages=USER, max_tokens=200, response_format=Answer, seed=2
    )
    assert isinstance(parsed.choices[0].message.parsed, Answer)


def test_forced_tool_whole_and_streamed(client, server, weather):
    ask = dict(
        model=server.model, messages=USER, max_tokens=200, seed=4,
        tools=[{"type": "function", "function": {"name": "weather", "parameters": weather}}],
        tool_choice={"type": "function", "function": {"name": "weather"}},
    )
    call = client.chat.completions.create(**ask).choices[0].message.tool_calls[0]
    assert call.function.name == "weather" and set(json.loads(call.function.arguments)) == {"city", "unit"}
    with client.chat.completions.stream(**ask) as stream:
        kinds = {event.type for event in stream}
        final = stream.get_final_completion()
    assert "tool_calls.function.arguments.done" in kinds
    streamed = final.choices[0].message.tool_calls[0]
    assert json.loads(streamed.function.arguments) == json.loads(call.function.arguments)
    assert final.choices[0].finish_reason == "tool_calls"


def test_answer_of_a_tool_is_taken(client, server):
    call = {"id": "call_1", "type": "function", "function": {"name": "weather", "arguments": '{"city": "Paris"}'}}
    history = USER + [
        {"role": "assistant", "content": None, "tool_calls": [call]},
        {"role": "tool", "tool_call_id": "call_1", "content": "18 degrees"},
    ]
    answer = client.chat.completions.create(model=server.model, messages=history, max_tokens=4)
    assert answer.usage.prompt_tokens > 20


def test_completions(client, server):
    answer = client.completions.create(
        model=server.model, prompt=["One", "Two"], max_tokens=4, echo=True, logprobs=1, temperature=0
    )
    assert [choice.index for choice in answer.choices] == [0, 1]
    assert answer.choices[0].text.startswith("One") and answer.choices[1].text.startswith("Two")
    tokens = answer.choices[0].logprobs
    assert tokens.token_logprobs[0] is None and all(value <= 0 for value in tokens.token_logprobs[1:])
    chunks = list(client.completions.create(model=server.model, prompt="One", max_tokens=4, stream=True, temperature=0))
    assert "One" + "".join(chunk.choices[0].text for chunk in chunks) == answer.choices[0].text


def test_responses(client, server):
    answer = client.responses.create(
        model=server.model, input="Say something.", instructions="Be short.", max_output_tokens=16, temperature=0
    )
    assert answer.status in ("completed", "incomplete") and answer.output[0].type == "message"
    again = client.responses.retrieve(answer.id)
    assert again.output_text == answer.output_text
    follow = client.responses.create(
        model=server.model, input="Go on.", previous_response_id=answer.id, max_output_tokens=16
    )
    assert follow.usage.input_tokens > answer.usage.input_tokens
    client.responses.delete(answer.id)
    with pytest.raises(openai.NotFoundError):
        client.responses.retrieve(answer.id)


def test_responses_stream(client, server):
    ask = dict(model=server.model, input="Say something.", max_output_tokens=16, temperature=0.7)
    with client.responses.stream(**ask) as stream:
        events = list(stream)
    assert events[0].type == "response.created"
    # The client's own final response exists only of answers that were not cut off.
    final = events[-1].response
    assert [event.sequence_number for event in events] == list(range(len(events)))
    text = "".join(event.delta for event in events if event.type == "response.output_text.delta")
    assert text == final.output_text


def test_responses_tool_and_type(client, server, weather):
    pydantic = pytest.importorskip("pydantic")
    answer = client.responses.create(
        model=server.model, input="Weather?", max_output_tokens=200, tool_choice={"type": "function", "name": "weather"},
        tools=[{"type": "function", "name": "weather", "parameters": weather, "strict": True}],
    )
    calls = [item for item in answer.output if item.type == "function_call"]
    assert calls and set(json.loads(calls[0].arguments)) == {"city", "unit"}

    class Answer(pydantic.BaseModel):
        yes: bool

    parsed = client.responses.parse(model=server.model, input="Yes?", text_format=Answer, max_output_tokens=100)
    assert isinstance(parsed.output_parsed, Answer)


def test_responses_asynchronous(server, key):
    async def work(client):
        stream = await client.responses.create(
            model=server.model, input="Say something.", max_output_tokens=12, stream=True
        )
        return [event.type async for event in stream]

    kinds = run(server, key, work)
    assert kinds[0] == "response.created" and kinds[-1] in ("response.completed", "response.incomplete")


def test_embeddings(embedder, key):
    client = openai.OpenAI(base_url=embedder.url + "/v1", api_key=key, max_retries=0)
    texts = ["a bird listens", "a bird sings", "twelve"]
    rows = client.embeddings.create(model=embedder.model, input=texts).data
    assert [row.index for row in rows] == [0, 1, 2] and len(rows[0].embedding) == 32
    raw = client.embeddings.create(model=embedder.model, input=texts, encoding_format="float").data
    # The client asks for base64 by default: both ways must give the same numbers.
    for left, right in zip(rows, raw):
        assert all(math.isclose(a, b, rel_tol=1e-6, abs_tol=1e-7) for a, b in zip(left.embedding, right.embedding))
    with pytest.raises(openai.BadRequestError) as caught:
        client.embeddings.create(model=embedder.model, input="a " * 500)
    assert "128" in str(caught.value)


def test_bad_request(client, server):
    with pytest.raises(openai.BadRequestError) as caught:
        client.chat.completions.create(model=server.model, messages=USER, temperature=9)
    assert caught.value.param == "temperature" and caught.value.type == "invalid_request_error"


def test_too_many_tokens(client, server):
    long = [{"role": "user", "content": "word " * 5000}]
    with pytest.raises(openai.BadRequestError) as caught:
        client.chat.completions.create(model=server.model, messages=long)
    assert caught.value.code == "context_length_exceeded" and "2048" in str(caught.value)


def test_authentication(server):
    client = openai.OpenAI(base_url=server.url + "/v1", api_key="wrong", max_retries=0)
    with pytest.raises(openai.AuthenticationError) as caught:
        client.models.list()
    assert caught.value.code == "invalid_api_key"


def test_permission(server, key):
    client = openai.OpenAI(
        base_url=server.url + "/v1", api_key=key, max_retries=0, default_headers={"Origin": "https://elsewhere.example"}
    )
    with pytest.raises(openai.PermissionDeniedError):
        client.models.list()


def test_not_found(client):
    with pytest.raises(openai.NotFoundError) as caught:
        client.chat.completions.create(model="nobody", messages=USER)
    assert caught.value.code == "model_not_found"


def test_body_too_large(client, server):
    with pytest.raises(openai.APIStatusError) as caught:
        client.completions.create(model=server.model, prompt="x" * (33 << 20))
    assert caught.value.status_code == 413


def test_rate_limit(limited, key):
    client = openai.OpenAI(base_url=limited.url + "/v1", api_key=key, max_retries=0)
    with pytest.raises(openai.RateLimitError) as caught:
        for _ in range(4):
            client.models.list()
    assert caught.value.code == "rate_limit_exceeded" and "retry-after" in caught.value.response.headers


def test_timeout(server, key):
    client = openai.OpenAI(base_url=server.url + "/v1", api_key=key, max_retries=0, timeout=0.001)
    with pytest.raises(openai.APITimeoutError):
        # Long enough that no machine has read it within a millisecond.
        long = [{"role": "user", "content": "word " * 300}]
        client.chat.completions.create(model=server.model, messages=long, max_tokens=200)


def test_connection(request, models, key):
    from conftest import started

    server = started(request, models / "tiny")
    server.stop()
    client = openai.OpenAI(base_url=server.url + "/v1", api_key=key, max_retries=0)
    with pytest.raises(openai.APIConnectionError):
        client.models.list()


def test_client_that_goes_away(client, server):
    stream = client.chat.completions.create(model=server.model, messages=USER, max_tokens=1500, stream=True)
    next(iter(stream))
    stream.close()
    # The engine is free at once: an answer that needs all of its slots comes.
    answer = client.chat.completions.create(model=server.model, messages=USER, max_tokens=4, n=4)
    assert len(answer.choices) == 4
