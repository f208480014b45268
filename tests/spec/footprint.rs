//! How large a call in flight is. What a future holds is moved when it is made and lies in memory while a provider is
//! waited for, and it grows unseen: by a value held across an `await`, or by one step called within another.

use keyway::domain::call::{Call, CallBody, Past};
use keyway::domain::protocol::{Delivery, Operation, Protocol};
use keyway::domain::time::Timestamp;
use keyway::domain::token::TokenHash;
use keyway::domain::trail::Trail;
use keyway::listen::RequestBody;
use keyway::resolve::{Question, resolve};
use keyway::snapshot::Lookup;

use super::support::World;

/// The steps up to the attempts: the request's head is a quarter of it.
const STEPS_BYTES: usize = 2_304;
/// The attempts, which are held while a provider is waited for: most is the answer as it comes in, and what sends it.
const ATTEMPTS_BYTES: usize = 3_328;

#[tokio::test(start_paused = true)]
async fn a_call_in_flight_is_no_larger_than_what_it_needs() {
    let world = World::of(["a"]).stands();
    let proxy = world.proxy();
    let request = http::Request::new(RequestBody::whole(bytes::Bytes::new()));
    let steps = size_of_val(&*proxy.handle(request, || ()));
    assert!(steps <= STEPS_BYTES, "the steps take {steps} bytes");

    let token = TokenHash::of(world.token("main").as_bytes());
    let Lookup::Known(caller) = proxy.gateway.world.caller(&token, Timestamp::now()).await else { panic!() };
    let (call, mut trail) = (call(), Trail::default());
    let plan = resolve(&caller, &Question::of_model("a:m", None), &Past::None).unwrap();
    let attempts =
        size_of_val(&proxy.gateway.attempts.run(&proxy.core, &proxy.gateway.hands, &caller, &plan, &call, &mut trail));
    assert!(attempts <= ATTEMPTS_BYTES, "the attempts take {attempts} bytes");
}

fn call() -> Call {
    Call {
        id: uuid::Uuid::nil(),
        protocol: Protocol::Chat,
        operation: Operation::ChatCompletions,
        delivery: Delivery::Whole,
        model: None,
        method: http::Method::POST,
        tail: None,
        query: None,
        headers: http::HeaderMap::new(),
        body: CallBody::Empty,
        run: None,
        conversation: None,
        role: None,
        endpoint: None,
        project: None,
        provider: None,
        continues: None,
        allowed: None,
    }
}
