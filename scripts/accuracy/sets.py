# SPDX-License-Identifier: MPL-2.0
"""The sets of recordings, and how their audio is made.

`make` leaves in the folder of a set its audio and `list.jsonl`, one JSON object per
recording: `name`, `path` (from that folder on), `reference` (what is said), `group`.
"""

import concurrent.futures
import csv
import gzip
import hashlib
import json
import os
import pathlib
import re
import shutil

import audio

HERE = pathlib.Path(__file__).resolve().parent
REPOSITORY = HERE.parent.parent
PROMPTS = HERE / "prompts.txt"
SAMPLES = REPOSITORY / "tests/fixtures/speech-samples.tsv"
SOUNDS = pathlib.Path("/usr/share/asterisk/sounds/en_US_f_Allison")
TEXTS = pathlib.Path("/usr/share/doc/asterisk-core-sounds-en/core-sounds-en.txt.gz")

# The sets on channels take every third prompt.
EVERY = 3
SIGNAL_SECONDS = 120
PADDING_SECONDS = 0.5

VOICES = ["slt", "rms", "awb", "kal16"]
SENTENCES = [
    "Thank you for calling, how can I help you today?",
    "I would like to move our meeting from Tuesday to Thursday afternoon.",
    "Please send me the invoice before the end of the month.",
    "Our sales in the second quarter were better than we expected.",
    "Can you tell me when the new printer will be delivered?",
    "She asked the customer to call back tomorrow morning.",
    "We need two more engineers to finish the project on time.",
    "The contract has to be signed by both partners.",
    "He will prepare the budget and share it with the team.",
    "Let us talk about the price after the demonstration.",
]
WORDS = (
    "yes no stop start help cancel repeat back next operator agent goodbye hello thanks please "
    "zero one two three four five six seven eight nine ten Monday Friday today tomorrow"
).split()


class Missing(Exception):
    """Something that a set is made of is not installed."""


def prompt_names():
    """Returns the names of the recorded prompts."""
    lines = PROMPTS.read_text(encoding="utf-8").splitlines()
    return [line for line in lines if line and not line.startswith("#")]


def spoken(text):
    """Returns what a speaker says for a written prompt.

    Remarks in brackets are not said, and the keys `*` and `#` have names.
    """
    text = re.sub(r"\([^)]*\)", " ", text)
    text = text.replace("*", " star ").replace("#", " pound ")
    return " ".join(text.split())


def some_prompt_names():
    """Returns the names of the prompts that the sets on channels are made of."""
    return prompt_names()[::EVERY]


def prompt_texts():
    """Returns what is said in each prompt, by its name."""
    needs(TEXTS, "asterisk-core-sounds-en")
    texts = {}
    with gzip.open(TEXTS, "rt", encoding="utf-8", errors="replace") as file:
        for line in file:
            name, colon, text = line.strip().partition(":")
            if colon and not name.startswith(";"):
                texts[name.strip()] = spoken(text)
    return texts


def needs(path, package):
    """Fails with the name of the package if this path does not exist."""
    if not path.exists():
        raise Missing(f"{path} is missing; install the Debian package {package}")


def in_parallel(function, items):
    """Returns the results of the function for all items, in their order."""
    with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
        return list(pool.map(function, items))


def wav_name(name):
    """Returns a file name for a recording."""
    return name.replace("/", "_") + ".wav"


class Maker:
    """Makes the audio of sets below a folder, and keeps what is there already."""

    def __init__(self, folder):
        self.folder = folder
        sources = [HERE / "audio.py", HERE / "sets.py", PROMPTS, SAMPLES]
        # Audio of another version of these files is made again.
        digest = hashlib.sha256(b"".join(source.read_bytes() for source in sources))
        self.version = digest.hexdigest()

    def make(self, name):
        """Makes a set if it is not there yet, and returns the path of its list."""
        folder = self.folder / name
        made = folder / "list.jsonl"
        stamp = folder / "version.txt"
        if stamp.exists() and stamp.read_text() == self.version:
            return made
        begun = self.folder / f"{name}.new"
        shutil.rmtree(begun, ignore_errors=True)
        begun.mkdir(parents=True)
        rows = SETS[name].make(self, begun)
        with open(begun / "list.jsonl", "w", encoding="utf-8") as file:
            file.writelines(json.dumps(row) + "\n" for row in rows)
        (begun / "version.txt").write_text(self.version)
        shutil.rmtree(folder, ignore_errors=True)
        begun.rename(folder)
        return made

    def rows(self, name):
        """Makes a set and returns the lines of its list, with whole paths."""
        made = self.make(name)
        lines = made.read_text(encoding="utf-8").splitlines()
        rows = [json.loads(line) for line in lines]
        return [{**row, "path": made.parent / row["path"]} for row in rows]

    def some(self, name):
        """Returns the recordings that the sets on channels are made of."""
        return self.rows(name)[::EVERY]

    def pink(self):
        """Returns the noise that is mixed with speech."""
        return audio.clamp(1000 * value for value in audio.pink_noise(60, seed=7))

    def babble(self):
        """Returns four voices of a synthesiser that talk at the same time."""
        voices = {voice: [] for voice in VOICES}
        for row in self.rows("flite"):
            samples, _ = audio.read_wav(row["path"])
            level = audio.speech_power(samples) ** 0.5
            voices[row["group"]] += [sample / level for sample in samples]
        longest = max(map(len, voices.values()))
        # Each voice begins with another sentence.
        parts = []
        for number, values in enumerate(voices.values()):
            begin = number * len(values) // len(voices)
            turned = values[begin:] + values[:begin]
            parts.append(audio.repeated(turned, longest / audio.RATE))
        return audio.clamp(1000 * value for value in audio.sum_of(parts))


def prompts(suffix, rate):
    """Returns a maker of all prompts, from the files with this suffix."""

    def make(_, folder):
        texts = prompt_texts()

        def one(name):
            source = SOUNDS / f"{name}.{suffix}"
            needs(source, f"asterisk-core-sounds-en-{suffix}")
            if name not in texts:
                raise Missing(f"{TEXTS} has no text of {name}; it is of another version")
            path = wav_name(name)
            read = ["-f", "g722"] if suffix == "g722" else []
            write = ["-ar", rate, "-ac", 1, "-c:a", "pcm_s16le", "-bitexact"]
            audio.convert([*read, "-i", source, *write, folder / path])
            return {"name": name, "path": path, "reference": texts[name]}

        return in_parallel(one, prompt_names())

    return make


def changed(base, change):
    """Returns a maker of a set on a channel: `change` gets a source and a target path."""

    def make(maker, folder):
        def one(row):
            path = change(row["path"], folder / row["path"].name)
            return {**row, "path": path.name}

        return in_parallel(one, maker.some(base))

    return make


def sampled(change):
    """Returns a maker of a set of which `change` makes the samples at 16 kHz.

    It gets the maker once, and returns a function from number and samples to samples.
    """

    def make(maker, folder):
        function = change(maker)
        rows = []
        for number, row in enumerate(maker.some("d16")):
            samples, _ = audio.read_wav(row["path"])
            audio.write_wav(folder / row["path"].name, function(number, samples))
            rows.append({**row, "path": row["path"].name})
        return rows

    return make


def mulaw(source, target):
    """Writes the recording as µ-law, in a WAV file.

    It gets an even number of samples: GStreamer's wavparse plays nothing of a file that
    ends with a byte of padding.
    """
    samples, rate = audio.read_wav(source)
    even = audio.clamp([*samples, *[0] * (len(samples) % 2)])
    linear = target.with_suffix(".linear.wav")
    audio.write_wav(linear, even, rate)
    audio.convert(["-i", linear, "-c:a", "pcm_mulaw", "-bitexact", target])
    linear.unlink()
    return target


def gsm(source, target):
    """Writes the recording as it is after GSM full rate."""
    coded = audio.convert(["-i", source, "-c:a", "libgsm", "-f", "gsm", "-"])
    audio.convert(["-f", "gsm", "-i", "-", "-c:a", "pcm_s16le", "-bitexact", target], stdin=coded)
    return target


def opus(kilobits):
    """Returns a function that writes the recording as Opus."""

    def change(source, target):
        target = target.with_suffix(".opus")
        rate = ["-b:a", f"{kilobits}k", "-application", "voip", "-bitexact"]
        audio.convert(["-i", source, "-c:a", "libopus", *rate, target])
        return target

    return change


def noisy(snr_db):
    """Returns a change that puts noise behind the speech."""

    def change(maker):
        noise = maker.pink()
        return lambda number, samples: audio.mix(samples, noise, snr_db, number * 9973)

    return change


def among_voices(maker):
    """Returns a function that puts four voices behind the speech."""
    voices = maker.babble()
    return lambda number, samples: audio.mix(samples, voices, 5, number * 9973)


def testdata(rate):
    """Returns a maker of the recordings of pocketsphinx-testdata."""

    def make(_, folder):
        with open(SAMPLES, encoding="utf-8", newline="") as file:
            table = list(csv.DictReader(file, delimiter="\t"))
        rows = []
        for sample in (row for row in table if row["set"] == "testdata"):
            source = pathlib.Path(sample["path"])
            needs(source, sample["debian_package"])
            raw = source.suffix == ".raw"
            read = ["-f", "s16le", "-ar", audio.RATE, "-ac", 1] if raw else []
            path = wav_name(sample["id"])
            write = ["-ar", rate, "-ac", 1, "-c:a", "pcm_s16le", "-bitexact"]
            audio.convert([*read, "-i", source, *write, folder / path])
            text = sample["normalised_reference"]
            rows.append({"name": sample["id"], "path": path, "reference": text})
        return rows

    return make


def synthesised(voices, texts, padding):
    """Returns a maker of texts that flite says in each voice.

    `padding` is the silence before and after each, in seconds.
    """

    def make(_, folder):
        if shutil.which("flite") is None:
            raise Missing("flite is missing; install the Debian package flite")

        def one(item):
            voice, number, text = item
            path = f"{voice}-{number:02}.wav"
            flite = ["flite", "-voice", voice, "-t", text, "-o", str(folder / path)]
            audio.run(flite)
            samples, rate = audio.read_wav(folder / path)
            around = audio.clamp(audio.silence(padding))
            audio.write_wav(folder / path, around + samples + around, rate)
            return {"name": f"{voice}-{number:02}", "path": path, "reference": text, "group": voice}

        texts_of = [(voice, number, text) for voice in voices for number, text in enumerate(texts)]
        return in_parallel(one, texts_of)

    return make


def without_speech(_, folder):
    """Makes the signals in which nothing is said."""
    rows = []
    for name, samples in audio.signals(SIGNAL_SECONDS):
        path = wav_name(name)
        audio.write_wav(folder / path, samples)
        rows.append({"name": name, "path": path, "reference": "", "group": name})
    return rows


class Set:
    """A set of recordings: how the report counts it and names it, and how it is made."""

    def __init__(self, kind, title, make, large=False):
        self.kind, self.title, self.make = kind, title, make
        # A slow engine plays only a part of a large set.
        self.large = large


# In the order of the report.
SETS = {
    "d16": Set("speech", "all prompts, 16 kHz", prompts("g722", 16_000), large=True),
    "d8": Set("speech", "all prompts, 8 kHz", prompts("wav", 8_000), large=True),
    "mulaw": Set("speech", "µ-law, 8 kHz", changed("d8", mulaw), large=True),
    "gsm": Set("speech", "GSM, 8 kHz", changed("d8", gsm), large=True),
    "opus6": Set("speech", "Opus, 6 kbit/s", changed("d16", opus(6)), large=True),
    "opus12": Set("speech", "Opus, 12 kbit/s", changed("d16", opus(12)), large=True),
    "opus24": Set("speech", "Opus, 24 kbit/s", changed("d16", opus(24)), large=True),
    "snr20": Set("speech", "pink noise, SNR 20 dB", sampled(noisy(20)), large=True),
    "snr10": Set("speech", "pink noise, SNR 10 dB", sampled(noisy(10)), large=True),
    "snr5": Set("speech", "pink noise, SNR 5 dB", sampled(noisy(5)), large=True),
    "snr0": Set("speech", "pink noise, SNR 0 dB", sampled(noisy(0)), large=True),
    "clipped": Set(
        "speech",
        "clipped 6 dB below its peak",
        sampled(lambda _: lambda number, samples: audio.clip(samples, 0.5)),
        large=True,
    ),
    "quiet": Set(
        "speech",
        "level −30 dB",
        sampled(lambda _: lambda number, samples: audio.gain(samples, -30)),
        large=True,
    ),
    "babble": Set("speech", "four voices behind, SNR 5 dB", sampled(among_voices), large=True),
    "testdata": Set("speech", "LibriVox and cards, 16 kHz", testdata(16_000)),
    "testdata8": Set("speech", "LibriVox and cards, 8 kHz", testdata(8_000)),
    "flite": Set("speech", "synthesised sentences", synthesised(VOICES, SENTENCES, 0.0)),
    "short": Set("short", "synthesised words", synthesised(VOICES[:3], WORDS, PADDING_SECONDS)),
    "noise": Set("noise", "no speech", without_speech),
}
