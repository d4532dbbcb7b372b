//! Launch templates, tags, roles, profiles, access entries.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::json;

use crate::client::Sim;

const ROLE: &str = "arn:aws:iam::123456789012:role/SpotOceanNodeRole-demo";
const ENTRY: &str =
    "/clusters/demo/access-entries/arn%3Aaws%3Aiam%3A%3A123456789012%3Arole%2FSpotOceanNodeRole-demo";

#[tokio::test]
async fn template_names_are_unique_but_a_token_replays() {
    let sim = Sim::prompt().await;
    let create = |token: &'static str, image: &'static str| {
        let sim = &sim;
        async move {
            let pairs = [
                ("LaunchTemplateName", "abc"),
                ("LaunchTemplateData.ImageId", image),
                ("ClientToken", token),
            ];
            sim.ec2("CreateLaunchTemplate", &pairs).await
        }
    };
    let first = create("one", "ami-1").await;
    assert_eq!(
        create("one", "ami-1").await.first("launchTemplateId"),
        first.first("launchTemplateId")
    );
    assert_eq!(
        create("one", "ami-2").await.first("Code"),
        "IdempotentParameterMismatch"
    );
    assert_eq!(
        create("two", "ami-1").await.first("Code"),
        "InvalidLaunchTemplateName.AlreadyExistsException"
    );
}

#[tokio::test]
async fn versions_merge_and_the_default_stays() {
    let sim = Sim::prompt().await;
    let id = sim.template("abc", &[("LaunchTemplateData.KeyName", "k")]).await;
    let pairs = [
        ("LaunchTemplateId", id.as_str()),
        ("SourceVersion", "1"),
        ("LaunchTemplateData.InstanceType", "m5.large"),
    ];
    assert_eq!(
        sim.ec2("CreateLaunchTemplateVersion", &pairs)
            .await
            .first("versionNumber"),
        "2"
    );
    let described = sim
        .ec2(
            "DescribeLaunchTemplateVersions",
            &[("LaunchTemplateId", &id), ("LaunchTemplateVersion.1", "$Latest")],
        )
        .await;
    assert_eq!(
        (
            described.first("keyName").as_str(),
            described.first("instanceType").as_str()
        ),
        ("k", "m5.large")
    );
    let pairs = [
        ("LaunchTemplateId", id.as_str()),
        ("LaunchTemplateVersion.1", "1"),
        ("LaunchTemplateVersion.2", "2"),
    ];
    let deleted = sim.ec2("DeleteLaunchTemplateVersions", &pairs).await;
    assert!(
        deleted
            .first("successfullyDeletedLaunchTemplateVersionSet")
            .contains("<versionNumber>2<")
    );
    assert!(
        deleted
            .first("unsuccessfullyDeletedLaunchTemplateVersionSet")
            .contains("<versionNumber>1<")
    );
}

#[tokio::test]
async fn user_data_is_base64_of_at_most_16384_bytes() {
    let sim = Sim::prompt().await;
    for (user_data, expected) in [
        (STANDARD.encode(vec![b'x'; 16_384]), ""),
        (STANDARD.encode(vec![b'x'; 16_385]), "InvalidUserData.Malformed"),
        ("%%%".to_owned(), "InvalidUserData.Malformed"),
    ] {
        let pairs = [
            ("LaunchTemplateName", "abc"),
            ("LaunchTemplateData.UserData", user_data.as_str()),
        ];
        assert_eq!(
            sim.ec2("CreateLaunchTemplate", &pairs).await.first("Code"),
            expected
        );
    }
}

#[tokio::test]
async fn twenty_templates_come_in_pages_that_end() {
    let sim = Sim::prompt().await;
    for index in 0..20 {
        sim.template(&format!("template-{index}"), &[]).await;
    }
    let first = sim.ec2("DescribeLaunchTemplates", &[("MaxResults", "15")]).await;
    let token = first.first("nextToken");
    let second = sim
        .ec2(
            "DescribeLaunchTemplates",
            &[("MaxResults", "15"), ("NextToken", &token)],
        )
        .await;
    assert_eq!(
        (
            first.all("launchTemplateId").len(),
            second.all("launchTemplateId").len()
        ),
        (15, 5)
    );
    assert_eq!(second.first("nextToken"), "");
}

#[tokio::test]
async fn tags_have_limits() {
    let sim = Sim::prompt().await;
    let id = sim.template("abc", &[]).await;
    let long_key = "k".repeat(129);
    let many: Vec<(String, String)> = (1..=51)
        .map(|index| (format!("Tag.{index}.Key"), format!("k{index}")))
        .collect();
    let mut many: Vec<(&str, &str)> = many
        .iter()
        .map(|(name, value)| (name.as_str(), value.as_str()))
        .collect();
    many.push(("ResourceId.1", &id));
    for (pairs, expected) in [
        (
            vec![("ResourceId.1", id.as_str()), ("Tag.1.Key", "aws:x")],
            "InvalidParameterValue",
        ),
        (
            vec![("ResourceId.1", id.as_str()), ("Tag.1.Key", &long_key)],
            "InvalidParameterValue",
        ),
        (
            vec![("ResourceId.1", "i-0123456789abcdef0"), ("Tag.1.Key", "a")],
            "InvalidInstanceID.NotFound",
        ),
        (many, "TagLimitExceeded"),
        (vec![("ResourceId.1", id.as_str()), ("Tag.1.Key", "fine")], ""),
    ] {
        assert_eq!(sim.ec2("CreateTags", &pairs).await.first("Code"), expected);
    }
    sim.ec2("DeleteTags", &[("ResourceId.1", &id), ("Tag.1.Key", "fine")])
        .await;
    assert!(
        !sim.ec2("DescribeLaunchTemplates", &[])
            .await
            .body
            .contains("fine")
    );
}

#[tokio::test]
async fn instance_profiles_carry_one_role() {
    let sim = Sim::prompt().await;
    let iam = |action: &'static str, role: &'static str| {
        let sim = &sim;
        async move {
            let answer = sim
                .query("iam", action, &[("InstanceProfileName", "p"), ("RoleName", role)])
                .await;
            (answer.status, answer.first("Code"))
        }
    };
    let node_role = "SpotOceanNodeRole-demo";
    for (action, role, expected) in [
        ("GetInstanceProfile", "", (404, "NoSuchEntity")),
        ("CreateInstanceProfile", "", (200, "")),
        ("CreateInstanceProfile", "", (409, "EntityAlreadyExists")),
        ("AddRoleToInstanceProfile", "Nobody", (404, "NoSuchEntity")),
        ("AddRoleToInstanceProfile", node_role, (200, "")),
        (
            "AddRoleToInstanceProfile",
            "SomeOtherRole",
            (409, "LimitExceeded"),
        ),
        ("DeleteInstanceProfile", "", (409, "DeleteConflict")),
        ("RemoveRoleFromInstanceProfile", node_role, (200, "")),
        ("DeleteInstanceProfile", "", (200, "")),
        ("GetRole", "Nobody", (404, "NoSuchEntity")),
    ] {
        let (status, code) = iam(action, role).await;
        assert_eq!((status, code.as_str()), expected, "{action} {role}");
    }
}

#[tokio::test]
async fn access_entries_are_made_once_and_only_where_the_mode_allows() {
    let sim = Sim::prompt().await;
    let body = json!({"principalArn": ROLE, "type": "EC2_LINUX"});
    let path = "/clusters/demo/access-entries";
    assert_eq!(sim.rest("POST", path, &body).await.status, 200);
    let twice = sim.rest("POST", path, &body).await;
    assert_eq!(
        (twice.status, twice.json()["__type"].as_str()),
        (409, Some("ResourceInUseException"))
    );
    let found = sim.rest("GET", ENTRY, &json!(null)).await.json();
    assert_eq!(found["accessEntry"]["type"], "EC2_LINUX");
    assert_eq!(sim.rest("DELETE", ENTRY, &json!(null)).await.status, 200);
    assert_eq!(sim.rest("GET", ENTRY, &json!(null)).await.status, 404);
    sim.order("cluster", &json!({"authenticationMode": "CONFIG_MAP"}))
        .await;
    assert_eq!(
        sim.rest("POST", path, &body).await.json()["__type"],
        "InvalidRequestException"
    );
    assert_eq!(sim.rest("GET", "/clusters/other", &json!(null)).await.status, 404);
}

#[tokio::test]
async fn the_cluster_describes_itself() {
    let sim = Sim::prompt().await;
    let cluster = sim.rest("GET", "/clusters/demo", &json!(null)).await.json()["cluster"].clone();
    assert_eq!(cluster["status"], "ACTIVE");
    assert_eq!(
        cluster["kubernetesNetworkConfig"]["serviceIpv4Cidr"],
        "10.0.0.0/24"
    );
    assert_eq!(
        cluster["accessConfig"]["authenticationMode"],
        "API_AND_CONFIG_MAP"
    );
    let identity = sim.query("sts", "GetCallerIdentity", &[]).await;
    assert_eq!(identity.first("Account"), "123456789012");
}
