//! `keyway demo`: everything, with no key and no network.

use std::net::SocketAddr;
use std::path::PathBuf;

use clap::Args;
use serde_json::json;

use super::failure::Failure;
use super::output::Output;
use crate::app::{self, Asked};

/// Where a demo that is kept lies.
const KEPT: &str = "./keyway-demo";

#[derive(Args, Clone, Debug)]
pub(super) struct Demo {
    /// Keep what it writes, in ./keyway-demo, instead of deleting it at the end
    #[arg(long)]
    pub(super) keep: bool,
    /// Where applications reach it [else 127.0.0.1:8080, or a free port if that is taken]
    #[arg(long, value_name = "ADDRESS")]
    pub(super) listen: Option<SocketAddr>,
}

pub(super) fn run(demo: &Demo, output: Output) -> Result<(), Failure> {
    let asked = Asked { keep_in: demo.keep.then(|| PathBuf::from(KEPT)), listen: demo.listen };
    Ok(app::demo(asked, |demo| {
        let token = String::from_utf8_lossy(demo.token.expose());
        let value = json!({ "data": demo.data, "admin": demo.admin, "token": token, "folder": demo.folder });
        // A demo whose words nobody reads is still one that can be called.
        let _ = output.result(&value, || String::from_utf8_lossy(demo.text().expose()).into_owned());
    })?)
}
