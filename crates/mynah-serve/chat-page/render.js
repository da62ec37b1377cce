// Markdown as nodes. Text goes into text nodes only; links lead out in a tab of their own and are never followed by the page.
import { copyButton, el } from "./dom.js";
import { blocks } from "./markdown.js";

const TAGS = { strong: "strong", emphasis: "em", strike: "s", code: "code" };

// Draws a text into a node. Blocks that have not changed since the last time stay, so that a growing answer keeps its selection.
export function draw(node, text) {
  if (node.drawnText === text) return;
  node.drawnText = text;
  const found = blocks(text);
  const before = node.drawn ?? [];
  let same = 0;
  while (same < found.length && same < before.length && before[same] === key(found[same])) same += 1;
  while (node.childNodes.length > same) node.lastChild.remove();
  node.append(...found.slice(same).map(block));
  node.drawn = found.map(key);
}

const key = (found) => `${found.kind} ${found.closed ?? ""} ${found.source}`;

function block(from) {
  switch (from.kind) {
    case "heading": return el(`h${Math.min(from.level + 2, 6)}`, {}, from.parts.map(part));
    case "rule": return el("hr");
    case "quote": return el("blockquote", {}, from.blocks.map(block));
    case "list": return list(from);
    case "code": return code(from);
    case "table": return table(from);
    default: return el("p", {}, from.parts.map(part));
  }
}

function list({ ordered, start, items, loose }) {
  const children = items.map((item) => {
    const tight = (one) => (!loose && one.kind === "paragraph" ? one.parts.map(part) : block(one));
    const box = item.task === null ? null : el("input", { type: "checkbox", checked: item.task, disabled: true, "aria-label": item.task ? "done" : "open" });
    return el("li", { class: box && "task" }, box, item.blocks.map(tight).flat());
  });
  return el(ordered ? "ol" : "ul", { start: ordered && start !== 1 ? String(start) : null }, children);
}

function code({ language, text }) {
  return el("div", { class: "code" },
    el("div", { class: "code-head" }, el("span", {}, language), copyButton(() => text)),
    el("pre", { tabindex: "0", "aria-label": language ? `Code, ${language}` : "Code" }, el("code", {}, text)));
}

function table({ align, head, rows }) {
  const cell = (name, parts, column) => el(name, { class: align[column] || null, scope: name === "th" ? "col" : null }, parts.map(part));
  return el("div", { class: "wide", tabindex: "0", role: "region", "aria-label": "Table" }, el("table", {},
    el("thead", {}, el("tr", {}, head.map((parts, column) => cell("th", parts, column)))),
    el("tbody", {}, rows.map((row) => el("tr", {}, row.map((parts, column) => cell("td", parts, column)))))));
}

function part(from) {
  if (from.kind === "text") return document.createTextNode(from.text);
  if (from.kind === "break") return el("br");
  if (from.kind === "code") return el("code", {}, from.text);
  const inner = from.parts.map(part);
  if (from.kind === "link") return el("a", { href: from.address, target: "_blank", rel: "noopener noreferrer nofollow", title: from.address }, inner);
  return el(TAGS[from.kind] ?? "span", {}, inner);
}
