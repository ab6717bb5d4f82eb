// SPDX-License-Identifier: MPL-2.0

//! Measures the service with its real recognisers: how soon after the end of an
//! utterance its final comes and what that costs, with more and more streams, and with
//! more dials than it can serve.
//!
//! The speakers send recorded prompts of a Debian package in real time, with a second
//! of silence between them. Both sides share the processors; the speakers take almost
//! nothing.

use super::Problem;
use super::books;
use super::child::{self, Child};
use super::clock::{self, Spread};
use super::report::{Report, Row, Target};
use super::service;
use futures_util::{SinkExt, StreamExt};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use std::net::SocketAddr;
use std::process::Command;
use std::sync::Arc;
use std::time::Duration;
use symbl_service::ServerConfig;
use symbl_service::recognizer::Recognizer;
use symbl_service::recognizer::pocketsphinx::{Pocketsphinx, PocketsphinxConfig};
use symbl_service::recognizer::whisper::{Whisper, WhisperConfig};
use tokio::net::TcpStream;
use tokio::time::{Instant, timeout_at};
use tokio_tungstenite::tungstenite::{Error, Message};
use tokio_tungstenite::{WebSocketStream, client_async};

const BENCH: &str = "service-speech";
pub const ROLE: &str = "speech-service";
/// The model that whisper is measured with.
const MODEL: &str = "tiny.en";
/// Each stream first opens a decoder, and catches up with the audio since then.
const SETTLE: Duration = Duration::from_secs(6);
const WINDOW: Duration = Duration::from_secs(15);
/// Environment variable with the number of minutes that the admitted dials speak.
const MINUTES: &str = "SYMBL_BENCH_MINUTES";
/// Time for the last results.
const DRAIN: Duration = Duration::from_secs(3);
/// Time to load a model of tens of megabytes.
const LOADED: Duration = Duration::from_secs(30);
/// How much later than with one stream results may come, in milliseconds.
const LATER: f64 = 1000.0;
/// Bytes in 100 ms at 16 kHz.
const FRAME: usize = 3200;
const FRAME_TIME: Duration = Duration::from_millis(100);
/// Bytes in a second.
const SECOND: usize = 32_000;

/// An engine, and how hard it is tried.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
enum Engine {
    Pocketsphinx,
    Whisper,
}

impl Engine {
    fn name(self) -> &'static str {
        match self {
            Self::Pocketsphinx => "pocketsphinx",
            Self::Whisper => "whisper",
        }
    }

    /// Returns the numbers of streams, one after the other.
    fn steps(self) -> &'static [usize] {
        match self {
            Self::Pocketsphinx => &[1, 4, 8],
            Self::Whisper => &[1, 6, 12, 24, 45],
        }
    }

    /// Returns the numbers of streams without interims, one after the other.
    fn finals_only(self) -> &'static [usize] {
        match self {
            Self::Pocketsphinx => &[],
            Self::Whisper => &[24, 45, 60],
        }
    }

    /// Returns the numbers of dials for the measurements with a limit on the load.
    fn dials(self) -> &'static [usize] {
        match self {
            Self::Pocketsphinx => &[20],
            Self::Whisper => &[20, 40, 60],
        }
    }

    /// Opens the engine.
    fn open(self) -> Result<Arc<dyn Recognizer>, Problem> {
        Ok(match self {
            Self::Pocketsphinx => Arc::new(Pocketsphinx::open(PocketsphinxConfig::default())?),
            Self::Whisper => {
                let absent = "the model is not here: symbl-service model fetch tiny.en gets it";
                let model = symbl_models::locate(MODEL).ok_or(absent)?;
                Arc::new(Whisper::open(WhisperConfig::new(model))?)
            }
        })
    }
}

/// The settings of a service.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Served {
    engine: Engine,
    max_load: Option<f64>,
}

pub fn play(served: &Served) -> Result<(), Problem> {
    let mut config = ServerConfig::new(served.engine.open()?);
    config.max_load = served.max_load;
    service::serve(config)
}

pub fn measure(report: &mut Report) -> Result<(), Problem> {
    let prompts = match prompts() {
        Ok(prompts) => Arc::new(prompts),
        Err(problem) => {
            report.left_out(BENCH, "all", &problem);
            return Ok(());
        }
    };
    for engine in [Engine::Whisper, Engine::Pocketsphinx] {
        measure_engine(report, engine, &prompts)?;
    }
    Ok(())
}

fn measure_engine(
    report: &mut Report,
    engine: Engine,
    prompts: &Arc<Vec<Vec<u8>>>,
) -> Result<(), Problem> {
    let cores = std::thread::available_parallelism()?.get() as f64;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    let mut first = None;
    let mut in_time = 0;
    for &streams in engine.steps() {
        let trial = Trial::new(engine, streams);
        let ran = match runtime.block_on(trial.run(prompts)) {
            Ok(ran) => ran,
            Err(problem) if first.is_none() => {
                report.left_out(BENCH, engine.name(), &problem);
                return Ok(());
            }
            Err(problem) => return Err(problem),
        };
        let with = format!("{streams} streams");
        say(report, engine, &with, &ran);
        let bound = *first.get_or_insert(ran.delays.p90) + LATER;
        if ran.delays.p90 <= bound && ran.late <= 1.0 {
            in_time = streams;
        }
    }
    report.say(
        Row::new(
            BENCH,
            engine.name(),
            "streams per core that it keeps up with",
            "streams",
            &[in_time as f64 / cores],
        )
        .note("the most of those above whose p90 is at most 1 s above that of one stream"),
    );
    for &streams in engine.finals_only() {
        let trial = Trial {
            interims: false,
            ..Trial::new(engine, streams)
        };
        let ran = runtime.block_on(trial.run(prompts))?;
        say(
            report,
            engine,
            &format!("{streams} streams without interims"),
            &ran,
        );
    }
    let bound = first.unwrap_or(0.0) + LATER;
    let without = engine
        .finals_only()
        .last()
        .map(|streams| (2 * streams, false));
    let dials = engine.dials().iter().map(|dials| (*dials, true));
    for (streams, interims) in dials.chain(without) {
        let trial = Trial {
            interims,
            max_load: Some(0.9),
            window: dialled_window()?,
            ..Trial::new(engine, streams)
        };
        let ran = runtime.block_on(trial.run(prompts))?;
        let how = if interims {
            "at once"
        } else {
            "in turn without interims"
        };
        let with = format!("{streams} dials {how}, --max-load 90");
        say(report, engine, &with, &ran);
        let refused = Row::new(
            BENCH,
            engine.name(),
            &format!("{with}: refused with 429"),
            "dials",
            &[ran.refused as f64],
        );
        report.say(refused);
        let row = Row::new(
            BENCH,
            engine.name(),
            &format!("{with}: end of speech → final, p90"),
            "ms",
            &[ran.delays.p90],
        );
        report.say(row.target(Target::AtMost(bound)));
    }
    Ok(())
}

/// Returns how long the dials that are let in speak.
fn dialled_window() -> Result<Duration, Problem> {
    match std::env::var(MINUTES) {
        Ok(minutes) if !minutes.is_empty() => Ok(Duration::from_secs(60 * minutes.parse::<u64>()?)),
        _ => Ok(WINDOW),
    }
}

fn say(report: &mut Report, engine: Engine, with: &str, ran: &Ran) {
    let row = |measure: &str, unit: &'static str, value: f64| {
        let measure = format!("{with}: {measure}");
        Row::new(BENCH, engine.name(), &measure, unit, &[value])
    };
    let finals = format!("of {} finals", ran.delays.count);
    report.say(row("end of speech → final, p50", "ms", ran.delays.p50).note(finals));
    report.say(row("end of speech → final, p90", "ms", ran.delays.p90));
    report.say(row("end of speech → final, p95", "ms", ran.delays.p95));
    report.say(row("end of speech → final, max", "ms", ran.delays.max));
    if let Some(shown) = &ran.shown {
        report.say(row("end of a word → shown, p50", "ms", shown.p50));
        report.say(row("end of a word → shown, p95", "ms", shown.p95));
        let rewritten = row(
            "shown words that change, of each word of a final",
            "words",
            ran.rewritten,
        );
        report.say(rewritten);
    }
    report.say(row("CPU per second of audio", "ms", ran.processor));
    report.say(row("resident memory", "MiB", ran.memory));
}

/// The result of several streams.
struct Ran {
    delays: Spread,
    /// Delays from the end of a word to the first result that has it in its place, as its
    /// final has it; `None` if no final had words.
    shown: Option<Spread>,
    /// Ratio of the shown words that a later result changed to the words of finals.
    rewritten: f64,
    refused: usize,
    /// Processor time of the service, in milliseconds for each second of audio.
    processor: f64,
    /// Resident memory of the service at the end, in mebibytes.
    memory: f64,
    /// Ratio of the missing finals to those that came.
    late: f64,
}

/// The result of one stream.
#[derive(Default)]
struct Heard {
    /// Delays from the end of an utterance to its final, in nanoseconds.
    delays: Vec<u64>,
    /// What was shown while the utterances were spoken.
    screen: Screen,
    /// Number of prompts that had ended before the wait for the last results.
    prompts: usize,
}

/// The words that interims and finals show, as on a screen.
#[derive(Default)]
struct Screen {
    /// The words of the utterance in progress, each with the time at which it was first
    /// shown in its place.
    words: Vec<(String, u64)>,
    /// Delays from the end of a word to the time at which it was first shown.
    shown: Vec<u64>,
    rewritten: usize,
}

impl Screen {
    /// Shows the words of a result that came at `now`.
    fn show(&mut self, words: Vec<String>, now: u64) {
        for (n, word) in words.iter().enumerate() {
            match self.words.get_mut(n) {
                Some(known) if known.0 == *word => {}
                Some(known) => {
                    *known = (word.clone(), now);
                    self.rewritten += 1;
                }
                None => self.words.push((word.clone(), now)),
            }
        }
        self.rewritten += self.words.len() - words.len();
        self.words.truncate(words.len());
    }

    /// Ends an utterance. `said` has the time at which the end of each word was sent.
    fn end(&mut self, said: &[u64]) {
        let words = self.words.drain(..).zip(said);
        self.shown
            .extend(words.map(|((_, shown), said)| shown.saturating_sub(*said)));
    }
}

/// What is tried.
#[derive(Debug, Clone, Copy)]
struct Trial {
    engine: Engine,
    max_load: Option<f64>,
    /// Streams that dial.
    streams: usize,
    /// They want interim results. Those that do dial at once, and the others one after the
    /// other: until a stream has started it counts as one with interims.
    interims: bool,
    /// How long they speak.
    window: Duration,
}

type Socket = WebSocketStream<TcpStream>;

impl Trial {
    fn new(engine: Engine, streams: usize) -> Self {
        Self {
            engine,
            max_load: None,
            streams,
            interims: true,
            window: WINDOW,
        }
    }

    async fn run(self, prompts: &Arc<Vec<Vec<u8>>>) -> Result<Ran, Problem> {
        let served = Served {
            engine: self.engine,
            max_load: self.max_load,
        };
        let mut service = Child::start(ROLE, &served)?;
        let address: SocketAddr = service.answer(LOADED)?;
        let dials = (0..self.streams).map(|number| self.dial(address, number));
        let mut sockets = Vec::new();
        if self.interims {
            sockets = futures_util::future::try_join_all(dials).await?;
        } else {
            for dial in dials {
                sockets.push(dial.await?);
            }
        }
        let before = books::used(service.id())?;
        let let_in = sockets.into_iter().flatten().enumerate();
        let speakers: Vec<_> = let_in
            .map(|(number, socket)| speak(socket, number, self.window, prompts))
            .collect();
        let refused = self.streams - speakers.len();
        let heard = futures_util::future::join_all(speakers).await;
        let mut delays = Vec::new();
        let mut said = 0;
        let (mut shown, mut rewritten) = (Vec::new(), 0);
        for heard in heard {
            let heard = heard?;
            said += heard.prompts;
            delays.extend(heard.delays);
            shown.extend(heard.screen.shown);
            rewritten += heard.screen.rewritten;
        }
        let used = books::used(service.id())? - before;
        let (memory, _) = books::memory(service.id())?;
        service.dismiss();
        service.wait(child::SOON)?;
        let audio = (self.streams - refused) as f64 * (self.window + DRAIN).as_secs_f64();
        let late = said.saturating_sub(delays.len()) as f64 / delays.len().max(1) as f64;
        if delays.is_empty() {
            // No final came in the whole time, so it took longer than that.
            delays.push(u64::try_from((self.window + DRAIN - SETTLE).as_nanos())?);
        }
        Ok(Ran {
            delays: Spread::of(&mut delays).some()?,
            rewritten: rewritten as f64 / shown.len().max(1) as f64,
            shown: Spread::of(&mut shown).some().ok().filter(|_| self.interims),
            refused,
            processor: used.cpu * 1e3 / audio.max(1.0),
            memory: memory / 1024.0,
            late,
        })
    }

    /// Dials and starts. Returns `None` if the dial was refused.
    async fn dial(self, address: SocketAddr, number: usize) -> Result<Option<Socket>, Problem> {
        let tcp = TcpStream::connect(address).await?;
        tcp.set_nodelay(true)?;
        let url = format!("ws://{address}/v1/streaming/speech-{number}");
        let (mut socket, _) = match client_async(url, tcp).await {
            Ok(opened) => opened,
            Err(Error::Http(response)) if response.status() == 429 => return Ok(None),
            Err(error) => return Err(error.into()),
        };
        let start = json!({
            "type": "start_request",
            "config": {
                "speechRecognition": {
                    "encoding": "LINEAR16", "sampleRateHertz": 16000,
                    "interimResults": self.interims,
                },
            },
        });
        socket.send(Message::text(start.to_string())).await?;
        if !self.interims {
            loop {
                let message = socket.next().await.ok_or("the service hung up")??;
                match message.to_text()? {
                    text if text.contains("started_listening") => break,
                    text if text.contains(r#""type":"error""#) => return Err(text.into()),
                    _ => {}
                }
            }
        }
        Ok(Some(socket))
    }
}

/// Speaks prompts from the `number`-th on.
async fn speak(
    mut socket: Socket,
    number: usize,
    window: Duration,
    prompts: &Arc<Vec<Vec<u8>>>,
) -> Result<Heard, Problem> {
    let mut audio = prompts.iter().cycle().skip(number).flatten().copied();
    // The streams are out of phase, like people.
    let begin = Instant::now() + FRAME_TIME * u32::try_from(number % 10)? / 10;
    let mut sent: Vec<u64> = Vec::new();
    let mut heard = Heard::default();
    let mut spoken = 0;
    while begin.elapsed() < window + DRAIN {
        let at = begin + FRAME_TIME * u32::try_from(sent.len())?;
        while let Ok(message) = timeout_at(at, socket.next()).await {
            let Some(message) = message else {
                return Err("the service hung up".into());
            };
            let Message::Text(text) = message? else {
                continue;
            };
            let Some(result) = told(&text) else {
                continue;
            };
            let now = clock::now();
            let sent_at = |end: &f64| {
                let index = (end / FRAME_TIME.as_secs_f64()) as usize;
                sent.get(index.min(sent.len().saturating_sub(1))).copied()
            };
            let (words, ends): (Vec<String>, Vec<f64>) = result.words.into_iter().unzip();
            heard.screen.show(words, now);
            if !result.is_final {
                continue;
            }
            let said: Vec<u64> = ends.iter().filter_map(sent_at).collect();
            heard.screen.end(&said);
            let last = ends.last().filter(|end| **end >= SETTLE.as_secs_f64());
            let said = last.and_then(sent_at);
            heard.delays.extend(said.map(|said| now - said));
        }
        // Ends with silence, so that every utterance gets its final.
        let frame: Vec<u8> = match begin.elapsed() < window {
            true => audio.by_ref().take(FRAME).collect(),
            false => vec![0; FRAME],
        };
        if begin.elapsed() < window {
            spoken += FRAME;
        }
        socket.send(Message::binary(frame)).await?;
        sent.push(clock::now());
    }
    let mut ends = prompts.iter().cycle().skip(number).scan(0, |end, prompt| {
        *end += prompt.len();
        Some(*end)
    });
    let settled = SECOND * usize::try_from(SETTLE.as_secs())?;
    let ended = ends.by_ref().take_while(|end| *end <= spoken);
    heard.prompts = ended.filter(|end| *end > settled + SECOND).count();
    Ok(heard)
}

/// A result that a stream heard.
struct Told {
    is_final: bool,
    /// Its words in lower case without marks, and where each ends, in seconds.
    words: Vec<(String, f64)>,
}

/// Returns the result in a message, if it is one.
fn told(text: &str) -> Option<Told> {
    let told: Value = serde_json::from_str(text).ok()?;
    let message = told.get("message")?;
    let is_final = message.get("isFinal")?.as_bool()?;
    let words = message.pointer("/payload/raw/alternatives/0/words");
    let words = words.and_then(Value::as_array).into_iter().flatten();
    let words = words.filter_map(|word| {
        let end = word.get("endTime")?;
        let number = |name: &str| end.get(name)?.as_str()?.parse::<f64>().ok();
        let text = word.get("word")?.as_str()?.to_lowercase();
        let bare = text.trim_matches(|c: char| !c.is_alphanumeric()).to_owned();
        Some((bare, number("seconds")? + number("nanos")? / 1e9))
    });
    Some(Told {
        is_final,
        words: words.collect(),
    })
}

/// Returns the prompts of the demo as 16 kHz S16LE, each followed by a second of
/// silence.
fn prompts() -> Result<Vec<Vec<u8>>, Problem> {
    let list = include_str!("../../examples/talk/prompts.tsv");
    let paths = list
        .lines()
        .filter(|line| !line.starts_with('#'))
        .filter_map(|line| line.split('\t').next());
    paths
        .map(|path| {
            let mut decode = Command::new("ffmpeg");
            decode.args(["-v", "error", "-nostdin", "-f", "g722", "-i", path]);
            decode.args(["-ar", "16000", "-ac", "1", "-f", "s16le", "-"]);
            let output = decode.output()?;
            if !output.status.success() {
                let said = String::from_utf8_lossy(&output.stderr).into_owned();
                return Err(said.into());
            }
            let mut audio = output.stdout;
            audio.extend(std::iter::repeat_n(0, SECOND));
            Ok(audio)
        })
        .collect()
}
