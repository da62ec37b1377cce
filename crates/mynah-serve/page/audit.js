// The audit log, newest first; and whether it verifies.
import { el, get, subject, when } from "./api.js";
import { go, state } from "./state.js";

const DETAIL_CHARS = 300;

export class AuditView {
  constructor() {
    const field = (label, placeholder, apply) => el("input", { type: "search", "aria-label": label, placeholder, spellcheck: "false", onchange: (event) => apply(event.target.value.trim()) });
    this.kind = "";
    this.subject = field("Subject", "subject: run:3f2a…, model:chat", (text) => go({ id: text }));
    this.kindInput = field("Kind", "kind: run.create, model", (text) => { this.kind = text; this.load(); });
    this.head = el("p", { class: "quiet head-line" });
    this.verdict = el("span", { role: "status" });
    this.body = el("tbody", {});
    this.older = el("button", { onclick: () => this.more() }, "Older events");
    this.node = [
      el("div", { class: "bar" }, this.subject, this.kindInput, el("button", { onclick: () => this.verify() }, "Verify the whole log"), this.verdict),
      el(
        "div",
        { class: "pad" },
        this.head,
        el("table", { class: "plain audit" }, el("thead", {}, el("tr", {}, ["Event", "When", "Kind", "Subject", "By", "Detail", "Leaf"].map((title) => el("th", { scope: "col" }, title)))), this.body),
        el("p", {}, this.older),
      ),
    ];
  }

  async update() {
    this.subject.value = state.id;
    await this.load();
    this.tell(await get("/api/mynah/audit/verify", { last: true }));
  }

  // Of two questions under way the later one counts: an answer to the earlier would take its rows away.
  async load() {
    const found = await this.page();
    if (!found) return;
    this.paged = false;
    this.body.replaceChildren(...found.events.map(row));
    if (!found.events.length) this.body.append(el("tr", {}, el("td", { colSpan: 7, class: "quiet" }, found.next ? "Nothing that fits among the newest events; ask for older ones." : "No event fits.")));
  }

  async more() {
    const found = await this.page(this.next);
    if (!found) return;
    this.paged = true;
    this.body.append(...found.events.map(row));
  }

  async page(before) {
    const asked = (this.asked = (this.asked ?? 0) + 1);
    const found = await get("/api/mynah/audit", { before, subject: state.id || undefined, kind: this.kind || undefined });
    if (asked !== this.asked) return undefined;
    this.next = found.next ?? undefined;
    this.older.hidden = this.next === undefined;
    this.head.replaceChildren(el("strong", {}, `${found.size} events`), ", root ", el("code", {}, found.root), ` of ${found.origin}`);
    return found;
  }

  // Whoever reads further down is not thrown back to the top.
  grown() {
    if (!this.paged) this.load().catch(() => {});
  }

  async verify() {
    this.verdict.className = "quiet";
    this.verdict.textContent = "verifying…";
    try {
      this.tell(await get("/api/mynah/audit/verify"));
    } catch (error) {
      this.verdict.className = "worse";
      this.verdict.textContent = error.message;
    }
  }

  tell(found) {
    if (found.verified === null) {
      this.verdict.className = "quiet";
      this.verdict.textContent = "not verified since the server started";
      return;
    }
    const since = found.size - found.at_size;
    this.verdict.className = found.verified ? "better" : "worse";
    this.verdict.textContent = found.verified
      ? `✓ ${found.events} events verify and continue the log of ${found.held_size} that the server began with, ${when(found.at_ms)}${since > 0 ? `; ${since} since` : ""}`
      : `✗ the log does not verify: ${found.findings.slice(0, 5).join("; ")}${found.findings.length > 5 ? ` and ${found.findings.length - 5} more` : ""}`;
  }
}

function row(event) {
  const detail = JSON.stringify(event.detail ?? {});
  const short = detail.length > DETAIL_CHARS ? `${detail.slice(0, DETAIL_CHARS)}…` : detail;
  return el(
    "tr",
    {},
    el("th", { scope: "row" }, String(event.seq)),
    el("td", {}, when(event.at_ms)),
    el("td", {}, event.kind),
    el("td", {}, subject(event.subject)),
    el("td", {}, event.by || "–"),
    el("td", {}, el("code", { title: detail.slice(0, 4000) }, short === "{}" ? "" : short)),
    el("td", {}, el("code", { title: event.leaf }, event.leaf.slice(0, 12))),
  );
}
