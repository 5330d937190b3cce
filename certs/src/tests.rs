//! The rooms together: what is issued can be served, swapped under load and trusted; what is broken is told.

#![allow(clippy::unwrap_used, clippy::panic, clippy::allow_attributes, reason = "tests")]

mod clients;

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use jiff::{SignedDuration, Timestamp};
use rustls::{ClientConfig, ClientConnection, RootCertStore, ServerConfig, ServerConnection};
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, ServerName};

use crate::expiry::{State, Validity};
use crate::issue::{self, IssueError, Names, Pair};
use crate::resolver::Resolver;
use crate::rotation::{self, SignedBy, Standing, Step, Trusted};
use crate::source::{Change, Directory, PairError, Serving, SourceError};
use crate::trust::{self, Distrust};

const NAME: &str = "retinue-webhook.retinue.svc";

fn now() -> Timestamp {
    Timestamp::now()
}

fn day_from(start: Timestamp) -> Validity {
    Validity::lasting(start, SignedDuration::from_hours(24))
}

fn this_day() -> Validity {
    day_from(now() - SignedDuration::from_hours(1))
}

fn names() -> Names {
    Names::of_service("retinue-webhook", "retinue").and_ips(["127.0.0.1".parse().unwrap()])
}

fn authority() -> Pair {
    issue::authority("retinue development", this_day()).unwrap()
}

fn leaf(authority: &Pair) -> Pair {
    issue::leaf(authority, &names(), this_day()).unwrap()
}

fn serving(pair: &Pair) -> Serving {
    Serving::from_pem(pair.certificate.as_bytes(), pair.key.as_bytes(), None).unwrap()
}

fn write(folder: &Path, pair: &Pair, ca: Option<&str>) {
    std::fs::write(folder.join("tls.crt"), &pair.certificate).unwrap();
    std::fs::write(folder.join("tls.key"), &pair.key).unwrap();
    if let Some(ca) = ca {
        std::fs::write(folder.join("ca.crt"), ca).unwrap();
    }
}

/// One whole handshake in memory.
fn handshake(client: &Arc<ClientConfig>, server: &Arc<ServerConfig>, name: &str) -> Result<(), rustls::Error> {
    let mut client = ClientConnection::new(Arc::clone(client), ServerName::try_from(name.to_owned()).unwrap()).unwrap();
    let mut server = ServerConnection::new(Arc::clone(server)).unwrap();
    while client.is_handshaking() || server.is_handshaking() {
        let mut wire = Vec::new();
        while client.wants_write() {
            client.write_tls(&mut wire).unwrap();
        }
        let mut rest = wire.as_slice();
        while !rest.is_empty() {
            server.read_tls(&mut rest).unwrap();
            server.process_new_packets()?;
        }
        let mut wire = Vec::new();
        while server.wants_write() {
            server.write_tls(&mut wire).unwrap();
        }
        let mut rest = wire.as_slice();
        while !rest.is_empty() {
            client.read_tls(&mut rest).unwrap();
            client.process_new_packets()?;
        }
    }
    Ok(())
}

fn client(bundle: &str) -> Arc<ClientConfig> {
    let mut roots = RootCertStore::empty();
    for certificate in CertificateDer::pem_slice_iter(bundle.as_bytes()) {
        roots.add(certificate.unwrap()).unwrap();
    }
    let mut config = ClientConfig::builder_with_provider(crate::provider())
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    // A resumed session never looks at the certificate.
    config.resumption = rustls::client::Resumption::disabled();
    Arc::new(config)
}

fn server(resolver: &Arc<Resolver>) -> Arc<ServerConfig> {
    server_of(resolver, rustls::server::WebPkiClientVerifier::no_client_auth())
}

fn server_of(
    resolver: &Arc<Resolver>,
    clients: Arc<dyn rustls::server::danger::ClientCertVerifier>,
) -> Arc<ServerConfig> {
    let config = ServerConfig::builder_with_provider(crate::provider())
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_client_cert_verifier(clients)
        .with_cert_resolver(Arc::clone(resolver) as Arc<dyn rustls::server::ResolvesServerCert>);
    Arc::new(config)
}

#[test]
fn an_issued_leaf_is_accepted_under_each_of_its_names_and_no_other() {
    let ca = authority();
    let chain = serving(&leaf(&ca));
    for name in [NAME, "retinue-webhook.retinue.svc.cluster.local", "127.0.0.1"] {
        trust::verify(ca.certificate.as_bytes(), chain.chain(), name, now()).unwrap();
    }
    for name in ["retinue-webhook.other.svc", "127.0.0.2", "svc"] {
        assert!(!trust::trusts(ca.certificate.as_bytes(), chain.chain(), name, now()), "{name}");
    }
}

#[test]
fn a_bundle_trusts_only_leaves_of_its_own_authorities() {
    let (ca, stranger) = (authority(), authority());
    let chain = serving(&leaf(&ca));
    let refused = trust::verify(stranger.certificate.as_bytes(), chain.chain(), NAME, now()).unwrap_err();
    assert!(matches!(refused, Distrust::Refused { .. }), "{refused}");
    let refused = trust::verify(b"garbage", chain.chain(), NAME, now()).unwrap_err();
    assert!(matches!(refused, Distrust::Bundle), "{refused}");
    let refused = trust::verify(ca.certificate.as_bytes(), &[], NAME, now()).unwrap_err();
    assert!(matches!(refused, Distrust::NoLeaf), "{refused}");
}

#[test]
fn threat_36_an_expired_or_future_leaf_is_not_trusted() {
    let ca = issue::authority(
        "old",
        Validity {
            not_before: now() - SignedDuration::from_hours(999),
            not_after: now() + SignedDuration::from_hours(999),
        },
    )
    .unwrap();
    let old = issue::leaf(&ca, &names(), day_from(now() - SignedDuration::from_hours(48))).unwrap();
    let old = serving(&old);
    assert_eq!(old.state(now()), State::Expired);
    assert!(!trust::trusts(ca.certificate.as_bytes(), old.chain(), NAME, now()));
    assert!(trust::trusts(ca.certificate.as_bytes(), old.chain(), NAME, now() - SignedDuration::from_hours(30)));
    let coming = serving(&issue::leaf(&ca, &names(), day_from(now() + SignedDuration::from_hours(2))).unwrap());
    assert_eq!(coming.state(now()), State::NotYet);
    assert!(!trust::trusts(ca.certificate.as_bytes(), coming.chain(), NAME, now()));
}

#[test]
fn nothing_is_issued_without_a_name_or_with_an_impossible_one() {
    let ca = authority();
    let nameless = issue::leaf(&ca, &Names::default(), this_day());
    assert!(matches!(nameless, Err(IssueError::Nameless)));
    let odd = issue::leaf(&ca, &Names::default().and_dns(["böse.svc".to_owned()]), this_day());
    assert!(matches!(odd, Err(IssueError::Name { .. })));
    let garbage = Pair { certificate: "garbage".into(), key: "garbage".into() };
    assert!(matches!(issue::leaf(&garbage, &names(), this_day()), Err(IssueError::Authority(_))));
}

#[test]
fn a_private_key_is_never_shown() {
    let ca = authority();
    assert!(!format!("{ca:?}").contains("PRIVATE"));
    assert!(!format!("{:?}", serving(&leaf(&ca))).contains("PRIVATE"));
}

#[test]
fn threat_36_rotation_under_load_fails_no_handshake() {
    let (old, new) = (authority(), authority());
    let both = rotation::bundle([old.certificate.as_bytes(), new.certificate.as_bytes()]).unwrap();
    let leaves: Vec<_> = [&old, &new, &old, &new].map(|ca| Arc::new(serving(&leaf(ca)))).into();
    let resolver = Arc::new(Resolver::new());
    resolver.swap(Arc::clone(&leaves[0]));
    let (client, server) = (client(&both), server(&resolver));
    let done = AtomicBool::new(false);
    let (good, swaps) = (AtomicUsize::new(0), AtomicUsize::new(0));
    std::thread::scope(|scope| {
        let workers: Vec<_> = (0..4)
            .map(|_| {
                scope.spawn(|| {
                    for _ in 0..100 {
                        handshake(&client, &server, NAME).unwrap();
                        good.fetch_add(1, Ordering::Relaxed);
                    }
                })
            })
            .collect();
        scope.spawn(|| {
            for leaf in leaves.iter().cycle() {
                if done.load(Ordering::Relaxed) {
                    break;
                }
                resolver.swap(Arc::clone(leaf));
                swaps.fetch_add(1, Ordering::Relaxed);
                std::thread::yield_now();
            }
        });
        let finished: Vec<_> = workers.into_iter().map(std::thread::ScopedJoinHandle::join).collect();
        done.store(true, Ordering::Relaxed);
        assert!(finished.into_iter().all(|worker| worker.is_ok()), "a handshake failed");
    });
    assert_eq!(good.load(Ordering::Relaxed), 400);
    assert!(swaps.load(Ordering::Relaxed) > 10, "the certificate was swapped while handshakes ran");
}

#[test]
fn threat_36_without_overlap_the_very_same_rotation_does_fail() {
    let (old, new) = (authority(), authority());
    let resolver = Arc::new(Resolver::with(serving(&leaf(&old))));
    let (client, server) = (client(&old.certificate), server(&resolver));
    handshake(&client, &server, NAME).unwrap();
    resolver.swap(Arc::new(serving(&leaf(&new))));
    handshake(&client, &server, NAME).unwrap_err();
}

#[test]
fn before_the_first_pair_handshakes_fail_and_nothing_else() {
    let resolver = Arc::new(Resolver::new());
    let ca = authority();
    handshake(&client(&ca.certificate), &server(&resolver), NAME).unwrap_err();
    resolver.swap(Arc::new(serving(&leaf(&ca))));
    handshake(&client(&ca.certificate), &server(&resolver), NAME).unwrap();
}

#[test]
fn a_bundle_holds_each_certificate_once_and_refuses_garbage() {
    let (a, b) = (authority(), authority());
    let joined = rotation::bundle([a.certificate.as_bytes(), b.certificate.as_bytes()]).unwrap();
    assert_eq!(rotation::bundle([joined.as_bytes(), b.certificate.as_bytes()]).unwrap(), joined);
    assert_eq!(joined.matches("BEGIN CERTIFICATE").count(), 2);
    let broken = "-----BEGIN CERTIFICATE-----\n!!!\n-----END CERTIFICATE-----\n";
    rotation::bundle([joined.as_bytes(), broken.as_bytes()]).unwrap_err();
}

#[test]
fn rotation_walks_through_its_steps_in_order() {
    let start: Timestamp = "2026-01-01T00:00:00Z".parse().unwrap();
    let years = Validity::lasting(start, SignedDuration::from_hours(24 * 300));
    let mut standing =
        Standing { authority: years, leaf: day_from(start), signed_by: SignedBy::Newest, trusted: Trusted::Newest };
    assert_eq!(rotation::next(&standing, start), Step::Wait(start + SignedDuration::from_hours(16)));
    assert_eq!(rotation::next(&standing, start + SignedDuration::from_hours(16)), Step::IssueLeaf);
    let late = start + SignedDuration::from_hours(24 * 201);
    assert_eq!(rotation::next(&standing, late), Step::MakeAuthority);
    standing.authority = Validity::lasting(late, SignedDuration::from_hours(24 * 300));
    (standing.signed_by, standing.trusted) = (SignedBy::Older, Trusted::Older);
    assert_eq!(rotation::next(&standing, late), Step::PublishBoth);
    standing.trusted = Trusted::Both;
    assert_eq!(rotation::next(&standing, late), Step::IssueLeaf);
    standing.signed_by = SignedBy::Newest;
    standing.leaf = day_from(late);
    assert_eq!(rotation::next(&standing, late), Step::DropOlder);
    standing.trusted = Trusted::Newest;
    assert!(matches!(rotation::next(&standing, late), Step::Wait(_)));
}

#[test]
fn a_directory_says_which_file_is_wrong() {
    let ca = authority();
    let good = leaf(&ca);
    let other = leaf(&ca);
    type Spoil = fn(&Path, &Pair);
    let cases: [(&str, Spoil, &str); 8] = [
        ("no certificate", |folder, _| std::fs::remove_file(folder.join("tls.crt")).unwrap(), "tls.crt"),
        ("no key", |folder, _| std::fs::remove_file(folder.join("tls.key")).unwrap(), "tls.key"),
        ("garbage", |folder, _| std::fs::write(folder.join("tls.crt"), b"garbage").unwrap(), "tls.crt holds no PEM"),
        (
            "torn",
            |folder, _| std::fs::write(folder.join("tls.crt"), b"-----BEGIN CERTIFICATE-----\nMIIB").unwrap(),
            "tls.crt is no PEM",
        ),
        (
            "not DER",
            |folder, _| {
                std::fs::write(
                    folder.join("tls.crt"),
                    b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n",
                )
                .unwrap()
            },
            "tls.crt is no PEM",
        ),
        (
            "garbage key",
            |folder, _| std::fs::write(folder.join("tls.key"), b"garbage").unwrap(),
            "tls.key holds no PEM",
        ),
        (
            "the key of another",
            |folder, other| std::fs::write(folder.join("tls.key"), &other.key).unwrap(),
            "tls.key is not the key of tls.crt",
        ),
        (
            "garbage authority",
            |folder, _| std::fs::write(folder.join("ca.crt"), b"garbage").unwrap(),
            "ca.crt is no PEM",
        ),
    ];
    for (name, spoil, expected) in cases {
        let folder = tempfile::tempdir().unwrap();
        write(folder.path(), &good, Some(&ca.certificate));
        Directory::new(folder.path()).read().unwrap();
        spoil(folder.path(), &other);
        let error = Directory::new(folder.path()).read().unwrap_err().to_string();
        assert!(error.contains(expected), "{name}: {error}");
        assert!(error.contains(&folder.path().display().to_string()), "{name}: {error}");
    }
}

#[test]
fn a_broken_or_expired_new_pair_keeps_the_old_one() {
    let ca = authority();
    let folder = tempfile::tempdir().unwrap();
    let directory = Directory::new(folder.path());
    let resolver = Resolver::new();
    write(folder.path(), &leaf(&ca), None);
    assert!(matches!(directory.look(&resolver, now()), Some(Change::Swapped(_))));
    assert!(directory.look(&resolver, now()).is_none(), "nothing new, nothing said");
    let served = resolver.current().unwrap();

    std::fs::write(folder.path().join("tls.key"), leaf(&ca).key).unwrap();
    let kept = directory.look(&resolver, now());
    assert!(matches!(&kept, Some(Change::Kept(SourceError::Pair { source: PairError::Mismatch, .. }))), "{kept:?}");
    let expired = issue::leaf(&ca, &names(), day_from(now() - SignedDuration::from_hours(48))).unwrap();
    write(folder.path(), &expired, None);
    let kept = directory.look(&resolver, now());
    assert!(matches!(&kept, Some(Change::Kept(SourceError::Expired { .. }))), "{kept:?}");
    assert!(Arc::ptr_eq(&served, &resolver.current().unwrap()));

    write(folder.path(), &leaf(&ca), None);
    assert!(matches!(directory.look(&resolver, now()), Some(Change::Swapped(_))));
}

#[cfg(unix)]
#[tokio::test]
async fn a_mounted_secret_is_followed_through_its_symlink_swap() {
    use std::os::unix::fs::symlink;
    let ca = authority();
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path();
    for name in ["one", "two"] {
        std::fs::create_dir(root.join(name)).unwrap();
        write(&root.join(name), &leaf(&ca), Some(&ca.certificate));
    }
    symlink("one", root.join("..data")).unwrap();
    for name in ["tls.crt", "tls.key", "ca.crt"] {
        symlink(format!("..data/{name}"), root.join(name)).unwrap();
    }
    let directory = Directory::new(root);
    let resolver = Resolver::with(directory.read().unwrap());
    let (told, mut changes) = tokio::sync::mpsc::unbounded_channel();
    let follow = directory.follow(&resolver, std::time::Duration::from_millis(5), Timestamp::now, |change| {
        told.send(matches!(change, Change::Swapped(_))).unwrap();
    });
    let swap = async {
        symlink("two", root.join("..data_tmp")).unwrap();
        std::fs::rename(root.join("..data_tmp"), root.join("..data")).unwrap();
        assert_eq!(changes.recv().await, Some(true));
        std::fs::remove_file(root.join("two/tls.key")).unwrap();
        assert_eq!(changes.recv().await, Some(false), "the loss is told, once");
        write(&root.join("one"), &leaf(&ca), None);
        symlink("one", root.join("..data_tmp")).unwrap();
        std::fs::rename(root.join("..data_tmp"), root.join("..data")).unwrap();
        assert_eq!(changes.recv().await, Some(true));
    };
    tokio::select! {
        () = follow => panic!("following never ends"),
        () = swap => {}
        () = tokio::time::sleep(std::time::Duration::from_secs(20)) => panic!("no change was told"),
    }
}
