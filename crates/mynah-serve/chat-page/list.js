// The conversations that this browser keeps: open, find, rename, delete, export, import.
import { freshId } from "./chat.js";
import { button, byId, download, el, toast } from "./dom.js";
import { FILE_BYTES_MAX, ImportError, pack, unpack } from "./exchange.js";

export class List {
  #heads = [];
  #renaming = "";

  constructor(chat, store, trouble) {
    Object.assign(this, { chat, store, trouble, node: byId("conversations") });
    byId("find").addEventListener("input", () => this.draw());
    byId("export-all").addEventListener("click", async () => this.#export(await store.all(), "conversations"));
    byId("import").addEventListener("click", () => byId("import-file").click());
    byId("import-file").addEventListener("change", (event) => this.#import(event.target));
    this.node.addEventListener("keydown", (event) => this.#move(event));
  }

  async load() {
    this.#heads = await this.store.heads();
    this.draw();
  }

  draw() {
    // A name that is being written is left alone.
    if (this.#renaming && this.node.querySelector("input")) return;
    const words = byId("find").value.toLowerCase().split(/\s+/).filter(Boolean);
    const found = this.#heads.filter((head) => words.every((word) => head.title.toLowerCase().includes(word)));
    this.node.replaceChildren(...found.map((head) => this.#item(head)));
    if (!found.length) this.node.append(el("li", { class: "quiet none" }, words.length ? "None of that name" : "Nothing kept yet"));
    byId("find").hidden = this.#heads.length < 8;
    byId("export-all").disabled = !this.#heads.length;
  }

  #item(head) {
    if (this.#renaming === head.id) return this.#renamer(head);
    const isCurrent = head.id === this.chat.current.id;
    const what = (label, sign, run) => button(sign, run, { "aria-label": `${label}: ${head.title}`, title: label });
    return el("li", { "data-id": head.id }, el("a", { href: `#/${head.id}`, "aria-current": isCurrent ? "page" : null, title: head.title }, head.title),
      el("span", { class: "what" },
        what("Rename", "✎", () => { this.#renaming = head.id; this.draw(); this.node.querySelector("input").select(); }),
        what("Export", "⇩", async () => this.#export([await this.store.get(head.id)], head.title)),
        what("Delete", "✕", () => this.#delete(head))));
  }

  #renamer(head) {
    const field = el("input", { "aria-label": "Name of the conversation", maxlength: "200" });
    field.value = head.title;
    const end = async (isKept) => {
      if (this.#renaming !== head.id) return;
      this.#renaming = "";
      if (isKept && field.value.trim() !== head.title) await this.chat.rename(head.id, field.value);
      this.draw();
      this.node.querySelector(`[data-id="${CSS.escape(head.id)}"] a`)?.focus();
    };
    field.addEventListener("blur", () => end(true));
    field.addEventListener("keydown", (event) => {
      event.stopPropagation();
      if (event.key === "Enter" && !event.isComposing) end(true);
      else if (event.key === "Escape") end(false);
    });
    return el("li", { "data-id": head.id }, field);
  }

  async #delete(head) {
    const conversation = await this.chat.delete(head.id);
    toast(`Deleted “${head.title}”.`, () => this.chat.keep(conversation));
  }

  #export(conversations, name) {
    const plain = name.replace(/[^\p{L}\p{N} _-]+/gu, "").trim().slice(0, 60) || "conversation";
    download(`${plain}.json`, pack(conversations));
  }

  async #import(field) {
    let total = 0;
    try {
      for (const file of field.files) {
        if (file.size > FILE_BYTES_MAX) throw new ImportError(`it has ${file.size} bytes; at most ${FILE_BYTES_MAX} are read`);
        const found = unpack(await file.text(), freshId);
        await this.chat.keep(...found);
        total += found.length;
      }
      toast(`${total} conversation${total === 1 ? "" : "s"} imported.`);
    } catch (error) {
      this.trouble(`The file cannot be imported: ${error.message}.`);
    }
    field.value = "";
  }

  // Arrow keys go from conversation to conversation.
  #move(event) {
    const by = { ArrowDown: 1, ArrowUp: -1 }[event.key];
    const item = event.target.closest("li");
    if (!by || !item || event.target.matches("input")) return;
    (by > 0 ? item.nextElementSibling : item.previousElementSibling)?.querySelector("a")?.focus();
    event.preventDefault();
  }
}
