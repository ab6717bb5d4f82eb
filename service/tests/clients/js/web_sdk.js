// SPDX-License-Identifier: MPL-2.0

// Serves a page with the official Web SDK, opens it in a headless Chromium whose
// microphone is a WAV file, and prints what the page was told.
//
//   node web_sdk.js CHROMIUM FOLDER BASE_URL LINEAR16|OPUS FILE.wav WORDS [voice]
//
// FOLDER is for the browser. The page stops after so many words.

"use strict";

const { spawn } = require("child_process");
const fs = require("fs");
const http = require("http");
const path = require("path");
const esbuild = require("esbuild");

const [chromium, folder, basePath, encoding, file, words, voice] = process.argv.slice(2);

// The encoder of the SDK, which it would fetch from a host that may be gone.
const ENCODER = path.join(process.env.NODE_PATH, "symbl-opus-encdec", "dist");
const SCRIPTS = {
  "/encoder.js": path.join(__dirname, "encoder.js"),
  "/encoderWorker.min.js": path.join(ENCODER, "encoderWorker.min.js"),
  "/libopus-encoder.js": path.join(ENCODER, "libopus-encoder.js"),
  "/oggOpusEncoder.min.js": path.join(ENCODER, "oggOpusEncoder.min.js"),
};

const SETTINGS = {
  appId: process.env.SYMBL_APP_ID,
  appSecret: process.env.SYMBL_APP_SECRET,
  basePath,
  encoding,
  voice: Boolean(voice),
  words: Number(words),
};

/** The page's script: as an application is bundled that has the SDK from npm. */
function bundle() {
  const built = esbuild.buildSync({
    entryPoints: [path.join(__dirname, "page.js")],
    bundle: true,
    platform: "browser",
    define: { SETTINGS: JSON.stringify(SETTINGS) },
    nodePaths: [process.env.NODE_PATH],
    write: false,
    logLevel: "error",
  });
  return built.outputFiles[0].text;
}

let browser;

/** Ends the browser, with the processes that it has begun, and this one. */
function end(code) {
  try {
    process.kill(-browser.pid, "SIGKILL");
  } catch (error) {
    // It is gone.
  }
  process.exit(code);
}

function fail(why) {
  console.error(why);
  end(1);
}

function open(url) {
  browser = spawn(chromium, [
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--disable-dev-shm-usage",
    "--no-first-run", "--disable-background-networking", "--disable-component-update",
    "--disable-sync", "--remote-debugging-port=0", `--user-data-dir=${folder}`,
    "--use-fake-device-for-media-stream", "--use-fake-ui-for-media-stream",
    `--use-file-for-fake-audio-capture=${file}`,
    "--autoplay-policy=no-user-gesture-required",
    url,
  // A group of its own, and no pipe of ours that would outlive us in it.
  ], { detached: true, stdio: "ignore" });
  browser.on("error", (error) => fail(`${chromium}: ${error}`));
  browser.on("exit", (code, signal) => fail(`${chromium} ended: ${code} ${signal}`));
}

const script = bundle();

const server = http.createServer((request, response) => {
  const javascript = (text) => {
    response.setHeader("content-type", "text/javascript");
    response.end(text);
  };
  if (request.url === "/") {
    response.setHeader("content-type", "text/html");
    response.end("<!DOCTYPE html><title>Web SDK</title><script src=page.js></script>");
  } else if (request.url === "/page.js") {
    javascript(script);
  } else if (SCRIPTS[request.url]) {
    javascript(fs.readFileSync(SCRIPTS[request.url]));
  } else if (request.method === "POST") {
    const parts = [];
    request.on("data", (part) => parts.push(part));
    request.on("end", () => {
      const text = Buffer.concat(parts).toString();
      if (request.url === "/failed") {
        fail(text);
      }
      fs.writeSync(1, `${text}\n`);
      end(0);
    });
  } else {
    response.statusCode = 404;
    response.end();
  }
});

process.on("SIGTERM", () => fail("stuck: the page said nothing"));
// A secure context, in which there is a microphone.
server.listen(0, "localhost", () => open(`http://localhost:${server.address().port}/`));
