// SPDX-License-Identifier: MPL-2.0

//! What happens in a run: faults, and what the application does.

use super::{Step, World, ms};
use crate::invariants::Broken;
use crate::network::Frame;
use crate::schedule::Happening;
use crate::service::noise;
use crate::waits::Waits;
use std::time::Duration;
use symbl_client::session::{PausePolicy, State};
use symbl_protocol::timestamp::parse_rfc3339;

impl World {
    pub(super) fn happening(&mut self, what: Happening) -> Result<(), Broken> {
        self.trace(|| format!("{what:?}"));
        if self.stopped.is_some() {
            return Ok(());
        }
        match what {
            Happening::Cut(late) => self.cut(ms(late)),
            Happening::Close(1006) => self.cut(Duration::ZERO),
            // A service that still waits for its log does not end in form.
            Happening::Close(1000 | 1005) if self.waits_for_the_log() => self.close_link(1001),
            Happening::Close(code) => self.close_link(code),
            Happening::Deaf => {
                if let Some(link) = &mut self.link {
                    link.deaf = true;
                }
            }
            Happening::Mute => {
                if let Some(link) = &mut self.link {
                    link.mute(self.now);
                }
            }
            Happening::Refuse(status, span, after) => {
                self.refusing = Some((status, self.now + ms(span), ms(after)));
                self.cut(Duration::ZERO);
            }
            Happening::Hang(span) => {
                self.hanging_until = self.now + ms(span);
                self.cut(Duration::ZERO);
            }
            Happening::NoThread(span) => {
                self.threadless_until = self.now + ms(span);
                self.cut(Duration::ZERO);
            }
            Happening::Stall(span) => {
                self.stalled_until = self.now + ms(span);
                self.at(self.stalled_until, Step::Writable);
            }
            Happening::Slow(each) => self.slow = ms(each),
            Happening::Think(more) => self.think = ms(more),
            Happening::Ponder(more) => {
                if let Some(link) = &mut self.link {
                    link.service.ponder = more;
                }
            }
            Happening::Repeat(count) => {
                if let Some(link) = &mut self.link {
                    link.service.repeat = count;
                }
            }
            Happening::Forget => self.forgotten = true,
            Happening::Ignore(span) => self.ignoring_until = self.now + ms(span),
            Happening::Terminate => self.terminate(),
            Happening::Noise(kind) => {
                let link = self.links;
                self.send_down(link, Frame::Text(noise(kind)));
            }
            Happening::Suspend(span) if !self.suspended => self.suspending = Some(ms(span)),
            Happening::Suspend(_) => {}
            Happening::Flush => self.flush()?,
            Happening::End if !self.source.ended => self.end(),
            Happening::End => {}
            Happening::Stop => {
                self.session.close();
                self.pad.stop();
                self.stopped = Some(self.now);
                self.waits = Waits::default();
                self.book.ending_since = None;
            }
            Happening::Clock(ms) => self.walls.set(self.now, ms),
            Happening::Node(fault) => self.strike(fault),
            Happening::Token => {
                self.refusing = self
                    .refusing
                    .filter(|(status, _, _)| !matches!(status, 401 | 403));
                self.session.token_changed(self.now);
            }
        }
        Ok(())
    }

    /// Pauses the pipeline, which will play again.
    pub(super) fn suspend(&mut self, span: Duration) {
        self.trace(|| "pauses".into());
        self.suspending = None;
        if self.stopped.is_none() {
            self.suspended = true;
            self.pad.play(self.now, false);
            self.session.pause(self.now);
            self.at(self.now + span, Step::Resume);
        }
    }

    pub(super) fn resume(&mut self) {
        self.trace(|| "plays".into());
        self.suspended = false;
        self.pad.play(self.now, true);
        self.source.due = self.source.due.max(self.now);
        if self.stopped.is_some() {
            return;
        }
        if std::mem::take(&mut self.end_put_off) {
            self.begin_to_end();
        }
        self.session.resume(self.now);
    }

    /// Returns `true` if a pause keeps the session from starting.
    pub(super) fn is_held(&self) -> bool {
        self.suspended
            && self.schedule.settings.pause != PausePolicy::Keep
            && self.book.ending_since.is_none()
    }

    pub(super) fn flush(&mut self) -> Result<(), Broken> {
        self.end_put_off = false;
        self.pressed = true;
        self.source.flush(self.now);
        self.book.drained = None;
        self.book.ending_since = None;
        self.session.flush(self.now);
        let _ = self.dropped_more();
        let starts = self.source.running_time;
        self.pad.flush(self.now, self.session.pushed(), starts)
    }

    pub(super) fn end(&mut self) {
        self.trace(|| "the end".into());
        self.source.ended = true;
        self.book.drained = None;
        self.end_put_off = self.is_held() && !matches!(self.book.state, State::Failed);
        if !self.end_put_off {
            self.begin_to_end();
        }
        self.session.end_of_stream(self.now);
    }

    /// Begins the wait for the end, which is bounded from here on.
    pub(super) fn begin_to_end(&mut self) {
        self.book.ending_since = Some(self.now);
        self.waits.progress = self.now;
        let stats = self.session.stats(self.now);
        let unfinalised = stats.audio_sent + stats.audio_spooled - stats.audio_finalised;
        self.waits.unfinalised = Duration::from_nanos(unfinalised);
    }

    /// Answers with the messages that began at `since` or later, as the service does.
    pub(super) fn fetch_history(&mut self, since: i64) {
        let began = |message: &serde_json::Value| {
            let start = message["startTime"].as_str().and_then(parse_rfc3339);
            start.is_none_or(|start| start >= since)
        };
        let messages = self.conversation.history.iter();
        let messages: Vec<_> = messages.filter(|message| began(message)).collect();
        let body = serde_json::json!({"messages": messages}).to_string();
        let body = Some(body).filter(|_| self.rng.u8(0..4) > 0);
        let at = self.now + self.latency();
        self.at(at, Step::History(body));
    }
}
