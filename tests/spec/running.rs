//! What the running process promises: the real binary over real sockets, with a practice provider behind it.

mod books;
mod budgets;
mod caller;
mod ends;
mod gateway;
mod many;
mod planted;
mod reloads;
mod replicas;
mod shares;
mod shows;
mod stalled;
mod starts;
mod webhooks;
