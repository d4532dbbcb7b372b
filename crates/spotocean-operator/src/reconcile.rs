//! One term of leadership: observe → plan → guard → act → report, again and again.
//!
//! The loop itself waits for nothing but the planner: what is observed comes from the stores, commands run as
//! tasks, reports are written by a task of their own. When the future of [`lead`] is dropped, everything it
//! started stops.

use std::sync::Arc;
use std::time::{Duration, Instant};

use jiff::Timestamp;
use spotocean_core::port::Cloud;
use spotocean_planner::guard::{Approved, guard};
use spotocean_planner::plan::{Plan, plan, plan_forced};
use spotocean_planner::snapshot::{Memory, Snapshot};
use spotocean_planner::world::questions;
use tokio::sync::watch;
use tokio::task::{JoinError, JoinSet};
use tokio_util::sync::CancellationToken;
use tracing::{error, info, warn};

use crate::act::Actor;
use crate::act::kubernetes::Writer;
use crate::admin::Pulse;
use crate::batch::Scope;
use crate::cloud::{self, question};
use crate::context::Context;
use crate::look::{self, Own};
use crate::memory::Keeper;
use crate::metrics::RuleLabels;
use crate::report::desk::{Desk, Page};
use crate::report::gauge;

/// The longest time without a look: what no event tells is found out this late.
const LOOK_EVERY: Duration = Duration::from_secs(30);
/// The shortest time between two looks that nothing forces.
const LOOKS_APART_MIN: Duration = Duration::from_millis(100);
/// The longest forced rest after a long look.
const LOOKS_APART_MAX: Duration = Duration::from_secs(2);
/// The pause before something that is needed to begin is tried again.
const BEGIN_RETRY: Duration = Duration::from_secs(2);
/// How long commands that are under way may take to end when the process is asked to stop.
const ENDING: Duration = Duration::from_secs(8);

/// What a term is given beside the shared context.
pub struct Term {
    /// The loop's pulse.
    pub pulse: Arc<Pulse>,
    /// This process's name in events.
    pub instance: String,
    /// Memory that Linux sees per type.
    pub measured_memory_bytes: Arc<std::collections::BTreeMap<spotocean_core::id::InstanceTypeName, i64>>,
    /// Cancelled when the process is to end.
    pub stop: CancellationToken,
}

/// Leads until the process is to end.
pub async fn lead<C: Cloud>(context: Arc<Context<C>>, term: Term) {
    let stop = term.stop.clone();
    // A purchase that an earlier term was cut off from is on record, or it never began.
    context.store.with(|objects| {
        objects.ocean_nodes.withdraw_all();
        objects.launches.withdraw_all();
    });
    let began = tokio::select! {
        began = begin(&context, &term) => began,
        () = stop.cancelled() => return,
    };
    let (own, keeper) = began;
    let cluster_uid = own.cluster_uid.0.clone();
    let (asks, asked) = watch::channel(Arc::default());
    let mut observers = JoinSet::new();
    observe(&context, &cluster_uid, asked, &mut observers);
    let writer = Writer {
        client: context.client.clone(),
        store: context.store.clone(),
    };
    let (desk, pages) = Desk::new(writer, &term.instance, keeper);
    let reporting = tokio::spawn(desk.run());
    let _aborted_with_this_term = AbortOnDrop(reporting.abort_handle());
    let mut term_loop = Loop {
        actor: Arc::new(Actor::new(context.clone())),
        context,
        own,
        asks,
        pages,
        commands: JoinSet::new(),
    };
    loop {
        term.pulse.beat();
        tokio::select! {
            scope = term_loop.next() => term_loop.pass(scope).await,
            () = stop.cancelled() => break,
        }
    }
    term_loop.end().await;
    // The desk writes what is left and ends once nobody sends pages any more.
    drop(term_loop);
    if tokio::time::timeout(ENDING, reporting).await.is_err() {
        warn!("the last report is not written");
    }
}

struct AbortOnDrop(tokio::task::AbortHandle);

impl Drop for AbortOnDrop {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// Waits for what no look can do without: the cluster's name, and what was remembered.
async fn begin<C: Cloud>(context: &Context<C>, term: &Term) -> (Own, Keeper) {
    loop {
        term.pulse.beat();
        let unsynced = context.store.unsynced();
        if unsynced.is_empty() {
            break;
        }
        info!(
            waiting_for = unsynced.join(", "),
            "not all kinds have been listed"
        );
        tokio::time::sleep(BEGIN_RETRY / 2).await;
    }
    let mut keeper = Keeper::new(context.client.clone(), &context.config.namespace);
    let memory = loop {
        term.pulse.beat();
        if let Some(memory) = keeper.load().await {
            break memory;
        }
        tokio::time::sleep(BEGIN_RETRY).await;
    };
    let cluster_uid = loop {
        if let Some(uid) = look::cluster_uid(&context.store) {
            break uid;
        }
        warn!("the namespace kube-system, whose uid names the cluster, is not there");
        tokio::time::sleep(BEGIN_RETRY).await;
    };
    let own = Own {
        cluster_uid: spotocean_core::id::Uid(cluster_uid),
        measured_memory_bytes: term.measured_memory_bytes.clone(),
        memory,
    };
    (own, keeper)
}

fn observe<C: Cloud>(
    context: &Arc<Context<C>>,
    cluster_uid: &Arc<str>,
    asked: watch::Receiver<Arc<std::collections::BTreeSet<question::Question>>>,
    tasks: &mut JoinSet<()>,
) {
    tasks.spawn(cloud::catalogue::keep(context.clone()));
    tasks.spawn(cloud::instances::keep(context.clone(), cluster_uid.clone()));
    tasks.spawn(cloud::templates::keep(context.clone(), cluster_uid.clone()));
    tasks.spawn(cloud::world::keep(context.clone(), cluster_uid.clone(), asked));
    if let Some(queue) = &context.config.interruption_queue {
        tasks.spawn(cloud::queue::keep(context.clone(), queue.clone()));
    }
}

struct Loop<C> {
    actor: Arc<Actor<C>>,
    context: Arc<Context<C>>,
    own: Own,
    asks: watch::Sender<Arc<std::collections::BTreeSet<question::Question>>>,
    pages: crate::report::desk::Pages,
    commands: JoinSet<()>,
}

impl<C: Cloud> Loop<C> {
    /// Waits until a look is due.
    async fn next(&self) -> Scope {
        let (store, window) = (&self.context.store, self.context.config.batch_max);
        let is_coming = || look::is_pod_coming(store, window, Timestamp::now());
        self.context.wake.next(is_coming).await
    }

    async fn pass(&mut self, scope: Scope) {
        let started = Instant::now();
        while self.commands.try_join_next().is_some() {}
        if scope != Scope::Whole {
            self.force().await;
        }
        if scope != Scope::ForcedOnly {
            self.look_at_everything(started).await;
        }
    }

    async fn look_at_everything(&mut self, started: Instant) {
        let snapshot = Arc::new(self.look());
        self.ask(&snapshot);
        match self.decide(&snapshot).await {
            Some(approved) => self.carry_out(approved, &snapshot, started),
            None => self
                .context
                .wake
                .rest(started + LOOK_EVERY, started + LOOKS_APART_MAX),
        }
        self.context
            .metrics
            .pass_seconds
            .observe(started.elapsed().as_secs_f64());
    }

    fn look(&self) -> Snapshot {
        let now = Timestamp::now();
        let mut ledger = self.actor.ledger();
        ledger.prune(now);
        let seen = self.context.view.with(|seen| seen.clone());
        look::snapshot(&self.context.store, seen, &ledger, self.own.clone(), now)
    }

    fn ask(&self, snapshot: &Snapshot) {
        let wanted = question::all(&questions(snapshot));
        self.asks.send_if_modified(|asked| {
            let is_new = **asked != wanted;
            if is_new {
                *asked = Arc::new(wanted);
            }
            is_new
        });
    }

    /// What cannot wait for a solve: forced commands, planned without buying anything.
    async fn force(&mut self) {
        let snapshot = self.look();
        let planned = tokio::task::spawn_blocking(move || plan_forced(&snapshot)).await;
        if let Some(approved) = self.guarded(planned).await {
            self.say_stripped(&approved);
            self.actor.start(approved.plan.commands, &mut self.commands);
        }
    }

    /// Plans on one snapshot and guards on a later one. `None` when the planner broke its promise to be total.
    /// Forced news that comes meanwhile is not kept waiting.
    async fn decide(&mut self, snapshot: &Arc<Snapshot>) -> Option<Approved> {
        let began = Instant::now();
        let mut planning = {
            let snapshot = snapshot.clone();
            tokio::task::spawn_blocking(move || plan(&snapshot))
        };
        let context = self.context.clone();
        let planned = loop {
            tokio::select! {
                planned = &mut planning => break planned,
                () = context.wake.forced() => self.force().await,
            }
        };
        self.context
            .metrics
            .plan_seconds
            .observe(began.elapsed().as_secs_f64());
        self.guarded(planned).await
    }

    async fn guarded(&self, planned: Result<Plan, JoinError>) -> Option<Approved> {
        let fresh = self.look();
        let guarded = match planned {
            Ok(plan) => tokio::task::spawn_blocking(move || guard(&fresh, plan)).await,
            Err(panic) => Err(panic),
        };
        match guarded {
            Ok(approved) => Some(approved),
            Err(panic) => {
                error!(%panic, "planning failed; nothing is done until the world changes");
                None
            }
        }
    }

    fn say_stripped(&self, approved: &Approved) {
        for stripped in &approved.plan.stripped {
            let rule = format!("{:?}", stripped.rule);
            let kind = stripped.planned.command.kind();
            info!(kind, rule, message = &*stripped.message, "not let through");
            self.context
                .metrics
                .guard_stripped
                .get_or_create(&RuleLabels { rule })
                .inc();
        }
    }

    fn carry_out(&mut self, approved: Approved, snapshot: &Snapshot, started: Instant) {
        self.say_stripped(&approved);
        let plan = approved.plan;
        self.actor.start(plan.commands, &mut self.commands);
        gauge::set(&self.context.metrics, snapshot, &plan.statuses);
        self.remember(&plan.memory);
        self.pages.send(Page {
            oceans: snapshot.oceans.clone(),
            statuses: plan.statuses,
            events: plan.events,
            memory: plan.memory,
        });
        self.rest(plan.next_look, snapshot.now, started);
    }

    fn remember(&mut self, memory: &Memory) {
        if self.own.memory != *memory {
            self.own.memory = memory.clone();
        }
    }

    fn rest(&self, next_look: Timestamp, looked_at: Timestamp, started: Instant) {
        let now = Instant::now();
        let wait = Duration::try_from(next_look.duration_since(looked_at)).unwrap_or_default();
        let mut timer = started + wait.clamp(LOOKS_APART_MIN, LOOK_EVERY);
        if let Some(cloud_from) = self.context.fence.cloud_from().filter(|from| *from > now) {
            timer = timer.min(cloud_from);
        }
        let pause = (now - started).clamp(LOOKS_APART_MIN, LOOKS_APART_MAX);
        self.context.wake.rest(timer, now + pause);
    }

    /// Lets what is under way end, for a while.
    async fn end(&mut self) {
        info!(
            commands = self.commands.len(),
            "stopping: waiting for what is under way"
        );
        let ended = async { while self.commands.join_next().await.is_some() {} };
        if tokio::time::timeout(ENDING, ended).await.is_err() {
            warn!(
                commands = self.commands.len(),
                "left behind; their intent is on record"
            );
        }
    }
}
