// What the editor says in time; build_task of drag_core says the same when it runs.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { parse } from '../../web/lib/document.js'
import { problems } from '../../web/lib/problems.js'

const box = (x0, y0, x1, y1) => [[x0, y0], [x1, y0], [x1, y1], [x0, y1]]
const region = (more = {}) => ({ polygons: [box(10, 10, 20, 20)], target: [40, 40], ...more })

function document(...regions) {
  const { doc, error } = parse(JSON.stringify({ image: { width: 100, height: 80 }, regions }))
  assert.equal(error, null)
  return doc
}

const kinds = (doc) => problems(doc).map((p) => p.kind)

test('nothing is odd about a plain drag', () => {
  assert.deepEqual(problems(document(region())), [])
  assert.deepEqual(problems(document()), [])
})

const ODD = {
  draft: [region({ target: null }), /region 1 has no target yet/],
  'draft of a scale': [region({ task: 'scale' }), /no factors/],
  'draft of a turn about itself': [region({ task: 'rotation' }), /own centre/],
  'draft of a turn without a direction': [region({ task: 'rotation', anchor: [40.2, 40.2] }), /lies on its anchor/],
  empty: [region({ polygons: [box(200, 10, 210, 20)], label: 'the cat' }), /the cat is empty.*100x80/],
  outside: [region({ target: [99.6, 5] }), /the target of region 1 lies outside/],
  'outside on the path': [region({ path: [[50, 50], [-3, 5]] }), /a place on the path/],
  gone: [region({ task: 'rotation', anchor: [90, 15], angle: 180 }), /nothing of region 1 would be left/],
  leaves: [region({ target: [98, 40] }), /partly off the picture/],
  small: [region({ target: [16, 15] }), /moves by 1.0 px/],
  mask: [region({ mask: 'cat.png' }), /"cat.png"/]
}
for (const [name, [odd, says]] of Object.entries(ODD)) {
  test(`said of a region: ${name}`, () => {
    const doc = document(odd), found = problems(doc), before = JSON.stringify(doc)
    assert.equal(found.length, 1, JSON.stringify(found))
    assert.equal(found[0].kind, name.split(' ')[0])
    assert.equal(found[0].region, 0)
    assert.match(found[0].text, says)
    if (['empty', 'outside'].includes(found[0].kind)) assert.deepEqual(problems(found[0].fix(doc)).filter((p) => p.kind === found[0].kind), [])
    else assert.equal(found[0].fix, undefined)
    assert.equal(JSON.stringify(doc), before)
  })
}

test('regions that touch', () => {
  const beside = region({ polygons: [box(21, 21, 25, 25)], target: [60, 60] })
  assert.deepEqual(problems(document(region(), beside)).map((p) => [p.kind, p.region, p.other]), [['touch', 0, 1]])
  assert.deepEqual(kinds(document(region(), region({ polygons: [box(22, 21, 25, 25)], target: [60, 60] }))), [])
})

test('points and the painted mask', () => {
  const { doc } = parse(JSON.stringify({
    image: { width: 100, height: 80 }, editable: { mode: 'painted' },
    points: [{ start: [-5, 3], target: [20, 90] }, { start: [5, 5], target: [5, 6] }, { start: [5, 5], target: [9, 9] }]
  }))
  assert.deepEqual(problems(doc).map((p) => [p.kind, p.point]), [['outside', 0], ['outside', 0], ['small', 1], ['painted', undefined]])
  let fixed = doc
  for (const p of problems(doc)) fixed = p.fix?.(fixed) ?? fixed
  assert.deepEqual(kinds(fixed), ['small'])
  assert.deepEqual([fixed.points[0].start, fixed.points[0].target], [[0, 3], [20, 79]])
})

test('a document of no stated size is measured by the picture', () => {
  const { doc } = parse(JSON.stringify({ regions: [region({ target: [90, 15] })] }))
  assert.deepEqual(problems(doc), [])
  assert.deepEqual(problems(doc, { width: 50, height: 50 }).map((p) => p.kind), ['outside'])
})

test('ten large regions are checked quickly', (t) => {
  const doc = document(...Array.from({ length: 10 }, (_, i) => region({ polygons: [box(i * 200, 10, i * 200 + 190, 1900)], target: [1000, 1000] })))
  doc.image = { width: 2048, height: 2048 }
  problems(doc)
  const started = performance.now()
  problems(doc)
  t.diagnostic(`${(performance.now() - started).toFixed(0)} ms`)
  assert.ok(performance.now() - started < 3000)
})
