//! Kafka and RabbitMQ between the hub and its domain actors: both may die, come back empty, lose a queue or block, and
//! the hub may die with records in them. Messages are taken all the while, and the oracle judges what became of each
//! (H1, H2, H3, H5, H8).

use std::sync::Mutex;
use std::time::Duration;

use hub_tests::Fallible;
use hub_tests::campaign::{self, Campaign, Fault};
use hub_tests::folder::Folder;
use hub_tests::hub::{Hub, command};
use hub_tests::random::{Random, seed};
use hub_tests::servers::{address, services, settings, unique_prefix};
use hub_tests::wait;
use serde_json::Value;

/// Rounds of random faults on one broker.
const ROUNDS: u32 = 3;
/// Points of the journey where copies of records are made.
const POINTS: [&str; 5] =
    ["publish.after_send", "publish.after_confirm", "consume.before_apply", "apply.after_commit", "ack_broker.before"];
/// What a hub shows of a broker it shows by then.
const SHOWN_WITHIN: Duration = Duration::from_secs(40);
/// The longest lines of `rabbitmqctl` name no more than this share of memory.
const NO_MEMORY: &str = "0.0001";
/// RabbitMQ's own standard.
const USUAL_MEMORY: &str = "0.4";

/// Campaigns share two cores and the brokers: one at a time.
static ALONE: Mutex<()> = Mutex::new(());

/// A campaign whose prescriptions go by `broker`, and the prefix of its queues and topics.
#[expect(clippy::print_stdout, reason = "the seed plays a run again")]
fn campaign(name: &str, broker: &str) -> Fallible<(Campaign, String)> {
    let seed = seed()?;
    println!("HUB_SEED={seed}");
    let prefix = unique_prefix(name);
    let url = address("HUB_TEST_RABBITMQ")?;
    let campaign = Campaign::new(name, Random::from_seed(seed))?;
    let campaign = campaign.with_settings(&settings(broker, &prefix)?, ("HUB_RABBITMQ_URL", &url))?;
    Ok((campaign, prefix))
}

/// What `/ready` says of a broker: none if it can be used.
fn trouble(hub: &Hub, broker: &str) -> Fallible<Option<String>> {
    let (_, text) = hub.api().text("/ready")?;
    let ready: Value = serde_json::from_str(&text)?;
    let parts = ready.get("parts").and_then(Value::as_array).ok_or("no parts")?;
    let name = format!("broker {broker}");
    let is_it = |part: &&Value| part.get("name").and_then(Value::as_str) == Some(&name);
    let part = parts.iter().find(is_it).ok_or("the broker is no part")?;
    assert_eq!(part.get("needed"), Some(&Value::Bool(false)), "messages are taken without it");
    Ok(part.get("trouble").and_then(Value::as_str).map(str::to_owned))
}

#[expect(clippy::print_stdout, reason = "what a run came to is shown when it fails")]
fn random_faults(name: &str, broker: &str) -> Fallible<()> {
    let _alone = ALONE.lock();
    let (mut campaign, _) = campaign(name, broker)?;
    for round in 0..ROUNDS {
        let fault = campaign.any_fault();
        campaign.round(&fault).map_err(|error| format!("round {round}: {error}"))?;
    }
    for point in POINTS {
        campaign.round(&Fault::Point(point.to_owned(), 3)).map_err(|error| format!("{point}: {error}"))?;
    }
    let totals = campaign.totals();
    println!("{totals:?}");
    assert!(totals.positive > 200, "{totals:?}");
    Ok(())
}

#[test]
fn over_rabbitmq_every_message_has_one_end_and_one_effect_when_the_hub_dies() -> Fallible<()> {
    random_faults("over-rabbitmq", "rabbitmq")
}

#[test]
fn over_kafka_every_message_has_one_end_and_one_effect_when_the_hub_dies() -> Fallible<()> {
    random_faults("over-kafka", "kafka")
}

#[test]
fn rabbitmq_dies_under_load_and_nothing_is_lost_doubled_or_reordered() -> Fallible<()> {
    let _alone = ALONE.lock();
    let (mut campaign, _) = campaign("rabbitmq-dies", "rabbitmq")?;
    for _ in 0..2 {
        campaign.round_beside(|hub| {
            services(&["kill", "rabbitmq"])?;
            wait::until("the hub shows that RabbitMQ is away", SHOWN_WITHIN, || {
                Ok(trouble(hub, "rabbitmq")?.filter(|text| text.contains("HUB0503")).map(|_| ()))
            })?;
            services(&["up", "rabbitmq"])?;
            wait::until("the hub uses RabbitMQ again", SHOWN_WITHIN, || {
                Ok(trouble(hub, "rabbitmq")?.is_none().then_some(()))
            })
        })?;
    }
    println!("{:?}", campaign.totals());
    Ok(())
}

#[test]
fn kafka_loses_all_its_data_under_load_and_nothing_is_lost_doubled_or_reordered() -> Fallible<()> {
    let _alone = ALONE.lock();
    let (mut campaign, _) = campaign("kafka-wiped", "kafka")?;
    campaign.round_beside(|hub| {
        services(&["reset", "kafka"])?;
        wait::until("the hub uses Kafka again", SHOWN_WITHIN, || Ok(trouble(hub, "kafka")?.is_none().then_some(())))
    })?;
    println!("{:?}", campaign.totals());
    Ok(())
}

#[test]
fn a_queue_that_is_deleted_under_the_hub_is_made_again_with_all_that_it_held() -> Fallible<()> {
    let _alone = ALONE.lock();
    let (mut campaign, prefix) = campaign("queue-deleted", "rabbitmq")?;
    for queue in ["prescription.0", "prescription.1"] {
        campaign.round_beside(|_| {
            let name = format!("{prefix}{queue}");
            services(&["rabbitmqctl", "delete_queue", "--vhost", "hub", &name])?;
            wait::until("the queue is there again", SHOWN_WITHIN, || {
                let queues = services(&["rabbitmqctl", "list_queues", "--vhost", "hub", "--silent", "name"])?;
                Ok(queues.lines().any(|line| line.trim() == name).then_some(()))
            })
        })?;
    }
    Ok(())
}

#[test]
fn a_hub_shows_that_rabbitmq_is_blocked_takes_messages_and_goes_on_afterwards() -> Fallible<()> {
    let _alone = ALONE.lock();
    let (mut campaign, _) = campaign("rabbitmq-blocked", "rabbitmq")?;
    let outcome = campaign.round_beside(|hub| {
        services(&["rabbitmqctl", "set_vm_memory_high_watermark", NO_MEMORY])?;
        wait::until("the hub shows that RabbitMQ is blocked", SHOWN_WITHIN, || {
            Ok(trouble(hub, "rabbitmq")?.filter(|text| text.contains("asks publishers to wait")).map(|_| ()))
        })?;
        services(&["rabbitmqctl", "set_vm_memory_high_watermark", USUAL_MEMORY])?;
        wait::until("the hub goes on", SHOWN_WITHIN, || Ok(trouble(hub, "rabbitmq")?.is_none().then_some(())))
    });
    // Others need it too, whatever was found here.
    services(&["rabbitmqctl", "set_vm_memory_high_watermark", USUAL_MEMORY])?;
    outcome
}

#[test]
fn what_a_person_has_to_change_ends_the_start_with_78_and_the_place() -> Fallible<()> {
    let _alone = ALONE.lock();
    let url = address("HUB_TEST_RABBITMQ")?;
    let (start, rest) = url.rsplit_once('@').ok_or("no password in the URL")?;
    let user = start.rsplit_once(':').map(|(user, _)| user).ok_or("no password in the URL")?;
    let host = rest.split('/').next().unwrap_or_default();
    let cases = [
        ("a wrong password", format!("{user}:wrong@{rest}"), "HUB0170"),
        ("a wrong virtual host", format!("{start}@{host}/nowhere"), "HUB0171"),
        ("no URL", "nonsense".to_owned(), "HUB0174"),
    ];
    for (what, wrong, code) in cases {
        let folder = Folder::new("broker-settings")?;
        let url_file = folder.write("url", wrong)?;
        let text = settings("rabbitmq", "unused.")?;
        let by_file =
            text.replace("{ env = \"HUB_RABBITMQ_URL\" }", &format!("{{ file = \"{}\" }}", url_file.display()));
        let config = folder.write("hub.toml", by_file)?;
        folder.copy_mappings()?;
        let routes = folder.write("routes.toml", campaign::routes(&folder.folder("archive")?))?;
        let data = folder.path().join("data");
        let (config, routes, data) = (config.to_string_lossy(), routes.to_string_lossy(), data.to_string_lossy());
        let output =
            command(&["run", "--config", &config, "--routes", &routes, "--data", &data, "--http", "127.0.0.1:0"])?;
        let said = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(78), "{what}: {said}");
        assert!(said.contains(code) && said.contains("hub.toml:2"), "{what}: {said}");
        assert!(!said.contains(":wrong@"), "{what}: the password is shown: {said}");
    }
    Ok(())
}

#[test]
fn topics_are_planned_and_made() -> Fallible<()> {
    let _alone = ALONE.lock();
    let folder = Folder::new("topics")?;
    let config = folder.write("hub.toml", settings("kafka", &unique_prefix("topics"))?)?;
    let config = config.to_string_lossy();
    let state = |what: &str| -> Fallible<(Option<i32>, String)> {
        let output = command(&["topics", what, "--json", "--config", &config])?;
        let told: Value = serde_json::from_slice(&output.stdout)?;
        Ok((output.status.code(), told["topics"][0]["state"].as_str().unwrap_or_default().to_owned()))
    };
    assert_eq!(state("plan")?, (Some(1), "missing".to_owned()));
    assert_eq!(state("apply")?, (Some(0), "as wanted".to_owned()));
    assert_eq!(state("plan")?, (Some(0), "as wanted".to_owned()));
    Ok(())
}
