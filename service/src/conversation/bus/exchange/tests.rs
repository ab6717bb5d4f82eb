// SPDX-License-Identifier: MPL-2.0

use super::super::Stamp;
use super::super::outgoing::To;
use super::super::tests::interim;
use super::*;
use crate::conversation::entry::Body;

const TERMS: Terms = Terms {
    largest: 7_900,
    together: true,
    pace: Duration::ZERO,
};

fn entry(seq: u64) -> Arc<Entry> {
    let (at, body) = (0, Body::Opened { title: None });
    Arc::new(Entry { seq, at, body })
}

fn volatile(count: u64) -> Volatile {
    let stamp = Stamp {
        start_request: 5,
        count,
        behind: 0,
    };
    let shown = interim("so far");
    Volatile { stamp, shown }
}

/// Nodes on one server, which forgets what it is told to carry while it is away.
struct Server {
    nodes: Vec<Exchange>,
    notes: Vec<mpsc::Receiver<Note>>,
    now: Instant,
}

impl Server {
    fn new() -> Self {
        let nodes: Vec<Exchange> = (0..2).map(|_| Exchange::new()).collect();
        let notes = nodes.iter().map(|node| node.notes().expect("the first"));
        let notes = notes.collect();
        let now = Instant::now();
        let mut server = Self { nodes, notes, now };
        server.nodes.iter().for_each(Exchange::begin);
        server.carry(20);
        for n in 0..2 {
            assert_eq!(server.nodes[n].counts.up.get(), 1);
            assert!(server.heard(n).contains(&Note::News));
        }
        server
    }

    /// Carries what all nodes send in this many tenths of a second.
    fn carry(&mut self, tenths: u32) {
        for _ in 0..tenths {
            self.now += Duration::from_millis(100);
            for n in 0..self.nodes.len() {
                let (taken, due) = self.nodes[n].take(self.now, TERMS);
                assert!(
                    due > self.now || !taken.packets.is_empty(),
                    "it would turn idly"
                );
                for (to, text) in taken.packets {
                    assert_eq!(to, To::All);
                    self.nodes.iter().for_each(|node| node.heard(&text));
                }
            }
        }
    }

    /// Returns what a node has been told of others.
    fn heard(&mut self, n: usize) -> Vec<Note> {
        let mut heard = Vec::new();
        while let Ok(note) = self.notes[n].try_recv() {
            heard.push(note);
        }
        heard
    }
}

#[tokio::test]
async fn nodes_hear_each_other_and_not_themselves() {
    let mut server = Server::new();
    server.nodes[0].announce(9, &entry(4));
    server.carry(1);
    let note = Note::Entry {
        conversation: 9,
        seq: 4,
        entry: Some(entry(4)),
    };
    assert_eq!(server.heard(1), [note]);
    assert_eq!(server.heard(0), []);
}

#[tokio::test]
async fn interims_are_sent_where_another_node_has_listeners() {
    let mut server = Server::new();
    assert!(!server.nodes[0].is_wanted(9));
    server.nodes[1].follow(9, false);
    server.carry(1);
    assert!(!server.nodes[0].is_wanted(9), "it has none");
    server.nodes[1].follow(9, true);
    server.carry(1);
    assert!(server.nodes[0].is_wanted(9));
    assert!(!server.nodes[1].is_wanted(9), "not for its own");
    server.nodes[0].volatile(9, volatile(1));
    server.carry(1);
    let note = Note::Volatile {
        conversation: 9,
        volatile: Box::new(volatile(1)),
    };
    assert_eq!(server.heard(1), [note]);
    server.nodes[1].unfollow(9);
    server.carry(1);
    assert!(!server.nodes[0].is_wanted(9));
}

#[tokio::test]
async fn a_node_that_comes_later_learns_who_listens() {
    let mut server = Server::new();
    server.nodes[0].follow(9, true);
    server.carry(1);
    let late = Exchange::new();
    late.begin();
    server.notes.push(late.notes().expect("the first"));
    server.nodes.push(late);
    server.carry(10);
    assert!(server.nodes[2].is_wanted(9));
}

#[tokio::test]
async fn nothing_waits_for_a_server_that_is_away() {
    let mut server = Server::new();
    server.nodes[1].follow(9, true);
    server.carry(1);
    server.nodes[0].down("a test");
    assert_eq!(server.nodes[0].counts.up.get(), 0);
    assert!(!server.nodes[0].is_wanted(9));
    for seq in 0..10 {
        server.nodes[0].announce(9, &entry(seq));
        server.nodes[0].volatile(9, volatile(seq));
    }
    let (taken, _) = server.nodes[0].take(server.now, TERMS);
    assert_eq!((taken.announcements, taken.interims), (0, 0));
    server.nodes[0].begin();
    server.heard(1);
    server.carry(2);
    assert_eq!(server.nodes[0].counts.up.get(), 1, "it is back");
    assert!(
        server.heard(0).contains(&Note::News),
        "and looks at the logs"
    );
    assert_eq!(server.heard(1), [], "old announcements are not sent");
    assert!(server.nodes[0].is_wanted(9));
}

#[tokio::test]
async fn what_no_node_takes_is_left_out_within_a_bound() {
    let mut server = Server::new();
    let mut packet = super::super::packet::Packet::new(1, 1 << 20);
    let message = Message::Volatile(9, volatile(1))
        .text(true)
        .expect("a text");
    for _ in 0..1_000 {
        assert!(packet.add(&message));
    }
    let packet = packet.finish().expect("not empty");
    for _ in 0..10 {
        server.nodes[0].heard(&packet);
    }
    let dropped = server.nodes[0].counts.interims_dropped.get();
    assert_eq!(server.heard(0).len(), MOST_NOTES);
    assert_eq!(dropped, 10_000 - MOST_NOTES as u64);
    server.nodes[0].heard("not JSON");
    assert_eq!(server.heard(0), [Note::News]);
}

#[tokio::test(start_paused = true)]
async fn a_node_that_does_not_hear_itself_connects_again() {
    let exchange = Exchange::new();
    exchange.begin();
    // The clock of the test stands still, and that of the exchange goes on.
    let silent = tokio::time::timeout(Duration::from_secs(1), exchange.silence());
    assert!(silent.await.is_err(), "it has just begun");
    let long_ago = Instant::now() - LONGEST_SILENCE;
    exchange.state().heard = long_ago;
    let silent = tokio::time::timeout(Duration::from_secs(1), exchange.silence());
    assert!(silent.await.is_ok());
    let (taken, _) = exchange.take(Instant::now(), TERMS);
    taken
        .packets
        .iter()
        .for_each(|(_, text)| exchange.heard(text));
    let silent = tokio::time::timeout(Duration::from_secs(1), exchange.silence());
    assert!(silent.await.is_err(), "it hears itself");
}
