//! A login at the development identity provider: by a secret that only this machine's user can read.

use std::{fs, path::Path};

use url::Url;
use zeroize::Zeroizing;

use super::{
    Request,
    provider::{Provider, Tokens},
};
use crate::{dev::LOGIN_SECRET_HEADER, failure::Failure};

/// Where the provider sends the code. Nothing listens: the answer is read directly.
const REDIRECT: &str = "http://127.0.0.1/callback";

/// The code flow without a browser, as `subject`.
pub(super) async fn authorize(
    provider: &Provider,
    request: &Request,
    secret: &Path,
    subject: &str,
) -> Result<Tokens, Failure> {
    let mut url = provider.authorization_url(request, REDIRECT);
    url.query_pairs_mut().append_pair("login_hint", subject);
    let secret = Zeroizing::new(fs::read_to_string(secret).map_err(|error| {
        Failure::because("login", "cannot read the login secret of `writ dev`", &error)
            .with_remedy("log in as the user who runs `writ dev`")
    })?);
    let asked = provider.http().get(url).header(LOGIN_SECRET_HEADER, secret.trim()).send().await;
    let answer = asked.map_err(|error| {
        Failure::because("login", "cannot reach the identity provider", &error.without_url())
            .with_remedy("is `writ dev` running?")
    })?;
    let location = answer
        .headers()
        .get(reqwest::header::LOCATION)
        .and_then(|location| location.to_str().ok())
        .and_then(|location| Url::parse(location).ok())
        .ok_or_else(|| {
            let status = answer.status();
            Failure::new("login", format!("the identity provider answered {status}"))
        })?;
    let code = provider.code_in(&location, request)?;
    provider.redeem(&code, request, REDIRECT).await
}
