//! The namespaces that a node lives in, and the process that holds them.

use std::cell::RefCell;
use std::ffi::OsString;
use std::fs::File;
use std::net::Ipv4Addr;
use std::path::Path;

use anyhow::{Context, Result, bail};
use controlplane::Component;

/// The node's address in its network namespace.
pub const ADDRESS: Ipv4Addr = Ipv4Addr::new(10, 128, 0, 1);

/// Folders that containerd, kubelet and plugins write into wherever they are told to: they get empty ones.
const HIDDEN: [&str; 3] = ["/run", "/var/lib", "/var/log"];

/// What the first process does: cgroups, mounts, interfaces, and then it is the program of the image, which buries orphans.
/// Arguments: this node's folder, its address, the program.
///
/// Cgroups are of version 1, a hierarchy for each controller, or of version 2, one for those that are passed on.
///
/// A kubelet sets some values for the whole machine unless they are set already: it finds them set, in files that are
/// mounted over those of the kernel.
const SCRIPT: &str = r#"
folder=$1 address=$2 program=$3
read -r pid rest </proc/self/stat
for hierarchy in /sys/fs/cgroup /sys/fs/cgroup/*; do
  if [ -e "$hierarchy/cgroup.subtree_control" ]; then
    for controller in $(cat "$hierarchy/cgroup.controllers"); do
      echo "+$controller" >"$hierarchy/cgroup.subtree_control" || true
    done
  fi
  if [ -e "$hierarchy/cgroup.procs" ]; then mkdir "$hierarchy/${folder##*/}"; fi
done
mount -t proc proc /proc
for hidden in /run /var/lib /var/log; do mount -t tmpfs tmpfs $hidden; done
while read -r setting value; do
  echo "$value" >"$folder/setting-${setting##*/}"
  mount --bind "$folder/setting-${setting##*/}" "/proc/sys/$setting"
done <<END
vm/overcommit_memory 1
vm/panic_on_oom 0
kernel/panic 10
kernel/panic_on_oops 1
kernel/keys/root_maxkeys 1000000
kernel/keys/root_maxbytes 25000000
END
ip link set lo up
ip link add node0 type bridge
ip address add "$address/24" dev node0
ip link set node0 up
ip route add 10.96.0.0/16 dev node0
echo "$pid" >"$folder/pid.new"
mv "$folder/pid.new" "$folder/pid"
exec "$program" pause
"#;

/// The namespaces. They live as long as the process that holds them.
#[derive(Debug)]
pub(crate) struct Namespaces {
    /// The first process, by its number outside.
    pid: u32,
    network: File,
}

impl Namespaces {
    /// Makes them, and the process that holds them. The folder and the cgroup go when they do.
    pub(crate) fn new(folder: &Path, program: &Path, supervision: &[OsString]) -> Result<(Self, Component)> {
        for needed in [folder, program] {
            if HIDDEN.iter().any(|hidden| needed.starts_with(hidden)) {
                bail!("{} must not be in {}: a node has its own there", needed.display(), HIDDEN.join(", "));
            }
        }
        let path = format!("PATH={}", crate::availability::path());
        let unshare = ["env", &path, "unshare", "--net", "--mount", "--pid", "--fork", "--kill-child"];
        let mut line: Vec<OsString> = unshare.map(OsString::from).to_vec();
        line.extend(["sh", "-euc", SCRIPT, "sh"].map(OsString::from));
        line.extend([folder.into(), ADDRESS.to_string().into(), program.into()]);
        let holder = RefCell::new(Component::supervised("namespaces", supervision, &line, folder)?);
        let pid = controlplane::until(
            "a network namespace",
            || std::fs::read_to_string(folder.join("pid")).map_err(|error| error.to_string()),
            || holder.borrow_mut().check(),
            || holder.borrow().tail(),
        )?;
        let pid = pid.trim().parse().context("the number of the first process")?;
        let path = format!("/proc/{pid}/ns/net");
        let network = File::open(&path).with_context(|| format!("opening {path}"))?;
        Ok((Self { pid, network }, holder.into_inner()))
    }

    /// The start of a command line that runs inside all of them.
    pub(crate) fn within(&self) -> Vec<OsString> {
        let target = self.pid.to_string();
        let path = format!("PATH={}", crate::availability::path());
        ["env", &path, "nsenter", "--target", &target, "--net", "--mount", "--pid", "--"].map(OsString::from).to_vec()
    }

    /// Brings the calling thread into the network namespace.
    #[cfg(target_os = "linux")]
    pub(crate) fn enter(&self) -> Result<()> {
        use std::os::fd::AsFd;

        use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};
        move_into_link_name_space(self.network.as_fd(), Some(LinkNameSpaceType::Network))
            .context("entering the network namespace of the node")
    }

    /// There are none elsewhere.
    #[cfg(not(target_os = "linux"))]
    pub(crate) fn enter(&self) -> Result<()> {
        bail!("{:?} is no network namespace", self.network)
    }
}
