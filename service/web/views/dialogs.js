// SPDX-License-Identifier: MPL-2.0

/** Dialogs of one conversation: downloads, the share link and corrections. */

import { conversation, fileName, json, request } from "../api.js";
import { dialog, h, icon, say } from "./dom.js";

/** Formats of the transcript, as the service names them. */
const FORMATS = [
  ["txt", "Plain text"],
  ["md", "Markdown"],
  ["srt", "SubRip subtitles"],
  ["vtt", "WebVTT subtitles"],
  ["json", "JSON"],
];

const HOUR = 3_600;
const LIVES = [
  [HOUR, "an hour"],
  [24 * HOUR, "a day"],
  [7 * 24 * HOUR, "a week"],
  [30 * 24 * HOUR, "30 days"],
];

/** Opens the dialog with the downloads of the transcript. */
export function openDownloads(id) {
  const problem = h("p.problem", { role: "alert" });
  const button = ([format, name]) => h("li", {},
    h("button", { type: "button", onclick: () => download(format) },
      icon("download"), h("span", {}, name), h("span.hint", {}, `.${format}`)));
  dialog("Download the transcript",
    h("p", {}, "Corrections are in it."),
    h("ul.choices", {}, FORMATS.map(button)), problem);

  async function download(format) {
    say(problem, "");
    try {
      const answer = await request(conversation(id, `/transcript?format=${format}`));
      const name = fileName(answer.headers.get("content-disposition"), `transcript.${format}`);
      save(await answer.blob(), name);
    } catch (error) {
      say(problem, error.status ? error.message : "The service does not answer. Try again.");
    }
  }
}

/** Has the browser save a file. */
function save(blob, name) {
  const url = URL.createObjectURL(blob);
  const link = h("a", { href: url, download: name, hidden: true });
  document.body.append(link);
  link.click();
  link.remove();
  // The browser has begun to read it by then.
  setTimeout(() => URL.revokeObjectURL(url), 60_000);
}

/** Opens the dialog that makes a link to this conversation alone. */
export function openShare(id) {
  const problem = h("p.problem", { role: "alert" });
  const life = h("select", { id: "life" }, LIVES.map(([seconds, words]) =>
    h("option", { value: seconds, selected: seconds === 24 * HOUR }, words)));
  const link = output("share-link", "Link to this page");
  const captions = output("captions-link", "Link to the caption view, also for OBS");
  const made = h("div", { hidden: true }, ...link.elements, ...captions.elements);
  const make = h("button.primary", { type: "button", onclick: async () => {
    make.disabled = true;
    say(problem, "");
    try {
      const body = { expiresIn: Number(life.value) };
      const path = conversation(id, "/share");
      const { accessToken, path: page } = await json(path, { method: "POST", body });
      // Servers see no fragment, so the token is in no log.
      const fragment = `#token=${accessToken}`;
      link.input.value = location.origin + page + fragment;
      captions.input.value = `${location.origin}${page}?view=captions${fragment}`;
      made.hidden = false;
    } catch (error) {
      say(problem, error.status ? error.message : "The service does not answer. Try again.");
    } finally {
      make.disabled = false;
    }
  } }, "Make a link");
  dialog("Share",
    h("p", {}, "A person with the link can read this conversation, and nothing else, until "
      + "the link ends."),
    h("div.field", {}, h("label", { for: "life" }, "The link is good for"), life),
    make, problem, made);
}

/** Returns a read-only field with a button that copies it. */
function output(id, label) {
  const input = h("input", { id, readonly: true, type: "text", spellcheck: "false" });
  const copy = h("button", { type: "button", onclick: async () => {
    input.select();
    try {
      await navigator.clipboard.writeText(input.value);
    } catch {
      // Pages without TLS have no clipboard.
      document.execCommand("copy");
    }
    say(copy, "Copied");
  } }, "Copy");
  const elements = [h("label", { for: id }, label), h("div.copy", {}, input, copy)];
  return { input, elements };
}

/** Opens the dialog that corrects a message. Calls `save` with the new text. */
export function openCorrection(line, save) {
  const text = h("textarea", { id: "correction", dir: "auto", rows: 4, maxlength: 8000 });
  text.value = line.text;
  const form = h("form", {
    onsubmit: (event) => {
      event.preventDefault();
      const now = text.value.trim();
      if (now !== "" && now !== line.text) save(now);
      box.close();
    },
  },
  h("label", { for: "correction" }, "What was said"),
  text,
  line.original !== null
    && h("p.hint", {}, "Recognised as: ", h("q", { dir: "auto" }, line.original)),
  h("div.actions", {}, h("button.primary", { type: "submit" }, "Save")));
  const box = dialog("Correct this message", form);
  text.addEventListener("keydown", (event) => {
    if (event.key === "Enter" && !event.shiftKey && !event.isComposing) {
      event.preventDefault();
      form.requestSubmit();
    }
  });
  text.focus();
  text.setSelectionRange(text.value.length, text.value.length);
}
