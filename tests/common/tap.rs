// SPDX-License-Identifier: MPL-2.0

//! Records every buffer that upstream pushes into a sink.

use gst::prelude::*;
use std::sync::{Arc, Mutex, PoisonError};

/// A buffer that was pushed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Given {
    pub data: Vec<u8>,
    /// The buffer is a stream header before the audio.
    pub header: bool,
}

/// A record of the buffers on a sink's pad.
#[derive(Clone, Default)]
pub struct Tap(Arc<Mutex<Vec<Given>>>);

impl Tap {
    /// Installs a tap on the pad of this sink, for as long as the sink lives.
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

    /// Returns all buffers so far.
    pub fn given(&self) -> Vec<Given> {
        let given = self.0.lock();
        given.unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Returns the buffers that are no headers.
    pub fn packets(&self) -> Vec<Vec<u8>> {
        let given = self.given().into_iter();
        given.filter(|g| !g.header).map(|g| g.data).collect()
    }

    /// Returns the part of the header buffers that a FLAC decoder needs: `fLaC` and STREAMINFO,
    /// as the only metadata block.
    pub fn flac_header(&self) -> Vec<u8> {
        let given = self.given().into_iter();
        let all = given.filter(|g| g.header).flat_map(|g| g.data);
        let mut header: Vec<u8> = all.take(4 + 4 + 34).collect();
        header[4] |= 0x80;
        header
    }
}
