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
use crate::door::keyring::{Book, Claims, Shared};
use jsonwebtoken::Header;
use serde::{Deserialize, Serialize};
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// Creates tokens and checks the tokens of requests.
pub(crate) struct Tokens {
    /// The stored key that all other keys are made of.
    stored: Vec<u8>,
    book: RwLock<Arc<Book>>,
    cached: Mutex<Vec<Cached>>,
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
        Ok(Self {
            stored: key.to_owned(),
            book: RwLock::new(Arc::new(Book::new(auth, lifetime, key)?)),
            cached: Mutex::default(),
        })
    }

    /// Replaces the credentials and the lifetime of tokens. Tokens of an application that is
    /// gone, or whose secret is another one, are no longer accepted.
    pub(crate) fn replace(&self, auth: Auth, lifetime: Duration) -> Result<(), TokenError> {
        let book = Arc::new(Book::new(auth, lifetime, &self.stored)?);
        let mut cached = self.cached.lock().unwrap_or_else(PoisonError::into_inner);
        *self.book.write().unwrap_or_else(PoisonError::into_inner) = book;
        // A cached token may be one of the old credentials.
        cached.clear();
        Ok(())
    }

    /// Returns `true` if the service asks for credentials.
    pub(crate) fn is_closed(&self) -> bool {
        !matches!(self.book().auth, Auth::None)
    }

    fn book(&self) -> Arc<Book> {
        Arc::clone(&self.book.read().unwrap_or_else(PoisonError::into_inner))
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
        if !self.book().knows(&app_id, secret) {
            return Err(TokenError::Unauthorized);
        }
        self.token_for(app_id)
    }

    fn token_for(&self, app_id: String) -> Result<Granted, TokenError> {
        let now = unix_seconds();
        let mut cached = self.cached.lock().unwrap_or_else(|e| e.into_inner());
        // Read with the lock held, so that no token of old credentials is cached after
        // they were replaced.
        let book = self.book();
        let lifetime = book.lifetime.as_secs();
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
        let pair = book.pair(&app_id).ok_or(TokenError::Unauthorized)?;
        let token = pair.account.sign(&book.header(&app_id), &claims)?;
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
        let book = self.book();
        let pair = book.pair(&account).ok_or(TokenError::Unauthorized)?;
        let header = Header {
            typ: Some(SHARE_TYPE.to_owned()),
            ..book.header(&account)
        };
        let claims = Shared {
            sub: account,
            conversation,
            iat: now,
            exp: now.saturating_add(expires_in),
        };
        Ok(Granted {
            access_token: pair.share.sign(&header, &claims)?,
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
        let book = self.book();
        let mut refused = None;
        for token in offered {
            let access = match (is_share(token), &book.auth) {
                (true, _) => book.shared(token),
                (false, Auth::None) => continue,
                (false, _) => book.whole(token),
            };
            match access {
                Ok((access, expires)) => return Ok((access, Some(expires))),
                Err(reason) => refused = refused.max(Some(reason)),
            }
        }
        match (refused, &book.auth) {
            (Some(reason), _) => Err(reason),
            (None, Auth::None) => {
                let access = Access {
                    account: String::new(),
                    scope: Scope::Account,
                };
                Ok((access, None))
            }
            (None, _) => Err(Refused::Invalid),
        }
    }

    /// Returns `true` if the token is one of an application that the service made, and has
    /// not expired.
    pub(crate) fn is_valid(&self, token: &str) -> bool {
        let book = self.book();
        book.pair_of(token)
            .is_ok_and(|(_, pair)| pair.account.read::<Claims>(token).is_ok())
    }
}

/// Returns `true` if the token says that it is a share token. Nothing else is checked.
fn is_share(token: &str) -> bool {
    let header = jsonwebtoken::decode_header(token);
    header.is_ok_and(|header| header.typ.as_deref() == Some(SHARE_TYPE))
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
                _ => "a".to_owned(),
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
        let old = tokens
            .book()
            .pair("")
            .expect("a pair")
            .account
            .sign(&Header::default(), &claims)
            .unwrap();
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
        {
            let header = Header {
                typ: Some(SHARE_TYPE.to_owned()),
                ..Header::default()
            };
            let book = tokens.book();
            let pair = book.pair(account).expect("a pair");
            pair.share.sign(&header, &claims).unwrap()
        }
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
        let relabelled = tokens
            .book()
            .pair("")
            .expect("a pair")
            .share
            .sign(&Header::default(), &claims)
            .unwrap();
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

    /// Returns several applications, with the same secret unless it is given.
    fn accounts(named: &[(&str, &str)]) -> Auth {
        let account = |(id, secret): &(&str, &str)| crate::config::Account {
            id: (*id).to_owned(),
            secret: crate::config::Secret::of(secret),
        };
        Auth::Accounts(named.iter().map(account).collect())
    }

    fn ask(tokens: &Tokens, id: &str, secret: &str) -> Option<String> {
        let body = serde_json::json!({"type": "application", "appId": id, "appSecret": secret});
        let granted = tokens.generate(body.to_string().as_bytes()).ok()?;
        Some(granted.access_token)
    }

    #[test]
    fn each_of_several_applications_has_its_own_tokens() {
        let life = Duration::from_secs(100);
        let both = accounts(&[("a", "s"), ("b", "s")]);
        let tokens = Tokens::new(both, life, b"key").expect("a key");
        assert_eq!(ask(&tokens, "a", "t"), None);
        assert_eq!(ask(&tokens, "c", "s"), None);
        let mine = ask(&tokens, "a", "s").expect("a token");
        let theirs = ask(&tokens, "b", "s").expect("a token");
        assert_eq!(account(&tokens, &mine).as_deref(), Some("a"));
        assert_eq!(account(&tokens, &theirs).as_deref(), Some("b"));
        let shared = share(&tokens, "b", 10);
        let one = access("b", Scope::Conversation(7));
        assert_eq!(check(&tokens, &[&shared]), one);
        // The key of one account signs nothing for another.
        let claims = Claims {
            sub: "b".into(),
            iat: 0,
            exp: unix_seconds() + 100,
        };
        let book = tokens.book();
        let pair = book.pair("a").expect("a pair");
        for kid in ["a", "b"] {
            let forged = pair.account.sign(&book.header(kid), &claims).unwrap();
            assert_eq!(check(&tokens, &[&forged]), Err(Refused::Invalid), "{kid}");
        }
        let single = Tokens::new(app("a", "s"), life, b"key").expect("a key");
        assert_eq!(account(&single, &mine), None);
    }

    #[test]
    fn the_tokens_of_an_application_end_with_it_and_with_its_secret() {
        let life = Duration::from_secs(100);
        let three = accounts(&[("a", "s"), ("b", "s"), ("c", "s")]);
        let tokens = Tokens::new(three, life, b"key").expect("a key");
        let [a, b, c] = ["a", "b", "c"].map(|id| ask(&tokens, id, "s").expect("a token"));
        let fewer = accounts(&[("a", "s"), ("b", "new")]);
        tokens.replace(fewer, life).expect("keys");
        assert_eq!(account(&tokens, &a).as_deref(), Some("a"));
        assert_eq!(account(&tokens, &b), None, "another secret");
        assert_eq!(account(&tokens, &c), None, "no application");
        assert_eq!(ask(&tokens, "b", "s"), None);
        let new = ask(&tokens, "b", "new").expect("a token");
        assert_eq!(account(&tokens, &new).as_deref(), Some("b"));
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
