// SPDX-License-Identifier: MPL-2.0

//! What a sink is given: every buffer that its upstream pushes, as it comes.

use gst::prelude::*;
use std::sync::{Arc, Mutex, PoisonError};

/// A buffer that was pushed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Given {
    pub data: Vec<u8>,
    /// A stream header that stands in front of the audio.
    pub header: bool,
}

/// Listens at a sink's pad.
#[derive(Clone, Default)]
pub struct Tap(Arc<Mutex<Vec<Given>>>);

impl Tap {
    /// On the pad of this sink, for as long as that lives.
    pub fn on(sink: &gst::Element) -> Self {
        let tap = Self::default();
        let given = Arc::clone(&tap.0);
        let pad = sink.static_pad("sink").expect("a pad");
        pad.add_probe(gst::PadProbeType::BUFFER, move |_, info| {
            let buffer = info.buffer().expect("a buffer");
            given
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .push(Given {
                    data: buffer.map_readable().expect("readable").to_vec(),
                    header: buffer.flags().contains(gst::BufferFlags::HEADER),
                });
            gst::PadProbeReturn::Ok
        });
        tap
    }

    /// What was given up to now.
    pub fn given(&self) -> Vec<Given> {
        let given = self.0.lock();
        given.unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// The buffers that are no headers.
    pub fn packets(&self) -> Vec<Vec<u8>> {
        let given = self.given().into_iter();
        given.filter(|g| !g.header).map(|g| g.data).collect()
    }

    /// What a decoder of FLAC needs of the buffers that are headers: `fLaC` and
    /// STREAMINFO, as the only metadata block.
    pub fn flac_header(&self) -> Vec<u8> {
        let given = self.given().into_iter();
        let all = given.filter(|g| g.header).flat_map(|g| g.data);
        let mut header: Vec<u8> = all.take(4 + 4 + 34).collect();
        header[4] |= 0x80;
        header
    }
}
