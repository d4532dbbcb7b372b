//! One body against aws-sim and against moto: what both support must agree.
//!
//! The body asks through the port and writes down facts by name. aws-sim must
//! give what is expected of AWS; moto too, except for its known deviations,
//! which are listed with their value: one that no longer deviates fails the test.

use std::collections::{BTreeMap, BTreeSet};

use crate::arm::Arm;
use crate::facts::{Facts, facts};
use crate::moto::Moto;
use crate::simulator;

/// What AWS answers.
const EXPECTED: &[(&str, &str)] = &[
    (
        "zones",
        "us-east-1a=use1-az6 us-east-1b=use1-az1 us-east-1c=use1-az2 us-east-1d=use1-az4 us-east-1e=use1-az3 us-east-1f=use1-az5",
    ),
    ("types are plenty", "true"),
    (
        "m5.large",
        "amd64 2 vCPU 8192 MiB 3x10 addresses 10 Gbps nitro spot",
    ),
    (
        "m7gd.2xlarge",
        "arm64 8 vCPU 32768 MiB 4x15 addresses 15 Gbps nitro spot 474 GB on 1",
    ),
    (
        "g4dn.xlarge",
        "amd64 4 vCPU 16384 MiB 3x10 addresses 25 Gbps nitro spot 125 GB on 1 nvidia.com/gpu=1",
    ),
    ("c4.large", "amd64 2 vCPU 3840 MiB 3x10 addresses 1 Gbps xen spot"),
    ("zones of a1.large", "use1-az2 use1-az4 use1-az6"),
    (
        "spot price of m5.large is between a tenth and the whole of on-demand",
        "true",
    ),
    ("on-demand price of m5.large", "0.0960"),
    ("subnets by tag, one per zone", "6 in 6 zones, all with addresses"),
    ("subnet by an unknown id", "0"),
    ("security group by tag", "1"),
    ("security group by an unknown name", "0"),
    ("images by name", "amd64 /dev/xvda arm64 /dev/xvda"),
    ("AL2023 image for EKS", "amd64 /dev/xvda arm64 /dev/xvda"),
    ("Bottlerocket image for EKS", "amd64 /dev/xvda arm64 /dev/xvda"),
    (
        "image for an unknown Kubernetes version",
        "NotFound ParameterNotFound",
    ),
    ("cluster", "demo 1.36 API_AND_CONFIG_MAP"),
    ("cluster that is not there", "NotFound ResourceNotFoundException"),
    ("role", "arn:aws:iam::123456789012:role/SpotOceanNodeRole-demo"),
    ("role that is not there", "NotFound NoSuchEntity"),
    ("profile before it is made", "none"),
    ("profile made twice", "done done"),
    ("profile holds", "SpotOceanNodeRole-demo"),
    ("profile of another cluster", "Invalid NotOurs"),
    ("profile for a role that is not there", "NotFound NoSuchEntity"),
    ("profile deleted twice", "done done"),
    ("access entry made twice", "Created Present"),
    ("template made twice", "done done"),
    ("template found by tag", "1"),
    ("template of another tag", "0"),
    ("twenty templates are twenty", "20"),
    ("template deleted twice", "done done"),
    ("fleet", "2 spot m5.large us-east-1a, no errors"),
    ("fleet asked again with its token", "the same"),
    (
        "fleet with its token and another size",
        "TokenMismatch IdempotentParameterMismatch",
    ),
    (
        "fleet without a template",
        "NotFound InvalidLaunchTemplateName.NotFoundException",
    ),
    ("fleet on demand", "1 on-demand m5.large us-east-1a, no errors"),
    (
        "fleet of a type not sold in the zone",
        "0, InvalidFleetConfiguration",
    ),
    ("instances by tag", "2 spot m5.large us-east-1a"),
    ("instances by id, one unknown", "2"),
    ("instances carry the template's and the fleet's tags", "true"),
    ("instances are pending or running", "true"),
    ("instances have a private name", "true"),
    ("a malformed id is left out", "2"),
    ("a tag set and removed", "yes none"),
    (
        "tags on an unknown instance",
        "NotFound InvalidInstanceID.NotFound",
    ),
    ("console output", "done"),
    (
        "console output of an unknown instance",
        "NotFound InvalidInstanceID.NotFound",
    ),
    ("terminated, one unknown", "done"),
    ("instances after that", "all ending"),
    ("terminated again", "done"),
    (
        "queue that is not there",
        "NotFound AWS.SimpleQueueService.NonExistentQueue",
    ),
    ("a warning from the queue", "SpotInterruption i-0123456789abcdef0"),
    ("the warning deleted", "done"),
    (
        "deleted with a receipt that is none",
        "Invalid ReceiptHandleIsInvalid",
    ),
];

/// What moto 5.2.1 answers instead, and why that is moto's fault.
const DEVIATIONS_OF_MOTO: &[(&str, &str, &str)] = &[
    (
        "AL2023 image for EKS",
        "NotFound ParameterNotFound",
        "it has no parameters under /aws/service/eks",
    ),
    (
        "Bottlerocket image for EKS",
        "NotFound ParameterNotFound",
        "it has no parameters under /aws/service/bottlerocket",
    ),
    (
        "access entry made twice",
        "Unknown Http404 Unknown Http404",
        "it has no access entries",
    ),
    (
        "cluster",
        "demo 1.36 CONFIG_MAP",
        "its clusters have no accessConfig",
    ),
    (
        "fleet asked again with its token",
        "another fleet",
        "it ignores ClientToken: a retry doubles the fleet",
    ),
    (
        "fleet with its token and another size",
        "1 spot m5.large us-east-1a, no errors",
        "it ignores ClientToken",
    ),
    (
        "fleet of a type not sold in the zone",
        "1 spot a1.large us-east-1b, no errors",
        "it launches any type in any zone",
    ),
    (
        "on-demand price of m5.large",
        "Unknown Http500",
        "it has no Pricing",
    ),
    (
        "spot price of m5.large is between a tenth and the whole of on-demand",
        "false",
        "every price is 0.00001",
    ),
    (
        "tags on an unknown instance",
        "done",
        "CreateTags succeeds on what does not exist",
    ),
    (
        "template deleted twice",
        "done Invalid MissingParameter",
        "its code for a missing name is not EC2's",
    ),
    (
        "zones of a1.large",
        "use1-az1 use1-az2 use1-az6",
        "its offerings by zone name and its zones permute names against ids",
    ),
];

/// One line per fact that is not as expected.
fn differences(facts: &Facts, expected: &BTreeMap<&str, &str>) -> Vec<String> {
    let names: BTreeSet<&str> = facts.keys().copied().chain(expected.keys().copied()).collect();
    names
        .into_iter()
        .filter_map(|name| {
            let found = facts.get(name).map(String::as_str);
            let wanted = expected.get(name).copied();
            (found != wanted).then(|| format!("{name}: found {found:?}, expected {wanted:?}"))
        })
        .collect()
}

#[test]
fn every_deviation_deviates_from_a_fact() {
    let expected: BTreeMap<_, _> = EXPECTED.iter().copied().collect();
    for (name, value, why) in DEVIATIONS_OF_MOTO {
        let of_aws = expected.get(name).unwrap_or_else(|| panic!("{name} is no fact"));
        assert_ne!(of_aws, value, "{name} deviates from nothing: {why}");
    }
}

#[tokio::test]
async fn the_simulator_answers_as_aws() {
    let running = simulator::start(simulator::prompt()).await;
    let facts = facts(&Arm::simulator(&running.url).await).await;
    let expected: BTreeMap<_, _> = EXPECTED.iter().copied().collect();
    assert_eq!(differences(&facts, &expected), Vec::<String>::new());
}

#[tokio::test]
async fn moto_answers_as_aws_but_for_its_known_deviations() {
    let moto = Moto::start().await;
    let facts = facts(&Arm::moto(&moto.url).await).await;
    let mut expected: BTreeMap<_, _> = EXPECTED.iter().copied().collect();
    expected.extend(DEVIATIONS_OF_MOTO.iter().map(|(name, value, _)| (*name, *value)));
    assert_eq!(differences(&facts, &expected), Vec::<String>::new());
}
