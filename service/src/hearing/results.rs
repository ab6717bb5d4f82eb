// SPDX-License-Identifier: MPL-2.0

//! Writes the results of one stream into its conversation: finals become entries of the
//! log.
//!
//! The analysis of a final runs on the stream's worker before any lock is taken. However
//! long it takes, no other stream waits for it. Then the log takes the final or refuses it,
//! and clients are sent only what the log has taken. Interims are no entries. They go to
//! the speaker and the subscribers at once.
//!
//! A client that lost its connection sends audio again. Words of that audio that are in
//! the log already are dropped: those before the `said_until` of [`Begun::Here`]. The
//! speaker may not have received them, so it is sent the entries with those words again.

use crate::clock::AudioClock;
use crate::conversation::attribution::SharedTurns;
use crate::conversation::bus::{Shown, Stamp};
use crate::conversation::entry::{Entry, Message, Part, Speaker, Transcribed};
use crate::conversation::form::{Audience, Interim, Live, Recipient};
use crate::conversation::hub::Conversation;
use crate::conversation::log::{Begun, LogError, StartRecord, StreamPosition, Verdict};
use crate::hearing::audio::StreamError;
use crate::hearing::draft::{Draft, nanos};
use crate::hearing::masking::{Masked, Masking};
use crate::hearing::order::{Place, Waiting};
use crate::hearing::progress::Progress;
use crate::hearing::recognizer::{RecognisedWord, text_of};
use crate::ids::new_id;
use crate::metrics::{self, Metrics, Recognised, Written};
use crate::outbox::Outbox;
use crate::traces::Told;
use crate::trackers::phrasebook::Compiled;
use std::collections::{HashSet, VecDeque};
use std::ops::Range;
use std::sync::Arc;
use std::time::{Duration, Instant};
use symbl_analysis::{AnalyzerOptions, Finder, Sentence, TrackerFinding};
use symbl_log::fence::was_said;
use symbl_protocol::reply;

/// Writes the results of one `start_request` into its conversation.
pub(crate) struct ResultWriter {
    conversation: Arc<Conversation>,
    own: Recipient,
    /// The socket's number in the conversation.
    socket: u64,
    metrics: Arc<Metrics>,
    speaker: Speaker,
    wanted: Wanted,
    /// Created when it is first needed.
    finder: Option<Finder>,
    timezone_offset: i32,
    title: Option<String>,
    clock: AudioClock,
    /// `true` for a recording: no client waits for the results, and their delay is not measured.
    is_recorded: bool,
    /// When the request came.
    started: Instant,
    /// The id of the next message.
    next_message: i64,
    /// `true` after the first interim of which some words are stable. From then on,
    /// trackers are looked for only in the stable words of interims.
    promises: bool,
    /// How many interims were made of this start request, for listeners on other nodes.
    shown: u64,
    /// The number of the entry of its last final, 0 if there is none.
    last_final: u64,
    /// Trackers found in interims of the utterance so far.
    interim_findings: Vec<TrackerFinding>,
    /// Where the audio begins in its stream, if the client names its streams.
    stream_position: Option<StreamPosition>,
    /// The position in the stream up to which its words are in the log already.
    said_until: u64,
    /// The last entry that was sent before the socket joined. The socket was sent all
    /// later entries.
    told: u64,
    /// Entries about audio that is replayed. The client may not have received them.
    unheard: VecDeque<Arc<Entry>>,
    /// `None` if the client did not ask to be told of the progress.
    progress: Option<Progress>,
    masking: Masking,
    /// The place among the channels of a recording, if it has several.
    order: Option<Place>,
    /// Who else speaks when in the audio, if the client says so.
    turns: SharedTurns,
    most_speakers: usize,
    /// The ids of those of them that are in the log.
    introduced: HashSet<String>,
}

/// What a client wants to be sent.
#[derive(Debug)]
pub(crate) struct Wanted {
    /// The findings that it wants, without its trackers.
    pub(crate) options: AnalyzerOptions,
    pub(crate) trackers: Arc<Compiled>,
    /// Names and ids of the trackers that the service keeps.
    pub(crate) tracker_ids: Vec<(String, String)>,
    /// `true` to look for trackers in interims too.
    pub(crate) interim_trackers: bool,
    /// `true` to be told the figures of the talk.
    pub(crate) analytics: bool,
    /// `true` for the sentiment of each message.
    pub(crate) sentiment: bool,
    /// `true` for the actionable part of each message.
    pub(crate) phrases: bool,
    /// `true` to be told how far the recognition has come.
    pub(crate) progress: bool,
    /// What is hidden of all that is said.
    pub(crate) masking: Masking,
}

/// What a start request says about its speaker and its audio.
pub(crate) struct Speaking {
    pub(crate) speaker: Speaker,
    pub(crate) timezone_offset: i32,
    pub(crate) title: Option<String>,
    pub(crate) stream_position: Option<StreamPosition>,
    /// The last entry that was sent before the socket joined.
    pub(crate) told: u64,
    /// When the first audio of a recording counts as come, nanoseconds since the Unix epoch.
    /// `None` for a client that sends as its speaker speaks.
    pub(crate) recorded: Option<i64>,
    /// Who else speaks when in the audio.
    pub(crate) turns: SharedTurns,
    /// Most speakers of a conversation.
    pub(crate) most_speakers: usize,
}

impl ResultWriter {
    pub(crate) fn new(
        conversation: Arc<Conversation>,
        own: Recipient,
        socket: u64,
        metrics: Arc<Metrics>,
        speaking: Speaking,
        mut wanted: Wanted,
    ) -> Self {
        let Speaking {
            speaker,
            timezone_offset,
            title,
            stream_position,
            told,
            recorded,
            turns,
            most_speakers,
        } = speaking;
        Self {
            clock: match recorded {
                Some(zero) => AudioClock::fixed(conversation.clock, zero),
                None => AudioClock::of(conversation.clock),
            },
            is_recorded: recorded.is_some(),
            conversation,
            own,
            socket,
            metrics,
            speaker,
            progress: wanted.progress.then(Progress::default),
            masking: std::mem::take(&mut wanted.masking),
            wanted,
            finder: None,
            timezone_offset,
            title,
            started: Instant::now(),
            next_message: new_id(),
            promises: false,
            shown: 0,
            last_final: 0,
            interim_findings: Vec::new(),
            stream_position,
            said_until: 0,
            told,
            unheard: VecDeque::new(),
            order: None,
            turns,
            most_speakers,
            introduced: HashSet::new(),
        }
    }

    /// Lets the finals wait for those of the other channels of a recording.
    pub(crate) fn ordered(self, order: Place) -> Self {
        Self {
            order: Some(order),
            ..self
        }
    }

    /// Returns `true` if the finals wait for those of other channels.
    pub(crate) fn is_ordered(&self) -> bool {
        self.order.is_some()
    }

    /// Returns the outbox of the client's own socket.
    pub(crate) fn own(&self) -> &Outbox {
        &self.own
    }

    /// Returns the metrics that count the results.
    pub(crate) fn metrics(&self) -> &Arc<Metrics> {
        &self.metrics
    }

    /// Returns the clock that knows when the first audio of this start came.
    pub(crate) fn clock(&self) -> &AudioClock {
        &self.clock
    }

    /// Appends the start to the log, and with it a new conversation and a new speaker.
    /// Then tells the client that audio is awaited, and in which conversation.
    pub(crate) fn listening(&mut self) -> Result<(), StreamError> {
        let start = self.start_of(self.speaker.clone(), self.stream_position.clone());
        let conversation = &self.conversation;
        let begun = conversation
            .log
            .begin(start, conversation.committed(Some(self.socket)))?;
        conversation.tell();
        match begun {
            Begun::Superseded => return Err(StreamError::Superseded),
            Begun::Here {
                said_until,
                unheard,
            } => {
                self.said_until = said_until;
                self.unheard = unheard.into();
            }
        }
        self.own.send(reply::started_listening());
        self.own.send(reply::conversation_created(&conversation.id));
        Ok(())
    }

    fn start_of(&self, speaker: Speaker, at: Option<StreamPosition>) -> StartRecord {
        let conversation = &self.conversation;
        let keep = conversation.state().longest_keep(Instant::now()).as_secs();
        StartRecord {
            conversation: conversation.number,
            account: conversation.key.account.clone(),
            connection_id: conversation.key.connection_id.clone(),
            session: conversation.session.clone(),
            title: self.title.clone(),
            at: conversation.clock.now(),
            keep: i64::try_from(keep).unwrap_or(i64::MAX),
            speaker: Some(speaker),
            ends: None,
            stream_position: at,
        }
    }

    /// Returns the speaker of the audio, as it is called now: the Conversation API may have
    /// given it another name.
    fn speaker(&self) -> Speaker {
        let state = self.conversation.state();
        let known = state.participants.by_id(&self.speaker.id);
        known.unwrap_or(&self.speaker).clone()
    }

    /// Returns the speaker of these words.
    fn speaker_of(&self, words: &[RecognisedWord]) -> Speaker {
        if self.turns.is_empty() {
            return self.speaker();
        }
        let times = words
            .iter()
            .map(|word| (nanos(word.start), nanos(word.end)));
        let user = self.turns.owner(times);
        let speaker = user.and_then(|user| {
            let mut state = self.conversation.state();
            // The event has the name of its time.
            let known = user.id.as_deref();
            let known = known.and_then(|id| state.participants.by_id(id).cloned());
            known.or_else(|| state.participants.resolve(&user, self.most_speakers))
        });
        speaker.unwrap_or_else(|| self.speaker())
    }

    /// Splits words where another speaker begins, at the ends of sentences.
    fn by_speaker(
        &self,
        words: &[RecognisedWord],
        punctuated: bool,
    ) -> Vec<(Range<usize>, Speaker)> {
        let all = || vec![(0..words.len(), self.speaker())];
        if self.turns.is_empty() {
            return all();
        }
        let mut runs: Vec<(Range<usize>, Speaker)> = Vec::new();
        for sentence in sentences_of(words, punctuated) {
            let speaker = self.speaker_of(words.get(sentence.words.clone()).unwrap_or_default());
            match runs.last_mut() {
                Some((run, known)) if known.id == speaker.id => run.end = sentence.words.end,
                _ => runs.push((sentence.words, speaker)),
            }
        }
        match runs.is_empty() {
            true => all(),
            false => runs,
        }
    }

    /// Appends to the log that this speaker is heard in the audio, once.
    fn introduce(&mut self, speaker: &Speaker) -> Result<(), StreamError> {
        if speaker.id == self.speaker.id || !self.introduced.insert(speaker.id.clone()) {
            return Ok(());
        }
        let conversation = &self.conversation;
        conversation.state().hears(self.socket, &speaker.id);
        let start = self.start_of(speaker.clone(), None);
        conversation
            .log
            .begin(start, conversation.committed(Some(self.socket)))?;
        conversation.tell();
        Ok(())
    }

    /// Tells the client that recognition has begun.
    pub(crate) fn recognising(&self) {
        self.own
            .send(reply::recognition_started(&self.conversation.id));
    }

    /// Returns the finder of all that the client wants. The first call may take long.
    fn finder(&mut self) -> &Finder {
        let Wanted {
            options, trackers, ..
        } = &self.wanted;
        let make = || Finder::new(options.clone(), trackers.phrases());
        self.finder.get_or_insert_with(make)
    }

    /// Returns the position in the stream of a time of this start's audio.
    fn position(&self, time: u64) -> u64 {
        let base = self.stream_position.as_ref().map_or(0, |at| at.position);
        base.saturating_add(time)
    }

    /// Sends the speaker again the entries about the replayed audio up to `now`.
    pub(crate) fn heard_again(&mut self, now: Duration) {
        let now = self.position(nanos(now));
        let is_due = |entry: &Arc<Entry>| {
            let part = entry.body.said().and_then(|said| said.part.as_ref());
            part.is_none_or(|part| part.until <= now)
        };
        while self.unheard.front().is_some_and(is_due)
            && let Some(entry) = self.unheard.pop_front()
        {
            self.tell_again(&entry);
        }
    }

    fn tell_again(&self, entry: &Entry) {
        let (Some(said), Some(form)) = (entry.body.said(), self.own.form()) else {
            return;
        };
        if let Some(rest) = said.behind(self.position(0), self.clock.zero()) {
            // Since the socket joined, it was sent what goes to all sockets, but not what
            // goes only to the socket of the speaker.
            let knows = entry.seq > self.told;
            for (audience, text) in form.said(&rest) {
                if audience == Audience::Speaker || !knows {
                    self.own.send(text);
                }
            }
        }
    }

    /// Tells the client how far the recognition has come, if it asked for that and it is due.
    /// No final of the engine that is still to come begins before `settled`. `heard` is how
    /// much audio the engine was given. To be called when all results so far were sent.
    pub(crate) fn progressed(&mut self, settled: Duration, heard: Duration) {
        let owed = self.owed();
        let settled = owed.map_or(settled, |owed| owed.min(settled));
        let progress = self.progress.as_mut();
        if let Some(time) = progress.and_then(|progress| progress.due(settled, heard)) {
            self.own.send(reply::recognition_progress(time));
        }
    }

    /// Counts the talk of the conversation, if a client wants that, and tells the own client if
    /// it is one. The `last` count of a stream waits for others.
    fn tally(&self, last: bool) {
        let own = self.wanted.analytics;
        let tallied = self.conversation.tally(own, last);
        let (Some(tallied), Some(form)) = (tallied.filter(|_| own), self.own.form()) else {
            return;
        };
        for (_, text) in form.live(&Live::Analytics(&tallied)) {
            self.own.send(text);
        }
    }

    /// Tells the client that no final is left in its audio, which is `heard` long, if it asked
    /// for that.
    pub(crate) fn ended(&mut self, heard: Duration) {
        if let Some(progress) = &mut self.progress {
            progress.moved();
        }
        self.progressed(heard, heard);
    }

    /// Sends the finals that wait for entries of other nodes before them.
    ///
    /// # Errors
    ///
    /// Those entries cannot be read, so that the finals cannot be sent now.
    pub(crate) fn all_sent(&self) -> Result<(), StreamError> {
        let is_sent = || self.conversation.told() >= self.last_final;
        if !is_sent() {
            self.conversation.tell();
        }
        match is_sent() {
            true => Ok(()),
            false => Err(LogError(
                "the entries before the last final are not read".to_owned(),
            ))?,
        }
    }

    /// Counts the talk once more, when no final is left.
    pub(crate) fn counted(&self) {
        self.tally(true);
    }

    /// Returns where the earliest final begins that is still to be sent again.
    fn owed(&self) -> Option<Duration> {
        let zero = self.position(0);
        let parts = self.unheard.iter();
        let parts = parts.filter_map(|entry| entry.body.said()?.part.as_ref());
        let first = parts.map(|part| part.from).min()?;
        Some(Duration::from_nanos(first.saturating_sub(zero)))
    }

    /// Sends an interim of the utterance in progress, which has these words so far. The
    /// first `stable` of them are settled.
    ///
    /// Trackers are looked for in the stable words, so that no word that is taken back is
    /// reported. An engine that has promised nothing in this stream may be one that never
    /// does. Its interims are searched as a whole.
    pub(crate) fn interim(&mut self, words: &[RecognisedWord], stable: usize) {
        let (shown, stable) = self.masking.interim(words, stable);
        // Of an utterance that has just begun nothing may be shown.
        if shown.is_empty() && !words.is_empty() {
            return;
        }
        let words = &shown[..];
        let text = &text_of(words);
        let start = words.first().map_or(Duration::ZERO, |word| word.start);
        let stable = stable.min(words.len());
        self.promises |= stable > 0;
        let speaker = self.speaker_of(words);
        let interim = Interim {
            text,
            words: if knows_times(words) { words } else { &[] },
            stable,
            start,
            speaker: &speaker,
            elapsed: self.elapsed(),
        };
        let live = Live::Interim(interim);
        // The other sockets were sent the final of replayed audio before.
        let is_news = self.position(nanos(start)) >= self.said_until;
        if is_news {
            self.conversation.hint(|form| form.live(&live), self.socket);
            self.conversation.show(&interim, self.clock.zero());
            self.show_elsewhere(|| Shown::interim(&interim));
        } else if let Some(form) = self.own.form() {
            for (_, text) in form.live(&live) {
                self.own.send(text);
            }
        }
        self.metrics.results("interim", 1);
        if !self.wanted.interim_trackers || !is_news {
            return;
        }
        let findings = match self.promises {
            true => {
                let stable = words.get(..stable).unwrap_or_default();
                self.finder().trackers(&text_of(stable))
            }
            false => self.finder().trackers(text),
        };
        let is_known = |found: &TrackerFinding| {
            let same = |old: &TrackerFinding| old.name == found.name && old.value == found.value;
            self.interim_findings.iter().any(same)
        };
        if !findings.iter().all(is_known) {
            let mut draft = Draft {
                said: Transcribed::default(),
            };
            let message = Message {
                id: self.next_message,
                ..Message::default()
            };
            for found in &findings {
                draft.tracker(&message, found.clone(), self.tracker_id(&found.name));
            }
            let trackers = Live::Trackers(&draft.said.trackers);
            self.conversation
                .hint(|form| form.live(&trackers), self.socket);
            self.show_elsewhere(|| Shown::Trackers(draft.said.trackers.clone()));
            self.interim_findings = findings;
        }
    }

    /// Shows listeners on other nodes what is in no log. Channels of a recording cannot be
    /// told apart there, so nothing of them is shown.
    fn show_elsewhere(&mut self, shown: impl FnOnce() -> Shown) {
        if !self.is_recorded {
            self.shown += 1;
            let stamp = Stamp {
                start_request: self.clock.zero(),
                count: self.shown,
                behind: self.last_final,
            };
            self.conversation.show_elsewhere(stamp, shown);
        }
    }

    /// Appends the final of an utterance to the log and then sends it to the sockets.
    pub(crate) fn utterance(
        &mut self,
        words: &[RecognisedWord],
        punctuated: bool,
        recognised: Recognised,
    ) -> Result<(), StreamError> {
        let is_before = |word: &&RecognisedWord| {
            let (start, end) = (nanos(word.start), nanos(word.end));
            was_said(self.position(start), self.position(end), self.said_until)
        };
        let said_before = words.iter().take_while(is_before).count();
        if said_before > 0 && said_before == words.len() {
            return Ok(());
        }
        let masked = self.masking.last(words, said_before);
        self.interim_findings.clear();
        if let Some(progress) = &mut self.progress {
            progress.moved();
        }
        let _giving = self.turns.give();
        for (run, speaker) in self.by_speaker(&masked.words, punctuated) {
            self.introduce(&speaker)?;
            self.said_by(&speaker, &masked.part(run), punctuated, recognised)?;
        }
        Ok(())
    }

    /// Appends the final of words of one speaker and then sends it.
    fn said_by(
        &mut self,
        speaker: &Speaker,
        words: &Masked,
        punctuated: bool,
        recognised: Recognised,
    ) -> Result<(), StreamError> {
        let begun = Instant::now();
        let mut said = self.look_into_masked(words, punctuated);
        let analysed = Instant::now();
        let message = said.messages.first().map(|message| message.id);
        said.speaker.clone_from(speaker);
        if said.messages.is_empty() {
            self.conversation.hint(|form| form.said(&said), self.socket);
            self.show_elsewhere(|| Shown::Nothing(Box::new(said)));
            self.metrics.results("final", 1);
            return Ok(());
        }
        let late = said.words.last().map(|word| said.wall(word.end));
        let late = late.filter(|_| !self.is_recorded);
        let ended = words.words.last().map_or(Duration::ZERO, |word| word.end);
        let conversation = &self.conversation;
        if let Some(order) = &self.order {
            let position = said.part.as_ref().map_or(0, |part| part.from);
            let socket = self.socket;
            order.wait(position, Waiting { said, socket });
            return Ok(());
        }
        // The client is sent an entry that the log has already by `heard_again`.
        let Some((seq, [stored, told])) = self.append(said, self.socket)? else {
            return Ok(());
        };
        self.last_final = seq;
        if let Some(spoken) = late {
            let late = u64::try_from(conversation.clock.now().saturating_sub(spoken)).unwrap_or(0);
            self.metrics.latency(Duration::from_nanos(late));
            let written = Written {
                begun,
                analysed,
                stored,
                told,
            };
            let stages = metrics::stages(ended, &recognised, &written);
            for (stage, from, until) in &stages {
                self.metrics
                    .stage(stage, until.saturating_duration_since(*from));
            }
            self.metrics.traces.told(&Told {
                stages: &stages,
                conversation: self.conversation.number,
                message: message.unwrap_or_default(),
            });
        }
        Ok(())
    }

    /// Appends a final and tells it. Returns the number of its entry, when it was stored
    /// and when it was told, or `None` if the log has it already.
    fn append(
        &self,
        said: Transcribed,
        socket: u64,
    ) -> Result<Option<(u64, [Instant; 2])>, StreamError> {
        let conversation = &self.conversation;
        let counted = Counted::of(&said);
        let committed = conversation.committed(Some(socket));
        let stored = match conversation
            .log
            .append(conversation.number, said, committed)?
        {
            Verdict::Stored(seq) => {
                let stored = Instant::now();
                conversation.tell();
                let told = Instant::now();
                self.tally(false);
                (seq, [stored, told])
            }
            Verdict::Already => return Ok(None),
            Verdict::Superseded => return Err(StreamError::Superseded),
            Verdict::Over => return Err(StreamError::Over),
        };
        counted.count(&self.metrics);
        Ok(Some(stored))
    }

    /// Notes that no final that is still to come begins before `time`, and appends those that
    /// have waited for that, of all channels.
    pub(crate) fn settled(&self, time: Duration) -> Result<(), StreamError> {
        let Some(order) = &self.order else {
            return Ok(());
        };
        order.settle(self.position(nanos(time)), |due| {
            self.append(due.said, due.socket).map(drop)
        })
    }

    /// Appends a message that was written, the one with this number among all of its request.
    /// Leaves it out if the log has it from an earlier attempt.
    pub(crate) fn written(
        &mut self,
        number: u64,
        words: &[RecognisedWord],
    ) -> Result<(), StreamError> {
        if number < self.said_until {
            return Ok(());
        }
        let mut said = self.look_into(words, true);
        if said.messages.is_empty() {
            return Ok(());
        }
        // The times of messages may overlap. Their numbers do not.
        if let Some(part) = &mut said.part {
            (part.from, part.until) = (number, number + 1);
        }
        let conversation = &self.conversation;
        let counted = Counted::of(&said);
        let committed = conversation.committed(Some(self.socket));
        match conversation
            .log
            .append(conversation.number, said, committed)?
        {
            Verdict::Stored(_) => conversation.tell(),
            Verdict::Already => return Ok(()),
            Verdict::Superseded => return Err(StreamError::Superseded),
            Verdict::Over => return Err(StreamError::Over),
        }
        counted.count(&self.metrics);
        Ok(())
    }

    /// Returns the final of these words with all that is found in it. Pure except for the
    /// topics of the conversation.
    pub(crate) fn look_into(&mut self, words: &[RecognisedWord], punctuated: bool) -> Transcribed {
        let masked = self.masking.last(words, 0);
        self.look_into_masked(&masked, punctuated)
    }

    /// Returns the final of words of which some are hidden.
    fn look_into_masked(&mut self, masked: &Masked, punctuated: bool) -> Transcribed {
        let words = &masked.words;
        let mut sentences = sentences_of(&masked.words, punctuated);
        let next = new_id();
        let first = std::mem::replace(&mut self.next_message, next);
        let part = self.stream_position.as_ref().map(|at| Part {
            stream: at.stream.clone(),
            attempt: at.attempt,
            base: at.position,
            from: self.position(words.first().map_or(0, |word| nanos(word.start))),
            until: self.position(words.last().map_or(0, |word| nanos(word.end))),
        });
        let said = Transcribed {
            start: self.clock.zero(),
            speaker: self.speaker.clone(),
            timezone_offset: self.timezone_offset,
            elapsed: self.elapsed(),
            sentiment: self.wanted.sentiment,
            phrases: self.wanted.phrases,
            part,
            ..Transcribed::default()
        };
        let mut draft = Draft::new(said, &masked.words, &sentences, first);
        self.masking.write(&mut draft.said, &mut sentences);
        let messages = draft.said.messages.clone();
        for (sentence, message) in sentences.iter().zip(&messages) {
            let found = self.finder().sentence(sentence);
            for insight in found.insights {
                draft.insight(message, insight);
            }
            for tracker in found.trackers {
                let id = self.tracker_id(&tracker.name);
                draft.tracker(message, tracker, id);
            }
            for entity in found.entities {
                draft.entity(message, entity);
            }
        }
        self.masking.tell(&mut draft.said, &masked.identified);
        if !messages.is_empty() && self.finder().wants_topics() {
            let texts = messages.iter();
            let texts = texts.map(|message| {
                let text = self.masking.for_topics(&message.text);
                (message.id.to_string(), text)
            });
            let texts: Vec<(String, String)> = texts.collect();
            let texts: Vec<(String, &str)> = texts
                .iter()
                .map(|(id, text)| (id.clone(), text.as_str()))
                .collect();
            for topic in self.conversation.topics_of(&texts) {
                draft.topic(self.conversation.number, topic);
            }
        }
        draft.said
    }

    fn tracker_id(&self, name: &str) -> Option<&str> {
        let ids = self.wanted.tracker_ids.iter();
        let mut ids = ids.filter(|(known, _)| known == name);
        ids.next().map(|(_, id)| id.as_str())
    }

    fn elapsed(&self) -> u64 {
        u64::try_from(self.started.elapsed().as_millis()).unwrap_or(u64::MAX)
    }
}

fn sentences_of(words: &[RecognisedWord], punctuated: bool) -> Vec<Sentence> {
    match punctuated {
        true => symbl_analysis::punctuated(words),
        false => symbl_analysis::punctuate(words),
    }
}

/// Returns `true` if the engine knows the times of an interim's words. Otherwise all of them
/// start and end where the utterance starts.
fn knows_times(words: &[RecognisedWord]) -> bool {
    let start = words.first().map(|word| word.start);
    let is_placed = |word: &RecognisedWord| word.end > word.start || Some(word.start) != start;
    words.iter().any(is_placed)
}

/// What a final adds to the metrics.
struct Counted {
    messages: usize,
    insights: Vec<&'static str>,
    topics: usize,
    trackers: usize,
    entities: usize,
}

impl Counted {
    fn of(said: &Transcribed) -> Self {
        let kinds = said.insights.iter();
        let kinds = kinds.filter_map(|found| symbl_protocol::InsightType::from_wire(&found.kind));
        Self {
            messages: said.messages.len(),
            insights: kinds.map(|kind| kind.as_str()).collect(),
            topics: said.topics.len(),
            trackers: said.trackers.len(),
            entities: said.entities.len(),
        }
    }

    fn count(&self, metrics: &Metrics) {
        metrics.results("final", 1);
        metrics.results("message", self.messages);
        for kind in &self.insights {
            metrics.results(kind, 1);
        }
        metrics.results("topic", self.topics);
        metrics.results("tracker", self.trackers);
        metrics.results("entity", self.entities);
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::conversation::hub::tests::key;
    use crate::conversation::hub::{Hub, SocketSlot};
    use crate::conversation::participants::Called;
    use crate::outbox::{Frame, Outbox};
    use tokio::sync::mpsc;

    /// Joins the conversation `x` with audio from this position of a stream. Returns the
    /// slot, the writer, and the frames that the socket is sent.
    pub(crate) async fn joined(
        hub: &Arc<Hub>,
        recipient: impl FnOnce(Outbox) -> Recipient,
        stream_position: Option<StreamPosition>,
    ) -> (SocketSlot, ResultWriter, mpsc::Receiver<Frame>) {
        let (own, told) = Outbox::new(64);
        let own = recipient(own);
        let slot = hub.join(&key("x"), own.clone(), false).await;
        let speaker = slot
            .conversation
            .state()
            .participants
            .speaker(Called::default(), 9);
        let wanted = Wanted {
            options: AnalyzerOptions::default(),
            trackers: hub.phrasebook.get(Vec::new()).expect("room"),
            tracker_ids: Vec::new(),
            interim_trackers: false,
            analytics: false,
            sentiment: false,
            phrases: false,
            progress: false,
            masking: Masking::default(),
        };
        let speaking = Speaking {
            speaker: speaker.expect("a place"),
            timezone_offset: 0,
            title: None,
            stream_position,
            told: slot.told,
            recorded: None,
            turns: SharedTurns::default(),
            most_speakers: 9,
        };
        let (conversation, metrics) = (Arc::clone(&slot.conversation), Arc::clone(&hub.metrics));
        let results = ResultWriter::new(conversation, own, slot.member, metrics, speaking, wanted);
        (slot, results, told)
    }

    fn word(start: u64, end: u64) -> RecognisedWord {
        RecognisedWord {
            text: "word".to_owned(),
            start: Duration::from_millis(start),
            end: Duration::from_millis(end),
            confidence: 1.0,
        }
    }

    #[test]
    fn an_engine_that_knows_no_times_puts_all_words_at_the_start() {
        assert!(!knows_times(&[]));
        assert!(!knows_times(&[word(300, 300)]));
        assert!(!knows_times(&[word(300, 300), word(300, 300)]));
        assert!(knows_times(&[word(300, 500)]));
        assert!(knows_times(&[word(300, 300), word(300, 400)]));
        assert!(knows_times(&[word(300, 300), word(600, 600)]));
    }
}
