//! The MLLP listener behind TLS: who gets in, under which name, and that nobody else is heard.
#![allow(clippy::expect_used, reason = "a test fails by panicking")]

mod support;

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use adapters::hl7v2::mllp::encode;
use adapters::limits::ListenLimits;
use adapters::tls::{self, ClientFiles, IdentityFiles, ServerFiles};
use rcgen::DnType;
use support::authority::{Authority, Validity, connect, params, uri};
use support::{Client, Running, limits, never, soon, until};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

/// Shows `identity` to a listener of `authority`, sends a message, and tells the principal it was taken
/// under, if it was.
async fn attempt(authority: &Authority, identity: Option<IdentityFiles>) -> Option<String> {
    let hub = Running::start_with_tls(limits(), authority.mutual()).await;
    let client = authority.trusting(identity);
    // In TLS 1.3 a client learns only when it reads that its certificate was refused.
    if let Ok(mut stream) = soon(connect(&client, hub.address)).await {
        let _ = stream.write_all(&encode(b"MSH|1")).await;
        let _ = stream.flush().await;
        let mut answer = Vec::new();
        let _ = soon(stream.read_buf(&mut answer)).await;
    }
    until(|| hub.counters.handshakes_failed.load(Ordering::Relaxed) == 1 || !hub.intake.bodies().is_empty()).await;
    let received = hub.intake.received.lock().expect("lock").first().map(|arrival| arrival.principal.0.to_string());
    assert_eq!(hub.intake.begun_count(), usize::from(received.is_some()));
    hub.stop().await.expect("drained");
    received
}

#[tokio::test]
async fn a_client_of_the_authority_is_taken_under_its_dns_name() {
    let authority = Authority::new();
    let identity = authority.client("his.kasr-al-ainy.example", Validity::Now);
    assert_eq!(attempt(&authority, Some(identity)).await.as_deref(), Some("his.kasr-al-ainy.example"));
}

#[tokio::test]
async fn the_first_dns_name_goes_before_a_uri_and_a_uri_before_the_common_name() {
    let authority = Authority::new();
    let named = |sans: Vec<rcgen::SanType>| {
        let mut params = params(&[], "the common name", Validity::Now);
        params.subject_alt_names = sans;
        authority.signed("named", &params)
    };
    let dns = |text: &str| rcgen::SanType::DnsName(text.try_into().expect("ascii"));
    let first = named(vec![uri("urn:oid:2.16.1"), dns("one.example"), dns("two.example")]);
    assert_eq!(attempt(&authority, Some(first)).await.as_deref(), Some("one.example"));
    let second = named(vec![uri("urn:oid:2.16.1")]);
    assert_eq!(attempt(&authority, Some(second)).await.as_deref(), Some("urn:oid:2.16.1"));
    let third = named(vec![]);
    assert_eq!(attempt(&authority, Some(third)).await.as_deref(), Some("the common name"));
}

#[tokio::test]
async fn a_certificate_without_a_name_that_can_be_printed_is_refused() {
    let authority = Authority::new();
    let mut unnamed = params(&[], "x", Validity::Now);
    unnamed.distinguished_name = rcgen::DistinguishedName::new();
    unnamed.distinguished_name.push(DnType::CommonName, "two\nlines");
    assert_eq!(attempt(&authority, Some(authority.signed("unnamed", &unnamed))).await, None);
}

#[tokio::test]
async fn nobody_else_is_heard() {
    let authority = Authority::new();
    let other = Authority::new();
    let cases = [
        ("no certificate", None),
        ("another authority", Some(other.client("his.example", Validity::Now))),
        ("expired", Some(authority.client("expired.example", Validity::Expired))),
        ("not yet valid", Some(authority.client("early.example", Validity::NotYet))),
        ("self-signed", Some(authority.self_signed("his.example"))),
    ];
    for (case, identity) in cases {
        assert_eq!(attempt(&authority, identity).await, None, "{case}");
    }
}

#[tokio::test]
async fn a_server_certificate_alone_is_refused_when_it_is_for_servers_only() {
    let authority = Authority::new();
    let mut server_only = params(&["pharmacy.example"], "x", Validity::Now);
    server_only.extended_key_usages = vec![rcgen::ExtendedKeyUsagePurpose::ServerAuth];
    assert_eq!(attempt(&authority, Some(authority.signed("server-only", &server_only))).await, None);
}

#[tokio::test]
async fn a_listener_that_asks_for_no_certificate_uses_its_own_name() {
    let authority = Authority::new();
    let files = ServerFiles { identity: authority.server(), client_ca: None };
    let server = Arc::new(tls::Server::load(files).expect("loads"));
    let hub = Running::start_with_tls(limits(), server).await;
    let stream = soon(connect(&authority.trusting(None), hub.address)).await.expect("shaken");
    assert_eq!(Client::new(stream).ask("MSH|1").await.as_deref(), Some("AA MSH|1"));
    assert_eq!(hub.intake.received.lock().expect("lock")[0].principal.0.as_ref(), "kasr-al-ainy");
    hub.stop().await.expect("drained");
}

#[tokio::test]
async fn old_versions_of_tls_are_refused() {
    for version in [[3, 1], [3, 2]] {
        let hub = Running::start_with_tls(limits(), Authority::new().mutual()).await;
        let mut client = hub.client().await;
        client.write(&client_hello(version)).await;
        let mut answer = Vec::new();
        soon(client.stream.read_to_end(&mut answer)).await.expect("closed");
        assert_eq!(answer.first(), Some(&21), "an alert");
        assert_eq!(answer.last(), Some(&70), "protocol version");
        assert_eq!(hub.counters.handshakes_failed.load(Ordering::Relaxed), 1);
        hub.stop().await.expect("drained");
    }
}

/// The greeting of a client that speaks `version` and nothing newer.
fn client_hello(version: [u8; 2]) -> Vec<u8> {
    let mut body = version.to_vec();
    body.extend([7; 32]);
    let (suites, compressions) = ([0, 2, 0xC0, 0x13], [1, 0]);
    let extensions = [0, 8, 0, 13, 0, 4, 0, 2, 4, 3]; // one: a signature algorithm
    body.push(0); // no session
    body.extend(suites.iter().chain(&compressions).chain(&extensions));
    let length = u8::try_from(body.len()).expect("short");
    let handshake = [&[1, 0, 0, length], body.as_slice()].concat();
    [&[22, 3, 1, 0, length + 4], handshake.as_slice()].concat()
}

#[tokio::test]
async fn plain_bytes_on_a_tls_port_are_not_read() {
    let hub = Running::start_with_tls(limits(), Authority::new().mutual()).await;
    let mut client = hub.client().await;
    client.send("MSH|plain").await;
    until(|| hub.counters.handshakes_failed.load(Ordering::Relaxed) == 1).await;
    assert_eq!((hub.intake.begun_count(), hub.intake.breaches().len()), (0, 0));
    assert_eq!(hub.counters.junk_bytes.load(Ordering::Relaxed), 0);
    hub.stop().await.expect("drained");
}

#[tokio::test]
async fn a_slow_handshake_is_given_up_and_holds_up_nobody() {
    let authority = Authority::new();
    let handshake_deadline = Duration::from_millis(200);
    let hub = Running::start_with_tls(ListenLimits { handshake_deadline, ..limits() }, authority.mutual()).await;
    let mut slow = hub.client().await;
    let client = authority.trusting(Some(authority.client("his.example", Validity::Now)));
    let stream = soon(connect(&client, hub.address)).await.expect("shaken");
    let mut good = Client::new(stream);
    assert_eq!(good.ask("MSH|1").await.as_deref(), Some("AA MSH|1"));
    assert_eq!(slow.answer().await, None);
    assert_eq!(hub.counters.handshakes_failed.load(Ordering::Relaxed), 1);
    hub.stop().await.expect("drained");
}

#[tokio::test]
async fn draining_does_not_wait_for_handshakes() {
    let hub = Running::start_with_tls(limits(), Authority::new().mutual()).await;
    let _silent = hub.client().await;
    until(|| hub.open_connections() == 1).await;
    tokio::time::timeout(Duration::from_secs(2), hub.stop()).await.expect("at once").expect("drained");
}

#[tokio::test]
async fn a_connection_over_the_limit_is_refused_inside_tls() {
    let authority = Authority::new();
    let hub = Running::start_with_tls(ListenLimits { connections_max: 0, ..limits() }, authority.mutual()).await;
    let client = authority.trusting(Some(authority.client("his.example", Validity::Now)));
    let stream = soon(connect(&client, hub.address)).await.expect("shaken");
    let mut refused = Client::new(stream);
    assert_eq!(refused.answer().await.as_deref(), Some("AR too many"));
    assert_eq!(refused.answer().await, None);
    assert_eq!(hub.intake.refused.lock().expect("lock")[0].arrival.principal.0.as_ref(), "his.example");
    hub.stop().await.expect("drained");
}

#[tokio::test]
async fn certificates_are_changed_without_a_restart() {
    let old = Authority::new();
    let server = old.mutual();
    let hub = Running::start_with_tls(limits(), Arc::clone(&server)).await;
    let old_client = old.trusting(Some(old.client("old.example", Validity::Now)));
    let standing = soon(connect(&old_client, hub.address)).await.expect("shaken");
    let mut standing = Client::new(standing);
    assert!(standing.ask("MSH|1").await.is_some());

    let new = Authority::new();
    let pair = new.server();
    for (from, to) in [(new.ca(), "ca.pem"), (pair.certificate, "server.pem"), (pair.key, "server.key")] {
        std::fs::copy(from, old.file(to)).expect("copied");
    }
    server.reload().expect("reloads");

    assert!(standing.ask("MSH|2").await.is_some(), "a standing connection is kept");
    let new_client = new.trusting(Some(new.client("new.example", Validity::Now)));
    let fresh = soon(connect(&new_client, hub.address)).await.expect("shaken");
    assert!(Client::new(fresh).ask("MSH|3").await.is_some());
    assert!(soon(connect(&old_client, hub.address)).await.is_err(), "the old authority is gone");
    hub.stop().await.expect("drained");
}

#[tokio::test]
async fn a_reload_that_fails_changes_nothing() {
    let authority = Authority::new();
    let server = authority.mutual();
    let hub = Running::start_with_tls(limits(), Arc::clone(&server)).await;
    std::fs::write(authority.file("server.pem"), "no certificate").expect("written");
    server.reload().expect_err("broken file");
    let client = authority.trusting(Some(authority.client("his.example", Validity::Now)));
    let stream = soon(connect(&client, hub.address)).await.expect("shaken");
    assert!(Client::new(stream).ask("MSH|1").await.is_some());
    hub.stop().await.expect("drained");
}

#[test]
fn a_file_that_cannot_be_used_is_named() {
    let authority = Authority::new();
    let good = authority.server();
    let other_key = authority.client("other.example", Validity::Now).key;
    let garbage = authority.file("garbage.pem");
    std::fs::write(&garbage, "-----BEGIN CERTIFICATE-----\n%%%\n-----END CERTIFICATE-----\n").expect("written");
    let empty = authority.file("empty.pem");
    std::fs::write(&empty, "").expect("written");
    let absent = authority.file("absent.pem");
    let load = |certificate: &std::path::Path, key: &std::path::Path, client_ca: Option<&std::path::Path>| {
        let identity = IdentityFiles { certificate: certificate.to_owned(), key: key.to_owned() };
        tls::Server::load(ServerFiles { identity, client_ca: client_ca.map(Into::into) })
            .expect_err("refused")
            .to_string()
    };
    let cases = [
        (load(&absent, &good.key, None), "absent.pem", "cannot read"),
        (load(&empty, &good.key, None), "empty.pem", "holds no certificate"),
        (load(&garbage, &good.key, None), "garbage.pem", "not a PEM file"),
        (load(&good.certificate, &good.certificate, None), "server.pem", "holds no private key"),
        (load(&good.certificate, &other_key, None), "other.example.key", "does not belong"),
        (load(&good.certificate, &good.key, Some(&empty)), "empty.pem", "holds no certificate"),
    ];
    for (error, file, reason) in cases {
        assert!(error.contains(file) && error.contains(reason), "{error}");
        assert!(!error.contains("PRIVATE"), "{error}");
    }
    let files = ClientFiles { ca: Some(absent), identity: None };
    assert!(tls::Client::load(files).expect_err("refused").to_string().contains("absent.pem"));
}

#[test]
fn the_day_a_certificate_expires_is_known() {
    let authority = Authority::new();
    let expired = authority.client("his.example", Validity::Expired);
    let server = tls::Server::load(ServerFiles { identity: expired, client_ca: None }).expect("loads");
    assert_eq!(server.expires_at().expect("a day").to_rfc3339(), "2020-01-01T00:00:00.000000Z");
    assert_eq!(authority.trusting(None).expires_at(), None);
}

#[tokio::test]
async fn a_client_that_breaks_off_inside_tls_has_cut_its_frame() {
    let authority = Authority::new();
    let hub = Running::start_with_tls(limits(), authority.mutual()).await;
    let client = authority.trusting(Some(authority.client("his.example", Validity::Now)));
    let mut stream = soon(connect(&client, hub.address)).await.expect("shaken");
    stream.write_all(b"\x0bMSH|cut\r").await.expect("written");
    stream.flush().await.expect("flushed");
    let (plain, _) = stream.into_inner();
    drop(plain);
    until(|| hub.intake.breaches().len() == 1).await;
    never(Duration::from_millis(50), || hub.intake.begun_count() > 0).await;
    hub.stop().await.expect("drained");
}
