// SPDX-License-Identifier: MPL-2.0

// Runs sockets of socket.io-client for a test, which writes commands as lines of JSON and
// reads what happens as lines of JSON.

"use strict";

const { io } = require("socket.io-client");
const readline = require("node:readline");

const sockets = new Map();

function tell(what) {
  process.stdout.write(`${JSON.stringify(what)}\n`);
}

function payload(given) {
  return given?.binary ? Buffer.from("binary") : given;
}

const commands = {
  // `auths` are those of one connection after the other.
  open({ id, url, options, auths }) {
    const left = [...auths];
    const auth = (give) => give(left.length > 1 ? left.shift() : left[0]);
    const socket = io(url, { forceNew: true, autoConnect: false, auth, ...options });
    sockets.set(id, socket);
    socket.on("connect", () => {
      const transport = socket.io.engine.transport.name;
      tell({ id, type: "connect", sid: socket.id, recovered: socket.recovered, transport });
      socket.io.engine.on("upgrade", (to) => tell({ id, type: "upgrade", transport: to.name }));
    });
    socket.on("disconnect", (reason) => {
      tell({ id, type: "disconnect", reason, active: socket.active });
    });
    socket.on("connect_error", ({ message }) => {
      tell({ id, type: "connect_error", message, active: socket.active });
    });
    socket.onAny((name, ...args) => tell({ id, type: "event", name, args }));
    socket.connect();
  },
  // The argument `{"binary": true}` stands for bytes.
  emit({ id, name, args, tag }) {
    const all = args.map(payload);
    if (tag !== null) all.push((answer) => tell({ id, type: "ack", tag, answer }));
    sockets.get(id).emit(name, ...all);
  },
  // Sends numbered texts at once, each with an acknowledgement.
  texts({ id, session, from, until, tag }) {
    let left = until - from;
    const failed = [];
    for (let n = from; n < until; n += 1) {
      const text = { session_id: session, timestamp: Date.now(), input: { text: `text ${n}` } };
      sockets.get(id).emit("message:send", { ...text, client_id: `${id}-${n}` }, (answer) => {
        if (!answer.ok) failed.push([n, answer.error_code]);
        left -= 1;
        if (left === 0) tell({ id, type: "ack", tag, answer: { failed } });
      });
    }
  },
  // Loses the connection, as a network does.
  cut({ id }) {
    sockets.get(id).io.engine.close();
  },
  close({ id }) {
    sockets.get(id).disconnect();
  },
};

readline.createInterface({ input: process.stdin }).on("line", (line) => {
  const command = JSON.parse(line);
  commands[command.do](command);
}).on("close", () => process.exit(0));
