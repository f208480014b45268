//! A conversation that we keep ourselves, up to and with one response of ours, so that a later call can go on from it.

use bytes::Bytes;
use sqlx::Row;

use super::sql::{Db, on};
use crate::domain::entity::{SealedBytes, Workspace};
use crate::domain::id::Id;
use crate::domain::time::{DAY_MS, Timestamp};
use crate::store::seal::{Binding, Keyring, Purpose};

/// One with its images. A longer one is not kept, and nobody can go on from it.
pub const TRANSCRIPT_LIMIT_BYTES: usize = 4 * 1024 * 1024;

/// What a workspace's may take altogether, give or take `TRIMMED_EVERY_BYTES`; the oldest go.
const WORKSPACE_LIMIT_BYTES: i64 = 64 * 1024 * 1024;

/// So much is written for a workspace before it is held to its bound again: that looks at all its lines.
pub(super) const TRIMMED_EVERY_BYTES: u64 = 8 * 1024 * 1024;

/// What may wait to be written. At 10 KiB each these are some 3,000; what finds no place is not kept.
pub(super) const WAITING_LIMIT_BYTES: usize = 32 * 1024 * 1024;

/// As long as providers keep theirs.
const KEPT_MS: i64 = 30 * DAY_MS;

/// A lookup always takes the workspace, so none finds another's.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Transcript {
    pub workspace: Id<Workspace>,
    /// The response's.
    pub id: String,
    /// All that was said before the response, as JSON.
    pub input: Bytes,
    /// The response itself, as JSON.
    pub response: Bytes,
    pub created_at: Timestamp,
}

impl Transcript {
    pub(super) fn bytes(&self) -> usize {
        self.input.len() + self.response.len()
    }

    fn binding(workspace: Id<Workspace>, id: &str) -> Binding {
        Binding::default().with(b"transcript").with(workspace.uuid().as_bytes()).with(id.as_bytes())
    }

    /// `None` where nothing can be sealed: then nothing is kept. The input's length stands before both.
    pub(super) fn sealed(&self, keyring: &Keyring) -> Option<Vec<u8>> {
        let mut plain = Vec::with_capacity(8 + self.bytes());
        plain.extend_from_slice(&(self.input.len() as u64).to_be_bytes());
        plain.extend_from_slice(&self.input);
        plain.extend_from_slice(&self.response);
        let binding = Self::binding(self.workspace, &self.id);
        keyring.seal(Purpose::Transcript, &binding, &plain).ok().map(|sealed| sealed.0)
    }

    /// `None` for what no key opens any more: as if it were forgotten.
    fn opened(keyring: &Keyring, workspace: Id<Workspace>, id: &str, sealed: Vec<u8>, at: i64) -> Option<Self> {
        let opened = keyring.open(Purpose::Transcript, &Self::binding(workspace, id), &SealedBytes(sealed)).ok()?;
        let (length, rest) = opened.expose().split_first_chunk::<8>()?;
        let (input, response) = rest.split_at_checked(usize::try_from(u64::from_be_bytes(*length)).ok()?)?;
        let (input, response) = (Bytes::copy_from_slice(input), Bytes::copy_from_slice(response));
        Some(Self { workspace, id: id.to_string(), input, response, created_at: Timestamp(at) })
    }
}

type Result<T> = std::result::Result<T, sqlx::Error>;

impl Db {
    pub(super) async fn keep_transcript(&self, transcript: &Transcript, sealed: &[u8]) -> Result<()> {
        const SQL: &str = "INSERT INTO state_transcripts (workspace, id, sealed, bytes, created_at) \
             VALUES ($1, $2, $3, $4, $5) ON CONFLICT (workspace, id) DO NOTHING";
        on!(self, |pool| {
            let query = sqlx::query(SQL).bind(transcript.workspace.uuid()).bind(&transcript.id).bind(sealed);
            query.bind(sealed.len() as i64).bind(transcript.created_at.0).execute(pool).await?;
        });
        Ok(())
    }

    pub(super) async fn transcript(
        &self,
        keyring: &Keyring,
        workspace: Id<Workspace>,
        id: &str,
    ) -> Result<Option<Transcript>> {
        const SQL: &str = "SELECT sealed, created_at FROM state_transcripts WHERE workspace = $1 AND id = $2";
        let row: Option<(Vec<u8>, i64)> = on!(self, |pool| {
            let row = sqlx::query(SQL).bind(workspace.uuid()).bind(id).fetch_optional(pool).await?;
            row.map(|row| Ok::<_, sqlx::Error>((row.try_get(0)?, row.try_get(1)?))).transpose()?
        });
        Ok(row.and_then(|(sealed, at)| Transcript::opened(keyring, workspace, id, sealed, at)))
    }

    pub(super) async fn forget_transcript(&self, workspace: Id<Workspace>, id: &str) -> Result<bool> {
        const SQL: &str = "DELETE FROM state_transcripts WHERE workspace = $1 AND id = $2";
        on!(self, |pool| {
            Ok(sqlx::query(SQL).bind(workspace.uuid()).bind(id).execute(pool).await?.rows_affected() > 0)
        })
    }

    /// Holds a workspace to what its transcripts may take: the oldest go.
    pub(super) async fn trim_transcripts(&self, workspace: Id<Workspace>) -> Result<()> {
        const SQL: &str = "DELETE FROM state_transcripts WHERE workspace = $1 AND id IN (SELECT id FROM (\
             SELECT id, SUM(bytes) OVER (ORDER BY created_at DESC, id DESC) AS newer FROM state_transcripts \
             WHERE workspace = $1) AS sums WHERE newer > $2)";
        on!(self, |pool| {
            sqlx::query(SQL).bind(workspace.uuid()).bind(WORKSPACE_LIMIT_BYTES).execute(pool).await?;
        });
        Ok(())
    }

    pub(super) async fn forget_transcripts(&self, now: Timestamp) -> Result<()> {
        const SQL: &str = "DELETE FROM state_transcripts WHERE created_at < $1";
        on!(self, |pool| {
            sqlx::query(SQL).bind(now.0 - KEPT_MS).execute(pool).await?;
        });
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::seal::{MasterKey, Salt};
    use crate::store::state::Keeping;
    use crate::store::state::open::STATE;

    fn keyring() -> Keyring {
        let key = MasterKey::parse(&MasterKey::generate().unwrap()).unwrap();
        Keyring::new(&[key], Salt::random().unwrap()).unwrap()
    }

    fn transcript(workspace: Id<Workspace>, id: &str, bytes: usize, at: i64) -> Transcript {
        let response = Bytes::from(vec![b' '; bytes]);
        let input = Bytes::from_static(b"[]");
        Transcript { workspace, id: id.into(), input, response, created_at: Timestamp(at) }
    }

    #[tokio::test]
    async fn a_transcript_is_its_workspaces_alone_and_lies_sealed() {
        let (db, keyring) = (Keeping::Memory.open(&STATE).await.unwrap(), keyring());
        let (ours, theirs) = (Id::random(), Id::random());
        let one = transcript(ours, "resp_1", 9, 5);
        let sealed = one.sealed(&keyring).unwrap();
        db.keep_transcript(&one, &sealed).await.unwrap();
        assert_eq!(db.transcript(&keyring, ours, "resp_1").await.unwrap(), Some(one.clone()));
        assert_eq!(db.transcript(&keyring, theirs, "resp_1").await.unwrap(), None);
        // The same bytes under another name do not open.
        db.keep_transcript(&transcript(theirs, "resp_2", 9, 5), &sealed).await.unwrap();
        assert_eq!(db.transcript(&keyring, theirs, "resp_2").await.unwrap(), None);
        assert!(!db.forget_transcript(theirs, "resp_1").await.unwrap());
        assert!(db.forget_transcript(ours, "resp_1").await.unwrap());
        assert_eq!(db.transcript(&keyring, ours, "resp_1").await.unwrap(), None);
    }

    #[tokio::test]
    async fn the_oldest_go_when_a_workspace_has_too_much_or_their_time_is_over() {
        let (db, keyring, workspace) = (Keeping::Memory.open(&STATE).await.unwrap(), keyring(), Id::random());
        for number in 0..20 {
            let one = transcript(workspace, &format!("resp_{number}"), TRANSCRIPT_LIMIT_BYTES, number);
            db.keep_transcript(&one, &one.sealed(&keyring).unwrap()).await.unwrap();
        }
        db.trim_transcripts(workspace).await.unwrap();
        let mut kept = Vec::new();
        for number in 0..20 {
            if db.transcript(&keyring, workspace, &format!("resp_{number}")).await.unwrap().is_some() {
                kept.push(number);
            }
        }
        assert_eq!(kept, (5..20).collect::<Vec<_>>(), "what is sealed is a little longer, so one less than sixteen");
        db.forget_transcripts(Timestamp(KEPT_MS + 10)).await.unwrap();
        assert!(db.transcript(&keyring, workspace, "resp_9").await.unwrap().is_none());
        assert!(db.transcript(&keyring, workspace, "resp_10").await.unwrap().is_some());
    }
}
