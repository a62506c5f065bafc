// The drag editor in ComfyUI: the widget DRAG_EDITOR of the node DragEditor. All contact with the host's page is here and in
// lib/host/, which is given `app` and `api`; lib/editor.js knows no host.
import { app } from '../../scripts/app.js'
import { api } from '../../scripts/api.js'
import { createEditor } from './lib/editor.js'
import { fullScreen } from './lib/host/dialog.js'
import { fedBy, promptIds, rootOf, locator } from './lib/host/graph.js'
import { letThrough } from './lib/host/input.js'
import { watchPicture, viewUrl } from './lib/host/picture.js'
import { keptDrawings, resultsOf } from './lib/host/results.js'
import { refusal, watchRuns } from './lib/host/runs.js'
import { runView } from './lib/host/runview.js'

/** @import { DragEditor, GraphNode, Hook, Output } from './lib/host/types.js' */
/** @import { ViewState } from './lib/editor/types.js' */

/**
 * @typedef {{node: GraphNode, run: ReturnType<typeof runView>, picture: ReturnType<typeof watchPicture>,
 *   open: () => void, restore: () => void}} Bound
 */

const TYPE = 'DRAG_EDITOR'
const MIN_HEIGHT = 260
const editors = /** @type {Map<GraphNode, Bound>} */ (new Map()) // what is bound to it, for as long as the node is in a graph
const drawings = keptDrawings()
const roots = /** @type {Map<string, HTMLElement>} */ (new Map()) // by the view's key the element of its editor
const views = /** @type {Map<string, ViewState>} */ (new Map()) // the host makes nodes anew on its own undo: zoom, tool and local undo wait here for the next one

const BEHIND = 'ComfyUI did not take it: leave full screen (F) to read why'

const toast = (/** @type {string} */ text) => app.extensionManager?.toast?.add?.({ severity: 'warn', summary: 'Drag Editor', detail: text, life: 6000 })

/** One step of the graph's undo; the host does not see it by itself, as it listens for mouse events. */
function captureUndo() {
  const tracker = app.extensionManager?.workflow?.activeWorkflow?.changeTracker
  if (tracker?.captureCanvasState) tracker.captureCanvasState()
  else tracker?.checkState?.()
}

/**
 * Calls `after` when the host calls node[name], with what it is called.
 * @param {GraphNode} node @param {'onAdded' | 'onConfigure' | 'onConnectionsChange' | 'onExecuted' | 'onRemoved'} name @param {Hook} after
 */
function chain(node, name, after) {
  const before = node[name]
  /** @this {GraphNode} @param {...unknown} args */
  node[name] = function (...args) {
    const out = before?.apply(this, args)
    after(...args)
    return out
  }
}

const viewKey = (/** @type {GraphNode} */ node) => `${rootOf(app)?.id ?? ''}/${locator(node)}`

/** @param {string} key @param {DragEditor} editor */
function keepView(key, editor) {
  views.delete(key)
  views.set(key, editor.viewState())
  if (views.size > 16) views.delete(views.keys().next().value ?? '')
}

/** The editor of a node, as its widget. @param {GraphNode} node @param {string} name @param {boolean} socketless */
function bind(node, name, socketless) {
  const root = document.createElement('div')
  root.className = 'drag-editor'
  root.dataset.captureWheel = 'true' // else Nodes 2.0 takes the wheel, also while the editor has the focus
  root.style.cssText = `position:relative;width:100%;height:100%;min-height:${MIN_HEIGHT}px;box-sizing:border-box;overflow:hidden`
  let ended = false
  let key = '' // under which its view is kept; the graph has lost its id when it takes its nodes away

  const editor = createEditor(root, {
    onCommit(text) {
      widget.callback?.(text)
      node.graph?.setDirtyCanvas?.(true, false)
      captureUndo()
    },
    getImage() {
      if (!picture.connected()) return toast('Connect an image to the editor first')
      app.queuePrompt(0, 1, promptIds(app, node)) // this node and what comes before it, no more
    },
    ask: () => app.queuePrompt(0, 1, asked().flatMap((n) => promptIds(app, n))), // what asks, and what comes before it
    async run() {
      const taken = await app.queuePrompt(0, 1)
      const why = taken === false && (refusal(app.lastNodeErrors) || (full.isOpen() ? BEHIND : ''))
      if (why) run.refuse(why)
    },
    stop: () => api.interrupt(run.id),
    toast,
    fullscreen: (open) => (open ? full.open() : full.close()),
    uploadImage: (file) => picture.upload(file).catch((e) => toast(String(e?.message ?? e)))
  })
  const full = fullScreen(root, () => editor.setFullscreen?.(false))
  const run = runView(editor, { url: (ref) => viewUrl(api, ref) })
  const widget = node.addDOMWidget(name, TYPE, root, {
    getValue: () => editor.getText(),
    setValue: (/** @type {unknown} */ text) => editor.setText(typeof text === 'string' ? text : ''),
    getMinHeight: () => MIN_HEIGHT,
    hideOnZoom: false, // the host's default blanks it when one zooms out
    hideInPanel: true, // the side panel would lay it out a second time, at its own width
    socketless // the host reads it here, not in the schema
  })
  const picture = watchPicture({ app, api, node, input: 'image', toast, show: (image, size) => {
    run.picture(image)
    editor.setImage(image, size)
    restore()
  } })
  letThrough(root, { app, node, vue: () => globalThis.LiteGraph?.vueNodesMode === true })

  /** Shows a result of before, as when the tab is opened again. */
  function restore() {
    const found = drawings.latest(resultsOf(app, node))
    if (found) run.restore(found.ref, found.exact, drawings.of(found.ref, promptIds(app, node)))
  }

  const asked = () => fedBy(app, node, 'DragIntent', 'instruction')

  // after what the host does in the same turn: links are set one by one, ids after the node is made
  const later = (/** @type {boolean} */ again) => setTimeout(() => {
    if (ended || !node.graph) return
    editors.set(node, bound)
    if (!key && views.has(viewKey(node))) editor.restoreView(views.get(viewKey(node)))
    key = viewKey(node)
    // the graph's undo makes the node anew, but Nodes 2.0 goes on showing the element of the old one
    const before = roots.get(key)
    if (before !== root && before?.isConnected && !root.isConnected) before.replaceWith(root)
    roots.set(key, root)
    picture.refresh(again)
    editor.setAskable(asked().length > 0)
  }, 0)
  chain(node, 'onAdded', () => later(false))
  chain(node, 'onConfigure', () => later(false))
  chain(node, 'onConnectionsChange', () => later(false))
  chain(node, 'onExecuted', (output) => picture.executed(/** @type {Output | undefined} */ (output)))
  chain(node, 'onRemoved', () => {
    if (key) keepView(key, editor)
    setTimeout(() => {
      if (node.graph) return // it was only moved
      ended = true
      full.close()
      picture.end()
      editor.destroy()
      editors.delete(node)
      setTimeout(() => { // the new node, if any, has come by then
        for (const [old, shown] of roots) if (shown === root) roots.delete(old)
      }, 1000)
    }, 0)
  })
  function openFull() {
    full.open()
    editor.setFullscreen?.(true)
  }
  /** @type {Bound} */
  const bound = { node, run, picture, open: openFull, restore }
  widget.dragEditor = editor // for tests and for other extensions
  return widget
}

/** Those whose nodes are in their graphs: one that is cleared does not let its nodes go. */
const alive = () => [...editors.values()].filter(({ node }) => node.graph?.getNodeById(node.id) === node)

/** Editors of the open graph that have one of these ids in a prompt that was made from it. @param {string | undefined} workflow @param {Set<string>} ids
 * @returns {import('./lib/host/runs.js').Found[]} */
function find(workflow, ids) {
  const root = rootOf(app)
  if (workflow && root?.id && workflow !== root.id) return [] // the prompt belongs to another tab
  return alive().flatMap(({ node, run }) => {
    const id = promptIds(app, node).find((x) => ids.has(x))
    return id === undefined ? [] : [{ id, view: run }]
  })
}

/** The editor that is meant by the selection: the node itself, or the one inside a selected subgraph. */
function selected() {
  const found = /** @type {Bound[]} */ ([])
  const look = (/** @type {GraphNode[]} */ nodes) => {
    for (const node of nodes) {
      const bound = editors.get(node)
      if (bound) found.push(bound)
      else if (node?.subgraph) look(node.subgraph.nodes)
    }
  }
  look([...(app.canvas?.selectedItems ?? [])])
  if (!found.length) look(app.canvas?.graph?.nodes ?? [])
  return found[0]
}

app.registerExtension({
  name: 'drag.Editor',
  getCustomWidgets() {
    return {
      [TYPE](node, name, spec) {
        return { widget: bind(node, name, !!spec?.[1]?.socketless), minWidth: 380, minHeight: 440 }
      }
    }
  },
  commands: [
    {
      id: 'drag.openEditor',
      label: 'Open drag editor',
      icon: 'pi pi-window-maximize',
      function: () => {
        const bound = selected()
        if (bound) bound.open()
        else toast('There is no drag editor in this graph')
      }
    }
  ],
  getNodeMenuItems(node) {
    const inside = editors.get(node) ?? (node.subgraph?.nodes ?? []).map((n) => editors.get(n)).find(Boolean)
    return inside ? [{ content: 'Open drag editor', callback: () => inside.open() }] : []
  },
  setup() {
    watchRuns(api, () => app.nodeOutputs, find, drawings)
  },
  /** Results that come back with a workflow, as when its tab is opened again. */
  onNodeOutputsUpdated() {
    for (const bound of alive()) {
      bound.picture.refresh()
      bound.restore()
    }
  }
})
