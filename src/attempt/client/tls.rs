//! Whom we believe: the certificate authorities for providers, and what we offer to speak.

use std::sync::Arc;

use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use super::Http2;
use crate::domain::failure::Failure;

#[derive(Debug, thiserror::Error)]
#[error("the file of certificate authorities holds no usable certificate: {0}; it must be PEM")]
pub struct NoAuthorities(String);

/// The authorities that browsers trust, and those of `extra`, a PEM file's text.
pub fn authorities(extra: Option<&[u8]>) -> Result<RootCertStore, NoAuthorities> {
    let mut roots = RootCertStore { roots: webpki_roots::TLS_SERVER_ROOTS.to_vec() };
    let Some(extra) = extra else { return Ok(roots) };
    let built_in = roots.len();
    for certificate in CertificateDer::pem_slice_iter(extra) {
        let certificate = certificate.map_err(|error| NoAuthorities(error.to_string()))?;
        roots.add(certificate).map_err(|error| NoAuthorities(error.to_string()))?;
    }
    if roots.len() == built_in { Err(NoAuthorities("it is empty".into())) } else { Ok(roots) }
}

/// TLS towards providers, ready-made for each thing we may offer to speak.
pub(super) struct Tls {
    either: TlsConnector,
    http2: TlsConnector,
    http1: TlsConnector,
}

impl Tls {
    pub(super) fn new(roots: RootCertStore) -> Self {
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .expect("ring has cipher suites for TLS 1.2 and 1.3")
            .with_root_certificates(roots)
            .with_no_client_auth();
        let offering = |protocols: &[&[u8]]| {
            let mut config = config.clone();
            config.alpn_protocols = protocols.iter().map(|protocol| protocol.to_vec()).collect();
            TlsConnector::from(Arc::new(config))
        };
        Self { either: offering(&[b"h2", b"http/1.1"]), http2: offering(&[b"h2"]), http1: offering(&[b"http/1.1"]) }
    }

    /// Proves the peer to be `host`.
    pub(super) async fn handshake(
        &self,
        host: &str,
        offer: Http2,
        tcp: TcpStream,
    ) -> Result<TlsStream<TcpStream>, Failure> {
        let name = ServerName::try_from(host.to_owned())
            .map_err(|_| Failure::Unreachable("no certificate can be for this host's name".into()))?;
        let connector = match offer {
            Http2::Offered => &self.either,
            Http2::PriorKnowledge => &self.http2,
            Http2::Never => &self.http1,
        };
        connector.connect(name, tcp).await.map_err(|error| Failure::Unreachable(format!("TLS: {error}")))
    }
}

/// What the peer chose.
pub(super) fn chose_http2(stream: &TlsStream<TcpStream>) -> bool {
    stream.get_ref().1.alpn_protocol() == Some(b"h2")
}
