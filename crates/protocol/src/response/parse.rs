// SPDX-License-Identifier: MPL-2.0

//! Parses the text of a frame into a [`ServerMessage`].
//!
//! A member of a wrong type counts as absent, and an item that is not an object is
//! skipped. Text that is nearly JSON is mended (see [`super::mend`]) after a strict
//! parser has refused it, so JSON is parsed only once.
//!
//! Sources: trace of the original service, Symbl Streaming API reference, source of
//! the official SDKs.

use super::json::{Members, Node, has_raw_control};
use super::mend::mend;
use super::{
    AudioPlace, Entity, Insight, Message, MessageWord, ParseError, Participant, RecognitionResult,
    ServerMessage, ServiceError, Topic, TrackerMatch, Word,
};
use crate::PONG_TEXT;
use crate::timestamp::parse_rfc3339;

impl ServerMessage {
    /// Reads one text frame, even if it is only nearly JSON.
    ///
    /// # Errors
    ///
    /// Returns an error only if the frame is not a JSON object, is not [`PONG_TEXT`],
    /// and cannot be mended.
    pub fn parse(text: &str) -> Result<Self, ParseError> {
        Self::parse_mended(text).map(|(message, _)| message)
    }

    /// Reads one text frame. If it had to be mended, also returns what was wrong with
    /// it, and the `json` of the message is the mended text.
    ///
    /// # Errors
    ///
    /// As [`ServerMessage::parse`].
    pub fn parse_mended(text: &str) -> Result<(Self, Option<ParseError>), ParseError> {
        or_mended(text, Self::parse_strictly)
    }

    fn parse_strictly(text: &str) -> Result<Self, ParseError> {
        if text.trim() == PONG_TEXT {
            return Ok(Self::Pong);
        }
        let outer = object(text)?;
        let outer_kind = outer.get("type").string();
        if outer_kind.as_deref() == Some("message") {
            let inner = outer.get("message").members();
            if let Some(kind) = inner.get("type").string() {
                return Ok(read(&kind, &inner, &outer, text));
            }
        }
        // The reference shows inner messages without their envelope, so they are
        // accepted like that.
        let kind = outer_kind.unwrap_or_default();
        Ok(read(&kind, &outer, &outer, text))
    }
}

/// Parses `text`. If that is not JSON, parses the mended text and also returns the
/// first error.
fn or_mended<T>(
    text: &str,
    parse: impl Fn(&str) -> Result<T, ParseError>,
) -> Result<(T, Option<ParseError>), ParseError> {
    match parse(text) {
        Err(flaw @ ParseError::NotJson { .. }) => {
            let mended = mend(text).and_then(|text| parse(&text).ok());
            match mended {
                Some(read) => Ok((read, Some(flaw))),
                None => Err(flaw),
            }
        }
        read => Ok((read?, None)),
    }
}

/// Returns the members of a text that is a single JSON object.
fn object(text: &str) -> Result<Members<'_>, ParseError> {
    let length = text.len();
    if let Ok(members) = Members::of(text) {
        if has_raw_control(text) {
            let reason = "control character in the name of a member".to_owned();
            return Err(ParseError::NotJson { length, reason });
        }
        return Ok(members);
    }
    let node = Node::of(text).map_err(|error| not_json(text, &error))?;
    if !node.is_object() {
        return Err(ParseError::NotAnObject { length });
    }
    Ok(node.members())
}

fn not_json(text: &str, error: &serde_json::Error) -> ParseError {
    ParseError::NotJson {
        length: text.len(),
        reason: error.to_string(),
    }
}

/// Builds the message. `body` has the members of the kind; `frame` is the whole
/// frame, and the same as `body` if there is no envelope.
fn read(kind: &str, body: &Members<'_>, frame: &Members<'_>, text: &str) -> ServerMessage {
    let json = || text.to_owned();
    let sequence_number = || body.get("sequenceNumber").count();
    let unknown = || ServerMessage::Unknown {
        kind: kind.to_owned(),
        json: json(),
    };
    match kind {
        "started_listening" => ServerMessage::StartedListening,
        "conversation_created" => ServerMessage::ConversationCreated {
            conversation_id: conversation_id(body),
        },
        "recognition_started" => ServerMessage::RecognitionStarted {
            conversation_id: conversation_id(body),
        },
        "recognition_result" => {
            ServerMessage::RecognitionResult(recognition_result(body, frame, text))
        }
        "recognition_progress" => match body.get("audioTime").seconds() {
            Some(audio_time) => ServerMessage::RecognitionProgress { audio_time },
            None => unknown(),
        },
        "recognition_stopped" => ServerMessage::RecognitionStopped {
            told: body.get("x_told").boolean(),
        },
        "conversation_completed" => ServerMessage::ConversationCompleted {
            conversation_id: conversation_id(body),
            summary_url: in_data_or_here(body, "summaryUrl").filled(),
        },
        "session_modified" => ServerMessage::SessionModified { json: json() },
        "processing_terminated" => ServerMessage::ProcessingTerminated { json: json() },
        "subscription_started" => ServerMessage::SubscriptionStarted {
            conversation_id: conversation_id(body),
            last_sequence_number: in_data_or_here(body, "x_lastSequenceNumber").integer(),
        },
        "message_response" => ServerMessage::MessageResponse {
            messages: objects(body.get("messages")).map(message).collect(),
            sequence_number: sequence_number(),
        },
        "insight_response" => ServerMessage::InsightResponse {
            insights: objects(body.get("insights")).map(insight).collect(),
            sequence_number: sequence_number(),
        },
        "topic_response" => ServerMessage::TopicResponse {
            topics: objects(body.get("topics")).map(topic).collect(),
        },
        "tracker_response" => ServerMessage::TrackerResponse {
            matches: objects(body.get("trackers"))
                .flat_map(tracker_matches)
                .collect(),
            is_final: body.get("isFinal").boolean().unwrap_or(true),
            sequence_number: sequence_number(),
        },
        "entity_response" => ServerMessage::EntityResponse {
            entities: objects(body.get("entities")).flat_map(entities).collect(),
        },
        "analytics_response" => {
            let metric = |kind: &str| {
                let mut metrics = objects(body.get("metrics"));
                let found = metrics.find(|one| one.get("type").string().as_deref() == Some(kind));
                found.and_then(|one| one.get("seconds").seconds())
            };
            ServerMessage::AnalyticsResponse {
                talk_time: metric("total_talk_time"),
                silence: metric("total_silence"),
                overlap: metric("total_overlap"),
                json: json(),
            }
        }
        "error" => ServerMessage::Error(service_error(body, text)),
        _ => unknown(),
    }
}

/// Returns a member from `data` or from `body` itself: sources show it in both
/// places.
fn in_data_or_here<'a>(body: &Members<'a>, name: &str) -> Node<'a> {
    let in_data = body.get("data").get(name);
    if in_data.exists() {
        in_data
    } else {
        body.get(name)
    }
}

fn conversation_id(body: &Members<'_>) -> Option<String> {
    in_data_or_here(body, "conversationId").id()
}

fn recognition_result(body: &Members<'_>, frame: &Members<'_>, text: &str) -> RecognitionResult {
    let payload = body.get("payload");
    let alternative = payload
        .at(&["raw", "alternatives"])
        .items()
        .next()
        .map(Node::members)
        .unwrap_or_default();
    let punctuated = body.get("punctuated").get("transcript").filled();
    let is_final = body.get("isFinal").boolean().unwrap_or(false);
    let words = alternative.get("words");
    let said = punctuated
        .or_else(|| alternative.get("transcript").filled())
        .unwrap_or_else(|| words_joined(words));
    let words: Vec<Option<Word>> = words.items().map(word).collect();
    let stable = alternative.get("x_stableWords");
    RecognitionResult {
        is_final,
        confidence: alternative.get("confidence").number_within(0.0, 1.0),
        start: alternative.get("startTime").seconds_and_nanos(),
        stable_words: stable_words(stable, &words, &said).filter(|_| !is_final),
        text: said,
        words: words.into_iter().flatten().collect(),
        user: speaker(body.get("user")),
        time_offset_ms: frame.get("timeOffset").count(),
        json: text.to_owned(),
    }
}

/// Returns how many of the words that have a time are stable. A number that is larger than
/// the number of words counts as absent, because it promises what is not there.
fn stable_words(node: Node<'_>, words: &[Option<Word>], text: &str) -> Option<usize> {
    let told = usize::try_from(node.count()?).ok()?;
    let stable = match words {
        [] if told <= text.split_whitespace().count() => told,
        [] => return None,
        words => words.get(..told)?.iter().flatten().count(),
    };
    Some(stable).filter(|stable| *stable > 0)
}

/// Joins the words of a result that has no other text.
fn words_joined(words: Node<'_>) -> String {
    let words = words.items().filter_map(|node| node.get("word").filled());
    words.collect::<Vec<_>>().join(" ")
}

/// Reads a word. A word without a time is left out here; the text of the result has
/// it.
fn word(node: Node<'_>) -> Option<Word> {
    let members = node.members();
    let start = members.get("startTime").seconds_and_nanos()?;
    let end = members.get("endTime").seconds_and_nanos();
    Some(Word {
        word: members.get("word").filled()?,
        start,
        end: end.map_or(start, |end| end.max(start)),
    })
}

fn speaker(node: Node<'_>) -> Option<Participant> {
    let members = node.members();
    let speaker = Participant {
        id: members.get("id").id(),
        user_id: members
            .get("userId")
            .id()
            .or_else(|| members.get("email").filled()),
        name: members.get("name").filled(),
    };
    Some(speaker).filter(|speaker| *speaker != Participant::default())
}

fn message(item: Node<'_>) -> Message {
    let members = item.members();
    let metadata = members.get("metadata").members();
    let duration = members.get("duration").members();
    Message {
        id: members.get("id").id(),
        text: content(&members),
        original_text: metadata.get("originalContent").filled(),
        from: speaker(members.get("from")),
        start_time: instant(duration.get("startTime")),
        end_time: instant(duration.get("endTime")),
        time_offset: duration.get("timeOffset").seconds(),
        duration: duration.get("duration").seconds(),
        words: message_words(metadata.get("words")),
        sentiment: members
            .get("sentiment")
            .at(&["polarity", "score"])
            .number_within(-1.0, 1.0),
        place: audio_place(&members.get("x_place").members()),
        json: item.text().to_owned(),
    }
}

fn audio_place(members: &Members<'_>) -> Option<AudioPlace> {
    let (from, until) = (members.get("from").count()?, members.get("until").count()?);
    let place = AudioPlace {
        stream: members.get("stream").filled()?,
        from,
        until,
    };
    (from <= until).then_some(place)
}

/// Reads the messages of a conversation from a list of the Conversation API.
///
/// Their ids are not those of the live messages. Their time offsets are left out,
/// because they count from the first message and not from the start of the audio.
///
/// # Errors
///
/// Returns an error if the text is not a JSON object and cannot be mended.
pub fn history(text: &str) -> Result<Vec<Message>, ParseError> {
    let (messages, _) = or_mended(text, |text| {
        let messages = objects(object(text)?.get("messages"));
        Ok(messages.map(history_message).collect())
    })?;
    Ok(messages)
}

fn history_message(item: Node<'_>) -> Message {
    let members = item.members();
    let mut words = message_words(members.get("words"));
    words.iter_mut().for_each(|word| word.time_offset = None);
    Message {
        start_time: instant(members.get("startTime")),
        end_time: instant(members.get("endTime")),
        duration: members.get("duration").seconds(),
        time_offset: None,
        words,
        ..message(item)
    }
}

/// Returns `payload.content` as in traces, else `text` as in the reference.
fn content(item: &Members<'_>) -> String {
    let content = item.get("payload").get("content").filled();
    content
        .or_else(|| item.get("text").string())
        .unwrap_or_default()
}

fn message_words(node: Node<'_>) -> Vec<MessageWord> {
    match node.string() {
        Some(inner) => {
            let words = or_mended(&inner, |text| {
                let array = Node::of(text).map_err(|error| not_json(text, &error))?;
                Ok(words_of_array(array))
            });
            words.map(|(words, _)| words).unwrap_or_default()
        }
        None => words_of_array(node),
    }
}

fn words_of_array(array: Node<'_>) -> Vec<MessageWord> {
    array
        .items()
        .filter_map(|item| {
            let members = item.members();
            Some(MessageWord {
                word: members.get("word").filled()?,
                start_time: instant(members.get("startTime")),
                end_time: instant(members.get("endTime")),
                time_offset: members.get("timeOffset").seconds(),
                duration: members.get("duration").seconds(),
            })
        })
        .collect()
}

fn instant(node: Node<'_>) -> Option<i64> {
    parse_rfc3339(&node.string()?)
}

fn insight(item: Node<'_>) -> Insight {
    let members = item.members();
    let due_by = members.get("dueBy");
    Insight {
        id: members.get("id").id(),
        kind: members.get("type").string().unwrap_or_default(),
        text: content(&members),
        confidence: members.get("confidence").number_within(0.0, 1.0),
        message_id: members.get("messageReference").get("id").id(),
        assignee: speaker(members.get("assignee")),
        from: speaker(members.get("from")),
        due_by: due_by.get("value").filled().or_else(|| due_by.filled()),
        json: item.text().to_owned(),
    }
}

fn topic(item: Node<'_>) -> Topic {
    let members = item.members();
    let phrases = members.get("phrases").filled();
    Topic {
        id: members.get("id").id(),
        text: phrases
            .or_else(|| members.get("text").string())
            .unwrap_or_default(),
        score: members.get("score").number_within(0.0, 1.0),
        message_ids: members
            .get("messageReferences")
            .items()
            .filter_map(|reference| reference.get("id").id())
            .collect(),
        json: item.text().to_owned(),
    }
}

fn tracker_matches(item: Node<'_>) -> Vec<TrackerMatch> {
    let members = item.members();
    let mut matches = Vec::new();
    for found in objects(members.get("matches")).map(Node::members) {
        let entry = TrackerMatch {
            id: members.get("id").id(),
            name: members.get("name").string().unwrap_or_default(),
            kind: found.get("type").filled(),
            value: found.get("value").string().unwrap_or_default(),
            message_id: None,
            text: None,
            offset: None,
            json: item.text().to_owned(),
        };
        let in_messages = objects(found.get("messageRefs"));
        let references = in_messages.chain(objects(found.get("insightRefs")));
        let placed = references.map(Node::members).map(|reference| TrackerMatch {
            message_id: reference.get("id").id(),
            text: reference.get("text").filled(),
            offset: reference.get("offset").integer(),
            ..entry.clone()
        });
        extend_or_push(&mut matches, placed, entry.clone());
    }
    matches
}

fn entities(item: Node<'_>) -> Vec<Entity> {
    let members = item.members();
    // An entity without `matches` is its own match, as it is inside messages.
    let entity = |found: &Members<'_>| Entity {
        kind: members.get("type").string().unwrap_or_default(),
        sub_type: members.get("subType").filled(),
        category: members.get("category").filled(),
        value: ["detectedValue", "text", "value"]
            .into_iter()
            .find_map(|name| found.get(name).filled())
            .unwrap_or_default(),
        message_id: None,
        json: item.text().to_owned(),
    };
    if !members.get("matches").exists() {
        return vec![entity(&members)];
    }
    let mut entities = Vec::new();
    for found in objects(members.get("matches")).map(Node::members) {
        let entry = entity(&found);
        let placed = objects(found.get("messageRefs")).map(|reference| Entity {
            message_id: reference.get("id").id(),
            ..entry.clone()
        });
        extend_or_push(&mut entities, placed, entry.clone());
    }
    entities
}

/// Appends `placed`, or `bare` if there is none: a match without a reference is still
/// a match.
fn extend_or_push<T>(all: &mut Vec<T>, placed: impl Iterator<Item = T>, bare: T) {
    let before = all.len();
    all.extend(placed);
    if all.len() == before {
        all.push(bare);
    }
}

fn service_error(body: &Members<'_>, text: &str) -> ServiceError {
    let first = |names: [&str; 2]| {
        names
            .into_iter()
            .find_map(|name| body.get(name).explanation())
    };
    ServiceError {
        message: first(["message", "errorMessage"]),
        details: first(["details", "detail"]),
        code: first(["code", "errorCode"]),
        json: text.to_owned(),
    }
}

/// Returns the items that are objects.
fn objects<'a>(array: Node<'a>) -> impl Iterator<Item = Node<'a>> {
    array.items().filter(|item| item.is_object())
}
