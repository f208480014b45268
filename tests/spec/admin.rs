//! The admin API: its frame, its resources, and who may ask for what.

mod aliases;
mod catalogue;
mod estimate;
mod frame;
mod matrix;
pub(crate) mod office;
mod outside;
mod tenancy;
mod usage;
