// Conversations as a file, and back. What comes from a file is checked in full before any of it is kept.

const FORMAT = "mynah-chat";
const VERSION = 1;
export const FILE_BYTES_MAX = 64 << 20;
const CONVERSATIONS_MAX = 10_000;
const NODES_MAX = 20_000;

export const pack = (conversations) => JSON.stringify({ format: FORMAT, version: VERSION, conversations }, null, 1);

export class ImportError extends Error {}

const refuse = (message) => {
  throw new ImportError(message);
};

// The conversations of a file, under new names, so that an import never replaces anything.
export function unpack(text, freshId) {
  let found;
  try {
    found = JSON.parse(text);
  } catch (error) {
    refuse(`it is not JSON: ${error.message}`);
  }
  if (found?.format !== FORMAT) refuse("it is not an export of this page");
  if (found.version !== VERSION) refuse(`it has version ${found.version}; this page reads version ${VERSION}`);
  const all = found.conversations;
  if (!Array.isArray(all) || all.length > CONVERSATIONS_MAX) refuse("its list of conversations is missing or too long");
  return all.map((one, index) => conversation(one, `conversation ${index + 1}`, freshId));
}

function conversation(from, place, freshId) {
  const text = (value, name) => (typeof value === "string" ? value : refuse(`${place}: ${name} is no text`));
  const time = (value) => (Number.isFinite(value) ? value : 0);
  const nodes = isObject(from) && isObject(from.nodes) ? from.nodes : refuse(`${place} has no messages`);
  if (Object.keys(nodes).length > NODES_MAX) refuse(`${place} has more than ${NODES_MAX} messages`);
  const made = {
    id: freshId(), title: text(from.title, "title"), model: text(from.model, "model"),
    created_ms: time(from.created_ms), changed_ms: time(from.changed_ms), settings: {}, nodes: {}, roots: [], chosen: {},
  };
  for (const [name, value] of Object.entries(isObject(from.settings) ? from.settings : {})) {
    if (!isName(name)) refuse(`${place}: a setting has a name that cannot be kept`);
    made.settings[name] = text(value, `setting ${name}`);
  }
  // Every message is reached from the top exactly once: no loops, no strays.
  const left = list(from.roots, place).map((id) => [id, null]).reverse();
  while (left.length) {
    const [id, parent] = left.pop();
    if (!isName(id) || !Object.hasOwn(nodes, id)) refuse(`${place} names a message that is not there`);
    if (Object.hasOwn(made.nodes, id)) refuse(`${place} has a message in two places`);
    const node = message(nodes[id], `${place}, message ${id}`, text);
    made.nodes[id] = { ...node, id, parent, children: [] };
    (parent === null ? made.roots : made.nodes[parent].children).push(id);
    for (const child of list(nodes[id].children, place).slice().reverse()) left.push([child, id]);
  }
  if (Object.keys(made.nodes).length !== Object.keys(nodes).length) refuse(`${place} has messages that nothing leads to`);
  for (const [parent, child] of Object.entries(isObject(from.chosen) ? from.chosen : {})) {
    if (Object.hasOwn(made.nodes, child) && (made.nodes[child].parent ?? "") === parent) made.chosen[parent] = child;
  }
  return made;
}

function message(from, place, text) {
  if (!isObject(from)) refuse(`${place} is no object`);
  if (from.role === "user") return { role: "user", content: text(from.content, "content") };
  if (from.role === "tool") {
    const results = list(from.results, place).map((result) => ({
      id: text(result?.id, "a call's id"), name: text(result?.name, "a tool's name"), content: text(result?.content, "a result"),
    }));
    return { role: "tool", results };
  }
  if (from.role !== "assistant") refuse(`${place} has the role ${JSON.stringify(from.role)}`);
  const calls = list(from.calls, place).map((call) => ({
    id: text(call?.id, "a call's id"), name: text(call?.name, "a tool's name"), arguments: text(call?.arguments, "arguments"),
  }));
  const made = { role: "assistant", content: text(from.content, "content"), reasoning: text(from.reasoning, "reasoning"), model: text(from.model, "model"), calls };
  made.served = (Array.isArray(from.served) ? from.served : []).map((call) => ({
    name: text(call?.name, "a tool's name"), arguments: text(call?.arguments, "arguments"), output: text(call?.output, "a result"),
  }));
  made.finish = typeof from.finish === "string" ? from.finish : "stop";
  for (const name of ["started_ms", "first_ms", "last_ms"]) if (Number.isFinite(from[name])) made[name] = from[name];
  if (isObject(from.usage) && ["prompt", "completion", "cached"].every((name) => Number.isFinite(from.usage[name]))) {
    const { prompt, completion, cached } = from.usage;
    made.usage = { prompt, completion, cached };
  }
  return made;
}

const isObject = (value) => typeof value === "object" && value !== null && !Array.isArray(value);
const isName = (name) => typeof name === "string" && name.length <= 100 && name !== "__proto__";
const list = (value, place) => (Array.isArray(value) ? value : refuse(`${place} lacks a list`));
