// SPDX-License-Identifier: MPL-2.0

//! Nodes that are killed at the two moments that matter: when a final is appended and not yet
//! committed, and when it is committed and not yet told.

use super::*;

/// Makes commits of finals and texts wait while `pause` says so, and counts those that wait.
pub const PAUSE: &str = "
    CREATE TABLE pause (is_on boolean);
    INSERT INTO pause VALUES (false);
    CREATE SEQUENCE paused;
    CREATE FUNCTION pause() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
        IF (SELECT is_on FROM pause) THEN PERFORM nextval('paused'); END IF;
        WHILE (SELECT is_on FROM pause) LOOP PERFORM pg_sleep(0.02); END LOOP;
        RETURN NULL;
    END $$;
    CREATE CONSTRAINT TRIGGER pause AFTER INSERT ON entry DEFERRABLE INITIALLY DEFERRED
    FOR EACH ROW WHEN (NEW.kind IN ('said', 'sent')) EXECUTE FUNCTION pause()";

/// Ends the connections that wait with a commit, as the database does with those whose machine
/// is gone.
const END: &str = "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity
    WHERE datname = current_database() AND pid <> pg_backend_pid() AND state = 'active'
    AND query LIKE '%symbl_write%'";

/// When the commit of a node that is killed comes.
#[derive(Clone, Copy, PartialEq)]
enum Commit {
    /// The commit never comes.
    Never,
    /// The commit comes when the node is dead.
    WhenDead,
    /// The node dies when its commit is done, and before it has read that.
    BeforeDeath,
}

async fn killed(commit: Commit, room: &str) {
    let Some(postgres) = Postgres::shared() else {
        return;
    };
    let url = postgres.database();
    let [a, b] = [process(&url), process(&url)];
    let node_b = b.address;
    postgres.ask(&url, PAUSE);
    let places = Places::new([a.address, node_b]);
    let patient = Plan {
        patience: Duration::from_secs(50),
        ..plan(room, 8)
    };
    let mut ada = Voice::start(patient, &places, 0).await;
    let ear = Ear::open(&b, room).await;
    ada.speak();
    ada.until(3).await;
    postgres.ask(&url, "UPDATE pause SET is_on = true");
    until_it_says(postgres, &url, "SELECT is_called FROM paused", "t").await;
    let before = ledger::logged(postgres, &url, &ada.conversation);
    places.set([node_b]);
    let go_on = || postgres.ask(&url, "UPDATE pause SET is_on = false");
    match commit {
        Commit::Never => {
            a.kill();
            assert_ne!(postgres.ask(&url, END), "0");
            let after = ledger::logged(postgres, &url, &ada.conversation);
            assert_eq!(before, after, "nothing is stored");
            go_on();
        }
        Commit::WhenDead => {
            a.kill();
            go_on();
        }
        Commit::BeforeDeath => {
            signal(&a, Signal::SIGSTOP);
            go_on();
            in_time(async {
                while ledger::logged(postgres, &url, &ada.conversation) == before {
                    tokio::time::sleep(Duration::from_millis(20)).await;
                }
            })
            .await;
            a.kill();
        }
    }
    let heard = ada.end().await;
    assert_eq!(heard.words, ada.plan.words(), "what Ada was told");
    assert_eq!(heard.closes.len(), 1);
    let ledger = Ledger::of(&[ada]);
    ledger.is_whole(&[node_b], &[&ear], (postgres, &url)).await;
}

#[tokio::test]
async fn a_final_whose_commit_never_came_is_said_again_and_stored_once() {
    killed(Commit::Never, "before").await;
}

#[tokio::test]
async fn a_final_whose_commit_came_when_its_node_was_dead_is_stored_once() {
    killed(Commit::WhenDead, "in").await;
}

#[tokio::test]
async fn a_final_that_was_committed_and_told_to_nobody_is_told_once() {
    killed(Commit::BeforeDeath, "after").await;
}
