// SPDX-License-Identifier: MPL-2.0

//! What the service tells systemd, which a test reads in its place.

use super::*;
use std::os::unix::net::UnixDatagram;
use std::path::Path;

/// The socket that systemd would read.
struct Manager(UnixDatagram);

impl Manager {
    fn new(path: &Path) -> Self {
        let socket = UnixDatagram::bind(path).expect("a socket");
        socket.set_read_timeout(Some(BOUND)).expect("a limit");
        Self(socket)
    }

    fn next(&self) -> String {
        let mut text = [0; 4096];
        let length = self.0.recv(&mut text).expect("a notification");
        String::from_utf8_lossy(&text[..length]).into_owned()
    }

    /// Waits for a notification with this line, and skips others.
    fn until(&self, line: &str) -> String {
        loop {
            let text = self.next();
            if text.lines().any(|l| l == line) {
                return text;
            }
        }
    }

    /// Takes everything that has come.
    fn drain(&self) -> Vec<String> {
        self.0.set_nonblocking(true).expect("a socket");
        let mut all = Vec::new();
        let mut text = [0; 4096];
        while let Ok(length) = self.0.recv(&mut text) {
            all.push(String::from_utf8_lossy(&text[..length]).into_owned());
        }
        self.0.set_nonblocking(false).expect("a socket");
        all
    }
}

#[test]
fn systemd_is_told_when_the_service_listens_reloads_and_stops() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("notify");
    let manager = Manager::new(&path);
    let mut command = command();
    command
        .args(["--listen", "127.0.0.1:0"])
        .env("NOTIFY_SOCKET", &path);
    let service = Running::start(&mut command);
    let first = manager.next();
    assert!(first.starts_with("READY=1\n"), "{first}");
    assert_eq!(get(service.address(), "/livez").0, 200);
    service.signal("-HUP");
    let reloading = manager.next();
    assert!(
        reloading.contains("RELOADING=1\nMONOTONIC_USEC="),
        "{reloading}"
    );
    manager.until("READY=1");
    service.end();
    assert_eq!(manager.next(), "STOPPING=1\n");
    assert_eq!(manager.drain(), [""; 0], "no watchdog was asked for");
}

#[test]
fn systemd_is_told_how_long_a_drain_may_take() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("notify");
    let manager = Manager::new(&path);
    let mut command = command();
    command
        .args(["--listen", "127.0.0.1:0", "--drain-wait", "1"])
        .args(["--drain-time", "600"])
        .env("NOTIFY_SOCKET", &path);
    let service = Running::start(&mut command);
    assert!(manager.next().starts_with("READY=1\n"));
    // No client is there, so the service only waits for its balancer.
    service.end();
    let told = manager.next();
    let mut lines = told.lines();
    assert_eq!(lines.next(), Some("STOPPING=1"));
    let longest = lines
        .next()
        .and_then(|l| l.strip_prefix("EXTEND_TIMEOUT_USEC="));
    let longest: u64 = longest.expect(&told).parse().expect(&told);
    assert!((602_000_000..700_000_000).contains(&longest), "{told}");
    assert_eq!(lines.next(), Some("STATUS=draining"));
}

#[test]
fn the_watchdog_is_fed_only_while_the_service_is_healthy() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("notify");
    let data = folder.path().join("data");
    let manager = Manager::new(&path);
    let mut command = command();
    command
        .args(["--listen", "127.0.0.1:0", "--data"])
        .arg(&data)
        .env("NOTIFY_SOCKET", &path)
        .env("WATCHDOG_USEC", "90000");
    let mut service = Running::start(&mut command);
    for _ in 0..3 {
        manager.until("WATCHDOG=1");
    }
    std::fs::remove_file(data.join("symbl.db")).expect("a database");
    service.logged("the watchdog is not told");
    manager.drain();
    // It is asked again and again, and each time the answer is no.
    for _ in 0..3 {
        service.logged("the watchdog is not told");
    }
    assert_eq!(manager.drain(), [""; 0]);
    assert_eq!(get(service.address(), "/healthz").0, 503);
}
