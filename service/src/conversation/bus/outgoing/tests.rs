// SPDX-License-Identifier: MPL-2.0

use super::super::Stamp;
use super::super::packet::{Heard, read};
use super::super::tests::interim;
use super::*;
use crate::conversation::bus::Note;
use crate::conversation::entry::{TrackerMatch, Transcribed};

const TOGETHER: Terms = Terms {
    largest: 7_900,
    together: true,
    pace: Duration::from_millis(20),
};

const APART: Terms = Terms {
    largest: 64 << 10,
    together: false,
    pace: Duration::ZERO,
};

const MS: Duration = Duration::from_millis(1);

fn volatile(start_request: i64, count: u64, shown: Shown) -> Volatile {
    let stamp = Stamp {
        start_request,
        count,
        behind: 0,
    };
    Volatile { stamp, shown }
}

fn said(seq: u64, start: i64, text: &str) -> Arc<Entry> {
    let said = Transcribed {
        start,
        text: text.to_owned(),
        ..Transcribed::default()
    };
    Arc::new(Entry {
        seq,
        at: 0,
        body: Body::Said(Box::new(said)),
    })
}

/// Returns what the packets say: `e4` and `E4` for an entry without and with content, `i3`
/// for an interim.
fn heard(taken: &Taken) -> Vec<String> {
    let mut all = Vec::new();
    for (_, text) in &taken.packets {
        let (from, heard) = read(text).expect("a packet");
        assert_eq!(from, 7);
        all.extend(heard.into_iter().map(|heard| match heard {
            Heard::Note(Note::Entry { seq, entry, .. }) => match entry {
                Some(_) => format!("E{seq}"),
                None => format!("e{seq}"),
            },
            Heard::Note(Note::Volatile { volatile, .. }) => format!("i{}", volatile.stamp.count),
            other => format!("{other:?}"),
        }));
    }
    all
}

#[test]
fn of_a_stream_the_last_interim_is_sent_five_times_a_second() {
    for terms in [TOGETHER, APART] {
        let mut now = Instant::now();
        let mut outgoing = Outgoing::new(7);
        let mut sent = 0;
        let mut last = String::new();
        for count in 1..=100 {
            outgoing.show(1, volatile(5, count, interim("so far")), now);
            if outgoing.due(now).is_some_and(|due| due <= now) {
                let taken = outgoing.take(now, terms);
                sent += taken.interims;
                last = heard(&taken).pop().unwrap_or(last);
                assert_eq!(last, format!("i{count}"), "the latest");
            }
            now += 10 * MS;
        }
        assert_eq!(sent, 5, "in a second");
        let due = outgoing.due(now).expect("one waits");
        assert!(due <= now + PACE, "and is sent");
        assert_eq!(heard(&outgoing.take(due, terms)), ["i100"]);
        assert_eq!(outgoing.dropped(), 94);
        assert!(outgoing.due(due).is_none());
    }
}

#[test]
fn an_interim_that_waits_is_not_sent_after_its_final() {
    let now = Instant::now();
    let mut outgoing = Outgoing::new(7);
    outgoing.show(1, volatile(5, 1, interim("a")), now);
    outgoing.show(1, volatile(6, 1, interim("of another")), now);
    outgoing.announce(1, &said(3, 5, "a b"));
    let taken = outgoing.take(now, TOGETHER);
    assert_eq!(heard(&taken), ["E3", "i1"]);
    assert_eq!((taken.announcements, taken.interims), (1, 1));
    assert!(outgoing.due(now).is_none());
}

#[test]
fn matches_of_trackers_are_not_replaced_by_an_interim() {
    let now = Instant::now();
    let mut outgoing = Outgoing::new(7);
    let matches = || Shown::Trackers(vec![TrackerMatch::default()]);
    outgoing.show(1, volatile(5, 1, interim("a")), now);
    outgoing.show(1, volatile(5, 2, matches()), now);
    outgoing.show(1, volatile(5, 3, interim("a b")), now);
    assert_eq!(heard(&outgoing.take(now, TOGETHER)), ["i2", "i3"]);
}

#[test]
fn packets_of_interims_have_a_size_and_a_rate() {
    let mut now = Instant::now();
    let mut outgoing = Outgoing::new(7);
    for stream in 0..300 {
        let text = format!("{stream} {}", "x".repeat(100));
        outgoing.show(1, volatile(stream, 1, interim(&text)), now);
    }
    let begun = now;
    let (mut packets, mut interims) = (0, 0);
    while let Some(due) = outgoing.due(now) {
        now = now.max(due);
        let taken = outgoing.take(now, TOGETHER);
        assert!(taken.packets.len() <= 1, "no packet before its time");
        for (to, text) in &taken.packets {
            assert_eq!(*to, To::All);
            assert!(text.len() <= 7_900, "{}", text.len());
            packets += 1;
        }
        interims += heard(&taken).len();
        let more = outgoing.take(now, TOGETHER);
        assert!(more.packets.is_empty(), "it is not time for another one");
    }
    assert_eq!(interims, 300);
    assert!(packets > 3, "{packets}");
    assert_eq!(now - begun, TOGETHER.pace * (packets - 1));
    assert_eq!(outgoing.dropped(), 0);
}

#[test]
fn an_interim_that_is_too_large_is_sent_without_times_or_not_at_all() {
    let now = Instant::now();
    let mut outgoing = Outgoing::new(7);
    let long = |words: usize| {
        let words = vec!["word"; words].join(" ");
        let Shown::Interim(mut copy) = interim(&words) else {
            panic!("an interim");
        };
        copy.times = words
            .split(' ')
            .map(|_| (1_000_000_000, 2_000_000_000))
            .collect();
        Shown::Interim(copy)
    };
    outgoing.show(1, volatile(1, 1, long(500)), now);
    outgoing.show(1, volatile(2, 2, long(5_000)), now);
    assert_eq!(heard(&outgoing.take(now, TOGETHER)), ["i1"]);
    assert_eq!(outgoing.dropped(), 1);
    assert!(outgoing.due(now).is_none());
}

#[test]
fn many_announcements_are_put_together_and_those_beyond_have_no_content() {
    let now = Instant::now();
    let mut outgoing = Outgoing::new(7);
    let text = "x".repeat(1_000);
    for seq in 1..=200 {
        outgoing.announce(1, &said(seq, 5, &text));
    }
    let taken = outgoing.take(now, TOGETHER);
    assert!(
        taken.packets.len() <= MOST_PACKETS + 1,
        "{}",
        taken.packets.len()
    );
    let mut all = heard(&taken);
    assert_eq!(all.first().map(String::as_str), Some("E1"));
    assert_eq!(all.last().map(String::as_str), Some("e64"));
    while outgoing.due(now).is_some() {
        all.extend(heard(&outgoing.take(now, TOGETHER)));
    }
    assert_eq!(all.len(), 200);
    let numbers = all
        .iter()
        .map(|one| one[1..].parse::<i32>().expect("a number"));
    assert!(numbers.eq(1..=200), "in order");
    // One that no packet has room for is announced all the same.
    outgoing.announce(1, &said(201, 5, &"x".repeat(9_000)));
    assert_eq!(heard(&outgoing.take(now, TOGETHER)), ["e201"]);
}

#[test]
fn each_message_goes_to_those_that_follow_its_conversation_where_that_is_possible() {
    let now = Instant::now();
    let mut outgoing = Outgoing::new(7);
    outgoing.announce(1, &said(3, 5, "a"));
    outgoing.announce(2, &said(4, 6, "b"));
    outgoing.show(2, volatile(6, 9, interim("c")), now);
    outgoing.say(Message::Hello);
    outgoing.say(Message::Beat);
    let taken = outgoing.take(now, APART);
    let to: Vec<To> = taken.packets.iter().map(|(to, _)| *to).collect();
    let [one, two] = [1, 2].map(To::Conversation);
    assert_eq!(to, [To::All, To::Own, one, two, two]);
    assert_eq!((taken.own, taken.announcements, taken.interims), (2, 2, 1));
}

#[test]
fn nothing_grows_beyond_its_bound() {
    let now = Instant::now();
    let mut outgoing = Outgoing::new(7);
    for n in 0..10_000 {
        outgoing.announce(-5, &said(n, 5, "a"));
        outgoing.say(Message::Beat);
        outgoing.show(n as i64, volatile(5, 1, interim("a")), now);
    }
    assert_eq!(outgoing.entries.len(), MOST_ENTRIES);
    assert_eq!(outgoing.own.len(), MOST_OWN);
    assert_eq!(
        (outgoing.streams.len(), outgoing.due.len()),
        (MOST_STREAMS, MOST_STREAMS)
    );
    assert_eq!(outgoing.dropped(), 10_000 - MOST_STREAMS as u64);
    let all = heard(&outgoing.take(now, APART));
    assert!(
        all.contains(&"Note(News)".to_owned()),
        "entries were left out"
    );
    let mut later = now;
    while let Some(due) = outgoing.due(later) {
        later = later.max(due);
        outgoing.take(later, APART);
    }
    // Streams that have sent are forgotten when there is no room for others.
    later += PACE;
    outgoing.show(-1, volatile(5, 1, interim("a")), later);
    assert_eq!((outgoing.streams.len(), outgoing.dropped()), (1, 0));
    outgoing.clear();
    assert!(outgoing.due(later).is_none());
}
