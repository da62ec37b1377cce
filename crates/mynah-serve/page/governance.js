// What is wrong, who is kept apart, what people must do, what went to production and why, and what drifts.
import { el, get, number, post, show, subject, table, when } from "./api.js";
import { address } from "./state.js";

export class GovernanceView {
  constructor(experiments) {
    this.experiments = experiments;
    this.drawn = new Map();
    this.since = el("span", { class: "apart", role: "status" });
    this.said = el("span", { class: "quiet", role: "status" });
    this.problem = el("p", { class: "error", role: "alert", hidden: true });
    const part = (title, name) => el("section", { "data-part": name }, el("h2", {}, title), (this[name] = el("div", {}, el("p", { class: "quiet" }, "…"))));
    this.window = el("input", { type: "number", min: "8", max: "50000", value: "50", "aria-label": "Runs a window" });
    this.node = [
      el("div", { class: "bar" }, el("button", { onclick: () => this.validate() }, "Validate now"), this.said),
      this.problem,
      el(
        "div",
        { class: "pad parts" },
        part("Findings", "findings"),
        part("Quarantine", "apart"),
        part("Tickets", "tickets"),
        part("Promotions", "promotions"),
        part("Drift", "drift"),
      ),
    ];
  }

  async update() {
    this.found = await get("/api/mynah/governance");
    this.draw();
    if (!this.windows) this.drift.replaceChildren(this.driftBar());
  }

  // The log has grown: what is shown may be old, and says so.
  grown() {
    if (!this.busy) this.update().catch(() => {});
  }

  // Does something, then shows what has become of it.
  async act(work) {
    this.busy = true;
    this.problem.hidden = true;
    try {
      await work();
      await this.update();
    } catch (error) {
      this.problem.textContent = error.message;
      this.problem.hidden = false;
    } finally {
      this.busy = false;
    }
  }

  validate() {
    this.said.textContent = "validating…";
    return this.act(async () => {
      await post("/api/mynah/validate", {});
      this.said.textContent = "";
    });
  }

  // Only what has changed is drawn again: whoever reads a ticket or writes into a field is left in peace.
  draw() {
    const { validation, size, read_only, apart, apart_count, tickets, open_ticket_count, promotions, promotion_count, policy } = this.found;
    this.fresh("findings", { validation, read_only }, (found) => this.drawFindings(found));
    this.fresh("apart", { apart, apart_count, read_only }, (found) => this.drawApart(found));
    this.fresh("tickets", { tickets, open_ticket_count, read_only }, (found) => this.drawTickets(found));
    this.fresh("promotions", { promotions, promotion_count, policy }, (found) => this.drawPromotions(found));
    const grown = validation ? size - validation.at_size : 0;
    this.since.textContent = grown > 0 ? `The log has grown by ${grown} events since; validate again to see what they changed.` : "";
  }

  fresh(name, data, draw) {
    const text = JSON.stringify(data);
    if (this.drawn.get(name) === text) return;
    this.drawn.set(name, text);
    draw(data);
  }

  drawFindings({ validation, read_only }) {
    if (!validation) return this.findings.replaceChildren(el("p", { class: "quiet" }, "Nobody has validated this store since the server started."));
    const { counts, findings, finding_count, runs, events, at_ms } = validation;
    const about = `${finding_count} findings in ${runs} runs and ${events} events, ${when(at_ms)}. `;
    const parts = [el("p", { class: "quiet" }, about, this.since), el("p", {}, ["critical", "error", "warning", "info"].map((name) => el("span", { class: `severity ${name}` }, `${counts[name]} ${name}`)))];
    if (findings.length) {
      const line = (one) => [el("span", { class: `severity ${one.severity}` }, one.severity), one.rule, subject(one.subject), one.place, one.message + (one.repairable ? " (repairable)" : "")];
      parts.push(table(["Severity", "Rule", "Subject", "Place", "What"], findings.map(line)));
      if (finding_count > findings.length) parts.push(el("p", { class: "quiet" }, `and ${finding_count - findings.length} more`));
      if (!read_only) parts.push(el("button", { onclick: () => this.act(() => post("/api/mynah/tickets/file", {})) }, "File tickets for what people must do"));
      parts.push(el("p", { class: "quiet" }, "Repairs are planned and carried out with `mynah runs repair`."));
    }
    this.findings.replaceChildren(...parts);
  }

  drawApart({ apart, apart_count, read_only }) {
    const release = (run) => el("button", { "aria-label": `Release ${run.name}`, onclick: () => this.act(() => post("/api/mynah/release", { run_id: run.id })) }, "Release");
    const line = (run) => [el("a", { href: address({ view: "run", id: run.id }) }, run.name), run.reason, run.by || "–", when(run.at_ms), read_only ? "" : release(run)];
    const parts = [apart.length ? table(["Run", "Reason", "By", "Since", ""], apart.map(line)) : el("p", { class: "quiet" }, "No run is in quarantine.")];
    if (apart_count > apart.length) parts.push(el("p", { class: "quiet" }, `and ${apart_count - apart.length} more`));
    this.apart.replaceChildren(...parts);
  }

  drawTickets({ tickets, open_ticket_count, read_only }) {
    const parts = [el("p", { class: "quiet" }, `${open_ticket_count} open, ${tickets.length} in all`)];
    for (const ticket of tickets) {
      const done = el("input", { type: "text", maxLength: 1000, "aria-label": `What was done about ${ticket.id}`, placeholder: "what was done about it" });
      const close = () => this.act(() => post("/api/mynah/tickets/close", { id: ticket.id, resolution: done.value }));
      parts.push(
        el(
          "details",
          { class: "ticket" },
          el("summary", {}, el("span", { class: `severity ${ticket.open ? ticket.severity : ""}` }, ticket.open ? ticket.severity : "closed"), ` ${ticket.title} `, el("span", { class: "quiet" }, `${ticket.subject}, ${ticket.place}`)),
          el("p", {}, subject(ticket.subject), `: ${ticket.message}`),
          el("p", { class: "quiet" }, ticket.why),
          el("ol", {}, ticket.guidance.map((step) => el("li", {}, step))),
          ticket.open ? (read_only ? null : el("p", {}, done, " ", el("button", { onclick: close }, "Close"))) : el("p", {}, `Done: ${ticket.resolution ?? ""}`),
        ),
      );
    }
    this.tickets.replaceChildren(...parts);
  }

  drawPromotions({ promotions, promotion_count, policy }) {
    const gates = (report) => {
      const results = report?.results ?? [];
      return results.length ? el("ul", {}, results.map((result) => el("li", { class: result.outcome === "failed" ? "worse" : undefined }, result.message ?? `${result.gate}: ${result.outcome}`))) : "none";
    };
    const overruled = (one) => {
      if (!one.override) return one.reasons.length ? one.reasons.join("; ") : "";
      const { by, why, verified, problem } = one.override;
      return el("div", {}, el("strong", {}, `overruled by ${by}`), `: ${why}`, el("div", { class: verified ? "better" : "worse" }, verified ? "signature verified" : `not verified: ${problem}`), el("ul", {}, one.reasons.map((reason) => el("li", {}, reason))));
    };
    const line = (one) => [`${one.model} ${one.version}`, `${one.stage}${one.stage_now && one.stage_now !== one.stage ? `, now ${one.stage_now}` : ""}`, one.run_id ? subject(`run:${one.run_id}`) : "", one.by, when(one.at_ms), gates(one.gates), overruled(one)];
    const rules = [`a finding of weight ${policy.block_promotion_at} or above keeps a run out of production`, policy.gates.length ? `gates: ${policy.gates.join("; ")}` : "no gates", policy.approvers.length ? `may overrule: ${policy.approvers.join(", ")}` : "nobody may overrule"];
    this.promotions.replaceChildren(
      el("p", { class: "quiet" }, `Policy of this server: ${rules.join(" · ")}`),
      promotions.length ? table(["Version", "Stage", "Run", "By", "When", "Gates", "Override"], promotions.map(line)) : el("p", { class: "quiet" }, "Nothing was promoted yet."),
      ...(promotion_count > promotions.length ? [el("p", { class: "quiet" }, `and ${promotion_count - promotions.length} more`)] : []),
    );
  }

  driftBar() {
    return el("p", {}, el("label", {}, "Windows of ", this.window, " runs "), el("button", { onclick: () => this.act(() => this.loadDrift()) }, "Look for drift"));
  }

  async loadDrift() {
    const found = (this.windows = await post("/api/mynah/drift", { experiment_ids: this.experiments(), window_runs: Number(this.window.value) }));
    const { windows, names, psi_min, false_positive_rate, runs } = found;
    if (!windows.length) return this.drift.replaceChildren(this.driftBar(), el("p", { class: "quiet" }, `${runs} runs are not enough for two windows of ${found.window_runs}.`));
    const cell = (window, name) => {
      const row = window.report.rows.find((row) => row.name === name);
      if (!row) return el("td", {}, "–");
      const p = Math.min(row.ks_p ?? 1, row.chi_square_p);
      const medians = number(row.median_reference) === undefined ? "" : `, median ${show(row.median_reference)} and ${show(row.median_current)}`;
      return el("td", { class: row.drift ? "number drift" : "number", title: `${row.reference} and ${row.current} values, p = ${p.toExponential(2)}${medians}` }, row.psi.toFixed(3) + (row.drift ? " drift" : ""));
    };
    this.drift.replaceChildren(
      this.driftBar(),
      el("p", { class: "quiet" }, `Population stability index of ${runs} runs, each window against the first; "drift" where a test says so and the index is ${psi_min} or more. False alarms: ${100 * false_positive_rate}% of such tables.`),
      el(
        "div",
        { class: "scroll", tabindex: "0", role: "region", "aria-label": "Drift table" },
        el(
          "table",
          { class: "plain" },
          el("thead", {}, el("tr", {}, ["From", "To", ...names].map((name) => el("th", { scope: "col" }, name)))),
          el("tbody", {}, windows.map((window) => el("tr", {}, el("th", { scope: "row" }, when(window.from_ms)), el("td", {}, when(window.to_ms)), names.map((name) => cell(window, name))))),
        ),
      ),
    );
  }
}
