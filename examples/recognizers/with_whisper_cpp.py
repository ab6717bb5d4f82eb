#!/usr/bin/env python3
# SPDX-License-Identifier: MPL-2.0
"""whisper.cpp as a recogniser of symbl-service: finals only.

    symbl-service --recognizer-cmd "python3 examples/recognizers/with_whisper_cpp.py -m ggml-base.en.bin"

Needs `whisper-cli` of whisper.cpp (see --program) and a model, but no Python
package. It cuts the audio at quiet pauses and gives each piece to whisper-cli as a
WAV file. whisper-cli loads the model each time. docs/recognizers.md describes the
input and the output.
"""
import argparse
import array
import json
import os
import signal
import subprocess
import sys
import tempfile
import wave

RATE = 16000
# Samples in 30 ms.
FRAME = RATE * 30 // 1000
# Number of quiet frames that end a piece: 600 ms.
PAUSE = 20
# Number of frames kept from before the speech: 300 ms.
BEFORE = 10
# Maximum length of a piece in samples: 25 s. whisper reads at most 30 s.
LONGEST = 25 * RATE
# Number of frames between two lines that report silence: 5 s.
PROGRESS = 167


def say(**line):
    print(json.dumps(line), flush=True)


def loudness(samples):
    return (sum(sample * sample for sample in samples) / max(1, len(samples))) ** 0.5


def transcribe(samples, options):
    """Returns the words of a piece, with their times in it."""
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "piece.wav")
        with wave.open(path, "wb") as file:
            file.setnchannels(1)
            file.setsampwidth(2)
            file.setframerate(RATE)
            file.writeframes(samples.tobytes())
        language = os.environ.get("SYMBL_LANGUAGE", "").split("-")[0] or "en"
        # One word per line, as JSON next to the WAV file.
        command = [options.program, "-m", options.model, "-l", language, "-f", path,
                   "-ml", "1", "-sow", "-np", "-oj", "-of", os.path.join(folder, "piece")]
        subprocess.run(command, check=True, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
        with open(os.path.join(folder, "piece.json"), encoding="utf-8", errors="replace") as file:
            lines = json.load(file)["transcription"]
    for line in lines:
        text = line["text"].strip()
        # Markers such as [BLANK_AUDIO] and (music) are not words.
        if text and text[0] not in "[(" and text[-1] not in "])":
            yield text, line["offsets"]["from"] / 1000, line["offsets"]["to"] / 1000


def final(samples, start, options):
    length = len(samples) / RATE
    words = [
        {"word": word, "start": start + min(begin, length), "end": start + max(begin, min(end, length))}
        for word, begin, end in transcribe(samples, options)
    ]
    say(type="final", words=words, end=start + length)


def main():
    # If the service has gone, ends without a traceback.
    signal.signal(signal.SIGPIPE, signal.SIG_DFL)
    parser = argparse.ArgumentParser()
    parser.add_argument("-m", "--model", required=True)
    parser.add_argument("--program", default="whisper-cli")
    parser.add_argument("--threshold", type=float, default=300.0,
                        help="loudness (RMS of 16-bit samples) that is speech")
    options = parser.parse_args()
    piece, quiet, heard, read = array.array("h"), 0, False, 0
    while data := sys.stdin.buffer.read(2 * FRAME):
        frame = array.array("h")
        frame.frombytes(data[: len(data) // 2 * 2])
        if sys.byteorder == "big":
            frame.byteswap()
        read += len(frame)
        piece += frame
        loud = loudness(frame) >= options.threshold
        heard, quiet = heard or loud, 0 if loud else quiet + 1
        start = (read - len(piece)) / RATE
        if heard and (quiet >= PAUSE or len(piece) >= LONGEST):
            final(piece, start, options)
            piece, quiet, heard = array.array("h"), 0, False
        elif not heard and len(piece) > BEFORE * FRAME:
            piece = piece[-BEFORE * FRAME:]
            if quiet % PROGRESS == 0:
                say(type="progress", end=(read - len(piece)) / RATE)
    if heard:
        final(piece, (read - len(piece)) / RATE, options)


if __name__ == "__main__":
    main()
