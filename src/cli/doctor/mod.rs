//! `retinue doctor`: whether an installation is sound, and who gets around it.
//!
//! Gather, judge, print: [`ask`] sends requests, [`installation`], [`answers`], [`certificates`], [`callers`] and [`cluster`]
//! look at the areas, `policies::doctor` judges what they found, [`print`] tells. Nothing is written: what is created is created
//! with dry run.

mod answers;
pub(crate) mod ask;
mod callers;
mod certificates;
mod cluster;
mod container;
mod installation;
mod memory;
mod print;

use std::time::Duration;

use jiff::Timestamp;
use policies::doctor::{Area, Finding, Severity};
use serde_json::Value;

use super::output::Answers;
use super::{Exit, Failure, input};
use crate::cluster::client::Connection;
use crate::deploy::Floor;
use crate::role::controller::ClusterArgs;

use ask::Asker;
use cluster::{Cluster, counted};
use installation::Installation;
use print::Printer;

const EXAMPLES: &str = "\
Examples:
  retinue doctor
  retinue doctor --kubeconfig ~/.kube/prod -o json | jq '.findings[] | select(.severity == \"problem\")'

What is looked at:
  webhooks      the webhook configurations are as this version installs them
  answers       the webhook answers the API server (a mistaken template ConfigMap, sent with dry run, is refused), and its
                pods are there
  certificates  the authorities in caBundle, the serving certificate, how long they last
  floor         the policies inside the API server are as this version installs them
  rights        the roles of retinue's own accounts
  guard         who is a master: launch granted to groups, lost, or hidden behind a wildcard; masters whose other rights act
                past admission (impersonate, nodes/proxy); who may switch the guard off
  callers       whether reviews are authenticated; where --client-ca or --callers shut anybody out, whether the API server's
                still arrive (a create with dry run, in the name of a master), and how long its certificate lasts
  templates     templates that nobody can use, and pods that ask for what is not there
  collector     the collector may list, watch and delete what templates make
Run it as an admin: what it may not read is told as unknown. It reads no Secret, and changes nothing.

With -o json: {\"sound\", \"areas\": [{\"area\", \"result\", \"seen\"}],
  \"findings\": [{\"severity\": \"problem|unknown|warning|note\", \"area\", \"about\", \"message\", \"fix\"}]}

Exit codes: 0 sound (there may be warnings), 1 problems, 2 something could not be looked at, or no connection";

/// Say whether the installation is sound, and who gets around it.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct Args {
    #[command(flatten)]
    cluster: ClusterArgs,
    /// The namespace of retinue itself; else the one that its webhook configuration says
    #[arg(short, long, value_name = "NAMESPACE", value_parser = input::namespace)]
    namespace: Option<String>,
    /// It is installed without the floor
    #[arg(long)]
    no_floor: bool,
    /// How to print
    #[arg(short, long, value_name = "FORMAT", value_enum, default_value_t)]
    output: Answers,
}

/// Runs it.
///
/// # Errors
/// When there is no cluster to ask.
pub fn run(args: &Args) -> Result<Exit, Failure> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let ended = runtime.block_on(examine(args));
    // A look-up in DNS that blocks a thread must not keep the process.
    runtime.shutdown_timeout(Duration::from_millis(100));
    ended
}

async fn examine(args: &Args) -> Result<Exit, Failure> {
    let connection = Connection::open(&args.cluster.source()).await?;
    let asker = Asker { client: connection.client };
    let version =
        asker.get("/version").await.map_err(|error| format!("the API server cannot be asked: {}", error.message))?;
    let version = version.unwrap_or_default();
    // By the server's own clock: certificates are judged by it.
    let now = connection.clock.now().unwrap_or_else(Timestamp::now);
    let mut printer = Printer::new(args.output);

    let floor = if args.no_floor { Floor::Off } else { Floor::On };
    let installation = Installation::look(&asker, args.namespace.as_deref(), floor).await;
    let (number, mut findings) = installation.examine(Area::Webhooks);
    findings.extend(installation.same_server());
    printer.area(Area::Webhooks, &format!("{} as installed", counted(number, "configuration")), findings)?;

    let namespace = installation.values.namespace.clone();
    let (_, mut findings) = installation.examine(Area::Answers);
    let seen = match answers::ask(&asker, &namespace).await {
        Ok(seen) => seen,
        Err(finding) => {
            findings.push(finding);
            String::new()
        }
    };
    let answered = !seen.is_empty();
    printer.area(Area::Answers, &seen, findings)?;

    let (seen, findings) = certificates::look(&asker, &installation, answered, now).await;
    printer.area(Area::Certificates, &seen, findings)?;

    let (number, mut findings) = installation.examine(Area::Floor);
    findings.extend(floor_of(&version, floor));
    printer.area(Area::Floor, &format!("{} as installed", counted(number, "object")), findings)?;

    let (number, findings) = installation.examine(Area::Rights);
    printer.area(Area::Rights, &format!("{} as installed", counted(number, "object")), findings)?;

    let cluster = Cluster::look(&asker, &namespace).await;
    let ((seen, findings), masters) = cluster.guard(&asker).await;
    printer.area(Area::Guard, &seen, findings)?;
    let (seen, findings) = callers::look(&asker, &installation, &cluster, &masters, now).await;
    printer.area(Area::Callers, &seen, findings)?;
    let (seen, findings) = cluster.templates(&asker, &masters).await;
    printer.area(Area::Templates, &seen, findings)?;
    let (seen, findings) = cluster.collector(&asker).await;
    printer.area(Area::Collector, &seen, findings)?;
    Ok(printer.end()?)
}

/// What a floor is worth on this server.
fn floor_of(version: &Value, floor: Floor) -> Option<Finding> {
    let number = |name: &str| {
        let digits: String = version[name].as_str()?.chars().take_while(char::is_ascii_digit).collect();
        digits.parse::<u32>().ok()
    };
    let told =
        |about: &str, message: &str, fix: &str| Some(Finding::new(Severity::Warning, Area::Floor, about, message, fix));
    if floor == Floor::Off {
        return told(
            "the floor",
            "is left out: while retinue is down or its webhook configuration is gone, masters are held by RBAC alone",
            "install without --no-floor, on Kubernetes 1.36 or later",
        );
    }
    ((number("major")?, number("minor")?) < (1, 36)).then_some(())?;
    told(
        "Kubernetes",
        "is older than 1.36, which has no MutatingAdmissionPolicy: without the webhook a master can send a stamp of its own",
        "upgrade Kubernetes",
    )
}
