//! The requests that gateways send to the check, byte for byte as they were recorded, over TCP to the real program.

use crate::support::cli::{Cli, Server, exchange};

/// A server, its address, a token of its example's client.
async fn serving() -> (Cli, Server, String, String) {
    let cli = Cli::new().await;
    let server = cli.quickstart();
    let address = server.made("public_url").strip_prefix("http://").unwrap().to_owned();
    let token = server.token();
    (cli, server, address, token)
}

/// Sends a recorded request with `TOKEN` filled in; answers status, head and body.
fn replay(address: &str, recorded: &str, token: &str) -> (u16, String, String) {
    let recorded = recorded.trim_start().replace("TOKEN", token).replace('\n', "\r\n");
    exchange(address, recorded.as_bytes())
}

#[track_caller]
fn assert_passes_with_the_token_alone(address: &str, recorded: &str, token: &str) {
    let (status, head, body) = replay(address, recorded, token);
    assert_eq!((status, body.as_str()), (200, "{}"), "{recorded} {head}");
    assert!(head.contains("\r\nx-auth-groups: data-engineers,kafka-rest\r\n"), "{head}");
    assert!(head.contains("\r\ncontent-length: 2\r\n"), "{head}");
    let (status, head, body) = replay(address, recorded, "x.y.z");
    assert_eq!(status, 401, "{recorded}");
    assert!(head.contains("\r\nwww-authenticate: bearer realm=\"grantor\", error=\"invalid_token\""), "{head}");
    assert!(body.starts_with('{') && body.ends_with('}') && !head.contains("x-auth-"), "{body}");
}

/// nginx 1.22, `auth_request`: HTTP/1.0, and the length of a body that it keeps to itself.
#[tokio::test]
async fn nginx_auth_request() {
    let (_cli, _server, address, token) = serving().await;
    let get = "
GET /gateway/check?scope=kafka.rest HTTP/1.0
Host: 127.0.0.1
Connection: close
X-Original-URI: /v1/topics?x=1
X-Original-Method: GET
User-Agent: curl/7.88.1
Accept: */*
Authorization: Bearer TOKEN

";
    let post = "
GET /gateway/check HTTP/1.0
Host: 127.0.0.1
Connection: close
X-Original-URI: /v1/topics
User-Agent: curl/7.88.1
Accept: */*
Authorization: Bearer TOKEN
Content-Length: 1048576
Content-Type: application/json
Cookie: session=abc

";
    let key = "
GET /gateway/check HTTP/1.0
Host: 127.0.0.1
Connection: close
X-Original-URI: /v1/topics?apikey=TOKEN&page=2

";
    for recorded in [get, post, key] {
        assert_passes_with_the_token_alone(&address, recorded, &token);
    }
}

/// Traefik 3, ForwardAuth: the original address in headers, hop-by-hop headers gone, chunked where it forwards a body.
#[tokio::test]
async fn traefik_forward_auth() {
    let (_cli, _server, address, token) = serving().await;
    let get = "
GET /gateway/check?group=kafka-rest HTTP/1.1
Host: 127.0.0.1:8080
User-Agent: curl/8.5.0
Accept: */*
Authorization: Bearer TOKEN
X-Forwarded-For: 172.18.0.1
X-Forwarded-Host: shop.example.com
X-Forwarded-Method: DELETE
X-Forwarded-Port: 443
X-Forwarded-Proto: https
X-Forwarded-Server: 8d1c0dd7a2f3
X-Forwarded-Uri: /v1/topics/a?x=%2Fy
X-Real-Ip: 172.18.0.1
Accept-Encoding: gzip

";
    let body = "
POST /gateway/check HTTP/1.1
Host: 127.0.0.1:8080
Authorization: Bearer TOKEN
X-Forwarded-Method: POST
X-Forwarded-Uri: /v1/topics
Transfer-Encoding: chunked
Content-Type: application/json

5
{\"a\":
";
    let key = "
GET /gateway/check HTTP/1.1
Host: 127.0.0.1:8080
X-Forwarded-Method: GET
X-Forwarded-Uri: /v1/topics?apikey=TOKEN

";
    for recorded in [get, body, key] {
        assert_passes_with_the_token_alone(&address, recorded, &token);
    }
}

/// Envoy, `ext_authz` by HTTP: the original method, host and path behind the prefix; only 200 lets through.
#[tokio::test]
async fn envoy_ext_authz() {
    let (_cli, _server, address, token) = serving().await;
    for line in ["GET /gateway/check/", "POST /gateway/check/v1/topics?page=2", "OPTIONS /gateway/check/v1//a%2Fb"] {
        let recorded = format!(
            "
{line} HTTP/1.1
host: shop.example.com
content-length: 0
authorization: Bearer TOKEN
x-envoy-internal: true
x-forwarded-for: 10.0.0.7
x-envoy-expected-rq-timeout-ms: 200

"
        );
        assert_passes_with_the_token_alone(&address, &recorded, &token);
    }
    // Envoy leaves out what is not named in its configuration: then there is no token.
    let bare = "GET /gateway/check/v1 HTTP/1.1\nhost: shop.example.com\ncontent-length: 0\n\n";
    let (status, head, _) = replay(&address, bare, &token);
    assert_eq!(status, 401);
    assert!(head.contains("\r\nwww-authenticate: bearer realm=\"grantor\"\r\n"), "{head}");
}

/// Kong's middleman plugin: a raw socket, a host without its port, and an answer that needs a length.
#[tokio::test]
async fn kong_middleman() {
    let (_cli, _server, address, token) = serving().await;
    for headers in [
        "\"authorization\":\"Bearer TOKEN\",\"host\":\"shop.example.com\"",
        "\"authorization\":[\"Bearer TOKEN\"],\"x\":[\"1\",\"2\"]",
        "\"apikey\":\"TOKEN\"",
    ] {
        let body = format!(
            "{{\"headers\":{{{headers},\"target_uri\":\"\\/v1\\/topics?x=1\",\"target_method\":\"GET\"}},\
             \"uri_args\":{{\"x\":\"1\"}},\"body_data\":null}}"
        );
        for token in [token.as_str(), "x.y.z"] {
            let body = body.replace("TOKEN", token);
            let recorded = format!(
                "POST /gateway/middleman HTTP/1.1\nHost: 127.0.0.1\nConnection: Keep-Alive\n\
                 Content-Type: application/json\nContent-Length: {}\n\n{body}",
                body.len()
            );
            let (status, head, said) = replay(&address, &recorded, token);
            assert_eq!(status, if token == "x.y.z" { 401 } else { 200 }, "{recorded} {said}");
            assert!(head.starts_with("http/1.1 ") && said.starts_with('{') && said.ends_with('}'), "{head}{said}");
        }
    }
}

#[tokio::test]
async fn a_head_request_and_an_expectation_are_answered_at_once() {
    let (_cli, _server, address, token) = serving().await;
    let head = "HEAD /gateway/check HTTP/1.1\nHost: x\nAuthorization: Bearer TOKEN\n\n";
    assert_eq!(replay(&address, head, &token).0, 200);
    let put = "PUT /gateway/check HTTP/1.1\nHost: x\nAuthorization: Bearer TOKEN\nExpect: 100-continue\n\
               Content-Length: 1000000\n\n";
    assert_eq!(replay(&address, put, &token).0, 200);
}
