// SPDX-License-Identifier: MPL-2.0

/** The transcript of a conversation: finished lines, and behind them what is being said. */

import { nameOf } from "../model.js";
import { count } from "../format.js";
import { h, icon, keyed, say, speak } from "./dom.js";
import { countFrom, estimate, follows, interimElement, rowElement, rowsOf, updateInterim } from "./rows.js";
import { settings } from "./settings.js";
import { WindowedList } from "./windowed.js";

/** Captions that a screen reader may still have to say. */
const ANNOUNCED = 8;
/** How long a line is marked that the reader has jumped to, in milliseconds. */
const MARKED = 2_000;

/** Returns the transcript: its element, `update(state)`, `show(messageId)`, `refresh()` and `recount()`. */
export function transcript({ zero, correct }) {
  const list = h("ol.lines", { "aria-label": "What was said", role: "list" });
  const interims = h("div.interims", { "aria-hidden": "true" });
  const empty = h("p.empty", { hidden: true });
  const box = h("div.box", { tabindex: 0, role: "region", "aria-label": "Transcript" },
    h("div.column", {}, empty, list, interims));
  const jump = h("button.jump", { type: "button", hidden: true, onclick: () => {
    windowed.follow();
    box.focus({ preventScroll: true });
  } }, icon("down"), h("span", {}, "Jump to live"));
  // For finals only, and apart from the list, whose rows come and go as one scrolls.
  const log = h("div.unseen", { role: "log", "aria-live": "polite", "aria-label": "New captions" });
  const element = h("section.transcript", {}, box, jump, log);

  const makeRows = rowsOf();
  let seen = 0;
  let missed = 0;
  let announced = null;
  let rows = [];

  const windowed = new WindowedList(box, list, {
    render: (row) => rowElement(row, {
      zero: zero(), correct, toggled: () => windowed.measure(),
    }),
    estimate: (row, width) => estimate(row, width, settings().size / 100),
    onmove: (isFollowing) => {
      jump.hidden = isFollowing;
      seen = rows.length;
      missed = 0;
    },
  });

  function update(state) {
    const before = rows;
    for (const texts of [list, log]) speak(texts, state.language);
    rows = makeRows(state);
    if (rows !== before) windowed.set(rows);
    missed = Math.max(0, rows.length - seen);
    if (!windowed.isFollowing) {
      const words = missed > 0 && !state.catchingUp
        ? `Jump to live, ${count(missed, "new line", "new lines")}` : "Jump to live";
      say(jump.lastChild, words);
    }
    const open = [...state.interims.values()].map((interim) => {
      const line = { kind: "message", speaker: interim.speaker, start: interim.start ?? 0 };
      return {
        key: interim.speaker,
        interim,
        isGrouped: follows(state.lines.at(-1), line),
        name: nameOf(state, interim.speaker),
        colour: state.speakers.get(interim.speaker)?.colour ?? 0,
      };
    });
    keyed(interims, open, (row) => {
      const made = interimElement();
      updateInterim(made, row);
      return made;
    }, updateInterim);
    empty.hidden = rows.length > 0 || open.length > 0 || state.catchingUp
      || state.session === null;
    say(empty, state.status === "active" ? "Captions appear here as soon as someone speaks."
      : "Nothing was said in this conversation.");
    announce(state);
  }

  /** Has a screen reader say finals that have come since the page shows the conversation. */
  function announce(state) {
    if (state.catchingUp || state.session === null) return;
    if (announced !== null && settings().announce) {
      const fresh = [];
      for (let at = state.lines.length - 1; at >= 0; at -= 1) {
        const line = state.lines[at];
        if (line.seq <= announced || fresh.length === ANNOUNCED) break;
        if (line.kind === "message") {
          fresh.unshift(`${nameOf(state, line.speaker)}: ${line.text}`);
        } else if (line.kind === "note") fresh.unshift(`Note: ${line.text}`);
      }
      log.append(...fresh.map((words) => h("p", { dir: "auto" }, words)));
      while (log.childElementCount > ANNOUNCED) log.firstChild.remove();
    }
    announced = state.newest;
  }

  return {
    element,
    update,
    refresh: () => windowed.refresh(),
    /** Counts all times anew, when `zero` has changed. */
    recount: () => countFrom(list, zero()),
    /** Shows the message with this id, and marks it for a moment. */
    show(id) {
      const row = windowed.show(`m${id}`);
      if (row === null) return false;
      row.focus({ preventScroll: true });
      row.classList.add("found");
      setTimeout(() => row.classList.remove("found"), MARKED);
      return true;
    },
  };
}
