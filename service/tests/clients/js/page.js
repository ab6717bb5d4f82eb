// SPDX-License-Identifier: MPL-2.0

// An application of the official Web SDK: streams the microphone until enough words
// were heard, stops, and says what it was told. web_sdk.js bundles it.

"use strict";

/* global SETTINGS */
const { LINEAR16AudioStream, OpusAudioStream, Symbl } = require("@symblai/symbl-web-sdk");

const EVENTS = [
  "connected", "disconnected", "started_listening", "conversation_created",
  "processing_started", "processing_stopped", "conversation_completed",
  "speech_recognition", "message", "question", "action_item", "tracker", "error",
];

const calls = [];

function post(to, said) {
  return fetch(to, { method: "POST", body: typeof said === "string" ? said : JSON.stringify(said) });
}

function fail(why) {
  return post("/failed", `${(why && why.stack) || why} after ${JSON.stringify(calls)}`);
}

window.onerror = (message) => fail(message);
window.onunhandledrejection = (event) => fail(event.reason);

/** Waits until `test` holds, asked at every event. */
const waiting = [];
function until(test) {
  return new Promise((resolve) => waiting.push({ resolve, test }));
}

function note(handler, said) {
  calls.push({ handler, said: said === undefined ? null : said });
  waiting.filter(({ test }) => test()).forEach(({ resolve }) => resolve());
}

function words() {
  const finals = calls.filter(({ said }) => said && said.isFinal);
  return finals.map(({ said }) => said.punctuated.transcript.split(" ").length).reduce((a, b) => a + b, 0);
}

function audioStream() {
  if (SETTINGS.encoding === "LINEAR16") {
    return new LINEAR16AudioStream();
  }
  // The SDK's own settings, and where its encoder is.
  return new OpusAudioStream(undefined, {
    encoderComplexity: 6,
    encoderFrameSize: 20,
    encoderPath: `${location.origin}/encoder.js`,
    encoderSampleRate: 48000,
    maxFramesPerPage: 40,
    numberOfChannels: 1,
    rawOpus: true,
    streamPages: true,
  });
}

/** The microphone as it is for tones; for a voice, nothing: the SDK opens it by itself. */
async function toneStream() {
  if (SETTINGS.voice) {
    return undefined;
  }
  // What makes a voice clear would make the scripted recogniser's tones unclear.
  const audio = { autoGainControl: false, echoCancellation: false, noiseSuppression: false };
  const microphone = await navigator.mediaDevices.getUserMedia({ audio });
  const stream = audioStream();
  await stream.attachAudioDevice("default", microphone);
  return stream;
}

async function main() {
  const { appId, appSecret, basePath, encoding } = SETTINGS;
  const symbl = new Symbl({ appId, appSecret, basePath, logLevel: "error" });
  const connection = await symbl.createConnection(undefined, await toneStream());
  EVENTS.forEach((name) => connection.on(name, (said) => note(name, said)));
  // The SDK takes the rate from the device, which Opus need not have.
  const rate = encoding === "OPUS" ? { sampleRateHertz: 48000 } : {};
  await connection.startProcessing({
    config: { encoding, ...rate },
    insightTypes: ["question"],
    speaker: { name: "Anna", userId: "anna@example.com" },
    trackers: [{ name: "Report", vocabulary: ["w3"] }],
  });
  await until(() => words() >= SETTINGS.words);
  await connection.stopProcessing();
  await until(() => calls.some(({ handler }) => handler === "conversation_completed"));
  await post("/told", { calls, config: connection.config.config });
}

main().catch(fail);
