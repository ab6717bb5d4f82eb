// SPDX-License-Identifier: MPL-2.0

//! Cameras: GStreamer's own RTSP server, in a process of its own
//! (`tests/senders/camera.py`).

use super::ts::assert_in_order;
use super::{documented, end, hear, talk, there, watched, wav};
use crate::accuracy;
use crate::common::pipeline::{Pipeline, until};
use crate::common::service::Service;
use crate::engine;
use crate::speech::{self, absent};
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

/// The address that docs/sources.md has for a camera.
const ADDRESS: &str = "rtsp://camera.example/stream";

/// A running camera. It ends when its standard input is closed.
struct Camera {
    process: Child,
    address: String,
}

impl Camera {
    /// Starts a camera with the sound of a file. Returns `None` if the server is absent.
    fn start(sound: &Path, arguments: &[&str]) -> Option<Self> {
        let import = "import gi; gi.require_version('GstRtspServer', '1.0'); \
                      from gi.repository import GstRtspServer";
        let python = "/usr/bin/python3";
        let import = Command::new(python).args(["-c", import]).output();
        if !import.is_ok_and(|output| output.status.success()) {
            absent("no GstRtspServer (Debian package gir1.2-gst-rtsp-server-1.0)");
            return None;
        }
        if !there(&["openh264enc", "voaacenc", "faad"]) {
            return None;
        }
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/senders/camera.py");
        let mut process = Command::new("timeout")
            .args(["170", python])
            .arg(script)
            .args(arguments)
            .arg(sound)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("timeout");
        let mut address = String::new();
        let output = process.stdout.take().expect("its output");
        BufReader::new(output).read_line(&mut address).unwrap();
        let address = address.trim().to_owned();
        assert!(address.starts_with("rtsp://"), "{address}");
        Some(Self { process, address })
    }
}

impl Drop for Camera {
    fn drop(&mut self) {
        drop(self.process.stdin.take());
        let _ = self.process.wait();
    }
}

#[test]
fn the_sound_of_a_camera_that_comes_late_and_goes_early_gives_its_words_beside_the_picture() {
    let service = Service::start();
    let (_folder, wav) = wav(&talk(Duration::ZERO));
    let Some(camera) = Camera::start(&wav, &["--late", "1500"]) else {
        return;
    };
    let line = documented("RTSP camera", &service, &[(ADDRESS, &camera.address)]);
    let mut pipeline = Pipeline::launch(&line);
    let picture = watched(&pipeline, "picture");
    let sound = watched(&pipeline, "sink");
    pipeline.play();
    hear(&mut pipeline, 25);
    let words = pipeline.words();
    assert_in_order(&words);
    // Pictures come before the sound and after it.
    let first_sound = sound.lock().unwrap()[0];
    let before = |time: &&u64| **time < first_sound;
    assert!(words[0].1.abs_diff(first_sound) <= 20_000_000, "{words:?}");
    let frames = picture.lock().unwrap().iter().filter(before).count();
    assert!(frames >= 10, "{frames}");
    until("the picture goes on", || {
        let last_sound = *sound.lock().unwrap().last().unwrap();
        picture.lock().unwrap().last() > Some(&(last_sound + 1_000_000_000))
    });
    end(&mut pipeline);
    let drained = pipeline.of_kind("drained");
    assert_eq!(drained[0].get::<bool>("complete"), Ok(true));
}

#[test]
fn a_camera_without_sound_shows_its_picture() {
    let service = Service::start();
    let (_folder, wav) = wav(&[]);
    let Some(camera) = Camera::start(&wav, &["--mute"]) else {
        return;
    };
    let line = documented("RTSP camera", &service, &[(ADDRESS, &camera.address)]);
    let mut pipeline = Pipeline::launch(&line);
    let picture = watched(&pipeline, "picture");
    pipeline.play();
    until("two seconds of picture", || {
        let picture = picture.lock().unwrap();
        picture.last() > picture.first().map(|first| first + 2_000_000_000).as_ref()
    });
    pipeline.collect();
    let failed = |message: &gst::Message| message.type_() == gst::MessageType::Error;
    assert!(
        !pipeline.messages.iter().any(failed),
        "{:?}",
        pipeline.names()
    );
    pipeline.stop();
}

#[test]
fn recorded_speech_is_understood_from_a_camera_that_sends_aac() {
    let Some(service) = engine::service() else {
        return;
    };
    let Some(sample) = speech::samples("smoke").into_iter().next() else {
        return;
    };
    let Some(spoken) = speech::audio(&sample) else {
        return;
    };
    let pause = speech::silence(Duration::from_secs(1));
    let samples = [&pause, &spoken, &pause, &pause]
        .map(Vec::as_slice)
        .concat();
    let (_folder, wav) = wav(&samples);
    let Some(camera) = Camera::start(&wav, &["--sound", "voaacenc ! aacparse ! rtpmp4gpay"]) else {
        return;
    };
    let changes = [(ADDRESS, camera.address.as_str())];
    let line = documented("Any camera, sound only", &service, &changes);
    let mut pipeline = Pipeline::launch(&line);
    pipeline.play();
    let said = accuracy::words(sample.reference);
    // The words are one utterance.
    hear(&mut pipeline, 1);
    end(&mut pipeline);
    let heard: Vec<String> = pipeline.words().into_iter().map(|(word, _)| word).collect();
    let heard = accuracy::words(&heard.join(" "));
    let errors = accuracy::word_errors(&said, &heard);
    assert!(errors * 4 <= said.len(), "{said:?} {heard:?}");
}
