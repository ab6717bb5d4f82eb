// SPDX-License-Identifier: MPL-2.0

//! Does work once for all callers that need it at the same time.
//!
//! Hundreds of sinks may look up one host or read one file. A caller that asks for a
//! key while the work for it waits or runs gets the result of that work. So a name
//! server or a mount that never answers takes up one thread and not hundreds. Results
//! are not kept: a later caller starts the work again.

use super::threads::{Patience, ThreadPool, Undone};
use std::collections::{HashMap, VecDeque};
use std::hash::Hash;
use std::io;
use std::pin::pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Wake, Waker};
use std::thread::Thread;
use std::time::{Duration, Instant};
use tokio::sync::watch;

/// Interval at which a waiting caller checks if the work can begin now.
const LOOK_AGAIN: Duration = Duration::from_millis(100);

/// Maximum number of keys that are remembered as slow. The oldest are dropped.
const MOST_SLOW: usize = 256;

type Result<T> = std::result::Result<T, Undone>;

struct Known<K, T> {
    flying: HashMap<K, watch::Receiver<Option<T>>>,
    /// Keys whose last work took long.
    slow: VecDeque<K>,
}

/// Shares work by key. Work that took longer than `patience` is slow: the next work
/// for its key waits behind that of other keys.
pub(super) struct Flights<K, T> {
    pool: ThreadPool,
    patience: Duration,
    known: Arc<Mutex<Known<K, T>>>,
}

impl<K: Hash + Eq + Clone + Send + 'static, T: Clone + Send + Sync + 'static> Flights<K, T> {
    pub(super) fn new(pool: ThreadPool, patience: Duration) -> Self {
        Self {
            pool,
            patience,
            known: Arc::new(Mutex::new(Known {
                flying: HashMap::new(),
                slow: VecDeque::new(),
            })),
        }
    }

    /// Returns the result of `work`, or that of the pending work for this key.
    ///
    /// # Errors
    ///
    /// Returns [`Undone`] if the work was not done.
    pub(super) async fn get(&self, key: K, work: impl FnOnce() -> T + Send + 'static) -> Result<T> {
        let (mut result, begun) = self.ask(key, work);
        if begun {
            return flown(result.wait_for(Option::is_some).await);
        }
        let mut patience = Patience::default();
        loop {
            let wait = result.wait_for(Option::is_some);
            match tokio::time::timeout(LOOK_AGAIN, wait).await {
                Ok(value) => return flown(value),
                Err(_) => patience.spend(&self.pool)?,
            }
        }
    }

    /// Blocks for the same result. Returns `None` if that takes longer than `bound`,
    /// even for lack of a thread.
    pub(super) fn get_within(
        &self,
        bound: Duration,
        key: K,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Option<Result<T>> {
        let (mut result, _) = self.ask(key, work);
        let deadline = Instant::now() + bound;
        let waker = Waker::from(Arc::new(Unpark(std::thread::current())));
        let mut wait = pin!(result.wait_for(Option::is_some));
        loop {
            if let Poll::Ready(value) = wait.as_mut().poll(&mut Context::from_waker(&waker)) {
                return Some(flown(value));
            }
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return None;
            }
            std::thread::park_timeout(left);
        }
    }

    /// Joins the pending work for this key, or submits `work`. The second value is
    /// `true` if a thread runs it or is about to.
    fn ask(
        &self,
        key: K,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> (watch::Receiver<Option<T>>, bool) {
        let mut known = lock(&self.known);
        if let Some(flight) = known.flying.get(&key) {
            return (flight.clone(), false);
        }
        let (done, result) = watch::channel(None);
        known.flying.insert(key.clone(), result.clone());
        let slow = known.slow.contains(&key);
        drop(known);
        let (all, patience) = (Arc::clone(&self.known), self.patience);
        let job = move || {
            let began = Instant::now();
            // Removes the key however the work ends.
            let landing = Landing { known: all, key };
            let value = work();
            landing.note(began.elapsed() >= patience);
            drop(landing);
            done.send_replace(Some(value));
        };
        let begun = self.pool.submit(slow, Box::new(job)).is_ok();
        (result, begun)
    }
}

fn lock<K, T>(known: &Mutex<Known<K, T>>) -> MutexGuard<'_, Known<K, T>> {
    known.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Returns the result. The job was dropped without one if it panicked.
fn flown<T: Clone>(
    value: std::result::Result<watch::Ref<'_, Option<T>>, watch::error::RecvError>,
) -> Result<T> {
    let value = value.ok().and_then(|value| value.clone());
    value.ok_or_else(|| Undone::NoThread(io::Error::other("its thread ended")))
}

/// Removes a key from the pending work when it is dropped.
struct Landing<K: Hash + Eq, T> {
    known: Arc<Mutex<Known<K, T>>>,
    key: K,
}

impl<K: Hash + Eq + Clone, T> Landing<K, T> {
    /// Remembers if the work was slow.
    fn note(&self, is_slow: bool) {
        let mut known = lock(&self.known);
        known.slow.retain(|key| *key != self.key);
        if is_slow {
            known.slow.push_back(self.key.clone());
            if known.slow.len() > MOST_SLOW {
                known.slow.pop_front();
            }
        }
    }
}

impl<K: Hash + Eq, T> Drop for Landing<K, T> {
    fn drop(&mut self) {
        lock(&self.known).flying.remove(&self.key);
    }
}

/// Wakes a parked thread.
struct Unpark(Thread);

impl Wake for Unpark {
    fn wake(self: Arc<Self>) {
        self.0.unpark();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::transport::threads::Rule;
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::sync::mpsc;

    const RULE: Rule = Rule {
        name: "symbl-test",
        prompt: 2,
        patience: Duration::from_millis(50),
        most: 8,
        newest_first: true,
        keeps_one: false,
    };

    fn flights() -> Flights<&'static str, u32> {
        Flights::new(ThreadPool::new(RULE), RULE.patience)
    }

    #[tokio::test]
    async fn callers_of_one_key_at_the_same_time_share_one_thread_and_one_answer() {
        let flights = Arc::new(flights());
        let (release, wait) = mpsc::channel::<()>();
        let mut wait = Some(wait);
        let asked = Arc::new(AtomicUsize::new(0));
        let joined = Arc::new(AtomicUsize::new(0));
        let asking: Vec<_> = (0..300)
            .map(|_| {
                let (flights, asked) = (Arc::clone(&flights), Arc::clone(&asked));
                let wait = wait.take();
                let work = move || {
                    asked.fetch_add(1, Ordering::SeqCst);
                    wait.map(|wait| wait.recv());
                    5
                };
                let joined = Arc::clone(&joined);
                tokio::spawn(async move {
                    let answer = flights.get("silent", work);
                    // The same poll starts to wait for the answer.
                    joined.fetch_add(1, Ordering::SeqCst);
                    answer.await
                })
            })
            .collect();
        while joined.load(Ordering::SeqCst) < 300 {
            tokio::task::yield_now().await;
        }
        // The pending work does not delay other keys.
        assert_eq!(flights.get("good", || 1).await.unwrap(), 1);
        drop(release);
        for answer in asking {
            assert_eq!(answer.await.unwrap().unwrap(), 5);
        }
        assert_eq!(asked.load(Ordering::SeqCst), 1);
        // The answer was not kept.
        assert_eq!(flights.get("silent", || 6).await.unwrap(), 6);
    }

    #[test]
    fn a_blocking_wait_ends_at_its_bound() {
        let flights = flights();
        let (release, wait) = mpsc::channel::<()>();
        let work = move || {
            let _ = wait.recv();
            1
        };
        let bound = Duration::from_millis(10);
        assert!(flights.get_within(bound, "slow", work).is_none());
        let long = Duration::from_secs(60);
        std::thread::scope(|scope| {
            let joined = scope.spawn(|| flights.get_within(long, "slow", || 2));
            let other = flights.get_within(long, "good", || 3).unwrap();
            assert_eq!(other.unwrap(), 3);
            drop(release);
            assert!(joined.join().unwrap().is_some_and(|value| value.is_ok()));
        });
    }

    #[tokio::test]
    async fn a_panic_of_the_work_is_reported_and_the_next_caller_starts_it_again() {
        let flights = flights();
        let work = || panic!("a panic that this test wants");
        assert!(flights.get("key", work).await.is_err());
        assert_eq!(flights.get("key", || 1).await.unwrap(), 1);
    }
}
