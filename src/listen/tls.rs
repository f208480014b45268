//! The certificate we show, read from PEM files and swapped whole while connections run.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use arc_swap::ArcSwap;
use rustls::ServerConfig;
use rustls::crypto::ring;
use rustls::version::{TLS12, TLS13};
use rustls_pki_types::pem::{self, PemObject};
use rustls_pki_types::{CertificateDer, PrivateKeyDer};

/// The settings new connections take; those under way keep what they began with.
pub type Tls = Arc<ArcSwap<ServerConfig>>;

#[derive(Debug, thiserror::Error)]
pub enum TlsFault {
    #[error("can't read the certificate {path}: {cause}")]
    CertificateUnreadable { path: PathBuf, cause: pem::Error },
    #[error("{0} holds no certificate; a PEM file with the chain is needed, the server's own first")]
    CertificateMissing(PathBuf),
    #[error("can't read the private key {path}: {cause}; a PEM file with one unencrypted key is needed")]
    KeyUnreadable { path: PathBuf, cause: pem::Error },
    #[error("the certificate {certificate} and the key {key} can't be used together: {cause}")]
    Mismatch { certificate: PathBuf, key: PathBuf, cause: rustls::Error },
}

pub fn load_tls(certificate: &Path, key: &Path) -> Result<Arc<ServerConfig>, TlsFault> {
    let unreadable = |cause| TlsFault::CertificateUnreadable { path: certificate.into(), cause };
    let chain: Vec<_> = CertificateDer::pem_file_iter(certificate)
        .and_then(|certificates| certificates.collect())
        .map_err(unreadable)?;
    if chain.is_empty() {
        return Err(TlsFault::CertificateMissing(certificate.into()));
    }
    let secret =
        PrivateKeyDer::from_pem_file(key).map_err(|cause| TlsFault::KeyUnreadable { path: key.into(), cause })?;
    settings(chain, secret).map(Arc::new).map_err(|cause| TlsFault::Mismatch {
        certificate: certificate.into(),
        key: key.into(),
        cause,
    })
}

/// Sessions are resumed from this process's memory only: nothing sealed under a key that would have to live on.
fn settings(chain: Vec<CertificateDer<'static>>, key: PrivateKeyDer<'static>) -> Result<ServerConfig, rustls::Error> {
    let mut settings = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_protocol_versions(&[&TLS13, &TLS12])?
        .with_no_client_auth()
        .with_single_cert(chain, key)?;
    settings.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    Ok(settings)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_wrong_with_the_files_is_said_with_their_names() {
        let folder = tempfile::tempdir().unwrap();
        let (certificate, key) = (folder.path().join("c.pem"), folder.path().join("k.pem"));
        let one = rcgen::generate_simple_self_signed(["one".into()]).unwrap();
        let other = rcgen::generate_simple_self_signed(["other".into()]).unwrap();

        assert!(matches!(load_tls(&certificate, &key), Err(TlsFault::CertificateUnreadable { .. })));
        std::fs::write(&certificate, "nothing").unwrap();
        assert!(matches!(load_tls(&certificate, &key), Err(TlsFault::CertificateMissing(_))));
        std::fs::write(&certificate, one.cert.pem()).unwrap();
        assert!(matches!(load_tls(&certificate, &key), Err(TlsFault::KeyUnreadable { .. })));
        std::fs::write(&key, other.signing_key.serialize_pem()).unwrap();
        let fault = load_tls(&certificate, &key).unwrap_err();
        assert!(matches!(fault, TlsFault::Mismatch { .. }) && fault.to_string().contains("c.pem"), "{fault}");
        std::fs::write(&key, one.signing_key.serialize_pem()).unwrap();
        assert_eq!(load_tls(&certificate, &key).unwrap().alpn_protocols.len(), 2);
    }
}
