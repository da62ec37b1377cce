// Tool calls of an answer: what is called with what, and fields in which a person gives the results.
import { pretty, waits } from "./answer.js";
import { copyButton, el, grow } from "./dom.js";

export class CallsView {
  #shown = "";

  constructor(chat, message) {
    Object.assign(this, { chat, message, node: el("div", { class: "calls" }) });
  }

  update(isRunning) {
    const calls = this.message.calls.filter(Boolean);
    const isAsked = !isRunning && waits(this.message) && !this.message.children.length;
    const key = JSON.stringify([calls, isAsked]);
    if (key === this.#shown) return;
    this.#shown = key;
    this.node.replaceChildren(...calls.map((call) => view(call)), ...(isAsked ? [this.#form(calls)] : []));
  }

  #form(calls) {
    const fields = calls.map((call) => el("textarea", { rows: "2", placeholder: "What the tool gives back: text or JSON", "aria-label": `Result of ${call.name}` }));
    const labels = fields.map((field, place) => el("label", {}, el("span", {}, "Result of ", el("code", {}, calls[place].name)), field));
    const give = () => this.chat.giveResults(this.message.id, calls.map(({ id, name }, place) => ({ id, name, content: fields[place].value })));
    for (const field of fields) {
      field.addEventListener("input", () => grow(field));
      field.addEventListener("keydown", (event) => {
        if (event.key !== "Enter" || event.shiftKey || event.isComposing) return;
        event.preventDefault();
        const next = fields[fields.indexOf(field) + 1];
        next ? next.focus() : give();
      });
    }
    return el("form", { class: "give", "aria-label": "Results of the calls", onsubmit: (event) => (event.preventDefault(), give()) },
      labels, el("div", { class: "row" }, el("button", { class: "main" }, "Give the result"), el("span", { class: "quiet" }, "and let the model go on")));
  }
}

// What the server has run for this answer: folded away, but there.
export function ranView(node, served) {
  node.hidden = !served.length;
  if (node.childElementCount === served.length + 1) return;
  const names = [...new Set(served.map(({ name }) => name))].join(", ");
  node.replaceChildren(el("summary", {}, `Ran ${names}`), ...served.map((call) => el("div", { class: "result" },
    el("pre", { tabindex: "0", "aria-label": `Arguments of ${call.name}` }, el("code", {}, source(call.arguments))),
    el("pre", { tabindex: "0", "aria-label": `Result of ${call.name}` }, call.output))));
}

// Code is shown as code, other arguments as they are.
function source(text) {
  try {
    const values = Object.values(JSON.parse(text));
    return values.length === 1 && typeof values[0] === "string" ? values[0] : pretty(text);
  } catch {
    return text;
  }
}

const view = (call) => el("div", { class: "call" },
  el("div", { class: "code-head" }, el("span", {}, "Calls ", el("code", {}, call.name)), copyButton(() => call.arguments)),
  el("pre", { tabindex: "0", "aria-label": `Arguments of ${call.name}` }, el("code", {}, pretty(call.arguments))));
