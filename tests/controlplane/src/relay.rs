//! A way to the API server that can be disturbed: what fails between a program under test and its API server, on
//! purpose, for chosen requests and as long as the test wants.
//!
//! It answers plain HTTP on the loopback interface and passes each request on by a TLS connection of its own. Whoever
//! goes through it asks with a token, since a client certificate would not get past.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream};
use std::path::PathBuf;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use jiff::SignedDuration;
use rustls::{ClientConfig, ClientConnection, StreamOwned};
use rustls_pki_types::ServerName;

use crate::error::While;
use crate::{ControlPlane, Error, http};

/// The longest head of a request or an answer.
const LONGEST_HEAD: usize = 64 * 1024;

/// Longer than any test.
const FOR_EVER: Duration = Duration::from_secs(3600);

/// How long a silent API server is listened to: longer than any watch lasts.
const SILENCE: Duration = Duration::from_secs(600);

/// The shape of the `Date` header.
const DATE: &str = "%a, %d %b %Y %H:%M:%S GMT";

/// What happens to a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// It is answered with this status code; 429 asks to come back after a second.
    Answer(u16),
    /// It is never answered; its connection is closed when the fault ends.
    Hang,
    /// It is passed on this much later.
    Late(Duration),
    /// Its connection is closed at once.
    Cut,
    /// It is passed on, and its connection is closed in the place of the answer.
    Lost,
    /// It is answered with success and half a JSON document.
    Garbled,
    /// It is answered with what the first such request was answered.
    Stale,
}

#[derive(Debug)]
struct Rule {
    fragments: Vec<String>,
    fault: Fault,
    hits: usize,
    /// For [`Fault::Stale`].
    first: Option<Vec<u8>>,
}

#[derive(Debug, Default)]
struct State {
    rules: Vec<Rule>,
    watches: Vec<TcpStream>,
    frozen: bool,
    ended: bool,
    ahead: SignedDuration,
    /// How often the faults were lifted: what waits for that looks here.
    healed: usize,
}

#[derive(Debug)]
struct Shared {
    upstream: SocketAddr,
    tls: Arc<ClientConfig>,
    state: Mutex<State>,
    changed: Condvar,
}

/// The way. Dropping it cuts every watch and answers nobody any more.
#[derive(Debug)]
pub struct Relay {
    port: u16,
    shared: Arc<Shared>,
}

impl ControlPlane {
    /// Opens a way to this API server.
    ///
    /// # Errors
    /// No port, or no TLS.
    pub fn relay(&self) -> Result<Relay, Error> {
        let doing = || "opening a relay to the API server".to_owned();
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).doing(doing)?;
        let port = listener.local_addr().doing(doing)?.port();
        let shared = Arc::new(Shared {
            upstream: SocketAddr::from((Ipv4Addr::LOCALHOST, self.port.number())),
            tls: http::nobody(&self.ca_pem())?,
            state: Mutex::default(),
            changed: Condvar::new(),
        });
        let accepting = Arc::clone(&shared);
        std::thread::spawn(move || {
            for client in listener.incoming().map_while(Result::ok) {
                if accepting.state().ended {
                    return;
                }
                let shared = Arc::clone(&accepting);
                // A connection that breaks is one of the faults.
                std::thread::spawn(move || drop(shared.serve(client)));
            }
        });
        Ok(Relay { port, shared })
    }

    /// A kubeconfig file for whoever holds `token` and goes through `relay`.
    ///
    /// # Errors
    /// The file cannot be written.
    pub fn kubeconfig_through(&self, relay: &Relay, token: &str) -> Result<PathBuf, Error> {
        let url = format!("http://127.0.0.1:{}", relay.port);
        self.write_kubeconfig_to(&url, &serde_json::json!({ "token": token }))
    }
}

impl Relay {
    /// From now on `fault` happens to each request whose `METHOD /path?query BODY` contains all of `fragments`. Of
    /// several rules that fit, the first counts.
    pub fn inject(&self, fragments: &[&str], fault: Fault) {
        let fragments = fragments.iter().map(ToString::to_string).collect();
        self.shared.state().rules.push(Rule { fragments, fault, hits: 0, first: None });
    }

    /// How often the rule with these fragments was applied.
    #[must_use]
    pub fn hits(&self, fragments: &[&str]) -> usize {
        self.shared.state().rules.iter().filter(|rule| rule.fragments == fragments).map(|rule| rule.hits).sum()
    }

    /// Lifts every fault.
    pub fn heal(&self) {
        let mut state = self.shared.state();
        state.rules.clear();
        state.frozen = false;
        state.healed += 1;
        drop(state);
        self.shared.changed.notify_all();
    }

    /// Cuts every watch that is open.
    pub fn cut_watches(&self) {
        for watch in self.shared.state().watches.drain(..) {
            // Closed already, perhaps.
            let _closed = watch.shutdown(Shutdown::Both);
        }
    }

    /// Holds back everything that watches would bring, until [`Relay::heal`]; their connections stay open.
    pub fn freeze_watches(&self) {
        self.shared.state().frozen = true;
    }

    /// From now on the API server's clock seems this far ahead in the `Date` of every answer.
    pub fn set_clock_ahead(&self, ahead: SignedDuration) {
        self.shared.state().ahead = ahead;
    }
}

impl Drop for Relay {
    fn drop(&mut self) {
        self.shared.state().ended = true;
        self.heal();
        self.cut_watches();
        // Whoever waits for a connection gets one more, and sees that it is over.
        let _woken = TcpStream::connect((Ipv4Addr::LOCALHOST, self.port));
    }
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The fault that this request meets, and the number of its rule.
    fn fault(&self, text: &str) -> Option<(usize, Fault)> {
        let mut state = self.state();
        let fits = |rule: &Rule| rule.fragments.iter().all(|fragment| text.contains(fragment));
        let number = state.rules.iter().position(fits)?;
        let rule = state.rules.get_mut(number)?;
        rule.hits += 1;
        Some((number, rule.fault))
    }

    /// Waits until the faults are lifted, at most `limit`.
    fn wait(&self, limit: Duration) {
        let state = self.state();
        let healed = state.healed;
        // Whether it was lifted or the time is over is all one.
        let _waited = self.changed.wait_timeout_while(state, limit, |state| state.healed == healed && !state.ended);
    }

    /// One request, one answer.
    fn serve(&self, mut client: TcpStream) -> std::io::Result<()> {
        client.set_nodelay(true)?;
        let (head, mut body) = head(&mut client)?;
        let length: usize = header(&head, "content-length").and_then(|text| text.parse().ok()).unwrap_or(0);
        let have = body.len();
        body.resize(length.max(have), 0);
        client.read_exact(body.get_mut(have..).unwrap_or_default())?;
        let first_line = head.lines().next().unwrap_or_default();
        let (what, _version) = first_line.rsplit_once(' ').unwrap_or((first_line, ""));
        let rule = self.fault(&format!("{what} {}", String::from_utf8_lossy(&body)));
        match rule.map(|(_, fault)| fault) {
            None | Some(Fault::Stale) => {}
            Some(Fault::Cut) => return Ok(()),
            Some(Fault::Lost) => {
                let mut server = self.ask(&head, &body)?;
                let _answer = std::io::copy(&mut server, &mut std::io::sink());
                return Ok(());
            }
            Some(Fault::Hang) => {
                self.wait(FOR_EVER);
                return Ok(());
            }
            Some(Fault::Late(by)) => self.wait(by),
            Some(Fault::Garbled) => return client.write_all(&answer(200, "{\"kind\": \"Pod\", \"metadata\": {\"na")),
            Some(Fault::Answer(code)) => {
                let status = format!(
                    "{{\"kind\": \"Status\", \"apiVersion\": \"v1\", \"status\": \"Failure\", \"code\": {code}, \
                     \"reason\": \"{}\", \"message\": \"a fault of this test\"}}",
                    reason(code)
                );
                return client.write_all(&answer(code, &status));
            }
        }
        let recorded = |number: usize| self.state().rules.get(number).and_then(|rule| rule.first.clone());
        let stale = rule.filter(|(_, fault)| *fault == Fault::Stale).map(|(number, _)| number);
        if let Some(first) = stale.and_then(recorded) {
            return client.write_all(&first);
        }
        let heard = self.pass_on(&mut client, &head, &body, stale.is_some())?;
        if let Some(number) = stale
            && let Some(rule) = self.state().rules.get_mut(number)
        {
            rule.first = heard;
        }
        Ok(())
    }

    /// Passes a request on and its answer back. Gives the whole answer where it is to be recorded.
    fn pass_on(
        &self,
        client: &mut TcpStream,
        asked: &str,
        body: &[u8],
        record: bool,
    ) -> std::io::Result<Option<Vec<u8>>> {
        let mut server = self.ask(asked, body)?;
        let (head, rest) = head(&mut server)?;
        let mut whole = format!("{}\r\n\r\n", self.dated(&head)).into_bytes();
        whole.extend(rest);
        let is_watch = asked.lines().next().is_some_and(|line| line.contains("watch=true") || line.contains("watch=1"));
        if is_watch {
            self.state().watches.push(client.try_clone()?);
        }
        client.write_all(&whole)?;
        let mut part = vec![0; 16 * 1024];
        loop {
            let read = match server.read(&mut part) {
                Ok(0) | Err(_) => break,
                Ok(read) => part.get(..read).unwrap_or_default(),
            };
            if is_watch {
                let state = self.state();
                let _thawed = self.changed.wait_while(state, |state| state.frozen && !state.ended);
            }
            client.write_all(read)?;
            if record {
                whole.extend(read);
            }
        }
        Ok(record.then_some(whole))
    }

    /// Sends a request on.
    fn ask(&self, asked: &str, body: &[u8]) -> std::io::Result<StreamOwned<ClientConnection, TcpStream>> {
        let mut server = self.connect()?;
        let mut request = String::new();
        for line in asked.lines().filter(|line| !line.to_ascii_lowercase().starts_with("connection:")) {
            request.push_str(line);
            request.push_str("\r\n");
        }
        request.push_str("Connection: close\r\n\r\n");
        server.write_all(request.as_bytes())?;
        server.write_all(body)?;
        Ok(server)
    }

    fn connect(&self) -> std::io::Result<StreamOwned<ClientConnection, TcpStream>> {
        let socket = TcpStream::connect(self.upstream)?;
        socket.set_nodelay(true)?;
        socket.set_read_timeout(Some(SILENCE))?;
        let name = ServerName::from(self.upstream.ip());
        let connection = ClientConnection::new(Arc::clone(&self.tls), name).map_err(std::io::Error::other)?;
        Ok(StreamOwned::new(connection, socket))
    }

    /// The head of an answer, with the date that is to be shown.
    fn dated(&self, head: &str) -> String {
        let ahead = self.state().ahead;
        let shown = |line: &str| {
            let date = line.get(..6).filter(|key| key.eq_ignore_ascii_case("date: ")).and_then(|_| line.get(6..))?;
            let date = jiff::civil::DateTime::strptime(DATE, date).ok()?.to_zoned(jiff::tz::TimeZone::UTC).ok()?;
            let date = date.timestamp().checked_add(ahead).ok()?;
            Some(format!("Date: {}", date.strftime(DATE)))
        };
        let lines: Vec<String> = head.lines().map(|line| shown(line).unwrap_or_else(|| line.to_owned())).collect();
        lines.join("\r\n")
    }
}

/// Reads up to the empty line that ends a head; gives the head without it, and what was read beyond.
fn head(from: &mut impl Read) -> std::io::Result<(String, Vec<u8>)> {
    let mut read = Vec::new();
    let mut part = [0; 4096];
    loop {
        if let Some(end) = read.windows(4).position(|four| four == b"\r\n\r\n") {
            let rest = read.split_off(end + 4);
            return Ok((String::from_utf8_lossy(read.get(..end).unwrap_or_default()).into_owned(), rest));
        }
        match from.read(&mut part)? {
            count if count > 0 && read.len() < LONGEST_HEAD => read.extend(part.get(..count).unwrap_or_default()),
            _ => return Err(std::io::ErrorKind::UnexpectedEof.into()),
        }
    }
}

fn header<'a>(head: &'a str, name: &str) -> Option<&'a str> {
    head.lines().find_map(|line| {
        let (key, value) = line.split_once(':')?;
        key.eq_ignore_ascii_case(name).then_some(value.trim())
    })
}

fn answer(code: u16, body: &str) -> Vec<u8> {
    let later = if code == 429 { "Retry-After: 1\r\n" } else { "" };
    let length = body.len();
    format!(
        "HTTP/1.1 {code} {}\r\n{later}Content-Type: application/json\r\nContent-Length: {length}\r\n\
         Connection: close\r\n\r\n{body}",
        reason(code)
    )
    .into_bytes()
}

/// As the API server names them.
fn reason(code: u16) -> &'static str {
    match code {
        200 => "OK",
        403 => "Forbidden",
        404 => "NotFound",
        409 => "Conflict",
        410 => "Expired",
        429 => "TooManyRequests",
        503 => "ServiceUnavailable",
        504 => "Timeout",
        _ => "InternalError",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_head_ends_at_the_empty_line_and_the_rest_is_kept() {
        let mut text = &b"GET /a HTTP/1.1\r\nContent-Length: 3\r\n\r\nabc"[..];
        let (read, rest) = head(&mut text).unwrap();
        assert_eq!((read.as_str(), rest.as_slice()), ("GET /a HTTP/1.1\r\nContent-Length: 3", &b"abc"[..]));
        assert_eq!(header(&read, "content-length"), Some("3"));
        assert!(head(&mut &b"GET /a HTTP/1.1\r\n"[..]).is_err());
    }
}
