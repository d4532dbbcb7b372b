//! What a table needs of an object's metadata.

use std::sync::Arc;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use spotocean_core::id::ObjectKey;

/// Uid and numeric resource version.
pub fn identity(meta: &ObjectMeta) -> (Arc<str>, u64) {
    let uid = meta.uid.as_deref().unwrap_or_default().into();
    let version = meta
        .resource_version
        .as_deref()
        .and_then(|version| version.parse().ok())
        .unwrap_or_default();
    (uid, version)
}

/// The name.
pub fn name(meta: &ObjectMeta) -> Arc<str> {
    meta.name.as_deref().unwrap_or_default().into()
}

/// Namespace and name.
pub fn key(meta: &ObjectMeta) -> ObjectKey {
    ObjectKey::new(
        meta.namespace.as_deref().unwrap_or_default(),
        meta.name.as_deref().unwrap_or_default(),
    )
}

/// Drops what nobody here reads and what makes up most of an object's size.
pub fn trim(meta: &mut ObjectMeta) {
    meta.managed_fields = None;
    meta.self_link = None;
    if let Some(annotations) = &mut meta.annotations {
        annotations.remove("kubectl.kubernetes.io/last-applied-configuration");
    }
}
