// SPDX-License-Identifier: MPL-2.0

//! What was said, compared with what every place has of it: the speakers, subscribers, the
//! Conversation API of each node, and the log itself.

use super::voice::Voice;
use super::*;
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep, timeout};

/// How long words may be on their way when all is said.
const LONGEST_WAY: Duration = Duration::from_secs(20);

/// A subscriber that notes what it is told.
pub struct Ear {
    pub room: String,
    told: Arc<Mutex<Told>>,
    task: JoinHandle<()>,
}

/// What a subscriber was told.
#[derive(Default, Clone, Debug)]
pub struct Told {
    /// `sequenceNumber` of each message.
    pub numbers: Vec<u64>,
    pub words: Vec<String>,
    pub completed: usize,
}

impl Ear {
    /// Subscribes to a conversation at a node.
    pub async fn open(place: &impl Place, room: &str) -> Self {
        let mut client = subscriber(place, room).await;
        let told = Arc::new(Mutex::new(Told::default()));
        let notes = Arc::clone(&told);
        let task = tokio::spawn(async move {
            loop {
                // It may be told nothing for longer than the client waits.
                let Ok(heard) = timeout(LONGEST_WAY, client.next()).await else {
                    continue;
                };
                let mut told = notes.lock().unwrap_or_else(PoisonError::into_inner);
                match heard.kind() {
                    "message_response" => {
                        let heard = heard.json();
                        let number = heard["sequenceNumber"].as_u64();
                        told.numbers.push(number.expect("a number"));
                        let parts = heard["messages"].as_array().expect("messages").iter();
                        let texts = parts.filter_map(|part| part["payload"]["content"].as_str());
                        told.words.extend(texts.flat_map(words_of));
                    }
                    "conversation_completed" => told.completed += 1,
                    "closed" => return,
                    _ => {}
                }
            }
        });
        let room = room.to_owned();
        Self { room, told, task }
    }

    pub fn told(&self) -> Told {
        let told = self.told.lock();
        told.unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Waits until its socket is closed, and returns what it was told.
    pub async fn end(&mut self) -> Told {
        in_time(&mut self.task).await.expect("a subscriber");
        self.told()
    }
}

impl Drop for Ear {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// What the speakers of a conversation have said.
type Said = Vec<Vec<String>>;

/// The words of each speaker of each conversation.
#[derive(Default)]
pub struct Ledger {
    /// By the id of the conversation.
    said: BTreeMap<String, (String, Said)>,
}

impl Ledger {
    /// Writes down what a speaker of a conversation says, in order.
    pub fn note(&mut self, conversation: &str, room: &str, words: Vec<String>) {
        let entry = self.said.entry(conversation.to_owned());
        let (_, said) = entry.or_insert_with(|| (room.to_owned(), Vec::new()));
        said.push(words);
    }

    /// Returns a ledger of what these speakers say.
    pub fn of(voices: &[Voice]) -> Self {
        let mut ledger = Self::default();
        for voice in voices {
            ledger.note(&voice.conversation, &voice.plan.room, voice.plan.words());
        }
        ledger
    }

    /// Asserts that each word is everywhere once and in the order of its speaker. Waits for
    /// what is on its way.
    pub async fn is_whole(&self, nodes: &[SocketAddr], ears: &[&Ear], database: (&Postgres, &str)) {
        let faults = self.faults(nodes, ears, database).await;
        assert_eq!(faults, Vec::<String>::new());
    }

    /// Returns what is wrong anywhere, when nothing is on its way any more.
    pub async fn faults(
        &self,
        nodes: &[SocketAddr],
        ears: &[&Ear],
        (postgres, url): (&Postgres, &str),
    ) -> Vec<String> {
        let end = Instant::now() + LONGEST_WAY;
        loop {
            let faults = self.compare(nodes, ears, (postgres, url)).await;
            if faults.is_empty() || Instant::now() > end {
                return faults;
            }
            sleep(Duration::from_millis(250)).await;
        }
    }

    /// Compares now, and returns what is wrong.
    pub async fn compare(
        &self,
        nodes: &[SocketAddr],
        ears: &[&Ear],
        (postgres, url): (&Postgres, &str),
    ) -> Vec<String> {
        let mut faults = Vec::new();
        for (id, (room, said)) in &self.said {
            let mut look = |place: &str, fault: Option<String>| {
                faults.extend(fault.map(|fault| format!("{room}, {place}: {fault}")));
            };
            for ear in ears.iter().filter(|ear| ear.room == *room) {
                let told = ear.told();
                look("subscriber", wrong(said, &told.words));
                let is_whole = told.numbers.windows(2).all(|pair| pair[0] + 1 == pair[1]);
                let numbers = || format!("numbers {:?}", told.numbers);
                look("subscriber", (!is_whole).then(numbers));
            }
            for node in nodes {
                let texts = history(node, id).await;
                let words: Vec<String> = texts.iter().flat_map(|text| words_of(text)).collect();
                look(&format!("REST of {node}"), wrong(said, &words));
            }
            look("log", wrong(said, &logged(postgres, url, id)));
            let sql = format!(
                "SELECT count(*) = max(seq) AND max(seq) = (SELECT head FROM conversation
                 WHERE id = {id}) FROM entry WHERE conversation = {id}"
            );
            let has_holes = postgres.ask(url, &sql) != "t";
            look("log", has_holes.then(|| "holes".to_owned()));
        }
        faults
    }
}

/// Returns the words of a conversation's log, in its order.
pub fn logged(postgres: &Postgres, url: &str, id: &str) -> Vec<String> {
    let sql = format!(
        "SELECT body::jsonb->'entry' FROM entry WHERE conversation = {id} AND kind = 'said'
         ORDER BY seq"
    );
    let bodies = postgres.ask(url, &sql);
    bodies.lines().flat_map(words_in).collect()
}

/// Returns the scripted words in the JSON of an entry, each as often as the text has it.
fn words_in(body: &str) -> Vec<String> {
    let value: Value = serde_json::from_str(body).expect("JSON");
    let messages = value["said"]["messages"].as_array();
    let texts = messages.into_iter().flatten();
    let texts = texts.filter_map(|message| message["text"].as_str());
    texts.flat_map(words_of).collect()
}

/// Returns what is wrong with words that these speakers are said to have said.
pub fn wrong(said: &Said, words: &[String]) -> Option<String> {
    let mut rest = words.len();
    for spoken in said {
        let own: Vec<&String> = words.iter().filter(|word| spoken.contains(word)).collect();
        rest -= own.len();
        if own.iter().copied().eq(spoken) {
            continue;
        }
        let missing: Vec<&String> = spoken.iter().filter(|word| !own.contains(word)).collect();
        let twice: Vec<&String> = spoken
            .iter()
            .filter(|&word| own.iter().filter(|&&other| other == word).count() > 1)
            .collect();
        return Some(format!("missing {missing:?}, twice {twice:?}, of {own:?}"));
    }
    (rest > 0).then(|| format!("{rest} words that nobody has said: {words:?}"))
}

#[test]
fn a_ledger_finds_what_is_missing_doubled_or_out_of_order() {
    let words = |text: &str| text.split(' ').map(str::to_owned).collect::<Vec<_>>();
    let said = vec![words("a b c"), words("x y")];
    assert_eq!(wrong(&said, &words("a x b c y")), None);
    for bad in ["a x b y", "a x b b c y", "a x c b y", "a x b c y z", "x y"] {
        assert!(wrong(&said, &words(bad)).is_some(), "{bad}");
    }
}
