//! Bottlerocket's settings, as far as they decide what the kubelet is: TOML under `settings.kubernetes`.

use std::collections::BTreeMap;

use toml_edit::{Document, Item, TableLike};

use crate::boot::settings::{NodeSettings, taint};

/// Reads user data as Bottlerocket's early-boot-config does.
pub fn read(user_data: &[u8]) -> Result<NodeSettings, String> {
    let text = std::str::from_utf8(user_data).map_err(|_| fatal("user data is not UTF-8"))?;
    let document =
        Document::parse(text).map_err(|error| fatal(&format!("user data is not valid TOML: {error}")))?;
    let kubernetes = document
        .get("settings")
        .and_then(|settings| settings.get("kubernetes"))
        .and_then(Item::as_table_like)
        .ok_or_else(|| fatal("settings.kubernetes is missing"))?;
    settings(kubernetes)
}

fn fatal(message: &str) -> String {
    format!("early-boot-config: {message}")
}

fn settings(kubernetes: &dyn TableLike) -> Result<NodeSettings, String> {
    let required = |name: &str| {
        kubernetes
            .get(name)
            .and_then(Item::as_str)
            .map(str::to_owned)
            .ok_or_else(|| fatal(&format!("settings.kubernetes.{name} is missing")))
    };
    let max_pods = match kubernetes.get("max-pods") {
        Some(item) => Some(
            item.as_integer()
                .and_then(|number| u32::try_from(number).ok())
                .ok_or_else(|| fatal("settings.kubernetes.max-pods must be a number"))?,
        ),
        None => None,
    };
    let mut settings = NodeSettings {
        cluster_name: required("cluster-name")?,
        api_server: required("api-server")?,
        certificate_authority: required("cluster-certificate")?,
        labels: texts(kubernetes.get("node-labels"))?.unwrap_or_default(),
        max_pods,
        kube_reserved: texts(kubernetes.get("kube-reserved"))?,
        system_reserved: texts(kubernetes.get("system-reserved"))?.unwrap_or_default(),
        eviction_hard: texts(kubernetes.get("eviction-hard"))?,
        ..NodeSettings::default()
    };
    for (key, item) in kubernetes
        .get("node-taints")
        .and_then(Item::as_table_like)
        .into_iter()
        .flat_map(TableLike::iter)
    {
        // Since 1.3 a key has a list of `value:effect`; before, one.
        for each in strings(item) {
            settings.taints.push(taint(key, &each)?);
        }
    }
    Ok(settings)
}

fn strings(item: &Item) -> Vec<String> {
    match item.as_array() {
        Some(array) => array
            .iter()
            .filter_map(|value| value.as_str().map(str::to_owned))
            .collect(),
        None => item.as_str().map(str::to_owned).into_iter().collect(),
    }
}

fn texts(item: Option<&Item>) -> Result<Option<BTreeMap<String, String>>, String> {
    let Some(table) = item.and_then(Item::as_table_like) else {
        return Ok(None);
    };
    table
        .iter()
        .map(|(key, value)| {
            let text = value
                .as_str()
                .ok_or_else(|| fatal(&format!("the value of '{key}' must be a string")))?;
            Ok((key.to_owned(), text.to_owned()))
        })
        .collect::<Result<BTreeMap<_, _>, String>>()
        .map(Some)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn settings_are_read() {
        let text = "[settings.kubernetes]\ncluster-name = \"demo\"\napi-server = \"https://e\"\ncluster-certificate = \"Q0E=\"\nmax-pods = 20\n[settings.kubernetes.node-labels]\n\"spotocean.dev/pool\" = \"a\"\n[settings.kubernetes.node-taints]\n\"x\" = [\"y:NoSchedule\", \"z:NoExecute\"]\n[settings.kubernetes.eviction-hard]\n\"memory.available\" = \"5%\"\n";
        let found = read(text.as_bytes()).expect("valid");
        assert_eq!((found.max_pods, found.taints.len()), (Some(20), 2));
        assert_eq!(found.labels["spotocean.dev/pool"], "a");
    }

    #[test]
    fn bad_user_data_says_why() {
        for (text, expected) in [
            ("apiVersion: node.eks.aws/v1alpha1", "not valid TOML"),
            ("[settings.host]", "settings.kubernetes is missing"),
            (
                "[settings.kubernetes]\ncluster-name = \"a\"",
                "api-server is missing",
            ),
        ] {
            let found = read(text.as_bytes()).expect_err(text);
            assert!(found.contains(expected), "{text}: {found}");
        }
    }
}
