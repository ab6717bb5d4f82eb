// SPDX-License-Identifier: MPL-2.0

//! Closed captions, CEA-608 and CEA-708, in the pictures of H.264.

use super::{folder, run};
use crate::common::pipeline::Pipeline;
use crate::elements::have;
use crate::lines::{rolled, whole, words};
use crate::read::{When, screens};
use crate::source::Source;
use crate::talk::{PROMPTS, Talk, Timed};
use std::path::{Path, PathBuf};

/// A word may be whole on the screen this much later than its start: the letters of two words
/// at two a frame, and the 0.2 s between two looks of the decoder.
pub const WHOLE: u64 = 500;

/// How text gets into a file.
pub struct Way<'a> {
    /// The elements that make captions of text.
    pub captions: &'a str,
    /// As in caps.
    pub framerate: &'a str,
    /// Further properties of `x264enc`.
    pub encoder: &'a str,
    /// The elements from the encoded pictures to the end, without the file's name.
    pub output: &'a str,
}

pub const ROLL_UP: &str = "tttocea608 mode=roll-up2 ! closedcaption/x-cea-608,format=raw,framerate=30/1 \
                       ! ccconverter";
const TS: &str = "mpegtsmux ! filesink location=";

impl Default for Way<'_> {
    fn default() -> Self {
        Self {
            captions: ROLL_UP,
            framerate: "30/1",
            encoder: "",
            output: TS,
        }
    }
}

impl Way<'_> {
    /// Writes the text of a source to a file. Returns the pipeline, which has ended.
    pub fn write(&self, source: &Source, file: &Path) -> Pipeline {
        let Self {
            captions,
            framerate,
            encoder,
            output,
        } = self;
        let frames = frames(framerate, source.duration);
        let captions = captions.replace("30/1", framerate);
        run(source, |text| {
            format!(
                "videotestsrc num-buffers={frames} \
                 ! video/x-raw,format=I420,width=320,height=240,framerate={framerate} ! queue ! c. \
                 {text} ! {captions} \
                 ! closedcaption/x-cea-708,format=cc_data,framerate={framerate} ! queue ! c.caption \
                 cccombiner name=c ! x264enc speed-preset=ultrafast {encoder} ! h264parse \
                 ! {output}{}",
                file.display()
            )
        })
    }
}

/// Returns how many frames there are in `duration` ms.
fn frames(framerate: &str, duration: u64) -> u64 {
    let (numerator, denominator) = framerate.split_once('/').expect("a fraction");
    let number = |text: &str| text.parse::<u64>().expect("a number");
    duration * number(numerator) / number(denominator) / 1000
}

pub fn have_all(further: &[&str]) -> bool {
    let elements = [
        "tttocea608",
        "ccconverter",
        "cccombiner",
        "x264enc",
        "h264parse",
    ];
    have(&[&elements, further].concat())
}

/// Asserts that the decoder reads these words, in order, in lines of at most 32 characters.
/// Returns the screens and the lines.
pub fn assert_words(file: &Path, expected: &[String]) -> (Vec<Timed>, Vec<Timed>) {
    let screens = screens(file, When::EachChange);
    let lines = rolled(&screens);
    assert_eq!(words(&lines), expected, "{lines:#?}");
    for line in &lines {
        assert!(line.text.chars().count() <= 32, "{line:?}");
    }
    (screens, lines)
}

/// Asserts that the decoder reads each word, in order, each whole in time, and that each
/// sentence begins a new line of at most 32 characters.
pub fn assert_read(file: &Path, talk: &Talk) {
    let (screens, lines) = assert_words(file, &talk.texts());
    for sentence in &talk.sentences {
        let first = &sentence[0].text;
        let begins = lines
            .iter()
            .any(|line| line.text.split(' ').next() == Some(first));
        assert!(begins, "{first} begins no line: {lines:#?}");
    }
    for (said, (word, at)) in talk.words().iter().zip(whole(&screens)) {
        assert_eq!(said.text, word);
        let late = at.checked_sub(said.start);
        assert!(
            late.is_some_and(|late| late <= WHOLE),
            "{word}: said at {} ms, whole at {at} ms",
            said.start
        );
    }
}

#[test]
fn roll_up_captions_of_a_transport_stream_have_every_word_in_time() {
    if !have_all(&["mpegtsmux"]) {
        return;
    }
    let file = folder("roll-up").join("captions.ts");
    let talk = Talk::of(&PROMPTS);
    let way = Way {
        encoder: "tune=zerolatency",
        ..Way::default()
    };
    way.write(&Source::words(&talk), &file);
    assert_read(&file, &talk);

    // Complete screens lack the last line, which nothing erases.
    let last = talk.sentences.last().expect("sentences");
    let complete = screens(&file, When::Complete);
    let mut read: Vec<String> = Vec::new();
    for screen in &complete {
        let bottom = screen.text.lines().last().unwrap_or_default();
        read.extend(bottom.split_whitespace().map(str::to_owned));
    }
    let texts = talk.texts();
    assert_eq!(read, texts[..texts.len() - last.len()], "{complete:#?}");
}

#[test]
fn roll_up_captions_are_the_same_at_any_frame_rate() {
    if !have_all(&["mpegtsmux"]) {
        return;
    }
    let talk = Talk::of(&PROMPTS[..3]);
    for framerate in ["25/1", "50/1", "30000/1001", "60000/1001"] {
        let file = folder("frame-rate").join(format!("{}.ts", framerate.replace('/', "-")));
        let way = Way {
            framerate,
            encoder: "tune=zerolatency",
            ..Way::default()
        };
        way.write(&Source::words(&talk), &file);
        assert_read(&file, &talk);
    }
}

/// Reads the half that is CEA-608, because ffmpeg knows no CEA-708.
#[test]
fn captions_for_both_decoders_have_every_word() {
    if !have_all(&["tttocea708", "mpegtsmux"]) {
        return;
    }
    let file = folder("both").join("captions.ts");
    let talk = Talk::of(&PROMPTS[..3]);
    let way = Way {
        captions: "tttocea708 mode=roll-up service-number=1 cea608-channel=1",
        encoder: "tune=zerolatency",
        ..Way::default()
    };
    way.write(&Source::words(&talk), &file);
    assert_words(&file, &talk.texts());
}

/// Checks no times: a pop-on caption comes later than its words, because it is loaded first.
#[test]
fn pop_on_captions_have_every_word_on_whole_screens() {
    if !have_all(&["textwrap", "mp4mux"]) {
        return;
    }
    let file = folder("pop-on").join("captions.mp4");
    let talk = Talk::of(&PROMPTS);
    let way = Way {
        captions: "textwrap columns=32 lines=2 accumulate-time=3000000000 \
                   ! tttocea608 mode=pop-on \
                   ! closedcaption/x-cea-608,format=raw,framerate=30/1 ! ccconverter",
        encoder: "tune=zerolatency",
        output: "mp4mux ! filesink location=",
        ..Way::default()
    };
    way.write(&Source::words(&talk), &file);
    let screens = screens(&file, When::EachChange);
    let mut read: Vec<String> = Vec::new();
    let mut before = String::new();
    for screen in screens {
        if screen.text != before {
            read.extend(screen.text.split_whitespace().map(str::to_owned));
        }
        before = screen.text;
    }
    assert_eq!(read, talk.texts());
}

#[test]
fn captions_pass_reordered_pictures_and_other_containers() {
    if !have_all(&["matroskamux", "flvmux", "mp4mux"]) {
        return;
    }
    let roll_up3 = ROLL_UP.replace("roll-up2", "roll-up3");
    let talk = Talk::of(&PROMPTS);
    let ways = [
        ("captions.mkv", "bframes=2 b-adapt=false", "matroskamux"),
        ("captions.flv", "bframes=2 b-adapt=false", "flvmux"),
        ("captions.mp4", "bframes=2 b-adapt=false", "mp4mux"),
        ("live.flv", "tune=zerolatency", "flvmux streamable=true"),
    ];
    for (name, encoder, mux) in ways {
        let file = folder("containers").join(name);
        let way = Way {
            captions: &roll_up3,
            encoder,
            output: &format!("{mux} ! filesink location="),
            ..Way::default()
        };
        way.write(&Source::words(&talk), &file);
        assert_read(&file, &talk);
    }
}

#[test]
fn captions_pass_the_segments_of_hls() {
    if !have_all(&["hlssink2"]) {
        return;
    }
    let folder = folder("hls");
    let talk = Talk::of(&PROMPTS[..3]);
    let segments = folder.join("segment%05d.ts");
    let output = format!(
        "hlssink2 target-duration=4 max-files=0 playlist-length=0 location={} playlist-location=",
        segments.display()
    );
    let way = Way {
        encoder: "tune=zerolatency key-int-max=30",
        output: &output,
        ..Way::default()
    };
    way.write(&Source::words(&talk), &folder.join("list.m3u8"));

    let whole: PathBuf = folder.join("whole.ts");
    let list = std::fs::read_to_string(folder.join("list.m3u8")).expect("a playlist");
    let mut bytes = Vec::new();
    for segment in list.lines().filter(|line| line.ends_with(".ts")) {
        let name = Path::new(segment).file_name().expect("a name");
        bytes.extend(std::fs::read(folder.join(name)).expect("a segment"));
    }
    std::fs::write(&whole, bytes).expect("a file");
    assert_read(&whole, &talk);
}
