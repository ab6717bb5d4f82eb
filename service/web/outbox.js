// SPDX-License-Identifier: MPL-2.0

/**
 * Texts of the operator that the service has not confirmed. They outlive the page: each is
 * an item of its own in the storage, so that two tabs never overwrite each other's. Each has
 * a UUID, by which the service knows a text that comes again.
 */

const PREFIX = "symbl.outbox/";

/** Most texts that wait for one session. */
export const MOST = 200;

/** The outbox of one session. */
export class Outbox {
  #prefix;
  #storage;

  /** @param storage has the methods of `localStorage`; without it nothing is kept. */
  constructor(session, storage) {
    this.#prefix = `${PREFIX}${session}/`;
    this.#storage = storage ?? memory();
  }

  /** Returns all texts that wait, the oldest first. */
  items() {
    const found = [];
    for (let at = 0; at < this.#storage.length; at += 1) {
      const key = this.#storage.key(at);
      if (!key?.startsWith(this.#prefix)) continue;
      const item = parsed(this.#storage.getItem(key));
      if (item) found.push(item);
    }
    return found.sort((a, b) => a.queued - b.queued || a.order - b.order);
  }

  /** Adds a text and returns its item, or `null` if too many wait. */
  add(input, now) {
    const waiting = this.items();
    if (waiting.length >= MOST) return null;
    const order = waiting.reduce((most, item) => Math.max(most, item.order), 0) + 1;
    const item = { client_id: uuid(), input, queued: now, order, failed: null };
    this.#put(item);
    return item;
  }

  /** Notes why the service does not accept a text. */
  fail(id, why) {
    this.#change(id, { failed: why });
  }

  /** Has a text that was not accepted sent again. */
  retry(id) {
    this.#change(id, { failed: null });
  }

  /** Removes a text. */
  remove(id) {
    this.#storage.removeItem(this.#prefix + id);
  }

  #change(id, change) {
    const item = parsed(this.#storage.getItem(this.#prefix + id));
    if (item) this.#put({ ...item, ...change });
  }

  #put(item) {
    try {
      this.#storage.setItem(this.#prefix + item.client_id, JSON.stringify(item));
    } catch {
      // The storage is full or forbidden. From now on texts live as long as the page.
      const kept = this.items();
      this.#storage = memory();
      for (const each of [...kept.filter((one) => one.client_id !== item.client_id), item]) {
        this.#storage.setItem(this.#prefix + each.client_id, JSON.stringify(each));
      }
    }
  }
}

function parsed(json) {
  try {
    const item = JSON.parse(json ?? "");
    const whole = typeof item.client_id === "string" && typeof item.input?.text === "string";
    return whole ? item : null;
  } catch {
    return null;
  }
}

/** Returns a storage that is gone with the page. */
export function memory() {
  const items = new Map();
  return {
    get length() {
      return items.size;
    },
    key: (at) => [...items.keys()][at] ?? null,
    getItem: (key) => items.get(key) ?? null,
    setItem: (key, value) => void items.set(key, String(value)),
    removeItem: (key) => void items.delete(key),
  };
}

/** Returns a random UUID. Pages without TLS have no `crypto.randomUUID`. */
export function uuid() {
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  bytes[6] = (bytes[6] & 0x0f) | 0x40;
  bytes[8] = (bytes[8] & 0x3f) | 0x80;
  const hex = [...bytes].map((byte) => byte.toString(16).padStart(2, "0")).join("");
  return [8, 12, 16, 20].reduceRight((all, at) => `${all.slice(0, at)}-${all.slice(at)}`, hex);
}
