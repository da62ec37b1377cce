import assert from "node:assert/strict";
import { test } from "node:test";
import { EventParser } from "../../../chat-page/sse.js";
import { random } from "./random.js";

const whole = (text) => new EventParser().push(text);

test("events end at an empty line and may have names, comments and several lines", () => {
  assert.deepEqual(whole('data: {"a":1}\n\ndata: [DONE]\n\n').map((event) => event.data), ['{"a":1}', "[DONE]"]);
  assert.deepEqual(whole("event: ping\ndata: x\n\n"), [{ name: "ping", data: "x" }]);
  assert.deepEqual(whole(": still here\n\ndata: a\ndata: b\n\n"), [{ name: "message", data: "a\nb" }]);
  assert.deepEqual(whole("data:no space\n\n")[0].data, "no space");
  assert.deepEqual(whole("data: half"), []);
  assert.deepEqual(whole("event: nothing\n\n"), []);
});

test("however the text is cut, the events are the same", () => {
  const text = 'data: {"a":"ä"}\r\n\r\n: comment\r\ndata: b\r\ndata: c\r\n\r\nevent: e\rdata: d\r\rdata: [DONE]\n\n';
  const expected = whole(text);
  assert.equal(expected.length, 4);
  for (let seed = 1; seed <= 300; seed += 1) {
    const pick = random(seed);
    const parser = new EventParser();
    const found = [];
    for (let at = 0; at < text.length; ) {
      const size = 1 + pick(7);
      found.push(...parser.push(text.slice(at, at + size)));
      at += size;
    }
    assert.deepEqual(found, expected, `seed ${seed}`);
  }
});
