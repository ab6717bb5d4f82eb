// SPDX-License-Identifier: MPL-2.0

//! What the session asks for.

use super::{World, broken};
use crate::invariants::Broken;
use crate::network::Frame;
use std::time::Duration;
use symbl_client::session::{EventKind, Output, State};

impl World {
    /// Carries out the outputs of the session.
    pub(super) fn pump(&mut self) -> Result<(), Broken> {
        loop {
            let writable = self.link.is_some() && self.now >= self.stalled_until;
            let Some(output) = self.session.poll(self.now, writable) else {
                return Ok(());
            };
            if self.stopped.is_some()
                && matches!(
                    output,
                    Output::Event(_)
                        | Output::Dial
                        | Output::Binary(_)
                        | Output::FetchHistory { .. }
                )
            {
                let how = format!("{output:?}");
                return Err(broken("nothing_is_reported_or_done_after_a_stop", how));
            }
            match output {
                Output::Dial => self.dial(),
                Output::Abort => {
                    // If there is a link or a dial, the session gave it up by itself. Otherwise
                    // the loss was noted before.
                    if self.link.is_some() || self.waits.dialing.is_some() {
                        self.waits.lost(self.now, Duration::ZERO);
                    }
                    self.hang_up();
                }
                Output::Close { .. } => {
                    self.waits.closed();
                    self.hang_up();
                }
                Output::Text(text) => {
                    self.waits.progress = self.now;
                    if text.contains("start_request") {
                        if self.is_held() {
                            return Err(broken("a_pause_is_a_pause", "it starts"));
                        }
                        self.waits.starting = Some(self.now);
                        if let Some(link) = &mut self.link {
                            link.acknowledged = false;
                        }
                    }
                    self.send(Frame::Text(text))?;
                }
                Output::Binary(data) => {
                    self.waits.progress = self.now;
                    if self.link.as_ref().is_some_and(|link| !link.acknowledged) {
                        let how = "audio before the start acknowledgement";
                        return Err(broken("the_service_gets_what_it_expects", how));
                    }
                    self.send(Frame::Binary(data))?;
                }
                Output::Ping => self.send(Frame::Ping)?,
                Output::FetchHistory { since, .. } => self.fetch_history(since),
                Output::Event(event) => {
                    self.trace(|| format!("told {:?} {:?}", event.kind, event.placement));
                    if matches!(event.kind, EventKind::Failed(_) | EventKind::Drained { .. }) {
                        self.waits.closed(); // The session will not dial by itself.
                    }
                    if let EventKind::State { state, .. } = event.kind
                        && state == State::Idle
                        && self.link.is_none()
                    {
                        self.waits.closed(); // The session dials when the pause is over.
                    }
                    if matches!(event.kind, EventKind::Failed(_))
                        && std::mem::take(&mut self.end_put_off)
                    {
                        self.begin_to_end();
                    }
                    self.pad.take(&event, self.now, &self.source.spoken)?;
                    if matches!(event.kind, EventKind::Drained { .. }) {
                        self.pad.end(self.session.pushed());
                    }
                    self.book.write(*event);
                }
            }
        }
    }
}
