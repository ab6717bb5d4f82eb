// SPDX-License-Identifier: MPL-2.0

// What the page asks the API for, and where its token is.

import assert from "node:assert/strict";
import test from "node:test";
import { claims, fileName, listQuery, liveFirst, takeToken, token } from "../../../web/api.js";
import { clock, duration } from "../../../web/format.js";
import { memory } from "../../../web/outbox.js";

test("a search is a filter whose value cannot end its quotes", () => {
  const filter = (words) => new URLSearchParams(listQuery({ words, limit: 1 })).get("filter");
  assert.equal(filter(""), null);
  assert.equal(filter(" Stand "), 'name=="*Stand*"');
  assert.equal(filter("42"), 'id=="42",name=="*42*"');
  assert.equal(filter('";id==1'), 'name=="*;id==1*"');
  assert.ok(filter("x".repeat(5000)).length < 300);
});

test("days are those of the reader, with the last one whole", () => {
  const query = new URLSearchParams(listQuery({ from: "2026-03-01", to: "2026-03-01", limit: 1 }));
  const length = Date.parse(query.get("endTime")) - Date.parse(query.get("startTime"));
  assert.ok(length >= 23 * 3600_000 && length <= 25 * 3600_000);
  assert.equal(new URLSearchParams(listQuery({ from: "x", limit: 1 })).get("startTime"), null);
});

test("live conversations are first, and the others stay in their order", () => {
  const all = ["closed", "active", undefined, "expired", "active"];
  const sorted = liveFirst(all.map((x_status, id) => ({ id, x_status })));
  assert.deepEqual(sorted.map((one) => one.id), [1, 4, 0, 2, 3]);
});

test("the token leaves the address as soon as it is read", () => {
  const storage = memory();
  const location = { hash: "#token=a.b.c", pathname: "/live/1", search: "?view=captions" };
  const addresses = [];
  takeToken(location, { replaceState: (state, title, url) => addresses.push(url) }, storage);
  assert.deepEqual(addresses, ["/live/1?view=captions"]);
  assert.equal(token(storage), "a.b.c");
  assert.equal(storage.length, 1);
});

test("a token that is none says nothing", () => {
  const body = Buffer.from(JSON.stringify({ conversation: 7 })).toString("base64url");
  assert.deepEqual(claims(`x.${body}.y`), { conversation: 7 });
  for (const odd of ["", "a", "a.b", "a.!.c", "..", `x.${btoa("null")}.y`]) {
    assert.deepEqual(claims(odd), {});
  }
});

test("the name of a download has no path", () => {
  assert.equal(fileName('attachment; filename="Weekly.srt"', "x"), "Weekly.srt");
  const both = "attachment; filename=\"a.srt\"; filename*=UTF-8''%D7%A9.srt";
  assert.equal(fileName(both, "x"), "ש.srt");
  assert.equal(fileName(both.replace("%D7%A9", "%2Fetc"), "x"), "a.srt");
  assert.equal(fileName(both.replace("%D7", "%"), "x"), "a.srt");
  for (const odd of [null, "", "attachment", 'attachment; filename="../x"', 'filename="a\\b"']) {
    assert.equal(fileName(odd, "x"), "x");
  }
});

test("times are short", () => {
  assert.deepEqual([0, 59_999, 60_000, 3_661_000, -5].map(clock),
    ["0:00", "0:59", "1:00", "1:01:01", "0:00"]);
  assert.deepEqual([1_000, 61_000, 7_260_000].map(duration), ["1 s", "1 min 01 s", "2 h 01 min"]);
});
