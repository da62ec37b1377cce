// What a person can do about an error: a sentence, and the name of a button that helps.
import { label } from "./options.js";

// error: { status (0: no answer), code, param, message, retry_s }
export function advice(error) {
  const { status, code, param = "", retry_s } = error;
  if (status === 0) return { text: "Check that “mynah serve” is running and reachable, then try again." };
  if (status === 401) return { text: "Enter one of the keys that the server was started with.", action: "key" };
  if (status === 403) return { text: "Open the page by the address that the server printed when it started." };
  if (code === "context_length_exceeded") {
    return {
      text: "Begin a new conversation, edit an earlier message to go on from there, or ask for fewer tokens in the settings. "
        + "A longer context needs a server that was started with one (--max-context, --cache-tokens).",
      action: "new",
    };
  }
  if (code === "model_not_found") return { text: "Choose another model above; it may have been unloaded.", action: "models" };
  if (status === 413) return { text: "Send a shorter message." };
  if (status === 429) return { text: retry_s ? `Wait ${retry_s} s, then try again.` : "Wait a moment, then try again." };
  if (status === 503) return { text: "The server is full, starting or stopping. Wait a moment, then try again." };
  if (status === 504) return { text: "Ask for fewer tokens, or try again when the server is less busy." };
  const setting = /^messages\b/.test(param) ? undefined : label(settingOf(param));
  if (setting) return { text: `Change “${setting}” in the settings.`, action: "settings" };
  if (status >= 500) return { text: "Try again; if it stays, the server's own output says more." };
  return { text: "Change the message or the settings, then try again." };
}

// response_format.json_schema → schema; tools[0].function → tools
function settingOf(param) {
  const field = param.split(/[.[]/)[0];
  return { response_format: "format", guided_json: "schema", stream_options: "" }[field] ?? field;
}
