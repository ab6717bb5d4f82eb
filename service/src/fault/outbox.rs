// SPDX-License-Identifier: MPL-2.0

//! Changes what a session sends: sits between its outbox and the writer of the
//! socket.

use super::Kind;
use super::state::FaultState;
use crate::outbox::Frame;
use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep_until};

/// Returns the frames for the writer: those of `said`, as the fault changes them.
pub(super) fn through(
    state: Arc<FaultState>,
    said: mpsc::Receiver<Frame>,
) -> mpsc::Receiver<Frame> {
    let (frames, written) = mpsc::channel(1);
    let outbox = FaultyOutbox {
        state,
        later: VecDeque::new(),
        held: None,
    };
    tokio::spawn(outbox.run(said, frames));
    written
}

struct FaultyOutbox {
    state: Arc<FaultState>,
    /// Frames to write, and when.
    later: VecDeque<(Instant, Frame)>,
    /// The first result of a pair, until the second one has been sent.
    held: Option<Frame>,
}

impl FaultyOutbox {
    async fn run(mut self, mut said: mpsc::Receiver<Frame>, frames: mpsc::Sender<Frame>) {
        loop {
            let next = self.later.front().map(|(at, _)| *at);
            let due = async {
                match next {
                    Some(at) => sleep_until(at).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                frame = said.recv() => match frame {
                    Some(frame) => self.take(frame),
                    None => return,
                },
                () = due => {
                    let Some((_, frame)) = self.later.pop_front() else { continue };
                    if frames.send(frame).await.is_err() {
                        return;
                    }
                }
                () = frames.closed() => return,
            }
        }
    }

    fn take(&mut self, frame: Frame) {
        let kind = match &frame {
            Frame::Text(text) => kind_of(text),
            Frame::Binary(_) | Frame::Close { .. } => String::new(),
        };
        let is_result = kind.ends_with("_result") || kind.ends_with("_response");
        match self.state.kind() {
            _ if !self.state.has_struck() => self.put(frame),
            // A service that withholds results does not tell of progress either.
            Kind::Mute | Kind::Terminated if is_result || kind == "recognition_progress" => {}
            Kind::Duplicate if is_result => {
                if let Frame::Text(text) = &frame {
                    self.put(Frame::Text(text.clone()));
                }
                self.put(frame);
            }
            Kind::Reorder if is_result => match self.held.take() {
                Some(held) => {
                    self.put(frame);
                    self.put(held);
                }
                None => self.held = Some(frame),
            },
            // `recognition_stopped` may come between the results.
            Kind::Reorder if kind == "recognition_stopped" => self.put(frame),
            _ => {
                if let Some(held) = self.held.take() {
                    self.put(held);
                }
                self.put(frame);
            }
        }
    }

    fn put(&mut self, frame: Frame) {
        let wait = match self.state.has_struck() {
            true => self.state.lateness(),
            false => Duration::ZERO,
        };
        self.later.push_back((Instant::now() + wait, frame));
    }
}

/// Returns `message.type` of an envelope, else `type`.
pub(super) fn kind_of(text: &str) -> String {
    let json: serde_json::Value = serde_json::from_str(text).unwrap_or_default();
    let kind = json["message"]["type"].as_str().or(json["type"].as_str());
    kind.unwrap_or_default().to_owned()
}
