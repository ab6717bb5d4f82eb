// SPDX-License-Identifier: MPL-2.0

//! Access tokens: creates them and checks them.
//!
//! Tokens are JWTs with `exp`, because the official SDKs decode them. As the
//! API documents it, asking again returns the cached token with its remaining
//! life. Tokens and secrets must never be logged or shown.

use crate::config::Auth;
use jsonwebtoken::{Algorithm, DecodingKey, EncodingKey, Header, Validation};
use serde::{Deserialize, Serialize};
use std::sync::Mutex;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// Creates tokens and checks the tokens of requests.
pub(crate) struct Tokens {
    auth: Auth,
    lifetime: Duration,
    encoding: EncodingKey,
    decoding: DecodingKey,
    cached: Mutex<Vec<Cached>>,
}

struct Cached {
    app_id: String,
    token: String,
    expires: u64,
}

#[derive(Serialize, Deserialize)]
struct Claims {
    sub: String,
    iat: u64,
    exp: u64,
}

/// Body of a token request.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Request {
    #[serde(rename = "type")]
    kind: Option<String>,
    app_id: Option<String>,
    app_secret: Option<String>,
}

/// Answer to a token request.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Granted {
    access_token: String,
    expires_in: u64,
}

/// Why there is no token.
#[derive(Debug, thiserror::Error)]
pub(crate) enum TokenError {
    #[error(
        "the body must be a JSON object with `type`: \"application\", `appId` and `appSecret`: {0}"
    )]
    Malformed(String),
    #[error("Invalid credentials: no application with this `appId` and `appSecret`.")]
    Unauthorized,
    #[error("the token could not be signed: {0}")]
    Signing(String),
}

/// Longest id of an application in bytes.
const LONGEST_APP_ID: usize = 256;

/// Most applications whose tokens are cached, in a service without credentials.
const MOST_CACHED: usize = 1000;

impl Tokens {
    /// Returns tokens that are signed with a key made of this one and the credentials.
    /// `key` is stored with the data, so tokens are valid as long as the data exist, also
    /// after a restart, but not after a change of the credentials.
    pub(crate) fn new(auth: Auth, lifetime: Duration, key: &[u8]) -> Result<Self, TokenError> {
        let key = signing_key(key, &auth)?;
        Ok(Self {
            auth,
            lifetime,
            encoding: EncodingKey::from_secret(&key),
            decoding: DecodingKey::from_secret(&key),
            cached: Mutex::default(),
        })
    }

    /// Answers the body of `POST /oauth2/token:generate`.
    pub(crate) fn generate(&self, body: &[u8]) -> Result<Granted, TokenError> {
        let request: Request =
            serde_json::from_slice(body).map_err(|e| TokenError::Malformed(e.to_string()))?;
        let (Some("application"), Some(app_id), Some(secret)) = (
            request.kind.as_deref(),
            request.app_id,
            request.app_secret.as_deref(),
        ) else {
            return Err(TokenError::Malformed("a member is missing".to_owned()));
        };
        if app_id.len() > LONGEST_APP_ID {
            return Err(TokenError::Malformed(format!(
                "`appId` has more than {LONGEST_APP_ID} bytes"
            )));
        }
        if let Auth::App { id, secret: ours } = &self.auth
            && !(same(id, &app_id) & same(ours, secret))
        {
            return Err(TokenError::Unauthorized);
        }
        self.token_for(app_id)
    }

    fn token_for(&self, app_id: String) -> Result<Granted, TokenError> {
        let now = unix_seconds();
        let lifetime = self.lifetime.as_secs();
        let mut cached = self.cached.lock().unwrap_or_else(|e| e.into_inner());
        // A client needs a token that lasts a while.
        cached.retain(|c| c.expires.saturating_sub(now) > lifetime / 10);
        if let Some(found) = cached.iter().find(|c| c.app_id == app_id) {
            return Ok(Granted {
                access_token: found.token.clone(),
                expires_in: found.expires - now,
            });
        }
        let expires = now + lifetime;
        let claims = Claims {
            sub: app_id.clone(),
            iat: now,
            exp: expires,
        };
        let token = jsonwebtoken::encode(&Header::default(), &claims, &self.encoding)
            .map_err(|e| TokenError::Signing(e.to_string()))?;
        if cached.len() < MOST_CACHED {
            cached.push(Cached {
                app_id,
                token: token.clone(),
                expires,
            });
        }
        Ok(Granted {
            access_token: token,
            expires_in: lifetime,
        })
    }

    /// Returns the application of the first valid token, or an empty name in a service
    /// without credentials. Returns `None` if no token is valid.
    pub(crate) fn account<'a>(&self, mut offered: impl Iterator<Item = &'a str>) -> Option<String> {
        match &self.auth {
            Auth::None => Some(String::new()),
            Auth::App { id, .. } => offered
                .find_map(|token| self.claims(token).filter(|claims| claims.sub == *id))
                .map(|claims| claims.sub),
        }
    }

    /// Returns `true` if the service made the token and it has not expired.
    pub(crate) fn is_valid(&self, token: &str) -> bool {
        self.claims(token).is_some()
    }

    fn claims(&self, token: &str) -> Option<Claims> {
        let mut validation = Validation::new(Algorithm::HS256);
        validation.leeway = 0;
        let decoded = jsonwebtoken::decode::<Claims>(token, &self.decoding, &validation);
        decoded.ok().map(|token| token.claims)
    }
}

/// Returns the key that tokens of these credentials are signed with: an HMAC-SHA256 of
/// them under the stored key. Each part has its length in front, so that no two pairs of
/// id and secret are the same bytes.
fn signing_key(stored: &[u8], auth: &Auth) -> Result<Vec<u8>, TokenError> {
    let mut about = Vec::new();
    let parts = match auth {
        Auth::None => vec!["anybody"],
        Auth::App { id, secret } => vec!["application", id, secret],
    };
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

fn unix_seconds() -> u64 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(0, |since| since.as_secs())
}

#[cfg(test)]
mod tests {
    use super::*;

    const BODY: &[u8] = br#"{"type":"application","appId":"a","appSecret":"s"}"#;

    fn tokens(lifetime: u64) -> Tokens {
        tokens_of(lifetime, b"key")
    }

    fn tokens_of(lifetime: u64, key: &[u8]) -> Tokens {
        let auth = Auth::App {
            id: "a".into(),
            secret: "s".into(),
        };
        Tokens::new(auth, Duration::from_secs(lifetime), key).expect("a key")
    }

    fn app(id: &str, secret: &str) -> Auth {
        Auth::App {
            id: id.into(),
            secret: secret.into(),
        }
    }

    #[test]
    fn a_token_is_good_for_the_application_and_the_secret_that_it_was_made_for() {
        let of = |auth: &Auth| {
            Tokens::new(auth.clone(), Duration::from_secs(100), b"key").expect("a key")
        };
        let all = [
            app("a", "s"),
            app("a", "s2"),
            app("b", "s"),
            app("as", ""),
            app("", "as"),
            Auth::None,
        ];
        for mine in &all {
            let id = match mine {
                Auth::App { id, .. } => id.clone(),
                Auth::None => "a".to_owned(),
            };
            let token = of(mine).token_for(id).expect("a token").access_token;
            for other in all.iter().filter(|other| !matches!(other, Auth::None)) {
                let account = of(other).account([token.as_str()].into_iter());
                let same = format!("{mine:?}") == format!("{other:?}")
                    && matches!((mine, other), (Auth::App { secret: a, .. }, Auth::App { secret: b, .. }) if a == b);
                assert_eq!(account.is_some(), same, "{mine:?} {other:?}");
            }
        }
        // The right key does not help the wrong account.
        let tokens = of(&app("a", "s"));
        let token = tokens
            .token_for("b".to_owned())
            .expect("a token")
            .access_token;
        assert_eq!(tokens.account([token.as_str()].into_iter()), None);
    }

    #[test]
    fn asking_again_gives_the_same_token() {
        let tokens = tokens(100);
        let first = tokens.generate(BODY).unwrap();
        let second = tokens.generate(BODY).unwrap();
        assert_eq!(first.access_token, second.access_token);
        assert!(second.expires_in <= first.expires_in);
        assert!(tokens.is_valid(&first.access_token));
    }

    #[test]
    fn an_expired_token_is_not_valid() {
        let tokens = tokens(100);
        let claims = Claims {
            sub: "a".into(),
            iat: 0,
            exp: unix_seconds() - 1,
        };
        let old = jsonwebtoken::encode(&Header::default(), &claims, &tokens.encoding).unwrap();
        assert!(!tokens.is_valid(&old));
    }

    #[test]
    fn wrong_credentials_and_bad_bodies_are_told_apart() {
        let tokens = tokens(100);
        let wrong = br#"{"type":"application","appId":"a","appSecret":"S"}"#;
        assert!(matches!(
            tokens.generate(wrong),
            Err(TokenError::Unauthorized)
        ));
        for body in [&b"{}"[..], b"[]", b"", br#"{"type":"password"}"#] {
            assert!(matches!(
                tokens.generate(body),
                Err(TokenError::Malformed(_))
            ));
        }
    }

    #[test]
    fn a_token_of_another_key_is_not_valid() {
        let granted = tokens(100).generate(BODY).unwrap();
        assert!(tokens(100).is_valid(&granted.access_token));
        assert!(!tokens_of(100, b"other").is_valid(&granted.access_token));
    }

    #[test]
    fn the_secret_is_not_in_the_debug_output() {
        let auth = Auth::App {
            id: "a".into(),
            secret: "hush".into(),
        };
        assert!(!format!("{auth:?}").contains("hush"));
    }
}
