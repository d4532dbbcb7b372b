//! Applies and deletes manifests of any kind the cluster serves, in the order in
//! which they stand in their file. Knows YAML and discovery, no kind.

use anyhow::{Context, Result, ensure};
use kube::api::{DeleteParams, DynamicObject, Patch, PatchParams};
use kube::core::{GroupVersionKind, TypeMeta};
use kube::discovery::{self, Scope};
use kube::{Api, Client};
use serde::Deserialize;

/// Server-side applies every document of `text`.
pub async fn apply(client: &Client, text: &str) -> Result<()> {
    for object in documents(text)? {
        let (api, name) = locate(client, &object).await?;
        let how = PatchParams::apply("spotocean-stack").force();
        api.patch(&name, &how, &Patch::Apply(&object))
            .await
            .with_context(|| format!("applying {name}"))?;
    }
    Ok(())
}

/// Deletes every document of `text`, the last first; what is gone already is no error.
pub async fn delete(client: &Client, text: &str) -> Result<()> {
    for object in documents(text)?.into_iter().rev() {
        let (api, name) = locate(client, &object).await?;
        match api.delete(&name, &DeleteParams::background()).await {
            Ok(_) => {}
            Err(kube::Error::Api(status)) if status.code == 404 => {}
            Err(error) => return Err(error).with_context(|| format!("deleting {name}")),
        }
    }
    Ok(())
}

fn documents(text: &str) -> Result<Vec<DynamicObject>> {
    let documents = serde_yaml::Deserializer::from_str(text).map(Option::<DynamicObject>::deserialize);
    let documents: Result<Vec<Option<DynamicObject>>, _> = documents.collect();
    // A document of comments alone is empty.
    Ok(documents
        .context("a manifest is not the YAML of Kubernetes objects")?
        .into_iter()
        .flatten()
        .collect())
}

async fn locate(client: &Client, object: &DynamicObject) -> Result<(Api<DynamicObject>, String)> {
    let types: &TypeMeta = object
        .types
        .as_ref()
        .context("a manifest has an apiVersion and a kind")?;
    let name = object.metadata.name.clone().context("a manifest has a name")?;
    let kind = GroupVersionKind::try_from(types)
        .with_context(|| format!("{} is no apiVersion", types.api_version))?;
    let (resource, capabilities) = discovery::pinned_kind(client, &kind)
        .await
        .with_context(|| format!("the cluster serves no {}", types.kind))?;
    let namespace = object.metadata.namespace.as_deref();
    let api = match capabilities.scope {
        Scope::Namespaced => Api::namespaced_with(client.clone(), namespace.unwrap_or("default"), &resource),
        Scope::Cluster => {
            ensure!(
                namespace.is_none(),
                "{name} has a namespace, and a {} lies in none",
                types.kind
            );
            Api::all_with(client.clone(), &resource)
        }
    };
    Ok((api, name))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn documents_are_read_in_order_and_empty_ones_left_out() {
        let text = "# only a comment\n---\napiVersion: v1\nkind: Namespace\nmetadata: {name: a}\n---\n\
                    apiVersion: v1\nkind: Namespace\nmetadata: {name: b}\n";
        let names: Vec<_> = documents(text)
            .unwrap()
            .into_iter()
            .filter_map(|object| object.metadata.name)
            .collect();
        assert_eq!(names, ["a", "b"]);
    }
}
