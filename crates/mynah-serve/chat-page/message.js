// How messages look: the person's, tools' results, and the model's answers.
import { hasSubstance, rate } from "./answer.js";
import { advice } from "./advice.js";
import { CallsView, ranView } from "./calls.js";
import { button, copyButton, el, grow } from "./dom.js";
import { draw } from "./render.js";
import { versions } from "./tree.js";

// What all have: versions to page through, and buttons.
function foot(chat, node, ...parts) {
  const { at, all } = versions(chat.current, node.id);
  const isBusy = Boolean(chat.running);
  const page = (by, label, sign) => button(sign, () => chat.turn(node, by), { disabled: isBusy || !all[at + by], "aria-label": label, title: label });
  const pager = all.length > 1 && el("span", { class: "pager", role: "group", "aria-label": "Versions" },
    page(-1, "Earlier version", "‹"), el("span", {}, `${at + 1}/${all.length}`), page(1, "Later version", "›"));
  return [pager, ...parts].filter(Boolean);
}

export class UserView {
  constructor(chat, node) {
    Object.assign(this, { chat, message: node, text: el("div", { class: "text plain" }), foot: el("footer") });
    this.node = el("article", { class: "message user", "aria-label": "You", "data-id": node.id }, this.text, this.foot);
    this.text.textContent = node.content;
  }

  update() {
    if (this.editor) return;
    const { chat, message } = this;
    this.foot.replaceChildren(...foot(chat, message, copyButton(() => message.content), button("Edit", () => this.edit(), { disabled: Boolean(chat.running), class: "edit" })));
  }

  // Opens a field with the text; what is sent begins a new branch.
  edit() {
    if (this.editor || this.chat.running) return;
    const field = el("textarea", { "aria-label": "Edit your message", rows: "2" });
    field.value = this.message.content;
    const close = () => {
      this.editor = undefined;
      this.node.replaceChildren(this.text, this.foot);
      this.update();
    };
    const send = () => {
      const text = field.value.trim();
      if (!text || this.chat.running) return;
      close();
      this.chat.edit(this.message, text);
    };
    field.addEventListener("input", () => grow(field));
    field.addEventListener("keydown", (event) => {
      if (event.key === "Enter" && !event.shiftKey && !event.isComposing) send();
      else if (event.key === "Escape") close();
      else return;
      event.preventDefault();
      event.stopPropagation();
    });
    this.editor = field;
    this.node.replaceChildren(field, el("footer", { class: "shown" }, button("Send", send, { class: "main" }), button("Cancel", close), el("span", { class: "quiet" }, "The old version stays")));
    grow(field);
    field.focus();
    field.setSelectionRange(field.value.length, field.value.length);
  }
}

export class ResultsView {
  constructor(chat, node) {
    Object.assign(this, { chat, message: node, foot: el("footer") });
    const results = node.results.map(({ name, content }) => el("div", { class: "result" }, el("div", { class: "quiet" }, "Result of ", el("code", {}, name)), el("pre", { tabindex: "0" }, content)));
    this.node = el("article", { class: "message results", "aria-label": "Tool results", "data-id": node.id }, results, this.foot);
  }

  update() {
    this.foot.replaceChildren(...foot(this.chat, this.message));
  }
}

const ENDS = { length: "cut: no tokens left", stopped: "stopped by you", content_filter: "filtered" };

export class AnswerView {
  constructor(chat, node, actions) {
    this.chat = chat;
    this.message = node;
    this.actions = actions;
    this.reasoned = el("div", { class: "text" });
    this.summary = el("summary");
    this.reasoning = el("details", { class: "reasoning" }, this.summary, this.reasoned);
    // Whoever has opened or closed it by hand decides from then on.
    this.summary.addEventListener("click", () => (this.isByHand = true));
    this.text = el("div", { class: "text" });
    this.ran = el("details", { class: "ran" });
    this.calls = new CallsView(chat, node);
    this.problem = el("div", { class: "problem", role: "alert" });
    this.foot = el("footer");
    const head = el("div", { class: "who quiet" }, node.model);
    this.node = el("article", { class: "message answer", "aria-label": "Answer", "data-id": node.id }, head, this.reasoning, this.ran, this.text, this.calls.node, this.problem, this.foot);
  }

  get isRunning() {
    return this.chat.running?.id === this.message.id;
  }

  // Draws what has come since the last time.
  grow() {
    const { message, isRunning } = this;
    const isThinking = isRunning && !message.content && !message.calls.length;
    this.node.classList.toggle("running", isRunning);
    this.node.classList.toggle("empty", isThinking && !message.reasoning);
    this.reasoning.hidden = !message.reasoning;
    this.summary.textContent = isThinking ? "Thinking…" : "Reasoning";
    if (!this.isByHand) this.reasoning.open = isThinking && Boolean(message.reasoning);
    draw(this.reasoned, message.reasoning);
    ranView(this.ran, message.served ?? []);
    draw(this.text, message.content);
    this.text.hidden = !message.content;
    this.calls.update(isRunning);
  }

  update() {
    this.grow();
    const { chat, message, isRunning } = this;
    this.problem.hidden = !message.error || isRunning;
    this.problem.replaceChildren(...(message.error ? this.trouble(message.error) : []));
    const again = button(message.error ? "Try again" : "Answer again", () => chat.again(message), { disabled: Boolean(chat.running), class: "again", title: "r" });
    const copy = hasSubstance(message) && message.content && copyButton(() => message.content);
    this.foot.classList.toggle("shown", Boolean(message.error));
    this.foot.replaceChildren(...(isRunning ? [] : foot(chat, message, copy, again, el("span", { class: "figures quiet" }, ...this.figures()))));
  }

  trouble(error) {
    const { text, action } = advice(error);
    const help = action && this.actions[action];
    return [el("p", { class: "what" }, error.message), el("p", {}, text), help && button(help.label, help.run)].filter(Boolean);
  }

  // Tokens, rate and how it ended.
  figures() {
    const { usage, finish, first_ms, started_ms } = this.message;
    const parts = [];
    const end = finish === null ? "interrupted" : ENDS[finish];
    if (end) parts.push(el("span", { class: "end" }, end));
    if (usage) {
      const cached = usage.cached ? ` (${count(usage.cached)} from the cache)` : "";
      parts.push(el("span", { title: `${count(usage.prompt)} tokens read${cached}, ${count(usage.completion)} written` }, `${count(usage.completion)} tokens`));
    }
    const speed = rate(this.message);
    if (speed) parts.push(el("span", {}, `${count(Number(speed.toPrecision(3)))} tokens/s`));
    if (first_ms) parts.push(el("span", { title: "Time to the first token" }, `first after ${duration(first_ms - started_ms)}`));
    return parts;
  }
}

export const count = (number) => number.toLocaleString("en");
const duration = (ms) => (ms < 995 ? `${Math.max(1, Math.round(ms))} ms` : `${(ms / 1000).toPrecision(2)} s`);
