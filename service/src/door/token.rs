// SPDX-License-Identifier: MPL-2.0

//! Access tokens: creates them and checks them.
//!
//! Tokens are JWTs with `exp`, because the official SDKs decode them. As the
//! API documents it, asking again returns the cached token with its remaining
//! life. Tokens and secrets must never be logged or shown.
//!
//! There are two kinds. The token of an application gives all rights of its account. A
//! share token lets its bearer read one conversation. It has a type of its own in its
//! header and is signed with a key of its own, so that no release of this service, older
//! or newer, takes it for a token of the application.

use crate::config::Auth;
use jsonwebtoken::errors::ErrorKind;
use jsonwebtoken::{Algorithm, DecodingKey, EncodingKey, Header, Validation};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use std::sync::Mutex;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// Creates tokens and checks the tokens of requests.
pub(crate) struct Tokens {
    auth: Auth,
    lifetime: Duration,
    account: Keys,
    share: Keys,
    cached: Mutex<Vec<Cached>>,
}

/// The keys of one kind of token.
struct Keys {
    encoding: EncodingKey,
    decoding: DecodingKey,
}

/// What the bearer of a token may see.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Access {
    /// The application of the token, or an empty name in a service without credentials.
    pub(crate) account: String,
    /// How much of the account's data.
    pub(crate) scope: Scope,
}

/// How much of an account a token is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Scope {
    /// Everything.
    Account,
    /// Only reading the conversation with this id.
    Conversation(i64),
}

/// Why no token of a request is accepted. The greater reason is the one to report.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Refused {
    /// There is none, or the service did not make it.
    Invalid,
    /// The service made it, and its time is over.
    Expired,
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

/// The claims of a share token.
#[derive(Serialize, Deserialize)]
struct Shared {
    sub: String,
    conversation: i64,
    iat: u64,
    exp: u64,
}

/// The type of share tokens in their header.
const SHARE_TYPE: &str = "share+jwt";

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
        let account = Keys::new(&signing_key(key, &auth, None)?);
        let share = Keys::new(&signing_key(key, &auth, Some("share"))?);
        Ok(Self {
            auth,
            lifetime,
            account,
            share,
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
        let token = self.account.sign(&Header::default(), &claims)?;
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

    /// Makes a token that lets its bearer read one conversation of an account.
    pub(crate) fn share(
        &self,
        account: String,
        conversation: i64,
        lifetime: Duration,
    ) -> Result<Granted, TokenError> {
        let now = unix_seconds();
        let expires_in = lifetime.as_secs();
        let claims = Shared {
            sub: account,
            conversation,
            iat: now,
            exp: now.saturating_add(expires_in),
        };
        Ok(Granted {
            access_token: self.share.sign(&share_header(), &claims)?,
            expires_in,
        })
    }

    /// Returns what the first valid token gives access to.
    ///
    /// A service without credentials gives each client everything, whatever its token. Only
    /// a share token still limits its bearer there, and one that is not valid is refused, so
    /// that a link that has expired does not show more than before.
    pub(crate) fn check<'a>(
        &self,
        offered: impl Iterator<Item = &'a str>,
    ) -> Result<Access, Refused> {
        self.pass(offered).map(|(access, _)| access)
    }

    /// Returns the same, and when the token for it expires, in seconds since the Unix epoch.
    /// A service without credentials asks for no token of an application, so that never ends.
    pub(crate) fn pass<'a>(
        &self,
        offered: impl Iterator<Item = &'a str>,
    ) -> Result<(Access, Option<u64>), Refused> {
        let mut refused = None;
        for token in offered {
            let access = match (is_share(token), &self.auth) {
                (true, _) => self.shared(token),
                (false, Auth::None) => continue,
                (false, Auth::App { .. }) => self.whole(token),
            };
            match access {
                Ok((access, expires)) => return Ok((access, Some(expires))),
                Err(reason) => refused = refused.max(Some(reason)),
            }
        }
        match (refused, &self.auth) {
            (Some(reason), _) => Err(reason),
            (None, Auth::None) => {
                let access = Access {
                    account: String::new(),
                    scope: Scope::Account,
                };
                Ok((access, None))
            }
            (None, Auth::App { .. }) => Err(Refused::Invalid),
        }
    }

    /// Returns `true` if the token is one of an application that the service made, and has
    /// not expired.
    pub(crate) fn is_valid(&self, token: &str) -> bool {
        self.account.read::<Claims>(token).is_ok()
    }

    /// Checks the token of an application. Returns its access and when it expires.
    fn whole(&self, token: &str) -> Result<(Access, u64), Refused> {
        let Claims { sub, exp, .. } = self.account.read(token)?;
        Ok((self.access(sub, Scope::Account)?, exp))
    }

    /// Checks a share token. Returns its access and when it expires.
    fn shared(&self, token: &str) -> Result<(Access, u64), Refused> {
        let claims: Shared = self.share.read(token)?;
        let scope = Scope::Conversation(claims.conversation);
        Ok((self.access(claims.sub, scope)?, claims.exp))
    }

    /// Returns the access to an account, if this service serves it.
    fn access(&self, account: String, scope: Scope) -> Result<Access, Refused> {
        let served = match &self.auth {
            Auth::None => account.is_empty(),
            Auth::App { id, .. } => account == *id,
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

    fn sign(&self, header: &Header, claims: &impl Serialize) -> Result<String, TokenError> {
        let token = jsonwebtoken::encode(header, claims, &self.encoding);
        token.map_err(|error| TokenError::Signing(error.to_string()))
    }

    /// Returns the claims of a token that these keys signed and that has not expired.
    fn read<T: DeserializeOwned>(&self, token: &str) -> Result<T, Refused> {
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

fn share_header() -> Header {
    Header {
        typ: Some(SHARE_TYPE.to_owned()),
        ..Header::default()
    }
}

/// Returns `true` if the token says that it is a share token. Nothing else is checked.
fn is_share(token: &str) -> bool {
    let header = jsonwebtoken::decode_header(token);
    header.is_ok_and(|header| header.typ.as_deref() == Some(SHARE_TYPE))
}

/// Returns the key that tokens of these credentials are signed with: an HMAC-SHA256 of
/// them under the stored key. Each part has its length in front, so that no two pairs of
/// id and secret are the same bytes. `purpose` is a further part for other kinds of tokens.
fn signing_key(stored: &[u8], auth: &Auth, purpose: Option<&str>) -> Result<Vec<u8>, TokenError> {
    let mut about = Vec::new();
    let parts = match auth {
        Auth::None => vec!["anybody"],
        Auth::App { id, secret } => vec!["application", id, secret],
    };
    for part in parts.into_iter().chain(purpose) {
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

    fn open() -> Tokens {
        Tokens::new(Auth::None, Duration::from_secs(100), b"key").expect("a key")
    }

    fn check(tokens: &Tokens, offered: &[&str]) -> Result<Access, Refused> {
        tokens.check(offered.iter().copied())
    }

    /// Returns the account whose data the token gives access to.
    fn account(tokens: &Tokens, token: &str) -> Option<String> {
        check(tokens, &[token]).ok().map(|access| access.account)
    }

    fn access(account: &str, scope: Scope) -> Result<Access, Refused> {
        Ok(Access {
            account: account.to_owned(),
            scope,
        })
    }

    /// Returns a share token of the account for conversation 7.
    fn share(tokens: &Tokens, account: &str, seconds: u64) -> String {
        let lifetime = Duration::from_secs(seconds);
        let granted = tokens.share(account.to_owned(), 7, lifetime);
        let Granted {
            access_token,
            expires_in,
        } = granted.expect("a token");
        assert_eq!(expires_in, seconds);
        access_token
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
                let account = account(&of(other), &token);
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
        assert_eq!(account(&tokens, &token), None);
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
        let old = tokens.account.sign(&Header::default(), &claims).unwrap();
        assert!(!tokens.is_valid(&old));
        assert_eq!(check(&tokens, &[&old]), Err(Refused::Expired));
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

    /// Returns a share token whose time is over.
    fn over(tokens: &Tokens, account: &str) -> String {
        let claims = Shared {
            sub: account.to_owned(),
            conversation: 7,
            iat: 0,
            exp: unix_seconds() - 1,
        };
        tokens.share.sign(&share_header(), &claims).unwrap()
    }

    #[test]
    fn a_share_token_gives_one_conversation_and_never_the_account() {
        let tokens = tokens(100);
        let shared = share(&tokens, "a", 10);
        let one = access("a", Scope::Conversation(7));
        assert_eq!(check(&tokens, &[&shared]), one);
        assert_eq!(check(&tokens, &["x", &shared]), one);
        assert!(!tokens.is_valid(&shared));
        // A claim of the other kind does not help under the wrong key.
        let claims = Claims {
            sub: "a".into(),
            iat: 0,
            exp: unix_seconds() + 100,
        };
        let relabelled = tokens.share.sign(&Header::default(), &claims).unwrap();
        assert_eq!(check(&tokens, &[&relabelled]), Err(Refused::Invalid));
        // Another secret, another application, a service without credentials.
        for (other, account) in [(app("a", "t"), "a"), (app("b", "s"), "a"), (Auth::None, "")] {
            let other = Tokens::new(other, Duration::from_secs(100), b"key").expect("a key");
            assert_eq!(check(&other, &[&shared]), Err(Refused::Invalid));
            let theirs = share(&other, account, 10);
            assert_eq!(check(&tokens, &[&theirs]), Err(Refused::Invalid));
        }
        // The right key does not help the wrong account.
        let foreign = share(&tokens, "b", 10);
        assert_eq!(check(&tokens, &[&foreign]), Err(Refused::Invalid));
    }

    #[test]
    fn a_share_token_that_is_changed_anywhere_is_refused() {
        let tokens = tokens(100);
        let shared = share(&tokens, "a", 10);
        for at in 0..shared.len() {
            for other in [b'A', b'B', b'.'] {
                let mut bytes = shared.clone().into_bytes();
                if bytes[at] == other {
                    continue;
                }
                bytes[at] = other;
                let changed = String::from_utf8(bytes).expect("ASCII");
                let refused = check(&tokens, &[&changed]);
                assert_eq!(refused, Err(Refused::Invalid), "{at}: {changed}");
            }
            let refused = check(&tokens, &[&shared[..at]]);
            assert_eq!(refused, Err(Refused::Invalid), "{at}");
        }
    }

    #[test]
    fn a_share_token_limits_its_bearer_also_without_credentials() {
        let tokens = open();
        let everything = access("", Scope::Account);
        assert_eq!(check(&tokens, &[]), everything);
        assert_eq!(check(&tokens, &["of-another-service"]), everything);
        let shared = share(&tokens, "", 10);
        let one = access("", Scope::Conversation(7));
        assert_eq!(check(&tokens, &[&shared]), one);
        assert_eq!(check(&tokens, &["of-another-service", &shared]), one);
        // One that is over or changed does not become more.
        let over = over(&tokens, "");
        assert_eq!(check(&tokens, &["x", &over]), Err(Refused::Expired));
        let (signed, _) = shared.rsplit_once('.').expect("a signature");
        let changed = format!("{signed}.AAAA");
        assert_eq!(check(&tokens, &[&changed]), Err(Refused::Invalid));
    }

    #[test]
    fn the_reason_to_report_is_that_a_token_has_expired() {
        let tokens = tokens(100);
        let over = over(&tokens, "a");
        assert_eq!(check(&tokens, &[&over]), Err(Refused::Expired));
        assert_eq!(check(&tokens, &[&over, "x"]), Err(Refused::Expired));
        assert_eq!(check(&tokens, &["x", &over]), Err(Refused::Expired));
        assert_eq!(check(&tokens, &["x"]), Err(Refused::Invalid));
        assert_eq!(check(&tokens, &[]), Err(Refused::Invalid));
        let good = tokens.generate(BODY).unwrap().access_token;
        assert_eq!(check(&tokens, &[&over, &good]), access("a", Scope::Account));
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
