//! URIs that mean something to the protocol: resources, redirects, and our own public address.

use super::Invalid;
use super::scope::is_scope_token;
use std::net::IpAddr;
use std::str::FromStr;
use url::{Host, Url};

/// The identifier of a protected resource (RFC 8707 §2): an absolute URI without fragment, or a plain word.
/// It is the `aud` of the resource's tokens, compared as a string.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ResourceIdentifier(String);

impl ResourceIdentifier {
    /// The identifier as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// For an identifier that was checked when it was stored.
    pub(crate) fn stored(text: String) -> Self {
        Self(text)
    }
}

impl FromStr for ResourceIdentifier {
    type Err = Invalid;

    fn from_str(text: &str) -> Result<Self, Invalid> {
        let bad = |why| Err(Invalid::new("resource", text, why));
        if text.len() > 255 || !is_scope_token(text) {
            return bad("use 1 to 255 visible ASCII characters without space, quote or backslash");
        }
        if text.ends_with("/.default") || text == ".default" {
            return bad("leave '/.default' away: it is added by whoever asks for a token");
        }
        if text.chars().all(|c| c.is_ascii_alphanumeric() || "._-".contains(c)) {
            return Ok(Self(text.to_owned()));
        }
        // RFC 8707 §2: an absolute URI, which MUST NOT include a fragment component.
        if Url::parse(text).is_err() {
            return bad("use an absolute URI such as https://api.example.com, or a plain word");
        }
        if text.contains('#') {
            return bad("a resource identifier has no fragment");
        }
        Ok(Self(text.to_owned()))
    }
}

impl std::fmt::Display for ResourceIdentifier {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

impl serde::Serialize for ResourceIdentifier {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.0)
    }
}

/// A registered redirect URI (RFC 6749 §3.1.2, RFC 9700 §2.6).
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct RedirectUri(String);

impl RedirectUri {
    /// The URI exactly as registered.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for RedirectUri {
    type Err = Invalid;

    fn from_str(text: &str) -> Result<Self, Invalid> {
        let bad = |why| Err(Invalid::new("redirect URI", text, why));
        if text.len() > 2048 || !text.chars().all(|c| c.is_ascii_graphic()) {
            return bad("use at most 2048 visible ASCII characters");
        }
        // RFC 6749 §3.1.2: absolute, without fragment.
        let Ok(url) = Url::parse(text) else {
            return bad("it must be an absolute URI such as https://app.example.com/cb");
        };
        if text.contains('#') {
            return bad("a redirect URI has no fragment");
        }
        if !url.username().is_empty() || url.password().is_some() {
            return bad("a redirect URI carries no user name or password");
        }
        // RFC 9700 §2.1: compared as a string; an asterisk would never match what was meant.
        if url.host_str().is_some_and(|host| host.contains('*')) {
            return bad("there are no wildcards; register each address");
        }
        match url.scheme() {
            "https" => Ok(Self(text.to_owned())),
            // RFC 9700 §2.6: http only for native applications on the loopback interface.
            "http" if is_loopback(&url) => Ok(Self(text.to_owned())),
            "http" => bad("http is only for the loopback interface; use https"),
            // RFC 8252 §7.1: a private-use scheme is a domain name in reverse order. MSAL's are msal<client id>://auth.
            scheme if scheme.contains('.') || scheme.starts_with("msal") => Ok(Self(text.to_owned())),
            _ => bad("use https, http on loopback, or a private-use scheme such as com.example.app"),
        }
    }
}

/// The origin of a web page (RFC 6454 §6.2), as browsers send it.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Origin(String);

impl Origin {
    /// Scheme, host and port, unless it is the scheme's own.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for Origin {
    type Err = Invalid;

    fn from_str(text: &str) -> Result<Self, Invalid> {
        let bad = |why| Err(Invalid::new("origin", text, why));
        let Ok(url) = Url::parse(text) else { return bad("write scheme, host and port, as https://app.example.com") };
        let bare = matches!(url.path(), "" | "/") && url.query().is_none() && url.fragment().is_none();
        if !bare || !url.username().is_empty() || url.password().is_some() {
            return bad("an origin has no path, query or user name");
        }
        match url.scheme() {
            "https" => Ok(Self(url.origin().ascii_serialization())),
            "http" if is_loopback(&url) => Ok(Self(url.origin().ascii_serialization())),
            _ => bad("use https, or http on loopback"),
        }
    }
}

/// True when an authorization request may name `asked` because `registered` was registered: the same string (RFC 9700
/// §2.1), or the same loopback address with another port (RFC 8252 §7.3).
pub fn may_redirect(registered: &str, asked: &str) -> bool {
    registered == asked || loopback(registered).is_some_and(|known| loopback(asked) == Some(known))
}

/// Host and what stands behind the port of an `http` URI on the loopback interface.
fn loopback(uri: &str) -> Option<(&str, &str)> {
    let rest = uri.strip_prefix("http://")?;
    let host = ["localhost", "127.0.0.1", "[::1]"].into_iter().find(|host| rest.starts_with(host))?;
    let behind = &rest[host.len()..];
    let path = match behind.strip_prefix(':') {
        Some(port) => {
            let end = port.find(|c: char| !c.is_ascii_digit()).unwrap_or(port.len());
            port[..end].parse::<u16>().ok()?;
            &port[end..]
        }
        None => behind,
    };
    // RFC 3986 §6.2.3: no path and the path / are the same, and libraries write either.
    match path {
        "" => Some((host, "/")),
        path if path.starts_with(['/', '?']) => Some((host, path)),
        _ => None,
    }
}

/// Where people and clients reach the server: scheme, host, perhaps port and path; no trailing slash.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PublicUrl(String);

impl PublicUrl {
    /// Without trailing slash.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// True when the address is https.
    pub fn is_https(&self) -> bool {
        self.0.starts_with("https://")
    }

    /// Host name or address, without port.
    pub fn host(&self) -> String {
        Url::parse(&self.0).ok().and_then(|url| url.host_str().map(str::to_owned)).unwrap_or_default()
    }

    /// Host, and port where it is not that of the scheme.
    pub fn authority(&self) -> String {
        Url::parse(&self.0).map(|url| url.authority().to_owned()).unwrap_or_default()
    }

    /// The path of `url` below this one, when it leads here. A client that leaves the port out means the same host.
    pub fn path_below(&self, url: &str) -> Option<String> {
        let (ours, url) = (Url::parse(&self.0).ok()?, Url::parse(url).ok()?);
        let here = url.scheme() == ours.scheme() && url.host() == ours.host();
        let port = url.port().is_none() || url.port() == ours.port();
        let below = url.path().strip_prefix(ours.path().trim_end_matches('/'))?;
        (here && port && below.starts_with('/')).then(|| below.to_owned())
    }

    /// True when only this machine reaches it.
    pub fn is_loopback(&self) -> bool {
        Url::parse(&self.0).is_ok_and(|url| is_loopback(&url))
    }

    /// The path in front of every endpoint's own, without trailing slash; mostly empty.
    pub fn path(&self) -> String {
        Url::parse(&self.0).map(|url| url.path().trim_end_matches('/').to_owned()).unwrap_or_default()
    }
}

impl FromStr for PublicUrl {
    type Err = Invalid;

    // RFC 8414 §2: the issuer is a URL without query or fragment. http is for development on one machine.
    fn from_str(text: &str) -> Result<Self, Invalid> {
        let bad = |why| Err(Invalid::new("public URL", text, why));
        let Ok(url) = Url::parse(text) else { return bad("use a URL such as https://login.example.com") };
        if !matches!(url.scheme(), "http" | "https") || url.host().is_none() {
            return bad("use https (http only on one machine)");
        }
        if url.query().is_some() || url.fragment().is_some() || !url.username().is_empty() || url.password().is_some() {
            return bad("an issuer has no query, fragment or user name");
        }
        if text.contains(char::is_whitespace) || url.path().contains("//") {
            return bad("write it without spaces or doubled slashes");
        }
        // As the parser writes it: lower-case host, no default port. What is compared as a string has one form.
        Ok(Self(url.as_str().trim_end_matches('/').to_owned()))
    }
}

impl std::fmt::Display for PublicUrl {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

/// True when the host is `localhost` or a loopback address.
fn is_loopback(url: &Url) -> bool {
    match url.host() {
        Some(Host::Domain(name)) => name == "localhost",
        Some(Host::Ipv4(address)) => IpAddr::from(address).is_loopback(),
        Some(Host::Ipv6(address)) => IpAddr::from(address).is_loopback(),
        None => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rfc8707_s2_an_identifier_is_absolute_and_has_no_fragment() {
        for text in ["https://hib.azurehdinsight.net", "https://x/", "api://app/one", "urn:kafka", "all-apis"] {
            assert!(text.parse::<ResourceIdentifier>().is_ok(), "{text}");
        }
        for text in ["", "https://x/#f", "//x/y", "a b", "https://x/.default", "/path"] {
            assert!(text.parse::<ResourceIdentifier>().is_err(), "{text}");
        }
    }

    #[test]
    fn rfc6749_s3_1_2_redirect_uris_are_absolute_without_fragment_and_http_is_loopback_only() {
        for text in [
            "https://app.example.com/cb?x=1",
            "http://localhost:8020",
            "http://127.0.0.1/cb",
            "http://[::1]:1/cb",
            "com.example.app:/cb",
            "msal3f2a://auth",
        ] {
            assert!(text.parse::<RedirectUri>().is_ok(), "{text}");
        }
        for text in [
            "http://app.example.com/cb",
            "https://a/#f",
            "/cb",
            "javascript:alert(1)",
            "data:text/html,x",
            "https://u:p@a/",
        ] {
            assert!(text.parse::<RedirectUri>().is_err(), "{text}");
        }
    }

    #[test]
    fn rfc8252_s7_3_only_the_port_of_a_loopback_redirect_is_free() {
        for (registered, asked) in [
            ("https://app.example.com/cb", "https://app.example.com/cb"),
            ("http://localhost", "http://localhost:49152"),
            ("http://127.0.0.1:1/cb?x=1", "http://127.0.0.1:65535/cb?x=1"),
            ("http://[::1]/cb", "http://[::1]:8080/cb"),
            ("http://localhost:8020", "http://localhost"),
            ("http://localhost", "http://localhost:1/"),
        ] {
            assert!(may_redirect(registered, asked), "{registered} {asked}");
        }
        for (registered, asked) in [
            ("https://app.example.com/cb", "https://app.example.com/cb/"),
            ("https://app.example.com/cb", "https://app.example.com:8443/cb"),
            ("http://localhost/cb", "http://localhost:1/cb2"),
            ("http://localhost", "http://127.0.0.1"),
            ("http://localhost", "http://localhost.evil.example"),
            ("http://localhost", "http://localhost:1@evil.example"),
            ("http://localhost", "http://localhost:99999"),
            ("http://localhost", "https://localhost:1"),
            ("http://localhost", "http://localhost:1/cb"),
        ] {
            assert!(!may_redirect(registered, asked), "{registered} {asked}");
        }
    }

    #[test]
    fn rfc8414_s2_the_public_url_has_one_form() {
        let url: PublicUrl = "https://Login.Example.com:443/".parse().unwrap();
        assert_eq!((url.as_str(), url.path().as_str()), ("https://login.example.com", ""));
        let url: PublicUrl = "https://example.com/auth/".parse().unwrap();
        assert_eq!((url.as_str(), url.path().as_str()), ("https://example.com/auth", "/auth"));
        assert_eq!(url.path_below("https://Example.com/auth/t1/x?q").as_deref(), Some("/t1/x"));
        for elsewhere in
            ["https://example.com/authority/x", "https://example.com/t1", "http://example.com/auth/t1", "x"]
        {
            assert_eq!(url.path_below(elsewhere), None, "{elsewhere}");
        }
        let url: PublicUrl = "https://localhost:8443".parse().unwrap();
        assert_eq!(url.authority(), "localhost:8443");
        assert_eq!(url.path_below("https://localhost/t1").as_deref(), Some("/t1"));
        assert_eq!(url.path_below("https://localhost:8443").as_deref(), Some("/"));
        assert_eq!(url.path_below("https://localhost:8444/t1"), None);
        for text in ["example.com", "ftp://x", "https://x/?q", "https://x/#f", "https://u@x"] {
            assert!(text.parse::<PublicUrl>().is_err(), "{text}");
        }
    }
}
