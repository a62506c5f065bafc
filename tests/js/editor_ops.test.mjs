// Edits, snapping and history of the editor, without a page.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { applyTo, matrixOf, motionOf } from '../../web/lib/geometry.js'
import { History } from '../../web/lib/editor/history.js'
import { addRegion, asTask, describe, duplicate, fixedPoint, hasMotion, movedCentroid, movedShape, patch, remove, reorder, withRegion } from '../../web/lib/editor/ops.js'
import { inPicture, lockAxis, snapAngle, snapPoint, snapScale } from '../../web/lib/editor/snap.js'
import { emptyDocument } from '../../web/lib/document.js'

const SQUARE = { polygons: [[[10, 10], [20, 10], [20, 20], [10, 20]]], holes: [] }
const CENTRE = [15, 15]
const near = (p, q) => p.forEach((v, i) => assert.ok(Math.abs(v - q[i]) < 1e-9, `${p} is not ${q}`))

test('an edit leaves the document before it as it was', () => {
  const before = addRegion(emptyDocument(64, 64), SQUARE)
  const copy = structuredClone(before)
  const after = withRegion(before, 0, { target: [30, 30], anchor: undefined })
  assert.deepEqual(before, copy)
  assert.equal(after.regions[0].polygons, before.regions[0].polygons) // shared: what was worked out for it is kept
  assert.deepEqual(after.regions[0].target, [30, 30])
  assert.equal('anchor' in after.regions[0], false)
  assert.deepEqual(patch({ a: 1, b: 2 }, { a: undefined, c: 3 }), { b: 2, c: 3 })
})

test('new regions differ in colour; order, copy, delete', () => {
  let doc = emptyDocument(64, 64)
  for (let i = 0; i < 3; i++) doc = addRegion(doc, SQUARE)
  assert.equal(new Set(doc.regions.map((r) => r.color)).size, 3)
  doc = withRegion(doc, 2, { label: 'c', target: [40, 40], path: [[30, 20]] })
  assert.deepEqual(reorder(doc, 2, 0).regions.map((r) => r.label), ['c', '', ''])
  const copied = duplicate(doc, 2, [5, -5]).regions[3]
  assert.deepEqual([copied.label, copied.target, copied.path, copied.polygons[0][0]], ['c', [45, 35], [[35, 15]], [15, 5]])
  assert.equal(copied.color === doc.regions[2].color, false)
  assert.deepEqual(remove(doc, { kind: 'region', index: 0 }).regions.map((r) => r.label), ['', 'c'])
})

test('a turn after a shift is one turn about the point that stays', () => {
  for (const [shift, angle] of [[[30, 0], 90], [[-12, 45], 17.5], [[3, 4], -140], [[100, 5], 360 + 45]]) {
    const anchor = fixedPoint(CENTRE, shift, angle)
    const m = matrixOf(motionOf({ task: 'rotation', anchor, angle }, CENTRE), 1)
    near(applyTo(m, anchor), anchor)
    near(applyTo(m, CENTRE), [CENTRE[0] + shift[0], CENTRE[1] + shift[1]])
  }
})

test('another task keeps the place where it can', () => {
  const turned = { ...SQUARE, strokes: [], path: [], task: 'rotation', anchor: [0, 15], angle: 90 }
  const place = movedCentroid(turned, CENTRE)
  near(place, [0, 30])
  const moved = asTask(turned, 'relocation', CENTRE)
  near(moved.target, place)
  assert.equal('angle' in moved || 'anchor' in moved, false)
  assert.deepEqual(asTask(moved, 'deformation', CENTRE).target, moved.target)
  assert.deepEqual(asTask(moved, 'scale', CENTRE).scale, [1, 1])
  assert.equal(asTask({ ...turned, angle: 0 }, 'relocation', CENTRE).target, undefined) // nothing moved: no target yet
})

test('which regions move, and how that is said', () => {
  const base = { ...SQUARE, strokes: [], path: [], label: '' }
  assert.equal(hasMotion({ ...base, task: 'relocation' }), false)
  assert.equal(hasMotion({ ...base, task: 'scale', scale: [1, 1] }), false)
  assert.equal(hasMotion({ ...base, task: 'rotation', angle: 0 }), false)
  assert.equal(describe({ ...base, task: 'relocation' }, 0, CENTRE), 'Region 1: no motion yet')
  assert.equal(describe({ ...base, task: 'rotation', angle: 35, anchor: [250, 440] }, 1, CENTRE), 'Region 2: rotation 35 degrees about 250,440')
  assert.equal(describe({ ...base, task: 'relocation', target: [18, 19], label: 'cup' }, 2, CENTRE), 'Region 3 "cup": relocation by 5 pixels to 18,19')
  assert.deepEqual(movedShape({ ...base, task: 'relocation', target: [1, 2] }, [1, 1]).target, [2, 3])
})

test('snapping', () => {
  assert.deepEqual(snapPoint([10.4, 50], [10, 12], [80], 1), { p: [10, 50], guides: [{ x: 10 }] })
  assert.deepEqual(snapPoint([11.2, 79.5], [10, 12], [80], 1).p, [12, 80])
  assert.deepEqual(lockAxis([30, 12], [10, 10]), [30, 10])
  assert.equal(snapAngle(43.5, false, true), 45)
  assert.equal(snapAngle(43.5, false, false), 43.5)
  assert.equal(snapAngle(52, true, false), 45)
  assert.equal(snapScale(1.02, true), 1)
  assert.equal(snapScale(-3, true), 0.05)
  assert.deepEqual(inPicture([-3, 70], { width: 64, height: 64 }), [0, 63])
})

test('history: undo and redo meet again, a new step ends the redo', () => {
  const h = new History()
  const step = (doc) => ({ doc, sel: null, what: `to ${doc}` })
  h.push(step(0))
  h.push(step(1))
  assert.equal(h.undo(step(2)).doc, 1)
  assert.equal(h.undo(step(1)).doc, 0)
  assert.equal(h.undo(step(0)), null)
  assert.equal(h.redo(step(0)).doc, 1)
  h.push(step(1))
  assert.equal(h.redo(step(5)), null)
  for (let i = 0; i < 500; i++) h.push(step(i))
  assert.equal(h.past.length, 200)
})
