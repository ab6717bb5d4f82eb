// SPDX-License-Identifier: MPL-2.0

// Streams a file, loses its connection, finds back by itself, and streams another.
//
//   node reconnect.js BASE_URL RELAY_URL FIRST.wav SECOND.wav

"use strict";

const { Log, options, play, please, run, sdk } = require("./app");

const [service, relay, first, second] = process.argv.slice(2);
const log = new Log();

run(async () => {
  const client = await sdk(service, relay);
  const wanted = options(log);
  wanted.reconnectOnError = true;
  wanted.noConnectionTimeout = 300;
  const connection = await client.createStream(wanted);
  await connection.start();
  play(connection, first);
  await log.heard(10);
  please("cut");
  // The SDK starts again by itself, with the options of before.
  await log.calledOften("onRequestStart", 2);
  play(connection, second);
  await connection.stop();
  await log.calledOften("onConversationCompleted", 1);
  return { conversationId: await connection.conversationId };
}, log);
