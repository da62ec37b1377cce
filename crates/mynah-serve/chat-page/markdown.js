// Markdown's blocks: text in, a list of plain values out, each with its `source`. Markup of other kinds is text.
//
// The subset that models write: headings, paragraphs, lists, quotes, fenced code, tables, rules. Not here: indented code (it is
// nearly always a list that was indented loosely), setext headings, link definitions, HTML.
import { inline } from "./inline.js";

// Longer lines are only text: what they could begin is short, and some patterns take long to say no.
const MARK_CHARS_MAX = 1_000;
// Deeper lists and quotes are shown as text.
const DEPTH_MAX = 12;

const FENCE = /^( {0,3})(`{3,}|~{3,})\s*([^`]*)$/;
const HEADING = /^ {0,3}(#{1,6})(?: |$)/;
const RULE = /^ {0,3}(?:(?:\*[ \t]*){3,}|(?:-[ \t]*){3,}|(?:_[ \t]*){3,})$/;
const QUOTE = /^ {0,3}> ?/;
const ITEM = /^( {0,3})([-*+]|\d{1,9}[.)])(?:( +)(.*)|)$/;
const DIVIDER = /^ {0,3}\|?[ \t]*:?-+:?[ \t]*(\|[ \t]*:?-+:?[ \t]*)*\|?[ \t]*$/;

export function blocks(text) {
  return parse(text.replace(/\r\n?/g, "\n").replaceAll("\t", "    ").split("\n"), 0);
}

function parse(lines, depth) {
  const found = [];
  let at = 0;
  while (at < lines.length) {
    if (!lines[at].trim()) {
      at += 1;
      continue;
    }
    const [block, end] = next(lines, at, depth);
    block.source = lines.slice(at, end).join("\n");
    found.push(block);
    at = end;
  }
  return found;
}

// The block that begins at a line, and the line after it.
function next(lines, at, depth) {
  const line = lines[at];
  const fence = short(line, FENCE);
  if (fence) return code(lines, at, fence);
  const heading = HEADING.exec(line);
  if (heading) return [{ kind: "heading", level: heading[1].length, parts: inline(headingText(line, heading[0].length)) }, at + 1];
  if (short(line, RULE)) return [{ kind: "rule" }, at + 1];
  if (depth < DEPTH_MAX) {
    if (QUOTE.test(line)) return quote(lines, at, depth);
    if (ITEM.test(line)) return list(lines, at, depth);
  }
  if (isTable(lines, at)) return table(lines, at);
  return paragraph(lines, at, depth);
}

const short = (line, pattern) => (line.length > MARK_CHARS_MAX ? null : pattern.exec(line));

// Without the marks that may close a heading: ## Title ##
function headingText(line, from) {
  const text = line.slice(from).trim();
  let end = text.length;
  while (text[end - 1] === "#") end -= 1;
  return end === 0 || text[end - 1] === " " ? text.slice(0, end).trimEnd() : text;
}

function code(lines, at, [, indent, fence, info]) {
  const end = new RegExp(`^ {0,3}${fence[0]}{${fence.length},}[ \\t]*$`);
  let last = at + 1;
  while (last < lines.length && !short(lines[last], end)) last += 1;
  const strip = new RegExp(`^ {0,${indent.length}}`);
  const text = lines.slice(at + 1, last).map((line) => line.replace(strip, "")).join("\n");
  const closed = last < lines.length;
  return [{ kind: "code", language: info.trim().split(/\s+/)[0] ?? "", text, closed }, closed ? last + 1 : last];
}

// Whether a line ends the paragraph before it. A list in the middle of one begins with a bullet or 1.
function interrupts(lines, at, depth) {
  const line = lines[at];
  if (!line.trim() || short(line, FENCE) || HEADING.test(line) || short(line, RULE)) return true;
  if (depth >= DEPTH_MAX) return false;
  const item = ITEM.exec(line);
  return QUOTE.test(line) || Boolean(item && item[4]?.trim() && !/^\d/.test(item[2])) || Boolean(item && /^1[.)]/.test(item[2]));
}

function paragraph(lines, at, depth) {
  let end = at + 1;
  while (end < lines.length && !interrupts(lines, end, depth) && !isTable(lines, end)) end += 1;
  const text = lines.slice(at, end).map((line) => line.trimStart()).join("\n").trimEnd();
  return [{ kind: "paragraph", parts: inline(text) }, end];
}

function quote(lines, at, depth) {
  const inner = [];
  let end = at;
  for (; end < lines.length; end += 1) {
    if (QUOTE.test(lines[end])) inner.push(lines[end].replace(QUOTE, ""));
    else if (inner.at(-1).trim() && !interrupts(lines, end, depth)) inner.push(lines[end]); // a line that forgot its mark
    else break;
  }
  return [{ kind: "quote", blocks: parse(inner, depth + 1) }, end];
}

const indentOf = (line) => line.length - line.trimStart().length;

function list(lines, at, depth) {
  const first = ITEM.exec(lines[at]);
  const ordered = /\d/.test(first[2]);
  const sign = first[2].at(-1);
  const base = first[1].length;
  const items = [];
  let loose = false;
  let end = at;
  while (end < lines.length) {
    const begin = ITEM.exec(lines[end]);
    if (!begin || begin[2].at(-1) !== sign || /\d/.test(begin[2]) !== ordered || short(lines[end], RULE)) break;
    if (Math.abs(begin[1].length - base) > 1) break;
    const inset = begin[1].length + begin[2].length + Math.min(begin[3]?.length ?? 1, 4);
    const inner = [begin[4] ?? ""];
    let blank = false;
    for (end += 1; end < lines.length; end += 1) {
      const line = lines[end];
      const indent = indentOf(line);
      if (!line.trim()) {
        blank = true;
        inner.push("");
        continue;
      }
      // Nested lists are often indented by two where three would be right.
      const belongs = indent >= inset || (indent >= base + 2 && ITEM.test(line.trimStart()));
      const goesOn = !blank && inner.at(-1).trim() && !interrupts(lines, end, depth) && !ITEM.test(line);
      if (!belongs && !goesOn) break;
      if (blank && belongs) loose = true;
      inner.push(line.slice(Math.min(indent, inset)));
      blank = false;
    }
    if (blank && end < lines.length && ITEM.test(lines[end]) && indentOf(lines[end]) <= base + 1) loose = true;
    items.push(item(inner, depth));
  }
  return [{ kind: "list", ordered, start: ordered ? Number.parseInt(first[2], 10) : 1, items, loose }, end];
}

function item(lines, depth) {
  const task = /^\[([ xX])\] +/.exec(lines[0]);
  if (task) lines[0] = lines[0].slice(task[0].length);
  return { task: task ? task[1] !== " " : null, blocks: parse(lines, depth + 1) };
}

function isTable(lines, at) {
  const [head, divider] = [lines[at], lines[at + 1]];
  if (!head?.includes("|") || !divider || !short(divider, DIVIDER) || !divider.includes("-")) return false;
  return cells(head).length === cells(divider).length;
}

// The cells of a row: cut at bars that are neither escaped nor in code.
function cells(line) {
  const row = line.trim().replace(/^\|/, "");
  const found = [];
  let cell = "";
  let inCode = false;
  for (let at = 0; at < row.length; at += 1) {
    if (row[at] === "\\" && row[at + 1] === "|") {
      cell += "|";
      at += 1;
    } else if (row[at] === "|" && !inCode) {
      found.push(cell.trim());
      cell = "";
    } else {
      if (row[at] === "`") inCode = !inCode && row.indexOf("`", at + 1) > 0;
      cell += row[at];
    }
  }
  if (cell.trim() || !row.endsWith("|")) found.push(cell.trim());
  return found;
}

function table(lines, at) {
  const align = cells(lines[at + 1]).map((cell) => (cell.endsWith(":") ? (cell.startsWith(":") ? "center" : "right") : ""));
  const head = cells(lines[at]).map(inline);
  const rows = [];
  let end = at + 2;
  for (; end < lines.length && lines[end].trim() && lines[end].includes("|"); end += 1) {
    const row = cells(lines[end]);
    rows.push(head.map((_, column) => inline(row[column] ?? "")));
  }
  return [{ kind: "table", align, head, rows }, end];
}
