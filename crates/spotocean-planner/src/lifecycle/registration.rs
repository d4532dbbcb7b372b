//! From a launched instance to a node in service.
//!
//! Instance and Node are matched by provider id, never by name. The Node gets
//! the labels, annotation and taints its OceanNode promised in the same patch
//! that lets pods in, so that no pod sees it half labelled.

use std::sync::Arc;

use spotocean_api::annotation::OCEAN_NODE;
use spotocean_api::ocean_node::{OceanNodeReason, OceanNodeStatus, Phase};
use spotocean_core::label::{
    ARCH, CLOUD_UNINITIALIZED_TAINT, DISRUPTED_TAINT, EXCLUDE_FROM_LOAD_BALANCERS, HOSTNAME, INSTANCE_TYPE,
    NOT_READY_TAINT, OS, REGION, UNREACHABLE_TAINT, UNREGISTERED_TAINT, ZONE,
};
use spotocean_core::node::Node;
use spotocean_core::offering::Market;
use spotocean_core::port::{AccessEntryOutcome, CloudError};
use spotocean_core::requirement::Labels;
use spotocean_core::taint::Taint;

use super::agenda::Agenda;
use super::console;
use super::emptiness;
use super::leaving::{Leaving, service_phase, time};
use super::nomination::nominees;
use super::view::{Member, Standing, View, span};
use crate::command::{Command, Lane, NodePatch};
use crate::pool::{PoolView, pools_of};
use crate::provisioning::supply::zone_labels;
use crate::vocabulary;
use crate::world::{AccessOutcome, access_request, node_role};

/// Keys that the kubelet or the cloud controller writes; they are filled in where missing and never changed.
const REPORTED_KEYS: [&str; 6] = [INSTANCE_TYPE, ARCH, OS, HOSTNAME, ZONE, REGION];
/// Taints that go by themselves while a node starts. A user's cordon is none of them: it must not hold up a start.
const PASSING_TAINTS: [&str; 4] = [
    NOT_READY_TAINT,
    UNREACHABLE_TAINT,
    CLOUD_UNINITIALIZED_TAINT,
    UNREGISTERED_TAINT,
];

/// Whether the node still carries the taint it starts with.
pub(super) fn is_unregistered(node: &Node) -> bool {
    node.taints
        .iter()
        .any(|taint| taint.key.as_ref() == UNREGISTERED_TAINT)
}

/// Whether something else than our own taint keeps pods out of a starting node.
pub(super) fn is_closed(node: &Node) -> bool {
    let passes = |key: &str| key != UNREGISTERED_TAINT && PASSING_TAINTS.contains(&key);
    !node.is_ready() || node.taints.iter().any(|taint| passes(&taint.key))
}

/// Brings the facts on record up to date: what EC2 and the Node say, and the price now.
pub(super) fn refresh(view: &View<'_>, member: &Member<'_>, status: &mut OceanNodeStatus) {
    if let Some(instance) = member.instance {
        status.instance_type = Some(instance.instance_type.to_string());
        status.zone = Some(instance.zone.to_string());
        status.provider_id = Some(instance.provider_id());
        status.image_id = Some(instance.image.to_string());
        status.capacity_type = Some(vocabulary::api_capacity_type(instance.capacity_type));
        status.launched_at.get_or_insert(time(instance.launched_at));
        status.zone_id = view
            .snapshot
            .catalogue
            .zone_ids
            .get(&instance.zone)
            .map(ToString::to_string);
        if status.phase == Phase::Pending {
            status.phase = Phase::Launched;
        }
    }
    if let Some(node) = member.node {
        status.node_name = Some(node.name.to_string());
        if node.allocatable.cpu_millis > 0 {
            status.allocatable = vocabulary::quantities(&node.allocatable);
        }
    }
    refresh_price(view, status);
}

fn refresh_price(view: &View<'_>, status: &mut OceanNodeStatus) {
    let (Some(instance_type), Some(zone), Some(capacity_type)) =
        (&status.instance_type, &status.zone, status.capacity_type)
    else {
        return;
    };
    let market = Market {
        instance_type: instance_type.as_str().into(),
        zone: zone.as_str().into(),
    };
    let catalogue = &view.snapshot.catalogue;
    let price = catalogue.price(&market, vocabulary::capacity_type(capacity_type));
    let price = price.filter(|price| has_moved(status.price_micro_usd_per_hour, price.micro_usd()));
    if let Some(price) = price {
        status.price_micro_usd_per_hour = u64::try_from(price.micro_usd()).ok();
        status.hourly_cost_usd = Some(price.to_string());
    }
}

/// Whether a price has moved by more than 1 %: smaller steps are not worth a write per node.
fn has_moved(recorded: Option<u64>, micro_usd: i64) -> bool {
    let recorded = recorded.and_then(|price| i64::try_from(price).ok());
    recorded.is_none_or(|recorded| (recorded - micro_usd).abs() > recorded / 100)
}

/// Moves a member that stays towards service, and back into it after a drain that was called off.
pub(super) fn advance(view: &View<'_>, member: &Member<'_>, status: &mut OceanNodeStatus) {
    if status.phase == Phase::Draining {
        status.phase = service_phase(status);
        status.reason = None;
        status.message = None;
        status.draining_since = None;
        status.empty_since = None;
    }
    let Some(node) = member.node else {
        if status.phase == Phase::Launched {
            status.reason.get_or_insert(OceanNodeReason::Booting);
            if status.reason == Some(OceanNodeReason::Booting) {
                status.message = foreboding(view, member);
            }
        }
        return;
    };
    if status.phase < Phase::Registered {
        status.phase = Phase::Registered;
        status.registered_at.get_or_insert(time(node.created_at));
    }
    let waits = obstacle(member, node);
    if waits.is_none() && status.phase == Phase::Registered {
        status.phase = Phase::Initialized;
        status.initialized_at.get_or_insert(time(view.now()));
    }
    let is_about_drain = status.reason == Some(OceanNodeReason::DrainAbandoned);
    if !is_about_drain {
        (status.reason, status.message) =
            waits.map_or((None, None), |(reason, message)| (Some(reason), Some(message)));
    }
    emptiness::observe(view, member, status);
}

/// What the console says before the time to register is over; not what it quotes, which changes with every try.
fn foreboding(view: &View<'_>, member: &Member<'_>) -> Option<String> {
    let text = console(view, member)?.ok()?;
    let (obstacle, _) = console::obstacle(text)?;
    let role = pool_of(member).and_then(|pool| node_role(view.snapshot, &pool));
    Some(obstacle.sentence(role.as_deref().unwrap_or("of the nodes")))
}

/// What keeps a Node from service.
fn obstacle(member: &Member<'_>, node: &Node) -> Option<(OceanNodeReason, String)> {
    if !node.is_ready() {
        return Some((OceanNodeReason::NotReady, "the Node is not Ready".to_owned()));
    }
    if member.status.phase > Phase::Registered {
        return None;
    }
    let startup = &member.own.spec.startup_taints;
    let held = node.taints.iter().find(|taint| {
        PASSING_TAINTS.contains(&taint.key.as_ref())
            || startup
                .iter()
                .any(|own| own.key == *taint.key && vocabulary::taint(own).effect == taint.effect)
    });
    if let Some(taint) = held {
        let message = format!("the Node still carries the taint {taint}");
        return Some((OceanNodeReason::StartupTaints, message));
    }
    let absent = member
        .own
        .spec
        .resources
        .keys()
        .find(|name| name.contains('/') && node.allocatable.extended(name) == 0)?;
    Some((
        OceanNodeReason::AwaitingResources,
        format!("the Node does not offer {absent} yet: its device plugin has to report it"),
    ))
}

/// Whether the instance did not become a Ready node in time.
pub(super) fn failure(view: &View<'_>, member: &Member<'_>, agenda: &mut Agenda) -> Option<Leaving> {
    let is_starting = matches!(member.status.phase, Phase::Launched | Phase::Registered)
        && member.status.initialized_at.is_none();
    let is_ready = member.node.is_some_and(Node::is_ready);
    if !is_starting || is_ready || member.standing == Standing::Ownerless {
        return None;
    }
    let launched_at = member.status.launched_at.as_ref().map(|time| time.0)?;
    let due = launched_at + span(member.disruption.registration_timeout);
    if view.now() < due {
        agenda.look_at(due);
        return None;
    }
    Some(Leaving {
        reason: OceanNodeReason::RegistrationTimeout,
        message: format!(
            "no Ready Node within registrationTimeout ({}): {}",
            member.disruption.registration_timeout,
            likely_cause(view, member)
        ),
        deadline: None,
    })
}

/// The cause as far as it can be known from here: what admitting the role came to, else what the console says.
fn likely_cause(view: &View<'_>, member: &Member<'_>) -> String {
    if member.node.is_some() {
        return "the Node has joined but does not become Ready; look at its conditions and at the network plugin".to_owned();
    }
    let pool = pool_of(member);
    if let Some(refused) = pool.as_ref().and_then(|pool| not_admitted(view, pool)) {
        return refused;
    }
    let role = pool.and_then(|pool| node_role(view.snapshot, &pool));
    match console(view, member) {
        Some(Ok(text)) => match console::obstacle(text) {
            Some((obstacle, line)) => format!(
                "{}{CONSOLE_QUOTE}\"{line}\"",
                obstacle.sentence(role.as_deref().unwrap_or("of the nodes"))
            ),
            None => format!(
                "{NEVER_JOINED}{CONSOLE_QUOTE}{}",
                console::last_line(text).map_or_else(|| "nothing".to_owned(), |line| format!("\"{line}\""))
            ),
        },
        Some(Err(error)) => format!("{NEVER_JOINED}; its console cannot be read ({error})"),
        None => NEVER_JOINED.to_owned(),
    }
}

const NEVER_JOINED: &str = "it never joined; look at its user data, at the security groups and subnets (can it reach the apiserver?), and at how its role is admitted (template.access)";
/// Between what keeps an instance from joining and what its console shows.
pub(crate) const CONSOLE_QUOTE: &str = "; its console ends with ";

/// The pool of a member, while its ocean still has it.
fn pool_of(member: &Member<'_>) -> Option<PoolView> {
    let pools = pools_of(member.ocean?);
    pools
        .into_iter()
        .find(|pool| pool.key.pool.as_str() == member.own.spec.pool_name)
}

fn console<'a>(view: &View<'a>, member: &Member<'_>) -> Option<Result<&'a str, &'a CloudError>> {
    let answer = view.snapshot.world.consoles.get(member.instance_id.as_ref()?)?;
    Some(answer.result.as_deref())
}

/// Why the pool's role is not admitted, where admitting it failed.
fn not_admitted(view: &View<'_>, pool: &PoolView) -> Option<String> {
    let request = access_request(view.snapshot, pool)?;
    match &view.snapshot.world.access.get(&request)?.result {
        Ok(AccessOutcome::AwsAuthRefused(why)) => {
            Some(format!("role {} is not admitted: {why}", request.role))
        }
        Ok(AccessOutcome::Entry(AccessEntryOutcome::WrongType)) => Some(format!(
            "the access entry of role {} has another type than EC2_LINUX, which lets no node join: delete it",
            request.role
        )),
        Err(error) => Some(format!("role {} could not be admitted: {error}", request.role)),
        Ok(_) => None,
    }
}

/// Labels, annotation and taints that the Node of a staying member should have, where it has not.
pub(super) fn patch(view: &View<'_>, member: &Member<'_>, agenda: &mut Agenda) {
    let Some(node) = member.node.filter(|node| node.deleted_at.is_none()) else {
        return;
    };
    let is_starting = member.status.initialized_at.is_none() || is_unregistered(node);
    let labels = if is_starting {
        missing_labels(view, member, node)
    } else {
        Labels::new()
    };
    let taints = wanted_taints(member, node);
    let is_excluded = is_disrupted(node) && node.labels.contains_key(EXCLUDE_FROM_LOAD_BALANCERS);
    if labels.is_empty() && taints.is_none() {
        return;
    }
    let mut annotations = vocabulary::labels(&member.own.spec.annotations);
    annotations.insert(OCEAN_NODE.into(), member.name.0.clone());
    let patch = NodePatch {
        name: node.name.clone(),
        uid: node.uid.clone(),
        resource_version: node.resource_version.clone(),
        labels,
        remove_labels: is_excluded
            .then(|| Arc::from(EXCLUDE_FROM_LOAD_BALANCERS))
            .into_iter()
            .collect(),
        annotations,
        taints,
        unschedulable: None,
        nominees: if is_unregistered(node) {
            nominees(view, member, node)
        } else {
            Vec::new()
        },
    };
    let because = format!("{} is in service as {}", node.name, member.name);
    agenda.add(Command::PatchNode(Box::new(patch)), Lane::Ordinary, because);
}

fn is_disrupted(node: &Node) -> bool {
    node.taints
        .iter()
        .any(|taint| taint.key.as_ref() == DISRUPTED_TAINT)
}

fn missing_labels(view: &View<'_>, member: &Member<'_>, node: &Node) -> Labels {
    let mut wanted = Labels::new();
    if let Some(instance) = member.instance {
        if let Some(described) = view.snapshot.catalogue.types.get(&instance.instance_type) {
            wanted.extend(described.labels());
        }
        wanted.extend(zone_labels(view.snapshot, &instance.zone));
    }
    wanted.extend(vocabulary::labels(&member.own.spec.labels));
    wanted
        .into_iter()
        .filter(|(key, value)| match node.labels.get(key) {
            None => true,
            Some(reported) => reported != value && !REPORTED_KEYS.contains(&key.as_ref()),
        })
        .collect()
}

/// The Node's taints after the change, `None` for no change: ours for starting and leaving go, the pool's come with
/// the first patch. Startup taints are never put back: somebody else has removed them.
fn wanted_taints(member: &Member<'_>, node: &Node) -> Option<Vec<Taint>> {
    let is_ours = |taint: &Taint| matches!(taint.key.as_ref(), UNREGISTERED_TAINT | DISRUPTED_TAINT);
    let mut taints: Vec<Taint> = node
        .taints
        .iter()
        .filter(|taint| !is_ours(taint))
        .cloned()
        .collect();
    if is_unregistered(node) {
        for own in member.own.spec.taints.iter().map(vocabulary::taint) {
            if !taints
                .iter()
                .any(|taint| taint.key == own.key && taint.effect == own.effect)
            {
                taints.push(own);
            }
        }
    }
    (taints != node.taints).then_some(taints)
}
