//! Who asks: the name in his certificate, else his address. Where authentication will stand.

use std::any::Any;
use std::sync::Arc;

use actix_tls::accept::rustls_0_23::TlsStream;
use actix_web::HttpRequest;
use actix_web::dev::Extensions;
use actix_web::rt::net::TcpStream;
use adapters::tls::peer_name;

/// The name in the certificate that the other side of a connection showed.
struct Certified(Arc<str>);

/// Takes the name down when a connection is made.
pub(super) fn note(connection: &dyn Any, extensions: &mut Extensions) {
    let Some(stream) = connection.downcast_ref::<TlsStream<TcpStream>>() else { return };
    let (_, session) = stream.get_ref();
    if let Some(name) = session.peer_certificates().and_then(peer_name) {
        extensions.insert(Certified(name.into()));
    }
}

/// Who made the request, for the log.
pub(super) fn of(request: &HttpRequest) -> Arc<str> {
    let certified = request.conn_data::<Certified>().map(|certified| Arc::clone(&certified.0));
    certified.unwrap_or_else(|| match request.peer_addr() {
        Some(address) => address.to_string().into(),
        None => "unknown".into(),
    })
}
