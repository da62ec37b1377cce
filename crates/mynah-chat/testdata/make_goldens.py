"""Renders the templates of this folder with transformers and writes what comes out.

    python crates/mynah-chat/testdata/make_goldens.py

needs `pip install transformers jinja2`. For each templates/NAME.jinja it writes NAME.json: a list of cases, each with the
messages, the tools, the options and either the text or, where the template refuses the conversation, null.
"""

import copy
import datetime
import json
import pathlib

import transformers.utils.chat_template_utils as utils

HERE = pathlib.Path(__file__).parent


class Clock(datetime.datetime):
    @classmethod
    def now(cls, tz=None):
        return cls(2024, 2, 29, 13, 5, 9)


utils.datetime = Clock

TOOLS = [
    {"type": "function", "function": {
        "name": "get_weather", "description": "Weather <of> a \"city\" — é.",
        "parameters": {"type": "object", "properties": {
            "city": {"type": "string", "description": "City & country"},
            "unit": {"type": "string", "enum": ["c", "f"]},
            "days": {"type": "array", "items": {"type": "integer"}},
            "area": {"type": "object", "properties": {"x": {"type": "number"}}, "required": ["x"]},
        }, "required": ["city"]}}},
    {"type": "function", "function": {
        "name": "noop", "description": "Nothing", "parameters": {"type": "object", "properties": {}}}},
]
ARGUMENTS = {"city": "Zürich \"x\"", "unit": "c", "days": [1, 2], "area": {"x": 1.5, "y": None, "z": True}}


def user(text):
    return {"role": "user", "content": text}


def assistant(text, **more):
    return {"role": "assistant", "content": text, **more}


def call(number, name, arguments):
    return {"id": f"abcdefg{number:02}", "type": "function", "function": {"name": name, "arguments": arguments}}


def result(number, name, text):
    return {"role": "tool", "content": text, "tool_call_id": f"abcdefg{number:02}", "name": name}


SYSTEM = {"role": "system", "content": " Be brief. "}
CASES = [
    ([user("Hi <there>\n")], None, {}),
    ([SYSTEM, user("Hi"), assistant("Hello!"), user("Bye")], None, {}),
    ([user("Hi"), assistant("Hello! ")], None, {"add_generation_prompt": False}),
    ([user("Hi"), assistant("Hello, I ")], None, {"continue_final_message": True}),
    ([SYSTEM, user("Weather?")], TOOLS, {}),
    ([user("Weather?"), assistant("", tool_calls=[call(1, "get_weather", ARGUMENTS)]), result(1, "get_weather", "{\"t\": 3}")],
     TOOLS, {}),
    ([user("Weather?"), assistant("Look.", tool_calls=[call(1, "get_weather", ARGUMENTS), call(2, "noop", {})]),
      result(1, "get_weather", "3"), result(2, "noop", "ok"), assistant("It is 3."), user("Thanks")], TOOLS, {}),
    ([user("1+1"), assistant("2", reasoning_content="Easy.\n"), user("2+2")], None, {"kwargs": {"enable_thinking": False}}),
    ([user("1+1"), assistant("", reasoning_content="Use it.", tool_calls=[call(1, "noop", {})]), result(1, "noop", "ok")],
     TOOLS, {"kwargs": {"enable_thinking": True, "reasoning_effort": "high"}}),
    ([user("1+1"), assistant("<think>\nhm\n</think>\n\n2"), user("ok")], None, {}),
]


def render(source, messages, tools, options):
    options = dict(options)
    kwargs = options.pop("kwargs", {})
    generation = options.pop("add_generation_prompt", True) and not options.get("continue_final_message", False)
    try:
        rendered, _ = utils.render_jinja_template(
            [copy.deepcopy(messages)], tools=copy.deepcopy(tools), chat_template=source, bos_token="<s>", eos_token="</s>",
            add_generation_prompt=generation, **options, **kwargs)
    except Exception:
        return None
    return rendered[0]


for path in sorted((HERE / "templates").glob("*.jinja")):
    source = path.read_text()
    cases = CASES[:2] if path.stem in ("python_values", "whitespace") else CASES
    lines = [
        json.dumps({"messages": messages, "tools": tools, "options": options,
                    "expect": render(source, messages, tools, options)}, ensure_ascii=False)
        for messages, tools, options in cases
    ]
    (HERE / f"{path.stem}.json").write_text("[\n" + ",\n".join(lines) + "\n]\n")
    print(path.stem, sum('"expect": null' not in line for line in lines), "of", len(lines), "rendered")
