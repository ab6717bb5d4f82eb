// SPDX-License-Identifier: MPL-2.0

//! The files for forges, editors and contributors: they can be parsed, they call what the
//! project has, and they name files and tests that exist.

use super::*;
use yaml_rust2::{Yaml, YamlLoader};

/// Files for people who contribute, and for the programs that they use.
const FILES: [&str; 14] = [
    ".devcontainer/Dockerfile",
    ".devcontainer/devcontainer.json",
    ".editorconfig",
    ".github/ISSUE_TEMPLATE/bug.yml",
    ".github/ISSUE_TEMPLATE/config.yml",
    ".github/ISSUE_TEMPLATE/idea.yml",
    ".github/pull_request_template.md",
    ".github/workflows/test.yml",
    ".gitlab-ci.yml",
    ".pre-commit-config.yaml",
    "CODE_OF_CONDUCT.md",
    "CONTRIBUTING.md",
    "SECURITY.md",
    "compose.yaml",
];

fn yaml(name: &str) -> Yaml {
    let mut documents =
        YamlLoader::load_from_str(&text(name)).unwrap_or_else(|error| panic!("{name}: {error}"));
    assert_eq!(documents.len(), 1, "{name}");
    documents.remove(0)
}

/// Returns all texts of a document.
fn texts_of(yaml: &Yaml) -> Vec<String> {
    match yaml {
        Yaml::String(text) => vec![text.clone()],
        Yaml::Array(items) => items.iter().flat_map(texts_of).collect(),
        Yaml::Hash(map) => map.values().flat_map(texts_of).collect(),
        _ => vec![],
    }
}

#[test]
fn every_workflow_is_yaml_and_runs_the_same_commands_as_everybody() {
    for name in [".github/workflows/test.yml", ".gitlab-ci.yml"] {
        let document = yaml(name);
        let texts = texts_of(&document);
        let runs: Vec<&str> = texts
            .iter()
            .flat_map(|text| text.lines())
            .map(str::trim)
            .collect();
        assert!(runs.contains(&"make test"), "{name}: {runs:?}");
    }
    let github = yaml(".github/workflows/test.yml");
    assert!(!github["jobs"]["test"]["steps"].is_badvalue());
    assert_eq!(github["permissions"]["contents"].as_str(), Some("read"));
    for name in FILES
        .iter()
        .filter(|name| name.ends_with(".yml") || name.ends_with(".yaml"))
    {
        assert!(!yaml(name).is_badvalue(), "{name}");
    }
    let container: Result<serde_json::Value, _> =
        serde_json::from_str(&text(".devcontainer/devcontainer.json"));
    assert!(container.expect("JSON")["build"]["dockerfile"].is_string());
}

#[test]
fn commands_that_these_files_call_exist() {
    let makefile = text("Makefile");
    // A list of packages has the word too.
    let calling = FILES.iter().filter(|name| !name.ends_with("Dockerfile"));
    for name in calling {
        let file = text(name);
        for (number, line) in file.lines().enumerate() {
            let place = format!("{name}:{}", number + 1);
            // Prose has the word too.
            let quoted = line.split('`').skip(1).step_by(2);
            let whole = ["make ", "- make ", "run: make "];
            let whole = whole.iter().any(|begin| line.trim().starts_with(begin));
            let line = match whole {
                true => line.to_owned(),
                false => quoted.collect::<Vec<_>>().join(" ; "),
            };
            let words: Vec<&str> = line
                .split(|c: char| c.is_whitespace() || "`\"',;()".contains(c))
                .filter(|word| !word.is_empty())
                .collect();
            for pair in words.windows(2) {
                if pair[0] == "make" && pair[1].chars().all(|c| c.is_ascii_lowercase() || c == '-')
                {
                    let target = format!("\n{}:", pair[1]);
                    assert!(makefile.contains(&target), "{place}: no target {}", pair[1]);
                }
            }
            let is_ours = |word: &&&str| word.starts_with("scripts/") && word.ends_with(".sh");
            for script in words.iter().filter(is_ours) {
                assert!(path(script).exists(), "{place}: {script}");
            }
        }
    }
}

#[test]
fn the_places_that_contributors_are_sent_to_exist() {
    for name in [
        "CONTRIBUTING.md",
        "SECURITY.md",
        ".github/pull_request_template.md",
    ] {
        for (number, line) in text(name).lines().enumerate() {
            let place = format!("{name}:{}", number + 1);
            for quoted in line.split('`').skip(1).step_by(2) {
                let is_path = quoted.contains('/')
                    && !quoted.contains(['{', '*', ' ', ':', '$', '<'])
                    && !quoted.starts_with('/')
                    && !quoted.chars().any(char::is_uppercase)
                    && !quoted.starts_with("symbl/")
                    // What is built is there later.
                    && !quoted.starts_with("target/");
                if is_path {
                    assert!(path(quoted).exists(), "{place}: there is no {quoted}");
                }
            }
            for target in line.split("](").skip(1) {
                let target = target.split([')', '#']).next().unwrap_or_default();
                if !target.is_empty() && !target.contains("://") && !target.starts_with("mailto:") {
                    let base = path(name);
                    let base = base.parent().expect("a folder");
                    assert!(base.join(target).exists(), "{place}: there is no {target}");
                }
            }
        }
    }
}

#[test]
fn the_container_copies_what_is_there_and_its_command_is_understood() {
    let file = text("Dockerfile").replace("\\\n", " ");
    let lines = |word: &str| {
        let lines = file.lines().filter_map(|line| line.strip_prefix(word));
        lines
            .map(|rest| rest.trim().to_owned())
            .collect::<Vec<String>>()
    };
    for copy in lines("COPY --from=build") {
        let mut words: Vec<&str> = copy.split_whitespace().collect();
        assert!(
            words.pop().is_some_and(|target| target.starts_with('/')),
            "{copy}"
        );
        for source in words {
            let name = source.strip_prefix("/src/").expect("of the build");
            let is_built =
                name.starts_with("target/release/symbl-") || name.ends_with(".licences.txt");
            assert!(is_built || path(name).exists(), "{source}");
        }
    }
    let command = lines("CMD").pop().expect("a command");
    let command: Vec<String> = serde_json::from_str(&command).expect("JSON");
    let output = Command::new(env!("CARGO_BIN_EXE_symbl-service"))
        .args(&command)
        .args(["--recognizer", "scripted", "--check-config"])
        .env_remove("SYMBL_APP_ID")
        .env_remove("SYMBL_APP_SECRET")
        .output()
        .expect("run");
    assert!(output.status.success(), "{output:?}");
    // It does not run as root, and says how it is.
    let users = lines("USER");
    assert!(users.last().is_some_and(|user| user != "root"), "{users:?}");
    assert!(file.contains("HEALTHCHECK ") && file.contains("/readyz"));
    let minimum = text("Cargo.toml");
    let minimum = minimum
        .split("rust-version = \"")
        .nth(1)
        .expect("a version");
    let minimum = minimum.split('"').next().expect("a version");
    for name in ["Dockerfile", ".devcontainer/Dockerfile", ".gitlab-ci.yml"] {
        assert!(text(name).contains(&format!("rust:{minimum}-")), "{name}");
    }
    let compose = yaml("compose.yaml");
    let ports = compose["services"]["symbl-service"]["ports"]
        .as_vec()
        .expect("ports");
    for port in ports {
        let port = port.as_str().expect("a text");
        assert!(
            port.starts_with("127.0.0.1:"),
            "{port} is open to the world"
        );
    }
}
