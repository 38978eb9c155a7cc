//! The journal on PostgreSQL: the sample feed, a hub that is killed, and a database that goes away under load. An
//! oracle judges what became of every message (H1, H2, H3, H5; reliability F01, F17).

use std::sync::Mutex;

use hub_tests::Fallible;
use hub_tests::campaign::{Campaign, Fault, routes};
use hub_tests::database::Database;
use hub_tests::folder::{Folder, workspace};
use hub_tests::hub::{Launch, Started};
use hub_tests::random::{Random, seed};

/// Rounds of `kill -9` of the hub.
const ROUNDS: u32 = 5;
/// Rounds of each way in which a database goes away; `HUB_ROUNDS` sets another number.
const DATABASE_ROUNDS: u32 = 2;
/// Fewer answered messages would say nothing.
const ANSWERED_MIN: usize = 500;

/// Campaigns share two cores: one at a time.
static ALONE: Mutex<()> = Mutex::new(());

#[test]
fn the_sample_feed_becomes_what_it_has_to() -> Fallible<()> {
    let _alone = ALONE.lock();
    let database = Database::new("sample")?;
    let folder = Folder::new("postgres-sample")?;
    folder.copy_mappings()?;
    let out = folder.path().join("out");
    let shipped = std::fs::read_to_string(workspace().join("routes.toml"))?
        .replace("127.0.0.1:2575", "127.0.0.1:0")
        .replace("data/out/prescription-events", &out.to_string_lossy());
    let routes = folder.write("routes.toml", shipped)?;
    let mut launch = Launch::new(folder.path().join("data"), routes).with("HUB_STORE_URL", &database.url());
    launch.arguments = ["--sample", "--once"].map(str::to_owned).to_vec();
    // The second time everything is there already: repeats get the stored answers, and nothing takes effect again.
    let mut orders = Vec::new();
    for _ in 0..2 {
        let mut process = launch.spawn()?;
        let status = process.wait(hub_tests::hub::READY_WITHIN * 2)?;
        assert!(status.success(), "{status}: {}", process.log_end());
        orders.push(database.number("SELECT sum(version)::bigint FROM aggregate")?);
    }
    assert!(orders[0] > 10 && orders[0] == orders[1], "{orders:?}");
    assert!(database.number("SELECT count(*) FROM term")? > 20, "what people search by is in the index");
    assert_eq!(database.number("SELECT count(*) FROM message_default")?, 0);
    assert!(!folder.path().join("data/journal.db").exists(), "nothing lies in the folder but the keys");
    Ok(())
}

#[test]
fn every_message_that_was_answered_positively_has_one_end_and_one_effect_when_the_hub_is_killed() -> Fallible<()> {
    let _alone = ALONE.lock();
    let seed = seed()?;
    println!("HUB_SEED={seed}");
    let database = Database::new("killed")?;
    let mut campaign = Campaign::on(database, "postgres-killed", Random::from_seed(seed))?;
    for round in 0..ROUNDS {
        let fault = campaign.any_fault();
        campaign.round(&fault).map_err(|error| format!("round {round}, HUB_SEED={seed}: {error}"))?;
    }
    let totals = campaign.totals();
    println!("{totals:?}");
    assert!(totals.positive > ANSWERED_MIN, "only {} answered: {totals:?}", totals.positive);
    Ok(())
}

#[test]
fn a_database_that_is_killed_stopped_or_cut_off_costs_refusals_and_never_a_message() -> Fallible<()> {
    let _alone = ALONE.lock();
    let seed = seed()?;
    let rounds = std::env::var("HUB_ROUNDS").map_or(Ok(DATABASE_ROUNDS), |text| text.parse())?;
    println!("HUB_SEED={seed} HUB_ROUNDS={rounds}");
    let database = Database::on_its_own_server("faults")?;
    let mut campaign = Campaign::on(database, "postgres-faults", Random::from_seed(seed))?;
    for round in 0..rounds {
        for fault in [Fault::DatabaseKilled, Fault::SessionsEnded, Fault::DatabaseStopped] {
            campaign.round(&fault).map_err(|error| format!("round {round}, HUB_SEED={seed}: {error}"))?;
        }
    }
    let totals = campaign.totals();
    println!("{totals:?}, taken again after {:?}", campaign.recoveries());
    assert!(totals.positive > ANSWERED_MIN, "only {} answered: {totals:?}", totals.positive);
    assert!(totals.negative > 0, "nothing was refused: {totals:?}");
    Ok(())
}

#[test]
fn a_database_that_cannot_be_used_is_named_by_its_code() -> Fallible<()> {
    let folder = Folder::new("postgres-refused")?;
    folder.copy_mappings()?;
    let routes = folder.write("routes.toml", routes(&folder.folder("archive")?))?;
    let database = Database::new("refused")?;
    let whole = database.url();
    let base = whole.split('?').next().unwrap_or(&whole);
    let other = |name: &str| base.rsplit_once('/').map(|(server, _)| format!("{server}/{name}")).unwrap_or_default();
    let at = base.rsplit_once('@').map_or("", |(_, at)| at);
    let cases = [
        (format!("postgres://nobody_of_that_name:x@{at}"), "HUB0217", 78),
        (other("no_such_database"), "HUB0218", 78),
        ("postgres://hub@127.0.0.1:1/hub".to_owned(), "HUB0216", 74),
        (format!("{base}?sslmode=verify-full"), "HUB0222", 78),
        ("postgres://hub@192.0.2.1/hub".to_owned(), "HUB0138", 78),
        ("mysql://hub@127.0.0.1/hub".to_owned(), "HUB0105", 78),
    ];
    for (url, code, exit) in cases {
        let launch = Launch::new(folder.path().join(code), &routes).with("HUB_STORE_URL", &url);
        let Started::Ended(process, status) = launch.spawn()?.until_ready()? else {
            return Err(format!("{code}: the hub started").into());
        };
        assert_eq!(status.code(), Some(exit), "{code}: {}", process.log_end());
        assert!(process.log().contains(code), "{code}: {}", process.log_end());
    }
    Ok(())
}

#[test]
fn a_database_belongs_to_one_hub_and_one_of_a_newer_hub_is_left_alone() -> Fallible<()> {
    let folder = Folder::new("postgres-taken")?;
    folder.copy_mappings()?;
    let routes = folder.write("routes.toml", routes(&folder.folder("archive")?))?;
    let database = Database::new("taken")?;
    let launch = |name: &str| Launch::new(folder.path().join(name), &routes).with("HUB_STORE_URL", &database.url());
    let first = launch("first").start()?;
    let Started::Ended(second, refused) = launch("second").spawn()?.until_ready()? else {
        return Err("a second hub started on the same database".into());
    };
    assert_eq!(refused.code(), Some(73), "{}", second.log_end());
    assert!(second.log().contains("HUB0220"), "{}", second.log_end());
    first.stop()?;
    database.number(
        "WITH later AS (INSERT INTO _sqlx_migrations (version, description, success, checksum, execution_time) \
         VALUES (9999, 'later', true, '\\x00', 0) RETURNING 1) SELECT count(*) FROM later",
    )?;
    let Started::Ended(newer, status) = launch("third").spawn()?.until_ready()? else {
        return Err("a hub started on the database of a newer one".into());
    };
    assert_eq!(status.code(), Some(78), "{}", newer.log_end());
    assert!(newer.log().contains("HUB0210"), "{}", newer.log_end());
    Ok(())
}
