//! The EKS cluster as DescribeCluster shows it.

use aws_sdk_eks::operation::describe_cluster::builders::DescribeClusterInputBuilder;
use aws_sdk_eks::types::{Cluster as Described, IpFamily};
use spotocean_core::port::{CloudError, Cluster};

use crate::client::AwsCloud;
use crate::error::unreadable;
use crate::throttle::Action;

const DESCRIBE: Action = Action::other("DescribeCluster");
/// Clusters older than access entries have no accessConfig and know the ConfigMap alone.
const OLDEST_MODE: &str = "CONFIG_MAP";

/// The cluster by name.
pub(crate) async fn named(cloud: &AwsCloud, name: &str) -> Result<Cluster, CloudError> {
    let request = DescribeClusterInputBuilder::default()
        .name(name)
        .send_with(&cloud.eks);
    let answer = cloud.call(DESCRIBE, request).await?;
    answer.cluster().and_then(read).ok_or_else(|| {
        let message = format!(
            "cluster {name} has no endpoint, certificate authority or service CIDR yet; is it being created?"
        );
        unreadable(DESCRIBE.name, message)
    })
}

fn read(cluster: &Described) -> Option<Cluster> {
    let network = cluster.kubernetes_network_config()?;
    let is_ipv6 = network.ip_family() == Some(&IpFamily::Ipv6);
    let service_cidr = if is_ipv6 {
        network.service_ipv6_cidr()
    } else {
        network.service_ipv4_cidr()
    };
    Some(Cluster {
        name: cluster.name()?.into(),
        endpoint: cluster.endpoint()?.into(),
        certificate_authority: cluster.certificate_authority()?.data()?.into(),
        service_cidr: service_cidr?.into(),
        version: cluster.version()?.into(),
        authentication_mode: cluster
            .access_config()
            .and_then(|access| access.authentication_mode())
            .map_or(OLDEST_MODE, |mode| mode.as_str())
            .into(),
        is_ipv6,
    })
}

#[cfg(test)]
mod tests {
    use aws_sdk_eks::types::builders::ClusterBuilder;
    use aws_sdk_eks::types::{
        AccessConfigResponse, AuthenticationMode, Certificate, KubernetesNetworkConfigResponse,
    };

    use super::*;

    fn described(family: IpFamily) -> ClusterBuilder {
        Described::builder()
            .name("prod")
            .endpoint("https://1.eks.amazonaws.com")
            .certificate_authority(Certificate::builder().data("Y2E=").build())
            .kubernetes_network_config(
                KubernetesNetworkConfigResponse::builder()
                    .service_ipv4_cidr("10.100.0.0/16")
                    .service_ipv6_cidr("fd00::/108")
                    .ip_family(family)
                    .build(),
            )
            .version("1.36")
    }

    #[test]
    fn the_service_cidr_is_of_the_clusters_family() {
        let rows = [
            (IpFamily::Ipv4, "10.100.0.0/16", false),
            (IpFamily::Ipv6, "fd00::/108", true),
        ];
        for (family, cidr, is_ipv6) in rows {
            let cluster = read(&described(family).build()).expect("it is whole");
            assert_eq!((&*cluster.service_cidr, cluster.is_ipv6), (cidr, is_ipv6));
        }
    }

    #[test]
    fn a_cluster_without_an_access_config_knows_only_the_config_map() {
        let mode =
            |described: ClusterBuilder| read(&described.build()).map(|cluster| cluster.authentication_mode);
        assert_eq!(mode(described(IpFamily::Ipv4)).as_deref(), Some("CONFIG_MAP"));
        let access = AccessConfigResponse::builder()
            .authentication_mode(AuthenticationMode::ApiAndConfigMap)
            .build();
        let newer = described(IpFamily::Ipv4).access_config(access);
        assert_eq!(mode(newer).as_deref(), Some("API_AND_CONFIG_MAP"));
    }

    #[test]
    fn a_cluster_being_created_is_not_read() {
        assert_eq!(read(&Described::builder().name("prod").build()), None);
    }
}
