//! The outside wall over real connections: how long a peer may take, how much of the server it may hold, and how a
//! server stops. Times are short here and nothing asserts how long something took: a test waits until it happened.

use crate::support::cli::{Cli, exchange, http, log_until, until, words};
use crate::support::{TestApp, basic};
use axum::Router;
use axum::extract::Request;
use axum::response::Response;
use axum::routing::get;
use grantor::server::bounds::Bounds;
use grantor::server::descriptors;
use grantor::server::listen::Listener;
use grantor::types::clock::Clock;
use serde_json::Value;
use std::convert::Infallible;
use std::io::Write;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, oneshot};
use tokio::task::JoinHandle;
use tower::Service;

/// Long enough for anything; only a test that fails waits so long.
const PATIENCE: Duration = Duration::from_secs(60);

/// A time that is soon over.
const SOON: Duration = Duration::from_millis(200);

const HELLO: &str = "GET / HTTP/1.1\r\nHost: x\r\n\r\n";

/// More than the buffers of a connection hold.
const BIG: usize = 64 * 1024 * 1024;

/// What a listener serves: the whole service, or a router of a test.
trait Served:
    Service<Request, Response = Response, Error = Infallible, Future: Send> + Clone + Send + Sync + 'static
{
}
impl<S> Served for S where
    S: Service<Request, Response = Response, Error = Infallible, Future: Send> + Clone + Send + Sync + 'static
{
}

/// A listener of its own.
struct Wall {
    address: SocketAddr,
    stopping: Arc<AtomicBool>,
    stop: Option<oneshot::Sender<()>>,
    served: JoinHandle<()>,
}

impl Wall {
    async fn around(service: impl Served, connections: usize, bounds: Bounds) -> Self {
        let tcp = TcpListener::bind("127.0.0.1:0").await.unwrap();
        Self::behind(tcp, service, Listening { connections, bounds, tls: None }).await
    }

    async fn behind(tcp: TcpListener, service: impl Served, with: Listening) -> Self {
        let (address, stopping) = (tcp.local_addr().unwrap(), Arc::<AtomicBool>::default());
        let (stop, stopped) = oneshot::channel::<()>();
        let Listening { connections, bounds, tls } = with;
        let listener = Listener { tcp, tls, connections, bounds, stopping: stopping.clone() };
        let stopped = async move { drop(stopped.await) };
        Self { address, stopping, stop: Some(stop), served: tokio::spawn(listener.serve(service, stopped)) }
    }

    async fn connect(&self) -> Client {
        Client(TcpStream::connect(self.address).await.unwrap())
    }
}

struct Listening {
    connections: usize,
    bounds: Bounds,
    tls: Option<Arc<rustls::ServerConfig>>,
}

/// The other end of a connection.
struct Client(TcpStream);

impl Client {
    async fn send(&mut self, bytes: impl AsRef<[u8]>) -> bool {
        self.0.write_all(bytes.as_ref()).await.is_ok()
    }

    /// One answer: its head and its body.
    async fn answer(&mut self) -> (String, String) {
        let reading = async {
            let mut head = Vec::new();
            while !head.ends_with(b"\r\n\r\n") {
                head.push(self.0.read_u8().await.unwrap_or_else(|error| panic!("{error} after {head:?}")));
            }
            let head = String::from_utf8(head).unwrap().to_lowercase();
            let length = head.lines().find_map(|line| line.strip_prefix("content-length: ")?.parse().ok());
            let mut body = vec![0; length.unwrap_or(0)];
            self.0.read_exact(&mut body).await.unwrap();
            (head, String::from_utf8(body).unwrap())
        };
        tokio::time::timeout(PATIENCE, reading).await.expect("an answer")
    }

    async fn ask(&mut self, request: &str) -> (u16, String, String) {
        assert!(self.send(request).await);
        let (head, body) = self.answer().await;
        (head.split(' ').nth(1).unwrap().parse().unwrap(), head, body)
    }

    /// Waits until the other side has closed; answers how many bytes came before.
    async fn closed(&mut self) -> usize {
        let mut read = 0;
        let mut buffer = vec![0; 64 * 1024];
        let ended = async {
            while let Ok(count @ 1..) = self.0.read(&mut buffer).await {
                read += count;
            }
        };
        tokio::time::timeout(PATIENCE, ended).await.expect("the connection is closed");
        read
    }
}

/// What `/wait` waits for.
#[derive(Clone)]
struct Gate {
    open: Arc<Semaphore>,
    waiting: Arc<AtomicUsize>,
}

impl Gate {
    /// Sends a request that waits, on a connection of its own, and answers once it does.
    async fn keep_busy(&self, wall: &Wall) -> Client {
        let before = self.waiting.load(Ordering::SeqCst);
        let mut client = wall.connect().await;
        client.send(get_of("/wait")).await;
        while self.waiting.load(Ordering::SeqCst) == before {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        client
    }
}

fn shut() -> Gate {
    Gate { open: Arc::new(Semaphore::new(0)), waiting: Arc::default() }
}

/// `/` answers at once, `/wait` when the gate lets it, `/big` with more than anybody takes in one go.
fn routes(gate: &Gate) -> Router {
    let gate = gate.clone();
    let wait = move || async move {
        gate.waiting.fetch_add(1, Ordering::SeqCst);
        gate.open.acquire().await.unwrap().forget();
        "waited"
    };
    Router::new()
        .route("/", get(|| async { "ok" }))
        .route("/wait", get(wait))
        .route("/big", get(|| async { vec![b'x'; BIG] }))
}

fn get_of(path: &str) -> String {
    HELLO.replace("GET /", &format!("GET {path}"))
}

fn short_head() -> Bounds {
    Bounds { head: SOON, ..Bounds::default() }
}

#[tokio::test]
async fn a_head_that_comes_byte_by_byte_does_not_get_more_time_for_each() {
    let wall = Wall::around(routes(&shut()), 10, short_head()).await;
    let mut slow = wall.connect().await;
    slow.send("GET / HTTP/1.1\r\nX: ").await;
    let dripping = async {
        while slow.send("x").await {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    tokio::time::timeout(PATIENCE, dripping).await.expect("the connection is closed");
    // And one that comes in two pieces in time is answered.
    let mut other = wall.connect().await;
    other.send("GET / HTTP/1.1\r\n").await;
    assert_eq!(other.ask("Host: x\r\n\r\n").await.0, 200);
}

#[tokio::test]
async fn a_connection_that_says_nothing_and_one_that_was_used_are_closed_after_the_time_for_a_head() {
    let wall = Wall::around(routes(&shut()), 10, short_head()).await;
    for request in ["", HELLO, "PRI * HT", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"] {
        let mut idle = wall.connect().await;
        idle.send(request).await;
        if request == HELLO {
            assert_eq!(idle.answer().await.1, "ok");
        }
        idle.closed().await;
    }
}

#[tokio::test]
async fn a_request_that_is_being_answered_is_not_cut_off() {
    let gate = shut();
    let wall = Wall::around(routes(&gate), 10, short_head()).await;
    let mut working = gate.keep_busy(&wall).await;
    // Twice the time for a head is over when two that say nothing were closed, one after the other.
    for _ in 0..2 {
        wall.connect().await.closed().await;
    }
    gate.open.add_permits(1);
    assert_eq!(working.answer().await.1, "waited");
    assert_eq!(working.ask(HELLO).await.0, 200, "and the next request has its time");
}

#[tokio::test]
async fn an_answer_that_nobody_reads_is_not_kept() {
    let wall = Wall::around(routes(&shut()), 10, short_head()).await;
    let mut deaf = wall.connect().await;
    deaf.send(get_of("/big")).await;
    let mut beginning = [0; 15];
    deaf.0.read_exact(&mut beginning).await.unwrap();
    assert_eq!(&beginning, b"HTTP/1.1 200 OK");
    // Connected later, so closed later.
    wall.connect().await.closed().await;
    wall.connect().await.closed().await;
    assert!(deaf.closed().await < BIG);
    // Who reads in time gets everything.
    let wall = Wall::around(routes(&shut()), 10, Bounds::default()).await;
    let mut reader = wall.connect().await;
    reader.send(get_of("/big").replace("\r\n\r\n", "\r\nConnection: close\r\n\r\n")).await;
    assert!(reader.closed().await >= BIG);
}

#[tokio::test]
async fn a_head_that_is_too_large_is_answered_431() {
    let wall = Wall::around(routes(&shut()), 10, Bounds::default()).await;
    let with = |headers: String| format!("GET / HTTP/1.1\r\nHost: x\r\n{headers}\r\n");
    let lines = |count: usize| (0..count).map(|at| format!("X-{at}: 1\r\n")).collect::<String>();
    for (headers, status) in [
        (format!("X: {}\r\n", "x".repeat(20_000)), 200),
        (lines(99), 200),
        (format!("X: {}\r\n", "x".repeat(40_000)), 431),
        (lines(100), 431),
    ] {
        let length = headers.len();
        assert_eq!(wall.connect().await.ask(&with(headers)).await.0, status, "{length}");
    }
}

#[tokio::test]
async fn a_head_that_says_no_host_or_an_unknown_coding_is_refused_and_its_connection_closed() {
    let wall = Wall::around(routes(&shut()), 10, Bounds::default()).await;
    let coded = |lines: &str| format!("GET / HTTP/1.1\r\nHost: x\r\n{lines}\r\n0\r\n\r\n");
    for (request, status) in [
        (coded("Transfer-Encoding: chunked\r\n"), 200),
        (coded("Transfer-Encoding: Chunked\r\n"), 200),
        (coded("Transfer-Encoding: gzip, chunked\r\n"), 501),
        (coded("Transfer-Encoding: chunked, chunked\r\n"), 501),
        (coded("Transfer-Encoding: gzip\r\nTransfer-Encoding: chunked\r\n"), 501),
    ]
    .into_iter()
    .chain(
        [
            ("GET / HTTP/1.1\r\nHost: x\r\n\r\n", 200),
            ("GET / HTTP/1.1\r\nHost:\r\n\r\n", 200),
            ("GET / HTTP/1.0\r\n\r\n", 200),
            ("GET / HTTP/1.1\r\n\r\n", 400),
            ("GET / HTTP/1.1\r\nHost: x\r\nHost: y\r\n\r\n", 400),
            ("GET / HTTP/1.1\r\nHost: x\r\nHost: x\r\n\r\n", 400),
            ("GET / HTTP/1.1\r\nHost: [::1]:8080\r\n\r\n", 200),
            ("GET / HTTP/1.1\r\nHost: a b/@\r\n\r\n", 400),
        ]
        .map(|(request, status)| (request.to_owned(), status)),
    ) {
        let mut client = wall.connect().await;
        assert_eq!(client.ask(&request).await.0, status, "{request}");
        if status != 200 {
            client.closed().await;
        } else if request.contains("1.1") {
            assert_eq!(client.ask(HELLO).await.0, 200, "{request}");
        }
    }
}

#[tokio::test]
async fn thousands_of_idle_connections_do_not_stand_in_the_way() {
    const IDLE: usize = 2000;
    // Both ends are ours.
    if descriptors::make_room(2 * IDLE + 500) < 2 * IDLE + 500 {
        panic!("this test needs {} open files: raise ulimit -Hn", 2 * IDLE + 500);
    }
    let wall = Wall::around(routes(&shut()), 3000, Bounds::default()).await;
    let mut idle = Vec::new();
    for at in 0..IDLE {
        let mut client = wall.connect().await;
        // Some said something, some nothing, some half of it.
        match at % 3 {
            0 => assert_eq!(client.ask(HELLO).await.0, 200),
            1 => assert!(client.send("GET / HT").await),
            _ => {}
        }
        idle.push(client);
    }
    for _ in 0..50 {
        assert_eq!(wall.connect().await.ask(HELLO).await.0, 200);
    }
    // None of them was closed for it.
    for (at, client) in idle.iter_mut().enumerate().step_by(37) {
        let rest = if at % 3 == 1 { "TP/1.1\r\nHost: x\r\n\r\n" } else { HELLO };
        assert_eq!(client.ask(rest).await.0, 200, "{at}");
    }
}

#[tokio::test]
async fn with_every_place_taken_the_longest_idle_one_makes_room() {
    let gate = shut();
    let wall = Wall::around(routes(&gate), 3, Bounds::default()).await;
    let mut working = gate.keep_busy(&wall).await;
    let (mut first, mut second) = (wall.connect().await, wall.connect().await);
    for client in [&mut first, &mut second] {
        assert_eq!(client.ask(HELLO).await.0, 200);
    }
    // The first one is used once more, so the second is the one that was idle for longer.
    tokio::time::sleep(Duration::from_millis(5)).await;
    assert_eq!(first.ask(HELLO).await.0, 200);
    let mut third = wall.connect().await;
    assert_eq!(third.ask(HELLO).await.0, 200);
    second.closed().await;
    assert_eq!(first.ask(HELLO).await.0, 200);
    gate.open.add_permits(1);
    assert_eq!(working.answer().await.1, "waited", "who is at work keeps the place");
}

#[tokio::test]
async fn with_every_place_at_work_one_more_waits() {
    let gate = shut();
    let wall = Wall::around(routes(&gate), 2, Bounds::default()).await;
    let (mut one, mut two) = (gate.keep_busy(&wall).await, gate.keep_busy(&wall).await);
    let mut three = wall.connect().await;
    three.send(HELLO).await;
    let answered = tokio::time::timeout(SOON, three.0.read_u8()).await;
    assert!(answered.is_err(), "there is no place for it: {answered:?}");
    gate.open.add_permits(2);
    for client in [&mut one, &mut two] {
        assert_eq!(client.answer().await.1, "waited");
    }
    assert_eq!(three.answer().await.1, "ok");
}

#[tokio::test]
async fn a_body_that_never_ends_is_answered_408() {
    let (test, client) = TestApp::with_client().await;
    let bounds = Bounds { body: SOON, ..Bounds::default() };
    let wall = Wall::around(test.router.clone(), 10, bounds).await;
    let head = format!(
        "POST /oauth2/v2.0/token HTTP/1.1\r\nHost: x\r\nAuthorization: {}\r\n\
         Content-Type: application/x-www-form-urlencoded\r\n",
        basic(&client.id, &client.secret)
    );
    let form = "grant_type=client_credentials&scope=https%3A%2F%2Fapi.example.com%2F.default";
    let announced = format!("{head}Content-Length: {}\r\n\r\n", form.len());

    let mut never = wall.connect().await;
    let (status, answered, body) = never.ask(&announced).await;
    assert!(answered.contains("connection: close"), "{answered}");
    let body: Value = serde_json::from_str(&body).unwrap();
    assert_eq!((status, &body["error_codes"][0], &body["error"]), (408, &1011.into(), &"invalid_request".into()));

    let mut drip = wall.connect().await;
    drip.send(format!("{head}Transfer-Encoding: chunked\r\n\r\n")).await;
    let (mut reading, mut writing) = drip.0.into_split();
    let dripping = tokio::spawn(async move {
        while writing.write_all(b"1\r\na\r\n").await.is_ok() {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    });
    let mut status = [0; 12];
    tokio::time::timeout(PATIENCE, reading.read_exact(&mut status)).await.expect("an answer").unwrap();
    assert_eq!(&status, b"HTTP/1.1 408");
    dripping.abort();

    // In two pieces, but in time.
    let mut prompt = wall.connect().await;
    prompt.send(&announced).await;
    prompt.send(&form[..10]).await;
    let (status, _, body) = prompt.ask(&form[10..]).await;
    assert_eq!(status, 200, "{body}");
}

#[tokio::test]
async fn a_tls_handshake_that_never_ends_is_ended() {
    let folder = tempfile::tempdir().unwrap();
    let files = grantor::server::tls::development(folder.path(), &["127.0.0.1".into()], &Clock::System).unwrap();
    let tls = Some(grantor::server::tls::server_config(&files).unwrap());
    let bounds = Bounds { handshake: Duration::from_secs(2), ..Bounds::default() };
    let tcp = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let wall = Wall::behind(tcp, routes(&shut()), Listening { connections: 10, bounds, tls }).await;
    // Nothing, and the beginning of a record that says that more comes.
    for beginning in [&b""[..], b"\x16\x03\x01\x02\x00\x01\x00"] {
        let mut silent = wall.connect().await;
        silent.send(beginning).await;
        silent.closed().await;
    }
    let authority = std::fs::read(folder.path().join(grantor::server::tls::DEV_CA)).unwrap();
    let authority = reqwest::Certificate::from_pem(&authority).unwrap();
    let client = reqwest::Client::builder().tls_certs_only([authority]).build().unwrap();
    let answer = client.get(format!("https://{}/", wall.address)).send().await.unwrap();
    assert_eq!(answer.text().await.unwrap(), "ok");
}

/// A connection that speaks HTTP/2 by hand (RFC 9113), as no library would.
struct Frames(Client);

const HEADERS: u8 = 1;
const RST_STREAM: u8 = 3;
const SETTINGS: u8 = 4;
const PING: u8 = 6;
const GOAWAY: u8 = 7;
const ACK: u8 = 1;
const END_STREAM_AND_HEADERS: u8 = 5;

/// RFC 9113 §7.
const REFUSED_STREAM: u32 = 7;
const ENHANCE_YOUR_CALM: u32 = 11;

impl Frames {
    async fn to(wall: &Wall) -> Self {
        let mut frames = Self(wall.connect().await);
        frames.0.send("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n").await;
        frames.send(SETTINGS, 0, 0, &[]).await;
        frames
    }

    async fn send(&mut self, kind: u8, flags: u8, stream: u32, payload: &[u8]) -> bool {
        let length = u32::try_from(payload.len()).unwrap().to_be_bytes();
        let head = [&length[1..], &[kind, flags], &stream.to_be_bytes()].concat();
        self.0.send([&head, payload].concat()).await
    }

    /// GET of a path (RFC 7541: `:method` and `:scheme` from the table, path and authority as they are).
    async fn get(&mut self, stream: u32, path: &str) -> bool {
        let length = u8::try_from(path.len()).unwrap();
        let block = [&[0x82, 0x86, 0x04, length], path.as_bytes(), &[0x01, 1, b'x']].concat();
        self.send(HEADERS, END_STREAM_AND_HEADERS, stream, &block).await
    }

    /// The next frame: kind, flags, stream, payload. Nothing when the connection is closed.
    async fn next(&mut self) -> Option<(u8, u8, u32, Vec<u8>)> {
        let reading = async {
            let mut head = [0; 9];
            self.0.0.read_exact(&mut head).await.ok()?;
            let mut payload = vec![0; u32::from_be_bytes([0, head[0], head[1], head[2]]) as usize];
            self.0.0.read_exact(&mut payload).await.ok()?;
            Some((head[3], head[4], u32::from_be_bytes([head[5], head[6], head[7], head[8]]), payload))
        };
        tokio::time::timeout(PATIENCE, reading).await.expect("a frame or the end")
    }

    /// The error code of the next frame of that kind, with its stream.
    async fn error_of(&mut self, wanted: u8) -> Option<(u32, u32)> {
        loop {
            let (kind, _, stream, payload) = self.next().await?;
            if kind == wanted {
                let code = if kind == GOAWAY { &payload[4..8] } else { &payload[..4] };
                return Some((stream, u32::from_be_bytes(code.try_into().unwrap())));
            }
        }
    }

    /// Reads until the head of an answer on that stream.
    async fn answered(&mut self, wanted: u32) {
        while !matches!(self.next().await, Some((HEADERS, _, stream, _)) if stream == wanted) {}
    }
}

#[tokio::test]
async fn more_requests_at_once_than_an_http2_connection_may_have_are_refused_one_by_one() {
    let gate = shut();
    let bounds = Bounds { streams: 5, ..Bounds::default() };
    let wall = Wall::around(routes(&gate), 10, bounds).await;
    let mut frames = Frames::to(&wall).await;
    // The settings arrive before more than what they allow is sent.
    while !matches!(frames.next().await, Some((SETTINGS, ACK, ..))) {}
    frames.send(SETTINGS, ACK, 0, &[]).await;
    for at in 0..6 {
        frames.get(1 + 2 * at, "/wait").await;
    }
    assert_eq!(frames.error_of(RST_STREAM).await, Some((11, REFUSED_STREAM)));
    gate.open.add_permits(5);
    frames.answered(1).await;
    frames.get(13, "/").await;
    frames.answered(13).await;
}

#[tokio::test]
async fn an_http2_request_has_no_more_header_lines_than_another_one() {
    // The status comes first (RFC 7541): 200 is in the table, 431 is the name from the table and the value in Huffman code.
    for (lines, status) in [(100, &[0x88][..]), (101, &[0x48, 0x83, 0x69, 0x90, 0xff])] {
        let wall = Wall::around(routes(&shut()), 10, Bounds::default()).await;
        let mut frames = Frames::to(&wall).await;
        let head = [0x82, 0x86, 0x84, 0x01, 1, b'x'];
        let block = [&head[..], &[0x00, 1, b'y', 1, b'z'].repeat(lines)].concat();
        frames.send(HEADERS, END_STREAM_AND_HEADERS, 1, &block).await;
        let answer = loop {
            if let Some((HEADERS, _, 1, payload)) = frames.next().await {
                break payload;
            }
        };
        assert!(answer.starts_with(status), "{lines}: {answer:x?}");
    }
}

#[tokio::test]
async fn who_takes_requests_back_as_fast_as_they_come_is_sent_away() {
    let gate = shut();
    let wall = Wall::around(routes(&gate), 10, Bounds::default()).await;
    let mut other = wall.connect().await;
    assert_eq!(other.ask(HELLO).await.0, 200);
    let mut frames = Frames::to(&wall).await;
    // All at once, as the attack does: CVE-2023-44487.
    let mut all = Vec::new();
    for at in 0..2000_u32 {
        let stream = (1 + 2 * at).to_be_bytes();
        let block = [0x82, 0x86, 0x84, 0x01, 1, b'x'];
        all.extend([&[0, 0, 6, HEADERS, END_STREAM_AND_HEADERS], &stream[..], &block].concat());
        all.extend([&[0, 0, 4, RST_STREAM, 0], &stream[..], &[0, 0, 0, 8]].concat());
    }
    frames.0.send(all).await;
    assert_eq!(frames.error_of(GOAWAY).await, Some((0, ENHANCE_YOUR_CALM)));
    assert_eq!(other.ask(HELLO).await.0, 200);
}

#[tokio::test]
async fn an_http2_connection_is_kept_while_its_peer_answers_pings() {
    let bounds = Bounds { ping: SOON, pong: Duration::from_secs(3), head: SOON, ..Bounds::default() };
    let wall = Wall::around(routes(&shut()), 10, bounds).await;
    let mut alive = Frames::to(&wall).await;
    alive.get(1, "/").await;
    alive.answered(1).await;
    // Several times the time for a head, without a request.
    let mut pings = 0;
    while pings < 4 {
        let (kind, flags, _, payload) = alive.next().await.expect("who answers is kept");
        if kind == PING && flags & ACK == 0 {
            pings += 1;
            alive.send(PING, ACK, 0, &payload).await;
        }
    }
    alive.get(3, "/").await;
    alive.answered(3).await;
    // And who does not is gone, as everybody who was cut off without a word.
    let mut dead = Frames::to(&wall).await;
    dead.get(1, "/").await;
    dead.answered(1).await;
    while dead.next().await.is_some() {}
}

/// True when the answer to `first`, which came a moment before another request, is on its way while that one is answered.
async fn is_written_before_the_next_is_answered(first: &str) -> bool {
    let client: Arc<OnceLock<std::net::TcpStream>> = Arc::default();
    let looking = client.clone();
    let look = || async move { looking.get().unwrap().peek(&mut [0]).is_ok().to_string() };
    let slow = || async { std::thread::sleep(Duration::from_millis(2)) };
    let routes = Router::new().route("/", get(|| async {})).route("/slow", get(slow)).route("/look", get(look));
    let wall = Wall::around(routes, 10, Bounds::default()).await;
    let (mut one, mut other) = (wall.connect().await, wall.connect().await);
    // Both are waited for by the server.
    assert_eq!((one.ask(HELLO).await.0, other.ask(HELLO).await.0), (200, 200));
    let mut one = one.0.into_std().unwrap();
    client.set(one.try_clone().unwrap()).unwrap();
    // Both requests are there before the server, which has the same thread, sees one of them.
    one.write_all(get_of(first).as_bytes()).unwrap();
    assert_eq!(other.0.try_write(get_of("/look").as_bytes()).unwrap(), get_of("/look").len());
    other.answer().await.1.parse().unwrap()
}

#[tokio::test]
async fn quick_answers_to_requests_that_are_there_already_are_written_together() {
    // An answer is slow when the system takes the processor away meanwhile; not each time.
    let mut tries = 0;
    while is_written_before_the_next_is_answered("/").await {
        tries += 1;
        assert!(tries < 100, "each one is written alone");
    }
    assert!(is_written_before_the_next_is_answered("/slow").await, "and who took its time is not kept waiting");
}

#[tokio::test]
async fn a_server_that_is_asked_to_stop_says_so_with_each_answer_and_finishes_what_runs() {
    let gate = shut();
    let mut wall = Wall::around(routes(&gate), 10, Bounds::default()).await;
    let mut kept = wall.connect().await;
    let (_, head, _) = kept.ask(HELLO).await;
    assert!(!head.contains("connection:"), "{head}");
    let mut working = gate.keep_busy(&wall).await;

    wall.stopping.store(true, Ordering::SeqCst);
    // What is kept alive ends by being used, and new connections are still answered.
    for client in [&mut kept, &mut wall.connect().await] {
        let (status, head, _) = client.ask(HELLO).await;
        assert!(status == 200 && head.contains("\r\nconnection: close\r\n"), "{head}");
        assert_eq!(client.closed().await, 0);
    }
    // Said before the end, and so answered.
    let mut last = wall.connect().await;
    last.send(HELLO).await;
    wall.stop.take().unwrap().send(()).unwrap();
    assert_eq!(last.answer().await.1, "ok");
    let refused = async {
        while TcpStream::connect(wall.address).await.is_ok() {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    tokio::time::timeout(PATIENCE, refused).await.expect("new connections are refused");
    assert!(!wall.served.is_finished(), "a request is running");
    gate.open.add_permits(1);
    assert_eq!(working.answer().await.1, "waited");
    tokio::time::timeout(PATIENCE, &mut wall.served).await.expect("all is done").unwrap();
}

#[tokio::test]
async fn who_came_before_the_stop_is_answered() {
    let one = async || {
        let tcp = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let mut client = Client(TcpStream::connect(tcp.local_addr().unwrap()).await.unwrap());
        assert!(client.send(HELLO).await);
        let (bounds, stopping) = (Bounds::default(), Arc::default());
        let listener = Listener { tcp, tls: None, connections: 10, bounds, stopping };
        let served = tokio::spawn(listener.serve(routes(&shut()), async {}));
        assert_eq!(client.answer().await.1, "ok");
        tokio::time::timeout(PATIENCE, served).await.expect("all is done").unwrap();
    };
    // Whichever is seen first, the connection or the stop.
    futures_util::future::join_all((0..50).map(|_| one())).await;
}

#[tokio::test]
async fn a_request_that_never_ends_does_not_keep_a_server_from_stopping() {
    let gate = shut();
    let bounds = Bounds { stop: SOON, ..Bounds::default() };
    let mut wall = Wall::around(routes(&gate), 10, bounds).await;
    let _working = gate.keep_busy(&wall).await;
    wall.stop.take().unwrap().send(()).unwrap();
    tokio::time::timeout(PATIENCE, &mut wall.served).await.expect("the time is bounded").unwrap();
}

/// `grantor serve` with a configuration; the address where it serves.
fn serving(cli: &Cli, toml: &str) -> (crate::support::cli::Running, String) {
    let file = cli.write("grantor.toml", toml);
    let mut command = cli.bare(&words("serve --listen 127.0.0.1:0 --log-format json --config"));
    let (running, line) = log_until(command.args([&file, "--database", &cli.database_url()]), "\"serving\"");
    let line: Value = serde_json::from_str(&line).unwrap();
    (running, line["address"].as_str().unwrap().to_owned())
}

#[tokio::test]
async fn sigterm_leaves_balancers_time_to_turn_away_and_a_second_signal_ends_it() {
    let cli = Cli::new().await;
    let (mut running, address) = serving(&cli, "[server]\ndrain = '1h'\n");
    let ready = || http("GET", &format!("http://{address}/readyz"), "", "").0;
    assert_eq!(ready(), 200);
    running.signal("TERM");
    assert!(until(PATIENCE, || ready() == 503));
    let (status, head, _) = exchange(&address, b"GET /jwks HTTP/1.1\r\nHost: x\r\n\r\n");
    assert!(status == 200 && head.contains("\r\nconnection: close\r\n"), "{head}");
    running.signal("TERM");
    assert_eq!(running.ended().code(), Some(0));
}

#[tokio::test]
async fn sigint_and_a_drain_of_nothing_stop_at_once() {
    let cli = Cli::new().await;
    for (drain, signal) in [("1h", "INT"), ("0", "TERM"), ("0s", "TERM")] {
        let (mut running, _) = serving(&cli, &format!("[server]\ndrain = '{drain}'\n"));
        running.signal(signal);
        assert_eq!(running.ended().code(), Some(0));
    }
    let file = cli.write("grantor.toml", "[server]\ndrain = '-1s'\n");
    cli.misused(&["serve", "--listen", "127.0.0.1:0", "--config", &file], &["line 2", "duration '-1s'"]);
}

/// The soft limit of open files of a process.
fn open_files(pid: u32) -> String {
    let limits = std::fs::read_to_string(format!("/proc/{pid}/limits")).unwrap();
    let line = limits.lines().find(|line| line.starts_with("Max open files")).unwrap().to_owned();
    line.split_whitespace().nth(3).unwrap().to_owned()
}

#[tokio::test]
async fn a_limit_of_open_files_that_is_too_low_is_raised_or_lived_with() {
    let cli = Cli::new().await;
    let file = cli.write("grantor.toml", "[server]\nconnections = 300\n");
    for (limit, allowed, warned) in [("-Sn 100", "364", false), ("-n 100", "100", true)] {
        let serve = cli.bare(&words("serve --listen 127.0.0.1:0 --log-format json --config"));
        let mut command = std::process::Command::new("sh");
        command.args(["-c", &format!("ulimit {limit}; exec \"$0\" \"$@\"")]).arg(serve.get_program());
        command.args(serve.get_args()).args([&file, "--database", &cli.database_url()]);
        command.current_dir(cli.folder.path());
        let word = if warned { "too few files" } else { "\"serving\"" };
        let (mut running, line) = log_until(&mut command, word);
        assert_eq!(open_files(running.id()), allowed);
        if warned {
            let line: Value = serde_json::from_str(&line).unwrap();
            assert_eq!(
                (&line["level"], &line["connections"], &line["configured"]),
                (&"WARN".into(), &36.into(), &300.into())
            );
            assert!(line["message"].as_str().unwrap().contains("to 364 or more"), "{line}");
            running.says("\"serving\"");
        }
        running.signal("INT");
        assert_eq!(running.ended().code(), Some(0));
    }
}
