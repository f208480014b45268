//! Every promise, as one program: one module each.

mod upstream_client;
