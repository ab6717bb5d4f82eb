// SPDX-License-Identifier: MPL-2.0

//! Writes the conversations of the service, the oldest first: a line each, or JSON.

use crate::output::{Output, unwritten};
use crate::recall::{parsed, within};
use serde::Deserialize;
use serde_json::Value;
use serde_json::value::RawValue;
use std::io::Write;
use std::time::Duration;
use symbl_captions::{visible, visible_json};
use symbl_client::transport::{Endpoint, conversations};
use symbl_protocol::timestamp::parse_rfc3339;
use tokio::sync::Notify;

/// Conversations on a page.
const PAGE: u32 = 100;

/// Writes all conversations, until `stop` is notified.
pub async fn list(
    endpoint: &Endpoint,
    output: Output,
    as_json: bool,
    stop: &Notify,
) -> Result<(), String> {
    #[derive(Deserialize)]
    struct Page {
        conversations: Vec<Box<RawValue>>,
    }
    let mut output = Some(output);
    let mut begun: Option<Output> = None;
    let mut offset = 0;
    loop {
        let answer = tokio::select! {
            answer = within(endpoint, conversations(endpoint, PAGE, offset)) => {
                answer.map_err(|failure| failure.message)?
            }
            () = stop.notified() => return Ok(()),
        };
        let page: Page = parsed(endpoint, &answer).map_err(|failure| failure.message)?;
        if let Some(output) = output.take() {
            // A file keeps its content until there is something to write.
            match output.begin() {
                Ok(output) => begun = Some(output),
                Err(error) => return unwritten(&error),
            }
        }
        for conversation in &page.conversations {
            let line = match as_json {
                true => visible_json(conversation.get()),
                false => line(&serde_json::from_str(conversation.get()).unwrap_or_default()),
            };
            let written = begun.as_mut().map(|out| writeln!(out, "{line}"));
            if let Some(Err(error)) = written {
                return unwritten(&error);
            }
        }
        if page.conversations.len() < PAGE as usize {
            break;
        }
        offset += PAGE;
    }
    match begun.as_mut().map(Write::flush) {
        Some(Err(error)) => unwritten(&error),
        _ => Ok(()),
    }
}

/// Returns a conversation as a line: its id, its start, how long it lasted, its name and its
/// members.
fn line(conversation: &Value) -> String {
    let text = |name: &str| visible(conversation[name].as_str().unwrap_or_default());
    let time = |name: &str| conversation[name].as_str().and_then(parse_rfc3339);
    let lasted = match (time("startTime"), time("endTime")) {
        (Some(start), Some(end)) => {
            let nanos = u64::try_from(end.saturating_sub(start)).unwrap_or(0);
            let seconds = Duration::from_nanos(nanos).as_secs();
            let (hours, minutes, seconds) = (seconds / 3600, seconds / 60 % 60, seconds % 60);
            format!("{hours}:{minutes:02}:{seconds:02}")
        }
        _ => "-".to_owned(),
    };
    let members = conversation["members"].as_array().into_iter().flatten();
    let names = members.filter_map(|member| {
        let name = member["name"].as_str().or(member["email"].as_str())?;
        Some(visible(name)).filter(|name| !name.is_empty())
    });
    let names: Vec<String> = names.collect();
    let names = match names.as_slice() {
        [] => String::new(),
        names => format!(" ({})", names.join(", ")),
    };
    let (id, start, name) = (text("id"), text("startTime"), text("name"));
    format!("{id}  {start}  {lasted:>8}  {name}{names}")
}

#[cfg(test)]
mod tests {
    use super::line;
    use serde_json::json;

    #[test]
    fn a_line_has_what_tells_conversations_apart_and_nothing_that_a_terminal_obeys() {
        let conversation = json!({
            "id": "1234567890123456",
            "name": "Stand\u{1b}[2Jup\nagain",
            "startTime": "2026-11-29T03:00:00.000Z",
            "endTime": "2026-11-29T04:01:02.900Z",
            "members": [{"name": "Ada\u{202e}"}, {"email": "bob@example.org"}, {"id": "x"}],
        });
        assert_eq!(
            line(&conversation),
            "1234567890123456  2026-11-29T03:00:00.000Z   1:01:02  Stand [2Jup again \
             (Ada\u{fffd}, bob@example.org)"
        );
        assert_eq!(line(&json!({"id": "7"})), "7           -  ");
    }
}
