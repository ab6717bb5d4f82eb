// SPDX-License-Identifier: MPL-2.0

// What the applications here have in common: an SDK with a token, a log of
// everything that its handlers were told, and audio from a file.

"use strict";

const fs = require("fs");
const { SDK } = require("@symblai/symbl-js");

// 100 ms.
const CHUNK = 3200;

// Every handler that the SDK knows of, but onClose.
const HANDLERS = [
  "onStartedListening", "onRequestStart", "onSpeechDetected", "onMessageResponse",
  "onInsightResponse", "onTrackerResponse", "onTopicResponse", "onDataReceived",
  "onRequestStop", "onConversationCompleted", "onRequestError", "onReconnectFail",
];

/** What handlers were told, in order. */
class Log {
  constructor() {
    this.calls = [];
    this.waiting = [];
  }

  /** Takes a call down. */
  note(handler, said) {
    this.calls.push({ handler, said: said === undefined ? null : said });
    this.waiting = this.waiting.filter((looks) => !looks());
  }

  /** Handlers for the SDK. */
  handlers() {
    const entries = HANDLERS.map((name) => [name, (said) => this.note(name, said)]);
    // An event with half of Node.js behind it.
    const onClose = ({ code, reason }) => this.note("onClose", { code, reason });
    return { ...Object.fromEntries(entries), onClose };
  }

  /** What a handler was told. */
  of(handler) {
    return this.calls.filter((call) => call.handler === handler).map((call) => call.said);
  }

  /** Waits until a handler was told so often. */
  calledOften(handler, times) {
    return this.until(() => this.of(handler).length >= times);
  }

  /** Waits until so many words stand in messages. */
  heard(words) {
    const texts = () => this.of("onMessageResponse").flat().map((message) => message.payload.content);
    return this.until(() => texts().join(" ").split(" ").filter(Boolean).length >= words);
  }

  until(test) {
    return new Promise((resolve) => {
      const looks = () => {
        if (test()) {
          resolve();
          return true;
        }
        return false;
      };
      if (!looks()) {
        this.waiting.push(looks);
      }
    });
  }
}

/** An SDK that has a token; `basePath` is where its sockets go. */
async function sdk(service, basePath = service) {
  const made = new SDK();
  // init() asks here for a token, whatever its own basePath says.
  made.oauth2.setBasePath(service);
  await made.init({
    appId: process.env.SYMBL_APP_ID,
    appSecret: process.env.SYMBL_APP_SECRET,
    basePath,
    tlsAuth: true,
  });
  return made;
}

/** Options of a stream of 16 kHz samples. */
function options(log) {
  return {
    id: `sdk-${process.pid}`,
    insightTypes: ["question", "action_item", "topic"],
    trackers: [{ name: "Report", vocabulary: ["report by friday", "w3"] }],
    config: {
      meetingTitle: "SDK",
      confidenceThreshold: 0.5,
      languageCode: "en-US",
      encoding: "LINEAR16",
      sampleRateHertz: 16000,
      interimResults: true,
    },
    speaker: { userId: "anna@example.com", name: "Anna" },
    handlers: log.handlers(),
  };
}

/** The samples of a 16 kHz mono 16 bit WAV file. */
function samples(path) {
  const wav = fs.readFileSync(path);
  const data = wav.indexOf("data");
  if (wav.toString("latin1", 0, 4) !== "RIFF" || data < 0) {
    throw new Error(`${path} is no WAV file`);
  }
  return wav.subarray(data + 8);
}

/** Sends a file in messages of 100 ms. */
function play(connection, path) {
  const audio = samples(path);
  for (let at = 0; at < audio.length; at += CHUNK) {
    connection.sendAudio(audio.subarray(at, at + CHUNK));
  }
}

/** Asks the test to do something. */
function please(what) {
  fs.writeSync(1, `${JSON.stringify({ please: what })}\n`);
}

/** Runs an application, which gives what the test is to know. */
function run(main, log) {
  const stuck = setTimeout(() => {
    console.error("stuck after", JSON.stringify(log.calls));
    process.exit(1);
  }, 140000);
  main().then(async (result) => {
    clearTimeout(stuck);
    // The SDK calls its handlers one turn after it has read a message.
    await new Promise((resolve) => setImmediate(resolve));
    fs.writeSync(1, `${JSON.stringify({ ...result, calls: log.calls })}\n`);
    // The SDK's timer to renew the token would keep Node.js here for a day.
    process.exit(0);
  }).catch((error) => {
    console.error(error);
    process.exit(1);
  });
}

module.exports = { Log, options, play, please, run, sdk };
