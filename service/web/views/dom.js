// SPDX-License-Identifier: MPL-2.0

/**
 * Makes elements. Every text becomes a text node, so markup in it is text. No function here
 * or elsewhere parses markup, and the page's policy (`require-trusted-types-for`) has the
 * browser refuse one that would.
 */

/**
 * Returns an element.
 *
 * @param {string} tag         Its name, with classes: `span.name.big`.
 * @param {object} attributes  A function is the handler of an event (`onclick`), `true` is an
 *                             attribute without a value, `false` and `null` are left out.
 * @param children             Elements and texts.
 */
export function h(tag, attributes = {}, ...children) {
  const [name, ...classes] = tag.split(".");
  const element = document.createElement(name);
  if (classes.length > 0) element.className = classes.join(" ");
  for (const [key, value] of Object.entries(attributes)) {
    if (typeof value === "function") element.addEventListener(key.slice(2), value);
    else if (value === true) element.setAttribute(key, "");
    else if (value !== false && value !== null && value !== undefined) {
      element.setAttribute(key, value);
    }
  }
  const none = [null, undefined, false, ""];
  element.append(...children.flat(2).filter((child) => !none.includes(child)));
  return element;
}

const SVG = "http://www.w3.org/2000/svg";

/** Paths of the icons, in a box of 24 by 24. */
const ICONS = {
  back: "M15 5l-7 7 7 7",
  down: "M12 5v14M6 13l6 6 6-6",
  download: "M12 4v11M7 11l5 5 5-5M5 20h14",
  edit: "M4 20h4L19 9l-4-4L4 16v4z",
  settings: "M4 8h9M17 8h3M4 16h3M11 16h9M15 5v6M9 13v6",
  share: "M12 15V4M8 8l4-4 4 4M6 12v8h12v-8",
  screen: "M4 5h16v11H4zM9 20h6",
  panel: "M4 5h16v14H4zM14 5v14",
  note: "M5 4h14v12l-4 4H5z",
};

/** Returns an icon, which assistive technology ignores. */
export function icon(name) {
  const svg = document.createElementNS(SVG, "svg");
  svg.setAttribute("viewBox", "0 0 24 24");
  svg.setAttribute("aria-hidden", "true");
  svg.setAttribute("class", "icon");
  const path = document.createElementNS(SVG, "path");
  path.setAttribute("d", ICONS[name]);
  svg.append(path);
  return svg;
}

/** Sets the text of an element if it is another one. */
export function say(element, words) {
  if (element.textContent !== words) element.textContent = words;
}

/** Says in which language the texts in an element are, if that is known. */
export function speak(element, language) {
  if (language && element.lang !== language) element.lang = language;
}

/** Returns a dialog that is removed from the document when it is closed. */
export function dialog(title, ...children) {
  const heading = h("h2", { id: "dialog-title" }, title);
  const close = h("button.quiet", { type: "button", onclick: () => element.close() }, "Close");
  const element = h(
    "dialog",
    { "aria-labelledby": "dialog-title", onclose: () => element.remove() },
    h("div.head", {}, heading, close),
    ...children,
  );
  document.body.append(element);
  element.showModal();
  return element;
}

/**
 * Gives `parent` one element for each item, in their order. The element of an item that was
 * there before is kept, and with it the focus.
 *
 * @param make  Returns the element of an item, which has a `key`.
 * @param update  Changes the element of an item that is another object than before.
 */
export function keyed(parent, items, make, update) {
  const known = parent.rows ?? new Map();
  const rows = new Map();
  let next = parent.firstChild;
  for (const item of items) {
    let row = known.get(item.key);
    if (!row) row = { element: make(item), item };
    else if (row.item !== item) update(row.element, item);
    rows.set(item.key, { element: row.element, item });
    if (row.element === next) next = next.nextSibling;
    else parent.insertBefore(row.element, next);
  }
  while (next) {
    const after = next.nextSibling;
    next.remove();
    next = after;
  }
  parent.rows = rows;
}
