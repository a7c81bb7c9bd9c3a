//! What a code of a failed test means, and what to do about it.
//!
//! In: a stable code of the jail's. Out: a cause and a remedy, for people. A code that is not here is
//! said as it is.

/// Cause and remedy of a failed test.
pub(super) fn cause_and_remedy(code: &str) -> (&'static str, &'static str) {
    of_manager(code).or_else(|| of_host(code)).unwrap_or((
        "the cell gave up",
        "see the runner's log, and `writ doctor` on the runner's machine",
    ))
}

/// What to do about a refusal of the jail's.
pub(super) fn refusal_remedy(code: &str) -> &'static str {
    match code {
        "writ-replayed" => "the order was used, or its test was broken off: test again",
        "writ-expired" | "idc-stale" => "test again; the runner took the order too late",
        "writ-client" => "let this login sign for `connection.test`: `writ issuer set`",
        "secret-path-not-listed" => "list the path: `writ workspace set … --secret-path …`",
        "connection-unknown" => "see `writ connection list`",
        _ => "see the runner's log",
    }
}

type Words = (&'static str, &'static str);

fn of_manager(code: &str) -> Option<Words> {
    of_local(code).or_else(|| of_vault(code)).or_else(|| of_aws(code))
}

fn of_local(code: &str) -> Option<Words> {
    Some(match code {
        "credential-not-found" => (
            "the local vault holds no such secret",
            "keep it: `writ secret put local:…` on the runner's machine",
        ),
        "credential-unreadable" => (
            "the local vault's key does not open the secret",
            "keep it anew with this vault's key: `writ secret put local:…`",
        ),
        "vault-key-file" | "vault-key-missing" => (
            "the local vault's key file can't be used",
            "give the runner its `--vault-key`, mode 0600",
        ),
        "vault-io" | "vault-malformed" | "vault-length" => (
            "the local vault's file can't be read",
            "give the runner its `--vault`; if it is damaged, put its secrets anew",
        ),
        "vault-newer" => (
            "the local vault's file is of a newer version than the runner's executable",
            "use the version of `writ` that wrote it, or a newer one",
        ),
        "vault-unsafe" => (
            "there is no locked memory for the secret",
            "see `writ doctor` on the runner's machine",
        ),
        "credential-too-short" => (
            "the credential is too short to be kept out of answers",
            "use one of at least 8 characters",
        ),
        "credential-malformed" | "http-request" => (
            "the credential can't stand in a header",
            "keep it without spaces, line breaks and other than ASCII characters",
        ),
        "secret-manager-not-configured" => (
            "the runner knows no such secret manager",
            "add it to the runner's `--secret-managers` file",
        ),
        _ => return None,
    })
}

fn of_vault(code: &str) -> Option<Words> {
    Some(match code {
        "vault-mount-unknown" => (
            "no mount of the runner's settings covers the path",
            "add the mount to `mounts` in the runner's `--secret-managers` file",
        ),
        "vault-not-found" => {
            ("there is no such secret or version", "see mount, path and version: `vault kv get`")
        }
        "vault-field-missing" => ("the secret has no such field", "see its fields: `vault kv get`"),
        "vault-field-type" => ("the field is no text", "keep the credential as a string"),
        "vault-version-unsupported" => (
            "the mount is of key-value version 1, which keeps no versions",
            "leave `@version` out, or correct `kv` in the settings",
        ),
        "vault-denied" => (
            "the runner's role may not read the path",
            "let the role's policy `read` it (below `data/` for key-value version 2)",
        ),
        "vault-login-refused" => (
            "the runner's login was refused",
            "see role id and secret id; a secret id may have expired or been used up",
        ),
        "vault-wrapped-token-used" => (
            "the wrapped secret id does not open: somebody may have opened it",
            "revoke that secret id, find out who, and make another",
        ),
        "vault-login-file" => (
            "the runner's login file can't be used",
            "see that the file of the settings exists, mode 0600, and what is in it",
        ),
        "vault-unreachable" => {
            ("Vault can't be reached", "see `host`, and `allow_cidrs` if its address is private")
        }
        "vault-timeout" => ("Vault did not answer in time", "see whether it is sealed or busy"),
        "vault-tls-failed" => (
            "Vault's certificate is not trusted, or is for another name",
            "give its authority as `ca_file`, and the name in the certificate as `host`",
        ),
        "vault-answer" | "vault-status" => {
            ("Vault answered otherwise than its API says", "see its log")
        }
        _ => return None,
    })
}

fn of_aws(code: &str) -> Option<Words> {
    Some(match code {
        "aws-credentials-file"
        | "aws-credentials-malformed"
        | "aws-credentials-profile"
        | "aws-credentials-key" => (
            "the runner has no usable AWS access keys",
            "see `credentials_file` and `profile`, or the runner's environment",
        ),
        "aws-sm-not-found" | "aws-sm-deleted" => (
            "there is no such secret or version stage",
            "see name, region and stage: `aws secretsmanager describe-secret`",
        ),
        "aws-sm-field-missing" => ("the secret has no such field", "see the keys of its JSON"),
        "aws-sm-field-type" => ("the field is no text", "keep the credential as a string"),
        "aws-sm-not-json" => (
            "the secret is no JSON, so it has no fields",
            "leave `#field` out, or keep the secret as JSON",
        ),
        "aws-sm-denied" => (
            "the runner's keys may not read the secret",
            "allow `secretsmanager:GetSecretValue` on it",
        ),
        "aws-sm-login-refused" => ("the runner's access keys are refused", "make new ones"),
        "aws-sm-decryption" => (
            "the secret's KMS key does not open it for the runner's keys",
            "allow `kms:Decrypt` on that key",
        ),
        "aws-sm-unreachable" | "aws-sm-timeout" => (
            "AWS Secrets Manager can't be reached",
            "see `region`, `endpoint` and, for a private address, `allow_cidrs`",
        ),
        "aws-sm-tls-failed" => {
            ("the endpoint's certificate is not trusted, or is for another name", "see `endpoint`")
        }
        "aws-sm-answer" | "aws-sm-status" => {
            ("AWS Secrets Manager answered otherwise than its API says", "test again")
        }
        _ => return None,
    })
}

fn of_host(code: &str) -> Option<Words> {
    Some(match code {
        "connect-no-address" => {
            ("the name does not resolve", "see the host's name and the runner's DNS")
        }
        "connect-refused-address" => (
            "its address is loopback, private or otherwise refused",
            "if that is meant, allow its range: `writ connection set … --allow-cidr`",
        ),
        "connect-failed" => {
            ("nobody answers there", "see the port, and the firewall before the runner")
        }
        "connect-timeout" | "http-timeout" => {
            ("it did not answer in time", "see the port, and the firewall before the runner")
        }
        "tls-failed" => (
            "its certificate is not trusted by the runner's machine, or is for another name, or it does \
             not speak TLS",
            "see the host's name; add its authority to the machine's roots",
        ),
        _ => return None,
    })
}
