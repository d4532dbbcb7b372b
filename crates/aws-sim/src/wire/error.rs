//! An error an AWS service answers with: status, code, sentence. How it is written differs by
//! protocol and is decided in `reply`.

/// The error of one call.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{code}: {message}")]
pub struct ApiError {
    /// HTTP status.
    pub status: u16,
    /// The service's error code.
    pub code: String,
    /// The service's sentence.
    pub message: String,
}

impl ApiError {
    /// Any error.
    pub fn new(status: u16, code: impl Into<String>, message: impl Into<String>) -> ApiError {
        ApiError {
            status,
            code: code.into(),
            message: message.into(),
        }
    }

    /// A client error with status 400.
    pub fn client(code: &str, message: impl Into<String>) -> ApiError {
        ApiError::new(400, code, message)
    }

    /// `MissingParameter`.
    pub fn missing(name: &str) -> ApiError {
        ApiError::client(
            "MissingParameter",
            format!("The request must contain the parameter {name}"),
        )
    }

    /// `InvalidParameterValue`.
    pub fn invalid_value(message: impl Into<String>) -> ApiError {
        ApiError::client("InvalidParameterValue", message)
    }

    /// `InvalidParameterCombination`.
    pub fn invalid_combination(message: impl Into<String>) -> ApiError {
        ApiError::client("InvalidParameterCombination", message)
    }

    /// What a request that would have succeeded gets with `DryRun`.
    pub fn dry_run() -> ApiError {
        ApiError::new(
            412,
            "DryRunOperation",
            "Request would have succeeded, but DryRun flag is set.",
        )
    }

    /// An action this simulator, or AWS, does not have.
    pub fn unknown_action(action: &str) -> ApiError {
        ApiError::client(
            "InvalidAction",
            format!("The action {action} is not valid for this web service."),
        )
    }
}
