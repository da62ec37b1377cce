// Whether the server answers, asked again and again while somebody looks.
import { health } from "./api.js";
import { byId } from "./dom.js";

const ASK_MS = 5_000;

const WORDS = { idle: "ready", busy: "busy", stuck: "stuck", dead: "the model has failed", stopped: "stopped" };

export function watchHealth() {
  let timer;
  const look = async () => {
    clearTimeout(timer);
    if (!document.hidden) show(await ask());
    timer = setTimeout(look, ASK_MS);
  };
  document.addEventListener("visibilitychange", look);
  look();
  return look;
}

async function ask() {
  try {
    const found = await health();
    const engines = found.engines ?? [];
    const worst = ["dead", "stuck", "stopped", "busy", "idle"].find((state) => engines.some((engine) => engine.state === state));
    const isStopping = engines.some((engine) => !engine.accepts);
    const word = found.well ? (WORDS[worst] ?? "ready") : isStopping && ["busy", "idle"].includes(worst) ? "stopping" : (WORDS[worst] ?? "not well");
    return { kind: found.well ? worst : "bad", word, title: engines.map((engine) => `${engine.model}: ${engine.state}, requests: ${engine.requests}`).join("\n") };
  } catch {
    return { kind: "bad", word: "no answer", title: "The server does not answer" };
  }
}

function show({ kind, word, title }) {
  const node = byId("health");
  node.className = `quiet ${kind ?? "idle"}`;
  node.title = title;
  const text = node.querySelector("span");
  if (text.textContent !== word) text.textContent = word;
}
