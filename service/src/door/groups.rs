// SPDX-License-Identifier: MPL-2.0

//! The Management API's paths for groups of conversations, and the list of the
//! conversations of a group.
//!
//! Both `/v1/manage/group` and `/v1/manage/groups` take one group or, as an array, several.
//! The criteria of a group are a filter of the list of conversations.

use crate::door::asked::{Last, Sent};
use crate::door::handshake::Account;
use crate::door::http::{Shared, error};
use crate::door::rest::{Asked, failed, listed, wanted};
use crate::door::unhonoured::Unhonoured;
use crate::store::Filter;
use crate::store::groups::{Group, GroupTerms, MOST_GROUPS};
use axum::extract::{Query, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Json, Router};
use serde_json::{Value, json};

/// Longest name and description in characters.
const LONGEST_NAME: usize = 128;
const LONGEST_DESCRIPTION: usize = 512;

/// Most groups that one request creates.
const MOST_AT_ONCE: usize = 100;

pub(crate) fn routes() -> Router<Shared> {
    let all = get(list).post(create);
    let one = get(read).put(replace).delete(delete);
    Router::new()
        .route("/v1/manage/group", all.clone())
        .route("/v1/manage/groups", all)
        .route("/v1/manage/group/{id}", one.clone())
        .route("/v1/manage/groups/{id}", one)
        .route("/v1/groups/{id}/conversations", get(conversations))
}

fn shown(group: &Group) -> Value {
    let GroupTerms {
        name,
        description,
        criteria,
    } = &group.terms;
    json!({
        "id": group.id.to_string(),
        "name": name,
        "description": description,
        "criteria": criteria,
    })
}

fn unknown() -> Response {
    error(StatusCode::NOT_FOUND, "No group with this id is known.")
}

async fn list(State(shared): State<Shared>, Account(account): Account) -> Response {
    match shared.notes.groups(account).await {
        Ok(groups) => {
            let groups: Vec<Value> = groups.iter().map(shown).collect();
            Json(json!({ "groups": groups })).into_response()
        }
        Err(reason) => failed(&reason),
    }
}

/// The members of a group in a request.
const MEMBERS: &[&str] = &["criteria", "description", "id", "name"];

async fn create(
    State(shared): State<Shared>,
    Account(account): Account,
    Sent(body): Sent,
) -> Response {
    let sent = serde_json::from_slice(&body).unwrap_or_default();
    let (groups, single) = match sent {
        Value::Array(groups) if groups.is_empty() || groups.len() > MOST_AT_ONCE => {
            let message = format!("An array must have 1 to {MOST_AT_ONCE} groups.");
            return error(StatusCode::BAD_REQUEST, &message);
        }
        Value::Array(groups) => (groups, false),
        group => (vec![group], true),
    };
    let terms = groups.iter().enumerate().map(|(index, group)| {
        let at = if single {
            String::new()
        } else {
            format!("[{index}].")
        };
        terms(group, &at)
    });
    let terms: Vec<GroupTerms> = match terms.collect() {
        Ok(terms) => terms,
        Err(message) => return refused(&message),
    };
    let unhonoured = Unhonoured::list(&groups, MEMBERS);
    let answer = match shared.notes.create_groups(account, terms).await {
        Ok(Some(made)) => match (single, made.as_slice()) {
            (true, [group]) => Json(json!({ "group": shown(group) })).into_response(),
            _ => {
                let groups: Vec<Value> = made.iter().map(shown).collect();
                Json(json!({ "groups": groups })).into_response()
            }
        },
        Ok(None) => {
            let message =
                format!("An application may have at most {MOST_GROUPS} groups; delete some first.");
            error(StatusCode::BAD_REQUEST, &message)
        }
        Err(reason) => failed(&reason),
    };
    unhonoured.tell(answer)
}

fn refused(message: &str) -> Response {
    error(StatusCode::BAD_REQUEST, message)
}

/// Reads what a client says about a group, or returns what is wrong with it. `at` is where
/// the group is in the body.
fn terms(sent: &Value, at: &str) -> Result<GroupTerms, String> {
    let Some(members) = sent.as_object() else {
        return Err(
            "A JSON object with `name` and `criteria` is expected, or an array of them.".to_owned(),
        );
    };
    let text = |name: &str, least: usize, longest: usize| match members.get(name) {
        None | Some(Value::Null) if least == 0 => Ok(String::new()),
        Some(Value::String(text)) if (least..=longest).contains(&text.chars().count()) => {
            Ok(text.clone())
        }
        _ => Err(format!(
            "`{at}{name}` must be a text of {least} to {longest} characters."
        )),
    };
    let terms = GroupTerms {
        name: text("name", 1, LONGEST_NAME)?,
        description: text("description", 0, LONGEST_DESCRIPTION)?,
        criteria: text("criteria", 1, usize::MAX - 1).map_err(|_| {
            format!(
                "`{at}criteria` must be a filter, such as `conversation.metadata.agentId==johndoe`."
            )
        })?,
    };
    match Filter::parse(&terms.criteria) {
        Ok(_) => Ok(terms),
        Err(why) => Err(format!("`{at}criteria` is no filter: {why}.")),
    }
}

/// Returns the group that a request asks for, or the answer if the account has none.
async fn found(shared: &Shared, account: String, id: i64) -> Result<Group, Response> {
    match shared.notes.group(account, id).await {
        Ok(found) => found.ok_or_else(unknown),
        Err(reason) => Err(failed(&reason)),
    }
}

async fn read(State(shared): State<Shared>, Account(account): Account, Last(id): Last) -> Response {
    match found(&shared, account, id).await {
        Ok(group) => Json(json!({ "group": shown(&group) })).into_response(),
        Err(refusal) => refusal,
    }
}

async fn replace(
    State(shared): State<Shared>,
    Account(account): Account,
    Last(id): Last,
    Sent(body): Sent,
) -> Response {
    let sent: Value = serde_json::from_slice(&body).unwrap_or_default();
    let named = match &sent["id"] {
        Value::Null => None,
        Value::String(named) => Some(named.clone()),
        named => Some(named.to_string()),
    };
    if named.is_some_and(|named| named != id.to_string()) {
        return error(
            StatusCode::BAD_REQUEST,
            "`id` is not the one in the path; send the same, or leave it out.",
        );
    }
    let terms = match terms(&sent, "") {
        Ok(terms) => terms,
        Err(message) => return refused(&message),
    };
    let group = Group { id, terms };
    match shared.notes.replace_group(account, group.clone()).await {
        Ok(true) => {
            let answer = Json(json!({ "group": shown(&group) })).into_response();
            Unhonoured::list(&[sent], MEMBERS).tell(answer)
        }
        Ok(false) => unknown(),
        Err(reason) => failed(&reason),
    }
}

async fn delete(
    State(shared): State<Shared>,
    Account(account): Account,
    Last(id): Last,
) -> Response {
    match shared.notes.delete_group(account, id).await {
        Ok(true) => {
            Json(json!({ "id": id.to_string(), "type": "group", "deleted": true })).into_response()
        }
        Ok(false) => unknown(),
        Err(reason) => failed(&reason),
    }
}

/// Lists the conversations of a group, as the list of all conversations does.
async fn conversations(
    State(shared): State<Shared>,
    Account(account): Account,
    Last(id): Last,
    Query(asked): Asked,
) -> Response {
    let mut wanted = match wanted(&asked) {
        Ok(wanted) => wanted,
        Err(message) => return error(StatusCode::BAD_REQUEST, &message),
    };
    let group = match found(&shared, account.clone(), id).await {
        Ok(group) => group,
        Err(refusal) => return refusal,
    };
    // A group of an older release may have criteria that this one does not know.
    let criteria = match Filter::parse(&group.terms.criteria) {
        Ok(criteria) => criteria,
        Err(why) => {
            let message = format!("The `criteria` of the group are no filter: {why}.");
            return error(StatusCode::BAD_REQUEST, &message);
        }
    };
    wanted.filter = Filter::All(vec![criteria, wanted.filter]);
    match shared.records.list(account, wanted).await {
        Ok(first) => listed(shared.records, first),
        Err(reason) => failed(&reason),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_group_without_a_name_or_with_other_criteria_is_refused_where_it_is_wrong() {
        let long = "x".repeat(129);
        for (sent, says) in [
            (json!(null), "A JSON object"),
            (
                json!({"criteria": "id==1"}),
                "`[1].name` must be a text of 1 to 128",
            ),
            (json!({"name": long, "criteria": "id==1"}), "`[1].name`"),
            (json!({"name": "a"}), "`[1].criteria` must be a filter"),
            (json!({"name": "a", "criteria": ""}), "`[1].criteria`"),
            (
                json!({"name": "a", "criteria": "x==1"}),
                "is no filter: `filter` is wrong at",
            ),
            (
                json!({"name": "a", "criteria": "id==1", "description": 1}),
                "`[1].description`",
            ),
        ] {
            let refused = terms(&sent, "[1].").unwrap_err();
            assert!(refused.contains(says), "{sent}: {refused}");
        }
        let terms = terms(&json!({"name": "a", "criteria": "id==1"}), "").unwrap();
        assert_eq!(terms.description, "");
    }
}
