//! Asks the real AWS whether it behaves as the simulator says, with one small
//! spot instance and under a cap in dollars.
//!
//! Decides which facts are checked and in which order. Works on any [`Cloud`],
//! so that a test runs the very same body against the simulator. Cleans up
//! whatever it made, also after a failed step.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::sync::Arc;
use std::time::Duration;

use spotocean_core::capacity_type::CapacityType;
use spotocean_core::id::{ImageId, InstanceId, InstanceTypeName, Zone};
use spotocean_core::instance::{Instance, TAG_CLUSTER_UID, TAG_LAUNCH, TAG_OCEAN};
use spotocean_core::instance_type::{Architecture, InstanceType};
use spotocean_core::launch::{
    AllocationStrategy, FleetAnswer, FleetConfig, FleetOverride, FleetRequest, LaunchTemplate,
    MetadataOptions,
};
use spotocean_core::money::PricePerHour;
use spotocean_core::offering::Market;
use spotocean_core::port::{
    Cloud, CloudError, CloudErrorKind, ImageQuery, SecurityGroup, SelectorTerm, Subnet,
};

/// What may be used, and how much may be spent.
#[derive(Clone, Debug)]
pub struct Budget {
    /// The name of the cluster in the tags; the cluster itself is not touched.
    pub cluster: Arc<str>,
    /// Subnets to choose from.
    pub subnets: Vec<SelectorTerm>,
    /// Security groups of the instance.
    pub security_groups: Vec<SelectorTerm>,
    /// The instance profile of the instance.
    pub instance_profile: Arc<str>,
    /// `major.minor`, which selects the image.
    pub kubernetes_version: Arc<str>,
    /// The most to spend. One instance is bought, for minutes; EC2 bills at least a minute. Its hourly price must be below this.
    pub dollars_max: PricePerHour,
    /// Names this run: instances carry it as a tag, the token is made of it.
    pub run: Arc<str>,
    /// How long one effect may take to become visible.
    pub visible_within: Duration,
}

/// One fact and whether it held.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// What was expected.
    pub fact: &'static str,
    /// What was found, or why it could not be found out.
    pub found: Result<String, String>,
}

/// Markets that the launch offers EC2.
const MARKETS_MAX: usize = 15;
/// How often an effect is looked for.
const LOOK_EVERY: Duration = Duration::from_secs(2);

/// Checks every fact; the answer lists them in order. Never leaves an instance or template of its own behind,
/// unless AWS refuses to give it back, which is a finding too.
pub async fn verify<C: Cloud>(cloud: &C, budget: &Budget) -> Vec<Finding> {
    let mut findings = Findings::default();
    if let Some(purchase) = read(cloud, budget, &mut findings).await {
        buy(cloud, budget, &purchase, &mut findings).await;
        give_back(cloud, budget, &purchase, &mut findings).await;
    }
    findings.0
}

#[derive(Default)]
struct Findings(Vec<Finding>);

impl Findings {
    fn note<T>(&mut self, fact: &'static str, outcome: Result<(T, String), String>) -> Option<T> {
        let (value, found) = match outcome {
            Ok((value, found)) => (Some(value), Ok(found)),
            Err(reason) => (None, Err(reason)),
        };
        self.0.push(Finding { fact, found });
        value
    }
}

/// What the reads led to: a template and a request for one instance.
struct Purchase {
    template: LaunchTemplate,
    request: FleetRequest,
}

async fn read<C: Cloud>(cloud: &C, budget: &Budget, findings: &mut Findings) -> Option<Purchase> {
    let types = cloud.instance_types().await;
    let types = findings.note(
        "DescribeInstanceTypes lists hundreds of types",
        counted(types, 100),
    )?;
    let offered = cloud.offered().await;
    let offered = findings.note(
        "DescribeInstanceTypeOfferings lists their zones",
        counted(offered, 100),
    )?;
    let prices = cloud
        .spot_prices()
        .await
        .map(|prices| prices.into_iter().collect::<Vec<_>>());
    let prices = findings.note(
        "DescribeSpotPriceHistory prices hundreds of markets",
        counted(prices, 100),
    )?;
    let on_demand = cloud
        .on_demand_prices()
        .await
        .map(|prices| prices.into_iter().collect::<Vec<_>>());
    let on_demand = findings.note("GetProducts prices hundreds of types", counted(on_demand, 100))?;
    findings.note(
        "no spot price is above its on-demand price",
        spot_is_cheaper(&prices, &on_demand),
    );
    let subnets = findings.note(
        "the subnet terms find subnets",
        counted(cloud.subnets(&budget.subnets).await, 1),
    )?;
    let groups = cloud.security_groups(&budget.security_groups).await;
    let groups = findings.note("the security group terms find groups", counted(groups, 1))?;
    let query = ImageQuery::Al2023 {
        kubernetes_version: budget.kubernetes_version.clone(),
        version: Arc::from("latest"),
    };
    let images = cloud.images(&query).await;
    let images = findings.note("public parameters name the AL2023 images", counted(images, 1))?;
    let image = images
        .iter()
        .find(|image| image.architecture == Architecture::Amd64)?;
    let overrides = findings.note(
        "a small market is below the cap",
        cheap_markets(budget, &types, &offered, &prices, &subnets),
    )?;
    Some(purchase(budget, image.id.clone(), &groups, overrides))
}

/// One instance of the given image in one of the given places.
fn purchase(
    budget: &Budget,
    image: ImageId,
    groups: &[SecurityGroup],
    overrides: Vec<FleetOverride>,
) -> Purchase {
    let template = LaunchTemplate {
        name: format!("spotocean-verify-{}", budget.run).into(),
        capacity_type: CapacityType::Spot,
        image,
        instance_profile: budget.instance_profile.clone(),
        security_groups: groups.iter().map(|group| group.id.0.clone()).collect(),
        // Not a node: it boots, does nothing and is given back.
        user_data: Arc::from("#!/bin/sh\ntrue\n"),
        block_devices: Vec::new(),
        metadata: MetadataOptions {
            http_tokens: Arc::from("required"),
            http_put_response_hop_limit: 1,
            http_endpoint: Arc::from("enabled"),
            http_protocol_ipv6: Arc::from("disabled"),
        },
        detailed_monitoring: false,
        public_ip: None,
        key_pair: None,
        tags: tags(budget),
    };
    let request = FleetRequest {
        client_token: format!("verify-{}", budget.run).into(),
        capacity_type: CapacityType::Spot,
        allocation_strategy: AllocationStrategy::PriceCapacityOptimized,
        target_capacity: 1,
        configs: vec![FleetConfig {
            launch_template: template.name.clone(),
            overrides,
        }],
        tags: tags(budget),
    };
    Purchase { template, request }
}

async fn buy<C: Cloud>(cloud: &C, budget: &Budget, purchase: &Purchase, findings: &mut Findings) {
    let made = cloud.ensure_launch_template(&purchase.template).await;
    if findings
        .note("CreateLaunchTemplate takes our template", done(made))
        .is_none()
    {
        return;
    }
    let again = cloud.ensure_launch_template(&purchase.template).await;
    findings.note("a template that exists is left as it is", done(again));
    let first = bought(cloud.create_fleet(&purchase.request).await);
    let Some(first) = findings.note("CreateFleet launches one spot instance", first) else {
        return;
    };
    let replay = cloud
        .create_fleet(&purchase.request)
        .await
        .map_err(|error| error.to_string());
    findings.note(
        "the same request with its token launches nothing new",
        replay.and_then(|answer| same(&first, &answer)),
    );
    let mut other = purchase.request.clone();
    other.target_capacity = 2;
    let refused = cloud.create_fleet(&other).await;
    findings.note(
        "the token with another request is refused",
        token_mismatch(refused),
    );
    let instance = eventually(budget, || seen(cloud, budget, &first.instances[0].id)).await;
    let Some(instance) = findings.note("the instance is found by its tags", instance) else {
        return;
    };
    findings.note(
        "type, zone and capacity type are those of the answer",
        agrees(&instance, &first),
    );
}

async fn give_back<C: Cloud>(cloud: &C, budget: &Budget, purchase: &Purchase, findings: &mut Findings) {
    let ours = cloud.instances(&tags(budget)).await.unwrap_or_default();
    let ids: Vec<InstanceId> = ours
        .iter()
        .filter(|instance| !instance.state.is_ending())
        .map(|instance| instance.id.clone())
        .collect();
    findings.note(
        "TerminateInstances gives back what was bought",
        done(cloud.terminate(&ids).await),
    );
    findings.note("terminating again is no error", done(cloud.terminate(&ids).await));
    let ended = eventually(budget, || all_ending(cloud, budget)).await;
    findings.note("everything that was bought ends", ended);
    let name = &purchase.template.name;
    findings.note(
        "DeleteLaunchTemplate deletes our template",
        done(cloud.delete_launch_template(name).await),
    );
    findings.note(
        "deleting it again is no error",
        done(cloud.delete_launch_template(name).await),
    );
}

fn tags(budget: &Budget) -> BTreeMap<Arc<str>, Arc<str>> {
    BTreeMap::from([
        (
            Arc::from(TAG_CLUSTER_UID),
            Arc::from(format!("verify-{}", budget.run)),
        ),
        (Arc::from(TAG_OCEAN), Arc::from("verify")),
        (Arc::from(TAG_LAUNCH), budget.run.clone()),
        (
            Arc::from(format!("kubernetes.io/cluster/{}", budget.cluster)),
            Arc::from("owned"),
        ),
        (Arc::from("eks:eks-cluster-name"), budget.cluster.clone()),
    ])
}

fn counted<T>(answer: Result<Vec<T>, CloudError>, at_least: usize) -> Result<(Vec<T>, String), String> {
    let items = answer.map_err(|error| error.to_string())?;
    if items.len() < at_least {
        return Err(format!(
            "{} were found, at least {at_least} expected",
            items.len()
        ));
    }
    let found = format!("{} found", items.len());
    Ok((items, found))
}

fn done(answer: Result<(), CloudError>) -> Result<((), String), String> {
    answer
        .map(|()| ((), "done".to_owned()))
        .map_err(|error| error.to_string())
}

fn spot_is_cheaper(
    spot: &[(Market, PricePerHour)],
    on_demand: &[(InstanceTypeName, PricePerHour)],
) -> Result<((), String), String> {
    let on_demand: BTreeMap<&InstanceTypeName, PricePerHour> =
        on_demand.iter().map(|(name, price)| (name, *price)).collect();
    let mut dearer = String::new();
    for (market, price) in spot {
        if on_demand
            .get(&market.instance_type)
            .is_some_and(|ceiling| price > ceiling)
        {
            let _ = write!(dearer, "{market} at {price}; ");
        }
    }
    if dearer.is_empty() {
        Ok(((), format!("{} markets", spot.len())))
    } else {
        Err(dearer)
    }
}

fn cheap_markets(
    budget: &Budget,
    types: &[InstanceType],
    offered: &[Market],
    prices: &[(Market, PricePerHour)],
    subnets: &[Subnet],
) -> Result<(Vec<FleetOverride>, String), String> {
    let subnet_of: BTreeMap<&Zone, &Subnet> = subnets.iter().map(|subnet| (&subnet.zone, subnet)).collect();
    let is_plain = |name: &InstanceTypeName| {
        types.iter().any(|kind| {
            kind.name == *name
                && kind.architecture == Architecture::Amd64
                && kind.supports_spot
                && !kind.is_bare_metal
                && kind.hypervisor.as_ref() == "nitro"
                && kind.memory_mib >= 2048
        })
    };
    let mut markets: Vec<(PricePerHour, &Market)> = prices
        .iter()
        .filter(|(market, price)| {
            *price < budget.dollars_max && subnet_of.contains_key(&market.zone) && offered.contains(market)
        })
        .filter(|(market, _)| is_plain(&market.instance_type))
        .map(|(market, price)| (*price, market))
        .collect();
    markets.sort();
    markets.truncate(MARKETS_MAX);
    let (cheapest, _) = markets
        .first()
        .ok_or_else(|| format!("no market is below {} dollars an hour", budget.dollars_max))?;
    let found = format!(
        "{} markets, the cheapest at {cheapest} dollars an hour",
        markets.len()
    );
    let overrides = markets
        .iter()
        .map(|(_, market)| FleetOverride {
            instance_type: market.instance_type.clone(),
            subnet: subnet_of[&market.zone].id.clone(),
            zone: market.zone.clone(),
            priority: None,
            max_price: Some(budget.dollars_max),
        })
        .collect();
    Ok((overrides, found))
}

fn bought(answer: Result<FleetAnswer, CloudError>) -> Result<(FleetAnswer, String), String> {
    let answer = answer.map_err(|error| error.to_string())?;
    match answer.instances.as_slice() {
        [instance] => {
            let found = format!(
                "{} ({} in {})",
                instance.id, instance.instance_type, instance.zone
            );
            Ok((answer, found))
        }
        others => Err(format!(
            "{} instances were launched; errors: {:?}",
            others.len(),
            answer.errors
        )),
    }
}

fn same(first: &FleetAnswer, replay: &FleetAnswer) -> Result<((), String), String> {
    if first.instances == replay.instances {
        Ok(((), "the same instance".to_owned()))
    } else {
        Err(format!("{:?} became {:?}", first.instances, replay.instances))
    }
}

fn token_mismatch(answer: Result<FleetAnswer, CloudError>) -> Result<((), String), String> {
    match answer {
        Err(error) if error.kind == CloudErrorKind::TokenMismatch => Ok(((), error.code.to_string())),
        Err(error) => Err(error.to_string()),
        Ok(answer) => Err(format!("it was taken: {:?}", answer.instances)),
    }
}

async fn seen<C: Cloud>(cloud: &C, budget: &Budget, id: &InstanceId) -> Result<(Instance, String), String> {
    let ours = cloud
        .instances(&tags(budget))
        .await
        .map_err(|error| error.to_string())?;
    let found = format!(
        "{} of {} instances with the tags",
        ours.iter().filter(|one| one.id == *id).count(),
        ours.len()
    );
    match <[Instance; 1]>::try_from(ours) {
        Ok([instance]) if instance.id == *id => Ok((instance, found)),
        _ => Err(found),
    }
}

fn agrees(instance: &Instance, answer: &FleetAnswer) -> Result<((), String), String> {
    let told = &answer.instances[0];
    let described = (&instance.instance_type, &instance.zone, instance.capacity_type);
    if described == (&told.instance_type, &told.zone, told.capacity_type) {
        Ok(((), format!("{described:?}")))
    } else {
        Err(format!(
            "the answer said {told:?}, DescribeInstances says {described:?}"
        ))
    }
}

async fn all_ending<C: Cloud>(cloud: &C, budget: &Budget) -> Result<((), String), String> {
    let ours = cloud
        .instances(&tags(budget))
        .await
        .map_err(|error| error.to_string())?;
    match ours.iter().find(|instance| !instance.state.is_ending()) {
        None => Ok(((), format!("{} instances ending or gone", ours.len()))),
        Some(alive) => Err(format!("{} is {:?}", alive.id, alive.state)),
    }
}

/// Asks until the answer is good or the time is over; EC2 shows effects late.
async fn eventually<T, F>(budget: &Budget, ask: impl Fn() -> F) -> Result<T, String>
where
    F: Future<Output = Result<T, String>>,
{
    let asked_until = tokio::time::Instant::now() + budget.visible_within;
    loop {
        match ask().await {
            Err(_) if tokio::time::Instant::now() < asked_until => tokio::time::sleep(LOOK_EVERY).await,
            answer => return answer,
        }
    }
}
