//! One HTTP/1.1 exchange on one connection: TLS unless the host says plaintext.
//!
//! In: a checked socket, a rendered request, the credential. Out: the JSON of a successful answer.
//!
//! Invariants:
//! * redirects are never followed; an encoded body is never decoded;
//! * a body is read only after its status is one that means success, and only up to
//!   [`RESPONSE_BODY_MAX`]; a head has bounds too;
//! * everything ends by the deadline.
//!
//! Not here: what of the answer leaves (`project`, `redact`).

use std::{net::TcpStream, sync::Arc, time::Instant};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use http_body_util::{BodyExt as _, Full, LengthLimitError, Limited};
use hyper::{
    Method, Request, Response,
    body::{Bytes, Incoming},
    header::{self, HeaderMap, HeaderName, HeaderValue},
};
use hyper_util::rt::TokioIo;
use rustls::{ClientConfig, RootCertStore, crypto::aws_lc_rs, pki_types::ServerName};
use serde_json::Value;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio_rustls::TlsConnector;
use writ_model::{
    ConnectionHost, ConnectionKind, limits::RESPONSE_BODY_MAX, pack::ResponseTemplate,
};
use zeroize::Zeroizing;

use super::{Failed, request::Rendered, retry_after::retry_after_s};
use crate::{clock, secret_memory::SecretBytes};

/// Most header fields of an answer.
const HEADERS_MAX: usize = 100;
/// Longest head of an answer, in bytes, and what is held of a body at a time. The buffer grows in
/// steps, so that up to twice as much may get through.
const HEAD_MAX: usize = 64 * 1024;

/// A request and the credential that goes with it.
pub(super) struct Placed<'a> {
    pub(super) host: &'a ConnectionHost,
    pub(super) request: &'a Rendered,
    pub(super) kind: &'a ConnectionKind,
    pub(super) credential: &'a SecretBytes,
    pub(super) deadline: Instant,
}

/// An answer whose status is one that means success.
pub(super) struct Answer {
    pub(super) status: u16,
    pub(super) headers: HeaderMap,
    pub(super) body: Bytes,
}

/// Sends the request with the credential, and reads the answer's JSON; null if it has no body.
pub(super) fn exchange(
    socket: TcpStream,
    call: &Placed<'_>,
    template: &ResponseTemplate,
    roots: Arc<RootCertStore>,
) -> Result<Value, Failed> {
    let is_success = |status| template.success.contains(&status);
    let answer = answer(socket, call, is_success, roots)?;
    if answer.body.is_empty() {
        return Ok(Value::Null);
    }
    let not_json = |_| Failed::answered("response-not-json", answer.status);
    serde_json::from_slice(&answer.body).map_err(not_json)
}

/// Sends the request with the credential, and reads the answer.
pub(super) fn answer(
    socket: TcpStream,
    call: &Placed<'_>,
    is_success: impl Fn(u16) -> bool,
    roots: Arc<RootCertStore>,
) -> Result<Answer, Failed> {
    within(
        call.deadline,
        send(socket, call.host, roots, async |sender: &mut Sender| {
            // The credential is copied onto the heap once there is somebody to send it to.
            let response = sender.send_request(build(call)?).await;
            read(response.map_err(|_| Failed::new("http-failed"))?, is_success).await
        }),
    )
}

/// What is asked for without a credential: a public document, whole.
pub(super) struct Document<'a> {
    pub(super) host: &'a ConnectionHost,
    /// Absolute path, with its query.
    pub(super) target: &'a str,
    /// Most bytes of it.
    pub(super) longest: usize,
    pub(super) deadline: Instant,
}

/// Gets a document; anything but 200 is a failure.
pub(super) fn get(
    socket: TcpStream,
    document: &Document<'_>,
    roots: Arc<RootCertStore>,
) -> Result<Bytes, Failed> {
    within(
        document.deadline,
        send(socket, document.host, roots, async |sender: &mut Sender| {
            let request = head("GET", document.target, document.host)
                .header(header::ACCEPT, "application/json")
                .body(Full::new(Bytes::new()))
                .map_err(|_| Failed::new("http-request"))?;
            let response = sender.send_request(request).await;
            let response = response.map_err(|_| Failed::new("http-failed"))?;
            let status = response.status().as_u16();
            if status != 200 {
                let redirect = response.status().is_redirection();
                let code = if redirect { "http-redirect" } else { "http-status" };
                return Err(Failed::answered(code, status));
            }
            collect(response, document.longest).await
        }),
    )
}

/// A request of a longer conversation.
pub(super) struct Ask<'a> {
    pub(super) host: &'a ConnectionHost,
    pub(super) method: Method,
    /// Path and query.
    pub(super) target: &'a str,
    pub(super) headers: Vec<(HeaderName, HeaderValue)>,
    pub(super) body: Vec<u8>,
}

/// Longest answer of a secret manager, in bytes.
const MANAGER_ANSWER_MAX: usize = 256 * 1024;

/// Makes one request of a conversation, and reads its answer whatever its status.
pub(super) async fn ask(sender: &mut Sender, ask: Ask<'_>) -> Result<(u16, Bytes), Failed> {
    let failed = |_| Failed::new("http-failed");
    let mut request = Request::builder()
        .method(ask.method)
        .uri(ask.target)
        .header(header::HOST, authority(ask.host))
        .header(header::USER_AGENT, USER_AGENT)
        .header(header::ACCEPT_ENCODING, "identity");
    for (name, value) in ask.headers {
        request = request.header(name, value);
    }
    let request =
        request.body(Full::new(Bytes::from(ask.body))).map_err(|_| Failed::new("http-request"))?;
    sender.ready().await.map_err(failed)?;
    let response = sender.send_request(request).await.map_err(failed)?;
    let status = response.status().as_u16();
    Ok((status, collect(response, MANAGER_ANSWER_MAX).await?))
}

/// Talks over one connection until `talk` is done or the deadline has passed.
pub(super) fn conversation<T>(
    deadline: Instant,
    socket: TcpStream,
    host: &ConnectionHost,
    roots: Arc<RootCertStore>,
    talk: impl AsyncFnOnce(&mut Sender) -> Result<T, Failed>,
) -> Result<T, Failed> {
    within(deadline, send(socket, host, roots, talk))
}

const USER_AGENT: &str = concat!("writ/", env!("CARGO_PKG_VERSION"));

pub(super) type Sender = hyper::client::conn::http1::SendRequest<Full<Bytes>>;

/// Runs one conversation to its end or to the deadline.
fn within<T>(
    deadline: Instant,
    conversation: impl Future<Output = Result<T, Failed>>,
) -> Result<T, Failed> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_io()
        .enable_time()
        .build()
        .map_err(|_| Failed::new("cell-runtime"))?;
    runtime.block_on(async {
        let late = |_| Failed::new("http-timeout");
        tokio::time::timeout_at(deadline.into(), conversation).await.map_err(late)?
    })
}

async fn send<T>(
    socket: TcpStream,
    host: &ConnectionHost,
    roots: Arc<RootCertStore>,
    talk: impl AsyncFnOnce(&mut Sender) -> Result<T, Failed>,
) -> Result<T, Failed> {
    let failed = |_| Failed::new("connect-failed");
    socket.set_nonblocking(true).map_err(failed)?;
    let socket = tokio::net::TcpStream::from_std(socket).map_err(failed)?;
    if host.plaintext {
        return converse(socket, talk).await;
    }
    converse(tls(socket, host, roots).await?, talk).await
}

async fn tls(
    socket: tokio::net::TcpStream,
    host: &ConnectionHost,
    roots: Arc<RootCertStore>,
) -> Result<impl AsyncRead + AsyncWrite + Unpin + Send + 'static, Failed> {
    let failed = || Failed::new("tls-failed");
    let mut config = ClientConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
        .with_safe_default_protocol_versions()
        .map_err(|_| failed())?
        .with_root_certificates(roots)
        .with_no_client_auth();
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    let name = ServerName::try_from(host.host.clone()).map_err(|_| failed())?;
    TlsConnector::from(Arc::new(config)).connect(name, socket).await.map_err(|_| failed())
}

async fn converse<T>(
    stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
    talk: impl AsyncFnOnce(&mut Sender) -> Result<T, Failed>,
) -> Result<T, Failed> {
    let failed = |_| Failed::new("http-failed");
    let (mut sender, connection) = hyper::client::conn::http1::Builder::new()
        .max_headers(HEADERS_MAX)
        .max_buf_size(HEAD_MAX)
        .handshake(TokioIo::new(stream))
        .await
        .map_err(failed)?;
    let mut exchanged = std::pin::pin!(talk(&mut sender));
    let mut connection = std::pin::pin!(connection);
    tokio::select! {
        answer = &mut exchanged => answer,
        // The connection may end before the last bytes are read from it.
        _ = &mut connection => exchanged.await,
    }
}

/// The header that carries the credential, as the connection's kind says: RFC 6750 §2.1, RFC 7617 §2, or
/// a header of the service's own.
pub(super) fn placed(
    kind: &ConnectionKind,
    credential: &SecretBytes,
) -> Option<(HeaderName, HeaderValue)> {
    let mut text = Zeroizing::new(Vec::new());
    let name = match kind {
        ConnectionKind::Bearer => {
            text.extend_from_slice(b"Bearer ");
            text.extend_from_slice(credential.expose());
            header::AUTHORIZATION
        }
        ConnectionKind::Basic { username } => {
            text.extend_from_slice(b"Basic ");
            text.extend_from_slice(basic(username, credential).as_bytes());
            header::AUTHORIZATION
        }
        ConnectionKind::Header { name, prefix } => {
            text.extend_from_slice(prefix.as_bytes());
            text.extend_from_slice(credential.expose());
            name.parse().ok()?
        }
    };
    let mut value = HeaderValue::from_bytes(&text).ok()?;
    value.set_sensitive(true);
    Some((name, value))
}

/// `user-id:password` in base64 (RFC 7617 §2): as secret as the password.
pub(super) fn basic(username: &str, password: &SecretBytes) -> Zeroizing<String> {
    let mut pair = Zeroizing::new(format!("{username}:").into_bytes());
    pair.extend_from_slice(password.expose());
    Zeroizing::new(STANDARD.encode(&*pair))
}

/// Puts the credential into the request.
fn build(call: &Placed<'_>) -> Result<Request<Full<Bytes>>, Failed> {
    let malformed = || Failed::new("http-request");
    let (name, value) = placed(call.kind, call.credential).ok_or_else(malformed)?;
    let mut built = head(call.request.method, &call.request.target, call.host).header(name, value);
    for (name, value) in &call.request.headers {
        built = built.header::<&HeaderName, &HeaderValue>(name, value);
    }
    built
        .body(Full::new(Bytes::from(call.request.body.clone().unwrap_or_default())))
        .map_err(|_| malformed())
}

/// What every request begins with.
fn head(method: &str, target: &str, host: &ConnectionHost) -> hyper::http::request::Builder {
    Request::builder()
        .method(method)
        .uri(target)
        .header(header::HOST, authority(host))
        .header(header::USER_AGENT, USER_AGENT)
        .header(header::ACCEPT_ENCODING, "identity")
        .header(header::CONNECTION, "close")
}

/// The host as `Host` writes it (RFC 9110 §7.2): IPv6 literals in brackets, no standard port.
pub(super) fn authority(host: &ConnectionHost) -> String {
    let name = match host.host.parse::<std::net::Ipv6Addr>() {
        Ok(literal) => format!("[{literal}]"),
        Err(_) => host.host.clone(),
    };
    let standard = if host.plaintext { 80 } else { 443 };
    if host.port == standard { name } else { format!("{name}:{}", host.port) }
}

async fn read(
    response: Response<Incoming>,
    is_success: impl Fn(u16) -> bool,
) -> Result<Answer, Failed> {
    let status = response.status().as_u16();
    if !is_success(status) {
        let redirect = response.status().is_redirection();
        let code = if redirect { "http-redirect" } else { "http-status" };
        let asked = response.headers().get(header::RETRY_AFTER);
        let retry_after_s = asked
            .and_then(|asked| asked.to_str().ok())
            .and_then(|asked| retry_after_s(asked, clock::now()));
        return Err(Failed { retry_after_s, ..Failed::answered(code, status) });
    }
    let headers = response.headers().clone();
    Ok(Answer { status, headers, body: collect(response, RESPONSE_BODY_MAX).await? })
}

/// Reads a body of at most `longest` bytes.
async fn collect(response: Response<Incoming>, longest: usize) -> Result<Bytes, Failed> {
    let status = response.status().as_u16();
    if is_encoded(response.headers()) {
        return Err(Failed::answered("http-encoding", status));
    }
    let body = Limited::new(response.into_body(), longest).collect().await.map_err(|error| {
        let too_large = error.downcast_ref::<LengthLimitError>().is_some();
        Failed::answered(if too_large { "http-too-large" } else { "http-failed" }, status)
    })?;
    Ok(body.to_bytes())
}

/// Whether the body is in another coding than asked for: nothing here unpacks.
fn is_encoded(headers: &HeaderMap) -> bool {
    let coded = |name: HeaderName, plain: &str| {
        headers
            .get_all(name)
            .iter()
            .any(|coding| !coding.as_bytes().eq_ignore_ascii_case(plain.as_bytes()))
    };
    coded(header::CONTENT_ENCODING, "identity") || coded(header::TRANSFER_ENCODING, "chunked")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_authority_has_brackets_for_ipv6_and_no_standard_port() {
        for (host, port, plaintext, expected) in [
            ("api.github.com", 443, false, "api.github.com"),
            ("api.github.com", 8443, false, "api.github.com:8443"),
            ("localhost", 80, true, "localhost"),
            ("localhost", 443, true, "localhost:443"),
            ("::1", 8080, true, "[::1]:8080"),
            ("127.0.0.1", 8080, true, "127.0.0.1:8080"),
        ] {
            let host = ConnectionHost { host: host.to_owned(), port, plaintext };
            assert_eq!(authority(&host), expected);
        }
    }

    #[test]
    fn any_coding_but_the_one_asked_for_is_noticed() {
        let encoded = |name: &'static str, values: &[&'static str]| {
            let mut headers = HeaderMap::new();
            for value in values {
                headers.append(name, HeaderValue::from_static(value));
            }
            is_encoded(&headers)
        };
        assert!(!encoded("content-encoding", &[]));
        assert!(!encoded("content-encoding", &["Identity"]));
        assert!(encoded("content-encoding", &["identity", "gzip"]));
        assert!(encoded("content-encoding", &["br"]));
        assert!(!encoded("transfer-encoding", &["chunked"]));
        assert!(encoded("transfer-encoding", &["gzip, chunked"]));
    }
}
