// What a run says of a drag: brought to the editors that it depends on, and gone with the next edit.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { runView, watchRuns } from '../../web/lib/host/runs.js'
import { Bare } from './bare.mjs'

const PROMPT = {
  3: { class_type: 'DragEditor', inputs: {} },
  4: { class_type: 'DragEditor', inputs: {} },
  8: { class_type: 'DragInvert', inputs: {} },
  9: { class_type: 'DragOptimize', inputs: { trajectory: ['8', 3], regions: ['3', 5] } },
  10: { class_type: 'VAEDecode', inputs: { samples: ['9', 0] } },
  11: { class_type: 'MaskPreview', inputs: { mask: ['4', 1] } },
  12: { class_type: 'SaveImage', inputs: {} }
}

/** A server that runs PROMPT, and what its page's editors 3 and 4 were told. */
function running() {
  const listeners = {}, told = { 3: [], 4: [] }
  const api = {
    clientId: 'me',
    addEventListener: (name, f) => { listeners[name] = f },
    fetchApi: async () => ({ json: async () => ({ queue_running: [[0, 'p', PROMPT, { client_id: 'me' }]] }) })
  }
  const views = Object.fromEntries(Object.keys(told).map((id) => [id, runView({ setTold: (...said) => told[id].push(said), setPreview() {} }, { url: String })]))
  watchRuns(api, () => ({}), (_, ids) => [...ids].map((id) => views[id]))
  return { told, send: (name, detail) => listeners[name]({ detail: { prompt_id: 'p', ...detail } }) }
}

test('the notes of Drag Optimize come to its editor, and the next run takes them away', async () => {
  const { told, send } = running()
  await send('execution_start', {})
  await send('executed', { node: '9', output: { drag_notes: ['start: made here: refill and warped'] } })
  await send('executed', { node: '10', output: { images: [] } })
  assert.deepEqual(told, { 3: [['', []], ['', ['start: made here: refill and warped']]], 4: [['', []]] })
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
