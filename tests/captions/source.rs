// SPDX-License-Identifier: MPL-2.0

//! Where the text of a pipeline comes from.
//!
//! All tests of this program write the text's place in their pipelines as [`TEXT`].

use crate::common::pipeline::{Pipeline, buffer};
use crate::talk::Timed;
use gst::prelude::*;

/// The element that text comes out of: words or cues, with GAP events between them.
pub const TEXT: &str =
    "appsrc name=text format=time max-bytes=0 caps=\"text/x-raw,format=(string)utf8\"";

/// Nanoseconds in a millisecond.
const MS: u64 = 1_000_000;

/// The longest GAP event, in milliseconds.
const GAP: u64 = 250;

/// What comes out of the text's source, in order.
#[derive(Debug, Clone)]
pub enum Item {
    Text(Timed),
    /// The event `rstranscribe/final-transcript`: a line ends here.
    Final,
}

/// Gives the pipeline's text source the text, with GAP events between and behind, up to
/// `duration` ms, and the end of the stream.
pub fn push(pipeline: &Pipeline, items: &[Item], duration: u64) {
    let text = pipeline.pipeline.by_name("text").expect("a text source");
    let text: gst_app::AppSrc = text.downcast().expect("an appsrc");
    let mut covered = 0;
    for item in items {
        match item {
            Item::Text(Timed {
                text: said,
                start,
                end,
            }) => {
                cover(&text, covered, *start);
                let times = (Some(start * MS), Some((end - start) * MS));
                let buffer = buffer(said.clone().into_bytes(), times.0, times.1);
                text.push_buffer(buffer).expect("room");
                covered = *end;
            }
            Item::Final => {
                let event = gst::Structure::new_empty("rstranscribe/final-transcript");
                assert!(text.send_event(gst::event::CustomDownstream::new(event)));
            }
        }
    }
    cover(&text, covered, duration);
    text.end_of_stream().expect("a source that goes on");
}

/// Pushes GAP events from `start` to `end`.
fn cover(text: &gst_app::AppSrc, start: u64, end: u64) {
    for start in (start..end).step_by(GAP as usize) {
        let gap = gst::event::Gap::builder(gst::ClockTime::from_mseconds(start))
            .duration(gst::ClockTime::from_mseconds(GAP.min(end - start)));
        assert!(text.send_event(gap.build()));
    }
}
