//! The real program: run a command and look at what it said; run a server and talk to it.

use crate::support::fresh_database;
use grantor::store::DatabaseUrl;
use serde_json::Value;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::path::PathBuf;
use std::process::{Child, ChildStderr, ChildStdout, Command, ExitStatus, Output, Stdio};
use std::time::{Duration, Instant};
use tempfile::TempDir;

/// The program.
const PROGRAM: &str = env!("CARGO_BIN_EXE_grantor");

/// The time within which a running server follows a change.
const FOLLOWS: Duration = Duration::from_secs(2);

/// Long enough for any answer; only a test that fails waits so long.
const PATIENCE: Duration = Duration::from_secs(60);

/// The log of a server, in the folder.
const LOG: &str = "server.log";

/// An installation of its own: a folder, a database, keys.
pub struct Cli {
    pub folder: TempDir,
    pub database: DatabaseUrl,
    environment: Vec<(String, String)>,
}

/// What a command said.
#[derive(Debug)]
pub struct Said {
    pub code: i32,
    pub out: String,
    pub err: String,
}

impl Said {
    /// Standard output as the one line of JSON that it must be.
    #[track_caller]
    pub fn json(&self) -> Value {
        assert_eq!(self.out.matches('\n').count(), 1, "not exactly one line: {self:?}");
        serde_json::from_str(&self.out).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }
}

impl Cli {
    /// Over a database of its own.
    pub async fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let database = fresh_database(&folder).await;
        Self { folder, database, environment: Vec::new() }
    }

    /// With a resource `https://api.example.com` (scopes `read` and `write`, role `Operator`) and the client `app`.
    pub async fn with_client() -> Self {
        let cli = Self::new().await;
        let api = "resource create https://api.example.com --scope read --scope write --role Operator";
        cli.ok(&words(api));
        cli.ok(&words("client create --name App --id app --allow https://api.example.com/.default"));
        cli
    }

    /// With one more variable in the environment of every command.
    pub fn set(&mut self, name: &str, value: &str) {
        self.environment.push((name.into(), value.into()));
    }

    /// The database as a person would name it.
    pub fn database_url(&self) -> String {
        match &self.database {
            DatabaseUrl::Sqlite(path) => path.to_str().unwrap().to_owned(),
            DatabaseUrl::Postgres(url) => url.clone(),
        }
    }

    /// A path in the folder, as text.
    pub fn path(&self, name: &str) -> String {
        self.folder.path().join(name).to_str().unwrap().to_owned()
    }

    /// Writes a file into the folder; answers its path.
    pub fn write(&self, name: &str, text: &str) -> String {
        std::fs::write(self.folder.path().join(name), text).unwrap();
        self.path(name)
    }

    /// The program with nothing of the outer configuration and nothing of its own.
    pub fn bare(&self, args: &[&str]) -> Command {
        let mut command = Command::new(PROGRAM);
        for (name, _) in std::env::vars_os() {
            if name.to_string_lossy().starts_with("GRANTOR_") {
                command.env_remove(name);
            }
        }
        command.current_dir(self.folder.path()).args(args).stdin(Stdio::null());
        command.envs(self.environment.iter().map(|(name, value)| (name, value)));
        command
    }

    fn command(&self, args: &[&str]) -> Command {
        let mut command = self.bare(&["--database", &self.database_url(), "--keys", &self.path("keys")]);
        command.args(args);
        command
    }

    /// Starts a command over the database and the keys and reads its standard output until a line holds `word`; then
    /// ends it. Answers what was read.
    pub fn read_until(&self, args: &[&str], word: &str) -> String {
        let mut child = self
            .command(args)
            .stdout(Stdio::piped())
            .stderr(std::fs::File::create(self.path(LOG)).unwrap())
            .spawn()
            .unwrap();
        let mut out = BufReader::new(child.stdout.take().unwrap());
        let mut all = String::new();
        while !all.contains(word) && out.read_line(&mut all).unwrap() > 0 {}
        child.kill().unwrap();
        child.wait().unwrap();
        assert!(all.contains(word), "no '{word}' in: {all}");
        all
    }

    /// Runs a command over the database and the keys.
    pub fn run(&self, args: &[&str]) -> Said {
        said(self.command(args).output().unwrap())
    }

    /// Runs a command without `--database` and `--keys`.
    pub fn run_bare(&self, args: &[&str]) -> Said {
        said(self.bare(args).output().unwrap())
    }

    /// Runs a command that reads standard input.
    pub fn run_with(&self, args: &[&str], input: &str) -> Said {
        let mut command = self.command(args);
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        // A command that refuses before it reads closes the pipe.
        let _ = child.stdin.take().unwrap().write_all(input.as_bytes());
        said(child.wait_with_output().unwrap())
    }

    /// Runs a command that must succeed; answers its text.
    #[track_caller]
    pub fn ok(&self, args: &[&str]) -> String {
        let said = self.run(args);
        assert_eq!(said.code, 0, "{args:?}: {said:?}");
        said.out
    }

    /// Runs a command with `--json` that must succeed; answers its value.
    #[track_caller]
    pub fn json(&self, args: &[&str]) -> Value {
        let said = self.run(&[&["--json"], args].concat());
        assert_eq!(said.code, 0, "{args:?}: {said:?}");
        said.json()
    }

    /// Runs a command that must be refused with exit code 1, saying every one of `words` on standard error and nothing
    /// on standard output.
    #[track_caller]
    pub fn refused(&self, args: &[&str], words: &[&str]) {
        assert_no(args, &self.run(args), 1, words);
    }

    /// Runs a command that must be refused as wrong usage with exit code 2.
    #[track_caller]
    pub fn misused(&self, args: &[&str], words: &[&str]) {
        assert_no(args, &self.run(args), 2, words);
    }

    /// Starts `quickstart` on a free port and waits until it serves.
    pub fn quickstart(&self) -> Server {
        self.quickstart_with(&[])
    }

    /// The same with more flags.
    pub fn quickstart_with(&self, flags: &[&str]) -> Server {
        let listen: &[&str] = if flags.contains(&"--listen") { &[] } else { &["--listen", "127.0.0.1:0"] };
        let mut child = self
            .command(&[&["quickstart", "--json"], listen, flags].concat())
            .stdout(Stdio::piped())
            .stderr(std::fs::File::create(self.path(LOG)).unwrap())
            .spawn()
            .unwrap();
        let mut line = String::new();
        let mut rest = BufReader::new(child.stdout.take().unwrap());
        rest.read_line(&mut line).unwrap();
        let log = self.folder.path().join(LOG);
        let made = serde_json::from_str(&line)
            .unwrap_or_else(|_| panic!("no line of JSON: {line} {}", std::fs::read_to_string(&log).unwrap()));
        Server { child, rest, log, made }
    }
}

/// The words of a command line that needs no quotes.
pub fn words(text: &str) -> Vec<&str> {
    text.split_whitespace().collect()
}

#[track_caller]
fn assert_no(args: &[&str], said: &Said, code: i32, words: &[&str]) {
    assert_eq!((said.code, said.out.as_str()), (code, ""), "{args:?}: {said:?}");
    for word in words {
        assert!(said.err.contains(word), "{args:?} does not say '{word}': {said:?}");
    }
}

fn said(output: Output) -> Said {
    Said {
        code: output.status.code().unwrap_or(-1),
        out: String::from_utf8(output.stdout).unwrap(),
        err: String::from_utf8(output.stderr).unwrap(),
    }
}

/// A running server; killed when dropped.
pub struct Server {
    child: Child,
    rest: BufReader<ChildStdout>,
    log: PathBuf,
    /// The line of JSON that `quickstart` printed.
    pub made: Value,
}

impl Server {
    /// A member of what `quickstart` printed.
    #[track_caller]
    pub fn made(&self, name: &str) -> &str {
        self.made[name].as_str().unwrap_or_else(|| panic!("no {name} in {}", self.made))
    }

    /// POST of a form to a URL that quickstart printed.
    pub fn post(&self, endpoint: &str, form: &[(&str, &str)]) -> (u16, Value) {
        let body = serde_urlencoded::to_string(form).unwrap();
        let head = format!("Content-Type: application/x-www-form-urlencoded\r\nContent-Length: {}\r\n", body.len());
        http("POST", self.made(endpoint), &head, &body)
    }

    /// GET of a URL that quickstart printed.
    pub fn get(&self, endpoint: &str) -> (u16, Value) {
        http("GET", self.made(endpoint), "", "")
    }

    /// A token request of the example's client.
    pub fn request_token(&self, scope: &str) -> (u16, Value) {
        let form = [
            ("grant_type", "client_credentials"),
            ("client_id", self.made("client_id")),
            ("client_secret", self.made("client_secret")),
            ("scope", scope),
        ];
        self.post("token_endpoint", &form)
    }

    /// A token of the example's client, which must be issued.
    #[track_caller]
    pub fn token(&self) -> String {
        let (status, body) = self.request_token(self.made("scope"));
        assert_eq!(status, 200, "{body}");
        body["access_token"].as_str().unwrap().to_owned()
    }

    /// Asks again and again until the change is seen, for at most the two seconds that a change may take.
    #[track_caller]
    pub fn within_two_seconds(&self, what: &str, seen: impl FnMut() -> bool) {
        assert!(until(FOLLOWS, seen), "not seen within two seconds: {what}");
    }

    /// What it has logged so far.
    pub fn log(&self) -> String {
        std::fs::read_to_string(&self.log).unwrap()
    }

    /// Asks the server to end, and waits for it; answers how it ended, what else it printed, and its log.
    pub fn terminate(mut self) -> (ExitStatus, String, String) {
        assert!(Command::new("kill").args(["-TERM", &self.child.id().to_string()]).status().unwrap().success());
        let mut out = String::new();
        self.rest.read_to_string(&mut out).unwrap();
        let status = self.child.wait().unwrap();
        (status, out, std::fs::read_to_string(&self.log).unwrap())
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Starts `command`, a server, and reads its log until a line holds `word`; answers that line.
pub fn log_until(command: &mut Command, word: &str) -> (Running, String) {
    let mut child = command.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
    let log = BufReader::new(child.stderr.take().unwrap());
    let mut running = Running { child, log };
    let line = running.says(word);
    (running, line)
}

/// A process that is killed when dropped.
pub struct Running {
    child: Child,
    log: BufReader<ChildStderr>,
}

impl Running {
    /// Reads its log on until a line holds `word`; answers that line.
    pub fn says(&mut self, word: &str) -> String {
        let mut all = String::new();
        loop {
            let from = all.len();
            assert!(self.log.read_line(&mut all).unwrap() > 0, "the server ended without saying '{word}': {all}");
            if all[from..].contains(word) {
                return all[from..].to_owned();
            }
        }
    }

    /// Its number.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// Sends it a signal by name.
    pub fn signal(&self, name: &str) {
        assert!(Command::new("kill").args([&format!("-{name}"), &self.id().to_string()]).status().unwrap().success());
    }

    /// Waits until it ended.
    pub fn ended(&mut self) -> ExitStatus {
        let mut status = None;
        assert!(until(PATIENCE, || {
            status = self.child.try_wait().unwrap();
            status.is_some()
        }));
        status.unwrap()
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Asks again and again until the answer is yes or the time is over. What was asked in time counts, however late the
/// answer.
pub fn until(time: Duration, mut seen: impl FnMut() -> bool) -> bool {
    let start = Instant::now();
    loop {
        // What was asked in time counts, however long the answer took.
        let late = start.elapsed() > time;
        if seen() {
            return true;
        }
        if late {
            return false;
        }
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// One HTTP/1.1 request; a body that is not JSON is answered as a JSON text.
pub fn http(method: &str, url: &str, headers: &str, body: &str) -> (u16, Value) {
    let url = url::Url::parse(url).unwrap();
    let host = format!("{}:{}", url.host_str().unwrap(), url.port().unwrap());
    let mut stream = TcpStream::connect(&host).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    let request =
        format!("{method} {} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n{headers}\r\n{body}", url.path());
    stream.write_all(request.as_bytes()).unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap_or_else(|| panic!("not HTTP: {answer}"));
    let status = head.split(' ').nth(1).unwrap().parse().unwrap();
    (status, serde_json::from_str(body).unwrap_or_else(|_| body.into()))
}

/// Sends bytes over TCP and reads one answer, as far as its head says that it goes; answers status, head and body.
pub fn exchange(address: &str, request: &[u8]) -> (u16, String, String) {
    let mut stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream.write_all(request).unwrap();
    let mut reader = BufReader::new(stream);
    let mut head = String::new();
    while !head.ends_with("\r\n\r\n") {
        assert!(reader.read_line(&mut head).unwrap() > 0, "not HTTP: {head}");
    }
    let status = head.split(' ').nth(1).unwrap().parse().unwrap();
    let length = head.lines().find_map(|line| line.to_lowercase().strip_prefix("content-length: ")?.parse().ok());
    let mut body = vec![0; length.expect("a length is what old readers need")];
    if !request.starts_with(b"HEAD ") {
        reader.read_exact(&mut body).unwrap();
    }
    (status, head.to_lowercase(), String::from_utf8(body).unwrap())
}
