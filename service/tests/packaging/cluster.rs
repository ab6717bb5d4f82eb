// SPDX-License-Identifier: MPL-2.0

//! The files of `examples/cluster` for containers and for HAProxy, held to what the service
//! has: options, variables, ports and probes.

use super::common::process::Process;
use super::common::{Place, http};
use super::*;
use std::collections::BTreeMap;
use yaml_rust2::{Yaml, YamlLoader};

fn documents(name: &str) -> Vec<Yaml> {
    YamlLoader::load_from_str(&text(name)).unwrap_or_else(|error| panic!("{name}: {error}"))
}

fn strings(list: &Yaml) -> Vec<String> {
    let all = list.as_vec().expect("a list").iter();
    all.map(|item| item.as_str().expect("a text").to_owned())
        .collect()
}

/// Returns the members of a list that have this value under `name`.
fn find<'a>(list: &'a Yaml, name: &str, value: &str) -> &'a Yaml {
    let all = list.as_vec().expect("a list");
    all.iter()
        .find(|item| item[name].as_str() == Some(value))
        .unwrap_or_else(|| panic!("no {value}"))
}

/// Checks that the service takes these arguments and knows these variables.
fn understands(arguments: &[String], variables: &[String]) {
    let output = Command::new(env!("CARGO_BIN_EXE_symbl-service"))
        .args(arguments)
        .args(["--recognizer", "scripted", "--check-config"])
        .env("SYMBL_CLUSTER", "postgres://symbl:hush@127.0.0.1:1/symbl")
        .env_remove("SYMBL_APP_ID")
        .env_remove("SYMBL_APP_SECRET")
        .output()
        .expect("run");
    assert!(output.status.success(), "{arguments:?}: {output:?}");
    let help = Command::new(env!("CARGO_BIN_EXE_symbl-service"))
        .arg("--help")
        .output()
        .expect("run");
    let help = String::from_utf8(help.stdout).expect("UTF-8");
    for variable in variables {
        assert!(help.contains(&format!("[env: {variable}")), "{variable}");
    }
}

/// Returns the port of the address that follows an option.
fn port_of(arguments: &[String], option: &str) -> String {
    let at = arguments.iter().position(|argument| argument == option);
    let address = &arguments[at.expect("an option") + 1];
    let port = address.rsplit(':').next().expect("a port");
    port.to_owned()
}

#[tokio::test]
async fn the_manifest_has_options_ports_and_probes_of_the_service() {
    let name = "examples/cluster/kubernetes.yaml";
    let all = documents(name);
    let kinds: Vec<&str> = all.iter().filter_map(|one| one["kind"].as_str()).collect();
    assert_eq!(kinds, ["Deployment", "Service", "PodDisruptionBudget"]);
    let pod = &all[0]["spec"]["template"];
    let labels = &pod["metadata"]["labels"];
    for selector in [
        &all[0]["spec"]["selector"]["matchLabels"],
        &all[1]["spec"]["selector"],
        &all[2]["spec"]["selector"]["matchLabels"],
    ] {
        assert_eq!(selector, labels);
    }
    let container = &pod["spec"]["containers"][0];
    let arguments = strings(&container["args"]);
    let variables = container["env"].as_vec().expect("variables").iter();
    let variables = variables.map(|one| one["name"].as_str().expect("a name").to_owned());
    understands(&arguments, &variables.collect::<Vec<_>>());
    let port = |name: &str| {
        let port = &find(&container["ports"], "name", name)["containerPort"];
        port.as_i64().expect("a number").to_string()
    };
    assert_eq!(port("clients"), port_of(&arguments, "--listen"));
    assert_eq!(port("operators"), port_of(&arguments, "--metrics-listen"));
    let target = all[1]["spec"]["ports"][0]["targetPort"].as_str();
    assert_eq!(target, Some("clients"));
    let service = Process::start(|_| {});
    for (probe, wanted) in [("readinessProbe", "/readyz"), ("livenessProbe", "/livez")] {
        let get = &container[probe]["httpGet"];
        assert_eq!(get["port"].as_str(), Some("operators"), "{probe}");
        assert_eq!(get["path"].as_str(), Some(wanted));
        let (head, _) = http(&service.address(), &format!("GET {wanted}"), "").await;
        assert!(head.starts_with("http/1.1 200"), "{wanted}: {head}");
    }
    // Everything that is mounted is there, and nothing else is written to.
    let volumes = strings_of(&pod["spec"]["volumes"], "name");
    let mounts = strings_of(&container["volumeMounts"], "name");
    assert!(
        mounts.iter().all(|name| volumes.contains(name)),
        "{mounts:?}"
    );
    let is_read_only = &container["securityContext"]["readOnlyRootFilesystem"];
    assert_eq!(is_read_only.as_bool(), Some(true));
}

/// Returns what the members of a list have under this name.
fn strings_of(list: &Yaml, name: &str) -> Vec<String> {
    let all = list.as_vec().expect("a list").iter();
    all.map(|item| item[name].as_str().expect("a text").to_owned())
        .collect()
}

/// Returns the variables of a list like `NAME=value`.
fn variables(list: &Yaml) -> BTreeMap<String, String> {
    let all = strings(list).into_iter();
    all.map(|one| {
        let (name, value) = one.split_once('=').unwrap_or((&one, ""));
        (name.to_owned(), value.to_owned())
    })
    .collect()
}

#[test]
fn the_nodes_of_the_compose_file_are_those_of_its_balancer() {
    let name = "examples/cluster/compose.yaml";
    let all = documents(name).remove(0);
    let services = &all["services"];
    let node = &all["x-node"];
    let arguments = strings(&node["command"]);
    let own: Vec<String> = variables(&node["environment"]).into_keys().collect();
    understands(&arguments, &own);
    let balancer = &services["balancer"];
    let set = variables(&balancer["environment"]);
    let port = port_of(&arguments, "--listen");
    for name in ["a", "b", "c"] {
        let node = &services[format!("node-{name}").as_str()];
        let address = &node["networks"]["inside"]["ipv4_address"];
        let address = address.as_str().expect("an address");
        let variable = format!("SYMBL_NODE_{}", name.to_uppercase());
        assert_eq!(set[&variable], format!("{address}:{port}"));
    }
    for service in ["database", "balancer"] {
        assert!(!services[service].is_badvalue(), "{service}");
    }
    // Only the balancer is reached from outside, and it only from this machine.
    for (name, service) in services.as_hash().expect("services") {
        let ports = service["ports"].as_vec().map_or(&[][..], Vec::as_slice);
        let is_balancer = name.as_str() == Some("balancer");
        assert!(is_balancer || ports.is_empty(), "{name:?}");
        let is_local = |port: &Yaml| {
            port.as_str()
                .is_some_and(|port| port.starts_with("127.0.0.1:"))
        };
        assert!(ports.iter().all(is_local), "{ports:?}");
    }
    for volume in strings(&balancer["volumes"]) {
        let file = volume.split(':').next().expect("a file");
        assert!(path("examples/cluster").join(file).exists(), "{file}");
    }
    if has("/usr/sbin/haproxy", "-v") {
        let output = Command::new("/usr/sbin/haproxy")
            .args(["-c", "-f"])
            .arg(path("examples/cluster/haproxy.cfg"))
            .envs(&set)
            .output()
            .expect("run");
        assert!(output.status.success(), "{output:?}");
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(!said.contains("WARNING"), "{said}");
    }
}
