//! Each row of the table, written a second time by hand from the research on EC2's answers.

use super::*;

#[test]
fn api_errors_say_what_a_caller_can_do() {
    let rows = [
        ("RequestLimitExceeded", Throttled),
        ("ThrottlingException", Throttled),
        ("UnauthorizedOperation", Unauthorized),
        ("AccessDenied", Unauthorized),
        ("AccessDeniedException", Unauthorized),
        ("AuthFailure", Unauthorized),
        ("ExpiredToken", Unauthorized),
        ("PendingVerification", Unauthorized),
        ("IdempotentParameterMismatch", TokenMismatch),
        ("InvalidLaunchTemplateName.NotFoundException", NotFound),
        ("InvalidLaunchTemplateId.NotFound", NotFound),
        ("InvalidInstanceID.NotFound", NotFound),
        ("InvalidSubnetID.NotFound", NotFound),
        ("InvalidVpcID.NotFound", NotFound),
        ("NoSuchEntity", NotFound),
        ("ResourceNotFoundException", NotFound),
        ("ParameterNotFound", NotFound),
        ("QueueDoesNotExist", NotFound),
        ("InvalidLaunchTemplateName.AlreadyExistsException", AlreadyExists),
        ("EntityAlreadyExists", AlreadyExists),
        ("ResourceInUseException", AlreadyExists),
        ("InvalidKeyPair.Duplicate", AlreadyExists),
        ("InvalidParameterValue", Invalid),
        ("InvalidInstanceID.Malformed", Invalid),
        ("InvalidUserData.Malformed", Invalid),
        ("InvalidInput", Invalid),
        ("OperationNotPermitted", Invalid),
        ("MissingParameter", Invalid),
        ("InternalError", Unknown),
        ("ServiceUnavailable", Unknown),
        ("SomethingNobodyHasSeen", Unknown),
    ];
    for (code, expected) in rows {
        assert_eq!(kind(code), expected, "{code}");
    }
}

#[test]
fn fleet_errors_say_what_they_are_about() {
    let zone = "Your requested instance type (trn1.2xlarge) is not supported in your requested Availability Zone (us-east-2a).";
    let rows = [
        (
            "InsufficientInstanceCapacity",
            "There is no Spot capacity available that matches your request.",
            Market,
        ),
        (
            "UnfulfillableCapacity",
            "Unable to fulfill capacity due to your request configuration.",
            Nothing,
        ),
        (
            "MaxSpotInstanceCountExceeded",
            "Max spot instance count exceeded",
            Quota,
        ),
        (
            "VcpuLimitExceeded",
            "You have requested more vCPU capacity than your current vCPU limit",
            Quota,
        ),
        (
            "InsufficientFreeAddressesInSubnet",
            "There are not enough free addresses in subnet 'subnet-1'",
            Subnet,
        ),
        (
            "SpotMaxPriceTooLow",
            "Your Spot request price of 0.001 is lower than the minimum",
            Market,
        ),
        ("InvalidFleetConfiguration", zone, Offering),
        ("Unsupported", zone, Offering),
        (
            "InvalidFleetConfiguration",
            "The fleet configuration contains duplicate instance pools",
            Request,
        ),
        ("ReservationCapacityExceeded", "", Market),
        ("MaxFleetCountExceeded", "", Account),
        (
            "InvalidParameterValue",
            "Invalid IAM Instance Profile name",
            Request,
        ),
        ("InvalidParameterCombination", "", Request),
        ("InvalidAMIID.NotFound", "", Request),
        ("InvalidAMIID.Malformed", "", Request),
        ("UnauthorizedOperation", "", Account),
        ("AuthFailure.ServiceLinkedRoleCreationNotPermitted", "", Account),
        ("PendingVerification", "", Account),
        ("InternalError", "", Throttle),
        ("RequestLimitExceeded", "Request limit exceeded.", Throttle),
    ];
    for (code, message, expected) in rows {
        assert_eq!(fleet_scope(code, message, true), expected, "{code}: {message}");
    }
}

#[test]
fn an_unknown_fleet_error_rests_the_market_it_names_and_nothing_else() {
    assert_eq!(fleet_scope("NewKindOfShortage", "", true), Market);
    assert_eq!(fleet_scope("NewKindOfShortage", "", false), Request);
}

#[test]
fn no_code_has_two_rows() {
    let mut codes: Vec<_> = TABLE.iter().map(|row| row.0).collect();
    codes.sort_unstable();
    let count = codes.len();
    codes.dedup();
    assert_eq!(codes.len(), count);
}
