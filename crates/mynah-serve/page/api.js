// Calls of the server, and numbers as it writes them.

export class ApiError extends Error {}

async function answer(response) {
  const text = await response.text();
  let body;
  try {
    body = JSON.parse(text);
  } catch {
    throw new ApiError(`the server answered ${response.status} without JSON`);
  }
  if (!response.ok) throw new ApiError(body.message || body.error_code || `the server answered ${response.status}`);
  return body;
}

// Values may be absent, one, or a list.
export async function get(path, fields = {}) {
  const query = new URLSearchParams();
  for (const [name, value] of Object.entries(fields)) {
    for (const one of Array.isArray(value) ? value : [value]) if (one !== undefined) query.append(name, one);
  }
  const suffix = query.size ? `?${query}` : "";
  return answer(await fetch(path + suffix, { headers: { accept: "application/json" } }));
}

export async function post(path, fields, signal) {
  const options = { method: "POST", headers: { "content-type": "application/json" }, body: JSON.stringify(fields), signal };
  return answer(await fetch(path, options));
}

// A float that JSON cannot write comes as a word.
export function number(value) {
  if (value === null || value === undefined) return undefined;
  return typeof value === "number" ? value : { NaN, Infinity, "-Infinity": -Infinity }[value];
}

export function show(value) {
  const n = number(value);
  if (n === undefined) return "";
  if (!Number.isFinite(n)) return n > 0 ? "∞" : n < 0 ? "−∞" : "NaN";
  if (Number.isInteger(n) && Math.abs(n) < 1e9) return String(n);
  const size = Math.abs(n);
  return size !== 0 && (size < 1e-3 || size >= 1e7) ? n.toExponential(3) : String(Number(n.toPrecision(6)));
}

export function when(ms) {
  if (!ms) return "";
  const date = new Date(ms);
  const two = (n) => String(n).padStart(2, "0");
  return `${date.getFullYear()}-${two(date.getMonth() + 1)}-${two(date.getDate())} ${two(date.getHours())}:${two(date.getMinutes())}`;
}

export function span(ms) {
  if (!(ms >= 0)) return "";
  const s = Math.round(ms / 1000);
  if (s < 60) return `${s} s`;
  if (s < 3600) return `${Math.floor(s / 60)} min ${s % 60} s`;
  return `${Math.floor(s / 3600)} h ${Math.floor((s % 3600) / 60)} min`;
}

export function bytes(count) {
  if (count === undefined || count === null) return "";
  const units = ["B", "KiB", "MiB", "GiB", "TiB"];
  let unit = 0;
  let n = Number(count);
  while (n >= 1024 && unit < 4) [n, unit] = [n / 1024, unit + 1];
  return `${unit ? n.toFixed(1) : n} ${units[unit]}`;
}

// An element with attributes, listeners (on…) and children. Text is always text: nothing is parsed as HTML.
export function el(name, attributes = {}, ...children) {
  const node = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) {
    if (value === undefined || value === null || value === false) continue;
    if (key.startsWith("on")) node.addEventListener(key.slice(2), value);
    else if (key === "style") Object.assign(node.style, value);
    else if (key in node && typeof value !== "string") node[key] = value;
    else node.setAttribute(key, value === true ? "" : value);
  }
  node.append(...children.flat().filter((child) => child !== undefined && child !== null));
  return node;
}

export function table(titles, lines) {
  const head = titles.length ? el("thead", {}, el("tr", {}, titles.map((title) => el("th", { scope: "col" }, title)))) : null;
  const row = (line) => el("tr", {}, line.map((cell, place) => (place ? el("td", {}, cell ?? "") : el("th", { scope: "row" }, cell ?? ""))));
  return el("table", { class: "plain" }, head, el("tbody", {}, lines.map(row)));
}

// What an event or a finding is about, as a link where there is a place for it.
export function subject(text) {
  return text.startsWith("run:") ? el("a", { href: `#/run/${encodeURIComponent(text.slice(4))}` }, text) : el("span", {}, text);
}

// The colour of the n-th line: ten that the eye tells apart in light and dark, then around the circle.
const COLOURS = ["#2f7ed8", "#e0662e", "#2ca25f", "#c0392b", "#8e5bd0", "#1aa5a5", "#d81b80", "#a07a00", "#6b7c93", "#5aa02c"];

export function colour(place) {
  return COLOURS[place] ?? `hsl(${Math.round((place * 137.508) % 360)} 60% 50%)`;
}
