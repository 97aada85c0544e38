//! What sockets alone cost beside a signature: bytes are received, something is signed, bytes are sent. No HTTP is read.

use super::signatures::{Alg, Key};
use std::net::SocketAddr;
use std::sync::Arc;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

/// Serves until killed. Whatever arrives at once is taken for one request.
pub async fn serve(listen: SocketAddr, alg: Alg) {
    let key = Arc::new(Key::generate(alg));
    let token = "x".repeat(1300);
    let answer = format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n{token}", token.len());
    let answer: Arc<[u8]> = answer.into_bytes().into();
    let listener = TcpListener::bind(listen).await.unwrap();
    println!("{}", listener.local_addr().unwrap());
    loop {
        let (mut stream, _) = listener.accept().await.unwrap();
        stream.set_nodelay(true).unwrap();
        let (key, answer) = (key.clone(), answer.clone());
        tokio::spawn(async move {
            let mut request = vec![0; 8192];
            while let Ok(1..) = stream.read(&mut request).await {
                std::hint::black_box(key.sign(&request[..800]));
                if stream.write_all(&answer).await.is_err() {
                    break;
                }
            }
        });
    }
}
