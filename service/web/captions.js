// SPDX-License-Identifier: MPL-2.0

/** What the caption view shows, and how its address says so. Pure. */

/** Returns what the query of a caption view asks for; what it does not say has a default. */
export function wanted(search, supports) {
  const query = new URLSearchParams(search);
  const size = Number.parseFloat(query.get("size"));
  const lines = Number.parseInt(query.get("lines"), 10);
  const colour = (name, otherwise) => {
    const given = (query.get(name) ?? "").trim();
    const candidates = [given, /^[0-9a-f]{3,8}$/i.test(given) ? `#${given}` : ""];
    return candidates.find((one) => one !== "" && supports(one)) ?? otherwise;
  };
  return {
    // In hundredths of the height of the view, so that it looks the same on every screen.
    size: Number.isFinite(size) ? Math.min(40, Math.max(1, size)) : 6,
    lines: Number.isFinite(lines) ? Math.min(20, Math.max(1, lines)) : 3,
    color: colour("color", "#ffffff"),
    background: colour("background", "transparent"),
    box: colour("box", "rgba(0, 0, 0, 0.75)"),
    names: query.get("names") !== "0",
    align: query.get("align") === "center" ? "center" : "start",
  };
}

/**
 * Returns the last utterances, the newest last: finals, and interims behind them. There are
 * at most `most`.
 */
export function lastLines(state, most) {
  const finals = [];
  for (let at = state.lines.length - 1; at >= 0 && finals.length < most; at -= 1) {
    const line = state.lines[at];
    if (line.kind === "message") {
      finals.unshift({ key: line.key, speaker: line.speaker, text: line.text, isFinal: true });
    }
  }
  const interims = [...state.interims.values()].map((interim) => ({
    key: `i${interim.speaker}`,
    speaker: interim.speaker,
    text: interim.text,
    isFinal: false,
  }));
  return [...finals, ...interims].slice(-most);
}
