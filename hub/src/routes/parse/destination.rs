//! `[destination.NAME]`.
//!
//! In comes the table of one destination; out go its settings, every limit filled in. Promised: every
//! wait has an end. Refused: unknown adapters, and secrets that are written out.

use std::path::PathBuf;
use std::time::Duration;

use indexmap::IndexMap;

use super::{read_limit, read_order, read_retry};
use crate::finding::{Entry, Finding, Section, Text, codes, did_you_mean, one_of};
use crate::routes::spec::{
    ClientTls, Delivery, DestinationAdapter, DestinationSpec, FileDestination, HeaderValue, HttpDestination,
    MllpDestination, Retry,
};

const ADAPTERS: [&str; 3] = ["file", "http", "hl7v2-mllp"];

/// Headers that carry secrets, in small letters.
const SECRET_HEADERS: [&str; 4] = ["authorization", "proxy-authorization", "x-api-key", "cookie"];

pub(super) fn read(name: &Text, mut section: Section<'_>) -> Option<DestinationSpec> {
    let (line, _) = section.reader().source().line_and_column(name.span.start);
    let adapter_name = section.required_text("adapter")?;
    let adapter = match adapter_name.value.as_str() {
        "file" => read_file(&mut section).map(DestinationAdapter::File),
        "http" => read_http(&mut section).map(DestinationAdapter::Http),
        "hl7v2-mllp" => read_mllp(&mut section).map(DestinationAdapter::Mllp),
        unknown => {
            let message = format!("there is no destination adapter `{unknown}`");
            let help = did_you_mean(unknown, ADAPTERS).unwrap_or_else(|| format!("adapters are {}", one_of(ADAPTERS)));
            let finding = Finding::error(codes::BAD_VALUE, section.reader().source(), adapter_name.span, message);
            section.reader().report(finding.with_help(help));
            return None;
        }
    };
    let delivery = read_delivery(&mut section);
    section.finish();
    Some(DestinationSpec { name: name.value.clone(), adapter: adapter?, delivery, line })
}

fn read_delivery(section: &mut Section<'_>) -> Delivery {
    let limit = section.section("limit", "`limit`").and_then(read_limit);
    let retry = section.section("retry", "`retry`").map_or_else(Retry::default, read_retry);
    let parallel = section.integer("parallel", 1..=1_000);
    let order = read_order(section);
    let parallel = parallel.and_then(|number| usize::try_from(number.value).ok()).unwrap_or(8);
    Delivery { limit, retry, parallel, order }
}

fn read_file(section: &mut Section<'_>) -> Option<FileDestination> {
    let folder = section.required_text("folder");
    let extension = section.text("extension");
    if let Some(text) = extension.as_ref().filter(|text| !text.value.chars().all(char::is_alphanumeric)) {
        section.reader().error(
            codes::BAD_VALUE,
            text.span.clone(),
            "`extension` must be letters and digits, without a dot",
        );
    }
    let extension = extension.map_or_else(|| "json".to_owned(), |text| text.value);
    Some(FileDestination { folder: PathBuf::from(folder?.value), extension })
}

fn read_http(section: &mut Section<'_>) -> Option<HttpDestination> {
    let url = section.required_text("url");
    if let Some(text) =
        url.as_ref().filter(|text| !text.value.starts_with("http://") && !text.value.starts_with("https://"))
    {
        let message = format!("`{}` is no HTTP address", text.value);
        let finding = Finding::error(codes::BAD_VALUE, section.reader().source(), text.span.clone(), message);
        section.reader().report(finding.with_help("write `https://host/path`"));
    }
    let timeout = section.duration("timeout").map_or(Duration::from_secs(30), |time| time.value);
    let headers = section.section("headers", "`headers`").map(read_headers).unwrap_or_default();
    let tls = section.section("tls", "`tls`").and_then(read_client_tls);
    Some(HttpDestination { url: url?.value, timeout, headers, tls })
}

fn read_headers(section: Section<'_>) -> IndexMap<String, HeaderValue> {
    let mut headers = IndexMap::new();
    for entry in section.entries() {
        if let Some(value) = read_header(&entry) {
            headers.insert(entry.key.value, value);
        }
    }
    headers
}

fn read_header(entry: &Entry<'_>) -> Option<HeaderValue> {
    if let Some(text) = entry.as_text() {
        if SECRET_HEADERS.contains(&entry.key.value.to_lowercase().as_str()) {
            let message = format!("the secret of `{}` is written out", entry.key.value);
            let finding = Finding::error(codes::BAD_VALUE, entry.reader().source(), text.span, message);
            entry
                .reader()
                .report(finding.with_help("name it by reference: `{ file = \"...\" }` or `{ env = \"...\" }`"));
            return None;
        }
        return Some(HeaderValue::Plain(text.value));
    }
    let Some(mut section) = entry.as_section(format!("header `{}`", entry.key.value)) else {
        entry.wrong("a string, `{ file = ... }` or `{ env = ... }`");
        return None;
    };
    let file = section.text("file");
    let environment = section.text("env");
    let value = match (file, environment) {
        (Some(file), None) => Some(HeaderValue::File(PathBuf::from(file.value))),
        (None, Some(name)) => Some(HeaderValue::Environment(name.value)),
        (Some(_), Some(_)) | (None, None) => {
            section.reader().error(codes::BAD_VALUE, section.span.clone(), "a header is given by `file` or by `env`");
            None
        }
    };
    section.finish();
    value
}

fn read_mllp(section: &mut Section<'_>) -> Option<MllpDestination> {
    let connect = section.required_text("connect");
    let address = connect
        .as_ref()
        .and_then(|text| text.value.rsplit_once(':'))
        .map(|(host, port)| (host, port.parse::<u16>().is_ok()));
    if let Some(text) = connect.as_ref().filter(|_| !address.is_some_and(|(host, port)| port && !host.is_empty())) {
        let message = format!("`{}` is no address to connect to", text.value);
        let finding = Finding::error(codes::BAD_VALUE, section.reader().source(), text.span.clone(), message);
        section.reader().report(finding.with_help("write a host and a port: `his.example.eg:2575`"));
    }
    let timeout = section.duration("timeout").map_or(Duration::from_secs(30), |time| time.value);
    let connections = section.integer("connections", 1..=256).and_then(|number| usize::try_from(number.value).ok());
    let tls = section.section("tls", "`tls`").and_then(read_client_tls);
    let insecure = section.text("insecure").map(|reason| reason.value);
    let retry_ar = section.boolean("retry_ar").is_some_and(|retry| retry.value);
    let is_loopback = address.is_some_and(|(host, _)| ["127.0.0.1", "localhost", "[::1]"].contains(&host));
    if tls.is_none() && insecure.is_none() && !is_loopback && address.is_some() {
        let finding = Finding::error(
            codes::PLAIN_NETWORK,
            section.reader().source(),
            section.key_span("connect"),
            "messages would cross the network without TLS",
        );
        section.reader().report(finding.with_help("add `tls = { ca = ... }`, or say why not: `insecure = \"reason\"`"));
    }
    Some(MllpDestination {
        connect: connect?.value,
        timeout,
        connections: connections.unwrap_or(1),
        tls,
        insecure,
        retry_ar,
    })
}

fn read_client_tls(mut section: Section<'_>) -> Option<ClientTls> {
    let ca = section.required_text("ca");
    let certificate = section.text("certificate");
    let key = section.text("key");
    let server_name = section.text("server_name").map(|name| name.value);
    let identity = match (certificate, key) {
        (Some(certificate), Some(key)) => Some((PathBuf::from(certificate.value), PathBuf::from(key.value))),
        (None, None) => None,
        (Some(_), None) | (None, Some(_)) => {
            let message = "`certificate` and `key` belong together";
            section.reader().error(codes::MISSING_KEY, section.span.clone(), message);
            None
        }
    };
    section.finish();
    Some(ClientTls { ca: PathBuf::from(ca?.value), identity, server_name })
}
