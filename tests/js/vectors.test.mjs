// drag_core and the editor compute the same: tests/golden/*_vectors.json is written by tools/vectors.py.
import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { test } from 'node:test'
import { lacks, parse, plain, rescaled, serialize } from '../../web/lib/document.js'
import { matrixOf, motionOf, stops, turnAngle } from '../../web/lib/geometry.js'

const golden = (name) => JSON.parse(readFileSync(new URL(`../golden/${name}_vectors.json`, import.meta.url), 'utf8'))

/** Equal in shape, numbers to 1e-9. */
function same(a, b, where = '') {
  if (typeof b === 'number') return assert.ok(Math.abs(a - b) <= 1e-9 * Math.max(1, Math.abs(b)), `${where}: ${a} is not ${b}`)
  if (b === null || typeof b !== 'object') return assert.equal(a, b, where)
  assert.equal(Array.isArray(a), Array.isArray(b), where)
  assert.deepEqual(Object.keys(a).sort(), Object.keys(b).sort(), where)
  for (const key of Object.keys(b)) same(a[key], b[key], `${where}.${key}`)
}

const geometry = golden('geometry'), documents = golden('instruction')

test('motions and their matrices at every progress', () => {
  assert.ok(geometry.motions.length >= 20)
  for (const { region, centroid, motion, stops: places, progress, matrices } of geometry.motions) {
    const found = motionOf(region, centroid), where = JSON.stringify(region)
    for (const key of ['shift', 'angle', 'scale', 'path']) same(found[key], motion[key], `${where}.${key}`)
    same(stops(found), places, where)
    progress.forEach((s, i) => same(matrixOf(found, s), matrices[i], `${where} at ${s}`))
  }
})

test('turns', () => {
  for (const { start, target, anchor, angle } of geometry.turns) {
    same(turnAngle(start, target, anchor), angle, JSON.stringify([start, target, anchor]))
  }
})

test('documents are read to the same, and the same ones are refused', () => {
  assert.ok(documents.some((d) => d.error && !d.draft_error) && documents.some((d) => d.draft_error) && documents.some((d) => !d.error))
  for (const { text, error, draft_error, document, at_32x64: scaled } of documents) {
    if (!text) continue // the editor's empty document; for Python it is no JSON
    assert.equal(Boolean(parse(text, { finished: true }).error), Boolean(error), `${text.slice(0, 200)}: ${error}`)
    const draft = parse(text)
    assert.equal(Boolean(draft.error), Boolean(draft_error), `${text.slice(0, 200)}: ${draft.error}`)
    if (draft_error) continue
    same(plain(draft.doc), document, text)
    if (scaled) same(plain(rescaled(draft.doc, 32, 64)), scaled, text)
    if (error) assert.ok(draft.doc.regions.some(lacks) || draft.doc.editable.mode === 'painted', text)
    const stored = serialize(draft.doc) // rounds to 2 decimals, as these documents are
    if (stored) same(plain(parse(stored).doc), document, text)
  }
})
