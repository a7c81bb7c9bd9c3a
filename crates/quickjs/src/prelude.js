// Makes what a module sees of Writ and of Node.js; `main.rs` hands in the rest.
(readInput, writeOutput, print, exit, argv, env) => {
  'use strict';
  const text = (part) => {
    if (typeof part === 'string') return part;
    if (part instanceof Error) return `${part}\n${part.stack ?? ''}`;
    return JSON.stringify(part) ?? String(part);
  };
  const line = (parts) => parts.map(text).join(' ');
  const out = (...parts) => print(false, line(parts));
  const err = (...parts) => print(true, line(parts));
  let input;
  globalThis.console = Object.freeze({ log: out, info: out, debug: out, warn: err, error: err });
  globalThis.process = Object.freeze({ argv, env, exit: (status = 0) => exit(status | 0) });
  globalThis.writ = Object.freeze({
    get input() {
      if (input === undefined) input = JSON.parse(readInput());
      return input;
    },
    output: (value) => writeOutput(JSON.stringify(value)),
    log: err,
  });
};
