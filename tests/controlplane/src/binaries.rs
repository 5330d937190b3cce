//! Where the programs are: `KUBEBUILDER_ASSETS` first, then the folder that `make controlplane` fills.

use std::path::{Path, PathBuf};

use crate::Error;

/// The folder that `make controlplane` fills.
fn built() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("bin")
}

/// The path of `program`.
///
/// # Errors
/// [`Error::Missing`], saying what to run.
pub fn find(program: &'static str) -> Result<PathBuf, Error> {
    find_in(program, std::env::var_os("KUBEBUILDER_ASSETS").map(PathBuf::from), built())
}

fn find_in(program: &'static str, assets: Option<PathBuf>, built: PathBuf) -> Result<PathBuf, Error> {
    let looked_in: Vec<PathBuf> =
        assets.into_iter().filter(|path| !path.as_os_str().is_empty()).chain([built]).collect();
    looked_in
        .iter()
        .map(|folder| folder.join(program))
        .find(|path| path.is_file())
        .ok_or(Error::Missing { program, looked_in })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn assets_come_first_and_the_rest_is_what_was_built() {
        let (assets, built) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        for (folder, program) in [(&assets, "etcd"), (&built, "etcd"), (&built, "kwok")] {
            std::fs::write(folder.path().join(program), "").unwrap();
        }
        let find = |program| find_in(program, Some(assets.path().into()), built.path().into());
        assert_eq!(find("etcd").unwrap(), assets.path().join("etcd"));
        assert_eq!(find("kwok").unwrap(), built.path().join("kwok"));
        let message = find("kubectl").unwrap_err().to_string();
        for part in ["`kubectl`", "make controlplane", assets.path().to_str().unwrap(), built.path().to_str().unwrap()]
        {
            assert!(message.contains(part), "{part} is not in: {message}");
        }
    }

    #[test]
    fn an_empty_variable_is_no_folder() {
        let built = tempfile::tempdir().unwrap();
        std::fs::write(built.path().join("etcd"), "").unwrap();
        let found = find_in("etcd", Some(PathBuf::new()), built.path().into()).unwrap();
        assert_eq!(found, built.path().join("etcd"));
    }
}
