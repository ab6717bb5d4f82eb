// SPDX-License-Identifier: MPL-2.0

//! SIGHUP: what is read again, while a stream goes on.

use super::*;
use crate::common::process::token;
use crate::common::*;
use std::path::Path;
use symbl_service::recognizer::scripted::{silence, speech};

fn accounts(folder: &Path, named: &[(&str, &str)]) {
    let mut text = String::new();
    for (id, secret) in named {
        let file = format!("{id}-{secret}.secret");
        std::fs::write(folder.join(&file), format!("{secret}\n")).expect("room");
        text += &format!("[[account]]\nid = {id:?}\nsecret-file = {file:?}\n");
    }
    std::fs::write(folder.join("accounts.toml"), text).expect("room");
}

fn configuration(folder: &Path, more: &str) {
    let accounts = folder.join("accounts.toml");
    let text = format!("listen = \"127.0.0.1:0\"\naccounts = {accounts:?}\n{more}");
    std::fs::write(folder.join("symbl.toml"), text).expect("room");
}

async fn status(service: &Running, token: &str) -> u16 {
    let request = format!("GET /v1/conversations?access_token={token}");
    let (head, _) = http(service, &request, "").await;
    head.split(' ').nth(1).expect(&head).parse().expect(&head)
}

#[tokio::test]
async fn a_reload_changes_accounts_limits_and_the_log_and_no_stream_loses_a_word() {
    let folder = tempfile::tempdir().expect("a folder");
    let folder = folder.path();
    accounts(folder, &[("shop", "s1"), ("bank", "s2")]);
    configuration(folder, "max-connections = 1\nlog = \"info\"\n");
    let mut service = Running::start(command().arg("--config").arg(folder.join("symbl.toml")));
    let shop = token(&service, "shop", "s1").await;
    let bank = token(&service, "bank", "s2").await;
    assert_eq!(
        (status(&service, &shop).await, status(&service, &bank).await),
        (200, 200)
    );

    let path = format!("/v1/streaming/x?access_token={bank}");
    let (mut client, _) = Client::open(&service, &path, &[]).await.expect("a socket");
    client.start(&start_request()).await;
    client.send_audio(&linear16(&speech(0..5, 16_000))).await;
    client.until("recognition_result").await;
    let second = format!("/v1/streaming/y?access_token={shop}");
    assert!(
        Client::open(&service, &second, &[]).await.is_err(),
        "one is all"
    );

    // The account of the stream goes, a third one comes.
    accounts(folder, &[("shop", "s1"), ("mill", "s3")]);
    configuration(
        folder,
        "max-connections = 2\nlog = \"debug\"\nmax-idle = 99\n",
    );
    service.signal("-HUP");
    service.logged("takes effect at the next start");
    service.logged("SIGHUP: the configuration was read again");
    assert_eq!(
        (status(&service, &shop).await, status(&service, &bank).await),
        (200, 401)
    );
    let mill = token(&service, "mill", "s3").await;
    assert_eq!(status(&service, &mill).await, 200);
    let (other, _) = Client::open(&service, &second, &[])
        .await
        .expect("two are allowed now");

    // What cannot be used changes nothing.
    std::fs::write(folder.join("symbl.toml"), "max-idel = 1\n").expect("room");
    service.signal("-HUP");
    let line = service.logged("the configuration that was read before stays");
    assert!(line.contains("max-idel"), "{line}");
    assert_eq!(status(&service, &mill).await, 200);
    let (open, _) = http(&service, "GET /v1/conversations", "").await;
    assert!(open.contains(" 401 "), "{open}");

    client.send_audio(&linear16(&speech(5..10, 16_000))).await;
    client
        .send_audio(&linear16(&silence(Duration::from_millis(500), 16_000)))
        .await;
    client.stop().await;
    let heard = client.rest().await;
    let words = final_words(&heard);
    let expected: Vec<String> = (0..10).map(|n| format!("w{n}")).collect();
    assert_eq!(texts(&words), expected);
    drop(other);
    let log = service.end();
    assert!(
        log.iter().any(|line| line.contains("DEBUG")),
        "the level was changed"
    );
}

#[tokio::test]
async fn a_service_with_credentials_stays_closed_until_it_is_restarted() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("symbl.toml");
    let closed = "listen = \"127.0.0.1:0\"\napp-id = \"a\"\napp-secret = \"h-u-s-h\"\n";
    std::fs::write(&file, closed).expect("room");
    let mut service = Running::start(command().arg("--config").arg(&file));
    std::fs::write(&file, "listen = \"127.0.0.1:0\"\n").expect("room");
    service.signal("-HUP");
    service.logged("restart it");
    assert_eq!(get(service.address(), "/v1/conversations").0, 401);
    std::fs::write(&file, closed.replace("h-u-s-h", "n-e-w")).expect("room");
    service.signal("-HUP");
    let line = service.logged("changed");
    assert!(line.contains("app-secret"), "{line}");
    service.logged("the configuration was read again");
    let token = token(&service, "a", "n-e-w").await;
    assert_eq!(status(&service, &token).await, 200);
    let log = service.end();
    assert!(
        !log.iter()
            .any(|line| line.contains("n-e-w") || line.contains("h-u-s-h")),
        "{log:?}"
    );
}
