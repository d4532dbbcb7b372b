//! Constraints in words, and what to do about each.

use spotocean_core::kubelet::{GIB, MIB};
use spotocean_core::offering::Market;
use spotocean_core::pod::Pod;

use super::Constraint;

/// The constraint as a line of the funnel.
pub(super) fn text(constraint: &Constraint) -> String {
    match constraint {
        Constraint::Served => "the ocean serves the pod".to_owned(),
        Constraint::Open(message) => format!("the pool buys: {message}"),
        Constraint::Zones => "zones of the pool's subnets".to_owned(),
        Constraint::Defaults => {
            "the pool's defaults (amd64, c, m, r, generation > 2, 2 vCPUs or more, nothing burstable, metal or accelerated)"
                .to_owned()
        }
        Constraint::PoolRequirement(what) => format!("the pool requires {what}"),
        Constraint::Priced => "has a price".to_owned(),
        Constraint::Affordable => "within the price ceilings".to_owned(),
        Constraint::Image => "an image of the architecture".to_owned(),
        Constraint::Fallback => "spot, or on demand where the pool falls back to it".to_owned(),
        Constraint::NotCooling => "not cooling down after EC2 had none".to_owned(),
        Constraint::Taint(taint) => format!("the pod tolerates the pool's taint {taint}"),
        Constraint::Modelled(what) => format!("the pod is modelled: {what}"),
        Constraint::Claim(what) => format!("the pod's claim is usable: {what}"),
        Constraint::NodeSelector(what) => format!("the pod selects {what}"),
        Constraint::NodeAffinity(what) => format!("the pod's node affinity: {what}"),
        Constraint::Volume(what) => format!("the pod's {what}"),
        Constraint::HostPort => "the pod's host ports beside the DaemonSets'".to_owned(),
        Constraint::Resource(name) => format!("enough {name} beside the DaemonSets"),
        Constraint::Plan(reason) => reason.to_string(),
    }
}

/// Whether somebody can change it.
pub(super) fn can_give_way(constraint: &Constraint) -> bool {
    !matches!(
        constraint,
        Constraint::Priced | Constraint::Plan(_) | Constraint::Open(_)
    )
}

/// Whether it is the pod that has to change.
pub(super) fn is_the_pods(constraint: &Constraint) -> bool {
    matches!(
        constraint,
        Constraint::Modelled(_)
            | Constraint::NodeSelector(_)
            | Constraint::NodeAffinity(_)
            | Constraint::HostPort
            | Constraint::Resource(_)
    )
}

/// What to change. `amount` is what a request may be at most; `example` is an offering that this admits.
pub(super) fn remedy(
    constraint: &Constraint,
    amount: Option<i64>,
    example: Option<&Market>,
    pod: &Pod,
) -> String {
    let example = example.map_or_else(String::new, |market| {
        format!(" (such as {})", market.instance_type)
    });
    match constraint {
        Constraint::Served => {
            "widen the ocean's spec.pods, or give the pod the labels it asks for".to_owned()
        }
        Constraint::Zones => "add a subnet in another zone to the pool".to_owned(),
        Constraint::Defaults => {
            format!("add a requirement to the pool that names what it leaves out by default{example}")
        }
        Constraint::PoolRequirement(what) => format!("loosen the pool's requirement {what}{example}"),
        Constraint::Affordable => format!("raise the pool's strategy.maxPrice{example}"),
        Constraint::Image => "give the pool an image of the other architecture".to_owned(),
        Constraint::Fallback => "set strategy.fallbackToOnDemand: true".to_owned(),
        Constraint::NotCooling => {
            "wait: EC2 had none a moment ago, and it is tried again by itself".to_owned()
        }
        Constraint::Taint(taint) => {
            format!("add a toleration of {taint} to the pod, or take the taint off the pool")
        }
        Constraint::Modelled(what) => format!("leave the pod to others, or change it: {what}"),
        Constraint::Claim(what) => what.to_string(),
        Constraint::NodeSelector(what) => {
            format!(
                "let the pool offer what the pod's node selector wants ({what}), or take that off the pod"
            )
        }
        Constraint::NodeAffinity(what) => {
            format!("let the pool offer what the pod's node affinity wants ({what}), or widen the affinity")
        }
        Constraint::Volume(what) => format!("let the pool buy where the {what} is reachable"),
        Constraint::HostPort => "change the pod's host port, or the DaemonSet's".to_owned(),
        Constraint::Resource(name) => {
            let wanted = pod.shape.requests.amount(name);
            let most = amount.unwrap_or(0);
            format!(
                "lower the pod's {name} request from {} to {} or less{example}",
                amount_text(name, wanted),
                amount_text(name, most)
            )
        }
        Constraint::Priced | Constraint::Plan(_) | Constraint::Open(_) => text(constraint),
    }
}

/// An amount as manifests write it, rounded down so that it holds.
fn amount_text(name: &str, amount: i64) -> String {
    match name {
        "cpu" if amount % 1000 == 0 => (amount / 1000).to_string(),
        "cpu" => format!("{amount}m"),
        "memory" | "ephemeral-storage" if amount % GIB == 0 => format!("{}Gi", amount / GIB),
        "memory" | "ephemeral-storage" => format!("{}Mi", amount / MIB),
        _ => amount.to_string(),
    }
}
