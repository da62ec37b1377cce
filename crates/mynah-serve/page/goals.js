// Which way metrics are better, as somebody says it: nothing is guessed from a name.
import { el } from "./api.js";
import { go, state } from "./state.js";

let lists = 0;

export class Goals {
  constructor() {
    const id = `goals-${++lists}`;
    this.known = el("datalist", { id });
    this.input = el("input", { type: "text", "aria-label": "Goals", placeholder: "goals: val_bpb:min, accuracy:max", title: "METRIC:min or METRIC:max, up to eight, with commas between; Enter applies", spellcheck: "false", list: id, onchange: () => this.apply() });
    this.input.setAttribute("list", id);
    this.problem = el("span", { class: "bad", role: "alert" });
    this.node = el("span", { class: "goals" }, el("label", {}, "Goals ", this.input), this.known, this.problem);
  }

  // The metrics that can have one.
  show(metrics) {
    if (document.activeElement !== this.input) this.input.value = state.goals.join(", ");
    this.known.replaceChildren(...metrics.slice(0, 500).flatMap((key) => [el("option", { value: `${key}:min` }), el("option", { value: `${key}:max` })]));
  }

  apply() {
    const goals = this.input.value.split(",").map((goal) => goal.trim()).filter(Boolean);
    const wrong = goals.find((goal) => !/^.+:(min|max)$/.test(goal));
    this.problem.textContent = wrong ? `${wrong}: say :min or :max` : "";
    if (!wrong) go({ goals });
  }
}

// `min`, `max` or nothing.
export function direction(metric) {
  return state.goals.find((goal) => goal.slice(0, -4) === metric)?.slice(-3);
}
