// Asks for the API key when the server wants one.
import { byId } from "./dom.js";
import { keep, kept } from "./kept.js";

// `used()` is called when there is a new key, or none any more.
export function startKeyForm(used) {
  const dialog = byId("key");
  byId("key-form").addEventListener("submit", (event) => {
    event.preventDefault();
    keep("key", byId("key-value").value.trim());
    dialog.close();
    used();
  });
  byId("key-forget").addEventListener("click", () => {
    keep("key", "");
    dialog.close();
    used();
  });
  byId("key-cancel").addEventListener("click", () => dialog.close());
  return (why) => {
    byId("key-why").textContent = why;
    byId("key-value").value = kept("key");
    byId("key-forget").hidden = !kept("key");
    if (!dialog.open) dialog.showModal();
    byId("key-value").select();
  };
}
