//! A call's whole way, in order. The only place that knows the order of the steps.
//!
//! Takes a request's head and body, gives a response whose body settles the exchange when its last byte is gone.

mod answer;
mod bodies;
mod models;
mod native;
mod objects;
mod ours;
mod read;
mod recall;
mod relay;
mod route;
mod serve;
mod socket;
mod transcripts;
mod upload;

pub use bodies::{BodyBudget, BodyLimits};
pub use native::is_native;
pub use relay::RelayBody;

use std::ops::Deref;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use http::{HeaderMap, Request, Response, request};
use tokio::time::{Instant, timeout};
use uuid::Uuid;

use self::answer::{Answered, Attempting};
use self::bodies::BodyShare;
use self::read::{Read, Room};
use self::route::{Asked, Place};
use crate::attempt::{Attempts, Core, Reply};
use crate::authenticate::authenticate;
use crate::domain::call::Call;
use crate::domain::permission::Permission;
use crate::domain::protocol::{Delivery, Operation};
use crate::domain::refusal::Refusal;
use crate::domain::time::Timestamp;
use crate::hands::Hands;
use crate::listen::RequestBody;
use crate::meter::{Bill, CoreMeter, Exchange, Meter, Opening};
use crate::resolve::{Question, resolve};
use crate::snapshot::{Caller, World};
use crate::store::state::{State, Used};

/// What the data plane shares between its cores.
pub struct Gateway {
    pub world: Arc<World>,
    pub state: State,
    pub meter: Arc<Meter>,
    pub attempts: Attempts,
    pub bodies: Arc<BodyBudget>,
    pub hands: Hands,
    pub settings: ArcSwap<Settings>,
}

/// What the operator may set about serving.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Settings {
    pub bodies: BodyLimits,
    /// A stream without content gets its status and comments after this long.
    pub hold: Duration,
    /// Silence is bridged by a comment this often.
    pub keep_alive: Duration,
    /// The longest silence between two events of a stream.
    pub idle: Duration,
}

/// One core's way into the gateway. A clone counts on the core's own, so that cores do not wait for each other.
#[derive(Clone)]
pub struct Proxy(Arc<Seat>);

/// What one core works with.
pub struct Seat {
    pub gateway: Arc<Gateway>,
    pub core: Core,
    pub meter: Arc<CoreMeter>,
}

impl Deref for Proxy {
    type Target = Seat;

    fn deref(&self) -> &Seat {
        &self.0
    }
}

impl Proxy {
    pub fn new(gateway: Arc<Gateway>, core: Core, meter: Arc<CoreMeter>) -> Self {
        Self(Arc::new(Seat { gateway, core, meter }))
    }

    /// Answers one request, in steps of which each takes what the one before made. `known` is told as soon as a valid
    /// token was shown.
    ///
    /// One future for them all, for each that lies within another moves its request once more; and boxed, so that
    /// whoever holds it moves a pointer.
    pub fn handle<'a>(
        &'a self,
        request: Request<RequestBody>,
        known: impl FnOnce() + Send + 'a,
    ) -> Pin<Box<dyn Future<Output = Response<RelayBody>> + Send + 'a>> {
        // The box first, for the reason that `listen` has: `Box::pin` would copy room that is empty.
        let answer = Box::write(Box::new_uninit(), async move {
            let (mut head, body) = request.into_parts();
            route::take_key(&mut head);
            let (began, at) = (Instant::now(), Timestamp::now());
            let id = self.meter.draw_id(at);
            let (place, caller) = match self.placed(&head, at).await {
                Ok(placed) => placed,
                Err(refusal) => return self.turned_away(&head, id, &refusal),
            };
            known();
            let asked = match place {
                Place::Call(asked) => asked,
                Place::Models => return models::list(&caller, id, route::shape_of_models(&head)),
                Place::Model(model) => {
                    return models::one(&caller, id, &model, route::shape_of_models(&head))
                        .unwrap_or_else(|refusal| self.turned_away(&head, id, &refusal));
                }
            };
            let opening = Opening { id, protocol: asked.protocol, operation: asked.operation, began, at };
            let (mut exchange, remaining) = match self.meter.admit(&caller, opening).await {
                Ok(admitted) => admitted,
                Err(refusal) => return self.turned_away(&head, id, &refusal),
            };
            if let Some(bill) = head.extensions.remove::<Bill>() {
                exchange.bills(bill);
            }
            let mut answered = Answered { id, protocol: asked.protocol, explains: false, remaining };
            let read = match self.read(asked, id, &mut head, body, &mut exchange).await {
                Ok(read) => read,
                Err(refusal) => {
                    exchange.refused(&refusal);
                    let mut response = answered.refused(&refusal, Some(exchange));
                    response.body_mut().settled().await;
                    return response;
                }
            };
            answered.explains = read.wants_trail && caller.holds(Permission::AIModelView);
            let may_wait = read.call.delivery == Delivery::Streamed && !read.call.is_one_array();
            self.answered(answered, may_wait, self.attempting(caller, read, exchange)).await
        });
        Box::into_pin(answer)
    }

    /// Up to the caller; what is refused here is counted, but is no exchange.
    async fn placed(&self, head: &request::Parts, now: Timestamp) -> Result<(Place, Caller), Refusal> {
        let place = route::place(&head.method, head.uri.path())?;
        let caller = self.caller(&head.headers, now).await?;
        if caller.is_seen_again(now) {
            self.gateway.state.used(Used::Token(caller.token().id), now);
        }
        Ok((place, caller))
    }

    async fn caller(&self, headers: &HeaderMap, now: Timestamp) -> Result<Caller, Refusal> {
        authenticate(&self.gateway.world, headers, now).await
    }

    fn turned_away(&self, head: &request::Parts, id: Uuid, refusal: &Refusal) -> Response<RelayBody> {
        self.meter.refused_outside(refusal);
        answer::refusal(route::protocol_of(head.uri.path()), id, refusal)
    }

    async fn read(
        &self,
        asked: Asked,
        id: Uuid,
        head: &mut request::Parts,
        body: RequestBody,
        exchange: &mut Exchange,
    ) -> Result<Read, Refusal> {
        let read = read::read(asked, id, head, body, &self.room()).await?;
        exchange.has_read(&read.call, read.waited);
        Ok(read)
    }

    fn room(&self) -> Room<'_> {
        let gateway = &self.gateway;
        Room { limits: gateway.settings.load().bodies, budget: &gateway.bodies, hands: &gateway.hands }
    }

    /// Recall, resolve, reserve, attempt. Owns all it needs, for it may outlive this step: then the answer's body holds it.
    fn attempting(&self, caller: Caller, read: Read, mut exchange: Exchange) -> Attempting {
        let proxy = self.clone();
        let attempting = Box::write(Box::new_uninit(), async move {
            let Read { mut call, share, .. } = read;
            let mut share = Some(share);
            let result = proxy.attempted(&caller, &mut call, &mut share, &mut exchange).await;
            (result, exchange)
        });
        Box::into_pin(attempting)
    }

    async fn attempted(
        &self,
        caller: &Caller,
        call: &mut Call,
        share: &mut Option<BodyShare>,
        exchange: &mut Exchange,
    ) -> Result<Box<Reply>, Refusal> {
        let gateway = &self.gateway;
        let state = &gateway.state;
        let past = recall::recall(state, &gateway.hands, caller, call, share).await?;
        let call = &*call;
        if let Some(shown) = transcripts::shown(state, caller, call).await {
            return shown;
        }
        let plan = resolve(caller, &Question::from(call), &past)?;
        let plan = exchange.reserve(plan, caller, call).await?;
        if let Some(listed) = objects::listed(state, caller, &plan, call).await {
            return listed;
        }
        let outcome = gateway.attempts.run(&self.core, &gateway.hands, caller, &plan, call, exchange.trail()).await;
        exchange.has_waited(outcome.waited, outcome.ended);
        let mut reply = objects::kept(state, caller, call, outcome.result).await?;
        if call.operation == Operation::Responses {
            transcripts::keep(state, caller, call, &mut reply, share);
        }
        Ok(reply)
    }

    /// Relay. A stream whose providers are slow gets its status and comments meanwhile.
    async fn answered(&self, answered: Answered, may_wait: bool, mut attempting: Attempting) -> Response<RelayBody> {
        let settings = **self.gateway.settings.load();
        let replied =
            if may_wait { timeout(settings.hold, &mut attempting).await } else { Ok((&mut attempting).await) };
        match replied {
            Ok((result, exchange)) => {
                let mut response = answered.replied(result, exchange, &settings);
                response.body_mut().settled().await;
                response
            }
            Err(_) => answered.waiting(attempting, &settings),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Each call allocates it, and what it holds lies spread over all of it. Whatever asks a database is rare and large, and
    /// so is boxed where it is awaited.
    #[test]
    fn a_calls_future_has_no_room_for_what_few_calls_need() {
        fn size<'a, F: Future>(
            _: impl FnOnce(&'a Proxy, &'a Caller, &'a mut Call, &'a mut Option<BodyShare>, &'a mut Exchange) -> F,
        ) -> usize {
            size_of::<F>()
        }
        let bytes = size(Proxy::attempted);
        assert!(bytes < 5_000, "{bytes}");
    }
}
