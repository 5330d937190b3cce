//! The figures: medians, ratios, and the targets beside them.

use std::io::Write as _;
use std::time::Duration;

use serde::Serialize;

use super::beside;
use super::load::Burst;

/// How figures are printed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum Format {
    /// Tables, for people.
    #[default]
    Text,
    /// For programs.
    Json,
}

/// What one burst gave, or the medians of several.
#[derive(Clone, Copy, Debug, Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Figures {
    /// Reviews per second.
    pub per_second: f64,
    /// Half of the answers came within, microseconds.
    pub p50_us: f64,
    /// All but a hundredth of them did.
    pub p99_us: f64,
    /// CPU of the server, microseconds per review.
    pub cpu_us: f64,
    /// Resident memory of the server after it, MiB.
    pub resident_mib: f64,
}

#[expect(clippy::cast_precision_loss, reason = "counts and microseconds of a benchmark are far below 2^52")]
impl Figures {
    /// Of one burst.
    pub fn of(burst: &Burst, cpu: Duration, count: usize, resident_kib: u64) -> Self {
        Self {
            per_second: count as f64 / burst.took.as_secs_f64(),
            p50_us: burst.latencies.value_at_quantile(0.5) as f64,
            p99_us: burst.latencies.value_at_quantile(0.99) as f64,
            cpu_us: cpu.as_secs_f64() * 1e6 / count as f64,
            resident_mib: resident_kib as f64 / 1024.0,
        }
    }

    /// The median of each figure by itself.
    pub fn medians(all: &[Self]) -> Self {
        let of = |figure: fn(&Self) -> f64| median(all.iter().map(figure).collect());
        Self {
            per_second: of(|figures| figures.per_second),
            p50_us: of(|figures| figures.p50_us),
            p99_us: of(|figures| figures.p99_us),
            cpu_us: of(|figures| figures.cpu_us),
            resident_mib: of(|figures| figures.resident_mib),
        }
    }
}

/// The middle of them.
pub(super) fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(f64::NAN)
}

/// A case and what it gave.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Measured {
    /// `constant`, `parsing`, `retinue`.
    pub server: String,
    /// `check`, `stamp`, `refusal`, `refusal-final`.
    pub question: String,
    /// `templates=N`, `variants=N`.
    pub world: String,
    /// Reviews in flight.
    pub at_once: usize,
    /// Of the first review, with its pod.
    pub review_bytes: usize,
    /// Medians over rounds.
    #[serde(flatten)]
    pub figures: Figures,
}

/// Everything that was measured.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Report {
    /// Cores that this process may use.
    pub cores: usize,
    /// Rounds that counted.
    pub rounds: usize,
    /// Reviews per case and round; a quarter with one in flight.
    pub count: usize,
    /// Beside floods.
    pub beside: Option<beside::Figures>,
    /// By case.
    pub cases: Vec<Measured>,
}

/// A ratio that issue 4 bounds.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Ratio {
    /// Of what to what.
    pub of: String,
    /// As measured.
    pub ratio: f64,
    /// At most.
    pub target: f64,
}

impl Report {
    fn figures(&self, server: &str, question: &str, world: &str, at_once: usize) -> Option<Figures> {
        let found = self.cases.iter().find(|case| {
            (case.server.as_str(), case.question.as_str(), case.world.as_str(), case.at_once)
                == (server, question, world, at_once)
        });
        found.map(|found| found.figures)
    }

    /// The ratios that have a target, as far as both sides were measured.
    pub fn ratios(&self) -> Vec<Ratio> {
        const USUAL: &str = "templates=100";
        let mut all = Vec::new();
        let mut ratio =
            |of: String, one: Option<Figures>, other: Option<Figures>, figure: fn(&Figures) -> f64, target| {
                if let (Some(one), Some(other)) = (one, other) {
                    all.push(Ratio { of, ratio: figure(&one) / figure(&other), target });
                }
            };
        let cpu = |figures: &Figures| figures.cpu_us;
        for question in ["check", "stamp"] {
            for at_once in [1, 16, 64] {
                let [retinue, parsing] =
                    ["retinue", "parsing"].map(|server| self.figures(server, question, USUAL, at_once));
                ratio(format!("CPU of a {question}, {at_once} in flight, to parsing"), retinue, parsing, cpu, 1.6);
                if at_once == 16 {
                    let p99 = |figures: &Figures| figures.p99_us;
                    ratio(format!("p99 of a {question}, 16 in flight, to parsing"), retinue, parsing, p99, 2.0);
                }
            }
        }
        for question in ["check", "stamp"] {
            let [one, hundred, many] =
                ["templates=1", USUAL, "templates=10000"].map(|world| self.figures("retinue", question, world, 16));
            ratio(format!("CPU of a {question}, 100 templates to 1"), hundred, one, cpu, 1.2);
            ratio(format!("CPU of a {question}, 10,000 templates to 1"), many, one, cpu, 1.2);
            let [one, ten, hundred] =
                ["variants=1", "variants=10", "variants=100"].map(|world| self.figures("retinue", question, world, 16));
            ratio(format!("CPU of a {question}, 10 variants to 1"), ten, one, cpu, 3.0);
            ratio(format!("CPU of a {question}, 100 variants to 1"), hundred, one, cpu, 3.0);
        }
        for (refusal, admission) in [("refusal", "stamp"), ("refusal", "check"), ("refusal-final", "check")] {
            let [refused, admitted] = [refusal, admission].map(|question| self.figures("retinue", question, USUAL, 16));
            ratio(format!("CPU of a {refusal} to a {admission}"), refused, admitted, cpu, 1.2);
        }
        for (world, most) in [(USUAL, 40.0), ("templates=10000", 80.0)] {
            if let Some(figures) = self.figures("retinue", "stamp", world, 16) {
                all.push(Ratio { of: format!("MiB resident, {world}"), ratio: figures.resident_mib, target: most });
            }
        }
        // Beside nothing a check is compared with no work at all, which says nothing of who stands in whose path.
        let floods =
            self.beside.iter().flat_map(|figures| &figures.beside).filter(|beside| beside.flood != beside::NOTHING);
        for beside in floods {
            let of = format!("p99 of a check beside {}, to a constant", beside.flood);
            all.push(Ratio { of, ratio: beside.retinue_p99_us / beside.constant_p99_us, target: 2.0 });
        }
        if let Some(figures) = &self.beside {
            let of = "5,000 creates a second of ten masters, to those admitted".into();
            all.push(Ratio { of, ratio: 5_000.0 / figures.creates_per_second, target: 1.0 });
        }
        all
    }

    /// Prints it.
    ///
    /// # Errors
    /// When nobody reads it.
    pub fn print(&self, format: Format) -> anyhow::Result<()> {
        let mut out = std::io::stdout().lock();
        match format {
            Format::Json => {
                let all = serde_json::json!({"measured": self, "ratios": self.ratios()});
                serde_json::to_writer_pretty(&mut out, &all)?;
                writeln!(out)?;
            }
            Format::Text => {
                writeln!(
                    out,
                    "{:<10} {:<14} {:<16} {:>6} {:>8} {:>9} {:>9} {:>9} {:>9} {:>7}",
                    "server", "question", "world", "flight", "bytes", "per s", "p50 µs", "p99 µs", "CPU µs", "MiB"
                )?;
                for case in &self.cases {
                    let Measured { server, question, world, at_once, review_bytes, figures } = case;
                    let Figures { per_second, p50_us, p99_us, cpu_us, resident_mib } = figures;
                    writeln!(
                        out,
                        "{server:<10} {question:<14} {world:<16} {at_once:>6} {review_bytes:>8} {per_second:>9.0} \
                         {p50_us:>9.0} {p99_us:>9.0} {cpu_us:>9.1} {resident_mib:>7.1}"
                    )?;
                }
                for beside in self.beside.iter().flat_map(|figures| &figures.beside) {
                    let beside::Beside { flood, constant_p99_us, retinue_p99_us } = beside;
                    writeln!(
                        out,
                        "check beside {flood:<24} p99 µs: constant {constant_p99_us:>9.0}, retinue {retinue_p99_us:>9.0}"
                    )?;
                }
                writeln!(out)?;
                for Ratio { of, ratio, target } in self.ratios() {
                    let miss = if ratio > target { "  MISSED" } else { "" };
                    writeln!(out, "{of:<48} {ratio:>7.2}   at most {target}{miss}")?;
                }
            }
        }
        Ok(())
    }
}
