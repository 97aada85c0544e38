//! What the database knows of a token, asked for many requests at once.
//!
//! Nothing here comes from memory: each answer was read after its question came. But while one read is under way the
//! questions that come meanwhile gather, and the next read answers all of them, so that under load a question costs a
//! share of a way to the database and not a whole one.

use super::{Store, StoreError, reading};
use crate::types::id::{MemberId, TenantId};
use std::sync::{Arc, Mutex, PoisonError};
use tokio::sync::oneshot;
use uuid::Uuid;

/// Questions that one statement answers.
const AT_ONCE: usize = 16;

/// Reads under way at once.
const READS: usize = 2;

/// What the database knows of a token whose signature is good.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TokenState {
    /// It was revoked.
    pub revoked: bool,
    /// The client it was issued to, and the person if there is one, exist and are enabled.
    pub subject_enabled: bool,
    /// The tenant exists and is enabled.
    pub tenant_enabled: bool,
    /// An operator issued it, so that its last use is of interest.
    pub listed: bool,
}

struct Question {
    tenant: TenantId,
    jti: Uuid,
    subject: MemberId,
    client_id: String,
    answer: oneshot::Sender<Result<TokenState, StoreError>>,
}

/// Questions that wait, and how many reads are under way.
#[derive(Debug, Default)]
pub(super) struct Waiting(Mutex<(Vec<Question>, usize)>);

impl std::fmt::Debug for Question {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Question({})", self.jti)
    }
}

impl Waiting {
    /// Puts a question; answers whether a read is to be started for it.
    fn put(&self, question: Question) -> bool {
        let mut waiting = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        waiting.0.push(question);
        let starts = waiting.1 < READS;
        waiting.1 += usize::from(starts);
        starts
    }

    /// The next questions; with none the read that asks is over.
    fn take(&self) -> Vec<Question> {
        let mut waiting = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let many = waiting.0.len().min(AT_ONCE);
        if many == 0 {
            waiting.1 -= 1;
        }
        waiting.0.drain(..many).collect()
    }
}

/// A question of one statement; its row of the answer has its number. `$` goes by the number too.
macro_rules! question {
    ($n:literal, $tenant:literal, $jti:literal, $client_id:literal, $person:literal, $subject:literal) => {
        concat!(
            "SELECT ",
            $n,
            ", EXISTS (SELECT 1 FROM revocations WHERE tenant_id = $",
            $tenant,
            " AND jti = $",
            $jti,
            "), \
             EXISTS (SELECT 1 FROM clients WHERE tenant_id = $",
            $tenant,
            " AND client_id = $",
            $client_id,
            " AND enabled AND ($",
            $person,
            " OR id = $",
            $subject,
            ")), \
             NOT $",
            $person,
            " OR EXISTS (SELECT 1 FROM users WHERE tenant_id = $",
            $tenant,
            " AND id = $",
            $subject,
            " AND enabled), \
             EXISTS (SELECT 1 FROM tenants WHERE id = $",
            $tenant,
            " AND enabled), \
             EXISTS (SELECT 1 FROM kept_tokens WHERE jti = $",
            $jti,
            " AND by_operator)"
        )
    };
}

const ONE: &str = question!(0, 1, 2, 3, 4, 5);
const FEW: &str = concat!(
    question!(0, 1, 2, 3, 4, 5),
    " UNION ALL ",
    question!(1, 6, 7, 8, 9, 10),
    " UNION ALL ",
    question!(2, 11, 12, 13, 14, 15),
    " UNION ALL ",
    question!(3, 16, 17, 18, 19, 20)
);
const MANY: &str = concat!(
    question!(0, 1, 2, 3, 4, 5),
    " UNION ALL ",
    question!(1, 6, 7, 8, 9, 10),
    " UNION ALL ",
    question!(2, 11, 12, 13, 14, 15),
    " UNION ALL ",
    question!(3, 16, 17, 18, 19, 20),
    " UNION ALL ",
    question!(4, 21, 22, 23, 24, 25),
    " UNION ALL ",
    question!(5, 26, 27, 28, 29, 30),
    " UNION ALL ",
    question!(6, 31, 32, 33, 34, 35),
    " UNION ALL ",
    question!(7, 36, 37, 38, 39, 40),
    " UNION ALL ",
    question!(8, 41, 42, 43, 44, 45),
    " UNION ALL ",
    question!(9, 46, 47, 48, 49, 50),
    " UNION ALL ",
    question!(10, 51, 52, 53, 54, 55),
    " UNION ALL ",
    question!(11, 56, 57, 58, 59, 60),
    " UNION ALL ",
    question!(12, 61, 62, 63, 64, 65),
    " UNION ALL ",
    question!(13, 66, 67, 68, 69, 70),
    " UNION ALL ",
    question!(14, 71, 72, 73, 74, 75),
    " UNION ALL ",
    question!(15, 76, 77, 78, 79, 80)
);

/// Every statement of this file, for those who look at them all.
pub const STATEMENTS: [&str; 3] = [ONE, FEW, MANY];

type Row = (i32, bool, bool, bool, bool, bool);

impl Store {
    /// Revocation, subject, client and tenant of a token, as they are now.
    ///
    /// # Errors
    /// The database does not answer.
    pub async fn token_state(
        &self,
        tenant: TenantId,
        jti: Uuid,
        subject: MemberId,
        client_id: &str,
    ) -> Result<TokenState, StoreError> {
        let (answer, answered) = oneshot::channel();
        let question = Question { tenant, jti, subject, client_id: client_id.to_owned(), answer };
        if self.states.put(question) {
            let (store, states) = (self.clone(), self.states.clone());
            // In a task of its own: the request that starts a read may be given up while others wait for it.
            tokio::spawn(async move { store.answer_all(&states).await });
        }
        answered.await.map_err(|_| StoreError::Unavailable("the server is stopping".into()))?
    }

    async fn answer_all(&self, states: &Arc<Waiting>) {
        loop {
            let mut questions = states.take();
            if questions.is_empty() {
                return;
            }
            let found = self.read_states(&questions).await;
            for (at, question) in questions.drain(..).enumerate() {
                let state = match &found {
                    Ok(states) => states.get(at).copied().flatten().ok_or_else(|| super::unreadable("token")),
                    Err(error) => Err(error.clone()),
                };
                // Whoever asked may have gone.
                let _ = question.answer.send(state);
            }
        }
    }

    async fn read_states(&self, questions: &[Question]) -> Result<Vec<Option<TokenState>>, StoreError> {
        let (statement, places) = match questions.len() {
            1 => (ONE, 1),
            ..=4 => (FEW, 4),
            _ => (MANY, AT_ONCE),
        };
        // Places that are left over ask the last question again.
        let padded = questions.iter().chain(std::iter::repeat(&questions[questions.len() - 1])).take(places);
        let rows: Vec<Row> = reading!(self, conn => {
            let mut query = sqlx::query_as(statement);
            for question in padded {
                query = query
                    .bind(question.tenant.uuid())
                    .bind(question.jti)
                    .bind(question.client_id.as_str())
                    .bind(matches!(question.subject, MemberId::User(_)))
                    .bind(question.subject.uuid());
            }
            query.fetch_all(conn).await?
        });
        let mut states = vec![None; questions.len()];
        for (n, revoked, client_enabled, person_enabled, tenant_enabled, listed) in rows {
            if let Some(state) = usize::try_from(n).ok().and_then(|n| states.get_mut(n)) {
                let subject_enabled = client_enabled && person_enabled;
                *state = Some(TokenState { revoked, subject_enabled, tenant_enabled, listed });
            }
        }
        Ok(states)
    }
}
