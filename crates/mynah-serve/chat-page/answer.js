// What the chunks of a streamed answer come to.

export function begin(model, now_ms) {
  return { role: "assistant", model, content: "", reasoning: "", calls: [], served: [], finish: null, started_ms: now_ms };
}

// Adds one chunk of /v1/chat/completions. Calls may come whole or their arguments in pieces, told apart by index.
export function add(answer, chunk, now_ms) {
  if (chunk.model) answer.model = chunk.model;
  if (chunk.usage) answer.usage = usage(chunk.usage);
  const choice = chunk.choices?.[0];
  if (!choice) return;
  const delta = choice.delta ?? {};
  const reasoning = delta.reasoning_content ?? delta.reasoning;
  if (typeof reasoning === "string") answer.reasoning += reasoning;
  if (typeof delta.content === "string") answer.content += delta.content;
  for (const piece of delta.tool_calls ?? []) addCall(answer.calls, piece);
  // Calls that the server has run, with what came out.
  for (const { function: called, output } of delta.server_tool_calls ?? []) {
    answer.served.push({ name: called?.name ?? "", arguments: called?.arguments ?? "", output: output ?? "" });
  }
  if (delta.content || reasoning || delta.tool_calls) {
    answer.first_ms ??= now_ms;
    answer.last_ms = now_ms;
  }
  if (choice.finish_reason) answer.finish = choice.finish_reason;
}

function addCall(calls, piece) {
  const index = piece.index ?? calls.length;
  const call = (calls[index] ??= { id: "", name: "", arguments: "" });
  if (piece.id) call.id = piece.id;
  if (piece.function?.name) call.name += piece.function.name;
  if (piece.function?.arguments) call.arguments += piece.function.arguments;
}

function usage(found) {
  return {
    prompt: found.prompt_tokens ?? 0,
    completion: found.completion_tokens ?? 0,
    cached: found.prompt_tokens_details?.cached_tokens ?? 0,
  };
}

// Tokens a second between the first token and the last; nothing when there is too little to measure.
export function rate(answer) {
  const tokens = (answer.usage?.completion ?? 0) - 1;
  const time_s = (answer.last_ms - answer.first_ms) / 1000;
  return tokens > 0 && time_s > 0 ? tokens / time_s : undefined;
}

// An answer worth sending back to the model.
export const hasSubstance = (answer) => Boolean(answer.content || answer.calls?.length);

// Calls whose results the model waits for.
export const waits = (node) => node?.role === "assistant" && node.calls?.length > 0 && node.finish !== null && !node.error;

// Arguments as people read them; what is no JSON stays as it is.
export function pretty(text) {
  try {
    return JSON.stringify(JSON.parse(text), null, 2);
  } catch {
    return text;
  }
}
