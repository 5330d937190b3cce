//! The logs of a Job's pods: every line of every container once, whatever happens to the connection.
//!
//! A stream that breaks is opened again from the second of its last line, and what was written already is passed over
//! ([`Seen`]). When a container runs no more, what is left is read to its end.

use std::collections::HashMap;
use std::time::Duration;

use futures::{AsyncBufRead, AsyncBufReadExt as _};
use jiff::Timestamp;
use k8s_openapi::api::core::v1::Pod as PodObject;
use kube::api::LogParams;
use policies::run::pod::{Pod, Run};
use tokio::sync::watch;
use tokio::task::JoinSet;

use super::api::{Api, ApiError};
use super::out::{Sender, To};

/// The pause before a stream that broke is opened again, doubled up to the longest.
const FIRST_PAUSE: Duration = Duration::from_millis(200);
const LONGEST_PAUSE: Duration = Duration::from_secs(5);
/// How often what is left of a container's log is asked for before it is given up.
const LAST_TRIES: u32 = 4;
/// How long opening a stream may take, and a log that is not followed may be silent.
const SILENCE: Duration = Duration::from_secs(20);

/// The streams of all containers.
pub(super) struct Logs {
    pods: kube::Api<PodObject>,
    out: Sender,
    /// Whether lines say which pod they are of.
    many: bool,
    streams: HashMap<(String, String), watch::Sender<Run>>,
    tasks: JoinSet<()>,
}

impl Logs {
    pub(super) fn new(api: &Api, many: bool, out: Sender) -> Self {
        let pods = kube::Api::namespaced(api.client.clone(), &api.namespace);
        Self { pods, out, many, streams: HashMap::new(), tasks: JoinSet::new() }
    }

    /// Takes in how a pod's containers fare.
    pub(super) fn update(&mut self, pod: &Pod) {
        for run in &pod.runs {
            let key = (pod.uid.clone(), run.container.clone());
            if let Some(known) = self.streams.get(&key) {
                known.send_if_modified(|before| {
                    let changed = before != run;
                    before.clone_from(run);
                    changed
                });
                continue;
            }
            if pod.gone {
                continue;
            }
            let (sender, state) = watch::channel(run.clone());
            self.streams.insert(key, sender);
            let prefix = match (self.many, pod.runs.len() > 1) {
                (_, true) => format!("[{} {}] ", pod.name, run.container),
                (true, false) => format!("[{}] ", pod.name),
                (false, false) => String::new(),
            };
            let stream = Stream {
                pods: self.pods.clone(),
                pod: pod.name.clone(),
                container: run.container.clone(),
                prefix,
                out: self.out.clone(),
                seen: Seen::default(),
                ended: false,
                told: false,
            };
            self.tasks.spawn(stream.run(state));
        }
    }

    /// Waits until every stream has come to its end. The Job has: what is not known of a container yet is that it is over.
    pub(super) async fn finish(mut self) {
        for state in self.streams.values() {
            state.send_if_modified(|run| !std::mem::replace(&mut run.over, true));
        }
        while self.tasks.join_next().await.is_some() {}
    }
}

/// The log of one container.
struct Stream {
    pods: kube::Api<PodObject>,
    pod: String,
    container: String,
    prefix: String,
    out: Sender,
    seen: Seen,
    /// Whether a stream came to an end by itself: then there may be nothing left to read.
    ended: bool,
    /// Whether its trouble has been told.
    told: bool,
}

impl Stream {
    async fn run(mut self, mut state: watch::Receiver<Run>) {
        let mut pause = FIRST_PAUSE;
        let mut restarts = 0;
        loop {
            let now = state.borrow_and_update().clone();
            if now.over {
                return self.last(&now, &state).await;
            }
            if now.began {
                if now.restarts > restarts {
                    // What the container before wrote at its end; best effort, since it may be gone.
                    let _gone = self.read(&LogParams { previous: true, ..self.params() }, &state).await;
                    restarts = now.restarts;
                }
                match self.read(&LogParams { follow: true, ..self.params() }, &state).await {
                    Ok(()) => {
                        self.ended = true;
                        pause = FIRST_PAUSE;
                    }
                    Err(error) => self.tell(&error).await,
                }
            }
            // A container that runs has more to say, and its stream broke; any other says so by its state.
            let again = async {
                if state.borrow().running { tokio::time::sleep(pause).await } else { std::future::pending().await }
            };
            tokio::select! {
                () = again => pause = (pause * 2).min(LONGEST_PAUSE),
                changed = wait(state.clone()) => if !changed { return },
            }
        }
    }

    /// What is left of a container that runs no more.
    async fn last(&mut self, run: &Run, state: &watch::Receiver<Run>) {
        if !run.began {
            return;
        }
        let mut pause = FIRST_PAUSE;
        for attempt in 1..=LAST_TRIES {
            match self.read(&self.params(), state).await {
                Ok(()) => return,
                // A container that is removed at once has no more log than what was streamed.
                Err(_) if self.ended && run.gone => return,
                Err(error) if attempt == LAST_TRIES => self.tell(&error).await,
                Err(_) => tokio::time::sleep(pause).await,
            }
            pause *= 2;
        }
    }

    fn params(&self) -> LogParams {
        LogParams {
            container: Some(self.container.clone()),
            timestamps: true,
            since_time: self.seen.since(),
            ..LogParams::default()
        }
    }

    async fn read(&mut self, params: &LogParams, state: &watch::Receiver<Run>) -> Result<(), ApiError> {
        self.seen.resume();
        let silent = |_| ApiError::Silent(format!("nothing came within {} s", SILENCE.as_secs()));
        let opened = tokio::time::timeout(SILENCE, self.pods.log_stream(&self.pod, params)).await.map_err(silent)?;
        let stream = match opened.map_err(ApiError::from) {
            Ok(stream) => stream,
            Err(ApiError::Answered { code: 404, .. }) => return Ok(()),
            Err(error) => return Err(error),
        };
        self.copy(std::pin::pin!(stream), params.follow, state).await
    }

    async fn copy(
        &mut self,
        mut stream: std::pin::Pin<&mut impl AsyncBufRead>,
        follow: bool,
        state: &watch::Receiver<Run>,
    ) -> Result<(), ApiError> {
        let mut line = Vec::new();
        loop {
            line.clear();
            // What this may cut off is read again: nothing of a line is written before its end is there.
            let read = tokio::select! {
                read = stream.read_until(b'\n', &mut line) => read.map_err(|error| ApiError::Silent(error.to_string()))?,
                () = overdue(state.clone(), follow) => return Err(ApiError::Silent("a log came to no end".into())),
            };
            // The end of a line that is still being written comes with the next look.
            let whole = line.last() == Some(&b'\n');
            if read == 0 || (follow && !whole) {
                return Ok(());
            }
            match self.seen.admit(&line) {
                Line::New(text) => {
                    let mut out = self.prefix.clone().into_bytes();
                    out.extend_from_slice(text);
                    if !whole {
                        out.push(b'\n');
                    }
                    self.out.write(To::Out, out).await;
                }
                Line::Written => {}
                Line::Kubelets => return Err(ApiError::Silent(String::from_utf8_lossy(&line).trim_end().to_owned())),
            }
        }
    }

    /// Tells trouble once.
    async fn tell(&mut self, error: &ApiError) {
        if !std::mem::replace(&mut self.told, true) {
            let text = format!("retinue: the logs of {} in pod {} cannot be read: {error}\n", self.container, self.pod);
            self.out.write(To::Err, text.into_bytes()).await;
        }
    }
}

/// Waits until a log has been silent for too long: one that is followed may be, as long as its container runs.
async fn overdue(mut state: watch::Receiver<Run>, follow: bool) {
    if follow {
        let _untold = state.wait_for(|run| run.over).await;
    }
    tokio::time::sleep(SILENCE).await;
}

/// Waits for a change; false where none will come.
async fn wait(mut state: watch::Receiver<Run>) -> bool {
    state.changed().await.is_ok()
}

/// A line of a log.
#[derive(Debug, PartialEq, Eq)]
enum Line<'a> {
    /// Its text, without the timestamp.
    New(&'a [u8]),
    /// It was written before.
    Written,
    /// It has no timestamp, so it is no line of the container: the kubelet tells that it has no log (seen: a success whose
    /// body is "unable to retrieve container logs", for a container that is removed).
    Kubelets,
}

/// Which lines of a log have been written, by their timestamps, which may be equal.
#[derive(Debug, Default)]
struct Seen {
    last: Option<Timestamp>,
    /// How many lines with that timestamp were written.
    written: usize,
    /// How many of those are still to come again; none once the stream is beyond them.
    again: Option<usize>,
}

impl Seen {
    /// From when on to ask: the API has whole seconds.
    fn since(&self) -> Option<Timestamp> {
        self.last.and_then(|last| Timestamp::from_second(last.as_second()).ok())
    }

    /// A new stream begins, at [`Self::since`].
    fn resume(&mut self) {
        self.again = self.last.map(|_| self.written);
    }

    /// What a line is, which then counts as written.
    fn admit<'a>(&mut self, line: &'a [u8]) -> Line<'a> {
        let space = line.iter().position(|byte| *byte == b' ');
        let time = space.and_then(|end| std::str::from_utf8(&line[..end]).ok()?.parse::<Timestamp>().ok());
        let (Some(time), Some(space)) = (time, space) else {
            return Line::Kubelets;
        };
        if let (Some(again), Some(last)) = (self.again, self.last) {
            if time < last {
                return Line::Written;
            }
            if time == last && again > 0 {
                self.again = Some(again - 1);
                return Line::Written;
            }
            self.again = None;
        }
        if self.last == Some(time) {
            self.written += 1;
        } else {
            self.last = Some(time);
            self.written = 1;
        }
        Line::New(&line[space + 1..])
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::allow_attributes, reason = "tests")]
    use super::*;

    /// Reads these streams one after the other, and says what is written.
    fn read(streams: &[&[&str]]) -> Vec<String> {
        let mut seen = Seen::default();
        let mut out = Vec::new();
        for stream in streams {
            seen.resume();
            for line in *stream {
                if let Line::New(text) = seen.admit(line.as_bytes()) {
                    out.push(String::from_utf8(text.to_vec()).unwrap());
                }
            }
        }
        out
    }

    const A: &str = "2026-11-20T10:00:00.5Z a\n";
    const B: &str = "2026-11-20T10:00:00.75Z b\n";
    const C: &str = "2026-11-20T10:00:00.75Z c\n";
    const D: &str = "2026-11-20T10:00:02Z d\n";
    /// The clock was set back.
    const E: &str = "2026-11-20T10:00:01Z e\n";

    #[test]
    fn each_line_is_written_once_however_often_its_stream_begins_again() {
        for (streams, expected) in [
            (vec![&[A, B, C, D][..]], "abcd"),
            (vec![&[A, B], &[A, B, C, D]], "abcd"),
            (vec![&[A, B, C], &[B, C, D], &[D]], "abcd"),
            (vec![&[A], &[], &[A, B], &[B, C], &[C]], "abc"),
            (vec![&[A, D, E], &[E]], "ade"),
            (vec![&["2026-11-20T11:00:00.5+01:00 a\n"], &[A, B]], "ab"),
        ] {
            let written: String = read(&streams).concat().replace('\n', "");
            // A second stream that begins at C lacks B, of the same instant: it is taken for it, and nothing is doubled.
            assert_eq!(written, expected, "{streams:?}");
        }
    }

    #[test]
    fn what_has_no_timestamp_is_no_line_of_the_container() {
        let mut seen = Seen::default();
        assert_eq!(seen.admit(b"unable to retrieve container logs for containerd://0"), Line::Kubelets);
        assert_eq!(seen.admit(b"2026-11-20T10:00:00Z \n"), Line::New(b"\n"), "an empty line is one");
    }

    #[test]
    fn a_stream_begins_again_at_the_second_of_its_last_line() {
        let mut seen = Seen::default();
        assert_eq!(seen.since(), None);
        seen.admit(B.as_bytes());
        assert_eq!(seen.since().unwrap().to_string(), "2026-11-20T10:00:00Z");
    }
}
