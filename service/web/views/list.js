// SPDX-License-Identifier: MPL-2.0

/** The list of conversations. */

import { isLive, json, listQuery, liveFirst } from "../api.js";
import { count, dayAndTime, duration } from "../format.js";
import { h, icon, say } from "./dom.js";
import { openSettings } from "./settings.js";

/** Conversations in one page of the list. */
const PAGE = 50;
/** How often the list is asked for again while it is in sight, in milliseconds. */
const AGAIN = 5_000;

/** Shows the list in `root`. Calls `refused` with an error that signing in may remove. */
export function showList(root, refused) {
  document.title = "Conversations";
  let shown = PAGE;
  let asked = null;
  let timer = null;
  let before = "";

  const words = h("input", {
    id: "words", type: "search", placeholder: "Title or id", autocomplete: "off",
    oninput: () => changed(250),
  });
  const day = (id) => h("input", { id, type: "date", onchange: () => changed(0) });
  const [from, to] = [day("from"), day("to")];
  const list = h("ol.conversations", { "aria-label": "Conversations", role: "list" });
  const status = h("p.hint", { role: "status" }, "Loading…");
  const more = h("button", { type: "button", hidden: true, onclick: () => {
    shown += PAGE;
    changed(0);
  } }, "Show more");
  const field = (input, label) => h("div.field", {}, h("label", { for: input.id }, label), input);

  root.replaceChildren(
    h("header.bar", {},
      h("h1", {}, "Conversations"),
      h("div.actions", {},
        h("button.quiet", { type: "button", onclick: () => openSettings(() => {}) },
          icon("settings"), h("span.wide", {}, "Settings")))),
    h("main.page", {},
      h("form.search", { role: "search", onsubmit: (event) => event.preventDefault() },
        field(words, "Search"), field(from, "From"), field(to, "To")),
      status, list, h("div.more", {}, more)),
  );

  function changed(wait) {
    clearTimeout(timer);
    timer = setTimeout(load, wait);
  }

  async function load() {
    asked?.abort();
    const mine = new AbortController();
    asked = mine;
    const isSearch = words.value.trim() !== "" || from.value !== "" || to.value !== "";
    const query = listQuery({
      // One more than is shown says that there are more.
      words: words.value, from: from.value, to: to.value, limit: shown + 1,
    });
    let wait = AGAIN;
    try {
      const { conversations } = await json(`/v1/conversations?${query}`, { signal: mine.signal });
      show(conversations, isSearch);
    } catch (error) {
      if (error.name === "AbortError") return;
      if (error.status === 401 || error.status === 403) {
        refused(error);
        return;
      }
      wait = 2 * AGAIN;
      say(status, error.status ? error.message : "The service does not answer. Trying again…");
    }
    if (asked === mine) {
      timer = setTimeout(function again() {
        if (document.visibilityState === "visible") load();
        else timer = setTimeout(again, AGAIN);
      }, wait);
    }
  }

  function show(conversations, isSearch) {
    more.hidden = conversations.length <= shown;
    const sorted = liveFirst(conversations.slice(0, shown));
    const live = sorted.filter(isLive).length;
    const found = count(sorted.length, "conversation", "conversations");
    const nothing = isSearch
      ? "No conversation fits this search."
      : "No conversation yet. It appears here as soon as a speaker streams to this service.";
    say(status, sorted.length === 0 ? nothing : live > 0 ? `${found}, ${live} live` : found);
    // Rows that say the same stay, and with them the focus.
    const now = JSON.stringify(sorted);
    if (now === before) return;
    before = now;
    const focused = document.activeElement?.getAttribute("href");
    list.replaceChildren(...sorted.map(row));
    if (focused) {
      [...list.querySelectorAll("a")].find((a) => a.getAttribute("href") === focused)?.focus();
    }
  }

  load();
}

function row(conversation) {
  const { id, name, startTime, endTime, members = [] } = conversation;
  const live = isLive(conversation);
  const names = members.map((member) => member.name || "Unknown speaker");
  const several = names.length > 4 ? [...names.slice(0, 3), `${names.length - 3} more`] : names;
  const length = Date.parse(endTime) - Date.parse(startTime);
  return h("li", {},
    h("a", { href: `/live/${encodeURIComponent(id)}` },
      h("span.title", { dir: "auto" }, name || `Conversation ${id}`),
      live && h("span.badge", {}, "Live"),
      h("span.about", {},
        h("time", { datetime: startTime }, dayAndTime(startTime)),
        !live && length > 0 && h("span", {}, duration(length)),
        several.length > 0 && h("span.names", {}, ...several.flatMap((each, at) =>
          [at > 0 ? ", " : "", h("bdi", {}, each)])))));
}
