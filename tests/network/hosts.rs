// SPDX-License-Identifier: MPL-2.0

//! Two hosts in one process, and a process for each test.
//!
//! A host is a network namespace, and a thread is on the host on which it was started.
//! [`case`] starts this test binary again, by `unshare`, for the one test that calls it.
//! That process, with the element's threads, is on the client's host. The service's threads
//! are started by a thread that has moved to another host. The namespaces have no names, so
//! that they go with the process, however it ends.

use super::line::Line;
use crate::common::service::Service;
use nix::sched::{CloneFlags, unshare};
use std::io::Write;
use std::process::Command;
use std::time::Duration;
use tun_rs::{DeviceBuilder, SyncDevice};

/// The variable that is set in the process of a single test.
const INSIDE: &str = "SYMBL_NETWORK_INSIDE";

/// The variable that lets a test fail instead of skipping it.
const REQUIRE: &str = "SYMBL_REQUIRE_NETWORK";

/// The text that a process prints when it has its hosts.
const READY: &str = "the hosts are ready";

/// The text that it prints before the reason when it cannot have them.
const UNREADY: &str = "no hosts: ";

/// The name of the line's device on both hosts.
const DEVICE: &str = "line";

/// Addresses for documentation: no real network has them.
const SERVICE: &str = "192.0.2.1";
const CLIENT: &str = "192.0.2.2/24";
const ELSEWHERE: &str = "192.0.2.3/24";
const CLIENT6: &str = "2001:db8::2/64";
/// Addresses in the client's network that no host has.
const UNUSED: &str = "192.0.2.53";
const UNUSED6: &str = "2001:db8::1";

/// A name that only the client's host knows.
const NAME: &str = "service.test";

/// The client's host, on which the test runs, the service's host, and the line between them.
pub struct Hosts {
    pub line: Line,
    service: Service,
}

impl Hosts {
    /// Makes the hosts, or returns why the system does not permit it.
    fn new() -> Result<Self, String> {
        let client = plug_in(&[CLIENT, CLIENT6])?;
        let moved = std::thread::spawn(|| {
            unshare(CloneFlags::CLONE_NEWNET)
                .map_err(|error| format!("no second namespace: {error}"))?;
            let device = plug_in(&[&format!("{SERVICE}/24")])?;
            let service = Service::with(|config| {
                config.listen = format!("{SERVICE}:0").parse().expect("an address");
                config.hosts = vec![NAME.parse().expect("a name")];
                // Sockets on a silent line do not close.
                config.limits.shutdown = Duration::from_millis(100);
            });
            Ok::<_, String>((device, service))
        });
        let (device, service) = moved.join().expect("the service's host")?;
        let line = Line::between(client, device).map_err(|error| format!("no line: {error}"))?;
        Ok(Self { line, service })
    }

    /// Returns the value for `base-url` with an address.
    pub fn url(&self) -> String {
        self.service.url()
    }

    /// Returns the value for `base-url` with a name that has two addresses: a dead one of IPv6,
    /// which is tried first, and the service's.
    pub fn url_by_name(&self) -> String {
        replace_file(
            "/etc/hosts",
            &format!("{UNUSED6} {NAME}\n{SERVICE} {NAME}\n"),
        );
        self.url().replace(SERVICE, NAME)
    }

    /// Returns the value for `base-url` with a name that only a silent name server could know.
    pub fn url_without_address(&self) -> String {
        replace_file("/etc/resolv.conf", &format!("nameserver {UNUSED}\n"));
        self.url().replace(SERVICE, NAME)
    }

    /// Sets the client's device `down` or `up`.
    pub fn set_device(&self, state: &str) {
        run("ip", &["link", "set", DEVICE, state]).expect("a device");
    }

    /// Replaces the address of the client.
    pub fn move_client(&self) {
        for (change, address) in [("delete", CLIENT), ("add", ELSEWHERE)] {
            run("ip", &["address", change, address, "dev", DEVICE]).expect("a device");
        }
    }
}

/// Adds a device with these addresses to the host of this thread.
fn plug_in(addresses: &[&str]) -> Result<SyncDevice, String> {
    let device = DeviceBuilder::new().name(DEVICE).build_sync();
    let device = device.map_err(|error| format!("no TUN device: {error}"))?;
    for address in addresses {
        // No other host could have the address.
        let options: &[&str] = if address.contains(':') {
            &["nodad"]
        } else {
            &[]
        };
        let add = ["address", "add", address, "dev", DEVICE];
        run("ip", &[&add, options].concat())?;
    }
    run("ip", &["link", "set", DEVICE, "up"])?;
    Ok(device)
}

/// Replaces the contents of a system file, for this process only.
fn replace_file(path: &str, contents: &str) {
    let mut file = tempfile::NamedTempFile::new().expect("a file");
    file.write_all(contents.as_bytes()).expect("a file");
    // The mount keeps the file when its name is gone.
    let source = file.path().to_str().expect("a path");
    run("mount", &["--bind", source, path]).expect("another file");
}

/// Runs a program on the host of this thread.
fn run(program: &str, arguments: &[&str]) -> Result<(), String> {
    let output = Command::new(program).args(arguments).output();
    let output = output.map_err(|error| format!("{program}: {error}"))?;
    if output.status.success() {
        return Ok(());
    }
    let said = String::from_utf8_lossy(&output.stderr);
    Err(format!(
        "{program} {}: {}",
        arguments.join(" "),
        said.trim()
    ))
}

/// Runs `case`, which is the whole of a test, in a process with two hosts.
pub fn case<F: FnOnce(&Hosts)>(case: F) {
    if std::env::var_os(INSIDE).is_some() {
        match Hosts::new() {
            Ok(hosts) => {
                println!("{READY}");
                case(&hosts);
            }
            Err(why) => println!("{UNREADY}{why}"),
        }
        return;
    }
    // The name is `network::module::test::{{closure}}`. The runner omits the first part.
    let name = std::any::type_name::<F>().trim_end_matches("::{{closure}}");
    let (_, name) = name.split_once("::").expect("a test in a module");
    let mut command = Command::new("unshare");
    if !nix::unistd::geteuid().is_root() {
        command.args(["--user", "--map-root-user"]);
    }
    command
        .args(["--net", "--mount"])
        .arg(std::env::current_exe().expect("this test"))
        .args([name, "--exact", "--nocapture", "--test-threads=1"])
        .env(INSIDE, "1");
    let output = match command.output() {
        Ok(output) => output,
        Err(error) => return skipped(&format!("unshare: {error}")),
    };
    let [said, complained] =
        [output.stdout, output.stderr].map(|text| String::from_utf8_lossy(&text).into_owned());
    if let Some((_, why)) = said.split_once(UNREADY) {
        return skipped(why.lines().next().unwrap_or_default());
    }
    if said.is_empty() {
        // `unshare` itself failed.
        return skipped(complained.trim());
    }
    print!("{said}");
    let passed = said.contains(READY) && said.contains("1 passed") && output.status.success();
    assert!(passed, "{}\n{said}{complained}", output.status);
}

fn skipped(why: &str) {
    let required = std::env::var(REQUIRE).is_ok_and(|value| value == "1");
    assert!(
        !required,
        "no networks for this test: {why}; {REQUIRE}=1 asks for them"
    );
    // The test runner captures `eprintln!`, and a skipped test must be seen.
    let _ = writeln!(
        std::io::stderr(),
        "skipped: no networks for this test: {why}"
    );
}
