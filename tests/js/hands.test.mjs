// What keys and gestures do, without a page: locks and limits hold, and nothing is lost when one is cut off.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { MAX_PATH, MAX_REGIONS, parse } from '../../web/lib/document.js'
import { addPlace, clearMotion, copy, grow, nextHandle, turn } from '../../web/lib/editor/commands.js'
import { dragTurn } from '../../web/lib/editor/gestures.js'
import { handlesOf } from '../../web/lib/editor/handles.js'
import { listenKeys } from '../../web/lib/editor/keyboard.js'
import { listenPointer } from '../../web/lib/editor/pointer.js'
import { addRegion, withRegion } from '../../web/lib/editor/ops.js'
import { Bare, SQUARE } from './bare.mjs'

/** With a selected region that goes to (40, 40). */
function holding(more = {}) {
  const ed = new Bare(64)
  ed.edit(withRegion(addRegion(ed.doc, SQUARE), 0, { target: [40, 40], ...more }))
  ed.sel = { kind: 'region', index: 0 }
  ed.commit('mark')
  return ed
}

test('no key moves a locked region', () => {
  for (const more of [{}, { target: undefined }]) {
    const ed = holding({ locked: true, ...more })
    const { text } = ed
    turn(ed, 15, false)
    grow(ed, 1, {})
    clearMotion(ed)
    addPlace(ed)
    assert.equal(ed.said, 'Region 1 is locked')
    nextHandle(ed, 1)
    nextHandle(ed, 1)
    assert.equal(ed.text, text)
  }
})

test('no key makes a document that is too large to be read again', () => {
  const ed = holding()
  ed.edit({ ...ed.doc, regions: Array(MAX_REGIONS).fill(ed.doc.regions[0]) })
  ed.commit('many')
  copy(ed)
  assert.match(ed.said, /256 regions are the most/)
  assert.equal(parse(ed.text).error, null)
  const path = Array.from({ length: MAX_PATH }, (_, i) => [i, i % 2 ? 0 : 63])
  const far = holding({ path: path.slice(1) })
  far.view.scale = 2
  far.view.toScreen = ([x, y]) => [2 * x, 2 * y]
  assert.ok(handlesOf(far).some((h) => h.id === 'mid'))
  addPlace(far)
  assert.equal(far.doc.regions[0].path.length, MAX_PATH)
  assert.ok(handlesOf(far).every((h) => h.id !== 'mid'))
  addPlace(far)
  assert.match(far.said, /64 places are the most/)
  assert.equal(parse(far.text).error, null)
})

test('a moved region that is turned once around is moved again, not turned about a point far away', () => {
  const ed = holding()
  const gesture = dragTurn(ed, 0, [50, 40])
  for (const turns of [1, 2]) {
    for (let t = 1; t <= 24; t++) gesture.move([40 + 10 * Math.cos(t * Math.PI / 12), 40 + 10 * Math.sin(t * Math.PI / 12)], {})
    assert.deepEqual(ed.region.target, [40, 40], `after ${turns}`)
    assert.equal(ed.region.task, 'relocation')
  }
  gesture.move([40, 50], {})
  assert.equal(ed.region.angle, 810)
  ed.commit('turn')
  assert.equal(parse(ed.text).error, null)
})

test('a press that becomes a pinch leaves the corners before it', () => {
  const ed = new Bare(64)
  const { polygon } = ed.tools
  for (const p of [[5, 5], [50, 5], [50, 50]]) polygon.down(ed, p, {}).end()
  polygon.down(ed, [5, 50], {}).cancel()
  assert.deepEqual(ed.draft.points, [[5, 5], [50, 5], [50, 50]])
  ed.draft = null
  polygon.down(ed, [5, 50], {}).cancel()
  assert.equal(ed.draft, null)
})

test('what is dragged can not be deleted under the hand', () => {
  const ed = holding()
  Object.assign(ed, { sink: new EventTarget(), el: new EventTarget(), off: new AbortController() })
  listenKeys(ed)
  ed.gesture = dragTurn(ed, 0, [50, 40])
  ed.sink.dispatchEvent(Object.assign(new Event('keydown'), { key: 'Delete' }))
  ed.gesture.move([40, 50], {})
  assert.equal(ed.region.angle, 90)
  ed.gesture = null
  ed.sink.dispatchEvent(Object.assign(new Event('keydown'), { key: 'Delete' }))
  assert.equal(ed.doc.regions.length, 0)
})

test('a click that should put the anchor of a region that is gone selects', () => {
  const ed = holding()
  Object.assign(ed, { placing: true, reach: () => 10, regionsAt: () => [] })
  ed.edit({ ...ed.doc, regions: [] })
  ed.sel = null
  assert.equal(ed.tools.select.down(ed, [5, 5], {}), null)
  assert.equal(ed.placing, false)
})

test('a space bar that is released elsewhere does not go on panning', () => {
  const ed = new Bare(64)
  Object.assign(ed, { sink: new EventTarget(), el: new EventTarget(), canvas: { style: {} }, off: new AbortController() })
  listenKeys(ed)
  ed.sink.dispatchEvent(Object.assign(new Event('keydown'), { key: ' ' }))
  assert.equal(ed.space, true)
  ed.sink.dispatchEvent(new Event('blur'))
  assert.equal(ed.space, false)
})

test('an editor that is never destroyed leaves nothing on the page', () => {
  const heard = []
  globalThis.window = { addEventListener: (type) => heard.push(type) }
  for (let i = 0; i < 3; i++) {
    listenPointer(Object.assign(new Bare(64), { canvas: new EventTarget(), el: {}, off: new AbortController() }))
  }
  assert.deepEqual(heard.sort(), ['touchcancel', 'touchend', 'touchmove', 'touchstart'])
})
