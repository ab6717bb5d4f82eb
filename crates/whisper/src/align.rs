// SPDX-License-Identifier: MPL-2.0

//! Finds out when each word was said.
//!
//! The decoder's attention comes in: for each of the model's alignment heads a matrix that
//! says at which frames of the audio the decoder looked for each token. Out go the frames
//! at which the tokens begin ([`align_voiced`]), then words ([`words`]), then words whose times
//! keep to the audio in which there was a voice ([`clamp`]). A frame lasts 20 ms.
//!
//! The method is that of OpenAI's `whisper/timing.py`. Nothing here may panic, whatever
//! numbers a model computes.

use crate::token::Tokenizer;

/// The length of a frame in samples: 20 ms at 16 kHz.
pub const FRAME_SAMPLES: usize = 320;

/// The length of a frame of the voice detector in samples: 16 ms at 16 kHz.
pub const VOICE_SAMPLES: usize = 256;

/// A pause of this many voice frames (64 ms) or more parts two stretches of voice. Shorter ones
/// are within words, as before the "t" of "eighteen".
const PAUSE: usize = 4;

/// A word is drawn to the beginning of its stretch of voice by at most this many frames: half
/// a second.
const DRAWN: usize = 25;

/// The width of the median filter in frames.
const WIDTH: usize = 7;

/// Returns the frame at which each token begins, by dynamic time warping.
///
/// Each head is a matrix of `tokens` rows with `frames` columns, row after row; row `t` is
/// the attention, after softmax, with which token `t` was decoded. Rows that not every head
/// has are ignored. The result never falls and lies below `frames`. Without a head or a
/// frame it is empty.
pub fn align(heads: &[Vec<f32>], frames: usize) -> Vec<usize> {
    let rows = heads
        .iter()
        .map(|head| head.len().checked_div(frames).unwrap_or(0))
        .min();
    let tokens = rows.unwrap_or(0);
    if tokens == 0 {
        return Vec::new();
    }
    let mut likely = vec![0.0; tokens * frames];
    let mut normal = vec![0.0; tokens * frames];
    for head in heads {
        normalise(&head[..tokens * frames], frames, &mut normal);
        for (row, sum) in normal
            .chunks_exact(frames)
            .zip(likely.chunks_exact_mut(frames))
        {
            add_median(row, sum);
        }
    }
    warp(&likely, tokens, frames)
}

/// Returns the frame at which each token begins, as [`align`] does, among the frames in which
/// there was a voice: what the decoder looks at in pauses says nothing. `voiced` says of each
/// 16 ms if there was one. If that leaves less than a frame for each token, all frames count.
pub fn align_voiced(heads: &[Vec<f32>], frames: usize, voiced: &[bool]) -> Vec<usize> {
    let is_voiced = |frame: &usize| {
        let middle = frame * FRAME_SAMPLES + FRAME_SAMPLES / 2;
        voiced.get(middle / VOICE_SAMPLES) == Some(&true)
    };
    let kept: Vec<usize> = (0..frames).filter(is_voiced).collect();
    let tokens = heads.iter().map(|head| head.len() / frames.max(1)).min();
    if kept.len() < tokens.unwrap_or(0).max(1) {
        return align(heads, frames);
    }
    let part = |head: &Vec<f32>| {
        let rows = head.chunks_exact(frames);
        rows.flat_map(|row| kept.iter().map(|frame| row[*frame]))
            .collect()
    };
    let heads: Vec<Vec<f32>> = heads.iter().map(part).collect();
    let starts = align(&heads, kept.len()).into_iter();
    starts.map(|start| kept[start]).collect()
}

/// Sets each column of `out` to that of `head`, less its mean and divided by its standard
/// deviation over the tokens.
fn normalise(head: &[f32], frames: usize, out: &mut [f32]) {
    let tokens = (head.len() / frames) as f32;
    let mut mean = vec![0.0; frames];
    let mut scale = vec![0.0; frames];
    for row in head.chunks_exact(frames) {
        for (mean, value) in mean.iter_mut().zip(row) {
            *mean += value / tokens;
        }
    }
    for row in head.chunks_exact(frames) {
        for ((scale, mean), value) in scale.iter_mut().zip(&mean).zip(row) {
            *scale += (value - mean) * (value - mean) / tokens;
        }
    }
    for scale in &mut scale {
        // All tokens look alike at a frame at which none looks.
        *scale = 1.0 / scale.sqrt().max(1e-8);
    }
    for (row, out) in head.chunks_exact(frames).zip(out.chunks_exact_mut(frames)) {
        for (((out, value), mean), scale) in out.iter_mut().zip(row).zip(&mean).zip(&scale) {
            let normal = (value - mean) * scale;
            *out = if normal.is_finite() { normal } else { 0.0 };
        }
    }
}

/// Adds the median of the frames around each frame of `row` to `sum`. At the ends, the
/// frames are mirrored.
fn add_median(row: &[f32], sum: &mut [f32]) {
    let half = WIDTH / 2;
    let inner = row.len().saturating_sub(WIDTH - 1);
    if inner > 0 {
        // Seven slices of one length, so that the compiler can compute several medians at
        // a time.
        let rows: [&[f32]; WIDTH] = std::array::from_fn(|offset| &row[offset..offset + inner]);
        let sum = &mut sum[half..half + inner];
        for (at, sum) in sum.iter_mut().enumerate() {
            *sum += median(rows.map(|row| row[at]));
        }
    }
    let last = row.len().saturating_sub(1);
    let edges = (0..half.min(row.len())).chain((half + inner).min(row.len())..row.len());
    for at in edges.filter(|at| inner == 0 || *at < half || *at >= half + inner) {
        let window = std::array::from_fn(|offset| {
            let place = (at + offset).abs_diff(half);
            let mirrored = if place > last {
                (2 * last).saturating_sub(place)
            } else {
                place
            };
            row[mirrored]
        });
        sum[at] += median(window);
    }
}

/// Returns the median of seven numbers. The exchanges are Devillard's network, which has
/// no branch.
fn median(mut of: [f32; WIDTH]) -> f32 {
    const EXCHANGES: [(usize, usize); 13] = [
        (0, 5),
        (0, 3),
        (1, 6),
        (2, 4),
        (0, 1),
        (3, 5),
        (2, 6),
        (2, 3),
        (3, 6),
        (4, 5),
        (1, 4),
        (1, 3),
        (3, 4),
    ];
    for (low, high) in EXCHANGES {
        // Every number is finite, so this is `min` and `max`, in one instruction each.
        let (left, right) = (of[low], of[high]);
        of[low] = if left < right { left } else { right };
        of[high] = if left < right { right } else { left };
    }
    of[WIDTH / 2]
}

/// Returns the frame at which the likeliest path through `likely` enters each row. The path
/// leads from the first token and frame to the last, and never back.
fn warp(likely: &[f32], tokens: usize, frames: usize) -> Vec<usize> {
    /// The step that leads to a place.
    #[derive(Clone, Copy, PartialEq)]
    enum Step {
        Both,
        Token,
        Frame,
    }
    let mut steps = vec![Step::Frame; tokens * frames];
    // `above` holds the costs of the row before, with one column before the first frame.
    let mut above = vec![f32::INFINITY; frames + 1];
    above[0] = 0.0;
    for (row, steps) in likely
        .chunks_exact(frames)
        .zip(steps.chunks_exact_mut(frames))
    {
        let mut diagonal = std::mem::replace(&mut above[0], f32::INFINITY);
        let mut before = f32::INFINITY;
        for ((likely, step), above) in row.iter().zip(steps).zip(&mut above[1..]) {
            let best;
            (best, *step) = if diagonal < *above && diagonal < before {
                (diagonal, Step::Both)
            } else if *above < diagonal && *above < before {
                (*above, Step::Token)
            } else {
                (before, Step::Frame)
            };
            diagonal = *above;
            before = best - likely;
            *above = before;
        }
    }
    let mut starts = vec![0; tokens];
    let (mut token, mut frame) = (tokens - 1, frames - 1);
    loop {
        starts[token] = frame;
        let step = steps[token * frames + frame];
        if step != Step::Frame {
            let Some(before) = token.checked_sub(1) else {
                break;
            };
            token = before;
        }
        if step != Step::Token {
            let Some(before) = frame.checked_sub(1) else {
                break;
            };
            frame = before;
        }
    }
    starts
}

/// A word of an utterance.
#[derive(Clone, Debug, PartialEq)]
pub struct Word {
    /// The word with its punctuation, and without white space.
    pub text: String,
    /// The frame at which the word begins.
    pub start: usize,
    /// The frame at which it ends, at least one later.
    pub end: usize,
    /// The geometric mean of the probabilities of its tokens.
    pub confidence: f32,
    /// The place of its first token in the utterance.
    pub first_token: usize,
    /// The number of its tokens.
    pub tokens: usize,
}

/// Returns the words of an utterance that is `frames` long.
///
/// `ids` are its tokens without the prompt. `starts` has the frame at which each begins,
/// and one more for the end of the last, as [`align`] gives them; where it is shorter, a
/// token begins with the last known frame. `log_probabilities` has one number for each
/// token.
///
/// A word begins with a token that begins with white space. What has no letter, digit or
/// spoken symbol, such as a dash, belongs to the word before it. Starts and ends never
/// fall, each word is at least one frame long, and all lie within the utterance; words
/// overlap only where there are more of them than frames.
pub fn words(
    tokenizer: &Tokenizer,
    ids: &[u32],
    starts: &[usize],
    log_probabilities: &[f32],
    frames: usize,
) -> Vec<Word> {
    let begins = |id: &u32| {
        let bytes = tokenizer.bytes(*id);
        bytes.first().is_some_and(u8::is_ascii_whitespace)
    };
    let mut groups: Vec<(usize, String)> = Vec::new();
    let mut first = 0;
    while first < ids.len() {
        let after = ids[first + 1..].iter().position(begins);
        let next = after.map_or(ids.len(), |after| first + 1 + after);
        // A space within a word is a no-break space before a mark, as French has it.
        let text: String = tokenizer
            .decode(&ids[first..next])
            .split_whitespace()
            .collect();
        match groups.last_mut() {
            Some((_, word)) if !is_spoken(&text) || !is_spoken(word) => word.push_str(&text),
            _ => groups.push((first, text)),
        }
        first = next;
    }
    // An utterance of marks alone has no word.
    groups.retain(|(_, text)| is_spoken(text));
    let bounds: Vec<usize> = groups
        .iter()
        .map(|(first, _)| *first)
        .chain([ids.len()])
        .collect();
    let frames = frames.max(1);
    let start_of = |token: usize| starts.get(token).or(starts.last()).copied().unwrap_or(0);
    let mut reached = 0;
    groups
        .into_iter()
        .zip(&bounds[1.min(bounds.len())..])
        .map(|((first, text), next)| {
            let start = start_of(first).max(reached).min(frames - 1);
            let end = start_of(*next).clamp(start + 1, frames);
            reached = end;
            let logs = log_probabilities.get(first..*next).unwrap_or_default();
            Word {
                text,
                start,
                end,
                confidence: confidence(logs),
                first_token: first,
                tokens: next - first,
            }
        })
        .collect()
}

/// Returns `true` if a text has something that is said: a letter, a digit, or a symbol that
/// has a name, such as "&" in "R & D".
fn is_spoken(text: &str) -> bool {
    text.contains(|character: char| character.is_alphanumeric() || "&+=@%#$€£".contains(character))
}

/// Returns the geometric mean of probabilities, given as logarithms.
fn confidence(logs: &[f32]) -> f32 {
    let mean = logs.iter().sum::<f32>() / logs.len() as f32;
    // The mean of nothing is no number.
    if mean.is_nan() {
        0.0
    } else {
        mean.exp().min(1.0)
    }
}

/// Draws the times of words to where there was a voice. Attention runs on into the pause
/// after a word: without this, ends are 0.2 s late on average.
///
/// `voiced` says of each 16 ms of the utterance if there was a voice. The first word starts
/// no earlier than the first voiced frame, and one that seems to start in a pause with the
/// voice behind it. The first word that starts in a stretch of voice starts with it: until
/// then the decoder looked for the mark of the sentence before. That does not hold for a voice
/// at the beginning of the audio, which was cut there. A word ends no later than the last voiced
/// frame before the next word. A bound that would leave less than a frame of a word is ignored.
pub fn clamp(words: &mut [Word], voiced: &[bool]) {
    let Some(first) = voiced.iter().position(|voiced| *voiced) else {
        return;
    };
    if let Some(word) = words.first_mut() {
        let start = first * VOICE_SAMPLES / FRAME_SAMPLES;
        if start < word.end {
            word.start = word.start.max(start);
        }
    }
    for word in words.iter_mut() {
        // A word that seems to start in a pause starts with the voice behind it.
        let from = (word.start * FRAME_SAMPLES / VOICE_SAMPLES).min(voiced.len());
        if let Some(pause) = voiced[from..].iter().position(|voiced| *voiced) {
            let start = (from + pause) * VOICE_SAMPLES / FRAME_SAMPLES;
            if start < word.end {
                word.start = word.start.max(start);
            }
        }
    }
    let mut before = None;
    for word in words.iter_mut() {
        let at = ((word.start + 1) * FRAME_SAMPLES - 1) / VOICE_SAMPLES;
        if let Some(begin) = stretch_of(voiced, at).filter(|begin| *begin > 0) {
            let start = begin * VOICE_SAMPLES / FRAME_SAMPLES;
            let is_first = before.is_none_or(|before| before < start);
            if is_first && word.start <= start + DRAWN {
                word.start = start;
            }
        }
        before = Some(word.start);
    }
    let mut next = voiced.len() * VOICE_SAMPLES;
    for word in words.iter_mut().rev() {
        // The voiced frames that begin before the next word.
        let until = next.div_ceil(VOICE_SAMPLES).min(voiced.len());
        if let Some(last) = voiced[..until].iter().rposition(|voiced| *voiced) {
            let end = ((last + 1) * VOICE_SAMPLES).div_ceil(FRAME_SAMPLES);
            if end > word.start {
                word.end = word.end.min(end);
            }
        }
        next = word.start * FRAME_SAMPLES;
    }
}

/// Returns where the stretch of voice begins that goes on at a frame, both in frames of the
/// voice detector.
fn stretch_of(voiced: &[bool], at: usize) -> Option<usize> {
    let until = voiced.get(..=at)?;
    let mut pause = 0;
    let mut begin = None;
    for (frame, voiced) in until.iter().enumerate().rev() {
        match (voiced, begin) {
            (true, _) => (begin, pause) = (Some(frame), 0),
            (false, Some(_)) if pause + 1 < PAUSE => pause += 1,
            (false, _) => break,
        }
    }
    begin
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::token::tests::small;
    use proptest::prelude::*;

    /// Returns a head in which token `t` looks at the frames from `starts[t]` to the next
    /// token's.
    fn head(starts: &[usize], frames: usize) -> Vec<f32> {
        let mut head = vec![0.01; starts.len() * frames];
        for (token, start) in starts.iter().enumerate() {
            let end = starts.get(token + 1).copied().unwrap_or(frames);
            head[token * frames + start..token * frames + end].fill(0.2);
        }
        head
    }

    #[test]
    fn finds_where_tokens_begin() {
        let starts = [0, 12, 20, 45, 60];
        assert_eq!(align(&[head(&starts, 80)], 80), starts);
        assert_eq!(align(&vec![head(&starts, 80); 3], 80), starts);
    }

    #[test]
    fn what_is_looked_at_in_pauses_does_not_count() {
        // The second token looks at the pause from 20 to 40 as much as at the voice behind it.
        let starts = [0, 24, 60];
        let voiced: Vec<bool> = (0..100).map(|at| !(25..50).contains(&at)).collect();
        let heads = [head(&starts, 80)];
        assert_eq!(align(&heads, 80), starts);
        assert_eq!(align_voiced(&heads, 80, &voiced), [0, 40, 60]);
        // With less voice than tokens all frames count.
        let little: Vec<bool> = (0..100).map(|at| at == 50).collect();
        assert_eq!(align_voiced(&heads, 80, &little), starts);
        assert_eq!(align_voiced(&heads, 80, &[]), starts);
        assert_eq!(align_voiced(&[], 80, &voiced), [0; 0]);
    }

    #[test]
    fn a_head_that_looks_anywhere_is_outvoted() {
        let starts = [0, 30, 60];
        let frames = 90;
        let wrong = head(&[0, 10, 20], frames);
        let mut heads = vec![head(&starts, frames); 4];
        heads.push(wrong);
        assert_eq!(align(&heads, frames), starts);
    }

    #[test]
    fn agrees_with_the_reference() {
        // What `whisper/timing.py` computes (normalisation, median filter, mean, DTW),
        // written plainly and slowly.
        let (tokens, frames) = (9, 50);
        let mut state = 1u32;
        let mut random = || {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            (state >> 8) as f32 / 16_777_216.0
        };
        // Some frames are looked at by all tokens more than others are.
        let loud = |frame: usize| if frame.is_multiple_of(3) { 30.0 } else { 1.0 };
        let heads: Vec<Vec<f32>> = (0..3)
            .map(|_| {
                (0..tokens * frames)
                    .map(|at| loud(at % frames) * random())
                    .collect()
            })
            .collect();
        let mut cost = vec![0.0f32; tokens * frames];
        for head in &heads {
            let mut normal = head.clone();
            for frame in 0..frames {
                let column: Vec<f32> = (0..tokens).map(|t| head[t * frames + frame]).collect();
                let mean = column.iter().sum::<f32>() / tokens as f32;
                let square = |value: &f32| (value - mean) * (value - mean);
                let deviation = (column.iter().map(square).sum::<f32>() / tokens as f32).sqrt();
                for token in 0..tokens {
                    normal[token * frames + frame] = (column[token] - mean) / deviation;
                }
            }
            for token in 0..tokens {
                for frame in 0..frames {
                    let mut window: Vec<f32> = (-3..=3)
                        .map(|offset| {
                            let mut at = frame as isize + offset;
                            let last = frames as isize - 1;
                            at = at.abs();
                            at = if at > last { 2 * last - at } else { at };
                            normal[token * frames + at as usize]
                        })
                        .collect();
                    window.sort_by(f32::total_cmp);
                    cost[token * frames + frame] -= window[3];
                }
            }
        }
        // The cheapest path over all, by recursion with a memory.
        let mut best = vec![f32::INFINITY; tokens * frames];
        for token in 0..tokens {
            for frame in 0..frames {
                let at = |t: usize, f: usize| best[t * frames + f];
                let mut least = if token + frame == 0 {
                    0.0
                } else {
                    f32::INFINITY
                };
                if token > 0 && frame > 0 {
                    least = least.min(at(token - 1, frame - 1));
                }
                if token > 0 {
                    least = least.min(at(token - 1, frame));
                }
                if frame > 0 {
                    least = least.min(at(token, frame - 1));
                }
                best[token * frames + frame] = least + cost[token * frames + frame];
            }
        }
        let starts = align(&heads, frames);
        // The path that the starts describe costs as little: a row runs from its start to
        // that of the next row, which lies one further on or below.
        let mut found = 0.0;
        for token in 0..tokens {
            let end = starts.get(token + 1).copied().unwrap_or(frames - 1);
            let sum = |until: usize| {
                cost[token * frames + starts[token]..=token * frames + until]
                    .iter()
                    .sum::<f32>()
            };
            let mut row = sum(end);
            if token + 1 < tokens && end > starts[token] {
                // The path comes down from `end`, or diagonally from the frame before.
                row = row.min(sum(end - 1));
            }
            found += row;
        }
        let least = best[tokens * frames - 1];
        assert!((found - least).abs() < 1e-3, "{found} {least}");
    }

    #[test]
    fn the_median_is_right_for_all_orders() {
        // A network that is right for all inputs of 0 and 1 is right for all.
        for bits in 0u32..128 {
            let numbers = std::array::from_fn(|at| ((bits >> at) & 1) as f32);
            assert_eq!(
                median(numbers),
                if bits.count_ones() >= 4 { 1.0 } else { 0.0 },
                "{bits}"
            );
        }
    }

    #[test]
    fn the_median_filter_mirrors_the_ends() {
        let filter = |row: &[f32]| {
            let mut sum = vec![0.0; row.len()];
            add_median(row, &mut sum);
            sum
        };
        // 0 mirrored: 3 2 1 | 0 1 2 3, and 5 mirrored: 2 3 4 | 5 | 4 3 2.
        let row = [0.0, 1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0];
        assert_eq!(filter(&row), [2.0, 2.0, 2.0, 3.0, 4.0, 5.0, 5.0, 5.0]);
        assert_eq!(filter(&[0.0, 0.0, 0.0, 9.0, 0.0, 0.0, 0.0, 0.0]), [0.0; 8]);
        for len in 0..20 {
            assert_eq!(filter(&vec![1.0; len]), vec![1.0; len]);
        }
    }

    #[test]
    fn nothing_to_align() {
        assert_eq!(align(&[], 10), [0; 0]);
        assert_eq!(align(&[vec![]], 10), [0; 0]);
        assert_eq!(align(&[vec![1.0; 10]], 0), [0; 0]);
        assert_eq!(align(&[vec![0.5; 10]], 10), [0]);
        // Three tokens within one frame.
        assert_eq!(align(&[vec![0.5; 3]], 1), [0, 0, 0]);
        // A row that is not complete, or not in all heads.
        assert_eq!(align(&[vec![0.5; 25], vec![0.5; 30]], 10).len(), 2);
    }

    /// Returns a tokenizer with a few words as tokens.
    fn tokenizer() -> Tokenizer {
        small(
            &[("o", "k"), ("Ġ", "ok"), ("Ġ", "-"), ("Ġ", "Ã"), ("Ġ", "&")],
            &["<|endoftext|>"],
        )
    }

    /// Returns the words of a text, whose tokens begin every 10 frames.
    fn of(text: &str) -> Vec<Word> {
        let tokenizer = tokenizer();
        let ids = tokenizer.encode(text);
        let starts: Vec<usize> = (0..=ids.len()).map(|at| at * 10).collect();
        words(
            &tokenizer,
            &ids,
            &starts,
            &vec![-0.5; ids.len()],
            ids.len() * 10 + 5,
        )
    }

    /// Returns the texts of words.
    fn texts(words: &[Word]) -> Vec<&str> {
        words.iter().map(|word| word.text.as_str()).collect()
    }

    #[test]
    fn a_word_begins_with_a_space() {
        let words = of(" ok ok.");
        assert_eq!(
            words,
            [
                Word {
                    text: "ok".to_owned(),
                    start: 0,
                    end: 10,
                    confidence: (-0.5f32).exp(),
                    first_token: 0,
                    tokens: 1
                },
                Word {
                    text: "ok.".to_owned(),
                    start: 10,
                    end: 30,
                    confidence: (-0.5f32).exp(),
                    first_token: 1,
                    tokens: 2
                },
            ]
        );
        assert_eq!(texts(&of("ok ok")), ["ok", "ok"]);
        assert_eq!(texts(&of("")), [""; 0]);
    }

    #[test]
    fn joins_a_character_over_tokens() {
        // The space and the first byte of "é" are one token, its second byte another.
        let words = of(" ok éok");
        assert_eq!(texts(&words), ["ok", "éok"]);
        assert_eq!((words[1].first_token, words[1].tokens), (1, 3));
    }

    #[test]
    fn a_lone_mark_joins_the_word_before() {
        let words = of(" ok - ok");
        assert_eq!(texts(&words), ["ok-", "ok"]);
        assert_eq!((words[0].tokens, words[0].end), (2, 20));
        // There is none before the first.
        let words = of(" - ok");
        assert_eq!(texts(&words), ["-ok"]);
        assert_eq!((words[0].first_token, words[0].tokens), (0, 2));
        assert_eq!(texts(&of(" - -")), [""; 0]);
        // A symbol that is spoken is a word.
        assert_eq!(texts(&of(" ok & ok")), ["ok", "&", "ok"]);
    }

    #[test]
    fn the_confidence_is_a_mean() {
        let tokenizer = tokenizer();
        let ids = tokenizer.encode(" ok.");
        let of = |logs: &[f32]| words(&tokenizer, &ids, &[0, 1, 2], logs, 9)[0].confidence;
        assert!((of(&[0.25f32.ln(), 1.0f32.ln()]) - 0.5).abs() < 1e-6);
        assert_eq!(of(&[1.0, 1.0]), 1.0);
        assert_eq!(of(&[f32::NAN, 0.0]), 0.0);
        assert_eq!(of(&[f32::NEG_INFINITY, 0.0]), 0.0);
        assert_eq!(of(&[]), 0.0);
    }

    #[test]
    fn a_word_is_at_least_a_frame_long() {
        let tokenizer = tokenizer();
        let ids = tokenizer.encode(" ok ok ok");
        let times = |starts: &[usize], frames: usize| {
            let words = words(&tokenizer, &ids, starts, &[0.0; 3], frames);
            words
                .iter()
                .map(|word| (word.start, word.end))
                .collect::<Vec<_>>()
        };
        assert_eq!(times(&[5, 5, 5, 20], 30), [(5, 6), (6, 7), (7, 20)]);
        assert_eq!(times(&[28, 29, 29, 29], 30), [(28, 29), (29, 30), (29, 30)]);
        assert_eq!(times(&[90, 91, 92, 93], 30), [(29, 30); 3]);
        assert_eq!(times(&[0, 10], 30), [(0, 10), (10, 11), (11, 12)]);
        assert_eq!(times(&[], 0), [(0, 1); 3]);
    }

    /// Returns words from and to the given frames.
    fn timed(times: &[(usize, usize)]) -> Vec<Word> {
        times
            .iter()
            .map(|(start, end)| Word {
                text: "ok".to_owned(),
                start: *start,
                end: *end,
                confidence: 1.0,
                first_token: 0,
                tokens: 1,
            })
            .collect()
    }

    /// Returns the times that are left after clamping. `voiced` are ranges of 16 ms.
    fn clamped(times: &[(usize, usize)], voiced: &[(usize, usize)]) -> Vec<(usize, usize)> {
        let mut words = timed(times);
        let voiced: Vec<bool> = (0..125)
            .map(|at| voiced.iter().any(|range| (range.0..range.1).contains(&at)))
            .collect();
        clamp(&mut words, &voiced);
        words.iter().map(|word| (word.start, word.end)).collect()
    }

    #[test]
    fn times_keep_to_the_voice() {
        // 25 frames of 16 ms are 20 of 20 ms.
        assert_eq!(
            clamped(&[(0, 50), (50, 100)], &[(25, 50), (75, 100)]),
            [(20, 40), (60, 80)]
        );
        // The first word of each stretch of voice begins with it: the second word, at 70, is the
        // first of the second stretch, and the third is not.
        assert_eq!(
            clamped(&[(10, 70), (70, 72), (72, 100)], &[(5, 25), (75, 125)]),
            [(4, 20), (60, 72), (72, 100)]
        );
        // A word may have a pause of 48 ms, and is drawn by half a second at most.
        assert_eq!(
            clamped(&[(0, 50), (50, 100)], &[(0, 60), (63, 125)]),
            [(0, 48), (50, 100)]
        );
        assert_eq!(
            clamped(&[(0, 50), (50, 100)], &[(0, 60), (64, 125)]),
            [(0, 48), (51, 100)]
        );
        assert_eq!(
            clamped(&[(0, 66), (66, 100)], &[(0, 25), (50, 125)]),
            [(0, 66), (66, 100)]
        );
        // Where the audio was cut, the voice was there before.
        assert_eq!(clamped(&[(10, 20)], &[(0, 25)]), [(10, 20)]);
        // The voice goes on through the next word.
        assert_eq!(
            clamped(&[(0, 50), (50, 100)], &[(0, 125)]),
            [(0, 50), (50, 100)]
        );
    }

    #[test]
    fn a_word_without_a_voice_keeps_its_times() {
        assert_eq!(
            clamped(&[(0, 10), (50, 60)], &[(25, 50)]),
            [(0, 10), (50, 60)]
        );
        assert_eq!(clamped(&[(0, 10)], &[]), [(0, 10)]);
        assert_eq!(clamped(&[], &[(0, 5)]), []);
        let mut words = timed(&[(0, 10)]);
        clamp(&mut words, &[]);
        assert_eq!(words, timed(&[(0, 10)]));
    }

    proptest! {
        #![proptest_config(ProptestConfig {
            cases: if cfg!(miri) { 4 } else { 256 },
            failure_persistence: None,
            ..ProptestConfig::default()
        })]

        #[test]
        fn starts_never_fall(
            numbers in prop::collection::vec(prop_oneof![0f32..1.0, any::<f32>()], 0..400),
            frames in 0usize..40,
            heads in 0usize..4,
        ) {
            let heads = vec![numbers; heads];
            let starts = align(&heads, frames);
            prop_assert!(starts.is_sorted());
            prop_assert!(starts.iter().all(|start| *start < frames));
            let voiced: Vec<bool> = (0..frames).map(|at| at % 7 > 2).collect();
            let starts = align_voiced(&heads, frames, &voiced);
            prop_assert!(starts.is_sorted());
            prop_assert!(starts.iter().all(|start| *start < frames));
        }

        #[test]
        fn words_keep_their_promises(
            ids in prop::collection::vec(prop_oneof![0u32..270, 256u32..262], 0..30),
            starts in prop::collection::vec(0usize..100, 0..32),
            logs in prop::collection::vec(any::<f32>(), 0..32),
            frames in 0usize..100,
            voiced in prop::collection::vec(any::<bool>(), 0..130),
        ) {
            let mut words = words(&tokenizer(), &ids, &starts, &logs, frames);
            for clamped in [false, true] {
                if clamped {
                    clamp(&mut words, &voiced);
                }
                for word in &words {
                    prop_assert!(word.start < word.end && word.end <= frames.max(1));
                    prop_assert!((0.0..=1.0).contains(&word.confidence));
                    prop_assert!(is_spoken(&word.text) && !word.text.contains(char::is_whitespace));
                }
                prop_assert!(words.is_sorted_by_key(|word| word.start));
                for pair in words.windows(2) {
                    let reached = pair[0].end <= pair[1].start || pair[0].end == frames.max(1);
                    prop_assert!(reached && pair[0].end <= pair[1].end || clamped, "{:?}", pair);
                    let next = pair[0].first_token + pair[0].tokens;
                    prop_assert_eq!(next, pair[1].first_token);
                }
            }
            let joined: String = words.iter().map(|word| word.text.as_str()).collect();
            let text: String = tokenizer().decode(&ids).split_whitespace().collect();
            if !words.is_empty() && !joined.contains('\u{fffd}') && !text.contains('\u{fffd}') {
                prop_assert_eq!(joined, text);
            }
        }
    }
}
