// SPDX-License-Identifier: MPL-2.0

//! A PostgreSQL of the test's own, as a child process, with any number of databases.

use crate::script::Script;
use std::ffi::OsStr;
use std::fs::OpenOptions;
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

/// How long the server may take to start.
const LONGEST_START: Duration = Duration::from_secs(60);

/// Makes a server and ends it. It runs as the user `postgres` where the test runs as root,
/// which PostgreSQL refuses. It ends, and its files are removed, when standard input does:
/// also if the test is killed. A line on it is done: `kill`, or `start` again.
const SCRIPT: &str = r#"
programs=$1 directory=$2 primary=$3
if [ "$(id -u)" = 0 ]; then
    chown -R postgres "$directory"
    as() { exec setpriv --reuid postgres --regid postgres --clear-groups "$@"; }
else
    as() { exec "$@"; }
fi
cd "$directory"
make() {
    if [ -n "$primary" ]; then
        as "$programs/pg_basebackup" -D "$directory/data" -h "$primary" -U postgres \
            --checkpoint=fast --no-sync --write-recovery-conf
    else
        as "$programs/initdb" -D "$directory/data" -U postgres --auth=trust -E UTF8 --no-locale \
            --no-sync
    fi
}
(make) >"$directory/log" 2>&1 || { cat "$directory/log" >&2; exit 1; }
shift 3
run() {
    as "$programs/postgres" -D "$directory/data" -k "$directory" -c listen_addresses= \
        -c max_connections=300 -c shared_buffers=32MB "$@" >>"$directory/log" 2>&1 &
    server=$!
}
# The first process alone starts others, and must not while they are listed.
freeze() {
    kill -STOP "$server" 2>/dev/null
    while ps -o stat= -p "$server" | grep -q '^[^TZ]'; do :; done
    others=$(ps -o pid= --ppid "$server")
    [ -z "$others" ] || kill -STOP $others
}
run "$@"
echo started
while read -r line; do
    case $line in
        kill) freeze; kill -KILL $others "$server" 2>/dev/null; wait "$server" ;;
        start) run "$@" ;;
        freeze) freeze ;;
        thaw) kill -CONT $(ps -o pid= --ppid "$server") "$server" ;;
    esac
    echo "$line"
done
kill -CONT "$server" 2>/dev/null
kill -QUIT "$server" 2>/dev/null
wait "$server"
rm -rf "$directory"
"#;

/// A server. It ends with the test.
#[derive(Debug)]
pub struct Postgres {
    directory: PathBuf,
    script: Script,
    programs: PathBuf,
    next: AtomicU32,
}

/// Returns the folder with the programs of the newest PostgreSQL, or `None` where none is
/// installed. Panics where tests must not be left out.
fn programs() -> Option<PathBuf> {
    let all = std::fs::read_dir("/usr/lib/postgresql")
        .into_iter()
        .flatten();
    let all = all.flatten().map(|entry| entry.path().join("bin"));
    let newest = all
        .filter(|folder| folder.join("postgres").is_file())
        .max_by_key(|folder| version(folder));
    if newest.is_none() {
        let required = |name: &str| std::env::var_os(name).is_some_and(|value| !value.is_empty());
        let said = "no PostgreSQL (Debian package postgresql)";
        assert!(
            !required("CI") && !required("SYMBL_REQUIRE_POSTGRES"),
            "{said}"
        );
        eprintln!("LEFT OUT: {said}");
    }
    newest
}

/// Returns the version in a path like `/usr/lib/postgresql/15/bin`.
fn version(folder: &Path) -> u32 {
    let version = folder
        .parent()
        .and_then(|folder| folder.file_name()?.to_str());
    version.and_then(|text| text.parse().ok()).unwrap_or(0)
}

impl Postgres {
    /// Returns a server that all tests of this process share and that keeps nothing if the
    /// machine fails, or `None` where PostgreSQL is not installed.
    pub fn shared() -> Option<&'static Self> {
        static SHARED: OnceLock<Option<Postgres>> = OnceLock::new();
        SHARED
            .get_or_init(|| Self::start(&["-c", "fsync=off", "-c", "full_page_writes=off"]))
            .as_ref()
    }

    /// Starts a server with these options, or returns `None` where PostgreSQL is not
    /// installed.
    ///
    /// # Panics
    ///
    /// The server does not start.
    pub fn start(options: &[&str]) -> Option<Self> {
        Self::start_with(options, &[])
    }

    /// Starts a server with these options in a folder with these files, or returns `None`
    /// where PostgreSQL is not installed. Its data are in a folder in there, from which
    /// certificates are looked for.
    ///
    /// # Panics
    ///
    /// The server does not start.
    pub fn start_with(options: &[&str], files: &[(&str, &str)]) -> Option<Self> {
        Self::start_from("", options, files)
    }

    /// Starts a server that follows this one, and makes it synchronous: from then on a commit
    /// is answered when both have it.
    ///
    /// # Panics
    ///
    /// It does not start or does not follow.
    pub fn synchronous_replica(&self) -> Self {
        let replica = self.replica();
        let url = self.url("postgres");
        self.ask(
            &url,
            "ALTER SYSTEM SET synchronous_standby_names = 'replica'",
        );
        self.ask(&url, "SELECT pg_reload_conf()");
        self.until_it_says("SELECT sync_state FROM pg_stat_replication", "sync");
        replica
    }

    /// Starts a server that follows this one, and returns when it does. No commit waits for it.
    ///
    /// # Panics
    ///
    /// It does not start or does not follow.
    pub fn asynchronous_replica(&self) -> Self {
        let replica = self.replica();
        self.until_it_says("SELECT state FROM pg_stat_replication", "streaming");
        replica
    }

    /// Makes a replica that has all that this server has follow it no more.
    ///
    /// # Panics
    ///
    /// It cannot be told.
    pub fn leave_behind(&self, replica: &Self) {
        let now = self.ask(&self.url("postgres"), "SELECT pg_current_wal_lsn()");
        replica.until_it_says(&format!("SELECT pg_last_wal_replay_lsn() >= '{now}'"), "t");
        let url = replica.url("postgres");
        replica.ask(&url, "ALTER SYSTEM SET primary_conninfo = ''");
        replica.ask(&url, "SELECT pg_reload_conf()");
        self.until_it_says("SELECT count(*) FROM pg_stat_replication", "0");
    }

    fn replica(&self) -> Self {
        let from = self.directory.to_string_lossy();
        let replica = Self::start_from(&from, &["-c", "cluster_name=replica"], &[]);
        replica.expect("PostgreSQL is installed")
    }

    /// Waits until a statement has this answer.
    fn until_it_says(&self, sql: &str, answer: &str) {
        let url = self.url("postgres");
        let begun = Instant::now();
        while self.ask(&url, sql) != answer {
            assert!(begun.elapsed() < LONGEST_START, "no replica follows: {sql}");
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// Makes a replica take writes, and returns when it does.
    pub fn promote(&self) {
        self.ask(&self.url("postgres"), "SELECT pg_promote()");
    }

    /// Starts a server, as a replica of the one in `primary` if that is not empty.
    fn start_from(primary: &str, options: &[&str], files: &[(&str, &str)]) -> Option<Self> {
        let programs = programs()?;
        // The name has to be short: a socket's path may have 107 bytes.
        let name = format!("symbl-pg-{}-{}", std::process::id(), fresh());
        let directory = std::env::temp_dir().join(name);
        std::fs::create_dir(&directory).expect("a directory");
        for (name, content) in files {
            let file = OpenOptions::new()
                .write(true)
                .create_new(true)
                .mode(0o600)
                .open(directory.join(name));
            let written = file.and_then(|mut file| file.write_all(content.as_bytes()));
            written.expect("a file");
        }
        let arguments = [
            programs.as_os_str(),
            directory.as_os_str(),
            primary.as_ref(),
        ];
        let arguments = arguments.into_iter().chain(options.iter().map(OsStr::new));
        let script = Script::start("PostgreSQL", SCRIPT, arguments);
        let server = Self {
            directory,
            script,
            programs,
            next: AtomicU32::new(0),
        };
        server.wait();
        Some(server)
    }

    /// Creates an empty database and returns its URL.
    pub fn database(&self) -> String {
        let name = format!("test{}", self.next.fetch_add(1, Ordering::Relaxed));
        let made = self.run("createdb", &[&name]);
        assert!(made, "createdb");
        self.url(&name)
    }

    /// Returns the URL of a database.
    pub fn url(&self, name: &str) -> String {
        let host = self.directory.to_string_lossy().replace('/', "%2F");
        format!("postgres://postgres:hush@{host}/{name}")
    }

    /// Returns the URL of a database on this server or, if that takes no writes, on another one.
    pub fn url_with(&self, other: &Self, name: &str) -> String {
        let host = |server: &Self| server.directory.to_string_lossy().replace('/', "%2F");
        let (one, two) = (host(self), host(other));
        format!("postgres://postgres:hush@{one},{two}/{name}")
    }

    /// Returns the path of the server's socket.
    pub fn socket(&self) -> PathBuf {
        self.directory.join(".s.PGSQL.5432")
    }

    /// Runs a statement in the database of a URL, and returns what `psql` prints.
    pub fn ask(&self, url: &str, sql: &str) -> String {
        let output = Command::new(self.programs.join("psql"))
            .args(["-qtAX", "-v", "ON_ERROR_STOP=1", url, "-c", sql])
            .output()
            .expect("psql");
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{sql}: {said}");
        String::from_utf8_lossy(&output.stdout).trim().to_owned()
    }

    /// Returns the processor time that the server has taken.
    pub fn processor_time(&self) -> Duration {
        let file = self.ask(
            &self.url("postgres"),
            "SELECT pg_read_file('postmaster.pid')",
        );
        let server = file.lines().next().expect("an id");
        let children = std::fs::read_to_string(format!("/proc/{server}/task/{server}/children"));
        let children = children.unwrap_or_default();
        let all = children.split_whitespace().chain([server]);
        all.map(processor_time).sum()
    }

    /// Kills the server and all its processes with SIGKILL.
    pub fn kill(&self) {
        self.script.tell("kill");
    }

    /// Starts a server that was killed.
    pub fn start_again(&self) {
        self.script.tell("start");
        self.wait();
    }

    /// Stops all processes of the server with SIGSTOP.
    pub fn freeze(&self) {
        self.script.tell("freeze");
    }

    /// Lets the processes of the server go on.
    pub fn thaw(&self) {
        self.script.tell("thaw");
    }

    /// Waits until the server takes connections.
    fn wait(&self) {
        let begun = Instant::now();
        while !self.run("pg_isready", &["-q"]) {
            let log = || std::fs::read_to_string(self.directory.join("log")).unwrap_or_default();
            assert!(begun.elapsed() < LONGEST_START, "{}", log());
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    fn run(&self, program: &str, arguments: &[&str]) -> bool {
        let status = Command::new(self.programs.join(program))
            .args(["-h".as_ref(), self.directory.as_os_str()])
            .args(["-U", "postgres"])
            .args(arguments)
            .status();
        status.is_ok_and(|status| status.success())
    }
}

/// Returns the processor time of a process, with that of its children that have ended.
pub fn processor_time(id: &str) -> Duration {
    let stat = std::fs::read_to_string(format!("/proc/{id}/stat")).unwrap_or_default();
    // The name of the program, in brackets, may have blanks in it.
    let fields = stat.rsplit(')').next().unwrap_or_default();
    let ticks = fields.split_whitespace().skip(11).take(4);
    let ticks = ticks.filter_map(|field| field.parse::<u64>().ok());
    // On Linux, /proc has a hundred ticks in a second.
    Duration::from_millis(10 * ticks.sum::<u64>())
}

/// Returns a number that is new in this process.
fn fresh() -> u32 {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    NEXT.fetch_add(1, Ordering::Relaxed)
}
