// SPDX-License-Identifier: MPL-2.0

//! The operations of the REST API, each tried in the order of the table.

use crate::table::{Field, Fields, Operation, Status, Table, names, put, table};
use crate::{Fault, brief, has, judge, server, streaming, token};
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::io::Cursor;
use symbl_service::Server;
use symbl_testkit::client::in_time;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// A request.
pub struct Call {
    method: String,
    path: String,
    content_type: String,
    body: Vec<u8>,
}

impl Call {
    /// Returns a request with a body of JSON.
    pub fn json(method: &str, path: &str, body: &Value) -> Self {
        Self {
            method: method.to_owned(),
            path: path.to_owned(),
            content_type: "application/json".to_owned(),
            body: body.to_string().into_bytes(),
        }
    }
}

/// An answer.
#[derive(Debug)]
pub struct Answer {
    pub status: u16,
    /// The header that tells what was not done.
    pub warning: String,
    pub json: Value,
}

/// Sends a request, with a token if there is one.
pub async fn call(server: &Server, token: &str, call: &Call) -> Answer {
    in_time(async {
        let mut stream = TcpStream::connect(server.local_addr()).await.expect("room");
        let bearer = match token {
            "" => String::new(),
            token => format!("Authorization: Bearer {token}\r\n"),
        };
        let head = format!(
            "{} {} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n{bearer}\
             Content-Type: {}\r\nContent-Length: {}\r\n\r\n",
            call.method,
            call.path,
            call.content_type,
            call.body.len()
        );
        // A server that refuses may answer and close before it has read the body.
        let _ = stream.write_all(head.as_bytes()).await;
        let _ = stream.write_all(&call.body).await;
        let mut answer = Vec::new();
        let _ = stream.read_to_end(&mut answer).await;
        let answer = String::from_utf8_lossy(&answer);
        let (head, body) = answer.split_once("\r\n\r\n").expect("an HTTP answer");
        let status = head.split(' ').nth(1).and_then(|code| code.parse().ok());
        let is_chunked = head
            .to_ascii_lowercase()
            .contains("transfer-encoding: chunked");
        let body = match is_chunked {
            true => dechunked(body),
            false => body.to_owned(),
        };
        let warnings = head.lines().filter_map(|line| {
            let (name, value) = line.split_once(": ")?;
            name.eq_ignore_ascii_case("x-symbl-warning")
                .then_some(value)
        });
        Answer {
            status: status.expect("a status"),
            warning: warnings.collect::<Vec<_>>().join(" "),
            json: serde_json::from_str(&body).unwrap_or(Value::String(body)),
        }
    })
    .await
}

/// Returns a body without the lengths of its chunks.
fn dechunked(body: &str) -> String {
    let (mut rest, mut whole) = (body, String::new());
    while let Some((length, chunk)) = rest.split_once("\r\n") {
        let length = usize::from_str_radix(length.trim(), 16).unwrap_or(0);
        let Some(text) = chunk.get(..length).filter(|text| !text.is_empty()) else {
            break;
        };
        whole.push_str(text);
        rest = chunk.get(length + 2..).unwrap_or_default();
    }
    whole
}

/// The service and what earlier operations gave.
struct Run {
    server: Server,
    token: String,
    table: Table,
    /// Values for `{name}` in paths and examples.
    known: BTreeMap<String, String>,
    /// Makes names that must not be used twice.
    count: u32,
}

impl Run {
    /// Replaces every `{name}` that is known. Returns an error if one is not.
    fn filled(&self, text: &str) -> Result<String, Fault> {
        let mut text = text.replace("{n}", &self.count.to_string());
        for (name, value) in &self.known {
            text = text.replace(&format!("{{{name}}}"), value);
        }
        let open = text.split('{').skip(1).find_map(|rest| {
            let (name, _) = rest.split_once('}')?;
            name.chars().all(char::is_alphanumeric).then_some(name)
        });
        match open {
            Some(name) if !name.is_empty() => Err(format!("nothing gave {{{name}}}")),
            _ => Ok(text),
        }
    }

    /// Sends an operation with these fields.
    async fn send(&mut self, operation: &Operation, fields: &Fields) -> Result<Answer, Fault> {
        self.count += 1;
        let mut body = operation.body.clone().unwrap_or(Value::Null);
        let mut query = Vec::new();
        for (name, field) in fields {
            match name.split_once('.').expect("a part and a name") {
                ("query", name) => {
                    let value = match &field.example {
                        Value::String(text) => self.filled(text)?,
                        other => other.to_string(),
                    };
                    let value = utf8_percent_encode(&value, NON_ALPHANUMERIC);
                    query.push(format!("{name}={value}"));
                }
                ("body", name) => put(&mut body, name, &field.example),
                (part, _) => return Err(format!("there is no part {part}")),
            }
        }
        let mut path = self.filled(&operation.path)?;
        if !query.is_empty() {
            path = format!("{path}?{}", query.join("&"));
        }
        let body = match body {
            Value::Null => Vec::new(),
            body => self.filled(&body.to_string())?.into_bytes(),
        };
        let request = Call {
            method: operation.method.clone(),
            path,
            content_type: match &operation.send {
                Some(kind) => kind.clone(),
                None => "application/json".to_owned(),
            },
            body: match &operation.send {
                Some(_) => recording(),
                None => body,
            },
        };
        Ok(call(&self.server, &self.token, &request).await)
    }

    /// Tries a row and returns what is wrong with it.
    async fn operation(&mut self, operation: &Operation, fields: &Fields) -> Result<(), Fault> {
        if operation.status == Status::Refused {
            let answer = self.refused(operation).await?;
            return match answer.json["message"] == operation.how.as_str() {
                true => Ok(()),
                false => Err(format!("it says {}", brief(&answer.json))),
            };
        }
        let honoured = honoured(fields);
        let mut answer = self.send(operation, &honoured).await?;
        // A conversation can be deleted when its jobs are over.
        while answer.status == 409 && operation.method == "DELETE" {
            answer = self.send(operation, &honoured).await?;
        }
        self.succeeded(operation, &answer)?;
        if !answer.warning.is_empty() {
            return Err(format!("it warns: {}", answer.warning));
        }
        has(&answer.json, &operation.members, operation.without.keys())?;
        for (name, pointer) in &operation.gives {
            let value = answer.json.pointer(pointer).and_then(Value::as_str);
            let value = value.ok_or_else(|| format!("{pointer} is no text"))?;
            self.known.insert(name.clone(), value.to_owned());
        }
        Ok(())
    }

    fn succeeded(&self, operation: &Operation, answer: &Answer) -> Result<(), Fault> {
        match Some(answer.status) == operation.success {
            true => Ok(()),
            false => Err(format!("{} {}", answer.status, brief(&answer.json))),
        }
    }

    /// Returns the answer to a refused operation, which also needs a token.
    async fn refused(&mut self, operation: &Operation) -> Result<Answer, Fault> {
        let fields = Fields::new();
        for (name, value) in [("connectionId", "c"), ("entityId", "e")] {
            self.known.insert(name.to_owned(), value.to_owned());
        }
        let token = std::mem::take(&mut self.token);
        let unknown = self.send(operation, &fields).await;
        self.token = token;
        let answer = self.send(operation, &fields).await?;
        match (unknown?.status, answer.status) {
            (401, 501) => Ok(answer),
            other => Err(format!("without a token and with one: {other:?}")),
        }
    }

    /// Asks for something that no documentation has, and returns what is wrong if that is not
    /// told.
    async fn nonsense(&mut self, operation: &Operation, fields: &Fields) -> Result<(), Fault> {
        let part = match operation.method.as_str() {
            "GET" => "query",
            "POST" | "PUT" if operation.send.is_some() => "query",
            "POST" | "PUT" if !operation.body.as_ref().is_none_or(Value::is_array) => "body",
            // A deletion would delete, and a list has no members.
            _ => return Ok(()),
        };
        let unknown = Field {
            status: Status::Refused,
            how: String::new(),
            awaits: None,
            example: json!("yes"),
            shows: None,
        };
        self.field(operation, fields, &format!("{part}.x_unknown"), &unknown)
            .await
    }

    /// Tries one field and returns what is wrong with it.
    async fn field(
        &mut self,
        operation: &Operation,
        fields: &Fields,
        name: &str,
        field: &Field,
    ) -> Result<(), Fault> {
        let mut with = honoured(fields);
        with.insert(name.to_owned(), field.clone());
        let answer = self.send(operation, &with).await?;
        let (_, short) = name.split_once('.').expect("a part and a name");
        if field.status == Status::Refused {
            let says = format!("{} {}", answer.warning, answer.json["message"]);
            let told = match answer.status {
                400 | 501 => names(&says, short),
                _ => names(&answer.warning, short),
            };
            return match told {
                true => Ok(()),
                false => Err(format!("{} and no warning", answer.status)),
            };
        }
        self.succeeded(operation, &answer)?;
        if !answer.warning.is_empty() {
            return Err(format!("it warns: {}", answer.warning));
        }
        let Some(pointer) = &field.shows else {
            return Ok(());
        };
        with.remove(name);
        let without = self.send(operation, &with).await?;
        has(&answer.json, [pointer], [])?;
        has(&without.json, [], [pointer])
    }
}

/// Returns the fields that a request may have without a warning.
fn honoured(fields: &Fields) -> Fields {
    let honoured = |field: &Field| field.awaits.is_none() && field.status != Status::Refused;
    let fields = fields.iter().filter(|(_, field)| honoured(field));
    fields
        .map(|(name, field)| (name.clone(), field.clone()))
        .collect()
}

/// Returns a recording of three seconds.
fn recording() -> Vec<u8> {
    let mut file = Cursor::new(Vec::new());
    let form = hound::WavSpec {
        channels: 1,
        sample_rate: 16_000,
        bits_per_sample: 16,
        sample_format: hound::SampleFormat::Int,
    };
    let mut writer = hound::WavWriter::new(&mut file, form).expect("memory");
    (0..48_000).for_each(|_| writer.write_sample(0i16).expect("memory"));
    writer.finalize().expect("memory");
    file.into_inner()
}

#[tokio::test]
async fn every_operation_and_every_field_of_a_request_is_answered_as_the_table_says() {
    let server = server().await;
    let token = token(&server).await;
    let conversation = streaming::held(&server, &token, "contract").await;
    let mut run = Run {
        server,
        token,
        table: table(),
        known: BTreeMap::from(
            [
                ("conversationId", conversation.as_str()),
                ("mediaUrl", "http://127.0.0.1:9/call.wav"),
            ]
            .map(|(name, value)| (name.to_owned(), value.to_owned())),
        ),
        count: 0,
    };
    let members = format!("/v1/conversations/{conversation}/members");
    let members = call(
        &run.server,
        &run.token,
        &Call::json("GET", &members, &json!({})),
    )
    .await;
    let member = members.json["members"][0]["id"].as_str().expect("a member");
    run.known.insert("memberId".to_owned(), member.to_owned());

    let areas = std::mem::take(&mut run.table.areas);
    let mut faults = Vec::new();
    let (mut rows, mut awaited) = (0, 0);
    for operation in areas.iter().flat_map(|area| &area.operations) {
        let row = format!("{} {}", operation.method, operation.path);
        let fields = run.table.fields(operation);
        let found = run.operation(operation, &fields).await;
        judge(&mut faults, &row, operation.awaits.as_ref(), found);
        rows += 1;
        awaited += usize::from(operation.awaits.is_some());
        if operation.awaits.is_some() || operation.status == Status::Refused {
            continue;
        }
        let found = run.nonsense(operation, &fields).await;
        judge(&mut faults, &format!("{row} x_unknown"), None, found);
        for (name, field) in &fields {
            rows += 1;
            awaited += usize::from(field.awaits.is_some());
            let is_checked =
                field.status == Status::Refused || field.awaits.is_some() || field.shows.is_some();
            if !is_checked {
                // It was in the request of the row.
                continue;
            }
            let found = run.field(operation, &fields, name, field).await;
            let row = format!("{row} {name}");
            judge(&mut faults, &row, field.awaits.as_ref(), found);
        }
    }
    println!("{rows} rows, {awaited} awaited");
    assert!(faults.is_empty(), "\n{}", faults.join("\n"));
}
