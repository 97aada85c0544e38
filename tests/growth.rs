//! A directory that has grown: no statement reads a whole table, lists come in pages, a long sweep holds nobody up.

use crate::store::statements;
use crate::support::{API, START, TestApp};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use grantor::store::all_members::Position;
use grantor::store::groups::COUNTED;
use grantor::store::members::{Member, MemberLine};
use grantor::store::{DatabaseUrl, SESSION};
use grantor::types::id::{GroupId, MemberId};
use regex::Regex;
use sqlx::{AssertSqlSafe, Connection, Executor, PgConnection, Row, SqliteConnection};
use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};
use uuid::Uuid;

/// What SQLite says about how it would run a statement; nothing on another engine, whose plan rests on what is in the
/// tables.
async fn plans(test: &TestApp) -> Vec<(String, Vec<String>)> {
    let DatabaseUrl::Sqlite(path) = &test.database else { return Vec::new() };
    let mut conn = SqliteConnection::connect(path.to_str().unwrap()).await.unwrap();
    let mut plans = Vec::new();
    for (file, text) in statements() {
        plans.push((format!("{file}: {text}"), plan(&mut conn, &text).await));
    }
    plans
}

async fn plan(conn: &mut SqliteConnection, text: &str) -> Vec<String> {
    let rows = sqlx::query(AssertSqlSafe(format!("EXPLAIN QUERY PLAN {text}"))).fetch_all(conn).await.unwrap();
    rows.iter().map(|row| row.get("detail")).collect()
}

/// The steps that go through a whole table. What the statement itself worked out before is no table.
fn scans(plan: &[String]) -> Vec<&String> {
    let worked_out = |name: &str| {
        let made = [format!("MATERIALIZE {name}"), format!("CO-ROUTINE {name}")];
        plan.iter().any(|step| made.contains(step))
    };
    plan.iter()
        .filter(|step| step.strip_prefix("SCAN ").is_some_and(|name| name != "CONSTANT ROW" && !worked_out(name)))
        .collect()
}

#[tokio::test]
async fn no_statement_reads_a_whole_table() {
    // The first row of an index, and no more.
    let first = "ORDER BY created_at, kid LIMIT 1";
    let test = TestApp::new().await;
    for (text, plan) in plans(&test).await {
        let scans = scans(&plan);
        let bounded = text.ends_with(first) && scans.len() == 1 && scans[0].contains("USING INDEX");
        assert!(bounded || scans.is_empty(), "{text}\n{plan:#?}");
    }
}

/// True when a step reads every client, user or group of a tenant, by an index or without one.
fn reads_all_of_a_tenant(plan: &[String]) -> bool {
    let of_tenant = Regex::new(r"^SEARCH \w+ USING .*(clients|users|groups)\w* \(tenant_id=\?\)$").unwrap();
    plan.iter().any(|step| of_tenant.is_match(step))
}

#[tokio::test]
async fn no_statement_reads_all_clients_users_or_groups_of_a_tenant() {
    let test = TestApp::new().await;
    for (text, plan) in plans(&test).await {
        // What is deleted is read.
        assert!(text.contains("DELETE FROM tenants") || !reads_all_of_a_tenant(&plan), "{text}\n{plan:#?}");
    }
}

#[tokio::test]
async fn a_statement_that_does_read_a_whole_table_is_seen() {
    let test = TestApp::new().await;
    let DatabaseUrl::Sqlite(path) = &test.database else {
        eprintln!("skipped: plans are SQLite's");
        return;
    };
    let mut conn = SqliteConnection::connect(path.to_str().unwrap()).await.unwrap();
    let origins =
        "SELECT DISTINCT o.origin FROM client_origins o JOIN clients c ON c.id = o.client_id WHERE c.tenant_id = $1";
    assert!(reads_all_of_a_tenant(&plan(&mut conn, origins).await));
    let mut found = Vec::new();
    for text in [
        "SELECT id FROM clients WHERE name = $1",
        "SELECT client_id FROM clients WHERE tenant_id = $1 AND client_id = $2",
        "WITH RECURSIVE mine (id) AS (SELECT $1 UNION SELECT group_id FROM group_groups g JOIN mine ON g.member_id = mine.id) \
         SELECT id FROM mine",
    ] {
        found.push(scans(&plan(&mut conn, text).await).len());
    }
    assert_eq!(found, [1, 0, 0]);
}

#[tokio::test]
async fn postgresql_runs_every_statement_along_indexes() {
    let test = TestApp::new().await;
    let DatabaseUrl::Postgres(url) = &test.database else { return };
    let mut conn = PgConnection::connect(url).await.unwrap();
    conn.execute(SESSION).await.unwrap();
    // The plan for any values, whatever they are.
    conn.execute("SET plan_cache_mode = force_generic_plan").await.unwrap();
    let other = Regex::new("Seq Scan|Hash [A-Za-z ]*Join|Merge [A-Za-z ]*Join|Parallel").unwrap();
    let place = Regex::new(r"\$(\d+)").unwrap();
    for (file, text) in statements() {
        let places = place.captures_iter(&text).map(|place| place[1].parse::<usize>().unwrap()).max();
        let values = places.map(|places| format!(" ({})", vec!["NULL"; places].join(", "))).unwrap_or_default();
        let mut sql = async |sql: String| conn.fetch_all(sqlx::raw_sql(AssertSqlSafe(sql))).await.unwrap();
        sql(format!("PREPARE statement AS {text}")).await;
        let plan = sql(format!("EXPLAIN EXECUTE statement{values}")).await;
        sql("DEALLOCATE statement".to_owned()).await;
        let plan: Vec<String> = plan.iter().map(|row| row.get(0)).collect();
        assert!(!plan.iter().any(|step| other.is_match(step)), "{file}: {text}\n{plan:#?}");
    }
}

#[tokio::test]
async fn a_page_of_a_list_is_read_along_an_index_and_not_sorted() {
    let test = TestApp::new().await;
    let page = Regex::new(r"> \$\d .*ORDER BY [a-z._]+ LIMIT \$\d$").unwrap();
    let mut pages = 0;
    for (text, plan) in plans(&test).await {
        if page.is_match(&text) && !text.contains("UNION") {
            pages += 1;
            assert!(!plan.iter().any(|step| step.contains("TEMP B-TREE")), "{text}\n{plan:#?}");
        }
    }
    let lists = ["tenants", "clients", "users", "groups", "tokens", "tokens of a client", "changes"];
    assert!(pages == lists.len() || pages == 0 && !matches!(test.database, DatabaseUrl::Sqlite(_)), "{pages} pages");
}

/// All pages of a list of members, two lines each.
async fn pages<F>(read: impl Fn((Uuid, i64)) -> F) -> Vec<MemberLine>
where
    F: Future<Output = Result<Vec<MemberLine>, grantor::store::StoreError>>,
{
    let (mut all, mut after) = (Vec::new(), Uuid::nil());
    loop {
        let page = read((after, 2)).await.unwrap();
        assert!(page.len() <= 2);
        let Some(last) = page.last() else { return all };
        after = last.id;
        all.extend(page);
    }
}

/// All pages of the members at any depth, so many lines each. What a page ends with goes through its text.
async fn all_pages(test: &TestApp, group: GroupId, size: usize) -> Vec<Vec<MemberLine>> {
    let (mut pages, mut after) = (Vec::new(), None);
    loop {
        let limit = i64::try_from(size).unwrap();
        let page = test.app.store.list_all_members(group, after, limit).await.unwrap().unwrap();
        assert!(page.lines.len() <= size);
        pages.push(page.lines);
        let Some(next) = page.next else { return pages };
        after = Some(next.to_string().parse().unwrap());
        assert_eq!(after, Some(next));
    }
}

fn sorted(lines: impl IntoIterator<Item = MemberLine>) -> Vec<(String, String)> {
    let mut names: Vec<_> = lines.into_iter().map(|line| (line.kind, line.name)).collect();
    names.sort();
    names
}

#[tokio::test]
async fn members_come_in_pages_each_of_them_once() {
    let test = TestApp::new().await;
    test.resource(API, |_| ()).await;
    let (outer, inner, innermost) =
        (test.group("outer").await, test.group("inner").await, test.group("innermost").await);
    test.add_group(&outer, &inner).await;
    test.add_group(&inner, &innermost).await;
    test.add_group(&outer, &innermost).await;
    for name in ["a", "b", "c"] {
        test.client(name, &[]).await;
        test.add_client(&outer, name).await;
        test.add_client(&innermost, name).await;
    }
    let ann = Member::Subject(MemberId::User(test.user("ann").await));
    test.app.store.add_member(test.tenant_id().await, &inner, ann, START).await.unwrap();

    let store = &test.app.store;
    let named = |pairs: &[(&str, &str)]| -> Vec<(String, String)> {
        pairs.iter().map(|(kind, name)| ((*kind).to_owned(), (*name).to_owned())).collect()
    };
    let clients = [("client", "a"), ("client", "b"), ("client", "c")];
    let groups = [("group", "inner"), ("group", "innermost")];
    let direct = pages(|page| store.list_members(outer.id, page)).await;
    assert!(direct.is_sorted_by_key(|line| line.id), "{direct:?}");
    assert_eq!(sorted(direct), named(&[&clients[..], &groups].concat()));
    let all = all_pages(&test, outer.id, 2).await;
    assert_eq!(all.iter().map(Vec::len).collect::<Vec<_>>(), [2, 2, 2], "{all:?}");
    assert_eq!(sorted(all.concat()), named(&[&clients[..], &groups, &[("user", "ann")]].concat()));
    assert_eq!(sorted(all_pages(&test, innermost.id, 2).await.concat()), named(&clients));
}

#[tokio::test]
async fn members_at_any_depth_are_found_however_groups_overlap() {
    let test = TestApp::new().await;
    test.resource(API, |_| ()).await;
    let mut groups = Vec::new();
    for at in 0..8 {
        groups.push(test.group(&format!("g{at}")).await);
    }
    let mut inside: HashMap<usize, BTreeSet<Uuid>> = HashMap::new();
    for at in 0..20_usize {
        let name = format!("c{at}");
        test.client(&name, &[]).await;
        let oid = test.find_client(&name).await.oid.uuid();
        // Some in none, most in several, the first group in all that are even.
        for group in [at * 7 % 11, at * 5 % 13, at % 2 * 9].into_iter().filter(|group| *group < groups.len()) {
            test.add_client(&groups[group], &name).await;
            inside.entry(group).or_default().insert(oid);
        }
    }
    let edges = [(0, 1), (0, 2), (1, 3), (2, 3), (3, 4), (5, 6), (2, 7)];
    for (outer, inner) in edges {
        test.add_group(&groups[outer], &groups[inner]).await;
    }
    // From the innermost to the outermost.
    for (outer, inner) in edges.into_iter().rev().chain(edges.into_iter().rev()) {
        let more = inside.get(&inner).cloned().unwrap_or_default();
        inside.entry(outer).or_default().extend(more.into_iter().chain([groups[inner].id.uuid()]));
    }
    for (at, group) in groups.iter().enumerate() {
        let expected: Vec<Uuid> = inside.get(&at).into_iter().flatten().copied().collect();
        let whole = all_pages(&test, group.id, 100).await.concat();
        for size in [1, 2, 3, 7] {
            assert_eq!(all_pages(&test, group.id, size).await.concat(), whole, "group {at}, pages of {size}");
        }
        let mut found: Vec<Uuid> = whole.into_iter().map(|line| line.id).collect();
        found.sort_unstable();
        assert_eq!(found, expected, "group {at}");
    }
}

#[tokio::test]
async fn members_that_groups_share_come_once_and_a_page_does_not_look_through_all_of_them() {
    let test = TestApp::new().await;
    let [outer, ..] = crowded(&test, 1000).await;
    let other = test.group("other").await;
    let everybody = "SELECT o.id, m.client_id FROM groups o CROSS JOIN group_clients m WHERE o.name = 'other'";
    test.execute(&format!("INSERT INTO group_clients {everybody}")).await;
    let member = Member::Group(&other);
    let tenant = test.tenant_id().await;
    let found = test.app.store.find_group(tenant, "outer").await.unwrap().unwrap();
    test.app.store.add_member(tenant, &found, member, START).await.unwrap();
    let pages = all_pages(&test, outer.into(), 10).await;
    let ids: BTreeSet<Uuid> = pages.iter().flatten().map(|line| line.id).collect();
    // Both groups, the clients, and as many groups.
    assert_eq!((pages.iter().map(Vec::len).sum::<usize>(), ids.len()), (2002, 2002));
    let short = pages.iter().rev().skip(1).filter(|page| page.len() < 10).count();
    assert!((1..10).contains(&short), "{short}");
}

#[tokio::test]
async fn a_page_goes_on_when_what_the_one_before_ended_with_is_gone_but_not_outside_of_the_group() {
    let test = TestApp::new().await;
    test.resource(API, |_| ()).await;
    let (outer, inner) = (test.group("outer").await, test.group("inner").await);
    test.add_group(&outer, &inner).await;
    for name in ["a", "b", "c"] {
        test.client(name, &[]).await;
        test.add_client(&inner, name).await;
    }
    let (store, tenant) = (&test.app.store, test.tenant_id().await);
    let page = async |after| store.list_all_members(outer.id, after, 2).await.unwrap();
    let first = page(None).await.unwrap();
    assert_eq!(first.lines[0].name, "inner");
    let last = Member::Subject(MemberId::Client(first.lines[1].id.into()));
    store.remove_member(tenant, &inner, last, START).await.unwrap();
    let second = page(first.next).await.unwrap();
    let names = sorted([&first.lines[1..], &second.lines].concat());
    assert_eq!(names, ["a", "b", "c"].map(|name| ("client".to_owned(), name.to_owned())));
    assert_eq!(second.next, None);
    store.remove_member(tenant, &outer, Member::Group(&inner), START).await.unwrap();
    assert_eq!(page(first.next).await, None);
    assert!(page(None).await.unwrap().lines.is_empty());
}

#[tokio::test]
async fn a_page_does_not_go_on_in_a_group_that_stands_elsewhere_in_the_tree() {
    let test = TestApp::new().await;
    let (store, tenant) = (&test.app.store, test.tenant_id().await);
    let mut groups = Vec::new();
    for at in 0..6 {
        groups.push(test.group(&format!("g{at}")).await);
    }
    // The second one counts below the first, and stays inside it by the last as well.
    groups.sort_unstable_by_key(|group| group.id.uuid());
    for at in 1..6 {
        test.add_group(&groups[0], &groups[at]).await;
    }
    test.add_group(&groups[5], &groups[1]).await;
    let first = store.list_all_members(groups[0].id, None, 1).await.unwrap().unwrap();
    assert_eq!(first.lines[0].id, groups[1].id.uuid());
    let second = store.list_all_members(groups[0].id, first.next, 1).await.unwrap().unwrap();
    assert_eq!(second.lines[0].id, groups[2].id.uuid());
    store.remove_member(tenant, &groups[0], Member::Group(&groups[1]), START).await.unwrap();
    assert_eq!(store.list_all_members(groups[0].id, first.next, 1).await.unwrap(), None);
    let third = store.list_all_members(groups[0].id, second.next, 10).await.unwrap().unwrap();
    let ids: Vec<Uuid> = third.lines.iter().map(|line| line.id).collect();
    assert_eq!(ids, [3, 4, 5, 1].map(|at| groups[at].id.uuid()), "what did not move is not left out");
}

#[tokio::test]
async fn a_page_of_groups_that_are_in_each_other_in_every_way_is_not_a_walk_through_all_ways() {
    use Value::{Id, Number};
    let test = TestApp::new().await;
    if matches!(test.database, DatabaseUrl::Postgres(_)) {
        return;
    }
    // Six layers of twenty groups, each of them in all of the layer before.
    let outermost = test.group("outermost").await;
    test.execute(
        "INSERT INTO groups (id, tenant_id, name, description, created_at) \
         WITH RECURSIVE turns (turn) AS (SELECT 0 UNION ALL SELECT turn + 1 FROM turns WHERE turn < 119) \
         SELECT randomblob(16), id, printf('g%03d', turn), turn / 20, 0 FROM turns, tenants",
    )
    .await;
    test.execute(
        "INSERT INTO group_groups SELECT o.id, m.id FROM groups o, groups m WHERE m.name LIKE 'g%' \
         AND CASE o.name WHEN 'outermost' THEN -1 ELSE CAST(o.description AS INTEGER) END = m.description - 1",
    )
    .await;
    let all = all_pages(&test, outermost.id, 500).await.concat();
    assert_eq!(all.len(), 120);
    let top = outermost.id.uuid();
    let walk = [Id(top), Id(top), Number(0), Id(top), Number(3000), Number(500), Id(Uuid::nil())];
    let steps = steps(&test, "walk (turn", &walk).await;
    // With a way up through all parents for each group that is met there were 6,700,000.
    assert!(steps < 2_000_000, "{steps}");
}

#[test]
fn a_position_is_read_only_as_it_was_written() {
    let text = |stage: u8, item: u8, more: usize| {
        URL_SAFE_NO_PAD.encode([&[stage][..], &[7; 16], &[item; 16], &vec![9; more]].concat())
    };
    for (stage, item, is_one) in [
        (0, 7, true),
        (0, 8, false),
        (1, 7, true),
        (1, 8, true),
        (2, 7, true),
        (2, 8, true),
        (3, 7, true),
        (3, 8, false),
        (4, 7, false),
        (4, 8, true),
        (5, 8, false),
        (6, 8, false),
        (255, 7, false),
    ] {
        let text = text(stage, item, 8);
        assert!(!is_one || text.starts_with('A') || text.starts_with('B'), "an option begins with a hyphen: {text}");
        let read = text.parse::<Position>().map(|position| position.to_string());
        assert_eq!(read.ok(), is_one.then_some(text), "{stage} {item}");
    }
    for text in
        ["".to_owned(), "a".to_owned(), Uuid::nil().to_string(), text(1, 8, 7), text(1, 8, 9), text(1, 8, 8) + "="]
    {
        assert!(text.parse::<Position>().is_err(), "{text}");
    }
}

/// A group with so many clients and groups, inside another one that is owned by a person; answers both groups and the owner.
async fn crowded(test: &TestApp, clients: i64) -> [Uuid; 3] {
    let (outer, inner) = (test.group("outer").await, test.group("inner").await);
    test.add_group(&outer, &inner).await;
    let owner = test.user("ann").await;
    for group in [&outer, &inner] {
        test.app.store.add_owner(test.tenant_id().await, group, MemberId::User(owner), START).await.unwrap();
    }
    let new_id = match test.database {
        DatabaseUrl::Sqlite(_) => "randomblob(16)",
        DatabaseUrl::Postgres(_) => "gen_random_uuid()",
    };
    test.execute(&format!(
        "INSERT INTO clients (id, tenant_id, client_id, name, is_public, enabled, created_at) \
         WITH RECURSIVE turns (turn) AS (SELECT 1 UNION ALL SELECT turn + 1 FROM turns WHERE turn < {clients}) \
         SELECT {new_id}, id, 'crowd' || turn, '', FALSE, TRUE, 0 FROM turns, tenants"
    ))
    .await;
    let name = inner.name.as_str();
    test.execute(&format!(
        "INSERT INTO groups (id, tenant_id, name, description, created_at) \
         WITH RECURSIVE turns (turn) AS (SELECT 1 UNION ALL SELECT turn + 1 FROM turns WHERE turn < {clients}) \
         SELECT {new_id}, id, 'crowd' || turn, '', 0 FROM turns, tenants"
    ))
    .await;
    test.execute(&format!(
        "INSERT INTO group_groups SELECT g.id, m.id FROM groups m, groups g \
         WHERE g.name = '{name}' AND m.name LIKE 'crowd%'"
    ))
    .await;
    test.execute(&format!(
        "INSERT INTO group_clients SELECT g.id, c.id FROM clients c, groups g \
         WHERE g.name = '{name}' AND c.client_id LIKE 'crowd%'"
    ))
    .await;
    [outer.id.uuid(), inner.id.uuid(), owner.uuid()]
}

/// What a statement is given.
enum Value {
    Id(Uuid),
    Number(i64),
}

/// The steps of SQLite's machine that a statement takes.
async fn steps(test: &TestApp, part: &str, values: &[Value]) -> u64 {
    let DatabaseUrl::Sqlite(path) = &test.database else { unreachable!("only SQLite counts its steps") };
    let mut conn = SqliteConnection::connect(path.to_str().unwrap()).await.unwrap();
    let count = Arc::new(AtomicU64::new(0));
    let counting = count.clone();
    conn.lock_handle().await.unwrap().set_progress_handler(1, move || {
        counting.fetch_add(1, Ordering::Relaxed);
        true
    });
    let (_, text) = statements().into_iter().find(|(_, text)| text.contains(part)).unwrap();
    let mut query = sqlx::query(AssertSqlSafe(text));
    for value in values {
        query = match value {
            Value::Id(id) => query.bind(*id),
            Value::Number(number) => query.bind(*number),
        };
    }
    assert!(!query.fetch_all(&mut conn).await.unwrap().is_empty());
    count.load(Ordering::Relaxed)
}

#[tokio::test]
async fn a_page_is_read_as_fast_from_a_large_group_as_from_a_small_one() {
    use Value::{Id, Number};
    let mut taken = Vec::new();
    // The second is larger than any number of members that is counted.
    for clients in [COUNTED, 5 * COUNTED] {
        let test = TestApp::new().await;
        if matches!(test.database, DatabaseUrl::Postgres(_)) {
            return;
        }
        let [outer, inner, owner] = crowded(&test, clients).await;
        let tenant = test.tenant_id().await.uuid();
        let page = |group| [Id(group), Id(Uuid::nil()), Number(10)];
        let walk =
            |group, stage| [Id(group), Id(inner), Number(stage), Id(inner), Number(130), Number(11), Id(Uuid::nil())];
        taken.push([
            // Among the clients, and among the groups that come behind them.
            steps(&test, "walk (turn", &walk(outer, 0)).await,
            steps(&test, "walk (turn", &walk(outer, 2)).await,
            steps(&test, "WHERE m.group_id = $1 AND m.client_id > $2", &page(inner)).await,
            steps(&test, "FROM group_owner_users o CROSS JOIN groups g", &[Id(tenant), Id(owner), Number(COUNTED + 1)])
                .await,
        ]);
    }
    for (small, large) in taken[0].iter().zip(taken[1]) {
        assert!(large < small + small / 10, "{taken:?}");
    }
}

#[tokio::test]
async fn the_members_of_an_owned_group_are_counted_to_a_bound() {
    let test = TestApp::new().await;
    let [outer, inner, owner] = crowded(&test, 3 * COUNTED).await;
    let owned = test.app.store.owned_groups(test.tenant_id().await, owner.into()).await.unwrap();
    let counts: HashMap<Uuid, i64> = owned.into_iter().map(|(group, count)| (group.id.uuid(), count)).collect();
    assert_eq!(counts, HashMap::from([(inner, COUNTED + 1), (outer, 1)]));
}

#[tokio::test]
async fn a_direct_member_is_found_by_its_id_and_nobody_else_is() {
    let test = TestApp::new().await;
    let (outer, inner) = (test.group("outer").await, test.group("inner").await);
    test.add_group(&outer, &inner).await;
    test.client("app", &[]).await;
    test.add_client(&inner, "app").await;
    let app = test.find_client("app").await.oid.uuid();
    let store = &test.app.store;
    assert_eq!(store.find_member(inner.id, app).await.unwrap().unwrap().name, "app");
    assert_eq!(store.find_member(outer.id, inner.id.uuid()).await.unwrap().unwrap().kind, "group");
    assert_eq!(store.find_member(outer.id, app).await.unwrap(), None);
}

#[tokio::test]
async fn changes_are_seen_while_a_long_sweep_goes_on() {
    let test = TestApp::new().await;
    let random = match test.database {
        DatabaseUrl::Sqlite(_) => "randomblob(16)",
        DatabaseUrl::Postgres(_) => "gen_random_uuid()",
    };
    // Two hundred batches, with a pause after each.
    test.execute(&format!(
        "INSERT INTO revocations (tenant_id, jti, list_id, list_index, revoked_at, expires_at) \
         WITH RECURSIVE turns (turn) AS (SELECT 1 UNION ALL SELECT turn + 1 FROM turns WHERE turn < 100000) \
         SELECT id, {random}, {random}, turn, 1, 1 FROM turns, tenants"
    ))
    .await;
    let running = tokio::spawn(grantor::sweep::run(test.app.clone(), Duration::ZERO));
    let left = || test.number("SELECT COUNT(*) FROM revocations");
    let deadline = Instant::now() + Duration::from_secs(60);
    while left().await == 100_000 {
        assert!(Instant::now() < deadline, "the sweep does not begin");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    test.group("changed").await;
    let revision = test.app.store.revision().await.unwrap();
    while test.app.directory.applied().revision() < revision {
        assert!(Instant::now() < deadline, "the change is not seen");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    assert!(left().await > 0, "the change was seen only after the sweep");
    running.abort();
}
