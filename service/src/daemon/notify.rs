// SPDX-License-Identifier: MPL-2.0

//! Tells systemd how the service is (`sd_notify`), where systemd has started it.

use crate::PATIENCE;
use sd_notify::NotifyState;
use std::time::Duration;
use symbl_service::{Health, logging};

/// Says that the service listens, or does so again after a reload.
pub(crate) fn ready(status: &str) {
    tell(vec![
        NotifyState::Ready.to_string(),
        NotifyState::Status(status).to_string(),
    ]);
}

/// Says that the configuration is read again. [`ready`] ends that.
pub(crate) fn reloading() {
    let now = NotifyState::monotonic_usec_now().map(|now| now.to_string());
    let states = [NotifyState::Reloading.to_string()].into_iter().chain(now);
    tell(states.collect());
}

/// Says that the service ends.
pub(crate) fn stopping() {
    tell(vec![NotifyState::Stopping.to_string()]);
}

/// Says that the service ends, and how long that may take, so that systemd's own limit
/// (`TimeoutStopSec=`) does not cut it short.
pub(crate) fn draining(longest: Duration) {
    let longest = u32::try_from(longest.as_micros()).unwrap_or(u32::MAX);
    tell(vec![
        NotifyState::Stopping.to_string(),
        NotifyState::ExtendTimeoutUsec(longest).to_string(),
        NotifyState::Status("draining").to_string(),
    ]);
}

/// Sends the states, on a thread of their own: systemd may not read them.
fn tell(states: Vec<String>) {
    logging::within(PATIENCE, move || {
        let states: Vec<NotifyState<'_>> = states
            .iter()
            .map(|state| NotifyState::Custom(state))
            .collect();
        if let Err(error) = sd_notify::notify(&states) {
            tracing::warn!(%error, "systemd does not take a notification");
        }
    });
}

/// Tells systemd's watchdog that the service is healthy, for as long as it is. If systemd
/// hears nothing for `WatchdogSec=`, it restarts the service.
pub(crate) fn watch(health: Health) {
    let Some(limit) = sd_notify::watchdog_enabled() else {
        return;
    };
    // systemd's manual advises half of its limit. A third leaves room for a slow answer.
    let every = (limit / 3).max(Duration::from_millis(1));
    tokio::spawn(async move {
        loop {
            match health.check().await {
                Ok(()) => tell(vec![NotifyState::Watchdog.to_string()]),
                Err(reason) => tracing::warn!(
                    %reason,
                    "the watchdog is not told that the service is healthy, because it is not"
                ),
            }
            tokio::time::sleep(every).await;
        }
    });
}
