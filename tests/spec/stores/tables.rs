//! The database itself: how its tables come about, who may use them, and what stands in them.

use keyway::directory::credentials::{self, NewCredential};
use keyway::directory::{Expected, orgs, workspaces};
use keyway::domain::entity::Owner;
use keyway::domain::secret::Secret;
use keyway::store::seal::MasterKey;
use keyway::store::{Store, StoreError};
use sqlx::{AssertSqlSafe, Executor};

use super::place::{KEY, Place, access, count, openai, whole};
use crate::support::postgres::{connect, shared};

const PLANTED: &str = "sk-planted-7f3a9c";

fn keys() -> Vec<MasterKey> {
    vec![MasterKey::parse(&Secret::from(KEY.to_string())).unwrap()]
}

fn address(text: &str) -> std::sync::Arc<Secret> {
    Secret::from(text.to_string()).into()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_processes_that_start_at_once_make_the_tables_once_and_agree_on_the_keyring() {
    let url = address(&shared().database().await);
    let starts = (0..6).map(|_| {
        let url = url.clone();
        tokio::spawn(async move {
            // Whoever loses the race for the keyring starts again, as a supervisor has it do.
            loop {
                match Store::postgres(&url, keys()).await {
                    Err(StoreError::Busy) => {}
                    other => return other.unwrap(),
                }
            }
        })
    });
    let mut salts = Vec::new();
    for start in starts.collect::<Vec<_>>() {
        salts.push(start.await.unwrap().keyring().salt());
    }
    assert!(salts.windows(2).all(|two| two[0] == two[1]));
    let schema = Store::schema(&url).await.unwrap();
    assert_eq!((schema.pending, schema.newer), (0, 0));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn looking_makes_nothing_and_a_migration_is_asked_for_or_taken_at_the_start() {
    let url = address(&shared().database().await);
    assert!(Store::existing_postgres(&url, keys()).await.unwrap().is_none());
    let before = Store::schema(&url).await.unwrap();
    assert!(before.is_empty && before.pending > 0);
    assert_eq!(Store::migrate(&url).await.unwrap(), before);
    assert_eq!(Store::migrate(&url).await.unwrap().pending, 0);
    assert!(Store::existing_postgres(&url, keys()).await.unwrap().is_none(), "tables are no directory");
    count(&Store::postgres(&url, keys()).await.unwrap()).await.unwrap();
    let found = Store::existing_postgres(&url, keys()).await.unwrap().unwrap();
    assert_eq!(whole(&found).await.version, 1);
}

/// Replicas are exchanged one by one, so for a while an old one runs on what a new one made.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_schema_that_a_newer_version_added_to_is_used_as_it_is() {
    let url = shared().database().await;
    let store = Store::postgres(&address(&url), keys()).await.unwrap();
    let newer = "insert into migrations (version, description, success, checksum, execution_time)
                     values (99, 'from the future', true, '\\x00', 0);
                 alter table orgs add column motto text;
                 create table vaults (id uuid primary key)";
    connect(&url).await.execute(newer).await.unwrap();
    let schema = Store::schema(&address(&url)).await.unwrap();
    assert_eq!((schema.pending, schema.newer), (0, 1));
    count(&Store::postgres(&address(&url), keys()).await.unwrap()).await.unwrap();
    orgs::create(&access(store), "acme").await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_role_that_may_only_read_and_write_runs_on_finished_tables() {
    let url = shared().database().await;
    drop(Store::postgres(&address(&url), keys()).await.unwrap());
    let role = format!("plain_{}", url.rsplit('_').next().unwrap());
    let grant = format!(
        "create role {role} login; grant usage on schema keyway to {role};
         grant select, insert, update, delete on all tables in schema keyway to {role}"
    );
    connect(&url).await.execute(AssertSqlSafe(grant)).await.unwrap();
    let plain = url.replace("postgres@", &format!("{role}@"));
    let store = Store::postgres(&address(&plain), keys()).await.unwrap();
    count(&store).await.unwrap();
    assert_eq!(store.verify_audit(None).await.unwrap().unwrap().records, 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_backup_holds_no_key_and_after_a_deletion_not_even_a_sealed_one() {
    let place = Place::postgres().await;
    let Place::Postgres(url) = &place else { panic!("it was made in Postgres") };
    let access = place.access().await;
    let org = orgs::create(&access, "acme").await.unwrap();
    let workspace = workspaces::create(&access, org.id, "team", None).await.unwrap();
    let new = NewCredential::of(Owner::Workspace(workspace.id), openai(), Some(Secret::from(PLANTED.to_string())));
    let set = credentials::set(&access, new).await.unwrap();
    let dump = shared().dump(url);
    assert!(holds(&dump, "acme"), "the dump holds what is not secret");
    for written in [PLANTED, "c2stcGxhbnRlZC03ZjNhOWM", "736b2d706c616e7465642d376633613963", "0123456789abcdef"] {
        assert!(!holds(&dump, written), "{written}");
    }
    assert!(holds(&dump, "\"sealed\""));
    credentials::delete(&access, set.credential.id, Expected::Anything).await.unwrap();
    assert!(!holds(&shared().dump(url), "\"sealed\""));
}

fn holds(dump: &[u8], text: &str) -> bool {
    dump.windows(text.len()).any(|window| window == text.as_bytes())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_url_that_can_t_be_one_and_a_database_that_is_not_there_are_named_without_the_password() {
    let there = shared().url("nowhere");
    let error = Store::postgres(&address(&there), keys()).await.err().unwrap().to_string();
    assert!(error.contains("nowhere") && error.contains("does not exist"), "{error}");
    for url in ["", "keyway", "postgres://user:pass-word@127.0.0.1:notaport/db", "mysql://user:pass-word@host/db"] {
        let error = Store::postgres(&address(url), keys()).await.err().unwrap().to_string();
        assert!(error.contains("[store] url") && !error.contains("pass-word"), "{url}: {error}");
    }
}

/// A hand that edits rows, or a version that writes what this one can't read.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_row_that_can_t_be_read_is_an_error_that_repeats_nothing_of_it() {
    let place = Place::postgres().await;
    let Place::Postgres(url) = &place else { panic!("it was made in Postgres") };
    let access = place.access().await;
    orgs::create(&access, "acme").await.unwrap();
    let spoil = "update orgs set entity = jsonb_set(entity, '{features}', '\"private text\"')";
    connect(url).await.execute(spoil).await.unwrap();
    let error = access.store.load(&keyway::store::Part::everything()).await.unwrap_err().to_string();
    assert!(error.contains("org rows"), "{error}");
    assert!(!error.contains("private"), "{error}");
}
