//! The real brokers that `deploy/services.sh` starts, and what tests do to them.

use std::fs;
use std::process::Command;

use adapters::clock::{Clock, SystemClock};

use crate::Fallible;
use crate::folder::workspace;

/// Where a server is: from the environment, or from what the script wrote.
pub fn address(name: &str) -> Fallible<String> {
    if let Ok(value) = std::env::var(name) {
        return Ok(value);
    }
    let text = fs::read_to_string(workspace().join("target/services/env")).unwrap_or_default();
    let value = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix('='));
    value.map(str::to_owned).ok_or_else(|| format!("there is no {name}: run deploy/services.sh up").into())
}

/// Runs `deploy/services.sh` with these arguments.
pub fn services(arguments: &[&str]) -> Fallible<String> {
    let output = Command::new(workspace().join("deploy/services.sh")).args(arguments).output()?;
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    if output.status.success() {
        return Ok(text);
    }
    Err(format!("services.sh {arguments:?}: {text}{}", String::from_utf8_lossy(&output.stderr)).into())
}

/// A prefix that no test and no run before had.
pub fn unique_prefix(name: &str) -> String {
    format!("{name}-{}.", SystemClock.now().0)
}

/// Settings of a hub whose prescriptions go by `broker`. The URL of RabbitMQ comes by the variable `HUB_RABBITMQ_URL`.
pub fn settings(broker: &str, prefix: &str) -> Fallible<String> {
    let kafka = address("HUB_TEST_KAFKA")?;
    let bootstrap: Vec<String> = kafka.split(',').map(|host| format!("\"{host}\"")).collect();
    Ok(format!(
        "[broker.rabbitmq]\nurl = {{ env = \"HUB_RABBITMQ_URL\" }}\nprefix = \"{prefix}\"\n\n\
         [broker.kafka]\nbootstrap = [{}]\nprefix = \"{prefix}\"\npartitions = 3\nreplicas = 1\n\n\
         [channels]\nprescription = {{ broker = \"{broker}\" }}\n",
        bootstrap.join(", ")
    ))
}
