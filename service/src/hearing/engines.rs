// SPDX-License-Identifier: MPL-2.0

//! The engines of a service, by name and language.

use crate::hearing::capacity::Capacity;
use crate::hearing::recognizer::Recognizer;
use std::sync::Arc;

/// The engines, in the order in which they were named; at least one.
#[derive(Clone)]
pub(crate) struct Engines(Arc<[Arc<dyn Recognizer>]>);

/// An engine, and its number among those of the service.
#[derive(Clone)]
pub(crate) struct Chosen {
    pub(crate) recognizer: Arc<dyn Recognizer>,
    pub(crate) number: usize,
}

impl Engines {
    /// The number of the engine that a stream counts for until its language is known.
    pub(crate) const FIRST: usize = 0;

    /// Returns the engines of a service.
    pub(crate) fn new(first: &Arc<dyn Recognizer>, others: &[Arc<dyn Recognizer>]) -> Self {
        let all = std::iter::once(first).chain(others);
        Self(all.map(Arc::clone).collect())
    }

    pub(crate) fn all(&self) -> impl Iterator<Item = &Arc<dyn Recognizer>> {
        self.0.iter()
    }

    /// Returns the capacity of each engine, as it says itself.
    pub(crate) fn capacities(&self) -> Vec<Capacity> {
        self.all().map(|engine| engine.capacity()).collect()
    }

    /// Returns the first engine that recognises `language` (a BCP-47 tag), or the first
    /// engine of all if `language` is empty.
    ///
    /// # Errors
    ///
    /// No engine recognises it. Returns the reasons.
    pub(crate) fn choose(&self, language: &str) -> Result<Chosen, String> {
        let mut refusals = Vec::new();
        for (number, recognizer) in self.all().enumerate() {
            match recognizer.check_language(language) {
                Err(why) if !language.is_empty() => refusals.push((recognizer.name(), why)),
                _ => {
                    let recognizer = Arc::clone(recognizer);
                    return Ok(Chosen { recognizer, number });
                }
            }
        }
        Err(match &refusals[..] {
            [(_, why)] => why.clone(),
            several => {
                let each = several.iter().map(|(name, why)| format!("{name}: {why}"));
                each.collect::<Vec<_>>().join("; ")
            }
        })
    }
}

impl std::fmt::Debug for Engines {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_list()
            .entries(self.all().map(|engine| engine.name()))
            .finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::hearing::recognizer::{RecognizerError, RecognizerStream, StreamOptions};

    /// Speaks one language.
    struct Speaks(&'static str);

    impl Recognizer for Speaks {
        fn name(&self) -> &'static str {
            self.0
        }

        fn check_language(&self, language: &str) -> Result<(), String> {
            match language == self.0 {
                true => Ok(()),
                false => Err(format!("only {}", self.0)),
            }
        }

        fn open(&self, _: &StreamOptions) -> Result<Box<dyn RecognizerStream>, RecognizerError> {
            Err(RecognizerError::Failed {
                engine: self.0,
                reason: "not for this test".to_owned(),
            })
        }
    }

    fn engines(languages: &[&'static str]) -> Engines {
        let engine = |language: &&'static str| Arc::new(Speaks(language)) as Arc<dyn Recognizer>;
        let all: Vec<_> = languages.iter().map(engine).collect();
        let (first, others) = all.split_first().expect("one");
        Engines::new(first, others)
    }

    #[test]
    fn the_first_engine_that_speaks_the_language_is_chosen() {
        let engines = engines(&["de-DE", "fr-FR", "fr-FR"]);
        let chosen = |language: &str| engines.choose(language).map(|chosen| chosen.number);
        assert_eq!(chosen("de-DE"), Ok(0));
        assert_eq!(chosen("fr-FR"), Ok(1));
        assert_eq!(chosen(""), Ok(0), "whatever the first one speaks");
    }

    #[test]
    fn a_language_that_no_engine_speaks_is_refused_with_the_reason_of_each() {
        let refused = |languages: &[&'static str]| engines(languages).choose("it-IT").err();
        assert_eq!(refused(&["de-DE"]).as_deref(), Some("only de-DE"));
        let both = "de-DE: only de-DE; fr-FR: only fr-FR";
        assert_eq!(refused(&["de-DE", "fr-FR"]).as_deref(), Some(both));
    }
}
