//! `hub message`.

use clap::Args;
use serde_json::Value;

use super::client::Hub;
use super::output::{Outcome, Output, clean, list_of, text_of, why_of};
use super::{Exit, Global};

/// Show everything that happened to one message
#[derive(Args, Clone, Debug)]
#[command(after_help = "\
Examples:
  hub message 0c7p4q2v8rk
      its stages, outputs and deliveries
  hub message 0c7p4q2v8rk --reveal
      the bodies too; the hub logs who asked")]
pub struct MessageArgs {
    /// The message, as `hub messages` lists it
    #[arg(value_name = "ID")]
    pub id: String,
    /// Show bodies, which hold patient data
    #[arg(long)]
    pub reveal: bool,
}

/// Asks, and prints the journey.
pub async fn run(global: &Global, args: &MessageArgs, output: &mut Output<'_>) -> Outcome {
    let query: &[_] = if args.reveal { &[("reveal", "true".to_owned())] } else { &[] };
    let journey = Hub::of(global)?.get(&["api", "v1", "messages", &args.id], query).await?;
    if output.json {
        output.value(&journey)?;
    } else {
        print(&journey, output)?;
    }
    Ok(Exit::Success)
}

fn print(journey: &Value, output: &mut Output<'_>) -> std::io::Result<()> {
    let heads = ["id", "state", "type", "control_id", "sender", "source", "principal", "peer", "flags", "effect_of"];
    let mut facts: Vec<Vec<String>> =
        heads.iter().map(|key| vec![key.replace('_', " "), text_of(journey, key)]).collect();
    facts.push(vec!["size".to_owned(), format!("{} bytes", text_of(journey, "size"))]);
    if journey.get("charges").and_then(Value::as_u64).is_some_and(|charges| charges > 0) {
        facts.push(vec!["charged".to_owned(), format!("{} times", text_of(journey, "charges"))]);
    }
    facts.retain(|fact| fact.get(1).is_some_and(|value| !value.is_empty()));
    output.table(&["MESSAGE", ""], &facts)?;
    output.line("")?;
    let stages = list_of(journey, "stages").iter().map(|stage| stage_row(stage, output)).collect::<Vec<_>>();
    output.table(&["AT", "STAGE", "NAME", "OUTCOME", "TOOK", "WHY"], &stages)?;
    print_runs(journey, output)?;
    let effects: Vec<Vec<String>> =
        list_of(journey, "effects").iter().map(|effect| vec![text_of(effect, "id"), text_of(effect, "type")]).collect();
    if !effects.is_empty() {
        output.line("")?;
        output.table(&["EFFECT", "TYPE"], &effects)?;
    }
    print_body("the message", journey, output)?;
    print_body("the answer", journey.get("answer").unwrap_or(&Value::Null), output)
}

fn stage_row(stage: &Value, output: &Output<'_>) -> Vec<String> {
    let took = stage.get("took_us").and_then(Value::as_u64);
    vec![
        output.time(&text_of(stage, "at")),
        text_of(stage, "stage"),
        text_of(stage, "name"),
        text_of(stage, "outcome"),
        took.map_or_else(String::new, |us| format!("{}.{:03} ms", us / 1000, us % 1000)),
        text_of(stage, "reason"),
    ]
}

fn print_runs(journey: &Value, output: &mut Output<'_>) -> std::io::Result<()> {
    for run in list_of(journey, "runs") {
        output.line("")?;
        let configuration = text_of(run, "configuration");
        let short = configuration.get(..12).unwrap_or(&configuration);
        let by = text_of(run, "mapping");
        let by = if by.is_empty() { String::new() } else { format!(", mapping {by}") };
        let route = text_of(run, "route");
        let route = if route.is_empty() { "no route".to_owned() } else { format!("route {route}") };
        output.line(&clean(&format!("Run {}: {route}{by}, configuration {short}", text_of(run, "run"))))?;
        let deliveries: Vec<Vec<String>> =
            list_of(run, "deliveries").iter().map(|one| delivery_row(run, one, output)).collect();
        if !deliveries.is_empty() {
            let heads = ["DELIVERY", "TYPE", "COMMAND", "SIZE", "TO", "STATE", "ATTEMPTS", "NEXT", "WHY"];
            output.table(&heads, &deliveries)?;
        }
        for one in list_of(run, "outputs") {
            print_body(&format!("output {}", text_of(one, "output")), one, output)?;
        }
    }
    Ok(())
}

fn delivery_row(run: &Value, delivery: &Value, output: &Output<'_>) -> Vec<String> {
    let outputs = list_of(run, "outputs");
    let made = outputs.iter().find(|one| one.get("output") == delivery.get("output")).unwrap_or(&Value::Null);
    let next = text_of(delivery, "next_at");
    vec![
        text_of(delivery, "id"),
        text_of(made, "type"),
        text_of(made, "command"),
        text_of(made, "size"),
        text_of(delivery, "destination"),
        text_of(delivery, "state"),
        list_of(delivery, "attempts").len().to_string(),
        if next.is_empty() { next } else { output.time(&next) },
        why_of(delivery, "why"),
    ]
}

/// A body, if the hub revealed it.
fn print_body(of: &str, holder: &Value, output: &mut Output<'_>) -> std::io::Result<()> {
    let text = holder.get("body").and_then(|body| body.get("text")).and_then(Value::as_str);
    text.map_or(Ok(()), |text| output.body(of, text))
}
