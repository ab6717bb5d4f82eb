// SPDX-License-Identifier: MPL-2.0

/**
 * The socket of one conversation: joins the session, fetches what the page does not have,
 * sends what waits in the outbox, and comes back after every loss.
 *
 * Nothing is emitted while the socket is not connected, since the library would keep it and
 * send it before the session is joined again. The library's own reconnection is off: the
 * delays here have jitter and can be shown in words.
 */

import { CONTENT, NEWS } from "./model.js";

/** First delay before another attempt, in milliseconds. Each failure doubles it. */
export const FIRST_DELAY = 500;
/** Longest delay before another attempt, in milliseconds. */
export const LONGEST_DELAY = 10_000;
/** Time for an answer of the service, in milliseconds. */
export const PATIENCE = 10_000;
/** Entries in one page of the history. */
export const PAGE = 1_000;

/** Errors that the service may not give again when it is asked again. */
const PASSING = ["rate_limited", "store_unavailable", "server_busy", "not_joined"];
/** Errors of the token, after which the person has to sign in again. */
const OF_TOKEN = ["unauthorized", "token_expired"];

/** What the service says about its errors, for the person who reads. */
const WORDS = {
  session_closed: "The conversation has ended",
  forbidden: "This link may only read",
  payload_too_large: "The text is too long",
  invalid_payload: "The service does not understand this text",
  unauthorized: "Not signed in",
  token_expired: "The link or the sign-in has ended",
  invalid_session: "This conversation is not here any more",
};

/** Returns the delay before the attempt `failures`, with jitter, in milliseconds. */
export function delay(failures, random) {
  const whole = Math.min(LONGEST_DELAY, FIRST_DELAY * 2 ** Math.min(failures, 16));
  return whole / 2 + (random() * whole) / 2;
}

/** The connection of one page to one session. */
export class Connection {
  #socket;
  #session;
  #outbox;
  #state;
  #dispatch;
  #clock;
  #author;
  #hasExpired;
  #failures = 0;
  #attempt = null;
  // Counts the connections. What an earlier one began ends by itself.
  #generation = 0;
  #joined = false;
  #sending = false;
  #ended = false;
  #over = false;

  /**
   * @param {object} about
   * @param about.socket    A socket of socket.io-client, without reconnection, not connected.
   * @param about.session   The session's id.
   * @param about.outbox    The texts that wait.
   * @param about.state     Returns the state of the page.
   * @param about.dispatch  Takes actions for the state.
   * @param about.author    Returns who this page's texts are from, as events say it.
   * @param about.hasExpired  Returns `true` if the token of this page has come to its end.
   * @param about.clock     `now()`, `random()`, `after(milliseconds, call)` and `cancel(timer)`.
   */
  constructor({ socket, session, outbox, state, dispatch, clock, author, hasExpired }) {
    this.#socket = socket;
    this.#session = session;
    this.#outbox = outbox;
    this.#state = state;
    this.#dispatch = dispatch;
    this.#clock = clock;
    this.#author = author;
    this.#hasExpired = hasExpired;
    socket.on("connect", () => this.#join());
    socket.on("disconnect", (reason) => this.#lost(reason));
    socket.on("connect_error", (error) => this.#refused(error?.message ?? ""));
    socket.on("session:reconnected", (session) => this.#reconnected(session));
    socket.on("session:reconnect:error", (error) => this.#notJoined(error));
    for (const type of [...CONTENT, ...NEWS]) {
      socket.on(type, (payload) => this.#event(type, payload));
    }
  }

  /** Connects now, also in place of an attempt that waits. */
  open() {
    this.#cancel();
    if (this.#over || this.#socket.connected) return;
    this.#ended = false;
    this.#socket.connect();
  }

  /** Ends the connection for good. */
  close() {
    this.#over = true;
    this.#left();
    this.#cancel();
    this.#socket.disconnect();
  }

  /** Connects now if an attempt waits, for example when the network is back. */
  hurry() {
    if (this.#attempt !== null) this.open();
  }

  /** Sends what waits in the outbox, one text after the other. */
  flush() {
    this.#show();
    if (!this.#joined || this.#sending) return;
    const next = this.#outbox.items().find((item) => !item.failed);
    if (next) this.#send(next);
  }

  #join() {
    this.#failures = 0;
    this.#generation += 1;
    // Without an answer, another connection may get one.
    this.#expect(() => this.#joined, () => this.#again());
    this.#socket.emit("session:reconnect", {
      session_id: this.#session,
      timestamp: this.#clock.now(),
      // Also conversations that are over may be read here.
      view: true,
    });
  }

  #reconnected(session) {
    if (this.#joined) return;
    this.#joined = true;
    this.#dispatch({ type: "joined", session });
    this.#synchronise(this.#generation);
    this.flush();
  }

  #notJoined(error) {
    const code = error?.error_code;
    if (PASSING.includes(code)) {
      this.#again();
      return;
    }
    this.#stop("refused", {
      why: WORDS[code] || error?.description || "This conversation is not here",
    });
  }

  #event(type, payload) {
    if (this.#joined) {
      this.#dispatch({ type: "events", events: [[type, payload]], now: this.#clock.now() });
    }
  }

  /** Fetches all entries behind the last one that is known, page after page. */
  async #synchronise(generation) {
    const isOver = () => generation !== this.#generation || !this.#joined;
    let failures = 0;
    while (!isOver()) {
      const after = this.#state().known;
      const page = await this.#page(after);
      if (isOver()) return;
      if (page.error) {
        failures += 1;
        if (failures > 20) {
          this.#again();
          return;
        }
        await new Promise((done) => {
          this.#clock.after(delay(failures, this.#clock.random), done);
        });
        continue;
      }
      failures = 0;
      this.#dispatch({ type: "history", ...page, now: this.#clock.now() });
      // A page that leads no further would be fetched for ever.
      if (!page.more || this.#state().known <= after) return;
    }
  }

  /** Returns one page of the history, or why there is none. */
  #page(after) {
    const socket = this.#socket;
    return new Promise((done) => {
      let events = null;
      let reply = null;
      const taken = (page) => {
        socket.off("session:history:synced", synced);
        socket.off("session:history:sync:error", failed);
        this.#clock.cancel(timer);
        done(page);
      };
      const both = () => {
        if (events && reply) taken({ events, more: reply.more === true, head: reply.head });
      };
      const synced = (list) => {
        events = Array.isArray(list) ? list : [];
        both();
      };
      const failed = (error) => taken({ error: error?.error_code || "unknown" });
      const timer = this.#clock.after(PATIENCE, () => taken({ error: "timeout" }));
      socket.on("session:history:synced", synced);
      socket.on("session:history:sync:error", failed);
      const asked = { session_id: this.#session, timestamp: this.#clock.now(), limit: PAGE };
      if (after > 0) asked.after = after;
      socket.emit("session:history:sync", asked, (answer) => {
        if (answer?.ok === false) {
          failed(answer);
          return;
        }
        reply = answer ?? {};
        both();
      });
    });
  }

  #send(item) {
    const generation = this.#generation;
    let answered = false;
    this.#sending = true;
    const done = (then) => {
      if (answered) return;
      answered = true;
      this.#clock.cancel(timer);
      if (generation !== this.#generation) return;
      this.#sending = false;
      then();
    };
    // The same UUID again is the same text, so there is no harm in asking twice.
    const timer = this.#clock.after(PATIENCE, () => done(() => this.flush()));
    const message = {
      session_id: this.#session,
      input: item.input,
      client_id: item.client_id,
      timestamp: this.#clock.now(),
    };
    this.#socket.emit("message:send", message, (answer) => {
      done(() => this.#answered(item, answer));
    });
  }

  #answered(item, answer) {
    if (answer?.ok === true) {
      this.#failures = 0;
      this.#outbox.remove(item.client_id);
      const [from, now] = [this.#author(), this.#clock.now()];
      this.#dispatch({ type: "acknowledged", item, seq: answer.seq, from, now });
    } else if (PASSING.includes(answer?.error_code)) {
      this.#failures += 1;
      this.#show();
      const generation = this.#generation;
      this.#sending = true;
      this.#clock.after(delay(this.#failures, this.#clock.random), () => {
        if (generation !== this.#generation) return;
        this.#sending = false;
        this.flush();
      });
      return;
    } else {
      const code = answer?.error_code;
      const why = WORDS[code] || answer?.description || "The service does not accept this text";
      this.#outbox.fail(item.client_id, why);
      if (code === "forbidden") this.#dispatch({ type: "readOnly" });
    }
    this.flush();
  }

  #lost(reason) {
    this.#left();
    if (this.#over || this.#ended) return;
    if (reason === "io server disconnect") {
      // The service means it: it closes a socket like this only to get rid of it.
      if (this.#hasExpired()) this.#ask("token_expired");
      else this.#stop("stopped");
      return;
    }
    this.#later();
  }

  #refused(message) {
    this.#left();
    if (OF_TOKEN.includes(message)) {
      this.#ask(message);
      return;
    }
    this.#later();
  }

  /** Stops until the person has signed in. */
  #ask(error) {
    this.#stop("refused", { why: WORDS[error], signIn: true });
  }

  /** Drops the connection and tries with another one. */
  #again() {
    this.#left();
    this.#ended = true;
    this.#socket.disconnect();
    this.#ended = false;
    this.#later();
  }

  #later() {
    if (this.#over || this.#attempt !== null) return;
    const wait = delay(this.#failures, this.#clock.random);
    this.#failures += 1;
    const at = this.#clock.now() + wait;
    this.#attempt = this.#clock.after(wait, () => {
      this.#attempt = null;
      this.#link({ name: "reconnecting", at: 0 });
      this.open();
    });
    this.#link({ name: "reconnecting", at });
  }

  #stop(name, more = {}) {
    this.#left();
    this.#ended = true;
    this.#cancel();
    this.#socket.disconnect();
    this.#link({ name, ...more });
  }

  #left() {
    this.#joined = false;
    this.#sending = false;
    this.#generation += 1;
  }

  #cancel() {
    if (this.#attempt !== null) this.#clock.cancel(this.#attempt);
    this.#attempt = null;
  }

  /** Calls `otherwise` if this connection has not come so far in time. */
  #expect(isThere, otherwise) {
    const generation = this.#generation;
    this.#clock.after(PATIENCE, () => {
      if (generation === this.#generation && !isThere()) otherwise();
    });
  }

  #link(link) {
    this.#dispatch({ type: "link", link });
  }

  #show() {
    this.#dispatch({ type: "outbox", items: this.#outbox.items() });
  }
}
