//! A campaign of faults against one data folder: senders work on, the hub dies and comes back, the oracle judges.
//!
//! Each round: load; a fault; the hub again, with load; no more load; drained; stopped; judged. At the end the senders'
//! counts must show that the campaign tested something.

use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, ScopedJoinHandle};
use std::time::Duration;

use crate::Fallible;
use crate::database::Database;
use crate::folder::Folder;
use crate::hub::{Hub, Launch, Started, binary};
use crate::journal::{InHand, Journal};
use crate::ledger::{Ledger, Totals};
use crate::oracle::{ARCHIVE, CHANNEL, Oracle, SOURCE};
use crate::random::Random;
use crate::sender::{Address, Sender, Shared};
use crate::wait::{self, Deadline, Stopwatch, pause};

/// Connections that send at the same time.
pub const SENDERS: u16 = 4;
/// After the faults, everything must have reached its end within this time.
pub const DRAINED_WITHIN: Duration = Duration::from_secs(60);
/// Load before a fault.
const LOAD: (Duration, Duration) = (Duration::from_millis(250), Duration::from_millis(1_200));
/// Load after the hub came back.
const LOAD_AFTER: Duration = Duration::from_millis(300);
/// A named point must be reached within this time under load.
const REACHED_WITHIN: Duration = Duration::from_secs(120);
const SIGNAL_ABORT: i32 = 6;
/// The exit code of a hub whose disk failed.
const EXIT_IO: i32 = 74;
/// More than can be in flight when the disk has room again.
const TAKEN_AGAIN: usize = 100;
/// Messages that show that the database is back: one more than can have been under way.
const TAKEN_SOON: usize = 10;
/// The database is away for so long at most.
const AWAY_MAX: Duration = Duration::from_secs(7);
/// From the return of the database on, messages must be taken again within this time.
const RECOVERED_WITHIN: Duration = Duration::from_secs(5);
/// The second of two kills comes within this time of the new start.
const RECOVERY: Duration = Duration::from_millis(400);
/// How often a running hub is told to reload while a named point is waited for.
const RELOAD_EVERY: Duration = Duration::from_millis(150);

/// What happens to the hub under load.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fault {
    /// `kill -9`.
    Kill,
    /// `kill -9`, and again while it recovers.
    KillTwice,
    /// It is asked to stop.
    Stop,
    /// It aborts when it comes to the named point for the n-th time.
    Point(String, u32),
    /// Syncing the journal fails, and goes on failing: the hub must end with 74.
    FailedSync,
    /// For a while nothing more can be written to the journal: the hub must refuse, and take again afterwards.
    FullDisk,
    /// The database is killed, and started again: the hub must go on by itself.
    DatabaseKilled,
    /// The database is stopped at once, and started again after a while.
    DatabaseStopped,
    /// Every session of the hub is ended.
    SessionsEnded,
}

/// Where the journal of a campaign lies.
#[derive(Debug)]
enum Store {
    Folder,
    Database(Box<Database>),
}

/// One data folder and its senders.
#[derive(Debug)]
pub struct Campaign {
    folder: Folder,
    launch: Launch,
    archive: PathBuf,
    shared: Arc<Shared>,
    senders: Vec<Sender>,
    random: Random,
    found_in_hand: Vec<InHand>,
    store: Store,
    recoveries: Vec<Duration>,
}

/// Tells the senders to end, however the campaign leaves its scope.
struct StopWhenDropped<'a>(&'a AtomicBool);

impl Drop for StopWhenDropped<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::SeqCst);
    }
}

impl Campaign {
    /// Prepares a folder with routes that send every message to the prescription actor and to an archive of files.
    pub fn new(name: &str, random: Random) -> Fallible<Campaign> {
        // Built before anybody waits for an answer.
        binary()?;
        let folder = Folder::new(name)?;
        let archive = folder.folder(ARCHIVE)?;
        let routes = folder.write("routes.toml", routes(&archive))?;
        folder.copy_mappings()?;
        let ledger = Ledger::new(&folder.path().join("ledger.log"))?;
        let shared = Arc::new(Shared { address: Address::default(), ledger, stop: AtomicBool::new(true) });
        let senders = (1..=SENDERS)
            .map(|number| Sender::new(number, random.part(u64::from(number)), Arc::clone(&shared)))
            .collect();
        let launch = Launch::new(folder.path().join("data"), routes);
        let (found_in_hand, recoveries) = (Vec::new(), Vec::new());
        let store = Store::Folder;
        Ok(Campaign { folder, launch, archive, shared, senders, random, found_in_hand, store, recoveries })
    }

    /// The same with the journal in a database.
    pub fn on(database: Database, name: &str, random: Random) -> Fallible<Campaign> {
        let mut campaign = Campaign::new(name, random)?;
        campaign.launch = campaign.launch.with("HUB_STORE_URL", &database.url());
        campaign.store = Store::Database(Box::new(database));
        Ok(campaign)
    }

    /// The same campaign with `hub.toml` of this text, and a variable of the hub's environment.
    pub fn with_settings(mut self, settings: &str, (name, value): (&str, &str)) -> Fallible<Campaign> {
        let file = self.folder.write("hub.toml", settings)?;
        self.launch.arguments = vec!["--config".to_owned(), file.to_string_lossy().into_owned()];
        self.launch = self.launch.with(name, value);
        Ok(self)
    }

    /// One round in which something happens to others while the hub works, and the hub goes on. Messages must be taken
    /// all the while.
    pub fn round_beside(&mut self, mut strike: impl FnMut(&Hub) -> Fallible<()>) -> Fallible<()> {
        let mut senders = std::mem::take(&mut self.senders);
        let shared = Arc::clone(&self.shared);
        shared.stop.store(false, Ordering::SeqCst);
        let outcome = thread::scope(|scope| {
            let stop = StopWhenDropped(&shared.stop);
            let running: Vec<ScopedJoinHandle<'_, Fallible<()>>> =
                senders.iter_mut().map(|sender| scope.spawn(|| sender.run())).collect();
            let hub = self.under_load(&self.launch.clone())?;
            let before = self.totals().positive;
            strike(&hub)?;
            wait::until("messages are taken all the while", REACHED_WITHIN, || {
                Ok((self.totals().positive > before + TAKEN_AGAIN).then_some(()))
            })?;
            pause(LOAD_AFTER);
            drop(stop);
            for sender in running {
                sender.join().map_err(|_| "a sender panicked")??;
            }
            self.finish(hub)
        });
        self.senders = senders;
        self.shared.address.set(None);
        outcome
    }

    /// A fault by chance: mostly a plain kill.
    pub fn any_fault(&mut self) -> Fault {
        match self.random.below(10) {
            0 => Fault::Stop,
            1 | 2 => Fault::KillTwice,
            _ => Fault::Kill,
        }
    }

    /// One round; fails if the law was broken.
    pub fn round(&mut self, fault: &Fault) -> Fallible<()> {
        self.load_through(fault).map_err(|error| format!("{fault:?}: {error}").into())
    }

    /// The counts so far.
    pub fn totals(&self) -> Totals {
        self.shared.ledger.totals()
    }

    /// How long it took from the return of the database until messages were taken again, for each return.
    pub fn recoveries(&self) -> &[Duration] {
        &self.recoveries
    }

    /// What was on its way when the hub died, for each death.
    pub fn found_in_hand(&self) -> &[InHand] {
        &self.found_in_hand
    }

    /// Load, the fault, and load on the hub that came back. Leaves the hub drained and stopped.
    fn load_through(&mut self, fault: &Fault) -> Fallible<()> {
        let mut senders = std::mem::take(&mut self.senders);
        let shared = Arc::clone(&self.shared);
        shared.stop.store(false, Ordering::SeqCst);
        let outcome = thread::scope(|scope| {
            let stop = StopWhenDropped(&shared.stop);
            let running: Vec<ScopedJoinHandle<'_, Fallible<()>>> =
                senders.iter_mut().map(|sender| scope.spawn(|| sender.run())).collect();
            self.strike(fault)?;
            let hub = self.launch.start()?;
            self.shared.address.set(Some(hub.mllp(SOURCE)?));
            pause(LOAD_AFTER);
            drop(stop);
            for sender in running {
                sender.join().map_err(|_| "a sender panicked")??;
            }
            self.finish(hub)
        });
        self.senders = senders;
        self.shared.address.set(None);
        outcome
    }

    /// Starts the hub, lets it work, and has the fault happen. The hub is down afterwards.
    fn strike(&mut self, fault: &Fault) -> Fallible<()> {
        match fault {
            Fault::Point(point, nth) => self.strike_at_point(point, *nth),
            Fault::FailedSync => self.strike_sync(),
            Fault::FullDisk => self.strike_disk(),
            Fault::DatabaseKilled | Fault::DatabaseStopped | Fault::SessionsEnded => self.strike_database(fault),
            Fault::Stop => self.under_load(&self.launch.clone())?.stop(),
            Fault::Kill => {
                self.under_load(&self.launch.clone())?.process.kill()?;
                self.look_at_what_was_in_hand()
            }
            Fault::KillTwice => {
                self.under_load(&self.launch.clone())?.process.kill()?;
                self.look_at_what_was_in_hand()?;
                let mut recovering = self.launch.spawn()?;
                pause(self.random.between(Duration::ZERO, RECOVERY));
                recovering.kill()
            }
        }
    }

    /// Starts a hub and lets it work for a while.
    fn under_load(&mut self, launch: &Launch) -> Fallible<Hub> {
        let hub = launch.start()?;
        self.shared.address.set(Some(hub.mllp(SOURCE)?));
        pause(self.random.between(LOAD.0, LOAD.1));
        Ok(hub)
    }

    /// A failed sync says nothing about what is on the disk: the hub must not try again, but end (H1).
    fn strike_sync(&mut self) -> Fallible<()> {
        let launch = self.launch.with_failing_calls("fsync,fdatasync:error=EIO:when=60+");
        let hub = launch.start()?;
        self.shared.address.set(Some(hub.mllp(SOURCE)?));
        let mut process = hub.process;
        let status = process.wait(REACHED_WITHIN)?;
        if status.code() != Some(EXIT_IO) {
            return Err(format!("the hub ended with {status} instead of {EXIT_IO}: {}", process.log_end()).into());
        }
        self.look_at_what_was_in_hand()
    }

    /// Writes fail for a while, as on a full disk. Who sends meanwhile is refused; afterwards messages are taken again.
    fn strike_disk(&mut self) -> Fallible<()> {
        let launch = self.launch.with_failing_calls("write,pwrite64:error=ENOSPC:when=300..340");
        let before = self.shared.ledger.refused_orders();
        let hub = self.under_load(&launch)?;
        wait::until("orders are refused while the disk is full", REACHED_WITHIN, || {
            Ok((self.shared.ledger.refused_orders() > before).then_some(()))
        })?;
        let taken = self.totals().positive;
        wait::until("messages are taken again", REACHED_WITHIN, || {
            Ok((self.totals().positive > taken + TAKEN_AGAIN).then_some(()))
        })?;
        hub.stop()
    }

    /// The database goes and comes back under the hub. Who sends meanwhile waits or is refused; afterwards messages are
    /// taken again, soon, and the hub is the same process.
    fn strike_database(&mut self, fault: &Fault) -> Fallible<()> {
        let hub = self.under_load(&self.launch.clone())?;
        let away = self.random.between(Duration::ZERO, AWAY_MAX);
        let database = self.database()?;
        match fault {
            Fault::DatabaseKilled => {
                database.server()?.kill()?;
                database.server()?.up()?;
            }
            Fault::DatabaseStopped => {
                database.server()?.stop_at_once()?;
                pause(away);
                database.server()?.up()?;
            }
            _ => {
                database.end_sessions()?;
            }
        }
        let back = Stopwatch::start();
        let taken = self.totals().positive;
        wait::until("messages are taken again", RECOVERED_WITHIN, || {
            Ok((self.totals().positive > taken + TAKEN_SOON).then_some(()))
        })?;
        self.recoveries.push(back.elapsed());
        hub.stop()
    }

    fn database(&self) -> Fallible<&Database> {
        match &self.store {
            Store::Database(database) => Ok(database),
            Store::Folder => Err("this campaign has no database".into()),
        }
    }

    fn strike_at_point(&mut self, point: &str, nth: u32) -> Fallible<()> {
        let launch = self.launch.with("HUB_CRASH_AT", &format!("{point}:{nth}"));
        let mut process = match launch.spawn()?.until_ready()? {
            Started::Ready(mut hub) => {
                self.shared.address.set(Some(hub.mllp(SOURCE)?));
                self.reload_until_it_dies(&mut hub, point)?;
                hub.process
            }
            Started::Ended(process, _) => process,
        };
        let status = process.wait(REACHED_WITHIN).map_err(|error| format!("not reached: {error}"))?;
        if status.signal() != Some(SIGNAL_ABORT) {
            return Err(format!("the hub ended with {status} instead of aborting: {}", process.log_end()).into());
        }
        self.look_at_what_was_in_hand()
    }

    /// Points of the reload are reached only when the routes change and the hub is told so.
    fn reload_until_it_dies(&self, hub: &mut Hub, point: &str) -> Fallible<()> {
        if !point.starts_with("reload.") {
            return Ok(());
        }
        let deadline = Deadline::within(REACHED_WITHIN);
        let mut turn = 0;
        while !deadline.has_passed() {
            turn += 1;
            self.folder.write("routes.toml", format!("# change {turn}\n{}", routes(&self.archive)))?;
            if hub.process.has_ended()? || hub.signal("HUP").is_err() {
                return Ok(());
            }
            pause(RELOAD_EVERY);
        }
        Err("not reached by reloads".into())
    }

    fn look_at_what_was_in_hand(&mut self) -> Fallible<()> {
        self.shared.address.set(None);
        if let Store::Database(database) = &self.store {
            self.found_in_hand.push(database.in_hand()?);
            return Ok(());
        }
        let journal = Journal::open_copy(&self.launch.data, &self.folder.path().join("after-crash"))?;
        if !journal.is_whole()? {
            return Err("SQLite finds the journal broken".into());
        }
        self.found_in_hand.push(journal.in_hand()?);
        Ok(())
    }

    /// No more load and no fault: everything must come to its end, the hub must stop, and the oracle must agree.
    fn finish(&self, hub: Hub) -> Fallible<()> {
        if let Store::Database(database) = &self.store {
            wait::until("every message is at an end", DRAINED_WITHIN, || {
                Ok((database.in_hand()? == InHand::default()).then_some(()))
            })?;
            hub.stop()?;
            self.shared.ledger.sync()?;
            return Oracle::judge(&self.shared.ledger, &database.journal()?, &self.archive)?.into_result();
        }
        let journal = Journal::open(&self.launch.data)?;
        journal.wait_until_drained(DRAINED_WITHIN)?;
        hub.stop()?;
        self.shared.ledger.sync()?;
        Oracle::judge(&self.shared.ledger, &journal, &self.archive)?.into_result()
    }
}

/// Every message goes to the prescription actor, by the mapping that hospitals use, and as it came into a folder.
pub fn routes(archive: &Path) -> String {
    let archive = archive.display();
    format!(
        r#"
[source.{SOURCE}]
adapter = "hl7v2-mllp"
listen  = "127.0.0.1:0"
key     = 'PID-3[.5 = "NI"].1'

[destination.{ARCHIVE}]
adapter   = "file"
folder    = "{archive}"
extension = "hl7"

[[route]]
id    = "orders"
why   = "Each order must have exactly one effect."
from  = ["{SOURCE}"]
map   = "rde_o11_to_prescription"
to    = ["{CHANNEL}"]
# A cancellation whose order never came, because its sender gave up on it, must come to its end within the test.
retry = {{ first = "50ms", max = "500ms", give_up = "3s" }}

[[route]]
id   = "archive"
why  = "Each message must arrive once, byte for byte."
from = ["{SOURCE}"]
to   = ["{ARCHIVE}"]
"#
    )
}
