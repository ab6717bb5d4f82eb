// SPDX-License-Identifier: MPL-2.0

//! A recogniser that says more than a client can read.

use std::time::Duration;
use symbl_service::recognizer::{
    RecognisedWord, Recognition, Recognizer, RecognizerError, RecognizerStream, StreamOptions,
};

/// Has a speech for every chunk.
pub struct Chatty;

impl Recognizer for Chatty {
    fn name(&self) -> &'static str {
        "chatty"
    }

    fn open(&self, _: &StreamOptions) -> Result<Box<dyn RecognizerStream>, RecognizerError> {
        Ok(Box::new(Self))
    }
}

impl RecognizerStream for Chatty {
    fn push(&mut self, _: &[i16], out: &mut Vec<Recognition>) -> Result<(), RecognizerError> {
        let word = RecognisedWord {
            text: "blah".repeat(1000),
            start: Duration::ZERO,
            end: Duration::ZERO,
            confidence: 0.5,
        };
        let words = vec![word; 50];
        out.push(Recognition::bare(words));
        Ok(())
    }

    fn finish(&mut self, _: &mut Vec<Recognition>) -> Result<(), RecognizerError> {
        Ok(())
    }
}
