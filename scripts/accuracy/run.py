# SPDX-License-Identifier: MPL-2.0
"""Measures how many words the engines get wrong, through the service and the element.

For each engine and each set it starts `symbl-service` and the example `transcribe`,
which plays the recordings of the set through `symblsink` into that service. The table
goes to standard output; everything is below the output folder.
"""

import argparse
import contextlib
import json
import os
import pathlib
import platform
import queue
import signal
import subprocess
import sys
import threading
import time

import report
import score
import sets

# How long a service may take to load its model, in seconds.
START_S = 120
STOP_S = 20
# PocketSphinx takes a second of processor time to begin a recording, so that all
# recordings would take an hour. It plays every third of a large set.
EVERY = {"pocketsphinx": 3}
# How long one engine may take for one set.
SET_S = 1800


class Failure(Exception):
    """An engine has no result for a set."""


class NotStarted(Failure):
    """The service does not start with an engine."""


def say(text):
    """Prints a line on standard error."""
    print(f"accuracy: {text}", file=sys.stderr, flush=True)


def recognizer_options(engine):
    """Returns the options of the service for an engine.

    `whisper:base` is the engine `whisper` with the model `base`.
    """
    name, _, model = engine.partition(":")
    if name == "whisper":
        return ["--recognizer", name, "--model", model or "tiny.en"]
    return ["--recognizer", name]


def clean_environment():
    """Returns the environment without variables that change service or element."""
    return {name: value for name, value in os.environ.items() if not name.startswith("SYMBL_")}


class Service:
    """A service that runs with one engine, on a free port of this machine."""

    def __init__(self, program, engine, log):
        self.log = log
        # Nothing is refused: the sets are played as fast as the service takes them. And
        # it abandons no stream whose last results take long on a busy machine.
        command = [program, "--listen", "127.0.0.1:0", "--max-load", "0"]
        command += ["--max-drain-time", str(SET_S)]
        with open(log, "wb") as errors:
            self.process = subprocess.Popen(
                [*command, *recognizer_options(engine)],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=errors,
                env=clean_environment(),
                text=True,
            )

    def __enter__(self):
        lines = queue.SimpleQueue()

        def read():
            for line in self.process.stdout:
                lines.put(line)
            lines.put(None)

        self.reader = threading.Thread(target=read, daemon=True)
        self.reader.start()
        end = time.monotonic() + START_S
        try:
            while (line := lines.get(timeout=max(0, end - time.monotonic()))) is not None:
                if line.startswith("listening on "):
                    self.url = line.split()[2]
                    return self
            why = "it ended"
        except queue.Empty:
            why = f"it did not listen within {START_S} s"
        self.stop()
        said = self.log.read_text(errors="replace").strip()
        raise NotStarted(f"symbl-service did not start: {why}; it wrote: {said or 'nothing'}")

    def __exit__(self, *_):
        self.stop()

    def stop(self):
        """Stops the service, by force if it takes too long."""
        self.process.terminate()
        try:
            self.process.wait(STOP_S)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        self.reader.join()
        self.process.stdout.close()


def transcribe(program, service, played, rows, output, side_by_side):
    """Plays the list of these rows, and returns the runner's lines by name, and its sum."""
    command = [program, "--base-url", service.url, "--side-by-side", str(side_by_side)]
    if pathlib.Path("/proc/self/stat").exists():
        command += ["--service-pid", str(service.process.pid)]
    with open(output, "wb") as file:
        try:
            done = subprocess.run(
                [*command, played],
                stdin=subprocess.DEVNULL,
                stdout=file,
                stderr=subprocess.PIPE,
                env=clean_environment(),
                timeout=SET_S,
                check=False,
            )
        except subprocess.TimeoutExpired as error:
            raise Failure(f"not done after {SET_S} s") from error
    lines = [json.loads(line) for line in output.read_text(encoding="utf-8").splitlines()]
    by_name = {line["name"]: line for line in lines if "name" in line}
    total = [line for line in lines if "files" in line]
    if not total or len(by_name) != len(rows):
        said = done.stderr.decode(errors="replace").strip()
        count = f"{len(by_name)} of {len(rows)} recordings"
        raise Failure(f"{count} came back, status {done.returncode}: {said}")
    return by_name, total[0]


def rows_for(engine, name, made, everything):
    """Returns the recordings of a set that an engine plays, with their whole paths."""
    lines = made.read_text(encoding="utf-8").splitlines()
    rows = [json.loads(line) for line in lines]
    for row in rows:
        row["path"] = str(made.parent.absolute() / row["path"])
    thinned = sets.SETS[name].large and not everything
    return rows[:: EVERY.get(engine, 1)] if thinned else rows


def measure(args, engine, name, made, words_of):
    """Returns the result of an engine for a set."""
    folder = args.output / "results" / engine.replace(":", "-").replace("/", "_")
    folder.mkdir(parents=True, exist_ok=True)
    began = time.monotonic()
    rows = rows_for(engine, name, made, args.all)
    played, output = folder / f"{name}.list.jsonl", folder / f"{name}.jsonl"
    played.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    with Service(args.service, engine, folder / f"{name}.log") as service:
        lines, total = transcribe(args.transcribe, service, played, rows, output, args.side_by_side)
    recordings = [score.scored(row, lines[row["name"]], words_of) for row in rows]
    return {
        "summary": score.summary(recordings, total.get("cpu_seconds")),
        "wall_seconds": time.monotonic() - began,
        "recordings": recordings,
    }


def one_line(result):
    """Returns a line on the result of a set."""
    figures = result["summary"]
    wrong = report.number(figures["wer_whisper_percent"])
    heard, minutes = figures["words_heard"], figures["audio_seconds"] / 60
    took = f"{minutes:.1f} min of audio in {result['wall_seconds']:.0f} s"
    return f"{wrong} % of the words wrong, {heard} heard, {took}"


def add_thirds(results):
    """Adds the prompts that the sets on channels are made of, as they were recorded."""
    chosen = set(sets.some_prompt_names())
    for name in [name for name in ["d16", "d8"] if name in results]:
        recordings = [r for r in results[name]["recordings"] if r["name"] in chosen]
        results[f"{name}-third"] = {
            "summary": score.summary(recordings),
            "recordings": recordings,
        }


def titles(names):
    """Returns kind, name and title of each set, with the thirds before the channels."""
    rows = []
    for name in names:
        rows.append((sets.SETS[name].kind, name, sets.SETS[name].title))
    full = [name for name in names if name in ["d16", "d8"]]
    at = max((names.index(name) for name in full), default=-1) + 1
    thirds = [("speech", f"{name}-third", f"a third of {name}") for name in full]
    return rows[:at] + thirds + rows[at:]


def facts(args):
    """Returns what the figures were measured with."""
    commit = "unknown"
    with contextlib.suppress(OSError, subprocess.CalledProcessError):
        ask = ["git", "-C", sets.REPOSITORY, "describe", "--always", "--dirty", "--abbrev=12"]
        commit = subprocess.run(ask, capture_output=True, check=True, text=True).stdout.strip()
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    now = time.strftime("%Y-%m-%d %H:%M UTC", time.gmtime())
    return [
        f"measured {now}, commit {commit}",
        f"{processor()}, {cores} cores; {args.side_by_side} recordings side by side",
        "as fast as the service takes the audio; finals are counted",
    ]


def processor():
    """Returns the name of the processor."""
    with contextlib.suppress(OSError):
        for line in pathlib.Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.machine()


def arguments():
    """Returns the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--service", required=True, help="the program symbl-service")
    parser.add_argument("--transcribe", required=True, help="the example transcribe")
    parser.add_argument("--output", required=True, type=pathlib.Path, help="folder for everything")
    parser.add_argument("--sets", default="", help=f"of: {' '.join(sets.SETS)}; default: all")
    parser.add_argument("--engines", default="", help="default: whisper pocketsphinx")
    parser.add_argument("--side-by-side", type=int, default=os.cpu_count() or 1, metavar="N")
    parser.add_argument("--all", action="store_true", help="all recordings with slow engines too")
    args = parser.parse_args()
    args.engines = args.engines.split() or ["whisper", "pocketsphinx"]
    args.sets = args.sets.split() or list(sets.SETS)
    unknown = [name for name in args.sets if name not in sets.SETS]
    if unknown:
        parser.error(f"no set {' '.join(unknown)}; the sets are {' '.join(sets.SETS)}")
    return args


def main():
    """Measures, writes the report and returns the exit status."""
    # Ends what it started, also by `kill`.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    args = arguments()
    args.output.mkdir(parents=True, exist_ok=True)
    words_of = score.whisper_words()
    maker = sets.Maker(args.output / "audio")
    began = time.monotonic()
    try:
        made = {name: maker.make(name) for name in args.sets}
    except sets.Missing as missing:
        say(missing)
        return 1
    say(f"made the audio of {len(args.sets)} sets in {time.monotonic() - began:.0f} s")
    results, status = {engine: {} for engine in args.engines}, 0
    for engine in args.engines:
        for name in args.sets:
            try:
                results[engine][name] = measure(args, engine, name, made[name], words_of)
                say(f"{engine} {name}: {one_line(results[engine][name])}")
            except NotStarted as failure:
                say(f"{engine} is left out: {failure}")
                status = 1
                break
            except Failure as failure:
                say(f"{engine} {name} is left out: {failure}")
                status = 1
        add_thirds(results[engine])
    results = {engine: of for engine, of in results.items() if of}
    engines = list(results)
    if not engines:
        return 1
    told = facts(args)
    text = report.markdown(results, engines, titles(args.sets), told)
    (args.output / "report.md").write_text(text, encoding="utf-8")
    (args.output / "errors.txt").write_text(report.errors(results, engines), encoding="utf-8")
    everything = {"facts": told, "engines": results}
    (args.output / "report.json").write_text(json.dumps(everything, indent=1), encoding="utf-8")
    print(text, end="")
    say(f"all took {time.monotonic() - began:.0f} s; see report.md and errors.txt in {args.output}")
    failed = sum(r["summary"]["failed"] for of in results.values() for r in of.values())
    return 1 if failed else status


if __name__ == "__main__":
    sys.exit(main())
