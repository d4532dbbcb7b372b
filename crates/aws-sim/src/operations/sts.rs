//! STS: who is calling.

use crate::operations::Answer;
use crate::state::ACCOUNT;
use crate::wire::error::ApiError;
use crate::wire::xml::Element;

/// Carries out an STS action.
pub fn sts(action: &str) -> Answer {
    match action {
        "GetCallerIdentity" => Ok(vec![
            Element::text(
                "Arn",
                format!("arn:aws:sts::{ACCOUNT}:assumed-role/spotocean/simulated"),
            ),
            Element::text("UserId", "AROASIMULATED:simulated"),
            Element::text("Account", ACCOUNT),
        ]),
        _ => Err(ApiError::unknown_action(action)),
    }
}
