// SPDX-License-Identifier: MPL-2.0

//! A recogniser that says what a test wants to be said.

use std::time::Duration;
use symbl_service::recognizer::{
    RecognisedWord, Recognition, Recognizer, RecognizerError, RecognizerStream, StreamOptions,
};

/// Says its next sentence whenever half a second of audio has come.
pub struct Prompter(pub &'static [&'static str]);

struct Prompt {
    lines: std::slice::Iter<'static, &'static str>,
    samples: u64,
}

impl Recognizer for Prompter {
    fn name(&self) -> &'static str {
        "prompter"
    }

    fn open(&self, _: &StreamOptions) -> Result<Box<dyn RecognizerStream>, RecognizerError> {
        Ok(Box::new(Prompt {
            lines: self.0.iter(),
            samples: 0,
        }))
    }
}

impl RecognizerStream for Prompt {
    fn push(&mut self, samples: &[i16], out: &mut Vec<Recognition>) -> Result<(), RecognizerError> {
        let before = self.samples / 8000;
        self.samples += samples.len() as u64;
        for part in before..self.samples / 8000 {
            let Some(line) = self.lines.next() else { break };
            let start = Duration::from_millis(part * 500);
            let words = line.split(' ').zip(0u32..).map(|(word, k)| RecognisedWord {
                text: word.to_owned(),
                start: start + k * Duration::from_millis(20),
                end: start + (k + 1) * Duration::from_millis(20),
                confidence: 0.75,
            });
            let words: Vec<RecognisedWord> = words.collect();
            out.push(Recognition::Interim {
                words: words.clone(),
                stable: 0,
            });
            out.push(Recognition::bare(words));
        }
        Ok(())
    }

    fn finish(&mut self, _: &mut Vec<Recognition>) -> Result<(), RecognizerError> {
        Ok(())
    }
}
