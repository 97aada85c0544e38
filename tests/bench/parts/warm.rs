//! A server in this process, without sockets, that has everything in memory which a request needs.

use crate::signatures;
use crate::support::{PUBLIC_URL, TestApp, TestClient};
use grantor::app::{Decision, DecisionKey};
use grantor::store::DatabaseUrl;
use grantor::store::clients::Client;
use grantor::store::tenants::Tenant;
use grantor::sweep::{self, STEADY};
use grantor::types::alg::Alg;
use grantor::types::clock::Clock;
use sqlx::{Connection, SqliteConnection};
use std::sync::Arc;
use tokio::runtime::Runtime;
use tokio::sync::Mutex;

/// Groups of the client, all of them in its tokens.
const GROUPS: usize = 10;

/// The secret of the client `chosen`.
pub const CHOSEN: &str = "correct horse battery staple";

/// The server and what was set up in it.
pub struct Warm {
    /// What futures run on: the thread that measures, as a server on one core has one thread for its requests.
    pub runtime: Runtime,
    /// The server, on SQLite and the system's clock.
    pub test: TestApp,
    /// Its default tenant.
    pub tenant: Tenant,
    /// The client that asks, as it is in memory.
    pub client: Arc<Client>,
    /// Its id and its generated secret.
    pub credentials: TestClient,
    /// What it asks for, in each algorithm.
    pub asked: Vec<Asked>,
}

/// A request that was made before, with what came of it.
pub struct Asked {
    /// What signs.
    pub alg: signatures::Alg,
    /// Its name.
    pub name: String,
    /// The `scope` parameter.
    pub scope: String,
    /// The whole body.
    pub form: String,
    /// What was decided.
    pub decision: Arc<Decision>,
    /// A token.
    pub token: String,
}

impl Warm {
    /// Sets everything up and asks for each token once.
    pub fn new() -> Self {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let (test, tenant, client, credentials, asked) = runtime.block_on(async {
            let folder = tempfile::tempdir().unwrap();
            let database = folder.path().join("grantor.db").to_str().unwrap().parse().unwrap();
            let test = TestApp::open(folder, database, Clock::System, PUBLIC_URL).await;
            // As in a server that runs: changes are followed and status list indexes leased ahead.
            tokio::spawn(sweep::run(test.app.clone(), STEADY));
            let credentials = set_up(&test).await;
            let tenant = test.tenant().await;
            let client = test.app.directory.client(tenant.id, &credentials.id).await.unwrap().unwrap();
            let mut asked = Vec::new();
            for (alg, signed) in ALGORITHMS {
                asked.push(ask(&test, (&client, &credentials), (alg, signed)).await);
            }
            (test, tenant, client, credentials, asked)
        });
        Self { runtime, test, tenant, client, credentials, asked }
    }

    /// The request whose token is signed with ES256, where the algorithm makes no difference.
    pub fn es256(&self) -> &Asked {
        self.asked.iter().find(|asked| asked.alg == signatures::Alg::Es256).unwrap()
    }

    /// A connection to the database past the store.
    pub fn connection(&self) -> Mutex<SqliteConnection> {
        let DatabaseUrl::Sqlite(path) = &self.test.database else { unreachable!("it was set up on SQLite") };
        Mutex::new(self.runtime.block_on(SqliteConnection::connect(path.to_str().unwrap())).unwrap())
    }
}

const ALGORITHMS: [(Alg, signatures::Alg); 3] =
    [(Alg::EdDsa, signatures::Alg::Eddsa), (Alg::Es256, signatures::Alg::Es256), (Alg::Rs256, signatures::Alg::Rs256)];

fn resource(alg: Alg) -> String {
    format!("https://{}.example.com", alg.to_string().to_lowercase())
}

async fn set_up(test: &TestApp) -> TestClient {
    let mut allowed = Vec::new();
    for (alg, _) in ALGORITHMS {
        test.resource(&resource(alg), |settings| settings.alg = alg).await;
        allowed.push(format!("{}/.default", resource(alg)));
    }
    let allowed: Vec<&str> = allowed.iter().map(String::as_str).collect();
    let credentials = test.client("app", &allowed).await;
    test.client_with_chosen("chosen", CHOSEN, &allowed).await;
    for number in 0..GROUPS {
        let group = test.group(&format!("kafka-readers-{number}")).await;
        test.add_client(&group, &credentials.id).await;
    }
    credentials
}

async fn ask(
    test: &TestApp,
    (client, credentials): (&Client, &TestClient),
    (alg, signed): (Alg, signatures::Alg),
) -> Asked {
    let scope = format!("{}/.default", resource(alg));
    let token = test.token(credentials, &scope).await;
    let parameters = [
        ("grant_type", "client_credentials"),
        ("client_id", &credentials.id),
        ("client_secret", &credentials.secret),
        ("scope", &scope),
    ];
    let form = serde_urlencoded::to_string(parameters).unwrap();
    let key: DecisionKey = (client.oid, scope.clone(), Vec::new());
    let decision = test.app.decisions.get(&key).unwrap();
    Asked { alg: signed, name: alg.to_string(), scope, form, decision, token }
}
