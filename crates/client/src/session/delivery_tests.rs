// SPDX-License-Identifier: MPL-2.0

use super::messages::MAX_MESSAGES;
use super::*;
use crate::session::AudioFormat;
use crate::session::chunker::Chunk;
use bytes::Bytes;
use std::sync::Arc;
use symbl_protocol::response::{AudioPlace, Message};
use symbl_protocol::response::{MessageWord, Word};
use symbl_protocol::{Encoding, StreamFormat, StreamPlace};

const MS: u64 = 1_000_000;

fn given(number: u64, from_ms: u64, to_ms: u64) -> Generation {
    let mut generation = Generation::numbered(number);
    let wire = StreamFormat::new(Encoding::Linear16, 16_000).unwrap();
    generation.give(&Chunk {
        data: Bytes::new(),
        start: from_ms * MS,
        end: to_ms * MS,
        format: Arc::new(AudioFormat::new(wire)),
        entry: true,
        audible: true,
        loud: true,
        place: None,
    });
    generation
}

/// Returns a final whose words last 200 ms each, from `start_ms` of the service's time on.
fn result(text: &str, start_ms: u64) -> RecognitionResult {
    RecognitionResult {
        is_final: true,
        text: text.to_owned(),
        confidence: Some(0.9),
        words: text
            .split(' ')
            .zip(0u64..)
            .map(|(word, n)| Word {
                word: word.to_owned(),
                start: Duration::from_millis(start_ms + n * 200),
                end: Duration::from_millis(start_ms + n * 200 + 200),
            })
            .collect(),
        user: Some(Participant {
            id: Some("me".into()),
            ..Participant::default()
        }),
        start: None,
        stable_words: None,
        time_offset_ms: None,
        json: String::new(),
    }
}

fn message(id: &str, original: &str, from: &str, start_time: i64) -> Message {
    Message {
        id: Some(id.into()),
        text: original.to_uppercase(),
        original_text: Some(original.into()),
        from: Some(Participant {
            id: Some(from.into()),
            ..Participant::default()
        }),
        start_time: Some(start_time),
        end_time: Some(start_time + 400 * MS as i64),
        time_offset: None,
        duration: None,
        place: None,
        words: vec![MessageWord {
            word: "x".into(),
            start_time: Some(start_time),
            end_time: Some(start_time + 200 * MS as i64),
            time_offset: None,
            duration: None,
        }],
        sentiment: None,
        json: String::new(),
    }
}

#[test]
fn a_message_takes_the_places_of_the_words_it_repeats() {
    let (mut delivery, generation) = (Delivery::default(), given(1, 1000, 9000));
    let heard = delivery
        .place_result(&result("I'm fine. Thanks.", 500), &generation)
        .unwrap();
    assert_eq!(heard.span, 1500 * MS..2100 * MS);
    let first = delivery
        .place_message(&message("a", "I'm fine.", "me", 0), &generation)
        .unwrap();
    let second = delivery
        .place_message(&message("b", "Thanks.", "me", 0), &generation)
        .unwrap();
    assert_eq!(first.span, Some(1500 * MS..1900 * MS));
    assert_eq!(second.span, Some(1900 * MS..2100 * MS));
    assert_eq!(
        second.utterance_id.as_deref(),
        Some(heard.utterance_id.as_str())
    );
    assert_eq!(first.words[1], ("fine.".to_owned(), 1700 * MS..1900 * MS));
}

#[test]
fn words_are_the_same_however_their_letters_are_composed() {
    for (one, other) in [
        ("café", "cafe\u{301}"),
        ("Überall,", "u\u{308}berall"),
        ("한국", "\u{1112}\u{1161}\u{11ab}\u{1100}\u{116e}\u{11a8}"),
    ] {
        assert_eq!(key(one), key(other));
    }
    assert_ne!(key("café"), key("cafe"), "another word");
}

#[test]
fn a_final_whose_message_was_lost_does_not_take_that_of_a_later_one() {
    let (mut delivery, generation) = (Delivery::default(), given(1, 0, 9000));
    for (text, start_ms) in [("Yes.", 0), ("Go on.", 1000), ("Yes.", 2000)] {
        delivery.place_result(&result(text, start_ms), &generation);
    }
    let mut said = |id: &str, text: &str| {
        let said = delivery.place_message(&message(id, text, "me", 0), &generation);
        said.and_then(|said| said.span)
    };
    assert_eq!(said("b", "Go on."), Some(1000 * MS..1400 * MS));
    assert_eq!(said("c", "Yes."), Some(2000 * MS..2200 * MS));
}

#[test]
fn equal_words_are_two_when_they_were_said_twice() {
    let (mut delivery, generation) = (Delivery::default(), given(1, 0, 9000));
    let first = delivery
        .place_result(&result("Yes.", 0), &generation)
        .unwrap();
    let second = delivery
        .place_result(&result("Yes.", 1000), &generation)
        .unwrap();
    assert_ne!(first.utterance_id, second.utterance_id);
    let one = delivery
        .place_message(&message("a", "Yes.", "me", 0), &generation)
        .unwrap();
    let two = delivery
        .place_message(&message("b", "Yes.", "me", 0), &generation)
        .unwrap();
    assert_eq!(
        (one.span.unwrap().start, two.span.unwrap().start),
        (0, 1000 * MS)
    );
}

#[test]
fn words_delivered_before_a_replay_are_not_delivered_again() {
    let mut delivery = Delivery::default();
    delivery
        .place_result(&result("one two", 0), &given(1, 0, 5000))
        .unwrap();
    assert_eq!(delivery.delivered(), 400 * MS);
    delivery.begin_generation(given(1, 0, 5000));
    let replay = given(2, 200, 5000); // the service hears "two" once more
    let heard = delivery
        .place_result(&result("two three", 0), &replay)
        .unwrap();
    assert_eq!(
        (heard.text.as_str(), heard.span),
        ("three", 400 * MS..600 * MS)
    );
    assert_eq!(
        delivery.place_result(&result("two three", 0), &replay),
        None
    );
}

#[test]
fn the_message_of_repeated_words_and_what_refers_to_it_are_dropped() {
    let mut delivery = Delivery::default();
    delivery
        .place_result(&result("one", 0), &given(1, 0, 5000))
        .unwrap();
    delivery
        .place_message(&message("a", "one", "me", 0), &given(1, 0, 5000))
        .unwrap();
    let replay = given(2, 0, 5000);
    assert_eq!(delivery.place_result(&result("one", 0), &replay), None);
    assert_eq!(
        delivery.place_message(&message("b", "one", "me", 0), &replay),
        None
    );
    assert_eq!(delivery.referring(Some("b")), None);
    assert_eq!(delivery.referring(Some("a")), Some(Some(0..200 * MS)));
}

#[test]
fn ids_are_delivered_once() {
    let (mut delivery, generation) = (Delivery::default(), given(1, 0, 5000));
    assert!(
        delivery
            .place_message(&message("a", "hello", "me", 0), &generation)
            .is_some()
    );
    assert!(
        delivery
            .place_message(&message("a", "hello", "me", 0), &generation)
            .is_none()
    );
    assert!(delivery.insight(Some("i"), Some("a")).is_some());
    assert!(delivery.insight(Some("i"), Some("a")).is_none());
}

#[test]
fn an_insight_may_have_the_id_of_its_message() {
    let (mut delivery, generation) = (Delivery::default(), given(1, 0, 5000));
    delivery
        .place_message(&message("a", "hello", "me", 0), &generation)
        .unwrap();
    assert!(delivery.insight(Some("a"), Some("a")).is_some());
}

#[test]
fn another_speakers_message_is_placed_by_the_wall_clock() {
    let (mut delivery, generation) = (Delivery::default(), given(1, 0, 9000));
    let wall = 1_700_000_000_000_000_000;
    delivery
        .place_result(&result("hello", 1000), &generation)
        .unwrap();
    let early = delivery
        .place_message(&message("x", "hello", "other", wall), &generation)
        .unwrap();
    assert_eq!(
        early.span, None,
        "no offset between the clocks is known yet"
    );
    delivery
        .place_message(
            &message("a", "hello", "me", wall + 1000 * MS as i64),
            &generation,
        )
        .unwrap();
    let other = delivery
        .place_message(
            &message("b", "hello", "other", wall + 3000 * MS as i64),
            &generation,
        )
        .unwrap();
    assert_eq!(other.span, Some(3000 * MS..3400 * MS));
    assert_eq!(
        (other.utterance_id, other.words[0].1.clone()),
        (None, 3000 * MS..3200 * MS)
    );
}

#[test]
fn a_message_is_delivered_without_words_that_an_earlier_message_had() {
    let mut delivery = Delivery::default();
    delivery.place_result(&result("one two", 0), &given(1, 0, 5000));
    delivery.place_message(&message("a", "one two", "me", 0), &given(1, 0, 5000));
    let replay = given(2, 200, 5000);
    delivery
        .place_result(&result("two three", 0), &replay)
        .unwrap();
    let said = delivery
        .place_message(&message("b", "two three", "me", 0), &replay)
        .unwrap();
    assert_eq!(said.text.as_deref(), Some("three"));
    assert_eq!(said.span, Some(400 * MS..600 * MS));
    assert_eq!(said.words.len(), 1);
}

#[test]
fn a_message_that_was_lost_with_the_link_comes_with_the_replay() {
    let mut delivery = Delivery::default();
    delivery.place_result(&result("one", 0), &given(1, 0, 5000));
    delivery.place_message(&message("a", "one", "me", 0), &given(1, 0, 5000));
    assert_eq!(delivery.settled(), 200 * MS);
    delivery.place_result(&result("two", 1000), &given(1, 0, 5000));
    assert_eq!(delivery.settled(), 500 * MS, "in the silence before it");
    let replay = given(2, 500, 5000);
    assert_eq!(delivery.place_result(&result("two", 500), &replay), None);
    let said = delivery.place_message(&message("b", "two", "me", 0), &replay);
    assert_eq!(said.unwrap().span, Some(1000 * MS..1200 * MS));
    assert_eq!(delivery.settled(), 1200 * MS);
}

/// Wall clock at position zero of the first start.
const WALL: i64 = 1_700_000_000_000_000_000;

/// Returns a message at `at_ms` of the first start, in which "hello" was said at one second.
fn remembered(id: &str, text: &str, from: &str, at_ms: i64) -> Message {
    message(id, text, from, WALL + at_ms * MS as i64)
}

/// Returns a delivery after a connection that was lost after "hello".
fn after_an_outage() -> Delivery {
    let mut delivery = Delivery::default();
    let first = given(1, 0, 9000);
    let mut hello = result("hello", 1000);
    hello.user = Some(Participant {
        id: Some("me".into()),
        ..Participant::default()
    });
    delivery.place_result(&hello, &first).unwrap();
    let said = delivery.place_message(&remembered("a", "hello", "me", 1000), &first);
    said.unwrap();
    let early = remembered("b", "early", "other", 2000);
    delivery.place_message(&early, &first).unwrap();
    delivery.begin_generation(first);
    delivery
}

#[test]
fn only_missed_messages_of_the_history_are_delivered_whatever_their_ids() {
    let mut delivery = after_an_outage();
    let replay = 1200 * MS; // all audio that was not finalised
    let mut recall = |message: Message| delivery.recall(&message, replay, &Generation::default());
    assert_eq!(recall(remembered("1", "hello", "me", 1000)), None);
    assert_eq!(recall(remembered("2", "early", "other", 2000)), None);
    // A message of this client's speaker, which comes again with the replay.
    assert_eq!(recall(remembered("3", "mine", "me", 3000)), None);
    let missed = recall(remembered("4", "theirs", "other", 4000)).unwrap();
    assert_eq!(missed.span, Some(4000 * MS..4400 * MS));
    // Two participants may speak at once.
    assert!(recall(remembered("5", "third", "third", 4000)).is_some());
    assert_eq!(recall(remembered("6", "theirs", "other", 4000)), None);
    let live = remembered("7", "theirs", "other", 4000);
    assert_eq!(delivery.place_message(&live, &given(2, 1200, 9000)), None);
}

#[test]
fn the_history_fills_what_no_replay_can() {
    let mut delivery = after_an_outage();
    let replay = 5000 * MS; // the buffer was too short
    let mut recall = |message: Message| delivery.recall(&message, replay, &Generation::default());
    let missed = recall(remembered("1", "mine", "me", 3000)).unwrap();
    assert_eq!(missed.span, Some(3000 * MS..3400 * MS));
    assert_eq!(recall(remembered("2", "mine", "me", 3000)), None);
    assert_eq!(recall(remembered("3", "again", "me", 6000)), None);
}

#[test]
fn messages_from_before_the_session_are_not_delivered() {
    let mut delivery = after_an_outage();
    let before = remembered("1", "long ago", "other", -60_000);
    assert_eq!(delivery.recall(&before, 0, &Generation::default()), None);
    // A message that was delivered so long ago that it is forgotten is not delivered again.
    let second = given(2, 0, 9000);
    for n in 0..1000 {
        let message = remembered(&format!("m{n}"), "x", "other", 3000 + n);
        delivery.place_message(&message, &second);
    }
    let known = remembered("2", "x", "other", 3000);
    assert_eq!(delivery.recall(&known, 0, &Generation::default()), None);
}

#[test]
fn no_more_of_the_history_is_fetched_than_may_have_been_missed() {
    let nothing = Delivery::default();
    assert_eq!(nothing.told_until(), None);
    assert_eq!(nothing.missed_since(None), None);
    let mut delivery = after_an_outage();
    let at = |ms: i64| WALL + ms * MS as i64;
    assert_eq!(delivery.told_until(), Some(at(2000)));
    // The session began at zero.
    assert_eq!(delivery.missed_since(None), Some(at(0)));
    assert_eq!(delivery.missed_since(Some(at(2000))), Some(at(0)));
    // An hour later, messages that began five minutes before the last one have been delivered.
    let later = Some(at(3_600_000));
    assert_eq!(delivery.missed_since(later), Some(at(3_300_000)));
    // A forgotten message cannot be recognised, so that none as old is fetched.
    for n in 0..1000 {
        let message = remembered(&format!("m{n}"), "x", "other", 3_500_000 + n);
        delivery.place_message(&message, &given(2, 0, 9000));
    }
    let since = delivery.missed_since(later);
    assert!(since > Some(at(3_500_000)), "{since:?}");
}

#[test]
fn an_interim_has_only_words_that_no_final_had() {
    let mut delivery = Delivery::default();
    delivery.place_result(&result("one two", 0), &given(1, 0, 5000));
    let interim = |text: &str| RecognitionResult {
        is_final: false,
        ..result(text, 0)
    };
    let replay = given(2, 200, 5000);
    assert_eq!(delivery.place_result(&interim("two"), &replay), None);
    let heard = delivery
        .place_result(&interim("two three"), &replay)
        .unwrap();
    assert_eq!(heard.text, "three");
}

#[test]
fn interims_share_the_id_of_the_final_that_ends_them() {
    let (mut delivery, generation) = (Delivery::default(), given(1, 0, 9000));
    let interim = RecognitionResult {
        is_final: false,
        words: Vec::new(),
        ..result("hel", 0)
    };
    let first = delivery.place_result(&interim, &generation).unwrap();
    let end = delivery
        .place_result(&result("hello", 0), &generation)
        .unwrap();
    let next = delivery.place_result(&interim, &generation).unwrap();
    assert_eq!(first.utterance_id, end.utterance_id);
    assert_ne!(first.utterance_id, next.utterance_id);
    assert_eq!(
        next.span.start,
        200 * MS,
        "an interim begins after the last final"
    );
}

#[test]
fn an_interim_stands_where_its_utterance_starts_if_the_service_says_so() {
    let (mut delivery, generation) = (Delivery::default(), given(1, 0, 9000));
    let interim = RecognitionResult {
        is_final: false,
        words: Vec::new(),
        start: Some(Duration::from_secs(7)),
        ..result("hel", 0)
    };
    let heard = delivery.place_result(&interim, &generation).unwrap();
    assert_eq!(heard.span, 7000 * MS..9000 * MS);
}

/// Returns an interim of these words, of which the first `stable` are stable.
fn promised(text: &str, stable: usize) -> RecognitionResult {
    RecognitionResult {
        is_final: false,
        stable_words: Some(stable),
        ..result(text, 0)
    }
}

#[test]
fn an_interim_has_the_places_of_its_words_and_says_which_are_stable() {
    let (mut delivery, generation) = (Delivery::default(), given(1, 1000, 9000));
    let interim = promised("one two three", 2);
    let heard = delivery.place_result(&interim, &generation).unwrap();
    assert_eq!(heard.stable, 2);
    let told: Vec<_> = heard.words.iter().map(|(_, span)| span.clone()).collect();
    let at = |ms: u64| ms * MS..(ms + 200) * MS;
    assert_eq!(told, [at(1000), at(1200), at(1400)]);
    assert_eq!(heard.span, 1000 * MS..1600 * MS);
    let promise_of_final = RecognitionResult {
        is_final: true,
        ..interim
    };
    let last = delivery.place_result(&promise_of_final, &generation);
    assert_eq!(last.unwrap().stable, 0);
}

#[test]
fn stable_words_that_a_final_had_are_not_counted() {
    let mut delivery = Delivery::default();
    delivery.place_result(&result("one two", 0), &given(1, 0, 5000));
    let replay = given(2, 200, 5000);
    for (stable, expected) in [(1, 0), (2, 1), (3, 2)] {
        let heard = delivery
            .place_result(&promised("two three four", stable), &replay)
            .unwrap();
        assert_eq!(
            (heard.text.as_str(), heard.stable),
            ("three four", expected)
        );
    }
}

#[test]
fn without_word_times_the_promise_stays_as_it_is() {
    let (mut delivery, generation) = (Delivery::default(), given(1, 0, 9000));
    let interim = RecognitionResult {
        words: Vec::new(),
        ..promised("one two three", 2)
    };
    let heard = delivery.place_result(&interim, &generation).unwrap();
    assert_eq!((heard.stable, heard.words.len()), (2, 0));
}

#[test]
fn memory_is_bounded() {
    let (mut delivery, generation) = (Delivery::default(), given(1, 0, 900_000));
    for n in 0..2000u64 {
        delivery.place_result(&result("word", n * 200), &generation);
        delivery.place_message(&message(&n.to_string(), "nomatch", "me", 0), &generation);
    }
    assert!(delivery.finals.len() <= MAX_FINALS && delivery.known.len() <= MAX_MESSAGES);
}

/// Returns a start that was given all audio from `from_ms` to 9 s of the stream `id`, which
/// begins with the session.
fn given_of(number: u64, id: &str, from_ms: u64) -> Generation {
    let mut generation = given(number, from_ms, 9000);
    generation.tell(Some(&StreamPlace {
        id: id.to_owned(),
        attempt: number,
        position: from_ms * MS,
    }));
    generation
}

/// Returns a message whose words stand at this place of the stream `id`. Its words and its
/// wall clock time say nothing of that.
fn message_at(id: &str, words: &str, stream: &str, from_ms: u64, until_ms: u64) -> Message {
    Message {
        place: Some(AudioPlace {
            stream: StreamPlace::tag(stream),
            from: from_ms * MS,
            until: until_ms * MS,
        }),
        ..message(id, words, "me", 77)
    }
}

#[test]
fn a_message_that_says_its_place_is_that_of_the_words_there_and_of_no_others() {
    let mut delivery = Delivery::default();
    let first = given_of(1, "s", 0);
    for start_ms in [0, 1000] {
        delivery.place_result(&result("Yes.", start_ms), &first);
    }
    // The connection breaks before their messages come. The message of the first one is not
    // told again: its audio comes before the replay.
    delivery.begin_generation(first);
    let replay = given_of(2, "s", 900);
    assert_eq!(delivery.place_result(&result("Yes.", 100), &replay), None);
    delivery
        .place_result(&result("Yes.", 1100), &replay)
        .unwrap();
    let mut span = |id: &str, from_ms| {
        let message = message_at(id, "Yes.", "s", from_ms, from_ms + 200);
        delivery.place_message(&message, &replay).unwrap().span
    };
    assert_eq!(span("b", 1000), Some(1000 * MS..1200 * MS));
    assert_eq!(span("c", 2000), Some(2000 * MS..2200 * MS));
}

#[test]
fn a_message_of_another_stream_has_no_place_in_this_one() {
    let (mut delivery, generation) = (Delivery::default(), given_of(1, "s", 0));
    delivery.place_result(&result("Yes.", 1000), &generation);
    let of_another = message_at("a", "Yes.", "another", 1000, 1200);
    let said = delivery.place_message(&of_another, &generation).unwrap();
    assert_eq!(said.span, None, "nobody knows when that was");
    let own = message_at("b", "Yes.", "s", 1000, 1200);
    let said = delivery.place_message(&own, &generation).unwrap();
    assert_eq!(said.span, Some(1000 * MS..1200 * MS));
}

#[test]
fn a_message_before_its_final_stands_at_its_place_and_comes_once() {
    let mut delivery = Delivery::default();
    let first = given_of(1, "s", 0);
    delivery.place_result(&result("Yes.", 1000), &first);
    delivery.begin_generation(first);
    // All sockets of the conversation are told it, and this one has sent nothing yet.
    let mut replay = Generation::numbered(2);
    replay.tell(Some(&StreamPlace {
        id: "s".to_owned(),
        attempt: 2,
        position: 900 * MS,
    }));
    let early = message_at("b", "Yes.", "s", 2000, 2400);
    let said = delivery.place_message(&early, &replay).unwrap();
    assert_eq!(said.span, Some(2000 * MS..2400 * MS));
    assert_eq!(said.words, [("x".to_owned(), 2000 * MS..2200 * MS)]);
    let replay = given_of(2, "s", 900);
    delivery
        .place_result(&result("Yes. Yes.", 1100), &replay)
        .unwrap();
    assert_eq!(delivery.place_message(&early, &replay), None);
    let again = message_at("c", "Yes. Yes.", "s", 2000, 2400);
    assert_eq!(
        delivery.place_message(&again, &replay),
        None,
        "all was told"
    );
}

#[test]
fn a_final_of_audio_that_is_not_sent_again_stands_at_its_place_of_before() {
    let mut delivery = Delivery::default();
    delivery.begin_generation(given_of(1, "s", 0));
    // A flush ends the replay after 100 ms. The service tells all that it has stored.
    let mut replay = given(2, 900, 1000);
    replay.tell(Some(&StreamPlace {
        id: "s".to_owned(),
        attempt: 2,
        position: 900 * MS,
    }));
    let heard = delivery.place_result(&result("Yes. No.", 1100), &replay);
    assert_eq!(heard.unwrap().span, 2000 * MS..2400 * MS);
    assert_eq!(delivery.delivered(), 2400 * MS);
}
