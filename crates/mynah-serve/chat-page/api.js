// Calls of the server that the page came from.
import { kept } from "./kept.js";
import { EventParser } from "./sse.js";

// status 0: there was no answer.
export class ApiError extends Error {
  constructor(message, facts = {}) {
    super(message);
    Object.assign(this, { status: 0, code: "", param: "", ...facts });
  }
}

async function call(path, options = {}) {
  const headers = { accept: "application/json", ...options.headers };
  if (kept("key")) headers.authorization = `Bearer ${kept("key")}`;
  let response;
  try {
    response = await fetch(path, { ...options, headers });
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new ApiError("The server does not answer.");
  }
  if (!response.ok) throw await refusal(response);
  return response;
}

async function refusal(response) {
  const { status } = response;
  const retry_s = Number(response.headers.get("retry-after")) || undefined;
  let error;
  try {
    ({ error } = await response.json());
  } catch {
    error = null;
  }
  return failure(error ?? { message: `The server answered with status ${status}.` }, { status, retry_s });
}

const failure = (error, facts) =>
  new ApiError(error.message ?? "The server gave no reason.", { ...facts, code: error.code ?? "", param: error.param ?? "" });

export async function models() {
  const found = await (await call("/v1/models")).json();
  return found.data.map((model) => ({ id: model.id, context: model.max_model_len, parent: model.parent }));
}

// What /health says, also when it says that the server is not well.
export async function health() {
  const response = await fetch("/health", { headers: { accept: "application/json" } });
  return { well: response.ok, ...(await response.json()) };
}

// The chunks of a streamed answer. An error inside the stream is thrown like any other.
export async function* chat(body, signal) {
  const options = { method: "POST", headers: { "content-type": "application/json" }, body: JSON.stringify(body), signal };
  const response = await call("/v1/chat/completions", options);
  const reader = response.body.getReader();
  const decoder = new TextDecoder();
  const parser = new EventParser();
  try {
    for (;;) {
      const { done, value } = await read(reader);
      for (const event of parser.push(done ? `${decoder.decode()}\n\n` : decoder.decode(value, { stream: true }))) {
        if (event.data === "[DONE]") return;
        const chunk = JSON.parse(event.data);
        if (chunk.error) throw failure(chunk.error, { status: 500 });
        yield chunk;
      }
      if (done) throw new ApiError("The connection ended before the answer did.");
    }
  } finally {
    // Whoever stops reading tells the server, which then stops the model.
    reader.cancel().catch(() => {});
  }
}

async function read(reader) {
  try {
    return await reader.read();
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new ApiError("The connection broke before the answer was complete.");
  }
}
