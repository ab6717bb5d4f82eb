// SPDX-License-Identifier: MPL-2.0

//! From the samples of an utterance to its words.
//!
//! [`Model::transcribe`] decodes an utterance that is over, [`Looks`] follows one that goes
//! on. What both return is a function of the samples and the request alone: no text is
//! carried from one utterance to the next, and nothing is drawn by lot.

use crate::align;
use crate::boost::{BoostTree, FIRST, MAX_TERMS, MAX_TOKENS, NEXT};
use crate::known;
use crate::linear::Work;
use crate::model::{FRAME, FRAMES_PER_SECOND, Model};
use crate::search::{End, Goal, Hypothesis, search};
use std::collections::HashSet;

/// Samples of a frame of the voice detector: 16 ms.
const VOICE: usize = align::VOICE_SAMPLES;
/// Samples per second.
const RATE: usize = crate::mel::SAMPLE_RATE as usize;

/// Silence that is encoded behind an utterance.
const PADDING: usize = RATE;
/// … behind one that is shorter than [`SHORT`]: one word in ten is lost without it.
const SHORT_PADDING: usize = 5 * RATE;
/// Less audio than this is a short utterance: 2 s.
const SHORT: usize = 2 * RATE;
/// Less audio with a voice in it than this is no speech: 100 ms.
const LEAST_VOICED: usize = RATE / 10;
/// Audio with a voice in it that may follow the last word; what is more is decoded again.
const UNCOVERED: usize = 2 * RATE;
/// How often the rest of an utterance is decoded again.
const PIECES: usize = 4;

/// From this probability of no speech on, there is none …
const NO_SPEECH: f32 = 0.8;
/// … or from this one on, if the model is unsure of the text, too …
const NO_SPEECH_IF_UNSURE: f32 = 0.55;
/// … which it is below this mean of the logarithms of the tokens' probabilities.
const UNSURE: f32 = -0.8;
/// From this probability of no speech on, a text that models like to make of noise is none.
/// People say "Thank you", too.
const NO_SPEECH_IF_KNOWN: f32 = 0.3;

/// What a client asked for, made once for each stream.
#[derive(Debug, Clone)]
pub struct Request {
    prompt: Vec<u32>,
    boost: Option<BoostTree>,
}

/// A language that a model does not know.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the model knows {}, not \"{asked}\"", listed(known))]
pub struct UnknownLanguage {
    /// The language that was asked for.
    pub asked: String,
    /// The languages that the model knows, as ISO 639 codes.
    pub known: Vec<String>,
}

/// Returns a list of languages, or how many there are if that is long.
fn listed(languages: &[String]) -> String {
    match languages.len() {
        0..=10 => languages.join(", "),
        count => format!("{count} languages"),
    }
}

/// A word and when it was said, in samples from the start of the audio.
#[derive(Debug, Clone, PartialEq)]
pub struct TimedWord {
    /// The word with its punctuation.
    pub text: String,
    /// Where it starts.
    pub start: usize,
    /// Where it ends, later than it starts.
    pub end: usize,
    /// The geometric mean of its tokens' probabilities, 0.0 – 1.0.
    pub confidence: f32,
}

/// What an utterance says.
#[derive(Debug, Clone, PartialEq)]
pub struct Transcript {
    /// Its words in order; none if there is no speech.
    pub words: Vec<TimedWord>,
    /// The probability that there is no speech.
    pub no_speech: f32,
    /// The mean of the logarithms of the tokens' probabilities.
    pub mean_log_probability: f32,
    /// Why the first search ended.
    pub end: End,
}

/// The words of an utterance so far.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Look {
    /// All words, in order.
    pub words: Vec<TimedWord>,
    /// How many of the first words two looks agreed on. Later looks keep them; the final
    /// is decoded afresh and may differ.
    pub stable: usize,
}

impl Model {
    /// Returns the language codes that the model knows, `en` first.
    pub fn languages(&self) -> Vec<String> {
        let mut all = vec!["en".to_owned()];
        if self.is_multilingual() {
            let others = self
                .tokenizer
                .languages()
                .iter()
                .map(|(code, _)| code.clone());
            all.extend(others.filter(|code| code != "en"));
        }
        all
    }

    /// Makes a request for speech in a language (an ISO 639 code such as `en`), with terms
    /// that are likely to be said.
    ///
    /// Returns beside it the places of the terms that are blank, too long to be used, or too
    /// many.
    ///
    /// # Errors
    ///
    /// The model does not know the language.
    pub fn request(
        &self,
        language: &str,
        vocabulary: &[String],
    ) -> Result<(Request, Vec<usize>), UnknownLanguage> {
        let unknown = || UnknownLanguage {
            asked: language.to_owned(),
            known: self.languages(),
        };
        let special = self.special;
        let mut prompt = vec![special.start];
        match (self.is_multilingual(), special.transcribe) {
            (true, Some(transcribe)) => {
                let languages = self.tokenizer.languages();
                let token = languages.iter().find(|(code, _)| code == language);
                prompt.push(token.ok_or_else(unknown)?.1);
                prompt.push(transcribe);
            }
            _ if language == "en" => {}
            _ => return Err(unknown()),
        }
        prompt.push(special.no_timestamps);
        let (boost, left_out) = self.boost(vocabulary);
        Ok((Request { prompt, boost }, left_out))
    }

    /// Returns the tree of the terms and the places of those that are not in it.
    fn boost(&self, vocabulary: &[String]) -> (Option<BoostTree>, Vec<usize>) {
        let mut taken = HashSet::new();
        let mut spellings = Vec::new();
        let mut left_out = Vec::new();
        for (place, term) in vocabulary.iter().enumerate() {
            let term = term.trim();
            if taken.contains(term) {
                continue;
            }
            let usable = self.spellings(term);
            if usable.is_empty() || taken.len() == MAX_TERMS {
                left_out.push(place);
            } else {
                taken.insert(term);
                spellings.extend(usable);
            }
        }
        let tree = BoostTree::new(&spellings, FIRST, NEXT);
        ((!tree.is_empty()).then_some(tree), left_out)
    }

    /// Returns the tokens of a term as it is written, and with a capital, as at the start of
    /// a sentence; none that are too many.
    fn spellings(&self, term: &str) -> Vec<Vec<u32>> {
        let mut letters = term.chars();
        let Some(first) = letters.next() else {
            // The token of nothing would be a space, which begins no word.
            return Vec::new();
        };
        let capital: String = first.to_uppercase().chain(letters).collect();
        let mut spellings = vec![self.tokenizer.encode(&format!(" {term}"))];
        if capital != term {
            spellings.push(self.tokenizer.encode(&format!(" {capital}")));
        }
        spellings.retain(|tokens| tokens.len() <= MAX_TOKENS);
        spellings
    }

    /// Returns what an utterance says. `voiced` tells for each 16 ms of it if there is a
    /// voice. `draft` is what an earlier look at it found, or nothing: the result is the
    /// same, at less cost.
    pub fn transcribe(
        &self,
        samples: &[f32],
        voiced: &[bool],
        request: &Request,
        draft: &Draft,
    ) -> Transcript {
        let mut transcript = Transcript {
            words: Vec::new(),
            no_speech: 1.0,
            mean_log_probability: 0.0,
            end: End::Finished,
        };
        let mut from = 0;
        for piece in 0..PIECES {
            let rest = &samples[from..samples.len().min(from + self.longest())];
            let voiced = voiced.get(from / VOICE..).unwrap_or_default();
            let voiced = &voiced[..voiced.len().min(rest.len().div_ceil(VOICE))];
            if voiced.iter().filter(|voiced| **voiced).count() * VOICE < LEAST_VOICED {
                break;
            }
            let draft = if piece == 0 { &draft.0[..] } else { &[] };
            let (hypothesis, words) = self.piece(rest, voiced, request, draft);
            if piece == 0 {
                transcript.no_speech = hypothesis.no_speech;
                transcript.mean_log_probability = hypothesis.mean_log_probability();
                transcript.end = hypothesis.end;
            }
            let Some(last) = words.last() else { break };
            let covered = last.end * FRAME;
            transcript.words.extend(timed(&words, from));
            // The model may end after a sentence though speech goes on.
            let Some(rest) = rest_of(covered, voiced) else {
                break;
            };
            from += rest;
        }
        transcript
    }

    /// Decodes a stretch of at most 30 s. No words if there is no speech in it.
    fn piece(
        &self,
        samples: &[f32],
        voiced: &[bool],
        request: &Request,
        draft: &[u32],
    ) -> (Hypothesis, Vec<align::Word>) {
        let mut work = Work::new(self.level);
        let padding = if samples.len() < SHORT {
            SHORT_PADDING
        } else {
            PADDING
        };
        let mut run = |padding: usize, draft: &[u32]| {
            let encoded = self.encode(&mut work, samples, padding);
            let heard = self.decoder.look_at(&mut work, &encoded);
            search(
                self,
                &mut work,
                &heard,
                &Goal {
                    prompt: &request.prompt,
                    prefix: &[],
                    draft,
                    budget: 10 + 8 * samples.len() / RATE,
                    frames: frames_of(samples),
                    margin: None,
                    boost: request.boost.as_ref(),
                },
            )
        };
        let mut hypothesis = run(padding, draft);
        if hypothesis.end == End::Loop {
            let again = run(self.longest(), &[]);
            if again.end != End::Loop {
                hypothesis = again;
            }
        }
        let mut words = Vec::new();
        if !is_no_speech(hypothesis.no_speech, hypothesis.mean_log_probability()) {
            if let Some(rest) = rest_of(self.attended(&hypothesis), voiced) {
                hypothesis.crop(rest.div_ceil(FRAME));
            }
            words = self.words(&hypothesis, voiced);
        }
        if is_imagined(hypothesis.no_speech, &words) {
            words.clear();
        }
        (hypothesis, words)
    }

    /// Returns up to where the decoder looked when it wrote the letters of a hypothesis, in
    /// samples.
    ///
    /// The alignment cannot tell where the model ended early: it spreads the words over all
    /// of the audio. Marks do not count, because that of the last sentence often looks at
    /// the end of the audio.
    fn attended(&self, hypothesis: &Hypothesis) -> usize {
        let has_letter = |token: u32| {
            let bytes = self.tokenizer.bytes(token);
            bytes
                .iter()
                .any(|byte| byte.is_ascii_alphanumeric() || !byte.is_ascii())
        };
        let tokens = hypothesis.tokens.iter().zip(&hypothesis.attended);
        tokens
            .filter(|(token, _)| has_letter(**token))
            .map(|(_, frame)| (frame + 1) * FRAME)
            .max()
            .unwrap_or(0)
    }

    /// Returns the words of a hypothesis, with their times in frames.
    fn words(&self, hypothesis: &Hypothesis, voiced: &[bool]) -> Vec<align::Word> {
        let heads: Vec<Vec<f32>> = hypothesis
            .attention
            .iter()
            .map(|rows| shares(rows, hypothesis.frames))
            .collect();
        let starts = align::align_voiced(&heads, hypothesis.frames, voiced);
        let mut words = known::strip_words(align::words(
            &self.tokenizer,
            &hypothesis.tokens,
            &starts,
            &hypothesis.log_probabilities,
            hypothesis.frames,
        ));
        align::clamp(&mut words, voiced);
        words
    }
}

/// Returns rows of attention, each as shares that add up to 1.
///
/// Part of a row went to the silence behind the audio; what is left of it counts as much as
/// any other row.
fn shares(rows: &[f32], frames: usize) -> Vec<f32> {
    let mut shares = rows.to_vec();
    for row in shares.chunks_exact_mut(frames) {
        let sum: f32 = row.iter().sum();
        for value in row {
            *value /= sum.max(1e-9);
        }
    }
    shares
}

/// Returns words of audio that begins at the sample `from`, with their times in samples.
fn timed(words: &[align::Word], from: usize) -> impl Iterator<Item = TimedWord> {
    words.iter().map(move |word| TimedWord {
        text: word.text.clone(),
        start: from + word.start * FRAME,
        end: from + word.end * FRAME,
        confidence: word.confidence,
    })
}

/// Returns `true` if the words are such as models make of noise, and this may be noise.
fn is_imagined(no_speech: f32, words: &[align::Word]) -> bool {
    let texts: Vec<&str> = words.iter().map(|word| word.text.as_str()).collect();
    no_speech > NO_SPEECH_IF_KNOWN && known::is_hallucination(&texts.join(" "))
}

/// Returns `true` if what was decoded is no speech.
fn is_no_speech(no_speech: f32, mean_log_probability: f32) -> bool {
    no_speech > NO_SPEECH || no_speech > NO_SPEECH_IF_UNSURE && mean_log_probability < UNSURE
}

/// Returns where the speech behind `covered` begins, in samples, if it is too much to be
/// left out. That is at the next pause, which may be a little later.
fn rest_of(covered: usize, voiced: &[bool]) -> Option<usize> {
    let behind = &voiced[(covered / VOICE).min(voiced.len())..];
    if behind.iter().filter(|voiced| **voiced).count() * VOICE < UNCOVERED {
        return None;
    }
    let pause = behind
        .iter()
        .take(RATE / 2 / VOICE)
        .position(|voiced| !voiced);
    Some((covered / VOICE + pause.unwrap_or(0)) * VOICE)
}

/// Returns how many encoder vectors stand for samples.
fn frames_of(samples: &[f32]) -> usize {
    (samples.len() * FRAMES_PER_SECOND / RATE).max(1)
}

/// The tokens of an earlier look at an utterance.
#[derive(Debug, Clone, Default)]
pub struct Draft(Vec<u32>);

/// Follows an utterance that goes on, look by look.
///
/// A look stops before the first word that may not be complete yet (AlignAtt), and the
/// words that two looks in a row agree on are kept by those that follow (LocalAgreement).
#[derive(Debug, Default)]
pub struct Looks {
    /// Words that were let go with the audio before `from`.
    gone: Vec<TimedWord>,
    /// Where the window begins, in samples.
    from: usize,
    /// Tokens that later looks keep, and the logarithms of their probabilities.
    kept: Vec<(u32, f32)>,
    /// All tokens of the last look.
    last: Vec<u32>,
    /// Tokens of the words that are gone.
    gone_tokens: Vec<u32>,
    /// What the last look saw.
    seen: Look,
}

/// Audio at the end of which no word is taken for complete: 0.3 s, in encoder vectors.
const MARGIN: usize = 15;
/// The same as long as nothing was seen: 0.1 s, so that the first word comes soon.
const FIRST_MARGIN: usize = 5;
/// A window that is longer than this …
const LONG_WINDOW: usize = 12 * RATE;
/// … is cut so that about this much is left.
const KEPT_WINDOW: usize = 6 * RATE;

impl Looks {
    /// Looks at the utterance so far: all of its samples from the first on.
    pub fn look(
        &mut self,
        model: &Model,
        samples: &[f32],
        voiced: &[bool],
        request: &Request,
    ) -> Look {
        let window = &samples[self.from.min(samples.len())..];
        let window = &window[..window.len().min(model.longest())];
        let mut work = Work::new(model.level);
        let encoded = model.encode(&mut work, window, 0);
        let heard = model.decoder.look_at(&mut work, &encoded);
        let kept: Vec<u32> = self.kept.iter().map(|(token, _)| *token).collect();
        let is_first = self.last.is_empty() && self.gone.is_empty();
        let mut hypothesis = search(
            model,
            &mut work,
            &heard,
            &Goal {
                prompt: &request.prompt,
                prefix: &kept,
                draft: self.last.get(kept.len()..).unwrap_or_default(),
                budget: 6 + 7 * window.len() / RATE,
                frames: frames_of(window),
                margin: Some(if is_first { FIRST_MARGIN } else { MARGIN }),
                boost: request.boost.as_ref(),
            },
        );
        if is_no_speech(hypothesis.no_speech, hypothesis.mean_log_probability()) {
            return self.seen.clone();
        }
        for (known, (_, probability)) in hypothesis.log_probabilities.iter_mut().zip(&self.kept) {
            *known = *probability;
        }
        let agreed = hypothesis
            .tokens
            .iter()
            .zip(&self.last)
            .take_while(|(a, b)| a == b)
            .count();
        let agreed = agreed.max(kept.len()).min(hypothesis.tokens.len());
        // A word that was said and a part of the next one are kept apart.
        let agreed = whole_words(model, &hypothesis.tokens, agreed).max(kept.len());
        let probabilities = hypothesis.log_probabilities.iter().copied();
        self.kept = hypothesis
            .tokens
            .iter()
            .copied()
            .zip(probabilities)
            .take(agreed)
            .collect();
        self.last.clone_from(&hypothesis.tokens);
        let voiced = voiced.get(self.from / VOICE..).unwrap_or_default();
        let words = model.words(&hypothesis, voiced);
        // The last word that is kept may still get a mark, such as a comma.
        let is_stable = |word: &&align::Word| word.first_token + word.tokens < agreed;
        let stable = words.iter().take_while(is_stable).count();
        let look = Look {
            words: self
                .gone
                .iter()
                .cloned()
                .chain(timed(&words, self.from))
                .collect(),
            stable: self.gone.len() + stable,
        };
        if window.len() > LONG_WINDOW {
            self.let_go(&words[..stable], window.len());
        }
        self.seen.clone_from(&look);
        look
    }

    /// Returns what was seen so far, for the final.
    pub fn draft(&self) -> Draft {
        Draft([&self.gone_tokens[..], &self.last[..]].concat())
    }

    /// Moves the start of the window behind the last stable word that leaves enough audio.
    fn let_go(&mut self, stable: &[align::Word], window: usize) {
        let is_old = |word: &&align::Word| word.end * FRAME + KEPT_WINDOW <= window;
        let count = stable.iter().take_while(is_old).count();
        let Some(last) = count.checked_sub(1).map(|last| &stable[last]) else {
            return;
        };
        let tokens = last.first_token + last.tokens;
        self.gone.extend(timed(&stable[..count], self.from));
        self.gone_tokens
            .extend(self.kept.drain(..tokens).map(|(token, _)| token));
        self.last.drain(..tokens.min(self.last.len()));
        self.from += last.end * FRAME / VOICE * VOICE;
    }
}

/// Returns how many of the first `count` tokens make words that are complete: the token
/// that follows begins another one.
fn whole_words(model: &Model, tokens: &[u32], count: usize) -> usize {
    let ends_there = |count: &usize| {
        let next = tokens.get(*count);
        next.is_some_and(|&token| begins_word(model, token))
    };
    (1..=count).rev().find(ends_there).unwrap_or(0)
}

/// Returns `true` if a token begins a word.
fn begins_word(model: &Model, token: u32) -> bool {
    model
        .tokenizer
        .bytes(token)
        .first()
        .is_some_and(u8::is_ascii_whitespace)
}

#[cfg(test)]
mod tests;
