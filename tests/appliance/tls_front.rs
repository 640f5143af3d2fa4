//! CAs, certificates, and a TLS proxy before a plain-text server, for tests. They share no code with the program.

use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair, date_time_ymd};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};
use rustls::server::WebPkiClientVerifier;
use rustls::{RootCertStore, ServerConfig, ServerConnection, StreamOwned, SupportedProtocolVersion};
use std::io::{ErrorKind, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::Arc;
use std::time::Duration;

/// A certificate authority.
pub struct Ca {
    issuer: Issuer<'static, KeyPair>,
    der: CertificateDer<'static>,
}

/// A certificate of a server, and what the server demands of clients.
#[derive(Clone)]
pub struct Identity {
    pub chain: Vec<CertificateDer<'static>>,
    /// The private key in PKCS#8.
    pub key: Vec<u8>,
    pub versions: Vec<&'static SupportedProtocolVersion>,
    /// The CA of the certificates that clients must have.
    pub clients_of: Option<CertificateDer<'static>>,
}

impl Ca {
    pub fn new(name: &str) -> Ca {
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.distinguished_name.push(DnType::CommonName, name);
        let key = KeyPair::generate().unwrap();
        let der = params.self_signed(&key).unwrap().der().clone();
        Ca { issuer: Issuer::new(params, key), der }
    }

    pub fn der(&self) -> CertificateDer<'static> {
        self.der.clone()
    }

    /// The certificate in PEM, as in a file of CAs.
    pub fn pem(&self) -> String {
        use base64::Engine as _;
        let text = base64::engine::general_purpose::STANDARD.encode(&self.der);
        let lines: Vec<&str> = text.as_bytes().chunks(64).map(|line| std::str::from_utf8(line).unwrap()).collect();
        format!("-----BEGIN CERTIFICATE-----\n{}\n-----END CERTIFICATE-----\n", lines.join("\n"))
    }

    /// A certificate for `names`, valid from the first year to the second.
    pub fn certificate(&self, names: &[&str], years: [i32; 2]) -> Identity {
        let mut params =
            CertificateParams::new(names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>()).unwrap();
        params.distinguished_name.push(DnType::CommonName, "localhost");
        [params.not_before, params.not_after] = years.map(|year| date_time_ymd(year, 1, 1));
        let key = KeyPair::generate().unwrap();
        let chain = vec![params.signed_by(&key, &self.issuer).unwrap().der().clone()];
        Identity { chain, key: key.serialize_der(), versions: rustls::ALL_VERSIONS.to_vec(), clients_of: None }
    }

    /// The CA's own self-signed certificate.
    pub fn itself(&self) -> Identity {
        let key = self.issuer.key().serialize_der();
        Identity { chain: vec![self.der()], key, versions: rustls::ALL_VERSIONS.to_vec(), clients_of: None }
    }
}

/// Starts a TLS proxy before the plain-text port `behind`. Returns the port of the proxy.
pub fn front(identity: Identity, behind: u16) -> u16 {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ServerConfig::builder_with_provider(Arc::clone(&provider)).with_protocol_versions(&identity.versions);
    let config = match identity.clients_of {
        None => config.unwrap().with_no_client_auth(),
        Some(ca) => {
            let mut roots = RootCertStore::empty();
            roots.add(ca).unwrap();
            let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider).build().unwrap();
            config.unwrap().with_client_cert_verifier(verifier)
        }
    };
    let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(identity.key));
    let config = Arc::new(config.with_single_cert(identity.chain, key).unwrap());
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    std::thread::spawn(move || {
        for socket in listener.incoming().map_while(Result::ok) {
            let state = ServerConnection::new(Arc::clone(&config)).unwrap();
            std::thread::spawn(move || pump(StreamOwned::new(state, socket), behind));
        }
    });
    port
}

/// Passes bytes until either side ends. The server behind gets no connection from a client whose handshake fails.
fn pump(mut outer: StreamOwned<ServerConnection, TcpStream>, behind: u16) {
    while outer.conn.is_handshaking() {
        if outer.conn.complete_io(&mut outer.sock).is_err() {
            return;
        }
    }
    let Ok(mut inner) = TcpStream::connect(("127.0.0.1", behind)) else { return };
    for socket in [&outer.sock, &inner] {
        socket.set_read_timeout(Some(Duration::from_millis(1))).unwrap();
    }
    while pass(&mut outer, &mut inner) && pass(&mut inner, &mut outer) {}
    outer.conn.send_close_notify();
    let _ = outer.flush();
}

/// Passes on the available bytes; false at the end of the stream.
fn pass(from: &mut impl Read, to: &mut impl Write) -> bool {
    let mut bytes = [0; 4096];
    match from.read(&mut bytes) {
        Ok(0) => false,
        Ok(count) => to.write_all(&bytes[..count]).is_ok(),
        Err(error) => matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut),
    }
}
