// SPDX-License-Identifier: MPL-2.0

//! The code that every element of this plugin shares, whatever its base class.
//!
//! It translates caps, properties and buffers for [`symbl_client::session`] and
//! [`symbl_client::transport`], and their events into bus messages. It decides nothing: the
//! session decides when to dial, what to send again and what is lost, and the transport
//! decides how bytes travel. It must never know a base class: an element passes its
//! segment, its pad and its state changes in.
//!
//! - [`properties`]: the table of the properties; [`settings`]: what their values mean
//! - [`caps`]: caps to wire format
//! - [`messages`], [`errors`], [`stats`]: events, failures and counters to structures
//! - `life`: from READY→PAUSED to PAUSED→READY, and the properties that show the state
//! - `feed`, `whole`: the way of a buffer into the connection; `gate`: the waits on it
//! - `host`: the way of an event onto the bus
//!
//! Sources: GStreamer design documents. Names and types are those of `docs/properties.md`
//! and `docs/messages.md`.

pub mod caps;
mod enums;
pub mod errors;
pub(crate) mod feed;
pub(crate) mod gate;
pub(crate) mod host;
mod insight_types;
pub(crate) mod life;
pub mod messages;
pub mod properties;
pub mod settings;
pub mod stats;
mod wall_clock;
mod whole;

pub use enums::{
    CapsChangePolicy, InterimText, LateText, Leaky, OnFatal, PausePolicy, StallAction, State,
    TextUnit,
};
pub use insight_types::InsightTypes;

use feed::Feed;
use gst::glib;
use gst::prelude::*;
use life::Life;
use std::sync::{Mutex, MutexGuard, PoisonError};
use symbl_client::session::Event;

/// An element that hands audio to a session, as the shared code sees it.
// For a type parameter, `IsA` of a class does not imply `IsA` of its parents.
pub(crate) trait SymblElement:
    IsA<gst::Element> + IsA<gst::Object> + IsA<glib::Object> + Send + Sync
{
    /// Returns the debug category of the element.
    fn category() -> gst::DebugCategory;

    /// Returns the settings, the session and its status.
    fn life(&self) -> &Life;

    /// Returns the state of the streaming thread.
    fn feed(&self) -> &Feed;

    /// Returns the pad that takes the audio.
    fn audio_pad(&self) -> &gst::Pad;

    /// Returns `true` if the element itself holds audio back until its running time.
    fn waits_for_the_clock(&self) -> bool;

    /// Returns `true` if the element has a pad for text, which follows the recognition.
    fn has_text_pad(&self) -> bool {
        false
    }

    /// Takes an event of the session before it is posted.
    fn take_event(&self, _event: &Event) {}
}

/// Locks a mutex, also if a thread has panicked while it held the lock.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Returns `true` if upstream answers a LATENCY query that it is live.
pub(crate) fn upstream_is_live(element: &impl SymblElement) -> bool {
    let mut query = gst::query::Latency::new();
    element.audio_pad().peer_query(&mut query) && query.result().0
}

/// Marks the enumerations of the properties as part of the plugin's documentation.
#[cfg(feature = "doc")]
pub(crate) fn document_types() {
    for type_ in [
        CapsChangePolicy::static_type(),
        InsightTypes::static_type(),
        InterimText::static_type(),
        LateText::static_type(),
        Leaky::static_type(),
        OnFatal::static_type(),
        PausePolicy::static_type(),
        StallAction::static_type(),
        State::static_type(),
        TextUnit::static_type(),
    ] {
        type_.mark_as_plugin_api(gst::PluginAPIFlags::empty());
    }
}
