// SPDX-License-Identifier: MPL-2.0

//! How a session that was stopped ends: finished where its client knows, else lost.

use crate::common::*;
use std::sync::{Arc, Condvar, Mutex};
use std::time::Duration;
use symbl_service::recognizer::scripted::speech;
use symbl_service::recognizer::{
    Recognition, Recognizer, RecognizerError, RecognizerStream, StreamOptions, blocking,
};
use symbl_service::{Server, ServerConfig};

/// Says nothing, and is not done before it is let go.
#[derive(Clone, Default)]
struct Lingering(Arc<(Mutex<bool>, Condvar)>);

impl Lingering {
    fn let_go(&self) {
        *self.0.0.lock().unwrap() = true;
        self.0.1.notify_all();
    }
}

impl Recognizer for Lingering {
    fn name(&self) -> &'static str {
        "lingering"
    }

    fn open(&self, _: &StreamOptions) -> Result<Box<dyn RecognizerStream>, RecognizerError> {
        Ok(Box::new(self.clone()))
    }
}

impl RecognizerStream for Lingering {
    fn push(&mut self, _: &[i16], _: &mut Vec<Recognition>) -> Result<(), RecognizerError> {
        Ok(())
    }

    fn finish(&mut self, _: &mut Vec<Recognition>) -> Result<(), RecognizerError> {
        blocking(|| {
            let done = self.0.0.lock().unwrap();
            drop(self.0.1.wait_while(done, |done| !*done).unwrap());
        });
        Ok(())
    }
}

fn rejoinable() -> serde_json::Value {
    let mut request = start_request();
    request["noConnectionTimeout"] = 1800.into();
    request
}

/// Starts a server with room for one socket, so that the next one is only accepted when the
/// one before has left.
async fn narrow(mut config: ServerConfig) -> Server {
    config.limits.connections = 1;
    Server::bind(config).await.expect("a free port")
}

/// Returns the conversation that the next client joins when the socket before is gone.
async fn next_conversation(server: &Server, id: &str) -> String {
    let path = format!("/v1/streaming/{id}");
    loop {
        if let Ok((mut client, _)) = Client::open(server, &path, &[]).await {
            return client.start(&rejoinable()).await;
        }
    }
}

/// Fails, or panics, at the end of its audio.
#[derive(Clone, Copy)]
struct Failing {
    panics: bool,
}

impl Recognizer for Failing {
    fn name(&self) -> &'static str {
        "failing"
    }

    fn open(&self, _: &StreamOptions) -> Result<Box<dyn RecognizerStream>, RecognizerError> {
        Ok(Box::new(*self))
    }
}

impl RecognizerStream for Failing {
    fn push(&mut self, _: &[i16], _: &mut Vec<Recognition>) -> Result<(), RecognizerError> {
        Ok(())
    }

    fn finish(&mut self, _: &mut Vec<Recognition>) -> Result<(), RecognizerError> {
        assert!(!self.panics, "on purpose");
        Err(RecognizerError::Failed {
            engine: "failing",
            reason: "on purpose".to_owned(),
        })
    }
}

/// Says something, stops, and returns what comes then. The conversation must go on.
async fn incomplete(server: &Server, id: &str, pauses: bool) -> Vec<Heard> {
    let mut request = rejoinable();
    request["disconnectOnStopRequest"] = (!pauses).into();
    if pauses {
        request["x_stream"] = serde_json::json!({"id": "s", "attempt": 1, "position": 0});
    }
    let (mut client, first) = Client::started(server, id, &request).await;
    client.send_audio(&linear16(&speech(0..3, 16_000))).await;
    client.stop().await;
    client.until("recognition_stopped").await;
    let heard = client.rest().await;
    assert_eq!(heard.last(), Some(&Heard::Closed(Some(1011))), "{heard:?}");
    for end in ["conversation_completed", "recognition_stopped"] {
        assert!(!kinds(&heard).contains(&end), "{heard:?}");
    }
    drop(client);
    assert_eq!(next_conversation(server, id).await, first);
    heard
}

fn code(heard: &[Heard]) -> &str {
    let error = heard.iter().find(|heard| heard.kind() == "error");
    error.expect("an error").json()["code"]
        .as_str()
        .expect("a code")
}

#[tokio::test]
async fn a_stream_that_has_no_time_for_its_last_results_is_not_called_complete() {
    for pauses in [false, true] {
        let recognizer = Lingering::default();
        let mut config = ServerConfig::new(Arc::new(recognizer.clone()));
        config.limits.drain = Duration::from_millis(50);
        let server = narrow(config).await;
        // The stream that is left behind takes no place of a socket.
        let heard = incomplete(&server, "late", pauses).await;
        assert_eq!(code(&heard), "not_drained", "{heard:?}");
        let error = heard.iter().find(|heard| heard.kind() == "error");
        let details = &error.expect("an error").json()["details"];
        assert!(details.as_str().expect("text").contains("--max-drain-time"));
        recognizer.let_go();
    }
}

#[tokio::test]
async fn a_stop_is_told_again_only_when_the_last_results_are_there() {
    let recognizer = Lingering::default();
    let server = narrow(ServerConfig::new(Arc::new(recognizer.clone()))).await;
    let mut request = rejoinable();
    request["disconnectOnStopRequest"] = false.into();
    request["x_stream"] = serde_json::json!({"id": "s", "attempt": 1, "position": 0});
    let (mut client, _) = Client::started(&server, "told", &request).await;
    client.send_audio(&linear16(&speech(0..3, 16_000))).await;
    client.stop().await;
    let told = |heard: Heard| heard.json()["message"]["x_told"].as_bool();
    assert_eq!(told(client.until("recognition_stopped").await), Some(false));
    client.send_text("__PING__").await;
    let next = client.next().await;
    assert_eq!(next.kind(), "__PONG__", "it still listens");
    recognizer.let_go();
    assert_eq!(told(client.until("recognition_stopped").await), Some(true));
}

#[tokio::test]
async fn a_stream_that_fails_in_its_last_results_is_not_called_complete() {
    for (panics, expected) in [(false, "recognizer_failed"), (true, "internal")] {
        let server = narrow(ServerConfig::new(Arc::new(Failing { panics }))).await;
        for pauses in [false, true] {
            let heard = incomplete(&server, if pauses { "p" } else { "d" }, pauses).await;
            assert_eq!(code(&heard), expected, "{heard:?}");
        }
    }
}

#[tokio::test]
async fn s7_a_socket_that_is_lost_while_its_stream_drains_may_come_back() {
    let recognizer = Lingering::default();
    let server = narrow(ServerConfig::new(Arc::new(recognizer.clone()))).await;
    let (mut client, first) = Client::started(&server, "drain", &rejoinable()).await;
    client.send_audio(&linear16(&speech(0..3, 16_000))).await;
    client.stop().await;
    client.until("recognition_stopped").await;
    drop(client);
    assert_eq!(next_conversation(&server, "drain").await, first);
    recognizer.let_go();
}

#[tokio::test]
async fn s7_a_socket_that_is_lost_before_the_close_is_answered_may_come_back() {
    let server = narrow(config()).await;
    let (mut client, first) = Client::started(&server, "late", &rejoinable()).await;
    client.stop().await;
    client.until("conversation_completed").await;
    drop(client);
    assert_eq!(next_conversation(&server, "late").await, first);
}

#[tokio::test]
async fn a_client_that_closes_by_itself_while_its_stream_drains_is_finished() {
    let recognizer = Lingering::default();
    let server = narrow(ServerConfig::new(Arc::new(recognizer.clone()))).await;
    for (code, finished) in [(1000, true), (1001, true), (3006, false)] {
        let id = code.to_string();
        let (mut client, first) = loop {
            if let Ok((mut client, _)) =
                Client::open(&server, &format!("/v1/streaming/{id}"), &[]).await
            {
                let first = client.start(&rejoinable()).await;
                break (client, first);
            }
        };
        client.stop().await;
        client.until("recognition_stopped").await;
        client.close(code).await;
        let next = next_conversation(&server, &id).await;
        assert_eq!(next != first, finished, "{code}");
    }
    recognizer.let_go();
}

#[tokio::test]
async fn a_client_that_answers_the_close_is_finished() {
    let server = narrow(config()).await;
    let (mut client, first) = Client::started(&server, "done", &rejoinable()).await;
    client.stop().await;
    client.rest().await;
    assert_ne!(next_conversation(&server, "done").await, first);
}
