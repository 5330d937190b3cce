use std::future::poll_fn;
use std::net::Ipv4Addr;

use futures::poll;
use tokio::io::AsyncReadExt;
use tokio::task::LocalSet;

use super::*;

const SENDER: Sender = Sender { address: std::net::IpAddr::V4(Ipv4Addr::LOCALHOST), port: 1 };

/// PING frames, after what a client sends first.
fn pings(count: usize) -> Vec<u8> {
    let mut bytes = vec![b'x'; 24];
    bytes.extend(b"\0\0\x08\x06\0\0\0\0\0pingping".repeat(count));
    bytes
}

#[tokio::test]
async fn threat_59_who_sends_nothing_but_frames_is_read_no_further_than_its_allowance() {
    let work = async {
        let (bytes, pace, allowance) = (pings(100_000), Pace::new(SENDER), Allowance::new());
        let mut measured = Measured::http2(&bytes[..], Rc::clone(&pace), Rc::clone(&allowance));
        let (mut read, mut turns) = (0, 0);
        // Whenever others have their turn, it goes on at once.
        while allowance.any(Instant::now()) {
            match measured.read(&mut [0; 1_700]).now_or_never() {
                Some(more) => read += more.unwrap(),
                None => {
                    turns += 1;
                    poll_fn(|cx| pace.poll_turn(cx)).await;
                }
            }
        }
        let frames = read / 17;
        assert!((1_000..1_200).contains(&frames), "{frames} frames");
        assert!(turns >= frames / 400, "others had {turns} turns in {frames} frames");
        assert!(measured.read(&mut [0; 1_700]).now_or_never().is_none());
        allowance.answered(1 << 20);
        assert!(allowance.any(Instant::now()), "an answer adds to it");
        poll_fn(|cx| pace.poll_turn(cx)).await;
        assert!(measured.read(&mut [0; 1_700]).now_or_never().is_some());
    };
    LocalSet::new().run_until(work).await;
}

#[tokio::test]
async fn threat_59_as_soon_as_another_connection_waits_a_turn_is_short() {
    let work = async {
        let bytes = pings(100_000);
        let read_in_a_turn = async |waits: Option<u16>| {
            let (pace, allowance) = (Pace::new(SENDER), Allowance::new());
            let mut measured = Measured::http2(&bytes[..], Rc::clone(&pace), allowance);
            poll_fn(|cx| pace.poll_turn(cx)).await;
            let _waits = waits.map(|port| serving::wait(Sender { port, ..SENDER }.path("", "")));
            let mut read = 0;
            while let Some(more) = measured.read(&mut [0; 1_700]).now_or_never() {
                read += more.unwrap();
            }
            read / 17
        };
        let (alone, own, other) =
            (read_in_a_turn(None).await, read_in_a_turn(Some(SENDER.port)).await, read_in_a_turn(Some(2)).await);
        assert!((40..60).contains(&other), "{other} frames");
        assert!((240..360).contains(&alone) && alone == own, "{alone} and {own} frames");
    };
    LocalSet::new().run_until(work).await;
}

#[tokio::test]
async fn what_comes_after_a_pause_waits_for_a_turn_of_its_own() {
    let work = async {
        let pace = Pace::new(SENDER);
        let (mut client, server) = tokio::io::duplex(1 << 10);
        let mut measured = Measured::http2(server, Rc::clone(&pace), Allowance::new());
        poll_fn(|cx| pace.poll_turn(cx)).await;
        assert!(pace.reads());
        assert!(poll!(Box::pin(measured.read(&mut [0; 100]))).is_pending());
        assert!(!pace.reads());
        tokio::io::AsyncWriteExt::write_all(&mut client, &pings(1)).await.unwrap();
        assert!(measured.read(&mut [0; 100]).now_or_never().is_none(), "it is not its turn");
        poll_fn(|cx| pace.poll_turn(cx)).await;
        assert_eq!(measured.read(&mut [0; 100]).now_or_never().unwrap().unwrap(), 24 + 9, "to the next header");
    };
    LocalSet::new().run_until(work).await;
}

#[tokio::test]
async fn threat_58_a_head_over_http1_that_does_not_end_is_read_no_further_than_a_bound() {
    let work = async {
        let bytes = vec![b'a'; 10 * HEAD];
        let mut measured = Measured::http1(&bytes[..], SENDER);
        let mut read = 0;
        let ended = loop {
            match measured.read(&mut [0; 4_096]).await {
                Ok(more) => read += more,
                Err(error) => break error,
            }
        };
        assert_eq!((ended.kind(), read), (io::ErrorKind::InvalidData, HEAD));
    };
    LocalSet::new().run_until(work).await;
}

#[tokio::test]
async fn threat_59_what_may_be_requests_costs_more_over_http1_than_a_body_and_a_stray_ends_it() {
    let work = async {
        let bytes = vec![b'a'; 10 * HEAD];
        let mut measured = Measured::http1(&bytes[..], SENDER);
        let next = measured.next().unwrap();
        let mut buf = [0; 10_000];
        assert_eq!(measured.read(&mut buf).await.unwrap(), HEAD_PIECE);
        assert!(measured.read(&mut buf).now_or_never().is_none(), "that was a turn");
        next.body(10_100);
        assert_eq!(measured.read(&mut buf).await.unwrap(), PIECE);
        assert_eq!(measured.read(&mut buf).now_or_never().unwrap().unwrap(), 10_100 - PIECE, "in the same turn");
        assert_eq!(measured.read(&mut buf).await.unwrap(), HEAD_PIECE, "after the body");
        next.nothing();
        next.head();
        assert_eq!(measured.read(&mut buf).await.unwrap(), 0);
    };
    LocalSet::new().run_until(work).await;
}
