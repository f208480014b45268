//! Names, egress rules and TLS, on loopback.

use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use http_body_util::{BodyExt, Full};
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use keyway::attempt::client::{Client, ClientSettings, Destination, Http2, Lookup, Network, Resolve, authorities};
use keyway::domain::address::{Address, Egress};
use keyway::domain::failure::Failure;
use rustls::pki_types::PrivateKeyDer;
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;

use super::{ask, asks_whole, whole};

/// Answers each lookup with the next list; the last stays.
struct Scripted(Mutex<Vec<Vec<SocketAddr>>>);

impl Resolve for Scripted {
    fn resolve<'a>(&'a self, _: &'a str, _: u16) -> Lookup<'a> {
        let mut answers = self.0.lock().unwrap();
        let answer = if answers.len() > 1 { answers.remove(0) } else { answers[0].clone() };
        Box::pin(async move { io::Result::Ok(answer) })
    }
}

/// A TLS server at 127.0.0.1 that calls itself `provider.test`, and the authority that vouches for it.
struct Server {
    at: SocketAddr,
    authority: String,
}

async fn server(protocols: &[&str]) -> Server {
    let authority_key = rcgen::KeyPair::generate().unwrap();
    let mut parameters = rcgen::CertificateParams::new(Vec::new()).unwrap();
    parameters.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
    let authority = parameters.self_signed(&authority_key).unwrap();
    let issuer = rcgen::Issuer::new(parameters, authority_key);
    let key = rcgen::KeyPair::generate().unwrap();
    let leaf =
        rcgen::CertificateParams::new(vec!["provider.test".to_string()]).unwrap().signed_by(&key, &issuer).unwrap();

    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let mut config = rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![leaf.der().clone()], PrivateKeyDer::try_from(key.serialize_der()).unwrap())
        .unwrap();
    config.alpn_protocols = protocols.iter().map(|name| name.as_bytes().to_vec()).collect();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let at = listener.local_addr().unwrap();
    tokio::spawn(serve(listener, TlsAcceptor::from(Arc::new(config))));
    Server { at, authority: authority.pem() }
}

async fn serve(listener: TcpListener, tls: TlsAcceptor) {
    while let Ok((socket, _)) = listener.accept().await {
        let tls = tls.clone();
        tokio::spawn(async move {
            let Ok(stream) = tls.accept(socket).await else { return };
            let version = service_fn(|request: http::Request<hyper::body::Incoming>| async move {
                let version = format!("{:?}", request.version());
                request.into_body().collect().await?;
                hyper::Result::Ok(http::Response::new(Full::new(bytes::Bytes::from(version))))
            });
            if stream.get_ref().1.alpn_protocol() == Some(b"h2") {
                let _ = hyper::server::conn::http2::Builder::new(TokioExecutor::new())
                    .serve_connection(TokioIo::new(stream), version)
                    .await;
            } else {
                let _ =
                    hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(stream), version).await;
            }
        });
    }
}

fn provider(port: u16, http2: Http2) -> Destination {
    let address = Address { tls: true, host: "provider.test".into(), port };
    Destination { address: address.into(), credential: None, http2 }
}

/// May call 127.0.0.1 and 127.0.0.2 if told so, at this port.
fn client(port: u16, networks: &[&str], authority: Option<&str>, lookups: Vec<Vec<SocketAddr>>) -> Client {
    let private_networks = networks.iter().map(|network| network.parse().unwrap()).collect();
    let egress = Egress { private_networks, ports: vec![port], ..Egress::default() };
    let roots = authorities(authority.map(str::as_bytes)).unwrap();
    let settings = ClientSettings::default();
    let resolver = Box::new(Scripted(Mutex::new(lookups)));
    Client::new(settings.clone(), Arc::new(Network::with_resolver(&settings, egress, roots, resolver)))
}

fn at(host: &str, port: u16) -> SocketAddr {
    SocketAddr::new(host.parse().unwrap(), port)
}

#[tokio::test]
async fn tls_agrees_on_the_protocol_and_both_are_reused() {
    let server = server(&["h2", "http/1.1"]).await;
    let port = server.at.port();
    for (http2, spoken) in
        [(Http2::Offered, "HTTP/2.0"), (Http2::Never, "HTTP/1.1"), (Http2::PriorKnowledge, "HTTP/2.0")]
    {
        let client = client(port, &["127.0.0.1"], Some(&server.authority), vec![vec![server.at]]);
        for reused in [false, true] {
            let answer = ask(&client, &provider(port, http2)).await.unwrap();
            assert_eq!(answer.reused, reused, "{http2:?}");
            assert_eq!(whole(answer).await.unwrap(), spoken);
        }
    }
}

#[tokio::test]
async fn a_peer_that_only_knows_http1_is_called_so() {
    let server = server(&["http/1.1"]).await;
    let port = server.at.port();
    let client = client(port, &["127.0.0.1"], Some(&server.authority), vec![vec![server.at]]);
    for _ in 0..2 {
        assert_eq!(asks_whole(&client, &provider(port, Http2::Offered)).await, "HTTP/1.1");
    }
}

#[tokio::test]
async fn a_peer_that_cannot_prove_its_name_gets_no_request() {
    let server = server(&["h2"]).await;
    let port = server.at.port();
    let stranger = client(port, &["127.0.0.1"], None, vec![vec![server.at]]);
    let failure = ask(&stranger, &provider(port, Http2::Offered)).await.err();
    assert!(matches!(&failure, Some(Failure::Unreachable(why)) if why.contains("UnknownIssuer")), "{failure:?}");

    let friend = client(port, &["127.0.0.1"], Some(&server.authority), vec![vec![server.at]]);
    let address = Address { tls: true, host: "other.test".into(), port };
    let other = Destination { address: address.into(), ..provider(port, Http2::Offered) };
    assert!(matches!(ask(&friend, &other).await.err(), Some(Failure::Unreachable(_))));
}

#[tokio::test]
async fn a_name_that_moves_to_a_private_address_is_not_called_there() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    // First the allowed address, where nobody listens; then one that is not allowed, where somebody does.
    let lookups = vec![vec![at("127.0.0.2", port)], vec![at("127.0.0.1", port)]];
    let client = client(port, &["127.0.0.2"], None, lookups);
    let to = provider(port, Http2::Offered);
    assert!(matches!(ask(&client, &to).await.err(), Some(Failure::Unreachable(_))));
    assert!(matches!(ask(&client, &to).await.err(), Some(Failure::AddressDenied(_))));
    let accepted = std::future::poll_fn(|cx| std::task::Poll::Ready(listener.poll_accept(cx).is_ready())).await;
    assert!(!accepted, "nobody connected");
}

#[tokio::test]
async fn of_several_addresses_the_denied_and_the_dead_are_passed_over() {
    let server = server(&["h2"]).await;
    let port = server.at.port();
    let found = vec![vec![at("10.1.2.3", port), at("127.0.0.2", port), server.at]];
    let client = client(port, &["127.0.0.0/8"], Some(&server.authority), found);
    assert_eq!(asks_whole(&client, &provider(port, Http2::Offered)).await, "HTTP/2.0");
}

#[tokio::test]
async fn plain_http_and_other_ports_are_denied_before_anything_is_sent() {
    let client = client(8443, &[], None, vec![vec![at("127.0.0.1", 1)]]);
    let address = Address { tls: false, host: "provider.test".into(), port: 8443 };
    let to = Destination { address: address.into(), ..provider(8443, Http2::Offered) };
    assert!(matches!(ask(&client, &to).await.err(), Some(Failure::AddressDenied(_))));
    assert!(matches!(ask(&client, &provider(22, Http2::Offered)).await.err(), Some(Failure::AddressDenied(_))));
}
