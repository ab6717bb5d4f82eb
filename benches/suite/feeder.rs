// SPDX-License-Identifier: MPL-2.0

//! Feeds all sinks from two threads, as a media server with a loop of its own does.
//!
//! Five hundred live pipelines have five hundred threads, which cost more than what
//! is measured. Here each thread wakes up every millisecond and pushes to the sinks
//! whose turn it is. The turns are spread over the duration of a buffer.

use super::Problem;
use super::bare;
use super::clock::{self, Stamp};
use super::stream::{Count, Event};
use gst::prelude::*;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::Sender;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

const THREADS: usize = 2;

const TURN: Duration = Duration::from_millis(1);

/// Number of buffers of 20 ms in a chunk. The streams start at different times, so
/// their chunks are not complete at the same time.
const SPREAD: usize = 5;

/// The threads that push.
pub struct Feeder {
    stop: Arc<AtomicBool>,
    threads: Vec<JoinHandle<()>>,
}

impl Feeder {
    /// Starts to push buffers of this size into these sinks, in real time. With
    /// `burst`, it pushes that many buffers at once, and then reports each sink as
    /// ready.
    pub fn start(
        sinks: &[gst::Element],
        bytes: usize,
        burst: Option<usize>,
        tell: &Sender<Event>,
        count: &Arc<Count>,
    ) -> Result<Self, Problem> {
        let pads: Result<Vec<_>, _> = sinks.iter().map(source).collect();
        let pads = pads?;
        let stop = Arc::new(AtomicBool::new(false));
        let threads = (0..THREADS).map(|thread| {
            let mine = pads.iter().skip(thread).step_by(THREADS).cloned().collect();
            let (stop, tell, count) = (Arc::clone(&stop), tell.clone(), Arc::clone(count));
            std::thread::spawn(move || feed(mine, bytes, burst, &stop, &tell, &count))
        });
        let threads = threads.collect();
        Ok(Self { stop, threads })
    }

    /// Ends the audio and waits for the threads.
    pub fn end(self) {
        self.stop.store(true, Ordering::Relaxed);
        for thread in self.threads {
            // A panic has been printed by its thread.
            let _ = thread.join();
        }
    }
}

/// Returns a pad that pushes into this sink and is as live as a microphone.
fn source(sink: &gst::Element) -> Result<gst::Pad, Problem> {
    let pad = gst::Pad::builder(gst::PadDirection::Src)
        .query_function(|pad, parent, query| match query.view_mut() {
            gst::QueryViewMut::Latency(latency) => {
                latency.set(true, gst::ClockTime::ZERO, gst::ClockTime::NONE);
                true
            }
            _ => gst::Pad::query_default(pad, parent, query),
        })
        .build();
    pad.set_active(true)?;
    pad.link(&sink.static_pad("sink").ok_or("no sink pad")?)?;
    let caps = gst::Caps::builder("audio/x-raw")
        .field("format", "S16LE")
        .field("layout", "interleaved")
        .field("rate", 16_000)
        .field("channels", 1)
        .build();
    pad.push_event(gst::event::StreamStart::new("bench"));
    pad.push_event(gst::event::Caps::new(&caps));
    let segment = gst::FormattedSegment::<gst::ClockTime>::new();
    pad.push_event(gst::event::Segment::new(&segment));
    Ok(pad)
}

fn feed(
    pads: Vec<gst::Pad>,
    bytes: usize,
    burst: Option<usize>,
    stop: &AtomicBool,
    tell: &Sender<Event>,
    count: &Count,
) {
    let mut random = fastrand::Rng::with_seed(5);
    let audio: Vec<u8> = std::iter::repeat_with(|| random.u8(..))
        .take(bytes)
        .collect();
    let duration = bare::duration(bytes);
    let push = |pad: &gst::Pad, number: u32| {
        let mut audio = audio.clone();
        let at = clock::now();
        Stamp { number, at }.write(&mut audio);
        let mut buffer = gst::Buffer::from_mut_slice(audio);
        if let Some(buffer) = buffer.get_mut() {
            buffer.set_pts(gst::ClockTime::from_nseconds(
                u64::try_from((duration * number).as_nanos()).unwrap_or(u64::MAX),
            ));
        }
        count.pushed.fetch_add(1, Ordering::Relaxed);
        pad.push(buffer).is_ok()
    };
    if let Some(burst) = burst {
        for pad in &pads {
            for number in 0..u32::try_from(burst).unwrap_or(u32::MAX) {
                push(pad, number);
            }
            let _ = tell.send(Event::Ready);
        }
        return;
    }
    let turns = (duration.as_nanos() / TURN.as_nanos()).max(1);
    let turns = usize::try_from(turns).unwrap_or(1);
    let begin = Instant::now();
    for number in 0.. {
        for turn in 0..turns {
            let due = begin + duration * number + TURN * u32::try_from(turn).unwrap_or(0);
            std::thread::sleep(due.saturating_duration_since(Instant::now()));
            if stop.load(Ordering::Relaxed) {
                // The sinks whose turn has come have one more buffer.
                for pad in &pads {
                    pad.push_event(gst::event::Eos::new());
                }
                return;
            }
            for (index, pad) in pads.iter().enumerate().skip(turn).step_by(turns) {
                // The sinks of one turn begin one buffer after the other.
                let late = u32::try_from(index / turns % SPREAD).unwrap_or(0);
                if let Some(number) = number.checked_sub(late) {
                    push(pad, number);
                }
            }
        }
    }
}
