// SPDX-License-Identifier: MPL-2.0

//! Transcripts of a conversation: as a file (`GET`), and as Symbl's API has them (`POST`).
//!
//! Facts: Symbl Conversation API reference, "POST Formatted Transcript". The payload for
//! `text/srt` is an object with `content`, all others are strings.
//!
//! A transcript may have any length. It is read, written and sent in parts, each when the
//! client has taken the one before, and nothing of a part is held in between but where it
//! ended. `symbl-captions` decides how captions look and what becomes of each character.

mod prose;

use crate::door::asked::{Own, Readable, Sent};
use crate::door::http::{Shared, error};
use crate::door::rest::{Asked, answered};
use crate::door::symbl::bounds::shortened;
use crate::door::unhonoured::Unhonoured;
use crate::store::{Records, Sentence, Spoken, StoreError, Transcript};
use axum::body::Body;
use axum::extract::{Query, State};
use axum::http::header::{CONTENT_DISPOSITION, CONTENT_TYPE, X_CONTENT_TYPE_OPTIONS};
use axum::http::{HeaderName, HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use futures_util::{StreamExt, TryStreamExt, stream};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use prose::Prose;
use serde_json::{Value, json};
use std::future::ready;
use std::io;
use std::sync::Arc;
use std::time::Duration;
use symbl_captions::{CaptionWriter, Format, TimedWord, Utterance, markdown, visible};
use symbl_protocol::timestamp::format_rfc3339;

/// The format of a transcript.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Form {
    Srt,
    Vtt,
    Markdown,
    Text,
    Json,
}

/// The formats: the value of `format`, which is also the extension of the file, and the
/// value of `contentType`. JSON in a string of JSON would help no client.
const FORMS: [(Form, &str, Option<&str>); 5] = [
    (Form::Srt, "srt", Some("text/srt")),
    (Form::Vtt, "vtt", Some("text/vtt")),
    (Form::Markdown, "md", Some("text/markdown")),
    (Form::Text, "txt", Some("text/plain")),
    (Form::Json, "json", None),
];

impl Form {
    /// Returns the extension of a file.
    fn extension(self) -> &'static str {
        let own = FORMS.iter().find(|(form, ..)| *form == self);
        own.map_or("txt", |(_, extension, _)| extension)
    }

    /// Returns the media type of a file, as it is registered or commonly used.
    fn media_type(self) -> &'static str {
        match self {
            Self::Srt => "application/x-subrip; charset=utf-8",
            Self::Vtt => "text/vtt; charset=utf-8",
            Self::Markdown => "text/markdown; charset=utf-8",
            Self::Text => "text/plain; charset=utf-8",
            Self::Json => "application/json",
        }
    }

    /// Reads the query of a download.
    fn of_query(asked: &[(String, String)]) -> Result<Self, String> {
        let last = asked.iter().rev().find(|(name, _)| name == "format");
        let format = last.map(|(_, value)| value.as_str());
        let found = FORMS.iter().find(|(_, name, _)| Some(*name) == format);
        found.map(|(form, ..)| *form).ok_or_else(|| {
            let names: Vec<&str> = FORMS.iter().map(|(_, name, _)| *name).collect();
            let given = match format {
                Some(format) => format!("is {:?}", shortened(format)),
                None => "is missing".to_owned(),
            };
            let names = names.join(", ");
            format!("The parameter `format` {given}; it must be one of {names}.")
        })
    }

    /// Reads the member `contentType` of a request.
    fn of_content_type(given: &Value) -> Result<(Self, &'static str), String> {
        let types = || {
            FORMS
                .iter()
                .filter_map(|(form, _, kind)| Some((*form, (*kind)?)))
        };
        let found = types().find(|(_, kind)| given.as_str() == Some(*kind));
        found.ok_or_else(|| {
            let types: Vec<&str> = types().map(|(_, kind)| kind).collect();
            let given = match given {
                Value::Null => "is missing".to_owned(),
                other => format!("is {}", shortened(&other.to_string())),
            };
            format!(
                "`contentType` {given}; it must be one of {}.",
                types.join(", ")
            )
        })
    }
}

/// How a transcript is written.
#[derive(Debug, Clone, Copy)]
struct Style {
    form: Form,
    /// `true` to name the speakers.
    names: bool,
    /// `true` to break Markdown into paragraphs.
    paragraphs: bool,
    /// `true` for Markdown with a title, in the form of a document; `false` for that of
    /// Symbl's API.
    titled: bool,
    /// The phrases that Markdown highlights.
    highlight: Highlight,
}

/// Which phrases are highlighted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Highlight {
    None,
    /// Those of messages with an action item or a follow-up.
    Insights,
    /// Those too of the messages whose client asked for phrases.
    All,
}

/// Writes a transcript, one sentence after the other.
struct Scribe {
    style: Style,
    /// When the conversation began, nanoseconds since the Unix epoch.
    zero: i64,
    page: Page,
}

enum Page {
    Captions(Box<CaptionWriter<Vec<u8>>>),
    Markdown(Prose),
    Json { text: String, follows: bool },
}

impl Scribe {
    fn new(style: Style, id: i64, title: Option<&str>, zero: i64) -> io::Result<Self> {
        let captions = |format| {
            let writer = CaptionWriter::new(Vec::new(), format)?;
            Ok::<_, io::Error>(Page::Captions(Box::new(writer)))
        };
        let title = || title.map_or_else(|| format!("Conversation {id}"), str::to_owned);
        let page = match style.form {
            Form::Srt => captions(Format::Srt)?,
            Form::Vtt => captions(Format::WebVtt)?,
            Form::Text => captions(Format::Text)?,
            Form::Markdown => {
                let mut prose = Prose::default();
                if style.titled {
                    let (title, date) = (markdown(&title()), format_rfc3339(zero));
                    prose.write(&format!("# {title}\n\n*{date}*\n\n"));
                }
                Page::Markdown(prose)
            }
            Form::Json => {
                let head = json!({
                    "conversationId": id.to_string(),
                    "name": title(),
                    "startTime": format_rfc3339(zero),
                });
                let head = head.to_string();
                let text = format!("{},\"messages\":[", head.trim_end_matches('}'));
                Page::Json {
                    text,
                    follows: false,
                }
            }
        };
        Ok(Self { style, zero, page })
    }

    /// Returns how long after the beginning of the conversation a time is.
    fn since(&self, time: i64) -> Duration {
        Duration::from_nanos(u64::try_from(time.saturating_sub(self.zero)).unwrap_or(0))
    }

    fn sentence(&mut self, sentence: &Sentence) -> io::Result<()> {
        let (start, end) = (self.since(sentence.start), self.since(sentence.stop));
        let heard_at = self.since(sentence.stored);
        let words = sentence.words.iter().map(|(text, start, end)| TimedWord {
            text: text.clone(),
            start: self.since(*start),
            end: self.since(*end),
        });
        let words: Vec<TimedWord> = words.collect();
        let speaker = sentence.speaker.as_deref();
        match &mut self.page {
            Page::Captions(writer) => writer.utterance(&Utterance {
                text: &sentence.text,
                speaker: speaker.filter(|_| self.style.names),
                start: Some(start),
                end: Some(end),
                words: &words,
                heard_at: Some(heard_at),
                ..Utterance::default()
            }),
            Page::Markdown(prose) => {
                prose.sentence(self.style, sentence, start);
                Ok(())
            }
            Page::Json { text, follows } => {
                if std::mem::replace(follows, true) {
                    text.push(',');
                }
                let seconds = |time: Duration| time.as_millis() as f64 / 1000.0;
                let words = words.iter().map(|word| {
                    let (start, end) = (seconds(word.start), seconds(word.end));
                    json!({"word": word.text, "start": start, "end": end})
                });
                let mut item = json!({
                    "id": sentence.id.to_string(),
                    "speaker": speaker,
                    "startTime": format_rfc3339(sentence.start),
                    "start": seconds(start),
                    "end": seconds(end),
                    "text": sentence.text,
                    "words": words.collect::<Vec<Value>>(),
                });
                if let Some(original) = &sentence.original {
                    item["x_originalText"] = original.as_str().into();
                    item["x_corrected"] = true.into();
                }
                text.push_str(&item.to_string());
                Ok(())
            }
        }
    }

    /// Writes what stands at the end.
    fn finish(&mut self) -> io::Result<()> {
        match &mut self.page {
            Page::Captions(writer) => writer.finish(),
            Page::Markdown(prose) => {
                prose.finish(self.style);
                Ok(())
            }
            Page::Json { text, .. } => {
                text.push_str("]}");
                Ok(())
            }
        }
    }

    /// Takes out what was written since the last call.
    fn take(&mut self) -> Vec<u8> {
        match &mut self.page {
            Page::Captions(writer) => std::mem::take(writer.get_mut()),
            Page::Markdown(prose) => prose.take().into_bytes(),
            Page::Json { text, .. } => std::mem::take(text).into_bytes(),
        }
    }
}

/// What stands around a transcript in the answer to a `POST`.
struct Envelope {
    head: &'static str,
    tail: String,
}

/// A transcript on its way to the client.
struct Telling {
    scribe: Scribe,
    envelope: Option<Envelope>,
    begun: bool,
}

impl Telling {
    /// Returns the text of a part.
    fn part(&mut self, sentences: &[Sentence], is_last: bool) -> io::Result<Vec<u8>> {
        for sentence in sentences {
            self.scribe.sentence(sentence)?;
        }
        if is_last {
            self.scribe.finish()?;
        }
        let text = self.scribe.take();
        let Some(envelope) = &self.envelope else {
            return Ok(text);
        };
        let mut out = Vec::new();
        if !std::mem::replace(&mut self.begun, true) {
            out.extend_from_slice(envelope.head.as_bytes());
        }
        // A part ends with a whole sentence, so it is UTF-8.
        let text = String::from_utf8(text).map_err(io::Error::other)?;
        let quoted = Value::String(text).to_string();
        let inside = quoted.get(1..quoted.len() - 1).unwrap_or_default();
        out.extend_from_slice(inside.as_bytes());
        if is_last {
            out.extend_from_slice(envelope.tail.as_bytes());
        }
        Ok(out)
    }
}

/// Why a transcript was not sent to its end.
#[derive(Debug, thiserror::Error)]
enum Broken {
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error("a transcript could not be written: {0}")]
    Write(#[from] io::Error),
}

/// Answers with a transcript. A part is read when the client has taken the one before.
fn told(
    records: Arc<dyn Records>,
    mut telling: Telling,
    first: Spoken,
    headers: Vec<(HeaderName, HeaderValue)>,
) -> Response {
    let Spoken { sentences, rest } = first;
    let first = match telling.part(&sentences, rest.is_none()) {
        Ok(text) => text,
        Err(reason) => return unwritten(&reason.into()),
    };
    let body = match rest {
        None => Body::from(first),
        Some(rest) => {
            let rest = stream::try_unfold((Some(rest), telling), move |(rest, mut telling)| {
                // What was said does not keep its store open, so this closure does.
                let open = Arc::clone(&records);
                async move {
                    let Some(rest) = rest else {
                        return Ok::<_, Broken>(None);
                    };
                    let Spoken { sentences, rest } = rest.next().await?;
                    drop(open);
                    let text = telling.part(&sentences, rest.is_none())?;
                    Ok(Some((text, (rest, telling))))
                }
            });
            // An error ends the connection within the body, so that its client sees that
            // the transcript is not whole.
            let rest = rest.inspect_err(|reason| {
                tracing::error!(%reason, "a transcript was not read to its end");
            });
            Body::from_stream(stream::once(ready(Ok(first))).chain(rest))
        }
    };
    let mut response = body.into_response();
    response.headers_mut().extend(headers);
    response
}

fn unwritten(reason: &Broken) -> Response {
    tracing::error!(%reason, "a transcript was not written");
    let message = "The transcript could not be written; see the log of the service.";
    error(StatusCode::INTERNAL_SERVER_ERROR, message)
}

/// Answers with the transcript as a file.
pub(crate) async fn download(
    State(shared): State<Shared>,
    Readable(whose): Readable,
    Query(asked): Asked,
) -> Response {
    let form = match Form::of_query(&asked) {
        Ok(form) => form,
        Err(message) => return error(StatusCode::BAD_REQUEST, &message),
    };
    let style = Style {
        form,
        names: true,
        paragraphs: true,
        titled: true,
        highlight: Highlight::None,
    };
    let id = whose.conversation;
    let found = shared.records.transcript(whose).await;
    answered(found, |transcript| {
        let title = transcript.title.clone();
        let headers = vec![
            (CONTENT_TYPE, HeaderValue::from_static(form.media_type())),
            (
                CONTENT_DISPOSITION,
                disposition(title.as_deref(), id, form.extension()),
            ),
            // A browser must not take what was said for a page.
            (X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff")),
        ];
        begun(&shared, transcript, id, style, None, headers)
    })
}

/// Begins to answer with a transcript.
fn begun(
    shared: &Shared,
    transcript: Transcript,
    id: i64,
    style: Style,
    envelope: Option<Envelope>,
    headers: Vec<(HeaderName, HeaderValue)>,
) -> Response {
    let Transcript {
        title,
        start,
        first,
    } = transcript;
    let scribe = match Scribe::new(style, id, title.as_deref(), start) {
        Ok(scribe) => scribe,
        Err(reason) => return unwritten(&reason.into()),
    };
    let telling = Telling {
        scribe,
        envelope,
        begun: false,
    };
    told(Arc::clone(&shared.records), telling, first, headers)
}

/// The members of a request for a transcript.
const MEMBERS: &[&str] = &[
    "contentType",
    "createParagraphs",
    "phrases",
    "showSpeakerSeparation",
];

/// Reads the body of a request for a transcript. Returns the style, the content type, and
/// the members that ask for what this service does not do.
fn wanted(body: &[u8]) -> Result<(Style, &'static str, Unhonoured), String> {
    let asked: Value = serde_json::from_slice(body).unwrap_or_default();
    let Value::Object(members) = &asked else {
        return Err("The body must be a JSON object with `contentType`.".to_owned());
    };
    let mut unhonoured = Unhonoured::body(members, MEMBERS);
    let (form, content_type) = Form::of_content_type(&asked["contentType"])?;
    // Examples of Symbl's SDKs send booleans as strings.
    let flag = |value: &Value, name: &str| match value {
        Value::Null => Ok(false),
        Value::Bool(flag) => Ok(*flag),
        Value::String(text) if text.eq_ignore_ascii_case("true") => Ok(true),
        Value::String(text) if text.eq_ignore_ascii_case("false") => Ok(false),
        _ => Err(format!("`{name}` must be true or false.")),
    };
    let names = [
        (
            "highlightOnlyInsightKeyPhrases",
            "phrases.highlightOnlyInsightKeyPhrases",
            Highlight::Insights,
        ),
        (
            "highlightAllKeyPhrases",
            "phrases.highlightAllKeyPhrases",
            Highlight::All,
        ),
    ];
    let mut asked_for = Vec::new();
    let mut highlight = Highlight::None;
    for (name, full, wider) in names {
        if flag(&asked["phrases"][name], full)? {
            asked_for.push(full);
            highlight = wider;
        }
    }
    let style = Style {
        form,
        names: flag(&asked["showSpeakerSeparation"], "showSpeakerSeparation")?,
        paragraphs: flag(&asked["createParagraphs"], "createParagraphs")?,
        titled: false,
        highlight,
    };
    // Only Markdown has a form for it.
    if form != Form::Markdown {
        asked_for.into_iter().for_each(|name| unhonoured.add(name));
    }
    Ok((style, content_type, unhonoured))
}

/// Answers with the transcript in an object, as Symbl's API does.
pub(crate) async fn create(
    State(shared): State<Shared>,
    Own(whose): Own,
    Sent(body): Sent,
) -> Response {
    let (style, content_type, unhonoured) = match wanted(&body) {
        Ok(wanted) => wanted,
        Err(message) => return error(StatusCode::BAD_REQUEST, &message),
    };
    let (head, end) = match style.form {
        // The reference's example has the type within the payload too.
        Form::Srt => (
            "{\"transcript\":{\"payload\":{\"content\":\"",
            "\",\"contentType\":\"text/srt\"}",
        ),
        _ => ("{\"transcript\":{\"payload\":\"", "\""),
    };
    let content_type = Value::from(content_type);
    let tail = format!("{end},\"contentType\":{content_type}}}}}");
    let id = whose.conversation;
    let found = shared.records.transcript(whose).await;
    let answer = answered(found, |transcript| {
        let json = HeaderValue::from_static("application/json");
        let envelope = Some(Envelope { head, tail });
        let headers = vec![(CONTENT_TYPE, json)];
        begun(&shared, transcript, id, style, envelope, headers)
    });
    unhonoured.tell(answer)
}

/// Longest part of a title in the name of a file, in characters.
const LONGEST_NAME: usize = 60;

/// What `filename*` has as it is (RFC 8187).
const ESCAPED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'_').remove(b'.');

/// Returns the header that names the file. A name has letters, digits, `-` and `_` only,
/// so that it is no path, no hidden file and no option on any system; the id in it keeps
/// the files of two conversations with the same title apart.
fn disposition(title: Option<&str>, id: i64, extension: &str) -> HeaderValue {
    let name = |keep: fn(char) -> bool| {
        let mut name = String::new();
        for c in visible(title.unwrap_or_default()).chars() {
            match keep(c) {
                true => name.push(c),
                false if name.is_empty() || name.ends_with('-') => {}
                false => name.push('-'),
            }
        }
        let end = name.char_indices().nth(LONGEST_NAME);
        name.truncate(end.map_or(name.len(), |(end, _)| end));
        match name.trim_end_matches('-') {
            "" => format!("conversation-{id}.{extension}"),
            name => format!("{name}-{id}.{extension}"),
        }
    };
    let plain = name(|c| c.is_ascii_alphanumeric() || c == '_');
    let whole = name(|c| c.is_alphanumeric() || c == '_');
    let mut value = format!("attachment; filename=\"{plain}\"");
    if whole != plain {
        value.push_str("; filename*=UTF-8''");
        value.extend(utf8_percent_encode(&whole, ESCAPED));
    }
    HeaderValue::from_str(&value).unwrap_or(HeaderValue::from_static("attachment"))
}

#[cfg(test)]
mod tests;
