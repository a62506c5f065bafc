// What a drag means: the candidates of a run, tried and chosen.
import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { test } from 'node:test'
import { parse, plain } from '../../web/lib/document.js'
import { asMeant, meant, readIntent } from '../../web/lib/editor/meant.js'
import { fedBy } from '../../web/lib/host/graph.js'
import { keptDrawings } from '../../web/lib/host/results.js'
import { watchRuns } from '../../web/lib/host/runs.js'
import { runView } from '../../web/lib/host/runview.js'
import { hullOfMask, middleOf, rasterize } from '../../web/lib/raster.js'
import { Bare, SQUARE } from './bare.mjs'

const vectors = JSON.parse(readFileSync(new URL('../golden/intent_vectors.json', import.meta.url), 'utf8'))

/** Equal in shape, numbers to 1e-9. */
function same(a, b, where) {
  if (typeof b === 'number') return assert.ok(Math.abs(a - b) <= 1e-9 * Math.max(1, Math.abs(b)), `${where}: ${a} is not ${b}`)
  if (b === null || typeof b !== 'object') return assert.equal(a, b, where)
  assert.deepEqual(Object.keys(a).sort(), Object.keys(b).sort(), where)
  for (const key of Object.keys(b)) same(a[key], b[key], `${where}.${key}`)
}

const areaIn = (width, height) => (shape) => {
  const mask = rasterize(shape, width, height)
  return { centroid: middleOf(mask), hull: hullOfMask(mask) }
}

test('a task that a model says means the same here and in Python', () => {
  assert.ok(vectors.length >= 40)
  let kept = 0
  for (const { document, size, meant: wanted } of vectors) {
    const { doc, error } = parse(JSON.stringify(document))
    assert.equal(error, null)
    for (const [task, region] of Object.entries(wanted)) {
      const found = asMeant(doc.regions[0], task, areaIn(...size)(doc.regions[0]))
      const where = `${JSON.stringify(document.regions[0])} as ${task}`
      if (!region) {
        kept++
        assert.equal(found, null, where)
      } else same(plain({ ...doc, regions: [found] }).regions[0], region, where)
    }
  }
  assert.ok(kept >= 10)
})

test('what a run says is read as far as it has the form', () => {
  const good = { background: 'a field', motion: 'it leans', candidates: [{ prompt: 'a', task: 'rotation' }, { prompt: 'b', task: 'scale' }] }
  assert.deepEqual(readIntent({ ...good, more: 1 }), { ...good, candidates: [good.candidates[0], { prompt: 'b', task: null }] })
  for (const bad of [null, undefined, 3, 'x', [], {}, { candidates: [] }, { candidates: {} }, { candidates: [null, 3, {}, { prompt: 7 }, { prompt: '' }] }]) assert.equal(readIntent(bad), null)
  assert.equal(readIntent({ candidates: Array(99).fill({ prompt: 'x'.repeat(9999) }) }).candidates.length, 10)
  assert.equal(readIntent({ candidates: [{ prompt: 'x'.repeat(9999) }] }).candidates[0].prompt.length, 4000)
})

const INTENT = { background: 'A square.', motion: '', candidates: [{ prompt: 'It leans.', task: 'rotation' }, { prompt: 'It is gone.', task: null }] }
const region = (more) => ({ label: '', task: 'relocation', strokes: [], path: [], auto: true, target: [50, 15], ...SQUARE, ...more })

test('prompts and tasks of a candidate; a locked region keeps its own', () => {
  const { doc } = parse('{"prompts": {"source": "mine", "target": "", "negative": "c"}}')
  const both = { ...doc, regions: [region(), region({ locked: true })] }
  const out = meant(both, INTENT, INTENT.candidates[0], areaIn(80, 80))
  assert.deepEqual(out.prompts, { source: 'A square.', target: 'A square. It leans.', negative: 'c' })
  assert.deepEqual([out.regions[0].task, out.regions[0].anchor, 'auto' in out.regions[0]], ['rotation', [15, 20], false])
  assert.equal(out.regions[1], both.regions[1])
  const bare = meant(both, { ...INTENT, background: '' }, INTENT.candidates[1], areaIn(80, 80))
  assert.deepEqual([bare.prompts.target, bare.regions], ['mine It is gone.', both.regions])
})

test('candidates stay through a choice and its undo, and go when something else is marked', () => {
  const ed = new Bare(80)
  ed.edit({ ...ed.doc, regions: [region()] })
  ed.commit('draw')
  ed.intent = INTENT
  ed.trial = meant(ed.doc, INTENT, INTENT.candidates[0], areaIn(80, 80))
  assert.equal(ed.shown.regions[0].task, 'rotation')
  assert.equal(ed.doc.regions[0].task, 'relocation') // a look stores nothing
  ed.edit(ed.trial)
  ed.commit('choose what is meant')
  assert.deepEqual([ed.intent, ed.trial, ed.doc.regions[0].task], [INTENT, null, 'rotation'])
  ed.step('undo')
  assert.deepEqual([ed.intent, ed.doc.regions[0].task, ed.doc.prompts.target], [INTENT, 'relocation', ''])
  ed.edit({ ...ed.doc, regions: [...ed.doc.regions, region()] })
  ed.commit('draw')
  assert.equal(ed.intent, null)
  ed.intent = INTENT
  ed.setText('')
  assert.equal(ed.intent, null)
})

test('candidates come to the editor that was asked about, and a refusal too', async () => {
  const listeners = {}, got = { 3: [], 4: [] }
  const prompt = {
    3: { class_type: 'DragEditor', inputs: {} },
    4: { class_type: 'DragEditor', inputs: {} },
    5: { class_type: 'DragIntent', inputs: { instruction: ['3', 3] } }
  }
  const api = {
    clientId: 'me',
    addEventListener: (name, f) => { listeners[name] = f },
    fetchApi: async () => ({ json: async () => ({ queue_running: [[0, 'p', prompt, { client_id: 'me' }]] }) })
  }
  const views = Object.fromEntries(Object.keys(got).map((id) => [id, runView({ setIntent: (x) => got[id].push(x), setTold: (...x) => got[id].push(x), addNotes: (x) => got[id].push(x), setRun() {} }, { url: String })]))
  watchRuns(api, () => ({}), (_, ids) => [...ids].map((id) => ({ id, view: views[id] })), keptDrawings())
  const send = (name, detail) => listeners[name]({ detail: { prompt_id: 'p', ...detail } })
  await send('executed', { node: '5', output: { drag_intent: [INTENT], drag_notes: ['2 of 10'] } })
  await send('executed', { node: '3', output: {} })
  assert.deepEqual(got, { 3: [['2 of 10'], INTENT], 4: [] })
  await send('execution_error', { node_type: 'DragIntent', exception_message: 'nothing answers' })
  assert.deepEqual(got[3][2], ['nothing answers', []])
})

test('who can be asked is found behind reroutes, and not where it is muted', () => {
  const node = (id, type, links = []) => ({ id, type, comfyClass: type, mode: 0, inputs: links.map((link) => ({ name: 'instruction', type: 'STRING', link })) })
  const editor = node(1, 'DragEditor'), reroute = node(2, 'Reroute', [7]), [intent, other] = [node(3, 'DragIntent', [8]), node(4, 'DragIntent', [null])]
  const nodes = [editor, reroute, intent, other]
  const links = new Map([[7, { id: 7, origin_id: 1, origin_slot: 3, type: 'STRING' }], [8, { id: 8, origin_id: 2, origin_slot: 0, type: 'STRING' }]])
  const graph = { nodes, links, getNodeById: (id) => nodes.find((n) => n.id === id) }
  for (const n of nodes) n.graph = graph
  assert.deepEqual(fedBy({ graph }, editor, 'DragIntent', 'instruction'), [intent])
  intent.mode = 2
  assert.deepEqual(fedBy({ graph }, editor, 'DragIntent', 'instruction'), [])
})
