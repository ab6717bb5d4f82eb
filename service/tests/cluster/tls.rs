// SPDX-License-Identifier: MPL-2.0

//! TLS to the database.

use super::*;
use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, Issuer, KeyPair, SanType,
};
use std::net::{IpAddr, Ipv4Addr};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU8, Ordering};

/// A certificate and its key, in PEM.
struct Certificate {
    pem: String,
    key: String,
}

/// Returns an authority that signs certificates.
fn authority() -> CertifiedIssuer<'static, KeyPair> {
    let mut params = CertificateParams::new(Vec::new()).expect("names");
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let key = KeyPair::generate().expect("a key");
    CertifiedIssuer::self_signed(params, key).expect("an authority")
}

/// Returns a certificate of this authority for these names.
fn certificate(by: &CertifiedIssuer<'static, KeyPair>, names: Vec<SanType>) -> Certificate {
    let mut params = CertificateParams::new(Vec::new()).expect("names");
    params.subject_alt_names = names;
    // One with the name of its authority would count as one that has signed itself.
    params
        .distinguished_name
        .push(DnType::CommonName, "somebody");
    let key = KeyPair::generate().expect("a key");
    let issuer: &Issuer<'static, KeyPair> = by;
    let signed = params.signed_by(&key, issuer).expect("a certificate");
    Certificate {
        pem: signed.pem(),
        key: key.serialize_pem(),
    }
}

/// Returns an address of this machine that no other server listens at.
fn own_address() -> IpAddr {
    static NEXT: AtomicU8 = AtomicU8::new(1);
    let [.., high, low] = std::process::id().to_be_bytes();
    let next = NEXT.fetch_add(1, Ordering::Relaxed);
    Ipv4Addr::new(127, high.max(1), low, next).into()
}

/// Lets clients connect by TCP with TLS only.
const TLS_ONLY: &str = "local all all trust\nhostssl all all 127.0.0.0/8 trust\n";

/// Lets clients connect by TCP with TLS and a certificate only.
const CLIENTS: &str =
    "local all all trust\nhostssl all all 127.0.0.0/8 trust clientcert=verify-ca\n";

/// A server with a certificate, and the authority of it.
struct Secured {
    server: Postgres,
    address: IpAddr,
    authority: CertifiedIssuer<'static, KeyPair>,
    files: tempfile::TempDir,
}

impl Secured {
    fn start(rules: &str) -> Option<Self> {
        let (address, authority) = (own_address(), authority());
        let names = vec![
            SanType::IpAddress(address),
            SanType::DnsName("db.example".try_into().expect("a name")),
        ];
        let own = certificate(&authority, names);
        let listen = format!("listen_addresses={address}");
        let options = [
            "ssl=on",
            "ssl_cert_file=../server.crt",
            "ssl_key_file=../server.key",
            "ssl_ca_file=../ca.crt",
            "hba_file=hba.conf",
            &listen,
        ];
        let options: Vec<&str> = options.iter().flat_map(|option| ["-c", option]).collect();
        let files = [
            ("server.crt", own.pem.as_str()),
            ("server.key", &own.key),
            ("ca.crt", &authority.pem()),
            ("hba.conf", rules),
        ];
        let secured = Self {
            server: Postgres::start_with(&options, &files)?,
            address,
            authority,
            files: tempfile::tempdir().expect("a folder"),
        };
        Some(secured)
    }

    /// Writes a file and returns where it is.
    fn file(&self, name: &str, content: &str) -> PathBuf {
        let path = self.files.path().join(name);
        std::fs::write(&path, content).expect("a file");
        path
    }

    /// Returns the file with the authority.
    fn trusted(&self) -> PathBuf {
        self.file("ca.pem", &self.authority.pem())
    }

    /// Creates a database. Returns its URL with these parameters, and the one by which the
    /// test asks.
    fn database(&self, parameters: &str) -> (String, String) {
        let asked = self.server.database();
        let name = asked.rsplit('/').next().expect("a name");
        let host = self.address;
        let url = format!("postgres://postgres:hush@{host}/{name}?{parameters}");
        (url, asked)
    }

    /// Starts a node at a URL with these parameters and returns why that fails.
    async fn refusal(&self, parameters: &str) -> String {
        let (url, _) = self.database(parameters);
        let refused = Server::bind(configured(&url)).await.expect_err(parameters);
        let text = refused.to_string();
        assert!(!format!("{text} {refused:?}").contains("hush"), "{text}");
        text
    }
}

fn shown(path: &Path) -> std::path::Display<'_> {
    path.display()
}

/// Returns what the database says of the connections of nodes: those without TLS, and those
/// that listen with TLS.
fn connections(secured: &Secured, url: &str) -> String {
    let sql = "SELECT count(*) FILTER (WHERE NOT ssl),
               count(*) FILTER (WHERE ssl AND query = 'LISTEN symbl'),
               count(*) FILTER (WHERE ssl) > 2
               FROM pg_stat_ssl JOIN pg_stat_activity USING (pid)
               WHERE application_name = 'symbl-service' AND datname = current_database()";
    secured.server.ask(url, sql)
}

#[tokio::test]
async fn all_connections_of_a_node_use_tls_and_the_server_is_checked() {
    let Some(secured) = Secured::start(TLS_ONLY) else {
        return;
    };
    let trusted = secured.trusted();
    let documented = include_str!("../../../docs/cluster.md").split("db1.example/symbl?");
    let documented = documented.skip(1).find_map(|rest| rest.split('\'').next());
    let documented = documented.expect("a URL with parameters");
    let there = "/etc/symbl-service/db-ca.pem";
    assert!(documented.contains(there), "{documented}");
    for parameters in [
        documented.replace(there, &shown(&trusted).to_string()),
        format!("sslrootcert={}&sslmode=require", shown(&trusted)),
        format!("sslrootcert={}", shown(&trusted)),
        format!("sslmode=verify-ca&sslrootcert={}", shown(&trusted)),
        "sslmode=prefer".to_owned(),
        "application_name=symbl-service".to_owned(),
    ] {
        let (url, asked) = secured.database(&parameters);
        let node = node(&url).await;
        let (mut ada, id) = Client::started(&node, "tls", &start_as("Ada", 60)).await;
        let mut listener = subscriber(&node, "tls").await;
        ada.send_audio(&said(0..2)).await;
        assert_eq!(message(&mut listener).await.0, 0);
        assert_eq!(history(&node, &id).await.len(), 1);
        in_time(async {
            while connections(&secured, &asked) != "0|1|t" {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        })
        .await;
    }
}

#[tokio::test]
async fn a_server_that_is_not_the_one_that_was_meant_is_refused() {
    let Some(secured) = Secured::start(TLS_ONLY) else {
        return;
    };
    let (trusted, host) = (secured.trusted(), secured.address);
    let other = secured.file("other.pem", &authority().pem());
    let other = format!("sslmode=verify-full&sslrootcert={}", shown(&other));
    let text = secured.refusal(&other).await;
    assert!(text.contains("give sslrootcert=FILE"), "{text}");
    // The authorities of the system have not signed it either.
    for mode in ["require", "verify-full", "verify-full&sslrootcert=system"] {
        let text = secured.refusal(&format!("sslmode={mode}")).await;
        assert!(text.contains("sslrootcert=FILE"), "{mode}: {text}");
    }
    // The name is the one that the certificate has, or not, wherever the server is.
    let named = |name: &str, mode: &str| {
        let (url, _) = secured.database(&format!("sslmode={mode}&hostaddr={host}"));
        let url = url.replacen(&host.to_string(), name, 1);
        format!("{url}&sslrootcert={}", shown(&trusted))
    };
    drop(node(&named("db.example", "verify-full")).await);
    drop(node(&named("db.other", "verify-ca")).await);
    for mode in ["verify-full", "require"] {
        let bound = Server::bind(configured(&named("db.other", mode))).await;
        let text = bound.expect_err("refused").to_string();
        assert!(text.contains("not valid for name"), "{text}");
        assert!(text.contains("as its certificate does"), "{text}");
        assert!(!text.contains("hush"), "{text}");
    }
    // The certificate of the server itself, without its authority.
    let own = certificate(&authority(), vec![SanType::IpAddress(host)]).pem;
    let foreign = secured.file("foreign.pem", &own);
    let foreign = format!("sslmode=verify-full&sslrootcert={}", shown(&foreign));
    secured.refusal(&foreign).await;
}

#[tokio::test]
async fn a_certificate_that_signs_itself_is_trusted_by_name() {
    let address = own_address();
    let names = vec!["db.example".to_owned()];
    let mut params = CertificateParams::new(names).expect("names");
    // What `openssl req -x509` makes.
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let key = KeyPair::generate().expect("a key");
    let pem = params.self_signed(&key).expect("a certificate").pem();
    let listen = format!("listen_addresses={address}");
    let options = [
        "ssl=on",
        "ssl_cert_file=../server.crt",
        "ssl_key_file=../server.key",
        "hba_file=hba.conf",
        &listen,
    ];
    let options: Vec<&str> = options.iter().flat_map(|option| ["-c", option]).collect();
    let key = key.serialize_pem();
    let files = [
        ("server.crt", pem.as_str()),
        ("server.key", &key),
        ("hba.conf", TLS_ONLY),
    ];
    let Some(server) = Postgres::start_with(&options, &files) else {
        return;
    };
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("server.pem");
    std::fs::write(&file, &pem).expect("a file");
    let name = server.database();
    let name = name.rsplit('/').next().expect("a name");
    let url = |host: &str, mode: &str| {
        let file = file.display();
        format!(
            "postgres://postgres@{host}/{name}?hostaddr={address}&sslmode={mode}&sslrootcert={file}"
        )
    };
    drop(node(&url("db.example", "verify-full")).await);
    drop(node(&url("db.other", "verify-ca")).await);
    let bound = Server::bind(configured(&url("db.other", "verify-full"))).await;
    let text = bound.expect_err("refused").to_string();
    assert!(text.contains("as its certificate does"), "{text}");
}

#[tokio::test]
async fn a_server_without_tls_is_refused_where_tls_is_required() {
    let address = own_address();
    let listen = format!("listen_addresses={address}");
    let rules = "local all all trust\nhost all all 127.0.0.0/8 trust\n";
    let options = ["-c", &listen, "-c", "hba_file=hba.conf"];
    let Some(server) = Postgres::start_with(&options, &[("hba.conf", rules)]) else {
        return;
    };
    let url = |mode: &str| {
        let asked = server.database();
        let name = asked.rsplit('/').next().expect("a name");
        format!("postgres://postgres:hush@{address}/{name}?sslmode={mode}")
    };
    for mode in ["require", "verify-full"] {
        let refused = Server::bind(configured(&url(mode))).await;
        let text = refused.expect_err("refused").to_string();
        assert!(text.contains("does not support TLS"), "{text}");
        assert!(text.contains("set ssl = on"), "{text}");
        assert!(!text.contains("hush"), "{text}");
    }
    drop(node(&url("prefer")).await);
    drop(node(&url("disable")).await);
    // A socket of the machine has no TLS, whatever the URL says.
    let local = format!("{}?sslmode=verify-full", server.database());
    drop(node(&local).await);
}

#[tokio::test]
async fn a_server_that_asks_for_a_certificate_gets_that_of_the_node() {
    let Some(secured) = Secured::start(CLIENTS) else {
        return;
    };
    let own = certificate(&secured.authority, Vec::new());
    let (trusted, pem) = (secured.trusted(), secured.file("own.pem", &own.pem));
    let key = secured.file("own.key", &own.key);
    let checked = format!("sslmode=verify-full&sslrootcert={}", shown(&trusted));
    let text = secured.refusal(&checked).await;
    assert!(text.contains("cannot be reached"), "{text}");
    let with = |key: &Path| format!("{checked}&sslcert={}&sslkey={}", shown(&pem), shown(key));
    let (url, _) = secured.database(&with(&key));
    drop(node(&url).await);
    let stranger = certificate(&authority(), Vec::new());
    let wrong = secured.file("wrong.key", &stranger.key);
    let text = secured.refusal(&with(&wrong)).await;
    assert!(text.contains("wrong.key"), "{text}");
    let text = secured.refusal(&with(Path::new("/nowhere"))).await;
    assert!(text.contains("/nowhere"), "{text}");
    let text = secured.refusal(&format!("{checked}&sslcert=own.pem")).await;
    assert!(text.contains("needed together"), "{text}");
}

#[tokio::test]
async fn a_url_that_asks_for_more_than_is_done_is_refused() {
    for (parameters, why) in [
        ("sslmode=allow", "sslmode is none of"),
        ("sslmode=verify-ca", "verify-ca needs sslrootcert=FILE"),
        ("sslmode=prefer&sslrootcert=a.pem", "has no effect"),
        ("sslmode=disable&sslrootcert=a.pem", "has no effect"),
        ("sslcrl=hush.pem", "sslcrl is not known here"),
        ("sslrootcert=%2Fnowhere%2Fa.pem", "/nowhere/a.pem"),
    ] {
        let url = format!("postgres://ada:hush@127.0.0.1:1/talks?{parameters}");
        let refused = Server::bind(configured(&url)).await.expect_err(parameters);
        let text = refused.to_string();
        assert!(text.contains(why), "{text}");
        assert!(!text.contains("hush"), "{text}");
    }
}
