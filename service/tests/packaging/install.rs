// SPDX-License-Identifier: MPL-2.0

//! `make install` of the programs, and the packages of `make deb`, in a folder in place of the
//! root.

use super::*;
use std::collections::BTreeSet;
use std::fs;

/// Returns the folder of the built programs, if all of them are there. `cargo test` of one
/// package builds its own program only.
fn built() -> Option<PathBuf> {
    let folder = Path::new(env!("CARGO_BIN_EXE_symbl-service"))
        .parent()
        .expect("a folder");
    for name in ["symbl-tap", "symbl-view"] {
        let known = Command::new(folder.join(name))
            .arg("--write-manual")
            .output();
        let is_new = known.is_ok_and(|output| {
            !String::from_utf8_lossy(&output.stderr).contains("unexpected argument")
        });
        if !is_new {
            has(name, "--write-manual");
            return None;
        }
    }
    Some(folder.to_owned())
}

fn run(action: &str, built: &Path, root: &Path, prefix: &str) {
    let output = Command::new(path("scripts/install-files.sh"))
        .arg(action)
        .args([built, root])
        .arg(prefix)
        .output()
        .expect("run");
    assert!(output.status.success(), "{output:?}");
}

/// Returns all files below a folder, from there.
fn files(root: &Path) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    let mut folders = vec![root.to_owned()];
    while let Some(folder) = folders.pop() {
        for file in fs::read_dir(folder).expect("a folder") {
            let file = file.expect("a file").path();
            match file.is_dir() {
                true => folders.push(file),
                false => {
                    let name = file.strip_prefix(root).expect("below it");
                    found.insert(name.to_str().expect("UTF-8").to_owned());
                }
            }
        }
    }
    found
}

#[test]
fn what_is_installed_works_and_is_removed_again() {
    let Some(built) = built() else {
        return;
    };
    let root = tempfile::tempdir().expect("a folder");
    let root = root.path();
    fs::create_dir_all(root.join("opt/symbl/bin")).expect("a folder");
    fs::write(root.join("opt/symbl/bin/other"), "of another package").expect("room");
    run("install", &built, root, "/opt/symbl");
    let installed = files(root);
    for file in [
        "bin/symbl-service",
        "bin/symbl-tap",
        "share/man/man1/symbl-service.1",
        "share/man/man1/symbl-service-model-fetch.1",
        "bin/symbl-view",
        "share/man/man1/symbl-tap.1",
        "share/man/man1/symbl-view.1",
        "share/bash-completion/completions/symbl-view",
        "share/bash-completion/completions/symbl-service",
        "share/zsh/site-functions/_symbl-tap",
        "share/fish/vendor_completions.d/symbl-tap.fish",
        "lib/systemd/system/symbl-service.service",
        "share/symbl-service/symbl.toml",
        "share/symbl-service/grafana-dashboard.json",
    ] {
        assert!(
            installed.contains(&format!("opt/symbl/{file}")),
            "{file}: {installed:#?}"
        );
    }
    let at = |file: &str| root.join("opt/symbl").join(file);
    for program in ["symbl-service", "symbl-tap", "symbl-view"] {
        let program = at("bin").join(program);
        let output = Command::new(&program)
            .arg("--version")
            .output()
            .expect("run");
        assert!(output.status.success(), "{output:?}");
        let size = |path: &Path| fs::metadata(path).expect("there").len();
        let was = size(&built.join(program.file_name().expect("a name")));
        assert!(size(&program) < was, "it is stripped");
    }
    let unit = fs::read_to_string(at("lib/systemd/system/symbl-service.service")).expect("a unit");
    assert!(
        unit.contains("\nExecStart=/opt/symbl/bin/symbl-service "),
        "{unit}"
    );
    // Every option is in the manual page and in the completions.
    let manual = fs::read_to_string(at("share/man/man1/symbl-service.1")).expect("a page");
    let completion = at("share/bash-completion/completions/symbl-service");
    let completions = fs::read_to_string(&completion).expect("completions");
    let help = Command::new(at("bin/symbl-service"))
        .arg("--help")
        .output()
        .expect("run");
    let help = String::from_utf8_lossy(&help.stdout).into_owned();
    let options = help
        .lines()
        .filter_map(|line| line.trim().strip_prefix("--"));
    let options: Vec<&str> = options.filter_map(|rest| rest.split(' ').next()).collect();
    assert!(options.len() > 40, "{options:?}");
    for option in options {
        let escaped = option.replace('-', "\\-");
        assert!(manual.contains(&format!("\\-\\-{escaped}")), "{option}");
        assert!(completions.contains(&format!("--{option}")), "{option}");
    }
    let parsed = Command::new("bash")
        .arg("-n")
        .arg(&completion)
        .output()
        .expect("bash");
    assert!(parsed.status.success(), "{parsed:?}");
    run("uninstall", &built, root, "/opt/symbl");
    let left: Vec<String> = files(root).into_iter().collect();
    assert_eq!(left, ["opt/symbl/bin/other"]);
}
