// Server-sent events out of text that comes in pieces (HTML standard, section 9.2.6).

export class EventParser {
  #rest = "";
  #data = [];
  #name = "";

  // The events that this piece completes, as { name, data }.
  push(piece) {
    const events = [];
    const text = this.#rest + piece;
    let start = 0;
    for (;;) {
      const found = /\r\n|\n|\r/g;
      found.lastIndex = start;
      const end = found.exec(text);
      // A carriage return at the very end may be half of a line end.
      if (!end || (end[0] === "\r" && found.lastIndex === text.length)) break;
      this.#line(text.slice(start, end.index), events);
      start = found.lastIndex;
    }
    this.#rest = text.slice(start);
    return events;
  }

  #line(line, events) {
    if (line === "") {
      if (this.#data.length) events.push({ name: this.#name || "message", data: this.#data.join("\n") });
      this.#data = [];
      this.#name = "";
      return;
    }
    const colon = line.indexOf(":");
    if (colon === 0) return; // a comment, which keeps connections open
    const field = colon < 0 ? line : line.slice(0, colon);
    const value = colon < 0 ? "" : line.slice(colon + 1).replace(/^ /, "");
    if (field === "data") this.#data.push(value);
    else if (field === "event") this.#name = value;
  }
}
