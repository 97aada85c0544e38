//! A client that sends when a request is due, whether or not the last one was answered in time, so that a server that
//! stalls is seen to stall.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// How fast.
#[derive(Debug, Clone, Copy)]
pub struct Pace {
    pub rate: f64,
    pub connections: u32,
    pub seconds: f64,
}

/// Answers with `{"sent", "p50_us", "p90_us", "p99_us", "max_us"}`.
pub async fn run(address: SocketAddr, path: &str, form: &str, pace: Pace) -> serde_json::Value {
    let request: Arc<[u8]> = format!(
        "POST {path} HTTP/1.1\r\nHost: {address}\r\nContent-Type: application/x-www-form-urlencoded\r\n\
         Content-Length: {}\r\n\r\n{form}",
        form.len()
    )
    .into_bytes()
    .into();
    let started = Instant::now() + Duration::from_millis(200);
    let each = pace.rate / f64::from(pace.connections);
    let tasks: Vec<_> = (0..pace.connections)
        .map(|at| {
            let first = started + Duration::from_secs_f64(f64::from(at) / pace.rate);
            tokio::spawn(one(address, request.clone(), (first, each), started + Duration::from_secs_f64(pace.seconds)))
        })
        .collect();
    let mut latencies: Vec<Duration> = Vec::new();
    for task in tasks {
        latencies.extend(task.await.unwrap());
    }
    latencies.sort_unstable();
    let at = |share: f64| {
        #[allow(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            clippy::cast_precision_loss,
            reason = "a rank"
        )]
        let rank = (latencies.len() as f64 * share) as usize;
        latencies[rank.min(latencies.len() - 1)].as_micros()
    };
    serde_json::json!({
        "sent": latencies.len(), "p50_us": at(0.5), "p90_us": at(0.9), "p99_us": at(0.99), "max_us": at(1.0),
    })
}

async fn one(address: SocketAddr, request: Arc<[u8]>, due: (Instant, f64), end: Instant) -> Vec<Duration> {
    let (first, each) = due;
    let mut stream = TcpStream::connect(address).await.unwrap();
    stream.set_nodelay(true).unwrap();
    let (mut latencies, mut answer) = (Vec::new(), vec![0; 64 * 1024]);
    for turn in 0.. {
        let due = first + Duration::from_secs_f64(f64::from(turn) / each);
        if due >= end {
            break;
        }
        // The runtime's timer counts in milliseconds, so the last of them is waited out awake.
        tokio::time::sleep_until((due - Duration::from_millis(2)).into()).await;
        while Instant::now() < due {
            tokio::task::yield_now().await;
        }
        stream.write_all(&request).await.unwrap();
        let mut filled = 0;
        loop {
            let read = stream.read(&mut answer[filled..]).await.unwrap();
            assert!(read > 0, "the server closed the connection");
            filled += read;
            if is_whole(&answer[..filled]) {
                break;
            }
        }
        assert!(answer.starts_with(b"HTTP/1.1 200 "), "{}", String::from_utf8_lossy(&answer[..filled]));
        latencies.push(due.elapsed());
    }
    latencies
}

fn is_whole(answer: &[u8]) -> bool {
    let Some(head) = answer.windows(4).position(|four| four == b"\r\n\r\n") else { return false };
    let text = String::from_utf8_lossy(&answer[..head]).to_ascii_lowercase();
    let length = text.lines().find_map(|line| line.strip_prefix("content-length: "));
    length.is_some_and(|length| answer.len() >= head + 4 + length.trim().parse::<usize>().unwrap())
}
