// A conversation: a tree of messages in which editing and answering again make new branches and lose nothing.
//
// nodes: id → message with parent and children; chosen: parent (or "") → the child on the branch that is shown.

const TITLE_CHARS = 60;

export function fresh(id, now_ms, settings = {}, model = "") {
  return { id, title: "", created_ms: now_ms, changed_ms: now_ms, model, settings, nodes: {}, roots: [], chosen: {} };
}

const childrenOf = (conversation, parent) => (parent ? conversation.nodes[parent].children : conversation.roots);

// Puts a message below another (or at the top) and on the branch that is shown.
export function add(conversation, parent, message) {
  conversation.nodes[message.id] = { ...message, parent: parent ?? null, children: [] };
  childrenOf(conversation, parent).push(message.id);
  conversation.chosen[parent ?? ""] = message.id;
  return conversation.nodes[message.id];
}

// The messages of the branch that is shown, first to last.
export function branch(conversation) {
  const found = [];
  let at = "";
  for (;;) {
    const children = childrenOf(conversation, at);
    if (!children.length) return found;
    const chosen = conversation.chosen[at];
    at = children.includes(chosen) ? chosen : children.at(-1);
    found.push(conversation.nodes[at]);
  }
}

// The messages from the top down to one of them.
export function upTo(conversation, id) {
  const found = [];
  for (let node = conversation.nodes[id]; node; node = conversation.nodes[node.parent]) found.unshift(node);
  return found;
}

// Which version of how many a message is.
export function versions(conversation, id) {
  const all = childrenOf(conversation, conversation.nodes[id].parent);
  return { at: all.indexOf(id), all };
}

// Shows another version: the branch below it is the one that was last shown there.
export function turn(conversation, id, by) {
  const { at, all } = versions(conversation, id);
  const next = all[at + by];
  if (next) conversation.chosen[conversation.nodes[id].parent ?? ""] = next;
  return next;
}

// Removes a message and all below it.
export function remove(conversation, id) {
  const { parent } = conversation.nodes[id];
  const siblings = childrenOf(conversation, parent);
  siblings.splice(siblings.indexOf(id), 1);
  const left = [id];
  while (left.length) {
    const next = left.pop();
    left.push(...conversation.nodes[next].children);
    delete conversation.nodes[next];
    delete conversation.chosen[next];
  }
  if (conversation.chosen[parent ?? ""] === id) delete conversation.chosen[parent ?? ""];
}

// The given title, else the beginning of what was asked first.
export function title(conversation) {
  if (conversation.title) return conversation.title;
  const first = branch(conversation).find((node) => node.role === "user");
  const line = first?.content.trim().split("\n")[0].trim() ?? "";
  const chars = [...line];
  return chars.length > TITLE_CHARS ? `${chars.slice(0, TITLE_CHARS).join("").trimEnd()}…` : line || "New conversation";
}
