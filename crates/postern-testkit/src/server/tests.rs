use std::{
    io::{ErrorKind, Read as _},
    net::TcpStream,
    time::Duration,
};

use super::{Options, PostgresServer, QueryError, StartError};

fn start(options: Options) -> PostgresServer {
    PostgresServer::start(options).unwrap_or_else(|error| panic!("{error}"))
}

#[test]
fn starts_answers_stops_and_leaves_nothing() {
    let server = start(Options::default());
    let folder = server.socket_dir().to_owned();
    assert_eq!(server.psql("select 1; select 2, null, 'x'").unwrap(), "1\n2||x");
    server.stop().unwrap();
    assert!(!folder.exists(), "{}", folder.display());
}

#[test]
fn dropped_is_stopped_at_once_and_removed() {
    let server = start(Options::default());
    let folder = server.socket_dir().to_owned();
    let mut connection = TcpStream::connect(("127.0.0.1", server.port())).unwrap();
    drop(server);
    // The server closes its end, maybe with a message before that.
    connection.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
    let end = connection.read_to_end(&mut Vec::new()).map_err(|error| error.kind());
    assert_ne!(end, Err(ErrorKind::WouldBlock));
    assert!(!folder.exists(), "{}", folder.display());
}

#[test]
fn started_again_it_has_its_port_and_its_data() {
    let mut server = start(Options::default());
    let port = server.port();
    server.psql("create table kept as select 42 as answer").unwrap();
    // A client that says nothing must not keep the server from going.
    let _silent = TcpStream::connect(("127.0.0.1", port)).unwrap();
    server.shut_down().unwrap();
    assert!(matches!(server.psql("select 1"), Err(QueryError::Failed(_))));
    server.start_again().unwrap();
    assert_eq!(server.port(), port);
    assert_eq!(server.psql("select answer from kept").unwrap(), "42");
}

#[test]
fn a_password_is_asked_for_on_tcp_and_not_on_the_socket() {
    let server = start(Options {
        superuser: "the boss".to_owned(),
        password: Some("p@ss/word's".to_owned()),
        ..Options::default()
    });
    assert_eq!(server.psql("select current_user").unwrap(), "the boss");
    let hba = "select auth_method from pg_hba_file_rules where address = '127.0.0.1' limit 1";
    assert_eq!(server.psql(hba).unwrap(), "scram-sha-256");
    let stored = "select left(rolpassword, 14) from pg_authid where rolname = current_user";
    assert_eq!(server.psql(stored).unwrap(), "SCRAM-SHA-256$");
    let url = server.url();
    assert_eq!(
        url,
        format!("postgres://the%20boss:p%40ss%2Fword%27s@127.0.0.1:{}/postgres", server.port())
    );
    let psql = || std::process::Command::new(server.program("psql"));
    let right = psql().args([url.as_str(), "-XAtc", "select 7"]).output().unwrap();
    assert_eq!(right.stdout, b"7\n");
    let wrong = psql().arg("-w").args([url.replace("word", "ward")]).output().unwrap();
    assert!(!wrong.status.success());
}

#[test]
fn settings_given_win_and_may_hold_quotes() {
    let settings = [("fsync", "on"), ("cluster_name", "it's")];
    let settings = settings.map(|(name, value)| (name.to_owned(), value.to_owned())).to_vec();
    let server = start(Options { settings, ..Options::default() });
    assert_eq!(server.psql("show fsync").unwrap(), "on");
    assert_eq!(server.psql("show cluster_name").unwrap(), "it's");
}

#[test]
fn a_server_that_ends_at_once_is_an_error_with_its_log() {
    let settings = vec![("no_such_setting".to_owned(), "1".to_owned())];
    let error = PostgresServer::start(Options { settings, ..Options::default() }).unwrap_err();
    assert!(matches!(error, StartError::Ended { .. }), "{error}");
    assert!(error.to_string().contains("no_such_setting"), "{error}");
}

#[test]
fn failed_sql_is_an_error_with_its_line() {
    let server = start(Options::default());
    let error = server.psql("select 1;\nselect * from nothing;\nselect 2").unwrap_err();
    let text = error.to_string();
    assert!(text.contains(":2:") && text.contains("\"nothing\" does not exist"), "{text}");
}

#[test]
fn several_start_at_the_same_time() {
    let ports = std::thread::scope(|scope| {
        let started = [(); 3].map(|()| scope.spawn(|| start(Options::default())));
        started.map(|thread| {
            let server = thread.join().unwrap();
            (server.psql("show port").unwrap(), server)
        })
    });
    for (port, server) in &ports {
        assert_eq!(*port, server.port().to_string());
    }
}
