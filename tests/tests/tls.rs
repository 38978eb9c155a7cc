//! TLS with client certificates, from a foreign client: who has none does not get in, and the certificate's name is who
//! speaks.

use std::path::PathBuf;
use std::time::Duration;

use hub_tests::Fallible;
use hub_tests::folder::Folder;
use hub_tests::hub::{Hub, Launch, command};
use hub_tests::mllp::Connection;
use hub_tests::payload::Id;
use hub_tests::peer::{Answered, Peer};
use hub_tests::ward::{ORDERS, SOURCE};
use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair};

const WITHIN: Duration = Duration::from_secs(20);

/// An authority and what it signed, as files.
struct Certificates {
    authority: PathBuf,
    hub: (PathBuf, PathBuf),
    hospital: (PathBuf, PathBuf),
    stranger: (PathBuf, PathBuf),
}

impl Certificates {
    fn new(folder: &Folder) -> Fallible<Certificates> {
        let (issuer, trusted) = authority(folder, "authority")?;
        let (other, _) = authority(folder, "other-authority")?;
        Ok(Certificates {
            authority: trusted,
            hub: signed(folder, "hub", &issuer)?,
            hospital: signed(folder, "his.kasralainy.eg", &issuer)?,
            stranger: signed(folder, "his.elsewhere.eg", &other)?,
        })
    }
}

fn authority(folder: &Folder, name: &str) -> Fallible<(Issuer<'static, KeyPair>, PathBuf)> {
    let mut params = CertificateParams::new(Vec::new())?;
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.distinguished_name.push(DnType::CommonName, name);
    let key = KeyPair::generate()?;
    let path = folder.write(&format!("tls/{name}.pem"), params.self_signed(&key)?.pem())?;
    Ok((Issuer::new(params, key), path))
}

fn signed(folder: &Folder, name: &str, issuer: &Issuer<'static, KeyPair>) -> Fallible<(PathBuf, PathBuf)> {
    let mut params = CertificateParams::new(vec![name.to_owned(), "127.0.0.1".to_owned()])?;
    params.distinguished_name.push(DnType::CommonName, name);
    let key = KeyPair::generate()?;
    let certificate = folder.write(&format!("tls/{name}.pem"), params.signed_by(&key, issuer)?.pem())?;
    let key = folder.write(&format!("tls/{name}.key"), key.serialize_pem())?;
    Ok((certificate, key))
}

fn routes(certificates: &Certificates, listen: &str) -> String {
    format!(
        r#"
[source.{SOURCE}]
adapter    = "hl7v2-mllp"
listen     = "{listen}"
tls        = {{ certificate = "{}", key = "{}", client_ca = "{}" }}
principals = {{ "his.kasralainy.eg" = ["WARD|ORACLE_5"] }}
{ORDERS}"#,
        certificates.hub.0.display(),
        certificates.hub.1.display(),
        certificates.authority.display()
    )
}

fn start(folder: &Folder, certificates: &Certificates) -> Fallible<Hub> {
    folder.copy_mappings()?;
    let routes = folder.write("routes.toml", routes(certificates, "127.0.0.1:0"))?;
    Launch::new(folder.path().join("data"), routes).start()
}

#[test]
fn a_certificate_of_the_authority_lets_its_holder_speak_as_whom_it_may_and_nobody_else() -> Fallible<()> {
    let folder = Folder::new("tls")?;
    let certificates = Certificates::new(&folder)?;
    let hub = start(&folder, &certificates)?;
    let at = hub.mllp(SOURCE)?;
    let [own, others] = [(5, "own"), (4, "others")].map(|(sender, name)| {
        let body = Id::new(sender, 1).body();
        folder.write(&format!("sent/{name}.hl7"), String::from_utf8_lossy(&body).replace("|AL|NE", "||"))
    });
    let (own, others) = (own?, others?);
    let hospital = Some((certificates.hospital.0.as_path(), certificates.hospital.1.as_path()));
    let stranger = Some((certificates.stranger.0.as_path(), certificates.stranger.1.as_path()));

    let answers = Peer::send_by_tls(at, &certificates.authority, hospital, &[own.clone(), others])?;
    let codes: Vec<(&str, &str)> = answers.iter().map(Answered::pair).collect();
    assert_eq!(codes, [("AA", "ORA5-0000001"), ("AR", "ORA4-0000001")]);
    let message = hub.api().message(SOURCE, "ORA5-0000001")?;
    let journey = hub.api().journey(&message)?.to_string();
    assert!(journey.contains("his.kasralainy.eg"), "{journey}");

    let unknown = [own];
    Peer::send_by_tls(at, &certificates.authority, None, &unknown).expect_err("nobody speaks without a certificate");
    Peer::send_by_tls(at, &certificates.authority, stranger, &unknown).expect_err("nor with one of another authority");
    let mut plain = Connection::open(at)?;
    plain.write(b"\x0bMSH|^~\\&|WARD|ORACLE_5\r\x1c\x0d")?;
    // Whatever a TLS listener says to plain bytes is no acknowledgement.
    assert!(plain.until_closed(WITHIN).is_ok_and(|said| said.is_empty()), "plain bytes were answered");
    assert_eq!(hub.api().messages("state=delivered")?.len(), 1);
    hub.stop()
}

#[test]
fn an_address_that_is_not_loopback_needs_tls_or_a_reason() -> Fallible<()> {
    let folder = Folder::new("tls-plain")?;
    let certificates = Certificates::new(&folder)?;
    folder.copy_mappings()?;
    let plain: String = routes(&certificates, "0.0.0.0:0")
        .lines()
        .filter(|line| !line.starts_with("tls ") && !line.starts_with("principals "))
        .map(|line| format!("{line}\n"))
        .collect();
    let file = folder.write("routes.toml", plain)?;
    let output = command(&["check", "--routes", &file.to_string_lossy()])?;
    assert_eq!(output.status.code(), Some(78), "{output:?}");
    let said = format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(said.contains("listen") && said.contains("insecure"), "{said}");
    Ok(())
}
