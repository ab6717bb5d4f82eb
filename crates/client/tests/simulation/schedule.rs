// SPDX-License-Identifier: MPL-2.0

//! The schedule of a run, drawn from a seed before the run.
//!
//! A schedule printed with `{:?}` is a Rust literal except for its lists, so that a
//! schedule that failed can be kept in `regressions`.

use crate::audio::{Format, MAX_WORDS, Ms, WORD};
use fastrand::Rng;
use symbl_client::session::{FormatChangePolicy, PausePolicy};
use symbl_client::track::{LateText, Shape, TextUnit};

/// One run.
#[derive(Debug, Clone, PartialEq)]
pub struct Schedule {
    /// Decides what the schedule does not state, such as latencies and the ends of utterances.
    pub seed: u64,
    pub settings: Settings,
    /// The pieces that upstream gives, in this order.
    pub source: Vec<Piece>,
    /// The events of a run, each with its time.
    pub happenings: Vec<(Ms, Happening)>,
}

/// The settings of a run, which do not change.
#[derive(Debug, Clone, PartialEq)]
pub struct Settings {
    /// The audio is live: it is dropped rather than held back.
    pub live: bool,
    /// The audio comes at the pace of a clock.
    pub paced: bool,
    /// All buffers have timestamps; else only the first after the start or a flush has one.
    pub timestamps: bool,
    /// The kind of the timestamps.
    pub stamps: Stamps,
    /// The first buffer behind a hole has a flag.
    pub declared: bool,
    /// How much faster the pipeline's clock runs than the sender's, in ppm.
    pub drift: i32,
    /// How much faster the wall clock runs than the pipeline's, in ppm.
    pub wall_drift: i32,
    pub format: Format,
    /// Duration of upstream buffers of raw audio.
    pub buffer: Ms,
    pub chunk: Ms,
    /// Bound of the spool.
    pub spool: Ms,
    pub catch_up: u8,
    pub drain_timeout: Ms,
    /// Time without a session after which the session fails; 0: it never does.
    pub give_up: Ms,
    /// The service is asked to close after a stop.
    pub disconnect_on_stop: bool,
    /// What a pause of the application means.
    pub pause: PausePolicy,
    /// What new caps mean.
    pub format_change: FormatChangePolicy,
    /// The service takes a change of format during a start; else it reports an error and
    /// ignores the audio that follows.
    pub modifies: bool,
    /// The service announces itself, and stores each word once.
    pub announces: bool,
    /// All words are different; else they are "yes" and "no".
    pub distinct: bool,
    pub interims: bool,
    /// Interims have words with times.
    pub interim_words: bool,
    /// The service says how far it has heard, if it announces itself.
    pub progress: bool,
    /// The service sends messages, and findings in them.
    pub messages: bool,
    /// Missed messages are fetched from the conversation's history.
    pub history: bool,
    /// Longest time that a frame is under way.
    pub latency: Ms,
    pub pad: PadSettings,
    pub cluster: ClusterSettings,
}

/// The nodes of the service.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct ClusterSettings {
    /// How many share one log; 0: there is one service with a log of its own.
    pub nodes: u8,
    /// How many seconds a conversation waits for its speakers.
    pub keep: u8,
    /// Another client speaks too.
    pub guest: bool,
}

impl ClusterSettings {
    /// A single service.
    pub const ALONE: Self = Self {
        nodes: 0,
        keep: 0,
        guest: false,
    };

    fn draw(rng: &mut Rng) -> Self {
        Self {
            nodes: rng.u8(2..=3),
            keep: pick(rng, &[0, 1, 3, 30, 60, 60]),
            guest: rng.bool(),
        }
    }
}

/// A fault of a node, mostly of the one that the client is on.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Fault {
    /// Its process dies, and another one begins after this time.
    Kill(Ms),
    /// It stands still for this long, and then goes on as if nothing had been.
    Freeze(Ms),
    /// It does not reach the database for this long.
    CutOff(Ms),
    /// This many answers of the database get lost, on whatever node.
    Lose(u8),
}

impl Fault {
    fn draw(rng: &mut Rng) -> Self {
        match rng.u8(0..8) {
            0 | 1 => Self::Kill(rng.u32(100..8000)),
            2 | 3 => Self::Freeze(rng.u32(100..12_000)),
            4 | 5 => Self::CutOff(rng.u32(100..14_000)),
            _ => Self::Lose(rng.u8(1..5)),
        }
    }
}

/// How much text one buffer of the pad holds.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Unit {
    Word,
    /// Two lines of 32 columns.
    Cue,
    Sentence,
}

impl Unit {
    /// Returns the setting of the track.
    pub fn track(self) -> TextUnit {
        match self {
            Self::Word => TextUnit::Word,
            Self::Cue => TextUnit::Cue(Shape::new(32, 2)),
            Self::Sentence => TextUnit::Sentence,
        }
    }
}

/// The settings of the text pad.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct PadSettings {
    pub latency: Ms,
    pub lateness: Ms,
    /// How late audio is by itself, if it is live.
    pub upstream: Ms,
    pub unit: Unit,
    pub late: LateText,
    /// Words of interims are told when they are due.
    pub commits: bool,
    pub patience: Ms,
}

impl PadSettings {
    /// The default settings of the element.
    pub const PLAIN: Self = Self {
        latency: 8000,
        lateness: 0,
        upstream: 0,
        unit: Unit::Word,
        late: LateText::Move,
        commits: false,
        patience: 30_000,
    };

    fn draw(rng: &mut Rng) -> Self {
        use LateText::{Drop, Keep, Move};
        use Unit::{Cue, Sentence, Word};
        let mut pad = Self {
            latency: pick(rng, &[0, 500, 2000, 2000, 8000]),
            lateness: pick(rng, &[0, 0, 500, 3000]),
            upstream: pick(rng, &[0, 20, 200]),
            unit: pick(rng, &[Word, Word, Word, Cue, Sentence]),
            late: pick(rng, &[Move, Move, Move, Keep, Drop]),
            commits: rng.u8(0..3) == 0,
            patience: pick(rng, &[1000, 5000, 30_000, 30_000]),
        };
        if pad.unit == Cue && pad.late == Keep {
            pad.late = Move; // The element refuses this.
        }
        pad
    }
}

/// The kinds of timestamps.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Stamps {
    /// The count of samples.
    Exact,
    /// The time of arrival, which is earlier or later by this much at most.
    Jitter(Ms),
    /// The time of arrival, where this many buffers arrive at once.
    Bursts(u8),
}

/// A piece of the source.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Piece {
    Words(u16),
    Silence(Ms),
    /// No buffer comes, and the timestamps go on.
    Hole(Ms),
    /// The same, with a GAP event.
    Gap(Ms),
    /// No buffer comes, and the timestamps stand still.
    Pause(Ms),
    /// New caps.
    Caps(Format),
    /// Another speaker: one of [`crate::service::PEOPLE`].
    Speaker(u8),
}

/// An event from outside the session: in the network, the service or the application.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Happening {
    /// The link breaks. Frames from the service still arrive for this long.
    Cut(Ms),
    /// The service closes with this code.
    Close(u16),
    /// No frame reaches the service any more, and neither side notices.
    Deaf,
    /// No frame reaches the client any more, and neither side notices.
    Mute,
    /// For the first time, dials get this status, with the second time as `Retry-After`.
    Refuse(u16, Ms, Ms),
    /// Dials get no answer for a while.
    Hang(Ms),
    /// The host is at its limit of threads for a while, so that dials fail before they begin.
    NoThread(Ms),
    /// The socket takes no frame for a while.
    Stall(Ms),
    /// From now on the socket needs this long for each frame.
    Slow(Ms),
    /// From now on results take this much longer.
    Think(Ms),
    /// From now on messages take this much longer than their finals.
    Ponder(Ms),
    /// The next results, this many, are sent twice.
    Repeat(u8),
    /// The next start begins a new conversation.
    Forget,
    /// For a while, the service does not answer starts and stops.
    Ignore(Ms),
    /// The service ends its processing by itself, and sends a message about it. The link
    /// stays open.
    Terminate,
    /// The service sends a message of an unknown type, or a text that is no message.
    Noise(u8),
    /// The application pauses for this long.
    Suspend(Ms),
    /// Upstream flushes, as for a seek.
    Flush,
    /// The stream ends.
    End,
    /// The application stops the sink.
    Stop,
    /// The wall clock is set by this many milliseconds.
    Clock(i32),
    /// The application sets a token, and dials are no longer refused for the old one.
    Token,
    /// A node fails, if there are several.
    Node(Fault),
}

/// Draws `count` items.
fn some<T>(rng: &mut Rng, count: usize, mut draw: impl FnMut(&mut Rng) -> T) -> Vec<T> {
    (0..count).map(|_| draw(rng)).collect()
}

impl Schedule {
    /// Draws a schedule. The same seed gives the same schedule.
    pub fn from_seed(seed: u64) -> Self {
        let rng = &mut Rng::with_seed(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15));
        let mut settings = Settings::draw(rng);
        // A generator of its own keeps the rest of a schedule as it was before this setting.
        settings.announces = Rng::with_seed(seed ^ 0x5e1f).bool();
        let pad = &mut Rng::with_seed(seed ^ 0x7ad5);
        settings.pad = PadSettings::draw(pad);
        settings.interim_words = pad.bool();
        settings.progress = pad.bool();
        // Likewise a generator of its own.
        let nodes = &mut Rng::with_seed(seed ^ 0xc1a5);
        if settings.announces && nodes.bool() {
            settings.cluster = ClusterSettings::draw(nodes);
            if nodes.u8(0..4) > 0 {
                settings.disconnect_on_stop = true;
                settings.pause = PausePolicy::Keep;
                settings.format_change = FormatChangePolicy::Modify;
            }
        }
        let source = source(rng, &settings);
        let span = length(&source) + 3000;
        let count = rng.usize(0..7);
        let mut happenings = some(rng, count, |rng| (rng.u32(0..span), Happening::draw(rng)));
        if rng.u8(0..5) == 0 {
            happenings.extend(ending(rng, span));
        }
        if settings.cluster.nodes > 0 {
            let count = nodes.usize(0..5);
            let draw = |rng: &mut Rng| {
                let fault = Fault::draw(rng);
                (rng.u32(0..span), Happening::Node(fault))
            };
            happenings.extend(some(nodes, count, draw));
        }
        happenings.sort_by_key(|(at, _)| *at);
        Self {
            seed,
            settings,
            source,
            happenings,
        }
    }

    /// Returns how long the source lasts, if nothing holds it up.
    pub fn length(&self) -> Ms {
        length(&self.source)
    }
}

fn length(source: &[Piece]) -> Ms {
    let each = source.iter().map(|piece| match *piece {
        Piece::Words(count) => u32::from(count) * WORD,
        Piece::Silence(ms) | Piece::Hole(ms) | Piece::Gap(ms) | Piece::Pause(ms) => ms,
        Piece::Caps(_) | Piece::Speaker(_) => 0,
    });
    each.sum()
}

impl Format {
    fn draw(rng: &mut Rng) -> Self {
        match rng.u8(0..10) {
            0..=3 => Self::Linear16k,
            4 | 5 => Self::Linear8k,
            6 => Self::Linear48k,
            7 => Self::Mulaw,
            8 => Self::Opus,
            _ => Self::Flac(rng.u8(1..9)),
        }
    }
}

impl Settings {
    fn draw(rng: &mut Rng) -> Self {
        let mut settings = Self::draw_plain(rng);
        match rng.u8(0..12) {
            0 => settings.stamps = Stamps::Jitter(pick(rng, &[5, 50, 500, 500])),
            1 => settings.stamps = Stamps::Bursts(pick(rng, &[2, 5, 5, 25])),
            2 => settings.declared = false,
            // This draws minutes of audio, which take long to simulate.
            3 if rng.u8(0..6) == 0 => {
                settings.drift = pick(rng, &[200, -200]);
                settings.paced = true;
                settings.buffer = 1000;
            }
            _ => return settings,
        }
        settings.timestamps = true;
        if settings.stamps != Stamps::Exact {
            settings.buffer = pick(rng, &[10, 20, 20, 50]);
            settings.drift = pick(rng, &[0, 200, -200]);
        }
        settings
    }

    /// Returns `true` if the session can only estimate the times of audio.
    pub fn estimates(&self) -> bool {
        self.stamps != Stamps::Exact || self.drift != 0 || !self.declared
    }

    fn draw_plain(rng: &mut Rng) -> Self {
        Self {
            stamps: Stamps::Exact,
            declared: true,
            drift: 0,
            wall_drift: pick(rng, &[0, 0, 200, -200]),
            live: rng.bool(),
            paced: rng.u8(0..4) > 0,
            timestamps: rng.u8(0..5) > 0,
            format: Format::draw(rng),
            buffer: pick(rng, &[10, 20, 20, 50, 100, 1000]),
            chunk: pick(rng, &[40, 100, 100, 170, 500]),
            spool: pick(rng, &[1000, 2000, 5000, 60_000]),
            catch_up: pick(rng, &[1, 2, 2, 10]),
            drain_timeout: pick(rng, &[3000, 30_000]),
            give_up: pick(rng, &[0, 0, 0, 4000]),
            disconnect_on_stop: rng.bool(),
            pause: pick(
                rng,
                &[
                    PausePolicy::Keep,
                    PausePolicy::StopProcessing,
                    PausePolicy::StopProcessing,
                    PausePolicy::Disconnect,
                ],
            ),
            format_change: pick(
                rng,
                &[
                    FormatChangePolicy::Modify,
                    FormatChangePolicy::Modify,
                    FormatChangePolicy::Restart,
                    FormatChangePolicy::Reconnect,
                ],
            ),
            modifies: rng.u8(0..6) > 0,
            announces: false,
            distinct: rng.bool(),
            interims: rng.bool(),
            interim_words: false,
            progress: false,
            messages: rng.u8(0..3) > 0,
            history: rng.u8(0..4) == 0,
            latency: pick(rng, &[1, 80, 80, 400]),
            pad: PadSettings::PLAIN,
            cluster: ClusterSettings::ALONE,
        }
    }
}

fn pick<T: Copy>(rng: &mut Rng, from: &[T]) -> T {
    from[rng.usize(0..from.len())]
}

fn source(rng: &mut Rng, settings: &Settings) -> Vec<Piece> {
    let mut left: u16 = rng.u16(3..60).min(MAX_WORDS);
    let mut source = Vec::new();
    while left > 0 {
        let count = rng.u16(1..=20).min(left);
        left -= count;
        source.push(Piece::Words(count));
        let most = pick(rng, &[60, 500, 4000]);
        let span = rng.u32(1..most);
        match rng.u8(0..9) {
            0 | 1 => source.push(Piece::Silence(span.next_multiple_of(20))),
            2 => source.push(Piece::Hole(span)),
            3 => source.push(Piece::Gap(span)),
            4 => source.push(Piece::Pause(span)),
            5 => source.push(Piece::Caps(Format::draw(rng))),
            6 => source.push(Piece::Speaker(rng.u8(0..3))),
            _ => {}
        }
    }
    if settings.drift != 0 && settings.stamps == Stamps::Exact {
        // The silence is so long that the drift shows. A word follows it.
        source.insert(1, Piece::Silence(rng.u32(8..15) * 20_000));
    }
    source
}

impl Happening {
    fn draw(rng: &mut Rng) -> Self {
        let span = rng.u32(10..6000);
        match rng.u8(0..39) {
            0..=4 => Self::Cut(pick(rng, &[0, 0, 30, 300])),
            5 | 6 => Self::Close(pick(rng, &[1000, 1001, 1005, 1006, 1011, 1012, 1013, 1008])),
            7 | 8 => Self::Deaf,
            9 | 10 => Self::Mute,
            11..=13 => Self::Refuse(
                pick(rng, &[0, 429, 503, 503, 408, 401, 302, 404]),
                span,
                pick(rng, &[0, 0, 3000, 9000]),
            ),
            14 => Self::Hang(span),
            15 | 16 => Self::Stall(span),
            17 => Self::Slow(span / 40),
            18 | 19 => Self::Think(span / 4),
            20 => Self::Ponder(span / 2),
            21 | 22 => Self::Repeat(rng.u8(1..5)),
            23 => Self::Forget,
            24 => Self::Ignore(span),
            25 => Self::Noise(rng.u8(0..4)),
            26..=28 => Self::Flush,
            29 => Self::End,
            30 => Self::Stop,
            31 => Self::Terminate,
            32..=34 => Self::Suspend(span),
            35 | 36 => Self::Clock(pick(rng, &[500, -500, 3_600_000, -3_600_000])),
            37 => Self::NoThread(span),
            _ => Self::Token,
        }
    }
}

/// Draws an end of the stream and a flush after it, or a token that is refused and changed.
fn ending(rng: &mut Rng, span: Ms) -> Vec<(Ms, Happening)> {
    let at = rng.u32(0..span);
    let later = at + rng.u32(0..3000);
    if rng.bool() {
        vec![(at, Happening::End), (later, Happening::Flush)]
    } else {
        vec![
            (at, Happening::Refuse(401, span, 0)),
            (later, Happening::Token),
        ]
    }
}
