// The request that asks for the next message of a branch.
import { hasSubstance } from "./answer.js";
import { fields } from "./options.js";

// Messages as /v1/chat/completions wants them; answers that came to nothing are left out.
export function messages(nodes, system) {
  const list = system ? [{ role: "system", content: system }] : [];
  for (const node of nodes) {
    if (node.role === "user") list.push({ role: "user", content: node.content });
    else if (node.role === "tool") {
      for (const { id, content } of node.results) list.push({ role: "tool", tool_call_id: id, content });
    } else if (hasSubstance(node)) list.push(assistant(node));
  }
  return list;
}

function assistant(node) {
  const message = { role: "assistant", content: node.content || null };
  // Templates decide themselves whether the model sees its earlier reasoning again.
  if (node.reasoning) message.reasoning_content = node.reasoning;
  if (node.calls.length) {
    message.tool_calls = node.calls.map((call) => ({ id: call.id, type: "function", function: { name: call.name, arguments: call.arguments } }));
  }
  return message;
}

// { body }, or { errors } by the name of the setting.
export function request(model, nodes, settings) {
  const { body, system, errors } = fields(settings);
  if (Object.keys(errors).length) return { errors };
  return {
    // Without a name the server takes its only model.
    body: { ...(model && { model }), messages: messages(nodes, system), ...body, stream: true, stream_options: { include_usage: true } },
  };
}
