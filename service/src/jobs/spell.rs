// SPDX-License-Identifier: MPL-2.0

//! Tells the log once that something fails, and once that it works again, however often it is
//! tried in between. Pure.

/// A time in which something fails.
#[derive(Debug, Default)]
pub(crate) struct Spell {
    failures: u64,
}

impl Spell {
    /// Notes a failure. Returns `true` if it is the first one.
    pub(crate) fn failed(&mut self) -> bool {
        self.failures += 1;
        self.failures == 1
    }

    /// Notes that it works. Returns how often it failed, if it did just before.
    pub(crate) fn worked(&mut self) -> Option<u64> {
        let failures = std::mem::take(&mut self.failures);
        (failures > 0).then_some(failures)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_begin_and_the_end_are_told() {
        let mut spell = Spell::default();
        assert_eq!(spell.worked(), None);
        assert!(spell.failed());
        assert!(!spell.failed() && !spell.failed());
        assert_eq!(spell.worked(), Some(3));
        assert_eq!(spell.worked(), None);
        assert!(spell.failed());
    }
}
