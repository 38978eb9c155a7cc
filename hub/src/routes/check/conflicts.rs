//! What several declarations together make impossible.
//!
//! In come declarations; out go addresses that two would take and routes that lead in a circle.

use std::net::SocketAddr;

use crate::finding::Text;
use crate::routes::parse::{Declarations, DeclaredRoute};
use crate::routes::spec::{Channel, DestinationAdapter};

/// Whether two listeners cannot both have their address. Port 0 is a new port each time.
pub(super) fn same_address(left: SocketAddr, right: SocketAddr) -> bool {
    let overlap = left.ip() == right.ip() || left.ip().is_unspecified() || right.ip().is_unspecified();
    left.port() == right.port() && left.port() != 0 && overlap
}

/// A step of a route that is part of a circle.
pub(super) struct Cycle {
    /// The source that it begins with.
    pub from: String,
    /// Where in `to` it goes on.
    pub to: Text,
    /// No route of the circle has a condition.
    pub is_endless: bool,
}

/// From a source by a route to the source where its documents come out again.
struct Edge<'d> {
    from: &'d str,
    to: String,
    text: &'d Text,
    is_conditional: bool,
}

/// Every step that is part of a circle.
pub(super) fn cycles(declared: &Declarations) -> Vec<Cycle> {
    let edges: Vec<Edge<'_>> = declared.routes.iter().flat_map(|route| edges(route, declared)).collect();
    let unconditional = |edge: &Edge<'_>| !edge.is_conditional;
    edges
        .iter()
        .filter(|edge| reaches(&edges, &edge.to, edge.from, |_| true))
        .map(|edge| Cycle {
            from: edge.from.to_owned(),
            to: edge.text.clone(),
            is_endless: !edge.is_conditional && reaches(&edges, &edge.to, edge.from, unconditional),
        })
        .collect()
}

fn edges<'d>(route: &'d DeclaredRoute, declared: &'d Declarations) -> Vec<Edge<'d>> {
    let mut edges = Vec::new();
    for from in &route.from {
        for to in &route.to {
            let next = comes_out(&to.value, declared).into_iter();
            edges.extend(next.map(|next| Edge {
                from: &from.value,
                to: next,
                text: to,
                is_conditional: route.when.is_some(),
            }));
        }
    }
    edges
}

/// The sources where documents that go to `to` come out again.
fn comes_out(to: &str, declared: &Declarations) -> Vec<String> {
    if let Some(channel) = Channel::ALL.into_iter().find(|channel| channel.name() == to) {
        return vec![channel.events().to_owned()];
    }
    let Some(DestinationAdapter::Mllp(mllp)) = declared.destinations.get(to).map(|located| &located.value.adapter)
    else {
        return Vec::new();
    };
    let Ok(address) = mllp.connect.replace("localhost", "127.0.0.1").parse::<SocketAddr>() else { return Vec::new() };
    let listening = declared.sources.iter().filter(|(_, source)| same_address(source.mllp.listen, address));
    listening.map(|(name, _)| name.clone()).collect()
}

fn reaches(edges: &[Edge<'_>], from: &str, wanted: &str, usable: impl Fn(&Edge<'_>) -> bool) -> bool {
    let mut open = vec![from.to_owned()];
    let mut seen: Vec<String> = Vec::new();
    while let Some(at) = open.pop() {
        if at == wanted {
            return true;
        }
        if seen.contains(&at) {
            continue;
        }
        open.extend(edges.iter().filter(|edge| edge.from == at && usable(edge)).map(|edge| edge.to.clone()));
        seen.push(at);
    }
    false
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_for_all_interfaces_takes_the_port_of_each() {
        let same = |left: &str, right: &str| same_address(left.parse().unwrap(), right.parse().unwrap());
        assert!(same("0.0.0.0:2575", "127.0.0.1:2575"));
        assert!(!same("127.0.0.2:2575", "127.0.0.1:2575"));
        assert!(!same("127.0.0.1:0", "127.0.0.1:0"));
    }
}
