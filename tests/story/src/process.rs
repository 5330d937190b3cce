//! A server process of retinue: started, awaited by its `ready` line, stopped.

use std::io::{BufRead, BufReader, Read as _, Write as _};
use std::net::{Ipv4Addr, TcpStream};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use controlplane::Port;
use rustix::process::{Pid, Signal, kill_process};

/// How long a server may take to become ready. It takes well under a second; a loaded machine takes longer.
const PATIENCE: Duration = Duration::from_secs(60);

/// A running server. Dropping it kills it.
#[derive(Debug)]
pub struct Server {
    child: Child,
    log: PathBuf,
    health: Port,
}

impl Server {
    /// Starts `binary` with `args` and a port for its health (unless they say `--health`), its log in `folder`, and waits for
    /// its `ready` line.
    ///
    /// # Errors
    /// It cannot be started, ends, or is not ready in time; the message holds the tail of its log.
    pub fn start(binary: &Path, args: &[String], folder: &Path) -> Result<Self> {
        let role = args.first().context("a role")?.clone();
        let log = folder.join(format!("retinue-{role}.log"));
        let health = Port::reserve()?;
        let mut file = std::fs::File::options().create(true).append(true).open(&log)?;
        // Under a supervisor, which ends it when this process ends, however it does. Both outputs come through the
        // supervisor's own, so that the word `ready` is heard at once.
        let says = args.iter().any(|arg| arg == "--health");
        let its_health = ["--health".to_owned(), format!("127.0.0.1:{}", health.number())];
        let mut child = Command::new(controlplane::program("supervise")?)
            .arg("/dev/fd/1")
            .arg(binary)
            .args(args)
            .args(its_health.iter().filter(|_| !says))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .env_remove("KUBECONFIG")
            .process_group(0)
            .spawn()
            .with_context(|| format!("starting {} {role}", binary.display()))?;
        let output = child.stdout.take().context("its standard output")?;
        let mut server = Self { child, log, health };
        let (told, heard) = mpsc::channel();
        std::thread::spawn(move || {
            for line in BufReader::new(output).lines().map_while(Result::ok) {
                // A log that cannot be written is missed by whoever reads it; the pipe is drained in any case.
                let _written = writeln!(file, "{line}");
                if line.starts_with("ready") {
                    // Nobody listens any more once it has been heard.
                    let _heard = told.send(());
                }
            }
        });
        if heard.recv_timeout(PATIENCE).is_err() {
            let ended = server.child.try_wait()?;
            bail!("retinue {role} did not become ready ({ended:?}); its log ends:\n{}", server.log_tail());
        }
        Ok(server)
    }

    /// The port of the loopback interface where it tells its health and its metrics.
    pub fn health(&self) -> u16 {
        self.health.number()
    }

    /// All its metrics, in Prometheus' text format.
    ///
    /// # Errors
    /// It does not answer.
    pub fn metrics(&self) -> Result<String> {
        let answer = self.answer("/metrics")?;
        let (_, text) = answer.split_once("\r\n\r\n").context("an answer with a body")?;
        Ok(text.to_owned())
    }

    /// The whole answer to a GET of its health's port.
    fn answer(&self, path: &str) -> Result<String> {
        let mut socket = TcpStream::connect((Ipv4Addr::LOCALHOST, self.health()))?;
        socket.write_all(format!("GET {path} HTTP/1.0\r\nHost: localhost\r\n\r\n").as_bytes())?;
        let mut answer = String::new();
        socket.read_to_string(&mut answer)?;
        Ok(answer)
    }

    /// The sum of all samples of the metric `name` whose labels contain `label`.
    ///
    /// # Errors
    /// It does not answer, or no number.
    pub fn metric(&self, name: &str, label: &str) -> Result<f64> {
        let text = self.metrics()?;
        let samples = text.lines().filter(|line| line.starts_with(name) && line.contains(label));
        samples.map(|line| Ok(line.rsplit(' ').next().context("a sample")?.parse::<f64>()?)).sum::<Result<f64>>()
    }

    /// The number of its process. Linux only.
    fn pid(&self) -> Result<i32> {
        let supervisor = self.child.id();
        let children = std::fs::read_to_string(format!("/proc/{supervisor}/task/{supervisor}/children"))
            .context("the kernel does not tell the children of a process")?;
        Ok(children.split_whitespace().next().context("its process")?.parse()?)
    }

    /// Sends it SIGTERM, as a kubelet does. Linux only.
    ///
    /// # Errors
    /// It does not run.
    pub fn terminate(&self) -> Result<()> {
        let pid = Pid::from_raw(self.pid()?).context("a process")?;
        Ok(kill_process(pid, Signal::TERM)?)
    }

    /// Waits until it has ended by itself. Its exit code; none if it was killed.
    ///
    /// # Errors
    /// The system does not tell.
    pub fn ended(&mut self) -> Result<Option<i32>> {
        // Its supervisor kills it as soon as this is closed, which waiting would do first.
        let _open = self.child.stdin.take();
        Ok(self.child.wait()?.code())
    }

    /// The status line of what it says at `path` of its health.
    ///
    /// # Errors
    /// It does not answer.
    pub fn status(&self, path: &str) -> Result<String> {
        Ok(self.answer(path)?.lines().next().unwrap_or_default().to_owned())
    }

    /// Bytes of its memory: resident now, and the most that ever were. Linux only.
    ///
    /// # Errors
    /// It does not run.
    pub fn memory(&self) -> Result<(u64, u64)> {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.pid()?))?;
        let of = |key: &str| -> Result<u64> {
            let line = status.lines().find_map(|line| line.strip_prefix(key)).context("memory")?;
            Ok(line.trim_end_matches("kB").trim().parse::<u64>()? * 1024)
        };
        Ok((of("VmRSS:")?, of("VmHWM:")?))
    }

    /// The last lines of its log.
    pub fn log_tail(&self) -> String {
        let text = self.log();
        let lines: Vec<&str> = text.lines().collect();
        lines[lines.len().saturating_sub(30)..].join("\n")
    }

    /// Its whole log.
    pub fn log(&self) -> String {
        std::fs::read_to_string(&self.log).unwrap_or_default()
    }

    /// Kills it, as a node that dies would.
    pub fn kill(&mut self) {
        drop(self.child.stdin.take());
        let _status = self.child.wait();
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.kill();
    }
}
