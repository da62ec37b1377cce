// Asks for the API key when the server wants one.
import { byId } from "./dom.js";
import { keep, kept } from "./kept.js";

// `used()` is called with a new key in place.
export function startKeyForm(used) {
  const dialog = byId("key");
  byId("key-form").addEventListener("submit", (event) => {
    event.preventDefault();
    keep("key", byId("key-value").value.trim());
    dialog.close();
    used();
  });
  byId("key-cancel").addEventListener("click", () => dialog.close());
  return (why) => {
    byId("key-why").textContent = why;
    byId("key-value").value = kept("key");
    if (!dialog.open) dialog.showModal();
    byId("key-value").select();
  };
}
