// SPDX-License-Identifier: MPL-2.0

//! The pictures that come out of a pipeline: how many, when, and which of them have text.

use crate::common::pipeline::Pipeline;
use gst::prelude::*;
use std::hash::{DefaultHasher, Hasher};
use std::sync::{Arc, Mutex};

/// A picture that came by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Picture {
    /// Its own time, in milliseconds.
    pub pts: u64,
    /// How late it came by the pipeline's clock, in milliseconds, without what the clock of a
    /// pipeline in PAUSED would say.
    pub late: Option<u64>,
    /// A digest of what it shows.
    digest: u64,
}

/// Collects the pictures that come to the sink pad of an element.
#[derive(Clone, Default)]
pub struct Pictures(Arc<Mutex<Vec<Picture>>>);

impl Pictures {
    /// Collects what comes to the pad `sink` of the element `name`.
    pub fn at(pipeline: &Pipeline, name: &str) -> Self {
        let pictures = Self::default();
        let element = pipeline.pipeline.by_name(name).expect("the element");
        let pad = element.static_pad("sink").expect("a sink pad");
        let seen = pictures.clone();
        pad.add_probe(gst::PadProbeType::BUFFER, move |pad, info| {
            let buffer = info.buffer().expect("a buffer");
            let pts = buffer.pts().expect("a picture with a time");
            let segment = pad
                .sticky_event::<gst::event::Segment>(0)
                .expect("a segment");
            let times = segment.segment().downcast_ref::<gst::ClockTime>();
            let shows_at = times.and_then(|times| times.to_running_time(pts));
            let mut hasher = DefaultHasher::new();
            hasher.write(&buffer.map_readable().expect("memory"));
            let now = element.current_running_time();
            let late = now.zip(shows_at);
            let late = late.and_then(|(now, shows_at)| now.checked_sub(shows_at));
            let picture = Picture {
                pts: pts.mseconds(),
                late: late.map(gst::ClockTime::mseconds),
                digest: hasher.finish(),
            };
            seen.0.lock().expect("no panic").push(picture);
            gst::PadProbeReturn::Ok
        });
        pictures
    }

    /// Returns the pictures so far.
    pub fn all(&self) -> Vec<Picture> {
        self.0.lock().expect("no panic").clone()
    }

    /// Returns how many pictures came by.
    pub fn count(&self) -> usize {
        self.all().len()
    }

    /// Returns the times of the pictures that differ from the plain ones of the same number.
    pub fn differing(&self, plain: &Self) -> Vec<u64> {
        let (pictures, plain) = (self.all(), plain.all());
        assert_eq!(pictures.len(), plain.len(), "other pictures");
        let pairs = pictures.iter().zip(&plain);
        let differing = pairs.filter(|(picture, plain)| picture.digest != plain.digest);
        differing.map(|(picture, _)| picture.pts).collect()
    }
}
