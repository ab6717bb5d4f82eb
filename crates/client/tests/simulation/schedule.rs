// SPDX-License-Identifier: MPL-2.0

//! What will happen, drawn from a seed before anything happens.
//!
//! A schedule printed with `{:?}` is a Rust literal but for its lists, so that
//! one that failed can be kept as it is in `regressions`.

use crate::audio::{Format, MAX_WORDS, Ms, WORD};
use fastrand::Rng;
use symbl_client::session::{FormatChangePolicy, PausePolicy};

/// One run.
#[derive(Debug, Clone, PartialEq)]
pub struct Schedule {
    /// Decides what is not written here: latencies, where utterances end.
    pub seed: u64,
    pub settings: Settings,
    /// What upstream gives, in this order.
    pub source: Vec<Piece>,
    /// What happens meanwhile, and when.
    pub happenings: Vec<(Ms, Happening)>,
}

/// What does not change in a run.
#[derive(Debug, Clone, PartialEq)]
pub struct Settings {
    /// Whether the audio is live: dropped rather than held back.
    pub live: bool,
    /// Whether it comes at the pace of a clock.
    pub paced: bool,
    /// Whether all buffers have timestamps, or only the first after a flush.
    pub timestamps: bool,
    /// How timestamps come to be.
    pub stamps: Stamps,
    /// Whether a flag says of a buffer that it is the first behind a hole.
    pub declared: bool,
    /// How much faster the pipeline's clock runs than the sender's, in ppm.
    pub drift: i32,
    /// How much faster the wall clock runs than the pipeline's, in ppm.
    pub wall_drift: i32,
    pub format: Format,
    /// Length of upstream buffers of raw audio.
    pub buffer: Ms,
    pub chunk: Ms,
    /// Bound of the spool.
    pub spool: Ms,
    pub catch_up: u8,
    pub drain_timeout: Ms,
    /// Give up after this long without a session; 0: never.
    pub give_up: Ms,
    /// Whether the service is asked to close after a stop.
    pub disconnect_on_stop: bool,
    /// What a pause of the application means.
    pub pause: PausePolicy,
    /// What new caps mean.
    pub format_change: FormatChangePolicy,
    /// Whether the service takes new caps in mid-stream; else it tells an error
    /// and hears nothing more.
    pub modifies: bool,
    /// The service announces itself, and stores each word once.
    pub announces: bool,
    /// Whether words are all different, or "yes" and "no".
    pub distinct: bool,
    pub interims: bool,
    /// Whether the service sends messages and what it finds in them.
    pub messages: bool,
    /// Whether what was missed is taken from the conversation's history.
    pub history: bool,
    /// Longest time that a frame is under way.
    pub latency: Ms,
}

/// How timestamps come to be.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Stamps {
    /// By the count of samples.
    Exact,
    /// By arrival, which is earlier or later by at most so much.
    Jitter(Ms),
    /// By arrival, of so many buffers at once.
    Bursts(u8),
}

/// A piece of the source.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Piece {
    Words(u16),
    Silence(Ms),
    /// Nothing comes and the timestamps go on.
    Hole(Ms),
    /// The same, told by a GAP event.
    Gap(Ms),
    /// Nothing comes and the timestamps stand still.
    Pause(Ms),
    /// New caps.
    Caps(Format),
    /// Somebody else speaks: one of [`crate::service::PEOPLE`].
    Speaker(u8),
}

/// What somebody else does.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Happening {
    /// The link is gone. What the service sent arrives for this long still.
    Cut(Ms),
    /// The service closes with this code.
    Close(u16),
    /// Nothing gets to the service any more and nobody says so.
    Deaf,
    /// Nothing gets to us any more and nobody says so.
    Mute,
    /// Dials are answered with this status for so long, and with `Retry-After`.
    Refuse(u16, Ms, Ms),
    /// Dials get no answer for a while.
    Hang(Ms),
    /// The host is at its limit of threads for a while: dials fail before they begin.
    NoThread(Ms),
    /// The socket takes nothing for a while.
    Stall(Ms),
    /// From now on the socket takes this long over each frame.
    Slow(Ms),
    /// Results take this much longer from now on.
    Think(Ms),
    /// Messages take this much longer than their finals from now on.
    Ponder(Ms),
    /// So many results are sent twice from now on.
    Repeat(u8),
    /// The next start is a new conversation.
    Forget,
    /// The service never answers starts and stops again for a while.
    Ignore(Ms),
    /// The service ends its processing by itself, and says so. The link stays.
    Terminate,
    /// The service says something that nobody knows, or that is no message.
    Noise(u8),
    /// The application pauses for so long.
    Suspend(Ms),
    /// Upstream flushes: a seek.
    Flush,
    /// The stream ends here.
    End,
    /// The application stops the sink.
    Stop,
    /// Somebody sets the wall clock by so many milliseconds.
    Clock(i32),
    /// The application sets a token. Dials are no longer refused for the old one.
    Token,
}

/// Draws `count` of what `draw` draws.
fn some<T>(rng: &mut Rng, count: usize, mut draw: impl FnMut(&mut Rng) -> T) -> Vec<T> {
    (0..count).map(|_| draw(rng)).collect()
}

impl Schedule {
    /// The same seed gives the same schedule.
    pub fn from_seed(seed: u64) -> Self {
        let rng = &mut Rng::with_seed(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15));
        let mut settings = Settings::draw(rng);
        // With dice of its own: all else is as it was before there was this setting.
        settings.announces = Rng::with_seed(seed ^ 0x5e1f).bool();
        let source = source(rng, &settings);
        let span = length(&source) + 3000;
        let count = rng.usize(0..7);
        let mut happenings = some(rng, count, |rng| (rng.u32(0..span), Happening::draw(rng)));
        if rng.u8(0..5) == 0 {
            happenings.extend(ending(rng, span));
        }
        happenings.sort_by_key(|(at, _)| *at);
        Self {
            seed,
            settings,
            source,
            happenings,
        }
    }

    /// How long the source lasts, if nothing holds it up.
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
            // Minutes of audio, which take their time to simulate.
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

    /// Returns `true` if the session has only an estimate of where audio stands.
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
            messages: rng.u8(0..3) > 0,
            history: rng.u8(0..4) == 0,
            latency: pick(rng, &[1, 80, 80, 400]),
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
        // So long that the clocks are seen to drift, and a word behind it.
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

/// An end, and then a flush after all, or a token that is refused and changed.
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
