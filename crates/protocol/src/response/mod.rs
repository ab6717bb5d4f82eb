// SPDX-License-Identifier: MPL-2.0

//! Server → client messages, read tolerantly.
//!
//! What a reader of captions needs of each message, and its original text for
//! the rest. Reading must never fail, panic or drop a caption because of a
//! member that is missing, unknown or of an unexpected type.
//!
//! Members are those of a trace of the original service, and where it is silent
//! those of the Symbl Streaming API reference and of the official SDKs.

mod json;
mod mend;
mod parse;

pub use mend::Unreadable;
pub use parse::history;

use std::time::Duration;

/// Everything that a service may send in a text frame.
///
/// Times are as on the wire: see each field. Items of list messages keep their
/// original JSON text, byte for byte, in `json`.
#[derive(Debug, Clone, PartialEq)]
pub enum ServerMessage {
    /// The service hears us; audio may be sent.
    StartedListening,
    /// The conversation exists.
    ConversationCreated {
        /// Decimal string, usually 16 digits.
        conversation_id: Option<String>,
    },
    /// Recognition runs; audio may be sent.
    RecognitionStarted {
        /// Decimal string, usually 16 digits.
        conversation_id: Option<String>,
    },
    /// Live speech recognition.
    RecognitionResult(RecognitionResult),
    /// The service took the stop request; results may still trail.
    RecognitionStopped,
    /// Nothing more will come for this conversation.
    ConversationCompleted {
        /// Decimal string, usually 16 digits.
        conversation_id: Option<String>,
        /// Where the service shows a summary.
        summary_url: Option<String>,
    },
    /// Answer to `modify_request`; its payload is undocumented.
    SessionModified {
        /// The message's original text.
        json: String,
    },
    /// The service stopped the session by itself (silence or idle limit).
    ProcessingTerminated {
        /// The message's original text.
        json: String,
    },
    /// Answer to a subscription.
    SubscriptionStarted {
        /// Decimal string, usually 16 digits.
        conversation_id: Option<String>,
    },
    /// Sentences of the conversation, of all its speakers.
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
        /// That of the message response it derives from.
        sequence_number: Option<u64>,
    },
    /// What is talked about.
    TopicResponse {
        /// In the order of the wire.
        topics: Vec<Topic>,
    },
    /// Phrases the application asked to be told about.
    TrackerResponse {
        /// One entry per match reference, flattened, in the order of the wire.
        matches: Vec<TrackerMatch>,
        /// `false` only for matches in interim text; `true` where absent.
        is_final: bool,
        /// As on the wire.
        sequence_number: Option<u64>,
    },
    /// Named entities.
    EntityResponse {
        /// One entry per match reference, flattened, in the order of the wire.
        entities: Vec<Entity>,
    },
    /// An error inside the session, in either of its two forms. It does not
    /// say whether the session goes on: keep reading until the socket closes.
    Error(ServiceError),
    /// [`super::PONG_TEXT`].
    Pong,
    /// Any other `type` (or `message.type`), among them `bookmark_response` and `user_defined`.
    Unknown {
        /// The inner type for envelopes, else the outer one; empty if there is none.
        kind: String,
        /// The message's original text.
        json: String,
    },
}

/// One live result: a guess (`is_final` false) or the recogniser's last word.
#[derive(Debug, Clone, PartialEq)]
pub struct RecognitionResult {
    /// Finals end the utterance; interims replace each other.
    pub is_final: bool,
    /// `punctuated.transcript`, else the first alternative's `transcript`.
    pub text: String,
    /// First alternative's confidence, 0.0–1.0; 0 on interims of the original service.
    pub confidence: Option<f64>,
    /// Words of the first alternative; empty on interims.
    pub words: Vec<Word>,
    /// Where an interim's utterance starts, from the first audio after the last
    /// `start_request`: an extension of our own service.
    pub start: Option<Duration>,
    /// Who speaks.
    pub user: Option<Speaker>,
    /// Milliseconds from the start of the session to the emission of this event. Not audio time.
    pub time_offset_ms: Option<u64>,
    /// The message's original text.
    pub json: String,
}

/// A recognised word with its audio time.
#[derive(Debug, Clone, PartialEq)]
pub struct Word {
    /// With punctuation and case where the service gives them.
    pub word: String,
    /// From the first audio after the last `start_request`.
    pub start: Duration,
    /// From the first audio after the last `start_request`.
    pub end: Duration,
}

/// A participant.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Speaker {
    /// UUID made by the service, constant within the conversation.
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
    /// `metadata.originalContent`: the words as recognised.
    pub original_text: Option<String>,
    /// Who said it.
    pub from: Option<Speaker>,
    /// Wall-clock start, nanoseconds since the Unix epoch.
    pub start_time: Option<i64>,
    /// Wall-clock end, nanoseconds since the Unix epoch.
    pub end_time: Option<i64>,
    /// `duration.timeOffset`: from the start of the conversation's audio.
    pub time_offset: Option<Duration>,
    /// `duration.duration`.
    pub duration: Option<Duration>,
    /// `metadata.words`, decoded from its JSON string (or array); empty when absent or malformed.
    pub words: Vec<MessageWord>,
    /// `sentiment.polarity.score`, −1.0–1.0.
    pub sentiment: Option<f64>,
    /// The item's original text.
    pub json: String,
}

/// A word of a [`Message`].
#[derive(Debug, Clone, PartialEq)]
pub struct MessageWord {
    /// The word.
    pub word: String,
    /// Wall-clock start, nanoseconds since the Unix epoch.
    pub start_time: Option<i64>,
    /// Wall-clock end, nanoseconds since the Unix epoch.
    pub end_time: Option<i64>,
    /// From the start of the conversation's audio.
    pub time_offset: Option<Duration>,
    /// How long the word is.
    pub duration: Option<Duration>,
}

/// A question, action item or follow-up.
#[derive(Debug, Clone, PartialEq)]
pub struct Insight {
    /// UUID.
    pub id: Option<String>,
    /// `question`, `action_item`, `follow_up` or what else the service says.
    pub kind: String,
    /// `payload.content`, else `text`.
    pub text: String,
    /// 0.0–1.0.
    pub confidence: Option<f64>,
    /// `messageReference.id`.
    pub message_id: Option<String>,
    /// Who is to act.
    pub assignee: Option<Speaker>,
    /// Who said it.
    pub from: Option<Speaker>,
    /// `dueBy.value`, as on the wire.
    pub due_by: Option<String>,
    /// The item's original text.
    pub json: String,
}

/// A subject of the conversation.
#[derive(Debug, Clone, PartialEq)]
pub struct Topic {
    /// UUID.
    pub id: Option<String>,
    /// `phrases`, else `text`.
    pub text: String,
    /// 0.0–1.0.
    pub score: Option<f64>,
    /// Messages it was drawn from.
    pub message_ids: Vec<String>,
    /// The item's original text.
    pub json: String,
}

/// One place where a tracker matched.
#[derive(Debug, Clone, PartialEq)]
pub struct TrackerMatch {
    /// Numeric string, only for trackers of the account.
    pub id: Option<String>,
    /// The tracker's name.
    pub name: String,
    /// `vocabulary` in all sources.
    pub kind: Option<String>,
    /// The vocabulary entry that matched.
    pub value: String,
    /// The message (or, on insight references, the insight) it was found in.
    pub message_id: Option<String>,
    /// Text of that message.
    pub text: Option<String>,
    /// Character offset of the match; −1: similar, not exact.
    pub offset: Option<i64>,
    /// The tracker's original text (shared by the matches of one tracker).
    pub json: String,
}

/// One place where an entity was found.
#[derive(Debug, Clone, PartialEq)]
pub struct Entity {
    /// For example `location`.
    pub kind: String,
    /// For example `city`.
    pub sub_type: Option<String>,
    /// For example `General`.
    pub category: Option<String>,
    /// The text that was recognised as an entity.
    pub value: String,
    /// The message it was found in.
    pub message_id: Option<String>,
    /// The entity's original text (shared by the matches of one entity).
    pub json: String,
}

/// An error told inside the session.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServiceError {
    /// `message` or `errorMessage`.
    pub message: Option<String>,
    /// `details` or `detail`; an object is given as its JSON text.
    pub details: Option<String>,
    /// `code` or `errorCode`: an extension of our own service.
    pub code: Option<String>,
    /// The message's original text.
    pub json: String,
}

impl ServiceError {
    /// Returns `true` if the service says that what it was asked for is wrong, so that
    /// it would refuse the same request again.
    ///
    /// Our own service says so by a code. The original one is known to say
    /// "Invalid start_request"; a code that looks like an HTTP status is read as one.
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
pub enum ParseError {
    /// Not JSON at all, or nested too deeply.
    #[error("text frame of {length} bytes is not JSON: {reason}")]
    NotJson {
        /// Size of the frame in bytes.
        length: usize,
        /// The parser's complaint with line and column; no content of the frame.
        reason: String,
    },
    /// JSON, but not an object.
    #[error("text frame of {length} bytes is JSON but not an object")]
    NotAnObject {
        /// Size of the frame in bytes.
        length: usize,
    },
}
