// SPDX-License-Identifier: MPL-2.0

//! The greedy search for the tokens of an utterance.

use crate::boost::BoostTree;
use crate::decoder::{CrossMemory, Decoding};
use crate::kernel;
use crate::linear::Work;
use crate::model::Model;

/// What is asked of a search.
pub(crate) struct Goal<'a> {
    /// The special tokens that every transcript begins with.
    pub(crate) prompt: &'a [u32],
    /// The first tokens of the text, which are taken as given.
    pub(crate) prefix: &'a [u32],
    /// Tokens that probably follow the prefix, from an earlier look at the same audio. They
    /// change nothing but the cost: each is checked, and many at a time cost little more
    /// than one.
    pub(crate) draft: &'a [u32],
    /// Tokens that the text has at most, the prefix included.
    pub(crate) budget: usize,
    /// Encoder vectors that stand for audio; the others stand for the silence after it.
    pub(crate) frames: usize,
    /// Stop before the first token that attends to one of this many last vectors.
    pub(crate) margin: Option<usize>,
    /// Terms that are likely.
    pub(crate) boost: Option<&'a BoostTree>,
}

/// Why a search ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    /// The model said that the text is complete.
    Finished,
    /// The next word is at the end of the audio and may not be complete.
    Margin,
    /// The text repeated itself; it was cut after the first time.
    Loop,
    /// The text was longer than speech can be.
    Budget,
}

/// What a search found.
#[derive(Debug)]
pub(crate) struct Hypothesis {
    /// Tokens of the text, the prefix included.
    pub(crate) tokens: Vec<u32>,
    /// The logarithm of each token's probability as the model gave it, before anything was
    /// suppressed or boosted; 0 for those of the prefix.
    pub(crate) log_probabilities: Vec<f32>,
    /// The same for the end of the text, if the search came that far.
    pub(crate) end_log_probability: f32,
    /// The probability that there is no speech.
    pub(crate) no_speech: f32,
    /// Why the search ended.
    pub(crate) end: End,
    /// The frame that each token attends to most; 0 for those of the prefix.
    pub(crate) attended: Vec<usize>,
    /// Attention of each alignment head: `[token][frame]` for every token of the text and
    /// its end.
    pub(crate) attention: Vec<Vec<f32>>,
    /// Frames of a row of attention.
    pub(crate) frames: usize,
}

impl Hypothesis {
    /// Returns the mean of the logarithms, the end's included.
    pub(crate) fn mean_log_probability(&self) -> f32 {
        let sum: f32 = self.log_probabilities.iter().sum();
        #[allow(clippy::cast_precision_loss)]
        let count = (self.log_probabilities.len() + 1) as f32;
        (sum + self.end_log_probability) / count
    }

    /// Forgets the attention to all frames but the first `frames`, at least one.
    pub(crate) fn crop(&mut self, frames: usize) {
        let frames = frames.clamp(1, self.frames);
        for rows in &mut self.attention {
            let kept = rows.chunks_exact(self.frames);
            *rows = kept.flat_map(|row| &row[..frames]).copied().collect();
        }
        self.frames = frames;
    }
}

/// Tokens of a draft that are checked at most.
const LONGEST_DRAFT: usize = 96;
/// A sequence of at most this many tokens counts as a loop …
const LONGEST_LOOP: usize = 4;
/// … if it comes this often in a row.
const REPEATS: usize = 3;
/// A word that is really said again is at least this many encoder vectors (100 ms) later.
const SAID_AGAIN: usize = 5;

/// Searches for the text of an utterance, always taking the likeliest token.
pub(crate) fn search(
    model: &Model,
    work: &mut Work,
    heard: &CrossMemory,
    goal: &Goal<'_>,
) -> Hypothesis {
    let room = goal.prompt.len() + goal.budget + 1;
    let frames = goal
        .frames
        .min(heard.first().map_or(0, crate::attention::Memory::len))
        .max(1);
    let mut decoding = Decoding::new(&model.decoder, heard, &model.silence, room, frames);
    let vocabulary = model.decoder.projection.outputs();
    let prefix = &goal.prefix[..goal.prefix.len().min(goal.budget)];
    let mut fed = [goal.prompt, prefix].concat();
    fed.truncate(decoding.room());
    let given = fed.len();
    let draft = goal
        .draft
        .iter()
        .take((goal.budget - prefix.len()).min(LONGEST_DRAFT));
    fed.extend(draft.take(decoding.room() - given));
    // Logits after the first token, and after each from the last given one on.
    let wanted: Vec<usize> = std::iter::once(0).chain(given - 1..fed.len()).collect();
    let mut logits = decoding.feed(work, &fed, &wanted);
    let first = &logits[..vocabulary];
    let no_speech = (first[model.special.no_speech as usize] - log_sum(work, first)).exp();
    logits.drain(..vocabulary);

    let mut tokens = prefix.to_vec();
    let mut log_probabilities = vec![0.0; tokens.len()];
    let mut attended = vec![0; tokens.len()];
    let mut end_log_probability = 0.0;
    // Where the row of logits begins that the next token is chosen from.
    let mut row = 0;
    let end = loop {
        let current = &logits[row..row + vocabulary];
        let choice = choose(model, goal, &tokens, current);
        let log_probability = current[choice as usize] - log_sum(work, current);
        if choice == model.special.end {
            end_log_probability = log_probability;
            break End::Finished;
        }
        let known = goal.prompt.len() + tokens.len();
        let frame = attended_frame(&decoding, frames, known - 1);
        if goal.margin.is_some_and(|margin| frame + margin >= frames) {
            break End::Margin;
        }
        if tokens.len() >= goal.budget || known >= room {
            break End::Budget;
        }
        attended.push(frame);
        tokens.push(choice);
        log_probabilities.push(log_probability);
        if let Some(length) = repeated(&tokens, &attended) {
            let kept = tokens.len() - (REPEATS - 1) * length;
            tokens.truncate(kept.max(prefix.len()));
            log_probabilities.truncate(tokens.len());
            attended.truncate(tokens.len());
            break End::Loop;
        }
        if fed.get(known) == Some(&choice) {
            // The draft was right: the row after it is there.
            row += vocabulary;
            continue;
        }
        fed.truncate(known);
        decoding.truncate(known);
        if decoding.room() == 0 {
            break End::Budget;
        }
        fed.push(choice);
        logits = decoding.feed(work, &[choice], &[0]);
        row = 0;
    };
    // The row of a token is the attention with which it was found: that of the token
    // before it.
    let skipped = (goal.prompt.len() - 1) * frames;
    let kept = (tokens.len() + 1) * frames;
    let attention = decoding
        .attention()
        .iter()
        .map(|rows| rows[skipped..(skipped + kept).min(rows.len())].to_vec())
        .collect();
    Hypothesis {
        tokens,
        log_probabilities,
        end_log_probability,
        no_speech,
        end,
        attended,
        attention,
        frames,
    }
}

/// Returns the logarithm of the sum of e^logit.
fn log_sum(work: &Work, logits: &[f32]) -> f32 {
    let most = logits
        .iter()
        .fold(f32::NEG_INFINITY, |most, &logit| most.max(logit));
    let mut sum = 0.0;
    kernel::sum_of_exp(work.level, logits, most, &mut sum);
    most + sum.ln()
}

/// Returns the token with the largest logit among those that may come next.
fn choose(model: &Model, goal: &Goal<'_>, tokens: &[u32], logits: &[f32]) -> u32 {
    let end = model.special.end as usize;
    let mut logits = logits[..=end].to_vec();
    let mut suppress = |ids: &[u32]| {
        for &id in ids {
            if let Some(logit) = logits.get_mut(id as usize) {
                *logit = f32::NEG_INFINITY;
            }
        }
    };
    suppress(&model.suppressed);
    if tokens.is_empty() {
        suppress(&model.suppressed_first);
    }
    if let Some(boost) = goal.boost {
        boost.apply(tokens, &mut logits);
    }
    let mut best = end;
    for (token, &logit) in logits.iter().enumerate() {
        if logit > logits[best] {
            best = token;
        }
    }
    u32::try_from(best).unwrap_or(model.special.end)
}

/// Returns the frame that the token after the one at `place` attends to most.
fn attended_frame(decoding: &Decoding<'_>, frames: usize, place: usize) -> usize {
    let mut sums = vec![0.0_f32; frames];
    for rows in decoding.attention() {
        if let Some(row) = rows.chunks_exact(frames).nth(place) {
            crate::linear::add(&mut sums, row);
        }
    }
    let mut best = 0;
    for (frame, &sum) in sums.iter().enumerate() {
        if sum > sums[best] {
            best = frame;
        }
    }
    best
}

/// Returns the length of a sequence that ends the text three times in a row without going
/// on in the audio, if there is one.
fn repeated(tokens: &[u32], attended: &[usize]) -> Option<usize> {
    (1..=LONGEST_LOOP).find(|&length| {
        let Some(from) = tokens.len().checked_sub(REPEATS * length) else {
            return false;
        };
        let tail = &tokens[from..];
        let is_repeated = tail[length..].iter().zip(tail).all(|(a, b)| a == b);
        let frames: Vec<usize> = attended[from..].iter().step_by(length).copied().collect();
        is_repeated && frames.windows(2).any(|pair| pair[1] < pair[0] + SAID_AGAIN)
    })
}

#[cfg(test)]
mod tests {
    use super::repeated;

    #[test]
    fn a_sequence_three_times_in_one_place_is_a_loop() {
        assert_eq!(
            repeated(&[7, 1, 2, 1, 2, 1, 2], &[0, 9, 9, 9, 9, 9, 9]),
            Some(2)
        );
        assert_eq!(repeated(&[7, 7, 7], &[5, 6, 7]), Some(1));
        assert_eq!(repeated(&[1, 2, 3, 4, 5, 1, 2, 3, 4, 5], &[0; 10]), None);
        assert_eq!(repeated(&[7, 7], &[5, 5]), None);
    }

    #[test]
    fn a_word_that_is_said_again_later_is_no_loop() {
        assert_eq!(repeated(&[7, 7, 7], &[5, 20, 40]), None);
        assert_eq!(
            repeated(&[1, 2, 1, 2, 1, 2], &[5, 10, 20, 25, 40, 45]),
            None
        );
    }
}
