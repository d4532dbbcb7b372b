//! Which cluster nodes join: what the ocean states inline, and EKS's word for the rest.

use std::net::IpAddr;
use std::sync::Arc;

use spotocean_api::condition::{ConditionType, Reason};
use spotocean_api::spot_ocean::SpotOcean;

use super::resolve::Unresolved;
use crate::snapshot::Snapshot;

/// What a new node has to know of the cluster.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ClusterFacts {
    /// Its name.
    pub name: Arc<str>,
    /// The apiserver's URL.
    pub endpoint: Arc<str>,
    /// The apiserver's CA, PEM in base64.
    pub certificate_authority: Arc<str>,
    /// The address range of Services.
    pub service_cidr: Arc<str>,
    /// The address of cluster DNS.
    pub dns: Arc<str>,
    /// The control plane's version, `major.minor`.
    pub version: Arc<str>,
    /// How roles are admitted, in EKS's words; `None` for a self-managed cluster.
    pub authentication_mode: Option<Arc<str>>,
}

/// Whether the ocean states everything that EKS would be asked for.
#[must_use]
pub fn is_inline(ocean: &SpotOcean) -> bool {
    ocean.spec.cluster.endpoint.is_some()
}

/// The cluster's facts, inline ones first.
///
/// # Errors
/// When EKS has not answered, knows no such cluster, or something is stated nowhere.
pub fn cluster_facts(snapshot: &Snapshot, ocean: &SpotOcean) -> Result<ClusterFacts, Unresolved> {
    let inline = &ocean.spec.cluster;
    let eks = if is_inline(ocean) {
        None
    } else {
        Some(eks_cluster(snapshot, &inline.name)?)
    };
    let pick = |own: &Option<String>, from_eks: Option<&Arc<str>>| {
        own.as_deref().map(Arc::from).or_else(|| from_eks.cloned())
    };
    let missing = |field: &str| {
        Unresolved::new(
            ConditionType::NetworkResolved,
            Reason::SpecInvalid,
            format!(
                "spec.cluster.{field} is not known: EKS is not asked when cluster.endpoint is given, so add {field}"
            ),
        )
    };
    let service_cidr =
        pick(&inline.service_cidr, eks.map(|eks| &eks.service_cidr)).ok_or_else(|| missing("serviceCIDR"))?;
    let dns = inline
        .dns_cluster_ip
        .as_deref()
        .map(Arc::from)
        .or_else(|| snapshot.cluster_dns.clone())
        .or_else(|| tenth_address(&service_cidr))
        .ok_or_else(|| missing("dnsClusterIP"))?;
    Ok(ClusterFacts {
        name: inline.name.as_str().into(),
        endpoint: pick(&inline.endpoint, eks.map(|eks| &eks.endpoint)).ok_or_else(|| missing("endpoint"))?,
        certificate_authority: pick(
            &inline.certificate_authority,
            eks.map(|eks| &eks.certificate_authority),
        )
        .ok_or_else(|| missing("certificateAuthority"))?,
        service_cidr,
        dns,
        version: version(snapshot, ocean).ok_or_else(|| missing("version"))?,
        authentication_mode: eks.map(|eks| eks.authentication_mode.clone()),
    })
}

/// The control plane's version: inline, else the apiserver's own word, else EKS's.
#[must_use]
pub fn version(snapshot: &Snapshot, ocean: &SpotOcean) -> Option<Arc<str>> {
    let inline = &ocean.spec.cluster;
    let eks = || {
        eks_cluster(snapshot, &inline.name)
            .ok()
            .map(|eks| eks.version.clone())
    };
    inline
        .version
        .as_deref()
        .map(Arc::from)
        .or_else(|| snapshot.kubernetes_version.clone())
        .or_else(eks)
}

fn eks_cluster<'a>(
    snapshot: &'a Snapshot,
    name: &str,
) -> Result<&'a spotocean_core::port::Cluster, Unresolved> {
    let answer = snapshot
        .world
        .clusters
        .get(name)
        .ok_or_else(|| Unresolved::waiting(ConditionType::CloudAccess, "EKS about the cluster"))?;
    answer.result.as_ref().map_err(|error| {
        Unresolved::of_error(error, ConditionType::CloudAccess, Reason::WrongCluster, || {
            format!(
                "EKS knows no cluster {name} in this account and region: correct spec.cluster.name, \
                 or give endpoint, certificateAuthority and serviceCIDR for a self-managed cluster"
            )
        })
    })
}

/// The tenth address of the range, where cluster DNS is by convention of EKS and kubeadm.
#[must_use]
pub fn tenth_address(service_cidr: &str) -> Option<Arc<str>> {
    let (network, bits) = service_cidr.split_once('/')?;
    let bits: u32 = bits.parse().ok()?;
    let tenth = match network.parse::<IpAddr>().ok()? {
        IpAddr::V4(address) => {
            let mask = u32::MAX.checked_shl(32_u32.checked_sub(bits)?).unwrap_or(0);
            IpAddr::from(((u32::from(address) & mask) | 10).to_be_bytes())
        }
        IpAddr::V6(address) => {
            let mask = u128::MAX.checked_shl(128_u32.checked_sub(bits)?).unwrap_or(0);
            IpAddr::from(((u128::from(address) & mask) | 10).to_be_bytes())
        }
    };
    Some(tenth.to_string().into())
}

#[cfg(test)]
mod tests {
    use super::tenth_address;

    #[test]
    fn dns_is_the_tenth_address() {
        let rows = [
            ("10.100.0.0/16", Some("10.100.0.10")),
            ("172.20.0.0/16", Some("172.20.0.10")),
            ("fd30:1:2::/108", Some("fd30:1:2::a")),
            ("10.0.0.0/40", None),
            ("nonsense", None),
        ];
        for (cidr, expected) in rows {
            assert_eq!(tenth_address(cidr).as_deref(), expected, "{cidr}");
        }
    }
}
