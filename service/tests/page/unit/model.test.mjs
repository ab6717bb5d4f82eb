// SPDX-License-Identifier: MPL-2.0

// What a page knows after it was told this and that.

import assert from "node:assert/strict";
import test from "node:test";
import {
  connectionWords, findingsByMessage, initial, INTERIM_LIFE, isOver, maySend, reduce, talkTimes,
  topics,
} from "../../../web/model.js";
import { lastLines, wanted } from "../../../web/captions.js";

const SESSION = "123e4567-e89b-12d3-a456-426614174000";

const base = (seq) => ({ session_id: SESSION, event_id: String(seq), seq, timestamp: seq * 1000 });

/** One message of one second, that begins at its number of seconds. */
function message(seq, text = `m${seq}`, more = {}) {
  return ["message:received", {
    ...base(seq),
    from: { agent_id: "a", agent_name: "Alice", team_id: null },
    to: { user_id: null },
    body: { text },
    message_id: String(seq),
    start: seq * 1000,
    end: seq * 1000 + 900,
    ...more,
  }];
}

function finding(seq, kind, text, more = {}) {
  return ["message:brain_received", {
    ...base(seq),
    output: { responses: [{ type: "text", text }] },
    brain_language: "en",
    request_id: `r${seq}`,
    symbl: { kind, id: `r${seq}`, text, message_id: String(seq), ...more },
  }];
}

function correction(seq, of, text) {
  const input = { text, corrects: of };
  const from = { agent_id: "op", agent_name: "Operator" };
  return ["message:send:sync", { ...base(seq), input, body: { text }, from, client_id: `c${seq}` }];
}

function interim(text, start, more = {}) {
  return ["caption:interim", {
    session_id: SESSION, utterance_id: `u${start}`, from: { agent_id: "a", agent_name: "Alice" },
    body: { text }, stable: 1, start, timestamp: start, ...more,
  }];
}

const member = (seq, came) => [`conversation:member_${came ? "joined" : "left"}`,
  { ...base(seq), member: { id: "a", name: "Alice", user_id: null } }];

const joined = (state, status = "active") =>
  reduce(state, { type: "joined", session: { session_id: SESSION, status } });
const live = (state, ...events) => reduce(state, { type: "events", events, now: 0 });
const history = (state, events, more = false, head = undefined) =>
  reduce(state, { type: "history", events, more, head, now: 0 });
const started = () => history(joined(initial()), []);
const texts = (state) => state.lines.map((line) => line.text);

/** A generator of pseudo-random numbers, so that a failure can be repeated. */
function random(seed) {
  let now = seed;
  return () => {
    now = (Math.imul(now, 1664525) + 1013904223) >>> 0;
    return now / 2 ** 32;
  };
}

function shuffled(list, next) {
  const other = list.slice();
  for (let at = other.length - 1; at > 0; at -= 1) {
    const to = Math.floor(next() * (at + 1));
    [other[at], other[to]] = [other[to], other[at]];
  }
  return other;
}

test("lines are in the order of the log, whatever order the events come in", () => {
  const events = [1, 2, 3, 4, 5, 6].map((seq) => message(seq));
  for (let seed = 1; seed <= 200; seed += 1) {
    const state = live(started(), ...shuffled(events, random(seed)));
    assert.deepEqual(texts(state), ["m1", "m2", "m3", "m4", "m5", "m6"]);
  }
});

test("an event that comes twice, live or from the history, is one line", () => {
  const events = [message(1), message(2), finding(2, "question", "Who?"), member(3, true)];
  const once = live(started(), ...events);
  const twice = history(live(once, ...events), events);
  assert.deepEqual(twice.lines, once.lines);
  assert.deepEqual(twice.findings, once.findings);
  assert.deepEqual(talkTimes(twice), talkTimes(once));
  assert.equal(once.lines.length, 3);
});

test("all messages of one entry are kept, in their order", () => {
  const first = message(5, "One.", { message_id: "50" });
  const second = message(5, "Two.", { message_id: "51", start: 5900, end: 6000 });
  const state = live(started(), first, second, first, second);
  assert.deepEqual(texts(state), ["One.", "Two."]);
});

test("the sender's own text is one note, acknowledged and then in the history", () => {
  const item = { client_id: "x", input: { text: "Note" }, queued: 1 };
  const mine = reduce(started(), { type: "acknowledged", item, seq: 7, now: 7000 });
  const both = history(mine, [["message:send", { ...base(7), input: item.input, client_id: "x" }]]);
  assert.deepEqual(texts(both), ["Note"]);
  assert.equal(both.lines[0].kind, "note");
});

test("an acknowledgement does not hide what others have said before it", () => {
  let state = live(started(), message(1));
  assert.equal(state.known, 1);
  const item = { client_id: "x", input: { text: "Note" }, queued: 1 };
  state = reduce(state, { type: "acknowledged", item, seq: 4, now: 0 });
  // Entries 2 and 3 may still be on their way when the connection is lost.
  assert.equal(state.known, 1);
  state = live(state, message(2));
  state = live(state, message(3));
  assert.deepEqual(texts(state), ["m1", "m2", "m3", "Note"]);
});

test("while the history comes, live entries do not move the place from which it goes on", () => {
  let state = live(joined(initial()), message(90));
  assert.equal(state.known, 0);
  state = history(state, [message(1), message(2)], true, 90);
  assert.equal(state.known, 2);
  assert.equal(state.catchingUp, true);
  state = live(state, message(91));
  assert.equal(state.known, 2);
  state = history(state, [message(3), message(90)], false, 90);
  assert.equal(state.known, 91);
  assert.equal(state.catchingUp, false);
  assert.deepEqual(texts(state), ["m1", "m2", "m3", "m90", "m91"]);
});

test("entries without an event count as known", () => {
  const state = history(joined(initial()), [message(1)], false, 12);
  assert.equal(state.known, 12);
});

test("in 1000 random losses of the connection nothing is missing, doubled or out of order", () => {
  const log = [];
  for (let seq = 1; seq <= 60; seq += 1) {
    log.push(message(seq), ...(seq % 5 === 0 ? [finding(seq, "question", `q${seq}`)] : []));
  }
  const upTo = (seq) => log.filter(([, payload]) => payload.seq <= seq);
  for (let seed = 1; seed <= 1000; seed += 1) {
    const next = random(seed);
    let state = initial();
    let head = 0;
    while (head < 60) {
      state = joined(state);
      // A connection: pages of the history, between them live entries; then it is lost.
      let cursor = head;
      let more = true;
      let lost = false;
      while (!lost && head < 60) {
        const step = next();
        if (step < 0.4) {
          head += 1;
          state = live(state, ...log.filter(([, payload]) => payload.seq === head));
          cursor = head;
        } else if (step < 0.8 && more) {
          const limit = 1 + Math.floor(next() * 20);
          const page = upTo(cursor).filter(([, one]) =>
            one.seq > state.known && one.seq <= state.known + limit);
          more = state.known + limit < cursor;
          state = history(state, page, more, cursor);
        } else if (step > 0.9) {
          lost = true;
        }
      }
      // What is said while nothing is connected.
      head = Math.min(60, head + Math.floor(next() * 5));
    }
    state = joined(state);
    state = history(state, upTo(60).filter(([, one]) => one.seq > state.known), false, 60);
    assert.deepEqual(texts(state), upTo(60).filter(([type]) => type === "message:received")
      .map(([, one]) => one.body.text), `seed ${seed}`);
    assert.equal(state.findings.length, 12, `seed ${seed}`);
  }
});

test("an interim is shown until its final comes", () => {
  let state = live(started(), interim("hello", 1000), interim("hello there", 1000));
  assert.deepEqual([...state.interims.values()].map((one) => one.text), ["hello there"]);
  state = live(state, message(1, "Hello there."));
  assert.equal(state.interims.size, 0);
});

test("an interim that comes after its final is not shown", () => {
  const state = live(started(), message(1, "Hello there."), interim("hello there", 1000));
  assert.equal(state.interims.size, 0);
});

test("the next utterance is shown, also if it seems to begin within the last one", () => {
  const state = live(started(), message(1, "Hello there."), interim("and", 1850));
  assert.deepEqual([...state.interims.values()].map((one) => one.text), ["and"]);
});

test("the final of one speaker leaves the interim of another one alone", () => {
  const other = interim("yes", 1200, { from: { agent_id: "b", agent_name: "Bob" } });
  const state = live(started(), other, message(1));
  assert.deepEqual([...state.interims.keys()], ["b"]);
});

test("interims end with the connection, the speaker, the conversation and with time", () => {
  const speaking = () => live(started(), member(1, true), interim("hello", 5000));
  assert.equal(speaking().interims.size, 1);
  const lost = reduce(speaking(), { type: "link", link: { name: "reconnecting", at: 0 } });
  assert.equal(lost.interims.size, 0);
  assert.equal(live(speaking(), member(2, false)).interims.size, 0);
  const state = ["session:state", { session_id: SESSION, status: "closed", speakers: 0 }];
  assert.equal(live(speaking(), state).interims.size, 0);
  const tick = (now) => reduce(speaking(), { type: "tick", now });
  assert.equal(tick(INTERIM_LIFE - 1).interims.size, 1);
  assert.equal(tick(INTERIM_LIFE).interims.size, 0);
});

test("a correction replaces the text in place and keeps the original", () => {
  const state = live(started(), message(1, "helo"), message(2), correction(3, "1", "Hello"));
  assert.deepEqual(texts(state), ["Hello", "m2"]);
  assert.equal(state.lines[0].original, "helo");
  assert.equal(state.lines[0].correctedBy, "Operator");
  const again = live(state, correction(4, "1", "Hello!"));
  assert.deepEqual([again.lines[0].text, again.lines[0].original], ["Hello!", "helo"]);
});

test("the last correction counts, and one may come before its message", () => {
  const events = [message(1, "helo"), correction(3, "1", "Hallo"), correction(4, 1, "Hello")];
  for (let seed = 1; seed <= 50; seed += 1) {
    const state = live(started(), ...shuffled(events, random(seed)));
    assert.deepEqual(texts(state), ["Hello"]);
    assert.equal(state.lines[0].original, "helo");
  }
});

test("the talk time of each speaker is the sum of what was said", () => {
  const bob = { agent_id: "b", agent_name: "Bob" };
  const state = live(started(), message(1), message(2), message(3, "x", { from: bob, end: 3300 }));
  const times = talkTimes(state).map(({ name, talked, share }) => [name, talked, share]);
  assert.deepEqual(times, [["Alice", 1800, 1800 / 2100], ["Bob", 300, 300 / 2100]]);
});

test("each page gives a speaker the same colour, whatever it was told first", () => {
  const of = (seq, id) => message(seq, "x", { from: { agent_id: id, agent_name: id } });
  const events = [of(1, "a"), of(2, "b"), of(3, "c"), of(4, "a"), of(5, "b")];
  for (let seed = 1; seed <= 50; seed += 1) {
    let state = live(started(), interim("hm", 9000, { from: { agent_id: "b", agent_name: "b" } }));
    for (const event of shuffled(events, random(seed))) state = live(state, event);
    const colours = ["a", "b", "c"].map((id) => state.speakers.get(id).colour);
    assert.deepEqual(colours, [0, 1, 2], `seed ${seed}`);
  }
});

test("a new name is no new speaker", () => {
  const renamed = ["conversation:member_joined",
    { ...base(3), member: { id: "a", name: "Alicia", user_id: null }, renamed: true }];
  const state = live(started(), member(1, true), message(2), renamed);
  assert.deepEqual(state.lines.map((line) => line.kind), ["joined", "message"]);
  assert.equal(state.speakers.get("a").name, "Alicia");
  assert.equal(state.known, 3);
});

test("a message that another speaker has said is that speaker's, in whatever order it comes", () => {
  const attributed = (seq, id, ...messages) => ["conversation:attributed",
    { ...base(seq), attributions: [{ member: { id, name: id.toUpperCase(), user_id: null },
      message_ids: messages }] }];
  const events = [message(1), message(2), attributed(3, "b", "1", "2"), attributed(4, "c", "2")];
  for (let seed = 1; seed <= 20; seed += 1) {
    let state = started();
    for (const event of shuffled(events, random(seed))) state = live(state, event);
    assert.deepEqual(state.lines.map((line) => line.speaker), ["b", "c"], `seed ${seed}`);
    const counts = [...state.speakers.values()].map((one) => [one.id, one.messages]).sort();
    assert.deepEqual(counts, [["a", 0], ["b", 1], ["c", 1]], `seed ${seed}`);
    assert.equal(state.speakers.get("a").talked, 0);
    assert.equal(state.newest, 4);
  }
});

test("findings are linked to their messages", () => {
  const state = live(started(), message(1), finding(1, "question", "Who?"),
    finding(2, "tracker", "Tracker", { message_id: undefined, message_ids: ["1", 2] }));
  const found = findingsByMessage(state.findings);
  assert.deepEqual(found.get("1").map((one) => one.kind), ["question", "tracker"]);
  assert.deepEqual(found.get("2").map((one) => one.kind), ["tracker"]);
});

test("the language of the texts is known if the service says a proper one", () => {
  const said = (brain_language) => live(started(), ["message:brain_received",
    { ...finding(1, "question", "Who?")[1], brain_language }]).language;
  assert.deepEqual(["en", "pt_BR", "de-CH"].map(said), ["en", "pt-BR", "de-CH"]);
  assert.deepEqual(["", "x y", "1", null].map(said), [null, null, null, null]);
});

test("a topic that comes again is one topic with all its messages", () => {
  const topic = (seq, ids) => finding(seq, "topic", "Budget",
    { message_id: undefined, message_ids: ids });
  const state = live(started(), topic(1, ["1"]), topic(4, ["1", "4"]));
  assert.deepEqual(topics(state.findings).map((one) => one.messages), [["1", "4"]]);
});

test("the state of the connection is said in words", () => {
  const words = (state, now = 0) => connectionWords(state, now).words;
  assert.equal(words(initial()), "Connecting…");
  assert.equal(words(joined(initial())), "Loading what was said");
  const now = live(started(), ["session:state", { status: "active", speakers: 1 }]);
  assert.equal(words(now), "Live");
  const silent = live(now, ["session:state", { status: "active", speakers: 0 }]);
  assert.equal(words(silent), "Waiting for a speaker");
  const lost = reduce(now, { type: "link", link: { name: "reconnecting", at: 4500 } });
  assert.equal(words(lost, 1000), "Reconnecting in 4 s");
  assert.equal(words(lost, 9000), "Reconnecting…");
  const items = [{ client_id: "1", failed: null }, { client_id: "2", failed: null }];
  assert.equal(words(reduce(lost, { type: "outbox", items }), 9000), "Reconnecting…, 2 unsent");
  const failed = [{ client_id: "1", failed: "no" }];
  assert.equal(words(reduce(now, { type: "outbox", items: failed })), "Live, 1 not accepted");
  const over = live(now, ["session:state", { status: "closed", speakers: 0 }]);
  assert.equal(words(over), "Ended");
  const expired = live(over, ["session:expired", { status: "expired", speakers: 0 }]);
  assert.equal(words(expired), "Ended");
  for (const type of ["session:state", "session:expired"]) {
    const deleted = live(over, [type, { status: "expired", speakers: 0, deleted: true }]);
    assert.match(words(deleted), /^Deleted/);
    const gone = reduce(deleted, { type: "link", link: { name: "refused", why: "gone" } });
    assert.match(words(gone), /^Deleted/);
  }
  const stopped = reduce(over, { type: "link", link: { name: "stopped" } });
  assert.equal(words(stopped), "Ended");
});

test("nothing is sent in a conversation that is over, or with a link that only reads", () => {
  assert.equal(maySend(started()), true);
  assert.equal(maySend(reduce(started(), { type: "readOnly" })), false);
  const over = history(joined(initial(), "expired"), []);
  assert.equal(isOver(over), true);
  assert.equal(maySend(over), false);
});

test("whatever an event contains, the model takes it without an error", () => {
  const odd = [undefined, null, 0, NaN, "", "x", [], {}, true, { seq: "1" }, { seq: Infinity },
    { seq: 1 }, { seq: 1, from: 3, body: "x", message_id: {} }, { seq: 2, message_id: "2" },
    { seq: 3, symbl: 3 }, { seq: 3, symbl: { message_ids: [null, {}] }, output: { responses: 1 } },
    { seq: 4, attributions: [null, 1, { member: { id: "x" }, message_ids: [null, 1, "2"] }] },
    { seq: 4, input: "x" }, { seq: 4, member: "x" }, { seq: 4, member: { id: "__proto__" } },
    { from: { agent_id: "__proto__", agent_name: "constructor" }, body: { text: "x" } }];
  const types = ["message:received", "message:brain_received", "message:send", "message:send:sync",
    "conversation:member_joined", "conversation:member_left", "conversation:attributed",
    "caption:interim", "session:state", "session:expired", "unknown", null, 1];
  for (const type of types) {
    for (const payload of odd) {
      const state = live(started(), [type, payload]);
      connectionWords(state, 0);
      talkTimes(state);
      lastLines(state, 3);
    }
  }
  assert.doesNotThrow(() => history(started(), [null, 1, [], ["x"]]));
});

test("a state is never changed once it was returned", () => {
  const before = live(started(), message(1), interim("x", 9000), correction(2, "1", "y"));
  const copy = structuredClone(before);
  live(before, message(3), correction(4, "1", "z"), interim("x y", 9000), member(5, true));
  assert.deepEqual(before, copy);
});

test("the caption view shows the last finals and what is being said", () => {
  const state = live(started(), message(1), message(2), message(3), interim("now", 9000));
  const shown = lastLines(state, 3).map((line) => [line.text, line.isFinal]);
  assert.deepEqual(shown, [["m2", true], ["m3", true], ["now", false]]);
  assert.equal(lastLines(state, 1)[0].text, "now");
});

test("the address of the caption view says how it looks, within bounds", () => {
  const supports = (colour) => ["red", "#ff0000", "#00f"].includes(colour);
  const given = wanted("?size=10&lines=2&color=red&background=00f&names=0&align=center", supports);
  assert.deepEqual(given, {
    size: 10, lines: 2, color: "red", background: "#00f", box: "rgba(0, 0, 0, 0.75)",
    names: false, align: "center",
  });
  const odd = wanted("?size=1e9&lines=-4&color=url(x)&background=;}&align=x", supports);
  assert.deepEqual(odd, {
    size: 40, lines: 1, color: "#ffffff", background: "transparent", box: "rgba(0, 0, 0, 0.75)",
    names: true, align: "start",
  });
});
