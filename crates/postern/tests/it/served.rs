//! The real binary as a gateway, in a process of its own.

use std::{
    io::{BufRead as _, BufReader},
    net::SocketAddr,
    os::unix::process::ExitStatusExt as _,
    process::{Child, Command, Stdio},
    sync::{
        Mutex,
        mpsc::{Receiver, channel},
    },
    thread,
    time::Duration,
};

use postern_testkit::wait_until;

use crate::{bench::Bench, raw::Raw};

/// The longest wait for anything; far more than it takes on a busy machine.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);

/// A running `postern serve`; killed when it is dropped.
#[derive(Debug)]
pub(crate) struct Served {
    child: Child,
    log: Mutex<Log>,
    pub(crate) address: SocketAddr,
}

/// What the process says on stderr.
#[derive(Debug)]
struct Log {
    lines: Receiver<String>,
    said: String,
}

impl Served {
    /// Starts `postern serve` in the bench's folder and waits until it listens.
    pub(crate) fn start(bench: &Bench) -> Self {
        Self::start_and(bench, |_| ())
    }

    /// Starts one that takes the place of the one that runs, and waits until it listens.
    pub(crate) fn take_over(bench: &Bench) -> Self {
        Self::run(bench, &["serve", "--take-over"], |_| ())
    }

    /// The same, and does something with the process in between.
    pub(crate) fn start_and(bench: &Bench, does: impl FnOnce(rustix::process::Pid)) -> Self {
        Self::run(bench, &["serve"], does)
    }

    fn run(bench: &Bench, arguments: &[&str], does: impl FnOnce(rustix::process::Pid)) -> Self {
        let mut child = Command::new(env!("CARGO_BIN_EXE_postern"))
            .args(arguments)
            .current_dir(bench.path(""))
            .env_remove("POSTERN_LOG")
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        does(rustix::process::Pid::from_child(&child));
        let stderr = BufReader::new(child.stderr.take().unwrap());
        let (sender, lines) = channel();
        // Ends with the process.
        thread::spawn(move || {
            for line in stderr.lines().map_while(Result::ok) {
                if sender.send(line).is_err() {
                    return;
                }
            }
        });
        let log = Mutex::new(Log { lines, said: String::new() });
        let mut served = Self { child, log, address: ([127, 0, 0, 1], 0).into() };
        let listening = served.wait_for("listening");
        let address = listening.split("address=").nth(1).and_then(|rest| rest.split(' ').next());
        served.address = address.unwrap().parse().unwrap();
        served
    }

    /// What stands behind these words in what it has said until now, up to a blank.
    #[track_caller]
    pub(crate) fn said(&self, before: &str) -> String {
        let log = self.log.lock().unwrap();
        let rest = log.said.split_once(before).map(|(_, rest)| rest);
        let rest = rest.unwrap_or_else(|| panic!("no `{before}` in:\n{}", log.said));
        rest.split_whitespace().next().unwrap_or_default().to_owned()
    }

    /// The first line from now on that says this.
    #[track_caller]
    pub(crate) fn wait_for(&self, what: &str) -> String {
        let mut log = self.log.lock().unwrap();
        loop {
            match log.lines.recv_timeout(PATIENCE) {
                Ok(line) => {
                    log.said.push_str(&line);
                    log.said.push('\n');
                    if line.contains(what) {
                        return line;
                    }
                }
                Err(_) => panic!("the gateway never said `{what}`, but:\n{}", log.said),
            }
        }
    }

    /// Waits until people can log in.
    pub(crate) fn wait_until_open(&self, actor: &str) {
        let mut refused = None;
        let is_open = || {
            refused = Raw::connect(self.address, actor).err();
            refused.is_none()
        };
        if wait_until(PATIENCE, "log-ins are possible", is_open).is_err() {
            let lines: Vec<String> = self.log.lock().unwrap().lines.try_iter().take(40).collect();
            panic!("{actor} can't log in: {refused:?}; the gateway says:\n{}", lines.join("\n"));
        }
    }

    /// Asks it to stop, as service managers do.
    pub(crate) fn terminate(&self) {
        self.signal(rustix::process::Signal::TERM);
    }

    pub(crate) fn signal(&self, signal: rustix::process::Signal) {
        let id = rustix::process::Pid::from_child(&self.child);
        rustix::process::kill_process(id, signal).unwrap();
    }

    /// Waits until it has ended by itself; its exit code.
    pub(crate) fn ended(&mut self) -> Option<i32> {
        let mut status = None;
        let has_ended = || {
            status = self.child.try_wait().unwrap();
            status.is_some()
        };
        wait_until(PATIENCE, "the gateway ends", has_ended).unwrap();
        status.unwrap().code()
    }

    /// Kills it with SIGKILL and waits until it is gone.
    pub(crate) fn kill(&mut self) {
        self.child.kill().unwrap();
        assert_eq!(self.child.wait().unwrap().signal(), Some(9), "it had ended by itself");
    }
}

impl Drop for Served {
    fn drop(&mut self) {
        // Gone already is as good.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
