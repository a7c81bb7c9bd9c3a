//! Kinds of tasks on real executables: code in each language, shell commands, loops, timeouts, and
//! `call: http`.

#![cfg(test)]

use std::fs;

use serde_json::{Value, json};
use writ_testkit::{github_stand_in::GithubStandIn, world::World};

const LANGUAGES: &str = r#"
document: {dsl: '1.0.3', namespace: secops, name: languages, version: '1.0.0'}
do:
  - each:
      for: {each: word, in: .words}
      do:
        - bash:
            run:
              script:
                language: bash
                stdin: ${ $word }
                arguments: ['${ $index }']
                code: |
                  printf '{"word": "%s", "place": %d}\n' "$(tr a-z A-Z)" "$1"
            output: {as: '${ $input + {seen: ($input.seen + [.])} }'}
  - script:
      run:
        script:
          language: javascript
          arguments: {seen: '${ .seen }'}
          code: |
            writ.log('a line of the log');
            writ.output({ joined: writ.input.seen.map((each) => each.word).join('-') });
  - python:
      run:
        script:
          language: python
          arguments: {joined: '${ .joined }'}
          code: |
            import json, sys
            print(json.dumps({"reversed": json.load(sys.stdin)["joined"][::-1]}))
  - shell:
      run:
        shell:
          command: 'echo "$WHO: $1"; echo said >&2; exit 3'
          arguments: ['${ .reversed }']
          environment: {WHO: '$(id -u)'}
        return: all
"#;

const SLOW: &str = "
document: {dsl: '1.0.3', namespace: secops, name: slow, version: '1.0.0'}
do:
  - guarded:
      try:
        - endless:
            timeout: {after: PT1S}
            run: {shell: {command: 'while true; do sleep 1; done'}}
      catch:
        errors: {with: {status: 408}}
        do: [{caught: {set: {code: '${ $error.code }', at: '${ $error.instance }'}}}]
";

fn published(name: &str, source: &str) -> World {
    let world = World::start(name).unwrap();
    world.writ(&["login"]).unwrap();
    world.writ(&["workspace", "set", "secops"]).unwrap();
    let document = world.folder.join(format!("{name}.yaml"));
    fs::write(&document, source).unwrap();
    world.writ(&["automation", "publish", &document.to_string_lossy()]).unwrap();
    world
}

fn output(world: &World, name: &str, input: &Value) -> Value {
    let words = ["run", "start", name, "--input", "-", "--wait"];
    let ran = world.try_writ(&words, input.to_string().as_bytes()).unwrap();
    assert!(ran.status.success(), "{}", String::from_utf8_lossy(&ran.stderr));
    serde_json::from_slice(&ran.stdout).unwrap()
}

#[test]
fn a_run_passes_data_through_every_language() {
    let world = published("languages", LANGUAGES);
    let output = output(&world, "secops/languages", &json!({"words": ["ab", "cd"], "seen": []}));
    let expected = json!({"code": 3, "stdout": "$(id -u): DC-BA\n", "stderr": "said\n"});
    assert_eq!(output, expected);
}

#[test]
fn a_command_that_does_not_end_times_out_and_can_be_caught() {
    let world = published("slow", SLOW);
    let output = output(&world, "secops/slow", &json!({}));
    assert_eq!(output, json!({"code": "timed-out", "at": "/do/0/guarded/try/0/endless"}));
}

const TOKEN: &str = "github_pat_tasks_0123456789abcdefghijklmno";

#[tokio::test(flavor = "multi_thread")]
async fn a_document_spells_out_a_request_to_a_host_of_its_connection_and_to_no_other() {
    let github = GithubStandIn::start(TOKEN).await.unwrap();
    let address = github.address();
    let world = World::start("http").unwrap();
    world.prepare_main_job(&address.to_string(), TOKEN).unwrap();
    let document = |uri: &str| {
        format!(
            "document: {{dsl: '1.0.3', namespace: secops, name: http, version: '1.0.0'}}
do:
  - ask:
      call: http
      with:
        method: get
        endpoint: {{uri: '{uri}', authentication: {{use: github}}}}
        headers: {{Accept: application/json}}
        output: response
      output: {{as: '${{ {{status: .statusCode, name: .content.full_name}} }}'}}
"
        )
    };
    let file = world.folder.join("http.yaml");
    let path = file.to_string_lossy().into_owned();
    fs::write(&file, document("http://127.0.0.1:9/repos/{owner}/{repo}")).unwrap();
    let refused = world.refused(&["automation", "publish", &path]).unwrap();
    assert!(refused.contains("host-outside-connection"), "{refused}");

    fs::write(&file, document(&format!("http://{address}/repos/{{owner}}/{{repo}}"))).unwrap();
    let said = world.writ(&["automation", "check", &path]).unwrap();
    assert!(said.contains(&format!("GET http://{address}/repos/{{owner}}/{{repo}}")), "{said}");
    world.writ(&["automation", "publish", &path]).unwrap();
    let output = output(&world, "secops/http", &json!({"owner": "octo", "repo": "a b"}));
    assert_eq!(output["status"], 200, "{output}");
    assert_eq!(github.requests("GET /repos/octo/a%20b"), 1);
}
