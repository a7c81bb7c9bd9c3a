// What a JavaScript step sees as `writ`, under Node.js. `writ-quickjs` has the same.
'use strict';
const fs = require('node:fs');

let input;
globalThis.writ = Object.freeze({
  // What the step was given on standard input, parsed; read when it is first asked for.
  get input() {
    if (input === undefined) input = JSON.parse(fs.readFileSync(0, 'utf8'));
    return input;
  },
  // Makes `value` the step's output.
  output(value) {
    fs.writeFileSync(process.env.WRIT_OUTPUT, JSON.stringify(value));
  },
  // Writes to the step's log.
  log(...parts) {
    console.error(...parts);
  },
});
