// SPDX-License-Identifier: MPL-2.0

//! What most requests of the REST API begin with: the conversation in the path, of an account
//! that may read or change it, and the body.

use crate::door::handshake::Account;
use crate::door::http::{Shared, unreadable};
use crate::door::rest::{digits, unknown, whose};
use crate::door::token::{Access, Scope};
use crate::store::Whose;
use axum::body::Bytes;
use axum::extract::{FromRequest, FromRequestParts, RawPathParams, Request};
use axum::http::request::Parts;
use axum::response::Response;
use std::convert::Infallible;

/// The conversation `{id}` of the path, for a request that reads it.
#[derive(Debug)]
pub(crate) struct Readable(pub(crate) Whose);

/// The conversation `{id}` of the path, for a request that changes it. A share token does not
/// give it.
#[derive(Debug)]
pub(crate) struct Own(pub(crate) Whose);

/// The account of a request, and its conversation if the path has one: `POST` begins a
/// conversation, and `PUT` with an `{id}` appends to one.
#[derive(Debug)]
pub(crate) struct Appendable {
    pub(crate) account: String,
    pub(crate) whose: Option<Whose>,
}

/// The number at the end of the path's parameters, or 0, which nothing has as its id.
#[derive(Debug)]
pub(crate) struct Last(pub(crate) i64);

/// The body of a request.
#[derive(Debug)]
pub(crate) struct Sent(pub(crate) Bytes);

/// Returns the number that stands for `name` in the path.
async fn number(parts: &mut Parts, shared: &Shared, name: &str) -> Option<i64> {
    let path = RawPathParams::from_request_parts(parts, shared)
        .await
        .ok()?;
    let found = path.iter().find(|(known, _)| *known == name);
    found.and_then(|(_, value)| digits(value))
}

impl FromRequestParts<Shared> for Readable {
    type Rejection = Response;

    async fn from_request_parts(parts: &mut Parts, shared: &Shared) -> Result<Self, Response> {
        let access = Access::from_request_parts(parts, shared).await?;
        let id = number(parts, shared, "id").await;
        whose(shared, access, id).map(Self)
    }
}

impl FromRequestParts<Shared> for Own {
    type Rejection = Response;

    async fn from_request_parts(parts: &mut Parts, shared: &Shared) -> Result<Self, Response> {
        let Account(account) = Account::from_request_parts(parts, shared).await?;
        let id = number(parts, shared, "id").await.ok_or_else(unknown)?;
        let scope = Scope::Account;
        whose(shared, Access { account, scope }, Some(id)).map(Self)
    }
}

impl FromRequestParts<Shared> for Appendable {
    type Rejection = Response;

    async fn from_request_parts(parts: &mut Parts, shared: &Shared) -> Result<Self, Response> {
        let Account(account) = Account::from_request_parts(parts, shared).await?;
        let path = RawPathParams::from_request_parts(parts, shared).await;
        let has_id = path.is_ok_and(|path| path.iter().any(|(name, _)| name == "id"));
        let whose = match has_id {
            true => Some(Own::from_request_parts(parts, shared).await?.0),
            false => None,
        };
        Ok(Self { account, whose })
    }
}

impl FromRequestParts<Shared> for Last {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, shared: &Shared) -> Result<Self, Infallible> {
        let path = RawPathParams::from_request_parts(parts, shared).await.ok();
        let last = path.as_ref().and_then(|path| path.iter().last());
        let number = last.and_then(|(_, value)| digits(value));
        Ok(Self(number.unwrap_or(0)))
    }
}

impl FromRequest<Shared> for Sent {
    type Rejection = Response;

    async fn from_request(request: Request, shared: &Shared) -> Result<Self, Response> {
        let body = Bytes::from_request(request, shared).await;
        body.map(Self).map_err(|reason| unreadable(&reason))
    }
}
