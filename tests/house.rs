//! ARCHITECTURE.md and `src/lib.rs`: who may import whom, what stands where, and how long a file may be.

use regex::Regex;
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

/// The layers of `src/lib.rs`. A module may import from layers above its own line, and itself.
const LAYERS: &[&[&str]] = &[
    &["types"],
    &["store"],
    &["keys"],
    &["config", "hashing"],
    &["error", "telemetry"],
    &["app"],
    &["guessing", "gateway"],
    &["guard", "extract", "client_auth", "tokens"],
    &["grants", "login", "authorization", "sweep"],
    &["endpoints", "pages"],
    &["server"],
    &["cli"],
    &["main"],
];

/// Imports within one layer, which would become a circle if both directions were free.
const WITHIN_A_LAYER: &[(&str, &str)] =
    &[("extract", "client_auth"), ("endpoints", "pages"), ("authorization", "grants")];

/// Who may name a crate that the house keeps in one place.
const KEPT_IN: &[(&str, &[&str])] = &[
    ("axum", &["error", "extract", "endpoints", "pages", "server"]),
    ("sqlx", &["store"]),
    // telemetry: the log format is a value that the command line lists.
    ("clap", &["cli", "config", "telemetry"]),
];

/// Where time and randomness come from, and the only files that may name it. A signature draws its own nonce.
const SOURCES: &[(&str, &[&str])] = &[
    ("SystemTime::now", &["types/clock.rs"]),
    ("now_utc", &[]),
    ("Uuid::new_v4", &[]),
    ("Uuid::now_v7", &[]),
    ("rand::SystemRandom", &["keys/signer.rs"]),
    ("SecureRandom", &["types/random.rs"]),
];

/// Endpoints that no specification describes.
const OF_OUR_OWN: &[&str] = &["endpoints/health.rs", "endpoints/metrics.rs"];

const LONGEST: usize = 450;

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

/// Every Rust file below `folder` with its path from there and its text.
fn files(folder: &str) -> BTreeMap<String, String> {
    fn walk(base: &Path, folder: &Path, found: &mut BTreeMap<String, String>) {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                walk(base, &path, found);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                let name = path.strip_prefix(base).unwrap().to_str().unwrap().replace('\\', "/");
                found.insert(name, std::fs::read_to_string(&path).unwrap());
            }
        }
    }
    let base = root().join(folder);
    let mut found = BTreeMap::new();
    walk(&base, &base, &mut found);
    assert!(!found.is_empty());
    found
}

/// The text without comments and without its unit tests: what is compiled into the server.
fn code(text: &str) -> String {
    let text = text.split("\n#[cfg(test)]\n").next().unwrap();
    text.lines().filter(|line| !line.trim_start().starts_with("//")).collect::<Vec<_>>().join("\n")
}

/// `store/db.rs` belongs to `store`, `app.rs` to `app`.
fn module(path: &str) -> &str {
    path.split('/').next().unwrap().trim_end_matches(".rs")
}

fn layer(module: &str) -> usize {
    LAYERS
        .iter()
        .position(|layer| layer.contains(&module))
        .unwrap_or_else(|| panic!("'{module}' has no place in the list of layers"))
}

fn may_import(importer: &str, imported: &str) -> bool {
    importer == imported || layer(imported) < layer(importer) || WITHIN_A_LAYER.contains(&(importer, imported))
}

/// The top-level modules of ours that a text names: `crate::x`, `use crate::{x, y}`, `grantor::x`.
fn imports(code: &str) -> BTreeSet<String> {
    let single = Regex::new(r"\b(?:crate|grantor)::([a-z_][a-z0-9_]*)").unwrap();
    let grouped = Regex::new(r"\b(?:crate|grantor)::\{([^;]*)\}").unwrap();
    let first = Regex::new(r"^\s*([a-z_][a-z0-9_]*)").unwrap();
    let mut found: BTreeSet<String> = single.captures_iter(code).map(|found| found[1].to_owned()).collect();
    for group in grouped.captures_iter(code) {
        let mut depth = 0;
        for part in group[1].split_inclusive([',', '{', '}']) {
            if depth == 0
                && let Some(name) = first.captures(part)
            {
                found.insert(name[1].to_owned());
            }
            depth += part.matches('{').count();
            depth -= part.matches('}').count().min(depth);
        }
    }
    found
}

#[test]
fn an_arrow_never_turns_back() {
    let files = files("src");
    let modules: BTreeSet<&str> = files.keys().map(|path| module(path)).filter(|name| *name != "lib").collect();
    let mut breaches = Vec::new();
    for (path, text) in files.iter().filter(|(path, _)| *path != "lib.rs") {
        for imported in imports(&code(text)) {
            // Anything else behind `crate::` is a macro or an item of the library's root.
            if modules.contains(imported.as_str()) && !may_import(module(path), &imported) {
                breaches.push(format!("{path} imports {imported}"));
            }
        }
    }
    assert!(breaches.is_empty(), "{breaches:#?}");
}

#[test]
fn the_layers_are_those_that_lib_rs_shows() {
    let text = &files("src")["lib.rs"];
    let map = text.split("```text").nth(1).and_then(|rest| rest.split("```").next()).unwrap().replace("//!", "");
    let shown: Vec<BTreeSet<&str>> = map
        .split("<-")
        .map(|layer| layer.split(',').map(str::trim).filter(|name| !name.is_empty()).collect())
        .collect();
    let ours: Vec<BTreeSet<&str>> = LAYERS.iter().map(|layer| layer.iter().copied().collect()).collect();
    assert_eq!(shown, ours);
    let listed = Regex::new(r"(?m)^pub mod ([a-z_]+);$").unwrap();
    for found in listed.captures_iter(text) {
        layer(&found[1]);
    }
}

#[test]
fn the_reader_of_imports_sees_what_it_has_to_see() {
    let seen = |code: &str| imports(code).into_iter().collect::<Vec<_>>();
    assert_eq!(seen("use crate::store::keys::NewKey;"), ["store"]);
    assert_eq!(seen("use crate::{app::App, store::{a, b}, types};"), ["app", "store", "types"]);
    assert_eq!(seen("fn f() -> crate::error::OAuthError { $crate::types::Invalid }"), ["error", "types"]);
    assert!(may_import("store", "types") && !may_import("types", "store"));
    assert!(may_import("extract", "client_auth") && !may_import("client_auth", "extract"));
    assert_eq!(code("a\n// crate::x\nb\n#[cfg(test)]\nmod tests {}"), "a\nb");
}

#[test]
fn axum_sqlx_and_clap_are_named_only_where_they_belong() {
    for (path, text) in files("src") {
        for (name, places) in KEPT_IN {
            let named = Regex::new(&format!(r"\b{name}::|\buse {name};|\b{name}\(")).unwrap();
            assert!(!named.is_match(&code(&text)) || places.contains(&module(&path)), "{path} names {name}");
        }
    }
}

#[test]
fn the_wall_clock_and_the_random_source_are_read_only_in_types() {
    for (path, text) in files("src") {
        for (name, places) in SOURCES {
            let named = code(&text).contains(name);
            assert!(!named || places.contains(&path.as_str()), "{path} names {name}");
        }
    }
    let clock = &files("src")["types/clock.rs"];
    assert!(code(clock).contains("SystemTime::now"), "the rule must find what it is about");
}

#[test]
fn every_file_opens_with_what_it_is() {
    for (path, text) in files("src").into_iter().chain(files("tests")) {
        let first = text.lines().next().unwrap_or_default();
        assert!(first.starts_with("//! ") && first.len() > 10, "{path} opens with: {first}");
    }
}

#[test]
fn an_endpoint_a_grant_and_a_client_authentication_name_the_section_that_they_implement() {
    let names = Regex::new(r"RFC \d{4}|draft-[a-z-]+|OpenID Connect").unwrap();
    for (path, text) in files("src") {
        let folder = path.split_once('/').map(|(folder, _)| folder).unwrap_or_default();
        let inside = ["endpoints", "grants", "client_auth"].contains(&folder);
        if inside && !path.ends_with("/mod.rs") && !OF_OUR_OWN.contains(&path.as_str()) {
            let opening: Vec<&str> = text.lines().take_while(|line| line.starts_with("//!")).collect();
            assert!(names.is_match(&opening.join(" ")), "{path} names no section: {opening:?}");
        }
    }
}

#[test]
fn no_file_is_far_over_length() {
    for (path, text) in files("src") {
        let lines = text.lines().count();
        assert!(lines <= LONGEST, "{path} has {lines} lines; cut it");
    }
}

#[test]
fn there_is_no_utils() {
    let word = Regex::new(r"(^|[/_])(utils?|helpers?|misc|common)(\.rs|/|_|$)").unwrap();
    for path in files("src").into_keys().chain(files("tests").into_keys()) {
        assert!(!word.is_match(&path), "{path}: a file is an endpoint, a grant, a page or a noun");
    }
}

#[test]
fn every_test_file_is_in_the_test_binary_with_a_comment() {
    let files = files("tests");
    let main = &files["main.rs"];
    for path in files.keys().filter(|path| !path.contains('/') && *path != "main.rs") {
        let line = format!("mod {};", path.trim_end_matches(".rs"));
        let found = main.lines().find(|found| found.starts_with(&line));
        let comment = found.and_then(|found| found.split_once("// ")).map(|(_, comment)| comment.trim());
        assert!(comment.is_some_and(|comment| !comment.is_empty()), "tests/main.rs lacks '{line} // …'");
    }
}

#[test]
fn every_module_of_tests_main_is_a_file() {
    let listed = Regex::new(r"(?m)^mod ([a-z0-9_]+);").unwrap();
    let files = files("tests");
    for found in listed.captures_iter(&files["main.rs"]) {
        let name = &found[1];
        let there = [format!("{name}.rs"), format!("{name}/mod.rs")].iter().any(|path| files.contains_key(path));
        assert!(there, "mod {name} has no file");
    }
}
