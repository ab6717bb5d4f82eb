// SPDX-License-Identifier: MPL-2.0

//! A service, its speakers, and a network that can be cut: what a browser's test asks for.

use crate::common::process::{Process, token};
use serde_json::{Value, json};
use std::collections::{HashMap, VecDeque};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use symbl_service::recognizer::scripted;
use symbl_service::recognizer::{
    RecognisedWord, Recognition, Recognizer, RecognizerError, RecognizerStream, StreamOptions,
};
use symbl_service::{Auth, Server, ServerConfig};
use symbl_testkit::client::{Client, Heard, http, in_time, linear16, start_request};
use symbl_testkit::relay::Relay;
use tempfile::TempDir;
use tokio::runtime::Runtime;

/// The application of a service with credentials.
pub const APP: (&str, &str) = ("page-app", "page-secret");

/// How long a word is, and the pause between words.
const WORD: Duration = Duration::from_millis(8);
const PAUSE: Duration = Duration::from_millis(2);
/// Samples in a millisecond.
const RATE: usize = 16;

/// The conversation that everything happens in.
const CONNECTION: &str = "page";

/// What a speaker is about to say: the text, and `true` if it is a final.
type Cue = (String, bool);

/// Recognises what the test wants to be said, once there is audio for it.
#[derive(Debug, Clone, Default)]
struct Cued(Arc<Mutex<VecDeque<Cue>>>);

struct Stream {
    cues: Cued,
    heard: Duration,
    said: Duration,
}

impl Recognizer for Cued {
    fn name(&self) -> &'static str {
        "cued"
    }

    fn open(&self, _: &StreamOptions) -> Result<Box<dyn RecognizerStream>, RecognizerError> {
        Ok(Box::new(Stream {
            cues: self.clone(),
            heard: Duration::ZERO,
            said: Duration::ZERO,
        }))
    }
}

/// Returns how much audio a text takes.
fn length(text: &str) -> Duration {
    let words = text.split(' ').count();
    (WORD + PAUSE) * u32::try_from(words).expect("a few words")
}

impl RecognizerStream for Stream {
    fn push(&mut self, samples: &[i16], out: &mut Vec<Recognition>) -> Result<(), RecognizerError> {
        self.heard += Duration::from_micros((samples.len() * 1000 / RATE) as u64);
        let mut cues = self.cues.0.lock().expect("no panic");
        while let Some((text, is_final)) = cues.front() {
            let length = length(text);
            if self.said + length > self.heard {
                break;
            }
            let words: Vec<RecognisedWord> = text
                .split(' ')
                .zip(0u32..)
                .map(|(word, n)| {
                    let start = self.said + (WORD + PAUSE) * n;
                    let (text, confidence) = (word.to_owned(), 0.9);
                    RecognisedWord {
                        text,
                        start,
                        end: start + WORD,
                        confidence,
                    }
                })
                .collect();
            if *is_final {
                self.said += length;
                out.push(Recognition::Final {
                    words,
                    punctuated: true,
                });
            } else {
                let stable = words.len() / 2;
                out.push(Recognition::Interim { words, stable });
            }
            cues.pop_front();
        }
        Ok(())
    }

    fn finish(&mut self, _: &mut Vec<Recognition>) -> Result<(), RecognizerError> {
        Ok(())
    }
}

/// A service, in this process or in one of its own.
enum Running {
    Here(Box<Server>),
    /// With the scripted recogniser: its speakers say numbers of words.
    Program(Process),
}

/// A service with its data on the disk.
pub struct Stage {
    runtime: Runtime,
    server: Option<Running>,
    address: SocketAddr,
    auth: Auth,
    cues: Cued,
    data: TempDir,
    relay: Option<Relay>,
    speakers: HashMap<String, Client>,
    conversation: Option<String>,
}

impl Stage {
    /// Starts a service.
    pub fn new(auth: Auth) -> Self {
        Self::with_tokens_for(auth, None)
    }

    /// Starts a service whose tokens are good for this time.
    pub fn with_tokens_for(auth: Auth, life: Option<Duration>) -> Self {
        let runtime = Runtime::new().expect("a runtime");
        let cues = Cued::default();
        let data = TempDir::new().expect("a folder");
        let free = "127.0.0.1:0".parse().expect("an address");
        let mut config = configured(&cues, &auth, data.path().to_owned(), free);
        config.limits.token = life.unwrap_or(config.limits.token);
        let server = runtime.block_on(Server::bind(config)).expect("a free port");
        let address = server.local_addr();
        Self {
            runtime,
            server: Some(Running::Here(Box::new(server))),
            address,
            auth,
            cues,
            data,
            relay: None,
            speakers: HashMap::new(),
            conversation: None,
        }
    }

    /// Starts the program, which can be killed.
    pub fn program() -> Self {
        let mut stage = Self::new(Auth::None);
        stage.down();
        stage.data = TempDir::new().expect("a folder");
        let program = started(&stage.data, "127.0.0.1:0");
        stage.address = program.address;
        stage.server = Some(Running::Program(program));
        stage
    }

    /// Puts a network that can be cut between the browser and the service.
    pub fn behind_a_relay(mut self) -> Self {
        self.relay = Some(Relay::to(&format!("http://{}", self.address)));
        self
    }

    /// Returns where the browser finds the service.
    pub fn url(&self) -> String {
        match &self.relay {
            Some(relay) => relay.base_url(),
            None => format!("http://{}", self.address),
        }
    }

    /// Performs what the browser's side asks for, and returns its answer.
    pub fn perform(&mut self, asked: &Value) -> Value {
        let speaker = asked["speaker"].as_str().unwrap_or("Ada").to_owned();
        let texts = || -> Vec<String> {
            let texts = asked["texts"].as_array().expect("texts").iter();
            let texts = texts.map(|text| text.as_str().expect("a text").to_owned());
            texts.collect()
        };
        match asked["please"].as_str().expect("a word") {
            "say" => self.say(&speaker, texts()),
            "begin" => self.begin(&speaker, texts()),
            "come" => self.come_to(&speaker, asked["title"].as_str()),
            "leave" => self.leave(&speaker),
            "delete" => self.delete(),
            "cut" => self.relay.as_ref().expect("a relay").reset(),
            "down" => self.down(),
            "up" => self.up(),
            "get" => {
                let path = asked["path"].as_str().expect("a path");
                return self.get(path);
            }
            other => panic!("the browser's side asks for {other:?}"),
        }
        json!({ "conversation": self.conversation })
    }

    /// Says each text, and waits for the last one's message.
    pub fn say(&mut self, speaker: &str, texts: Vec<String>) {
        if matches!(self.server, Some(Running::Program(_))) {
            return self.speak(speaker, &texts.join(" "));
        }
        let count = texts.len();
        let cues = texts.into_iter().map(|text| (text, true));
        self.cue(speaker, cues.collect(), count, |heard| {
            heard.kind() == "message_response"
        });
    }

    /// Says words that are numbers, and waits for their message.
    fn speak(&mut self, speaker: &str, words: &str) {
        self.come(speaker);
        let client = self.speakers.get_mut(speaker).expect("it came");
        let numbers = words.split(' ').map(|word| word.parse::<u16>());
        let samples: Vec<i16> = numbers
            .flat_map(|n| {
                n.map(|n| scripted::speech(n..n + 1, 16_000))
                    .expect("a number")
            })
            .chain(scripted::silence(Duration::from_millis(500), 16_000))
            .collect();
        self.runtime.block_on(async {
            client.send_audio(&linear16(&samples)).await;
            in_time(client.until("message_response")).await;
        });
    }

    /// Begins to say each text, and waits for the last one's interim.
    fn begin(&mut self, speaker: &str, texts: Vec<String>) {
        let count = texts.len();
        let cues = texts.into_iter().map(|text| (text, false));
        self.cue(speaker, cues.collect(), count, |heard| {
            heard.kind() == "recognition_result"
        });
    }

    fn cue(
        &mut self,
        speaker: &str,
        cues: Vec<Cue>,
        mut count: usize,
        is_answer: fn(&Heard) -> bool,
    ) {
        self.come(speaker);
        let client = self.speakers.get_mut(speaker).expect("it came");
        let samples: Duration = cues.iter().map(|(text, _)| length(text)).sum();
        let samples = usize::try_from(samples.as_micros()).expect("short") * RATE / 1000;
        self.cues.0.lock().expect("no panic").extend(cues);
        let audio = linear16(&vec![0; samples]);
        self.runtime.block_on(async {
            client.send_audio(&audio).await;
            while count > 0 {
                let heard = in_time(client.next()).await;
                assert!(!matches!(heard, Heard::Closed(_)), "the socket ended");
                count -= usize::from(is_answer(&heard));
            }
        });
    }

    /// Lets a speaker join, unless it is there.
    fn come(&mut self, speaker: &str) {
        self.come_to(speaker, Some("Planning <b>2</b>"));
    }

    /// Lets a speaker join a conversation that has this title from then on, if any.
    fn come_to(&mut self, speaker: &str, title: Option<&str>) {
        if self.speakers.contains_key(speaker) {
            return;
        }
        let mut request = start_request();
        request["speaker"] = json!({"userId": format!("{speaker}@example.org"), "name": speaker});
        request["insightTypes"] = json!(["question", "action_item", "follow_up"]);
        request["trackers"] = json!([{"name": "Money", "vocabulary": ["budget"]}]);
        if let Some(title) = title {
            request["config"]["meetingTitle"] = title.into();
        }
        // So that a conversation outlives a restart.
        request["noConnectionTimeout"] = 300.into();
        let token = self.token();
        let headers: Vec<(&'static str, &str)> = token
            .iter()
            .map(|token| ("X-API-KEY", token.as_str()))
            .collect();
        let address = self.address;
        let (client, conversation) = self.runtime.block_on(async {
            let path = format!("/v1/streaming/{CONNECTION}");
            let (mut client, _) = Client::open(&address, &path, &headers)
                .await
                .expect("a socket");
            let conversation = client.start(&request).await;
            (client, conversation)
        });
        if let Some(before) = self.conversation.replace(conversation.clone()) {
            assert_eq!(before, conversation, "it is another conversation");
        }
        self.speakers.insert(speaker.to_owned(), client);
    }

    fn leave(&mut self, speaker: &str) {
        let mut client = self.speakers.remove(speaker).expect("a speaker");
        self.runtime.block_on(async {
            client.stop().await;
            client.rest().await;
        });
    }

    fn down(&mut self) {
        self.speakers.clear();
        match self.server.take() {
            Some(Running::Here(server)) => self.runtime.block_on(server.shutdown()),
            Some(Running::Program(program)) => program.kill(),
            None => {}
        }
    }

    fn up(&mut self) {
        let program = started(&self.data, &self.address.to_string());
        assert_eq!(program.address, self.address);
        self.server = Some(Running::Program(program));
    }

    fn token(&self) -> Option<String> {
        if matches!(self.auth, Auth::None) {
            return None;
        }
        let asking = token(&self.address, APP.0, APP.1);
        Some(self.runtime.block_on(asking))
    }

    /// Deletes the conversation.
    fn delete(&self) {
        let token = self.token().unwrap_or_default();
        let id = self.conversation.as_ref().expect("a conversation");
        let request = format!(
            "DELETE /v1/conversations/{id} HTTP/1.1\r\nAuthorization: Bearer {token}\r\nX-Rest:"
        );
        let (head, answer) = self.runtime.block_on(http(&self.address, &request, ""));
        assert!(head.starts_with("http/1.1 200"), "{answer}");
    }

    /// Returns what the Conversation API answers.
    fn get(&self, path: &str) -> Value {
        let token = self.token().unwrap_or_default();
        let request = format!("GET {path} HTTP/1.1\r\nAuthorization: Bearer {token}\r\nX-Rest:");
        let (_, answer) = self.runtime.block_on(http(&self.address, &request, ""));
        serde_json::from_str(&answer).expect("JSON")
    }
}

impl Drop for Stage {
    fn drop(&mut self) {
        self.down();
    }
}

/// Starts the program.
fn started(data: &TempDir, listen: &str) -> Process {
    Process::listening(listen, |command| {
        command.args(["--log", "warn", "--data"]).arg(data.path());
    })
}

fn configured(cues: &Cued, auth: &Auth, data: PathBuf, listen: SocketAddr) -> ServerConfig {
    let mut config = ServerConfig::new(Arc::new(cues.clone()));
    config.auth = auth.clone();
    config.data = Some(data);
    config.listen = listen;
    // A browser's open sockets are no reason to wait.
    config.limits.shutdown = Duration::from_millis(200);
    config
}
