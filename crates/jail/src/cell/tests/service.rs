//! A service on loopback that answers one connection, as badly as a test wants it to.

use std::{
    io::{Read, Write},
    net::{TcpListener, TcpStream},
    sync::{
        Arc,
        mpsc::{Receiver, channel},
    },
    thread,
    time::Duration,
};

use rustls::{
    RootCertStore, ServerConfig, ServerConnection, StreamOwned,
    crypto::aws_lc_rs,
    pki_types::{CertificateDer, PrivateKeyDer},
};

/// What a client that speaks TLS sends first (RFC 8446 §5.1); no HTTP client does.
const TLS_HANDSHAKE: u8 = 22;

/// A connection to a client.
pub(in crate::cell) trait Stream: Read + Write {}
impl<T: Read + Write> Stream for T {}

/// A running service.
pub(in crate::cell) struct Service {
    pub(in crate::cell) port: u16,
    certificate: Option<CertificateDer<'static>>,
    requests: Receiver<String>,
}

/// Answers a request whole.
pub(in crate::cell) fn answer(
    status: &str,
    fields: &str,
    body: &str,
) -> impl Fn(&mut dyn Stream, &str) + Send + 'static {
    let length = body.len();
    let text = format!("HTTP/1.1 {status}\r\n{fields}Content-Length: {length}\r\n\r\n{body}");
    move |stream, _| {
        // A client may hang up at any point; what it makes of that is what is tested.
        let _ = stream.write_all(text.as_bytes()).and_then(|()| stream.flush());
    }
}

impl Service {
    /// Without TLS.
    pub(in crate::cell) fn plaintext(
        script: impl Fn(&mut dyn Stream, &str) + Send + 'static,
    ) -> Self {
        Self::start(None, move |mut socket, sent| {
            let request = read_request(&mut socket);
            sent(&request);
            if request.contains("\r\n\r\n") {
                script(&mut socket, &request);
            }
        })
    }

    /// With a certificate for `name` that it signed itself.
    pub(in crate::cell) fn tls(
        name: &str,
        script: impl Fn(&mut dyn Stream, &str) + Send + 'static,
    ) -> Self {
        let made = rcgen::generate_simple_self_signed([name.to_owned()]).unwrap();
        let certificate = made.cert.der().clone();
        let key = PrivateKeyDer::try_from(made.signing_key.serialize_der()).unwrap();
        let config = ServerConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(vec![certificate.clone()], key)
            .unwrap();
        let config = Arc::new(config);
        Self::start(Some(certificate), move |socket, sent| {
            let connection = ServerConnection::new(Arc::clone(&config)).unwrap();
            let mut stream = StreamOwned::new(connection, socket);
            let request = read_request(&mut stream);
            sent(&request);
            if !request.is_empty() {
                script(&mut stream, &request);
                stream.conn.send_close_notify();
                let _ = stream.flush();
            }
        })
    }

    fn start(
        certificate: Option<CertificateDer<'static>>,
        serve: impl Fn(TcpStream, &dyn Fn(&str)) + Send + 'static,
    ) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let (sender, requests) = channel();
        thread::spawn(move || {
            let Ok((socket, _)) = listener.accept() else { return };
            serve(socket, &|request| {
                let _ = sender.send(request.to_owned());
            });
        });
        Self { port, certificate, requests }
    }

    /// The certificates that vouch for this service.
    pub(in crate::cell) fn roots(&self) -> Arc<RootCertStore> {
        let mut roots = RootCertStore::empty();
        if let Some(certificate) = &self.certificate {
            roots.add(certificate.clone()).unwrap();
        }
        Arc::new(roots)
    }

    /// What it was sent, inside TLS if it speaks it; empty if that was nothing.
    pub(in crate::cell) fn request(&self) -> String {
        self.requests.recv_timeout(Duration::from_secs(2)).unwrap_or_default()
    }

    /// Whether anybody connected.
    pub(in crate::cell) fn was_reached(&self) -> bool {
        self.requests.try_recv().is_ok()
    }
}

/// Head and body, or what there is of them when the client stops.
fn read_request(stream: &mut dyn Stream) -> String {
    let mut text = Vec::new();
    let mut byte = [0];
    while let Ok(1) = stream.read(&mut byte) {
        text.push(byte[0]);
        if text == [TLS_HANDSHAKE] {
            break;
        }
        let so_far = String::from_utf8_lossy(&text);
        if let Some((head, body)) = so_far.split_once("\r\n\r\n") {
            let length = head
                .lines()
                .filter_map(|line| line.split_once(": "))
                .find(|(name, _)| name.eq_ignore_ascii_case("content-length"))
                .map_or(0, |(_, length)| length.parse().unwrap());
            if body.len() >= length {
                break;
            }
        }
    }
    String::from_utf8_lossy(&text).into_owned()
}
