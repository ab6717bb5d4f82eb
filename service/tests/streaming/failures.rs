// SPDX-License-Identifier: MPL-2.0

//! Recognisers that fail, and clients that are no good: only their own session suffers.

use crate::common::chatty::Chatty;
use crate::common::*;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex};
use std::time::Duration;
use symbl_service::recognizer::scripted::{Scripted, speech};
use symbl_service::recognizer::{
    Recognition, Recognizer, RecognizerError, RecognizerStream, StreamOptions, blocking,
};
use symbl_service::{Server, ServerConfig};
use tokio_tungstenite::tungstenite::Message;

/// Does what the language asks for; understands numbers otherwise.
struct Moody;

struct Failing {
    panics: bool,
}

impl Recognizer for Moody {
    fn name(&self) -> &'static str {
        "moody"
    }

    fn open(&self, options: &StreamOptions) -> Result<Box<dyn RecognizerStream>, RecognizerError> {
        match options.language.as_str() {
            "unavailable" => Err(RecognizerError::Unavailable {
                engine: "moody",
                what: "model".into(),
                reason: "not there".into(),
                hint: "Install it.".into(),
            }),
            "loses" => Ok(Box::new(Losing)),
            "fails" => Ok(Box::new(Failing { panics: false })),
            "chatty" => Ok(Box::new(Chatty)),
            "panics" => Ok(Box::new(Failing { panics: true })),
            _ => Scripted.open(options),
        }
    }
}

impl RecognizerStream for Failing {
    fn push(&mut self, _: &[i16], _: &mut Vec<Recognition>) -> Result<(), RecognizerError> {
        assert!(!self.panics, "as asked for");
        Err(RecognizerError::Failed {
            engine: "moody",
            reason: "as asked for".into(),
        })
    }

    fn finish(&mut self, _: &mut Vec<Recognition>) -> Result<(), RecognizerError> {
        Ok(())
    }
}

/// Loses its second second, and goes on.
struct Losing;

impl RecognizerStream for Losing {
    fn push(&mut self, samples: &[i16], out: &mut Vec<Recognition>) -> Result<(), RecognizerError> {
        if samples.is_empty() {
            return Ok(());
        }
        out.push(Recognition::Gap {
            start: Duration::from_secs(1),
            end: Duration::from_secs(2),
        });
        Ok(())
    }

    fn finish(&mut self, _: &mut Vec<Recognition>) -> Result<(), RecognizerError> {
        Ok(())
    }
}

/// Takes no audio until it is opened, and counts it.
#[derive(Clone, Default)]
struct Gate {
    open: Arc<(Mutex<bool>, Condvar)>,
    samples: Arc<AtomicU64>,
}

impl Gate {
    fn open(&self) {
        *self.open.0.lock().unwrap() = true;
        self.open.1.notify_all();
    }

    fn samples(&self) -> u64 {
        self.samples.load(Ordering::SeqCst)
    }
}

impl Recognizer for Gate {
    fn name(&self) -> &'static str {
        "gate"
    }

    fn open(&self, _: &StreamOptions) -> Result<Box<dyn RecognizerStream>, RecognizerError> {
        Ok(Box::new(self.clone()))
    }
}

impl RecognizerStream for Gate {
    fn push(&mut self, samples: &[i16], _: &mut Vec<Recognition>) -> Result<(), RecognizerError> {
        blocking(|| {
            let open = self.open.0.lock().unwrap();
            drop(self.open.1.wait_while(open, |open| !*open).unwrap());
        });
        self.samples
            .fetch_add(samples.len() as u64, Ordering::SeqCst);
        Ok(())
    }

    fn finish(&mut self, _: &mut Vec<Recognition>) -> Result<(), RecognizerError> {
        Ok(())
    }
}

async fn moody() -> Server {
    Server::bind(ServerConfig::new(Arc::new(Moody)))
        .await
        .expect("a free port")
}

#[tokio::test]
async fn a_failing_recogniser_is_told_and_the_socket_lives_on() {
    let server = moody().await;
    let (mut other, _) = Client::started(&server, "other", &start_request()).await;
    for (language, code) in [
        ("unavailable", "recognizer_unavailable"),
        ("fails", "recognizer_failed"),
        ("panics", "internal"),
    ] {
        let mut client = Client::connect(&server, language).await;
        let mut request = start_request();
        request["config"]["languageCode"] = language.into();
        client.send_json(&request).await;
        client.send_audio(&[0; 3200]).await;
        let error = client.until("error").await;
        assert_eq!(error.json()["code"], code);
        assert_eq!(client.next().await.kind(), "processing_terminated");
        client.start(&start_request()).await;
        client.send_audio(&linear16(&speech(0..2, 16_000))).await;
        client.stop().await;
        assert_eq!(texts(&final_words(&client.rest().await)), ["w0", "w1"]);
    }
    other.send_audio(&linear16(&speech(0..2, 16_000))).await;
    other.stop().await;
    assert_eq!(texts(&final_words(&other.rest().await)), ["w0", "w1"]);
}

#[tokio::test]
async fn lost_audio_is_told_and_the_stream_goes_on() {
    let server = moody().await;
    let mut request = start_request();
    request["config"]["languageCode"] = "loses".into();
    let (mut client, _) = Client::started(&server, "loses", &request).await;
    client.send_audio(&[0; 3200]).await;
    let error = client.until("error").await;
    assert_eq!(error.json()["code"], "audio_lost");
    let details = error.json()["details"].as_str().expect("a string");
    assert!(details.contains("from 1.0 s to 2.0 s"), "{details}");
    client.stop().await;
    let expected = ["recognition_stopped", "conversation_completed", "closed"];
    assert_eq!(kinds(&client.rest().await), expected);
}

#[tokio::test]
async fn a_stop_after_a_failure_still_completes() {
    let server = moody().await;
    let mut client = Client::connect(&server, "x").await;
    let mut request = start_request();
    request["config"]["languageCode"] = "unavailable".into();
    client.send_json(&request).await;
    client.until("processing_terminated").await;
    client.stop().await;
    let heard = client.rest().await;
    let expected = ["recognition_stopped", "conversation_completed", "closed"];
    assert_eq!(kinds(&heard), expected);
}

#[tokio::test]
async fn a_client_that_reads_nothing_holds_up_nobody_and_is_let_go() {
    const SPEECHES: usize = 60;
    let mut config = ServerConfig::new(Arc::new(Moody));
    config.limits.outbound_queue = 32;
    config.limits.close = Duration::from_millis(100);
    let server = Server::bind(config).await.unwrap();
    let (mut deaf, _) = Client::started(&server, "deaf", &start_request()).await;
    let mut request = start_request();
    request["config"]["languageCode"] = "chatty".into();
    let (mut speaker, _) = Client::started(&server, "deaf", &request).await;
    for _ in 0..SPEECHES {
        speaker.send_audio(&[0; 3200]).await;
        speaker.until("message_response").await;
    }
    speaker.stop().await;
    assert_eq!(
        speaker.rest().await.last(),
        Some(&Heard::Closed(Some(1000)))
    );
    let heard = deaf.rest().await;
    assert!(heard.len() < SPEECHES, "{} messages were kept", heard.len());
}

#[tokio::test]
async fn while_the_recogniser_is_behind_the_socket_is_not_read() {
    let gate = Gate::default();
    let mut config = ServerConfig::new(Arc::new(gate.clone()));
    config.limits.audio_queue = 4;
    let server = Server::bind(config).await.unwrap();
    let mut client = Client::connect(&server, "behind").await;
    client.send_json(&start_request()).await;
    // More than the buffers between the two can hold.
    let audio = vec![1u8; 32 * 1024 * 1024];
    let mut sending = Box::pin(async {
        for chunk in audio.chunks(8192) {
            client.send(Message::binary(chunk.to_vec())).await;
        }
    });
    let waited = tokio::time::timeout(Duration::from_secs(2), &mut sending).await;
    assert!(waited.is_err(), "all was read though nothing was taken");
    gate.open();
    sending.as_mut().await;
    drop(sending);
    client.stop().await;
    client.until("conversation_completed").await;
    assert_eq!(
        gate.samples(),
        audio.len() as u64 / 2,
        "nothing is lost by waiting"
    );
}

#[tokio::test]
async fn a_shutdown_does_not_wait_for_a_recogniser_that_hangs() {
    let gate = Gate::default();
    let mut config = ServerConfig::new(Arc::new(gate.clone()));
    config.limits.audio_queue = 1;
    let server = Server::bind(config).await.unwrap();
    let (mut client, _) = Client::started(&server, "hangs", &start_request()).await;
    client.send_audio(&[0; 32_000]).await;
    let (heard, ()) = tokio::join!(client.rest(), server.shutdown());
    assert_eq!(heard.last(), Some(&Heard::Closed(Some(1001))));
    gate.open();
}

#[tokio::test]
async fn a_connection_that_never_speaks_http_does_not_delay_the_shutdown() {
    let mut config = config();
    config.limits.shutdown = Duration::from_secs(2);
    let server = Server::bind(config).await.unwrap();
    let mute = tokio::net::TcpStream::connect(server.local_addr())
        .await
        .unwrap();
    let (mut client, _) = Client::started(&server, "x", &start_request()).await;
    tokio::join!(client.rest(), server.shutdown());
    drop(mute);
}

#[tokio::test]
async fn a_dropped_server_lets_go_of_its_sockets() {
    let server = server().await;
    let (mut client, _) = Client::started(&server, "x", &start_request()).await;
    client.send(Message::binary(vec![0; 100])).await;
    drop(server);
    assert_eq!(client.rest().await.last(), Some(&Heard::Closed(Some(1001))));
}
