// Puts the views together: which one is shown, keys, theme, and the question every two seconds what has changed.
import { el, get } from "./api.js";
import { AuditView } from "./audit.js";
import { ChartsView } from "./charts.js";
import { CompareView } from "./compare.js";
import { GovernanceView } from "./governance.js";
import { ParallelView } from "./parallel.js";
import { RunView } from "./run.js";
import { RunsView } from "./runs.js";
import { address, changed, go, onChange, read, state } from "./state.js";

const POLL_MS = 2000;
const byId = (id) => document.getElementById(id);
const view = byId("view");

let all = [];
let cursor = 0;
let shown = "";

const experiments = () => (state.experiment ? [state.experiment] : all.map((experiment) => experiment.id));
const runs = new RunsView(experiments);
const views = {
  runs,
  charts: new ChartsView(experiments, runs.names),
  compare: new CompareView(),
  parallel: new ParallelView(experiments),
  run: new RunView(runs.names),
  governance: new GovernanceView(experiments),
  audit: new AuditView(),
};

async function draw() {
  const name = state.view in views ? state.view : "runs";
  const current = views[name];
  if (shown !== name) {
    view.replaceChildren(...current.node);
    shown = name;
    document.title = "Mynah runs";
    if (name === "runs") runs.grid.node.focus();
    else view.focus();
  }
  for (const link of document.querySelectorAll("nav a")) {
    const same = link.dataset.view === name;
    same ? link.setAttribute("aria-current", "page") : link.removeAttribute("aria-current");
    link.href = address({ view: link.dataset.view, id: "" });
  }
  byId("experiment").value = state.experiment;
  byId("selected").textContent = state.selected.size ? `${state.selected.size} selected` : "";
  byId("clear").hidden = !state.selected.size;
  try {
    await current.update();
  } catch (error) {
    if (error.name === "AbortError") return;
    view.replaceChildren(el("p", { class: "error", role: "alert" }, error.message));
    shown = "";
  }
}

async function loadExperiments() {
  const found = await get("/api/mynah/experiments");
  all = found.experiments;
  byId("experiment").replaceChildren(el("option", { value: "" }, "all"), ...all.map((experiment) => el("option", { value: experiment.id }, experiment.name)));
  byId("experiment").value = state.experiment;
}

async function poll() {
  const live = byId("live");
  try {
    const found = await get("/api/mynah/changes", { after: cursor });
    cursor = found.cursor;
    live.textContent = "live";
    if (found.reset) location.reload();
    if (found.subjects.some((subject) => subject.startsWith("experiment:"))) await loadExperiments();
    const touched = new Set(found.subjects.filter((subject) => subject.startsWith("run:")).map((subject) => subject.slice(4)));
    if (found.subjects.length) views[shown]?.grown?.();
    if (touched.size) {
      runs.known = null;
      if (shown === "runs") await runs.load(true);
      else runs.question = "";
      views[shown]?.touch?.(touched);
    }
    setTimeout(poll, found.more ? 0 : POLL_MS);
  } catch {
    live.textContent = "no answer";
    setTimeout(poll, 2 * POLL_MS);
  }
}

function theme() {
  const order = { undefined: "dark", dark: "light", light: undefined };
  const next = order[document.documentElement.dataset.theme];
  if (next) document.documentElement.dataset.theme = next;
  else delete document.documentElement.dataset.theme;
  next ? localStorage.setItem("mynah.theme", next) : localStorage.removeItem("mynah.theme");
  window.dispatchEvent(new Event("resize"));
  shown = "";
  draw();
}

document.addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey || document.querySelector("dialog[open]")) return;
  if (event.target.closest("input:not([type=checkbox]):not([type=range]), textarea, select")) return;
  const to = { r: "runs", g: "charts", c: "compare", p: "parallel", v: "governance", a: "audit" }[event.key];
  if (to) go({ view: to, id: "" });
  else if (event.key === "/") {
    if (shown !== "runs") go({ view: "runs", id: "" });
    runs.filter.focus();
  } else if (event.key === "?") byId("keys").showModal();
  else if (event.key === "o" && shown === "runs") runs.pickColumns();
  else if (event.key === "Escape" && shown !== "runs") go({ view: "runs", id: "" });
  else return;
  event.preventDefault();
});

byId("experiment").addEventListener("change", (event) => go({ experiment: event.target.value, columns: null }));
byId("clear").addEventListener("click", () => go({ selected: new Set() }));
byId("theme").addEventListener("click", theme);
byId("help").addEventListener("click", () => byId("keys").showModal());
onChange(draw);

const kept = localStorage.getItem("mynah.theme");
if (kept) document.documentElement.dataset.theme = kept;
read();
try {
  cursor = (await get("/api/mynah/info")).cursor;
  await loadExperiments();
  changed();
  setTimeout(poll, POLL_MS);
} catch (error) {
  view.replaceChildren(el("p", { class: "error", role: "alert" }, error.message));
}
