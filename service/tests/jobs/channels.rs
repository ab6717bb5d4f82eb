// SPDX-License-Identifier: MPL-2.0

//! The channels of a recording are in the order of their times, also when one of them is
//! recognised much later than the other. And texts do not wait for recordings.

use crate::common::jobs::*;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
use symbl_service::recognizer::scripted::silence;
use symbl_service::recognizer::{
    RecognisedWord, Recognition, Recognizer, RecognizerError, RecognizerStream, StreamOptions,
};
use symbl_service::{Server, ServerConfig};

const RATE: u32 = 16_000;

/// Half a second, in samples.
const HALF: u64 = 8000;

/// Says a word each half of a second. Its second stream says all of them at the end.
#[derive(Default)]
struct Skewed {
    opened: AtomicU64,
}

struct Channel {
    number: u64,
    samples: u64,
    said: u64,
}

impl Recognizer for Skewed {
    fn name(&self) -> &'static str {
        "skewed"
    }

    fn open(&self, _: &StreamOptions) -> Result<Box<dyn RecognizerStream>, RecognizerError> {
        Ok(Box::new(Channel {
            number: self.opened.fetch_add(1, Ordering::Relaxed),
            samples: 0,
            said: 0,
        }))
    }
}

impl Channel {
    /// Returns when a word begins. Those of the second channel are between those of the first.
    fn start(&self, word: u64) -> Duration {
        Duration::from_millis(word * 500 + self.number * 250)
    }

    fn say(&mut self, out: &mut Vec<Recognition>) {
        while (self.said + 1) * HALF <= self.samples {
            let start = self.start(self.said);
            out.push(Recognition::bare(vec![RecognisedWord {
                text: format!("w{}", self.said * 2 + self.number),
                start,
                end: start + Duration::from_millis(100),
                confidence: 1.0,
            }]));
            self.said += 1;
        }
    }
}

impl RecognizerStream for Channel {
    fn push(&mut self, samples: &[i16], out: &mut Vec<Recognition>) -> Result<(), RecognizerError> {
        self.samples += samples.len() as u64;
        if self.number == 0 {
            self.say(out);
        }
        Ok(())
    }

    fn settled(&self) -> Option<Duration> {
        Some(self.start(self.said))
    }

    fn finish(&mut self, out: &mut Vec<Recognition>) -> Result<(), RecognizerError> {
        self.say(out);
        Ok(())
    }
}

/// Never takes audio.
struct Stuck;

impl Recognizer for Stuck {
    fn name(&self) -> &'static str {
        "stuck"
    }

    fn open(&self, _: &StreamOptions) -> Result<Box<dyn RecognizerStream>, RecognizerError> {
        Ok(Box::new(Stuck))
    }
}

impl RecognizerStream for Stuck {
    fn push(&mut self, _: &[i16], _: &mut Vec<Recognition>) -> Result<(), RecognizerError> {
        Ok(())
    }

    fn is_ready(&self) -> bool {
        false
    }

    fn finish(&mut self, _: &mut Vec<Recognition>) -> Result<(), RecognizerError> {
        Ok(())
    }
}

#[tokio::test]
async fn a_text_does_not_wait_behind_recordings_unless_it_is_of_their_conversation() {
    let mut config = ServerConfig::new(Arc::new(Stuck));
    config.jobs.decoder = with_decoder().jobs.decoder;
    config.jobs.parallel = 1;
    let server = Server::bind(config).await.expect("a server");
    let call = wav(&[silence(Duration::from_secs(1), RATE)]);
    let (_, first) = upload(&server, "POST /v1/process/audio", &call).await;
    let (_, second) = upload(&server, "POST /v1/process/audio", &call).await;
    let text = r#"{"messages": [{"payload": {"content": "Hello."}}]}"#;
    let id = second["conversationId"].as_str().expect("an id");
    let (_, behind) = ask(&server, &format!("PUT /v1/process/text/{id}"), text).await;
    let (_, free) = ask(&server, "POST /v1/process/text", text).await;
    assert_eq!(ended(&server, &free).await["status"], "completed");
    for waits in [&first, &second, &behind] {
        let job = waits["jobId"].as_str().expect("a job");
        let (_, job) = get(&server, &format!("/v1/job/{job}"), "").await;
        assert_eq!(job["status"], "in_progress", "{job}");
    }
}

#[tokio::test]
async fn the_channels_of_a_call_are_in_the_order_of_their_times() {
    let mut config = ServerConfig::new(Arc::new(Skewed::default()));
    config.jobs.decoder = with_decoder().jobs.decoder;
    let server = Server::bind(config).await.expect("a server");
    let quiet = silence(Duration::from_secs(10), RATE);
    let call = wav(&[quiet.clone(), quiet]);
    let path = "POST /v1/process/audio?enableSeparateRecognitionPerChannel=true";
    let (status, made) = upload(&server, path, &call).await;
    assert_eq!(status, 201, "{made}");
    let job = ended(&server, &made).await;
    assert_eq!(job["status"], "completed", "{job}");
    let said = words(&messages(&server, &made, "").await);
    let said: Vec<String> = said.into_iter().map(|(_, word)| word).collect();
    let expected: Vec<String> = (0..40).map(|word| format!("w{word}")).collect();
    assert_eq!(said, expected);
}
