// SPDX-License-Identifier: MPL-2.0

//! A speaker that behaves as `symblsink` does: it keeps what it has said until it hears the
//! final of it, dials another node when its socket is lost, and says the rest again.

use super::*;
use std::collections::HashMap;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::net::SocketAddr;
use std::sync::{Arc, LazyLock, Mutex, PoisonError};
use std::time::Instant;
use tokio::sync::Notify;
use tokio::task::JoinHandle;
use tokio::time::{sleep, sleep_until, timeout};
use tokio_tungstenite::tungstenite::Message;

/// Milliseconds of an utterance of two words with its pause.
const LONG: u64 = 1000;

/// Bytes of a message, which is 100 ms of audio.
const FRAME: usize = 3200;

/// Messages of an utterance.
const FRAMES: u32 = 10;

/// The message of an utterance after which its final is due: 400 ms of words, and the 300 ms
/// of silence that end it.
const LAST_NEEDED: u32 = 7;

/// Time between two dials.
const PAUSE: Duration = Duration::from_millis(100);

/// How long a dial, and the answer to a start request, may take.
const LONGEST_START: Duration = Duration::from_secs(10);

/// How long a speaker may try to be heard as a whole, on a busy machine.
const LONGEST: Duration = Duration::from_secs(240);

/// The nodes that speakers dial.
#[derive(Clone, Default)]
pub struct Places(Arc<Mutex<Vec<SocketAddr>>>);

impl Places {
    pub fn new(nodes: impl IntoIterator<Item = SocketAddr>) -> Self {
        Self(Arc::new(Mutex::new(nodes.into_iter().collect())))
    }

    /// Sets the nodes that are dialled from now on.
    pub fn set(&self, nodes: impl IntoIterator<Item = SocketAddr>) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = nodes.into_iter().collect();
    }

    fn turn(&self, n: usize) -> Option<SocketAddr> {
        let all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        all.get(n.checked_rem(all.len())?).copied()
    }

    fn len(&self) -> usize {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).len()
    }
}

/// Returns how many nodes after the one that it was on a speaker dials next. All others are as
/// likely, as behind a balancer: if all speakers of a dead node dialled the same one, that one
/// would do all the work of the others.
fn step(name: &str, attempt: u64, nodes: usize) -> usize {
    let mut hasher = DefaultHasher::new();
    (name, attempt).hash(&mut hasher);
    let others = nodes.saturating_sub(1).max(1) as u64;
    1 + usize::try_from(hasher.finish() % others).expect("few")
}

/// A time without a socket.
#[derive(Clone, Copy, Debug)]
pub struct Away {
    pub since: Instant,
    pub lasted: Duration,
}

/// What a speaker is to say.
#[derive(Clone)]
pub struct Plan {
    pub name: String,
    pub room: String,
    /// Its first word; no other speaker of the room has those that follow.
    pub first: u16,
    pub utterances: u16,
    /// Time from the begin of an utterance to that of the next one.
    pub pace: Duration,
    /// How long it waits for a final that it is owed before it dials again.
    pub patience: Duration,
    /// `true` to send each message when it would have been spoken; else an utterance is sent
    /// at once.
    pub live: bool,
}

impl Plan {
    /// Returns the words in the order in which they are said.
    pub fn words(&self) -> Vec<String> {
        let last = self.first + 2 * self.utterances;
        (self.first..last).map(|word| format!("w{word}")).collect()
    }

    /// Returns the utterance of a word, if it is one of these.
    fn utterance(&self, word: &str) -> Option<u16> {
        let number: u16 = word.strip_prefix('w')?.parse().ok()?;
        let place = number.checked_sub(self.first)?;
        (place < 2 * self.utterances).then_some(place / 2)
    }

    /// Returns the sound of an utterance, which speakers share that say the same.
    fn audio(&self, utterance: u16) -> Arc<Vec<u8>> {
        static KNOWN: LazyLock<Mutex<HashMap<u16, Arc<Vec<u8>>>>> = LazyLock::new(Mutex::default);
        let first = self.first + 2 * utterance;
        let mut known = KNOWN.lock().unwrap_or_else(PoisonError::into_inner);
        let audio = known.entry(first);
        Arc::clone(audio.or_insert_with(|| Arc::new(said(first..first + 2))))
    }
}

/// What a speaker has heard and how its sockets have ended.
#[derive(Default, Clone, Debug)]
pub struct Heard {
    /// Its own words, as finals.
    pub words: Vec<String>,
    /// The close code of each socket that has ended before all was said.
    pub closes: Vec<Option<u16>>,
    /// How often it was told that its words cannot be stored.
    pub failures: usize,
    /// Those interruptions, each from the loss of a socket to the start on the next one.
    pub away: Vec<Away>,
    /// Milliseconds from the moment an utterance was sent up to its pause to its final, of
    /// those that were sent once.
    pub delays: Vec<u64>,
}

/// A speaker that speaks.
pub struct Voice {
    pub plan: Plan,
    /// The id of the conversation that it is in.
    pub conversation: String,
    heard: Arc<Mutex<Heard>>,
    speaks: Arc<Notify>,
    task: JoinHandle<()>,
}

impl Voice {
    /// Starts a speaker at the `turn`th node, and returns when it is in its conversation. It
    /// says nothing yet.
    pub async fn start(plan: Plan, places: &Places, turn: usize) -> Self {
        let heard = Arc::new(Mutex::new(Heard::default()));
        let mut speaker = Speaker {
            plan: plan.clone(),
            places: places.clone(),
            turn,
            attempt: 0,
            finals: 0,
            starts: Vec::new(),
            told: HashMap::new(),
            heard: Arc::clone(&heard),
        };
        let begun = in_time(speaker.dial()).await;
        let conversation = begun.conversation.clone();
        let speaks = Arc::new(Notify::new());
        let begin = Arc::clone(&speaks);
        let longest = LONGEST + 2 * plan.pace * u32::from(plan.utterances);
        let task = tokio::spawn(async move {
            begin.notified().await;
            let talk = speaker.talk(begun);
            timeout(longest, talk).await.expect("all is said in time");
        });
        Self {
            plan,
            conversation,
            heard,
            speaks,
            task,
        }
    }

    /// Lets it speak.
    pub fn speak(&self) {
        self.speaks.notify_one();
    }

    /// Returns what it has heard so far.
    pub fn heard(&self) -> Heard {
        let heard = self.heard.lock();
        heard.unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Waits until it has heard the finals of so many utterances.
    pub async fn until(&self, utterances: usize) {
        in_time(async {
            while self.heard().words.len() < 2 * utterances {
                sleep(Duration::from_millis(20)).await;
            }
        })
        .await;
    }

    /// Waits until it has said everything and has heard that.
    pub async fn end(&mut self) -> Heard {
        (&mut self.task).await.expect("a speaker");
        self.heard()
    }
}

impl Drop for Voice {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// A socket that has started.
struct Begun {
    client: Client,
    conversation: String,
    /// The utterance that it begins with.
    from: u16,
    /// What came before the start was acknowledged.
    messages: Vec<Value>,
}

struct Speaker {
    plan: Plan,
    places: Places,
    turn: usize,
    attempt: u64,
    /// Number of utterances of which it has heard the final.
    finals: u16,
    /// The utterance that each of its sockets began with.
    starts: Vec<u16>,
    /// How often it was told each message, by id.
    told: HashMap<String, usize>,
    heard: Arc<Mutex<Heard>>,
}

impl Speaker {
    fn note(&self, note: impl FnOnce(&mut Heard)) {
        note(&mut self.heard.lock().unwrap_or_else(PoisonError::into_inner));
    }

    /// Dials until it is in its conversation.
    async fn dial(&mut self) -> Begun {
        loop {
            if let Some(place) = self.places.turn(self.turn) {
                self.attempt += 1;
                let begun = timeout(LONGEST_START, self.begin(place)).await;
                if let Ok(Some(begun)) = begun {
                    self.starts.push(begun.from);
                    for message in &begun.messages {
                        self.take(message, &[]);
                    }
                    return begun;
                }
            }
            self.move_on();
            sleep(PAUSE).await;
        }
    }

    /// Turns to another node.
    fn move_on(&mut self) {
        self.turn += step(&self.plan.name, self.attempt, self.places.len());
    }

    async fn begin(&self, place: SocketAddr) -> Option<Begun> {
        let path = format!("/v1/streaming/{}", self.plan.room);
        let (mut client, _) = Client::open(&place, &path, &[]).await.ok()?;
        let from = self.finals;
        let position = u64::from(from) * LONG;
        let request = start_at(&self.plan.name, self.attempt, position);
        let request = Message::text(request.to_string());
        if !client.try_send(request).await {
            return None;
        }
        // What its earlier socket has said may be told meanwhile.
        let mut messages = Vec::new();
        loop {
            let heard = client.next().await;
            match heard.kind() {
                "message_response" => messages.push(heard.json().clone()),
                "recognition_started" => {
                    let id = &heard.json()["message"]["data"]["conversationId"];
                    let conversation = id.as_str().expect("an id").to_owned();
                    return Some(Begun {
                        client,
                        conversation,
                        from,
                        messages,
                    });
                }
                "closed" => return None,
                _ => {}
            }
        }
    }

    /// Says everything, on as many sockets as that takes.
    async fn talk(mut self, begun: Begun) {
        let (mut client, mut from) = (begun.client, begun.from);
        loop {
            let code = self.speak(&mut client, from).await;
            if self.finals == self.plan.utterances {
                break;
            }
            let since = Instant::now();
            self.note(|heard| heard.closes.push(code));
            drop(client);
            self.move_on();
            let begun = self.dial().await;
            (client, from) = (begun.client, begun.from);
            let lasted = since.elapsed();
            self.note(|heard| heard.away.push(Away { since, lasted }));
        }
        // The end of the conversation is not waited for: others may speak.
        let stop = json!({"type": "stop_request"}).to_string();
        if client.try_send(Message::text(stop)).await {
            // Its node may be killed just now. All was said.
            loop {
                let heard = client.next().await;
                if heard.kind() == "conversation_completed" || heard == super::Heard::Closed(None) {
                    break;
                }
                assert_ne!(heard.kind(), "closed", "{heard:?}");
            }
        }
    }

    /// Speaks on a socket, from an utterance on, until all was heard or the socket is lost.
    /// Returns how it ended.
    async fn speak(&mut self, client: &mut Client, from: u16) -> Option<u16> {
        // The next message, of the next utterance.
        let (mut sent, mut frame) = (from, 0);
        let mut times: Vec<(u16, Instant)> = Vec::new();
        let mut next = tokio::time::Instant::now();
        let mut owed_since = next;
        while self.finals < self.plan.utterances {
            let is_due = sent < self.plan.utterances;
            tokio::select! {
                () = sleep_until(next), if is_due => {
                    let audio = self.plan.audio(sent);
                    let frames = if self.plan.live { frame + 1 } else { FRAMES };
                    while frame < frames {
                        let chunk = audio.chunks(FRAME).nth(frame as usize).expect("a second");
                        let message = Message::binary(chunk.to_vec());
                        match timeout(self.plan.patience, client.try_send(message)).await {
                            Ok(true) => {}
                            _ => return self.ending(client).await,
                        }
                        if frame == LAST_NEEDED {
                            times.push((sent, Instant::now()));
                        }
                        frame += 1;
                    }
                    let length = Duration::from_millis(LONG) / FRAMES * (FRAMES - 1);
                    if frame < FRAMES {
                        next += Duration::from_millis(LONG) / FRAMES;
                        continue;
                    }
                    if sent <= self.finals {
                        owed_since = tokio::time::Instant::now();
                    }
                    (sent, frame) = (sent + 1, 0);
                    next = match self.plan.live {
                        true => next + self.plan.pace.saturating_sub(length),
                        false => tokio::time::Instant::now() + self.plan.pace,
                    };
                }
                heard = client.next() => match heard.kind() {
                    "message_response" if self.take(heard.json(), &times) => {
                        owed_since = tokio::time::Instant::now();
                    }
                    "processing_terminated" => return None,
                    "error" => {
                        let is_storage = heard.json().to_string().contains("storage_failed");
                        self.note(|heard| heard.failures += usize::from(is_storage));
                    }
                    _ => if let super::Heard::Closed(code) = heard {
                        return code;
                    }
                },
                () = sleep_until(owed_since + self.plan.patience), if sent > self.finals => {
                    return None;
                }
            }
        }
        None
    }

    /// Returns how a socket ended that takes nothing any more.
    async fn ending(&mut self, client: &mut Client) -> Option<u16> {
        let rest = timeout(PAUSE, client.rest()).await.ok()?;
        match rest.last() {
            Some(super::Heard::Closed(code)) => *code,
            _ => None,
        }
    }

    /// Returns `true` if a message of this utterance may have come before: one that it says
    /// again is told again, and its room may have told it just before that.
    fn is_known(&mut self, message: &Value, utterance: u16) -> bool {
        let id = message["messages"][0]["id"].as_str().expect("an id");
        let told = self.told.entry(id.to_owned()).or_default();
        *told += 1;
        let said = self.starts.iter().filter(|from| **from <= utterance);
        (2..=said.count()).contains(told)
    }

    /// Notes a message, if it is its own. Returns `true` if so.
    fn take(&mut self, message: &Value, times: &[(u16, Instant)]) -> bool {
        let texts = message["messages"].as_array().expect("messages").iter();
        let texts = texts.filter_map(|message| message["payload"]["content"].as_str());
        let mut words: Vec<String> = texts.flat_map(words_of).collect();
        words.retain(|word| self.plan.utterance(word).is_some());
        let last = words.last().and_then(|word| self.plan.utterance(word));
        let Some(utterance) = last else {
            return false;
        };
        self.finals = self.finals.max(utterance + 1);
        if self.is_known(message, utterance) {
            return true;
        }
        let sent = times.iter().rev().find(|(number, _)| *number == utterance);
        self.note(|heard| {
            heard.words.extend(words);
            if let (Some((_, sent)), true) = (sent, heard.closes.is_empty()) {
                let delay = sent.elapsed().as_millis();
                heard.delays.push(u64::try_from(delay).expect("short"));
            }
        });
        true
    }
}
