//! One arm of the conformance test: a server, and what has to be there before the body runs.

use std::collections::BTreeMap;
use std::sync::Arc;

use aws_config::SdkConfig;
use aws_sdk_ec2::types::{Filter, Tag};
use spotocean_aws::AwsCloud;
use spotocean_core::port::SelectorTerm;

use crate::cloud::sdk;

/// A server under the conformance body. The names are the same in every arm.
pub(crate) struct Arm {
    /// Our client.
    pub(crate) cloud: AwsCloud,
    /// The SDK's own, for what the port has no effect for.
    pub(crate) sqs: aws_sdk_sqs::Client,
    /// What selects the cluster's subnets.
    pub(crate) subnets: Vec<SelectorTerm>,
    /// What selects one security group of theirs.
    pub(crate) security_groups: Vec<SelectorTerm>,
    /// What selects images for both architectures.
    pub(crate) images: Vec<SelectorTerm>,
    /// A role that exists.
    pub(crate) role: Arc<str>,
    /// The cluster's name and the interruption queue's.
    pub(crate) cluster: Arc<str>,
}

fn tagged(key: &str, value: &str) -> SelectorTerm {
    SelectorTerm {
        tags: BTreeMap::from([(key.into(), value.into())]),
        ..SelectorTerm::default()
    }
}

fn image(name: &str) -> SelectorTerm {
    SelectorTerm {
        name: Some(name.into()),
        owner: Some("amazon".into()),
        ..SelectorTerm::default()
    }
}

impl Arm {
    fn of(
        sdk: &SdkConfig,
        subnets: SelectorTerm,
        security_groups: SelectorTerm,
        images: [&str; 2],
        role: &str,
    ) -> Arm {
        Arm {
            cloud: AwsCloud::new(sdk).expect("a region is set"),
            sqs: aws_sdk_sqs::Client::new(sdk),
            subnets: vec![subnets],
            security_groups: vec![security_groups],
            images: images.map(image).into(),
            role: role.into(),
            cluster: "demo".into(),
        }
    }

    /// aws-sim comes with a cluster, its network, roles, images and queue.
    pub(crate) async fn simulator(endpoint: &str) -> Arm {
        let discovery = tagged("spotocean.dev/discovery", "demo");
        let images = [
            "amazon-eks-node-al2023-x86_64-standard-1.36-*",
            "amazon-eks-node-al2023-arm64-standard-1.36-*",
        ];
        Arm::of(
            &sdk(endpoint).await,
            discovery.clone(),
            discovery,
            images,
            "SpotOceanNodeRole-demo",
        )
    }

    /// moto comes with a default VPC and Amazon's images; the rest is made here.
    pub(crate) async fn moto(endpoint: &str) -> Arm {
        let sdk = sdk(endpoint).await;
        let discovery = tagged("spotocean.dev/discovery", "demo");
        tag_default_network(&aws_sdk_ec2::Client::new(&sdk)).await;
        make_role(&aws_sdk_iam::Client::new(&sdk)).await;
        make_cluster(&aws_sdk_eks::Client::new(&sdk)).await;
        let queue = aws_sdk_sqs::Client::new(&sdk)
            .create_queue()
            .queue_name("demo")
            .send()
            .await;
        queue.expect("moto makes a queue");
        let images = ["al2023-ami-2023.*-x86_64", "al2023-ami-2023.*-arm64"];
        Arm::of(
            &sdk,
            discovery.clone(),
            discovery,
            images,
            "SpotOceanNodeRole-demo",
        )
    }
}

async fn tag_default_network(ec2: &aws_sdk_ec2::Client) {
    let subnets = ec2.describe_subnets().send().await.expect("moto has subnets");
    let by_name = Filter::builder().name("group-name").values("default").build();
    let groups = ec2
        .describe_security_groups()
        .filters(by_name)
        .send()
        .await
        .expect("moto has groups");
    let subnet_ids = subnets.subnets().iter().filter_map(|subnet| subnet.subnet_id());
    let group_ids = groups
        .security_groups()
        .iter()
        .filter_map(|group| group.group_id())
        .take(1);
    let resources = subnet_ids.chain(group_ids).map(str::to_owned).collect();
    ec2.create_tags()
        .set_resources(Some(resources))
        .tags(
            Tag::builder()
                .key("spotocean.dev/discovery")
                .value("demo")
                .build(),
        )
        .send()
        .await
        .expect("moto tags subnets and groups");
}

async fn make_role(iam: &aws_sdk_iam::Client) {
    iam.create_role()
        .role_name("SpotOceanNodeRole-demo")
        .assume_role_policy_document(r#"{"Version":"2012-10-17","Statement":[]}"#)
        .send()
        .await
        .expect("moto makes a role");
}

async fn make_cluster(eks: &aws_sdk_eks::Client) {
    eks.create_cluster()
        .name("demo")
        .version("1.36")
        .role_arn("arn:aws:iam::123456789012:role/cluster")
        .resources_vpc_config(aws_sdk_eks::types::VpcConfigRequest::builder().build())
        .send()
        .await
        .expect("moto makes a cluster");
}
