// SPDX-License-Identifier: MPL-2.0

use super::*;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::mpsc;

const RULE: Rule = Rule {
    name: "symbl-test",
    prompt: 2,
    patience: Duration::from_millis(50),
    most: 6,
    newest_first: false,
    keeps_one: false,
};

/// Begins all jobs that may begin at `now`, and returns their names.
fn begun(rota: &mut Rota<&'static str>, now: Instant) -> Vec<&'static str> {
    let mut names = Vec::new();
    while let Some(place) = rota.next(now) {
        names.extend(rota.begin(place, now).map(|(_, name)| name));
    }
    names
}

#[test]
fn a_job_that_takes_long_does_not_delay_the_next() {
    let mut rota = Rota::new(RULE);
    let now = Instant::now();
    for name in ["a", "b", "c", "d", "e", "f", "g"] {
        rota.add(false, name);
    }
    assert_eq!(begun(&mut rota, now), ["a", "b"]);
    let later = now + RULE.patience;
    assert_eq!(begun(&mut rota, later), ["c", "d"]);
    rota.ended(3);
    assert_eq!(begun(&mut rota, later), ["e"]);
    // The maximum number of threads is reached.
    let last = later + RULE.patience;
    assert_eq!(begun(&mut rota, last), ["f", "g"]);
    rota.add(false, "h");
    assert_eq!(begun(&mut rota, last + RULE.patience), [""; 0]);
}

#[test]
fn slow_jobs_wait_behind_the_others_and_leave_them_half_of_the_threads() {
    let rule = Rule {
        prompt: 6,
        newest_first: true,
        ..RULE
    };
    let mut rota = Rota::new(rule);
    let now = Instant::now();
    for _ in 0..20 {
        rota.add(true, "slow");
    }
    rota.add(false, "old");
    rota.add(false, "new");
    assert_eq!(
        begun(&mut rota, now),
        ["new", "old", "slow", "slow", "slow"]
    );
    rota.add(false, "good");
    assert_eq!(begun(&mut rota, now), ["good"]);
}

/// Returns a pool on a system that gives this many threads, and more only once the
/// flag is set. The counter counts the refused threads.
fn scarce(threads: usize) -> (Arc<AtomicBool>, Arc<AtomicUsize>, ThreadPool) {
    let plenty = Arc::new(AtomicBool::new(false));
    let refused = Arc::new(AtomicUsize::new(0));
    let left = AtomicUsize::new(threads);
    let (gives, refuses) = (Arc::clone(&plenty), Arc::clone(&refused));
    let rule = Rule {
        keeps_one: threads > 0,
        ..RULE
    };
    let pool = ThreadPool::with_spawn(rule, move |name, job| {
        let one = |left: usize| left.checked_sub(1);
        let has_one = left.fetch_update(Ordering::SeqCst, Ordering::SeqCst, one);
        if has_one.is_err() && !gives.load(Ordering::SeqCst) {
            refuses.fetch_add(1, Ordering::SeqCst);
            return Err(io::ErrorKind::WouldBlock.into());
        }
        let thread = std::thread::Builder::new().name(name.to_owned());
        thread.spawn(job).map(drop)
    });
    (plenty, refused, pool)
}

#[tokio::test]
async fn the_kept_thread_does_the_jobs_when_the_system_gives_no_other() {
    let (_, refused, pool) = scarce(1);
    pool.prepare().unwrap();
    let jobs: Vec<_> = (0..20)
        .map(|n| {
            let pool = pool.clone();
            tokio::spawn(async move { pool.run(move || n).await })
        })
        .collect();
    for (n, job) in jobs.into_iter().enumerate() {
        assert_eq!(job.await.unwrap().unwrap(), n);
    }
    assert!(refused.load(Ordering::SeqCst) > 0);
}

#[tokio::test]
async fn without_any_thread_a_job_is_given_up_in_time_and_the_next_one_is_done() {
    let (plenty, _, pool) = scarce(0);
    let undone = pool.run(|| ()).await;
    assert!(matches!(undone, Err(Undone::NoThread(_))), "{undone:?}");
    // The system gives threads again while a job waits.
    let waits = pool.clone();
    let job = tokio::spawn(async move { waits.run(|| 7).await });
    tokio::task::yield_now().await;
    plenty.store(true, Ordering::SeqCst);
    assert_eq!(job.await.unwrap().unwrap(), 7);
}

#[tokio::test]
async fn a_withdrawn_job_frees_what_it_holds() {
    let (_, _, pool) = scarce(0);
    let held = Arc::new(());
    let given_up = Arc::clone(&held);
    assert!(pool.run(move || drop(given_up)).await.is_err());
    assert_eq!(Arc::strong_count(&held), 1);
    let dropped = Arc::clone(&held);
    let waits = pool.run(move || drop(dropped));
    let short = Duration::from_millis(1);
    assert!(tokio::time::timeout(short, waits).await.is_err());
    assert_eq!(Arc::strong_count(&held), 1);
}

#[tokio::test]
async fn jobs_that_do_not_end_delay_no_other_while_there_is_room() {
    let pool = ThreadPool::new(RULE);
    let (release, wait) = mpsc::channel::<()>();
    let wait = Arc::new(Mutex::new(wait));
    let stuck: Vec<_> = (1..RULE.most)
        .map(|_| {
            let (pool, wait) = (pool.clone(), Arc::clone(&wait));
            tokio::spawn(async move {
                let stuck = move || wait.lock().unwrap().recv().is_ok();
                pool.run(stuck).await
            })
        })
        .collect();
    assert_eq!(pool.run(|| 1).await.unwrap(), 1);
    drop(release);
    for job in stuck {
        job.await.unwrap().unwrap();
    }
}

#[tokio::test]
async fn a_panic_in_a_job_is_reported_and_its_thread_goes_on() {
    let (_, _, pool) = scarce(1);
    let panicked = pool.run(|| panic!("a panic that this test wants")).await;
    assert!(matches!(panicked, Err(Undone::Panicked(_))), "{panicked:?}");
    assert_eq!(pool.run(|| 1).await.unwrap(), 1);
}
