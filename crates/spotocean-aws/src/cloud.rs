//! The port, one line per question or effect: each noun's module does the work.

use std::collections::BTreeMap;
use std::sync::Arc;

use jiff::Timestamp;
use spotocean_core::catalogue::CapacityReservation;
use spotocean_core::id::{InstanceId, InstanceTypeName, Zone, ZoneId};
use spotocean_core::instance::Instance;
use spotocean_core::instance_type::InstanceType;
use spotocean_core::launch::{FleetAnswer, FleetRequest, LaunchTemplate};
use spotocean_core::money::PricePerHour;
use spotocean_core::offering::Market;
use spotocean_core::port::{
    AccessEntryOutcome, Cloud, CloudError, Cluster, Image, ImageQuery, InstanceProfileRequest, QueueMessage,
    SecurityGroup, SelectorTerm, Subnet,
};

use crate::client::AwsCloud;
use crate::tag::Tags;
use crate::{
    access_entry, capacity_reservation, cluster, fleet, image, instance, instance_profile, instance_type,
    launch_template, offering, pricing, queue, role, security_group, spot_price, subnet,
};

impl Cloud for AwsCloud {
    async fn instance_types(&self) -> Result<Vec<InstanceType>, CloudError> {
        instance_type::all(self).await
    }

    async fn zones(&self) -> Result<BTreeMap<Zone, ZoneId>, CloudError> {
        offering::zones(self).await
    }

    async fn offered(&self) -> Result<Vec<Market>, CloudError> {
        offering::offered(self).await
    }

    async fn spot_prices(&self) -> Result<BTreeMap<Market, PricePerHour>, CloudError> {
        spot_price::current(self).await
    }

    async fn on_demand_prices(&self) -> Result<BTreeMap<InstanceTypeName, PricePerHour>, CloudError> {
        pricing::on_demand(self).await
    }

    async fn capacity_reservations(&self) -> Result<Vec<CapacityReservation>, CloudError> {
        capacity_reservation::open(self).await
    }

    async fn cluster(&self, name: &str) -> Result<Cluster, CloudError> {
        cluster::named(self, name).await
    }

    async fn subnets(&self, terms: &[SelectorTerm]) -> Result<Vec<Subnet>, CloudError> {
        subnet::matching(self, terms).await
    }

    async fn security_groups(&self, terms: &[SelectorTerm]) -> Result<Vec<SecurityGroup>, CloudError> {
        security_group::matching(self, terms).await
    }

    async fn images(&self, query: &ImageQuery) -> Result<Vec<Image>, CloudError> {
        image::newest(self, query).await
    }

    async fn ensure_instance_profile(&self, request: &InstanceProfileRequest) -> Result<(), CloudError> {
        instance_profile::ensure(self, request).await
    }

    async fn delete_instance_profile(&self, name: &str) -> Result<(), CloudError> {
        instance_profile::delete(self, name).await
    }

    async fn ensure_access_entry(
        &self,
        cluster: &str,
        role_arn: &str,
        tags: &Tags,
    ) -> Result<AccessEntryOutcome, CloudError> {
        access_entry::ensure(self, cluster, role_arn, tags).await
    }

    async fn role_arn(&self, role: &str) -> Result<Arc<str>, CloudError> {
        role::arn(self, role).await
    }

    async fn instance_profile_role(&self, name: &str) -> Result<Option<Arc<str>>, CloudError> {
        instance_profile::role_of(self, name).await
    }

    async fn ensure_launch_template(&self, template: &LaunchTemplate) -> Result<(), CloudError> {
        launch_template::ensure(self, template).await
    }

    async fn launch_templates(&self, tags: &Tags) -> Result<BTreeMap<Arc<str>, Timestamp>, CloudError> {
        launch_template::with_tags(self, tags).await
    }

    async fn delete_launch_template(&self, name: &str) -> Result<(), CloudError> {
        launch_template::delete(self, name).await
    }

    async fn create_fleet(&self, request: &FleetRequest) -> Result<FleetAnswer, CloudError> {
        fleet::create(self, request).await
    }

    async fn instances(&self, tags: &Tags) -> Result<Vec<Instance>, CloudError> {
        instance::with_tags(self, tags).await
    }

    async fn instances_by_id(&self, ids: &[InstanceId]) -> Result<Vec<Instance>, CloudError> {
        instance::by_id(self, ids).await
    }

    async fn terminate(&self, ids: &[InstanceId]) -> Result<(), CloudError> {
        instance::terminate(self, ids).await
    }

    async fn tag_instances(&self, ids: &[InstanceId], tags: &Tags) -> Result<(), CloudError> {
        instance::set_tags(self, ids, tags).await
    }

    async fn untag_instances(&self, ids: &[InstanceId], keys: &[Arc<str>]) -> Result<(), CloudError> {
        instance::remove_tags(self, ids, keys).await
    }

    async fn console_output(&self, id: &InstanceId) -> Result<Arc<str>, CloudError> {
        instance::console_output(self, id).await
    }

    async fn receive_messages(&self, queue: &str) -> Result<Vec<QueueMessage>, CloudError> {
        queue::receive(self, queue).await
    }

    async fn delete_messages(&self, queue: &str, receipts: &[Arc<str>]) -> Result<(), CloudError> {
        queue::delete(self, queue, receipts).await
    }
}
