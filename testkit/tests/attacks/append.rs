//! The next entry of the charter, made by hand: signed by people, by root keys, by nobody.

use anyhow::{Context as _, Result, ensure};
use aws_lc_rs::rand::SystemRandom;
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use serde_json::json;
use writ_evidence::{
    charter::{Change, EntryBody, SignedWrit, UnverifiedEntry, sign_root},
    digest::sha256,
    key::SigningKey,
    writ::{self, Order, WritClaims},
};
use writ_model::{Digest, TenantId, UnixTime};
use writ_testkit::{
    hostile::principal,
    keys::{Login, now, random},
};

use crate::{http::Ask, setting::Setting};

/// A place in the chain to sign for.
pub(crate) struct Next {
    ten: TenantId,
    seq: u64,
    /// The entry before.
    pub(crate) head: Digest,
    at: UnixTime,
}

impl Next {
    /// The place after the newest entry that the runner has.
    pub(crate) fn of(setting: &Setting) -> Result<Self> {
        let chain = setting.chain()?;
        let head = chain.last().context("the charter is empty")?.digest();
        Ok(Self { ten: setting.forger.ten(), seq: chain.len() as u64, head, at: now() })
    }

    /// The same place, signed at another time.
    pub(crate) const fn at(mut self, at: u64) -> Self {
        self.at = UnixTime(at);
        self
    }

    /// The body of a change here.
    pub(crate) fn body(&self, change: Change) -> Result<String> {
        self.body_on(self.head, change)
    }

    /// The body of a change at this number, after another entry.
    pub(crate) fn body_on(&self, head: Digest, change: Change) -> Result<String> {
        Ok(serde_json::to_string(&EntryBody { seq: self.seq, prev: Some(head), change })?)
    }

    /// Somebody's writ over a body.
    pub(crate) fn writ_over(&self, login: &Login, body: &str) -> Result<SignedWrit> {
        let claims = WritClaims {
            ten: self.ten,
            principal: principal(&login.idc)?,
            idc: login.idc.digest(),
            jti: URL_SAFE_NO_PAD.encode(random()?),
            iat: self.at,
            exp: self.at.plus(120),
            charter: self.head,
            order: Order::CharterAppend { cnt: sha256(body.as_bytes()) },
        };
        let writ = writ::sign(&claims, &login.key, &SystemRandom::new())?;
        Ok(SignedWrit { writ, idc: login.idc.clone() })
    }

    /// A candidate with this body, signed by somebody.
    pub(crate) fn signed_body(&self, login: &Login, body: &str) -> Result<UnverifiedEntry> {
        let SignedWrit { writ, idc } = self.writ_over(login, body)?;
        let (body, others, cosignatures) = (body.to_owned(), Vec::new(), Vec::new());
        Ok(UnverifiedEntry::Writ { body, writ, idc, others, cosignatures })
    }

    /// A candidate, signed by somebody.
    pub(crate) fn signed(&self, login: &Login, change: Change) -> Result<UnverifiedEntry> {
        self.signed_body(login, &self.body(change)?)
    }

    /// A candidate under a signature that was made over something else.
    pub(crate) fn with(&self, signed: SignedWrit, change: Change) -> Result<UnverifiedEntry> {
        let SignedWrit { writ, idc } = signed;
        let (body, others, cosignatures) = (self.body(change)?, Vec::new(), Vec::new());
        Ok(UnverifiedEntry::Writ { body, writ, idc, others, cosignatures })
    }

    /// An entry that these keys sign as root keys.
    pub(crate) fn rooted(&self, change: Change, keys: &[&SigningKey]) -> Result<UnverifiedEntry> {
        let body = self.body(change)?;
        let random = SystemRandom::new();
        let signatures =
            keys.iter().map(|key| sign_root(&body, key, &random)).collect::<Result<_, _>>()?;
        Ok(UnverifiedEntry::Roots { body, signatures })
    }
}

impl Setting {
    /// Has a sound change appended, as a client does.
    pub(crate) fn append(&self, entry: &UnverifiedEntry) -> Result<()> {
        let body = json!({ "entry": entry });
        let (status, said) = self.ask(&Ask::post(self.tenant_path("/charter"), body))?;
        ensure!(status == 200, "a sound change was refused: {said}");
        // The runner folds it before anything else is tried.
        let head = entry.digest();
        for _ in 0..200 {
            if self.chain()?.last().is_some_and(|last| last.digest() == head) {
                return Ok(());
            }
            std::thread::sleep(std::time::Duration::from_millis(20));
        }
        anyhow::bail!("the runner was not given the change")
    }
}
