// SPDX-License-Identifier: MPL-2.0

//! Runs the commands of `docs/captioning.md` as they stand, in folders with a `talk.mp4` and
//! with the plugin of this build, and reads what they write with ffmpeg and `subtp`.

mod bin;
mod read;

use crate::common::pipeline::until;
use crate::common::plugin;
use crate::elements::{self, have};
use crate::recipes::folder;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::Duration;
use symbl_testkit::{engine, speech};

const PAGE: &str = include_str!("../../docs/captioning.md");

/// Stands in front of each block that this test runs.
const MARK: &str = "<!-- run by tests/captions/documented.rs -->\n```sh\n";

/// Longest time of a command, in seconds.
const BOUND: &str = "120";

/// What is said in `talk.mp4`.
struct Talk {
    /// The words, in lower case.
    text: String,
    /// When each prompt is said, in milliseconds.
    places: Vec<Range<u64>>,
    /// How many pictures it has.
    pictures: usize,
}

/// Pictures per second of `talk.mp4`.
const RATE: usize = 30;

/// Writes `talk.mp4` to a folder: recorded prompts and a grey picture, in AAC and H.264. Returns
/// `None` where a package is absent.
fn make_talk(folder: &Path) -> Option<Talk> {
    let prompts = speech::talk_prompts();
    let prompts = &prompts[..4];
    let (samples, places) = speech::talk(prompts, Duration::from_millis(900))?;
    engine::write_wav(&folder.join("talk.wav"), &samples);
    let pictures = samples.len() * RATE / 16_000;
    let picture = format!("color=gray:size=320x240:rate={RATE}");
    let mut ffmpeg = Command::new("ffmpeg");
    ffmpeg
        .args(["-v", "error", "-nostdin", "-f", "lavfi", "-i", &picture])
        .args(["-i", "talk.wav", "-frames:v", &pictures.to_string()])
        .args(["-c:v", "libx264", "-preset", "ultrafast", "-pix_fmt"])
        .args(["yuv420p", "-c:a", "aac", "-ar", "48000", "talk.mp4"])
        .current_dir(folder);
    let status = ffmpeg.status().expect("ffmpeg; scripts/install-deps.sh");
    assert!(status.success(), "{ffmpeg:?}");
    let millis = |range: Range<usize>| range.start as u64 / 16..range.end as u64 / 16;
    let texts: Vec<&str> = prompts.iter().map(|prompt| prompt.reference).collect();
    Some(Talk {
        text: texts.join(" "),
        places: places.into_iter().map(millis).collect(),
        pictures,
    })
}

/// Returns the blocks of the page.
fn blocks() -> Vec<&'static str> {
    let blocks = PAGE.split(MARK).skip(1);
    blocks
        .map(|rest| rest.split("\n```").next().expect("an end"))
        .collect()
}

/// Returns the block that writes this file.
fn block(file: &str) -> &'static str {
    let location = format!("location={file}");
    let mut found = blocks()
        .into_iter()
        .filter(|block| block.contains(&location));
    found
        .next()
        .unwrap_or_else(|| panic!("no block writes {file}"))
}

/// Asserts that the page says this, wherever its lines are broken.
fn assert_said(what: &str) {
    let page: Vec<&str> = PAGE.split_whitespace().collect();
    assert!(page.join(" ").contains(what), "not in the page: {what}");
}

/// Returns the block that writes `captions.ts`, from its encoder on with another end, which the
/// page names in its text.
fn ending(end: &str) -> String {
    assert_said(&format!("with `{end}`"));
    let (line, _) = block("captions.ts")
        .split_once("x264enc")
        .expect("an encoder");
    format!("{line}{end}")
}

/// What the commands find.
struct Place {
    /// The address of a service that recognises speech.
    url: String,
    talk: Talk,
    /// The folder of `talk.mp4`.
    folder: PathBuf,
}

impl Place {
    /// Returns a program with the environment of the commands, in a new folder with `talk.mp4`.
    fn program(&self, name: &str, program: &str) -> (Command, PathBuf) {
        let folder = folder(&format!("documented/{name}"));
        std::fs::copy(self.folder.join("talk.mp4"), folder.join("talk.mp4")).expect("a copy");
        let mut command = plugin::command("timeout");
        let path = elements::path_with(&command);
        command
            .args(["--kill-after=5", BOUND, program])
            .env("GST_PLUGIN_PATH", path)
            .env("GST_REGISTRY", self.folder.join("registry.bin"))
            .env("SYMBL_BASE_URL", &self.url)
            .current_dir(&folder);
        (command, folder)
    }

    /// Runs a command of the page to its end. Returns what it wrote.
    fn run(&self, name: &str, text: &str) -> Written {
        let (mut command, folder) = self.program(name, "sh");
        let output = command.args(["-euc", text]).output().expect("sh");
        Written::new(text, folder, &output)
    }
}

/// What a command has written.
struct Written {
    folder: PathBuf,
    /// All of its text came in time.
    in_time: bool,
}

impl Written {
    fn new(text: &str, folder: PathBuf, output: &Output) -> Self {
        let log = [&output.stdout[..], &output.stderr].concat();
        std::fs::write(folder.join("log"), &log).expect("room");
        let log = String::from_utf8_lossy(&log);
        assert!(output.status.success(), "{}\n{text}\n{log}", output.status);
        assert!(!log.contains("cannot connect"), "{log}");
        Self {
            folder,
            in_time: !log.contains("too late for its time"),
        }
    }

    fn file(&self, name: &str) -> PathBuf {
        self.folder.join(name)
    }
}

/// Starts ffmpeg, which copies a stream of the network to a file.
fn receiver(input: &[&str], file: &Path) -> Child {
    let mut ffmpeg = Command::new("timeout");
    ffmpeg
        .args([BOUND, "ffmpeg", "-v", "error", "-nostdin"])
        .args(input)
        .args(["-c", "copy"])
        .arg(file)
        .stderr(Stdio::piped());
    ffmpeg.spawn().expect("ffmpeg")
}

/// Returns `true` if something listens on a TCP port of the loopback. Does not connect.
fn listens(port: u16) -> bool {
    let sockets = std::fs::read_to_string("/proc/net/tcp").expect("Linux");
    let address = format!("0100007F:{port:04X} 00000000:0000 0A");
    sockets.lines().any(|line| line.contains(&address))
}

/// Checks that a live stream over SRT has every word.
fn srt(place: &Place) {
    let end = "x264enc tune=zerolatency key-int-max=60 ! h264parse config-interval=-1 \
               ! mpegtsmux alignment=7 ! srtsink uri=srt://:7001";
    let socket = std::net::UdpSocket::bind("127.0.0.1:0").expect("a free port");
    let port = socket.local_addr().expect("an address").port();
    drop(socket);
    let text = ending(end).replace(":7001", &format!(":{port}"));
    let over = std::sync::atomic::AtomicBool::new(false);
    let (written, file) = std::thread::scope(|scope| {
        let file = folder("documented/srt-received").join("captions.ts");
        let url = format!("srt://127.0.0.1:{port}");
        let (over, received) = (&over, file.clone());
        scope.spawn(move || {
            // Nothing tells when a UDP port listens, so that the first dials may fail.
            while !over.load(std::sync::atomic::Ordering::Relaxed) {
                let ended = receiver(&["-y", "-i", &url], &received)
                    .wait()
                    .expect("an end");
                if ended.success() {
                    break;
                }
            }
        });
        let written = place.run("srt", &text);
        over.store(true, std::sync::atomic::Ordering::Relaxed);
        (written, file)
    });
    read::roll_up(&place.talk, &written, &file);
}

/// Checks that a live stream over RTMP has every word.
fn rtmp(place: &Place) {
    let end = "x264enc tune=zerolatency key-int-max=60 ! h264parse ! flvmux streamable=true \
               ! rtmp2sink location=rtmp://127.0.0.1:1935/live/talk";
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a free port");
    let port = listener.local_addr().expect("an address").port();
    drop(listener);
    let file = folder("documented/rtmp-received").join("captions.flv");
    let url = format!("rtmp://127.0.0.1:{port}/live/talk");
    let mut receiver = receiver(&["-listen", "1", "-i", &url], &file);
    until("a listener", || listens(port));
    let written = place.run("rtmp", &ending(end).replace(":1935", &format!(":{port}")));
    assert!(receiver.wait().expect("an end").success());
    read::roll_up(&place.talk, &written, &file);
}

/// Checks what the command that writes `file` has written.
fn check(place: &Place, file: &str) {
    let (talk, written) = (&place.talk, place.run(file, block(file)));
    let path = written.file(file);
    match file {
        "burned.mp4" => read::burned(talk, &written, &path, 0),
        "captions.ts" => read::roll_up(talk, &written, &path),
        "popon.mp4" => read::pop_on(talk, &written, &path),
        "segment%05d.ts" => read::segments(talk, &written),
        "talk.vtt" => read::web_vtt(talk, &path),
        "talk.mkv" => read::track(talk, &path),
        "subtitles.ts" => read::bitmaps(talk, &written, &path),
        _ => panic!("nothing reads {file}"),
    }
}

/// Checks that text which is 3 s later than its sound is in the pictures.
fn later(place: &Place) {
    let later = "latency=0 lateness=3000";
    assert_said(&format!("`{later}`"));
    let text = block("burned.mp4").replace("latency=3000", later);
    let written = place.run("later", &text);
    read::burned(&place.talk, &written, &written.file("burned.mp4"), 3000);
}

#[test]
fn every_command_of_the_page_works_as_it_stands() {
    let ours = [
        "textoverlay",
        "textrender",
        "dvbsubenc",
        "webvttenc",
        "hlssink2",
        "qtdemux",
    ];
    let files = [
        "openh264dec",
        "faad",
        "x264enc",
        "h264parse",
        "mpegtsmux",
        "mp4mux",
    ];
    let others = [
        "tttocea608",
        "ccconverter",
        "cccombiner",
        "matroskamux",
        "flvmux",
    ];
    let network = ["srtsink", "rtmp2sink"];
    if !have(&[&ours[..], &files, &others, &network].concat()) {
        return;
    }
    let Some(service) = engine::whisper_service() else {
        return;
    };
    let folder = folder("documented");
    let Some(talk) = make_talk(&folder) else {
        return;
    };
    let place = Place {
        url: service.url(),
        talk,
        folder,
    };
    // Scans the plugins before they are asked for by many processes at once.
    let (mut inspect, _) = place.program("scan", "gst-inspect-1.0");
    assert!(
        inspect
            .arg("tttocea608")
            .output()
            .expect("gst-inspect-1.0")
            .status
            .success()
    );
    let files: Vec<&str> = blocks().iter().map(|block| written_by(block)).collect();
    assert_eq!(files.len(), 7, "{files:?}");
    let place = &place;
    std::thread::scope(|scope| {
        for file in files {
            scope.spawn(move || check(place, file));
        }
        for way in [srt, rtmp, later] {
            scope.spawn(move || way(place));
        }
    });
}

/// Returns the file that a block writes.
fn written_by(block: &str) -> &str {
    let name = block
        .rsplit_once(" location=")
        .or(block.rsplit_once("sink location="));
    let (_, name) = name.expect("a file");
    name.split_whitespace().next().expect("a name")
}
