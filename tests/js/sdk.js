// SPDX-License-Identifier: MPL-2.0

// The official JavaScript SDK as an application uses it: gets a token, starts,
// streams a WAV file, stops, and prints all that came back as one JSON object.
//
//   node sdk.js startRealtimeRequest BASE_URL FILE.wav
//   node sdk.js createStream BASE_URL FILE.wav WORDS     stops after so many words
//
// tests/sink/sdk.rs runs it. NODE_PATH names the folder with the SDK.

"use strict";

const fs = require("fs");
const { SDK } = require("@symblai/symbl-js");

const [api, basePath, file, words] = process.argv.slice(2);

// 100 ms.
const CHUNK = 3200;

/** The samples of a 16 kHz mono 16 bit WAV file. */
function samples(path) {
  const wav = fs.readFileSync(path);
  const data = wav.indexOf("data");
  if (wav.toString("latin1", 0, 4) !== "RIFF" || data < 0) {
    throw new Error(`${path} is no WAV file`);
  }
  return wav.subarray(data + 8);
}

async function main() {
  const sdk = new SDK();
  // init() asks here for a token, whatever its own basePath says.
  sdk.oauth2.setBasePath(basePath);
  await sdk.init({
    appId: process.env.SYMBL_APP_ID,
    appSecret: process.env.SYMBL_APP_SECRET,
    basePath,
    tlsAuth: true,
  });

  const seen = { started: 0, transcripts: [], messages: [], insights: [], trackers: [] };
  let heardAll;
  const allHeard = new Promise((resolve) => { heardAll = resolve; });
  const options = {
    id: `sdk-${process.pid}`,
    insightTypes: ["question", "action_item"],
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
    handlers: {
      onStartedListening: () => { seen.started += 1; },
      onSpeechDetected: (result) => seen.transcripts.push(result),
      onMessageResponse: (messages) => {
        seen.messages.push(...messages);
        const text = seen.messages.map((message) => message.payload.content).join(" ");
        if (text.split(" ").length >= Number(words)) {
          heardAll();
        }
      },
      onInsightResponse: (insights) => seen.insights.push(...insights),
      onTrackerResponse: (response) => seen.trackers.push(...response.trackers),
    },
  };

  let connection;
  if (api === "createStream") {
    connection = await sdk.createStream(options);
    await connection.start();
  } else {
    // Else the SDK hangs up at recognition_stopped, before the last results,
    // and waits forever for the conversation_completed that follows them.
    options.disconnectOnStopRequest = false;
    options.disconnectOnStopRequestTimeout = 0;
    connection = await sdk.startRealtimeRequest(options);
  }
  const audio = samples(file);
  for (let at = 0; at < audio.length; at += CHUNK) {
    connection.sendAudio(audio.subarray(at, at + CHUNK));
  }
  if (api === "createStream") {
    await allHeard;
  }
  seen.stopped = await connection.stop();
  seen.conversationId = await connection.conversationId;
  // The SDK calls its handlers one turn after it has read a message.
  await new Promise((resolve) => setImmediate(resolve));
  fs.writeSync(1, JSON.stringify(seen));
  // The SDK's timer to renew the token would keep Node.js here for a day.
  process.exit(0);
}

main().catch((error) => {
  console.error("sdk.js:", error);
  process.exit(1);
});
