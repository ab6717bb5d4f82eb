// SPDX-License-Identifier: MPL-2.0

// One SDK speaks and another one listens, by the API that is asked for.
//
//   node subscribe.js subscribeToConnection|subscribeToStream BASE_URL FILE.wav

"use strict";

const { Log, options, play, run, sdk } = require("./app");

const [api, service, file] = process.argv.slice(2);
const log = new Log();

run(async () => {
  const speaker = await sdk(service);
  const wanted = options(log);
  const connection = await speaker.createStream(wanted);
  await connection.start();

  const listener = await sdk(service);
  const handlers = {
    onSubscribe: () => log.note("onSubscribe"),
    onMessage: (message) => log.note("onMessage", message),
    onClose: () => log.note("onClose of the subscriber"),
  };
  await listener[api](connection.connectionId, { handlers });
  await log.calledOften("onMessage", 1);

  play(connection, file);
  await connection.stop();
  await log.calledOften("onClose of the subscriber", 1);
  return { conversationId: await connection.conversationId };
}, log);
