//! One HTTP/1.1 exchange: TLS unless the host says plaintext, no redirects, bounded in size and
//! time, one connection.

use std::{net::TcpStream, sync::Arc, time::Duration};

use http_body_util::{BodyExt as _, Full, Limited};
use hyper::{
    Request, Response,
    body::{Bytes, Incoming},
    header::{self, HeaderMap, HeaderName, HeaderValue},
};
use hyper_util::rt::TokioIo;
use rustls::{ClientConfig, RootCertStore, crypto::aws_lc_rs, pki_types::ServerName};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio_rustls::TlsConnector;
use writ_model::{ConnectionHost, limits::RESPONSE_BODY_MAX, pack::ResponseTemplate};
use zeroize::Zeroizing;

use super::{Failed, request::Rendered};
use crate::secret_memory::SecretBytes;

/// Longest wait that a service can ask for, in seconds.
const RETRY_AFTER_MAX_S: u64 = 24 * 3600;

/// A service's answer.
pub(super) struct Answer {
    status: u16,
    retry_after_s: Option<u64>,
    body: Vec<u8>,
}

/// Sends the request with the credential, and reads the answer.
pub(super) fn exchange(
    socket: TcpStream,
    host: &ConnectionHost,
    request: &Rendered,
    credential: &SecretBytes,
    (roots, timeout_s): (Arc<RootCertStore>, u32),
) -> Result<Answer, Failed> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|_| Failed::new("cell-runtime"))?;
    let limit = Duration::from_secs(u64::from(timeout_s));
    runtime.block_on(async {
        let sent = send(socket, host, request, credential, roots);
        tokio::time::timeout(limit, sent).await.unwrap_or(Err(Failed::new("http-timeout")))
    })
}

async fn send(
    socket: TcpStream,
    host: &ConnectionHost,
    request: &Rendered,
    credential: &SecretBytes,
    roots: Arc<RootCertStore>,
) -> Result<Answer, Failed> {
    let failed = |_| Failed::new("connect-failed");
    socket.set_nonblocking(true).map_err(failed)?;
    let socket = tokio::net::TcpStream::from_std(socket).map_err(failed)?;
    let request = build(host, request, credential)?;
    if host.plaintext {
        return converse(socket, request).await;
    }
    converse(tls(socket, host, roots).await?, request).await
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

/// Puts the credential where the connection's kind says (RFC 6750 §2.1).
fn build(
    host: &ConnectionHost,
    request: &Rendered,
    credential: &SecretBytes,
) -> Result<Request<Full<Bytes>>, Failed> {
    let malformed = || Failed::new("http-request");
    let mut bearer = Zeroizing::new(b"Bearer ".to_vec());
    bearer.extend_from_slice(credential.expose());
    let mut authorization = HeaderValue::from_bytes(&bearer).map_err(|_| malformed())?;
    authorization.set_sensitive(true);
    let standard = if host.plaintext { 80 } else { 443 };
    let authority = if host.port == standard { host.host.clone() } else { host.to_string() };
    let mut built = Request::builder()
        .method(request.method)
        .uri(&request.target)
        .header(header::HOST, authority)
        .header(header::USER_AGENT, concat!("writ/", env!("CARGO_PKG_VERSION")))
        .header(header::ACCEPT_ENCODING, "identity")
        .header(header::CONNECTION, "close")
        .header(header::AUTHORIZATION, authorization);
    for (name, value) in &request.headers {
        let name: HeaderName = name.parse().map_err(|_| malformed())?;
        built = built.header(name, HeaderValue::from_str(value).map_err(|_| malformed())?);
    }
    built
        .body(Full::new(Bytes::from(request.body.clone().unwrap_or_default())))
        .map_err(|_| malformed())
}

async fn converse(
    stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
    request: Request<Full<Bytes>>,
) -> Result<Answer, Failed> {
    let failed = || Failed::new("http-failed");
    let (mut sender, connection) = hyper::client::conn::http1::Builder::new()
        .max_headers(100)
        .max_buf_size(64 * 1024)
        .handshake(TokioIo::new(stream))
        .await
        .map_err(|_| failed())?;
    let exchanged = async {
        let response = sender.send_request(request).await.map_err(|_| failed())?;
        answer(response).await
    };
    let mut exchanged = std::pin::pin!(exchanged);
    let mut connection = std::pin::pin!(connection);
    tokio::select! {
        answer = &mut exchanged => answer,
        // The connection may end before the last bytes are read from it.
        _ = &mut connection => exchanged.await,
    }
}

async fn answer(response: Response<Incoming>) -> Result<Answer, Failed> {
    let status = response.status().as_u16();
    let retry_after_s = retry_after(response.headers());
    let encoding = response.headers().get(header::CONTENT_ENCODING);
    if encoding.is_some_and(|encoding| encoding != "identity") {
        return Err(Failed { status: Some(status), ..Failed::new("http-encoding") });
    }
    let body = Limited::new(response.into_body(), RESPONSE_BODY_MAX)
        .collect()
        .await
        .map_err(|error| {
            let too_large = error.downcast_ref::<http_body_util::LengthLimitError>().is_some();
            Failed::new(if too_large { "http-too-large" } else { "http-failed" })
        })?
        .to_bytes()
        .to_vec();
    Ok(Answer { status, retry_after_s, body })
}

/// `Retry-After` in seconds (RFC 9110 §10.2.3). A date is not taken: the cell does not trust
/// another clock.
fn retry_after(headers: &HeaderMap) -> Option<u64> {
    let seconds: u64 = headers.get(header::RETRY_AFTER)?.to_str().ok()?.trim().parse().ok()?;
    Some(seconds.min(RETRY_AFTER_MAX_S))
}

/// The body, if the status is one that means success.
pub(super) fn success(
    template: &ResponseTemplate,
    answer: &Answer,
) -> Result<serde_json::Value, Failed> {
    let status = Some(answer.status);
    if !template.success.contains(&answer.status) {
        let code =
            if (300..400).contains(&answer.status) { "http-redirect" } else { "http-status" };
        return Err(Failed { code, status, retry_after_s: answer.retry_after_s });
    }
    if answer.body.is_empty() {
        return Ok(serde_json::Value::Null);
    }
    serde_json::from_slice(&answer.body)
        .map_err(|_| Failed { status, ..Failed::new("response-not-json") })
}
