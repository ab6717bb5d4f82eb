// SPDX-License-Identifier: MPL-2.0

//! The service with the real recognisers, and synthetic speech for it.

use crate::model::model;
use crate::service::Service;
use crate::speech::absent;
use std::path::Path;
use std::process::Command;
use std::sync::{Arc, OnceLock};
use symbl_service::recognizer::pocketsphinx::{Pocketsphinx, PocketsphinxConfig};
use symbl_service::recognizer::whisper::{Whisper, WhisperConfig};

/// Returns a service that recognises speech, or `None` if the recogniser is absent.
pub fn service() -> Option<Service> {
    static ENGINE: OnceLock<Option<Arc<Pocketsphinx>>> = OnceLock::new();
    let engine = ENGINE.get_or_init(|| {
        Pocketsphinx::open(PocketsphinxConfig::default())
            .map_err(|error| absent(&error.to_string()))
            .ok()
            .map(Arc::new)
    });
    let engine = Arc::clone(engine.as_ref()?);
    Some(Service::with(|config| config.recognizer = engine))
}

/// Returns the neural recogniser, which a process opens once; `None` where its model is
/// absent.
pub fn whisper() -> Option<Arc<Whisper>> {
    static ENGINE: OnceLock<Option<Arc<Whisper>>> = OnceLock::new();
    let engine = ENGINE.get_or_init(|| {
        let config = WhisperConfig::new(model("tiny.en")?);
        let engine = Whisper::open(config).unwrap_or_else(|error| panic!("{error}"));
        Some(Arc::new(engine))
    });
    engine.clone()
}

/// Returns a service with the neural recogniser; `None` where its model is absent.
pub fn whisper_service() -> Option<Service> {
    let engine = whisper()?;
    Some(Service::with(|config| config.recognizer = engine))
}

/// Speaks each sentence in a synthetic voice at 16 kHz, with a pause after it. Returns
/// `None` if the synthesiser is absent.
pub fn spoken(sentences: &[&str]) -> Option<Vec<i16>> {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("sentence.wav");
    let mut samples = Vec::new();
    for sentence in sentences {
        let mut flite = Command::new("flite");
        flite.args(["-voice", "rms", "-t", sentence, "-o"]);
        match flite.arg(&file).status() {
            Ok(status) => assert!(status.success(), "flite"),
            Err(error) => {
                absent(&format!("flite: {error}"));
                return None;
            }
        }
        let mut reader = hound::WavReader::open(&file).expect("flite's file");
        assert_eq!(reader.spec().sample_rate, 16_000);
        samples.extend(
            reader
                .samples::<i16>()
                .map(|sample| sample.expect("a sample")),
        );
        samples.extend([0; 19_200]);
    }
    Some(samples)
}

/// Writes 16 kHz mono samples as a WAV file.
pub fn write_wav(path: &Path, samples: &[i16]) {
    let spec = hound::WavSpec {
        channels: 1,
        sample_rate: 16_000,
        bits_per_sample: 16,
        sample_format: hound::SampleFormat::Int,
    };
    let mut writer = hound::WavWriter::create(path, spec).expect("a file");
    for sample in samples {
        writer.write_sample(*sample).expect("room");
    }
    writer.finalize().expect("room");
}
