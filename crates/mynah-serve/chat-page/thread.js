// The branch that is shown, message under message; it follows the newest line unless somebody has scrolled up.
import { button, byId, el, speak } from "./dom.js";
import { AnswerView, ResultsView, UserView } from "./message.js";

// Least time between two drawings of a growing answer; long answers take longer to draw and are drawn more rarely.
const DRAW_MS = 40;
const SHARE_OF_TIME = 0.25;
const NEAR_PX = 60;

export class Thread {
  #views = new Map();
  #shown = "";
  #timer;

  constructor(chat, actions) {
    this.chat = chat;
    this.actions = actions;
    this.node = byId("thread");
    this.scroller = byId("scroll");
    // Content that grows below does not scroll; a person does.
    this.follows = true;
    this.scroller.addEventListener("scroll", () => this.#look());
    byId("newest").addEventListener("click", () => this.toEnd());
  }

  #isNear() {
    const { scrollHeight, scrollTop, clientHeight } = this.scroller;
    return scrollHeight - scrollTop - clientHeight < NEAR_PX;
  }

  #look() {
    this.follows = this.#isNear();
    byId("newest").hidden = this.follows;
  }

  toEnd() {
    this.scroller.scrollTop = this.scroller.scrollHeight;
    this.#look();
  }

  draw() {
    const { chat } = this;
    const isOther = this.#shown !== chat.current.id;
    if (isOther || chat.running) this.follows = true;
    if (isOther) this.#views.clear();
    this.#shown = chat.current.id;
    const branch = chat.branch;
    const views = branch.map((node) => this.#view(node));
    for (const view of views) view.update();
    this.#views = new Map(views.map((view) => [view.message.id, view]));
    const children = views.map((view) => view.node);
    if (!views.length) children.push(this.#welcome());
    // A message that nobody has answered: its answer was stopped before the first word.
    else if (branch.at(-1).role !== "assistant") children.push(el("p", { class: "row" }, button("Answer", () => chat.answerLast())));
    // Nodes that stay are not touched, so that they keep the focus and the selection.
    const old = [...this.node.children];
    if (old.length !== children.length || old.some((node, place) => node !== children[place])) place(this.node, children);
    if (this.follows) this.toEnd();
    else this.#look();
  }

  #view(node) {
    const known = this.#views.get(node.id);
    if (known?.message === node) return known;
    if (node.role === "user") return new UserView(this.chat, node);
    return node.role === "tool" ? new ResultsView(this.chat, node) : new AnswerView(this.chat, node, this.actions);
  }

  #welcome() {
    const { model } = this.chat;
    return el("div", { class: "welcome" }, el("h1", {}, model ? "Talk to " : "Talk to a model", model && el("span", {}, model)),
      el("p", { class: "quiet" }, "What you write goes to this server only; conversations stay in this browser."));
  }

  // A growing answer is drawn at most so often that the page keeps time for everything else.
  grow(node) {
    if (this.#timer) return;
    const started = performance.now();
    this.#grow(node);
    const wait = Math.max(DRAW_MS, (performance.now() - started) / SHARE_OF_TIME);
    this.#timer = setTimeout(() => {
      this.#timer = undefined;
      if (this.chat.running === node) this.#grow(node);
    }, wait);
  }

  #grow(node) {
    this.#views.get(node.id)?.grow();
    if (this.follows) this.toEnd();
    else byId("newest").hidden = false;
  }

  finished(node) {
    if (node.error) speak(`Failed: ${node.error.message}`);
    else speak(node.calls.length ? `The model calls ${node.calls.map((call) => call.name).join(", ")}` : `Answer: ${node.content.slice(0, 2_000)}`);
    if (node.calls.length && !node.error) this.#views.get(node.id)?.node.querySelector(".give textarea")?.focus();
  }

  editLast() {
    const last = this.chat.branch.findLast((node) => node.role === "user");
    this.#views.get(last?.id)?.edit();
  }
}

// Makes these the children, moving as few as possible.
function place(parent, children) {
  const wanted = new Set(children);
  for (const node of [...parent.children]) if (!wanted.has(node)) node.remove();
  children.forEach((node, at) => {
    if (parent.children[at] !== node) parent.insertBefore(node, parent.children[at] ?? null);
  });
}
