#!/usr/bin/env python3
# SPDX-License-Identifier: MPL-2.0
"""Kills a node of a cluster in mid-speech, and counts every word afterwards.

run.sh runs this with a cluster whose nodes have the scripted recogniser: it knows 4,096 words
that are sounds, so that it is certain what was spoken. Three speakers are three symblsinks,
one on each node by way of HAProxy. For each there are a subscriber on another node, and what
the page does. In the middle one node is killed with SIGKILL. At the end the words of the
sinks, the subscribers, the pages and of the Conversation API of every node that lives are
compared with those that were spoken.

    NODE_OPTIONS="--recognizer scripted" examples/cluster/run.sh examples/cluster/demo.py

Exits with 1 if a word is missing or was told twice anywhere. SECONDS_OF_SPEECH is how long
each speaks. SYMBL_PLUGIN is libgstsymbl.so, if it is not installed. SINK_OPTIONS are further
properties of the sinks: with "buffer-duration=400 leaky=oldest" they keep little audio, and the
demo finds that words are missing.
"""

import array
import collections
import json
import math
import os
import pathlib
import re
import signal
import subprocess
import sys
import tempfile
import threading
import time
import urllib.error
import urllib.request
import wave

from listeners import Page, Subscriber, words_of

RATE = 16_000
SECONDS = float(os.environ.get("SECONDS_OF_SPEECH", "20"))
AT_A_TIME = 5  # words of an utterance, of 200 ms each, before a pause of 600 ms
SPEAKERS = ["Ada", "Bob", "Cleo"]
SOON = 20  # seconds; of an answer, and until words are told everywhere
LONGEST = 120 + 4 * SECONDS  # seconds; of the whole speech
TEXT = re.compile(r'[ ,]text=\(string\)(?:"((?:[^"\\]|\\.)*)"|([^,;]*))')
STATE = re.compile(r"symbl/state, .*?[ ,]state=\(string\)(\w+)")


def sound(word):
    """Returns a word as samples: six tones, each one of four. The scripted recogniser
    (crates/tones/src/sound.rs) reads them back."""
    length = RATE // 5
    samples = [0.0] * length
    for group in range(6):
        tone = 350 + 125 * (4 * group + (word >> (2 * group)) % 4)
        step, phase = math.tau * tone / RATE, math.pi * group * group / 6
        for i in range(length):
            samples[i] += math.sin(step * i + phase)
    edge = RATE * 0.002
    for i in range(length):
        to_edge = (min(i, length - 1 - i) + 0.5) / edge
        rise = (1 - math.cos(math.pi * to_edge)) / 2 if to_edge < 1 else 1
        samples[i] *= 3800 * rise
    return array.array("h", map(round, samples)).tobytes()


def speech(path, words):
    """Writes the words into a file."""
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(RATE)
        for n, word in enumerate(words, 1):
            file.writeframes(sound(word))
            if n % AT_A_TIME == 0:
                file.writeframes(bytes(2 * RATE * 6 // 10))


def get(url):
    with urllib.request.urlopen(url, timeout=SOON) as answer:
        return json.load(answer)


def node_of(base_url, connection_id):
    """Returns the node that the balancer has for a connection id."""
    try:
        with urllib.request.urlopen(f"{base_url}/v1/streaming/{connection_id}", timeout=SOON):
            raise SystemExit("demo: the service takes a stream without a WebSocket")
    except urllib.error.HTTPError as refused:
        return refused.headers["X-Node"]


class Sink(threading.Thread):
    """A pipeline with a symblsink, and what it posts."""

    def __init__(self, base_url, connection_id, name, file, environment):
        super().__init__(daemon=True)
        self.words, self.states = [], []
        self.log = collections.deque(maxlen=20)
        line = (
            f"filesrc location={file} ! wavparse ! symblsink base-url={base_url} "
            f"connection-id={connection_id} speaker-name={name} interim-results=false "
            + os.environ.get("SINK_OPTIONS", "")
        )
        self.pipeline = subprocess.Popen(
            ["setpriv", "--pdeathsig", "KILL", "gst-launch-1.0", "-m", *line.split()],
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env=environment,
        )
        self.start()

    def run(self):
        for line in self.pipeline.stdout:
            self.log.append(line)
            if "symbl/transcript" in line and "is-final=(boolean)true" in line:
                quoted, bare = TEXT.search(line).groups()
                self.words += words_of((quoted or bare).replace("\\", ""))
            elif state := STATE.search(line):
                self.states.append((time.monotonic(), state[1]))


def wait(what, is_true, seconds):
    """Waits until something is true, and ends the program if that takes too long."""
    end = time.monotonic() + seconds
    while not is_true():
        if time.monotonic() > end:
            sys.exit(f"demo: {what}: not within {seconds:.0f} s")
        time.sleep(0.05)


class Talk:
    """A speaker, with those who listen."""

    def __init__(self, number, name, page, nodes, own):
        self.name, self.page, self.own = name, page, own
        count = int(SECONDS / (AT_A_TIME * 0.2 + 0.6)) * AT_A_TIME
        self.spoken = [f"w{1000 * number + n}" for n in range(max(count, 2 * AT_A_TIME))]
        elsewhere = next(name for name in nodes if name != own)
        self.subscriber = Subscriber(nodes[elsewhere].url, page.session)

    def speak(self, folder):
        file = folder / f"{self.name}.wav"
        speech(file, [int(word[1:]) for word in self.spoken])
        return file

    def told(self, living):
        """Returns the words that each place has."""
        places = {
            "sink": self.sink.words,
            "subscriber": self.subscriber.words(),
            "page": self.page.words(),
        }
        for name, node in living.items():
            path = f"/v1/conversations/{self.page.conversation}/messages"
            texts = [message["text"] for message in get(node.url + path)["messages"]]
            places[f"REST {name}"] = [word for text in texts for word in words_of(text)]
        return places


Node = collections.namedtuple("Node", "url process")


def environment(folder):
    """Returns the environment of a pipeline. GStreamer loads every library that is in the
    folder of a plugin, so this one gets a folder of its own."""
    plugin = os.environ.get("SYMBL_PLUGIN")
    if not plugin:
        return None
    own = folder / "plugin"
    own.mkdir()
    (own / "libgstsymbl.so").symlink_to(pathlib.Path(plugin).resolve())
    path = os.pathsep.join(filter(None, [str(own), os.environ.get("GST_PLUGIN_PATH")]))
    return {**os.environ, "GST_PLUGIN_PATH": path, "GST_REGISTRY": str(folder / "registry.bin")}


def main():
    # So that pipelines and files are removed.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    base_url = os.environ["SYMBL_BASE_URL"]
    nodes = {}
    for line in os.environ["CLUSTER_NODES"].splitlines():
        name, url, process = line.split()
        nodes[name] = Node(url, int(process))
    # The page begins each conversation; its id decides on which node its speaker is.
    talks, free = [], set(nodes)
    for number in range(200):
        if not free:
            break
        page = Page(base_url, f"Talk {number + 1}")
        node = node_of(base_url, page.session)
        if node in free:
            free.remove(node)
            talks.append((page, node))
    if free:
        sys.exit(f"demo: the balancer has no conversation for {free}")
    victim = talks[0][1]
    # Nobody listens on the node that dies but the page, which comes back.
    places = {name: node for name, node in nodes.items() if name != victim}
    talks = [
        Talk(number, SPEAKERS[number], page, places, node)
        for number, (page, node) in enumerate(talks)
    ]
    with tempfile.TemporaryDirectory() as folder:
        own = environment(pathlib.Path(folder))
        files = [talk.speak(pathlib.Path(folder)) for talk in talks]
        for talk, file in zip(talks, files):
            talk.sink = Sink(base_url, talk.page.session, talk.name, file, own)
            print(f"{talk.name} speaks {len(talk.spoken)} words on {talk.own}", flush=True)
        first = talks[0]
        try:
            half = len(first.spoken) // 2
            wait("half of the words", lambda: len(first.sink.words) >= half, LONGEST)
            # The next utterance has begun by then.
            time.sleep(0.5)
            os.kill(nodes[victim].process, signal.SIGKILL)
            killed = time.monotonic()
            said = len(first.sink.words)
            print(f"{victim} is killed after {said} words of {first.name}", flush=True)
            for talk in talks:
                wait(f"all of {talk.name}", lambda: talk.sink.pipeline.poll() is not None, LONGEST)
        finally:
            for talk in talks:
                talk.sink.pipeline.kill()
                talk.sink.join(SOON)
    return report(talks, places, killed)


def report(talks, living, killed):
    """Prints what each place has of each speaker. Returns the exit status."""
    first = talks[0]
    states = [at - killed for at, state in first.sink.states if state == "listening"]
    back = [after for after in states if after > 0]
    if back:
        node = node_of(first.page.base_url, first.page.session)
        print(f"{first.name} was back on {node} after {back[0]:.1f} s")
    is_well = bool(back)
    for talk in talks:
        end = time.monotonic() + SOON
        while time.monotonic() < end:
            told = talk.told(living)
            if all(len(words) >= len(talk.spoken) for words in told.values()):
                break
            time.sleep(0.1)
        for place, words in told.items():
            verdict = "each once, in order"
            if words != talk.spoken:
                is_well = False
                counted = collections.Counter(words)
                missing = [word for word in talk.spoken if word not in counted]
                twice = [word for word, count in counted.items() if count > 1]
                verdict = f"WRONG: missing {missing}, more than once {twice}"
            print(f"  {talk.name:5} {place:12} {len(words):4} words  {verdict}")
        if talk.sink.pipeline.returncode != 0:
            is_well = False
            print(f"  {talk.name}: the pipeline failed:\n" + "".join(talk.sink.log))
    print(f"pages came back {sum(talk.page.comes_back for talk in talks)} times")
    print("no word is missing, none came twice" if is_well else "FAILED")
    return 0 if is_well else 1


if __name__ == "__main__":
    sys.exit(main())
