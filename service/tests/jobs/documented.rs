// SPDX-License-Identifier: MPL-2.0

//! Runs docs/jobs.md as it stands: its commands in their order in one folder, beside its
//! receiver of webhooks.

use crate::common::jobs::{PATIENCE, wav};
use crate::common::process::Process;
use std::fs;
use std::net::TcpListener;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};
use symbl_service::recognizer::scripted::{silence, speech};

const PAGE: &str = include_str!("../../../docs/jobs.md");

const MARK: &str = "<!-- run by service/tests/jobs/documented.rs -->\n";

/// Where the document has the service and the receiver.
const SERVICE: &str = "127.0.0.1:8787";
const RECEIVER: &str = "127.0.0.1:9000";

/// Returns the marked blocks of a language.
fn blocks(language: &str) -> Vec<&'static str> {
    let begin = format!("{MARK}```{language}\n");
    let parts = PAGE.split(&begin).skip(1);
    parts
        .map(|part| part.split("\n```").next().expect("a block"))
        .collect()
}

/// A program that is killed when it is dropped.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn free() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    listener.local_addr().expect("an address").to_string()
}

fn start_receiver(folder: &Path, address: &str) -> Running {
    let (host, port) = address.split_once(':').expect("a port");
    let code = blocks("python").concat();
    let code = code.replace("\"127.0.0.1\", 9000", &format!("\"{host}\", {port}"));
    fs::write(folder.join("receiver.py"), code).expect("written");
    let out = fs::File::create(folder.join("received.txt")).expect("a file");
    let child = Command::new("python3")
        .arg("receiver.py")
        .current_dir(folder)
        .stdout(out)
        .spawn()
        .expect("python3");
    let running = Running(child);
    let begun = Instant::now();
    while std::net::TcpStream::connect(address).is_err() {
        assert!(begun.elapsed() < PATIENCE, "the receiver does not listen");
        std::thread::sleep(Duration::from_millis(20));
    }
    running
}

#[test]
fn the_commands_of_the_page_do_what_it_says() {
    let folder = tempfile::tempdir().expect("a folder");
    let folder = folder.path();
    fs::write(folder.join("secret"), "0123456789abcdef0123456789abcdef\n").expect("written");
    let mut right = silence(Duration::from_secs(2), 16_000);
    right.extend(speech(50..58, 16_000));
    let call = wav(&[speech(0..8, 16_000), right]);
    fs::write(folder.join("call.wav"), call).expect("written");
    let receiver = free();
    let _receiver = start_receiver(folder, &receiver);
    let service = Process::start(|command| {
        command
            .current_dir(folder)
            .args([
                "--log",
                "warn",
                "--data",
                "data",
                "--webhook-secret-file",
                "secret",
            ])
            .args(["--webhook-host", &format!("http://{receiver}")]);
    });
    let script = blocks("sh").join("\necho\necho ====\n");
    assert!(
        script.contains("enableSeparateRecognitionPerChannel"),
        "{script}"
    );
    let script = script.replace(SERVICE, &service.address.to_string());
    let script = script.replace(RECEIVER, &receiver);
    let output = Command::new("bash")
        .args(["-euc", &script])
        .current_dir(folder)
        .stdin(Stdio::null())
        .output()
        .expect("bash");
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(
        output.status.success(),
        "{said}\n{}",
        String::from_utf8_lossy(&output.stderr)
    );
    let parts: Vec<&str> = said.split("\n====\n").collect();
    assert!(
        parts[1].contains("\"status\":\"completed\""),
        "{}",
        parts[1]
    );
    assert!(parts[2].contains("\"text\":\"W0 w1"), "mixed: {}", parts[2]);
    for part in [0, 3, 4, 5, 7] {
        assert!(parts[part].contains("\"jobId\""), "{part}: {}", parts[part]);
    }
    assert!(
        parts[6].contains("ended already (completed)"),
        "{}",
        parts[6]
    );
    assert_eq!(parts[8].trim(), "{\"webhooks\":[]}");
    let begun = Instant::now();
    loop {
        let received = fs::read_to_string(folder.join("received.txt")).expect("read");
        let statuses: Vec<&str> = received
            .lines()
            .filter_map(|line| line.split("\"status\":\"").nth(1)?.split('"').next())
            .collect();
        if statuses == ["in_progress", "completed"] {
            break;
        }
        assert!(begun.elapsed() < PATIENCE, "{received}");
        std::thread::sleep(Duration::from_millis(20));
    }
}
