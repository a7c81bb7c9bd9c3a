//! Published vectors, forgeries, and a hundred thousand deliveries in disorder.

use std::collections::BTreeSet;

use aws_lc_rs::{
    hmac,
    signature::{Ed25519KeyPair, KeyPair as _},
};
use base64::{
    Engine as _,
    engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD},
};
use proptest::prelude::*;
use serde_json::{Value, json};
use writ_evidence::standing::Deliveries;

use super::*;

const GITHUB_SECRET: &[u8] = b"It's a Secret to Everybody";
const SLACK_SECRET: &[u8] = b"8f742231b10e8888abcd99yyyzzz85a5";
const SLACK_BODY: &str = "token=xyzz0WbapA4vBCDEFasx0q6G&team_id=T1DC2JH3J&team_domain=testteamnow&\
    channel_id=G8PSS9T3V&channel_name=foobar&user_id=U2CERLKJA&user_name=roadrunner&\
    command=%2Fwebhook-collect&text=&response_url=https%3A%2F%2Fhooks.slack.com%2Fcommands%2F\
    T1DC2JH3J%2F397700885554%2F96rGlfmibIGlgcZRskXaIFfN&\
    trigger_id=398738663015.47445629121.803a0bc887a14d10d2c447fce8b6703c";
const STANDARD_SECRET: &[u8] = b"whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
const STANDARD_BODY: &[u8] = br#"{"test": 2432232314}"#;
const STRIPE_SECRET: &[u8] = b"whsec_test_secret";

fn verifier(value: Value) -> WebhookVerifier {
    serde_json::from_value(value).unwrap()
}

fn github() -> WebhookVerifier {
    verifier(json!({ "scheme": "github", "secrets": ["local:a"], "remember_s": 604_800 }))
}

fn slack() -> WebhookVerifier {
    verifier(json!({ "scheme": "slack", "secrets": ["local:a"], "max_age_s": 300 }))
}

fn stripe() -> WebhookVerifier {
    verifier(json!({ "scheme": "stripe", "header": "stripe-signature", "secrets": ["local:a"],
        "max_age_s": 300 }))
}

fn standard() -> WebhookVerifier {
    verifier(json!({ "scheme": "standard-webhooks", "by": { "secrets": ["local:a"] },
        "prefix": "webhook", "max_age_s": 300 }))
}

fn jwk(public: &[u8]) -> Value {
    json!({ "crv": "Ed25519", "kty": "OKP", "x": URL_SAFE_NO_PAD.encode(public) })
}

fn discord(public: &[u8]) -> WebhookVerifier {
    verifier(json!({ "scheme": "ed25519", "keys": [jwk(public)], "header": "x-signature-ed25519",
        "encoding": "hex",
        "freshness": { "timestamp": { "header": "x-signature-timestamp", "max_age_s": 300 } } }))
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().flat_map(|byte| [byte >> 4, byte & 15]).map(digit).collect()
}

fn digit(half: u8) -> char {
    char::from_digit(u32::from(half), 16).unwrap()
}

fn mac(secret: &[u8], signed: &[u8]) -> Vec<u8> {
    hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, secret), signed).as_ref().to_vec()
}

fn check(
    verifier: &WebhookVerifier,
    secrets: &[&[u8]],
    (headers, body): (&[(&str, &str)], &[u8]),
    now: u64,
) -> Result<VerifiedDelivery, WebhookError> {
    let headers: Vec<_> = headers.iter().map(|(name, value)| (*name, value.as_bytes())).collect();
    verify(verifier, secrets, &UnverifiedDelivery { headers: &headers, body }, UnixTime(now))
}

fn code(result: Result<VerifiedDelivery, WebhookError>) -> &'static str {
    result.map_or_else(|error| error.code(), |_| "verified")
}

const GITHUB_SIGNATURE: &str =
    "sha256=757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17";
const SLACK_HEADERS: [(&str, &str); 2] = [
    ("X-Slack-Request-Timestamp", "1531420618"),
    ("X-Slack-Signature", "v0=a2114d57b48eac39b9ad189dd8316235a7b4a8d21a10bd27519666489c69b503"),
];
const STANDARD_HEADERS: [(&str, &str); 3] = [
    ("webhook-id", "msg_p5jXN8AQM9LWM0D4loKWxJek"),
    ("webhook-timestamp", "1614265330"),
    ("webhook-signature", "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="),
];

#[test]
fn the_example_of_githubs_documentation_verifies() {
    let headers = [("X-Hub-Signature-256", GITHUB_SIGNATURE)];
    let delivery = check(&github(), &[GITHUB_SECRET], (&headers, b"Hello, World!"), 50).unwrap();
    assert_eq!(delivery.at(), None);
    assert_eq!(delivery.id(), DeliveryId::from_body(b"Hello, World!"));
    assert_eq!(delivery.remember_until(), UnixTime(50 + 604_800));
}

#[test]
fn another_delivery_header_does_not_make_githubs_delivery_another() {
    let first = [("x-hub-signature-256", GITHUB_SIGNATURE), ("x-github-delivery", "72d3162e")];
    let second = [("x-hub-signature-256", GITHUB_SIGNATURE), ("x-github-delivery", "99999999")];
    let id =
        |headers| check(&github(), &[GITHUB_SECRET], (headers, b"Hello, World!"), 50).unwrap().id();
    assert_eq!(id(&first), id(&second));
}

#[test]
fn the_example_of_slacks_documentation_verifies_for_five_minutes() {
    let at = |now| check(&slack(), &[SLACK_SECRET], (&SLACK_HEADERS, SLACK_BODY.as_bytes()), now);
    let sent = 1_531_420_618;
    assert_eq!(at(sent).unwrap().at(), Some(UnixTime(sent)));
    assert_eq!(code(at(sent + 300)), "verified");
    assert_eq!(code(at(sent + 301)), "webhook-too-old");
    assert_eq!(code(at(sent - 60)), "verified");
    assert_eq!(code(at(sent - 61)), "webhook-from-the-future");
}

#[test]
fn the_example_of_standard_webhooks_verifies() {
    let delivery =
        check(&standard(), &[STANDARD_SECRET], (&STANDARD_HEADERS, STANDARD_BODY), 1_614_265_330);
    let id = DeliveryId::from_signed_id("msg_p5jXN8AQM9LWM0D4loKWxJek");
    assert_eq!(delivery.unwrap().id(), id);
    let bare = &STANDARD_SECRET[6..];
    let bare = check(&standard(), &[bare], (&STANDARD_HEADERS, STANDARD_BODY), 1_614_265_330);
    assert_eq!(code(bare), "verified");
}

/// The signature was computed by another implementation of HMAC (Python's).
#[test]
fn one_of_stripes_signatures_is_enough_and_other_versions_do_not_count() {
    let body: &[u8] = br#"{"id":"evt_test_webhook","object":"event"}"#;
    let good = "88a022085c6bdb887b02cb26ff76dd681234d9675c0f22844059f55552a8883a";
    let other = "00".repeat(32);
    let now = 1_492_774_577;
    let with = |header: &str| {
        code(check(&stripe(), &[STRIPE_SECRET], (&[("Stripe-Signature", header)], body), now))
    };
    assert_eq!(with(&format!("t={now},v1={good}")), "verified");
    assert_eq!(with(&format!("t={now},v1={other},v1={good},v0={other}")), "verified");
    assert_eq!(with(&format!("t={now},v1={other}")), "webhook-signature");
    assert_eq!(with(&format!("t={now},v0={good}")), "webhook-header-malformed");
    assert_eq!(with(&format!("t={now},t=1,v1={good}")), "webhook-header-malformed");
    assert_eq!(with(&format!("v1={good}")), "webhook-header-malformed");
    assert_eq!(with(&format!("t={},v1={good}", now + 1)), "webhook-signature");
    assert_eq!(
        with(&format!("t={now}{}", format!(",v1={good}").repeat(17))),
        "webhook-header-malformed"
    );
}

/// RFC 8032 §7.1, test 3.
#[test]
fn a_published_ed25519_signature_over_a_raw_body_verifies() {
    let public: [u8; 32] = [
        0xfc, 0x51, 0xcd, 0x8e, 0x62, 0x18, 0xa1, 0xa3, 0x8d, 0xa4, 0x7e, 0xd0, 0x02, 0x30, 0xf0,
        0x58, 0x08, 0x16, 0xed, 0x13, 0xba, 0x33, 0x03, 0xac, 0x5d, 0xeb, 0x91, 0x15, 0x48, 0x90,
        0x80, 0x25,
    ];
    let signature = "6291d657deec24024827e69c3abe01a30ce548a284743a445e3680d7db5ac3ac\
        18ff9b538d16f290ae67f760984dc6594a7c15e9716ed28dc027beceea1ec40a";
    let raw =
        verifier(json!({ "scheme": "ed25519", "keys": [jwk(&public)], "header": "x-signature",
        "encoding": "hex", "freshness": { "window": { "remember_s": 259_200 } } }));
    let with = |body: &[u8]| code(check(&raw, &[], (&[("X-Signature", signature)], body), 0));
    assert_eq!(with(&[0xaf, 0x82]), "verified");
    assert_eq!(with(&[0xaf, 0x83]), "webhook-signature");
}

#[test]
fn an_asymmetric_signature_verifies_by_a_public_key_and_no_secret() {
    let pair = Ed25519KeyPair::from_seed_unchecked(&[7; 32]).unwrap();
    let (public, body) = (pair.public_key().as_ref(), br#"{"type":1}"#);
    let now = 1_700_000_000_u64;
    let signature = pair.sign(&[now.to_string().as_bytes(), body].concat());
    let (time, signature) = (now.to_string(), hex(signature.as_ref()));
    let headers = [("X-Signature-Timestamp", &*time), ("X-Signature-Ed25519", &*signature)];
    let verified = check(&discord(public), &[], (&headers, body), now).unwrap();
    assert_eq!(verified.at(), Some(UnixTime(now)));
    assert_eq!(code(check(&discord(public), &[], (&headers, body), now + 301)), "webhook-too-old");
    let later = [("x-signature-timestamp", "1700000001"), headers[1]];
    assert_eq!(code(check(&discord(public), &[], (&later, body), now)), "webhook-signature");

    let by_keys = verifier(json!({ "scheme": "standard-webhooks", "by": { "keys": [jwk(public)] },
        "prefix": "svix", "max_age_s": 300 }));
    let signed = [b"msg_1.1700000000.".as_slice(), body].concat();
    let signature = STANDARD.encode(pair.sign(&signed).as_ref());
    let list = format!("v1,{} v1a,{signature}", STANDARD.encode(mac(b"another secret", &signed)));
    let headers = [("svix-id", "msg_1"), ("svix-timestamp", &*time), ("svix-signature", &*list)];
    assert_eq!(code(check(&by_keys, &[], (&headers, body), now)), "verified");
}

#[test]
fn a_signature_of_the_other_kind_is_not_looked_at() {
    // Whoever knows a public key could sign with it as if it were a secret.
    let pair = Ed25519KeyPair::from_seed_unchecked(&[7; 32]).unwrap();
    let public = pair.public_key().as_ref();
    let by_keys = verifier(json!({ "scheme": "standard-webhooks", "by": { "keys": [jwk(public)] },
        "prefix": "webhook", "max_age_s": 300 }));
    let signature = STANDARD.encode(mac(public, b"msg_1.1700000000.{}"));
    for version in ["v1", "v1a"] {
        let list = format!("{version},{signature}");
        let headers = [
            ("webhook-id", "msg_1"),
            ("webhook-timestamp", "1700000000"),
            ("webhook-signature", &*list),
        ];
        let result = check(&by_keys, &[public], (&headers, b"{}"), 1_700_000_000);
        assert_eq!(code(result), "webhook-signature");
    }
}

#[test]
fn while_one_secret_replaces_another_both_verify() {
    let headers = [("x-hub-signature-256", GITHUB_SIGNATURE)];
    let with = |secrets: &[&[u8]]| code(check(&github(), secrets, (&headers, b"Hello, World!"), 0));
    assert_eq!(with(&[GITHUB_SECRET, b"the next secret"]), "verified");
    assert_eq!(with(&[b"the next secret", GITHUB_SECRET]), "verified");
    assert_eq!(with(&[b"the next secret"]), "webhook-signature");
}

#[test]
fn without_a_secret_or_with_an_empty_one_nothing_verifies() {
    let signature = format!("sha256={}", hex(&mac(b"", b"{}")));
    let headers = [("x-hub-signature-256", &*signature)];
    for secrets in [&[][..], &[&b""[..]], &[b"1234567"]] {
        assert_eq!(code(check(&github(), secrets, (&headers, b"{}"), 0)), "webhook-secret");
    }
    for secret in [&b"whsec_"[..], b"whsec_####", b"whsec_AAAA"] {
        let result =
            check(&standard(), &[secret], (&STANDARD_HEADERS, STANDARD_BODY), 1_614_265_330);
        assert_eq!(code(result), "webhook-secret");
    }
}

#[test]
fn a_header_stands_there_once_whatever_its_case() {
    let with = |headers: &[(&str, &str)]| {
        code(check(&github(), &[GITHUB_SECRET], (headers, b"Hello, World!"), 0))
    };
    assert_eq!(with(&[]), "webhook-header-missing");
    assert_eq!(with(&[("X-HUB-SIGNATURE-256", GITHUB_SIGNATURE)]), "verified");
    assert_eq!(with(&[("x-hub-signature-256", &format!(" {GITHUB_SIGNATURE}\t"))]), "verified");
    let twice =
        [("X-Hub-Signature-256", GITHUB_SIGNATURE), ("x-hub-signature-256", GITHUB_SIGNATURE)];
    assert_eq!(with(&twice), "webhook-header-repeated");
    for bad in ["", "sha256=", "sha1=00", "sha256=zz", "sha256=é", "sha256=0", "757107ea"] {
        assert_eq!(with(&[("x-hub-signature-256", bad)]), "webhook-header-malformed", "{bad}");
    }
}

#[test]
fn a_time_is_digits_and_an_id_has_no_full_stop() {
    for bad in ["", "1614265330.5", "-1", "+1614265330", "1e9", "1614265330 0", "9999999999999"] {
        let headers = [STANDARD_HEADERS[0], ("webhook-timestamp", bad), STANDARD_HEADERS[2]];
        let result =
            check(&standard(), &[STANDARD_SECRET], (&headers, STANDARD_BODY), 1_614_265_330);
        assert_eq!(code(result), "webhook-header-malformed", "{bad}");
    }
    // The same signed bytes as id `msg`, time 5 and a body that begins with a time.
    let signature = format!(
        "v1,{}",
        STANDARD
            .encode(mac(&STANDARD.decode(&STANDARD_SECRET[6..]).unwrap(), b"msg.5.1614265330.{}",))
    );
    let headers = [
        ("webhook-id", "msg.5"),
        ("webhook-timestamp", "1614265330"),
        ("webhook-signature", &*signature),
    ];
    let result = check(&standard(), &[STANDARD_SECRET], (&headers, b"{}"), 1_614_265_330);
    assert_eq!(code(result), "webhook-header-malformed");
}

#[test]
fn a_body_that_no_run_could_take_is_not_even_looked_at() {
    let body = vec![0; RUN_INPUT_MAX + 1];
    assert_eq!(code(check(&github(), &[GITHUB_SECRET], (&[], &body), 0)), "webhook-too-large");
}

#[test]
fn no_refusal_quotes_a_secret_a_body_or_a_value() {
    let headers = [("x-slack-request-timestamp", "hunter2"), ("x-slack-signature", "v0=hunter2")];
    let error = check(&slack(), &[b"hunter2hunter2"], (&headers, b"hunter2"), 0).unwrap_err();
    assert!(!format!("{error} {error:?}").contains("hunter2"), "{error:?}");
}

/// A small reproducible sequence (xorshift).
struct Random(u64);

impl Random {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % bound
    }
}

/// One delivery of one of five senders, signed by who has the secret.
struct Sent {
    sender: usize,
    headers: Vec<(&'static str, String)>,
    body: Vec<u8>,
}

const STRANGER: &[u8] = b"a secret of nobody's";

fn send(sender: usize, number: u64, now: u64, forged: bool, pair: &Ed25519KeyPair) -> Sent {
    let body = format!("{{\"event\":{number},\"sender\":{sender}}}").into_bytes();
    let secret = |genuine| if forged { STRANGER } else { genuine };
    let time = now.to_string();
    let dated = |before: &str, between: &str| {
        [before.as_bytes(), time.as_bytes(), between.as_bytes(), &body].concat()
    };
    let headers = match sender {
        0 => {
            let signature = hex(&mac(secret(GITHUB_SECRET), &body));
            vec![("X-Hub-Signature-256", format!("sha256={signature}"))]
        }
        1 => {
            let signature = hex(&mac(secret(SLACK_SECRET), &dated("v0:", ":")));
            vec![
                ("X-Slack-Signature", format!("v0={signature}")),
                ("X-Slack-Request-Timestamp", time),
            ]
        }
        2 => {
            let signature = hex(&mac(secret(STRIPE_SECRET), &dated("", ".")));
            vec![("Stripe-Signature", format!("t={time},v1={signature}"))]
        }
        3 => {
            let key = STANDARD.decode(&STANDARD_SECRET[6..]).unwrap();
            let key = if forged { STRANGER } else { &key };
            let signature = STANDARD.encode(mac(key, &dated(&format!("msg_{number}."), ".")));
            vec![
                ("webhook-id", format!("msg_{number}")),
                ("webhook-timestamp", time),
                ("webhook-signature", format!("v1,{signature}")),
            ]
        }
        _ => {
            let stranger = Ed25519KeyPair::from_seed_unchecked(&[9; 32]).unwrap();
            let signature = if forged { &stranger } else { pair }.sign(&dated("", ""));
            vec![("X-Signature-Ed25519", hex(signature.as_ref())), ("X-Signature-Timestamp", time)]
        }
    };
    Sent { sender, headers, body }
}

/// Changes something that is signed, or a signature.
fn tamper(sent: &mut Sent, random: &mut Random) {
    match random.below(3) {
        0 => sent.body.push(b' '),
        1 => {
            let at = usize::try_from(random.below(sent.body.len() as u64)).unwrap();
            sent.body[at] ^= 1;
        }
        _ => {
            let (_, value) = &mut sent.headers[0];
            let last = value.trim_end_matches('=').len() - 5;
            let other = if value.as_bytes()[last] == b'0' { "1" } else { "0" };
            value.replace_range(last..=last, other);
        }
    }
}

/// Five senders' trigger, and what each has been believed.
struct Receiver {
    verifiers: [WebhookVerifier; 5],
    windows: [Deliveries; 5],
    taken: BTreeSet<u64>,
    arrivals: usize,
}

impl Receiver {
    /// One arrival; `genuine` is its number, unless it was forged or changed on its way.
    fn receive(&mut self, sent: &Sent, genuine: Option<u64>, now: UnixTime) {
        let secrets: [&[&[u8]]; 5] =
            [&[GITHUB_SECRET], &[SLACK_SECRET], &[STRIPE_SECRET], &[STANDARD_SECRET], &[]];
        let headers: Vec<_> =
            sent.headers.iter().map(|(name, value)| (*name, value.as_bytes())).collect();
        let delivery = UnverifiedDelivery { headers: &headers, body: &sent.body };
        self.arrivals += 1;

        let result = verify(&self.verifiers[sent.sender], secrets[sent.sender], &delivery, now);

        let Ok(verified) = result else {
            assert_eq!(genuine, None, "a genuine delivery was refused: {result:?}");
            return;
        };
        let number = genuine.expect("a forged delivery was verified");
        let window = &mut self.windows[sent.sender];
        let first = window.check(verified.id(), now).is_ok();
        assert_eq!(first, self.taken.insert(number), "delivery {number}");
        if first {
            window.remember(verified.id(), verified.remember_until(), now);
        }
    }
}

#[test]
fn of_a_hundred_thousand_deliveries_in_disorder_each_genuine_one_is_taken_once() {
    const SENT: u64 = 65_000;
    let pair = Ed25519KeyPair::from_seed_unchecked(&[7; 32]).unwrap();
    let mut receiver = Receiver {
        verifiers: [github(), slack(), stripe(), standard(), discord(pair.public_key().as_ref())],
        windows: [(); 5].map(|()| Deliveries::new(1 << 17)),
        taken: BTreeSet::new(),
        arrivals: 0,
    };
    let (mut random, mut time) = (Random(11), 1_700_000_000_u64);
    let (mut waiting, mut genuine) = (Vec::new(), 0);
    for number in 0..SENT {
        // The clock goes on, and back and forth by seconds, while deliveries are on their way.
        time += u64::from(random.below(20) == 0);
        let now = time + random.below(20) - 10;
        let sender = usize::try_from(random.below(5)).unwrap();
        let forged = random.below(4) == 0;
        genuine += usize::from(!forged);
        for copy in 0..=random.below(3) {
            // A sender that sends again signs again, at another time.
            let mut sent = send(sender, number, now + copy, forged, &pair);
            let changed = copy > 0 && random.below(3) == 0;
            if changed {
                tamper(&mut sent, &mut random);
            }
            waiting.push((sent, (!forged && !changed).then_some(number)));
        }
        let room = if number + 1 == SENT { 0 } else { 200 };
        while waiting.len() > room {
            let at = usize::try_from(random.below(waiting.len() as u64)).unwrap();
            let (sent, genuine) = waiting.swap_remove(at);
            let now = UnixTime(time + random.below(20) - 10);
            receiver.receive(&sent, genuine, now);
        }
    }
    assert!(receiver.arrivals >= 100_000, "{}", receiver.arrivals);
    assert_eq!(receiver.taken.len(), genuine);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2000, ..ProptestConfig::default() })]

    #[test]
    fn whatever_headers_say_nothing_unsigned_verifies(
        values in prop::collection::vec(
            prop_oneof![
                "(t=|v1=|v0=|v1,|v1a,|sha256=|[0-9a-f]{2,64}|[0-9]{1,12}|[ ,=.;]){0,8}",
                "\\PC{0,20}",
            ], 8),
        repeated in any::<bool>(),
        body in prop::collection::vec(any::<u8>(), 0..40),
        now in 0u64..2_000_000_000,
    ) {
        let names = ["x-hub-signature-256", "X-Slack-Signature", "x-slack-request-timestamp",
            "stripe-signature", "webhook-id", "webhook-timestamp", "webhook-signature",
            "x-signature-ed25519"];
        let mut headers: Vec<_> = names.into_iter().zip(values.iter().map(String::as_str)).collect();
        headers.push(("x-signature-timestamp", "1700000000"));
        if repeated {
            headers.extend_from_within(..);
        }
        let secret: &[u8] = b"whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
        let public = Ed25519KeyPair::from_seed_unchecked(&[7; 32]).unwrap();
        let public = public.public_key().as_ref();
        for verifier in [github(), slack(), stripe(), standard(), discord(public)] {
            let result = check(&verifier, &[secret], (&headers, &body), now);
            prop_assert_ne!(code(result), "verified");
        }
    }

    #[test]
    fn a_genuine_delivery_verifies_whatever_its_body(
        body in prop::collection::vec(any::<u8>(), 0..200),
        secret in prop::collection::vec(any::<u8>(), 8..80),
        changed in any::<prop::sample::Index>(),
    ) {
        let signature = format!("sha256={}", hex(&mac(&secret, &body)));
        let headers = [("x-hub-signature-256", &*signature)];
        prop_assert_eq!(code(check(&github(), &[&secret], (&headers, &body), 0)), "verified");
        if !body.is_empty() {
            let mut other = body.clone();
            other[changed.index(body.len())] ^= 1;
            let result = check(&github(), &[&secret], (&headers, &other), 0);
            prop_assert_eq!(code(result), "webhook-signature");
        }
    }
}
