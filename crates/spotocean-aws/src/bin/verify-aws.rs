//! `cargo xtask verify-aws`: checks on a real account, under a dollar cap, what
//! the tests take for granted about AWS. Spends money; does so only when told.

use std::collections::BTreeMap;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use anyhow::{Context, Result, bail};
use clap::Parser;
use spotocean_aws::AwsCloud;
use spotocean_aws::verify::{Budget, verify};
use spotocean_core::money::PricePerHour;
use spotocean_core::port::SelectorTerm;

/// Buys one small spot instance on the account of your credentials, looks whether AWS behaves as expected, and
/// gives it back.
#[derive(Debug, Parser)]
struct Arguments {
    /// Yes, spend money.
    #[arg(long)]
    yes: bool,
    /// The most to spend, in dollars.
    #[arg(long, default_value = "0.10")]
    max_dollars: String,
    /// The region; by default as the SDK's chain has it.
    #[arg(long)]
    region: Option<String>,
    /// The cluster's name, for tags.
    #[arg(long)]
    cluster_name: String,
    /// Tag of the subnets that may be used, key=value.
    #[arg(long)]
    subnet_tag: String,
    /// Tag of the security groups to use, key=value.
    #[arg(long)]
    security_group_tag: String,
    /// The instance profile of the instance.
    #[arg(long)]
    instance_profile: String,
    /// The Kubernetes version whose AL2023 image is used.
    #[arg(long, default_value = "1.36")]
    kubernetes_version: String,
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<ExitCode> {
    let arguments = Arguments::parse();
    if !arguments.yes {
        bail!(
            "this buys a spot instance for some minutes on the account of your credentials; add --yes to agree"
        );
    }
    let budget = budget(&arguments)?;
    let cloud = AwsCloud::load(arguments.region.as_deref()).await?;
    let findings = verify(&cloud, &budget).await;
    let mut failed = 0;
    for finding in &findings {
        match &finding.found {
            Ok(found) => println!("holds   {}: {found}", finding.fact),
            Err(reason) => {
                failed += 1;
                println!("FAILS   {}: {reason}", finding.fact);
            }
        }
    }
    println!("{} held, {failed} failed", findings.len() - failed);
    Ok(if failed == 0 {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}

fn budget(arguments: &Arguments) -> Result<Budget> {
    let dollars_max = PricePerHour::parse_usd(&arguments.max_dollars).with_context(|| {
        format!(
            "--max-dollars is {:?}; a number such as 0.10 is needed",
            arguments.max_dollars
        )
    })?;
    let run = SystemTime::now().duration_since(UNIX_EPOCH)?.as_secs();
    Ok(Budget {
        cluster: arguments.cluster_name.as_str().into(),
        subnets: vec![term(&arguments.subnet_tag)?],
        security_groups: vec![term(&arguments.security_group_tag)?],
        instance_profile: arguments.instance_profile.as_str().into(),
        kubernetes_version: arguments.kubernetes_version.as_str().into(),
        dollars_max,
        run: run.to_string().into(),
        visible_within: Duration::from_secs(180),
    })
}

fn term(tag: &str) -> Result<SelectorTerm> {
    let (key, value) = tag
        .split_once('=')
        .with_context(|| format!("{tag:?} is not a tag: key=value is needed"))?;
    Ok(SelectorTerm {
        tags: BTreeMap::from([(Arc::from(key), Arc::from(value))]),
        ..SelectorTerm::default()
    })
}
