// SPDX-License-Identifier: MPL-2.0

//! Results are a function of the samples: however they come, and whatever else is done.

use crate::{finals, hear, interims, said};
use std::time::Duration;
use symbl_service::recognizer::RecognisedWord;
use symbl_service::recognizer::whisper::{Whisper, WhisperConfig};
use symbl_testkit::engine::whisper;
use symbl_testkit::model::model;
use symbl_testkit::speech::{samples_in, talk, talk_prompts, time_of, word_errors};

/// Longer than the pause that ends an utterance.
const PAUSE: Duration = Duration::from_millis(900);

#[test]
fn the_same_audio_gives_the_same_list_however_it_is_cut() {
    let Some(model) = model("tiny.en") else {
        return;
    };
    // Ends in the middle of a word, with a look that was just asked for.
    let Some((mut talk, places)) = talk(&talk_prompts()[..3], PAUSE) else {
        return;
    };
    talk.truncate(places[2].end - samples_in(Duration::from_millis(400)));
    let engine = Whisper::open(WhisperConfig {
        every_look: true,
        ..WhisperConfig::new(model)
    });
    let engine = engine.expect("an engine");
    let whole = hear(&engine, &talk, talk.len(), true);
    assert_eq!(finals(&whole).len(), 3, "{whole:?}");
    assert!(interims(&whole) >= 6, "{whole:?}");
    for chunk in [1, 160, 255, 256, 4_000] {
        let heard = hear(&engine, &talk, chunk, true);
        assert_eq!(heard, whole, "pieces of {chunk} samples");
    }
}

#[test]
fn interims_do_not_change_the_finals() {
    let Some(model) = model("tiny.en") else {
        return;
    };
    let prompts = talk_prompts();
    let Some((talk, _)) = talk(&prompts, PAUSE) else {
        return;
    };
    // Each look is waited for, so that each final has a draft.
    let engine = Whisper::open(WhisperConfig {
        every_look: true,
        ..WhisperConfig::new(model)
    });
    let engine = engine.expect("an engine");
    let with = hear(&engine, &talk, 1_600, true);
    let without = hear(&engine, &talk, 1_600, false);
    assert!(interims(&with) > 0);
    assert_eq!(interims(&without), 0);
    assert_eq!(finals(&with), finals(&without));
    // The comparison is of what was said.
    let reference: Vec<&str> = prompts.iter().map(|prompt| prompt.reference).collect();
    let reference = reference.join(" ");
    let errors = word_errors(&reference, &said(&finals(&with)));
    let words = reference.split_whitespace().count();
    assert!(errors * 10 <= words, "{errors} errors in {words} words");
}

/// Returns the finals from the first on that begins at `from` or later, and so long after
/// the one before that its utterance began there.
fn from_on(finals: &[Vec<RecognisedWord>], from: Duration) -> &[Vec<RecognisedWord>] {
    let begins = |n: usize| {
        let before = n.checked_sub(1).map(|n| &finals[n]);
        let end = before
            .and_then(|words| words.last())
            .map_or(Duration::ZERO, |word| word.end);
        finals[n][0].start >= from.max(end + PAUSE * 2 / 3)
    };
    let first = (0..finals.len())
        .find(|n| begins(*n))
        .unwrap_or(finals.len());
    &finals[first..]
}

#[test]
fn a_replay_from_any_place_gives_the_same_finals_for_what_begins_after_it() {
    let Some(engine) = whisper() else { return };
    let Some((talk, _)) = talk(&talk_prompts()[..6], PAUSE) else {
        return;
    };
    let whole = finals(&hear(&engine, &talk, 1_600, false));
    let mut random = fastrand::Rng::with_seed(18);
    let mut compared = 0;
    for n in 0..20 {
        // A client begins where a chunk of some milliseconds begins.
        let at = random.usize(..talk.len() * 9 / 10) / 16 * 16;
        let what = format!("replay {n}, from {:?}", time_of(at));
        let heard = finals(&hear(&engine, &talk[at..], 1_600, false));
        // A pause before an utterance is heard, too.
        let from = time_of(at) + PAUSE / 2;
        let expected = from_on(&whole, from);
        let heard = from_on(&heard, PAUSE / 2);
        let texts = |finals: &[Vec<RecognisedWord>]| -> Vec<String> {
            finals
                .iter()
                .map(|words| said(std::slice::from_ref(words)))
                .collect()
        };
        assert_eq!(texts(heard), texts(expected), "{what}");
        compared += expected.len();
        for (heard, expected) in heard.iter().flatten().zip(expected.iter().flatten()) {
            // Its frames begin at other samples, so that a word may be drawn to the beginning of
            // its voice in one and not in the other: by half a second at most.
            let off = (heard.start + time_of(at)).abs_diff(expected.start);
            assert!(
                off <= Duration::from_millis(500),
                "{what}: {heard:?}, not {expected:?}"
            );
        }
    }
    assert!(compared >= 40, "{compared} finals compared");
}

#[test]
fn eight_streams_at_once_have_the_finals_of_one_alone_in_order() {
    let Some(engine) = whisper() else { return };
    let Some((talk, _)) = talk(&talk_prompts()[3..6], PAUSE) else {
        return;
    };
    let alone = finals(&hear(&engine, &talk, 1_600, false));
    assert!(alone.len() >= 3, "{alone:?}");
    std::thread::scope(|scope| {
        let (engine, talk) = (&engine, &talk);
        let streams: Vec<_> = (0..8)
            .map(|n| scope.spawn(move || hear(engine, talk, 160 + 211 * n, n % 2 == 0)))
            .collect();
        for (n, stream) in streams.into_iter().enumerate() {
            let heard = stream.join().expect("no panic");
            assert_eq!(finals(&heard), alone, "stream {n}");
        }
    });
}
