//! Starts a throw-away PostgreSQL server, prints its URL and the folder of its socket, and keeps it
//! until standard input ends.

use std::{
    error::Error,
    io::{Write as _, stdin, stdout},
};

use postern_testkit::{Options, PostgresServer};

fn main() -> Result<(), Box<dyn Error>> {
    let server = PostgresServer::start(Options::default()).map_err(|error| error.to_string())?;
    writeln!(stdout(), "{}\n{}", server.url(), server.socket_dir().display())?;
    stdin().lines().for_each(drop);
    server.stop()?;
    Ok(())
}
