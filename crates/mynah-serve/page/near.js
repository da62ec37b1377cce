// A run against its baseline and its nearest runs: what came out differently, and the params that may explain it.
import { el, get, number, show, table } from "./api.js";
import { Goals } from "./goals.js";
import { address, state } from "./state.js";

export class NearView {
  constructor() {
    this.goals = new Goals();
    this.body = el("div", { class: "columns" });
    this.opened = new Map();
    this.node = [el("div", { class: "bar" }, el("strong", {}, "Baseline and nearest runs"), this.goals.node), this.body];
  }

  async update(id, metrics) {
    this.id = id;
    this.goals.show(metrics);
    let found;
    try {
      found = await get("/api/mynah/neighbours", { run_id: id, goals: state.goals, baseline_id: state.baseline || undefined });
    } catch (error) {
      this.drawn = "";
      return this.body.replaceChildren(el("p", { class: "error", role: "alert" }, error.message));
    }
    if (this.id !== id) return;
    // A run that goes on changes every moment; what somebody opened or closed stays so.
    const text = JSON.stringify([id, found]);
    if (text === this.drawn) return;
    if (this.drawnId !== id) this.opened.clear();
    this.drawnId = id;
    this.drawn = text;
    if (!found.compared) return this.body.replaceChildren(el("p", { class: "quiet" }, "This run is kept apart, so it is not compared."));
    const part = (title, about, links) => el("section", {}, el("h2", {}, title), links.length ? links.map((link, place) => this.near(title, link, place === 0)) : el("p", { class: "quiet" }, about));
    this.body.replaceChildren(
      part("Against the baseline", "No baseline: make a run the baseline on its own page, or name one in the tag mynah.baseline.", found.baseline ? [found.baseline] : []),
      part("Nearest by config", "There is no other run.", found.by_config),
      part("Nearest by result", "No other run has enough of its metrics.", found.by_result),
    );
  }

  near(title, link, open) {
    const key = `${title} ${link.id}`;
    const node = near(link, this.opened.get(key) ?? open);
    node.addEventListener("toggle", () => this.opened.set(key, node.open));
    return node;
  }
}

const METRICS_AT_FIRST = 8;

function near(link, open) {
  const best = link.deltas[0];
  const configs = link.config_count === 0 ? "same params" : link.config_count === 1 ? `${link.config[0].key} differs` : `${link.config_count} params differ`;
  const lead = best ? `${best.metric} ${signed(best.difference)}${verdict(best)}` : "same metrics";
  const more = link.delta_count - link.deltas.length;
  return el(
    "details",
    { class: "near", open },
    el("summary", {}, el("strong", {}, link.name), ` ${configs}; ${lead}`),
    el("p", {}, el("a", { href: address({ view: "run", id: link.id }) }, "open"), " ", el("a", { href: address({ view: "compare", id: "", selected: new Set([link.id, state.id]) }) }, "compare"), el("span", { class: "quiet" }, link.same_count ? ` ${link.same_count} metrics are equal` : "")),
    link.config.length ? table(["Param", link.name, "this run"], link.config.map((one) => [one.key, one.from ?? "–", one.to ?? "–"])) : null,
    link.deltas.length ? metrics(link, link.deltas.slice(0, METRICS_AT_FIRST)) : null,
    link.deltas.length > METRICS_AT_FIRST ? el("details", {}, el("summary", {}, `${link.deltas.length - METRICS_AT_FIRST} more metrics`), metrics(link, link.deltas.slice(METRICS_AT_FIRST))) : null,
    more > 0 ? el("p", { class: "quiet" }, `and ${more} more metrics`) : null,
  );
}

function metrics(link, deltas) {
  return table(
    ["Metric", link.name, "this run", "difference"],
    deltas.map((one) => [one.metric, show(one.baseline), show(one.value), el("span", { class: one.verdict }, `${signed(one.difference)}${percent(one.relative)}${verdict(one)}`)]),
  );
}

const signed = (value) => `${number(value) > 0 ? "+" : ""}${show(value)}`;
const percent = (value) => (Number.isFinite(number(value)) ? ` (${number(value) > 0 ? "+" : ""}${(100 * number(value)).toPrecision(3)}%)` : "");
// Without a declared direction there is a size and no verdict.
const verdict = (one) => (one.verdict === "better" || one.verdict === "worse" ? ` ${one.verdict}` : "");
