// SPDX-License-Identifier: MPL-2.0

use super::*;
use crate::session::event::GapReason;
use std::time::Duration;

const MS: u64 = 1_000_000;

/// A track whose audio has running times equal to its positions, and the pad behind it.
struct Pad {
    track: Track<&'static str>,
    /// Running time in milliseconds; `None` unless the pipeline plays.
    now: Option<u64>,
    time: Duration,
    out: Vec<Output<&'static str>>,
}

impl Pad {
    fn new(config: TrackConfig, live: bool) -> Self {
        let mut track = Track::new(config);
        track.set_latency(live.then_some(0));
        track.segment(at(0), 0, "segment");
        let mut pad = Self {
            track,
            now: live.then_some(0),
            time: Duration::ZERO,
            out: Vec::new(),
        };
        pad.pull();
        pad
    }

    /// Returns a live pad with this latency in milliseconds.
    fn live(latency: u64) -> Self {
        let latency = latency * MS;
        Self::new(
            TrackConfig {
                latency,
                ..TrackConfig::default()
            },
            true,
        )
    }

    /// Returns a live pad with this latency in milliseconds, on which words of interims go.
    fn committing(latency: u64) -> Self {
        let config = TrackConfig {
            latency: latency * MS,
            commits_interims: true,
            ..TrackConfig::default()
        };
        Self::new(config, true)
    }

    /// Drops the audio before 6 s, behind which running time begins anew. Returns the marks that
    /// waited.
    fn flush(&mut self) -> Vec<&'static str> {
        let waited = self.track.flush(6000 * MS);
        self.out.clear();
        let start = Moment {
            position: 6000 * MS,
            running_time: 0,
        };
        // Time starts over; the positions of the audio go on.
        self.track.segment(start, 0, "segment");
        self.now = Some(0);
        waited
    }

    fn clock(&self) -> Now {
        Now {
            time: self.time,
            running_time: self.now.map(|now| now * MS),
        }
    }

    /// Takes all that there is, and checks what holds for every pad.
    fn pull(&mut self) {
        while let Some(output) = self.track.poll(self.clock()) {
            self.out.push(output);
        }
    }

    /// Lets the clock run up to `millis` in steps of a tick.
    fn run(&mut self, millis: u64) {
        let mut now = self.now.expect("a live pad");
        while now < millis {
            now = (now + TICK / MS).min(millis);
            self.now = Some(now);
            self.pull();
        }
    }

    fn say(&mut self, words: &[(&str, u64, u64)]) {
        self.take(&event(words, true, 0));
    }

    fn take(&mut self, event: &Event) {
        self.track.take(event, self.clock());
        self.pull();
    }

    /// Returns the texts as (text, start, duration) in milliseconds.
    fn texts(&self) -> Vec<(&str, u64, u64)> {
        let texts = self.out.iter().filter_map(|output| match output {
            Output::Text(text) => Some((text.text.as_str(), text.start / MS, text.duration / MS)),
            _ => None,
        });
        texts.collect()
    }

    /// Returns the running time up to which the pad is covered, in milliseconds, after a check
    /// that it has no holes.
    fn covered(&self) -> u64 {
        let mut covered = 0;
        for output in &self.out {
            let (start, duration) = match output {
                Output::Text(text) => {
                    assert!(!text.text.trim().is_empty());
                    (text.start, text.duration)
                }
                Output::Gap { start, duration } => {
                    assert!(*duration <= LONGEST_GAP, "{output:?}");
                    (*start, *duration)
                }
                _ => continue,
            };
            assert!(duration > 0, "{output:?}");
            assert_eq!(start, covered, "{output:?} after {covered}");
            covered = start + duration;
        }
        covered / MS
    }

    /// Returns the marks, finals and texts in their order.
    fn order(&self) -> Vec<&str> {
        let told = self.out.iter().filter_map(|output| match output {
            Output::Text(text) => Some(text.text.as_str()),
            Output::Mark(mark) => Some(*mark),
            Output::Final => Some("|"),
            _ => None,
        });
        told.collect()
    }

    fn late(&self) -> usize {
        let late = |output: &&Output<_>| matches!(output, Output::Late { .. });
        self.out.iter().filter(late).count()
    }
}

fn at(millis: u64) -> Moment {
    Moment {
        position: millis * MS,
        running_time: millis * MS,
    }
}

fn place(from: u64, until: u64) -> Placement {
    Placement {
        from: from * MS,
        until: until * MS,
        running_time: Some(from * MS),
        duration: Some((until - from) * MS),
        ..Placement::default()
    }
}

fn placed(kind: EventKind, place: Placement) -> Event {
    Event {
        generation: 1,
        conversation_id: None,
        placement: Some(place),
        json: None,
        kind,
    }
}

fn event(words: &[(&str, u64, u64)], is_final: bool, stable_words: usize) -> Event {
    let text: Vec<&str> = words.iter().map(|(word, ..)| *word).collect();
    let placed_word = |(word, from, until): &(&str, u64, u64)| PlacedWord {
        word: (*word).into(),
        audio: from * MS..until * MS,
        running_time: Some(from * MS),
        duration: Some((until - from) * MS),
    };
    let kind = EventKind::Transcript {
        text: text.join(" "),
        is_final,
        utterance_id: "u1".into(),
        confidence: None,
        speaker: None,
        words: words.iter().map(placed_word).collect(),
        stable_words,
    };
    placed(kind, place(words[0].1, words[words.len() - 1].2))
}

fn interim(words: &[(&str, u64, u64)], stable: usize) -> Event {
    event(words, false, stable)
}

#[test]
fn words_stand_at_their_time_with_gaps_between() {
    let mut pad = Pad::live(2000);
    pad.run(2200);
    pad.say(&[
        ("one", 1000, 1150),
        ("two", 1200, 1400),
        ("three.", 1400, 1700),
    ]);
    let words = [
        ("one", 1000, 150),
        ("two", 1200, 200),
        ("three.", 1400, 300),
    ];
    assert_eq!(pad.texts(), words);
    assert_eq!(pad.order(), ["segment", "one", "two", "three.", "|"]);
    pad.run(10_000);
    assert!(pad.covered() >= 8_100, "{}", pad.covered());
    assert_eq!(pad.late(), 0);
}

#[test]
fn a_short_word_lasts_as_long_as_captions_take_to_carry_it_if_there_is_room() {
    let mut pad = Pad::live(8000);
    pad.say(&[
        ("a", 1000, 1010),
        ("conference", 1020, 1030),
        ("b", 2000, 2001),
    ]);
    // Behind the last one there may be another word in the next final.
    let words = [("a", 1000, 20), ("conference", 1020, 366), ("b", 2000, 1)];
    assert_eq!(pad.texts(), words);
}

#[test]
fn the_pad_goes_on_by_the_clock_if_the_service_says_nothing() {
    let mut pad = Pad::live(1000);
    for now in (100..=10_000).step_by(100) {
        pad.run(now);
        let behind = (now + 100).saturating_sub(1000);
        assert!(pad.covered() >= behind, "{} at {now}", pad.covered());
        assert!(pad.covered() <= behind + 250, "{} at {now}", pad.covered());
    }
}

#[test]
fn upstream_and_lateness_give_the_text_more_time() {
    let config = TrackConfig {
        latency: 1000 * MS,
        lateness: 500 * MS,
        ..TrackConfig::default()
    };
    let mut pad = Pad::new(config, true);
    pad.track.set_latency(Some(300 * MS));
    pad.run(2600);
    assert!((900..=1000).contains(&pad.covered()), "{}", pad.covered());
    pad.say(&[("late?", 1000, 1200)]);
    assert_eq!(pad.texts(), [("late?", 1000, 200)]);
}

#[test]
fn while_the_clock_stands_the_promise_stands() {
    let mut pad = Pad::live(1000);
    pad.run(3000);
    let covered = pad.covered();
    pad.now = None;
    pad.pull();
    assert_eq!(pad.covered(), covered);
    assert_eq!(pad.track.next_timeout(pad.clock()), None);
}

#[test]
fn late_words_follow_in_order_at_a_pace_that_captions_carry() {
    let mut pad = Pad::live(1000);
    pad.run(5000);
    let cursor = pad.covered();
    pad.say(&[("first", 1000, 1300), ("second", 1300, 1600)]);
    let texts = pad.texts();
    assert_eq!(
        texts,
        [("first", cursor, 200), ("second", cursor + 200, 233)]
    );
    assert_eq!(pad.late(), 1, "one warning");
    let stats = pad.track.stats();
    assert_eq!((stats.words_pushed, stats.words_moved), (2, 2));
    assert_eq!(stats.lateness_max, (cursor - 1000) * MS);
    pad.covered();
    // On time again, then late again: another warning.
    pad.run(6000);
    pad.say(&[("third", 5500, 5800)]);
    pad.run(9000);
    pad.say(&[("fourth", 6000, 6200)]);
    assert_eq!(pad.late(), 2);
}

#[test]
fn late_words_may_be_left_out_or_keep_their_time() {
    for (late, expected) in [
        (LateText::Drop, &[][..]),
        (LateText::Keep, &[("word", 1000, 300)][..]),
    ] {
        let config = TrackConfig {
            latency: 1000 * MS,
            late,
            ..TrackConfig::default()
        };
        let mut pad = Pad::new(config, true);
        pad.run(5000);
        pad.say(&[("word", 1000, 1300)]);
        assert_eq!(pad.texts(), expected, "{late:?}");
        let stats = pad.track.stats();
        let dropped = u64::from(late == LateText::Drop);
        assert_eq!(
            (stats.words_dropped, stats.words_moved),
            (dropped, 1 - dropped)
        );
        assert_eq!(pad.late(), 1);
    }
}

#[test]
fn a_backlog_loses_its_old_end() {
    let mut pad = Pad::live(1000);
    pad.run(200_000);
    let cursor = pad.covered();
    let words: Vec<String> = (0..400).map(|n| format!("word{n:03}")).collect();
    let words: Vec<(&str, u64, u64)> = (0..)
        .zip(&words)
        .map(|(n, word)| (word.as_str(), 1000 + n * 300, 1250 + n * 300))
        .collect();
    pad.say(&words);
    let texts = pad.texts();
    let shown = pad.covered() - cursor;
    assert!((29_000..=30_000).contains(&shown), "{shown} ms");
    assert_eq!(texts.last().map(|text| text.0), Some("word399"));
    let stats = pad.track.stats();
    assert_eq!(stats.words_dropped + stats.words_pushed, 400);
    assert!(stats.words_dropped > 200);
}

#[test]
fn events_come_between_the_texts_of_the_audio_around_them() {
    let mut pad = Pad::live(8000);
    pad.track.mark(at(1500), "tag");
    pad.track.segment(at(3000), 3000 * MS, "next");
    pad.pull();
    assert_eq!(pad.order(), ["segment"], "text before them may come");
    pad.say(&[("before", 1000, 1400)]);
    pad.say(&[("between", 2000, 2400)]);
    pad.say(&[("behind", 3100, 3400)]);
    let expected = [
        "segment", "before", "|", "tag", "between", "|", "next", "behind", "|",
    ];
    assert_eq!(pad.order(), expected);
    pad.covered();
    // One for which nothing comes passes at its deadline.
    pad.track.mark(at(5000), "late");
    pad.run(12_700);
    assert!(!pad.order().contains(&"late"));
    pad.run(13_000);
    assert!(pad.order().contains(&"late"));
    pad.covered();
}

#[test]
fn a_segment_that_starts_later_begins_there_and_late_text_is_not_covered_again() {
    let mut pad = Pad::live(1000);
    pad.say(&[("word", 0, 500)]);
    // Nothing lies between, in whichever steps a gap would have come.
    pad.track.segment(at(501), 60_000 * MS, "later");
    pad.take(&placed(EventKind::Heard, place(0, 501)));
    let gap = Output::Gap {
        start: 60_000 * MS,
        duration: 100 * MS,
    };
    pad.track.end(
        Moment {
            position: 601 * MS,
            running_time: 60_100 * MS,
        },
        "end",
    );
    pad.pull();
    assert_eq!(pad.out[pad.out.len() - 2], gap);

    let mut pad = Pad::live(1000);
    pad.run(3000);
    pad.say(&[("late", 0, 200)]);
    let covered = pad.covered();
    assert!(covered > 2100, "{covered}");
    pad.track.segment(at(2000), 2000 * MS, "next");
    pad.run(4000);
    assert_eq!(pad.order().last(), Some(&"next"));
    pad.covered(); // which finds that nothing is covered twice
}

#[test]
fn audio_that_reaches_over_the_next_segment_is_not_covered_twice() {
    let mut pad = Pad::live(1000);
    // A packet of a loop ends behind the segment.
    pad.track.segment(at(1150), 1000 * MS, "loop");
    pad.run(3000);
    assert_eq!(pad.order(), ["segment", "loop"]);
    let covered = pad.covered();
    assert!(covered >= 2000, "{covered}");
    // A stream that begins again without a flush does go back.
    pad.track.segment(at(3000), 0, "again");
    pad.track.end(at(3001), "end");
    pad.pull();
    let again = pad.out.iter().rposition(|o| *o == Output::Mark("again"));
    let next = &pad.out[again.expect("a segment") + 1];
    assert!(matches!(next, Output::Gap { start: 0, .. }), "{next:?}");
}

#[test]
fn what_describes_a_stream_comes_before_its_first_gap() {
    let mut track = Track::new(TrackConfig::default());
    track.segment(at(0), 0, "segment");
    track.mark(at(0), "tag");
    let now = Now {
        time: Duration::ZERO,
        running_time: None,
    };
    assert_eq!(track.poll(now), Some(Output::Mark("segment")));
    assert_eq!(track.poll(now), Some(Output::Mark("tag")));
    assert!(matches!(track.poll(now), Some(Output::Gap { .. })));
}

#[test]
fn audio_that_is_not_live_is_covered_when_the_service_has_heard_it() {
    let mut pad = Pad::new(TrackConfig::default(), false);
    assert_eq!(pad.covered(), 1, "a first gap lets muxers begin");
    pad.track.sent(at(9000), pad.time);
    pad.take(&placed(EventKind::Heard, place(4000, 4000)));
    assert_eq!(pad.covered(), 4000);
    pad.say(&[("word", 5000, 5300)]);
    assert_eq!(pad.covered(), 5300);
    // Lost audio behind audio that is owed says nothing about that.
    let gap = EventKind::Gap {
        reason: GapReason::BufferFull,
    };
    pad.take(&placed(gap, place(7000, 8000)));
    assert_eq!(pad.covered(), 5300);
    pad.say(&[("late", 6000, 7000)]);
    assert_eq!(pad.covered(), 8000);
    pad.time = Duration::from_secs(29);
    pad.pull();
    assert_eq!(pad.covered(), 8000);
    pad.time = Duration::from_secs(30);
    pad.pull();
    assert_eq!(pad.covered(), 9000, "after the patience");
    // A slow service is not silent: it is waited for as long as it goes on.
    pad.track.sent(at(20_000), pad.time);
    for seconds in 31..100 {
        pad.time = Duration::from_secs(seconds);
        let heard = 9000 + (seconds - 30) * 100;
        pad.take(&placed(EventKind::Heard, place(heard, heard)));
        assert_eq!(pad.covered(), heard);
    }
    pad.time = Duration::from_secs(130);
    pad.pull();
    assert_eq!(pad.covered(), 20_000);
}

#[test]
fn the_end_comes_behind_all_text_and_a_gap_to_the_end_of_the_audio() {
    let mut pad = Pad::live(2000);
    pad.say(&[("word", 1000, 1300)]);
    pad.track.end(at(3000), "end");
    pad.pull();
    assert_eq!(pad.order(), ["segment", "word", "|", "end"]);
    assert_eq!(pad.covered(), 3000);
    pad.run(20_000);
    assert_eq!(pad.covered(), 3000, "nothing after the end");
    assert_eq!(pad.track.next_timeout(pad.clock()), None);
}

#[test]
fn nothing_of_before_a_flush_comes_behind_it() {
    let mut pad = Pad::live(8000);
    pad.track.mark(at(5000), "tag");
    assert_eq!(pad.flush(), ["tag"]);
    pad.say(&[("old", 5000, 5500)]);
    assert_eq!(pad.order(), ["segment"]);
    let mut new = event(&[("new", 7000, 7300)], true, 0);
    if let (Some(place), EventKind::Transcript { words, .. }) = (&mut new.placement, &mut new.kind)
    {
        place.running_time = Some(1000 * MS);
        words[0].running_time = Some(1000 * MS);
    }
    pad.take(&new);
    assert_eq!(pad.texts(), [("new", 1000, 300)]);
    pad.covered();
}

#[test]
fn settled_words_of_an_interim_go_out_when_their_time_comes_and_never_twice() {
    let mut pad = Pad::committing(2000);
    pad.run(2000);
    let (one, two, three) = (
        ("One", 1000, 1300),
        ("two", 1400, 1700),
        ("tree", 1800, 2000),
    );
    pad.take(&interim(&[one, two, three], 2));
    assert!(pad.texts().is_empty(), "none is due");
    pad.run(3000);
    assert_eq!(pad.texts(), [("One", 1000, 300)]);
    pad.run(3500);
    assert_eq!(pad.texts().len(), 2, "the third is not settled");
    // The final writes the first words otherwise; they are told already.
    pad.say(&[
        ("one,", 1010, 1290),
        ("two", 1390, 1710),
        ("three.", 1800, 2200),
    ]);
    let expected = [
        ("One", 1000, 300),
        ("two", 1400, 300),
        ("three.", 1800, 400),
    ];
    assert_eq!(pad.texts(), expected);
    assert_eq!(pad.track.stats().words_committed, 2);
    assert_eq!(pad.order().last(), Some(&"|"));
    pad.covered();
}

#[test]
fn a_final_that_parts_a_committed_word_tells_the_rest_once() {
    let mut pad = Pad::committing(1000);
    pad.take(&interim(
        &[("can", 500, 700), ("not", 700, 900), ("go", 900, 1000)],
        3,
    ));
    pad.run(1700);
    assert_eq!(pad.texts().len(), 2);
    pad.say(&[("cannot", 500, 900), ("go", 900, 1000), ("on.", 1000, 1200)]);
    let words: Vec<&str> = pad.texts().iter().map(|text| text.0).collect();
    assert_eq!(words, ["can", "not", "go", "on."]);
}

#[test]
fn words_of_a_final_before_those_of_the_interims_are_told_late() {
    // After a reconnect the service tells a final again of which it hears only the end as an
    // utterance.
    let mut pad = Pad::committing(1000);
    pad.take(&interim(&[("three", 900, 1100), ("four", 1100, 1300)], 2));
    pad.run(2000);
    let told = |pad: &Pad| -> Vec<String> {
        let texts = pad.texts().into_iter();
        texts.map(|text| text.0.to_owned()).collect()
    };
    assert_eq!(told(&pad), ["three"]);
    pad.say(&[
        ("one", 500, 700),
        ("two", 700, 900),
        ("three", 900, 1100),
        ("four", 1100, 1300),
    ]);
    pad.take(&interim(&[("five", 1300, 1500), ("six", 1500, 1700)], 2));
    pad.run(4000);
    assert_eq!(told(&pad), ["three", "one", "two", "four", "five", "six"]);
    pad.say(&[("five", 1300, 1500), ("six", 1500, 1700)]);
    pad.run(5000);
    assert_eq!(pad.texts().len(), 6);
    let stats = pad.track.stats();
    assert_eq!((stats.words_pushed, stats.words_dropped), (6, 0));
}

#[test]
fn a_final_that_ends_before_the_committed_words_do_tells_none_of_them_twice() {
    let mut pad = Pad::committing(1000);
    let words = [("one", 500, 700), ("two", 700, 900), ("three", 900, 1100)];
    pad.take(&interim(&words, 3));
    pad.run(2500);
    assert_eq!(pad.texts().len(), 3);
    pad.say(&words[..2]);
    // The last word is longer than its interim knew.
    pad.take(&interim(&[("three", 900, 1400), ("four", 1400, 1600)], 2));
    pad.run(3000);
    pad.say(&[("three", 900, 1400), ("four", 1400, 1600)]);
    let words: Vec<&str> = pad.texts().iter().map(|text| text.0).collect();
    assert_eq!(words, ["one", "two", "three", "four"]);
    assert_eq!(pad.track.stats().words_dropped, 0);
}

#[test]
fn without_a_promise_words_are_settled_that_two_interims_have() {
    let mut pad = Pad::committing(1000);
    pad.take(&interim(&[("a", 500, 600), ("b", 600, 700)], 0));
    pad.run(1800);
    assert!(pad.texts().is_empty());
    pad.take(&interim(&[("a", 500, 600), ("c", 600, 900)], 0));
    let words: Vec<&str> = pad.texts().iter().map(|text| text.0).collect();
    assert_eq!(words, ["a"], "its time has come");
}

#[test]
fn marks_belong_to_the_word_before_and_nothing_is_blank() {
    let mut pad = Pad::live(8000);
    pad.say(&[
        ("well", 1000, 1200),
        (",", 1200, 1210),
        (" ", 1210, 1220),
        ("a\n\tb\0", 1300, 1500),
        ("", 1500, 1600),
        (".", 1600, 1610),
        ("–", 1700, 1800),
    ]);
    let words: Vec<&str> = pad.texts().iter().map(|text| text.0).collect();
    assert_eq!(words, ["well,", "a b.", "–"]);
}

#[test]
fn a_final_without_word_times_is_spread_over_its_audio() {
    let mut pad = Pad::live(8000);
    let mut said = event(&[("one two", 1000, 2000)], true, 0);
    if let EventKind::Transcript { words, .. } = &mut said.kind {
        words.clear();
    }
    pad.take(&said);
    assert_eq!(pad.texts(), [("one", 1000, 500), ("two", 1500, 500)]);
}

#[test]
fn cues_have_lines_and_last_long_enough_to_be_read() {
    let config = TrackConfig {
        unit: TextUnit::Cue(Shape::new(16, 2)),
        ..TrackConfig::default()
    };
    let mut pad = Pad::new(config, true);
    pad.say(&[
        ("You", 1000, 1200),
        ("are", 1200, 1400),
        ("currently", 1400, 1900),
        ("the", 1900, 2000),
        ("only", 2000, 2300),
        ("participant", 2300, 2900),
        ("in", 2900, 3000),
        ("it.", 3000, 3300),
    ]);
    let texts = pad.texts();
    assert!(texts.len() > 1);
    for (text, _, duration) in &texts {
        assert!(text.lines().all(|line| line.len() <= 16), "{text:?}");
        assert!(text.lines().count() <= 2, "{text:?}");
        assert!((1000..=7000).contains(duration), "{text:?} for {duration}");
    }
    let words: Vec<&str> = texts
        .iter()
        .flat_map(|text| text.0.split_whitespace())
        .collect();
    assert_eq!(
        words.join(" "),
        "You are currently the only participant in it."
    );
    assert_eq!(texts[0].1, 1000);
    assert_eq!(pad.track.stats().words_pushed, 8);
    pad.covered();
    // Late cues follow one another.
    pad.run(20_000);
    let before = pad.covered();
    pad.say(&[("Too", 8000, 8200), ("late", 8200, 8400)]);
    assert_eq!(pad.texts().last(), Some(&("Too late", before, 1000)));
    assert_eq!((pad.track.stats().words_moved, pad.late()), (2, 1));
}

#[test]
fn a_sentence_is_one_text() {
    let unit = TextUnit::Sentence;
    let mut pad = Pad::new(
        TrackConfig {
            unit,
            ..TrackConfig::default()
        },
        true,
    );
    pad.say(&[("All", 1000, 1200), ("of", 1200, 1400), ("it.", 1400, 1900)]);
    assert_eq!(pad.texts(), [("All of it.", 1000, 900)]);
}

#[test]
fn cues_that_come_in_time_are_not_late_because_another_is_still_shown() {
    for late in [LateText::Move, LateText::Drop] {
        let config = TrackConfig {
            latency: 2000 * MS,
            unit: TextUnit::Cue(Shape::default()),
            late,
            ..TrackConfig::default()
        };
        let mut pad = Pad::new(config, true);
        pad.run(1500);
        pad.say(&[("Yes.", 1000, 1200)]);
        pad.say(&[("No.", 1250, 1450)]);
        let words: Vec<&str> = pad.texts().iter().map(|text| text.0).collect();
        assert_eq!(words, ["Yes.", "No."], "{late:?}");
        assert_eq!((pad.late(), pad.track.stats().words_moved), (0, 0));
        assert_eq!(
            pad.texts()[1].1,
            2000,
            "behind the first, which stays for a second"
        );
        pad.covered();
        // Of a final that comes too late for its first words, the others get their cue.
        pad.run(9000);
        let before = pad.covered();
        pad.say(&[
            ("too", 5000, 5200),
            ("late", 5200, 5400),
            ("but", 7600, 7800),
            ("not", 7800, 8000),
        ]);
        let last: Vec<&str> = pad.texts().iter().skip(2).map(|text| text.0).collect();
        match late {
            LateText::Drop => {
                assert_eq!(last, ["but not"]);
                assert_eq!(pad.texts()[2].1, 7600);
                assert_eq!(pad.track.stats().words_dropped, 2);
            }
            _ => {
                assert_eq!(last, ["too late", "but not"]);
                assert_eq!(pad.texts()[2].1, before);
            }
        }
        pad.covered();
    }
}

#[test]
fn a_word_that_an_interim_gives_no_end_is_told_once() {
    let mut pad = Pad::committing(1000);
    pad.run(1700);
    pad.take(&interim(&[("go", 500, 700), ("on", 700, 700)], 2));
    pad.say(&[("go", 500, 700), ("on", 700, 900)]);
    let words: Vec<&str> = pad.texts().iter().map(|text| text.0).collect();
    assert_eq!(words, ["go", "on"]);
}

#[test]
fn a_cue_that_begins_late_is_late_though_its_last_word_is_not() {
    let config = TrackConfig {
        latency: 1000 * MS,
        unit: TextUnit::Cue(Shape::default()),
        ..TrackConfig::default()
    };
    let mut pad = Pad::new(config, true);
    pad.run(3000);
    let before = pad.covered();
    pad.say(&[("half", 1800, 2000), ("late", 2200, 2500)]);
    assert_eq!(pad.texts(), [("half late", before, 1000)]);
    assert_eq!((pad.late(), pad.track.stats().words_moved), (1, 2));
}

#[test]
fn a_word_that_reaches_over_a_flush_moves_nothing_behind_it() {
    let mut pad = Pad::live(8000);
    pad.flush();
    // The engine heard one utterance. Its first word begins before the flush, at the running
    // time of then, and the next one is the first of the new time.
    let mut said = event(&[("only", 5900, 6300), ("press", 6400, 6600)], true, 0);
    if let (Some(place), EventKind::Transcript { words, .. }) =
        (&mut said.placement, &mut said.kind)
    {
        place.running_time = Some(5900 * MS);
        place.duration = Some(0);
        words[1].running_time = Some(400 * MS);
    }
    pad.take(&said);
    let texts = pad.texts();
    assert_eq!(texts.last(), Some(&("press", 400, 200)), "{texts:?}");
    assert_eq!((pad.late(), pad.track.stats().words_moved), (0, 0));
    pad.covered();
}
