//! Talks to the simulated AWS over its control API, as a test or a demo does:
//! what exists, what was called, and what shall go wrong. Shares no code with it.

use anyhow::{Context, Result, bail};
use http::Method;
use http_body_util::{BodyExt, Full};
use hyper::body::Bytes;
use hyper_util::client::legacy::Client;
use hyper_util::rt::TokioExecutor;
use serde_json::{Value, json};

/// A running `aws-sim`.
#[derive(Debug, Clone)]
pub struct Sim {
    address: String,
}

impl Sim {
    /// The simulator that listens on `address` (host and port).
    pub fn new(address: &str) -> Sim {
        Sim {
            address: address.to_owned(),
        }
    }

    /// Its endpoint, for `AWS_ENDPOINT_URL`.
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Everything it holds.
    pub async fn state(&self) -> Result<Value> {
        self.send(Method::GET, "/_sim/state", None).await
    }

    /// Every instance it knows, the terminated ones too.
    pub async fn instances(&self) -> Result<Vec<Instance>> {
        let state = self.state().await?;
        let instances = state["instances"]
            .as_array()
            .context("aws-sim's state lists no instances")?;
        Ok(instances.iter().map(Instance::read).collect())
    }

    /// Instances that cost money, in a few words each.
    pub async fn alive_instances(&self) -> Result<Vec<String>> {
        let all = self.instances().await?;
        let alive = all.iter().filter(|instance| instance.is_alive());
        Ok(alive
            .map(|instance| format!("{} {}", instance.id, instance.state))
            .collect())
    }

    /// Gives one spot instance its two minutes' notice.
    pub async fn interrupt(&self, instance_id: &str) -> Result<()> {
        self.post("/_sim/interrupt", &json!({"instanceId": instance_id}))
            .await
            .map(drop)
    }

    /// Adds a fault rule, in the simulator's own form.
    pub async fn add_fault(&self, rule: &Value) -> Result<()> {
        self.post("/_sim/fault", rule).await.map(drop)
    }

    /// Removes every fault rule and lets held calls go on.
    pub async fn remove_faults(&self) -> Result<()> {
        send(Method::DELETE, &format!("{}/_sim/fault", self.url()), None)
            .await
            .map(drop)
    }

    /// Changes prices, depth and hazard of markets, in the simulator's own form.
    pub async fn change_market(&self, order: &Value) -> Result<()> {
        self.post("/_sim/market", order).await.map(drop)
    }

    /// Ends an instance without a warning, as when its host fails.
    pub async fn terminate(&self, instance_id: &str) -> Result<()> {
        self.post("/_sim/terminate", &json!({"instanceId": instance_id}))
            .await
            .map(drop)
    }

    /// The actions called so far, oldest first, for example `CreateFleet`.
    pub async fn actions(&self) -> Result<Vec<String>> {
        let answer = self.get("/_sim/calls").await?;
        let calls = answer["calls"].as_array().context("aws-sim lists no calls")?;
        Ok(calls
            .iter()
            .filter_map(|call| call["action"].as_str().map(str::to_owned))
            .collect())
    }

    /// How often one action was called.
    pub async fn calls(&self, action: &str) -> Result<usize> {
        Ok(self
            .actions()
            .await?
            .iter()
            .filter(|called| *called == action)
            .count())
    }

    /// Reads from the control API.
    pub async fn get(&self, path: &str) -> Result<Value> {
        self.send(Method::GET, path, None).await
    }

    /// Sends an order to the control API.
    pub async fn post(&self, path: &str, body: &Value) -> Result<Value> {
        self.send(Method::POST, path, Some(body)).await
    }

    async fn send(&self, method: Method, path: &str, body: Option<&Value>) -> Result<Value> {
        let answer = send(method, &format!("{}{path}", self.url()), body).await?;
        if answer.is_empty() {
            return Ok(Value::Null);
        }
        serde_json::from_str(&answer).with_context(|| format!("aws-sim answered {path} with {answer}"))
    }
}

/// One instance as the simulator has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Instance {
    /// Its id.
    pub id: String,
    /// EC2's word for its state.
    pub state: String,
    /// `spot` or `on-demand`.
    pub lifecycle: String,
    /// Its zone's name.
    pub zone: String,
    /// All the simulator says of it.
    pub raw: Value,
}

impl Instance {
    fn read(raw: &Value) -> Instance {
        let text = |field: &str| raw[field].as_str().unwrap_or_default().to_owned();
        Instance {
            id: text("id"),
            state: text("state"),
            lifecycle: text("lifecycle"),
            zone: text("zone"),
            raw: raw.clone(),
        }
    }

    /// Whether it costs money.
    pub fn is_alive(&self) -> bool {
        matches!(self.state.as_str(), "pending" | "running")
    }
}

/// One plain HTTP request; answers with the body, and fails with it unless the status is a success.
pub async fn send(method: Method, url: &str, body: Option<&Value>) -> Result<String> {
    let content = body.map(Value::to_string).unwrap_or_default();
    let request = http::Request::builder()
        .method(method)
        .uri(url)
        .header("content-type", "application/json")
        .body(Full::new(Bytes::from(content)))
        .with_context(|| format!("{url} is no address"))?;
    let client = Client::builder(TokioExecutor::new()).build_http();
    let response = client
        .request(request)
        .await
        .with_context(|| format!("{url} does not answer"))?;
    let status = response.status();
    let bytes = response
        .into_body()
        .collect()
        .await
        .with_context(|| format!("{url} stopped in mid-answer"))?;
    let text = String::from_utf8_lossy(&bytes.to_bytes()).into_owned();
    if status.is_success() {
        Ok(text)
    } else {
        bail!("{url} answered {status}: {text}")
    }
}
