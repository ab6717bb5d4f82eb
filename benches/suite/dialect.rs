// SPDX-License-Identifier: MPL-2.0

//! The part of each service's protocol that its client needs.
//!
//! Sources: the Symbl Streaming API reference; for the peers, what their published
//! clients read and write (`gst-plugin-speechmatics`, the crate `deepgram`).

use super::clock;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::http::{HeaderName, HeaderValue};
use tokio_tungstenite::tungstenite::protocol::CloseFrame;
use tokio_tungstenite::tungstenite::protocol::frame::coding::CloseCode;

/// Bytes of audio per second: 16 kHz, 16 bit, mono.
pub const BYTES_PER_SECOND: usize = 32_000;

/// Stands before the time of sending in the text of a result.
pub const SAID_AT: &str = "at ";

/// Bytes in a frame of symblsink with its default chunk duration.
pub const CHUNK: usize = 3200;

/// Path on which the bare client sends such frames, live.
const BARE_CHUNK: &str = "/bare/3200";

/// The protocol of a subject.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Dialect {
    Symbl,
    Speechmatics,
    Deepgram,
    Bare,
    /// The bare client with the frames of symblsink, where it is measured with both.
    BareChunk,
}

/// The answer to a text or to an empty message.
pub enum Answer {
    Nothing,
    /// Sent at the start; the client may send audio.
    Started(Vec<Message>),
    /// Sent at the end; no more audio follows.
    Ended(Vec<Message>),
}

impl Dialect {
    /// Returns the protocol for the path of an upgrade.
    pub fn of(path: &str) -> Self {
        match path {
            path if path.starts_with("/v1/streaming") => Self::Symbl,
            path if path.starts_with("/v1/listen") => Self::Deepgram,
            path if path.starts_with("/speechmatics") => Self::Speechmatics,
            BARE_CHUNK => Self::BareChunk,
            _ => Self::Bare,
        }
    }

    /// Returns the name of the subject with this protocol.
    pub fn name(self) -> &'static str {
        match self {
            Self::Symbl => "symblsink",
            Self::Speechmatics => "speechmatics",
            Self::Deepgram => "deepgram",
            Self::Bare => "bare",
            Self::BareChunk => "bare, chunks",
        }
    }

    /// Returns the header that the client requires in the answer to its upgrade.
    pub fn header(self) -> Option<(HeaderName, HeaderValue)> {
        let id = HeaderValue::from_static("8b2d3a5e-5f4c-4b8e-9a57-2f1f6f0f6f5e");
        (self == Self::Deepgram).then_some((HeaderName::from_static("dg-request-id"), id))
    }

    /// Returns `true` if the client sends audio without a start.
    pub fn starts_by_itself(self) -> bool {
        matches!(self, Self::Deepgram | Self::Bare | Self::BareChunk)
    }

    /// Returns the answer to the `frames`-th frame of audio.
    pub fn heard(self, frames: usize) -> Option<Message> {
        (self == Self::Speechmatics)
            .then(|| Message::text(format!(r#"{{"message":"AudioAdded","seq_no":{frames}}}"#)))
    }

    /// Returns the answer to a text. An empty text stands for an empty binary
    /// message.
    pub fn answer(self, text: &str, frames: usize) -> Answer {
        let is = |word: &str| text.contains(word);
        match self {
            Self::Symbl if is("start_request") => Answer::Started(vec![
                lifecycle("started_listening"),
                lifecycle("conversation_created"),
                lifecycle("recognition_started"),
            ]),
            Self::Symbl if is("stop_request") => Answer::Ended(vec![
                lifecycle("recognition_stopped"),
                lifecycle("conversation_completed"),
                close(),
            ]),
            Self::Speechmatics if is("StartRecognition") => Answer::Started(vec![Message::text(
                r#"{"message":"RecognitionStarted","id":"8b2d3a5e"}"#,
            )]),
            Self::Speechmatics if is("EndOfStream") => {
                Answer::Ended(vec![Message::text(r#"{"message":"EndOfTranscript"}"#)])
            }
            Self::Deepgram if text.is_empty() || is("CloseStream") => {
                let seconds = frames as f64 / 50.0;
                Answer::Ended(vec![Message::text(format!(
                    r#"{{"type":"Metadata","request_id":"8b2d3a5e","created":"2026-01-01T00:00:00.000Z","duration":{seconds:?},"channels":1}}"#
                ))])
            }
            Self::Bare | Self::BareChunk if is("end") => Answer::Ended(vec![close()]),
            _ => Answer::Nothing,
        }
    }

    /// Returns a result after this many bytes of audio, with the current time in its
    /// text.
    pub fn result(self, bytes: usize, is_final: bool) -> Message {
        let text = format!("{SAID_AT}{}", clock::now());
        let milliseconds = bytes * 1000 / BYTES_PER_SECOND;
        let parts = |milliseconds: usize| {
            let nanos = milliseconds % 1000 * 1_000_000;
            format!(
                r#"{{"seconds":"{}","nanos":"{nanos:09}"}}"#,
                milliseconds / 1000
            )
        };
        let (from, to) = (parts(milliseconds.saturating_sub(200)), parts(milliseconds));
        let end = milliseconds as f64 / 1000.0;
        let begin = (end - 0.2).max(0.0);
        Message::text(match self {
            Self::Symbl if is_final => format!(
                r#"{{"type":"message","message":{{"type":"recognition_result","isFinal":true,"payload":{{"raw":{{"alternatives":[{{"words":[{{"word":"{text}","startTime":{from},"endTime":{to}}}],"transcript":"{text}","confidence":0.9471283555030823}}]}}}},"punctuated":{{"transcript":"{text}"}},"user":{{"userId":"mara@example.org","name":"Mara Lind","id":"0d9a1f52-7c3e-4a7b-8f16-5b2c9e7d4a10"}}}},"timeOffset":{milliseconds}}}"#
            ),
            Self::Symbl | Self::Bare | Self::BareChunk => format!(
                r#"{{"type":"message","message":{{"type":"recognition_result","isFinal":false,"payload":{{"raw":{{"alternatives":[{{"words":[],"transcript":"{text}","confidence":0}}]}}}},"punctuated":{{"transcript":"{text}"}},"user":{{"userId":"mara@example.org","name":"Mara Lind","id":"0d9a1f52-7c3e-4a7b-8f16-5b2c9e7d4a10"}}}},"timeOffset":{milliseconds}}}"#
            ),
            Self::Speechmatics => {
                let kind = if is_final {
                    "AddTranscript"
                } else {
                    "AddPartialTranscript"
                };
                format!(
                    r#"{{"message":"{kind}","format":"2.9","metadata":{{"start_time":{begin:?},"end_time":{end:?},"transcript":"{text}"}},"results":[{{"type":"word","start_time":{begin:?},"end_time":{end:?},"alternatives":[{{"content":"{text}","confidence":0.9,"language":"en"}}]}}]}}"#
                )
            }
            Self::Deepgram => format!(
                r#"{{"type":"Results","channel_index":[0,1],"duration":0.2,"start":{begin:?},"is_final":{is_final},"speech_final":{is_final},"from_finalize":false,"channel":{{"alternatives":[{{"transcript":"{text}","confidence":0.9,"words":[{{"word":"{text}","punctuated_word":"{text}","start":{begin:?},"end":{end:?},"confidence":0.9}}]}}]}},"metadata":{{"request_id":"8b2d3a5e","model_info":{{"name":"nova","version":"1","arch":"nova-3"}},"model_uuid":"8b2d3a5e"}}}}"#
            ),
        })
    }
}

fn lifecycle(kind: &str) -> Message {
    Message::text(format!(
        r#"{{"type":"message","message":{{"type":"{kind}","data":{{"conversationId":"5318203764539392"}}}}}}"#
    ))
}

fn close() -> Message {
    Message::Close(Some(CloseFrame {
        code: CloseCode::Normal,
        reason: "".into(),
    }))
}
