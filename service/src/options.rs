// SPDX-License-Identifier: MPL-2.0

//! The limits as options of the command. Times are whole seconds, and sizes are bytes.
//! docs/service.md says what happens beyond each limit.

use clap::Args;
use clap::builder::RangedU64ValueParser;
use std::time::Duration;
use symbl_service::Limits;

/// Ten years, the longest time that counts as a limit.
const LONGEST: u64 = 315_360_000;

/// Parses a number of sockets, speakers or messages. A larger one would not be a limit.
fn number() -> RangedU64ValueParser<usize> {
    RangedU64ValueParser::new().range(1..=1_000_000)
}

/// Parses the size of a message. Clients send nothing larger, and each socket may hold
/// twice as much.
fn size() -> RangedU64ValueParser<usize> {
    RangedU64ValueParser::new().range(1..=64 << 20)
}

/// Parses the memory that many clients share, up to a tebibyte.
fn memory() -> RangedU64ValueParser<usize> {
    RangedU64ValueParser::new().range(1..=1 << 40)
}

/// Parses the length of a name or a phrase.
fn length() -> RangedU64ValueParser<usize> {
    RangedU64ValueParser::new().range(1..=65_536)
}

/// Parses a time that a client waits.
fn seconds() -> RangedU64ValueParser<u64> {
    RangedU64ValueParser::new().range(1..=3600)
}

/// Parses a time for which a socket may be idle, up to 31 days.
fn long_time() -> RangedU64ValueParser<u64> {
    RangedU64ValueParser::new().range(1..=2_678_400)
}

/// Limits that contradict each other.
#[derive(Debug, thiserror::Error)]
#[error(
    "--max-audio-message {audio} is more than --max-message {any}, which is for messages of any \
     kind; give at most that"
)]
pub(crate) struct LimitError {
    audio: usize,
    any: usize,
}

/// The options. A limit that is left out is as in [`Limits::default`].
#[derive(Args, Debug, Default)]
#[command(next_help_heading = "Limits")]
pub(crate) struct LimitOptions {
    /// Streaming sockets at the same time; the next one gets 429, with --cluster 503
    /// [default: 1000]
    #[arg(long, value_name = "N", value_parser = number())]
    max_connections: Option<usize>,

    /// Streaming sockets of an application, on all services that share its database; the
    /// next one gets 429, unless it comes back into its conversation; 0 for any number
    /// [default: 0]
    #[arg(long, value_name = "N", value_parser = RangedU64ValueParser::<usize>::new().range(0..=1_000_000))]
    max_account_streams: Option<usize>,

    /// Threads that recognise, at most 1024; 0: one for each processor core [default: 0]
    #[arg(long, value_name = "N", value_parser = RangedU64ValueParser::<usize>::new().range(0..=1024))]
    max_workers: Option<usize>,

    /// Subscribers at the same time; the next one gets 429 [default: 10000]
    #[arg(long, value_name = "N", value_parser = number())]
    max_subscribers: Option<usize>,

    /// Connections that are no WebSocket (yet); the next one gets 503 [default: 1024]
    #[arg(long, value_name = "N", value_parser = number())]
    max_handshakes: Option<usize>,

    /// For a TLS handshake, and then for the head of a request [default: 10]
    #[arg(long, value_name = "SECONDS", value_parser = seconds())]
    max_handshake_time: Option<u64>,

    /// For a request from its head to its answer [default: 30]
    #[arg(long, value_name = "SECONDS", value_parser = seconds())]
    max_request_time: Option<u64>,

    /// Without a message from a client; then its socket is closed [default: 1800]
    #[arg(long, value_name = "SECONDS", value_parser = long_time())]
    max_idle: Option<u64>,

    /// Of audio in which nothing is said; then its socket is closed [default: 1800]
    #[arg(long, value_name = "SECONDS", value_parser = long_time())]
    max_silence: Option<u64>,

    /// That a conversation waits for its last speaker, whatever noConnectionTimeout
    /// asks for: 0 to 1800 [default: 1800]
    #[arg(long, value_name = "SECONDS", value_parser = RangedU64ValueParser::<u64>::new().range(0..=1800))]
    max_no_connection_timeout: Option<u64>,

    /// A session without speakers is closed this long after its last text [default: 600]
    #[arg(long, value_name = "SECONDS", value_parser = long_time())]
    session_inactivity: Option<u64>,

    /// ... and this long after its begin, whatever is written; 0 for no limit
    /// [default: 86400]
    #[arg(long, value_name = "SECONDS", value_parser = RangedU64ValueParser::<u64>::new().range(0..=2_678_400))]
    session_timeout: Option<u64>,

    /// A closed session can be read for this long before it expires [default: 120]
    #[arg(long, value_name = "SECONDS", value_parser = RangedU64ValueParser::<u64>::new().range(0..=2_678_400))]
    session_keep_alive: Option<u64>,

    /// Sockets of sessions at the same time; the next one is refused [default: 10000]
    #[arg(long, value_name = "N", value_parser = number())]
    max_session_sockets: Option<usize>,

    /// Texts that a socket of a session may send in a second [default: 5]
    #[arg(long, value_name = "N", value_parser = RangedU64ValueParser::<u32>::new().range(1..=100_000))]
    session_sends: Option<u32>,

    /// Conversations that wait for their last speaker [default: 1000]
    #[arg(long, value_name = "N", value_parser = number())]
    max_waiting: Option<usize>,

    /// Memory of all of them [default: 67108864]
    #[arg(long, value_name = "BYTES", value_parser = memory())]
    max_waiting_memory: Option<usize>,

    /// Memory of the trackers of all streams; the same ones count once
    /// [default: 536870912]
    #[arg(long, value_name = "BYTES", value_parser = memory())]
    max_tracker_memory: Option<usize>,

    /// For a stopped stream to say what it still owes [default: 60]
    #[arg(long, value_name = "SECONDS", value_parser = seconds())]
    max_drain_time: Option<u64>,

    /// For a socket to start, or to start again after a stop; then its place is free for
    /// others [default: 10]
    #[arg(long, value_name = "SECONDS", value_parser = seconds())]
    max_start_time: Option<u64>,

    /// Stopped streams that drain while their sockets have started the next one
    /// [default: 1000]
    #[arg(long, value_name = "N", value_parser = number())]
    max_draining: Option<usize>,

    /// Size of any message [default: 1048576]
    #[arg(long, value_name = "BYTES", value_parser = size())]
    max_message: Option<usize>,

    /// Size of an audio message [default: 8192]
    #[arg(long, value_name = "BYTES", value_parser = size())]
    max_audio_message: Option<usize>,

    /// Messages that wait for a client to read them [default: 4096]
    #[arg(long, value_name = "N", value_parser = number())]
    max_unread: Option<usize>,

    /// Phrases in a start request, of vocabulary and trackers [default: 5000]
    #[arg(long, value_name = "N", value_parser = number())]
    max_phrases: Option<usize>,

    /// Size of one of them [default: 256]
    #[arg(long, value_name = "BYTES", value_parser = length())]
    max_phrase: Option<usize>,

    /// Size of a name, user id, title or language in a start request [default: 1024]
    #[arg(long, value_name = "BYTES", value_parser = length())]
    max_text: Option<usize>,

    /// Speakers of a conversation [default: 1000]
    #[arg(long, value_name = "N", value_parser = number())]
    max_speakers: Option<usize>,

    /// Life of a token [default: 86400]
    #[arg(long, value_name = "SECONDS", value_parser = RangedU64ValueParser::<u64>::new().range(1..=LONGEST))]
    max_token_life: Option<u64>,

    /// Messages of each conversation that are kept without --data [default: 2000]
    #[arg(long, value_name = "N", value_parser = number())]
    max_kept_messages: Option<usize>,

    /// Conversations that are over and kept without --data [default: 100]
    #[arg(long, value_name = "N", value_parser = number())]
    max_kept_conversations: Option<usize>,
}

impl LimitOptions {
    /// Returns the number of threads that recognise, 0 for one for each processor core.
    pub(crate) fn workers(&self) -> usize {
        self.max_workers.unwrap_or_default()
    }

    /// Returns the limits of the command line, if they do not contradict each other.
    pub(crate) fn checked(&self) -> Result<Limits, LimitError> {
        let limits = self.limits();
        let (audio, any) = (limits.audio_message, limits.message);
        match audio <= any {
            true => Ok(limits),
            false => Err(LimitError { audio, any }),
        }
    }

    /// Returns the limits of the command line.
    fn limits(&self) -> Limits {
        let usual = Limits::default();
        let time = |seconds: Option<u64>, usual| seconds.map_or(usual, Duration::from_secs);
        Limits {
            connections: self.max_connections.unwrap_or(usual.connections),
            account_streams: self.max_account_streams.unwrap_or(usual.account_streams),
            workers: self.max_workers.unwrap_or(usual.workers),
            subscribers: self.max_subscribers.unwrap_or(usual.subscribers),
            handshakes: self.max_handshakes.unwrap_or(usual.handshakes),
            handshake: time(self.max_handshake_time, usual.handshake),
            request: time(self.max_request_time, usual.request),
            idle: time(self.max_idle, usual.idle),
            silence: time(self.max_silence, usual.silence),
            no_connection: time(self.max_no_connection_timeout, usual.no_connection),
            session_inactivity: time(self.session_inactivity, usual.session_inactivity),
            session_total: time(self.session_timeout, usual.session_total),
            session_keep_alive: time(self.session_keep_alive, usual.session_keep_alive),
            session_sockets: self.max_session_sockets.unwrap_or(usual.session_sockets),
            session_sends: self.session_sends.unwrap_or(usual.session_sends),
            waiting: self.max_waiting.unwrap_or(usual.waiting),
            waiting_memory: self.max_waiting_memory.unwrap_or(usual.waiting_memory),
            tracker_memory: self.max_tracker_memory.unwrap_or(usual.tracker_memory),
            drain: time(self.max_drain_time, usual.drain),
            start: time(self.max_start_time, usual.start),
            draining: self.max_draining.unwrap_or(usual.draining),
            message: self.max_message.unwrap_or(usual.message),
            audio_message: self.max_audio_message.unwrap_or(usual.audio_message),
            outbound_queue: self.max_unread.unwrap_or(usual.outbound_queue),
            phrases: self.max_phrases.unwrap_or(usual.phrases),
            phrase: self.max_phrase.unwrap_or(usual.phrase),
            text: self.max_text.unwrap_or(usual.text),
            speakers: self.max_speakers.unwrap_or(usual.speakers),
            token: time(self.max_token_life, usual.token),
            kept_messages: self.max_kept_messages.unwrap_or(usual.kept_messages),
            kept_conversations: self
                .max_kept_conversations
                .unwrap_or(usual.kept_conversations),
            ..usual
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::{CommandFactory, Parser};

    #[derive(Parser)]
    struct Only {
        #[command(flatten)]
        limits: LimitOptions,
    }

    /// Returns the field and the value of each limit.
    fn fields(limits: &Limits) -> Vec<(String, String)> {
        let text = format!("{limits:#?}");
        let lines = text.lines().filter_map(|line| line.split_once(": "));
        lines
            .map(|(name, value)| (name.trim().to_owned(), value.to_owned()))
            .collect()
    }

    #[test]
    fn every_option_sets_one_limit_and_its_help_tells_the_default() {
        let usual = fields(&Limits::default());
        assert_eq!(fields(&Only::parse_from(["x"]).limits.limits()), usual);
        let command = Only::command();
        let mut set = Vec::new();
        for option in command.get_arguments().filter(|o| o.get_long().is_some()) {
            let name = option.get_long().unwrap();
            let parsed = Only::parse_from(["x", &format!("--{name}"), "7"]);
            let now = fields(&parsed.limits.limits());
            let changed = now.iter().zip(&usual).filter(|(now, was)| now != was);
            let [((field, value), (_, was))] = &changed.collect::<Vec<_>>()[..] else {
                panic!("{name} sets something else")
            };
            assert!(["7,", "7s,"].contains(&value.as_str()), "{name}: {value}");
            assert!(!set.contains(field), "{name} sets {field} too");
            set.push(field.clone());
            let default = was.trim_end_matches([',', 's']);
            let help = option.get_help().unwrap().to_string();
            assert!(
                help.contains(&format!("[default: {default}]")),
                "{name}: {help}"
            );
            let given = Only::try_parse_from(["x", &format!("--{name}"), default]);
            assert!(given.is_ok(), "{name} does not take its default");
        }
        // These are the affair of the service itself.
        let own = ["audio_queue", "write", "close", "shutdown", "session_inbox"];
        let known = usual.iter().map(|(field, _)| field.as_str());
        let missing: Vec<&str> = known.filter(|f| !set.iter().any(|s| s == f)).collect();
        assert!(missing.iter().all(|f| own.contains(f)), "{missing:?}");
    }

    #[test]
    fn what_is_no_limit_is_refused() {
        for (option, value) in [
            ("--max-idle", "0"),
            ("--max-idle", "-1"),
            ("--max-idle", "999999999999"),
            ("--max-connections", "0"),
            ("--max-workers", "1025"),
            ("--max-connections", "many"),
            ("--max-connections", "1000001"),
            ("--max-message", "67108865"),
            ("--max-text", "65537"),
            ("--max-request-time", "3601"),
            ("--max-silence", "2678401"),
            ("--max-token-life", "315360001"),
            ("--max-no-connection-timeout", "1801"),
        ] {
            assert!(
                Only::try_parse_from(["x", option, value]).is_err(),
                "{option} {value}"
            );
        }
    }

    #[test]
    fn an_audio_message_is_a_message() {
        let checked = |options: &[&str]| {
            let options = [&["x"], options].concat();
            Only::parse_from(options).limits.checked()
        };
        assert!(checked(&["--max-audio-message", "1048577"]).is_err());
        assert!(checked(&["--max-message", "8191"]).is_err());
        assert!(checked(&["--max-message", "9000", "--max-audio-message", "9000"]).is_ok());
    }
}
