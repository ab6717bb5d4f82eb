// SPDX-License-Identifier: MPL-2.0

//! What a node writes in the differential test, as the database and the rules are asked.

use super::{Answers, Run, SECOND, id_of, kinds, kinds_by_rule};
use crate::conversation::entry::{Message, Part, Sent, Speaker, Transcribed};
use crate::conversation::log::{Begun, Sending, StartRecord, StreamPosition, Verdict};
use crate::store::postgres::form::asked;
use crate::store::sqlite::record::{Outcome, Record};
use serde_json::json;
use symbl_log::cluster::{self, Ended, Fenced, Joined, Said, Start, StreamStart, Wanted};

impl Run {
    pub(super) async fn join(&mut self, node: usize) -> Answers {
        let connection = self.pick(&["a", "b", "c"]);
        let seat = self.rng.u8(0..4) > 0;
        let anew = seat && self.rng.u8(0..8) == 0;
        let regardless = self.rng.bool();
        let new = seat.then(|| self.next());
        let session = id_of(self.last);
        let asked = json!({
            "k": "join", "account": "app", "connection": connection, "seat": seat, "c": new,
            "session": session, "anew": anew, "regardless": regardless,
        });
        let answer = self.write(node, asked).await;
        let wanted = Wanted {
            connection,
            new,
            anew,
            regardless,
        };
        let joined = self.rules.join(&self.nodes[node], &wanted, self.now);
        let joined = match joined {
            Err(Fenced) => None,
            Ok(Joined::None) => Some(json!({"v": "none"})),
            Ok(Joined::New) => Some(json!({"v": "new"})),
            Ok(Joined::Closing) => Some(json!({"v": "closing"})),
            Ok(Joined::Known {
                conversation,
                begun,
                waits,
            }) => Some(json!({"v": "known", "c": conversation, "begun": begun, "waits": waits})),
        };
        // The session id is that of the conversation, which the rules do not know.
        let answer = answer.map(|mut answer| {
            answer
                .as_object_mut()
                .map(|answer| answer.remove("session"));
            answer
        });
        if joined == Some(json!({"v": "new"})) {
            self.conversations.extend(new);
        }
        let same = answer == joined;
        let (answer, joined) = (format!("{answer:?}"), format!("{joined:?}"));
        match same {
            true => (joined.clone(), joined),
            false => (answer, joined),
        }
    }

    pub(super) async fn start(&mut self, node: usize) -> Answers {
        let conversation = self.conversation();
        let connection = self.pick(&["a", "b", "c"]);
        let member = self.pick(&[None, Some("ada"), Some("bob"), Some("bob"), Some("eve")]);
        let name = self.pick(&[None, None, Some("One"), Some("Two")]);
        let stream = self.pick(&[None, Some("s"), Some("s"), Some("t")]);
        let stream = stream.map(|stream| StreamStart {
            stream,
            attempt: self.rng.u64(1..9),
            position: self.rng.u64(0..12),
        });
        let start = Start {
            conversation,
            connection,
            keep: self.rng.i64(0..8),
            ends: (self.rng.u8(0..6) == 0).then(|| self.now + self.rng.i64(0..4) * SECOND),
            member: member.map(|member| (member, name)),
            stream,
            again: self.rng.bool(),
        };
        let record = Record::Start(StartRecord {
            conversation,
            account: "app".to_owned(),
            connection_id: connection.to_owned(),
            session: id_of(conversation),
            title: None,
            at: self.now,
            keep: start.keep,
            speaker: member.map(|id| Speaker {
                id: id.to_owned(),
                user_id: None,
                name: name.map(str::to_owned),
            }),
            ends: start.ends,
            stream_position: stream.map(|at| StreamPosition {
                stream: at.stream.to_owned(),
                attempt: at.attempt,
                position: at.position,
            }),
        });
        let begun = self.record(node, &record, start.again).await;
        let begun = begun.map(|begun| match begun {
            Outcome::Begun(Begun::Superseded, new) => format!("superseded {}", kinds(&new)),
            Outcome::Begun(
                Begun::Here {
                    said_until,
                    unheard,
                },
                new,
            ) => {
                let unheard: Vec<u64> = unheard.iter().map(|entry| entry.seq).collect();
                format!("{said_until} {unheard:?} {}", kinds(&new))
            }
            other => format!("{other:?}"),
        });
        let by_rule = self.rules.start(&self.nodes[node], &start).ok();
        let by_rule = by_rule.map(|(begun, new)| match begun {
            cluster::Begun::Superseded => format!("superseded {}", kinds_by_rule(new)),
            cluster::Begun::Here {
                said_until,
                unheard,
            } => format!("{said_until} {unheard:?} {}", kinds_by_rule(new)),
        });
        (format!("{begun:?}"), format!("{by_rule:?}"))
    }

    /// Returns a final of a conversation, or one that was drawn before.
    pub(super) fn draw_final(&mut self) -> (i64, Transcribed, bool) {
        if self.rng.u8(0..4) == 0 && !self.finals.is_empty() {
            let of = self.rng.usize(0..self.finals.len());
            let (conversation, said) = self.finals[of].clone();
            return (conversation, said, true);
        }
        let conversation = self.conversation();
        let stream = self.pick(&[None, Some("s"), Some("s"), Some("t")]);
        let part = stream.map(|stream| {
            let from = self.rng.u64(0..12);
            let known = self.rules.conversation(conversation);
            let known = known.and_then(|known| Some(known.stream(stream)?.attempt));
            let latest = known.filter(|_| self.rng.u8(0..4) > 0);
            Part {
                stream: stream.to_owned(),
                attempt: latest.unwrap_or_else(|| self.rng.u64(1..9)),
                base: 0,
                from,
                until: from + self.rng.u64(0..6),
            }
        });
        let message = Message {
            id: self.next(),
            ..Message::default()
        };
        let said = Transcribed {
            start: self.now,
            messages: vec![message],
            part,
            ..Transcribed::default()
        };
        self.finals.push((conversation, said.clone()));
        (conversation, said, self.rng.u8(0..8) == 0)
    }

    pub(super) async fn say(&mut self, node: usize) -> Option<Answers> {
        let (conversation, said, again) = self.draw_final();
        // No node says anything in a conversation that it has not begun.
        self.rules.conversation(conversation)?;
        let message = said.messages[0].id;
        let part = said.part.clone();
        if !again {
            // The database refuses another message with the same id.
            let is_new = |(_, known): &&(i64, Transcribed)| known.messages[0].id == message;
            assert_eq!(self.finals.iter().filter(is_new).count(), 1);
        }
        let by_rule = Said {
            message,
            part: part
                .as_ref()
                .map(|part| (part.stream.as_str(), part.heard())),
            again,
        };
        let by_rule = self.rules.append(&self.nodes[node], conversation, &by_rule);
        let by_rule = by_rule.ok().map(|verdict| match verdict {
            cluster::Verdict::Stored { seq, number } => (Verdict::Stored(seq), Some(number)),
            cluster::Verdict::Refused(refusal) => (refusal.into(), None),
        });
        let said = Box::new(said);
        let record = Record::Said { conversation, said };
        let verdict = self.record(node, &record, again).await;
        let verdict = verdict.map(|outcome| match outcome {
            Outcome::Said(verdict, entry) => {
                let said = entry.as_ref().and_then(|entry| entry.body.said());
                (verdict, said.map(|said| said.number))
            }
            other => panic!("{other:?}"),
        });
        Some((format!("{verdict:?}"), format!("{by_rule:?}")))
    }

    pub(super) async fn send(&mut self, node: usize) -> Answers {
        let conversation = self.conversation();
        let client = self.pick(&["1", "2", "3", "4", "5", "6", "7", "8"]);
        let ends = self
            .rng
            .bool()
            .then(|| self.now + self.rng.i64(0..9) * SECOND);
        let sent = Sent {
            client_id: client.to_owned(),
            ..Sent::default()
        };
        let record = Record::Sent {
            conversation,
            sent,
            ends,
        };
        let sending = self.record(node, &record, false).await;
        let sending = sending.map(|outcome| match outcome {
            Outcome::Sent(sending, _) => sending,
            other => panic!("{other:?}"),
        });
        let me = &self.nodes[node];
        let by_rule = self.rules.send(me, conversation, client, ends).ok();
        let by_rule = by_rule.map(|sent| match sent {
            cluster::Sent::Stored(seq) => Sending::Stored(seq),
            cluster::Sent::Known(seq) => Sending::Already(seq),
            cluster::Sent::Over => Sending::Over,
        });
        (format!("{sending:?}"), format!("{by_rule:?}"))
    }

    /// Lets the speakers of a node leave, all or some of them.
    pub(super) async fn go(&mut self, node: usize) -> Answers {
        let (me, at) = (self.nodes[node].clone(), self.now);
        // Mostly one that the node is in.
        let seated = self.rules.seats_of(&me).last();
        let seated = seated.filter(|_| self.rng.u8(0..4) > 0);
        let conversation = seated.unwrap_or_else(|| self.conversation());
        let of = |outcome: Option<Outcome>| outcome.map(|outcome| kinds(outcome.entries()));
        let (found, by_rule) = match self.rng.u8(0..7) {
            5 => {
                let asked = json!({"k": "unused", "c": conversation, "at": at});
                let found = self.write(node, asked).await.map(|_| kinds(&[]));
                let vacated = self.rules.vacate(&me, conversation, at);
                (found, vacated.ok().map(|_| kinds_by_rule([])))
            }
            6 => {
                let held: Vec<i64> = self.rules.seats_of(&me).take(1).collect();
                let asked = json!({"k": "seats", "used": held});
                let found = self.write(node, asked).await.map(|seats| {
                    let seats = seats.as_array().into_iter().flatten();
                    let mut all: Vec<_> = seats.filter_map(|seat| seat["c"].as_i64()).collect();
                    all.sort_unstable();
                    format!("{all:?}")
                });
                let seats: Vec<i64> = self.rules.seats_of(&me).skip(1).collect();
                (found, self.rules.lives(&me).then(|| format!("{seats:?}")))
            }
            4 => {
                let longest = self.rng.i64(1..30) * SECOND;
                let asked = json!({"k": "closes", "c": conversation, "longest": longest});
                let found = self.write(node, asked).await.map(|_| kinds(&[]));
                let closing = self.rules.closing(&me, conversation, at + longest);
                (found, closing.ok().map(|()| kinds_by_rule([])))
            }
            0 => {
                let ends = at + self.rng.i64(0..9) * SECOND;
                let record = Record::Closed {
                    conversation,
                    ends,
                    at,
                };
                let found = of(self.record(node, &record, false).await);
                let entry = self.rules.close(&me, conversation, ends);
                (found, entry.ok().map(kinds_by_rule))
            }
            1 => {
                let here = self.pick(&[&[][..], &["ada"], &["ada", "bob"]]);
                let record = Record::Left {
                    conversation,
                    here: here.iter().map(ToString::to_string).collect(),
                    at,
                };
                let found = of(self.record(node, &record, false).await);
                let entries = self.rules.left(&me, conversation, here);
                (found, entries.ok().map(kinds_by_rule))
            }
            2 => {
                let keep = self.rng.i64(0..8);
                let record = Record::Keep { conversation, keep };
                let found = of(self.record(node, &record, false).await);
                let kept = self.rules.keep(&me, conversation, keep);
                (found, kept.ok().map(|()| kinds_by_rule([])))
            }
            _ => {
                let asks = self.rng.bool();
                let mut asked = asked(&Record::Over { conversation, at }, at, false);
                if asks {
                    asked["asks"] = true.into();
                }
                let found = self.write(node, asked).await.map(|answer| {
                    let entries = answer["entries"].as_array().map_or(0, Vec::len);
                    format!("{} {entries}", answer["v"])
                });
                let ended = self.rules.over(&me, conversation, at, asks, at).ok();
                let ended = ended.map(|ended| match ended {
                    Ended::GoesOn => "\"goes_on\" 0".to_owned(),
                    Ended::Over(entries) => format!("\"over\" {}", entries.len()),
                });
                (found, ended)
            }
        };
        (format!("{found:?}"), format!("{by_rule:?}"))
    }
}
