// Conversations, kept in this browser's database: a list of heads to show, and each conversation whole.
import { title } from "./tree.js";

const NAME = "mynah-chat";
const VERSION = 1;

const wait = (request) => new Promise((done, failed) => {
  request.onsuccess = () => done(request.result);
  request.onerror = () => failed(request.error);
});

const finish = (transaction) => new Promise((done, failed) => {
  transaction.oncomplete = () => done();
  transaction.onerror = transaction.onabort = () => failed(transaction.error ?? new Error("the browser gave no reason"));
});

async function open() {
  const request = indexedDB.open(NAME, VERSION);
  request.onupgradeneeded = () => {
    request.result.createObjectStore("heads", { keyPath: "id" });
    request.result.createObjectStore("conversations", { keyPath: "id" });
  };
  const database = await wait(request);
  // Another tab with a newer page must not wait for this one.
  database.onversionchange = () => database.close();
  return database;
}

export class Store {
  #database;
  #channel = new BroadcastChannel(NAME);

  // `changed(id)` hears what other tabs have written or deleted.
  constructor(changed) {
    this.#channel.onmessage = (event) => changed(event.data);
  }

  async start() {
    this.#database = await open();
  }

  // Newest first.
  async heads() {
    const all = await wait(this.#read("heads").getAll());
    return all.sort((a, b) => b.changed_ms - a.changed_ms);
  }

  get(id) {
    return wait(this.#read("conversations").get(id));
  }

  all() {
    return wait(this.#read("conversations").getAll());
  }

  async put(...conversations) {
    const transaction = this.#database.transaction(["heads", "conversations"], "readwrite");
    for (const one of conversations) {
      transaction.objectStore("heads").put({ id: one.id, title: title(one), changed_ms: one.changed_ms });
      transaction.objectStore("conversations").put(one);
    }
    await finish(transaction);
    for (const { id } of conversations) this.#channel.postMessage(id);
  }

  async delete(id) {
    const transaction = this.#database.transaction(["heads", "conversations"], "readwrite");
    for (const name of ["heads", "conversations"]) transaction.objectStore(name).delete(id);
    await finish(transaction);
    this.#channel.postMessage(id);
  }

  #read(name) {
    return this.#database.transaction(name).objectStore(name);
  }
}

// The same without a database, for browsers that keep nothing: gone when the page is closed.
export class MemoryStore {
  #all = new Map();

  async heads() {
    return [...this.#all.values()].map((one) => ({ id: one.id, title: title(one), changed_ms: one.changed_ms })).sort((a, b) => b.changed_ms - a.changed_ms);
  }

  async get(id) {
    return this.#all.get(id);
  }

  async all() {
    return [...this.#all.values()];
  }

  async put(...conversations) {
    for (const one of conversations) this.#all.set(one.id, structuredClone(one));
  }

  async delete(id) {
    this.#all.delete(id);
  }
}
