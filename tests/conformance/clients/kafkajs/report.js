// The lines that the runner reads, and how a check waits and fails.
'use strict'

const readline = require('readline')
const { isDeepStrictEqual, inspect } = require('util')

const FILTER = process.env.KLAMM_CHECKS || ''
const LIMIT_MS = 60_000
const input = readline.createInterface({ input: process.stdin })[Symbol.asyncIterator]()

const say = (line) => process.stdout.write(JSON.stringify(line) + '\n')

async function check(name, run) {
  if (!name.includes(FILTER)) return
  say({ begin: name })
  let detail = ''
  try {
    await run()
  } catch (error) {
    detail = String(error.stack || error).slice(0, 3000)
  }
  say({ check: name, ok: !detail, detail })
}

// Has the broker restarted, 'kill' or 'stop'; it answers again afterwards.
async function restartBroker(how) {
  say({ broker: how })
  const { value } = await input.next()
  if (value.trim() !== 'ready') throw new Error('the runner did not restart the broker')
}

// The last line; ends the program whatever is still open.
function done() {
  process.stdout.write(JSON.stringify({ done: true }) + '\n', () => process.exit(0))
}

function require_(holds, message) {
  if (!holds) throw new Error(message)
}

function same(expected, actual, what) {
  const show = (value) => inspect(value, { depth: 5 }).slice(0, 600)
  require_(isDeepStrictEqual(expected, actual),
    `${what}: expected ${show(expected)} but found ${show(actual)}`)
}

// Looks again until it holds, up to a deadline.
async function until(what, holds) {
  const deadline = Date.now() + LIMIT_MS
  while (!(await holds())) {
    require_(Date.now() < deadline, `waited in vain: ${what}`)
    await new Promise((resolve) => setTimeout(resolve, 20))
  }
}

module.exports = { check, done, restartBroker, require: require_, same, until }
