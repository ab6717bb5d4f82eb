// SPDX-License-Identifier: MPL-2.0

// Plays a scenario with the page in a headless Chromium.
//
//   node page.mjs CHROMIUM NODE_MODULES SCENARIO URL APP_ID APP_SECRET
//
// Prints lines of JSON: {"please": …} for what the service or its network is to do, which is
// answered with a line when it is done, and at the end a report. Exits with an error if the
// page does not do what it should.

import assert from "node:assert/strict";
import fs from "node:fs";
import path from "node:path";
import readline from "node:readline";
import { Browser } from "./browser.mjs";

const [chromium, modules, scenario, url, appId, appSecret] = process.argv.slice(2);

const answers = readline.createInterface({ input: process.stdin })[Symbol.asyncIterator]();

/** Asks the other side for something, and returns its answer when it is done. */
async function please(what, more = {}) {
  fs.writeSync(1, `${JSON.stringify({ please: what, ...more })}\n`);
  return JSON.parse((await answers.next()).value);
}

const say = (speaker, ...texts) => please("say", { speaker, texts });
const begin = (speaker, ...texts) => please("begin", { speaker, texts });

/** Functions that run in the page. */
const words = () => [...document.querySelectorAll(".lines .words")].map((one) => one.textContent);
const state = () => document.querySelector(".state")?.innerText.trim() ?? "";
const sees = (text) => document.body.innerText.includes(text);
const isLive = () => document.querySelector(".state")?.innerText.trim() === "Live";

const untilLive = (page) => page.until("Live", isLive);
const untilSaid = (page, text) => page.until(`the line ${text}`, (wanted) =>
  [...document.querySelectorAll(".lines .words")].some((one) => one.textContent === wanted), text);

/** Clicks on the button with this label. */
const push = (page, label) => page.until(`the button ${label}`, (wanted) => {
  const all = [...document.querySelectorAll("button, a.button, summary")];
  const found = all.filter((one) => one.offsetParent !== null && !one.disabled)
    .findLast((one) => one.textContent.trim() === wanted || one.title === wanted);
  found?.click();
  return found !== undefined;
}, label);

/** Fills the field with this id, as a person does. */
async function fill(page, id, text) {
  await page.until(`the field ${id}`, (wanted) => {
    const field = document.getElementById(wanted);
    field?.focus();
    field?.select?.();
    return document.activeElement === field;
  }, id);
  await page.type(text);
}

function none(page) {
  assert.deepEqual(page.complaints, []);
}

/** Lets no new connection of a page come through. */
const offline = (page, is) => page.send("Network.emulateNetworkConditions",
  { offline: is, latency: 0, downloadThroughput: -1, uploadThroughput: -1 });

const scenarios = {
  async live(browser) {
    const { conversation } = await say("Ada", "Good morning.", "Who has the budget report?");
    await say("Bob", "I will send the budget report tomorrow.");
    const page = await browser.open(`${url}/live/${conversation}`);
    await untilLive(page);
    const first = await page.run(words);
    assert.deepEqual(first, ["Good morning.", "Who has the budget report?",
      "I will send the budget report tomorrow."]);
    // An utterance is shown while it goes on, and finished lines stay where they are.
    await begin("Ada", "thank you very", "thank you very much");
    await page.until("the interim", () =>
      document.querySelector(".interims .words")?.textContent === "thank you very much");
    assert.equal(await page.run(() =>
      document.querySelector(".interims").getAttribute("aria-hidden")), "true");
    const place = () => page.run(() => [...document.querySelectorAll(".lines > li")].slice(-2)
      .map((one) => one.getBoundingClientRect().height));
    const before = await place();
    await begin("Ada", "thank you very much for all of it and for");
    await page.until("the longer interim", () =>
      document.querySelector(".interims .words")?.textContent.endsWith("and for"));
    assert.deepEqual(await place(), before);
    await say("Ada", "Thank you very much.");
    await untilSaid(page, "Thank you very much.");
    await page.until("no interim", () =>
      document.querySelectorAll(".interims .line").length === 0);
    // Each line says its speaker in a text, not only by its colour.
    const speakers = await page.run(() => [...document.querySelectorAll(".lines .line")]
      .map((one) => one.querySelector(".who, .unseen").textContent.replace(": ", "")));
    assert.deepEqual(speakers, ["Ada", "Ada", "Bob", "Ada"]);
    // A screen reader is told the new final only.
    assert.deepEqual(await page.run(() =>
      [...document.querySelectorAll("[role=log] p")].map((one) => one.textContent)),
    ["Ada: Thank you very much."]);
    // What was found, each with a link to its moment.
    const found = await page.run(() => Object.fromEntries(
      [...document.querySelectorAll(".panel section")].filter((one) => !one.hidden)
        .map((one) => [one.className, one.querySelectorAll("li").length])));
    assert.equal(found.talk, 2);
    assert.equal(found.question, 1);
    assert.equal(found.tracker, 2);
    assert.ok(found.action_item >= 1, JSON.stringify(found));
    await page.run(() => document.querySelector(".question .moment").click());
    await page.until("the moment", () => document.activeElement
      ?.querySelector(".words")?.textContent === "Who has the budget report?");
    assert.match(await page.run(() => document.title), /^Planning <b>2<\/b>$/);
    // The list has it too, first and live, and finds it.
    const list = await browser.open(`${url}/`);
    await list.until("the list", () => document.querySelector(".badge") !== null);
    await fill(list, "words", "no such title");
    await list.until("nothing", sees, "No conversation fits");
    await fill(list, "words", "Plann");
    await list.until("one", sees, "1 conversation, 1 live");
    await fill(list, "words", conversation);
    await list.until("by its id", (id) =>
      document.querySelector(".conversations a")?.getAttribute("href") === `/live/${id}`,
    conversation);
    // It ends.
    await please("leave", { speaker: "Ada" });
    await please("leave", { speaker: "Bob" });
    await page.until("the end", () =>
      document.querySelector(".state").innerText.trim() === "Ended");
    none(page);
    none(list);
    // What is over can still be read.
    const late = await browser.open(`${url}/live/${conversation}`);
    await untilSaid(late, "Thank you very much.");
    await late.until("the end", () =>
      document.querySelector(".state").innerText.trim() === "Ended");
    assert.equal((await late.run(words)).length, 4);
  },

  async cut(browser) {
    const { conversation } = await say("Ada", "Number 0.");
    const page = await browser.open(`${url}/live/${conversation}`);
    await untilLive(page);
    const all = ["Number 0."];
    for (let round = 1; round <= 5; round += 1) {
      await offline(page, round % 2 === 0);
      await please("cut");
      await page.until("that it is lost", () =>
        document.querySelector(".state").innerText.startsWith("Reconnecting"));
      for (const part of ["a", "b", "c"]) {
        const text = `Number ${round}${part}.`;
        all.push(text);
        await say("Ada", text);
      }
      await offline(page, false);
      await untilLive(page);
      await untilSaid(page, all.at(-1));
      const text = `After ${round}.`;
      all.push(text);
      await say("Ada", text);
      await untilSaid(page, text);
      assert.deepEqual(await page.run(words), all);
    }
    return { lines: all.length };
  },

  async restart(browser) {
    // The scripted recogniser: a speaker says numbers.
    const { conversation } = await say("Ada", "1 2 3");
    const page = await browser.open(`${url}/live/${conversation}`);
    await untilLive(page);
    const heard = () => page.run(() => [...document.querySelectorAll(".lines .words")]
      .map((one) => one.textContent.toLowerCase().replace(/[.?]/g, "")));
    assert.deepEqual(await heard(), ["w1 w2 w3"]);
    await please("down");
    await page.until("that it is lost", () =>
      document.querySelector(".state").innerText.startsWith("Reconnecting"));
    // What is written now waits.
    await fill(page, "note", "Written while it was away");
    await page.press("Enter");
    await page.until("one unsent", () =>
      document.querySelector(".state").innerText.includes("1 unsent"));
    const kept = await page.run(() => Object.keys(localStorage)
      .filter((key) => key.startsWith("symbl.outbox/")).length);
    assert.equal(kept, 1);
    await please("up");
    await page.until("that it is back", () =>
      !document.querySelector(".state").innerText.startsWith("Reconnecting"));
    await untilSaid(page, "Written while it was away");
    await page.until("nothing unsent", () => localStorage.length === 0);
    await say("Ada", "4 5 6");
    await page.until("what is said then", () =>
      document.querySelector(".lines").innerText.toLowerCase().includes("w4 w5 w6"));
    const all = ["w1 w2 w3", "written while it was away", "w4 w5 w6"];
    assert.deepEqual(await heard(), all);
    await page.reload();
    await page.until("the same after a reload", () =>
      document.querySelector(".lines")?.innerText.toLowerCase().includes("w4 w5 w6"));
    await untilLive(page);
    assert.deepEqual(await heard(), all);
    none(page);
  },

  async operators(browser) {
    const { conversation } = await say("Ada", "The meeting is on Tuesday.", "See you.");
    const one = await browser.open(`${url}/live/${conversation}`);
    const two = await browser.open(`${url}/live/${conversation}`);
    await untilLive(one);
    await untilLive(two);
    await one.click(".line .correct");
    await fill(one, "correction", "The meeting is on <i>Thursday</i>.");
    await one.press("Enter");
    for (const page of [one, two]) {
      await untilSaid(page, "The meeting is on <i>Thursday</i>.");
      await page.until("the mark", () => document.querySelector(".was summary") !== null);
      assert.match(await page.run(() => document.querySelector(".was q").textContent),
        /The meeting is on Tuesday\./);
    }
    await fill(two, "note", "Room 4 is booked");
    await two.press("Enter");
    await untilSaid(one, "Room 4 is booked");
    await untilSaid(two, "Room 4 is booked");
    // While the first page is away, the second one corrects again.
    await offline(one, true);
    await please("cut");
    await one.until("that it is lost", () =>
      document.querySelector(".state").innerText.startsWith("Reconnecting"));
    await untilLive(two);
    await two.run(() => document.querySelectorAll(".line .correct")[1].click());
    await fill(two, "correction", "See you there.");
    await push(two, "Save");
    await untilSaid(two, "See you there.");
    await offline(one, false);
    await untilSaid(one, "See you there.");
    const all = ["The meeting is on <i>Thursday</i>.", "See you there.", "Room 4 is booked"];
    assert.deepEqual(await one.run(words), all);
    assert.deepEqual(await two.run(words), all);
    // A page that comes now sees the same, and so does the API.
    const late = await browser.open(`${url}/live/${conversation}`);
    await untilSaid(late, "Room 4 is booked");
    assert.deepEqual(await late.run(words), all);
    const { messages } = await please("get",
      { path: `/v1/conversations/${conversation}/messages` });
    assert.deepEqual(messages.map((message) => message.text).slice(0, 2), all.slice(0, 2));
    none(one);
    none(two);
    none(late);
  },

  async share(browser) {
    const { conversation } = await say("Ada", "This is for some.");
    const page = await browser.open(`${url}/live/${conversation}`);
    await fill(page, "app-id", appId);
    await fill(page, "app-secret", "wrong");
    await page.press("Enter");
    await page.until("a refusal", () =>
      document.querySelector("[role=alert]").textContent.includes("redentials"));
    await fill(page, "app-secret", appSecret);
    await page.press("Enter");
    await untilSaid(page, "This is for some.");
    const stored = await page.run(() => [localStorage.length, sessionStorage.length,
      document.cookie, location.href]);
    assert.deepEqual(stored, [0, 1, "", `${url}/live/${conversation}`]);
    await push(page, "Share");
    await push(page, "Make a link");
    const link = await page.until("a link", () => document.getElementById("share-link").value);
    assert.match(link, /\/live\/\d+#token=[\w-]+\.[\w-]+\.[\w-]+$/);
    // Another person, with the link alone. No request has the token in its address.
    const asked = [];
    const guest = await browser.open(link, { before: (tab) => tab.listen((method, params) => {
      if (method === "Network.requestWillBeSent") asked.push(params.request.url);
      if (method === "Network.webSocketCreated") asked.push(params.url);
    }) });
    await untilSaid(guest, "This is for some.");
    await untilLive(guest);
    const token = link.split("#token=")[1];
    assert.ok(asked.length > 5);
    assert.ok(asked.every((each) => !each.includes(token)), asked.join("\n"));
    assert.equal(await guest.run(() => location.href), `${url}/live/${conversation}`);
    // The guest reads and cannot write.
    assert.equal(await guest.run(() =>
      document.querySelector(".compose").hidden && document.querySelector("h1") !== null
      && [...document.querySelectorAll(".correct")].every((one) => one.offsetParent === null)), true);
    await say("Ada", "And this too.");
    await untilSaid(guest, "And this too.");
    await guest.reload();
    await untilSaid(guest, "And this too.");
    none(guest);
    // Nothing else is to be seen with it.
    await guest.go(`${url}/`);
    await guest.until("a refusal", () => document.querySelector("#app-id") !== null
      || document.body.innerText.includes("only"));
    assert.equal(await guest.run(() => document.querySelectorAll(".conversations li").length), 0);
    // Downloads, which need the token in a header.
    if (await page.run(() => document.querySelector("dialog") !== null)) await push(page, "Close");
    const folder = fs.mkdtempSync(path.join(process.env.TMPDIR ?? "/tmp", "page-download-"));
    await browser.send("Browser.setDownloadBehavior",
      { behavior: "allow", downloadPath: folder, browserContextId: page.context });
    await push(page, "Download");
    const names = { srt: "SubRip", vtt: "WebVTT", txt: "Plain text", md: "Markdown", json: "JSON" };
    const files = {};
    for (const [format, name] of Object.entries(names)) {
      await page.run((wanted) => [...document.querySelectorAll(".choices button")]
        .find((one) => one.textContent.startsWith(wanted)).click(), name);
      const end = Date.now() + 20_000;
      for (;;) {
        const file = fs.readdirSync(folder).find((one) => one.endsWith(`.${format}`));
        // The browser may make the file before it writes it.
        files[format] = file ? fs.readFileSync(path.join(folder, file), "utf8") : "";
        if (files[format].includes("This is for some.")) break;
        const problem = await page.run(() =>
          document.querySelector("dialog .problem").textContent);
        assert.equal(problem, "");
        assert.ok(Date.now() < end, `no ${format}, but ${JSON.stringify(files[format])}`);
        await new Promise((done) => setTimeout(done, 20));
      }
    }
    fs.rmSync(folder, { recursive: true });
    assert.match(files.vtt, /^WEBVTT/);
    assert.match(files.srt, /^1\r?\n00:00:/);
    none(page);
  },

  async early(browser) {
    const { conversation } = await please("come", { speaker: "Ada" });
    const page = await browser.open(`${url}/live/${conversation}`);
    await untilLive(page);
    const name = `Conversation ${conversation}`;
    const titles = () => [document.querySelector("h1").textContent, document.title];
    assert.deepEqual(await page.run(titles), [name, name]);
    // Times have whole seconds: the first word has to be seconds after the begin.
    await new Promise((done) => setTimeout(done, 2_500));
    await say("Ada", "When do we talk about the budget?");
    await untilSaid(page, "When do we talk about the budget?");
    // What a page shows that is opened now is right.
    const late = await browser.open(`${url}/live/${conversation}`);
    await untilSaid(late, "When do we talk about the budget?");
    const times = () => [...document.querySelectorAll("main time")]
      .map((one) => one.textContent).filter(Boolean);
    const begins = () => document.querySelector("header time").dateTime;
    await late.until("times of the message and its findings", (wanted) =>
      [...document.querySelectorAll("main time")].filter((one) => one.textContent === wanted)
        .length >= 3, "0:00");
    const [shown, begin] = [await late.run(times), await late.run(begins)];
    await page.until(`times as of a late page: ${shown}`, (wanted) => {
      const mine = [...document.querySelectorAll("main time")].map((one) => one.textContent);
      return JSON.stringify(mine.filter(Boolean)) === JSON.stringify(wanted);
    }, shown);
    assert.equal(await page.run(begins), begin);
    // Another speaker brings a name.
    await please("come", { speaker: "Bob", title: "Planning <b>3</b>" });
    for (const one of [page, late]) {
      await one.until("the name", (wanted) => document.title === wanted
        && document.querySelector("h1").textContent === wanted, "Planning <b>3</b>");
      none(one);
    }
  },

  async deleted(browser) {
    const { conversation } = await say("Ada", "This is to be forgotten.");
    const page = await browser.open(`${url}/live/${conversation}`);
    const captions = await browser.open(`${url}/live/${conversation}?view=captions`);
    await untilSaid(page, "This is to be forgotten.");
    await captions.until("the caption", sees, "This is to be forgotten.");
    await please("leave", { speaker: "Ada" });
    await page.until("the end", () => document.querySelector(".state").innerText.trim() === "Ended");
    await please("delete");
    await page.until("that it is deleted", () =>
      document.querySelector(".state").innerText.startsWith("Deleted"));
    await captions.until("that it is deleted", () =>
      document.querySelector(".caption-state").innerText.startsWith("Deleted"));
    for (const one of [page, captions]) none(one);
    await page.reload();
    await page.until("nothing", () => document.querySelector("h1")?.textContent === "Nothing here");
  },

  async signin(browser) {
    const { conversation } = await say("Ada", "Before the end.");
    const page = await browser.open(`${url}/live/${conversation}`);
    const signIn = async () => {
      await fill(page, "app-id", appId);
      await fill(page, "app-secret", appSecret);
      await page.press("Enter");
    };
    await signIn();
    await untilSaid(page, "Before the end.");
    await untilLive(page);
    await page.run(() => {
      window.isTheSame = true;
    });
    await page.until("the question", () => document.querySelector("dialog #app-id") !== null);
    // Who closes the dialog finds it again.
    await push(page, "Close");
    await page.until("no dialog", () => document.querySelector("dialog") === null);
    await push(page, "Connect again");
    await page.until("the question", () => document.querySelector("dialog #app-id") !== null);
    await say("Ada", "After the end.");
    await signIn();
    await untilSaid(page, "After the end.");
    await untilLive(page);
    assert.deepEqual(await page.run(words), ["Before the end.", "After the end."]);
    assert.equal(await page.run(() => window.isTheSame), true, "it was not loaded anew");
    none(page);
  },

  async captions(browser) {
    const { conversation } = await say("Ada", "The first line.");
    await say("Bob", "The second line.");
    const query = "view=captions&size=8&lines=2&color=yellow&box=navy";
    const page = await browser.open(`${url}/live/${conversation}?${query}`,
      { width: 960, height: 540 });
    await page.until("both", () => document.querySelectorAll(".caption").length === 2);
    const looks = await page.run(() => {
      const [caption] = document.querySelectorAll(".caption");
      const { color, backgroundColor, fontSize } = getComputedStyle(caption);
      const transparent = ["html", "body", "#app", "main"].every((one) =>
        getComputedStyle(document.querySelector(one)).backgroundColor === "rgba(0, 0, 0, 0)");
      return { color, backgroundColor, fontSize, transparent, text: document.body.innerText.trim() };
    });
    assert.equal(looks.color, "rgb(255, 255, 0)");
    assert.equal(looks.backgroundColor, "rgb(0, 0, 128)");
    assert.equal(looks.fontSize, "43.2px");
    assert.equal(looks.transparent, true);
    assert.match(looks.text, /Ada: The first line\.\s+Bob: The second line\./);
    await begin("Ada", "and now");
    await page.until("the interim", () =>
      [...document.querySelectorAll(".caption")].at(-1).textContent === "Ada: and now");
    assert.equal(await page.run(() => document.querySelectorAll(".caption").length), 2);
    // The corner of the picture has nothing in it, also in a dark browser.
    await page.look({ width: 960, height: 540, dark: true });
    const png = (await page.picture({ transparent: true })).toString("base64");
    const alpha = await page.run(async (data) => {
      const bytes = Uint8Array.from(atob(data), (letter) => letter.charCodeAt(0));
      const image = await createImageBitmap(new Blob([bytes], { type: "image/png" }));
      const canvas = new OffscreenCanvas(image.width, image.height).getContext("2d");
      canvas.drawImage(image, 0, 0);
      const pixels = canvas.getImageData(0, 0, image.width, image.height).data;
      let opaque = 0;
      for (let at = 3; at < pixels.length; at += 4) if (pixels[at] > 0) opaque += 1;
      return [pixels[3], opaque / (pixels.length / 4)];
    }, png);
    assert.equal(alpha[0], 0);
    assert.ok(alpha[1] > 0.02 && alpha[1] < 0.5, `${alpha}`);
    none(page);
  },

  async accessible(browser) {
    const axe = fs.readFileSync(path.join(modules, "axe-core", "axe.min.js"), "utf8");
    const { conversation } = await say("Ada", "Who has the budget report?", "See you.");
    await say("Bob", "I will send the budget report tomorrow.");
    const checked = [];
    const check = async (page, what) => {
      // Past the page's policy, as a browser's extension is.
      await page.send("Runtime.evaluate", { expression: axe });
      const result = await page.run(async () => {
        const { violations, passes, incomplete } = await axe.run(document, {
          runOnly: ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"],
        });
        const short = (list) => list.map((one) => `${one.id}: ${one.help}: ${
          one.nodes.map((node) => node.html + node.failureSummary).slice(0, 3).join(" | ")}`);
        return { violations: short(violations), passes: passes.length,
          incomplete: incomplete.map((one) => one.id) };
      });
      assert.deepEqual(result.violations, [], what);
      assert.ok(result.passes > 10, what);
      checked.push(what);
    };
    for (const dark of [false, true]) {
      const tone = dark ? "dark" : "light";
      const page = await browser.open(`${url}/`, { dark });
      await page.until("the form", () => document.querySelector("#app-id") !== null);
      await check(page, `sign-in, ${tone}`);
      await fill(page, "app-id", appId);
      await fill(page, "app-secret", appSecret);
      await page.press("Enter");
      await page.until("the list", () => document.querySelector(".conversations li") !== null);
      await check(page, `list, ${tone}`);
      await page.go(`${url}/live/${conversation}`);
      await untilLive(page);
      if (!dark) {
        await fill(page, "note", "A note");
        await page.press("Enter");
        await page.click(".line .correct");
        await check(page, "correction");
        await fill(page, "correction", "Who has the whole budget report?");
        await page.press("Enter");
      }
      await page.until("the correction", () => document.querySelector(".was") !== null);
      await begin("Ada", dark ? "and then we" : "and then");
      await page.until("an interim", () => document.querySelector(".interim") !== null);
      await check(page, `conversation, ${tone}`);
      for (const dialog of ["Share", "Download", "Settings"]) {
        await push(page, dialog);
        await check(page, `${dialog}, ${tone}`);
        await page.press("Escape");
        await page.until("no dialog", () => document.querySelector("dialog") === null);
      }
      await page.look({ width: 360, height: 740, dark });
      await check(page, `phone, ${tone}`);
      const width = await page.run(() => document.documentElement.scrollWidth);
      assert.equal(width, 360, "a phone scrolls sideways");
      await push(page, "Findings");
      await check(page, `findings on a phone, ${tone}`);
      await push(page, "Findings");
      // As with a zoom of four: nothing is cut off, and nothing scrolls sideways.
      await page.look({ width: 320, height: 256, dark });
      assert.equal(await page.run(() => document.documentElement.scrollWidth), 320);
      none(page);
    }
    // With the keyboard alone: a conversation, a correction and back.
    const page = await browser.open(`${url}/`);
    await fill(page, "app-id", appId);
    await fill(page, "app-secret", appSecret);
    await page.press("Enter");
    await page.until("the list", () => document.querySelector(".conversations li") !== null);
    const tabTo = async (what, call) => {
      for (let times = 0; times < 40; times += 1) {
        if (await page.run(call)) return;
        await page.press("Tab");
      }
      assert.fail(`Tab does not come to ${what}`);
    };
    await tabTo("the conversation", () => document.activeElement.matches(".conversations a"));
    await page.press("Enter");
    await untilLive(page);
    await tabTo("a correction", () => document.activeElement.matches(".correct"));
    assert.equal(await page.run(() =>
      getComputedStyle(document.activeElement).opacity), "1");
    assert.notEqual(await page.run(() =>
      getComputedStyle(document.activeElement).outlineStyle), "none");
    await page.press("Enter");
    await page.until("the dialog", () => document.activeElement.id === "correction");
    await page.press("Escape");
    await page.until("the way back", () => document.activeElement.matches(".correct"));
    // What moves, rests for those who ask for it.
    await page.look({ reduced: true });
    assert.equal(await page.run(() =>
      getComputedStyle(document.querySelector(".state .mark")).animationName), "none");
    return { checked };
  },

  async hostile(browser) {
    const name = "<img src=x onerror=alert(1)>";
    const texts = ["<script>alert(2)</script>", "שלום, זה כתוב מימין לשמאל.",
      "Family: 👩‍👩‍👧‍👦 and a flag 🇨🇭.", "\u202ETxet eht sesrever siht\u202C then.",
      "Line&lt;br&gt;<br>one", "x".repeat(800), "{{7*7}} ${7*7} javascript:alert(3)"];
    const { conversation } = await say(name, ...texts);
    await say("Bob", "Fine.");
    const dialogs = [];
    const watch = { before: (tab) => tab.listen((method) => {
      if (method === "Page.javascriptDialogOpening") dialogs.push(method);
    }) };
    const page = await browser.open(`${url}/live/${conversation}`, watch);
    await untilSaid(page, "Fine.");
    assert.deepEqual(await page.run(() => [...document.querySelectorAll(".lines .words")]
      .slice(0, 4).map((one) => one.textContent)), texts.slice(0, 4));
    await untilSaid(page, texts.at(-1));
    assert.ok(await page.run((wanted) => [...document.querySelectorAll(".who bdi")]
      .some((one) => one.textContent === wanted), name));
    assert.deepEqual(await page.run(() => [document.querySelectorAll("img, iframe").length,
      [...document.scripts].map((one) => one.getAttribute("src")).join(),
      document.documentElement.scrollWidth <= innerWidth]), [0, "/web/main.js", true]);
    // What is written from right to left begins at the right.
    assert.deepEqual(await page.run(() => [...document.querySelectorAll(".lines .words")]
      .slice(0, 2).map((one) => getComputedStyle(one).direction)), ["ltr", "rtl"]);
    await fill(page, "note", "<svg onload=alert(4)>");
    await page.press("Enter");
    await untilSaid(page, "<svg onload=alert(4)>");
    // Markup that a mistake would let through: the browser refuses it.
    const refused = await page.run(() => {
      try {
        document.createElement("div").innerHTML = "<b>x</b>";
        return "nothing";
      } catch (error) {
        return error.name;
      }
    });
    assert.equal(refused, "TypeError");
    page.complaints.length = 0;
    const list = await browser.open(`${url}/`, watch);
    await list.until("the name", sees, name);
    await list.until("the title", sees, "Planning <b>2</b>");
    const captions = await browser.open(`${url}/live/${conversation}?view=captions&lines=9`, watch);
    await captions.until("the name", sees, `${name}: `);
    for (const tab of [list, captions]) {
      assert.equal(await tab.run(() => document.querySelectorAll("img, iframe, b:not(.caption b)")
        .length), 0);
      none(tab);
    }
    assert.deepEqual(dialogs, []);
    // Another page may not have this one in a frame.
    const frames = await page.run(() => new Promise((done) => {
      const frame = document.createElement("iframe");
      frame.src = "/";
      frame.onload = () => done(frame.contentDocument === null);
      document.body.append(frame);
      setTimeout(() => done(true), 2_000);
    }));
    assert.equal(frames, true);
  },

  async long(browser) {
    const { conversation } = await say("Ada", "The very last message.");
    const begun = Date.now();
    const page = await browser.open(`${url}/live/${conversation}`);
    await page.until("a first line", () => document.querySelector(".lines .words") !== null);
    const firstLine = Date.now() - begun;
    await untilLive(page);
    const whole = Date.now() - begun;
    await untilSaid(page, "The very last message.");
    assert.equal(await page.run(() =>
      document.querySelector(".lines > li").getAttribute("aria-setsize") >= 10_001), true);
    await page.send("Performance.enable", { timeDomain: "threadTicks" });
    const costs = async () => Object.fromEntries((await page.send("Performance.getMetrics"))
      .metrics.map((metric) => [metric.name, metric.value]));
    const before = await costs();
    const frames = [];
    const traced = new Promise((done) => {
      browser.ontold = (method, params) => {
        if (method === "Tracing.dataCollected") {
          frames.push(...params.value.filter((event) => event.name === "DrawFrame"));
        } else if (method === "Tracing.tracingComplete") done();
      };
    });
    await browser.send("Tracing.start", { transferMode: "ReportEvents",
      traceConfig: { includedCategories: ["disabled-by-default-devtools.timeline.frame"] } });
    const scrolled = await page.run(async () => {
      const box = document.querySelector(".box");
      const gaps = [];
      let most = 0;
      let blank = 0;
      let last = await new Promise(requestAnimationFrame);
      for (let step = 0; step < 600; step += 1) {
        box.scrollTop += step < 300 ? -240 : step < 450 ? -4_000 : 900;
        const now = await new Promise(requestAnimationFrame);
        gaps.push(now - last);
        last = now;
        if (step % 20 === 0) {
          most = Math.max(most, document.querySelectorAll("*").length);
          // Rows are where the reader looks, in each frame.
          const { top, bottom } = box.getBoundingClientRect();
          const inSight = [...document.querySelectorAll(".lines > li")].filter((row) => {
            const place = row.getBoundingClientRect();
            return place.bottom > top && place.top < bottom;
          });
          if (inSight.length < 3) blank += 1;
        }
      }
      gaps.sort((a, b) => a - b);
      const at = (share) => Number(gaps[Math.floor(gaps.length * share)].toFixed(1));
      return { p50: at(0.5), p95: at(0.95), p99: at(0.99), most, blank };
    });
    await browser.send("Tracing.end");
    await traced;
    const after = await costs();
    const cost = (name) => Number(((after[name] - before[name]) * 1000 / 600).toFixed(2));
    const times = frames.map((event) => event.ts / 1000).sort((a, b) => a - b);
    const gaps = times.slice(1).map((time, at) => time - times[at]).sort((a, b) => a - b);
    const gap = (share) => gaps.length
      ? Number(gaps[Math.floor(gaps.length * share)].toFixed(1)) : null;
    assert.ok(scrolled.most < 1_500, `${scrolled.most} elements`);
    assert.equal(scrolled.blank, 0);
    // Back at the end, and the end stays in sight.
    await page.click(".jump");
    await say("Ada", "One more.");
    await untilSaid(page, "One more.");
    assert.ok(await page.run(() => {
      const rows = document.querySelectorAll(".lines > li");
      return rows[rows.length - 1].getBoundingClientRect().bottom <= innerHeight;
    }));
    // A reader who has scrolled up stays where the text is.
    await page.run(() => void (document.querySelector(".box").scrollTop -= 3_000));
    await page.until("the way back", () => !document.querySelector(".jump").hidden);
    const look = () => page.run(() => {
      const top = document.querySelector(".box").getBoundingClientRect().top;
      const row = [...document.querySelectorAll(".lines > li")]
        .find((one) => one.getBoundingClientRect().top >= top);
      return [row.querySelector(".words").textContent, row.getBoundingClientRect().top];
    });
    const [text, place] = await look();
    await say("Ada", "And another one.", "And one more.");
    await page.until("two new lines", () =>
      document.querySelector(".jump").textContent.includes("2 new lines"));
    const [same, now] = await look();
    assert.equal(same, text);
    assert.ok(Math.abs(now - place) < 2, `${place} ${now}`);
    // Also when all rows get another height, and when what is above them changes.
    const isThere = async (what) => {
      const [kept, top] = await look();
      const number = (line) => Number(/\d+/.exec(line)[0]);
      assert.ok(Math.abs(number(kept) - number(text)) <= 1, `${what}: ${text} ${kept} ${top}`);
    };
    await page.look({ width: 420, height: 800 });
    await page.until("narrow rows", () => document.querySelector(".box").clientWidth <= 420);
    await new Promise((done) => setTimeout(done, 100));
    await isThere("narrow");
    await page.look({ width: 1280, height: 800 });
    await page.until("wide rows", () => document.querySelector(".box").clientWidth > 420);
    await new Promise((done) => setTimeout(done, 100));
    await isThere("wide again");
    none(page);
    return {
      firstLine, whole, elements: scrolled.most,
      animationFrames: { p50: scrolled.p50, p95: scrolled.p95, p99: scrolled.p99 },
      drawnFrames: { count: times.length, p50: gap(0.5), p95: gap(0.95), p99: gap(0.99) },
      perFrame: { script: cost("ScriptDuration"), layout: cost("LayoutDuration"),
        style: cost("RecalcStyleDuration"), task: cost("TaskDuration") },
    };
  },

  async sink(browser) {
    const page = await browser.open(`${url}/`);
    await please("play");
    const live = await page.until("a conversation", () =>
      document.querySelector(".conversations a")?.href);
    await page.go(live);
    const interim = await page.until("an utterance that goes on", () =>
      document.querySelector(".interims .words")?.textContent);
    await page.until("the end", () =>
      document.querySelector(".state")?.innerText.trim() === "Ended");
    none(page);
    return {
      interim,
      words: await page.run(words),
      speaker: await page.run(() => document.querySelector(".lines .who").textContent),
      questions: await page.run(() =>
        [...document.querySelectorAll(".question .what")].map((one) => one.textContent)),
    };
  },

  async latency(browser) {
    const { conversation } = await say("Ada", "Ready.");
    const sizes = [];
    // When the service stored each, by its clock, which is this machine's.
    const stored = new Map();
    const begun = Date.now();
    const page = await browser.open(`${url}/live/${conversation}`, {
      before: (tab) => tab.listen((method, params) => {
        if (method === "Network.loadingFinished") sizes.push(params.encodedDataLength);
        const data = params.response?.payloadData ?? "";
        const event = /^42(\["message:received",.*)$/s.exec(data);
        if (method === "Network.webSocketFrameReceived" && event) {
          const [, payload] = JSON.parse(event[1]);
          if (payload.body.text.startsWith("Line")) stored.set(payload.body.text, payload.timestamp);
        }
      }),
    });
    await untilSaid(page, "Ready.");
    const first = Date.now() - begun;
    await untilLive(page);
    // Each line notes when the frame that shows it was made.
    await page.run(() => {
      window.shown = [];
      new MutationObserver((changes) => {
        for (const change of changes) {
          for (const node of change.addedNodes) {
            const text = node.querySelector?.(".words")?.textContent;
            // Other rows are none of those that are counted below.
            if (!text?.startsWith("Line")) continue;
            requestAnimationFrame(() => setTimeout(() => window.shown.push([text, Date.now()])));
          }
        }
      }).observe(document.querySelector(".lines"), { childList: true });
    });
    const count = 100;
    for (let n = 0; n < count; n += 1) {
      await say("Ada", `Line number ${n}.`);
      await untilSaid(page, `Line number ${n}.`);
    }
    await page.until("all lines", (wanted) =>
      new Set(window.shown.map(([text]) => text)).size >= wanted, count);
    // A row may be made again; the first time counts.
    const shown = new Map((await page.run(() => window.shown)).reverse());
    const late = [...stored].map(([text, at]) => shown.get(text) - at);
    assert.equal(late.length, count);
    assert.ok(late.every((each) => Number.isFinite(each)), `${late}`);
    late.sort((a, b) => a - b);
    const at = (share) => late[Math.floor(late.length * share)];
    return { first, weight: sizes.reduce((sum, size) => sum + size, 0),
      milliseconds: { p50: at(0.5), p95: at(0.95), most: late.at(-1) } };
  },
};

const browser = await Browser.start(chromium);
try {
  const report = await scenarios[scenario](browser);
  fs.writeSync(1, `${JSON.stringify({ scenario, ...report })}\n`);
} catch (error) {
  console.error(error);
  process.exitCode = 1;
}
await browser.stop();
process.exit();
