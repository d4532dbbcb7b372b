//! A client that signs nothing and parses nothing: requests by hand, answers as text.

use std::fmt::Write;

use aws_sim::{Options, Running, Scenario, Simulator};
use http::Request;
use http_body_util::{BodyExt, Full};
use hyper::body::Bytes;
use hyper_util::client::legacy::Client;
use hyper_util::rt::TokioExecutor;
use serde_json::Value;

/// A simulator and the way to it.
pub(crate) struct Sim {
    pub(crate) running: Running,
}

/// An answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) body: String,
}

impl Answer {
    /// The text of every element with this name.
    pub(crate) fn all(&self, name: &str) -> Vec<String> {
        let (open, close) = (format!("<{name}>"), format!("</{name}>"));
        self.body
            .split(&open)
            .skip(1)
            .filter_map(|rest| rest.split(&close).next().map(str::to_owned))
            .collect()
    }

    /// The text of the first element with this name.
    pub(crate) fn first(&self, name: &str) -> String {
        self.all(name).into_iter().next().unwrap_or_default()
    }

    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_else(|error| panic!("{error}: {}", self.body))
    }

    /// Ids of the instances in a CreateFleet answer.
    pub(crate) fn instance_ids(&self) -> Vec<String> {
        self.all("item")
            .into_iter()
            .filter(|text| text.starts_with("i-"))
            .collect()
    }
}

/// Everything at once, seen at once: tests that are not about delays.
pub(crate) fn prompt() -> Options {
    let mut scenario = Scenario::default();
    scenario.visibility.by_id_seconds = 0.0;
    scenario.visibility.by_filter_seconds = 0.0;
    scenario.visibility.tags_seconds = 0.0;
    scenario.visibility.tail_per_mille = 0;
    scenario.timing.launch_call_seconds = 0.0;
    Options {
        scenario,
        ..Options::default()
    }
}

impl Sim {
    pub(crate) async fn start(options: Options) -> Sim {
        Sim {
            running: Simulator::start(options).await.expect("a free port"),
        }
    }

    pub(crate) async fn prompt() -> Sim {
        Sim::start(prompt()).await
    }

    async fn send(&self, request: Request<Full<Bytes>>) -> Result<Answer, String> {
        let client = Client::builder(TokioExecutor::new()).build_http();
        let response = client.request(request).await.map_err(|error| error.to_string())?;
        let status = response.status().as_u16();
        let bytes = response
            .into_body()
            .collect()
            .await
            .map_err(|error| error.to_string())?
            .to_bytes();
        Ok(Answer {
            status,
            body: String::from_utf8_lossy(&bytes).into_owned(),
        })
    }

    fn request(&self, method: &str, path: &str, service: &str) -> http::request::Builder {
        let scope = format!(
            "AWS4-HMAC-SHA256 Credential=AKID/20260101/us-east-1/{service}/aws4_request, SignedHeaders=host, Signature=0"
        );
        Request::builder()
            .method(method)
            .uri(format!("{}{path}", self.running.url))
            .header("authorization", scope)
    }

    /// A query call, or the reason why there was no answer.
    pub(crate) async fn try_query(
        &self,
        service: &str,
        action: &str,
        pairs: &[(&str, &str)],
    ) -> Result<Answer, String> {
        let mut body = format!("Action={action}&Version=2016-11-15");
        for (name, value) in pairs {
            let _ = write!(body, "&{name}={}", encoded(value));
        }
        let request = self
            .request("POST", "/", service)
            .header("content-type", "application/x-www-form-urlencoded")
            .body(Full::new(Bytes::from(body)))
            .expect("a request");
        self.send(request).await
    }

    pub(crate) async fn query(&self, service: &str, action: &str, pairs: &[(&str, &str)]) -> Answer {
        self.try_query(service, action, pairs).await.expect("an answer")
    }

    pub(crate) async fn ec2(&self, action: &str, pairs: &[(&str, &str)]) -> Answer {
        self.query("ec2", action, pairs).await
    }

    pub(crate) async fn json(&self, service: &str, target: &str, body: &Value) -> Answer {
        let request = self
            .request("POST", "/", service)
            .header("x-amz-target", target)
            .body(Full::new(Bytes::from(body.to_string())))
            .expect("a request");
        self.send(request).await.expect("an answer")
    }

    pub(crate) async fn rest(&self, method: &str, path: &str, body: &Value) -> Answer {
        let text = if body.is_null() {
            String::new()
        } else {
            body.to_string()
        };
        let request = self
            .request(method, path, "eks")
            .body(Full::new(Bytes::from(text)))
            .expect("a request");
        self.send(request).await.expect("an answer")
    }

    /// A call without credentials.
    pub(crate) async fn unsigned(&self) -> Answer {
        let request = Request::builder()
            .method("POST")
            .uri(&self.running.url)
            .body(Full::new(Bytes::from("Action=DescribeSubnets")))
            .expect("a request");
        self.send(request).await.expect("an answer")
    }

    pub(crate) async fn order(&self, path: &str, body: &Value) -> Value {
        let request = Request::builder()
            .method("POST")
            .uri(format!("{}/_sim/{path}", self.running.url))
            .header("content-type", "application/json")
            .body(Full::new(Bytes::from(body.to_string())))
            .expect("a request");
        let answer = self.send(request).await.expect("an answer");
        assert_eq!(answer.status, 200, "{path}: {}", answer.body);
        answer.json()
    }

    pub(crate) async fn look(&self, path: &str) -> Value {
        let request = Request::builder()
            .uri(format!("{}/_sim/{path}", self.running.url))
            .body(Full::new(Bytes::new()))
            .expect("a request");
        self.send(request).await.expect("an answer").json()
    }

    pub(crate) async fn advance(&self, seconds: f64) {
        self.order("advance", &serde_json::json!({"seconds": seconds}))
            .await;
    }

    /// Subnets by zone name.
    pub(crate) async fn subnet(&self, zone: &str) -> String {
        let filter = [("Filter.1.Name", "availability-zone"), ("Filter.1.Value.1", zone)];
        self.ec2("DescribeSubnets", &filter).await.first("subnetId")
    }

    /// A published image.
    pub(crate) async fn image(&self, architecture: &str) -> String {
        let name = format!(
            "/aws/service/eks/optimized-ami/1.36/amazon-linux-2023/{architecture}/standard/recommended/image_id"
        );
        let answer = self
            .json(
                "ssm",
                "AmazonSSM.GetParameter",
                &serde_json::json!({"Name": name}),
            )
            .await;
        answer.json()["Parameter"]["Value"]
            .as_str()
            .expect("an image")
            .to_owned()
    }

    /// A launch template with nothing but an image and `more`.
    pub(crate) async fn template(&self, name: &str, more: &[(&str, &str)]) -> String {
        let image = self.image("x86_64").await;
        let mut pairs = vec![
            ("LaunchTemplateName", name),
            ("LaunchTemplateData.ImageId", image.as_str()),
        ];
        pairs.extend(more);
        let answer = self.ec2("CreateLaunchTemplate", &pairs).await;
        assert_eq!(answer.status, 200, "{}", answer.body);
        answer.first("launchTemplateId")
    }
}

fn encoded(text: &str) -> String {
    let mut out = String::new();
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-_.~".contains(&byte) {
            out.push(char::from(byte));
        } else {
            let _ = write!(out, "%{byte:02X}");
        }
    }
    out
}

/// Looks until `holds` answers with something, or fails after ten seconds.
pub(crate) async fn eventually<T, Look>(what: &str, mut holds: impl FnMut() -> Look) -> T
where
    Look: Future<Output = Option<T>>,
{
    let deadline = tokio::time::Instant::now() + std::time::Duration::from_secs(10);
    loop {
        if let Some(found) = holds().await {
            return found;
        }
        assert!(tokio::time::Instant::now() < deadline, "never: {what}");
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }
}
