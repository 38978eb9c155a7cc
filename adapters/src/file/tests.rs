use proptest::prelude::*;
use tempfile::TempDir;

use super::*;
use crate::Format;

fn parcel(key: &str, body: &'static str) -> Parcel {
    Parcel {
        idempotency_key: key.to_owned(),
        body: Bytes::from_static(body.as_bytes()),
        format: Format::Hl7v2,
        attempt: 1,
    }
}

fn sink(folder: &Path) -> FileSink {
    FileSink::new(folder.to_owned(), ".hl7", FileLimits::default())
}

fn files(folder: &Path) -> Vec<(String, String)> {
    let mut found: Vec<_> = std::fs::read_dir(folder)
        .expect("a folder")
        .map(|entry| {
            let entry = entry.expect("an entry");
            let content = std::fs::read_to_string(entry.path()).expect("content");
            (entry.file_name().into_string().expect("text"), content)
        })
        .collect();
    found.sort();
    found
}

fn named(name: &str, content: &str) -> (String, String) {
    (name.to_owned(), content.to_owned())
}

fn delivered(answer: &str) -> Verdict {
    Verdict::Delivered { answer: answer.to_owned() }
}

#[tokio::test]
async fn a_parcel_is_one_file_named_by_its_key() {
    let folder = TempDir::new().expect("a folder");
    assert_eq!(sink(folder.path()).deliver(&parcel("eda-17", "MSH|1")).await, delivered("written"));
    assert_eq!(files(folder.path()), [named("eda-17.hl7", "MSH|1")]);
    let mode = std::fs::metadata(folder.path().join("eda-17.hl7")).expect("metadata").mode();
    assert_eq!(mode & 0o007, 0, "others must not read it");
}

#[tokio::test]
async fn a_repeat_writes_no_second_file() {
    let folder = TempDir::new().expect("a folder");
    sink(folder.path()).deliver(&parcel("eda-17", "MSH|1")).await;
    let before = std::fs::metadata(folder.path().join("eda-17.hl7")).expect("metadata").ino();
    let repeat = Parcel { attempt: 2, ..parcel("eda-17", "MSH|1") };
    assert_eq!(sink(folder.path()).deliver(&repeat).await, delivered("was already there"));
    assert_eq!(files(folder.path()), [named("eda-17.hl7", "MSH|1")]);
    assert_eq!(std::fs::metadata(folder.path().join("eda-17.hl7")).expect("metadata").ino(), before);
}

#[tokio::test]
async fn another_content_under_the_same_key_is_rejected_and_the_first_kept() {
    let folder = TempDir::new().expect("a folder");
    let sink = sink(folder.path());
    sink.deliver(&parcel("eda-17", "MSH|1")).await;
    for other in ["MSH|2", "longer than the first"] {
        let verdict = sink.deliver(&parcel("eda-17", other)).await;
        assert!(matches!(verdict, Verdict::Rejected { .. }), "{verdict:?}");
    }
    assert_eq!(files(folder.path()), [named("eda-17.hl7", "MSH|1")]);
}

#[tokio::test]
async fn what_a_crash_left_half_written_is_written_anew() {
    let folder = TempDir::new().expect("a folder");
    std::fs::write(folder.path().join(".eda-17.hl7.part"), "half of something much longer").expect("written");
    assert_eq!(sink(folder.path()).deliver(&parcel("eda-17", "MSH|1")).await, delivered("written"));
    assert_eq!(files(folder.path()), [named("eda-17.hl7", "MSH|1")]);
}

#[tokio::test]
async fn a_full_disk_is_a_retry_that_leaves_nothing() {
    let folder = TempDir::new().expect("a folder");
    // The hidden file is a device on which every write says that there is no space.
    std::os::unix::fs::symlink("/dev/full", folder.path().join(".eda-17.hl7.part")).expect("linked");
    let sink = sink(folder.path());
    let verdict = sink.deliver(&parcel("eda-17", "MSH|1")).await;
    assert_eq!(verdict, retry("cannot write: no storage space".to_owned()));
    assert_eq!(files(folder.path()), []);
    assert_eq!(sink.deliver(&parcel("eda-17", "MSH|1")).await, delivered("written"));
}

#[tokio::test]
async fn a_folder_that_is_missing_or_none_is_a_retry() {
    let folder = TempDir::new().expect("a folder");
    std::fs::write(folder.path().join("file"), "").expect("written");
    for (name, reason) in [("missing", "entity not found"), ("file", "not a directory")] {
        let verdict = sink(&folder.path().join(name)).deliver(&parcel("eda-17", "CANARY")).await;
        assert_eq!(verdict, retry(format!("cannot write: {reason}")));
    }
}

#[tokio::test]
async fn an_attempt_that_is_still_writing_is_not_disturbed() {
    let folder = TempDir::new().expect("a folder");
    let other = File::create(folder.path().join(".eda-17.hl7.part")).expect("created");
    other.lock().expect("locked");
    let verdict = sink(folder.path()).deliver(&parcel("eda-17", "MSH|1")).await;
    assert_eq!(verdict, retry("another attempt is writing this file".to_owned()));
    drop(other);
    assert_eq!(sink(folder.path()).deliver(&parcel("eda-17", "MSH|1")).await, delivered("written"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn attempts_at_the_same_time_leave_one_whole_file() {
    let folder = TempDir::new().expect("a folder");
    for round in 0..20 {
        let key = format!("eda-{round}");
        let sink = Arc::new(sink(folder.path()));
        let attempts: Vec<_> = (0..8)
            .map(|_| {
                let (sink, parcel) = (Arc::clone(&sink), parcel(&key, "MSH|1"));
                tokio::spawn(async move { sink.deliver(&parcel).await })
            })
            .collect();
        let mut delivered = 0;
        for attempt in attempts {
            match attempt.await.expect("no panic") {
                Verdict::Delivered { .. } => delivered += 1,
                Verdict::Retry { .. } => {}
                Verdict::Rejected { reason } => panic!("{reason}"),
            }
        }
        assert!(delivered >= 1);
        assert_eq!(sink.deliver(&parcel(&key, "MSH|1")).await, super::tests::delivered("was already there"));
    }
    let found = files(folder.path());
    assert!(found.len() == 20 && found.iter().all(|(name, content)| !name.starts_with('.') && content == "MSH|1"));
}

#[test]
fn no_key_leaves_the_folder_or_hides_its_file() {
    let sink = sink(Path::new("/folder"));
    let cases = [
        ("../../etc/passwd", "~2e.~2f..~2fetc~2fpasswd.hl7"),
        (".hidden", "~2ehidden.hl7"),
        ("a b\n", "a~20b~0a.hl7"),
        ("a~b", "a~7eb.hl7"),
        ("وصفة", "~d9~88~d8~b5~d9~81~d8~a9.hl7"),
    ];
    for (key, name) in cases {
        assert_eq!(sink.file_name(key), name, "{key}");
    }
    assert!(sink.file_name(&"ص".repeat(500)).len() < 250 - ".part".len());
    assert_eq!(FileSink::new("/folder".into(), "../x", FileLimits::default()).file_name("a"), "a.~2fx");
}

proptest! {
    #[test]
    fn two_keys_never_share_a_name(one in ".{0,90}", other in ".{0,90}") {
        prop_assume!(one != other);
        prop_assert_ne!(stem(&one), stem(&other));
    }

    #[test]
    fn a_name_is_one_plain_and_visible_name(key in ".{1,120}") {
        let name = stem(&key);
        prop_assert!(name.len() <= NAME_BYTES_MAX);
        prop_assert!(!name.starts_with('.'));
        prop_assert!(name.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.' | b'~')));
    }
}
