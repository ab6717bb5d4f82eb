// SPDX-License-Identifier: MPL-2.0

//! Tells frames of audio with a voice from those without, for all engines.
//!
//! A small neural network (the `earshot` crate) decides, because PocketSphinx's own
//! silence removal loses the first sentence after digital silence. It must see every
//! frame of a stream once, in order.

use earshot::Detector;

/// Samples of a frame: 16 ms at 16 kHz.
pub const FRAME: usize = 256;

/// Scores above this are a voice (the crate's own advice).
const VOICED: f32 = 0.5;

/// The detector of one stream.
pub struct VoiceDetector(Box<Detector>);

impl std::fmt::Debug for VoiceDetector {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("VoiceDetector").finish_non_exhaustive()
    }
}

impl Default for VoiceDetector {
    fn default() -> Self {
        Self::new()
    }
}

impl VoiceDetector {
    /// Returns a detector for a stream that has not begun.
    pub fn new() -> Self {
        Self(Detector::default_boxed())
    }

    /// Returns `true` if the next frame ([`FRAME`] samples) is voiced.
    pub fn is_voiced(&mut self, frame: &[i16]) -> bool {
        self.0.predict_i16(frame) > VOICED
    }
}
