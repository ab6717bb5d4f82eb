// SPDX-License-Identifier: MPL-2.0

//! Reads what clients of sessions over Socket.IO send: the text of an event's packet becomes a
//! request or the error that the client gets. `docs/sessions.md` describes the events.
//!
//! A packet is a JSON array of the event's name and its arguments. The first argument counts.
//! Members that a request does not know are ignored, as clients of the vendor send more than
//! this service needs; a member with a wrong type is refused.

use serde::Deserialize;
use serde_json::value::RawValue;
use std::fmt;

/// Longest text that can be sent, in bytes.
const LONGEST_TEXT: usize = 8 * 1024;
/// Longest id of a session, a client or a user, and longest name, in bytes.
const LONGEST_ID: usize = 256;
/// Longest name of an event that an answer repeats, in bytes.
const LONGEST_EVENT: usize = 64;
/// Most entries of a history, and how many there are without a `limit`.
pub const MOST_ENTRIES: usize = 5_000;

/// What a client asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Request {
    /// `session:create`
    Create {
        /// The title of the new session.
        title: Option<String>,
    },
    /// `session:reconnect`
    Reconnect {
        /// The session that the client had.
        session_id: String,
        /// The client only reads, and wants a session that is expired, too.
        view: bool,
    },
    /// `session:history:sync`
    History {
        /// The session.
        session_id: String,
        /// The number of the last entry that the client has.
        after: u64,
        /// Most entries of the answer, 1 to [`MOST_ENTRIES`].
        limit: usize,
    },
    /// `message:send`
    Send {
        /// The session.
        session_id: String,
        /// What is sent. Never empty.
        text: String,
        /// The id of the message whose text this replaces.
        corrects: Option<i64>,
        /// The id that the client gave the message, so that it can be sent again.
        client_id: Option<String>,
    },
}

/// The codes of errors (`error_code`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Code {
    /// The payload is not understood.
    InvalidPayload,
    /// The payload is longer than what is kept.
    PayloadTooLarge,
    /// No such event.
    UnsupportedEvent,
    /// No such session of this client.
    InvalidSession,
    /// The client has to create or reconnect to a session first.
    NotJoined,
    /// The client may only read.
    Forbidden,
    /// The session takes nothing any more.
    SessionClosed,
    /// The session has as many clients as it may.
    SessionFull,
    /// The client asks too often.
    RateLimited,
    /// Nothing can be kept at the moment.
    StoreUnavailable,
}

impl Code {
    /// Returns the code as clients get it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::InvalidPayload => "invalid_payload",
            Self::PayloadTooLarge => "payload_too_large",
            Self::UnsupportedEvent => "unsupported_event",
            Self::InvalidSession => "invalid_session",
            Self::NotJoined => "not_joined",
            Self::Forbidden => "forbidden",
            Self::SessionClosed => "session_closed",
            Self::SessionFull => "session_full",
            Self::RateLimited => "rate_limited",
            Self::StoreUnavailable => "store_unavailable",
        }
    }
}

/// Why a request is not done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    /// What kind of reason.
    pub code: Code,
    /// The reason, as a sentence.
    pub description: String,
}

impl Refusal {
    /// Creates a refusal with its reason as a sentence.
    pub fn new(code: Code, description: impl Into<String>) -> Self {
        let description = description.into();
        Self { code, description }
    }

    fn payload(description: impl Into<String>) -> Self {
        Self::new(Code::InvalidPayload, description)
    }
}

/// An event that came, and what it asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Asked {
    /// The name of the event that reports an error: `<event>:error`.
    pub error_event: String,
    /// What it asks for, or why that is not done.
    pub request: Result<Request, Refusal>,
}

/// Reads an event's packet: the array of its name and its arguments.
pub fn read(packet: &str, has_attachments: bool) -> Asked {
    let parts = serde_json::from_str::<Vec<&RawValue>>(packet).unwrap_or_default();
    let mut parts = parts.into_iter();
    let name = parts.next();
    let name = name.and_then(|name| serde_json::from_str::<String>(name.get()).ok());
    let name = name.filter(|name| name.len() <= LONGEST_EVENT);
    let error_event = match &name {
        Some(name) => format!("{name}:error"),
        None => "error".to_owned(),
    };
    let request = match (name.as_deref(), has_attachments) {
        (Some("session:create" | "session:reconnect"), true)
        | (Some("session:history:sync" | "message:send"), true) => {
            Err(Refusal::payload("Binary data is not understood here."))
        }
        (Some("session:create"), false) => create(parts.next()),
        (Some("session:reconnect"), false) => reconnect(parts.next()),
        (Some("session:history:sync"), false) => history(parts.next()),
        (Some("message:send"), false) => send(parts.next()),
        _ => Err(Refusal::new(
            Code::UnsupportedEvent,
            "This service knows session:create, session:reconnect, session:history:sync and \
             message:send.",
        )),
    };
    Asked {
        error_event,
        request,
    }
}

/// Reads the argument of an event.
fn argument<'a, T: Deserialize<'a>>(argument: Option<&'a RawValue>) -> Result<T, Refusal> {
    let Some(argument) = argument.filter(|argument| argument.get().starts_with('{')) else {
        return Err(Refusal::payload("The event has one argument, an object."));
    };
    // serde's text names members and types, never what the client wrote into them.
    serde_json::from_str(argument.get()).map_err(|error| {
        let reason = match error.classify() {
            serde_json::error::Category::Data => data_error(&error.to_string()),
            _ => "it is no JSON".to_owned(),
        };
        Refusal::payload(format!("The payload is not understood: {reason}."))
    })
}

/// Returns a message of serde without the place and without values of the client, which may
/// be long.
fn data_error(message: &str) -> String {
    let message = message.split(" at line ").next().unwrap_or_default();
    if message.starts_with("missing field") || message.starts_with("duplicate field") {
        return message.replace("field", "member");
    }
    match message.rsplit_once("expected ") {
        Some((_, expected)) => format!("a member has the wrong type or value; expected {expected}"),
        None => "a member has the wrong type or value".to_owned(),
    }
}

#[derive(Deserialize)]
struct Create {
    #[serde(rename = "timestamp")]
    _timestamp: Timestamp,
    title: Option<String>,
}

fn create(given: Option<&RawValue>) -> Result<Request, Refusal> {
    let Create { title, .. } = argument(given)?;
    let title = title.filter(|title| !title.trim().is_empty());
    if title.as_ref().is_some_and(|title| title.len() > LONGEST_ID) {
        return Err(too_long("title", LONGEST_ID));
    }
    Ok(Request::Create { title })
}

#[derive(Deserialize)]
struct Reconnect {
    session_id: String,
    #[serde(rename = "timestamp")]
    _timestamp: Timestamp,
    view: Option<bool>,
}

fn reconnect(given: Option<&RawValue>) -> Result<Request, Refusal> {
    let Reconnect {
        session_id, view, ..
    } = argument(given)?;
    Ok(Request::Reconnect {
        session_id: id(session_id)?,
        view: view.unwrap_or_default(),
    })
}

#[derive(Deserialize)]
struct History {
    session_id: String,
    /// The client's clock. It never selects entries.
    #[serde(rename = "timestamp")]
    _timestamp: Timestamp,
    after: Option<Number>,
    limit: Option<u64>,
}

fn history(given: Option<&RawValue>) -> Result<Request, Refusal> {
    let History {
        session_id,
        after,
        limit,
        ..
    } = argument(given)?;
    let after = match after {
        None => 0,
        Some(after) => after.unsigned().ok_or_else(|| {
            Refusal::payload("after is the event_id or the seq of the last event that you have.")
        })?,
    };
    let limit = match limit {
        None => MOST_ENTRIES,
        Some(0) => return Err(Refusal::payload("limit is at least 1.")),
        Some(limit) => usize::try_from(limit).map_or(MOST_ENTRIES, |limit| limit.min(MOST_ENTRIES)),
    };
    Ok(Request::History {
        session_id: id(session_id)?,
        after,
        limit,
    })
}

#[derive(Deserialize)]
struct Send<'a> {
    session_id: String,
    #[serde(rename = "timestamp")]
    _timestamp: Timestamp,
    #[serde(borrow)]
    input: Input<'a>,
    client_id: Option<String>,
}

#[derive(Deserialize)]
struct Input<'a> {
    text: Option<String>,
    corrects: Option<Number>,
    #[serde(borrow)]
    attachments: Option<Vec<&'a RawValue>>,
}

fn send(given: Option<&RawValue>) -> Result<Request, Refusal> {
    let Send {
        session_id,
        input,
        client_id,
        ..
    } = argument(given)?;
    if input.attachments.is_some_and(|given| !given.is_empty()) {
        return Err(Refusal::payload(
            "Attachments are not kept here; send text.",
        ));
    }
    let text = input.text.unwrap_or_default();
    if text.trim().is_empty() {
        return Err(Refusal::payload("input.text has no text."));
    }
    if text.len() > LONGEST_TEXT {
        let description = format!("input.text has more than {LONGEST_TEXT} bytes.");
        return Err(Refusal::new(Code::PayloadTooLarge, description));
    }
    let corrects = match input.corrects {
        None => None,
        Some(number) => Some(number.signed().ok_or_else(|| {
            Refusal::payload("input.corrects is the message_id of the message that is corrected.")
        })?),
    };
    if let Some(client_id) = &client_id
        && (client_id.is_empty() || client_id.len() > LONGEST_ID)
    {
        return Err(too_long("client_id", LONGEST_ID));
    }
    Ok(Request::Send {
        session_id: id(session_id)?,
        text,
        corrects,
        client_id,
    })
}

fn id(session_id: String) -> Result<String, Refusal> {
    match session_id.len() {
        1..=LONGEST_ID => Ok(session_id),
        _ => Err(too_long("session_id", LONGEST_ID)),
    }
}

fn too_long(member: &str, most: usize) -> Refusal {
    Refusal::payload(format!("{member} has 1 to {most} bytes."))
}

/// The time at the client, milliseconds since the Unix epoch. It must be there, and nothing
/// depends on it.
struct Timestamp;

impl<'de> Deserialize<'de> for Timestamp {
    fn deserialize<D: serde::Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        struct Visitor;
        impl serde::de::Visitor<'_> for Visitor {
            type Value = Timestamp;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("timestamp as an integer")
            }
            fn visit_u64<E>(self, _: u64) -> Result<Timestamp, E> {
                Ok(Timestamp)
            }
            fn visit_i64<E>(self, _: i64) -> Result<Timestamp, E> {
                Ok(Timestamp)
            }
        }
        from.deserialize_any(Visitor)
    }
}

/// An id of decimal digits: as a string, in which this service gives it, or as a number.
#[derive(Deserialize)]
#[serde(untagged)]
enum Number {
    Text(String),
    Number(i64),
}

impl Number {
    fn signed(self) -> Option<i64> {
        let number = match self {
            Self::Number(number) => number,
            Self::Text(text) => decimal(&text)?,
        };
        (number >= 0).then_some(number)
    }

    fn unsigned(self) -> Option<u64> {
        self.signed().and_then(|number| u64::try_from(number).ok())
    }
}

/// Returns the number that decimal digits stand for.
fn decimal(text: &str) -> Option<i64> {
    let is_decimal = text.bytes().all(|byte| byte.is_ascii_digit());
    text.parse().ok().filter(|_| is_decimal)
}

/// The client's own description (Socket.IO's `auth`).
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Introduction {
    /// The access token. Must never be logged.
    pub token: Option<String>,
    /// The client wants interims.
    pub captions: bool,
    /// The client wants the figures of the talk.
    pub analytics: bool,
    /// The name under which texts of this client are kept.
    pub name: Option<String>,
    /// The id under which they are kept.
    pub user_id: Option<String>,
}

/// Leaves out the token.
impl fmt::Debug for Introduction {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Introduction")
            .field("captions", &self.captions)
            .field("analytics", &self.analytics)
            .field("name", &self.name)
            .field("user_id", &self.user_id)
            .finish_non_exhaustive()
    }
}

/// Reads `auth`. What is missing or has a wrong type counts as absent.
pub fn introduction(auth: Option<&str>) -> Introduction {
    let value = auth.and_then(|auth| serde_json::from_str::<serde_json::Value>(auth).ok());
    let value = value.unwrap_or_default();
    let text = |member: &str| {
        let text = value.get(member).and_then(serde_json::Value::as_str);
        text.map(str::trim)
            .filter(|text| !text.is_empty())
            .map(str::to_owned)
    };
    let is_set = |member: &str| value.get(member) == Some(&serde_json::Value::Bool(true));
    let short = |member: &str| text(member).filter(|text| text.len() <= LONGEST_ID);
    Introduction {
        token: text("token"),
        captions: is_set("captions"),
        analytics: is_set("analytics"),
        name: short("name"),
        user_id: short("user_id"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn refused(packet: &serde_json::Value) -> (String, Code) {
        let Asked {
            error_event,
            request,
        } = read(&packet.to_string(), false);
        let refusal = request.expect_err(&packet.to_string());
        assert!(!refusal.description.is_empty());
        assert!(refusal.description.len() < 300, "{}", refusal.description);
        (error_event, refusal.code)
    }

    fn read_well(packet: &serde_json::Value) -> Request {
        let asked = read(&packet.to_string(), false);
        asked
            .request
            .unwrap_or_else(|refusal| panic!("{packet}: {refusal:?}"))
    }

    #[test]
    fn the_examples_of_the_published_protocol_are_read() {
        let id = "123e4567-e89b-12d3-a456-426614174000";
        let about = json!({"session_id": id, "timestamp": 1_635_789_600_000_u64});
        assert_eq!(
            read_well(&json!(["session:reconnect", about])),
            Request::Reconnect {
                session_id: id.to_owned(),
                view: false
            }
        );
        assert_eq!(
            read_well(&json!(["session:history:sync", about])),
            Request::History {
                session_id: id.to_owned(),
                after: 0,
                limit: MOST_ENTRIES
            }
        );
        let sent = json!({
            "input": {"text": "Hello from Client A"},
            "session_id": id,
            "timestamp": 1_635_789_600_000_u64,
        });
        assert_eq!(
            read_well(&json!(["message:send", sent])),
            Request::Send {
                session_id: id.to_owned(),
                text: "Hello from Client A".to_owned(),
                corrects: None,
                client_id: None
            }
        );
        let created = json!(["session:create", {"timestamp": 1, "context": {"user": {}}}]);
        assert_eq!(read_well(&created), Request::Create { title: None });
    }

    #[test]
    fn extensions_are_read_and_unknown_members_are_ignored() {
        let asked = json!(["session:history:sync", {
            "session_id": "s", "timestamp": -1, "after": "17", "limit": 3, "brand_new": [1]
        }, "another argument"]);
        let Request::History { after, limit, .. } = read_well(&asked) else {
            panic!("no history");
        };
        assert_eq!((after, limit), (17, 3));
        let asked = json!(["session:history:sync", {
            "session_id": "s", "timestamp": 0, "after": 17, "limit": 1_000_000
        }]);
        let Request::History { after, limit, .. } = read_well(&asked) else {
            panic!("no history");
        };
        assert_eq!((after, limit), (17, MOST_ENTRIES));
        let asked = json!(["message:send", {
            "session_id": "s", "timestamp": 0, "client_id": "c",
            "input": {"text": " t ", "corrects": "1234567890123456", "attachments": []}
        }]);
        assert_eq!(
            read_well(&asked),
            Request::Send {
                session_id: "s".to_owned(),
                text: " t ".to_owned(),
                corrects: Some(1_234_567_890_123_456),
                client_id: Some("c".to_owned())
            }
        );
        let asked = json!(["session:reconnect", {"session_id": "s", "timestamp": 0, "view": true}]);
        let Request::Reconnect { view, .. } = read_well(&asked) else {
            panic!("no reconnect");
        };
        assert!(view);
    }

    #[test]
    fn what_is_missing_or_has_a_wrong_type_is_an_invalid_payload() {
        let arguments = [
            json!([]),
            json!(null),
            json!("text"),
            json!(7),
            json!({}),
            json!({"session_id": "s"}),
            json!({"timestamp": 1}),
            json!({"session_id": 7, "timestamp": 1}),
            json!({"session_id": null, "timestamp": 1}),
            json!({"session_id": "", "timestamp": 1}),
            json!({"session_id": "s".repeat(257), "timestamp": 1}),
            json!({"session_id": "s", "timestamp": "1"}),
            json!({"session_id": "s", "timestamp": 1.5}),
            json!({"session_id": "s", "timestamp": null}),
        ];
        for event in ["session:reconnect", "session:history:sync", "message:send"] {
            let named = format!("{event}:error");
            let missing = refused(&json!([event]));
            assert_eq!(missing, (named.clone(), Code::InvalidPayload));
            for argument in &arguments {
                let seen = refused(&json!([event, argument]));
                assert_eq!(seen, (named.clone(), Code::InvalidPayload), "{argument}");
            }
        }
        for (member, value) in [
            ("after", json!("x")),
            ("after", json!(-1)),
            ("after", json!("+1")),
            ("after", json!(1.5)),
            ("after", json!("99999999999999999999")),
            ("limit", json!(0)),
            ("limit", json!(-1)),
            ("limit", json!("1")),
        ] {
            let mut argument = json!({"session_id": "s", "timestamp": 1});
            argument[member] = value;
            let (_, code) = refused(&json!(["session:history:sync", argument]));
            assert_eq!(code, Code::InvalidPayload, "{argument}");
        }
        for input in [
            json!(null),
            json!("text"),
            json!({}),
            json!({"text": ""}),
            json!({"text": " \n"}),
            json!({"text": 7}),
            json!({"text": "t", "corrects": "x"}),
            json!({"text": "t", "corrects": []}),
            json!({"text": "t", "attachments": [{"url": "u"}]}),
        ] {
            let argument = json!({"session_id": "s", "timestamp": 1, "input": input});
            let (_, code) = refused(&json!(["message:send", argument]));
            assert_eq!(code, Code::InvalidPayload, "{argument}");
        }
        for title in [json!(7), json!("t".repeat(257))] {
            let argument = json!({"timestamp": 1, "title": title});
            let (_, code) = refused(&json!(["session:create", argument]));
            assert_eq!(code, Code::InvalidPayload, "{argument}");
        }
    }

    #[test]
    fn a_text_may_have_8_kib_and_not_a_byte_more() {
        let sent = |text: String| {
            json!(["message:send", {
                "session_id": "s", "timestamp": 1, "input": {"text": text}
            }])
        };
        read_well(&sent("t".repeat(LONGEST_TEXT)));
        let (event, code) = refused(&sent("t".repeat(LONGEST_TEXT + 1)));
        assert_eq!(code, Code::PayloadTooLarge);
        assert_eq!(event, "message:send:error");
    }

    #[test]
    fn other_events_are_unsupported_and_binary_data_is_an_invalid_payload() {
        let (event, code) = refused(&json!(["session:close", {}]));
        assert_eq!(
            (event.as_str(), code),
            ("session:close:error", Code::UnsupportedEvent)
        );
        for packet in [json!([7]), json!([]), json!(["n".repeat(65)]), json!({})] {
            let (event, code) = refused(&packet);
            assert_eq!((event.as_str(), code), ("error", Code::UnsupportedEvent));
        }
        let binary = read(r#"["message:send",{"_placeholder":true,"num":0}]"#, true);
        let code = binary.request.expect_err("binary data").code;
        assert_eq!(code, Code::InvalidPayload);
    }

    #[test]
    fn a_description_never_repeats_what_the_client_wrote() {
        let secret = "hush-hush";
        for argument in [
            json!({"session_id": "s", "timestamp": secret}),
            json!({"session_id": "s", "timestamp": 1, "limit": secret}),
            json!({"session_id": "s", "timestamp": 1, "after": [secret]}),
        ] {
            let asked = read(
                &json!(["session:history:sync", argument]).to_string(),
                false,
            );
            let refusal = asked.request.expect_err("a refusal");
            assert!(
                !refusal.description.contains(secret),
                "{}",
                refusal.description
            );
        }
    }

    #[test]
    fn an_introduction_is_read_whatever_it_is() {
        let given = r#"{"token": "t", "captions": true, "name": " Ada ", "user_id": "ada@x"}"#;
        let read = introduction(Some(given));
        assert_eq!(read.token.as_deref(), Some("t"));
        assert_eq!(read.name.as_deref(), Some("Ada"));
        assert_eq!(read.user_id.as_deref(), Some("ada@x"));
        assert!(read.captions);
        let nothing = Introduction::default();
        for given in [
            "",
            "[]",
            "7",
            "{",
            r#"{"token": 7, "captions": "true", "name": ""}"#,
        ] {
            assert_eq!(introduction(Some(given)), nothing, "{given}");
        }
        assert_eq!(introduction(None), nothing);
    }

    #[test]
    fn a_token_is_in_no_dump() {
        let about = introduction(Some(r#"{"token": "t-o-k-e-n", "name": "Ada"}"#));
        assert_eq!(about.token.as_deref(), Some("t-o-k-e-n"));
        let dump = format!("{about:?}");
        assert!(
            dump.contains("Ada") && !dump.contains("t-o-k-e-n"),
            "{dump}"
        );
    }
}
