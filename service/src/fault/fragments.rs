// SPDX-License-Identifier: MPL-2.0

//! Cuts the messages that a server writes to a WebSocket into fragments (RFC 6455,
//! section 5.4).

/// Size of a fragment in bytes. Odd, so that it also cuts inside characters.
const PIECE: usize = 7;

const FIN: u8 = 0x80;
const OPCODE: u8 = 0x0f;
const CONTINUATION: u8 = 0;

/// Takes the bytes that the server writes, and returns the bytes to send.
#[derive(Debug, Default)]
pub(super) struct Fragmenter {
    /// `true` once the head of the HTTP response has passed.
    upgraded: bool,
    taken: Vec<u8>,
    ready: Vec<u8>,
}

impl Fragmenter {
    /// Takes bytes from the server. If `cut` is set, frames that begin from now on
    /// are cut.
    pub(super) fn push(&mut self, bytes: &[u8], cut: bool) {
        self.taken.extend_from_slice(bytes);
        if !self.upgraded {
            let Some(head) = self.taken.windows(4).position(|four| four == b"\r\n\r\n") else {
                return;
            };
            self.ready.extend(self.taken.drain(..head + 4));
            self.upgraded = true;
        }
        while let Some((header, payload)) = frame(&self.taken) {
            let whole: Vec<u8> = self.taken.drain(..header + payload).collect();
            let (head, payload) = whole.split_at(header);
            let first = head.first().copied().unwrap_or_default();
            let is_data = matches!(first & OPCODE, 1 | 2);
            if cut && is_data && first & FIN != 0 {
                self.fragment(first & OPCODE, payload);
            } else {
                self.ready.extend(whole);
            }
        }
    }

    fn fragment(&mut self, opcode: u8, payload: &[u8]) {
        let last = payload.len().div_ceil(PIECE).max(1) - 1;
        let mut pieces = payload.chunks(PIECE);
        for n in 0..=last {
            let piece = pieces.next().unwrap_or_default();
            let kind = if n == 0 { opcode } else { CONTINUATION };
            let fin = if n == last { FIN } else { 0 };
            self.ready.extend([kind | fin, piece.len() as u8]);
            self.ready.extend(piece);
        }
    }

    /// Returns the bytes to send.
    pub(super) fn waiting(&self) -> &[u8] {
        &self.ready
    }

    /// Removes bytes that were sent.
    pub(super) fn wrote(&mut self, bytes: usize) {
        self.ready.drain(..bytes.min(self.ready.len()));
    }
}

/// Returns the lengths of the header and the payload of the first frame, if it is
/// complete. A server's frames are not masked.
fn frame(bytes: &[u8]) -> Option<(usize, usize)> {
    let (header, payload) = match bytes.get(1)? & 0x7f {
        126 => (
            4,
            u16::from_be_bytes(*bytes.get(2..)?.first_chunk()?).into(),
        ),
        127 => (10, u64::from_be_bytes(*bytes.get(2..)?.first_chunk()?)),
        short => (2, short.into()),
    };
    let payload = usize::try_from(payload).ok()?;
    (bytes.len() >= header + payload).then_some((header, payload))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Checks that the output is the same whatever the writes are cut into.
    #[track_caller]
    fn gives(written: &[u8], cut: bool, expected: &[u8]) {
        for size in [1, 3, written.len()] {
            let mut fragmenter = Fragmenter::default();
            for bytes in written.chunks(size) {
                fragmenter.push(bytes, cut);
            }
            assert_eq!(fragmenter.waiting(), expected);
        }
    }

    #[test]
    fn messages_are_cut_and_control_frames_are_not() {
        let head = b"HTTP/1.1 101 x\r\n\r\n";
        let frames = b"\x81\x0aabcdefghij\x89\x01p\x81\x00\x82\x02zz";
        let cut = b"\x01\x07abcdefg\x80\x03hij\x89\x01p\x81\x00\x82\x02zz";
        gives(
            &[&head[..], frames].concat(),
            true,
            &[&head[..], cut].concat(),
        );
        gives(
            &[&head[..], frames].concat(),
            false,
            &[&head[..], frames].concat(),
        );
    }

    #[test]
    fn long_messages_are_read_whole() {
        for (length, header) in [
            (300usize, &b"\x81\x7e\x01\x2c"[..]),
            (70_000, b"\x81\x7f\0\0\0\0\0\x01\x11\x70"),
        ] {
            let payload = vec![b'x'; length];
            let mut fragmenter = Fragmenter::default();
            let written = [b"\r\n\r\n", header, &payload[..], b"\x8a\x00"].concat();
            fragmenter.push(&written, true);
            let pieces = length.div_ceil(PIECE);
            assert_eq!(fragmenter.waiting().len(), 4 + 2 * pieces + length + 2);
            assert!(fragmenter.waiting().ends_with(b"\x8a\x00"));
        }
    }
}
