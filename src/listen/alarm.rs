//! A timer for those who are polled far more often than they wait: while it has not rung, a look at it is two compares.

use std::pin::{Pin, pin};
use std::task::{Context, Poll, Waker};

use tokio::task::coop::unconstrained;
use tokio::time::{Instant, Sleep, sleep_until};

/// Rings once, until it is set again.
#[derive(Debug)]
pub struct Alarm {
    sleep: Pin<Box<Sleep>>,
    /// Whom it will wake: that task need not ask the runtime again.
    awaited_by: Option<Waker>,
}

impl Alarm {
    pub fn new(at: Instant) -> Self {
        Self { sleep: Box::pin(sleep_until(at)), awaited_by: None }
    }

    pub fn set(&mut self, at: Instant) {
        self.sleep.as_mut().reset(at);
        self.awaited_by = None;
    }

    /// When it rings, or rang.
    pub fn time(&self) -> Instant {
        self.sleep.deadline()
    }

    pub fn poll(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let will_wake = self.awaited_by.as_ref().is_some_and(|waker| waker.will_wake(cx.waker()));
        if will_wake && !self.sleep.is_elapsed() {
            return Poll::Pending;
        }
        // A task that has used up its budget must wait here all the same, or nobody would wake it.
        let rung = pin!(unconstrained(self.sleep.as_mut())).poll(cx);
        self.awaited_by = rung.is_pending().then(|| cx.waker().clone());
        rung
    }
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;
    use std::time::Duration;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn it_wakes_whoever_looked_last_and_when_it_was_set_to() {
        let start = Instant::now();
        let seconds = Duration::from_secs;
        let mut alarm = Alarm::new(start + seconds(60));
        let mut noop = Context::from_waker(Waker::noop());
        assert!(alarm.poll(&mut noop).is_pending() && alarm.poll(&mut noop).is_pending());
        alarm.set(start + seconds(10));
        poll_fn(|cx| alarm.poll(cx)).await;
        assert_eq!(start.elapsed().as_secs(), 10);
        assert!(alarm.poll(&mut noop).is_ready(), "it has rung");
        alarm.set(start + seconds(20));
        assert!(alarm.poll(&mut noop).is_pending());
        poll_fn(|cx| alarm.poll(cx)).await;
        assert_eq!(start.elapsed().as_secs(), 20);
    }

    #[tokio::test(start_paused = true)]
    async fn a_task_without_budget_is_woken_all_the_same() {
        let mut alarm = Alarm::new(Instant::now() + Duration::from_secs(1));
        poll_fn(|cx| {
            while tokio::task::coop::has_budget_remaining() {
                let _ = pin!(tokio::task::coop::consume_budget()).poll(cx);
            }
            alarm.poll(cx)
        })
        .await;
    }
}
