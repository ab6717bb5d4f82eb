// SPDX-License-Identifier: MPL-2.0

//! `symbl-service copy`: what one service has kept goes on in a cluster.

use super::common::annotated::{Api, each};
use super::common::jobs::*;
use super::raw::Raw;
use super::*;
use std::path::Path;
use std::process::{Command, Output, Stdio};

const LINES: &[&str] = &[
    "can you send me the budget report",
    "i will check the budget report on monday at nine",
    "the new pump is leaking and costs $300",
    "let's order the new pump by friday",
];

/// A name that PostgreSQL takes in another form only.
const ODD: &str = "B\u{0}b\t\\N\n\u{10FFFF}0";

/// Returns the configuration of a service that says [`LINES`].
fn prompted() -> ServerConfig {
    super::common::annotated::config(LINES)
}

async fn keeping(data: &Path) -> Server {
    let mut config = prompted();
    config.data = Some(data.to_owned());
    Server::bind(config).await.expect("a service")
}

/// Starts a node whose service says [`LINES`].
async fn prompted_node(url: &str) -> Server {
    let mut config = prompted();
    config.cluster = Some(ClusterUrl::from(url.to_owned()));
    Server::bind(config).await.expect("a node")
}

/// Returns a command that copies a directory into the database at this URL.
fn command(data: &Path, url: &str) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_symbl-service"));
    command.arg("copy").arg("--data").arg(data);
    command.env("SYMBL_CLUSTER", url);
    command
}

fn output(mut command: Command) -> (bool, String) {
    let Output {
        status,
        stdout,
        stderr,
    } = command.output().expect("run");
    let text = String::from_utf8_lossy(&[stdout, stderr].concat()).into_owned();
    assert!(!text.contains("hush"), "{text}");
    (status.success(), text)
}

/// Copies a directory. Returns the last line that was said.
fn copied(data: &Path, url: &str) -> String {
    let (is_done, text) = output(command(data, url));
    assert!(is_done, "{text}");
    text.lines().last().unwrap_or_default().to_owned()
}

/// Returns why nothing is copied.
fn refused(data: &Path, url: &str) -> String {
    let (is_done, text) = output(command(data, url));
    assert!(!is_done, "{text}");
    text
}

/// Waits until a conversation waits for its speakers.
async fn until_waiting(api: &Api<'_>) {
    in_time(async {
        let waits = "symbl_service_waiting_conversations 1\n";
        while !http(api.server, "GET /metrics", "").await.1.contains(waits) {
            tokio::task::yield_now().await;
        }
    })
    .await;
}

/// Holds a call of two speakers, who say all lines. They are lost if the conversation is to
/// keep for them. Returns the id of the conversation.
async fn call(api: &Api<'_>, connection: &str, keep: u64) -> String {
    let mut clients = Vec::new();
    let mut id = String::new();
    for name in ["Ada", ODD] {
        let mut client = api.connect(connection).await;
        let mut request = start_as(name, keep);
        request["speaker"] = json!({"name": name, "userId": format!("{name}@example.org")});
        request["config"]["meetingTitle"] = format!("\\{connection}\t").into();
        request["config"]["detectEntities"] = true.into();
        request["insightTypes"] = json!(["question", "action_item", "follow_up"]);
        request["trackers"] = json!([{"name": "Money", "vocabulary": ["budget", "costs"]}]);
        let stream = format!("stream-{}", clients.len());
        request["x_stream"] = json!({"id": stream, "attempt": 1, "position": 0});
        id = client.start(&request).await;
        clients.push(client);
    }
    let length = Duration::from_millis(500 * LINES.len() as u64);
    for client in &mut clients {
        client.send_audio(&linear16(&silence(length, 16_000))).await;
    }
    for client in &mut clients {
        for _ in 0..2 * LINES.len() {
            client.until("message_response").await;
        }
    }
    if keep > 0 {
        // They are lost, and may come back.
        drop(clients);
        until_waiting(api).await;
        return id;
    }
    for mut client in clients {
        client.stop().await;
        client.rest().await;
    }
    id
}

/// Says one line in a conversation that goes on. Returns its id and the number of the final.
async fn rejoined(api: &Api<'_>, connection: &str) -> (String, Value) {
    let mut client = api.connect(connection).await;
    let mut request = start_as("Ada", 1800);
    request["x_stream"] = json!({"id": "more", "attempt": 1, "position": 0});
    let id = client.start(&request).await;
    let half = silence(Duration::from_millis(500), 16_000);
    client.send_audio(&linear16(&half)).await;
    let number = client.until("message_response").await.json()["sequenceNumber"].clone();
    (id, number)
}

/// Fills a directory through all doors. Returns the ids of a call that is over, of one that
/// waits for its speakers, and of a job with its conversation.
async fn fill(api: &Api<'_>) -> (String, String, [String; 2]) {
    let trackers = json!([{"name": "Pump", "vocabulary": ["pump", "pumps"]},
                          {"name": "Report", "vocabulary": ["report"]}]);
    api.done("POST /v1/manage/trackers", &trackers).await;
    let over = call(api, "over", 0).await;
    api.until_over(&over).await;
    let path = format!("/v1/conversations/{over}");
    let messages = api.get(&format!("{path}/messages")).await;
    let ids = each(&messages, "messages", "id");
    let mark = json!({"label": "\\.", "description": "tab\there", "user": {"name": "Ada"},
                      "beginTimeOffset": 0.5, "duration": 1});
    api.done(&format!("POST {path}/bookmarks"), &mark).await;
    let mark = json!({"label": "Two", "messageRefs": [{"id": ids[3]}, {"id": ids[1]}]});
    api.done(&format!("POST {path}/bookmarks"), &mark).await;
    let labels = json!({"metadata": {"agent": "j\u{0}hn", "n\t": "1"}});
    api.done(&format!("PUT {path}"), &labels).await;
    for name in ["First", "Second"] {
        let group = json!({"name": name, "description": "All.",
                           "criteria": "name!=nothing"});
        api.done("POST /v1/manage/group", &group).await;
    }
    let members = api.get(&format!("{path}/members")).await;
    let ada = members["members"].as_array().expect("members");
    let ada = ada.iter().find(|one| one["name"] == "Ada").expect("Ada");
    let renamed = json!({"id": ada["id"], "name": "Ada L.", "email": "ada@example.org"});
    let member = ada["id"].as_str().expect("an id");
    api.done(&format!("PUT {path}/members/{member}"), &renamed)
        .await;
    correct(api).await;
    let job = job(api).await;
    (over, call(api, "waits", 1800).await, job)
}

/// Holds a session with a note and a correction.
async fn correct(api: &Api<'_>) {
    let mut raw = Raw::open(api.server, &[]).await.expect("an upgrade");
    raw.send(&format!("40{}", json!({"token": api.token})))
        .await;
    assert!(
        raw.next()
            .await
            .is_some_and(|packet| packet.starts_with("40{"))
    );
    let session = raw.create().await;
    let mut client = api.connect(&session).await;
    client.start(&start_as("Eve", 0)).await;
    let half = silence(Duration::from_millis(500), 16_000);
    client.send_audio(&linear16(&half)).await;
    let message = raw.event("message:received").await;
    for (corrects, text) in [
        (Value::Null, "a note about zebras"),
        (message["message_id"].clone(), "send the giraffe report"),
    ] {
        let mut sent = json!({"session_id": session, "timestamp": 1});
        sent["input"] = json!({"text": text});
        if !corrects.is_null() {
            sent["input"]["corrects"] = corrects;
        }
        raw.emit("message:send", &sent).await;
    }
    let id = api.get("/v1/conversations?order=desc&limit=1").await;
    let id = each(&id, "conversations", "id").remove(0);
    in_time(async {
        loop {
            let all = api.get(&format!("/v1/conversations/{id}/messages")).await;
            if each(&all, "messages", "text")
                .iter()
                .any(|text| text.contains("giraffe"))
            {
                break;
            }
            tokio::task::yield_now().await;
        }
    })
    .await;
    client.stop().await;
    client.rest().await;
}

/// Runs a job. Returns its id and that of its conversation.
async fn job(api: &Api<'_>) -> [String; 2] {
    let body = json!({"messages": [{"payload": {"content": "Order a pump by monday."},
                                    "from": {"name": "Ada"}}]});
    let (code, made) = api.ask("POST /v1/process/text", &body).await;
    assert_eq!(code, 201, "{made}");
    let text = |name: &str| made[name].as_str().expect(name).to_owned();
    let [job, id] = [text("jobId"), text("conversationId")];
    in_time(async {
        while api.get(&format!("/v1/job/{job}")).await["status"] != "completed" {
            tokio::task::yield_now().await;
        }
    })
    .await;
    api.until_over(&id).await;
    [job, id]
}

/// Returns the body of a GET as it comes, with its status.
async fn bytes(api: &Api<'_>, path: &str) -> (String, String) {
    let token = &api.token;
    let request = format!("GET {path} HTTP/1.1\r\nAuthorization: Bearer {token}\r\nX-Rest:");
    let (head, body) = http(api.server, &request, "").await;
    (head.split(' ').nth(1).expect("a status").to_owned(), body)
}

/// Returns all that can be read, by its path.
async fn everything(api: &Api<'_>, job: &str) -> Vec<(String, String)> {
    let mut paths = vec![
        "/v1/conversations?order=asc".to_owned(),
        "/v1/conversations?filter=metadata.n%09==1".to_owned(),
        "/v1/manage/trackers".to_owned(),
        "/v1/manage/groups".to_owned(),
        format!("/v1/job/{job}"),
        "/v1/webhooks".to_owned(),
    ];
    let all = api.get("/v1/conversations?order=asc").await;
    let all = each(&all, "conversations", "id");
    assert_eq!(all.len(), 4, "{all:?}");
    for id in all {
        for what in [
            "",
            "/messages",
            "/messages?verbose=true&sentiment=true&detectPhrases=true",
            "/members",
            "/topics?sentiment=true&parentRefs=true",
            "/questions",
            "/action-items",
            "/comprehensive-action-items",
            "/follow-ups",
            "/insights",
            "/trackers",
            "/trackers-detected",
            "/entities",
            "/analytics",
            "/abstract-topics",
            "/summary",
            "/bookmarks",
            "/events",
            "/search?q=pump",
            "/transcript",
        ] {
            paths.push(format!("/v1/conversations/{id}{what}"));
        }
    }
    for sought in [
        "pump",
        "%22budget%20report%22",
        "giraffe",
        "budg*",
        "zebras",
        "nothing",
    ] {
        paths.push(format!("/v1/search?q={sought}&order=asc"));
    }
    let groups = api.get("/v1/manage/groups").await;
    for id in each(&groups, "groups", "id") {
        paths.push(format!("/v1/groups/{id}/conversations"));
    }
    let mut all = Vec::new();
    for path in paths {
        let (status, body) = bytes(api, &path).await;
        all.push((path, format!("{status} {body}")));
    }
    let known = |(_, body): &&(String, String)| body.starts_with("200 ");
    let number = all.iter().filter(known).count();
    assert!(number > all.len() * 3 / 4, "{all:#?}");
    all
}

/// Compares all answers, and shows those that are not the same.
fn assert_same(before: &[(String, String)], after: &[(String, String)]) {
    let both = before.iter().zip(after);
    let other: Vec<_> = both.filter(|(before, after)| before != after).collect();
    assert!(other.is_empty(), "{other:#?}");
    assert_eq!(before.len(), after.len());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_service_has_kept_is_the_same_in_a_cluster() {
    let Some(postgres) = Postgres::shared() else {
        return;
    };
    let (data, url) = (tempfile::tempdir().expect("a folder"), postgres.database());
    let service = keeping(data.path()).await;
    let api = Api::of(&service).await;
    let (over, waits, [job, _]) = fill(&api).await;
    let before = everything(&api, &job).await;
    let token = api.token.clone();
    let text = refused(data.path(), &url);
    assert!(text.contains("in use by a service"), "{text}");
    service.shutdown().await;

    let line = copied(data.path(), &url);
    assert!(line.contains("copied 4 conversations"), "{line}");
    assert!(line.contains("1 jobs, 2 trackers and 2 groups"), "{line}");
    let node = prompted_node(&url).await;
    // A token that was signed before is good.
    let server = &node;
    let api = Api { server, token };
    assert_same(&before, &everything(&api, &job).await);
    // A speaker comes back, and what follows has the next number.
    let (id, number) = rejoined(&api, "waits").await;
    assert_eq!((id, number), (waits, json!(2 * LINES.len())));
    // The fences of its streams are where they were.
    let streams = "SELECT count(*) FROM stream JOIN conversation c ON c.id = conversation
         WHERE c.connection = 'waits' AND attempt = 1 AND said_until > 1000000000
         AND stream.id LIKE 'stream-%'";
    assert_eq!(postgres.ask(&url, streams), "2");
    // What was copied can be deleted.
    let gone = format!("DELETE /v1/conversations/{over}");
    let (code, answer) = api.ask(&gone, &Value::Null).await;
    assert_eq!(code, 200, "{answer}");
    let left = postgres.ask(
        &url,
        &format!("SELECT count(*) FROM entry WHERE conversation = {over}"),
    );
    assert_eq!(left, "0");

    let text = refused(data.path(), &url);
    assert!(text.contains("in use by 1 nodes"), "{text}");
    node.shutdown().await;
    let text = refused(data.path(), &url);
    assert!(text.contains("is not empty"), "{text}");
    // The directory is as it was.
    let service = keeping(data.path()).await;
    let api = Api::of(&service).await;
    assert_same(&before, &everything(&api, &job).await);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_copy_that_is_killed_leaves_nothing_and_can_be_repeated() {
    let Some(postgres) = Postgres::start(&["-c", "client_connection_check_interval=100ms"]) else {
        return;
    };
    let (data, url) = (tempfile::tempdir().expect("a folder"), postgres.database());
    let service = keeping(data.path()).await;
    let api = Api::of(&service).await;
    call(&api, "call", 1800).await;
    service.shutdown().await;
    // The first message waits for a long time.
    prompted_node(&url).await.shutdown().await;
    let key = postgres.ask(&url, "SELECT bytes FROM meta WHERE key = 'key'");
    postgres.ask(
        &url,
        "CREATE FUNCTION wait() RETURNS trigger LANGUAGE plpgsql AS
         $$ BEGIN PERFORM pg_sleep(600); RETURN NEW; END $$;
         CREATE TRIGGER wait BEFORE INSERT ON message FOR EACH ROW EXECUTE FUNCTION wait()",
    );
    let copying = command(data.path(), &url).stdout(Stdio::piped()).spawn();
    let mut copying = copying.expect("run");
    let waiting = "SELECT count(*) FROM pg_stat_activity
                   WHERE query LIKE 'COPY message%' AND wait_event = 'PgSleep'";
    let until = async |count: &str| {
        in_time(async {
            while postgres.ask(&url, waiting) != count {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        })
        .await;
    };
    until("1").await;
    copying.kill().expect("killed");
    copying.wait().expect("dead");
    until("0").await;
    for table in ["conversation", "member", "entry", "message", "room"] {
        assert_eq!(
            postgres.ask(&url, &format!("SELECT count(*) FROM {table}")),
            "0"
        );
    }
    assert_eq!(
        postgres.ask(&url, "SELECT bytes FROM meta WHERE key = 'key'"),
        key
    );
    postgres.ask(&url, "DROP TRIGGER wait ON message");
    let line = copied(data.path(), &url);
    assert!(line.contains("copied 1 conversations"), "{line}");
    assert_ne!(
        postgres.ask(&url, "SELECT bytes FROM meta WHERE key = 'key'"),
        key
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn jobs_that_have_not_ended_go_on_but_for_uploaded_recordings() {
    let Some(postgres) = Postgres::shared() else {
        return;
    };
    let (data, url) = (tempfile::tempdir().expect("a folder"), postgres.database());
    let mut config = config();
    config.data = Some(data.path().to_owned());
    config.jobs.parallel = 0;
    let service = Server::bind(config).await.expect("a service");
    let text = json!({"messages": [{"payload": {"content": "Said later."}}]}).to_string();
    let (_, text) = ask(&service, "POST /v1/process/text", &text).await;
    let sound = wav(&[speech(0..2, 16_000)]);
    let (status, upload) = upload(&service, "POST /v1/process/audio", &sound).await;
    assert_eq!(status, 201, "{upload}");
    service.shutdown().await;
    let why = refused(data.path(), &url);
    assert!(why.contains("1 jobs with an uploaded recording"), "{why}");
    assert!(why.contains("--fail-uploads"), "{why}");
    let mut command = command(data.path(), &url);
    command.arg("--fail-uploads");
    let (is_done, said) = output(command);
    assert!(is_done, "{said}");
    let node = node(&url).await;
    assert_eq!(ended(&node, &text).await["status"], "completed");
    let failed = ended(&node, &upload).await;
    assert_eq!(failed["status"], "failed", "{failed}");
}

#[tokio::test]
async fn a_directory_that_cannot_be_copied_is_left_as_it_is() {
    let folder = tempfile::tempdir().expect("a folder");
    let nowhere = "postgres://ada:hush@127.0.0.1:1/talks";
    let text = refused(&folder.path().join("none"), nowhere);
    assert!(text.contains("does not exist"), "{text}");
    assert!(!folder.path().join("none").exists());
    keeping(folder.path()).await.shutdown().await;
    let text = refused(folder.path(), nowhere);
    assert!(text.contains("cannot be reached"), "{text}");
    assert!(text.contains("nothing was copied"), "{text}");
    let text = refused(folder.path(), "hush");
    assert!(text.contains("postgres://user@host"), "{text}");
    let file = folder.path().join("symbl.db");
    let database = rusqlite::Connection::open(&file).expect("a database");
    for (version, why) in [(4, "start this release once"), (99, "version 99")] {
        let set = database.pragma_update(None, "user_version", version);
        set.expect("a version");
        let text = refused(folder.path(), nowhere);
        assert!(text.contains(why), "{text}");
    }
    drop(database);
    std::fs::write(
        &file,
        "no database at all, and long enough to be read as one",
    )
    .expect("a file");
    let text = refused(folder.path(), nowhere);
    assert!(text.contains("symbl.db"), "{text}");
}
