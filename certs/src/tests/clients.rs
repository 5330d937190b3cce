//! Which clients are served: by authority, by name, after a change of authorities.

use std::sync::Arc;

use rustls::ServerConfig;

use super::*;
use crate::clients::{Authorities, AuthoritiesError, Clients};

const CLIENT: &str = "kube-apiserver";

/// A client that shows this certificate, or none.
fn client_with(bundle: &str, pair: Option<&Pair>) -> Arc<ClientConfig> {
    let mut roots = RootCertStore::empty();
    for certificate in CertificateDer::pem_slice_iter(bundle.as_bytes()) {
        roots.add(certificate.unwrap()).unwrap();
    }
    let builder = ClientConfig::builder_with_provider(crate::provider())
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots);
    let Some(pair) = pair else { return Arc::new(builder.with_no_client_auth()) };
    let chain = CertificateDer::pem_slice_iter(pair.certificate.as_bytes()).map(Result::unwrap).collect();
    let key = rustls_pki_types::PrivateKeyDer::from_pem_slice(pair.key.as_bytes()).unwrap();
    Arc::new(builder.with_client_auth_cert(chain, key).unwrap())
}

/// A webhook that serves the clients of an authority, and tells whether a certificate is served.
struct Webhook {
    clients: Arc<Clients>,
    server: Arc<ServerConfig>,
    bundle: String,
}

impl Webhook {
    fn of(client_ca: &str, name: Option<&str>) -> Self {
        let own = authority();
        let resolver = Arc::new(Resolver::with(serving(&leaf(&own))));
        let authorities = Authorities::from_pem(client_ca.as_bytes()).unwrap();
        let clients = Arc::new(Clients::new(authorities, name.map(str::to_owned)).unwrap());
        let server = server_of(&resolver, Arc::clone(&clients) as _);
        Self { clients, server, bundle: own.certificate }
    }

    fn serves(&self, pair: Option<&Pair>) -> Result<(), rustls::Error> {
        handshake(&client_with(&self.bundle, pair), &self.server, NAME)
    }
}

fn client_of(authority: &Pair, name: &str) -> Pair {
    issue::client(authority, name, this_day()).unwrap()
}

#[test]
fn threat_58_a_client_is_served_by_its_authority_and_its_name() {
    let (ca, other) = (authority(), authority());
    let webhook = Webhook::of(&ca.certificate, Some(CLIENT));
    assert_eq!(webhook.clients.expiry(), None);
    webhook.serves(Some(&client_of(&ca, CLIENT))).unwrap();
    assert_eq!(webhook.clients.expiry(), Some(this_day().not_after.as_second()));
    let refused = [
        ("no certificate", None),
        ("another authority", Some(client_of(&other, CLIENT))),
        ("another name of the same authority, as every kubelet has", Some(client_of(&ca, "system:node:a"))),
        ("a name that begins alike", Some(client_of(&ca, "kube-apiserver-etcd-client"))),
        ("a serving certificate of that name", {
            let names = Names { dns: vec![CLIENT.into()], ips: Vec::new() };
            Some(issue::leaf(&ca, &names, this_day()).unwrap())
        }),
        ("one that has expired", {
            let old = Validity::lasting(now() - SignedDuration::from_hours(50), SignedDuration::from_hours(1));
            Some(issue::client(&ca, CLIENT, old).unwrap())
        }),
    ];
    for (case, pair) in refused {
        assert!(webhook.serves(pair.as_ref()).is_err(), "{case}");
    }
    // Where no name is asked for, any client of the authority is served.
    Webhook::of(&ca.certificate, None).serves(Some(&client_of(&ca, "system:node:a"))).unwrap();
}

#[test]
fn threat_58_a_name_may_be_a_dns_name() {
    let ca = authority();
    let key = rcgen::KeyPair::from_pem(&ca.key).unwrap();
    let issuer = rcgen::Issuer::from_ca_cert_pem(&ca.certificate, key).unwrap();
    let mut params = rcgen::CertificateParams::new(vec!["api.example".to_owned()]).unwrap();
    params.extended_key_usages = vec![rcgen::ExtendedKeyUsagePurpose::ClientAuth];
    let key = rcgen::KeyPair::generate().unwrap();
    let pair = Pair { certificate: params.signed_by(&key, &issuer).unwrap().pem(), key: key.serialize_pem() };
    Webhook::of(&ca.certificate, Some("api.example")).serves(Some(&pair)).unwrap();
    assert!(Webhook::of(&ca.certificate, Some("example")).serves(Some(&pair)).is_err());
}

#[test]
fn two_authorities_are_accepted_side_by_side_and_one_can_be_taken_out() {
    let (old, new) = (authority(), authority());
    let webhook = Webhook::of(&old.certificate, Some(CLIENT));
    let (by_old, by_new) = (client_of(&old, CLIENT), client_of(&new, CLIENT));
    assert!(webhook.serves(Some(&by_new)).is_err());
    let read = |pem: String| Authorities::from_pem(pem.as_bytes()).unwrap();
    let both = read(format!("{}{}", old.certificate, new.certificate));
    assert!(webhook.clients.swap(both.clone()).unwrap());
    assert!(!webhook.clients.swap(both).unwrap(), "the same is no change");
    webhook.serves(Some(&by_old)).unwrap();
    webhook.serves(Some(&by_new)).unwrap();
    assert!(webhook.clients.swap(read(new.certificate)).unwrap());
    assert!(webhook.serves(Some(&by_old)).is_err());
    webhook.serves(Some(&by_new)).unwrap();
}

#[tokio::test]
async fn a_file_of_authorities_is_followed_and_a_broken_one_changes_nothing() {
    let (old, new) = (authority(), authority());
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("ca.crt");
    let webhook = Webhook::of(&old.certificate, None);
    let (by_old, by_new) = (client_of(&old, CLIENT), client_of(&new, CLIENT));
    // What is in the file at each look, and whose client is served after it.
    let steps = [(old.certificate.clone(), &by_old), (new.key.clone(), &by_old), (new.certificate.clone(), &by_new)];
    let mut at = 0;
    std::fs::write(&file, &steps[0].0).unwrap();
    let (done, wait) = tokio::sync::oneshot::channel();
    let mut done = Some(done);
    let follow = webhook.clients.follow(file.clone(), std::time::Duration::from_millis(5), |_| {
        let Some((_, served)) = steps.get(at) else { return };
        webhook.serves(Some(served)).unwrap();
        at += 1;
        match steps.get(at) {
            Some((next, _)) => std::fs::write(&file, next).unwrap(),
            None => done.take().unwrap().send(()).unwrap(),
        }
    });
    tokio::select! {
        () = follow => panic!("it ended"),
        told = wait => told.unwrap(),
    }
    assert!(webhook.serves(Some(&by_old)).is_err());
}

#[test]
fn a_self_signed_client_certificate_is_its_own_authority() {
    let made = rcgen::generate_simple_self_signed(vec![CLIENT.to_owned()]).unwrap();
    let pair = Pair { certificate: made.cert.pem(), key: made.signing_key.serialize_pem() };
    Webhook::of(&pair.certificate, Some(CLIENT)).serves(Some(&pair)).unwrap();
}

#[test]
fn what_is_no_authority_is_told() {
    let ca = authority();
    let client = client_of(&ca, CLIENT);
    let told = |pem: &str| Authorities::from_pem(pem.as_bytes()).unwrap_err();
    assert!(matches!(told(""), AuthoritiesError::Empty));
    assert!(matches!(told("garbage"), AuthoritiesError::Empty));
    assert!(matches!(told(&client.key), AuthoritiesError::Key));
    assert!(matches!(told(&format!("{}{}", ca.certificate, client.key)), AuthoritiesError::Key));
    let error = told(&client.certificate).to_string();
    assert!(error.contains("certificate 1 (CN=kube-apiserver) is no authority"), "{error}");
    let broken = ca.certificate.replacen("MI", "AA", 1);
    assert!(matches!(told(&broken), AuthoritiesError::Certificate { number: 1, .. }), "{}", told(&broken));
    assert!(matches!(told("-----BEGIN CERTIFICATE-----\n&\n-----END CERTIFICATE-----\n"), AuthoritiesError::Pem(_)));
    let missing = Authorities::read(Path::new("/nowhere/ca.crt")).unwrap_err();
    assert!(missing.to_string().contains("No such file"), "{missing}");
}
