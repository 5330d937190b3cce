//! A cluster at one instant, given and not watched: what the benchmarks judge by. Everything that a verdict asks of
//! a [`Cluster`] is answered from memory, in the same way as from a watched one, but for who asks: the callers are
//! given as verified, and stay so.

use std::sync::Arc;
use std::time::{Duration, Instant};

use jiff::Timestamp;
use kube::Client;
use kube::client::Body;
use policies::caller::Caller;
use policies::library::Library;
use policies::tables::Facts;
use tokio_util::sync::CancellationToken;

use super::callers::token::Token;
use super::callers::{Callers, Live};
use super::clock::Clock;
use super::collectable::Collectable;
use super::dependents::Dependents;
use super::events::Events;
use super::facts::LiveFacts;
use super::masters::MasterAccounts;
use super::templates::Templates;
use super::{Cluster, Tasks};

/// How long what is given stands: longer than any benchmark.
const FRESH_FOR: Duration = Duration::from_secs(30 * 24 * 3600);

/// What is known.
pub struct Still {
    /// The API server's clock at this moment.
    pub now: Timestamp,
    /// The templates.
    pub library: Library,
    /// Live objects that the API server's plugins use.
    pub facts: Facts,
    /// Who may ask; each is a master.
    pub callers: Vec<Caller>,
}

impl Cluster {
    /// A cluster in which nothing changes. Nobody else's pod is found, and Events are written to nobody.
    pub fn still(still: Still, shutdown: CancellationToken) -> (Arc<Self>, Tasks) {
        let fresh = Instant::now() + FRESH_FOR;
        let client = Client::new(tower::service_fn(nothing), "default");
        let clock = Clock::new();
        clock.observe(still.now, Instant::now());
        let masters = still.callers.iter().map(|caller| caller.account.clone()).collect();
        let templates = Arc::new(Templates::still(still.library, fresh));
        let masters = Arc::new(MasterAccounts::still(masters, templates.last().namespaces.clone()));
        let callers = Callers::still(
            Live(client.clone()),
            still.callers.into_iter().map(|caller| (Token::of_caller(&caller), caller)),
            fresh,
        );
        let (events, writer) = Events::new(client.clone(), Arc::clone(&clock), "");
        let mut tasks = Tasks { running: Default::default(), shutdown };
        tasks.keep("the Events", writer.run());
        let cluster = Self {
            client,
            clock,
            templates,
            facts: Arc::new(LiveFacts::still(still.facts, fresh)),
            masters,
            collectable: Arc::new(Collectable::new(None)),
            dependents: Arc::new(Dependents::default()),
            callers,
            events: Arc::new(events),
            trusted: None,
        };
        (Arc::new(cluster), tasks)
    }
}

/// An API server that has nothing and takes everything.
async fn nothing(request: http::Request<Body>) -> Result<http::Response<Body>, std::convert::Infallible> {
    let found = request.method() != http::Method::GET;
    let (status, body) = if found {
        (http::StatusCode::CREATED, "{}")
    } else {
        (http::StatusCode::NOT_FOUND, r#"{"kind":"Status","apiVersion":"v1","status":"Failure","code":404}"#)
    };
    let mut answer = http::Response::new(Body::from(body.as_bytes().to_vec()));
    *answer.status_mut() = status;
    Ok(answer)
}
