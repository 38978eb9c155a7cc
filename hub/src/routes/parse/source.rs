//! `[source.NAME]`.
//!
//! In comes the table of one source; out go its settings, every limit filled in. Promised: a listener
//! beyond loopback without TLS is reported unless a reason is given. Refused: unknown adapters.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use crate::finding::{Finding, Reader, Section, Text, codes};
use crate::routes::parse::DeclaredSource;
use crate::routes::spec::{AckMode, Charset, MllpSource, PrincipalRule, Sender, ServerTls};

/// The largest frame that can be configured: 16 MiB (an ORU or MDM with a document inside).
const FRAME_BYTES_MAX: usize = 16 << 20;

pub(super) fn read(name: Text, mut section: Section<'_>) -> Option<DeclaredSource> {
    let adapter = section.required_text("adapter")?;
    if adapter.value != "hl7v2-mllp" {
        let message = format!("there is no source adapter `{}`", adapter.value);
        let finding = Finding::error(codes::BAD_VALUE, section.reader().source(), adapter.span, message);
        section.reader().report(finding.with_help("the adapter is `hl7v2-mllp`"));
        return None;
    }
    let listen_text = section.required_text("listen");
    let listen = listen_text.as_ref().and_then(|text| read_address(section.reader(), text));
    let key = section.text("key");
    let patient = section.text("patient");
    let order = section.texts("order");
    let mllp = read_mllp(&mut section, listen);
    section.finish();
    Some(DeclaredSource { name, mllp: mllp?, listen: listen_text?, key, patient, order })
}

fn read_mllp(section: &mut Section<'_>, listen: Option<SocketAddr>) -> Option<MllpSource> {
    let charset = read_charset(section, "charset").unwrap_or(Charset::Auto);
    let charset_default = read_charset(section, "charset_default").unwrap_or(Charset::Windows1256);
    if charset_default == Charset::Auto {
        section.reader().error(
            codes::BAD_VALUE,
            section.key_span("charset_default"),
            "`charset_default` cannot be `auto`",
        );
    }
    let senders = section.texts("senders").unwrap_or_default();
    let senders = senders.iter().filter_map(|text| read_sender(section.reader(), text)).collect();
    let principals = read_principals(section);
    let processing = read_processing(section);
    let versions = values(section.texts("versions"));
    let types = read_types(section);
    let max_frame = section.bytes("max_frame");
    if let Some(size) = max_frame.as_ref().filter(|size| !(1024..=FRAME_BYTES_MAX).contains(&size.value)) {
        section.reader().error(codes::BAD_VALUE, size.span.clone(), "`max_frame` must be from 1 KiB to 16 MiB");
    }
    let frame_time = section.duration("frame_time");
    let connections = section.integer("connections", 1..=10_000);
    let idle = section.duration("idle");
    let window = section.integer("window", 1..=10_000);
    let ack = section.word("ack", &["auto", "original"]);
    let application_ack = section.boolean("application_ack");
    let duplicate_window = section.duration("duplicate_window");
    let tls = section.section("tls", "`tls`").and_then(read_server_tls);
    let insecure = section.text("insecure").map(|reason| reason.value);
    let unframed = section.boolean("unframed");
    let count = |number: Option<crate::finding::Located<u64>>, standard: usize| {
        number.and_then(|number| usize::try_from(number.value).ok()).unwrap_or(standard)
    };
    let listen = listen?;
    Some(MllpSource {
        listen,
        charset,
        charset_default,
        senders,
        principals,
        processing,
        versions,
        types,
        max_frame: max_frame.map_or(1 << 20, |size| size.value),
        frame_time: frame_time.map_or(Duration::from_secs(30), |time| time.value),
        connections: count(connections, 64),
        idle: idle.map_or(Duration::from_secs(5 * 60), |time| time.value),
        window: count(window, 64),
        ack: if ack.is_some_and(|ack| ack.value == "original") { AckMode::Original } else { AckMode::Auto },
        application_ack: application_ack.is_none_or(|wanted| wanted.value),
        duplicate_window: duplicate_window.map_or(Duration::from_secs(30 * 24 * 3600), |time| time.value),
        tls,
        insecure,
        unframed: unframed.is_some_and(|unframed| unframed.value),
    })
}

fn read_address(reader: &Reader, text: &Text) -> Option<SocketAddr> {
    let address = text.value.parse().ok();
    if address.is_none() {
        let message = format!("`{}` is no address to listen on", text.value);
        let finding = Finding::error(codes::BAD_VALUE, reader.source(), text.span.clone(), message);
        reader.report(finding.with_help("write an IP address and a port: `127.0.0.1:2575`"));
    }
    address
}

fn read_charset(section: &mut Section<'_>, key: &'static str) -> Option<Charset> {
    let word = section.word(key, &["auto", "utf-8", "windows-1256", "iso-8859-6"])?;
    Some(match word.value {
        "utf-8" => Charset::Utf8,
        "windows-1256" => Charset::Windows1256,
        "iso-8859-6" => Charset::Iso8859_6,
        _ => Charset::Auto,
    })
}

fn read_sender(reader: &Reader, text: &Text) -> Option<Sender> {
    let Some((application, facility)) =
        text.value.split_once('|').filter(|(left, right)| !left.is_empty() && !right.is_empty())
    else {
        let message = format!("`{}` is no sender", text.value);
        let finding = Finding::error(codes::BAD_VALUE, reader.source(), text.span.clone(), message);
        reader.report(
            finding.with_help(
                "write MSH-3 and MSH-4 with `|` between them, `*` for any: `HIS|KASR_ALAINY`, `*|KASR_ALAINY`",
            ),
        );
        return None;
    };
    Some(Sender { application: application.trim().to_owned(), facility: facility.trim().to_owned() })
}

/// A table from certificate names to senders: `{ "his.kasralainy.eg" = ["HIS|KASR_ALAINY"] }`.
fn read_principals(section: &mut Section<'_>) -> Vec<PrincipalRule> {
    let Some(table) = section.section("principals", "`principals`") else { return Vec::new() };
    let mut rules = Vec::new();
    for entry in table.entries() {
        let Some(senders) = entry.texts() else {
            entry.wrong("a list of senders");
            continue;
        };
        let senders = senders.iter().filter_map(|text| read_sender(section.reader(), text)).collect();
        rules.push(PrincipalRule { name: entry.key.value.clone(), senders });
    }
    rules
}

fn read_processing(section: &mut Section<'_>) -> Vec<String> {
    let Some(texts) = section.texts("processing") else { return vec!["P".to_owned()] };
    for text in &texts {
        if !["P", "T", "D", "N", "V"].contains(&text.value.as_str()) {
            let message = format!("`{}` is no processing id", text.value);
            let finding = Finding::error(codes::BAD_VALUE, section.reader().source(), text.span.clone(), message);
            section.reader().report(finding.with_help("MSH-11 is `P` (production), `T` (training) or `D` (debugging)"));
        }
    }
    values(Some(texts))
}

fn read_types(section: &mut Section<'_>) -> Vec<String> {
    let texts = section.texts("types").unwrap_or_default();
    for text in &texts {
        let is_type = text.value.split_once('^').is_some_and(|(code, trigger)| code.len() == 3 && !trigger.is_empty());
        if !is_type {
            let message = format!("`{}` is no message type", text.value);
            let finding = Finding::error(codes::BAD_VALUE, section.reader().source(), text.span.clone(), message);
            section
                .reader()
                .report(finding.with_help("write MSH-9.1 and MSH-9.2 with `^` between them: `RDE^O11`, `ADT^*`"));
        }
    }
    values(Some(texts))
}

fn read_server_tls(mut section: Section<'_>) -> Option<ServerTls> {
    let certificate = section.required_text("certificate");
    let key = section.required_text("key");
    let client_ca = section.text("client_ca").map(|path| PathBuf::from(path.value));
    section.finish();
    Some(ServerTls { certificate: certificate?.value.into(), key: key?.value.into(), client_ca })
}

fn values(texts: Option<Vec<Text>>) -> Vec<String> {
    texts.unwrap_or_default().into_iter().map(|text| text.value).collect()
}
