// SPDX-License-Identifier: MPL-2.0

//! A file that is played into an element and, behind a `tee`, into a `fakesink`.

use crate::common::pipeline::{BOUND, Pipeline, bounded, init, until};
use crate::common::service::Service;
use crate::tape::Tape;
use crate::track::check;
use gst::prelude::*;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use symbl_service::recognizer::scripted;

pub const SECOND: u64 = 1_000_000_000;

/// Length of the file in seconds.
pub const LENGTH: u64 = 20;

/// The element under test, as a branch behind the `tee`. `end` is what is compared with the
/// `fakesink`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Element {
    Sink,
    Transcriber,
}

/// The file that is played.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum File {
    Wav,
    Flac,
}

/// Writes words with pauses as a WAV file.
fn wav(folder: &Path) -> PathBuf {
    let path = folder.join("talk.wav");
    let spec = hound::WavSpec {
        channels: 1,
        sample_rate: 16_000,
        bits_per_sample: 16,
        sample_format: hound::SampleFormat::Int,
    };
    let mut writer = hound::WavWriter::create(&path, spec).expect("a file");
    for second in 0..LENGTH as u16 {
        let mut samples = scripted::speech(second * 3..second * 3 + 3, 16_000);
        samples.resize(16_000, 0);
        for sample in samples {
            writer.write_sample(sample).expect("room");
        }
    }
    writer.finalize().expect("room");
    path
}

/// Returns the file in this format.
fn file(folder: &Path, file: File) -> String {
    let wav = wav(folder);
    match file {
        File::Wav => format!("filesrc location={} ! wavparse", wav.display()),
        File::Flac => {
            let flac = folder.join("talk.flac");
            let mut encode = Pipeline::launch(&format!(
                "filesrc location={} ! wavparse ! flacenc ! filesink location={}",
                wav.display(),
                flac.display()
            ));
            encode.play();
            encode.wait_for_eos();
            format!("filesrc location={} ! flacparse", flac.display())
        }
    }
}

/// What came at a pad.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Seen {
    pub flush_starts: usize,
    pub flush_stops: usize,
    /// Rate, start, stop and base of each segment. Of equal ones that follow each other one
    /// counts: each of the two sinks sends a seek upstream, and the flush of the second may
    /// overtake the segment of the first.
    pub segments: Vec<String>,
    /// Ends since the last flush.
    pub ends: usize,
    pub segments_done: usize,
}

/// Watches the events of a pad.
fn watch(pad: &gst::Pad) -> Arc<Mutex<Seen>> {
    let seen = Arc::<Mutex<Seen>>::default();
    let kept = Arc::clone(&seen);
    let events = gst::PadProbeType::EVENT_DOWNSTREAM | gst::PadProbeType::EVENT_FLUSH;
    pad.add_probe(events, move |_, info| {
        let mut seen = kept.lock().unwrap();
        match info.event().map(|event| event.view()) {
            Some(gst::EventView::FlushStart(_)) => seen.flush_starts += 1,
            Some(gst::EventView::FlushStop(_)) => {
                seen.flush_stops += 1;
                // Of the two seeks, the second may overtake the end of a short rest, or not.
                seen.ends = 0;
            }
            Some(gst::EventView::Eos(_)) => seen.ends += 1,
            Some(gst::EventView::SegmentDone(_)) => seen.segments_done += 1,
            Some(gst::EventView::Segment(segment)) => {
                let segment = segment.segment().downcast_ref::<gst::ClockTime>();
                let segment = segment.expect("times");
                let line = format!(
                    "{} {:?}–{:?} base {:?}",
                    segment.rate(),
                    segment.start(),
                    segment.stop(),
                    segment.base()
                );
                if seen.segments.last() != Some(&line) {
                    seen.segments.push(line);
                }
            }
            _ => {}
        }
        gst::PadProbeReturn::Ok
    });
    seen
}

/// A pipeline with a file, a `fakesink` and the element beside it.
pub struct Player {
    pub pipeline: Pipeline,
    plain: Arc<Mutex<Seen>>,
    ours: Arc<Mutex<Seen>>,
    /// What came behind the text pad, if there is one.
    text: Option<Tape>,
    format: File,
    /// Seeks came without a wait for the one before.
    pub scrubbed: bool,
    _service: Service,
    _folder: tempfile::TempDir,
}

impl Player {
    /// Returns a pipeline that is prerolled in PAUSED.
    pub fn new(element: Element, format: File) -> Self {
        let service = Service::start();
        let folder = tempfile::tempdir().expect("a folder");
        init();
        let properties = format!("name=sink base-url={}", service.url());
        let branch = match element {
            Element::Sink => format!("symblsink {properties} sync=true"),
            Element::Transcriber => {
                format!("symbltranscriber {properties} ! fakesink name=end sync=true")
            }
        };
        let pipeline = Pipeline::launch(&format!(
            "{} ! tee name=t  t. ! queue ! fakesink name=plain sync=true  t. ! queue ! {branch}",
            file(folder.path(), format)
        ));
        let pad = |name: &str| {
            let element = pipeline.pipeline.by_name(name).expect("an element");
            element.static_pad("sink").expect("a pad")
        };
        let plain = watch(&pad("plain"));
        let ours = watch(&pad(match element {
            Element::Sink => "sink",
            Element::Transcriber => "end",
        }));
        let text = match element {
            Element::Sink => None,
            Element::Transcriber => Some(Tape::beside(&pad("end"))),
        };
        let mut player = Self {
            pipeline,
            plain,
            ours,
            text,
            format,
            scrubbed: false,
            _service: service,
            _folder: folder,
        };
        player.set(gst::State::Paused);
        player.wait_for_segment(0);
        player
    }

    /// Waits until the pipeline is in this state.
    pub fn reach(&mut self, state: gst::State) {
        let bound = gst::ClockTime::from_seconds(BOUND.as_secs());
        let (result, current, _) = self.pipeline.pipeline.state(bound);
        assert!(result.is_ok(), "{state:?}: {result:?}");
        assert_eq!(current, state);
    }

    pub fn set(&mut self, state: gst::State) {
        self.pipeline.set_state(state);
        self.reach(state);
    }

    /// Seeks as an application does: each sink sends the seek upstream.
    pub fn seek(&mut self, rate: f64, flags: gst::SeekFlags, start: u64) {
        let pipeline = self.pipeline.pipeline.clone();
        seek(pipeline.upcast_ref(), rate, flags, start, None);
    }

    /// Seeks from one sink only, so that there is one seek. Without a flush, a second one would
    /// cut the segment of the first short.
    pub fn seek_once(&mut self, flags: gst::SeekFlags, start: u64, stop: Option<u64>) {
        let plain = self.pipeline.pipeline.by_name("plain").expect("a sink");
        seek(&plain, 1.0, flags, start, stop);
    }

    /// Seeks with a flush, and waits until all sinks are there.
    pub fn flush_to(&mut self, rate: f64, start: u64) {
        let state = self.pipeline.pipeline.current_state();
        let flags = gst::SeekFlags::FLUSH | gst::SeekFlags::ACCURATE;
        self.seek(rate, flags, start);
        self.reach(state);
        self.wait_for_segment(start);
    }

    /// Waits until both sinks have the segment that starts here. `symblsink` has a state
    /// without one.
    fn wait_for_segment(&self, start: u64) {
        let start = format!(" {:?}–", Some(gst::ClockTime::from_nseconds(start)));
        for seen in [&self.plain, &self.ours] {
            until("the segment", || {
                let seen = seen.lock().unwrap();
                seen.segments
                    .last()
                    .is_some_and(|segment| segment.contains(&start))
            });
        }
    }

    /// Waits until the pipeline has played up to a position, in nanoseconds.
    pub fn play_to(&self, position: u64) {
        until("the position", || {
            let at = self.pipeline.pipeline.query_position::<gst::ClockTime>();
            at.is_some_and(|at| at.nseconds() >= position)
        });
    }

    /// Sets READY, and PAUSED again, in which another stream begins.
    pub fn restart(&mut self) {
        self.set(gst::State::Ready);
        if let Some(text) = &self.text {
            text.clear();
        }
        self.set(gst::State::Paused);
        self.wait_for_segment(0);
    }

    /// Plays to the end and compares what came to both sinks.
    pub fn finish(mut self, what: &str) -> Seen {
        self.pipeline.wait_for_eos();
        self.compare(what)
    }

    fn compare(mut self, what: &str) -> Seen {
        self.pipeline.collect();
        for message in &self.pipeline.messages {
            match message.view() {
                gst::MessageView::Error(error) => panic!("{what}: {}", error.error()),
                gst::MessageView::Warning(warning) => panic!("{what}: {}", warning.error()),
                _ => {}
            }
        }
        let state = |name: &str| {
            let element = self.pipeline.pipeline.by_name(name).expect("an element");
            element.current_state()
        };
        assert_eq!(state("sink"), state("plain"), "{what}");
        self.check_text(what);
        let mut plain = self.plain.lock().unwrap().clone();
        let mut ours = self.ours.lock().unwrap().clone();
        if self.scrubbed {
            // Which segments pass between flushes without a wait is chance.
            for seen in [&mut plain, &mut ours] {
                seen.segments.drain(..seen.segments.len() - 1);
            }
        }
        assert_eq!(ours, plain, "{what}");
        plain
    }

    /// Checks what came behind the text pad. Each word is at its place in the file, whatever
    /// the segment is.
    fn check_text(&self, what: &str) {
        let Some(text) = &self.text else {
            return;
        };
        let pad = check(&text.entries());
        assert!(!pad.words.is_empty(), "{what}: no words");
        for (word, at) in pad.said() {
            let number: u64 = word.trim_start_matches('w').parse().expect("a number");
            let right = number / 3 * SECOND + number % 3 * SECOND / 5;
            // A seek may leave the second half of a word. A packet that begins before its
            // segment is sent whole, and taken to begin with it.
            let packet = match self.format {
                File::Wav => 0,
                File::Flac => 4096 * SECOND / 16_000,
            };
            let half = SECOND / 10 + SECOND / 50 + packet;
            assert!(
                (right.saturating_sub(SECOND / 50)..=right + half).contains(&at),
                "{what}: {word} at {at}"
            );
        }
    }
}

fn seek(element: &gst::Element, rate: f64, flags: gst::SeekFlags, start: u64, stop: Option<u64>) {
    let start = gst::ClockTime::from_nseconds(start);
    let stop = stop.map(gst::ClockTime::from_nseconds);
    let set = gst::SeekType::Set;
    bounded("a seek", || {
        element.seek(rate, flags, set, start, set, stop)
    })
    .expect("a seek");
}

/// All elements, with each format that a scenario has to be played in.
pub const ALL: [(Element, File); 4] = [
    (Element::Sink, File::Wav),
    (Element::Sink, File::Flac),
    (Element::Transcriber, File::Wav),
    (Element::Transcriber, File::Flac),
];
