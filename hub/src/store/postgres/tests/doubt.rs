//! What only a database beside the hub can do: break at COMMIT, go away, be written by several.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures::future::join_all;
use sqlx::postgres::PgSslMode;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::Instant;

use super::*;
use crate::store::contract::samples::{accept, all, commit, ids, inbox, known_once, message};
use crate::store::{MessageId, Outcome, Row, StoreError};

/// As the simple protocol says COMMIT: `Q`, the length, the text and its end.
const COMMIT: &[u8] = b"Q\0\0\0\x0bCOMMIT\0";

/// What the proxy does at the next COMMIT, once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum At {
    /// Passes it on.
    Passes,
    /// Cuts the connection before the server has it.
    CutsBefore,
    /// Passes it on, and cuts before the hub has the answer.
    CutsAfter,
    /// Takes it, says nothing for a while, and passes it on when the hub has long given up.
    Delays,
    /// Refuses new connections, and cuts those that are open.
    Away,
}

/// A proxy before the server.
struct Proxy {
    address: SocketAddr,
    at: Arc<Mutex<At>>,
}

impl Proxy {
    async fn start() -> Proxy {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let at = Arc::new(Mutex::new(At::Passes));
        let server = server();
        let to = format!("{}:{}", server.get_host(), server.get_port());
        let acts = Arc::clone(&at);
        tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                if *acts.lock().unwrap() == At::Away {
                    continue;
                }
                let Ok(upstream) = TcpStream::connect(&to).await else { continue };
                tokio::spawn(pass(client, upstream, Arc::clone(&acts)));
            }
        });
        Proxy { address, at }
    }

    fn does(&self, at: At) {
        *self.at.lock().unwrap() = at;
    }

    /// The server, as it is reached through the proxy.
    fn options(&self) -> PgConnectOptions {
        // What is said is read on the way, so it is said in the open.
        server().host(&self.address.ip().to_string()).port(self.address.port()).ssl_mode(PgSslMode::Disable)
    }
}

async fn pass(client: TcpStream, upstream: TcpStream, at: Arc<Mutex<At>>) {
    let (mut from_client, mut to_client) = client.into_split();
    let (mut from_server, mut to_server) = upstream.into_split();
    let mut back = tokio::spawn(async move { tokio::io::copy(&mut from_server, &mut to_client).await });
    let mut bytes = vec![0; 1 << 16];
    loop {
        let read = tokio::select! {
            read = from_client.read(&mut bytes) => read,
            _ = &mut back => return,
            () = away(&at) => { back.abort(); return; }
        };
        let Ok(count @ 1..) = read else { break };
        let piece = &bytes[..count];
        if piece == COMMIT {
            let now = std::mem::replace(&mut *at.lock().unwrap(), At::Passes);
            if now == At::CutsBefore {
                back.abort();
                return;
            }
            if now == At::CutsAfter {
                back.abort();
                let _ = back.await;
                to_server.write_all(piece).await.unwrap();
                // The server has committed when it has answered.
                tokio::time::sleep(Duration::from_millis(200)).await;
                return;
            }
            if now == At::Delays {
                back.abort();
                let _ = back.await;
                drop(from_client);
                tokio::time::sleep(Duration::from_millis(1_500)).await;
                let _ = to_server.write_all(piece).await;
                tokio::time::sleep(Duration::from_millis(200)).await;
                return;
            }
        }
        if to_server.write_all(piece).await.is_err() {
            break;
        }
    }
    back.abort();
}

async fn away(at: &Mutex<At>) {
    while *at.lock().unwrap() != At::Away {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

/// A unit whose second effect would be seen: by its inbox key, or as a message.
fn unit(name: &str) -> Vec<Row> {
    vec![inbox(name), Row::Message(Box::new(message(name)))]
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_commit_whose_answer_is_lost_is_looked_up_and_takes_effect_once() {
    let proxy = Proxy::start().await;
    let schema = Schema::on(proxy.options()).await;
    let store = schema.open().await;
    let mut expected = vec!["first".to_owned()];
    accept(&*store, message("first")).await;
    for (round, at) in
        [At::CutsBefore, At::CutsAfter, At::Delays, At::CutsAfter, At::CutsBefore].into_iter().enumerate()
    {
        proxy.does(at);
        let name = format!("{at:?}{round}");
        let outcome = commit(&*store, unit(&name)).await;
        assert_eq!(*proxy.at.lock().unwrap(), At::Passes, "{at:?} was not met");
        let Outcome::Committed(given) = outcome else { panic!("{at:?}: {outcome:?}") };
        assert_eq!(&*store.message(given[0]).await.unwrap().unwrap().control_id, name, "{at:?}");
        assert_eq!(commit(&*store, unit(&name)).await, Outcome::AlreadyApplied, "{at:?}");
        expected.push(name);
    }
    let expected: Vec<&str> = expected.iter().map(String::as_str).collect();
    assert_eq!(all(&*store).await, ids(&expected), "each once, in the order of the commits");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_commits_under_cuts_take_effect_once_and_in_order() {
    let proxy = Proxy::start().await;
    let schema = Schema::on(proxy.options()).await;
    let store = schema.open().await;
    let cuts = async {
        for place in 0..12 {
            tokio::time::sleep(Duration::from_millis(60)).await;
            proxy.does(if place % 2 == 0 { At::CutsAfter } else { At::CutsBefore });
        }
    };
    let tasks = (0..16).map(|task| {
        let store = Arc::clone(&store);
        async move {
            let mut given = Vec::new();
            for round in 0..40 {
                let name = format!("T{task}R{round}");
                match commit(&*store, vec![Row::Message(Box::new(known_once(&name)))]).await {
                    Outcome::Committed(ids) => given.extend(ids),
                    other => panic!("{other:?}"),
                }
            }
            assert!(given.is_sorted(), "ids grow in the order of the commits");
            given.len()
        }
    });
    let (counts, ()) = futures::future::join(join_all(tasks), cuts).await;
    assert_eq!(all(&*store).await.len(), counts.iter().sum::<usize>(), "each once");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_database_that_is_away_costs_refusals_is_told_and_is_back_soon() {
    let proxy = Proxy::start().await;
    let schema = Schema::on(proxy.options()).await;
    let store = schema.open().await;
    accept(&*store, message("before")).await;
    proxy.does(At::Away);
    let began = Instant::now();
    let outcome = commit(&*store, unit("refused")).await;
    assert!(matches!(&outcome, Outcome::Failed(error) if error.is_passing()), "{outcome:?}");
    assert!(began.elapsed() < Duration::from_secs(8), "refused after {:?}", began.elapsed());
    assert!(matches!(store.health(), Err(StoreError::Away(_))), "{:?}", store.health());
    proxy.does(At::Passes);
    let back = Instant::now();
    while store.health().is_err() {
        assert!(back.elapsed() < Duration::from_secs(5), "well after {:?}", back.elapsed());
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let waits = commit(&*store, unit("after")).await;
    assert!(matches!(waits, Outcome::Committed(_)), "{waits:?}");
    assert_eq!(all(&*store).await, ids(&["before", "after"]), "what was refused was not written");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_idle_hub_knows_within_seconds_that_its_database_is_away() {
    let proxy = Proxy::start().await;
    let schema = Schema::on(proxy.options()).await;
    let store = schema.open().await;
    assert_eq!(store.health(), Ok(()));
    proxy.does(At::Away);
    let began = Instant::now();
    while store.health().is_ok() {
        assert!(began.elapsed() < Duration::from_secs(5));
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    // A commit waits out a short absence.
    let waiting = tokio::spawn({
        let store = Arc::clone(&store);
        async move { commit(&*store, unit("waits")).await }
    });
    tokio::time::sleep(Duration::from_millis(300)).await;
    proxy.does(At::Passes);
    let outcome = waiting.await.unwrap();
    assert!(matches!(outcome, Outcome::Committed(_)), "{outcome:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_writers_never_give_one_id_and_give_them_in_the_order_of_their_commits() {
    let schema = Schema::new().await;
    let place = || Place { alone: false, ..schema.place() };
    let writers = [schema.store(place()).await, schema.store(place()).await];
    // Where the journal was looked at, all that had been given was there, and nothing comes in below it later.
    let looks = async {
        let mut seen = Vec::new();
        for _ in 0..30 {
            let found = writers[0].terms_after(MessageId(0), usize::MAX).await.unwrap();
            seen.push(found.into_iter().map(|(id, _)| id).collect::<Vec<_>>());
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        seen
    };
    let tasks = (0..8).map(|task| {
        let store = Arc::clone(&writers[task % 2]);
        async move {
            let mut given = Vec::new();
            for round in 0..40 {
                given.push(accept(&*store, message(&format!("T{task}R{round}"))).await);
            }
            given
        }
    });
    let (given, seen) = futures::future::join(join_all(tasks), looks).await;
    assert!(given.iter().all(|of_task| of_task.is_sorted()), "ids grow in the order of the commits");
    let mut given: Vec<_> = given.concat();
    given.sort_unstable();
    let journal: Vec<_> =
        writers[1].terms_after(MessageId(0), usize::MAX).await.unwrap().into_iter().map(|(id, _)| id).collect();
    assert_eq!(journal, given, "no id twice, and none lost");
    for looked in seen {
        assert_eq!(looked[..], journal[..looked.len()], "a row came in below one that was seen");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_two_writers_one_takes_the_inbox_key_and_one_is_first() {
    let schema = Schema::new().await;
    let place = || Place { alone: false, ..schema.place() };
    let writers = [schema.store(place()).await, schema.store(place()).await];
    for round in 0..30 {
        let name = format!("R{round}");
        let tasks = writers.iter().map(|store| async {
            let rows = vec![Row::Message(Box::new(known_once(&name)))];
            (commit(&**store, rows).await, commit(&**store, unit(&format!("I{name}"))).await)
        });
        let (first, second): (Vec<_>, Vec<_>) = join_all(tasks).await.into_iter().unzip();
        let committed =
            |outcomes: &[Outcome]| outcomes.iter().filter(|outcome| matches!(outcome, Outcome::Committed(_))).count();
        assert_eq!(committed(&first), 1, "{first:?}");
        assert!(first.iter().any(|outcome| matches!(outcome, Outcome::Repeat { .. })), "{first:?}");
        assert_eq!(committed(&second), 1, "{second:?}");
        assert!(second.contains(&Outcome::AlreadyApplied), "{second:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_second_hub_is_refused_and_one_that_was_replaced_writes_no_more() {
    let schema = Schema::new().await;
    let first = schema.store(schema.place()).await;
    accept(&*first, message("A")).await;
    let second = PostgresStore::open(schema.place(), Arc::new(schema.clock().clone())).await.err();
    assert!(second.unwrap().to_string().starts_with("HUB0220"));
    // As if the first had been thought dead: its session is gone, and another hub is there before it is back.
    schema.look().await.execute("DELETE FROM writer").await.unwrap();
    let outcome = commit(&*first, unit("late")).await;
    assert!(matches!(&outcome, Outcome::Failed(error) if error.is_the_end()), "{outcome:?}");
    assert!(first.health().is_err_and(|error| error.is_the_end()));
    assert_eq!(all(&*first).await, ids(&["A"]));
}
