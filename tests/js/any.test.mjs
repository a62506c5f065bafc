// 10 000 random documents: each is read or refused in one sentence, quickly, and what is read is kept.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { isEmpty, parse, plain, rescaled, serialize } from '../../web/lib/document.js'
import { problems } from '../../web/lib/problems.js'

const N = 10_000
let seed = 20240601
const random = () => (seed = seed * 16807 % 2147483647) / 2147483647
const one = (list) => list[Math.floor(random() * list.length)]
const some = (most, make) => Array.from({ length: Math.floor(random() * (most + 1)) }, make)
const chance = (share) => random() < share

const TEXTS = ['', 'cat', '<img src=x onerror=alert(1)>', '__proto__', 'ok\u0000', '\u2028', 'a.png', '../a.png', '\ud800', 'x'.repeat(500)]
const NUMBERS = ['0', '-0', '1', '-1', '0.5', '1e9', '1.0000001e9', '-1e9', '1e308', '1e999', '-1e999', '5e-324', '65536', '65537',
  'NaN', 'Infinity', '1' + '0'.repeat(400), '12.345678']
const KEYS = ['version', 'image', 'width', 'height', 'regions', 'points', 'editable', 'mode', 'prompts', 'source', 'target', 'label',
  'task', 'polygons', 'holes', 'strokes', 'mask', 'anchor', 'angle', 'scale', 'weight', 'path', 'radius', 'start', '__proto__',
  'constructor', 'toString', 'length', 'then', 'auto', 'color']

const number = () => (chance(0.03) ? one(NUMBERS) : String(Math.round(random() * 60000 - 5000) / 100))
const point = () => (chance(0.02) ? anything(1) : `[${number()},${number()}]`)
const points = (least, most) => `[${Array.from({ length: least + Math.floor(random() * (most - least + 1)) }, point)}]`
const text = () => JSON.stringify(one(TEXTS))

/** Any JSON, or nearly. @param {number} depth */
function anything(depth) {
  if (depth <= 0 || chance(0.5)) return one([number, text, () => one(['null', 'true', 'false', '[]', '{}', one(NUMBERS)])])()
  return chance(0.5) ? `[${some(3, () => anything(depth - 1))}]` : object(some(3, () => [one(KEYS), () => anything(depth - 1)]))
}

const object = (fields) => `{${fields.map(([key, make]) => `${JSON.stringify(key)}:${make()}`)}}`
/** Fields of which some are missing, and some are anything. */
const loose = (fields) => object(Object.entries(fields).filter(() => chance(0.8))
  .map(([key, make]) => [key, chance(0.015) ? () => anything(3) : make])
  .concat(chance(0.1) ? [[one(KEYS), () => anything(2)]] : []))

const shape = {
  polygons: () => `[${some(2, () => points(3, 6))}]`,
  holes: () => `[${some(1, () => points(3, 4))}]`,
  strokes: () => `[${some(1, () => loose({ points: () => points(1, 3), radius: () => String(random() * 40 + 0.1) }))}]`
}
const region = () => loose({
  ...shape, task: () => JSON.stringify(one(['relocation', 'deformation', 'rotation', 'scale', 'transformation'])), target: point,
  anchor: point, angle: number, scale: () => `[${random() + 0.1},${random() + 0.1}]`, weight: () => String(random() + 0.01),
  path: () => points(0, 3), label: text, id: text, auto: () => 'true'
})
const document = () => loose({
  version: () => '1', image: () => loose({ width: () => one(['64', '300']), height: () => one(['48', '200']) }),
  regions: () => `[${some(4, region)}]`,
  points: () => `[${some(3, () => `{"start":${point()},"target":${point()}}`)}]`,
  editable: () => loose({ ...shape, mode: () => JSON.stringify(one(['adaptive', 'painted', 'none'])) }),
  prompts: () => loose({ source: text, target: text })
})

/** Some characters lost, doubled or replaced. @param {string} s */
function damaged(s) {
  const i = Math.floor(random() * s.length)
  return s.slice(0, i) + one(['', s[i] ?? '' + s[i], '\u0000', '"', '{', '[['.repeat(50), ',', '\\']) + s.slice(i + 1)
}

test(`${N} random documents`, (t) => {
  let read = 0, refused = 0, worst = 0
  for (let k = 0; k < N; k++) {
    const source = chance(0.1) ? anything(5) : chance(0.05) ? damaged(document()) : document()
    let started = performance.now(), { doc, error } = parse(source), took = performance.now() - started
    if (took > 50) { // the clock of a busy machine: a second try counts
      started = performance.now()
      parse(source)
      took = performance.now() - started
    }
    worst = Math.max(worst, took)
    assert.ok(took <= 50, `${took} ms: ${source.slice(0, 500)}`)
    if (error !== null) {
      refused++
      assert.ok(isEmpty(doc))
      assert.ok(error.length > 10 && error.length <= 300 && !/[\r\n]/.test(error), JSON.stringify(error))
      assert.ok(!/Cannot |undefined|TypeError|is not a function|not iterable/.test(error), error)
      assert.ok(parse(source, { finished: true }).error)
      continue
    }
    read++
    const stored = serialize(doc), again = parse(stored)
    assert.equal(again.error, null, `${again.error}: ${source}`)
    assert.equal(serialize(again.doc), stored)
    const all = JSON.stringify(plain(doc))
    assert.equal(JSON.stringify(plain(parse(all).doc)), all)
    for (const p of problems(doc)) {
      assert.ok(p.text.length < 300)
      if (p.fix) assert.equal(parse(serialize(p.fix(doc))).error, null)
    }
    serialize(rescaled(doc, 500, 300))
  }
  t.diagnostic(`${read} read, ${refused} refused, the slowest took ${worst.toFixed(2)} ms`)
  assert.ok(read > N / 5 && refused > N / 5)
})
