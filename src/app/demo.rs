//! `keyway demo`: the whole gateway with a provider of our own, with no key and no network.
//!
//! Its state is a folder of its own below the system's temporary one, with a `gateway.toml` like any other, so that every
//! command works on it while it runs. The folder goes with the process unless somebody wants to keep it.

use std::fs::{self, DirBuilder};
use std::io;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::os::unix::fs::DirBuilderExt as _;
use std::path::PathBuf;
use std::sync::Arc;

use uuid::Uuid;

use super::open::{self, Opened};
use super::{Source, Trouble, log, run, runtime};
use crate::config::Config;
use crate::directory::tokens::{self, NewToken};
use crate::directory::{Access, Actor};
use crate::domain::id::Id;
use crate::domain::secret::Secret;
use crate::listen;
use crate::practice;

/// Where it listens if nothing else does.
const DATA_PORT: u16 = 8080;
const ADMIN_PORT: u16 = 8081;

const WORKSPACE: &str = "demo";

/// What the environment may say about a demo. Not where data lies: that is not the demo's to touch.
const VARIABLES: &[&str] = &["KEYWAY_LISTEN", "KEYWAY_ADMIN_LISTEN", "KEYWAY_LOG"];

/// How a demo is wanted.
#[derive(Clone, Debug, Default)]
pub struct Asked {
    /// A folder for its state, that stays; else it has one of its own, that goes with it.
    pub keep_in: Option<PathBuf>,
    /// Where applications reach it; else a free port.
    pub listen: Option<SocketAddr>,
}

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
pub fn demo(asked: Asked, ready: impl FnOnce(Demo) + Send) -> Result<(), Trouble> {
    let folder = Folder::make(asked.keep_in)?;
    let practice = listen::bind(SocketAddr::from((Ipv4Addr::LOCALHOST, 0)), false).map_err(Trouble::Runtime)?;
    let port = practice.local_addr().map_err(Trouble::Runtime)?.port();
    let file = folder.path.join("gateway.toml");
    fs::write(&file, configuration(asked.listen, port)).map_err(|error| folder.trouble(error))?;
    let (shown, is_kept) = (folder.path.clone(), folder.is_kept);
    runtime()?.block_on(serve(Source::Made(file, VARIABLES), practice, |data, admin, token| {
        ready(Demo { data, admin, token, folder: shown, is_kept });
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
    // Its key is worth nothing; there is no need to keep a copy of it.
    opened.warnings.clear();
    let token = token(&opened, &config).await?;
    run(source, config, opened, level, |data, admin| ready(data, admin, token)).await
}

/// A new one at each start, for that of an earlier one can't be shown again.
async fn token(opened: &Opened, config: &Config) -> Result<Secret, Trouble> {
    let access = Access {
        store: opened.store.clone(),
        declared: config.declared.clone(),
        egress: Arc::new(config.egress.rules.clone()),
        actor: Actor::operator("demo"),
    };
    let new = NewToken { label: "demo".into(), ..NewToken::of(Id::declared("workspace", WORKSPACE)) };
    Ok(tokens::create(&access, new).await?.text)
}

/// The demo's folder; unless it is kept, it is removed with all that lies in it.
struct Folder {
    path: PathBuf,
    is_kept: bool,
}

impl Folder {
    fn make(keep_in: Option<PathBuf>) -> Result<Self, Trouble> {
        let is_kept = keep_in.is_some();
        let own = || std::env::temp_dir().join(format!("keyway-demo-{}", Uuid::new_v4().simple()));
        let path = keep_in.unwrap_or_else(own);
        // One of our own is never one that somebody else made.
        let made = DirBuilder::new().recursive(is_kept).mode(0o700).create(&path);
        match made {
            Ok(()) => Ok(Self { path, is_kept }),
            Err(error) => Err(Trouble::DemoFolder { path, error }),
        }
    }

    fn trouble(&self, error: io::Error) -> Trouble {
        Trouble::DemoFolder { path: self.path.clone(), error }
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        if !self.is_kept {
            // Whoever cleans the temporary folder finds what is left.
            let _ = fs::remove_dir_all(&self.path);
        }
    }
}

/// The demo's `gateway.toml`: one provider with all that it can be asked, a default, a role and an alias.
fn configuration(listen: Option<SocketAddr>, practice: u16) -> String {
    let models: String = practice::MODELS
        .iter()
        .map(|(id, does)| {
            format!(
                r#"[[model]]
provider = "practice"
id = "{id}"
display_name = "{does}"
approved_for_agent = true
input_cost = 0
output_cost = 0

"#
            )
        })
        .collect();
    format!(
        r#"# Made by `keyway demo`. It lives as long as the demo, and its provider answers from the demo itself.
[listen]
data = "{data}"
admin = "{admin}"

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
id = "{WORKSPACE}"
default = "practice:practice-small"
"#,
        data = listen.unwrap_or_else(|| free(DATA_PORT)),
        admin = free(ADMIN_PORT),
    )
}

/// The port if it is free; else 0, and the system draws one.
fn free(port: u16) -> SocketAddr {
    let wanted = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
    match listen::bind(wanted, false) {
        Ok(_) => wanted,
        Err(_) => SocketAddr::from((Ipv4Addr::LOCALHOST, 0)),
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
}
