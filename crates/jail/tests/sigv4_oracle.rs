//! Signatures equal botocore's, byte for byte, on 500 generated requests.

#![cfg(test)]

use std::{
    io::Write as _,
    path::PathBuf,
    process::{Command, Stdio},
};

use proptest::{
    prelude::*,
    strategy::ValueTree as _,
    test_runner::{Config, RngAlgorithm, TestRng, TestRunner},
};
use serde_json::{Value, json};
use writ_jail::vault::aws::{
    credentials::AwsCredentials,
    sign::{RequestToSign, Scope, sign},
};
use writ_model::UnixTime;
use zeroize::Zeroizing;

const REQUESTS: usize = 500;

/// Signs every request on standard input with botocore, its clock standing still.
const ORACLE: &str = r#"
import datetime, json, sys
import botocore, botocore.auth, botocore.awsrequest, botocore.credentials
print(botocore.__version__)
for line in sys.stdin:
    asked = json.loads(line)
    at = datetime.datetime.fromtimestamp(asked["at"], datetime.timezone.utc)
    class Clock(datetime.datetime):
        @classmethod
        def utcnow(cls): return at.replace(tzinfo=None)
        @classmethod
        def now(cls, tz=None): return at
    if hasattr(botocore.auth, "datetime"): botocore.auth.datetime = type("M", (), {"datetime": Clock, "timezone": datetime.timezone}) if hasattr(botocore.auth.datetime, "datetime") else Clock
    if hasattr(botocore.auth, "get_current_datetime"): botocore.auth.get_current_datetime = lambda remove_tzinfo=True: at.replace(tzinfo=None) if remove_tzinfo else at
    query = "&".join(f"{n}={v}" for n, v in asked["encoded_query"])
    url = "https://" + asked["host"] + asked["path"] + ("?" + query if query else "")
    headers = botocore.awsrequest.HTTPHeaders()
    for name, value in asked["headers"]: headers.add_header(name, value)
    request = botocore.awsrequest.AWSRequest(method=asked["method"], url=url, data=asked["body"].encode())
    request.headers = headers
    keys = botocore.credentials.Credentials(asked["id"], asked["key"], asked["token"])
    botocore.auth.SigV4Auth(keys, asked["service"], asked["region"]).add_auth(request)
    print(request.headers["Authorization"])
"#;

fn request() -> impl Strategy<Value = Value> {
    let segment = "([a-zA-Z0-9._~-]|%[0-9A-F]{2}|[!$&'()*+,;=:@]){0,8}";
    let path =
        prop::collection::vec(segment, 0..5).prop_map(|parts| format!("/{}", parts.join("/")));
    let word = "[ -~\\u{e4}\\u{4e2d}\\u{1f510}]{0,10}";
    let query = prop::collection::vec((word, word), 0..5);
    let name = prop::sample::select(vec![
        "x-amz-target",
        "content-type",
        "x-custom",
        "x-twice",
        "user-agent",
    ]);
    let headers = prop::collection::vec((name, "[!-~]([ -~]{0,12}[!-~])?"), 0..4);
    let who =
        ("[A-Z0-9]{16,20}", "[a-zA-Z0-9/+=]{20,40}", prop::option::of("[a-zA-Z0-9/+=]{8,60}"));
    let method = prop::sample::select(vec!["GET", "POST", "PUT", "DELETE", "HEAD", "PATCH"]);
    let place = prop::sample::select(vec!["secretsmanager", "sts", "dynamodb", "lambda"]);
    let region = prop::sample::select(vec!["eu-central-1", "us-east-1", "ap-southeast-2"]);
    let target = (method, path, query, headers);
    let scope = (place, region, 0_u64..4_000_000_000, "[ -~\\u{e4}\\u{4e2d}]{0,60}");
    (target, who, scope).prop_map(|((method, path, query, headers), (id, key, token), scope)| {
        let (service, region, at, body) = scope;
        json!({
            "method": method, "host": format!("{service}.{region}.amazonaws.com"), "path": path,
            "query": query, "headers": headers, "id": id, "key": key, "token": token,
            "service": service, "region": region, "at": at, "body": body,
        })
    })
}

fn pairs(value: &Value) -> Vec<(&str, &str)> {
    value
        .as_array()
        .unwrap()
        .iter()
        .map(|pair| (pair[0].as_str().unwrap(), pair[1].as_str().unwrap()))
        .collect()
}

/// Our `Authorization`, and the target that is sent.
fn ours(asked: &Value) -> (String, String) {
    let text = |name: &str| asked[name].as_str().unwrap();
    let (query, headers) = (pairs(&asked["query"]), pairs(&asked["headers"]));
    let request = RequestToSign {
        method: text("method"),
        host: text("host"),
        path: text("path"),
        query: &query,
        headers: &headers,
        body: text("body").as_bytes(),
    };
    let at = UnixTime(asked["at"].as_u64().unwrap());
    let scope = Scope { region: text("region"), service: text("service"), at };
    let token = asked["token"].as_str().map(|token| Zeroizing::new(token.to_owned()));
    let credentials =
        AwsCredentials::new(text("id").to_owned(), Zeroizing::new(text("key").to_owned()), token);
    let signed = sign(&request, &scope, &credentials).unwrap();
    let (_, value) = signed.headers.iter().find(|(name, _)| name == "authorization").unwrap();
    (value.to_str().unwrap().to_owned(), signed.target)
}

fn python() -> PathBuf {
    let parts = std::env::var_os("WRIT_PARTS")
        .expect("WRIT_PARTS is not set; run the tests through `cargo xtask test`");
    PathBuf::from(parts).join("venv/bin/python3")
}

#[test]
fn five_hundred_signatures_equal_botocores() {
    let rng = TestRng::from_seed(RngAlgorithm::ChaCha, &[17; 32]);
    let mut runner = TestRunner::new_with_rng(Config::default(), rng);
    let mut asked = Vec::new();
    for _ in 0..REQUESTS {
        let mut one = request().new_tree(&mut runner).unwrap().current();
        let (_, target) = ours(&one);
        // botocore signs a query as it stands in the URL: it is given the one that we send.
        let query = target.split_once('?').map_or("", |(_, query)| query);
        let sent = query.split('&').filter_map(|pair| pair.split_once('='));
        one["encoded_query"] = sent.map(|(name, value)| json!([name, value])).collect();
        asked.push(one);
    }
    let mut oracle = Command::new(python())
        .args(["-c", ORACLE])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("boto3 is not among the parts; `cargo xtask test` installs it");
    let mut input = oracle.stdin.take().unwrap();
    let lines: Vec<String> = asked.iter().map(ToString::to_string).collect();
    let lines = lines.join("\n");
    let writing = std::thread::spawn(move || input.write_all(lines.as_bytes()).unwrap());
    let output = oracle.wait_with_output().unwrap();
    writing.join().unwrap();
    assert!(output.status.success());
    let said = String::from_utf8(output.stdout).unwrap();
    let mut lines = said.lines();
    println!("botocore {}", lines.next().unwrap());

    let theirs: Vec<&str> = lines.collect();

    assert_eq!(theirs.len(), REQUESTS);
    for (one, theirs) in asked.iter().zip(theirs) {
        assert_eq!(ours(one).0, theirs, "{one}");
    }
}
