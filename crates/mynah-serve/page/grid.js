// A table of any length: only the rows that can be seen are in the document.
import { el } from "./api.js";

const ROW = 28;
const MARGIN = 8;

export class Grid {
  // columns: {title, width, key?, cell(row) -> {text, number?, node?, title?}}; a key makes the title a sort button.
  constructor({ label, onSort, onOpen, onSelect, isSelected, onNearEnd }) {
    Object.assign(this, { onSort, onOpen, onSelect, isSelected, onNearEnd });
    this.rows = [];
    this.columns = [];
    this.at = 0;
    this.anchor = 0;
    this.head = el("div", { class: "head", role: "row" });
    this.body = el("div", { class: "rows", role: "rowgroup" });
    this.node = el(
      "div",
      { class: "grid", role: "grid", tabindex: "0", "aria-label": label, "aria-multiselectable": "true" },
      this.head,
      this.body,
    );
    this.node.addEventListener("scroll", () => this.schedule(), { passive: true });
    this.node.addEventListener("keydown", (event) => this.key(event));
    this.body.addEventListener("click", (event) => this.click(event));
    this.body.addEventListener("dblclick", () => this.onOpen(this.rows[this.at]));
    new ResizeObserver(() => this.schedule()).observe(this.node);
  }

  show(columns, rows, order) {
    this.columns = columns;
    this.rows = rows;
    this.at = Math.min(this.at, Math.max(0, rows.length - 1));
    const template = columns.map((column) => `${column.width}px`).join(" ");
    const width = columns.reduce((sum, column) => sum + column.width, 0);
    this.template = template;
    this.head.style.gridTemplateColumns = template;
    this.head.style.width = this.body.style.width = `${width}px`;
    this.head.replaceChildren(...columns.map((column) => this.title(column, order)));
    this.resize();
  }

  grow(rows) {
    this.rows = rows;
    this.resize();
  }

  resize() {
    this.body.style.height = `${this.rows.length * ROW}px`;
    this.node.setAttribute("aria-rowcount", this.rows.length + 1);
    this.schedule();
  }

  title(column, order) {
    if (!column.key) return el("div", { class: "cell", role: "columnheader" }, column.title);
    const [key, direction] = order;
    const sorted = key === column.key ? direction : "none";
    const mark = sorted === "ASC" ? " ▲" : sorted === "DESC" ? " ▼" : "";
    const said = { ASC: "ascending", DESC: "descending", none: "none" }[sorted];
    return el(
      "div",
      { class: column.number ? "number" : undefined, role: "columnheader", "aria-sort": said, style: { display: "grid", minWidth: "0" } },
      el("button", { title: column.title, onclick: () => this.onSort(column.key, sorted) }, column.title + mark),
    );
  }

  schedule() {
    if (this.planned) return;
    this.planned = requestAnimationFrame(() => {
      this.planned = 0;
      this.draw();
    });
  }

  draw() {
    const first = Math.max(0, Math.floor(this.node.scrollTop / ROW) - MARGIN);
    const last = Math.min(this.rows.length, Math.ceil((this.node.scrollTop + this.node.clientHeight) / ROW) + MARGIN);
    const rows = [];
    for (let place = first; place < last; place++) rows.push(this.row(place));
    this.body.replaceChildren(...rows);
    if (this.rows.length) this.node.setAttribute("aria-activedescendant", `row-${this.at}`);
    if (last + 200 > this.rows.length) this.onNearEnd();
  }

  row(place) {
    const row = this.rows[place];
    const selected = this.isSelected(row);
    const cells = this.columns.map((column) => {
      const cell = column.cell(row);
      const node = el("div", { class: cell.number ? "cell number" : "cell", role: "gridcell", title: cell.title ?? cell.text });
      node.append(cell.node ?? cell.text ?? "");
      return node;
    });
    return el(
      "div",
      {
        class: place === this.at ? "row at" : "row",
        role: "row",
        id: `row-${place}`,
        "aria-rowindex": place + 2,
        "aria-selected": String(selected),
        style: { top: `${place * ROW}px`, gridTemplateColumns: this.template },
      },
      cells,
    );
  }

  click(event) {
    const node = event.target.closest(".row");
    if (!node || event.target.closest("a")) return;
    this.at = Number(node.id.slice(4));
    if (event.target.closest("input") || event.ctrlKey || event.metaKey) this.toggle(false);
    else if (event.shiftKey) this.toggle(true);
    this.schedule();
  }

  toggle(range) {
    if (!this.rows.length) return;
    const [from, to] = range ? [Math.min(this.anchor, this.at), Math.max(this.anchor, this.at)] : [this.at, this.at];
    const on = !this.isSelected(this.rows[this.at]);
    this.anchor = this.at;
    this.onSelect(this.rows.slice(from, to + 1), on);
    this.schedule();
  }

  move(by) {
    this.at = Math.max(0, Math.min(this.rows.length - 1, this.at + by));
    const top = this.at * ROW;
    const height = this.node.clientHeight - 2 * ROW;
    if (top < this.node.scrollTop) this.node.scrollTop = top;
    else if (top > this.node.scrollTop + height) this.node.scrollTop = top - height;
    this.schedule();
  }

  key(event) {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    const page = Math.max(1, Math.floor(this.node.clientHeight / ROW) - 2);
    const moves = { ArrowDown: 1, j: 1, ArrowUp: -1, k: -1, PageDown: page, PageUp: -page, Home: -Infinity, End: Infinity };
    if (event.key in moves) this.move(moves[event.key]);
    else if (event.key === " " || event.key.toLowerCase() === "x") this.toggle(event.shiftKey);
    else if (event.key === "Enter" && !event.target.closest("button,a")) this.onOpen(this.rows[this.at]);
    else return;
    event.preventDefault();
    event.stopPropagation();
  }
}
