# SPDX-License-Identifier: MPL-2.0
"""Checks how the sets are mixed, how errors are counted and what the report says.

    python3 -m unittest discover -s scripts/accuracy -p 'test_*.py'
"""

import array
import itertools
import json
import math
import pathlib
import sys
import tempfile
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).parent))

import audio
import report
import run
import score
import sets


def decibels(ratio):
    """Returns a ratio of powers in decibels."""
    return 10 * math.log10(ratio)


class Audio(unittest.TestCase):
    def setUp(self):
        # A second of speech between two of silence.
        self.speech = audio.clamp(
            audio.silence(1) + [8000 * value for value in audio.tones([300], 1)] + audio.silence(1)
        )

    def test_the_power_of_speech_does_not_count_the_silence_around_it(self):
        self.assertAlmostEqual(audio.speech_power(self.speech), 8000**2 / 2, delta=1e5)
        self.assertAlmostEqual(audio.power(self.speech), 8000**2 / 6, delta=1e5)

    def test_a_mixture_has_the_ratio_that_was_asked_for(self):
        noise = audio.at_level(audio.white_noise(0.5, seed=1), -12)
        for snr in [20, 0]:
            mixed = audio.mix(self.speech, noise, snr, offset=123_456)
            self.assertEqual(len(mixed), len(self.speech))
            behind = [value - said for value, said in zip(mixed, self.speech)]
            ratio = decibels(audio.speech_power(self.speech) / audio.power(behind))
            self.assertAlmostEqual(ratio, snr, delta=0.2)

    def test_a_mixture_that_is_too_loud_is_made_quieter_and_not_clipped(self):
        loud = audio.clamp(32_000 * value for value in audio.tones([300], 1))
        mixed = audio.mix(loud, loud, 0)
        self.assertLessEqual(max(map(abs, mixed)), audio.LOUDEST)
        self.assertAlmostEqual(audio.power(mixed) / audio.power(loud), 1.05, delta=0.1)

    def test_levels_and_clipping(self):
        quiet = audio.gain(self.speech, -20)
        self.assertAlmostEqual(audio.power(self.speech) / audio.power(quiet), 100, delta=1)
        clipped = audio.clip(self.speech, 0.5)
        self.assertEqual(max(clipped), max(self.speech) // 2)
        self.assertEqual(list(audio.clamp([1e9, -1e9, 0.6])), [32_767, -32_767, 1])

    def test_signals_without_speech_are_ten_have_their_length_and_are_made_alike(self):
        made = dict(audio.signals(4))
        self.assertEqual(len(made), 10)
        self.assertEqual({len(samples) for samples in made.values()}, {4 * audio.RATE})
        self.assertEqual(max(map(abs, made["silence"])), 0)
        level = decibels(audio.power(made["pink-30dB"]) / audio.LOUDEST**2)
        self.assertAlmostEqual(level, -30, delta=0.1)
        again = itertools.islice(audio.signals(4), 5)
        self.assertEqual(list(made.items())[:5], list(again))

    def test_a_file_gives_back_its_samples(self):
        with tempfile.TemporaryDirectory() as folder:
            path = pathlib.Path(folder) / "a.wav"
            audio.write_wav(path, array.array("h", [0, 1, -2, 32_767]), 8_000)
            self.assertEqual(audio.read_wav(path), (array.array("h", [0, 1, -2, 32_767]), 8_000))

    def test_a_program_that_fails_is_told_with_its_words(self):
        with self.assertRaisesRegex(RuntimeError, "status 3: no such thing"):
            audio.run(["sh", "-c", "echo no such thing >&2; exit 3"])


class Sets(unittest.TestCase):
    def test_the_prompts_are_227_and_the_channels_take_every_third(self):
        names = sets.prompt_names()
        self.assertEqual((len(names), len(set(names))), (227, 227))
        self.assertEqual(len(sets.some_prompt_names()), 76)
        self.assertLessEqual(set(sets.some_prompt_names()), set(names))

    def test_keys_are_said_by_name_and_remarks_are_not_said(self):
        self.assertEqual(sets.spoken("press * or #, now (a tone plays)"), "press star or pound , now")

    def test_thirty_words_and_ten_sentences(self):
        self.assertEqual((len(set(sets.WORDS)), len(set(sets.SENTENCES))), (30, 10))

    def test_a_set_is_made_once_and_again_when_its_making_changes(self):
        calls = []

        def make(_, folder):
            calls.append(folder)
            audio.write_wav(folder / "a.wav", audio.clamp(audio.silence(0.01)))
            return [{"name": "a", "path": "a.wav", "reference": "hello"}]

        with tempfile.TemporaryDirectory() as folder:
            sets.SETS["test"] = sets.Set("speech", "test", make)
            try:
                maker = sets.Maker(pathlib.Path(folder))
                for _ in range(2):
                    (row,) = maker.rows("test")
                self.assertTrue(row["path"].is_file())
                self.assertEqual(len(calls), 1)
                maker.version = "another"
                maker.make("test")
                self.assertEqual(len(calls), 2)
            finally:
                del sets.SETS["test"]


def line(text, errors, words, seconds=2.0, **more):
    """Returns a line of the runner."""
    return {
        "text": text, "errors": errors, "reference_words": words, "audio_seconds": seconds, **more
    }


def plain(text):
    """Splits a text in place of Whisper's normaliser."""
    return text.lower().replace("1", "one").split()


class Score(unittest.TestCase):
    def test_replaced_added_and_missing_words_are_errors(self):
        errors = lambda said, heard: score.word_errors(said.split(), heard.split())
        self.assertEqual(errors("the pound key", "the pound key"), 0)
        self.assertEqual(errors("the pound key", "the round key"), 1)
        self.assertEqual(errors("the pound key", "the pound or key"), 1)
        self.assertEqual(errors("the pound key", "pound"), 2)
        self.assertEqual(errors("the pound key", ""), 3)
        self.assertEqual(errors("", "the key"), 2)

    def test_a_rate_counts_words_and_not_recordings(self):
        self.assertEqual(score.percent([(1, 1), (0, 9)]), 10)
        self.assertIsNone(score.percent([(0, 0)]))
        self.assertIsNone(score.percent([]))

    def test_the_range_holds_the_rate_and_is_the_same_each_time(self):
        pairs = [(number % 4 == 0, 1) for number in range(100)]
        low, high = score.likely_range(pairs)
        self.assertLess(low, 25)
        self.assertGreater(high, 25)
        self.assertLess(high - low, 25)
        self.assertEqual(score.likely_range(pairs), [low, high])
        self.assertIsNone(score.likely_range([]))

    def test_both_ways_to_count_stand_beside_each_other(self):
        row = {"name": "a", "reference": "press one"}
        scored = score.scored(row, line("Press 1", 1, 2), plain)
        self.assertEqual((scored["own"], scored["whisper"]), ([1, 2], [0, 2]))
        self.assertTrue(scored["exact"])
        other = score.scored(row, line("", 2, 2, error="no"), plain)
        figures = score.summary([scored, other], cpu_seconds=1.0)
        self.assertEqual(figures["wer_own_percent"], 75)
        self.assertEqual(figures["wer_whisper_percent"], 50)
        self.assertEqual((figures["exact"], figures["empty"], figures["failed"]), (1, 1, 1))
        self.assertEqual(figures["words_heard"], 2)
        self.assertEqual(figures["cpu_seconds_per_audio_second"], 0.25)


class Report(unittest.TestCase):
    def result(self, rows, cpu_seconds=0.5):
        recordings = [score.scored(row, heard, plain) for row, heard in rows]
        return {"summary": score.summary(recordings, cpu_seconds), "recordings": recordings}

    def test_engines_stand_side_by_side_and_groups_below_their_set(self):
        rows = [{"name": v, "reference": "a b", "group": v} for v in ["slt", "rms"]]
        one = self.result([(rows[0], line("a b", 0, 2)), (rows[1], line("a c", 1, 2))])
        noise = [({"name": "hum", "reference": "", "group": "hum"}, line("you you", 2, 0))]
        results = {"x": {"f": one, "n": self.result(noise)}, "y": {"n": self.result(noise)}}
        text = report.markdown(
            results, ["x", "y"], [("speech", "f", "voices"), ("noise", "n", "hum")], ["a fact"]
        )
        self.assertIn("- a fact", text)
        self.assertIn("| voices | 2 | 25.0 (0.0–50.0) | 25.0 | 0.125 | – | – | – | – |", text)
        self.assertIn("| – rms | 1 | 50.0 (50.0–50.0) | 50.0 | – | – | – | – | – |", text)
        self.assertIn("| hum | 1 | 2 | 0.250 | 1 | 2 | 0.250 |", text)
        self.assertNotIn("failed", text)
        self.assertIn("x f rms: 1 of 2\n  said   a b\n  heard  a c", report.errors(results, ["x"]))

    def test_a_recording_that_failed_is_named(self):
        row = {"name": "a", "reference": "a"}
        results = {"x": {"f": self.result([(row, line("", 1, 1, error="refused"))])}}
        text = report.markdown(results, ["x"], [("speech", "f", "t")], [])
        self.assertIn("- x, f, a: refused", text)


class Run(unittest.TestCase):
    def test_an_engine_may_name_its_model(self):
        self.assertEqual(run.recognizer_options("pocketsphinx"), ["--recognizer", "pocketsphinx"])
        self.assertEqual(run.recognizer_options("whisper")[-1], "tiny.en")
        self.assertEqual(
            run.recognizer_options("whisper:base"), ["--recognizer", "whisper", "--model", "base"]
        )

    def test_the_third_comes_behind_the_whole_set_and_holds_its_prompts(self):
        names = [name for _, name, _ in run.titles(["d16", "gsm"])]
        self.assertEqual(names, ["d16", "d16-third", "gsm"])
        rows = [{"name": name, "reference": "a"} for name in sets.prompt_names()]
        recordings = [score.scored(row, line("a", 0, 1), plain) for row in rows]
        results = {"d16": {"recordings": recordings}}
        run.add_thirds(results)
        self.assertEqual(results["d16-third"]["summary"]["recordings"], 76)

    def test_a_slow_engine_plays_a_third_of_a_large_set_unless_it_has_to_play_all(self):
        with tempfile.TemporaryDirectory() as folder:
            made = pathlib.Path(folder) / "list.jsonl"
            rows = [{"name": str(number), "path": f"{number}.wav"} for number in range(7)]
            made.write_text("".join(json.dumps(row) + "\n" for row in rows))

            def names(engine, name, everything=False):
                return [row["name"] for row in run.rows_for(engine, name, made, everything)]

            self.assertEqual(names("pocketsphinx", "d16"), ["0", "3", "6"])
            self.assertEqual(len(names("pocketsphinx", "d16", everything=True)), 7)
            self.assertEqual(len(names("pocketsphinx", "noise")), 7)
            self.assertEqual(len(names("whisper", "d16")), 7)
            first = run.rows_for("whisper", "d16", made, False)[0]
            self.assertEqual(first["path"], str(pathlib.Path(folder) / "0.wav"))

    def test_a_service_that_does_not_start_is_told_with_its_words(self):
        with tempfile.TemporaryDirectory() as folder:
            program = pathlib.Path(folder) / "service"
            program.write_text("#!/bin/sh\necho no such model >&2\nexit 1\n")
            program.chmod(0o755)
            log = pathlib.Path(folder) / "log"
            with self.assertRaisesRegex(run.NotStarted, "it ended; it wrote: no such model"):
                with run.Service(program, "whisper", log):
                    self.fail("it has not started")


if __name__ == "__main__":
    unittest.main()
