//! A program on this machine that stands in for a provider: one process for each call, killed when nobody wants it any more.
//!
//! It is named by the operator's configuration alone, takes no key, and sees of our environment what it needs to be found
//! and to know its own sign-in. Two threads of its own feed and read it, so that no core ever waits for a pipe.

use std::io::{BufRead, BufReader, Read, Write};
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, StatusCode, header};
use rustix::process::{Pid, Signal, kill_process_group};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};
use tokio::time::Instant;

use super::client::Broken;
use crate::domain::failure::Failure;
use crate::domain::protocol::Delivery;
use crate::hands::Hands;
use crate::listen::Alarm;
use crate::protocol::program::{Lines, Question, Step, argument, failed_event};

/// So many run at once: each takes some 160 MB. One more goes to the next target.
const PROCESSES: usize = 8;

/// One line of output. An image or a whole answer fits in one; a longer one is no answer.
const LINE_BYTES: u64 = 16 * 1024 * 1024;
/// All of it.
const OUTPUT_BYTES: u64 = 64 * 1024 * 1024;
/// Pieces that wait for their reader; then the program waits.
const PIECES: usize = 16;
/// The longest answers take minutes. What says something for longer than this has lost its way.
const LIFE: Duration = Duration::from_secs(60 * 60);

/// What of our environment a program sees: where programs are, where its own settings lie, and how it may sign itself in.
const VARIABLES: [&str; 4] = ["PATH", "HOME", "ANTHROPIC_API_KEY", "CLAUDE_CODE_OAUTH_TOKEN"];

/// The programs that run for one gateway.
pub struct Programs(Arc<Semaphore>);

impl Default for Programs {
    fn default() -> Self {
        Self(Arc::new(Semaphore::new(PROCESSES)))
    }
}

impl Programs {
    /// Runs the command for one call, up to the first that it says.
    pub(super) async fn start(
        &self,
        hands: &Hands,
        command: &[String],
        question: Question,
        delivery: Delivery,
    ) -> Result<Started, Failure> {
        let place = self.0.clone().try_acquire_owned().map_err(|_| Failure::Busy)?;
        let end_of_life = Alarm::new(Instant::now() + LIFE);
        let (say, mut pieces) = mpsc::channel(PIECES);
        let command = command.to_vec();
        // A fork of a large process takes its time.
        let started = hands.blocking(move || {
            let child = spawn(&command, &question)?;
            let running = Running(Group::of(&child));
            read_and_write(child, running.0.clone(), question.input, say, delivery, place)?;
            Ok::<_, std::io::Error>(running)
        });
        let started = started.await.map_err(|_| Failure::Busy)?;
        let running = started.map_err(|error| Failure::Unreachable(error.to_string()))?;
        let (status, first) = match pieces.recv().await {
            Some(Said::Piece(first)) => (StatusCode::OK, first),
            Some(Said::Failed(status, body)) => (StatusCode::from_u16(status).unwrap_or(StatusCode::BAD_GATEWAY), body),
            Some(Said::Ended) | None => return Err(Failure::BrokeOff),
        };
        let mut headers = HeaderMap::new();
        let is_stream = delivery == Delivery::Streamed && status == StatusCode::OK;
        let kind = if is_stream { "text/event-stream" } else { "application/json" };
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(kind));
        // Behind an error comes nothing.
        let ended = status != StatusCode::OK;
        let output = Output { first: Some(first), pieces, ended, end_of_life, _running: running };
        Ok(Started { status, headers, output })
    }
}

/// The head of an answer, and what is still to come of it.
pub(super) struct Started {
    pub(super) status: StatusCode,
    pub(super) headers: HeaderMap,
    pub(super) output: Output,
}

/// Pieces of an answer as a program says them. Dropped, it ends the program.
pub(super) struct Output {
    first: Option<Bytes>,
    pieces: mpsc::Receiver<Said>,
    ended: bool,
    end_of_life: Alarm,
    _running: Running,
}

/// What the reading thread has to say.
enum Said {
    Piece(Bytes),
    Failed(u16, Bytes),
    Ended,
}

/// A process with all that it started, for as long as its number is nobody else's: it is waited for only once this is empty.
#[derive(Clone)]
struct Group(Arc<Mutex<Option<Pid>>>);

impl Group {
    fn of(child: &Child) -> Self {
        let pid = i32::try_from(child.id()).ok().and_then(Pid::from_raw);
        Self(Arc::new(Mutex::new(pid)))
    }

    fn end(&self) {
        let mut group = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        // Gone already is as good.
        let _ = group.take().map(|group| kill_process_group(group, Signal::KILL));
    }
}

/// Ends the program when dropped, be it only to make sure.
struct Running(Group);

impl Drop for Running {
    fn drop(&mut self) {
        self.0.end();
    }
}

fn spawn(command: &[String], question: &Question) -> std::io::Result<Child> {
    let [program, arguments @ ..] = command else { return Err(std::io::ErrorKind::InvalidInput.into()) };
    let variables = VARIABLES.iter().filter_map(|name| Some((*name, std::env::var_os(name)?)));
    Command::new(program)
        .args(arguments.iter().map(|written| argument(written, question)))
        .env_clear()
        .envs(variables)
        .current_dir(std::env::temp_dir())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .process_group(0)
        .spawn()
}

/// Both threads end when the program does, or is ended. Its place is free once nothing is left of it.
fn read_and_write(
    mut child: Child,
    group: Group,
    input: Vec<u8>,
    say: mpsc::Sender<Said>,
    delivery: Delivery,
    place: OwnedSemaphorePermit,
) -> std::io::Result<()> {
    let (stdin, stdout) = (child.stdin.take(), child.stdout.take());
    let thread = |name: &str| std::thread::Builder::new().name(name.to_string());
    thread("program-in").spawn(move || {
        // Who does not listen to the end may have heard enough.
        let _ = stdin.map(|mut stdin| stdin.write_all(&input));
    })?;
    thread("program-out").spawn(move || {
        if let Some(stdout) = stdout {
            read(stdout, &say, delivery);
        }
        // Its output is over; so is it, with all that it started.
        group.end();
        let _ = child.wait();
        drop(place);
    })?;
    Ok(())
}

/// Reads lines until the last word, the end, or nobody wants more.
fn read(stdout: impl Read, say: &mpsc::Sender<Said>, delivery: Delivery) {
    let mut stdout = BufReader::new(stdout.take(OUTPUT_BYTES));
    let (mut lines, mut line) = (Lines::of(delivery), Vec::new());
    loop {
        line.clear();
        match (&mut stdout).take(LINE_BYTES).read_until(b'\n', &mut line) {
            // Cut, or too long: without a last word, whoever hears nothing more takes it for a break.
            Ok(_) if !line.ends_with(b"\n") => return,
            Ok(_) => {}
            Err(_) => return,
        }
        let said = match lines.line(&line) {
            Step::Nothing => Ok(()),
            Step::Said(piece) => say.blocking_send(Said::Piece(piece.into())),
            Step::Ended(last) => {
                let last = last.map_or(Ok(()), |whole| say.blocking_send(Said::Piece(whole.into())));
                let _ = last.and_then(|()| say.blocking_send(Said::Ended));
                return;
            }
            Step::Failed(status, body) => {
                let _ = say.blocking_send(Said::Failed(status, body.into()));
                return;
            }
        };
        if said.is_err() {
            return;
        }
    }
}

impl Output {
    /// The next piece, as it was said.
    pub(super) fn poll_piece(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Bytes, Broken>>> {
        if let Some(first) = self.first.take() {
            return Poll::Ready(Some(Ok(first)));
        }
        if self.ended {
            return Poll::Ready(None);
        }
        if self.end_of_life.poll(cx).is_ready() {
            self.ended = true;
            return Poll::Ready(Some(Err(Broken::Cut)));
        }
        self.pieces.poll_recv(cx).map(|said| {
            self.ended = !matches!(said, Some(Said::Piece(_)));
            match said {
                Some(Said::Piece(piece)) => Some(Ok(piece)),
                // The head is out, so it is told as the stream's own error.
                Some(Said::Failed(_, body)) => Some(Ok(failed_event(&body).into())),
                Some(Said::Ended) => None,
                None => Some(Err(Broken::Cut)),
            }
        })
    }

    pub(super) const fn has_ended(&self) -> bool {
        self.ended && self.first.is_none()
    }
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;

    use super::*;

    fn question() -> Question {
        Question { model: "m".into(), system: String::new(), input: b"hi\n".to_vec() }
    }

    #[tokio::test(start_paused = true)]
    async fn a_program_that_never_comes_to_an_end_is_cut_off() {
        let script = r#"echo '{"type":"stream_event","event":{"type":"ping"}}'; sleep 600"#;
        let command = ["/bin/sh", "-c", script].map(str::to_string);
        let hands = Hands::start(1).unwrap();
        let programs = Programs::default();
        let started = programs.start(&hands, &command, question(), Delivery::Streamed);
        let mut started = started.await.unwrap();
        let began = Instant::now();
        let mut next = async || poll_fn(|cx| started.output.poll_piece(cx)).await;
        assert_eq!(next().await, Some(Ok(Bytes::from_static(b"event: ping\ndata: {\"type\":\"ping\"}\n\n"))));
        assert_eq!((next().await, next().await), (Some(Err(Broken::Cut)), None));
        assert!(began.elapsed() >= LIFE);
    }
}
