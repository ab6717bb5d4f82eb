// SPDX-License-Identifier: MPL-2.0

// The connection of a page, with a service that goes away and comes back.

import assert from "node:assert/strict";
import test from "node:test";
import { Connection, delay, LONGEST_DELAY, PATIENCE } from "../../../web/connection.js";
import { initial, reduce } from "../../../web/model.js";
import { memory, MOST, Outbox, uuid } from "../../../web/outbox.js";
import { Clock, Service, settled, Socket } from "./fake.mjs";

const SESSION = "123e4567-e89b-12d3-a456-426614174000";

const message = (text) => (seq) => [["message:received", {
  session_id: SESSION, seq, event_id: String(seq), message_id: String(seq), timestamp: seq,
  from: { agent_id: "a", agent_name: "Alice" }, body: { text }, start: seq, end: seq + 1,
}]];

/** A page without views. */
function page(service, storage = memory(), clock = new Clock(), hasExpired = () => false) {
  let state = initial();
  const dispatched = [];
  const dispatch = (action) => {
    dispatched.push(action);
    state = reduce(state, action);
  };
  const outbox = new Outbox(SESSION, storage);
  const socket = new Socket(service);
  const connection = new Connection({
    socket, session: SESSION, outbox, clock, dispatch, state: () => state,
    author: () => ({ agent_name: "Me" }), hasExpired,
  });
  return {
    socket, connection, outbox, clock, dispatched,
    get state() {
      return state;
    },
    get texts() {
      return state.lines.map((line) => line.text);
    },
    send(text) {
      outbox.add({ text }, clock.now());
      connection.flush();
    },
  };
}

async function opened(service, ...more) {
  const made = page(service, ...more);
  made.connection.open();
  await settled();
  return made;
}

test("a page that opens has all that was said, page by page, and then what is said", async () => {
  const service = new Service();
  for (let n = 1; n <= 8; n += 1) service.add(message(`m${n}`));
  const one = await opened(service);
  assert.equal(one.texts.length, 8);
  const asked = service.heard.filter(([type]) => type === "session:history:sync");
  assert.deepEqual(asked.map(([, payload]) => payload.after), [undefined, 3, 6]);
  service.add(message("m9"));
  assert.equal(one.texts.at(-1), "m9");
  assert.equal(one.state.catchingUp, false);
});

test("after a loss only what is missing is fetched, and nothing is doubled", async () => {
  const service = new Service();
  service.add(message("m1"));
  const one = await opened(service);
  service.add(message("m2"));
  service.cut();
  service.add(message("m3"));
  assert.equal(one.state.link.name, "reconnecting");
  service.heard = [];
  await one.clock.pass(LONGEST_DELAY);
  assert.deepEqual(one.texts, ["m1", "m2", "m3"]);
  const [, asked] = service.heard.find(([type]) => type === "session:history:sync");
  assert.equal(asked.after, 2);
  assert.equal(one.state.link.name, "live");
});

test("nothing is emitted while nothing is connected, and what waits is sent once", async () => {
  const service = new Service();
  service.isUp = false;
  const one = page(service);
  one.send("first");
  one.connection.open();
  one.send("second");
  await one.clock.pass(30_000);
  assert.equal(service.heard.length, 0);
  assert.equal(one.state.outbox.length, 2);
  service.isUp = true;
  await one.clock.pass(LONGEST_DELAY);
  assert.equal(one.socket.emittedInVain, 0);
  assert.deepEqual(one.texts, ["first", "second"]);
  assert.deepEqual(one.state.lines.map((line) => line.by), ["Me", "Me"]);
  assert.deepEqual(one.state.outbox, []);
  assert.deepEqual(service.log.flat().map(([, sent]) => sent.input.text), ["first", "second"]);
});

test("a text whose acknowledgement was lost is sent again and is one text", async () => {
  const service = new Service();
  const one = await opened(service);
  const handle = service.handle.bind(service);
  // The service takes it, and its answer is lost with the connection.
  service.handle = (socket, type, payload) => handle(socket, type, payload, undefined);
  one.send("once");
  service.handle = handle;
  service.cut();
  await one.clock.pass(LONGEST_DELAY);
  assert.equal(service.log.length, 1);
  assert.deepEqual(one.texts, ["once"]);
  assert.deepEqual(one.state.outbox, []);
});

test("a text without an answer is sent again on the same connection", async () => {
  const service = new Service();
  const one = await opened(service);
  service.isSilent = true;
  one.send("patient");
  await settled();
  service.isSilent = false;
  await one.clock.pass(PATIENCE);
  assert.deepEqual(one.texts, ["patient"]);
});

test("texts that wait outlive the page", async () => {
  const service = new Service();
  const storage = memory();
  service.isUp = false;
  const before = await opened(service, storage);
  before.send("kept");
  before.connection.close();
  service.isUp = true;
  const after = await opened(service, storage);
  assert.deepEqual(after.texts, ["kept"]);
  assert.equal(storage.length, 0);
});

test("a text that the service refuses is kept, with the reason, and does not hold up others",
  async () => {
    const service = new Service();
    const one = await opened(service);
    service.errors.set("message:send", ["payload_too_large"]);
    one.send("too long");
    one.send("short");
    await settled();
    assert.deepEqual(one.texts, ["short"]);
    assert.deepEqual(one.state.outbox.map((item) => item.failed), ["The text is too long"]);
    one.outbox.retry(one.state.outbox[0].client_id);
    one.connection.flush();
    await settled();
    assert.deepEqual(one.texts, ["short", "too long"]);
  });

test("a text that comes too fast is sent later, in its order", async () => {
  const service = new Service();
  const one = await opened(service);
  service.errors.set("message:send", ["rate_limited", "store_unavailable"]);
  one.send("first");
  one.send("second");
  await one.clock.pass(5_000);
  assert.deepEqual(one.texts, ["first", "second"]);
});

test("a page whose token may only read is told so", async () => {
  const service = new Service();
  const one = await opened(service);
  service.errors.set("message:send", ["forbidden"]);
  one.send("no");
  await settled();
  assert.equal(one.state.readOnly, true);
});

test("when the service ends the connection itself, the page does not come back alone", async () => {
  const service = new Service();
  const one = await opened(service);
  service.cut("io server disconnect");
  await one.clock.pass(600_000);
  assert.equal(one.state.link.name, "stopped");
  assert.equal(one.socket.attempts, 1);
  one.connection.open();
  await settled();
  assert.equal(one.state.link.name, "live");
});

test("without a good token there is no other attempt, and the page says why", async () => {
  for (const refusal of ["unauthorized", "token_expired"]) {
    const service = new Service();
    service.refusal = refusal;
    const one = await opened(service);
    await one.clock.pass(600_000);
    assert.equal(one.state.link.name, "refused");
    assert.ok(one.state.link.why);
    assert.equal(one.state.link.signIn, true);
    assert.equal(one.socket.attempts, 1);
  }
});

test("a page whose token has come to its end asks for a sign-in, and goes on after it", async () => {
  const service = new Service();
  service.add(message("m1"));
  const one = await opened(service, memory(), new Clock(), () => true);
  service.cut("io server disconnect");
  await one.clock.pass(600_000);
  assert.equal(one.state.link.name, "refused");
  assert.equal(one.state.link.signIn, true);
  assert.equal(one.socket.attempts, 1);
  one.send("a note");
  service.add(message("m2"));
  one.connection.flush();
  one.connection.open();
  await settled();
  assert.equal(one.state.link.name, "live");
  assert.deepEqual(one.texts.toSorted(), ["a note", "m1", "m2"]);
});

test("a busy service is asked again", async () => {
  const service = new Service();
  service.refusal = "server_busy";
  const one = await opened(service);
  service.refusal = null;
  await one.clock.pass(1_000);
  assert.equal(one.state.link.name, "live");
});

test("a session that is not there is no reason to come back", async () => {
  const service = new Service();
  service.errors.set("session:reconnect", ["invalid_session"]);
  const one = await opened(service);
  await one.clock.pass(600_000);
  assert.equal(one.state.link.name, "refused");
  assert.equal(one.state.link.signIn, undefined);
  assert.equal(one.socket.attempts, 1);
});

test("a service that does not answer is left for another connection", async () => {
  const service = new Service();
  service.isSilent = true;
  const one = await opened(service);
  service.isSilent = false;
  service.add(message("m1"));
  await one.clock.pass(PATIENCE + 2_000);
  assert.deepEqual(one.texts, ["m1"]);
  assert.equal(one.socket.attempts, 2);
});

test("a history that is refused for now is asked for again", async () => {
  const service = new Service();
  for (let n = 1; n <= 4; n += 1) service.add(message(`m${n}`));
  service.errors.set("session:history:sync", ["rate_limited", "rate_limited"]);
  const one = await opened(service);
  await one.clock.pass(5_000);
  assert.equal(one.texts.length, 4);
});

test("delays double up to a bound, and differ between pages", () => {
  const whole = [0, 1, 2, 3, 50].map((failures) => delay(failures, () => 1));
  assert.deepEqual(whole, [500, 1_000, 2_000, 4_000, LONGEST_DELAY]);
  assert.equal(delay(0, () => 0), 250);
  assert.equal(delay(10_000, () => 1), LONGEST_DELAY);
});

test("a page comes back for as long as the service is away, and at once when told", async () => {
  const service = new Service();
  const one = await opened(service);
  service.isUp = false;
  service.cut();
  await one.clock.pass(3_600_000);
  assert.ok(one.socket.attempts > 300, `${one.socket.attempts}`);
  service.isUp = true;
  one.connection.hurry();
  await settled();
  assert.equal(one.state.link.name, "live");
});

test("a connection that is closed stays closed", async () => {
  const service = new Service();
  const one = await opened(service);
  one.connection.close();
  one.connection.open();
  one.connection.hurry();
  await one.clock.pass(600_000);
  assert.equal(one.socket.connected, false);
  assert.equal(one.socket.attempts, 1);
});

test("in 1000 random losses, texts are stored once each and in order", async () => {
  const service = new Service();
  const one = await opened(service);
  const sent = [];
  let seed = 7;
  const next = () => (seed = (Math.imul(seed, 1664525) + 1013904223) >>> 0) / 2 ** 32;
  const handle = service.handle.bind(service);
  for (let n = 0; n < 1000; n += 1) {
    const step = next();
    // Some answers are lost after the service has stored the text.
    service.handle = (socket, type, payload, answer) =>
      handle(socket, type, payload, next() < 0.3 ? undefined : answer);
    if (step < 0.5) {
      sent.push(`t${n}`);
      one.send(`t${n}`);
    } else service.add(message(`said ${n}`));
    service.cut();
    await one.clock.pass(next() * 2_000);
  }
  service.handle = handle;
  await one.clock.pass(60_000);
  assert.equal(one.socket.emittedInVain, 0);
  const stored = service.log.flat().map(([, payload]) => payload.input?.text ?? payload.body.text);
  assert.deepEqual(stored.filter((text) => text.startsWith("t")), sent);
  assert.deepEqual(one.texts, stored);
});

test("an outbox has a bound, is in order and has UUIDs", () => {
  // Browsers have the keys in any order.
  const backwards = memory();
  const key = backwards.key;
  backwards.key = (at) => key(backwards.length - 1 - at);
  const outbox = new Outbox(SESSION, backwards);
  for (let n = 0; n < MOST; n += 1) assert.ok(outbox.add({ text: `${n}` }, 5));
  assert.equal(outbox.add({ text: "one more" }, 5), null);
  assert.deepEqual(outbox.items().map((item) => Number(item.input.text)),
    [...Array(MOST).keys()]);
  const form = /^[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/;
  for (let n = 0; n < 100; n += 1) assert.match(uuid(), form);
});

test("two tabs and other entries of the storage do not disturb an outbox", () => {
  const storage = memory();
  storage.setItem("symbl.outbox/other/1", "{}");
  storage.setItem(`symbl.outbox/${SESSION}/2`, "not JSON");
  storage.setItem(`symbl.outbox/${SESSION}/3`, '{"client_id":3}');
  const [one, two] = [new Outbox(SESSION, storage), new Outbox(SESSION, storage)];
  const [a, b] = [one.add({ text: "a" }, 1), two.add({ text: "b" }, 2)];
  assert.deepEqual(one.items().map((item) => item.input.text), ["a", "b"]);
  two.remove(a.client_id);
  assert.deepEqual(one.items(), [b]);
});

test("a storage that is full keeps texts as long as the page", () => {
  const full = memory();
  full.setItem = () => {
    throw new Error("QuotaExceededError");
  };
  const outbox = new Outbox(SESSION, full);
  outbox.add({ text: "a" }, 1);
  outbox.add({ text: "b" }, 2);
  assert.deepEqual(outbox.items().map((item) => item.input.text), ["a", "b"]);
});
