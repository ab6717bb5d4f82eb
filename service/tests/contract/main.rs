// SPDX-License-Identifier: MPL-2.0

//! The contract with clients of Symbl's API: docs/symbl-api.json says of every documented
//! operation, field and message what the service does with it. Here each row is tried on a
//! running service, and docs/symbl-api.md is compared with the table.
//!
//! - A row that `works` or `differs` answers with its status code and has its members.
//! - A row that is `refused` answers 501 with the message of the table.
//! - A field that is honoured is accepted without a warning; one that is not is refused or
//!   told in a warning.
//! - A row that still `awaits` its implementation must not work: who implements it removes
//!   the mark.

mod document;
mod rest;
mod streaming;
mod table;

#[path = "../common/prompter.rs"]
mod prompter;

use prompter::Prompter;
use serde_json::{Value, json};
use std::sync::Arc;
use symbl_service::analysis::score::Checklist;
use symbl_service::{Auth, Server, ServerConfig};

/// The credentials of the service.
const APP: (&str, &str) = ("app", "secret");

/// What is said in every stream: two questions, a task, a follow-up, a person and a date.
const LINES: &[&str] = &[
    "can you send me the budget report",
    "i will check the budget report tomorrow",
    "let's schedule a follow up meeting about the budget report on friday",
    "do you like the budget",
];

/// What goes wrong with one row.
type Fault = String;

/// Adds to `faults` what is wrong with a row, given if it awaits its implementation.
fn judge(faults: &mut Vec<Fault>, row: &str, awaits: Option<&String>, found: Result<(), Fault>) {
    match (awaits, found) {
        (None, Err(fault)) => faults.push(format!("{row}: {fault}")),
        (Some(who), Ok(())) => faults.push(format!("{row} works: remove \"awaits\": {who:?}")),
        (Some(who), Err(fault)) => println!("{row} waits for {who}: {fault}"),
        (None, Ok(())) => {}
    }
}

/// Starts a service with credentials whose recogniser says the lines.
async fn server() -> Server {
    let mut config = ServerConfig::new(Arc::new(Prompter(LINES)));
    config.auth = Auth::App {
        id: APP.0.to_owned(),
        secret: APP.1.to_owned(),
    };
    let checklist =
        br#"{"criteria": [{"name": "Budget", "type": "phrase", "phrases": ["budget"]}]}"#;
    let checklist = Checklist::parse(checklist).expect("a checklist");
    config.callscore = Some(Arc::new(checklist));
    // The addresses in the table are those of no server.
    let local = vec!["http://127.0.0.1".parse().expect("a host")];
    config.jobs.fetch_hosts.clone_from(&local);
    config.jobs.webhook_hosts = local;
    config.jobs.decoder = Some(env!("CARGO_BIN_EXE_symbl-service").into());
    Server::bind(config).await.expect("a free port")
}

/// Returns a token of the service.
async fn token(server: &Server) -> String {
    let body = json!({"type": "application", "appId": APP.0, "appSecret": APP.1});
    let call = rest::Call::json("POST", "/oauth2/token:generate", &body);
    let answer = rest::call(server, "", &call).await;
    let token = answer.json["accessToken"].as_str().expect("a token");
    token.to_owned()
}

/// Returns what is wrong with an object that should have these members and not those.
fn has<'a>(
    object: &Value,
    members: impl IntoIterator<Item = &'a String>,
    without: impl IntoIterator<Item = &'a String>,
) -> Result<(), Fault> {
    for pointer in members {
        if !any(object, pointer) {
            return Err(format!("{pointer} is not in {}", brief(object)));
        }
    }
    for pointer in without {
        if object.pointer(pointer).is_some() {
            return Err(format!("{pointer} is there after all"));
        }
    }
    Ok(())
}

/// Returns `true` if there is something at a JSON pointer, in which `*` stands for any item.
fn any(object: &Value, pointer: &str) -> bool {
    match pointer.split_once("/*") {
        None => object
            .pointer(pointer)
            .is_some_and(|found| !found.is_null()),
        Some((list, rest)) => {
            let items = object.pointer(list).and_then(Value::as_array);
            items.into_iter().flatten().any(|item| any(item, rest))
        }
    }
}

/// Returns the beginning of a JSON text.
fn brief(value: &Value) -> String {
    let text = value.to_string();
    text.chars().take(600).collect()
}
