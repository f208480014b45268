//! The keeper's answers to those who ask.

use std::collections::HashMap;

use bytes::Bytes;

use super::{Keeper, Wanted};
use crate::domain::entity::SealedBytes;
use crate::domain::time::Timestamp;
use crate::store::seal::{Binding, Purpose};
use crate::store::state::message::{Answer, Ask, Away};
use crate::store::state::notes::Used;
use crate::store::state::object::{Object, SHOWN_LIMIT_BYTES};
use crate::store::state::sql::{Db, ObjectRow};
use crate::store::state::{PATIENCE, kept};

impl Keeper {
    pub(super) async fn answer(&mut self, asks: Vec<Ask>) {
        let mut finds: HashMap<Wanted, Vec<Answer<Vec<Object>>>> = HashMap::new();
        // Whoever has stopped waiting is not answered, nor is the database asked for them.
        for ask in asks.into_iter().filter(Ask::is_waited_for) {
            match ask {
                Ask::Find { workspace, ids, answer } => finds.entry((workspace, ids)).or_default().push(answer),
                Ask::Record { objects, answer } => {
                    let recorded = self.record(&objects).await;
                    let _ = answer.send(recorded);
                }
                Ask::Page { page, answer } => {
                    self.record_unwritten().await;
                    let found = self.ask(async |db| db.page(&page).await).await;
                    let _ = answer.send(found.map(|rows| self.opened(rows)));
                }
                Ask::Transcript { workspace, id, answer } => {
                    let keyring = self.keyring.clone();
                    let found = self.ask(async |db| db.transcript(&keyring, workspace, &id).await).await;
                    let _ = answer.send(found);
                }
                Ask::Forget { workspace, id, answer } => {
                    let _ = answer.send(self.ask(async |db| db.forget_transcript(workspace, &id).await).await);
                }
                Ask::LastUses { of, answer } => {
                    let _ = answer.send(self.last_uses(of).await);
                }
                Ask::Begin { key, request, now, answer } => {
                    let keyring = self.keyring.clone();
                    let begun = self.ask(async |db| db.begin(&keyring, &key, request, now).await).await;
                    let _ = answer.send(begun);
                }
                Ask::End { key, kept, answer } => {
                    let kept = kept.and_then(|kept| kept::sealed(&self.keyring, &key, kept));
                    let _ = answer.send(self.ask(async |db| db.end(&key, kept).await).await);
                }
            }
        }
        self.find(finds).await;
    }

    /// The same question is asked once, for all who ask it.
    async fn find(&mut self, finds: HashMap<Wanted, Vec<Answer<Vec<Object>>>>) {
        self.record_unwritten().await;
        for ((workspace, ids), answers) in finds {
            let found = self.ask(async |db| db.find(workspace, &ids).await).await;
            let found = found.map(|rows| rows.into_iter().map(|row| row.object).collect::<Vec<_>>());
            for answer in answers {
                let _ = answer.send(found.clone());
            }
        }
    }

    /// The last word may not be written yet.
    async fn last_uses(&mut self, of: Vec<Used>) -> Result<Vec<(Used, Timestamp)>, Away> {
        let written = self.ask(async |db| db.last_uses(&of).await).await?;
        let mut uses: HashMap<Used, Timestamp> = written.into_iter().collect();
        uses.extend(of.iter().filter_map(|used| Some((*used, self.notes.last_use(*used)?))));
        Ok(uses.into_iter().collect())
    }

    async fn ask<T>(&mut self, question: impl AsyncFnOnce(&Db) -> Result<T, sqlx::Error>) -> Result<T, Away> {
        let db = self.db.as_ref().ok_or(Away)?;
        self.shared.heard(PATIENCE, question(db)).await.ok_or(Away)
    }

    /// A line with its description sealed: it holds what a file is called.
    pub(super) fn sealed(&self, object: &Object) -> ObjectRow {
        let shown = object.shown.as_ref().filter(|shown| shown.len() <= SHOWN_LIMIT_BYTES);
        let sealed = shown.and_then(|shown| self.keyring.seal(Purpose::State, &binding(object), shown).ok());
        ObjectRow { object: object.clone(), sealed: sealed.map(|sealed| sealed.0) }
    }

    /// What no key opens any more is not shown; the object is on record all the same.
    fn opened(&self, rows: Vec<ObjectRow>) -> Vec<Object> {
        let open = |ObjectRow { mut object, sealed }: ObjectRow| {
            let sealed = sealed.map(SealedBytes);
            let opened = sealed.and_then(|sealed| self.keyring.open(Purpose::State, &binding(&object), &sealed).ok());
            object.shown = opened.map(|shown| Bytes::copy_from_slice(shown.expose()));
            object
        };
        rows.into_iter().map(open).collect()
    }
}

fn binding(object: &Object) -> Binding {
    Binding::default()
        .with(b"object")
        .with(object.workspace.uuid().as_bytes())
        .with(object.provider.uuid().as_bytes())
        .with(object.id.as_bytes())
}
