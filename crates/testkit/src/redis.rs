// SPDX-License-Identifier: MPL-2.0

//! A Redis of the test's own, as a child process, on a Unix socket.

use crate::script::Script;
use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

/// How long the server may take to start.
const LONGEST_START: Duration = Duration::from_secs(60);

/// Runs a server and ends it. It ends, and its files are removed, when standard input does:
/// also if the test is killed. A line on it is done, see [`Redis`].
const SCRIPT: &str = r#"
directory=$1
shift
run() {
    redis-server --port 0 --unixsocket "$directory/socket" --dir "$directory" \
        --save '' --appendonly no "$@" >>"$directory/log" 2>&1 &
    server=$!
}
run "$@"
echo started
while read -r line; do
    case $line in
        kill) kill -KILL "$server"; wait "$server" 2>/dev/null ;;
        start) run "$@" ;;
        freeze) kill -STOP "$server" ;;
        thaw) kill -CONT "$server" ;;
    esac
    echo "$line"
done
kill -KILL "$server" 2>/dev/null
wait "$server" 2>/dev/null
rm -rf "$directory"
"#;

/// A server. It ends with the test.
#[derive(Debug)]
pub struct Redis {
    directory: PathBuf,
    script: Script,
}

impl Redis {
    /// Starts a server with these options, or returns `None` where none is installed. Panics
    /// where tests must not be left out.
    ///
    /// # Panics
    ///
    /// The server does not start.
    pub fn start(options: &[&str]) -> Option<Self> {
        let version = Command::new("redis-server").arg("--version").output();
        if version.is_err() {
            let required = |name: &str| std::env::var_os(name).is_some_and(|v| !v.is_empty());
            let said = "no Redis (Debian package redis-server)";
            assert!(
                !required("CI") && !required("SYMBL_REQUIRE_REDIS"),
                "{said}"
            );
            eprintln!("LEFT OUT: {said}");
            return None;
        }
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let n = NEXT.fetch_add(1, Ordering::Relaxed);
        // The name has to be short: a socket's path may have 107 bytes.
        let name = format!("symbl-redis-{}-{n}", std::process::id());
        let directory = std::env::temp_dir().join(name);
        std::fs::create_dir(&directory).expect("a directory");
        let arguments = [directory.as_os_str()].into_iter();
        let arguments = arguments.chain(options.iter().map(OsStr::new));
        let script = Script::start("Redis", SCRIPT, arguments);
        let server = Self { directory, script };
        server.wait();
        Some(server)
    }

    /// Returns the path of its socket.
    pub fn socket(&self) -> PathBuf {
        self.directory.join("socket")
    }

    /// Returns its URL.
    pub fn url(&self) -> String {
        format!("redis+unix://{}", self.socket().display())
    }

    /// Returns the directory of the server, which is removed with it.
    pub fn directory(&self) -> &Path {
        &self.directory
    }

    /// Runs a command and returns what `redis-cli` prints, or `None` if it fails.
    pub fn ask(&self, command: &[&str]) -> Option<String> {
        let output = Command::new("redis-cli")
            .arg("-s")
            .arg(self.socket())
            .args(command)
            .output()
            .ok()?;
        let said = String::from_utf8_lossy(&output.stdout).trim().to_owned();
        output.status.success().then_some(said)
    }

    /// Kills the server with SIGKILL.
    pub fn kill(&self) {
        self.script.tell("kill");
    }

    /// Starts a server that was killed.
    pub fn start_again(&self) {
        self.script.tell("start");
        self.wait();
    }

    /// Stops the server with SIGSTOP.
    pub fn freeze(&self) {
        self.script.tell("freeze");
    }

    /// Lets the server go on.
    pub fn thaw(&self) {
        self.script.tell("thaw");
    }

    /// Waits until the server takes commands.
    fn wait(&self) {
        let begun = Instant::now();
        while self.ask(&["PING"]).as_deref() != Some("PONG") {
            let log = || std::fs::read_to_string(self.directory.join("log")).unwrap_or_default();
            assert!(begun.elapsed() < LONGEST_START, "{}", log());
            std::thread::sleep(Duration::from_millis(20));
        }
    }
}
