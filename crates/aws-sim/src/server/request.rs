//! Which service and action a request means: by its credential scope and target, as AWS's own front doors know it.

use http::request::Parts;
use serde_json::{Value, json};

use crate::operations::eks;
use crate::wire::error::ApiError;
use crate::wire::query::{Params, decode};
use crate::wire::reply::Protocol;

const IAM_NAMESPACE: &str = "https://iam.amazonaws.com/doc/2010-05-08/";
const STS_NAMESPACE: &str = "https://sts.amazonaws.com/doc/2011-06-15/";
const AUTO_SCALING_NAMESPACE: &str = "http://autoscaling.amazonaws.com/doc/2011-01-01/";
const SQS_JSON: &str = "application/x-amz-json-1.0";
const OTHER_JSON: &str = "application/x-amz-json-1.1";
const SUMMARY_LEAVES_MAX: usize = 200;

/// A request's parameters.
#[derive(Debug, Clone)]
pub enum Content {
    /// Of the query protocols.
    Query(Params),
    /// Of the JSON protocols.
    Json(Value),
}

/// A request that says what it wants.
#[derive(Debug, Clone)]
pub struct ApiRequest {
    /// The service, as in credential scopes.
    pub service: String,
    /// The action.
    pub action: String,
    /// How it is answered.
    pub protocol: Protocol,
    /// Its parameters.
    pub content: Content,
    /// HTTP method.
    pub method: String,
    /// Path segments, decoded.
    pub segments: Vec<String>,
}

impl ApiRequest {
    /// Reads a request; signatures are not verified, but there must be one.
    pub fn parse(parts: &Parts, body: &[u8]) -> Result<ApiRequest, (Protocol, ApiError)> {
        let service = scope_service(parts).map_err(|error| (Protocol::Ec2Query, error))?;
        let protocol = protocol(&service).ok_or_else(|| {
            let message = format!("This simulator has no service '{service}'.");
            (
                Protocol::Json(OTHER_JSON),
                ApiError::new(404, "UnknownService", message),
            )
        })?;
        let request = ApiRequest {
            method: parts.method.as_str().to_owned(),
            segments: segments(parts),
            action: String::new(),
            content: Content::Json(Value::Null),
            service,
            protocol,
        };
        request.filled(parts, body).map_err(|error| (protocol, error))
    }

    fn filled(mut self, parts: &Parts, body: &[u8]) -> Result<ApiRequest, ApiError> {
        let text = std::str::from_utf8(body)
            .map_err(|_| ApiError::client("MalformedInput", "The request's body is not UTF-8."))?;
        match self.protocol {
            Protocol::Ec2Query | Protocol::Query(_) => {
                let in_url = parts.uri.query().unwrap_or_default();
                let params = Params::parse(&format!("{in_url}&{text}"));
                self.action = params
                    .text("Action")
                    .ok_or_else(|| {
                        ApiError::client("MissingAction", "The request must contain the parameter Action.")
                    })?
                    .to_owned();
                self.content = Content::Query(params);
            }
            Protocol::Json(_) => {
                let target = header(parts, "x-amz-target");
                self.action = target
                    .and_then(|target| target.rsplit_once('.'))
                    .map(|(_, action)| action.to_owned())
                    .ok_or_else(|| {
                        ApiError::client("UnknownOperationException", "The request has no X-Amz-Target.")
                    })?;
                self.content = Content::Json(json_body(text)?);
            }
            Protocol::RestJson => {
                self.action = eks::action(&self.method, &self.segments)
                    .ok_or_else(|| {
                        ApiError::new(
                            404,
                            "UnknownOperationException",
                            format!("No operation at {}", parts.uri.path()),
                        )
                    })?
                    .to_owned();
                self.content = Content::Json(json_body(text)?);
            }
        }
        Ok(self)
    }

    /// The parameters as the call log keeps them: cut short, user data by size only.
    pub fn summary(&self) -> Value {
        match &self.content {
            Content::Json(Value::Null) => json!({"path": format!("/{}", self.segments.join("/"))}),
            Content::Json(value) => value.clone(),
            Content::Query(params) => {
                let leaves = params.leaves();
                let count = leaves.len();
                let mut map: serde_json::Map<String, Value> = leaves
                    .into_iter()
                    .filter(|(name, _)| name != "Action" && name != "Version")
                    .take(SUMMARY_LEAVES_MAX)
                    .map(|(name, value)| {
                        let shown = if name.ends_with("UserData") {
                            format!("({} characters)", value.len())
                        } else {
                            value.chars().take(200).collect()
                        };
                        (name, Value::String(shown))
                    })
                    .collect();
                if count > SUMMARY_LEAVES_MAX {
                    map.insert("...".to_owned(), json!(format!("{count} parameters in all")));
                }
                Value::Object(map)
            }
        }
    }
}

fn json_body(text: &str) -> Result<Value, ApiError> {
    if text.trim().is_empty() {
        return Ok(Value::Null);
    }
    serde_json::from_str(text)
        .map_err(|error| ApiError::client("SerializationException", format!("The body is not JSON: {error}")))
}

fn header<'a>(parts: &'a Parts, name: &str) -> Option<&'a str> {
    parts.headers.get(name)?.to_str().ok()
}

fn segments(parts: &Parts) -> Vec<String> {
    // A plus sign is itself in a path.
    let plain = |segment: &str| decode(&segment.replace('+', "%2B"));
    parts
        .uri
        .path()
        .split('/')
        .filter(|segment| !segment.is_empty())
        .map(plain)
        .collect()
}

/// The service of `Credential=AKID/date/region/service/aws4_request`.
fn scope_service(parts: &Parts) -> Result<String, ApiError> {
    let authorization = header(parts, "authorization").unwrap_or_default();
    authorization
        .split(['=', ',', ' '])
        .find(|field| field.contains("/aws4_request"))
        .and_then(|scope| scope.split('/').rev().nth(1))
        .map(str::to_owned)
        .ok_or_else(|| {
            ApiError::new(403, "MissingAuthenticationToken", "Request is missing Authentication Token: it needs an Authorization header with a credential scope.")
        })
}

fn protocol(service: &str) -> Option<Protocol> {
    Some(match service {
        "ec2" => Protocol::Ec2Query,
        "iam" => Protocol::Query(IAM_NAMESPACE),
        "sts" => Protocol::Query(STS_NAMESPACE),
        "autoscaling" => Protocol::Query(AUTO_SCALING_NAMESPACE),
        "sqs" => Protocol::Json(SQS_JSON),
        "ssm" | "pricing" => Protocol::Json(OTHER_JSON),
        "eks" => Protocol::RestJson,
        _ => return None,
    })
}
