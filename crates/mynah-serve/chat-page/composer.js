// The field in which messages are written.
import { byId, grow } from "./dom.js";

export class Composer {
  #drafts = new Map(); // conversation → what was written and not sent
  #shown = "";

  // send(text) says whether it was sent.
  constructor(chat, send, editLast) {
    this.chat = chat;
    this.field = byId("ask");
    const go = async () => {
      const text = this.field.value.trim();
      if (!text || !send(text)) return;
      this.field.value = "";
      this.#drafts.delete(this.#shown);
      grow(this.field);
      this.field.focus();
    };
    byId("composer").addEventListener("submit", (event) => (event.preventDefault(), go()));
    byId("stop").addEventListener("click", () => chat.stop());
    this.field.addEventListener("input", () => {
      this.#drafts.set(this.#shown, this.field.value);
      grow(this.field);
    });
    this.field.addEventListener("keydown", (event) => {
      if (event.isComposing) return; // an input method is putting a character together
      if (event.key === "Enter" && !event.shiftKey && !event.altKey) go();
      else if (event.key === "ArrowUp" && !this.field.value) editLast();
      else return;
      event.preventDefault();
    });
  }

  draw() {
    const { chat } = this;
    if (this.#shown !== chat.current.id) {
      this.#shown = chat.current.id;
      this.field.value = this.#drafts.get(this.#shown) ?? "";
      grow(this.field);
    }
    const isRunning = Boolean(chat.running);
    const hadFocus = document.activeElement === byId("stop") || document.activeElement === byId("send");
    byId("send").hidden = isRunning;
    byId("stop").hidden = !isRunning;
    if (hadFocus) this.field.focus();
    this.#room();
  }

  // How much of the context the conversation has used.
  #room() {
    const { chat } = this;
    const usage = chat.branch.findLast((node) => node.usage)?.usage;
    const context = chat.models.find((model) => model.id === chat.model)?.context;
    const used = usage && usage.prompt + usage.completion;
    const node = byId("room-left");
    node.textContent = used && context ? `${used.toLocaleString("en")} of ${context.toLocaleString("en")} tokens` : "";
    node.title = "What the conversation takes of the context";
    node.classList.toggle("tight", Boolean(used && context && used > 0.9 * context));
  }
}
