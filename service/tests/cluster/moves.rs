// SPDX-License-Identifier: MPL-2.0

//! Streams that move to another node, and nodes that are declared gone.

use super::*;

#[tokio::test]
async fn a_stream_that_goes_on_on_another_node_says_nothing_more_on_the_old_one() {
    let Some(postgres) = Postgres::shared() else {
        return;
    };
    let url = postgres.database();
    let [a, b] = [node(&url).await, node(&url).await];
    let (mut hanging, id) = Client::started(&a, "hang", &start_at("Ada", 1, 0)).await;
    hanging.send_audio(&said(0..2)).await;
    hanging.until("message_response").await;
    // One second was heard and is sent again, with more.
    let (mut ada, same) = Client::started(&b, "hang", &start_at("Ada", 2, 0)).await;
    assert_eq!(same, id);
    ada.send_audio(&said(0..2)).await;
    ada.send_audio(&said(10..12)).await;
    // The old socket still has audio that was on its way.
    hanging.send_audio(&said(10..12)).await;
    let end = hanging.rest().await;
    assert_eq!(end.last(), Some(&Heard::Closed(Some(4103))), "{end:?}");
    let mut heard = Vec::new();
    while heard.len() < 2 {
        heard.push(message(&mut ada).await.0);
    }
    assert_eq!(heard, [0, 1]);
    for place in [&a, &b] {
        let texts = history(place, &id).await;
        let words: Vec<String> = texts.iter().flat_map(|text| words_of(text)).collect();
        assert_eq!(words, ["w0", "w1", "w10", "w11"]);
    }
}

#[tokio::test]
async fn a_node_that_was_declared_gone_begins_anew_and_its_clients_too() {
    let Some(postgres) = Postgres::shared() else {
        return;
    };
    let url = postgres.database();
    let a = node(&url).await;
    let (mut ada, id) = Client::started(&a, "zombie", &start_at("Ada", 1, 0)).await;
    ada.send_audio(&said(0..2)).await;
    ada.until("message_response").await;
    postgres.ask(&url, "UPDATE node SET gone = true");
    ada.send_audio(&said(10..12)).await;
    let end = ada.rest().await;
    assert_eq!(end.last(), Some(&Heard::Closed(Some(1012))), "{end:?}");
    // Its client comes back and sends again what was not finalised: 400 + 600 ms were.
    let (mut ada, same) = Client::started(&a, "zombie", &start_at("Ada", 2, 1000)).await;
    assert_eq!(same, id);
    ada.send_audio(&said(10..12)).await;
    ada.until("message_response").await;
    let texts = history(&a, &id).await;
    let words: Vec<String> = texts.iter().flat_map(|text| words_of(text)).collect();
    assert_eq!(words, ["w0", "w1", "w10", "w11"]);
    // The new node has a seat in it.
    let seats = "SELECT count(*) FROM seat JOIN node ON node.id = seat.node WHERE NOT gone";
    assert_eq!(postgres.ask(&url, seats), "1");
}

#[tokio::test]
async fn what_a_node_writes_that_is_gone_is_refused_by_the_database() {
    let Some(postgres) = Postgres::shared() else {
        return;
    };
    let url = postgres.database();
    let a = node(&url).await;
    let (mut ada, id) = Client::started(&a, "fence", &start_at("Ada", 1, 0)).await;
    ada.send_audio(&said(0..2)).await;
    ada.until("message_response").await;
    let write = |node: &str| {
        let record = format!(
            r#"[{{"k": "sent", "c": {id}, "at": 1, "ends": null, "client": "{node}",
                "corrects": null, "body": "x"}}]"#
        );
        let sql = format!(
            "DO $$ BEGIN PERFORM symbl_write_1('{node}', '{record}');
             EXCEPTION WHEN SQLSTATE 'SYFEN' THEN NULL; END $$"
        );
        postgres.ask(&url, &sql);
        let sql = format!("SELECT count(*) FROM entry WHERE client = '{node}'");
        postgres.ask(&url, &sql)
    };
    let old = "INSERT INTO node VALUES ('frozen', '0', 0, symbl_now_1() - 4000000000),
               ('dead', '0', 0, symbl_now_1() - 6000000000)";
    postgres.ask(&url, old);
    postgres.ask(&url, "SELECT symbl_gone_1(symbl_now_1(), 5000000000)");
    assert_eq!(write("frozen"), "1", "within its lease");
    assert_eq!(write("dead"), "0");
    assert_eq!(write("nobody"), "0");
}
