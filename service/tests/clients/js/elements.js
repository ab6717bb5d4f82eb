// SPDX-License-Identifier: MPL-2.0

// Submits a text as a job of the Async API, waits for it, and shows its conversation with
// the official React components in a page of jsdom. Prints what the page shows.
//
//   node elements.js BASE_URL

"use strict";

const { JSDOM } = require("jsdom");

const [basePath] = process.argv.slice(2);
const credentials = {
  appId: process.env.SYMBL_APP_ID,
  appSecret: process.env.SYMBL_APP_SECRET,
};

const messages = [
  ["Ada", "Can you send me the budget report?"],
  ["Grace", "I will check the budget report tomorrow."],
  ["Ada", "The budget report has to be there on Friday."],
].map(([name, content]) => ({
  payload: { content },
  from: { name, userId: `${name.toLowerCase()}@example.org` },
}));

/** The JSON of an answer that is no error. */
async function asked(path, options = {}) {
  const answer = await fetch(`${basePath}${path}`, {
    ...options,
    headers: { "Content-Type": "application/json", ...options.headers },
  });
  const text = await answer.text();
  if (!answer.ok) {
    throw new Error(`${path}: ${answer.status} ${text}`);
  }
  return JSON.parse(text);
}

/** Makes a conversation of the text, as the samples of the Async API do. */
async function submitted() {
  const body = JSON.stringify({ type: "application", ...credentials });
  const { accessToken } = await asked("/oauth2/token:generate", { method: "POST", body });
  const headers = { Authorization: `Bearer ${accessToken}` };
  const { conversationId, jobId } = await asked("/v1/process/text", {
    method: "POST",
    headers,
    body: JSON.stringify({ name: "Handover", detectPhrases: true, messages }),
  });
  for (;;) {
    const { status } = await asked(`/v1/job/${jobId}`, { headers });
    if (status === "completed") {
      return conversationId;
    }
    if (status === "failed") {
      throw new Error(`the job ${jobId} failed`);
    }
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
}

/** Shows a conversation, and returns the page when it has everything. */
async function shown(conversationId) {
  const page = new JSDOM("<!DOCTYPE html><div id=root></div>", {
    url: "http://localhost/",
    pretendToBeVisual: true,
  });
  const { window } = page;
  Object.assign(window, { fetch });
  for (const name of ["document", "navigator", "HTMLElement", "Node", "Element"]) {
    global[name] = window[name];
  }
  global.window = window;
  // The components write their state to the console.
  console.log = () => {};
  console.debug = () => {};
  const React = require("react");
  const ReactDOM = require("react-dom");
  const { SymblProvider, Topics, Transcripts } = require("@symblai/react-elements");
  const parts = [
    React.createElement(
      "div",
      { id: "transcript", key: 1 },
      React.createElement(Transcripts, { conversationId, highlightPhrases: ["action_phrase"] }),
    ),
    React.createElement(
      "div",
      { id: "topics", key: 2 },
      React.createElement(Topics, { conversationId, confidenceThreshold: 0 }),
    ),
  ];
  const config = { ...credentials, basePath };
  const root = window.document.getElementById("root");
  ReactDOM.render(React.createElement(SymblProvider, { config }, parts), root);
  const text = (id) => window.document.getElementById(id)?.textContent ?? "";
  const whole = () => {
    const last = messages[messages.length - 1].payload.content;
    return text("transcript").includes(last) && text("topics").includes("Budget report");
  };
  while (!whole()) {
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
  const highlighted = [...window.document.querySelectorAll(".action-phrase-highlighted")];
  return {
    transcript: text("transcript"),
    topics: text("topics"),
    highlighted: highlighted.map((mark) => mark.textContent),
  };
}

process.on("SIGTERM", () => {
  const root = global.document?.getElementById("root");
  console.error(`stuck: the page shows ${root?.innerHTML}`);
  process.exit(1);
});

submitted()
  .then(shown)
  .then((page) => {
    require("fs").writeSync(1, `${JSON.stringify(page)}\n`);
    process.exit(0);
  })
  .catch((error) => {
    console.error(error);
    process.exit(1);
  });
