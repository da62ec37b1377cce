// Parallel coordinates: an axis per param or metric, a line per run, coloured by one metric; drag on an axis to keep
// only the runs that pass there.
import { el, number, post, show, table } from "./api.js";
import { Goals } from "./goals.js";
import { address, go, state } from "./state.js";

const RUNS_MAX = 2000;
const TOP = 34, BOTTOM = 18, SIDE = 60;

export class ParallelView {
  constructor(experiments) {
    this.experiments = experiments;
    this.chosen = null;
    this.brushes = new Map();
    this.canvas = el("canvas", { role: "img", "aria-label": "Parallel coordinates of runs" });
    this.axesList = el("details", {}, el("summary", {}, "Axes"), (this.pick = el("div", { class: "pick" })));
    this.colourBy = el("select", { "aria-label": "Colour by", onchange: () => { this.by = this.colourBy.value; this.draw(); } });
    this.count = el("span", { class: "quiet", role: "status" });
    this.goals = new Goals();
    this.frontOnly = el("input", { type: "checkbox", onchange: () => this.draw() });
    this.marks = el("div", { class: "columns" });
    this.front = new Set();
    this.apart = new Set();
    this.node = [
      el("div", { class: "bar" }, this.axesList, el("label", {}, "Colour ", this.colourBy), el("button", { onclick: () => this.select() }, "Select what is left"), el("button", { onclick: () => { this.brushes.clear(); this.draw(); } }, "Clear limits"), this.goals.node, el("label", {}, this.frontOnly, " only the front"), this.count),
      el("div", { class: "card wide parallel" }, this.canvas),
      this.marks,
    ];
    new ResizeObserver(() => this.draw()).observe(this.canvas);
    this.canvas.addEventListener("pointerdown", (event) => this.press(event));
    this.canvas.addEventListener("pointermove", (event) => this.drag(event));
    this.canvas.addEventListener("pointerup", () => (this.pressed = null));
  }

  async update() {
    const known = await post("/api/mynah/columns", { experiment_ids: this.experiments() });
    const metrics = known.metrics.filter((key) => !key.startsWith("system/")).map((key) => `metrics.${key}`);
    const params = known.params.map((key) => `params.${key}`);
    this.all = [...params, ...metrics];
    this.columns = this.all.slice(0, 200);
    const fields = { experiment_ids: this.experiments(), filter: state.filter, columns: this.columns, max_results: RUNS_MAX, skip_quarantined: true };
    const { rows } = await post("/api/mynah/runs", fields);
    this.rows = state.selected.size ? rows.filter((row) => state.selected.has(row.id)) : rows;
    if (!this.chosen || !this.chosen.every((column) => this.all.includes(column))) {
      const varied = params.filter((column) => new Set(this.rows.map((row) => row.cells[this.columns.indexOf(column)])).size > 1);
      // Metrics that most runs have come first; one that nobody here has would cut every line.
      const had = (column) => this.rows.filter((row) => (row.cells[this.columns.indexOf(column)] ?? null) !== null).length;
      const counts = new Map(metrics.map((column) => [column, had(column)]));
      const best = metrics.filter((column) => counts.get(column)).sort((a, b) => counts.get(b) - counts.get(a));
      this.chosen = [...varied.slice(0, 5), ...best.slice(0, 2)];
      this.by = best[0] ?? this.chosen[0];
    }
    this.pick.replaceChildren(
      ...this.columns.map((column) =>
        el("label", {}, el("input", { type: "checkbox", checked: this.chosen.includes(column), onchange: (event) => {
          this.chosen = this.columns.filter((one) => (one === column ? event.target.checked : this.chosen.includes(one)));
          this.draw();
        } }), ` ${column}`),
      ),
    );
    this.colourBy.replaceChildren(...this.columns.map((column) => el("option", { value: column, selected: column === this.by }, column)));
    this.goals.show(known.metrics);
    this.draw();
    await this.standOut();
  }

  // Which runs no other beats in all goals at once, and whose values lie far from the rest.
  async standOut() {
    this.front = new Set();
    this.apart = new Set();
    this.marks.replaceChildren();
    this.frontOnly.disabled = !state.goals.length;
    if (state.goals.length && this.rows.length) {
      try {
        this.tell(await post("/api/mynah/standouts", { run_ids: this.rows.map((row) => row.id), goals: state.goals }));
      } catch (error) {
        this.marks.replaceChildren(el("p", { class: "error", role: "alert" }, error.message));
      }
    }
    this.draw();
  }

  tell(found) {
    this.front = new Set(found.front);
    this.apart = new Set(found.outliers.map((one) => one.run_id));
    const names = new Map(this.rows.map((row) => [row.id, row.name]));
    const link = (id) => el("a", { href: address({ view: "run", id }) }, names.get(id) ?? id.slice(0, 8));
    const value = (id, metric) => {
      const at = this.columns.indexOf(`metrics.${metric}`);
      return at < 0 ? "" : show(this.rows.find((row) => row.id === id)?.cells[at]);
    };
    const metrics = found.goals.map((goal) => goal.slice(0, -4));
    const choose = el("button", { onclick: () => go({ view: "runs", selected: new Set(found.front.slice(0, 100)) }) }, "Select the front");
    this.marks.replaceChildren(
      el("section", { "data-part": "front" }, el("h2", {}, `Pareto front: ${found.front.length} of ${found.runs} runs`), el("p", { class: "quiet" }, "No other run here is better in one goal and no worse in the others. ", choose), table(["Run", ...found.goals], found.front.slice(0, 200).map((id) => [link(id), ...metrics.map((metric) => value(id, metric))]))),
      el("section", { "data-part": "outliers" }, el("h2", {}, `Outliers: ${found.outliers.length}`), el("p", { class: "quiet" }, `Further than ${found.outlier_score_min} robust deviations from the median; a metric needs ${found.outlier_runs_min} runs.`), found.outliers.length ? table(["Run", "Metric", "Value", "Deviations"], found.outliers.slice(0, 200).map((one) => [link(one.run_id), one.metric, show(one.value), show(one.score)])) : ""),
    );
  }

  // A numeric axis where every value is a number, else one place per text.
  axis(column) {
    const at = this.columns.indexOf(column);
    const raw = this.rows.map((row) => row.cells[at]).filter((value) => value !== null && value !== undefined);
    const numbers = raw.map((value) => number(value) ?? (String(value).trim() === "" ? NaN : Number(value)));
    if (raw.length && numbers.every(Number.isFinite)) {
      const from = numbers.reduce((a, b) => Math.min(a, b), Infinity), to = numbers.reduce((a, b) => Math.max(a, b), -Infinity);
      const place = (value) => { const n = Number(value); return value === null || value === undefined ? undefined : to > from ? (n - from) / (to - from) : 0.5; };
      return { column, at, place, labels: [[0, show(from)], [1, show(to)]] };
    }
    const texts = [...new Set(raw.map(String))].sort();
    const places = new Map(texts.map((text, i) => [text, texts.length > 1 ? i / (texts.length - 1) : 0.5]));
    const place = (value) => (value === null || value === undefined ? undefined : places.get(String(value)));
    return { column, at, place, labels: texts.length <= 12 ? [...places].map(([text, p]) => [p, text]) : [] };
  }

  draw() {
    if (!this.rows) return;
    const ratio = window.devicePixelRatio || 1;
    const { clientWidth: width, clientHeight: height } = this.canvas;
    if (!width || !height) return;
    this.canvas.width = Math.round(width * ratio);
    this.canvas.height = Math.round(height * ratio);
    const context = this.canvas.getContext("2d");
    context.scale(ratio, ratio);
    const style = getComputedStyle(document.documentElement);
    const axes = this.chosen.map((column) => this.axis(column));
    const x = (i) => (axes.length > 1 ? SIDE + (i * (width - 2 * SIDE)) / (axes.length - 1) : width / 2);
    const y = (p) => height - BOTTOM - p * (height - TOP - BOTTOM);
    this.shown = { axes, x, y, height };
    const shade = this.by && this.columns.includes(this.by) ? this.axis(this.by) : null;
    const passes = (row) => axes.every((axis) => {
      const brush = this.brushes.get(axis.column);
      const p = axis.place(row.cells[axis.at]);
      return !brush || (p !== undefined && p >= brush[0] && p <= brush[1]);
    });
    const shown = this.frontOnly.checked && this.front.size ? this.rows.filter((row) => this.front.has(row.id)) : this.rows;
    this.left = shown.filter(passes);
    const kept = new Set(this.left);
    // The front last, on top of the others and thicker; outliers are dashed.
    for (const [bright, onFront] of [[false, false], [true, false], [true, true]])
      for (const row of shown) {
        if (kept.has(row) !== bright || (bright && this.front.has(row.id) !== onFront)) continue;
        const p = shade?.place(row.cells[shade.at]);
        context.strokeStyle = p === undefined ? style.getPropertyValue("--quiet").trim() : `hsl(${240 - 240 * p} 75% 50%)`;
        const isApart = this.apart.has(row.id);
        context.globalAlpha = !bright ? 0.03 : onFront ? 1 : isApart ? 0.9 : Math.max(0.15, Math.min(0.8, 60 / this.left.length));
        context.lineWidth = onFront ? 3 : 1;
        context.setLineDash(isApart ? [5, 4] : []);
        context.beginPath();
        let open = false;
        axes.forEach((axis, i) => {
          const place = axis.place(row.cells[axis.at]);
          if (place === undefined) return (open = false);
          open ? context.lineTo(x(i), y(place)) : context.moveTo(x(i), y(place));
          open = true;
        });
        context.stroke();
      }
    context.globalAlpha = 1;
    context.lineWidth = 1;
    context.setLineDash([]);
    context.font = "11px system-ui, sans-serif";
    context.textAlign = "center";
    axes.forEach((axis, i) => {
      context.strokeStyle = style.getPropertyValue("--line").trim();
      context.fillStyle = style.getPropertyValue("--text").trim();
      context.beginPath();
      context.moveTo(x(i), TOP);
      context.lineTo(x(i), height - BOTTOM);
      context.stroke();
      context.fillText(axis.column.slice(axis.column.indexOf(".") + 1).slice(0, 22), x(i), 14);
      context.fillStyle = style.getPropertyValue("--quiet").trim();
      for (const [p, text] of axis.labels) context.fillText(text.slice(0, 18), x(i), y(p) + (p === 1 ? -6 : p === 0 ? 13 : 4));
      const brush = this.brushes.get(axis.column);
      if (!brush) return;
      context.fillStyle = "rgb(80 140 255 / .25)";
      context.fillRect(x(i) - 8, y(brush[1]), 16, y(brush[0]) - y(brush[1]));
    });
    this.count.textContent = `${this.left.length} of ${this.rows.length} runs`;
    this.canvas.setAttribute("aria-label", `Parallel coordinates of ${this.left.length} runs${this.front.size ? `, ${this.front.size} of them on the Pareto front` : ""}`);
  }

  at(event) {
    const { axes, x, height } = this.shown;
    const i = axes.reduce((best, _, i) => (Math.abs(x(i) - event.offsetX) < Math.abs(x(best) - event.offsetX) ? i : best), 0);
    const p = (height - BOTTOM - event.offsetY) / (height - TOP - BOTTOM);
    return { axis: axes[i], near: Math.abs(x(i) - event.offsetX) < 20, p: Math.max(0, Math.min(1, p)) };
  }

  press(event) {
    const { axis, near, p } = this.at(event);
    if (!axis || !near) return;
    this.canvas.setPointerCapture(event.pointerId);
    this.pressed = { column: axis.column, p };
    this.brushes.delete(axis.column);
    this.draw();
  }

  drag(event) {
    if (!this.pressed) return;
    const { p } = this.at(event);
    this.brushes.set(this.pressed.column, [Math.min(p, this.pressed.p), Math.max(p, this.pressed.p)]);
    this.draw();
  }

  select() {
    go({ view: "runs", selected: new Set(this.left.slice(0, 100).map((row) => row.id)) });
  }
}
