// SPDX-License-Identifier: MPL-2.0

// Takes a picture of the page of the conversation that a service has.
//
//   node picture.mjs CHROMIUM ADDRESS SECONDS FILE.png
//
// SECONDS of the conversation are on the page, which is then in the middle of an utterance.

import fs from "node:fs";
import { Browser } from "../../service/tests/page/js/browser.mjs";

const [chromium, address, seconds, file] = process.argv.slice(2);

/** Time until the talk is so far, in milliseconds. */
const PATIENCE = 120_000;

// With a mouse, for only a reader without one sees the pencil beside each line.
const mouse = "primaryHoverType=2,availableHoverTypes=2,primaryPointerType=4,availablePointerTypes=4";
const browser = await Browser.start(chromium, [`--blink-settings=${mouse}`]);
const page = await browser.open(address, { width: 1200, height: 720 });
const live = await page.until("a conversation", () =>
  document.querySelector(".conversations a")?.href);
await page.go(live);
const end = Date.now() + PATIENCE;
for (;;) {
  const isThere = await page.run((wanted) => {
    const times = [...document.querySelectorAll(".lines time")];
    const [minutes, rest] = (times.at(-1)?.textContent ?? "0:0").split(":").map(Number);
    const open = document.querySelector(".interims .words")?.textContent ?? "";
    return minutes * 60 + rest >= wanted && open.split(" ").length >= 5;
  }, Number(seconds));
  if (isThere) break;
  if (Date.now() > end) throw new Error(`the talk never came to ${seconds} seconds`);
  await new Promise((done) => setTimeout(done, 20));
}
fs.writeFileSync(file, await page.picture());
await browser.stop();
process.exit(0);
