// SPDX-License-Identifier: MPL-2.0

/** How a person wants the page, which this browser remembers. */

import { dialog, h } from "./dom.js";

const KEY = "symbl.settings";
const DEFAULTS = { size: 100, theme: "auto", announce: true, name: "" };
/** Longest name in characters. */
const LONGEST = 100;

/** Returns the settings. */
export function settings() {
  try {
    const { size, theme, announce, name } = JSON.parse(localStorage.getItem(KEY) ?? "{}");
    return {
      size: size >= 75 && size <= 400 ? size : DEFAULTS.size,
      theme: ["auto", "light", "dark"].includes(theme) ? theme : DEFAULTS.theme,
      announce: typeof announce === "boolean" ? announce : DEFAULTS.announce,
      name: typeof name === "string" ? name.slice(0, LONGEST) : DEFAULTS.name,
    };
  } catch {
    return DEFAULTS;
  }
}

/** Applies the settings to the document. */
export function apply({ size, theme } = settings()) {
  document.documentElement.style.setProperty("--scale", size / 100);
  if (theme === "auto") delete document.documentElement.dataset.theme;
  else document.documentElement.dataset.theme = theme;
}

function change(part) {
  const now = { ...settings(), ...part };
  try {
    localStorage.setItem(KEY, JSON.stringify(now));
  } catch {
    // It lasts as long as the page.
  }
  apply(now);
}

/** Opens the dialog. The page behind it is the preview. Calls `changed` after each change. */
export function openSettings(changed) {
  const now = settings();
  const output = h("output", { for: "size" }, `${now.size} %`);
  const size = h("input", {
    id: "size", type: "range", min: 75, max: 400, step: 5, value: now.size,
    oninput: () => {
      output.textContent = `${size.value} %`;
      change({ size: Number(size.value) });
      changed();
    },
  });
  const theme = h(
    "select",
    { id: "theme", onchange: () => { change({ theme: theme.value }); changed(); } },
    [["auto", "As this device"], ["light", "Light"], ["dark", "Dark"]].map(([value, words]) =>
      h("option", { value, selected: value === now.theme }, words)),
  );
  const announce = h("input", {
    id: "announce", type: "checkbox", checked: now.announce,
    onchange: () => { change({ announce: announce.checked }); changed(); },
  });
  const name = h("input", {
    id: "name", type: "text", maxlength: LONGEST, autocomplete: "name", dir: "auto",
    value: now.name, onchange: () => { change({ name: name.value.trim() }); changed(); },
  });
  dialog(
    "Settings",
    h("div.field", {}, h("label", { for: "size" }, "Size of the captions"), size, output),
    h("div.field", {}, h("label", { for: "theme" }, "Colours"), theme),
    h("div.check", {}, announce,
      h("label", { for: "announce" }, "Have a screen reader say new captions")),
    h("div.field", {}, h("label", { for: "name" }, "Your name, for notes and corrections"), name),
  );
}
