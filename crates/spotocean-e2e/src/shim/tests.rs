//! What calls are called, and that cuts and holds do what they say; the world behind is a plain counter.

use super::call::{Call, World};
use super::*;

fn name_of(world: World, method: &str, path: &str, target: Option<&str>, body: &str) -> (String, bool) {
    let mut request = Request::builder().method(method).uri(path);
    if let Some(target) = target {
        request = request.header("x-amz-target", target);
    }
    let (parts, ()) = request.body(()).unwrap().into_parts();
    let call = Call::read(world, &parts, &Bytes::from(body.to_owned()));
    (call.name, call.is_write)
}

#[test]
fn calls_of_the_cluster_are_named_by_verb_and_resource() {
    let ours = "/apis/spotocean.dev/v1alpha1/oceannodes";
    let rows = [
        ("POST", ours.to_owned(), "POST oceannodes", true),
        (
            "PATCH",
            format!("{ours}/a/status?"),
            "PATCH oceannodes/status",
            true,
        ),
        ("DELETE", format!("{ours}/a"), "DELETE oceannodes", true),
        ("GET", format!("{ours}?limit=200"), "LIST oceannodes", false),
        (
            "GET",
            format!("{ours}?limit=5&watch=true"),
            "WATCH oceannodes",
            false,
        ),
        ("GET", "/api/v1/namespaces/x/pods/p".to_owned(), "GET pods", false),
        (
            "POST",
            "/api/v1/namespaces/x/pods/p/eviction".to_owned(),
            "POST pods/eviction",
            true,
        ),
        (
            "GET",
            "/api/v1/namespaces/kube-system".to_owned(),
            "GET namespaces",
            false,
        ),
        (
            "PUT",
            "/apis/coordination.k8s.io/v1/namespaces/x/leases/l".to_owned(),
            "PUT leases",
            true,
        ),
        ("GET", "/version".to_owned(), "GET /version", false),
    ];
    for (method, path, name, is_write) in rows {
        assert_eq!(
            name_of(World::Cluster, method, &path, None, ""),
            (name.to_owned(), is_write),
            "{method} {path}"
        );
    }
}

#[test]
fn calls_of_aws_are_named_by_action() {
    let rows = [
        (
            "POST",
            "/",
            None,
            "Action=CreateFleet&Version=1",
            "CreateFleet",
            true,
        ),
        (
            "POST",
            "/",
            None,
            "Version=1&Action=DescribeSubnets",
            "DescribeSubnets",
            false,
        ),
        (
            "POST",
            "/",
            Some("AmazonSQS.ReceiveMessage"),
            "{}",
            "ReceiveMessage",
            false,
        ),
        (
            "POST",
            "/",
            Some("AmazonSQS.DeleteMessageBatch"),
            "{}",
            "DeleteMessageBatch",
            true,
        ),
        ("GET", "/clusters/demo", None, "", "GET /clusters/demo", false),
        (
            "POST",
            "/clusters/demo/access-entries",
            None,
            "{}",
            "POST /clusters/demo/access-entries",
            true,
        ),
    ];
    for (method, path, target, body, name, is_write) in rows {
        assert_eq!(
            name_of(World::Aws, method, path, target, body),
            (name.to_owned(), is_write),
            "{method} {path} {body}"
        );
    }
}

/// A world that counts what reached it and answers with that.
async fn counting() -> (String, Arc<AtomicU64>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let count = Arc::new(AtomicU64::new(0));
    let counted = count.clone();
    let answer = move || {
        let count = counted.fetch_add(1, Ordering::SeqCst) + 1;
        async move { count.to_string() }
    };
    let router = axum::Router::new().fallback(answer);
    tokio::spawn(async move { axum::serve(listener, router).await });
    (format!("http://{address}"), count)
}

async fn before(url: &str, law: Law) -> Shim {
    let directory = std::env::temp_dir().join(format!(
        "spotocean-shim-{}-{}",
        std::process::id(),
        url.rsplit(':').next().unwrap()
    ));
    std::fs::create_dir_all(&directory).unwrap();
    let kubeconfig = directory.join("kubeconfig");
    let text = "apiVersion: v1\nkind: Config\ncurrent-context: c\n\
                contexts: [{name: c, context: {cluster: c, user: u}}]\n\
                clusters: [{name: c, cluster: {server: 'http://127.0.0.1:9'}}]\n\
                users: [{name: u, user: {token: t}}]\n";
    std::fs::write(&kubeconfig, text).unwrap();
    let shim = Shim::start(&kubeconfig, url, &directory, law).await.unwrap();
    let through = std::fs::read_to_string(shim.kubeconfig()).unwrap();
    assert!(
        through.contains("token: t") && !through.contains(":9'"),
        "{through}"
    );
    std::fs::remove_dir_all(&directory).unwrap();
    shim
}

async fn call(shim: &Shim, action: &str) -> Result<String> {
    let url = format!("{}/?Action={action}", shim.aws_endpoint());
    let body = serde_json::json!(format!("&Action={action}&"));
    crate::sim::send(http::Method::POST, &url, Some(&body)).await
}

#[tokio::test]
async fn a_cut_lets_nothing_through_any_more_and_a_lost_answer_has_its_effect() {
    for (verdict, expected) in [(Verdict::CutBefore, 1), (Verdict::CutAfter, 2)] {
        let (url, count) = counting().await;
        let shim = before(
            &url,
            law(move |call| {
                if call.name == "Second" {
                    verdict
                } else {
                    Verdict::Pass
                }
            }),
        )
        .await;
        assert_eq!(call(&shim, "First").await.unwrap(), "1");
        tokio::select! {
            answer = call(&shim, "Second") => panic!("{verdict:?} was answered: {answer:?}"),
            struck = shim.struck() => assert_eq!(struck.unwrap().name, "Second"),
        }
        let late = tokio::time::timeout(Duration::from_millis(200), call(&shim, "Third")).await;
        assert!(late.is_err(), "{verdict:?} let a later call through: {late:?}");
        assert_eq!(count.load(Ordering::SeqCst), expected, "{verdict:?}");
        let names: Vec<String> = shim.calls().into_iter().map(|call| call.name).collect();
        assert_eq!(names, ["First", "Second"], "{verdict:?}");
    }
}

#[tokio::test]
async fn held_calls_go_on_when_they_are_released() {
    for (verdict, expected) in [(Verdict::HoldBefore, 0), (Verdict::HoldAfter, 1)] {
        let (url, count) = counting().await;
        let shim = before(&url, law(move |_| verdict)).await;
        let (answer, ()) = tokio::join!(call(&shim, "Slow"), async {
            shim.held(1).await.unwrap();
            assert_eq!(count.load(Ordering::SeqCst), expected, "{verdict:?}");
            shim.release();
        });
        assert_eq!(answer.unwrap(), "1");
    }
}
