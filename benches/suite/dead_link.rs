// SPDX-License-Identifier: MPL-2.0

//! Measures how long the change to NULL takes when the other side reads no more. All
//! subjects run at once: they only wait, and take no time from each other.

use super::Problem;
use super::child::SOON;
use super::report::{Report, Row, Target};
use super::run::{Audio, Run};
use super::server::{self, Manner};
use super::subject::{Subject, those_there};
use super::wav::Wav;
use std::thread::sleep;
use std::time::{Duration, Instant};

const BENCH: &str = "dead-link";
/// More audio than all socket buffers on the way hold.
const SECONDS: usize = 1800;
/// Time until all buffers are full.
const FULL: Duration = Duration::from_secs(3);
/// A process that has not stopped by then is killed.
const BOUND: Duration = Duration::from_secs(5);

pub fn measure(report: &mut Report) -> Result<(), Problem> {
    let wav = Wav::new(SECONDS)?;
    let mut runs = Vec::new();
    for subject in those_there(&[
        Subject::Tcpclientsink,
        Subject::Symblsink,
        Subject::Speechmatics,
        Subject::Deepgram,
    ]) {
        let (server, address) = server::start(&Manner {
            deaf: true,
            ..Manner::default()
        })?;
        let audio = Audio::File {
            path: wav.path().to_owned(),
            bytes: 640,
            paced: false,
        };
        runs.push((server, Run::new(subject, address, audio).start()?));
    }
    for (_, running) in &mut runs {
        running.ready(SOON)?;
    }
    sleep(FULL);
    for (_, running) in &mut runs {
        running.child.dismiss();
    }
    let asked = Instant::now();
    for (_server, running) in runs {
        let subject = running.subject;
        let null = running.done(BOUND.saturating_sub(asked.elapsed()));
        let measure = "the peer reads no more: change to NULL";
        let row = |seconds: f64| Row::new(BENCH, subject.name(), measure, "s", &[seconds]);
        report.say(match null {
            Ok(done) if subject == Subject::Symblsink => row(done.null).target(Target::AtMost(0.5)),
            Ok(done) => row(done.null),
            Err(_) if asked.elapsed() >= BOUND => {
                row(BOUND.as_secs_f64()).note("still hanging then, and killed")
            }
            Err(problem) => {
                report.left_out(BENCH, subject.name(), &problem);
                continue;
            }
        });
    }
    Ok(())
}
