// SPDX-License-Identifier: MPL-2.0

//! Runs the job of a text: each message is looked into and appended as an entry of its own, in
//! their order. The work is a job of the workers that recognise, with the lowest priority.

use crate::hearing::audio::StreamError;
use crate::hearing::masking::{Asked, Masking, RedactionPolicy};
use crate::hearing::pool::{self, Next, Pool, Turns};
use crate::hearing::recognizer::RecognisedWord;
use crate::hearing::results::ResultWriter;
use crate::hearing::stream::BULK_LAG;
use crate::jobs::request::{Message, Person};
use crate::jobs::writer::{JobError, Run, Seat};
use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};
use std::task::Waker;
use std::time::{Duration, Instant};
use tokio::sync::oneshot;

/// How long a word takes where a message has no times: 150 words a minute.
const WORD: i64 = 400_000_000;

/// A message with its times.
#[derive(Debug, Clone, PartialEq)]
struct Placed {
    /// Of the list of speakers.
    speaker: usize,
    words: Vec<RecognisedWord>,
}

/// Places the messages behind `zero`, nanoseconds since the Unix epoch, or behind the earliest
/// time in them. Returns what their times count from, the speakers and the messages.
fn place(messages: &[Message], zero: i64) -> (i64, Vec<Person>, Vec<Placed>) {
    let earliest = messages
        .iter()
        .filter_map(|message| message.start.or(message.end));
    let zero = earliest.min().unwrap_or(zero);
    let (mut speakers, mut known) = (Vec::new(), HashMap::new());
    let mut next = zero;
    let mut placed = Vec::new();
    for message in messages {
        let speaker = *known.entry(message.from.clone()).or_insert_with(|| {
            speakers.push(message.from.clone());
            speakers.len() - 1
        });
        let words: Vec<&str> = message.content.split_whitespace().collect();
        let count = i64::try_from(words.len()).unwrap_or(i64::MAX).max(1);
        let length = count.saturating_mul(WORD);
        let (start, end) = match (message.start, message.end) {
            (Some(start), Some(end)) => (start, end),
            (Some(start), None) => (start, start.saturating_add(length)),
            (None, Some(end)) => (end.saturating_sub(length).max(zero), end),
            (None, None) => (next, next.saturating_add(length)),
        };
        next = end.max(start);
        let span = next.saturating_sub(start);
        let at = |word: i64| {
            let within = i128::from(span) * i128::from(word) / i128::from(count);
            let since = i128::from(start.saturating_sub(zero)) + within;
            Duration::from_nanos(u64::try_from(since).unwrap_or(0))
        };
        let words = words
            .into_iter()
            .zip(0..)
            .map(|(text, number)| RecognisedWord {
                text: text.to_owned(),
                start: at(number),
                end: at(number + 1),
                confidence: 1.0,
            });
        placed.push(Placed {
            speaker,
            words: words.collect(),
        });
    }
    (zero, speakers, placed)
}

/// Hides in messages that wait what the service hides, as it is hidden in their conversation.
/// To hide it again changes nothing.
pub(crate) fn masked(mut messages: Vec<Message>, policy: &RedactionPolicy) -> Vec<Message> {
    if policy.redaction.is_empty() {
        return messages;
    }
    let (_, speakers, placed) = place(&messages, 0);
    let begin = |_: &Person| Masking::new(policy, &Asked::default(), false);
    let mut maskings: Vec<Masking> = speakers.iter().map(begin).collect();
    for (message, placed) in messages.iter_mut().zip(&placed) {
        if let Some(masking) = maskings.get_mut(placed.speaker) {
            message.content = masking.text(&placed.words);
        }
        message.from.mask(policy);
    }
    messages
}

/// Runs a job of these messages. `done` counts them.
pub(crate) async fn run(
    run: &Run,
    messages: &[Message],
    pool: &Pool,
    done: &Arc<AtomicI64>,
) -> Result<(), JobError> {
    let zero = run.job.zero.unwrap_or(run.job.created);
    let (zero, speakers, messages) = place(messages, zero);
    let (mut seats, mut writers): (Vec<Seat>, Vec<ResultWriter>) = (Vec::new(), Vec::new());
    for (number, person) in speakers.iter().enumerate() {
        match run.seat(person, number, 0, zero).await {
            Ok((seat, writer)) => {
                seats.push(seat);
                writers.push(writer);
            }
            Err(error) => {
                // The seats are kept for the next attempt, if there is one.
                if let JobError::Failed(_) = error {
                    seats.into_iter().for_each(Seat::leave);
                }
                return Err(error);
            }
        }
    }
    let (tell, told) = oneshot::channel();
    let stopped = Arc::new(AtomicBool::new(false));
    // If this is not waited for any more, the work ends too.
    let _stop = Stop(Arc::clone(&stopped));
    let work = Writing {
        writers,
        begun: 0,
        messages,
        at: 0,
        done: Arc::clone(done),
        stopped,
        tell: Some(tell),
    };
    pool.spawn(Box::new(work), BULK_LAG);
    let ended = tokio::select! {
        ended = told => ended,
        () = run.cancelled() => {
            seats.into_iter().for_each(Seat::leave);
            return Err(JobError::Cancelled);
        }
    };
    seats.iter_mut().for_each(Seat::drain);
    let ended = match ended {
        Ok(Ok(())) => Ok(()),
        // The seats are kept for the next attempt.
        Ok(Err(StreamError::Log(error))) => return Err(JobError::later(error)),
        Ok(Err(error)) => Err(JobError::failed(error)),
        Err(_) => Err(JobError::failed("the analysis panicked; see the log")),
    };
    seats.into_iter().for_each(Seat::leave);
    ended
}

struct Stop(Arc<AtomicBool>);

impl Drop for Stop {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Release);
    }
}

/// The work in turns.
struct Writing {
    writers: Vec<ResultWriter>,
    /// How many of them have begun.
    begun: usize,
    messages: Vec<Placed>,
    at: usize,
    done: Arc<AtomicI64>,
    stopped: Arc<AtomicBool>,
    tell: Option<oneshot::Sender<Result<(), StreamError>>>,
}

impl Writing {
    /// Begins the next speaker or appends the next message. Returns `false` at the end.
    fn go_on(&mut self) -> Result<bool, StreamError> {
        if self.stopped.load(Ordering::Acquire) {
            return Ok(false);
        }
        if let Some(writer) = self.writers.get_mut(self.begun) {
            pool::blocking(|| writer.listening())?;
            self.begun += 1;
            return Ok(true);
        }
        let Some(message) = self.messages.get(self.at) else {
            return Ok(false);
        };
        if let Some(writer) = self.writers.get_mut(message.speaker) {
            let number = self.at as u64;
            pool::blocking(|| writer.written(number, &message.words))?;
        }
        self.at += 1;
        let at = i64::try_from(self.at).unwrap_or(i64::MAX);
        self.done.store(at, Ordering::Relaxed);
        Ok(true)
    }
}

impl Turns for Writing {
    fn turn(&mut self, _waker: &Waker) -> Next {
        let ended = match self.go_on() {
            Ok(true) => {
                let since = Instant::now();
                return Next::Again { since };
            }
            Ok(false) => Ok(()),
            Err(error) => Err(error),
        };
        if let Some(tell) = self.tell.take() {
            // The job may have been stopped.
            let _ = tell.send(ended);
        }
        Next::Over
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(content: &str, name: &str, times: Option<(i64, i64)>) -> Message {
        Message {
            content: content.to_owned(),
            from: Person {
                name: Some(name.to_owned()),
                user_id: None,
            },
            start: times.map(|(start, _)| start),
            end: times.map(|(_, end)| end),
        }
    }

    #[test]
    fn words_share_the_time_of_their_message() {
        let messages = [message("one two", "Ada", Some((1000, 3000)))];
        let (zero, speakers, placed) = place(&messages, 7);
        assert_eq!((zero, speakers.len()), (1000, 1));
        let times = placed[0].words.iter();
        let times: Vec<_> = times
            .map(|w| (w.start.as_nanos(), w.end.as_nanos()))
            .collect();
        assert_eq!(times, [(0, 1000), (1000, 2000)]);
    }

    #[test]
    fn messages_without_times_follow_each_other_and_a_speaker_is_one() {
        let messages = ["a b", "c", "d"].map(|text| message(text, "Ada", None));
        let (zero, speakers, placed) = place(&messages, 7);
        assert_eq!((zero, speakers.len()), (7, 1));
        let ends = |placed: &Placed| placed.words.last().map(|word| word.end.as_millis());
        let ends: Vec<_> = placed.iter().map(ends).collect();
        assert_eq!(ends, [Some(800), Some(1200), Some(1600)]);
    }

    #[test]
    fn odd_times_do_not_overflow() {
        for times in [(i64::MIN, i64::MAX), (i64::MAX, i64::MAX), (0, 0)] {
            let messages = [message("a b c", "x", Some(times)), message("d", "y", None)];
            assert_eq!(place(&messages, 0).2.len(), 2);
        }
    }
}
