// SPDX-License-Identifier: MPL-2.0

//! What every element of this plugin shares, whatever its base class.
//!
//! Caps, properties and bus messages are translated here into what
//! [`symbl_client::session`] and [`symbl_client::transport`] understand, and back. Nothing is
//! decided here: when to dial, what to send again and what is lost is the
//! session's business, how bytes travel is the transport's. Nothing here knows a base
//! class either: an element hands its segment, its pad and its state changes in.
//!
//! - [`properties`]: the table of the properties; [`settings`]: what their values mean
//! - [`caps`]: caps to wire format
//! - [`messages`], [`errors`], [`stats`]: events, failures and counters to structures
//! - `life`: from READY→PAUSED to PAUSED→READY, and what the application may ask for
//! - `feed`, `whole`: the way of a buffer into the connection; `gate`: the waits on it
//! - `host`: the way of an event onto the bus
//!
//! Facts: GStreamer design documents; names and types are those of
//! `docs/properties.md` and `docs/messages.md`.

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

pub use enums::{CapsChangePolicy, Leaky, OnFatal, PausePolicy, StallAction, State};
pub use insight_types::InsightTypes;

use feed::Feed;
use gst::glib;
use gst::prelude::*;
use life::Life;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// An element that hands audio to a session, as the code that all such elements share
/// sees it.
// `IsA` is not transitive for a type that is not known.
pub(crate) trait SymblElement:
    IsA<gst::Element> + IsA<gst::Object> + IsA<glib::Object> + Send + Sync
{
    /// Returns the debug category of the element.
    fn category() -> gst::DebugCategory;

    /// Returns what outlives a buffer: the settings, the session and its status.
    fn life(&self) -> &Life;

    /// Returns what the streaming thread knows of its stream.
    fn feed(&self) -> &Feed;

    /// Returns the pad that takes the audio.
    fn audio_pad(&self) -> &gst::Pad;

    /// Returns `true` if the element itself holds audio back until the clock is there.
    fn waits_for_the_clock(&self) -> bool;
}

/// Locks a mutex that outlives a panic elsewhere.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Returns `true` if upstream is live, as far as it says.
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
        Leaky::static_type(),
        OnFatal::static_type(),
        PausePolicy::static_type(),
        StallAction::static_type(),
        State::static_type(),
    ] {
        type_.mark_as_plugin_api(gst::PluginAPIFlags::empty());
    }
}
