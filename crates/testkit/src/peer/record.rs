// SPDX-License-Identifier: MPL-2.0

//! What a peer saw of its client, and questions to ask of it.

use super::Message;

/// The head of an HTTP request, as it came.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RequestHead {
    /// For instance `GET`.
    pub method: String,
    /// Path and query, not decoded.
    pub path: String,
    /// Names as spelled by the client, in its order.
    pub headers: Vec<(String, String)>,
}

impl RequestHead {
    /// Value of the first header of this name, in any case.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers
            .iter()
            .find(|(own, _)| own.eq_ignore_ascii_case(name))
            .map(|(_, value)| value.as_str())
    }

    pub(super) fn parse(text: &str) -> Option<Self> {
        let mut lines = text.lines();
        let mut first = lines.next()?.split(' ');
        Some(Self {
            method: first.next()?.to_owned(),
            path: first.next()?.to_owned(),
            headers: lines
                .filter_map(|line| line.split_once(':'))
                .map(|(name, value)| (name.to_owned(), value.trim().to_owned()))
                .collect(),
        })
    }
}

/// What one connection brought.
#[derive(Debug, Clone, Default)]
pub struct Record {
    /// `None` until the head was there in full.
    pub request: Option<RequestHead>,
    /// All messages of the client in order, control frames among them.
    pub frames: Vec<Message>,
    /// Bytes that came after a request head which was not answered by an upgrade.
    pub ignored: usize,
    /// The connection is gone.
    pub ended: bool,
}

impl Record {
    /// The text messages in order.
    pub fn texts(&self) -> Vec<&str> {
        self.frames
            .iter()
            .filter_map(|frame| match frame {
                Message::Text(text) => Some(text.as_str()),
                _ => None,
            })
            .collect()
    }

    /// The binary messages in order.
    pub fn audio_messages(&self) -> Vec<&[u8]> {
        self.frames
            .iter()
            .filter_map(|frame| match frame {
                Message::Binary(audio) => Some(audio.as_ref()),
                _ => None,
            })
            .collect()
    }

    /// The binary messages in order, joined.
    pub fn audio(&self) -> Vec<u8> {
        self.audio_messages().concat()
    }

    /// Types of the text messages, with the rates that they tell and the sizes of the
    /// audio between them; of equal ones in a row the first.
    pub fn order(&self) -> Vec<String> {
        let line = |frame: &Message| match frame {
            Message::Text(text) => {
                let json: serde_json::Value = serde_json::from_str(text).expect("JSON");
                let rate = ["/config", ""].iter().find_map(|parent| {
                    json.pointer(&format!("{parent}/speechRecognition/sampleRateHertz"))
                });
                let rate = rate.map_or(String::new(), |rate| format!(" {rate}"));
                Some(format!("{}{rate}", json["type"].as_str().expect("a type")))
            }
            Message::Binary(audio) => Some(format!("{} bytes", audio.len())),
            _ => None,
        };
        let mut order: Vec<String> = self.frames.iter().filter_map(line).collect();
        order.dedup();
        order
    }

    /// Whether a text message of this `type` came.
    pub fn has(&self, kind: &str) -> bool {
        self.texts().iter().any(|text| is_of_type(text, kind))
    }

    /// Code of the client's close frame (1005 for one without), once it came.
    pub fn close_code(&self) -> Option<u16> {
        self.frames.iter().find_map(|frame| match frame {
            Message::Close(Some(frame)) => Some(frame.code.into()),
            Message::Close(None) => Some(1005),
            _ => None,
        })
    }
}

pub(super) fn is_of_type(text: &str, kind: &str) -> bool {
    serde_json::from_str::<serde_json::Value>(text).is_ok_and(|json| json["type"] == kind)
}
