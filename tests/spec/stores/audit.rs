//! Every change is on record, and the record can't be changed unseen.

use keyway::store::Store;
use sqlx::{Executor, PgConnection};

use super::place::{Place, count, on_both_stores};
use crate::support::postgres::connect;

on_both_stores![
    every_change_is_on_record_in_order_and_linked,
    two_processes_make_one_chain,
    a_link_that_somebody_remembers_is_looked_for,
    records_come_in_pages_from_the_newest,
];

async fn every_change_is_on_record_in_order_and_linked(place: Place) {
    let store = place.open().await;
    assert_eq!(store.verify_audit(None).await.unwrap().unwrap().records, 0);
    for _ in 0..5 {
        count(&store).await.unwrap();
    }
    let verified = store.verify_audit(None).await.unwrap().unwrap();
    assert_eq!((verified.records, verified.unknown_key, verified.head.seq), (5, 0, 5));
    let records = store.audit_records(None, 10).await.unwrap();
    let shown: Vec<_> = records.iter().map(|record| (record.seq, record.version, record.by.as_str())).collect();
    assert_eq!(
        shown,
        [(5, 5, "cli:root"), (4, 4, "cli:root"), (3, 3, "cli:root"), (2, 2, "cli:root"), (1, 1, "cli:root")]
    );
}

async fn two_processes_make_one_chain(place: Place) {
    let (one, other) = (place.open().await, place.open().await);
    for _ in 0..10 {
        let (first, second) = tokio::join!(count(&one), count(&other));
        assert!(first.is_ok() && second.is_ok());
    }
    assert_eq!(one.verify_audit(None).await.unwrap().unwrap().records, 20);
    assert_eq!(one.verify_audit(None).await.unwrap(), other.verify_audit(None).await.unwrap());
}

async fn a_link_that_somebody_remembers_is_looked_for(place: Place) {
    let store = place.open().await;
    for _ in 0..3 {
        count(&store).await.unwrap();
    }
    let remembered = store.audit_records(None, 3).await.unwrap()[1].link.to_string();
    let holds = async |link: &str| store.verify_audit(Some(link)).await.unwrap().unwrap().holds_expected;
    assert_eq!(holds(&remembered).await, Some(true));
    assert_eq!(holds("c29tZXRoaW5nIHRoYXQgbmV2ZXIgd2FzIGEgbGluay4=").await, Some(false));
}

async fn records_come_in_pages_from_the_newest(place: Place) {
    let store = place.open().await;
    for _ in 0..5 {
        count(&store).await.unwrap();
    }
    let seqs = async |before, limit| {
        let page = store.audit_records(before, limit).await.unwrap();
        page.iter().map(|record| record.seq).collect::<Vec<_>>()
    };
    assert_eq!(seqs(None, 2).await, [5, 4]);
    assert_eq!(seqs(Some(4), 2).await, [3, 2]);
    assert_eq!(seqs(Some(2), 2).await, [1]);
    assert!(seqs(Some(1), 2).await.is_empty());
}

/// Whoever can write to the tables, and lacks the key.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn tampering_with_the_tables_is_found() {
    let tampering = [
        "update audit set record = jsonb_set(record, '{by}', '\"cli:mallory\"') where seq = 3",
        "update audit set record = jsonb_set(record, '{entity}', '\"org 2\"') where seq = 3",
        "update audit set record = jsonb_set(record, '{version}', '9') where seq = 5",
        "update audit set record = jsonb_set(record, '{at}', '0') where seq = 1",
        "delete from audit where seq = 3",
        "delete from audit where seq = 1",
        // Another order, with numbers that fit.
        "update audit set record = (select record from audit as other where other.seq = 7 - audit.seq)
             where seq in (3, 4)",
        "update audit set record = jsonb_set((select record from audit as other where other.seq = 7 - audit.seq),
             '{seq}', to_jsonb(seq)) where seq in (3, 4)",
        // The end, with and without what the directory's row remembers of it.
        "delete from audit where seq = 5",
        "delete from audit",
        "update directory set audit_head = jsonb_set(audit_head, '{seq}', '4')",
    ];
    for statement in tampering {
        let (store, mut tables) = five_changes().await;
        tables.execute(statement).await.unwrap();
        let found = store.verify_audit(None).await.unwrap();
        assert!(found.is_err(), "{statement}: {found:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_tail_that_was_cut_cleanly_shows_against_the_head_that_was_logged() {
    let (store, mut tables) = five_changes().await;
    let logged = store.verify_audit(None).await.unwrap().unwrap().head.link.to_string();
    tables.execute("delete from audit where seq > 3").await.unwrap();
    let cut = "update directory set audit_head = (
        select jsonb_build_object('seq', record -> 'seq', 'link', record -> 'link') from audit where seq = 3
    )";
    tables.execute(cut).await.unwrap();
    let verified = store.verify_audit(Some(&logged)).await.unwrap().unwrap();
    assert_eq!((verified.records, verified.holds_expected), (3, Some(false)));
}

async fn five_changes() -> (Store, PgConnection) {
    let place = Place::postgres().await;
    let store = place.open().await;
    for _ in 0..5 {
        count(&store).await.unwrap();
    }
    let Place::Postgres(url) = place else { panic!("it was made in Postgres") };
    (store, connect(&url).await)
}
