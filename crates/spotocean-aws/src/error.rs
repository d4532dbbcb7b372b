//! The one table of error codes: what a code means for a failed call, and what
//! it speaks about when it stands in a fleet answer's `Errors[]`.
//!
//! Decides kind and scope, never the reaction: how long what cools down is the
//! planner's. An unknown code fails a call as [`CloudErrorKind::Unknown`],
//! because the effect may have happened and asking again with the same token is
//! harmless; in `Errors[]` it speaks about the market whose override it names,
//! because then one market rests and the others are tried, and about the
//! request when it names none.

use std::error::Error;
use std::sync::Arc;

use aws_smithy_runtime_api::client::orchestrator::HttpResponse;
use aws_smithy_runtime_api::client::result::SdkError;
use aws_smithy_types::error::display::DisplayErrorContext;
use aws_smithy_types::error::metadata::ProvideErrorMetadata;
use spotocean_core::launch::ErrorScope;
use spotocean_core::port::{CloudError, CloudErrorKind};

use CloudErrorKind::{AlreadyExists, Invalid, NotFound, Throttled, TokenMismatch, Unauthorized, Unknown};
use ErrorScope::{Account, Market, Nothing, Offering, Quota, Request, Subnet, Throttle};

/// The code of a call that got no answer.
pub const NO_ANSWER: &str = "NoAnswer";

/// One code.
struct Row(&'static str, CloudErrorKind, ErrorScope);

/// Sorted by meaning. Codes of EC2 come from its "Error codes" page and from
/// field reports of fleets (karpenter-provider-aws, aws-parallelcluster-node);
/// the others from the service models.
const TABLE: &[Row] = &[
    // Capacity: only ever in Errors[], except on RunInstances where EC2 says it with status 500.
    Row("InsufficientInstanceCapacity", Unknown, Market),
    Row("InsufficientCapacity", Unknown, Market),
    Row("InsufficientHostCapacity", Unknown, Market),
    Row("InsufficientReservedInstanceCapacity", Unknown, Market),
    Row("ReservationCapacityExceeded", Invalid, Market),
    // Our price, and the market's answer to it.
    Row("SpotMaxPriceTooLow", Invalid, Market),
    // Most pools of a fleet are never tried and come back with this: no evidence about them.
    Row("UnfulfillableCapacity", Invalid, Nothing),
    // The type is not sold in that zone. InvalidFleetConfiguration says more than that: see `fleet_scope`.
    Row("Unsupported", Invalid, Offering),
    Row("UnsupportedOperation", Invalid, Offering),
    Row("InvalidFleetConfiguration", Invalid, Request),
    // Quotas, per group of families and region.
    Row("MaxSpotInstanceCountExceeded", Invalid, Quota),
    Row("VcpuLimitExceeded", Invalid, Quota),
    Row("InstanceLimitExceeded", Invalid, Quota),
    Row("MaxFleetCountExceeded", Invalid, Account),
    Row("VolumeLimitExceeded", Invalid, Account),
    Row("MaxIOPSLimitExceeded", Invalid, Account),
    Row("ResourceLimitExceeded", Invalid, Account),
    Row("InstanceProfileLimitExceeded", Invalid, Account),
    Row("LimitExceeded", Invalid, Account),
    // Subnets.
    Row("InsufficientFreeAddressesInSubnet", Invalid, Subnet),
    // Rate limits of the API, and of the instances launched inside a fleet.
    Row("RequestLimitExceeded", Throttled, Throttle),
    Row("Throttling", Throttled, Throttle),
    Row("ThrottlingException", Throttled, Throttle),
    Row("ThrottledException", Throttled, Throttle),
    Row("TooManyRequestsException", Throttled, Throttle),
    Row("TooManyUpdates", Throttled, Throttle),
    Row("EC2ThrottledException", Throttled, Throttle),
    Row("RequestThrottled", Throttled, Throttle),
    Row("RequestThrottledException", Throttled, Throttle),
    Row("OverLimit", Throttled, Throttle),
    Row("SlowDown", Throttled, Throttle),
    Row("PriorRequestNotComplete", Throttled, Throttle),
    // EC2's own trouble: the effect is open; the same again later.
    Row("InternalError", Unknown, Throttle),
    Row("InternalFailure", Unknown, Throttle),
    Row("InternalErrorException", Unknown, Throttle),
    Row("ServerException", Unknown, Throttle),
    Row("ServerInternal", Unknown, Throttle),
    Row("ServiceFailure", Unknown, Throttle),
    Row("ServiceUnavailable", Unknown, Throttle),
    Row("ServiceUnavailableException", Unknown, Throttle),
    Row("Unavailable", Unknown, Throttle),
    // Credentials, IAM, service control policies, the account's state.
    Row("UnauthorizedOperation", Unauthorized, Account),
    Row("AuthFailure", Unauthorized, Account),
    Row(
        "AuthFailure.ServiceLinkedRoleCreationNotPermitted",
        Unauthorized,
        Account,
    ),
    Row("Blocked", Unauthorized, Account),
    Row("OptInRequired", Unauthorized, Account),
    Row("PendingVerification", Unauthorized, Account),
    Row("AccessDenied", Unauthorized, Account),
    Row("AccessDeniedException", Unauthorized, Account),
    Row("UnrecognizedClientException", Unauthorized, Account),
    Row("InvalidClientTokenId", Unauthorized, Account),
    Row("InvalidSignatureException", Unauthorized, Account),
    Row("SignatureDoesNotMatch", Unauthorized, Account),
    Row("IncompleteSignature", Unauthorized, Account),
    Row("MissingAuthenticationToken", Unauthorized, Account),
    Row("ExpiredToken", Unauthorized, Account),
    Row("ExpiredTokenException", Unauthorized, Account),
    Row("RequestExpired", Unauthorized, Account),
    Row("NotAuthorized", Unauthorized, Account),
    // Client tokens.
    Row("IdempotentParameterMismatch", TokenMismatch, Request),
    // What the request names does not exist; other `….NotFound` codes follow by their ending.
    Row("InvalidLaunchTemplateName.NotFoundException", NotFound, Request),
    Row("InvalidLaunchTemplateId.NotFound", NotFound, Request),
    Row("InvalidLaunchTemplateId.VersionNotFound", NotFound, Request),
    Row("InvalidAMIID.NotFound", NotFound, Request),
    Row("InvalidAMIID.Unavailable", NotFound, Request),
    Row("InvalidGroup.NotFound", NotFound, Request),
    Row("InvalidInstanceID.NotFound", NotFound, Request),
    Row("InvalidKeyPair.NotFound", NotFound, Request),
    Row("InvalidSecurityGroupID.NotFound", NotFound, Request),
    Row("InvalidSnapshot.NotFound", NotFound, Request),
    Row("InvalidSubnetID.NotFound", NotFound, Request),
    Row("NoSuchEntity", NotFound, Request),
    Row("NotFoundException", NotFound, Request),
    Row("ParameterNotFound", NotFound, Request),
    Row("ParameterVersionNotFound", NotFound, Request),
    Row("QueueDoesNotExist", NotFound, Request),
    Row("AWS.SimpleQueueService.NonExistentQueue", NotFound, Request),
    Row("ResourceNotFoundException", NotFound, Request),
    // It exists already; other `….AlreadyExists` codes follow by their ending.
    Row(
        "InvalidLaunchTemplateName.AlreadyExistsException",
        AlreadyExists,
        Request,
    ),
    Row("EntityAlreadyExists", AlreadyExists, Request),
    Row("ResourceInUseException", AlreadyExists, Request),
    // The request is wrong as it stands; other `Invalid…` and `….Malformed` codes follow by their form.
    Row("DependencyViolation", Invalid, Request),
    Row("InvalidInput", Invalid, Request),
    Row("InvalidParameter", Invalid, Request),
    Row("InvalidParameterCombination", Invalid, Request),
    Row("InvalidParameterException", Invalid, Request),
    Row("InvalidParameterValue", Invalid, Request),
    Row("InvalidRequestException", Invalid, Request),
    Row("MissingParameter", Invalid, Request),
    Row("OperationNotPermitted", Invalid, Request),
    Row("ReceiptHandleIsInvalid", Invalid, Request),
    Row("TagLimitExceeded", Invalid, Request),
    Row("UnknownParameter", Invalid, Request),
    Row("ValidationError", Invalid, Request),
    Row("ValidationException", Invalid, Request),
];

/// What a caller can do about a call that failed with this code.
pub(crate) fn kind(code: &str) -> CloudErrorKind {
    row(code).map_or_else(|| kind_by_form(code), |row| row.1)
}

/// What an entry of `Errors[]` speaks about. `names_a_pool`: it echoes the override it is about.
pub(crate) fn fleet_scope(code: &str, message: &str, names_a_pool: bool) -> ErrorScope {
    // EC2 moved "Your requested instance type (..) is not supported in your requested Availability Zone"
    // from Unsupported to InvalidFleetConfiguration, which also covers requests that are wrong as a whole.
    if code == "InvalidFleetConfiguration" && message.starts_with("Your requested instance type") {
        return Offering;
    }
    match row(code) {
        Some(row) => row.2,
        None if kind_by_form(code) != Unknown => Request,
        None if names_a_pool => Market,
        None => Request,
    }
}

fn row(code: &str) -> Option<&'static Row> {
    TABLE.iter().find(|row| row.0 == code)
}

/// EC2 has hundreds of codes of these forms, one per resource.
fn kind_by_form(code: &str) -> CloudErrorKind {
    let ends = |endings: &[&str]| endings.iter().any(|ending| code.ends_with(ending));
    if ends(&[".NotFound", ".NotFoundException", "NotFoundFault"]) {
        NotFound
    } else if ends(&[".AlreadyExists", ".AlreadyExistsException", ".Duplicate"]) {
        AlreadyExists
    } else if code.starts_with("Invalid") || ends(&[".Malformed"]) {
        Invalid
    } else {
        Unknown
    }
}

/// A failed call in the port's words.
pub(crate) fn cloud_error<E>(action: &str, error: &SdkError<E, HttpResponse>) -> CloudError
where
    E: ProvideErrorMetadata + Error + 'static,
{
    match (error.code(), error.raw_response()) {
        (Some(code), _) => CloudError {
            kind: kind(code),
            action: action.into(),
            code: code.into(),
            message: error.message().unwrap_or_default().into(),
        },
        (None, Some(response)) => unanswered(
            action,
            Unknown,
            &format!("Http{}", response.status().as_u16()),
            error,
        ),
        (None, None) => unanswered(action, unanswered_kind(error), NO_ANSWER, error),
    }
}

/// A call that was never sent, because it could not be built or signed, had no effect.
fn unanswered_kind<E>(error: &SdkError<E, HttpResponse>) -> CloudErrorKind {
    match error {
        SdkError::ConstructionFailure(_) => Invalid,
        SdkError::DispatchFailure(failure)
            if failure
                .as_connector_error()
                .is_some_and(|error| has_no_credentials(error)) =>
        {
            Unauthorized
        }
        _ => Unknown,
    }
}

/// The SDK reports missing credentials as a dispatch failure and exposes their cause only as text
/// (aws-credential-types, `CredentialsError`'s Display).
fn has_no_credentials(error: &(dyn Error + 'static)) -> bool {
    let mut cause = Some(error);
    while let Some(error) = cause {
        if error.to_string().contains("credential") {
            return true;
        }
        cause = error.source();
    }
    false
}

fn unanswered<E: Error>(action: &str, kind: CloudErrorKind, code: &str, error: E) -> CloudError {
    CloudError {
        kind,
        action: action.into(),
        code: code.into(),
        message: DisplayErrorContext(error).to_string().into(),
    }
}

/// A request that is refused before it is sent.
pub(crate) fn invalid(action: &str, code: &str, message: impl Into<Arc<str>>) -> CloudError {
    CloudError {
        kind: Invalid,
        action: action.into(),
        code: code.into(),
        message: message.into(),
    }
}

/// An answer that lacks what the service's contract promises.
pub(crate) fn unreadable(action: &str, message: impl Into<Arc<str>>) -> CloudError {
    CloudError {
        kind: Unknown,
        action: action.into(),
        code: "Unreadable".into(),
        message: message.into(),
    }
}

#[cfg(test)]
mod tests;
