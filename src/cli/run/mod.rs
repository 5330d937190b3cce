//! `retinue run`: starts a Job, watches it, ends it.
//!
//! What decides is in `policies::run`; here is what asks and acts. The rooms: [`args`] what is told, [`manifest`] the Job
//! that is asked for, [`who`] asks, [`start`] creates it, [`watch`] follows it, [`logs`] its pods' logs, [`print`] and
//! [`screen`] the reports, [`out`] both outputs, [`end`] deletes it, [`api`] every request.

mod api;
mod args;
mod end;
mod logs;
mod manifest;
mod out;
mod print;
mod screen;
mod start;
mod state;
mod watch;
mod who;

use std::hash::{BuildHasher, RandomState};
use std::time::Duration;

use policies::run::ending::{Ending, How};
use tokio::time::{Instant, MissedTickBehavior};
use tokio_util::sync::CancellationToken;

use self::api::Api;
pub use self::args::Args;
use self::logs::Logs;
use self::manifest::Asked;
use self::out::Outputs;
use self::screen::Screen;
use self::start::{NotStarted, Started};
use self::state::State;
use self::watch::Watches;
use super::{Exit, Failure};
use crate::cluster::client::Connection;
use crate::shutdown;

/// How long changes may follow one another before a terminal shows them.
const REDRAW: Duration = Duration::from_millis(150);
/// How long the pods' own word is waited for once their Job has ended.
const SETTLING: Duration = Duration::from_secs(3);
/// How long pods may take to end once their Job is deleted: four times what they have unless they say otherwise.
const ENDING: Duration = Duration::from_secs(120);

/// Runs it.
///
/// # Errors
/// For bad input, and where nothing can be known.
pub fn run(args: &Args) -> Result<Exit, Failure> {
    let random = RandomState::new().hash_one(std::process::id());
    let asked = manifest::asked(args, random)?;
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let ended = runtime.block_on(async {
        let outputs = Outputs::open();
        let ended = watched(args, asked, random, &outputs).await;
        outputs.finish().await;
        ended
    });
    // A look-up in DNS that blocks a thread must not keep the process.
    runtime.shutdown_timeout(Duration::from_millis(100));
    ended
}

async fn watched(args: &Args, asked: Asked, random: u64, outputs: &Outputs) -> Result<Exit, Failure> {
    let stop = shutdown::on_signal()?;
    let connection = Connection::open(&args.cluster.source()).await?;
    let client = connection.client.clone();
    let namespace = args.namespace.clone().unwrap_or_else(|| client.default_namespace().to_owned());
    let mut api = Api { client, namespace };
    let mut screen = Screen::new(outputs.sender(), args.output, args.logs);
    // A signal that comes while the create is under way waits for its answer, to end what it made.
    let started = match start::start(asked, args, &mut api, random, &mut screen).await {
        Ok(started) => started,
        Err(NotStarted::Refused(message)) => {
            screen.note(&message).await;
            return Ok(Exit::No);
        }
        Err(NotStarted::Failed(failure)) => return Err(failure),
    };
    let limit = args.time_limit.map(|seconds| (seconds, Instant::now() + Duration::from_secs(seconds)));
    let watches = watch::follow(&api, &started.created, &started.job.name, &started.job.uid);
    let logs = args.logs.then(|| Logs::new(&api, started.job.many, outputs.sender()));
    let state = State::new(&started, logs, connection.clock);
    let mut run = Run { args, api, screen, watches, state, started, stop, limit };
    run.stamp().await;
    let ended = run.until_the_end().await;
    run.end(ended).await
}

/// One Job that is watched.
struct Run<'a> {
    args: &'a Args,
    api: Api,
    screen: Screen,
    watches: Watches,
    state: State,
    started: Started,
    stop: CancellationToken,
    /// The limit in seconds, and when it is over.
    limit: Option<(u64, Instant)>,
}

impl Run<'_> {
    async fn stamp(&mut self) {
        let stamping = start::stamp(&self.started, self.args, &self.api, &mut self.screen);
        let _told = self.stop.run_until_cancelled(stamping).await;
    }

    /// Reports until the Job has ended, its limit is over, or a signal comes.
    ///
    /// # Errors
    /// When the Job may not be watched.
    async fn until_the_end(&mut self) -> Result<Ending, Failure> {
        let interval = Duration::from_secs(self.args.interval);
        let mut ticker = tokio::time::interval_at(Instant::now() + interval, interval);
        ticker.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut redraw = None;
        loop {
            tokio::select! {
                news = self.watches.news.recv() => {
                    let Some(news) = news else { return Err("the watches ended, which they never should".into()) };
                    if let Some(ending) = self.state.take(news, &mut self.screen).await? {
                        return Ok(ending);
                    }
                    if self.screen.is_terminal() {
                        redraw.get_or_insert(Instant::now() + REDRAW);
                    }
                }
                () = at(self.limit.map(|(_, over)| over)) => {
                    return Ok(Ending::time_limit(self.limit.map_or(0, |(seconds, _)| seconds)));
                }
                () = self.stop.cancelled() => return Ok(Ending::interrupted()),
                () = at(redraw) => {
                    redraw = None;
                    self.screen.report(&self.state.report(None)).await;
                }
                _ = ticker.tick() => self.screen.report(&self.state.report(None)).await,
            }
        }
    }

    /// Ends it: what ran is told to the last, and the Job goes unless it is kept.
    async fn end(mut self, ended: Result<Ending, Failure>) -> Result<Exit, Failure> {
        let ending = match ended {
            Ok(ending) => ending,
            Err(failure) => {
                if !self.args.keep {
                    end::delete(&self.api, &self.state.job, &mut self.screen).await;
                }
                return Err(failure);
            }
        };
        let ending = match ending.how {
            How::Complete | How::Failed => {
                self.wait(SETTLING, false, State::settled).await;
                // By now the pods may have told more.
                Ending::of(&self.state.job, &self.state.pods(), self.started.limit).unwrap_or(ending)
            }
            How::TimeLimit if self.args.keep => ending,
            How::TimeLimit | How::Interrupted => {
                self.screen.note(&format!("{}: Job {} is deleted", ending.message, self.state.job.name)).await;
                let interrupted = ending.how == How::Interrupted;
                if end::delete(&self.api, &self.state.job, &mut self.screen).await
                    && !self.wait(ENDING, interrupted, State::gone).await
                {
                    self.screen.note(&self.state.left()).await;
                }
                ending
            }
            How::Deleted | How::Replaced => {
                self.wait(ENDING, false, State::pods_ended).await;
                ending
            }
        };
        self.flush(ending.how).await;
        self.screen.report(&self.state.report(Some(ending.clone()))).await;
        match (ending.how, self.args.keep) {
            (How::Complete | How::Failed, true) => {
                end::keep(&self.api, &self.started, &self.state.job, &mut self.screen).await;
            }
            (How::Complete | How::Failed, false) => {
                end::delete(&self.api, &self.state.job, &mut self.screen).await;
            }
            _ => {}
        }
        Ok(exit(ending.how))
    }

    /// Takes in news until `done`; false where that took too long, or a signal came (with `through`: another one, which
    /// ends the process).
    async fn wait(&mut self, patience: Duration, through: bool, done: fn(&State) -> bool) -> bool {
        let over = Instant::now() + patience;
        while !done(&self.state) {
            tokio::select! {
                news = self.watches.news.recv() => {
                    let Some(news) = news else { return false };
                    // What else it says of the end no longer matters.
                    let _ended = self.state.take(news, &mut self.screen).await;
                }
                () = tokio::time::sleep_until(over) => return false,
                () = self.stop.cancelled(), if !through => return false,
            }
        }
        true
    }

    /// Waits for the logs to be written to their end, unless the pods go on or a signal comes.
    async fn flush(&mut self, how: How) {
        let Some(logs) = self.state.logs() else { return };
        let goes_on = how == How::TimeLimit && self.args.keep;
        if goes_on {
            return;
        }
        let stopped = async {
            if how == How::Interrupted { tokio::time::sleep(SETTLING).await } else { self.stop.cancelled().await }
        };
        tokio::select! {
            () = logs.finish() => {}
            () = stopped => {}
        }
    }
}

/// Waits for an instant; for ever where there is none.
async fn at(instant: Option<Instant>) {
    match instant {
        Some(instant) => tokio::time::sleep_until(instant).await,
        None => std::future::pending().await,
    }
}

fn exit(how: How) -> Exit {
    match how {
        How::Complete => Exit::Fine,
        How::Failed | How::Deleted | How::Replaced => Exit::No,
        How::TimeLimit => Exit::TimeLimit,
        How::Interrupted => Exit::Interrupted,
    }
}
