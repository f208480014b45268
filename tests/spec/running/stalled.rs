//! Promise: a disk that hangs delays answers by `[journal] wait` at the most, and loses none of their records.

use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use tokio::task::JoinSet;

use super::books::{entries, is_drained, opened};
use super::gateway::{Gateway, configuration, practice};

const CALLERS: usize = 4;
const EACH: usize = 10;

/// The thread that writes the journal, stopped where it stands: so does a disk hold it that takes nothing. To stop one thread of
/// many is a debugger's right, which Python asks for in a few lines and Rust not without `unsafe`.
struct Stopped(Child);

const STOP: &str = "
import ctypes, os, sys
ptrace = ctypes.CDLL(None, use_errno=True).ptrace
ptrace.argtypes = [ctypes.c_long] * 4
def ask(what):
    if ptrace(what, int(sys.argv[1]), 0, 0) < 0:
        sys.exit(os.strerror(ctypes.get_errno()))
ask(0x4206)  # PTRACE_SEIZE
ask(0x4207)  # PTRACE_INTERRUPT
os.waitpid(int(sys.argv[1]), 0x40000000)  # __WALL
print('stopped', flush=True)
sys.stdin.read()
ask(17)  # PTRACE_DETACH
";

impl Stopped {
    fn journal_of(process: u32) -> Self {
        let threads = std::fs::read_dir(format!("/proc/{process}/task")).unwrap().map(|thread| thread.unwrap().path());
        let is_it = |path: &std::path::PathBuf| std::fs::read_to_string(path.join("comm")).unwrap().trim() == "journal";
        let journal = threads.into_iter().find(is_it).unwrap();
        let mut python = Command::new("python3");
        python.args(["-c", STOP]).arg(journal.file_name().unwrap()).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut holding = python.spawn().unwrap();
        let mut said = String::new();
        BufReader::new(holding.stdout.take().unwrap()).read_line(&mut said).unwrap();
        assert_eq!(said, "stopped\n", "the journal's thread could not be stopped");
        Self(holding)
    }

    fn goes_on(mut self) {
        drop(self.0.stdin.take());
        assert!(self.0.wait().unwrap().success());
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_disk_that_hangs_keeps_no_answer_and_loses_no_record() {
    let gateway = Gateway::start(&configuration(practice(), "[log]\nexchanges = false\n")).await;
    let stopped = Stopped::journal_of(gateway.process.pid());
    let mut all = JoinSet::new();
    for _ in 0..CALLERS {
        let mut caller = gateway.caller().await;
        all.spawn(async move {
            for _ in 0..EACH {
                assert_eq!(caller.chat("practice:practice-small").await.unwrap().status, 200);
            }
        });
    }
    // Each of them would wait for ever if it waited for the disk.
    all.join_all().await;
    let metrics = gateway.metrics().await;
    let says = |line: &str| assert!(metrics.lines().any(|one| one == line), "{line}\n{metrics}");
    says(&format!("keyway_journal_late_total {}", CALLERS * EACH));
    says("keyway_journal_lost_total 0");
    let (status, ready) = gateway.ready().await;
    assert!(status == 200 && ready.to_string().contains("hangs"), "{ready}");

    stopped.goes_on();
    is_drained(&gateway).await;
    let ledger = opened(&gateway).await;
    let mut kept = entries(&ledger).await.len();
    for _ in 0..200 {
        if kept == CALLERS * EACH {
            break;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
        kept = entries(&ledger).await.len();
    }
    assert_eq!(kept, CALLERS * EACH, "what went out before it was written down is on record all the same");
    let mut caller = gateway.caller().await;
    assert_eq!(caller.chat("practice:practice-small").await.unwrap().status, 200);
}
