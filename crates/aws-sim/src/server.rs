//! The HTTP server: connections, which service a request is for, and its way through faults, denials,
//! throttles and the action to an answer. What actions do is in `operations`.

pub mod hold;
pub mod request;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::{Extension, Request, State};
use axum::response::Response;
use hyper::server::conn::http1;
use hyper_util::rt::TokioIo;
use hyper_util::service::TowerToHyperService;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Notify, mpsc};

use crate::cluster::{self, Cluster};
use crate::control;
use crate::fault::{Fault, Verdict, When};
use crate::operations;
use crate::operations::eks::RestRequest;
use crate::state::World;
use crate::state::call::Call;
use crate::throttle;
use crate::wire::error::ApiError;
use crate::wire::reply::{Protocol, Reply};
use crate::wire::xml::Element;

use self::hold::Holds;
use self::request::{ApiRequest, Content};

const BODY_BYTES_MAX: usize = 8 << 20;

/// What requests, life and cluster share.
pub struct Shared {
    world: Mutex<World>,
    /// The real cluster, if there is one.
    pub cluster: Option<Cluster>,
    changed: Notify,
    arrived: Notify,
    /// The calls that faults hold back.
    pub holds: Holds,
}

/// How a call ends for its caller.
enum Ending {
    Reply(Reply),
    HangUp,
}

impl Shared {
    /// Around a world.
    pub fn new(world: World, cluster: Option<Cluster>) -> Shared {
        Shared {
            world: Mutex::new(world),
            cluster,
            changed: Notify::new(),
            arrived: Notify::new(),
            holds: Holds::default(),
        }
    }

    /// The account. A panic elsewhere leaves it as it was.
    pub fn world(&self) -> MutexGuard<'_, World> {
        self.world.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Has the passing of time looked at again: something new may be due.
    pub fn wake(&self) {
        self.changed.notify_one();
    }
}

/// Lets simulated time have its effects, and hands those on the cluster to tasks of their own.
pub async fn live(shared: Arc<Shared>) {
    let (sender, mut receiver) = mpsc::unbounded_channel();
    let carrier = shared.clone();
    let mut carriers = tokio::task::JoinSet::new();
    loop {
        let (next, now) = {
            let mut world = shared.world();
            let next = world.advance();
            for effect in world.effects.drain(..) {
                // The receiver lives as long as this function.
                let _ = sender.send(effect);
            }
            (next, world.now())
        };
        shared.arrived.notify_waiters();
        while let Ok(effect) = receiver.try_recv() {
            carriers.spawn(cluster::carry_out(carrier.clone(), effect));
        }
        while carriers.try_join_next().is_some() {}
        // Hazard is drawn by the minute, so time is looked at twice a second at least.
        let wait = next
            .map(|at| shared.world().clock.real_duration((at.0 - now.0) as f64 / 1000.0))
            .unwrap_or(Duration::from_millis(500))
            .clamp(Duration::from_millis(1), Duration::from_millis(500));
        tokio::select! {
            () = tokio::time::sleep(wait) => {}
            () = shared.changed.notified() => {}
        }
    }
}

/// Accepts connections for as long as the future is polled.
pub async fn serve(listener: TcpListener, shared: Arc<Shared>) {
    let router = Router::new()
        .nest("/_sim", control::routes())
        .fallback(answer)
        .with_state(shared);
    let mut connections = tokio::task::JoinSet::new();
    loop {
        tokio::select! {
            accepted = listener.accept() => match accepted {
                Ok((stream, _)) => {
                    connections.spawn(converse(stream, router.clone()));
                }
                Err(error) => tracing::warn!("a connection was not accepted: {error}"),
            },
            Some(_) = connections.join_next() => {}
        }
    }
}

/// Serves one connection until it ends, or until a fault closes it in mid-call.
async fn converse(stream: TcpStream, router: Router) {
    // Small answers must not wait for the client's acknowledgement.
    let _ = stream.set_nodelay(true);
    let hang_up = Arc::new(Notify::new());
    let service = TowerToHyperService::new(router.layer(Extension(hang_up.clone())));
    let connection = http1::Builder::new().serve_connection(TokioIo::new(stream), service);
    tokio::select! {
        _ = connection => {}
        () = hang_up.notified() => {}
    }
}

async fn answer(
    State(shared): State<Arc<Shared>>,
    Extension(hang_up): Extension<Arc<Notify>>,
    request: Request,
) -> Response {
    // A task of its own: a client that goes away does not undo what it has asked for.
    let ending = tokio::spawn(process(shared, request)).await;
    match ending {
        Ok(Ending::Reply(reply)) => response(reply),
        Ok(Ending::HangUp) => {
            hang_up.notify_one();
            std::future::pending().await
        }
        Err(error) => response(Reply {
            status: 500,
            headers: vec![("content-type", "text/plain".to_owned())],
            body: format!("the simulator failed: {error}"),
        }),
    }
}

fn response(reply: Reply) -> Response {
    let mut builder = Response::builder().status(reply.status);
    for (name, value) in reply.headers {
        builder = builder.header(name, value);
    }
    builder.body(Body::from(reply.body)).unwrap_or_else(|error| {
        let mut response = Response::new(Body::from(error.to_string()));
        *response.status_mut() = http::StatusCode::INTERNAL_SERVER_ERROR;
        response
    })
}

async fn process(shared: Arc<Shared>, request: Request) -> Ending {
    let (parts, body) = request.into_parts();
    let bytes = match axum::body::to_bytes(body, BODY_BYTES_MAX).await {
        Ok(bytes) => bytes,
        Err(error) => {
            let error = ApiError::client(
                "InvalidInput",
                format!("The payload for the body of the request is too large: {error}"),
            );
            return Ending::Reply(Reply::error(Protocol::Ec2Query, &error, "unread"));
        }
    };
    let (request_id, parsed) = {
        let mut world = shared.world();
        (world.new_uuid(), ApiRequest::parse(&parts, &bytes))
    };
    let request = match parsed {
        Ok(request) => request,
        Err((protocol, error)) => return Ending::Reply(Reply::error(protocol, &error, &request_id)),
    };
    let (sequence, verdict) = begin(&shared, &request);
    let (ending, error) = carry_through(&shared, &request, &request_id, verdict).await;
    shared.world().calls.end(sequence, error);
    ending
}

fn begin(shared: &Shared, request: &ApiRequest) -> (u64, Option<Verdict>) {
    let mut world = shared.world();
    let now = world.now();
    let call = Call {
        sequence: 0,
        at_seconds: now.seconds(),
        time: world.timestamp(now),
        service: request.service.clone(),
        action: request.action.clone(),
        params: request.summary(),
        error: None,
        is_answered: false,
        fault_rule: None,
    };
    let sequence = world.calls.begin(call);
    let verdict = world.rules.judge(&request.service, &request.action);
    if let Some(verdict) = &verdict {
        world.calls.strike(sequence, verdict.rule);
    }
    (sequence, verdict)
}

/// The way of a call past its fault, if it has one; answers with its ending and its error code.
async fn carry_through(
    shared: &Shared,
    request: &ApiRequest,
    request_id: &str,
    verdict: Option<Verdict>,
) -> (Ending, Option<String>) {
    let protocol = request.protocol;
    let struck = |error: &ApiError| {
        (
            Ending::Reply(Reply::error(protocol, error, request_id)),
            Some(error.code.clone()),
        )
    };
    let dropped = || (Ending::HangUp, Some("connection dropped".to_owned()));
    let normal = || perform(shared, request, request_id);
    let Some(Verdict { when, fault, .. }) = verdict else {
        return normal().await;
    };
    match (when, fault) {
        (When::Before, Fault::Error(injected)) => struck(&(&injected).into()),
        (When::Before, Fault::Drop) => dropped(),
        (_, Fault::Empty) => (Ending::Reply(emptied(shared, request, request_id)), None),
        (When::Before, fault) => {
            wait(shared, &fault).await;
            normal().await
        }
        (When::After, Fault::Error(injected)) => {
            normal().await;
            struck(&(&injected).into())
        }
        (When::After, Fault::Drop) => {
            normal().await;
            dropped()
        }
        (When::After, fault) => {
            let ended = normal().await;
            wait(shared, &fault).await;
            ended
        }
    }
}

async fn wait(shared: &Shared, fault: &Fault) {
    match fault {
        Fault::DelaySeconds(seconds) => tokio::time::sleep(Duration::from_secs_f64(seconds.max(0.0))).await,
        Fault::Hold(name) => shared.holds.wait(name).await,
        Fault::Error(_) | Fault::Drop | Fault::Empty => {}
    }
}

/// A success that finds nothing: the shape of the real answer with every list empty.
fn emptied(shared: &Shared, request: &ApiRequest, request_id: &str) -> Reply {
    let world = &mut *shared.world();
    let hollow = |children: Vec<Element>| children.iter().filter_map(Element::hollow).collect();
    match (&request.content, request.protocol) {
        (Content::Query(params), Protocol::Ec2Query) if request.action.starts_with("Describe") => {
            let children = operations::ec2(world, &request.action, params).unwrap_or_default();
            Reply::ec2(&request.action, request_id, hollow(children))
        }
        (_, Protocol::Ec2Query) => Reply::ec2(&request.action, request_id, Vec::new()),
        (_, Protocol::Query(namespace)) => Reply::query(&request.action, request_id, namespace, Vec::new()),
        (_, protocol @ (Protocol::Json(_) | Protocol::RestJson)) => {
            Reply::json(protocol, &serde_json::json!({}))
        }
    }
}

/// Carries out a call and takes the time AWS takes for it.
async fn perform(shared: &Shared, request: &ApiRequest, request_id: &str) -> (Ending, Option<String>) {
    let delay = {
        let world = shared.world();
        let launches = ["CreateFleet", "RunInstances"].contains(&request.action.as_str());
        let seconds = world.options.scenario.timing.launch_call_seconds;
        launches.then(|| world.clock.real_duration(seconds))
    };
    let result = match long_poll_seconds(request) {
        Some(seconds) => poll(shared, request, request_id, seconds).await,
        None => once(shared, request, request_id),
    };
    shared.wake();
    if let (Ok(_), Some(delay)) = (&result, delay) {
        tokio::time::sleep(delay).await;
    }
    match result {
        Ok(reply) => (Ending::Reply(reply), None),
        Err(error) => (
            Ending::Reply(Reply::error(request.protocol, &error, request_id)),
            Some(error.code),
        ),
    }
}

fn long_poll_seconds(request: &ApiRequest) -> Option<u64> {
    let Content::Json(body) = &request.content else {
        return None;
    };
    (request.action == "ReceiveMessage")
        .then(|| body["WaitTimeSeconds"].as_u64())
        .flatten()
        .filter(|seconds| (1..=20).contains(seconds))
}

/// Receives until there is something, or the wait is over.
async fn poll(
    shared: &Shared,
    request: &ApiRequest,
    request_id: &str,
    seconds: u64,
) -> Result<Reply, ApiError> {
    let deadline = tokio::time::Instant::now() + Duration::from_secs(seconds);
    loop {
        let arrived = shared.arrived.notified();
        let reply = once(shared, request, request_id)?;
        if reply.body != "{}" || tokio::time::Instant::now() >= deadline {
            return Ok(reply);
        }
        // Hidden messages reappear without notice, hence the short look.
        let look = deadline.min(tokio::time::Instant::now() + Duration::from_millis(200));
        tokio::select! {
            () = arrived => {}
            () = tokio::time::sleep_until(look) => {}
        }
    }
}

fn once(shared: &Shared, request: &ApiRequest, request_id: &str) -> Result<Reply, ApiError> {
    let mut world = shared.world();
    world.advance();
    refuse_denied(&world, request)?;
    refuse_throttled(&mut world, request)?;
    dispatch(&mut world, request, request_id)
}

fn refuse_denied(world: &World, request: &ApiRequest) -> Result<(), ApiError> {
    let (service, action) = (&request.service, &request.action);
    let is_denied = world.denied.iter().any(|denied| {
        let pattern = denied
            .split_once(':')
            .map_or(denied.as_str(), |(_, action)| action);
        let names_service = denied.split_once(':').is_none_or(|(found, _)| found == service);
        names_service && crate::filter::wildcard(pattern, action)
    });
    if !is_denied {
        return Ok(());
    }
    let user = format!(
        "arn:aws:sts::{}:assumed-role/spotocean/simulated",
        crate::state::ACCOUNT
    );
    let message = format!(
        "User: {user} is not authorized to perform: {service}:{action} because no identity-based policy allows the {service}:{action} action"
    );
    Err(match request.protocol {
        Protocol::Ec2Query => ApiError::new(
            403,
            "UnauthorizedOperation",
            format!("You are not authorized to perform this operation. {message}"),
        ),
        Protocol::Query(_) => ApiError::new(403, "AccessDenied", message),
        Protocol::RestJson => ApiError::new(403, "AccessDeniedException", message),
        Protocol::Json(_) => ApiError::new(400, "AccessDeniedException", message),
    })
}

/// EC2's request buckets; the other services publish none.
fn refuse_throttled(world: &mut World, request: &ApiRequest) -> Result<(), ApiError> {
    let Content::Query(params) = &request.content else {
        return Ok(());
    };
    if request.service != "ec2" || !world.options.scenario.throttle {
        return Ok(());
    }
    let is_unbounded = params.at("Filter").is_none()
        && params.text("MaxResults").is_none()
        && params.at("InstanceId").is_none();
    let (bucket, rate) = throttle::request_rate(&request.action, is_unbounded);
    let now_ms = world.clock.real_ms();
    if world.buckets.take(&bucket, rate, 1, now_ms) == 1 {
        return Ok(());
    }
    Err(ApiError::new(
        503,
        "RequestLimitExceeded",
        format!(
            "Request limit exceeded. Account {} has been throttled on ec2:{} because it exceeded its request rate limit.",
            crate::state::ACCOUNT,
            request.action
        ),
    ))
}

fn dispatch(world: &mut World, request: &ApiRequest, request_id: &str) -> Result<Reply, ApiError> {
    let action = request.action.as_str();
    match (&request.content, request.protocol) {
        (Content::Query(params), Protocol::Ec2Query) => {
            operations::ec2(world, action, params).map(|children| Reply::ec2(action, request_id, children))
        }
        (Content::Query(params), Protocol::Query(namespace)) => {
            let children = match request.service.as_str() {
                "iam" => operations::iam::iam(world, action, params),
                "sts" => operations::sts::sts(action),
                _ => operations::auto_scaling::auto_scaling(action, params),
            }?;
            Ok(Reply::query(action, request_id, namespace, children))
        }
        (Content::Json(body), protocol) => {
            let value = match request.service.as_str() {
                "sqs" => operations::sqs::sqs(world, action, body),
                "ssm" => operations::ssm::ssm(world, action, body),
                "pricing" => operations::pricing::pricing(world, action, body),
                _ => {
                    let rest = RestRequest {
                        method: &request.method,
                        segments: request.segments.clone(),
                        body: body.clone(),
                    };
                    operations::eks::eks(world, action, &rest)
                }
            }?;
            Ok(Reply::json(protocol, &value))
        }
        (Content::Query(_), _) => Err(ApiError::unknown_action(action)),
    }
}
