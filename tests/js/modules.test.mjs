// The page imports every file at start: none of ours may need the page, or change it, by being imported.
import assert from 'node:assert/strict'
import { readFileSync, readdirSync } from 'node:fs'
import { test } from 'node:test'

const lib = new URL('../../web/lib/', import.meta.url)
const files = readdirSync(lib, { recursive: true }).map(String).filter((f) => f.endsWith('.js'))
const host = (text) => /from '[./]*\/scripts\//.test(text)
const pure = files.filter((f) => !f.startsWith('host') && !host(readFileSync(new URL(f, lib), 'utf8')))

test('importing changes nothing', async () => {
  const before = Reflect.ownKeys(globalThis).map(String).sort()
  assert.ok(pure.length >= 11)
  for (const file of pure) {
    const module = await import(new URL(file, lib).href)
    assert.equal(module.default, undefined, `${file} has a default export`)
  }
  assert.deepEqual(Reflect.ownKeys(globalThis).map(String).sort(), before)
})
