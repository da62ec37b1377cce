"""One scenario each of the frameworks that people put over the clients."""

import json
import os

import pytest

# Without this litellm looks for a price list on the network when it is imported.
os.environ.setdefault("LITELLM_LOCAL_MODEL_COST_MAP", "True")

USER = [{"role": "user", "content": "Say something."}]


def test_litellm(server, key, weather):
    litellm = pytest.importorskip("litellm")
    ask = dict(model="openai/" + server.model, api_base=server.url + "/v1", api_key=key, messages=USER)
    whole = litellm.completion(**ask, max_tokens=16, temperature=0)
    chunks = litellm.completion(**ask, max_tokens=16, temperature=0, stream=True)
    text = "".join(chunk.choices[0].delta.content or "" for chunk in chunks)
    assert text == whole.choices[0].message.content
    tools = [{"type": "function", "function": {"name": "weather", "parameters": weather}}]
    called = litellm.completion(**ask, max_tokens=200, tools=tools, tool_choice="required")
    assert set(json.loads(called.choices[0].message.tool_calls[0].function.arguments)) == {"city", "unit"}
    with pytest.raises(litellm.exceptions.BadRequestError):
        litellm.completion(**ask, temperature=9)


def test_langchain(server, key):
    chat = pytest.importorskip("langchain_openai")
    pydantic = pytest.importorskip("pydantic")
    model = chat.ChatOpenAI(
        model=server.model, base_url=server.url + "/v1", api_key=key, max_tokens=200, temperature=0, max_retries=0
    )
    whole = model.invoke("Say something.").content
    assert "".join(chunk.content for chunk in model.stream("Say something.")) == whole
    assert model.invoke("Say something.").usage_metadata["output_tokens"] > 0

    class Weather(pydantic.BaseModel):
        """The weather of a city."""

        unit: str = pydantic.Field(pattern="^(celsius|fahrenheit)$")
        level: int = pydantic.Field(ge=0, le=9)

    for method in ("json_schema", "function_calling"):
        found = model.with_structured_output(Weather, method=method).invoke("Weather?")
        assert isinstance(found, Weather)


def test_instructor(server, key):
    instructor = pytest.importorskip("instructor")
    openai = pytest.importorskip("openai")
    pydantic = pytest.importorskip("pydantic")

    class Person(pydantic.BaseModel):
        model_config = {"extra": "forbid"}
        age: int = pydantic.Field(ge=0, le=120)
        tall: bool

    client = openai.OpenAI(base_url=server.url + "/v1", api_key=key, max_retries=0)
    for mode in (instructor.Mode.TOOLS, instructor.Mode.JSON_SCHEMA):
        asked = instructor.from_openai(client, mode=mode)
        person = asked.chat.completions.create(
            model=server.model, messages=USER, response_model=Person, max_tokens=300, max_retries=0
        )
        assert isinstance(person, Person)
