// SPDX-License-Identifier: MPL-2.0

//! Puts samples together that upstream cut in two.
//!
//! A buffer of raw audio is whole samples by its caps. Sources that know nothing of
//! samples (a socket, a pipe) end buffers in the middle of one; without its other
//! half all that follows would be noise. In: buffers of any size. Out: the same
//! bytes in buffers of whole samples. Never holds more than a part of a sample.

use super::imp::{SymblSink, lock};
use gst::subclass::prelude::*;

/// The beginning of a sample whose rest is to come.
#[derive(Debug, Default)]
pub(super) struct Cut {
    bytes: Vec<u8>,
    /// Whether it was complained about.
    warned: bool,
}

impl Cut {
    /// Returns `true` if a buffer of `size` bytes is whole samples of `width` bytes
    /// as it is.
    pub(super) fn is_whole(&self, size: usize, width: usize) -> bool {
        self.bytes.is_empty() && size.is_multiple_of(width)
    }

    /// What follows does not follow what came before.
    pub(super) fn forget(&mut self) {
        self.bytes.clear();
    }

    /// Returns the whole samples of `width` bytes that `data` completes, and keeps
    /// the rest.
    fn complete(&mut self, data: &[u8], width: usize) -> Vec<u8> {
        let mut bytes = std::mem::take(&mut self.bytes);
        bytes.extend_from_slice(data);
        self.bytes = bytes.split_off(bytes.len() - bytes.len() % width);
        bytes
    }
}

impl SymblSink {
    /// Returns the buffer in whole samples of `width` bytes, if it completes one.
    pub(super) fn whole(
        &self,
        buffer: &gst::BufferRef,
        width: usize,
    ) -> Result<Option<gst::Buffer>, gst::FlowError> {
        let (bytes, warn) = self.read(buffer, |data| {
            let mut streaming = lock(&self.streaming);
            let cut = &mut streaming.cut;
            if buffer.flags().contains(gst::BufferFlags::DISCONT) {
                cut.forget();
            }
            let bytes = cut.complete(data, width);
            (bytes, !std::mem::replace(&mut cut.warned, true))
        })?;
        if warn {
            let size = buffer.size();
            gst::element_imp_warning!(
                self,
                gst::StreamError::Format,
                ("A buffer ends within a sample (it has {size} bytes, a sample has {width}). The \
                  rest of the sample is taken from the next buffer. Put `rawaudioparse` before \
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

    #[test]
    fn nothing_is_left_behind_a_discontinuity() {
        let mut cut = Cut::default();
        assert_eq!(cut.complete(&[1, 2, 3], 2), [1, 2]);
        assert!(!cut.is_whole(2, 2));
        cut.forget();
        assert_eq!(cut.complete(&[4, 5], 2), [4, 5]);
    }
}
