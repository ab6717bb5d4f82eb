// SPDX-License-Identifier: MPL-2.0

// A headless Chromium, driven over a pipe with the DevTools protocol: no port, and no
// package.

import { spawn } from "node:child_process";
import fs from "node:fs";
import os from "node:os";
import path from "node:path";

/** Time for one command and for one wait, in milliseconds. */
const PATIENCE = 30_000;

/** A browser. It ends with this process. */
export class Browser {
  /** Called with each event that is of no tab. */
  ontold = null;
  #child;
  #folder;
  #last = 0;
  #waiting = new Map();
  #pages = new Map();

  /** Starts the program `chromium`. */
  static async start(chromium, extra = []) {
    const browser = new Browser();
    browser.#folder = fs.mkdtempSync(path.join(os.tmpdir(), "page-test-"));
    browser.#child = spawn(chromium, [
      "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--disable-dev-shm-usage",
      "--no-first-run", "--disable-background-networking", "--disable-component-update",
      "--disable-sync", "--hide-scrollbars", "--remote-debugging-pipe",
      `--user-data-dir=${browser.#folder}`, ...extra, "about:blank",
    ], { stdio: ["ignore", "ignore", "ignore", "pipe", "pipe"], detached: true });
    browser.#child.on("error", (error) => {
      console.error(`${chromium}: ${error}`);
      process.exit(1);
    });
    process.on("exit", () => browser.#kill());
    let rest = "";
    browser.#child.stdio[4].setEncoding("utf8").on("data", (data) => {
      const parts = (rest + data).split("\0");
      rest = parts.pop();
      for (const part of parts) browser.#take(JSON.parse(part));
    });
    return browser;
  }

  /** Ends the browser. */
  async stop() {
    const gone = new Promise((done) => this.#child.once("exit", done));
    this.#kill();
    await gone;
    // Its last processes may still write there.
    fs.rmSync(this.#folder, { recursive: true, force: true, maxRetries: 10, retryDelay: 100 });
  }

  #kill() {
    try {
      process.kill(-this.#child.pid, "SIGKILL");
    } catch {
      // It is gone.
    }
  }

  #take(message) {
    if (message.id === undefined) {
      const { sessionId, method, params } = message;
      if (sessionId === undefined) this.ontold?.(method, params);
      else this.#pages.get(sessionId)?.told(method, params);
      return;
    }
    const waiting = this.#waiting.get(message.id);
    this.#waiting.delete(message.id);
    clearTimeout(waiting?.timer);
    if (message.error) waiting?.fail(new Error(`${waiting.method}: ${message.error.message}`));
    else waiting?.done(message.result);
  }

  /** Sends a command and returns its result. */
  send(method, params = {}, sessionId = undefined) {
    this.#last += 1;
    const id = this.#last;
    const text = JSON.stringify({ id, method, params, sessionId });
    return new Promise((done, fail) => {
      const timer = setTimeout(() => fail(new Error(`${method}: no answer`)), PATIENCE);
      this.#waiting.set(id, { method, done, fail, timer });
      this.#child.stdio[3].write(`${text}\0`);
    });
  }

  /** Opens a tab. Each has storage of its own unless it shares `context`. */
  async open(url, { width = 1280, height = 800, dark = false, context, before } = {}) {
    const own = context ?? (await this.send("Target.createBrowserContext")).browserContextId;
    const { targetId } = await this.send("Target.createTarget",
      { url: "about:blank", browserContextId: own, width, height });
    const { sessionId } = await this.send("Target.attachToTarget", { targetId, flatten: true });
    const page = new Page(this, sessionId, own, targetId);
    this.#pages.set(sessionId, page);
    await page.send("Page.enable");
    await page.send("Runtime.enable");
    await page.send("Log.enable");
    await page.send("Network.enable");
    await page.look({ width, height, dark });
    await before?.(page);
    await page.go(url);
    return page;
  }
}

/** A tab. */
export class Page {
  /** What its console and its policies complained about. */
  complaints = [];
  #browser;
  #session;
  #listeners = new Set();

  constructor(browser, session, context, target) {
    this.#browser = browser;
    this.#session = session;
    this.context = context;
    this.target = target;
  }

  send(method, params) {
    return this.#browser.send(method, params, this.#session);
  }

  /** Calls `listener` with each event. */
  listen(listener) {
    this.#listeners.add(listener);
  }

  told(method, params) {
    if (method === "Runtime.exceptionThrown") {
      const { text, exception } = params.exceptionDetails;
      this.complaints.push(`${text} ${exception?.description ?? ""}`);
    } else if (method === "Log.entryAdded" && params.entry.source !== "network") {
      this.complaints.push(params.entry.text);
    }
    for (const listener of this.#listeners) listener(method, params);
  }

  async go(url) {
    const loaded = this.#next("Page.loadEventFired");
    const { errorText } = await this.send("Page.navigate", { url });
    if (errorText) throw new Error(`${url}: ${errorText}`);
    await loaded;
  }

  async reload() {
    const loaded = this.#next("Page.loadEventFired");
    await this.send("Page.reload");
    await loaded;
  }

  #next(wanted) {
    return new Promise((done, fail) => {
      const timer = setTimeout(() => fail(new Error(`no ${wanted}`)), PATIENCE);
      const listener = (method, params) => {
        if (method !== wanted) return;
        clearTimeout(timer);
        this.#listeners.delete(listener);
        done(params);
      };
      this.#listeners.add(listener);
    });
  }

  async look({ width = 1280, height = 800, dark = false, reduced = false, scale = 1 }) {
    await this.send("Emulation.setDeviceMetricsOverride",
      { width, height, deviceScaleFactor: scale, mobile: false });
    await this.send("Emulation.setEmulatedMedia", { features: [
      { name: "prefers-color-scheme", value: dark ? "dark" : "light" },
      { name: "prefers-reduced-motion", value: reduced ? "reduce" : "no-preference" },
    ] });
  }

  /** Calls a function in the page, with arguments that are JSON, and returns what it returns. */
  async run(call, ...args) {
    const expression = `(${call})(...${JSON.stringify(args)})`;
    const { result, exceptionDetails } = await this.send("Runtime.evaluate",
      { expression, awaitPromise: true, returnByValue: true });
    if (exceptionDetails) {
      throw new Error(exceptionDetails.exception?.description ?? exceptionDetails.text);
    }
    return result.value;
  }

  /** Waits until a function in the page returns something true, and returns that. */
  async until(what, call, ...args) {
    const end = Date.now() + PATIENCE;
    for (;;) {
      const found = await this.run(call, ...args);
      if (found) return found;
      if (Date.now() > end) {
        const text = await this.run(() => document.body.innerText);
        throw new Error(`never: ${what}; complaints: ${this.complaints}; the page: ${text}`);
      }
      await new Promise((done) => setTimeout(done, 20));
    }
  }

  /** Clicks on the element that a selector finds first. */
  async click(selector) {
    const at = await this.run((wanted) => {
      const element = document.querySelector(wanted);
      element?.scrollIntoView({ block: "nearest" });
      const box = element?.getBoundingClientRect();
      return box && [box.x + box.width / 2, box.y + box.height / 2];
    }, selector);
    if (!at) throw new Error(`nothing to click: ${selector}`);
    for (const type of ["mouseMoved", "mousePressed", "mouseReleased"]) {
      await this.send("Input.dispatchMouseEvent",
        { type, x: at[0], y: at[1], button: "left", clickCount: 1 });
    }
  }

  /** Types a text where the focus is. */
  async type(text) {
    await this.send("Input.insertText", { text });
  }

  async press(key, modifiers = 0) {
    const text = key === "Enter" ? "\r" : undefined;
    const codes = { Enter: 13, Tab: 9, Escape: 27, End: 35, Home: 36, PageUp: 33, PageDown: 34 };
    for (const type of ["keyDown", "keyUp"]) {
      await this.send("Input.dispatchKeyEvent", {
        type, key, code: key, text: type === "keyDown" ? text : undefined, modifiers,
        windowsVirtualKeyCode: codes[key],
      });
    }
  }

  /** Takes a picture and returns its PNG. */
  async picture({ transparent = false } = {}) {
    if (transparent) {
      await this.send("Emulation.setDefaultBackgroundColorOverride",
        { color: { r: 0, g: 0, b: 0, a: 0 } });
    }
    const { data } = await this.send("Page.captureScreenshot", { format: "png" });
    return Buffer.from(data, "base64");
  }

  close() {
    return this.#browser.send("Target.closeTarget", { targetId: this.target });
  }
}
