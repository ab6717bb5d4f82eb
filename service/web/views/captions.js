// SPDX-License-Identifier: MPL-2.0

/** The caption view: big type for a second screen, or for OBS as a browser source. */

import { lastLines, wanted } from "../captions.js";
import { connectionWords, isOver, nameOf } from "../model.js";
import { h, keyed, say, speak } from "./dom.js";

/** Shows the captions of a conversation in `root`. */
export function showCaptions(root, { store }) {
  document.title = store.get().about.name || "Captions";
  const looks = wanted(location.search, (colour) => CSS.supports("color", colour));
  const page = document.documentElement;
  page.classList.add("captions");
  const style = (name, value) => page.style.setProperty(name, value);
  style("--caption-size", `${looks.size}vh`);
  style("--caption-lines", looks.lines);
  style("--caption-color", looks.color);
  style("--caption-background", looks.background);
  style("--caption-box", looks.box);
  page.dataset.align = looks.align;

  const lines = h("div.caption-lines", { role: "log", "aria-live": "off" });
  const state = h("p.caption-state", { role: "status" });
  const title = h("h1.unseen", {}, document.title);
  root.replaceChildren(h("main.caption-box", {}, title, lines, state));

  function update(now) {
    document.title = now.about.name || "Captions";
    say(title, document.title);
    speak(lines, now.language);
    const shown = lastLines(now, looks.lines).map((line, at, all) => ({
      ...line,
      name: looks.names && line.speaker !== all[at - 1]?.speaker ? nameOf(now, line.speaker) : "",
      colour: now.speakers.get(line.speaker)?.colour ?? 0,
    }));
    keyed(lines, shown, (line) => {
      const element = h("p", { dir: "auto" },
        h("span.caption", {}, h("b", {}), h("span", {})));
      show(element, line);
      return element;
    }, show);
    // A screen with captions says only what its audience has to know.
    const { tone, words } = connectionWords(now, Date.now());
    const hasEnded = isOver(now) && !now.isDeleted;
    const isQuiet = tone === "live" || hasEnded || words === "Waiting for a speaker";
    say(state, isQuiet ? "" : words);
  }

  store.listen(update);
  update(store.get());
  setInterval(() => store.dispatch({ type: "tick", now: Date.now() }), 1_000);
}

function show(element, { name, colour, text, isFinal }) {
  element.className = `s${colour}${isFinal ? "" : " open"}`;
  const [who, words] = element.firstChild.children;
  say(who, name ? `${name}: ` : "");
  say(words, text);
}
