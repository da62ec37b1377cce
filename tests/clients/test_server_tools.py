"""Tools that the server runs, with a model that calls them by itself."""

import json
import urllib.request

import pytest
from conftest import KEY, started


@pytest.fixture(scope="module")
def caller(request, models, tmp_path_factory):
    """A server with `--tools python` and a model that was trained to call it."""
    import calling_model

    asked = started(request, models / "tiny", "--tools", "python")
    call = urllib.request.Request(asked.url + "/v1/models", headers={"Authorization": f"Bearer {KEY}"})
    with urllib.request.urlopen(call) as answer:
        tools = json.load(answer)["data"][0]["server_tools"]
    folder = tmp_path_factory.mktemp("calling") / "caller"
    calling_model.make(folder, tools)
    return started(request, folder, "--tools", "python")


def asked(caller, stream=False):
    import calling_model

    openai = pytest.importorskip("openai")
    client = openai.OpenAI(base_url=caller.url + "/v1", api_key=KEY, max_retries=0)
    return client.chat.completions.create(
        model=caller.model, temperature=0, max_tokens=200, stream=stream,
        messages=[{"role": "user", "content": calling_model.question(17, 23)}],
    )


def test_the_model_calls_python_and_says_what_came_out(caller):
    choice = asked(caller).choices[0]
    served = choice.message.server_tool_calls
    assert [(call["function"]["name"], call["output"]) for call in served] == [("python", "391")]
    assert json.loads(served[0]["function"]["arguments"]) == {"code": "print(17 * 23)"}
    assert choice.message.content.strip() == "It is 391."
    assert choice.finish_reason == "stop" and not choice.message.tool_calls


def test_in_a_stream_the_call_is_told_between_the_texts(caller):
    text, outputs = "", []
    for chunk in asked(caller, stream=True):
        delta = chunk.choices[0].delta
        text += delta.content or ""
        outputs += [call["output"] for call in getattr(delta, "server_tool_calls", None) or []]
    assert text.strip() == "It is 391." and outputs == ["391"]


def test_the_messages_api_answers_through_the_tool_too(caller):
    import calling_model

    anthropic = pytest.importorskip("anthropic")
    client = anthropic.Anthropic(base_url=caller.url, api_key=KEY, max_retries=0)
    message = client.messages.create(
        model=caller.model, max_tokens=200, extra_body={"temperature": 0},
        messages=[{"role": "user", "content": calling_model.question(12, 34)}],
    )
    assert message.content[-1].text.strip() == "It is 408." and message.stop_reason == "end_turn"
