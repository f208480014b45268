//! What holds of the ledger in SQLite; the same is asked of Postgres by the tests over a real cluster.

use super::*;
use crate::domain::entity::{Org, Workspace};
use crate::domain::id::Id;
use crate::domain::ledger::{Entry, From, Kept, PricedBy, Sums, Written};
use crate::domain::money::Nanodollars;
use crate::domain::time::{DAY_MS, HOUR_MS, Timestamp};
use crate::domain::usage::{Basis, Usage};
use uuid::{Builder, Uuid};

const NOON: i64 = 1_774_180_800_000;

struct Books {
    ledger: Ledger,
    org: Id<Org>,
    workspace: Id<Workspace>,
}

fn books() -> Books {
    Books { ledger: Ledger::new(Keeping::Memory), org: Id::random(), workspace: Id::random() }
}

impl Books {
    async fn keep(&self, entries: &[Entry<'_>]) {
        let kept: Vec<_> = entries.iter().map(Kept::from).collect();
        let written: Vec<_> = kept.iter().map(|kept| Written::read(&kept.bytes).unwrap()).collect();
        self.ledger.keep(&written).await.unwrap();
    }

    fn entry<'e>(&self, at: i64, model: &'e str, nanos: i64) -> Entry<'e> {
        let random = Uuid::new_v4().into_bytes();
        let id = Builder::from_unix_timestamp_millis(at as u64, random[..10].try_into().unwrap()).into_uuid();
        Entry {
            id,
            began_at: Timestamp(at),
            org: self.org,
            workspace: self.workspace,
            token: Id::declared("token", "t"),
            user: Some("ada"),
            run: None,
            parent_run: None,
            protocol: "chat",
            operation: "chat_completions",
            delivery: "whole",
            from: Some(From { provider: "p", provider_id: Id::random(), model, scope: None, credential: None }),
            outcome: "served",
            refusal: None,
            usage: Usage { input: 10, output: 3, ..Usage::default() },
            basis: Basis::Reported,
            cost: Some(Nanodollars(nanos)),
            priced_by: PricedBy::Stated,
            overhead_cost: Nanodollars(0),
            attempts: Vec::new(),
            first_event_us: None,
            total_us: 5_000,
            own_us: 50,
        }
    }

    fn of_run<'e>(&self, at: i64, run: &'e str, parent: Option<&'e str>, nanos: i64) -> Entry<'e> {
        Entry { run: Some(run), parent_run: parent, ..self.entry(at, "m", nanos) }
    }

    fn query(&self, by: &[Dimension]) -> Query {
        Query {
            scope: Scope::Workspace(self.workspace),
            span: Span::around(Timestamp(NOON - 3 * DAY_MS), Timestamp(NOON + DAY_MS)),
            by: by.to_vec(),
            only: Vec::new(),
            after: None,
            limit: 100,
        }
    }

    async fn total(&self, query: &Query) -> Sums {
        let groups = self.ledger.sums(query).await.unwrap();
        groups.iter().fold(Sums::default(), |mut all, group| {
            all.add(&group.sums);
            all
        })
    }
}

#[tokio::test]
async fn an_exchange_that_comes_twice_counts_once() {
    let books = books();
    let entries = [books.entry(NOON, "a", 5), books.entry(NOON, "b", 7)];
    let twice = [entries[0].clone(), entries[1].clone(), entries[0].clone()];
    books.keep(&twice).await;
    books.keep(&entries).await;
    let sum = books.total(&books.query(&[])).await;
    assert_eq!((sum.exchanges, sum.cost, sum.input, sum.output), (2, 12, 20, 6));
    let found = books.ledger.exchange(Scope::Platform, entries[0].id).await.unwrap();
    assert_eq!(found, Some(Kept::from(&entries[0])));
}

#[tokio::test]
async fn by_every_dimension_the_totals_agree() {
    let (books, runs) = (books(), ["a", "b", "c", "d", "e", "f", "g"]);
    let all: Vec<Entry<'_>> = (0..700)
        .map(|number| {
            let entry = books.entry(NOON - number * 613_000, ["a", "b", "c"][number as usize % 3], number);
            Entry { run: (number % 4 == 0).then(|| runs[number as usize % 7]), ..entry }
        })
        .collect();
    books.keep(&all).await;
    books.keep(&[Entry { workspace: Id::random(), ..books.entry(NOON, "a", 99) }]).await;
    let expected = books.total(&books.query(&[])).await;
    let within = books.query(&[]).span;
    let counted = all.iter().filter(|entry| (within.from()..within.to()).contains(&entry.began_at));
    assert_eq!(expected.cost, counted.map(|entry| entry.cost.unwrap().0).sum::<i64>());
    for dimension in Dimension::ALL {
        let query = Query { limit: 1_000, ..books.query(&[dimension]) };
        assert_eq!(books.total(&query).await, expected, "{dimension:?}");
    }
    let both = Query { limit: 1_000, ..books.query(&[Dimension::Model, Dimension::Day, Dimension::Run]) };
    assert_eq!(books.total(&both).await, expected);
    let in_org = Query { scope: Scope::Org(books.org), ..books.query(&[]) };
    assert_eq!(books.total(&in_org).await.cost, expected.cost + 99);
}

#[tokio::test]
async fn wherever_in_a_day_a_question_begins_and_ends_it_sums_each_hour_once() {
    let books = books();
    let midnight = NOON - DAY_MS / 2;
    let all: Vec<Entry<'_>> = (0..96).map(|hour| books.entry(midnight + hour * HOUR_MS, "m", 1)).collect();
    books.keep(&all).await;
    for (from, to) in [(0, 96), (5, 5), (5, 20), (5, 24), (24, 48), (23, 49), (5, 91), (20, 28), (48, 50)] {
        let span = Span::around(Timestamp(midnight + from * HOUR_MS), Timestamp(midnight + to * HOUR_MS));
        for by in [&[][..], &[Dimension::Day], &[Dimension::Hour]] {
            let sum = books.total(&Query { span, ..books.query(by) }).await;
            assert_eq!(sum.exchanges, to - from, "{from} to {to} by {by:?}");
        }
    }
}

#[tokio::test]
async fn pages_of_groups_show_each_once() {
    let books = books();
    let models: Vec<String> = (0..50).map(|number| format!("m{number}")).collect();
    let all: Vec<Entry<'_>> = models.iter().map(|model| books.entry(NOON, model, 1)).collect();
    books.keep(&all).await;
    let mut query = Query { limit: 7, ..books.query(&[Dimension::Day, Dimension::Model]) };
    let mut seen = Vec::new();
    loop {
        let groups = books.ledger.sums(&query).await.unwrap();
        let Some(last) = groups.last() else { break };
        query.after = Some(last.cells.clone());
        seen.extend(groups.into_iter().map(|group| group.cells));
    }
    assert!(seen.is_sorted());
    seen.dedup();
    assert_eq!(seen.len(), 50);
    let only = vec![(Dimension::Model, Cell::Text("m7".into()))];
    assert_eq!(books.total(&Query { only, ..books.query(&[]) }).await.exchanges, 1);
}

#[tokio::test]
async fn a_run_comes_to_itself_and_all_that_is_below_it() {
    let books = books();
    let entries = [
        books.of_run(NOON, "root", None, 1),
        books.of_run(NOON, "child", Some("root"), 10),
        books.of_run(NOON, "child", Some("root"), 10),
        books.of_run(NOON, "grandchild", Some("child"), 100),
        books.of_run(NOON, "other", None, 1_000),
        // Said to be below what is below it: that would go round in a circle, and is not believed.
        books.of_run(NOON, "root", Some("grandchild"), 1),
    ];
    books.keep(&entries).await;
    let run = async |name: &str| {
        let found = books.ledger.run(books.workspace, name).await.unwrap()?;
        let below: Vec<_> = found.below.iter().map(|one| (one.run.clone(), one.sums.cost)).collect();
        Some((found.own.parent, found.own.sums.cost, below))
    };
    let expected = vec![("child".to_string(), 20), ("grandchild".to_string(), 100)];
    assert_eq!(run("root").await, Some((None, 2, expected)));
    assert_eq!(run("child").await, Some((Some("root".into()), 20, vec![("grandchild".into(), 100)])));
    assert_eq!(run("nobody").await, None);
    assert_eq!(books.ledger.run(Id::random(), "root").await.unwrap(), None);
}

#[tokio::test]
async fn exchanges_are_listed_newest_first_and_nobody_sees_another_s() {
    let books = books();
    let mut all: Vec<Entry<'_>> = (0..30).map(|number| books.entry(NOON - number * 7_200_000, "m", 1)).collect();
    books.keep(&all).await;
    all.sort_by_key(|entry| std::cmp::Reverse(entry.id));
    let mut listing = Listing {
        scope: Scope::Workspace(books.workspace),
        span: books.query(&[]).span,
        run: None,
        before: None,
        limit: 4,
    };
    let mut seen = Vec::new();
    loop {
        let page = books.ledger.list(&listing).await.unwrap();
        let Some(last) = page.last() else { break };
        listing.before = Some(last.id);
        seen.extend(page);
    }
    assert_eq!(seen, all.iter().map(Kept::from).collect::<Vec<_>>());
    let foreign = Scope::Workspace(Id::random());
    assert!(books.ledger.list(&Listing { scope: foreign, before: None, ..listing }).await.unwrap().is_empty());
    assert_eq!(books.ledger.exchange(foreign, all[0].id).await.unwrap(), None);
    assert_eq!(books.ledger.exchange(Scope::Platform, Uuid::new_v4()).await.unwrap(), None);
}

#[tokio::test]
async fn days_that_are_too_old_are_forgotten_with_their_sums() {
    let books = books();
    let old = books.of_run(NOON - 2 * DAY_MS, "old", Some("above"), 1);
    let young = books.of_run(NOON, "young", None, 10);
    books.keep(&[old.clone(), young]).await;
    books.ledger.forget(NOON / DAY_MS).await.unwrap();
    for by in [&[][..], &[Dimension::Hour], &[Dimension::Run]] {
        assert_eq!(books.total(&books.query(by)).await.cost, 10);
    }
    assert_eq!(books.ledger.exchange(Scope::Platform, old.id).await.unwrap(), None);
    assert_eq!(books.ledger.newest().await.unwrap(), Some(Timestamp(NOON)));
}
