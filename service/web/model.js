// SPDX-License-Identifier: MPL-2.0

/**
 * What a page knows of one conversation, as a pure function of what it was told.
 *
 * `reduce(state, action)` returns the next state and changes nothing. No clock, no socket
 * and no document is here: times are arguments. The same events give the same state in
 * whatever order they come, however often, and from the history or live.
 *
 * @typedef {object} Line  One row of the transcript, in the order of the log.
 * @property {string} key       Its identity, the same for the live event and the history.
 * @property {number} seq       Number of its entry in the log.
 * @property {"message"|"note"|"joined"|"left"} kind
 * @property {string} speaker   Id of its speaker.
 * @property {string} text      The text as last corrected.
 * @property {string?} original The text that was recognised, if it was corrected.
 */

/** Number of colours that tell speakers apart; the style sheet has as many. */
export const COLOURS = 8;

/** Time after which an interim that is not updated any more is dropped, in milliseconds. */
export const INTERIM_LIFE = 15_000;

/** Events of the door that are content: they have a place in the log. */
export const CONTENT = [
  "message:received",
  "message:brain_received",
  "message:send",
  "message:send:sync",
  "conversation:member_joined",
  "conversation:member_left",
  "conversation:attributed",
];

/** Events of the door that tell what is so now. */
export const NEWS = ["caption:interim", "session:state", "session:expired"];

/** Returns the state of a page that was told nothing yet. */
export function initial() {
  return {
    session: null,
    // What the API says about it.
    about: null,
    status: null,
    isDeleted: false,
    speaking: null,
    link: { name: "connecting" },
    lines: [],
    findings: [],
    speakers: new Map(),
    corrections: new Map(),
    // Who has said a message, where that is another speaker than the message said.
    attributions: new Map(),
    interims: new Map(),
    outbox: [],
    language: null,
    delay: null,
    // All entries up to this one are here.
    known: 0,
    // The newest entry that is here.
    newest: 0,
    // Entries between the two may be missing.
    catchingUp: false,
    readOnly: false,
  };
}

/** Returns the state after an action. */
export function reduce(state, action) {
  switch (action.type) {
    case "events":
      return withEvents(state, action.events, action.now, true);
    case "history":
      return withHistory(state, action);
    case "about":
      return { ...state, about: action.about };
    case "joined":
      return joined(state, action.session);
    case "link":
      return linked(state, action.link);
    case "outbox":
      return { ...state, outbox: action.items };
    case "acknowledged":
      return acknowledged(state, action);
    case "readOnly":
      return { ...state, readOnly: true };
    case "tick":
      return withoutOldInterims(state, action.now);
    default:
      return state;
  }
}

/** Returns the state with a page of the history. */
function withHistory(state, { events, more, head, now }) {
  const next = withEvents(state, events, now, false);
  const last = events.reduce((most, event) => Math.max(most, number(event?.[1]?.seq) ?? 0), 0);
  // Entries without an event, such as the end of a conversation, count too.
  const until = more ? last : Math.max(last, number(head) ?? 0, next.newest);
  return { ...next, known: Math.max(state.known, until), catchingUp: Boolean(more) };
}

/** Returns the state of a page whose socket has joined the session. */
function joined(state, session) {
  return {
    ...state,
    session,
    status: text(session?.status) || "active",
    link: { name: "live" },
    catchingUp: true,
  };
}

function linked(state, link) {
  // Interims of a lost connection are never finished.
  const lost = link.name !== "live";
  return { ...state, link, interims: lost ? new Map() : state.interims };
}

/** Returns the state after the service has stored a text of this page. */
function acknowledged(state, { item, seq, from, now }) {
  const payload = { ...item, from, seq, event_id: String(seq), timestamp: now };
  const next = withEvents(state, [["message:send", payload]], now, false);
  // Texts of others may still be on their way with lower numbers.
  return { ...next, known: state.known };
}

function withEvents(state, events, now, live) {
  const draft = new Draft(state);
  for (const event of events) {
    if (Array.isArray(event) && event[1] !== null && typeof event[1] === "object") {
      draft.take(event[0], event[1], now, live);
    }
  }
  return draft.done(live);
}

function withoutOldInterims(state, now) {
  const kept = [...state.interims].filter(([, interim]) => now - interim.heard < INTERIM_LIFE);
  return kept.length === state.interims.size ? state : { ...state, interims: new Map(kept) };
}

/** A state that is being changed. It copies each part once, when it is changed first. */
class Draft {
  #state;
  #copied = new Set();
  #byId = null;
  // A speaker was heard earlier than was known.
  #isOtherOrder = false;

  constructor(state) {
    this.#state = { ...state };
  }

  /** Returns the new state. */
  done(live) {
    const state = this.#state;
    if (this.#isOtherOrder) this.#colour();
    if (live && !state.catchingUp) {
      state.known = Math.max(state.known, state.newest);
    }
    return state;
  }

  /** Takes one event in. */
  take(type, payload, now, live) {
    switch (type) {
      case "message:received":
        return this.#message(payload, live);
      case "message:brain_received":
        return this.#finding(payload);
      case "message:send":
      case "message:send:sync":
        return this.#sent(payload);
      case "conversation:member_joined":
      case "conversation:member_left":
        return this.#member(type.endsWith("joined"), payload);
      case "conversation:attributed":
        return this.#attributed(payload);
      case "caption:interim":
        return this.#interim(payload, now);
      case "session:state":
        this.#state.status = text(payload.status) || this.#state.status;
        this.#state.speaking = number(payload.speakers) ?? this.#state.speaking;
        this.#state.isDeleted ||= payload.deleted === true;
        return this.#quiet();
      case "session:expired":
        this.#state.status = "expired";
        this.#state.isDeleted ||= payload.deleted === true;
        return this.#quiet();
    }
  }

  /** Drops all interims if no speaker can finish them. */
  #quiet() {
    if (this.#state.status !== "active" && this.#state.interims.size > 0) {
      this.#state.interims = new Map();
    }
  }

  #message(payload, live) {
    const seq = number(payload.seq);
    const id = text(payload.message_id);
    if (seq === null || !id) return;
    const speaker = this.#speaker(payload.from, seq);
    const start = number(payload.start) ?? number(payload.timestamp) ?? 0;
    const end = Math.max(number(payload.end) ?? start, start);
    const added = this.#insert("lines", {
      key: `m${id}`,
      seq,
      kind: "message",
      id,
      speaker: speaker.id,
      start,
      end,
      at: number(payload.timestamp) ?? end,
      text: text(payload.body?.text),
      original: null,
      correctedBy: null,
    });
    if (!added) return;
    const correction = this.#state.corrections.get(id);
    if (correction) this.#correct(correction);
    this.#change("speakers").set(speaker.id, {
      ...this.#state.speakers.get(speaker.id),
      talked: speaker.talked + (end - start),
      messages: speaker.messages + 1,
      // The middle, since the first word of an utterance may seem to begin before the end
      // of the last one.
      finalised: Math.max(speaker.finalised, (start + end) / 2),
    });
    const interim = this.#state.interims.get(speaker.id);
    if (interim && this.#isFinal(interim)) {
      this.#change("interims").delete(speaker.id);
    }
    const at = number(payload.timestamp);
    if (live && at !== null) this.#state.delay = Math.max(0, at - end);
    const attribution = this.#state.attributions.get(id);
    if (attribution) this.#attribute(attribution);
  }

  /** Returns `true` if the final of an interim is here already. */
  #isFinal(interim) {
    const speaker = this.#state.speakers.get(interim.speaker);
    return interim.start !== null && interim.start < speaker.finalised;
  }

  #interim(payload, now) {
    const speaker = this.#speaker(payload.from);
    const words = text(payload.body?.text);
    const interim = {
      id: text(payload.utterance_id),
      speaker: speaker.id,
      text: words,
      stable: number(payload.stable) ?? 0,
      start: number(payload.start),
      heard: now,
    };
    if (this.#state.status !== "active" || this.#isFinal(interim)) return;
    if (words === "") {
      this.#change("interims").delete(speaker.id);
    } else {
      this.#change("interims").set(speaker.id, interim);
    }
  }

  #finding(payload) {
    const seq = number(payload.seq);
    const symbl = payload.symbl ?? {};
    if (seq === null) return;
    const said = list(payload.output?.responses).find((response) => response?.type === "text");
    const ids = [...list(symbl.message_ids), symbl.message_id];
    const id = text(symbl.id) || text(payload.request_id);
    const kind = text(symbl.kind) || "other";
    const messages = ids.map(text).filter(Boolean);
    const language = text(payload.brain_language).replaceAll("_", "-");
    if (/^[a-z]{2,3}(-[a-z0-9]{2,8})*$/i.test(language)) this.#state.language = language;
    this.#insert("findings", {
      key: `f${seq}/${kind}/${id}/${text(symbl.name)}/${text(symbl.value)}/${messages.join(",")}`,
      seq,
      kind,
      id,
      text: text(symbl.text) || text(said?.text),
      name: text(symbl.name),
      value: text(symbl.value),
      score: number(symbl.score),
      assignee: text(symbl.assignee?.name ?? symbl.assignee),
      due: text(symbl.due),
      messages,
    });
  }

  #sent(payload) {
    const seq = number(payload.seq);
    if (seq === null) return;
    const input = payload.input ?? { text: payload.body?.text };
    const by = this.#author(payload.from);
    if (input.corrects !== undefined && input.corrects !== null) {
      this.#newest(seq);
      return this.#correct({ id: text(input.corrects), seq, text: text(input.text), by });
    }
    const at = number(payload.timestamp) ?? 0;
    this.#insert("lines", {
      key: `n${seq}/${text(payload.client_id)}`,
      seq,
      kind: "note",
      speaker: "",
      by,
      start: at,
      end: at,
      at,
      text: text(input.text),
      original: null,
      correctedBy: null,
    });
  }

  /** Applies a correction, unless a later one of the same message is here. */
  #correct(correction) {
    const { id, seq } = correction;
    const before = this.#state.corrections.get(id);
    if (before && before.seq > seq) return;
    this.#change("corrections").set(id, correction);
    const at = this.#indexOf(id);
    if (at === null) return;
    const lines = this.#change("lines");
    const line = lines[at];
    const original = line.original ?? line.text;
    lines[at] = { ...line, text: correction.text, original, correctedBy: correction.by };
  }

  #attributed(payload) {
    const seq = number(payload.seq);
    if (seq === null) return;
    this.#newest(seq);
    const list = (value) => (Array.isArray(value) ? value : []);
    for (const one of list(payload.attributions)) {
      const id = text(one?.member?.id);
      if (!id) continue;
      const from = { agent_id: id, agent_name: one.member.name };
      const speaker = this.#speaker(from, seq).id;
      for (const message of list(one.message_ids).map(text)) {
        if (message) this.#attribute({ id: message, seq, speaker });
      }
    }
  }

  /** Gives a message to its speaker, unless a later entry says otherwise. */
  #attribute(attribution) {
    const { id, seq, speaker } = attribution;
    const before = this.#state.attributions.get(id);
    if (before && before.seq > seq) return;
    this.#change("attributions").set(id, attribution);
    const at = this.#indexOf(id);
    if (at === null || this.#state.lines[at].speaker === speaker) return;
    const lines = this.#change("lines");
    const line = lines[at];
    lines[at] = { ...line, speaker };
    for (const [who, sign] of [[line.speaker, -1], [speaker, 1]]) {
      const known = this.#state.speakers.get(who);
      this.#change("speakers").set(who, {
        ...known,
        talked: known.talked + sign * (line.end - line.start),
        messages: known.messages + sign,
      });
    }
  }

  #member(came, payload) {
    const seq = number(payload.seq);
    const member = payload.member ?? {};
    const id = text(member.id);
    if (seq === null || !id) return;
    const speaker = this.#speaker({ agent_id: id, agent_name: member.name }, seq);
    // A new name of a speaker that is here already.
    if (payload.renamed === true) return this.#newest(seq);
    const at = number(payload.timestamp) ?? 0;
    const added = this.#insert("lines", {
      key: `${came ? "j" : "l"}${seq}/${id}`,
      seq,
      kind: came ? "joined" : "left",
      speaker: speaker.id,
      start: at,
      end: at,
      at,
      text: "",
      original: null,
      correctedBy: null,
    });
    // An older event that comes later says nothing about now.
    if (!added || seq < speaker.movedAt) return;
    this.#change("speakers").set(id, {
      ...this.#state.speakers.get(id),
      present: came,
      movedAt: seq,
    });
    if (!came && this.#state.interims.has(id)) {
      this.#change("interims").delete(id);
    }
  }

  /** Returns the speaker of an event, and makes it known. */
  #speaker(from, seq = Infinity) {
    const name = text(from?.agent_name ?? from?.name);
    const id = text(from?.agent_id ?? from?.id) || name;
    const known = this.#state.speakers.get(id);
    if (known && (name === "" || name === known.name) && known.first <= seq) return known;
    const speaker = known
      ? { ...known, name: name || known.name, first: Math.min(known.first, seq) }
      : {
          id,
          name,
          first: seq,
          colour: this.#state.speakers.size % COLOURS,
          talked: 0,
          messages: 0,
          finalised: -Infinity,
          present: false,
          movedAt: 0,
        };
    if (speaker.first !== known?.first) this.#isOtherOrder = true;
    this.#change("speakers").set(id, speaker);
    return speaker;
  }

  /** Gives speakers their colours in the order of the log, so that all pages have the same. */
  #colour() {
    const speakers = this.#change("speakers");
    const order = [...speakers.values()].sort((a, b) => (a.first === b.first ? 0 : a.first - b.first));
    order.forEach((speaker, at) => {
      const colour = at % COLOURS;
      if (speaker.colour !== colour) speakers.set(speaker.id, { ...speaker, colour });
    });
  }

  #author(from) {
    return text(from?.agent_name ?? from?.name ?? from?.display_name);
  }

  /** Inserts in the order of the log. Returns `false` if it is here already. */
  #insert(part, item) {
    this.#newest(item.seq);
    const list = this.#state[part];
    const at = placeOf(list, item.seq);
    for (let same = at - 1; same >= 0 && list[same].seq === item.seq; same -= 1) {
      if (list[same].key === item.key) return false;
    }
    this.#change(part).splice(at, 0, item);
    if (part === "lines") this.#byId = null;
    return true;
  }

  #newest(seq) {
    this.#state.newest = Math.max(this.#state.newest, seq);
  }

  /** Returns the index of the line with the message `id`. */
  #indexOf(id) {
    const { lines } = this.#state;
    // Most corrections are of what was said last.
    for (let at = lines.length - 1; at >= Math.max(0, lines.length - 50); at -= 1) {
      if (lines[at].id === id) return at;
    }
    this.#byId ??= new Map(lines.map((line, at) => [line.id, at]));
    return this.#byId.get(id) ?? null;
  }

  /** Returns a part that may be changed. */
  #change(part) {
    if (!this.#copied.has(part)) {
      const before = this.#state[part];
      this.#state[part] = Array.isArray(before) ? before.slice() : new Map(before);
      this.#copied.add(part);
    }
    return this.#state[part];
  }
}

/** Returns the index behind all items up to `seq`. */
function placeOf(list, seq) {
  let [low, high] = [0, list.length];
  while (low < high) {
    const middle = (low + high) >>> 1;
    if (list[middle].seq <= seq) low = middle + 1;
    else high = middle;
  }
  return low;
}

function text(value) {
  if (typeof value === "string") return value;
  return typeof value === "number" && Number.isFinite(value) ? String(value) : "";
}

function list(value) {
  return Array.isArray(value) ? value : [];
}

function number(value) {
  return typeof value === "number" && Number.isFinite(value) ? value : null;
}

/** Returns the name to show for a speaker. */
export function nameOf(state, id) {
  return state.speakers.get(id)?.name || "Unknown speaker";
}

/** Returns the speakers who have said something, the one that talked longest first. */
export function talkTimes(state) {
  const talked = [...state.speakers.values()].filter((speaker) => speaker.messages > 0);
  const whole = talked.reduce((sum, speaker) => sum + speaker.talked, 0);
  return talked
    .map((speaker) => ({ ...speaker, share: whole > 0 ? speaker.talked / whole : 0 }))
    .sort((a, b) => b.talked - a.talked);
}

/** Returns the findings of each message. */
export function findingsByMessage(findings) {
  const found = new Map();
  for (const finding of findings) {
    for (const id of finding.messages) {
      const list = found.get(id) ?? [];
      list.push(finding);
      found.set(id, list);
    }
  }
  return found;
}

/**
 * Returns the topics as they are now: one for each text, with the newest score and every
 * message.
 */
export function topics(findings) {
  const found = new Map();
  for (const finding of findings) {
    if (finding.kind !== "topic") continue;
    const known = found.get(finding.text);
    const messages = new Set([...(known?.messages ?? []), ...finding.messages]);
    found.set(finding.text, { ...finding, key: `t${finding.text}`, messages: [...messages] });
  }
  return [...found.values()];
}

/** Returns `true` if no more content can come. */
export function isOver(state) {
  return state.status === "closed" || state.status === "expired";
}

/** Returns `true` if this page may send texts. */
export function maySend(state) {
  return !state.readOnly && !isOver(state);
}

/**
 * Returns the state of the connection in words, and a tone for its mark.
 *
 * @returns {{tone: "live"|"wait"|"over"|"bad", words: string}}
 */
export function connectionWords(state, now) {
  const { link } = state;
  const failed = state.outbox.filter((item) => item.failed).length;
  const waiting = state.outbox.length - failed;
  const rest = [];
  if (waiting > 0) rest.push(`${waiting} unsent`);
  if (failed > 0) rest.push(`${failed} not accepted`);
  const also = (words) => [words, ...rest].join(", ");
  if (state.isDeleted) {
    return { tone: "over", words: also("Deleted. It is gone when you leave this page") };
  }
  switch (link.name) {
    case "connecting":
      return { tone: "wait", words: also("Connecting…") };
    case "reconnecting": {
      const seconds = Math.ceil((link.at - now) / 1000);
      const when = seconds > 0 ? ` in ${seconds} s` : "…";
      return { tone: "wait", words: also(`Reconnecting${when}`) };
    }
    case "refused":
      return { tone: "bad", words: also(link.why || "The service refuses this page") };
    case "stopped":
      if (!isOver(state)) {
        return { tone: "bad", words: also(link.why || "The service has ended the connection") };
      }
  }
  if (isOver(state)) return { tone: "over", words: also("Ended") };
  if (state.catchingUp) return { tone: "wait", words: also("Loading what was said") };
  if (state.speaking === 0) return { tone: "wait", words: also("Waiting for a speaker") };
  return { tone: "live", words: also("Live") };
}
