//! Carries out what was approved: one arm per command, no policy.
//!
//! Commands run as tasks of their own, the same one never twice at once; what each came to is kept in the
//! [`ledger`] for the next look. Forced commands have their own lane. Nothing here waits for its own effect.

pub mod kubernetes;
pub mod ledger;
pub mod merge;
pub mod nomination;
pub mod purchase;

use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Instant;

use jiff::Timestamp;
use spotocean_core::id::InstanceId;
use spotocean_core::instance::{
    InstanceState, TAG_CLUSTER_UID, TAG_LAUNCH, TAG_OCEAN, TAG_OCEAN_UID, TAG_POOL,
};
use spotocean_core::port::{Cloud, CloudErrorKind};
use spotocean_planner::command::{Command, CommandKey, Lane, Outcome, Planned, TerminationReason};
use spotocean_planner::snapshot::AttemptError;
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tracing::{debug, info, warn};

use crate::batch::News;
use crate::context::Context;
use kubernetes::Writer;
use ledger::Ledger;

/// Forced commands at once: enough that none ever waits in practice.
const FORCED_MAX: usize = 256;
/// Ordinary writes to the apiserver at once.
const KUBERNETES_MAX: usize = 64;
/// Ordinary commands that call AWS at once; the calls themselves stay inside AWS's token buckets.
const CLOUD_MAX: usize = 8;
/// Instances in one TerminateInstances or DeleteTags call.
const INSTANCES_PER_CALL_MAX: usize = 100;

/// Carries out commands in the name of one term of leadership.
pub struct Actor<C> {
    context: Arc<Context<C>>,
    writer: Writer,
    ledger: Mutex<Ledger>,
    forced: Semaphore,
    kubernetes: Semaphore,
    cloud: Semaphore,
}

/// Commands that are one call: several of one kind where AWS takes many ids, else one.
type Group = Vec<Planned>;

impl<C: Cloud> Actor<C> {
    /// An actor that has done nothing yet.
    pub fn new(context: Arc<Context<C>>) -> Self {
        let writer = Writer {
            client: context.client.clone(),
            store: context.store.clone(),
        };
        Self {
            context,
            writer,
            ledger: Mutex::default(),
            forced: Semaphore::new(FORCED_MAX),
            kubernetes: Semaphore::new(KUBERNETES_MAX),
            cloud: Semaphore::new(CLOUD_MAX),
        }
    }

    /// What is under way and how earlier runs ended.
    pub fn ledger(&self) -> MutexGuard<'_, Ledger> {
        self.ledger
            .lock()
            .expect("nothing panics while it holds this lock")
    }

    /// Starts every approved command that may run now.
    pub fn start(self: &Arc<Self>, commands: Vec<Planned>, tasks: &mut JoinSet<()>) {
        let may_call = self.context.fence.cloud_budget(Instant::now()).is_some();
        let wanted = commands.into_iter().filter(|planned| {
            // Without a lease that allows it, nothing that ends in a call to AWS is begun; the next look asks again.
            (may_call || !calls_cloud(&planned.command)) && self.ledger().begin(&planned.command.key())
        });
        for group in groups(wanted.collect()) {
            if let [
                Planned {
                    command: Command::Purchase(purchase),
                    ..
                },
            ] = group.as_slice()
            {
                self.intend(purchase);
            }
            let actor = self.clone();
            tasks.spawn(async move { actor.run(group).await });
        }
    }

    async fn run(self: Arc<Self>, group: Group) {
        let Some(first) = group.first() else {
            return;
        };
        let semaphore = match first.lane {
            Lane::Forced => &self.forced,
            Lane::Ordinary if calls_cloud(&first.command) => &self.cloud,
            Lane::Ordinary => &self.kubernetes,
        };
        let _permit = semaphore
            .acquire()
            .await
            .expect("these semaphores are never closed");
        let result = self.execute(&group).await;
        let is_news = !matches!(result, Ok(Outcome::Stale));
        for planned in &group {
            self.conclude(planned, &result);
        }
        if is_news {
            self.context.wake.ring(News::Change);
        }
    }

    /// Says and keeps what a command came to.
    fn conclude(&self, planned: &Planned, result: &Result<Outcome, AttemptError>) {
        let kind = planned.command.kind();
        let CommandKey { subject, .. } = planned.command.key();
        let because = &*planned.because;
        let label = match result {
            // One for each pod of a burst.
            Ok(Outcome::Done) if matches!(planned.command, Command::NominatePod { .. }) => {
                debug!(kind, subject = &*subject, because, "done");
                "done"
            }
            Ok(Outcome::Done) => {
                info!(kind, subject = &*subject, because, "done");
                "done"
            }
            Ok(Outcome::Fleet(answer)) => {
                let (instances, errors) = (answer.instances.len(), answer.errors.len());
                info!(kind, subject = &*subject, because, instances, errors, "answered");
                "done"
            }
            Ok(Outcome::Stale) => {
                debug!(
                    kind,
                    subject = &*subject,
                    because,
                    "the world had changed; nothing was done"
                );
                "stale"
            }
            Ok(Outcome::FleetFailed(error)) => {
                warn!(kind, subject = &*subject, because, %error, "failed");
                "failed"
            }
            Err(error) => {
                warn!(
                    kind,
                    subject = &*subject,
                    because,
                    error = sentence(error),
                    "failed"
                );
                "failed"
            }
        };
        self.context.metrics.commanded(kind, label);
        self.ledger()
            .end(&planned.command.key(), result, Timestamp::now());
    }

    async fn execute(&self, group: &[Planned]) -> Result<Outcome, AttemptError> {
        let Some(first) = group.first() else {
            return Ok(Outcome::Done);
        };
        if !self.context.fence.holds(Instant::now()) {
            if let Command::Purchase(purchase) = &first.command {
                self.withdraw(purchase);
            }
            return Err(AttemptError::LeaseTooShort);
        }
        let writer = &self.writer;
        match &first.command {
            Command::SetOceanFinalizer { ocean, uid, present } => {
                writer.set_ocean_finalizer(&ocean.0, uid.as_str(), *present).await
            }
            Command::Purchase(purchase) => Box::pin(self.purchase(purchase)).await,
            Command::Replay { launch, templates } => Box::pin(self.replay(launch, templates)).await,
            Command::SetLaunchStatus { name, uid, status } => {
                writer.set_launch_status(&name.0, uid.as_str(), status).await
            }
            Command::DeleteLaunch { name, uid } => writer.delete_launch(&name.0, uid.as_str()).await,
            Command::CreateOceanNode { node, status } => writer.create_ocean_node(node, status).await,
            Command::SetOceanNodeStatus {
                name,
                uid,
                status,
                once_clear,
            } => {
                if let Some(node) = once_clear
                    && !writer.is_clear(node).await?
                {
                    // The pods found are in the stores now: the next look sees them.
                    self.context.wake.ring(News::Change);
                    return Ok(Outcome::Stale);
                }
                writer.set_ocean_node_status(&name.0, uid.as_str(), status).await
            }
            Command::DeleteOceanNode { name, uid } => writer.delete_ocean_node(&name.0, uid.as_str()).await,
            Command::ReleaseOceanNode { name, uid } => writer.release_ocean_node(&name.0, uid.as_str()).await,
            Command::PatchNode(patch) => writer.patch_node(patch).await,
            Command::DeleteNode { name, uid } => writer.delete_node(&name.0, uid.as_str()).await,
            Command::EvictPod { pod, uid, .. } => writer.evict_pod(pod, uid.as_str()).await,
            Command::NominatePod { pod, uid, node } => writer.nominate_pod(pod, uid.as_str(), node).await,
            Command::DeletePod {
                pod,
                uid,
                grace_seconds,
                ..
            } => writer.delete_pod(pod, uid.as_str(), *grace_seconds).await,
            Command::Terminate { .. } => self.terminate(group).await,
            Command::Orphan { .. } => self.orphan(group).await,
            Command::DeleteLaunchTemplate { name } => self.delete_launch_template(name).await,
            Command::DeleteInstanceProfile { name } => {
                let call = self.context.cloud.delete_instance_profile(name);
                self.context.write("DeleteInstanceProfile", call).await?;
                Ok(Outcome::Done)
            }
            Command::Acknowledge { receipts } => self.acknowledge(receipts).await,
        }
    }

    async fn terminate(&self, group: &[Planned]) -> Result<Outcome, AttemptError> {
        let mut ids = Vec::new();
        let mut unexplained = Vec::new();
        for planned in group {
            match &planned.command {
                Command::Terminate {
                    instance,
                    reason: TerminationReason::Released,
                } => ids.push(instance.clone()),
                Command::Terminate {
                    instance,
                    reason: TerminationReason::Unexplained,
                } => unexplained.push(instance.clone()),
                _ => {}
            }
        }
        ids.extend(self.confirmed(&unexplained).await?);
        if ids.is_empty() {
            return Ok(Outcome::Stale);
        }
        let call = self.context.cloud.terminate(&ids);
        self.context.write("TerminateInstances", call).await?;
        self.context.view.terminating(&ids);
        Ok(Outcome::Done)
    }

    /// Of instances that nothing explains, those that a read by id still shows as ours and alive.
    async fn confirmed(&self, ids: &[InstanceId]) -> Result<Vec<InstanceId>, AttemptError> {
        if ids.is_empty() {
            return Ok(Vec::new());
        }
        let call = self.context.cloud.instances_by_id(ids);
        let found = self
            .context
            .read("DescribeInstances", call)
            .await
            .map_err(AttemptError::Cloud)?;
        let cluster_uid = crate::look::cluster_uid(&self.context.store);
        let ours = found.into_iter().filter(|instance| {
            let is_tagged = cluster_uid.is_some() && instance.tag(TAG_CLUSTER_UID) == cluster_uid.as_deref();
            is_tagged && matches!(instance.state, InstanceState::Pending | InstanceState::Running)
        });
        Ok(ours.map(|instance| instance.id).collect())
    }

    async fn orphan(&self, group: &[Planned]) -> Result<Outcome, AttemptError> {
        let ids: Vec<InstanceId> = group
            .iter()
            .filter_map(|planned| match &planned.command {
                Command::Orphan { instance } => Some(instance.clone()),
                _ => None,
            })
            .collect();
        let keys = [TAG_CLUSTER_UID, TAG_OCEAN_UID, TAG_OCEAN, TAG_POOL, TAG_LAUNCH].map(Arc::from);
        let call = self.context.cloud.untag_instances(&ids, &keys);
        self.context.write("DeleteTags", call).await?;
        self.context.view.untagged(&ids, &keys);
        Ok(Outcome::Done)
    }

    async fn delete_launch_template(&self, name: &str) -> Result<Outcome, AttemptError> {
        // Forgotten first: a purchase that starts meanwhile must ask for it again.
        self.context.view.template_gone(name);
        let call = self.context.cloud.delete_launch_template(name);
        self.context.write("DeleteLaunchTemplate", call).await?;
        Ok(Outcome::Done)
    }

    async fn acknowledge(&self, receipts: &[Arc<str>]) -> Result<Outcome, AttemptError> {
        let Some(queue) = &self.context.config.interruption_queue else {
            return Ok(Outcome::Stale);
        };
        let call = self.context.cloud.delete_messages(queue, receipts);
        match self.context.write("DeleteMessage", call).await {
            // A receipt that has run out: the message comes again under another one.
            Err(AttemptError::Cloud(error)) if error.kind == CloudErrorKind::Invalid => {}
            result => result?,
        }
        self.context.view.acknowledged(receipts);
        Ok(Outcome::Done)
    }
}

/// Whether a command ends in a write to AWS.
fn calls_cloud(command: &Command) -> bool {
    match command {
        Command::Purchase(_)
        | Command::Replay { .. }
        | Command::Terminate { .. }
        | Command::Orphan { .. }
        | Command::DeleteLaunchTemplate { .. }
        | Command::DeleteInstanceProfile { .. }
        | Command::Acknowledge { .. } => true,
        Command::SetOceanFinalizer { .. }
        | Command::SetLaunchStatus { .. }
        | Command::DeleteLaunch { .. }
        | Command::CreateOceanNode { .. }
        | Command::SetOceanNodeStatus { .. }
        | Command::DeleteOceanNode { .. }
        | Command::ReleaseOceanNode { .. }
        | Command::PatchNode(_)
        | Command::DeleteNode { .. }
        | Command::EvictPod { .. }
        | Command::NominatePod { .. }
        | Command::DeletePod { .. } => false,
    }
}

/// Whether commands of this kind and lane share a call. Confirmed and unconfirmed terminations do not, so that
/// a read that fails holds up none but the instances it is about.
fn shares_call(left: &Planned, right: &Planned) -> bool {
    left.lane == right.lane
        && match (&left.command, &right.command) {
            (Command::Terminate { reason: left, .. }, Command::Terminate { reason: right, .. }) => {
                left == right
            }
            (Command::Orphan { .. }, Command::Orphan { .. }) => true,
            _ => false,
        }
}

/// Puts commands that share a call together, in the order of their first.
fn groups(commands: Vec<Planned>) -> Vec<Group> {
    let mut groups: Vec<Group> = Vec::new();
    for planned in commands {
        let open = groups.iter_mut().find(|group| {
            group.len() < INSTANCES_PER_CALL_MAX
                && group.first().is_some_and(|first| shares_call(first, &planned))
        });
        match open {
            Some(group) => group.push(planned),
            None => groups.push(vec![planned]),
        }
    }
    groups
}

fn sentence(error: &AttemptError) -> String {
    match error {
        AttemptError::Cloud(error) => error.to_string(),
        AttemptError::Kubernetes { status, message } => format!("{status}: {message}"),
        AttemptError::LeaseTooShort => "the lease was too short; nothing was sent".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn planned(command: Command, lane: Lane) -> Planned {
        Planned {
            command,
            lane,
            because: "a test".into(),
        }
    }

    fn terminate(id: &str, reason: TerminationReason, lane: Lane) -> Planned {
        let instance = id.into();
        planned(Command::Terminate { instance, reason }, lane)
    }

    #[test]
    fn terminations_of_one_reason_and_lane_are_one_call() {
        use TerminationReason::{Released, Unexplained};
        let release = Command::DeleteLaunchTemplate { name: "t".into() };
        let commands = vec![
            terminate("i-1", Released, Lane::Ordinary),
            planned(release, Lane::Ordinary),
            terminate("i-2", Released, Lane::Ordinary),
            terminate("i-3", Released, Lane::Forced),
            terminate("i-4", Unexplained, Lane::Ordinary),
        ];
        let sizes: Vec<usize> = groups(commands).iter().map(Vec::len).collect();
        assert_eq!(sizes, [2, 1, 1, 1]);
        let many = (0..250).map(|index| terminate(&format!("i-{index}"), Released, Lane::Ordinary));
        let sizes: Vec<usize> = groups(many.collect()).iter().map(Vec::len).collect();
        assert_eq!(sizes, [100, 100, 50]);
    }
}
