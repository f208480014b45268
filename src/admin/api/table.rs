//! The one table of what the API serves: method, path, who may ask, and the handler.
//!
//! The router, the OpenAPI document and `docs/permissions.md` are made from it, and the test of every token against every
//! path walks it. What is not in it can't be asked for.

use std::pin::Pin;
use std::sync::Arc;

use http::{Method, StatusCode};
use utoipa::IntoParams;
use utoipa::openapi::path::{Parameter, ParameterIn};
use utoipa::openapi::{RefOr, Schema};

use super::answer::{Answer, Ready};
use super::ask::{Ask, Entered, Query};
use super::body::{Body, Described};
use super::problem::Problem;
use super::{ROOT, aliases, resources};
use crate::domain::permission::Permission;

/// Where a permission must be held.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// The platform's own things: only a `platform_admin` reaches them.
    Platform,
    /// The org that the path or body names.
    Org,
    /// The workspace that the path, the query or the body names, or that owns the thing.
    Workspace,
    /// Whoever owns the thing: the platform or a workspace.
    Owner,
    /// The org or the workspace that the query names.
    Member,
    /// Every org and workspace in which the user has a role.
    Everywhere,
}

/// Who may ask.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Needs {
    /// Any living token; it sees what its holder can see.
    Token,
    /// A role that holds this, there. One that holds it nowhere is refused before anything is looked at.
    Permission(Permission, Place),
}

/// One line of the table.
pub struct Row {
    pub method: Method,
    /// Below `/api/v1`, but for an alias, whose path is whole.
    pub path: &'static str,
    root: &'static str,
    pub needs: Needs,
    pub summary: &'static str,
    /// Media types of the body that it takes; none where it takes no body.
    pub(super) media: &'static [&'static str],
    /// For the document: schemas by the megabyte, made when somebody wants to read it.
    pub(super) facts: fn() -> Facts,
    pub(super) run: Run,
}

type Running = Pin<Box<dyn Future<Output = Result<Ready, Problem>> + Send>>;
pub(super) type Run = Arc<dyn Fn(Entered) -> Running + Send + Sync>;

/// What a handler's own types say about it.
pub(super) struct Facts {
    pub(super) takes: Described,
    pub(super) gives: Described,
    pub(super) status: StatusCode,
    pub(super) tagged: bool,
    pub(super) located: bool,
    pub(super) paged: bool,
    pub(super) answers: &'static str,
    pub(super) parameters: Vec<Parameter>,
}

impl Facts {
    /// What its body and its answer are made of, by the names under which the document has them.
    pub(super) fn schemas(&self) -> impl Iterator<Item = &(String, RefOr<Schema>)> {
        self.takes.schemas.iter().chain(&self.gives.schemas)
    }
}

/// All of them, resource by resource.
pub fn rows() -> Vec<Row> {
    resources()
}

/// The same things under the paths, and in the shapes, that clients of other products know.
pub fn alias_rows() -> Vec<Row> {
    aliases::rows()
}

/// A line, its facts taken from the handler's types: what it takes, what it gives.
pub(super) fn row<B, Q, A, H, F>(
    method: Method,
    path: &'static str,
    needs: Needs,
    summary: &'static str,
    handler: H,
) -> Row
where
    B: Body,
    Q: Query,
    A: Answer,
    H: Fn(Ask<B, Q>) -> F + Clone + Send + Sync + 'static,
    F: Future<Output = Result<A, Problem>> + Send + 'static,
{
    let run = move |entered: Entered| -> Running {
        let handler = handler.clone();
        Box::pin(async move { Ok(handler(Ask::read(entered, A::PAGED)?).await?.ready()) })
    };
    Row { method, path, root: ROOT, needs, summary, media: B::MEDIA, facts: facts::<B, Q, A>, run: Arc::new(run) }
}

fn facts<B: Body, Q: Query, A: Answer>() -> Facts {
    let (mut takes, mut gives) = (Described::default(), Described::default());
    B::describe(&mut takes);
    A::describe(&mut gives);
    Facts {
        takes,
        gives,
        status: A::STATUS,
        tagged: A::TAGGED,
        located: A::LOCATED,
        paged: A::PAGED,
        answers: A::MEDIA,
        parameters: <Q as IntoParams>::into_params(|| Some(ParameterIn::Query)),
    }
}

impl Row {
    /// The same line for a path that is whole, where some fields are called otherwise: ours, theirs.
    pub(super) fn spelt(self, fields: &'static [(&'static str, &'static str)]) -> Self {
        let run = self.run;
        let renamed = move |entered: Entered| -> Running {
            let running = run(entered);
            Box::pin(async move { running.await.map_err(|problem| problem.spelt(fields)) })
        };
        Self { root: "", run: Arc::new(renamed), ..self }
    }

    pub(super) fn is_alias(&self) -> bool {
        self.root.is_empty()
    }

    /// The whole path.
    pub fn whole(&self) -> String {
        format!("{}{}", self.root, self.path)
    }

    /// As documents write it: with braces, and no star in them where the rest of the path is meant.
    pub(super) fn written(&self) -> String {
        self.whole().replace("{*", "{")
    }

    /// The names in the path's braces.
    pub(super) fn path_names(&self) -> impl Iterator<Item = &'static str> {
        let names = self.path.split('{').skip(1).filter_map(|rest| rest.split('}').next());
        names.map(|name| name.trim_start_matches('*'))
    }

    /// Does it change something?
    pub fn is_change(&self) -> bool {
        self.method != Method::GET
    }

    /// May a client bind it to what it last saw?
    pub(super) fn is_conditional(&self) -> bool {
        matches!(self.method, Method::PUT | Method::PATCH | Method::DELETE)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::{HashMap, HashSet};

    use super::*;

    #[test]
    fn no_two_schemas_have_one_name() {
        let all: Vec<Facts> = rows().iter().chain(&alias_rows()).map(|row| (row.facts)()).collect();
        let mut seen: HashMap<&str, &RefOr<Schema>> = HashMap::new();
        for (name, schema) in all.iter().flat_map(Facts::schemas) {
            let first = seen.entry(name).or_insert(schema);
            assert_eq!(serde_json::to_value(first).unwrap(), serde_json::to_value(schema).unwrap(), "{name}");
        }
    }

    #[test]
    fn no_two_lines_are_the_same_and_every_path_is_spelt_one_way() {
        let mut seen = HashSet::new();
        for row in rows().into_iter().chain(alias_rows()) {
            assert!(seen.insert((row.method.clone(), row.whole())), "{} {}", row.method, row.path);
            assert!(row.path.starts_with('/') && !row.path.ends_with('/'), "{}", row.path);
            assert!(!row.summary.is_empty() && row.summary.ends_with('.'), "{}", row.path);
        }
    }
}
