//! One row for each thing that can be missing in AWS, and what is asked of it.

use spotocean_api::spot_ocean::{Mode, SpotOcean};
use spotocean_api::template::Access;
use spotocean_core::port::{ImageQuery, Subnet};

use super::*;
use crate::answers::{answer, answered, selecting, subnets};
use crate::fixtures::{SnapshotBuilder, now, snapshot};
use crate::pool::pools_of;
use crate::world::{Answer, Questions, World, questions};

fn world(change: impl FnOnce(&mut SpotOcean)) -> SnapshotBuilder {
    let mut ocean = selecting("shop", &["main"]);
    change(&mut ocean);
    answered(snapshot().ocean(ocean))
}

fn resolved(world: SnapshotBuilder) -> Result<ResolvedPool, Unresolved> {
    let snapshot = world.build();
    resolve(&snapshot, &pools_of(&snapshot.oceans[0]).remove(0))
}

fn failed<T>(kind: CloudErrorKind, code: &str) -> Answer<T> {
    Answer {
        as_of: now(),
        result: Err(CloudError {
            kind,
            action: "AnAction".into(),
            code: code.into(),
            message: "said so".into(),
        }),
    }
}

/// The condition's reason when `spoil` has its way with the answers, and that the sentence holds `text`.
fn check(spoil: impl FnOnce(&mut World), reason: Reason, text: &str) {
    let spoilt = world(|_| {}).with(|snapshot| spoil(Arc::make_mut(&mut snapshot.world)));
    let unresolved = resolved(spoilt).expect_err(text);
    assert_eq!(unresolved.reason, reason, "{unresolved:?}");
    assert!(unresolved.message.contains(text), "{unresolved:?}");
}

#[test]
fn what_is_missing_is_named_with_what_to_change() {
    use CloudErrorKind::NotFound;
    check(
        |own| {
            own.subnets
                .values_mut()
                .for_each(|found| *found = answer(Vec::new()));
        },
        Reason::SubnetNotFound,
        "no subnet has tag cluster=shop",
    );
    check(
        |own| {
            own.security_groups
                .values_mut()
                .for_each(|found| *found = answer(Vec::new()));
        },
        Reason::SecurityGroupNotFound,
        "no security group has tag cluster=shop",
    );
    check(
        |own| {
            let elsewhere = |subnet: Subnet| Subnet {
                vpc: "vpc-2".into(),
                ..subnet
            };
            let moved: Vec<_> = subnets().into_iter().map(elsewhere).collect();
            own.subnets
                .values_mut()
                .for_each(|found| *found = answer(moved.clone()));
        },
        Reason::NetworkMismatch,
        "subnets are in vpc-2 and security groups in vpc-1",
    );
    check(
        |own| {
            own.images
                .values_mut()
                .for_each(|found| *found = answer(Vec::new()));
        },
        Reason::ImageNotFound,
        "AL2023 image for Kubernetes 1.36",
    );
    check(
        |own| {
            own.instance_profiles
                .values_mut()
                .for_each(|found| *found = failed(NotFound, "NoSuchEntity"));
        },
        Reason::RoleNotFound,
        "no IAM role node-role",
    );
    check(
        |own| {
            own.access
                .values_mut()
                .for_each(|found| *found = answer(AccessOutcome::Entry(AccessEntryOutcome::WrongType)));
        },
        Reason::RoleNotAdmitted,
        "not of type EC2_LINUX",
    );
    check(
        |own| {
            own.clusters
                .values_mut()
                .for_each(|found| *found = failed(NotFound, "ResourceNotFoundException"));
        },
        Reason::WrongCluster,
        "EKS knows no cluster shop",
    );
}

#[test]
fn what_aws_refuses_is_named_with_what_to_change() {
    use CloudErrorKind::{Throttled, Unauthorized, Unknown};
    let rows = [
        (
            Unauthorized,
            "UnauthorizedOperation",
            Reason::AccessDenied,
            "service control policy",
        ),
        (
            Unauthorized,
            "ExpiredToken",
            Reason::CredentialsInvalid,
            "credentials",
        ),
        (Throttled, "RequestLimitExceeded", Reason::Throttled, "by itself"),
        (
            Unknown,
            "NoAnswer",
            Reason::Unreachable,
            "does not answer AnAction",
        ),
    ];
    for (kind, code, reason, text) in rows {
        check(
            |own| {
                own.subnets
                    .values_mut()
                    .for_each(|found| *found = failed(kind, code));
            },
            reason,
            text,
        );
    }
    check(
        |own| own.subnets.clear(),
        Reason::SourcesIncomplete,
        "not answered yet",
    );
}

#[test]
fn everything_answered_is_resolved() {
    let pool = resolved(world(|_| {})).unwrap();
    assert_eq!(pool.subnets.len(), 4);
    assert_eq!(pool.images.len(), 2);
    assert_eq!(pool.cluster.dns.as_ref(), "10.100.0.10");
    assert_eq!(pool.access, Some(AccessMethod::AccessEntry));
    assert!(pool.instance_profile.starts_with("spotocean-shop-"));
}

fn inline(ocean: &mut SpotOcean) {
    let cluster = &mut ocean.spec.cluster;
    cluster.endpoint = Some("https://10.0.0.1:6443".into());
    cluster.certificate_authority = Some("SU5MSU5F".into());
    cluster.service_cidr = Some("10.96.0.0/12".into());
    cluster.version = Some("1.33".into());
}

#[test]
fn inline_facts_win_and_eks_is_not_asked() {
    let own = world(inline);
    assert!(asked(own.clone()).clusters.is_empty());
    let pool = resolved(own.with(|snapshot| snapshot.cluster_dns = None)).unwrap();
    assert_eq!(pool.cluster.endpoint.as_ref(), "https://10.0.0.1:6443");
    assert_eq!(
        pool.cluster.dns.as_ref(),
        "10.96.0.10",
        "the tenth address of the range"
    );
    assert_eq!(
        pool.access, None,
        "a self-managed cluster without aws-auth admits its nodes itself"
    );
    let half = world(|ocean| {
        inline(ocean);
        ocean.spec.cluster.service_cidr = None;
    });
    assert!(resolved(half).unwrap_err().message.contains("serviceCIDR"));
}

fn asked(world: SnapshotBuilder) -> Questions {
    questions(&world.build())
}

#[test]
fn only_oceans_that_act_ask_for_effects() {
    let effects = |change: fn(&mut SpotOcean)| {
        let asked = asked(world(change));
        (
            asked.subnets.len(),
            asked.instance_profiles.len(),
            asked.access.len(),
        )
    };
    assert_eq!(effects(|_| {}), (1, 1, 1));
    assert_eq!(effects(|ocean| ocean.spec.mode = Mode::Observe), (1, 0, 0));
    assert_eq!(
        effects(|ocean| {
            ocean.metadata.annotations = Some(
                [("spotocean.dev/pause".to_owned(), "true".to_owned())]
                    .into_iter()
                    .collect(),
            );
        }),
        (1, 0, 0)
    );
    assert_eq!(
        effects(|ocean| {
            ocean.metadata.deletion_timestamp =
                Some(k8s_openapi::apimachinery::pkg::apis::meta::v1::Time(now()));
        }),
        (0, 0, 0)
    );
    let observed = world(|ocean| ocean.spec.mode = Mode::Observe);
    assert!(resolved(observed).is_ok(), "what is not asked for is not missed");
}

#[test]
fn roles_are_admitted_as_the_pool_and_the_cluster_say() {
    let method = |access, mode: &str| {
        let mode: Arc<str> = mode.into();
        let spoilt = world(|ocean| ocean.spec.template.access = access).with(|snapshot| {
            let world = Arc::make_mut(&mut snapshot.world);
            for found in world.clusters.values_mut() {
                found.result.as_mut().unwrap().authentication_mode = mode.clone();
            }
        });
        asked(spoilt)
            .access
            .into_iter()
            .map(|request| request.method)
            .next()
    };
    let rows = [
        (Access::Auto, "API", Some(AccessMethod::AccessEntry)),
        (
            Access::Auto,
            "API_AND_CONFIG_MAP",
            Some(AccessMethod::AccessEntry),
        ),
        (Access::Auto, "CONFIG_MAP", Some(AccessMethod::AwsAuth)),
        (Access::AwsAuth, "API_AND_CONFIG_MAP", Some(AccessMethod::AwsAuth)),
        (Access::Unmanaged, "API", None),
    ];
    for (access, mode, expected) in rows {
        assert_eq!(method(access, mode), expected, "{access:?} in {mode}");
    }
}

#[test]
fn a_profile_of_the_users_is_looked_up_and_its_role_admitted() {
    let own = || {
        world(|ocean| {
            ocean.spec.template.role = None;
            ocean.spec.template.instance_profile = Some("theirs".into());
        })
    };
    let questions = asked(own());
    assert!(questions.instance_profiles.is_empty());
    assert_eq!(questions.access.first().unwrap().role.as_ref(), "their-role");
    assert_eq!(resolved(own()).unwrap().instance_profile.as_ref(), "theirs");
    let gone = own().with(|snapshot| {
        let world = Arc::make_mut(&mut snapshot.world);
        world
            .foreign_instance_profiles
            .values_mut()
            .for_each(|found| *found = answer(None));
    });
    assert_eq!(
        resolved(gone).unwrap_err().reason,
        Reason::InstanceProfileNotFound
    );
}

#[test]
fn images_follow_the_clusters_version() {
    let query = |change: fn(&mut SpotOcean)| asked(world(change)).images.pop_first().unwrap();
    let public = |version: &str| ImageQuery::Al2023 {
        kubernetes_version: version.into(),
        version: "latest".into(),
    };
    assert_eq!(query(|_| {}), public("1.36"));
    assert_eq!(
        query(|ocean| ocean.spec.cluster.version = Some("1.33".into())),
        public("1.33")
    );
    let own = query(|ocean| {
        ocean.spec.template.image.selector = vec![spotocean_api::template::ImageTerm {
            id: Some("ami-1".into()),
            ..spotocean_api::template::ImageTerm::default()
        }];
    });
    assert!(matches!(own, ImageQuery::Selector(terms) if terms.len() == 1));
}
