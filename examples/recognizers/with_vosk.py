#!/usr/bin/env python3
# SPDX-License-Identifier: MPL-2.0
"""Vosk as a recogniser of symbl-service.

    pip install vosk
    symbl-service --recognizer-cmd "python3 examples/recognizers/with_vosk.py MODEL"

MODEL is the folder of an unpacked model. Every process loads it, so choose a small one
if there are many streams. docs/recognizers.md describes the input and the output.
"""
import json
import os
import signal
import sys

from vosk import KaldiRecognizer, Model, SetLogLevel

RATE = 16000
# 100 ms. Audio is read only when the last piece is recognised, so that the service
# sees how fast this engine is.
CHUNK = RATE * 2 // 10


def say(**line):
    print(json.dumps(line), flush=True)


def final(result, now):
    words = [
        {"word": word["word"], "start": word["start"], "end": word["end"], "confidence": word["conf"]}
        for word in json.loads(result).get("result", [])
    ]
    say(type="final", words=words, end=words[-1]["end"] if words else now)


def main():
    # If the service has gone, ends without a traceback.
    signal.signal(signal.SIGPIPE, signal.SIG_DFL)
    if len(sys.argv) != 2:
        sys.exit("usage: with_vosk.py MODEL")
    SetLogLevel(-1)
    recognizer = KaldiRecognizer(Model(sys.argv[1]), RATE)
    recognizer.SetWords(True)
    text, read = "", 0
    while chunk := sys.stdin.buffer.read(CHUNK):
        read += len(chunk)
        if recognizer.AcceptWaveform(chunk):
            final(recognizer.Result(), read / 2 / RATE)
            text = ""
        elif os.environ.get("SYMBL_INTERIM") == "1":
            partial = json.loads(recognizer.PartialResult())["partial"]
            if partial and partial != text:
                text = partial
                say(type="partial", text=text)
    final(recognizer.FinalResult(), read / 2 / RATE)


if __name__ == "__main__":
    main()
