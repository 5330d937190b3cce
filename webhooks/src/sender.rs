//! Who sends a review, in steps: the client's address, its connection, and who the review says is asking.
//!
//! Only the first two are seen by the server. The rest is what the sender writes: the truth if it is the API server,
//! anything if it is not. So it only ever divides the share of one connection.

use std::hash::{BuildHasher, RandomState};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::LazyLock;

use actix_web::HttpRequest;

/// The other end of a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
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
        Self { address: peer.ip(), port: peer.port() }
    }

    /// A review of what this account does. Accounts of one namespace share its turns.
    pub(crate) fn review(self, account: &str) -> Path {
        let namespace = account.strip_prefix("system:serviceaccount:").and_then(|rest| rest.split(':').next());
        self.path(namespace.unwrap_or_default(), account)
    }

    /// Something that this account does in this namespace. Accounts of one namespace share its turns.
    pub(crate) fn path(self, namespace: &str, account: &str) -> Path {
        let Self { address, port } = self;
        [NUMBERS.hash_one(address), NUMBERS.hash_one(port), NUMBERS.hash_one(namespace), NUMBERS.hash_one(account)]
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
}
