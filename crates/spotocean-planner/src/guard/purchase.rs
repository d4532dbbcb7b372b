//! Purchases, counted again: ownership tags, token, limits and launch rate.

use std::collections::{BTreeMap, BTreeSet};

use jiff::SignedDuration;
use spotocean_api::annotation::TERMINATION_FINALIZER;
use spotocean_api::capacity_type::CapacityType as ApiCapacityType;
use spotocean_api::ocean_launch::{LaunchPhase, OceanLaunch};
use spotocean_api::ocean_node::OceanNode;
use spotocean_api::quantity::Quantity;
use spotocean_api::spot_ocean::SpotOcean;
use spotocean_core::capacity_type::CapacityType;
use spotocean_core::id::{InstanceId, LaunchName, OceanName, Uid};
use spotocean_core::instance::{TAG_CLUSTER_UID, TAG_LAUNCH, TAG_OCEAN_UID};
use spotocean_core::money::PricePerHour;
use spotocean_core::offering::Market;
use spotocean_core::quantity::{parse_milli, parse_units};

use super::{Verdict, check, object};
use crate::command::Purchase;
use crate::plan::GuardRule;
use crate::provisioning::launch::client_token;
use crate::snapshot::Snapshot;

/// Limits that are checked here: those whose worst case follows from EC2's own catalogue.
const CHECKED: [&str; 4] = ["nodes", "hourlyCost", "cpu", "memory"];

/// What is counted while commands pass.
pub(super) struct Counter {
    new_nodes: usize,
    allowed_nodes: usize,
    tokens: BTreeSet<String>,
    /// By ocean, and by ocean and pool, in the units of [`amounts`].
    used: BTreeMap<(String, Option<String>), Amounts>,
}

/// Nodes, micro-USD an hour, milli-CPU, bytes.
type Amounts = [i64; 4];

impl Counter {
    pub(super) fn of(snapshot: &Snapshot) -> Self {
        let minute_ago = snapshot.now - SignedDuration::from_secs(60);
        let is_new = |own: &OceanNode| {
            own.metadata
                .creation_timestamp
                .as_ref()
                .is_some_and(|time| time.0 > minute_ago)
        };
        let new_nodes = snapshot.ocean_nodes.iter().filter(|own| is_new(own)).count();
        let old_nodes = snapshot.ocean_nodes.len() - new_nodes;
        let mut counter = Self {
            new_nodes,
            allowed_nodes: 20.max(old_nodes.div_ceil(2)),
            tokens: snapshot
                .launches
                .iter()
                .map(|launch| launch.spec.client_token.clone())
                .collect(),
            used: BTreeMap::new(),
        };
        for own in &snapshot.ocean_nodes {
            let amounts = of_node(snapshot, own);
            counter.add(&own.spec.ocean_name, &own.spec.pool_name, amounts);
        }
        counter
    }

    fn add(&mut self, ocean: &str, pool: &str, amounts: Amounts) {
        for key in [
            (ocean.to_owned(), None),
            (ocean.to_owned(), Some(pool.to_owned())),
        ] {
            let used = self.used.entry(key).or_default();
            for (used, added) in used.iter_mut().zip(amounts) {
                *used = used.saturating_add(added);
            }
        }
    }

    pub(super) fn judge(&mut self, snapshot: &Snapshot, purchase: &Purchase) -> Verdict {
        let spec = &purchase.launch.spec;
        let name = OceanName::from(spec.ocean_name.as_str());
        let ocean = object::ocean(snapshot, &name, &Uid::from(spec.ocean_uid.as_str()))?;
        object::is_managed(snapshot, &spec.ocean_name)?;
        is_in_care(ocean)?;
        is_new(snapshot, purchase)?;
        is_whole(snapshot, purchase)?;
        let token = client_token(launch_name(&purchase.launch), spec.attempt, &spec.request);
        let is_fresh = spec.client_token == token && !self.tokens.contains(&token);
        check(is_fresh, GuardRule::Ownership, || {
            format!(
                "the client token of launch {} is used already, or of another request",
                launch_name(&purchase.launch)
            )
        })?;
        let nodes = self.new_nodes + purchase.nodes.len();
        check(nodes <= self.allowed_nodes, GuardRule::LaunchRate, || {
            format!(
                "{nodes} new nodes in a minute, and {} are allowed",
                self.allowed_nodes
            )
        })?;
        let added = worst(snapshot, &purchase.launch)
            .map(|one| one.saturating_mul(i64::try_from(purchase.nodes.len()).unwrap_or(i64::MAX)));
        self.is_within_limits(ocean, &spec.pool_name, added)?;
        self.add(&spec.ocean_name, &spec.pool_name, added);
        self.new_nodes = nodes;
        self.tokens.insert(token);
        Ok(())
    }

    fn is_within_limits(&self, ocean: &SpotOcean, pool: &str, added: Amounts) -> Verdict {
        let name = ocean.metadata.name.clone().unwrap_or_default();
        let of_pool = ocean
            .spec
            .pools
            .iter()
            .find(|own| own.name == pool)
            .map(|own| &own.limits);
        let levels = [(None, Some(&ocean.spec.limits)), (Some(pool.to_owned()), of_pool)];
        for (level, limits) in levels {
            let used = self.used.get(&(name.clone(), level)).copied().unwrap_or_default();
            for (index, key) in CHECKED.into_iter().enumerate() {
                let limit = limits
                    .and_then(|limits| limits.get(key))
                    .and_then(|text| limit(key, text));
                let wanted = used[index].saturating_add(added[index]);
                check(
                    limit.is_none_or(|limit| wanted <= limit),
                    GuardRule::Limits,
                    || {
                        format!(
                            "limits.{key} of {name}/{pool} would be exceeded: {wanted} of {}",
                            limit.unwrap_or(0)
                        )
                    },
                )?;
            }
        }
        Ok(())
    }
}

fn limit(key: &str, text: &Quantity) -> Option<i64> {
    match key {
        "hourlyCost" => PricePerHour::parse_usd(&text.0).map(|price| price.0),
        "cpu" => parse_milli(&text.0).ok(),
        _ => parse_units(&text.0).ok(),
    }
}

fn launch_name(launch: &OceanLaunch) -> &str {
    launch.metadata.name.as_deref().unwrap_or_default()
}

/// Without our finalizer the ocean could vanish while its nodes are bought.
fn is_in_care(ocean: &SpotOcean) -> Verdict {
    let has_finalizer = ocean
        .metadata
        .finalizers
        .iter()
        .flatten()
        .any(|own| own == TERMINATION_FINALIZER);
    check(
        has_finalizer && ocean.metadata.deletion_timestamp.is_none(),
        GuardRule::NotManaged,
        || "the ocean is being deleted, or has no finalizer of ours yet".to_owned(),
    )
}

fn is_new(snapshot: &Snapshot, purchase: &Purchase) -> Verdict {
    let name = launch_name(&purchase.launch);
    let members: BTreeSet<&str> = purchase
        .nodes
        .iter()
        .filter_map(|own| own.metadata.name.as_deref())
        .collect();
    let exists = snapshot.launches.iter().any(|launch| launch_name(launch) == name)
        || snapshot.ocean_nodes.iter().any(|own| {
            own.metadata
                .name
                .as_deref()
                .is_some_and(|name| members.contains(name))
        });
    check(!exists, GuardRule::Stale, || {
        format!("launch {name} or one of its members exists already")
    })
}

/// Members, nodes and target agree, and every tag that ownership rests on is there.
fn is_whole(snapshot: &Snapshot, purchase: &Purchase) -> Verdict {
    let spec = &purchase.launch.spec;
    let members: Vec<&str> = purchase
        .nodes
        .iter()
        .filter_map(|own| own.metadata.name.as_deref())
        .collect();
    let agrees = members == spec.members
        && usize::try_from(spec.request.target_capacity).is_ok_and(|target| target == members.len())
        && !members.is_empty();
    check(agrees, GuardRule::Ownership, || {
        "the launch does not ask for one instance for each member".to_owned()
    })?;
    let tags = [
        (TAG_CLUSTER_UID, snapshot.cluster_uid.as_str()),
        (TAG_OCEAN_UID, spec.ocean_uid.as_str()),
        (TAG_LAUNCH, launch_name(&purchase.launch)),
    ];
    let is_tagged = spec
        .request
        .tags
        .iter()
        .any(|own| own.resource_type == "instance")
        && spec.request.tags.iter().all(|own| {
            tags.iter()
                .all(|(key, value)| own.tags.get(*key).is_some_and(|found| found == value))
        });
    check(is_tagged, GuardRule::Ownership, || {
        "the launch would make resources without the tags that mark them as ours".to_owned()
    })
}

/// The most that one instance of a launch can come to.
fn worst(snapshot: &Snapshot, launch: &OceanLaunch) -> Amounts {
    let request = &launch.spec.request;
    let places = request
        .launch_templates
        .iter()
        .flat_map(|config| &config.overrides);
    let mut worst = [1, 0, 0, 0];
    for place in places {
        let amounts = of_market(snapshot, &place.instance_type, &place.zone, request.capacity_type);
        for (worst, amount) in worst.iter_mut().zip(amounts) {
            *worst = (*worst).max(amount);
        }
    }
    worst
}

fn of_market(
    snapshot: &Snapshot,
    instance_type: &str,
    zone: &str,
    capacity_type: ApiCapacityType,
) -> Amounts {
    let market = Market {
        instance_type: instance_type.into(),
        zone: zone.into(),
    };
    let capacity_type = match capacity_type {
        ApiCapacityType::Spot => CapacityType::Spot,
        ApiCapacityType::OnDemand => CapacityType::OnDemand,
    };
    let price = snapshot
        .catalogue
        .price(&market, capacity_type)
        .map_or(0, |price| price.0);
    let described = snapshot.catalogue.types.get(&market.instance_type);
    // Memory that Linux sees is less than what EC2 states; limits count what nodes report.
    let memory = described.map_or(0, |described| {
        let learned = snapshot.memory.learned_memory_bytes.get(&described.name);
        let learned = learned.and_then(|by_image| by_image.values().min());
        let seen = learned.or_else(|| snapshot.measured_memory_bytes.get(&described.name));
        spotocean_core::kubelet::memory_seen_bytes(described, seen.copied())
    });
    [
        1,
        price,
        described.map_or(0, |described| described.vcpus * 1000),
        memory,
    ]
}

/// What one OceanNode comes to; before its instance is known, the most its launch can come to.
fn of_node(snapshot: &Snapshot, own: &OceanNode) -> Amounts {
    let status = own.status.as_ref();
    let known = status.and_then(|status| status.instance_type.as_deref().zip(status.zone.as_deref()));
    let mut amounts = match known {
        Some((instance_type, zone)) => of_market(snapshot, instance_type, zone, own.spec.capacity_type),
        None => snapshot
            .launches
            .iter()
            .find(|launch| launch_name(launch) == own.spec.launch_name)
            .map_or([1, 0, 0, 0], |launch| worst(snapshot, launch)),
    };
    let instance = status.and_then(|status| status.instance_id.as_deref());
    let reported = snapshot
        .nodes
        .iter()
        .find(|node| instance.is_some() && node.instance.as_ref().map(InstanceId::as_str) == instance);
    if let Some(node) = reported {
        amounts[2] = node.capacity.cpu_millis;
        amounts[3] = node.capacity.memory_bytes;
    }
    let booked = status.and_then(|status| status.price_micro_usd_per_hour);
    if let Some(price) = booked.and_then(|price| i64::try_from(price).ok()) {
        amounts[1] = price;
    }
    amounts
}

/// A launch is sent again only while its outcome is not known, and for an ocean that buys.
pub(super) fn replay(snapshot: &Snapshot, launch: &OceanLaunch) -> Verdict {
    let name = LaunchName::from(launch_name(launch));
    let uid = Uid::from(launch.metadata.uid.as_deref().unwrap_or_default());
    let stored = object::launch(snapshot, &name, &uid)?;
    let phase = stored
        .status
        .as_ref()
        .map_or(LaunchPhase::Pending, |status| status.phase);
    let is_open = matches!(phase, LaunchPhase::Pending | LaunchPhase::Unknown);
    check(is_open && stored.spec == launch.spec, GuardRule::Stale, || {
        format!("launch {name} has an answer by now")
    })?;
    let ocean = OceanName::from(launch.spec.ocean_name.as_str());
    object::ocean(snapshot, &ocean, &Uid::from(launch.spec.ocean_uid.as_str()))?;
    object::is_managed(snapshot, &launch.spec.ocean_name)
}
