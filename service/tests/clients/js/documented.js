// SPDX-License-Identifier: MPL-2.0

// Runs the JavaScript that a document has.
//
//   node documented.js CODE

"use strict";

const fs = require("fs");

const [code] = process.argv.slice(2);
const AsyncFunction = (async () => {}).constructor;

new AsyncFunction("require", code)(require).then(
  () => {
    fs.writeSync(1, `${JSON.stringify({ ran: true })}\n`);
    process.exit(0);
  },
  (error) => {
    console.error(error);
    process.exit(1);
  },
);
