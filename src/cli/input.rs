//! Secrets from standard input, and nowhere else.

use std::io::{self, IsTerminal, Read};

use rustix::termios::{LocalModes, OptionalActions, Termios, tcgetattr, tcsetattr};
use zeroize::Zeroizing;

use super::failure::Failure;
use super::output::Output;
use crate::directory::credentials::KEY_MAX;
use crate::domain::secret::Secret;

/// A secret without the line end behind it; `None` where there is none. At a terminal it is asked for and not shown.
pub(super) fn secret(what: &str, output: Output) -> Result<Option<Secret>, Failure> {
    let stdin = io::stdin();
    // Room for all of it at once, so that growing leaves no copy behind.
    let mut text = Zeroizing::new(Vec::with_capacity(KEY_MAX + 3));
    if stdin.is_terminal() {
        output.say(&format!("{what}, then Enter (it is not shown):"));
        let _quiet = Quiet::new()?;
        read_line(&mut text)?;
    } else {
        stdin.lock().take(KEY_MAX as u64 + 3).read_to_end(&mut text)?;
    }
    let end = text.iter().rposition(|byte| !matches!(byte, b'\n' | b'\r')).map_or(0, |last| last + 1);
    Ok((end > 0).then(|| Secret::new(text[..end].to_vec())))
}

/// Byte by byte, past the standard library's buffer as far as can be: a line of a terminal is short.
fn read_line(text: &mut Vec<u8>) -> io::Result<()> {
    let mut byte = [0];
    while text.len() < KEY_MAX + 2 && io::stdin().lock().read(&mut byte)? == 1 && byte[0] != b'\n' {
        text.push(byte[0]);
    }
    Ok(())
}

/// A terminal that does not show what is typed, for as long as this lives.
struct Quiet(Termios);

impl Quiet {
    fn new() -> io::Result<Self> {
        let before = tcgetattr(io::stdin())?;
        let mut quiet = before.clone();
        quiet.local_modes.remove(LocalModes::ECHO);
        tcsetattr(io::stdin(), OptionalActions::Flush, &quiet)?;
        Ok(Self(before))
    }
}

impl Drop for Quiet {
    fn drop(&mut self) {
        // A terminal that is gone needs no echo.
        let _ = tcsetattr(io::stdin(), OptionalActions::Now, &self.0);
    }
}
