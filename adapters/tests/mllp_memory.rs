//! What a silent connection costs. A process of its own, so that nothing else is measured.
#![allow(clippy::expect_used, reason = "a test fails by panicking")]

mod support;

use std::net::TcpStream;

use support::{Running, limits, until};

const BYTES_PER_CONNECTION_MAX: usize = 12 * 1024;

/// Both ends of every connection are in this process.
const CONNECTIONS_MAX: usize = 4_000;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_silent_connection_costs_less_than_twelve_kibibytes() {
    let hub = Running::start(adapters::limits::ListenLimits { accepts_per_second_max: 100_000, ..limits() }).await;
    let count = CONNECTIONS_MAX.min((open_files_max() - 200) / 2);
    let mut clients: Vec<TcpStream> = Vec::with_capacity(count);
    let mut connect = |up_to: usize| {
        while clients.len() < up_to {
            clients.push(TcpStream::connect(hub.address).expect("connects"));
        }
    };
    connect(100);
    until(|| hub.open_connections() == 100).await;
    let before = resident_bytes();
    connect(count);
    until(|| hub.open_connections() == u64::try_from(count).expect("small")).await;
    let each = resident_bytes().saturating_sub(before) / (count - 100);
    println!("{each} bytes for each of {count} silent connections");
    assert!(each < BYTES_PER_CONNECTION_MAX, "{each} bytes for each of {count} connections");
    assert_eq!(hub.client().await.ask("MSH|1").await.as_deref(), Some("AA MSH|1"));
    hub.stop().await.expect("drained");
}

fn resident_bytes() -> usize {
    let statm = std::fs::read_to_string("/proc/self/statm").expect("statm");
    let pages: usize = statm.split(' ').nth(1).and_then(|pages| pages.parse().ok()).expect("pages");
    pages * 4096
}

fn open_files_max() -> usize {
    let limits = std::fs::read_to_string("/proc/self/limits").expect("limits");
    let line = limits.lines().find(|line| line.starts_with("Max open files")).expect("the limit");
    line.split_whitespace().nth(3).and_then(|soft| soft.parse().ok()).expect("a number")
}
