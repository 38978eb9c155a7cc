use super::*;

fn file(text: &str) -> (tempfile::TempDir, Global) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("hub.toml");
    std::fs::write(&path, text).unwrap();
    (folder, Global { config: Some(path), ..Global::default() })
}

fn found(result: Result<Settings, Findings>) -> Vec<(String, usize, usize)> {
    let findings = result.expect_err("there are findings");
    findings.iter().map(|finding| (finding.code.to_string(), finding.line, finding.column)).collect()
}

#[test]
fn without_a_file_everything_has_its_default() {
    let settings = Settings::load_for_run(&Global::default(), &RunArgs::default()).unwrap();
    assert_eq!(settings, Settings::default());
    assert_eq!(settings.http.listen.to_string(), HTTP_STANDARD);
    assert_eq!(settings.channels.len(), Channel::ALL.len());
}

#[test]
fn the_example_file_loads_and_says_what_the_defaults_are() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../deploy/hub.toml");
    let example = Global { config: Some(path.clone()), ..Global::default() };
    let settings = Settings::load_for_run(&example, &RunArgs::default()).unwrap_or_else(|found| panic!("{found}"));
    let folder = path.parent().unwrap();
    let expected =
        Settings { data: folder.join("../data"), routes: folder.join("../routes.toml"), ..Settings::default() };
    assert_eq!(settings, expected);
    let container = Global { profile: Some("container".to_owned()), ..example };
    let profiled = Settings::load_for_run(&container, &RunArgs::default()).unwrap_or_else(|found| panic!("{found}"));
    assert_eq!((profiled.http.listen.to_string().as_str(), profiled.log), ("0.0.0.0:8080", LogFormat::Json));
    assert_eq!(profiled.limits, Limits::default());
}

#[test]
fn flags_go_before_a_profile_and_a_profile_before_the_rest() {
    let (folder, mut global) = file(
        "data = 'd'\nroutes = 'r.toml'\nlog = 'json'\n[limits]\ntaps = 3\n\
         [profile.x]\nroutes = 'x.toml'\n[profile.x.limits]\ndrain = '3s'\nstuck = '5s'\n",
    );
    global.profile = Some("x".to_owned());
    global.data = Some("flag".into());
    global.http = Some("127.0.0.1:0".to_owned());
    let args = RunArgs { log: Some(LogFormat::Text), ..RunArgs::default() };
    let settings = Settings::load_for_run(&global, &args).unwrap();
    assert_eq!(settings.data, Path::new("flag"));
    assert_eq!(settings.routes, folder.path().join("x.toml"));
    assert_eq!((settings.log, settings.http.listen.port()), (LogFormat::Text, 0));
    let limits = settings.limits;
    assert_eq!((limits.taps, limits.drain, limits.stuck), (3, Duration::from_secs(3), Duration::from_secs(5)));
}

#[test]
fn an_address_on_the_network_needs_tls_or_a_reason() {
    let listen = |more: &str| file(&format!("[http]\nlisten = '0.0.0.0:8080'\n{more}"));
    let (_plain, plain) = listen("");
    assert_eq!(found(Settings::load_for_run(&plain, &RunArgs::default())), [("HUB0138".to_owned(), 2, 10)]);
    let reason = RunArgs { http_insecure: Some("a sealed network".to_owned()), ..RunArgs::default() };
    assert!(Settings::load_for_run(&plain, &reason).is_ok());
    for protected in ["tls = { certificate = 'a.pem', key = 'a.key' }\n", "insecure = 'a sealed network'\n"] {
        let (_folder, global) = listen(protected);
        assert!(Settings::load_for_run(&global, &RunArgs::default()).is_ok(), "{protected}");
    }
    let (_empty, empty) = listen("insecure = ' '\n");
    assert_eq!(found(Settings::load_for_run(&empty, &RunArgs::default())).len(), 2);
    let flag = Global { http: Some("192.0.2.1:80".to_owned()), ..Global::default() };
    assert_eq!(found(Settings::load_for_run(&flag, &RunArgs::default())), [("HUB0138".to_owned(), 1, 1)]);
}

#[test]
fn all_that_is_wrong_is_said_at_once_with_its_place() {
    let (_folder, global) = file(
        "dta = 'x'\nlog = 'xml'\n[http]\nlisten = 'localhost'\n[channels]\nperscription = { broker = 'embedded' }\n\
         claims = { broker = 'kafak' }\n[limits]\nmemory_for_bodies = '1 KiB'\ntaps = 0\ndrain = '1h'\nstuck = '0s'\n\
         [client]\nkey = 'k'\n[profile.y]\nlisten = 1\n",
    );
    let findings = Settings::load_for_run(&global, &RunArgs::default()).unwrap_err();
    let lines: Vec<usize> = findings.iter().map(|finding| finding.line).collect();
    for line in [1, 2, 4, 6, 7, 9, 10, 11, 12, 13, 16] {
        assert!(lines.contains(&line), "line {line} has no finding: {findings}");
    }
    assert_eq!(lines.len(), 11, "{findings}");
    let help = |line| findings.iter().find(|finding| finding.line == line).and_then(|finding| finding.help.clone());
    assert_eq!(help(1).as_deref(), Some("did you mean `data`?"));
    assert_eq!(help(6).as_deref(), Some("did you mean `prescription`?"));
}

#[test]
fn a_file_or_profile_that_is_not_there_is_named() {
    let missing = Global { config: Some("no/such/hub.toml".into()), ..Global::default() };
    assert_eq!(found(Settings::load(&missing)), [("HUB0100".to_owned(), 1, 1)]);
    let (_folder, mut global) = file("[profile.container]\nlog = 'json'\n");
    global.profile = Some("contaner".to_owned());
    let findings = Settings::load(&global).unwrap_err();
    assert!(findings.to_string().contains("did you mean `container`?"), "{findings}");
    let alone = Global { profile: Some("x".to_owned()), ..Global::default() };
    assert!(Settings::load(&alone).unwrap_err().to_string().contains("--config"));
}

#[test]
fn a_channel_goes_by_a_broker_that_is_set() {
    let (folder, global) = file(
        "[broker.rabbitmq]\nurl = { file = 'url' }\npartitions = 4\n\
         [broker.kafka]\nbootstrap = ['127.0.0.1:9092']\nreplicas = 1\n\
         sasl = { mechanism = 'SCRAM-SHA-512', user = 'hub', password = { env = 'HUB_KAFKA' } }\n\
         [channels]\nprescription = { broker = 'rabbitmq' }\nclaims = { broker = 'kafka' }\n",
    );
    let settings = Settings::load(&global).unwrap();
    let broker = |channel| settings.channels.get(&channel).map(|binding| binding.broker);
    assert_eq!(broker(Channel::Prescription), Some(Broker::RabbitMq));
    assert_eq!(broker(Channel::Dispense), Some(Broker::Embedded));
    assert_eq!(broker(Channel::Claims), Some(Broker::Kafka));
    let rabbitmq = settings.brokers.rabbitmq.unwrap();
    assert_eq!((rabbitmq.url, rabbitmq.partitions), (Reference::File(folder.path().join("url")), 4));
    let kafka = settings.brokers.kafka.unwrap();
    assert_eq!((kafka.prefix.as_str(), kafka.partitions, kafka.replicas, kafka.create), ("hub.", 6, 1, true));
    let (mechanism, user, password) = kafka.sasl.unwrap();
    assert_eq!((mechanism.as_str(), user.as_str()), ("SCRAM-SHA-512", "hub"));
    assert_eq!(password, Reference::Variable("HUB_KAFKA".to_owned()));
}

#[test]
fn a_broker_that_is_not_set_or_set_wrong_is_said_with_its_place() {
    let (_folder, unset) = file("[channels]\nprescription = { broker = 'rabbitmq' }\n");
    assert_eq!(found(Settings::load_for_run(&unset, &RunArgs::default())), [("HUB0177".to_owned(), 2, 27)]);
    let (_other, wrong) = file(
        "[broker.rabbitmq]\nurl = 'amqp://hub:hunter2@h/v'\n[broker.kafka]\nbootstrap = ['kafka.example:9092']\n\
         sasl = { mechanism = 'NTLM', user = 'hub', password = { } }\ntopic = 1\n",
    );
    let findings = Settings::load(&wrong).unwrap_err();
    let lines: Vec<usize> = findings.iter().map(|finding| finding.line).collect();
    for line in [2, 4, 5, 6] {
        assert!(lines.contains(&line), "line {line} has no finding: {findings}");
    }
    assert!(!findings.to_string().contains("hunter2"), "{findings}");
}
