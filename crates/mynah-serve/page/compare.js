// Runs side by side: what they were told, what came out, and by how much they differ from the first.
import { el, number, post, show } from "./api.js";
import { direction, Goals } from "./goals.js";
import { go, state } from "./state.js";

export class CompareView {
  constructor() {
    this.onlyDifferent = true;
    this.body = el("div", { class: "pad" });
    this.goals = new Goals();
    this.problem = el("p", { class: "error", role: "alert", hidden: true });
    this.node = [
      el(
        "div",
        { class: "bar" },
        el("label", {}, el("input", { type: "checkbox", checked: true, onchange: (event) => { this.onlyDifferent = event.target.checked; this.draw(); } }), " only what differs"),
        this.goals.node,
        el("span", { class: "quiet" }, "The first run is the baseline; click a name to make it the first."),
      ),
      this.problem,
      this.body,
    ];
  }

  async update() {
    const ids = [...state.selected];
    if (ids.length < 2) {
      this.body.replaceChildren(el("p", { class: "empty" }, "Select two or more runs in the table (Space), then come back."));
      return;
    }
    this.found = await post("/api/mynah/compare", { run_ids: ids.slice(0, 200) });
    this.goals.show(this.found.metrics.map((line) => line.key));
    this.marks = null;
    this.problem.hidden = true;
    if (state.goals.length) {
      try {
        this.marks = await post("/api/mynah/standouts", { run_ids: ids.slice(0, 200), goals: state.goals });
      } catch (error) {
        this.problem.textContent = error.message;
        this.problem.hidden = false;
      }
    }
    this.draw();
  }

  mark(id) {
    const onFront = this.marks?.front.includes(id);
    const apart = (this.marks?.outliers ?? []).filter((one) => one.run_id === id).map((one) => one.metric);
    return [onFront ? el("span", { class: "badge", title: "No other of these runs is better in one goal and no worse in the others" }, "front") : null, apart.length ? el("span", { class: "badge apart", title: `far from the others in ${apart.join(", ")}` }, "outlier") : null];
  }

  draw() {
    if (!this.found) return;
    const { rows, params, metrics, tags } = this.found;
    const first = (id) => go({ selected: new Set([id, ...state.selected].filter((one, place, all) => all.indexOf(one) === place)) });
    const head = el("tr", {}, el("th", { scope: "col" }, ""), rows.map((row, place) => el("th", { scope: "col" }, el("button", { onclick: () => first(row.id), title: "Make this the baseline" }, row.name), place === 0 ? " (baseline)" : "", this.mark(row.id))));
    const section = (title, lines, cells) => {
      const shown = lines.filter((line) => line.differs || !this.onlyDifferent);
      if (!shown.length) return null;
      return el("tbody", {}, el("tr", {}, el("th", { scope: "rowgroup", colSpan: rows.length + 1 }, title)), shown.map((line) => el("tr", { class: line.differs && !this.onlyDifferent ? "differs" : undefined }, el("th", { scope: "row" }, line.key), cells(line))));
    };
    const texts = (line) => line.values.map((value) => el("td", {}, value ?? "–"));
    const numbers = (line) => {
      const base = number(line.values[0]);
      return line.values.map((value, place) => {
        const n = number(value);
        const delta = place && Number.isFinite(n) && Number.isFinite(base) && n !== base ? n - base : 0;
        const percent = delta && base ? ` (${delta > 0 ? "+" : ""}${((100 * delta) / Math.abs(base)).toPrecision(3)}%)` : "";
        const way = direction(line.key);
        const verdict = !delta || !way ? "" : (way === "min") === delta < 0 ? "better" : "worse";
        return el("td", { class: "number" }, n === undefined ? "–" : show(n), delta ? el("span", { class: verdict || "quiet" }, ` ${delta > 0 ? "+" : ""}${show(delta)}${percent}${verdict && ` ${verdict}`}`) : null);
      });
    };
    const parts = [section("Metrics", metrics, numbers), section("Params", params, texts), section("Tags", tags, texts)].filter(Boolean);
    this.body.replaceChildren(parts.length ? el("table", { class: "plain" }, el("thead", {}, head), parts) : el("p", { class: "empty" }, "These runs do not differ in params, metrics or tags."));
  }
}
