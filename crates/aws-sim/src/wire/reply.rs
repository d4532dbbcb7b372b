//! A finished HTTP answer, and how each protocol writes results and errors.

use serde_json::{Value, json};

use crate::wire::error::ApiError;
use crate::wire::xml::Element;

const EC2_NAMESPACE: &str = "http://ec2.amazonaws.com/doc/2016-11-15/";

/// The protocol a service speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Protocol {
    /// EC2's own form of the query protocol.
    Ec2Query,
    /// The query protocol, with the service's XML namespace.
    Query(&'static str),
    /// JSON 1.0 or 1.1 by `X-Amz-Target`.
    Json(&'static str),
    /// JSON over REST paths.
    RestJson,
}

/// An HTTP answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reply {
    /// HTTP status.
    pub status: u16,
    /// Headers other than the length.
    pub headers: Vec<(&'static str, String)>,
    /// Body.
    pub body: String,
}

impl Reply {
    /// An EC2 result: the children of `<ActionResponse>`.
    pub fn ec2(action: &str, request_id: &str, children: Vec<Element>) -> Reply {
        let root = Element::text(format!("{action}Response"), "")
            .field("requestId", request_id)
            .extended(children);
        Reply::xml(200, root.document(Some(EC2_NAMESPACE)))
    }

    /// A query result: the children of `<ActionResult>`.
    pub fn query(action: &str, request_id: &str, namespace: &str, children: Vec<Element>) -> Reply {
        let root = Element::new(format!("{action}Response"))
            .with(Element::list(format!("{action}Result"), children))
            .with(Element::new("ResponseMetadata").field("RequestId", request_id));
        Reply::xml(200, root.document(Some(namespace)))
    }

    /// A JSON result.
    pub fn json(protocol: Protocol, value: &Value) -> Reply {
        Reply {
            status: 200,
            headers: vec![("content-type", content_type(protocol).to_owned())],
            body: value.to_string(),
        }
    }

    /// An error, in the protocol's form.
    pub fn error(protocol: Protocol, error: &ApiError, request_id: &str) -> Reply {
        match protocol {
            Protocol::Ec2Query => Reply::xml(error.status, ec2_error(error, request_id)),
            Protocol::Query(namespace) => Reply::xml(error.status, query_error(error, request_id, namespace)),
            Protocol::Json(_) | Protocol::RestJson => json_error(protocol, error),
        }
    }

    fn xml(status: u16, body: String) -> Reply {
        Reply {
            status,
            headers: vec![("content-type", "text/xml;charset=UTF-8".to_owned())],
            body,
        }
    }
}

fn content_type(protocol: Protocol) -> &'static str {
    match protocol {
        Protocol::Json(found) => found,
        Protocol::RestJson => "application/json",
        Protocol::Ec2Query | Protocol::Query(_) => "text/xml;charset=UTF-8",
    }
}

fn ec2_error(error: &ApiError, request_id: &str) -> String {
    let detail = Element::new("Error")
        .field("Code", &error.code)
        .field("Message", &error.message);
    Element::new("Response")
        .with(Element::list("Errors", [detail]))
        .field("RequestID", request_id)
        .document(None)
}

fn query_error(error: &ApiError, request_id: &str, namespace: &str) -> String {
    let kind = if error.status < 500 { "Sender" } else { "Receiver" };
    let detail = Element::new("Error")
        .field("Type", kind)
        .field("Code", &error.code)
        .field("Message", &error.message);
    Element::new("ErrorResponse")
        .with(detail)
        .field("RequestId", request_id)
        .document(Some(namespace))
}

fn json_error(protocol: Protocol, error: &ApiError) -> Reply {
    let mut headers = vec![
        ("content-type", content_type(protocol).to_owned()),
        ("x-amzn-errortype", error.code.clone()),
    ];
    if protocol == Protocol::Json("application/x-amz-json-1.0") {
        // SQS moved from the query protocol; SDKs map its old codes by this header.
        let fault = if error.status < 500 { "Sender" } else { "Receiver" };
        headers.push((
            "x-amzn-query-error",
            format!("{};{fault}", sqs_query_code(&error.code)),
        ));
    }
    let body = json!({"__type": json_type(protocol, &error.code), "message": error.message});
    Reply {
        status: error.status,
        headers,
        body: body.to_string(),
    }
}

fn json_type(protocol: Protocol, code: &str) -> String {
    match protocol {
        Protocol::Json("application/x-amz-json-1.0") => format!("com.amazonaws.sqs#{code}"),
        _ => code.to_owned(),
    }
}

fn sqs_query_code(code: &str) -> &str {
    match code {
        "QueueDoesNotExist" => "AWS.SimpleQueueService.NonExistentQueue",
        other => other,
    }
}
