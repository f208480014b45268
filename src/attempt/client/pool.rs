//! Which connections exist: idle HTTP/1.1 ones by address and credential, HTTP/2 ones by address.
//!
//! Takes connections that came to rest, gives them out again, last in first out, and closes them by age and number.
//! Opens none itself.

use std::sync::atomic::Ordering::{Relaxed, SeqCst};
use std::sync::atomic::{AtomicBool, AtomicU8};
use std::sync::{Arc, Mutex, MutexGuard, Weak};
use std::time::Duration;

use http::HeaderValue;
use http::uri::Authority;
use tokio::time::{Instant, sleep_until};

use super::ClientSettings;
use super::counts::Counts;
use super::shared::{Lease, Shared};
use super::single::Single;
use super::tasks::Tasks;
use crate::domain::address::Address;
use crate::domain::entity::Credential;
use crate::domain::failure::Failure;
use crate::domain::id::Id;
use crate::domain::map::Map;

/// Addresses remembered at a time. More than any directory names; beyond it those without connections are forgotten.
const SITES: usize = 4_096;

/// At the limit this part of all idle connections is closed at once, so that finding the oldest is rare.
const CLOSED_AT_ONCE: usize = 16;

/// The sweep sleeps at least this long: an idle connection closes that much late at most.
const SWEEP_EVERY: Duration = Duration::from_millis(200);

pub(super) struct Pool {
    pub(super) settings: ClientSettings,
    pub(super) counts: Arc<Counts>,
    pub(super) tasks: Arc<Tasks>,
    sites: Mutex<Map<Address, Arc<Site>>>,
    sweeping: AtomicBool,
}

/// All that the pool knows of one address.
pub(super) struct Site {
    pub(super) host: HeaderValue,
    pub(super) authority: Authority,
    pub(super) speaks: Speaks,
    /// Held while one connection is opened that others may share: they wait for it instead of opening their own.
    pub(super) opening: tokio::sync::Mutex<()>,
    lines: Mutex<Lines>,
}

/// What the peer was last seen to speak.
#[derive(Default)]
pub(super) struct Speaks(AtomicU8);

impl Speaks {
    const HTTP1: u8 = 1;
    const HTTP2: u8 = 2;

    pub(super) fn learn(&self, http2: bool) {
        self.0.store(if http2 { Self::HTTP2 } else { Self::HTTP1 }, Relaxed);
    }

    /// Whether a connection to come may serve many: yes until we know better.
    pub(super) fn maybe_http2(&self) -> bool {
        self.0.load(Relaxed) != Self::HTTP1
    }
}

#[derive(Default)]
struct Lines {
    idle: Map<Option<Id<Credential>>, Vec<Idle>>,
    shared: Vec<Arc<Shared>>,
}

/// The newest stands last in its list.
struct Idle {
    single: Box<Single>,
    since: Instant,
}

impl Pool {
    pub(super) fn new(settings: ClientSettings) -> Arc<Self> {
        Arc::new(Self {
            settings,
            counts: Arc::default(),
            tasks: Arc::default(),
            sites: Mutex::default(),
            sweeping: AtomicBool::new(false),
        })
    }

    pub(super) fn site(&self, address: &Address) -> Result<Arc<Site>, Failure> {
        let mut sites = lock(&self.sites);
        if let Some(site) = sites.get(address) {
            return Ok(site.clone());
        }
        if sites.len() >= SITES {
            sites.retain(|_, site| !site.is_forgettable());
        }
        let site = Arc::new(Site::new(address)?);
        sites.insert(address.clone(), site.clone());
        Ok(site)
    }

    /// An idle connection of this credential, the one that rested last: the others may grow old and go.
    pub(super) fn take(&self, site: &Site, credential: Option<Id<Credential>>) -> Option<Box<Single>> {
        let mut lines = lock(&site.lines);
        let idle = lines.idle.get_mut(&credential)?;
        let newest = idle.pop()?;
        self.counts.idle.fetch_sub(1, Relaxed);
        if newest.since.elapsed() < self.settings.pool_idle {
            return Some(newest.single);
        }
        // The rest is older still.
        self.counts.idle.fetch_sub(idle.len() as u64, Relaxed);
        lines.idle.remove(&credential);
        None
    }

    /// Takes a connection back that has come to rest.
    pub(super) fn keep(pool: &Arc<Self>, site: &Site, credential: Option<Id<Credential>>, single: Box<Single>) {
        let idle = pool.counts.idle.fetch_add(1, Relaxed) as usize + 1;
        let since = Instant::now();
        lock(&site.lines).idle.entry(credential).or_default().push(Idle { single, since });
        if idle > pool.settings.idle_per_core {
            pool.close_oldest(idle - pool.settings.idle_per_core + pool.settings.idle_per_core / CLOSED_AT_ONCE);
        }
        Self::sweep_from_now_on(pool);
    }

    pub(super) fn share(pool: &Arc<Self>, site: &Site, shared: Arc<Shared>) {
        lock(&site.lines).shared.push(shared);
        Self::sweep_from_now_on(pool);
    }

    /// Closes all that carries no call. Calls in flight go on; their connections may rest again.
    pub(super) fn close_idle(&self) {
        self.close_older_than(Duration::ZERO);
    }

    /// Ends all that is the pool's: what is idle, and every HTTP/2 connection with its calls.
    pub(super) fn abort(&self) {
        self.close_idle();
        self.tasks.abort();
        self.sweeping.store(false, SeqCst);
    }

    fn close_oldest(&self, number: usize) {
        let sites = self.all_sites();
        let mut ages: Vec<Instant> = Vec::new();
        for site in &sites {
            ages.extend(lock(&site.lines).idle.values().flatten().map(|idle| idle.since));
        }
        ages.sort_unstable();
        let Some(&last) = ages.get(number.max(1) - 1) else { return };
        for site in &sites {
            self.close_where(site, |idle| idle.since <= last);
        }
    }

    fn close_older_than(&self, age: Duration) {
        let now = Instant::now();
        for site in self.all_sites() {
            self.close_where(&site, |idle| now.duration_since(idle.since) >= age);
            site.close_resting(now, age);
        }
    }

    /// Since when the connection has rested that has rested longest, if there is any connection.
    fn oldest(&self) -> Option<Instant> {
        self.all_sites().iter().filter_map(|site| site.oldest()).min()
    }

    fn all_sites(&self) -> Vec<Arc<Site>> {
        lock(&self.sites).values().cloned().collect()
    }

    fn close_where(&self, site: &Site, goes: impl Fn(&Idle) -> bool) {
        let mut closed = Vec::new();
        lock(&site.lines).idle.retain(|_, list| {
            closed.extend(list.extract_if(.., |idle| goes(idle)));
            !list.is_empty()
        });
        self.counts.idle.fetch_sub(closed.len() as u64, Relaxed);
    }

    fn sweep_from_now_on(pool: &Arc<Self>) {
        if !pool.sweeping.swap(true, SeqCst) {
            pool.tasks.spawn(sweep(Arc::downgrade(pool)));
        }
    }
}

/// Closes what has rested too long, until nothing rests.
async fn sweep(pool: Weak<Pool>) {
    let mut next = Instant::now() + SWEEP_EVERY;
    loop {
        sleep_until(next).await;
        let Some(pool) = pool.upgrade() else { return };
        let idle = pool.settings.pool_idle;
        pool.close_older_than(idle);
        let Some(oldest) = pool.oldest() else {
            pool.sweeping.swap(false, SeqCst);
            // One that came to rest just before has left the sweep to us.
            if pool.oldest().is_none() || pool.sweeping.swap(true, SeqCst) {
                return;
            }
            continue;
        };
        next = (oldest + idle).max(Instant::now() + SWEEP_EVERY);
    }
}

impl Site {
    fn new(address: &Address) -> Result<Self, Failure> {
        let authority = address.authority();
        let unspeakable = Failure::Internal("an address that no Host header can name");
        let host = HeaderValue::from_str(&authority).map_err(|_| unspeakable.clone())?;
        let authority = authority.parse().map_err(|_| unspeakable)?;
        Ok(Self {
            host,
            authority,
            speaks: Speaks::default(),
            opening: tokio::sync::Mutex::default(),
            lines: Mutex::default(),
        })
    }

    /// A stream on a connection that has room.
    pub(super) fn lease(&self) -> Option<Lease> {
        let mut lines = lock(&self.lines);
        lines.shared.retain(|shared| shared.is_usable());
        lines.shared.iter().find_map(Shared::lease)
    }

    fn is_forgettable(self: &Arc<Self>) -> bool {
        let lines = lock(&self.lines);
        Arc::strong_count(self) == 1 && lines.idle.values().all(Vec::is_empty) && lines.shared.is_empty()
    }

    fn close_resting(&self, now: Instant, age: Duration) {
        let rested = |shared: &Shared| shared.resting_since().is_some_and(|since| now.duration_since(since) >= age);
        lock(&self.lines).shared.retain(|shared| shared.is_usable() && !rested(shared));
    }

    /// Since when the one has rested that has rested longest; a busy HTTP/2 connection counts as resting from now.
    fn oldest(&self) -> Option<Instant> {
        let lines = lock(&self.lines);
        let idle = lines.idle.values().flatten().map(|idle| idle.since);
        let shared = lines.shared.iter().map(|shared| shared.resting_since().unwrap_or_else(Instant::now));
        idle.chain(shared).min()
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
}
