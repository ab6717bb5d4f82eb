// SPDX-License-Identifier: MPL-2.0

//! Measures a file as fast as the subject takes it: the cost of a byte, without any
//! wait.

use super::Problem;
use super::child::SOON;
use super::dialect::CHUNK;
use super::report::{Report, Row, Target};
use super::run::{Audio, Run};
use super::server::{self, Books, Manner};
use super::subject::{Subject, those_there};
use super::wav::Wav;

const BENCH: &str = "throughput";
const RUNS: usize = 3;
const MINUTES: usize = 30;

pub fn measure(report: &mut Report) -> Result<(), Problem> {
    let wav = Wav::new(MINUTES * 60)?;
    let (mut server, address) = server::start(&Manner::default())?;
    // CPU in ms per audio-minute, and speed as a multiple of real time.
    let mut measured = |subject: Subject, bytes: usize| -> Result<(Vec<f64>, Vec<f64>), Problem> {
        let (mut cpu, mut speed) = (Vec::new(), Vec::new());
        for _ in 0..RUNS {
            let path = wav.path().to_owned();
            let audio = Audio::File {
                path,
                bytes,
                paced: false,
            };
            let done = Run::new(subject, address, audio).start()?.done(SOON)?;
            let books: Books = server.ask("take")?;
            if subject != Subject::Fakesink {
                wav.compare(subject.name(), books.of(subject.name())?)?;
            }
            cpu.push(done.cpu * 1e3 / MINUTES as f64);
            speed.push((MINUTES * 60) as f64 / done.wall);
        }
        Ok((cpu, speed))
    };
    let measure = "CPU per audio-minute";
    let mut limit = f64::NAN;
    let mut limits = Vec::new();
    for bytes in [640, CHUNK, 4096, 8192] {
        let name = Subject::Bare.name();
        let (cpu, speed) = measured(Subject::Bare, bytes)?;
        let row = Row::new(
            BENCH,
            name,
            &format!("{measure}, frames of {bytes} B"),
            "ms",
            &cpu,
        );
        if bytes == CHUNK {
            limit = row.value;
        }
        limits.push((bytes, row.value));
        report.say(row);
        let times = format!("times real time, frames of {bytes} B");
        report.say(Row::new(BENCH, name, &times, "×", &speed));
    }
    for bytes in [640, 4096] {
        let buffers = format!("buffers of {bytes} B");
        let (floor, _) = measured(Subject::Fakesink, bytes)?;
        let floor = Row::new(
            BENCH,
            "fakesink",
            &format!("{measure}, {buffers}"),
            "ms",
            &floor,
        );
        let below = floor.value;
        report.say(floor);
        for subject in those_there(&[
            Subject::Tcpclientsink,
            Subject::Symblsink,
            Subject::Speechmatics,
            Subject::Deepgram,
        ]) {
            let (cpu, speed) = match measured(subject, bytes) {
                Ok(measured) => measured,
                Err(problem) => {
                    report.left_out(BENCH, subject.name(), &problem);
                    continue;
                }
            };
            let cpu: Vec<f64> = cpu.iter().map(|cpu| cpu - below).collect();
            let above = format!("{measure} above fakesink, {buffers}");
            let row = Row::new(BENCH, subject.name(), &above, "ms", &cpu);
            let cost = row.value;
            report.say(match subject {
                Subject::Symblsink => row
                    .target(Target::AtMost(limit * 1.5))
                    .note("the target is 1.5 × the bare client with the same frames in this run"),
                _ => row,
            });
            if let Some((_, bare)) = limits.iter().find(|(frame, _)| *frame == bytes) {
                let times = format!("that, of the bare client with frames of {bytes} B");
                let row = Row::new(BENCH, subject.name(), &times, "×", &[cost / bare]);
                report.say(match subject {
                    Subject::Symblsink => row.target(Target::AtMost(1.5)),
                    _ => row,
                });
            }
            let times = format!("times real time, {buffers}");
            report.say(Row::new(BENCH, subject.name(), &times, "×", &speed));
        }
    }
    Ok(())
}
