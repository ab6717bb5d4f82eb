// SPDX-License-Identifier: MPL-2.0

//! Which servers the service may call: rules of hosts, and addresses that are never called
//! unless they are named. Pure.
//!
//! A client can give any address, so without rules it could make the service call servers that
//! only the service reaches. The names are looked up once, and the address that was checked is
//! the one that is called ([`super::web`]).

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::str::FromStr;
use url::{Host, Url};

/// A host that may be called: `name`, `*.domain` or `http://name`. Without a scheme, only HTTPS.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HostRule {
    /// Plain HTTP may be used too.
    is_plain: bool,
    /// Every name below this one.
    is_suffix: bool,
    /// In lower case; an IPv6 address without brackets.
    name: String,
    /// Only this port, if it is given.
    port: Option<u16>,
}

/// A text that is no [`HostRule`].
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is no host; give a name such as files.example, *.example or http://127.0.0.1:9000")]
pub struct HostRuleError(String);

impl FromStr for HostRule {
    type Err = HostRuleError;

    fn from_str(text: &str) -> Result<Self, HostRuleError> {
        let wrong = || HostRuleError(text.to_owned());
        let (is_plain, rest) = match text.split_once("://") {
            Some(("http", rest)) => (true, rest),
            Some(("https", rest)) => (false, rest),
            Some(_) => return Err(wrong()),
            None => (false, text),
        };
        let (is_suffix, rest) = match rest.strip_prefix("*.") {
            Some(rest) => (true, rest),
            None => (false, rest),
        };
        let url = Url::parse(&format!("https://{rest}")).map_err(|_| wrong())?;
        let is_bare = url.path() == "/"
            && url.query().is_none()
            && url.fragment().is_none()
            && url.username().is_empty()
            && !rest.ends_with(['/', '*']);
        let name = name_of(&url).filter(|_| is_bare).ok_or_else(wrong)?;
        if is_suffix && name.parse::<IpAddr>().is_ok() {
            return Err(wrong());
        }
        Ok(Self {
            is_plain,
            is_suffix,
            name,
            port: url.port(),
        })
    }
}

impl fmt::Display for HostRule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let star = if self.is_suffix { "*." } else { "" };
        write!(f, "{star}{}", self.name)
    }
}

impl HostRule {
    fn covers(&self, name: &str) -> bool {
        match self.is_suffix {
            true => name
                .strip_suffix(&self.name)
                .is_some_and(|rest| rest.ends_with('.') && rest.len() > 1),
            false => name == self.name,
        }
    }
}

/// Where a request may go.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Permit {
    pub(crate) name: String,
    pub(crate) port: u16,
    pub(crate) is_tls: bool,
    /// Addresses of private networks too, because the host was named.
    pub(crate) is_private_allowed: bool,
}

impl Permit {
    /// Returns `true` if this address may be called.
    pub(crate) fn allows(&self, address: IpAddr) -> bool {
        self.is_private_allowed || !is_private(address)
    }
}

/// Why an address may not be called.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Forbidden {
    #[error("{0:?} is no address of a web server (https://…)")]
    NoUrl(String),
    #[error("{name} is not among the hosts that the service may call ({option})")]
    Host { name: String, option: &'static str },
    #[error("{name} is called over HTTPS only; {option} http://{name} allows HTTP")]
    Plain { name: String, option: &'static str },
    #[error("{name} is an address of a private network, which only a rule may name ({option})")]
    Private { name: String, option: &'static str },
    #[error("an address with a user's name or a password is not called")]
    User,
}

/// Returns where a request to `url` may go. Without rules, any host over HTTPS if `is_open`.
pub(crate) fn permit(
    url: &str,
    rules: &[HostRule],
    option: &'static str,
    is_open: bool,
) -> Result<(Url, Permit), Forbidden> {
    // What is in front of an @ may be a password.
    let no_url = || match url.contains('@') {
        true => Forbidden::NoUrl("…".to_owned()),
        false => Forbidden::NoUrl(url.chars().take(200).collect()),
    };
    let parsed = Url::parse(url).map_err(|_| no_url())?;
    let is_tls = match parsed.scheme() {
        "https" => true,
        "http" => false,
        _ => return Err(no_url()),
    };
    if !parsed.username().is_empty() || parsed.password().is_some() {
        return Err(Forbidden::User);
    }
    let name = name_of(&parsed).ok_or_else(no_url)?;
    let port = parsed.port_or_known_default().ok_or_else(no_url)?;
    let is_free = rules.is_empty() && is_open;
    let covers = |rule: &&HostRule| rule.covers(&name) && rule.port.is_none_or(|own| own == port);
    let covering: Vec<&HostRule> = rules.iter().filter(covers).collect();
    if covering.is_empty() && !is_free {
        return Err(Forbidden::Host { name, option });
    }
    if !is_tls && !covering.iter().any(|rule| rule.is_plain) {
        return Err(Forbidden::Plain { name, option });
    }
    let is_private_allowed = covering.iter().any(|rule| !rule.is_suffix);
    let permit = Permit {
        name,
        port,
        is_tls,
        is_private_allowed,
    };
    let literal = match parsed.host() {
        Some(Host::Ipv4(address)) => Some(IpAddr::V4(address)),
        Some(Host::Ipv6(address)) => Some(IpAddr::V6(address)),
        _ => None,
    };
    if literal.is_some_and(|address| !permit.allows(address)) {
        let name = permit.name;
        return Err(Forbidden::Private { name, option });
    }
    Ok((parsed, permit))
}

/// Returns the host of an address in lower case, without brackets and a dot at its end.
fn name_of(url: &Url) -> Option<String> {
    let name = match url.host()? {
        Host::Domain(name) => name.trim_end_matches('.').to_ascii_lowercase(),
        Host::Ipv4(address) => address.to_string(),
        Host::Ipv6(address) => address.to_string(),
    };
    (!name.is_empty()).then_some(name)
}

/// Returns `true` for addresses that are not those of servers of the public Internet.
pub(crate) fn is_private(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(address) => is_private_v4(address),
        IpAddr::V6(address) => is_private_v6(address),
    }
}

fn is_private_v4(address: Ipv4Addr) -> bool {
    let [a, b, c, _] = address.octets();
    a == 0
        || address.is_private()
        || address.is_loopback()
        || address.is_link_local()
        || address.is_documentation()
        || address.is_multicast()
        || a >= 240
        || (a == 100 && (64..128).contains(&b))
        || (a == 192 && b == 0 && c == 0)
        || (a == 198 && (b == 18 || b == 19))
}

fn is_private_v6(address: Ipv6Addr) -> bool {
    if let Some(inner) = address.to_ipv4() {
        // Mapped and compatible addresses, with `::` and `::1`.
        return is_private_v4(inner);
    }
    let [a, b, c, d, _, _, g, h] = address.segments();
    let inner = |high: u16, low: u16| {
        let ([a, b], [c, d]) = (high.to_be_bytes(), low.to_be_bytes());
        is_private_v4(Ipv4Addr::new(a, b, c, d))
    };
    address.is_unique_local()
        || address.is_unicast_link_local()
        || address.is_multicast()
        || (a & 0xffc0) == 0xfec0
        || (a, b) == (0x2001, 0xdb8)
        || (a, b) == (0x2001, 0)
        || (a == 0x2002 && inner(b, c))
        || ((a, b, c, d) == (0x64, 0xff9b, 0, 0) && inner(g, h))
        || (a, b, c) == (0x64, 0xff9b, 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rules(texts: &[&str]) -> Vec<HostRule> {
        texts
            .iter()
            .map(|text| text.parse().expect("a rule"))
            .collect()
    }

    fn allowed(url: &str, texts: &[&str]) -> Result<Permit, Forbidden> {
        permit(url, &rules(texts), "--fetch-host", false).map(|(_, permit)| permit)
    }

    #[test]
    fn a_host_is_called_if_a_rule_names_it() {
        let example = [
            "files.example",
            "*.media.example",
            "http://plain.example:8080",
        ];
        for url in [
            "https://files.example/a.wav",
            "https://FILES.example./a",
            "https://a.b.media.example",
            "http://plain.example:8080/x",
            "https://plain.example:8080/x",
        ] {
            assert!(allowed(url, &example).is_ok(), "{url}");
        }
        for url in [
            "https://other.example",
            "https://media.example",
            "https://evilmedia.example",
            "https://files.example.evil.example",
            "https://files.example@evil.example/",
            "http://files.example/",
            "http://plain.example/",
            "ftp://files.example",
            "file:///etc/passwd",
            "files.example",
            "https://",
        ] {
            assert!(allowed(url, &example).is_err(), "{url}");
        }
        assert!(allowed("https://files.example", &[]).is_err(), "off");
        let free = |url| permit(url, &[], "--webhook-host", true).map(|(_, permit)| permit);
        assert!(!free("https://x.example").expect("free").is_private_allowed);
        assert!(free("http://x.example").is_err());
    }

    #[test]
    fn private_addresses_need_a_rule_that_names_the_host() {
        let private: IpAddr = "10.0.0.1".parse().expect("an address");
        let of = |url, rule| allowed(url, &[rule]).expect("allowed");
        assert!(of("https://files.example", "files.example").allows(private));
        assert!(!of("https://a.example", "*.example").allows(private));
        assert!(of("http://127.0.0.1:9/x", "http://127.0.0.1:9").is_private_allowed);
        assert!(
            allowed("http://2130706433/", &["*.example"]).is_err(),
            "127.0.0.1 as a number"
        );
    }

    #[test]
    fn private_addresses_and_users_are_refused_at_once() {
        let free = |url: &str| permit(url, &[], "--webhook-host", true).map(drop);
        for host in [
            "10.0.0.1",
            "127.0.0.1",
            "[::ffff:127.0.0.1]",
            "[::1]",
            "2130706433",
        ] {
            let refused = free(&format!("https://{host}/"));
            assert!(matches!(refused, Err(Forbidden::Private { .. })), "{host}");
        }
        assert_eq!(free("https://1.1.1.1/"), Ok(()));
        assert!(allowed("https://10.0.0.1/", &["10.0.0.1"]).is_ok(), "named");
        for url in [
            "https://bob:secret@files.example/",
            "https://secret@files.example/",
            "https://bob:secret@:x/",
            "ftp://bob:secret@files.example/",
        ] {
            let refused = allowed(url, &["files.example"]).expect_err(url);
            assert!(!refused.to_string().contains("secret"), "{refused}");
        }
    }

    #[test]
    fn addresses_of_no_public_server_are_private() {
        for text in [
            "0.0.0.0",
            "10.1.2.3",
            "127.0.0.1",
            "169.254.169.254",
            "172.16.0.1",
            "192.168.0.1",
            "100.64.0.1",
            "192.0.0.8",
            "198.18.0.1",
            "224.0.0.1",
            "240.0.0.1",
            "255.255.255.255",
            "::",
            "::1",
            "::ffff:127.0.0.1",
            "::127.0.0.1",
            "fc00::1",
            "fe80::1",
            "fec0::1",
            "ff02::1",
            "2001:db8::1",
            "2002:7f00:1::",
            "64:ff9b::7f00:1",
            "64:ff9b:1::1",
        ] {
            assert!(is_private(text.parse().expect(text)), "{text}");
        }
        for text in [
            "1.1.1.1",
            "100.128.0.1",
            "2606:4700::1111",
            "64:ff9b::101:101",
            "2002:101:101::",
        ] {
            assert!(!is_private(text.parse().expect(text)), "{text}");
        }
    }

    #[test]
    fn what_is_no_host_is_no_rule() {
        for text in [
            "",
            "*",
            "*.",
            "a/b",
            "a/",
            "ftp://a",
            "user@a",
            "a?b",
            "*.127.0.0.1",
            "a b",
        ] {
            assert!(text.parse::<HostRule>().is_err(), "{text:?}");
        }
    }
}
