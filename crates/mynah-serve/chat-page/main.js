// Puts the page together: which parts there are, what they tell each other, and the keys.
import { models } from "./api.js";
import { Chat } from "./chat.js";
import { Composer } from "./composer.js";
import { button, byId, el } from "./dom.js";
import { watchHealth } from "./health.js";
import { keep, kept } from "./kept.js";
import { startKeyForm } from "./keyform.js";
import { List } from "./list.js";
import { Panel } from "./panel.js";
import { MemoryStore, Store } from "./store.js";
import { startTheme } from "./theme.js";
import { Thread } from "./thread.js";
import { title } from "./tree.js";
import { advice } from "./advice.js";

const narrow = matchMedia("(max-width: 50rem)");

function notice(text, ...buttons) {
  byId("notice").replaceChildren(...(text ? [el("span", {}, text), ...buttons, button("Close", () => notice(""))] : []));
}

async function openStore() {
  const store = new Store(async (id) => {
    await chat.reload(id);
    list.load();
  });
  try {
    await store.start();
    return store;
  } catch {
    notice("This browser keeps nothing here: conversations are gone when the page is closed.");
    return new MemoryStore();
  }
}

startTheme();
const store = await openStore();
const chat = new Chat(store);
const list = new List(chat, store, notice);
const askKey = startKeyForm(loadModels);
const panel = new Panel(chat, () => askKey("The key that is sent to this server, where it asks for one."));
const actions = {
  key: { label: "Enter a key", run: () => askKey("This server answers only with one of its keys.") },
  new: { label: "New conversation", run: () => begin() },
  models: { label: "Look for models", run: () => loadModels() },
  settings: { label: "Open the settings", run: () => panel.toggle(true) },
};
const thread = new Thread(chat, actions);
const composer = new Composer(chat, send, () => thread.editLast());
const look = watchHealth();

function send(text) {
  const { obstacle } = chat;
  if (obstacle) {
    refuse(obstacle);
    return false;
  }
  notice("");
  chat.say(text);
  return true;
}

function refuse({ text, errors = {} }) {
  const name = Object.keys(errors)[0];
  notice(text, ...(name ? [button("Show it", () => panel.show(name))] : []));
}

function begin() {
  if (idOfAddress()) history.pushState(null, "", location.pathname);
  notice("");
  chat.new();
  if (narrow.matches) showList(false);
  byId("ask").focus();
}

function draw() {
  const isSaved = chat.current.roots.length > 0;
  document.title = isSaved ? `${title(chat.current)} · Mynah chat` : "Mynah chat";
  if (isSaved && idOfAddress() !== chat.current.id) history.replaceState(null, "", `#/${chat.current.id}`);
  else if (!isSaved && idOfAddress()) history.replaceState(null, "", location.pathname);
  keep("last", isSaved ? chat.current.id : "");
  byId("model").value = chat.model;
  thread.draw();
  composer.draw();
  panel.draw();
  list.draw();
}

async function loadModels() {
  try {
    chat.models = (await models()).filter(({ kind }) => kind !== "embedding");
    byId("model").replaceChildren(...chat.models.map(({ id, parent }) => el("option", { value: id }, parent ? `${id} (adapter of ${parent})` : id)));
    notice("");
  } catch (error) {
    if (error.status === 401) askKey(kept("key") ? "The server did not take the key that this browser has." : "This server answers only with one of its keys.");
    const { text, action } = advice(error);
    notice(`${error.message} ${text}`, button("Try again", loadModels), ...(action === "key" ? [button("Enter a key", actions.key.run)] : []));
  }
  draw();
}

async function goTo(id) {
  notice("");
  if (!id) {
    if (chat.current.roots.length) chat.new();
  } else if (id !== chat.current.id && !(await chat.open(id))) {
    notice("This conversation is not in this browser.");
    history.replaceState(null, "", location.pathname);
  }
  if (narrow.matches) showList(false);
}

// The address names the conversation, so that reloading and going back show the same.
const idOfAddress = () => (location.hash.startsWith("#/") ? location.hash.slice(2) : "");

function showList(isShown) {
  document.body.classList.toggle("no-list", !isShown);
  byId("open-list").setAttribute("aria-expanded", String(isShown));
}

const isTyping = (node) => node.closest("input, textarea, select, [contenteditable]");

document.addEventListener("keydown", (event) => {
  if (event.defaultPrevented || document.querySelector("dialog[open]")) return;
  const hasModifier = event.ctrlKey || event.metaKey;
  if (hasModifier && event.key.toLowerCase() === "k" && !event.shiftKey && !event.altKey) begin();
  else if (event.key === "Escape" && chat.running) chat.stop();
  else if (event.key === "Escape" && narrow.matches) showList(false);
  else if (hasModifier || event.altKey || isTyping(event.target)) return;
  else if (event.key === "/") byId("ask").focus();
  else if (event.key === "?") byId("keys").showModal();
  else if (event.key === "s") panel.toggle(byId("settings").hidden);
  else if (event.key === "r") [...document.querySelectorAll(".again")].at(-1)?.click();
  else return;
  event.preventDefault();
});

chat.on("change", (finished) => {
  draw();
  if (finished) look();
  if (finished && finished === chat.branch.at(-1)) thread.finished(finished);
  if (finished?.error?.status === 401) askKey(finished.error.message);
});
chat.on("grow", (node) => thread.grow(node));
chat.on("list", () => list.load());
chat.on("refused", refuse);
chat.on("trouble", (text) => notice(text));
byId("model").addEventListener("change", (event) => {
  chat.model = event.target.value;
  draw();
});
byId("new").addEventListener("click", begin);
byId("help").addEventListener("click", () => byId("keys").showModal());
byId("open-list").addEventListener("click", () => {
  const isShown = document.body.classList.contains("no-list");
  showList(isShown);
  if (!narrow.matches) keep("list", isShown ? "" : "hidden");
});
byId("scroll").addEventListener("click", () => narrow.matches && showList(false));
window.addEventListener("popstate", () => goTo(idOfAddress()));

showList(!narrow.matches && kept("list") !== "hidden");
await list.load();
const first = idOfAddress() || kept("last");
if (first) await goTo(first);
await loadModels();
byId("ask").focus();
