// SPDX-License-Identifier: MPL-2.0

//! Search by words, in one conversation and in all of an account. An extension: the
//! original service has no such paths.

use crate::door::asked::Readable;
use crate::door::handshake::Account;
use crate::door::http::{Shared, error};
use crate::door::rest::{Asked, answered, failed, listed, must};
use crate::store::Whose;
use crate::store::search::{Hunt, Query};
use axum::Router;
use axum::extract::{Query as UrlQuery, State};
use axum::http::StatusCode;
use axum::response::Response;
use axum::routing::get;

/// How many messages are listed by default, and at most.
const FEW: u32 = 20;
const MOST: u32 = 1000;

pub(crate) fn routes() -> Router<Shared> {
    Router::new()
        .route("/v1/search", get(everywhere))
        .route("/v1/conversations/{id}/search", get(within))
}

/// Reads from the query of a request what is looked for, or returns what is wrong with it.
fn hunt(asked: &[(String, String)]) -> Result<Hunt, String> {
    let mut query = None;
    let (mut descending, mut limit, mut offset) = (true, FEW, 0);
    for (name, value) in asked {
        match name.as_str() {
            "q" => query = Some(Query::parse(value).map_err(|error| format!("{error}."))?),
            "limit" => {
                let asked = value.parse().ok().filter(|limit| *limit <= MOST);
                limit = asked.ok_or_else(|| must(name, &format!("a number from 0 to {MOST}")))?;
            }
            "offset" => offset = value.parse().map_err(|_| must(name, "a number from 0"))?,
            "order" => {
                descending = match value.to_ascii_lowercase().as_str() {
                    "desc" => true,
                    "asc" => false,
                    _ => return Err(must(name, "`asc` or `desc`")),
                }
            }
            _ => {}
        }
    }
    let query = query.ok_or("Say what is looked for, such as `?q=budget%20report`.")?;
    Ok(Hunt {
        query,
        descending,
        limit,
        offset,
    })
}

async fn within(
    State(shared): State<Shared>,
    Readable(whose): Readable,
    UrlQuery(asked): Asked,
) -> Response {
    let hunt = match hunt(&asked) {
        Ok(hunt) => hunt,
        Err(message) => return error(StatusCode::BAD_REQUEST, &message),
    };
    let found = shared.notes.search(whose, hunt).await;
    answered(found, |first| listed(shared.notes, first))
}

async fn everywhere(
    State(shared): State<Shared>,
    Account(account): Account,
    UrlQuery(asked): Asked,
) -> Response {
    let hunt = match hunt(&asked) {
        Ok(hunt) => hunt,
        Err(message) => return error(StatusCode::BAD_REQUEST, &message),
    };
    let whose = Whose {
        account,
        conversation: 0,
        delay: shared.config.history_delay,
    };
    match shared.notes.search_all(whose, hunt).await {
        Ok(first) => listed(shared.notes, first),
        Err(reason) => failed(&reason),
    }
}
