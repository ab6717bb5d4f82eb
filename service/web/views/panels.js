// SPDX-License-Identifier: MPL-2.0

/** What was found in a conversation, and how long each speaker has talked. */

import { talkTimes, topics } from "../model.js";
import { clock, count, percent } from "../format.js";
import { h, keyed, say } from "./dom.js";

/** Most findings of one kind that are shown: the newest. */
const MOST = 100;

const KINDS = [
  ["action_item", "Action items"],
  ["question", "Questions"],
  ["follow_up", "Follow-ups"],
  ["topic", "Topics"],
  ["tracker", "Trackers"],
];

/** Returns the panel: its element, `update(state)` and `recount()`. `show` brings a message into sight. */
export function panels({ zero, show }) {
  const talk = section("talk", "Talk time");
  const all = KINDS.map(([kind, title]) => ({ kind, ...section(kind, title) }));
  const nothing = h("p.empty", {},
    "Questions, action items, follow-ups, topics and trackers appear here as they are found.");
  const element = h("aside.panel", { id: "panel", "aria-label": "What was found" },
    talk.element, ...all.map((one) => one.element), nothing);
  let before = {};

  function update(state) {
    if (state.speakers !== before.speakers) {
      const speakers = talkTimes(state).map((speaker) => ({ ...speaker, key: speaker.id }));
      talk.element.hidden = speakers.length === 0;
      say(talk.count, "");
      keyed(talk.list, speakers, talkRow, updateTalk);
    }
    if (state.findings !== before.findings || state.lines !== before.lines) {
      const starts = new Map();
      for (const line of state.lines) if (line.id) starts.set(line.id, line.start);
      for (const { kind, element: one, list, count: number, more } of all) {
        const found = kind === "topic" ? topics(state.findings)
          : state.findings.filter((finding) => finding.kind === kind).reverse();
        one.hidden = found.length === 0;
        say(number, String(found.length));
        const rows = found.slice(0, MOST).map((finding) => {
          const messages = finding.messages.filter((id) => starts.has(id));
          const id = kind === "topic" ? messages.at(-1) : messages[0];
          return { key: finding.key, finding, id, start: starts.get(id) };
        });
        keyed(list, rows, (row) => findingRow(row), (old, row) => updateFinding(old, row));
        more.hidden = found.length <= MOST;
        say(more, `${count(found.length - MOST, "earlier one", "earlier ones")} not shown`);
      }
      nothing.hidden = state.findings.length > 0;
    }
    before = state;
  }

  /** Counts all times anew, when `zero` has changed. */
  function recount() {
    const { findings, lines, ...rest } = before;
    before = rest;
    if (findings) update({ ...rest, findings, lines });
  }

  function findingRow(row) {
    const { finding } = row;
    const about = [finding.assignee, finding.due && `due ${finding.due}`].filter(Boolean);
    const words = finding.kind === "tracker"
      ? [h("strong", { dir: "auto" }, finding.name || finding.text),
        finding.value && h("q", { dir: "auto" }, finding.value)]
      : [h("span", { dir: "auto" }, finding.text)];
    const element = h("li", {},
      h("button.moment", { type: "button", onclick: () => show(element.message) },
        h("span.what", {}, ...words),
        h("time", {}),
        about.length > 0 && h("span.about", { dir: "auto" }, about.join(", "))));
    updateFinding(element, row);
    return element;
  }

  function updateFinding(element, { id, start }) {
    element.message = id;
    const button = element.firstChild;
    button.disabled = id === undefined;
    button.title = id === undefined ? "" : "Show this moment";
    say(element.querySelector("time"), start === undefined ? "" : clock(start - zero()));
  }

  return { element, update, recount };
}

function section(kind, title) {
  const number = h("span.number", {});
  const list = h("ul", { "aria-labelledby": `of-${kind}` });
  const more = h("p.hint", { hidden: true });
  const element = h(`section.${kind}`, { hidden: true },
    h("h2", { id: `of-${kind}` }, title, " ", number), list, more);
  return { element, list, count: number, more };
}

function talkRow(speaker) {
  const element = h(`li.s${speaker.colour}`, {},
    h("span.who", {}, h("bdi", {})),
    h("span.number", {}),
    h("div.bar", { "aria-hidden": "true" }, h("div", {})));
  updateTalk(element, speaker);
  return element;
}

function updateTalk(element, speaker) {
  const [who, number, bar] = element.children;
  say(who.firstChild, speaker.name || "Unknown speaker");
  say(number, `${clock(speaker.talked)} · ${percent(speaker.share)}`);
  bar.firstChild.style.width = `${(100 * speaker.share).toFixed(1)}%`;
}
