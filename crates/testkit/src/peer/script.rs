// SPDX-License-Identifier: MPL-2.0

//! What a peer does, by name, and the messages it does it with.

use super::Message;
use tokio_tungstenite::tungstenite::protocol::CloseFrame;
use tokio_tungstenite::tungstenite::protocol::frame::Frame;
use tokio_tungstenite::tungstenite::protocol::frame::coding::{CloseCode, Data, OpCode};

/// The conversation that every peer is in.
pub const CONVERSATION_ID: &str = "5318203764539392";

/// What a peer does with each connection.
#[derive(Clone)]
pub struct Script(pub(super) Act);

#[derive(Clone)]
pub(super) enum Act {
    NeverAccept,
    Silence,
    /// To the request head, these bytes; then no more.
    Answer(Vec<u8>),
    /// The upgrade with this accept key in place of the right one.
    WrongAccept,
    WebSocket(Conversation),
}

#[derive(Clone, Default)]
pub(super) struct Conversation {
    /// Sent at each `start_request`.
    pub(super) at_start: Vec<Message>,
    /// Sent at each `stop_request`; a close frame among them ends the talk.
    pub(super) at_stop: Vec<Message>,
    /// Whether anything is read after the first `start_request`.
    pub(super) deaf_after_start: bool,
    /// Value of the header by which a `symbl-service` announces itself, if it does.
    pub(super) announcement: Option<String>,
}

impl Script {
    /// A port with a full backlog: not even TCP connects, as if packets were dropped.
    pub fn never_accepts() -> Self {
        Self(Act::NeverAccept)
    }

    /// TCP connects, and then nothing is ever answered. What comes in is taken.
    pub fn black_hole() -> Self {
        Self(Act::Silence)
    }

    /// Answers the request with these bytes, HTTP or not, and closes.
    pub fn answer(bytes: impl Into<Vec<u8>>) -> Self {
        Self(Act::Answer(bytes.into()))
    }

    /// Answers the upgrade with an HTTP response. `Content-Length` is added.
    pub fn http(status: u16, headers: &[(&str, &str)], body: &str) -> Self {
        let mut answer = format!("HTTP/1.1 {status} Scripted\r\n");
        for (name, value) in headers {
            answer += &format!("{name}: {value}\r\n");
        }
        answer += &format!("Content-Length: {}\r\n\r\n{body}", body.len());
        Self::answer(answer)
    }

    /// An upgrade whose `Sec-WebSocket-Accept` answers another key.
    pub fn wrong_accept() -> Self {
        Self(Act::WrongAccept)
    }

    /// Upgrades and reads, but never acknowledges the start.
    pub fn upgrade_only() -> Self {
        Self(Act::WebSocket(Conversation::default()))
    }

    /// A well-behaved peer that recognises nothing: acknowledges the start,
    /// records the audio, answers the stop with `recognition_stopped`,
    /// `conversation_completed` and close 1000.
    pub fn listening() -> Self {
        Self(Act::WebSocket(Conversation {
            at_start: vec![
                started_listening(),
                conversation_created(),
                recognition_started(),
            ],
            at_stop: vec![recognition_stopped(), conversation_completed(), close(1000)],
            deaf_after_start: false,
            announcement: None,
        }))
    }

    /// Acknowledges the start, then never reads again: the client's socket fills
    /// up. It still says what it is told to.
    pub fn not_reading() -> Self {
        Self::listening().with(|talk| talk.deaf_after_start = true)
    }

    /// Like [`Script::listening`], but the stop gets no answer.
    pub fn no_stop_answer() -> Self {
        Self::listening().with(|talk| talk.at_stop.clear())
    }

    /// Like [`Script::listening`], and says `messages` right after the start
    /// acknowledgement. See also [`fragments`] and [`Message::Frame`].
    pub fn say(messages: Vec<Message>) -> Self {
        Self::listening().with(|talk| talk.at_start.extend(messages))
    }

    /// Replaces the replies to the start, for instance by another order of
    /// [`started_listening`], [`conversation_created`] and [`recognition_started`].
    pub fn replying_to_start(self, replies: Vec<Message>) -> Self {
        self.with(|talk| talk.at_start = replies)
    }

    /// Replaces the replies to the stop. After one that is a close frame, no more is sent.
    pub fn replying_to_stop(self, replies: Vec<Message>) -> Self {
        self.with(|talk| talk.at_stop = replies)
    }

    /// Answers the upgrade with `X-Symbl-Service` and this value.
    pub fn announcing(self, value: &str) -> Self {
        self.with(|talk| talk.announcement = Some(value.to_owned()))
    }

    fn with(mut self, change: impl FnOnce(&mut Conversation)) -> Self {
        match &mut self.0 {
            Act::WebSocket(talk) => change(talk),
            _ => panic!("this script has no conversation"),
        }
        self
    }
}

fn lifecycle(kind: &str, data: &str) -> Message {
    Message::text(format!(
        r#"{{"type":"message","message":{{"type":"{kind}"{data}}}}}"#
    ))
}

fn with_conversation(kind: &str) -> Message {
    let data = format!(r#","data":{{"conversationId":"{CONVERSATION_ID}"}}"#);
    lifecycle(kind, &data)
}

/// The service hears us.
pub fn started_listening() -> Message {
    lifecycle("started_listening", "")
}

/// The conversation exists.
pub fn conversation_created() -> Message {
    with_conversation("conversation_created")
}

/// Recognition runs.
pub fn recognition_started() -> Message {
    with_conversation("recognition_started")
}

/// The stop was taken.
pub fn recognition_stopped() -> Message {
    lifecycle("recognition_stopped", "")
}

/// The service ended its processing by itself.
pub fn processing_terminated() -> Message {
    lifecycle("processing_terminated", "")
}

/// Nothing more will come.
pub fn conversation_completed() -> Message {
    with_conversation("conversation_completed")
}

/// A close frame with `code`.
pub fn close(code: u16) -> Message {
    Message::Close(Some(CloseFrame {
        code: CloseCode::from(code),
        reason: "".into(),
    }))
}

/// `text` as WebSocket fragments of `size` bytes; cuts inside characters too.
pub fn fragments(text: &str, size: usize) -> Vec<Message> {
    let pieces: Vec<&[u8]> = text.as_bytes().chunks(size).collect();
    let last = pieces.len().saturating_sub(1);
    let kind = |index| match index {
        0 => Data::Text,
        _ => Data::Continue,
    };
    let frame = |(index, piece): (usize, &&[u8])| {
        Message::Frame(Frame::message(
            piece.to_vec(),
            OpCode::Data(kind(index)),
            index == last,
        ))
    };
    pieces.iter().enumerate().map(frame).collect()
}
