//! The sandbox's other languages: Bash, and JavaScript on Node.js and on QuickJS.

use std::collections::BTreeMap;

use writ_confine::sandbox::{Interpreter, Interpreters, SandboxOutcome, SandboxResult, run};
use writ_model::CodeLanguage;

use crate::{
    Test, executables,
    setting::{groups, log, spec},
    tests,
};

pub(crate) const TESTS: &[Test] = tests![
    bash_turns_input_json_into_output_json,
    bash_stops_at_the_first_failure_and_at_unset_variables,
    bash_gets_arguments_and_variables_as_data,
    bash_sees_no_network_no_proc_and_no_other_program,
    javascript_turns_input_into_output_on_both_engines,
    javascript_modules_await_and_read_arguments_on_both_engines,
    a_module_that_throws_or_never_ends_fails_on_both_engines,
    javascript_sees_nothing_of_the_machine,
    javascript_cannot_start_programs,
    memory_of_each_language_is_bounded,
    without_a_control_group_quickjs_runs_javascript,
];

fn bash_turns_input_json_into_output_json() {
    if groups().is_none() {
        return; // Bash starts no tools then, like all code: `without_a_control_group_only_threads_start`.
    }
    let code = "
echo 'a line before'
total=$(sed -E 's/[^0-9]+/ /g' | tr ' ' '\\n' | awk '{ s += $1 } END { print s }')
printf '{\"total\": %d}\\n' \"$total\"
";
    let result = bash(code, b"[1, 2, 39]");

    assert_eq!(result.outcome, SandboxOutcome::Exited { code: 0 }, "{}", log(&result));
    assert_eq!(result.output(), Some(br#"{"total": 42}"#.as_slice()));
}

fn bash_stops_at_the_first_failure_and_at_unset_variables() {
    if groups().is_none() {
        return; // Bash starts no tools then, like all code: `without_a_control_group_only_threads_start`.
    }
    for code in ["false; echo on", "false | cat; echo on", "echo \"$unset\"; echo on"] {
        let result = bash(code, b"");
        assert_eq!(result.outcome, SandboxOutcome::Exited { code: 1 }, "{code}");
        assert_eq!(result.output(), None, "{code}");
    }
}

fn bash_gets_arguments_and_variables_as_data() {
    if groups().is_none() {
        return; // Bash starts no tools then, like all code: `without_a_control_group_only_threads_start`.
    }
    let hostile = "$(touch /tmp/made); `id` ' \" ; rm -rf /";
    let mut spec = spec(interpreter(CodeLanguage::Bash), "ls /tmp; echo \"$1|$2|$WHO\"");
    spec.arguments = vec![hostile.to_owned(), "--two".to_owned()];
    spec.environment = BTreeMap::from([("WHO".to_owned(), hostile.to_owned())]);

    let result = run(spec, groups().as_ref(), b"").unwrap();

    assert_eq!(text(&result), format!("{hostile}|--two|{hostile}\n"), "{}", log(&result));
}

fn bash_sees_no_network_no_proc_and_no_other_program() {
    if groups().is_none() {
        return; // Bash starts no tools then, like all code: `without_a_control_group_only_threads_start`.
    }
    let code = r#"
for path in /proc/self /etc/passwd /sys /home /root /usr/bin/python3 /usr/bin/curl /usr/bin/su
do
  if [ -e "$path" ]; then echo "sees $path"; fi
done
if (exec 3<>/dev/tcp/127.0.0.1/80) 2>/dev/null; then echo 'has a network'; fi
printf '#!/usr/bin/bash\necho made' > /tmp/made; 
if /lib64/ld-linux-x86-64.so.2 /tmp/made 2>/dev/null; then echo 'runs what it wrote'; fi
if cp /usr/bin/cat /tmp/cat && /tmp/cat < /dev/null 2>/dev/null; then echo 'runs a copy'; fi
if echo x 2>/dev/null > /usr/bin/cat; then echo 'writes a program'; fi
echo done
"#;
    let result = bash(code, b"");

    assert_eq!(text(&result), "done\n", "{}", log(&result));
}

fn javascript_turns_input_into_output_on_both_engines() {
    let code = "
console.log('a line before');
writ.log('seen', writ.input.who);
writ.output({ total: writ.input.prices.reduce((a, b) => a + b), who: writ.input.who });
";
    for result in javascript(code, "{\"prices\":[1,2,39],\"who\":\"caf\u{e9}\"}".as_bytes()) {
        assert_eq!(result.outcome, SandboxOutcome::Exited { code: 0 }, "{}", log(&result));
        assert_eq!(result.output(), Some("{\"total\":42,\"who\":\"caf\u{e9}\"}".as_bytes()));
        assert_eq!(String::from_utf8_lossy(&result.stderr), "seen caf\u{e9}\n");
    }
}

fn javascript_modules_await_and_read_arguments_on_both_engines() {
    let code = "
const [, , first] = process.argv;
const value = await Promise.resolve(process.env.WHO);
console.log(JSON.stringify({ first, value }));
";
    for interpreter in both() {
        let mut spec = spec(interpreter, code);
        spec.arguments = vec!["one".to_owned()];
        spec.environment = BTreeMap::from([("WHO".to_owned(), "two".to_owned())]);
        let result = run(spec, groups().as_ref(), b"").unwrap();
        assert_eq!(text(&result), "{\"first\":\"one\",\"value\":\"two\"}\n", "{}", log(&result));
    }
}

fn a_module_that_throws_or_never_ends_fails_on_both_engines() {
    for result in javascript("throw new Error('boom')", b"") {
        assert_eq!(result.outcome, SandboxOutcome::Exited { code: 1 });
        assert!(log(&result).contains("boom"), "{}", log(&result));
    }
    for result in javascript("await new Promise(() => {})", b"") {
        let ended = matches!(result.outcome, SandboxOutcome::Exited { code } if code != 0);
        assert!(ended, "{}", log(&result));
    }
}

fn javascript_sees_nothing_of_the_machine() {
    if groups().is_none() {
        return; // It is Node.js that has ways to the machine; QuickJS has none.
    }
    let code = "
import fs from 'node:fs';
import net from 'node:net';
import os from 'node:os';
const seen = ['/proc/self', '/etc/passwd', '/sys', '/root'].filter((path) => fs.existsSync(path));
try { fs.writeFileSync('/made', 'x'); seen.push('wrote'); } catch {}
const names = Object.keys(process.env).sort();
const addresses = (() => { try { return Object.keys(os.networkInterfaces()); } catch { return []; } })();
const reached = await new Promise((resolve) => {
  const socket = net.connect(80, '127.0.0.1', () => resolve(true));
  socket.on('error', () => resolve(false));
});
console.log(JSON.stringify({ seen, names, addresses, reached }));
";
    let result = one(interpreter(CodeLanguage::JavaScript), code, b"");
    let expected = r#"{"seen":[],"names":["HOME","LANG","TMPDIR","WRIT_OUTPUT"],"addresses":[],"reached":false}"#;

    assert_eq!(text(&result).trim(), expected, "{}", log(&result));
}

fn javascript_cannot_start_programs() {
    if groups().is_none() {
        return; // It is Node.js that has ways to the machine; QuickJS has none.
    }
    let code = "
import { spawnSync } from 'node:child_process';
const programs = ['/usr/bin/bash', '/usr/bin/cat', '/bin/sh', '/usr/bin/python3'];
console.log(JSON.stringify(programs.map((program) => spawnSync(program, ['-c', '']).error.code)));
";
    let result = one(interpreter(CodeLanguage::JavaScript), code, b"");

    assert_eq!(
        text(&result),
        "[\"ENOENT\",\"ENOENT\",\"ENOENT\",\"ENOENT\"]\n",
        "{}",
        log(&result)
    );
}

fn memory_of_each_language_is_bounded() {
    let bombs = [
        (interpreter(CodeLanguage::Bash), "x=xxxxxxxxxxxxxxxx; while :; do x=\"$x$x\"; done"),
        (interpreter(CodeLanguage::JavaScript), JAVASCRIPT_BOMB),
        (quickjs(), JAVASCRIPT_BOMB),
    ];
    for (interpreter, bomb) in bombs {
        let name = interpreter.name.clone();
        let result = one(interpreter, bomb, b"");
        let bounded = matches!(
            result.outcome,
            SandboxOutcome::OutOfMemory
                | SandboxOutcome::Exited { code: 1.. }
                | SandboxOutcome::Signaled { .. }
        );
        assert!(bounded, "{name}: {:?}", result.outcome);
    }
}

const JAVASCRIPT_BOMB: &str = "
const held = [];
for (;;) held.push(new Uint8Array(8 << 20).fill(1));
";

fn without_a_control_group_quickjs_runs_javascript() {
    let interpreters = Interpreters::discover(Some(&executables().unwrap()), false);
    let interpreter = interpreters.of(CodeLanguage::JavaScript).unwrap().clone();
    assert!(interpreter.name.starts_with("QuickJS"), "{}", interpreter.name);

    let result = run(spec(interpreter, "writ.output(writ.input + 1)"), None, b"41").unwrap();

    assert_eq!(result.output(), Some(b"42".as_slice()), "{}", log(&result));
}

fn bash(code: &str, input: &[u8]) -> SandboxResult {
    one(interpreter(CodeLanguage::Bash), code, input)
}

fn javascript(code: &str, input: &[u8]) -> Vec<SandboxResult> {
    both().into_iter().map(|interpreter| one(interpreter, code, input)).collect()
}

fn one(interpreter: Interpreter, code: &str, input: &[u8]) -> SandboxResult {
    run(spec(interpreter, code), groups().as_ref(), input).unwrap()
}

/// Node.js needs a control group.
fn both() -> Vec<Interpreter> {
    if groups().is_none() {
        return vec![quickjs()];
    }
    let node = interpreter(CodeLanguage::JavaScript);
    assert!(node.name.starts_with("Node.js"), "{}", node.name);
    vec![node, quickjs()]
}

fn interpreter(language: CodeLanguage) -> Interpreter {
    let found = Interpreters::discover(Some(&executables().unwrap()), groups().is_some());
    found.of(language).unwrap().clone()
}

fn quickjs() -> Interpreter {
    let found = Interpreters::discover(Some(&executables().unwrap()), false);
    found.of(CodeLanguage::JavaScript).unwrap().clone()
}

fn text(result: &SandboxResult) -> String {
    String::from_utf8_lossy(&result.stdout).into_owned()
}
