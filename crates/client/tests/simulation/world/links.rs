// SPDX-License-Identifier: MPL-2.0

//! The links between session and service: dials, frames and losses.

use super::cluster::hold;
use super::{Step, World, broken, ms};
use crate::audio::Ms;
use crate::invariants::Broken;
use crate::network::{Frame, Link};
use crate::service::{Answer, Conversation, Service};
use std::cmp::Reverse;
use std::time::Duration;
use symbl_client::session::{Failure, Input, Reason, Time};
use symbl_protocol::reply;

impl World {
    /// Breaks the link. Frames to the service are lost, and frames to the client still arrive
    /// for `late`.
    pub(super) fn cut(&mut self, late: Duration) {
        let heard_of = self.now + late + self.latency();
        let Some(link) = &mut self.link else {
            return;
        };
        link.deaf = true;
        link.mute(self.now + late);
        if std::mem::replace(&mut link.breaking, true) {
            return;
        }
        let link = link.number;
        let frame = Frame::Broken;
        self.at(heard_of, Step::ToClient { link, frame });
    }

    /// Ends the processing of the service, unless none has begun or it has ended.
    pub(super) fn terminate(&mut self) {
        if let Some(link) = &mut self.link
            && link.service.is_processing()
            && !std::mem::replace(&mut link.terminated, true)
        {
            let link = link.number;
            self.send_down(link, Frame::Text(reply::processing_terminated()));
        }
    }

    /// Closes the link from the service, after the frames that it sent before.
    pub(super) fn close_link(&mut self, code: u16) {
        if let Some(link) = &mut self.link
            && !std::mem::replace(&mut link.closing, true)
        {
            let link = link.number;
            self.send_down(link, Frame::Closed(code));
        }
    }

    /// Sends a frame from the service on the open link.
    pub(super) fn send_down(&mut self, number: u64, frame: Frame) {
        let delay = self.latency();
        if let Some(link) = self.link.as_mut().filter(|link| link.number == number) {
            if link.closing && !matches!(frame, Frame::Closed(_)) {
                return;
            }
            link.closing |= matches!(frame, Frame::Closed(_));
            link.down = link.down.max(self.now + delay);
            let at = link.down;
            self.at(
                at,
                Step::ToClient {
                    link: number,
                    frame,
                },
            );
        }
    }

    pub(super) fn dialed(&mut self) {
        if self.now < self.threadless_until {
            return self.lost(Failure::retryable(Reason::Internal, "no thread"), true);
        }
        if let Some((status, _, after)) = self.refusing.filter(|(_, until, _)| self.now < *until) {
            let failure = match status {
                0 => Failure::retryable(Reason::Tcp, "refused"),
                status => Failure::http(status, "", Some(after).filter(|d| !d.is_zero())),
            };
            self.lost(failure, true);
            return;
        }
        let Some(seat) = self.sit_down() else {
            return;
        };
        let seed = self.schedule.seed ^ self.links;
        let service = Service::new(self.schedule.settings.clone(), seed).on_a_node(self.links);
        let mut link = Link::new(self.links, service, self.now);
        link.seat = seat;
        self.link = Some(link);
        self.waits.opened(self.now);
        let announced = self.schedule.settings.announces;
        self.session
            .handle(self.now, Input::Connected { announced });
    }

    /// Tells the session that it has lost its link, or that a dial has failed.
    pub(super) fn lost(&mut self, failure: Failure, dialing: bool) {
        self.trace(|| failure.message.clone());
        // After an answer of a real service, the session retries an odd answer for a while.
        let odd = matches!(failure.http_status, Some(302 | 404));
        let answered = self.session.conversation_id().is_some();
        if failure.retryable || dialing && odd && answered {
            self.waits.asked_to_wait |=
                failure.reason == Reason::Limit || failure.retry_after.is_some();
            let least = failure.retry_after.unwrap_or_default();
            self.waits.lost(self.now, least);
        } else {
            self.hopeless = true;
            self.waits.closed();
        }
        self.leave_link();
        let input = if dialing {
            Input::DialFailed(failure)
        } else {
            Input::Closed(failure)
        };
        self.session.handle(self.now, input);
    }

    pub(super) fn reach_service(&mut self, number: u64, frame: Frame) -> Result<(), Broken> {
        let Some(link) = self
            .link
            .as_mut()
            .filter(|link| link.number == number && !link.deaf && !link.closing)
        else {
            self.reach_orphan(number, frame);
            return Ok(());
        };
        let Some(frame) = hold(self.nodes.as_ref(), link, frame, self.now) else {
            return Ok(());
        };
        let answers = match frame {
            Frame::Text(_) | Frame::Binary(_) if link.terminated => return Ok(()),
            Frame::Text(text)
                if link.ignoring
                    || self.now < self.ignoring_until && !text.contains("modify_request") =>
            {
                link.ignoring = true;
                return Ok(());
            }
            Frame::Text(text) => {
                let begins = text.contains("start_request");
                if begins && self.nodes.is_some() {
                    if std::mem::take(&mut self.forgotten) {
                        link.service.begin_anew();
                    }
                } else if begins && std::mem::take(&mut self.forgotten) {
                    let next = Conversation::new(self.conversation.id + 1);
                    let before = std::mem::replace(&mut self.conversation, next);
                    self.conversation.ledger = before.ledger;
                }
                link.service.text(&text, self.now, &mut self.conversation)
            }
            Frame::Binary(data) => link.service.audio(&data, &mut self.conversation),
            Frame::Ping => {
                self.send_down(number, Frame::Pong);
                return Ok(());
            }
            _ => return Ok(()),
        };
        let answers = answers.map_err(|how| broken("the_service_gets_what_it_expects", how))?;
        link.heard = link.heard.max(self.now + self.think);
        self.answer(number, answers);
        Ok(())
    }

    /// Lets the service send these answers on the open link. What follows a question to a
    /// shared log waits for its answer.
    pub(super) fn answer(&mut self, number: u64, answers: impl IntoIterator<Item = (Ms, Answer)>) {
        let Some(link) = self.link.as_ref().filter(|link| link.number == number) else {
            return;
        };
        let heard = link.heard.max(self.now);
        let mut answers = answers.into_iter();
        while let Some((delay, answer)) = answers.next() {
            let at = heard + ms(delay);
            match answer {
                Answer::Text(text) if delay == 0 => self.say(number, at, text),
                Answer::Text(text) => {
                    let Some(link) = &mut self.link else { break };
                    link.thought = link.thought.max(at);
                    let at = link.thought;
                    self.say(number, at, text);
                }
                Answer::Again(text) | Answer::Told(text) => {
                    let at = self.link.as_ref().map_or(at, |link| link.said.max(at));
                    self.say(number, at, text);
                }
                Answer::Last(text) => {
                    let at = self.link.as_ref().map_or(at, |link| link.said.max(at));
                    self.say(number, at, text);
                    let frame = Frame::Closed(1000);
                    self.at(
                        at,
                        Step::Said {
                            link: number,
                            frame,
                        },
                    );
                    self.socket_finished(number);
                }
                Answer::Incomplete => {
                    let at = self.link.as_ref().map_or(at, |link| link.said.max(at));
                    let (link, frame) = (number, Frame::Closed(1011));
                    self.at(at, Step::Said { link, frame });
                }
                Answer::Ask(ask) => return self.ask(number, ask, answers.collect()),
            }
        }
    }

    /// Lets the service send a text at `at`.
    pub(super) fn say(&mut self, link: u64, at: Time, text: String) {
        if let Some(link) = &mut self.link {
            link.said = link.said.max(at);
        }
        let frame = Frame::Text(text);
        self.at(at, Step::Said { link, frame });
    }

    pub(super) fn reach_client(&mut self, number: u64, frame: Frame) {
        let Some(link) = self.link.as_mut().filter(|link| link.number == number) else {
            return;
        };
        if frame == Frame::Broken {
            return self.lost(Failure::closed(1006, ""), false);
        }
        if link.is_mute(self.now) {
            return;
        }
        self.waits.heard = Some(self.now);
        match frame {
            Frame::Text(text) => {
                if text.contains("processing_terminated") {
                    self.waits.terminated();
                } else if text.contains("_started") || text.contains("started_") {
                    link.acknowledged = true;
                    self.waits.acknowledged(self.now);
                }
                if self.waits.up.is_some() {
                    self.waits.progress = self.now;
                }
                self.trace(|| format!("came {text}"));
                self.session.handle(self.now, Input::Text(&text));
            }
            Frame::Pong => self.session.handle(self.now, Input::Pong),
            Frame::Closed(code) => self.lost(Failure::closed(code, ""), false),
            Frame::Binary(_) | Frame::Ping | Frame::Broken => {}
        }
    }

    /// Gives the link up on the side of the client. A service that stores each word once learns
    /// of it later, perhaps after the start on the next link.
    pub(super) fn leave_link(&mut self) {
        let Some(link) = self.link.take() else {
            return;
        };
        if !self.schedule.settings.announces {
            return;
        }
        let number = link.number;
        let lag = self.lag(number);
        let later = |Reverse((at, order, step))| match step {
            Step::ToService { link, .. } if link == number => Reverse((at + ms(lag), order, step)),
            step => Reverse((at, order, step)),
        };
        self.steps = std::mem::take(&mut self.steps)
            .into_iter()
            .map(later)
            .collect();
        let end = link.up.max(self.now) + ms(lag);
        self.orphans.push(link);
        self.at(end, Step::Orphaned { link: number });
    }

    /// Takes a frame that was under way when the client gave the link up. The client gets no
    /// answer, and only the ledger changes.
    pub(super) fn reach_orphan(&mut self, number: u64, frame: Frame) {
        let hears = |link: &&mut Link| {
            let is_deaf = link.deaf || link.closing || link.ignoring || link.terminated;
            link.number == number && !is_deaf
        };
        let Some(link) = self.orphans.iter_mut().find(hears) else {
            return;
        };
        let Some(frame) = hold(self.nodes.as_ref(), link, frame, self.now) else {
            return;
        };
        let mut aside = self.conversation.aside();
        // A frame that comes too late is refused, which is no broken promise.
        let answers = match frame {
            Frame::Text(text) => link.service.text(&text, self.now, &mut aside),
            Frame::Binary(data) => link.service.audio(&data, &mut aside),
            _ => Ok(Vec::new()),
        };
        self.conversation.ledger = aside.ledger;
        self.orphan_asks(number, answers.unwrap_or_default().into());
    }

    pub(super) fn orphaned(&mut self, number: u64) {
        let Some(at) = self.orphans.iter().position(|link| link.number == number) else {
            return;
        };
        if self.nodes.is_some() {
            return self.leave_node(number);
        }
        let mut link = self.orphans.remove(at);
        let mut aside = self.conversation.aside();
        link.service.orphaned(&mut aside);
        self.conversation.ledger = aside.ledger;
    }

    pub(super) fn hang_up(&mut self) {
        self.leave_link();
        self.links += 1; // drops a dial that is under way
    }

    pub(super) fn dial(&mut self) {
        self.trace(|| "dials".into());
        self.waits.dial(self.now);
        self.leave_link();
        self.links += 1;
        if self.now >= self.hanging_until {
            let at = self.now + self.latency();
            let link = self.links;
            self.at(at, Step::Dialed { link });
        }
    }

    pub(super) fn send(&mut self, frame: Frame) -> Result<(), Broken> {
        self.trace(|| match &frame {
            Frame::Text(text) => format!("sent {text}"),
            Frame::Binary(data) => format!("sent {} bytes of audio", data.len()),
            _ => "sent a ping".to_owned(),
        });
        let delay = self.latency();
        let Some(link) = &mut self.link else {
            return Err(broken(
                "the_service_gets_what_it_expects",
                "a frame without a link",
            ));
        };
        link.up = link.up.max(self.now + delay);
        let (at, link) = (link.up, link.number);
        self.at(at, Step::ToService { link, frame });
        if !self.slow.is_zero() {
            self.stalled_until = self.stalled_until.max(self.now + self.slow);
            self.at(self.stalled_until, Step::Writable);
        }
        Ok(())
    }
}
