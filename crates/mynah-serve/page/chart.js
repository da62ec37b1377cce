// A line chart on a canvas: any number of lines, smoothing, log axes, zoom by dragging, values under the pointer.
import { el, show, span } from "./api.js";

const LEFT = 56, RIGHT = 10, TOP = 8, BOTTOM = 22;

// Exponential moving average that does not start at zero: divided by the weight it has so far.
export function smooth(values, weight) {
  if (!(weight > 0)) return values;
  const out = new Array(values.length);
  let mean = 0, norm = 0;
  for (let i = 0; i < values.length; i++) {
    mean = mean * weight + values[i] * (1 - weight);
    norm = norm * weight + (1 - weight);
    out[i] = mean / norm;
  }
  return out;
}

// Round numbers between two others.
export function ticks(from, to, count) {
  const raw = (to - from) / Math.max(1, count);
  const power = 10 ** Math.floor(Math.log10(raw));
  const step = [1, 2, 5, 10].map((factor) => factor * power).find((step) => step >= raw);
  const out = [];
  for (let value = Math.ceil(from / step) * step; value <= to + step * 1e-9; value += step) out.push(value);
  return out;
}

export class LineChart {
  constructor(label) {
    this.canvas = el("canvas", { role: "img", "aria-label": label, tabindex: "0" });
    this.lines = [];
    this.options = {};
    this.zoom = null;
    this.tip = null;
    new ResizeObserver(() => this.draw()).observe(this.canvas);
    this.canvas.addEventListener("pointermove", (event) => this.hover(event));
    this.canvas.addEventListener("pointerleave", () => this.leave());
    this.canvas.addEventListener("pointerdown", (event) => {
      this.canvas.setPointerCapture(event.pointerId);
      this.from = event.offsetX;
    });
    this.canvas.addEventListener("pointerup", (event) => this.drop(event));
    this.canvas.addEventListener("dblclick", () => this.reset());
    this.canvas.addEventListener("keydown", (event) => event.key === "0" && this.reset());
  }

  // lines: {name, colour, xs, ys}; options: smoothing, logX, logY, time (x is milliseconds).
  show(lines, options) {
    this.options = options;
    this.lines = lines.map((line) => ({ ...line, smoothed: smooth(line.ys, options.smoothing) }));
    this.draw();
  }

  reset() {
    this.zoom = null;
    this.draw();
  }

  bounds() {
    const { logX, logY } = this.options;
    let x0 = Infinity, x1 = -Infinity, y0 = Infinity, y1 = -Infinity;
    for (const { xs, smoothed } of this.lines)
      for (let i = 0; i < xs.length; i++) {
        const x = xs[i], y = smoothed[i];
        if ((logX && x <= 0) || (logY && y <= 0) || (this.zoom && (x < this.zoom[0] || x > this.zoom[1]))) continue;
        if (x < x0) x0 = x;
        if (x > x1) x1 = x;
        if (y < y0) y0 = y;
        if (y > y1) y1 = y;
      }
    if (x0 > x1) return null;
    if (this.zoom) [x0, x1] = this.zoom;
    if (x0 === x1) [x0, x1] = logX ? [x0 / 2, x1 * 2] : [x0 - 1, x1 + 1];
    if (y0 === y1) [y0, y1] = logY ? [y0 / 2, y1 * 2] : [y0 - Math.abs(y0 || 1) / 2, y1 + Math.abs(y1 || 1) / 2];
    else if (!logY) [y0, y1] = [y0 - (y1 - y0) * 0.04, y1 + (y1 - y0) * 0.04];
    return { x0, x1, y0, y1 };
  }

  draw() {
    const ratio = window.devicePixelRatio || 1;
    const width = this.canvas.clientWidth, height = this.canvas.clientHeight;
    if (!width || !height) return;
    this.canvas.width = Math.round(width * ratio);
    this.canvas.height = Math.round(height * ratio);
    const context = this.canvas.getContext("2d");
    context.scale(ratio, ratio);
    const style = getComputedStyle(document.documentElement);
    const ink = (name) => style.getPropertyValue(name).trim();
    context.font = "11px system-ui, sans-serif";
    const box = this.bounds();
    if (!box) {
      context.fillStyle = ink("--quiet");
      context.fillText("no finite points", LEFT, height / 2);
      this.scale = null;
      return;
    }
    const { logX, logY } = this.options;
    const fx = logX ? Math.log10 : (v) => v;
    const fy = logY ? Math.log10 : (v) => v;
    const [ax, bx, ay, by] = [fx(box.x0), fx(box.x1), fy(box.y0), fy(box.y1)];
    const px = (v) => LEFT + ((fx(v) - ax) / (bx - ax)) * (width - LEFT - RIGHT);
    const py = (v) => height - BOTTOM - ((fy(v) - ay) / (by - ay)) * (height - TOP - BOTTOM);
    this.scale = { px, py, box, back: (p) => { const t = ax + ((p - LEFT) / (width - LEFT - RIGHT)) * (bx - ax); return logX ? 10 ** t : t; } };
    this.axes(context, ink, { width, height, ax, bx, ay, by, px, py });
    context.save();
    context.beginPath();
    context.rect(LEFT, TOP, width - LEFT - RIGHT, height - TOP - BOTTOM);
    context.clip();
    for (const line of this.lines) {
      if (this.options.smoothing > 0) this.stroke(context, line, line.ys, 0.25);
      this.stroke(context, line, line.smoothed, 1);
    }
    context.restore();
  }

  axes(context, ink, { width, height, ax, bx, ay, by, px, py }) {
    const { logX, logY, time } = this.options;
    const values = (log, from, to, count) => {
      if (!log) return ticks(from, to, count);
      const whole = ticks(Math.ceil(from), Math.floor(to), Math.min(count, Math.max(1, Math.floor(to) - Math.ceil(from))));
      return (whole.length > 1 ? whole.filter(Number.isInteger) : ticks(from, to, 3)).map((power) => 10 ** power);
    };
    context.strokeStyle = ink("--grid");
    context.fillStyle = ink("--quiet");
    context.lineWidth = 1;
    context.textBaseline = "middle";
    context.textAlign = "right";
    for (const value of values(logY, ay, by, Math.floor(height / 40))) {
      const y = Math.round(py(value)) + 0.5;
      context.beginPath();
      context.moveTo(LEFT, y);
      context.lineTo(width - RIGHT, y);
      context.stroke();
      context.fillText(show(value), LEFT - 5, y);
    }
    context.textBaseline = "top";
    context.textAlign = "center";
    for (const value of values(logX, ax, bx, Math.floor(width / 90))) {
      const x = Math.round(px(value)) + 0.5;
      context.beginPath();
      context.moveTo(x, TOP);
      context.lineTo(x, height - BOTTOM);
      context.stroke();
      const text = time === "clock" ? new Date(value).toLocaleTimeString() : time ? span(value) : show(value);
      context.fillText(text, Math.min(Math.max(x, LEFT + 10), width - 30), height - BOTTOM + 5);
    }
  }

  stroke(context, line, ys, alpha) {
    const { px, py } = this.scale;
    const { logX, logY } = this.options;
    context.globalAlpha = alpha;
    context.strokeStyle = context.fillStyle = line.colour;
    context.lineWidth = line.strong ? 2.5 : 1.5;
    context.beginPath();
    let open = false, drawn = 0, x = 0, y = 0;
    for (let i = 0; i < ys.length; i++) {
      if ((logX && line.xs[i] <= 0) || (logY && ys[i] <= 0)) {
        open = false;
        continue;
      }
      [x, y] = [px(line.xs[i]), py(ys[i])];
      open ? context.lineTo(x, y) : context.moveTo(x, y);
      open = true;
      drawn++;
    }
    context.stroke();
    if (drawn === 1) context.fillRect(x - 2, y - 2, 4, 4);
    context.globalAlpha = 1;
  }

  hover(event) {
    if (!this.scale) return;
    if (this.from !== undefined && event.buttons) {
      this.draw();
      const context = this.canvas.getContext("2d");
      context.globalAlpha = 0.15;
      context.fillStyle = "#4488ff";
      context.fillRect(this.from, TOP, event.offsetX - this.from, this.canvas.clientHeight - TOP - BOTTOM);
      context.globalAlpha = 1;
      return;
    }
    const x = this.scale.back(event.offsetX);
    const near = [];
    for (const line of this.lines) {
      const at = nearest(line.xs, x);
      if (at >= 0) near.push({ line, at, away: Math.abs(this.scale.py(line.smoothed[at]) - event.offsetY) });
    }
    if (!near.length) return;
    near.sort((a, b) => a.away - b.away);
    this.tip ??= document.body.appendChild(el("div", { class: "tip" }));
    this.tip.replaceChildren(
      ...near.slice(0, 8).map(({ line, at }) =>
        el("div", { style: { color: line.colour } }, `${line.name}: ${show(line.ys[at])} at ${this.options.time === "clock" ? new Date(line.xs[at]).toLocaleString() : this.options.time ? span(line.xs[at]) : show(line.xs[at])}`),
      ),
    );
    if (near.length > 8) this.tip.append(el("div", { class: "quiet" }, `and ${near.length - 8} more`));
    const left = Math.min(event.clientX + 14, window.innerWidth - this.tip.offsetWidth - 8);
    const top = Math.min(event.clientY + 14, window.innerHeight - this.tip.offsetHeight - 8);
    Object.assign(this.tip.style, { left: `${left}px`, top: `${top}px` });
  }

  leave() {
    this.tip?.remove();
    this.tip = null;
  }

  drop(event) {
    const from = this.from;
    this.from = undefined;
    if (from === undefined || !this.scale || Math.abs(event.offsetX - from) < 6) return this.draw();
    const pair = [this.scale.back(from), this.scale.back(event.offsetX)].sort((a, b) => a - b);
    this.zoom = pair;
    this.draw();
  }
}

// Place of the value nearest to x in a rising list.
export function nearest(xs, x) {
  if (!xs.length) return -1;
  let low = 0, high = xs.length - 1;
  while (low < high) {
    const middle = (low + high) >> 1;
    if (xs[middle] < x) low = middle + 1;
    else high = middle;
  }
  return low > 0 && x - xs[low - 1] < xs[low] - x ? low - 1 : low;
}
