//! The stage: commands that somebody runs, with what is expected of the answer. The demo prints them; a test collects.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};

use crate::{AdmissionFile, Installation, Master};

/// An input of more lines than this is not printed whole, nor are longer lines.
const LINES: usize = 100;
const COLUMNS: usize = 160;
/// How many of its lines are printed.
const FIRST: usize = 6;

/// Who runs a command.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Who {
    /// The cluster's admin.
    Admin,
    /// The master, with the token of its pod.
    Master,
    /// Another master, in a namespace of its own.
    Neighbour,
}

impl Who {
    fn name(self) -> &'static str {
        match self {
            Self::Admin => "admin",
            Self::Master => "master",
            Self::Neighbour => "neighbour",
        }
    }
}

/// What a command answered.
#[derive(Clone, Debug)]
pub struct Answer {
    /// Whether it succeeded.
    pub success: bool,
    /// Standard output and standard error.
    pub text: String,
    /// How long it took, kubectl's own start included.
    pub took: Duration,
}

/// The stage.
pub struct Stage<'a> {
    /// What it plays on.
    pub installation: &'a Installation,
    /// The master's kubeconfig.
    pub master: PathBuf,
    /// The master's namespace.
    pub namespace: String,
    /// Another master, where there is one.
    pub neighbour: Option<Master>,
    /// What the API server starts with, where a scene may change it.
    pub admission: Option<AdmissionFile>,
    print: Box<dyn FnMut(&str) + 'a>,
    shown: Vec<String>,
    wrong: Vec<String>,
    checks: usize,
}

impl std::fmt::Debug for Stage<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Stage").field("namespace", &self.namespace).field("wrong", &self.wrong).finish_non_exhaustive()
    }
}

impl<'a> Stage<'a> {
    /// A stage for the master of `namespace`; `print` gets every line of the play.
    pub fn new(installation: &'a Installation, namespace: &str, master: &Path, print: impl FnMut(&str) + 'a) -> Self {
        Self {
            installation,
            master: master.to_owned(),
            namespace: namespace.to_owned(),
            neighbour: None,
            admission: None,
            print: Box::new(print),
            shown: Vec::new(),
            wrong: Vec::new(),
            checks: 0,
        }
    }

    /// A scene, and what it shows.
    pub fn scene(&mut self, shows: &str) {
        self.shown.push(shows.to_owned());
        (self.print)("");
        (self.print)(&format!("== {shows}"));
    }

    /// One line of the play.
    pub fn say(&mut self, line: &str) {
        (self.print)(line);
    }

    /// What somebody is about to send, shortened where it is long.
    pub fn show(&mut self, input: &str) {
        let lines: Vec<&str> = input.lines().collect();
        let shown = if lines.len() > LINES { FIRST } else { lines.len() };
        for line in lines.iter().take(shown) {
            let cut: String = line.chars().take(COLUMNS).collect();
            let more = if cut.len() < line.len() { " …" } else { "" };
            (self.print)(&format!("    | {cut}{more}"));
        }
        if shown < lines.len() {
            (self.print)(&format!("    | … and {} lines more, {} KB in all", lines.len() - shown, input.len() / 1024));
        }
    }

    /// Runs kubectl in the namespace of whoever runs it (the admin in the master's) and prints command and answer.
    ///
    /// # Errors
    /// kubectl could not be run at all, or there is no neighbour.
    pub fn run(&mut self, who: Who, args: &[&str], input: Option<&str>) -> Result<Answer> {
        let cluster = &self.installation.cluster;
        let (kubeconfig, namespace) = match who {
            Who::Admin => (cluster.kubeconfig(), self.namespace.clone()),
            Who::Master => (self.master.clone(), self.namespace.clone()),
            Who::Neighbour => {
                let neighbour = self.neighbour.as_ref().context("a neighbour")?;
                (neighbour.kubeconfig.clone(), neighbour.namespace.clone())
            }
        };
        (self.print)(&format!("{}$ kubectl {}", who.name(), args.join(" ")));
        self.show(input.unwrap_or_default());
        let mut all = vec!["-n", &namespace];
        all.extend(args);
        let start = Instant::now();
        let output = match input {
            Some(input) => cluster.kubectl_with(&kubeconfig, &all, input)?,
            None => cluster.kubectl_as(&kubeconfig, &all)?,
        };
        let took = start.elapsed();
        let text = format!("{}{}", output.stdout, output.stderr);
        for line in text.trim_end().lines() {
            (self.print)(&format!("    {line}"));
        }
        Ok(Answer { success: output.success(), text, took })
    }

    /// Runs retinue itself, the admin's, or the master's in its namespace, and prints command and answer.
    ///
    /// # Errors
    /// It could not be run at all.
    pub fn retinue(&mut self, who: Who, args: &[&str]) -> Result<Answer> {
        let answer = self.retinue_quietly(who, args)?;
        for line in answer.text.trim_end().lines() {
            (self.print)(&format!("    {line}"));
        }
        Ok(answer)
    }

    /// As [`Stage::retinue`], and prints the command alone: its answer is long.
    ///
    /// # Errors
    /// It could not be run at all.
    pub fn retinue_quietly(&mut self, who: Who, args: &[&str]) -> Result<Answer> {
        let start = Instant::now();
        let mut command = Command::new(self.installation.binary());
        command.args(args).env_remove("RUST_LOG");
        if who == Who::Admin {
            command.env("KUBECONFIG", self.installation.cluster.kubeconfig());
        } else {
            command.args(["-n", &self.namespace]).env("KUBECONFIG", &self.master);
        }
        (self.print)(&format!("{}$ retinue {}", who.name(), args.join(" ")));
        let output = command.output()?;
        let took = start.elapsed();
        let text = format!("{}{}", String::from_utf8_lossy(&output.stderr), String::from_utf8_lossy(&output.stdout));
        Ok(Answer { success: output.status.success(), text, took })
    }

    /// Checks something, and says so.
    pub fn check(&mut self, holds: bool, what: &str) {
        self.checks += 1;
        if holds {
            (self.print)(&format!("  ✓ {what}"));
        } else {
            (self.print)(&format!("  ✗ {what}"));
            self.wrong.push(format!("{}: {what}", self.shown.last().map_or("", String::as_str)));
        }
    }

    /// The command succeeds, and its answer has these words.
    ///
    /// # Errors
    /// As [`Stage::run`].
    pub fn admits(&mut self, who: Who, args: &[&str], input: Option<&str>, words: &[&str]) -> Result<Answer> {
        let answer = self.run(who, args, input)?;
        let missing: Vec<&&str> = words.iter().filter(|word| !answer.text.contains(**word)).collect();
        if answer.success && missing.is_empty() {
            self.check(true, "admitted");
        } else {
            self.check(false, &format!("expected success with {words:?}; missing: {missing:?}"));
        }
        Ok(answer)
    }

    /// The command is refused by retinue, and its answer has these words.
    ///
    /// # Errors
    /// As [`Stage::run`].
    pub fn refuses(&mut self, args: &[&str], input: Option<&str>, words: &[&str]) -> Result<Answer> {
        self.refused(Who::Master, args, input, words)
    }

    /// The admin's command is refused by retinue, and its answer has these words.
    ///
    /// # Errors
    /// As [`Stage::run`].
    pub fn refuses_admin(&mut self, args: &[&str], input: Option<&str>, words: &[&str]) -> Result<Answer> {
        self.refused(Who::Admin, args, input, words)
    }

    /// A command of anybody is refused by retinue, and its answer has these words.
    ///
    /// # Errors
    /// As [`Stage::run`].
    pub fn refused(&mut self, who: Who, args: &[&str], input: Option<&str>, words: &[&str]) -> Result<Answer> {
        let answer = self.run(who, args, input)?;
        let missing: Vec<&&str> = words.iter().filter(|word| !answer.text.contains(**word)).collect();
        if !answer.success && answer.text.contains("retinue") && missing.is_empty() {
            self.check(true, "refused");
        } else {
            self.check(false, &format!("expected a refusal by retinue with {words:?}; missing: {missing:?}"));
        }
        Ok(answer)
    }

    /// What was shown, by scene.
    pub fn shown(&self) -> &[String] {
        &self.shown
    }

    /// How many checks were made.
    pub fn checks(&self) -> usize {
        self.checks
    }

    /// What answered otherwise than expected.
    pub fn wrong(&self) -> &[String] {
        &self.wrong
    }
}
