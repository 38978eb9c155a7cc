//! The power goes: what the disk holds at that moment is all that is left (H1).
//!
//! The hub's folders lie on ext4 in a loop device. Under load the hub is frozen, the file behind the loop device is
//! copied (bytes that nobody synced are not in it yet), and a hub is started on the copy. The senders' ledger lies
//! outside. Every message that was answered positively must be there, with one end and one effect.
//!
//! It does not model a disk that lies about its flush. It needs root and loop devices.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use crate::Fallible;
use crate::campaign::{DRAINED_WITHIN, SENDERS, routes};
use crate::folder::Folder;
use crate::hub::Launch;
use crate::journal::Journal;
use crate::ledger::Ledger;
use crate::oracle::{ARCHIVE, Findings, Oracle, SOURCE};
use crate::random::Random;
use crate::sender::{Address, Sender, Shared};
use crate::wait::pause;

/// Room for a few seconds of load.
const IMAGE_BYTES: u64 = 256 * 1024 * 1024;
/// Load before the cut.
const LOAD: (Duration, Duration) = (Duration::from_millis(500), Duration::from_millis(2_500));
/// Fewer answered messages would say nothing.
const ANSWERED_MIN: usize = 100;

/// What one cut left.
#[derive(Clone, Debug)]
pub struct Cut {
    /// Messages that were answered positively before it.
    pub answered: usize,
    /// What the oracle finds on the copy.
    pub findings: Findings,
}

/// Cuts the power once. `synchronous` overrides how SQLite syncs; anything but FULL is a negative control.
pub fn cut(folder: &Folder, random: &mut Random, synchronous: Option<&str>) -> Fallible<Cut> {
    let image = folder.path().join("disk.img");
    let left = folder.path().join("left.img");
    make_disk(&image)?;
    let ledger = Ledger::new(&folder.path().join("ledger.log"))?;
    let shared = Arc::new(Shared { address: Address::default(), ledger, stop: AtomicBool::new(false) });
    let disk = Mount::new(&image, folder.path().join("disk"))?;
    let launch = launch_on(&disk.0, folder)?;
    let launch = synchronous.map_or(launch.clone(), |value| launch.with("HUB_SQLITE_SYNCHRONOUS", value));
    let mut hub = launch.start()?;
    let address = hub.mllp(SOURCE)?;
    shared.address.set(Some(address));
    let mut senders: Vec<Sender> =
        (1..=SENDERS).map(|number| Sender::new(number, random.part(u64::from(number)), Arc::clone(&shared))).collect();
    let load = random.between(LOAD.0, LOAD.1);
    thread::scope(|scope| -> Fallible<()> {
        let running: Vec<_> = senders.iter_mut().map(|sender| scope.spawn(|| sender.talk_once(address))).collect();
        pause(load);
        hub.signal("STOP")?;
        run("cp", &["--sparse=never", &text(&image), &text(&left)])?;
        shared.stop.store(true, Ordering::SeqCst);
        hub.process.kill()?;
        for sender in running {
            sender.join().map_err(|_| "a sender panicked")??;
        }
        Ok(())
    })?;
    drop(disk);
    shared.ledger.sync()?;
    judge(folder, &left, &shared.ledger)
}

/// Starts a hub on what is left, lets it recover, and asks the oracle.
fn judge(folder: &Folder, left: &Path, ledger: &Ledger) -> Fallible<Cut> {
    let answered = ledger.totals().positive;
    if answered < ANSWERED_MIN {
        return Err(format!("only {answered} messages were answered before the cut").into());
    }
    // Mounted where the first one was, because the routes name the folder of the archive.
    let disk = Mount::new(left, folder.path().join("disk"))?;
    let launch = launch_on(&disk.0, folder)?;
    let hub = launch.start()?;
    let journal = Journal::open(&launch.data)?;
    journal.wait_until_drained(DRAINED_WITHIN)?;
    hub.stop()?;
    let findings = Oracle::judge(ledger, &journal, &disk.0.join(ARCHIVE))?;
    Ok(Cut { answered, findings })
}

/// Data and archive on the disk, routes outside.
fn launch_on(disk: &Path, folder: &Folder) -> Fallible<Launch> {
    let archive = disk.join(ARCHIVE);
    std::fs::create_dir_all(&archive)?;
    folder.copy_mappings()?;
    let routes = folder.write("routes.toml", routes(&archive))?;
    Ok(Launch::new(disk.join("data"), routes))
}

fn make_disk(image: &Path) -> Fallible<()> {
    std::fs::File::create(image)?.set_len(IMAGE_BYTES)?;
    run("mkfs.ext4", &["-q", "-F", &text(image)])
}

/// A mounted image. It is unmounted when dropped.
struct Mount(PathBuf);

impl Mount {
    fn new(image: &Path, at: PathBuf) -> Fallible<Mount> {
        std::fs::create_dir_all(&at)?;
        run("mount", &["-o", "loop", &text(image), &text(&at)])?;
        Ok(Mount(at))
    }
}

impl Drop for Mount {
    fn drop(&mut self) {
        // Lazily, since a killed hub may still hold a file for a moment. A failure shows at the next mount.
        let _ = run("umount", &["--lazy", &text(&self.0)]);
    }
}

fn text(path: &Path) -> String {
    path.to_string_lossy().into_owned()
}

fn run(program: &str, arguments: &[&str]) -> Fallible<()> {
    let path = format!("{}:/usr/sbin:/sbin", std::env::var("PATH").unwrap_or_default());
    let output = Command::new(program).args(arguments).env("PATH", path).output()?;
    if output.status.success() {
        return Ok(());
    }
    Err(format!("{program} {arguments:?}: {}", String::from_utf8_lossy(&output.stderr).trim()).into())
}
