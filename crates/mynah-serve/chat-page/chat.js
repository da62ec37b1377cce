// The conversation that is shown, what is being answered, and everything that can be done with both.
import { add as addChunk, begin, hasSubstance, waits } from "./answer.js";
import { ApiError, chat } from "./api.js";
import { keep, kept, keptSettings } from "./kept.js";
import { request } from "./request.js";
import { add, branch, fresh, remove, turn, upTo } from "./tree.js";

// How often an answer that is still coming is written down.
const SAVE_MS = 1_000;

const WRONG_SETTING = "A setting cannot be sent as it is.";

const now_ms = () => performance.timeOrigin + performance.now();
// Not crypto.randomUUID: browsers have that on https and localhost only.
export const freshId = () => [...crypto.getRandomValues(new Uint8Array(12))].map((byte) => byte.toString(36).padStart(2, "0")).join("");

export class Chat {
  current;
  models = [];
  #store;
  #running = new Map(); // conversation id → { conversation, node, stopper }
  #listeners = { change: [], grow: [], list: [], trouble: [], refused: [] };

  constructor(store) {
    this.#store = store;
    this.new();
  }

  on(kind, listener) {
    this.#listeners[kind].push(listener);
  }

  #tell(kind, value) {
    for (const listener of this.#listeners[kind]) listener(value);
  }

  // --- which conversation ---

  new() {
    this.current = fresh(freshId(), now_ms(), keptSettings(), kept("model"));
    this.#tell("change");
  }

  async open(id) {
    const found = this.#running.get(id)?.conversation ?? (await this.#store.get(id));
    if (found) this.current = found;
    this.#tell("change");
    return Boolean(found);
  }

  // Another tab has written this one.
  async reload(id) {
    if (id === this.current.id && !this.#running.has(id)) await this.open(id);
  }

  async delete(id) {
    this.stop(id);
    const conversation = await this.#store.get(id);
    await this.#store.delete(id);
    if (id === this.current.id) this.new();
    this.#tell("list");
    return conversation;
  }

  async keep(...conversations) {
    await this.#save(...conversations);
    this.#tell("list");
  }

  async rename(id, title) {
    const conversation = id === this.current.id ? this.current : await this.#store.get(id);
    conversation.title = title.trim();
    await this.keep(conversation);
    this.#tell("change");
  }

  async #save(...conversations) {
    try {
      await this.#store.put(...conversations);
    } catch (error) {
      this.#tell("trouble", `This browser could not keep the conversation: ${error.message}. Export it before you close the page.`);
    }
  }

  // --- settings ---

  set(name, text) {
    if (text) this.current.settings[name] = text;
    else delete this.current.settings[name];
    keep("settings", JSON.stringify(this.current.settings));
    if (this.current.roots.length) this.#save(this.current);
  }

  get model() {
    const names = this.models.map((model) => model.id);
    return names.includes(this.current.model) ? this.current.model : (names[0] ?? "");
  }

  set model(name) {
    this.current.model = name;
    keep("model", name);
    if (this.current.roots.length) this.#save(this.current);
  }

  // --- what is said ---

  get branch() {
    return branch(this.current);
  }

  // The answer that is being written in the conversation that is shown.
  get running() {
    return this.#running.get(this.current.id)?.node;
  }

  // The answer whose calls wait for results.
  get waiting() {
    const last = this.branch.at(-1);
    return waits(last) ? last : undefined;
  }

  // What keeps a message from being sent now: { text, errors }, or nothing.
  get obstacle() {
    if (this.running) return { text: "The model is still answering; stop it first." };
    if (this.waiting) return { text: `The model waits for the result of ${this.waiting.calls.map((call) => call.name).join(", ")}.` };
    const { errors } = request(this.model, [], this.current.settings);
    return errors && { text: WRONG_SETTING, errors };
  }

  say(content) {
    // What failed without a word is not part of the conversation.
    let last = this.branch.at(-1);
    if (last?.role === "assistant" && !hasSubstance(last)) {
      remove(this.current, last.id);
      last = this.branch.at(-1);
    }
    return this.#ask({ role: "user", content }, last?.id ?? null);
  }

  edit(node, content) {
    return this.#ask({ role: "user", content }, node.parent);
  }

  // results: one for each call of an answer.
  giveResults(parent, results) {
    return this.#ask({ role: "tool", results }, parent);
  }

  again(node) {
    const { parent } = node;
    if (!hasSubstance(node) && !node.reasoning) remove(this.current, node.id);
    return this.#answer(parent);
  }

  // Answers a message that has none, because it was stopped or failed before.
  answerLast() {
    return this.#answer(this.branch.at(-1).id);
  }

  turn(node, by) {
    turn(this.current, node.id, by);
    this.#save(this.current);
    this.#tell("change");
  }

  stop(id = this.current.id) {
    this.#running.get(id)?.stopper.abort();
  }

  #ask(message, parent) {
    const node = add(this.current, parent, { id: freshId(), ...message });
    return this.#answer(node.id);
  }

  async #answer(parent) {
    const conversation = this.current;
    const { body, errors } = request(this.model, upTo(conversation, parent), conversation.settings);
    if (errors) {
      this.#tell("change");
      this.#tell("refused", { text: WRONG_SETTING, errors });
      return;
    }
    const node = add(conversation, parent, { id: freshId(), ...begin(this.model, now_ms()) });
    const stopper = new AbortController();
    this.#running.set(conversation.id, { conversation, node, stopper });
    conversation.changed_ms = now_ms();
    this.#tell("change");
    this.keep(conversation);
    let saved_ms = now_ms();
    try {
      for await (const chunk of chat(body, stopper.signal)) {
        addChunk(node, chunk, now_ms());
        if (conversation === this.current) this.#tell("grow", node);
        if (now_ms() - saved_ms > SAVE_MS) {
          saved_ms = now_ms();
          this.#save(conversation);
        }
      }
      node.finish ??= "stop";
    } catch (error) {
      if (error.name === "AbortError") node.finish = "stopped";
      else {
        node.finish = "error";
        node.error = facts(error);
      }
      node.calls = node.calls.filter((call) => call && isJson(call.arguments));
    }
    this.#running.delete(conversation.id);
    if (node.finish === "stopped" && !hasSubstance(node) && !node.reasoning) remove(conversation, node.id);
    conversation.changed_ms = now_ms();
    if (await this.#isKept(conversation.id)) await this.keep(conversation);
    this.#tell("change", node);
  }

  // It may have been deleted while it was being answered.
  async #isKept(id) {
    return id === this.current.id || Boolean(await this.#store.get(id));
  }
}

function facts(error) {
  if (error instanceof ApiError) {
    const { status, code, param, retry_s, message } = error;
    return { status, code, param, retry_s, message };
  }
  return { status: 500, code: "", param: "", message: `The answer could not be read: ${error.message}` };
}

function isJson(text) {
  try {
    JSON.parse(text);
    return true;
  } catch {
    return false;
  }
}
