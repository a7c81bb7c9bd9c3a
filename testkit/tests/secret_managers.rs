//! Credentials from a real OpenBao and from moto's AWS Secrets Manager, through a test of the connection and
//! a whole run: what is read, what is refused and how it is said, that a run fails with the code that the test
//! fails with, and that nothing of it stays anywhere.

#![cfg(test)]

use std::{fs, os::unix::fs::PermissionsExt as _, path::Path, process::Command};

use serde_json::{Value, json};
use writ_testkit::{
    github_stand_in::{GithubStandIn, SLACK_TOKEN},
    moto::Moto,
    openbao::OpenBao,
    world::{World, sources},
};

const TOKEN: &str = "github_pat_canary_secret_managers_01234";

fn private(path: &Path, text: &str) {
    fs::write(path, text).unwrap();
    fs::set_permissions(path, fs::Permissions::from_mode(0o600)).unwrap();
}

/// The settings that `writ dev` hands to its jail.
fn settings(folder: &Path, settings: &Value) {
    fs::write(folder.join("secret-managers.json"), settings.to_string()).unwrap();
}

fn approle(port: u16, role_id: &str, file: &Path) -> Value {
    json!({ "vault": {
        "host": { "host": "127.0.0.1", "port": port, "plaintext": true },
        "allow_cidrs": ["127.0.0.1/32"],
        "mounts": [{ "path": "secret", "kv": 2 }, { "path": "old", "kv": 1 }],
        "auth": { "method": "approle", "role_id": role_id, "secret_id_file": file },
    } })
}

/// `writ connection test` of the connection to GitHub; the code that it failed with.
fn test(world: &World, reference: &str) -> Result<(), String> {
    let tested = world.try_writ(&["--json", "connection", "test", "secops/github"], b"").unwrap();
    let said = String::from_utf8_lossy(&tested.stderr).into_owned();
    let receipt: Value =
        serde_json::from_slice(&tested.stdout).unwrap_or_else(|_| panic!("{said}"));
    assert_eq!(receipt["secret"], reference);
    assert!(!receipt.to_string().contains(TOKEN) && !said.contains(TOKEN), "{said}");
    assert_eq!(tested.status.success(), receipt["outcome"]["result"] == "ok", "{said}");
    if tested.status.success() {
        assert_eq!(receipt["reached"].as_array().unwrap().len(), 1);
        return Ok(());
    }
    assert_eq!(tested.status.code(), Some(1));
    assert_eq!(receipt["outcome"]["at"], "secret", "{receipt}");
    assert!(said.contains(reference) && said.contains("remedy: "), "{said}");
    Err(receipt["outcome"]["code"].as_str().unwrap().to_owned())
}

/// The main job with its token behind `reference`, right after a test; the run's output or what `writ` said.
fn run_with(world: &World, github: &GithubStandIn, reference: &str) -> Result<Value, String> {
    world.connect("slack", &github.address().to_string(), "local:slack/token").unwrap();
    world.connect("github", &github.address().to_string(), reference).unwrap();
    let asked = github.all_requests();
    let tested = test(world, reference);
    assert_eq!(github.all_requests(), asked, "a test sends nothing");
    let document = sources().join("examples/leaked-secret/automation.yaml");
    world.writ(&["automation", "publish", &document.to_string_lossy()]).unwrap();
    let input = fs::read(sources().join("examples/leaked-secret/input.json")).unwrap();
    let words = ["run", "start", "secops/leaked-secret", "--input", "-", "--wait"];
    let ran = world.try_writ(&words, &input).unwrap();
    let said = String::from_utf8_lossy(&ran.stderr).into_owned();
    match tested {
        // What passes may yet be refused by the service: it was not asked.
        Ok(()) => assert!(ran.status.success() || said.contains("http-status"), "{said}"),
        Err(code) => assert!(said.contains(&format!("error[{code}]")), "test: {code}; run: {said}"),
    }
    if ran.status.success() { Ok(serde_json::from_slice(&ran.stdout).unwrap()) } else { Err(said) }
}

fn prepare(world: &World) {
    world.writ(&["login"]).unwrap();
    let paths = ["vault:secret/*", "vault:old/*", "vault:other/*", "aws-sm:prod/*"];
    let mut words = vec!["workspace", "set", "secops"];
    for path in paths {
        words.extend(["--secret-path", path]);
    }
    words.extend(["--secret-path", "local:slack/*"]);
    world.writ(&words).unwrap();
    let put = world.try_writ(&["secret", "put", "local:slack/token"], SLACK_TOKEN.as_bytes());
    assert!(put.unwrap().status.success());
}

fn files_holding(folder: &Path, canary: &str) -> Vec<String> {
    let found = Command::new("grep").args(["-rlaF", "--", canary]).arg(folder).output().unwrap();
    String::from_utf8(found.stdout).unwrap().lines().map(str::to_owned).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_credential_comes_from_openbao_by_approle_whose_secret_id_is_unwrapped_once() {
    let bao = OpenBao::start().await.unwrap();
    println!("{}", bao.version);
    bao.put("secret", "github", &json!({ "token": "the-first-version-of-it" })).await.unwrap();
    bao.put("secret", "github", &json!({ "token": TOKEN, "number": 1 })).await.unwrap();
    bao.put("secret", "forbidden", &json!({ "token": TOKEN })).await.unwrap();
    bao.put("old", "github", &json!({ "token": TOKEN })).await.unwrap();
    let readable = ["secret/data/github", "old/github"];
    let (role_id, wrapped) = bao.role("writ", &readable).await.unwrap();
    let github = GithubStandIn::start(TOKEN).await.unwrap();
    let world = World::start_with("openbao", |folder| {
        let file = folder.join("secret-id");
        private(&file, &json!({ "wrapping_token": wrapped }).to_string());
        settings(folder, &approle(bao.port, &role_id, &file));
        Ok(())
    })
    .unwrap();
    prepare(&world);

    let output = run_with(&world, &github, "vault:secret/github#token").unwrap();
    assert_eq!(output["severity"], "high");
    assert_eq!(output["issue"], 1);
    let kept = fs::read_to_string(world.folder.join(".writ/secret-id")).unwrap();
    assert!(!kept.contains(&wrapped), "the wrapping token is spent");
    let kept: Value = serde_json::from_str(&kept).unwrap();
    let secret_id = kept["secret_id"].as_str().unwrap();
    assert!(bao.unwrap(&wrapped).await.is_err(), "nobody opens it a second time");
    run_with(&world, &github, "vault:secret/github#token@2").unwrap();
    run_with(&world, &github, "vault:old/github#token").unwrap();
    assert_eq!(bao.tokens().await.unwrap(), 1, "every token but the root is given back");

    for (reference, code) in [
        ("vault:secret/forbidden#token", "vault-denied"),
        ("vault:secret/github#missing", "vault-field-missing"),
        ("vault:secret/github#number", "vault-field-type"),
        ("vault:secret/github#token@9", "vault-not-found"),
        ("vault:old/github#token@1", "vault-version-unsupported"),
        ("vault:other/github#token", "vault-mount-unknown"),
    ] {
        let said = run_with(&world, &github, reference).unwrap_err();
        assert!(said.contains(code), "{reference}: {said}");
        assert!(said.contains(reference), "{said}");
        assert!(!said.contains(TOKEN), "{said}");
    }
    let before = github.all_requests();
    let said = run_with(&world, &github, "vault:secret/github#token@1").unwrap_err();
    assert!(said.contains("http-status"), "an older version is another credential: {said}");
    assert_eq!(github.all_requests(), before + 1);
    assert!(files_holding(&world.folder, TOKEN).is_empty());
    assert_eq!(files_holding(&world.folder, secret_id).len(), 1, "the secret id's own file");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wrapping_token_that_somebody_else_opened_is_said_aloud_and_nothing_is_read() {
    let bao = OpenBao::start().await.unwrap();
    bao.put("secret", "github", &json!({ "token": TOKEN })).await.unwrap();
    let (role_id, wrapped) = bao.role("writ", &["secret/data/github"]).await.unwrap();
    let github = GithubStandIn::start(TOKEN).await.unwrap();
    bao.unwrap(&wrapped).await.unwrap();
    let world = World::start_with("openbao-stolen", |folder| {
        let file = folder.join("secret-id");
        private(&file, &json!({ "wrapping_token": wrapped }).to_string());
        settings(folder, &approle(bao.port, &role_id, &file));
        Ok(())
    })
    .unwrap();
    prepare(&world);

    let said = run_with(&world, &github, "vault:secret/github#token").unwrap_err();

    assert!(said.contains("vault-wrapped-token-used"), "{said}");
    assert_eq!(github.all_requests(), 0);
    let said = run_with(&world, &github, "aws-sm:prod/github").unwrap_err();
    assert!(said.contains("secret-manager-not-configured"), "{said}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_file_does_as_well_and_a_manager_that_is_away_is_named() {
    let bao = OpenBao::start().await.unwrap();
    bao.put("secret", "github", &json!({ "token": TOKEN })).await.unwrap();
    bao.role("writ", &["secret/data/github"]).await.unwrap();
    let token = bao.token("writ").await.unwrap();
    let github = GithubStandIn::start(TOKEN).await.unwrap();
    let port = bao.port;
    let world = World::start_with("token-file", |folder| {
        let file = folder.join("vault-token");
        private(&file, &token);
        let auth = json!({ "method": "token-file", "token_file": file });
        let mut vault = approle(port, "", &file);
        vault["vault"]["auth"] = auth;
        settings(folder, &vault);
        Ok(())
    })
    .unwrap();
    prepare(&world);

    run_with(&world, &github, "vault:secret/github#token").unwrap();
    run_with(&world, &github, "vault:secret/github#token").unwrap();
    assert_eq!(files_holding(&world.folder, &token).len(), 1, "the token's own file");
    drop(bao);
    let said = run_with(&world, &github, "vault:secret/github#token").unwrap_err();
    assert!(said.contains("vault-unreachable"), "{said}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_credential_comes_from_aws_secrets_manager_by_field_and_version_stage() {
    let moto = Moto::start().unwrap();
    println!("{}", moto.version);
    let secret_key = "canary/of+the/aws+secret/access+key+0001";
    moto.put("prod/github", &json!({ "token": "an-older-credential-of-it" }).to_string())
        .await
        .unwrap();
    let newer = json!({ "SecretId": "prod/github", "SecretString":
        json!({ "token": TOKEN, "number": 1 }).to_string() });
    moto.secrets_manager("PutSecretValue", &newer).await.unwrap();
    moto.put("prod/plain", TOKEN).await.unwrap();
    let github = GithubStandIn::start(TOKEN).await.unwrap();
    let port = moto.port;
    let world = World::start_with("aws-sm", |folder| {
        let file = folder.join("aws-credentials");
        Moto::credentials(&file, secret_key).unwrap();
        settings(
            folder,
            &json!({ "aws_sm": {
            "region": "eu-central-1",
            "endpoint": { "host": "127.0.0.1", "port": port, "plaintext": true },
            "allow_cidrs": ["127.0.0.1/32"], "credentials_file": file,
        } }),
        );
        Ok(())
    })
    .unwrap();
    prepare(&world);

    run_with(&world, &github, "aws-sm:prod/github#token").unwrap();
    run_with(&world, &github, "aws-sm:prod/plain").unwrap();
    run_with(&world, &github, "aws-sm:prod/github#token@AWSCURRENT").unwrap();
    let before = github.all_requests();
    let said = run_with(&world, &github, "aws-sm:prod/github#token@AWSPREVIOUS").unwrap_err();
    assert!(said.contains("http-status"), "an older version is another credential: {said}");
    assert_eq!(github.all_requests(), before + 1);
    for (reference, code) in [
        ("aws-sm:prod/nothing", "aws-sm-not-found"),
        ("aws-sm:prod/github#none", "aws-sm-field-missing"),
        ("aws-sm:prod/github#number", "aws-sm-field-type"),
        ("aws-sm:prod/plain#token", "aws-sm-not-json"),
    ] {
        let said = run_with(&world, &github, reference).unwrap_err();
        assert!(said.contains(code) && said.contains(reference), "{reference}: {said}");
    }
    assert!(files_holding(&world.folder, TOKEN).is_empty());
    assert_eq!(files_holding(&world.folder, secret_key).len(), 1, "the credentials' own file");
}

#[tokio::test(flavor = "multi_thread")]
async fn aws_keys_in_the_environment_do_and_are_in_no_process_of_the_jail() {
    let moto = Moto::start().unwrap();
    moto.put("prod/github", &json!({ "token": TOKEN }).to_string()).await.unwrap();
    let github = GithubStandIn::start(TOKEN).await.unwrap();
    let (port, secret_key) = (moto.port, "canary/of+the/aws+secret/access+key+0003");
    let environment =
        [("AWS_ACCESS_KEY_ID", "AKIDEXAMPLEEXAMPLE03"), ("AWS_SECRET_ACCESS_KEY", secret_key)];
    let world = World::start_in("aws-environment", &environment, |folder| {
        settings(
            folder,
            &json!({ "aws_sm": {
            "region": "eu-central-1",
            "endpoint": { "host": "127.0.0.1", "port": port, "plaintext": true },
            "allow_cidrs": ["127.0.0.1/32"], "credentials_file": "/nonexistent",
        } }),
        );
        Ok(())
    })
    .unwrap();
    prepare(&world);

    run_with(&world, &github, "aws-sm:prod/github#token").unwrap();
    run_with(&world, &github, "aws-sm:prod/github#token").unwrap();

    for process in ["launcher-a", "jail"] {
        let pid = world.jail_process(process).unwrap();
        for (name, value) in environment {
            let environ = fs::read(format!("/proc/{pid}/environ")).unwrap();
            let environ = String::from_utf8_lossy(&environ).into_owned();
            assert!(!environ.contains(name) && !environ.contains(value), "{name} in {process}");
            assert!(!in_memory(pid, value), "{name} is in the memory of {process}");
        }
    }
    assert!(files_holding(&world.folder, secret_key).is_empty());
}

/// Whether a process's readable memory holds a text. Takes root, as a debugger would.
fn in_memory(pid: u32, text: &str) -> bool {
    use std::os::unix::fs::FileExt as _;
    let memory = fs::File::open(format!("/proc/{pid}/mem")).unwrap();
    let maps = fs::read_to_string(format!("/proc/{pid}/maps")).unwrap();
    let needle = text.as_bytes();
    maps.lines().filter(|line| line.contains(" rw")).any(|line| {
        let range = line.split(' ').next().unwrap_or_default();
        let (from, to) = range.split_once('-').unwrap();
        let parse = |text: &str| u64::from_str_radix(text, 16).unwrap();
        let (from, to) = (parse(from), parse(to));
        let mut bytes = vec![0; usize::try_from(to - from).unwrap()];
        memory.read_exact_at(&mut bytes, from).is_ok()
            && bytes.windows(needle.len()).any(|window| window == needle)
    })
}
