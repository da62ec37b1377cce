// Markdown within a paragraph: emphasis, code, links. Text in, a tree of plain values out; nothing here makes markup.
//
// Emphasis follows CommonMark's delimiter runs (0.31, section 6.2). Every character is looked at a bounded number of times,
// so that no answer can hang the page.

const PUNCTUATION = /[\p{P}\p{S}]/u;
const ADDRESS = /^https?:\/\/[^\s<>"`]+/i;
const SAFE = /^(https?:\/\/|mailto:)/i;
// Runs that may wait for their end at once; an answer with more is no prose.
const WAITING_MAX = 1_000;

export function inline(text) {
  const parts = [];
  const brackets = [];
  const missing = new Set(); // lengths of back-quote runs that have no end further on
  let plain = "";
  const flush = () => {
    if (plain) parts.push({ kind: "text", text: plain });
    plain = "";
  };
  const put = (part) => {
    flush();
    parts.push(part);
  };
  let at = 0;
  while (at < text.length) {
    const char = text[at];
    if (char === "\\" && at + 1 < text.length) {
      const next = text[at + 1];
      if (next === "\n") put({ kind: "break" });
      else plain += /[!-/:-@[-`{-~]/.test(next) ? next : `\\${next}`;
      at += 2;
    } else if (char === "`") {
      const ticks = /`+/y;
      ticks.lastIndex = at;
      const run = ticks.exec(text)[0].length;
      const end = missing.has(run) ? -1 : closing(text, at + run, run);
      if (end < 0) {
        missing.add(run);
        plain += "`".repeat(run);
        at += run;
      } else {
        put({ kind: "code", text: trimCode(text.slice(at + run, end)) });
        at = end + run;
      }
    } else if (char === "*" || char === "_" || (char === "~" && text[at + 1] === "~")) {
      let end = at;
      while (text[end] === char) end += 1;
      put(delimiter(text, at, end));
      at = end;
    } else if (char === "[" || (char === "!" && text[at + 1] === "[")) {
      flush();
      brackets.push(parts.length);
      const mark = char === "!" ? "![" : "[";
      parts.push({ kind: "text", text: mark });
      at += mark.length;
    } else if (char === "]" && brackets.length) {
      const target = destination(text, at + 1);
      const open = brackets.pop();
      flush();
      if (target) {
        const inner = emphasis(parts.splice(open).slice(1));
        parts.push(SAFE.test(target.address) ? { kind: "link", address: target.address, parts: inner } : { kind: "span", parts: inner });
        at = target.end;
      } else {
        plain += "]";
        at += 1;
      }
    } else if (char === "<" || char === "h" || char === "H") {
      const start = char === "<" ? at + 1 : at;
      const before = text[at - 1];
      const match = char !== "<" && before && /\w/.test(before) ? null : ADDRESS.exec(text.slice(start, start + 2_000));
      if (match && (char !== "<" || text[start + match[0].length] === ">")) {
        const address = char === "<" ? match[0] : withoutTail(match[0]);
        put({ kind: "link", address, parts: [{ kind: "text", text: address }] });
        at = start + address.length + (char === "<" ? 1 : 0);
      } else {
        plain += char;
        at += 1;
      }
    } else if (char === "\n") {
      if (plain.endsWith("  ")) {
        plain = plain.trimEnd();
        put({ kind: "break" });
      } else plain += "\n";
      at += 1;
    } else {
      plain += char;
      at += 1;
    }
  }
  flush();
  return emphasis(parts);
}

// Where a run of exactly this many back-quotes begins, from a place on.
function closing(text, from, run) {
  const runs = /`+/g;
  runs.lastIndex = from;
  for (let found = runs.exec(text); found; found = runs.exec(text)) if (found[0].length === run) return found.index;
  return -1;
}

function trimCode(code) {
  const line = code.replaceAll("\n", " ");
  return /^ .* $/.test(line) && line.trim() ? line.slice(1, -1) : line;
}

function delimiter(text, at, end) {
  const char = text[at];
  const before = at === 0 ? " " : text[at - 1];
  const after = end === text.length ? " " : text[end];
  const space = (c) => /\s/.test(c);
  const mark = (c) => PUNCTUATION.test(c);
  const left = !space(after) && (!mark(after) || space(before) || mark(before));
  const right = !space(before) && (!mark(before) || space(after) || mark(after));
  const opens = char === "_" ? left && (!right || mark(before)) : left;
  const closes = char === "_" ? right && (!left || mark(after)) : right;
  return { kind: "run", char, count: end - at, length: end - at, opens, closes };
}

// (address "title") after a closing bracket.
function destination(text, at) {
  if (text[at] !== "(") return null;
  const found = /\(\s*(?:<([^<>\n]{0,2000})>|((?:[^\s()\\]|\\.|\((?:[^\s()\\]|\\.){0,500}\)){0,2000}))(?:\s+(?:"[^"]{0,500}"|'[^']{0,500}'))?\s*\)/y;
  found.lastIndex = at;
  const match = found.exec(text);
  return match && { address: (match[1] ?? match[2]).replace(/\\([!-/:-@[-`{-~])/g, "$1"), end: found.lastIndex };
}

// Punctuation after an address belongs to the sentence, and so does a bracket that the address did not open.
function withoutTail(address) {
  let end = address.length;
  for (;;) {
    const last = address[end - 1];
    const inside = address.slice(0, end);
    if (/[.,;:!?'"*_~]/.test(last)) end -= 1;
    else if (last === ")" && inside.split(")").length > inside.split("(").length) end -= 1;
    else return inside;
  }
}

// Pairs the runs of parts, nearest first; what finds no partner is text.
function emphasis(parts) {
  const done = []; // parts so far; open runs are among them
  let open = []; // places of runs in `done` that may still be closed
  for (const part of parts) {
    if (part.kind !== "run") {
      done.push(part);
      continue;
    }
    if (part.closes) {
      while (part.count > 0) {
        const place = open.findLastIndex((at) => fits(done[at], part));
        if (place < 0) break;
        const opener = done[open[place]];
        const used = part.char === "~" || (opener.count >= 2 && part.count >= 2) ? 2 : 1;
        const kind = part.char === "~" ? "strike" : used === 2 ? "strong" : "emphasis";
        const inner = done.splice(open[place] + 1).map(asText);
        open = open.slice(0, opener.count > used ? place + 1 : place);
        opener.count -= used;
        part.count -= used;
        if (!opener.count) done.pop();
        done.push({ kind, parts: inner });
      }
    }
    if (part.count > 0) {
      if (part.opens && open.length < WAITING_MAX) open.push(done.length);
      done.push(part);
    }
  }
  return done.map(asText);
}

function fits(opener, closer) {
  if (opener.char !== closer.char || opener.count === 0) return false;
  if (closer.char === "~") return opener.count >= 2 && closer.count >= 2;
  // The rule of three: keeps **a*b** from being torn apart.
  const mixed = (closer.opens || opener.closes) && (opener.length + closer.length) % 3 === 0;
  return !mixed || (opener.length % 3 === 0 && closer.length % 3 === 0);
}

const asText = (part) => (part.kind === "run" ? { kind: "text", text: part.char.repeat(part.count) } : part);
