//! The AdmissionConfiguration that an API server starts with: there is one, and PodSecurity may stand in it already.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};
use policies::yaml;
use serde_json::{Value, json};

/// The file that `--admission-control-config-file` names.
#[derive(Clone, Debug)]
pub struct AdmissionFile(PathBuf);

impl AdmissionFile {
    /// Writes it into `folder`, with what an admin has in it before retinue comes.
    ///
    /// # Errors
    /// It cannot be written.
    pub fn new(folder: &Path) -> Result<Self> {
        let file = folder.join("admission-control.yaml");
        std::fs::write(&file, pod_security().to_string())?;
        Ok(Self(file))
    }

    /// The API server's flag.
    pub fn flag(&self) -> String {
        format!("--admission-control-config-file={}", self.0.display())
    }

    /// Merges these plugins of a fragment into what was there first, as `retinue certs --client` asks for. It counts once
    /// the API server is started again.
    ///
    /// # Errors
    /// The fragment cannot be read, or has none of that name.
    pub fn merge(&self, fragment: &Path, plugins: &[&str]) -> Result<()> {
        let fragment = yaml::value(&std::fs::read_to_string(fragment)?)?;
        let mut configuration = pod_security();
        let all = configuration["plugins"].as_array_mut().context("plugins")?;
        let offered = fragment["plugins"].as_array().context("a fragment with plugins")?;
        for wanted in plugins {
            all.extend(offered.iter().filter(|plugin| plugin["name"] == *wanted).cloned());
        }
        ensure!(all.len() == 1 + plugins.len(), "the fragment has not one plugin of each name: {fragment}");
        std::fs::write(&self.0, configuration.to_string())?;
        Ok(())
    }
}

fn pod_security() -> Value {
    json!({
        "apiVersion": "apiserver.config.k8s.io/v1", "kind": "AdmissionConfiguration",
        "plugins": [{
            "name": "PodSecurity",
            "configuration": {
                "apiVersion": "pod-security.admission.config.k8s.io/v1", "kind": "PodSecurityConfiguration",
                "defaults": {"enforce": "baseline", "enforce-version": "latest"},
            },
        }],
    })
}
