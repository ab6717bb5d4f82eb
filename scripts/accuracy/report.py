# SPDX-License-Identifier: MPL-2.0
"""Makes one report of all results, as Markdown."""

import itertools

import score


def number(value, digits=1):
    """Returns a figure as text, and a dash if there is none."""
    return "–" if value is None else f"{value:.{digits}f}"


def table(head, rows):
    """Returns the lines of a Markdown table. All columns but the first are figures."""
    lines = ["| " + " | ".join(head) + " |", "|---" + "|---:" * (len(head) - 1) + "|"]
    return lines + ["| " + " | ".join(row) + " |" for row in rows]


def rate_columns(figures):
    """Returns the columns of word error rates, by both ways to count."""
    spread = figures["wer_whisper_percent_range"]
    rate = number(figures["wer_whisper_percent"])
    if spread is not None:
        rate += f" ({number(spread[0])}–{number(spread[1])})"
    return [rate, number(figures["wer_own_percent"])]


def compared(results, engines, sets, columns):
    """Returns one row per part of the sets, with these columns of each engine.

    Engines that have no result of a part have dashes there.
    """
    rows = []
    for label, part in parts(results, engines, sets):
        known = {engine: columns(figures) for engine, figures in part.items()}
        width = len(next(iter(known.values())))
        of_engines = [known.get(engine, ["–"] * width) for engine in engines]
        rows.append([label, *itertools.chain(*of_engines)])
    return rows


def parts(results, engines, sets):
    """Yields the title of each part of the sets, and its figures by engine."""
    for name, title in sets:
        of_set = {e: results[e][name] for e in engines if name in results[e]}
        if not of_set:
            continue
        yield title, {engine: result["summary"] for engine, result in of_set.items()}
        groups = dict.fromkeys(
            recording["group"] for result in of_set.values() for recording in result["recordings"]
        )
        for group in groups if len(groups) > 1 else []:
            yield f"– {group}", {
                engine: score.summary([r for r in result["recordings"] if r["group"] == group])
                for engine, result in of_set.items()
            }


def markdown(results, engines, sets, facts):
    """Returns the report.

    `results` has, by engine and by set, `summary` and `recordings`; `sets` has a kind,
    a name and a title for each set, in order; `facts` are lines on the measurement.
    """
    lines = ["# Accuracy", ""] + [f"- {fact}" for fact in facts]
    of_kind = lambda kind: [(name, title) for of, name, title in sets if of == kind]

    def section(title, kind, heads, columns):
        counted = lambda figures: [str(figures["recordings"]), *columns(figures)]
        rows = compared(results, engines, of_kind(kind), counted)
        if rows:
            all_heads = ["recordings", *heads]
            head = ["set"] + [f"{engine}: {text}" for engine in engines for text in all_heads]
            lines.extend(["", f"## {title}", "", *table(head, rows)])

    section(
        "Words that are wrong, in per cent",
        "speech",
        ["Whisper's normaliser (95 % range)", "own scorer", "CPU s per s"],
        lambda f: [*rate_columns(f), number(f["cpu_seconds_per_audio_second"], 3)],
    )
    section(
        "Short words",
        "short",
        ["exact", "empty", "CPU s per s"],
        lambda f: [str(f["exact"]), str(f["empty"]), number(f["cpu_seconds_per_audio_second"], 3)],
    )
    section(
        "Words found where nothing is said",
        "noise",
        ["words", "CPU s per s"],
        lambda f: [str(f["words_heard"]), number(f["cpu_seconds_per_audio_second"], 3)],
    )
    failed = [
        f"- {engine}, {name}, {recording['name']}: {recording['error']}"
        for engine in engines
        for name, result in results[engine].items()
        for recording in result["recordings"]
        if recording["error"] is not None
    ]
    if failed:
        lines += ["", "## Recordings that failed", "", *failed]
    return "\n".join(lines) + "\n"


def errors(results, engines):
    """Returns all recordings with errors as text, the worst of each set first."""
    lines = []
    for engine in engines:
        for name, result in results[engine].items():
            wrong = [r for r in result["recordings"] if r["whisper"][0] > 0]
            for recording in sorted(wrong, key=lambda r: -r["whisper"][0]):
                count, words = recording["whisper"]
                lines.append(f"{engine} {name} {recording['name']}: {count} of {words}")
                lines.append(f"  said   {recording['reference']}")
                lines.append(f"  heard  {recording['text']}")
    return "\n".join(lines) + "\n"
