//! What `retinue run` is told.

use std::path::PathBuf;

use policies::lifetime;

use crate::cli::input;
use crate::cli::templates::Chosen;
use crate::role::controller::ClusterArgs;

const EXAMPLES: &str = "\
Examples:
  retinue run --image registry.example/post-trade:1.4 --time-limit 90s -- --run 20261120
  retinue run -f job.yaml --logs --time-limit 1h30m
  retinue run --template job.yaml --set run=20261120 --manifests post-trade.yaml -o json
  retinue run --template job.yaml --set run=20261120

Without --manifests the templates are those of the ConfigMaps that the annotation fledged.io/manifests of the own pod
names, read from the cluster. What it is to see or stream, RBAC must let the account read: list and watch jobs; list and
watch pods; get pods/log for --logs (retinue rbac --run prints that). Without pods it reports what the Job's status says.

What holds the limit if this command is killed:
  a master (in its pod, with its mounted token)   the Job's deadline, fledged.io/expires-at: the collector deletes it, at
                                                  most a second after the limit. A limit beyond the template's own cap is
                                                  told, and the cap holds
  anybody else                                    the Job's activeDeadlineSeconds (unless the manifest has a sooner one)
                                                  ends its pods, ttlSecondsAfterFinished (300, unless the manifest has one;
                                                  not with --keep) deletes it
A signal (Ctrl-C, SIGTERM) deletes the Job and waits until its pods have ended; a second one does not wait.

With -o json a report is one line:
  {\"time\", \"namespace\", \"job\", \"uid\", \"state\": \"running|suspended|complete|failed|deleting|gone\", \"created\", \"deadline\",
   \"active\", \"succeeded\", \"failed\",
   \"pods\": [{\"name\", \"uid\", \"node\", \"phase\", \"started\", \"ready\", \"containers\", \"restarts\", \"reason\", \"message\",
             \"exits\": [{\"container\", \"code\", \"reason\", \"message\"}], \"terminating\", \"gone\"}],
   \"ended\": null | {\"how\": \"complete|failed|time-limit|deleted|replaced|interrupted\", \"reason\", \"message\", \"exitCode\"}}
pods is null where they cannot be read. The last line is the one with ended.

Exit codes:
  0    the Job is complete
  1    it failed, somebody else deleted it, or it was not admitted (refused, or it exists already)
  2    nothing is known: unreadable input, wrong arguments, no connection, no right to watch
  124  the limit, or the Job's own stamped deadline, has passed
  130  ended by a signal";

/// Start a Job, watch it, end it.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
#[command(group(clap::ArgGroup::new("what").required(true).args(["image", "file", "template"])))]
pub struct Args {
    #[command(flatten)]
    pub(super) cluster: ClusterArgs,
    /// The namespace of manifests that name none; else the context's, or the pod's own
    #[arg(short, long, value_name = "NAMESPACE", value_parser = input::namespace)]
    pub(super) namespace: Option<String>,
    /// Run this image, in one pod that is not started again
    #[arg(long, value_name = "IMAGE")]
    pub(super) image: Option<String>,
    /// Run the Job of this file; - is standard input
    #[arg(short, long, value_name = "FILE")]
    pub(super) file: Option<PathBuf>,
    #[command(flatten)]
    pub(super) chosen: Chosen,
    /// Files with template ConfigMaps; - is standard input
    #[arg(long, num_args = 1.., value_name = "FILE", conflicts_with_all = ["image", "file"])]
    pub(super) manifests: Vec<PathBuf>,
    /// With --image: the Job's name; else run-IMAGE-RANDOM
    #[arg(long, value_name = "NAME", conflicts_with_all = ["file", "template"])]
    pub(super) name: Option<String>,
    /// With --image: what becomes of a container that fails
    #[arg(long, value_name = "POLICY", value_enum, default_value_t, conflicts_with_all = ["file", "template"])]
    pub(super) restart: Restart,
    /// With --image: how many failed pods are replaced
    #[arg(long, value_name = "NUMBER", default_value_t = 0, conflicts_with_all = ["file", "template"])]
    pub(super) backoff_limit: u32,
    /// With --image: the words after -- replace the image's entrypoint, not its arguments
    #[arg(long, conflicts_with_all = ["file", "template"])]
    pub(super) command: bool,
    /// With --image: arguments for the image's entrypoint
    #[arg(last = true, value_name = "COMMAND", conflicts_with_all = ["file", "template"])]
    pub(super) words: Vec<String>,
    /// End the Job after so long: 90s, 1h30m, 3600
    #[arg(long, value_name = "DURATION", value_parser = lifetime::seconds)]
    pub(super) time_limit: Option<u64>,
    /// How often to report; on a terminal, at each change too
    #[arg(long, value_name = "DURATION", default_value = "10s", value_parser = lifetime::seconds)]
    pub(super) interval: u64,
    /// Stream the pods' logs to standard output, and report to standard error
    #[arg(long)]
    pub(super) logs: bool,
    /// Leave the Job where it is when it has ended
    #[arg(long)]
    pub(super) keep: bool,
    /// How to report
    #[arg(short, long, value_name = "FORMAT", value_enum, default_value_t)]
    pub(super) output: crate::cli::output::Answers,
}

/// `restartPolicy` of a Job's pods.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub(super) enum Restart {
    /// Never: a container that fails fails its pod.
    #[default]
    #[value(name = "Never")]
    Never,
    /// It is started again in its pod.
    #[value(name = "OnFailure")]
    OnFailure,
}

impl Restart {
    /// As the API has it.
    pub(super) fn word(self) -> &'static str {
        match self {
            Self::Never => "Never",
            Self::OnFailure => "OnFailure",
        }
    }
}
