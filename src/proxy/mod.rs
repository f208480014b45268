//! A call's whole way, in order. The only place that knows the order of the steps.
//!
//! Takes a request's head and body, gives a response whose body settles the exchange when its last byte is gone.

mod answer;
mod bodies;
mod models;
mod objects;
mod ours;
mod read;
mod recall;
mod relay;
mod route;
mod serve;
mod upload;

pub use bodies::{BodyBudget, BodyLimits};
pub use relay::RelayBody;

use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use http::{Request, Response, request};
use tokio::time::{Instant, timeout};
use uuid::Uuid;

use self::answer::Answered;
use self::bodies::BodyShare;
use self::read::Room;
use self::route::{Asked, Place};
use crate::attempt::{Attempts, Core};
use crate::authenticate::authenticate;
use crate::domain::call::Call;
use crate::domain::protocol::Delivery;
use crate::domain::refusal::Refusal;
use crate::domain::time::Timestamp;
use crate::hands::Hands;
use crate::listen::RequestBody;
use crate::meter::{CoreMeter, Exchange, Meter};
use crate::resolve::{Plan, Question, resolve};
use crate::snapshot::{Caller, World};
use crate::store::state::{State, Used};

/// What the data plane shares between its cores.
pub struct Gateway {
    pub world: Arc<World>,
    pub state: State,
    pub meter: Meter,
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

/// A call that may be attempted, with its share of the memory for bodies.
struct Planned {
    plan: Plan,
    call: Box<Call>,
    share: BodyShare,
}

/// One core's way into the gateway.
#[derive(Clone)]
pub struct Proxy {
    pub gateway: Arc<Gateway>,
    pub core: Arc<Core>,
    pub meter: Arc<CoreMeter>,
}

impl Proxy {
    /// Answers one request. `known` is told as soon as a valid token was shown.
    pub async fn handle(&self, request: Request<RequestBody>, known: impl FnOnce()) -> Response<RelayBody> {
        let began = Instant::now();
        let (head, body) = request.into_parts();
        let now = Timestamp::now();
        let id = self.meter.draw_id(now);
        let protocol = route::protocol_of(head.uri.path());
        match self.placed(id, began, head, body, known).await {
            Ok(response) => response,
            Err(refusal) => {
                self.meter.refused_outside(&refusal);
                answer::refusal(protocol, id, &refusal)
            }
        }
    }

    /// Up to the caller; what is refused here is counted, but is no exchange.
    async fn placed(
        &self,
        id: Uuid,
        began: Instant,
        head: request::Parts,
        body: RequestBody,
        known: impl FnOnce(),
    ) -> Result<Response<RelayBody>, Refusal> {
        let place = route::place(&head.method, head.uri.path())?;
        let now = Timestamp::now();
        let caller = authenticate(&self.gateway.world, &head.headers, now).await?;
        known();
        if caller.is_seen_again(now) {
            self.gateway.state.used(Used::Token(caller.token().id), now);
        }
        match place {
            Place::Models => Ok(models::list(&caller, id)),
            Place::Model(model) => models::one(&caller, id, &model),
            Place::Call(asked) => Ok(self.exchange(id, began, asked, caller, head, body).await),
        }
    }

    /// The steps of a call, each taking what the one before made.
    async fn exchange(
        &self,
        id: Uuid,
        began: Instant,
        asked: Asked,
        caller: Caller,
        head: request::Parts,
        body: RequestBody,
    ) -> Response<RelayBody> {
        let (protocol, explains) = (asked.protocol, answer::wants_explanation(&caller, &head.headers));
        let answered = Answered { id, protocol, explains, remaining: None };
        let mut exchange = match self.gateway.meter.admit(&self.meter, &caller, asked.opening(id, began)) {
            Ok(exchange) => exchange,
            Err(refusal) => {
                self.meter.refused_outside(&refusal);
                return answered.refused(&refusal, None);
            }
        };
        let answered = Answered { remaining: exchange.remaining(), ..answered };
        match self.planned(asked, &caller, head, body, &mut exchange).await {
            Ok(planned) => self.answered(answered, planned, caller, exchange).await,
            Err(refusal) => {
                exchange.refused(&refusal);
                answered.refused(&refusal, Some(&exchange))
            }
        }
    }

    /// Read, recall, resolve, reserve.
    async fn planned(
        &self,
        asked: Asked,
        caller: &Caller,
        head: request::Parts,
        body: RequestBody,
        exchange: &mut Exchange,
    ) -> Result<Planned, Refusal> {
        let gateway = &self.gateway;
        let room = Room { limits: gateway.settings.load().bodies, budget: &gateway.bodies, hands: &gateway.hands };
        let reading = Instant::now();
        let (call, share) = read::read(asked, exchange.id(), head, body, &room).await?;
        exchange.has_read(&call, reading.elapsed());
        let past = recall::recall(&gateway.state, caller, &call).await?;
        let plan = resolve(caller, &Question::from(&*call), &past)?;
        let plan = exchange.reserve(plan, &call)?;
        Ok(Planned { plan, call, share })
    }

    /// Attempt and relay. A stream whose providers are slow gets its status and comments meanwhile.
    async fn answered(
        &self,
        answered: Answered,
        planned: Planned,
        caller: Caller,
        mut exchange: Exchange,
    ) -> Response<RelayBody> {
        let delivery = planned.call.delivery;
        let proxy = self.clone();
        let attempting = async move {
            let Planned { plan, call, share: _held_until_committed } = planned;
            let state = &proxy.gateway.state;
            if let Some(listed) = objects::listed(state, &caller, &plan, &call).await {
                return (listed, exchange);
            }
            let outcome = proxy.gateway.attempts.run(&proxy.core, &caller, &plan, &call, exchange.trail()).await;
            exchange.has_waited(outcome.waited);
            (objects::kept(state, &caller, &call, outcome.result).await, exchange)
        };
        // Boxed, for what holds a future moves it: inside the steps before it, all its bytes would move with each.
        let mut attempting = Box::pin(attempting);
        let settings = **self.gateway.settings.load();
        if delivery == Delivery::Whole {
            let (result, exchange) = attempting.await;
            return answered.replied(result, exchange, &settings);
        }
        match timeout(settings.hold, &mut attempting).await {
            Ok((result, exchange)) => answered.replied(result, exchange, &settings),
            Err(_) => answered.waiting(attempting, &settings),
        }
    }
}
