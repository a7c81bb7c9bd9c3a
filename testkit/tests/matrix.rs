//! The main job with what customers have: every identity provider with every secret manager, GitHub's
//! calls checked against GitHub's own OpenAPI document.

#![cfg(test)]

use std::{fs, os::unix::fs::PermissionsExt as _, path::Path, process::Command};

use serde_json::{Value, json};
use writ_testkit::{
    github_stand_in::{GithubStandIn, SLACK_TOKEN},
    identity_provider::IdentityProvider,
    moto::Moto,
    openbao::OpenBao,
    prism::Prism,
    world::{World, sources},
};

const TOKEN: &str = "github_pat_canary_matrix_0123456789abcdef";

/// GitHub's token and Slack's, by where they are kept.
const MANAGERS: [(&str, &str, &str); 3] = [
    ("local", "local:github/token", "local:slack/token"),
    // The main job as its README says: GitHub's from Vault, Slack's from AWS.
    ("OpenBao with AppRole", "vault:secret/github#token", "aws-sm:prod/slack#token"),
    ("AWS Secrets Manager", "aws-sm:prod/github#token", "aws-sm:prod/slack#token"),
];

struct Services {
    bao: OpenBao,
    moto: Moto,
    prism: Prism,
    slack: GithubStandIn,
}

impl Services {
    async fn start() -> Self {
        let bao = OpenBao::start().await.unwrap();
        bao.put("secret", "github", &json!({ "token": TOKEN })).await.unwrap();
        let moto = Moto::start().unwrap();
        let github = json!({ "token": TOKEN }).to_string();
        let slack = json!({ "token": SLACK_TOKEN }).to_string();
        moto.put("prod/github", &github).await.unwrap();
        moto.put("prod/slack", &slack).await.unwrap();
        let slack = GithubStandIn::start(TOKEN).await.unwrap();
        Self { bao, moto, prism: Prism::start().await.unwrap(), slack }
    }

    /// A world whose jail knows both managers; its owner has published nothing yet.
    async fn world(&self, name: &str) -> World {
        let role = format!("writ-{name}");
        let (role_id, wrapped) = self.bao.role(&role, &["secret/data/github"]).await.unwrap();
        let (vault, aws) = (self.bao.port, self.moto.port);
        let world = World::start_with(&format!("matrix-{name}"), |folder| {
            let secret_id = folder.join("secret-id");
            private(&secret_id, &json!({ "wrapping_token": wrapped }).to_string());
            let credentials = folder.join("aws-credentials");
            Moto::credentials(&credentials, "canary/of+the/aws+secret/access+key+0002")?;
            let loopback =
                |port: u16| json!({ "host": "127.0.0.1", "port": port, "plaintext": true });
            let settings = json!({
                "vault": {
                    "host": loopback(vault), "allow_cidrs": ["127.0.0.1/32"],
                    "mounts": [{ "path": "secret", "kv": 2 }],
                    "auth": { "method": "approle", "role_id": role_id, "secret_id_file": secret_id },
                },
                "aws_sm": {
                    "region": "eu-central-1", "endpoint": loopback(aws),
                    "allow_cidrs": ["127.0.0.1/32"], "credentials_file": credentials,
                },
            });
            fs::write(folder.join("secret-managers.json"), settings.to_string())?;
            Ok(())
        })
        .unwrap();
        world.writ(&["login"]).unwrap();
        let mut words = vec!["workspace", "set", "secops"];
        for path in ["local:github/*", "local:slack/*", "vault:secret/*", "aws-sm:prod/*"] {
            words.extend(["--secret-path", path]);
        }
        world.writ(&words).unwrap();
        for (reference, token) in
            [("local:github/token", TOKEN), ("local:slack/token", SLACK_TOKEN)]
        {
            let put = world.try_writ(&["secret", "put", reference], token.as_bytes()).unwrap();
            assert!(put.status.success());
        }
        world
    }

    /// Runs the main job with each manager, as the person of a session.
    fn run_all(&self, world: &World, provider: &str, session: &str) {
        for (manager, github, slack) in MANAGERS {
            world.connect("github", &format!("127.0.0.1:{}", self.prism.port), github).unwrap();
            world.connect("slack", &self.slack.address().to_string(), slack).unwrap();
            let document = sources().join("examples/leaked-secret/automation.yaml");
            world.writ(&["automation", "publish", &document.to_string_lossy()]).unwrap();
            let posted = self.slack.messages().len();
            let output = run(world, session);
            assert_eq!(output["severity"], "high", "{provider} × {manager}: {output}");
            assert!(output["issue"].is_i64(), "{provider} × {manager}: {output}");
            assert_eq!(self.slack.messages().len(), posted + 1, "{provider} × {manager}");
            println!("{provider} × {manager}: completed");
        }
        let (folder, everything) = (&world.folder, [TOKEN, SLACK_TOKEN]);
        for canary in everything {
            let found = files_holding(folder, canary);
            assert!(found.is_empty(), "`{canary}` stands in {found:?}");
        }
    }
}

fn private(path: &Path, text: &str) {
    fs::write(path, text).unwrap();
    fs::set_permissions(path, fs::Permissions::from_mode(0o600)).unwrap();
}

fn run(world: &World, session: &str) -> Value {
    let input = fs::read(sources().join("examples/leaked-secret/input.json")).unwrap();
    let words =
        ["run", "start", "secops/leaked-secret", "--input", "-", "--wait", "--session", session];
    let ran = world.try_writ(&words, &input).unwrap();
    assert!(ran.status.success(), "{}", String::from_utf8_lossy(&ran.stderr));
    serde_json::from_slice(&ran.stdout).unwrap()
}

fn files_holding(folder: &Path, canary: &str) -> Vec<String> {
    let found = Command::new("grep").args(["-rlaF", "--", canary]).arg(folder).output().unwrap();
    String::from_utf8(found.stdout).unwrap().lines().map(str::to_owned).collect()
}

/// Lets a person of a provider build and run.
async fn believed(world: &World, provider: &IdentityProvider, person: &str) {
    world.believe(provider, &[]).unwrap();
    let subject = world.log_in_at(provider, person).await.unwrap();
    let binding = ["--issuer", &provider.iss, "--subject", &subject, "--role", "builder"];
    world.writ(&[&["binding", "add"], &binding[..]].concat()).unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn the_main_job_completes_with_every_identity_provider_and_every_secret_manager() {
    let services = Services::start().await;
    let (bao, moto, prism) = (&services.bao, &services.moto, &services.prism);
    println!("{}\n{}\n{}", bao.version, moto.version, prism.version);

    let world = services.world("development").await;
    services.run_all(&world, "development identity provider", "default");
    drop(world);

    let provider = IdentityProvider::oidc_provider("RS256", 3600).unwrap();
    let world = services.world("oidc-provider").await;
    believed(&world, &provider, "ann").await;
    services.run_all(&world, &provider.version, "ann");
    drop(world);

    let provider = IdentityProvider::glewlwyd("ecdsa").unwrap();
    let world = services.world("glewlwyd").await;
    believed(&world, &provider, "alice").await;
    services.run_all(&world, &provider.version, "alice");
}
