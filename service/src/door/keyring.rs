// SPDX-License-Identifier: MPL-2.0

//! The keys that tokens are signed with: a pair for each application.
//!
//! With several applications the header of a token names its key (`kid`), so that the
//! signature is checked before the claims are believed.

use crate::config::{Auth, Secret};
use crate::door::token::{Access, Refused, Scope, TokenError};
use jsonwebtoken::errors::ErrorKind;
use jsonwebtoken::{Algorithm, DecodingKey, EncodingKey, Header, Validation};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use std::collections::HashMap;
use std::time::Duration;

/// Who gets tokens, and for how long. It is replaced when the configuration is read again.
pub(super) struct Book {
    pub(super) auth: Auth,
    pub(super) lifetime: Duration,
    /// The keys of each application, by its id; those of a service with one application or
    /// none are under an empty id.
    pairs: HashMap<String, Pair>,
}

/// The keys of one application.
pub(super) struct Pair {
    pub(super) account: Keys,
    pub(super) share: Keys,
}

/// The keys of one kind of token.
pub(super) struct Keys {
    encoding: EncodingKey,
    decoding: DecodingKey,
}

#[derive(Serialize, Deserialize)]
pub(super) struct Claims {
    pub(super) sub: String,
    pub(super) iat: u64,
    pub(super) exp: u64,
}

/// The claims of a share token.
#[derive(Serialize, Deserialize)]
pub(super) struct Shared {
    pub(super) sub: String,
    pub(super) conversation: i64,
    pub(super) iat: u64,
    pub(super) exp: u64,
}

impl Book {
    pub(super) fn new(auth: Auth, lifetime: Duration, key: &[u8]) -> Result<Self, TokenError> {
        let pair = |parts: &[&str]| {
            let shared = [parts, &["share"]].concat();
            Ok::<_, TokenError>(Pair {
                account: Keys::new(&signing_key(key, parts)?),
                share: Keys::new(&signing_key(key, &shared)?),
            })
        };
        let pairs = match &auth {
            Auth::None => HashMap::from([(String::new(), pair(&["anybody"])?)]),
            Auth::App { id, secret } => {
                HashMap::from([(String::new(), pair(&["application", id, secret])?)])
            }
            Auth::Accounts(accounts) => accounts
                .iter()
                .map(|account| {
                    let parts = ["account", &account.id, &account.secret.hex()];
                    Ok((account.id.clone(), pair(&parts)?))
                })
                .collect::<Result<_, TokenError>>()?,
        };
        Ok(Self {
            auth,
            lifetime,
            pairs,
        })
    }

    /// Returns `true` if these credentials get a token.
    pub(super) fn knows(&self, app_id: &str, secret: &str) -> bool {
        match &self.auth {
            Auth::None => true,
            Auth::App { id, secret: ours } => same(id, app_id) & same(ours, secret),
            Auth::Accounts(accounts) => {
                let account = accounts.iter().find(|account| account.id == app_id);
                let hash = account.map(|account| &account.secret);
                hash.is_some_and(|hash: &Secret| hash.is(secret))
            }
        }
    }

    /// Returns the keys of an application.
    pub(super) fn pair(&self, app_id: &str) -> Option<&Pair> {
        match &self.auth {
            Auth::Accounts(_) => self.pairs.get(app_id),
            _ => self.pairs.get(""),
        }
    }

    /// Returns the header of an application's tokens. With several applications it names the
    /// key, because the claims are only read after the signature was checked.
    pub(super) fn header(&self, app_id: &str) -> Header {
        let kid = matches!(self.auth, Auth::Accounts(_)).then(|| app_id.to_owned());
        Header {
            kid,
            ..Header::default()
        }
    }

    /// Returns the application that a token names in its header, and its keys.
    pub(super) fn pair_of(&self, token: &str) -> Result<(String, &Pair), Refused> {
        let header = jsonwebtoken::decode_header(token).map_err(|_| Refused::Invalid)?;
        let id = header.kid.unwrap_or_default();
        let pair = self.pair(&id).ok_or(Refused::Invalid)?;
        Ok((id, pair))
    }

    /// Checks the token of an application. Returns its access and when it expires.
    pub(super) fn whole(&self, token: &str) -> Result<(Access, u64), Refused> {
        let (id, pair) = self.pair_of(token)?;
        let Claims { sub, exp, .. } = pair.account.read(token)?;
        Ok((self.access(&id, sub, Scope::Account)?, exp))
    }

    /// Checks a share token. Returns its access and when it expires.
    pub(super) fn shared(&self, token: &str) -> Result<(Access, u64), Refused> {
        let (id, pair) = self.pair_of(token)?;
        let claims: Shared = pair.share.read(token)?;
        let scope = Scope::Conversation(claims.conversation);
        Ok((self.access(&id, claims.sub, scope)?, claims.exp))
    }

    /// Returns the access to an account, if this service serves it. `key` is the application
    /// whose key signed the token.
    fn access(&self, key: &str, account: String, scope: Scope) -> Result<Access, Refused> {
        let served = match &self.auth {
            Auth::None => account.is_empty(),
            Auth::App { id, .. } => account == *id,
            Auth::Accounts(_) => account == key,
        };
        served
            .then_some(Access { account, scope })
            .ok_or(Refused::Invalid)
    }
}

impl Keys {
    fn new(key: &[u8]) -> Self {
        Self {
            encoding: EncodingKey::from_secret(key),
            decoding: DecodingKey::from_secret(key),
        }
    }

    pub(super) fn sign(
        &self,
        header: &Header,
        claims: &impl Serialize,
    ) -> Result<String, TokenError> {
        let token = jsonwebtoken::encode(header, claims, &self.encoding);
        token.map_err(|error| TokenError::Signing(error.to_string()))
    }

    /// Returns the claims of a token that these keys signed and that has not expired.
    pub(super) fn read<T: DeserializeOwned>(&self, token: &str) -> Result<T, Refused> {
        let mut validation = Validation::new(Algorithm::HS256);
        validation.leeway = 0;
        match jsonwebtoken::decode::<T>(token, &self.decoding, &validation) {
            Ok(token) => Ok(token.claims),
            // The signature is checked first.
            Err(reason) if matches!(reason.kind(), ErrorKind::ExpiredSignature) => {
                Err(Refused::Expired)
            }
            Err(_) => Err(Refused::Invalid),
        }
    }
}

/// Returns the key that tokens of these credentials are signed with: an HMAC-SHA256 of
/// them under the stored key. Each part has its length in front, so that no two lists of
/// parts are the same bytes. A further part makes the key of another kind of tokens.
fn signing_key(stored: &[u8], parts: &[&str]) -> Result<Vec<u8>, TokenError> {
    let mut about = Vec::new();
    for part in parts {
        about.extend((part.len() as u64).to_be_bytes());
        about.extend(part.as_bytes());
    }
    jsonwebtoken::crypto::sign(&about, &EncodingKey::from_secret(stored), Algorithm::HS256)
        .map(String::into_bytes)
        .map_err(|error| TokenError::Signing(error.to_string()))
}

/// Compares two texts in a time that does not show where they differ.
fn same(ours: &str, given: &str) -> bool {
    let difference = ours
        .bytes()
        .zip(given.bytes())
        .fold(ours.len() ^ given.len(), |d, (a, b)| d | usize::from(a ^ b));
    difference == 0
}
