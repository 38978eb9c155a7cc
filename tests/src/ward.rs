//! The plainest hub that does something: one ward sends orders, and each becomes a prescription.

use crate::Fallible;
use crate::folder::Folder;
use crate::hub::{Hub, Launch};
use crate::mllp::send_all;
use crate::wait;
use crate::wait::PATIENCE;

/// The source.
pub const SOURCE: &str = "ward";

/// The route that makes prescriptions of its orders.
pub const ORDERS: &str = r#"
[[route]]
id   = "orders"
why  = "An order becomes a prescription."
from = ["ward"]
map  = "rde_o11_to_prescription"
to   = ["prescription"]
"#;

/// `routes.toml` with the ward listening on an address.
pub fn routes(listen: &str) -> String {
    format!(
        r#"
[source.{SOURCE}]
adapter = "hl7v2-mllp"
listen  = "{listen}"
key     = 'PID-3[.5 = "NI"].1'
{ORDERS}"#
    )
}

/// A folder of that name with these routes, the shipped mappings and a place for data.
pub fn prepare(name: &str, routes: &str) -> Fallible<(Folder, Launch)> {
    let folder = Folder::new(name)?;
    folder.copy_mappings()?;
    let routes = folder.write("routes.toml", routes)?;
    let launch = Launch::new(folder.path().join("data"), routes);
    Ok((folder, launch))
}

/// The ward on a free port.
pub fn launch(name: &str) -> Fallible<Launch> {
    Ok(prepare(name, &routes("127.0.0.1:0"))?.1)
}

/// Sends everything on one connection without waiting in between; returns how many were answered before the hub died,
/// or all of them. Fails if one is refused.
pub fn send(hub: &Hub, bodies: impl IntoIterator<Item = impl AsRef<[u8]>>) -> Fallible<usize> {
    send_all(hub.mllp(SOURCE)?, bodies, PATIENCE)
}

/// The state of a message.
pub fn state(hub: &Hub, control_id: &str) -> Fallible<String> {
    hub.api().state(SOURCE, control_id)
}

/// Waits until a message is in a state.
pub fn until_state(hub: &Hub, control_id: &str, wanted: &str) -> Fallible<()> {
    wait::until(
        &format!("{control_id} is {wanted}"),
        PATIENCE,
        || Ok((state(hub, control_id)? == wanted).then_some(())),
    )
}
