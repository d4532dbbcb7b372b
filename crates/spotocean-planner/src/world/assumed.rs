//! What AWS would answer if everything that the oceans name were there.
//!
//! For plans that nobody carries out: every selector finds a subnet with room
//! in each zone of the catalogue, every image exists for both architectures,
//! roles are admitted. Knows nothing of what is really in the account.

use std::collections::BTreeMap;
use std::sync::Arc;

use jiff::Timestamp;
use spotocean_core::instance_type::Architecture;
use spotocean_core::port::{AccessEntryOutcome, Cluster, Image, SecurityGroup, Subnet};

use super::{AccessMethod, AccessOutcome, Answer, World, questions};
use crate::snapshot::Snapshot;
use crate::template::DEFAULT_VOLUME_GIB;

const VPC: &str = "vpc-assumed";
/// Addresses are no limit to a plan that is not carried out.
const FREE_ADDRESSES: i64 = 1 << 32;

/// Answers every question of the snapshot's oceans.
pub fn assume(snapshot: &mut Snapshot) {
    // The second round asks what depends on the first round's answers.
    for _ in 0..2 {
        snapshot.world = Arc::new(answers(snapshot));
    }
}

fn answers(snapshot: &Snapshot) -> World {
    let asked = questions(snapshot);
    let now = snapshot.now;
    let version: Arc<str> = snapshot.kubernetes_version.clone().unwrap_or_default();
    let group = SecurityGroup {
        id: "sg-assumed".into(),
        name: "assumed".into(),
        vpc: VPC.into(),
    };
    World {
        clusters: all(asked.clusters, now, |name: &Arc<str>| cluster(name, &version)),
        subnets: all(asked.subnets, now, |_| subnets(snapshot)),
        security_groups: all(asked.security_groups, now, |_| vec![group.clone()]),
        images: all(asked.images, now, |_| images()),
        instance_profiles: all(asked.instance_profiles, now, |_| ()),
        foreign_instance_profiles: all(asked.foreign_instance_profiles, now, |_| {
            Some(Arc::from("role-assumed"))
        }),
        access: all(asked.access, now, |request| match request.method {
            AccessMethod::AccessEntry => AccessOutcome::Entry(AccessEntryOutcome::Present),
            AccessMethod::AwsAuth => AccessOutcome::AwsAuthRow,
        }),
        ..World::default()
    }
}

fn all<K: Ord, V>(
    questions: impl IntoIterator<Item = K>,
    as_of: Timestamp,
    answer: impl Fn(&K) -> V,
) -> BTreeMap<K, Answer<V>> {
    let answered = |question: K| {
        let result = Ok(answer(&question));
        (question, Answer { as_of, result })
    };
    questions.into_iter().map(answered).collect()
}

fn cluster(name: &Arc<str>, version: &Arc<str>) -> Cluster {
    Cluster {
        name: name.clone(),
        endpoint: "https://cluster.invalid".into(),
        certificate_authority: "".into(),
        service_cidr: "10.100.0.0/16".into(),
        version: version.clone(),
        authentication_mode: "API".into(),
        is_ipv6: false,
    }
}

fn subnets(snapshot: &Snapshot) -> Vec<Subnet> {
    let zones = snapshot.catalogue.zone_ids.iter();
    zones
        .map(|(zone, id)| Subnet {
            id: format!("subnet-{id}").into(),
            zone: zone.clone(),
            zone_id: id.clone(),
            free_addresses: FREE_ADDRESSES,
            vpc: VPC.into(),
        })
        .collect()
}

fn images() -> Vec<Image> {
    let image = |architecture: Architecture| Image {
        id: format!("ami-{}", architecture.as_str()).into(),
        name: format!("assumed {}", architecture.as_str()).into(),
        architecture,
        created_at: Timestamp::UNIX_EPOCH,
        root_volume_gib: Some(DEFAULT_VOLUME_GIB),
        root_device: "/dev/xvda".into(),
    };
    [Architecture::Amd64, Architecture::Arm64].map(image).to_vec()
}

#[cfg(test)]
mod tests {
    use crate::answers::selecting;
    use crate::fixtures::{pod, snapshot};
    use crate::provisioning::Prepared;

    #[test]
    fn an_ocean_that_nobody_resolved_can_be_rehearsed() {
        let mut profile = selecting("theirs", &["main"]);
        profile.spec.template.role = None;
        profile.spec.template.instance_profile = Some("nodes".into());
        for ocean in [selecting("shop", &["main"]), profile] {
            let mut world = snapshot().ocean(ocean).pod(pod("a")).build();
            super::assume(&mut world);
            let rehearsed = Prepared::of(&world).rehearse();
            assert_eq!(rehearsed.closed, std::collections::BTreeMap::new());
            assert_eq!(rehearsed.solution.new_nodes.len(), 1);
            assert!(rehearsed.commands.is_empty(), "nothing is bought");
        }
    }
}
