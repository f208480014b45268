//! Promise: both stores keep the directory alike. Each test here runs on the sealed file and on Postgres.

mod audit;
mod commands;
mod directory;
mod keys;
mod outage;
mod parts;
mod place;
mod tables;
