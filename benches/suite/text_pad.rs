// SPDX-License-Identifier: MPL-2.0

//! Watches the text pads of a run: how far each is behind its promise, and how long a final
//! takes to it.
//!
//! A pad is furthest behind when it is just about to move, so that it is looked at then, and
//! once more at the end: a pad that does not move at all would not be seen otherwise.

use super::Problem;
use super::clock::{self, Spread};
use super::dialect::SAID_AT;
use gst::prelude::*;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

/// How far a pad promises to be ahead of what downstream presents, in nanoseconds.
const TICK: u64 = 100_000_000;

/// The delays of all pads, in nanoseconds.
#[derive(Default)]
pub struct Delays {
    behind: Mutex<Vec<u64>>,
    finals: Mutex<Vec<u64>>,
}

impl Delays {
    pub fn behind(&self) -> Spread {
        Spread::of(&mut self.behind.lock().unwrap_or_else(PoisonError::into_inner))
    }

    pub fn finals(&self) -> Spread {
        Spread::of(&mut self.finals.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

fn note(delays: &Mutex<Vec<u64>>, delay: u64) {
    let mut delays = delays.lock().unwrap_or_else(PoisonError::into_inner);
    delays.push(delay);
}

/// A text pad that is watched.
#[derive(Clone)]
pub struct TextPad {
    element: gst::Element,
    pad: gst::Pad,
    /// The running time up to which it is covered.
    covered: Arc<AtomicU64>,
    /// The latency of the pad, in nanoseconds; 0 until it is measured.
    latency: Arc<AtomicU64>,
    delays: Arc<Delays>,
}

impl TextPad {
    /// Watches the text pad of this element.
    pub fn watch(element: &gst::Element, delays: &Arc<Delays>) -> Result<Self, Problem> {
        let pad = element.static_pad("src").ok_or("no text pad")?;
        let watched = Self {
            element: element.clone(),
            pad: pad.clone(),
            covered: Arc::default(),
            latency: Arc::default(),
            delays: Arc::clone(delays),
        };
        let (kinds, weak) = (
            gst::PadProbeType::BUFFER | gst::PadProbeType::EVENT_DOWNSTREAM,
            element.downgrade(),
        );
        let (covered, latency) = (Arc::clone(&watched.covered), Arc::clone(&watched.latency));
        let delays = Arc::clone(delays);
        pad.add_probe(kinds, move |_, info| {
            let times = match &info.data {
                Some(gst::PadProbeData::Buffer(buffer)) => {
                    hear(buffer, &delays);
                    buffer.pts().map(|start| (start, buffer.duration()))
                }
                Some(gst::PadProbeData::Event(event)) => match event.view() {
                    gst::EventView::Gap(gap) => Some(gap.get()),
                    _ => None,
                },
                _ => None,
            };
            if let (Some((start, duration)), Some(element)) = (times, weak.upgrade()) {
                look(&element, &covered, &latency, &delays);
                // The segment begins at 0, so that timestamps are running times.
                let end = start + duration.unwrap_or_default();
                covered.fetch_max(end.nseconds(), Ordering::Relaxed);
            }
            gst::PadProbeReturn::Ok
        });
        Ok(watched)
    }

    /// Measures from now on.
    pub fn begin(&self) -> Result<(), Problem> {
        let mut query = gst::query::Latency::new();
        if !self.pad.query(&mut query) {
            return Err("a text pad does not tell its latency".into());
        }
        let (live, latency, _) = query.result();
        if !live {
            return Err("a text pad says that it is not live".into());
        }
        self.latency.store(latency.nseconds(), Ordering::Relaxed);
        Ok(())
    }

    /// Looks at the pad for the last time.
    pub fn end(&self) {
        look(&self.element, &self.covered, &self.latency, &self.delays);
    }
}

/// Notes how far a pad is behind.
fn look(element: &gst::Element, covered: &AtomicU64, latency: &AtomicU64, delays: &Delays) {
    let latency = latency.load(Ordering::Relaxed);
    let now = element.current_running_time().filter(|_| latency > 0);
    if let Some(now) = now {
        let promised = (now.nseconds() + TICK).saturating_sub(latency);
        let behind = promised.saturating_sub(covered.load(Ordering::Relaxed));
        note(&delays.behind, behind);
    }
}

/// Notes how long a final has taken.
fn hear(buffer: &gst::Buffer, delays: &Delays) {
    let Ok(text) = buffer.map_readable() else {
        return;
    };
    let text = std::str::from_utf8(&text).unwrap_or_default();
    let at = text
        .strip_prefix(SAID_AT)
        .and_then(|at| at.parse::<u64>().ok());
    if let Some(at) = at {
        note(&delays.finals, clock::now().saturating_sub(at));
    }
}
