// SPDX-License-Identifier: MPL-2.0

//! The scripts of peers, and the messages that scripts send.

use super::Message;
use tokio_tungstenite::tungstenite::protocol::CloseFrame;
use tokio_tungstenite::tungstenite::protocol::frame::Frame;
use tokio_tungstenite::tungstenite::protocol::frame::coding::{CloseCode, Data, OpCode};

/// The conversation id that every peer sends.
pub const CONVERSATION_ID: &str = "5318203764539392";

/// What a peer does on each connection.
#[derive(Clone)]
pub struct Script(pub(super) Act);

#[derive(Clone)]
pub(super) enum Act {
    NeverAccept,
    Silence,
    /// Answers the request head with these bytes, and closes.
    Answer(Vec<u8>),
    /// Answers the upgrade with the accept key of another request.
    WrongAccept,
    WebSocket(Conversation),
}

#[derive(Clone, Default)]
pub(super) struct Conversation {
    /// The replies to each `start_request`.
    pub(super) at_start: Vec<Message>,
    /// The replies to each `stop_request`. A close frame among them is the last.
    pub(super) at_stop: Vec<Message>,
    /// Nothing is read after the first `start_request`.
    pub(super) deaf_after_start: bool,
    /// Value of the header by which a `symbl-service` announces itself, if it does.
    pub(super) announcement: Option<String>,
}

impl Script {
    /// Returns a script with a full backlog: not even TCP connects, as if packets were dropped.
    pub fn never_accepts() -> Self {
        Self(Act::NeverAccept)
    }

    /// Accepts TCP connections and reads them, but never answers.
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

    /// Answers the upgrade with the `Sec-WebSocket-Accept` of another key.
    pub fn wrong_accept() -> Self {
        Self(Act::WrongAccept)
    }

    /// Upgrades and reads, but never acknowledges the start.
    pub fn upgrade_only() -> Self {
        Self(Act::WebSocket(Conversation::default()))
    }

    /// Acknowledges the start, records the audio, and answers the stop with
    /// `recognition_stopped`, `conversation_completed` and close 1000. Recognises nothing.
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

    /// Acknowledges the start, and then never reads again, so that the client's socket fills
    /// up. [`Peer::say`](super::Peer::say) still sends.
    pub fn not_reading() -> Self {
        Self::listening().with(|talk| talk.deaf_after_start = true)
    }

    /// Behaves like [`Script::listening`], but does not answer the stop.
    pub fn no_stop_answer() -> Self {
        Self::listening().with(|talk| talk.at_stop.clear())
    }

    /// Behaves like [`Script::listening`], and sends `messages` right after the acknowledgement
    /// of the start. See also [`fragments`] and [`Message::Frame`].
    pub fn say(messages: Vec<Message>) -> Self {
        Self::listening().with(|talk| talk.at_start.extend(messages))
    }

    /// Replaces the replies to the start, for example by [`started_listening`],
    /// [`conversation_created`] and [`recognition_started`] in another order.
    pub fn replying_to_start(self, replies: Vec<Message>) -> Self {
        self.with(|talk| talk.at_start = replies)
    }

    /// Replaces the replies to the stop. No reply is sent after a close frame.
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

/// Returns the message that the service accepts audio.
pub fn started_listening() -> Message {
    lifecycle("started_listening", "")
}

/// Returns the message that the conversation exists.
pub fn conversation_created() -> Message {
    with_conversation("conversation_created")
}

/// Returns the message that the recognition runs.
pub fn recognition_started() -> Message {
    with_conversation("recognition_started")
}

/// Returns the message that the stop request was accepted.
pub fn recognition_stopped() -> Message {
    lifecycle("recognition_stopped", "")
}

/// Returns the message that no final is still to come that begins before this many
/// milliseconds of the audio since the start. A service sends it only if it was asked to.
pub fn recognition_progress(millis: u64) -> Message {
    let seconds = millis as f64 / 1_000.0;
    lifecycle(
        "recognition_progress",
        &format!(r#","audioTime":{seconds}"#),
    )
}

/// Returns the message that the service ended its processing by itself.
pub fn processing_terminated() -> Message {
    lifecycle("processing_terminated", "")
}

/// Returns the message that nothing more will come.
pub fn conversation_completed() -> Message {
    with_conversation("conversation_completed")
}

/// Returns a close frame with `code`.
pub fn close(code: u16) -> Message {
    Message::Close(Some(CloseFrame {
        code: CloseCode::from(code),
        reason: "".into(),
    }))
}

/// Splits `text` into WebSocket fragments of `size` bytes, also inside characters.
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
