//! Bottlerocket's settings model takes the user data of Bottlerocket pools.
//!
//! Bottlerocket's own model is not published as a crate, so this is a model of our own, strict where the original
//! is: an unknown setting or a value of another form fails the boot. Names and forms are those of
//! bottlerocket-settings-sdk: `settings-extensions/kubernetes` for the settings, `modeled-types/src/kubernetes.rs` for
//! the values, and of Bottlerocket's settings reference for `bootstrap-commands` and `host-containers`.

use std::collections::BTreeMap;
use std::net::IpAddr;

use serde::Deserialize;
use serde_json::Value as Json;
use spotocean_api::template::ImageFamily;
use toml_edit::{DocumentMut, TableLike, TomlError, Value};

use crate::pools::Pool;

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct UserData {
    settings: Settings,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
struct Settings {
    kubernetes: Kubernetes,
    #[serde(default)]
    bootstrap_commands: BTreeMap<Text<Identifier>, BootstrapCommand>,
    #[serde(default)]
    host_containers: BTreeMap<Text<Identifier>, HostContainer>,
}

/// The settings that a pool may come to, and those of the original that a user is likely to add.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
struct Kubernetes {
    cluster_name: Text<ClusterName>,
    cluster_certificate: Text<Base64>,
    api_server: Text<Url>,
    cluster_dns_ip: OneOrMany<IpAddr>,
    max_pods: u32,
    #[serde(default)]
    node_labels: BTreeMap<Text<LabelKey>, Text<LabelValue>>,
    #[serde(default)]
    node_taints: BTreeMap<Text<LabelKey>, OneOrMany<Text<TaintValue>>>,
    #[serde(default)]
    eviction_hard: BTreeMap<EvictionSignal, Text<Threshold>>,
    #[serde(default)]
    eviction_soft: BTreeMap<EvictionSignal, Text<Threshold>>,
    #[serde(default)]
    eviction_soft_grace_period: BTreeMap<EvictionSignal, Text<Span>>,
    #[serde(default)]
    kube_reserved: BTreeMap<ReservedResource, Text<Quantity>>,
    #[serde(default)]
    system_reserved: BTreeMap<ReservedResource, Text<Quantity>>,
    cpu_cfs_quota_enforced: Option<bool>,
    image_gc_high_threshold_percent: Option<Text<Percent>>,
    image_gc_low_threshold_percent: Option<Text<Percent>>,
    registry_qps: Option<i32>,
    pod_pids_limit: Option<i64>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct BootstrapCommand {
    commands: Vec<Vec<String>>,
    mode: Mode,
    essential: bool,
}

#[derive(Debug, Deserialize, PartialEq)]
#[serde(rename_all = "lowercase")]
enum Mode {
    Off,
    Once,
    Always,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
struct HostContainer {
    enabled: Option<bool>,
}

#[derive(Debug, Deserialize, PartialEq, Eq, PartialOrd, Ord)]
enum EvictionSignal {
    #[serde(rename = "memory.available")]
    Memory,
    #[serde(rename = "nodefs.available")]
    NodeFilesystem,
    #[serde(rename = "nodefs.inodesFree")]
    NodeInodes,
    #[serde(rename = "imagefs.available")]
    ImageFilesystem,
    #[serde(rename = "imagefs.inodesFree")]
    ImageInodes,
    #[serde(rename = "pid.available")]
    Pids,
}

#[derive(Debug, Deserialize, PartialEq, Eq, PartialOrd, Ord)]
#[serde(rename_all = "kebab-case")]
enum ReservedResource {
    Cpu,
    Memory,
    EphemeralStorage,
}

#[derive(Debug, Deserialize, PartialEq)]
#[serde(untagged)]
enum OneOrMany<T> {
    One(T),
    Many(Vec<T>),
}

/// A text of one form.
#[derive(Debug, Deserialize, PartialEq, Eq, PartialOrd, Ord)]
#[serde(try_from = "String", bound = "F: Form")]
struct Text<F> {
    text: String,
    form: std::marker::PhantomData<F>,
}

trait Form {
    fn holds(text: &str) -> bool;
}

impl<F: Form> TryFrom<String> for Text<F> {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        if F::holds(&text) {
            Ok(Self {
                text,
                form: std::marker::PhantomData,
            })
        } else {
            Err(format!("{text:?} is no {}", std::any::type_name::<F>()))
        }
    }
}

macro_rules! forms {
    ($($name:ident: $holds:expr;)+) => {
        $(
            #[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
            struct $name;

            impl Form for $name {
                fn holds(text: &str) -> bool {
                    let holds: fn(&str) -> bool = $holds;
                    holds(text)
                }
            }
        )+
    };
}

forms! {
    ClusterName: |text| text.len() <= 100 && text.starts_with(|first: char| first.is_ascii_alphanumeric())
        && text.chars().all(|each| each.is_ascii_alphanumeric() || "-_".contains(each));
    Identifier: |text| !text.is_empty() && text.chars().all(|each| each.is_ascii_alphanumeric() || "-_".contains(each));
    Base64: |text| text.len() % 4 == 0 && text.chars().all(|each| each.is_ascii_alphanumeric() || "+/=".contains(each));
    Url: |text| text.starts_with("https://") && text.len() > "https://".len();
    LabelKey: |text| match text.split_once('/') {
        Some((domain, name)) => !domain.is_empty()
            && domain.chars().all(|each| each.is_ascii_alphanumeric() || ".-".contains(each))
            && is_name(name),
        None => is_name(text),
    };
    LabelValue: |text| text.is_empty() || is_name(text);
    TaintValue: |text| text.split_once(':').is_some_and(|(value, effect)| {
        (value.is_empty() || is_name(value)) && ["NoSchedule", "PreferNoSchedule", "NoExecute"].contains(&effect)
    });
    Quantity: is_quantity;
    Threshold: |text| match text.strip_suffix('%') {
        Some(percent) => percent.parse::<f32>().is_ok_and(|percent| (0.0..100.0).contains(&percent)),
        None => is_quantity(text),
    };
    Span: is_span;
    Percent: |text| text.parse::<u32>().is_ok_and(|percent| percent <= 100);
}

fn is_name(text: &str) -> bool {
    let is_edge = |edge: char| edge.is_ascii_alphanumeric();
    (1..=63).contains(&text.len())
        && text.starts_with(is_edge)
        && text.ends_with(is_edge)
        && text
            .chars()
            .all(|each| each.is_ascii_alphanumeric() || "._-".contains(each))
}

fn is_quantity(text: &str) -> bool {
    let unit = text.trim_start_matches(|each: char| each.is_ascii_digit() || each == '.');
    unit.len() < text.len()
        && [
            "", "n", "u", "m", "k", "K", "M", "G", "T", "P", "E", "Ki", "Mi", "Gi", "Ti", "Pi", "Ei",
        ]
        .contains(&unit)
}

/// Hours, minutes, seconds, milliseconds, in this order and each at most once.
fn is_span(text: &str) -> bool {
    let mut rest = text;
    for unit in ["h", "m", "s", "ms"] {
        let number = rest.len() - rest.trim_start_matches(|each: char| each.is_ascii_digit()).len();
        let (digits, after) = rest.split_at(number);
        let is_milliseconds = unit == "m" && after.starts_with("ms");
        match after.strip_prefix(unit) {
            Some(after) if !digits.is_empty() && !is_milliseconds => rest = after,
            _ => {}
        }
    }
    rest.is_empty() && !text.is_empty()
}

fn read(text: &str) -> Result<Settings, String> {
    let document: DocumentMut = text.parse().map_err(|error: TomlError| error.to_string())?;
    serde_json::from_value::<UserData>(table(document.as_table()))
        .map(|read| read.settings)
        .map_err(|error| error.to_string())
}

fn table(table: &dyn TableLike) -> Json {
    let entries = table.iter().map(|(key, item)| {
        let value = match item.as_table_like() {
            Some(inner) => self::table(inner),
            None => item.as_value().map_or(Json::Null, value),
        };
        (key.to_owned(), value)
    });
    Json::Object(entries.collect())
}

fn value(value: &Value) -> Json {
    match value {
        Value::String(text) => Json::from(text.value().as_str()),
        Value::Integer(number) => Json::from(*number.value()),
        Value::Float(number) => Json::from(*number.value()),
        Value::Boolean(truth) => Json::from(*truth.value()),
        Value::Datetime(time) => Json::from(time.to_string()),
        Value::Array(values) => values.iter().map(self::value).collect(),
        Value::InlineTable(inner) => table(inner),
    }
}

fn read_pool(pool: &Pool) -> Settings {
    let text = pool
        .user_data(ImageFamily::Bottlerocket)
        .expect("this pool has user data");
    read(&text).unwrap_or_else(|error| panic!("{error}\n{text}"))
}

fn many(texts: &[&str]) -> OneOrMany<Text<TaintValue>> {
    let values = texts.iter().map(|text| Text::try_from((*text).to_owned()));
    OneOrMany::Many(values.collect::<Result<_, _>>().expect("these are taint values"))
}

#[test]
fn a_minimal_pool_is_read_as_meant() {
    let settings = read_pool(&Pool::minimal());
    let kubernetes = settings.kubernetes;
    assert_eq!(kubernetes.cluster_name.text, "shop");
    assert_eq!(kubernetes.cluster_certificate.text, "Q0E=");
    assert_eq!(kubernetes.api_server.text, "https://shop.eks.example");
    assert_eq!(
        kubernetes.cluster_dns_ip,
        OneOrMany::One(IpAddr::from([10, 100, 0, 10]))
    );
    assert_eq!(kubernetes.max_pods, 29);
    let taints: Vec<_> = kubernetes.node_taints.into_iter().collect();
    assert_eq!(taints[0].0.text, "spotocean.dev/unregistered");
    assert_eq!((taints.len(), &taints[0].1), (1, &many(&[":NoExecute"])));
    assert!(settings.bootstrap_commands.is_empty());
}

#[test]
fn every_setting_arrives() {
    let settings = read_pool(&Pool::full());
    let kubernetes = settings.kubernetes;
    let text = |value: &Option<Text<Percent>>| value.as_ref().map(|value| value.text.clone());
    assert_eq!(
        text(&kubernetes.image_gc_high_threshold_percent).as_deref(),
        Some("80")
    );
    assert_eq!(
        text(&kubernetes.image_gc_low_threshold_percent).as_deref(),
        Some("70")
    );
    assert_eq!(kubernetes.cpu_cfs_quota_enforced, Some(false));
    assert_eq!(kubernetes.eviction_hard[&EvictionSignal::NodeInodes].text, "3%");
    assert_eq!(kubernetes.eviction_soft[&EvictionSignal::Memory].text, "500Mi");
    assert_eq!(
        kubernetes.eviction_soft_grace_period[&EvictionSignal::Memory].text,
        "1m30s"
    );
    assert_eq!(
        kubernetes.kube_reserved[&ReservedResource::EphemeralStorage].text,
        "2Gi"
    );
    assert_eq!(kubernetes.system_reserved[&ReservedResource::Cpu].text, "50m");
    let addresses = ["10.100.0.10", "169.254.20.10"].map(|text| text.parse().expect("an address"));
    assert_eq!(kubernetes.cluster_dns_ip, OneOrMany::Many(addresses.to_vec()));
    let labels: Vec<_> = kubernetes
        .node_labels
        .iter()
        .map(|(key, value)| (key.text.as_str(), value.text.as_str()))
        .collect();
    assert_eq!(
        labels,
        [
            ("empty", ""),
            ("example.com/team_name", "A.b-c"),
            ("spotocean.dev/capacity-type", "spot"),
            ("spotocean.dev/pool", "main"),
        ]
    );
    let dedicated = &kubernetes.node_taints[&Text::try_from("dedicated".to_owned()).expect("a key")];
    assert_eq!(dedicated, &many(&["yes:NoSchedule", "yes:NoExecute"]));
    let command = settings
        .bootstrap_commands
        .into_values()
        .next()
        .expect("local disks are mounted");
    assert!(command.essential && command.mode == Mode::Always);
    assert!(command.commands.iter().all(|words| words[0] == "apiclient"));
}

#[test]
fn the_users_part_is_merged_under_ours() {
    let own = "[settings.host-containers.admin]\nenabled = true\n[settings.kubernetes]\nmax-pods = 7\nregistry-qps = 20\n\n[settings.kubernetes.node-labels]\nteam = \"a\"\n";
    let settings = read_pool(&Pool {
        own: vec![own, "[settings.kubernetes]\npod-pids-limit = 100"],
        ..Pool::minimal()
    });
    let kubernetes = settings.kubernetes;
    assert_eq!(
        (
            kubernetes.max_pods,
            kubernetes.registry_qps,
            kubernetes.pod_pids_limit
        ),
        (29, Some(20), Some(100))
    );
    assert_eq!(kubernetes.node_labels.len(), 2);
    assert_eq!(
        settings
            .host_containers
            .into_values()
            .next()
            .and_then(|own| own.enabled),
        Some(true)
    );
}

#[test]
fn what_bottlerocket_would_not_boot_with_is_refused() {
    let whole = Pool::full()
        .user_data(ImageFamily::Bottlerocket)
        .expect("this pool has user data");
    let rows = [
        (whole.replace("max-pods", "maxPods"), "maxPods"),
        (
            whole.replace("max-pods = 50", "max-pods = \"50\""),
            "invalid type",
        ),
        (whole.replace("yes:NoExecute", "yes=true:NoExecute"), "OneOrMany"),
        (whole.replace("1m30s", "90"), "Span"),
        (
            whole.replace(
                "[settings.kubernetes.kube-reserved]",
                "[settings.kubernetes.kube-reserved]\npid = \"10\"",
            ),
            "pid",
        ),
        (whole.replace("cluster-name = \"shop\"\n", ""), "cluster-name"),
        (
            whole.replace("settings.kubernetes", "settings.kubernets"),
            "kubernets",
        ),
    ];
    for (broken, expected) in rows {
        assert_ne!(broken, whole, "{expected}");
        let error = read(&broken).expect_err(expected);
        assert!(error.contains(expected), "{error}\nhas no {expected}\n{broken}");
    }
}

#[test]
fn a_reservation_that_bottlerocket_does_not_know_is_refused_with_the_fix() {
    let mut pool = Pool::minimal();
    pool.kubelet =
        serde_json::from_value(serde_json::json!({"systemReserved": {"pid": "100"}})).expect("a setting");
    let error = pool
        .user_data(ImageFamily::Bottlerocket)
        .expect_err("there is no such setting");
    assert!(
        error
            .to_string()
            .contains("remove pid from kubelet.systemReserved"),
        "{error}"
    );
    assert!(pool.user_data(ImageFamily::AL2023).is_ok());
}
