// SPDX-License-Identifier: MPL-2.0

//! Pictures of live recipes go on in time when the service does not.

use super::live::latency_of;
use crate::common::peer::{Peer, Script};
use crate::common::pipeline::{Pipeline, until};
use crate::common::relay::Relay;
use crate::elements::have;
use crate::narrow::narrow;
use crate::pictures::Pictures;
use crate::prompter::{Prompter, Says};
use crate::recipes::closed::ROLL_UP;
use crate::source::Texts;
use crate::talk::Talk;
use gst::prelude::*;

/// How long the pictures and the sound are, in milliseconds.
const LENGTH: u64 = 8000;

/// Pictures in that time.
const PICTURES: usize = 240;

/// The property `latency`, in milliseconds.
const LATENCY: u64 = 1000;

/// What a picture may be later than the pipeline says, in milliseconds.
const MORE: u64 = 100;

/// What happens to the service.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Outage {
    /// Nothing listens.
    Dead,
    /// It goes away when its first sentence is on the pad.
    Killed,
    /// Its connection is silent from then on, and stays open.
    Frozen,
    /// It takes no token.
    Refuses,
    /// The line takes 20 kbit/s of the 256 that the sound has.
    Narrow,
}

const OUTAGES: [Outage; 5] = [
    Outage::Dead,
    Outage::Killed,
    Outage::Frozen,
    Outage::Refuses,
    Outage::Narrow,
];

/// What stands between the text, the pictures and the sink.
#[derive(Debug, Clone, Copy)]
enum Way {
    Burned,
    Closed,
    Bitmaps,
}

const WAYS: [Way; 3] = [Way::Burned, Way::Closed, Way::Bitmaps];

impl Way {
    /// Returns the elements from `pictures` and `text` to those in front of the sink, with the
    /// one that joins them named `merge`.
    fn line(self, pictures: &str, text: &str) -> String {
        match self {
            Self::Burned => format!(
                "{pictures} ! merge.video_sink {text} ! merge.text_sink \
                 textoverlay name=merge shaded-background=true"
            ),
            Self::Closed => format!(
                "{pictures} ! merge.sink {text} ! {ROLL_UP} \
                 ! closedcaption/x-cea-708,format=cc_data,framerate=30/1 ! queue ! merge.caption \
                 cccombiner name=merge"
            ),
            // The muxer's buffers are no pictures; those that a receiver takes out of them are.
            Self::Bitmaps => format!(
                "{pictures} ! x264enc tune=zerolatency speed-preset=ultrafast ! h264parse \
                 ! queue max-size-time=3000000000 ! merge. \
                 {text} ! textrender ! video/x-raw,width=720,height=576 ! videoconvert \
                 ! video/x-raw,format=AYUV ! dvbsubenc ! queue ! merge. \
                 mpegtsmux name=merge ! tsdemux ! h264parse"
            ),
        }
    }
}

/// The service of a run, and what is in front of it.
struct Service {
    url: String,
    prompter: Option<Prompter>,
    relay: Option<Relay>,
    _peer: Option<Peer>,
}

impl Service {
    fn start(outage: Outage) -> Self {
        let mut service = Self {
            url: String::new(),
            prompter: None,
            relay: None,
            _peer: None,
        };
        match outage {
            Outage::Dead => {
                let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a free port");
                let address = listener.local_addr().expect("an address");
                service.url = format!("http://{address}");
            }
            Outage::Refuses => {
                let peer = Peer::start(Script::http(401, &[], "{}"));
                service.url = peer.base_url();
                service._peer = Some(peer);
            }
            Outage::Killed | Outage::Frozen | Outage::Narrow => {
                let prompter = Prompter::start(&talk(), Says::default());
                if outage == Outage::Narrow {
                    service.url = narrow(&prompter.base_url(), 20);
                } else {
                    let relay = Relay::to(&prompter.base_url());
                    service.url = relay.base_url();
                    service.relay = Some(relay);
                }
                service.prompter = Some(prompter);
            }
        }
        service
    }

    /// Brings the outage about, if it does not come by itself.
    fn strike(&mut self, outage: Outage, texts: &Texts, out: &gst::Element) {
        if !matches!(outage, Outage::Killed | Outage::Frozen) {
            return;
        }
        let first = talk().sentences[0].len();
        until("the first sentence", || {
            texts.all().len() >= first || is_past(out, LENGTH)
        });
        let relay = self.relay.take().expect("a relay");
        if outage == Outage::Frozen {
            relay.hold();
            self.relay = Some(relay);
        }
    }
}

/// Returns two sentences, of which the second one ends after the outage.
fn talk() -> Talk {
    Talk::paced(
        &["You have entered", "Thank you for calling goodbye"],
        1000,
        300,
        2000,
    )
}

/// What a run has shown.
#[derive(Debug)]
#[allow(dead_code)] // `way` is there for failures
struct Shown {
    way: Way,
    outage: Outage,
    pictures: usize,
    /// How late the pictures came at most, without the latency that the pipeline says.
    late: u64,
    /// Pictures of a source without text beside it, and how late they came at most.
    plain: (usize, u64),
    texts: usize,
    heard: u64,
    warnings: usize,
}

/// Returns how late the last one of these pictures came, in milliseconds.
fn latest(pictures: &Pictures) -> u64 {
    let late = pictures
        .all()
        .into_iter()
        .filter_map(|picture| picture.late);
    late.max().unwrap_or_default()
}

/// Returns `true` if the pipeline of an element has played for this long, in milliseconds.
fn is_past(element: &gst::Element, bound: u64) -> bool {
    element.current_running_time() > Some(gst::ClockTime::from_mseconds(bound))
}

fn run(way: Way, outage: Outage) -> Shown {
    let mut service = Service::start(outage);
    let camera = format!(
        "videotestsrc is-live=true pattern=ball num-buffers={PICTURES} \
         ! video/x-raw,format=I420,width=320,height=240,framerate=30/1"
    );
    let pictures =
        format!("{camera} ! queue max-size-time=3000000000 max-size-bytes=0 max-size-buffers=0");
    let text = format!(
        "audiotestsrc is-live=true wave=silence samplesperbuffer=320 num-buffers={} \
         ! audio/x-raw,format=S16LE,rate=16000,channels=1 \
         ! symbltranscriber name=text base-url={} latency={LATENCY} on-fatal=warning",
        LENGTH / 20,
        service.url
    );
    let mut pipeline = Pipeline::launch(&format!(
        "{camera} ! fakesink name=reference sync=false async=false {} ! fakesink name=out sync=true",
        way.line(&pictures, &text)
    ));
    let (shown, plain) = (
        Pictures::at(&pipeline, "out"),
        Pictures::at(&pipeline, "reference"),
    );
    let texts = Texts::of(&pipeline);
    pipeline.play();
    let out = pipeline.pipeline.by_name("out").expect("the sink");
    until("a picture", || shown.count() > 0 || is_past(&out, LENGTH));
    let end = out.static_pad("sink").and_then(|pad| pad.peer());
    // Without a picture, the end of the line may not be there yet.
    let end = end.filter(|_| shown.count() > 0);
    let latency = end.map_or(LATENCY, |end| latency_of(&end));
    service.strike(outage, &texts, &out);
    until("the last picture", || plain.count() == PICTURES);
    // Behind this, every picture that still comes is too late.
    until("the pictures", || {
        shown.count() == PICTURES || is_past(&out, LENGTH + latency + 3000)
    });
    let prompter = service.prompter.as_ref();
    let heard = prompter.map_or(0, Prompter::heard);
    pipeline.collect();
    let is_warning = |message: &&gst::Message| message.type_() == gst::MessageType::Warning;
    Shown {
        way,
        outage,
        pictures: shown.count(),
        late: latest(&shown).saturating_sub(latency),
        plain: (plain.count(), latest(&plain)),
        texts: texts.all().len(),
        heard,
        warnings: pipeline.messages.iter().filter(is_warning).count(),
    }
}

#[test]
fn pictures_go_on_in_time_through_outages() {
    let elements = [
        "textoverlay",
        "tttocea608",
        "ccconverter",
        "cccombiner",
        "textrender",
        "dvbsubenc",
        "x264enc",
        "mpegtsmux",
        "tsdemux",
    ];
    if !have(&elements) {
        return;
    }
    let ways = WAYS
        .iter()
        .flat_map(|way| OUTAGES.map(|outage| (*way, outage)));
    let runs: Vec<_> = ways
        .map(|(way, outage)| std::thread::spawn(move || run(way, outage)))
        .collect();
    let ran: Vec<Shown> = runs
        .into_iter()
        .map(|run| run.join().expect("a run"))
        .collect();
    for shown in &ran {
        println!("{shown:?}");
    }
    // What a busy machine does to pictures that wait for nothing.
    let reference = ran.iter().map(|shown| shown.plain.1).max().expect("runs");
    for shown in &ran {
        assert!(shown.pictures * 100 >= shown.plain.0 * 99, "{shown:?}");
        assert!(
            shown.late <= MORE + 2 * reference,
            "{reference} ms: {shown:?}"
        );
        assert_outage(shown);
    }
}

/// Asserts that the outage was there.
fn assert_outage(shown: &Shown) {
    let sentence = talk().sentences[0].len();
    let expected = match shown.outage {
        Outage::Dead => shown.texts == 0 && shown.warnings > 0,
        Outage::Refuses => shown.texts == 0 && shown.warnings == 1,
        Outage::Killed | Outage::Frozen => shown.texts == sentence,
        Outage::Narrow => shown.heard < LENGTH / 4 && shown.heard > 0,
    };
    assert!(expected, "{shown:?}");
}

#[test]
fn a_refused_token_is_an_error_unless_it_shall_be_a_warning() {
    if !have(&["textoverlay"]) {
        return;
    }
    let peer = Peer::start(Script::http(401, &[], "{}"));
    let mut pipeline = Pipeline::launch(&format!(
        "videotestsrc is-live=true ! merge.video_sink \
         audiotestsrc is-live=true wave=silence ! audio/x-raw,rate=16000,channels=1 \
         ! symbltranscriber name=text base-url={} ! merge.text_sink \
         textoverlay name=merge ! fakesink sync=true",
        peer.base_url()
    ));
    pipeline.play();
    let error = pipeline.wait_for("an error", |message| {
        message.type_() == gst::MessageType::Error
    });
    let source = error.src().expect("a source");
    assert_eq!(source.name(), "text");
}
