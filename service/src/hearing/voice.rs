// SPDX-License-Identifier: MPL-2.0

//! What one stream says to its conversation: recognitions become messages.
//!
//! Live results go to the speaker's own socket and to subscribers; messages, insights, topics and
//! trackers go to all sockets of the room, and nothing of a final goes out before
//! it is stored. Everything that is derived from one
//! final is sent under one lock, so that all sockets see the same order.
//!
//! What a final says is looked for before any lock is taken, on the stream's own thread:
//! however long that takes, nobody waits for it but this stream. Topics alone are those
//! of the whole conversation, and belong to the turn to speak.

mod findings;

use crate::analysis::{
    self, AnalyzerOptions, Assignee, Finder, InsightFinding, Sentence, TrackerFinding,
};
use crate::clock::AudioClock;
use crate::conversation::hub::Room;
use crate::conversation::state::Speaker;
use crate::hearing::kept;
use crate::hearing::recognizer::{Word, text_of};
use crate::metrics::Metrics;
use crate::outbox::Outbox;
use crate::store::{Record, StoreError, Utterance};
use crate::trackers::phrasebook::Compiled;
use axum::extract::ws::Utf8Bytes;
use std::sync::{Arc, PoisonError};
use std::time::{Duration, Instant};
use symbl_protocol::reply::{self, Person};
use time::format_description::well_known::Rfc3339;
use time::{OffsetDateTime, PrimitiveDateTime, UtcOffset};
use uuid::Uuid;

/// One `start_request`'s way into its conversation.
pub(crate) struct Voice {
    room: Arc<Room>,
    own: Outbox,
    metrics: Arc<Metrics>,
    speaker: Speaker,
    wanted: Wanted,
    /// Made when it is needed first.
    finder: Option<Finder>,
    timezone_offset: i32,
    title: Option<String>,
    clock: AudioClock,
    /// When the request came.
    started: Instant,
    /// What the next message will be called.
    next_message: String,
    /// What was found in its interims so far.
    interim_findings: Vec<TrackerFinding>,
}

/// What a client wants to be told.
#[derive(Debug)]
pub(crate) struct Wanted {
    /// What is looked for beside trackers, which are not in here.
    pub(crate) options: AnalyzerOptions,
    pub(crate) trackers: Arc<Compiled>,
    /// Names and ids of those among them that are kept by the service.
    pub(crate) tracker_ids: Vec<(String, String)>,
    /// Whether trackers are looked for in interims too.
    pub(crate) interim_trackers: bool,
}

/// A sentence on its way out.
struct Said {
    id: String,
    /// When, as the speaker's clock shows it.
    at: OffsetDateTime,
    text: String,
    original_text: String,
    words: std::ops::Range<usize>,
}

impl Said {
    /// When something is due that is due by these words.
    fn due(&self, words: &str) -> Option<OffsetDateTime> {
        let local = PrimitiveDateTime::new(self.at.date(), self.at.time());
        let due = analysis::due_time(words, local)?;
        Some(due.assume_offset(self.at.offset()))
    }
}

impl Voice {
    pub(crate) fn new(
        room: Arc<Room>,
        own: Outbox,
        metrics: Arc<Metrics>,
        speaker: Speaker,
        wanted: Wanted,
        timezone_offset: i32,
        title: Option<String>,
    ) -> Self {
        Self {
            clock: AudioClock::of(room.clock),
            room,
            own,
            metrics,
            speaker,
            wanted,
            finder: None,
            timezone_offset,
            title,
            started: Instant::now(),
            next_message: Uuid::new_v4().to_string(),
            interim_findings: Vec::new(),
        }
    }

    /// The client's own socket.
    pub(crate) fn own(&self) -> &Outbox {
        &self.own
    }

    /// Where it is counted what is said.
    pub(crate) fn metrics(&self) -> &Arc<Metrics> {
        &self.metrics
    }

    /// When this stream's first audio came.
    pub(crate) fn clock(&self) -> &AudioClock {
        &self.clock
    }

    /// Says that audio is awaited, and in which conversation; that conversation
    /// is in the database before.
    pub(crate) fn listening(&self) -> Result<(), StoreError> {
        let (conversation, id) = (self.room.number, &self.room.id);
        let keep = self.room.state().longest_keep(Instant::now()).as_secs();
        self.room.store.write(vec![
            Record::Started {
                conversation,
                account: self.room.key.account.clone(),
                connection_id: self.room.key.connection_id.clone(),
                title: self.title.clone(),
                at: self.room.clock.now(),
                keep: i64::try_from(keep).unwrap_or(i64::MAX),
            },
            Record::Member {
                conversation,
                id: self.speaker.id.clone(),
                user_id: self.speaker.user_id.clone(),
                name: self.speaker.name.clone(),
            },
        ])?;
        self.own.send(reply::started_listening());
        self.own.send(reply::conversation_created(id));
        Ok(())
    }

    /// Says that words can come.
    pub(crate) fn recognising(&self) {
        self.own.send(reply::recognition_started(&self.room.id));
    }

    /// Returns what finds all that the client wants. The first call may take long.
    fn finder(&mut self) -> &Finder {
        let Wanted {
            options, trackers, ..
        } = &self.wanted;
        let make = || Finder::new(options.clone(), trackers.phrases());
        self.finder.get_or_insert_with(make)
    }

    /// Tells a guess at the utterance in progress, which has these words so far.
    pub(crate) fn interim(&mut self, words: &[Word]) {
        let (text, start) = (&text_of(words), words.first().map(|word| word.start));
        let elapsed = self.elapsed();
        let user = Some(person(&self.speaker));
        let result: Utf8Bytes = reply::interim_result(text, start, user, elapsed).into();
        self.own.send(result.clone());
        self.room.state().tell_listeners(&result);
        self.metrics.results("interim", 1);
        if !self.wanted.interim_trackers {
            return;
        }
        let findings = self.finder().trackers(text);
        let is_news = findings.iter().any(|found| {
            let same = |old: &TrackerFinding| old.name == found.name && old.value == found.value;
            !self.interim_findings.iter().any(same)
        });
        if is_news {
            let state = self.room.state();
            let matches: Vec<_> = findings
                .iter()
                .map(|found| self.tracker_match(&self.next_message, found))
                .collect();
            let sequence = state.conversation.next_sequence();
            state.broadcast(reply::tracker_response(&matches, false, sequence));
            drop(state);
            self.interim_findings = findings;
        }
    }

    /// The recogniser's last word on an utterance: told when it is stored.
    pub(crate) fn utterance(&mut self, words: &[Word], punctuated: bool) -> Result<(), StoreError> {
        let sentences = match punctuated {
            true => analysis::sentences(words),
            false => analysis::punctuate(words),
        };
        let confidence = mean_confidence(words);
        let spoken: Vec<String> = sentences
            .iter()
            .flat_map(|sentence| as_written(sentence, words))
            .collect();
        let words: Vec<reply::Word<'_>> = words
            .iter()
            .zip(&spoken)
            .map(|(word, text)| reply::Word {
                text,
                start: word.start,
                end: word.end,
            })
            .collect();
        let texts: Vec<&str> = sentences.iter().map(|s| s.text.as_str()).collect();
        let result: Utf8Bytes = reply::final_result(
            &texts.join(" "),
            &words,
            confidence,
            Some(person(&self.speaker)),
            self.elapsed(),
        )
        .into();

        let mut said = Vec::with_capacity(sentences.len());
        let mut insights = Vec::new();
        let mut trackers = Vec::new();
        let mut topics = Vec::new();
        let mut entities = Vec::new();
        let start = self.clock.zero();
        for sentence in sentences {
            let id = std::mem::replace(&mut self.next_message, Uuid::new_v4().to_string());
            let found = self.finder().sentence(&sentence);
            insights.extend(found.insights.into_iter().map(|f| (id.clone(), f)));
            trackers.extend(found.trackers.into_iter().map(|f| (id.clone(), f)));
            entities.extend(found.entities.into_iter().map(|f| (said.len(), f)));
            let first = words.get(sentence.words.start);
            let since = first.map_or(Duration::ZERO, |word| word.start);
            said.push(Said {
                id,
                at: self.local(start, since),
                text: sentence.text,
                original_text: sentence.original_text,
                words: sentence.words,
            });
        }
        self.interim_findings.clear();
        if said.is_empty() {
            self.own.send(result.clone());
            self.room.state().tell_listeners(&result);
            self.metrics.results("final", 1);
            return Ok(());
        }
        let wants_topics = self.finder().wants_topics();
        let room = Arc::clone(&self.room);
        let mut turn = room.speaking.lock().unwrap_or_else(PoisonError::into_inner);
        if wants_topics {
            for said in &said {
                topics.extend(turn.sentence(&said.id, &said.text));
            }
            room.measure(&turn);
        }
        let mut state = room.state();
        let zero = state.conversation.zero(start);
        let sequence = state.conversation.take_sequence();
        let mut utterance = Utterance {
            conversation: state.conversation.number(),
            zero,
            next_sequence: i64::try_from(sequence + 1).unwrap_or(i64::MAX),
            speaker: self.speaker.id.clone(),
            confidence,
            topics: topics.iter().map(kept::topic).collect(),
            ..Utterance::default()
        };
        drop(state);
        for (index, said) in said.iter().enumerate() {
            let words = words.get(said.words.clone()).unwrap_or_default();
            let message = kept::message(&said.id, &said.text, words, start);
            let found_in = |id: &String| *id == said.id;
            let insights = insights.iter().filter(|(id, _)| found_in(id));
            let insights = insights.map(|(_, found)| {
                let due = found.due_by.as_deref().and_then(|words| said.due(words));
                let due = due.and_then(|due| i64::try_from(due.unix_timestamp_nanos()).ok());
                kept::insight(message.id, found, due)
            });
            utterance.insights.extend(insights);
            let named = entities.iter().filter(|(at, _)| *at == index);
            let named = named.map(|(_, found)| kept::entity(message.id, found, said.at.date()));
            utterance.entities.extend(named);
            let matches = trackers.iter().filter(|(id, _)| found_in(id));
            let matches = matches.map(|(_, found)| kept::tracker(message.id, found));
            utterance.matches.extend(matches);
            utterance.messages.push(message);
        }
        room.store.write(vec![Record::Said(Box::new(utterance))])?;
        let state = room.state();
        self.own.send(result.clone());
        state.tell_listeners(&result);
        let named = findings::entities(&entities, &said, &words, start);
        state.broadcast(self.message_response(&said, &named, &words, zero, sequence));
        if !insights.is_empty() {
            state.broadcast(self.insight_response(&insights, &said, sequence));
        }
        if !topics.is_empty() {
            state.broadcast(findings::topic_response(&topics));
        }
        if !trackers.is_empty() {
            let matches: Vec<_> = trackers
                .iter()
                .map(|(id, f)| self.tracker_match(id, f))
                .collect();
            state.broadcast(reply::tracker_response(&matches, true, sequence));
        }
        if !named.is_empty() {
            state.broadcast(reply::entity_response(&named, sequence));
        }
        drop(state);
        drop(turn);
        self.metrics.results("final", 1);
        self.metrics.results("message", said.len());
        for (_, insight) in &insights {
            self.metrics.results(insight.kind.as_str(), 1);
        }
        self.metrics.results("topic", topics.len());
        self.metrics.results("tracker", trackers.len());
        self.metrics.results("entity", entities.len());
        if let Some(last) = words.last() {
            let spoken = start.saturating_add(i64::try_from(last.end.as_nanos()).unwrap_or(0));
            let late = u64::try_from(room.clock.now().saturating_sub(spoken)).unwrap_or(0);
            self.metrics.latency(Duration::from_nanos(late));
        }
        Ok(())
    }

    fn elapsed(&self) -> u64 {
        u64::try_from(self.started.elapsed().as_millis()).unwrap_or(u64::MAX)
    }

    /// So long after `start`, nanoseconds since the Unix epoch, on the speaker's clock.
    fn local(&self, start: i64, since: Duration) -> OffsetDateTime {
        let nanos = i128::from(start).saturating_add_unsigned(since.as_nanos());
        let utc = OffsetDateTime::from_unix_timestamp_nanos(nanos);
        let utc = utc.unwrap_or(OffsetDateTime::UNIX_EPOCH);
        let offset = UtcOffset::from_whole_seconds(self.timezone_offset.saturating_mul(60));
        offset
            .ok()
            .and_then(|offset| utc.checked_to_offset(offset))
            .unwrap_or(utc)
    }

    fn message_response(
        &self,
        said: &[Said],
        entities: &[reply::Entity<'_>],
        words: &[reply::Word<'_>],
        zero: i64,
        sequence: u64,
    ) -> String {
        let named: Vec<Vec<reply::Entity<'_>>> = said
            .iter()
            .map(|said| {
                let here = entities.iter().filter(|e| e.message_id == said.id);
                here.copied().collect()
            })
            .collect();
        let since_zero = self.clock.zero().saturating_sub(zero);
        let stream_offset = Duration::from_nanos(u64::try_from(since_zero).unwrap_or(0));
        let messages: Vec<reply::Message<'_>> = said
            .iter()
            .zip(&named)
            .map(|(said, entities)| reply::Message {
                id: &said.id,
                from: person(&self.speaker),
                text: &said.text,
                original_text: &said.original_text,
                timezone_offset: self.timezone_offset,
                words: words.get(said.words.clone()).unwrap_or_default(),
                stream_offset,
                conversation_start: zero,
                entities,
            })
            .collect();
        reply::message_response(&messages, sequence)
    }

    fn tracker_match<'a>(
        &'a self,
        message_id: &'a str,
        found: &'a TrackerFinding,
    ) -> reply::TrackerMatch<'a> {
        let ids = &self.wanted.tracker_ids;
        let id = ids.iter().find(|(name, _)| *name == found.name);
        reply::TrackerMatch {
            tracker_id: id.map(|(_, id)| id.as_str()),
            name: &found.name,
            value: &found.value,
            message_id,
            text: &found.text,
            offset: found.offset,
        }
    }

    fn insight_response(
        &self,
        found: &[(String, InsightFinding)],
        said: &[Said],
        sequence: u64,
    ) -> String {
        let ids: Vec<(String, Option<String>)> = found
            .iter()
            .map(|(message_id, finding)| {
                let said = said.iter().find(|said| said.id == *message_id);
                let due = said.zip(finding.due_by.as_deref());
                let due = due.and_then(|(said, words)| said.due(words)?.format(&Rfc3339).ok());
                (Uuid::new_v4().to_string(), due)
            })
            .collect();
        let insights: Vec<reply::Insight<'_>> = found
            .iter()
            .zip(&ids)
            .map(|((message_id, finding), (id, due))| reply::Insight {
                id,
                kind: finding.kind,
                text: &finding.text,
                confidence: finding.confidence,
                hints: &finding.hints,
                assignee: finding.assignee.as_ref().map(|assignee| match assignee {
                    Assignee::Speaker => person(&self.speaker),
                    Assignee::Named(name) => Person {
                        name: Some(name),
                        ..Person::default()
                    },
                }),
                from: person(&self.speaker),
                message_id,
                due_by: due.as_deref(),
            })
            .collect();
        reply::insight_response(&insights, sequence)
    }
}

fn person(speaker: &Speaker) -> Person<'_> {
    Person {
        id: Some(&speaker.id),
        user_id: speaker.user_id.as_deref(),
        name: speaker.name.as_deref(),
    }
}

/// The words of a sentence with the punctuation and case that they have in it.
fn as_written(sentence: &Sentence, words: &[Word]) -> Vec<String> {
    let recognised = words.get(sentence.words.clone()).unwrap_or_default();
    let written: Vec<&str> = sentence.text.split_whitespace().collect();
    if written.len() == recognised.len() {
        written.into_iter().map(str::to_owned).collect()
    } else {
        recognised.iter().map(|word| word.text.clone()).collect()
    }
}

fn mean_confidence(words: &[Word]) -> f64 {
    let sum: f64 = words.iter().map(|word| word.confidence).sum();
    sum / words.len().max(1) as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    fn word(text: &str) -> Word {
        Word {
            text: text.to_owned(),
            start: Duration::ZERO,
            end: Duration::ZERO,
            confidence: 0.5,
        }
    }

    fn sentence(text: &str, words: usize) -> Sentence {
        Sentence {
            text: text.to_owned(),
            original_text: String::new(),
            words: 0..words,
        }
    }

    #[test]
    fn words_are_written_as_in_their_sentence_where_they_correspond() {
        let words = [word("how"), word("are"), word("you")];
        let written = as_written(&sentence("How are you?", 3), &words);
        assert_eq!(written, ["How", "are", "you?"]);
        let reworded = as_written(&sentence("How do you do?", 3), &words);
        assert_eq!(reworded, ["how", "are", "you"]);
    }

    #[test]
    fn the_confidence_of_an_utterance_is_the_mean_of_its_words() {
        assert_eq!(mean_confidence(&[word("a"), word("b")]), 0.5);
        assert_eq!(mean_confidence(&[]), 0.0);
    }
}
