// SPDX-License-Identifier: MPL-2.0
//! Whether a frame of audio holds a voice.
//!
//! A small neural network (the `earshot` crate) decides, because the engine's
//! own silence removal loses the first sentence after digital silence. It must
//! see every frame of a stream in order, once.

use earshot::Detector;

/// Samples of a frame: 16 ms at 16 kHz.
pub(super) const FRAME: usize = 256;

/// Scores above this are a voice (the crate's own advice).
const VOICED: f32 = 0.5;

/// The detector of one stream.
pub(super) struct VoiceDetector(Box<Detector>);

impl VoiceDetector {
    pub(super) fn new() -> Self {
        Self(Detector::default_boxed())
    }

    /// Whether the next frame ([`FRAME`] samples) is voiced.
    pub(super) fn is_voiced(&mut self, frame: &[i16]) -> bool {
        self.0.predict_i16(frame) > VOICED
    }
}
