# SPDX-License-Identifier: MPL-2.0
"""Counts the errors in what an engine heard."""

import random


def whisper_words():
    """Returns the function that splits a text into words by Whisper's English normaliser."""
    # Imported here, so that the tests of the rest need no package.
    from whisper_normalizer.english import EnglishTextNormalizer

    normalise = EnglishTextNormalizer()
    # The normaliser would drop the keys of a telephone.
    keys = str.maketrans({"*": " star ", "#": " pound "})
    return lambda text: normalise(text.translate(keys)).split()


def word_errors(said, heard):
    """Returns the least number of words to replace, add or remove between two texts."""
    before = list(range(len(heard) + 1))
    for number, word in enumerate(said, start=1):
        row = [number]
        for at, other in enumerate(heard, start=1):
            row.append(min(before[at] + 1, row[-1] + 1, before[at - 1] + (word != other)))
        before = row
    return before[-1]


def percent(pairs):
    """Returns the word error rate of pairs of errors and reference words, in per cent.

    It is None if the references have no words.
    """
    errors, words = map(sum, zip(*pairs)) if pairs else (0, 0)
    return 100 * errors / words if words else None


def likely_range(pairs, rounds=1000):
    """Returns the range that has 95 % of the rates of recordings drawn again and again.

    It tells how far the rate depends on the choice of recordings.
    """
    draw = random.Random(1)
    rates = [percent(draw.choices(pairs, k=len(pairs))) for _ in range(rounds)] if pairs else []
    rates = sorted(rate for rate in rates if rate is not None)
    if not rates:
        return None
    return [rates[len(rates) * 25 // 1000], rates[min(len(rates) - 1, len(rates) * 975 // 1000)]]


def scored(row, line, words_of):
    """Returns what counts of a recording: its row of the set, and the runner's line."""
    said, heard = words_of(row["reference"]), words_of(line["text"])
    return {
        "name": row["name"],
        "group": row.get("group"),
        "reference": row["reference"],
        "text": line["text"],
        "words_heard": len(line["text"].split()),
        "exact": said == heard,
        "own": [line["errors"], line["reference_words"]],
        "whisper": [word_errors(said, heard), len(said)],
        "audio_seconds": line["audio_seconds"],
        "error": line.get("error"),
    }


def summary(recordings, cpu_seconds=None):
    """Returns the figures of recordings that are counted together."""
    own = [recording["own"] for recording in recordings]
    whisper = [recording["whisper"] for recording in recordings]
    audio_seconds = sum(recording["audio_seconds"] for recording in recordings)
    return {
        "recordings": len(recordings),
        "audio_seconds": audio_seconds,
        "words": sum(words for _, words in whisper),
        "wer_own_percent": percent(own),
        "wer_whisper_percent": percent(whisper),
        "wer_whisper_percent_range": likely_range(whisper),
        "words_heard": sum(recording["words_heard"] for recording in recordings),
        "exact": sum(recording["exact"] for recording in recordings),
        "empty": sum(not recording["text"].strip() for recording in recordings),
        "failed": sum(recording["error"] is not None for recording in recordings),
        "cpu_seconds_per_audio_second": (
            cpu_seconds / audio_seconds if cpu_seconds is not None and audio_seconds else None
        ),
    }
