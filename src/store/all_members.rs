//! Who is in a group at any depth, page by page.
//!
//! The groups inside make a tree as soon as each of them counts below one other group only: that with the smallest id of those
//! inside which it is in. For clients and users it is the same. The list goes through the tree depth first; of each group come
//! the clients, then the users, then the groups with all that is in them, each in order of ids. A page is a walk that goes
//! on where the page before ended, step by step, and so reads as many groups as it shows, however many are inside.

use super::members::MemberLine;
use super::{Store, StoreError, reading};
use crate::types::Invalid;
use crate::types::id::GroupId;
use crate::types::secret::sha256;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use std::fmt;
use std::str::FromStr;
use uuid::Uuid;

// Stages of going through a group. The statement of the walk has them as numbers.

/// Before its first member.
const BEFORE: u8 = 0;
/// At a client, or behind the last one.
const CLIENT: u8 = 1;
/// At a group inside that may count below another one, or behind the last one.
const CANDIDATE: u8 = 3;
/// Behind a group inside and all that is in it.
const BEHIND: u8 = 4;
/// At a group inside that is gone into next.
const INTO: u8 = 5;

/// A group that nothing is in takes so many steps, every other line fewer.
const STEPS_A_LINE: i64 = 6;

/// For the way out of nested groups, and into the first line.
const STEPS_BESIDE: i64 = 64;

/// Where members came below another group already, lines fall away. So many walks at most then make a page, each of them
/// twice as long as the one before.
const WALKS: u32 = 4;

/// So many lines a walk looks at, however few are wanted, and so many at most, which take about a second.
const LEAST: i64 = 20;
const MOST: i64 = 20_000;

/// A group that is inside `$1`, or not: 2 when it is, 0 when it is not, 1 when the way up by the smallest parent alone does
/// not tell.
macro_rules! verdict {
    ($group:literal) => {
        concat!(
            "(WITH RECURSIVE up (turn, id, sole) AS (SELECT 0, ",
            $group,
            ", 1 UNION ALL SELECT turn + 1, \
             (SELECT p.group_id FROM group_groups p WHERE p.member_id = up.id ORDER BY p.group_id LIMIT 1), \
             CASE WHEN EXISTS (SELECT 1 FROM group_groups p WHERE p.member_id = up.id ORDER BY p.group_id LIMIT 1 OFFSET 1) \
             THEN 0 ELSE sole END FROM up WHERE id <> $1 AND turn < 32) \
             SELECT MAX(CASE WHEN id = $1 THEN 2 WHEN sole = 0 OR turn = 32 THEN 1 ELSE 0 END) FROM up)"
        )
    };
}

/// The group below which a group inside counts. What the way up does not tell is looked up among all groups inside, which
/// are gone down to once for all questions of a statement, and only then.
macro_rules! parent {
    ($group:literal) => {
        concat!(
            "(SELECT o.group_id FROM group_groups o WHERE o.member_id = ",
            $group,
            " AND CASE WHEN EXISTS (SELECT 1 FROM group_groups p WHERE p.member_id = o.member_id AND p.group_id <> o.group_id) \
             THEN CASE ",
            verdict!("o.group_id"),
            " WHEN 2 THEN TRUE WHEN 0 THEN FALSE ELSE o.group_id IN (SELECT id FROM inside) END ELSE TRUE END \
             ORDER BY o.group_id LIMIT 1)"
        )
    };
}

/// Whether what a step stands at counts below another group, which has a smaller id and is inside too. Who is in very many
/// groups is looked up at once.
macro_rules! elsewhere {
    ($table:literal, $member:literal) => {
        concat!(
            "CASE WHEN EXISTS (SELECT 1 ",
            smaller!($table, $member),
            ") THEN CASE CASE WHEN EXISTS (SELECT 1 ",
            smaller!($table, $member),
            " ORDER BY o.group_id LIMIT 1 OFFSET 8) THEN 1 ELSE (SELECT MAX(",
            verdict!("o.group_id"),
            ") ",
            smaller!($table, $member),
            ") END WHEN 2 THEN TRUE WHEN 0 THEN FALSE ELSE EXISTS (SELECT 1 ",
            smaller!($table, $member),
            " AND o.group_id IN (SELECT id FROM inside)) END ELSE FALSE END"
        )
    };
}

macro_rules! smaller {
    ($table:literal, $member:literal) => {
        concat!("FROM ", $table, " o WHERE o.", $member, " = walk.item AND o.group_id < walk.group_id")
    };
}

/// Every group that is inside `$1`, and itself.
macro_rules! inside {
    () => {
        "WITH RECURSIVE inside (id) AS (SELECT id FROM groups WHERE id = $1 \
         UNION SELECT g.member_id FROM inside JOIN group_groups g ON g.group_id = inside.id), "
    };
}

/// The ids from a group ($2) up to that whose members are listed ($1).
const PATH: &str = concat!(
    inside!(),
    "path (turn, id) AS (SELECT 0, g.id FROM groups g WHERE g.id = $2 UNION ALL SELECT turn + 1, ",
    parent!("path.id"),
    " FROM path WHERE id <> $1) SELECT id FROM path WHERE id IS NOT NULL ORDER BY turn"
);

/// Goes through a group ($1) from a place on ($2 to $4): so many turns ($5), and so many lines ($6). A step stands at a group
/// and one of its stages, and at an item where there is one: 0 before its members; 1 at a client or, without one, behind
/// the last; 2 the same with users; 3 with groups, which may count below another group; 4 behind such a group and all that is
/// in it; 5 at one that is gone into next.
const WALK: &str = concat!(
    inside!(),
    "walk (turn, lines, group_id, stage, item) AS (\
     SELECT 0, 0, g.id, CAST($3 AS INTEGER), NULLIF($4, g.id) FROM groups g WHERE g.id = $2 \
     UNION ALL SELECT turn + 1, \
     lines + CASE WHEN turn > 0 AND stage IN (1, 2, 5) AND item IS NOT NULL THEN 1 ELSE 0 END, \
     CASE WHEN stage = 5 THEN item WHEN stage = 3 AND item IS NULL THEN ",
    parent!("walk.group_id"),
    " ELSE group_id END, \
     CASE WHEN stage = 5 THEN 1 WHEN stage = 4 THEN 3 WHEN stage = 3 AND item IS NULL THEN 4 \
     WHEN item IS NULL THEN stage + 1 WHEN stage < 3 THEN stage WHEN ",
    elsewhere!("group_groups", "member_id"),
    " THEN 4 ELSE 5 END, \
     CASE WHEN stage IN (0, 5) OR stage = 1 AND item IS NOT NULL THEN (SELECT m.client_id FROM group_clients m \
     WHERE m.group_id = CASE stage WHEN 5 THEN item ELSE walk.group_id END \
     AND m.client_id > CASE stage WHEN 1 THEN item ELSE $7 END ORDER BY m.client_id LIMIT 1) \
     WHEN stage = 1 OR stage = 2 AND item IS NOT NULL THEN (SELECT m.user_id FROM group_users m \
     WHERE m.group_id = walk.group_id \
     AND m.user_id > CASE stage WHEN 2 THEN item ELSE $7 END ORDER BY m.user_id LIMIT 1) \
     WHEN stage IN (2, 4) THEN (SELECT m.member_id FROM group_groups m WHERE m.group_id = walk.group_id \
     AND m.member_id > CASE stage WHEN 4 THEN item ELSE $7 END ORDER BY m.member_id LIMIT 1) \
     WHEN item IS NULL THEN group_id ELSE item END \
     FROM walk WHERE turn < $5 AND lines < $6 AND NOT (stage = 3 AND item IS NULL AND group_id = $1)) \
     SELECT turn, group_id, stage, item, CASE stage WHEN 1 THEN 'client' WHEN 2 THEN 'user' ELSE 'group' END AS kind, \
     COALESCE(c.client_id, u.username, g.name) AS name, COALESCE(c.name, u.display_name, u.username, g.name) AS shown, \
     CASE stage WHEN 1 THEN ",
    elsewhere!("group_clients", "client_id"),
    " WHEN 2 THEN ",
    elsewhere!("group_users", "user_id"),
    " ELSE FALSE END AS elsewhere \
     FROM walk LEFT JOIN clients c ON c.id = CASE WHEN stage = 1 AND turn > 0 THEN item END \
     LEFT JOIN users u ON u.id = CASE WHEN stage = 2 AND turn > 0 THEN item END \
     LEFT JOIN groups g ON g.id = CASE WHEN stage = 5 AND turn > 0 THEN item END \
     WHERE turn = 0 OR turn = $5 OR stage IN (1, 2, 5) AND item IS NOT NULL"
);

/// Every statement of this file, for those who look at them all.
pub const STATEMENTS: [&str; 2] = [PATH, WALK];

/// Where a walk stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Place {
    group: Uuid,
    stage: u8,
    // A member of the group; behind the last one none.
    item: Option<Uuid>,
}

impl Place {
    fn before(group: Uuid) -> Self {
        Self { group, stage: BEFORE, item: None }
    }

    // No group is in itself, so its own id says that there is no item.
    fn item(&self) -> Uuid {
        self.item.unwrap_or(self.group)
    }
}

/// Where a page ended, and the way that led there. Its text is given back to go on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Position {
    place: Place,
    // Of the ids from the group up. Were the group to stand elsewhere in the tree, going on there would leave out lines.
    way: [u8; WAY],
}

const UUID: usize = 16;
const WAY: usize = 8;

impl fmt::Display for Position {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let place = &self.place;
        // The stage, a small number, comes first: so the text never begins with a hyphen, as options do.
        let bytes = [&[place.stage][..], place.group.as_bytes(), place.item().as_bytes(), &self.way].concat();
        f.write_str(&URL_SAFE_NO_PAD.encode(bytes))
    }
}

impl FromStr for Position {
    type Err = Invalid;

    fn from_str(text: &str) -> Result<Self, Invalid> {
        let read = || {
            let bytes = URL_SAFE_NO_PAD.decode(text).ok()?;
            let (stage, rest) = bytes.split_first()?;
            let (group, rest) = rest.split_first_chunk::<UUID>()?;
            let (item, rest) = rest.split_first_chunk::<UUID>()?;
            let item = (item != group).then_some(Uuid::from_bytes(*item));
            let is_one = match *stage {
                BEFORE | CANDIDATE => item.is_none(),
                BEHIND => item.is_some(),
                stage => (CLIENT..CANDIDATE).contains(&stage),
            };
            let place = Place { group: Uuid::from_bytes(*group), stage: *stage, item };
            is_one.then_some(Self { place, way: rest.try_into().ok()? })
        };
        read().ok_or_else(|| Invalid::new("position", text, "it is not what a page of this list ended with"))
    }
}

/// A page of members at any depth.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AllMembers {
    /// Members, each of them once in all pages. Fewer than fit in the end, and where very many came below another group already.
    pub lines: Vec<MemberLine>,
    /// Where the next page begins; after the last one none.
    pub next: Option<Position>,
}

/// A step of the walk that is a line, or its first or last one.
#[derive(sqlx::FromRow)]
struct Step {
    turn: i32,
    group_id: Uuid,
    stage: i32,
    item: Option<Uuid>,
    kind: String,
    name: Option<String>,
    shown: Option<String>,
    // It counts below another group.
    elsewhere: bool,
}

impl Step {
    /// Where to go on behind it. It holds, too, when the item is not there any more.
    fn place(&self) -> Place {
        let stage = u8::try_from(self.stage).unwrap_or(BEFORE);
        match (stage, self.item) {
            (INTO, Some(item)) => Place::before(item),
            (CANDIDATE, Some(item)) => {
                let before = Uuid::from_u128(item.as_u128().saturating_sub(1));
                Place { group: self.group_id, stage: BEHIND, item: Some(before) }
            }
            (stage, item) => Place { group: self.group_id, stage, item },
        }
    }

    fn line(self) -> Option<MemberLine> {
        Some(MemberLine { kind: self.kind, id: self.item?, name: self.name?, shown: self.shown? })
    }
}

impl Store {
    /// Every client, user and group that is in a group at any depth, each once; behind `after`, at most `limit`, which is
    /// at least one. None when the group in which `after` stands is not inside any more, or by another way. How many groups
    /// are inside and how many members they have does not make it slower. Whoever comes to be in other groups while
    /// pages are read may be missed or come again.
    ///
    /// # Errors
    /// The database does not answer.
    pub async fn list_all_members(
        &self,
        group: GroupId,
        after: Option<Position>,
        limit: i64,
    ) -> Result<Option<AllMembers>, StoreError> {
        if let Some(after) = after
            && self.way(group, after.place.group).await? != Some(after.way)
        {
            return Ok(None);
        }
        let mut at = after.map_or(Place::before(group.uuid()), |after| after.place);
        let mut lines: Vec<MemberLine> = Vec::new();
        'full: for walk in 0..WALKS {
            // One more than fits, which tells whether there are more.
            let room = limit + 1 - i64::try_from(lines.len()).unwrap_or(limit);
            let most = (room.max(LEAST) << walk).min(MOST);
            let turns = STEPS_A_LINE * most + STEPS_BESIDE;
            let steps = self.walk(group, at, (turns, most)).await?;
            let Some(last) = steps.last() else { return Ok(None) };
            let (is_cut, end) = (i64::from(last.turn) == turns, last.place());
            let mut passed = 0;
            for step in steps {
                let (place, elsewhere) = (step.place(), step.elsewhere);
                let Some(line) = step.line() else { continue };
                passed += 1;
                if elsewhere {
                    continue;
                }
                if i64::try_from(lines.len()) == Ok(limit) {
                    break 'full;
                }
                at = place;
                lines.push(line);
            }
            if !is_cut && passed < most {
                return Ok(Some(AllMembers { lines, next: None }));
            }
            at = end;
        }
        let way = self.way(group, at.group).await?;
        Ok(way.map(|way| AllMembers { lines, next: Some(Position { place: at, way }) }))
    }

    /// Digest of the way up from a group to `top`. None when it is not inside.
    async fn way(&self, top: GroupId, group: Uuid) -> Result<Option<[u8; WAY]>, StoreError> {
        let statement = PATH;
        let path: Vec<(Uuid,)> =
            reading!(self, conn => sqlx::query_as(statement).bind(top.uuid()).bind(group).fetch_all(conn).await?);
        if path.last() != Some(&(top.uuid(),)) {
            return Ok(None);
        }
        let ids: Vec<u8> = path.iter().flat_map(|(id,)| *id.as_bytes()).collect();
        Ok(sha256(&ids).first_chunk().copied())
    }

    /// So many turns of the walk through `top` from `at` on, and so many lines at most, in order.
    async fn walk(&self, top: GroupId, at: Place, (turns, lines): (i64, i64)) -> Result<Vec<Step>, StoreError> {
        let statement = WALK;
        let mut steps: Vec<Step> = reading!(self, conn =>
            sqlx::query_as(statement)
                .bind(top.uuid())
                .bind(at.group)
                .bind(i32::from(at.stage))
                .bind(at.item())
                .bind(turns)
                .bind(lines)
                .bind(Uuid::nil())
                .fetch_all(conn)
                .await?);
        steps.sort_unstable_by_key(|step| step.turn);
        Ok(steps)
    }
}
