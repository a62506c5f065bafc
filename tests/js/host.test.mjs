// What feeds an editor in the host's graph: through whatever lies between, and for as long as it does.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { sourceOf } from '../../web/lib/host/graph.js'
import { resultsOf } from '../../web/lib/host/results.js'
import { watchPicture } from '../../web/lib/host/picture.js'

let ids = 0

/** A graph of nodes; links are [from, slot, to, slot], where a side that is null is the subgraph's own border. */
function graphOf(nodes, links) {
  const graph = { nodes, links: new Map(), outputs: [], getNodeById: (id) => nodes.find((n) => n.id === id) }
  for (const node of nodes) node.graph = graph
  for (const [from, origin, to, target] of links) {
    const link = { id: ++ids, origin_id: from?.id ?? -10, origin_slot: origin, target_id: to?.id ?? -20, target_slot: target, type: 'IMAGE' }
    graph.links.set(link.id, link)
    if (to) to.inputs[target].link = link.id
    else graph.outputs[target] = { linkIds: [link.id] }
  }
  return graph
}

const node = (type, more = {}) => ({ id: ++ids, type, mode: 0, inputs: [{ type: 'IMAGE', link: null }], ...more })

test('a picture is found through reroutes and bypassed nodes, and not through muted ones', () => {
  const [load, reroute, passed, editor] = [node('LoadImage'), node('Reroute'), node('Blur', { mode: 4 }), node('DragEditor')]
  const root = graphOf([load, reroute, passed, editor], [[load, 0, reroute, 0], [reroute, 0, passed, 0], [passed, 0, editor, 0]])
  assert.deepEqual(sourceOf({ graph: root }, editor, 0), { node: load, slot: 0 })
  load.mode = 2
  assert.equal(sourceOf({ graph: root }, editor, 0), null)
  assert.equal(sourceOf({ graph: root }, load, 0), null)
})

test('a picture is found out of and into subgraphs, however deep', () => {
  for (const depth of [0, 1, 2, 3]) {
    const load = node('LoadImage')
    let from = load // a subgraph in a subgraph around the loader
    for (let i = 0; i < depth; i++) from = node('Subgraph', { subgraph: graphOf([from], [[from, 0, null, 0]]) })
    const editor = node('DragEditor')
    let to = editor
    for (let i = 0; i < depth; i++) to = node('Subgraph', { subgraph: graphOf([to], [[null, 0, to, 0]]) })
    const root = graphOf([from, to], [[from, 0, to, 0]])
    assert.deepEqual(sourceOf({ rootGraph: root }, editor, 0), { node: load, slot: 0 }, `depth ${depth}`)
  }
})

test('a circle ends', () => {
  const [a, b] = [node('Reroute'), node('Reroute')]
  const root = graphOf([a, b], [[a, 0, b, 0], [b, 0, a, 0]])
  assert.equal(sourceOf({ graph: root }, a, 0), null)
})

test('a Load Image is listened to for as long as it feeds the editor, and left as it was', () => {
  const shown = []
  globalThis.Image = class { set src(url) { shown.push(url.replace(/&t=.*/, '&again')) } }
  const own = () => 'own'
  const [a, b] = ['a.png', 'b.png'].map((value) => node('LoadImage', { comfyClass: 'LoadImage', widgets: [{ name: 'image', value, callback: own }] }))
  const editor = node('DragEditor', { inputs: [{ name: 'image', type: 'IMAGE', link: null }] })
  const root = graphOf([a, b, editor], [[b, 0, editor, 0], [a, 0, editor, 0]])
  const [toB, toA] = root.links.keys()
  const api = { apiURL: (path) => path }
  const picture = watchPicture({ app: { graph: root }, api, node: editor, input: 'image', show() {}, toast() {} })
  for (const link of [toA, toB, toA]) {
    editor.inputs[0].link = link
    picture.refresh()
  }
  assert.equal(b.widgets[0].callback, own)
  assert.equal(a.widgets[0].callback(), 'own')
  assert.deepEqual(shown.map((url) => url.slice(15, 16) + (url.endsWith('again') ? ' again' : '')), ['a', 'b', 'a', 'a again'])
  picture.end()
  assert.equal(a.widgets[0].callback, own)
})

test('results of before are found behind an editor, in and out of subgraphs, and nothing else', () => {
  const made = (comfyClass, inputs = 1) => node(comfyClass, { comfyClass, inputs: Array.from({ length: inputs }, () => ({ type: 'IMAGE', link: null })) })
  const [editor, crop, drag, mask, inner] = ['DragEditor', 'DragCrop', 'DragEdit', 'MaskPreview', 'SaveImage'].map((type) => made(type))
  const [plain, decode] = [made('PreviewImage'), made('VAEDecode', 2)]
  const around = node('Subgraph', { subgraph: graphOf([inner], [[null, 0, inner, 0]]) })
  around.subgraph.id = 'uuid'
  const root = graphOf([editor, crop, drag, mask, plain, decode, around],
    [[editor, 5, crop, 0], [crop, 1, drag, 0], [drag, 0, decode, 0], [drag, 1, mask, 0], [editor, 0, plain, 0], [decode, 0, around, 0]])
  around.subgraph.rootGraph = root
  const images = (filename) => ({ images: [{ filename }] })
  const nodeOutputs = { [mask.id]: images('mask'), [plain.id]: images('plain'), [`uuid:${inner.id}`]: images('result'), [crop.id]: images('crop') }
  assert.deepEqual(resultsOf({ rootGraph: root, nodeOutputs }, editor), [{ ref: { filename: 'result' }, exact: true }])
  nodeOutputs[drag.id] = images('own')
  assert.deepEqual(resultsOf({ rootGraph: root, nodeOutputs }, editor).map((r) => r.ref.filename), ['result'])
  drag.inputs[0].link = null
  assert.deepEqual(resultsOf({ rootGraph: root, nodeOutputs }, editor), [])
})
