// SPDX-License-Identifier: MPL-2.0

//! Server → client messages, read tolerantly.
//!
//! Each type has the members that a reader of captions needs, and the original text
//! for the rest. Reading must never fail, panic or drop a caption because a member is
//! missing, unknown or of an unexpected type.
//!
//! Members are those of a trace of the original service, and where the trace has
//! none, those of the Symbl Streaming API reference and of the official SDKs.

mod json;
mod mend;
mod parse;

pub use mend::Unreadable;
pub use parse::history;

use std::time::Duration;

/// A message that a service may send in a text frame.
///
/// Each field says from which zero its time counts. Items of list messages keep their
/// original JSON text, byte for byte, in `json`.
#[derive(Debug, Clone, PartialEq)]
pub enum ServerMessage {
    /// The service accepts audio.
    StartedListening,
    /// The conversation exists.
    ConversationCreated {
        /// Decimal string, usually 16 digits.
        conversation_id: Option<String>,
    },
    /// The recognition runs, and the service accepts audio.
    RecognitionStarted {
        /// Decimal string, usually 16 digits.
        conversation_id: Option<String>,
    },
    /// An interim or a final.
    RecognitionResult(RecognitionResult),
    /// How far the recognition has come: no final that is still to come begins before this
    /// time. An extension of our own service, sent only to a client whose start request
    /// asks for it.
    RecognitionProgress {
        /// From the first audio after the last `start_request`, as the times of words are.
        /// Never less than before.
        audio_time: Duration,
    },
    /// The service accepted the stop request. Results may still follow.
    RecognitionStopped {
        /// An extension of our own service, where the connection stays open after a stop:
        /// `Some(false)` if it will send this message again, with `Some(true)`, once all
        /// results of this start were sent. `None` if it says nothing about that.
        told: Option<bool>,
    },
    /// Nothing more will come for this conversation.
    ConversationCompleted {
        /// Decimal string, usually 16 digits.
        conversation_id: Option<String>,
        /// Address of a summary.
        summary_url: Option<String>,
    },
    /// Answer to `modify_request`; its payload is undocumented.
    SessionModified {
        /// The message's original text.
        json: String,
    },
    /// The service ended the session by itself, because of silence or of an idle
    /// limit.
    ProcessingTerminated {
        /// The message's original text.
        json: String,
    },
    /// Answer to a subscription.
    SubscriptionStarted {
        /// Decimal string, usually 16 digits.
        conversation_id: Option<String>,
        /// The sequence number of the last final so far, or -1 before the first one: an
        /// extension of our own service.
        last_sequence_number: Option<i64>,
    },
    /// Sentences of the conversation, by any of its speakers.
    MessageResponse {
        /// In the order of the wire.
        messages: Vec<Message>,
        /// Counts the message responses of the conversation from 0.
        sequence_number: Option<u64>,
    },
    /// Questions, action items, follow-ups.
    InsightResponse {
        /// In the order of the wire.
        insights: Vec<Insight>,
        /// Sequence number of the message response that the insights derive from.
        sequence_number: Option<u64>,
    },
    /// Topics of the conversation.
    TopicResponse {
        /// In the order of the wire.
        topics: Vec<Topic>,
    },
    /// Matches of the trackers that the application asked for.
    TrackerResponse {
        /// One item per match reference, flattened, in the order of the wire.
        matches: Vec<TrackerMatch>,
        /// `false` only for matches in interim text; `true` if absent.
        is_final: bool,
        /// The number on the wire.
        sequence_number: Option<u64>,
    },
    /// How long the participants have talked so far. An extension of our own service, sent
    /// only to a client whose start request asks for it.
    AnalyticsResponse {
        /// How long at least one participant spoke.
        talk_time: Option<Duration>,
        /// How long no participant spoke.
        silence: Option<Duration>,
        /// How long several participants spoke at once.
        overlap: Option<Duration>,
        /// The message's original text, with the figures of each participant.
        json: String,
    },
    /// Named entities.
    EntityResponse {
        /// One item per match reference, flattened, in the order of the wire.
        entities: Vec<Entity>,
    },
    /// An error inside the session, in either of its two forms. The session may go on
    /// after it: keep reading until the socket closes.
    Error(ServiceError),
    /// [`super::PONG_TEXT`].
    Pong,
    /// Any other `type` (or `message.type`), among them `bookmark_response` and `user_defined`.
    Unknown {
        /// The inner type of an envelope, else the outer one. Empty if there is none.
        kind: String,
        /// The message's original text.
        json: String,
    },
}

/// One live result: an interim or a final.
#[derive(Debug, Clone, PartialEq)]
pub struct RecognitionResult {
    /// `true` for a final, which ends its utterance. An interim replaces the one
    /// before it.
    pub is_final: bool,
    /// `punctuated.transcript`, else the first alternative's `transcript`.
    pub text: String,
    /// Confidence of the first alternative, 0.0–1.0. Interims of the original service
    /// have 0.
    pub confidence: Option<f64>,
    /// Words of the first alternative. Interims of the original service have none, and
    /// those of our own have some if the engine knows their times.
    pub words: Vec<Word>,
    /// Start of an interim's utterance, from the first audio after the last
    /// `start_request`: an extension of our own service.
    pub start: Option<Duration>,
    /// How many of the first words the engine has settled, so that no later interim
    /// changes them: an extension of our own service. `None` if nothing is promised, and
    /// for a final. At most the length of `words`; if that is empty, at most the number of
    /// words in `text` that spaces separate.
    pub stable_words: Option<usize>,
    /// The speaker.
    pub user: Option<Participant>,
    /// Milliseconds from the start of the session to the sending of this message. Not
    /// audio time.
    pub time_offset_ms: Option<u64>,
    /// The message's original text.
    pub json: String,
}

/// A recognised word and its audio time.
#[derive(Debug, Clone, PartialEq)]
pub struct Word {
    /// The word, with punctuation and case if the service gives them.
    pub word: String,
    /// Start, from the first audio after the last `start_request`.
    pub start: Duration,
    /// End, from the first audio after the last `start_request`.
    pub end: Duration,
}

/// A participant.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Participant {
    /// UUID made by the service, the same throughout the conversation.
    pub id: Option<String>,
    /// The `userId` that the client gave, often an e-mail address.
    pub user_id: Option<String>,
    /// Display name.
    pub name: Option<String>,
}

/// One sentence of the conversation.
#[derive(Debug, Clone, PartialEq)]
pub struct Message {
    /// UUID.
    pub id: Option<String>,
    /// `payload.content`, else `text`.
    pub text: String,
    /// `metadata.originalContent`: the words as the engine recognised them.
    pub original_text: Option<String>,
    /// The speaker.
    pub from: Option<Participant>,
    /// Wall-clock start, in nanoseconds since the Unix epoch.
    pub start_time: Option<i64>,
    /// Wall-clock end, in nanoseconds since the Unix epoch.
    pub end_time: Option<i64>,
    /// `duration.timeOffset`: start, from the start of the conversation's audio.
    pub time_offset: Option<Duration>,
    /// `duration.duration`: length.
    pub duration: Option<Duration>,
    /// `metadata.words`, decoded from its JSON string or array. Empty if absent or
    /// malformed.
    pub words: Vec<MessageWord>,
    /// `sentiment.polarity.score`, −1.0–1.0.
    pub sentiment: Option<f64>,
    /// `x_place`: where its audio stands in the stream of its speaker. An extension of our
    /// own service, for a client that names its streams.
    pub place: Option<AudioPlace>,
    /// The item's original text.
    pub json: String,
}

/// A part of a stream of audio.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AudioPlace {
    /// The tag of the stream: see [`StreamPlace::tag`](crate::StreamPlace::tag).
    pub stream: String,
    /// Start of its first word, in nanoseconds of the stream's audio.
    pub from: u64,
    /// End of its last word, in nanoseconds of the stream's audio. Not before `from`.
    pub until: u64,
}

/// A word of a [`Message`].
#[derive(Debug, Clone, PartialEq)]
pub struct MessageWord {
    /// The word.
    pub word: String,
    /// Wall-clock start, in nanoseconds since the Unix epoch.
    pub start_time: Option<i64>,
    /// Wall-clock end, in nanoseconds since the Unix epoch.
    pub end_time: Option<i64>,
    /// Start, from the start of the conversation's audio.
    pub time_offset: Option<Duration>,
    /// Length of the word.
    pub duration: Option<Duration>,
}

/// A question, action item or follow-up.
#[derive(Debug, Clone, PartialEq)]
pub struct Insight {
    /// UUID.
    pub id: Option<String>,
    /// `question`, `action_item`, `follow_up` or another name from the service.
    pub kind: String,
    /// `payload.content`, else `text`.
    pub text: String,
    /// Confidence, 0.0–1.0.
    pub confidence: Option<f64>,
    /// `messageReference.id`.
    pub message_id: Option<String>,
    /// The assignee: the person responsible.
    pub assignee: Option<Participant>,
    /// The speaker.
    pub from: Option<Participant>,
    /// `dueBy.value`, as on the wire.
    pub due_by: Option<String>,
    /// The item's original text.
    pub json: String,
}

/// A topic of the conversation.
#[derive(Debug, Clone, PartialEq)]
pub struct Topic {
    /// UUID.
    pub id: Option<String>,
    /// `phrases`, else `text`.
    pub text: String,
    /// Relevance, 0.0–1.0.
    pub score: Option<f64>,
    /// Ids of the messages that the topic comes from.
    pub message_ids: Vec<String>,
    /// The item's original text.
    pub json: String,
}

/// One place where a tracker matched.
#[derive(Debug, Clone, PartialEq)]
pub struct TrackerMatch {
    /// Id, a numeric string. Only trackers of the account have one.
    pub id: Option<String>,
    /// The tracker's name.
    pub name: String,
    /// Type of the match; `vocabulary` in all known sources.
    pub kind: Option<String>,
    /// The vocabulary entry that matched.
    pub value: String,
    /// Id of the message that contains the match. For insight references, id of the
    /// insight.
    pub message_id: Option<String>,
    /// Text of that message.
    pub text: Option<String>,
    /// Character offset of the match; −1 if the match is similar, not exact.
    pub offset: Option<i64>,
    /// The tracker's original text, the same in all matches of one tracker.
    pub json: String,
}

/// One place where an entity occurs.
#[derive(Debug, Clone, PartialEq)]
pub struct Entity {
    /// The type, for example `location`.
    pub kind: String,
    /// The subtype, for example `city`.
    pub sub_type: Option<String>,
    /// The category, for example `General`.
    pub category: Option<String>,
    /// The words of the entity.
    pub value: String,
    /// Id of the message that contains it.
    pub message_id: Option<String>,
    /// The entity's original text, the same in all matches of one entity.
    pub json: String,
}

/// An error that the service reported inside the session.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServiceError {
    /// `message` or `errorMessage`.
    pub message: Option<String>,
    /// `details` or `detail`. An object is kept as its JSON text.
    pub details: Option<String>,
    /// `code` or `errorCode`: an extension of our own service.
    pub code: Option<String>,
    /// The message's original text.
    pub json: String,
}

impl ServiceError {
    /// Returns `true` if the service says that the request itself is wrong, so that
    /// it would refuse the same request again.
    ///
    /// Our own service says so by a code. The original service is known to say
    /// "Invalid start_request". A code that looks like an HTTP status is read as one.
    pub fn refuses_the_request(&self) -> bool {
        const CODES: [&str; 7] = [
            "invalid_request",
            "invalid_message",
            "invalid_argument",
            "bad_request",
            "unsupported_language",
            "400",
            "422",
        ];
        match &self.code {
            Some(code) => CODES.iter().any(|known| code.eq_ignore_ascii_case(known)),
            None => self.message.as_deref().is_some_and(|message| {
                let message = message.to_ascii_lowercase();
                message.contains("invalid") && message.contains("start_request")
            }),
        }
    }
}

/// Why a text frame could not be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ParseError {
    /// Not JSON at all, or nested too deeply.
    #[error("text frame of {length} bytes is not JSON: {reason}")]
    NotJson {
        /// Size of the frame in bytes.
        length: usize,
        /// The parser's error with line and column. Contains nothing of the frame.
        reason: String,
    },
    /// JSON, but not an object.
    #[error("text frame of {length} bytes is JSON but not an object")]
    NotAnObject {
        /// Size of the frame in bytes.
        length: usize,
    },
}
