// The settings of the conversation that is shown, as a form made from `options`.
import { button, byId, el, grow } from "./dom.js";
import { GROUPS, fields, isShown, toolNames } from "./options.js";

const EXAMPLE = JSON.stringify([{
  type: "function",
  function: {
    name: "weather",
    description: "The weather of a city",
    parameters: { type: "object", properties: { city: { type: "string" }, days: { type: "integer", minimum: 1, maximum: 7 } }, required: ["city"] },
  },
}], null, 2);

export class Panel {
  #parts = new Map(); // name → { option, field, error, node }

  constructor(chat, changeKey) {
    this.chat = chat;
    this.node = byId("settings");
    const groups = GROUPS.map((group) => el("fieldset", {}, el("legend", {}, group.title), group.options.map((option) => this.#option(option, group))));
    this.node.append(el("div", { class: "panel-head" }, el("h2", {}, "Settings"), button("Close", () => this.toggle(false))),
      el("p", { class: "quiet" }, "Of this conversation; new ones begin with the same. What is empty is left to the server."),
      el("form", { onsubmit: (event) => event.preventDefault() }, groups),
      el("p", { class: "row" }, button("Clear all settings", () => this.#clear()), button("API key…", changeKey)));
    byId("open-settings").addEventListener("click", () => this.toggle(this.node.hidden));
    this.node.addEventListener("keydown", (event) => {
      if (event.key === "Escape" && !chat.running) this.toggle(false);
    });
  }

  toggle(isOpen) {
    this.node.hidden = !isOpen;
    byId("open-settings").setAttribute("aria-expanded", String(isOpen));
    if (isOpen) {
      this.draw();
      this.node.querySelector("textarea, input").focus();
    } else byId("ask").focus();
  }

  // Opens it at a setting that is wrong.
  show(name) {
    this.toggle(true);
    this.#parts.get(name)?.field.focus();
  }

  #option(option, group) {
    const id = `set-${option.name}`;
    const isLong = ["text", "lines", "json"].includes(option.kind);
    const shared = { id, name: option.name, "aria-describedby": `${id}-note`, autocomplete: "off", spellcheck: option.kind === "text" ? "true" : "false" };
    const field = option.kind === "choice" ? el("select", shared)
      : isLong ? el("textarea", { ...shared, rows: String(option.rows), class: option.kind === "text" ? null : "mono" })
      : el("input", { ...shared, type: "text", inputmode: option.kind === "number" ? "decimal" : "numeric", placeholder: option.usual ?? "" });
    field.addEventListener("input", () => {
      this.chat.set(option.name, field.value);
      this.#check();
    });
    if (isLong) field.addEventListener("input", () => grow(field));
    const error = el("span", { class: "wrong", id: `${id}-note` });
    const example = option.name === "tools" && button("Put in an example", () => {
      field.value = EXAMPLE;
      field.dispatchEvent(new Event("input"));
    });
    const hint = option.hint && el("span", { class: "quiet hint" }, option.hint);
    const isTitled = option.label !== group.title;
    const node = el("div", { class: `option ${option.kind}` }, el("label", { for: id, class: isTitled ? null : "unseen" }, option.label), field, error, hint, example);
    this.#parts.set(option.name, { option, field, error, node, example });
    return node;
  }

  draw() {
    const { settings } = this.chat.current;
    for (const { option, field } of this.#parts.values()) {
      if (option.kind === "choice") fill(field, option, settings);
      if (field.value !== (settings[option.name] ?? "")) field.value = settings[option.name] ?? "";
    }
    this.#check();
    // What is hidden has no height to measure.
    if (!this.node.hidden) for (const field of this.node.querySelectorAll("textarea")) grow(field);
  }

  #check() {
    const { settings } = this.chat.current;
    const { errors } = fields(settings);
    for (const [name, { option, field, error, node, example }] of this.#parts) {
      node.hidden = !isShown(option, settings);
      error.textContent = errors[name] ? `${option.label} ${errors[name]}` : "";
      errors[name] ? field.setAttribute("aria-invalid", "true") : field.removeAttribute("aria-invalid");
      if (option.names) fill(field, option, settings);
      if (example) example.hidden = Boolean(field.value.trim());
    }
    const count = Object.keys(settings).length;
    byId("open-settings").textContent = count ? `Settings (${count})` : "Settings";
    byId("open-settings").classList.toggle("wrong", Object.keys(errors).length > 0);
  }

  #clear() {
    for (const { option } of this.#parts.values()) this.chat.set(option.name, "");
    this.draw();
  }
}

// The choices, some of which depend on other settings. A choice that is gone is still shown until another is made.
function fill(field, option, settings) {
  const chosen = settings[option.name] ?? "";
  const values = [...option.values, ...(option.names ? toolNames(settings).map((name) => [`=${name}`, `always ${name}`]) : [])];
  if (!values.some(([value]) => value === chosen)) values.push([chosen, chosen.replace(/^=/, "always ")]);
  field.replaceChildren(...values.map(([value, text]) => el("option", { value }, text)));
  field.value = chosen;
}
