// SPDX-License-Identifier: MPL-2.0

/** Begins: finds out which page the address means, and puts its parts together. */

import { followAbout } from "./about.js";
import { claims, conversation, json, takeToken, token } from "./api.js";
import { Connection, delay } from "./connection.js";
import { Outbox } from "./outbox.js";
import { store as makeStore } from "./store.js";
import { showCaptions } from "./views/captions.js";
import { showConversation } from "./views/conversation.js";
import { h } from "./views/dom.js";
import { showList } from "./views/list.js";
import { apply, settings } from "./views/settings.js";
import { signInDialog, signInForm } from "./views/signin.js";
import { io } from "./vendor/socket.io.esm.min.js";

const root = document.getElementById("app");
const clock = {
  now: () => Date.now(),
  random: () => Math.random(),
  after: (milliseconds, call) => setTimeout(call, milliseconds),
  cancel: (timer) => clearTimeout(timer),
};

/** Returns the storage that outlives the tab, if the browser has one. */
function storage() {
  try {
    return window.localStorage;
  } catch {
    return null;
  }
}

/** Asks for credentials, and then begins again. */
function askForCredentials(error) {
  const why = token(sessionStorage) ? error.message : "";
  root.className = "";
  root.replaceChildren(signInForm(why, begin));
  document.getElementById("app-id").focus();
}

/** Says in place of a page why there is none. */
function tell(title, words) {
  document.title = title;
  root.replaceChildren(h("main.middle", {},
    h("div.card", {}, h("h1", {}, title), h("p", {}, words),
      h("p", {}, h("a", { href: "/" }, "All conversations")))));
}

/** Returns what the API says about a conversation, as soon as it does. */
async function find(id) {
  for (let failures = 0; ; failures += 1) {
    try {
      return await json(conversation(id));
    } catch (error) {
      // 5xx and 429 pass, and so does a service that is being restarted.
      if (error.status && error.status < 500 && error.status !== 429) throw error;
      if (failures === 0) tell("Connecting…", "The service does not answer yet.");
      await new Promise((done) => setTimeout(done, delay(failures, Math.random)));
    }
  }
}

async function begin() {
  const path = /^\/live\/([^/]+)\/?$/.exec(location.pathname);
  if (!path) {
    showList(root, askForCredentials);
    return;
  }
  const id = decodeURIComponent(path[1]);
  let about;
  try {
    about = await find(id);
  } catch (error) {
    if (error.status === 401) askForCredentials(error);
    else if (error.status === 403) tell("Not for this link", error.message);
    else tell("Nothing here", error.message);
    return;
  }
  open(id, about);
}

/** Opens the page of a conversation and its socket. */
function open(id, about) {
  const session = about.x_sessionId;
  const store = makeStore((call) => requestAnimationFrame(call));
  const outbox = new Outbox(session, storage());
  store.dispatch({ type: "about", about });
  const mine = token(sessionStorage);
  const isShared = Boolean(mine) && claims(mine).conversation !== undefined;
  if (isShared) store.dispatch({ type: "readOnly" });
  const socket = io({
    autoConnect: false,
    reconnection: false,
    // A proxy that lets no WebSocket through is asked for long polling.
    transports: ["websocket", "polling"],
    tryAllTransports: true,
    auth: (done) => done({
      token: token(sessionStorage) ?? "",
      captions: true,
      name: settings().name || undefined,
    }),
  });
  const connection = new Connection({
    socket, session, outbox, clock, state: store.get, dispatch: store.dispatch,
    author: () => ({ agent_name: settings().name }),
    hasExpired: () => claims(token(sessionStorage) ?? "").exp * 1000 <= Date.now(),
  });
  const view = new URLSearchParams(location.search).get("view");
  const show = view === "captions" ? showCaptions : showConversation;
  show(root, {
    id,
    about,
    store,
    outbox,
    send(input) {
      const item = outbox.add(input, Date.now());
      connection.flush();
      return item !== null;
    },
    connect() {
      if (mayAsk()) {
        askAgain();
        return;
      }
      // What the service refuses once, it refuses again: begin anew.
      if (store.get().link.name === "refused") location.reload();
      connection.flush();
      connection.open();
    },
  });
  // The bearer of a link has no credentials.
  const mayAsk = () => store.get().link.signIn === true && !isShared;
  let isAsking = false;
  function askAgain() {
    if (isAsking) return;
    isAsking = true;
    const { why } = store.get().link;
    signInDialog(why, () => {
      connection.flush();
      connection.open();
    }, () => {
      isAsking = false;
    });
  }
  let link = null;
  store.listen((now) => {
    if (now.link === link) return;
    link = now.link;
    if (mayAsk()) askAgain();
  });
  followAbout({ store, clock, ask: () => json(conversation(id)) });
  addEventListener("online", () => connection.hurry());
  document.addEventListener("visibilitychange", () => {
    if (document.visibilityState === "visible") connection.hurry();
  });
  // Another tab has sent or queued a text of this session.
  addEventListener("storage", () => connection.flush());
  connection.open();
}

takeToken(location, history, sessionStorage);
apply();
begin();
