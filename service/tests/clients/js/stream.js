// SPDX-License-Identifier: MPL-2.0

// Starts, streams a WAV file, stops.
//
//   node stream.js startRealtimeRequest BASE_URL FILE.wav [patient]
//   node stream.js createStream BASE_URL FILE.wav

"use strict";

const { Log, options, play, run, sdk } = require("./app");

const [api, service, file, patient] = process.argv.slice(2);
const log = new Log();

run(async () => {
  const client = await sdk(service);
  const wanted = options(log);
  // The service does neither, and says so in a message that the SDK does not know.
  wanted.config.sentiment = true;
  wanted.config.detectPhrases = true;
  if (patient) {
    wanted.disconnectOnStopRequest = false;
    wanted.disconnectOnStopRequestTimeout = 0;
  }
  const connection = await client[api](wanted);
  if (api === "createStream") {
    await connection.start();
  }
  play(connection, file);
  const stopped = await connection.stop();
  // createStream() puts a handler of its own in the place of the application's onClose.
  await log.calledOften(api === "createStream" ? "onConversationCompleted" : "onClose", 1);
  return { stopped, conversationId: await connection.conversationId };
}, log);
