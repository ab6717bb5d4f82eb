// SPDX-License-Identifier: MPL-2.0

//! `--config`, `--check-config` and `--print-config`.

use super::*;

#[test]
fn a_file_configures_the_service_and_the_command_line_comes_before_it() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("symbl.toml");
    let text = "listen = \"127.0.0.1:0\"\nlog = \"debug\"\napp-id = \"shop\"\napp-secret = \"s\"\n";
    std::fs::write(&file, text).expect("room");
    let service = Running::start(command().arg("--config").arg(&file));
    let (status, body) = get(service.address(), "/v1/conversations");
    assert_eq!(status, 401, "{body}");
    service.end();
    let open = ["--auth", "none", "--log", "warn"];
    let service = Running::start(command().arg("--config").arg(&file).args(open));
    assert_eq!(get(service.address(), "/v1/conversations").0, 200);
    assert_eq!(service.end(), [""; 0], "--log of the command line");
}

#[test]
fn a_configuration_is_checked_without_serving() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("symbl.toml");
    let accounts = folder.path().join("accounts.toml");
    let check = |text: &str| {
        std::fs::write(&file, text).expect("room");
        let mut command = command();
        run(command.arg("--check-config").arg("--config").arg(&file))
    };
    let (output, said) = check("max-idle = 60\n");
    assert!(output.status.success(), "{said}");
    assert_eq!(said, "the configuration is good\n");
    std::fs::write(&accounts, "[[account]]\nid = \"a\"\n").expect("room");
    let with_accounts = format!("accounts = {:?}\n", accounts);
    for (text, says) in [
        (
            "max-idel = 60\n",
            "symbl.toml:1: there is no option `max-idel`; the closest is `max-idle`",
        ),
        ("\nmax-idle = 0\n", "symbl.toml:2: invalid value '0'"),
        ("log = \"a=b=c\"\n", "--log"),
        (
            "tls-cert = \"none.pem\"\ntls-key = \"none.pem\"\n",
            "none.pem: ",
        ),
        ("max-message = 100\n", "--max-audio-message"),
        (&with_accounts, "secret-sha256 or a secret-file"),
        ("lm = \"x\"\n", "pocketsphinx"),
    ] {
        let (output, said) = check(text);
        assert!(!output.status.success(), "{text}");
        assert!(said.contains(says), "{text}: {said}");
    }
    let mut empty = command();
    empty.env("SYMBL_APP_ID", "").env("SYMBL_APP_SECRET", "s");
    let (output, said) = run(empty.arg("--check-config"));
    assert!(
        !output.status.success() && said.contains("is empty"),
        "{said}"
    );
    // Where there is no cluster, a unit may have its variables all the same.
    let mut alone = command();
    alone.env("SYMBL_CLUSTER", "").env("SYMBL_BUS", "");
    let (output, said) = run(alone.args(["--check-config", "--data", "/nowhere"]));
    assert!(output.status.success(), "{said}");
    let mut alone = command();
    alone.env("SYMBL_CLUSTER", "");
    let (output, said) = run(alone.arg("--print-config"));
    assert!(output.status.success(), "{said}");
    assert!(said.contains("# cluster is not set"), "{said}");
    let (output, said) = run(command().args(["--config", "/nowhere/symbl.toml"]));
    assert!(
        !output.status.success() && said.contains("/nowhere/symbl.toml: "),
        "{said}"
    );
}

#[test]
fn what_is_printed_can_be_used_and_has_no_secret() {
    let mut print = command();
    print
        .args(["--print-config", "--max-idle", "77", "--max-load", "50"])
        .env("SYMBL_APP_ID", "shop")
        .env("SYMBL_APP_SECRET", "h-u-s-h");
    let (output, printed) = run(&mut print);
    assert!(output.status.success(), "{printed}");
    for line in [
        "max-idle = 77 # command line",
        "app-id = \"shop\" # environment",
        "app-secret = \"***\" # environment",
        "listen = [\"127.0.0.1:8787\"] # default",
    ] {
        assert!(printed.lines().any(|l| l == line), "{line}: {printed}");
    }
    assert!(!printed.contains("h-u-s-h"), "{printed}");
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("symbl.toml");
    std::fs::write(&file, &printed).expect("room");
    let mut again = Command::new(env!("CARGO_BIN_EXE_symbl-service"));
    let (_, second) = run(again.arg("--print-config").arg("--config").arg(&file));
    let values = |text: &str| -> Vec<String> {
        let lines = text.lines().filter(|line| !line.starts_with('#'));
        lines
            .map(|line| line.split(" # ").next().unwrap_or_default().to_owned())
            .collect()
    };
    assert_eq!(values(&printed), values(&second));
}
