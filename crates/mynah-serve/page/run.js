// One run: what it was told, what it measured, its files, where it comes from; and how it differs from another.
import { bytes, el, get, number, post, show, span, table, when } from "./api.js";
import { Charts } from "./charts.js";
import { NearView } from "./near.js";
import { address, go, state } from "./state.js";

const PREVIEW_BYTES = 64 * 1024;

export class RunView {
  constructor(names) {
    this.names = names;
    this.charts = new Charts(names);
    this.title = el("div", { class: "bar" });
    this.body = el("div", { class: "columns" });
    this.near = new NearView();
    this.node = [this.title, this.body, ...this.near.node, ...this.charts.node];
  }

  async update() {
    if (this.id !== state.id) this.body.replaceChildren();
    this.id = state.id;
    const found = await get("/api/mynah/run", { run_id: state.id });
    if (this.id !== state.id) return;
    const { info, data = {} } = found.run;
    this.names.set(info.run_id, info.run_name);
    document.title = `${info.run_name} – Mynah runs`;
    this.title.replaceChildren(
      el("a", { href: address({ view: "runs", id: "" }) }, "← runs"),
      el("strong", {}, info.run_name),
      el("span", { class: `status ${info.status}` }, info.status),
      el("span", { class: "quiet" }, `${found.experiment} · ${info.user_id} · ${when(info.start_time)} · ${span((info.end_time ?? Date.now()) - info.start_time)}`),
      el("code", { class: "quiet" }, info.run_id),
      el("span", { class: "spring" }),
      el("button", { title: "Compare all runs that name no other with this one", onclick: () => go({ baseline: state.baseline === info.run_id ? "" : info.run_id }) }, state.baseline === info.run_id ? "No longer the baseline" : "Make it the baseline"),
      el("button", { onclick: () => this.keepApart(info, found.quarantine) }, found.quarantine ? "Release" : "Quarantine…"),
      el("a", { href: address({ view: "audit", id: `run:${info.run_id}` }) }, "its events"),
      ...(found.quarantine ? [el("span", { class: "apart" }, `In quarantine since ${when(found.quarantine.at_ms)} by ${found.quarantine.by}: ${found.quarantine.reason}`)] : []),
    );
    const params = data.params ?? [];
    const metrics = data.metrics ?? [];
    const tags = (data.tags ?? []).filter((tag) => !tag.key.startsWith("mlflow.log-model"));
    const note = tags.find((tag) => tag.key === "mlflow.note.content");
    this.body.replaceChildren(
      ...(note ? [el("section", {}, el("h2", {}, "Description"), el("pre", {}, note.value))] : []),
      section("Metrics", metrics.filter((metric) => !metric.key.startsWith("system/")), (metric) => [metric.key, show(metric.value), `step ${metric.step}`]),
      section("Params", params, (param) => [param.key, param.value]),
      section("System metrics", metrics.filter((metric) => metric.key.startsWith("system/")), (metric) => [metric.key.slice(7), show(metric.value), when(metric.timestamp)]),
      section("Tags", tags, (tag) => [tag.key, tag.value]),
      this.files(info),
      lineage(found),
      this.difference(info),
    );
    this.charts.show([info.run_id], metrics.map((metric) => metric.key));
    await this.near.update(info.run_id, metrics.map((metric) => metric.key));
  }

  // Hidden from comparison, serving and promotion; nothing is lost.
  keepApart(info, isApart) {
    const done = (work) => work.then(() => this.update()).catch((error) => this.title.append(el("span", { class: "bad", role: "alert" }, error.message)));
    if (isApart) return done(post("/api/mynah/release", { run_id: info.run_id }));
    const reason = el("input", { type: "text", maxLength: 900, required: true, autofocus: true, "aria-label": "Reason", placeholder: "reason" });
    const dialog = el(
      "dialog",
      { "aria-label": "Quarantine" },
      el("p", {}, `${info.run_name} will be hidden from comparison, serving and promotion. It loses nothing and can be released.`),
      el("form", { method: "dialog" }, reason, " ", el("button", { value: "apply" }, "Quarantine"), " ", el("button", { formNoValidate: true, value: "" }, "Cancel")),
    );
    dialog.addEventListener("close", () => {
      dialog.remove();
      if (dialog.returnValue === "apply") done(post("/api/mynah/quarantine", { run_id: info.run_id, reason: reason.value }));
    });
    document.body.append(dialog);
    dialog.showModal();
  }

  touch(ids) {
    if (ids.has(this.id)) this.update().catch(() => {});
    this.charts.touch(ids);
  }

  files(info) {
    const preview = el("div", {});
    const open = async (path) => {
      const address = `/get-artifact?run_id=${info.run_id}&path=${encodeURIComponent(path)}`;
      preview.replaceChildren(el("p", { class: "quiet" }, `${path} `, el("a", { href: address, download: "" }, "download")));
      const picture = /\.(png|jpe?g|gif|webp)$/i.test(path);
      const response = await fetch(address);
      if (!response.ok) return preview.append(el("p", { class: "error" }, `cannot read it: ${response.status}`));
      if (picture) {
        const blob = await response.blob();
        const reader = new FileReader();
        reader.onload = () => preview.append(el("img", { src: reader.result, alt: path, style: { maxWidth: "100%" } }));
        return reader.readAsDataURL(new Blob([blob], { type: `image/${path.split(".").pop().toLowerCase().replace("jpg", "jpeg")}` }));
      }
      const reader = response.body.getReader();
      const pieces = [];
      let size = 0, end = false;
      while (!end && size < PREVIEW_BYTES) {
        const { done, value } = await reader.read();
        end = done;
        if (value) size += pieces.push(value) && value.length;
      }
      await reader.cancel();
      const all = new Uint8Array(await new Blob(pieces).arrayBuffer()).slice(0, PREVIEW_BYTES);
      const binary = all.slice(0, 4096).some((byte) => byte === 0);
      preview.append(binary ? el("p", { class: "quiet" }, "not a text") : el("pre", {}, new TextDecoder().decode(all) + (end ? "" : "\n…")));
    };
    const folder = async (list, path) => {
      const { files = [] } = await get("/api/2.0/mlflow/artifacts/list", { run_id: info.run_id, path: path || undefined });
      if (!files.length && !path) list.append(el("li", { class: "quiet" }, "none"));
      for (const file of files) {
        const name = file.path.split("/").pop();
        const inner = el("ul", { hidden: true });
        const toggle = () => {
          if (!file.is_dir) return open(file.path).catch((error) => preview.append(el("p", { class: "error" }, error.message)));
          inner.hidden = !inner.hidden;
          if (!inner.childNodes.length) folder(inner, file.path);
        };
        list.append(el("li", {}, el("button", { onclick: toggle, "aria-expanded": file.is_dir ? "false" : undefined }, file.is_dir ? `▸ ${name}/` : name), el("span", { class: "quiet" }, file.is_dir ? "" : ` ${bytes(file.file_size ?? 0)}`), inner));
      }
    };
    const top = el("ul", {});
    folder(top, "").catch((error) => top.append(el("li", { class: "error" }, error.message)));
    return el("section", { class: "tree" }, el("h2", {}, "Files"), top, preview);
  }

  difference(info) {
    const others = [...state.selected].filter((id) => id !== info.run_id);
    const place = el("div", {});
    const compare = async (other) => {
      if (!other) return place.replaceChildren();
      const { rows, params, metrics } = await post("/api/mynah/compare", { run_ids: [other, info.run_id] });
      const lines = [...metrics.filter((line) => line.differs).map((line) => [line.key, show(line.values[0]), show(line.values[1]), change(line.values)]), ...params.filter((line) => line.differs).map((line) => [line.key, line.values[0] ?? "–", line.values[1] ?? "–", ""])];
      place.replaceChildren(table(["", rows[0].name, "this run", ""], lines));
    };
    const choose = el("select", { "aria-label": "Other run", onchange: (event) => compare(event.target.value).catch((error) => (place.textContent = error.message)) }, el("option", { value: "" }, "choose a selected run"));
    for (const id of others) choose.append(el("option", { value: id }, this.names.get(id) ?? id.slice(0, 8)));
    return el("section", {}, el("h2", {}, "What differs from"), others.length ? choose : el("p", { class: "quiet" }, "Select another run in the table first."), place);
  }
}

function change(values) {
  const [from, to] = values.map(number);
  if (!Number.isFinite(from) || !Number.isFinite(to) || from === 0) return "";
  return `${to > from ? "+" : ""}${((100 * (to - from)) / Math.abs(from)).toPrecision(3)}%`;
}

function section(title, items, line) {
  if (!items.length) return el("section", { hidden: true });
  const sorted = [...items].sort((a, b) => a.key.localeCompare(b.key));
  return el("section", {}, el("h2", {}, `${title} (${items.length})`), table([], sorted.map(line)));
}

// Where the run comes from and what came out of it, from left to right.
function lineage({ run, parent, children, versions }) {
  const datasets = (run.inputs?.dataset_inputs ?? []).map((input) => ({ text: `${input.dataset.name} ${input.dataset.digest.slice(0, 8)}`, kind: "dataset" }));
  const models = (run.inputs?.model_inputs ?? []).map((input) => ({ text: input.model_id.slice(0, 10), kind: "model" }));
  const before = [...(parent ? [{ text: parent.name, id: parent.id, kind: "parent run" }] : []), ...datasets, ...models];
  const after = [...children.map((child) => ({ text: child.name, id: child.id, kind: `child run, ${child.status}` })), ...(run.outputs?.model_outputs ?? []).map((output) => ({ text: output.model_id.slice(0, 10), kind: "model" })), ...versions.map((one) => ({ text: `${one.name} ${one.version}`, kind: ["version", one.stage === "None" ? "" : one.stage, ...one.aliases.map((alias) => `@${alias}`)].filter(Boolean).join(", ") }))];
  if (!before.length && !after.length) return el("section", { hidden: true });
  const svg = (name, attributes, ...nodes) => {
    const node = document.createElementNS("http://www.w3.org/2000/svg", name);
    for (const [key, value] of Object.entries(attributes)) node.setAttribute(key, value);
    node.append(...nodes);
    return node;
  };
  const short = (text) => (text.length > 27 ? `${text.slice(0, 26)}…` : text);
  const rows = Math.max(before.length, after.length, 1);
  const height = rows * 46;
  const picture = svg("svg", { viewBox: `0 0 660 ${height}`, width: "100%", role: "img", "aria-label": "Lineage" });
  const box = (x, y, item, here) => {
    const inside = [svg("rect", { class: here ? "box here" : "box", x, y, width: 180, height: 36, rx: 5 }), svg("text", { x: x + 8, y: y + 15 }, short(item.text)), svg("text", { x: x + 8, y: y + 29, opacity: ".6" }, short(item.kind)), svg("title", {}, `${item.text}: ${item.kind}`)];
    if (!item.id) return svg("g", {}, ...inside);
    const link = svg("a", { href: address({ view: "run", id: item.id }) }, ...inside);
    return link;
  };
  const middle = height / 2;
  const column = (items, x, towards) =>
    items.forEach((item, place) => {
      const y = middle - (items.length * 46) / 2 + place * 46 + 5;
      const [from, to] = towards ? [[x + 180, y + 18], [240, middle]] : [[420, middle], [x, y + 18]];
      picture.append(svg("path", { class: "edge", d: `M${from} C${from[0] + 30},${from[1]} ${to[0] - 30},${to[1]} ${to}` }), box(x, y, item, false));
    });
  column(before, 2, true);
  column(after, 478, false);
  picture.append(box(240, middle - 18, { text: run.info.run_name, kind: "this run" }, true));
  return el("section", { class: "lineage" }, el("h2", {}, "Lineage"), picture);
}
