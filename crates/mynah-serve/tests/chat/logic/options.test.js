import assert from "node:assert/strict";
import { test } from "node:test";
import { advice } from "../../../chat-page/advice.js";
import { fields, toolNames } from "../../../chat-page/options.js";

const tools = JSON.stringify([{ type: "function", function: { name: "f", parameters: {} } }]);

test("what is typed becomes fields of a request; what is empty is not sent", () => {
  assert.deepEqual(fields({ temperature: " ", seed: "" }), { body: {}, system: undefined, errors: {} });
  const { body, system, errors } = fields({ system: " Be brief. ", temperature: "0.5", top_k: "-1", max_tokens: "64", seed: "-7", stop: "a\\nb\n\nc\\\\n", reasoning_effort: "low" });
  assert.deepEqual(body, { temperature: 0.5, top_k: -1, max_tokens: 64, seed: -7, stop: ["a\nb", "c\\n"], reasoning_effort: "low" });
  assert.deepEqual([system, errors], [" Be brief. ", {}]);
});

test("forms of answers", () => {
  assert.deepEqual(fields({ format: "json_object", schema: "not looked at" }).body, { response_format: { type: "json_object" } });
  const schema = { type: "object" };
  const { body } = fields({ format: "json_schema", schema: JSON.stringify(schema) });
  assert.deepEqual(body.response_format, { type: "json_schema", json_schema: { name: "answer", schema } });
  assert.deepEqual(Object.keys(fields({ format: "json_schema" }).errors), ["schema"]);
});

test("tools", () => {
  assert.deepEqual(fields({ tool_choice: "required", parallel_tool_calls: "false" }).body, {});
  assert.deepEqual(fields({ tools: "[]", tool_choice: "required" }).body, {});
  const { body } = fields({ tools, tool_choice: "=f", parallel_tool_calls: "false" });
  assert.deepEqual([body.tools, body.tool_choice, body.parallel_tool_calls], [JSON.parse(tools), { type: "function", function: { name: "f" } }, false]);
  assert.deepEqual(toolNames({ tools: '[{"function": {"name": 3}}, null, {}]' }), []);
  assert.deepEqual(toolNames({ tools }), ["f"]);
});

test("what cannot be sent is said beside its field", () => {
  const wrong = { temperature: "3", top_p: "x", top_k: "1.5", max_tokens: "0", seed: "1e400", tools: "{}", stop: "fine" };
  assert.deepEqual(Object.keys(fields(wrong).errors).sort(), ["max_tokens", "seed", "temperature", "tools", "top_k", "top_p"]);
  assert.match(fields({ temperature: "3" }).errors.temperature, /0 to 2/);
  assert.match(fields({ tools: "[" }).errors.tools, /JSON/);
});

test("every error comes with something to do", () => {
  const cases = [
    [{ status: 0 }, /running/], [{ status: 401 }, /key/, "key"], [{ status: 400, code: "context_length_exceeded" }, /new conversation/, "new"],
    [{ status: 404, code: "model_not_found" }, /another model/, "models"], [{ status: 429, retry_s: 3 }, /3 s/], [{ status: 503 }, /again/],
    [{ status: 400, param: "top_p" }, /“Top p”/, "settings"], [{ status: 400, param: "response_format.json_schema" }, /“Form”/, "settings"],
    [{ status: 400, param: "tools[0]" }, /“Tools”/, "settings"], [{ status: 400, param: "messages[1].content" }, /message/],
    [{ status: 500 }, /again/], [{ status: 413 }, /shorter/], [{ status: 504 }, /fewer/], [{ status: 403 }, /address/],
  ];
  for (const [error, words, action] of cases) {
    const found = advice({ code: "", param: "", ...error });
    assert.match(found.text, words, JSON.stringify(error));
    assert.equal(found.action, action, JSON.stringify(error));
  }
});
