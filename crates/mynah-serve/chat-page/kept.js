// Small things that this browser keeps: the theme, the API key, what a new conversation begins with.

const NAMES = { theme: "mynah.theme", key: "mynah.chat.key", model: "mynah.chat.model", settings: "mynah.chat.settings", last: "mynah.chat.last", list: "mynah.chat.list" };

// A browser may refuse to keep anything; the page then works until it is closed.
const memory = new Map();

export function kept(name) {
  try {
    return localStorage.getItem(NAMES[name]) ?? memory.get(name) ?? "";
  } catch {
    return memory.get(name) ?? "";
  }
}

export function keep(name, value) {
  memory.set(name, value);
  try {
    if (value) localStorage.setItem(NAMES[name], value);
    else localStorage.removeItem(NAMES[name]);
  } catch {
    // It stays in memory.
  }
}

export function keptSettings() {
  try {
    const found = JSON.parse(kept("settings") || "{}");
    return Object.fromEntries(Object.entries(found).filter(([, value]) => typeof value === "string"));
  } catch {
    return {};
  }
}
