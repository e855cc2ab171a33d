//! A child process that doesn't outlive its parent, however the parent ends.
//!
//! The child is run by a small shell script that waits at the other end of a pipe. The kernel
//! closes this end when the parent ends, killed or not, and then the script stops the child and
//! removes the folder. (`PR_SET_PDEATHSIG` would need unsafe code, and follows the thread, not the
//! process.)

use std::{
    fs::File,
    io::{self, Write as _},
    os::unix::process::CommandExt as _,
    path::Path,
    process::{Child, ChildStdin, Command, ExitStatus, Stdio},
    time::Duration,
};

use crate::{
    account::Account,
    wait::{WaitError, wait_until},
};

/// `$1` is the folder, the rest is the command. A line on standard input asks the child to finish
/// (SIGINT), a second one insists; the end of the input means that nobody needs the child or the
/// folder any more. SIGQUIT is enough as a rule, but a postmaster that has just accepted a silent
/// client waits a minute for it.
const SCRIPT: &str = r#"
folder=$1
shift
exec 3<&0 </dev/null
"$@" 3<&- &
child=$!
(
    verdict=3
    if read -r line <&3; then
        kill -INT "$child"
        if read -r line <&3; then verdict=0; fi
    fi
    trap 'exit $verdict' TERM
    kill -QUIT "$child"
    sleep 1 &
    wait $!
    kill -KILL "$child"
    exit "$verdict"
) 2>/dev/null &
watcher=$!
wait "$child"
status=$?
kill "$watcher" 2>/dev/null
wait "$watcher"
if [ $? -eq 3 ]; then
    rm -rf -- "$folder"
fi
exit "$status"
"#;

/// How long a child may take to finish before it is killed.
const GRACE: Duration = Duration::from_secs(4);

/// The longest wait for a child that was told to go.
const PATIENCE: Duration = Duration::from_secs(30);

/// A running child. Dropping it stops it at once and removes its folder.
#[derive(Debug)]
pub(crate) struct Supervised {
    script: Child,
    pipe: Option<ChildStdin>,
}

impl Supervised {
    /// Runs `program` in `folder` with its output appended to `log`.
    pub(crate) fn spawn(
        folder: &Path,
        account: Option<Account>,
        log: &Path,
        program: &Path,
        arguments: &[&str],
    ) -> io::Result<Self> {
        let log = File::options().create(true).append(true).open(log)?;
        let mut command = Command::new("/bin/sh");
        command.args(["-c", SCRIPT, "supervisor"]).arg(folder).arg(program).args(arguments);
        // A group of its own: an interrupt from the keyboard reaches the parent only, which ends
        // and thereby ends the child in the right way.
        command.current_dir(folder).process_group(0);
        command.stdin(Stdio::piped()).stdout(log.try_clone()?).stderr(log);
        command.env("LC_ALL", "C");
        for (name, _) in std::env::vars_os() {
            if name.to_string_lossy().starts_with("PG") {
                command.env_remove(name);
            }
        }
        if let Some(Account { uid, gid }) = account {
            command.uid(uid).gid(gid);
        }
        let mut script = command.spawn()?;
        let pipe = script.stdin.take();
        Ok(Self { script, pipe })
    }

    /// How the child ended, if it has.
    pub(crate) fn ended(&mut self) -> io::Result<Option<ExitStatus>> {
        self.script.try_wait()
    }

    /// Waits for the child to end by itself.
    pub(crate) fn wait(mut self) -> io::Result<ExitStatus> {
        // `wait` would close the pipe if it were still in the child, and so kill what it waits for.
        let status = self.script.wait();
        self.pipe = None;
        status
    }

    /// Asks the child to finish (SIGINT), kills it if it doesn't, and leaves the folder.
    pub(crate) fn finish(mut self) -> io::Result<()> {
        self.ask()?;
        if self.wait_ended(GRACE).is_err() {
            self.ask()?;
            self.wait_ended(PATIENCE).map_err(io::Error::other)?;
        }
        Ok(())
    }

    fn ask(&mut self) -> io::Result<()> {
        self.pipe.as_mut().map_or(Ok(()), |pipe| pipe.write_all(b"finish\n"))
    }

    fn wait_ended(&mut self, limit: Duration) -> Result<(), WaitError> {
        wait_until(limit, "the child ends", || !matches!(self.script.try_wait(), Ok(None)))
    }
}

impl Drop for Supervised {
    fn drop(&mut self) {
        self.pipe = None;
        if self.wait_ended(PATIENCE).is_err() {
            // Nothing more can be done for a child that doesn't go: don't hang with it.
            let _ = self.script.kill();
            let _ = self.script.wait();
        }
    }
}
