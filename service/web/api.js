// SPDX-License-Identifier: MPL-2.0

/** Requests to the service that need no socket, and the token that they carry. */

const KEY = "symbl.token";

/** An answer of the service that is no success. */
export class Refusal extends Error {
  constructor(status, message) {
    super(message);
    this.status = status;
  }
}

/**
 * Takes the token out of the fragment of the address, which no server sees, and removes it
 * from there, so that it is in no history and no bookmark.
 */
export function takeToken(location, history, storage) {
  const given = new URLSearchParams(location.hash.slice(1)).get("token");
  if (given === null) return;
  keep(storage, given);
  history.replaceState(null, "", location.pathname + location.search);
}

/** Keeps a token for as long as the tab is open. */
export function keep(storage, token) {
  try {
    if (token) storage.setItem(KEY, token);
    else storage.removeItem(KEY);
  } catch {
    // A browser that stores nothing asks again after a reload.
  }
  kept = token;
}

let kept = null;

/** Returns the token of this tab, or `null`. */
export function token(storage) {
  try {
    return kept ?? storage.getItem(KEY);
  } catch {
    return kept;
  }
}

/**
 * Returns what a token says about itself. The service alone decides what it is good for;
 * this only spares a person buttons that would be refused.
 */
export function claims(token) {
  try {
    const [, body] = token.split(".");
    const json = atob(body.replace(/-/g, "+").replace(/_/g, "/"));
    return JSON.parse(json) ?? {};
  } catch {
    return {};
  }
}

/** Sends a request and returns the answer. Throws a `Refusal` unless it is a success. */
export async function request(path, { method = "GET", body, signal } = {}) {
  const headers = {};
  const mine = token(sessionStorage);
  if (mine) headers.Authorization = `Bearer ${mine}`;
  if (body !== undefined) headers["Content-Type"] = "application/json";
  const answer = await fetch(path, {
    method,
    headers,
    body: body === undefined ? undefined : JSON.stringify(body),
    signal,
    cache: "no-store",
    credentials: "omit",
    redirect: "error",
    referrerPolicy: "no-referrer",
  });
  if (answer.ok) return answer;
  let message = `The service answers ${answer.status}.`;
  try {
    message = (await answer.json()).message ?? message;
  } catch {
    // Not one of the service's own answers.
  }
  throw new Refusal(answer.status, message);
}

/** Returns the JSON that the service answers with. */
export async function json(path, options) {
  return (await request(path, options)).json();
}

/** Signs in with the credentials of an application. */
export async function signIn(appId, appSecret) {
  const body = { type: "application", appId, appSecret };
  const { accessToken } = await json("/oauth2/token:generate", { method: "POST", body });
  keep(sessionStorage, accessToken);
}

/** Returns the path of a conversation in the API. */
export function conversation(id, part = "") {
  return `/v1/conversations/${encodeURIComponent(id)}${part}`;
}

/** Returns the query for a page of the list of conversations. */
export function listQuery({ words = "", from = "", to = "", limit, offset = 0 }) {
  const query = new URLSearchParams({ limit, offset, order: "desc" });
  // The value of a filter stands in quotes, of which it must not contain its own.
  const value = words.trim().replaceAll('"', "").slice(0, 200);
  if (value !== "") {
    const name = `name=="*${value}*"`;
    query.set("filter", /^\d+$/.test(value) ? `id=="${value}",${name}` : name);
  }
  const day = (text, days) => {
    const [year, month, date] = text.split("-").map(Number);
    const time = new Date(year, month - 1, date + days);
    return Number.isNaN(time.getTime()) ? null : time.toISOString();
  };
  const [begin, end] = [day(from, 0), day(to, 1)];
  if (begin) query.set("startTime", begin);
  if (end) query.set("endTime", end);
  return query.toString();
}

/** Returns conversations with those first that are live, and the newest first of each. */
export function liveFirst(conversations) {
  const rank = (one) => (isLive(one) ? 0 : 1);
  return conversations
    .map((one, at) => [one, at])
    .sort(([a, i], [b, j]) => rank(a) - rank(b) || i - j)
    .map(([one]) => one);
}

/** Returns `true` if a conversation goes on. */
export function isLive(conversation) {
  return conversation.x_status === "active";
}

/** Returns the name of a file from its `Content-Disposition`. */
export function fileName(header, otherwise) {
  const [, encoded] = /filename\*=UTF-8''([^;\s]+)/i.exec(header ?? "") ?? [];
  const [, plain] = /filename="([^"]+)"/.exec(header ?? "") ?? [];
  for (const name of [encoded && decoded(encoded), plain]) {
    if (name && !/[/\\]/.test(name) && !name.startsWith(".")) return name;
  }
  return otherwise;
}

function decoded(text) {
  try {
    return decodeURIComponent(text);
  } catch {
    return null;
  }
}
