//! Bash, JavaScript and Python steps, shell commands, loops and timeouts, on real executables.

#![cfg(test)]

use std::fs;

use serde_json::{Value, json};
use writ_testkit::world::World;

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
