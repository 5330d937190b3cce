//! Who sends a review, in steps: the client's address ([`network`]), its connection, and who the review says is asking.
//!
//! Only the first two are seen by the server. The rest is what the sender writes: the truth if it is the API server,
//! anything if it is not. So it only ever divides the share of one connection.

use std::hash::{BuildHasher, RandomState};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::LazyLock;

use actix_web::HttpRequest;

/// The other end of a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Sender {
    pub(crate) address: IpAddr,
    pub(crate) port: u16,
}

/// Whose turn work waits for ([`crate::turns`]): address, connection, namespace and account, each as a number, since texts
/// that anybody sends are as long as they like.
pub(crate) type Path = [u64; 4];

/// Nobody outside can choose texts that get the same number.
static NUMBERS: LazyLock<RandomState> = LazyLock::new(RandomState::new);

impl Sender {
    pub(crate) fn of(http: &HttpRequest) -> Self {
        Self::at(http.peer_addr().unwrap_or((Ipv4Addr::UNSPECIFIED, 0).into()))
    }

    pub(crate) fn at(peer: SocketAddr) -> Self {
        Self { address: peer.ip().to_canonical(), port: peer.port() }
    }

    /// Whose share this sender has a part of.
    pub(crate) fn network(self) -> IpAddr {
        network(self.address)
    }

    /// A review of what this account does. Accounts of one namespace share its turns.
    pub(crate) fn review(self, account: &str) -> Path {
        let namespace = account.strip_prefix("system:serviceaccount:").and_then(|rest| rest.split(':').next());
        self.path(namespace.unwrap_or_default(), account)
    }

    /// Something that this account does in this namespace. Accounts of one namespace share its turns.
    pub(crate) fn path(self, namespace: &str, account: &str) -> Path {
        let (network, hash) = (self.network(), &*NUMBERS);
        [hash.hash_one(network), hash.hash_one(self), hash.hash_one(namespace), hash.hash_one(account)]
    }
}

/// What one machine may have all addresses of, and so counts as one address: an IPv6 address's /64.
pub(crate) fn network(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(address) => {
            let [a, b, c, d, ..] = address.segments();
            Ipv6Addr::new(a, b, c, d, 0, 0, 0, 0).into()
        }
        address @ IpAddr::V4(_) => address,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn accounts_of_one_namespace_share_its_turns_and_no_account_reaches_those_of_another_connection() {
        let at = |port| Sender { address: Ipv4Addr::LOCALHOST.into(), port };
        let [one, two, three] = ["system:serviceaccount:trading:eod", "system:serviceaccount:trading:x", "admin"]
            .map(|account| at(1).review(account));
        assert_eq!(
            (one[..3] == two[..3], one[3] == two[3], one[..2] == three[..2], one[2] == three[2]),
            (true, false, true, false)
        );
        let elsewhere = at(2).review("system:serviceaccount:trading:eod");
        assert_eq!((one[0] == elsewhere[0], one[1] == elsewhere[1]), (true, false));
    }

    #[test]
    fn threat_59_the_addresses_of_one_ipv6_network_are_one_address_with_several_connections() {
        let [one, two, other, v4, mapped] =
            ["[fd00::1]:1", "[fd00::2]:1", "[fd00:0:0:1::1]:1", "10.0.0.1:1", "[::ffff:10.0.0.1]:1"]
                .map(|peer| Sender::at(peer.parse().unwrap_or_else(|_| SocketAddr::from(([0, 0, 0, 0], 0)))));
        assert_eq!(
            (one.network() == two.network(), one.network() == other.network(), v4 == mapped),
            (true, false, true)
        );
        let [one, two, other] = [one, two, other].map(|sender| sender.review("admin"));
        assert_eq!((one[0] == two[0], one[1] == two[1], one[0] == other[0]), (true, false, false));
    }
}
