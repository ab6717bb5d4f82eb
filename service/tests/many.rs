// SPDX-License-Identifier: MPL-2.0

//! Many streams share a few threads. In a program of its own, so that it can count them.

mod common;

use common::*;
use futures_util::future::join_all;
use std::time::Duration;
use symbl_service::Server;
use symbl_service::recognizer::scripted::{silence, speech};

/// Far more than there are threads. Each is two files, of which the usual limit is 1,024.
const STREAMS: u16 = 120;

fn threads() -> usize {
    std::fs::read_dir("/proc/self/task").expect("Linux").count()
}

#[tokio::test]
async fn hundreds_of_streams_share_a_few_threads_and_each_has_its_own_words() {
    let server = Server::bind(config()).await.expect("a free port");
    let before = threads();
    let streams = (0..STREAMS).map(async |number| {
        let id = format!("stream-{number}");
        let (mut client, _) = Client::started(&server, &id, &start_request()).await;
        let mut samples = speech([number, number + 1000, number + 2000], 16_000);
        samples.extend(silence(Duration::from_millis(400), 16_000));
        client.send_audio(&linear16(&samples)).await;
        // All are open, and what each said is told while the others speak.
        client.until("message_response").await;
        client
    });
    let mut clients = join_all(streams).await;
    assert_eq!(threads(), before, "no stream has a thread");
    for (number, client) in (0..STREAMS).zip(&mut clients) {
        client
            .send_audio(&linear16(&speech([number + 3000], 16_000)))
            .await;
        client.stop().await;
        let rest = client.rest().await;
        assert_eq!(
            texts(&final_words(&rest)),
            [format!("w{}", number + 3000).as_str()]
        );
        assert_eq!(rest.last(), Some(&Heard::Closed(Some(1000))));
    }
}
