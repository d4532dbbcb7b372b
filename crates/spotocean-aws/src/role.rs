//! IAM roles, by name.

use std::sync::Arc;

use aws_sdk_iam::operation::get_role::builders::GetRoleInputBuilder;
use spotocean_core::port::CloudError;

use crate::client::AwsCloud;
use crate::error::unreadable;
use crate::throttle::Action;

const GET_ROLE: Action = Action::other("GetRole");

/// The role's ARN.
pub(crate) async fn arn(cloud: &AwsCloud, role: &str) -> Result<Arc<str>, CloudError> {
    let request = GetRoleInputBuilder::default()
        .role_name(role)
        .send_with(&cloud.iam);
    let answer = cloud.call(GET_ROLE, request).await?;
    answer
        .role()
        .map(|role| role.arn().into())
        .ok_or_else(|| unreadable(GET_ROLE.name, format!("GetRole answered without the role {role}")))
}
