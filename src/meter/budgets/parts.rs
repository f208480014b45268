//! Parts of limits that several replicas share: requests and text of a minute, calls in flight.
//!
//! They are leased as money is, but come back: what is in use of a part is never given back, all else is when it is not needed.

use tokio::time::Instant;
use uuid::Uuid;

use super::Budgets;
use crate::domain::limits::Unknown;
use crate::domain::refusal::Refusal;
use crate::meter::share::{Growth, Share};
use crate::store::ledger::{Budget, Leased, Wanted};

/// A limit of which this replica holds too little.
pub(in crate::meter) struct Lacking {
    pub(in crate::meter) of: &'static str,
    pub(in crate::meter) holder: Uuid,
    /// Which of the holder's limits.
    pub(in crate::meter) span: &'static str,
    pub(in crate::meter) limit: i64,
    pub(in crate::meter) now: Instant,
}

/// What came of asking for more of it.
pub(in crate::meter) enum Grown {
    Enough,
    /// Others hold the rest.
    Short,
}

/// Lets somebody at a share, and says what it lacks now.
pub(in crate::meter) type Lacks<'a> = &'a (dyn Fn(&mut dyn FnMut(&mut Share, Option<Growth>)) + Sync);

impl Budgets {
    /// Asks for more of a shared limit.
    pub(in crate::meter) async fn grow(
        &self,
        lacking: &Lacking,
        asking: &tokio::sync::Mutex<()>,
        lacks: Lacks<'_>,
    ) -> Result<Grown, Refusal> {
        let Some(past) = self.past.get() else { return Ok(Grown::Enough) };
        let _turn = asking.lock().await;
        let (mut growth, mut is_told) = (None, false);
        lacks(&mut |share, lacks| (growth, is_told) = (lacks, share.is_told(lacking.now)));
        let Some(Growth { least, slice }) = growth else { return Ok(Grown::Enough) };
        if is_told {
            return Ok(Grown::Short);
        }
        let budget = Budget { holder: lacking.holder, span: lacking.span, period: 0 };
        let wanted = Wanted { limit: lacking.limit, least, slice };
        let leased = async {
            let mut leased = past.ledger.lease(self.replica, budget, wanted).await?;
            if leased == Leased::Unbegun {
                past.ledger.begin(budget, 0).await?;
                leased = past.ledger.lease(self.replica, budget, wanted).await?;
            }
            Ok::<Leased, crate::store::ledger::Away>(leased)
        };
        match (leased.await, self.settings.load().unknown) {
            (Ok(Leased::Granted { amount, is_new }), _) => {
                lacks(&mut |share, _| share.gains(amount, is_new));
                Ok(Grown::Enough)
            }
            (Err(_), Unknown::Allow) => {
                lacks(&mut |share, _| share.gains(least, false));
                Ok(Grown::Enough)
            }
            (Ok(Leased::Short { .. }), _) => {
                lacks(&mut |share, _| share.is_refused(lacking.now));
                Ok(Grown::Short)
            }
            (Ok(Leased::Unbegun) | Err(_), _) => {
                lacks(&mut |share, _| share.is_refused(lacking.now));
                Err(Refusal::BudgetUnknown { of: lacking.of })
            }
        }
    }
}
