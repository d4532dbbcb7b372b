//! One purchase, complete: OceanNodes, the OceanLaunch with the exact request, and its launch templates.

use std::collections::BTreeMap;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use spotocean_api::annotation::TERMINATION_FINALIZER;
use spotocean_api::ocean_launch::{
    AllocationStrategy, FleetOverride, FleetRequest, LaunchTemplateConfig, OceanLaunch, OceanLaunchSpec,
    ResourceTags,
};
use spotocean_api::ocean_node::{FOR_PODS_MAX, OceanNode, OceanNodeSpec, PodReference};
use spotocean_api::price::PriceUsd;
use spotocean_core::capacity_type::CapacityType;
use spotocean_core::id::InstanceTypeName;
use spotocean_core::instance::TAG_LAUNCH;
use spotocean_core::label;
use spotocean_core::launch::LaunchTemplate;
use spotocean_core::offering::Market;
use spotocean_solver::solution::NewNode;

use super::cooldown::LAUNCH_GENERATION;
use super::headroom::is_unit;
use super::in_flight::markets;
use super::supply::{Stock, Supply, ceiling};
use crate::bootstrap::BootstrapError;
use crate::command::Purchase;
use crate::digest::hexadecimal;
use crate::pool::{PoolView, ocean_uid};
use crate::snapshot::Snapshot;
use crate::template;
use crate::vocabulary;

/// EC2's limit of launch templates in one request.
const TEMPLATES_MAX: usize = 50;
/// Types in one request: Karpenter's figure; a longer list buys nothing and meets the limit on the body's size.
const TYPES_MAX: usize = 60;

/// Equal nodes for one `CreateFleet`.
#[derive(Clone, Debug)]
pub struct Lot {
    /// How they are paid for.
    pub capacity_type: CapacityType,
    /// Where EC2 may launch them, best first.
    pub markets: Vec<Market>,
    /// The nodes, with the pods each is for.
    pub nodes: Vec<NewNode>,
}

/// The purchase of one lot. `number` tells apart the launches of one look.
///
/// # Errors
/// When the pool's user data cannot be made.
pub fn purchase(
    snapshot: &Snapshot,
    view: &PoolView,
    stock: &Stock,
    lot: &Lot,
    number: usize,
) -> Result<Purchase, BootstrapError> {
    let name = launch_name(snapshot, view, number);
    let (configs, templates) = configs(snapshot, view, stock, lot)?;
    let request = FleetRequest {
        capacity_type: vocabulary::api_capacity_type(lot.capacity_type),
        allocation_strategy: match lot.capacity_type {
            CapacityType::Spot => AllocationStrategy::PriceCapacityOptimized,
            CapacityType::OnDemand => AllocationStrategy::LowestPrice,
        },
        target_capacity: u32::try_from(lot.nodes.len()).unwrap_or(u32::MAX),
        launch_templates: configs,
        tags: tags(snapshot, view, &name),
    };
    let members: Vec<String> = (0..lot.nodes.len())
        .map(|index| member_name(&name, index, lot.nodes.len()))
        .collect();
    let nodes = lot
        .nodes
        .iter()
        .zip(&members)
        .zip(0..)
        .map(|((node, member), index)| ocean_node(view, node, member, &name, index))
        .collect();
    Ok(Purchase {
        nodes,
        launch: launch(view, &name, request, members),
        templates,
    })
}

fn launch(view: &PoolView, name: &str, request: FleetRequest, members: Vec<String>) -> OceanLaunch {
    let attempt = 1;
    let spec = OceanLaunchSpec {
        ocean_name: view.key.ocean.to_string(),
        ocean_uid: ocean_uid(&view.ocean).to_string(),
        pool_name: view.key.pool.to_string(),
        attempt,
        client_token: client_token(name, attempt, &request),
        request,
        members,
    };
    let generation = view.ocean.metadata.generation.unwrap_or(0).to_string();
    let mut launch = OceanLaunch::new(name, spec);
    launch.metadata.labels = Some(own_labels(view));
    launch.metadata.annotations = Some(BTreeMap::from([(LAUNCH_GENERATION.to_owned(), generation)]));
    launch
}

/// The idempotency token: launch, attempt and request in 64 hexadecimal digits, EC2's limit. A token is spent even
/// by a launch that bought nothing, so another attempt is another token.
#[must_use]
pub fn client_token(launch: &str, attempt: u32, request: &FleetRequest) -> String {
    hexadecimal(&(launch, attempt, request), 64)
}

/// `<ocean>-<pool>-<hash>`: the time of the look makes it unique, the look itself makes it repeatable.
fn launch_name(snapshot: &Snapshot, view: &PoolView, number: usize) -> String {
    let seed = (
        ocean_uid(&view.ocean),
        &view.key.pool,
        snapshot.now.as_nanosecond().to_string(),
        number,
    );
    format!("{}-{}-{}", view.key.ocean, view.key.pool, hexadecimal(&seed, 10))
}

/// `<launch>-<index>`, the index padded so that names sort as members are numbered.
fn member_name(launch: &str, index: usize, count: usize) -> String {
    let width = count.saturating_sub(1).to_string().len();
    format!("{launch}-{index:0width$}")
}

fn own_labels(view: &PoolView) -> BTreeMap<String, String> {
    BTreeMap::from([
        (label::OCEAN.to_owned(), view.key.ocean.to_string()),
        (label::POOL.to_owned(), view.key.pool.to_string()),
    ])
}

fn ocean_node(view: &PoolView, node: &NewNode, name: &str, launch: &str, index: u32) -> OceanNode {
    let pool = &view.pool;
    let spec = OceanNodeSpec {
        ocean_name: view.key.ocean.to_string(),
        ocean_uid: ocean_uid(&view.ocean).to_string(),
        pool_name: view.key.pool.to_string(),
        launch_name: launch.to_owned(),
        launch_index: index,
        capacity_type: vocabulary::api_capacity_type(node.capacity_type),
        requirements: pool.requirements.clone(),
        resources: vocabulary::quantities(&node.requests),
        labels: vocabulary::api_labels(&view.labels(node.capacity_type)),
        annotations: pool.annotations.clone(),
        taints: pool.taints.clone(),
        startup_taints: pool.startup_taints.clone(),
        max_pods: view.effective.template.kubelet.max_pods,
        template_hash: view.template_hash(),
        for_pods: node
            .pods
            .iter()
            .filter(|pod| !is_unit(pod))
            .take(FOR_PODS_MAX)
            .map(|pod| PodReference {
                namespace: pod.namespace.to_string(),
                name: pod.name.to_string(),
            })
            .collect(),
    };
    let mut own = OceanNode::new(name, spec);
    own.metadata = ObjectMeta {
        name: Some(name.to_owned()),
        labels: Some(own_labels(view)),
        finalizers: Some(vec![TERMINATION_FINALIZER.to_owned()]),
        ..ObjectMeta::default()
    };
    own
}

fn tags(snapshot: &Snapshot, view: &PoolView, launch: &str) -> Vec<ResourceTags> {
    let mut tags: BTreeMap<String, String> = vocabulary::api_labels(&template::tags(snapshot, view));
    tags.insert(TAG_LAUNCH.to_owned(), launch.to_owned());
    ["fleet", "instance", "volume"]
        .into_iter()
        .map(|resource_type| ResourceTags {
            resource_type: resource_type.to_owned(),
            tags: tags.clone(),
        })
        .collect()
}

/// The launch templates of a stored launch, made again from what the pool is now: other content has other names.
#[must_use]
pub fn templates_of(snapshot: &Snapshot, supply: &Supply, launch: &OceanLaunch) -> Vec<LaunchTemplate> {
    let Ok(stock) = &supply.state else {
        return Vec::new();
    };
    let lot = Lot {
        capacity_type: vocabulary::capacity_type(launch.spec.request.capacity_type),
        markets: markets(launch).collect(),
        nodes: Vec::new(),
    };
    configs(snapshot, &supply.view, stock, &lot)
        .map(|(_, templates)| templates)
        .unwrap_or_default()
}

type Configs = (Vec<LaunchTemplateConfig>, Vec<LaunchTemplate>);

/// Places by launch template: one template for each image and pod density among the types.
fn configs(
    snapshot: &Snapshot,
    view: &PoolView,
    stock: &Stock,
    lot: &Lot,
) -> Result<Configs, BootstrapError> {
    let mut templates: BTreeMap<(&str, i64), LaunchTemplate> = BTreeMap::new();
    let mut configs: BTreeMap<(&str, i64), LaunchTemplateConfig> = BTreeMap::new();
    let mut types: Vec<&InstanceTypeName> = Vec::new();
    for market in &lot.markets {
        if !types.contains(&&market.instance_type) {
            if types.len() == TYPES_MAX {
                continue;
            }
            types.push(&market.instance_type);
        }
        let Some((subnet, described, figures)) = stock
            .subnets
            .get(&market.zone)
            .zip(snapshot.catalogue.types.get(&market.instance_type))
            .zip(stock.estimates.get(&market.instance_type))
            .map(|((subnet, described), figures)| (subnet, described, figures))
        else {
            continue;
        };
        let Some(image) = stock.resolved.images.get(&described.architecture) else {
            continue;
        };
        let key = (image.id.as_str(), figures.max_pods);
        if !templates.contains_key(&key) {
            if templates.len() == TEMPLATES_MAX {
                continue;
            }
            let made = template::launch_template(
                snapshot,
                view,
                &stock.resolved,
                image,
                lot.capacity_type,
                figures.max_pods,
            )?;
            configs.insert(key, empty_config(&made));
            templates.insert(key, made);
        }
        if let Some(config) = configs.get_mut(&key) {
            config.overrides.push(FleetOverride {
                instance_type: market.instance_type.to_string(),
                subnet_id: subnet.to_string(),
                zone: market.zone.to_string(),
                image_id: None,
                priority: None,
                max_price: ceiling(snapshot, view, described, lot.capacity_type)
                    .filter(|_| lot.capacity_type == CapacityType::Spot)
                    .and_then(|price| u64::try_from(price.0).ok())
                    .map(|micro_usd| PriceUsd { micro_usd }.to_string()),
            });
        }
    }
    Ok((configs.into_values().collect(), templates.into_values().collect()))
}

fn empty_config(template: &LaunchTemplate) -> LaunchTemplateConfig {
    LaunchTemplateConfig {
        launch_template_id: None,
        launch_template_name: Some(template.name.to_string()),
        // Content-addressed: a template never gets a second version.
        version: "1".to_owned(),
        overrides: Vec::new(),
    }
}
