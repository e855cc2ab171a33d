//! Starts a throw-away PostgreSQL server, prints its URL and the folder of its socket, and keeps it
//! until standard input ends. Arguments `NAME=VALUE` are settings of the server.

use std::{
    env,
    error::Error,
    io::{Write as _, stderr, stdin, stdout},
    process::ExitCode,
};

use postern_testkit::{Options, PostgresServer};

fn main() -> ExitCode {
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            let mut text = format!("error: {error}");
            let mut cause = error.source();
            while let Some(error) = cause {
                text.push_str(&format!(": {error}"));
                cause = error.source();
            }
            let _ = writeln!(stderr(), "{text}");
            ExitCode::from(2)
        }
    }
}

fn run() -> Result<(), Box<dyn Error>> {
    let settings: Option<Vec<(String, String)>> = env::args()
        .skip(1)
        .map(|argument| argument.split_once('=').map(|(n, v)| (n.to_owned(), v.to_owned())))
        .collect();
    let settings = settings.ok_or("an argument is NAME=VALUE, a setting of the server")?;
    let server = PostgresServer::start(Options { settings, ..Options::default() })?;
    writeln!(stdout(), "{}\n{}", server.url(), server.socket_dir().display())?;
    stdin().lines().for_each(drop);
    server.stop()?;
    Ok(())
}
