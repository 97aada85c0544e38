//! The store on the engine under test: statements, opening, purging, the log of changes, a database that is away.

use crate::support::{API, START, TestApp, fresh_database};
use grantor::app::App;
use grantor::config::{Config, Flags, ListenFlags};
use grantor::store::clients::Client;
use grantor::store::keys::NewKey;
use grantor::store::revocations::Revocation;
use grantor::store::{DatabaseUrl, Engine, Store, StoreError};
use grantor::store::{all_members, token_states};
use grantor::types::alg::Alg;
use grantor::types::clock::Clock;
use grantor::types::id::StatusListId;
use grantor::types::random::Random;
use grantor::types::status::StatusIndex;
use regex::Regex;
use sqlx::{AssertSqlSafe, Connection, Executor, SqlSafeStr};
use std::sync::Arc;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

/// Every SQL text that the store hands to sqlx, with the file it stands in.
pub fn statements() -> Vec<(String, String)> {
    let call = Regex::new(r"sqlx::query(?:_as|_scalar)?(?:::<[^(]*>)?\(").unwrap();
    let literal = Regex::new(r#"(?s)^\s*"((?:[^"\\]|\\.)*)""#).unwrap();
    let continued = Regex::new(r"\\\n\s*").unwrap();
    let mut found = Vec::new();
    let mut paths = vec![std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("src/store")];
    while let Some(path) = paths.pop() {
        if path.is_dir() {
            paths.extend(std::fs::read_dir(path).unwrap().map(|entry| entry.unwrap().path()));
            continue;
        }
        let file = path.file_name().unwrap().to_str().unwrap().to_owned();
        let text = std::fs::read_to_string(&path).unwrap();
        for at in call.find_iter(&text) {
            let rest = &text[at.end()..];
            // Put together of parts, so it stands in a constant.
            if rest.starts_with("statement)") {
                continue;
            }
            let literal = literal.captures(rest);
            let literal = literal.unwrap_or_else(|| panic!("{file}: no literal at {:?}", rest.get(..60)));
            found.push((file.clone(), continued.replace_all(&literal[1], "").into_owned()));
        }
    }
    for (file, texts) in
        [("token_states.rs", &token_states::STATEMENTS[..]), ("all_members.rs", &all_members::STATEMENTS)]
    {
        found.extend(texts.iter().map(|text| (file.to_owned(), (*text).to_owned())));
    }
    found
}

#[tokio::test]
async fn every_statement_prepares_on_the_engine_under_test() {
    let test = TestApp::new().await;
    let statements = statements();
    assert!(statements.len() > 80, "only {} statements found", statements.len());
    let mut wrong = Vec::new();
    match &test.database {
        DatabaseUrl::Sqlite(path) => {
            let mut conn = sqlx::SqliteConnection::connect(path.to_str().unwrap()).await.unwrap();
            for (file, text) in statements {
                if let Err(error) = (&mut conn).prepare(AssertSqlSafe(text.clone()).into_sql_str()).await {
                    wrong.push(format!("{file}: {text}: {error}"));
                }
            }
            assert!((&mut conn).prepare("SELECT nothing FROM nowhere".into_sql_str()).await.is_err());
        }
        DatabaseUrl::Postgres(url) => {
            let mut conn = sqlx::PgConnection::connect(url).await.unwrap();
            for (file, text) in statements {
                if let Err(error) = (&mut conn).prepare(AssertSqlSafe(text.clone()).into_sql_str()).await {
                    wrong.push(format!("{file}: {text}: {error}"));
                }
            }
            assert!((&mut conn).prepare("SELECT nothing FROM nowhere".into_sql_str()).await.is_err());
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[tokio::test]
async fn no_statement_uses_what_only_one_engine_knows() {
    let foreign =
        Regex::new(r"(?i)\bILIKE\b|= ANY|FOR UPDATE|\bnow\(\)|\bSTRICT\b|INSERT OR |\bLIMIT -|::[a-z]").unwrap();
    for (file, text) in statements() {
        assert!(!foreign.is_match(&text), "{file}: {text}");
    }
    assert!(foreign.is_match("SELECT now()"));
}

#[tokio::test]
async fn migrations_run_twice_without_change() {
    let (test, _) = TestApp::with_client().await;
    let count = "SELECT COUNT(*) FROM _sqlx_migrations";
    let (applied, revision) = (test.number(count).await, test.app.store.revision().await.unwrap());
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("migrations");
    assert_eq!(usize::try_from(applied).unwrap(), std::fs::read_dir(folder).unwrap().count());
    let again = Store::open(&test.database).await.unwrap();
    assert_eq!(test.number(count).await, applied);
    assert_eq!(again.revision().await.unwrap(), revision);
    assert!(again.find_client(test.tenant_id().await, "app").await.unwrap().is_some());
}

#[tokio::test]
async fn a_schema_that_a_newer_version_expanded_is_let_be() {
    let (test, _) = TestApp::with_client().await;
    test.execute(
        "INSERT INTO _sqlx_migrations (version, description, success, checksum, execution_time) \
         SELECT 999999, 'later', success, checksum, 0 FROM _sqlx_migrations WHERE version = 1",
    )
    .await;
    let older = Store::open(&test.database).await.unwrap();
    assert!(older.find_client(test.tenant_id().await, "app").await.unwrap().is_some());
}

#[tokio::test]
async fn two_stores_open_one_fresh_database_at_once_as_tasks_of_one_thread() {
    for _ in 0..3 {
        let folder = tempfile::tempdir().unwrap();
        let url = fresh_database(&folder).await;
        let (first, second) = tokio::join!(Store::open(&url), Store::open(&url));
        assert_eq!(first.unwrap().revision().await.unwrap(), second.unwrap().revision().await.unwrap());
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn many_stores_open_one_fresh_database_at_once_from_several_threads() {
    let folder = tempfile::tempdir().unwrap();
    let url = fresh_database(&folder).await;
    let opening: Vec<_> = (0..6)
        .map(|_| {
            let url = url.clone();
            tokio::spawn(async move { Store::open(&url).await })
        })
        .collect();
    for store in opening {
        store.await.unwrap().unwrap().ping().await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn servers_that_start_at_once_share_one_tenant_one_key_and_one_key_encryption_key() {
    for _ in 0..5 {
        let folder = tempfile::tempdir().unwrap();
        let flags = Flags { keys: Some(folder.path().join("keys")), ..Flags::default() };
        let mut config = Config::load(&flags, &ListenFlags::default(), None).unwrap();
        config.database = fresh_database(&folder).await;
        let opening: Vec<_> = (0..4)
            .map(|_| {
                let (config, url) = (config.clone(), "https://login.example.com".parse().unwrap());
                tokio::spawn(async move { App::open(config, url, Clock::manual(START), Random::system()).await })
            })
            .collect();
        let mut kids = Vec::new();
        for app in opening {
            let app: Arc<App> = app.await.unwrap().unwrap();
            let tenant = app.store.find_tenant("default").await.unwrap().unwrap();
            let ring = app.key_ring(tenant.id).await.unwrap();
            kids.push(ring.signing(Alg::Rs256, START).unwrap().jwk.kid.clone());
        }
        kids.dedup();
        assert_eq!(kids.len(), 1);
    }
}

#[tokio::test]
async fn a_database_url_never_shows_its_password() {
    for text in [
        "postgres://grantor:hunter2@db.example.com:5432/grantor",
        "postgresql://grantor:hunter2@db.example.com/grantor?sslmode=require",
        "postgres://grantor@db.example.com/grantor?password=hunter2",
        "postgres://grantor:12/hunter2@db.example.com/grantor",
        "postgres://grantor:1@2/hunter2@db.example.com/grantor",
        "postgres://grantor:12#hunter2@db.example.com/grantor",
        "postgres://grantor:12?hunter2@db.example.com/grantor",
        "postgres://grantor:hun/hunter2@db.example.com/grantor",
    ] {
        // One with an unencoded character in the password may be refused at once, without being shown.
        let shown = match text.parse::<DatabaseUrl>() {
            Ok(url) => [url.to_string(), format!("{url:?}")],
            Err(refused) => [refused.to_string(), format!("{refused:?}")],
        };
        assert!(shown.iter().all(|shown| !shown.contains("hunter2")), "{text} shows as {shown:?}");
    }
    let url: DatabaseUrl = "postgres://grantor:hunter2@db.example.com:5432/grantor".parse().unwrap();
    assert_eq!(url.to_string(), "postgres://db.example.com:5432/grantor");
    assert_eq!("sqlite://data/grantor.db".parse::<DatabaseUrl>().unwrap().to_string(), "data/grantor.db");
}

#[tokio::test]
async fn a_text_that_is_no_database_is_refused_without_being_shown() {
    for text in [
        "mysql://grantor:hunter2@db/grantor",
        "POSTGRES://grantor:hunter2@db/grantor",
        "postgres:/grantor:hunter2@db/grantor",
        "postgresql:grantor:hunter2@db/grantor",
        "grantor:hunter2@db.example.com/grantor",
        "sqlite::memory:",
        "",
    ] {
        let refused = text.parse::<DatabaseUrl>().expect_err(text).to_string();
        assert!(!refused.contains("hunter2"), "{refused}");
        assert!(refused.contains("use a file's path or postgres://user@host/name"), "{refused}");
    }
    let refused =
        "postgres://grantor:hunter2@127.0.0.1:port/grantor".parse::<DatabaseUrl>().expect_err("port").to_string();
    assert!(!refused.contains("hunter2") && refused.contains("%40"), "{refused}");
    for text in ["grantor.db", "/var/lib/grantor/data", "sqlite:grantor.db", "postgres://u@h/d"] {
        assert!(text.parse::<DatabaseUrl>().is_ok(), "{text}");
    }
}

#[tokio::test]
async fn a_database_that_cannot_be_reached_is_unavailable_and_says_so_without_the_password() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("file"), "x").unwrap();
    for text in [
        "postgres://grantor:hunter2@127.0.0.1:1/grantor".to_owned(),
        folder.path().join("file/below.db").to_str().unwrap().to_owned(),
        folder.path().to_str().unwrap().to_owned(),
    ] {
        let error = Store::open(&text.parse().unwrap()).await.expect_err(&text);
        assert!(matches!(error, StoreError::Unavailable(_)), "{text}: {error}");
        assert!(!error.to_string().contains("hunter2"), "{error}");
    }
}

#[tokio::test]
async fn a_database_whose_connections_are_closed_unread_is_unavailable() {
    // As by a proxy that has nothing behind it. The end of the stream is read as an answer that nobody knows.
    for said in [b"".as_slice(), b"?"] {
        let listening = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("postgres://grantor@{}/grantor", listening.local_addr().unwrap());
        let closing = tokio::spawn(async move {
            loop {
                let (mut connection, _) = listening.accept().await.unwrap();
                connection.read_buf(&mut Vec::with_capacity(64)).await.unwrap();
                connection.write_all(said).await.unwrap();
            }
        });
        let error = Store::open(&url.parse().unwrap()).await.expect_err("nobody is there");
        assert!(matches!(error, StoreError::Unavailable(_)), "{said:?}: {error}");
        closing.abort();
    }
}

#[tokio::test]
async fn a_database_of_another_program_is_left_as_it_is() {
    let test = TestApp::new().await;
    let folder = tempfile::tempdir().unwrap();
    let url = crate::support::fresh_database(&folder).await;
    if let DatabaseUrl::Sqlite(path) = &url {
        std::fs::File::create(path).unwrap();
    }
    let other = test.at_database(&url);
    other.execute("CREATE TABLE orders (id BIGINT)").await;
    let refused = Store::open(&url).await.expect_err("somebody else's").to_string();
    assert!(refused.contains("belongs to another program"), "{refused}");
    other.execute("DROP TABLE orders").await;
    Store::open(&url).await.unwrap();
}

#[cfg(unix)]
#[tokio::test]
async fn a_sqlite_file_is_readable_by_its_owner_alone() {
    use std::os::unix::fs::PermissionsExt;
    let test = TestApp::new().await;
    if test.app.store.engine() == Engine::Postgres {
        eprintln!("skipped: PostgreSQL has no file of ours");
        return;
    }
    test.resource(API, |_| ()).await;
    for name in ["grantor.db", "grantor.db-wal", "grantor.db-shm"] {
        let mode = std::fs::metadata(test.folder.path().join(name)).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600, "{name}");
    }
}

/// A revocation of a token that expires then.
fn revocation(test: &TestApp, list: StatusListId, expires_at: i64) -> Revocation {
    Revocation { jti: test.app.random.uuid_v4(), status: StatusIndex { list, index: 0 }, expires_at }
}

#[tokio::test]
async fn revocations_are_purged_in_batches_and_only_once_expired() {
    let test = TestApp::new().await;
    let (store, tenant) = (&test.app.store, test.tenant_id().await);
    let list = test.app.random.uuid_v4().into();
    for _ in 0..510 {
        store.revoke_token(tenant, &revocation(&test, list, START + 99), START).await.unwrap();
    }
    for expires_at in [START + 100, START + 101] {
        store.revoke_token(tenant, &revocation(&test, list, expires_at), START).await.unwrap();
    }
    assert_eq!(store.count_expired(START + 100).await.unwrap(), 510);
    let mut batches = Vec::new();
    for _ in 0..3 {
        batches.push(store.purge_revocations(START + 100).await.unwrap());
    }
    assert_eq!(batches, [500, 10, 0]);
    assert_eq!(test.number("SELECT COUNT(*) FROM revocations").await, 2);
}

#[tokio::test]
async fn status_lists_and_keys_are_purged_only_once_expired() {
    let test = TestApp::new().await;
    let (store, tenant) = (&test.app.store, test.tenant_id().await);
    let list = test.app.random.uuid_v4().into();
    store.lease_indexes(tenant, (64, START + 100), list, START).await.unwrap();
    assert_eq!(store.purge_status_lists(START + 100).await.unwrap(), 0);
    assert!(store.status_list_size(tenant, list).await.unwrap().is_some());
    assert_eq!(store.purge_status_lists(START + 101).await.unwrap(), 1);
    assert!(store.status_list_size(tenant, list).await.unwrap().is_none());

    let key =
        |kid: &str| NewKey { kid: kid.into(), alg: Alg::Es256, sealed: vec![], created_at: START, activates_at: START };
    assert!(store.ensure_key(tenant, &key("old"), START).await.unwrap());
    let succession = grantor::store::keys::Succession { active_before: i64::MAX, overlap: 100 };
    assert!(store.succeed_key(tenant, &key("new"), succession, START).await.unwrap());
    let expires_at = test.number("SELECT expires_at FROM signing_keys WHERE kid = 'old'").await;
    assert_eq!(store.purge_keys(expires_at).await.unwrap(), 0);
    assert_eq!(store.purge_keys(expires_at + 1).await.unwrap(), 1);
    // A key without a successor has no end.
    assert_eq!(store.purge_keys(i64::MAX).await.unwrap(), 0);
    assert_eq!(test.number("SELECT COUNT(*) FROM signing_keys WHERE kid = 'new'").await, 1);
}

#[tokio::test]
async fn changes_are_purged_by_age_and_the_newest_stays() {
    let test = TestApp::new().await;
    let store = &test.app.store;
    test.group("one").await;
    test.clock.advance(100);
    test.group("two").await;
    assert_eq!(store.purge_changes(START + 100).await.unwrap() as i64, store.revision().await.unwrap() - 1);
    test.group("three").await;
    assert_eq!(store.purge_changes(START + 100).await.unwrap(), 0);
    store.purge_changes(i64::MAX).await.unwrap();
    assert_eq!(test.number("SELECT COUNT(*) FROM changes").await, 1);
    assert_eq!(test.number("SELECT revision FROM changes").await, store.revision().await.unwrap());
}

/// Disables a client behind the back of whoever has it in memory.
async fn disable(test: &TestApp, client: &Client) {
    let tenant = test.tenant_id().await;
    test.app.store.set_client_enabled(tenant, client, false, test.clock.now()).await.unwrap();
}

#[tokio::test]
async fn a_second_server_sees_what_the_first_one_changed_once_it_followed() {
    let (first, client) = TestApp::with_client().await;
    let second = first.second_server().await;
    let scope = format!("{API}/.default");
    second.token(&client, &scope).await;
    disable(&first, &first.find_client("app").await).await;
    second.sync().await;
    second.request_token(&client, &scope).await.assert_error(401, "invalid_client", 2005);
    // And the other way round.
    first.request_token(&client, &scope).await;
    let tenant = first.tenant_id().await;
    let stored = second.find_client("app").await;
    second.app.store.set_client_enabled(tenant, &stored, true, START).await.unwrap();
    first.sync().await;
    first.token(&client, &scope).await;
}

#[tokio::test]
async fn more_changes_than_one_look_brings_are_all_followed() {
    let (first, client) = TestApp::with_client().await;
    let second = first.second_server().await;
    let scope = format!("{API}/.default");
    second.token(&client, &scope).await;
    let revision = first.app.store.revision().await.unwrap();
    let tenant = first.tenant_id().await;
    first
        .execute(&format!(
            "INSERT INTO changes (revision, tenant_id, noun, subject, changed_at) \
             WITH RECURSIVE turns (turn) AS (SELECT 1 UNION ALL SELECT turn + 1 FROM turns WHERE turn < 1003) \
             SELECT {revision} + turn, id, 'group', '', {START} FROM turns, tenants"
        ))
        .await;
    first.execute(&format!("UPDATE revisions SET revision = {}", revision + 1003)).await;
    let stored = first.find_client("app").await;
    first.app.store.set_client_enabled(tenant, &stored, false, START).await.unwrap();
    second.sync().await;
    assert_eq!(second.app.directory.applied().revision(), revision + 1004);
    second.request_token(&client, &scope).await.assert_error(401, "invalid_client", 2005);
}

#[tokio::test]
async fn a_gap_at_the_start_of_the_log_empties_memory() {
    let (first, client) = TestApp::with_client().await;
    let second = first.second_server().await;
    let scope = format!("{API}/.default");
    second.token(&client, &scope).await;
    disable(&first, &first.find_client("app").await).await;
    first.group("later").await;
    // The server slept for so long that the change it needs is gone.
    while first.app.store.purge_changes(i64::MAX).await.unwrap() > 0 {}
    second.sync().await;
    second.request_token(&client, &scope).await.assert_error(401, "invalid_client", 2005);
}

#[tokio::test]
async fn a_gap_within_the_log_empties_memory() {
    let (first, client) = TestApp::with_client().await;
    let second = first.second_server().await;
    let scope = format!("{API}/.default");
    second.token(&client, &scope).await;
    first.group("earlier").await;
    disable(&first, &first.find_client("app").await).await;
    let hole = first.app.store.revision().await.unwrap();
    first.group("later").await;
    // Written by a server whose clock was far behind, so that the sweep took it for old.
    first.execute(&format!("DELETE FROM changes WHERE revision = {hole}")).await;
    second.sync().await;
    second.request_token(&client, &scope).await.assert_error(401, "invalid_client", 2005);
}

#[tokio::test]
async fn without_a_gap_memory_is_kept() {
    let (first, client) = TestApp::with_client().await;
    let second = first.second_server().await;
    let scope = format!("{API}/.default");
    second.token(&client, &scope).await;
    let tenant = first.tenant_id().await;
    let held = second.app.directory.client(tenant, "app").await.unwrap().unwrap();
    first.group("other").await;
    second.sync().await;
    let still = second.app.directory.client(tenant, "app").await.unwrap().unwrap();
    assert!(Arc::ptr_eq(&held, &still));
}

#[tokio::test]
async fn after_closing_every_read_and_write_is_unavailable() {
    let (test, _) = TestApp::with_client().await;
    let (store, tenant) = (&test.app.store, test.tenant_id().await);
    let stored = test.find_client("app").await;
    store.ping().await.unwrap();
    store.close().await;
    let away = |error: StoreError| assert!(matches!(error, StoreError::Unavailable(_)), "{error}");
    away(store.ping().await.unwrap_err());
    away(store.find_tenant("default").await.unwrap_err());
    away(store.list_resources(tenant).await.unwrap_err());
    away(store.list_keys(tenant, START).await.map(drop).unwrap_err());
    away(store.revision().await.unwrap_err());
    let list = test.app.random.uuid_v4().into();
    away(store.revoke_token(tenant, &revocation(&test, list, START), START).await.unwrap_err());
    match store.set_client_enabled(tenant, &stored, false, START).await.unwrap_err() {
        grantor::store::AdminError::Store(error) => away(error),
        refused => panic!("{refused}"),
    }
}

#[tokio::test]
async fn requests_that_are_running_while_the_store_closes_are_answered_or_unavailable() {
    let (test, _) = TestApp::with_client().await;
    let store = test.app.store.clone();
    let tenant = test.tenant_id().await;
    let reading: Vec<_> = (0..20)
        .map(|_| {
            let store = store.clone();
            tokio::spawn(async move { store.list_resources(tenant).await })
        })
        .collect();
    store.close().await;
    for read in reading {
        match read.await.unwrap() {
            Ok(resources) => assert_eq!(resources.len(), 1),
            Err(error) => assert!(matches!(error, StoreError::Unavailable(_)), "{error}"),
        }
    }
}
