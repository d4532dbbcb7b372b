//! Auto Scaling: the account has no groups, and says so.

use crate::operations::Answer;
use crate::wire::error::ApiError;
use crate::wire::query::Params;
use crate::wire::xml::Element;

/// Carries out an Auto Scaling action.
pub fn auto_scaling(action: &str, params: &Params) -> Answer {
    let group_not_found = || {
        ApiError::client(
            "ValidationError",
            "AutoScalingGroup name not found - no such group",
        )
    };
    match action {
        "DescribeAutoScalingGroups" => Ok(vec![Element::new("AutoScalingGroups")]),
        "DescribeAutoScalingInstances" => Ok(vec![Element::new("AutoScalingInstances")]),
        "DescribeTags" => Ok(vec![Element::new("Tags")]),
        "UpdateAutoScalingGroup"
        | "SuspendProcesses"
        | "ResumeProcesses"
        | "DetachInstances"
        | "SetDesiredCapacity" => {
            params.required("AutoScalingGroupName")?;
            Err(group_not_found())
        }
        _ => Err(ApiError::unknown_action(action)),
    }
}
