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

/// One statement for a number of questions. A row of the answer has the number of its question.
macro_rules! statement {
    ($first:literal $(, $more:literal)*) => {
        concat!(
            "WITH asked (n, tenant_id, jti, subject, client_id, person) AS (VALUES ", $first, $(", ", $more,)* ") \
             SELECT n, \
             EXISTS (SELECT 1 FROM revocations r WHERE r.tenant_id = a.tenant_id AND r.jti = a.jti), \
             EXISTS (SELECT 1 FROM clients c WHERE c.tenant_id = a.tenant_id AND c.client_id = a.client_id AND c.enabled \
             AND (a.person OR c.id = a.subject)), \
             NOT a.person OR EXISTS (SELECT 1 FROM users u WHERE u.tenant_id = a.tenant_id AND u.id = a.subject AND u.enabled), \
             EXISTS (SELECT 1 FROM tenants t WHERE t.id = a.tenant_id AND t.enabled), \
             EXISTS (SELECT 1 FROM kept_tokens k WHERE k.jti = a.jti AND k.by_operator) FROM asked a"
        )
    };
}

const ONE: &str = statement!("($1, $2, $3, $4, $5, $6)");
const FEW: &str = statement!(
    "($1, $2, $3, $4, $5, $6)",
    "($7, $8, $9, $10, $11, $12)",
    "($13, $14, $15, $16, $17, $18)",
    "($19, $20, $21, $22, $23, $24)"
);
const MANY: &str = statement!(
    "($1, $2, $3, $4, $5, $6)",
    "($7, $8, $9, $10, $11, $12)",
    "($13, $14, $15, $16, $17, $18)",
    "($19, $20, $21, $22, $23, $24)",
    "($25, $26, $27, $28, $29, $30)",
    "($31, $32, $33, $34, $35, $36)",
    "($37, $38, $39, $40, $41, $42)",
    "($43, $44, $45, $46, $47, $48)",
    "($49, $50, $51, $52, $53, $54)",
    "($55, $56, $57, $58, $59, $60)",
    "($61, $62, $63, $64, $65, $66)",
    "($67, $68, $69, $70, $71, $72)",
    "($73, $74, $75, $76, $77, $78)",
    "($79, $80, $81, $82, $83, $84)",
    "($85, $86, $87, $88, $89, $90)",
    "($91, $92, $93, $94, $95, $96)"
);

type Row = (i64, bool, bool, bool, bool, bool);

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
            for (n, question) in (0_i64..).zip(padded) {
                query = query
                    .bind(n)
                    .bind(question.tenant.uuid())
                    .bind(question.jti)
                    .bind(question.subject.uuid())
                    .bind(question.client_id.as_str())
                    .bind(matches!(question.subject, MemberId::User(_)));
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
