// The document in hand, without a page: what is stored, and the way back, when the picture changes or a drag is cut off.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { Editor } from '../../web/lib/editor/core.js'
import { addRegion, withRegion } from '../../web/lib/editor/ops.js'
import { Bare, SQUARE } from './bare.mjs'

/** One with a marked region, moved to (30, 30). */
function moved() {
  const s = new Bare(64)
  s.edit(addRegion(s.doc, SQUARE))
  s.commit('mark')
  s.edit(withRegion(s.doc, 0, { target: [30, 30] }))
  s.commit('move')
  return s
}

const show = (s, side) => Editor.prototype.setImage.call(s, s.image, { width: side, height: side })

test('undo after the picture got another size gives places in the new one', () => {
  const s = moved()
  show(s, 128)
  assert.deepEqual(s.doc.regions[0].target, [60.5, 60.5])
  s.step('undo')
  assert.deepEqual(s.doc.image, { width: 128, height: 128 })
  assert.deepEqual(s.doc.regions[0].polygons[0][0], [20.5, 20.5])
  s.step('redo')
  assert.deepEqual(s.doc.regions[0].target, [60.5, 60.5])
  assert.deepEqual(JSON.parse(s.text).image, { width: 128, height: 128 })
})

test('what is painted goes along with the picture, also where nothing is marked', () => {
  const s = new Bare(64)
  s.edit({ ...s.doc, editable: { ...s.doc.editable, ...SQUARE, mode: 'painted' } })
  s.commit('paint')
  show(s, 128)
  assert.deepEqual(s.doc.editable.polygons[0][0], [20.5, 20.5])
})

test('undo with nothing to undo ends a drag where it began', () => {
  const s = moved()
  s.history.past.length = 0
  s.gesture = {}
  s.edit(withRegion(s.doc, 0, { target: [50, 50] }))
  s.step('undo')
  assert.equal(s.said, 'Nothing to undo')
  assert.deepEqual(s.doc.regions[0].target, [30, 30])
})

test('a picture that comes while something is dragged does not end up as stored', () => {
  const s = moved()
  s.edit(withRegion(s.doc, 0, { target: [50, 50] }))
  show(s, 64)
  s.commit('move')
  assert.equal(s.commits.length, 3)
  assert.deepEqual(JSON.parse(s.text).regions[0].target, [50, 50])
})

test('what was said of one document is not said of the next', () => {
  const s = moved()
  show(s, 128)
  assert.match(s.note, /drawn at 64/)
  s.setText('{"image": {"width": 128, "height": 128}}')
  assert.equal(s.note, '')
})
