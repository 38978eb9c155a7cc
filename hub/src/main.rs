fn main() -> std::process::ExitCode {
    let args: Vec<String> = std::env::args().collect();
    let value = |name: &str, default: &str| {
        args.iter().position(|a| a == name).and_then(|i| args.get(i + 1)).cloned().unwrap_or(default.to_owned())
    };
    hub::telemetry::start_log(hub::telemetry::LogFormat::Text, false);
    let settings = hub::cli::run::RunSettings {
        data: value("--data", "data").into(),
        routes: value("--routes", "routes.toml").into(),
        http: value("--http", "127.0.0.1:8080").parse().unwrap(),
    };
    let system =
        actix::System::with_tokio_rt(|| tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap());
    let exit = system.block_on(hub::cli::run::run(settings));
    std::process::ExitCode::from(exit.code())
}
