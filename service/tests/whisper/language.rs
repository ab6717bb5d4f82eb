// SPDX-License-Identifier: MPL-2.0

//! A language is honoured, or refused when a stream starts.

use symbl_service::{Server, ServerConfig};
use symbl_testkit::client::{Client, in_time, start_request};
use symbl_testkit::engine::whisper;

#[tokio::test]
async fn a_model_of_english_refuses_german_and_takes_any_english() {
    let Some(engine) = whisper() else { return };
    let server = Server::bind(ServerConfig::new(engine))
        .await
        .expect("a port");
    for language in ["de-DE", "de", "fr-FR"] {
        let mut client = Client::connect(&server, "refused").await;
        let mut request = start_request();
        request["config"]["languageCode"] = language.into();
        client.send_json(&request).await;
        let error = client.until("error").await;
        assert_eq!(error.json()["code"], "unsupported_language", "{language}");
        assert!(error.json().to_string().contains(language), "{error:?}");
    }
    for language in ["en-GB", "en-US", "en"] {
        let mut request = start_request();
        request["config"]["languageCode"] = language.into();
        let (client, _) = in_time(Client::started(&server, language, &request)).await;
        client.close(1000).await;
    }
}
