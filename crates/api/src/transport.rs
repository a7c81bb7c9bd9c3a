//! How a service listens: TLS 1.3 on every hop that leaves a host, plain HTTP on loopback (DESIGN §3.5).
//!
//! In: a bound listener and, off loopback, a certificate with its key. Out: what `axum` serves on.
//!
//! Invariants: nothing listens in plaintext but on loopback, unless the operator says that a proxy ends
//! TLS; a handshake has a deadline and is not in the way of other connections; at most
//! [`HANDSHAKES_MAX`] are under way at once.

use std::{io, net::SocketAddr, path::PathBuf, sync::Arc, time::Duration};

use rustls::{
    ServerConfig,
    crypto::aws_lc_rs,
    pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject as _},
};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::{TcpListener, TcpStream},
    sync::{Semaphore, mpsc},
};
use tokio_rustls::{TlsAcceptor, server::TlsStream};

/// Most TLS handshakes under way at once on one listener.
const HANDSHAKES_MAX: usize = 256;
/// How long a handshake may take.
const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(10);

/// A certificate and its key, each a PEM file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TlsFiles {
    /// The certificate, followed by those of its issuers.
    pub certificate: PathBuf,
    /// The private key; readable by this service alone.
    pub key: PathBuf,
}

/// How a service may listen.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Transport {
    /// With TLS.
    Tls(TlsFiles),
    /// In plaintext, on loopback only.
    Loopback,
    /// In plaintext anywhere, because a proxy on the operator's side ends TLS.
    BehindProxy,
}

/// Why a service does not listen.
#[derive(Debug, thiserror::Error)]
pub enum TransportError {
    /// Plaintext would leave the host.
    #[error("`{address}` is not on loopback, and no certificate is given")]
    Plaintext {
        /// The address.
        address: SocketAddr,
    },
    /// The certificate or the key can't be read as PEM.
    #[error("cannot read PEM from `{}`", path.display())]
    Pem {
        /// The file.
        path: PathBuf,
        /// What the parser says, which quotes nothing.
        #[source]
        source: rustls::pki_types::pem::Error,
    },
    /// The key is open to others.
    #[error("the private key `{}` is open to others; make its mode 0600", path.display())]
    Mode {
        /// The file.
        path: PathBuf,
    },
    /// Key and certificate do not make a server.
    #[error("certificate and key do not belong together or are not usable")]
    Certificate(#[source] rustls::Error),
    /// The socket failed.
    #[error("the listener failed")]
    Socket(#[source] io::Error),
}

/// A listener that `axum` can serve on.
pub struct Listening {
    address: SocketAddr,
    accepted: Accepted,
}

enum Accepted {
    Plain(TcpListener),
    Tls(mpsc::Receiver<(Stream, SocketAddr)>),
}

/// One connection.
pub enum Stream {
    /// Plain.
    Plain(TcpStream),
    /// After its handshake.
    Tls(Box<TlsStream<TcpStream>>),
}

impl Transport {
    /// Takes over a bound listener.
    ///
    /// # Errors
    ///
    /// [`TransportError`]. Remedy for `Plaintext`: give a certificate.
    pub fn listen(&self, listener: TcpListener) -> Result<Listening, TransportError> {
        let address = listener.local_addr().map_err(TransportError::Socket)?;
        let accepted = match self {
            Self::Loopback if !address.ip().is_loopback() => {
                return Err(TransportError::Plaintext { address });
            }
            Self::Loopback | Self::BehindProxy => Accepted::Plain(listener),
            Self::Tls(files) => Accepted::Tls(shake_hands(listener, acceptor(files)?)),
        };
        Ok(Listening { address, accepted })
    }
}

fn acceptor(files: &TlsFiles) -> Result<TlsAcceptor, TransportError> {
    let pem = |path: &PathBuf| {
        let path = path.clone();
        move |source| TransportError::Pem { path, source }
    };
    check_mode(&files.key)?;
    let chain = CertificateDer::pem_file_iter(&files.certificate)
        .and_then(Iterator::collect::<Result<Vec<_>, _>>)
        .map_err(pem(&files.certificate))?;
    let key = PrivateKeyDer::from_pem_file(&files.key).map_err(pem(&files.key))?;
    let provider = Arc::new(aws_lc_rs::default_provider());
    let mut config = ServerConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&rustls::version::TLS13])
        .map_err(TransportError::Certificate)?
        .with_no_client_auth()
        .with_single_cert(chain, key)
        .map_err(TransportError::Certificate)?;
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(TlsAcceptor::from(Arc::new(config)))
}

fn check_mode(key: &PathBuf) -> Result<(), TransportError> {
    use std::os::unix::fs::PermissionsExt as _;
    let metadata = std::fs::metadata(key).map_err(TransportError::Socket)?;
    if metadata.permissions().mode() & 0o077 != 0 {
        return Err(TransportError::Mode { path: key.clone() });
    }
    Ok(())
}

/// Accepts, and shakes hands beside accepting; what fails is dropped.
fn shake_hands(
    listener: TcpListener,
    acceptor: TlsAcceptor,
) -> mpsc::Receiver<(Stream, SocketAddr)> {
    let (ready, accepted) = mpsc::channel(HANDSHAKES_MAX);
    let under_way = Arc::new(Semaphore::new(HANDSHAKES_MAX));
    tokio::spawn(async move {
        loop {
            let Ok(place) = Arc::clone(&under_way).acquire_owned().await else { return };
            let Ok((socket, peer)) = listener.accept().await else {
                // Out of descriptors, most likely: they come back.
                tokio::time::sleep(Duration::from_millis(100)).await;
                continue;
            };
            if ready.is_closed() {
                return;
            }
            let (acceptor, ready) = (acceptor.clone(), ready.clone());
            tokio::spawn(async move {
                let shaken = tokio::time::timeout(HANDSHAKE_TIMEOUT, acceptor.accept(socket));
                if let Ok(Ok(stream)) = shaken.await {
                    // A service that has ended takes no more connections.
                    let _ = ready.send((Stream::Tls(Box::new(stream)), peer)).await;
                }
                drop(place);
            });
        }
    });
    accepted
}

impl axum::serve::Listener for Listening {
    type Io = Stream;
    type Addr = SocketAddr;

    async fn accept(&mut self) -> (Stream, SocketAddr) {
        match &mut self.accepted {
            Accepted::Plain(listener) => {
                let (socket, peer) = axum::serve::Listener::accept(listener).await;
                (Stream::Plain(socket), peer)
            }
            Accepted::Tls(accepted) => match accepted.recv().await {
                Some(connection) => connection,
                None => std::future::pending().await,
            },
        }
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        Ok(self.address)
    }
}

impl AsyncRead for Stream {
    fn poll_read(
        self: std::pin::Pin<&mut Self>,
        cx: &mut std::task::Context<'_>,
        buffer: &mut tokio::io::ReadBuf<'_>,
    ) -> std::task::Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(socket) => std::pin::Pin::new(socket).poll_read(cx, buffer),
            Self::Tls(stream) => std::pin::Pin::new(stream).poll_read(cx, buffer),
        }
    }
}

impl AsyncWrite for Stream {
    fn poll_write(
        self: std::pin::Pin<&mut Self>,
        cx: &mut std::task::Context<'_>,
        bytes: &[u8],
    ) -> std::task::Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Plain(socket) => std::pin::Pin::new(socket).poll_write(cx, bytes),
            Self::Tls(stream) => std::pin::Pin::new(stream).poll_write(cx, bytes),
        }
    }

    fn poll_flush(
        self: std::pin::Pin<&mut Self>,
        cx: &mut std::task::Context<'_>,
    ) -> std::task::Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(socket) => std::pin::Pin::new(socket).poll_flush(cx),
            Self::Tls(stream) => std::pin::Pin::new(stream).poll_flush(cx),
        }
    }

    fn poll_shutdown(
        self: std::pin::Pin<&mut Self>,
        cx: &mut std::task::Context<'_>,
    ) -> std::task::Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(socket) => std::pin::Pin::new(socket).poll_shutdown(cx),
            Self::Tls(stream) => std::pin::Pin::new(stream).poll_shutdown(cx),
        }
    }
}
