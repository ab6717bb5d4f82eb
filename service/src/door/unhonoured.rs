// SPDX-License-Identifier: MPL-2.0

//! Tells a client of the REST API what it asked for that the service does not do.
//!
//! A client relies on a field that was accepted. So a door names the parameters and members
//! that it knows, and every other one that asks for something is told in a header of the
//! answer and in the log. On a socket, `symbl::unsupported` does the same with a `warning`.
//!
//! It is a header because some answers of Symbl's API are arrays or texts, which have no
//! room for another member.

use crate::door::symbl::bounds::shortened;
use axum::extract::{MatchedPath, Query, Request};
use axum::http::{HeaderName, HeaderValue, Method};
use axum::middleware::Next;
use axum::response::Response;
use serde_json::{Map, Value};

/// The header of an answer that says what was not done.
pub(crate) const WARNING: HeaderName = HeaderName::from_static("x-symbl-warning");

/// Most names that the client is told. A request may have a megabyte of them.
pub(crate) const MOST: usize = 20;

/// Parameters that every path accepts: the token, and which SDK asks.
const EVERYWHERE: [&str; 2] = ["access_token", "source"];

/// The parameters that the service honours in the query of a `GET`, by path. Every other
/// path below `/v1/` has none.
const QUERIES: &[(&str, &[&str])] = &[
    ("/v1/conversations", CONVERSATIONS),
    (
        "/v1/conversations/{id}/events",
        &["after", "afterSequenceNumber", "limit"],
    ),
    (
        "/v1/conversations/{id}/messages",
        &[
            "endTime",
            "limit",
            "offset",
            "sentiment",
            "startTime",
            "verbose",
        ],
    ),
    ("/v1/conversations/{id}/search", SEARCH),
    ("/v1/conversations/{id}/summary", &["refresh"]),
    // Topics are always computed anew, which is what `refresh` asks for.
    (
        "/v1/conversations/{id}/topics",
        &["parentRefs", "refresh", "sentiment"],
    ),
    ("/v1/conversations/{id}/transcript", &["format"]),
    ("/v1/groups/{id}/conversations", CONVERSATIONS),
    ("/v1/manage/tracker", &["name"]),
    ("/v1/manage/trackers", &["name"]),
    ("/v1/search", SEARCH),
];

/// The parameters of searches.
const SEARCH: &[&str] = &["limit", "offset", "order", "q"];

/// The parameters of lists of conversations.
const CONVERSATIONS: &[&str] = &[
    "endTime",
    "filter",
    "limit",
    "offset",
    "order",
    "sort",
    "startTime",
];

/// Tells of the parameters that the path of a `GET` does not honour.
pub(crate) async fn check(path: Option<MatchedPath>, request: Request, next: Next) -> Response {
    let is_api = |path: &MatchedPath| {
        request.method() == Method::GET
            && request.uri().query().is_some()
            && path.as_str().starts_with("/v1/")
    };
    let asked = path.filter(is_api).and_then(|path| {
        let known = QUERIES.iter().find(|(of, _)| *of == path.as_str());
        let known = known.map_or(&[][..], |(_, known)| known);
        let Query(asked) = Query::<Vec<(String, String)>>::try_from_uri(request.uri()).ok()?;
        Some(Unhonoured::query(&asked, known))
    });
    let response = next.run(request).await;
    match asked {
        Some(unhonoured) if response.status().is_success() => unhonoured.tell(response),
        _ => response,
    }
}

/// The fields of one request that the service does not honour.
#[derive(Debug, Default)]
pub(crate) struct Unhonoured(Vec<String>);

impl Unhonoured {
    /// Finds the parameters of a query that ask for something and are not in `known`.
    pub(crate) fn query(asked: &[(String, String)], known: &[&str]) -> Self {
        let mut found = Self::default();
        for (name, value) in asked {
            let name = name.as_str();
            let is_known = known.contains(&name) || EVERYWHERE.contains(&name);
            if !is_known && !matches!(value.as_str(), "" | "false") {
                found.add(name);
            }
        }
        found
    }

    /// Finds the members of a body that ask for something and are not in `known`.
    pub(crate) fn body(members: &Map<String, Value>, known: &[&str]) -> Self {
        let mut found = Self::default();
        for (name, value) in members {
            if !known.contains(&name.as_str()) && asks(value) {
                found.add(name);
            }
        }
        found
    }

    /// Finds the same in each object of a list.
    pub(crate) fn list(objects: &[Value], known: &[&str]) -> Self {
        let objects = objects.iter().filter_map(Value::as_object);
        objects
            .map(|members| Self::body(members, known))
            .fold(Self::default(), Self::and)
    }

    /// Takes the fields from warnings that say why: each begins with the name as code.
    pub(crate) fn explained(warnings: &[String]) -> Self {
        let mut found = Self::default();
        let names = warnings.iter().filter_map(|text| text.split('`').nth(1));
        names.for_each(|name| found.add(name));
        found
    }

    /// Adds one field, such as `messages[3].sentiment`.
    pub(crate) fn add(&mut self, field: &str) {
        if self.0.len() < MOST {
            self.0.push(shortened(field));
        }
    }

    /// Returns the names of the fields.
    #[cfg(test)]
    pub(crate) fn fields(&self) -> &[String] {
        &self.0
    }

    /// Adds what another part of the request asks for in vain.
    pub(crate) fn and(mut self, other: Self) -> Self {
        self.0.extend(other.0);
        self.0.truncate(MOST);
        self
    }

    /// Adds the header to an answer if there is something to tell, and logs it.
    pub(crate) fn tell(self, mut response: Response) -> Response {
        let Some(text) = message(&self.0) else {
            return response;
        };
        tracing::warn!(fields = self.0.join(", "), "a request is not wholly done");
        if let Ok(value) = HeaderValue::from_str(&text) {
            response.headers_mut().append(WARNING, value);
        }
        response
    }
}

/// Returns the text of the header, in characters that a header may have.
fn message(fields: &[String]) -> Option<String> {
    if fields.is_empty() {
        return None;
    }
    let plain = |character: char| match character {
        ' '..='~' => character,
        _ => '?',
    };
    let list: String = fields.join(", ").chars().map(plain).collect();
    Some(format!(
        "this service does not do what is asked by: {list}."
    ))
}

/// Returns `false` for values that ask for nothing.
pub(crate) fn asks(value: &Value) -> bool {
    match value {
        Value::Null => false,
        Value::Bool(set) => *set,
        Value::String(text) => !text.is_empty(),
        Value::Array(entries) => !entries.is_empty(),
        Value::Object(members) => !members.is_empty(),
        Value::Number(_) => true,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::response::IntoResponse;
    use serde_json::json;

    fn told(found: Unhonoured) -> Option<String> {
        let response = found.tell(().into_response());
        let value = response.headers().get(WARNING)?;
        Some(value.to_str().expect("plain text").to_owned())
    }

    fn query(pairs: &[(&str, &str)]) -> Vec<(String, String)> {
        let own = |(name, value): &(&str, &str)| ((*name).to_owned(), (*value).to_owned());
        pairs.iter().map(own).collect()
    }

    #[test]
    fn a_parameter_that_is_not_known_is_told_unless_it_asks_for_nothing() {
        let asked = query(&[
            ("verbose", "true"),
            ("refresh", "true"),
            ("sentiment", "false"),
            ("parentRefs", ""),
            ("access_token", "x"),
        ]);
        assert_eq!(
            told(Unhonoured::query(&asked, &["verbose"])).as_deref(),
            Some("this service does not do what is asked by: refresh.")
        );
        assert_eq!(
            told(Unhonoured::query(&asked, &["refresh", "verbose"])),
            None
        );
    }

    #[test]
    fn members_of_a_body_and_parameters_are_told_together() {
        let body = json!({"name": "x", "mode": "phone", "trackers": [], "detectPhrases": null});
        let body = body.as_object().expect("an object");
        let found = Unhonoured::query(&query(&[("a", "1")]), &[]);
        assert_eq!(
            told(found.and(Unhonoured::body(body, &["name"]))).as_deref(),
            Some("this service does not do what is asked by: a, mode.")
        );
    }

    #[test]
    fn no_name_can_end_the_header_or_make_it_long() {
        let name = "a\r\nSet-Cookie: b\u{e9}".to_owned();
        let text = told(Unhonoured::query(&[(name, "1".to_owned())], &[])).expect("a header");
        assert!(text.ends_with("a??Set-Cookie: b?."), "{text}");
        let many: Vec<_> = (0..10_000)
            .map(|number| (format!("{number}{}", "x".repeat(90)), "1".to_owned()))
            .collect();
        let text = told(Unhonoured::query(&many, &[])).expect("a header");
        assert!(text.len() < 2000, "{}", text.len());
    }
}
