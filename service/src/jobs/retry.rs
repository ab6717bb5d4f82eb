// SPDX-License-Identifier: MPL-2.0

//! When a webhook that failed is tried again. Pure: time and chance are arguments.

use std::time::Duration;

/// How often a webhook is tried before it is given up.
pub(crate) const MOST_ATTEMPTS: u32 = 10;

/// The longest delay between two attempts.
const LONGEST: Duration = Duration::from_secs(3600);

/// Returns how long to wait after this many failed attempts, or `None` to give up. The delay
/// doubles each time, and up to half of it is left out by chance (`random`, 0.0 to 1.0), so that
/// webhooks that failed together do not come back together.
pub(crate) fn delay(failed: u32, first: Duration, random: f64) -> Option<Duration> {
    if failed >= MOST_ATTEMPTS {
        return None;
    }
    let doubled = first.saturating_mul(1_u32.checked_shl(failed.saturating_sub(1))?);
    let delay = doubled.min(LONGEST);
    Some(delay.mul_f64(1.0 - random.clamp(0.0, 1.0) / 2.0))
}

/// Returns `true` if an answer with this status says that the same request will never be taken,
/// however often it is sent.
pub(crate) fn is_hopeless(status: u16) -> bool {
    matches!(status, 400 | 401 | 403 | 404 | 405 | 410 | 413 | 415 | 422)
}

#[cfg(test)]
mod tests {
    use super::*;

    const FIRST: Duration = Duration::from_secs(5);

    #[test]
    fn a_delay_doubles_up_to_its_bound_and_ends() {
        let delays = (1..).map_while(|failed| delay(failed, FIRST, 0.0));
        let seconds: Vec<u64> = delays.map(|delay| delay.as_secs()).collect();
        assert_eq!(seconds, [5, 10, 20, 40, 80, 160, 320, 640, 1280]);
        assert_eq!(delay(9, Duration::from_secs(60), 0.0), Some(LONGEST));
    }

    #[test]
    fn chance_takes_away_at_most_half() {
        assert_eq!(delay(1, FIRST, 1.0), Some(FIRST / 2));
        assert_eq!(delay(1, FIRST, 7.0), Some(FIRST / 2));
        assert_eq!(delay(1, FIRST, -1.0), Some(FIRST));
    }
}
