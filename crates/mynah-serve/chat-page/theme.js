// Light, dark, or as the system says.
import { byId, toast } from "./dom.js";
import { keep, kept } from "./kept.js";

const NEXT = { "": "dark", dark: "light", light: "" };
const root = document.documentElement;

function show(theme) {
  if (theme) root.dataset.theme = theme;
  else delete root.dataset.theme;
}

export function startTheme() {
  show(kept("theme"));
  byId("theme").addEventListener("click", () => {
    const next = NEXT[kept("theme")] ?? "";
    keep("theme", next);
    show(next);
    toast(next ? `Now ${next}.` : "Light or dark as the system says.");
  });
}
