//! Who is in a group at any depth, page by page.
//!
//! The groups inside make a tree as soon as each of them counts below one other group only: that with the smallest id of those
//! inside which it is in. For clients and users it is the same. The list goes through the tree depth first; of each group come
//! the clients, then the users, then the groups with all that is in them, each in order of ids. A page is one walk that goes
//! on where the page before ended, step by step, and so reads as many groups as it shows, however many are inside.

use super::members::MemberLine;
use super::{Store, StoreError, reading};
use crate::types::Invalid;
use crate::types::id::GroupId;
use std::fmt;
use std::str::FromStr;
use uuid::Uuid;

// Stages of going through a group. The statement of the walk has them as numbers.

/// Before its first member.
const BEFORE: i32 = 0;
/// At a client, or behind the last one.
const CLIENT: i32 = 1;
/// At a group inside that may count below another one, or behind the last one.
const CANDIDATE: i32 = 3;
/// Behind a group inside and all that is in it.
const BEHIND: i32 = 4;
/// At a group inside that is gone into next.
const INTO: i32 = 5;

/// A group that nothing is in takes so many steps, every other line fewer.
const STEPS_A_LINE: i64 = 6;

/// For the way out of nested groups, and into the first line.
const STEPS_BESIDE: i64 = 64;

/// So many walks at most make a page: lines fall away where a member came below another group already.
const WALKS: usize = 4;

/// Where a page ended. Its text is given back to go on there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Position {
    group: Uuid,
    stage: i32,
    // A member of the group; behind the last one none.
    item: Option<Uuid>,
}

impl Position {
    fn before(group: Uuid) -> Self {
        Self { group, stage: BEFORE, item: None }
    }
}

impl fmt::Display for Position {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // No group is in itself, so its own id says that there is no item.
        write!(f, "{}/{}/{}", self.group, self.stage, self.item.unwrap_or(self.group))
    }
}

impl FromStr for Position {
    type Err = Invalid;

    fn from_str(text: &str) -> Result<Self, Invalid> {
        let read = || {
            let (group, rest) = text.split_once('/')?;
            let (stage, item) = rest.split_once('/')?;
            let (group, item) = (Uuid::try_parse(group).ok()?, Uuid::try_parse(item).ok()?);
            let (stage, item) = (stage.parse().ok()?, (item != group).then_some(item));
            let is_one = match stage {
                BEFORE | CANDIDATE => item.is_none(),
                BEHIND => item.is_some(),
                _ => (CLIENT..CANDIDATE).contains(&stage),
            };
            is_one.then_some(Self { group, stage, item })
        };
        read().ok_or_else(|| Invalid::new("position", text, "it is not what a page before ended with"))
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
    fn position(&self) -> Position {
        match (self.stage, self.item) {
            (INTO, Some(item)) => Position::before(item),
            (CANDIDATE, Some(item)) => {
                let before = Uuid::from_u128(item.as_u128().saturating_sub(1));
                Position { group: self.group_id, stage: BEHIND, item: Some(before) }
            }
            (stage, item) => Position { group: self.group_id, stage, item },
        }
    }

    fn line(self) -> Option<MemberLine> {
        Some(MemberLine { kind: self.kind, id: self.item?, name: self.name?, shown: self.shown? })
    }
}

impl Store {
    /// Every client, user and group that is in a group at any depth, each once; behind `after`, at most `limit`, which is
    /// at least one. None when the group in which `after` stands is not inside (any more). How many groups are inside
    /// and how many members they have does not make it slower. Whoever comes to be in other groups while pages are read may be
    /// missed or come again.
    ///
    /// # Errors
    /// The database does not answer.
    pub async fn list_all_members(
        &self,
        group: GroupId,
        after: Option<Position>,
        limit: i64,
    ) -> Result<Option<AllMembers>, StoreError> {
        let mut at = after.unwrap_or(Position::before(group.uuid()));
        let mut lines: Vec<MemberLine> = Vec::new();
        for _ in 0..WALKS {
            // One more than fits, which tells whether there are more.
            let room = limit + 1 - i64::try_from(lines.len()).unwrap_or(limit);
            let turns = STEPS_A_LINE * room + STEPS_BESIDE;
            let steps = self.walk(group, at, (turns, room)).await?;
            let Some(last) = steps.last() else { return Ok(None) };
            let (is_cut, end) = (i64::from(last.turn) == turns, last.position());
            let mut passed = 0;
            for step in steps {
                let (position, elsewhere) = (step.position(), step.elsewhere);
                let Some(line) = step.line() else { continue };
                passed += 1;
                if elsewhere {
                    continue;
                }
                if i64::try_from(lines.len()) == Ok(limit) {
                    return Ok(Some(AllMembers { lines, next: Some(at) }));
                }
                at = position;
                lines.push(line);
            }
            if !is_cut && passed < room {
                return Ok(Some(AllMembers { lines, next: None }));
            }
            at = end;
        }
        Ok(Some(AllMembers { lines, next: Some(at) }))
    }

    /// So many turns of the walk through `top` from `at` on, and so many lines at most, in order. Nothing when `at` is not
    /// inside.
    async fn walk(&self, top: GroupId, at: Position, (turns, lines): (i64, i64)) -> Result<Vec<Step>, StoreError> {
        let mut steps: Vec<Step> = reading!(self, conn =>
            // A step stands at a group and one of the stages of going through it, and at an item where there is one: 0 before its
            // members; 1 at a client or, without one, behind the last; 2 the same with users; 3 with groups, which may count
            // below another group; 4 behind such a group and all that is in it; 5 at one that is gone into next.
            sqlx::query_as(
                "WITH RECURSIVE walk (turn, lines, group_id, stage, item) AS (\
                 SELECT 0, 0, g.id, CAST($3 AS INTEGER), NULLIF($4, g.id) FROM groups g WHERE g.id = $2 AND EXISTS (\
                 WITH RECURSIVE up (id) AS (SELECT g.id UNION SELECT u.group_id FROM up \
                 JOIN group_groups u ON u.member_id = up.id) SELECT 1 FROM up WHERE id = $1) \
                 UNION ALL SELECT turn + 1, \
                 lines + CASE WHEN turn > 0 AND stage IN (1, 2, 5) AND item IS NOT NULL THEN 1 ELSE 0 END, \
                 CASE WHEN stage = 5 THEN item WHEN stage = 3 AND item IS NULL THEN (SELECT o.group_id FROM group_groups o \
                 WHERE o.member_id = walk.group_id AND CASE WHEN EXISTS (SELECT 1 FROM group_groups p \
                 WHERE p.member_id = walk.group_id AND p.group_id <> o.group_id) THEN EXISTS (\
                 WITH RECURSIVE up (id) AS (SELECT o.group_id UNION SELECT u.group_id FROM up \
                 JOIN group_groups u ON u.member_id = up.id) SELECT 1 FROM up WHERE id = $1) ELSE TRUE END \
                 ORDER BY o.group_id LIMIT 1) ELSE group_id END, \
                 CASE WHEN stage = 5 THEN 1 WHEN stage = 4 THEN 3 WHEN stage = 3 AND item IS NULL THEN 4 \
                 WHEN item IS NULL THEN stage + 1 WHEN stage < 3 THEN stage \
                 WHEN EXISTS (SELECT 1 FROM group_groups o WHERE o.member_id = walk.item AND o.group_id < walk.group_id \
                 AND EXISTS (WITH RECURSIVE up (id) AS (SELECT o.group_id UNION SELECT u.group_id FROM up \
                 JOIN group_groups u ON u.member_id = up.id) SELECT 1 FROM up WHERE id = $1)) THEN 4 ELSE 5 END, \
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
                 COALESCE(c.client_id, u.username, g.name) AS name, \
                 COALESCE(c.name, u.display_name, u.username, g.name) AS shown, \
                 CASE stage WHEN 1 THEN EXISTS (SELECT 1 FROM group_clients o WHERE o.client_id = walk.item \
                 AND o.group_id < walk.group_id AND EXISTS (WITH RECURSIVE up (id) AS (SELECT o.group_id \
                 UNION SELECT u.group_id FROM up JOIN group_groups u ON u.member_id = up.id) \
                 SELECT 1 FROM up WHERE id = $1)) \
                 WHEN 2 THEN EXISTS (SELECT 1 FROM group_users o WHERE o.user_id = walk.item \
                 AND o.group_id < walk.group_id AND EXISTS (WITH RECURSIVE up (id) AS (SELECT o.group_id \
                 UNION SELECT u.group_id FROM up JOIN group_groups u ON u.member_id = up.id) \
                 SELECT 1 FROM up WHERE id = $1)) ELSE FALSE END AS elsewhere \
                 FROM walk LEFT JOIN clients c ON c.id = CASE WHEN stage = 1 AND turn > 0 THEN item END \
                 LEFT JOIN users u ON u.id = CASE WHEN stage = 2 AND turn > 0 THEN item END \
                 LEFT JOIN groups g ON g.id = CASE WHEN stage = 5 AND turn > 0 THEN item END \
                 WHERE turn = 0 OR turn = $5 OR stage IN (1, 2, 5) AND item IS NOT NULL",
            )
            .bind(top.uuid())
            .bind(at.group)
            .bind(at.stage)
            .bind(at.item.unwrap_or(at.group))
            .bind(turns)
            .bind(lines)
            .bind(Uuid::nil())
            .fetch_all(conn)
            .await?);
        steps.sort_unstable_by_key(|step| step.turn);
        Ok(steps)
    }
}
