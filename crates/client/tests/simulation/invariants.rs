// SPDX-License-Identifier: MPL-2.0

//! The promises that hold whatever happens. Each is a function with the name of the promise.

use crate::audio::{MAX_WORDS, WORD};
use crate::book::{Book, Word};
use crate::ledger::Ledger;
use crate::schedule::Settings;
use crate::service::PEOPLE;
use crate::source::{JITTER, MS, STREAM, Spoken};
use crate::waits::{
    ADMISSION_TIMEOUT, CONNECT_TIMEOUT, MAX_DELAY, PING_INTERVAL, PONG_TIMEOUT, Waits,
};
use crate::wall::Wall;
use std::time::Duration;
use symbl_client::session::event::SessionEvent;
use symbl_client::session::{State, Stats, Time};

/// A promise that was not kept.
#[derive(Debug, Clone, PartialEq)]
pub struct Broken {
    pub promise: &'static str,
    pub how: String,
}

/// A run up to now.
pub struct Seen<'a> {
    pub now: Time,
    pub settings: &'a Settings,
    pub book: &'a Book,
    pub spoken: &'a [Spoken],
    pub walls: &'a Wall,
    pub waits: &'a Waits,
    /// The words that the service stores.
    pub ledger: &'a Ledger,
    /// Each two words in a row that the service heard in one utterance.
    pub pairs: &'a [(u16, u16)],
    /// Audio that the session was given, with silence for holes, in nanoseconds.
    pub given: u64,
    pub stats: &'a Stats,
    /// Audio that the session keeps, in nanoseconds.
    pub kept: u64,
    /// The spool was once nearly full, or flushed.
    pub pressed: bool,
    /// When audio was dropped, but for what a flush drops.
    pub drops: &'a [Time],
    /// There was a failure that no retry can help.
    pub hopeless: bool,
    /// The application stopped the sink.
    pub stopped: bool,
}

type Check = Result<(), String>;
type Promise = (&'static str, fn(&Seen<'_>) -> Check);

macro_rules! promises {
    ($($name:ident),* $(,)?) => { &[$((stringify!($name), $name)),*] };
}

/// The promises that hold at any time.
const ALWAYS: &[Promise] = promises![
    all_audio_is_accounted_for,
    memory_stays_within_its_bounds,
    audio_is_let_go_when_it_is_acknowledged,
    every_wait_ends_by_its_deadline,
    dials_keep_to_the_back_off,
    events_are_consistent,
];

/// The promises that hold at the end of a run.
const AT_THE_END: &[Promise] = promises![
    every_word_is_delivered_once_or_lies_in_a_gap,
    no_delivered_word_lies_in_a_gap,
    every_time_is_true,
    every_utc_is_that_of_the_wall_clock,
    a_set_wall_clock_is_reported_once,
    every_word_has_its_speaker,
    words_come_in_order,
    all_times_of_a_place_agree,
    interims_belong_to_the_final_that_follows,
    each_message_comes_once_and_with_its_final,
    findings_stand_where_their_message_stands,
    conversation_events_are_true,
    a_session_fails_only_where_no_retry_helps,
    the_end_is_reported_and_true,
    each_word_is_stored_at_most_once,
    every_delivered_word_is_stored,
    a_flush_ends_an_utterance,
    audio_that_is_sent_again_keeps_its_position,
];

fn check(promises: &[Promise], seen: &Seen<'_>) -> Result<(), Broken> {
    promises
        .iter()
        .try_for_each(|(promise, kept)| kept(seen).map_err(|how| Broken { promise, how }))
}

/// Checks the promises of each moment, after each step.
pub fn always(seen: &Seen<'_>) -> Result<(), Broken> {
    check(ALWAYS, seen)
}

/// Checks the promises of a whole run, after its last step.
pub fn at_the_end(seen: &Seen<'_>) -> Result<(), Broken> {
    check(AT_THE_END, seen)
}

/// How far off a rounded time may be. Timers are exact here.
const SLACK: Duration = Duration::from_millis(1);

fn ms(ms: u32) -> Duration {
    Duration::from_millis(ms.into())
}

fn all_audio_is_accounted_for(seen: &Seen<'_>) -> Check {
    let stats = seen.stats;
    let sum = stats.audio_sent + stats.audio_spooled + stats.audio_dropped;
    if sum != seen.given {
        return Err(format!(
            "{sum} ns = {} sent + {} spooled + {} dropped, but {} were given",
            stats.audio_sent, stats.audio_spooled, stats.audio_dropped, seen.given
        ));
    }
    if stats.audio_finalised > stats.audio_sent {
        return Err(format!(
            "{} ns finalised of {} sent",
            stats.audio_finalised, stats.audio_sent
        ));
    }
    Ok(())
}

fn memory_stays_within_its_bounds(seen: &Seen<'_>) -> Check {
    // A buffer and the silence of a hole are taken whole, and one chunk is not full yet.
    let more = seen.settings.chunk.max(520) + seen.settings.buffer + 1000;
    let bound = u64::from(seen.settings.spool + more) * MS;
    if seen.kept > bound || seen.stats.audio_spooled > bound {
        return Err(format!(
            "{} ns kept, {} spooled, bound {bound}",
            seen.kept, seen.stats.audio_spooled
        ));
    }
    Ok(())
}

/// Checks that the session keeps all audio that no final has acknowledged, where nothing else
/// lets it go: a full spool, a flush or the end.
fn audio_is_let_go_when_it_is_acknowledged(seen: &Seen<'_>) -> Check {
    let is_over = seen.book.drained.is_some() || seen.book.failed.is_some() || seen.stopped;
    if seen.pressed || is_over {
        return Ok(());
    }
    let (let_go, stats) = (seen.given.saturating_sub(seen.kept), seen.stats);
    match let_go <= stats.audio_finalised + stats.audio_dropped {
        true => Ok(()),
        false => Err(format!(
            "{let_go} ns are let go, {} are finalised, {} dropped",
            stats.audio_finalised, stats.audio_dropped
        )),
    }
}

fn every_wait_ends_by_its_deadline(seen: &Seen<'_>) -> Check {
    if seen.stopped {
        return Ok(()); // A stopped session waits for nothing.
    }
    let waits = seen.waits;
    let mut drain = ms(seen.settings.drain_timeout);
    if waits.admitted.is_none() && waits.asked_to_wait {
        drain = drain.max(ADMISSION_TIMEOUT);
    }
    let longest = drain + waits.unfinalised;
    // The time for the end begins with the first session.
    let admitted = waits.admitted.unwrap_or_default();
    let ending = seen.book.ending_since.map(|since| since.max(admitted));
    let idle = waits.progress.max(ending.unwrap_or_default());
    let bounds = [
        ("the dial", waits.dialing, CONNECT_TIMEOUT),
        ("the start", waits.starting, CONNECT_TIMEOUT),
        ("a sign of life", waits.heard, PING_INTERVAL + PONG_TIMEOUT),
        (
            "the next dial",
            waits.down.map(|(since, _)| since),
            waits
                .down
                .map_or(MAX_DELAY, |(_, least)| least.max(MAX_DELAY)),
        ),
        ("the end", ending, longest),
        ("progress towards the end", ending.map(|_| idle), drain),
    ];
    for (what, since, bound) in bounds {
        if let Some(since) = since
            && seen.now > since + bound + SLACK
        {
            return Err(format!(
                "waits for {what} since {since:?}, {bound:?} at most"
            ));
        }
    }
    Ok(())
}

fn dials_keep_to_the_back_off(seen: &Seen<'_>) -> Check {
    match &seen.waits.early {
        Some(early) => Err(early.clone()),
        None => Ok(()),
    }
}

fn events_are_consistent(seen: &Seen<'_>) -> Check {
    match &seen.book.nonsense {
        Some(nonsense) => Err(nonsense.clone()),
        None => Ok(()),
    }
}

/// Counts how often each word is among `words`.
fn counts(words: &[Word]) -> [u8; MAX_WORDS as usize] {
    let mut counts = [0u8; MAX_WORDS as usize];
    for word in words {
        if let Some(count) = counts.get_mut(usize::from(word.word)) {
            *count = count.saturating_add(1);
        }
    }
    counts
}

/// Checks that the service heard nothing as one utterance that was said before and after a
/// flush, where there can be silence between them: packets have none, a small spool has little,
/// and a full one may have lost it.
fn a_flush_ends_an_utterance(seen: &Seen<'_>) -> Check {
    let longest = Duration::from_millis(seen.settings.spool.into());
    let while_kept = |a: &Spoken, b: &Spoken| a.given_until..=b.given_until + longest;
    for (first, second) in seen.pairs {
        let said = |word: &u16| seen.spoken.get(usize::from(*word));
        if let (Some(a), Some(b)) = (said(first), said(second))
            && a.epoch != b.epoch
            && b.parted
            && !seen.drops.iter().any(|at| while_kept(a, b).contains(at))
        {
            return Err(format!("words {first} and {second} are in one utterance"));
        }
    }
    Ok(())
}

fn length_of(spoken: &Spoken) -> u64 {
    u64::from(spoken.given) * MS
}

/// Returns how much of a word lies in gaps, in nanoseconds, at each of the two places where
/// the session may put it.
fn lost_at_both<'a>(book: &'a Book, spoken: &'a Spoken) -> impl Iterator<Item = u64> + 'a {
    let places = [spoken.running_time, spoken.counted];
    places
        .map(|start| book.lost(start, start + length_of(spoken)))
        .into_iter()
}

pub fn lost_least(book: &Book, spoken: &Spoken) -> u64 {
    lost_at_both(book, spoken).min().unwrap_or(0)
}

/// Returns the most of a word that may lie in gaps, in nanoseconds. If the session knew only
/// some of several undeclared holes when it reported a gap, the word may stand anywhere
/// between its two places.
fn lost_most(book: &Book, spoken: &Spoken) -> u64 {
    let earliest = spoken.running_time.min(spoken.counted);
    let latest = spoken.running_time.max(spoken.counted) + length_of(spoken);
    book.lost(earliest, latest).min(length_of(spoken))
}

fn every_word_is_delivered_once_or_lies_in_a_gap(seen: &Seen<'_>) -> Check {
    let counts = counts(&seen.book.finals);
    if let Some(twice) = counts.iter().position(|count| *count > 1) {
        return Err(format!("word {twice} came {} times", counts[twice]));
    }
    if seen.stopped {
        return Ok(());
    }
    for (number, spoken) in seen.spoken.iter().enumerate() {
        let whole = spoken.given == WORD && !spoken.flushed;
        if counts[number] == 0 && whole && lost_most(seen.book, spoken) == 0 {
            return Err(format!("word {number} never came and lies in no gap"));
        }
    }
    Ok(())
}

/// Returns how far off a gap may be if times are an estimate, in nanoseconds.
fn loose(seen: &Seen<'_>) -> u64 {
    if seen.settings.estimates() {
        2 * 40 * MS
    } else {
        0
    }
}

fn no_delivered_word_lies_in_a_gap(seen: &Seen<'_>) -> Check {
    for told in &seen.book.finals {
        let Some(spoken) = seen.spoken.get(usize::from(told.word)) else {
            return Err(format!("word {} was never said", told.word));
        };
        let half = u64::from(WORD) * MS / 2;
        // A gap stands where its audio stands, up to the jitter of timestamps.
        let lost = lost_least(seen.book, spoken);
        let near = JITTER + SLACK.as_nanos() as u64 + loose(seen);
        if length_of(spoken) - lost + near <= half {
            return Err(format!("word {} came and lies in a gap", told.word));
        }
    }
    Ok(())
}

/// Checks that a word of which all was sent stands where it was said. A word of which a part
/// was lost may be as far off as it is long.
fn every_time_is_true(seen: &Seen<'_>) -> Check {
    let finals = seen.book.finals.iter().map(|told| (told, 25));
    // The audio of a message may be a replay, and only a part of it.
    let messages = seen.book.messages.iter().map(|told| (told, WORD - 1));
    for (told, exact) in finals.chain(messages) {
        let Some(spoken) = seen.spoken.get(usize::from(told.word)) else {
            return Err(format!("word {} was never said", told.word));
        };
        let lost = lost_most(seen.book, spoken) > 0;
        let whole = spoken.given == WORD && !lost && !spoken.flushed;
        let allowed = u64::from(if whole { exact } else { WORD }) * MS;
        let (Some(start), Some(length)) = (told.running_time, told.duration) else {
            return Err(format!("word {} has no time", told.word));
        };
        let (stamped, counted) = (spoken.running_time, spoken.counted);
        let is_true = |time: u64, into: u64| {
            let earliest = stamped.min(counted) + into;
            let latest = stamped.max(counted) + into;
            time + allowed >= earliest && time <= latest + allowed
        };
        if !is_true(start, 0) || !is_true(start + length, length_of(spoken)) {
            return Err(format!(
                "word {} at {start} for {length}, said at {stamped} ({counted} by its samples) \
                 for {} ms",
                told.word, spoken.given
            ));
        }
    }
    Ok(())
}

fn every_utc_is_that_of_the_wall_clock(seen: &Seen<'_>) -> Check {
    for told in &seen.book.finals {
        let Some(spoken) = seen.spoken.get(usize::from(told.word)) else {
            return Err(format!("word {} was never said", told.word));
        };
        if let Some(zero) = told.wall
            && !seen.walls.is_true(zero, spoken.given_at)
            && !seen.walls.is_true(zero, spoken.given_until)
        {
            return Err(format!(
                "word {}, given at {:?}, by a wall clock of {zero} at running time zero",
                told.word, spoken.given_at
            ));
        }
    }
    Ok(())
}

fn a_set_wall_clock_is_reported_once(seen: &Seen<'_>) -> Check {
    let (told, sets) = (seen.book.wall_clock_sets, seen.walls.sets());
    if told > sets {
        return Err(format!("told {told} times, set {sets} times"));
    }
    Ok(())
}

fn every_word_has_its_speaker(seen: &Seen<'_>) -> Check {
    for told in seen.book.finals.iter().chain(&seen.book.messages) {
        let spoken = seen.spoken.get(usize::from(told.word));
        let speaker = spoken.and_then(|spoken| PEOPLE[usize::from(spoken.speaker)].user_id);
        // A message of the history may have no speaker id.
        if told.speaker.is_some() && told.speaker.as_deref() != speaker {
            return Err(format!(
                "word {} of {speaker:?} as {:?}'s",
                told.word, told.speaker
            ));
        }
    }
    Ok(())
}

fn words_come_in_order(seen: &Seen<'_>) -> Check {
    for pair in seen.book.finals.windows(2) {
        if pair[1].word <= pair[0].word {
            return Err(format!(
                "word {} came after word {}",
                pair[1].word, pair[0].word
            ));
        }
    }
    Ok(())
}

fn all_times_of_a_place_agree(seen: &Seen<'_>) -> Check {
    for place in &seen.book.placements {
        let Some(running_time) = place.running_time else {
            continue;
        };
        let stream = place.stream_time == Some(running_time + STREAM);
        let zero = i64::try_from(running_time).ok().zip(place.utc);
        let utc = zero.is_some_and(|(running_time, utc)| seen.walls.was(utc - running_time));
        if !stream || !utc {
            return Err(format!("{place:?}"));
        }
    }
    Ok(())
}

fn interims_belong_to_the_final_that_follows(seen: &Seen<'_>) -> Check {
    let finals = &seen.book.finals;
    for interim in &seen.book.interims {
        // Among the words that no final had before …
        let told = &finals[..interim.finals_before];
        let fresh = |word: &&u16| told.iter().all(|told| told.word != **word);
        let Some(first) = interim.words.iter().find(fresh) else {
            continue;
        };
        // … the first is in the final of the same utterance, if it is in any final.
        let Some(found) = finals.iter().find(|told| told.word == *first) else {
            continue;
        };
        if found.utterance.as_ref() != Some(&interim.utterance) {
            return Err(format!(
                "word {first} in an interim of {} and in the final of {:?}",
                interim.utterance, found.utterance
            ));
        }
    }
    Ok(())
}

fn each_message_comes_once_and_with_its_final(seen: &Seen<'_>) -> Check {
    let counts = counts(&seen.book.messages);
    if let Some(twice) = counts.iter().position(|count| *count > 1) {
        return Err(format!("word {twice} came in {} messages", counts[twice]));
    }
    // A message that repeats words of several finals has the utterance id of the last.
    for message in seen.book.messages.chunk_by(|a, b| a.event == b.event) {
        let of_final = |told: &&Word| message.iter().any(|word| word.word == told.word);
        let mut finals = seen.book.finals.iter().filter(of_final);
        let utterance = &message[0].utterance;
        if utterance.is_none() && seen.settings.history {
            continue; // The Conversation API has no utterance ids.
        }
        if !finals.any(|of_final| of_final.utterance == *utterance) {
            return Err(format!(
                "word {} in a message of {utterance:?}, but in no final of that",
                message[0].word,
            ));
        }
    }
    Ok(())
}

fn findings_stand_where_their_message_stands(seen: &Seen<'_>) -> Check {
    if seen.settings.estimates() {
        return Ok(()); // The times of a later event may be more exact.
    }
    for finding in &seen.book.findings {
        let message = finding.message.as_deref().unwrap_or_default();
        let Some(place) = seen.book.message_ids.get(message) else {
            return Err(format!("a finding in the message {message}, never told"));
        };
        let start = |p: &Option<symbl_client::session::Placement>| p.and_then(|p| p.running_time);
        if start(place) != start(&finding.placement) {
            return Err(format!("{finding:?}, whose message stands at {place:?}"));
        }
    }
    Ok(())
}

fn conversation_events_are_true(seen: &Seen<'_>) -> Check {
    let mut current: Option<&String> = None;
    for told in &seen.book.conversations {
        let right = match told.event {
            SessionEvent::Created => current.is_none(),
            SessionEvent::Resumed => current.is_some() && current == told.id.as_ref(),
            SessionEvent::Split => {
                current.is_some()
                    && current != told.id.as_ref()
                    && current == told.previous.as_ref()
            }
            SessionEvent::Modified | SessionEvent::Completed => current == told.id.as_ref(),
        };
        if !right {
            return Err(format!("{told:?} after {current:?}"));
        }
        current = told.id.as_ref();
    }
    Ok(())
}

fn a_session_fails_only_where_no_retry_helps(seen: &Seen<'_>) -> Check {
    // A stream that no session took is a failure too.
    let hopeless = seen.hopeless || seen.waits.admitted.is_none();
    match &seen.book.failed {
        Some(failure) if !hopeless && seen.settings.give_up == 0 => Err(failure.clone()),
        _ => Ok(()),
    }
}

fn the_end_is_reported_and_true(seen: &Seen<'_>) -> Check {
    if seen.stopped {
        return Ok(());
    }
    let Some((complete, unconfirmed)) = seen.book.drained else {
        return Err(format!("over without an end, in {:?}", seen.book.state));
    };
    if let Some(since) = seen.book.ending_since {
        return Err(format!("the end of {since:?} was not told"));
    }
    if complete != (unconfirmed == 0) {
        return Err(format!("complete: {complete}, unconfirmed: {unconfirmed}"));
    }
    match seen.book.state {
        State::Drained | State::Failed => Ok(()),
        other => Err(format!("over in {other:?}")),
    }
}

fn each_word_is_stored_at_most_once(seen: &Seen<'_>) -> Check {
    match seen.ledger.stored().find(|(_, count)| *count > 1) {
        Some((word, count)) => Err(format!("word {word} is stored {count} times")),
        None => Ok(()),
    }
}

fn every_delivered_word_is_stored(seen: &Seen<'_>) -> Check {
    if !seen.settings.announces {
        return Ok(()); // Such a service does not count.
    }
    let told = seen.book.finals.iter().chain(&seen.book.messages);
    let mut told = told.map(|told| told.word);
    match told.find(|word| seen.ledger.count(*word) == 0) {
        Some(word) => Err(format!("word {word} was told and is not stored")),
        None => Ok(()),
    }
}

fn audio_that_is_sent_again_keeps_its_position(seen: &Seen<'_>) -> Check {
    match seen.ledger.moved() {
        Some(how) => Err(how.to_owned()),
        None => Ok(()),
    }
}
