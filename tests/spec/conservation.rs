//! Promise: what the ledger sums up to is what providers say they served, whatever became of the calls.

use std::collections::BTreeMap;

use keyway::domain::ledger::{Entry, PricedBy, Sums};
use keyway::domain::money::Nanodollars;
use keyway::domain::time::Timestamp;
use keyway::domain::usage::Basis;
use keyway::meter::journal::{Journal, Settings};
use keyway::store::ledger::{Dimension, Ledger, Listing, Query, Scope, Span};
use keyway::store::state::Keeping;
use tokio::task::{JoinHandle, spawn_blocking};

use super::support::{Answer, Plan, World, says, secs};

/// What a scripted answer says it used, and what that costs at three and fifteen dollars a million.
const IN_OUT: (i64, i64) = (7, 2);
const NANOS: i64 = 7 * 3_000 + 2 * 15_000;

/// A world that keeps books.
struct Books {
    world: World,
    journal: std::sync::Arc<Journal>,
    draining: JoinHandle<()>,
    ledger: Ledger,
    _folder: tempfile::TempDir,
}

fn priced() -> Plan {
    ["primary", "spare"].into_iter().fold(World::on_loopback(["primary", "spare"]), |plan, provider| {
        plan.model(provider, "input_cost", "3").model(provider, "output_cost", "15")
    })
}

fn books(plan: Plan) -> Books {
    let (world, folder) = (plan.stands(), tempfile::tempdir().unwrap());
    let settings =
        Settings { folder: folder.path().join("journal"), sync: secs(0), wait: secs(60), limit_bytes: 1 << 30 };
    let journal = Journal::start(settings, world.meter()).unwrap();
    let ledger = Ledger::new(Keeping::Memory);
    let draining = tokio::spawn(journal.clone().drain(ledger.clone()));
    Books { world, journal, draining, ledger, _folder: folder }
}

impl Books {
    /// Ends the journal, and gives the ledger with all that it has, the oldest first.
    async fn closed(self) -> (Ledger, Vec<Entry<'static>>) {
        self.world.is_at_rest().await;
        let journal = self.journal.clone();
        spawn_blocking(move || journal.stop()).await.unwrap();
        self.draining.await.unwrap();
        let listing = Listing { scope: Scope::Platform, span: all_time(), run: None, before: None, limit: 100_000 };
        let found = self.ledger.list(&listing).await.unwrap();
        let entries = found.into_iter().rev().map(|kept| Entry::read(kept.bytes.leak()).unwrap());
        (self.ledger, entries.collect())
    }
}

fn all_time() -> Span {
    Span::around(Timestamp(0), Timestamp(Timestamp::now().0 + 3_600_000))
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Fate {
    Whole,
    Streamed,
    FailedOver,
    OfMessages,
    OfResponses,
    OfGemini,
    Cut,
    LeftByClient,
    Rejected,
    Refused,
}

const FATES: [Fate; 10] = [
    Fate::Whole,
    Fate::Streamed,
    Fate::FailedOver,
    Fate::OfMessages,
    Fate::OfResponses,
    Fate::OfGemini,
    Fate::Cut,
    Fate::LeftByClient,
    Fate::Rejected,
    Fate::Refused,
];

impl Fate {
    /// A call that meets it.
    async fn befalls(self, world: &World) {
        let (client, primary) = (world.client(), world.provider("primary"));
        primary.answers(match self {
            Self::Streamed => Answer::stream(["Hel", "lo"]),
            Self::FailedOver => Answer::error(500, "down"),
            Self::Cut => Answer::begins().event(says("Hel")).event(says("lo")).closes(),
            Self::LeftByClient => Answer::begins().event(says("Hel")).hangs(),
            Self::Rejected => Answer::error(400, "no"),
            _ => Answer::whole("hello"),
        });
        let status = match self {
            Self::Whole | Self::FailedOver | Self::Rejected => client.asks("fast").await.status,
            Self::Streamed | Self::Cut => client.asks("fast").streamed().await.status,
            Self::LeftByClient => {
                let mut live = client.asks("fast").streamed().begins().await;
                live.hears("Hel").await;
                live.status
            }
            Self::Refused => client.asks("nobody:knows").await.status,
            Self::OfMessages => {
                let body =
                    "{\"model\":\"fast\",\"max_tokens\":9,\"messages\":[{\"role\":\"user\",\"content\":\"hi\"}]}";
                client.posts("/v1/messages", body).await.status
            }
            Self::OfResponses => client.posts("/v1/responses", "{\"model\":\"fast\",\"input\":\"hi\"}").await.status,
            Self::OfGemini => {
                let body = "{\"contents\":[{\"role\":\"user\",\"parts\":[{\"text\":\"hi\"}]}]}";
                client.posts("/v1beta/models/fast:generateContent", body).await.status
            }
        };
        let expected = match self {
            Self::Rejected => 400,
            Self::Refused => 404,
            _ => 200,
        };
        assert_eq!(status, expected, "{self:?}");
        // Else the next script would be this one's.
        world.is_at_rest().await;
    }

    fn is_reported(self) -> bool {
        self <= Self::OfGemini
    }

    fn outcome(self) -> &'static str {
        match self {
            Self::Cut => "cut_off",
            Self::LeftByClient => "client_left",
            Self::Rejected => "rejected",
            Self::Refused => "refused",
            _ => "served",
        }
    }
}

#[tokio::test]
async fn the_ledger_sums_up_to_what_providers_say_they_served() {
    let books = books(priced());
    books.world.provider("spare").answers(Answer::whole("hello"));
    let mut befallen: BTreeMap<Fate, i64> = BTreeMap::new();
    // A walk that repeats nothing for long, and is the same each time.
    for number in 0..120_usize {
        let fate = FATES[(number * number + 3 * number) / 2 % FATES.len()];
        fate.befalls(&books.world).await;
        *befallen.entry(fate).or_default() += 1;
    }
    for fate in FATES {
        fate.befalls(&books.world).await;
        *befallen.entry(fate).or_default() += 1;
    }
    let (ledger, entries) = books.closed().await;
    assert_eq!(entries.len(), 130);
    let reported = befallen.iter().filter(|(fate, _)| fate.is_reported()).map(|(_, count)| count).sum::<i64>();
    let mut sum = Sums::default();
    entries.iter().filter(|entry| entry.basis == Basis::Reported).for_each(|entry| sum.add(&entry.into()));
    assert_eq!((sum.exchanges, sum.served), (reported, reported));
    assert_eq!((sum.input, sum.output), (reported * IN_OUT.0, reported * IN_OUT.1));
    assert_eq!(sum.cost, reported * NANOS);
    for (fate, count) in &befallen {
        let outcome = fate.outcome();
        let expected: i64 =
            befallen.iter().filter(|(other, _)| other.outcome() == outcome).map(|(_, count)| count).sum();
        let found = entries.iter().filter(|entry| entry.outcome == outcome).count() as i64;
        assert_eq!(found, expected, "{outcome} ({count} of {fate:?})");
    }
    for entry in entries.iter().filter(|entry| entry.basis == Basis::Estimated) {
        assert!(entry.usage.input > 0 && entry.usage.output > 0 && entry.cost.unwrap() > Nanodollars(0), "{entry:?}");
    }
    let broken = befallen[&Fate::Cut] + befallen[&Fate::LeftByClient];
    let whole: Sums = ledger_sum(&ledger, &[]).await;
    assert_eq!((whole.exchanges, whole.estimated), (130, broken));
    for dimension in Dimension::ALL {
        assert_eq!(ledger_sum(&ledger, &[dimension]).await, whole, "{dimension:?}");
    }
    let failed_over = entries.iter().filter(|entry| entry.attempts.len() == 2);
    assert_eq!(failed_over.count() as i64, befallen[&Fate::FailedOver]);
}

async fn ledger_sum(ledger: &Ledger, by: &[Dimension]) -> Sums {
    let query = Query {
        scope: Scope::Platform,
        span: all_time(),
        by: by.to_vec(),
        only: Vec::new(),
        after: None,
        limit: 100_000,
    };
    ledger.sums(&query).await.unwrap().iter().fold(Sums::default(), |mut all, group| {
        all.add(&group.sums);
        all
    })
}

#[tokio::test]
async fn a_lost_attempt_that_had_used_something_is_overhead_and_counts_for_nobody() {
    let books = books(priced());
    let opened = "data: {\"id\":\"c1\",\"choices\":[],\"usage\":{\"prompt_tokens\":1000,\"completion_tokens\":0}}\n\n";
    books.world.provider("primary").answers(Answer::begins().event(Answer::ROLE).event(opened).closes());
    books.world.provider("spare").answers(Answer::stream(["hello"]));
    books.world.client().asks("fast").streamed().await.is_served("hello");
    let (_, entries) = books.closed().await;
    assert_eq!((entries[0].cost, entries[0].overhead_cost), (Some(Nanodollars(NANOS)), Nanodollars(3_000_000)));
    assert_eq!(entries[0].attempts[0].usage.unwrap().input, 1_000);
}

#[tokio::test]
async fn each_call_is_booked_for_the_user_it_was_for_and_the_run_it_is_part_of() {
    let books = books(priced().token("front", "main", |token| token.may_assert_user = true));
    let client = books.world.client_of("front");
    for user in ["ada", "ada", "bob"] {
        client.asks("fast").header("x-keyway-user", user).await.is_served("hello");
    }
    let session = "0b6e7f3a-0d0c-4f0e-8a54-5d1f6c1f9a10";
    books.world.client().asks("fast").header("x-claude-code-session-id", session).await.is_served("hello");
    books.world.client().asks("fast").header("session_id", session).await.is_served("hello");
    let reply = books.world.client().asks("fast").header("x-keyway-run", "two words").await;
    reply.is_refused(400, "header_invalid");
    let (ledger, entries) = books.closed().await;
    // Exchanges that begin in the same millisecond stand in no order.
    let users: BTreeMap<_, usize> = entries.iter().fold(BTreeMap::new(), |mut users, entry| {
        *users.entry(entry.user.unwrap_or_default()).or_default() += 1;
        users
    });
    assert_eq!(users, BTreeMap::from([("", 3), ("ada", 2), ("bob", 1)]));
    let query = Query {
        scope: Scope::Platform,
        span: all_time(),
        by: vec![Dimension::User],
        only: Vec::new(),
        after: None,
        limit: 10,
    };
    let by_user: Vec<_> =
        ledger.sums(&query).await.unwrap().iter().map(|group| (group.cells[0].text(), group.sums.cost)).collect();
    assert_eq!(by_user, [(String::new(), 2 * NANOS), ("ada".into(), 2 * NANOS), ("bob".into(), NANOS)]);
    let found = ledger.run(entries[0].workspace, session).await.unwrap().unwrap();
    assert_eq!((found.own.sums.exchanges, found.own.sums.cost), (2, 2 * NANOS));
}

#[tokio::test]
async fn what_has_no_price_is_shown_refused_or_costs_what_its_dearest_sibling_does() {
    let unpriced = |policy: &str| {
        let plan = World::on_loopback(["primary"]).set("ledger", &format!("unpriced = \"{policy}\""));
        plan.model("primary", "input_cost", "3")
            .model("primary", "output_cost", "15")
            .provider("primary", "models", "\"any\"")
    };
    for (policy, expected) in [
        ("allow", (Basis::Unpriced, None, PricedBy::Nobody)),
        ("dearest", (Basis::Reported, Some(Nanodollars(NANOS)), PricedBy::Sibling)),
    ] {
        let books = books(unpriced(policy));
        books.world.client().asks("primary:unheard-of").await.is_served("hello");
        let (_, entries) = books.closed().await;
        assert_eq!((entries[0].basis, entries[0].cost, entries[0].priced_by), expected, "{policy}");
    }
    let books = books(unpriced("block"));
    books.world.client().asks("primary:unheard-of").await.is_refused(403, "model_unpriced");
    books.world.provider("primary").was_not_called();
    books.world.client().asks("m").await.is_served("hello");
    books.closed().await;
}

#[tokio::test]
async fn what_the_provider_charges_stands_against_every_price() {
    let books = books(priced());
    let body = "{\"choices\":[{\"message\":{\"content\":\"hello\"}}],\
                \"usage\":{\"prompt_tokens\":7,\"completion_tokens\":2,\"cost\":0.00125}}";
    books.world.provider("primary").answers(Answer::json(200, body));
    books.world.client().asks("fast").await;
    let (_, entries) = books.closed().await;
    assert_eq!((entries[0].cost, entries[0].priced_by), (Some(Nanodollars(1_250_000)), PricedBy::Provider));
}

#[tokio::test(start_paused = true)]
async fn ten_thousand_clients_that_leave_keep_no_place_from_those_that_come() {
    const CROWD: usize = 50;
    let world = World::of(["primary"]).workspace("main", "limits.parallel", &CROWD.to_string()).stands();
    let endless = Answer::begins().event(says("Hel")).hangs();
    world.provider("primary").answers(endless);
    for _ in 0..10_000 / CROWD {
        let mut crowd = Vec::with_capacity(CROWD);
        for _ in 0..CROWD {
            let live = world.client().asks("m").streamed().begins().await;
            assert_eq!(live.status, 200, "all places are free again");
            crowd.push(live);
        }
        drop(crowd);
        world.is_at_rest().await;
    }
    assert_eq!(world.records().len(), 10_000);
}
