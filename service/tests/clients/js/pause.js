// SPDX-License-Identifier: MPL-2.0

// Streams a file, pauses, resumes on the same socket, and streams another.
//
//   node pause.js BASE_URL FIRST.wav SECOND.wav

"use strict";

const { Log, options, play, run, sdk } = require("./app");

const [service, first, second] = process.argv.slice(2);
const log = new Log();

run(async () => {
  const client = await sdk(service);
  const wanted = options(log);
  wanted.disconnectOnStopRequest = false;
  wanted.disconnectOnStopRequestTimeout = 300;
  const connection = await client.createStream(wanted);
  await connection.start();
  play(connection, first);
  await connection.stop();
  await connection.start();
  play(connection, second);
  await connection.stop();
  await log.heard(20);
  connection.close();
  return { conversationId: await connection.conversationId };
}, log);
