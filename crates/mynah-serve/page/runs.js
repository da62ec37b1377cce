// The run table: filter, sort, columns, selection; loads on in the background.
import { el, post, show, span, when } from "./api.js";
import { Grid } from "./grid.js";
import { address, go, state } from "./state.js";

const FIRST = 200;
const NEXT = 2000;
const COLUMNS_AT_FIRST = { metrics: 6, params: 4 };

export const quoted = (column) => {
  const dot = column.indexOf(".");
  return `${column.slice(0, dot)}.\`${column.slice(dot + 1)}\``;
};

export class RunsView {
  constructor(experiments) {
    this.experiments = experiments;
    this.filter = el("input", {
      type: "search",
      "aria-label": "Filter",
      placeholder: "metrics.val_bpb < 1.2 AND params.depth = '12' AND tags.owner LIKE 'a%'",
      spellcheck: "false",
    });
    this.filter.addEventListener("keydown", (event) => {
      if (event.key === "Enter") go({ filter: this.filter.value.trim() });
      if (event.key === "Escape") this.grid.node.focus();
    });
    this.filter.addEventListener("search", () => go({ filter: this.filter.value.trim() }));
    this.count = el("span", { class: "quiet", role: "status" });
    this.error = el("p", { class: "error", role: "alert", hidden: true });
    this.grid = new Grid({
      label: "Runs",
      onSort: (key, now) => go({ order: { none: `${key} ASC`, ASC: `${key} DESC`, DESC: "" }[now] }),
      onOpen: (row) => row && go({ view: "run", id: row.id }),
      onSelect: (rows, on) => {
        const selected = new Set(state.selected);
        for (const row of rows) on ? selected.add(row.id) : selected.delete(row.id);
        go({ selected });
      },
      isSelected: (row) => state.selected.has(row.id),
      onNearEnd: () => this.more(),
    });
    this.node = [
      el(
        "div",
        { class: "bar" },
        this.filter,
        el("button", { onclick: () => go({ filter: this.filter.value.trim() }) }, "Filter"),
        el("button", { onclick: () => this.pickColumns(), title: "Columns (o)" }, "Columns…"),
        this.count,
      ),
      this.error,
      this.grid.node,
    ];
    this.rows = [];
    this.names = new Map();
  }

  // Asks again only when the question changed; a selection alone draws.
  async update() {
    const question = JSON.stringify([this.experiments(), state.filter, state.order, state.columns]);
    this.filter.value = document.activeElement === this.filter ? this.filter.value : state.filter;
    if (question === this.question) return this.grid.schedule();
    this.question = question;
    await this.load();
  }

  async load(quiet = false) {
    this.asked?.abort();
    const asked = (this.asked = new AbortController());
    try {
      if (!this.known || this.knownFor !== String(this.experiments())) {
        this.known = await post("/api/mynah/columns", { experiment_ids: this.experiments() });
        this.knownFor = String(this.experiments());
      }
      this.columns = state.columns ?? this.columnsAtFirst();
      const page = await this.page(quiet ? Math.max(FIRST, Math.min(this.rows.length, NEXT)) : FIRST, null, asked.signal);
      this.rows = quiet && this.rows.length > page.rows.length ? [...page.rows, ...this.rows.slice(page.rows.length)] : page.rows;
      if (!quiet || this.rows.length === page.rows.length) this.token = page.next_page_token;
      this.error.hidden = true;
      for (const row of page.rows) this.names.set(row.id, row.name);
      this.grid.show(this.layout(), this.rows, this.sorting());
      if (!quiet) this.grid.node.scrollTop = 0;
      this.counted();
      performance.mark("runs shown");
    } catch (error) {
      if (error.name === "AbortError") return;
      this.error.textContent = error.message;
      this.error.hidden = false;
    }
  }

  page(most, token, signal) {
    const fields = {
      experiment_ids: this.experiments(),
      filter: state.filter,
      columns: this.columns,
      order_by: state.order ? [state.order] : [],
      max_results: most,
      page_token: token ?? "",
    };
    return post("/api/mynah/runs", fields, signal);
  }

  async more() {
    if (!this.token || this.loading) return;
    this.loading = true;
    const asked = this.asked;
    try {
      const page = await this.page(NEXT, this.token, asked.signal);
      if (asked !== this.asked) return;
      this.token = page.next_page_token;
      for (const row of page.rows) this.names.set(row.id, row.name);
      this.rows = this.rows.concat(page.rows);
      this.grid.grow(this.rows);
      this.counted();
    } catch (error) {
      if (error.name !== "AbortError") this.error.textContent = error.message;
    } finally {
      this.loading = false;
    }
  }

  counted() {
    this.count.textContent = `${this.rows.length}${this.token ? "+" : ""} runs`;
  }

  columnsAtFirst() {
    const metrics = this.known.metrics.filter((key) => !key.startsWith("system/")).slice(0, COLUMNS_AT_FIRST.metrics);
    const params = this.known.params.slice(0, COLUMNS_AT_FIRST.params);
    return [...metrics.map((key) => `metrics.${key}`), ...params.map((key) => `params.${key}`)];
  }

  sorting() {
    const match = state.order.match(/^(.*) (ASC|DESC)$/);
    return match ? [match[1], match[2]] : ["", ""];
  }

  layout() {
    const fixed = [
      { title: "", width: 32, cell: (row) => ({ node: tick(row), title: "select" }) },
      { title: "Run", width: 230, key: "attributes.run_name", cell: (row) => ({ node: link(row), title: row.quarantine ? `In quarantine: ${row.quarantine}` : row.name }) },
      { title: "Status", width: 110, key: "attributes.status", cell: (row) => ({ node: el("span", { class: `status ${row.status}` }, row.status), title: row.status }) },
      { title: "Started", width: 150, key: "attributes.start_time", cell: (row) => ({ text: when(row.start_ms) }) },
      { title: "Duration", width: 100, cell: (row) => ({ text: span((row.end_ms ?? Date.now()) - row.start_ms), number: true }) },
      { title: "User", width: 90, key: "attributes.user_id", cell: (row) => ({ text: row.user }) },
    ];
    const chosen = this.columns.map((column, place) => ({
      title: column.slice(column.indexOf(".") + 1),
      width: 130,
      number: column.startsWith("metrics."),
      key: quoted(column),
      cell: (row) => {
        const value = row.cells[place];
        return column.startsWith("metrics.") ? { text: show(value), number: true, title: String(value ?? "") } : { text: value ?? "" };
      },
    }));
    return [...fixed, ...chosen];
  }

  pickColumns() {
    const chosen = new Set(this.columns);
    const all = [
      ...this.known.metrics.map((key) => `metrics.${key}`),
      ...this.known.params.map((key) => `params.${key}`),
      ...this.known.tags.map((key) => `tags.${key}`),
    ];
    const list = el("div", { class: "pick" });
    const draw = (text) =>
      list.replaceChildren(
        ...all
          .filter((column) => column.toLowerCase().includes(text.toLowerCase()))
          .slice(0, 1000)
          .map((column) =>
            el(
              "label",
              {},
              el("input", {
                type: "checkbox",
                checked: chosen.has(column),
                onchange: (event) => (event.target.checked ? chosen.add(column) : chosen.delete(column)),
              }),
              ` ${column}`,
            ),
          ),
      );
    draw("");
    const dialog = el(
      "dialog",
      { "aria-label": "Columns" },
      el("input", { type: "search", "aria-label": "Find a column", placeholder: "find", autofocus: true, oninput: (event) => draw(event.target.value) }),
      list,
      el("button", { onclick: () => dialog.close("apply") }, "Apply"),
      el("button", { onclick: () => dialog.close("reset") }, "As at first"),
      el("button", { onclick: () => dialog.close("") }, "Cancel"),
    );
    dialog.addEventListener("close", () => {
      dialog.remove();
      if (dialog.returnValue === "apply") go({ columns: all.filter((column) => chosen.has(column)) });
      if (dialog.returnValue === "reset") go({ columns: null });
    });
    document.body.append(dialog);
    dialog.showModal();
  }
}

function tick(row) {
  return el("input", { type: "checkbox", tabindex: "-1", checked: state.selected.has(row.id), "aria-label": `select ${row.name}` });
}

function link(row) {
  const node = el("a", { href: address({ view: "run", id: row.id }), tabindex: "-1" }, row.name || row.id.slice(0, 8));
  if (row.quarantine) node.append(el("span", { class: "apart" }, " ⚠"));
  return node;
}
