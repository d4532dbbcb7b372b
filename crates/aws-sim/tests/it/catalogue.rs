//! What can be bought: types, offerings, prices, images.

use serde_json::json;

use crate::client::Sim;

#[tokio::test]
async fn instance_types_come_in_pages() {
    let sim = Sim::prompt().await;
    let mut names = Vec::new();
    let mut token = String::new();
    loop {
        let answer = sim
            .ec2(
                "DescribeInstanceTypes",
                &[("MaxResults", "100"), ("NextToken", &token)],
            )
            .await;
        names.extend(answer.all("instanceType"));
        token = answer.first("nextToken");
        if token.is_empty() {
            break;
        }
    }
    assert_eq!(names.len(), 1243);
    for (pairs, expected) in [
        (vec![("MaxResults", "4")], "InvalidParameterValue"),
        (vec![("InstanceType.1", "zz9.large")], "InvalidInstanceType"),
        (
            vec![("Filter.1.Name", "smell"), ("Filter.1.Value.1", "x")],
            "InvalidParameterValue",
        ),
    ] {
        assert_eq!(
            sim.ec2("DescribeInstanceTypes", &pairs).await.first("Code"),
            expected,
            "{pairs:?}"
        );
    }
}

#[tokio::test]
async fn offerings_by_zone_name_and_id_agree() {
    let sim = Sim::prompt().await;
    let zones = |kind: &'static str| {
        let sim = &sim;
        async move {
            let pairs = [
                ("LocationType", kind),
                ("Filter.1.Name", "instance-type"),
                ("Filter.1.Value.1", "m6a.large"),
            ];
            sim.ec2("DescribeInstanceTypeOfferings", &pairs)
                .await
                .all("location")
        }
    };
    let (names, ids) = (
        zones("availability-zone").await,
        zones("availability-zone-id").await,
    );
    assert!(!names.contains(&"us-east-1e".to_owned()) && names.len() == ids.len());
    assert!(ids.contains(&"use1-az6".to_owned()) && names.contains(&"us-east-1a".to_owned()));
}

#[tokio::test]
async fn the_price_now_is_one_record_per_zone_and_product() {
    let sim = Sim::prompt().await;
    sim.order(
        "market",
        &json!({"type": "m5.large", "zone": "us-east-1a", "price": 0.0312}),
    )
    .await;
    let pairs = [
        ("InstanceType.1", "m5.large"),
        ("ProductDescription.1", "Linux/UNIX"),
        ("AvailabilityZone", "us-east-1a"),
        ("StartTime", "2999-01-01T00:00:00Z"),
    ];
    let answer = sim.ec2("DescribeSpotPriceHistory", &pairs).await;
    assert_eq!(answer.all("spotPrice"), ["0.031200"]);
    assert_eq!(answer.all("productDescription"), ["Linux/UNIX"]);
}

#[tokio::test]
async fn on_demand_prices_are_documents_in_strings() {
    let sim = Sim::prompt().await;
    let filter = |field: &str, value: &str| json!({"Type": "TERM_MATCH", "Field": field, "Value": value});
    let body = json!({
        "ServiceCode": "AmazonEC2",
        "Filters": [filter("regionCode", "us-east-1"), filter("operatingSystem", "Linux"), filter("tenancy", "Shared"), filter("instanceType", "m5.large")],
    });
    let answer = sim
        .json("pricing", "AWSPriceListService.GetProducts", &body)
        .await
        .json();
    let text = answer["PriceList"][0].as_str().expect("a string");
    let product: serde_json::Value = serde_json::from_str(text).expect("a document");
    let term = product["terms"]["OnDemand"]
        .as_object()
        .and_then(|terms| terms.values().next())
        .expect("a term");
    let dimension = term["priceDimensions"]
        .as_object()
        .and_then(|found| found.values().next())
        .expect("a dimension");
    assert_eq!(dimension["pricePerUnit"]["USD"], "0.0960000000");
}

#[tokio::test]
async fn images_are_found_by_parameter_owner_and_name() {
    let sim = Sim::prompt().await;
    let id = sim.image("arm64").await;
    let by_id = sim.ec2("DescribeImages", &[("ImageId.1", &id)]).await;
    assert_eq!(by_id.first("architecture"), "arm64");
    let own = sim
        .ec2(
            "DescribeImages",
            &[
                ("Owner.1", "self"),
                ("Filter.1.Name", "tag:team"),
                ("Filter.1.Value.1", "platform"),
            ],
        )
        .await;
    assert_eq!(own.all("imageId").len(), 2);
    let named = [
        ("Owner.1", "amazon"),
        ("Filter.1.Name", "name"),
        ("Filter.1.Value.1", "bottlerocket-aws-k8s-1.36-x86_64-*"),
    ];
    assert_eq!(sim.ec2("DescribeImages", &named).await.all("imageId").len(), 4);
    let missing = sim
        .json(
            "ssm",
            "AmazonSSM.GetParameter",
            &json!({"Name": "/aws/service/eks/optimized-ami/9.99"}),
        )
        .await;
    assert_eq!(missing.json()["__type"], "ParameterNotFound");
}

#[tokio::test]
async fn subnets_say_how_many_addresses_are_left() {
    let sim = Sim::prompt().await;
    sim.order("subnet", &json!({"subnet": "us-east-1b", "freeAddresses": 7}))
        .await;
    let filters = [
        ("Filter.1.Name", "tag:spotocean.dev/discovery"),
        ("Filter.1.Value.1", "demo"),
        ("Filter.2.Name", "availability-zone"),
        ("Filter.2.Value.1", "us-east-1b"),
    ];
    assert_eq!(
        sim.ec2("DescribeSubnets", &filters)
            .await
            .all("availableIpAddressCount"),
        ["7"]
    );
}
