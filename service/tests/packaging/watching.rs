// SPDX-License-Identifier: MPL-2.0

//! The dashboard and the alerts name metrics that the service has, with labels that it has.

use super::*;
use crate::common::*;
use std::collections::{BTreeMap, BTreeSet};
use symbl_service::Server;
use symbl_service::recognizer::scripted::speech;
use symbl_testkit::postgres::Postgres;
use yaml_rust2::YamlLoader;

/// Names that Prometheus makes, or that are no metrics of ours.
const FOREIGN: [&str; 1] = ["up"];

/// Words of the query language, and labels that Prometheus adds.
const WORDS: [&str; 23] = [
    "on",
    "abs",
    "and",
    "sum",
    "by",
    "rate",
    "max",
    "min",
    "count",
    "increase",
    "changes",
    "histogram_quantile",
    "job",
    "instance",
    "le",
    "version",
    "revision",
    "recognizer",
    "kind",
    "reason",
    "stage",
    "state",
    "verdict",
];

/// Returns every name in an expression that is no word of the language.
fn names(expression: &str) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    let mut rest = expression;
    while let Some(start) = rest.find(|c: char| c.is_ascii_alphabetic() || c == '"' || c == '[') {
        rest = &rest[start..];
        // A text or a duration has no name in it.
        if let Some(end) = [('"', '"'), ('[', ']')]
            .iter()
            .find(|(open, _)| rest.starts_with(*open))
        {
            let close = rest[1..].find(end.1).map_or(rest.len(), |at| at + 2);
            rest = &rest[close..];
            continue;
        }
        let end = rest
            .find(|c: char| !c.is_ascii_alphanumeric() && c != '_')
            .unwrap_or(rest.len());
        let name = &rest[..end];
        if !WORDS.contains(&name) && !FOREIGN.contains(&name) {
            found.insert(name.to_owned());
        }
        rest = &rest[end..];
    }
    found
}

/// Returns the names of all samples that the service can have, after a conversation.
async fn samples() -> BTreeSet<String> {
    let mut all = samples_of(server().await).await;
    if let Some(postgres) = Postgres::shared() {
        let mut config = config();
        config.cluster = Some(postgres.database().into());
        let node = Server::bind(config).await.expect("a node");
        all.append(&mut samples_of(node).await);
    }
    all
}

async fn samples_of(server: Server) -> BTreeSet<String> {
    let (mut client, _) = Client::started(&server, "x", &start_request()).await;
    client.send_audio(&linear16(&speech(0..3, 16_000))).await;
    client.stop().await;
    client.rest().await;
    let (_, text) = http(&server, "GET /metrics", "").await;
    let mut names = BTreeSet::new();
    for line in text.lines() {
        let words: Vec<&str> = line.split(' ').collect();
        if let ["#", "TYPE", name, kind] = words[..] {
            let suffixes: &[&str] = match kind {
                "counter" => &["_total"],
                "histogram" => &["_bucket", "_sum", "_count"],
                "info" => &["_info"],
                _ => &[""],
            };
            names.extend(suffixes.iter().map(|suffix| format!("{name}{suffix}")));
        }
    }
    names
}

/// Returns the expressions of the dashboard and of the alerts, by where they stand.
fn expressions() -> BTreeMap<String, String> {
    let mut all = BTreeMap::new();
    let dashboard: serde_json::Value =
        serde_json::from_str(&text("packaging/grafana-dashboard.json")).expect("JSON");
    let mut ids = BTreeSet::new();
    for panel in dashboard["panels"].as_array().expect("panels") {
        let title = panel["title"].as_str().expect("a title");
        assert!(
            ids.insert(panel["id"].as_u64()),
            "{title}: its id is there twice"
        );
        assert!(panel["description"].is_string(), "{title}");
        for target in panel["targets"].as_array().expect(title) {
            let place = format!("{title} {} {}", panel["id"], target["refId"]);
            all.insert(place, target["expr"].as_str().expect(title).to_owned());
        }
    }
    let alerts = YamlLoader::load_from_str(&text("packaging/prometheus-alerts.yml")).expect("YAML");
    for rule in alerts[0]["groups"][0]["rules"].as_vec().expect("rules") {
        let name = rule["alert"].as_str().expect("a name");
        for part in ["summary", "description"] {
            assert!(
                rule["annotations"][part].as_str().is_some(),
                "{name}: {part}"
            );
        }
        assert!(rule["labels"]["severity"].as_str().is_some(), "{name}");
        all.insert(
            name.to_owned(),
            rule["expr"].as_str().expect(name).to_owned(),
        );
    }
    assert!(all.len() > 20, "{all:?}");
    all
}

#[tokio::test]
async fn every_metric_of_the_dashboard_and_of_the_alerts_exists() {
    let known = samples().await;
    let mut used = BTreeSet::new();
    for (place, expression) in expressions() {
        // Only a node of a cluster has what these show.
        let needs_node = place.starts_with("Cluster") || place.starts_with("SymblCluster");
        if needs_node && Postgres::shared().is_none() {
            continue;
        }
        let names = names(&expression);
        for name in &names {
            assert!(
                known.contains(name),
                "{place}: {name} is no metric: {known:?}"
            );
        }
        used.extend(names);
    }
    // And what the service counts can be seen somewhere.
    let family = |name: &str| {
        let stems = ["_bucket", "_sum", "_count"]
            .iter()
            .find_map(|s| name.strip_suffix(s));
        stems.unwrap_or(name).to_owned()
    };
    let shown: BTreeSet<String> = used.iter().map(|name| family(name)).collect();
    let unseen: Vec<&String> = known
        .iter()
        .filter(|name| !shown.contains(&family(name)))
        .filter(|name| name.as_str() != "symbl_service_session_events_total")
        .collect();
    assert!(unseen.is_empty(), "no panel and no alert shows {unseen:?}");
}

#[test]
fn names_of_an_expression_are_found() {
    let expression = "sum by (le) (rate(a_bucket{job=~\"$job\",le=\"x_total\"}[5m])) / b > 1";
    let found: Vec<String> = names(expression).into_iter().collect();
    assert_eq!(found, ["a_bucket", "b"]);
}
