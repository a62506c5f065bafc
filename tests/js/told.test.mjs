// What a run says of a drag: brought to the editors that it depends on, and gone with the next edit.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { keptDrawings } from '../../web/lib/host/results.js'
import { refusal, watchRuns } from '../../web/lib/host/runs.js'
import { runView } from '../../web/lib/host/runview.js'
import { Bare } from './bare.mjs'

const PROMPT = {
  3: { class_type: 'DragEditor', inputs: { drag: 'drawn' } },
  4: { class_type: 'DragEditor', inputs: {} },
  7: { class_type: 'DragCrop', inputs: { regions: ['3', 5] } },
  8: { class_type: 'DragInvert', inputs: {} },
  9: { class_type: 'DragOptimize', inputs: { trajectory: ['8', 3], regions: ['7', 1] } },
  10: { class_type: 'VAEDecode', inputs: { samples: ['9', 0] } },
  11: { class_type: 'MaskPreview', inputs: { mask: ['4', 1] } },
  12: { class_type: 'SaveImage', inputs: {} }
}

/** A server that runs PROMPT, and what its page's editors 3 and 4 were told, and how they were told that it runs. */
function running() {
  const listeners = {}, told = { 3: [], 4: [] }, ran = { 3: [], 4: [] }, results = []
  const api = {
    clientId: 'me',
    addEventListener: (name, f) => { listeners[name] = f },
    fetchApi: async () => ({ json: async () => ({ queue_running: [[0, 'p', PROMPT, { client_id: 'me' }]] }) })
  }
  const views = Object.fromEntries(Object.keys(told).map((id) => [id, runView({
    setTold: (...said) => told[id].push(said),
    addNotes: (notes) => told[id].push(notes),
    setRun: (running) => ran[id].push(running && [running.phase, running.part]),
    say: (text) => ran[id].push(text)
  }, { url: String })]))
  for (const view of Object.values(views)) view.result = (...given) => results.push(given)
  const drawings = keptDrawings()
  watchRuns(api, () => ({}), (_, ids) => [...ids].map((id) => ({ id, view: views[id] })), drawings)
  return { told, ran, views, results, drawings, send: (name, detail) => listeners[name]({ detail: { prompt_id: 'p', ...detail } }) }
}

test('the notes of all nodes behind an editor come to it, and the next run takes them away', async () => {
  const { told, send } = running()
  await send('execution_start', {})
  await send('executed', { node: '7', output: { text: ['62x40 px at (0, 0)\nshrunk to a third\nsoft'] } })
  await send('executed', { node: '9', output: { drag_notes: ['start: made here: refill and warped'] } })
  await send('executed', { node: '10', output: { images: [], text: 'no note' } })
  await send('executed', { node: '8', output: { text: ['no keys and values kept'] } })
  assert.deepEqual(told, { 3: [['', []], ['shrunk to a third', 'soft'], ['start: made here: refill and warped']], 4: [['', []]] })
})

test('while any node runs, the editors of its graph know what it does and how far it is', async () => {
  const { ran, send } = running()
  const works = (node_id, value, max) => send('progress_state', { nodes: { 3: { node_id: '3', state: 'finished', value: 1, max: 1 }, [node_id]: { node_id, state: 'running', value, max } } })
  await send('execution_start', {})
  await works('8', 0, 1)
  await send('progress', { node: '8', value: 2, max: 5 })
  await works('9', 30, 40)
  await works('10', 0, 1)
  await works('gone', 0, 1)
  await works('11', 0, 1)
  await send('execution_success', {})
  const other = ['another part of the graph runs', null]
  assert.deepEqual(ran[3], [['starting', null], ['inverting', null], ['inverting', 0.4], ['dragging', 0.75], ['decoding', null], other, null])
  assert.deepEqual(ran[4], [['starting', null], other, other, other, other, ['saving', null], null])
})

test('a node that waits for its inputs is not the one that works', async () => {
  const { ran, send } = running()
  const state = (...ids) => send('progress_state', { nodes: Object.fromEntries(ids.map((id) => [id, { node_id: id, state: 'running', value: 0, max: 1 }])) })
  await state('9')
  await state('9', '8')
  await state('9')
  await state('9', '10')
  assert.deepEqual(ran[3].map(([phase]) => phase), ['dragging', 'inverting', 'dragging', 'decoding'])
})

test('a refusal outlives the start of what was not refused, and not the next run', async (t) => {
  let now = 10000
  t.mock.method(performance, 'now', () => now)
  const { told, views, send } = running()
  await send('execution_start', {})
  views[3].refuse('vae is missing')
  await send('execution_start', {})
  now += 6000
  await send('execution_start', {})
  assert.deepEqual(told[3], [['', []], ['vae is missing', []], ['vae is missing', []], ['', []]])
})

test('who stops it is told so', async () => {
  const { ran, send } = running()
  await send('execution_start', {})
  await send('execution_interrupted', { node_id: '9' })
  assert.deepEqual(ran[3].slice(-2), [null, 'Stopped'])
})

test('a result comes with what was drawn, also when the editor is another one by then', async () => {
  const { results, drawings, send } = running()
  const ref = { filename: 'a.png', type: 'output' }
  await send('executed', { node: '10', output: { images: [ref] } })
  await send('executed', { node: '11', output: { images: [{ filename: 'mask.png' }] } })
  assert.deepEqual(results, [['p', ref, true, 'drawn']])
  assert.equal(drawings.of({ ...ref, subfolder: '' }, ['x', '3']), 'drawn')
  assert.equal(drawings.of(ref, ['4']), null)
  assert.equal(drawings.of({ filename: 'b.png' }, ['3']), null)
  const later = { filename: 'c.png' }
  drawings.keep(later, new Map())
  assert.deepEqual(drawings.latest([{ ref: { filename: 'no' } }, { ref: later }, { ref }]), { ref: later })
  assert.equal(drawings.latest([]), undefined)
})

test('a prompt that is not taken is explained by the first node that says why', () => {
  const errors = { 5: { class_type: 'VAEDecode', errors: [{ message: 'Required input is missing', details: 'vae' }] } }
  assert.equal(refusal({ 4: { errors: [] }, ...errors }), 'VAEDecode: Required input is missing: vae')
  assert.equal(refusal(null), '')
})

test('an error comes as its first line, of a foreign node with its name; an interrupt says nothing', async () => {
  for (const [type, message, said] of [
    ['DragOptimize', 'in the drag editor nothing is marked: mark a part\n', 'in the drag editor nothing is marked: mark a part'],
    ['VAEDecode', 'out of memory\n\nTIPS: none', 'VAEDecode: out of memory'],
    ['DragInvert', '/a/custom_nodes/region-drag-editing.drag_core.types.DragError: too large', 'too large'],
    ['DragInvert', 'Execution Blocked: no picture', 'no picture'],
    ['VAEDecode', undefined, 'VAEDecode: the run failed']
  ]) {
    const { told, send } = running()
    await send('execution_error', { node_id: '9', node_type: type, exception_message: message })
    assert.deepEqual(told, { 3: [[said, []]], 4: [] })
  }
  const { told, send } = running()
  await send('execution_interrupted', { node_id: '9', node_type: 'DragOptimize' })
  assert.deepEqual(told[3], [])
})

test('an error of any node in the graph of an editor comes to it, and of no other', async () => {
  for (const [id, where] of [['8', [3]], ['9', [3]], ['10', [3]], ['3', [3]], ['11', [4]], ['12', []], ['9.0.1', [3, 4]]]) {
    const { told, send } = running()
    await send('execution_error', { node_id: id, node_type: 'DragX', exception_message: 'no' })
    assert.deepEqual([3, 4].filter((editor) => told[editor].length), where, id)
  }
})

test('an edit, an undo and another document take away what the run said', () => {
  const ed = new Bare(80)
  const tell = () => { ed.told = { error: 'no', notes: ['a'] } }
  const point = { start: [1, 1], target: [9, 9] }
  for (const act of [
    () => { ed.edit({ ...ed.doc, points: [point] }); ed.commit('set a point') },
    () => ed.step('undo'),
    () => ed.setText(JSON.stringify({ version: 1, points: [point] }))
  ]) {
    tell()
    act()
    assert.deepEqual(ed.told, { error: '', notes: [] })
  }
  tell()
  ed.setText(ed.text) // the host sets what is there already
  assert.equal(ed.told.error, 'no')
})
