// SPDX-License-Identifier: MPL-2.0

//! Rejoins samples that upstream cut in two.
//!
//! By its caps, a buffer of raw audio has whole samples. Sources that know nothing of
//! samples (a socket, a pipe) end buffers in the middle of one. Without its other half, all
//! audio behind it would be noise. In: buffers of any size. Out: the same bytes in buffers
//! of whole samples. This module never holds more than a part of a sample.
//!
//! If a byte was lost (a datagram that was cut, or did not come), the other half never
//! comes. 16-bit samples that begin at the wrong byte are noise. So if a buffer is much
//! smoother without its first byte, that byte is left out, and one buffer of noise is the
//! most that a loss causes.

use super::{SymblElement, feed};

/// The beginning of a sample whose rest is to come.
#[derive(Debug, Default)]
pub(super) struct Cut {
    bytes: Vec<u8>,
    /// A warning about a cut sample was posted.
    warned: bool,
}

/// Bytes of a buffer from which on its roughness says something.
const ENOUGH: usize = 128;

/// How many times smoother samples must be to show that they begin at the right byte. Speech
/// is smoother by ten times and more. A constant or noise is the same both ways.
const SMOOTHER: u64 = 2;

/// Returns the sum of the differences between neighbouring 16-bit samples.
fn roughness<'a>(bytes: impl Iterator<Item = &'a u8>) -> u64 {
    let mut low = None;
    let mut last: Option<i16> = None;
    let mut sum = 0;
    for byte in bytes {
        let Some(first) = low.take() else {
            low = Some(*byte);
            continue;
        };
        let sample = i16::from_le_bytes([first, *byte]);
        sum += last.map_or(0, |last| u64::from(sample.abs_diff(last)));
        last = Some(sample);
    }
    sum
}

impl Cut {
    /// Returns `true` if a buffer of `size` bytes has whole samples of `width` bytes, and no
    /// part of a sample waits for its rest.
    pub(super) fn is_whole(&self, size: usize, width: usize) -> bool {
        self.bytes.is_empty() && size.is_multiple_of(width)
    }

    /// Drops the part of a sample that waits, because the next audio does not follow it.
    pub(super) fn forget(&mut self) {
        self.bytes.clear();
    }

    /// Returns `true` at the first call only.
    pub(super) fn is_news(&mut self) -> bool {
        !std::mem::replace(&mut self.warned, true)
    }

    /// Returns the whole samples of `width` bytes that `data` completes, and keeps
    /// the rest.
    pub(super) fn complete(&mut self, data: &[u8], width: usize) -> Vec<u8> {
        let mut bytes = std::mem::take(&mut self.bytes);
        bytes.extend_from_slice(data);
        if width == 2 && data.len() >= ENOUGH {
            let without = roughness(bytes.iter().skip(1));
            if without.saturating_mul(SMOOTHER) < roughness(bytes.iter()) {
                bytes.remove(0);
            }
        }
        self.bytes = bytes.split_off(bytes.len() - bytes.len() % width);
        bytes
    }
}

/// Returns the whole samples of `width` bytes that a buffer completes, if it completes any.
pub(super) fn whole(
    element: &impl SymblElement,
    buffer: &gst::BufferRef,
    width: usize,
) -> Result<Option<gst::Buffer>, gst::FlowError> {
    let discont = buffer.flags().contains(gst::BufferFlags::DISCONT);
    let (bytes, is_news) = feed::read(element, buffer, |data| {
        element.feed().complete(data, width, discont)
    })?;
    if is_news {
        let size = buffer.size();
        gst::element_warning!(
            element,
            gst::StreamError::Format,
            ("A buffer ends within a sample (it has {size} bytes, a sample has {width}). The \
              rest of the sample is taken from the next buffer, if it is there. Put `rawaudioparse` before \
              the sink, or send whole samples")
        );
    }
    if bytes.is_empty() {
        return Ok(None);
    }
    let mut whole = gst::Buffer::from_mut_slice(bytes);
    if let Some(whole) = whole.get_mut() {
        whole.set_pts(buffer.pts());
        whole.set_flags(buffer.flags());
    }
    Ok(Some(whole))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_bytes_come_in_whole_samples_whatever_the_buffers() {
        for size in 1..9 {
            let mut cut = Cut::default();
            let data: Vec<u8> = (0..100).collect();
            let mut out = Vec::new();
            for piece in data.chunks(size) {
                let bytes = cut.complete(piece, 2);
                assert!(bytes.len().is_multiple_of(2));
                out.extend(bytes);
            }
            assert_eq!(out, data);
            assert!(cut.is_whole(4, 2) && !cut.is_whole(3, 2));
        }
    }

    /// Returns the bytes of a tone with a little noise.
    fn tone() -> Vec<u8> {
        let samples = (0..16_000).map(|n| {
            let wave = (f64::from(n) * 0.3).sin() * 4000.0 + f64::from(n * 7919 % 101);
            wave as i16
        });
        samples.flat_map(i16::to_le_bytes).collect()
    }

    #[test]
    fn a_lost_byte_makes_noise_of_one_buffer_at_most() {
        let tone = tone();
        // The size of the pieces, the number of the piece with the loss, and `true` if all of it
        // is lost, `false` if only its last byte is.
        for (size, lost, whole) in [
            (640, 3, false),
            (641, 2, true),
            (641, 3, true),
            (641, 4, false),
        ] {
            let mut cut = Cut::default();
            let mut out = Vec::new();
            for (number, piece) in tone.chunks(size).enumerate() {
                let piece = match (number == lost, whole) {
                    (true, true) => continue,
                    (true, false) => &piece[..piece.len() - 1],
                    _ => piece,
                };
                if cut.is_whole(piece.len(), 2) {
                    out.extend_from_slice(piece);
                } else {
                    out.extend(cut.complete(piece, 2));
                }
            }
            // The audio behind the loss is the audio that was sent.
            let end = out.len() - 640;
            let samples = &out[end - 8 * 640..end];
            let found = tone.windows(samples.len()).position(|w| w == samples);
            assert!(found.is_some_and(|at| at % 2 == 0), "{size} {lost} {whole}");
        }
    }

    #[test]
    fn nothing_is_left_behind_a_discontinuity() {
        let mut cut = Cut::default();
        assert_eq!(cut.complete(&[1, 2, 3], 2), [1, 2]);
        assert!(!cut.is_whole(2, 2));
        cut.forget();
        assert_eq!(cut.complete(&[4, 5], 2), [4, 5]);
    }
}
