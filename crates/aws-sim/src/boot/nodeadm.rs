//! AL2023's nodeadm, as far as it decides what the kubelet is: NodeConfig documents, merged
//! (amazon-eks-ami, nodeadm/internal/api).

use serde_json::{Map, Value};

use crate::boot::mime;
use crate::boot::settings::{NodeSettings, NodeTaint};

const MEDIA_TYPE: &str = "application/node.eks.aws";

/// Reads user data as nodeadm does.
pub fn read(user_data: &[u8]) -> Result<NodeSettings, String> {
    let text = std::str::from_utf8(user_data).map_err(|_| fatal("user data is not UTF-8"))?;
    let merged = documents(text)?.into_iter().fold(Value::Null, merged);
    if merged.is_null() {
        return Err(fatal(
            "no config in chain: user data holds no application/node.eks.aws part and is no NodeConfig",
        ));
    }
    settings(&merged)
}

fn fatal(message: &str) -> String {
    format!("nodeadm: {message}")
}

fn documents(text: &str) -> Result<Vec<Value>, String> {
    match mime::parts(text) {
        Some(parts) => parts
            .iter()
            .filter(|part| part.media_type == MEDIA_TYPE)
            .map(|part| document(&part.body))
            .collect(),
        None if text.contains("node.eks.aws/") => Ok(vec![document(text)?]),
        None => Ok(Vec::new()),
    }
}

fn document(text: &str) -> Result<Value, String> {
    let value: Value =
        serde_yaml::from_str(text).map_err(|error| fatal(&format!("cannot parse NodeConfig: {error}")))?;
    if value["kind"] != "NodeConfig"
        || !value["apiVersion"]
            .as_str()
            .unwrap_or_default()
            .starts_with("node.eks.aws/")
    {
        return Err(fatal(&format!(
            "no kind {} in version {} is registered",
            value["kind"], value["apiVersion"]
        )));
    }
    let known = ["apiVersion", "kind", "metadata", "spec"];
    if let Some(unknown) = value
        .as_object()
        .into_iter()
        .flat_map(Map::keys)
        .find(|key| !known.contains(&key.as_str()))
    {
        return Err(fatal(&format!(
            "strict decoding error: unknown field \"{unknown}\""
        )));
    }
    Ok(value)
}

/// Later parts win; maps merge, kubelet flags add up.
fn merged(base: Value, over: Value) -> Value {
    match (base, over) {
        (Value::Object(mut base), Value::Object(over)) => {
            for (key, value) in over {
                let next = match base.remove(&key) {
                    Some(Value::Array(mut flags)) if key == "flags" => {
                        flags.extend(value.as_array().cloned().unwrap_or_default());
                        Value::Array(flags)
                    }
                    Some(existing) => merged(existing, value),
                    None => value,
                };
                base.insert(key, next);
            }
            Value::Object(base)
        }
        (_, over) => over,
    }
}

fn settings(config: &Value) -> Result<NodeSettings, String> {
    let spec = &config["spec"];
    let cluster = &spec["cluster"];
    let required = |name: &str, what: &str| {
        cluster[name]
            .as_str()
            .filter(|text| !text.is_empty())
            .map(str::to_owned)
            .ok_or_else(|| fatal(&format!("{what} is missing in cluster configuration")))
    };
    let kubelet = &spec["kubelet"]["config"];
    let mut settings = NodeSettings {
        cluster_name: required("name", "Name")?,
        api_server: required("apiServerEndpoint", "Apiserver endpoint")?,
        certificate_authority: required("certificateAuthority", "Certificate authority")?,
        service_cidr: Some(required("cidr", "CIDR")?),
        max_pods: number(&kubelet["maxPods"])?,
        kube_reserved: texts(&kubelet["kubeReserved"]),
        system_reserved: texts(&kubelet["systemReserved"]).unwrap_or_default(),
        eviction_hard: texts(&kubelet["evictionHard"]),
        uses_instance_storage: spec["instance"]["localStorage"]["strategy"].is_string(),
        ..NodeSettings::default()
    };
    read_taints(&kubelet["registerWithTaints"], &mut settings)?;
    for flag in spec["kubelet"]["flags"]
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(Value::as_str)
    {
        read_flag(flag, &mut settings)?;
    }
    Ok(settings)
}

fn number(value: &Value) -> Result<Option<u32>, String> {
    match value {
        Value::Null => Ok(None),
        Value::Number(number) => number
            .as_u64()
            .and_then(|number| u32::try_from(number).ok())
            .map(Some)
            .ok_or_else(|| format!("kubelet: {number} is no number of pods")),
        other => Err(format!(
            "kubelet: cannot unmarshal {other} into field maxPods of type int32"
        )),
    }
}

fn texts(value: &Value) -> Option<std::collections::BTreeMap<String, String>> {
    let map = value.as_object()?;
    Some(
        map.iter()
            .map(|(key, value)| {
                (
                    key.clone(),
                    value.as_str().map_or_else(|| value.to_string(), str::to_owned),
                )
            })
            .collect(),
    )
}

fn read_taints(value: &Value, settings: &mut NodeSettings) -> Result<(), String> {
    for each in value.as_array().into_iter().flatten() {
        let text = |name: &str| each[name].as_str().unwrap_or_default().to_owned();
        let taint = NodeTaint {
            key: text("key"),
            value: text("value"),
            effect: text("effect"),
        };
        crate::boot::settings::taint(&taint.key, &taint.effect)?;
        settings.taints.push(taint);
    }
    Ok(())
}

fn read_flag(flag: &str, settings: &mut NodeSettings) -> Result<(), String> {
    let (name, value) = flag.split_once('=').unwrap_or((flag, ""));
    let pairs = || {
        value
            .split(',')
            .filter(|pair| !pair.is_empty())
            .map(|pair| pair.split_once('=').unwrap_or((pair, "")))
    };
    match name {
        "--node-labels" => {
            settings
                .labels
                .extend(pairs().map(|(key, value)| (key.to_owned(), value.to_owned())));
        }
        "--register-with-taints" => {
            for (key, rest) in pairs() {
                let (key, rest) = if rest.is_empty() {
                    key.split_once(':').unwrap_or((key, ""))
                } else {
                    (key, rest)
                };
                settings.taints.push(crate::boot::settings::taint(key, rest)?);
            }
        }
        "--max-pods" => {
            settings.max_pods = Some(
                value
                    .parse()
                    .map_err(|_| format!("kubelet: invalid argument \"{value}\" for --max-pods"))?,
            );
        }
        _ => {}
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    const CONFIG: &str = "apiVersion: node.eks.aws/v1alpha1\nkind: NodeConfig\nspec:\n  cluster:\n    name: demo\n    apiServerEndpoint: https://e\n    certificateAuthority: Q0E=\n    cidr: 10.0.0.0/24\n  kubelet:\n    config:\n      maxPods: 42\n      registerWithTaints:\n      - {key: a, value: b, effect: NoSchedule}\n      evictionHard: {memory.available: 200Mi}\n    flags:\n    - --node-labels=x=1,y=2\n";

    #[test]
    fn a_bare_node_config_is_read() {
        let found = read(CONFIG.as_bytes()).expect("valid");
        assert_eq!((found.cluster_name.as_str(), found.max_pods), ("demo", Some(42)));
        assert_eq!(found.labels.len(), 2);
        assert_eq!(found.taints.len(), 1);
        assert_eq!(found.eviction_hard.expect("given")["memory.available"], "200Mi");
    }

    #[test]
    fn parts_merge_and_the_later_wins() {
        let second = "apiVersion: node.eks.aws/v1alpha1\nkind: NodeConfig\nspec:\n  kubelet:\n    config: {maxPods: 7}\n    flags: [--node-labels=z=3]\n";
        let message = format!(
            "MIME-Version: 1.0\nContent-Type: multipart/mixed; boundary=b\n\n--b\nContent-Type: application/node.eks.aws\n\n{CONFIG}\n--b\nContent-Type: text/x-shellscript\n\n#!/bin/sh\n--b\nContent-Type: application/node.eks.aws\n\n{second}\n--b--\n"
        );
        let found = read(message.as_bytes()).expect("valid");
        assert_eq!((found.max_pods, found.labels.len()), (Some(7), 3));
    }

    #[test]
    fn bad_user_data_says_why() {
        for (text, expected) in [
            ("", "no config in chain"),
            ("#!/bin/sh\necho hi", "no config in chain"),
            (
                "apiVersion: node.eks.aws/v1alpha1\nkind: NodeConfig\nspec: {cluster: {name: x}}",
                "Apiserver endpoint is missing",
            ),
            (
                "apiVersion: node.eks.aws/v1alpha1\nkind: NodeConfig\nspecs: {}",
                "unknown field \"specs\"",
            ),
        ] {
            let found = read(text.as_bytes()).expect_err(text);
            assert!(found.contains(expected), "{text}: {found}");
        }
    }
}
