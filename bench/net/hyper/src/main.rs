// SPDX-License-Identifier: Apache-2.0
// What a Rust service built on hyper would do for the same task: parse the body, take id and payload, answer in the
// gateway's shape. Listens on 127.0.0.1 only. One thread and tokio's runtime for one thread; with `multi_thread` the one
// that `#[tokio::main]` stands for, which has as many threads as processors are allowed and lets them steal work.
//
// Usage: hyper-peer PORT [pipeline_flush] [multi_thread]
use hyper::header::{HeaderValue, CONTENT_TYPE};
use hyper::service::{make_service_fn, service_fn};
use hyper::{Body, Method, Request, Response, Server, StatusCode};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use std::borrow::Cow;
use std::convert::Infallible;
use std::net::SocketAddr;
use std::time::Instant;

const INTENT: &str = "urn:iicp:intent:x.taskgate:echo:v1";

// Borrowed where the text allows it: the leanest that serde_json does while it still checks everything.
#[derive(Deserialize)]
struct Envelope<'a> {
    #[serde(borrow)]
    task_id: Cow<'a, str>,
    #[serde(borrow)]
    intent: Cow<'a, str>,
    #[serde(borrow)]
    payload: &'a RawValue,
    #[serde(borrow, default)]
    constraints: Option<Constraints<'a>>,
}

#[derive(Deserialize)]
struct Constraints<'a> {
    #[serde(default)]
    timeout_ms: Option<u32>,
    #[serde(borrow, default)]
    qos: Option<Cow<'a, str>>,
}

#[derive(Serialize)]
struct Metrics {
    latency_ms: f64,
    tokens_used: u32,
    batch_rows: u32,
}

#[derive(Serialize)]
struct Usage {
    total_tokens: u32,
}

#[derive(Serialize)]
struct Answer<'a> {
    task_id: &'a str,
    status: &'static str,
    result: &'a RawValue,
    error: Option<&'a str>,
    metrics: Metrics,
    model_used: &'static str,
    usage: Usage,
    generated_by_ai: bool,
}

fn json(status: StatusCode, body: Vec<u8>) -> Response<Body> {
    let mut response = Response::new(Body::from(body));
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response
}

fn refusal(status: StatusCode, code: &str) -> Response<Body> {
    json(status, format!("{{\"code\":\"{code}\"}}").into_bytes())
}

fn limits_are_sound(constraints: &Option<Constraints>) -> bool {
    constraints.as_ref().map_or(true, |c| {
        c.timeout_ms.map_or(true, |ms| ms > 0)
            && c.qos.as_deref().map_or(true, |q| matches!(q, "realtime" | "interactive" | "batch" | "best_effort"))
    })
}

fn answer(bytes: &[u8], begin: Instant) -> Response<Body> {
    let task: Envelope = match serde_json::from_slice(bytes) {
        Ok(task) => task,
        Err(_) => return refusal(StatusCode::BAD_REQUEST, "invalid_request"),
    };
    if task.intent != INTENT || !limits_are_sound(&task.constraints) {
        return refusal(StatusCode::BAD_REQUEST, "invalid_request");
    }
    let answer = Answer {
        task_id: &task.task_id,
        status: "success",
        result: task.payload,
        error: None,
        metrics: Metrics { latency_ms: begin.elapsed().as_secs_f64() * 1000.0, tokens_used: 0, batch_rows: 1 },
        model_used: "echo",
        usage: Usage { total_tokens: 0 },
        generated_by_ai: true,
    };
    match serde_json::to_vec(&answer) {
        Ok(body) => json(StatusCode::OK, body),
        Err(_) => refusal(StatusCode::INTERNAL_SERVER_ERROR, "internal"),
    }
}

async fn serve(request: Request<Body>) -> Result<Response<Body>, hyper::Error> {
    let begin = Instant::now();
    if request.method() != Method::POST || request.uri().path() != "/v1/task" {
        return Ok(refusal(StatusCode::NOT_FOUND, "not_found"));
    }
    let bytes = hyper::body::to_bytes(request.into_body()).await?;
    Ok(answer(&bytes, begin))
}

// A listen queue for thousands of newcomers at once, as the other servers of the comparison have it.
fn listen(port: u16) -> std::io::Result<std::net::TcpListener> {
    let address = SocketAddr::from(([127, 0, 0, 1], port));
    let socket = tokio::net::TcpSocket::new_v4()?;
    socket.set_reuseaddr(true)?;
    socket.bind(address)?;
    socket.listen(4096)?.into_std()
}

async fn run(port: u16, pipeline_flush: bool) -> Result<(), Box<dyn std::error::Error>> {
    let make = make_service_fn(|_| async { Ok::<_, Infallible>(service_fn(serve)) });
    let server = Server::from_tcp(listen(port)?)?
        .tcp_nodelay(true)
        .http1_only(true)
        .http1_pipeline_flush(pipeline_flush);
    Ok(server.serve(make).await?)
}

// Either runtime is asked for sockets only: hyper needs no timers here.
fn runtime(multi_thread: bool) -> std::io::Result<tokio::runtime::Runtime> {
    use tokio::runtime::Builder;
    let mut builder = if multi_thread { Builder::new_multi_thread() } else { Builder::new_current_thread() };
    builder.enable_io().build()
}

fn has(words: &[String], word: &str) -> bool {
    words.iter().skip(1).any(|w| w == word)
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let port = match words.first().and_then(|w| w.parse().ok()) {
        Some(port) => port,
        None => return Err("usage: hyper-peer PORT [pipeline_flush] [multi_thread]".into()),
    };
    let (flush, threads) = (has(&words, "pipeline_flush"), has(&words, "multi_thread"));
    // A task of its own, for block_on() runs on the main thread, beside those of the runtime.
    let served = async move { run(port, flush).await.map_err(|e| e.to_string()) };
    runtime(threads)?.block_on(async { tokio::spawn(served).await })??;
    Ok(())
}
