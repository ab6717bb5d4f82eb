// SPDX-License-Identifier: MPL-2.0

//! Sends audio and results through a real `symblsink` step by step, so that callgrind
//! counts the same instructions in each run.
//!
//! ```text
//! symbl-instructions audio SECONDS      buffers of 20 ms, in step with their chunks
//! symbl-instructions live SECONDS       the same from a live source, whose chunks the streaming thread sends
//! symbl-instructions results SECONDS    the same as audio, and the results of each second
//! symbl-instructions paced SECONDS      the same as results, live and in real time
//! symbl-instructions text SECONDS       the same as paced, through a `symbltranscriber`
//! symbl-instructions flood SECONDS      the same buffers as fast as the sink takes them
//! symbl-instructions fakesink SECONDS   the same buffers into a fakesink
//! ```
//!
//! A buffer is pushed when the peer has the chunk before it, and a result is sent when
//! the one before it is on the bus. Nothing else waits for a clock but `paced` and
//! `text`, because a text pad goes on by the clock.
//! `tests/baseline.rs` defines what is counted and the baseline.

mod peer;

use gst::glib;
use gst::prelude::*;
use peer::Peer;
use std::error::Error;
use std::process::ExitCode;
use std::sync::mpsc::{self, Receiver};
use std::time::{Duration, Instant};

/// Maximum time of a step: valgrind is slow, and a machine may be busy.
pub const BOUND: Duration = Duration::from_secs(120);

/// Bytes in a buffer of 20 ms.
const BUFFER: usize = 640;
/// Number of buffers in a chunk of 100 ms.
const BUFFERS: u64 = 5;
/// Number of chunks in a second.
const CHUNKS: u64 = 10;
const CHUNK: Duration = Duration::from_millis(100);
const MS: u64 = 1_000_000;

type Done<T> = Result<T, Box<dyn Error>>;

fn main() -> ExitCode {
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("symbl-instructions: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run() -> Done<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [what, seconds] = arguments.as_slice() else {
        return Err(
            "give what to do: audio, live, results, paced, text, flood or fakesink; and for how \
             many seconds"
                .into(),
        );
    };
    let seconds: u64 = seconds.parse()?;
    gst::init()?;
    gstsymbl::plugin_register_static()?;
    if what == "fakesink" {
        let sink = gst::ElementFactory::make("fakesink").property("enable-last-sample", false);
        let stream = Stream::begin(&sink.property("async", false).build()?, false)?;
        (0..seconds * CHUNKS).try_for_each(|chunk| stream.push_chunk(chunk))?;
        stream.end();
        return Ok(());
    }
    let mut peer = Peer::start()?;
    let element = match what.as_str() {
        "text" => "symbltranscriber",
        _ => "symblsink",
    };
    let element = gst::ElementFactory::make(element).property("base-url", peer.base_url());
    let paced = matches!(what.as_str(), "paced" | "text");
    let live = paced || what == "live";
    let stream = match what.as_str() {
        "text" => Stream::begin(&element.build()?, live)?,
        _ => Stream::begin(&element.property("sync", false).build()?, live)?,
    };
    if what == "flood" {
        (0..seconds * CHUNKS).try_for_each(|chunk| stream.push_chunk(chunk))?;
        peer.wait_for_audio(seconds * CHUNKS * BUFFERS * BUFFER as u64)?;
        stream.end();
        return Ok(());
    }
    let begin = Instant::now();
    for second in 0..seconds {
        for chunk in 0..CHUNKS {
            if paced {
                let due = Duration::from_secs(second) + CHUNK * u32::try_from(chunk)?;
                std::thread::sleep(due.saturating_sub(begin.elapsed()));
            }
            stream.push_chunk(second * CHUNKS + chunk)?;
            peer.wait_for_audio(BUFFERS * BUFFER as u64)?;
        }
        if paced || what == "results" {
            for text in peer::said_in(second) {
                peer.say(text);
                stream.wait_for_message()?;
            }
        }
    }
    stream.end();
    Ok(())
}

/// A playing sink, and a pad in front of it.
struct Stream {
    pipeline: gst::Pipeline,
    pad: gst::Pad,
    /// Receives one item for each result on the bus.
    told: Receiver<()>,
}

impl Stream {
    fn begin(sink: &gst::Element, live: bool) -> Done<Self> {
        let pipeline = gst::Pipeline::new();
        pipeline.add(sink)?;
        if let Some(text) = sink.static_pad("src") {
            let end = gst::ElementFactory::make("fakesink").property("enable-last-sample", false);
            let end = end.property("async", false).build()?;
            pipeline.add(&end)?;
            text.link(&end.static_pad("sink").ok_or("a sink without a pad")?)?;
        }
        let pad = gst::Pad::builder(gst::PadDirection::Src)
            .query_function(move |pad, parent, query| match query.view_mut() {
                gst::QueryViewMut::Latency(latency) => {
                    latency.set(live, gst::ClockTime::ZERO, gst::ClockTime::NONE);
                    true
                }
                _ => gst::Pad::query_default(pad, parent, query),
            })
            .build();
        pad.set_active(true)?;
        pad.link(&sink.static_pad("sink").ok_or("a sink without a pad")?)?;
        let (tell, told) = mpsc::channel();
        let bus = pipeline.bus().ok_or("a pipeline without a bus")?;
        bus.set_sync_handler(move |_, message| {
            let kind = message.structure().map(|said| said.name().as_str());
            if let Some("symbl/transcript" | "symbl/message" | "symbl/insight") = kind {
                // Fails at the end, when the receiver is gone.
                let _ = tell.send(());
            }
            gst::BusSyncReply::Drop
        });
        pipeline.set_state(gst::State::Playing)?;
        pad.push_event(gst::event::StreamStart::new("instructions"));
        let caps: gst::Caps =
            "audio/x-raw,format=S16LE,layout=interleaved,channels=1,rate=16000".parse()?;
        pad.push_event(gst::event::Caps::new(&caps));
        let segment = gst::FormattedSegment::<gst::ClockTime>::new();
        pad.push_event(gst::event::Segment::new(&segment));
        Ok(Self {
            pipeline,
            pad,
            told,
        })
    }

    fn push_chunk(&self, chunk: u64) -> Done<()> {
        for buffer in 0..BUFFERS {
            let at = (chunk * BUFFERS + buffer) * 20 * MS;
            // Loud enough not to count as silence.
            let mut data = gst::Buffer::from_mut_slice([0x11_u8; BUFFER]);
            if let Some(data) = data.get_mut() {
                data.set_pts(gst::ClockTime::from_nseconds(at));
                data.set_duration(gst::ClockTime::from_mseconds(20));
            }
            self.pad.push(data)?;
        }
        Ok(())
    }

    fn wait_for_message(&self) -> Done<()> {
        self.told.recv_timeout(BOUND)?;
        Ok(())
    }

    fn end(self) {
        // Ends without a drain, which is not to be counted.
        if let Err(error) = self.pipeline.set_state(gst::State::Null) {
            glib::g_warning!("instructions", "{error}");
        }
    }
}
