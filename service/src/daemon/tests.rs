// SPDX-License-Identifier: MPL-2.0

//! The configuration file.

use super::*;
use crate::Options;
use clap::CommandFactory;

/// Reads these arguments after `--config` with a file of this text.
fn with(text: &str, arguments: &[&str]) -> Result<Read<Options>, ReadError> {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("symbl.toml");
    std::fs::write(&file, text).expect("room");
    let mut all: Vec<OsString> = vec!["symbl-service".into(), "--config".into(), file.into()];
    all.extend(arguments.iter().map(OsString::from));
    read(&all)
}

/// Returns a value that the option takes.
fn example(option: &Arg) -> String {
    let possible = option.get_possible_values();
    if let Some(first) = possible.first() {
        return first.get_name().to_owned();
    }
    let tried = [
        "7",
        "127.0.0.1:0",
        "https://a.example",
        "a.example",
        "reset@3s",
        "info",
        "all",
        "member=M[0-9]{6}",
    ];
    let accepts = |value: &&&str| {
        let bare = Arg::new("x")
            .long("x")
            .value_parser(option.get_value_parser().clone());
        let bare = bare.num_args(1);
        let command = Command::new("test").arg(bare);
        command
            .try_get_matches_from(["test", &format!("--x={value}")])
            .is_ok()
    };
    let found = tried.iter().find(accepts);
    (*found.unwrap_or_else(|| panic!("what does {:?} take?", option.get_long()))).to_owned()
}

#[test]
fn every_option_is_accepted_in_the_file() {
    let mut command = Options::command();
    command.build();
    let mut count = 0;
    for (name, option) in options(&command) {
        let value = match option.get_action().takes_values() {
            true => example(option),
            false => "true".to_owned(),
        };
        let written = match option.get_action() {
            ArgAction::Append => format!("[{}]", plain(&value)),
            _ => plain(&value),
        };
        let text = format!("{name} = {written}\n");
        let folder = tempfile::tempdir().expect("a folder");
        let file = folder.path().join("symbl.toml");
        std::fs::write(&file, &text).expect("room");
        let found = settings(&command, &file).unwrap_or_else(|error| panic!("{text}: {error}"));
        // Some options need another one too, so the arguments are compared and not the result.
        let arguments = &found[name].arguments;
        let expected = match option.get_action().takes_values() {
            true => format!("--{name}={value}"),
            false => format!("--{name}"),
        };
        assert_eq!(arguments, &[OsString::from(expected)], "{text}");
        let read = with(&text, &[]);
        match read {
            Ok(read) => assert_eq!(read.values[name], [value], "{text}"),
            Err(ReadError::Usage(error)) => {
                let kind = error.kind();
                assert_eq!(
                    kind,
                    clap::error::ErrorKind::MissingRequiredArgument,
                    "{error}"
                );
            }
            Err(error) => panic!("{text}: {error}"),
        }
        count += 1;
    }
    assert!(count > 30, "{count}");
}

#[test]
fn the_command_line_comes_before_the_file_and_what_it_excludes_is_left_out() {
    let text = "listen = [\"127.0.0.1:1\", \"127.0.0.1:2\"]\nmax-idle = 7\nlog = \"warn\"\n\
                recognizer-cmd = \"cat\"\nmax-phrases = 0x10";
    let read = with(
        text,
        &["--listen", "127.0.0.1:3", "--recognizer", "scripted"],
    );
    let read = read.expect("good options");
    assert_eq!(read.values["listen"], ["127.0.0.1:3"]);
    assert_eq!(read.values["max-idle"], ["7"]);
    assert_eq!(read.values["max-phrases"], ["16"]);
    assert_eq!(read.values["recognizer"], ["scripted"]);
    assert_eq!(read.values.get("recognizer-cmd"), None);
    assert_eq!(read.options.log, "warn");
    let split = with("tls-key = \"key.pem\"", &["--tls-cert", "cert.pem"]);
    assert_eq!(
        split.expect("both are there").values["tls-key"],
        ["key.pem"]
    );
}

#[test]
fn what_is_wrong_in_the_file_is_named_with_its_line() {
    for (text, says) in [
        (
            "max-idel = 7",
            ":1: there is no option `max-idel`; the closest is `max-idle`",
        ),
        (
            "\nmax_idle = 7",
            ":2: there is no option `max_idle`; the closest is `max-idle`",
        ),
        ("config = \"x\"", ":1: `config` is for the command line"),
        ("\n\nmax-idle = 0", ":3: invalid value '0' for '--max-idle"),
        ("max-idle = [1]", ":1: `max-idle` has one value"),
        ("max-idle = true", ":1: `max-idle` is a text or a number"),
        ("[max-idle]\n", ":1: `max-idle` is a text or a number"),
        ("listen = [1.5, [2]]", ":1: `listen` is a list of texts"),
        ("log = \"x\"\nlog = \"y\"", ":2: "),
        ("tls-cert = \"x\"", "--tls-key"),
        ("log", ":1: "),
    ] {
        let error = with(text, &[]).err().expect(text).to_string();
        assert!(error.contains(says), "{text}: {error}");
    }
}

#[test]
fn what_is_printed_is_a_file_with_the_same_effect_and_no_secret() {
    let text =
        "max-idle = 7\napp-id = \"a\\\"b\"\napp-secret = \"h-u-s-h\"\nlisten = [\"127.0.0.1:1\"]";
    let first = with(text, &["--log", "warn"]).expect("good options");
    assert!(!first.shown.contains("h-u-s-h"), "{}", first.shown);
    for line in [
        "max-idle = 7 # file",
        "log = \"warn\" # command line",
        "app-secret = \"***\" # file",
        "max-connections = 1000 # default",
        "listen = [\"127.0.0.1:1\"] # file",
        "# data is not set",
    ] {
        assert!(
            first.shown.lines().any(|l| l == line),
            "{line}: {}",
            first.shown
        );
    }
    let again = with(&first.shown, &[]).expect("a good file");
    for (name, value) in &first.values {
        if name != "app-secret" {
            assert_eq!(again.values.get(name), Some(value), "{name}");
        }
    }
}
