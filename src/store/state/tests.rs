//! What only the inside can show: what is forgotten by age and number, and a statement's odd cases.

use super::object::{DELETED_KEPT_DAYS, RESPONSES_KEPT_DAYS};
use super::open::STATE;
use super::sql::{Db, ObjectRow};
use super::*;

const DAY: i64 = 86_400_000;

async fn db() -> Db {
    Keeping::Memory.open(&STATE).await.unwrap()
}

fn row(workspace: Id<Workspace>, id: &str, kind: ObjectKind, created_at: i64) -> ObjectRow {
    let object = Object {
        workspace,
        id: id.into(),
        provider: Id::declared("provider", "one"),
        credential: None,
        kind,
        purpose: None,
        shown: None,
        created_at: Timestamp(created_at),
    };
    ObjectRow { object, sealed: None }
}

async fn known(db: &Db, workspace: Id<Workspace>, ids: &[&str]) -> Vec<String> {
    let ids: Vec<String> = ids.iter().map(|id| id.to_string()).collect();
    db.find(workspace, &ids).await.unwrap().into_iter().map(|row| row.object.id).collect()
}

#[tokio::test]
async fn responses_are_forgotten_by_their_age_and_files_are_not() {
    let (db, workspace) = (db().await, Id::random());
    let now = 100 * DAY;
    let (old, young) = (now - RESPONSES_KEPT_DAYS * DAY - 1, now - RESPONSES_KEPT_DAYS * DAY);
    let rows = [
        row(workspace, "old", ObjectKind::Response, old),
        row(workspace, "young", ObjectKind::Response, young),
        row(workspace, "file", ObjectKind::File, 0),
    ];
    db.record(&rows).await.unwrap();
    db.sweep(Timestamp(now)).await.unwrap();
    assert_eq!(known(&db, workspace, &["old", "young", "file"]).await, ["young", "file"]);
}

#[tokio::test]
async fn a_deleted_objects_line_stays_for_a_week_so_that_a_list_can_go_on_behind_it() {
    let (db, workspace) = (db().await, Id::random());
    let rows: Vec<_> =
        ["a", "b", "c"].iter().zip(1..).map(|(id, at)| row(workspace, id, ObjectKind::File, at)).collect();
    db.record(&rows).await.unwrap();
    let provider = rows[0].object.provider;
    db.delete(workspace, "b", provider.uuid(), Timestamp(DAY)).await.unwrap();
    let page = Page {
        workspace,
        provider,
        kind: ObjectKind::File,
        purpose: None,
        after: Some("b".into()),
        order: Order::OldestFirst,
        limit: 10,
    };
    let behind =
        async || -> Vec<String> { db.page(&page).await.unwrap().into_iter().map(|row| row.object.id).collect() };
    assert_eq!((known(&db, workspace, &["a", "b"]).await, behind().await), (vec!["a".into()], vec!["c".into()]));
    db.sweep(Timestamp(DAY + DELETED_KEPT_DAYS * DAY)).await.unwrap();
    assert_eq!(behind().await, ["c"]);
    db.sweep(Timestamp(DAY + DELETED_KEPT_DAYS * DAY + 1)).await.unwrap();
    assert!(behind().await.is_empty(), "nothing is behind what is not on record");
}

#[tokio::test]
async fn a_workspace_keeps_the_newest_of_a_kind_up_to_its_bound() {
    let (db, workspace, other) = (db().await, Id::random(), Id::random());
    let mut rows: Vec<_> = (0..5).map(|at| row(workspace, &format!("f{at}"), ObjectKind::File, at)).collect();
    rows.push(row(workspace, "batch", ObjectKind::Batch, 0));
    rows.push(row(other, "f0", ObjectKind::File, 0));
    db.record(&rows).await.unwrap();
    db.trim(workspace, ObjectKind::File, 5).await.unwrap();
    assert_eq!(known(&db, workspace, &["f0"]).await, ["f0"]);
    db.trim(workspace, ObjectKind::File, 2).await.unwrap();
    assert_eq!(known(&db, workspace, &["f0", "f1", "f2", "f3", "f4", "batch"]).await, ["f4", "f3", "batch"]);
    assert_eq!(known(&db, other, &["f0"]).await, ["f0"]);
}

#[tokio::test]
async fn trouble_of_an_older_key_is_never_written_over_that_of_a_newer_one() {
    let db = db().await;
    let credential = |at| SavedCredential { id: Id::declared("credential", "one"), at: Timestamp(at) };
    let write = async |at, state| {
        let mut notes = notes::Notes::default();
        notes.credential(credential(at), state);
        db.write(&notes).await.unwrap();
    };
    let rejected = CredentialState::Rejected { at: Timestamp(7) };
    write(2, rejected).await;
    write(1, CredentialState::QuotaExhausted { at: Timestamp(8) }).await;
    write(1, CredentialState::Ok).await;
    assert_eq!(db.troubled().await.unwrap(), [(credential(2), rejected)]);
    write(2, CredentialState::Ok).await;
    assert_eq!(db.troubled().await.unwrap(), []);
}

/// Everything that a log is told.
#[derive(Clone, Default)]
struct Lines(Arc<std::sync::Mutex<Vec<u8>>>);

impl std::io::Write for Lines {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

#[test]
fn a_key_that_does_not_open_is_said_once_in_the_log() {
    use crate::store::seal::{MasterKey, Salt};

    let (lines, key) = (Lines::default(), MasterKey::parse(&MasterKey::generate().unwrap()).unwrap());
    let writer = lines.clone();
    let log = tracing_subscriber::fmt().with_writer(move || writer.clone()).finish();
    let keyring = Arc::new(Keyring::new(&[key], Salt::random().unwrap()).unwrap());
    let (state, _keeper) = State::new(Keeping::Memory, keyring);
    let credential = SavedCredential { id: Id::random(), at: Timestamp(1) };
    tracing::subscriber::with_default(log, || {
        for at in 2..5 {
            state.note(credential, CredentialState::Undecryptable { at: Timestamp(at) });
        }
    });
    let said = String::from_utf8(lines.0.lock().unwrap().clone()).unwrap();
    assert_eq!(said.matches("Failed to decrypt workspace API key").count(), 1, "{said}");
    assert!(said.contains(&credential.id.to_string()) && said.contains("save it again"));
}
