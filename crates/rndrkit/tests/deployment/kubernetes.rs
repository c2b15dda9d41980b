//! The manifest: nothing in it that Kubernetes would drop in silence, nothing that the product does not know,
//! and no port open to more than it is for.

use std::collections::{BTreeMap, BTreeSet};

use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::{ConfigMap, Container, HTTPGetAction, PodSpec, Probe, Service};
use k8s_openapi::api::networking::v1::NetworkPolicy;
use k8s_openapi::api::policy::v1::PodDisruptionBudget;
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;
use rndrkit::config::{Database, Settings};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::files::{read, resolve, write_secrets};

const MANIFEST: &str = "deploy/kubernetes/rndrkit.yaml";
/// What a node does after the last request: writing counters, leaving the others.
const SECONDS_AFTER_DRAIN: i64 = 5;

fn documents() -> Vec<Value> {
    serde_saphyr::from_multiple(&read(MANIFEST)).unwrap()
}

fn all_of<T: DeserializeOwned>(kind: &str) -> Vec<T> {
    let wanted = documents().into_iter().filter(|document| document["kind"] == kind);
    wanted.map(|document| serde_json::from_value(document).unwrap()).collect()
}

fn one<T: DeserializeOwned>(kind: &str) -> T {
    let mut found = all_of(kind);
    assert_eq!(found.len(), 1, "{kind}");
    found.remove(0)
}

fn pod() -> PodSpec {
    one::<Deployment>("Deployment").spec.unwrap().template.spec.unwrap()
}

fn container() -> Container {
    let mut containers = pod().containers;
    assert_eq!(containers.len(), 1);
    containers.remove(0)
}

/// Through Kubernetes' own types and back. What they do not know is lost on the way.
fn there_and_back<T: DeserializeOwned + Serialize>(document: &Value) -> Value {
    let typed: T = serde_json::from_value(document.clone()).unwrap();
    serde_json::to_value(typed).unwrap()
}

fn through_its_type(document: &Value) -> Value {
    match document["kind"].as_str().unwrap() {
        "ConfigMap" => there_and_back::<ConfigMap>(document),
        "Deployment" => there_and_back::<Deployment>(document),
        "Service" => there_and_back::<Service>(document),
        "PodDisruptionBudget" => there_and_back::<PodDisruptionBudget>(document),
        "NetworkPolicy" => there_and_back::<NetworkPolicy>(document),
        other => panic!("no type for {other}"),
    }
}

#[test]
fn kubernetes_knows_every_field_of_the_manifest() {
    let documents = documents();
    assert_eq!(documents.len(), 6);
    for document in &documents {
        assert_eq!(&through_its_type(document), document);
    }
}

#[test]
fn a_misspelt_or_misplaced_field_would_be_noticed() {
    let find = |kind: &str| documents().into_iter().find(|document| document["kind"] == kind).unwrap();
    let mut misspelt = find("Deployment");
    misspelt["spec"]["template"]["spec"]["containers"][0]["readinesProbe"] = Value::from(1);
    assert_ne!(through_its_type(&misspelt), misspelt);
    let mut misplaced = find("Deployment");
    misplaced["spec"]["terminationGracePeriodSeconds"] = Value::from(40);
    assert_ne!(through_its_type(&misplaced), misplaced);
}

/// What a container of the manifest would run with: the image's variables, the container's over them, the
/// file from the config map, and secrets where the volume would put them.
fn settings() -> Settings {
    let folder = tempfile::tempdir().unwrap();
    let config: ConfigMap = one("ConfigMap");
    let path = folder.path().join("rndrkit.toml");
    std::fs::write(&path, &config.data.unwrap()["rndrkit.toml"]).unwrap();
    write_secrets(folder.path());
    let mut variables: BTreeMap<String, String> = crate::container::variables().into_iter().collect();
    for variable in container().env.unwrap() {
        variables.insert(variable.name, variable.value.unwrap());
    }
    for (name, value) in &mut variables {
        if name == "RNDRKIT_CONFIG" || name.ends_with("_FILE") {
            *value = moved(value, folder.path());
        }
    }
    resolve(&variables.into_iter().collect::<Vec<_>>())
}

/// A path in the container, which must lie in one of its mounts, as a path in the test's folder.
fn moved(path: &str, folder: &std::path::Path) -> String {
    let (mount, name) = path.rsplit_once('/').unwrap();
    let mounts = container().volume_mounts.unwrap();
    assert!(mounts.iter().any(|known| known.mount_path == mount), "{path} lies in no mount");
    folder.join(name).display().to_string()
}

fn ports_of(container: &Container) -> BTreeMap<String, u16> {
    let ports = container.ports.iter().flatten();
    ports.map(|port| (port.name.clone().unwrap(), port.container_port.try_into().unwrap())).collect()
}

#[test]
fn the_product_takes_the_manifests_settings_and_listens_on_its_ports() {
    let settings = settings();
    assert!(matches!(settings.storage.database, Database::Postgres { .. }));
    let listeners = &settings.listeners;
    let expected = BTreeMap::from([
        ("public".to_owned(), listeners.public.port()),
        ("internal".to_owned(), listeners.internal.port()),
        ("telemetry".to_owned(), listeners.telemetry.unwrap().port()),
    ]);
    assert_eq!(ports_of(&container()), expected);
    assert!(listeners.public.ip().is_unspecified() && listeners.internal.ip().is_unspecified());
    // The log's shape and the public address would be defaults if the file were not read.
    assert!(settings.site.public_url.is_https());
}

fn asked(probe: Option<Probe>) -> HTTPGetAction {
    probe.unwrap().http_get.unwrap()
}

#[test]
fn probes_ask_what_the_telemetry_listener_answers() {
    let container = container();
    let asked = [
        (asked(container.startup_probe), "/livez"),
        (asked(container.liveness_probe), "/livez"),
        (asked(container.readiness_probe), "/readyz"),
    ];
    let routes = rndrkit_server::operator_routes();
    for (probe, path) in asked {
        assert_eq!(probe.path.as_deref(), Some(path));
        assert_eq!(probe.port, IntOrString::String("telemetry".to_owned()));
        assert!(routes.iter().any(|route| route.path == path), "{path} is no path of ours");
    }
}

#[test]
fn a_stop_has_the_time_that_it_takes() {
    let pod = pod();
    let sleep = container().lifecycle.unwrap().pre_stop.unwrap().sleep.unwrap().seconds;
    let drain = i64::try_from(settings().listeners.shutdown.as_secs()).unwrap();
    let granted = pod.termination_grace_period_seconds.unwrap();
    assert!(granted >= sleep + drain + SECONDS_AFTER_DRAIN, "{granted} s for {sleep} s and {drain} s");
}

#[test]
fn the_service_that_customers_reach_leads_to_the_public_port_alone() {
    let leads_to: BTreeMap<String, BTreeSet<String>> = all_of::<Service>("Service")
        .into_iter()
        .map(|service| {
            let ports = service.spec.unwrap().ports.unwrap();
            let targets = ports.into_iter().map(|port| match port.target_port.unwrap() {
                IntOrString::String(name) => name,
                IntOrString::Int(number) => panic!("{number} is no name"),
            });
            (service.metadata.name.unwrap(), targets.collect())
        })
        .collect();
    let set = |names: &[&str]| names.iter().map(ToString::to_string).collect::<BTreeSet<_>>();
    assert_eq!(leads_to["rndrkit"], set(&["public"]));
    assert_eq!(leads_to["rndrkit-internal"], set(&["internal", "telemetry"]));
}

#[test]
fn only_the_public_port_is_open_to_whoever_asks() {
    let policy: NetworkPolicy = one("NetworkPolicy");
    let spec = policy.spec.unwrap();
    assert_eq!(spec.policy_types.unwrap(), ["Ingress"]);
    let mut open = BTreeSet::new();
    let mut guarded = BTreeSet::new();
    for rule in spec.ingress.unwrap() {
        let callers = rule.from.unwrap_or_default();
        for port in rule.ports.unwrap() {
            let Some(IntOrString::String(name)) = port.port else { panic!("a port without its name") };
            if callers.is_empty() {
                open.insert(name)
            } else {
                guarded.insert(name)
            };
        }
    }
    assert_eq!(open, BTreeSet::from(["public".to_owned()]));
    assert_eq!(guarded, BTreeSet::from(["internal".to_owned(), "telemetry".to_owned()]));
}

#[test]
fn everything_selects_the_same_pods() {
    let deployment: Deployment = one("Deployment");
    let spec = deployment.spec.unwrap();
    let labels = spec.template.metadata.unwrap().labels;
    assert_eq!(spec.selector.match_labels, labels);
    for service in all_of::<Service>("Service") {
        assert_eq!(service.spec.unwrap().selector, labels);
    }
    let policy = one::<NetworkPolicy>("NetworkPolicy").spec.unwrap();
    assert_eq!(policy.pod_selector.unwrap().match_labels, labels);
    let budget = one::<PodDisruptionBudget>("PodDisruptionBudget").spec.unwrap();
    assert_eq!(budget.selector.unwrap().match_labels, labels);
    let spread = spec.template.spec.unwrap().topology_spread_constraints.unwrap();
    assert!(!spread.is_empty());
    for rule in spread {
        assert_eq!(rule.label_selector.unwrap().match_labels, labels);
    }
}

#[test]
fn the_container_may_do_nothing_that_it_does_not_need() {
    let pod = pod();
    assert_eq!(pod.automount_service_account_token, Some(false));
    let user = pod.security_context.unwrap();
    assert_eq!(user.run_as_non_root, Some(true));
    assert_eq!(user.run_as_user.map(|id| id.to_string()), Some(crate::container::user()));
    let rights = container().security_context.unwrap();
    assert_eq!(rights.read_only_root_filesystem, Some(true));
    assert_eq!(rights.allow_privilege_escalation, Some(false));
    assert_eq!(rights.capabilities.unwrap().drop.unwrap(), ["ALL"]);
    assert!(container().resources.unwrap().limits.unwrap().contains_key("memory"));
}
