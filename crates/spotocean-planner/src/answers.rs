//! AWS for tests: a friendly answer to every question that a snapshot's oceans ask.

use std::collections::BTreeMap;
use std::sync::Arc;

use jiff::Timestamp;
use spotocean_api::label_selector::LabelSelector;
use spotocean_api::spot_ocean::SpotOcean;
use spotocean_api::template::SelectorTerm;
use spotocean_core::instance_type::Architecture;
use spotocean_core::port::{AccessEntryOutcome, Cluster, Image, SecurityGroup, Subnet};

use crate::fixtures::{SnapshotBuilder, now, ocean};
use crate::snapshot::Snapshot;
use crate::world::{AccessMethod, AccessOutcome, Answer, World, questions};

/// Answers given a moment ago.
pub(crate) fn answer<T>(result: T) -> Answer<T> {
    Answer {
        as_of: now(),
        result: Ok(result),
    }
}

/// An ocean whose template selects subnets and groups by tag.
pub(crate) fn selecting(name: &str, pools: &[&str]) -> SpotOcean {
    let mut ocean = ocean(name, pools);
    let by_tag = || {
        vec![SelectorTerm {
            tags: BTreeMap::from([("cluster".to_owned(), "shop".to_owned())]),
            id: None,
        }]
    };
    ocean.spec.template.subnets = by_tag();
    ocean.spec.template.security_groups = by_tag();
    ocean
}

/// An ocean that serves pods with a label only.
pub(crate) fn serving(mut ocean: SpotOcean, key: &str, value: &str) -> SpotOcean {
    ocean.spec.pods.selector = Some(LabelSelector {
        match_labels: BTreeMap::from([(key.to_owned(), value.to_owned())]),
        match_expressions: Vec::new(),
    });
    ocean
}

/// The snapshot with every question answered.
pub(crate) fn answered(world: SnapshotBuilder) -> SnapshotBuilder {
    // The second round asks what depends on the first round's answers.
    world.with(|snapshot| {
        for _ in 0..2 {
            let answers = answers(snapshot);
            snapshot.world = Arc::new(answers);
        }
    })
}

fn answers(snapshot: &Snapshot) -> World {
    let asked = questions(snapshot);
    World {
        clusters: asked
            .clusters
            .into_iter()
            .map(|name| (name.clone(), answer(cluster(&name))))
            .collect(),
        subnets: asked
            .subnets
            .into_iter()
            .map(|terms| (terms, answer(subnets())))
            .collect(),
        security_groups: asked
            .security_groups
            .into_iter()
            .map(|terms| (terms, answer(groups())))
            .collect(),
        images: asked
            .images
            .into_iter()
            .map(|query| (query, answer(images())))
            .collect(),
        instance_profiles: asked
            .instance_profiles
            .into_iter()
            .map(|request| (request, answer(())))
            .collect(),
        foreign_instance_profiles: asked
            .foreign_instance_profiles
            .into_iter()
            .map(|name| (name, answer(Some("their-role".into()))))
            .collect(),
        access: asked
            .access
            .into_iter()
            .map(|request| {
                let outcome = match request.method {
                    AccessMethod::AccessEntry => AccessOutcome::Entry(AccessEntryOutcome::Present),
                    AccessMethod::AwsAuth => AccessOutcome::AwsAuthRow,
                };
                (request, answer(outcome))
            })
            .collect(),
        consoles: asked
            .consoles
            .into_iter()
            .map(|id| (id, answer("login: ".into())))
            .collect(),
    }
}

fn cluster(name: &str) -> Cluster {
    Cluster {
        name: name.into(),
        endpoint: "https://shop.eks.example".into(),
        certificate_authority: "Q0E=".into(),
        service_cidr: "10.100.0.0/16".into(),
        version: "1.36".into(),
        authentication_mode: "API".into(),
        is_ipv6: false,
    }
}

/// One subnet in each zone of the catalogue, and a second, emptier one in zone a.
pub(crate) fn subnets() -> Vec<Subnet> {
    let rows = [
        ("subnet-a1", "us-east-1a", "use1-az1", 200),
        ("subnet-a2", "us-east-1a", "use1-az1", 900),
        ("subnet-b", "us-east-1b", "use1-az2", 200),
        ("subnet-c", "us-east-1c", "use1-az3", 200),
    ];
    rows.into_iter()
        .map(|(id, zone, zone_id, free_addresses)| Subnet {
            id: id.into(),
            zone: zone.into(),
            zone_id: zone_id.into(),
            free_addresses,
            vpc: "vpc-1".into(),
        })
        .collect()
}

fn groups() -> Vec<SecurityGroup> {
    vec![SecurityGroup {
        id: "sg-1".into(),
        name: "nodes".into(),
        vpc: "vpc-1".into(),
    }]
}

/// One image for each architecture.
pub(crate) fn images() -> Vec<Image> {
    [("ami-x86", Architecture::Amd64), ("ami-arm", Architecture::Arm64)]
        .into_iter()
        .map(|(id, architecture)| Image {
            id: id.into(),
            name: id.into(),
            architecture,
            created_at: Timestamp::UNIX_EPOCH,
            root_volume_gib: Some(20),
            root_device: "/dev/xvda".into(),
        })
        .collect()
}
