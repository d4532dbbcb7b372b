//! Buying: intent first, then the call, then its answer on record, in one task.
//!
//! After a crash at any point the objects tell what is left to do: members without a launch were never bought,
//! a launch without an answer is replayed with its token.

use std::sync::Arc;

use futures::StreamExt;
use spotocean_api::ocean_launch::OceanLaunch;
use spotocean_api::ocean_node::OceanNode;
use spotocean_core::launch::{FleetAnswer, LaunchTemplate};
use spotocean_core::port::{Cloud, CloudError, CloudErrorKind};
use spotocean_planner::command::{Command, Outcome, Purchase};
use spotocean_planner::settlement;
use spotocean_planner::snapshot::AttemptError;
use tracing::warn;

use super::Actor;
use crate::store::entry;
use crate::store::kind::Readable;

/// Objects of one purchase written at once.
const WRITES_MAX: usize = 32;
/// Launch templates made at once.
const TEMPLATES_MAX: usize = 4;

impl<C: Cloud> Actor<C> {
    /// Writes the intent, then buys.
    pub(super) async fn purchase(&self, purchase: &Purchase) -> Result<Outcome, AttemptError> {
        let launch = self.write_intent(purchase).await;
        self.withdraw(purchase);
        match launch? {
            Some(launch) => self.send(&Arc::new(launch), &purchase.templates).await,
            None => Ok(Outcome::Stale),
        }
    }

    /// Sends a stored request again.
    pub(super) async fn replay(
        &self,
        launch: &Arc<OceanLaunch>,
        templates: &[LaunchTemplate],
    ) -> Result<Outcome, AttemptError> {
        self.send(launch, templates).await
    }

    /// Planning must count these nodes from the moment their purchase is approved: it may wait for its turn, and the
    /// last of a thousand is written much later than the first.
    pub(super) fn intend(&self, purchase: &Purchase) {
        self.context.store.with(|objects| {
            for node in &purchase.nodes {
                let key = entry::name(&node.metadata);
                objects
                    .ocean_nodes
                    .intend(key, Readable::Yes(Arc::new(node.clone())));
            }
            let launch = &purchase.launch;
            let key = entry::name(&launch.metadata);
            objects
                .launches
                .intend(key, Readable::Yes(Arc::new(launch.clone())));
        });
    }

    /// The intent is on record now, or it will never be.
    pub(super) fn withdraw(&self, purchase: &Purchase) {
        self.context.store.with(|objects| {
            for node in &purchase.nodes {
                objects.ocean_nodes.withdraw(&entry::name(&node.metadata));
            }
            objects.launches.withdraw(&entry::name(&purchase.launch.metadata));
        });
    }

    /// Members first, the launch last: a launch that exists is complete. `None` when some object was there already.
    async fn write_intent(&self, purchase: &Purchase) -> Result<Option<OceanLaunch>, AttemptError> {
        let writes: Vec<_> = purchase
            .nodes
            .iter()
            .map(|node| self.writer.create::<OceanNode>(node))
            .collect();
        let mut writes = futures::stream::iter(writes).buffer_unordered(WRITES_MAX);
        while let Some(written) = writes.next().await {
            if written?.is_none() {
                return Ok(None);
            }
        }
        self.writer.create::<OceanLaunch>(&purchase.launch).await
    }

    async fn send(
        &self,
        launch: &Arc<OceanLaunch>,
        templates: &[LaunchTemplate],
    ) -> Result<Outcome, AttemptError> {
        let result = match self.make_templates(templates).await {
            Ok(()) => self.create_fleet(launch).await,
            Err(error) => Err(error),
        };
        let result = match result {
            Ok(answer) => Ok(answer),
            Err(AttemptError::Cloud(error)) => Err(error),
            // Nothing was sent: the launch stays as it is, to be sent by whoever leads.
            Err(other) => return Err(other),
        };
        self.settle(launch, &result).await;
        self.context.view.instances_wanted.notify_one();
        Ok(match result {
            Ok(answer) => Outcome::Fleet(answer),
            Err(error) => Outcome::FleetFailed(error),
        })
    }

    async fn make_templates(&self, templates: &[LaunchTemplate]) -> Result<(), AttemptError> {
        let calls: Vec<_> = templates
            .iter()
            .filter(|template| !self.context.view.has_template(&template.name))
            .map(|template| self.make_template(template))
            .collect();
        let mut calls = futures::stream::iter(calls).buffer_unordered(TEMPLATES_MAX);
        while let Some(made) = calls.next().await {
            made?;
        }
        Ok(())
    }

    async fn make_template(&self, template: &LaunchTemplate) -> Result<(), AttemptError> {
        let call = self.context.cloud.ensure_launch_template(template);
        self.context.write("CreateLaunchTemplate", call).await?;
        self.context.view.template_exists(&template.name);
        Ok(())
    }

    async fn create_fleet(&self, launch: &OceanLaunch) -> Result<FleetAnswer, AttemptError> {
        let request = settlement::request(launch);
        let call = self.context.cloud.create_fleet(&request);
        let result = self.context.write("CreateFleet", call).await;
        if let Err(AttemptError::Cloud(CloudError {
            kind: CloudErrorKind::NotFound,
            ..
        })) = &result
        {
            // A template we believed in was deleted by somebody else: ask for all of them next time.
            for config in &request.configs {
                self.context.view.template_gone(&config.launch_template);
            }
        }
        result
    }

    /// Puts the answer on record at once, members first, so that no look sees an answered launch with idle members.
    async fn settle(&self, launch: &Arc<OceanLaunch>, result: &Result<FleetAnswer, CloudError>) {
        let members = self.members(launch);
        let now = jiff::Timestamp::now();
        let commands = settlement::settle(launch, &members, result, now);
        let (launches, nodes): (Vec<_>, Vec<_>) = commands
            .into_iter()
            .partition(|command| matches!(command, Command::SetLaunchStatus { .. }));
        let writes: Vec<_> = nodes.iter().map(|command| self.follow_up(command)).collect();
        let mut writes = futures::stream::iter(writes).buffer_unordered(WRITES_MAX);
        while writes.next().await.is_some() {}
        for command in &launches {
            self.follow_up(command).await;
        }
    }

    fn members(&self, launch: &OceanLaunch) -> Vec<Arc<OceanNode>> {
        self.context.store.with(|objects| {
            let rows = launch.spec.members.iter().filter_map(|name| {
                let row = objects.ocean_nodes.entry(&name.as_str().into())?;
                row.value.object().cloned()
            });
            rows.collect()
        })
    }

    /// What cannot be written now is found again by the next look: the answer can be asked for once more.
    async fn follow_up(&self, command: &Command) {
        let result = match command {
            Command::SetLaunchStatus { name, uid, status } => {
                self.writer.set_launch_status(&name.0, uid.as_str(), status).await
            }
            Command::SetOceanNodeStatus {
                name, uid, status, ..
            } => {
                self.writer
                    .set_ocean_node_status(&name.0, uid.as_str(), status)
                    .await
            }
            other => {
                warn!(
                    kind = other.kind(),
                    "a settlement holds a command that is no status"
                );
                return;
            }
        };
        if let Err(error) = result {
            warn!(
                kind = command.kind(),
                error = super::sentence(&error),
                "the answer is not on record yet"
            );
        }
    }
}
