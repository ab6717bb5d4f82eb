#!/usr/bin/env python3
# SPDX-License-Identifier: MPL-2.0
"""PocketSphinx (PyPI) as a recogniser of symbl-service.

    python3 -m venv engine && engine/bin/pip install pocketsphinx
    symbl-service --recognizer-cmd "engine/bin/python examples/recognizers/with_pocketsphinx.py"

The package includes its US English model. Options: --hmm, --lm and --dict for
another model. docs/recognizers.md describes the input and the output.
"""
import argparse
import json
import os
import signal
import sys

from pocketsphinx import Decoder, Endpointer

RATE = 16000
FRAMES_PER_SECOND = 100
# Interval between two reads of the hypothesis, in seconds.
PARTIAL = 0.2
# Interval between two lines that report silence, in seconds.
PROGRESS = 5.0


def say(**line):
    print(json.dumps(line), flush=True)


def words(decoder, start):
    """Returns the words of a decoded utterance that began at `start`."""
    for segment in decoder.seg():
        word = segment.word.split("(")[0]
        if word.startswith(("<", "[", "+")):
            continue
        yield {
            "word": word,
            "start": round(start + segment.start_frame / FRAMES_PER_SECOND, 3),
            "end": round(start + (segment.end_frame + 1) / FRAMES_PER_SECOND, 3),
            "confidence": round(min(1.0, decoder.get_logmath().exp(segment.prob)), 3),
        }


def final(decoder, speech, start, end):
    # Decodes the whole utterance again, which is better than the interims were.
    decoder.start_utt()
    decoder.process_raw(bytes(speech), full_utt=True)
    decoder.end_utt()
    found = list(words(decoder, start))
    if found:
        say(type="final", words=found, end=max(end, found[-1]["end"]))
    else:
        say(type="progress", end=end)


def main():
    # If the service has gone, ends without a traceback.
    signal.signal(signal.SIGPIPE, signal.SIG_DFL)
    parser = argparse.ArgumentParser()
    for name in ("hmm", "lm", "dict"):
        parser.add_argument("--" + name)
    model = {name: value for name, value in vars(parser.parse_args()).items() if value}
    whole = Decoder(**model, loglevel="FATAL")
    live = None
    if os.environ.get("SYMBL_INTERIM") == "1":
        live = Decoder(**model, loglevel="FATAL", fwdflat=False, bestpath=False)
    endpointer = Endpointer(sample_rate=RATE)
    speech, start, text, looked, told, read = bytearray(), None, "", 0.0, 0.0, 0
    while True:
        frame = sys.stdin.buffer.read(endpointer.frame_bytes)
        over = len(frame) < endpointer.frame_bytes
        voiced = endpointer.end_stream(frame) if over else endpointer.process(frame)
        read += len(frame)
        now = read / 2 / RATE
        if voiced is not None:
            if start is None:
                start, looked, text = endpointer.speech_start, now, ""
                if live:
                    live.start_utt()
            speech += voiced
            if live:
                live.process_raw(voiced)
                if now - looked >= PARTIAL:
                    looked, hypothesis = now, live.hyp()
                    if hypothesis and hypothesis.hypstr != text:
                        text = hypothesis.hypstr
                        say(type="partial", text=text, start=start)
        if start is not None and (over or not endpointer.in_speech):
            if live:
                live.end_utt()
            final(whole, speech, start, start + len(speech) / 2 / RATE)
            speech, start, told = bytearray(), None, now
        elif start is None and now - told >= PROGRESS:
            told = now
            # The audio that the endpointer still holds may become speech.
            say(type="progress", end=now - 1.0)
        if over:
            return


if __name__ == "__main__":
    main()
