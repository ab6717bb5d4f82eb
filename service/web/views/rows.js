// SPDX-License-Identifier: MPL-2.0

/** Which rows the transcript has, and what each looks like. */

import { findingsByMessage, nameOf } from "../model.js";
import { clock, timeOfDay } from "../format.js";
import { h, icon, say } from "./dom.js";

/** Silence after which a speaker's name is shown again, in milliseconds. */
const GAP = 30_000;
/** Lines after which a speaker's name is shown again. */
const TOGETHER = 6;

/** What a finding is called beside the message that it was found in. */
const MARKS = {
  question: "Question",
  action_item: "Action item",
  follow_up: "Follow-up",
};

/**
 * Returns a function that makes the rows of a state. A row whose message looks as before is
 * the same object as before.
 */
export function rowsOf() {
  const known = new WeakMap();
  let last = { lines: null, findings: null, names: "", rows: [], found: new Map() };
  return (state) => {
    const sameFindings = last.findings === state.findings;
    const looks = [...state.speakers.values()].map(({ name, colour }) => [name, colour]);
    const names = JSON.stringify(looks);
    const sameNames = last.names === names;
    if (last.lines === state.lines && sameFindings && sameNames) return last.rows;
    const found = sameFindings ? last.found : findingsByMessage(state.findings);
    let together = 0;
    const rows = state.lines.map((line, at) => {
      const before = state.lines[at - 1];
      together = follows(before, line) ? (together + 1) % TOGETHER : 0;
      const looks = {
        line,
        isGrouped: together > 0,
        name: nameOf(state, line.speaker),
        colour: state.speakers.get(line.speaker)?.colour ?? 0,
        found: found.get(line.id),
      };
      const row = known.get(line);
      if (row && Object.keys(looks).every((part) => row[part] === looks[part])) return row;
      const other = { key: line.key, ...looks };
      known.set(line, other);
      return other;
    });
    last = { lines: state.lines, findings: state.findings, names, rows, found };
    return rows;
  };
}

/** Returns `true` if a line goes on with what the one before began. */
export function follows(before, line) {
  return before?.kind === "message" && line.kind === "message"
    && before.speaker === line.speaker && line.start - before.end < GAP;
}

/** Returns the height of a row that was never in sight, in pixels. */
export function estimate({ line, isGrouped }, width, scale) {
  const size = 18 * scale;
  const letters = Math.max(10, Math.min(width - 120, 44 * size) / (size * 0.5));
  const lines = Math.ceil(Math.max(1, line.text.length) / letters);
  if (line.kind === "joined" || line.kind === "left") return 36;
  return lines * size * 1.6 + (isGrouped ? 8 : 44);
}

/** Counts the times in an element from another begin. */
export function countFrom(element, zero) {
  for (const time of element.querySelectorAll("time")) {
    say(time, clock(Date.parse(time.dateTime) - zero));
  }
}

/** Returns the element of a row. `zero` is when the conversation began. */
export function rowElement(row, { zero, correct, toggled }) {
  switch (row.line.kind) {
    case "message":
      return messageRow(row, zero, correct, toggled);
    case "note":
      return noteRow(row, zero);
    default:
      return h("li.event", {},
        h("bdi", {}, row.name), row.line.kind === "joined" ? " joined" : " left");
  }
}

function messageRow({ line, isGrouped, name, colour, found }, zero, correct, toggled) {
  const who = isGrouped
    ? h("span.unseen", {}, h("bdi", {}, name), ": ")
    : h("span.who", {}, h("bdi", {}, name));
  const time = moment(line.start, zero);
  return h(`li.line.s${colour}${isGrouped ? ".grouped" : ""}`, { tabindex: -1 },
    h("div.gutter", {}, time),
    h("div.body", {},
      who,
      h("p.words", { dir: "auto" }, line.text),
      line.original !== null && h("details.was", { ontoggle: toggled },
        h("summary", {}, "Corrected", line.correctedBy && [" by ", h("bdi", {}, line.correctedBy)]),
        h("p", {}, "Recognised as: ", h("q", { dir: "auto" }, line.original))),
      found && marks(found)),
    h("button.correct.quiet", {
      type: "button",
      title: "Correct this message",
      onclick: () => correct(line),
    }, icon("edit"), h("span.unseen", {}, `Correct: ${line.text.slice(0, 60)}`)));
}

function noteRow({ line }, zero) {
  return h("li.line.note", { tabindex: -1 },
    h("div.gutter", {}, moment(line.start, zero)),
    h("div.body", {},
      h("span.who", {}, icon("note"), "Note", line.by && [" by ", h("bdi", {}, line.by)]),
      h("p.words", { dir: "auto" }, line.text)));
}

/** Returns the marks of what was found in a message. */
function marks(found) {
  const words = new Set();
  for (const finding of found) {
    if (MARKS[finding.kind]) words.add(MARKS[finding.kind]);
    else if (finding.kind === "tracker") words.add(finding.name || finding.text);
  }
  if (words.size === 0) return null;
  return h("ul.marks", { "aria-label": "Found in this message" },
    [...words].map((each) => h("li", { dir: "auto" }, each)));
}

/** Returns the time of a moment of the conversation. */
export function moment(at, zero) {
  const title = timeOfDay(at);
  return h("time", { datetime: new Date(at).toISOString(), title }, clock(at - zero));
}

/** Returns the element of an utterance that is not finished. */
export function interimElement() {
  return h("div.line.interim", {},
    h("div.gutter", {}),
    h("div.body", {},
      h("span.who", {}, h("bdi", {})),
      h("p.words", { dir: "auto" }, h("span.settled", {}), h("span.open", {}))));
}

/** Shows how far an utterance is. Words that may still change look different. */
export function updateInterim(element, { interim, isGrouped, name, colour }) {
  element.className = `line interim s${colour}${isGrouped ? " grouped" : ""}`;
  const who = element.querySelector(".who");
  who.hidden = isGrouped;
  who.firstChild.textContent = name;
  const words = interim.text.split(/(?<=\s)/u);
  const [settled, open] = element.querySelector(".words").children;
  settled.textContent = words.slice(0, interim.stable).join("");
  open.textContent = words.slice(interim.stable).join("");
}
