// Nodes of the page.

// An element; attributes that begin with "on" listen, those that are absent or false are left out.
export function el(name, attributes = {}, ...children) {
  const node = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) {
    if (value === undefined || value === null || value === false) continue;
    if (key.startsWith("on")) node.addEventListener(key.slice(2), value);
    else if (key in node && typeof value !== "string") node[key] = value;
    else node.setAttribute(key, value === true ? "" : value);
  }
  node.append(...children.flat().filter((child) => child !== undefined && child !== null && child !== false));
  return node;
}

export const byId = (id) => document.getElementById(id);

export const button = (label, onclick, attributes = {}) => el("button", { type: "button", onclick, ...attributes }, label);

// A button that copies a text and says that it did.
export function copyButton(text, label = "Copy") {
  const node = button(label, async () => {
    node.textContent = (await copy(text())) ? "Copied" : "Not copied";
    setTimeout(() => (node.textContent = label), 1500);
  });
  return node;
}

async function copy(text) {
  try {
    await navigator.clipboard.writeText(text);
    return true;
  } catch {
    return copyBySelection(text); // the clipboard is only there on https and localhost
  }
}

function copyBySelection(text) {
  const field = el("textarea", { class: "unseen", readonly: true });
  const before = document.activeElement;
  (document.querySelector("dialog[open]") ?? document.body).append(field);
  field.value = text;
  field.select();
  const done = document.execCommand("copy");
  field.remove();
  before?.focus();
  return done;
}

// A field as high as its text, up to what the style sheet allows.
export function grow(field) {
  field.style.height = "auto";
  field.style.height = `${field.scrollHeight + field.offsetHeight - field.clientHeight}px`;
}

let timer;

// Something that happened, with a way to take it back.
export function toast(text, undo) {
  const node = byId("toast");
  clearTimeout(timer);
  const hide = () => (node.hidden = true);
  const back = undo && button("Undo", () => (hide(), undo()));
  node.replaceChildren(...[text, back].filter(Boolean));
  node.hidden = false;
  timer = setTimeout(hide, undo ? 10_000 : 4_000);
}

// For those who hear the page.
export const speak = (text) => (byId("spoken").textContent = text);

export function download(name, text) {
  const address = URL.createObjectURL(new Blob([text], { type: "application/json" }));
  el("a", { href: address, download: name }).click();
  setTimeout(() => URL.revokeObjectURL(address), 10_000);
}
