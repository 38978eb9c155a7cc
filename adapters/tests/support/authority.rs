//! A certificate authority for one test, in a folder of its own.

use std::path::PathBuf;
use std::sync::Arc;

use adapters::tls::{self, ClientFiles, IdentityFiles, ServerFiles};
use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DnType, ExtendedKeyUsagePurpose, IsCa, KeyPair,
    KeyUsagePurpose, SanType, date_time_ymd,
};
use tempfile::TempDir;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

/// How a certificate may be wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Validity {
    Now,
    Expired,
    NotYet,
}

/// Signs certificates, and keeps them as PEM files.
pub struct Authority {
    folder: TempDir,
    issuer: CertifiedIssuer<'static, KeyPair>,
}

impl Authority {
    pub fn new() -> Authority {
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign];
        params.distinguished_name.push(DnType::CommonName, "test authority");
        let key = KeyPair::generate().expect("a key");
        let issuer = CertifiedIssuer::self_signed(params, key).expect("an authority");
        let authority = Authority { folder: TempDir::new().expect("a folder"), issuer };
        std::fs::write(authority.file("ca.pem"), authority.issuer.pem()).expect("written");
        authority
    }

    pub fn file(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub fn ca(&self) -> PathBuf {
        self.file("ca.pem")
    }

    /// A certificate for `localhost` and `127.0.0.1`.
    pub fn server(&self) -> IdentityFiles {
        self.signed("server", &params(&["localhost", "127.0.0.1"], "server", Validity::Now))
    }

    /// A certificate of a client with a DNS name.
    pub fn client(&self, dns: &str, validity: Validity) -> IdentityFiles {
        self.signed(dns, &params(&[dns], "client", validity))
    }

    pub fn signed(&self, name: &str, params: &CertificateParams) -> IdentityFiles {
        let key = KeyPair::generate().expect("a key");
        let certificate = params.signed_by(&key, &self.issuer).expect("signed");
        self.write(name, &certificate.pem(), &key)
    }

    pub fn self_signed(&self, dns: &str) -> IdentityFiles {
        let key = KeyPair::generate().expect("a key");
        let certificate = params(&[dns], "client", Validity::Now).self_signed(&key).expect("signed");
        self.write("self-signed", &certificate.pem(), &key)
    }

    fn write(&self, name: &str, certificate: &str, key: &KeyPair) -> IdentityFiles {
        let files =
            IdentityFiles { certificate: self.file(&format!("{name}.pem")), key: self.file(&format!("{name}.key")) };
        std::fs::write(&files.certificate, certificate).expect("written");
        std::fs::write(&files.key, key.serialize_pem()).expect("written");
        files
    }

    /// What a listener takes that asks its clients for certificates of this authority.
    pub fn mutual(&self) -> Arc<tls::Server> {
        let files = ServerFiles { identity: self.server(), client_ca: Some(self.ca()) };
        Arc::new(tls::Server::load(files).expect("loads"))
    }

    /// What a client takes that trusts this authority.
    pub fn trusting(&self, identity: Option<IdentityFiles>) -> tls::Client {
        tls::Client::load(ClientFiles { ca: Some(self.ca()), identity }).expect("loads")
    }
}

/// Parameters with both extended usages, as hospital authorities hand them out.
pub fn params(names: &[&str], common_name: &str, validity: Validity) -> CertificateParams {
    let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
    let mut params = CertificateParams::new(names).expect("names");
    params.distinguished_name.push(DnType::CommonName, common_name);
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth, ExtendedKeyUsagePurpose::ClientAuth];
    match validity {
        Validity::Now => {}
        Validity::Expired => params.not_after = date_time_ymd(2020, 1, 1),
        Validity::NotYet => params.not_before = date_time_ymd(4000, 1, 1),
    }
    params
}

pub fn uri(text: &str) -> SanType {
    SanType::URI(text.try_into().expect("ascii"))
}

/// Opens TLS to a listener on loopback.
pub async fn connect(client: &tls::Client, address: std::net::SocketAddr) -> std::io::Result<TlsStream<TcpStream>> {
    let plain = TcpStream::connect(address).await?;
    let name = rustls_pki_types::ServerName::try_from("localhost").expect("a name");
    TlsConnector::from(client.config()).connect(name, plain).await
}
