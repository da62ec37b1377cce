// What the user looks at: it lives in the address after '#', so that a link shows the same and Back works.

const listeners = new Set();

export const state = { view: "runs", id: "", experiment: "", filter: "", order: "", columns: null, selected: new Set(), goals: [], baseline: "" };

// MLflow's clients print links of their own page: experiments/1 and experiments/1/runs/3f2a….
function ours(parts) {
  const [first, experiment, second, run] = parts;
  if (first !== "experiments") return parts.slice(0, 2);
  return second === "runs" && run ? ["run", run, experiment] : ["runs", "", experiment];
}

export function read() {
  const [path, query = ""] = location.hash.replace(/^#\/?/, "").split("?");
  const [view = "", id = "", ...rest] = ours(path.split("/"));
  const fields = new URLSearchParams(query);
  state.view = view || "runs";
  state.id = decodeURIComponent(id);
  state.experiment = fields.get("e") ?? rest[0] ?? "";
  state.filter = fields.get("f") ?? "";
  state.order = fields.get("o") ?? "";
  state.columns = fields.has("c") ? fields.get("c").split("\n").filter(Boolean) : null;
  state.goals = (fields.get("g") ?? "").split("\n").filter(Boolean);
  state.baseline = fields.get("b") ?? "";
  state.selected = new Set((fields.get("s") ?? "").split(",").filter(Boolean));
}

export function address(changes = {}) {
  const next = { ...state, ...changes };
  const fields = new URLSearchParams();
  if (next.experiment) fields.set("e", next.experiment);
  if (next.filter) fields.set("f", next.filter);
  if (next.order) fields.set("o", next.order);
  if (next.columns) fields.set("c", next.columns.join("\n"));
  if (next.goals.length) fields.set("g", next.goals.join("\n"));
  if (next.baseline) fields.set("b", next.baseline);
  if (next.selected.size) fields.set("s", [...next.selected].join(","));
  const query = String(fields);
  return `#/${next.view}${next.id ? `/${encodeURIComponent(next.id)}` : ""}${query ? `?${query}` : ""}`;
}

// Another view is a step of the history; a setting of the same view is not.
export function go(changes) {
  const next = address(changes);
  if (next === location.hash) return;
  const step = (changes.view ?? state.view) !== state.view || (changes.id ?? state.id) !== state.id;
  history[step ? "pushState" : "replaceState"](null, "", next);
  changed();
}

export function onChange(listener) {
  listeners.add(listener);
}

export function changed() {
  read();
  for (const listener of listeners) listener();
}

window.addEventListener("popstate", changed);
window.addEventListener("hashchange", changed);
