// SPDX-License-Identifier: MPL-2.0

//! The record of a connection: everything that the client sent.

use super::Message;

/// The head of an HTTP request, as it came.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RequestHead {
    /// The method, for example `GET`.
    pub method: String,
    /// Path and query, not percent-decoded.
    pub path: String,
    /// Names and values, spelled and ordered as by the client.
    pub headers: Vec<(String, String)>,
}

impl RequestHead {
    /// Returns the value of the first header of this name, in any case.
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

/// The record of one connection.
#[derive(Debug, Clone, Default)]
pub struct Record {
    /// The request head; `None` until all of it has come.
    pub request: Option<RequestHead>,
    /// All messages of the client in order, control frames among them.
    pub frames: Vec<Message>,
    /// Number of bytes after a request head that was not answered by an upgrade.
    pub ignored: usize,
    /// The connection has ended.
    pub ended: bool,
}

impl Record {
    /// Returns the text messages in order.
    pub fn texts(&self) -> Vec<&str> {
        self.frames
            .iter()
            .filter_map(|frame| match frame {
                Message::Text(text) => Some(text.as_str()),
                _ => None,
            })
            .collect()
    }

    /// Returns the binary messages in order.
    pub fn audio_messages(&self) -> Vec<&[u8]> {
        self.frames
            .iter()
            .filter_map(|frame| match frame {
                Message::Binary(audio) => Some(audio.as_ref()),
                _ => None,
            })
            .collect()
    }

    /// Returns the bytes of all binary messages, joined in order.
    pub fn audio(&self) -> Vec<u8> {
        self.audio_messages().concat()
    }

    /// Returns the types of the text messages with the sample rates in them, and the sizes of
    /// the binary messages between them. Equal items in a row appear once.
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

    /// Returns `true` if a text message of this `type` came.
    pub fn has(&self, kind: &str) -> bool {
        self.texts().iter().any(|text| is_of_type(text, kind))
    }

    /// Returns the code of the client's close frame, once it has come; 1005 if it has none.
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
