//! `keyway demo`: the whole gateway with a provider of our own, with no key and no network.
//!
//! Its state is a folder of its own below the system's temporary one, with a `gateway.toml` like any other, so that every
//! command works on it while it runs. The folder goes with the process unless somebody wants to keep it.

use std::fs::{self, DirBuilder};
use std::io;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};

use uuid::Uuid;

use super::{Source, Trouble, log, open, process, run, runtime};
use crate::domain::secret::Secret;
use crate::listen;
use crate::practice;

/// Where it listens if nothing else does.
const DATA_PORT: u16 = 8080;
const ADMIN_PORT: u16 = 8081;

/// What the environment may say about a demo. Not where data lies: that is not the demo's to touch.
const VARIABLES: &[&str] = &["KEYWAY_LISTEN", "KEYWAY_ADMIN_LISTEN", "KEYWAY_LOG"];

/// A demo that answers.
#[derive(Debug)]
pub struct Demo {
    pub data: SocketAddr,
    pub admin: SocketAddr,
    pub token: Secret,
    /// Holds `gateway.toml` and all state.
    pub folder: PathBuf,
    pub is_kept: bool,
}

/// Serves until SIGTERM or Ctrl+C. `ready` is told once calls are answered.
pub fn demo(keep: bool, ready: impl FnOnce(Demo) + Send) -> Result<(), Trouble> {
    process::keep_memory_private();
    let folder = Folder::make(keep)?;
    let practice = listen::bind(SocketAddr::from((Ipv4Addr::LOCALHOST, 0)), false);
    let practice = practice.map_err(Trouble::Runtime)?;
    let port = practice.local_addr().map_err(Trouble::Runtime)?.port();
    let file = folder.path.join("gateway.toml");
    fs::write(&file, configuration(port)).map_err(|error| folder.trouble(error))?;
    let shown = folder.path.clone();
    runtime()?.block_on(serve(Source::Made(file, VARIABLES), practice, |data, admin, token| {
        ready(Demo { data, admin, token, folder: shown, is_kept: keep });
    }))
}

async fn serve(
    source: Source,
    practice: TcpListener,
    ready: impl FnOnce(SocketAddr, SocketAddr, Secret) + Send,
) -> Result<(), Trouble> {
    tokio::spawn(practice::serve(practice).map_err(Trouble::Runtime)?);
    let config = source.load()?;
    let level = log::start(&config.log);
    let mut opened = open::open(&config).await?;
    // Its key goes with it; there is nothing to keep a copy of.
    opened.warnings.clear();
    // A folder just made holds no token yet, so this always makes one.
    let token = open::first_token(&opened, &config).await?.unwrap_or_else(|| Secret::new(Vec::new()));
    run(source, config, opened, level, |data, admin| ready(data, admin, token)).await
}

/// The demo's folder, removed with all that lies in it.
struct Folder {
    path: PathBuf,
    keep: bool,
}

impl Folder {
    fn make(keep: bool) -> Result<Self, Trouble> {
        let path = std::env::temp_dir().join(format!("keyway-demo-{}", Uuid::new_v4().simple()));
        let folder = Self { path, keep };
        // Fails rather than share a folder that somebody else made.
        DirBuilder::new().mode(0o700).create(&folder.path).map_err(|error| folder.trouble(error))?;
        Ok(folder)
    }

    fn trouble(&self, error: io::Error) -> Trouble {
        Trouble::DemoFolder { path: self.path.clone(), error }
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        if !self.keep {
            // Whoever cleans the temporary folder finds what is left.
            let _ = fs::remove_dir_all(&self.path);
        }
    }
}

/// The demo's `gateway.toml`: one provider with all that it can be asked, a default, a role and an alias.
fn configuration(practice: u16) -> String {
    let models: String = practice::MODELS
        .iter()
        .map(|(id, does)| format!("[[model]]\nprovider = \"practice\"\nid = \"{id}\"\ndisplay_name = \"{does}\"\napproved_for_agent = true\ninput_cost = 0\noutput_cost = 0\n\n"))
        .collect();
    format!(
        r#"# Made by `keyway demo`. It lives as long as the demo, and its provider answers from the demo itself.
[listen]
data = "127.0.0.1:{data}"
admin = "127.0.0.1:{admin}"

[data]
dir = "data"

[egress]
http = ["127.0.0.1"]

# Short, so that trying a failing model out does not close the next minutes.
[breaker]
open_for = "10s"

[[provider]]
id = "practice"
kind = "custom"
base_url = "http://127.0.0.1:{practice}/v1"
api_key = "practice"
label = "the demo's own"

{models}[[route]]
role = "summariser"
provider = "practice"
model = "practice-fail-500"
priority = 1

[[route]]
role = "summariser"
provider = "practice"
model = "practice-small"
priority = 2

[[route]]
alias = "fast"
provider = "practice"
model = "practice-small"

[[org]]
id = "demo"

[[workspace]]
id = "demo"
default = "practice:practice-small"
"#,
        data = free(DATA_PORT),
        admin = free(ADMIN_PORT),
    )
}

/// The port if it is free; else 0, and the system draws one.
fn free(port: u16) -> u16 {
    match listen::bind(SocketAddr::from((Ipv4Addr::LOCALHOST, port)), false) {
        Ok(_) => port,
        Err(_) => 0,
    }
}

impl Demo {
    /// What to try, for a terminal. Holds the token.
    pub fn text(&self) -> Secret {
        let token = String::from_utf8_lossy(self.token.expose());
        let models: String = practice::MODELS.iter().map(|(id, does)| format!("  {id:<28} {does}\n")).collect();
        let ends = if self.is_kept { "is kept" } else { "goes when you press Ctrl+C" };
        Secret::from(format!(
            r#"Keyway answers on http://{data}/v1, and shows metrics and health on http://{admin}.

export KEYWAY_TOKEN={token}

curl http://{data}/v1/chat/completions -H "Authorization: Bearer $KEYWAY_TOKEN" \
  -H "Content-Type: application/json" \
  -d '{{"model": "default", "messages": [{{"role": "user", "content": "Hello"}}]}}'

from openai import OpenAI
client = OpenAI(base_url="http://{data}/v1", api_key="{token}")
for part in client.chat.completions.create(model="default", stream=True,
                                           messages=[{{"role": "user", "content": "Hello"}}]):
    print(part.choices[0].delta.content or "", end="")

Models, besides `default`, the role `role:summariser` (its first model fails, the second answers) and the alias `fast`:
{models}
Its state {ends}: {folder}
"#,
            data = self.data,
            admin = self.admin,
            folder = self.folder.display(),
        ))
    }

    /// For commands that are to work on this demo.
    pub fn config(&self) -> PathBuf {
        Path::new(&self.folder).join("gateway.toml")
    }
}
