// SPDX-License-Identifier: MPL-2.0

//! docs/symbl-api.md is made of the table: what is between its two marks is what this module
//! writes. With `SYMBL_API_WRITE=1` the test writes it anew.

use crate::table::{Area, Field, Fields, Message, Operation, Status, Table, document, table};
use std::fmt::Write;

const BEGIN: &str = "<!-- made of symbl-api.json: begin -->";
const END: &str = "<!-- made of symbl-api.json: end -->";

/// Returns the words of a status in the document.
fn status(status: Status, how: &str) -> String {
    let word = match status {
        Status::Works => "works",
        Status::Differs => "differs",
        Status::Refused => "refused",
    };
    match how {
        "" => word.to_owned(),
        // A cell of a table ends at a bar.
        how => format!("{word}: {}", how.replace('|', "\\|")),
    }
}

/// Returns names as code, separated by commas.
fn code(names: impl IntoIterator<Item = impl AsRef<str>>) -> String {
    let names = names.into_iter().map(|name| format!("`{}`", name.as_ref()));
    names.collect::<Vec<_>>().join(", ")
}

/// Returns a JSON pointer as it is written in the document: `/topics/0/id` is `topics[].id`.
fn member(pointer: &str) -> String {
    let mut text = String::new();
    for step in pointer.split('/').skip(1) {
        if step == "*" || step.parse::<usize>().is_ok() {
            text.push_str("[]");
            continue;
        }
        if !text.is_empty() {
            text.push('.');
        }
        text.push_str(step);
    }
    text
}

/// Writes a table of fields, and the honoured ones that need no words in one line.
fn fields(text: &mut String, fields: &Fields) {
    let plain = |field: &Field| field.status == Status::Works && field.how.is_empty();
    let named = |name: &str| name.replace("[0]", "[]");
    let works = fields.iter().filter(|(_, field)| plain(field));
    let works: Vec<String> = works.map(|(name, _)| named(name)).collect();
    if !works.is_empty() {
        let _ = writeln!(text, "Works: {}.\n", code(works));
    }
    let others: Vec<_> = fields.iter().filter(|(_, field)| !plain(field)).collect();
    if others.is_empty() {
        return;
    }
    text.push_str("| field | |\n|---|---|\n");
    for (name, field) in others {
        let _ = writeln!(
            text,
            "| `{}` | {} |",
            named(name),
            status(field.status, &field.how)
        );
    }
    text.push('\n');
}

/// Writes what there is to say of one operation beside its line in the list.
fn details(text: &mut String, operation: &Operation) {
    let sets = operation.uses.iter().flat_map(|(part, names)| {
        let linked = move |name: &String| format!("[{name}](#fields-{name}) in the {part}");
        names.iter().map(linked)
    });
    let sets: Vec<String> = sets.collect();
    let silent = operation.fields.is_empty() && operation.members.is_empty() && sets.is_empty();
    if operation.status == Status::Refused || silent {
        return;
    }
    let _ = writeln!(text, "**{} {}**\n", operation.method, operation.path);
    if !sets.is_empty() {
        let _ = writeln!(text, "The fields {}.\n", sets.join(" and "));
    }
    fields(text, &operation.fields);
    if !operation.members.is_empty() {
        let members = operation.members.iter().map(|pointer| member(pointer));
        let _ = writeln!(text, "Answers with {}.\n", code(members));
    }
    for (pointer, why) in &operation.without {
        let _ = writeln!(text, "Never has `{}`: {why}.\n", member(pointer));
    }
}

fn area(text: &mut String, area: &Area) {
    let _ = writeln!(text, "## {}\n", area.name);
    if let Some(about) = &area.about {
        let _ = writeln!(text, "{about}\n");
    }
    text.push_str("| operation | |\n|---|---|\n");
    for operation in &area.operations {
        let Operation { method, path, .. } = operation;
        let says = status(operation.status, &operation.how);
        let _ = writeln!(text, "| `{method} {path}` | {says} |");
    }
    text.push('\n');
    for operation in &area.operations {
        details(text, operation);
    }
}

fn messages(text: &mut String, title: &str, messages: &[Message]) {
    let _ = writeln!(text, "### {title}\n\n| type | | members |\n|---|---|---|");
    for message in messages {
        let members = message.members.iter().map(|pointer| member(pointer));
        let says = status(message.status, &message.how);
        let _ = writeln!(text, "| `{}` | {says} | {} |", message.kind, code(members));
    }
    text.push('\n');
    for message in messages.iter().filter(|message| !message.fields.is_empty()) {
        let _ = writeln!(text, "**`{}`**\n", message.kind);
        fields(text, &message.fields);
    }
}

/// Returns the part of the document that is made of the table.
fn made(table: &Table) -> String {
    let mut text = String::new();
    let streaming = &table.streaming;
    text.push_str("## Streaming API and Subscribe API\n\n| path | |\n|---|---|\n");
    for endpoint in &streaming.paths {
        let says = status(endpoint.status, "");
        let _ = writeln!(text, "| `{}` | {says} |", endpoint.path);
    }
    text.push('\n');
    messages(&mut text, "What a client sends", &streaming.client);
    messages(&mut text, "What a client is sent", &streaming.server);
    for each in &table.areas {
        area(&mut text, each);
    }
    for (name, set) in &table.sets {
        let _ = writeln!(text, "## Fields: {name}\n\n{}\n", set.about);
        fields(&mut text, &set.fields);
    }
    text.trim_end().to_owned()
}

#[test]
fn the_document_is_made_of_the_table() {
    let path = document("symbl-api.md");
    let text = std::fs::read_to_string(&path).expect("the document");
    let (before, rest) = text.split_once(BEGIN).expect("the first mark");
    let (_, after) = rest.split_once(END).expect("the second mark");
    let wanted = format!("{before}{BEGIN}\n\n{}\n\n{END}{after}", made(&table()));
    if std::env::var_os("SYMBL_API_WRITE").is_some() {
        std::fs::write(&path, wanted).expect("the document");
        return;
    }
    let differs = text
        .lines()
        .zip(wanted.lines())
        .find(|(is, should)| is != should);
    assert!(
        text == wanted,
        "docs/symbl-api.md is not made of docs/symbl-api.json ({differs:?}): run \
         SYMBL_API_WRITE=1 cargo test -p symbl-service --test contract document"
    );
}

#[test]
fn a_row_that_is_not_plain_says_how() {
    let table = table();
    let operations = table.areas.iter().flat_map(|area| &area.operations);
    for operation in operations {
        let Operation {
            path, status, how, ..
        } = operation;
        assert!(*status == Status::Works || !how.is_empty(), "{path}");
        for (name, field) in table.fields(operation) {
            let says = field.status == Status::Works || !field.how.is_empty();
            assert!(says, "{path} {name}");
        }
    }
}
