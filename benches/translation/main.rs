//! What translation costs: whole conversations and answers, single events, and chunks through a gateway that stands.
//!
//! Prints one JSON object; `benches/translate` builds it as the released program is built, runs it and keeps what it says.
//! CPU times are the scheduler's, of one thread each, so what other processes do moves them little.

#![allow(clippy::print_stdout, reason = "a program that prints its result")]
#![allow(clippy::unwrap_used, reason = "what fails here ends the measurement, and says where")]

mod conversation;
mod cpu;
#[path = "../../tests/spec/golden/frames.rs"]
#[expect(dead_code, reason = "only the tests ask where frames end")]
mod frames;
mod gateway;
mod paced;
#[path = "../../tests/spec/golden/long.rs"]
mod streams;

use keyway::domain::protocol::{Delivery, Protocol};
use keyway::protocol::hub::about::About;
use keyway::protocol::hub::ids::Ids;
use keyway::protocol::hub::opaque::Maker;
use keyway::protocol::hub::request::Terms;
use keyway::protocol::hub::text::Quoted;
use keyway::protocol::translate::{self, Asked, Translator};
use keyway::protocol::{Watch, scan};
use serde_json::{Value, json};

/// As the released program has it.
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

const CLIENTS: [Protocol; 4] = [Protocol::Chat, Protocol::Responses, Protocol::Messages, Protocol::Gemini];
const UPSTREAMS: [Protocol; 5] =
    [Protocol::Chat, Protocol::Responses, Protocol::Messages, Protocol::Gemini, Protocol::Bedrock];

/// Of so many tries the best counts: the others were disturbed.
const TRIES: usize = 20;
/// Events of a stream, each pushed by itself.
const EVENTS: usize = 10_000;
const MEGABYTE: usize = 1 << 20;
const MODEL: &str = "bench";

fn main() {
    let words: Vec<String> = std::env::args().collect();
    let rounds = words.iter().position(|word| word == "--rounds").map_or(5, |at| words[at + 1].parse().unwrap());
    let requests = each_pair(conversation_ms);
    let answers = each_pair(answer_ms);
    let events = each_pair(event_ns);
    let dearest = events.iter().max_by(|one, other| one.2.total_cmp(&other.2)).unwrap();
    let watched = UPSTREAMS.map(|protocol| json!({"protocol": protocol.name(), "ns": watched_ns(protocol)}));
    let paced = paced::measure(dearest.0, dearest.1, rounds);
    let said = json!({
        "conversation_ms": told(&requests),
        "answer_ms": told(&answers),
        "event_ns": told(&events),
        "watched_event_ns": watched,
        "paced": paced,
    });
    println!("{said}");
}

type Cost = (Protocol, Protocol, f64);

fn each_pair(cost: impl Fn(Protocol, Protocol) -> f64) -> Vec<Cost> {
    let pairs = CLIENTS.into_iter().flat_map(|client| UPSTREAMS.map(|upstream| (client, upstream)));
    pairs.filter(|(client, upstream)| client != upstream).map(|(c, u)| (c, u, cost(c, u))).collect()
}

fn told(costs: &[Cost]) -> Value {
    let rounded = |cost: f64| (cost * 1_000.0).round() / 1_000.0;
    let line = |(client, upstream, cost): &Cost| json!({"client": client.name(), "provider": upstream.name(), "cost": rounded(*cost)});
    costs.iter().map(line).collect()
}

fn terms() -> Terms<'static> {
    // Messages must say how much may be written.
    Terms { max_output_tokens: Some(4_096), ..Terms::of(MODEL) }
}

fn about() -> About {
    About { ids: Ids::of(uuid::Uuid::now_v7()), created: 1_700_000_000, model: Quoted::plain(MODEL), input_tokens: 9 }
}

fn maker() -> Maker {
    Maker::of(&["bench"])
}

/// What a client of this protocol asked for, as its answer must know it.
fn asked(client: Protocol, upstream: Protocol) -> Asked {
    let body = conversation::of(client, 1_000);
    translate::request(client, upstream, &body, Delivery::Streamed, &terms()).unwrap().asked
}

/// A megabyte of conversation, scanned as every body is, and put into the provider's words.
fn conversation_ms(client: Protocol, upstream: Protocol) -> f64 {
    let body = conversation::of(client, MEGABYTE);
    assert!((MEGABYTE..MEGABYTE * 3 / 2).contains(&body.len()), "{client}: {} bytes", body.len());
    let operation = conversation::operation(client);
    best(1e6, || {
        scan::json(&body, operation).unwrap();
        translate::request(client, upstream, &body, Delivery::Streamed, &terms()).unwrap().body.len()
    })
}

/// A megabyte of whole answer, put into the client's words.
fn answer_ms(client: Protocol, upstream: Protocol) -> f64 {
    let (body, asked, about) = (conversation::answer(upstream, MEGABYTE), asked(client, upstream), about());
    best(1e6, || translate::whole(upstream, &body, maker(), &asked, &about).unwrap().body.len())
}

/// One event of a long stream, from one read to one write.
fn event_ns(client: Protocol, upstream: Protocol) -> f64 {
    let stream = streams::of(upstream, EVENTS);
    let asked = asked(client, upstream);
    best(EVENTS as f64, || {
        let mut translator = Translator::new(upstream, maker(), asked.clone(), about()).unwrap();
        let mut out = Vec::new();
        let mut written = 0;
        for event in &stream {
            translator.push(event, &mut out);
            written += out.len();
            out.clear();
        }
        translator.finish(&mut out);
        written + out.len()
    })
}

/// What an event costs that is passed through, beside the passing.
fn watched_ns(protocol: Protocol) -> f64 {
    let stream = streams::of(protocol, EVENTS);
    best(EVENTS as f64, || {
        let mut watch = Watch::of(protocol);
        stream.iter().filter(|event| watch.push(event).content).count()
    })
}

/// The best of all tries, in nanoseconds of this thread's CPU time by so many.
fn best(by: f64, work: impl Fn() -> usize) -> f64 {
    let one = || {
        let began = cpu::of_this_thread();
        std::hint::black_box(work());
        cpu::of_this_thread() - began
    };
    (0..TRIES).map(|_| one()).min().unwrap() as f64 / by
}
