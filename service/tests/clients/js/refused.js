// SPDX-License-Identifier: MPL-2.0

// Starts with a value that the service refuses, and then with a good one.
//
//   node refused.js BASE_URL

"use strict";

const { Log, options, run, sdk } = require("./app");

const [service] = process.argv.slice(2);
const log = new Log();

run(async () => {
  const client = await sdk(service);
  const connection = await client.createStream(options(log));
  const refused = await connection.start({ noConnectionTimeout: 1801 }).then(() => null, (error) => error);
  await connection.start({ noConnectionTimeout: 0 });
  await connection.stop();
  return { refused, conversationId: await connection.conversationId };
}, log);
