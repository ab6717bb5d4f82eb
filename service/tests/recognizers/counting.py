#!/usr/bin/env python3
# SPDX-License-Identifier: MPL-2.0
"""A recogniser process for tests: hears numbers in samples, and misbehaves on request.

Audio is in blocks of 200 ms, all samples of a block alike. A block of n > 0 says
the word `w<n>`; a block of 0 ends the utterance. Arguments are a folder, and what
goes wrong in the first run, the second, and so on (`good` after the last); the
folder counts the runs.
"""
import json
import os
import struct
import sys
import time

BLOCK = 3200
folder, faults = sys.argv[1], sys.argv[2:]
runs = os.path.join(folder, "runs")
with open(runs, "a") as log:
    log.write(f"{os.getpid()}\n")
with open(runs) as log:
    run = len(log.readlines())
fault, _, argument = (faults[run - 1] if run <= len(faults) else "good").partition("=")


def say(**line):
    print(json.dumps(line), flush=True)


print(f"run {run}: {fault}", file=sys.stderr, flush=True)
if fault == "deaf":
    time.sleep(3600)
if fault == "exit":
    sys.exit(7)
if fault == "mute":
    sys.stdin.buffer.read()
    time.sleep(3600)
words, block = [], 0
while data := sys.stdin.buffer.read(2 * BLOCK):
    if len(data) < 2 * BLOCK:
        break
    number = struct.unpack_from("<h", data, BLOCK)[0]
    start, block = block * 0.2, block + 1
    if fault == "slow":
        time.sleep(float(argument))
    if fault == "overlap":
        # The word is said to begin before the end of what is done.
        start = max(0, start - 0.05)
    if number:
        words.append({"word": f"w{number}", "start": start, "end": start + 0.2, "confidence": 0.5})
        if fault == "die" and number == int(argument):
            os._exit(9)
        say(type="partial", text=" ".join(w["word"] for w in words), start=words[0]["start"], new=1)
    elif words:
        if fault == "garbage":
            print("loading model... 100%", flush=True)
            print('{"type":"final","words":[{"word":"never","start":-1,"end":0}]}', flush=True)
            print("x" * 3_000_000, flush=True)
        say(type="later", what="is not known")
        say(type="final", words=words, end=block * 0.2)
        if fault == "garbage":
            say(type="final", words=words, end=block * 0.2)
        words = []
    elif fault != "environment":
        say(type="progress", end=block * 0.2)
if fault == "linger":
    # Ignores the end of its input, with a child that holds its output.
    if (child := os.fork()) == 0:
        time.sleep(3600)
    with open(runs, "a") as log:
        log.write(f"{child}\n")
    time.sleep(3600)
if fault == "die-at-end":
    os._exit(9)
if fault == "environment":
    names = ("LANGUAGE", "VOCABULARY", "INTERIM", "CONNECTION_ID", "APP_SECRET")
    text = " ".join(os.environ.get(f"SYMBL_{name}", "-").replace(" ", "_") for name in names)
    say(type="final", text=text, start=0, end=1)
if words:
    say(type="final", words=words)
