//! What happens to instances by themselves as simulated time passes: they run, boot, are interrupted,
//! shut down and are forgotten; and the events EventBridge delivers about it.

use serde_json::{Value, json};

use crate::clock::{Moment, ms};
use crate::market::Lifecycle;
use crate::random;
use crate::state::instance::{InstanceState, Membership};
use crate::state::{ACCOUNT, Effect, LaunchOutcome, World};

/// Something that is due at a moment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// Pending becomes running.
    Run(String),
    /// Pending becomes terminated.
    FailLaunch(String),
    /// The kubelet tries to join.
    Boot(String),
    /// A spot instance whose notice is over goes.
    TakeBack(String),
    /// The warning of an interruption that a rebalance recommendation preceded.
    Warn(String, i64),
    /// Shutting-down becomes terminated.
    Terminate(String),
    /// A terminated instance is no longer described.
    Forget(String),
    /// The cloud's node lifecycle deletes the Node.
    DeleteNode(String),
    /// An event reaches the queue.
    Deliver(String),
}

impl World {
    /// Lets happen what is due; answers with when to look again.
    pub fn advance(&mut self) -> Option<Moment> {
        let now = self.now();
        while let Some(entry) = self.schedule.first_entry().filter(|entry| entry.key().0 <= now) {
            let event = entry.remove();
            self.happen(event);
        }
        self.hazard(now);
        self.schedule.first_key_value().map(|((at, _), _)| *at)
    }

    /// Plans an event.
    pub fn schedule(&mut self, at: Moment, event: Event) {
        self.sequence += 1;
        self.schedule.insert((at, self.sequence), event);
    }

    fn happen(&mut self, event: Event) {
        match event {
            Event::Run(id) => self.run(&id),
            Event::FailLaunch(id) => self.fail_launch(&id),
            Event::Boot(id) => self.boot(&id),
            Event::TakeBack(id) => self.shut_down(
                &id,
                "Server.SpotInstanceTermination",
                "Server.SpotInstanceTermination: Spot instance termination",
            ),
            Event::Warn(id, notice_ms) => self.warn(&id, notice_ms),
            Event::Terminate(id) => self.terminate(&id),
            Event::Forget(id) => {
                self.instances.remove(&id);
            }
            Event::DeleteNode(id) => self.delete_node(&id),
            Event::Deliver(body) => self.put_message(body),
        }
    }

    fn run(&mut self, id: &str) {
        let now = self.now();
        let Some(instance) = self
            .instances
            .get_mut(id)
            .filter(|found| found.state == InstanceState::Pending)
        else {
            return;
        };
        instance.state = InstanceState::Running;
        instance.state_since = now;
        self.emit_state(id);
    }

    fn fail_launch(&mut self, id: &str) {
        let Some(instance) = self
            .instances
            .get_mut(id)
            .filter(|found| found.state == InstanceState::Pending)
        else {
            return;
        };
        instance.state_reason = Some((
            "Client.InternalError".to_owned(),
            "Client.InternalError: Client error on launch".to_owned(),
        ));
        self.give_back(id);
        self.terminate(id);
    }

    fn boot(&mut self, id: &str) {
        let Some(instance) = self.instances.get_mut(id).filter(|found| found.holds_capacity()) else {
            return;
        };
        if instance.outcome == LaunchOutcome::NeverJoins {
            instance.log("kernel: boot stopped by order of the control API; the kubelet was never started");
            return;
        }
        self.effects.push(Effect::Join {
            instance_id: id.to_owned(),
        });
    }

    /// Has the kubelet of an instance try again later, as the kubelet does.
    pub fn retry_boot(&mut self, id: &str) {
        let at = self.now().plus_seconds(5.0);
        self.schedule(at, Event::Boot(id.to_owned()));
    }

    /// Interrupts a spot instance: recommendation where the knob says so, warning, and the end after the notice.
    pub fn interrupt(&mut self, id: &str, notice_seconds: Option<f64>) {
        let notice_ms = ms(notice_seconds.unwrap_or(self.options.scenario.timing.notice_seconds));
        match self.options.scenario.events.rebalance_lead_seconds {
            Some(lead_seconds) => {
                self.recommend_rebalance(id);
                let at = self.now().plus_seconds(lead_seconds);
                self.schedule(at, Event::Warn(id.to_owned(), notice_ms));
            }
            None => self.warn(id, notice_ms),
        }
    }

    fn warn(&mut self, id: &str, notice_ms: i64) {
        let end = self.now().plus_ms(notice_ms);
        let Some(instance) = self.instances.get_mut(id).filter(|found| found.holds_capacity()) else {
            return;
        };
        if instance.interruption.is_some() {
            return;
        }
        instance.interruption = Some(end);
        let detail = json!({"instance-id": id, "instance-action": "terminate"});
        self.emit("EC2 Spot Instance Interruption Warning", id, &detail);
        self.schedule(end, Event::TakeBack(id.to_owned()));
    }

    /// Recommends to move off an instance; nothing need follow.
    pub fn recommend_rebalance(&mut self, id: &str) {
        self.emit(
            "EC2 Instance Rebalance Recommendation",
            id,
            &json!({"instance-id": id}),
        );
    }

    /// An instance stops being paid for and begins to shut down.
    pub fn shut_down(&mut self, id: &str, code: &str, message: &str) {
        let now = self.now();
        let shutdown_seconds = self.options.scenario.timing.shutdown_seconds;
        let Some(instance) = self.instances.get_mut(id).filter(|found| found.holds_capacity()) else {
            return;
        };
        instance.state_reason = Some((code.to_owned(), message.to_owned()));
        self.give_back(id);
        if let Some(instance) = self.instances.get_mut(id) {
            instance.state = InstanceState::ShuttingDown;
            instance.state_since = now;
        }
        self.emit_state(id);
        self.fall_silent(id);
        self.schedule(
            now.plus_seconds(shutdown_seconds),
            Event::Terminate(id.to_owned()),
        );
    }

    fn fall_silent(&mut self, id: &str) {
        let Some(instance) = self.instances.get(id) else {
            return;
        };
        let Membership::Joined { node } = &instance.membership else {
            return;
        };
        let effect = Effect::Silence {
            node: node.clone(),
            instance_id: id.to_owned(),
        };
        self.effects.push(effect);
        if let Some(seconds) = self.options.scenario.timing.node_deletion_seconds {
            let at = self.now().plus_seconds(seconds);
            self.schedule(at, Event::DeleteNode(id.to_owned()));
        }
    }

    fn delete_node(&mut self, id: &str) {
        if let Some(node) = self.instances.get(id).and_then(|instance| instance.node()) {
            let effect = Effect::DeleteNode {
                node: node.to_owned(),
                instance_id: id.to_owned(),
            };
            self.effects.push(effect);
        }
    }

    fn terminate(&mut self, id: &str) {
        let now = self.now();
        let visible_seconds = self.options.scenario.timing.terminated_visible_seconds;
        let Some(instance) = self.instances.get_mut(id) else {
            return;
        };
        instance.state = InstanceState::Terminated;
        instance.state_since = now;
        let (subnet_id, address) = (instance.subnet_id.clone(), instance.address);
        if let Some(subnet) = self.network.subnets.get_mut(&subnet_id) {
            subnet.release_address(address);
        }
        self.emit_state(id);
        self.schedule(now.plus_seconds(visible_seconds), Event::Forget(id.to_owned()));
    }

    fn give_back(&mut self, id: &str) {
        if let Some(instance) = self.instances.get(id) {
            let (pool, lifecycle) = (instance.pool(), instance.lifecycle());
            self.market.release(&pool, lifecycle);
        }
    }

    /// Interruptions by hazard, drawn once per instance and simulated minute.
    fn hazard(&mut self, now: Moment) {
        let minute = now.0.div_euclid(60_000);
        let minutes = (minute - self.hazard_minute).clamp(0, 60);
        self.hazard_minute = minute;
        if self.options.hazard <= 0.0 || minutes == 0 {
            return;
        }
        let minute_text = minute.to_string();
        let struck: Vec<String> = self
            .instances
            .values()
            .filter(|found| found.lifecycle() == Lifecycle::Spot && found.state == InstanceState::Running)
            .filter(|found| found.interruption.is_none())
            .filter(|found| {
                let hazard = self
                    .market
                    .quote(&found.pool(), Lifecycle::Spot, now)
                    .map_or(0, |quote| quote.hazard_ppm_per_hour);
                let chance = hazard as f64 / 1e6 / 60.0 * minutes as f64 * self.options.hazard;
                random::unit(self.options.seed, &["hazard", &found.id, &minute_text]) < chance
            })
            .map(|found| found.id.clone())
            .collect();
        for id in struck {
            self.hazard_interruptions += 1;
            self.interrupt(&id, None);
        }
    }

    /// Interruptions that hazard has caused so far.
    pub fn hazard_interruptions(&self) -> u64 {
        self.hazard_interruptions
    }

    /// Tells EventBridge of an instance's state.
    pub fn emit_state(&mut self, id: &str) {
        if let Some(instance) = self.instances.get(id) {
            let detail = json!({"instance-id": id, "state": instance.state.name()});
            self.emit("EC2 Instance State-change Notification", id, &detail);
        }
    }

    /// Sends an `aws.ec2` event about an instance towards the queue, where it may be lost, doubled or late.
    pub fn emit(&mut self, detail_type: &str, instance_id: &str, detail: &Value) {
        let arn = format!(
            "arn:aws:ec2:{}:{ACCOUNT}:instance/{instance_id}",
            self.options.region
        );
        self.emit_event(detail_type, "aws.ec2", &json!([arn]), detail);
    }

    /// Sends any event towards the queue.
    pub fn emit_event(&mut self, detail_type: &str, source: &str, resources: &Value, detail: &Value) {
        let id = self.new_uuid();
        let time = self
            .clock
            .timestamp(self.now())
            .strftime("%Y-%m-%dT%H:%M:%SZ")
            .to_string();
        let body = json!({
            "version": "0", "id": id, "detail-type": detail_type, "source": source, "account": ACCOUNT,
            "time": time, "region": self.options.region, "resources": resources, "detail": detail,
        })
        .to_string();
        let events = self.options.scenario.events;
        let draw = |what: &str| random::below(self.options.seed, &[what, &id], 1000);
        let copies = match (
            draw("loss") < events.loss_per_mille,
            draw("double") < events.duplicate_per_mille,
        ) {
            (true, _) => 0,
            (false, true) => 2,
            (false, false) => 1,
        };
        let at = self.now().plus_seconds(events.delay_seconds);
        for _ in 0..copies {
            if events.delay_seconds > 0.0 {
                self.schedule(at, Event::Deliver(body.clone()));
            } else {
                self.put_message(body.clone());
            }
        }
    }

    fn put_message(&mut self, body: String) {
        let id = self.new_uuid();
        let now_ms = self.clock.real_ms();
        let name = self.queue_name().to_owned();
        if let Some(queue) = self.queues.get_mut(&name) {
            queue.send(id, body, 0, now_ms);
        }
    }
}
