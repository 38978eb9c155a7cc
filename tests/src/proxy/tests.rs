use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::mpsc;
use std::thread;

use super::*;
use crate::wait::{PATIENCE, Stopwatch, until};

/// Long enough for bytes to arrive that are not held back; they must not, so a slow machine only makes the test weaker.
const SILENCE: Duration = Duration::from_millis(200);

/// A server that sends back what comes, and tells what came when a connection has ended.
struct Echo {
    address: SocketAddr,
    came: mpsc::Receiver<Vec<u8>>,
}

fn echo() -> Echo {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let (say, came) = mpsc::sync_channel(16);
    thread::spawn(move || {
        for stream in listener.incoming().map_while(Result::ok) {
            let say = say.clone();
            thread::spawn(move || say.send(serve(stream)));
        }
    });
    Echo { address, came }
}

fn serve(mut stream: TcpStream) -> Vec<u8> {
    let (mut all, mut piece) = (Vec::new(), [0; 4096]);
    while let Ok(count @ 1..) = stream.read(&mut piece) {
        all.extend_from_slice(&piece[..count]);
        // Who asked may be gone; what it asked is kept all the same.
        let _ = stream.write_all(&piece[..count]);
    }
    all
}

fn connect(proxy: &Proxy) -> TcpStream {
    let stream = TcpStream::connect(proxy.address()).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream
}

/// What comes until the connection ends.
fn rest(mut stream: &TcpStream) -> Vec<u8> {
    let mut all = Vec::new();
    let mut piece = [0; 4096];
    loop {
        match stream.read(&mut piece) {
            Ok(0) => return all,
            Ok(count) => all.extend_from_slice(&piece[..count]),
            Err(error) if error.kind() == ErrorKind::ConnectionReset => return all,
            Err(error) => panic!("neither bytes nor an end: {error}"),
        }
    }
}

fn ask(mut stream: &TcpStream, question: &[u8]) -> Vec<u8> {
    stream.write_all(question).unwrap();
    let mut answer = vec![0; question.len()];
    stream.read_exact(&mut answer).unwrap();
    answer
}

fn hears_nothing(mut stream: &TcpStream) -> bool {
    stream.set_read_timeout(Some(SILENCE)).unwrap();
    let error = stream.read(&mut [0; 1]).unwrap_err();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut)
}

fn none_open(proxy: &Proxy) {
    until("every connection has ended", PATIENCE, || Ok((proxy.counts().open == 0).then_some(()))).unwrap();
}

#[test]
fn what_passes_is_unchanged_and_counted() {
    let server = echo();
    let proxy = Proxy::new(server.address).unwrap();
    let stream = connect(&proxy);
    let sent: Vec<u8> = (0..=u8::MAX).cycle().take(1_000_003).collect();
    thread::scope(|scope| {
        scope.spawn(|| {
            (&stream).write_all(&sent).unwrap();
            stream.shutdown(Shutdown::Write).unwrap();
        });
        assert!(rest(&stream) == sent, "it came back changed");
    });
    assert!(server.came.recv_timeout(PATIENCE).unwrap() == sent, "it arrived changed");
    none_open(&proxy);
    let count = u64::try_from(sent.len()).unwrap();
    assert_eq!(proxy.counts(), Counts { connections: 1, open: 0, cuts: 0, up_bytes: count, down_bytes: count });
}

#[test]
fn a_blackhole_takes_everything_and_the_stream_does_not_go_on_after_it() {
    let server = echo();
    let proxy = Proxy::new(server.address).unwrap();
    let stream = connect(&proxy);
    assert_eq!(ask(&stream, b"before"), b"before");
    proxy.set_both(&Fault::Blackhole);
    (&stream).write_all(b"lost").unwrap();
    assert!(hears_nothing(&stream));
    assert_eq!(proxy.counts().up_bytes, 6);
    proxy.heal();
    assert_eq!(rest(&stream), b"");
    assert_eq!(server.came.recv_timeout(PATIENCE).unwrap(), b"before");
    assert_eq!(ask(&connect(&proxy), b"anew"), b"anew");
}

#[test]
fn a_blackhole_accepts_although_there_is_no_server() {
    let nobody = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let proxy = Proxy::new(nobody).unwrap();
    proxy.set(Direction::Up, Fault::Blackhole);
    let stream = connect(&proxy);
    (&stream).write_all(b"anybody?").unwrap();
    assert!(hears_nothing(&stream));
    proxy.heal();
    assert_eq!(rest(&stream), b"");
}

#[test]
fn a_blackhole_of_answers_lets_questions_arrive() {
    let server = echo();
    let proxy = Proxy::new(server.address).unwrap();
    proxy.set(Direction::Down, Fault::Blackhole);
    let stream = connect(&proxy);
    (&stream).write_all(b"question").unwrap();
    assert!(hears_nothing(&stream));
    drop(stream);
    assert_eq!(server.came.recv_timeout(PATIENCE).unwrap(), b"question");
    assert_eq!(proxy.counts().down_bytes, 0);
}

#[test]
fn what_a_partition_held_arrives_when_it_heals() {
    let server = echo();
    for direction in [Direction::Up, Direction::Down] {
        let proxy = Proxy::new(server.address).unwrap();
        let stream = connect(&proxy);
        assert_eq!(ask(&stream, b"1"), b"1");
        proxy.set(direction, Fault::Partition);
        (&stream).write_all(b"2").unwrap();
        assert!(hears_nothing(&stream), "{direction:?}");
        proxy.heal();
        let mut held = [0; 1];
        (&stream).read_exact(&mut held).unwrap();
        assert_eq!(&held, b"2");
        assert_eq!(ask(&stream, b"3"), b"3");
    }
}

#[test]
fn a_cut_after_so_many_bytes_lets_exactly_those_arrive_and_strikes_as_often_as_it_was_told() {
    let server = echo();
    let proxy = Proxy::new(server.address).unwrap();
    proxy.set(Direction::Down, Fault::Cut(Mark::Bytes(5), 1));
    let stream = connect(&proxy);
    (&stream).write_all(b"abc").unwrap();
    (&stream).write_all(b"defgh").unwrap();
    assert_eq!(rest(&stream), b"abcde");
    assert_eq!(proxy.counts().cuts, 1);
    assert_eq!(ask(&connect(&proxy), b"abcdefgh"), b"abcdefgh");
}

#[test]
fn a_cut_after_a_pattern_lets_the_server_do_it_and_nobody_hear_of_it() {
    let server = echo();
    let proxy = Proxy::new(server.address).unwrap();
    let stream = connect(&proxy);
    assert_eq!(ask(&stream, b"INSERT"), b"INSERT");
    proxy.set(Direction::Up, Fault::Cut(Mark::After(b"COMMIT\0".to_vec()), 1));
    // In two pieces, with an answer between them, so that the pattern begins in one and ends in the other.
    assert_eq!(ask(&stream, b"COM"), b"COM");
    (&stream).write_all(b"MIT\0").unwrap();
    assert_eq!(rest(&stream), b"");
    assert_eq!(server.came.recv_timeout(PATIENCE).unwrap(), b"INSERTCOMMIT\0");
    assert_eq!(proxy.counts().cuts, 1);
}

#[test]
fn a_cut_before_a_pattern_keeps_it_from_the_server() {
    let server = echo();
    let proxy = Proxy::new(server.address).unwrap();
    let stream = connect(&proxy);
    assert_eq!(ask(&stream, b"INSERT"), b"INSERT");
    proxy.set(Direction::Up, Fault::Cut(Mark::Before(b"COMMIT\0".to_vec()), 1));
    (&stream).write_all(b"COMMIT\0").unwrap();
    assert_eq!(rest(&stream), b"");
    assert_eq!(server.came.recv_timeout(PATIENCE).unwrap(), b"INSERT");
}

#[test]
fn a_reset_is_one_for_open_connections_and_new_ones() {
    let server = echo();
    let proxy = Proxy::new(server.address).unwrap();
    let open = connect(&proxy);
    assert_eq!(ask(&open, b"1"), b"1");
    proxy.set_both(&Fault::Reset);
    let kind_of = |mut stream: &TcpStream| stream.read(&mut [0; 1]).map_err(|error| error.kind());
    assert_eq!(kind_of(&open), Err(ErrorKind::ConnectionReset));
    assert_eq!(kind_of(&connect(&proxy)), Err(ErrorKind::ConnectionReset));
    none_open(&proxy);
    proxy.heal();
    assert_eq!(ask(&connect(&proxy), b"2"), b"2");
}

#[test]
fn what_is_slowed_takes_its_time_and_stays_whole() {
    let server = echo();
    let question: Vec<u8> = (0..100).collect();
    let faults = [
        (Fault::Delay(Duration::from_millis(150)), Duration::from_millis(150)),
        // 5 bytes each 50 ms
        (Fault::Rate(100), Duration::from_millis(900)),
        // 34 pieces, a millisecond between them
        (Fault::Slice(3), Duration::from_millis(33)),
    ];
    for (fault, at_least) in faults {
        let proxy = Proxy::new(server.address).unwrap();
        let stream = connect(&proxy);
        assert_eq!(ask(&stream, b"1"), b"1");
        proxy.set(Direction::Down, fault.clone());
        let watch = Stopwatch::start();
        assert_eq!(ask(&stream, &question), question);
        assert!(watch.elapsed() >= at_least, "{fault:?} took only {:?}", watch.elapsed());
    }
}

#[test]
fn everything_ends_with_the_proxy() {
    let server = echo();
    let proxy = Proxy::new(server.address).unwrap();
    let stream = connect(&proxy);
    assert_eq!(ask(&stream, b"1"), b"1");
    let address = proxy.address();
    drop(proxy);
    assert_eq!(rest(&stream), b"");
    assert_eq!(server.came.recv_timeout(PATIENCE).unwrap(), b"1");
    let refused = || Ok(TcpStream::connect(address).is_err().then_some(()));
    until("the port is closed", PATIENCE, refused).unwrap();
}

#[tokio::test]
async fn a_test_with_a_runtime_may_drop_it() {
    let server = echo();
    let proxy = Proxy::new(server.address).unwrap();
    drop(proxy);
}
