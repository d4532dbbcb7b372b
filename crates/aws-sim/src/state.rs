//! Everything the account holds, and what happens to it as simulated time passes. Actions change it
//! under one lock; it talks to nobody: what must reach the real cluster is left in `effects`.

pub mod call;
pub mod eks;
pub mod iam;
pub mod image;
pub mod instance;
pub mod launch_template;
pub mod life;
pub mod network;
pub mod queue;

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::catalogue::Catalogue;
use crate::clock::{Clock, Moment};
use crate::fault::Rules;
use crate::market::{Change, Lifecycle, Market, Pool};
use crate::options::{MarketOrder, Options};
use crate::quota::{Group, Quotas};
use crate::random;
use crate::throttle::Buckets;
use crate::wire::error::ApiError;
use crate::wire::xml::Element;

use self::call::CallLog;
use self::eks::Eks;
use self::iam::Iam;
use self::image::Image;
use self::instance::Instance;
use self::launch_template::LaunchTemplate;
use self::life::Event;
use self::network::Network;
use self::queue::Queue;

/// The account everything belongs to.
pub const ACCOUNT: &str = "123456789012";

/// Tags of a resource.
pub type Tags = BTreeMap<String, String>;

/// What becomes of the next launches.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum LaunchOutcome {
    /// The instance boots and joins if its user data, role and security groups let it.
    #[default]
    Boots,
    /// The instance runs and never contacts the cluster.
    NeverJoins,
    /// The Node appears and never becomes Ready.
    JoinsNotReady,
    /// The instance goes from pending to terminated with `Client.InternalError` (as on a KMS denial).
    ClientInternalError,
}

/// Something the simulator must do in the real cluster.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Effect {
    /// The kubelet of this instance tries to join.
    Join {
        /// The instance.
        instance_id: String,
    },
    /// The kubelet of this Node has stopped.
    Silence {
        /// The Node's name.
        node: String,
        /// The instance, as in the Node's providerID.
        instance_id: String,
    },
    /// The cloud's node lifecycle deletes this Node.
    DeleteNode {
        /// The Node's name.
        node: String,
        /// The instance, as in the Node's providerID.
        instance_id: String,
    },
}

/// A CreateFleet that has happened.
#[derive(Debug, Clone)]
pub struct Fleet {
    /// Id.
    pub id: String,
    /// When.
    pub created: Moment,
    /// The request's token.
    pub client_token: Option<String>,
    /// Units asked for.
    pub target_capacity: i64,
    /// Units launched.
    pub fulfilled: f64,
    /// Tags.
    pub tags: Tags,
    /// The answer, as DescribeFleets repeats it.
    pub answer: Vec<Element>,
    /// The instances it launched.
    pub instance_ids: Vec<String>,
}

/// A spent client token: the request it stood for and the answer that was given.
#[derive(Debug, Clone)]
pub struct SpentToken {
    /// Hash of the request.
    pub request: String,
    /// The answer.
    pub answer: Vec<Element>,
}

impl SpentToken {
    /// What a request with this token gets: the first answer again, if it is the same request.
    pub fn replay(&self, request: &str) -> Result<Vec<Element>, ApiError> {
        if self.request == request {
            return Ok(self.answer.clone());
        }
        Err(ApiError::client(
            "IdempotentParameterMismatch",
            "The request uses the same client token as a previous, but non-identical request.",
        ))
    }
}

/// An open capacity reservation for Linux with default tenancy, the only one of its type and zone.
#[derive(Debug, Clone)]
pub struct Reservation {
    /// The instance type.
    pub instance_type: String,
    /// The zone's name.
    pub zone: String,
    /// Instances that it is for.
    pub total: u64,
}

/// The whole account.
#[derive(Debug)]
pub struct World {
    /// What it was started with; knobs inside may change.
    pub options: Options,
    /// Time.
    pub clock: Arc<Clock>,
    /// Facts about types.
    pub catalogue: Arc<Catalogue>,
    /// Capacity and prices.
    pub market: Market,
    /// VPCs, subnets, security groups.
    pub network: Network,
    /// Machine images by id.
    pub images: BTreeMap<String, Image>,
    /// SSM parameters by name.
    pub parameters: BTreeMap<String, String>,
    /// Launch templates by id.
    pub launch_templates: BTreeMap<String, LaunchTemplate>,
    /// Instances by id.
    pub instances: BTreeMap<String, Instance>,
    /// Fleets by id.
    pub fleets: BTreeMap<String, Fleet>,
    /// Client tokens by action and token.
    pub tokens: BTreeMap<(String, String), SpentToken>,
    /// Roles and instance profiles.
    pub iam: Iam,
    /// The cluster as EKS describes it.
    pub eks: Eks,
    /// Queues by name.
    pub queues: BTreeMap<String, Queue>,
    /// vCPU limits.
    pub quotas: Quotas,
    /// Token buckets.
    pub buckets: Buckets,
    /// Fault rules.
    pub rules: Rules,
    /// Refused actions.
    pub denied: BTreeSet<String>,
    /// Open capacity reservations by id.
    pub reservations: BTreeMap<String, Reservation>,
    /// Ids of zones that are out.
    pub outages: BTreeSet<String>,
    /// Calls so far.
    pub calls: CallLog,
    /// What becomes of the next launches, with how many launches each is for.
    pub launch_outcomes: VecDeque<(LaunchOutcome, u64)>,
    /// What becomes of launches after that.
    pub default_outcome: LaunchOutcome,
    /// What the cluster side has to do.
    pub effects: Vec<Effect>,
    /// Address under which clients reach the simulator.
    pub url: String,
    schedule: BTreeMap<(Moment, u64), Event>,
    sequence: u64,
    hazard_minute: i64,
    hazard_interruptions: u64,
}

impl World {
    /// Room that on-demand instances of its type and zone leave in a reservation.
    pub fn available(&self, reservation: &Reservation) -> u64 {
        let own = self.instances.values().filter(|instance| {
            instance.holds_capacity()
                && instance.lifecycle() == Lifecycle::OnDemand
                && instance.instance_type == reservation.instance_type
                && instance.zone == reservation.zone
        });
        reservation.total.saturating_sub(own.count() as u64)
    }

    /// A new account with the pre-made world of `options`.
    pub fn new(
        options: Options,
        clock: Arc<Clock>,
        catalogue: Catalogue,
        cluster: eks::ClusterFacts,
    ) -> World {
        let seed = options.seed;
        let market = Market::new(&catalogue, seed);
        let network = Network::prepared(&options, &catalogue);
        let (images, parameters) = image::published(seed, &clock, &options.region);
        let queue_name = options.queue.clone().unwrap_or_else(|| options.cluster.clone());
        let mut world = World {
            iam: Iam::prepared(&options.cluster),
            eks: Eks::prepared(&options, &network, cluster),
            market,
            network,
            images,
            parameters,
            queues: BTreeMap::from([(queue_name.clone(), Queue::new(&queue_name))]),
            denied: options.scenario.deny.iter().cloned().collect(),
            catalogue: Arc::new(catalogue),
            clock,
            launch_templates: BTreeMap::new(),
            instances: BTreeMap::new(),
            fleets: BTreeMap::new(),
            tokens: BTreeMap::new(),
            quotas: Quotas::default(),
            buckets: Buckets::default(),
            rules: Rules::default(),
            reservations: BTreeMap::new(),
            outages: BTreeSet::new(),
            calls: CallLog::default(),
            launch_outcomes: VecDeque::new(),
            default_outcome: LaunchOutcome::Boots,
            effects: Vec::new(),
            url: String::new(),
            schedule: BTreeMap::new(),
            sequence: 0,
            hazard_minute: 0,
            hazard_interruptions: 0,
            options,
        };
        world.apply_scenario();
        world
    }

    fn apply_scenario(&mut self) {
        for rule in self.options.scenario.faults.clone() {
            self.rules.add(rule);
        }
        for order in self.options.scenario.market.clone() {
            self.order_market(&order);
        }
        for (lifecycle, groups) in self.options.scenario.quotas.clone() {
            let lifecycle = if lifecycle == "spot" {
                Lifecycle::Spot
            } else {
                Lifecycle::OnDemand
            };
            for (group, vcpus) in groups {
                if let Ok(group) = serde_json::from_value::<Group>(serde_json::Value::String(group)) {
                    self.quotas.set(lifecycle, group, vcpus);
                }
            }
        }
    }

    /// Changes the market; answers with how many pools were meant.
    pub fn order_market(&mut self, order: &MarketOrder) -> usize {
        let zone_ids: Vec<String> = self
            .catalogue
            .zones
            .iter()
            .filter(|zone| {
                crate::filter::wildcard(&order.zone, &zone.name)
                    || crate::filter::wildcard(&order.zone, &zone.id)
            })
            .map(|zone| zone.id.clone())
            .collect();
        let change = Change {
            depth: order.depth,
            on_demand_depth: order.on_demand_depth,
            price_micro_usd_per_hour: order.price.map(|usd| (usd * 1e6).round() as u64),
            hazard_ppm_per_hour: order.hazard.map(|rate| (rate * 1e6).round() as u64),
        };
        let now = self.now();
        self.market.change(&order.instance_type, &zone_ids, &change, now)
    }

    /// The simulated time.
    pub fn now(&self) -> Moment {
        self.clock.now()
    }

    /// The wire's word for a moment: RFC 3339 with milliseconds.
    pub fn timestamp(&self, moment: Moment) -> String {
        let timestamp = self.clock.timestamp(moment);
        timestamp.strftime("%Y-%m-%dT%H:%M:%S.%3fZ").to_string()
    }

    /// A new identifier such as `i-0123456789abcdef0`.
    pub fn new_id(&mut self, prefix: &str) -> String {
        self.sequence += 1;
        let digits = random::hex(self.options.seed, &["id", prefix, &self.sequence.to_string()], 16);
        format!("{prefix}-0{digits}")
    }

    /// A request id.
    pub fn new_uuid(&mut self) -> String {
        self.sequence += 1;
        random::uuid(self.options.seed, &["uuid", &self.sequence.to_string()])
    }

    /// The interruption queue.
    pub fn queue_name(&self) -> &str {
        self.options.queue.as_deref().unwrap_or(&self.options.cluster)
    }

    /// A queue's URL.
    pub fn queue_url(&self, name: &str) -> String {
        format!("{}/{ACCOUNT}/{name}", self.url)
    }

    /// vCPUs of the pending and running instances of a quota group.
    pub fn used_vcpus(&self, lifecycle: Lifecycle, group: Group) -> u64 {
        self.instances
            .values()
            .filter(|instance| {
                instance.lifecycle() == lifecycle
                    && instance.holds_capacity()
                    && Group::of(&instance.instance_type) == group
            })
            .filter_map(|instance| self.catalogue.types.get(&instance.instance_type))
            .map(|found| u64::from(found.vcpu))
            .sum()
    }

    /// What is being paid now, in millionths of a USD per hour: (spot, on-demand, the same all on demand).
    pub fn spending(&self) -> (u64, u64, u64) {
        let now = self.now();
        let mut sums = (0, 0, 0);
        for instance in self
            .instances
            .values()
            .filter(|instance| instance.holds_capacity())
        {
            let pool = instance.pool();
            let price = |lifecycle| {
                self.market
                    .quote(&pool, lifecycle, now)
                    .map_or(0, |quote| quote.price_micro_usd_per_hour)
            };
            match instance.lifecycle() {
                Lifecycle::Spot => sums.0 += price(Lifecycle::Spot),
                Lifecycle::OnDemand => sums.1 += price(Lifecycle::OnDemand),
            }
            sums.2 += price(Lifecycle::OnDemand);
        }
        sums
    }

    /// The pool of a type in a zone.
    pub fn pool(&self, instance_type: &str, zone_id: &str) -> Pool {
        Pool {
            instance_type: instance_type.to_owned(),
            zone_id: zone_id.to_owned(),
        }
    }

    /// What the next launch comes to.
    pub fn next_outcome(&mut self) -> LaunchOutcome {
        let Some((outcome, count)) = self.launch_outcomes.front_mut() else {
            return self.default_outcome;
        };
        let found = *outcome;
        *count -= 1;
        if *count == 0 {
            self.launch_outcomes.pop_front();
        }
        found
    }
}
