// SPDX-License-Identifier: MPL-2.0

//! The bounds of a `start_request`. The service keeps every string in it, looks for it in
//! every sentence or sends it with every result, so each of them has a bound.

use crate::limits::Limits;
use crate::trackers::MOST_TRACKERS;
use symbl_protocol::StartRequest;

/// Checks a request against its bounds. The error tells the client the field, its size and
/// its bound.
pub(crate) fn check(request: &StartRequest, limits: &Limits) -> Result<(), String> {
    let texts = [
        ("speaker.userId", &request.speaker_user_id),
        ("speaker.name", &request.speaker_name),
        ("config.meetingTitle", &request.meeting_title),
        ("config.languageCode", &request.language_code),
    ];
    for (field, text) in texts {
        let length = text.as_deref().map_or(0, str::len);
        at_most(length, limits.text, &format!("bytes in `{field}`"))?;
    }
    let language = request.language_code.as_deref().unwrap_or_default();
    // A recogniser gets it, for example in the environment of a command.
    let is_of_tag = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_';
    if !language.bytes().all(is_of_tag) {
        return Err(format!(
            "`config.languageCode` is {:?}; it must be a language tag (BCP 47), such as en-US",
            shortened(language)
        ));
    }
    at_most(request.trackers.len(), MOST_TRACKERS, "trackers")?;
    let tracked = request.trackers.iter().flat_map(|t| &t.vocabulary);
    let phrases = request.custom_vocabulary.iter().chain(tracked);
    let number = phrases.clone().count();
    let what = "phrases in `customVocabulary` and `trackers`";
    at_most(number, limits.phrases, what)?;
    let names = request.trackers.iter().map(|tracker| &tracker.name);
    let longest = phrases.chain(names).map(String::len).max();
    let what = "bytes in a phrase, or in the name of a tracker";
    at_most(longest.unwrap_or(0), limits.phrase, what)
}

fn at_most(found: usize, limit: usize, what: &str) -> Result<(), String> {
    match found <= limit {
        true => Ok(()),
        false => Err(format!(
            "there are {found} {what}; at most {limit} are allowed"
        )),
    }
}

/// Returns the beginning of a client's text, for messages and the log.
pub(crate) fn shortened(text: &str) -> String {
    const LONGEST: usize = 64;
    match text.char_indices().nth(LONGEST) {
        Some((end, _)) => format!("{}…", text.get(..end).unwrap_or_default()),
        None => text.to_owned(),
    }
}
