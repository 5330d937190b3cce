//! The webhook alone: reviews over TLS and HTTP/2, and what each costs.
//!
//! Each server is a process on one core, the load is on another; all servers live through the whole run and are loaded
//! one at a time, in rounds, so that what else the machine does hits all of them. What counts is CPU per review, of
//! the server alone, and its ratio to that of a server which only parses; medians over rounds.
//!
//! The rooms: [`world`] is the cluster that is judged by, [`templates`] and [`pods`] what is in it, [`reviews`] what is
//! asked and must be answered; [`servers`] answer, [`load`] asks, [`process`] says what was used; [`report`] shows it.
//! [`beside`] asks while others flood the same server.

pub mod beside;
#[path = "../../../../webhooks/tests/support/inputs.rs"]
mod inputs;
pub mod load;
pub mod pods;
pub mod process;
pub mod report;
pub mod reviews;
pub mod servers;
pub mod templates;
pub mod world;

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::Context;
use certs::expiry::Validity;
use certs::issue::{self, Names};
use jiff::{SignedDuration, Timestamp};

use load::Client;
use process::{LOAD_CORE, Process, SERVER_CORE};
use report::{Figures, Measured, Report};
use reviews::{Author, Body, Expected, Question};
use servers::Server;
use world::World;

/// Measure the webhook alone
#[derive(Debug, clap::Args)]
pub struct Args {
    /// About a minute instead of ten
    #[arg(long)]
    quick: bool,
    /// How to print the figures
    #[arg(short, long, value_enum, default_value_t)]
    output: report::Format,
    /// Only what is named so, such as check, templates=100, retinue or beside
    #[arg(long, value_name = "WORD")]
    only: Vec<String>,
    /// Rounds; else as many as fit the time
    #[arg(long, value_name = "NUMBER")]
    rounds: Option<usize>,
}

/// Be one of the servers that are measured
#[derive(Debug, clap::Args)]
pub struct ServeArgs {
    /// constant, parsing, or the world that retinue judges by: templates=N, variants=N
    what: String,
    /// The directory with tls.crt and tls.key
    #[arg(long, value_name = "DIR")]
    certs: PathBuf,
}

/// One thing that is measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Case {
    question: Question,
    world: World,
    server: Server,
    at_once: usize,
}

/// The world of every case that is not about worlds.
const USUAL: World = World::Templates(100);

/// Everything that is measured, in the order in which a round goes through it: a case of retinue stands beside those
/// that it is compared with.
fn cases() -> Vec<Case> {
    let mut all = Vec::new();
    for question in [Question::Check, Question::Stamp, Question::Refusal, Question::RefusalFinal] {
        for at_once in [1, 16, 64] {
            if question == Question::RefusalFinal && at_once != 16 {
                continue;
            }
            for server in [Server::Constant, Server::Parsing, Server::Retinue(USUAL)] {
                all.push(Case { question, world: USUAL, server, at_once });
            }
        }
    }
    let worlds = [1, 10_000].map(World::Templates).into_iter().chain([1, 10, 100].map(World::Variants));
    for world in worlds {
        for question in [Question::Check, Question::Stamp] {
            all.push(Case { question, world, server: Server::Retinue(world), at_once: 16 });
        }
    }
    all
}

impl Case {
    fn words(&self) -> [String; 4] {
        let server = match self.server {
            Server::Constant => "constant",
            Server::Parsing => "parsing",
            Server::Retinue(_) => "retinue",
        };
        [server.into(), self.question.to_string(), self.world.to_string(), format!("at-once={}", self.at_once)]
    }

    fn expected(&self) -> Expected {
        match self.server {
            Server::Constant => Expected::Constant,
            Server::Parsing => Expected::ConstantPatch,
            Server::Retinue(_) => Expected::Verdict(self.question),
        }
    }
}

/// Serves, on the servers' core.
///
/// # Errors
/// When it cannot.
pub fn serve(args: &ServeArgs) -> anyhow::Result<()> {
    process::pin(SERVER_CORE)?;
    // As the real program does; so that the servers differ in nothing else, each of them.
    retinue::memory::small_pages();
    let server = match args.what.as_str() {
        "constant" => Server::Constant,
        "parsing" => Server::Parsing,
        world => Server::Retinue(world.parse()?),
    };
    servers::run(server, &args.certs)
}

/// Measures, and prints what was found.
///
/// # Errors
/// At the first wrong answer, and when a server cannot be started.
pub fn run(args: &Args) -> anyhow::Result<()> {
    process::pin(LOAD_CORE)?;
    let directory = tempfile::tempdir()?;
    let authority = certificates(directory.path())?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let report = runtime.block_on(measure(args, directory.path(), &authority))?;
    report.print(args.output)
}

fn certificates(directory: &Path) -> anyhow::Result<String> {
    let validity = Validity::lasting(Timestamp::now() - SignedDuration::from_mins(5), SignedDuration::from_hours(24));
    let authority = issue::authority("bench", validity)?;
    let leaf = issue::leaf(&authority, &Names { dns: vec!["localhost".into()], ips: Vec::new() }, validity)?;
    fs::write(directory.join("tls.crt"), leaf.certificate)?;
    fs::write(directory.join("tls.key"), leaf.key)?;
    Ok(authority.certificate)
}

/// What is asked, by world and question.
fn bodies(cases: &[Case]) -> anyhow::Result<BTreeMap<String, Vec<Body>>> {
    let mut bodies = BTreeMap::new();
    let mut author: Option<(World, Author)> = None;
    for case in cases {
        let asked = format!("{} {}", case.world, case.question);
        if bodies.contains_key(&asked) {
            continue;
        }
        let (_, author) = match author.take_if(|(world, _)| *world == case.world) {
            Some(same) => author.insert(same),
            None => author.insert((case.world, Author::new(case.world)?)),
        };
        bodies.insert(asked, author.bodies(case.question)?);
    }
    Ok(bodies)
}

fn start(server: Server, certificates: &Path) -> anyhow::Result<Process> {
    let what = match server {
        Server::Constant => "constant".into(),
        Server::Parsing => "parsing".into(),
        Server::Retinue(world) => world.to_string(),
    };
    let directory = certificates.to_str().context("a directory whose name is no text")?;
    Process::start(["serve", &what, "--certs", directory])
}

async fn measure(args: &Args, certificates: &Path, authority: &str) -> anyhow::Result<Report> {
    let wanted = |case: &Case| args.only.iter().all(|word| case.words().contains(word));
    let cases: Vec<Case> = cases().into_iter().filter(wanted).collect();
    let (rounds, count) = if args.quick { (3, 2_000) } else { (9, 10_000) };
    let rounds = args.rounds.unwrap_or(rounds);

    let bodies = bodies(&cases)?;
    let mut processes: Vec<(Server, Process)> = Vec::new();
    for case in &cases {
        if processes.iter().all(|(server, _)| *server != case.server) {
            processes.push((case.server, start(case.server, certificates)?));
        }
    }
    // Once all run: a server hangs up on who connects and says nothing.
    let mut servers: Vec<(Server, Process, Client)> = Vec::new();
    for (server, process) in processes {
        let client = Client::connect(process.address, authority).await?;
        servers.push((server, process, client));
    }
    let mut measured: Vec<Vec<Figures>> = vec![Vec::new(); cases.len()];
    let rounds = if cases.is_empty() { 0 } else { rounds };
    for round in 0..=rounds {
        for (case, figures) in cases.iter().zip(&mut measured) {
            let bodies = bodies.get(&format!("{} {}", case.world, case.question)).context("no bodies")?;
            let (_, process, client) =
                servers.iter_mut().find(|(server, ..)| *server == case.server).context("no server")?;
            // One at a time takes longer, and the first round only warms up.
            let count = if round == 0 || case.at_once == 1 { count / 4 } else { count };
            let before = process.cpu()?;
            let asked = client.burst(case.question, bodies, case.expected(), round * 7, count, case.at_once);
            let burst = asked.await.with_context(|| case.words().join(" "))?;
            process.alive()?;
            let cpu = process.cpu()? - before;
            if round > 0 {
                figures.push(Figures::of(&burst, cpu, count, process.resident()?));
            }
        }
        if round > 0 {
            eprintln!("round {round} of {rounds}");
        }
    }
    let beside = match &args.only[..] {
        [] => true,
        only => only == ["beside"],
    };
    let beside = if beside {
        let count = if args.quick { 2_000 } else { 10_000 };
        Some(beside::measure(certificates, authority, args.rounds.unwrap_or(3), count).await?)
    } else {
        None
    };
    let size = |key: &String| bodies.get(key).and_then(|all| all.first()).map_or(0, |body| body.text.len());
    Ok(Report {
        cores: std::thread::available_parallelism()?.get(),
        rounds,
        count,
        beside,
        cases: cases
            .iter()
            .zip(&measured)
            .map(|(case, figures)| {
                let [server, question, world, _] = case.words();
                let review_bytes = size(&format!("{world} {question}"));
                Measured {
                    server,
                    question,
                    world,
                    at_once: case.at_once,
                    review_bytes,
                    figures: Figures::medians(figures),
                }
            })
            .collect(),
    })
}
