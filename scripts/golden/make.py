#!/usr/bin/env python3
# SPDX-License-Identifier: MPL-2.0
"""Writes crates/whisper/tests/data/golden.json: what the reference computes.

The reference is faster-whisper (the spectrogram) and CTranslate2 (the network), in
float32. The tests of crates/whisper compare the engine with these numbers. README.md
beside this file says how to run it, and what the members of the file mean.

    make.py MODEL_FOLDER [OUTPUT]
"""

import hashlib
import json
import subprocess
import sys
from pathlib import Path

import ctranslate2
import faster_whisper
import numpy as np
import tokenizers
from faster_whisper.feature_extractor import FeatureExtractor

RATE = 16_000
WINDOW = 30 * RATE
FRAMES = 3_000
STEPS = 8
VOCABULARY_IDS = 50
SOUNDS = "/usr/share/asterisk/sounds/en_US_f_Allison"
PACKAGE = "asterisk-core-sounds-en-g722"
# All three are in tests/fixtures/speech-samples.tsv. The first lasts 5 s.
UTTERANCES = ["confbridge-pin", "followme/options", "followme/status"]
ROOT = Path(__file__).resolve().parents[2]


def samples_of(path):
    """Returns the samples of a recording as 16-bit numbers, as the tests decode it."""
    command = ["ffmpeg", "-v", "error", "-nostdin", "-f", "g722", "-i", path]
    command += ["-ar", str(RATE), "-ac", "1", "-f", "s16le", "-"]
    raw = subprocess.run(command, check=True, capture_output=True).stdout
    return np.frombuffer(raw, dtype="<i2")


def spectrogram(extractor, audio):
    """Returns the log-mel spectrogram of a window of 30 s: the audio, then zeros."""
    window = np.zeros(WINDOW, dtype=np.float32)
    window[: len(audio)] = audio
    return extractor(window)[:, :FRAMES]


def points(rows, columns, count, seed):
    """Returns `count` different places in a matrix, in order."""
    generator = np.random.default_rng(seed)
    chosen = generator.choice(rows * columns, size=count, replace=False)
    return [(int(at) // columns, int(at) % columns) for at in sorted(chosen)]


def values(matrix, places, digits=6):
    """Returns [row, column, value] for each place."""
    return [[row, column, round(float(matrix[row, column]), digits)] for row, column in places]


def log_softmax(logits):
    shifted = logits.astype(np.float64) - logits.max()
    return shifted - np.log(np.exp(shifted).sum())


def prompt_of(tokenizer):
    """Returns the prompt of an English-only model without time stamps."""
    return [tokenizer.token_to_id(name) for name in ("<|startoftranscript|>", "<|notimestamps|>")]


def greedy(model, encoded, prompt, **options):
    """Returns the result of a greedy search."""
    options |= {"beam_size": 1, "return_scores": True, "return_no_speech_prob": True}
    return model.generate(encoded, [prompt], **options)[0]


def step_log_probabilities(model, encoded, prompt, tokens):
    """Returns the log-probabilities of the whole vocabulary for each of the first tokens.

    Nothing is suppressed. The search must find the same tokens as with suppression.
    """
    result = greedy(
        model,
        encoded,
        prompt,
        return_logits_vocab=True,
        suppress_blank=False,
        suppress_tokens=[],
    )
    if result.sequences_ids[0] != tokens:
        sys.exit(f"without suppression the search finds {result.sequences_ids[0]}, not {tokens}")
    steps = [log_softmax(np.array(step).reshape(-1)) for step in result.logits[0][:STEPS]]
    for step, token in zip(steps, tokens):
        if int(np.argmax(step)) != token:
            sys.exit(f"the logits are not those of the step: {np.argmax(step)}, not {token}")
    return steps


def chosen_ids(steps, tokens, tokenizer):
    """Returns the vocabulary ids whose log-probabilities are kept: those of the utterance,
    the likeliest at each step, special ones, and others from all over the vocabulary."""
    size = len(steps[0])
    special = ("endoftext", "startoftranscript", "nocaptions", "nospeech", "notimestamps")
    known = [tokenizer.token_to_id(f"<|{name}|>") for name in special]
    ids = dict.fromkeys(tokens[:STEPS] + [one for one in known if one is not None])
    for rank in range(4):
        for step in steps:
            if len(ids) < VOCABULARY_IDS - 10:
                ids[int(np.argsort(-step)[rank])] = None
    for number in np.linspace(0, size - 1, VOCABULARY_IDS).astype(int):
        if len(ids) < VOCABULARY_IDS:
            ids[int(number)] = None
    return sorted(ids)


def utterance(model, extractor, tokenizer, name):
    """Returns what the reference says of one recording, and its encoder output."""
    path = f"{SOUNDS}/{name}.g722"
    pcm = samples_of(path)
    mel = spectrogram(extractor, pcm.astype(np.float32) / 32768)
    features = ctranslate2.StorageView.from_array(np.ascontiguousarray(mel[None]))
    encoded = model.encode(features)
    prompt = prompt_of(tokenizer)
    # -1 is the list in the model's config.json.
    result = greedy(model, encoded, prompt, suppress_blank=True, suppress_tokens=[-1])
    tokens = [int(token) for token in result.sequences_ids[0]]
    steps = step_log_probabilities(model, encoded, prompt, tokens)
    ids = chosen_ids(steps, tokens, tokenizer)
    return {
        "file": path,
        "package": PACKAGE,
        "samples": len(pcm),
        "pcm_sha256": hashlib.sha256(pcm.tobytes()).hexdigest(),
        "prompt": prompt,
        "tokens": tokens,
        "text": tokenizer.decode(tokens),
        # Over the tokens and the end of the text, as faster-whisper's avg_logprob.
        "average_log_probability": round(
            float(result.scores[0]) * len(tokens) / (len(tokens) + 1), 6
        ),
        "no_speech_probability": float(f"{result.no_speech_prob:.6g}"),
        "ids": ids,
        "log_probabilities": [[round(float(step[one]), 4) for one in ids] for step in steps],
    }, mel, np.array(encoded)[0]


def layout(value, indent=0):
    """Returns JSON with one line for each member, and for each list of numbers."""
    inner, outer = " " * (indent + 1), " " * indent
    if isinstance(value, dict):
        lines = [f"{inner}{json.dumps(key)}: {layout(one, indent + 1)}" for key, one in value.items()]
        return "{\n" + ",\n".join(lines) + f"\n{outer}}}"
    if isinstance(value, list) and value and isinstance(value[0], dict):
        lines = [inner + layout(one, indent + 1) for one in value]
        return "[\n" + ",\n".join(lines) + f"\n{outer}]"
    return json.dumps(value)


def main():
    if len(sys.argv) not in (2, 3):
        sys.exit(__doc__)
    folder = Path(sys.argv[1])
    default = ROOT / "crates/whisper/tests/data/golden.json"
    output = Path(sys.argv[2]) if len(sys.argv) == 3 else default
    # One thread: the order of the sums does not depend on the machine's cores.
    model = ctranslate2.models.Whisper(
        str(folder), device="cpu", compute_type="float32", inter_threads=1, intra_threads=1
    )
    tokenizer = tokenizers.Tokenizer.from_file(str(folder / "tokenizer.json"))
    extractor = FeatureExtractor(feature_size=model.n_mels)

    tone = 0.5 * np.sin(2 * np.pi * 440 * np.arange(RATE) / RATE)
    tone_mel = spectrogram(extractor, tone.astype(np.float32))
    said = [utterance(model, extractor, tokenizer, name) for name in UTTERANCES]
    first, first_mel, first_encoded = said[0]
    speech_frames = first["samples"] // 160

    golden = {
        "model": "tiny.en",
        "model_sha256": hashlib.sha256((folder / "model.bin").read_bytes()).hexdigest(),
        "made_with": {
            "faster-whisper": faster_whisper.__version__,
            "ctranslate2": ctranslate2.__version__,
            "numpy": np.__version__,
            "tokenizers": tokenizers.__version__,
        },
        "mel": {
            "tone": {
                "hz": 440,
                "amplitude": 0.5,
                "samples": RATE,
                # Most are in the bands around the tone, some in others, some where it
                # ends, some in the silence.
                "values": values(
                    tone_mel,
                    [(band + 6, frame) for band, frame in points(12, 97, 120, 1)]
                    + points(model.n_mels, 97, 40, 4)
                    + [(band, 97 + band % 6) for band in range(0, model.n_mels, 4)]
                    + [(band, 150 + 30 * band) for band in range(0, model.n_mels, 4)],
                ),
            },
            "prompt": {
                "file": first["file"],
                "values": values(
                    first_mel,
                    points(model.n_mels, speech_frames, 180, 2)
                    + [(band, speech_frames + 30 * band) for band in range(0, model.n_mels, 4)],
                ),
            },
        },
        "encoder": {
            "file": first["file"],
            "positions": int(first_encoded.shape[0]),
            "width": int(first_encoded.shape[1]),
            "root_mean_square": round(float(np.sqrt((first_encoded**2).mean())), 6),
            "values": values(
                first_encoded,
                points(speech_frames // 2, first_encoded.shape[1], 48, 3)
                + [(300 + 75 * n, (97 * n) % first_encoded.shape[1]) for n in range(16)],
            ),
        },
        "utterances": [one for one, _, _ in said],
    }
    output.parent.mkdir(parents=True, exist_ok=True)
    output.write_text(layout(golden) + "\n")
    for one, _, _ in said:
        print(one["file"], one["no_speech_probability"], one["text"])
    print(f"{output}: {output.stat().st_size} bytes")


if __name__ == "__main__":
    main()
