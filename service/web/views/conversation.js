// SPDX-License-Identifier: MPL-2.0

/** The page of one conversation. */

import { connectionWords, isOver, maySend } from "../model.js";
import { dayAndTime } from "../format.js";
import { openCorrection, openDownloads, openShare } from "./dialogs.js";
import { h, icon, keyed, say } from "./dom.js";
import { panels } from "./panels.js";
import { openSettings } from "./settings.js";
import { transcript } from "./transcript.js";

/** How often the words about the connection are looked at, in milliseconds. */
const TICK = 500;

/**
 * Shows a conversation in `root`.
 *
 * @param about.id      Its id in the API.
 * @param about.store   The state of the page.
 * @param about.send    Puts `{text, corrects}` into the outbox; `false` if it is full.
 * @param about.outbox  The texts that wait.
 * @param about.connect Connects again.
 */
export function showConversation(root, { id, store, send, outbox, connect }) {
  let about = null;
  // When the conversation began: times in the transcript count from there.
  let zero = NaN;
  const start = () => (Number.isNaN(zero) ? zero = store.get().lines[0]?.start ?? 0 : zero);
  const title = h("h1", { dir: "auto" });
  const begun = h("time.wide", {});
  const correct = (line) => openCorrection(line, (text) => send({ text, corrects: line.id }));
  const said = transcript({ zero: start, correct });
  const found = panels({ zero: start, show: (message) => {
    setPanel(false);
    said.show(message);
  } });

  const state = h("span.state", {}, h("span.mark", {}), h("span", {}));
  const aloud = h("span.unseen", { role: "status" });
  const delay = h("span.delay", {});
  const again = h("button", { type: "button", hidden: true, onclick: connect }, "Connect again");
  const button = (image, words, onclick, attributes = {}) => h("button.quiet",
    { type: "button", onclick, title: words, ...attributes }, icon(image),
    h("span.wide", {}, words));
  const panelButton = button("panel", "Findings", () => setPanel(!root.matches(".with-panel")),
    { "aria-controls": "panel", "aria-expanded": "false" });
  panelButton.classList.add("narrow");
  const share = button("share", "Share", () => openShare(id));
  const captions = h("a.button.quiet.spare", {
    href: `/live/${encodeURIComponent(id)}?view=captions`, title: "Caption view",
  }, icon("screen"), h("span.wide", {}, "Captions"));

  const waiting = h("ul.waiting", { "aria-label": "Not sent yet" });
  const text = h("textarea", {
    id: "note", rows: 1, dir: "auto", maxlength: 8000, placeholder: "Write a note",
    onkeydown: (event) => {
      if (event.key === "Enter" && !event.shiftKey && !event.isComposing) {
        event.preventDefault();
        compose.requestSubmit();
      }
    },
  });
  const problem = h("p.problem", { role: "alert" });
  const compose = h("form.compose", {
    onsubmit: (event) => {
      event.preventDefault();
      const note = text.value.trim();
      if (note === "") return;
      const taken = send({ text: note });
      if (taken) text.value = "";
      say(problem, taken ? "" : "Too many notes wait for the service. Try again later.");
    },
  },
  h("label.unseen", { for: "note" }, "Note"), text,
  h("button.primary", { type: "submit" }, "Send"));

  root.replaceChildren(
    h("header.bar", {},
      h("a.button.quiet.back", { href: "/", title: "All conversations" }, icon("back"),
        h("span.unseen", {}, "All conversations")),
      h("div.heading", {}, title, h("p.about", {}, state, aloud, delay, again, begun)),
      h("div.actions", {}, panelButton, captions, share,
        button("download", "Download", () => openDownloads(id)),
        button("settings", "Settings", () => openSettings(said.refresh)))),
    h("main.split", {}, h("div.left", {}, said.element, problem, waiting, compose), found.element),
  );

  function setPanel(isShown) {
    root.classList.toggle("with-panel", isShown);
    panelButton.setAttribute("aria-expanded", isShown);
  }

  function words() {
    const now = store.get();
    const { tone, words: all } = connectionWords(now, Date.now());
    state.dataset.tone = tone;
    say(state.lastChild, all);
    // Each second of a countdown is nothing to say aloud.
    say(aloud, all.replace(/ in \d+ s/, ""));
    const late = now.delay !== null && tone === "live";
    say(delay, late ? `${(now.delay / 1000).toFixed(1)} s behind speech` : "");
    again.hidden = !["stopped", "refused"].includes(now.link.name) || isOver(now);
  }

  /** Shows what the API says, which may be another name and begin than before. */
  function describe(now) {
    if (now === about) return;
    about = now;
    const { name, startTime } = now;
    document.title = name || `Conversation ${id}`;
    say(title, document.title);
    begun.dateTime = startTime ?? "";
    say(begun, dayAndTime(startTime));
    zero = Date.parse(startTime);
    said.recount();
    found.recount();
  }

  function update(now) {
    describe(now.about);
    words();
    said.update(now);
    found.update(now);
    root.classList.toggle("may-send", maySend(now));
    share.hidden = now.readOnly;
    compose.hidden = !maySend(now);
    const items = now.outbox.map((item) => ({ ...item, key: item.client_id + item.failed }));
    keyed(waiting, items, waitingRow, () => {});
  }

  function waitingRow(item) {
    const change = (words, call) => h("button.quiet", { type: "button", onclick: () => {
      call(item.client_id);
      connect();
    } }, words);
    return h("li", {},
      h("span.hint", {}, item.failed ?? "Unsent", ": "),
      h("span", { dir: "auto" }, item.input.text),
      item.failed && change("Try again", (one) => outbox.retry(one)),
      item.failed && change("Discard", (one) => outbox.remove(one)));
  }

  store.listen(update);
  update(store.get());
  setInterval(() => {
    store.dispatch({ type: "tick", now: Date.now() });
    words();
  }, TICK);
}
