//! TLS, and the certificate's exchange while connections run.

use std::path::Path;

use keyway::listen::load_tls;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use super::ends::{http2_client, request};
use super::*;

fn write_certificate(folder: &Path) -> CertificateDer<'static> {
    let made = rcgen::generate_simple_self_signed(["keyway.test".into()]).unwrap();
    std::fs::write(folder.join("c.pem"), made.cert.pem()).unwrap();
    std::fs::write(folder.join("k.pem"), made.signing_key.serialize_pem()).unwrap();
    made.cert.der().clone()
}

fn secured(folder: &Path, limits: Limits) -> Door {
    let mut setup = Setup::new(limits);
    let tls = load_tls(&folder.join("c.pem"), &folder.join("k.pem")).unwrap();
    setup.tls = Some(Arc::new(arc_swap::ArcSwap::new(tls)));
    Door::of(setup).open()
}

async fn shake_hands(
    door: &Door,
    trusted: &CertificateDer<'static>,
    alpn: &[&str],
) -> std::io::Result<TlsStream<TcpStream>> {
    let mut roots = RootCertStore::empty();
    roots.add(trusted.clone()).unwrap();
    let mut settings = ClientConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    settings.alpn_protocols = alpn.iter().map(|name| name.as_bytes().to_vec()).collect();
    let name = ServerName::try_from("keyway.test").unwrap();
    TlsConnector::from(Arc::new(settings)).connect(name, door.connect().await).await
}

#[tokio::test]
async fn under_tls_the_handshake_chooses_the_http() {
    let folder = tempfile::tempdir().unwrap();
    let certificate = write_certificate(folder.path());
    let door = secured(folder.path(), short());

    for alpn in [&["http/1.1"][..], &[]] {
        let mut stream = shake_hands(&door, &certificate, alpn).await.unwrap();
        send(&mut stream, [&post("/echo", 70_000), "x".repeat(70_000).as_str()].concat()).await;
        hears(&mut stream, "70000 bytes").await;
    }
    let stream = shake_hands(&door, &certificate, &["h2", "http/1.1"]).await.unwrap();
    assert_eq!(stream.get_ref().1.alpn_protocol(), Some(b"h2".as_slice()));
    let (mut client, connection) = http2_client(stream).await;
    let connection = tokio::spawn(connection);
    let response = client.send_request(request("/large")).await.unwrap();
    assert_eq!(response.into_body().collect().await.unwrap().to_bytes().len(), 4 << 20);
    drop(client);
    connection.await.unwrap();
    door.is_empty_within(Duration::from_secs(2)).await;
}

#[tokio::test]
async fn a_new_certificate_is_shown_without_a_restart_and_harms_no_connection() {
    let folder = tempfile::tempdir().unwrap();
    let old = write_certificate(folder.path());
    let door = secured(folder.path(), short());
    let mut before = shake_hands(&door, &old, &["http/1.1"]).await.unwrap();

    let new = write_certificate(folder.path());
    let loaded = load_tls(&folder.path().join("c.pem"), &folder.path().join("k.pem")).unwrap();
    door.setup.tls.as_ref().unwrap().store(loaded);

    assert!(shake_hands(&door, &old, &[]).await.is_err());
    let mut after = shake_hands(&door, &new, &[]).await.unwrap();
    for stream in [&mut before, &mut after] {
        send(stream, get("/echo")).await;
        hears(stream, "0 bytes").await;
    }
}

#[tokio::test]
async fn a_handshake_that_does_not_come_or_is_none_ends_the_connection() {
    let folder = tempfile::tempdir().unwrap();
    write_certificate(folder.path());
    let door = secured(folder.path(), Limits { handshake: Duration::from_millis(200), ..short() });
    let mut silent = door.connect().await;
    assert!(heard(&mut silent).await.closed);
    assert_eq!(door.setup.counts.handshake_timeouts.read(), 1);
    assert!(door.says(get("/echo")).await.closed);
    assert_eq!(door.setup.counts.handshake_failures.read(), 1);
    door.is_empty_within(Duration::from_secs(1)).await;
}
