//! `keyway resolve MODEL`: what a call would try, and why not the others. Asks no provider.

use clap::Args;

use super::failure::Failure;
use super::session::{Session, workspace};
use super::token::Kind;
use crate::domain::call::Past;
use crate::domain::directory::Directory;
use crate::domain::entity::{Owner, Token, Workspace};
use crate::domain::id::Id;
use crate::domain::time::Timestamp;
use crate::domain::token::mint;
use crate::resolve::{Explanation, Question, Reader, resolve};
use crate::snapshot::{Caller, Lookup, World};
use crate::store::{Need, Part};

#[derive(Args, Clone, Debug)]
pub(super) struct Resolve {
    /// The model as a client writes it
    model: String,
    /// The workspace that calls [else the only one]
    #[arg(long, value_name = "NAME")]
    workspace: Option<String>,
    /// The project that calls
    #[arg(long, value_name = "NAME")]
    project: Option<String>,
    /// The kind of token that calls
    #[arg(long, value_enum, default_value = "chat")]
    kind: Kind,
}

pub(super) async fn run(asked: &Resolve, session: &Session) -> Result<(), Failure> {
    let access = session.look().await?;
    let workspace = workspace(&access, asked.workspace.as_deref()).await?;
    let of_workspace = [Need::OwnedBy(Owner::Platform), Need::OwnedBy(Owner::Workspace(workspace.id))];
    let stored = access.load(Part::of(of_workspace)).await?;
    let caller = caller(session, &stored, &workspace, asked.kind).await?;
    let question = Question::of_model(&asked.model, asked.project.as_deref());
    match resolve(&caller, &question, &Past::None) {
        Ok(plan) => {
            let explained = Explanation::of(&plan, Reader::Operator);
            session.output.result(&explained, || explained.to_string())
        }
        Err(refusal) => Err(Failure::coded(refusal.row().code, refusal.to_string())),
    }
}

/// Whoever would show a plain token of the workspace. Callers come out of a world only, so the token goes into one: as a
/// declared one, in a copy that is gone with this process.
async fn caller(session: &Session, stored: &Directory, workspace: &Workspace, kind: Kind) -> Result<Caller, Failure> {
    let id = Id::random();
    let (_, hash) = mint(id).map_err(|error| Failure::problem(error.to_string()))?;
    let now = Timestamp::now();
    let mut declared = Directory::clone(&session.config.declared);
    declared.tokens.push(Token { kind: kind.into(), ..Token::new(id, hash, workspace.id, "resolve", now) });
    match World::new(session.snapshot(stored, &declared)?).caller(&hash, now).await {
        Lookup::Known(caller) => Ok(caller),
        Lookup::Unknown | Lookup::Away => {
            Err(Failure::problem(format!("the workspace `{}` can't be called: its org is gone", workspace.name)))
        }
    }
}
