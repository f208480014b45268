//! Promise: what operators are shown is true, complete, and for them only.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;
use std::sync::Arc;

use http::Method;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

use super::caller::Caller;
use super::gateway::{Gateway, configuration, practice};

/// The families of a scrape with their labels. `le` belongs to the format.
fn scraped(text: &str) -> BTreeMap<String, BTreeSet<String>> {
    let mut families: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for line in text.lines() {
        if let Some(name) = line.strip_prefix("# TYPE ").and_then(|rest| rest.split(' ').next()) {
            families.entry(name.to_string()).or_default();
        }
    }
    for line in text.lines().filter(|line| !line.starts_with('#')) {
        let Some((name, labels)) = line.split_once('{') else { continue };
        let family = ["_bucket", "_sum", "_count"].iter().find_map(|end| name.strip_suffix(end)).unwrap_or(name);
        let known = if families.contains_key(name) { name } else { family };
        let labels = labels.split('}').next().unwrap().split("\",").filter_map(|label| label.split('=').next());
        families.get_mut(known).unwrap().extend(labels.filter(|label| *label != "le").map(str::to_string));
    }
    families
}

/// What the README's table promises.
fn documented() -> BTreeMap<String, BTreeSet<String>> {
    let readme = fs::read_to_string("README.md").unwrap();
    let rows = readme.lines().filter(|line| line.starts_with("| `keyway_"));
    let marked = |cell: &str| cell.split('`').skip(1).step_by(2).map(str::to_string).collect::<Vec<_>>();
    rows.map(|row| {
        let cells: Vec<&str> = row.split('|').collect();
        (marked(cells[1]).remove(0), marked(cells[2]).into_iter().collect())
    })
    .collect()
}

#[tokio::test]
async fn the_readme_names_every_metric_with_its_labels() {
    let gateway = Gateway::start(&configuration(practice(), "")).await;
    let mut caller = gateway.caller().await;
    assert_eq!(caller.chat("default").await.unwrap().status, 200);
    caller.chat("nothing:of-the-kind").await.unwrap();
    Caller::to(gateway.data).await.chat("default").await.unwrap();
    super::caller::text(caller.stream("default").await).await.unwrap();
    gateway.reload().await;
    assert_eq!(scraped(&gateway.metrics().await), documented());
}

#[tokio::test]
async fn health_is_for_everyone_and_unknown_paths_are_not() {
    let gateway = Gateway::start(&configuration(practice(), "")).await;
    let mut caller = Caller::to(gateway.admin).await;
    assert_eq!(caller.get("/healthz").await.body, "ok\n");
    let (status, ready) = gateway.ready().await;
    assert_eq!((status, &ready["status"]), (200, &"ready".into()));
    assert!(ready["config"].as_str().unwrap().len() == 12 && ready["directoryVersion"] == 1, "{ready}");
    assert_eq!(caller.get("/v1/models").await.status, 404);
    assert_eq!(Caller::to(gateway.data).await.get("/metrics").await.status, 404, "not where applications are");
}

#[tokio::test]
async fn a_model_is_asked_on_the_admin_listener_too_and_counted() {
    let gateway = Gateway::start(&configuration(practice(), "")).await;
    let (path, body) = ("/api/v1/chat", "{\"message\":\"Hello\"}");
    for address in [gateway.data, gateway.admin] {
        let mut caller = Caller::to(address).await.with_token(&gateway.token);
        let answer = caller.asks(Method::POST, path, body).await;
        assert!(answer.status == 200 && answer.body.contains("\"success\":true"), "{answer:?}");
        assert_eq!(Caller::to(address).await.asks(Method::POST, path, body).await.status, 401);
    }
    let calls = gateway.metrics().await;
    let counted = calls.lines().filter(|line| line.starts_with("keyway_requests_total{"));
    let sum: u32 = counted.filter_map(|line| line.rsplit(' ').next()?.parse::<u32>().ok()).sum();
    assert_eq!(sum, 2, "{calls}");
}

fn write_certificate(folder: &Path, name: &str) -> CertificateDer<'static> {
    let made = rcgen::generate_simple_self_signed(["keyway.test".into()]).unwrap();
    fs::write(folder.join(format!("{name}.pem")), made.cert.pem()).unwrap();
    fs::write(folder.join(format!("{name}-key.pem")), made.signing_key.serialize_pem()).unwrap();
    made.cert.der().clone()
}

async fn secured(address: std::net::SocketAddr, trusted: &CertificateDer<'static>) -> std::io::Result<Caller> {
    let mut roots = RootCertStore::empty();
    roots.add(trusted.clone()).unwrap();
    let settings = ClientConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    let stream = TcpStream::connect(address).await?;
    let name = ServerName::try_from("keyway.test").unwrap();
    Ok(Caller::over(TlsConnector::from(Arc::new(settings)).connect(name, stream).await?).await)
}

#[tokio::test]
async fn certificates_of_both_listeners_are_swapped_by_a_reload() {
    let folder = tempfile::tempdir().unwrap();
    let (data, desk) = (write_certificate(folder.path(), "data"), write_certificate(folder.path(), "desk"));
    let files = |name: &str| format!("certificate = \"{name}.pem\"\nkey = \"{name}-key.pem\"\n");
    let settings = format!("[listen.tls]\n{}[listen.admin_tls]\n{}", files("data"), files("desk"));
    let gateway = Gateway::start_in(folder, &configuration(practice(), &settings)).await;
    let mut early = secured(gateway.data, &data).await.unwrap().with_token(&gateway.token);
    assert_eq!(early.chat("default").await.unwrap().status, 200);
    assert_eq!(secured(gateway.admin, &desk).await.unwrap().get("/readyz").await.status, 200);

    let new = (write_certificate(gateway.folder.path(), "data"), write_certificate(gateway.folder.path(), "desk"));
    gateway.process.signal(rustix::process::Signal::HUP);
    gateway.process.says("reloaded").await;
    assert!(secured(gateway.data, &data).await.is_err() && secured(gateway.admin, &desk).await.is_err());
    let mut late = secured(gateway.data, &new.0).await.unwrap().with_token(&gateway.token);
    assert_eq!(late.chat("default").await.unwrap().status, 200);
    assert_eq!(secured(gateway.admin, &new.1).await.unwrap().get("/readyz").await.status, 200);
    assert_eq!(early.chat("default").await.unwrap().status, 200, "a connection keeps what it began with");

    fs::write(gateway.folder.path().join("data-key.pem"), "no key").unwrap();
    gateway.process.signal(rustix::process::Signal::HUP);
    gateway.process.says("data-key.pem").await;
    assert!(secured(gateway.data, &new.0).await.is_ok(), "a broken certificate changes nothing");
}
