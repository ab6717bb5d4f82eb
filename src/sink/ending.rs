// SPDX-License-Identifier: MPL-2.0

//! The end of the stream where GstBin would not report it.

use super::SymblSink;
use super::imp::CAT;
use gst::prelude::*;

/// Posts a STATE_CHANGED message from PLAYING to PLAYING in the name of a pipeline that
/// plays.
///
/// GstBin posts the EOS of its sinks only if the last state that it has posted is PLAYING,
/// and it notes that state after it has posted it. If a thread of another element
/// (`decodebin`) completes the change to PAUSED, and the application answers the message
/// by a change to PLAYING at once, GstBin may note PAUSED last. Then all sinks post EOS,
/// and the pipeline never does. This message corrects the note. If the note was right,
/// GstBin has posted EOS already and does not post it again.
pub(super) fn report_playing_again(sink: &SymblSink) {
    let Some(mut top) = sink.parent() else {
        return;
    };
    while let Some(parent) = top.parent() {
        top = parent;
    }
    let Ok(pipeline) = top.downcast::<gst::Bin>() else {
        return;
    };
    // During a change of state the pipeline reports its end by itself.
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
