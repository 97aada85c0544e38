//! The rule of refresh tokens against a model of it: every order of uses up to a depth, then real races over two
//! servers.
//!
//! The rule: a token is answered again only while nothing that came from it was ever used; of several unused answers
//! to one token the first that is used wins; any other use ends the family.

use crate::support::browser::Ask;
use crate::support::grants::Tokens;
use crate::support::{Reply, TestApp, TestClient};
use grantor::types::refresh_token::RefreshToken;
use std::sync::Arc;
use tokio::sync::Barrier;

/// A token that was handed out.
#[derive(Debug, Clone, PartialEq)]
struct Handed {
    refresh: String,
    access: String,
    parent: Option<usize>,
    used: bool,
}

/// The rule, written without any thought of how the server keeps it.
#[derive(Debug, Clone, PartialEq)]
struct Model {
    handed: Vec<Handed>,
    ended: bool,
}

impl Model {
    fn new(first: &Tokens) -> Self {
        let mut model = Self { handed: Vec::new(), ended: false };
        model.hand_out(first, None);
        model
    }

    fn hand_out(&mut self, tokens: &Tokens, parent: Option<usize>) {
        let (refresh, access) = (tokens.refresh.clone(), tokens.access.clone());
        self.handed.push(Handed { refresh, access, parent, used: false });
    }

    fn came_from(&self, mut token: usize, ancestor: usize) -> bool {
        while let Some(parent) = self.handed[token].parent {
            if parent == ancestor {
                return true;
            }
            token = parent;
        }
        false
    }

    /// Uses a token; true when it must be answered. What is answered is handed out by the caller.
    fn present(&mut self, token: usize) -> bool {
        let parent = self.handed[token].parent;
        let others_used = (0..self.handed.len()).filter(|other| self.handed[*other].used && *other != token);
        let clash = others_used.into_iter().any(|other| {
            let sibling = parent.is_some() && self.handed[other].parent == parent;
            sibling || self.came_from(other, token)
        });
        self.ended |= clash;
        if !self.ended {
            self.handed[token].used = true;
        }
        !self.ended
    }

    /// [`Model::present`] with the answer that it had; false when the rule says otherwise.
    fn follow(&mut self, token: usize, answer: &Reply) -> bool {
        let expected = self.present(token);
        if expected && answer.status == 200 {
            self.hand_out(&answer.tokens(), Some(token));
        }
        expected == (answer.status == 200)
    }
}

#[test]
fn the_model_says_what_the_rule_says() {
    let tokens = |name: &str| Tokens { access: name.into(), refresh: name.into(), body: serde_json::Value::Null };
    let played = |order: &[usize]| {
        let mut model = Model::new(&tokens("0"));
        let answers: Vec<bool> = order
            .iter()
            .map(|token| {
                let answered = model.present(*token);
                if answered {
                    model.hand_out(&tokens("next"), Some(*token));
                }
                answered
            })
            .collect();
        answers
    };
    assert_eq!(played(&[0, 0, 0]), [true, true, true], "nothing that came from it was used");
    assert_eq!(played(&[0, 1, 0]), [true, true, false], "its answer was used");
    assert_eq!(played(&[0, 0, 2, 1]), [true, true, true, false], "the other answer was used");
    assert_eq!(played(&[0, 0, 1, 1, 4, 5]), [true; 6], "any answer may be the one that goes on");
    assert_eq!(played(&[0, 0, 1, 1, 4, 3]), [true, true, true, true, true, false], "but only one");
    assert_eq!(played(&[0, 1, 2, 0, 3]), [true, true, true, false, false], "an old one ends it for all");
    assert_eq!(played(&[0, 0, 1, 3, 0]), [true, true, true, true, false]);
}

/// Two servers over one database, and a client whose person is signed in.
struct Setup {
    servers: [TestApp; 2],
    web: TestClient,
}

impl Setup {
    async fn new() -> Self {
        let (first, web) = TestApp::with_people().await;
        let second = first.second_server().await;
        Self { servers: [first, second], web }
    }

    /// Compares everything that can be seen with the model.
    async fn compare(&self, model: &Model, what: &dyn std::fmt::Debug) {
        let test = &self.servers[0];
        for handed in &model.handed {
            let active = test.introspect(&self.web, &handed.access).await["active"] == true;
            assert_eq!((active, test.bit(&handed.access).await), (!model.ended, model.ended), "{what:?}");
        }
        let token: RefreshToken = model.handed[0].refresh.parse().unwrap();
        let found =
            test.app.store.find_refresh_token(test.tenant_id().await, token.grant(), (token.hash(), token.family()));
        assert_eq!(found.await.unwrap().unwrap().authorization.revoked, model.ended, "{what:?}");
    }
}

/// Every order of `depth` uses, each of any token handed out until then.
fn orders(depth: usize) -> Vec<Vec<usize>> {
    let tokens = Tokens { access: String::new(), refresh: String::new(), body: serde_json::Value::Null };
    let mut open = vec![(Vec::new(), Model::new(&tokens))];
    for _ in 0..depth {
        let mut further = Vec::new();
        for (order, model) in open {
            for token in 0..model.handed.len() {
                let (mut order, mut model): (Vec<usize>, Model) = (order.clone(), model.clone());
                order.push(token);
                if model.present(token) {
                    model.hand_out(&tokens, Some(token));
                }
                further.push((order, model));
            }
        }
        open = further;
    }
    open.into_iter().map(|(order, _)| order).collect()
}

async fn every_order(depth: usize) {
    let setup = Setup::new().await;
    let browser = setup.servers[0].browser();
    let orders = orders(depth);
    let (mut answered, mut refused) = (0, 0);
    for order in &orders {
        let mut model = Model::new(&browser.web_tokens(&setup.web, &Ask::web()).await);
        for (step, token) in order.iter().enumerate() {
            let server = &setup.servers[step % 2];
            let reply = server.refresh(&setup.web, &model.handed[*token].refresh).await;
            assert!(model.follow(*token, &reply), "step {step} of {order:?}: {}", reply.text());
            if reply.status == 200 {
                answered += 1;
            } else {
                refused += 1;
                let code = reply.json()["error_codes"][0].as_u64().unwrap();
                assert_eq!((reply.status.as_u16(), reply.json()["error"].as_str()), (400, Some("invalid_grant")));
                assert!([4106, 4107].contains(&code), "{}", reply.text());
            }
        }
        setup.compare(&model, order).await;
    }
    assert!(answered > orders.len() && refused > orders.len() / 4, "{answered} answered, {refused} refused");
}

// RFC 9700 §4.14.2
#[tokio::test]
async fn every_order_of_four_uses_is_answered_by_the_rule() {
    // What comes before is compared on the way: the first refusal and everything until then.
    every_order(4).await;
}

#[tokio::test]
async fn every_order_of_five_uses_is_answered_by_the_rule() {
    assert!(orders(5).len() >= 80);
    every_order(5).await;
}

/// Presents two tokens at the same moment at two servers.
async fn at_once(setup: &Arc<Setup>, tokens: [String; 2]) -> [Reply; 2] {
    let barrier = Arc::new(Barrier::new(2));
    let spawn = |server: usize, token: String| {
        let (setup, barrier) = (setup.clone(), barrier.clone());
        tokio::spawn(async move {
            barrier.wait().await;
            setup.servers[server].refresh(&setup.web, &token).await
        })
    };
    let [left, right] = tokens;
    let (left, right) = (spawn(0, left), spawn(1, right));
    [left.await.unwrap(), right.await.unwrap()]
}

async fn race(before: &[usize], pair: [usize; 2], rounds: usize) {
    let setup = Arc::new(Setup::new().await);
    let browser = setup.servers[0].browser();
    for round in 0..rounds {
        let mut model = Model::new(&browser.web_tokens(&setup.web, &Ask::web()).await);
        for token in before {
            let reply = setup.servers[0].refresh(&setup.web, &model.handed[*token].refresh).await;
            assert!(model.follow(*token, &reply), "{}", reply.text());
        }
        let tokens = pair.map(|token| model.handed[token].refresh.clone());
        // Which server gets which of them changes from round to round.
        let (order, tokens) = if round % 2 == 0 {
            ([0, 1], tokens)
        } else {
            let [left, right] = tokens;
            ([1, 0], [right, left])
        };
        let replies = at_once(&setup, tokens).await;
        let mut serial = [order, [order[1], order[0]]].map(|order| {
            let mut model = model.clone();
            let position = |which: usize| if round % 2 == 0 { which } else { 1 - which };
            let fits = order.iter().all(|which| model.follow(pair[*which], &replies[position(*which)]));
            (fits, model)
        });
        serial.sort_by_key(|(fits, _)| !fits);
        let texts = || replies.iter().map(Reply::text).collect::<Vec<_>>();
        assert!(serial[0].0, "{before:?} then {pair:?} at once fits no order: {:?}", texts());
        assert!(replies.iter().all(|reply| reply.status.as_u16() < 500), "{:?}", texts());
        // What is left behind is what one of the orders that fit leaves behind, and goes on by it.
        let ended = serial[0].1.ended;
        assert!(serial.iter().all(|(fits, model)| !fits || model.ended == ended), "both orders end alike");
        setup.compare(&serial[0].1, &(before, pair)).await;
        let mut model = serial[0].1.clone();
        for token in (0..model.handed.len()).rev() {
            let reply = setup.servers[0].refresh(&setup.web, &model.handed[token].refresh).await;
            assert!(model.follow(token, &reply), "{before:?}, {pair:?} at once, then {token}: {}", reply.text());
        }
        setup.compare(&model, &(before, pair)).await;
    }
}

const ROUNDS: usize = 12;

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn one_token_twice_at_once() {
    race(&[], [0, 0], ROUNDS).await;
    race(&[0, 1], [2, 2], ROUNDS).await;
    // The one in use once more, while its answer lies unused.
    race(&[0, 1], [1, 1], ROUNDS).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn two_answers_to_one_token_at_once() {
    race(&[0, 0], [1, 2], ROUNDS).await;
    race(&[0, 1, 1], [2, 3], ROUNDS).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_token_and_its_answer_at_once() {
    race(&[0], [0, 1], ROUNDS).await;
    race(&[0, 1], [1, 2], ROUNDS).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn an_old_token_and_a_new_one_at_once() {
    race(&[0, 1], [0, 2], ROUNDS).await;
    race(&[0, 1], [0, 1], ROUNDS).await;
    race(&[0, 0, 1], [2, 3], ROUNDS).await;
    race(&[0, 1, 2], [0, 1], ROUNDS).await;
}

/// Refreshes one token 64 times at once over two servers; then the answer at `pick` goes on and all others end it.
async fn sixty_four_at_once(pick: usize) {
    let setup = Arc::new(Setup::new().await);
    let first = setup.servers[0].browser().web_tokens(&setup.web, &Ask::web()).await;
    let barrier = Arc::new(Barrier::new(64));
    let asking: Vec<_> = (0..64)
        .map(|at| {
            let (setup, barrier, token) = (setup.clone(), barrier.clone(), first.refresh.clone());
            tokio::spawn(async move {
                barrier.wait().await;
                setup.servers[at % 2].refresh(&setup.web, &token).await
            })
        })
        .collect();
    let mut model = Model::new(&first);
    for reply in asking {
        let reply = reply.await.unwrap();
        assert!(model.follow(0, &reply), "{}", reply.text());
    }
    assert_eq!(model.handed.len(), 65);
    let family = |handed: &Handed| {
        let token: RefreshToken = handed.refresh.parse().unwrap();
        (token.grant(), token.family())
    };
    assert!(model.handed.iter().all(|handed| family(handed) == family(&model.handed[0])));
    assert_eq!(setup.servers[0].count("grants").await, 1);
    let going_on = setup.servers[1].refresh(&setup.web, &model.handed[pick].refresh).await;
    assert!(model.follow(pick, &going_on), "{}", going_on.text());
    setup.compare(&model, &pick).await;
    // The family has gone on: of the others each one alone would end it, and does.
    let other = if pick == 1 { 64 } else { 1 };
    let reply = setup.servers[0].refresh(&setup.web, &model.handed[other].refresh).await;
    assert!(model.follow(other, &reply), "{}", reply.text());
    reply.assert_error(400, "invalid_grant", 4107);
    for token in (1..model.handed.len()).step_by(7) {
        let reply = setup.servers[token % 2].refresh(&setup.web, &model.handed[token].refresh).await;
        assert!(model.follow(token, &reply), "{}", reply.text());
    }
    setup.compare(&model, &pick).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn sixty_four_refreshes_at_once_and_the_first_answer_goes_on() {
    sixty_four_at_once(1).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn sixty_four_refreshes_at_once_and_one_in_the_middle_goes_on() {
    sixty_four_at_once(33).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn sixty_four_refreshes_at_once_and_the_last_answer_goes_on() {
    sixty_four_at_once(64).await;
}

/// One token answered 140 times, a second apart when `apart`.
async fn answered_often(apart: bool) -> (TestApp, TestClient, Model) {
    let (test, web) = TestApp::with_people().await;
    let mut model = Model::new(&test.browser().web_tokens(&web, &Ask::web()).await);
    for _ in 0..140 {
        if apart {
            test.clock.advance(1);
        }
        let reply = test.refresh(&web, &model.handed[0].refresh).await;
        assert!(model.follow(0, &reply), "{}", reply.text());
    }
    let rows = test.count("refresh_tokens").await;
    assert!((129..=130).contains(&rows), "{rows} rows are kept");
    (test, web, model)
}

#[tokio::test]
async fn of_more_answers_than_are_kept_the_newest_go_on() {
    for back in [0, 64, 127] {
        let (test, web, mut model) = answered_often(true).await;
        let token = model.handed.len() - 1 - back;
        let reply = test.refresh(&web, &model.handed[token].refresh).await;
        assert!(model.follow(token, &reply), "{back} before the newest: {}", reply.text());
        assert_eq!(test.count("refresh_tokens").await, 2);
    }
}

#[tokio::test]
async fn of_more_answers_than_are_kept_within_a_second_the_newest_goes_on() {
    let (test, web, mut model) = answered_often(false).await;
    let newest = model.handed.len() - 1;
    let reply = test.refresh(&web, &model.handed[newest].refresh).await;
    assert!(model.follow(newest, &reply), "{}", reply.text());
}

// The bound errs on the safe side: an answer that is not kept any more counts as an old token.
#[tokio::test]
async fn of_more_answers_than_are_kept_the_oldest_ends_the_family() {
    let (test, web, model) = answered_often(true).await;
    test.refresh(&web, &model.handed[1].refresh).await.assert_error(400, "invalid_grant", 4107);
    let newest = model.handed.last().unwrap();
    test.refresh(&web, &newest.refresh).await.assert_error(400, "invalid_grant", 4106);
    test.assert_alive(&web, &newest.access, false).await;
}
