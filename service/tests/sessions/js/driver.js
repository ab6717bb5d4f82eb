// SPDX-License-Identifier: MPL-2.0

// Runs sockets of socket.io-client for a test, which writes commands as lines of JSON and
// reads what happens as lines of JSON.

"use strict";

const { io } = require("socket.io-client");
const readline = require("node:readline");

const sockets = new Map();
const followers = new Map();
const pages = new Map();

function tell(what) {
  process.stdout.write(`${JSON.stringify(what)}\n`);
}

function payload(given) {
  return given?.binary ? Buffer.from("binary") : given;
}

function setTimeoutOf(milliseconds, call) {
  return setTimeout(call, milliseconds);
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
  // A client that misses nothing: whenever it is connected, it joins and fetches what it does
  // not have. It counts and says nothing until it is asked.
  follow({ id, url, options, session, auth }) {
    const socket = io(url, { forceNew: true, transports: ["websocket"], auth, ...options });
    const follower = { socket, known: 0, seen: new Map(), live: [], doubled: 0, connects: 0 };
    sockets.set(id, socket);
    followers.set(id, follower);
    const about = () => ({ session_id: session, timestamp: Date.now() });
    const take = (item) => {
      if (follower.seen.has(item.event_id)) follower.doubled += 1;
      else follower.seen.set(item.event_id, item.input?.text ?? item.body?.text);
    };
    const fetch = (connection) => {
      const asked = { ...about(), after: follower.known };
      socket.emit("session:history:sync", asked, (answer) => {
        if (connection !== follower.connects) return;
        if (!answer.ok) setTimeout(() => fetch(connection), 50);
        else if (answer.more) fetch(connection);
      });
    };
    socket.on("connect", () => {
      follower.connects += 1;
      socket.emit("session:reconnect", about());
      fetch(follower.connects);
    });
    socket.on("session:history:synced", (items) => {
      for (const [, item] of items) take(item);
      const last = items.at(-1);
      if (last) follower.known = Math.max(follower.known, last[1].seq);
      follower.synced = follower.connects;
    });
    for (const name of ["message:send:sync", "message:received"]) {
      socket.on(name, (item) => {
        follower.live.push(item.seq);
        take(item);
      });
    }
  },
  report({ ids, tag }) {
    const reports = ids.map((id) => {
      const { seen, live, doubled, connects, synced, socket } = followers.get(id);
      const texts = [...seen].sort(([a], [b]) => Number(a) - Number(b)).map(([, text]) => text);
      const inOrder = live.every((seq, at) => at === 0 || live[at - 1] < seq);
      const ready = socket.connected && synced === connects;
      return { texts, live: live.length, inOrder, doubled, connects, ready };
    });
    tell({ id: "", type: "ack", tag, answer: reports });
  },
  // The connection, the state and the outbox of the service's own page, without views.
  page({ id, url, session }) {
    const parts = ["connection", "model", "outbox"].map((name) => import(`../../../web/${name}.js`));
    pages.set(id, Promise.all(parts).then(([{ Connection }, { initial, reduce }, { memory, Outbox }]) => {
      const page = { state: initial(), outbox: new Outbox(session, memory()) };
      const connection = new Connection({
        session,
        outbox: page.outbox,
        socket: io(url, {
          forceNew: true, autoConnect: false, reconnection: false, transports: ["websocket"],
        }),
        state: () => page.state,
        dispatch: (action) => {
          page.state = reduce(page.state, action);
        },
        author: () => ({ agent_id: null, agent_name: id, team_id: null }),
        hasExpired: () => false,
        clock: {
          now: () => Date.now(), random: Math.random, after: setTimeoutOf, cancel: clearTimeout,
        },
      });
      connection.open();
      return { ...page, connection, now: () => page.state };
    }));
  },
  async write({ id, texts }) {
    const { outbox, connection } = await pages.get(id);
    for (const text of texts) outbox.add({ text }, Date.now());
    connection.flush();
  },
  async shown({ id, tag }) {
    const { outbox, now } = await pages.get(id);
    tell({ id: "", type: "ack", tag, answer: {
      texts: now().lines.map(({ text }) => text), waiting: outbox.items().length,
    } });
  },
  connect({ id }) {
    sockets.get(id).connect();
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
