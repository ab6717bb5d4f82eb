// SPDX-License-Identifier: MPL-2.0

// A socket and a clock for the tests of the connection. The socket does what socket.io-client
// without reconnection does; a service of a few lines is behind it.

/** A clock whose time goes on when a test says so. */
export class Clock {
  #now = 1_000_000;
  #timers = new Map();
  #last = 0;

  now = () => this.#now;
  random = () => 0.5;
  cancel = (timer) => void this.#timers.delete(timer);

  after = (milliseconds, call) => {
    this.#last += 1;
    this.#timers.set(this.#last, { at: this.#now + milliseconds, call });
    return this.#last;
  };

  /** Lets time pass, and all that is due happen in its order. */
  async pass(milliseconds) {
    const end = this.#now + milliseconds;
    for (;;) {
      await settled();
      const due = [...this.#timers].filter(([, timer]) => timer.at <= end);
      if (due.length === 0) break;
      due.sort(([a, x], [b, y]) => x.at - y.at || a - b);
      const [id, timer] = due[0];
      this.#timers.delete(id);
      this.#now = Math.max(this.#now, timer.at);
      timer.call();
    }
    this.#now = end;
    await settled();
  }
}

/** Returns when all that waits for promises has run. */
export function settled() {
  return new Promise((done) => setImmediate(done));
}

/** The service: a log of entries, each with its events. */
export class Service {
  log = [];
  isUp = true;
  /** What refuses the next connection, if anything does. */
  refusal = null;
  /** Errors for the next calls of an event. */
  errors = new Map();
  /** Whether answers get lost. */
  isSilent = false;
  /** What clients have emitted. */
  heard = [];
  page = 3;
  sockets = new Set();
  #ids = new Map();

  /** Adds an entry, and tells it to all sockets but one. */
  add(events, except = null) {
    const seq = this.log.length + 1;
    const entry = events(seq);
    this.log.push(entry);
    for (const socket of this.sockets) {
      if (socket !== except && socket.isJoined) {
        for (const [type, payload] of entry) socket.take(type, payload);
      }
    }
    return seq;
  }

  /** Ends all connections. */
  cut(reason = "transport close") {
    for (const socket of [...this.sockets]) socket.lose(reason);
  }

  handle(socket, type, payload, answer) {
    this.heard.push([type, payload]);
    if (this.isSilent) return;
    const error = this.errors.get(type)?.shift();
    if (error) {
      answer?.({ ok: false, error_code: error });
      socket.take(`${type}:error`, { error_code: error });
      return;
    }
    if (type === "session:reconnect") {
      socket.isJoined = true;
      socket.take("session:reconnected", { session_id: payload.session_id, status: "active" });
    } else if (type === "session:history:sync") {
      const limit = Math.min(payload.limit, this.page);
      const after = payload.after ?? 0;
      const entries = this.log.slice(after, after + limit);
      socket.take("session:history:synced", entries.flat());
      answer?.({ ok: true, more: after + limit < this.log.length, head: this.log.length });
    } else if (type === "message:send") {
      const known = this.#ids.get(payload.client_id);
      const seq = known ?? this.add((one) => [["message:send", {
        ...payload, seq: one, event_id: String(one),
      }]], socket);
      this.#ids.set(payload.client_id, seq);
      answer?.({ ok: true, event_id: String(seq), seq });
    }
  }
}

/** What the connection uses of a socket of socket.io-client. */
export class Socket {
  connected = false;
  isJoined = false;
  /** How often something was emitted while nothing was connected. */
  emittedInVain = 0;
  attempts = 0;
  #service;
  #handlers = new Map();

  constructor(service) {
    this.#service = service;
  }

  on(type, handler) {
    this.#handlers.set(type, [...(this.#handlers.get(type) ?? []), handler]);
  }

  off(type, handler) {
    this.#handlers.set(type, (this.#handlers.get(type) ?? []).filter((one) => one !== handler));
  }

  take(type, payload) {
    for (const handler of this.#handlers.get(type) ?? []) handler(payload);
  }

  connect() {
    this.attempts += 1;
    queueMicrotask(() => {
      if (!this.#service.isUp) this.take("connect_error", new Error("xhr poll error"));
      else if (this.#service.refusal) this.take("connect_error", new Error(this.#service.refusal));
      else {
        this.connected = true;
        this.#service.sockets.add(this);
        this.take("connect");
      }
    });
  }

  disconnect() {
    if (this.connected) this.lose("io client disconnect");
  }

  lose(reason) {
    this.connected = false;
    this.isJoined = false;
    this.#service.sockets.delete(this);
    this.take("disconnect", reason);
  }

  emit(type, payload, answer) {
    if (!this.connected) {
      this.emittedInVain += 1;
      return;
    }
    // Over JSON, as on the wire.
    this.#service.handle(this, type, JSON.parse(JSON.stringify(payload)), answer);
  }
}
