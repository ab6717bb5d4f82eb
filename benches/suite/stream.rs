// SPDX-License-Identifier: MPL-2.0

//! A run of GStreamer: pipelines with the subject at their end.
//!
//! It does as little as possible besides, and the same for all subjects. Messages are
//! dropped where they are posted, so that no bus grows.

use super::clock::{self, Spread, Stamp};
use super::dialect::{BYTES_PER_SECOND, SAID_AT};
use super::feeder::Feeder;
use super::run::{Audio, Done, Run, Word};
use super::subject::Subject;
use super::text_pad::{Delays, TextPad};
use super::{Problem, bare, child};
use gst::prelude::*;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

/// An event in a run.
pub enum Event {
    /// A sink has become ready.
    Ready,
    /// A sink is no longer ready.
    Unready,
    /// A pipeline has ended.
    Eos,
    Error(String),
    /// A line from the parent, or its end.
    Told(Option<String>),
}

/// The counters of a run.
#[derive(Default)]
pub struct Count {
    pub pushed: AtomicU64,
    gaps: AtomicU64,
    lost: AtomicU64,
    results: Mutex<Vec<u64>>,
}

pub fn play(run: &Run) -> Result<(), Problem> {
    run.subject.load()?;
    let (tell, events) = channel();
    let count = Arc::new(Count::default());
    let told = tell.clone();
    child::listen(move |line| {
        // Fails at the end, when the receiver is gone.
        let _ = told.send(Event::Told(line));
    });
    let mut pipelines = Pipelines(Vec::new());
    for _ in 0..run.sinks {
        pipelines.0.push(pipeline(run, &tell, &count)?);
    }
    let Pipelines(pipelines) = &pipelines;
    let begin = Instant::now();
    let before = bare::cpu();
    for pipeline in pipelines {
        pipeline.set_state(gst::State::Playing)?;
    }
    let feeder = match run.audio {
        Audio::Fed { bytes, burst } => {
            let sinks: Result<Vec<_>, _> = pipelines.iter().map(subject).collect();
            if !run.subject.is_ours() {
                (0..run.sinks).try_for_each(|_| tell.send(Event::Ready))?;
            }
            Some(Feeder::start(&sinks?, bytes, burst, &tell, &count)?)
        }
        _ => None,
    };
    let delays = Arc::new(Delays::default());
    let pads = match run.subject {
        Subject::Symbltranscriber => pipelines
            .iter()
            .map(|pipeline| TextPad::watch(&subject(pipeline)?, &delays))
            .collect::<Result<Vec<_>, _>>()?,
        _ => Vec::new(),
    };
    wait(run, pipelines, &pads, feeder, &events)?;
    pads.iter().for_each(TextPad::end);
    let mut done = Done {
        wall: begin.elapsed().as_secs_f64(),
        cpu: bare::cpu() - before,
        ..Done::default()
    };
    if run.subject.is_ours() {
        for pipeline in pipelines {
            let stats: gst::Structure = subject(pipeline)?.property("stats");
            done.dropped += stats.get::<u64>("audio-dropped")? as f64 / 1e9;
        }
    }
    let stop = Instant::now();
    for pipeline in pipelines {
        pipeline.set_state(gst::State::Null)?;
    }
    done.null = stop.elapsed().as_secs_f64();
    done.pushed = count.pushed.load(Ordering::Relaxed);
    done.gaps = count.gaps.load(Ordering::Relaxed);
    done.lost = count.lost.load(Ordering::Relaxed);
    (done.behind, done.finals) = (delays.behind(), delays.finals());
    let results = count.results.lock();
    done.results = Spread::of(&mut results.unwrap_or_else(PoisonError::into_inner));
    child::say(&Word::Done(done))
}

/// The pipelines. GStreamer requires them to be in NULL when they are dropped.
struct Pipelines(Vec<gst::Pipeline>);

impl Drop for Pipelines {
    fn drop(&mut self) {
        for pipeline in &self.0 {
            // A pipeline that fails here is dropped anyway.
            let _ = pipeline.set_state(gst::State::Null);
        }
    }
}

/// Waits until all pipelines have ended, or until the parent ends the run.
fn wait(
    run: &Run,
    pipelines: &[gst::Pipeline],
    pads: &[TextPad],
    mut feeder: Option<Feeder>,
    events: &Receiver<Event>,
) -> Result<(), Problem> {
    let (mut ready, mut ended) = (0, 0);
    for event in events {
        match event {
            Event::Ready => {
                ready += 1;
                if ready == run.sinks {
                    child::say(&Word::Ready { at: clock::now() })?;
                }
            }
            Event::Unready => ready -= 1,
            Event::Eos => {
                ended += 1;
                if ended == run.sinks {
                    return Ok(());
                }
            }
            Event::Error(error) => return Err(error.into()),
            Event::Told(Some(told)) if told == "settled" => {
                pads.iter().try_for_each(TextPad::begin)?;
            }
            Event::Told(Some(_)) => match feeder.take() {
                Some(feeder) => feeder.end(),
                None => {
                    for pipeline in pipelines {
                        pipeline.send_event(gst::event::Eos::new());
                    }
                }
            },
            Event::Told(None) => return Ok(()),
        }
    }
    Ok(())
}

fn subject(pipeline: &gst::Pipeline) -> Result<gst::Element, Problem> {
    let subject = pipeline.by_name("subject");
    subject.ok_or_else(|| "a pipeline without its subject".into())
}

fn pipeline(run: &Run, tell: &Sender<Event>, count: &Arc<Count>) -> Result<gst::Pipeline, Problem> {
    let element = run.subject.element(run.server, &run.properties);
    let line = match &run.audio {
        Audio::File { path, bytes, paced } => {
            let milliseconds = bytes * 1000 / BYTES_PER_SECOND;
            let cut = match *bytes {
                // wavparse makes buffers of this size by itself.
                4096 => String::new(),
                _ => format!("! audiobuffersplit output-buffer-duration={milliseconds}/1000"),
            };
            let pace = if *paced { "! identity sync=true" } else { "" };
            format!(
                "filesrc location=\"{}\" ! wavparse {cut} {pace} ! {element}",
                path.display()
            )
        }
        Audio::Live { bytes } => format!(
            "audiotestsrc is-live=true wave=square samplesperbuffer={} \
             ! audio/x-raw,format=S16LE,rate=16000,channels=1,layout=interleaved ! {element}",
            bytes / 2
        ),
        Audio::Fed { .. } => element,
    };
    let made = gst::parse::launch_full(&line, None, gst::ParseFlags::PLACE_IN_BIN);
    let made = made.map_err(|error| format!("{line}: {error}"))?;
    let pipeline = match made.downcast::<gst::Pipeline>() {
        Ok(pipeline) => pipeline,
        Err(element) => {
            let pipeline = gst::Pipeline::new();
            pipeline.add(&element)?;
            pipeline
        }
    };
    watch(&pipeline, run.subject, tell, count)?;
    let pad = subject(&pipeline)?
        .static_pad("sink")
        .ok_or("no sink pad")?;
    if matches!(run.audio, Audio::Live { .. }) {
        stamp(&pad, count);
    }
    if !run.subject.is_ours() && !matches!(run.audio, Audio::Fed { .. }) {
        // Another subject has no state. It counts as ready when it gets audio.
        let tell = tell.clone();
        pad.add_probe(gst::PadProbeType::BUFFER, move |_, _| {
            let _ = tell.send(Event::Ready);
            gst::PadProbeReturn::Remove
        });
    }
    Ok(pipeline)
}

/// Writes number and time over the end of each buffer.
fn stamp(pad: &gst::Pad, count: &Arc<Count>) {
    let (count, next) = (Arc::clone(count), AtomicUsize::new(0));
    pad.add_probe(gst::PadProbeType::BUFFER, move |_, info| {
        if let Some(gst::PadProbeData::Buffer(buffer)) = &mut info.data
            && let Ok(mut bytes) = buffer.make_mut().map_writable()
        {
            let number = next.fetch_add(1, Ordering::Relaxed);
            let number = u32::try_from(number).unwrap_or(u32::MAX);
            let at = clock::now();
            Stamp { number, at }.write(&mut bytes);
            count.pushed.fetch_add(1, Ordering::Relaxed);
        }
        gst::PadProbeReturn::Ok
    });
}

/// Handles messages where they are posted.
fn watch(
    pipeline: &gst::Pipeline,
    subject: Subject,
    tell: &Sender<Event>,
    count: &Arc<Count>,
) -> Result<(), Problem> {
    let (tell, count) = (tell.clone(), Arc::clone(count));
    let bus = pipeline.bus().ok_or("a pipeline without a bus")?;
    bus.set_sync_handler(move |_, message| {
        let event = match message.view() {
            gst::MessageView::Eos(_) => Some(Event::Eos),
            gst::MessageView::Error(error) => Some(Event::Error(format!(
                "{}: {} {:?}",
                subject.name(),
                error.error(),
                error.debug()
            ))),
            gst::MessageView::Element(_) => message.structure().and_then(|said| hear(said, &count)),
            _ => None,
        };
        if let Some(event) = event {
            // Fails at the end, when the receiver is gone.
            let _ = tell.send(event);
        }
        gst::BusSyncReply::Drop
    });
    Ok(())
}

/// Handles a message of symblsink.
fn hear(said: &gst::StructureRef, count: &Count) -> Option<Event> {
    match said.name().as_str() {
        "symbl/transcript" => {
            let text = said.get::<&str>("text").ok()?;
            let at: u64 = text.strip_prefix(SAID_AT)?.parse().ok()?;
            let results = count.results.lock();
            let mut results = results.unwrap_or_else(PoisonError::into_inner);
            results.push(clock::now().saturating_sub(at));
            None
        }
        "symbl/state" => {
            let state = said.get::<&str>("state").ok()?;
            let before = said.get::<&str>("previous").ok()?;
            match (before, state) {
                (_, "listening") => Some(Event::Ready),
                ("listening", "reconnecting") => {
                    count.lost.fetch_add(1, Ordering::Relaxed);
                    Some(Event::Unready)
                }
                _ => None,
            }
        }
        "symbl/gap" => {
            count.gaps.fetch_add(1, Ordering::Relaxed);
            None
        }
        _ => None,
    }
}
