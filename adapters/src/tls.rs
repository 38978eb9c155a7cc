//! TLS 1.2 and 1.3 for both directions, from PEM files.
//!
//! In come names of files; out go configurations of rustls with the ring provider, and the name of the
//! peer. Promised: [`Server`] and [`Client`] can read their files again while they are in use; a file
//! that cannot be used changes nothing and is named in the error; no key is ever part of an error.
//! Refused, by the handshake, before a byte of it reaches a decoder: a client certificate that is
//! missing, expired, not yet valid, or not signed by the configured authority.

use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use arc_swap::ArcSwap;
use rustls::client::WebPkiServerVerifier;
use rustls::crypto::CryptoProvider;
use rustls::server::{NoServerSessionStorage, WebPkiClientVerifier};
use rustls::{ClientConfig, RootCertStore, ServerConfig};
use rustls_pki_types::pem::{self, PemObject};
use rustls_pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use x509_parser::extensions::GeneralName;
use x509_parser::prelude::{FromDer, X509Certificate};

use crate::clock::Timestamp;

/// The longest name of a peer that is taken from its certificate, in bytes.
const PEER_NAME_BYTES_MAX: usize = 255;

/// A certificate with its chain, and its key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IdentityFiles {
    /// PEM: the certificate, then the authorities in between.
    pub certificate: PathBuf,
    /// PEM: the private key (PKCS #8, PKCS #1 or SEC 1).
    pub key: PathBuf,
}

/// What a listener needs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServerFiles {
    /// Who we are.
    pub identity: IdentityFiles,
    /// PEM: the authorities that sign our clients. With it, every client must show a certificate;
    /// without it, no client is asked for one.
    pub client_ca: Option<PathBuf>,
}

/// What a destination needs.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ClientFiles {
    /// PEM: the authorities that sign the far system's certificate. Without it, the system's.
    pub ca: Option<PathBuf>,
    /// Who we are, for a far system that asks.
    pub identity: Option<IdentityFiles>,
}

/// Why certificates could not be used. Names the file, never what is in it.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The file could not be read.
    #[error("cannot read {}: {source}", .path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// The file is no PEM file.
    #[error("{} is not a PEM file", .path.display())]
    NotPem {
        /// The file.
        path: PathBuf,
    },
    /// The file is a PEM file of something else.
    #[error("{} holds no {what}", .path.display())]
    Missing {
        /// The file.
        path: PathBuf,
        /// What was looked for.
        what: &'static str,
    },
    /// What the file holds is not supported or broken.
    #[error("{} cannot be used: {reason}", .path.display())]
    Unusable {
        /// The file.
        path: PathBuf,
        /// What rustls said.
        reason: String,
    },
    /// Certificate and key are not a pair.
    #[error("the key in {} does not belong to the certificate in {}", .key.display(), .certificate.display())]
    NotAPair {
        /// The file of the certificate.
        certificate: PathBuf,
        /// The file of the key.
        key: PathBuf,
    },
    /// The name can be in no certificate.
    #[error("{name} is neither a host name nor an address")]
    ServerName {
        /// The name.
        name: String,
    },
    /// The system has no authorities.
    #[error("the system offers no certificate authorities: name a ca file")]
    NoSystemAuthorities,
}

/// TLS of a listener.
#[derive(Debug)]
pub struct Server {
    files: ServerFiles,
    current: ArcSwap<Loaded<ServerConfig>>,
}

/// TLS of a destination.
#[derive(Debug)]
pub struct Client {
    files: ClientFiles,
    current: ArcSwap<Loaded<ClientConfig>>,
}

#[derive(Debug)]
struct Loaded<C> {
    config: Arc<C>,
    expires_at: Option<Timestamp>,
}

impl Server {
    /// Reads the files. Blocks while it does.
    pub fn load(files: ServerFiles) -> Result<Server, Error> {
        let current = ArcSwap::from_pointee(load_server(&files)?);
        Ok(Server { files, current })
    }

    /// Reads the files again. Connections that stand keep what they have; on an error all do.
    pub fn reload(&self) -> Result<(), Error> {
        self.current.store(Arc::new(load_server(&self.files)?));
        Ok(())
    }

    /// What the next connection is accepted with.
    pub fn config(&self) -> Arc<ServerConfig> {
        Arc::clone(&self.current.load().config)
    }

    /// When the first certificate of our chain expires.
    pub fn expires_at(&self) -> Option<Timestamp> {
        self.current.load().expires_at
    }

    /// Whether clients must show a certificate.
    pub fn asks_for_client_certificate(&self) -> bool {
        self.files.client_ca.is_some()
    }
}

impl Client {
    /// Reads the files. Blocks while it does.
    pub fn load(files: ClientFiles) -> Result<Client, Error> {
        let current = ArcSwap::from_pointee(load_client(&files)?);
        Ok(Client { files, current })
    }

    /// Reads the files again. Connections that stand keep what they have; on an error all do.
    pub fn reload(&self) -> Result<(), Error> {
        self.current.store(Arc::new(load_client(&self.files)?));
        Ok(())
    }

    /// What the next connection is opened with.
    pub fn config(&self) -> Arc<ClientConfig> {
        Arc::clone(&self.current.load().config)
    }

    /// When the first certificate of our chain expires; nothing if we show none.
    pub fn expires_at(&self) -> Option<Timestamp> {
        self.current.load().expires_at
    }
}

/// The name in the certificate that a peer showed: its first DNS name, else its first URI, else its
/// common name. Nothing if it has none that can be printed on a line.
pub fn peer_name(chain: &[CertificateDer<'_>]) -> Option<String> {
    let (_, certificate) = X509Certificate::from_der(chain.first()?).ok()?;
    let names = certificate.subject_alternative_name().ok().flatten();
    let general = names.as_ref().map(|names| names.value.general_names.as_slice()).unwrap_or_default();
    let dns = general.iter().find_map(|name| if let GeneralName::DNSName(dns) = name { printable(dns) } else { None });
    let uri = || general.iter().find_map(|name| if let GeneralName::URI(uri) = name { printable(uri) } else { None });
    let common = || certificate.subject().iter_common_name().find_map(|name| printable(name.as_str().ok()?));
    dns.or_else(uri).or_else(common)
}

/// The name, or address, that a far system's certificate must have.
pub fn server_name(host: &str) -> Result<ServerName<'static>, Error> {
    ServerName::try_from(host.to_owned()).map_err(|_| Error::ServerName { name: host.to_owned() })
}

/// Whether `host` (a name or an address, without a port) is this machine, so that it may be spoken to
/// without TLS.
pub fn is_loopback_host(host: &str) -> bool {
    let name = host.strip_prefix('[').and_then(|inner| inner.strip_suffix(']')).unwrap_or(host);
    name.parse::<IpAddr>()
        .map_or_else(|_| name.eq_ignore_ascii_case("localhost"), |address| address.to_canonical().is_loopback())
}

/// A client that no far system can satisfy, for one that is only spoken to without TLS.
pub fn trusting_nobody() -> Result<ClientConfig, Error> {
    let builder = ClientConfig::builder_with_provider(provider())
        .with_safe_default_protocol_versions()
        .map_err(|error| unusable(Path::new("no authorities"), &error))?;
    Ok(builder.with_root_certificates(RootCertStore::empty()).with_no_client_auth())
}

fn printable(name: &str) -> Option<String> {
    let fits = !name.is_empty() && name.len() <= PEER_NAME_BYTES_MAX && !name.chars().any(char::is_control);
    fits.then(|| name.to_owned())
}

fn provider() -> Arc<CryptoProvider> {
    Arc::new(rustls::crypto::ring::default_provider())
}

fn load_server(files: &ServerFiles) -> Result<Loaded<ServerConfig>, Error> {
    let identity = &files.identity;
    let builder = ServerConfig::builder_with_provider(provider())
        .with_safe_default_protocol_versions()
        .map_err(|error| unusable(&identity.certificate, &error))?;
    let asking = match &files.client_ca {
        None => builder.with_no_client_auth(),
        Some(path) => {
            let roots = Arc::new(authorities(path)?);
            let verifier = WebPkiClientVerifier::builder_with_provider(roots, provider())
                .build()
                .map_err(|error| unusable(path, &error))?;
            builder.with_client_cert_verifier(verifier)
        }
    };
    let chain = certificates(&identity.certificate)?;
    let expires_at = expiry(&chain);
    let mut config = asking
        .with_single_cert(chain, private_key(&identity.key)?)
        .map_err(|error| identity_error(identity, &error))?;
    // A resumed session would not look at the client's certificate again.
    config.session_storage = Arc::new(NoServerSessionStorage {});
    config.send_tls13_tickets = 0;
    Ok(Loaded { config: Arc::new(config), expires_at })
}

fn load_client(files: &ClientFiles) -> Result<Loaded<ClientConfig>, Error> {
    let named = files.ca.clone().unwrap_or_else(|| PathBuf::from("the system's authorities"));
    let roots = files.ca.as_deref().map_or_else(system_authorities, authorities)?;
    let verifier = WebPkiServerVerifier::builder_with_provider(Arc::new(roots), provider())
        .build()
        .map_err(|error| unusable(&named, &error))?;
    let builder = ClientConfig::builder_with_provider(provider())
        .with_safe_default_protocol_versions()
        .map_err(|error| unusable(&named, &error))?
        .with_webpki_verifier(verifier);
    let Some(identity) = &files.identity else {
        return Ok(Loaded { config: Arc::new(builder.with_no_client_auth()), expires_at: None });
    };
    let chain = certificates(&identity.certificate)?;
    let expires_at = expiry(&chain);
    let config = builder
        .with_client_auth_cert(chain, private_key(&identity.key)?)
        .map_err(|error| identity_error(identity, &error))?;
    Ok(Loaded { config: Arc::new(config), expires_at })
}

fn authorities(path: &Path) -> Result<RootCertStore, Error> {
    let mut roots = RootCertStore::empty();
    for certificate in certificates(path)? {
        roots.add(certificate).map_err(|error| unusable(path, &error))?;
    }
    Ok(roots)
}

fn system_authorities() -> Result<RootCertStore, Error> {
    let mut roots = RootCertStore::empty();
    let (added, _) = roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    if added == 0 { Err(Error::NoSystemAuthorities) } else { Ok(roots) }
}

fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, Error> {
    let what = "certificate";
    let found: Result<Vec<_>, pem::Error> = CertificateDer::pem_file_iter(path).and_then(Iterator::collect);
    let certificates = found.map_err(|error| pem_error(path, what, error))?;
    if certificates.is_empty() {
        return Err(Error::Missing { path: path.to_owned(), what });
    }
    Ok(certificates)
}

fn private_key(path: &Path) -> Result<PrivateKeyDer<'static>, Error> {
    PrivateKeyDer::from_pem_file(path).map_err(|error| pem_error(path, "private key", error))
}

fn expiry(chain: &[CertificateDer<'_>]) -> Option<Timestamp> {
    let seconds = chain.iter().filter_map(|der| {
        let (_, certificate) = X509Certificate::from_der(der).ok()?;
        Some(certificate.validity().not_after.timestamp())
    });
    seconds.min().map(|seconds| Timestamp(seconds.saturating_mul(1_000_000)))
}

fn pem_error(path: &Path, what: &'static str, error: pem::Error) -> Error {
    let path = path.to_owned();
    match error {
        pem::Error::Io(source) => Error::Read { path, source },
        pem::Error::NoItemsFound => Error::Missing { path, what },
        _ => Error::NotPem { path },
    }
}

fn unusable(path: &Path, error: &dyn std::fmt::Display) -> Error {
    Error::Unusable { path: path.to_owned(), reason: error.to_string() }
}

fn identity_error(identity: &IdentityFiles, error: &rustls::Error) -> Error {
    match error {
        rustls::Error::InconsistentKeys(_) => {
            Error::NotAPair { certificate: identity.certificate.clone(), key: identity.key.clone() }
        }
        rustls::Error::InvalidCertificate(_) => unusable(&identity.certificate, error),
        _ => unusable(&identity.key, error),
    }
}
