import assert from "node:assert/strict";
import { test } from "node:test";
import { add as addChunk, begin, pretty, rate, waits } from "../../../chat-page/answer.js";
import { ImportError, pack, unpack } from "../../../chat-page/exchange.js";
import { messages, request } from "../../../chat-page/request.js";
import { add, branch, fresh, remove, title, turn, upTo, versions } from "../../../chat-page/tree.js";
import { random } from "./random.js";

const answer = (id, content) => ({ id, ...begin("m", 0), content, finish: "stop" });

function sample() {
  const made = fresh("c", 1, { temperature: "0" }, "m");
  add(made, null, { id: "u1", role: "user", content: "Hello there\nmore" });
  add(made, "u1", answer("a1", "one"));
  return made;
}
const ids = (made) => branch(made).map((node) => node.id).join(" ");

test("editing and answering again make versions, and each remembers its branch", () => {
  const made = sample();
  add(made, "u1", answer("a2", "two"));
  add(made, "a2", { id: "u2", role: "user", content: "go on" });
  assert.equal(ids(made), "u1 a2 u2");
  assert.deepEqual(versions(made, "a2"), { at: 1, all: ["a1", "a2"] });
  assert.equal(turn(made, "a2", -1), "a1");
  assert.equal(ids(made), "u1 a1");
  assert.equal(turn(made, "a1", -1), undefined);
  turn(made, "a1", 1);
  assert.equal(ids(made), "u1 a2 u2");
  turn(made, "a2", -1);
  add(made, "u1", answer("a3", "three"));
  assert.equal(ids(made), "u1 a3");
  turn(made, "a3", -1);
  add(made, null, { id: "v1", role: "user", content: "Edited" });
  assert.equal(ids(made), "v1");
  assert.deepEqual(upTo(made, "u2").map((node) => node.id), ["u1", "a2", "u2"]);
  remove(made, "v1");
  assert.equal(ids(made), "u1 a2 u2");
  remove(made, "u1");
  assert.deepEqual([made.nodes, made.roots, made.chosen], [{}, [], {}]);
});

test("a conversation is called by its first line until it is given a name", () => {
  const made = sample();
  assert.equal(title(made), "Hello there");
  made.nodes.u1.content = "x".repeat(100);
  assert.equal([...title(made)].length, 61);
  made.title = "Mine";
  assert.equal(title(made), "Mine");
  assert.equal(title(fresh("e", 0)), "New conversation");
});

test("chunks come to an answer, calls in pieces too", () => {
  const made = begin("m", 1_000);
  const chunk = (delta, finish_reason = null) => ({ model: "n", choices: [{ index: 0, delta, finish_reason }] });
  const call = (index, id, name, text) => chunk({ tool_calls: [{ index, id, function: { name, arguments: text } }] });
  [chunk({ role: "assistant", content: "" }), chunk({ reasoning_content: "hm" }), chunk({ content: "a" }), chunk({ content: "b" }),
    call(0, "x", "f", '{"a"'), call(1, "y", "g", "{}"), call(0, undefined, undefined, ": 1}"), chunk({}, "tool_calls"),
    { choices: [], usage: { prompt_tokens: 3, completion_tokens: 11, prompt_tokens_details: { cached_tokens: 2 } } }]
    .forEach((piece, place) => addChunk(made, piece, 1_000 + 100 * place));
  assert.deepEqual([made.model, made.reasoning, made.content, made.finish], ["n", "hm", "ab", "tool_calls"]);
  assert.deepEqual(made.calls, [{ id: "x", name: "f", arguments: '{"a": 1}' }, { id: "y", name: "g", arguments: "{}" }]);
  assert.deepEqual(made.usage, { prompt: 3, completion: 11, cached: 2 });
  assert.deepEqual([made.first_ms, made.last_ms], [1_100, 1_600]);
  assert.equal(rate(made), 20);
  assert.equal(waits(made), true);
  assert.equal(rate(begin("m", 0)), undefined);
  assert.equal(pretty('{"a":[1]}'), '{\n  "a": [\n    1\n  ]\n}');
  assert.equal(pretty("no json"), "no json");
});

test("a request has the branch, the calls and their results, and no failed answers", () => {
  const made = fresh("c", 0);
  add(made, null, { id: "u", role: "user", content: "q" });
  add(made, "u", { ...answer("a", ""), reasoning: "hm", calls: [{ id: "x", name: "f", arguments: "{}" }] });
  add(made, "a", { id: "t", role: "tool", results: [{ id: "x", name: "f", content: "42" }] });
  add(made, "t", { ...answer("b", ""), error: { message: "no" } });
  assert.deepEqual(messages(branch(made), "be brief"), [
    { role: "system", content: "be brief" },
    { role: "user", content: "q" },
    { role: "assistant", content: null, reasoning_content: "hm", tool_calls: [{ id: "x", type: "function", function: { name: "f", arguments: "{}" } }] },
    { role: "tool", tool_call_id: "x", content: "42" },
  ]);
  const { body } = request("m", branch(made), { temperature: "0" });
  assert.deepEqual([body.model, body.temperature, body.stream, body.stream_options], ["m", 0, true, { include_usage: true }]);
  assert.deepEqual(Object.keys(request("m", [], { temperature: "hot" }).errors), ["temperature"]);
});

test("what is exported comes back, under another name", () => {
  const made = sample();
  add(made, "u1", { ...answer("a2", "two"), usage: { prompt: 1, completion: 2, cached: 0 }, calls: [{ id: "x", name: "f", arguments: "{}" }] });
  add(made, "a2", { id: "t", role: "tool", results: [{ id: "x", name: "f", content: "r" }] });
  turn(made, "a2", -1);
  const [back] = unpack(pack([made]), () => "new");
  assert.deepEqual(JSON.parse(JSON.stringify({ ...back, id: "c" })), JSON.parse(JSON.stringify(made)));
  assert.equal(back.id, "new");
});

test("a file that is not ours, or broken, is refused and says why", () => {
  const broken = (change) => {
    const file = JSON.parse(pack([sample()]));
    change(file, file.conversations[0]);
    return JSON.stringify(file);
  };
  for (const [text, word] of [
    ["", "JSON"], ["[]", "not an export"], [broken((file) => (file.version = 9)), "version 9"],
    [broken((file) => (file.conversations = {})), "list"],
    [broken((_, one) => (one.title = 3)), "title"],
    [broken((_, one) => one.roots.push("nowhere")), "not there"],
    [broken((_, one) => one.nodes.a1.children.push("u1")), "two places"],
    [broken((_, one) => (one.nodes.stray = one.nodes.a1)), "nothing leads to"],
    [broken((_, one) => (one.nodes.a1.role = "root")), "role"],
    [broken((_, one) => (one.nodes.a1.content = {})), "content"],
    [broken((_, one) => (one.nodes.a1.calls = [{ id: 1 }])), "id"],
    [broken((_, one) => (one.settings.seed = 3)), "seed"],
    [pack([sample()]).replace('"a1": {', '"__proto__": {').replaceAll('"a1"', '"__proto__"'), ""],
  ]) {
    assert.throws(() => unpack(text, () => "n"), (error) => error instanceof ImportError && error.message.includes(word), text.slice(0, 80));
  }
});

test("a file with any byte changed is read or refused, never worse", () => {
  const text = pack([sample()]);
  for (let seed = 1; seed <= 500; seed += 1) {
    const pick = random(seed);
    const at = pick(text.length);
    const changed = text.slice(0, at) + '"{}[]:,0a'[pick(9)] + text.slice(at + 1 + pick(3));
    try {
      for (const one of unpack(changed, () => "n")) branch(one);
    } catch (error) {
      assert.ok(error instanceof ImportError, `seed ${seed}: ${error.stack}`);
    }
  }
});
