//! Flags of the form `--name value`, and `--name` alone for yes. An unread flag is no error: the callers are our scripts.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::str::FromStr;

pub struct Flags(HashMap<String, String>);

impl Flags {
    pub fn read(words: impl Iterator<Item = String>) -> Result<Self, String> {
        let mut flags = HashMap::new();
        let mut words = words.peekable();
        while let Some(word) = words.next() {
            let name = word.strip_prefix("--").ok_or_else(|| format!("`{word}` is no flag"))?;
            let value = words.next_if(|next| !next.starts_with("--")).unwrap_or_else(|| "yes".to_owned());
            flags.insert(name.to_owned(), value);
        }
        Ok(Self(flags))
    }

    pub fn text(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(String::as_str)
    }

    pub fn has(&self, name: &str) -> bool {
        self.0.contains_key(name)
    }

    pub fn number<N: FromStr>(&self, name: &str, default: N) -> Result<N, String> {
        match self.text(name) {
            None => Ok(default),
            Some(text) => text.parse().map_err(|_| format!("--{name} {text} is no number")),
        }
    }

    pub fn address(&self, name: &str) -> Result<SocketAddr, String> {
        let text = self.text(name).ok_or_else(|| format!("--{name} is missing"))?;
        text.parse().map_err(|_| format!("--{name} {text} is no address"))
    }
}
