// SPDX-License-Identifier: MPL-2.0

//! The steps that may happen to a session, and their form in an input.

/// Ends a step: a byte that is in no UTF-8 text.
pub const END: u8 = 0xff;

/// One step. It has only small numbers, so that a run stays short.
pub enum Step<'a> {
    Text(&'a str),
    History(&'a str),
    Connected,
    Binary,
    Ping,
    Pong,
    Closed { code: u16, reason: &'a str },
    DialFailed { status: u16 },
    HistoryFailed,
    Wait { millis: u16 },
    Audio { millis: u8 },
    Format { rate: u16 },
    Flush,
    End,
    Token,
}

impl<'a> Step<'a> {
    pub fn read(piece: &'a [u8]) -> Self {
        let (letter, rest) = piece.split_first().map_or((0, piece), |(l, r)| (*l, r));
        let number = match *rest {
            [high, low, ..] => u16::from_be_bytes([high, low]),
            [low] => low.into(),
            [] => 0,
        };
        match letter {
            b'H' => Self::History(text(rest)),
            b'c' => Self::Connected,
            b'B' => Self::Binary,
            b'p' => Self::Ping,
            b'q' => Self::Pong,
            b'C' => Self::Closed {
                code: number,
                reason: text(rest.get(2..).unwrap_or_default()),
            },
            b'd' => Self::DialFailed { status: number },
            b'h' => Self::HistoryFailed,
            b'W' => Self::Wait { millis: number },
            b'A' => Self::Audio {
                millis: rest.first().copied().unwrap_or(100),
            },
            b'R' => Self::Format { rate: number },
            b'F' => Self::Flush,
            b'E' => Self::End,
            b'T' => Self::Token,
            _ => Self::Text(text(piece)),
        }
    }
}

/// Returns the beginning of `bytes` that is UTF-8. A socket delivers only UTF-8 as text.
fn text(bytes: &[u8]) -> &str {
    match std::str::from_utf8(bytes) {
        Ok(text) => text,
        Err(error) => {
            let valid = bytes.get(..error.valid_up_to()).unwrap_or_default();
            std::str::from_utf8(valid).unwrap_or_default()
        }
    }
}
