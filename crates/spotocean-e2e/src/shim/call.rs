//! One call by name: what HTTP, Kubernetes' paths and AWS's three protocols say it is.

use http::Method;
use http::request::Parts;
use hyper::body::Bytes;

/// Which of the operator's two worlds a call goes to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum World {
    /// The apiserver.
    Cluster,
    /// AWS.
    Aws,
}

/// A call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Call {
    /// Where it goes.
    pub world: World,
    /// What it does: `PATCH oceannodes/status`, `LIST pods`, `WATCH nodes`, `CreateFleet`.
    pub name: String,
    /// Path and query.
    pub path: String,
    /// Whether it changes anything.
    pub is_write: bool,
    /// What it carries.
    pub body: String,
    /// The HTTP status of the answer, once the world behind has given one.
    pub answer: Option<u16>,
}

/// AWS calls that change nothing begin so.
const READING: [&str; 4] = ["Describe", "Get", "List", "ReceiveMessage"];

impl Call {
    /// Reads a request's head and body.
    pub(super) fn read(world: World, parts: &Parts, body: &Bytes) -> Call {
        let path = parts
            .uri
            .path_and_query()
            .map_or_else(String::new, ToString::to_string);
        let body = String::from_utf8_lossy(body).into_owned();
        let (name, is_write) = match world {
            World::Cluster => (cluster_name(&parts.method, &path), parts.method != Method::GET),
            World::Aws => aws_name(parts, &path, &body),
        };
        Call {
            world,
            name,
            path,
            is_write,
            body,
            answer: None,
        }
    }

    /// Whether it is a watch.
    pub(super) fn is_watch(&self) -> bool {
        self.name.starts_with("WATCH ")
    }
}

/// `VERB resource`, or `VERB resource/subresource`; for what is no resource, `VERB /path`.
fn cluster_name(method: &Method, path: &str) -> String {
    let (path, query) = path.split_once('?').unwrap_or((path, ""));
    let parts: Vec<&str> = path.trim_matches('/').split('/').collect();
    let rest = match parts.as_slice() {
        ["api", _version, rest @ ..] | ["apis", _, _version, rest @ ..] => rest,
        _ => &[],
    };
    // `namespaces/x/pods/y` is a pod; `namespaces/x` is a namespace.
    let rest = match rest {
        ["namespaces", _name, resource, more @ ..] if !matches!(*resource, "status" | "finalize") => {
            &rest[2..3 + more.len()]
        }
        _ => rest,
    };
    let is_watch = query
        .split('&')
        .any(|pair| matches!(pair, "watch=1" | "watch=true"));
    let verb = match (method, rest) {
        (&Method::GET, _) if is_watch => "WATCH",
        (&Method::GET, [_resource]) => "LIST",
        _ => method.as_str(),
    };
    match rest {
        [] => format!("{verb} {path}"),
        [resource] | [resource, _] => format!("{verb} {resource}"),
        [resource, _, subresource, ..] => format!("{verb} {resource}/{subresource}"),
    }
}

/// EC2, IAM and STS name the action in the form, SQS, SSM and Pricing in a header, EKS by method and path.
fn aws_name(parts: &Parts, path: &str, body: &str) -> (String, bool) {
    let target = parts
        .headers
        .get("x-amz-target")
        .and_then(|value| value.to_str().ok())
        .and_then(|value| value.rsplit('.').next());
    let form = || body.split('&').find_map(|pair| pair.strip_prefix("Action="));
    match target.or_else(form) {
        Some(action) => (
            action.to_owned(),
            !READING.iter().any(|verb| action.starts_with(verb)),
        ),
        None => (
            format!("{} {}", parts.method, path.split('?').next().unwrap_or_default()),
            parts.method != Method::GET,
        ),
    }
}
