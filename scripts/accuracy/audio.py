# SPDX-License-Identifier: MPL-2.0
"""Audio of the sets: WAV files, levels, mixtures and signals without speech.

Samples are arrays of signed 16-bit integers, one channel. Everything is computed from
fixed seeds, so that all machines make the same audio.
"""

import array
import itertools
import math
import random
import subprocess
import sys
import wave

RATE = 16_000
LOUDEST = 32_767
FRAME_MS = 20
# A frame counts as speech if it is at most this much below the loudest frame.
SPEECH_RANGE_DB = 30


def read_wav(path):
    """Returns the samples of a mono 16-bit WAV file and their rate."""
    with wave.open(str(path), "rb") as file:
        if (file.getnchannels(), file.getsampwidth()) != (1, 2):
            raise ValueError(f"{path} is not mono with 16 bits per sample")
        samples = array.array("h", file.readframes(file.getnframes()))
        if sys.byteorder == "big":
            samples.byteswap()
        return samples, file.getframerate()


def write_wav(path, samples, rate=RATE):
    """Writes a mono 16-bit WAV file."""
    if sys.byteorder == "big":
        samples = array.array("h", samples)
        samples.byteswap()
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(rate)
        file.writeframes(samples.tobytes())


def run(command, stdin=b""):
    """Runs a program and returns its standard output. Fails with what it said."""
    done = subprocess.run(command, input=stdin, capture_output=True, check=False)
    if done.returncode != 0:
        said = done.stderr.decode(errors="replace").strip()
        raise RuntimeError(f"{' '.join(command)}: status {done.returncode}: {said}")
    return done.stdout


def convert(arguments, stdin=b""):
    """Runs ffmpeg with these arguments and returns its standard output."""
    return run(["ffmpeg", "-v", "error", "-y", *map(str, arguments)], stdin)


def clamp(values):
    """Returns samples of these numbers, rounded and limited to what 16 bits can hold."""
    return array.array("h", (max(-LOUDEST, min(LOUDEST, round(value))) for value in values))


def factor(decibels):
    """Returns the factor of an amplitude for a change of its level."""
    return 10 ** (decibels / 20)


def gain(samples, decibels):
    """Returns the samples with another level."""
    times = factor(decibels)
    return clamp(sample * times for sample in samples)


def clip(samples, share):
    """Returns the samples, cut off at this share of their highest absolute value."""
    top = max(map(abs, samples), default=0) * share
    return clamp(max(-top, min(top, sample)) for sample in samples)


def power(samples):
    """Returns the mean square of the samples."""
    return sum(sample * sample for sample in samples) / max(1, len(samples))


def speech_power(samples, rate=RATE):
    """Returns the mean square of the frames that have speech."""
    length = rate * FRAME_MS // 1000
    frames = (samples[at : at + length] for at in range(0, len(samples), length))
    powers = [power(frame) for frame in frames]
    least = max(powers, default=0) * factor(-SPEECH_RANGE_DB) ** 2
    loud = [value for value in powers if value >= least]
    return sum(loud) / max(1, len(loud))


def mix(speech, noise, snr_db, offset=0):
    """Returns speech with noise behind it.

    `snr_db` is the ratio of the power of the frames with speech to the power of the
    noise. The noise starts at `offset` and is repeated if it is too short. A mixture
    that would be too loud is made quieter as a whole.
    """
    offset %= len(noise)
    noise = list(itertools.islice(itertools.cycle(noise), offset, offset + len(speech)))
    present = power(noise)
    wanted = speech_power(speech) / factor(snr_db) ** 2
    times = math.sqrt(wanted / present) if present else 0
    mixed = [said + times * behind for said, behind in zip(speech, noise)]
    top = max(map(abs, mixed), default=0)
    if top > LOUDEST:
        mixed = [value * LOUDEST / top for value in mixed]
    return clamp(mixed)


def at_level(values, dbfs):
    """Returns samples of these numbers whose root mean square is `dbfs` below full scale."""
    present = math.sqrt(power(values))
    times = LOUDEST * factor(dbfs) / present if present else 0
    return clamp(value * times for value in values)


def white_noise(seconds, seed):
    """Returns numbers with the same power at all frequencies."""
    draw = random.Random(seed).gauss
    return [draw(0, 1) for _ in range(int(seconds * RATE))]


def pink_noise(seconds, seed):
    """Returns numbers with the same power in all octaves, by Paul Kellet's filter."""
    state = [0.0] * 7
    values = []
    for white in white_noise(seconds, seed):
        state[0] = 0.99886 * state[0] + white * 0.0555179
        state[1] = 0.99332 * state[1] + white * 0.0750759
        state[2] = 0.96900 * state[2] + white * 0.1538520
        state[3] = 0.86650 * state[3] + white * 0.3104856
        state[4] = 0.55000 * state[4] + white * 0.5329522
        state[5] = -0.7616 * state[5] - white * 0.0168980
        values.append(sum(state) + white * 0.5362)
        state[6] = white * 0.115926
    return values


def tones(frequencies, seconds, decay_s=None):
    """Returns a sum of sines, which fades if `decay_s` is given."""
    steps = [2 * math.pi * frequency / RATE for frequency in frequencies]
    values = []
    for at in range(int(seconds * RATE)):
        level = math.exp(-at / RATE / decay_s) if decay_s else 1
        values.append(level * sum(math.sin(step * at) for step in steps))
    return values


def silence(seconds):
    """Returns zeros."""
    return [0] * int(seconds * RATE)


def repeated(values, seconds):
    """Returns the numbers again and again, for this long."""
    return list(itertools.islice(itertools.cycle(values), int(seconds * RATE)))


def ringback():
    """Returns one period of the tone that a caller in North America hears."""
    return tones([440, 480], 2) + silence(4)


def dialling():
    """Returns all keys of a telephone, one after the other, and a pause."""
    rows, columns = [697, 770, 852, 941], [1209, 1336, 1477]
    keys = (tones([row, column], 0.2) + silence(0.2) for row in rows for column in columns)
    return list(itertools.chain(*keys)) + silence(2)


def harmonic(pitch, seconds, decay_s):
    """Returns a note of a plucked string: its lowest overtones, which fade."""
    values = [0.0] * int(seconds * RATE)
    for number, level in enumerate([1, 0.5, 0.33, 0.25], start=1):
        overtone = tones([pitch * number], seconds, decay_s / number)
        values = [value + level * more for value, more in zip(values, overtone)]
    return values


def pitch(semitones):
    """Returns the frequency of a note, counted in semitones from the A of 440 Hz."""
    return 440 * 2 ** (semitones / 12)


def sum_of(parts):
    """Returns the sum of sequences of the same length."""
    return [sum(values) for values in zip(*parts)]


def chords():
    """Returns four chords of two seconds each."""
    progression = [(-21, -14, -9, -5), (-24, -17, -12, -9), (-19, -12, -9, -4), (-14, -7, -2, 2)]
    played = (sum_of(harmonic(pitch(note), 2, 1.5) for note in chord) for chord in progression)
    return list(itertools.chain(*played))


def melody():
    """Returns a tune of sixteen seconds, as a telephone plays it to those on hold."""
    notes = [3, 7, 10, 15, 14, 10, 7, 5, 3, 5, 7, 10, 8, 7, 5, 3] * 2
    tune = itertools.chain(*(harmonic(pitch(note), 0.5, 0.4) for note in notes))
    bass = itertools.chain(*(harmonic(pitch(note), 2, 2) for note in [-21, -14, -16, -14] * 2))
    return sum_of([list(tune), list(bass)])


def clicks(seconds, seed):
    """Returns a keyboard: short bursts of noise, four per second on average."""
    draw = random.Random(seed)
    values = [0.0] * int(seconds * RATE)
    at = 0.0
    while (at := at + draw.expovariate(4)) < seconds - 0.02:
        loud = draw.uniform(0.3, 1)
        for index in range(int(0.01 * RATE)):
            values[int(at * RATE) + index] += loud * math.exp(-index / 40) * draw.gauss(0, 1)
    return values


def signals(seconds):
    """Yields names and samples of ten signals without speech."""
    white, pink = white_noise(seconds, seed=1), pink_noise(seconds, seed=2)
    yield "silence", array.array("h", silence(seconds))
    yield "white-50dB", at_level(white, -50)
    yield "white-30dB", at_level(white, -30)
    yield "pink-50dB", at_level(pink, -50)
    yield "pink-30dB", at_level(pink, -30)
    yield "keyboard", at_level(clicks(seconds, seed=3), -40)
    yield "ringback", at_level(repeated(ringback(), seconds), -20)
    yield "dtmf", at_level(repeated(dialling(), seconds), -20)
    yield "chords", at_level(repeated(chords(), seconds), -20)
    yield "hold-melody", at_level(repeated(melody(), seconds), -20)
