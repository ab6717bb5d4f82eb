// SPDX-License-Identifier: MPL-2.0

//! The wire form of the Symbl Streaming API: entries of the log as messages.

use crate::conversation::attribution::Attribution;
use crate::conversation::entry::{Entity, Message, Speaker, TrackerMatch, Transcribed, Word};
use crate::conversation::form::{Audience, Form, Live, Rendered};
use crate::door::analytics::live_analytics;
use crate::hearing::draft::local;
use crate::outbox::Text;
use std::time::Duration;
use symbl_analysis::sentiment;
use symbl_protocol::InsightType;
use symbl_protocol::reply::{self, Person};
use time::format_description::well_known::Rfc3339;

/// The form of all sockets of the Symbl Streaming API.
pub(crate) static SYMBL: Symbl = Symbl;

/// See [`SYMBL`].
#[derive(Debug)]
pub(crate) struct Symbl;

impl Form for Symbl {
    /// Returns the result, and then its messages, insights, topics, trackers and entities.
    fn said(&self, said: &Transcribed) -> Rendered {
        let words: Vec<reply::SpokenWord<'_>> = said.words.iter().map(word).collect();
        let result = reply::final_result(
            &said.text,
            &words,
            said.confidence,
            Some(person(&said.speaker)),
            said.elapsed,
        );
        let mut rendered = vec![(Audience::Speaker, Text::from(result))];
        if said.messages.is_empty() {
            return rendered;
        }
        let ids = Ids::of(said);
        let entities = entities(said, &ids);
        let mut all = vec![message_response(said, &words, &entities, &ids)];
        if !said.insights.is_empty() {
            all.push(insight_response(said, &ids));
        }
        if !said.topics.is_empty() {
            all.push(topic_response(said));
        }
        if !said.trackers.is_empty() {
            all.push(tracker_response(&said.trackers, Some(said.number)));
        }
        if !entities.is_empty() {
            all.push(reply::entity_response(&entities, said.number));
        }
        rendered.extend(all.into_iter().map(|text| (Audience::All, text.into())));
        rendered
    }

    fn attributed(&self, all: &[Attribution]) -> Rendered {
        let ids: Vec<Vec<String>> = all
            .iter()
            .map(|one| one.messages.iter().map(ToString::to_string).collect())
            .collect();
        let corrected = all.iter().zip(&ids);
        let corrected = corrected.map(|(one, message_ids)| reply::Corrected {
            from: person(&one.speaker),
            message_ids,
        });
        let text = reply::speaker_response(&corrected.collect::<Vec<_>>());
        vec![(Audience::All, text.into())]
    }

    fn live(&self, live: &Live<'_>) -> Rendered {
        match live {
            Live::Interim(interim) => {
                let words = interim.words.iter().map(|word| reply::SpokenWord {
                    text: &word.text,
                    start: word.start,
                    end: word.end,
                });
                let words: Vec<reply::SpokenWord<'_>> = words.collect();
                let result = reply::Interim {
                    text: interim.text,
                    start: Some(interim.start),
                    words: &words,
                    stable: interim.stable,
                    user: Some(person(interim.speaker)),
                };
                let text = reply::interim_result(&result, interim.elapsed);
                vec![(Audience::Speaker, text.into())]
            }
            Live::Analytics(tallied) => {
                let text = reply::analytics_response(live_analytics(tallied));
                vec![(Audience::Speaker, text.into())]
            }
            Live::Trackers(matches) => {
                vec![(Audience::All, tracker_response(matches, None).into())]
            }
        }
    }
}

/// The ids of the messages as text.
struct Ids(Vec<(i64, String)>);

impl Ids {
    fn of(said: &Transcribed) -> Self {
        let ids = said.messages.iter();
        Self(
            ids.map(|message| (message.id, message.id.to_string()))
                .collect(),
        )
    }

    fn get(&self, id: i64) -> &str {
        let found = self.0.iter().find(|(known, _)| *known == id);
        found.map_or("", |(_, text)| text)
    }
}

fn word(word: &Word) -> reply::SpokenWord<'_> {
    reply::SpokenWord {
        text: &word.text,
        start: Duration::from_nanos(word.start),
        end: Duration::from_nanos(word.end),
    }
}

fn person(speaker: &Speaker) -> Person<'_> {
    Person {
        id: Some(&speaker.id),
        user_id: speaker.user_id.as_deref(),
        name: speaker.name.as_deref(),
    }
}

fn message_response(
    said: &Transcribed,
    words: &[reply::SpokenWord<'_>],
    entities: &[reply::Entity<'_>],
    ids: &Ids,
) -> String {
    let since_zero = said.start.saturating_sub(said.zero);
    let stream_offset = Duration::from_nanos(u64::try_from(since_zero).unwrap_or(0));
    let named = said.messages.iter().map(|message| {
        let id = ids.get(message.id);
        let here = entities.iter().filter(|entity| entity.message_id == id);
        here.copied().collect()
    });
    let named: Vec<Vec<reply::Entity<'_>>> = named.collect();
    let phrases = said.messages.iter();
    let phrases =
        phrases.map(|message| said.phrases.then(|| symbl_analysis::phrases(&message.text)));
    let phrases: Vec<Option<Vec<String>>> = phrases.collect();
    let messages = said.messages.iter().zip(named.iter().zip(&phrases));
    let messages = messages.map(|(message, (entities, phrases))| reply::Message {
        id: ids.get(message.id),
        from: person(&said.speaker),
        text: &message.text,
        original_text: &message.original_text,
        timezone_offset: said.timezone_offset,
        words: words.get(message.words.clone()).unwrap_or_default(),
        stream_offset,
        conversation_start: said.zero,
        stream: said.part.as_ref().map(|part| reply::StreamZero {
            id: &part.stream,
            position: part.base,
        }),
        entities,
        sentiment: said.sentiment.then(|| sentiment::polarity(&message.text)),
        phrases: phrases.as_deref(),
    });
    reply::message_response(&messages.collect::<Vec<_>>(), said.number)
}

fn insight_response(said: &Transcribed, ids: &Ids) -> String {
    let own: Vec<(String, Option<String>)> = said
        .insights
        .iter()
        .map(|found| {
            let due = found.due.map(|due| local(due, said.timezone_offset));
            let due = due.and_then(|due| due.format(&Rfc3339).ok());
            (found.id.to_string(), due)
        })
        .collect();
    let insights = said.insights.iter().zip(&own);
    let insights = insights.filter_map(|(found, (id, due))| {
        let named = found.assignee.as_deref().map(|name| Person {
            name: Some(name),
            ..Person::default()
        });
        Some(reply::Insight {
            id,
            kind: InsightType::from_wire(&found.kind)?,
            text: &found.text,
            confidence: found.score,
            hints: &found.hints,
            assignee: found.by_speaker.then(|| person(&said.speaker)).or(named),
            from: person(&said.speaker),
            message_id: ids.get(found.message),
            due_by: due.as_deref(),
        })
    });
    reply::insight_response(&insights.collect::<Vec<_>>(), said.number)
}

fn topic_response(said: &Transcribed) -> String {
    let ids: Vec<String> = said
        .topics
        .iter()
        .map(|topic| topic.id.to_string())
        .collect();
    let topics = said.topics.iter().zip(&ids);
    let topics = topics.map(|(topic, id)| reply::Topic {
        id,
        text: &topic.text,
        score: topic.score,
        message_ids: &topic.messages,
        root_words: &topic.root_words,
    });
    reply::topic_response(&topics.collect::<Vec<_>>())
}

fn tracker_response(found: &[TrackerMatch], number: Option<u64>) -> String {
    let ids: Vec<String> = found.iter().map(|one| one.message.to_string()).collect();
    let matches = found.iter().zip(&ids);
    let matches = matches.map(|(one, message_id)| reply::TrackerMatch {
        tracker_id: one.tracker_id.as_deref(),
        name: &one.name,
        value: &one.value,
        message_id,
        text: &one.text,
        offset: one.offset,
    });
    let matches: Vec<_> = matches.collect();
    reply::tracker_response(&matches, number.is_some(), number)
}

fn entities<'a>(said: &'a Transcribed, ids: &'a Ids) -> Vec<reply::Entity<'a>> {
    let message_of = |entity: &Entity| -> Option<&Message> {
        let mut messages = said.messages.iter();
        messages.find(|message| message.id == entity.message)
    };
    let entities = said.entities.iter().filter_map(|entity| {
        let message = message_of(entity)?;
        Some(reply::Entity {
            kind: &entity.kind,
            sub_type: entity.sub_type.as_deref(),
            value: &entity.text,
            text: &message.text,
            offset: entity.offset,
            message_id: ids.get(message.id),
            span: said.span_of(message),
        })
    });
    entities.collect()
}
