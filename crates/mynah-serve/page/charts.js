// One chart per metric, all chosen runs on each; asks for a chart's points when it comes into sight.
import { colour, el, post } from "./api.js";
import { LineChart } from "./chart.js";
import { state } from "./state.js";

const RUNS_AT_FIRST = 10;
const POINTS = 600;
const KEY = "mynah.charts";

const settings = { smoothing: 0, axis: "step", logX: false, logY: false, find: "", ...JSON.parse(localStorage.getItem(KEY) ?? "{}") };

const keep = () => localStorage.setItem(KEY, JSON.stringify(settings));

export class Charts {
  // runs: () => ids to draw; names: id -> name.
  constructor(names) {
    this.names = names;
    this.cards = new Map();
    this.count = el("span", { class: "quiet" });
    this.legend = el("div", { class: "legend" });
    this.grid = el("div", { class: "cards" });
    this.systemGrid = el("div", { class: "cards" });
    this.system = el("details", { class: "group", hidden: true, open: true }, el("summary", {}, "System metrics"), this.systemGrid);
    const check = (name, title) =>
      el("label", {}, el("input", { type: "checkbox", checked: settings[name], onchange: (event) => this.set(name, event.target.checked) }), ` ${title}`);
    const axis = el("select", { "aria-label": "Horizontal axis", onchange: (event) => this.set("axis", event.target.value, true) });
    for (const [value, title] of [["step", "step"], ["relative", "time since start"], ["time", "time of day"]])
      axis.append(el("option", { value, selected: settings.axis === value }, title));
    this.node = [
      el(
        "div",
        { class: "bar" },
        el("input", { type: "search", "aria-label": "Metrics", placeholder: "metrics: loss, ^val/, system/…", value: settings.find, oninput: (event) => this.set("find", event.target.value) }),
        el("label", {}, "Smoothing ", el("input", { type: "range", min: "0", max: "0.99", step: "0.01", value: String(settings.smoothing), oninput: (event) => this.set("smoothing", Number(event.target.value)) })),
        el("label", {}, "Over ", axis),
        check("logX", "log x"),
        check("logY", "log y"),
        this.count,
      ),
      this.legend,
      this.grid,
      this.system,
    ];
    this.seen = new IntersectionObserver((entries) => {
      for (const entry of entries) if (entry.isIntersecting) this.cards.get(entry.target.dataset.key)?.load();
    });
  }

  set(name, value, again = false) {
    settings[name] = value;
    keep();
    if (name === "find") this.arrange();
    else for (const card of this.cards.values()) again ? card.stale() : card.draw();
    if (again) this.arrange();
  }

  show(runs, keys) {
    const same = String(runs) === String(this.runs);
    this.runs = runs;
    this.keys = keys;
    if (!same) for (const card of this.cards.values()) card.stale();
    this.legend.replaceChildren(
      ...runs.map((id, place) => {
        const name = this.names.get(id) ?? id.slice(0, 8);
        return el("a", { href: `#/run/${id}`, style: { color: colour(place) } }, el("i", { style: { background: "currentColor" } }), name);
      }),
    );
    this.arrange();
  }

  arrange() {
    if (!this.keys) return;
    let match;
    try {
      const pattern = new RegExp(settings.find.trim(), "i");
      match = (key) => pattern.test(key);
    } catch {
      match = (key) => key.includes(settings.find.trim());
    }
    const shown = this.keys.filter(match);
    this.count.textContent = `${shown.length} of ${this.keys.length} metrics, ${this.runs.length} runs`;
    this.seen.disconnect();
    const nodes = (keys) =>
      keys.map((key) => {
        if (!this.cards.has(key)) this.cards.set(key, new Card(this, key));
        return this.cards.get(key).node;
      });
    const isSystem = (key) => key.startsWith("system/");
    const [own, system] = this.runs.length ? [nodes(shown.filter((key) => !isSystem(key))), nodes(shown.filter(isSystem))] : [[], []];
    this.grid.replaceChildren(...(own.length || system.length ? own : [el("p", { class: "empty" }, "No metrics to draw.")]));
    this.system.hidden = !system.length;
    this.systemGrid.replaceChildren(...system);
    for (const node of [...own, ...system]) this.seen.observe(node);
  }

  // Runs that have new points.
  touch(ids) {
    if (!this.runs?.some((id) => ids.has(id))) return;
    for (const card of this.cards.values()) if (card.loaded) card.stale();
    this.arrange();
  }
}

class Card {
  constructor(charts, key) {
    this.charts = charts;
    this.key = key;
    this.chart = new LineChart(`Chart of ${key}`);
    this.note = el("span", { class: "quiet" });
    const wide = () => {
      this.node.classList.toggle("wide");
      this.chart.draw();
    };
    this.node = el("article", { class: "card", "data-key": key }, el("h3", {}, el("span", {}, key), el("span", {}, this.note, " ", el("button", { title: "Larger or smaller", onclick: wide }, "⤢"))), this.chart.canvas);
  }

  stale() {
    this.loaded = false;
  }

  async load() {
    if (this.loaded) return;
    this.loaded = true;
    const axis = settings.axis === "step" ? "step" : "time";
    try {
      const { curves } = await post("/api/mynah/curves", { run_ids: this.charts.runs, keys: [this.key], points: POINTS, axis });
      this.curves = curves;
      const odd = curves.reduce((sum, curve) => sum + curve.non_finite_count, 0);
      this.note.textContent = odd ? `${odd} NaN or ∞` : "";
      this.draw();
    } catch (error) {
      this.loaded = false;
      this.note.textContent = error.message;
    }
  }

  draw() {
    if (!this.curves) return;
    const xs = (curve) => {
      if (settings.axis === "step") return curve.steps;
      if (settings.axis === "time") return curve.times_ms;
      const start = curve.times_ms[0] ?? 0;
      return curve.times_ms.map((time) => time - start);
    };
    const lines = this.curves.map((curve) => ({ colour: colour(this.charts.runs.indexOf(curve.run_id)), name: this.charts.names.get(curve.run_id) ?? curve.run_id.slice(0, 8), xs: xs(curve), ys: curve.values }));
    const time = { step: "", time: "clock", relative: "span" }[settings.axis];
    this.chart.show(lines, { smoothing: settings.smoothing, logX: settings.logX && settings.axis !== "time", logY: settings.logY, time });
  }
}

// The view of many runs: the chosen ones, or the newest.
export class ChartsView {
  constructor(experiments, names) {
    this.experiments = experiments;
    this.names = names;
    this.charts = new Charts(names);
    this.node = this.charts.node;
  }

  async update() {
    const runs = state.selected.size ? [...state.selected] : await this.newest();
    const { metrics } = await post("/api/mynah/columns", { experiment_ids: this.experiments() });
    const missing = runs.filter((id) => !this.names.has(id));
    if (missing.length) {
      const { rows } = await post("/api/mynah/compare", { run_ids: missing.slice(0, 200) });
      for (const row of rows) this.names.set(row.id, row.name);
    }
    this.charts.show(runs, metrics);
  }

  async newest() {
    const fields = { experiment_ids: this.experiments(), filter: state.filter, order_by: state.order ? [state.order] : [], max_results: RUNS_AT_FIRST, skip_quarantined: true };
    const { rows } = await post("/api/mynah/runs", fields);
    for (const row of rows) this.names.set(row.id, row.name);
    return rows.map((row) => row.id);
  }

  touch(ids) {
    this.charts.touch(ids);
  }
}
