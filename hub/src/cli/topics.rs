//! `hub topics`.

use clap::{Args, Subcommand};
use serde_json::json;

use super::client::configuration;
use super::output::{Failure, Outcome, Output};
use super::{Exit, Global, RunArgs};
use crate::assembly::kafka_options;
use crate::broker::kafka::{Difference, Topic, compare, create};
use crate::config::{Broker, Settings};
use crate::routes::Channel;

/// Compare the topics that the settings need with those that Kafka has, and make what is missing
#[derive(Args, Clone, Debug)]
#[command(after_help = "\
Examples:
  hub topics plan --config deploy/hub.toml
      what is missing; ends with 1 if anything is
  hub topics apply --config deploy/hub.toml
      makes what is missing; changes nothing that is there")]
pub struct TopicsArgs {
    /// What is to be done.
    #[command(subcommand)]
    pub command: Topics,
}

/// What can be done with topics.
#[derive(Subcommand, Clone, Copy, Debug)]
pub enum Topics {
    /// Show what is not as the settings want it
    #[command(after_help = "Example:\n  hub topics plan --config deploy/hub.toml")]
    Plan,
    /// Make the topics that are missing
    #[command(after_help = "Example:\n  hub topics apply --config deploy/hub.toml")]
    Apply,
}

/// Compares, and makes if asked.
pub async fn run(global: &Global, args: &TopicsArgs, output: &mut Output<'_>) -> Outcome {
    let settings = Settings::load_for_run(global, &RunArgs::default()).map_err(configuration)?;
    let Some(kafka) = &settings.brokers.kafka else {
        return Err(Failure::new(Exit::Usage, "the settings have no table `[broker.kafka]`"));
    };
    let bound = settings.channels.iter().filter(|(_, binding)| binding.broker == Broker::Kafka);
    let channels: Vec<Channel> = bound.map(|(channel, _)| *channel).collect();
    let options = kafka_options(kafka, &channels).map_err(configuration)?;
    let wanted: Vec<Topic> = options.topics.values().cloned().collect();
    let failed = |fault: crate::broker::kafka::Fault| Failure::new(Exit::Io, fault.to_string());
    let mut found = compare(&options.access, wanted.clone()).await.map_err(failed)?;
    if matches!(args.command, Topics::Apply) {
        let missing: Vec<Topic> = found.missing().cloned().collect();
        if !missing.is_empty() {
            create(&options.access, &missing).await.map_err(failed)?;
            found = compare(&options.access, wanted.clone()).await.map_err(failed)?;
        }
    }
    let said = |topic: &Topic| {
        let of_it: Vec<String> = found.differences.iter().filter_map(|one| said_of(one, &topic.name)).collect();
        if of_it.is_empty() { "as wanted".to_owned() } else { of_it.join("; ") }
    };
    if output.json {
        let topics: Vec<_> = wanted
            .iter()
            .map(|topic| {
                json!({
                    "topic": topic.name,
                    "partitions": topic.partitions,
                    "replicas": topic.replicas,
                    "state": said(topic),
                })
            })
            .collect();
        output.value(&json!({ "topics": topics }))?;
    } else {
        let rows: Vec<Vec<String>> = wanted
            .iter()
            .map(|topic| {
                vec![topic.name.clone(), topic.partitions.to_string(), topic.replicas.to_string(), said(topic)]
            })
            .collect();
        output.table(&["TOPIC", "PARTITIONS", "REPLICAS", "STATE"], &rows)?;
    }
    Ok(if found.differences.is_empty() { Exit::Success } else { Exit::Failed })
}

fn said_of(difference: &Difference, topic: &str) -> Option<String> {
    match difference {
        Difference::Missing(missing) if missing.name == topic => Some("missing".to_owned()),
        Difference::Partitions { topic: name, found, .. } if name == topic => {
            Some(format!("has {found} partitions; more are made with Kafka's own tools, when no key is on its way"))
        }
        Difference::TooFewReplicas { topic: name, in_sync, wanted } if name == topic => {
            Some(format!("HUB0176 {in_sync} replicas in sync, {wanted} needed"))
        }
        Difference::Missing(_) | Difference::Partitions { .. } | Difference::TooFewReplicas { .. } => None,
    }
}
