// SPDX-License-Identifier: MPL-2.0

//! What a release ships beside the programs: bills of materials, libraries that others can
//! use, and the checks before it. `make release-check` runs what takes long.

use super::*;
use serde_json::Value;
use std::collections::BTreeSet;

/// The libraries that are published, each after those that it needs.
const LIBRARIES: [&str; 10] = [
    "symbl-protocol",
    "symbl-analysis",
    "symbl-captions",
    "symbl-manual",
    "symbl-log",
    "symbl-client",
    "symbl-models",
    "symbl-tones",
    "symbl-whisper",
    "symbl-service",
];

/// Returns what a script prints, and its status.
fn script(name: &str, arguments: &[&str]) -> (Option<i32>, String) {
    let output = Command::new(path(name))
        .args(arguments)
        .env_remove("INSTALL")
        .output()
        .expect("run");
    let said = [output.stdout, output.stderr].concat();
    (
        output.status.code(),
        String::from_utf8_lossy(&said).into_owned(),
    )
}

fn bill_of(artefact: &Path, package: &str) -> Value {
    let output = Command::new("python3")
        .arg(path("scripts/release/sbom.py"))
        .arg(artefact)
        .arg(package)
        .env("SOURCE_DATE_EPOCH", "1700000000")
        .output()
        .expect("python3");
    assert!(output.status.success(), "{output:?}");
    serde_json::from_slice(&output.stdout).expect("JSON")
}

fn text_in<'a>(value: &'a Value, field: &str) -> &'a str {
    value[field].as_str().unwrap_or_default()
}

#[test]
fn a_bill_of_materials_names_every_part_its_licence_and_its_hash() {
    if !has("python3", "--version") {
        return;
    }
    let folder = tempfile::tempdir().expect("a folder");
    let artefact = folder.path().join("libcaptions.so");
    std::fs::write(&artefact, "abc").expect("room");
    let bill = bill_of(&artefact, "symbl-captions");
    assert_eq!(
        bill,
        bill_of(&artefact, "symbl-captions"),
        "the same artefact, the same bill"
    );
    assert_eq!(text_in(&bill, "specVersion"), "1.6");
    let own = &bill["metadata"]["component"];
    assert_eq!(text_in(own, "name"), "libcaptions.so");
    assert_eq!(text_in(own, "type"), "library");
    let of_abc = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
    assert_eq!(text_in(&own["hashes"][0], "content"), of_abc);

    let parts = bill["components"].as_array().expect("parts");
    assert!(parts.len() > 10, "{parts:#?}");
    let scope = |name: &str| {
        let part = parts.iter().find(|part| text_in(part, "name") == name);
        text_in(part.expect(name), "scope").to_owned()
    };
    assert_eq!(scope("textwrap"), "required");
    assert_eq!(scope("serde_derive"), "excluded", "a macro is not in it");
    for part in parts {
        let name = text_in(part, "name");
        assert!(
            !text_in(&part["licenses"][0], "expression").is_empty(),
            "{name}"
        );
        assert_eq!(text_in(&part["hashes"][0], "content").len(), 64, "{name}");
        assert!(text_in(part, "purl").starts_with("pkg:cargo/"), "{name}");
    }
    let mut known: BTreeSet<&str> = parts.iter().map(|part| text_in(part, "bom-ref")).collect();
    known.insert(text_in(own, "bom-ref"));
    let dependencies = bill["dependencies"].as_array().expect("dependencies");
    assert_eq!(dependencies.len(), known.len());
    for dependency in dependencies {
        let below = dependency["dependsOn"].as_array().expect("a list");
        for reference in below.iter().chain([&dependency["ref"]]) {
            assert!(
                known.contains(reference.as_str().expect("text")),
                "{reference}"
            );
        }
    }
}

#[test]
fn the_licences_name_every_part_with_the_texts_of_its_c_code() {
    if !has("python3", "--version") {
        return;
    }
    let folder = tempfile::tempdir().expect("a folder");
    let artefact = folder.path().join("symbl-service");
    std::fs::write(&artefact, "abc").expect("room");
    let bill = bill_of(&artefact, "symbl-service");
    let output = Command::new("python3")
        .arg(path("scripts/release/licences.py"))
        .arg("symbl-service")
        .output()
        .expect("python3");
    assert!(output.status.success(), "{output:?}");
    let licences = String::from_utf8(output.stdout).expect("UTF-8");
    let parts = bill["components"].as_array().expect("parts");
    let theirs = parts
        .iter()
        .filter(|part| part["scope"] == "required" && part["purl"].is_string());
    let mut count = 0;
    for part in theirs {
        let line = format!("\n{} {}", text_in(part, "name"), text_in(part, "version"));
        let licence = &part["licenses"][0]["expression"];
        let own = licences.split_once(&line).expect(&line).1;
        let own = own
            .lines()
            .nth(1)
            .expect("its licence")
            .replace('/', " OR ");
        let licence = licence.as_str().expect("a licence");
        assert!(own.trim_start().starts_with(licence), "{line}: {own}");
        count += 1;
    }
    assert!(count > 100, "{count}");
    // What crates and this project bring along, and the compiler.
    for of_others in [
        "Xiph.Org, Skype Limited, Octasic",
        "third_party/fiat/LICENSE",
        "within symbl-service\n  code of others: ",
        "Guillermo Rauch and Socket.IO contributors",
        "\nRust's library, by the Rust project\n",
    ] {
        assert!(licences.contains(of_others), "{of_others}");
    }
}

#[test]
fn a_library_has_what_a_registry_asks_for() {
    let output = Command::new(env!("CARGO"))
        .args(["metadata", "--format-version", "1", "--no-deps", "--locked"])
        .current_dir(path("."))
        .output()
        .expect("cargo");
    let metadata: Value = serde_json::from_slice(&output.stdout).expect("JSON");
    let packages = metadata["packages"].as_array().expect("packages");
    for (index, name) in LIBRARIES.iter().enumerate() {
        let package = packages
            .iter()
            .find(|package| text_in(package, "name") == *name);
        let package = package.expect(name);
        for field in ["description", "license", "readme", "rust_version"] {
            assert!(!text_in(package, field).is_empty(), "{name}: {field}");
        }
        for field in ["keywords", "categories"] {
            let list = package[field].as_array().expect("a list");
            assert!((1..=5).contains(&list.len()), "{name}: {field}");
        }
        let folder = Path::new(text_in(package, "manifest_path"))
            .parent()
            .expect("a folder");
        assert!(folder.join(text_in(package, "readme")).is_file(), "{name}");
        // Without a version, a dependency cannot be found by others.
        let dependencies = package["dependencies"].as_array().expect("a list").iter();
        let own = dependencies.filter(|one| one["path"].is_string() && one["kind"] != "dev");
        for dependency in own {
            let below = text_in(dependency, "name");
            assert_ne!(text_in(dependency, "req"), "*", "{name}: {below}");
            let before = LIBRARIES[..index].contains(&below);
            assert!(before, "{name} is published before {below}");
        }
    }
    for script in ["scripts/release.sh", "scripts/release-check.sh"] {
        let text = text(script)
            .replace(",\n", " ")
            .replace(", ", " ")
            .replace('\n', " ");
        assert!(
            text.contains(&LIBRARIES.join(" ")),
            "{script}: the order of {LIBRARIES:?}"
        );
    }
}

#[test]
fn a_check_that_cannot_run_says_so() {
    let folder = tempfile::tempdir().expect("a folder");
    let target = folder.path().to_str().expect("UTF-8");
    let check = |name: &str| script("scripts/release-check.sh", &[target, name]);
    // There are no packages in that folder, or no lintian.
    let (status, said) = check("lintian");
    let last = said.lines().last().unwrap_or_default();
    assert_eq!(status, Some(0), "{said}");
    assert!(
        last.starts_with("release-check: lintian: NOT RUN: "),
        "{said}"
    );
    let (status, said) = check("lintan");
    assert_eq!(status, Some(2), "{said}");
    assert!(
        said.contains("there is no check lintan; there are: bills docs "),
        "{said}"
    );
}

#[test]
fn a_check_that_fails_fails_all() {
    let folder = tempfile::tempdir().expect("a folder");
    let packages = folder.path().join("debian");
    std::fs::create_dir_all(&packages).expect("a folder");
    std::fs::write(packages.join("broken.deb"), "no package").expect("room");
    // Stands for Debian's, which is not everywhere.
    let tools = folder.path().join("tools/bin");
    std::fs::create_dir_all(&tools).expect("a folder");
    let lintian = tools.join("lintian");
    std::fs::write(&lintian, "#!/bin/sh\necho E: broken; exit 2\n").expect("room");
    let mode = std::os::unix::fs::PermissionsExt::from_mode(0o755);
    std::fs::set_permissions(&lintian, mode).expect("a mode");
    let target = folder.path().to_str().expect("UTF-8");
    let (status, said) = script("scripts/release-check.sh", &[target, "lintian", "semver"]);
    assert_eq!(status, Some(1), "{said}");
    assert!(
        said.contains("\nrelease-check: lintian: FAILED\n"),
        "{said}"
    );
}
