// SPDX-License-Identifier: MPL-2.0

//! What was said, compared with what every place has of it: the speakers, subscribers, the
//! Conversation API of each node, and the log itself.

use super::voice::Voice;
use super::*;
use futures_util::{StreamExt, stream};
use std::collections::{BTreeMap, HashMap, HashSet};
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep, timeout};

/// How long words may be on their way when all is said.
const LONGEST_WAY: Duration = Duration::from_secs(20);

/// Requests to the Conversation API that are made at the same time.
const AT_ONCE: usize = 8;

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
        let faults = self.faults(nodes, ears, Some(database)).await;
        assert_eq!(faults, Vec::<String>::new());
    }

    /// Returns what is wrong anywhere, when nothing is on its way any more.
    pub async fn faults(
        &self,
        nodes: &[SocketAddr],
        ears: &[&Ear],
        database: Option<(&Postgres, &str)>,
    ) -> Vec<String> {
        let end = Instant::now() + LONGEST_WAY;
        loop {
            let faults = self.compare(nodes, ears, database).await;
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
        database: Option<(&Postgres, &str)>,
    ) -> Vec<String> {
        let mut faults = Vec::new();
        let mut look = |room: &str, place: &str, fault: Option<String>| {
            faults.extend(fault.map(|fault| format!("{room}, {place}: {fault}")));
        };
        for (room, said) in self.said.values() {
            for ear in ears.iter().filter(|ear| ear.room == *room) {
                let told = ear.told();
                look(room, "subscriber", wrong(said, &told.words));
                let is_whole = told.numbers.windows(2).all(|pair| pair[0] + 1 == pair[1]);
                let numbers = || format!("numbers {:?}", told.numbers);
                look(room, "subscriber", (!is_whole).then(numbers));
            }
        }
        let asked = self
            .said
            .keys()
            .flat_map(|id| nodes.iter().map(move |node| (id, node)));
        let answers =
            stream::iter(asked).map(async |(id, node)| (id, node, history(node, id).await));
        let mut answers = Box::pin(answers.buffer_unordered(AT_ONCE));
        while let Some((id, node, texts)) = answers.next().await {
            let (room, said) = &self.said[id];
            let words: Vec<String> = texts.iter().flat_map(|text| words_of(text)).collect();
            look(room, &format!("REST of {node}"), wrong(said, &words));
        }
        // A service alone has no other log than what it answers.
        let Some((postgres, url)) = database else {
            return faults;
        };
        let mut logs = logs(postgres, url);
        let holes = holes(postgres, url);
        for (id, (room, said)) in &self.said {
            look(
                room,
                "log",
                wrong(said, &logs.remove(id).unwrap_or_default()),
            );
            look(room, "log", holes.contains(id).then(|| "holes".to_owned()));
        }
        faults
    }
}

/// Returns the words of the log of each conversation, in its order.
fn logs(postgres: &Postgres, url: &str) -> HashMap<String, Vec<String>> {
    let sql = "SELECT conversation, (SELECT string_agg(m->>'text', ' ')
        FROM jsonb_array_elements(body::jsonb->'entry'->'said'->'messages') m)
        FROM entry WHERE kind = 'said' ORDER BY conversation, seq";
    let mut logs: HashMap<String, Vec<String>> = HashMap::new();
    for line in postgres.ask(url, sql).lines() {
        let (id, text) = line.split_once('|').expect("two columns");
        logs.entry(id.to_owned())
            .or_default()
            .extend(words_of(text));
    }
    logs
}

/// Returns the conversations whose entries are not numbered 1, 2, 3 … up to their heads.
fn holes(postgres: &Postgres, url: &str) -> HashSet<String> {
    let sql = "SELECT c.id FROM conversation c LEFT JOIN entry e ON e.conversation = c.id
        GROUP BY c.id HAVING count(e.seq) <> c.head OR max(e.seq) <> c.head";
    postgres.ask(url, sql).lines().map(str::to_owned).collect()
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

/// Returns what is wrong with words that these speakers are said to have said. No two of them
/// have a word in common.
pub fn wrong(said: &[Vec<String>], words: &[String]) -> Option<String> {
    let speakers = said.iter().enumerate();
    let speakers = speakers.flat_map(|(n, spoken)| spoken.iter().map(move |word| (word, n)));
    let speakers: HashMap<&String, usize> = speakers.collect();
    let mut heard: Vec<Vec<&String>> = vec![Vec::new(); said.len()];
    let mut strange = 0;
    for word in words {
        match speakers.get(word) {
            Some(n) => heard[*n].push(word),
            None => strange += 1,
        }
    }
    for (spoken, own) in said.iter().zip(heard) {
        if own.iter().copied().eq(spoken) {
            continue;
        }
        let mut times: HashMap<&String, usize> = HashMap::new();
        for word in &own {
            *times.entry(word).or_default() += 1;
        }
        let missing = spoken.iter().filter(|word| !times.contains_key(word));
        let missing: Vec<&String> = missing.collect();
        let twice = spoken.iter().filter(|word| times.get(word) > Some(&1));
        let twice: Vec<&String> = twice.collect();
        return Some(format!("missing {missing:?}, twice {twice:?}, of {own:?}"));
    }
    (strange > 0).then(|| format!("{strange} words that nobody has said: {words:?}"))
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
