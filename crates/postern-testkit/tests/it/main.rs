//! What only a process of its own can show.

#![expect(clippy::unwrap_used, reason = "a test panics when it fails")]

use std::{
    io::{BufRead as _, BufReader, ErrorKind, Read as _, Write as _},
    net::TcpStream,
    path::PathBuf,
    process::{Child, ChildStdout, Command, Stdio},
    time::Duration,
};

use postern_testkit::wait_until;

const LIMIT: Duration = Duration::from_secs(30);

/// The program, its output, and what the output said: a connection to the server and its folder.
fn throwaway() -> (Child, BufReader<ChildStdout>, TcpStream, PathBuf) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_throwaway-postgres"));
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    let mut output = BufReader::new(child.stdout.take().unwrap());
    let mut line = || {
        let mut text = String::new();
        output.read_line(&mut text).unwrap();
        text.trim_end().to_owned()
    };
    let url = line();
    let folder = PathBuf::from(line());
    let address = url.rsplit('@').next().unwrap().split('/').next().unwrap();
    let mut connection = TcpStream::connect(address).unwrap();
    // The answer to the question for TLS shows that a server process serves this connection.
    connection.write_all(&[0, 0, 0, 8, 4, 210, 22, 47]).unwrap();
    let mut answer = [0];
    connection.read_exact(&mut answer).unwrap();
    assert_eq!(&answer, b"N");
    assert!(folder.join("data").is_dir());
    (child, output, connection, folder)
}

/// The server closes its end, maybe with a message before that.
fn assert_closed(connection: &mut TcpStream) {
    connection.set_read_timeout(Some(LIMIT)).unwrap();
    let end = connection.read_to_end(&mut Vec::new()).map_err(|error| error.kind());
    assert_ne!(end, Err(ErrorKind::WouldBlock));
}

#[test]
fn the_server_does_not_survive_a_killed_parent() {
    let (mut child, _output, mut connection, folder) = throwaway();
    child.kill().unwrap();
    child.wait().unwrap();
    assert_closed(&mut connection);
    wait_until(LIMIT, "the folder is removed", || !folder.exists()).unwrap();
}

#[test]
fn the_end_of_input_stops_the_server() {
    let (mut child, _output, mut connection, folder) = throwaway();
    drop(child.stdin.take());
    assert!(child.wait().unwrap().success());
    assert_closed(&mut connection);
    assert!(!folder.exists());
}
