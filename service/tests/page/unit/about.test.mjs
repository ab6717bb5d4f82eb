// SPDX-License-Identifier: MPL-2.0

// What the page shows of what the API says, when that changes.

import assert from "node:assert/strict";
import test from "node:test";
import { AGAIN, followAbout } from "../../../web/about.js";
import { store as makeStore } from "../../../web/store.js";
import { Clock, settled } from "./fake.mjs";

const about = (more = {}) => ({
  id: "7", name: "Conversation 7", startTime: "2026-03-01T10:00:00Z", x_status: "active", ...more,
});

/** A page that has opened its conversation. */
async function opened(first = about()) {
  const store = makeStore((call) => queueMicrotask(call));
  const clock = new Clock();
  const page = { store, clock, asked: 0, answer: first };
  store.dispatch({ type: "about", about: first });
  followAbout({
    store, clock,
    async ask() {
      page.asked += 1;
      if (page.answer instanceof Error) throw page.answer;
      return page.answer;
    },
  });
  store.dispatch({ type: "joined", session: { status: first.x_status } });
  store.dispatch({ type: "history", events: [], more: false, head: 1, now: 0 });
  await settled();
  page.take = async (...events) => {
    store.dispatch({ type: "events", events, now: 0 });
    await settled();
  };
  return page;
}

const speaks = (speakers) => ["session:state", { status: "active", speakers }];
const joins = (seq, id) => ["conversation:member_joined",
  { seq, timestamp: seq, member: { id, name: id } }];
const message = (seq) => ["message:received", {
  seq, message_id: String(seq), from: { agent_id: "a", agent_name: "Ada" }, body: { text: "x" },
  start: seq, end: seq + 1, timestamp: seq,
}];

test("the begin is asked for when the first word has come, and then no more", async () => {
  const page = await opened(about({ name: "Talk" }));
  const before = page.asked;
  page.answer = about({ name: "Talk", startTime: "2026-03-01T10:00:09Z" });
  await page.take(message(2));
  assert.equal(page.asked, before + 1);
  assert.equal(page.store.get().about.startTime, "2026-03-01T10:00:09Z");
  await page.take(message(3), joins(4, "b"), speaks(2));
  assert.equal(page.asked, before + 1);
});

test("a name is asked for while there is none and speakers come", async () => {
  const page = await opened();
  await page.take(message(2));
  const before = page.asked;
  await page.take(message(3));
  assert.equal(page.asked, before, "a message brings no name");
  page.answer = about({ name: "Talk" });
  await page.take(joins(4, "b"));
  assert.equal(page.store.get().about.name, "Talk");
  await page.take(joins(5, "c"), speaks(3));
  assert.equal(page.asked, before + 1);
});

test("what changes while the API answers is asked for again", async () => {
  const page = await opened();
  const before = page.asked;
  page.store.dispatch({ type: "events", events: [joins(2, "b")], now: 0 });
  await Promise.resolve();
  page.store.dispatch({ type: "events", events: [joins(3, "c")], now: 0 });
  await settled();
  await settled();
  assert.ok(page.asked > before && page.asked <= before + 2);
});

test("the page of a conversation that is over asks for nothing", async () => {
  const page = await opened(about({ x_status: "over" }));
  await page.take(message(2));
  assert.equal(page.asked, 0);
});

test("an API that does not answer is asked again, and one that refuses is not", async () => {
  const page = await opened();
  page.answer = Object.assign(new Error("busy"), { status: 503 });
  const before = page.asked;
  await page.take(message(2));
  await page.take(joins(3, "b"));
  assert.equal(page.asked, before + 1, "it waits");
  page.answer = about({ name: "Talk" });
  await page.clock.pass(AGAIN);
  assert.equal(page.asked, before + 2);
  assert.equal(page.store.get().about.name, "Talk");
  const refused = await opened();
  refused.answer = Object.assign(new Error("gone"), { status: 404 });
  await refused.take(message(2));
  const after = refused.asked;
  await refused.clock.pass(10 * AGAIN);
  assert.equal(refused.asked, after);
});
