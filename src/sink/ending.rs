// SPDX-License-Identifier: MPL-2.0

//! The end of the stream, where GstBin would not tell it.

use super::SymblSink;
use super::imp::CAT;
use gst::prelude::*;

/// Posts in the name of a pipeline that plays that it does, from PLAYING to PLAYING.
///
/// GstBin posts the EOS of its sinks only while the last state that it has told of is
/// PLAYING, and notes that state after it has posted it. Where a thread of another element
/// (`decodebin`) completes the change to PAUSED, and the application answers the message
/// by a change to PLAYING at once, the note of PAUSED can be the later one: all sinks
/// have posted EOS then, and the pipeline never does. The message corrects the note. If
/// the note was right, GstBin has posted EOS already and does not do it again.
pub(super) fn tell_again_that_it_plays(sink: &SymblSink) {
    let Some(mut top) = sink.parent() else {
        return;
    };
    while let Some(parent) = top.parent() {
        top = parent;
    }
    let Ok(pipeline) = top.downcast::<gst::Bin>() else {
        return;
    };
    // In a change of state the pipeline tells of its end by itself.
    if pipeline.current_state() != gst::State::Playing
        || pipeline.pending_state() != gst::State::VoidPending
    {
        return;
    }
    let (plays, none) = (gst::State::Playing, gst::State::VoidPending);
    let message = gst::message::StateChanged::builder(plays, plays, none)
        .src(&pipeline)
        .build();
    if pipeline.post_message(message).is_err() {
        gst::debug!(CAT, obj = sink, "The pipeline has no bus to post to");
    }
}
