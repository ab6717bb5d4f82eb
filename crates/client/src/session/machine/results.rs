// SPDX-License-Identifier: MPL-2.0

//! What the service says, turned into events with their places in the audio.

use super::super::delivery::{Delivery, PlacedMessage};
use super::super::event::{EventKind, PlacedWord, Placement, SessionEvent};
use super::super::planted::{Bug, planted};
use super::super::{Position, Time};
use super::{Output, Session};
use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;
use symbl_protocol::ServerMessage;
use symbl_protocol::response::{Entity, Insight, Message, RecognitionResult, Topic, TrackerMatch};

/// The conversation that the service put this session into.
#[derive(Debug, Default)]
pub(super) struct Conversation {
    /// As issued by the service, once known.
    pub(super) id: Option<Arc<str>>,
    /// The conversation of the current start was reported.
    told: bool,
    /// The connection is new, so that messages of the time without one were missed.
    missed_some: bool,
    /// When the latest message before that time began, by the service's wall clock, in
    /// nanoseconds since the Unix epoch.
    told_until: Option<i64>,
}

impl Conversation {
    /// Notes a new connection. Messages that were sent before it may have been missed.
    pub(super) fn connected(&mut self, delivery: &Delivery) {
        if !std::mem::replace(&mut self.missed_some, true) {
            self.told_until = delivery.told_until();
        }
    }

    /// Notes a start: its conversation is to be reported.
    pub(super) fn begin_start(&mut self) {
        self.told = false;
    }
}

/// Returns `true` if the message is a result about the audio.
fn is_result(message: &ServerMessage) -> bool {
    matches!(
        message,
        ServerMessage::RecognitionResult(_)
            | ServerMessage::MessageResponse { .. }
            | ServerMessage::InsightResponse { .. }
            | ServerMessage::TopicResponse { .. }
            | ServerMessage::TrackerResponse { .. }
            | ServerMessage::EntityResponse { .. }
    )
}

impl Session {
    /// Handles a text message of the service.
    pub(super) fn handle_text(&mut self, now: Time, text: &str) {
        let message = match ServerMessage::parse_mended(text) {
            Ok((message, flaw)) => {
                self.counters.stats.parse_errors += u64::from(flaw.is_some());
                message
            }
            Err(error) => return self.unreadable(now, text, &error),
        };
        if is_result(&message) {
            self.stall.answered();
            self.outage.refusals.worked();
        }
        match message {
            ServerMessage::StartedListening => self.listening(now),
            ServerMessage::ConversationCreated { conversation_id } => {
                self.conversation(conversation_id)
            }
            ServerMessage::RecognitionStarted { conversation_id } => {
                self.conversation(conversation_id);
                self.listening(now);
            }
            ServerMessage::RecognitionResult(result) => self.recognition_result(now, result),
            ServerMessage::RecognitionProgress { audio_time } => self.heard_until(audio_time),
            ServerMessage::RecognitionStopped { told } => self.recognition_stopped(now, told),
            ServerMessage::ConversationCompleted {
                conversation_id, ..
            } => {
                self.conversation(conversation_id);
                self.session_event(SessionEvent::Completed, None, Some(text.to_owned()));
                self.completed(now);
            }
            ServerMessage::SessionModified { json } => {
                self.terms.modified_at = None;
                self.session_event(SessionEvent::Modified, None, Some(json))
            }
            ServerMessage::SubscriptionStarted {
                conversation_id, ..
            } => self.conversation(conversation_id),
            ServerMessage::MessageResponse { messages, .. } => {
                messages
                    .into_iter()
                    .for_each(|item| self.message(now, item));
            }
            ServerMessage::InsightResponse { insights, .. } => {
                insights
                    .into_iter()
                    .for_each(|item| self.insight(now, item));
            }
            ServerMessage::TopicResponse { topics } => {
                topics.into_iter().for_each(|item| self.topic(now, item))
            }
            ServerMessage::AnalyticsResponse {
                talk_time,
                silence,
                overlap,
                json,
            } => {
                let kind = EventKind::Analytics {
                    talk_time,
                    silence,
                    overlap,
                };
                self.emit(kind, None, Some(json));
            }
            ServerMessage::TrackerResponse {
                matches, is_final, ..
            } => {
                matches
                    .into_iter()
                    .for_each(|item| self.tracker(now, item, is_final));
            }
            ServerMessage::EntityResponse { entities } => {
                entities.into_iter().for_each(|item| self.entity(now, item))
            }
            ServerMessage::Error(error) => self.service_error(now, error),
            ServerMessage::Pong => {}
            ServerMessage::ProcessingTerminated { json } => {
                let kind = "processing_terminated".to_owned();
                self.emit(EventKind::Raw { kind }, None, Some(json));
                self.terminated(now);
            }
            ServerMessage::Unknown { kind, json } => {
                self.counters.stats.unknown += 1;
                self.emit(EventKind::Raw { kind }, None, Some(json));
            }
        }
    }

    /// Reports how far the service has heard the audio.
    fn heard_until(&mut self, audio_time: Duration) {
        let nanos = u64::try_from(audio_time.as_nanos()).unwrap_or(u64::MAX);
        let Some(until) = self.generation.position(nanos) else {
            return; // It has no audio yet.
        };
        let times = self.timeline.locate_end_at(until);
        let placement = Placement {
            from: until,
            until,
            running_time: times.and_then(|times| times.running_time),
            ..Placement::default()
        };
        self.emit(EventKind::Heard, Some(placement), None);
    }

    /// Notes the id that the service gave to the conversation, and reports it once for each
    /// start.
    fn conversation(&mut self, id: Option<String>) {
        let Some(id) = id.filter(|id| !id.is_empty()) else {
            return;
        };
        let conversation = &mut self.conversation;
        if std::mem::replace(&mut conversation.told, true) {
            return;
        }
        let missed_some = std::mem::take(&mut conversation.missed_some);
        let previous = conversation.id.replace(Arc::from(id.as_str()));
        let (event, previous) = match previous {
            None => (SessionEvent::Created, None),
            Some(same) if *same == *id || planted(Bug::SplitNotNoticed) => {
                (SessionEvent::Resumed, None)
            }
            Some(other) => (SessionEvent::Split, Some(other)),
        };
        self.session_event(event, previous, None);
        let recovers = missed_some && self.config.history_recovery;
        if event == SessionEvent::Resumed
            && recovers
            && let Some(since) = self.delivery.missed_since(self.conversation.told_until)
        {
            self.outbox.actions.push_back(Output::FetchHistory {
                conversation_id: Arc::from(id),
                since,
            });
        }
    }

    /// Reports the messages of the conversation's history that this session missed.
    pub(super) fn history(&mut self, now: Time, messages: Vec<Message>) {
        let replay = if self.generation.has_audio() {
            self.generation.start()
        } else {
            let next = self.spool.peek().map(|chunk| chunk.start);
            next.unwrap_or(self.upstream.chunker.position())
        };
        for message in messages {
            if let Some(placed) = self.delivery.recall(&message, replay, &self.generation) {
                self.tell_message(now, message, placed);
            }
        }
    }

    fn session_event(
        &mut self,
        event: SessionEvent,
        previous: Option<Arc<str>>,
        json: Option<String>,
    ) {
        self.emit(
            EventKind::Session {
                event,
                previous_conversation_id: previous,
            },
            None,
            json,
        );
    }

    fn recognition_result(&mut self, now: Time, result: RecognitionResult) {
        self.pass_over_unread(&result);
        let heard = self.delivery.place_result(&result, &self.generation);
        if result.is_final {
            if let Some(heard) = &heard {
                self.lose_unread(heard.span.start);
            }
            self.acknowledge();
        }
        let Some(heard) = heard else {
            return;
        };
        self.stops.progress(now);
        if result.is_final {
            self.terms.heard(heard.span.start);
        }
        let placement = self.place(now, &heard.span);
        if let Some(delay) = placement.delay {
            self.counters.delayed(delay, result.is_final);
        }
        if !result.is_final && !self.config.interim_results {
            return;
        }
        self.counters.stats.transcripts += 1;
        let kind = EventKind::Transcript {
            text: heard.text,
            is_final: result.is_final,
            utterance_id: heard.utterance_id,
            confidence: result.confidence,
            speaker: result.user,
            words: self.place_words(&heard.words),
            stable_words: heard.stable,
        };
        self.emit(kind, Some(placement), Some(result.json));
    }

    /// Lets the spool drop audio that needs no replay: its finals, and their messages, were
    /// delivered.
    fn acknowledge(&mut self) {
        if planted(Bug::AcknowledgementSkipped) {
            return;
        }
        let delivered = self.delivery.delivered();
        self.finalised(delivered, self.delivery.settled());
        self.timeline.prune(delivered);
    }

    /// Takes the audio before `until` as finalised. For the audio before `released` the
    /// service owes no message either.
    pub(super) fn finalised(&mut self, until: Position, released: Position) {
        // A position counts audio that was dropped too.
        let never_sent = self
            .spool
            .sent()
            .saturating_sub(self.counters.stats.audio_sent);
        let finalised = until.saturating_sub(never_sent + self.losses.unread.lost());
        self.counters.stats.audio_finalised = self.counters.stats.audio_finalised.max(finalised);
        self.spool.acknowledge(until, released);
    }

    fn place_words(&self, words: &[(String, Range<Position>)]) -> Vec<PlacedWord> {
        words
            .iter()
            .map(|(word, span)| {
                let times = self.timeline.locate_heard(span.start, span.end);
                let start = times.and_then(|(start, _)| start.running_time);
                let end = times.and_then(|(_, end)| end.running_time);
                PlacedWord {
                    word: word.clone(),
                    audio: span.clone(),
                    running_time: start,
                    duration: start.zip(end).map(|(s, e)| e.saturating_sub(s)),
                }
            })
            .collect()
    }

    fn place_opt(&self, now: Time, span: Option<Range<Position>>) -> Option<Placement> {
        span.map(|span| self.place(now, &span))
    }

    fn message(&mut self, now: Time, message: Message) {
        let placed = self.delivery.place_message(&message, &self.generation);
        self.acknowledge();
        if let Some(placed) = placed {
            self.stops.progress(now);
            self.tell_message(now, message, placed);
        }
    }

    fn tell_message(&mut self, now: Time, message: Message, placed: PlacedMessage) {
        self.counters.stats.messages += 1;
        let placement = self.place_opt(now, placed.span);
        let kind = EventKind::Message {
            id: message.id,
            original_text: message.original_text.filter(|_| placed.text.is_none()),
            text: placed.text.unwrap_or(message.text),
            utterance_id: placed.utterance_id,
            speaker: message.from,
            words: self.place_words(&placed.words),
            sentiment: message.sentiment,
        };
        self.emit(kind, placement, Some(message.json));
    }

    fn insight(&mut self, now: Time, insight: Insight) {
        let span = self
            .delivery
            .insight(insight.id.as_deref(), insight.message_id.as_deref());
        let Some(span) = span else {
            return;
        };
        self.stops.progress(now);
        self.counters.stats.insights += 1;
        let placement = self.place_opt(now, span);
        let json = insight.json.clone();
        self.emit(EventKind::Insight(insight), placement, Some(json));
    }

    fn tracker(&mut self, now: Time, found: TrackerMatch, is_final: bool) {
        let Some(span) = self.delivery.referring(found.message_id.as_deref()) else {
            return;
        };
        self.stops.progress(now);
        self.counters.stats.trackers += 1;
        let placement = self.place_opt(now, span);
        let json = found.json.clone();
        self.emit(
            EventKind::Tracker { found, is_final },
            placement,
            Some(json),
        );
    }

    fn topic(&mut self, now: Time, topic: Topic) {
        let message_id = topic.message_ids.last().map(String::as_str);
        let Some(span) = self.delivery.insight(topic.id.as_deref(), message_id) else {
            return;
        };
        self.stops.progress(now);
        self.counters.stats.topics += 1;
        let placement = self.place_opt(now, span);
        let json = topic.json.clone();
        self.emit(EventKind::Topic(topic), placement, Some(json));
    }

    fn entity(&mut self, now: Time, entity: Entity) {
        let Some(span) = self.delivery.referring(entity.message_id.as_deref()) else {
            return;
        };
        let placement = self.place_opt(now, span);
        let json = entity.json.clone();
        self.emit(EventKind::Entity(entity), placement, Some(json));
    }
}
