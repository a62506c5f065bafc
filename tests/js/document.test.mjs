// The document in the browser: read as drag_core reads it, kept whole, refused in one sentence.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { clone, emptyDocument, isEmpty, parse, plain, rescaled, serialize } from '../../web/lib/document.js'

const TRIANGLE = [[1, 1], [9, 1], [9, 9]]
const region = (more = {}) => ({ polygons: [TRIANGLE], target: [5, 5], ...more })
const text = (...regions) => JSON.stringify({ regions })

function read(source, options) {
  const { doc, error } = parse(source, options)
  assert.equal(error, null)
  return doc
}

function refused(source, options) {
  const { doc, error } = parse(source, options)
  assert.ok(typeof error === 'string' && error.length > 10 && error.length <= 300 && !/[\n\r]/.test(error), String(error))
  assert.ok(isEmpty(doc))
  return error
}

test('the empty text is the empty document and back', () => {
  for (const source of ['', ' \n', '{}']) assert.equal(serialize(read(source)), '')
  assert.deepEqual(emptyDocument(640, 480).image, { width: 640, height: 480 })
  assert.equal(serialize(emptyDocument(640, 480)), '')
})

test('anything said makes a document that is not empty', () => {
  for (const more of [{ author: 'me' }, { prompts: { source: 'a' } }, { editable: { mode: 'none' } }, { image: { name: 'x' } },
    { editable: { shown: 1 } }, { points: [{ start: [1, 2], target: [3, 4] }] }, { prompts: { negative: '' } }]) {
    assert.notEqual(serialize(read(JSON.stringify(more))), '', JSON.stringify(more))
  }
})

test('a document in memory has every list and only the optional keys that say something', () => {
  const { regions: [r], editable } = read(text(region({ anchor: null, weight: null, angle: 0 })))
  assert.deepEqual(r, {
    label: '', task: 'relocation', polygons: [TRIANGLE], holes: [], strokes: [], path: [], target: [5, 5], angle: 0
  })
  assert.deepEqual(editable, { mode: 'adaptive', polygons: [], holes: [], strokes: [] })
})

test('unknown keys are kept where they stood', () => {
  const document = {
    version: 1, author: 'me', image: { width: 64, height: 32, name: 'cat.png' },
    regions: [region({ label: 'cat', task: 'relocation', color: '#ff0000', locked: true, '__proto__x': [1e300] })],
    points: [{ start: [1, 2], target: [3, 4], id: 7 }], editable: { mode: 'none', shown: false },
    prompts: { source: 'a', target: 'b', negative: 'c' }
  }
  assert.deepEqual(JSON.parse(serialize(read(JSON.stringify(document)))), document)
})

test('a key named __proto__ is data, nothing else', () => {
  const source = '{"__proto__": {"regions": [1]}, "regions": [{"__proto__": {"target": [1, 1]}, "polygons": [[[1,1],[9,1],[9,9]]]}]}'
  const doc = read(source)
  assert.equal(doc.regions.length, 1)
  assert.equal(doc.regions[0].target, undefined)
  assert.deepEqual(JSON.parse(serialize(doc)).regions[0].polygons, [TRIANGLE])
  assert.ok(serialize(doc).includes('"__proto__":{"regions":[1]}'))
  assert.equal({}.regions, undefined)
})

test('a draft without a target is read, unless the document must be finished', () => {
  for (const draft of [region({ target: null }), region({ task: 'rotation', target: null }), region({ task: 'scale' }),
    region({ polygons: [] })]) {
    read(text(draft))
    refused(text(draft), { finished: true })
  }
  const painted = '{"editable": {"mode": "painted"}}'
  read(painted)
  refused(painted, { finished: true })
})

test("DragFlow's name for a relocation is read", () => {
  assert.equal(read(text(region({ task: 'transformation' }))).regions[0].task, 'relocation')
})

test('a clone shares nothing', () => {
  const doc = read(text(region({ path: [[2, 2]] })))
  const copy = clone(doc)
  copy.regions[0].polygons[0][0][0] = 77
  copy.regions[0].path[0][0] = 77
  assert.equal(doc.regions[0].polygons[0][0][0], 1)
  assert.equal(doc.regions[0].path[0][0], 2)
})

test('numbers are stored with two decimals, angles and factors as they are', () => {
  const doc = read(text(region({ target: [1.23456, -0.001], angle: 12.3456, scale: [1.23456, 1] })))
  const out = JSON.parse(serialize(doc)).regions[0]
  assert.deepEqual([out.target, out.angle, out.scale], [[1.23, 0], 12.3456, [1.23456, 1]])
})

test('outlines are thinned to 400 corners, close to where they were', () => {
  const circle = Array.from({ length: 5000 }, (_, i) => [200 + 100 * Math.cos(i / 5000 * 2 * Math.PI), 200 + 100 * Math.sin(i / 5000 * 2 * Math.PI)])
  const stored = serialize(read(text(region({ polygons: [circle] }))))
  const [polygon] = JSON.parse(stored).regions[0].polygons
  assert.ok(polygon.length <= 400 && polygon.length >= 100)
  for (const [i, p] of polygon.entries()) {
    assert.ok(Math.abs(Math.hypot(p[0] - 200, p[1] - 200) - 100) < 0.02)
    const q = polygon[(i + 1) % polygon.length] // the middle of a side lies 1 - cos(half its angle) of the radius inside
    assert.ok(Math.hypot((p[0] + q[0]) / 2 - 200, (p[1] + q[1]) / 2 - 200) > 99.9)
  }
  assert.equal(serialize(read(stored)), stored)
})

test('a text stays under 200 kB however much is drawn', () => {
  let seed = 1
  const random = () => (seed = seed * 16807 % 2147483647) / 2147483647
  const wild = () => Array.from({ length: 400 }, () => [random() * 4000, random() * 4000])
  const doc = read(text(...Array.from({ length: 200 }, () => region({ polygons: [wild()], strokes: [{ points: wild(), radius: 3 }] }))))
  const started = performance.now()
  const stored = serialize(doc)
  assert.ok(performance.now() - started < 8000)
  assert.ok(stored.length <= 200_000, `${stored.length}`)
  assert.equal(serialize(read(stored)), stored)
})

test('rescaled keeps pixel centres, radii by the mean factor', () => {
  const doc = read(JSON.stringify({
    image: { width: 4, height: 2 }, points: [{ start: [0, 0], target: [3, 1] }],
    regions: [region({ path: [[1.5, 0.5]], holes: [TRIANGLE], anchor: [-0.5, -0.5], strokes: [{ points: [[0, 0]], radius: 4 }] })]
  }))
  const there = rescaled(doc, 8, 8)
  assert.deepEqual(there.points[0], { start: [0.5, 1.5], target: [6.5, 5.5] })
  const [r] = there.regions
  assert.deepEqual([r.path, r.anchor, r.strokes[0]], [[[3.5, 3.5]], [-0.5, -0.5], { points: [[0.5, 1.5]], radius: 12 }])
  assert.deepEqual(r.holes, r.polygons)
  const back = rescaled(there, 4, 2)
  assert.deepEqual(back.regions[0].polygons, doc.regions[0].polygons)
  assert.deepEqual([back.image, plain(back).points], [doc.image, plain(doc).points])
  assert.deepEqual(doc.points[0].start, [0, 0])
})

test('a document of no stated size takes the size and keeps its numbers', () => {
  const doc = rescaled(read(text(region())), 30, 20)
  assert.deepEqual([doc.image, doc.regions[0].target], [{ width: 30, height: 20 }, [5, 5]])
})

test('each number must be finite, each list short, each name plain', () => {
  assert.match(refused('{"x": [1e999]}'), /finite/)
  assert.match(refused('{"points": [{"start": [NaN, 1], "target": [1, 1]}]}'), /JSON/)
  assert.match(refused(`{"x": ${'['.repeat(65)}${']'.repeat(65)}}`), /64 levels/)
  read(`{"x": ${'['.repeat(62)}${']'.repeat(62)}}`)
  read(JSON.stringify({ x: '['.repeat(99) + '\\"[' }))
  assert.match(refused('[1, 2]'), /a list of 2/)
  assert.match(refused(text(region({ mask: '../x.png' }))), /plain name/)
  assert.match(refused(text(region({ mask: 'a.png\n' }))), /plain name/)
  assert.match(refused('{\n"a":\n\nbad}'), /JSON/)
  for (const odd of [null, undefined, 5, {}, []]) refused(/** @type {any} */ (odd))
})

const many = (item, n) => Array(n).fill(item).join()
const HUGE = {
  '100000 open brackets': '['.repeat(100_000),
  '5 million levels': '['.repeat(4_999_999) + ']'.repeat(4_999_999),
  'over 10 MB': `{"x": "${'a'.repeat(10_000_000)}"}`,
  'a million regions': `{"regions": [${many('{}', 1_000_000)}]}`,
  'a million polygons': `{"regions": [{"target": [1, 1], "polygons": [${many('[]', 1_000_000)}]}]}`,
  'a million corners': `{"regions": [{"target": [1, 1], "polygons": [[${many('[1,1]', 1_000_000)}]]}]}`,
  'a million strokes': `{"editable": {"mode": "painted", "strokes": [${many('0', 1_000_000)}]}}`
}
for (const [name, source] of Object.entries(HUGE)) {
  test(`refused quickly: ${name}`, (t) => {
    const started = performance.now()
    const error = refused(source)
    const took = performance.now() - started
    t.diagnostic(`${took.toFixed(0)} ms: ${error}`)
    assert.ok(took < 5000)
  })
}

test('the largest document that is read takes bounded time', (t) => {
  const source = `{"regions": [{"target": [1, 1], "polygons": [${many(`[${many('[1,1]', 99_000)}]`, 16)}]}]}`
  assert.ok(source.length > 9_000_000 && source.length <= 10_000_000)
  const started = performance.now()
  read(source)
  t.diagnostic(`${(performance.now() - started).toFixed(0)} ms`)
  assert.ok(performance.now() - started < 10_000)
})
