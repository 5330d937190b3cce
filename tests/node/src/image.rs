//! Images: a program with the libraries that it is linked with, and nothing else, in the archive format of `docker save`.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};
use serde_json::json;
use sha2::{Digest, Sha256};

/// The image that every node has: its containers say in their `args` what to do (`program/main.go`), and wait without
/// end if they say nothing.
pub const IMAGE: &str = "registry.example/program:1";

/// Writes the archive of an image that runs this program, with `arguments` unless a container has its own.
pub(crate) fn write(name: &str, program: &Path, arguments: &[&str], archive: &Path) -> Result<()> {
    let entrypoint = Path::new("/").join(program.file_name().context("a program")?);
    let mut layer = tar::Builder::new(Vec::new());
    add(&mut layer, &entrypoint, program)?;
    for library in libraries(program)? {
        add(&mut layer, &library, &library)?;
    }
    let layer = layer.into_inner()?;
    let digest: String = Sha256::digest(&layer).iter().map(|byte| format!("{byte:02x}")).collect();
    let configuration = json!({
        "architecture": architecture(),
        "os": "linux",
        "config": {"Entrypoint": [entrypoint], "Cmd": arguments},
        "rootfs": {"type": "layers", "diff_ids": [format!("sha256:{digest}")]},
    });
    let manifest = json!([{"Config": "config.json", "RepoTags": [name], "Layers": ["layer.tar"]}]);
    let mut image = tar::Builder::new(std::fs::File::create(archive)?);
    append(&mut image, Path::new("layer.tar"), &layer)?;
    append(&mut image, Path::new("config.json"), configuration.to_string().as_bytes())?;
    append(&mut image, Path::new("manifest.json"), manifest.to_string().as_bytes())?;
    image.into_inner()?.flush().with_context(|| format!("writing {}", archive.display()))
}

/// The files that the loader of this machine would load with `program`; none for one that is linked statically.
fn libraries(program: &Path) -> Result<Vec<PathBuf>> {
    let output = Command::new("ldd").arg(program).output().context("running ldd")?;
    let told = String::from_utf8_lossy(&output.stdout).into_owned();
    // `libc.so.6 => /lib/x86_64-linux-gnu/libc.so.6 (0x…)`, and the loader alone: `/lib64/ld-linux-x86-64.so.2 (0x…)`.
    Ok(told
        .lines()
        .filter_map(|line| line.split_whitespace().find(|word| word.starts_with('/')))
        .map(PathBuf::from)
        .collect())
}

fn add(archive: &mut tar::Builder<impl Write>, name: &Path, file: &Path) -> Result<()> {
    let content = std::fs::read(file).with_context(|| format!("reading {}", file.display()))?;
    append(archive, name.strip_prefix("/")?, &content)
}

fn append(archive: &mut tar::Builder<impl Write>, name: &Path, content: &[u8]) -> Result<()> {
    let mut header = tar::Header::new_ustar();
    header.set_size(u64::try_from(content.len())?);
    header.set_mode(0o755);
    Ok(archive.append_data(&mut header, name, content)?)
}

/// This machine's architecture, as images call it.
fn architecture() -> &'static str {
    match std::env::consts::ARCH {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        other => other,
    }
}
