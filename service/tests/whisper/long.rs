// SPDX-License-Identifier: MPL-2.0

//! A minute of speech without a pause, which has no good place to cut.

use crate::{doubled, finals, hear, joined, said};
use std::time::Duration;
use symbl_service::recognizer::RecognisedWord;
use symbl_testkit::engine::whisper;
use symbl_testkit::speech::{samples, samples_in, talk_prompts, word_errors};

/// A louder sample belongs to speech.
const LOUD: u16 = 500;
/// Speech is loud at least so often.
const FRAME: Duration = Duration::from_millis(50);

/// Returns how much loud audio there is in `audio`.
fn loud(audio: &[i16]) -> Duration {
    let frames = audio.chunks(samples_in(FRAME));
    let is_loud = |frame: &&[i16]| frame.iter().any(|sample| sample.unsigned_abs() > LOUD);
    FRAME * u32::try_from(frames.filter(is_loud).count()).expect("a minute")
}

#[test]
fn a_minute_without_a_pause_is_heard_to_its_end_and_once() {
    let Some(engine) = whisper() else { return };
    let prompts = [talk_prompts(), samples("dev")].concat();
    let Some(audio) = joined(&prompts) else {
        return;
    };
    assert!(audio.len() >= samples_in(Duration::from_secs(60)));
    let finals = finals(&hear(&engine, &audio, 1_600, true));
    let longest = finals
        .iter()
        .map(|words| words[words.len() - 1].end - words[0].start);
    assert!(
        longest.max() > Some(Duration::from_secs(10)),
        "it has pauses"
    );

    let reference: Vec<&str> = prompts.iter().map(|prompt| prompt.reference).collect();
    let reference = reference.join(" ");
    let text = said(&finals);
    let count = reference.split_whitespace().count();
    let errors = word_errors(&reference, &text);
    println!(
        "{errors} errors in {count} words of {} finals",
        finals.len()
    );
    assert!(
        errors * 100 <= count * 8,
        "{errors} errors in {count} words: {text}"
    );
    assert_eq!(doubled(&finals, &reference), Vec::<String>::new(), "{text}");

    let words: Vec<RecognisedWord> = finals.concat();
    let mut end = Duration::ZERO;
    for word in &words {
        if word.start > end {
            let gap = loud(&audio[samples_in(end)..samples_in(word.start).min(audio.len())]);
            assert!(
                gap <= Duration::from_secs(2),
                "{gap:?} before {word:?} are unheard"
            );
        }
        end = end.max(word.end);
    }
    let rest = loud(&audio[samples_in(end).min(audio.len())..]);
    assert!(
        rest <= Duration::from_secs(2),
        "the last {rest:?} are unheard"
    );
}
